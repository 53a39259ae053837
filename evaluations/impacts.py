"""What a deployment did: the canary against the units that kept the old bundle in the same windows.

Never before against after: traffic and its mix move by themselves. Each window has its own share of the traffic, so
that adding up requests over windows would mix their days; the differences of the windows are joined instead.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from evaluations.arms import UnitSums
from evaluations.estimates import Estimate
from evaluations.experiment_words import interval, signed
from evaluations.experiments import Metric

STRATIFIED = "differences of the windows, weighted by their precision"


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowArms:
    """The two arms of one window, by metric."""

    percent: int
    canary: Mapping[str, UnitSums]
    control: Mapping[str, UnitSums]


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowImpact:
    """What the new bundle changed of one metric, over all windows with a control."""

    metric: Metric
    effect: Estimate | None
    """Canary minus control, in the metric's unit; None where it could not be determined."""

    def __str__(self) -> str:
        name = self.metric.name.removesuffix("_ms").replace("_", " ")
        if self.effect is None:
            return f"{name}: not determined"
        bounds = interval(self.effect, self.metric)
        return f"{name}: {signed(self.effect.value, self.metric)} {bounds}, n = {self.effect.n:,}"

    def as_json(self) -> dict[str, Any]:
        effect = self.effect
        return {
            "metric": self.metric.name,
            "value": None if effect is None else effect.value,
            "low": None if effect is None else effect.low,
            "high": None if effect is None else effect.high,
            "n": 0 if effect is None else effect.n,
        }


def impact(metrics: Sequence[Metric], windows: Sequence[WindowArms]) -> tuple[WindowImpact, ...]:
    """The effect of a deployment on each metric; empty without a window that has a control.

    A single look's intervals: they describe, and decide nothing. Source: inverse-variance weighting of independent
    strata, Cochran (1954), "The Combination of Estimates from Different Experiments", Biometrics 10.
    """
    if not windows:
        return ()
    return tuple(WindowImpact(metric=metric, effect=_joined(metric.name, windows)) for metric in metrics)


def _joined(metric: str, windows: Sequence[WindowArms]) -> Estimate | None:
    import numpy as np

    from evaluations.statistics.proportions import normal_quantile
    from evaluations.statistics.ratios import PairMoments, ratio_differences

    value, precision, n = 0.0, 0.0, 0
    for window in windows:
        canary, control = (
            PairMoments.from_sums(arm.units, arm.x, arm.y, arm.xx, arm.yy, arm.xy)
            for arm in (window.canary[metric], window.control[metric])
        )
        with np.errstate(all="ignore"):
            found = ratio_differences(canary, control)
        difference, error = float(found.value), float(found.standard_error)
        if not (isfinite(difference) and isfinite(error) and error > 0):
            continue
        value += difference / error**2
        precision += 1 / error**2
        n += window.canary[metric].units + window.control[metric].units
    if not precision:
        return None
    half = normal_quantile(0.95) / precision**0.5
    mean = value / precision
    return Estimate(value=mean, low=mean - half, high=mean + half, n=n, method=STRATIFIED)
