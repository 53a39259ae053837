"""`make bench`, the part of rollups: a day of a million requests, a day after a year, a quarter's queries.

Requests are made up in Postgres itself, unequally over the dimensions of a middling installation, in a database of the
run's own. A rollup is held against one bare GROUP BY with exact percentiles over the same rows, in the faster of two
settings; they take turns, so that a busy moment of the machine hits both. Nothing here is a test: read the ratios.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

ROOT = Path(__file__).parents[1]
FIRST = date(2025, 7, 1)
QUARTER = 90
USERS = 100_000
TOLD_SHARE = 0.1
"""Of requests that say how a customer's matter ended; a fifth of them name a ticket."""
PER_TICKET = 20
"""Neighbouring requests that share the name of a ticket, if they name one."""
MOST_TIMES_BARE, MOST_TIMES_OF_ONE_DAY, MOST_MS = 3.0, 1.2, 500
"""The bars."""

# Features, models and users are used unequally: the powers see to that. Hours of the day are, too: the mean of two
# uniform numbers is mostly near noon.
FILL = f"""
    INSERT INTO requests (id, at, batch_id, source, external_id, feature, category, prompt_version, model, provider,
        project, environment, region, subject, status, latency_ms, input_tokens, cached_tokens, cache_write_tokens,
        cache_write_1h_tokens, input_audio_tokens, cached_audio_tokens, output_tokens, reasoning_tokens,
        output_audio_tokens, output_image_tokens, usage_known, cache_hit, cost, cost_source, quality, rating,
        ticket, handled_by, resolution, resolution_s, escalation_reason, sentiment)
    SELECT id, CAST(:day AS date) AT TIME ZONE 'UTC' + 86399 * interval '1 second' * (random() + random()) / 2, 1,
        'benchmark', 'r-' || id, 'feature-' || feature, 'category-' || floor(5 * random() ^ 1.5),
        '1.' || floor(2 * random()), 'model-' || (feature + model) % 5, 'provider-' || (feature + model) % 5 % 3,
        'project-' || feature % 3, CASE WHEN random() < 0.95 THEN 'production' ELSE 'staging' END,
        'region-' || floor(3 * random()), decode(md5('user-' || floor({USERS} * random() ^ 3)), 'hex'), status,
        exp(6 + 0.3 * model + 0.8 * sqrt(-2 * ln(1 - random())) * cos(2 * pi() * random())),
        input, cached, 0, 0, 0, 0, output, 0, 0, 0, true, random() < 0.1,
        CASE WHEN priced THEN 2.5e-6 * input + 1.25e-6 * cached + 1e-5 * output END,
        CASE WHEN priced THEN 'priced' END, CASE WHEN random() < 0.2 THEN random() END,
        CASE WHEN told AND random() < 0.5 THEN 1 + floor(5 * random()) END,
        CASE WHEN told AND random() < 0.2 THEN 't-' || id / {PER_TICKET} END,
        CASE WHEN told THEN CASE WHEN random() < 0.1 THEN 'human' ELSE 'ai' END END,
        CASE WHEN told THEN ending END, CASE WHEN told AND random() < 0.9 THEN floor(900 * random() ^ 2) END,
        CASE WHEN told AND ending LIKE 'escalated%' THEN 'policy' END,
        CASE WHEN told AND random() < 0.5 THEN random() END
    FROM (SELECT CAST(:start AS bigint) + n AS id, CAST(floor(6 * random() ^ 1.5) AS integer) AS feature,
              CAST(floor(3 * random() ^ 2) AS integer) AS model, CAST(floor(2000 * random()) AS integer) AS input,
              CAST(floor(1000 * random() ^ 3) AS integer) AS cached, CAST(floor(800 * random()) AS integer) AS output,
              CASE WHEN random() < 0.97 THEN 'success' WHEN random() < 0.9 THEN 'error' END AS status,
              random() < 0.98 AS priced, random() < {TOLD_SHARE} AS told,
              (ARRAY['resolved', 'resolved', 'resolved', 'resolved', 'resolved', 'resolved', 'escalated_human',
                     'unresolved', 'abandoned', 'pending'])[CAST(1 + floor(10 * random()) AS integer)] AS ending
          FROM generate_series(1, :count) AS n) AS made
"""


FACTS = ("usage_hourly", "usage_daily", "usage_rhythm", "usage_subjects", "usage_persons", "customer_silent",
         "customer_outcomes", "customer_sums", "customer_requests", "usage_demand", "usage_spread")  # fmt: skip


def say(line: str = "") -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def fill(first: date, days: int, per_day: int) -> None:
    """Make requests up and mark their days, as an ingest does it."""
    from tasks.store.database import transaction
    from tasks.store.partitions import ensure_partitions

    named = [first + timedelta(days=n) for n in range(days)]
    with transaction() as connection:
        ensure_partitions(connection, "requests", named)
    for day in named:
        with transaction() as connection:
            start = connection.execute(text("SELECT coalesce(max(id), 0) FROM requests")).scalar_one()
            connection.execute(text("SET LOCAL synchronous_commit = off"))
            connection.execute(text(FILL), {"start": start, "day": day, "count": per_day})
            connection.execute(
                text("INSERT INTO rollup_dirty (day, cause, rows, actor) VALUES (:day, 'ingest', :rows, 'benchmark')"),
                {"day": day, "rows": per_day},
            )
    tidy("requests")


def tidy(*tables: str) -> None:
    from tasks.store.database import engine

    with engine().connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for table in tables:
            connection.execute(text(f"VACUUM ANALYZE {table}"))


def seconds(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def rolled(day: date) -> None:
    from tasks.rollups import roll_up_days

    roll_up_days([day])


def bare(day: date, settings: str) -> None:
    """Counts and exact percentiles by all dimensions, and nothing else."""
    from evaluations.rollups import DIMENSIONS, day_bounds
    from tasks.store.database import transaction

    names = ", ".join(DIMENSIONS)
    begins, ends = day_bounds(day, "UTC")
    with transaction() as connection:
        connection.execute(text(settings))
        connection.execute(
            text(f"""
                SELECT {names}, count(*), percentile_disc(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY latency_ms)
                FROM requests WHERE at >= :begins AND at < :ends GROUP BY {names}
            """),
            {"begins": begins, "ends": ends},
        ).all()


def one_day(requests: int, rounds: int) -> None:
    from tasks.rollups import keep_demand

    day = FIRST - timedelta(days=400)
    fill(day, 1, requests)
    jobs: dict[str, Callable[[], None]] = {
        "bare": lambda: bare(day, "SET LOCAL work_mem = '4MB'"),
        "bare, memory as ours": lambda: bare(day, "SET LOCAL work_mem = '128MB'; SET LOCAL jit = off"),
        "rollup": lambda: rolled(day),
    }
    taken: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(rounds):
        for name, job in jobs.items():
            taken[name].append(seconds(job))
    median = {name: statistics.median(each) for name, each in taken.items()}
    say(
        f"a day of {requests:,} requests, median of {rounds}: " + ", ".join(f"{n} {s:.2f} s" for n, s in median.items())
    )
    ratio = median["rollup"] / min(median["bare"], median["bare, memory as ours"])
    say(f"  a rollup takes {ratio:.2f} x the faster bare GROUP BY (bar: at most {MOST_TIMES_BARE})")
    say(f"  what its features asked is kept in {seconds(keep_demand):.2f} s more, in a transaction of its own")


def after_a_year(requests: int, per_day: int, rounds: int) -> None:
    """The same day again and again, alone and then with a year before it. The fastest counts: noise only adds."""
    from tasks.rollups import roll_up_days

    day = FIRST - timedelta(days=1)
    fill(day, 1, requests)
    rolled(day)
    alone = min(seconds(lambda: rolled(day)) for _ in range(rounds))
    fill(day - timedelta(days=364), 364, per_day)
    roll_up_days(None)
    tidy(*FACTS)
    later = min(seconds(lambda: rolled(day)) for _ in range(rounds))
    say(
        f"a day of {requests:,} again, fastest of {rounds}: {alone * 1000:.0f} ms alone, "
        f"{later * 1000:.0f} ms after 364 days of {per_day:,}"
    )
    say(f"  {later / alone:.2f} x (bar: at most {MOST_TIMES_OF_ONE_DAY})")


def quarter(requests: int, rounds: int) -> None:
    from tasks.rollups import keep_demand, roll_up_days

    say(f"a quarter of {requests:,} requests")
    say(f"  made up in {seconds(lambda: fill(FIRST, QUARTER, requests // QUARTER)):.0f} s")
    say(f"  rolled up in {seconds(lambda: roll_up_days(None)):.0f} s")
    say(f"  what features asked kept in {seconds(keep_demand):.0f} s")
    tidy(*FACTS)
    ask(rounds)
    pages(rounds // 4)
    late_row(rounds // 4)


def pages(rounds: int) -> None:
    """Each page about production over the quarter, from its queries to its files; the bar is for the queries alone."""
    from tasks.pages import PAGES

    for name in ("overview", "spend", "customer"):
        taken = [seconds(lambda name=name: PAGES[name](FIRST, LAST)) for _ in range(rounds)]  # type: ignore[misc]
        say(f"  the {name} page written: {statistics.median(taken) * 1000:.0f} ms, median of {rounds}")


def late_row(rounds: int) -> None:
    """A day in the middle changes: it is rolled up, and the tickets of every day that it reaches are counted."""
    from tasks.rollups import count_customers
    from tasks.store.database import transaction

    day, alone, reached = FIRST + timedelta(days=QUARTER // 2), [], []
    for _ in range(rounds):
        with transaction() as connection:
            connection.execute(
                text("INSERT INTO rollup_dirty (day, cause, rows, actor) VALUES (:day, 'ingest', 1, 'benchmark')"),
                {"day": day},
            )
        alone.append(seconds(lambda: rolled_alone(day)))
        reached.append(seconds(count_customers))
    say(
        f"  a day that changed: {statistics.median(alone):.1f} s, and {statistics.median(reached):.1f} s for the "
        f"tickets of the days around it, median of {rounds}"
    )


def rolled_alone(day: date) -> None:
    """Without the tickets that are counted after it."""
    from tasks.store.database import transaction
    from tasks.store.rollups import roll_up

    with transaction() as connection:
        roll_up(connection, day, actor="benchmark")


def ask(rounds: int) -> None:
    """Every query of the reports over the quarter, in turn."""
    from tasks.store.database import transaction

    taken: dict[str, list[float]] = {name: [] for name in QUERIES}
    with transaction() as connection:
        for _ in range(rounds):
            for name, query in QUERIES.items():
                taken[name].append(seconds(lambda query=query: query(connection)) * 1000)  # type: ignore[misc]
    for name, each in taken.items():
        p95 = statistics.quantiles(each, n=20, method="inclusive")[-1]
        said = "" if p95 < MOST_MS else f"  MORE THAN {MOST_MS} ms"
        say(f"  {name:<44}{statistics.median(each):>6.0f} ms, p95 {p95:>6.0f} ms{said}")
    say(f"  (bar: p95 below {MOST_MS} ms; {rounds} rounds)")


def _window() -> Any:
    from evaluations.performance import Window
    from evaluations.rollups import day_bounds

    return Window(day_bounds(FIRST, "UTC")[0], day_bounds(LAST, "UTC")[1])


def _spend(by: tuple[Any, ...], period: Any) -> Callable[[Connection], object]:
    from tasks.store.spend import spend_by

    return lambda connection: spend_by(connection, by, FIRST, LAST, period)


def _performed(*by: Any) -> Callable[[Connection], object]:
    from tasks.store.performance import performed_on_days

    return lambda connection: [
        each.latency(0.95) for each in performed_on_days(connection, by, _window(), "UTC").values()
    ]


def _facts(connection: Connection) -> object:
    from tasks.store.facts import facts_by_day

    return facts_by_day(connection, ("feature", "model", "provider"), FIRST, LAST, latencies_from=FIRST)


def _hours(connection: Connection) -> object:
    from tasks.store.facts import by_hour_of_week

    return by_hour_of_week(connection, FIRST, LAST, "UTC")


def _heaviest(connection: Connection) -> object:
    from tasks.store.heavy_use import heavy_use

    return heavy_use(connection, FIRST, LAST, 20)


def _users(connection: Connection) -> object:
    from tasks.store.facts import users_of

    return users_of(connection, FIRST, LAST, 10)


def _customers(_: Connection) -> object:
    """In a transaction of its own; with all that is worked out from the counts."""
    from tasks.customer import customer_impact

    return customer_impact(FIRST, LAST)


def _customers_of(_: Connection) -> object:
    from tasks.customer import customer_impact

    return customer_impact(FIRST, LAST, feature="feature-0", category="category-1", recontact_days=14)


def _performance(window: Any) -> Callable[[Connection], object]:
    from evaluations.rollups import day_bounds
    from tasks.store.performance import performance

    return lambda connection: performance(connection, window, ("feature", "model"), until=day_bounds(LAST, "UTC")[1])


def _shape(connection: Connection) -> object:
    from tasks.store.model_use import request_shape

    return request_shape(connection, FEATURE, *_days(28))


def _traffic(connection: Connection) -> object:
    from tasks.store.model_facts import traffic_of

    return traffic_of(connection, FEATURE)


def _demand(connection: Connection) -> object:
    from tasks.store.demand import demand_of

    return demand_of(connection, FEATURE, *_days(30))


def _strata(connection: Connection) -> object:
    from tasks.store.demand import strata

    return strata(connection, FEATURE, *_days(30))


def _seldom_asked(connection: Connection) -> object:
    from tasks.store.deployment_facts import is_sample
    from tasks.store.deployment_health import last_request
    from tasks.store.recommendation_evidence import production_calls

    found = production_calls(connection, "feature-none", *_days(28), "UTC")
    return found, last_request(connection, "feature-none", "production"), is_sample(connection, None, "feature-none")


def _health(connection: Connection) -> object:
    """Of a day and of the one before it, as `assay deploy health` reads them."""
    from evaluations.rollups import day_bounds
    from tasks.store.deployment_health import uptime_of
    from tasks.store.experiment_data import feature_sums

    begins, ends = day_bounds(LAST, "UTC")
    for first, last in ((begins, ends), (begins - timedelta(days=1), begins)):
        feature_sums(connection, FEATURE, "production", GUARDED, first, last, without_canaries_but="canary:none")
    return uptime_of(connection, FEATURE, "production", begins, ends)


def _days(count: int) -> tuple[date, date]:
    return LAST - timedelta(days=count - 1), LAST


FEATURE = "feature-0"
"""The one with most of the requests."""
GUARDED = ("error_rate", "latency_ms", "cost")
LAST = FIRST + timedelta(days=QUARTER - 1)
QUERIES: dict[str, Callable[[Connection], object]] = {
    "spend by feature": _spend(("feature",), "total"),
    "spend by model and region, weekly": _spend(("model", "region"), "week"),
    "spend by all dimensions, monthly": _spend(
        ("feature", "category", "prompt_version", "model", "provider", "project", "environment", "region"), "month"
    ),
    "facts of days by feature, model and provider": _facts,
    "hours of the week": _hours,
    "heaviest persons": _heaviest,
    "persons of the spend page": _users,
    f"customer metrics, {TOLD_SHARE:.0%} with an outcome": _customers,
    "customer metrics of a feature and category": _customers_of,
    "percentiles by feature and model": _performed("feature", "model"),
    "percentiles by feature, version and region": _performed("feature", "prompt_version", "region"),
    "requests of a feature, for a selection": _shape,
    "traffic of a feature, for a validation": _traffic,
    "what a feature asks, for a deployment": _demand,
    "costs of a feature by category, for a saving": _strata,
    "last requests of a feature that has none": _seldom_asked,
    "health of what is live": _health,
    **{f"performance, {window} beside the one before": _performance(window) for window in ("1h", "24h", "7d", "30d")},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--day", type=int, default=1_000_000, help="requests of the one day; 0 leaves it out")
    parser.add_argument("--year", type=int, default=2_000, help="requests of each day of the year; 0 leaves it out")
    parser.add_argument(
        "--again", type=int, default=100_000, help="requests of the day that is rolled up again after it"
    )
    parser.add_argument("--quarter", type=int, default=10_000_000, help="requests of the quarter; 0 leaves it out")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="assay-bench-home-") as home:
        os.environ["ASSAY_HOME"] = home
        os.environ.pop("ASSAY_DATABASE_URL", None)
        try:
            say("rollups")
            if given.day:
                one_day(given.day, given.rounds)
            if given.year:
                after_a_year(given.again, given.year, given.rounds * 2)
            if given.quarter:
                quarter(given.quarter, given.rounds * 4)
        finally:
            subprocess.run([sys.executable, "-m", "cli", "db", "stop"], cwd=ROOT, capture_output=True, check=False)


if __name__ == "__main__":
    main()
