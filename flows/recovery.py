"""recovery: whatever lost its process goes on. A flow run that crashes triggers it."""

from prefect import State, flow

from tasks.scheduling import Ended
from tasks.sweeping import shown, take_up_interrupted


@flow(name="recovery", description="Go on with runs whose process is gone; nothing is paid for twice.")
async def recovery() -> State[str]:
    """Take up interrupted runs. Gives a sentence about what was done."""
    return shown([Ended(await take_up_interrupted())])
