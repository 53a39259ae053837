"""Means of bounded values, with intervals that hold at every n and for every shape: no normality, no large numbers.

They cost width: where Student's interval is in its domain it is narrower. Where a few cases carry all of the
difference, as when nine of ten score the same under both variants, this one can still be believed.
"""

from math import exp, log
from typing import TYPE_CHECKING, Final, Literal

from evaluations.estimates import Estimate
from evaluations.statistics.outcomes import Determined, Outcome, Undetermined, checked, unfit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

Side = Literal["above", "below"]
HEDGED: Final = "hedged betting interval"
_MOST_STAKED: Final = 0.5
"""Share of the capital that one bet may cost at most: it can never be lost at once."""
_HALVINGS: Final = 40
_SIDES: Final[tuple[Side, Side]] = ("above", "below")


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
    stakes = stakes_for(drawn, alpha, drawn.size)[None, :]
    mean = float(drawn.mean())
    lowest, highest = bounds(drawn, stakes, mean, alpha)
    against_null = capital(drawn, stakes, (null - low) / (high - low))
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


def stakes_for(drawn: "Floats", alpha: float, planned: float) -> "Floats":
    """How much is bet on each value in [0, 1], shape (n,): by the spread of those before it, so that the bet cannot
    know its outcome. The interval is narrowest when `planned` values are in."""
    import numpy as np

    counts = np.arange(1, drawn.size + 1)
    means = (0.5 + drawn.cumsum()) / (counts + 1)
    spread = (0.25 + ((drawn - means) ** 2).cumsum()) / (counts + 1)
    before = np.concatenate([[0.25], spread[:-1]])
    stakes: Floats = np.sqrt(2 * np.log(2 / alpha) / (planned * before))
    return stakes


def winnings(
    drawn: "Floats", stakes: "Floats", candidate: float, side: Side, weights: "Floats | float" = 1.0
) -> "Floats":
    """The logarithm of what was won after each value by betting that the mean lies on that side of the candidate.

    `drawn` has the shape (n,), values in [0, 1], `stakes` the shape (strategies, n): strategies begin with equal shares
    of the capital, so that together they win as a fair game does. Shape (n,). `weights` in (0, 1], shape (n,), say how
    much each value counts in the mean: so much of its stake is in play.
    """
    import numpy as np

    sign, most = (1.0, candidate) if side == "above" else (-1.0, 1.0 - candidate)
    limit = _MOST_STAKED / most if most > 0 else np.inf
    won = np.log1p(sign * np.minimum(stakes, limit) * weights * (drawn - candidate)).cumsum(axis=1)
    together: Floats = np.logaddexp.reduce(won, axis=0) - log(len(stakes))
    return together


def capital(drawn: "Floats", stakes: "Floats", candidate: float) -> float:
    """The most that was ever won against a candidate mean, half of the capital betting on each side."""
    most = max(float(winnings(drawn, stakes, candidate, side).max()) for side in _SIDES)
    return 0.5 * exp(min(most, 700.0))


def bounds(
    drawn: "Floats", stakes: "Floats", mean: float, alpha: float, weights: "Floats | float" = 1.0
) -> tuple[float, float]:
    """The least and the greatest candidate that was not bet out of the game."""
    limit = log(2 / alpha)

    def lost(candidate: float, side: Side) -> bool:
        # A bet on more wins less against a higher candidate, and the reverse: what is kept is an interval.
        return float(winnings(drawn, stakes, candidate, side, weights).max()) >= limit

    ends = []
    for side, end in zip(_SIDES, (0.0, 1.0), strict=True):
        inside, outside = mean, end
        if not lost(end, side):
            outside = end
        elif lost(mean, side):
            outside = mean
        else:
            for _ in range(_HALVINGS):
                middle = (inside + outside) / 2
                inside, outside = (inside, middle) if lost(middle, side) else (middle, outside)
        ends.append(outside)
    return ends[0], ends[1]
