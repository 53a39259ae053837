"""The steps of a benchmark as Prefect tasks. Calls and answers are those of any run."""

import asyncio
from uuid import UUID

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks import benchmark_pages, benchmark_scores, benchmarking
from tasks.benchmark_pages import PublishedBenchmark
from tasks.benchmarking import BenchmarkRequest
from tasks.execution import execution_of
from tasks.running import execute
from tasks.working import InFlight


@task(name="open-benchmark", cache_policy=NO_CACHE)
async def open_benchmark(request: BenchmarkRequest) -> UUID:
    """Read the published files, check everything and write the run down. Nothing is called."""
    return await asyncio.to_thread(benchmarking.open_benchmark, request)


@task(name="open-rerun", cache_policy=NO_CACHE)
async def open_rerun(run: str) -> UUID:
    """A new run over the recorded answers of a benchmark run."""
    return await asyncio.to_thread(benchmarking.open_rerun, run)


async def execute_watched(run_id: UUID, in_flight: InFlight = "retry") -> None:
    """Work on a run; a benchmark that may stop early is looked at before the first shard and after every one.

    So one that is taken up again asks nothing more when what it has decides it.
    """
    early = await asyncio.to_thread(benchmarking.may_stop_early, run_id)
    await execute(run_id, in_flight, stop_when_decided if early else None)


async def stop_when_decided(run_id: UUID) -> None:
    """Ask the run to make no new calls once every pair of models is decided."""
    if await asyncio.to_thread(benchmarking.is_decided, run_id):
        execution_of(run_id).stop.request("decided")


@task(name="publish-benchmark", cache_policy=NO_CACHE)
async def publish_benchmark(run_id: UUID) -> PublishedBenchmark:
    """Write what the benchmark measured."""
    return await asyncio.to_thread(benchmark_pages.publish_benchmark, run_id)


@task(name="record-scores", cache_policy=NO_CACHE)
async def record_scores(run_id: UUID) -> int:
    """Give the registry what was measured of the benchmark's use case. Gives the number of models with a score."""
    return len((await asyncio.to_thread(benchmark_scores.record_scores, run_id)).scores)


async def publish_if_benchmark(run_id: UUID) -> None:
    """Write the leaderboard of a run that was begun as a benchmark; of any other run there is none."""
    if await asyncio.to_thread(benchmarking.is_benchmark, run_id):
        await record_scores(run_id)
        await publish_benchmark(run_id)
