"""The steps of a benchmark as Prefect tasks. Calls and answers are those of any run."""

import asyncio
from uuid import UUID

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks import benchmark_pages, benchmarking
from tasks.benchmark_pages import PublishedBenchmark
from tasks.benchmarking import BenchmarkRequest


@task(name="open-benchmark", cache_policy=NO_CACHE)
async def open_benchmark(request: BenchmarkRequest) -> UUID:
    """Read the published files, check everything and write the run down. Nothing is called."""
    return await asyncio.to_thread(benchmarking.open_benchmark, request)


@task(name="open-rerun", cache_policy=NO_CACHE)
async def open_rerun(run: str) -> UUID:
    """A new run over the recorded answers of a benchmark run."""
    return await asyncio.to_thread(benchmarking.open_rerun, run)


@task(name="publish-benchmark", cache_policy=NO_CACHE)
async def publish_benchmark(run_id: UUID) -> PublishedBenchmark:
    """Write what the benchmark measured."""
    return await asyncio.to_thread(benchmark_pages.publish_benchmark, run_id)
