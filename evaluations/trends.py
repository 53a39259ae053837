"""Trends: whether a measure really moved from one period to the next, and which days stand out.

A wobble is not a trend. Days are held against the same weekday before, the change has an interval, and what is smaller
than a dead band is called steady however sure it is.
"""

import calendar
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Literal

from evaluations.estimates import Estimate
from evaluations.statistics.means import mean_interval
from evaluations.statistics.proportions import wilson

Direction = Literal["up", "down", "steady", "unclear", "unknown"]
"""up, down: beyond the dead band, and the interval excludes no change. steady: the whole interval lies within the band.
unclear: the days differ too much to say. unknown: too few pairs of days."""

FEWEST_PAIRS = 5
"""Of days: with fewer an interval says next to nothing."""
WEEK = 7
USUAL_WEEKS = 4
"""How many weeks tell what is usual."""
STANDS_OUT_SPREADS = 4.0
STANDS_OUT_TIMES = 1.5
FEWEST_SAME_WEEKDAYS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """How a measure changed from one period to the next, weekday by weekday."""

    direction: Direction
    change: Estimate | None
    """A share of what was before (0.1 is ten percent more) where `relative`, else a difference in the measure's own
    unit; n counts pairs of days. None when unknown."""
    relative: bool

    @property
    def moved(self) -> bool:
        return self.direction in ("up", "down")


UNKNOWN_AMOUNT = Trend(direction="unknown", change=None, relative=True)


def trend(
    now: Sequence[float | None],
    before: Sequence[float | None],
    *,
    relative: bool,
    dead_band: float,
    confidence: float = 0.95,
) -> Trend:
    """Hold days against the same weekdays before them: `now[i]` against `before[i]`, shape (n,) each.

    A relative change is that of the geometric mean: pairs with a zero have no ratio and are left out, as are pairs
    with an unknown. `dead_band` has the unit of the change. The interval is Student's, over pairs of days.
    Raises ValueError when the shapes differ.

    >>> rise = trend([11, 12, 11, 12, 11, 12, 11], [10] * 7, relative=True, dead_band=0.05)
    >>> print(rise.direction, f"{rise.change.value:.3f}")
    up 0.142
    """
    pairs = [
        (new, old) for new, old in zip(now, before, strict=True)
        if new is not None and old is not None and not (relative and (new <= 0 or old <= 0))
    ]  # fmt: skip
    if len(pairs) < FEWEST_PAIRS:
        return Trend(direction="unknown", change=None, relative=relative)
    changes = [math.log(new / old) if relative else new - old for new, old in pairs]
    change = mean_interval(changes, confidence)
    if relative:
        change = Estimate(
            value=math.expm1(change.value),
            low=math.expm1(change.low),
            # A ratio has no upper end where its days differ by orders of magnitude.
            high=math.expm1(min(change.high, 700.0)),
            n=change.n,
            confidence=confidence,
            method=f"{change.method} of log ratios",
        )
    return Trend(direction=_direction(change, dead_band), change=change, relative=relative)


def _direction(change: Estimate, dead_band: float) -> Direction:
    if -dead_band <= change.low and change.high <= dead_band:
        return "steady"
    if change.low > 0 and change.value > dead_band:
        return "up"
    if change.high < 0 and change.value < -dead_band:
        return "down"
    return "unclear"


def usual(days: Mapping[date, float | None], day: date) -> float | None:
    """What is usual for a day: the median of the same weekday in the weeks before it; None when none is known.

    A median, so that one bad day of the past, or the first days of what is going on now, are not taken for usual.
    """
    known = [value for n in range(1, USUAL_WEEKS + 1) if (value := days.get(day - timedelta(weeks=n))) is not None]
    return statistics.median(known) if known else None


def for_all(confidence: float, tests: int) -> float:
    """The confidence of each of some intervals so that all of them together keep the one given (Bonferroni).

    Source: Dunn (1961), "Multiple Comparisons Among Means", JASA 56(293).
    """
    return 1 - (1 - confidence) / max(tests, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class StandOut:
    """A day that differs from its usual self by more than days do."""

    day: date
    value: float
    usual: float
    """What other days lead one to expect."""


def stand_outs(days: Mapping[date, float]) -> list[StandOut]:
    """Days with at least half as much again as usual, and four robust standard deviations beyond it, in their order.

    What is usual is the median of the same weekday in the other weeks, so that the day itself neither hides nor
    counts; the spread is that of all days' ratios to their usual, from the median absolute deviation.
    Source: Rousseeuw and Croux (1993), "Alternatives to the Median Absolute Deviation", JASA 88(424).
    """
    logs: dict[date, tuple[float, float]] = {}
    for day, value in days.items():
        others = [
            other for at, other in days.items() if at != day and at.weekday() == day.weekday() and other > 0
        ]  # fmt: skip
        if value > 0 and len(others) >= FEWEST_SAME_WEEKDAYS:
            usual = statistics.median(others)
            logs[day] = (math.log(value / usual), usual)
    if not logs:
        return []
    spread = 1.4826 * statistics.median(abs(ratio) for ratio, _ in logs.values())
    limit = max(STANDS_OUT_SPREADS * spread, math.log(STANDS_OUT_TIMES))
    return [
        StandOut(day=day, value=days[day], usual=usual) for day, (ratio, usual) in sorted(logs.items()) if ratio > limit
    ]


def bad_days(failures: Mapping[date, tuple[int, int]], band: float, confidence: float) -> list[StandOut]:
    """Days whose share of failures is surely more than `band` above the usual one, in their order.

    `failures` holds (failed, all) of each day. What is usual is the share over all other days; the day's own share
    counts by the lower end of its Wilson interval.
    """
    failed, ended = (sum(each[n] for each in failures.values()) for n in (0, 1))
    found = []
    for day, (bad, n) in sorted(failures.items()):
        if n and ended > n:
            usual_share = (failed - bad) / (ended - n)
            if wilson(bad, n, confidence).low > usual_share + band:
                found.append(StandOut(day=day, value=bad / n, usual=usual_share))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class ToDate:
    """What a month has cost so far, beside the month before up to the same day."""

    first: date
    last: date
    cost: Decimal | None
    before: Decimal | None
    """The same days of the month before; None unless all its days lie within what is known."""
    by_weekday: Decimal | None
    """As many days exactly four weeks earlier: the same weekdays, so that a weekend more is no trend."""
    trend: Trend
    """Of the cost of days against those four weeks earlier."""

    @property
    def change(self) -> float | None:
        """Against the same days of the month before."""
        return float(self.cost / self.before) - 1 if self.cost is not None and self.before else None


def month_to_date(costs: Mapping[date, Decimal], known_from: date, last: date, *, dead_band: float) -> ToDate:
    """The month of the last day so far; `known_from` is the first day of which anything is known."""
    first = last.replace(day=1)
    month_before = (first - timedelta(days=1)).replace(day=1)
    same_day = min(last.day, calendar.monthrange(month_before.year, month_before.month)[1])
    days = [first + timedelta(days=n) for n in range(last.day)]
    shifted = [day - timedelta(weeks=4) for day in days]
    return ToDate(
        first=first,
        last=last,
        cost=sum_of(costs, first, last),
        before=sum_of(costs, month_before, month_before.replace(day=same_day)) if month_before >= known_from else None,
        by_weekday=sum_of(costs, shifted[0], shifted[-1]) if shifted[0] >= known_from else None,
        trend=trend(
            [_float(costs.get(day)) for day in days],
            [_float(costs.get(day)) for day in shifted],
            relative=True,
            dead_band=dead_band,
        ),
    )


def sum_of(costs: Mapping[date, Decimal], first: date, last: date) -> Decimal | None:
    """What the days from first to last cost, both included; None when no cost is known."""
    within = [cost for day, cost in costs.items() if first <= day <= last]
    return sum(within, Decimal(0)) if within else None


def weeks_apart(last: date, weeks: int = 1) -> tuple[list[date], list[date]]:
    """The days of the last week, or weeks, and those of as many weeks before, in the same order of weekdays."""
    now = [last - timedelta(days=n) for n in reversed(range(WEEK * weeks))]
    return now, [day - timedelta(weeks=weeks) for day in now]


def _float(value: Decimal | None) -> float | None:
    return None if value is None else float(value)
