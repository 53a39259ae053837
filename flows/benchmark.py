"""benchmark: models on the questions of a published benchmark or of your own, ranked with what is sure about it."""

from decimal import Decimal

from prefect import flow

from tasks.benchmark_steps import execute_watched, open_benchmark, publish_benchmark, record_scores
from tasks.benchmarking import BenchmarkRequest
from tasks.forms import Dollars, Name, Names, Seconds, Times, parameter
from tasks.running import conclude_run, publish_report


@flow(name="benchmark", description="Run a benchmark and publish its leaderboard.")
async def benchmark(
    benchmark: Name = parameter(
        "Benchmark",
        "Path of a benchmark file, or the name of a folder under datasets/ that holds one.",
        examples=["sample-benchmark"],
    ),
    models: Names = parameter(
        "Models",
        "Names of the benchmark's models, or model ids. None: all of the benchmark's.",
        [],
        examples=[["sample/large"]],
    ),
    cases: int | None = parameter(
        "Cases", "Only so many questions, drawn with the benchmark's seed. Empty: as it says.", None, examples=[200]
    ),
    by: str = parameter(
        "Drawn by", "A column from every value of which questions are drawn in proportion.", "", examples=["tags"]
    ),
    max_cost: Dollars | None = parameter(
        "Cost limit, USD", "Stop before more than this is spent.", None, examples=[2.5]
    ),
    max_time: Seconds | None = parameter("Time limit, seconds", "Stop after this time.", None, examples=[600]),
    concurrency: Times | None = parameter(
        "Calls at once", "Calls in flight at once. Empty: as the benchmark says.", None, examples=[16]
    ),
    stop_early: bool = parameter("Stop early", "Stop once the ranking is clear.", False),
    use_cache: bool = parameter("Use the ledger", "Take answers that are there already instead of paying again.", True),
    allow_unpriced: bool = parameter(
        "Allow unpriced models", "Run models without a known price despite a cost limit.", False
    ),
) -> str:
    """Run a benchmark: read, check, call, judge, rank, publish. Gives the run's id."""
    run_id = await open_benchmark(
        BenchmarkRequest(
            benchmark=benchmark,
            models=tuple(models),
            cases=cases,
            by=by,
            max_cost=None if max_cost is None else Decimal(str(max_cost)),
            max_time=max_time,
            concurrency=concurrency,
            stop_early=stop_early,
            use_cache=use_cache,
            allow_unpriced=allow_unpriced,
        )
    )
    await execute_watched(run_id)
    await publish_report(await conclude_run(run_id))
    await record_scores(run_id)
    await publish_benchmark(run_id)
    return str(run_id)
