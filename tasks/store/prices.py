"""Dated price rows: seeded once from the bundled map, read into the domain's price book."""

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, text

from evaluations.pricing import BARE_PROVIDERS, PriceBook, PriceRow

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


def has_source(connection: Connection, source: str) -> bool:
    """Whether rows of this source are there already."""
    return bool(
        connection.execute(
            text("SELECT EXISTS (SELECT 1 FROM model_prices WHERE source = :source)"), {"source": source}
        ).scalar_one()
    )


def add_prices(connection: Connection, rows: Iterable[PriceRow], actor: str) -> int:
    """Add rows that are not there yet; none is ever changed. Gives how many were new."""
    count = connection.execute(
        text(f"""
            INSERT INTO model_prices ({", ".join(_COLUMNS)}, actor)
            SELECT p.*, :actor FROM unnest(
                CAST(:model AS text[]), CAST(:token_class AS text[]), CAST(:usd_per_token AS numeric[]),
                CAST(:currency AS text[]), CAST(:tier_start AS int[]), CAST(:effective_from AS date[]),
                CAST(:effective_to AS date[]), CAST(:source AS text[])) AS p
            ON CONFLICT DO NOTHING
        """),
        {**_as_columns(list(rows)), "actor": actor},
    ).rowcount
    return int(count)


def price_book(connection: Connection, models: Sequence[str]) -> PriceBook:
    """The prices of these models; a bare name brings the names along that it may stand for."""
    names = {
        name
        for model in models
        for name in ([model] if "/" in model else [model, *(f"{provider}/{model}" for provider in BARE_PROVIDERS)])
    }
    rows = connection.execute(
        text(f"SELECT {', '.join(_COLUMNS)} FROM model_prices WHERE model = ANY(:names) ORDER BY id"),
        {"names": sorted(names)},
    )
    return PriceBook(
        PriceRow(
            model=row.model,
            token_class=row.token_class,
            per_token=row.usd_per_token,
            currency=row.currency,
            tier_start=row.tier_start,
            effective_from=row.effective_from,
            effective_to=row.effective_to,
            source=row.source,
        )
        for row in rows
    )


def _as_columns(rows: Sequence[PriceRow]) -> dict[str, list[object]]:
    return {
        "model": [row.model for row in rows],
        "token_class": [row.token_class for row in rows],
        "usd_per_token": [row.per_token for row in rows],
        "currency": [row.currency for row in rows],
        "tier_start": [row.tier_start for row in rows],
        "effective_from": [row.effective_from for row in rows],
        "effective_to": [row.effective_to for row in rows],
        "source": [row.source for row in rows],
    }
