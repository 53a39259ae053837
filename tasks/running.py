"""Running: the steps of a run as Prefect tasks, one for each shard of cases.

Prefect retries and shows; whether work is done is read from Postgres.
"""

import asyncio
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from prefect import task
from prefect.artifacts import (
    acreate_link_artifact,
    acreate_progress_artifact,
    acreate_table_artifact,
    aupdate_progress_artifact,
)
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run

from evaluations.errors import AssayError
from evaluations.results import RunResult
from evaluations.wording import money, percent, percent_interval
from tasks import planning
from tasks.concluding import conclude
from tasks.panel import Panel
from tasks.planning import RunRequest
from tasks.publishing import Published, publish
from tasks.scoring import score_shard
from tasks.stopping import stop_all
from tasks.store import runs
from tasks.store.answers import supersede_errors
from tasks.store.database import transaction
from tasks.store.ledger import Lease
from tasks.working import InFlight, Look, run_shard, work_on

PROGRESS_EVERY_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeRequest:
    """How a run that was begun is to go on."""

    run_id: UUID
    retry_errors: bool = False
    in_flight: InFlight = "retry"
    max_cost: Decimal | None = None
    max_time: float | None = None


@task(name="open-run", cache_policy=NO_CACHE)
async def open_run(request: RunRequest) -> UUID:
    """Check suite, dataset, models and prices, and write the run down. Nothing is called."""
    return await asyncio.to_thread(lambda: planning.open_run(planning.take_plan(request)))


@task(name="reopen-run", cache_policy=NO_CACHE)
async def reopen_run(request: ResumeRequest) -> UUID:
    """Prepare a run that was begun: new limits, and errors to be called again if that is wanted."""

    def reopen() -> UUID:
        with transaction() as connection:
            run = runs.run_of(connection, request.run_id)
            if run.rescored_from is not None:
                raise AssayError("a rescore makes no calls, so there is nothing to resume; rescore again instead.")
            if request.retry_errors:
                supersede_errors(connection, run.id)
            if request.max_cost is not None:
                runs.set_cap(connection, run.id, request.max_cost)
            if request.max_time is not None or run.max_time_s is not None:
                runs.set_time_limit(connection, run.id, request.max_time)
        return request.run_id

    return await asyncio.to_thread(reopen)


async def execute(run_id: UUID, in_flight: InFlight = "retry", look: Look | None = None) -> None:
    """Work on a run, each shard shown as a task, with a progress bar in Prefect; `look` as `work_on` takes it."""
    ticker = asyncio.create_task(_show_progress(run_id))
    try:
        flow_run_id = flow_run.get_id()
        with _stopped_in_order():
            await work_on(
                run_id,
                in_flight=in_flight,
                flow_run_id=UUID(flow_run_id) if flow_run_id else None,
                shard=_shown_shard,
                look=look,
            )
    finally:
        ticker.cancel()
        await asyncio.gather(ticker, return_exceptions=True)


@contextmanager
def _stopped_in_order() -> Iterator[None]:
    """SIGTERM lets open calls finish: they are paid for. Prefect's own answer to it would drop them at once."""
    if threading.current_thread() is not threading.main_thread():
        yield  # a command drives the flow, and has the signals
        return
    before = signal.getsignal(signal.SIGTERM)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop_all, "interrupted")
    try:
        yield
    finally:
        asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)
        signal.signal(signal.SIGTERM, before)


async def _shown_shard(run_id: UUID, lease: Lease, in_flight: InFlight) -> bool:
    name = f"cases {lease.first_position + 1} to {lease.last_position + 1}"
    return await shard.with_options(task_run_name=name)(run_id, lease, in_flight)


@task(name="shard", retries=2, retry_delay_seconds=1, cache_policy=NO_CACHE)
async def shard(run_id: UUID, lease: Lease, in_flight: InFlight) -> bool:
    """Answer and score the cases of one shard; True when none of them is left open."""
    return await run_shard(run_id, lease, in_flight)


@task(name="score", cache_policy=NO_CACHE)
async def rescore_run(run_id: UUID, anew: bool = False) -> None:
    """Judge the answers of another run again; no model is called. `anew` takes no score that is stored."""

    def load() -> tuple[runs.StoredRun, list[tuple[int, int]]]:
        with transaction() as connection:
            runs.start_run(connection, run_id, None)
            return runs.run_of(connection, run_id), runs.shards_of(connection, run_id)

    run, shards = await asyncio.to_thread(load)
    panel = Panel(run.suite, run.folder_path)
    for first, last in shards:
        await score_shard(run, panel, first, last, asker=None, anew=anew)

    def end() -> None:
        with transaction() as connection:
            runs.stop_run(connection, run_id, status="completed", reason="")

    await asyncio.to_thread(end)


@task(name="conclude", cache_policy=NO_CACHE)
async def conclude_run(run_id: UUID) -> RunResult:
    """Verdicts, gates and totals of the run as it stands."""
    return await asyncio.to_thread(conclude, run_id)


@task(name="publish", cache_policy=NO_CACHE)
async def publish_report(result: RunResult) -> Published:
    """Write the report with its twins, and show verdict and link in Prefect."""
    published = await asyncio.to_thread(publish, result)
    key = f"run-{result.run_id[:8]}"
    await acreate_table_artifact(key=f"{key}-verdict", table=_table(result), description=result.sentence)
    await acreate_link_artifact(
        key=f"{key}-report", link=published.html.as_uri(), link_text="Report", description=str(published.html)
    )
    return published


def _table(result: RunResult) -> list[dict[str, Any]]:
    """The variants as a person reads them in Prefect's page."""
    return [
        {
            "variant": variant.label,
            "decides": "yes" if variant.gating else "candidate",
            "pass rate": "nothing judged"
            if variant.pass_rate is None
            else f"{percent(variant.pass_rate.value)} "
            f"(95% CI {percent_interval(variant.pass_rate.low, variant.pass_rate.high)})",
            "failed": variant.verdicts.get("fail", 0),
            "flaky": variant.verdicts.get("flaky", 0),
            "errors": variant.verdicts.get("error", 0),
            "cost": money(variant.cost_usd) + (f" + {variant.unpriced} unpriced" if variant.unpriced else ""),
            "p95": "not measured" if variant.latency is None else f"{variant.latency.p95:,.0f} ms",
        }
        for variant in result.variants
    ]


async def _show_progress(run_id: UUID) -> None:
    """A progress bar in Prefect, read from the ledger."""
    artifact = await acreate_progress_artifact(progress=0.0, key=f"run-{str(run_id)[:8]}-progress")

    def look() -> runs.Progress:
        with transaction() as connection:
            return runs.progress_of(connection, run_id)

    while True:
        await asyncio.sleep(PROGRESS_EVERY_S)
        progress = await asyncio.to_thread(look)
        await aupdate_progress_artifact(
            artifact_id=artifact,
            progress=100 * progress.done / max(1, progress.total),
            description=f"{progress.done:,} of {progress.total:,}, {money(progress.spent)}",
        )
