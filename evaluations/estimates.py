"""Estimates: a number with its interval, its n and the method that made it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A number with its interval; `value`, `low` and `high` share a unit (shares are fractions in [0, 1])."""

    value: float
    low: float
    high: float
    n: int
    """Independent units behind the number: cases, never repeats of a case."""
    confidence: float = 0.95
    method: str = ""
    """The field's name for the method, e.g. "Wilson score interval"."""
