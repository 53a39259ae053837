"""Facts of production requests as pages ask for them: by day and group, by hour of the week, by person, how fresh."""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import Connection, text

from evaluations.facts import Facts
from evaluations.production import Freshness, HeavyUser, HourOfWeek, Users
from evaluations.rollups import DIMENSIONS, PROMPT_TOKENS, REPLY_TOKENS, Dimension
from evaluations.spend import Names
from tasks.store.binary import binary_rows
from tasks.store.heavy_use import heavy_use

_PROMPT, _REPLY = (" + ".join(tokens) for tokens in (PROMPT_TOKENS, REPLY_TOKENS))
# Groups are to be hashed in memory: sorted, histograms would go through files.
_IN_MEMORY = "SET LOCAL work_mem = '128MB'; SET LOCAL jit = off"
_WHOLE = "unpriced = 0 AND cost IS NOT NULL"


def facts_by_day(
    connection: Connection, by: Sequence[Dimension], first: date, last: date, *, latencies_from: date | None
) -> dict[tuple[Names, date], Facts]:
    """The facts of each day of a window, both ends included, by the dimensions named.

    Latencies are most of their bytes: they are read from the day given on, or not at all.
    """
    assert set(by) <= set(DIMENSIONS), by
    latencies = "string_agg(latency_histogram, ''::bytea) FILTER (WHERE day >= :latencies_from)"
    connection.execute(text(_IN_MEMORY))
    columns = "".join(f", {name}" for name in by)
    rows = binary_rows(
        connection,
        f"""
            SELECT day{columns}, sum(requests) AS requests, sum(successes) AS successes, sum(errors) AS errors,
                   sum(priced) AS priced, sum(unpriced) AS unpriced, sum(cost) AS cost,
                   sum(cost) FILTER (WHERE {_WHOLE}) AS whole_cost,
                   coalesce(sum(successes) FILTER (WHERE {_WHOLE}), 0) AS whole_successes,
                   sum({_PROMPT}) AS prompt_tokens, sum(cached_tokens + cached_audio_tokens) AS cached_tokens,
                   sum({_REPLY}) AS reply_tokens,
                   {latencies if latencies_from else "NULL"} AS latencies,
                   sum(quality_n) AS quality_n, sum(quality_sum) AS quality_sum
            FROM usage_daily WHERE day BETWEEN :first AND :last GROUP BY day{columns}
        """,
        {"first": first, "last": last, "latencies_from": latencies_from},
    )
    return {
        (tuple(row[name] for name in by), row["day"]): Facts(
            requests=int(row["requests"]),
            successes=int(row["successes"]),
            errors=int(row["errors"]),
            priced=int(row["priced"]),
            unpriced=int(row["unpriced"]),
            cost=row["cost"],
            whole_cost=row["whole_cost"] or Decimal(0),
            whole_successes=int(row["whole_successes"]),
            prompt_tokens=int(row["prompt_tokens"]),
            cached_tokens=int(row["cached_tokens"]),
            reply_tokens=int(row["reply_tokens"]),
            latencies=row["latencies"] or b"",
            quality_n=int(row["quality_n"]),
            quality_sum=row["quality_sum"] or Decimal(0),
        )
        for row in rows
    }


def by_hour_of_week(connection: Connection, first: date, last: date, timezone: str) -> list[HourOfWeek]:
    """What fell on each hour of the week by the clocks of the platform's time zone, Monday at midnight first.

    Hours without requests are not in it.
    """
    rows = connection.execute(
        text("""
            SELECT CAST(extract(isodow FROM hour AT TIME ZONE :timezone) AS int) - 1 AS weekday,
                   CAST(extract(hour FROM hour AT TIME ZONE :timezone) AS int) AS hour,
                   sum(requests) AS requests, sum(cost) AS cost
            FROM usage_rhythm WHERE day BETWEEN :first AND :last GROUP BY 1, 2 ORDER BY 1, 2
        """),
        {"first": first, "last": last, "timezone": timezone},
    )
    return [HourOfWeek(weekday=row.weekday, hour=row.hour, requests=int(row.requests), cost=row.cost) for row in rows]


def users_of(connection: Connection, first: date, last: date, limit: int) -> Users:
    """Who asked on the days of a window, both ends included, as pseudonyms, the `limit` heaviest named."""
    heavy = heavy_use(connection, first, last, limit)
    counted = connection.execute(
        text("""
            SELECT count(*) AS days, coalesce(avg(subjects), 0) AS persons, coalesce(sum(requests), 0) AS requests
            FROM rolled_days WHERE day BETWEEN :first AND :last AND requests > 0 AND subjects IS NOT NULL
        """),
        {"first": first, "last": last},
    ).one()
    by_feature = connection.execute(
        text("""
            SELECT feature, sum(persons) AS persons, sum(requests) AS requests FROM usage_persons
            WHERE day BETWEEN :first AND :last GROUP BY feature ORDER BY feature
        """),
        {"first": first, "last": last},
    ).all()
    return Users(
        first=first,
        last=last,
        heaviest=tuple(
            HeavyUser(
                pseudonym=each.pseudonym[:PSEUDONYM],
                requests=each.requests,
                at_most=each.at_most,
                days=each.days,
                cost=each.cost,
            )
            for each in heavy.heaviest
        ),
        certain=heavy.certain,
        known=float(counted.persons),
        unnamed=int(counted.requests - sum(row.requests for row in by_feature)),
        by_feature={row.feature: float(row.persons / counted.days) for row in by_feature},
    )


PSEUDONYM = 8
"""Digits of a pseudonym that tell persons apart on a page."""


def freshness(connection: Connection, first: date, last: date) -> Freshness | None:
    """How fresh and whole the facts of a window are; None before anything is rolled up."""
    known = connection.execute(
        text("""
            SELECT min(day) AS first, max(day) AS last, max(rolled_at) AS rolled_at FROM rolled_days WHERE requests > 0
        """)
    ).one()
    if known.first is None:
        return None
    rolled = connection.execute(
        text("SELECT day, complete FROM rolled_days WHERE day BETWEEN :first AND :last AND requests > 0"),
        {"first": first, "last": last},
    ).all()
    landed = connection.execute(
        text("""
            SELECT coalesce(sum(landed) FILTER (WHERE sample_data), 0) AS sample,
                   coalesce(sum(landed) FILTER (WHERE NOT sample_data), 0) AS real FROM ingest_batches
        """)
    ).one()
    rolled_at: datetime = known.rolled_at
    return Freshness(
        known_from=known.first,
        known_to=known.last,
        rolled_at=rolled_at,
        rolled={row.day: row.complete for row in rolled},
        waiting=int(connection.execute(text("SELECT count(DISTINCT day) FROM rollup_dirty")).scalar_one()),
        sample="none" if not landed.sample else "part" if landed.real else "all",
    )


def real_requests(connection: Connection) -> int:
    """How many requests landed that are no sample data."""
    return int(
        connection.execute(
            text("SELECT coalesce(sum(landed), 0) FROM ingest_batches WHERE NOT sample_data")
        ).scalar_one()
    )


def newest_whole_day(connection: Connection) -> date | None:
    """The newest day with requests that was over when it was rolled up, or else the newest; None without any."""
    found: date | None = connection.execute(
        text("SELECT coalesce(max(day) FILTER (WHERE complete), max(day)) FROM rolled_days WHERE requests > 0")
    ).scalar_one()
    return found
