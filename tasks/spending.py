"""Spending: the window that is asked about, and what it cost beside the one before it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from evaluations.errors import AssayError, unknown_name
from evaluations.rollups import DIMENSIONS, Dimension, Restatement
from evaluations.spend import Period, SpendLine, spend_lines, window_before
from tasks.store import rollups, spend
from tasks.store.database import transaction

DEFAULT_DAYS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """What a window cost."""

    by: tuple[Dimension, ...]
    first: date
    last: date
    timezone: str
    lines: tuple[SpendLine, ...]
    dirty: int
    """Days whose requests changed and that wait to be rolled up: the numbers may lack what came last."""
    restatements: tuple[Restatement, ...]
    """Of days of the window, the latest first."""


def dimensions_named(names: Sequence[str]) -> tuple[Dimension, ...]:
    """Raises AssayError that names the nearest for one that nobody knows."""
    for name in names:
        if name not in DIMENSIONS:
            raise AssayError(unknown_name("dimension", name, list(DIMENSIONS)))
    return tuple(each for each in DIMENSIONS if each in names)


def spending(by: tuple[Dimension, ...], first: date | None, last: date | None, period: Period) -> Spending:
    """What the window cost; without one, the last thirty days that have requests.

    Raises AssayError when nothing is rolled up, or the window ends before it begins.
    """
    with transaction() as connection:
        known = spend.rolled_between(connection)
        if known is None:
            raise AssayError("no requests are rolled up yet; `assay ingest FILE`, then `assay rollup`.")
        last = last or max(known[1], first or known[1])
        first = first or last - timedelta(days=DEFAULT_DAYS - 1)
        if last < first:
            raise AssayError(f"{first} comes after {last}; give the earlier day first.")
        found = spend.spend_by(connection, by, first, last, period)
        earlier = window_before(first, last)
        # A window that begins before the first request would be held against less than it is.
        whole = period == "total" and earlier[0] >= known[0]
        before = spend.spend_by(connection, by, *earlier, "total") if whole else {}
        return Spending(
            by=by,
            first=first,
            last=last,
            timezone=rollups.timezone_of(connection),
            lines=tuple(
                spend_lines(found, {names: spent for (names, _), spent in before.items()}, (first, last), period)
            ),
            dirty=len(rollups.dirty_days(connection)),
            restatements=tuple(rollups.restatements(connection, first, last)),
        )
