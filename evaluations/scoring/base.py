"""What a score is, and what a scorer has to be."""

from dataclasses import dataclass
from typing import Protocol

from evaluations.answers import Answer
from evaluations.cases import Case


@dataclass(frozen=True, slots=True)
class Scored:
    """A judgement; `why` says in one line what was wrong when it is not full marks."""

    value: float
    """In [0, 1]; higher is better."""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Unscored:
    """The scorer could not tell. Counted and shown, never averaged in as a zero."""

    why: str


Score = Scored | Unscored


class Scorer(Protocol):
    """A frozen dataclass whose fields are its settings, so that it is also its own record of how it scored.

    `score` is pure and quick, gets answers that have a text, and never raises on any Unicode: what it cannot
    read is Unscored, or Scored(0.0) where an unreadable answer is simply wrong.
    """

    @property
    def version(self) -> str:
        """Raised whenever the same settings could give another score to the same answer."""
        ...

    @property
    def default_threshold(self) -> float:
        """A value at or above it passes, unless the suite says otherwise: 1.0 for yes-or-no scorers."""
        ...

    def score(self, case: Case, answer: Answer) -> Score: ...
