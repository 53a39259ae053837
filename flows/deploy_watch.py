"""deploy_watch: every step of every deployment that is due: approvals, canary windows, promotions, rollbacks, flags;
and the notifications of it.
"""

from prefect import State, flow

from tasks.deployment_steps import deliver_flags, mend_flag_files, take_all_due_steps
from tasks.scheduling import Ended
from tasks.sweeping import send_notifications, shown


@flow(name="deploy-watch", description="Take every step of deployments that is due; mend and deliver flags.")
async def deploy_watch() -> State[str]:
    """Look at every deployment under way. Gives what was done, in sentences."""
    advanced = await take_all_due_steps()
    mended = await mend_flag_files()
    delivered = await deliver_flags()
    told = await send_notifications()
    return shown([advanced, Ended(mended), delivered, Ended(told.told)])
