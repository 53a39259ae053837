"""aa_calibration: do our methods keep their promise on our own traffic? With shuffled labels every alarm is false."""

from prefect import State, flow

from tasks.experimenting import calibrate
from tasks.forms import Days, Name, Seed, Shuffles, parameter
from tasks.scheduling import Ended
from tasks.sweeping import shown


@flow(name="aa-calibration", description="Shuffle labels on real rows; fail when false alarms are too many.")
async def aa_calibration(
    feature: Name | None = parameter(
        "Feature", "Empty: every feature with enough requests.", None, examples=["chatbot"]
    ),
    days: Days = parameter("Days", "How many of the last days to take requests from.", 7, examples=[7]),
    shuffles: Shuffles = parameter(
        "Shuffles", "How often labels are shuffled; 2,000 or more to find small faults.", 2000, examples=[2000]
    ),
    seed: Seed = parameter("Seed", "The same seed shuffles alike.", 0, examples=[0]),
) -> State[str]:
    """Measure the rate of false alarms of every method on shuffled labels. Fails loudly above its upper 99 % limit."""
    return shown([Ended(await calibrate(feature, days, shuffles, seed))])
