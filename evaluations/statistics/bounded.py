"""Means of bounded values, with intervals that hold at every n and for every shape: no normality, no large numbers.

They cost width: where Student's interval is in its domain it is narrower. Where a few cases carry all of the
difference, as when nine of ten score the same under both variants, this one can still be believed.
"""

from typing import TYPE_CHECKING, Final

from evaluations.estimates import Estimate
from evaluations.statistics.outcomes import Determined, Outcome, Undetermined, checked, unfit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

HEDGED: Final = "hedged betting interval"
_MOST_STAKED: Final = 0.5
"""Share of the capital that one bet may cost at most: it can never be lost at once."""
_GRID: Final = 2001
"""Candidate means at first; the bounds are then searched between two of them."""
_HALVINGS: Final = 40
_AT_ONCE: Final = 4_000_000
"""Bets that are held in memory together."""


def bounded_mean(
    values: "Floats",
    generator: "np.random.Generator",
    *,
    low: float = 0.0,
    high: float = 1.0,
    null: float = 0.0,
    confidence: float = 0.95,
) -> Outcome:
    """The mean of independent values in [low, high], shape (n,), and a test of it being `null`.

    Bets against every candidate mean grow when it is wrong; the interval holds the candidates against which no bet has
    grown beyond 1 / alpha, and p is one over the capital won against the null. Valid for any distribution on the range
    at any n, so nothing about it is ever in doubt. The order of the values is drawn with `generator`, because bets are
    placed one after the other; the same seed gives the same interval.
    Raises ValueError for a range that is none, a null outside it, or a confidence outside (0, 1).
    Source: Waudby-Smith and Ramdas (2024), "Estimating means of bounded random variables by betting", JRSS B 86(1),
    theorem 3 and equation 26 (predictable plug-in bets for a fixed n).

    >>> import numpy as np
    >>> found = bounded_mean(np.repeat([0.0, -1.0], [67, 17]), np.random.default_rng(1), low=-1.0, high=1.0)
    >>> print(f"{found.effect.value:.3f} [{found.effect.low:.2f}, {found.effect.high:.2f}] p<0.01: {found.p < 0.01}")
    -0.202 [-0.29, -0.08] p<0.01: True
    """
    import numpy as np

    if not low < high or not low <= null <= high:
        raise ValueError(f"a range with the null inside is wanted; got [{low}, {high}] and {null}")
    alpha = 1 - checked(confidence)
    if (unusable := unfit(values, least=2, what="values")) is not None:
        return unusable
    if values.min() < low - 1e-9 or values.max() > high + 1e-9:
        return Undetermined(reason="out of range", why=f"values lie outside [{low:g}, {high:g}]", n=int(values.size))
    drawn = np.clip((generator.permutation(values) - low) / (high - low), 0.0, 1.0)
    stakes = _stakes(drawn, alpha)
    mean = float(drawn.mean())
    lowest, highest = _bounds(drawn, stakes, mean, alpha)
    against_null = float(_capital(drawn, stakes, np.array([(null - low) / (high - low)]))[0])
    scale = high - low
    return Determined(
        method=HEDGED,
        p=min(1.0, 1.0 / against_null),
        effect=Estimate(
            value=float(values.mean()),
            low=low + scale * lowest,
            high=low + scale * highest,
            n=int(values.size),
            confidence=confidence,
            method=HEDGED,
        ),
    )


def _stakes(drawn: "Floats", alpha: float) -> "Floats":
    """How much is bet on each value: by the spread of those before it, so that the bet cannot know its outcome."""
    import numpy as np

    n = drawn.size
    counts = np.arange(1, n + 1)
    means = (0.5 + drawn.cumsum()) / (counts + 1)
    spread = (0.25 + ((drawn - means) ** 2).cumsum()) / (counts + 1)
    before = np.concatenate([[0.25], spread[:-1]])
    stakes: Floats = np.sqrt(2 * np.log(2 / alpha) / (n * before))
    return stakes


def _capital(drawn: "Floats", stakes: "Floats", candidates: "Floats") -> "Floats":
    """The most that was ever won against each candidate mean, half of the capital betting on each side."""
    import numpy as np

    won = np.empty(candidates.size)
    step = max(1, _AT_ONCE // drawn.size)
    for begin in range(0, candidates.size, step):
        m = candidates[begin : begin + step, None]
        with np.errstate(divide="ignore"):
            above = np.minimum(stakes, _MOST_STAKED / m)
            below = np.minimum(stakes, _MOST_STAKED / (1 - m))
        up = np.log1p(above * (drawn - m)).cumsum(axis=1).max(axis=1)
        down = np.log1p(-below * (drawn - m)).cumsum(axis=1).max(axis=1)
        won[begin : begin + step] = 0.5 * np.exp(np.minimum(np.maximum(up, down), 700.0))
    return won


def _bounds(drawn: "Floats", stakes: "Floats", mean: float, alpha: float) -> tuple[float, float]:
    """The least and the greatest candidate that was not bet out of the game."""
    import numpy as np

    grid = np.linspace(0.0, 1.0, _GRID)
    kept = np.flatnonzero(_capital(drawn, stakes, grid) < 1 / alpha)
    if not kept.size:  # the interval lies between two candidates
        return mean, mean
    ends = []
    for inside, outside in ((grid[kept[0]], kept[0] - 1), (grid[kept[-1]], kept[-1] + 1)):
        if not 0 <= outside < _GRID:
            ends.append(float(inside))
            continue
        near, far = float(inside), float(grid[outside])
        for _ in range(_HALVINGS):
            middle = (near + far) / 2
            won = float(_capital(drawn, stakes, np.array([middle]))[0])
            near, far = (middle, far) if won < 1 / alpha else (near, middle)
        ends.append(far)
    return min(ends[0], mean), max(ends[1], mean)
