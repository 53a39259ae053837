"""Trends: what really moved, what merely wobbled, which days stand out, and months held against like days."""

import doctest
import math
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal

import numpy as np
import pytest

from evaluations import trends
from evaluations.trends import Direction, bad_days, for_all, month_to_date, stand_outs, trend, usual

MONDAY = date(2026, 5, 4)


def series(values: Callable[[int], float], days: int, first: date = MONDAY) -> dict[date, float]:
    return {first + timedelta(days=n): values(n) for n in range(days)}


def test_the_example_says_what_happens() -> None:
    assert doctest.testmod(trends) == (0, 2)


def test_a_relative_change_is_that_of_scipys_paired_test_on_logs() -> None:
    from scipy import stats

    random = np.random.default_rng(5)
    now, before = random.lognormal(1.2, 0.3, 14), random.lognormal(1.0, 0.3, 14)
    found = trend(list(now), list(before), relative=True, dead_band=0.05, confidence=0.9).change
    theirs = stats.ttest_rel(np.log(now), np.log(before)).confidence_interval(0.9)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((math.expm1(theirs.low), math.expm1(theirs.high)))
    assert found.value == pytest.approx(stats.gmean(now) / stats.gmean(before) - 1)
    assert (found.n, found.confidence) == (14, 0.9)


def test_a_difference_is_that_of_scipys_paired_test() -> None:
    from scipy import stats

    now, before = [0.02, 0.03, 0.01, 0.05, 0.02, 0.03, 0.02], [0.01, 0.01, 0.02, 0.02, 0.0, 0.01, 0.01]
    found = trend(now, before, relative=False, dead_band=0.005).change
    theirs = stats.ttest_rel(now, before).confidence_interval(0.95)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high))


@pytest.mark.parametrize(
    ("now", "direction"),
    [
        ([1.2, 1.21, 1.19, 1.2, 1.22, 1.18, 1.2], "up"),
        ([0.8, 0.81, 0.79, 0.8, 0.82, 0.78, 0.8], "down"),
        ([1.01, 0.99, 1.0, 1.01, 0.99, 1.0, 1.0], "steady"),
        # Sure, but smaller than the dead band: no trend.
        ([1.03, 1.03, 1.03, 1.03, 1.03, 1.03, 1.03001], "steady"),
        ([2.0, 0.5, 1.5, 0.6, 1.9, 0.9, 1.2], "unclear"),
        ([1.2, 1.2, 1.2, 1.2, None, None, None], "unknown"),
        # A day without cost has no ratio: it is left out, and three of them leave too few.
        ([1.2, 1.2, 1.2, 1.2, 0.0, 0.0, 0.0], "unknown"),
        ([1.0] * 7, "steady"),
    ],
)
def test_a_trend_is_beyond_its_interval_and_its_dead_band(now: list[float | None], direction: Direction) -> None:
    assert trend(now, [1.0] * 7, relative=True, dead_band=0.05).direction == direction


def test_days_of_different_number_are_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        trend([1.0] * 7, [1.0] * 6, relative=True, dead_band=0.05)


def test_of_pages_on_which_nothing_moved_about_one_in_twenty_says_that_something_did() -> None:
    """Sixteen measures a page, with the rhythm of a week and noise alone; without the family it would be one in two."""
    random = np.random.default_rng(11)
    week = np.array([1.1, 1.15, 1.1, 1.05, 1.0, 0.45, 0.4])
    confidence, pages, measures = for_all(0.95, 16), 400, 16
    wrong = 0
    for _ in range(pages):
        days = random.lognormal(0, 0.08, (measures, 2, 7)) * week
        wrong += any(
            trend(list(now), list(before), relative=True, dead_band=0.0, confidence=confidence).moved
            for now, before in days
        )
    # Binomial(400, 0.05) stays within these bounds in 999 of 1,000.
    assert 6 <= wrong <= 37


def test_usual_is_the_median_of_the_same_weekday_before() -> None:
    days: dict[date, float | None] = {
        MONDAY - timedelta(weeks=n): value for n, value in enumerate((9, 1, 2, 100, 3, 7))
    }
    assert usual(days, MONDAY) == pytest.approx(2.5)  # of 1, 2, 100 and 3: four weeks, without the day itself
    assert usual({MONDAY: 9.0}, MONDAY) is None
    assert usual({MONDAY - timedelta(weeks=1): None}, MONDAY) is None


def rhythm(n: int) -> float:
    return 10.0 if (MONDAY + timedelta(days=n)).weekday() < 5 else 4.0


def test_a_spike_stands_out_and_a_weekend_does_not() -> None:
    days = series(lambda n: rhythm(n) * (1 + 0.02 * (n % 3)), 35)
    assert stand_outs(days) == []
    spike = MONDAY + timedelta(days=16)
    days[spike] = 31.0
    [found] = stand_outs(days)
    assert (found.day, found.value) == (spike, 31.0)
    others = [days[spike + timedelta(weeks=n)] for n in (-2, -1, 1, 2)]
    assert found.usual == pytest.approx(sorted(others)[1] / 2 + sorted(others)[2] / 2)


def test_in_noise_no_day_stands_out_because_one_is_the_largest() -> None:
    random = np.random.default_rng(3)
    found = [stand_outs(series(lambda n: rhythm(n) * random.lognormal(0, 0.2), 30)) for _ in range(200)]
    assert sum(map(len, found)) <= 12  # of 6,000 days


def test_too_few_same_weekdays_tell_of_no_usual() -> None:
    assert stand_outs(series(lambda n: 100.0 if n == 0 else 1.0, 21)) == []


def test_a_bad_day_is_surely_above_the_others() -> None:
    days = {MONDAY + timedelta(days=n): (2, 200) for n in range(20)}
    days[MONDAY + timedelta(days=4)] = (40, 200)
    [found] = bad_days(days, 0.02, 0.999)
    assert found.value == 0.2
    assert found.usual == pytest.approx(38 / 3800)
    # One of three is a larger share, and proves nothing.
    days[MONDAY + timedelta(days=6)] = (1, 3)
    assert [each.day for each in bad_days(days, 0.02, 0.999)] == [MONDAY + timedelta(days=4)]
    assert bad_days({MONDAY: (5, 10)}, 0.02, 0.95) == []
    assert bad_days({}, 0.02, 0.95) == []


def test_a_month_is_held_against_the_same_days_of_the_month_before() -> None:
    costs = {date(2026, 4, 1) + timedelta(days=n): Decimal(n) for n in range(45)}  # 1 April to 15 May
    found = month_to_date(costs, date(2026, 4, 1), date(2026, 5, 15), dead_band=0.05)
    assert found.cost == sum(range(30, 45))
    assert found.before == sum(range(15))
    # 3 to 17 April: the same weekdays, four weeks earlier.
    assert found.by_weekday == sum(range(2, 17))
    assert found.change == pytest.approx(555 / 105 - 1)


def test_a_month_that_is_known_in_part_is_no_comparison() -> None:
    costs = {date(2026, 4, 10) + timedelta(days=n): Decimal(1) for n in range(36)}
    found = month_to_date(costs, date(2026, 4, 10), date(2026, 5, 15), dead_band=0.05)
    assert found.cost == 15
    assert [found.before, found.by_weekday, found.change] == [None] * 3


def test_on_the_last_day_of_a_longer_month_the_shorter_one_before_is_taken_whole() -> None:
    costs = {date(2026, 2, 1) + timedelta(days=n): Decimal(1) for n in range(59)}  # to 31 March
    found = month_to_date(costs, date(2026, 1, 1), date(2026, 3, 31), dead_band=0.05)
    assert [found.cost, found.before] == [31, 28]


def test_a_month_without_any_price_is_unknown_and_not_free() -> None:
    found = month_to_date({}, date(2026, 1, 1), date(2026, 3, 31), dead_band=0.05)
    assert (found.cost, found.before, found.trend.direction) == (None, None, "unknown")
