"""Bayesian comparison of N variants: P(best) and expected loss, and a rule of stopping whose error rate is measured.

A posterior does not make looking safe: "P(B > A) > 95%" at each of ten looks declares a winner in about a third of A/A
experiments. `error_rate` measures that of any rule, and `calibrated` finds the threshold that holds a level.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from evaluations.statistics.differences import check_confidence

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]
    Curve = Callable[[Floats], Floats]


@dataclass(frozen=True, slots=True, kw_only=True)
class Posterior:
    """What is known of one variant, beside all others."""

    mean: float
    low: float
    high: float
    """The equal-tailed credible interval."""
    best: float
    """P(this variant is the best of all), in [0, 1]; the variants sum to 1."""
    expected_loss: float
    """What is lost on average by choosing this variant where another is better; in the unit of the metric."""
    n: int
    credibility: float


def beta_binomial(
    successes: Sequence[int],
    n: Sequence[int],
    *,
    prior: tuple[float, float] = (1.0, 1.0),
    credibility: float = 0.95,
) -> list[Posterior]:
    """Shares of any number of variants under a common beta prior (flat as given); higher is better.

    An arm without units has the prior as its posterior. Raises ValueError for impossible counts, a prior that is not
    positive, or lists of different lengths.
    Source: Gelman et al. (2013), "Bayesian Data Analysis", section 2.4; the expected loss after Stucchio (2015),
    "Bayesian A/B Testing at VWO". Integrated, not sampled: the same numbers every time.

    >>> a, b = beta_binomial([49, 51], [100, 100])
    >>> print(f"{b.best:.3f}, loss {b.expected_loss:.4f} against {a.expected_loss:.4f}")
    0.611, loss 0.0191 against 0.0387
    """
    import numpy as np
    from scipy.special import betainc, betaincinv, betaln

    check_confidence(credibility)
    if len(successes) != len(n) or any(not 0 <= hits <= size for hits, size in zip(successes, n, strict=True)):
        raise ValueError(f"a share needs 0 <= successes <= n; got {list(successes)} of {list(n)}")
    if not min(prior) > 0:
        raise ValueError(f"a beta prior has two positive weights; got {prior}")
    shapes = [(prior[0] + hits, prior[1] + size - hits) for hits, size in zip(successes, n, strict=True)]

    def density(a: float, b: float) -> "Curve":
        return lambda x: np.exp((a - 1) * np.log(x) + (b - 1) * np.log1p(-x) - betaln(a, b))

    def below(a: float, b: float) -> "Curve":
        return lambda x: betainc(a, b, x)

    return _posteriors(
        means=[a / (a + b) for a, b in shapes],
        densities=[density(a, b) for a, b in shapes],
        below=[below(a, b) for a, b in shapes],
        quantile=lambda i, level: float(betaincinv(*shapes[i], level)),
        n=[int(size) for size in n],
        credibility=credibility,
    )


def normal(
    means: Sequence[float], standard_errors: Sequence[float], n: Sequence[int], *, credibility: float = 0.95
) -> list[Posterior]:
    """Means of any number of variants under a flat prior: each normal around its estimate; higher is better.

    Raises ValueError for a standard error that is not positive and finite, or lists of different lengths.
    Source: Gelman et al. (2013), section 2.5.

    >>> a, b = normal([10.0, 10.5], [0.25, 0.25], [100, 100])
    >>> print(f"{b.best:.3f}, loss {b.expected_loss:.4f}")
    0.921, loss 0.0126
    """
    import numpy as np
    from scipy.special import ndtr, ndtri

    check_confidence(credibility)
    if not len(means) == len(standard_errors) == len(n):
        raise ValueError("each variant has a mean, a standard error and an n")
    if not all(0 < error < float("inf") for error in standard_errors):
        raise ValueError(f"standard errors are positive and finite; got {list(standard_errors)}")
    pairs = list(zip(means, standard_errors, strict=True))

    def density(mean: float, error: float) -> "Curve":
        return lambda x: np.exp(-(((x - mean) / error) ** 2) / 2) / (error * (2 * np.pi) ** 0.5)

    def below(mean: float, error: float) -> "Curve":
        return lambda x: ndtr((x - mean) / error)

    return _posteriors(
        means=list(means),
        densities=[density(*pair) for pair in pairs],
        below=[below(*pair) for pair in pairs],
        quantile=lambda i, level: float(pairs[i][0] + pairs[i][1] * ndtri(level)),
        n=list(n),
        credibility=credibility,
    )


def chance_and_risk(value: "ArrayLike", standard_error: "ArrayLike") -> "tuple[Floats, Floats, Floats]":
    """P(treatment better), expected loss of keeping the control, and of taking the treatment; arrays of differences.

    Flat prior: the effect is normal around its estimate. Source: as `normal`, in closed form for two variants.

    >>> chance, keep, take = chance_and_risk(0.05, 0.03571589282098377)
    >>> print(f"{chance:.5f} {keep:.5f} {take:.5f}")
    0.91923 0.05131 0.00131
    """
    import numpy as np
    from scipy.special import ndtr

    effect, error = np.asarray(value, dtype=np.float64), np.asarray(standard_error, dtype=np.float64)
    with np.errstate(all="ignore"):
        z = effect / error
        density = np.exp(-(z**2) / 2) / (2 * np.pi) ** 0.5
        keep = error * density + effect * ndtr(z)
        take = error * density - effect * ndtr(-z)
    return ndtr(z), keep, take


# The rule, and how often it errs


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """When to stop and declare the better of two variants, declared before the start.

    Thresholds are the expected loss in standard deviations of the metric, so that one simulation speaks for every
    metric whose means are nearly normal.
    """

    kind: Literal["loss", "chance"]
    threshold: float
    """loss: declare when the expected loss of the better one is below. chance: when its P(better) is above."""
    looks: int
    """How many times it is looked at, evenly spaced."""
    n_per_look: int
    """Units of each arm that come in between two looks."""
    least_n: int = 0
    """Units of each arm before the first declaration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorRate:
    """How often a rule declared a winner in simulated experiments."""

    declared: float
    """Share of the runs in which any variant was declared."""
    wrong: float
    """Share of the runs in which the worse one was declared; for equal variants, any."""
    margin: float
    """Half width of the 99% Monte-Carlo interval of `wrong`."""
    runs: int


def error_rate(rule: Rule, generator: "np.random.Generator", *, effect: float = 0.0, runs: int = 10_000) -> ErrorRate:
    """Simulates a rule on experiments of two arms whose true difference is `effect` standard deviations.

    Source: the counter-example is Miller (2010), "How Not To Run an A/B Test"; Deng, Lu and Chen (2016), "Continuous
    Monitoring of A/B Tests without Pain", DSAA, on what Bayesian stopping does and does not hold.

    >>> import numpy as np
    >>> naive = Rule(kind="chance", threshold=0.95, looks=10, n_per_look=100)
    >>> 0.31 < error_rate(naive, np.random.default_rng(1)).wrong < 0.37
    True
    """
    import numpy as np

    size, error = _looks(rule)
    steps = generator.standard_normal((runs, rule.looks))
    # The difference of means at each look, in standard deviations: a walk over its information.
    value = steps.cumsum(axis=1) * np.sqrt(2 * rule.n_per_look) / size + effect
    chance, _, take = chance_and_risk(np.abs(value), error)
    reached = take <= rule.threshold if rule.kind == "loss" else chance >= rule.threshold
    reached &= size >= rule.least_n
    declared = reached.any(axis=1)
    first = reached.argmax(axis=1)
    signs = np.sign(value[np.arange(runs), first])
    wrong = float((declared & ((signs != np.sign(effect)) | (effect == 0))).mean())
    return ErrorRate(
        declared=float(declared.mean()), wrong=wrong, margin=2.5758 * (wrong * (1 - wrong) / runs) ** 0.5, runs=runs
    )


def calibrated(rule: Rule, generator: "np.random.Generator", *, alpha: float = 0.05, runs: int = 100_000) -> Rule:
    """The same rule with the threshold at which it declares a winner in `alpha` of A/A experiments, by simulation."""
    import numpy as np

    check_confidence(alpha)
    size, error = _looks(rule)
    steps = generator.standard_normal((runs, rule.looks))
    value = np.abs(steps.cumsum(axis=1) * np.sqrt(2 * rule.n_per_look) / size)
    chance, _, take = chance_and_risk(value, error)
    seen = size >= rule.least_n
    if not seen.any():
        raise ValueError(f"no look has {rule.least_n} units an arm; the last has {int(size[-1])}")
    extreme = take[:, seen].min(axis=1) if rule.kind == "loss" else -chance[:, seen].max(axis=1)
    threshold = abs(float(np.quantile(extreme, alpha)))
    return Rule(kind=rule.kind, threshold=threshold, looks=rule.looks, n_per_look=rule.n_per_look, least_n=rule.least_n)


def _looks(rule: Rule) -> "tuple[Floats, Floats]":
    """Units of an arm at each look, and the standard error of the difference there, in standard deviations."""
    import numpy as np

    if rule.looks < 1 or rule.n_per_look < 1:
        raise ValueError(f"a rule has looks with units between them; got {rule.looks} of {rule.n_per_look}")
    size = rule.n_per_look * np.arange(1.0, rule.looks + 1)
    return size, np.sqrt(2 / size)


def _posteriors(
    *,
    means: list[float],
    densities: "list[Curve]",
    below: "list[Curve]",
    quantile: Callable[[int, float], float],
    n: list[int],
    credibility: float,
) -> list[Posterior]:
    """P(best) = ∫ f_i ∏ F_j and E[max] = ∫ x d∏F, on a grid that is fine where any of the curves is steep."""
    import numpy as np

    levels = (1e-12, 1e-6, 1e-3, 0.02, 0.15, 0.5, 0.85, 0.98, 1 - 1e-3, 1 - 1e-6, 1 - 1e-12)
    edges = np.unique([quantile(i, level) for i in range(len(means)) for level in levels])
    nodes, weights = np.polynomial.legendre.leggauss(24)
    half = np.diff(edges) / 2
    x = ((edges[:-1] + edges[1:]) / 2)[:, None] + half[:, None] * nodes[None, :]
    x, w = x.ravel(), (half[:, None] * weights[None, :]).ravel()
    under = np.array([curve(x) for curve in below])
    best = []
    for i, density in enumerate(densities):
        others = np.prod(np.delete(under, i, axis=0), axis=0)
        best.append(float(np.dot(w, density(x) * others)))
    # E[max] from the lowest edge up: what the largest of them exceeds each point with.
    largest = float(edges[0] + np.dot(w, 1 - np.prod(under, axis=0)))
    total = sum(best)
    tail = (1 - credibility) / 2
    return [
        Posterior(
            mean=means[i],
            low=quantile(i, tail),
            high=quantile(i, 1 - tail),
            best=best[i] / total,
            expected_loss=max(0.0, largest - means[i]),
            n=n[i],
            credibility=credibility,
        )
        for i in range(len(means))
    ]
