"""Heavy use: the persons with the most requests, from the heaviest of each day, with how far those can be off."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class HeavySubject:
    """One person, known by a pseudonym alone, over some days."""

    pseudonym: str
    """In hexadecimal, whole; pages show its beginning."""
    days: int
    """Days on which the person was among the heaviest."""
    requests: int
    """On these days: at least as many in all."""
    at_most: int
    """With what the person can have asked on the other days, as less than the heaviest. Often the same."""
    cost: Decimal | None
    """US dollars of those days; None when no cost is known."""
    unpriced: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HeavyUse:
    """The heaviest persons of a window."""

    first: date
    last: date
    heaviest: tuple[HeavySubject, ...]
    """Most requests first."""
    others_at_most: int
    """No other person asked more than that."""
    days_not_counted: int
    """Days that were rolled up before persons were counted: roll them up again."""

    @property
    def certain(self) -> bool:
        """Whether nobody else can belong to the list."""
        return not self.days_not_counted and all(each.requests >= self.others_at_most for each in self.heaviest)
