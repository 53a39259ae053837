"""Shares of independent yes-or-no outcomes, with the Wilson score interval."""

from functools import lru_cache
from statistics import NormalDist
from typing import TYPE_CHECKING

from evaluations.estimates import Estimate

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

WILSON = "Wilson score interval"


def wilson(successes: int, n: int, confidence: float = 0.95) -> Estimate:
    """The share successes / n with its Wilson score interval, without continuity correction.

    `n` counts independent units (cases, or the repeats of one case), so 20 cases of 5 repeats are not 100.
    Unlike the textbook interval it stays within [0, 1] and has a width at 0 of n and at n of n.
    Raises ValueError unless 0 <= successes <= n, n >= 1 and 0 < confidence < 1.
    Source: Wilson (1927), "Probable Inference, the Law of Succession, and Statistical Inference", JASA
    22(158).

    >>> share = wilson(55, 60)
    >>> print(f"{share.value:.3f} [{share.low:.3f}, {share.high:.3f}] n={share.n}")
    0.917 [0.819, 0.964] n=60
    """
    if n < 1 or not 0 <= successes <= n:
        raise ValueError(f"a share needs 0 <= successes <= n and n >= 1; got {successes} of {n}")
    z = normal_quantile(confidence)
    share = successes / n
    # Wilson's equation, solved for the share: centre and half width, both shrunk by 1 + z^2/n.
    shrink = 1 + z * z / n
    centre = (share + z * z / (2 * n)) / shrink
    half = z * (share * (1 - share) / n + z * z / (4 * n * n)) ** 0.5 / shrink
    return Estimate(
        value=share,
        # At the ends the bound is exactly the end; the formula only gets there up to rounding.
        low=0.0 if successes == 0 else max(0.0, centre - half),
        high=1.0 if successes == n else min(1.0, centre + half),
        n=n,
        confidence=confidence,
        method=WILSON,
    )


def wilson_bounds(
    successes: "ArrayLike", n: "ArrayLike", confidence: float = 0.95
) -> "tuple[NDArray[np.float64], NDArray[np.float64]]":
    """Lower and upper Wilson bounds for many shares at once; `successes` and `n` broadcast against each
    other.

    Where n is 0 both bounds are NaN: nothing was counted, so nothing is known.
    Raises ValueError if some successes are negative or more than their n.

    >>> low, high = wilson_bounds([0, 55], [10, 60])
    >>> [f"{bound:.3f}" for bound in (*low, *high)]
    ['0.000', '0.819', '0.278', '0.964']
    """
    import numpy as np

    hits, size = np.broadcast_arrays(np.asarray(successes, dtype=np.float64), np.asarray(n, dtype=np.float64))
    if not np.all((hits >= 0) & (hits <= size)):
        raise ValueError("a share needs 0 <= successes <= n in every place")
    z = normal_quantile(confidence)
    counted = np.where(size > 0, size, np.nan)
    share = hits / counted
    shrink = 1 + z * z / counted
    centre = (share + z * z / (2 * counted)) / shrink
    half = z * np.sqrt(share * (1 - share) / counted + z * z / (4 * counted * counted)) / shrink
    low = np.where(hits == 0, np.where(size > 0, 0.0, np.nan), np.maximum(0.0, centre - half))
    high = np.where((hits == size) & (size > 0), 1.0, np.minimum(1.0, centre + half))
    return low, high


@lru_cache(maxsize=32)
def normal_quantile(confidence: float) -> float:
    """Half the width of a two-sided normal interval in standard errors: 1.96 for 0.95."""
    if not 0 < confidence < 1:
        raise ValueError(f"a confidence level lies between 0 and 1; got {confidence}")
    return NormalDist().inv_cdf((1 + confidence) / 2)
