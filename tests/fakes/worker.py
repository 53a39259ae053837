"""A worker process for crash tests: works on a run as a flow would, without Prefect around it."""

import asyncio
import os
from collections.abc import Mapping
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from uuid import UUID

from tasks.store.ledger import Lease
from tasks.working import InFlight, run_shard, work_on
from tests.cli.forked import process_of


class Worker:
    """A worker under way, with the environment of this process."""

    def __init__(self, run_id: UUID, in_flight: InFlight = "retry", *, held: bool = False) -> None:
        """`held`: with its first shard it waits until it may go on."""
        self._line, line = Pipe()
        self._process = process_of(_work, dict(os.environ), run_id, in_flight, held, line)
        line.close()

    def joins(self) -> bool:
        """Wait until it has its first shard; False when it ended without one, for nothing was left to do."""
        try:
            return bool(self._line.recv() == "working")
        except (EOFError, ConnectionResetError):
            return False

    def go_on(self) -> None:
        self._line.send("go on")

    def kill(self) -> None:
        self._process.kill()
        self._process.join()

    def ended(self) -> int | None:
        """Wait for its end; gives its exit code."""
        self._process.join()
        return self._process.exitcode


def _work(
    environment: Mapping[str, str], run_id: UUID, in_flight: InFlight, held: bool, line: "Connection[str, str]"
) -> None:
    async def announced(run_id: UUID, lease: Lease, in_flight: InFlight) -> bool:
        nonlocal held
        line.send("working")
        if held:
            held = False
            line.recv()
        return await run_shard(run_id, lease, in_flight)

    os.environ.clear()
    os.environ.update(environment)
    asyncio.run(work_on(run_id, in_flight=in_flight, shard=announced))
