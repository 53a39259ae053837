"""ab_analysis: look at one experiment, or at all that are under way, by the rules they declared."""

from prefect import State, flow

from tasks.experimenting import look_at, publish_looked_at, start_due, under_way
from tasks.forms import Name, parameter
from tasks.scheduling import Ended
from tasks.sweeping import shown


@flow(name="ab-analysis", description="Analyse experiments: sample ratio, estimates, families, verdict, page.")
async def ab_analysis(
    experiment: Name | None = parameter(
        "Experiment", "Empty: every experiment that is under way.", None, examples=["shipping-v4"]
    ),
) -> State[str]:
    """Start what is due, look at what is under way, end what its rule ends. Gives what was found, in sentences."""
    started = await start_due()
    looked = await look_at(await under_way(experiment))
    await publish_looked_at(looked)
    return shown([Ended(f"{started}{looked}")])
