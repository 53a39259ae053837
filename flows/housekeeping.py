"""housekeeping: leftovers that nothing needs any more, and requests that are older than they are to be kept."""

from prefect import State, flow

from tasks.scheduling import Ended
from tasks.sweeping import (
    drop_old_partitions,
    forget_expired_answers,
    release_dead_leases,
    remove_half_written,
    shown,
)


@flow(name="housekeeping", description="Clear leftovers, and let requests go that are older than they are to be kept.")
async def housekeeping() -> State[str]:
    """Clear leftovers. Gives a sentence about what was cleared."""
    told = [
        await forget_expired_answers(),
        await release_dead_leases(),
        await remove_half_written(),
        await drop_old_partitions(),
    ]
    return shown([Ended(each) for each in told])
