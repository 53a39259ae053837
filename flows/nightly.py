"""nightly: the work of one date, once: each part a flow of its own, none stopped by another's failure."""

import datetime

from prefect import State, flow

from evaluations.schedules import CatchUp
from flows.daily_rollup import daily_rollup
from flows.housekeeping import housekeeping
from flows.recommendation import recommendation
from flows.report import report
from flows.run_analysis import run_analysis
from flows.selection_review import selection_review
from tasks.forms import TimeZone, parameter
from tasks.sweeping import do_dates, due

PARTS = (run_analysis, daily_rollup, recommendation, selection_review, report, housekeeping)


@flow(
    name="nightly",
    description="Once a day: sweeps, rollups, recommendations, selections, the pages made of them, then housekeeping.",
)
async def nightly(
    date: datetime.date | None = parameter(
        "Date", "Do this date. Empty: the day before the scheduled start.", None, examples=["2026-06-28"]
    ),
    timezone: TimeZone = parameter(
        "Time zone", "Where a day begins and ends; that of the schedule.", "UTC", examples=["UTC", "Europe/Berlin"]
    ),
    catch_up: CatchUp = parameter(
        "Missed dates",
        "latest: do the newest alone. all: do each of them, oldest first. none: leave them out.",
        "latest",
    ),
) -> State[str]:
    """Do the dates that are due. Gives a sentence about what was done; a date that is done is left alone."""
    return await do_dates("nightly", await due("nightly", date, timezone, catch_up), PARTS)
