"""An answer in words: every sentence of a recommendation, and of why another model is none, made from the numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import ceil

from evaluations.answers import ROUTED
from evaluations.estimates import Estimate
from evaluations.recommending.asking import Question
from evaluations.recommending.candidates import Rule, Standing, cases_needed, hard_limit
from evaluations.recommending.evidence import Workload
from evaluations.recommending.recommendation import (
    Effort,
    Exclusion,
    Recommendation,
    Savings,
    Stability,
    impact_of,
    kind_of_change,
    score_of,
)
from evaluations.recommending.savings import savings_of
from evaluations.statistics.proportions import normal_quantile
from evaluations.wording import count, duration, money, percent


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """Says what was found of one question."""

    asked: Question

    def recommendation(
        self, standing: Standing, stability: Stability | None, confirmed: Estimate | None
    ) -> Recommendation:
        ours, theirs = self.asked.bench.of(self.asked.reference), self.asked.bench.of(standing.model)
        assert standing.ratio is not None
        assert standing.exact_ratio is not None
        savings = savings_of(
            self.asked.workload,
            self.asked.per_request,
            share=1 - standing.exact_ratio,
            low=1 - standing.ratio.high,
            high=1 - standing.ratio.low,
            n=standing.ratio.n,
            basis=self._basis(standing),
        )
        effect = standing.effect
        lower = 0.0 if effect is None else (effect.low + self._rule.margin) / (2 * self._rule.margin)
        saves = savings.point > 0
        amount = f"{money(abs(savings.point))} a month {'less' if saves else 'more'}"
        return Recommendation(
            kind=kind_of_change(self.asked.reference, standing.model),
            feature=self._month.feature,
            title=f"Use {standing.model} instead of {self.asked.reference} for {self._month.feature}",
            description=f"{amount} at {count(round(self._month.requests))} requests a month, "
            + ("with an unknown difference" if effect is None else f"{self._said(effect.value)}")
            + f" in {self._metric}.",
            current=self.asked.reference,
            recommended=standing.model,
            savings=savings,
            score=score_of(
                share_low=savings.of_bill(savings.share_low),
                quality=lower,
                stability=stability.share if stability else 0.0,
            ),
            impact=impact_of(savings),
            effort=_effort(self.asked.reference, standing.model),
            reasons=self._reasons(standing, savings, confirmed),
            tradeoffs=self._tradeoffs(standing, savings),
            assumptions=self._assumptions(standing),
            risks=self._risks(standing, stability, confirmed),
            quality=effect,
            confirmed=confirmed,
            margin=self._rule.margin,
            stability=stability,
            cost_now=ours.cost_per_request,
            cost_then=theirs.cost_per_request,
            p95_now_ms=ours.p95_latency_ms,
            p95_then_ms=theirs.p95_latency_ms,
            n=effect.n if effect else 0,
            details={"tested": standing.tested, "level_now": ours.level(self._metric),
                     "level_then": theirs.level(self._metric)},
        )  # fmt: skip

    def the_best_measured(self, stability: Stability | None, confirmed: Estimate | None) -> Recommendation:
        """Where nothing is in use: the model with the best mean of those that meet every limit."""
        evidence = self.asked.bench.of(self.asked.reference)
        level = evidence.level(self._metric)
        share = stability.share if stability else 0.0
        savings = savings_of(
            self.asked.workload,
            self.asked.per_request,
            share=Decimal(0),
            low=0.0,
            high=0.0,
            n=evidence.priced,
            basis="nothing is in use, so nothing is saved",
        )
        return Recommendation(
            kind="model_substitution",
            feature=self._month.feature,
            title=f"Use {self.asked.reference} for {self._month.feature}",
            description=f"The best of {count(1 + len(self.asked.found), 'measured model')} in "
            f"{self._metric} that meets every limit; {money(savings.now)} a month.",
            current="nothing",
            recommended=self.asked.reference,
            savings=savings,
            score=score_of(share_low=0.0, quality=0.5, stability=share),
            impact="low",
            effort="complex" if self.asked.reference.startswith(ROUTED) else "moderate",
            reasons=(
                f"{self._metric} {self._level(level)} over {count(len(evidence.costs), 'case')}, "
                "the highest of those that meet every limit",
                *([f"on cases that had no part in the choice: {self._between(confirmed)}"] if confirmed else []),
            ),
            risks=("its measured mean flatters the one that is chosen for it",),
            margin=self._rule.margin,
            stability=stability,
            cost_then=evidence.cost_per_request,
            p95_then_ms=evidence.p95_latency_ms,
            n=len(evidence.costs),
            details={"level_then": level, "level_confirmed": None if confirmed is None else confirmed.value},
        )  # fmt: skip

    @property
    def _rule(self) -> Rule:
        return self.asked.rule

    @property
    def _month(self) -> Workload:
        return self.asked.workload

    @property
    def _metric(self) -> str:
        return self._rule.question.metric

    def _said(self, difference: float) -> str:
        return self._rule.said(difference)

    def _between(self, level: Estimate) -> str:
        return f"{self._level(level.value)} ({self._level(level.low)} to {self._level(level.high)})"

    def _level(self, value: float | None) -> str:
        if value is None:
            return "not measured"
        return percent(value) if self._rule.question.kind in ("binary", "bounded") else f"{value:.3g}"

    def _basis(self, standing: Standing) -> str:
        assert standing.ratio is not None
        volume = f"{count(round(self._month.requests))} requests a month"
        source = "in production" if self._month.cost_per_request is not None and self.asked.in_use else "on the cases"
        units = "case" if self.asked.bench.clusters is None else "group of cases"
        return (
            f"what {self.asked.reference} costs {source} at {volume}, times one less the ratio of both costs on "
            f"{count(standing.ratio.n, units, 'groups of cases' if units != 'case' else '')}"
        )

    def _reasons(self, standing: Standing, savings: Savings, confirmed: Estimate | None) -> tuple[str, ...]:
        metric, effect = self._metric, standing.effect
        said = []
        if effect is not None:
            if standing.better is not None and not standing.unreliable and standing.better.low > 0:
                said.append(f"{metric} is shown to be better: {self._interval(standing.better)}")
            elif not standing.unreliable and effect.low > -self._rule.margin:
                said.append(
                    f"{metric} is shown to lose less than the margin of {self._margin}: {self._interval(effect)}"
                )
        if savings.share_low > 0:
            said.append(
                f"it costs {percent(savings.share)} less a request (at least {percent(savings.share_low)}), "
                f"{money(savings.low)} to {money(savings.high)} a month"
            )
        if self.asked.budget is not None:
            most = self._most(standing.ratio.high if standing.ratio else 1.0)
            said.append(f"it stays within {money(self.asked.budget)} a month even at the upper ends ({money(most)})")
        if confirmed is not None:
            said.append(f"on cases that had no part in the choice: {self._interval(confirmed)}")
        ours, theirs = (self.asked.bench.of(name).p95_latency_ms for name in (self.asked.reference, standing.model))
        if ours is not None and theirs is not None and theirs < ours:
            said.append(f"95% of its calls take {duration(theirs)} or less, instead of {duration(ours)}")
        return tuple(said)

    @property
    def _margin(self) -> str:
        return self._said(self._rule.margin).lstrip("+")

    def _interval(self, effect: Estimate) -> str:
        bounds = f"{self._said(effect.low)} to {self._said(effect.high)}"
        return f"{self._said(effect.value)} ({bounds}, n = {count(effect.n)})"

    def _tradeoffs(self, standing: Standing, savings: Savings) -> tuple[str, ...]:
        ours, theirs = self.asked.bench.of(self.asked.reference), self.asked.bench.of(standing.model)
        said = []
        if standing.effect is not None and standing.effect.value < 0:
            said.append(f"{self._metric} was {self._said(standing.effect.value)}")
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
        if self._month.days:
            said.append(f"the volume of {count(self._month.days, 'day')} goes on")
        else:
            said.append(f"{count(round(self._month.requests))} requests a month, as given")
        said += self._month.counted
        if self.asked.bench.shaped_by:
            requests = count(self.asked.bench.shaped_by, "request")
            said.append(
                f"prompts and replies are as long as those of {requests}; another model's differ as on the cases"
            )
        elif self._month.cost_per_request is None:
            said.append("a request of production costs what a case costs")
        else:
            said.append("prompts and replies of production are to each other as those of the cases")
        if self._month.simulated:
            said.append("the traffic is sample data")
        return tuple(said)

    def _risks(self, standing: Standing, stability: Stability | None, confirmed: Estimate | None) -> tuple[str, ...]:
        offer, evidence = self.asked.bench.offer(standing.model), self.asked.bench.of(standing.model)
        said = []
        if standing.effect is None or standing.unreliable:
            said.append(f"the difference in quality carries no verdict: {standing.unreliable or 'not measured'}")
        elif standing.effect.low <= -self._rule.margin and not (standing.better and standing.better.low > 0):
            said.append(f"a loss beyond the margin of {self._margin} is not ruled out")
        if confirmed is not None and confirmed.low <= -self._rule.margin:
            said.append(
                f"on cases that had no part in the choice a loss beyond the margin is not ruled out "
                f"({self._interval(confirmed)})"
            )
        if stability is not None and stability.share < 0.9:
            said.append(f"the answer stays in {percent(stability.share)} of resamplings only")
        if standing.model.startswith(ROUTED):
            said.append("a rule that was learned from some of these cases does better on them than on others")
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

    def exclusion(self, at: int) -> Exclusion:
        """Why a candidate was not recommended: the first of the reasons that holds, in the order of the rule."""
        import numpy as np

        standing, one = self.asked.found[at], np.ones(1)
        if standing.exclusion is not None:
            return standing.exclusion
        gain, ratio = self.asked.field.gain[None, :], self.asked.field.ratio[None, :]
        if self.asked.field.dominated(gain, ratio, one)[0, at]:
            return Exclusion(model=standing.model, reason="dominated", why=self._dominated_by(at))
        effect = standing.effect
        if effect is None or standing.unreliable:
            return Exclusion(
                model=standing.model,
                reason="not_shown",
                why=f"the cases carry no verdict: {standing.unreliable}" if standing.unreliable else "not measured",
                would_do="more cases with a value under both models",
            )
        if self.asked.budget is not None and self._upper(at) > self.asked.budget:
            return Exclusion(
                model=standing.model,
                reason="over_budget",
                why=f"up to {money(self._upper(at))} a month, and the budget is {money(self.asked.budget)}",
                would_do=f"a budget of {money(self._upper(at))}",
            )
        if effect.high < -self._rule.margin:
            return Exclusion(
                model=standing.model,
                reason="inferior",
                why=f"{self._metric} is shown to lose more than the margin of {self._margin}: {self._interval(effect)}",
            )
        if effect.low <= -self._rule.margin:
            needed = self._needed(standing)
            return Exclusion(
                model=standing.model,
                reason="not_shown",
                why=f"a loss beyond the margin of {self._margin} is not ruled out: {self._interval(effect)}",
                would_do=(
                    f"{count(needed, 'case')} would show it (power {percent(self._rule.power, trim=True)}), "
                    "were it as good as it was measured"
                    if needed
                    else "no number of cases, were it as good as it was measured"
                ),
                needed_n=needed,
            )
        assert standing.ratio is not None
        return Exclusion(
            model=standing.model,
            reason="no_gain",
            why=f"it costs {percent(standing.ratio.value)} of what {self.asked.reference} does (up to "
            f"{percent(standing.ratio.high)}), and is not shown to be better",
            would_do=f"a price below {percent(1 / standing.ratio.high)} of its own",
        )

    def _needed(self, standing: Standing) -> int | None:
        """Cases for the planned power, were the difference and its noise as measured."""
        effect = standing.effect
        assert effect is not None
        sd = (effect.value - effect.low) / normal_quantile(effect.confidence) * effect.n**0.5
        needed = cases_needed(
            margin=self._rule.margin,
            sd=sd,
            difference=effect.value,
            alpha=self._rule.alpha,
            power=self._rule.power,
            candidates=standing.tested,
        )
        # The test that was taken may ask for more than Student's; it was not enough at this n.
        return None if needed is None else max(needed, effect.n + 1)

    def _dominated_by(self, at: int) -> str:
        import numpy as np

        gains = np.append(self.asked.field.gain, 0.0)
        ratios = np.append(self.asked.field.ratio, 1.0)
        names = [*(each.model for each in self.asked.found), self.asked.reference]
        over = [
            other
            for other in range(len(names))
            if self.asked.field.comparable[other]
            and gains[other] >= gains[at]
            and ratios[other] <= ratios[at]
            and self.asked.field.as_good[other, at]
            and (gains[other] > gains[at] or ratios[other] < ratios[at] or self.asked.field.surpasses[other, at])
        ]
        by = min(over, key=lambda other: (ratios[other], -gains[other]))
        # Of nothing there is no share: where this one costs nothing, the other one does neither.
        cost = f"{percent(float(ratios[by] / ratios[at]))} of its cost" if ratios[at] else "neither costs anything"
        return (
            f"{names[by]} is as good in everything and better in something: {self._metric} "
            f"{self._said(float(gains[by] - gains[at]))}, {cost}"
        )

    def _upper(self, at: int) -> Decimal:
        ratio = self.asked.found[at].ratio
        return self._most(ratio.high if ratio else float("nan"))

    def _most(self, ratio: float) -> Decimal:
        """What the feature costs a month at the upper ends, with a model of this ratio to the cost of the reference."""
        return Decimal(repr(self.asked.monthly_most * ratio + self.asked.others_most))

    def cheapest_feasible(self) -> str:
        """What would make a budget feasible."""
        assert self.asked.budget is not None
        most = {self.asked.reference: self._most(1.0)}
        most |= {
            each.model: self._upper(at) for at, each in enumerate(self.asked.found) if self.asked.field.allowed[at]
        }
        model = min(most, key=lambda name: (most[name], name))
        left, own = self.asked.budget - self._month.others_high, most[model] - self._month.others_high
        requests = int(Decimal(repr(self._month.requests_high)) * left / own) if own > 0 else 0
        fewer = (
            f", or at most {count(requests)} requests a month instead of {count(ceil(self._month.requests_high))}"
            if requests > 0
            else ""
        )
        others = f", {money(self._month.others_high)} of it other models" if self._month.others_high else ""
        return (
            f"no model that meets the requirements stays within {money(self.asked.budget)} a month for "
            f"{self._month.feature}: the cheapest is {model} with up to {money(most[model])}{others}. "
            f"That budget would do{fewer}."
        )

    def kept(self, excluded: Sequence[Exclusion]) -> str:
        if not excluded:
            return f"Keep {self.asked.reference}: no other model was measured on its cases."
        nearest = min(
            (each for each in excluded if each.needed_n is not None), key=lambda each: each.needed_n or 0, default=None
        )
        said = f"Keep {self.asked.reference}: none of {count(len(excluded), 'candidate')} qualifies."
        if nearest is not None:
            said += f" Nearest is {nearest.model}: {nearest.would_do or nearest.why}."
        if (limit := hard_limit(self.asked.bench, self.asked.reference, self._rule)) is not None:
            said += f" It is beyond a limit itself: {limit.why}."
        return said


def _effort(current: str, recommended: str) -> Effort:
    """Another name at the same provider is easy; another provider brings its key, limits and terms.

    A route has to be built.
    """
    if recommended.startswith(ROUTED):
        return "complex"
    return "easy" if current.partition("/")[0] == recommended.partition("/")[0] else "moderate"
