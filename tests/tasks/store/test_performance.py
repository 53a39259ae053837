"""Performance against the requests themselves, reckoned by plain Python."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from evaluations.errors import AssayError
from evaluations.histograms import RELATIVE_ERROR
from evaluations.performance import Performance, Performed, WindowName
from evaluations.rollups import PROMPT_TOKENS, TOKENS, Dimension
from tasks.rollups import roll_up_days
from tasks.store.database import transaction
from tasks.store.performance import performance
from tasks.store.rollups import set_timezone
from tests.landed import MORNING, a_request, land, varied

pytestmark = pytest.mark.usefixtures("store")
FIRST = date(2026, 3, 27)
"""Two days before the clocks of Berlin go forward."""


def landed(*requests: dict[str, Any], timezone: str = "UTC") -> None:
    with transaction() as connection:
        set_timezone(connection, timezone, "test")
        land(connection, requests, timezone=timezone)
    roll_up_days(None)


def performed(window: WindowName, *by: Dimension, until: datetime | None = None) -> Performance:
    with transaction() as connection:
        return performance(connection, window, by, until=until)


@pytest.mark.parametrize("timezone", ["UTC", "Europe/Berlin"])
@pytest.mark.parametrize("window", ["1h", "24h", "7d"])
def test_a_window_and_the_one_before_are_those_of_their_requests(window: WindowName, timezone: str) -> None:
    requests = varied(np.random.default_rng(8), 900, FIRST, days=16)
    landed(*requests, timezone=timezone)
    found = performed(window, "feature", "model", until=datetime(2026, 4, 10, 12, tzinfo=UTC))
    assert found.window.ends - found.window.begins == (
        timedelta(hours=1) if window == "1h" else timedelta(days=1 if window == "24h" else 7)
    )
    zone = ZoneInfo(timezone)
    if window == "7d":
        # The week before holds the day of 23 hours.
        assert found.before.ends - found.before.begins == timedelta(days=7, hours=-1 if timezone != "UTC" else 0)
        assert {each.astimezone(zone).hour for each in (found.window.begins, found.before.begins)} == {0}
    for line in found.lines:
        assert line.before is not None
        for part, told in ((found.window, line.now), (found.before, line.before)):
            mine = [
                each
                for each in requests
                if part.begins <= each["at"] < part.ends and (each["feature"], each["model"]) == line.names
            ]
            check(told, mine)
    inside = [each for each in requests if found.window.begins <= each["at"] < found.window.ends]
    assert sum(line.now.requests for line in found.lines) == len(inside)


def check(told: Performed, mine: list[dict[str, Any]]) -> None:
    costs = [each["cost"] for each in mine if each["cost"] is not None]
    successes = sum(each["status"] == "success" for each in mine)
    errors = sum(each["status"] == "error" for each in mine)
    assert (told.requests, told.successes, told.errors, told.priced) == (len(mine), successes, errors, len(costs))
    assert told.cost == (sum(costs) if costs else None)
    assert told.cost_per_success == (sum(costs) / successes if costs and successes else None)
    assert told.prompt_tokens == sum(each[token] for each in mine for token in PROMPT_TOKENS)
    known = sum(each["usage_known"] for each in mine)
    tokens = sum(each[token] for each in mine for token in TOKENS)
    assert told.tokens_per_request == (tokens / known if known else None)
    latencies = [each["latency_ms"] for each in mine if each["latency_ms"] is not None]
    for share in (0.5, 0.95, 0.99):
        estimate = told.latency(share)
        if not latencies:
            assert estimate is None
            continue
        assert estimate is not None
        assert estimate.n == len(latencies)
        exact = np.quantile(latencies, share, method="inverted_cdf")
        assert estimate.value == pytest.approx(exact, rel=RELATIVE_ERROR)


def test_a_window_whose_predecessor_is_not_wholly_known_is_held_against_nothing() -> None:
    landed(*(a_request(at=MORNING + timedelta(hours=n)) for n in range(30)))
    [line] = performed("24h", "feature").lines
    assert (line.now.requests, line.before) == (24, None)
    [line] = performed("1h", "feature").lines
    assert line.before is not None
    assert (line.now.requests, line.before.requests) == (1, 1)


def test_a_group_that_is_gone_is_told_beside_what_it_was() -> None:
    landed(
        a_request(feature="gone", at=MORNING),
        a_request(feature="new", at=MORNING + timedelta(hours=1), cost=Decimal(1), status="error"),
    )
    new, gone = performed("1h", "feature").lines
    assert (new.names, new.now.requests, new.before) == (("new",), 1, Performed())
    assert (new.now.cost_per_success, new.now.cost_per_request) == (None, Decimal(1))
    assert gone.names == ("gone",)
    assert gone.now == Performed()
    assert gone.before is not None
    assert gone.before.requests == 1


def test_an_hour_that_is_not_over_is_not_told() -> None:
    with transaction() as connection:
        now = connection.exec_driver_sql("SELECT now()").scalar_one()
    landed(a_request(at=now), a_request(at=now - timedelta(hours=5)))
    found = performed("1h")
    assert found.window.ends <= now
    assert [line.now.requests for line in found.lines] == [1]


def test_days_that_wait_are_counted() -> None:
    landed(a_request())
    with transaction() as connection:
        land(connection, [a_request(at=MORNING + timedelta(days=1))])
    assert performed("7d").dirty == 1


def test_without_facts_it_says_what_would_do() -> None:
    for window in ("1h", "7d"):
        with pytest.raises(AssayError, match="`assay ingest FILE`, then `assay rollup`"):
            performed(window)
