"""The questions: which model for a use case, which within a budget, and what instead of the one in use."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import ceil
from typing import TYPE_CHECKING, Final

from evaluations.errors import unknown_name
from evaluations.estimates import Estimate
from evaluations.recommending.candidates import (
    Field,
    Rule,
    Standing,
    cases_needed,
    declared_exclusion,
    differences,
    field_of,
    measured_exclusion,
    paid,
    standings,
)
from evaluations.recommending.evidence import (
    Bench,
    Evidence,
    NoIncumbentData,
    NothingFeasible,
    PriceMissing,
    RetiredModel,
    UnknownModel,
    Workload,
)
from evaluations.recommending.recommendation import (
    Advice,
    Effort,
    Exclusion,
    Mode,
    Recommendation,
    Savings,
    Stability,
    impact_of,
    kind_of_change,
    score_of,
)
from evaluations.recommending.savings import savings_of
from evaluations.statistics.clusters import cluster_robust
from evaluations.statistics.means import mean_interval
from evaluations.statistics.outcomes import Determined
from evaluations.statistics.proportions import normal_quantile
from evaluations.wording import count, duration, money, percent

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Flags = NDArray[np.bool_]
    Floats = NDArray[np.float64]
    Places = NDArray[np.intp]

RESAMPLINGS: Final = 1_000
SWING: Final = 0.2
"""Prices and volume are moved by up to this share, evenly and each price apart."""
FOLDS: Final = 10
KEEP: Final = -1
"""The answer that nothing takes the place of the reference."""
_BLOCK: Final = 4_000_000
"""Numbers drawn at a time: 32 MB."""


def recommend(
    bench: Bench,
    workload: Workload,
    rule: Rule,
    *,
    generator: "np.random.Generator",
    mode: Mode = "alternatives",
    incumbent: str | None = None,
    wanted: Sequence[str] | None = None,
    budget: Decimal | None = None,
    resamplings: int = RESAMPLINGS,
) -> Advice:
    """Whether another model should take the place of the one in use, and which.

    `alternatives` ranks by cost, what qualifies beside the incumbent; `use_case` ranks by measured quality and needs no
    incumbent: the best measured model then stands for it. `budget` (US dollars a month) ranks by quality what stays
    within it at the upper ends of volume and cost. `wanted` names the only candidates; without it all measured models
    are. `resamplings` of 0 leaves the stability out.

    Raises UnknownModel and RetiredModel for a name in `wanted`, PriceMissing where a budget cannot be held against it
    or what is in use has no cost, NoIncumbentData where the incumbent was not measured, NothingFeasible where no model
    meets the requirements or the budget.
    """
    _check(bench, rule, mode, incumbent, wanted, budget)
    reference = incumbent or _best_measured(bench, rule)
    names = [each.model for each in bench.evidence if each.model != reference]
    candidates = [model for model in names if wanted is None or model in wanted]
    found = standings(bench, reference, rule, candidates, generator)
    question = _Question(
        bench=bench,
        workload=workload,
        rule=rule,
        mode=mode,
        reference=reference,
        in_use=incumbent is not None,
        found=found,
        field=field_of(bench, reference, rule, found),
        budget=None if mode != "budget" else budget,
    )
    return question.answer(generator, resamplings)


def _check(
    bench: Bench, rule: Rule, mode: Mode, incumbent: str | None, wanted: Sequence[str] | None, budget: Decimal | None
) -> None:
    metric = rule.question.metric
    if not bench.evidence or all(each.level(metric) is None for each in bench.evidence):
        raise NoIncumbentData(f"nothing was measured on {metric!r}; score the cases of one model or more by it.")
    measured = [each.model for each in bench.evidence]
    if incumbent is None and mode != "use_case":
        raise NoIncumbentData(f"say which model is in use; measured are {', '.join(measured)}.")
    if incumbent is not None and (incumbent not in measured or bench.of(incumbent).level(metric) is None):
        raise NoIncumbentData(
            f"{incumbent} is in use, and it was not measured on {metric!r}: run it on the same cases as "
            f"{', '.join(name for name in measured if name != incumbent) or 'the candidates'}."
        )
    if incumbent is not None and bench.of(incumbent).cost_per_request is None:
        raise PriceMissing(
            f"no case of {incumbent} has a cost, so that no saving can be said; give it a price (assay prices)."
        )
    for model in wanted or ():
        if bench.offer(model).retired:
            ends = bench.offer(model).deprecated_on
            raise RetiredModel(f"{model} is no longer served{f' since {ends}' if ends else ''}; name another one.")
        if model not in measured:
            raise UnknownModel(unknown_name("measured model", model, measured))
    if mode == "budget" and (budget is None or budget <= 0):
        raise NothingFeasible(f"a budget is a positive amount of US dollars a month; got {budget}.")


def _best_measured(bench: Bench, rule: Rule) -> str:
    """The model that stands for the one in use: the best measured of those that are offered as required."""
    fitting = [
        each
        for each in bench.evidence
        if _beyond(bench, each, rule) is None
        and each.level(rule.question.metric) is not None
        and each.cost_per_request is not None
    ]
    if not fitting:
        reasons = [_beyond(bench, each, rule) for each in bench.evidence]
        said = "; ".join(
            f"{each.model}: {each.why} ({each.would_do or 'nothing would do'})" for each in reasons if each
        )
        raise NothingFeasible(f"no measured model meets the requirements and has a price. {said}")
    return min(
        fitting,
        key=lambda each: (
            -rule.sign * (each.level(rule.question.metric) or 0.0),
            each.cost_per_request or Decimal(0),
            each.model,
        ),
    ).model


def _beyond(bench: Bench, evidence: Evidence, rule: Rule) -> Exclusion | None:
    """The hard limit that a model fails."""
    return declared_exclusion(bench.offer(evidence.model), rule.requirements) or measured_exclusion(evidence, rule)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Question:
    """One question with all that is known about it."""

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

    def answer(self, generator: "np.random.Generator", resamplings: int) -> Advice:
        import numpy as np

        one = np.ones(1)
        order = self._order(self.field.gain[None, :], self.field.ratio[None, :], one, one)
        chosen = [self.found[at] for at in order]
        if not chosen and not self._reference_fits:
            raise NothingFeasible(self._cheapest_feasible())
        answer = int(order[0]) if order else KEEP
        stability = self._stability(answer, order, generator, resamplings) if resamplings and self.found else {}
        confirmed = self._confirmed(answer, generator) if chosen and len(self.found) > 1 else None
        recommendations = [
            self._recommendation(standing, stability.get(standing.model), confirmed if at == 0 else None)
            for at, standing in enumerate(chosen)
        ]
        if not self.in_use:
            recommendations.insert(0, self._the_best_measured(stability.get(self.reference)))
        excluded = tuple(self._exclusion(at) for at in range(len(self.found)) if at not in order)
        needed = [each.needed_n for each in excluded if each.needed_n is not None]
        return Advice(
            mode=self.mode,
            feature=self.workload.feature,
            incumbent=self.reference if self.in_use else None,
            recommendations=tuple(recommendations),
            excluded=excluded,
            keep="" if recommendations else self._kept(excluded),
            needed_n=min(needed) if needed and not recommendations else None,
            stability=stability.get(self.reference if answer == KEEP or not self.in_use else self.found[answer].model),
            n=len(self.bench.of(self.reference).costs),
        )

    # Which

    def _order(self, gain: "Floats", ratio: "Floats", price: "Floats", volume: "Floats") -> list[int]:
        """The candidates of one answer, shapes (1, m) and (1,), the one that is recommended first."""
        chosen = self._choosable(gain, ratio, price, volume)[0]
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
        # The upper ends of volume and cost together have to stay within the budget.
        most = self._monthly_most * volume
        fits = most[:, None] * (ratio + self.field.ratio_half) <= float(self.budget)
        kept = most * price <= float(self.budget)
        usable = self.field.allowed & ~np.isnan(gain) & ~self.field.dominated(gain, ratio, price)
        # What is not shown to be within the margin is the last resort of a reference that is too dear.
        last = ~kept & ~(fits & qualify).any(axis=1)
        choosable: Flags = fits & np.where(last[:, None], usable, qualify)
        return choosable

    def _keys(self, gain: "Floats", ratio: "Floats") -> "tuple[Floats, Floats]":
        return (ratio, -gain) if self.mode == "alternatives" else (-gain, ratio)

    @property
    def _per_request(self) -> Decimal:
        """What a request to the reference costs."""
        of_cases = self.bench.of(self.reference).cost_per_request or Decimal(0)
        return (
            self.workload.cost_per_request if self.workload.cost_per_request is not None and self.in_use else of_cases
        )

    @property
    def _monthly_most(self) -> float:
        return self.workload.requests_high * float(self._per_request)

    @property
    def _reference_fits(self) -> bool:
        return self.budget is None or self._monthly_most <= float(self.budget)

    # How sure

    def _stability(
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

    def _confirmed(self, answer: int, generator: "np.random.Generator") -> Estimate | None:
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
        if self.bench.clusters is None:
            return mean_interval(held_out[there])
        found = cluster_robust(held_out[there], units[there])
        return found.effect if isinstance(found, Determined) else None

    # In words

    def _recommendation(
        self, standing: Standing, stability: Stability | None, confirmed: Estimate | None
    ) -> Recommendation:
        ours, theirs = self.bench.of(self.reference), self.bench.of(standing.model)
        assert standing.ratio is not None
        assert standing.exact_ratio is not None
        savings = savings_of(
            self.workload,
            self._per_request,
            share=1 - standing.exact_ratio,
            low=1 - standing.ratio.high,
            high=1 - standing.ratio.low,
            n=standing.ratio.n,
            basis=self._basis(standing),
        )
        effect = standing.effect
        lower = 0.0 if effect is None else (effect.low + self.rule.margin) / (2 * self.rule.margin)
        saves = savings.point > 0
        amount = f"{money(abs(savings.point))} a month {'less' if saves else 'more'}"
        return Recommendation(
            kind=kind_of_change(self.reference, standing.model),
            feature=self.workload.feature,
            title=f"Use {standing.model} instead of {self.reference} for {self.workload.feature}",
            description=f"{amount} at {count(round(self.workload.requests))} requests a month, "
            + ("with an unknown difference" if effect is None else f"{self.rule.said(effect.value)}")
            + f" in {self.rule.question.metric}.",
            current=self.reference,
            recommended=standing.model,
            savings=savings,
            score=score_of(
                share_low=savings.share_low, quality=lower, stability=stability.share if stability else 0.0
            ),
            impact=impact_of(savings),
            effort=_effort(self.reference, standing.model),
            reasons=self._reasons(standing, savings, confirmed),
            tradeoffs=self._tradeoffs(standing, savings),
            assumptions=self._assumptions(standing),
            risks=self._risks(standing, stability, confirmed),
            quality=effect,
            confirmed=confirmed,
            margin=self.rule.margin,
            stability=stability,
            cost_now=ours.cost_per_request,
            cost_then=theirs.cost_per_request,
            p95_now_ms=ours.p95_latency_ms,
            p95_then_ms=theirs.p95_latency_ms,
            n=effect.n if effect else 0,
            details={"tested": standing.tested, "level_now": ours.level(self.rule.question.metric),
                     "level_then": theirs.level(self.rule.question.metric)},
        )  # fmt: skip

    def _the_best_measured(self, stability: Stability | None) -> Recommendation:
        """Where nothing is in use: the model with the best mean of those that meet every limit."""
        evidence = self.bench.of(self.reference)
        level = evidence.level(self.rule.question.metric)
        share = stability.share if stability else 0.0
        savings = savings_of(self.workload, self._per_request, share=Decimal(0), low=0.0, high=0.0, n=evidence.priced,
                             basis="nothing is in use, so nothing is saved")  # fmt: skip
        return Recommendation(
            kind="model_substitution",
            feature=self.workload.feature,
            title=f"Use {self.reference} for {self.workload.feature}",
            description=f"The best of {count(1 + len(self.found), 'measured model')} in "
            f"{self.rule.question.metric} that meets every limit; {money(savings.now)} a month.",
            current="nothing",
            recommended=self.reference,
            savings=savings,
            score=score_of(share_low=0.0, quality=0.5, stability=share),
            impact="low",
            effort="moderate",
            reasons=(f"{self.rule.question.metric} {self._level(level)} over {count(len(evidence.costs), 'case')}, the "
                     "highest of those that meet every limit",),
            risks=("it was chosen for its measured mean, which flatters the one that is chosen",),
            margin=self.rule.margin,
            stability=stability,
            cost_then=evidence.cost_per_request,
            p95_then_ms=evidence.p95_latency_ms,
            n=len(evidence.costs),
            details={"level_then": level},
        )  # fmt: skip

    def _level(self, value: float | None) -> str:
        if value is None:
            return "not measured"
        return percent(value) if self.rule.question.kind in ("binary", "bounded") else f"{value:.3g}"

    def _basis(self, standing: Standing) -> str:
        assert standing.ratio is not None
        volume = f"{count(round(self.workload.requests))} requests a month"
        source = "in production" if self.workload.cost_per_request is not None and self.in_use else "on the cases"
        units = "case" if self.bench.clusters is None else "group of cases"
        return (
            f"what {self.reference} costs {source} at {volume}, times one less the ratio of both costs on "
            f"{count(standing.ratio.n, units, 'groups of cases' if units != 'case' else '')}"
        )

    def _reasons(self, standing: Standing, savings: Savings, confirmed: Estimate | None) -> tuple[str, ...]:
        metric, effect = self.rule.question.metric, standing.effect
        said = []
        if effect is not None:
            if standing.better is not None and not standing.unreliable and standing.better.low > 0:
                said.append(f"{metric} is shown to be better: {self._interval(standing.better)}")
            elif not standing.unreliable and effect.low > -self.rule.margin:
                said.append(
                    f"{metric} is shown to lose less than the margin of {self._margin}: {self._interval(effect)}"
                )
        if savings.share_low > 0:
            said.append(
                f"it costs {percent(savings.share)} less a request (at least {percent(savings.share_low)}), "
                f"{money(savings.low)} to {money(savings.high)} a month"
            )
        if self.budget is not None:
            most = Decimal(repr(self._monthly_most)) * Decimal(repr(standing.ratio.high if standing.ratio else 1.0))
            said.append(f"it stays within {money(self.budget)} a month even at the upper ends ({money(most)})")
        if confirmed is not None:
            said.append(f"on cases that had no part in the choice: {self._interval(confirmed)}")
        ours, theirs = (self.bench.of(name).p95_latency_ms for name in (self.reference, standing.model))
        if ours is not None and theirs is not None and theirs < ours:
            said.append(f"95% of its calls take {duration(theirs)} or less, instead of {duration(ours)}")
        return tuple(said)

    @property
    def _margin(self) -> str:
        return self.rule.said(self.rule.margin).lstrip("+")

    def _interval(self, effect: Estimate) -> str:
        bounds = f"{self.rule.said(effect.low)} to {self.rule.said(effect.high)}"
        return f"{self.rule.said(effect.value)} ({bounds}, n = {count(effect.n)})"

    def _tradeoffs(self, standing: Standing, savings: Savings) -> tuple[str, ...]:
        ours, theirs = self.bench.of(self.reference), self.bench.of(standing.model)
        said = []
        if standing.effect is not None and standing.effect.value < 0:
            said.append(f"{self.rule.question.metric} was {self.rule.said(standing.effect.value)}")
        if savings.point < 0:
            said.append(f"it costs {money(-savings.point)} a month more")
        if ours.p95_latency_ms and theirs.p95_latency_ms and theirs.p95_latency_ms > ours.p95_latency_ms:
            said.append(
                f"95% of its calls take {duration(theirs.p95_latency_ms)} or less, instead of "
                f"{duration(ours.p95_latency_ms)}"
            )
        if ours.error_rate is not None and theirs.error_rate is not None and theirs.error_rate > ours.error_rate:
            said.append(f"{percent(theirs.error_rate)} of its calls failed, instead of {percent(ours.error_rate)}")
        return tuple(said)

    def _assumptions(self, standing: Standing) -> tuple[str, ...]:
        said = ["traffic asks what the cases ask: they were not drawn anew from it"]
        if self.workload.days:
            said.append(f"the volume of {count(self.workload.days, 'day')} goes on")
        else:
            said.append(f"{count(round(self.workload.requests))} requests a month, as given")
        if self.workload.cost_per_request is None:
            said.append("a request of production costs what a case costs")
        if self.workload.simulated:
            said.append("the traffic is sample data")
        return tuple(said)

    def _risks(self, standing: Standing, stability: Stability | None, confirmed: Estimate | None) -> tuple[str, ...]:
        offer, evidence = self.bench.offer(standing.model), self.bench.of(standing.model)
        said = []
        if standing.effect is None or standing.unreliable:
            said.append(f"the difference in quality carries no verdict: {standing.unreliable or 'not measured'}")
        elif standing.effect.low <= -self.rule.margin and not (standing.better and standing.better.low > 0):
            said.append(f"a loss beyond the margin of {self._margin} is not ruled out")
        if confirmed is not None and confirmed.low <= -self.rule.margin:
            said.append(
                f"on cases that had no part in the choice a loss beyond the margin is not ruled out "
                f"({self._interval(confirmed)})"
            )
        if stability is not None and stability.share < 0.9:
            said.append(f"the answer stays in {percent(stability.share)} of resamplings only")
        if offer.deprecated_on:
            said.append(f"its end is announced for {offer.deprecated_on}")
        if evidence.p95_latency_ms is None:
            said.append("its latency was not measured")
        if not evidence.calls:
            said.append("nobody counted how many of its calls fail")
        unpriced = len(evidence.costs) - evidence.priced
        if unpriced:
            said.append(
                f"{count(unpriced, 'case')} of {count(len(evidence.costs))} without a cost are not in the saving"
            )
        return tuple(said)

    # Why not

    def _exclusion(self, at: int) -> Exclusion:
        """Why a candidate was not recommended: the first of the reasons that holds, in the order of the rule."""
        import numpy as np

        standing, one = self.found[at], np.ones(1)
        if standing.exclusion is not None:
            return standing.exclusion
        gain, ratio = self.field.gain[None, :], self.field.ratio[None, :]
        if self.field.dominated(gain, ratio, one)[0, at]:
            return Exclusion(model=standing.model, reason="dominated", why=self._dominated_by(at))
        effect = standing.effect
        if effect is None or standing.unreliable:
            return Exclusion(
                model=standing.model,
                reason="not_shown",
                why=f"the cases carry no verdict: {standing.unreliable}" if standing.unreliable else "not measured",
                would_do="more cases with a value under both models",
            )
        if self.budget is not None and self._upper(at) > self.budget:
            return Exclusion(
                model=standing.model,
                reason="over_budget",
                why=f"up to {money(self._upper(at))} a month, and the budget is {money(self.budget)}",
                would_do=f"a budget of {money(self._upper(at))}",
            )
        if effect.high < -self.rule.margin:
            return Exclusion(
                model=standing.model,
                reason="inferior",
                why=f"{self.rule.question.metric} is shown to lose more than the margin of {self._margin}: "
                f"{self._interval(effect)}",
            )
        if effect.low <= -self.rule.margin:
            needed = self._needed(standing)
            return Exclusion(
                model=standing.model,
                reason="not_shown",
                why=f"a loss beyond the margin of {self._margin} is not ruled out: {self._interval(effect)}",
                would_do=(
                    f"{count(needed, 'case')} would show it (power {percent(self.rule.power, trim=True)}), were it as "
                    "good as it was measured"
                    if needed
                    else "no number of cases, were it as good as it was measured"
                ),
                needed_n=needed,
            )
        assert standing.ratio is not None
        return Exclusion(
            model=standing.model,
            reason="no_gain",
            why=f"it costs {percent(standing.ratio.value)} of what {self.reference} does (up to "
            f"{percent(standing.ratio.high)}), and is not shown to be better",
            would_do=f"a price below {percent(1 / standing.ratio.high)} of its own",
        )

    def _needed(self, standing: Standing) -> int | None:
        """Cases for the planned power, were the difference and its noise as measured."""
        effect = standing.effect
        assert effect is not None
        sd = (effect.value - effect.low) / normal_quantile(effect.confidence) * effect.n**0.5
        needed = cases_needed(
            margin=self.rule.margin,
            sd=sd,
            difference=effect.value,
            alpha=self.rule.alpha,
            power=self.rule.power,
            candidates=standing.tested,
        )
        # The test that was taken may ask for more than Student's; it was not enough at this n.
        return None if needed is None else max(needed, effect.n + 1)

    def _dominated_by(self, at: int) -> str:
        import numpy as np

        gains = np.append(self.field.gain, 0.0)
        ratios = np.append(self.field.ratio, 1.0)
        names = [*(each.model for each in self.found), self.reference]
        over = [
            other
            for other in range(len(names))
            if self.field.comparable[other]
            and gains[other] >= gains[at]
            and ratios[other] <= ratios[at]
            and self.field.as_good[other, at]
            and (gains[other] > gains[at] or ratios[other] < ratios[at] or self.field.surpasses[other, at])
        ]
        by = min(over, key=lambda other: (ratios[other], -gains[other]))
        metric = self.rule.question.metric
        return (
            f"{names[by]} is as good in everything and better in something: {metric} "
            f"{self.rule.said(float(gains[by] - gains[at]))}, {percent(float(ratios[by] / ratios[at]))} of its cost"
        )

    def _upper(self, at: int) -> Decimal:
        ratio = self.found[at].ratio
        return Decimal(repr(self._monthly_most * (ratio.high if ratio else float("nan"))))

    def _cheapest_feasible(self) -> str:
        """What would make a budget feasible."""
        assert self.budget is not None
        most = {self.reference: Decimal(repr(self._monthly_most))}
        most |= {each.model: self._upper(at) for at, each in enumerate(self.found) if self.field.allowed[at]}
        model = min(most, key=lambda name: (most[name], name))
        requests = int(Decimal(repr(self.workload.requests_high)) * self.budget / most[model])
        return (
            f"no model that meets the requirements stays within {money(self.budget)} a month for "
            f"{self.workload.feature}: the cheapest is {model} with up to {money(most[model])}. That budget would do, "
            f"or at most {count(requests)} requests a month instead of {count(ceil(self.workload.requests_high))}."
        )

    def _kept(self, excluded: Sequence[Exclusion]) -> str:
        if not excluded:
            return f"Keep {self.reference}: no other model was measured on its cases."
        nearest = min(
            (each for each in excluded if each.needed_n is not None), key=lambda each: each.needed_n or 0, default=None
        )
        said = f"Keep {self.reference}: none of {count(len(excluded), 'candidate')} qualifies."
        if nearest is None:
            return said
        return f"{said} Nearest is {nearest.model}: {nearest.would_do or nearest.why}."


def _effort(current: str, recommended: str) -> Effort:
    """Another name at the same provider is easy; another provider brings its key, limits and terms."""
    return "easy" if current.partition("/")[0] == recommended.partition("/")[0] else "moderate"


def _by_share(pair: tuple[str, float]) -> tuple[float, str]:
    return -pair[1], pair[0]
