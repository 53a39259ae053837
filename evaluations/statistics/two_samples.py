"""Means of two independent samples: Welch's test, from raw values or from n, mean and variance of many experiments."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evaluations.statistics.differences import Differences, differences_from, first_trouble
from evaluations.statistics.outcomes import Alternative, Outcome, unfit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

WELCH = "Welch's t test"
STUDENT = "Student's t test"
LEAST_PER_ARM = 30
"""Below so many units in an arm neither its spread nor its shape is known well enough."""
SKEW_LIMIT = 0.15
"""Largest skewness of the difference of means, in its own standard errors, at which the interval keeps its level."""
ASSUMED_SKEW = 6.2
"""Where the skewness of the values is not given they may be as skewed as a log-normal of sigma 1, like a latency."""
MODEST_SKEW = 2.7
"""That of a yes or no of which a tenth is yes: what scores between bounds are taken for where it is not given."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Moments:
    """Sizes, means and variances of samples; arrays that broadcast, one place for each sample.

    Units are independent: users, sessions or cases, never several requests of one user.
    """

    n: "Floats"
    mean: "Floats"
    variance: "Floats"
    """Over n - 1, in the square of the data's unit; NaN where n < 2."""
    skew: "Floats | None" = None
    """Third standardised moment; None when it is not known."""
    assumed_skew: float = ASSUMED_SKEW
    """What is taken in its place where it is not known."""

    @classmethod
    def of(cls, values: "ArrayLike") -> "Moments":
        """The moments of one sample, shape (n,), or of many, shape (samples, n)."""
        import numpy as np

        sample = np.atleast_2d(np.asarray(values, dtype=np.float64))
        n = sample.shape[-1]
        nothing = np.full(sample.shape[0], np.nan)
        if n == 0:
            return cls(n=np.zeros(sample.shape[0]), mean=nothing, variance=nothing, skew=nothing)
        with np.errstate(all="ignore"):
            mean = sample.mean(axis=-1)
            centred = sample - mean[:, None]
            squares = (centred**2).sum(axis=-1)
            # m3 / m2^1.5 with the moments over n, as scipy.stats.skew has it.
            skew = (centred**3).mean(axis=-1) / (squares / n) ** 1.5
            variance = squares / (n - 1) if n > 1 else nothing
        return cls(n=np.full(sample.shape[0], float(n)), mean=mean, variance=variance, skew=skew)

    @classmethod
    def from_sums(
        cls, n: "ArrayLike", total: "ArrayLike", squares: "ArrayLike", *, cubes: "ArrayLike | None" = None
    ) -> "Moments":
        """From counts, sums, sums of squares and, where they are there, of cubes, as one aggregation yields them.

        Sums of squares lose digits where the mean is large beside the spread: a variance below the rounding of the
        sums becomes zero.
        """
        import numpy as np

        size, first, second = (np.asarray(each, dtype=np.float64) for each in (n, total, squares))
        with np.errstate(all="ignore"):
            mean = first / size
            spread = second - first * mean
            rounding = 8 * np.finfo(np.float64).eps * np.abs(second)
            spread = np.where(np.abs(spread) <= rounding, 0.0, spread)
            variance = np.where(size > 1, spread / (size - 1), np.nan)
            skew = None
            if cubes is not None:
                third = np.asarray(cubes, dtype=np.float64) / size - 3 * mean * second / size + 2 * mean**3
                skew = third / (spread / size) ** 1.5
        return cls(n=size, mean=mean, variance=variance, skew=skew)

    @classmethod
    def of_shares(cls, successes: "ArrayLike", n: "ArrayLike") -> "Moments":
        """Of yes-or-no values, with the variance p(1 - p), as the engines of web experiments have it."""
        import numpy as np

        hits, size = np.asarray(successes, dtype=np.float64), np.asarray(n, dtype=np.float64)
        with np.errstate(all="ignore"):
            share = hits / size
            variance = share * (1 - share)
            return cls(n=size, mean=share, variance=variance, skew=(1 - 2 * share) / np.sqrt(variance))


def welch(
    treatment: "Sequence[float] | Floats",
    control: "Sequence[float] | Floats",
    *,
    confidence: float = 0.95,
    relative: bool = False,
    alternative: Alternative = "two-sided",
) -> Outcome:
    """Difference of the means of two independent samples, shapes (n,) and (m,), with Welch's interval and p.

    The estimate has the unit of the values, or is a fraction of the control's mean where `relative`. Domain: 30 or
    more per arm, and skewness that the sizes of the arms wear off; otherwise the result says in `doubts` what is wrong.
    Raises ValueError for arrays that are not flat.
    Source: Welch (1947), "The Generalization of 'Student's' Problem", Biometrika 34; Satterthwaite (1946), Biometrics
    Bulletin 2(6), for the degrees of freedom.

    >>> found = welch([0.9, 0.7, 0.8, 1.0], [0.5, 0.6, 0.4, 0.7])
    >>> print(f"{found.effect.value:.3f} [{found.effect.low:.3f}, {found.effect.high:.3f}] p={found.p:.3f}")
    0.300 [0.077, 0.523] p=0.017
    """
    import numpy as np

    treated, controlled = (np.asarray(each, dtype=np.float64) for each in (treatment, control))
    if treated.ndim != 1 or controlled.ndim != 1:
        raise ValueError(f"two flat samples are compared; got shapes {treated.shape} and {controlled.shape}")
    for sample, what in ((treated, "values of the treatment"), (controlled, "values of the control")):
        if trouble := unfit(sample, what=what):
            return trouble
    arms = Moments.of(treated), Moments.of(controlled)
    found = welch_many(*arms, confidence=confidence, relative=relative, alternative=alternative)
    return found.one(doubts=doubts_of_means(*arms))


def welch_many(
    treatment: Moments,
    control: Moments,
    *,
    confidence: float = 0.95,
    relative: bool = False,
    alternative: Alternative = "two-sided",
    null: float = 0.0,
) -> Differences:
    """Welch's test for arrays of experiments at once; the arrays of both arms broadcast against each other.

    Relative differences have the delta method's variance, with both arms' noise in it; `null` is the difference under
    the null hypothesis, in the unit of the result.
    Source: as `welch`; for the ratio Deng et al. (2018), "Applying the Delta Method in Metric Analytics", KDD.

    >>> a, b = Moments.from_sums(3407, 1396.87, 52377.9767), Moments.from_sums(3461, 2422.7, 134698.29)
    >>> found = welch_many(b, a)
    >>> print(f"{found.value:.3f} se={found.standard_error:.4f} p={found.p:.5f}")
    0.290 se=0.1248 p=0.02016
    """
    import numpy as np

    with np.errstate(all="ignore"):
        of_treatment, of_control = treatment.variance / treatment.n, control.variance / control.n
        spread = of_treatment + of_control
        # Welch and Satterthwaite: the spread's own degrees of freedom, from those of its two parts.
        df = spread**2 / (of_treatment**2 / (treatment.n - 1) + of_control**2 / (control.n - 1))
        value = treatment.mean - control.mean
        trouble = _trouble(treatment, control, spread)
        if relative:
            of_ratio = of_treatment / control.mean**2 + of_control * treatment.mean**2 / control.mean**4
            unsure = ~(np.abs(control.mean) > 0)
            trouble = np.where((trouble == -1) & unsure, first_trouble((unsure, "no baseline")), trouble)
            value, spread = value / control.mean, of_ratio
        return differences_from(
            value,
            np.sqrt(spread),
            df,
            np.add(treatment.n, control.n),
            trouble,
            confidence=confidence,
            method=WELCH,
            relative=relative,
            alternative=alternative,
            null=null,
        )


def means_against_zero(of: Moments, *, confidence: float = 0.95) -> Differences:
    """Means of many samples, such as paired differences, against zero, with Student's interval.

    Source: Student (1908), "The Probable Error of a Mean", Biometrika 6(1).

    >>> found = means_against_zero(Moments.of([1.0, 2.0, 0.0, 1.5]))
    >>> print(f"{found.value[0]:.3f} [{found.low[0]:.2f}, {found.high[0]:.2f}]")
    1.125 [-0.23, 2.48]
    """
    import numpy as np

    with np.errstate(all="ignore"):
        error = np.sqrt(of.variance / of.n)
    trouble = first_trouble(
        (of.n == 0, "empty"),
        (~np.isfinite(of.mean), "not finite"),
        (of.n < 2, "too few"),
        (~np.isfinite(error), "not finite"),
        (error <= 0, "no spread"),
    )
    return differences_from(of.mean, error, of.n - 1, of.n, trouble, confidence=confidence, method=STUDENT)


def doubts_of_means(treatment: Moments, control: Moments) -> tuple[str, ...]:
    """In what a single pair of samples leaves the domain of an interval for the difference of means.

    Skewness bends the interval by as much as it shows in the difference of means, where it falls with the root of n.
    That of equal arms would cancel, but a sample that is lucky enough to look symmetric is the one whose interval
    misses: so both arms count in full, with what few units hide of a tail, and nothing is concluded from fewer than 30.
    Where the skewness is not given, the assumed one of the moments counts.
    Source: Hall (1992), "The Bootstrap and Edgeworth Expansion", section 2.6, for its part in the error of coverage;
    Cochran (1977), "Sampling Techniques", section 2.15, for judging it before the interval.

    >>> doubts_of_means(Moments.of([1, 2, 3]), Moments.of([1, 2, 4]))[0]
    'only 3 units in an arm; the interval is measured for 30 or more'
    """
    least = int(min(treatment.n.min(), control.n.min()))
    doubts = []
    if least < LEAST_PER_ARM:
        doubts.append(f"only {least} units in an arm; the interval is measured for {LEAST_PER_ARM} or more")
    if min(treatment.variance.min(), control.variance.min()) == 0:
        doubts.append("all values of one arm are equal: nothing is known of its noise")
    skew = float(skew_of_difference(treatment, control).max())
    if skew > SKEW_LIMIT:
        known = "" if treatment.skew is not None and control.skew is not None else " (assumed: it was not given)"
        doubts.append(
            f"the values are too skewed for so few units: skewness {skew:.2f} of the difference{known}, "
            f"measured up to {SKEW_LIMIT:g}"
        )
    return tuple(doubts)


def skew_of_difference(treatment: Moments, control: Moments) -> "Floats":
    """Largest skewness of estimated differences of means, for arrays of pairs; 0 where there is no spread."""
    import numpy as np

    with np.errstate(all="ignore"):
        spread = treatment.variance / treatment.n + control.variance / control.n
        parts = [_suspected_skew(arm) * arm.variance**1.5 / arm.n**2 for arm in (treatment, control)]
        return np.nan_to_num(np.asarray((parts[0] + parts[1]) / spread**1.5))


def _suspected_skew(arm: Moments) -> "Floats":
    """What the sample shows beyond chance, and what so few units hide of a long tail."""
    import numpy as np

    n = np.asarray(arm.n)
    if arm.skew is None:
        return np.full(np.shape(arm.mean), arm.assumed_skew)
    seen = np.abs(arm.skew)
    # Two standard errors of the skewness of normal values.
    by_chance = 2 * np.sqrt(6 * n * (n - 1) / ((n - 2) * (n + 1) * (n + 3)))
    return np.where(seen <= by_chance, 0.0, seen * (1 + 5 / np.sqrt(n)))


def _trouble(treatment: Moments, control: Moments, spread: "Floats") -> "NDArray[np.int8]":
    import numpy as np

    def either(test: "tuple[NDArray[np.bool_], NDArray[np.bool_]]") -> "NDArray[np.bool_]":
        return np.logical_or(*test)

    n, mean, variance = ((getattr(treatment, name), getattr(control, name)) for name in ("n", "mean", "variance"))
    return first_trouble(
        (either((n[0] < 0, n[1] < 0)), "out of range"),
        (either((n[0] == 0, n[1] == 0)), "empty"),
        (either((~np.isfinite(mean[0]), ~np.isfinite(mean[1]))), "not finite"),
        (either((n[0] < 2, n[1] < 2)), "too few"),
        (either((variance[0] < 0, variance[1] < 0)), "out of range"),
        (~np.isfinite(spread), "not finite"),
        (spread <= 0, "no spread"),
    )
