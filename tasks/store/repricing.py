"""Repricing in the store: requests whose cost depends on prices, page by page, and the record of what was changed."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from psycopg.errors import LockNotAvailable
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from evaluations.errors import AssayError
from evaluations.repricing import PriceList, RepricedGroup
from evaluations.requests import TOKEN_FIELDS
from tasks.store.database import engine, told_plainly

PAGE_ROWS = 20_000
COLUMNS = (
    "id",
    "at",
    "provider",
    "model",
    "region",
    "service_tier",
    "usage_known",
    *TOKEN_FIELDS,
    "web_searches",
    "cost",
    "price_set_id",
    "batch_id",
)
"""Of a page, in this order; `at` is Unix time in microseconds."""
_LOCK = 0x4153_5250  # any number that only this file takes
_BEGIN = (0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRepricing:
    """A repricing under way."""

    id: int
    recorded_at: datetime
    taken_up: bool
    """It had been interrupted, and goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The new price of one request."""

    id: int
    at: int
    """Unix time in microseconds."""
    cost: Decimal
    price_set_id: int


@contextmanager
def alone() -> Iterator[None]:
    """Nobody else reprices while the block lasts. Raises AssayError when somebody does."""
    with told_plainly(), engine().connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        connection.detach()  # the lock is the connection's: closed, not given back to the pool, it lets go
        # Whoever was killed holds it until the server has noticed, which takes a moment.
        connection.execute(text("SET lock_timeout = '3s'"))
        try:
            connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": _LOCK})
        except OperationalError as problem:
            if not isinstance(problem.orig, LockNotAvailable):
                raise
            raise AssayError("requests are being repriced just now; try again when that is over.") from None
        yield


def open_repricing(connection: Connection, first: date, last: date, actor: str) -> OpenRepricing:
    """Go on with the repricing of these days that was interrupted, or begin one."""
    given = {"first": first, "last": last, "actor": actor}
    left = connection.execute(
        text("""
            SELECT id, recorded_at FROM repricings
            WHERE status = 'running' AND first_day = :first AND last_day = :last ORDER BY id DESC LIMIT 1
        """),
        given,
    ).one_or_none()
    if left is not None:
        return OpenRepricing(id=left.id, recorded_at=left.recorded_at, taken_up=True)
    made = connection.execute(
        text("""
            INSERT INTO repricings (first_day, last_day, status, actor) VALUES (:first, :last, 'running', :actor)
            RETURNING id, recorded_at
        """),
        given,
    ).one()
    return OpenRepricing(id=made.id, recorded_at=made.recorded_at, taken_up=False)


def close_repricing(connection: Connection, repricing_id: int, *, looked_at: int, unpriced: int, kept: int) -> None:
    connection.execute(
        text("""
            UPDATE repricings SET status = 'done', finished_at = now(), looked_at = :looked_at, unpriced = :unpriced,
                kept = :kept
            WHERE id = :id
        """),
        {"id": repricing_id, "looked_at": looked_at, "unpriced": unpriced, "kept": kept},
    )


def page(
    connection: Connection, begins: datetime, ends: datetime, after: tuple[int, int] = _BEGIN, *, lock: bool
) -> Sequence[Any]:
    """The next requests of a span of time whose cost depends on prices, as `COLUMNS`, in the order of (at, id).

    With `lock` they are held until the transaction ends.
    """
    counted = ", ".join((*TOKEN_FIELDS, "web_searches"))
    return connection.execute(
        text(f"""
            SELECT id, {_MICROS} AS at, provider, model, region, service_tier, usage_known, {counted}, cost,
                price_set_id, batch_id
            FROM requests
            WHERE at >= :begins AND at < :ends AND model IS NOT NULL AND usage_known
                AND cost_source IS DISTINCT FROM 'stated'
                AND (at, id) > (TIMESTAMPTZ 'epoch' + :at * INTERVAL '1 microsecond', :id)
            ORDER BY at, id LIMIT :page {"FOR UPDATE" if lock else ""}
        """),
        {"begins": begins, "ends": ends, "at": after[0], "id": after[1], "page": PAGE_ROWS},
    ).all()


def price_lists(connection: Connection, ids: Iterable[int]) -> dict[int, PriceList]:
    """Sets of prices by their ids."""
    rows = connection.execute(
        text("SELECT id, model, prices FROM price_sets WHERE id = ANY(:ids)"), {"ids": sorted(set(ids))}
    )
    return {row.id: PriceList.read(row.model, row.prices) for row in rows}


def any_made_up(connection: Connection, batches: Iterable[int]) -> bool:
    """Whether one of these batches is sample data."""
    return bool(
        connection.execute(
            text("SELECT EXISTS (SELECT FROM ingest_batches WHERE id = ANY(:ids) AND sample_data)"),
            {"ids": sorted(batches)},
        ).scalar_one()
    )


def change_prices(connection: Connection, changes: Sequence[Change]) -> None:
    """Give requests their new prices; the only place where the price of a priced request changes."""
    connection.execute(
        text("""
            UPDATE requests r SET cost = given.cost, cost_source = 'priced', price_set_id = given.price_set_id
            FROM unnest(CAST(:ids AS bigint[]), CAST(:moments AS bigint[]), CAST(:costs AS numeric[]),
                CAST(:sets AS bigint[])) AS given(id, at, cost, price_set_id)
            WHERE r.id = given.id AND r.at = TIMESTAMPTZ 'epoch' + given.at * INTERVAL '1 microsecond'
        """),
        {
            "ids": [each.id for each in changes],
            "moments": [each.at for each in changes],
            "costs": [each.cost for each in changes],
            "sets": [each.price_set_id for each in changes],
        },
    )


def record(
    connection: Connection, repricing_id: int, groups: Sequence[tuple[RepricedGroup, int | None, int]], actor: str
) -> None:
    """Write down what changed, with the sets of prices before and after, in the transaction that changed it."""
    connection.execute(
        text("""
            INSERT INTO repriced
                (repricing_id, day, provider, model, set_before, set_after, rows, cost_before, cost_after, actor)
            VALUES (:repricing_id, :day, :provider, :model, :before, :after, :rows, :cost_before, :cost_after,
                :actor)
        """),
        [
            {
                "repricing_id": repricing_id,
                "day": group.day,
                "provider": group.provider,
                "model": group.model,
                "before": before,
                "after": after,
                "rows": group.rows,
                "cost_before": group.cost_before,
                "cost_after": group.cost_after,
                "actor": actor,
            }
            for group, before, after in groups
        ],
    )


def groups_of(connection: Connection, repricing_id: int) -> tuple[RepricedGroup, ...]:
    """All that a repricing has changed so far."""
    rows = connection.execute(
        text("""
            SELECT day, provider, model, set_before, set_after, sum(rows) AS rows, sum(cost_before) AS cost_before,
                sum(cost_after) AS cost_after
            FROM repriced WHERE repricing_id = :id GROUP BY day, provider, model, set_before, set_after
        """),
        {"id": repricing_id},
    ).all()
    lists = price_lists(connection, {each for row in rows for each in (row.set_before, row.set_after) if each})
    return tuple(
        RepricedGroup(
            day=row.day,
            provider=row.provider,
            model=row.model,
            before=None if row.set_before is None else lists[row.set_before],
            after=lists[row.set_after],
            rows=int(row.rows),
            cost_before=row.cost_before,
            cost_after=row.cost_after,
        )
        for row in rows
    )


_MICROS = "CAST(extract(epoch FROM at) * 1000000 AS bigint)"
