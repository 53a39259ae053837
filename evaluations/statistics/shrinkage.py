"""Shares of few observations, drawn towards those of the group: how good somebody is, not how lucky."""

from collections.abc import Sequence
from dataclasses import dataclass

from evaluations.estimates import Estimate

SHRUNKEN = "empirical Bayes, beta-binomial"
MOST_WEIGHT = 1e4
"""Of the group, in observations: beyond it all are taken as alike."""
LEAST_WEIGHT = 1.0
FEWEST = 3
"""Members below which a group says nothing of how its members differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shrunken:
    """The members' shares, each drawn towards the group the more, the less is known of it."""

    members: tuple[Estimate | None, ...]
    """In the order given; None for a member without observations."""
    mean: float
    """Of the group."""
    weight: float
    """How many observations the group's mean is worth; the more alike its members are, the more."""


def shrink_shares(successes: Sequence[int], n: Sequence[int], confidence: float = 0.95) -> Shrunken | None:
    """Posterior mean and interval of every member's share under a beta prior fitted to all; None without observations.

    The prior maximises the beta-binomial likelihood. Groups of fewer than three members get the uniform prior: they
    cannot tell how much members differ. The intervals take the prior as known, so in small groups they are a little
    too narrow. Raises ValueError for impossible counts.
    Source: Casella (1985), "An Introduction to Empirical Bayes Data Analysis", The American Statistician 39(2);
    Skellam (1948), JRSS B 10(2), for the distribution.

    >>> shares = shrink_shares([1, 45, 30, 60], [1, 50, 50, 100])
    >>> [f"{member.value:.2f}" for member in shares.members]
    ['0.74', '0.87', '0.62', '0.61']
    """
    from scipy.special import betaincinv

    if len(successes) != len(n) or any(not 0 <= k <= size for k, size in zip(successes, n, strict=True)):
        raise ValueError(f"a share needs 0 <= successes <= n; got {list(successes)} of {list(n)}")
    seen = [(k, size) for k, size in zip(successes, n, strict=True) if size]
    if not seen:
        return None
    mean, weight = _fitted(seen) if len(seen) >= FEWEST else (0.5, 2.0)
    members: list[Estimate | None] = []
    for k, size in zip(successes, n, strict=True):
        a, b = mean * weight + k, (1 - mean) * weight + size - k
        members.append(
            Estimate(
                value=a / (a + b),
                low=float(betaincinv(a, b, (1 - confidence) / 2)),
                high=float(betaincinv(a, b, (1 + confidence) / 2)),
                n=size,
                confidence=confidence,
                method=SHRUNKEN,
            )
            if size
            else None
        )
    return Shrunken(members=tuple(members), mean=mean, weight=weight)


def _fitted(seen: Sequence[tuple[int, int]]) -> tuple[float, float]:
    """Mean and weight of the beta prior under which the counts are likeliest."""
    import numpy as np
    from scipy.optimize import minimize
    from scipy.special import betaln, expit, logit

    hits, size = np.array(seen, dtype=np.float64).T

    def unlikely(point: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> float:
        mean, weight = expit(point[0]), np.exp(point[1])
        a, b = mean * weight, (1 - mean) * weight
        return float(-(betaln(a + hits, b + size - hits) - betaln(a, b)).sum())

    # Half an observation on either side keeps a group of all or none finite.
    pooled = (hits.sum() + 0.5) / (size.sum() + 1)
    bounds = [(float(logit(0.001)), float(logit(0.999))), (float(np.log(LEAST_WEIGHT)), float(np.log(MOST_WEIGHT)))]
    begun = [float(np.clip(logit(pooled), *bounds[0]))]
    found = min(
        (minimize(unlikely, [*begun, np.log(weight)], bounds=bounds) for weight in (3.0, 30.0, 1000.0)),
        key=lambda each: float(each.fun),
    )
    return float(expit(found.x[0])), float(np.exp(found.x[1]))
