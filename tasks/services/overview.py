"""What the platform has to do: runs under way, runs left halfway, what is scheduled next. Starts nothing."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from tasks.prefect_api import PrefectApi
from tasks.prefect_server import Server
from tasks.services.pool import POOL
from tasks.services.recovery import fates_of
from tasks.settings import Settings
from tasks.store.database import database_url
from tasks.store.embedded import running_url
from tasks.store.stranded import OpenRun, open_runs_at

LOOKED_AT = 200
UNDER_WAY = "under way"
QUEUED = "about to go on"


@dataclass(frozen=True, slots=True)
class LeftRun:
    """A run that is not over, and who goes on with it."""

    run: OpenRun
    how: str
    """UNDER_WAY, QUEUED, or the command that goes on with it."""


@dataclass(frozen=True, slots=True)
class NextRun:
    """A flow run that is to start by itself."""

    deployment: str
    at: datetime


def left_runs(given: Settings, server: Server | None) -> list[LeftRun]:
    """Runs that are not over; empty when the store is down."""
    runs = _open_runs(given)
    idle = [run for run in runs if not run.at_work]
    if server is None:
        hows = {run.id: "assay up" if run.flow_run_id else by_hand(run.id) for run in idle if run.status == "running"}
    else:
        said = {"let be": "", "unsettled": UNDER_WAY, "queued": QUEUED, "to resume": "assay up"}
        fates = fates_of(PrefectApi(server.api_url), idle)
        hows = {run.id: said.get(fates[run.id], by_hand(run.id)) for run in idle}
    hows |= {run.id: UNDER_WAY for run in runs if run.at_work}
    return [LeftRun(run, how) for run in runs if (how := hows.get(run.id))]


def next_runs(server: Server) -> list[NextRun]:
    """The next run of each deployment that has a schedule, soonest first."""
    api = PrefectApi(server.api_url)
    ours = {"work_pools": {"name": {"any_": [POOL]}}}
    waiting = api.post(
        "/flow_runs/filter",
        {
            **ours,
            "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}},
            "sort": "EXPECTED_START_TIME_ASC",
            "limit": LOOKED_AT,
        },
    )
    names = {each["id"]: each["name"] for each in api.post("/deployments/filter", {**ours, "limit": LOOKED_AT})}
    first: dict[str, NextRun] = {}
    for each in waiting:
        if name := names.get(each["deployment_id"]):
            first.setdefault(name, NextRun(name, datetime.fromisoformat(each["expected_start_time"])))
    return sorted(first.values(), key=lambda each: each.at)


def _open_runs(given: Settings) -> list[OpenRun]:
    url = running_url(given.home) if given.database_url is None else database_url(given)
    return [] if url is None else open_runs_at(url)


def by_hand(run_id: UUID) -> str:
    """The command that goes on with a run."""
    return f"assay run --resume {str(run_id)[:8]}"
