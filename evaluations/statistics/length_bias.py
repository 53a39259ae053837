"""How often a judge prefers one model when the length of its answers is taken out: length-controlled win rates.

Judges, and people, like long answers. A win rate that comes of writing more says little of the answers; here the
preference is explained by which model it is and by how much longer its answer was, and the rate is given for answers
of equal length.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING, Final

from evaluations.estimates import Estimate
from evaluations.statistics.clusters import per_unit
from evaluations.statistics.outcomes import Hedged, Undetermined, checked
from evaluations.statistics.proportions import normal_quantile

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

CONTROLLED: Final = "logistic regression on the length difference, sandwich interval"
LEAST_PAIRS: Final = 50
"""Below so many preferences the intervals are not measured."""
LEAST_OF_EACH: Final = 10
"""Wins and losses that the regression needs, each."""
_STEPS: Final = 60
_STEEP: Final = 12.0
"""Coefficients beyond this say that length, or the model, decides without exception: no rate can be told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LengthControlled(Hedged):
    """A win rate as it was, and as it would be with answers of equal length."""

    raw: Estimate
    """Share of cases in which the model is preferred, a tie counting as half."""
    controlled: Estimate
    """The same at no difference in length."""
    slope: Estimate
    """Of the log-odds of being preferred, for one standard deviation of the length difference near none; 0 when length
    does not matter, positive when the longer answer is preferred."""
    p: float
    """Two-sided, against a slope of 0."""
    longer: float
    """Mean length of the model's answers minus that of the other's, in the unit of the lengths."""


def length_controlled(
    preferred: "ArrayLike",
    lengths: "ArrayLike",
    other_lengths: "ArrayLike",
    *,
    clusters: Sequence[Hashable] | None = None,
    confidence: float = 0.95,
) -> LengthControlled | Undetermined:
    """The win rate of a model over another with the length difference controlled for; all of shape (cases,).

    `preferred` is 1 where the model was preferred, 0 where the other was, 1/2 for a tie (anything between is a mean
    over repeats); NaN, and cases without a length, are left out. The log-odds are a constant plus a slope times
    tanh(difference / its standard deviation): a difference of thousands counts no more than a large one. Errors are
    robust, and by `clusters` where cases share a source. Domain: 50 preferences, 10 wins and 10 losses.
    Raises ValueError if shapes differ, or a preference lies outside [0, 1].
    Source: Dubois, Galambosi, Liang & Hashimoto (2024), "Length-Controlled AlpacaEval: A Simple Way to Debias
    Automatic Evaluators", arXiv 2404.04475, without their term for each instruction; Papke & Wooldridge (1996),
    Journal of Applied Econometrics 11(6), for preferences that are fractions.

    >>> import numpy as np
    >>> rng = np.random.default_rng(1)
    >>> more = rng.normal(120, 150, 2000)  # writes 120 words more and is no better
    >>> wins = rng.random(2000) < 1 / (1 + np.exp(-1.2 * np.tanh(more / more.std())))
    >>> found = length_controlled(wins, 300 + more, np.full(2000, 300.0))
    >>> print(f"{found.raw.value:.2f}, of equal length {found.controlled.value:.2f}")
    0.63, of equal length 0.51
    """
    import numpy as np
    from scipy.special import erfc, expit

    checked(confidence)
    wins, own, others = (np.asarray(each, dtype=np.float64) for each in (preferred, lengths, other_lengths))
    if not wins.shape == own.shape == others.shape or wins.ndim != 1 or (clusters and len(clusters) != wins.size):
        raise ValueError(f"each case has a preference and two lengths; got {wins.shape}, {own.shape}, {others.shape}")
    known = ~(np.isnan(wins) | np.isnan(own) | np.isnan(others))
    wins, longer = wins[known], (own - others)[known]
    if ((wins < 0) | (wins > 1)).any():
        raise ValueError("a preference lies in [0, 1]: 1 for the model, 0 for the other, 1/2 for a tie")
    n, won = int(wins.size), float(wins.sum())
    if not n:
        return Undetermined(reason="empty", why="no case has a preference and both lengths")
    spread = float(longer.std())
    if not spread > 0:
        return Undetermined(reason="no spread", why=f"the lengths differ by the same in all {n} cases", n=n)
    x = np.column_stack([np.ones(n), np.tanh(longer / spread)])
    beta = _fitted(x, wins)
    if beta is None:
        why = f"{won:g} of {n} won, and length tells which without exception: there is no rate at equal length"
        return Undetermined(reason="no spread", why=why, n=n)
    owners = np.arange(n) if clusters is None else np.array([str(each) for each in clusters])[known]
    covariance, units = _sandwich(x, wins, beta, owners)
    z = normal_quantile(confidence)
    error, steep = sqrt(covariance[0, 0]), sqrt(covariance[1, 1])
    mean_error = sqrt(float(((_sums(wins - wins.mean(), owners)) ** 2).sum()) * units / max(1, units - 1)) / n

    def told(value: float, low: float, high: float, method: str) -> Estimate:
        return Estimate(value=value, low=low, high=high, n=units, confidence=confidence, method=method)

    rate = won / n
    at = float(beta[0])
    doubts = []
    if units < LEAST_PAIRS:
        doubts.append(f"{units} preferences, and the intervals need {LEAST_PAIRS}")
    if min(won, n - won) < LEAST_OF_EACH:
        doubts.append(f"{min(won, n - won):g} on one side, and the regression needs {LEAST_OF_EACH}")
    return LengthControlled(
        raw=told(rate, max(0.0, rate - z * mean_error), min(1.0, rate + z * mean_error), "normal interval of a mean"),
        controlled=told(float(expit(at)), float(expit(at - z * error)), float(expit(at + z * error)), CONTROLLED),
        slope=told(float(beta[1]), float(beta[1]) - z * steep, float(beta[1]) + z * steep, CONTROLLED),
        p=float(erfc(abs(float(beta[1])) / steep / sqrt(2))) if steep > 0 else 1.0,
        longer=float(longer.mean()),
        doubts=tuple(doubts),
    )


def _fitted(x: "Floats", y: "Floats") -> "Floats | None":
    """The coefficients of a logistic regression by Newton's method; None where they run away."""
    import numpy as np
    from scipy.special import expit

    beta: Floats = np.zeros(x.shape[1])
    for _ in range(_STEPS):
        fitted = expit(x @ beta)
        information = (x * (fitted * (1 - fitted))[:, None]).T @ x
        if not np.linalg.cond(information) < 1e12:
            return None
        step = np.linalg.solve(information, x.T @ (y - fitted))
        # From zero Newton may leap beyond the maximum; half a leap does not.
        beta = beta + step * min(1.0, 2.0 / max(1e-12, float(np.abs(step).max())))
        if np.abs(beta).max() > _STEEP:
            return None
        if np.abs(step).max() < 1e-10:
            return beta
    return None


def _sandwich(x: "Floats", y: "Floats", beta: "Floats", owners: "NDArray[np.generic]") -> "tuple[Floats, int]":
    """The robust covariance of the coefficients, and the independent units behind it."""
    import numpy as np
    from scipy.special import expit

    fitted = expit(x @ beta)
    bread = np.linalg.inv((x * (fitted * (1 - fitted))[:, None]).T @ x)
    scores = np.column_stack([_sums(column, owners) for column in (x * (y - fitted)[:, None]).T])
    units = len(scores)
    covariance: Floats = bread @ (scores.T @ scores) @ bread * (units / max(1, units - 1))
    return covariance, units


def _sums(values: "Floats", owners: "NDArray[np.generic]") -> "Floats":
    return per_unit(values, owners).sums
