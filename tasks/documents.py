"""Documents: YAML files that people write, read with suspicion and answered with file, line and column.

The YAML is that of version 1.2's core schema, which is JSON's: `no`, `on` and `10:30` are text here (in
version 1.1, which most Python programs speak, they are false, true and 630), and so is a date. Tags are
refused, a key that stands twice is an error, and no document grows beyond its limits by its aliases.
"""

import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from inspect import isclass
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from evaluations.errors import AssayError
from evaluations.specs import SECRET_KEY, SECRET_VALUE

MAX_BYTES = 1_000_000
MAX_NODES = 50_000
"""Values in a document, aliases followed: nine lines of nested aliases would otherwise be a billion."""
MAX_DEPTH = 64
MAX_PROBLEMS = 20
"""Errors listed at once."""

Location = tuple[str | int, ...]
Mark = tuple[int, int]
"""Line and column, both counted from 1."""
M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """What a file says, and where it says it."""

    path: Path
    value: Any
    """JSON values only."""
    marks: Mapping[Location, Mark]
    """Where each key or list item begins. What came by an alias is found at the alias."""

    def place(self, location: Location) -> str:
        """`file:line:column` of a location, or of the nearest thing around it that was written."""
        for length in range(len(location), -1, -1):
            if mark := self.marks.get(location[:length]):
                return f"{shown(self.path)}:{mark[0]}:{mark[1]}"
        return f"{shown(self.path)}:1:1"


def shown(path: Path) -> str:
    """A path as a person would type it here: relative when it is below the working directory."""
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def read_text(path: Path, kind: str) -> str:
    """The text of a small UTF-8 file. Raises AssayError for anything else; `kind` names it in the message."""
    try:
        status = path.stat()
    except FileNotFoundError:
        raise AssayError(f"there is no {kind} {shown(path)}{_sibling(path)}") from None
    except (OSError, ValueError) as problem:
        raise AssayError(f"the {kind} {shown(path)} cannot be read: {problem}") from None
    if stat.S_ISDIR(status.st_mode):
        raise AssayError(f"the {kind} {shown(path)} is a folder, not a file")
    if not stat.S_ISREG(status.st_mode):
        raise AssayError(f"the {kind} {shown(path)} is not a regular file")
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as problem:
        raise AssayError(f"the {kind} {shown(path)} cannot be read: {problem.strerror}") from None
    if len(data) > MAX_BYTES:
        raise AssayError(f"the {kind} {shown(path)} is larger than {MAX_BYTES // 1_000_000} MB")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise AssayError(f"the {kind} {shown(path)} is UTF-16; save it as UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        line = data.count(b"\n", 0, problem.start) + 1
        column = problem.start - data.rfind(b"\n", 0, problem.start)
        raise AssayError(
            f"{shown(path)}:{line}:{column}: byte 0x{data[problem.start]:02x} is not UTF-8; save the file as UTF-8"
        ) from None


def _sibling(path: Path) -> str:
    """`; did you mean ...?` when a file of nearly that name lies in the same folder."""
    try:
        names = [entry.name for entry in path.parent.iterdir()]
    except OSError:
        return "; its folder does not exist either"
    near = get_close_matches(path.name, names, n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else ""


def read_document(path: Path, kind: str) -> Document:
    """The YAML (or JSON) document in a file. Raises AssayError with file, line and column."""
    text = read_text(path, kind)
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the same events, about ten times as fast
    builder = _Builder(path)
    try:
        for event in yaml.parse(text, Loader=loader):
            builder.take(event)
    except yaml.MarkedYAMLError as problem:
        raise AssayError(_syntax(path, text, problem)) from None
    except yaml.YAMLError as problem:
        raise AssayError(f"{shown(path)}: not YAML: {_one_line(problem)}") from None
    if not builder.documents or builder.value is None:
        raise AssayError(f"the {kind} {shown(path)} is empty")
    return Document(path=path, value=builder.value, marks=builder.marks)


def _syntax(path: Path, text: str, problem: yaml.MarkedYAMLError) -> str:
    mark = problem.problem_mark or problem.context_mark
    if mark is None:
        return f"{shown(path)}: not YAML: {_one_line(problem)}"
    lines = text.splitlines()
    line = lines[mark.line] if mark.line < len(lines) else ""
    before = line[: len(line) - len(line.lstrip())] + line[mark.column : mark.column + 1]
    place = f"{shown(path)}:{mark.line + 1}:{mark.column + 1}"
    if "\t" in before:
        return f"{place}: a tab; YAML is indented with spaces"
    context = f"{problem.context}: " if problem.context else ""
    return f"{place}: not YAML: {context}{problem.problem}"


def _one_line(problem: Exception) -> str:
    return " ".join(str(problem).split())


# From parser events to values. PyYAML's own composer follows nesting by recursion and resolves YAML 1.1.


@dataclass(slots=True)
class _Open:
    """A list or mapping that is still being read."""

    value: list[Any] | dict[str, Any]
    location: Location
    anchor: str | None
    nodes: int = 1
    key: str | None = None
    merged: list[dict[str, Any]] = field(default_factory=list)


NULLS = frozenset(("", "~", "null", "Null", "NULL"))
BOOLEANS = {word: word.lower() == "true" for word in ("true", "True", "TRUE", "false", "False", "FALSE")}
INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,99})")
NUMBER = re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]{1,3})?")
NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
TAGS = {f"tag:yaml.org,2002:{name}": name for name in ("str", "int", "float", "bool", "null", "map", "seq")}
MERGE = "<<"


def _mark_of(event: yaml.Event) -> Mark:
    mark = event.start_mark
    return (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)


class _Builder:
    """Takes parser events and holds the value they make."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.value: Any = None
        self.marks: dict[Location, Mark] = {}
        self.documents = 0
        self._open: list[_Open] = []
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._nodes = 0

    def take(self, event: yaml.Event) -> None:
        match event:
            case yaml.DocumentStartEvent():
                self.documents += 1
                if self.documents > 1:
                    raise self._wrong(event, "a second document begins; one file holds one")
            case yaml.AliasEvent():
                self._alias(event)
            case yaml.ScalarEvent():
                self._scalar(event)
            case yaml.SequenceStartEvent() | yaml.MappingStartEvent():
                self._start(event)
            case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                self._end(event)
            case _:
                pass

    def _wrong(self, event: yaml.Event, message: str) -> AssayError:
        line, column = _mark_of(event)
        return AssayError(f"{shown(self.path)}:{line}:{column}: {message}")

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        if UNSTORABLE.search(event.value):
            raise self._wrong(event, "the text holds a NUL or half a surrogate pair, which cannot be stored")
        top = self._open[-1] if self._open else None
        if top is not None and isinstance(top.value, dict) and top.key is None:
            self._key(event, top, top.value)
            return
        value = self._resolved(event)
        self._count(event, 1)
        self._place(event, value)
        if event.anchor:
            self._anchors[event.anchor] = (value, 1)

    def _key(self, event: yaml.ScalarEvent, top: _Open, mapping: dict[str, Any]) -> None:
        if event.value in mapping and event.value != MERGE:
            first = self.marks[(*top.location, event.value)]
            raise self._wrong(
                event, f"the key {event.value!r} stands here for the second time; first in line {first[0]}"
            )
        top.key = event.value
        self._mark((*top.location, event.value), event)
        if event.anchor:
            self._anchors[event.anchor] = (event.value, 1)

    def _start(self, event: yaml.SequenceStartEvent | yaml.MappingStartEvent) -> None:
        if event.tag is not None and event.tag != "!" and TAGS.get(event.tag) not in ("map", "seq"):
            raise self._wrong(event, f"the tag {event.tag!r} is not allowed")
        if len(self._open) >= MAX_DEPTH:
            raise self._wrong(event, f"nested more than {MAX_DEPTH} levels deep")
        self._refuse_as_key(event)
        self._count(event, 1)
        value: list[Any] | dict[str, Any] = [] if isinstance(event, yaml.SequenceStartEvent) else {}
        location = self._place(event, value, closed=False)
        self._open.append(_Open(value=value, location=location, anchor=event.anchor))

    def _end(self, event: yaml.Event) -> None:
        done = self._open.pop()
        if isinstance(done.value, dict):
            for merged in done.merged:
                for key, item in merged.items():
                    done.value.setdefault(key, item)
        if done.anchor:
            self._anchors[done.anchor] = (done.value, done.nodes)
        if self._open:
            top = self._open[-1]
            top.nodes += done.nodes
            if top.key == MERGE and isinstance(top.value, dict):
                self._merge(event, top, done.value)
            top.key = None

    def _alias(self, event: yaml.AliasEvent) -> None:
        self._refuse_as_key(event)
        if event.anchor not in self._anchors:
            inside = any(each.anchor == event.anchor for each in self._open)
            what = "refers to something that it is a part of" if inside else "has no anchor before it"
            raise self._wrong(event, f"the alias *{event.anchor} {what}")
        value, nodes = self._anchors[event.anchor]
        self._count(event, nodes)
        if self._open:
            self._open[-1].nodes += nodes - 1
        self._place(event, value)

    def _refuse_as_key(self, event: yaml.Event) -> None:
        top = self._open[-1] if self._open else None
        if top is not None and isinstance(top.value, dict) and top.key is None:
            raise self._wrong(event, "a key is a plain word, not a list, a mapping or an alias")

    def _count(self, event: yaml.Event, nodes: int) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            raise self._wrong(event, f"more than {MAX_NODES:,} values, aliases followed; this file is refused")

    def _place(self, event: yaml.Event, value: Any, *, closed: bool = True) -> Location:
        """Puts a value where it belongs and notes where it was written."""
        if not self._open:
            self.value = value
            self._mark((), event)
            return ()
        top = self._open[-1]
        if isinstance(top.value, list):
            location = (*top.location, len(top.value))
            top.value.append(value)
            self._mark(location, event)
        else:
            assert top.key is not None
            location = (*top.location, top.key)
            if top.key != MERGE:
                top.value[top.key] = value
            elif closed:
                self._merge(event, top, value)
        if closed:
            top.nodes += 1
            top.key = None
        return location

    def _mark(self, location: Location, event: yaml.Event) -> None:
        self.marks[location] = _mark_of(event)

    def _merge(self, event: yaml.Event, top: _Open, value: Any) -> None:
        parts = value if isinstance(value, list) else [value]
        if not all(isinstance(part, dict) for part in parts):
            raise self._wrong(event, f"`{MERGE}` merges mappings")
        top.merged.extend(parts)

    def _resolved(self, event: yaml.ScalarEvent) -> Any:
        """The value of a scalar. Quoted text is text."""
        kind = TAGS.get(event.tag) if event.tag not in (None, "!") else None
        if event.tag not in (None, "!") and kind in (None, "map", "seq"):
            raise self._wrong(event, f"the tag {event.tag!r} is not allowed")
        text = event.value
        if kind == "str" or (kind is None and not event.implicit[0]):
            return text
        if text in NULLS:
            return None
        if text in BOOLEANS:
            return BOOLEANS[text]
        if INTEGER.fullmatch(text):
            return int(text)
        if NUMBER.fullmatch(text) and abs(float(text)) != float("inf"):
            return float(text)
        if NOT_FINITE.fullmatch(text):
            raise self._wrong(event, f"{text} is not a number that can be compared or stored")
        if kind is not None:
            raise self._wrong(event, f"{text!r} is not of type {kind}")
        return text


# From values to specs


def parse_document(document: Document, model: type[M], kind: str) -> M:
    """The document as a spec. Raises AssayError that lists every problem with its file, line and column."""
    if not isinstance(document.value, dict):
        raise AssayError(f"{document.place(())}: a {kind} is a mapping of keys to values")
    try:
        return model.model_validate(document.value)
    except ValidationError as problem:
        lines = list(dict.fromkeys(_sentences(problem, document, model)))
    more = [f"and {len(lines) - MAX_PROBLEMS} more"] if len(lines) > MAX_PROBLEMS else []
    raise AssayError("\n".join(lines[:MAX_PROBLEMS] + more))


def _sentences(problem: ValidationError, document: Document, model: type[BaseModel]) -> Iterator[str]:
    for error in problem.errors(include_url=False):
        location = error["loc"]
        yield f"{document.place(location)}: {sentence(dict(error), model)}"


def sentence(error: Mapping[str, Any], model: type[BaseModel]) -> str:
    """One pydantic error in words that say what would do; never repeats what could be a secret."""
    location: Location = error["loc"]
    name = ".".join(str(part) for part in location)
    last = str(location[-1]) if location else ""
    context = error.get("ctx") or {}
    match error["type"]:
        case "extra_forbidden":
            known = sorted(_model_at(model, location[:-1]).model_fields)
            near = get_close_matches(last, known, n=1, cutoff=0.5)
            return f"unknown key {last!r}; " + (f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}")
        case "missing":
            return f"`{name}` is missing"
        case "value_error":
            return str(context.get("error", error["msg"]))
        case "literal_error":
            return f"`{name}` is {_repeated(error)}" + _one_of(error.get("input"), str(context.get("expected", "")))
        case "string_pattern_mismatch" if last == "version":
            return f'`{name}` is a semantic version in quotes, like "1.2.0"'
        case "string_pattern_mismatch" if last == "[key]":
            return f"`{location[-2]}` is not a name: letters, digits and underscores, no digit first"
        case "string_type" if last == "version":
            return f'`{name}` has to be text: put it in quotes, like "1.2.0"'
        case "less_than_equal" if context.get("le") == 1:
            return f"`{name}` is a share between 0 and 1, not {_repeated(error)}; write 0.9 for 90 %"
        case "model_type" | "model_attributes_type":
            return f"`{name}` is a mapping of keys to values, not {_repeated(error)}"
        case _:
            message = str(error["msg"])
            words = message[:1].lower() + message[1:].replace("input should", "should")
            return f"`{name}`: {words}, not {_repeated(error)}"


def _one_of(given: Any, expected: str) -> str:
    choices = re.findall(r"'([^']*)'", expected)
    near = get_close_matches(given, choices, n=1) if isinstance(given, str) else []
    guess = f"; did you mean {near[0]!r}?" if near else ""
    return f", which is none of {', '.join(choices)}{guess}"


def _repeated(error: Mapping[str, Any]) -> str:
    """The input, when it is short and cannot be a secret."""
    given = error.get("input")
    text = repr(given)
    if any(SECRET_KEY.search(str(part)) for part in error["loc"]) or SECRET_VALUE.search(text):
        return "what was given"
    if isinstance(given, dict | list):
        return "a mapping" if isinstance(given, dict) else "a list"
    return text if len(text) <= 60 else f"{text[:57]}..."


def _model_at(model: type[BaseModel], location: Location) -> type[BaseModel]:
    """The spec class that a location lies in."""
    for part in location:
        if isinstance(part, str) and part in model.model_fields:
            model = _model_in(model.model_fields[part].annotation) or model
    return model


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isclass(annotation) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for arg in get_args(annotation) if (found := _model_in(arg))), None)
