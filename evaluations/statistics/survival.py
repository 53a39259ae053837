"""Times of which some are not over yet: medians that do not forget the slow ones."""

import warnings
from typing import TYPE_CHECKING, Any

from evaluations.estimates import Estimate

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

KAPLAN_MEIER = "Kaplan-Meier, log-log interval"
NO_SPREAD = "Kaplan-Meier; all ended at one time, which tells nothing of the spread"


def survival_quantile(
    ended: "ArrayLike", still: "ArrayLike" = (), quantile: float = 0.5, confidence: float = 0.95
) -> Estimate | None:
    """The time by which a share `quantile` has ended, with its interval, in the unit of the times.

    `ended` are times that are over, shape (n,), `still` how long the others have lasted so far (censored). None when
    fewer than that share ended while anyone was still looked at: then the time is not known. An upper bound that the
    data do not reach is infinite. Raises ValueError for a negative or infinite time.
    Source: Kaplan and Meier (1958), JASA 53(282); Brookmeyer and Crowley (1982), Biometrics 38(1).

    >>> time = survival_quantile([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    >>> time.value, time.n
    (5.0, 10)
    """
    import numpy as np
    from scipy.stats import CensoredData, ecdf

    over_by, lasted = np.asarray(ended, dtype=np.float64), np.asarray(still, dtype=np.float64)
    times = np.concatenate([over_by, lasted])
    if not over_by.size:
        return None
    if not np.isfinite(times).all() or (times < 0).any():
        raise ValueError("times are finite and not negative")
    over = np.repeat([False, True], [over_by.size, lasted.size])
    curve = ecdf(CensoredData.right_censored(times, over)).sf
    with np.errstate(divide="ignore", invalid="ignore"), warnings.catch_warnings():
        # The band is not defined where everything has ended; that is seen to below.
        warnings.simplefilter("ignore", RuntimeWarning)
        band: Any = curve.confidence_interval(confidence, method="log-log")

    def reached(points: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> float:
        # Rounding may leave a half just above a half.
        at = np.flatnonzero(points <= 1 - quantile + 1e-12)
        return float(curve.quantiles[at[0]]) if at.size else float("inf")

    value = reached(curve.probabilities)
    if not np.isfinite(value):
        return None
    if over_by.min() == over_by.max():
        return Estimate(
            value=value, low=0.0, high=float("inf"), n=int(times.size), confidence=confidence, method=NO_SPREAD
        )
    low = np.where(np.isnan(band.low.probabilities), curve.probabilities, band.low.probabilities)
    high = np.where(np.isnan(band.high.probabilities), 1.0, band.high.probabilities)
    return Estimate(
        value=value,
        low=min(reached(low), value),
        high=max(reached(high), value),
        n=int(times.size),
        confidence=confidence,
        method=KAPLAN_MEIER,
    )
