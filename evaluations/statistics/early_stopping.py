"""Stopping a benchmark early: ask the cases one by one, and stop when every pair of models is decided.

A test that is looked at after every batch errs many times as often as it says. Here each pair has a bet against "no
difference" and, with a margin, one against "a difference that matters"; a fair game seldom multiplies its capital,
however often one looks. So the level holds at every look, for any scores in [0, 1], from the first case on.

Cases that share a source are no independent draws: then a bet is on a whole source, all of its cases at once.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, groupby
from math import exp, log
from typing import TYPE_CHECKING, Final, Literal

from evaluations.estimates import Estimate
from evaluations.statistics.bounded import Side, bounds, stakes_for, winnings

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
    """Cases that had been put when it was decided, to the end of their source; None while it is open."""
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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Units:
    """What bets are placed on: cases, or whole sources of them. All arrays have the shape (units,)."""

    ends: "NDArray[np.intp]"
    """The place behind the last case of each, among the cases so far."""
    planned: int
    """Units that there are to be asked."""
    largest: int
    """Cases of the largest of these."""

    @classmethod
    def of(cls, asked: int, planned: int, clusters: Sequence[Hashable] | None) -> "_Units":
        """Raises ValueError where a cluster's cases are not put one after the other."""
        import numpy as np

        if clusters is None:
            return cls(ends=np.arange(1, asked + 1), planned=planned, largest=1)
        if len(clusters) != planned:
            raise ValueError(f"each planned case belongs to one cluster; got {len(clusters)} for {planned} cases")
        runs = [len(list(some)) for _, some in groupby(clusters)]
        if len(runs) != len(set(clusters)):
            raise ValueError("the cases of a cluster are put one after the other, so that it can be looked at whole")
        ends = np.cumsum(np.array(runs, dtype=np.intp))
        return cls(ends=ends[ends <= asked], planned=len(runs), largest=max(runs))

    def drawn(self, values: "Floats") -> "_Drawn":
        """Of values in [0, 1], one for each case so far and NaN where there is none, the units that have any."""
        import numpy as np

        whole = values[: self.ends[-1]] if self.ends.size else np.empty(0)
        known = ~np.isnan(whole)
        starts = np.append(0, self.ends)[:-1]
        sums, sizes = (
            np.add.reduceat(each, starts) if whole.size else whole
            for each in (np.where(known, whole, 0.0), known.astype(np.float64))
        )
        there = sizes > 0
        return _Drawn(
            means=np.clip(sums[there] / sizes[there], 0.0, 1.0),
            weights=sizes[there] / self.largest,
            ends=self.ends[there],
            n=int(sizes.sum()),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Drawn:
    """Units in the order in which they were put; all arrays have the shape (units,)."""

    means: "Floats"
    """Over the cases of each, in [0, 1]."""
    weights: "Floats"
    """Cases of each, in those of the largest there is to ask: the mean over cases is theirs, so weighed."""
    ends: "NDArray[np.intp]"
    n: int
    """Cases in all of them."""

    @property
    def mean(self) -> float:
        """Over cases."""
        return float(self.means @ self.weights / self.weights.sum())

    def stakes(self, level: float, planned: int) -> "Floats":
        """What is bet on each unit, by the spread of those before it, for each of the horizons."""
        import numpy as np

        # A unit that is smaller than the largest is filled up with what was to be expected before it came: a bet on it
        # is as bold as its spread allows, and does not know its outcome.
        weighed, weight = (self.means * self.weights).cumsum(), self.weights.cumsum()
        expected = (0.5 + np.append(0.0, weighed[:-1])) / (1 + np.append(0.0, weight[:-1]))
        filled = expected + self.weights * (self.means - expected)
        return np.array([stakes_for(filled, level, max(1.0, planned / part)) for part in _HORIZONS])


def whole_cases(clusters: Sequence[Hashable], asked: int) -> int:
    """Of the first `asked` cases, how many come before the first cluster that was not asked whole.

    >>> whole_cases(["a", "a", "b", "b", "b", "c"], 4), whole_cases(["a", "a", "b"], 3)
    (2, 3)
    """
    ends = _Units.of(asked, len(clusters), clusters).ends
    return int(ends[-1]) if ends.size else 0


def stopping(
    scores: "Mapping[str, ArrayLike]",
    *,
    planned: int,
    clusters: Sequence[Hashable] | None = None,
    pairs: Sequence[tuple[str, str]] | None = None,
    margin: float | None = None,
    alpha: float = 0.05,
) -> Stopping:
    """Which pairs are decided by the cases so far, when `planned` cases are there to be asked.

    `scores` has for each model one score in [0, 1] for each case, shape (cases,), in the order in which the cases were
    put, NaN where there is none. That order has to be random and fixed beforehand: cases in the order in which answers
    came back are not, for quick answers are the easy ones. `pairs` are those of interest, all of them when None; they
    too are chosen beforehand, as are `planned`, `margin` (in the unit of the scores) and `alpha`.

    `clusters` says what each case belongs to that shares a source with others (a document, a conversation): one for
    each *planned* case, in the order in which they are put, the cases of a cluster one after the other and the order of
    the clusters random. Then only whole clusters are looked at, each a single bet on the sum of its cases: whatever
    hangs together inside a cluster, the level holds for the mean over cases.

    A pair is *different* once the bet against no difference has won 2 pairs / alpha times its stake, and *equivalent*
    once both bets against a difference of `margin` or more, either way, have won pairs / alpha times theirs. So the
    chance that any pair is ever called different where it is not, the wrong one ahead, or equivalent where its true
    difference is the margin or more, is at most alpha; looking after every case costs nothing.
    Raises ValueError for shapes that differ, scores outside [0, 1], more cases than planned, clusters that are torn
    apart, a pair of a model that is not there, or a margin or alpha out of range.
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
    level, units = alpha / max(1, len(chosen)), _Units.of(asked, planned, clusters)
    return Stopping(
        decisions=tuple(_decision(one, two, table[one], table[two], units, margin, level) for one, two in chosen),
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
    first: str, second: str, one: "Floats", two: "Floats", units: _Units, margin: float | None, level: float
) -> Decision:
    import numpy as np

    drawn = units.drawn((one - two + 1) / 2)
    if not drawn.n:
        return Decision(
            first=first, second=second, state="open", ahead=None, n=0, decided_after=None, p=1.0, difference=None
        )
    stakes = drawn.stakes(level, units.planned)

    def won(candidate: float, side: Side) -> "Floats":
        return winnings(drawn.means, stakes, candidate, side, drawn.weights)

    up, down = won(0.5, "above"), won(0.5, "below")
    apart = np.maximum(up, down)
    told = _first(apart >= log(2 / level))
    near = None
    if margin is not None:
        # Each bet keeps the most it ever held: what it ruled out stays ruled out.
        more = np.maximum.accumulate(won((1 - margin) / 2, "above"))
        less = np.maximum.accumulate(won((1 + margin) / 2, "below"))
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
        n=drawn.n,
        decided_after=None if told is None else int(drawn.ends[told]),
        p=min(1.0, 2 * exp(-max(0.0, float(apart.max())))),
        difference=_mean(drawn, units, low=-1.0, high=1.0, level=level),
    )


def mean_at_every_look(
    values: "Floats",
    *,
    planned: int,
    clusters: Sequence[Hashable] | None = None,
    low: float = 0.0,
    high: float = 1.0,
    confidence: float = 0.95,
) -> Estimate | None:
    """The mean of values in [low, high] that come one by one, shape (n,), with an interval that holds at every n.

    It is the narrower, the nearer n is to `planned`, a quarter or a sixteenth of it. NaN stands for a value that is not
    there. `clusters` as `stopping` takes them: the values of whole clusters, and `n` counts clusters. None without a
    value. Raises ValueError as `stopping` does for clusters.
    Source: as `stopping`.

    >>> import numpy as np
    >>> found = mean_at_every_look(np.array([1.0, 1, 1, 0] * 50), planned=400)
    >>> print(f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]")
    0.75 [0.65, 0.83]
    """
    units = _Units.of(values.size, planned, clusters)
    drawn = units.drawn((values - low) / (high - low))
    return _mean(drawn, units, low=low, high=high, level=1 - confidence) if drawn.n else None


def _mean(drawn: _Drawn, units: _Units, *, low: float, high: float, level: float) -> Estimate:
    least, most = bounds(drawn.means, drawn.stakes(level, units.planned), drawn.mean, level, drawn.weights)
    return Estimate(
        value=low + (high - low) * drawn.mean,
        low=low + (high - low) * least,
        high=low + (high - low) * most,
        n=drawn.means.size,
        confidence=1 - level,
        method=BETTING,
    )


def _first(holds: "NDArray[np.bool_]") -> int | None:
    return int(holds.argmax()) if holds.any() else None
