"""One question about one feature: which candidates may take the place of the reference, and how sure that is."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from evaluations.estimates import Estimate
from evaluations.recommending.candidates import Field, Rule, Standing, differences, paid
from evaluations.recommending.evidence import Bench, Workload
from evaluations.recommending.recommendation import Mode, Stability
from evaluations.statistics.clusters import cluster_robust
from evaluations.statistics.means import mean_interval
from evaluations.statistics.outcomes import Determined

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Flags = NDArray[np.bool_]
    Floats = NDArray[np.float64]
    Places = NDArray[np.intp]

SWING: Final = 0.2
"""Prices and volume are moved by up to this share, evenly and each price apart."""
FOLDS: Final = 10
KEEP: Final = -1
"""The answer that nothing takes the place of the reference."""
LEAST_VALUES: Final = 2
"""One value tells nothing of how values differ."""
_BLOCK: Final = 4_000_000
"""Numbers drawn at a time: 32 MB."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Question:
    """One question, with all that is known about it."""

    bench: Bench
    workload: Workload
    rule: Rule
    mode: Mode
    reference: str
    in_use: bool
    """Is the reference what is in use? Else it is the best measured."""
    found: tuple[Standing, ...]
    field: Field
    budget: Decimal | None

    # Which

    def order(self) -> list[int]:
        """The places of the candidates that may be recommended, the one that is recommended first."""
        import numpy as np

        gain, ratio, one = self.field.gain[None, :], self.field.ratio[None, :], np.ones(1)
        chosen = self._choosable(gain, ratio, one, one)[0]
        first, second = self._keys(gain, ratio)
        return sorted(
            (at for at in range(len(self.found)) if chosen[at]),
            key=lambda at: (first[0, at], second[0, at], self.found[at].model),
        )

    def _first(self, gain: "Floats", ratio: "Floats", price: "Floats", volume: "Floats") -> "Places":
        """The recommended candidate of many answers, shapes (answers, m) and (answers,); KEEP where there is none."""
        import numpy as np

        chosen = self._choosable(gain, ratio, price, volume)
        first, second = self._keys(gain, ratio)
        first = np.where(chosen, first, np.inf)
        tied = chosen & (first == first.min(axis=1, keepdims=True))
        places: Places = np.where(chosen.any(axis=1), np.where(tied, second, np.inf).argmin(axis=1), KEEP)
        return places

    def _choosable(self, gain: "Floats", ratio: "Floats", price: "Floats", volume: "Floats") -> "Flags":
        import numpy as np

        qualify = self.field.qualify(gain, ratio, price)
        if self.budget is None:
            return qualify
        # The upper ends of volume and cost together have to stay within the budget, with what other models cost.
        most, left = self.monthly_most * volume, float(self.budget) - self.others_most * volume
        fits = most[:, None] * (ratio + self.field.ratio_half) <= left[:, None]
        kept = most * price <= left
        usable = self.field.allowed & ~np.isnan(gain) & ~self.field.dominated(gain, ratio, price)
        # What is not shown to be within the margin is the last resort of a reference that is too dear.
        last = ~kept & ~(fits & qualify).any(axis=1)
        choosable: Flags = fits & np.where(last[:, None], usable, qualify)
        return choosable

    def _keys(self, gain: "Floats", ratio: "Floats") -> "tuple[Floats, Floats]":
        return (ratio, -gain) if self.mode == "alternatives" else (-gain, ratio)

    @property
    def per_request(self) -> Decimal:
        """What a request to the reference costs."""
        of_cases = self.bench.of(self.reference).cost_per_request or Decimal(0)
        return (
            self.workload.cost_per_request if self.workload.cost_per_request is not None and self.in_use else of_cases
        )

    @property
    def monthly_most(self) -> float:
        """What the reference costs a month at the upper end of its volume, requests without a known cost included."""
        return (self.workload.requests_high + self.workload.unpriced) * float(self.per_request)

    @property
    def others_most(self) -> float:
        """What other models cost the feature besides, at the upper end of its volume."""
        return float(self.workload.others_high)

    @property
    def reference_fits(self) -> bool:
        return self.budget is None or self.monthly_most + self.others_most <= float(self.budget)

    # How sure

    def stability(
        self, answer: int, order: list[int], generator: "np.random.Generator", resamplings: int
    ) -> dict[str, Stability]:
        """The share of resamplings in which the answer stays; for what else is listed, in which it still qualifies."""
        import numpy as np

        firsts, choosable = [], []
        for gain, ratio in self._resampled(generator, resamplings):
            moved = generator.uniform(1 - SWING, 1 + SWING, (gain.shape[0], len(self.found) + 2))
            price, volume = moved[:, -2], moved[:, -1]
            ratio = ratio * moved[:, :-2]
            firsts.append(self._first(gain, ratio, price, volume))
            choosable.append(self._choosable(gain, ratio, price, volume))
        first, qualifies = np.concatenate(firsts), np.concatenate(choosable)
        names = {KEEP: self.reference, **{at: each.model for at, each in enumerate(self.found)}}
        shares = {at: float((first == at).mean()) for at in names}
        others = sorted(((names[at], share) for at, share in shares.items() if share and at != answer), key=_by_share)
        said = {
            names[at]: Stability(share=float(qualifies[:, at].mean()), resamplings=resamplings)
            for at in order
            if at != answer
        }
        said[names[answer]] = Stability(share=shares[answer], resamplings=resamplings, others=tuple(others))
        if answer != KEEP and not self.in_use:
            said[self.reference] = Stability(share=shares[KEEP], resamplings=resamplings)
        return said

    def _resampled(self, generator: "np.random.Generator", resamplings: int) -> "Iterator[tuple[Floats, Floats]]":
        """Gains and cost ratios, shapes (block, m), of cases (or clusters) drawn with replacement."""
        import numpy as np

        units = self._units
        count_of = int(units.max()) + 1
        step = max(1, _BLOCK // units.size)
        for begin in range(0, resamplings, step):
            size = min(step, resamplings - begin)
            drawn = generator.multinomial(count_of, np.full(count_of, 1 / count_of), size=size)
            yield self._weighed(drawn[:, units].astype(np.float64))

    def _weighed(self, weights: "Floats") -> "tuple[Floats, Floats]":
        """Gains and cost ratios when cases count as often as `weights`, shape (answers, cases), say."""
        import numpy as np

        gains, costs = self._gains, self._costs
        known, both = ~np.isnan(gains), ~np.isnan(costs[:-1]) & ~np.isnan(costs[-1])
        with np.errstate(invalid="ignore", divide="ignore"):
            gain = weights @ np.where(known, gains, 0).T / (weights @ known.T.astype(np.float64))
            theirs = weights @ np.where(both, costs[:-1], 0).T
            ours = weights @ np.where(both, costs[-1], 0).T
            return gain, theirs / ours

    @property
    def _gains(self) -> "Floats":
        return differences(self.bench, self.reference, self.rule, [each.model for each in self.found])

    @property
    def _costs(self) -> "Floats":
        return paid(self.bench, [*(each.model for each in self.found), self.reference])

    @property
    def _units(self) -> "Places":
        """The unit of each case that is drawn as a whole."""
        import numpy as np

        if self.bench.clusters is None:
            return np.arange(len(self.bench.of(self.reference).costs))
        place = {name: at for at, name in enumerate(dict.fromkeys(self.bench.clusters))}
        return np.array([place[name] for name in self.bench.clusters])

    def confirmed(self, answer: int, generator: "np.random.Generator") -> Estimate | None:
        """The gain on cases that had no part in the choice: chosen on nine tenths, looked at on the tenth, ten times.

        Each fold takes the hurdles of the whole sample. Where it keeps the reference, the answer itself is looked at.
        """
        import numpy as np

        units = self._units
        fold = generator.permutation(int(units.max()) + 1)[units] % FOLDS
        weights = (fold[None, :] != np.arange(FOLDS)[:, None]).astype(np.float64)
        one = np.ones(FOLDS)
        chosen = self._first(*self._weighed(weights), one, one)
        chosen = np.where(chosen == KEEP, answer, chosen)
        held_out = self._gains[chosen[fold], np.arange(units.size)]
        there = ~np.isnan(held_out)
        return self._mean_of(held_out[there], units[there])

    def level_confirmed(self, generator: "np.random.Generator") -> Estimate | None:
        """The level of whichever allowed model is the best measured, on cases that had no part in saying so."""
        import numpy as np

        allowed = [self.reference, *(each.model for at, each in enumerate(self.found) if self.field.allowed[at])]
        levels = np.array(
            [self.rule.sign * self.bench.of(model).values[self.rule.question.metric] for model in allowed]
        )
        units = self._units
        fold = generator.permutation(int(units.max()) + 1)[units] % FOLDS
        best = [_highest_mean(levels[:, fold != at]) for at in range(FOLDS)]
        held_out = self.rule.sign * levels[np.array(best)[fold], np.arange(units.size)]
        there = ~np.isnan(held_out)
        return self._mean_of(held_out[there], units[there])

    def _mean_of(self, values: "Floats", units: "Places") -> Estimate | None:
        """None of fewer than two values, or groups of them: they tell nothing of how values differ."""
        if values.size < LEAST_VALUES:
            return None
        if self.bench.clusters is None:
            return mean_interval(values)
        found = cluster_robust(values, units)
        return found.effect if isinstance(found, Determined) else None


def _highest_mean(levels: "Floats") -> int:
    """The row with the highest mean of what is known, shape (rows, cases); a row of which nothing is known is last."""
    import numpy as np

    known = ~np.isnan(levels)
    counts = known.sum(axis=1)
    means = np.where(known, levels, 0.0).sum(axis=1) / np.maximum(counts, 1)
    return int(np.where(counts > 0, means, -np.inf).argmax())


def _by_share(pair: tuple[str, float]) -> tuple[float, str]:
    return -pair[1], pair[0]
