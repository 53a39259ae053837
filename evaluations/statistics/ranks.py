"""Ranks in which equal values share the mean of their places, and the correlation of two."""

from math import atanh, copysign, sqrt, tanh
from typing import TYPE_CHECKING

from evaluations.estimates import Estimate
from evaluations.statistics.proportions import normal_quantile

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SPEARMAN = "Spearman, Fisher z interval"


def mid_ranks(values: "NDArray[np.float64]") -> "tuple[NDArray[np.float64], NDArray[np.float64]]":
    """The ranks from 1 to n of `values`, shape (n,), and how often each distinct value occurs, in rising order.

    The counts are what the variance of a rank statistic is corrected by: sum(t^3 - t) over them is 0 without ties.

    >>> import numpy as np
    >>> ranks, ties = mid_ranks(np.array([3.0, 1.0, 3.0]))
    >>> ranks.tolist(), ties.tolist()
    ([2.5, 1.0, 2.5], [1.0, 2.0])
    """
    import numpy as np

    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[places], counts.astype(np.float64)


def rank_correlation(rho: float | None, n: int, confidence: float = 0.95) -> Estimate | None:
    """Spearman's coefficient of n pairs with its interval in [-1, 1]; None below four pairs or without a coefficient.

    A perfect one tells nothing of the spread: the interval is then all there could be.

    The standard error in Fisher's z is sqrt((1 + rho^2 / 2) / (n - 3)).
    Source: Bonett and Wright (2000), "Sample Size Requirements for Estimating Pearson, Kendall and Spearman
    Correlations", Psychometrika 65(1).

    >>> rho = rank_correlation(0.5, 30)
    >>> print(f"{rho.value:.2f} [{rho.low:.2f}, {rho.high:.2f}] n={rho.n}")
    0.50 [0.15, 0.74] n=30
    """
    if rho is None or n < 4:
        return None
    if abs(rho) >= 1:
        return Estimate(
            value=copysign(1.0, rho), low=-1.0, high=1.0, n=n, confidence=confidence, method="no spread to judge by"
        )
    half = normal_quantile(confidence) * sqrt((1 + rho * rho / 2) / (n - 3))
    return Estimate(
        value=rho, low=tanh(atanh(rho) - half), high=tanh(atanh(rho) + half), n=n, confidence=confidence,
        method=SPEARMAN,
    )  # fmt: skip
