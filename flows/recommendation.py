"""recommendation: what should change, for every feature; and what earlier changes have saved."""

from prefect import State, flow

from tasks.forms import Days, Margin, parameter
from tasks.recommending import MARGIN
from tasks.remeasuring import AFTER_DAYS
from tasks.scheduling import Ended
from tasks.sweeping import measure_savings, recommend_changes, shown


@flow(
    name="recommendation",
    description="Look for models, prompts and habits that should change, and measure what earlier changes saved.",
)
async def recommendation(
    feature: str = parameter("Feature", "Empty: every feature with traffic or test runs.", "", examples=["chatbot"]),
    margin: Margin = parameter(
        "Margin", "How much of the share that passes may be lost without mattering.", MARGIN, examples=[0.02]
    ),
    after_days: Days = parameter(
        "Measure after, days", "When an accepted recommendation is measured again.", AFTER_DAYS, examples=[30]
    ),
) -> State[str]:
    """Recommend and measure. Gives a sentence about both; the same data give the same rows, once."""
    told = [await recommend_changes(feature, margin), await measure_savings(after_days)]
    return shown([Ended(each) for each in told])
