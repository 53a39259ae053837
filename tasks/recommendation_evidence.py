"""What is known of a feature before anything is recommended: the model in use, its workload, its cases."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from evaluations import cost_scenarios
from evaluations.errors import AssayError, NothingYet, unknown_name
from evaluations.models import Model
from evaluations.pricing import PriceBook, Prices, costs, same_model
from evaluations.recommending.answers import Source
from evaluations.recommending.evidence import Bench, Evidence, Offer, RetiredModel, UnknownModel, Workload
from evaluations.recommending.production_shape import ProductionShape, Scale, split
from evaluations.roi import DAYS_A_MONTH
from tasks import costing
from tasks.case_sources import sources_of_table
from tasks.comparing import values_of
from tasks.store import (
    deployments,
    facts,
    model_runs,
    model_use,
    models,
    prices,
    recommendation_evidence,
    rollups,
    selections,
)
from tasks.store.model_runs import Seat, Shared
from tasks.store.recommendation_evidence import CaseCall, Served

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

METRIC = "pass_rate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Production:
    """What a feature did in the days that are looked at."""

    first: date
    last: date
    timezone: str
    requests_by_day: tuple[int, ...]
    served: tuple[Served, ...]
    priced: int
    """Requests with a known cost, whoever served them."""
    cost: Decimal | None
    """US dollars of those; None where there is none."""
    sample_data: bool

    def of(self, model: str | None) -> Served | None:
        """What a model took of it, under all of its names; None where it took nothing."""
        own = [] if model is None else [each for each in self.served if same_model(each.model, model)]
        if not own or model is None:
            return None
        known = [each.cost for each in own if each.cost is not None]
        return Served(
            model=own[0].model,
            requests=sum(each.requests for each in own),
            priced_by_day=tuple(sum(day) for day in zip(*(each.priced_by_day for each in own), strict=True)),
            cost=sum(known, Decimal(0)) if known else None,
        )

    @property
    def bill(self) -> Decimal | None:
        """US dollars a month, as measured; None: unknown."""
        return None if self.cost is None else self.monthly(self.cost)

    def monthly(self, of_window: Decimal) -> Decimal:
        """What a sum over these days is a month."""
        return of_window / len(self.requests_by_day) * DAYS_A_MONTH


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Measured:
    """Answers of several models to the same cases."""

    bench: Bench
    seats: Mapping[str, Seat]
    positions: tuple[int, ...]
    binary: bool
    """Whether each case was asked once, so that its value is passed or failed."""

    @property
    def seat(self) -> Seat:
        return next(iter(self.seats.values()))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Known:
    """All that is known of one feature."""

    feature: str
    on: date
    production: Production | None
    measured: Measured | None
    incumbent: str | None
    """As the measured cases name it, where they have it."""
    source: Source
    book: PriceBook
    registry: Mapping[str, Model] = field(default_factory=dict)

    @property
    def sample_data(self) -> bool:
        production = self.production is not None and self.production.sample_data
        return production or (self.measured is not None and self.measured.seat.sample_data)

    def prices_of(self, model: str) -> Prices | None:
        """Those of the day; None where nobody knows them."""
        return self.book.prices_of(model, self.on)

    def workload(self, stated: float | None = None) -> Workload:
        """A month of the feature, whoever serves it. Raises NothingYet where nothing is measured and nothing stated."""
        if stated is not None:
            return Workload(
                feature=self.feature,
                requests=stated,
                requests_low=stated,
                requests_high=stated,
                simulated=self.sample_data,
            )
        if self.production is None:
            raise NothingYet(
                f"no requests of {self.feature} are rolled up, so nobody knows its volume: state it by --requests N "
                "(a month), or `assay ingest FILE` and `assay rollup`."
            )
        return Workload.of_days(self.feature, self.production.requests_by_day, simulated=self.sample_data)

    def month_of(self, model: str | None, stated: float | None = None) -> Workload:
        """A month of what one model serves of the feature: all that changes when another one takes its place.

        Without a model, or where the volume is stated, it is the whole feature. Raises NothingYet as `workload` does.
        """
        whole = self.workload(stated)
        production = self.production
        if stated is not None or model is None or production is None:
            return whole
        days = len(production.requests_by_day)
        own = production.of(model) or Served(model=model, requests=0, priced_by_day=(0,) * days, cost=None)
        month = Workload.of_days(
            self.feature,
            own.priced_by_day,
            cost_per_request=None if own.cost is None else own.cost / own.priced,
            simulated=self.sample_data,
        )
        others = production.monthly((production.cost or Decimal(0)) - (own.cost or Decimal(0)))
        return replace(
            month,
            of_feature=whole.requests,
            unpriced=(own.requests - own.priced) / days * float(DAYS_A_MONTH),
            others=others,
            others_high=others * Decimal(repr(whole.requests_high / whole.requests)),
        )


def features_known(connection: Connection) -> list[str]:
    """Every feature that has traffic or was tested."""
    return sorted({*model_use.features_used(connection), *model_runs.features_tested(connection)})


def known_of(
    connection: Connection, feature: str, on: date, *, environment: str = "production", incumbent: str | None = None
) -> Known:
    """Gather everything. Raises AssayError that names the nearest for a feature or incumbent that nobody knows."""
    known = features_known(connection)
    if not known:
        raise NothingYet("nothing is known of any feature yet; `assay run SUITE`, or `assay ingest FILE`.")
    if feature not in known:
        raise AssayError(unknown_name("feature", feature, known))
    production = _production(connection, feature)
    seats = model_runs.seats(connection, feature=feature)
    in_use, source = _incumbent(connection, feature, environment, production, incumbent)
    table = _table(seats, in_use)
    if in_use is not None:
        in_use = next((model for model in table if same_model(model, in_use)), in_use)
    names = tuple(dict.fromkeys([*table, *([in_use] if in_use else []), *(_names(production))]))
    registry = models.models_named(connection, names)
    book = prices.price_book(connection, names)
    if incumbent is not None and in_use not in {*table, *registry, *_names(production)}:
        raise UnknownModel(unknown_name("model", incumbent, sorted({*table, *_names(production)})))
    found = Known(
        feature=feature,
        on=on,
        production=production,
        measured=None,
        incumbent=in_use,
        source=source,
        book=book,
        registry=registry,
    )
    return replace(found, measured=_measured(connection, found, table)) if table else found


def check_candidates(connection: Connection, found: Known, wanted: Sequence[str]) -> tuple[str, ...]:
    """The candidates by the names of their cases.

    Raises UnknownModel and RetiredModel, and AssayError for one that nobody measured, with the run that would.
    """
    measured = [] if found.measured is None else [each.model for each in found.measured.bench.evidence]
    registry = models.models_named(connection, wanted)
    known = []
    for name in wanted:
        model = registry.get(name)
        if model is not None and model.life_cycle(found.on) == "retired":
            ends = f" since {model.retires_on}" if model.retires_on else ""
            instead = f"; its successor is {model.successor}" if model.successor else ""
            raise RetiredModel(f"{name} is no longer served{ends}{instead}. Name another one.")
        own = next((each for each in measured if same_model(each, name)), None)
        if own is None and model is None and not found.book.prices_of(name, found.on):
            raise UnknownModel(unknown_name("model", name, sorted({*measured, *found.registry})))
        if own is None:
            suite = found.measured.seat.suite if found.measured is not None else "SUITE"
            raise AssayError(
                f"{name} answered none of the cases of {found.feature}, so nothing can be said of it; measure it: "
                f"`assay run {suite} -m {name}`."
            )
        known.append(own)
    return tuple(known)


def _names(production: Production | None) -> list[str]:
    return [] if production is None else [each.model for each in production.served]


def _production(connection: Connection, feature: str) -> Production | None:
    """The last four whole weeks of a feature; None where it had no request in them."""
    try:
        first, last = costing.window(connection, None, None)
    except NothingYet:
        return None
    days = model_use.daily_use(connection, [feature], first, last)
    if not any(day.requests for day in days):
        return None
    fresh = facts.freshness(connection, first, last)
    priced, cost = recommendation_evidence.bill(connection, feature, first, last)
    return Production(
        first=first,
        last=last,
        timezone=rollups.timezone_of(connection),
        requests_by_day=tuple(day.requests for day in days),
        served=tuple(recommendation_evidence.served(connection, feature, first, last)),
        priced=priced,
        cost=cost,
        sample_data=fresh is not None and fresh.sample != "none",
    )


def _incumbent(
    connection: Connection, feature: str, environment: str, production: Production | None, named: str | None
) -> tuple[str | None, Source]:
    """The model in use, and how that is known: the live bundle, else the last selection, else most of the traffic."""
    if named is not None:
        return named, "named"
    live = deployments.live_deployment(connection, feature, environment)
    if live is not None and live.bundle.model:
        return live.bundle.model, "live bundle"
    chosen = next(
        (
            each.model
            for each in selections.list_selections(connection, feature)
            if each.environment == environment and each.model
        ),
        None,
    )
    if chosen is not None:
        return chosen, "selection"
    if production is not None and production.served:
        return production.served[0].model, "most of the traffic"
    return None, "none"


def _table(seats: Sequence[Seat], incumbent: str | None) -> Shared:
    """The cases that the most models answered, those with the model in use first; the latest of several."""

    def worth(table: Shared) -> tuple[bool, int, str]:
        has = incumbent is not None and any(same_model(model, incumbent) for model in table)
        return has, len(table), max(seat.at for seat in table.values()).isoformat()

    return max(model_runs.tables_of_models(seats), key=worth, default={})


# Answers to the same cases


def _measured(connection: Connection, known: Known, table: Shared) -> Measured | None:
    values, positions = values_of(connection, table)
    if not positions:
        return None
    calls = {
        model: recommendation_evidence.case_calls(connection, seat.answers_of, seat.variant)
        for model, seat in table.items()
    }
    shape = _shape(connection, known, calls)
    return Measured(
        bench=Bench(
            evidence=tuple(
                _evidence(model, values[model]["pass_rate"], calls[model], positions, known.prices_of(model), shape)
                for model in table
            ),
            offers={model: _offer(model, known.registry.get(model), known.on) for model in table},
            clusters=sources_of_table(connection, table, positions),
            shaped_by=0 if shape is None else shape.requests,
        ),
        seats=table,
        positions=tuple(positions),
        binary=not any(call.repeat for each in calls.values() for call in each),
    )


def _shape(connection: Connection, known: Known, calls: Mapping[str, Sequence[CaseCall]]) -> ProductionShape | None:
    """How long the requests of the model in use are beside its cases.

    None where its requests or any model's answers have no known tokens, or a model no price: all are brought to
    production by their tokens, or none.
    """
    own = [] if known.incumbent is None else calls.get(known.incumbent, ())
    every = [known.prices_of(model) for model in calls]
    counted = [call for each in calls.values() for call in each if _counts(call)]
    if known.production is None or not own or None in every or any(not call.tokens for call in counted):
        return None
    starts = frozenset[int]().union(*(prices.starts for prices in every if prices is not None))
    first, last = known.production.first, known.production.last
    names = [each.model for each in known.production.served if same_model(each.model, known.incumbent or "")]
    days = [
        day
        for name in names
        for day in model_use.daily_use(connection, [known.feature], first, last, model=name, starts=starts)
    ]
    tokens = [split(call.tokens) for call in own if _counts(call) and call.tokens]
    requests = len({(call.position, call.repeat) for call in own if _counts(call)})
    prompt, reply = (sum(each[side] for each in tokens) for side in (0, 1))
    asked = sum(day.known for day in days)
    if not asked or not prompt or not reply or len(days) < cost_scenarios.FEWEST_DAYS:
        return None
    shape = ProductionShape(
        work=cost_scenarios.measured(days),
        requests=asked,
        prompt=Decimal(prompt) / requests,
        reply=Decimal(reply) / requests,
    )
    return shape if all(shape.scale(prices) is not None for prices in every) else None


def _counts(call: CaseCall) -> bool:
    """Is it part of what a request costs? What was answered is, and what failed and was billed.

    A failure that was not billed, as far as is known, would make requests look cheaper than answers are; what was
    answered again is counted once.
    """
    if call.failed:
        return bool(call.cost or call.tokens)
    return not call.superseded


def _evidence(
    model: str,
    passed: "NDArray[np.float64]",
    calls: Sequence[CaseCall],
    positions: Sequence[int],
    now: Prices | None,
    shape: ProductionShape | None,
) -> Evidence:
    """What was measured of one model; calls cost what they would today in production, or today, or else what they did.

    What failed and was billed is part of what a request costs: it is paid for in production too.
    """
    import numpy as np

    scale = None if shape is None else shape.scale(now)
    current = [call for call in calls if not call.superseded]
    asked: dict[int, set[int]] = {}
    by_case: dict[int, list[Decimal | None]] = {}
    for call in calls:
        if _counts(call):
            asked.setdefault(call.position, set()).add(call.repeat)
            by_case.setdefault(call.position, []).append(_paid(call, now, scale))
    waited = [call.latency_ms for call in current if not call.failed and call.latency_ms is not None]
    return Evidence(
        model=model,
        values={METRIC: passed},
        costs=[_a_request(by_case.get(position, []), len(asked.get(position, ()))) for position in positions],
        latencies_ms=np.array(waited) if waited else None,
        calls=len(current),
        errors=sum(call.failed for call in current),
    )


def _paid(call: CaseCall, prices: Prices | None, scale: Scale | None) -> Decimal | None:
    """What a call would cost in production, or today, or else what it did; None where none of it is known."""
    if scale is not None and call.tokens:
        return scale.cost(call.tokens)
    parts = None if call.tokens is None else costs(call.tokens, prices)
    return sum(parts.values(), Decimal(0)) if parts else call.cost


def _a_request(paid: Sequence[Decimal | None], requests: int) -> Decimal | None:
    """What each of so many requests of a case costs with its failed tries; None where one cost is unknown."""
    known = [each for each in paid if each is not None]
    return sum(known, Decimal(0)) / requests if known and len(known) == len(paid) else None


def _offer(model: str, known: Model | None, on: date) -> Offer:
    if known is None:
        return Offer(model=model)
    return Offer(
        model=model,
        capabilities=frozenset(name for name, each in known.capabilities.items() if each.holds),
        context_tokens=known.limits.context_tokens,
        output_tokens=known.limits.max_output_tokens,
        regions=None if known.regions is None else frozenset(known.regions),
        retired=known.life_cycle(on) == "retired",
        deprecated_on=None if known.retires_on is None else known.retires_on.isoformat(),
    )
