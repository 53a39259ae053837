"""notify: what was decided and has not been told yet is sent to the channels whose rules want it."""

from prefect import State, flow

from tasks.sweeping import send_notifications, shown


@flow(name="notify", description="Send the notifications that wait in the outbox.")
async def notify() -> State[str]:
    """Send what is due. Gives what was sent, and what was not, in sentences."""
    return shown([await send_notifications()])
