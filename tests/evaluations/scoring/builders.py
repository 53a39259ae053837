"""Builders that spell out only what matters to a test."""

from collections.abc import Mapping
from typing import Any, cast

from evaluations import scoring
from evaluations.answers import Answer
from evaluations.cases import Case
from evaluations.scoring.base import Score, Scored, Scorer


def a_case(expected: Any = None, **fields: Any) -> Case:
    return Case(**{"id": "case", "inputs": {}, "expected": expected, **fields})


def an_answer(text: str | None = "", **fields: Any) -> Answer:
    return Answer(**{"case_id": "case", "variant": "variant", "text": text, **fields})


def build(name: str, settings: Mapping[str, Any] | None = None, *, negate: bool = False) -> Scorer:
    """A scorer that judges by itself."""
    assert name in scoring.SCORERS
    return cast("Scorer", scoring.build(name, settings or {}, negate=negate))


def score(name: str, said: str | None, expected: Any = None, /, **settings: Any) -> Score:
    """What the scorer of this name, with these settings, says to an answer."""
    return build(name, settings).score(a_case(expected), an_answer(said))


def value(name: str, said: str, expected: Any = None, /, **settings: Any) -> float | None:
    """The value alone; None when the scorer could not tell."""
    told = score(name, said, expected, **settings)
    return told.value if isinstance(told, Scored) else None
