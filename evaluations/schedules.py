"""Schedules: which date a scheduled run is about, and which dates are to be done after a time without runs."""

from collections.abc import Collection
from datetime import date, datetime, timedelta, tzinfo
from typing import Literal

CatchUp = Literal["latest", "all", "none"]
"""latest: only the newest date. all: every missed date, oldest first. none: what was missed stays so."""
MOST_DATES = 31
"""One run takes up at most as many; the next one goes on."""


def logical_date(moment: datetime, zone: tzinfo) -> date:
    """The newest date that is over at a moment: the day before, as the clocks of the zone have it.

    >>> from datetime import UTC
    >>> logical_date(datetime(2026, 6, 28, 2, 0, tzinfo=UTC), UTC)
    datetime.date(2026, 6, 27)
    """
    return moment.astimezone(zone).date() - timedelta(days=1)


def due_dates(
    policy: CatchUp,
    last_done: date | None,
    today: date,
    *,
    scheduled: date | None = None,
    unfinished: Collection[date] = (),
) -> tuple[date, ...]:
    """The dates to be done now, oldest first.

    `today` is the newest date that can be done, `last_done` the newest that was. `scheduled` is the date for which
    this run was meant, earlier than `today` when it starts late. `unfinished` were begun and failed; only `all` takes
    them up again. Before the first date nothing was missed.

    >>> due_dates("all", date(2026, 6, 1), date(2026, 6, 3))
    (datetime.date(2026, 6, 2), datetime.date(2026, 6, 3))
    """
    fresh = (today,) if last_done is None or last_done < today else ()
    if policy == "latest":
        return fresh
    if policy == "none":
        return fresh if scheduled is None or scheduled == today else ()
    missed = {*fresh, *(each for each in unfinished if each <= today)}
    if last_done is not None:
        missed |= {last_done + timedelta(days=n) for n in range(1, (today - last_done).days)}
    return tuple(sorted(missed)[:MOST_DATES])
