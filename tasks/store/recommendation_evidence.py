"""What recommendations stand on, read from runs and from production: answers by case, calls, requests."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from evaluations.pricing import TOKEN_CLASSES, TokenClass
from evaluations.rollups import day_bounds
from tasks.store.model_use import MODEL
from tasks.store.traffic import NEWEST_OF_FEATURE, OF_FEATURE

MOST_REQUESTS = 50_000
"""The last of a feature's requests that wastes are looked for in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseCall:
    """One answer of one variant, as it was billed."""

    position: int
    repeat: int
    failed: bool
    superseded: bool
    tokens: dict[TokenClass, int] | None
    """None: nobody reported them."""
    cost: Decimal | None
    """What it cost when it was made; also where it was served again from the ledger."""
    latency_ms: float | None
    truncated: bool
    prompt_hash: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What one model took of a feature's requests in a window."""

    model: str
    requests: int
    priced_by_day: tuple[int, ...]
    """Requests with a known cost, on each day of the window."""
    cost: Decimal | None
    """US dollars of those; None where there is none."""

    @property
    def priced(self) -> int:
        return sum(self.priced_by_day)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductionCall:
    """One request of a feature, as it was billed."""

    at: datetime
    model: str
    prompt_version: str | None
    failed: bool
    tokens: dict[TokenClass, int] | None
    cost: Decimal | None


_ANSWERED: tuple[TokenClass, ...] = ("input", "cached", "cache_write", "output", "reasoning")


def case_calls(connection: Connection, answers_of: UUID, variant: int) -> list[CaseCall]:
    """Every answer of a variant, those that were superseded too; what was skipped is not in it."""
    tokens = ", ".join(f"{name}_tokens" for name in _ANSWERED)
    rows = connection.execute(
        text(f"""
            SELECT position, repeat, status = 'error' AS failed, superseded, usage_known, {tokens},
                   CASE WHEN from_cache THEN cached_cost ELSE cost END AS cost,
                   CASE WHEN NOT from_cache THEN latency_ms END AS latency_ms,
                   coalesce(finish_reason = 'length', false) AS truncated, prompt_hash
            FROM answers WHERE run_id = :run AND variant = :variant AND status <> 'skipped' ORDER BY id
        """),
        {"run": answers_of, "variant": variant},
    )
    return [
        CaseCall(
            position=row.position,
            repeat=row.repeat,
            failed=row.failed,
            superseded=row.superseded,
            tokens=_tokens(_ANSWERED, (getattr(row, f"{name}_tokens") for name in _ANSWERED))
            if row.usage_known
            else None,
            cost=row.cost,
            latency_ms=row.latency_ms,
            truncated=row.truncated,
            prompt_hash=None if row.prompt_hash is None else bytes(row.prompt_hash),
        )
        for row in rows
    ]


def served(connection: Connection, feature: str, first: date, last: date) -> list[Served]:
    """The models that served a feature, the one with most of its requests first."""
    rows = connection.execute(
        text(f"""
            SELECT {MODEL} AS name, day - CAST(:first AS date) AS day, CAST(sum(requests) AS bigint) AS requests,
                   CAST(sum(priced) AS bigint) AS priced, sum(cost) AS cost
            FROM usage_daily WHERE feature = :feature AND day BETWEEN :first AND :last AND model IS NOT NULL
            GROUP BY 1, 2
        """),
        {"feature": feature, "first": first, "last": last},
    )
    by_model: dict[str, list[Any]] = {}
    for row in rows:
        by_model.setdefault(row.name, []).append(row)
    found = [_served(model, days, (last - first).days + 1) for model, days in by_model.items()]
    return sorted(found, key=lambda each: (-each.requests, each.model))


def _served(model: str, rows: Sequence[Any], days: int) -> Served:
    priced = [0] * days
    for row in rows:
        priced[row.day] = row.priced
    known = [row.cost for row in rows if row.cost is not None]
    return Served(
        model=model,
        requests=sum(row.requests for row in rows),
        priced_by_day=tuple(priced),
        cost=sum(known, Decimal(0)) if known else None,
    )


def bill(connection: Connection, feature: str, first: date, last: date) -> tuple[int, Decimal | None]:
    """Requests of a feature with a known cost, whoever served them, and the US dollars they came to; None without."""
    row = connection.execute(
        text("""
            SELECT coalesce(CAST(sum(priced) AS bigint), 0) AS priced, sum(cost) AS cost
            FROM usage_daily WHERE feature = :feature AND day BETWEEN :first AND :last
        """),
        {"feature": feature, "first": first, "last": last},
    ).one()
    return row.priced, row.cost


def production_calls(
    connection: Connection, feature: str, first: date, last: date, timezone: str, most: int = MOST_REQUESTS
) -> list[ProductionCall]:
    """The last requests of a feature in a window that a model took part in, in order of time."""
    tokens = ", ".join(f"{name}_tokens" for name in TOKEN_CLASSES)
    rows = connection.execute(
        text(f"""
            SELECT at, {MODEL} AS model, prompt_version, coalesce(status = 'error', false) AS failed, cost, usage_known,
                   {tokens}
            FROM requests
            WHERE {OF_FEATURE} AND model IS NOT NULL ORDER BY {NEWEST_OF_FEATURE}, id DESC LIMIT :most
        """),
        {
            "feature": feature,
            "begins": day_bounds(first, timezone)[0],
            "ends": day_bounds(last, timezone)[1],
            "most": most,
        },
    )
    return [
        ProductionCall(
            at=at,
            model=model,
            prompt_version=version,
            failed=failed,
            tokens=_tokens(TOKEN_CLASSES, counts) if usage_known else None,
            cost=cost,
        )
        for at, model, version, failed, cost, usage_known, *counts in reversed(rows.all())
    ]


def _tokens(classes: Sequence[TokenClass], counts: Iterable[int]) -> dict[TokenClass, int]:
    return {name: count for name, count in zip(classes, counts, strict=True) if count}
