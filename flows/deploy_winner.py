"""deploy_winner: the winner of an experiment, from its decision to its first share of the traffic.

Nothing is waited for here: approval and watch windows take days. What is asked for stands in Postgres, and deploy_watch
takes every later step when it is due.
"""

from prefect import State, flow

from tasks.deployment_steps import check_bundle, load_decision, open_deployment, take_due_steps
from tasks.forms import Name, parameter
from tasks.scheduling import Ended
from tasks.sweeping import shown


@flow(name="deploy-winner", description="Check the winner of an experiment and ask for it to go live.")
async def deploy_winner(
    experiment: Name = parameter("Experiment", "Whose winner is to be deployed.", examples=["shipping-v4"]),
    environment: Name = parameter("Environment", "Where.", "production", examples=["staging"]),
    why: str = parameter("Why", "The reason; it stays on record.", "", examples=["better answers on shipping"]),
) -> State[str]:
    """Decision, checks, approval or first canary step. Gives where it stands, in sentences."""
    decision = await load_decision(experiment, environment)
    await check_bundle(decision)
    deployment = await open_deployment(decision, why)
    return shown([Ended(await take_due_steps(deployment))])
