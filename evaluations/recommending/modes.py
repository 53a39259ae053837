"""The questions: which model for a use case, which within a budget, and what instead of the one in use."""

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from evaluations.errors import unknown_name
from evaluations.recommending.asking import KEEP, Question
from evaluations.recommending.candidates import (
    Rule,
    field_of,
    hard_limit,
    standings,
)
from evaluations.recommending.evidence import (
    Bench,
    NoIncumbentData,
    NothingFeasible,
    PriceMissing,
    RetiredModel,
    UnknownModel,
    Workload,
)
from evaluations.recommending.recommendation import Advice, Compared, Exclusion, Mode, Role
from evaluations.recommending.telling import Telling

if TYPE_CHECKING:
    import numpy as np

RESAMPLINGS: Final = 1_000


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
    asked = Question(
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
    return _answer(asked, generator, resamplings)


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
        if hard_limit(bench, each.model, rule) is None
        and each.level(rule.question.metric) is not None
        and each.cost_per_request is not None
    ]
    if not fitting:
        reasons = [hard_limit(bench, each.model, rule) for each in bench.evidence]
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


def _answer(asked: Question, generator: "np.random.Generator", resamplings: int) -> Advice:
    telling, order = Telling(asked=asked), asked.order()
    chosen = [asked.found[at] for at in order]
    if not chosen and not asked.reference_fits:
        raise NothingFeasible(telling.cheapest_feasible())
    answer = order[0] if order else KEEP
    stability = asked.stability(answer, order, generator, resamplings) if resamplings and asked.found else {}
    confirmed = asked.confirmed(answer, generator) if chosen and len(asked.found) > 1 else None
    recommendations = [
        telling.recommendation(standing, stability.get(standing.model), confirmed if at == 0 else None)
        for at, standing in enumerate(chosen)
    ]
    if not asked.in_use:
        level = asked.level_confirmed(generator) if asked.found else None
        recommendations.insert(0, telling.the_best_measured(stability.get(asked.reference), level))
    excluded = tuple(telling.exclusion(at) for at in range(len(asked.found)) if at not in order)
    needed = [each.needed_n for each in excluded if each.needed_n is not None]
    first = asked.reference if answer == KEEP or not asked.in_use else asked.found[answer].model
    return Advice(
        mode=asked.mode,
        feature=asked.workload.feature,
        incumbent=asked.reference if asked.in_use else None,
        recommendations=tuple(recommendations),
        excluded=excluded,
        compared=_compared(asked, [each.model for each in chosen], excluded),
        keep="" if recommendations else telling.kept(excluded),
        needed_n=min(needed) if needed and not recommendations else None,
        stability=stability.get(first),
        n=len(asked.bench.of(asked.reference).costs),
    )


def _compared(asked: Question, chosen: Sequence[str], excluded: Sequence[Exclusion]) -> tuple[Compared, ...]:
    """Every measured model that the question was about, the reference first."""
    role: dict[str, Role] = {each.model: each.reason for each in excluded}
    role |= dict.fromkeys(chosen, "recommended")
    role[asked.reference] = "in_use" if asked.in_use else "recommended"
    found = []
    for model in (asked.reference, *(each.model for each in asked.found)):
        evidence = asked.bench.of(model)
        standing = next((each for each in asked.found if each.model == model), None)
        ratio = Decimal(1) if standing is None else standing.exact_ratio
        found.append(
            Compared(
                model=model,
                role=role[model],
                level=evidence.level(asked.rule.question.metric),
                effect=None if standing is None else standing.effect,
                cost_per_request=evidence.cost_per_request,
                monthly_cost=None if ratio is None else asked.workload.monthly(asked.per_request) * ratio,
                p95_latency_ms=evidence.p95_latency_ms,
                error_rate=evidence.error_rate,
            )
        )
    return tuple(found)
