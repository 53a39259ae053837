"""Shares and means of few observations, drawn towards those of the group: how good somebody is, not how lucky."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evaluations.estimates import Estimate

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

SHRUNKEN = "hierarchical beta-binomial, credible interval"
SHRUNKEN_MEAN = "hierarchical normal, credible interval"
FEWEST = 3
"""Members below which a group says nothing of how its members differ."""
_MEANS = 100
_WEIGHTS = 24
_MOST_WEIGHT = 1e4
_SPREADS = 200
_FORGOTTEN = 1e-4
"""Of the posterior: cells of the grid that together hold less are left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shrunken:
    """The members' shares, each drawn towards the group the more, the less is known of it."""

    members: tuple[Estimate | None, ...]
    """In the order given; None for a member without observations."""
    mean: float
    """Of the group."""


def shrink_shares(successes: Sequence[int], n: Sequence[int], confidence: float = 0.95) -> Shrunken | None:
    """Posterior mean and interval of every member's share, members being draws of one beta distribution.

    None without observations. Mean and weight of that distribution are integrated out on a grid, with the prior
    (a + b)^(-5/2): taking the likeliest ones as known, small groups would look more alike, and surer, than they
    are. Groups of fewer than three members cannot tell how much members differ; they get a uniform prior each.
    Raises ValueError for impossible counts.
    Source: Gelman et al. (2013), "Bayesian Data Analysis", 3rd edition, section 5.3.

    >>> shares = shrink_shares([1, 45, 30, 60], [1, 50, 50, 100])
    >>> [f"{member.value:.2f}" for member in shares.members]
    ['0.75', '0.88', '0.61', '0.61']
    """
    import numpy as np

    if len(successes) != len(n) or any(not 0 <= k <= size for k, size in zip(successes, n, strict=True)):
        raise ValueError(f"a share needs 0 <= successes <= n; got {list(successes)} of {list(n)}")
    seen = [(k, size) for k, size in zip(successes, n, strict=True) if size]
    if not seen:
        return None
    if len(seen) >= FEWEST:
        a, b, chance = _priors(seen)
    else:
        a, b, chance = np.ones(1), np.ones(1), np.ones(1)
    members = tuple(
        _posterior(k, size, a, b, chance, confidence) if size else None for k, size in zip(successes, n, strict=True)
    )
    return Shrunken(members=members, mean=float((chance * a / (a + b)).sum()))


def _priors(seen: Sequence[tuple[int, int]]) -> "tuple[Floats, Floats, Floats]":
    """Beta priors, both parameters of each, and how likely each is after all that was seen."""
    import numpy as np
    from scipy.special import betaln

    hits, size = np.array(seen, dtype=np.float64).T
    means = (np.arange(_MEANS) + 0.5) / _MEANS
    weights = np.geomspace(1.0, _MOST_WEIGHT, _WEIGHTS)
    mean, weight = (grid.ravel() for grid in np.meshgrid(means, weights, indexing="ij"))
    a, b = mean * weight, (1 - mean) * weight
    # The grid is even in the logarithm of the weight: (a + b)^(-5/2) becomes weight^(-1/2) there.
    likely = (betaln(a[:, None] + hits, b[:, None] + size - hits) - betaln(a, b)[:, None]).sum(axis=1)
    likely -= np.log(weight) / 2
    chance = np.exp(likely - likely.max())
    chance /= chance.sum()
    order = np.argsort(chance)[::-1]
    kept = order[: int(np.searchsorted(np.cumsum(chance[order]), 1 - _FORGOTTEN)) + 1]
    return a[kept], b[kept], chance[kept] / chance[kept].sum()


def _posterior(k: int, size: int, a: "Floats", b: "Floats", chance: "Floats", confidence: float) -> Estimate:
    """A mixture of beta posteriors, one for each prior."""
    from scipy.special import betainc

    after_a, after_b = a + k, b + size - k

    def quantile(level: float) -> float:
        low, high = 0.0, 1.0
        for _ in range(24):
            middle = (low + high) / 2
            if float(chance @ betainc(after_a, after_b, middle)) < level:
                low = middle
            else:
                high = middle
        return (low + high) / 2

    return Estimate(
        value=float(chance @ (after_a / (after_a + after_b))),
        low=quantile((1 - confidence) / 2),
        high=quantile((1 + confidence) / 2),
        n=size,
        confidence=confidence,
        method=SHRUNKEN,
    )


def shrink_means(
    values: "Floats", errors: "Floats", *, beside: float = 0.0, confidence: float = 0.95
) -> tuple[Estimate, ...]:
    """Posterior mean and interval of every member's value, members being draws of one normal distribution.

    `values` and their standard errors have the shape (members,); `beside` is an error that all share, which widens
    the intervals and shrinks nothing. The distribution's mean is integrated out with a flat prior, its spread with a
    half-Cauchy one as wide as a typical error, which lets few members be alike; a flat one would not. `n` of the
    estimates counts members. Raises ValueError for fewer than three members or errors below zero.
    Source: Gelman et al. (2013), "Bayesian Data Analysis", 3rd edition, section 5.4; the prior: Gelman (2006), "Prior
    Distributions for Variance Parameters in Hierarchical Models", Bayesian Analysis 1(3).

    >>> import numpy as np
    >>> schools = np.array([28.0, 8, -3, 7, -1, 1, 18, 12]), np.array([15.0, 10, 16, 11, 9, 11, 10, 18])
    >>> [f"{member.value:.0f}" for member in shrink_means(*schools)]
    ['10', '8', '7', '8', '6', '7', '10', '8']
    """
    import numpy as np
    from scipy.special import ndtr

    if values.ndim != 1 or values.size < FEWEST or values.shape != errors.shape:
        raise ValueError(f"shrinking needs {FEWEST} members or more with an error each; got shape {values.shape}")
    if not (errors >= 0).all():
        raise ValueError("a standard error is not negative")
    reach = float(np.ptp(values) + errors.max()) or 1.0
    # Half a step from zero: there the spread would be none and members without an error could not differ.
    spread = (np.arange(_SPREADS) + 0.5)[:, None] * (5 * reach / _SPREADS)
    variance = errors**2 + spread**2
    weight = 1 / variance
    mean = (weight * values).sum(axis=1, keepdims=True) / weight.sum(axis=1, keepdims=True)
    of_mean = 1 / weight.sum(axis=1, keepdims=True)
    typical = float(np.sqrt((errors**2).mean())) or reach
    prior = -np.log1p((spread[:, 0] / typical) ** 2)
    likely = (
        prior + (np.log(of_mean[:, 0]) - np.log(variance).sum(axis=1) - (weight * (values - mean) ** 2).sum(axis=1)) / 2
    )
    chance = np.exp(likely - likely.max())
    chance /= chance.sum()
    own = spread**2 / variance  # how much of a member's distance from the mean is its own
    centres = mean + own * (values - mean)
    deviations = np.sqrt(own * errors**2 + (1 - own) ** 2 * of_mean + beside**2)

    def quantile(member: int, level: float) -> float:
        at, wide = centres[:, member], deviations[:, member]
        low, high = float((at - 9 * wide).min()), float((at + 9 * wide).max())
        for _ in range(60):
            middle = (low + high) / 2
            reached = float(chance @ ndtr((middle - at) / np.maximum(wide, 1e-300)))
            low, high = (middle, high) if reached < level else (low, middle)
        return (low + high) / 2

    return tuple(
        Estimate(
            value=float(chance @ centres[:, member]),
            low=quantile(member, (1 - confidence) / 2),
            high=quantile(member, (1 + confidence) / 2),
            n=values.size,
            confidence=confidence,
            method=SHRUNKEN_MEAN,
        )
        for member in range(values.size)
    )
