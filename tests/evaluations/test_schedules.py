"""Which dates are due: on time, late, after a time without runs."""

import doctest
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluations import schedules
from evaluations.schedules import MOST_DATES, CatchUp, due_dates, logical_date

TODAY = date(2026, 6, 27)


def day(number: int) -> date:
    return date(2026, 6, number)


def test_the_examples_in_the_module_hold() -> None:
    assert doctest.testmod(schedules) == (0, 3)


@pytest.mark.parametrize(
    ("moment", "zone", "expected"),
    [
        (datetime(2026, 6, 28, 2, 0, tzinfo=UTC), "UTC", day(27)),
        (datetime(2026, 6, 28, 2, 0, tzinfo=UTC), "America/New_York", day(26)),  # still the evening of the 27th there
        (datetime(2026, 6, 27, 17, 0, tzinfo=UTC), "Asia/Tokyo", day(27)),  # 2:00 on the 28th there
        (datetime(2026, 3, 29, 1, 30, tzinfo=UTC), "Europe/Berlin", date(2026, 3, 28)),  # the night the clocks change
    ],
)
def test_the_logical_date_is_the_day_before_by_the_clocks_of_the_zone(
    moment: datetime, zone: str, expected: date
) -> None:
    assert logical_date(moment, ZoneInfo(zone)) == expected


@pytest.mark.parametrize(
    ("policy", "last_done", "expected"),
    [
        ("latest", None, (TODAY,)),
        ("latest", day(26), (TODAY,)),
        ("latest", day(20), (TODAY,)),
        ("latest", TODAY, ()),
        ("all", None, (TODAY,)),
        ("all", day(26), (TODAY,)),
        ("all", day(24), (day(25), day(26), TODAY)),
        ("all", TODAY, ()),
        ("none", None, (TODAY,)),
        ("none", day(20), (TODAY,)),
        ("none", TODAY, ()),
        ("none", day(28), ()),
    ],
)
def test_a_policy_decides_what_becomes_of_missed_dates(
    policy: CatchUp, last_done: date | None, expected: tuple[date, ...]
) -> None:
    assert due_dates(policy, last_done, TODAY) == expected


def test_a_run_that_starts_days_late_does_what_its_policy_says() -> None:
    assert due_dates("latest", day(20), TODAY, scheduled=day(23)) == (TODAY,)
    assert due_dates("all", day(25), TODAY, scheduled=day(26)) == (day(26), TODAY)
    assert due_dates("none", day(20), TODAY, scheduled=day(23)) == ()
    assert due_dates("none", day(20), TODAY, scheduled=TODAY) == (TODAY,)


def test_only_all_takes_up_again_what_failed() -> None:
    failed = (day(12), day(30))
    assert due_dates("all", day(26), TODAY, unfinished=failed) == (day(12), TODAY)
    assert due_dates("all", TODAY, TODAY, unfinished=failed) == (day(12),)
    assert due_dates("latest", day(26), TODAY, unfinished=failed) == (TODAY,)
    assert due_dates("none", day(26), TODAY, unfinished=failed) == (TODAY,)


@given(gap=st.integers(0, 400))
def test_all_ends_with_every_date_done_however_long_the_gap(gap: int) -> None:
    done: list[date] = []
    last_done = TODAY - timedelta(days=gap)
    while dates := due_dates("all", last_done, TODAY):
        assert len(dates) <= MOST_DATES
        done += dates
        last_done = max(dates)
    assert done == [TODAY - timedelta(days=n) for n in range(gap - 1, -1, -1)]
