"""resume_run: go on with a run where it was left, on this machine or another one with the same store."""

from decimal import Decimal
from typing import Annotated
from uuid import UUID

from prefect import flow
from pydantic import Field

from tasks.running import ResumeRequest, conclude_run, execute, publish_report, reopen_run
from tasks.working import InFlight


@flow(name="resume-run", description="Continue a run where it was left, paying for nothing twice.")
async def resume_run(
    run_id: Annotated[UUID, Field(title="Run", description="The id of the run.")],
    retry_errors: Annotated[bool, Field(title="Retry errors", description="Call errored cases again.")] = False,
    in_flight: Annotated[
        InFlight,
        Field(title="Calls in flight at the kill", description="Call them again, or record them as errors."),
    ] = "retry",
    max_cost: Annotated[float | None, Field(title="Cost limit, USD", ge=0)] = None,
    max_time: Annotated[float | None, Field(title="Time limit, seconds", gt=0)] = None,
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
    await execute(run_id, in_flight)
    await publish_report(await conclude_run(run_id))
    return str(run_id)
