"""Whether the store is sound: questions that `assay doctor` asks. Nothing here writes."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

import psycopg
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import Connection, Engine, NullPool, create_engine, text
from sqlalchemy.exc import OperationalError

from tasks.store.database import told_plainly
from tasks.store.leases import ALIVE

CONNECT_SECONDS = 2
STATEMENT_SECONDS = 1
"""A question that takes longer on a large store is given up: the doctor is quick or it is not asked."""


class TookTooLong(Exception):
    """The store is too large or too busy for this question."""


@dataclass(frozen=True, slots=True)
class Halfway:
    """A run that counts as running, without anybody who executes it."""

    run_id: UUID
    suite: str
    rescored_from: UUID | None
    last_sign: datetime


@dataclass(frozen=True, slots=True)
class Misreserved:
    """A run whose budget holds other money than its open calls, in USD."""

    run_id: UUID
    reserved: Decimal
    held: Decimal


def reading_engine(url: str) -> Engine:
    """An engine that cannot write, and gives up soon."""
    given = conninfo_to_dict(url).get("options") or ""
    options = f"{given} -c default_transaction_read_only=on -c statement_timeout={STATEMENT_SECONDS * 1000}".strip()
    return create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect(
            url, connect_timeout=CONNECT_SECONDS, options=options, application_name="assay doctor"
        ),
        poolclass=NullPool,
    )


@contextmanager
def reading(url: str) -> Iterator[Connection]:
    """A connection for questions. Raises TookTooLong, and InfrastructureError when the store cannot be reached."""
    with told_plainly():
        try:
            with reading_engine(url).connect() as connection:
                yield connection
        except OperationalError as problem:
            if isinstance(problem.orig, psycopg.errors.QueryCanceled):
                raise TookTooLong from problem
            raise


def now_there(connection: Connection) -> datetime:
    """The time on the clock of the database's machine."""
    moment: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
    return moment


def newest_prices(connection: Connection) -> tuple[str, datetime] | None:
    """The newest price map that was taken over, and when; None before the first."""
    row = connection.execute(
        text("""
            SELECT source, recorded_at FROM model_prices WHERE source LIKE 'litellm %'
            ORDER BY recorded_at DESC LIMIT 1
        """)
    ).one_or_none()
    return None if row is None else (row.source, row.recorded_at)


def halfway(connection: Connection, quiet_seconds: float) -> list[Halfway]:
    """Runs without a living owner that gave no sign of life for a while, the latest first."""
    rows = connection.execute(
        text(f"""
            WITH signs AS (
                SELECT r.id, su.name, r.rescored_from,
                       greatest(r.recorded_at, r.started_at, max(s.heartbeat_at)) AS last_sign,
                       coalesce(bool_or(s.state = 'open' AND s.expires_at >= now() AND {ALIVE}), false) AS owned
                FROM runs r JOIN suites su ON su.id = r.suite_id LEFT JOIN run_shards s ON s.run_id = r.id
                WHERE r.status IN ('queued', 'running') GROUP BY r.id, su.name)
            SELECT id, name, rescored_from, last_sign FROM signs
            WHERE NOT owned AND last_sign < now() - make_interval(secs => :quiet) ORDER BY last_sign DESC
        """),
        {"quiet": quiet_seconds},
    )
    return [Halfway(*row) for row in rows]


def misreserved(connection: Connection) -> list[Misreserved]:
    """Runs whose reserved money is not that of their open calls: those without an answer, reply or resolution."""
    rows = connection.execute(
        text("""
            SELECT b.run_id, b.reserved, coalesce(held.sum, 0)
            FROM run_budgets b LEFT JOIN (
                SELECT c.run_id, sum(c.reserved) FROM calls c
                WHERE c.resolution IS NULL AND c.reserved IS NOT NULL AND NOT EXISTS (
                    SELECT 1 FROM answers a WHERE c.role = 0 AND a.run_id = c.run_id AND a.position = c.position
                      AND a.variant = c.variant AND a.repeat = c.repeat AND a.attempt = c.attempt)
                GROUP BY c.run_id) AS held USING (run_id)
            WHERE b.reserved <> coalesce(held.sum, 0)
        """)
    )
    return [Misreserved(*row) for row in rows]


def unscored(connection: Connection, days: int) -> list[tuple[UUID, int]]:
    """Runs completed of late with answers that nobody judged, and how many."""
    rows = connection.execute(
        text("""
            SELECT r.id, count(*) FROM runs r JOIN answers a ON a.run_id = r.id
            LEFT JOIN verdicts v ON v.run_id = r.id AND v.variant = a.variant AND v.position = a.position
            WHERE r.status = 'completed' AND r.completed_at > now() - make_interval(days => :days)
              AND NOT a.superseded AND a.text IS NOT NULL
              AND (v.run_id IS NULL OR (v.scorers <> '{}' AND NOT EXISTS (
                  SELECT 1 FROM scores s WHERE s.answer_id = a.id)))
            GROUP BY r.id ORDER BY r.completed_at DESC
        """),
        {"days": days},
    )
    return [(run_id, count) for run_id, count in rows]
