"""Mixing: one model for each feature, under one budget, from what was measured of each."""

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from evaluations.errors import AssayError
from evaluations.pricing import same_model
from evaluations.recommending.candidates import cost_ratio
from evaluations.recommending.evidence import (
    Bench,
    Evidence,
    NoIncumbentData,
    NothingFeasible,
    PriceMissing,
    Workload,
)
from evaluations.recommending.mixes import Goal, Mix, MixFeature, Option, frontier, optimal_mix
from evaluations.statistics.means import mean_from_moments
from evaluations.statistics.proportions import wilson
from tasks.recommendation_evidence import METRIC, Known, Production, known_of
from tasks.recommending import every_feature, today
from tasks.store.database import transaction

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class MixQuestion:
    """What a mix has to keep."""

    features: tuple[str, ...] = ()
    """All that can take part unless given."""
    budget: Decimal | None = None
    """US dollars a month."""
    goal: Goal = "quality"
    floor: float | None = None
    """Of the mean quality over features."""
    feature_floor: float | None = None
    """Of each feature's quality, at its lower bound."""
    p95_ms: float | None = None
    requests: float | None = None
    """A month of each feature, stated; None: as measured."""
    environment: str = "production"


@dataclass(frozen=True, slots=True, kw_only=True)
class MixFound:
    """One model for each feature, and every mix that no other one beats."""

    mix: Mix
    frontier: tuple[Mix, ...]
    left_out: tuple[str, ...]
    """Features that could not take part, each with why."""
    sample_data: bool


def advise_mix(asked: MixQuestion) -> MixFound:
    """The best mix of models over features. Raises NothingFeasible with what would make it feasible."""
    with transaction() as connection:
        names = asked.features or tuple(every_feature(connection))
        every = [known_of(connection, name, today(), environment=asked.environment) for name in names]
    taking, left_out = [], []
    for known in every:
        try:
            taking.append(_mix_feature(known, asked))
        except AssayError as problem:
            if asked.features:
                raise
            left_out.append(str(problem))
    if not taking:
        raise NothingFeasible(f"no feature has models that were measured on its cases. {' '.join(left_out)}")
    return MixFound(
        mix=optimal_mix(taking, budget=asked.budget, goal=asked.goal, quality_floor=asked.floor),
        frontier=frontier(taking),
        left_out=tuple(left_out),
        sample_data=any(known.sample_data for known in every),
    )


def _mix_feature(known: Known, asked: MixQuestion) -> MixFeature:
    """The feature with every measured model that has a price and is served."""
    if known.measured is None:
        raise NoIncumbentData(
            f"no models answered the same cases of {known.feature}; `assay run SUITE -m MODEL -m MODEL`."
        )
    month, bench = known.workload(asked.requests), known.measured.bench
    billed = None if asked.requests is not None else _billed(known.production, bench)
    options = [
        option
        for each in bench.evidence
        if not bench.offer(each.model).retired and (option := _option(each, billed, month)) is not None
    ]
    if not options:
        raise PriceMissing(f"no measured model of {known.feature} has a price; `assay prices`.")
    served = [] if billed is None else [each.model for each in billed.production.served]
    return MixFeature(
        name=known.feature,
        options=tuple(options),
        weight=max(1, round(month.requests)),
        quality_floor=asked.feature_floor,
        p95_limit_ms=asked.p95_ms,
        current=known.incumbent,
        current_cost=None if billed is None else billed.production.bill,
        alone=known.incumbent is None or all(same_model(model, known.incumbent) for model in served),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Billed:
    """What a feature is billed for in production, by the models that were measured on its cases as well."""

    production: Production
    parts: tuple[tuple[Evidence, Decimal], ...]
    """Each of those models as it was measured, with its bill in US dollars a month."""
    times: Decimal
    """Requests with a known cost over those of these models: the others are taken to be like them."""


def _billed(production: Production | None, bench: Bench) -> Billed | None:
    """None where no model with a bill was measured."""
    if production is None:
        return None
    parts, priced = [], 0
    for served in production.served:
        evidence = next((each for each in bench.evidence if same_model(each.model, served.model)), None)
        if evidence is not None and served.cost:
            parts.append((evidence, production.monthly(served.cost)))
            priced += served.priced
    if not priced:
        return None
    return Billed(production=production, parts=tuple(parts), times=Decimal(production.priced) / priced)


def _option(evidence: Evidence, billed: Billed | None, month: Workload) -> Option | None:
    """A month in which it serves all: each model's bill times the ratio of its cost to that model's on the same cases.

    Where nothing is billed, a request costs what a case does.
    """
    import numpy as np

    level = evidence.level(METRIC)
    cost = _by_cases(evidence, month) if billed is None else _by_bill(evidence, billed, month)
    if level is None or cost is None:
        return None
    values = evidence.values[METRIC]
    return Option(
        model=evidence.model,
        quality=level,
        quality_low=_at_least(values[~np.isnan(values)]),
        monthly_cost=cost[0],
        monthly_cost_high=cost[1],
        p95_latency_ms=evidence.p95_latency_ms,
    )


def _at_least(values: "NDArray[np.float64]") -> float:
    """The lower bound of a quality, shape (cases,), one case or more; cases that all passed leave room for others."""
    passed = int((values == 1).sum())
    if passed + int((values == 0).sum()) == values.size:
        return wilson(passed, values.size).low
    sd = float(values.std(ddof=1)) if values.size > 1 else None
    found = mean_from_moments(values.size, float(values.mean()), sd, low=0.0, high=1.0)
    return 0.0 if found is None else found.low


def _by_cases(evidence: Evidence, month: Workload) -> tuple[Decimal, Decimal] | None:
    """US dollars a month, and at the upper end of the volume."""
    per_request = evidence.cost_per_request
    if per_request is None:
        return None
    return month.monthly(per_request), per_request * Decimal(repr(month.requests_high))


def _by_bill(evidence: Evidence, billed: Billed, month: Workload) -> tuple[Decimal, Decimal] | None:
    """As above of the bill; the upper end is that of volume and cost, with requests whose cost nobody knows."""
    point = high = Decimal(0)
    for other, bill in billed.parts:
        ratio = cost_ratio(evidence, other)
        if ratio is None:
            return None
        # A model keeps its own bill: it is not held against itself.
        exact, most = (Decimal(1), 1.0) if other is evidence else (ratio[0], ratio[1].high)
        point += bill * exact * billed.times
        high += bill * max(exact, Decimal(repr(most))) * billed.times
    priced = billed.production.monthly(Decimal(billed.production.priced))
    return point, high * Decimal(repr(month.requests_high)) / priced
