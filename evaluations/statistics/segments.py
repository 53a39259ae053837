"""Segments: where an effect may differ. Exploratory, and drawn towards the whole by as much as their noise asks.

The largest of many segments is mostly the luckiest. Nothing here enters a verdict.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from evaluations.estimates import Estimate
from evaluations.statistics.proportions import normal_quantile

if TYPE_CHECKING:
    from evaluations.statistics.differences import Differences

SHRUNKEN = "empirical Bayes, shrunken"


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """The effect in one segment."""

    name: str
    raw: Estimate
    shrunken: Estimate
    """What to believe: the raw effect drawn towards that of all segments."""
    weight: float
    """Of the raw effect in the shrunken one, in [0, 1]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Segments:
    """Effects by segment; exploratory, whatever their p."""

    segments: tuple[Segment, ...]
    overall: float
    spread: float
    """Standard deviation of the true effects between segments, in the unit of the effect; 0 when noise explains all."""
    heterogeneity_p: float
    """Of the hypothesis that all segments have one effect (Cochran's Q)."""
    left_out: tuple[str, ...]
    """Segments with too little for an effect of their own."""


def shrink(names: tuple[str, ...], differences: "Differences") -> Segments | None:
    """Effects of segments, in the order of `names`, drawn towards their common mean; None for fewer than two.

    `differences` holds one comparison for each segment. The intervals are those of the posterior mean with the
    spread between segments taken as known, so with few segments they are somewhat too narrow.
    Raises ValueError unless there is a name for each.
    Source: DerSimonian and Laird (1986), "Meta-Analysis in Clinical Trials", for the spread; Efron and Morris (1975),
    "Data Analysis Using Stein's Estimator and its Generalizations", JASA 70, for the shrinkage.

    >>> from evaluations.statistics.two_samples import Moments, welch_many
    >>> control = Moments.of_shares([50, 40, 45], [100, 100, 100])
    >>> found = shrink(("de", "fr", "it"), welch_many(Moments.of_shares([80, 45, 47], [100, 100, 100]), control))
    >>> [f"{each.raw.value:.2f} to {each.shrunken.value:.2f}" for each in found.segments]
    ['0.30 to 0.27', '0.05 to 0.06', '0.02 to 0.04']
    """
    import numpy as np
    from scipy.special import chdtrc

    if len(names) != len(differences):
        raise ValueError(f"a name for each segment; got {len(names)} names and {len(differences)} segments")
    fine = np.flatnonzero(np.isfinite(differences.standard_error) & (differences.standard_error > 0))
    if fine.size < 2:
        return None
    value, variance = differences.value[fine], differences.standard_error[fine] ** 2
    precision = 1 / variance
    fixed = float((precision * value).sum() / precision.sum())
    q = float((precision * (value - fixed) ** 2).sum())
    scale = float(precision.sum() - (precision**2).sum() / precision.sum())
    between = max(0.0, (q - (fine.size - 1)) / scale)
    total = 1 / (variance + between)
    overall = float((total * value).sum() / total.sum())
    weight = between / (between + variance)
    centre = weight * value + (1 - weight) * overall
    # The common mean is an estimate too; what is drawn towards it inherits its noise.
    error = np.sqrt(weight * variance + (1 - weight) ** 2 / total.sum())
    half = normal_quantile(differences.confidence) * error
    return Segments(
        segments=tuple(
            Segment(
                name=names[place],
                raw=_estimate(
                    differences, place, differences.value[place], differences.low[place], differences.high[place]
                ),
                shrunken=_estimate(differences, place, centre[i], centre[i] - half[i], centre[i] + half[i], SHRUNKEN),
                weight=float(weight[i]),
            )
            for i, place in enumerate(int(each) for each in fine)
        ),
        overall=overall,
        spread=between**0.5,
        heterogeneity_p=float(chdtrc(fine.size - 1, q)),
        left_out=tuple(name for place, name in enumerate(names) if place not in set(fine.tolist())),
    )


def _estimate(
    differences: "Differences", place: int, value: float, low: float, high: float, method: str = ""
) -> Estimate:
    return Estimate(
        value=float(value),
        low=float(low),
        high=float(high),
        n=int(differences.n[place]),
        confidence=differences.confidence,
        method=method or differences.method,
    )
