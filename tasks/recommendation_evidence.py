"""What is known of a feature before anything is recommended: the model in use, its workload, its cases."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from evaluations.errors import AssayError, NothingYet, unknown_name
from evaluations.models import Model
from evaluations.pricing import PriceBook, costs, same_model
from evaluations.recommending.answers import Source
from evaluations.recommending.evidence import Bench, Evidence, Offer, RetiredModel, UnknownModel, Workload
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
    sample_data: bool

    def of(self, model: str | None) -> Served | None:
        """What a model took of it, by any of its names."""
        return None if model is None else next((each for each in self.served if same_model(each.model, model)), None)


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

    def workload(self, stated: float | None = None) -> Workload:
        """A month of the feature. Raises NothingYet where nothing is measured and nothing stated."""
        production = self.production
        if stated is not None:
            return Workload(
                feature=self.feature,
                requests=stated,
                requests_low=stated,
                requests_high=stated,
                simulated=self.sample_data,
            )
        if production is None:
            raise NothingYet(
                f"no requests of {self.feature} are rolled up, so nobody knows its volume: state it by --requests N "
                "(a month), or `assay ingest FILE` and `assay rollup`."
            )
        own = production.of(self.incumbent)
        return Workload.of_days(
            self.feature,
            production.requests_by_day,
            cost_per_request=None if own is None or own.cost is None else own.cost / own.priced,
            simulated=self.sample_data,
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
    return Known(
        feature=feature,
        on=on,
        production=production,
        measured=_measured(connection, table, book, registry, on) if table else None,
        incumbent=in_use,
        source=source,
        book=book,
        registry=registry,
    )


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
    return Production(
        first=first,
        last=last,
        timezone=rollups.timezone_of(connection),
        requests_by_day=tuple(day.requests for day in days),
        served=tuple(recommendation_evidence.served(connection, feature, first, last)),
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


def _measured(
    connection: Connection, table: Shared, book: PriceBook, registry: Mapping[str, Model], on: date
) -> Measured | None:
    values, positions = values_of(connection, table)
    if not positions:
        return None
    evidence, repeated = [], False
    for model, seat in table.items():
        calls = recommendation_evidence.case_calls(connection, seat.answers_of, seat.variant)
        repeated = repeated or any(call.repeat for call in calls)
        evidence.append(_evidence(model, values[model]["pass_rate"], calls, positions, book, on))
    return Measured(
        bench=Bench(
            evidence=tuple(evidence),
            offers={model: _offer(model, registry.get(model), on) for model in table},
            clusters=sources_of_table(connection, table, positions),
        ),
        seats=table,
        positions=tuple(positions),
        binary=not repeated,
    )


def _evidence(
    model: str,
    passed: "NDArray[np.float64]",
    calls: Sequence[CaseCall],
    positions: Sequence[int],
    book: PriceBook,
    on: date,
) -> Evidence:
    """What was measured of one model; calls cost what they would today, or else what they did."""
    import numpy as np

    now = book.prices_of(model, on)
    current = [call for call in calls if not call.superseded]
    by_case: dict[int, list[Decimal | None]] = {}
    for call in current:
        if call.failed:
            continue
        parts = None if call.tokens is None else costs(call.tokens, now)
        today = None if not parts else sum(parts.values(), Decimal(0))
        by_case.setdefault(call.position, []).append(call.cost if today is None else today)
    waited = [call.latency_ms for call in current if not call.failed and call.latency_ms is not None]
    return Evidence(
        model=model,
        values={METRIC: passed},
        costs=[_mean(by_case.get(position, [])) for position in positions],
        latencies_ms=np.array(waited) if waited else None,
        calls=len(current),
        errors=sum(call.failed for call in current),
    )


def _mean(values: Sequence[Decimal | None]) -> Decimal | None:
    known = [each for each in values if each is not None]
    return sum(known, Decimal(0)) / len(known) if known and len(known) == len(values) else None


def _offer(model: str, known: Model | None, on: date) -> Offer:
    if known is None:
        return Offer(model=model)
    return Offer(
        model=model,
        capabilities=frozenset(name for name, each in known.capabilities.items() if each.holds),
        context_tokens=known.limits.context_tokens,
        output_tokens=known.limits.max_output_tokens,
        retired=known.life_cycle(on) == "retired",
        deprecated_on=None if known.retires_on is None else known.retires_on.isoformat(),
    )
