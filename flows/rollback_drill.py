"""rollback_drill: the way back, tried before it is needed, on a feature that serves nobody."""

from prefect import State, flow

from tasks.deployment_steps import drill_rollback
from tasks.scheduling import Ended
from tasks.sweeping import shown


@flow(name="rollback-drill", description="Deploy and roll back a bundle of a drill feature; fail when that fails.")
async def rollback_drill() -> State[str]:
    """Roll a drill feature back and read its flag. Gives what was done and how long it took."""
    return shown([Ended(await drill_rollback())])
