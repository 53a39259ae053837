"""Two variants on the same cases: McNemar for passes, Student's paired t and Wilcoxon's signed ranks for scores.

The effect is treatment minus control, always. A case gives one pair: average its repeats first
(`clusters.per_unit`), and where cases hang together (turns of a conversation) use `clusters.cluster_robust`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, sqrt
from typing import TYPE_CHECKING, Literal, Self

from evaluations.estimates import Estimate
from evaluations.statistics.outcomes import Alternative, Determined, Outcome, Undetermined, checked, unfit
from evaluations.statistics.proportions import normal_quantile, wilson
from evaluations.statistics.ranks import mid_ranks

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    Numbers = NDArray[np.float64]

TANGO = "Tango score interval"
NEWCOMBE = "Newcombe paired interval"

LEAST_PAIRS = 10
"""Below so many differences nothing is known of their shape, on which the t interval depends."""
LEAST_PASSES = 20
"""Below so many pairs the score interval falls short of its level (docs/statistics.md)."""
SKEW_PAYS = 60
"""Student's interval of 95% holds, to half a point, from 60 g^2 values on, with g their skewness. Cochran's 25 g^2
allow for 94%."""
EXACT_RANKS = 200
"""Up to so many differences the distribution of the signed ranks is counted out."""
WALSH = 2000
"""Up to so many differences all their pairwise means are written down; beyond, they are counted instead."""


# Passes


@dataclass(frozen=True, slots=True, kw_only=True)
class PassPairs:
    """How the passes of two variants fall together: the sufficient statistics, in cases."""

    both: int
    only_control: int
    only_treatment: int
    neither: int

    def __post_init__(self) -> None:
        if min(self.both, self.only_control, self.only_treatment, self.neither) < 0:
            raise ValueError(f"counts of cases are not negative; got {self}")

    @classmethod
    def of(cls, control: "ArrayLike", treatment: "ArrayLike") -> Self:
        """Count the pairs of two arrays of true and false, shapes (n,), in the same case order.

        Raises ValueError if the shapes differ or a value is neither true nor false (1 nor 0).
        """
        import numpy as np

        one, two = np.asarray(control), np.asarray(treatment)
        if one.shape != two.shape or one.ndim != 1:
            raise ValueError(f"pairs need two rows of one length; got shapes {one.shape} and {two.shape}")
        if not (np.isin(one, (0, 1)).all() and np.isin(two, (0, 1)).all()):
            raise ValueError("a pass is true or false; leave out the pairs in which one could not be judged")
        one, two = one.astype(bool), two.astype(bool)
        both, alone, other = int((one & two).sum()), int((one & ~two).sum()), int((~one & two).sum())
        return cls(both=both, only_control=alone, only_treatment=other, neither=one.size - both - alone - other)

    @property
    def n(self) -> int:
        return self.both + self.only_control + self.only_treatment + self.neither

    @property
    def difference(self) -> float:
        """Pass rate of the treatment minus pass rate of the control, in [-1, 1]. Raises ZeroDivisionError if n is 0."""
        return (self.only_treatment - self.only_control) / self.n


def mcnemar(
    pairs: PassPairs,
    *,
    method: Literal["exact", "mid-p"] = "mid-p",
    interval: Literal["tango", "newcombe"] = "tango",
    alternative: Alternative = "two-sided",
    confidence: float = 0.95,
) -> Outcome:
    """Do the two pass rates differ? Only the pairs that disagree say so.

    `exact` never exceeds its level and is conservative; `mid-p` is close to it and exceeds it by little (docs/
    statistics.md). Without disagreement p is 1, and the interval says how large the difference may be all the same.
    Source: McNemar (1947), Psychometrika 12(2); Fagerland, Lydersen & Laake (2013), "The McNemar test for binary
    matched-pairs data: mid-p and asymptotic are better than exact conditional", BMC Med. Res. Methodology 13:91.

    >>> found = mcnemar(PassPairs(both=30, only_control=2, only_treatment=10, neither=8), method="exact")
    >>> print(f"p={found.p:.4f} {found.effect.value:+.2f} [{found.effect.low:+.3f}, {found.effect.high:+.3f}]")
    p=0.0386 +0.16 [+0.028, +0.301]
    """
    if pairs.n == 0:
        return Undetermined(reason="empty", why="no case was answered by both variants")
    p = float(mcnemar_p(pairs.only_control, pairs.only_treatment, method=method, alternative=alternative))
    effect = tango(pairs, confidence) if interval == "tango" else newcombe_paired(pairs, confidence)
    few = (f"{pairs.n} pairs, and the interval needs {LEAST_PASSES}",) if pairs.n < LEAST_PASSES else ()
    return Determined(
        method="McNemar exact test" if method == "exact" else "McNemar mid-p test",
        p=p,
        effect=effect,
        alternative=alternative,
        notes=(f"{pairs.only_control + pairs.only_treatment} of {pairs.n} pairs disagree",),
        doubts=few,
    )


def mcnemar_p(
    only_control: "ArrayLike",
    only_treatment: "ArrayLike",
    *,
    method: Literal["exact", "mid-p"] = "mid-p",
    alternative: Alternative = "two-sided",
) -> "Numbers":
    """p of many McNemar tests at once; the counts broadcast against each other.

    >>> [round(float(p), 4) for p in mcnemar_p([2, 0], [10, 0], method="exact")]
    [0.0386, 1.0]
    """
    import numpy as np
    from scipy.special import bdtr, gammaln

    worse, better = np.broadcast_arrays(
        np.asarray(only_control, dtype=np.int64), np.asarray(only_treatment, dtype=np.int64)
    )
    n = worse + better
    # A case that disagrees goes either way with chance 1/2 when nothing differs.
    up_to_worse, up_to_better = bdtr(worse, n, 0.5), bdtr(better, n, 0.5)
    at = np.exp(gammaln(n + 1) - gammaln(worse + 1) - gammaln(better + 1) - n * np.log(2))
    correction = at / 2 if method == "mid-p" else np.zeros(n.shape)
    if alternative == "greater":
        p = up_to_worse - correction
    elif alternative == "less":
        p = up_to_better - correction
    else:
        p = np.minimum(1.0, 2 * (np.minimum(up_to_worse, up_to_better) - correction))
    tails: Numbers = np.where(n > 0, p, 1.0)
    return tails


def tango(pairs: PassPairs, confidence: float = 0.95) -> Estimate:
    """The difference of two paired pass rates with Tango's score interval, which inverts McNemar's asymptotic test.

    It stays within [-1, 1] and has a width without any disagreement. Raises ValueError if there is no pair.
    Source: Tango (1998), "Equivalence Test and Confidence Interval for the Difference in Proportions for the
    Paired-Sample Design", Statistics in Medicine 17(8).
    """
    if pairs.n == 0:
        raise ValueError("a difference needs one pair or more")
    n, gained, lost = pairs.n, pairs.only_treatment, pairs.only_control
    z, value = normal_quantile(confidence), pairs.difference

    def score(difference: float) -> float:
        # The probability of a loss, at its likelihood's maximum under that difference.
        b = -gained - lost + (2 * n - gained + lost) * difference
        root = sqrt(max(0.0, b * b + 8 * n * lost * difference * (1 - difference)))
        loss = max(0.0, (root - b) / (4 * n))
        variance = n * (2 * loss + difference * (1 - difference))
        off = gained - lost - n * difference
        return off / sqrt(variance) if variance > 0 else (0.0 if off == 0 else float("inf") * off)

    low = _crossing(score, -1.0, value, z)
    high = _crossing(score, value, 1.0, -z)
    return Estimate(value=value, low=low, high=high, n=n, confidence=confidence, method=TANGO)


def _crossing(falling: Callable[[float], float], low: float, high: float, level: float) -> float:
    """Where a falling function crosses `level` between `low` and `high`; the nearer end where it does not."""
    for _ in range(80):
        middle = (low + high) / 2
        if falling(middle) > level:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def newcombe_paired(pairs: PassPairs, confidence: float = 0.95) -> Estimate:
    """The difference of two paired pass rates with Newcombe's interval from two Wilson intervals (his method 10).

    Raises ValueError if there is no pair.
    Source: Newcombe (1998), "Improved Confidence Intervals for the Difference Between Binomial Proportions Based on
    Paired Data", Statistics in Medicine 17(22).
    """
    n, a, b, c, d = pairs.n, pairs.both, pairs.only_treatment, pairs.only_control, pairs.neither
    treatment, control = wilson(a + b, n, confidence), wilson(a + c, n, confidence)
    margins = (a + b) * (c + d) * (a + c) * (b + d)
    together = float(a * d - b * c)
    if together > 0:
        together = max(0.0, together - n / 2)
    phi = together / sqrt(margins) if margins else 0.0
    down, up = treatment.value - treatment.low, treatment.high - treatment.value
    other_down, other_up = control.value - control.low, control.high - control.value
    value = pairs.difference
    return Estimate(
        value=value,
        low=value - sqrt(max(0.0, down**2 - 2 * phi * down * other_up + other_up**2)),
        high=value + sqrt(max(0.0, up**2 - 2 * phi * up * other_down + other_down**2)),
        n=n,
        confidence=confidence,
        method=NEWCOMBE,
    )


# Scores


def paired_t(
    control: "ArrayLike", treatment: "ArrayLike", *, alternative: Alternative = "two-sided", confidence: float = 0.95
) -> Outcome:
    """Student's t test of the mean difference, treatment minus control, in the unit of the scores.

    Both hold one score per case, shape (n,), in the same case order. The interval is two-sided whatever the
    `alternative`. Raises ValueError if the shapes differ.
    Source: Student (1908), "The Probable Error of a Mean", Biometrika 6(1); the rule about skewness: Cochran (1977),
    "Sampling Techniques", section 2.15.

    >>> found = paired_t([0.5, 1, 0, 0.5] * 5, [1, 1, 1, 0.5] * 5)
    >>> print(f"t={found.statistic:.2f} df={found.df:.0f} p={found.p:.4f}")
    t=3.94 df=19 p=0.0009
    """
    differences = _differences(control, treatment)
    if (why := unfit(differences, what="pairs")) is not None:
        return why
    n, mean, deviation = differences.size, float(differences.mean()), float(differences.std(ddof=1))
    if deviation <= 1e-12 * abs(mean) or deviation == 0:
        return Undetermined(reason="no spread", why=f"all {n} differences are {mean:.6g}", n=n)
    return t_test(
        mean,
        deviation / sqrt(n),
        n - 1.0,
        n,
        name="paired t test",
        alternative=alternative,
        confidence=confidence,
        doubts=skew_doubts(differences),
    )


def t_test(
    value: float,
    error: float,
    df: float,
    n: int,
    *,
    name: str,
    alternative: Alternative,
    confidence: float,
    doubts: tuple[str, ...] = (),
    notes: tuple[str, ...] = (),
) -> Determined:
    """A value against 0 by its standard error and degrees of freedom, with Student's interval."""
    from scipy.special import stdtr, stdtrit

    t = value / error
    half = float(stdtrit(df, (1 + checked(confidence)) / 2)) * error
    tails = {"two-sided": 2 * stdtr(df, -abs(t)), "less": stdtr(df, t), "greater": stdtr(df, -t)}
    return Determined(
        method=name,
        p=float(tails[alternative]),
        statistic=t,
        df=df,
        effect=Estimate(
            value=value, low=value - half, high=value + half, n=n, confidence=confidence, method="Student t interval"
        ),
        alternative=alternative,
        notes=notes,
        doubts=doubts,
    )


def skew_doubts(values: "Numbers", what: str = "differences") -> tuple[str, ...]:
    """Why Student's interval may miss its level on `values`, shape (n,): too few, or too skewed for their number."""
    n = values.size
    if n < LEAST_PAIRS:
        return (f"{n} {what}: too few to know their shape, and Student's interval depends on it below {LEAST_PAIRS}",)
    centred = values - values.mean()
    skewness = float((centred**3).mean() / (centred**2).mean() ** 1.5)
    # What normal values show by chance in 9 of 10 samples is no reason to doubt.
    by_chance = 1.64 * sqrt(6 * n * (n - 1) / ((n - 2) * (n + 1) * (n + 3)))
    wanted = ceil(SKEW_PAYS * skewness**2)
    if abs(skewness) <= by_chance or n >= wanted:
        return ()
    return (f"{n} {what} with a skewness of {skewness:.1f}, for which Student's interval needs {wanted}",)


def wilcoxon(
    control: "ArrayLike", treatment: "ArrayLike", *, alternative: Alternative = "two-sided", confidence: float = 0.95
) -> Outcome:
    """Wilcoxon's signed-rank test, with the Hodges-Lehmann estimate of the typical difference and its interval.

    Shapes (n,), in the same case order; the effect has the unit of the scores. Pairs without a difference say nothing
    to the test and are left out of it (and noted), but count in the estimate, the median of all pairwise means of
    differences. With up to 200 differences the distribution is counted out, ties included; beyond, it is normal with
    the correction for ties. Time n^2, or n log n beyond 2,000 pairs. Raises ValueError if the shapes differ.
    Source: Wilcoxon (1945), Biometrics Bulletin 1(6); Hodges & Lehmann (1963), Annals of Mathematical Statistics
    34(2); Hollander, Wolfe & Chicken (2014), "Nonparametric Statistical Methods", section 3.1 to 3.3.

    >>> found = wilcoxon([0] * 8, [1.1, 2.3, 0.4, -0.2, 1.7, 2.9, 0.8, 1.5])
    >>> print(f"p={found.p:.4f} {found.effect.value:.3f} [{found.effect.low:.2f}, {found.effect.high:.2f}]")
    p=0.0156 1.325 [0.40, 2.30]
    """
    import numpy as np
    from scipy.special import ndtr

    differences = _differences(control, treatment)
    if (why := unfit(differences, least=1, what="pairs")) is not None:
        return why
    moved = differences[differences != 0]
    if moved.size == 0:
        return Undetermined(reason="no spread", why=f"all {differences.size} differences are 0", n=differences.size)
    ranks, ties = mid_ranks(np.abs(moved))
    up, m = float(ranks[moved > 0].sum()), moved.size
    if m <= EXACT_RANKS:
        chances = signed_rank_chances(ranks)
        # Twice the rank sum is whole even with ties.
        place = round(2 * up)
        at_most, at_least = float(chances[: place + 1].sum()), float(chances[place:].sum())
        statistic = up
    else:
        mean = m * (m + 1) / 4
        deviation = sqrt(m * (m + 1) * (2 * m + 1) / 24 - float((ties**3 - ties).sum()) / 48)
        statistic = (up - mean) / deviation
        at_most, at_least = float(ndtr(statistic)), float(ndtr(-statistic))
    tails = {"two-sided": min(1.0, 2 * min(at_most, at_least)), "less": min(1.0, at_most)}
    effect, attained = _hodges_lehmann(differences, checked(confidence))
    notes = [f"{differences.size - m} pairs without a difference"] if m < differences.size else []
    if (ties > 1).any():
        notes.append("tied differences: the interval is conservative")
    short = f"{differences.size} pairs, which cannot give an interval of {confidence:.0%}"
    return Determined(
        method="Wilcoxon signed-rank test, " + ("exact" if m <= EXACT_RANKS else "normal approximation"),
        p=tails.get(alternative, min(1.0, at_least)),
        statistic=statistic,
        effect=effect,
        alternative=alternative,
        notes=tuple(notes),
        doubts=() if attained else (short,),
    )


def signed_rank_chances(ranks: "Numbers") -> "Numbers":
    """The chance of every value of twice the sum of the positive ranks, when each sign is a fair coin.

    `ranks`, shape (n,), may be mid-ranks; the answer has the shape (2 sum(ranks) + 1,).
    """
    import numpy as np

    doubled = np.rint(2 * ranks).astype(np.intp)
    chances = np.zeros(int(doubled.sum()) + 1)
    chances[0] = 1.0
    reached = 0
    for rank in doubled.tolist():
        reached += rank
        chances[rank : reached + 1] = (chances[rank : reached + 1] + chances[: reached - rank + 1]) / 2
        chances[:rank] /= 2
    return chances


def _hodges_lehmann(differences: "Numbers", confidence: float) -> tuple[Estimate, bool]:
    """The median of the pairwise means with the bounds that Wilcoxon's test does not reject; and whether n is enough
    for the level."""
    import numpy as np

    n = differences.size
    pairs = n * (n + 1) // 2
    if n <= EXACT_RANKS:
        below = np.cumsum(signed_rank_chances(np.arange(1.0, n + 1))[::2])
        cut = int(np.searchsorted(below, (1 - confidence) / 2 * (1 - 1e-12)))
    else:
        cut = round(n * (n + 1) / 4 - normal_quantile(confidence) * sqrt(n * (n + 1) * (2 * n + 1) / 24))
    attained = cut > 0
    cut = max(1, cut)
    wanted = [cut - 1, (pairs - 1) // 2, pairs // 2, pairs - cut]
    low, lower, upper, high = _walsh(np.sort(differences), wanted)
    estimate = Estimate(
        value=(lower + upper) / 2,
        low=low,
        high=high,
        n=n,
        confidence=confidence,
        method="Hodges-Lehmann interval",
    )
    return estimate, attained


def _walsh(rising: "Numbers", places: list[int]) -> list[float]:
    """The pairwise means (each value with itself too) of sorted values that stand at these places, from 0."""
    import numpy as np

    n = rising.size
    if n <= WALSH:
        one, two = np.triu_indices(n)
        means = np.partition((rising[one] + rising[two]) / 2, sorted(set(places)))
        return [float(means[place]) for place in places]

    def at_most(level: float) -> int:
        # Pairs (i <= j) whose mean is no higher: for each i as many j as lie below, from i on.
        reach = np.searchsorted(rising, 2 * level - rising, side="right")
        return int(np.maximum(0, reach - np.arange(n)).sum())

    found = []
    for place in places:
        low, high = float(rising[0]), float(rising[-1])
        for _ in range(100):
            middle = (low + high) / 2
            if at_most(middle) > place:
                high = middle
            else:
                low = middle
        found.append(high)
    return found


def _differences(control: "ArrayLike", treatment: "ArrayLike") -> "Numbers":
    import numpy as np

    one, two = np.asarray(control, dtype=np.float64), np.asarray(treatment, dtype=np.float64)
    if one.shape != two.shape or one.ndim != 1:
        raise ValueError(f"pairs need two rows of one length; got shapes {one.shape} and {two.shape}")
    with np.errstate(invalid="ignore"):  # inf - inf is a NaN, which the caller names
        differences: Numbers = two - one
    return differences
