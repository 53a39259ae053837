"""What is wrong with a prompt, as far as it can be seen without asking a model: findings with place and remedy.

Rules look at templates, not at rendered text, so they hold for every case. A text that a user, a document or a tool
brings into the prompt can carry instructions of its own; rules about that ask where such a text stands and whether a
reader can see where it begins and ends. They cannot prove that a model will heed it.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from evaluations.prompts import FINDING_SEVERITIES, Finding
from evaluations.specs import SECRET_KEY, SECRET_VALUE, PromptSpec, scalars
from evaluations.wording import count

LONG = 8_000
"""Tokens of a prompt's own text that are worth a note where no model is named."""
MOST_OF_CONTEXT = 0.5
"""Share of a model's context that a prompt's own text may take before variables and reply."""


@dataclass(frozen=True, slots=True)
class Part:
    """One text of a prompt."""

    place: str
    role: str
    text: str
    template: bool


@dataclass(frozen=True, slots=True)
class Window:
    """The context of a model, in tokens."""

    model: str
    tokens: int


def parts_of(prompt: PromptSpec) -> Iterator[Part]:
    """Every text of a prompt, with the name of its place in the file."""
    if prompt.system is not None:
        yield Part("system", "system", prompt.system, True)
    for number, example in enumerate(prompt.few_shot, 1):
        if example.user is not None:
            yield Part(f"few_shot {number}, user", "user", example.user, False)
        yield Part(f"few_shot {number}, assistant", "assistant", example.assistant, False)
    for number, turn in enumerate(prompt.turns, 1):
        if turn.content is not None:
            place = "user" if prompt.user is not None else f"message {number} ({turn.role})"
            yield Part(place, turn.role or "user", turn.content, True)


def lint(
    prompt: PromptSpec,
    used: frozenset[str],
    *,
    tokens: int,
    window: Window | None = None,
    secrets: Sequence[str] = (),
) -> tuple[Finding, ...]:
    """Everything that a look finds, the gravest first.

    `used`: variables that its templates use, `inputs` among them when a template takes all of them. `tokens`: of its
    own text. `secrets`: values that must not stand in it. No finding repeats a secret.
    """
    parts = tuple(parts_of(prompt))
    found = [
        *_secrets(prompt, parts, secrets),
        *_variables(prompt, used),
        *_length(prompt, tokens, window),
        *(finding for part in parts for finding in (*_hidden(part), *_overrides(part))),
        *(finding for part in parts if part.template for finding in _inputs(prompt, part)),
        *_schema(prompt, parts),
    ]
    return tuple(sorted(found, key=lambda each: FINDING_SEVERITIES.index(each.severity)))


# Secrets and hidden characters

_KEY_BLOCK = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_ASSIGNED = re.compile(
    r"(?i)\b(api[_-]?key|secret|passw(or)?d|access[_-]?token)\b\s*[:=]\s*['\"]?(?=[^\s'\"]*\d)[^\s'\"{}]{10,}"
)
_PASSWORD_IN_ADDRESS = re.compile(r"://[^/\s:@{}]+:[^\s@{}]+@")
_HIDDEN = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff\U000e0000-\U000e007f]")


def holds_secret(text: str, secrets: Sequence[str] = ()) -> bool:
    """Whether something in a text looks like a secret, or is one of some values."""
    patterns = (SECRET_VALUE, _KEY_BLOCK, _ASSIGNED, _PASSWORD_IN_ADDRESS)
    return any(each.search(text) for each in patterns) or any(secret in text for secret in secrets)


def _secrets(prompt: PromptSpec, parts: Sequence[Part], secrets: Sequence[str]) -> Iterator[Finding]:
    lines = ((_at(part, n), line) for part in parts for n, line in enumerate(part.text.splitlines(), 1))
    beside = prompt.model_dump(mode="json", exclude={"system", "user", "messages", "few_shot"})
    beside["few_shot"] = [example.inputs for example in prompt.few_shot if example.inputs]
    settings = [(".".join(path), str(value)) for path, value in scalars(beside)]
    keys = {".".join(path) for path, value in scalars({"parameters": prompt.parameters}) if _names_secret(path, value)}
    found = (at for at, text in (*lines, *settings) if at in keys or holds_secret(text, secrets))
    for place in dict.fromkeys(found):
        yield Finding(
            "secret",
            "error",
            place,
            "a secret stands in the text",
            "take it out and revoke it: whoever sees the prompt, its answers or its reports sees it too",
        )


def _names_secret(path: Sequence[str], value: object) -> bool:
    return isinstance(value, str) and any(SECRET_KEY.search(key) for key in path)


def _hidden(part: Part) -> Iterator[Finding]:
    for number, line in enumerate(part.text.splitlines(), 1):
        if found := sorted({f"U+{ord(each):04X}" for each in _HIDDEN.findall(line)}):
            yield Finding(
                "hidden-character",
                "warning",
                _at(part, number),
                f"characters that nobody sees: {', '.join(found)}",
                "take them out; they hide instructions from people, not from models",
            )


# Variables and length


def _variables(prompt: PromptSpec, used: frozenset[str]) -> Iterator[Finding]:
    names = used - {"inputs"}
    if names and not prompt.variables:
        yield Finding(
            "undeclared-types",
            "note",
            "variables",
            f"no variable is declared; the templates use {', '.join(sorted(names))}",
            "declare them with their types, so that a wrong input is refused before it is paid for",
        )
    for name in sorted(names - set(prompt.variables)) if prompt.variables else ():
        yield Finding(
            "undeclared-variable",
            "error",
            "variables",
            f"{name} is used and not declared",
            f"declare it: `{name}: text`, or take it out of the template",
        )
    for name in sorted(set(prompt.variables) - used) if "inputs" not in used else ():
        yield Finding(
            "unused-variable",
            "warning",
            f"variables.{name}",
            f"{name} is declared and no template uses it",
            "take it out, or use it: a case that lacks it is refused for nothing",
        )
    if not used and not any(turn.history for turn in prompt.turns):
        yield Finding(
            "no-variables",
            "note",
            "variables",
            "no template uses a variable: every case gets the same text",
            "put {{ name }} where the case's own text belongs",
        )


def _length(prompt: PromptSpec, tokens: int, window: Window | None) -> Iterator[Finding]:
    if window is None:
        if tokens > LONG:
            yield Finding(
                "length",
                "note",
                "the whole",
                f"about {count(tokens)} tokens before any variable",
                "name a model (--model provider/model) to hold it against its context; put what stays the same first, "
                "where a provider's cache finds it",
            )
        return
    reply = prompt.parameters.get("max_tokens", prompt.parameters.get("max_completion_tokens", 0))
    needed = tokens + (reply if isinstance(reply, int) else 0)
    said = f"about {count(tokens)} tokens before any variable" + (
        f", and {count(reply)} for the reply" if reply else ""
    )
    if needed > window.tokens:
        yield Finding(
            "length",
            "error",
            "the whole",
            f"{said}: more than the {count(window.tokens)} of {window.model}",
            "shorten it or choose a model with a longer context",
        )
    elif tokens > MOST_OF_CONTEXT * window.tokens:
        yield Finding(
            "length",
            "warning",
            "the whole",
            f"{said}: more than half of the {count(window.tokens)} of {window.model}",
            "leave room for what variables bring",
        )


# Instructions from outside

_OVERRIDE = re.compile(
    r"(?i)\b(ignore|disregard|forget|override)\b[^.\n]{0,30}\b(previous|prior|above|earlier|preceding|all)\b"
    r"[^.\n]{0,20}\b(instructions?|prompts?|rules?|messages?|guidelines?|everything)\b"
    r"|\bforget everything\b|\bdo anything now\b|\b(reveal|print|repeat)\b[^.\n]{0,20}\bsystem prompt\b"
)
_MARKER = re.compile(
    r"""^(</?[^<>]+>|```.*|~~~.*|\"{3}|'{3}|-{3,}.*|={3,}.*|\*{3,}.*|#{3,}.*|\[[^\[\]]+\]|<\|[^|]+\|>)$"""
)
_PLACEHOLDER = re.compile(r"\{\{-?\s*([A-Za-z_]\w*)?(.*?)-?\}\}", re.DOTALL)
_CONTROL = re.compile(r"\{[%#].*?[%#]\}", re.DOTALL)
_LABEL = re.compile(r"^[\w\s()/'-]{1,40}:\s*$")
_LABELLED = re.compile(r"^\s*[A-Za-z][\w\s()/'-]{0,39}:")
_QUOTES = {'"': '"', "'": "'", "“": "”", "«": "»", "`": "`", ">": "<", "[": "]", "(": ")"}
_UNTRUSTED = ("text", "list", "object")
Guard = Literal["sole", "closed", "label", "open"]


def _overrides(part: Part) -> Iterator[Finding]:
    for number, line in enumerate(part.text.splitlines(), 1):
        if _OVERRIDE.search(line):
            yield Finding(
                "override-phrase",
                "warning",
                _at(part, number),
                "a phrase that attacks use: to ignore earlier instructions, or to tell the system prompt",
                "say what holds instead; in an example, show the refusal beside it",
            )


def _inputs(prompt: PromptSpec, part: Part) -> Iterator[Finding]:
    told: set[tuple[str, int]] = set()
    for name, number, guard in placeholders(part.text):
        variable = prompt.variables.get(name)
        if (variable is not None and variable.type not in _UNTRUSTED) or (name, number) in told:
            continue
        told.add((name, number))
        said, tag = name or "an expression", name or "input"
        if part.role == "system":
            yield Finding(
                "input-in-system",
                "warning",
                _at(part, number),
                f"{said} is written into the system message, whose words a model heeds most",
                "move it to a user message, or declare it as a number or a boolean if that is all it holds",
            )
        elif guard in ("open", "label"):
            yield Finding(
                "input-without-delimiters",
                "warning" if guard == "open" else "note",
                _at(part, number),
                f"{said} stands among the prompt's own words"
                + (" after a label" if guard == "label" else "")
                + ": nothing shows where it ends",
                f"put it between marks of its own, e.g. <{tag}> … </{tag}>, and say that what stands between is data",
            )


def placeholders(template: str) -> Iterator[tuple[str, int, Guard]]:
    """Each placeholder of a template: the variable that it writes ("" for an expression), its line, how it is set off.

    sole: nothing else is in the template. closed: marks before and after it. label: a word and a colon before it.
    open: neither.
    """
    plain = _CONTROL.sub(lambda tag: "\n" * tag.group().count("\n"), template)
    alone = not _PLACEHOLDER.sub("", plain).strip()
    for found in _PLACEHOLDER.finditer(plain):
        number = plain.count("\n", 0, found.start()) + 1
        yield found.group(1) or "", number, "sole" if alone else _guard(plain, found.start(), found.end())


def _guard(text: str, start: int, end: int) -> Guard:
    before, after = text[:start], text[end:]
    left, right = before.rpartition("\n")[2], after.partition("\n")[0]
    if left.strip() and right.strip() and _QUOTES.get(left.rstrip()[-1:]) == right.lstrip()[:1]:
        return "closed"
    if _within(before, after):
        return "closed"
    if not left.strip() and not right.strip():
        above, below = _last_line(before), _last_line(after, first=True)
        return "closed" if _MARKER.match(above) and _MARKER.match(below) else "label" if _LABEL.match(above) else "open"
    return "label" if _LABELLED.match(left) else "open"


def _within(before: str, after: str) -> bool:
    """Whether a tag or a fence is open before it that is closed behind it."""
    for name in {*re.findall(r"<([A-Za-z][\w-]*)[^<>/]*>", before)}:
        opened, closed = len(re.findall(rf"<{name}\b[^<>/]*>", before)), before.count(f"</{name}>")
        if opened > closed and f"</{name}>" in after:
            return True
    return any(before.count(fence) % 2 == 1 and fence in after for fence in ("```", '"""', "~~~"))


def _last_line(text: str, *, first: bool = False) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return "" if not lines else lines[0] if first else lines[-1]


# Output


def _schema(prompt: PromptSpec, parts: Sequence[Part]) -> Iterator[Finding]:
    if prompt.output_schema is None or "response_format" in prompt.parameters:
        return
    if not any("json" in part.text.casefold() for part in parts):
        yield Finding(
            "schema-not-said",
            "warning",
            "output_schema",
            "the reply has to follow a schema, and no text of the prompt speaks of JSON",
            "say which JSON is wanted, or ask for it with the parameter `response_format`",
        )


def _at(part: Part, line: int) -> str:
    return part.place if part.text.count("\n") == 0 else f"{part.place}, line {line}"
