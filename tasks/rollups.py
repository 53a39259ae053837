"""Rolling days up: which ones, each in a transaction of its own, and what came of them."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import date, timedelta
from zoneinfo import available_timezones

from sqlalchemy import Connection

from evaluations.errors import AssayError, unknown_name
from evaluations.wording import count
from tasks.settings import settings
from tasks.store import demand, rollups
from tasks.store.customer import days as tickets
from tasks.store.database import transaction
from tasks.store.rollups import RolledUp

MOST_DAYS = 3660
"""A range of more than ten years is a mistyped date."""

Told = Callable[[int, int, RolledUp], None]
"""Is told after each day: how many are done, of how many, and what came of it."""
_told: ContextVar[Told | None] = ContextVar("told", default=None)


@contextmanager
def telling(told: Told) -> Iterator[None]:
    """Whoever rolls days up within tells how far it is; a flow in between need not know of it."""
    token = _told.set(told)
    try:
        yield
    finally:
        _told.reset(token)


@dataclass(frozen=True, slots=True)
class RolledDays:
    """What came of the days that were rolled up, in their order."""

    days: tuple[RolledUp, ...]

    def __str__(self) -> str:
        if not self.days:
            return "No day had changed"
        named = Counter(each.outcome for each in self.days)
        told = ", ".join(f"{number:,} {outcome}" for outcome, number in named.items())
        requests = sum(each.requests for each in self.days)
        return f"{count(len(self.days), 'day')} with {count(requests, 'request')} rolled up: {told}"


def days_between(first: date | None, last: date | None) -> tuple[date, ...] | None:
    """The days of a range, both ends included; the last one is the first where it is not given.

    None when nothing is given: then it is the days that changed. Raises AssayError for a range that is none.
    """
    if first is None:
        if last is not None:
            raise AssayError(f"a range takes both ends; give the day from which to roll up until {last}, too.")
        return None
    last = last or first
    if last < first:
        raise AssayError(f"{first} comes after {last}; give the earlier day first.")
    days = (last - first).days + 1
    if days > MOST_DAYS:
        raise AssayError(f"{first} to {last} are {days:,} days; at most {MOST_DAYS:,} are rolled up at once.")
    return tuple(first + timedelta(days=n) for n in range(days))


def roll_up_days(days: Sequence[date] | None) -> RolledDays:
    """Roll up these days, or all that changed, and count the tickets that they tell of; a transaction for each day."""
    if days is None:
        with transaction() as connection:
            days = rollups.dirty_days(connection)
    rolled = []
    told = _told.get()
    for day in days:
        with transaction() as connection:
            rolled.append(rollups.roll_up(connection, day, actor=settings().actor))
        if told is not None:
            told(len(rolled), len(days), rolled[-1])
    count_customers()
    return RolledDays(tuple(rolled))


def count_customers() -> int:
    """Count the tickets of every day of which more was said; each is committed before the next begins. Gives how many.

    Marks that come meanwhile are those of somebody who rolls up and then does the same.
    """
    return _each_alone(tickets.waiting_days, tickets.count_tickets)


def keep_demand() -> int:
    """Keep what features asked on each whole day that is rolled up and not kept, by itself. Gives how many days."""
    return _each_alone(demand.days_to_keep, demand.keep_day)


def _each_alone(find: Callable[[Connection], Sequence[date]], work: Callable[[Connection, date], None]) -> int:
    """Do the work of every day that is found, each in a transaction of its own. Gives how many days."""
    with transaction() as connection:
        days = find(connection)
    for day in days:
        with transaction() as connection:
            work(connection, day)
    return len(days)


def change_timezone(timezone: str) -> int:
    """Part days by the midnights of another IANA zone. Gives how many days are marked to be rolled up again.

    Raises AssayError for a zone that nobody knows.
    """
    known = available_timezones()
    if timezone not in known:
        raise AssayError(unknown_name("time zone", timezone, sorted(known)))
    with transaction() as connection:
        return rollups.set_timezone(connection, timezone, settings().actor)
