"""Partitions of requests (by month) and spans (by week), all in UTC: made when rows need them, dropped by retention."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal

from psycopg.errors import LockNotAvailable
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from evaluations.errors import AssayError

Partitioned = Literal["requests", "spans"]
PATIENCE = "5s"
"""How long dropping waits for those at work on a table: whoever comes meanwhile waits behind it."""
_LOCK = 0x4153_5350  # any number that only this file takes


class TableBusy(AssayError):
    """Others hold a table, and did not let go in time."""


@dataclass(frozen=True, slots=True, order=True)
class Partition:
    """One part of a table: the days from `starts` up to, and without, `ends`."""

    table: Partitioned
    starts: date
    ends: date

    @property
    def name(self) -> str:
        suffix = f"{self.starts:%Y_%m}" if self.table == "requests" else f"{self.starts:%Y_%m_%d}"
        return f"{self.table}_{suffix}"


def partition_of(table: Partitioned, day: date) -> Partition:
    """The partition that a day (UTC) belongs to.

    >>> partition_of("requests", date(2026, 2, 28)).name, partition_of("spans", date(2026, 3, 1)).name
    ('requests_2026_02', 'spans_2026_02_23')
    """
    if table == "requests":
        starts = day.replace(day=1)
        return Partition(table, starts, (starts + timedelta(days=32)).replace(day=1))
    starts = day - timedelta(days=day.weekday())
    return Partition(table, starts, starts + timedelta(days=7))


def ensure_partitions(connection: Connection, table: Partitioned, days: Iterable[date]) -> None:
    """Make what is lacking for rows of these days.

    To be called in a short transaction of its own: attaching a partition waits for nobody who reads or writes, but two
    that make the same one wait for each other. One that retention dropped is not made again.
    """
    wanted = {partition_of(table, day) for day in days}
    for partition in sorted(wanted - existing(connection, table)):
        _lock(connection)
        dropped = (partition.starts, partition.ends) in dropped_days(connection, table)
        if not dropped and partition not in existing(connection, table):
            _make(connection, partition)


def existing(connection: Connection, table: Partitioned) -> set[Partition]:
    """The partitions that are there."""
    names = connection.execute(
        text("""
            SELECT child.relname FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid
            WHERE inhparent = CAST(:table AS regclass)
        """),
        {"table": table},
    ).scalars()
    return {partition_of(table, _first_day(table, name)) for name in names}


def dropped_days(connection: Connection, table: Partitioned) -> list[tuple[date, date]]:
    """The spans of days that retention took away, as (first day, first day after)."""
    rows = connection.execute(
        text("SELECT starts_on, ends_on FROM dropped_partitions WHERE table_name = :table ORDER BY starts_on"),
        {"table": table},
    )
    return [(row.starts_on, row.ends_on) for row in rows]


def ended_before(connection: Connection, table: Partitioned, day: date) -> list[Partition]:
    """The partitions that end on or before a day, oldest first."""
    return sorted(each for each in existing(connection, table) if each.ends <= day)


def size_of(connection: Connection, partition: Partition) -> int:
    """Bytes of a partition, its indexes included."""
    found: int = connection.execute(
        text("SELECT pg_total_relation_size(CAST(:name AS regclass))"), {"name": partition.name}
    ).scalar_one()
    return found


def hold(connection: Connection, table: Partitioned) -> None:
    """Keep everybody else from a table until the transaction ends. Raises TableBusy when that takes too long."""
    connection.execute(text(f"SET LOCAL lock_timeout = '{PATIENCE}'"))
    try:
        connection.execute(text(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"))
    except OperationalError as problem:
        if not isinstance(problem.orig, LockNotAvailable):
            raise
        raise TableBusy(f"somebody is at work on {table}; what is old enough goes the next time.") from None


def drop_before(connection: Connection, table: Partitioned, day: date, actor: str) -> list[Partition]:
    """Drop every partition that ends on or before a day, and remember which. Gives what was dropped."""
    gone = ended_before(connection, table, day)
    drop(connection, gone, actor)
    return gone


def drop(connection: Connection, gone: Sequence[Partition], actor: str) -> None:
    """Retention: drop partitions, and remember which.

    The keys of dropped requests stay, so that an old file that comes again does not land again. So do the facts of
    their days, except for those about single persons.
    """
    _lock(connection)
    for partition in gone:
        connection.execute(text(f"DROP TABLE {partition.name}"))
        connection.execute(
            text("""
                INSERT INTO dropped_partitions (table_name, starts_on, ends_on, actor)
                VALUES (:table, :starts, :ends, :actor) ON CONFLICT DO NOTHING
            """),
            {"table": partition.table, "starts": partition.starts, "ends": partition.ends, "actor": actor},
        )
        if partition.table == "requests":
            connection.execute(text("DELETE FROM usage_subjects WHERE day < :ends"), {"ends": partition.ends})


def day_of(micros: int) -> date:
    """The day (UTC) of a Unix time in microseconds."""
    return datetime.fromtimestamp(micros / 1_000_000, UTC).date()


def _lock(connection: Connection) -> None:
    """Whoever makes or drops partitions waits for others who do, until the transaction ends."""
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})


def _first_day(table: Partitioned, name: str) -> date:
    parts = [int(part) for part in name.removeprefix(f"{table}_").split("_")]
    return date(*parts) if len(parts) == 3 else date(parts[0], parts[1], 1)


def _make(connection: Connection, partition: Partition) -> None:
    # Through a function of the owner's: whoever lands rows may make a place for them, and no other table.
    connection.execute(
        text("SELECT make_partition(:parent, :part, :starts, :ends)"),
        {"parent": partition.table, "part": partition.name, "starts": partition.starts, "ends": partition.ends},
    )
