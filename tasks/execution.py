"""An execution: what a process needs while it works on a run, and what ends it.

Flow parameters are ids; this is what they stand for inside one process. `executing` makes it, `execution_of` finds
it again inside a task.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from evaluations.answers import Answer
from evaluations.errors import InfrastructureError
from evaluations.routes import Router
from evaluations.specs import VariantSpec
from tasks.arrivals import Schedule
from tasks.panel import Panel
from tasks.prompts import PromptTemplate
from tasks.providers.base import Call, Message
from tasks.providers.gateway import Gateway
from tasks.settings import settings
from tasks.stopping import Stop, stoppable
from tasks.store.database import database_url, transaction
from tasks.store.datasets import StoredCase
from tasks.store.leases import renew
from tasks.store.ledger import BudgetExhausted, Intent, Ledger
from tasks.store.prices import price_book
from tasks.store.runs import StoredRun, run_of
from tasks.targets import targets_of


@dataclass(slots=True, kw_only=True)
class Execution:
    """One run in one process."""

    run: StoredRun
    ledger: Ledger
    gateway: Gateway
    templates: Sequence[PromptTemplate]
    routers: Sequence[Router | None]
    """By variant: what chooses between its two models; None for a variant of one model."""
    panel: Panel
    stop: Stop
    slots: asyncio.Semaphore
    drain_seconds: float
    cache_days: int
    schedule: Schedule | None = None
    """When calls are due; None begins each as soon as there is a place for it."""
    preparing: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Prompts are made ready by one thread at a time: what is needed first is ready first."""
    _open: set[asyncio.Task[Any]] = field(default_factory=set)

    def render(self, variant: int, stored: StoredCase) -> list[Message]:
        """The messages of one cell. Raises PromptError when the case does not fit the prompt."""
        return self.templates[variant].render(stored.case.inputs)

    async def call(self, intent: Intent, call: Call, queue_ms: float) -> Answer | None:
        """Commit an intent, then make its call; None when it was not made, because the run is to stop.

        Raises LeaseLost, InfrastructureError.
        """
        self._mark_open()
        try:
            await self.ledger.open(intent)
        except BudgetExhausted:
            self.stop.request("budget")
            return None
        answer = await self.gateway.answer(call, queue_ms=queue_ms)
        if answer.error != "interrupted":
            return answer
        if answer.tries == 0:
            # The stop came between the commit and the call: nothing was sent, so nothing can have been billed.
            await self.ledger.withdraw(intent)
        return None

    async def go_on(self, call: Call, queue_ms: float) -> Answer | None:
        """The second call of a cascade, under the intent of its first one; None when the run is to stop. What the first
        one may have cost is then at risk, as with any call that nobody finished."""
        answer = await self.gateway.answer(call, queue_ms=queue_ms)
        return None if answer.error == "interrupted" else answer

    def _mark_open(self) -> None:
        """Say that the current asyncio task has a call under way, so that a stop lets it finish."""
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def run_together(self, calls: Sequence[Coroutine[Any, Any, bool]]) -> bool:
        """Run all calls at once, as far as slots allow; True when every one of them was finished.

        After a stop no call begins, and those under way get `drain_seconds`. The first exception ends them all.
        """
        tasks = [asyncio.ensure_future(call) for call in calls]
        if not tasks:
            return True
        everything: asyncio.Future[list[bool]] = asyncio.gather(*tasks)
        stopped: asyncio.Future[Any] = asyncio.ensure_future(self.stop.event.wait())
        try:
            await asyncio.wait([everything, stopped], return_when=asyncio.FIRST_COMPLETED)
            if not everything.done():
                for task in tasks:
                    if task not in self._open:
                        task.cancel()
                finishing = [task for task in tasks if task in self._open]
                if finishing:
                    await asyncio.wait(finishing, timeout=self.drain_seconds)
                return False
            return all(everything.result())
        finally:
            stopped.cancel()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.gather(everything, return_exceptions=True)


_executions: dict[UUID, Execution] = {}


def execution_of(run_id: UUID) -> Execution:
    """The execution of a run in this process."""
    return _executions[run_id]


def current() -> Execution | None:
    """The execution of this process, if it has just one; for whoever watches from another thread."""
    live = list(_executions.values())
    return live[0] if len(live) == 1 else None


@asynccontextmanager
async def executing(run_id: UUID) -> AsyncIterator[Execution]:
    """Join a run as a worker for as long as the block lasts: ledger, gateway, signs of life, time limit."""
    given = settings()
    with transaction() as connection:
        run = run_of(connection, run_id)
        targets = targets_of(run.suite)
        prices = price_book(connection, [target.model for target in targets.values()])
    stop = Stop()
    with stoppable(stop):
        async with await Ledger.join(database_url(), run_id, given.actor) as ledger:
            gateway = Gateway(
                targets,
                prices=prices,
                comparing=len(run.variants) > 1,
                seed=run.seed,
                stop=stop.event,
                folder=run.folder_path,
            )
            execution = Execution(
                run=run,
                ledger=ledger,
                gateway=gateway,
                templates=[PromptTemplate(variant.prompt) for variant in run.variants],
                routers=[_router(variant) for variant in run.variants],
                panel=Panel(run.suite, run.folder_path),
                stop=stop,
                slots=asyncio.Semaphore(run.suite.concurrency),
                drain_seconds=given.drain_seconds,
                cache_days=given.cache_days,
                schedule=None
                if run.suite.arrivals is None
                else Schedule(run.suite.arrivals, random.Random(f"arrivals {run.seed}")),
            )
            _executions[run_id] = execution
            watchers = [
                asyncio.create_task(_stay_alive(execution, given.lease_seconds)),
                asyncio.create_task(_watch_time(execution)),
            ]
            try:
                await gateway.warm_up()
                yield execution
            finally:
                del _executions[run_id]
                for watcher in watchers:
                    watcher.cancel()
                await asyncio.gather(*watchers, return_exceptions=True)
                await gateway.close()


def _router(variant: VariantSpec) -> Router | None:
    return None if variant.model.route is None else Router.of(variant.model.route)


async def _stay_alive(execution: Execution, lease_seconds: float) -> None:
    """Renew the leases of this worker three times as often as they would expire."""

    def sign() -> None:
        # A database that is away for a moment is the ledger's to report; the lease may outlast it.
        with suppress(InfrastructureError), transaction() as connection:
            renew(connection, execution.run.id, execution.ledger.worker_id, lease_seconds)

    while True:
        await asyncio.sleep(lease_seconds / 3)
        await asyncio.to_thread(sign)


async def _watch_time(execution: Execution) -> None:
    if execution.run.max_time_s is not None:
        await asyncio.sleep(execution.run.max_time_s)
        execution.stop.request("time")
