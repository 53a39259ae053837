"""Looking while an experiment runs: confidence sequences that hold at every look, and group-sequential boundaries.

A test at 5% that is repeated at five looks errs in 14% of A/A experiments, at twenty in 25%. Here the level holds for
all looks together: any looks at all (confidence sequences), or looks whose number and spacing were planned, which
costs less (boundaries).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import erfc, exp, log, pi, sqrt
from typing import TYPE_CHECKING, Final, Literal

from evaluations.estimates import Estimate
from evaluations.statistics.differences import FINE, Differences, check_confidence
from evaluations.statistics.outcomes import Undetermined

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

ANY_TIME = "asymptotic confidence sequence"
BETA_BINOMIAL = "beta-binomial confidence sequence"
FIRST_LOOK: Final = 100
"""Units of an arm from which the asymptotic sequences are measured; earlier looks are not reliable."""

Spending = Literal["obrien-fleming", "pocock"]
"""How the level is spent over the planned information: almost all at the end, or nearly evenly."""

SPENDING_NAMES: Final[dict[Spending, str]] = {"obrien-fleming": "O'Brien-Fleming", "pocock": "Pocock"}


# Any number of looks


def any_time(differences: Differences, *, planned_n: float = 5_000) -> Differences:
    """The same differences with intervals and p that hold at all looks together, however many and whenever.

    `planned_n`, units of both arms together, is where the intervals are narrowest beside those of a single look; it
    may not depend on what was seen. Takes the differences of any method (Welch, ratios, CUPED) and keeps their
    troubles. Asymptotic: the domain begins at 100 units an arm.
    Raises ValueError unless planned_n is positive.
    Source: Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (2021), "Time-uniform central limit theory and asymptotic
    confidence sequences", arXiv 2103.06476, equations 9, 155 and 161.

    >>> from evaluations.statistics.two_samples import Moments, welch_many
    >>> control, treatment = Moments.from_sums(3407, 1396.87, 52377.9767), Moments.from_sums(3461, 2422.7, 134698.29)
    >>> found = any_time(welch_many(treatment, control))
    >>> print(f"{found.value:.2f} [{found.low:.3f}, {found.high:.3f}] p={found.p:.2f}")
    0.29 [-0.089, 0.669] p=0.29
    """
    import numpy as np

    if not planned_n > 0:
        raise ValueError(f"a planned size is positive; got {planned_n}")
    alpha = 1 - check_confidence(differences.confidence)
    rho_squared = (-2 * log(alpha) + log(-2 * log(alpha) + 1)) / planned_n
    fine = differences.trouble == FINE
    with np.errstate(all="ignore"):
        n, error = differences.n, differences.standard_error
        wider = n * rho_squared + 1
        half = error * np.sqrt(2 * wider / (n * rho_squared) * np.log(np.sqrt(wider) / alpha))
        z_squared = (differences.value / error) ** 2
        # The e-value, whose inverse is a p at every look; in logarithms, since it may be astronomically large.
        evidence = n * rho_squared * z_squared / (2 * wider) - np.log(wider) / 2
        p = np.where(fine, np.exp(-np.maximum(0.0, evidence)), np.nan)
    return Differences(
        value=differences.value,
        standard_error=error,
        df=np.where(fine, np.inf, np.nan),
        statistic=differences.statistic,
        p=p,
        low=differences.value - half,
        high=differences.value + half,
        n=n,
        trouble=differences.trouble,
        confidence=differences.confidence,
        method=ANY_TIME,
        relative=differences.relative,
    )


def any_time_mean(
    values: "Sequence[float] | Floats", *, confidence: float = 0.95, planned_n: float = 2_500
) -> Estimate | Undetermined:
    """The mean of values that arrive one by one, shape (n,), with an interval that holds at every n together.

    Source: as `any_time`; from 100 values on.

    >>> found = any_time_mean([0.0, 1.0] * 200)
    >>> print(f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]")
    0.50 [0.41, 0.59]
    """
    from evaluations.statistics.two_samples import Moments, means_against_zero

    fixed = means_against_zero(Moments.of(values), confidence=confidence)
    found = any_time(fixed, planned_n=planned_n).one(0)
    if isinstance(found, Undetermined):
        return found
    assert found.effect is not None
    return found.effect


def any_time_share(
    successes: int, n: int, *, confidence: float = 0.95, prior: tuple[float, float] = (0.5, 0.5)
) -> Estimate:
    """The share successes / n of a stream of yes-or-no outcomes, with an interval that holds at every n together.

    Exact: a mixture of likelihood ratios over a beta prior is a martingale, whatever the share. Never wider than
    [0, 1]. Raises ValueError unless 0 <= successes <= n, n >= 1 and 0 < confidence < 1.
    Source: Robbins (1970), "Statistical Methods Related to the Law of the Iterated Logarithm", Annals of
    Mathematical Statistics 41; Howard et al. (2021), Annals of Statistics 49, for the beta-binomial mixture.

    >>> found = any_time_share(55, 60)
    >>> print(f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]")
    0.917 [0.755, 0.987]
    """
    from scipy.optimize import brentq
    from scipy.special import betaln, xlog1py, xlogy

    check_confidence(confidence)
    if n < 1 or not 0 <= successes <= n:
        raise ValueError(f"a share needs 0 <= successes <= n and n >= 1; got {successes} of {n}")
    a, b = prior
    marginal = betaln(a + successes, b + n - successes) - betaln(a, b)
    limit = log(1 / (1 - confidence))

    def beyond(share: float) -> float:
        return float(marginal - xlogy(successes, share) - xlog1py(n - successes, -share)) - limit

    share, edge = successes / n, 1e-12
    low = 0.0 if successes == 0 or beyond(edge) <= 0 else float(brentq(beyond, edge, share))
    high = 1.0 if successes == n or beyond(1 - edge) <= 0 else float(brentq(beyond, share, 1 - edge))
    return Estimate(value=share, low=low, high=high, n=n, confidence=confidence, method=BETA_BINOMIAL)


def any_time_share_bounds(
    successes: "ArrayLike", n: "ArrayLike", *, confidence: float = 0.95, prior: tuple[float, float] = (0.5, 0.5)
) -> "tuple[Floats, Floats]":
    """Low and high of `any_time_share` for many streams at once; 0 and 1 where a stream has nothing yet.

    Bisected to 1e-9. Raises ValueError for more successes than outcomes. Source: as `any_time_share`.

    >>> low, high = any_time_share_bounds([55], [60])
    >>> print(f"[{low[0]:.3f}, {high[0]:.3f}]")
    [0.755, 0.987]
    """
    import numpy as np
    from scipy.special import betaln, xlog1py, xlogy

    hits, size = np.broadcast_arrays(np.asarray(successes, dtype=np.float64), np.asarray(n, dtype=np.float64))
    if (hits < 0).any() or (hits > size).any():
        raise ValueError("a share needs 0 <= successes <= n")
    a, b = prior
    marginal = betaln(a + hits, b + size - hits) - betaln(a, b)
    limit = log(1 / (1 - check_confidence(confidence)))
    with np.errstate(all="ignore"):
        share = np.where(size > 0, hits / size, 0.5)

    def bound(end: float) -> "Floats":
        """Between the observed share, which is inside, and an end of [0, 1], which is taken as outside."""
        inside, outside = share.copy(), np.full(share.shape, end)
        for _ in range(30):
            middle = (inside + outside) / 2
            within = marginal - xlogy(hits, middle) - xlog1py(size - hits, -middle) <= limit
            inside, outside = np.where(within, middle, inside), np.where(within, outside, middle)
        # The outer of the two: what is not known is left in.
        return outside

    low = np.where(hits > 0, bound(0.0), 0.0)
    high = np.where(hits < size, bound(1.0), 1.0)
    return low, high


# A planned number of looks


@dataclass(frozen=True, slots=True, kw_only=True)
class Boundary:
    """What one planned look has to exceed."""

    fraction: float
    """Of the planned information that is in, in (0, 1]."""
    z: float
    """The estimate has to lie this many standard errors from zero, on either side."""
    nominal: float
    """The two-sided p at this boundary: what to compare the p of a single look with."""
    spent: float
    """Of alpha, up to and including this look."""


def spent_alpha(fraction: float, alpha: float = 0.05, spending: Spending = "obrien-fleming") -> float:
    """The two-sided alpha spent when this fraction of the information is in.

    Source: Lan and DeMets (1983), "Discrete Sequential Boundaries for Clinical Trials", Biometrika 70; half of alpha
    on each side.

    >>> round(spent_alpha(0.5), 5), round(spent_alpha(0.5, spending="pocock"), 4)
    (0.00305, 0.031)
    """
    from scipy.special import ndtri

    reached = min(fraction, 1.0)
    if spending == "pocock":
        return alpha * log(1 + (exp(1) - 1) * reached)
    return 2 * erfc(float(ndtri(1 - alpha / 4)) / sqrt(reached) / sqrt(2))


@lru_cache(maxsize=1024)
def boundaries(
    fractions: tuple[float, ...], alpha: float = 0.05, spending: Spending = "obrien-fleming"
) -> tuple[Boundary, ...]:
    """The boundary at each look, two-sided and symmetric; `fractions` rise and end at 1 or before.

    The looks need not fall where they were planned: give the fractions at which they fell, and the planned ones for
    those to come; earlier boundaries stay what they were. A look whose share of alpha is zero in floating point has
    an infinite boundary.
    Raises ValueError unless the fractions rise within (0, 1] and 0 < alpha < 1.
    Source: Lan and DeMets (1983); Armitage, McPherson and Rowe (1969), JRSS A 132, for the integration.

    >>> [round(look.z, 3) for look in boundaries((0.2, 0.4, 0.6, 0.8, 1.0))]
    [4.877, 3.357, 2.68, 2.29, 2.031]
    """
    _check_looks(fractions, alpha)
    walk, found, spent = _Walk(), [], 0.0
    for fraction in fractions:
        due = spent_alpha(fraction, alpha, spending)
        z = walk.boundary(fraction, due - spent)
        walk.step(fraction, z)
        spent = due
        found.append(Boundary(fraction=fraction, z=z, nominal=erfc(z / sqrt(2)), spent=due))
    return tuple(found)


def crossing(fractions: Sequence[float], z: Sequence[float]) -> float:
    """The chance that an A/A experiment exceeds z standard errors at any of the looks.

    >>> round(crossing((0.2, 0.4, 0.6, 0.8, 1.0), [1.96] * 5), 3)
    0.142
    """
    _check_looks(fractions, 0.5)
    walk, total = _Walk(), 0.0
    for fraction, limit in zip(fractions, z, strict=True):
        total += walk.exit(fraction, limit)
        walk.step(fraction, limit)
    return total


def at_look(
    differences: Differences,
    fractions: Sequence[float],
    *,
    spending: Spending = "obrien-fleming",
) -> Differences:
    """The differences at the last of the given looks, with repeated confidence intervals and repeated p.

    `fractions` are the shares of the planned information at the looks so far. The interval leaves out zero just when
    the boundary is crossed, and so does p: the smallest alpha whose boundary would have been crossed at this look.
    Source: Jennison and Turnbull (1989), "Interim Analyses: The Repeated Confidence Interval Approach", JRSS B 51.
    """
    import numpy as np

    looks = tuple(fractions)
    alpha = 1 - check_confidence(differences.confidence)
    limit = boundaries(looks, alpha, spending)[-1].z
    with np.errstate(all="ignore"):
        z = np.abs(differences.value / differences.standard_error)
        half = limit * differences.standard_error
    return Differences(
        value=differences.value,
        standard_error=differences.standard_error,
        df=np.where(differences.trouble == FINE, np.inf, np.nan),
        statistic=differences.statistic,
        p=repeated_p(z, looks, spending),
        low=differences.value - half,
        high=differences.value + half,
        n=differences.n,
        trouble=differences.trouble,
        confidence=differences.confidence,
        method=f"group-sequential look {len(looks)}, {SPENDING_NAMES[spending]} spending",
        relative=differences.relative,
    )


def repeated_p(z: "ArrayLike", fractions: tuple[float, ...], spending: Spending) -> "Floats":
    """The smallest alpha whose boundary |z| reaches at the last look; from a table of levels, between which log p is
    drawn as a line over z squared: within 1% of p, and exact at 5% and 1%.

    Below the smallest level with a finite boundary, one in ten million or more, that level stands: an upper bound.
    """
    import numpy as np

    levels, limits = _levels(fractions, spending)
    size = np.abs(np.asarray(z, dtype=np.float64))
    p: Floats = np.exp(np.interp(size**2, limits**2, np.log(levels)))
    return np.where(np.isnan(size), np.nan, np.where(size < limits[0], 1.0, p))


@lru_cache(maxsize=256)
def _levels(fractions: tuple[float, ...], spending: Spending) -> "tuple[Floats, Floats]":
    """Levels from near 1 down, and the boundary of the last look at each."""
    import numpy as np

    levels = np.array([0.95, 0.8, 0.6, 0.45, 0.3, 0.2, 0.14, *np.geomspace(0.1, 1e-7, 17), 0.05, 0.01])
    levels = np.sort(levels)[::-1]
    limits = np.array([boundaries(fractions, float(level), spending)[-1].z for level in levels])
    finite = np.isfinite(limits)
    return levels[finite], np.maximum.accumulate(limits[finite])


class _Walk:
    """A standard random walk, seen at looks, among those experiments that have not crossed before."""

    NODES = 96

    def __init__(self) -> None:
        self.at = 0.0
        self.places: Floats | None = None
        """Scores (z times the root of the fraction) at the last look; None before the first, when all are at 0."""
        self.mass: Floats | None = None

    def exit(self, fraction: float, z: float) -> float:
        """The chance to leave at this look, beyond z on either side."""
        import numpy as np
        from scipy.special import ndtr

        edge, step = z * sqrt(fraction), sqrt(fraction - self.at)
        if self.places is None or self.mass is None:
            return erfc(z / sqrt(2))
        out = ndtr((self.places - edge) / step) + ndtr((-edge - self.places) / step)
        return float(np.dot(self.mass, out))

    def boundary(self, fraction: float, due: float) -> float:
        """The z beyond which exactly `due` of the experiments leave."""
        from scipy.optimize import brentq

        if due <= 1e-15:
            return float("inf")
        if self.exit(fraction, 0.0) <= due:
            return 0.0
        return float(brentq(lambda z: self.exit(fraction, z) - due, 0.0, 40.0, xtol=1e-10))

    def step(self, fraction: float, z: float) -> None:
        """Go on with those that stay within z."""
        import numpy as np

        reach = min(z, 9.0) * sqrt(fraction)
        nodes, weights = _gauss(self.NODES)
        places = reach * nodes
        gap = fraction - self.at
        if self.places is None or self.mass is None:
            density = np.exp(-(places**2) / (2 * gap)) / sqrt(2 * pi * gap)
        else:
            steps = places[:, None] - self.places[None, :]
            density = np.exp(-(steps**2) / (2 * gap)) @ self.mass / sqrt(2 * pi * gap)
        self.at, self.places, self.mass = fraction, places, reach * weights * density


@lru_cache(maxsize=2)
def _gauss(nodes: int) -> "tuple[Floats, Floats]":
    import numpy as np

    places, weights = np.polynomial.legendre.leggauss(nodes)
    return places, weights


def _check_looks(fractions: Sequence[float], alpha: float) -> None:
    rising = all(before < after for before, after in zip((0.0, *fractions), fractions, strict=False))
    if not fractions or not rising or fractions[-1] > 1:
        raise ValueError(f"looks fall at rising fractions within (0, 1]; got {tuple(fractions)}")
    check_confidence(alpha)
