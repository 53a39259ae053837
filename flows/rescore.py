"""rescore: judge the answers of a run again, without any model call."""

from uuid import UUID

from prefect import flow

from tasks.forms import SOME_RUN, parameter
from tasks.running import conclude_run, publish_report, rescore_run


@flow(name="rescore", description="Judge the answers of a run again, without any model call.")
async def rescore(
    run_id: UUID = parameter("Rescore", "The id of the new run that `assay rescore` opened.", examples=[SOME_RUN]),
) -> str:
    """Judge stored answers with the scorers, weights and gates of a rescore. Gives its id."""
    await rescore_run(run_id)
    await publish_report(await conclude_run(run_id))
    return str(run_id)
