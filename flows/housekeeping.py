"""housekeeping: leftovers that nothing needs any more. No fact is removed."""

from prefect import State, flow

from tasks.scheduling import Ended
from tasks.sweeping import forget_expired_answers, release_dead_leases, remove_half_written, shown


@flow(name="housekeeping", description="Clear the cache's index, dead workers' leases and half-written files.")
async def housekeeping() -> State[str]:
    """Clear leftovers. Gives a sentence about what was cleared."""
    told = [await forget_expired_answers(), await release_dead_leases(), await remove_half_written()]
    return shown([Ended(each) for each in told])
