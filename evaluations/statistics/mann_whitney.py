"""Ranks of two independent samples: does one tend to be larger, whatever the scale?"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from evaluations.estimates import Estimate
from evaluations.statistics.differences import check_confidence
from evaluations.statistics.outcomes import Alternative, Determined, Outcome, unfit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

MANN_WHITNEY = "Mann-Whitney U test"
SUPERIORITY = "Brunner-Munzel interval, on the logit scale"
LEAST_PER_ARM = 10


def mann_whitney(
    treatment: "Sequence[float] | Floats",
    control: "Sequence[float] | Floats",
    *,
    confidence: float = 0.95,
    alternative: Alternative = "two-sided",
) -> Outcome:
    """Does a value of the treatment tend to exceed one of the control? Shapes (n,) and (m,).

    The effect is P(treatment > control) + P(equal)/2 minus a half: 0 where neither tends to be larger, 0.5 where the
    treatment always is. It is not a difference of means or medians. p is exact for up to eight units in the smaller
    arm without ties, else normal with the correction for ties and continuity. The test supposes equal distributions
    under the null hypothesis; arms whose spreads differ need `effect` rather than p.
    Source: Mann and Whitney (1947), Annals of Mathematical Statistics 18; Brunner and Munzel (2000), Biometrical
    Journal 42, for the interval.

    >>> found = mann_whitney([5, 7, 8, 9, 6, 9.5, 4.4, 7.7, 8.1, 9.9], [1, 6.5, 2, 3, 4, 2.5, 3.5, 5.5, 4.5, 1.5])
    >>> print(f"U={found.statistic:.0f} p={found.p:.4f} {found.effect.value:+.2f}")
    U=94 p=0.0010 +0.44
    """
    import numpy as np
    from scipy.special import ndtri
    from scipy.stats import mannwhitneyu, rankdata

    check_confidence(confidence)
    treated, controlled = (np.asarray(each, dtype=np.float64).ravel() for each in (treatment, control))
    for sample, what in ((treated, "values of the treatment"), (controlled, "values of the control")):
        if trouble := unfit(sample, what=what):
            return trouble
    n, m = treated.size, controlled.size
    tested = mannwhitneyu(treated, controlled, alternative=alternative)
    together = rankdata(np.concatenate([treated, controlled]))
    ties = np.unique(together).size < n + m
    superiority = float(tested.statistic) / (n * m)
    # Placements: of each value, the share of the other arm that lies below it. Their spread is that of the effect.
    placed = (together[:n] - rankdata(treated)) / m, (together[n:] - rankdata(controlled)) / n
    error = float((placed[0].var(ddof=1) / n + placed[1].var(ddof=1) / m) ** 0.5)
    half = float(ndtri((1 + confidence) / 2)) * error
    low, high = superiority - half, superiority + half
    if 0 < superiority < 1 and error > 0:
        odds = np.log(superiority / (1 - superiority))
        bend = half / (superiority * (1 - superiority))
        low, high = (float(1 / (1 + np.exp(-(odds + side * bend)))) for side in (-1, 1))
    doubts = []
    if min(n, m) < LEAST_PER_ARM:
        doubts.append(f"only {min(n, m)} units in an arm; the interval is measured for {LEAST_PER_ARM} or more")
    if error == 0:
        doubts.append("the arms do not overlap: the interval has no width, and nothing is known of the noise")
    return Determined(
        method=MANN_WHITNEY,
        p=float(tested.pvalue),
        statistic=float(tested.statistic),
        effect=Estimate(
            value=superiority - 0.5, low=low - 0.5, high=high - 0.5, n=n + m, confidence=confidence, method=SUPERIORITY
        ),
        alternative=alternative,
        notes=(
            "the effect is the chance that a value of the treatment is the larger one, beyond a half",
            *(("ties count as half",) if ties else ()),
        ),
        doubts=tuple(doubts),
    )
