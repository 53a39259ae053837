"""Mixing: one model for each feature, under one budget, from what was measured of each."""

from dataclasses import dataclass
from decimal import Decimal

from evaluations.errors import AssayError
from evaluations.recommending.candidates import cost_ratio
from evaluations.recommending.evidence import Evidence, NoIncumbentData, NothingFeasible, PriceMissing, Workload
from evaluations.recommending.mixes import Goal, Mix, MixFeature, Option, frontier, optimal_mix
from evaluations.statistics.means import mean_interval
from tasks.recommendation_evidence import METRIC, Known, known_of
from tasks.recommending import every_feature, today
from tasks.store.database import transaction


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
            left_out.append(f"{known.feature}: {problem}")
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
        raise NoIncumbentData("no models answered the same cases; `assay run SUITE -m MODEL -m MODEL`.")
    month, bench = known.workload(asked.requests), known.measured.bench
    reference = next((each for each in bench.evidence if each.model == known.incumbent), None)
    options = [
        option
        for each in bench.evidence
        if not bench.offer(each.model).retired and (option := _option(each, reference, month)) is not None
    ]
    if not options:
        raise PriceMissing(f"no measured model of {known.feature} has a price; `assay prices`.")
    return MixFeature(
        name=known.feature,
        options=tuple(options),
        weight=max(1, round(month.requests)),
        quality_floor=asked.feature_floor,
        p95_limit_ms=asked.p95_ms,
        current=known.incumbent,
    )


def _option(evidence: Evidence, reference: Evidence | None, month: Workload) -> Option | None:
    """A month of it: what the model in use costs in production times the ratio of both on the same cases.

    Without a model in use that has a cost, a request of production costs what a case does.
    """
    import numpy as np

    level, cost, spread = evidence.level(METRIC), evidence.cost_per_request, 1.0
    if reference is not None and month.cost_per_request is not None:
        ratio = cost_ratio(evidence, reference)
        cost = None if ratio is None else month.cost_per_request * ratio[0]
        spread = ratio[1].high / ratio[1].value if ratio is not None and ratio[1].value else 1.0
    if level is None or cost is None:
        return None
    values = evidence.values[METRIC]
    return Option(
        model=evidence.model,
        quality=level,
        quality_low=max(0.0, mean_interval(values[~np.isnan(values)]).low),
        monthly_cost=month.monthly(cost),
        monthly_cost_high=cost * Decimal(repr(month.requests_high * spread)),
        p95_latency_ms=evidence.p95_latency_ms,
    )
