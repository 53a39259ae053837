"""resume_run: go on with a run where it was left, on this machine or another one with the same store."""

from decimal import Decimal
from uuid import UUID

from prefect import flow

from tasks.benchmark_steps import execute_watched, publish_if_benchmark
from tasks.forms import SOME_RUN, Dollars, Seconds, parameter
from tasks.running import ResumeRequest, conclude_run, publish_report, reopen_run
from tasks.working import InFlight


@flow(name="resume-run", description="Go on with a run where it was left; nothing is paid for twice.")
async def resume_run(
    run_id: UUID = parameter(
        "Run", "The whole id of the run, as `assay runs list --json` shows it.", examples=[SOME_RUN]
    ),
    retry_errors: bool = parameter("Retry errors", "Call errored cases again.", False),
    in_flight: InFlight = parameter(
        "Calls open at a kill",
        "retry: call them again. skip: record them as errors.",
        "retry",
    ),
    max_cost: Dollars | None = parameter(
        "Cost limit, USD", "A new limit for the whole run. Empty: the old one.", None, examples=[5]
    ),
    max_time: Seconds | None = parameter("Time limit, seconds", "Stop after this time.", None, examples=[600]),
) -> str:
    """Resume a run: whatever is in the ledger stays, the rest is called. Gives the run's id."""
    await reopen_run(
        ResumeRequest(
            run_id=run_id,
            retry_errors=retry_errors,
            in_flight=in_flight,
            max_cost=None if max_cost is None else Decimal(str(max_cost)),
            max_time=max_time,
        )
    )
    await execute_watched(run_id, in_flight)
    await publish_report(await conclude_run(run_id))
    await publish_if_benchmark(run_id)
    return str(run_id)
