"""Times of which some are not over yet: medians that do not forget the slow ones."""

from typing import TYPE_CHECKING

from evaluations.estimates import Estimate
from evaluations.statistics.proportions import normal_quantile

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

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

    ends, lasted = np.asarray(ended, dtype=np.float64), np.asarray(still, dtype=np.float64)
    n = ends.size + lasted.size
    if not ends.size:
        return None
    if any(each.size and not (each.min() >= 0 and np.isfinite(each.max())) for each in (ends, lasted)):
        raise ValueError("times are finite and not negative")
    times, deaths = np.unique(ends, return_counts=True)
    # Whoever is lost sight of at a time was still looked at then.
    at_risk = n - (np.cumsum(deaths) - deaths) - np.searchsorted(np.sort(lasted), times, side="left")
    lasting = np.cumprod(1 - deaths / at_risk)
    low, high = _band(lasting, deaths, at_risk, confidence)

    def reached(points: "NDArray[np.float64]") -> float:
        # Rounding may leave a half just above a half.
        at = np.flatnonzero(points <= 1 - quantile + 1e-12)
        return float(times[at[0]]) if at.size else float("inf")

    value = reached(lasting)
    if not np.isfinite(value):
        return None
    if times.size == 1:
        return Estimate(value=value, low=0.0, high=float("inf"), n=n, confidence=confidence, method=NO_SPREAD)
    return Estimate(
        value=value,
        low=min(reached(low), value),
        high=max(reached(high), value),
        n=n,
        confidence=confidence,
        method=KAPLAN_MEIER,
    )


def _band(
    lasting: "NDArray[np.float64]", deaths: "NDArray[np.int64]", at_risk: "NDArray[np.int64]", confidence: float
) -> "tuple[NDArray[np.float64], NDArray[np.float64]]":
    """Greenwood's error on the scale of log(-log S), which keeps the band within 0 and 1.

    Where everything has ended it is not defined: there the lower end is the curve, and the upper one is open.
    """
    import numpy as np

    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.sqrt(np.cumsum(deaths / (at_risk * (at_risk - deaths)))) / np.log(lasting)
        half = normal_quantile(confidence) * error
        ends = (lasting ** np.exp(side * half) for side in (-1, 1))
        low, high = np.sort(np.stack(tuple(ends)), axis=0)
    return np.where(np.isnan(low), lasting, low), np.where(np.isnan(high), 1.0, high)
