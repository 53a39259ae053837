"""Performance of models and features in a window of time, from facts of hours or of days."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, text

from evaluations.errors import AssayError
from evaluations.histograms import decoded
from evaluations.performance import Performance, Performed, Window, WindowName, length_of, performance_lines
from evaluations.rollups import DIMENSIONS, PROMPT_TOKENS, REPLY_TOKENS, Dimension, day_bounds
from evaluations.spend import Names
from tasks.store.binary import binary_rows
from tasks.store.rollups import dirty_days, timezone_of

_SUMS = f"""
    CAST(sum(requests) AS bigint) AS requests, CAST(sum(successes) AS bigint) AS successes,
    CAST(sum(errors) AS bigint) AS errors, CAST(sum(usage_unknown) AS bigint) AS usage_unknown,
    CAST(sum({" + ".join(PROMPT_TOKENS)}) AS bigint) AS prompt_tokens,
    CAST(sum(cached_tokens + cached_audio_tokens) AS bigint) AS cached_tokens,
    CAST(sum({" + ".join(REPLY_TOKENS)}) AS bigint) AS reply_tokens,
    CAST(sum(cache_hits) AS bigint) AS cache_hits, CAST(sum(cache_known) AS bigint) AS cache_known,
    CAST(sum(priced) AS bigint) AS priced, CAST(sum(unpriced) AS bigint) AS unpriced, sum(cost) AS cost
"""


def performance(
    connection: Connection, window: WindowName, by: Sequence[Dimension], *, until: datetime | None = None
) -> Performance:
    """How the groups of a window did, beside the window of the same length before it.

    Windows of hours end with the newest whole hour that has requests, windows of days with the newest whole day; with
    `until`, with the last of either that is over by then. Raises AssayError when nothing is rolled up by then.
    """
    timezone = timezone_of(connection)
    hourly = window.endswith("h")
    newest = _newest_hour(connection, until) if hourly else _newest_day(connection, timezone, until)
    if newest is None:
        told = f" by {until.isoformat()}" if until else ""
        raise AssayError(f"no requests are rolled up{told}; `assay ingest FILE`, then `assay rollup`.")
    now = _window_until(newest, window, timezone)
    before = _window_until(now.begins, window, timezone)
    known_since = connection.execute(
        text("SELECT min(hour) FROM usage_hourly WHERE day = (SELECT min(day) FROM usage_hourly)")
    ).scalar_one()
    performed = performed_in_hours if hourly else performed_on_days
    return Performance(
        name=window,
        by=tuple(by),
        window=now,
        before=before,
        timezone=timezone,
        lines=performance_lines(
            performed(connection, by, now, timezone),
            # Held against a window that the facts only reach into, everything would have grown.
            performed(connection, by, before, timezone) if _reaches(known_since, before, hourly, timezone) else None,
        ),
        dirty=len(dirty_days(connection)),
    )


def performed_in_hours(
    connection: Connection, by: Sequence[Dimension], window: Window, timezone: str
) -> dict[Names, Performed]:
    """Sums of a window of whole hours, by group."""
    return _performed(connection, "usage_hourly", by, window, timezone, "AND hour >= :begins AND hour < :ends")


def performed_on_days(
    connection: Connection, by: Sequence[Dimension], window: Window, timezone: str
) -> dict[Names, Performed]:
    """Sums of a window of whole days, by group."""
    return _performed(connection, "usage_daily", by, window, timezone, "")


def _performed(
    connection: Connection, table: str, by: Sequence[Dimension], window: Window, timezone: str, condition: str
) -> dict[Names, Performed]:
    assert set(by) <= set(DIMENSIONS), by
    zone = ZoneInfo(timezone)
    columns = "".join(f", {name}" for name in by)
    rows = binary_rows(
        connection,
        f"""
            SELECT {_SUMS}, string_agg(latency_histogram, ''::bytea) AS latencies{columns}
            FROM {table} WHERE day BETWEEN :first AND :last {condition}
            GROUP BY ({columns.removeprefix(", ")}) HAVING count(*) > 0
        """,
        {
            "first": window.begins.astimezone(zone).date(),
            "last": (window.ends - timedelta(microseconds=1)).astimezone(zone).date(),
            "begins": window.begins,
            "ends": window.ends,
        },
    )
    return {
        tuple(row[name] for name in by): Performed(
            **{name: value for name, value in row.items() if name != "latencies" and name not in by},
            latencies=decoded(row["latencies"] or b""),
        )
        for row in rows
    }


def _newest_hour(connection: Connection, until: datetime | None) -> datetime | None:
    """The end of the newest hour that has requests and was over when it was rolled up."""
    found: datetime | None = connection.execute(
        text("""
            SELECT hour + interval '1 hour' FROM usage_hourly JOIN rolled_days USING (day)
            WHERE hour + interval '1 hour' <= least(rolled_at, :until)
            ORDER BY day DESC, hour DESC LIMIT 1
        """),
        {"until": until},
    ).scalar_one_or_none()
    return None if found is None else found.astimezone(UTC)


def _newest_day(connection: Connection, timezone: str, until: datetime | None) -> datetime | None:
    """The end of the newest day that has requests and was over when it was rolled up."""
    last = None if until is None else until.astimezone(ZoneInfo(timezone)).date() - timedelta(days=1)
    found = connection.execute(
        text("""
            SELECT max(day) FROM rolled_days
            WHERE requests > 0 AND complete AND (CAST(:last AS date) IS NULL OR day <= :last)
        """),
        {"last": last},
    ).scalar_one()
    return None if found is None else day_bounds(found, timezone)[1]


def _window_until(ends: datetime, name: WindowName, timezone: str) -> Window:
    """Of whole days by the clocks of the zone, so that days with 23 or 25 hours are whole, too."""
    if name.endswith("h"):
        return Window(ends - length_of(name), ends)
    first = ends.astimezone(ZoneInfo(timezone)).date() - length_of(name)
    return Window(day_bounds(first, timezone)[0], ends)


def _reaches(known_since: datetime, window: Window, hourly: bool, timezone: str) -> bool:
    """Whether facts are there from the first hour, or from the first day, of a window."""
    if hourly:
        return known_since <= window.begins
    zone = ZoneInfo(timezone)
    return known_since.astimezone(zone).date() <= window.begins.astimezone(zone).date()
