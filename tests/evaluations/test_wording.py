"""Every rule about digits, as a table."""

from decimal import Decimal

import pytest

from evaluations.wording import count, duration, money, percent, percent_beside, percent_interval, points


@pytest.mark.parametrize(
    ("usd", "said"),
    [
        ("0", "$0"),
        ("0.00", "$0"),
        ("0.0000123456", "$0.0000123"),
        ("0.0042", "$0.0042"),
        ("0.012", "$0.012"),
        ("0.1249", "$0.125"),
        ("0.5", "$0.50"),
        ("0.9994", "$0.999"),
        ("0.9996", "$1.00"),
        ("4.2", "$4.20"),
        ("20", "$20.00"),
        ("999.99", "$999.99"),
        ("999.996", "$1,000"),
        ("1204.4", "$1,204"),
        ("9999.4", "$9,999"),
        ("9999.6", "$10.0k"),
        ("33400", "$33.4k"),
        ("999499", "$999k"),
        ("999600", "$1.00M"),
        ("1270000", "$1.27M"),
        ("1270000000", "$1,270M"),
        ("-4.2", "\N{MINUS SIGN}$4.20"),
    ],
)
def test_money_is_said_in_three_figures(usd: str, said: str) -> None:
    assert money(Decimal(usd)) == said


@pytest.mark.parametrize(("usd", "said"), [("20", "$20"), ("20.50", "$20.50"), ("0.50", "$0.50"), ("1", "$1")])
def test_a_limit_in_dollars_drops_empty_cents(usd: str, said: str) -> None:
    assert money(Decimal(usd), trim=True) == said


@pytest.mark.parametrize(
    ("share", "said"),
    [
        (0, "0%"),
        (1, "100%"),
        (0.9166, "91.7%"),
        (0.8, "80.0%"),
        (0.99996, ">99.9%"),
        (0.0004, "<0.1%"),
        (1.5, "150.0%"),
    ],
)
def test_a_share_never_rounds_up_to_all_or_down_to_nothing(share: float, said: str) -> None:
    assert percent(share) == said


@pytest.mark.parametrize(
    ("share", "limit", "said"),
    [
        (0.79996, 0.8, "79.996%"),
        (0.7996, 0.8, "79.96%"),
        (0.799, 0.8, "79.9%"),
        (0.8, 0.8, "80.0%"),
        (1, 1, "100%"),
    ],
)
def test_a_share_just_below_its_limit_does_not_read_like_the_limit(share: float, limit: float, said: str) -> None:
    assert percent_beside(share, limit) == said


def test_an_interval_uses_a_dash_until_a_bound_is_negative() -> None:
    assert percent_interval(0.819, 0.964) == "81.9\N{EN DASH}96.4%"
    assert percent_interval(0.0, 1.0) == "0\N{EN DASH}100%"
    assert percent_interval(-0.031, 0.129) == "\N{MINUS SIGN}3.1 to 12.9%"


def test_a_change_has_its_sign() -> None:
    assert (points(0.056), points(-0.023)) == ("+5.6 pts", "\N{MINUS SIGN}2.3 pts")


@pytest.mark.parametrize(
    ("milliseconds", "said"),
    [
        (0, "0 ms"),
        (0.2, "<1 ms"),
        (845, "845 ms"),
        (999.6, "1.00 s"),
        (1690, "1.69 s"),
        (59_940, "59.9 s"),
        (59_970, "1 min 00 s"),
        (125_000, "2 min 05 s"),
        (3_599_600, "1 h 00 min"),
        (7_500_000, "2 h 05 min"),
    ],
)
def test_a_time_is_said_in_its_own_unit(milliseconds: float, said: str) -> None:
    assert duration(milliseconds) == said


def test_a_count_agrees_with_its_noun() -> None:
    assert [count(n, "case") for n in (0, 1, 2, 1204)] == ["0 cases", "1 case", "2 cases", "1,204 cases"]
    assert count(2, "latency", "latencies") == "2 latencies"
