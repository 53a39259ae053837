"""Whatever came when, and wherever it was cut: the facts end the same, and are those of the requests."""

import random as plain_random
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Connection, event, text

from evaluations.rollups import DIMENSIONS, TOKENS, Cause
from tasks.rollups import roll_up_days
from tasks.store.customer.days import count_tickets, waiting_days
from tasks.store.database import transaction
from tasks.store.rollups import dirty_days, roll_up, set_timezone, timezone_of
from tests.landed import land, varied
from tests.tasks.ingest.builders import a_file, a_record, ingested
from tests.tasks.store.hashed import tables

pytestmark = pytest.mark.usefixtures("store")
DAY = date(2026, 5, 4)
ZONES = ("UTC", "Asia/Kathmandu", "America/St_Johns")
ERASED = bytes([1]) * 16
"""The pseudonym of somebody who is forgotten."""


class Crash(Exception):
    """What a kill leaves: a transaction that never commits."""


def crashing(connection: Connection, after: int) -> None:
    """Let the connection fail after so many statements of a rollup."""
    left = iter(range(after))

    def fail(*_: Any) -> None:
        if next(left, None) is None:
            raise Crash

    event.listen(connection, "before_cursor_execute", fail)


def landed(requests: list[dict[str, Any]]) -> None:
    with transaction() as connection:
        land(connection, requests, timezone=timezone_of(connection))


def rolled(day: date, crash_after: int | None = None) -> bool:
    """Roll a day up, or crash after so many statements; gives whether it was rolled up."""
    with suppress(Crash), transaction() as connection:
        if crash_after is not None:
            crashing(connection, crash_after)
        roll_up(connection, day, actor="test")
        return True
    return False


def counted(day: date, crash_after: int | None = None) -> None:
    """Count what became of a day's tickets, or crash after so many statements."""
    with suppress(Crash), transaction() as connection:
        if connection.execute(text("SELECT FROM rolled_days WHERE day = :day"), {"day": day}).all():
            if crash_after is not None:
                crashing(connection, crash_after)
            count_tickets(connection, day)


def change(cause: Cause, assignment: str, condition: str) -> None:
    """Change requests and mark their days, as repricing and erasing do it."""
    with transaction() as connection:
        connection.execute(
            text(f"""
                WITH changed AS (UPDATE requests SET {assignment} WHERE {condition} RETURNING at)
                INSERT INTO rollup_dirty (day, cause, rows, actor)
                SELECT CAST(at AT TIME ZONE :timezone AS date), :cause, count(*), 'test' FROM changed GROUP BY 1
            """),
            {"timezone": timezone_of(connection), "cause": cause},
        )


def erase() -> None:
    change("erase", "subject = NULL", rf"subject = '\x{ERASED.hex()}'")


def reprice(condition: str = "true") -> None:
    change("reprice", "cost = cost * 0 + input_tokens * 0.000000000003", f"cost IS NOT NULL AND {condition}")


def move(zone: str) -> None:
    with transaction() as connection:
        set_timezone(connection, zone, "test")


def disturb(order: plain_random.Random) -> None:
    """One of the things that happen between two ingests."""
    day = DAY + timedelta(days=order.randrange(-1, 4))
    happenings: list[Callable[[], object]] = [
        lambda: rolled(day),
        lambda: rolled(day),
        lambda: rolled(day, crash_after=order.randrange(20)),
        lambda: rolled(day, crash_after=order.randrange(20)),
        lambda: counted(day),
        lambda: counted(day, crash_after=order.randrange(14)),
        lambda: move(order.choice(ZONES)),
        lambda: reprice(f"id % 3 = {order.randrange(3)}"),
        erase,
    ]
    order.choice(happenings)()


def chunks(requests: list[dict[str, Any]], order: plain_random.Random) -> Iterator[list[dict[str, Any]]]:
    at = 0
    while at < len(requests):
        size = order.randrange(1, 30)
        yield requests[at : at + size]
        at += size


def converge(seed: int) -> str:
    """Land the same requests in another order, with all that can happen in between; gives the tables' hash."""
    requests = varied(np.random.default_rng(1), 60, DAY, days=3)
    order = plain_random.Random(seed)
    order.shuffle(requests)
    for chunk in chunks(requests, order):
        landed(chunk)
        for _ in range(order.randrange(4)):
            disturb(order)
    move("Europe/Berlin")
    reprice()
    erase()
    with transaction() as connection:
        days = dirty_days(connection)
    order.shuffle(days)
    for day in days:
        rolled(day)
    with transaction() as connection:
        days = waiting_days(connection)
    order.shuffle(days)
    for day in days:
        counted(day)
    return tables()


def all_converge(orders: int) -> None:
    found = set()
    for seed in range(orders):
        with transaction() as connection:
            connection.execute(text("TRUNCATE requests, rollup_dirty, restatements, rolled_days, platform CASCADE"))
        found.add(converge(seed))
    assert len(found) == 1


def test_any_order_of_what_can_happen_ends_in_the_same_tables() -> None:
    all_converge(12)


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_a_thousand_orders_end_in_the_same_tables() -> None:
    all_converge(1000)


def test_a_rollup_that_crashes_at_any_statement_changes_nothing_and_is_done_again() -> None:
    """After no statement, after one, after two: until it comes through."""
    landed(varied(np.random.default_rng(2), 40, DAY))
    rolled(DAY)
    before = tables()
    landed(varied(np.random.default_rng(3), 10, DAY))
    crashes = 0
    while not rolled(DAY, crash_after=crashes):
        assert tables() == before
        with transaction() as connection:
            assert dirty_days(connection) == [DAY]
        crashes += 1
    assert crashes > 10
    assert tables() != before
    after = tables()
    rolled(DAY)
    assert tables() == after


def test_ingests_that_commit_while_their_days_are_rolled_up_are_in_the_facts_at_the_end() -> None:
    """Two threads roll up whatever is marked, again and again, while a third one lands."""
    requests = varied(np.random.default_rng(5), 120, DAY, days=2)
    over = threading.Event()
    failures: list[BaseException] = []

    def roll_on() -> None:
        try:
            while not over.is_set():
                roll_up_days(None)
        except BaseException as problem:  # told to the test, which is another thread
            failures.append(problem)

    threads = [threading.Thread(target=roll_on) for _ in range(2)]
    for each in threads:
        each.start()
    for n in range(0, len(requests), 10):
        landed(requests[n : n + 10])
    over.set()
    for each in threads:
        each.join()
    roll_up_days(None)
    assert failures == []
    assert differing("UTC") == []
    with transaction() as connection:
        assert connection.execute(text("SELECT sum(requests) FROM usage_daily")).scalar_one() == 120


def differing(timezone: str) -> list[Any]:
    """Sums of requests and of facts, by day and each dimension, that are not the same to the last digit."""
    tokens = ", ".join(f"sum({token}) AS {token}" for token in TOKENS)
    found: list[Any] = []
    with transaction() as connection:
        for dimension in DIMENSIONS:
            requests = f"""
                SELECT CAST(at AT TIME ZONE '{timezone}' AS date) AS day, {dimension}, count(*) AS requests,
                    count(*) FILTER (WHERE status = 'error') AS errors, count(cost) AS priced, sum(cost) AS cost,
                    {tokens} FROM requests GROUP BY 1, 2"""
            for table in ("usage_daily", "usage_hourly"):
                facts = f"""
                    SELECT day, {dimension}, sum(requests), sum(errors), sum(priced), sum(cost), {tokens}
                    FROM {table} GROUP BY 1, 2"""
                found += connection.execute(
                    text(f"(({requests}) EXCEPT ({facts})) UNION ALL (({facts}) EXCEPT ({requests}))")
                ).all()
    return found


@pytest.mark.parametrize("seed", range(4))
def test_sums_of_facts_are_those_of_requests_by_day_and_every_dimension(seed: int) -> None:
    random = np.random.default_rng(seed)
    timezone = ("UTC", "Asia/Kathmandu", "America/St_Johns", "Australia/Lord_Howe")[seed]
    move(timezone)
    landed(varied(random, 250, DAY + timedelta(days=int(random.integers(300))), days=5))
    roll_up_days(None)
    assert differing(timezone) == []


def test_what_ingests_counted_is_in_the_requests_and_in_the_facts(tmp_path: Path) -> None:
    """Batches, requests and facts: the same number, the same money."""
    records = [
        a_record(n, at=f"2026-05-0{1 + n % 5}T10:00:00Z", cost=str(Decimal(n).scaleb(-12)), feature=f"f-{n % 3}")
        for n in range(40)
    ]
    for part in (records[:25], records[20:]):
        ingested(a_file(tmp_path, part))
        roll_up_days(None)
    with transaction() as connection:
        counted = connection.execute(
            text("""
                SELECT (SELECT sum(landed) FROM ingest_batches) AS batches, (SELECT count(*) FROM request_keys) AS keys,
                       (SELECT count(*) FROM requests) AS requests, (SELECT sum(requests) FROM usage_daily) AS facts,
                       (SELECT sum(cost) FROM usage_daily) AS cost
            """)
        ).one()
    assert tuple(counted) == (40, 40, 40, 40, sum(range(40)) * Decimal("1e-12"))
    assert differing("UTC") == []
