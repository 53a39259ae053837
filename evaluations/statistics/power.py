"""Planning: the power of a size, the size for a power, and the smallest effect that a size can show.

Effects and standard deviations share the metric's unit; shares are fractions. All tests are two-sided.
"""

from collections.abc import Callable
from math import ceil, inf, sqrt
from typing import Final

from evaluations.statistics.differences import check_confidence

LARGEST_N: Final = 10**12
"""A size beyond which nothing is planned."""


def power_of_means(
    effect: float,
    sd: float,
    n: float,
    *,
    control_n: float | None = None,
    control_sd: float | None = None,
    alpha: float = 0.05,
) -> float:
    """The power of Welch's test for a difference of two means, `n` units in the treatment, `control_n` in the control.

    Exact for equal spreads and sizes; else with Satterthwaite's degrees of freedom. Raises ValueError for a spread
    that is not positive or sizes below two.
    Source: Cohen (1988), "Statistical Power Analysis for the Behavioral Sciences", section 2; noncentral t.

    >>> round(power_of_means(0.5, 1.0, 64), 4)
    0.8015
    """
    from scipy.special import nctdtr, stdtrit

    m, other = n if control_n is None else control_n, sd if control_sd is None else control_sd
    _check(alpha=alpha, positive=(sd, other), sizes=(n, m))
    parts = sd * sd / n, other * other / m
    df = (parts[0] + parts[1]) ** 2 / (parts[0] ** 2 / (n - 1) + parts[1] ** 2 / (m - 1))
    shift = abs(effect) / sqrt(parts[0] + parts[1])
    limit = float(stdtrit(df, 1 - alpha / 2))
    return _between(1 - float(nctdtr(df, shift, limit)) + float(nctdtr(df, shift, -limit)), shift, limit)


def power_of_pairs(effect: float, sd_of_difference: float, pairs: float, *, alpha: float = 0.05) -> float:
    """The power of the paired t test: `pairs` cases, whose differences have this standard deviation.

    With a correlation r between the variants the differences have variance 2(1 - r) times that of the scores.
    Source: as `power_of_means`.

    >>> round(power_of_pairs(0.5, 1.0, 34), 3)
    0.808
    """
    from scipy.special import nctdtr, stdtrit

    _check(alpha=alpha, positive=(sd_of_difference,), sizes=(pairs,))
    shift = abs(effect) / sd_of_difference * sqrt(pairs)
    limit = float(stdtrit(pairs - 1, 1 - alpha / 2))
    return _between(1 - float(nctdtr(pairs - 1, shift, limit)) + float(nctdtr(pairs - 1, shift, -limit)), shift, limit)


def power_of_clusters(
    effect: float, sd: float, clusters: float, *, size: float, correlation: float, alpha: float = 0.05
) -> float:
    """The power for two arms of `clusters` users (or cases) each with `size` requests (or repeats).

    `correlation` is that of two requests of one user: the design effect is 1 + (size - 1) times it, so that more
    requests of the same users soon add nothing. Tested over cluster means.
    Source: Donner and Klar (2000), "Design and Analysis of Cluster Randomization Trials", chapter 5.

    >>> round(power_of_clusters(0.3, 1.0, 50, size=10, correlation=0.1), 3)
    0.926
    """
    return power_of_means(effect, _cluster_sd(sd, size, correlation), clusters, alpha=alpha)


def power_of_proportions(
    treatment: float, control: float, n: float, *, control_n: float | None = None, alpha: float = 0.05
) -> float:
    """The power of the pooled two-proportion z test for true shares `treatment` and `control`.

    Normal approximation: within a point where every cell expects ten or more.
    Source: Fleiss, Levin and Paik (2003), "Statistical Methods for Rates and Proportions", section 4.

    >>> round(power_of_proportions(0.821, 0.765, 820), 3)
    0.8
    """
    from scipy.special import ndtr, ndtri

    m = n if control_n is None else control_n
    _check(alpha=alpha, shares=(treatment, control), sizes=(n, m))
    apart = sqrt(treatment * (1 - treatment) / n + control * (1 - control) / m)
    together = (treatment * n + control * m) / (n + m)
    pooled = sqrt(together * (1 - together) * (1 / n + 1 / m))
    effect, limit = abs(treatment - control), float(ndtri(1 - alpha / 2)) * pooled
    if apart == 0:
        return 1.0 if effect > limit else 0.0
    return float(ndtr((effect - limit) / apart) + ndtr((-effect - limit) / apart))


def power_of_mcnemar(gained: float, lost: float, pairs: int, *, alpha: float = 0.05, mid_p: bool = False) -> float:
    """The power of McNemar's exact (or mid-p) test over `pairs` cases: shares `gained` and `lost` of them change sides.

    `gained`: fail under the control, pass under the treatment. Exact: summed over all numbers of discordant pairs.
    Source: Duffy (1984), "Asymptotic and Exact Power for the McNemar Test", Biometrics 40; Fagerland, Lydersen and
    Laake (2013), BMC Medical Research Methodology 13, for the mid-p test.

    >>> round(power_of_mcnemar(0.15, 0.05, 200), 3), round(power_of_mcnemar(0.15, 0.05, 200, mid_p=True), 3)
    (0.875, 0.903)
    """
    import numpy as np
    from scipy.special import bdtr, gammaln, xlogy

    _check(alpha=alpha, shares=(gained, lost, gained + lost), sizes=(pairs,))
    changed = gained + lost
    if changed == 0:
        return 0.0
    middle, spread = pairs * changed, sqrt(pairs * changed * (1 - changed))
    low, high = max(0, int(middle - 9 * spread - 9)), min(pairs, int(middle + 9 * spread + 9))
    total = 0.0
    share = gained / changed

    def chance(
        k: "np.ndarray[tuple[int], np.dtype[np.int64]]", n: int, p: float
    ) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
        chances: np.ndarray[tuple[int], np.dtype[np.float64]] = np.exp(
            gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1) + xlogy(k, p) + xlogy(n - k, 1 - p)
        )
        return chances

    weights = chance(np.arange(low, high + 1), pairs, changed)
    for discordant, weight in zip(range(max(low, 1), high + 1), weights[max(low, 1) - low :], strict=True):
        if weight < 1e-14:
            continue
        k = np.arange(discordant // 2 + 1)
        p = 2 * bdtr(k.astype(np.float64), discordant, 0.5)
        if mid_p:
            p = p - chance(k, discordant, 0.5)
        rejected = int((np.minimum(p, 1.0) <= alpha).sum())
        if rejected:
            # Reject when the smaller side has fewer than `rejected`: the tails of both ends.
            low_tail = float(bdtr(float(rejected - 1), discordant, share))
            high_tail = float(bdtr(float(rejected - 1), discordant, 1 - share))
            total += float(weight) * (low_tail + high_tail)
    return min(1.0, total)


def power_of_relative(effect: float, mean: float, variance: float, n: float, *, alpha: float = 0.05) -> float:
    """The power for a relative effect on a mean, `n` units in each arm, with the control's variance in both.

    By the normal distribution and the delta method, as engines of web experiments plan.
    Source: as `evaluations.statistics.two_samples.welch_many`.

    >>> round(power_of_relative(0.05, 0.1, 0.09, 1500), 3)
    0.073
    """
    from scipy.special import ndtr, ndtri

    _check(alpha=alpha, positive=(variance, abs(mean)), sizes=(n,))
    error = sqrt(variance / (mean * mean * n) * (1 + (1 + effect) ** 2))
    limit = float(ndtri(1 - alpha / 2))
    return float(ndtr(effect / error - limit) + ndtr(-effect / error - limit))


# Backwards: the size for a power, and the effect a size can show


def size_for(power_at: Callable[[int], float], power: float = 0.8) -> int | None:
    """The smallest size at which `power_at(size)` reaches `power`; None when no size up to a trillion does.

    >>> size_for(lambda n: power_of_means(0.5, 1.0, n))
    64
    """
    check_confidence(power)
    high = 2
    while power_at(high) < power:
        high *= 2
        if high > LARGEST_N:
            return None
    low = max(1, high // 2)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power_at(middle) >= power else (middle, high)
    return high


def size_for_means(effect: float, sd: float, *, power: float = 0.8, alpha: float = 0.05) -> int | None:
    """Units per arm for a difference of two means; None when no size shows it (an effect of zero).

    >>> size_for_means(0.5, 1.0)
    64
    """
    return None if effect == 0 else size_for(lambda n: power_of_means(effect, sd, n, alpha=alpha), power)


def size_for_pairs(effect: float, sd_of_difference: float, *, power: float = 0.8, alpha: float = 0.05) -> int | None:
    """Cases for a mean difference of pairs; None for an effect of zero.

    >>> size_for_pairs(0.5, 1.0)
    34
    """
    return None if effect == 0 else size_for(lambda n: power_of_pairs(effect, sd_of_difference, n, alpha=alpha), power)


def size_for_clusters(
    effect: float, sd: float, *, size: float, correlation: float, power: float = 0.8, alpha: float = 0.05
) -> int | None:
    """Users per arm, each with `size` requests; None for an effect of zero."""
    return size_for_means(effect, _cluster_sd(sd, size, correlation), power=power, alpha=alpha)


def size_for_proportions(treatment: float, control: float, *, power: float = 0.8, alpha: float = 0.05) -> int | None:
    """Units per arm for two shares; None where they are equal.

    >>> size_for_proportions(0.821, 0.765)
    821
    """
    if treatment == control:
        return None
    return size_for(lambda n: power_of_proportions(treatment, control, n, alpha=alpha), power)


def size_for_mcnemar(
    gained: float, lost: float, *, power: float = 0.8, alpha: float = 0.05, mid_p: bool = False
) -> int | None:
    """Cases of which the shares `gained` and `lost` change sides; None where they are equal.

    Starts from Connor's formula, then takes exact powers. An exact power saws up and down with n; the size returned
    is one that reaches the power.
    Source: Connor (1987), "Sample Size for Testing Differences in Proportions for the Paired-Sample Design",
    Biometrics 43.

    >>> size_for_mcnemar(0.15, 0.05, mid_p=True)
    152
    """
    from scipy.special import ndtri

    if gained == lost:
        return None
    changed, effect = gained + lost, abs(gained - lost)
    z, z_power = float(ndtri(1 - alpha / 2)), float(ndtri(power))
    n = ceil((z * sqrt(changed) + z_power * sqrt(changed - effect * effect)) ** 2 / effect**2)

    def reached(pairs: int) -> bool:
        return power_of_mcnemar(gained, lost, pairs, alpha=alpha, mid_p=mid_p) >= power

    step = max(1, n // 200)
    while not reached(n):
        n += step
    while n > 2 and reached(n - step):
        n -= step
    return n


def detectable(power_at: Callable[[float], float], *, highest: float, power: float = 0.8) -> float | None:
    """The smallest effect in (0, highest] whose `power_at(effect)` reaches `power`; None when even the highest fails.

    >>> found = detectable(lambda rise: power_of_proportions(0.765 + rise, 0.765, 100), highest=0.234)
    >>> print(f"{found:.3f}")
    0.145
    """
    from scipy.optimize import brentq

    check_confidence(power)
    if power_at(highest) < power:
        return None
    return float(brentq(lambda effect: power_at(effect) - power, 0.0, highest, xtol=1e-12))


def detectable_mean(sd: float, n: int, *, power: float = 0.8, alpha: float = 0.05) -> float | None:
    """The smallest difference of two means that `n` units per arm show, in the unit of `sd`.

    >>> print(f"{detectable_mean(1.0, 64):.3f}")
    0.499
    """
    return detectable(lambda effect: power_of_means(effect, sd, n, alpha=alpha), highest=100 * sd, power=power)


def detectable_pairs(sd_of_difference: float, pairs: int, *, power: float = 0.8, alpha: float = 0.05) -> float | None:
    """The smallest mean difference that `pairs` cases show, in the unit of `sd_of_difference`."""
    spread = sd_of_difference
    return detectable(
        lambda effect: power_of_pairs(effect, spread, pairs, alpha=alpha), highest=100 * spread, power=power
    )


def detectable_rise(control: float, n: int, *, power: float = 0.8, alpha: float = 0.05) -> float | None:
    """The smallest rise above the share `control` that `n` units per arm show, as a fraction; None when none does."""
    return detectable(
        lambda rise: power_of_proportions(control + rise, control, n, alpha=alpha), highest=1 - control, power=power
    )


def _cluster_sd(sd: float, size: float, correlation: float) -> float:
    """The spread of cluster means."""
    if not (size >= 1 and 0 <= correlation <= 1):
        raise ValueError(f"clusters have one member or more and a correlation in [0, 1]; got {size} and {correlation}")
    return sd * sqrt((1 + (size - 1) * correlation) / size)


def _between(power: float, shift: float, limit: float) -> float:
    """Far out the noncentral t gives no number: there the answer is one."""
    if power != power or shift > limit + 38:
        return 1.0
    return min(1.0, max(0.0, power))


def _check(
    *,
    alpha: float,
    positive: tuple[float, ...] = (),
    shares: tuple[float, ...] = (),
    sizes: tuple[float, ...] = (),
) -> None:
    check_confidence(alpha)
    if any(not 0 < each < inf for each in positive):
        raise ValueError(f"a spread and a mean to plan with are positive and finite; got {positive}")
    if any(not 0 <= share <= 1 for share in shares):
        raise ValueError(f"shares lie in [0, 1]; got {shares}")
    if any(not 2 <= size < inf for size in sizes):
        raise ValueError(f"a size to plan with is two or more; got {sizes}")
