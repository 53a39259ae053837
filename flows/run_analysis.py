"""run_analysis: what changed in finished runs since the run before. A run that finishes triggers it."""

from uuid import UUID

from prefect import State, flow

from tasks.forms import SOME_RUN, parameter
from tasks.scheduling import Ended
from tasks.sweeping import analyse_finished, shown


@flow(name="run-analysis", description="Compare finished runs with the run before.")
async def run_analysis(
    run_id: UUID | None = parameter(
        "Run", "The whole id of one finished run. Empty: every finished run that waits.", None, examples=[SOME_RUN]
    ),
) -> State[str]:
    """Compare finished runs with the run before. Gives a sentence about what was done."""
    return shown([Ended(await analyse_finished(run_id))])
