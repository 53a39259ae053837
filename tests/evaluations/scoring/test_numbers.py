"""Numbers as people write them."""

import random
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluations.scoring.numbers import numbers_in
from tests.evaluations.scoring.builders import score, value


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("-3 and +4", ["-3", "4"]),
        ("\u22127 degrees", ["-7"]),
        ("$1,234.50", ["1234.50"]),
        ("1,234,567", ["1234567"]),
        ("1,23,456", ["1", "23456"]),
        ("1,2,3", ["1", "2", "3"]),
        ("pages 2-5", ["2", "5"]),
        ("3 - 5", ["3", "5"]),
        ("(-5)", ["-5"]),
        ("x=-5", ["-5"]),
        (".5 and -.25", ["0.5", "-0.25"]),
        ("It is 7.", ["7"]),
        ("6.02e23", ["6.02E+23"]),
        ("12 % of 5%", ["12", "5"]),
        ("1.2.3", ["1.2", "3"]),
        ("1e99999", ["1", "99999"]),
        ("1e2000", []),
        ("none", []),
        ("\u0663", []),
    ],
)
def test_numbers_are_read_in_order(text: str, numbers: list[str]) -> None:
    assert [str(number) for number in numbers_in(text)] == numbers


def test_decimal_commas_and_percents_are_read_on_request() -> None:
    assert numbers_in("1.234,5 und 3,14", decimal_comma=True) == [Decimal("1234.5"), Decimal("3.14")]
    assert numbers_in("12 % of 7", percent_as_fraction=True) == [Decimal("0.12"), Decimal(7)]


@given(st.integers(-(10**15), 10**15), st.integers(0, 99))
def test_every_number_with_grouping_is_read_exactly(whole: int, cents: int) -> None:
    assert numbers_in(f"about {whole:,}.{cents:02d} euros") == [Decimal(f"{whole}.{cents:02d}")]


@pytest.mark.parametrize(
    ("name", "said", "expected", "settings", "result"),
    [
        ("number", "3 apples and 4 pears make 7", 7, {}, 1.0),
        ("number", "7 it is, not 8", 7, {}, 0.0),
        ("number", "7 it is, not 8", 7, {"take": "first"}, 1.0),
        ("number", "7 = 7.0", 7, {"take": "only"}, 1.0),
        ("number", "7 or 8", 7, {"take": "only"}, 0.0),
        ("number", "$14,000", "14000.00", {}, 1.0),
        ("number", "0.31", 0.3, {"tolerance": 0.01}, 1.0),
        ("number", "0.3101", 0.3, {"tolerance": 0.01}, 0.0),
        ("number", "101", 100, {"relative_tolerance": 0.01}, 1.0),
        ("number", "102", 100, {"relative_tolerance": 0.01}, 0.0),
        ("number", "12 %", 0.12, {"percent_as_fraction": True}, 1.0),
        ("number", "12345678901234567890123", "12345678901234567890124", {}, 0.0),
        ("number", "1e1000", "1", {"relative_tolerance": 0.5}, 0.0),
        ("number", "none", 7, {}, 0.0),
        ("number", "none", 7, {"missing": "unscored"}, None),
        ("number", "7", "seven", {}, None),
        ("number", "7", [6, 7], {}, 1.0),
        ("any_number", "1, 7 and 9", 7, {}, 1.0),
        ("any_number", "1 and 9", 7, {}, 0.0),
        ("number_between", "about 5", None, {"low": 5, "high": 6}, 1.0),
        ("number_between", "about 6.5", None, {"low": 5, "high": 6}, 0.0),
        ("number_between", "about 6.5", None, {"low": 5}, 1.0),
        ("number_between", "none", None, {"low": 5}, 0.0),
        ("number_error", "8", 10, {"scale": 4}, 0.5),
        ("number_error", "10", 10, {"scale": 4}, 1.0),
        ("number_error", "99", 10, {"scale": 4}, 0.0),
    ],
)
def test_numbers_are_compared(
    name: str, said: str, expected: Any, settings: dict[str, Any], result: float | None
) -> None:
    assert value(name, said, expected, **settings) == result


def test_reasons_name_both_numbers() -> None:
    assert score("number", "it is 8", 7).why == "wanted 7, said 8"
    assert score("number", "it is 8", 7, tolerance=0.5).why == "wanted 7 ± 0.5, said 8"
    assert score("number", "no idea", 7).why == "no number in 'no idea'"
    assert score("number", "1e300", 7).why == "wanted 7, said 1e+300"


def test_tolerance_is_exact_where_binary_fractions_are_not() -> None:
    rng = random.Random(7)
    for _ in range(500):
        cents, off = rng.randrange(10_000), rng.randrange(1, 50)
        said, wanted = Decimal(cents + off) / 100, Decimal(cents) / 100
        tolerance = off / 100
        assert value("number", str(said), str(wanted), tolerance=tolerance) == 1.0
        assert value("number", str(said + Decimal("0.0001")), str(wanted), tolerance=tolerance) == 0.0
