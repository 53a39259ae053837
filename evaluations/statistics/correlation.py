"""How far one score follows another: Pearson, Spearman and Kendall, each with its interval.

The intervals are for the correlation in the population the pairs were drawn from: pairs are independent. Pearson's
takes the two as jointly normal, the others take ranks and do not.
"""

from math import atanh, sqrt, tanh
from typing import TYPE_CHECKING

from evaluations.estimates import Estimate
from evaluations.statistics.outcomes import Determined, Outcome, Undetermined, checked, unfit
from evaluations.statistics.proportions import normal_quantile
from evaluations.statistics.ranks import mid_ranks

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    Numbers = NDArray[np.float64]

LEAST_CORRELATED = 25
"""Below so many pairs the intervals fall short of their level (docs/statistics.md)."""
LEAST_FOR_KENDALL = 40
"""The same for Kendall's, whose error is an approximation."""
HEAVY = 3.0
"""An excess kurtosis of either score above this widens the truth beyond the interval that takes it as normal."""


def pearson(one: "ArrayLike", other: "ArrayLike", *, confidence: float = 0.95) -> Outcome:
    """The linear correlation of two scores, shapes (n,), with Fisher's interval; p against 0 by Student's t.

    Raises ValueError if the shapes differ.
    Source: Fisher (1921), "On the 'Probable Error' of a Coefficient of Correlation", Metron 1; how heavy tails break
    the interval: Bishara & Hittner (2015), Educational and Psychological Measurement 75(5).

    >>> found = pearson([1, 2, 3, 4, 5, 6], [1.2, 1.9, 3.4, 3.6, 5.1, 5.7])
    >>> print(f"{found.effect.value:.3f} [{found.effect.low:.3f}, {found.effect.high:.3f}]")
    0.988 [0.890, 0.999]
    """
    first, second = _pair(one, other)
    if (why := _unfit(first, second)) is not None:
        return why
    tails = max(_excess(first), _excess(second))
    heavy = (f"heavy tails (excess kurtosis {tails:.1f}): Fisher's interval is too narrow",) if tails > HEAVY else ()
    return _correlated("Pearson correlation", _r(first, second), first.size, 1.0, confidence, heavy)


def spearman(one: "ArrayLike", other: "ArrayLike", *, confidence: float = 0.95) -> Outcome:
    """The correlation of ranks of two scores, shapes (n,), ties at their mean rank; p against 0 by Student's t.

    Raises ValueError if the shapes differ.
    Source: Spearman (1904), American Journal of Psychology 15(1); the interval: Bonett & Wright (2000), "Sample Size
    Requirements for Estimating Pearson, Kendall and Spearman Correlations", Psychometrika 65(1).

    >>> round(spearman([1, 2, 3, 4, 5, 6], [1, 3, 2, 4, 6, 5]).effect.value, 3)
    0.886
    """
    first, second = _pair(one, other)
    if (why := _unfit(first, second)) is not None:
        return why
    r = _r(mid_ranks(first)[0], mid_ranks(second)[0])
    return _correlated("Spearman correlation", r, first.size, 1 + r * r / 2, confidence, ())


def kendall(one: "ArrayLike", other: "ArrayLike", *, confidence: float = 0.95) -> Outcome:
    """Kendall's tau-b of two scores, shapes (n,): concordant less discordant pairs, ties taken out of the scale.

    p is SciPy's: counted out for small n without ties, else normal. Raises ValueError if the shapes differ.
    Source: Kendall (1945), "The Treatment of Ties in Ranking Problems", Biometrika 33(3); the interval: Fieller,
    Hartley & Pearson (1957), "Tests for Rank Correlation Coefficients", Biometrika 44.

    >>> round(kendall([1, 2, 3, 4, 5, 6], [1, 3, 2, 4, 6, 5]).effect.value, 3)
    0.733
    """
    first, second = _pair(one, other)
    if (why := _unfit(first, second)) is not None:
        return why
    from scipy.stats import kendalltau

    found = kendalltau(first, second)
    n = first.size
    error = sqrt(0.437 / (n - 4)) if n > 4 else float("inf")
    return Determined(
        method="Kendall tau-b",
        p=float(found.pvalue),
        statistic=float(found.statistic),
        effect=_fisher(float(found.statistic), error, n, confidence, "Fieller interval"),
        doubts=_few(n, LEAST_FOR_KENDALL),
    )


def _correlated(name: str, r: float, n: int, spread: float, confidence: float, doubts: tuple[str, ...]) -> Determined:
    from scipy.special import stdtr

    t = r * sqrt((n - 2) / (1 - r * r)) if abs(r) < 1 else float("inf") * r
    error = sqrt(spread / (n - 3)) if n > 3 else float("inf")
    return Determined(
        method=name,
        p=float(2 * stdtr(n - 2, -abs(t))),
        statistic=t,
        df=n - 2.0,
        effect=_fisher(r, error, n, confidence, "Fisher z interval" if spread == 1 else "Bonett-Wright interval"),
        doubts=(*_few(n), *doubts),
    )


def _fisher(r: float, error: float, n: int, confidence: float, name: str) -> Estimate:
    """The interval on the scale of atanh, on which the error does not depend on the correlation."""
    half = normal_quantile(checked(confidence)) * error
    low, high = (tanh(atanh(r) - half), tanh(atanh(r) + half)) if abs(r) < 1 else (r, r)
    return Estimate(value=r, low=low, high=high, n=n, confidence=confidence, method=name)


def _few(n: int, least: int = LEAST_CORRELATED) -> tuple[str, ...]:
    return () if n >= least else (f"{n} pairs, and the interval needs {least}",)


def _r(first: "Numbers", second: "Numbers") -> float:
    one, other = first - first.mean(), second - second.mean()
    # Not `one @ other`: that wakes the threads of the linear algebra, which wait for each other on a busy machine.
    product, squares = float((one * other).sum()), float((one * one).sum()) * float((other * other).sum())
    return max(-1.0, min(1.0, product / sqrt(squares)))


def _excess(values: "Numbers") -> float:
    squares = (values - values.mean()) ** 2
    return float((squares**2).mean() / squares.mean() ** 2) - 3


def _pair(one: "ArrayLike", other: "ArrayLike") -> "tuple[Numbers, Numbers]":
    import numpy as np

    first, second = np.asarray(one, dtype=np.float64), np.asarray(other, dtype=np.float64)
    if first.shape != second.shape or first.ndim != 1:
        raise ValueError(f"a correlation needs two rows of one length; got shapes {first.shape} and {second.shape}")
    return first, second


def _unfit(first: "Numbers", second: "Numbers") -> Undetermined | None:
    import numpy as np

    for values in (first, second):
        if (why := unfit(values, least=3, what="pairs")) is not None:
            return why
        if np.ptp(values) <= 1e-12 * np.abs(values).max():
            return Undetermined(
                reason="no spread", why=f"one of the scores is {values[0]:.6g} throughout", n=values.size
            )
    return None
