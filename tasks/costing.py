"""What a month would cost on each of some models: finds the work, the prices and the names."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from sqlalchemy import Connection

from evaluations.cost_scenarios import (
    MonthlyCost,
    Offer,
    Terms,
    Workload,
    break_even,
    measured,
    monthly_cost,
)
from evaluations.errors import AssayError, NothingYet, unknown_name
from evaluations.pricing import PriceBook, names_of
from tasks.store import facts, model_use, prices
from tasks.store.database import transaction

DEFAULT_DAYS = 28
"""Whole weeks, so that every weekday counts alike."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CostQuestion:
    """What is asked: the work of features as measured, or a unit that is stated."""

    models: tuple[str, ...] = ()
    """Those that serve the features unless given."""
    features: tuple[str, ...] = ()
    """All unless given."""
    first: date | None = None
    last: date | None = None
    units: Decimal | None = None
    unit: Workload | None = None
    """The work itself where it is stated."""
    terms: Terms = field(default_factory=Terms)
    fixed: Mapping[str, Decimal] = field(default_factory=dict)
    """Model -> US dollars a month."""
    on: date | None = None
    """The day whose prices count; today unless given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossing:
    """From so many units a month on, the one with the higher fixed cost is the cheaper."""

    one: str
    other: str
    units: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Costing:
    """The answer, the cheapest model first and the unpriced ones last."""

    work: Workload
    features: tuple[str, ...]
    first: date | None
    last: date | None
    on: date
    terms: Terms
    months: tuple[MonthlyCost, ...]
    crossings: tuple[Crossing, ...]
    sample_data: bool


def cost_of(asked: CostQuestion) -> Costing:
    """Raises AssayError for a model or feature that nobody knows, or where nothing is measured or named."""
    with transaction() as connection:
        on = asked.on or datetime.now(UTC).date()
        if asked.unit is not None:
            if not asked.models:
                raise AssayError("a stated unit says nothing about models; name them: `assay cost MODEL MODEL …`.")
            work: Workload | None = asked.unit
            first = last = None
            sample = False
        else:
            check_features(connection, asked.features)
            first, last = window(connection, asked.first, asked.last)
            work = None
            fresh = facts.freshness(connection, first, last)
            sample = fresh is not None and fresh.sample != "none"
        names = asked.models or tuple(model_use.models_used(connection, asked.features, first or on, last or on))
        if strange := sorted(set(asked.fixed) - set(names)):
            raise AssayError(f"a fixed cost is stated for {strange[0]}, which is not compared: {', '.join(names)}.")
        known_models(connection, names)
        book = prices.price_book(connection, names)
        offers = [offer_of(book, name, on, asked.fixed.get(name, Decimal(0))) for name in names]
        if work is None:
            assert first is not None
            assert last is not None
            days = model_use.daily_use(connection, asked.features, first, last, starts=tier_starts(offers))
            work = measured(days, asked.units)
    months = sorted(
        (monthly_cost(work, offer, asked.terms) for offer in offers),
        key=lambda each: (each.month is None, each.month or Decimal(0), each.model),
    )
    return Costing(
        work=work,
        features=asked.features,
        first=first,
        last=last,
        on=on,
        terms=asked.terms,
        months=tuple(months),
        crossings=_crossings(months),
        sample_data=sample,
    )


def offer_of(book: PriceBook, model: str, on: date, fixed: Decimal = Decimal(0)) -> Offer:
    """What a model asks on a day, at the standard service and by the batch."""
    return Offer(
        model=model,
        standard=book.prices_of(model, on),
        batch=book.prices_of(model, on, service="batch"),
        fixed=fixed,
    )


def tier_starts(offers: Iterable[Offer]) -> frozenset[int]:
    """The lengths of a prompt above which any of them asks another price."""
    every = [prices for offer in offers for prices in (offer.standard, offer.batch) if prices is not None]
    return frozenset[int]().union(*(prices.starts for prices in every))


def window(connection: Connection, first: date | None, last: date | None) -> tuple[date, date]:
    """The days asked about, or the last four weeks that are over. Raises NothingYet when nothing is rolled up."""
    last = last or facts.newest_whole_day(connection)
    if last is None:
        raise NothingYet("no requests are rolled up yet; `assay ingest FILE`, then `assay rollup`.")
    fresh = facts.freshness(connection, last, last)
    since = last - timedelta(days=DEFAULT_DAYS - 1)
    # Days before the first request are no days without requests.
    first = first or (max(since, fresh.known_from) if fresh is not None and fresh.known_from <= last else since)
    if last < first:
        raise AssayError(f"{first} comes after {last}; give the earlier day first.")
    return first, last


def check_features(connection: Connection, features: Sequence[str]) -> None:
    """Raises AssayError that names the nearest for a feature without requests."""
    known = model_use.features_used(connection)
    for name in features:
        if name not in known:
            raise AssayError(unknown_name("feature", name, known))


def known_models(connection: Connection, names: Sequence[str]) -> None:
    """Raises AssayError that names the nearest for a model that has no price, served no request and was in no run."""
    priced = prices.priced_models(connection)
    used = model_use.models_used(connection, (), date.min, date.max)
    known = {*priced, *prices.configured_models(connection), *used}
    for name in names:
        if not known & set(names_of(name)):
            raise AssayError(unknown_name("model", name, sorted(known)))


def _crossings(months: Sequence[MonthlyCost]) -> tuple[Crossing, ...]:
    found = []
    for place, one in enumerate(months):
        for other in months[place + 1 :]:
            if (units := break_even(one, other)) is not None:
                cheap, dear = sorted((one, other), key=lambda each: each.fixed)
                found.append(Crossing(one=cheap.model, other=dear.model, units=units))
    return tuple(sorted(found, key=lambda each: each.units))
