"""Values that hang together: repeats of a case, turns of a conversation, requests of a user.

Counted as independent they promise more than they know: 20 cases of 5 repeats are 20 cases. `per_unit` averages them
away; `cluster_robust` keeps them and widens the interval.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING, Any, Literal

from evaluations.statistics.outcomes import Alternative, Outcome, Undetermined, unfit
from evaluations.statistics.paired import skew_doubts, t_test

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    Numbers = NDArray[np.float64]
    Labels = Sequence[Hashable] | NDArray[Any]

LEAST_CLUSTERS = 10
"""Below so many clusters nothing is known of how they vary."""
LEAST_DF = 6.0
"""Below so many degrees of freedom, as with one cluster that holds most values, the reference is a guess."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clusters:
    """The sufficient statistics of clustered values; all arrays have the shape (clusters,)."""

    sums: "Numbers"
    sizes: "Numbers"
    names: tuple[Hashable, ...]
    """In the order in which they first came."""

    @property
    def means(self) -> "Numbers":
        """One value per cluster: what a test of independent units takes."""
        return self.sums / self.sizes


def per_unit(values: "ArrayLike", units: "Labels") -> Clusters:
    """Gather `values`, shape (n,), by the unit (case, conversation, user) that each belongs to.

    Raises ValueError if the shapes differ.

    >>> cases = per_unit([1, 0, 1, 1], ["a", "a", "b", "b"])
    >>> cases.names, cases.means.tolist()
    (('a', 'b'), [0.5, 1.0])
    """
    import numpy as np

    given = np.asarray(values, dtype=np.float64)
    if given.ndim != 1 or given.size != len(units):
        raise ValueError(f"each value belongs to one unit; got shape {given.shape} and {len(units)} units")
    names = list(dict.fromkeys(units.tolist() if isinstance(units, np.ndarray) else units))
    place = {name: at for at, name in enumerate(names)}
    places = np.fromiter((place[name] for name in units), dtype=np.intp, count=given.size)
    sizes = np.bincount(places, minlength=len(names)).astype(np.float64)
    sums = np.bincount(places, weights=given, minlength=len(names)).astype(np.float64)
    return Clusters(sums=sums, sizes=sizes, names=tuple(names))


def cluster_robust(
    values: "ArrayLike",
    clusters: "Labels",
    *,
    kind: Literal["CR2", "CR1"] = "CR2",
    alternative: Alternative = "two-sided",
    confidence: float = 0.95,
) -> Outcome:
    """The mean of `values`, shape (n,), against 0, with an error that lets the values of a cluster hang together.

    For two variants on the same cases give the differences. Every value weighs alike, so that large clusters weigh
    more; for one vote per cluster test `per_unit(...).means`. `effect.n` counts clusters. CR2 takes the small-sample
    correction and the degrees of freedom of Bell and McCaffrey; CR1 is the plain sandwich with clusters - 1.
    Raises ValueError if the shapes differ.
    Source: Bell & McCaffrey (2002), "Bias Reduction in Standard Errors for Linear Regression with Multi-Stage
    Samples", Survey Methodology 28(2); Imbens & Kolesár (2016), Review of Economics and Statistics 98(4), for a mean.

    >>> found = cluster_robust([1, 1, 0, 1, -1, 0, 1, 1] * 3, [case for case in range(12) for _ in "ab"])
    >>> print(f"{found.effect.value:.2f} [{found.effect.low:.2f}, {found.effect.high:.2f}] df={found.df:.1f}")
    0.50 [0.09, 0.91] df=11.0
    """
    import numpy as np

    sample = np.asarray(values, dtype=np.float64)
    groups = per_unit(sample, clusters)
    if (why := unfit(sample, what="values")) is not None:
        return why
    count, n = len(groups.names), sample.size
    if count < 2:
        return Undetermined(reason="too few", why="all values are of one cluster; 2 or more are needed", n=count)
    mean = float(sample.mean())
    off = groups.sums - groups.sizes * mean
    share = groups.sizes / n
    if kind == "CR2":
        error, df = cr2(groups)
    else:
        error, df = sqrt(count / (count - 1) * float((off**2).sum())) / n, count - 1.0
    if error <= 1e-12 * max(abs(mean), float(np.abs(sample).max())):
        return Undetermined(reason="no spread", why=f"all {count} clusters have the mean {mean:.6g}", n=count)
    doubts = list(skew_doubts(off / groups.sizes.mean(), "cluster totals"))
    if count < LEAST_CLUSTERS:
        doubts = [f"{count} clusters: too few to know how they vary; {LEAST_CLUSTERS} are needed"]
    elif df < LEAST_DF:
        doubts.append(
            f"the largest cluster holds {share.max():.0%} of the values, which leaves {df:.1f} degrees of freedom"
        )
    return t_test(
        mean,
        error,
        df,
        count,
        name=f"cluster-robust t test ({kind})",
        alternative=alternative,
        confidence=confidence,
        doubts=tuple(doubts),
        notes=(f"{n} values in {count} clusters",),
    )


def cr2(groups: Clusters) -> tuple[float, float]:
    """The standard error of the mean of clustered values, and its degrees of freedom; of two clusters or more.

    Clusters of one value each give the plain s / sqrt(n) with n - 1. Source: as `cluster_robust`.

    >>> error, df = cr2(per_unit([1, 0, 1, 1, 0, 1], range(6)))
    >>> print(f"{error:.3f} df={df:.0f}")
    0.211 df=5
    """
    n = float(groups.sizes.sum())
    off, share = groups.sums - groups.sizes * (groups.sums.sum() / n), groups.sizes / n
    # Satterthwaite's degrees of freedom, in closed form for a mean: clusters - 1 when all are of one size.
    pull = share**2 / (1 - share)
    df = 1 / float((share**2).sum() + pull.sum() ** 2 - (pull**2).sum())
    return sqrt(float((off**2 / (1 - share)).sum())) / n, df
