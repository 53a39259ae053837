"""What differs between two versions of a prompt, and how large a step of the version number that asks for.

The rule, the same in `docs/prompts.md`:

- major: what the application hands over or reads breaks. A variable is new and required, becomes required or takes
  another type; the output schema comes, goes, loses a property, stops requiring one, allows another type or value; or
  the text is written anew (less than a fifth of its words stay).
- minor: everything else that may change an answer: words, examples, turns, parameters, a variable that is optional or
  goes, a schema that only narrows.
- patch: what ought to change none: white space, letter case, punctuation, comments in the template, a slip of one
  letter in a word of five or more.

A description, a changelog, tags and categories reach no model: they alone make no version.
"""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from evaluations.experiment_results import DiffLine
from evaluations.prompts import BUMPS, Bump, Change, DiffRow, Piece, PromptDiff
from evaluations.specs import PromptSpec, VariableSpec, canonical_json

CONTEXT_LINES = 2
REWRITTEN = 0.2
"""Share of words that stay below which a text counts as written anew."""
FEWEST_WORDS = 20
"""A shorter text has too few words to tell a rewrite from an edit."""
SHORTEST_SLIP = 5
"""Letters of a word in which one other letter counts as a slip; in shorter ones it makes `now` of `not`."""
_TOKEN = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}|\w+|[^\w\s]", re.DOTALL)
_EDGE = re.compile(r"^(\{[{%]-?)\s*(.*?)\s*(-?[}%]\})$", re.DOTALL)
"""A tag of a template: white space at its edges says nothing."""
_PUNCTUATION = re.compile(r"""^[.,;:!?'"()]$""")
_NOTHING = "–"


def diff_prompts(before: PromptSpec, after: PromptSpec, used: tuple[frozenset[str], frozenset[str]]) -> PromptDiff:
    """Everything in which two versions differ. `used`: the variables that the templates of each one use.

    Pure; the templates are only compared, never rendered.
    """
    old, new = prompt_lines(before), prompt_lines(after)
    changes = [
        *_text_changes(before, after),
        *_variable_changes(before, after, used),
        *_example_changes(before, after),
        *_schema_changes(before, after),
        *_parameter_changes(before, after),
    ]
    if not changes and before.content_hash != after.content_hash:
        changes = [Change("turns", "patch", "the same is written in another form")]
    return PromptDiff(
        before=before.version,
        after=after.version,
        changes=tuple(sorted(changes, key=lambda change: -BUMPS.index(change.bump))),
        lines=diff_lines(old, new),
        rows=tuple(diff_rows(old, new)),
        variables=_differing(_variables(before, used[0]), _variables(after, used[1])),
        settings=_differing(_settings(before), _settings(after)),
    )


# Lines


def prompt_lines(prompt: PromptSpec) -> Sequence[str]:
    """A prompt as the lines that a model sees, with who says them; examples where they stand."""
    said = [("system", prompt.system)] if prompt.system else []
    for example in prompt.few_shot:
        asked = example.user if example.user is not None else canonical_json(example.inputs)
        said += [("example: user", asked), ("example: assistant", example.assistant)]
    said += [(turn.role or "history", turn.content or f"{{{turn.history}}}") for turn in prompt.turns]
    return [line for role, words in said for line in (f"[{role}]", *(words or "").splitlines())]


def diff_lines(before: Sequence[str], after: Sequence[str]) -> tuple[DiffLine, ...]:
    """What to take out of the lines and what to put in, with a few lines around."""
    kinds: dict[str, Any] = {" ": "same", "-": "gone", "+": "new"}
    shown: list[DiffLine] = []
    for line in list(difflib.unified_diff(before, after, n=CONTEXT_LINES, lineterm=""))[2:]:
        if line.startswith("@@"):
            shown.append(DiffLine(kind="gap", text="…"))
        else:
            shown.append(DiffLine(kind=kinds[line[:1]], text=line[1:]))
    return tuple(shown[1:] if shown[:1] == [DiffLine(kind="gap", text="…")] else shown)


def diff_rows(before: Sequence[str], after: Sequence[str]) -> Iterator[DiffRow]:
    """The lines side by side: those that took each other's place in one row, their words marked."""
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    for number, group in enumerate(matcher.get_grouped_opcodes(CONTEXT_LINES)):
        if number:
            yield DiffRow("gap")
        for tag, i, j, k, m in group:
            old, new = before[i:j], after[k:m]
            if tag == "equal":
                yield from (DiffRow("same", (Piece(line, False),), (Piece(line, False),)) for line in old)
                continue
            for left, right in zip(old, new, strict=False):
                yield DiffRow("changed", *_pieces(left, right))
            yield from (DiffRow("gone", (Piece(line, False),)) for line in old[len(new) :])
            yield from (DiffRow("new", (), (Piece(line, False),)) for line in new[len(old) :])


def _pieces(before: str, after: str) -> tuple[tuple[Piece, ...], tuple[Piece, ...]]:
    """Two lines in pieces of whole words, those that differ marked."""
    old, new = (re.findall(r"\s+|\w+|[^\w\s]", line) for line in (before, after))
    left: list[Piece] = []
    right: list[Piece] = []
    for tag, i, j, k, m in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if old[i:j]:
            left.append(Piece("".join(old[i:j]), tag != "equal"))
        if new[k:m]:
            right.append(Piece("".join(new[k:m]), tag != "equal"))
    return tuple(left), tuple(right)


# Text


def _text_changes(before: PromptSpec, after: PromptSpec) -> Iterator[Change]:
    old, new = _templates(before), _templates(after)
    if [role for role, _ in old] != [role for role, _ in new]:
        yield Change("turns", "minor", f"the turns are {_turns(new)} instead of {_turns(old)}")
    if old == new:
        return
    words = [" ".join(text for _, text in each) for each in (old, new)]
    kept = _kept(*words)
    if kept is not None and kept < REWRITTEN:
        yield Change("text", "major", f"the text is written anew: {kept:.0%} of its words stay")
        return
    by_role = [dict(_numbered(each)) for each in (old, new)]
    for role in dict.fromkeys((*by_role[0], *by_role[1])):
        was, now = (each.get(role, "") for each in by_role)
        if was != now:
            bump = text_bump(was, now)
            yield Change("text", bump, f"the {role} text changes {_HOW[bump]}")


_HOW: Mapping[Bump, str] = {"patch": "in form alone (white space, case, punctuation, a letter)", "minor": "its words"}


def _templates(prompt: PromptSpec) -> list[tuple[str, str]]:
    said = [("system", prompt.system)] if prompt.system is not None else []
    return [*said, *((turn.role or "history", turn.content or turn.history or "") for turn in prompt.turns)]


def _numbered(said: Sequence[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    seen: dict[str, int] = {}
    for role, text in said:
        seen[role] = seen.get(role, 0) + 1
        yield (role if seen[role] == 1 else f"{role} {seen[role]}"), text


def _turns(said: Sequence[tuple[str, str]]) -> str:
    return ", ".join(role for role, _ in said) or "none"


def _kept(before: str, after: str) -> float | None:
    """Share of the words of the longer text that stand in both, in order; None where there are too few to tell."""
    old, new = (re.findall(r"\w+", text.casefold()) for text in (before, after))
    if min(len(old), len(new)) < FEWEST_WORDS:
        return None
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    return sum(block.size for block in matcher.get_matching_blocks()) / max(len(old), len(new))


def text_bump(before: str, after: str) -> Bump:
    """patch when only the form of a text differs, minor when its words do.

    >>> text_bump("Be  kind, alwyas.", "Be kind. Always!"), text_bump("Do not guess.", "Do now guess.")
    ('patch', 'minor')
    """
    old, new = _words(before), _words(after)
    return "patch" if len(old) == len(new) and all(map(_same_word, old, new)) else "minor"


def _words(text: str) -> list[str]:
    """Words and tags of the template; comments and punctuation reach a model in form alone."""
    found: list[str] = _TOKEN.findall(text)
    kept = [token for token in found if not token.startswith("{#") and not _PUNCTUATION.match(token)]
    return [_EDGE.sub(r"\1\2\3", token) for token in kept]


def _same_word(before: str, after: str) -> bool:
    if before == after:
        return True
    if not (before.isalpha() and after.isalpha()):
        return False
    old, new = before.casefold(), after.casefold()
    return old == new or (min(len(old), len(new)) >= SHORTEST_SLIP and old[0] == new[0] and _one_slip(old, new))


def _one_slip(before: str, after: str) -> bool:
    """Whether one letter added, left out, replaced, or two neighbours swapped, makes one word of the other."""
    from rapidfuzz.distance import OSA

    return OSA.distance(before, after, score_cutoff=1) <= 1


# Variables


def _variable_changes(
    before: PromptSpec, after: PromptSpec, used: tuple[frozenset[str], frozenset[str]]
) -> Iterator[Change]:
    old, new = variables_of(before, used[0]), variables_of(after, used[1])
    for name in dict.fromkeys((*old, *new)):
        was, now = old.get(name), new.get(name)
        if was is None and now is not None:
            required = _is_required(now)
            yield Change(
                "variables",
                "major" if required else "minor",
                f"variable {name} is new and {'required' if required else 'optional'}",
            )
        elif now is None:
            yield Change("variables", "minor", f"variable {name} is no longer used")
        elif was is not None:
            yield from _one_variable(name, was, now)


def _one_variable(name: str, was: VariableSpec | str, now: VariableSpec | str) -> Iterator[Change]:
    if isinstance(was, str) or isinstance(now, str):
        if isinstance(was, str) != isinstance(now, str):
            yield Change(
                "variables", "minor", f"variable {name} is {'declared' if was == _ANY else 'not declared'} now"
            )
        return
    if was.type != now.type:
        wider = (was.type, now.type) == ("integer", "number")
        yield Change("variables", "minor" if wider else "major", f"variable {name} is {now.type} instead of {was.type}")
    if _is_required(now) and not _is_required(was):
        yield Change("variables", "major", f"variable {name} becomes required")
    elif _is_required(was) and not _is_required(now):
        yield Change("variables", "minor", f"variable {name} becomes optional")
    elif was.default != now.default:
        yield Change("variables", "minor", f"variable {name} has another default")


_ANY = "any type"
"""What a variable is that a template uses and nobody declared."""


def variables_of(prompt: PromptSpec, used: frozenset[str]) -> Mapping[str, VariableSpec | str]:
    """The variables of a prompt by name: as declared, or whatever its templates use, of which no type is known."""
    return prompt.variables or dict.fromkeys(sorted(used - {"inputs"}), _ANY)


def _is_required(variable: VariableSpec | str) -> bool:
    return isinstance(variable, str) or (variable.required and variable.default is None)


def said_variable(variable: VariableSpec | str) -> str:
    """Type and what holds for it, e.g. "text, required"."""
    if isinstance(variable, str):
        return f"{variable}, required"
    if _is_required(variable):
        return f"{variable.type}, required"
    default = "" if variable.default is None else f", {canonical_json(variable.default)} unless given"
    return f"{variable.type}, optional{default}"


def _variables(prompt: PromptSpec, used: frozenset[str]) -> Mapping[str, str]:
    return {name: said_variable(variable) for name, variable in variables_of(prompt, used).items()}


# Examples, schema, parameters


def _example_changes(before: PromptSpec, after: PromptSpec) -> Iterator[Change]:
    old, new = ([canonical_json(example) for example in prompt.few_shot] for prompt in (before, after))
    if old == new:
        return
    if len(old) != len(new):
        yield Change("few_shot", "minor", f"{len(new)} examples instead of {len(old)}")
    else:
        yield Change("few_shot", "minor", "examples are others, or in another order")


def _schema_changes(before: PromptSpec, after: PromptSpec) -> Iterator[Change]:
    old, new = before.output_schema, after.output_schema
    if canonical_json(old) == canonical_json(new):
        return
    if old is None or new is None:
        yield Change("output_schema", "major", "the output schema is new" if old is None else "the output schema goes")
        return
    broken = list(schema_breaks(old, new))
    yield from (Change("output_schema", "major", f"output schema: {each}") for each in broken)
    if not broken:
        yield Change(
            "output_schema", "minor", "the output schema changes so that what read the old replies reads these"
        )


_ANNOTATIONS = frozenset(("title", "description", "$comment", "examples", "default", "$id", "$schema"))
_NARROWING = frozenset(("minLength", "minItems", "minimum", "exclusiveMinimum", "minProperties"))
_NARROWING_DOWN = frozenset(("maxLength", "maxItems", "maximum", "exclusiveMaximum", "maxProperties"))


def schema_breaks(before: Any, after: Any, place: str = "the reply") -> Iterator[str]:
    """Why something that read replies by one schema may not read those by another, one phrase each; nothing if it can.

    Whoever reads ignores properties that it does not know. What cannot be told apart simply counts as a break.

    >>> list(schema_breaks({"enum": ["a"]}, {"enum": ["a", "b"]}))
    ['the reply may be "b", which it never was']
    """
    if not (isinstance(before, Mapping) and isinstance(after, Mapping)):
        if before != after:
            yield f"{place} has other rules"
        return
    yield from _type_breaks(before, after, place)
    yield from _property_breaks(before, after, place)
    if "items" in before:
        yield from schema_breaks(before["items"], after.get("items", {}), f"an item of {place}")
    told = {"type", "enum", "const", "properties", "required", "items", "additionalProperties", *_ANNOTATIONS}
    for key in sorted(({*before, *after}) - told):
        was, now = before.get(key), after.get(key)
        if was == now or (was is None and key not in ("anyOf", "oneOf", "$ref")):
            continue
        narrower = (
            now is not None
            and isinstance(was, int | float)
            and isinstance(now, int | float)
            and ((key in _NARROWING and now >= was) or (key in _NARROWING_DOWN and now <= was))
        )
        if not narrower:
            yield f"{place} has another `{key}`"


def _type_breaks(before: Mapping[str, Any], after: Mapping[str, Any], place: str) -> Iterator[str]:
    old, new = (_as_list(each.get("type")) for each in (before, after))
    more = [] if old is None else ["anything"] if new is None else sorted(set(new) - set(old))
    if "number" in (old or ()):
        more = [each for each in more if each != "integer"]
    if more:
        yield f"{place} may be {' or '.join(more)}, and was {' or '.join(old or ())}"
    known, values = _values(before), _values(after)
    if known is None:
        return
    if values is None:
        yield f"{place} is no longer one of the listed values"
        return
    added = [value for value in values if value not in known]
    if added:
        yield f"{place} may be {', '.join(added)}, which it never was"


def _property_breaks(before: Mapping[str, Any], after: Mapping[str, Any], place: str) -> Iterator[str]:
    old, new = before.get("properties") or {}, after.get("properties") or {}
    for name, rule in old.items():
        if name not in new:
            yield f"`{name}` of {place} goes"
        else:
            yield from schema_breaks(rule, new[name], f"`{name}`" if place == "the reply" else f"`{name}` of {place}")
    for name in before.get("required") or ():
        if name in new and name not in (after.get("required") or ()):
            yield f"`{name}` of {place} may be missing"


def _as_list(kind: Any) -> list[str] | None:
    return None if kind is None else [kind] if isinstance(kind, str) else list(kind)


def _values(schema: Mapping[str, Any]) -> list[str] | None:
    listed = [schema["const"]] if "const" in schema else schema.get("enum")
    return None if not isinstance(listed, list) else [canonical_json(value) for value in listed]


def _parameter_changes(before: PromptSpec, after: PromptSpec) -> Iterator[Change]:
    for name, was, now in _differing(_said(before.parameters), _said(after.parameters)):
        yield Change("parameters", "minor", f"parameter {name}: {was} becomes {now}")


def _settings(prompt: PromptSpec) -> Mapping[str, str]:
    schema = {} if prompt.output_schema is None else {"output_schema": canonical_json(prompt.output_schema)}
    return {**_said(prompt.parameters), **schema}


def _said(values: Mapping[str, Any]) -> Mapping[str, str]:
    return {name: canonical_json(value) for name, value in values.items()}


def _differing(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[tuple[str, str, str], ...]:
    names: Iterable[str] = dict.fromkeys((*before, *after))
    told = ((name, before.get(name, _NOTHING), after.get(name, _NOTHING)) for name in names)
    return tuple(each for each in told if each[1] != each[2])
