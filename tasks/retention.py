"""Retention: production requests by whole months and their spans by whole weeks, let go when they are old enough.

The rollups of the days stay, frozen as they are. A month with a day that waits to be rolled up stays until it is.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from evaluations.rollups import day_bounds
from evaluations.wording import count
from tasks.settings import Settings, settings
from tasks.store import partitions, rollups
from tasks.store.database import transaction
from tasks.store.partitions import Partition, Partitioned, TableBusy

if TYPE_CHECKING:
    from sqlalchemy import Connection

TABLES: tuple[Partitioned, ...] = ("requests", "spans")
SETTING = {"requests": "ASSAY_KEEP_REQUESTS_DAYS", "spans": "ASSAY_KEEP_SPANS_DAYS"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A partition that is there."""

    partition: Partition
    bytes: int
    """On disk, indexes included."""
    is_old: bool
    """Wholly older than the setting allows."""
    waits: bool
    """It has a day that waits to be rolled up, and stays until then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """What there is of a table, and how long it is to be kept."""

    name: Partitioned
    keep_days: int | None
    """None: for ever."""
    held: tuple[Held, ...]
    dropped: int
    """Partitions that went before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retained:
    """What came of letting old partitions go."""

    gone: tuple[Partition, ...] = ()
    waiting: tuple[Partition, ...] = ()
    """Old enough, with a day that waits to be rolled up."""
    busy: tuple[Partitioned, ...] = ()

    def __str__(self) -> str:
        said = [f"{count(len(self.gone), 'old partition')} dropped"]
        if self.gone:
            said[0] += f" ({', '.join(each.name for each in self.gone)})"
        if self.waiting:
            said.append(f"{', '.join(each.name for each in self.waiting)} waits to be rolled up first (assay rollup)")
        said += [f"{table} was busy" for table in self.busy]
        return ", ".join(said)


def retention_plan(given: Settings | None = None, today: date | None = None) -> tuple[Table, ...]:
    """What there is, and what is old enough to go. `today` (UTC) is the clock's where it is not given."""
    given = given or settings()
    with transaction() as connection:
        return tuple(
            Table(
                name=table,
                keep_days=_keep_days(given, table),
                held=tuple(
                    Held(
                        partition=each,
                        bytes=partitions.size_of(connection, each),
                        is_old=each in _old(connection, given, table, today),
                        waits=_waits(connection, each),
                    )
                    for each in sorted(partitions.existing(connection, table))
                ),
                dropped=len(partitions.dropped_days(connection, table)),
            )
            for table in TABLES
        )


def apply_retention(given: Settings | None = None, today: date | None = None) -> Retained:
    """Drop what is old enough, each partition in a transaction of its own. Run again, it does nothing more."""
    given = given or settings()
    gone: list[Partition] = []
    waiting: list[Partition] = []
    busy: list[Partitioned] = []
    for table in TABLES:
        with transaction() as connection:
            old = _old(connection, given, table, today)
        try:
            for partition in old:
                went = _let_go(partition, given.actor)
                (gone if went else waiting).append(partition)
        except TableBusy:
            busy.append(table)
    return Retained(gone=tuple(gone), waiting=tuple(waiting), busy=tuple(busy))


def _let_go(partition: Partition, actor: str) -> bool:
    """Drop a partition, unless a day of it waits: whoever writes meanwhile waits, so that no mark comes in between."""
    with transaction() as connection:
        partitions.hold(connection, partition.table)
        if _waits(connection, partition):
            return False
        partitions.drop(connection, [partition], actor)
    return True


def _keep_days(given: Settings, table: Partitioned) -> int | None:
    return given.keep_requests_days if table == "requests" else given.keep_spans_days


def _old(connection: "Connection", given: Settings, table: Partitioned, today: date | None) -> list[Partition]:
    days = _keep_days(given, table)
    if days is None:
        return []
    today = today or datetime.now(UTC).date()
    return partitions.ended_before(connection, table, today - timedelta(days=days))


def _waits(connection: "Connection", partition: Partition) -> bool:
    if partition.table != "requests":
        return False
    timezone = rollups.timezone_of(connection)
    for day in rollups.dirty_days(connection):
        begins, ends = day_bounds(day, timezone)
        if begins.date() < partition.ends and ends.date() >= partition.starts:
            return True
    return False
