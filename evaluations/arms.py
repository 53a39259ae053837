"""What was measured in the arms of an experiment: values by case offline, sums over units live."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CaseValues:
    """One metric of an offline experiment: the mean over a case's repeats, for each case and arm."""

    metric: str
    values: "Mapping[str, NDArray[np.float64]]"
    """By arm, shape (cases,), in one order of cases; NaN where an arm has no value for a case."""
    positions: "NDArray[np.int64]"
    """The place of each case in its dataset, shape (cases,)."""

    @property
    def cases(self) -> int:
        return int(self.positions.size)

    def known(self, arm: str) -> int:
        """Cases that have a value in this arm."""
        import numpy as np

        return int(np.count_nonzero(~np.isnan(self.values[arm])))

    def level(self, arm: str) -> float | None:
        """The mean over the cases that have a value; None where none has."""
        import numpy as np

        return float(np.nanmean(self.values[arm])) if self.known(arm) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitSums:
    """One metric of one arm of a live experiment, summed over the units that have a value.

    For each unit x is the sum of the metric's numerator over its requests and y that of its denominator (how many of
    its requests have a value, unless the metric is a ratio). The arm's value is sum x / sum y.
    """

    units: int
    x: float
    y: float
    xx: float
    yy: float
    xy: float

    @property
    def value(self) -> float | None:
        """None without a denominator."""
        return self.x / self.y if self.y else None


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveArm:
    """One arm of a live experiment."""

    variant: str
    units: int
    """Units that were sent here and nowhere else, whether they have a value or not."""
    requests: int
    metrics: Mapping[str, UnitSums]


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveData:
    """All arms of a live experiment in its window."""

    arms: Mapping[str, LiveArm]
    """By variant, those of the declaration; one without requests has zeros."""
    crossed: int
    """Units that were seen in more than one arm: left out of all."""
    strangers: Mapping[str, int]
    """Requests by a name that is no variant of the experiment: left out."""
    outside: int
    """Requests that carry the experiment but began before it did or after it ended, by their own clocks: left out."""
