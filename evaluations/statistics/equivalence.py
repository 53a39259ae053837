"""Equivalence and non-inferiority within a margin, from any method that gives an interval for any confidence.

"Not significant" is not "no difference". Two variants are equivalent when the data rule out every difference beyond
the margin: when the 1 - 2 alpha interval lies inside it. Which interval does not matter, so these take a function from
a confidence level to an Estimate, and find p as the smallest alpha at which the claim holds.
"""

from collections.abc import Callable
from math import isfinite
from typing import Literal

from evaluations.estimates import Estimate
from evaluations.statistics.outcomes import Determined, Outcome, Undetermined

Interval = Callable[[float], Estimate | Undetermined]
"""From a two-sided confidence level to the estimate with its interval; the intervals widen with the level."""

SMALLEST_P = 1e-12
"""p is searched from here on; smaller ones are given as this."""


def equivalence(interval: Interval, margin: float, *, alpha: float = 0.05) -> Outcome:
    """Is the effect within ± `margin`? Two one-sided tests at `alpha` each; p below alpha says yes.

    `margin` has the unit of the effect and was declared beforehand. The effect comes with its 1 - 2 alpha interval,
    the one the claim rests on. Raises ValueError unless margin > 0 and 0 < alpha < 0.5.
    Source: Schuirmann (1987), "A Comparison of the Two One-Sided Tests Procedure and the Power Approach", J.
    Pharmacokinetics and Biopharmaceutics 15(6); by inclusion of the interval: Westlake (1981), Biometrics 37(3).

    >>> from evaluations.statistics.means import mean_interval
    >>> gains = [0.01, -0.02, 0.0, 0.02, -0.01, 0.01, 0.0, -0.01] * 5
    >>> found = equivalence(lambda level: mean_interval(gains, level), margin=0.01)
    >>> print(f"p={found.p:.2g} [{found.effect.low:.4f}, {found.effect.high:.4f}]")
    p=4.6e-06 [-0.0033, 0.0033]
    """
    _check(margin, alpha)
    name = f"equivalence within ± {margin:g} (TOST)"
    return _claim(interval, alpha, name, lambda effect: -margin < effect.low and effect.high < margin)


def non_inferiority(
    interval: Interval, margin: float, *, better: Literal["higher", "lower"] = "higher", alpha: float = 0.05
) -> Outcome:
    """Is the treatment at most `margin` worse than the control? A one-sided test at `alpha`; p below alpha says yes.

    `better` says in which direction the metric improves: with "lower" (latency, cost) the effect must lie below
    + margin. Raises ValueError unless margin > 0 and 0 < alpha < 0.5.
    Source: CONSORT extension for non-inferiority trials: Piaggio et al. (2012), JAMA 308(24).

    >>> from evaluations.statistics.means import mean_interval
    >>> found = non_inferiority(lambda level: mean_interval([-0.01, 0.02, 0.01, 0.0] * 5, level), margin=0.02)
    >>> print(f"p={found.p:.2g}")
    p=4e-09
    """
    _check(margin, alpha)
    if better == "higher":
        return _claim(interval, alpha, f"non-inferiority by {margin:g}", lambda effect: effect.low > -margin)
    return _claim(interval, alpha, f"non-inferiority by {margin:g}", lambda effect: effect.high < margin)


def _claim(interval: Interval, alpha: float, name: str, holds: Callable[[Estimate], bool]) -> Outcome:
    effect = interval(1 - 2 * alpha)
    if isinstance(effect, Undetermined):
        return effect
    if not (isfinite(effect.low) and isfinite(effect.high)):
        return Undetermined(reason="not finite", why="the interval has no end on one side", n=effect.n)

    def holds_at(level: float) -> bool:
        found = interval(1 - 2 * level)
        return isinstance(found, Estimate) and holds(found)

    return Determined(method=f"{name}, from the {effect.method or 'interval'}", p=_smallest(holds_at), effect=effect)


def _smallest(holds_at: Callable[[float], bool]) -> float:
    """The smallest alpha at which the claim holds, to 10 digits. Above 1/2 there is no interval left to shrink."""
    # Near 1/2 the interval is the estimate itself: a claim that fails there contradicts the estimate.
    low, high = SMALLEST_P, 0.5 - 1e-9
    if holds_at(low):
        return low
    if not holds_at(high):
        return 1.0
    while high / low > 1 + 1e-11:
        middle = (low * high) ** 0.5
        low, high = (low, middle) if holds_at(middle) else (middle, high)
    return high


def _check(margin: float, alpha: float) -> None:
    if not margin > 0:
        raise ValueError(f"a margin is positive, in the unit of the effect; got {margin}")
    if not 0 < alpha < 0.5:
        raise ValueError(f"alpha lies between 0 and 0.5; got {alpha}")
