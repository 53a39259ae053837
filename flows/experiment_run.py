"""experiment_run: an offline experiment from its start to its verdict: every variant answers every case."""

from prefect import flow

from flows.ab_analysis import ab_analysis
from tasks.experimenting import open_experiment
from tasks.forms import Name, parameter
from tasks.running import conclude_run, execute, publish_report


@flow(name="experiment-run", description="Run an offline experiment, or go on with it, and analyse it.")
async def experiment_run(
    experiment: Name = parameter("Experiment", "The name of a declared experiment.", examples=["small-or-large"]),
    allow_unpriced: bool = parameter(
        "Allow unpriced models", "Run models without a known price despite a cost limit.", False
    ),
) -> str:
    """Answer and judge the cases of an experiment, then look at it. Gives the run's id."""
    run_id = await open_experiment(experiment, allow_unpriced)
    await execute(run_id)
    await publish_report(await conclude_run(run_id))
    await ab_analysis(experiment=experiment)
    return str(run_id)
