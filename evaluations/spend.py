"""Spend: what a period cost by any dimension, beside the period before it. Money is exact, or counted as unpriced."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Literal, get_args

Period = Literal["day", "week", "month", "quarter", "total"]
"""Weeks are ISO weeks, quarters those of the calendar; total is the whole window as one."""
PERIODS: tuple[Period, ...] = get_args(Period)
Names = tuple[str | None, ...]
"""The values of the dimensions asked for, in their order; None where requests did not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What some requests cost."""

    requests: int
    unpriced: int
    """Requests whose cost is unknown; it is not in `cost`."""
    cost: Decimal | None
    """US dollars; None when no cost is known."""
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SpendLine:
    """What one group cost in one period, and in the one before."""

    names: Names
    begins: date
    ends: date
    """The last day of the period, or of the window where that ends earlier."""
    spent: Spent
    before: Spent | None
    """The same group in the period before; None when that is unknown or was not as long."""

    @property
    def change(self) -> float | None:
        """By which share the cost grew; None where either cost is unknown, or there was none before."""
        if self.before is None or not self.before.cost or self.spent.cost is None:
            return None
        return float(self.spent.cost / self.before.cost) - 1


def period_of(day: date, period: Period, window: tuple[date, date]) -> tuple[date, date]:
    """The first and the last day of the period that a day lies in.

    >>> [f"{each}" for each in period_of(date(2026, 5, 6), "week", (date(2026, 5, 1), date(2026, 5, 30)))]
    ['2026-05-04', '2026-05-10']
    """
    if period == "total":
        return window
    if period == "day":
        return day, day
    if period == "week":
        monday = day - timedelta(days=day.weekday())
        return monday, monday + timedelta(days=6)
    months = 3 if period == "quarter" else 1
    first = day.replace(month=(day.month - 1) // months * months + 1, day=1)
    after = (first + timedelta(days=31 * months)).replace(day=1)
    return first, after - timedelta(days=1)


def window_before(first: date, last: date) -> tuple[date, date]:
    """As many days, ending on the day before."""
    return first - (last - first) - timedelta(days=1), first - timedelta(days=1)


def spend_lines(
    found: Mapping[tuple[Names, date], Spent],
    before: Mapping[Names, Spent],
    window: tuple[date, date],
    period: Period,
) -> list[SpendLine]:
    """A line for each group and period, periods in order and in each the dearest first.

    `found` holds what the window cost, by group and the first day of the period; `before` what the window before it
    cost, by group, which only `total` is held against. Other periods are held against the one before them in the
    window, if both lie in it with all their days.
    """
    lines = []
    for (names, begins), spent in found.items():
        first, last = period_of(begins, period, window)
        if period == "total":
            held_against = before.get(names)
        else:
            earlier = period_of(first - timedelta(days=1), period, window)[0]
            whole = earlier >= window[0] and last <= window[1]
            held_against = found.get((names, earlier)) if whole else None
        lines.append(
            SpendLine(
                names=names,
                begins=max(first, window[0]),
                ends=min(last, window[1]),
                spent=spent,
                before=held_against,
            )
        )
    return sorted(lines, key=lambda line: (line.begins, -(line.spent.cost or 0), [name or "" for name in line.names]))


def total_of(lines: Sequence[SpendLine]) -> Spent:
    """All lines together."""
    costs = [line.spent.cost for line in lines if line.spent.cost is not None]
    return Spent(
        requests=sum(line.spent.requests for line in lines),
        unpriced=sum(line.spent.unpriced for line in lines),
        cost=sum(costs, Decimal(0)) if costs else None,
        tokens=sum(line.spent.tokens for line in lines),
    )
