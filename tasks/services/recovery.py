"""Recovery: flow runs whose process is gone are ended in Prefect, and what they left halfway is taken up again."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from evaluations.errors import InfrastructureError
from evaluations.wording import count
from tasks import processes
from tasks.prefect_api import PrefectApi
from tasks.prefect_server import prefect_home
from tasks.services.pool import POOL
from tasks.services.worker import worker_name
from tasks.settings import Settings, settings
from tasks.store.database import transaction
from tasks.store.stranded import OpenRun, open_runs, runs_of_flow_runs

RESUME = "resume-run"
MOST = 200
MOST_RESUMES = 5
"""A run that was taken up so often and never ended is left to a person."""
RECENT = timedelta(hours=12)
"""What failed longer ago is not begun again: whoever wanted it has seen it by now."""
TAG = "resumed"
BEFORE_THE_END = ("SCHEDULED", "PENDING", "RUNNING", "CANCELLING", "PAUSED")
Fate = Literal["let be", "unsettled", "queued", "to resume", "by hand"]
"""Who goes on with a run that nobody is at work on. Queued: the flow that does is on its way."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """What was found and done. Runs by id."""

    crashed: int
    """Flow runs that Prefect still took for running."""
    again: int
    """Flow runs that had done nothing yet and were put back into the queue, or begin once more."""
    resumed: tuple[OpenRun, ...]
    by_hand: tuple[OpenRun, ...]
    """Left halfway by a command: whoever gave it decides."""
    unsettled: int
    """Runs whose flow run is still there while nobody is at work on them: about to conclude, or to fail."""

    def __str__(self) -> str:
        if not (self.crashed or self.again or self.resumed or self.by_hand):
            return "Nothing was interrupted."
        parts = [f"{count(self.crashed, 'flow run')} shown as crashed"] if self.crashed else []
        if self.again:
            parts.append(f"{count(self.again, 'flow run')} to begin again")
        parts += [f"run {str(run.id)[:8]} goes on at {run.done:,} of {run.total:,}" for run in self.resumed]
        parts += [f"run {str(run.id)[:8]} waits for `assay run --resume {str(run.id)[:8]}`" for run in self.by_hand]
        return f"{'; '.join(parts)}."

    def after(self, before: "Recovered") -> "Recovered":
        """This and what was done before it, as one."""
        return Recovered(
            before.crashed + self.crashed,
            before.again + self.again,
            (*before.resumed, *self.resumed),
            self.by_hand,
            self.unsettled,
        )


def recover(given: Settings, api: PrefectApi, *, store_was_down: bool = False) -> Recovered:
    """Bring Prefect and the store to agree with the processes that there are. Safe to repeat at any time.

    `store_was_down`: what failed for want of the store begins again too.
    """
    gone = _flow_runs_without_process(given, api)
    crashed = [each for each in gone if _end_in_prefect(api, each)]
    lost = [*crashed, *(_lost_the_store(api) if store_was_down else [])]
    pending = [each for each in gone if each["state"]["type"] == "PENDING"]
    for each in pending:
        _set_state(api, each, "SCHEDULED", "Scheduled", "The worker that had taken it is gone.")
    with transaction() as connection:
        left = [run for run in open_runs(connection) if not run.at_work]
        opened = runs_of_flow_runs(connection, [UUID(each["id"]) for each in lost])
    unopened = [each for each in lost if UUID(each["id"]) not in opened]
    for each in unopened:
        _begin_again(api, each)
    fates = fates_of(api, left)
    resumable = [run for run in left if fates[run.id] == "to resume"]
    for run in resumable:
        _resume(api, run)
    return Recovered(
        crashed=len(crashed),
        again=len(pending) + len(unopened),
        resumed=tuple(resumable),
        by_hand=tuple(run for run in left if fates[run.id] == "by hand"),
        unsettled=sum(fate == "unsettled" for fate in fates.values()),
    )


def recover_here() -> Recovered:
    """The same from inside a flow run, by the server that the flow run reports to."""
    return recover(settings(), PrefectApi(os.environ["PREFECT_API_URL"]))


def fates_of(api: PrefectApi, runs: Sequence[OpenRun]) -> dict[UUID, Fate]:
    """Who goes on with each of some runs that nobody is at work on. Changes nothing."""
    if not runs:
        return {}
    ids = [str(run.flow_run_id) for run in runs if run.flow_run_id]
    found = _flow_runs(api, {"id": {"any_": ids}}) if ids else []
    flow_runs = {each["id"]: each for each in found}
    resumes = _flow_runs(api, {"tags": {"all_": [TAG]}})
    return {run.id: _fate(run, flow_runs.get(str(run.flow_run_id)), resumes) for run in runs}


def _fate(run: OpenRun, flow_run: dict[str, Any] | None, resumes: Sequence[dict[str, Any]]) -> Fate:
    taken_up = [each for each in resumes if each["parameters"].get("run_id") == str(run.id)]
    if any(each["state_type"] in BEFORE_THE_END for each in taken_up):
        return "queued"
    if flow_run is None or flow_run["deployment_id"] is None:
        # Begun by a command, or known to another server. Whoever stopped it by Ctrl-C knows how to go on.
        return "let be" if run.ending or run.reason == "interrupted" else "by hand"
    state = flow_run["state_type"]
    if state in BEFORE_THE_END:
        return "unsettled"
    if state == "CANCELLED":
        return "let be"  # a person wants no more of it
    if state == "FAILED" and run.status != "running" and not _for_want_of_something(flow_run):
        return "by hand"  # it ended in order, with an error that would come again
    return "to resume" if len(taken_up) < MOST_RESUMES else "by hand"


def _lost_the_store(api: PrefectApi) -> list[dict[str, Any]]:
    """Flow runs of the last hours that failed because something around them did, and have not begun again."""
    failed = _flow_runs(
        api,
        {
            "state": {"type": {"any_": ["FAILED"]}},
            "start_time": {"after_": (datetime.now(UTC) - RECENT).isoformat()},
            "deployment_id": {"is_null_": False},
        },
    )
    failed = [each for each in failed if _for_want_of_something(each)]
    keys = [_again_key(each) for each in failed]
    known = (
        {each["idempotency_key"] for each in _flow_runs(api, {"idempotency_key": {"any_": keys}})} if keys else set()
    )
    return [each for each in failed if _again_key(each) not in known]


def _for_want_of_something(flow_run: dict[str, Any]) -> bool:
    """True when it failed by what it stands on, not by what it was given. Prefect writes the error's name down."""
    return f"{InfrastructureError.__name__}:" in (flow_run["state"]["message"] or "")


def _flow_runs(api: PrefectApi, chosen: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.post(
        "/flow_runs/filter", {"flow_runs": chosen, "sort": "EXPECTED_START_TIME_DESC", "limit": MOST}
    )
    return found


def _flow_runs_without_process(given: Settings, api: PrefectApi) -> list[dict[str, Any]]:
    """Flow runs of our worker that Prefect takes for begun and that no process executes."""
    home = prefect_home(given)
    begun = api.post(
        "/flow_runs/filter",
        {
            "flow_runs": {"state": {"type": {"any_": ["PENDING", "RUNNING", "CANCELLING"]}}},
            "work_pools": {"name": {"any_": [POOL]}},
            "limit": MOST,
        },
    )
    workers = processes.service_processes("worker", home)
    worker_began = min((each.create_time() for each in workers), default=float("inf"))
    executed = processes.flow_run_processes(home)
    gone = []
    for each in begun:
        by = each["labels"].get("prefect.worker.name")
        # A worker that somebody started by hand looks after its own.
        ours = by == worker_name(home) if by else given.prefect_api_url is None
        # The worker of today may be about to start a process for what is pending since it came.
        waits = each["state"]["type"] == "PENDING" and _moment(each["state"]["timestamp"]) > worker_began
        if ours and not waits and each["id"] not in executed:
            gone.append(each)
    # A process may have ended, and said so, between the two looks.
    return [each for each in gone if api.get(f"/flow_runs/{each['id']}")["state"]["type"] == each["state"]["type"]]


def _end_in_prefect(api: PrefectApi, flow_run: dict[str, Any]) -> bool:
    """Say in Prefect that a flow run has ended, so that it holds no slot any more; False for one that never began."""
    kind = flow_run["state"]["type"]
    if kind == "PENDING":
        return False
    if kind == "CANCELLING":
        _set_state(api, flow_run, "CANCELLED", "Cancelled", "Its process is gone.")
        return False
    _set_state(api, flow_run, "CRASHED", "Crashed", "Its process is gone.")
    return True


def _begin_again(api: PrefectApi, flow_run: dict[str, Any]) -> None:
    """Order once more what crashed before it had anything to resume; flows are safe to run twice."""
    _order(api, flow_run["deployment_id"], flow_run["parameters"], _again_key(flow_run), flow_run["tags"])


def _again_key(flow_run: dict[str, Any]) -> str:
    return f"again-{flow_run['id']}"


def _resume(api: PrefectApi, run: OpenRun) -> None:
    """Order the flow that goes on with a run."""
    [flow] = api.post(
        "/deployments/filter",
        {"deployments": {"name": {"any_": [RESUME]}}, "work_pools": {"name": {"any_": [POOL]}}, "limit": 1},
    )
    known = len(_flow_runs(api, {"tags": {"all_": [TAG, str(run.id)]}}))
    _order(api, flow["id"], {"run_id": str(run.id)}, f"resume-{run.id}-{known}", [TAG, str(run.id)])


def _order(api: PrefectApi, deployment: str, parameters: dict[str, Any], key: str, tags: list[str]) -> None:
    """Schedule a flow run now; whoever does it twice for a key has one."""
    body = {"parameters": parameters, "idempotency_key": key, "tags": tags}
    api.post(f"/deployments/{deployment}/create_flow_run", body)


def _set_state(api: PrefectApi, flow_run: dict[str, Any], kind: str, name: str, message: str) -> None:
    api.post(
        f"/flow_runs/{flow_run['id']}/set_state",
        {"state": {"type": kind, "name": name, "message": message}, "force": kind == "SCHEDULED"},
    )


def _moment(said: str) -> float:
    return datetime.fromisoformat(said).timestamp()
