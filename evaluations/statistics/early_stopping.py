"""Stopping a benchmark early: ask the cases one by one, and stop when every pair of models is decided.

A test that is looked at after every batch errs many times as often as it says. Here each pair has a bet against "no
difference" and, with a margin, one against "a difference that matters"; a fair game seldom multiplies its capital,
however often one looks. So the level holds at every look, for any scores in [0, 1], from the first case on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import exp, log
from typing import TYPE_CHECKING, Final, Literal

from evaluations.estimates import Estimate
from evaluations.statistics.bounded import bounds, stakes_for, winnings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

State = Literal["different", "equivalent", "open"]

BETTING: Final = "always-valid betting interval"
_HORIZONS: Final = (1, 4, 16)
"""Bets are laid out to win when all planned cases are in, a quarter, and a sixteenth: large differences show early."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What is known of two models after the cases so far."""

    first: str
    second: str
    state: State
    """`different` and `equivalent` stay what they are, whatever comes later."""
    ahead: str | None
    """The model with the higher mean; None unless they are different."""
    n: int
    """Cases that both have a score for."""
    decided_after: int | None
    """Cases that had been put when it was decided; None while it is open."""
    p: float
    """Against no difference, at every look at once; not adjusted for the number of pairs."""
    difference: Estimate | None
    """First minus second, with an interval that holds at every look and for all pairs together; None without cases."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopping:
    """May the benchmark stop?"""

    decisions: tuple[Decision, ...]
    asked: int
    """Cases so far."""
    planned: int
    alpha: float
    """The chance that any pair is ever decided wrongly."""
    margin: float | None

    @property
    def stop(self) -> bool:
        """Are all pairs of interest decided? Then more cases would change no answer."""
        return not self.open

    @property
    def open(self) -> tuple[Decision, ...]:
        return tuple(each for each in self.decisions if each.state == "open")

    @property
    def wanted(self) -> tuple[str, ...]:
        """Models that still have an open pair: the others need not be asked any more."""
        return tuple(dict.fromkeys(model for each in self.open for model in (each.first, each.second)))

    def asked_of(self, model: str) -> int:
        """Cases that `model` would have been asked, had it been left alone once all its pairs were decided."""
        own = [each for each in self.decisions if model in (each.first, each.second)]
        return max((self.asked if each.decided_after is None else each.decided_after for each in own), default=0)


def stopping(
    scores: "Mapping[str, ArrayLike]",
    *,
    planned: int,
    pairs: Sequence[tuple[str, str]] | None = None,
    margin: float | None = None,
    alpha: float = 0.05,
) -> Stopping:
    """Which pairs are decided by the cases so far, when `planned` cases are there to be asked.

    `scores` has for each model one score in [0, 1] for each case, shape (cases,), in the order in which the cases were
    put, NaN where there is none. That order has to be random and fixed beforehand: cases in the order in which answers
    came back are not, for quick answers are the easy ones. `pairs` are those of interest, all of them when None; they
    too are chosen beforehand, as are `planned`, `margin` (in the unit of the scores) and `alpha`.

    A pair is *different* once the bet against no difference has won 2 pairs / alpha times its stake, and *equivalent*
    once both bets against a difference of `margin` or more, either way, have won pairs / alpha times theirs. So the
    chance that any pair is ever called different where it is not, the wrong one ahead, or equivalent where its true
    difference is the margin or more, is at most alpha; looking after every case costs nothing.
    Raises ValueError for shapes that differ, scores outside [0, 1], more cases than planned, a pair of a model that is
    not there, or a margin or alpha out of range.
    Source: Waudby-Smith and Ramdas (2024), "Estimating means of bounded random variables by betting", JRSS B 86(1),
    sections 4 and B.6 (capital shared between strategies); Ville (1939) for the bound at all looks.

    >>> import numpy as np
    >>> order = np.random.default_rng(1).permutation(600)
    >>> good, poor = (np.repeat([1.0, 0.0], counts)[order] for counts in ((540, 60), (420, 180)))
    >>> found = stopping({"good": good, "poor": poor}, planned=1000)
    >>> found.stop, found.decisions[0].ahead, found.decisions[0].decided_after
    (True, 'good', 81)
    """
    import numpy as np

    table = {name: np.asarray(each, dtype=np.float64) for name, each in scores.items()}
    asked = _checked(table, planned, margin, alpha)
    chosen = list(combinations(table, 2)) if pairs is None else list(pairs)
    unknown = sorted({model for pair in chosen for model in pair} - set(table))
    if unknown or any(one == two for one, two in chosen):
        raise ValueError(f"pairs are of two models that were asked ({', '.join(table)}); got {chosen}")
    level = alpha / max(1, len(chosen))
    return Stopping(
        decisions=tuple(_decision(one, two, table[one], table[two], planned, margin, level) for one, two in chosen),
        asked=asked,
        planned=planned,
        alpha=alpha,
        margin=margin,
    )


def _checked(table: "Mapping[str, Floats]", planned: int, margin: float | None, alpha: float) -> int:
    import numpy as np

    shapes = {each.shape for each in table.values()}
    if len(shapes) != 1 or len(next(iter(shapes))) != 1:
        raise ValueError(f"every model has one value for each case, in one order; got shapes {sorted(shapes)}")
    asked = int(next(iter(shapes))[0])
    if not max(1, asked) <= planned:
        raise ValueError(f"{asked} cases were asked and {planned} planned")
    if not all(np.all(np.isnan(each) | ((each >= 0) & (each <= 1))) for each in table.values()):
        raise ValueError("only scores in [0, 1] have a bound for which betting is fair")
    if margin is not None and not 0 < margin < 1:
        raise ValueError(f"a margin lies between 0 and 1, in the unit of the scores; got {margin}")
    if not 0 < alpha < 0.5:
        raise ValueError(f"alpha lies between 0 and 0.5; got {alpha}")
    return asked


def _decision(
    first: str, second: str, one: "Floats", two: "Floats", planned: int, margin: float | None, level: float
) -> Decision:
    import numpy as np

    both = np.flatnonzero(~(np.isnan(one) | np.isnan(two)))
    if not both.size:
        return Decision(
            first=first, second=second, state="open", ahead=None, n=0, decided_after=None, p=1.0, difference=None
        )
    gains = one[both] - two[both]
    drawn = (gains + 1) / 2
    stakes = _stakes(drawn, level, planned)
    up, down = winnings(drawn, stakes, 0.5, "above"), winnings(drawn, stakes, 0.5, "below")
    apart = np.maximum(up, down)
    told = _first(apart >= log(2 / level))
    near = None
    if margin is not None:
        # Each bet keeps the most it ever held: what it ruled out stays ruled out.
        more = np.maximum.accumulate(winnings(drawn, stakes, (1 - margin) / 2, "above"))
        less = np.maximum.accumulate(winnings(drawn, stakes, (1 + margin) / 2, "below"))
        near = _first((more >= log(1 / level)) & (less >= log(1 / level)))
    state: State = "open"
    if near is not None and (told is None or near < told):
        state, told = "equivalent", near
    elif told is not None:
        state = "different"
    ahead = None
    if state == "different" and told is not None:
        ahead = first if up[told] > down[told] else second
    return Decision(
        first=first,
        second=second,
        state=state,
        ahead=ahead,
        n=int(both.size),
        decided_after=None if told is None else int(both[told]) + 1,
        p=min(1.0, 2 * exp(-max(0.0, float(apart.max())))),
        difference=mean_at_every_look(gains, planned=planned, low=-1.0, high=1.0, confidence=1 - level),
    )


def mean_at_every_look(
    values: "Floats", *, planned: int, low: float = 0.0, high: float = 1.0, confidence: float = 0.95
) -> Estimate:
    """The mean of values in [low, high] that come one by one, shape (n,), with an interval that holds at every n.

    It is the narrower, the nearer n is to `planned`, a quarter or a sixteenth of it. Raises ValueError without values.
    Source: as `stopping`.

    >>> import numpy as np
    >>> found = mean_at_every_look(np.array([1.0, 1, 1, 0] * 50), planned=400)
    >>> print(f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]")
    0.75 [0.65, 0.83]
    """
    if not values.size:
        raise ValueError("a mean needs one value or more")
    level = 1 - confidence
    drawn = (values - low) / (high - low)
    least, most = bounds(drawn, _stakes(drawn, level, planned), float(drawn.mean()), level)
    return Estimate(
        value=float(values.mean()),
        low=low + (high - low) * least,
        high=low + (high - low) * most,
        n=int(values.size),
        confidence=confidence,
        method=BETTING,
    )


def _stakes(drawn: "Floats", level: float, planned: int) -> "Floats":
    import numpy as np

    return np.array([stakes_for(drawn, level, max(1.0, planned / part)) for part in _HORIZONS])


def _first(holds: "NDArray[np.bool_]") -> int | None:
    return int(holds.argmax()) if holds.any() else None
