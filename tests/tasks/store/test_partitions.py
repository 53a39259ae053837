"""Partitions: made when a day needs one, by whoever comes first, and dropped for good."""

import threading
from datetime import date

import pytest
from sqlalchemy import text

from tasks.store.database import transaction
from tasks.store.partitions import drop_before, dropped_days, ensure_partitions, existing, partition_of


@pytest.mark.parametrize(
    ("day", "starts", "ends"),
    [
        (date(2024, 2, 29), date(2024, 2, 1), date(2024, 3, 1)),
        (date(2025, 12, 31), date(2025, 12, 1), date(2026, 1, 1)),
    ],
)
def test_requests_are_parted_by_the_month(day: date, starts: date, ends: date) -> None:
    part = partition_of("requests", day)
    assert (part.starts, part.ends) == (starts, ends)


@pytest.mark.parametrize("day", [date(2026, 6, 1), date(2026, 6, 7)])
def test_spans_are_parted_by_the_week_from_monday(day: date) -> None:
    part = partition_of("spans", day)
    assert (part.starts, part.ends, part.name) == (date(2026, 6, 1), date(2026, 6, 8), "spans_2026_06_01")


@pytest.mark.usefixtures("store")
def test_several_who_need_the_same_partition_make_it_once() -> None:
    problems: list[BaseException] = []

    def make() -> None:
        try:
            with transaction() as connection:
                ensure_partitions(connection, "requests", [date(2026, 6, 1), date(2026, 7, 1)])
        except BaseException as problem:
            problems.append(problem)

    threads = [threading.Thread(target=make) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert problems == []
    with transaction() as connection:
        assert {each.name for each in existing(connection, "requests")} == {"requests_2026_06", "requests_2026_07"}


@pytest.mark.usefixtures("store")
def test_retention_drops_what_is_wholly_older_and_remembers_it() -> None:
    with transaction() as connection:
        ensure_partitions(connection, "spans", [date(2026, 6, 1), date(2026, 6, 8)])
        gone = drop_before(connection, "spans", date(2026, 6, 14), "test")
        assert [each.starts for each in gone] == [date(2026, 6, 1)]
        assert dropped_days(connection, "spans") == [(date(2026, 6, 1), date(2026, 6, 8))]
        assert connection.execute(text("SELECT to_regclass('spans_2026_06_01')")).scalar_one() is None
        assert [each.starts for each in existing(connection, "spans")] == [date(2026, 6, 8)]
