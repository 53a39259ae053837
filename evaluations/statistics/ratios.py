"""Ratios of sums, such as cost per success or passes per request, where the independent unit is a user.

A user with many requests is still one unit: numerators and denominators are summed per user first, and their
covariance over users is what the interval stands on.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from evaluations.estimates import Estimate
from evaluations.statistics.differences import Differences, differences_from, first_trouble
from evaluations.statistics.outcomes import Outcome
from evaluations.statistics.two_samples import Moments, doubts_of_means

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

DELTA = "delta method for a ratio"
ONE_RATIO = f"{DELTA}, Student t interval"
LEAST_UNITS = 100
"""Per arm; below, the normal approximation is not measured."""
LARGEST_NOISE = 0.1
"""Of the denominator's mean, as its standard error over its size: beyond it a ratio is bent too much."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PairMoments:
    """Two values for each unit over many samples: arrays that broadcast, one place for each sample."""

    n: "Floats"
    """Independent units, such as users."""
    mean: "Floats"
    """Of the numerator (or of the value) per unit."""
    other_mean: "Floats"
    """Of the denominator (or of the covariate) per unit."""
    variance: "Floats"
    other_variance: "Floats"
    covariance: "Floats"
    """All three over n - 1; NaN where n < 2."""

    @classmethod
    def of(cls, values: "ArrayLike", others: "ArrayLike") -> "PairMoments":
        """Of one sample, both shapes (n,). Raises ValueError when the shapes differ."""
        import numpy as np

        first, second = np.asarray(values, dtype=np.float64), np.asarray(others, dtype=np.float64)
        if first.shape != second.shape or first.ndim != 1:
            raise ValueError(f"two values for each unit; got shapes {first.shape} and {second.shape}")
        one = np.ones(())
        n = one * first.size
        with np.errstate(all="ignore"):
            mean, other_mean = (one * each.mean() if each.size else one * np.nan for each in (first, second))
            rest = first - mean, second - other_mean
            variance, other_variance, covariance = (
                np.where(n > 1, (left * right).sum() / np.maximum(n - 1, 1), np.nan)
                for left, right in ((rest[0], rest[0]), (rest[1], rest[1]), rest)
            )
        return cls(
            n=n,
            mean=mean,
            other_mean=other_mean,
            variance=variance,
            other_variance=other_variance,
            covariance=covariance,
        )

    @classmethod
    def from_sums(
        cls,
        n: "ArrayLike",
        total: "ArrayLike",
        other_total: "ArrayLike",
        squares: "ArrayLike",
        other_squares: "ArrayLike",
        products: "ArrayLike",
    ) -> "PairMoments":
        """From sums over units of x, y, x², y² and xy, as one aggregation yields them."""
        import numpy as np

        size, x, y, xx, yy, xy = (
            np.asarray(each, dtype=np.float64) for each in (n, total, other_total, squares, other_squares, products)
        )
        with np.errstate(all="ignore"):
            rest = np.where(size > 1, size - 1, np.nan)
            return cls(
                n=size,
                mean=x / size,
                other_mean=y / size,
                variance=(xx - x * x / size) / rest,
                other_variance=(yy - y * y / size) / rest,
                covariance=(xy - x * y / size) / rest,
            )


def ratio_differences(
    treatment: PairMoments, control: PairMoments, *, confidence: float = 0.95, relative: bool = False
) -> Differences:
    """Ratio of sums of the treatment minus that of the control (or its fraction of it), arrays of experiments at once.

    Units are independent within and between the arms; degrees of freedom as for Welch's test. Domain: a hundred units
    or more an arm and a denominator whose mean is known to a tenth; `doubts_of_ratio` says where not.
    Source: Deng, Knoblich and Lu (2018), "Applying the Delta Method in Metric Analytics", KDD, section 3.

    >>> control = PairMoments.of([2.0, 1.0, 3.0, 2.0], [4.0, 3.0, 5.0, 4.0])
    >>> treatment = PairMoments.of([3.0, 2.0, 4.0, 3.0], [4.0, 3.0, 5.0, 4.0])
    >>> found = ratio_differences(treatment, control)
    >>> print(f"{found.value:.3f} se={found.standard_error:.3f}")
    0.250 se=0.057
    """
    import numpy as np

    with np.errstate(all="ignore"):
        ratios = treatment.mean / treatment.other_mean, control.mean / control.other_mean
        parts = tuple(_variance(arm, ratio) for arm, ratio in zip((treatment, control), ratios, strict=True))
        value, spread = ratios[0] - ratios[1], parts[0] + parts[1]
        no_baseline = ~((np.abs(treatment.other_mean) > 0) & (np.abs(control.other_mean) > 0))
        if relative:
            no_baseline = no_baseline | ~(np.abs(ratios[1]) > 0)
            spread = parts[0] / ratios[1] ** 2 + parts[1] * ratios[0] ** 2 / ratios[1] ** 4
            value = value / ratios[1]
        known = np.isfinite(treatment.mean + treatment.other_mean + control.mean + control.other_mean)
        trouble = first_trouble(
            (np.minimum(treatment.n, control.n) < 0, "out of range"),
            (np.minimum(treatment.n, control.n) == 0, "empty"),
            (~known, "not finite"),
            (np.minimum(treatment.n, control.n) < 2, "too few"),
            (no_baseline, "no baseline"),
            (~np.isfinite(spread), "not finite"),
            (spread <= 0, "no spread"),
        )
        return differences_from(
            value,
            np.sqrt(spread),
            (parts[0] + parts[1]) ** 2 / (parts[0] ** 2 / (treatment.n - 1) + parts[1] ** 2 / (control.n - 1)),
            np.add(treatment.n, control.n),
            trouble,
            confidence=confidence,
            method=DELTA,
            relative=relative,
        )


def ratios_against_zero(arm: PairMoments, *, confidence: float = 0.95) -> Differences:
    """Ratios of sums of many samples against zero, with Student's interval over the units.

    Source: Cochran (1977), "Sampling Techniques", 3rd edition, equation 6.13.

    >>> found = ratios_against_zero(PairMoments.of([2.0, 1.0, 3.0, 2.0], [4.0, 3.0, 5.0, 4.0]))
    >>> print(f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]")
    0.50 [0.34, 0.66]
    """
    import numpy as np

    with np.errstate(all="ignore"):
        value = arm.mean / arm.other_mean
        spread = _variance(arm, value)
        trouble = first_trouble(
            (arm.n == 0, "empty"),
            (~np.isfinite(arm.mean + arm.other_mean), "not finite"),
            (arm.n < 2, "too few"),
            (~(np.abs(arm.other_mean) > 0), "no baseline"),
            (~np.isfinite(spread), "not finite"),
            (spread <= 0, "no spread"),
        )
        return differences_from(
            value, np.sqrt(spread), arm.n - 1, arm.n, trouble, confidence=confidence, method=ONE_RATIO
        )


def ratio_difference(
    treatment: PairMoments, control: PairMoments, *, confidence: float = 0.95, relative: bool = False
) -> Outcome:
    """One comparison of two ratios, with its doubts; see `ratio_differences`."""
    found = ratio_differences(treatment, control, confidence=confidence, relative=relative)
    return found.one((), doubts=doubts_of_ratio(treatment, control))


def doubts_of_ratio(
    treatment: PairMoments, control: PairMoments, *, assumed_skew: float | None = None
) -> tuple[str, ...]:
    """In what a single pair leaves the domain of the delta method.

    Sums do not show how skewed the units are: `assumed_skew` says how skewed they may be, and is judged as for means.
    """
    import numpy as np

    doubts = []
    least = int(min(np.min(treatment.n), np.min(control.n)))
    if least < LEAST_UNITS:
        doubts.append(f"only {least} units in an arm; the delta method is measured for {LEAST_UNITS} or more")
    with np.errstate(all="ignore"):
        noise = max(
            float(np.max(np.sqrt(arm.other_variance / arm.n) / np.abs(arm.other_mean))) for arm in (treatment, control)
        )
    if noise > LARGEST_NOISE:
        doubts.append(f"the denominator is known to {noise:.0%} only; measured up to {LARGEST_NOISE:.0%}")
    if assumed_skew is not None and not doubts:
        doubts += doubts_of_means(*(_as_mean(arm, assumed_skew) for arm in (treatment, control)))
    return tuple(doubts)


def _as_mean(arm: PairMoments, assumed_skew: float) -> Moments:
    """The ratio as the mean over units that the delta method makes of it."""
    import numpy as np

    with np.errstate(all="ignore"):
        ratio = arm.mean / arm.other_mean
        return Moments(n=arm.n, mean=ratio, variance=_variance(arm, ratio) * arm.n, assumed_skew=assumed_skew)


def ratio_of(arm: PairMoments, *, confidence: float = 0.95) -> Estimate | None:
    """The ratio of the sums of one sample with its interval; None, not measured, when the denominator sums to nothing.

    For values that cannot be negative, such as a cost: the lower bound is kept at 0. The interval is Student's over the
    units, infinite from one unit; with few of them, or a denominator that hardly ever occurs, it is too narrow.
    Source: Cochran (1977), "Sampling Techniques", 3rd edition, equation 6.13.

    >>> ratio = ratio_of(PairMoments.from_sums(4, 10, 2, 30, 2, 6))
    >>> print(f"{ratio.value:.2f} [{ratio.low:.2f}, {ratio.high:.2f}] n={ratio.n}")
    5.00 [0.00, 13.22] n=4
    """
    from scipy.special import stdtrit

    n, denominator = int(arm.n), float(arm.other_mean)
    if not denominator > 0:
        return None
    ratio = float(arm.mean) / denominator
    half = float("inf")
    if n > 1:
        # Rounding may leave a little less than nothing.
        spread = max(float(_variance(arm, arm.mean / arm.other_mean)), 0.0)
        half = float(stdtrit(n - 1, (1 + confidence) / 2)) * spread**0.5
    return Estimate(
        value=ratio, low=max(ratio - half, 0.0), high=ratio + half, n=n, confidence=confidence, method=ONE_RATIO
    )


def _variance(arm: PairMoments, ratio: "Floats") -> "Floats":
    """Of the ratio itself: the variance of what numerator and denominator leave unexplained of each other."""
    left = arm.variance - 2 * ratio * arm.covariance + ratio**2 * arm.other_variance
    variance: Floats = left / (arm.n * arm.other_mean**2)
    return variance
