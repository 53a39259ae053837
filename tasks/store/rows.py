"""Rows as they stand in the store, for people who look at them in notebooks."""

from collections.abc import Sequence
from datetime import date
from typing import Any, Literal

from sqlalchemy import Connection, Row, text

from evaluations.rollups import DIMENSIONS, MEASURES, day_bounds
from tasks.store.rollups import timezone_of
from tasks.store.traffic import RequestRow

Table = tuple[Sequence[str], Sequence[Row[Any]]]
"""Names of columns, and rows in their order."""
_TIMES = {"day": ("day",), "hour": ("day", "hour")}
_OWN = {"day": ("latency_p50_ms", "latency_p95_ms", "latency_p99_ms"), "hour": ()}


def requests_of(connection: Connection, first: date, last: date) -> Table:
    """Requests of days of the platform's time zone, both included, oldest first; pseudonyms in hexadecimal."""
    timezone = timezone_of(connection)
    columns = [column.name for column in RequestRow.__table__.columns]
    told = ", ".join("encode(subject, 'hex') AS subject" if name == "subject" else name for name in columns)
    found = connection.execute(
        text(f"SELECT {told} FROM requests WHERE at >= :begins AND at < :ends ORDER BY at, id"),
        {"begins": day_bounds(first, timezone)[0], "ends": day_bounds(last, timezone)[1]},
    )
    return columns, found.all()


def facts_of(connection: Connection, grain: Literal["day", "hour"], first: date, last: date) -> Table:
    """Facts of days, or of their hours, both days included."""
    columns = (*_TIMES[grain], *DIMENSIONS, *MEASURES, "latency_histogram", *_OWN[grain])
    table = "usage_daily" if grain == "day" else "usage_hourly"
    found = connection.execute(
        text(f"""
            SELECT {", ".join(columns)} FROM {table} WHERE day BETWEEN :first AND :last
            ORDER BY {", ".join((*_TIMES[grain], *DIMENSIONS))}
        """),
        {"first": first, "last": last},
    )
    return columns, found.all()
