"""Differences between treatment and control for many comparisons at once: each with its interval, p, or reason.

Methods that work on sums (Welch, the delta method, CUPED, always-valid sequences) end here, so that what "cannot be
said" means is decided once: an arm without units, a value that is not finite, no spread, no baseline.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, get_args

from evaluations.estimates import Estimate
from evaluations.statistics.outcomes import Alternative, Determined, Outcome, Reason, Undetermined

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

REASONS: Final[tuple[Reason, ...]] = get_args(Reason)
"""In the order of their codes in `Differences.trouble`."""
FINE: Final = -1
"""The code of a comparison that can be made."""
SAID: Final[dict[Reason, str]] = {
    "empty": "one arm has no units",
    "too few": "an arm needs two units or more for a spread",
    "not finite": "a mean or a variance is infinite or NaN",
    "no spread": "all values are equal: nothing is known of the noise",
    "out of range": "a count is negative or a variance is below zero",
    "no baseline": "the control may be zero, so nothing is relative to it",
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Differences:
    """Treatment minus control; arrays of one shape, one place for each comparison.

    Where `trouble` is not FINE, `value` and `n` may still be known and everything else is NaN.
    """

    value: "NDArray[np.float64]"
    """In the unit of the data; a fraction of the control's value where `relative`."""
    standard_error: "NDArray[np.float64]"
    df: "NDArray[np.float64]"
    """Degrees of freedom of the reference distribution; infinite for the normal one."""
    statistic: "NDArray[np.float64]"
    p: "NDArray[np.float64]"
    low: "NDArray[np.float64]"
    high: "NDArray[np.float64]"
    n: "NDArray[np.float64]"
    """Independent units of both arms."""
    trouble: "NDArray[np.int8]"
    """FINE, or the place of the reason in REASONS."""
    confidence: float
    method: str
    relative: bool = False
    alternative: Alternative = "two-sided"

    def __len__(self) -> int:
        return int(self.value.size)

    def one(
        self, place: int | tuple[int, ...] = 0, *, notes: tuple[str, ...] = (), doubts: tuple[str, ...] = ()
    ) -> Outcome:
        """One of the comparisons as an outcome; raises IndexError for a place that is not there."""
        code = int(self.trouble[place])
        size = self.n[place]
        n = int(size) if 0 <= size < float("inf") else 0
        if code != FINE:
            return Undetermined(reason=REASONS[code], why=SAID[REASONS[code]], n=n)
        df = float(self.df[place])
        effect = Estimate(
            value=float(self.value[place]),
            low=float(self.low[place]),
            high=float(self.high[place]),
            n=n,
            confidence=self.confidence,
            method=self.method,
        )
        relative = ("relative to the control's value",) if self.relative else ()
        return Determined(
            method=self.method,
            p=float(self.p[place]),
            statistic=float(self.statistic[place]),
            df=df if df < float("inf") else None,
            effect=effect,
            alternative=self.alternative,
            notes=relative + notes,
            doubts=doubts,
        )


def differences_from(
    value: "NDArray[np.float64]",
    standard_error: "NDArray[np.float64]",
    df: "NDArray[np.float64]",
    n: "NDArray[np.float64]",
    trouble: "NDArray[np.int8]",
    *,
    confidence: float,
    method: str,
    relative: bool = False,
    alternative: Alternative = "two-sided",
    null: float = 0.0,
) -> Differences:
    """p and interval from estimates with their standard errors: Student's t with `df`, the normal where it is infinite.

    One-sided alternatives have one-sided intervals: `greater` says "at least low", and its high is infinite.
    """
    import numpy as np

    fine = trouble == FINE
    error = np.where(fine, standard_error, np.nan)
    with np.errstate(all="ignore"):
        statistic = (value - null) / error
    tail = check_confidence(confidence) if alternative == "two-sided" else 2 * confidence - 1
    half = t_quantile((1 + tail) / 2, df) * error
    if alternative == "two-sided":
        p = np.minimum(1.0, 2 * t_tail(np.abs(statistic), df))
    else:
        p = t_tail(statistic if alternative == "greater" else -statistic, df)
    low = value - half if alternative != "less" else np.where(fine, -np.inf, np.nan)
    high = value + half if alternative != "greater" else np.where(fine, np.inf, np.nan)
    return Differences(
        value=value,
        standard_error=error,
        df=np.where(fine, df, np.nan),
        statistic=statistic,
        p=p,
        low=low,
        high=high,
        n=n,
        trouble=trouble,
        confidence=confidence,
        method=method,
        relative=relative,
        alternative=alternative,
    )


def t_tail(t: "NDArray[np.float64]", df: "NDArray[np.float64]") -> "NDArray[np.float64]":
    """P(T > t) with `df` degrees of freedom; the normal tail where df is infinite, NaN where t is."""
    import numpy as np
    from scipy.special import ndtr, stdtr

    normal = np.isinf(df)
    if not normal.any():
        return np.asarray(stdtr(df, -t))
    # Asked of both distributions, but with a cheap df where the answer is not used.
    return np.where(normal, ndtr(-t), stdtr(np.where(normal, 1.0, df), -t))


def t_quantile(level: float, df: "NDArray[np.float64]") -> "NDArray[np.float64]":
    """The quantile of Student's t at `level`, or the normal one where df is infinite."""
    import numpy as np
    from scipy.special import ndtri, stdtrit

    normal = np.isinf(df)
    if not normal.any():
        return np.asarray(stdtrit(df, level))
    return np.where(normal, ndtri(level), stdtrit(np.where(normal, 1.0, df), level))


def first_trouble(*checks: "tuple[NDArray[np.bool_], Reason]") -> "NDArray[np.int8]":
    """The code of the first reason whose condition holds, place by place; FINE where none does."""
    import numpy as np

    found: NDArray[np.int8] = np.full((), FINE, dtype=np.int8)
    for holds, reason in reversed(checks):  # the first one is written last
        found = np.where(holds, np.int8(REASONS.index(reason)), found)
    return found


def check_confidence(confidence: float) -> float:
    """The level itself; raises ValueError unless it lies between 0 and 1."""
    if not 0 < confidence < 1:
        raise ValueError(f"a confidence level lies between 0 and 1; got {confidence}")
    return confidence
