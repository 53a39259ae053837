"""Working on a run: lanes that claim shards, answer and score them, until nothing is left or somebody says stop.

Nothing here knows Prefect: how one shard is executed is handed in, so that a flow can show each as a task.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from typing import Literal
from uuid import UUID

from tasks.answering import answer_shard
from tasks.asking import LedgerAsker
from tasks.execution import Execution, executing, execution_of
from tasks.scoring import score_shard
from tasks.settings import settings
from tasks.store import leases, runs
from tasks.store.answers import last_attempts
from tasks.store.database import transaction
from tasks.store.ledger import CellKey, Lease, LeaseLost

LANES = 3
"""Shards under way at once in one process: while one is being scored, others keep the slots busy."""
WAIT_FOR_OWNERS_S = 0.5

InFlight = Literal["retry", "skip"]
RunShard = Callable[[UUID, Lease, InFlight], Awaitable[bool]]
Look = Callable[[UUID], Awaitable[None]]
"""Looks at a run under way, and may ask it to stop."""


async def run_shard(run_id: UUID, lease: Lease, in_flight: InFlight) -> bool:
    """Answer and score the cases of one shard; True when none of them is left open."""
    execution = execution_of(run_id)
    done, scored = False, lease.first_position - 1

    async def score(last: int) -> bool:
        """Score what comes after the cases that are scored, up to this position."""
        nonlocal scored
        first, scored = scored + 1, last
        asker = LedgerAsker(execution, lease, await asyncio.to_thread(_attempts, execution, lease))
        await score_shard(execution.run, execution.panel, first, last, asker)
        return True

    try:
        # Only the cases of the last calls are left to be scored when these have come back.
        done = await answer_shard(execution, lease, skip_in_flight=in_flight == "skip", meanwhile=score)
        await score(lease.last_position)
    except LeaseLost:
        # Its new owner carries on; what was committed here is in the ledger.
        return False
    finally:
        await asyncio.to_thread(_finish, execution, lease, done)
    return done


async def work_on(
    run_id: UUID,
    *,
    in_flight: InFlight = "retry",
    flow_run_id: UUID | None = None,
    shard: RunShard = run_shard,
    look: Look | None = None,
) -> None:
    """Work on a run until nothing is left to do or it is stopped; joins others who work on it.

    `look` looks at what is there already before the first shard, and again after each.
    """
    async with executing(run_id) as execution:
        await asyncio.to_thread(_begin, run_id, flow_run_id)
        try:
            if look is not None:
                await look(run_id)
            await asyncio.gather(*(_lane(execution, in_flight, shard, look) for _ in range(LANES)))
        finally:
            await asyncio.to_thread(_end, execution)


async def _lane(execution: Execution, in_flight: InFlight, shard: RunShard, look: Look | None) -> None:
    """Claim a shard, run it, claim the next; wait while others still hold some."""
    while not execution.stop.requested:
        lease = await asyncio.to_thread(_claim, execution)
        if lease is not None:
            await shard(execution.run.id, lease, in_flight)
            if look is not None:
                await look(execution.run.id)
        elif await asyncio.to_thread(_others_at_work, execution):
            await asyncio.sleep(WAIT_FOR_OWNERS_S)
        else:
            return


def _begin(run_id: UUID, flow_run_id: UUID | None) -> None:
    with transaction() as connection:
        runs.start_run(connection, run_id, flow_run_id)


def _end(execution: Execution) -> None:
    """Record how this execution ended; while others still work on the run, that is theirs to say."""
    reason = execution.stop.reason
    with transaction() as connection:
        runs.add_provider_stats(connection, execution.run.id, _provider_stats(execution))
        own = execution.ledger.worker_id
        if reason is None and any(owner.worker_id != own for owner in leases.owners(connection, execution.run.id)):
            return
        left = leases.open_shards(connection, execution.run.id)
        runs.stop_run(
            connection,
            execution.run.id,
            status="partial" if left else "completed",
            reason=(reason or "") if left else "",
        )


def _provider_stats(execution: Execution) -> list[dict[str, object]]:
    gateway = execution.gateway
    return [asdict(each) | {"advice": gateway.alternatives(each.label)} for each in gateway.stats() if each.attempts]


def _claim(execution: Execution) -> Lease | None:
    with transaction() as connection:
        return leases.claim(connection, execution.run.id, execution.ledger.worker_id, settings().lease_seconds)


def _others_at_work(execution: Execution) -> bool:
    with transaction() as connection:
        own = execution.ledger.worker_id
        return any(owner.worker_id != own for owner in leases.owners(connection, execution.run.id))


def _attempts(execution: Execution, lease: Lease) -> Mapping[tuple[CellKey, int], int]:
    with transaction() as connection:
        return last_attempts(connection, execution.run.id, lease.first_position, lease.last_position)


def _finish(execution: Execution, lease: Lease, done: bool) -> None:
    with transaction() as connection:
        leases.finish(connection, execution.run.id, lease, done=done)
