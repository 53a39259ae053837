"""benchmark_rerun: the recorded answers of a benchmark run, judged from the beginning: the same numbers come out."""

from prefect import flow

from tasks.benchmark_steps import open_rerun, publish_benchmark
from tasks.forms import SOME_RUN, Name, parameter
from tasks.running import conclude_run, publish_report, rescore_run


@flow(name="benchmark-rerun", description="Judge the recorded answers of a benchmark run again.")
async def benchmark_rerun(
    run: Name = parameter(
        "Run", "A benchmark run's id or its first characters, or a benchmark's name.", examples=[SOME_RUN]
    ),
) -> str:
    """Judge every recorded answer anew, without any call. Gives the new run's id."""
    run_id = await open_rerun(run)
    await rescore_run(run_id, anew=True)
    await publish_report(await conclude_run(run_id))
    await publish_benchmark(run_id)
    return str(run_id)
