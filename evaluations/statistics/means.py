"""Means over independent units, with Student's t interval."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from evaluations.estimates import Estimate

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

STUDENT = "Student t interval"
NO_SPREAD = "no spread to judge by"


def mean_interval(values: "Sequence[float] | NDArray[np.float64]", confidence: float = 0.95) -> Estimate:
    """The mean of `values`, shape (n,), with a two-sided Student t interval in the same unit.

    One value per case: average the repeats of a case first. The bounds are not cut to the range that values
    can have, and n equal values give an interval without width: then nothing is known of the spread.
    Raises ValueError if there are fewer than two values or one is not finite.
    Source: Student (1908), "The Probable Error of a Mean", Biometrika 6(1).

    >>> mean = mean_interval([1, 1, 1, 0.5])
    >>> print(f"{mean.value:.3f} [{mean.low:.3f}, {mean.high:.3f}] n={mean.n}")
    0.875 [0.477, 1.273] n=4
    """
    import numpy as np
    from scipy.special import stdtrit  # the quantile alone: a tenth of the import time of scipy.stats

    sample = np.asarray(values, dtype=np.float64)
    if sample.ndim != 1 or sample.size < 2:
        raise ValueError(f"a mean with an interval needs two values or more; got shape {sample.shape}")
    if not np.isfinite(sample).all():
        raise ValueError("a mean needs finite values; leave out what could not be scored")
    if not 0 < confidence < 1:
        raise ValueError(f"a confidence level lies between 0 and 1; got {confidence}")
    mean = float(sample.mean())
    half = float(stdtrit(sample.size - 1, (1 + confidence) / 2) * sample.std(ddof=1) / sample.size**0.5)
    return Estimate(value=mean, low=mean - half, high=mean + half, n=sample.size, confidence=confidence, method=STUDENT)


def mean_from_moments(
    n: int, mean: float | None, sd: float | None, *, low: float, high: float, confidence: float = 0.95
) -> Estimate | None:
    """The mean of n values that lie in [low, high], from their mean and sample standard deviation; None without values.

    The interval is Student's, kept within the range. One value, or several equal ones, tell nothing of the spread:
    the interval is then the whole range.

    >>> mean = mean_from_moments(4, 0.875, 0.25, low=0, high=1)
    >>> print(f"{mean.value:.3f} [{mean.low:.3f}, {mean.high:.3f}] n={mean.n}")
    0.875 [0.477, 1.000] n=4
    """
    from scipy.special import stdtrit

    if mean is None or not n:
        return None
    if n == 1 or not sd:
        return Estimate(value=float(mean), low=low, high=high, n=n, confidence=confidence, method=NO_SPREAD)
    half = float(stdtrit(n - 1, (1 + confidence) / 2)) * float(sd) / n**0.5
    return Estimate(
        value=float(mean),
        low=max(float(mean) - half, low),
        high=min(float(mean) + half, high),
        n=n,
        confidence=confidence,
        method=STUDENT,
    )
