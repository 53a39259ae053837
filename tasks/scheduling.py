"""Scheduling: which dates a scheduled flow is to do, and doing each of them once.

Prefect says when a flow starts; whether a date is done is read from Postgres.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, date, datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from evaluations.errors import AssayError
from evaluations.schedules import CatchUp, due_dates, logical_date
from tasks.settings import settings
from tasks.store import logical_dates
from tasks.store.database import transaction
from tasks.store.logical_dates import Claim, LogicalDate, Taken

Part = Callable[[], Awaitable[str | None]]
"""One part of what is to be done for a date. Gives why it failed, or None."""


@dataclass(frozen=True, slots=True)
class Due:
    """The dates to be done now. Where there are none, `told` says why."""

    days: tuple[date, ...]
    told: str = ""


@dataclass(frozen=True, slots=True)
class Ended:
    """What came of one date."""

    told: str
    failed: bool = False


def due(flow: str, given: date | None, timezone: str, catch_up: CatchUp, scheduled: datetime) -> Due:
    """The dates that a flow is to do now: the one given, or what its policy makes of those that were missed.

    Raises AssayError when the one given is not over yet.
    """
    zone = ZoneInfo(timezone)
    meant = logical_date(scheduled, zone)
    # A worker may start a run some seconds before its time.
    today = max(logical_date(datetime.now(UTC), zone), meant)
    if given is not None:
        if given > today:
            raise AssayError(f"{given} is not over in {timezone}; the newest date that can be done is {today}.")
        return Due((given,))
    with transaction() as connection:
        days = due_dates(
            catch_up,
            logical_dates.last_done(connection, flow),
            today,
            scheduled=meant,
            unfinished=logical_dates.unfinished(connection, flow),
        )
        newest = logical_dates.date_of(connection, flow, today)
    if days:
        return Due(days)
    if catch_up == "none" and meant < today:
        return Due((), f"{meant} was missed and stays so, as `catch_up: none` says. Do it by `date: {meant}`.")
    return Due((), f"Nothing is due: {_said(newest) if newest else f'{today} is done'}.")


async def do_date(flow: str, day: date, parts: Mapping[str, Part], *, flow_run_id: UUID | None) -> Ended:
    """Do every part of a date, whatever becomes of the others, unless the date is done or somebody is at work on it."""
    with ExitStack() as held:
        claim = await asyncio.to_thread(
            held.enter_context,
            logical_dates.claimed(flow, day, flow_run_id=flow_run_id, actor=settings().actor),
        )
        if isinstance(claim, Taken):
            return Ended(f"{_said(claim.by)}; nothing was done again")
        failures = {name: why for name, part in parts.items() if (why := await part()) is not None}
        await asyncio.to_thread(_finish, claim, not failures)
    if not failures:
        return Ended(f"{day} is done")
    told = "; ".join(f"{name} failed: {why}" for name, why in failures.items())
    return Ended(f"{day}: {told}", failed=True)


def sentence_of(ended: Sequence[Ended]) -> str:
    return "; ".join(each.told.rstrip(".") for each in ended) + "."


def _finish(claim: Claim, done: bool) -> None:
    with transaction() as connection:
        logical_dates.finish(connection, claim, done=done)


def _said(known: LogicalDate) -> str:
    by = f" by flow run {known.flow_run_id}" if known.flow_run_id else ""
    if known.status == "done" and known.finished_at is not None:
        return f"{known.day} was done{by} at {known.finished_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    return f"{known.day} is being done{by} since {known.started_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
