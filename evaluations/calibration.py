"""A/A calibration: on real values whose labels are shuffled, every alarm is a false one, and they can be counted."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from evaluations.errors import AssayError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from evaluations.statistics.ratios import PairMoments

    Floats = NDArray[np.float64]

LOOKS = 20
FIXED, ANY_TIME, PLANNED = "fixed", "always_valid", "group_sequential"
LEAST_UNITS = 400
"""Twice a hundred units at the fifth of twenty looks: below, no method of ours claims anything."""
_FIRST_LOOK = 5
"""Looks before this one have fewer units than the sequential methods are measured for."""
_AT_ONCE = 100
"""Shuffles that are drawn together: bounds the memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FalseAlarms:
    """How often one method calls a difference where there is none."""

    method: str
    alpha: float
    looks: int
    units: int
    shuffles: int
    alarms: int
    limit: float
    """The rate that chance alone exceeds in 1 of 100 calibrations when the method keeps its alpha exactly."""

    @property
    def rate(self) -> float:
        return self.alarms / self.shuffles

    @property
    def held(self) -> bool:
        return self.rate <= self.limit


def calibrate(
    x: "Floats",
    y: "Floats",
    generator: "np.random.Generator",
    *,
    alpha: float = 0.05,
    shuffles: int = 2000,
) -> tuple[FalseAlarms, ...]:
    """Shuffle units into two arms and test the ratio sum x / sum y each time, once at the end and at twenty looks.

    `x` and `y` hold numerator and denominator of each unit, shape (units,), in the order in which units arrived: looks
    see the first ones first. Methods: a single test at the end, the always-valid sequence at every look, and
    O'Brien-Fleming boundaries at the planned looks.
    Raises AssayError for too few units or for values without spread.
    """
    import numpy as np

    if x.size < LEAST_UNITS:
        raise AssayError(f"{x.size} units are too few to calibrate on; it takes {LEAST_UNITS}.")
    if not np.ptp(x / np.where(y > 0, y, 1)) > 0:
        raise AssayError("all units have the same value; there is no noise to calibrate on.")
    alarms = dict.fromkeys((FIXED, ANY_TIME, PLANNED), 0)
    for begin in range(0, shuffles, _AT_ONCE):
        found = _alarms(x, y, generator, alpha, min(_AT_ONCE, shuffles - begin))
        for method, fired in found.items():
            alarms[method] += int(fired.sum())
    limit = _limit(shuffles, alpha)
    return tuple(
        FalseAlarms(
            method=method,
            alpha=alpha,
            looks=1 if method == FIXED else LOOKS - _FIRST_LOOK + 1,
            units=int(x.size),
            shuffles=shuffles,
            alarms=count,
            limit=limit,
        )
        for method, count in alarms.items()
    )


def _limit(shuffles: int, alpha: float) -> float:
    from scipy.stats import binom

    return float(binom.ppf(0.99, shuffles, alpha)) / shuffles


def _alarms(
    x: "Floats", y: "Floats", generator: "np.random.Generator", alpha: float, shuffles: int
) -> "dict[str, NDArray[np.bool_]]":
    """Which of some shuffles each method calls a difference; arrays of shape (shuffles,)."""
    import numpy as np

    from evaluations.statistics.ratios import ratio_differences
    from evaluations.statistics.sequential import any_time, boundaries

    treatment, control = _cumulated(x, y, generator, shuffles)
    seen = ratio_differences(treatment, control, confidence=1 - alpha)
    later = slice(_FIRST_LOOK - 1, None)
    always = any_time(seen, planned_n=float(x.size))
    fractions = tuple(look / LOOKS for look in range(_FIRST_LOOK, LOOKS + 1))
    limits = np.array([boundary.z for boundary in boundaries(fractions, alpha=alpha)])
    return {
        FIXED: np.nan_to_num(seen.p[:, -1], nan=1.0) < alpha,
        ANY_TIME: np.any(np.nan_to_num(always.p[:, later], nan=1.0) < alpha, axis=1),
        PLANNED: np.any(np.abs(np.nan_to_num(seen.statistic[:, later])) > limits, axis=1),
    }


def _cumulated(
    x: "Floats", y: "Floats", generator: "np.random.Generator", shuffles: int
) -> "tuple[PairMoments, PairMoments]":
    """Moments of both arms at each look of each shuffle, arrays of shape (shuffles, LOOKS)."""
    import numpy as np

    from evaluations.statistics.ratios import PairMoments

    parts = np.column_stack([np.ones_like(x), x, y, x * x, y * y, x * y])
    sums = np.empty((2, shuffles, LOOKS, parts.shape[1]))
    for look, block in enumerate(np.array_split(parts, LOOKS)):
        bits = generator.integers(0, 256, size=(shuffles, -(-len(block) // 8)), dtype=np.uint8)
        labels = np.unpackbits(bits, axis=1, count=len(block)).astype(np.float64)
        sums[0, :, look] = labels @ block
        sums[1, :, look] = block.sum(axis=0) - sums[0, :, look]
    treatment, control = (PairMoments.from_sums(*np.moveaxis(arm, -1, 0)) for arm in sums.cumsum(axis=2))
    return treatment, control
