"""selection_review: would their policies choose the published selections again?"""

from prefect import State, flow

from tasks.scheduling import Ended
from tasks.sweeping import look_at_selections, shown


@flow(
    name="selection-review",
    description="Ask the policy of every published selection again, and note where it would now choose another model.",
)
async def selection_review() -> State[str]:
    """Look at every published selection again. Gives a sentence for each; what is noted is noted once."""
    return shown([Ended(await look_at_selections())])
