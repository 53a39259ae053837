"""Rollups against the requests themselves: every sum to the last digit, whatever came when, and wherever it was cut."""

import threading
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from sqlalchemy import text

from evaluations.errors import AssayError
from evaluations.histograms import RELATIVE_ERROR, decoded, of_latencies
from evaluations.rollups import DIMENSIONS, MEASURES, TOKENS, Mark, day_bounds, day_parts
from tasks.store import rollups
from tasks.store.database import engine, transaction
from tasks.store.partitions import drop_before
from tasks.store.rollups import RolledUp, dirty_days, restatements, roll_up, set_timezone
from tests.landed import a_request, land, mark, varied
from tests.tasks.store.hashed import tables

pytestmark = pytest.mark.usefixtures("store")
DAY = date(2026, 5, 4)
NEXT_MONTH = date(2026, 6, 1)


def rolled(day: date = DAY) -> RolledUp:
    with transaction() as connection:
        return roll_up(connection, day, actor="test")


def landed(*requests: dict[str, Any]) -> None:
    with transaction() as connection:
        land(connection, requests)


def facts(table: str = "usage_daily", columns: str = "*") -> list[Any]:
    with transaction() as connection:
        return list(connection.execute(text(f"SELECT {columns} FROM {table} ORDER BY day, feature, id")))


@pytest.mark.parametrize("timezone", ["UTC", "Asia/Kathmandu", "America/St_Johns"])
def test_sums_of_a_day_are_those_of_its_requests_to_the_last_digit(timezone: str) -> None:
    """By every dimension, and over all."""
    requests = varied(np.random.default_rng(3), 400, DAY - timedelta(days=1), days=3)
    with transaction() as connection:
        set_timezone(connection, timezone, "test")
        land(connection, requests, timezone=timezone)
    rolled()
    begins, ends = day_bounds(DAY, timezone)
    mine = [each for each in requests if begins <= each["at"] < ends]
    assert 0 < len(mine) < len(requests)
    for dimension in (*DIMENSIONS, None):
        expected = sums_of_requests(mine, dimension)
        assert sums_of_facts("usage_daily", dimension) == expected
        assert sums_of_facts("usage_hourly", dimension) == expected


def test_the_load_of_hours_is_that_of_the_hourly_facts() -> None:
    landed(*varied(np.random.default_rng(6), 200, DAY))
    rolled()
    columns = "hour, feature, provider, model"
    with transaction() as connection:
        differing = connection.execute(
            text(f"""
                WITH of_hours AS (SELECT {columns}, sum(requests) AS requests, sum(errors) AS errors,
                         sum(unpriced) AS unpriced, sum(cost) AS cost FROM usage_hourly GROUP BY {columns}),
                    of_load AS (SELECT {columns}, requests, errors, unpriced, cost FROM usage_rhythm)
                (SELECT * FROM of_hours EXCEPT SELECT * FROM of_load)
                UNION ALL (SELECT * FROM of_load EXCEPT SELECT * FROM of_hours)
            """)
        ).all()
        assert connection.execute(text("SELECT sum(requests) FROM usage_rhythm")).scalar_one() == 200
    assert differing == []


def sums_of_facts(table: str, dimension: str | None) -> dict[Any, dict[str, Any]]:
    by = dimension or "'all'"
    sums = ", ".join(f"sum({measure}) AS {measure}" for measure in MEASURES)
    with transaction() as connection:
        rows = connection.execute(text(f"SELECT {by} AS by, {sums} FROM {table} GROUP BY 1")).mappings()
        return {row["by"]: {measure: row[measure] or 0 for measure in MEASURES} for row in rows}


def sums_of_requests(requests: list[dict[str, Any]], dimension: str | None) -> dict[Any, dict[str, Any]]:
    """The same sums by plain Python."""
    found: dict[Any, dict[str, Any]] = {}
    for each in requests:
        sums = found.setdefault(each[dimension] if dimension else "all", dict.fromkeys(MEASURES, 0))
        used = sum(each[token] for token in TOKENS)
        added = {
            "requests": 1,
            "successes": each["status"] == "success",
            "errors": each["status"] == "error",
            "usage_unknown": not each["usage_known"],
            **{token: each[token] for token in TOKENS},
            "cache_hits": each["cache_hit"] is True,
            "cache_known": each["cache_hit"] is not None,
            "priced": each["cost"] is not None,
            "unpriced": each["cost"] is None and (used > 0 or (not each["usage_known"] and each["model"] is not None)),
            "cost": each["cost"] or 0,
            "latency_n": each["latency_ms"] is not None,
            "latency_us": round((each["latency_ms"] or 0) * 1000),
            "rating_n": each["rating"] is not None,
            "rating_sum": each["rating"] or 0,
        }
        for score in ("quality", "confidence"):
            known = each[score] is not None
            # Postgres turns a float into a decimal by its first fifteen digits.
            added |= {f"{score}_n": known, f"{score}_sum": Decimal(f"{each[score]:.15g}") if known else 0}
        assert set(added) == set(MEASURES)
        for name, value in added.items():
            sums[name] += value
    return found


def test_every_class_of_tokens_that_a_request_has_is_summed() -> None:
    from tasks.store.traffic import RequestRow

    columns = {column.name for column in RequestRow.__table__.columns}
    assert set(TOKENS) == {name for name in columns if name.endswith("_tokens")}


def test_an_unknown_cost_is_counted_and_never_zero() -> None:
    landed(
        a_request(feature="priced", cost=Decimal("0.1")),
        a_request(feature="priced", cost=Decimal("0.2")),
        a_request(feature="unknown", cost=None),
        a_request(feature="unreported", cost=None, usage_known=False, input_tokens=0, output_tokens=0),
        a_request(feature="person", cost=None, model=None, usage_known=False, input_tokens=0, output_tokens=0),
        a_request(feature="failed", cost=None, status="error", input_tokens=0, output_tokens=0),
    )
    rolled()
    assert [tuple(row) for row in facts(columns="feature, cost, priced, unpriced")] == [
        ("failed", None, 0, 0),
        ("person", None, 0, 0),
        ("priced", Decimal("0.300000000000"), 2, 0),
        ("unknown", None, 0, 1),
        ("unreported", None, 0, 1),
    ]


def test_exact_percentiles_and_histograms_of_postgres_and_python_agree() -> None:
    random = np.random.default_rng(11)
    latencies = np.concatenate([random.lognormal(5, 1.5, 600), np.repeat([50.0, 51.0, 999.0], 40)])
    landed(
        *(
            a_request(latency_ms=float(each), at=datetime(2026, 5, 4, n % 24, tzinfo=UTC))
            for n, each in enumerate(latencies)
        )
    )
    rolled()
    [day] = facts()
    told = decoded(day.latency_histogram)
    assert told == of_latencies(latencies)
    joined = b"".join(row.latency_histogram for row in facts("usage_hourly"))
    assert decoded(joined) == told
    for share, column in ((0.5, day.latency_p50_ms), (0.95, day.latency_p95_ms), (0.99, day.latency_p99_ms)):
        assert column == np.quantile(latencies, share, method="inverted_cdf")
        assert told.quantile(share) == pytest.approx(column, rel=RELATIVE_ERROR)


def test_postgres_puts_every_edge_into_the_bucket_that_python_does() -> None:
    from evaluations.histograms import EDGES

    values = [value for edge in EDGES for value in (edge / 1000, np.nextafter(edge / 1000, 0), (edge + 0.5) / 1000)]
    with transaction() as connection:
        found = connection.execute(
            text("SELECT latency_histogram(ARRAY[v]) FROM unnest(CAST(:values AS float8[])) v"),
            {"values": [float(value) for value in values]},
        ).scalars()
        assert [decoded(each) for each in found] == [of_latencies([value]) for value in values]


def test_a_day_rolled_up_twice_is_unchanged_and_not_restated() -> None:
    landed(*varied(np.random.default_rng(5), 50, DAY))
    assert rolled().outcome == "new"
    before = tables()
    assert rolled().outcome == "unchanged"
    assert tables() == before
    with transaction() as connection:
        assert restatements(connection, DAY, DAY) == []
        assert dirty_days(connection) == []


def test_a_late_row_restates_its_day_and_both_versions_are_kept() -> None:
    landed(a_request(), a_request(cost=None))
    rolled()
    landed(a_request(cost=Decimal("1.5"), status="error"))
    assert rolled() == RolledUp(day=DAY, outcome="restated", requests=3)
    with transaction() as connection:
        [told] = restatements(connection, DAY, DAY)
    assert (told.before.requests, told.before.cost, told.before.unpriced) == (2, Decimal("0.0035"), 1)
    assert (told.after.requests, told.after.cost, told.after.errors) == (3, Decimal("1.5035"), 1)
    assert (told.rows, told.causes) == (1, (Mark(cause="ingest", batch_id=None, rows=1),))
    assert "2 → 3 requests, $0.00 → $1.50 (late rows)" in told.sentence()


def test_a_day_that_was_not_over_changes_without_a_restatement() -> None:
    with transaction() as connection:
        now = connection.execute(text("SELECT now()")).scalar_one()
    today = now.astimezone(UTC).date()
    landed(a_request(at=now))
    rolled(today)
    landed(a_request(at=now))
    assert rolled(today).outcome == "changed"
    with transaction() as connection:
        assert restatements(connection, today, today) == []


def test_requests_that_are_no_more_leave_no_facts_behind() -> None:
    landed(a_request(feature="gone"), a_request())
    rolled()
    with transaction() as connection:
        connection.execute(text("DELETE FROM requests"))
        mark(connection, DAY, cause="erase")
    assert rolled() == RolledUp(day=DAY, outcome="restated", requests=0)
    assert facts() == facts("usage_hourly") == []


def test_a_row_that_commits_while_its_day_is_rolled_up_stays_marked() -> None:
    """What a watermark would skip: the ingest began first, and commits last."""
    landed(a_request())
    with engine().connect() as late, late.begin():
        land(late, [a_request()])
        assert rolled().requests == 1
    with transaction() as connection:
        assert dirty_days(connection) == [DAY]
    assert rolled().requests == 2


def test_two_rollups_of_one_day_take_turns() -> None:
    landed(*varied(np.random.default_rng(9), 30, DAY))
    outcomes: list[str] = []
    threads = [threading.Thread(target=lambda: outcomes.append(rolled().outcome)) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(outcomes) == ["new", "unchanged", "unchanged", "unchanged"]


def test_days_whose_requests_were_dropped_are_frozen() -> None:
    landed(a_request(), a_request())
    rolled()
    before = tables()
    with transaction() as connection:
        drop_before(connection, "requests", NEXT_MONTH, "test")
        mark(connection, DAY)
    assert rolled() == RolledUp(day=DAY, outcome="frozen", requests=2)
    assert tables() == before
    with transaction() as connection:
        assert dirty_days(connection) == []


def test_retention_waits_for_the_rollup_of_a_day() -> None:
    """Else the day would be rewritten as empty between the look and the reading."""
    landed(a_request())
    with engine().connect() as connection, connection.begin():
        roll_up(connection, DAY, actor="test")
        with engine().connect() as other, other.begin():
            other.execute(text("SET LOCAL lock_timeout = '200ms'"))
            with pytest.raises(Exception, match="lock timeout"):
                drop_before(other, "requests", NEXT_MONTH, "test")


def test_another_time_zone_rolls_every_day_up_again() -> None:
    evening = datetime(2026, 5, 4, 23, 30, tzinfo=UTC)
    landed(a_request(at=evening), a_request(at=evening - timedelta(hours=10)))
    rolled()
    with transaction() as connection:
        assert set_timezone(connection, "Europe/Berlin", "test") == 3
        assert set_timezone(connection, "Europe/Berlin", "test") == 0
        days = dirty_days(connection)
    for day in days:
        rolled(day)
    assert [(row.day, row.requests) for row in facts()] == [(DAY, 1), (DAY + timedelta(days=1), 1)]
    with transaction() as connection:
        [told] = restatements(connection, DAY, DAY)
    assert told.why() == "the platform's time zone changed"


def test_a_day_on_which_clocks_change_has_all_its_hours() -> None:
    autumn, spring = date(2025, 10, 26), date(2026, 3, 29)
    hours = [
        day_bounds(day, "Europe/Berlin")[0] + timedelta(hours=n, minutes=5)
        for day in (autumn, spring)
        for n in range(27)
    ]
    with transaction() as connection:
        set_timezone(connection, "Europe/Berlin", "test")
        land(connection, [a_request(at=hour) for hour in hours], timezone="Europe/Berlin")
    for day, expected in ((autumn, 25), (spring, 23)):
        assert rolled(day).requests == expected
        assert sum(row.day == day for row in facts("usage_hourly")) == expected


@pytest.mark.parametrize("timezone", ["Europe/Berlin", "Asia/Kathmandu", "America/St_Johns", "America/Havana"])
def test_hours_are_those_of_the_clocks_also_when_they_are_changed(timezone: str) -> None:
    """Clocks of Havana change at midnight, those of Kathmandu and St John's are off by parts of an hour."""
    random = np.random.default_rng(3)
    days = [date(2025, 3, 9), date(2025, 3, 30), date(2025, 10, 26), date(2025, 11, 2)]
    moments = [
        day_bounds(day, timezone)[0] + timedelta(minutes=int(m)) for day in days for m in random.integers(1380, size=40)
    ]
    with transaction() as connection:
        set_timezone(connection, timezone, "test")
        land(connection, [a_request(at=each) for each in moments], timezone=timezone)
    for day in days:
        rolled(day)
    with transaction() as connection:
        expected = connection.execute(
            text("SELECT date_trunc('hour', at, :timezone), count(*) FROM requests GROUP BY 1 ORDER BY 1"),
            {"timezone": timezone},
        ).all()
    assert sorted((row.hour, row.requests) for row in facts("usage_hourly")) == [tuple(row) for row in expected]


@pytest.mark.parametrize(
    "timezone", sorted({"UTC", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia", "America/Havana"})
)
def test_parts_of_a_day_are_the_whole_of_it_and_none_is_read_twice(timezone: str) -> None:
    """Apia had no 30 December 2011, clocks of Lord Howe move by half an hour, those of Havana at midnight."""
    for day in (date(2011, 12, 29) + timedelta(days=n) for n in range(120)):
        parts = day_parts(day, timezone)
        assert (parts[0], parts[-1]) == day_bounds(day, timezone)
        assert list(parts) == sorted(parts)
        assert {each.astimezone(ZoneInfo(timezone)).minute for each in parts} == {0}


def test_a_transaction_that_would_overlook_late_rows_is_refused() -> None:
    with engine().connect() as connection:
        connection.execution_options(isolation_level="REPEATABLE READ")
        with pytest.raises(AssayError, match="READ COMMITTED"):
            roll_up(connection, DAY, actor="test")


def test_rolling_a_day_up_reads_the_partition_of_its_month_alone() -> None:
    landed(*(a_request(at=datetime(2026, month, 4, 9, tzinfo=UTC)) for month in range(1, 10)))
    bounds = {f"bound_{n}": bound for n, bound in enumerate(day_parts(DAY, "UTC"))}
    with transaction() as connection:
        plan = connection.execute(text(f"EXPLAIN {rollups.READ}"), bounds).scalars()
        read = {word[:16] for line in plan for word in line.split() if word.startswith("requests_2026")}
    assert read == {"requests_2026_05"}
