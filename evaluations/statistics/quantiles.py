"""Effects on quantiles, such as the median or the 95th percentile of latency, without assuming a shape.

Each arm's quantile has bounds that are values of the sample, from the binomial distribution alone; the difference
joins the bounds of both arms. Nothing is resampled, so a store can hand over the three values instead of all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evaluations.estimates import Estimate
from evaluations.statistics.differences import check_confidence
from evaluations.statistics.outcomes import Determined, Outcome, Undetermined, unfit
from evaluations.statistics.proportions import normal_quantile

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

JOINED = "order-statistic bounds, joined"
LEAST_BEYOND = 10
"""Units of an arm that have to lie on the thinner side of its quantile: 20 for a median, 200 for a p95."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantileBounds:
    """A quantile of one arm between two of its values."""

    q: float
    value: float
    low: float
    high: float
    n: int
    confidence: float


def quantile_ranks(n: int, q: float, confidence: float = 0.95) -> tuple[int, int] | None:
    """Places, from 1, of the two sorted values between which the q-quantile lies with at least `confidence`.

    None where n is too small for bounds on both sides. Raises ValueError for q or a confidence outside (0, 1).
    Source: Thompson (1936), "On Confidence Ranges for the Median", Annals of Mathematical Statistics 7; Hahn and
    Meeker (1991), "Statistical Intervals", section 5.2.

    >>> quantile_ranks(100, 0.5), quantile_ranks(100, 0.95), quantile_ranks(20, 0.95)
    ((40, 61), (90, 100), None)
    """
    import numpy as np
    from scipy.special import bdtr

    check_confidence(confidence)
    if not 0 < q < 1:
        raise ValueError(f"a quantile lies between 0 and 1; got {q}")
    tail = (1 - confidence) / 2
    below = bdtr(np.arange(n, dtype=np.float64), n, q) if n else np.empty(0)  # P(at most k values lie below), k < n
    low = int((below <= tail).sum())
    high = int((below < 1 - tail).sum()) + 1
    return (low, high) if low >= 1 and high <= n else None


def quantile_bounds(
    values: "Sequence[float] | Floats", q: float, *, confidence: float = 0.95
) -> QuantileBounds | Undetermined:
    """The q-quantile of one sample, shape (n,), with its bounds, in the unit of the values."""
    import numpy as np

    sample = np.sort(np.asarray(values, dtype=np.float64))
    if trouble := unfit(sample):
        return trouble
    ranks = quantile_ranks(sample.size, q, confidence)
    if ranks is None:
        why = f"{sample.size} values are too few for bounds of the {q:.0%} quantile"
        return Undetermined(reason="too few", why=why, n=sample.size)
    low, high = float(sample[ranks[0] - 1]), float(sample[ranks[1] - 1])
    return QuantileBounds(
        q=q, value=float(np.quantile(sample, q)), low=low, high=high, n=sample.size, confidence=confidence
    )


def quantile_effect(
    treatment: "Sequence[float] | Floats", control: "Sequence[float] | Floats", q: float, *, confidence: float = 0.95
) -> Outcome:
    """The q-quantile of the treatment minus that of the control, in the unit of the values; shapes (n,) and (m,).

    Domain: at least ten units of each arm beyond the quantile (200 for a p95); any continuous distribution.
    Source: as `quantile_ranks`, joined after Zou and Donner (2008), Statistics in Medicine 27.

    >>> found = quantile_effect(list(range(110, 210)), list(range(100, 200)), 0.5)
    >>> print(f"{found.effect.value:.1f} [{found.effect.low:.1f}, {found.effect.high:.1f}] p={found.p:.2f}")
    10.0 [-4.8, 24.8] p=0.19
    """
    arms = [quantile_bounds(sample, q, confidence=confidence) for sample in (treatment, control)]
    for arm in arms:
        if isinstance(arm, Undetermined):
            return arm
    treated, controlled = (arm for arm in arms if isinstance(arm, QuantileBounds))
    return difference_of_quantiles(treated, controlled)


def difference_of_quantiles(treatment: QuantileBounds, control: QuantileBounds) -> Outcome:
    """The difference of two quantiles from their bounds, which a store can find by their ranks.

    p is read off the side of the interval that faces zero, as if its half width were so many standard errors.
    Raises ValueError for bounds of different quantiles or levels.
    """
    if (treatment.q, treatment.confidence) != (control.q, control.confidence):
        raise ValueError("both arms need bounds of the same quantile at the same confidence")
    value = treatment.value - control.value
    below = ((treatment.value - treatment.low) ** 2 + (control.high - control.value) ** 2) ** 0.5
    above = ((treatment.high - treatment.value) ** 2 + (control.value - control.low) ** 2) ** 0.5
    n = treatment.n + control.n
    half = below if value > 0 else above
    if half == 0:
        return Undetermined(reason="no spread", why="the values around the quantile are all equal", n=n)
    statistic = value / half * normal_quantile(treatment.confidence)
    beyond = int(min(treatment.n, control.n) * min(treatment.q, 1 - treatment.q) + 1e-9)
    short = f"only {beyond} units lie beyond the quantile in an arm; measured for {LEAST_BEYOND} or more"
    from scipy.special import ndtr

    return Determined(
        method=f"difference of {treatment.q:.0%} quantiles",
        p=float(2 * ndtr(-abs(statistic))),
        statistic=statistic,
        effect=Estimate(
            value=value, low=value - below, high=value + above, n=n, confidence=treatment.confidence, method=JOINED
        ),
        doubts=() if beyond >= LEAST_BEYOND else (short,),
    )
