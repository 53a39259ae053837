"""Spend lines: what is held against what, and what is left open."""

import doctest
from datetime import date
from decimal import Decimal

import pytest

from evaluations import rollups, spend
from evaluations.spend import Names, Period, Spent, period_of, spend_lines, total_of, window_before

MAY = (date(2026, 5, 1), date(2026, 5, 31))


def cost(dollars: str | None, requests: int = 1) -> Spent:
    return Spent(
        requests=requests,
        unpriced=requests if dollars is None else 0,
        cost=None if dollars is None else Decimal(dollars),
        tokens=10,
    )


def test_the_examples_say_what_happens() -> None:
    assert doctest.testmod(spend) == (0, 1)
    assert doctest.testmod(rollups) == (0, 6)


@pytest.mark.parametrize(
    ("period", "first", "last"),
    [
        ("day", date(2026, 5, 15), date(2026, 5, 15)),
        ("week", date(2026, 5, 11), date(2026, 5, 17)),
        ("month", date(2026, 5, 1), date(2026, 5, 31)),
        ("quarter", date(2026, 4, 1), date(2026, 6, 30)),
        ("total", *MAY),
    ],
)
def test_a_day_lies_in_its_period(period: Period, first: date, last: date) -> None:
    assert period_of(date(2026, 5, 15), period, MAY) == (first, last)


@pytest.mark.parametrize("month", range(1, 13))
def test_every_month_and_quarter_ends_where_the_next_begins(month: int) -> None:
    for period in ("month", "quarter"):
        _, last = period_of(date(2024, month, 15), period, MAY)
        begins = date.fromordinal(last.toordinal() + 1)
        assert begins.day == 1
        assert period_of(begins, period, MAY)[0] == begins


def test_the_window_before_is_as_long_and_ends_the_day_before() -> None:
    assert window_before(*MAY) == (date(2026, 3, 31), date(2026, 4, 30))


def test_a_total_is_held_against_the_window_before() -> None:
    found: dict[tuple[Names, date], Spent] = {
        (("chatbot",), MAY[0]): cost("3"),
        (("search",), MAY[0]): cost("5"),
        (("new",), MAY[0]): cost("1"),
        (("free before",), MAY[0]): cost("1"),
        ((None,), MAY[0]): cost(None),
    }
    before: dict[Names, Spent] = {
        ("chatbot",): cost("2"),
        ("search",): cost("10"),
        ("free before",): cost("0"),
        (None,): cost("4"),
    }
    lines = spend_lines(found, before, MAY, "total")
    assert [(line.names[0], line.change) for line in lines] == [
        ("search", -0.5),
        ("chatbot", 0.5),
        ("free before", None),
        ("new", None),
        (None, None),
    ]
    assert total_of(lines).cost == Decimal(10)
    assert total_of(lines).unpriced == 1


def test_a_period_that_the_window_cuts_is_held_against_nothing() -> None:
    """30 April to 14 May: the first and the last week are cut, and what stands after a cut one has no equal before."""
    window = (date(2026, 4, 30), date(2026, 5, 19))
    weeks = [date(2026, 4, 27), date(2026, 5, 4), date(2026, 5, 11), date(2026, 5, 18)]
    lines = spend_lines({((), week): cost("1") for week in weeks}, {}, window, "week")
    assert [(line.begins, line.ends, line.change) for line in lines] == [
        (date(2026, 4, 30), date(2026, 5, 3), None),
        (date(2026, 5, 4), date(2026, 5, 10), None),
        (date(2026, 5, 11), date(2026, 5, 17), 0.0),
        (date(2026, 5, 18), date(2026, 5, 19), None),
    ]


def test_nothing_priced_has_no_cost() -> None:
    assert total_of(spend_lines({((), MAY[0]): cost(None)}, {}, MAY, "total")).cost is None
