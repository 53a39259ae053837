"""Rollups: the facts of one day, rewritten as a whole from its requests in one transaction.

There are no watermarks: they skip rows that commit late. Whoever changes requests of a day leaves a mark in the same
transaction; a rollup takes the marks away before it looks at the requests, so that whatever it did not see is still
marked when it commits. Run twice, at once, or killed at any statement, it leaves the same tables.
"""

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

from sqlalchemy import Connection, Row, text

from evaluations.errors import AssayError
from evaluations.rollups import (
    DIMENSIONS,
    HEAVIEST,
    MEASURES,
    PARTS,
    PROMPT_TOKENS,
    REPLY_TOKENS,
    TOKENS,
    DayTotals,
    Mark,
    Restatement,
    day_bounds,
    day_parts,
)
from tasks.store.customer.silent import count_silent, mark_reached

DEFAULT_TIMEZONE = "UTC"
FACTS = ("usage_hourly", "usage_daily", "usage_rhythm", "usage_subjects", "usage_persons")
"""The tables that hold facts of a day."""
_LOCK_CLASS = 0x4153_5352
"""First half of the advisory lock of a day; the second is its number since 2000."""

_DIMS = ", ".join(DIMENSIONS)
_ALL_TOKENS = " + ".join(TOKENS)
_OF_REQUESTS = {
    "requests": "count(*)",
    "successes": "count(*) FILTER (WHERE status = 'success')",
    "errors": "count(*) FILTER (WHERE status = 'error')",
    "usage_unknown": "count(*) FILTER (WHERE NOT usage_known)",
    **{token: f"sum({token})" for token in TOKENS},
    "cache_hits": "count(*) FILTER (WHERE cache_hit)",
    "cache_known": "count(cache_hit)",
    "priced": "count(cost)",
    # What used nothing costs nothing; what a person did without a model has no price to be missing.
    "unpriced": f"""count(*) FILTER (WHERE cost IS NULL AND (
            {_ALL_TOKENS} > 0 OR NOT usage_known AND model IS NOT NULL))""",
    "cost": "sum(cost)",
    "latency_n": "count(latency_ms)",
    "latency_us": "coalesce(sum(CAST(round(latency_ms * 1000) AS bigint)), 0)",
    "rating_n": "count(rating)",
    "rating_sum": "coalesce(sum(rating), 0)",
    # Sums of floating-point numbers depend on their order; those of decimals do not.
    **{f"{score}_n": f"count({score})" for score in ("quality", "confidence")},
    **{f"{score}_sum": f"sum(CAST({score} AS numeric))" for score in ("quality", "confidence")},
}
_MEASURED = ", ".join(MEASURES)
_SUMS = ", ".join(f"sum({measure}) AS {measure}" for measure in MEASURES)
_NAMED = f"requests WHERE at >= :bound_0 AND at < :bound_{PARTS} AND subject IS NOT NULL"
"""The day's requests of persons that are told apart."""


def _hours_of(part: int) -> str:
    return f"""
        SELECT *, latency_histogram(latencies) AS latency_histogram, CAST(NULL AS bytea) AS subject,
            CAST(NULL AS bigint) AS persons
        FROM (
            -- A part begins on a full hour by the clocks of the zone; date_trunc would look that up for every request.
            SELECT date_bin('1 hour', at, :bound_{part}) AS hour, {_DIMS},
                {", ".join(f"{sql} AS {name}" for name, sql in _OF_REQUESTS.items())},
                array_agg(latency_ms) FILTER (WHERE latency_ms IS NOT NULL) AS latencies
            FROM requests WHERE at >= :bound_{part} AND at < :bound_{part + 1} GROUP BY hour, {_DIMS}) AS hours"""


def _persons() -> str:
    told = {name: _OF_REQUESTS[name] for name in ("requests", "unpriced", "cost")}
    return f"SELECT {_columns({}, told, 'subject', 'NULL')} FROM {_NAMED} GROUP BY subject"


def _features() -> str:
    told = {"requests": "CAST(sum(requests) AS bigint)"}
    return f"""
        SELECT {_columns({"feature": "feature"}, told, "NULL", "count(*)")}
        FROM (SELECT feature, count(*) AS requests FROM {_NAMED} GROUP BY subject, feature) AS use GROUP BY feature"""


def _columns(names: Mapping[str, str], told: Mapping[str, str], subject: str, persons: str) -> str:
    """Those of an hour, of what has none."""
    columns = (*(names.get(name, "NULL") for name in DIMENSIONS), *(told.get(name, "NULL") for name in _OF_REQUESTS))
    return f"NULL, {', '.join(columns)}, NULL, NULL, {subject}, {persons}"


# Requests are grouped by hash. Sorting them by eight names, for their percentiles and again for the cells of their
# histograms, would take most of the time: each fact carries its latencies as an array instead.
READ = f"""
    CREATE TEMPORARY TABLE read_of_day ON COMMIT DROP AS
    {" UNION ALL ".join((*(_hours_of(part) for part in range(PARTS)), _persons(), _features()))}
"""
"""All that facts need of a day's requests by one statement, which sees them at one moment, its parts side by side.

A row tells of an hour per dimension, of what a person used in all, or of how many persons used a feature.
"""
ROLL_UP = f"""
    WITH hours AS (SELECT * FROM read_of_day WHERE hour IS NOT NULL),
    numbered AS MATERIALIZED (SELECT *, dense_rank() OVER (ORDER BY {_DIMS}) AS number FROM hours),
    hourly AS (
        INSERT INTO usage_hourly (day, hour, {_DIMS}, {_MEASURED}, latency_histogram)
        SELECT :day, hour, {_DIMS}, {_MEASURED}, latency_histogram FROM hours),
    sums AS (SELECT number, {_DIMS}, {_SUMS} FROM numbered GROUP BY number, {_DIMS}),
    joined AS (SELECT number, array_agg(latency) AS latencies
        FROM numbered, unnest(latencies) AS latency GROUP BY number),
    rhythm AS (
        INSERT INTO usage_rhythm (day, hour, feature, provider, model, requests, errors, unpriced, cost)
        SELECT :day, hour, feature, provider, model, sum(requests), sum(errors), sum(unpriced), sum(cost)
        FROM hours GROUP BY hour, feature, provider, model),
    counted AS (
        INSERT INTO usage_persons (day, feature, persons, requests)
        SELECT :day, feature, persons, requests FROM read_of_day WHERE persons IS NOT NULL),
    named AS MATERIALIZED (SELECT subject, requests, unpriced, cost FROM read_of_day WHERE subject IS NOT NULL),
    heaviest AS MATERIALIZED (
        (SELECT * FROM named ORDER BY requests DESC, subject LIMIT :heaviest) UNION
        (SELECT * FROM named ORDER BY cost DESC NULLS LAST, subject LIMIT :heaviest)),
    kept AS (
        INSERT INTO usage_subjects (day, subject, requests, unpriced, cost)
        SELECT :day, subject, requests, unpriced, cost FROM heaviest),
    left_out AS (
        UPDATE rolled_days SET subjects = (SELECT count(*) FROM named), most_left_out = (
            SELECT coalesce(max(requests), 0) FROM named WHERE subject NOT IN (SELECT subject FROM heaviest))
        WHERE day = :day)
    INSERT INTO usage_daily (day, {_DIMS}, {_MEASURED}, latency_histogram,
                             latency_p50_ms, latency_p95_ms, latency_p99_ms)
    SELECT :day, {_DIMS}, {_MEASURED}, latency_histogram(latencies), shares[1], shares[2], shares[3]
    FROM sums LEFT JOIN joined USING (number), LATERAL (
        SELECT percentile_disc(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY latency) AS shares
        FROM unnest(latencies) AS latency) AS exact
"""
"""All facts of a day from what was read of it."""

_TOTALS = f"""
    SELECT coalesce(sum(requests), 0) AS requests, coalesce(sum(successes), 0) AS successes,
           coalesce(sum(errors), 0) AS errors, coalesce(sum(unpriced), 0) AS unpriced, sum(cost) AS cost,
           coalesce(sum({" + ".join(PROMPT_TOKENS)}), 0) AS input_tokens,
           coalesce(sum({" + ".join(REPLY_TOKENS)}), 0) AS output_tokens,
           count(*) AS fact_rows
    FROM usage_daily WHERE day = :day
"""


def _hashed(table: str, *more: str) -> str:
    columns = ", ".join((*more, *DIMENSIONS, *MEASURES, "latency_histogram"))
    return f"""SELECT md5(CAST(ROW({columns}) AS text)) AS line FROM {table} WHERE day = :day"""


_CONTENT_HASH = f"""
    SELECT md5(coalesce(string_agg(line, '' ORDER BY line COLLATE "C"), '')) FROM (
        {_hashed("usage_hourly", "hour AT TIME ZONE 'UTC'")} UNION ALL
        {_hashed("usage_daily", "latency_p50_ms", "latency_p95_ms", "latency_p99_ms")} UNION ALL
        SELECT md5(CAST(ROW(subject, requests, unpriced, cost) AS text)) FROM usage_subjects WHERE day = :day) AS facts
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RolledUp:
    """What came of one day."""

    day: date
    outcome: Literal["new", "unchanged", "changed", "restated", "frozen"]
    """restated: it had been over when it was rolled up before, and changed. changed: it had not been over."""
    requests: int


@dataclass(frozen=True, slots=True)
class _Known:
    timezone: str
    complete: bool
    content_hash: str
    totals: DayTotals


def timezone_of(connection: Connection) -> str:
    """The platform's time zone; UTC until one is set. It cannot change before the transaction ends."""
    found = connection.execute(text("SELECT timezone FROM platform FOR SHARE")).scalar_one_or_none()
    return DEFAULT_TIMEZONE if found is None else str(found)


def set_timezone(connection: Connection, timezone: str, actor: str) -> int:
    """Part days by the midnights of another IANA zone from now on. Gives how many days are marked to be rolled up.

    Waits for whoever is writing marks by the old one.
    """
    before = connection.execute(text("SELECT timezone FROM platform FOR UPDATE")).scalar_one_or_none()
    connection.execute(
        text("""
            INSERT INTO platform (one, timezone, subject_key, actor) VALUES (true, :timezone, :key, :actor)
            ON CONFLICT (one) DO UPDATE SET timezone = excluded.timezone, actor = excluded.actor
        """),
        {"timezone": timezone, "key": secrets.token_bytes(32), "actor": actor},
    )
    if (before or DEFAULT_TIMEZONE) == timezone:
        return 0
    # A midnight moves by less than a day and a half: requests go to a neighbouring day at most.
    return connection.execute(
        text("""
            INSERT INTO rollup_dirty (day, cause, rows, actor)
            SELECT DISTINCT known.day + shift, 'timezone', 0, :actor
            FROM (SELECT day FROM rolled_days UNION SELECT day FROM rollup_dirty) AS known, generate_series(-1, 1) shift
        """),
        {"actor": actor},
    ).rowcount


def dirty_days(connection: Connection) -> list[date]:
    """Days with marks, oldest first, those that are frozen left out."""
    timezone = timezone_of(connection)
    days = connection.execute(text("SELECT DISTINCT day FROM rollup_dirty ORDER BY day")).scalars().all()
    return [day for day in days if not is_frozen(connection, *day_bounds(day, timezone))]


def roll_up(connection: Connection, day: date, *, actor: str) -> RolledUp:
    """Rewrite the facts of one day and clear its marks. The caller's transaction has to be READ COMMITTED and fresh.

    A day whose requests retention took away, wholly or in part, stays as it is.
    """
    lock(connection, day)
    timezone = timezone_of(connection)
    begins, ends = day_bounds(day, timezone)
    before = _known(connection, day)
    if is_frozen(connection, begins, ends):
        return RolledUp(day=day, outcome="frozen", requests=before.totals.requests if before else 0)
    # Before the requests are read: a mark that is taken away here belongs to requests that are seen below.
    marks = _take_marks(connection, day)
    _claim(connection, day, timezone, actor)
    _rewrite(connection, day, timezone)
    count_silent(connection, day, begins, ends)
    # Nothing changed without a mark, and then nobody's tickets did.
    if marks or before is None or before.timezone != timezone:
        mark_reached(connection, day, actor)
    after = _conclude(connection, day, timezone, ends, actor)
    outcome = _outcome(before, after)
    if outcome == "restated" and before is not None:
        _restate(connection, day, before.totals, after.totals, marks, actor)
    return RolledUp(day=day, outcome=outcome, requests=after.totals.requests)


def restatements(connection: Connection, since: date, until: date) -> list[Restatement]:
    """What was restated of the days from `since` to `until`, both included, the latest restatement first."""
    rows = connection.execute(
        text("SELECT * FROM restatements WHERE day BETWEEN :since AND :until ORDER BY recorded_at DESC, id DESC"),
        {"since": since, "until": until},
    )
    return [
        Restatement(
            day=row.day,
            before=DayTotals.from_json(row.before),
            after=DayTotals.from_json(row.after),
            rows=row.rows,
            causes=tuple(Mark(**mark) for mark in row.causes),
            at=row.recorded_at,
        )
        for row in rows
    ]


def content_hashes(connection: Connection) -> dict[date, str]:
    """For each day that is rolled up, a hash of all its facts."""
    rows = connection.execute(text("SELECT day, content_hash FROM rolled_days"))
    return {row.day: row.content_hash for row in rows}


def bounds_of(day: date, timezone: str) -> dict[str, datetime]:
    """Where the parts of a day begin and end, as statements that read them name it."""
    return {f"bound_{n}": bound for n, bound in enumerate(day_parts(day, timezone))}


def lock(connection: Connection, day: date, of: int = _LOCK_CLASS) -> None:
    """Hold the day, and every partition of requests, until the transaction ends."""
    if connection.execute(text("SHOW transaction_isolation")).scalar_one() != "read committed":
        raise AssayError(
            "a rollup takes a READ COMMITTED transaction: any other would overlook what committed meanwhile."
        )
    connection.execute(text("SELECT pg_advisory_xact_lock(:class, :number)"), {"class": of, "number": _number(day)})
    # Retention waits until we are done: without its requests the day would be rewritten as empty.
    connection.execute(text("LOCK TABLE ONLY requests IN ACCESS SHARE MODE"))


def _number(day: date) -> int:
    return (day - date(2000, 1, 1)).days


def is_frozen(connection: Connection, begins: datetime, ends: datetime) -> bool:
    return bool(
        connection.execute(
            text("""
                SELECT EXISTS (
                    SELECT FROM dropped_partitions WHERE table_name = 'requests'
                      AND CAST(starts_on AS timestamp) AT TIME ZONE 'UTC' < :ends
                      AND CAST(ends_on AS timestamp) AT TIME ZONE 'UTC' > :begins)
            """),
            {"begins": begins, "ends": ends},
        ).scalar_one()
    )


def _take_marks(connection: Connection, day: date) -> list[Mark]:
    rows = connection.execute(
        text("""
            WITH taken AS (DELETE FROM rollup_dirty WHERE day = :day RETURNING id, cause, batch_id, rows)
            SELECT cause, batch_id, sum(rows) AS rows FROM taken GROUP BY cause, batch_id ORDER BY min(id)
        """),
        {"day": day},
    )
    return [Mark(cause=row.cause, batch_id=row.batch_id, rows=int(row.rows)) for row in rows]


def _claim(connection: Connection, day: date, timezone: str, actor: str) -> None:
    """The row that the day's facts belong to; what it says is written when they stand."""
    connection.execute(
        text("""
            INSERT INTO rolled_days (day, timezone, complete, requests, content_hash, rolled_at, actor)
            VALUES (:day, :timezone, false, 0, '', now(), :actor) ON CONFLICT (day) DO NOTHING
        """),
        {"day": day, "timezone": timezone, "actor": actor},
    )


def _rewrite(connection: Connection, day: date, timezone: str) -> None:
    for table in FACTS:
        connection.execute(text(f"DELETE FROM {table} WHERE day = :day"), {"day": day})
    # A day's groups are to stay in memory; compiling the statement would cost more than it saves. The planner takes
    # every request for a group of its own, as it knows nothing of hours, and would sort them all by ten columns.
    connection.execute(text("SET LOCAL work_mem = '128MB'; SET LOCAL jit = off; SET LOCAL enable_sort = off"))
    # Who writes the table down has enough to do: were it to read a part itself, the others would wait for it.
    connection.execute(text("SET LOCAL parallel_leader_participation = off"))
    connection.execute(text(READ), bounds_of(day, timezone))
    connection.execute(text(ROLL_UP), {"day": day, "heaviest": HEAVIEST})
    connection.execute(text("SET LOCAL enable_sort TO DEFAULT; DROP TABLE read_of_day"))


def _conclude(connection: Connection, day: date, timezone: str, ends: datetime, actor: str) -> _Known:
    totals = _totals(connection, day)
    found = connection.execute(
        text(f"""
            UPDATE rolled_days SET timezone = :timezone, complete = now() >= :ends, requests = :requests,
                content_hash = ({_CONTENT_HASH}), rolled_at = now(), actor = :actor
            WHERE day = :day RETURNING complete, content_hash
        """),
        {"day": day, "timezone": timezone, "ends": ends, "requests": totals.requests, "actor": actor},
    ).one()
    return _Known(timezone, found.complete, found.content_hash, totals)


def _known(connection: Connection, day: date) -> _Known | None:
    found = connection.execute(
        text("SELECT timezone, complete, content_hash FROM rolled_days WHERE day = :day"), {"day": day}
    ).one_or_none()
    if found is None:
        return None
    return _Known(found.timezone, found.complete, found.content_hash, _totals(connection, day))


def _totals(connection: Connection, day: date) -> DayTotals:
    row: Row[Any] = connection.execute(text(_TOTALS), {"day": day}).one()
    counts = {name: int(value) for name, value in row._mapping.items() if name != "cost"}
    return DayTotals(cost=row.cost, **counts)


def _outcome(before: _Known | None, after: _Known) -> Literal["new", "unchanged", "changed", "restated"]:
    if before is None:
        return "new"
    if before.content_hash == after.content_hash:
        return "unchanged"
    return "restated" if before.complete else "changed"


def _restate(
    connection: Connection, day: date, before: DayTotals, after: DayTotals, marks: Sequence[Mark], actor: str
) -> None:
    causes = [{"cause": mark.cause, "batch_id": mark.batch_id, "rows": mark.rows} for mark in marks]
    connection.execute(
        text("""
            INSERT INTO restatements (day, causes, rows, before, after, actor)
            VALUES (:day, CAST(:causes AS jsonb), :rows, CAST(:before AS jsonb), CAST(:after AS jsonb), :actor)
        """),
        {
            "day": day,
            "causes": json.dumps(causes),
            "rows": sum(mark.rows for mark in marks),
            "before": json.dumps(before.as_json()),
            "after": json.dumps(after.as_json()),
            "actor": actor,
        },
    )
