"""What features ask of their models and how their costs spread, kept by day beside the rollups and read from there.

Whoever asks gets days that are kept as they were kept, and every other day, today's above all, from its requests. So
keeping days makes answers fast and changes none of them. A kept day holds for the rollup that it was made of: once the
day is rolled up again it is read from its requests until somebody keeps it anew.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Row, text

from evaluations.demand import Demand, together
from evaluations.histograms import EDGES, decoded
from evaluations.recommending.remeasuring import Stratum
from evaluations.rollups import PARTS, PROMPT_TOKENS, TOKENS, day_bounds
from tasks.store import rollups

KEPT_DAYS = 92
"""So many days back they are kept: a saving is measured from the 30 days before a change and the 30 after it."""

_PROMPT, _EVERY = " + ".join(PROMPT_TOKENS), " + ".join(TOKENS)
# A literal, so that Postgres reads it once.
_EDGES = f"CAST('{{{','.join(map(str, EDGES))}}}' AS float8[])"


def _requests(part: int) -> str:
    return f"""FROM requests WHERE at >= :bound_{part} AND at < :bound_{part + 1}
        AND (CAST(:feature AS text) IS NULL OR feature = :feature)"""


def _cells_of(part: int) -> str:
    """One reading for minutes and for lengths of prompts, which are grouped at once."""
    return f"""
        SELECT feature, minute, bucket, grouping(minute) = 0 AS of_minute, count(*) AS requests, count(model) AS calls,
            sum(tokens) AS tokens, max(prompt) AS longest, count(tier) AS tiers,
            count(*) FILTER (WHERE tier IN ('batch', 'flex')) AS batch
        FROM (SELECT feature, model, date_bin('1 minute', at, :bound_0) AS minute,
                  CASE WHEN model IS NOT NULL THEN {_EVERY} END AS tokens,
                  CASE WHEN model IS NOT NULL THEN {_PROMPT} END AS prompt,
                  CASE WHEN model IS NOT NULL THEN service_tier END AS tier,
                  CASE WHEN model IS NOT NULL AND usage_known THEN width_bucket({_PROMPT}, {_EDGES}) END AS bucket
              {_requests(part)}) AS own
        GROUP BY GROUPING SETS ((feature, minute), (feature, bucket))"""


def _costs_of(part: int) -> str:
    return f"""
        SELECT feature, coalesce(category, '') AS category, count(*) AS requests, sum(cost) AS cost,
            sum(cost * cost) AS squares
        {_requests(part)} AND cost IS NOT NULL GROUP BY 1, 2"""


def _whole(of_part: Callable[[int], str]) -> str:
    """All parts of a day, which several processes read side by side."""
    return " UNION ALL ".join(map(of_part, range(PARTS)))


_DEMAND = f"""
    WITH cells AS ({_whole(_cells_of)}),
    cells_of_lengths AS (
        SELECT feature, bucket, CAST(sum(requests) AS integer) AS requests FROM cells
        WHERE NOT of_minute AND bucket IS NOT NULL GROUP BY feature, bucket),
    lengths AS (
        SELECT feature, string_agg(int2send(CAST(bucket AS smallint)) || int4send(requests), ''::bytea ORDER BY bucket)
            AS prompts
        FROM cells_of_lengths GROUP BY feature)
    SELECT feature, CAST(sum(requests) AS bigint) AS requests, CAST(sum(calls) AS bigint) AS calls,
        nullif(max(calls), 0) AS peak_requests, CAST(max(tokens) AS bigint) AS peak_tokens, max(longest) AS longest,
        prompts, CAST(sum(tiers) AS bigint) AS tier_known, CAST(sum(batch) AS bigint) AS tier_batch
    FROM cells LEFT JOIN lengths USING (feature) WHERE of_minute GROUP BY feature, prompts
"""
_SPREAD = f"""
    SELECT feature, category, CAST(sum(requests) AS bigint) AS requests, sum(cost) AS cost, sum(squares) AS squares
    FROM ({_whole(_costs_of)}) AS parts GROUP BY feature, category
"""
_DEMANDED = ("requests", "calls", "peak_requests", "peak_tokens", "longest", "prompts", "tier_known", "tier_batch")
_KEPT = """rolled_days r JOIN usage_demand d ON d.day = r.day AND d.rolled_at = r.rolled_at
    WHERE r.complete AND r.timezone = :timezone AND r.day BETWEEN :first AND :last"""


def demand_of(connection: Connection, feature: str, first: date, last: date) -> Demand:
    """What a feature asked on these days of the platform's time zone, both included."""
    window = _window(connection, first, last)
    kept = connection.execute(
        text(f"SELECT {', '.join(f'd.{name}' for name in _DEMANDED)} FROM {_KEPT} AND d.feature = :feature"),
        {**window, "feature": feature},
    ).all()
    read = [
        row
        for given in _days_to_read(connection, window)
        for row in connection.execute(text(_DEMAND), {**given, "feature": feature})
    ]
    return together(map(_demand, [*kept, *read]))


def strata(connection: Connection, feature: str, first: date, last: date) -> dict[str, Stratum]:
    """The priced requests of a feature by what they were about, on these days of the platform's zone, both included."""
    window = _window(connection, first, last)
    kept = connection.execute(
        text("""
            SELECT s.category, s.requests, s.cost, s.squares FROM usage_spread s JOIN rolled_days r USING (day)
            WHERE s.feature = :feature AND r.complete AND r.timezone = :timezone AND r.day BETWEEN :first AND :last
              AND EXISTS (SELECT FROM usage_demand d WHERE d.day = r.day AND d.rolled_at = r.rolled_at)
        """),
        {**window, "feature": feature},
    ).all()
    read = [
        row
        for given in _days_to_read(connection, window)
        for row in connection.execute(text(_SPREAD), {**given, "feature": feature})
    ]
    by_category: dict[str, list[Row[Any]]] = {}
    for row in (*kept, *read):
        by_category.setdefault(row.category, []).append(row)
    return {
        name: Stratum(
            requests=sum(row.requests for row in own),
            cost=sum((row.cost for row in own), Decimal(0)),
            squares=float(sum((row.squares for row in own), Decimal(0))),
        )
        for name, own in sorted(by_category.items())
    }


def days_with_longer_prompts(
    connection: Connection, features: Sequence[str], first: date, last: date, tokens: int
) -> list[date]:
    """On which of these days a prompt of these features, all of them where none is named, may have had more tokens.

    Those that are not kept are among them.
    """
    window = _window(connection, first, last)
    asked = {**window, "all": not features, "features": list(features), "tokens": tokens}
    long = set(
        connection.execute(
            text(f"SELECT r.day FROM {_KEPT} AND (:all OR d.feature = ANY(:features)) AND d.longest > :tokens"), asked
        ).scalars()
    )
    kept = _kept_days(connection, window)
    return [day for day in _days(window) if day in long or day not in kept]


def days_to_keep(connection: Connection) -> list[date]:
    """Whole days of the last `KEPT_DAYS` that are rolled up and not kept as they are now, oldest first."""
    timezone = rollups.timezone_of(connection)
    days = connection.execute(
        text("""
            SELECT day FROM rolled_days r
            WHERE requests > 0 AND complete AND timezone = :timezone
              AND day > (SELECT max(day) FROM rolled_days WHERE requests > 0) - CAST(:days AS integer)
              AND NOT EXISTS (SELECT FROM usage_demand d WHERE d.day = r.day AND d.rolled_at = r.rolled_at)
            ORDER BY day
        """),
        {"timezone": timezone, "days": KEPT_DAYS},
    ).scalars()
    return [day for day in days if not rollups.is_frozen(connection, *day_bounds(day, timezone))]


def keep_day(connection: Connection, day: date) -> None:
    """Keep a day anew. The caller's transaction has to be READ COMMITTED and fresh, as for a rollup, which waits."""
    rollups.lock(connection, day)
    read = {**rollups.bounds_of(day, rollups.timezone_of(connection)), "feature": None}
    # Groups are to stay in memory; compiling the statement would cost more than it saves.
    connection.execute(text("SET LOCAL work_mem = '64MB'; SET LOCAL jit = off; SET LOCAL enable_sort = off"))
    connection.execute(text("SET LOCAL parallel_leader_participation = off"))
    for table in ("usage_demand", "usage_spread"):
        connection.execute(text(f"DELETE FROM {table} WHERE day = :day"), {"day": day})
    # Read into temporary tables: an INSERT would read alone.
    connection.execute(text(f"CREATE TEMPORARY TABLE demand_of_day ON COMMIT DROP AS {_DEMAND}"), read)
    connection.execute(text(f"CREATE TEMPORARY TABLE spread_of_day ON COMMIT DROP AS {_SPREAD}"), read)
    connection.execute(
        text(f"""
            INSERT INTO usage_demand (day, rolled_at, feature, {", ".join(_DEMANDED)})
            SELECT :day, (SELECT rolled_at FROM rolled_days WHERE day = :day), feature, {", ".join(_DEMANDED)}
            FROM demand_of_day
        """),
        {"day": day},
    )
    connection.execute(
        text("""
            INSERT INTO usage_spread (day, feature, category, requests, cost, squares)
            SELECT :day, feature, category, requests, cost, squares FROM spread_of_day
        """),
        {"day": day},
    )


def _window(connection: Connection, first: date, last: date) -> dict[str, Any]:
    return {"first": first, "last": last, "timezone": rollups.timezone_of(connection)}


def _days_to_read(connection: Connection, window: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """When the days that are not kept begin and end."""
    kept = _kept_days(connection, window)
    for day in _days(window):
        if day not in kept:
            yield rollups.bounds_of(day, window["timezone"])


def _kept_days(connection: Connection, window: dict[str, Any]) -> set[date]:
    return set(connection.execute(text(f"SELECT DISTINCT r.day FROM {_KEPT}"), window).scalars())


def _days(window: dict[str, Any]) -> list[date]:
    return [window["first"] + timedelta(days=n) for n in range((window["last"] - window["first"]).days + 1)]


def _demand(row: Row[Any]) -> Demand:
    return Demand(
        requests=row.requests,
        calls=row.calls,
        days=1 if row.calls else 0,
        peak_requests_per_minute=row.peak_requests,
        peak_tokens_per_minute=row.peak_tokens,
        longest_prompt=row.longest,
        prompts=decoded(row.prompts or b""),
        tier_known=row.tier_known,
        tier_batch=row.tier_batch,
    )
