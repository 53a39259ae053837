"""Dated price rows: added, never changed, and read into the domain's price book."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, text

from evaluations.pricing import PriceBook, PriceRow, names_of, read_price_class

_COLUMNS = (
    "model",
    "token_class",
    "usd_per_token",
    "currency",
    "tier_start",
    "effective_from",
    "effective_to",
    "source",
)


@dataclass(frozen=True, slots=True)
class StoredPrice:
    """A price row, and who added it when."""

    row: PriceRow
    actor: str
    recorded_at: datetime


def has_source(connection: Connection, source: str) -> bool:
    """Whether rows of this source are there already."""
    return bool(
        connection.execute(
            text("SELECT EXISTS (SELECT 1 FROM model_prices WHERE source = :source)"), {"source": source}
        ).scalar_one()
    )


def lock_prices(connection: Connection) -> None:
    """Wait for whoever adds prices just now, and keep others waiting until the transaction ends."""
    connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('assay model_prices', 0))"))


def add_prices(connection: Connection, rows: Iterable[PriceRow], actor: str) -> int:
    """Add rows that are not there yet; none is ever changed. Gives how many were new."""
    columns = _as_columns(list(rows))
    # Every look comes by here, and the database asks for the role of whoever writes, even if that is no row.
    if not columns["model"]:
        return 0
    count = connection.execute(
        text(f"""
            INSERT INTO model_prices ({", ".join(_COLUMNS)}, actor)
            SELECT p.*, :actor FROM unnest(
                CAST(:model AS text[]), CAST(:token_class AS text[]), CAST(:usd_per_token AS numeric[]),
                CAST(:currency AS text[]), CAST(:tier_start AS int[]), CAST(:effective_from AS date[]),
                CAST(:effective_to AS date[]), CAST(:source AS text[])) AS p
            ON CONFLICT DO NOTHING
        """),
        {**columns, "actor": actor},
    ).rowcount
    return int(count)


def price_book(connection: Connection, models: Iterable[str], regions: Iterable[str] = ()) -> PriceBook:
    """The prices of these models, in these regions too; a bare name brings the names along that it may stand for."""
    asked = [None, *regions]
    names = {name for model in models for region in asked for name in names_of(model, region)}
    rows = connection.execute(
        text(f"SELECT {', '.join(_COLUMNS)} FROM model_prices WHERE model = ANY(:names) ORDER BY id"),
        {"names": sorted(names)},
    )
    return PriceBook(_price(row) for row in rows)


def all_prices(connection: Connection) -> list[PriceRow]:
    """Every price row, in the order in which they were added."""
    rows = connection.execute(text(f"SELECT {', '.join(_COLUMNS)} FROM model_prices ORDER BY id"))
    return [_price(row) for row in rows]


def price_history(connection: Connection, model: str) -> list[StoredPrice]:
    """Every row of the names that a model may stand for, in the order in which they were added."""
    rows = connection.execute(
        text(f"""
            SELECT {", ".join(_COLUMNS)}, actor, recorded_at FROM model_prices
            WHERE model = ANY(:names) ORDER BY id
        """),
        {"names": names_of(model)},
    )
    return [StoredPrice(_price(row), row.actor, row.recorded_at) for row in rows]


def priced_models(connection: Connection) -> list[str]:
    """The names of all models with a price row."""
    return list(connection.execute(text("SELECT DISTINCT model FROM model_prices ORDER BY model")).scalars())


def configured_models(connection: Connection) -> list[str]:
    """The names of all models that a run ever called."""
    return list(connection.execute(text("SELECT DISTINCT model FROM model_configs ORDER BY model")).scalars())


def _price(row: Row[Any]) -> PriceRow:
    token_class, service, hours = read_price_class(row.token_class)
    return PriceRow(
        model=row.model,
        token_class=token_class,
        per_token=row.usd_per_token,
        currency=row.currency,
        effective_from=row.effective_from,
        effective_to=row.effective_to,
        source=row.source,
        tier_start=row.tier_start,
        service=service,
        hours=hours,
    )


def _as_columns(rows: Sequence[PriceRow]) -> dict[str, list[object]]:
    return {
        "model": [row.model for row in rows],
        "token_class": [row.price_class for row in rows],
        "usd_per_token": [row.per_token for row in rows],
        "currency": [row.currency for row in rows],
        "tier_start": [row.tier_start for row in rows],
        "effective_from": [row.effective_from for row in rows],
        "effective_to": [row.effective_to for row in rows],
        "source": [row.source for row in rows],
    }
