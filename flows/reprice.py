"""reprice: requests of the past, priced by the price rows of now, with a report of every difference."""

import datetime

from prefect import State, flow

from tasks.forms import parameter
from tasks.scheduling import Ended
from tasks.sweeping import reprice_days, shown


@flow(name="reprice", description="Price requests of some days again and report what changed.")
async def reprice(
    first: datetime.date = parameter("First day", "From this day on.", examples=["2026-06-01"]),
    last: datetime.date | None = parameter("Last day", "Empty: the first day alone.", None, examples=["2026-06-30"]),
    dry_run: bool = parameter("Dry run", "Write the report and change nothing.", False),
) -> State[str]:
    """Reprice days, both included. Gives a sentence and where the report is; run again, it changes nothing more."""
    return shown([Ended(await reprice_days(first, last, dry_run=dry_run))])
