"""A worker process for crash tests: works on a run as a flow would, without Prefect around it.

python -m tests.fakes.worker RUN [retry|skip]      # ASSAY_* in the environment; prints "working" when it has joined
"""

import asyncio
import sys
from uuid import UUID

from tasks.working import run_shard, work_on


async def main(run_id: UUID, in_flight: str) -> None:
    async def announced(run_id: UUID, lease, in_flight):  # type: ignore[no-untyped-def]
        sys.stdout.write("working\n")
        sys.stdout.flush()
        return await run_shard(run_id, lease, in_flight)

    await work_on(run_id, in_flight="skip" if in_flight == "skip" else "retry", shard=announced)


if __name__ == "__main__":
    asyncio.run(main(UUID(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "retry"))
