"""Two independent shares: the pooled z test with Newcombe's interval, Fisher's exact test, chi-square."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from evaluations.estimates import Estimate
from evaluations.statistics.differences import check_confidence
from evaluations.statistics.outcomes import Determined, Outcome, Undetermined
from evaluations.statistics.proportions import wilson_bounds

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

POOLED_Z = "two-proportion z test"
FISHER = "Fisher's exact test"
CHI_SQUARE = "chi-square test of independence"
NEWCOMBE = "Newcombe interval"
EXACT_NEWCOMBE = "Newcombe interval over Clopper-Pearson limits"
LEAST_FOR_WILSON = 120
FAR = 0.3
LEAST_FOR_OPPOSITES, OPPOSITE = 60, 0.85
SMALL_CELL = 5
"""Where a cell of the table expects fewer, the normal approximation of the test is not trusted."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ShareDifferences:
    """Shares of treatment minus shares of control, for many experiments at once; NaN where an arm is empty."""

    value: "Floats"
    z: "Floats"
    p: "Floats"
    """Of the pooled z test, two-sided."""
    low: "Floats"
    high: "Floats"
    smallest_cell: "Floats"
    """The smallest count that the table expects if the shares are equal."""
    confidence: float


def two_proportions(
    successes: int,
    n: int,
    control_successes: int,
    control_n: int,
    *,
    confidence: float = 0.95,
    exact: bool | None = None,
) -> Outcome:
    """The share successes / n of the treatment minus that of the control, as a difference of fractions.

    p is that of the pooled z test, or Fisher's where the table expects fewer than five in a cell or `exact` says so.
    The interval is Newcombe's over Wilson limits, or over Clopper-Pearson limits where those would promise too much
    (`needs_exact_limits`). Domain: independent units, every size but for nearly opposite shares in small arms.
    Raises ValueError for counts that are not whole or a confidence outside (0, 1).
    Source: Newcombe (1998), "Interval Estimation for the Difference Between Independent Proportions", Statistics in
    Medicine 17, method 10; Zou and Donner (2008), "Construction of Confidence Limits about Effect Measures: A General
    Approach", Statistics in Medicine 27, for other limits in its place; Fisher (1935) for the exact test.

    >>> found = two_proportions(392, 478, 349, 456)
    >>> print(f"z={found.statistic:.2f} p={found.p:.3f} [{found.effect.low:.3f}, {found.effect.high:.3f}]")
    z=2.07 p=0.039 [0.003, 0.107]
    """
    check_confidence(confidence)
    counts = (successes, n, control_successes, control_n)
    if any(count != int(count) for count in counts):
        raise ValueError(f"counts are whole numbers; got {counts}")
    if min(counts) < 0 or successes > n or control_successes > control_n:
        why = f"{successes} of {n} and {control_successes} of {control_n} are not counts of successes"
        return Undetermined(reason="out of range", why=why)
    if not n or not control_n:
        return Undetermined(reason="empty", why="one arm has no units", n=n + control_n)
    found = proportion_differences(*counts, confidence=confidence)
    small = bool(found.smallest_cell < SMALL_CELL) if exact is None else exact
    statistic: float | None = None
    notes: tuple[str, ...] = ()
    if successes + control_successes in (0, n + control_n):
        p, notes, small = 1.0, ("no unit differs from any other",), True
    elif small:
        p = _fisher(*counts)
    else:
        p, statistic = float(found.p), float(found.z)
    sure = bool(exact or needs_exact_limits(*counts))
    low, high = difference_bounds(*counts, confidence=confidence, exact=sure)
    effect = Estimate(
        value=float(found.value),
        low=float(low),
        high=float(high),
        n=n + control_n,
        confidence=confidence,
        method=EXACT_NEWCOMBE if sure else NEWCOMBE,
    )
    opposite = min(n, control_n) < LEAST_FOR_OPPOSITES and abs(effect.value) > OPPOSITE
    doubt = f"nearly opposite shares in fewer than {LEAST_FOR_OPPOSITES} units an arm: the interval is too narrow there"
    return Determined(
        method=FISHER if small else POOLED_Z,
        p=p,
        statistic=statistic,
        effect=effect,
        notes=notes,
        doubts=(doubt,) if opposite else (),
    )


def needs_exact_limits(
    successes: "ArrayLike", n: "ArrayLike", control_successes: "ArrayLike", control_n: "ArrayLike"
) -> "NDArray[np.bool_]":
    """Where Newcombe's interval over Wilson limits covers less than its level, by enumeration of all outcomes.

    Arms of fewer than 120, fewer than 5 successes or failures in an arm, shares that lie more than 0.3 apart.
    """
    import numpy as np

    hits, size, control_hits, control_size = (
        np.asarray(each, dtype=np.float64) for each in (successes, n, control_successes, control_n)
    )
    with np.errstate(all="ignore"):
        apart = np.abs(hits / size - control_hits / control_size)
    cells = np.minimum(np.minimum(hits, size - hits), np.minimum(control_hits, control_size - control_hits))
    needs: NDArray[np.bool_] = (
        (np.minimum(size, control_size) < LEAST_FOR_WILSON) | (cells < SMALL_CELL) | (apart > FAR)
    )
    return needs


def difference_bounds(
    successes: "ArrayLike",
    n: "ArrayLike",
    control_successes: "ArrayLike",
    control_n: "ArrayLike",
    *,
    confidence: float = 0.95,
    exact: bool | None = None,
) -> "tuple[Floats, Floats]":
    """Low and high of the differences, joined from the limits of both shares; the arrays broadcast.

    Over Clopper-Pearson limits where `exact`, over Wilson's where not, and by `needs_exact_limits` where it is None.
    Source: Newcombe (1998), method 10; Zou and Donner (2008), as for `two_proportions`.
    """
    import numpy as np

    hits, size, control_hits, control_size = np.broadcast_arrays(
        *(np.asarray(each, dtype=np.float64) for each in (successes, n, control_successes, control_n))
    )
    cautious = needs_exact_limits(hits, size, control_hits, control_size)
    sure = cautious if exact is None else np.full(hits.shape, exact)

    def limits(hits: "Floats", size: "Floats") -> "tuple[Floats, Floats]":
        low, high = wilson_bounds(hits, size, confidence)
        if not sure.any():
            return low, high
        exact_low, exact_high = clopper_pearson(hits, size, confidence)
        return np.where(sure, exact_low, low), np.where(sure, exact_high, high)

    (low, high), (control_low, control_high) = limits(hits, size), limits(control_hits, control_size)
    with np.errstate(all="ignore"):
        share, control_share = hits / size, control_hits / control_size
    value = share - control_share
    below, above = (
        np.hypot(share - low, control_high - control_share),
        np.hypot(high - share, control_share - control_low),
    )
    return value - below, value + above


def proportion_differences(
    successes: "ArrayLike",
    n: "ArrayLike",
    control_successes: "ArrayLike",
    control_n: "ArrayLike",
    *,
    confidence: float = 0.95,
) -> ShareDifferences:
    """Pooled z tests and Newcombe intervals for arrays of experiments; the four arrays broadcast.

    Where both arms have successes only, or none, z is 0 and p is 1. Raises ValueError for more successes than units.
    Source: as `two_proportions`.

    >>> found = proportion_differences(0.821 * 478, 478, 0.765 * 456, 456)
    >>> print(f"z={found.z:.3f} p={found.p:.4f} [{found.low:.3f}, {found.high:.3f}]")
    z=2.114 p=0.0345 [0.004, 0.108]
    """
    import numpy as np
    from scipy.special import ndtr

    hits, size, control_hits, control_size = np.broadcast_arrays(
        *(np.asarray(each, dtype=np.float64) for each in (successes, n, control_successes, control_n))
    )
    low, high = difference_bounds(hits, size, control_hits, control_size, confidence=confidence, exact=False)
    with np.errstate(all="ignore"):
        value = hits / size - control_hits / control_size
        pooled = (hits + control_hits) / (size + control_size)
        spread = pooled * (1 - pooled) * (1 / size + 1 / control_size)
        z = np.where(spread > 0, value / np.sqrt(spread), np.where(np.isnan(spread), np.nan, 0.0))
        cells = np.minimum(pooled, 1 - pooled) * np.minimum(size, control_size)
    return ShareDifferences(
        value=value,
        z=z,
        p=2 * ndtr(-np.abs(z)),
        low=low,
        high=high,
        smallest_cell=cells,
        confidence=confidence,
    )


def chi_square(table: "ArrayLike") -> Outcome:
    """Are rows (variants) and columns (categories) of a table of counts, shape (r, c), independent?

    Without continuity correction. Rows and columns without any count are left out and noted. Doubted where a cell
    expects fewer than five.
    Raises ValueError unless the table has two dimensions.
    Source: Pearson (1900), Philosophical Magazine 50; Cochran (1954), Biometrics 10, for the rule of five.

    >>> found = chi_square([[30, 50, 20], [45, 35, 20]])
    >>> print(f"chi2({found.df:.0f}) = {found.statistic:.2f}, p = {found.p:.3f}")
    chi2(2) = 5.65, p = 0.059
    """
    import numpy as np
    from scipy.special import chdtrc

    counts = np.asarray(table, dtype=np.float64)
    if counts.ndim != 2:
        raise ValueError(f"a table has rows and columns; got shape {counts.shape}")
    if not np.isfinite(counts).all():
        return Undetermined(reason="not finite", why="a count is infinite or NaN")
    if (counts < 0).any():
        return Undetermined(reason="out of range", why="a count is negative")
    kept = counts[counts.sum(axis=1) > 0][:, counts.sum(axis=0) > 0]
    n = int(kept.sum())
    if kept.shape[0] < min(2, counts.shape[0]) or n == 0:
        return Undetermined(reason="empty", why="fewer than two rows have any count", n=n)
    if min(kept.shape) < 2:
        return Undetermined(reason="no spread", why="all counts are in one row or one column", n=n)
    expected = kept.sum(axis=1, keepdims=True) * kept.sum(axis=0, keepdims=True) / n
    statistic = float(((kept - expected) ** 2 / expected).sum())
    df = (kept.shape[0] - 1) * (kept.shape[1] - 1)
    few = float(expected.min())
    return Determined(
        method=CHI_SQUARE,
        p=float(chdtrc(df, statistic)),
        statistic=statistic,
        df=df,
        notes=() if kept.shape == counts.shape else ("rows or columns without any count are left out",),
        doubts=()
        if few >= SMALL_CELL
        else (f"a cell expects {few:.1f}; the approximation needs {SMALL_CELL} or more",),
    )


def clopper_pearson(successes: "ArrayLike", n: "ArrayLike", confidence: float = 0.95) -> "tuple[Floats, Floats]":
    """Exact bounds of shares, which cover with at least `confidence`; arrays broadcast.

    Source: Clopper and Pearson (1934), "The Use of Confidence or Fiducial Limits", Biometrika 26.

    >>> [f"{bound[()]:.3f}" for bound in clopper_pearson(0, 10)]
    ['0.000', '0.308']
    """
    import numpy as np
    from scipy.special import betaincinv

    hits, size = np.broadcast_arrays(np.asarray(successes, dtype=np.float64), np.asarray(n, dtype=np.float64))
    tail = (1 - check_confidence(confidence)) / 2
    misses = size - hits
    low = np.where(hits > 0, betaincinv(np.maximum(hits, 0.5), misses + 1, tail), 0.0)
    high = np.where(misses > 0, betaincinv(hits + 1, np.maximum(misses, 0.5), 1 - tail), 1.0)
    return low, high


def _fisher(hits: int, n: int, control_hits: int, control_n: int) -> float:
    """Two-sided: all tables that are no more likely than this one, with its margins."""
    import numpy as np
    from scipy.special import gammaln

    total, wins = n + control_n, hits + control_hits
    cells = np.arange(max(0, wins - control_n), min(n, wins) + 1)

    def ways(of: int, take: "NDArray[np.int64]") -> "Floats":
        chosen: Floats = gammaln(of + 1) - gammaln(take + 1) - gammaln(of - take + 1)
        return chosen

    log = (
        ways(n, cells)
        + ways(control_n, wins - cells)
        - (gammaln(total + 1) - gammaln(wins + 1) - gammaln(total - wins + 1))
    )
    chances = np.exp(log)
    observed = chances[hits - cells[0]]
    # Tables as likely as this one count too, although rounding tells them apart.
    return min(1.0, float(chances[chances <= observed * (1 + 1e-7)].sum()))
