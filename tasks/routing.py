"""Routing: whether a cheap model should answer first, judged on cases that had no part in learning the rule."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evaluations.answers import ROUTED
from evaluations.errors import AssayError
from evaluations.recommending.evidence import Evidence, NoIncumbentData
from evaluations.recommending.recommendation import Recommendation
from evaluations.recommending.routing import (
    LEAST_CASES,
    Routed,
    RoutedCases,
    RoutingRule,
    category_of,
    halves_of,
    learned,
    models_to_route,
    recommend_routing,
    routed,
    simplest,
    text_of,
)
from evaluations.recommending.routing import (
    Known as Features,
)
from evaluations.routes import NothingToRoute, spec_of
from evaluations.wording import count
from tasks.recommendation_evidence import METRIC, known_of
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
    """None: held-out cases do not show that it is above the line between both models, saves something, and loses no
    more than it may."""
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
    bench = known.measured.bench
    generator = np.random.default_rng(SEED)
    halves = halves_of(len(cases), bench.clusters, generator)
    weak, strong = models_to_route(
        [each for each in bench.evidence if not each.model.startswith(ROUTED) and not bench.offer(each.model).retired],
        METRIC,
        halves[0],
        incumbent=known.incumbent,
    )
    month = known.month_of(strong.model, requests)
    found = RoutedCases(
        known=Features.of(list(map(text_of, cases)), list(map(category_of, cases))),
        weak=weak.values[METRIC],
        strong=strong.values[METRIC],
        weak_cost=_costs(weak),
        strong_cost=_costs(strong),
        clusters=None if bench.clusters is None else tuple(bench.clusters),
    )
    whole = np.flatnonzero(
        ~np.isnan(np.vstack([found.weak, found.strong, found.weak_cost, found.strong_cost])).any(axis=0)
    )
    learning, judging = (found.at(half[np.isin(half, whole)]) for half in halves)
    if min(learning.n, judging.n) < LEAST_CASES:
        raise AssayError(
            f"{count(int(whole.size), 'case')} of {feature} have a verdict and a cost of both {weak.model} and "
            f"{strong.model}; a rule is learned on {LEAST_CASES} and judged on {LEAST_CASES} others."
        )
    learner = simplest(learning, generator=generator)
    rule = learned(learning, loss=loss, generator=generator, learner=learner, judged_on=judging.n)
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


def _costs(evidence: Evidence) -> "NDArray[np.float64]":
    import numpy as np

    return np.array([np.nan if cost is None else float(cost) for cost in evidence.costs])
