"""Sweeping: the steps of scheduled and triggered flows as Prefect tasks, and what Prefect shows of them."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import date
from threading import Event
from typing import Any
from uuid import UUID

from prefect import Flow, State, task
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from evaluations.errors import AssayError, NothingYet
from evaluations.schedules import CatchUp
from tasks import (
    analysing,
    model_probing,
    notifying,
    pages,
    recommending,
    remeasuring,
    repricing,
    retention,
    rollups,
    scheduling,
    selecting,
    tidying,
)
from tasks.model_probing import ProbeRequest
from tasks.scheduling import Due, Ended, Part
from tasks.secrets import without_secrets
from tasks.services.recovery import recover_here


@task(name="analyse", cache_policy=NO_CACHE)
async def analyse_finished(run_id: UUID | None) -> str:
    """Analyse the run named, or every finished one that waits. Gives a sentence about what was done.

    Raises AssayError, after all had their turn, when some could not be analysed.
    """
    analysed = await asyncio.to_thread(lambda: analysing.analyse_all(analysing.waiting(run_id)))
    if analysed.failed:
        raise AssayError(str(analysed))
    return str(analysed)


@task(name="take-up-interrupted-runs", cache_policy=NO_CACHE)
async def take_up_interrupted() -> str:
    """Go on with whatever lost its process. Gives a sentence about what was done."""
    return str(await asyncio.to_thread(recover_here))


@task(name="forget-expired-answers", cache_policy=NO_CACHE)
async def forget_expired_answers() -> str:
    return await asyncio.to_thread(tidying.forget_expired_answers)


@task(name="release-dead-leases", cache_policy=NO_CACHE)
async def release_dead_leases() -> str:
    return await asyncio.to_thread(tidying.release_dead_leases)


@task(name="remove-half-written", cache_policy=NO_CACHE)
async def remove_half_written() -> str:
    return await asyncio.to_thread(tidying.remove_half_written)


@task(name="drop-old-partitions", cache_policy=NO_CACHE)
async def drop_old_partitions() -> str:
    """Let requests and spans go that are older than the settings say. Gives a sentence about what went."""
    return str(await asyncio.to_thread(retention.apply_retention))


@task(name="roll-up-days", cache_policy=NO_CACHE)
async def roll_up_days(first: date | None, last: date | None) -> str:
    """Roll up a range of days, or all that changed. Gives a sentence about what came of them."""
    return str(await asyncio.to_thread(_roll_up, first, last))


def _roll_up(first: date | None, last: date | None) -> rollups.RolledDays:
    rolled = rollups.roll_up_days(rollups.days_between(first, last))
    rollups.keep_demand()
    return rolled


@task(name="write-page", cache_policy=NO_CACHE)
async def write_page(page: str, id: str, first: date | None, last: date | None) -> Ended:
    """Write one page. What goes wrong with it is said, not raised: it stops no other page."""
    try:
        path = await asyncio.to_thread(pages.publish_page, page, id, first, last)
    except NothingYet as nothing:
        return Ended(f"{page}: {nothing}")
    except Exception as problem:  # noqa: BLE001 - whatever one page trips over, the others are written
        said = str(problem) if isinstance(problem, AssayError) else f"{type(problem).__name__}: {problem}"
        return Ended(f"{page} failed: {without_secrets(said)}", failed=True)
    return Ended(f"{page}: {path}")


async def write_pages(page: str, id: str, first: date | None, last: date | None) -> list[Ended]:
    """Write the page named, or all that nightly writes, one after the other."""
    pages.check_page(page, id, first, last)
    return [await write_page(each, id, first, last) for each in ([page] if page else pages.PAGES)]


@task(name="reprice-days", cache_policy=NO_CACHE)
async def reprice_days(first: date, last: date | None, *, dry_run: bool) -> str:
    """Price the requests of some days again. Gives what came of it. Cancelled, it ends after the page under way."""
    days = rollups.days_between(first, last) or ()
    stop = Event()
    work = asyncio.create_task(asyncio.to_thread(_reprice, days, dry_run, stop))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.gather(work, return_exceptions=True)
        raise


def _reprice(days: Sequence[date], dry_run: bool, stop: Event) -> str:
    found = repricing.reprice(days, dry_run=dry_run, stop=stop)
    return f"{found.sentence()}. Report: {repricing.publish_repricing(found).html}"


@task(name="probe-models", cache_policy=NO_CACHE)
async def probe_models(request: ProbeRequest) -> str:
    """Look at listings, test the capabilities of models. Gives a sentence about what was found."""
    found = await model_probing.probe(request)
    return " ".join([str(found), *(f"{each}." for each in found.left_out)])


@task(name="look-at-selections", cache_policy=NO_CACHE)
async def look_at_selections() -> str:
    """Ask the policies of published selections again. Gives a sentence for each."""
    return await asyncio.to_thread(selecting.look_again)


@task(name="recommend", cache_policy=NO_CACHE)
async def recommend_changes(feature: str, margin: float) -> str:
    """Look for what should change, and write down what is new. Gives a sentence about what was found."""
    try:
        return str(
            await asyncio.to_thread(recommending.recommend_all, recommending.Ask(margin=margin), feature or None)
        )  # fmt: skip
    except NothingYet as nothing:
        return str(nothing)


@task(name="measure-savings", cache_policy=NO_CACHE)
async def measure_savings(after_days: int) -> str:
    """Measure what accepted recommendations have saved. Gives a sentence about how many."""
    return str(await asyncio.to_thread(remeasuring.remeasure_due, after_days))


@task(name="send-notifications", cache_policy=NO_CACHE)
async def send_notifications() -> Ended:
    """Send what waits in the outbox. A channel that does not take it keeps none of the others."""
    done = await asyncio.to_thread(notifying.send_waiting)
    return Ended(str(done), failed=bool(done.failed or done.dead))


@task(name="due-dates", cache_policy=NO_CACHE)
async def due(flow: str, given: date | None, timezone: str, catch_up: CatchUp) -> Due:
    """The dates that a flow is to do now."""
    scheduled = flow_run.get_scheduled_start_time()
    return await asyncio.to_thread(scheduling.due, flow, given, timezone, catch_up, scheduled)


async def do_dates(flow: str, wanted: Due, parts: Sequence[Flow[[], Any]]) -> State[str]:
    """Do every part of each date, each once. The flow fails at the end if a part did, and says which."""
    given = flow_run.get_id()
    own = UUID(given) if given else None
    named: Mapping[str, Part] = {part.name: _part(part) for part in parts}
    ended = [await scheduling.do_date(flow, day, named, flow_run_id=own) for day in wanted.days]
    return shown(ended or [Ended(wanted.told)])


def shown(ended: Sequence[Ended]) -> State[str]:
    """How a flow ended, with a sentence that Prefect's page shows."""
    told = scheduling.sentence_of(ended)
    if any(each.failed for each in ended):
        return Failed(message=told)
    return Completed(message=told, data=told)


def _part(flow: Flow[[], Any]) -> Part:
    async def run() -> str | None:
        state: State[Any] = await flow(return_state=True)
        return None if state.is_completed() else without_secrets(state.message or state.name or "")

    return run
