"""Outcomes of tests: what was found and how far to trust it, or why the data cannot say.

Data that cannot be tested are normal (an empty variant, one case, an infinite latency) and come back as
`Undetermined`: no exception, no made-up p. Programming errors (shapes that differ, a confidence of 95) are a
ValueError.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from evaluations.estimates import Estimate

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Alternative = Literal["two-sided", "less", "greater"]
"""What the test is against no effect: `greater` means that the first sample, or the effect, is larger."""
ALTERNATIVES: tuple[Alternative, ...] = ("two-sided", "less", "greater")

Reason = Literal[
    "empty",  # nothing was observed on at least one side
    "too few",  # fewer observations, clusters or raters than the method can work with at all
    "not finite",  # an infinite value or a NaN
    "no spread",  # all values (or all differences) are equal: nothing is known of the noise
    "out of range",  # a value that cannot be: a negative latency, more successes than trials
    "no baseline",  # a relative effect, or a ratio, over a denominator that may be zero
    "no variation",  # agreement where all raters used a single category
]
"""Why there is no answer, as a word to count by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hedged:
    """A result that says how far it can be trusted.

    `reliable` is false where the data lie outside the domain for which the method's error rates were measured
    (docs/statistics.md); `reason` then says what is wrong. The numbers are given all the same: the
    reader decides, but a verdict may not rest on them.
    """

    doubts: tuple[str, ...] = ()
    """Each says in words in what the data leave the domain of the method."""

    @property
    def reliable(self) -> bool:
        return not self.doubts

    @property
    def reason(self) -> str:
        """Why the result is not reliable; empty when it is."""
        return "; ".join(self.doubts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Determined(Hedged):
    """What a test found."""

    method: str
    """The field's name for the test, e.g. "McNemar exact test"."""
    p: float | None
    """In [0, 1]; None where the method gives an interval alone."""
    statistic: float | None = None
    """On the scale of the method; None where it has none (exact tests)."""
    df: float | None = None
    """Degrees of freedom; None where the reference distribution has none."""
    effect: Estimate | None = None
    """The difference, in the unit of the data unless `notes` say otherwise, with its interval. The interval and `p`
    need not come from the same method: `effect.method` names its own."""
    alternative: Alternative = "two-sided"
    notes: tuple[str, ...] = ()
    """What a reader has to know and what is no flaw: ties, pairs left out, corrections applied."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Undetermined:
    """The data cannot answer. Shown with its reason, never as p = 1 or as no effect."""

    reason: Reason
    why: str
    """What was given and what would do, for people."""
    n: int = 0
    """Independent units that were there."""


Outcome = Determined | Undetermined


def unfit(values: "NDArray[np.float64]", *, least: int = 2, what: str = "values") -> Undetermined | None:
    """Why a sample, shape (n,), cannot be tested at all: it is empty, too small or not finite; None when it can.

    `what` names the observations in the sentence: "cases", "control", "differences".

    >>> import numpy as np
    >>> unfit(np.array([1.0]), what="cases")
    Undetermined(reason='too few', why='1 cases, and the method needs 2 or more', n=1)
    >>> unfit(np.array([1.0, 2.0])) is None
    True
    """
    import numpy as np

    n = int(values.size)
    if n == 0:
        return Undetermined(reason="empty", why=f"no {what}")
    broken = n - int(np.isfinite(values).sum())
    if broken:
        return Undetermined(reason="not finite", why=f"{broken} of {n} {what} are infinite or NaN", n=n)
    if n < least:
        return Undetermined(reason="too few", why=f"{n} {what}, and the method needs {least} or more", n=n)
    return None


def checked(confidence: float) -> float:
    """The confidence level, if it is one. Raises ValueError for 95, 1 or 0."""
    if not 0 < confidence < 1:
        raise ValueError(f"a confidence level lies between 0 and 1; got {confidence}")
    return confidence
