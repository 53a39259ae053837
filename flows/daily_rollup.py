"""daily_rollup: the facts of every day whose requests changed, or of the days that are named."""

import datetime

from prefect import State, flow

from tasks.forms import parameter
from tasks.scheduling import Ended
from tasks.sweeping import roll_up_days, shown


@flow(name="daily-rollup", description="Roll up the days whose requests changed, or the days named.")
async def daily_rollup(
    first: datetime.date | None = parameter(
        "First day", "Empty: every day whose requests changed.", None, examples=["2026-06-28"]
    ),
    last: datetime.date | None = parameter("Last day", "Empty: the first day alone.", None, examples=["2026-06-30"]),
) -> State[str]:
    """Rewrite the facts of days from their requests. Gives a sentence; a day may be rolled up any number of times."""
    return shown([Ended(await roll_up_days(first, last))])
