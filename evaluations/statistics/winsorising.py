"""Winsorising: extreme values are brought to a bound that all arms share, and counted."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Winsorised:
    """The arms with their extremes brought in."""

    arms: "dict[str, Floats]"
    low: float
    high: float
    """The bounds, in the unit of the values; infinite where that side was left alone."""
    changed: dict[str, int]
    """Values brought in, by arm: a difference here is itself an effect on the tail."""


def winsorise(arms: "Mapping[str, Floats]", *, lower: float = 0.0, upper: float = 0.99) -> Winsorised:
    """Values below the `lower` and above the `upper` quantile of all arms together become those quantiles.

    The bounds come from all arms pooled: bounds of its own would hide an arm's longer tail. The mean that is compared
    afterwards is that of the bounded values, and has to be called so. Infinite values are brought in like any other.
    Raises ValueError unless 0 <= lower < upper <= 1, or if a value is NaN.
    Source: Tukey (1962), "The Future of Data Analysis", Annals of Mathematical Statistics 33; pooled bounds as in
    Kohavi, Tang and Xu (2020), "Trustworthy Online Controlled Experiments", chapter 18.

    >>> import numpy as np
    >>> found = winsorise({"A": np.arange(100.0), "B": np.array([1.0, 2.0, 5000.0])}, upper=0.98)
    >>> round(found.high, 2), found.changed
    (97.0, {'A': 2, 'B': 1})
    """
    import numpy as np

    if not 0 <= lower < upper <= 1:
        raise ValueError(f"quantiles to keep lie in [0, 1], the lower below the upper; got {lower} and {upper}")
    together = np.concatenate([np.asarray(values, dtype=np.float64) for values in arms.values()] or [np.empty(0)])
    if np.isnan(together).any():
        raise ValueError("a value is NaN: leave out what could not be measured, and count it")
    low, high = -np.inf, np.inf
    if together.size:
        # An order statistic, not a point between two: one of them may be infinite.
        low = float(np.quantile(together, lower, method="higher")) if lower > 0 else low
        high = float(np.quantile(together, upper, method="lower")) if upper < 1 else high
    brought = {name: np.clip(np.asarray(values, dtype=np.float64), low, high) for name, values in arms.items()}
    changed = {name: int((brought[name] != np.asarray(arms[name])).sum()) for name in arms}
    return Winsorised(arms=brought, low=low, high=high, changed=changed)
