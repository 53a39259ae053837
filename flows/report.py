"""report: the pages about production, or one of them, written anew."""

import datetime

from prefect import State, flow

from tasks.forms import parameter
from tasks.sweeping import shown, write_pages


@flow(name="report", description="Write the pages about production requests, or one of them.")
async def report(
    page: str = parameter("Page", "Empty: every page that nightly writes.", "", examples=["overview", "spend"]),
    id: str = parameter("Id", "Of what the page is about, for pages about one thing.", "", examples=["req-4711"]),
    first: datetime.date | None = parameter(
        "First day", "Empty: thirty days before the last one.", None, examples=["2026-06-01"]
    ),
    last: datetime.date | None = parameter(
        "Last day", "Empty: the newest day that is over and has requests.", None, examples=["2026-06-30"]
    ),
) -> State[str]:
    """Write pages with their twins. Gives a sentence that says where; a page that fails stops no other."""
    return shown(await write_pages(page, id, first, last))
