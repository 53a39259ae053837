"""Tests and intervals by resampling, where no formula fits: sign flips, BCa, clusters drawn as wholes.

Randomness is a Generator that the caller seeds; equal seeds give equal results. Blocks keep the memory below 100 MB
whatever the number of values and resamples.
"""

from collections.abc import Callable, Hashable, Iterator, Sequence
from math import ceil, isfinite, sqrt
from typing import TYPE_CHECKING, Any

from evaluations.estimates import Estimate
from evaluations.statistics.clusters import LEAST_CLUSTERS, per_unit
from evaluations.statistics.outcomes import Alternative, Determined, Outcome, Undetermined, checked, unfit
from evaluations.statistics.paired import skew_doubts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    Numbers = NDArray[np.float64]
    Statistic = Callable[[Numbers], Numbers]

BLOCK = 4_000_000
"""Numbers drawn at a time: 32 MB."""
LEAST_VALUES = 20
"""Below so many values the bootstrap, which knows no values but these, falls short (docs/statistics.md)."""
LEAST_FLIPPED = 8
"""Below so many differences there are too few signs to flip for an interval of 95%."""
SKEW_PAYS = 25
"""BCa holds from so many values a squared skewness on: it corrects for skewness, which Student's interval does not."""


def sign_flip(
    differences: "ArrayLike",
    rng: "np.random.Generator",
    *,
    flips: int = 9_999,
    alternative: Alternative = "two-sided",
    confidence: float = 0.95,
) -> Outcome:
    """Is the mean of paired differences, shape (n,), 0? By what it would be with the signs tossed like coins.

    Exact for differences symmetric about their mean, whatever their distribution; all 2^n flips are counted when they
    are no more than `flips`. The interval holds the means that the same flips do not reject.
    Raises ValueError unless the shape is (n,) and flips >= 99.
    Source: Fisher (1935), "The Design of Experiments", section 21; Phipson & Smyth (2010), "Permutation P-values
    Should Never Be Zero", SAGMB 9(1); the interval: Hartigan (1969), "Using Subsample Values as Typical Values",
    JASA 64(328).

    >>> import numpy as np
    >>> found = sign_flip([0.2, 0.5, -0.1, 0.4, 0.3, 0.6, 0.1, 0.2], np.random.default_rng(0))
    >>> print(f"p={found.p:.4f} [{found.effect.low:.2f}, {found.effect.high:.2f}]")
    p=0.0234 [0.07, 0.47]
    """
    import numpy as np

    sample = np.asarray(differences, dtype=np.float64)
    _check(sample, flips)
    if (why := unfit(sample, least=1, what="differences")) is not None:
        return why
    n, mean = sample.size, float(sample.mean())
    if not sample.any():
        return Undetermined(reason="no spread", why=f"all {n} differences are 0", n=n)
    every = 2**n - 1 if n < 60 else flips + 1
    exact = every <= flips
    # Flipping a subset moves the mean past another mean m exactly when the mean of the subset lies past m. So the
    # means of random subsets carry the test of every m at once.
    typical = np.concatenate(list(_subset_means(sample, rng, None if exact else flips)))
    slack = 1e-12 * float(np.abs(sample).max())
    at_least = (1 + int((typical <= slack).sum())) / (1 + typical.size)
    at_most = (1 + int((typical >= -slack).sum())) / (1 + typical.size)
    tails = {"two-sided": min(1.0, 2 * min(at_least, at_most)), "less": at_most, "greater": at_least}
    cut = int((1 - checked(confidence)) / 2 * (1 + typical.size))
    typical.sort()
    effect = Estimate(
        value=mean,
        low=float(typical[max(0, cut - 1)]),
        high=float(typical[min(typical.size - 1, typical.size - cut)]),
        n=n,
        confidence=confidence,
        method="sign-flip interval",
    )
    few = f"{n} differences, whose signs cannot carry an interval of {confidence:.0%}"
    return Determined(
        method="sign-flip test, " + ("all flips" if exact else f"{flips} flips"),
        p=tails[alternative],
        statistic=mean,
        effect=effect,
        alternative=alternative,
        doubts=skew_doubts(sample) if cut >= 1 and n >= LEAST_FLIPPED else (few,),
    )


def _subset_means(sample: "Numbers", rng: "np.random.Generator", draws: int | None) -> "Iterator[Numbers]":
    """The means of `draws` random subsets that are not empty, or of all of them (None), in blocks."""
    import numpy as np

    n = sample.size
    if draws is None:
        members = (np.arange(1, 2**n)[:, None] >> np.arange(n)) & 1
        yield (members @ sample) / members.sum(axis=1)
        return
    for size in _blocks(draws, n):
        chosen = rng.integers(0, 2, (size, n), dtype=np.int8)
        held = chosen.sum(axis=1)
        # A subset without members moves nothing: it stands for the sample itself, which never speaks against a mean.
        yield np.where(held > 0, (chosen @ sample) / np.maximum(held, 1), sample.mean())


def bca(
    values: "ArrayLike",
    rng: "np.random.Generator",
    *,
    statistic: "Statistic | None" = None,
    resamples: int = 9_999,
    confidence: float = 0.95,
) -> Outcome:
    """A statistic of independent values, shape (n,), with Efron's bias-corrected and accelerated interval.

    `statistic` maps an array (..., n) to (...), as `functools.partial(np.median, axis=-1)` does; None is the mean.
    For two variants on the same cases give the differences. p is None: the interval is the answer.
    Raises ValueError unless the shape is (n,) and resamples >= 99.
    Source: Efron (1987), "Better Bootstrap Confidence Intervals", JASA 82(397); expanded for small n as in Hesterberg
    (2015), "What Teachers Should Know About the Bootstrap", The American Statistician 69(4), section 5.3.

    >>> import numpy as np
    >>> found = bca(np.arange(40.0) ** 2, np.random.default_rng(0))
    >>> print(f"{found.effect.value:.0f} [{found.effect.low:.0f}, {found.effect.high:.0f}]")
    514 [377, 677]
    """
    import numpy as np

    sample = np.asarray(values, dtype=np.float64)
    _check(sample, resamples)
    if (why := unfit(sample, what="values")) is not None:
        return why
    n = sample.size
    of = statistic or (lambda drawn: drawn.mean(axis=-1))
    drawn = np.concatenate([of(sample[rng.integers(0, n, (size, n))]) for size in _blocks(resamples, n)])
    if statistic is None:
        without = (sample.sum() - sample) / (n - 1)
    else:
        kept = ~np.eye(n, dtype=bool)
        steps = np.array_split(np.arange(n), max(1, ceil(n * n / BLOCK)))
        without = np.concatenate(
            [of(np.broadcast_to(sample, (s.size, n))[kept[s]].reshape(s.size, n - 1)) for s in steps]
        )
    doubts = []
    if n < LEAST_VALUES:
        doubts.append(f"{n} values, and the bootstrap needs {LEAST_VALUES}")
    return _accelerated(float(of(sample)), drawn, without, n, confidence, "BCa bootstrap", "values", doubts)


def cluster_bootstrap(
    values: "ArrayLike",
    clusters: "Sequence[Hashable] | NDArray[Any]",
    rng: "np.random.Generator",
    *,
    resamples: int = 9_999,
    confidence: float = 0.95,
) -> Outcome:
    """The mean of values, shape (n,), with a BCa interval from drawing whole clusters; `effect.n` counts clusters.

    Every value weighs alike. Works on the sums of the clusters, so the cost does not grow with the values.
    Raises ValueError if the shapes differ or resamples < 99.
    Source: Davison & Hinkley (1997), "Bootstrap Methods and their Application", section 3.8; BCa as for `bca`, with
    the jackknife over clusters.

    >>> import numpy as np
    >>> cases = np.repeat(np.arange(30), 5)
    >>> found = cluster_bootstrap(cases % 3 / 2, cases, np.random.default_rng(0))
    >>> print(f"{found.effect.value:.2f} [{found.effect.low:.2f}, {found.effect.high:.2f}] n={found.effect.n}")
    0.50 [0.35, 0.65] n=30
    """
    import numpy as np

    sample = np.asarray(values, dtype=np.float64)
    groups = per_unit(sample, clusters)
    _check(sample, resamples)
    if (why := unfit(sample, what="values")) is not None:
        return why
    count = len(groups.names)
    if count < 2:
        return Undetermined(reason="too few", why="all values are of one cluster; 2 or more are needed", n=count)
    means = []
    for size in _blocks(resamples, count):
        picked = rng.integers(0, count, (size, count))
        means.append(groups.sums[picked].sum(axis=1) / groups.sizes[picked].sum(axis=1))
    without = (groups.sums.sum() - groups.sums) / (groups.sizes.sum() - groups.sizes)
    least = max(LEAST_CLUSTERS, LEAST_VALUES)
    doubts = [] if count >= least else [f"{count} clusters, and the bootstrap needs {least}"]
    mean = float(sample.mean())
    return _accelerated(
        mean, np.concatenate(means), without, count, confidence, "cluster bootstrap (BCa)", "clusters", doubts
    )


def _accelerated(
    value: float,
    drawn: "Numbers",
    without: "Numbers",
    n: int,
    confidence: float,
    name: str,
    what: str,
    doubts: list[str],
) -> Outcome:
    """Efron's interval from the resampled statistics and those without each unit in turn."""
    import numpy as np
    from scipy.special import ndtr, ndtri, stdtrit

    spread = float(drawn.max() - drawn.min())
    if not isfinite(spread):
        return Undetermined(reason="not finite", why="the statistic is not finite in every resample", n=n)
    if spread <= 1e-12 * max(abs(value), 1e-300):
        return Undetermined(reason="no spread", why=f"the statistic is {value:.6g} in every resample", n=n)
    # Ties with the value count half, so that a statistic of few values is not taken for biased.
    below = float((drawn < value).mean() + (drawn == value).mean() / 2)
    edge = 1 / (2 * drawn.size)
    bias = float(ndtri(min(1 - edge, max(edge, below))))
    pull = without.mean() - without
    scale = float((pull**2).sum()) ** 1.5
    acceleration = float((pull**3).sum()) / (6 * scale) if scale > 0 else 0.0
    # Resamples vary by n where the sample does by n - 1, and know nothing of Student's tails: Hesterberg's expansion.
    reach = float(stdtrit(n - 1, (1 + checked(confidence)) / 2)) * sqrt(n / (n - 1))
    z = np.array([-reach, reach])
    shares = ndtr(bias + (bias + z) / (1 - acceleration * (bias + z)))
    low, high = np.quantile(drawn, shares)
    # The acceleration is a sixth of the skewness of the units' influences, by the root of their number.
    wanted = ceil(SKEW_PAYS * 36 * n * acceleration**2)
    if n < wanted:
        doubts.append(f"{n} {what} with a skewed influence, for which the bootstrap needs {wanted}")
    estimate = Estimate(value=value, low=float(low), high=float(high), n=n, confidence=confidence, method=name)
    return Determined(method=name, p=None, effect=estimate, doubts=tuple(doubts), notes=(f"{drawn.size} resamples",))


def _check(sample: "Numbers", resamples: int) -> None:
    if sample.ndim != 1:
        raise ValueError(f"resampling takes one row of values; got shape {sample.shape}")
    if resamples < 99:
        raise ValueError(f"fewer than 99 resamples carry no interval of 95%; got {resamples}")


def _blocks(draws: int, n: int) -> Iterator[int]:
    size = max(1, BLOCK // max(1, n))
    for start in range(0, draws, size):
        yield min(size, draws - start)
