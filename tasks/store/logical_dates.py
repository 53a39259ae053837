"""Logical dates: which date of which flow is done, and who is at work on one.

A claim holds an advisory lock for as long as its connection lives. So a date whose owner was killed can be claimed
again at once, and one whose owner is slow cannot.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal
from uuid import UUID

from sqlalchemy import Connection, Row, text

from tasks.store.database import engine, told_plainly

_LOCK_CLASS = 0x4153_5344
"""First half of the advisory lock of a date; the second is a hash of flow and date."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogicalDate:
    """One date of one flow as the store has it."""

    flow: str
    day: date
    status: Literal["running", "done", "failed"]
    flow_run_id: UUID | None
    started_at: datetime
    finished_at: datetime | None
    actor: str


@dataclass(frozen=True, slots=True)
class Claim:
    """A date that is ours to do. The number is what proves it."""

    flow: str
    day: date
    number: int


@dataclass(frozen=True, slots=True)
class Taken:
    """A date that is not ours to do: it is done, or somebody is at work on it."""

    by: LogicalDate


@contextmanager
def claimed(flow: str, day: date, *, flow_run_id: UUID | None, actor: str) -> Iterator[Claim | Taken]:
    """Claim a date for as long as the block lasts; whoever else wants it meanwhile gets `Taken`.

    End the claim with `finish` inside the block: a block that is left without it leaves a date to be done again.
    """
    with told_plainly(), engine().connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        # The lock is the connection's: closed, not given back to the pool, it lets go of the date.
        connection.detach()
        yield _claim(connection, flow, day, flow_run_id, actor)


def _claim(connection: Connection, flow: str, day: date, flow_run_id: UUID | None, actor: str) -> Claim | Taken:
    given = {"flow": flow, "day": day, "flow_run": flow_run_id, "actor": actor, "class": _LOCK_CLASS}
    free = connection.execute(
        text("SELECT pg_try_advisory_lock(:class, hashtext(:flow || ' ' || CAST(:day AS text)))"), given
    ).scalar_one()
    if free:
        number = connection.execute(
            text("""
                INSERT INTO logical_dates AS d (flow, logical_date, status, flow_run_id, claim, started_at, actor)
                VALUES (:flow, :day, 'running', :flow_run, 1, now(), :actor)
                ON CONFLICT (flow, logical_date) DO UPDATE
                    SET status = 'running', flow_run_id = excluded.flow_run_id, claim = d.claim + 1,
                        started_at = now(), finished_at = NULL, actor = excluded.actor
                    WHERE d.status <> 'done'
                RETURNING claim
            """),
            given,
        ).scalar_one_or_none()
        if number is not None:
            return Claim(flow, day, number)
    found = date_of(connection, flow, day)
    if found is None:  # its owner holds the lock and is about to write the row
        now = connection.execute(text("SELECT now()")).scalar_one()
        found = LogicalDate(
            flow=flow, day=day, status="running", flow_run_id=None, started_at=now, finished_at=None, actor=""
        )
    return Taken(found)


def finish(connection: Connection, claim: Claim, *, done: bool) -> None:
    """Record how a date ended. A claim that somebody else took over meanwhile changes nothing."""
    connection.execute(
        text("""
            UPDATE logical_dates SET status = :status, finished_at = now()
            WHERE flow = :flow AND logical_date = :day AND claim = :claim AND status = 'running'
        """),
        {"flow": claim.flow, "day": claim.day, "claim": claim.number, "status": "done" if done else "failed"},
    )


def date_of(connection: Connection, flow: str, day: date) -> LogicalDate | None:
    row = connection.execute(
        text("SELECT * FROM logical_dates WHERE flow = :flow AND logical_date = :day"), {"flow": flow, "day": day}
    ).one_or_none()
    return None if row is None else _logical_date(row)


def dates_of(connection: Connection, flow: str) -> list[LogicalDate]:
    """Every date of a flow that was ever claimed, oldest first."""
    rows = connection.execute(text("SELECT * FROM logical_dates WHERE flow = :flow ORDER BY 2"), {"flow": flow})
    return [_logical_date(row) for row in rows]


def last_done(connection: Connection, flow: str) -> date | None:
    """The newest date of a flow that is done; None before the first."""
    found: date | None = connection.execute(
        text("SELECT max(logical_date) FROM logical_dates WHERE flow = :flow AND status = 'done'"), {"flow": flow}
    ).scalar_one()
    return found


def unfinished(connection: Connection, flow: str) -> list[date]:
    """The dates of a flow that were claimed and are not done, oldest first; somebody may be at work on one."""
    rows = connection.execute(
        text("SELECT logical_date FROM logical_dates WHERE flow = :flow AND status <> 'done' ORDER BY 1"),
        {"flow": flow},
    )
    return list(rows.scalars())


def _logical_date(row: Row[tuple[object, ...]]) -> LogicalDate:
    return LogicalDate(
        flow=row.flow,
        day=row.logical_date,
        status=row.status,
        flow_run_id=row.flow_run_id,
        started_at=row.started_at,
        finished_at=row.finished_at,
        actor=row.actor,
    )
