"""Routing: whether a cheap model should answer first, judged on cases that had no part in learning the rule."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evaluations.errors import AssayError
from evaluations.recommending.evidence import Evidence, NoIncumbentData, PriceMissing
from evaluations.recommending.recommendation import Recommendation
from evaluations.recommending.routing import (
    LEAST_CASES,
    Routed,
    RoutedCases,
    RoutingRule,
    category_of,
    learned,
    recommend_routing,
    routed,
    simplest,
    text_of,
)
from evaluations.recommending.routing import (
    Known as Features,
)
from evaluations.routes import NothingToRoute, spec_of
from evaluations.specs import ROUTED
from evaluations.wording import count
from tasks.recommendation_evidence import METRIC, Known, Measured, known_of
from tasks.recommending import SEED, today
from tasks.store.database import transaction
from tasks.store.datasets import cases_at

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingFound:
    """What a rule comes to on cases it was not learned on."""

    weak: str
    strong: str
    learner: str
    rule: Mapping[str, Any] | None
    """As a suite's route takes it; None where it sends every case to the same model."""
    held_out: Routed
    recommendation: Recommendation | None
    """None: it is not shown to be above the line between both models, or surely saves nothing."""
    sample_data: bool


def advise_routing(
    feature: str, *, loss: float, requests: float | None = None, environment: str = "production"
) -> RoutingFound:
    """Learn a rule on half of the cases, judge it on the other half.

    Raises AssayError where there are not two priced models on the same cases, or too few cases, with what would do.
    """
    import numpy as np

    with transaction() as connection:
        known = known_of(connection, feature, today(), environment=environment)
        if known.measured is None:
            raise NoIncumbentData(
                f"no two models answered the same cases of {feature}; `assay run SUITE -m MODEL -m MODEL`."
            )  # fmt: skip
        stored = cases_at(connection, known.measured.seat.dataset_id, list(known.measured.positions))
    by_place = {each.position: each.case for each in stored}
    cases = [by_place[position] for position in known.measured.positions]
    weak, strong = _pair(known.measured, known)
    month = known.month_of(strong.model, requests)
    found = RoutedCases(
        known=Features.of(list(map(text_of, cases)), list(map(category_of, cases))),
        weak=weak.values[METRIC],
        strong=strong.values[METRIC],
        weak_cost=_costs(weak),
        strong_cost=_costs(strong),
    )
    whole = np.flatnonzero(
        ~np.isnan(np.vstack([found.weak, found.strong, found.weak_cost, found.strong_cost])).any(axis=0)
    )
    if whole.size < 2 * LEAST_CASES:
        raise AssayError(
            f"{count(int(whole.size), 'case')} of {feature} have a verdict and a cost of both {weak.model} and "
            f"{strong.model}; a rule is learned on {LEAST_CASES} and judged on {LEAST_CASES} others."
        )
    generator = np.random.default_rng(SEED)
    order = generator.permutation(whole)
    half = order.size // 2
    learning, judging = found.at(order[:half]), found.at(order[half:])
    learner = simplest(learning, generator=generator)
    rule = learned(learning, loss=loss, generator=generator, learner=learner, sure=True)
    held_out = routed(judging, rule.to_strong(judging.known))
    cost = strong.cost_per_request
    assert cost is not None
    return RoutingFound(
        weak=weak.model,
        strong=strong.model,
        learner=learner,
        rule=_as_given(rule),
        held_out=held_out,
        recommendation=recommend_routing(rule, held_out, month, cost, weak=weak.model, strong=strong.model),
        sample_data=known.sample_data,
    )


def save_policy(found: RoutingFound, path: Path) -> None:
    """Write a rule as a suite's route takes it.

    Raises AssayError where there is nothing to route, or nowhere to write it.
    """
    import json

    if found.rule is None:
        raise AssayError(
            f"a rule by {found.learner} sends every case to the same model, so there is no policy to save; "
            "another --loss may leave one."
        )
    try:
        path.write_text(json.dumps(found.rule, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as problem:
        raise AssayError(f"the policy cannot be written to {path}: {problem.strerror}.") from None


def _as_given(rule: RoutingRule) -> Mapping[str, Any] | None:
    try:
        return spec_of(rule).model_dump(mode="json", exclude_defaults=True)
    except NothingToRoute:
        return None


def _pair(measured: Measured, known: Known) -> tuple[Evidence, Evidence]:
    """The model in use, or else the best measured, and the cheapest of the others."""
    priced = [
        each
        for each in measured.bench.evidence
        if each.cost_per_request is not None and each.level(METRIC) is not None
        and not measured.bench.offer(each.model).retired and not each.model.startswith(ROUTED)
    ]  # fmt: skip
    if len(priced) < 2:
        raise PriceMissing(f"routing takes two measured models with a price; {known.feature} has {len(priced)}.")
    strong = next(
        (each for each in priced if each.model == known.incumbent),
        max(priced, key=lambda each: (each.level(METRIC) or 0.0, each.model)),
    )
    cheaper = [each for each in priced if (each.cost_per_request or 0) < (strong.cost_per_request or 0)]
    if not cheaper:
        raise AssayError(
            f"no measured model is cheaper than {strong.model}, so nothing is saved by asking another one first."
        )  # fmt: skip
    return min(cheaper, key=lambda each: (each.cost_per_request or Decimal(0), each.model)), strong


def _costs(evidence: Evidence) -> "NDArray[np.float64]":
    import numpy as np

    return np.array([np.nan if cost is None else float(cost) for cost in evidence.costs])
