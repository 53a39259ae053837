"""Rows of published files: where each stands, what it has to hold, and what is made of it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

Row: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a row stands."""

    file: str
    """Path below the benchmark's folder, with `/`."""
    line: int
    """Counted from 1."""

    @property
    def stem(self) -> str:
        """The file's name without its endings: `word_sorting` of bbh/word_sorting.jsonl.gz."""
        return self.file.rsplit("/", 1)[-1].split(".", 1)[0]

    @property
    def folder(self) -> str:
        """The name of the folder that the file lies in; "" at the top."""
        return self.file.rsplit("/", 2)[-2] if "/" in self.file else ""

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}"


Placed: TypeAlias = tuple[Place, Row]


class BadRow(ValueError):
    """A row that the format cannot read; the message begins with its place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A case as a benchmark's question file gives it."""

    id: str
    inputs: Mapping[str, Any]
    expected: Any = None
    assertions: tuple[Mapping[str, Any], ...] = ()
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """An answer as somebody published it; `usage`, `latency_ms` and the like are kept where the row has them."""

    id: str
    text: str | None
    """None for a call that is recorded to have failed; `extra` then says how."""
    repeat: int = 0
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One answer of one model with its scores: what a format's own figures are made of."""

    question: str
    """The id of the case."""
    expected: Any
    tags: tuple[str, ...]
    metadata: Mapping[str, Any]
    repeat: int
    text: str | None
    scores: Mapping[str, float | None]
    """By the scorer's label; None where it could not tell."""


KEPT = ("usage", "latency_ms", "first_token_ms", "cost_usd", "finish_reason", "error", "error_message", "model")
"""Fields of a recorded row that are known under the same name to whatever replays it."""


def value(row: Row, place: Place, *names: str) -> Any:
    """What stands under the first of these names. Raises BadRow when none of them holds anything."""
    for name in names:
        if row.get(name) is not None:
            return row[name]
    have = ", ".join(sorted(map(str, row))[:12]) or "nothing"
    raise BadRow(f"{place}: no {' or '.join(map(repr, names))}; the row has {have}")


def text(row: Row, place: Place, *names: str) -> str:
    """The text under the first of these names; numbers are taken as they are written. Raises BadRow."""
    found = value(row, place, *names)
    if isinstance(found, str):
        return found
    if isinstance(found, int | float) and not isinstance(found, bool):
        return str(found)
    raise BadRow(f"{place}: {names[0]!r} is not a text but {_kind(found)}")


def texts(row: Row, place: Place, *names: str) -> list[str]:
    """The list of texts under the first of these names. Raises BadRow."""
    found = value(row, place, *names)
    if isinstance(found, list) and found and all(isinstance(each, str) for each in found):
        return list(found)
    raise BadRow(f"{place}: {names[0]!r} is not a list of texts but {_kind(found)}")


def number_or_line(row: Row, place: Place, *names: str) -> str:
    """The row's own id, or the number of its line where the format gives rows none."""
    for name in names:
        if row.get(name) is not None:
            return text(row, place, name)
    return str(place.line)


def recorded(row: Row, place: Place, id: str, *names: str, repeat: int | None = None) -> Recorded:
    """The recorded answer of a row: its text under one of these names, or its error. Raises BadRow."""
    extra = {name: row[name] for name in KEPT if row.get(name) is not None}
    said = None if "error" in extra and all(row.get(name) is None for name in names) else text(row, place, *names)
    return Recorded(id=id, text=said, repeat=_repeat(row, place) if repeat is None else repeat, extra=extra)


def _repeat(row: Row, place: Place) -> int:
    found = row.get("repeat", 0)
    if isinstance(found, bool) or not isinstance(found, int) or found < 0:
        raise BadRow(f"{place}: 'repeat' has to be 0, 1, 2, ...; got {found!r}")
    return found


def distinct(questions: Iterable[tuple[Place, Question]]) -> Iterator[Question]:
    """Every question once: files of several models repeat the questions that they answer.

    Raises BadRow for two different questions of one id.
    """
    seen: dict[str, Question] = {}
    for place, question in questions:
        known = seen.setdefault(question.id, question)
        if known is question:
            yield question
        elif known != question:
            raise BadRow(f"{place}: another question was called {question.id!r} before")


def _kind(found: Any) -> str:
    match found:
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case list():
            return "a list of other things" if found else "an empty list"
        case Mapping():
            return "an object"
        case _:
            return "a text"
