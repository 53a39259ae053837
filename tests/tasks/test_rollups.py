"""Days that are rolled up, what they cost, and files of sample traffic."""

import gzip
import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from evaluations.errors import AssayError
from tasks.rollups import change_timezone, days_between, roll_up_days, telling
from tasks.sample_traffic import TRUTH, write_sample_traffic
from tasks.spending import dimensions_named, spending
from tasks.store.database import transaction
from tests.landed import a_request, land

DAY = date(2026, 5, 4)


def landed(day: date, **given: Any) -> None:
    with transaction() as connection:
        land(connection, [a_request(at=datetime(day.year, day.month, day.day, 12, tzinfo=UTC), **given)])


def test_a_range_has_both_its_ends() -> None:
    assert days_between(None, None) is None
    assert days_between(DAY, None) == (DAY,)
    assert days_between(DAY, DAY + timedelta(days=2)) == tuple(DAY + timedelta(days=n) for n in range(3))


@pytest.mark.parametrize(
    ("first", "last", "told"),
    [
        (None, DAY, "a range takes both ends"),
        (DAY, DAY - timedelta(days=1), "2026-05-04 comes after 2026-05-03"),
        (date(226, 5, 4), DAY, "at most 3,660 are rolled up at once"),
    ],
)
def test_a_range_that_is_none_is_refused(first: date | None, last: date, told: str) -> None:
    with pytest.raises(AssayError, match=told):
        days_between(first, last)


@pytest.mark.usefixtures("store")
def test_days_that_changed_are_rolled_up_and_then_none_is_left() -> None:
    landed(DAY)
    landed(DAY + timedelta(days=3))
    assert str(roll_up_days(None)) == "2 days with 2 requests rolled up: 2 new"
    landed(DAY)
    assert str(roll_up_days(None)) == "1 day with 2 requests rolled up: 1 restated"
    assert str(roll_up_days(None)) == "No day had changed"
    assert str(roll_up_days([DAY])) == "1 day with 2 requests rolled up: 1 unchanged"


@pytest.mark.usefixtures("store")
def test_whoever_rolls_up_is_told_after_each_day() -> None:
    told: list[tuple[int, int, date]] = []
    with telling(lambda done, days, rolled: told.append((done, days, rolled.day))):
        roll_up_days([DAY, DAY + timedelta(days=1)])
    roll_up_days([DAY])
    assert told == [(1, 2, DAY), (2, 2, DAY + timedelta(days=1))]


@pytest.mark.usefixtures("store")
def test_a_time_zone_that_nobody_knows_is_refused_with_the_nearest() -> None:
    with pytest.raises(AssayError, match="did you mean 'Europe/Berlin'"):
        change_timezone("Europe/Berlln")


@pytest.mark.usefixtures("store")
def test_spending_is_held_against_as_many_days_before() -> None:
    for n in range(4):
        landed(DAY + timedelta(days=n), cost=Decimal("0.000000000001") * (n + 1))
    landed(DAY + timedelta(days=3), cost=None, feature="search")
    roll_up_days(None)
    found = spending(("feature",), DAY + timedelta(days=2), None, "total")
    assert (found.first, found.last, found.dirty) == (DAY + timedelta(days=2), DAY + timedelta(days=3), 0)
    chatbot, search = found.lines
    assert (chatbot.names, chatbot.spent.cost) == (("chatbot",), Decimal("0.000000000007"))
    assert chatbot.change == pytest.approx(7 / 3 - 1)
    assert (search.spent.cost, search.spent.unpriced, search.change) == (None, 1, None)


@pytest.mark.usefixtures("store")
def test_a_window_that_begins_before_the_first_request_is_held_against_nothing() -> None:
    landed(DAY)
    landed(DAY + timedelta(days=1))
    roll_up_days(None)
    [line] = spending(("feature", "region"), DAY, None, "total").lines
    assert (line.names, line.change) == (("chatbot", None), None)


@pytest.mark.usefixtures("store")
def test_spending_says_how_many_days_wait_and_what_was_restated() -> None:
    landed(DAY)
    roll_up_days(None)
    landed(DAY)
    assert spending(("feature",), DAY, DAY, "day").dirty == 1
    roll_up_days(None)
    found = spending((), DAY, DAY, "day")
    assert (found.dirty, [each.rows for each in found.restatements]) == (0, [1])
    assert [line.spent.requests for line in found.lines] == [2]


@pytest.mark.usefixtures("store")
def test_spending_without_any_facts_says_what_would_do() -> None:
    with pytest.raises(AssayError, match="`assay ingest FILE`, then `assay rollup`"):
        spending(("feature",), None, None, "total")


def test_a_dimension_that_nobody_knows_is_refused_with_the_nearest() -> None:
    assert dimensions_named(["model", "feature"]) == ("feature", "model")
    with pytest.raises(AssayError, match="did you mean 'feature'"):
        dimensions_named(["featre"])


def test_sample_traffic_is_written_with_its_truth_and_always_alike(tmp_path: Path) -> None:
    path, traffic = write_sample_traffic(tmp_path / "a", DAY, days=14, scale=0.1)
    again, _ = write_sample_traffic(tmp_path / "b", DAY, days=14, scale=0.1)
    assert path.read_bytes() == again.read_bytes()
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        assert [json.loads(line) for line in lines] == list(traffic.requests)
    assert json.loads((tmp_path / "a" / TRUTH).read_text()) == traffic.truth()
