"""Prompts from files of other tools and into them, and the prompts that are shipped to start from.

Read: our YAML, a promptfoo configuration, plain text, a chat as JSON ([{role, content}]), and lines of JSON with
`prompt_template` (the form in which the judge prompts of MT-bench are published). Written: our YAML, a chat, plain
text, a promptfoo configuration. What a format cannot say is refused and never dropped.
"""

import json
import re
import string
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import ValidationError

from evaluations.errors import AssayError, unknown_name
from evaluations.specs import PromptSpec
from tasks.datasets import within
from tasks.documents import parse_document, read_document, read_text, sentence, shown
from tasks.prompts import load_prompt, template_of

Braces = Literal["double", "single"]
"""double: {{ name }}, as here and in promptfoo. single: {name}, as Python's `format` has it."""
Written = Literal["yaml", "chat", "text", "promptfoo"]
TEMPLATES = Path(__file__).parent / "prompt_templates"
_IDENTIFIER = re.compile(r"[A-Za-z_]\w*")
_TAG = re.compile(r"\{\{|\{%|\{#")


# Reading


def read_prompts(path: Path, *, name: str = "", braces: Braces | None = None) -> list[PromptSpec]:
    """The prompts in a file of any form that is known, by its ending and what it holds.

    `name` calls a single prompt; otherwise it is called like the file or as the file says. Raises AssayError for a
    form that is not known, and for a text that is no template.
    """
    found = list(_READERS.get(path.suffix.lower(), _unknown)(path, name, braces))
    if name and len(found) > 1:
        raise AssayError(f"{shown(path)} holds {len(found)} prompts, which cannot all be called {name!r}.")
    for prompt in found:
        template_of(prompt)
    return found


def _unknown(path: Path, name: str, braces: Braces | None) -> Iterator[PromptSpec]:
    endings = ", ".join(sorted(_READERS))
    raise AssayError(f"{shown(path)}: nobody knows prompts in files of that ending. Known: {endings}.")


def _yaml(path: Path, name: str, braces: Braces | None) -> Iterator[PromptSpec]:
    document = read_document(path, "prompt")
    if not (isinstance(document.value, dict) and isinstance(document.value.get("prompts"), list)):
        prompt = parse_document(document, PromptSpec, "prompt")
        yield prompt.model_copy(update={"name": name}) if name else prompt
        return
    for number, entry in enumerate(document.value["prompts"]):
        place = document.place(("prompts", number))
        yield from _promptfoo(path, entry, name or f"{path.stem}-{number + 1}", braces, place)


def _promptfoo(path: Path, entry: Any, name: str, braces: Braces | None, place: str) -> Iterator[PromptSpec]:
    """One entry of a promptfoo configuration: a text, a file://, or a mapping with `raw` or `id`."""
    label = ""
    if isinstance(entry, Mapping):
        label = str(entry.get("label") or "")
        entry = entry.get("raw", entry.get("id"))
    if not isinstance(entry, str):
        raise AssayError(f"{place}: a prompt is a text, or a mapping with `raw` or `id`.")
    if entry.startswith("file://"):
        named = entry.removeprefix("file://")
        yield from read_prompts(within(path.parent, path.parent, named, kind="prompt"), name=label, braces=braces)
        return
    yield _from_text(entry, label or name, braces, place)


def _plain(path: Path, name: str, braces: Braces | None) -> Iterator[PromptSpec]:
    yield _from_text(read_text(path, "prompt"), name or path.stem, braces, shown(path))


def _json(path: Path, name: str, braces: Braces | None) -> Iterator[PromptSpec]:
    value = read_document(path, "prompt").value
    if isinstance(value, Mapping) and "name" in value and ("user" in value or "messages" in value):
        prompt = load_prompt(path)
        yield prompt.model_copy(update={"name": name}) if name else prompt
        return
    turns = value.get("messages") if isinstance(value, Mapping) else value
    yield _from_chat(turns, name or path.stem, braces, shown(path))


def _lines(path: Path, name: str, braces: Braces | None) -> Iterator[PromptSpec]:
    """Lines of JSON with a template each; `{name}` stands for a variable there unless it is said otherwise."""
    for number, line in enumerate(read_text(path, "prompt").splitlines(), 1):
        if not line.strip():
            continue
        place = f"{shown(path)}:{number}"
        try:
            row = json.loads(line)
        except ValueError:
            raise AssayError(f"{place}: this line is no JSON.") from None
        if not isinstance(row, dict) or not isinstance(row.get("prompt_template"), str):
            raise AssayError(
                f"{place}: a line has `prompt_template`, and may have `name`, `system_prompt`, `description` and "
                "`category`. Lines of questions are cases: they belong into a dataset."
            )
        system = _whole(_literal(str(row.get("system_prompt") or "")))
        yield _made(
            place,
            name=name or str(row.get("name") or f"{path.stem}-{number}"),
            description=str(row.get("description") or ""),
            categories=[str(row["category"])] if row.get("category") else [],
            tags=[str(row["type"])] if row.get("type") else [],
            user=_whole(_converted(row["prompt_template"], braces or "single", place)),
            **({"system": system} if system else {}),
        )


_READERS: Mapping[str, Callable[[Path, str, Braces | None], Iterator[PromptSpec]]] = {
    ".yaml": _yaml,
    ".yml": _yaml,
    ".json": _json,
    ".jsonl": _lines,
    ".txt": _plain,
    ".md": _plain,
}


def _from_text(text: str, name: str, braces: Braces | None, place: str) -> PromptSpec:
    """A prompt of one text; a text that is a chat in JSON is read as the chat."""
    if text.lstrip().startswith("["):
        try:
            turns = json.loads(text)
        except ValueError:
            turns = None
        if isinstance(turns, list) and turns and all(isinstance(each, dict) and "role" in each for each in turns):
            return _from_chat(turns, name, braces, place)
    return _made(place, name=name, user=_converted(text, braces or "double", place))


def _from_chat(turns: Any, name: str, braces: Braces | None, place: str) -> PromptSpec:
    if not isinstance(turns, Sequence) or isinstance(turns, str) or not turns:
        raise AssayError(f"{place}: a chat is a list of messages, each with `role` and `content`.")
    messages = []
    for number, turn in enumerate(turns, 1):
        content = turn.get("content") if isinstance(turn, Mapping) else None
        if not isinstance(turn, Mapping) or not isinstance(content, str):
            raise AssayError(
                f"{place}: message {number} has no text as `content`; parts and images are not taken over."
            )
        role = "system" if turn.get("role") == "developer" else turn.get("role")
        messages.append({"role": role, "content": _whole(_converted(content, braces or "double", place))})
    system = messages.pop(0)["content"] if messages[0]["role"] == "system" and len(messages) > 1 else None
    given: dict[str, Any] = {} if system is None else {"system": system}
    if [each["role"] for each in messages] == ["user"]:
        return _made(place, name=name, user=messages[0]["content"], **given)
    return _made(place, name=name, messages=messages, **given)


def _made(place: str, **given: Any) -> PromptSpec:
    try:
        return PromptSpec.model_validate({"version": "1.0.0", **given})
    except ValidationError as problem:
        raise AssayError(f"{place}: {sentence(dict(problem.errors(include_url=False)[0]), PromptSpec)}") from None


def _converted(text: str, braces: Braces, place: str) -> str:
    """A text with its variables as {{ name }}; whatever else a template would read as its own stays literal."""
    if braces == "double":
        return text
    pieces: list[str] = []
    literal = ""
    try:
        # The parser hands over each doubled brace apart; only together do two of them begin a tag of a template.
        for text_before, field, form, _ in string.Formatter().parse(text):
            literal += text_before
            if field is None:
                continue
            if not _IDENTIFIER.fullmatch(field) or form:
                raise AssayError(f"{place}: {{{field}}} is no plain variable; write {{{{ and }}}} for braces as such.")
            pieces += [_literal(literal), f"{{{{ {field} }}}}"]
            literal = ""
    except ValueError as problem:
        raise AssayError(f"{place}: {problem}; write {{{{ and }}}} for braces as such.") from None
    return "".join([*pieces, _literal(literal)])


def _whole(template: str) -> str:
    """A template that writes all of its text: rendering drops one line feed at the end."""
    return f"{template}\n" if template.endswith("\n") else template


# Writing


def written(prompt: PromptSpec, form: Written) -> str:
    """A prompt in a form. Raises AssayError where that form has no place for something of it."""
    return _WRITERS[form](prompt)


def as_yaml(prompt: PromptSpec) -> str:
    """Our own YAML, texts of several lines as blocks; read again it is the same prompt."""
    said = prompt.model_dump(mode="json", exclude_defaults=True)
    said = {"name": prompt.name, "version": prompt.version, **said}
    if prompt.variables:
        said["variables"] = {
            name: each.type if set(each.model_dump(exclude_defaults=True)) <= {"type"} else _variable(each)
            for name, each in prompt.variables.items()
        }
    return yaml.dump(said, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


def _variable(variable: Any) -> dict[str, Any]:
    said: dict[str, Any] = variable.model_dump(mode="json", exclude_defaults=True)
    return {"type": variable.type, **said}


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks."""


def _text_node(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text_node)


def _messages(prompt: PromptSpec, form: str) -> list[dict[str, str]]:
    """The chat of templates. What a bare chat cannot say is refused."""
    lost = {
        "few_shot with inputs": any(example.inputs is not None for example in prompt.few_shot),
        "a history of the case": any(turn.history is not None for turn in prompt.turns),
        "an output schema": prompt.output_schema is not None,
    }
    if missing := [what for what, there in lost.items() if there]:
        raise AssayError(f"{prompt.label} has {' and '.join(missing)}, which {form} cannot say; export it as yaml.")
    said = [{"role": "system", "content": prompt.system}] if prompt.system is not None else []
    for example in prompt.few_shot:
        said += [
            {"role": "user", "content": _literal(example.user or "")},
            {"role": "assistant", "content": _literal(example.assistant)},
        ]
    said += [{"role": turn.role or "user", "content": turn.content or ""} for turn in prompt.turns]
    return [{**each, "content": each["content"].removesuffix("\n")} for each in said]


def _literal(text: str) -> str:
    """A plain text as a template that writes it."""
    return f"{{% raw %}}{text}{{% endraw %}}" if _TAG.search(text) else text


def as_chat(prompt: PromptSpec) -> str:
    """[{role, content}] as JSON, with templates."""
    return json.dumps(_messages(prompt, "a chat"), indent=2, ensure_ascii=False) + "\n"


def as_plain(prompt: PromptSpec) -> str:
    """The one text of a prompt that has no more than that."""
    said = _messages(prompt, "plain text")
    if len(said) != 1:
        raise AssayError(f"{prompt.label} has {len(said)} messages, and plain text one; export it as chat or yaml.")
    return said[0]["content"]


def as_promptfoo(prompt: PromptSpec) -> str:
    """A promptfoo configuration with this one prompt."""
    said = _messages(prompt, "promptfoo")
    sole = len(said) == 1 and said[0]["role"] == "user"
    raw = said[0]["content"] if sole else json.dumps(said, indent=2, ensure_ascii=False)
    entry = {"label": prompt.label, "raw": raw}
    return yaml.dump({"prompts": [entry]}, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


_WRITERS: Mapping[Written, Callable[[PromptSpec], str]] = {
    "yaml": as_yaml,
    "chat": as_chat,
    "text": as_plain,
    "promptfoo": as_promptfoo,
}


# Prompts to start from


def templates() -> dict[str, PromptSpec]:
    """The shipped prompts to start from, by name."""
    return {path.stem: load_prompt(path) for path in sorted(TEMPLATES.glob("*.yaml"))}


def from_template(template: str, name: str) -> str:
    """The text of a prompt file that starts from a template, under a name of its own."""
    path = TEMPLATES / f"{template}.yaml"
    known = sorted(each.stem for each in TEMPLATES.glob("*.yaml"))
    if template not in known:
        raise AssayError(unknown_name("template", template, known))
    text = path.read_text(encoding="utf-8")
    head = json.dumps(name, ensure_ascii=False)
    return text.replace(f"name: {template}\n", f"name: {head}\n", 1).replace("tags: [template]\n", "", 1)
