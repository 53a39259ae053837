"""The worker: the process that takes scheduled flow runs from the pool and starts one process for each."""

import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import psutil

from evaluations.errors import InfrastructureError
from tasks import processes
from tasks.prefect_api import PrefectApi, Refused
from tasks.prefect_server import Server, end_of, environment_for, prefect_home
from tasks.services.pool import LOG, POOL, PYTHON
from tasks.settings import Settings

LIMIT = 2
"""Flow runs at once: each may have many calls under way."""
HEARTBEAT_SECONDS = 5
SILENT_SECONDS = 30.0
"""A worker that has not been heard of for so long does nothing any more."""
START_SECONDS = 60.0
LEAVE_SECONDS = 45.0
"""Time for flow runs to let their open calls finish and to conclude."""

PACE = {
    # A run starts within a few seconds of being asked for.
    "PREFECT_WORKER_QUERY_SECONDS": "2",
    "PREFECT_WORKER_PREFETCH_SECONDS": "2",
    "PREFECT_WORKER_HEARTBEAT_SECONDS": str(HEARTBEAT_SECONDS),
    # Flow runs use the environment that the worker has; nothing is installed for them.
    "PREFECT_RUNNER_AUTO_INSTALL_DEPENDENCIES": "false",
}
DECISIVE = ("ASSAY_DATABASE_URL", "PREFECT_API_URL")
"""Variables that say where a flow run reads and writes: a worker with others works for somebody else."""


@dataclass(frozen=True, slots=True)
class Worker:
    """What can be seen of the worker."""

    pids: tuple[int, ...]
    trouble: str
    """One phrase, empty when all is well."""
    starting: bool = False
    away: bool = False
    """It is there and has not been heard of lately: it may only wait for a server to come back."""


def worker_name(home: Path) -> str:
    """The name under which Prefect knows this home's worker; it stays the same however often the worker starts."""
    return f"{socket.gethostname()}-{sha256(str(home.resolve()).encode()).hexdigest()[:8]}"


def flow_run_log(home: Path) -> Path:
    """What flow runs print; their log in Prefect's page has it too, as far as they get."""
    return home / "flow-runs.log"


def look(given: Settings, server: Server | None) -> Worker:
    """The worker as it is now. `server` is the one that answers, None when none does."""
    home = prefect_home(given)
    there = processes.service_processes("worker", home)
    pids = tuple(each.pid for each in there)
    if not there:
        return Worker((), "")
    if len(there) > 1:
        return Worker(pids, f"is one of {len(there)} at once")
    if processes.is_halted(there[0]):
        return Worker(pids, "is halted")
    if server is None:
        return Worker(pids, "waits for the Prefect server", away=True)
    if other := _other_settings(processes.environment_of(there[0]), environment(given, server)):
        return Worker(pids, f"was started with another {other}")
    silent = _silent_seconds(PrefectApi(server.api_url, timeout_s=2), home)
    if silent is not None and silent <= min(SILENT_SECONDS, _served_seconds(server)):
        return Worker(pids, "")
    if processes.age_of(there[0]) < START_SECONDS:
        return Worker(pids, "is starting", starting=True)
    told = "has never been heard of" if silent is None else f"has not been heard of for {silent:.0f} s"
    return Worker(pids, told, away=True)


def start_worker(given: Settings, server: Server) -> None:
    """Start a worker and wait until Prefect has heard of it. Raises InfrastructureError when that does not happen."""
    home = prefect_home(given)
    log = home / "worker.log"
    processes.put_aside(flow_run_log(home))
    process = processes.start("worker", home, _command(home), environment(given, server), log)
    deadline = time.monotonic() + START_SECONDS
    api = PrefectApi(server.api_url)
    began = datetime.now(UTC)
    while not _heard_since(api, home, began):
        if process.poll() is not None or time.monotonic() > deadline:
            processes.kill([psutil.Process(process.pid)] if process.poll() is None else [])
            raise InfrastructureError(f"the worker did not start; {log} ends with: {end_of(log)}")
        time.sleep(0.2)


def stop_worker(given: Settings) -> bool:
    """Stop the worker; the flow runs that it started go on. False when there was none."""
    there = processes.service_processes("worker", prefect_home(given))
    # Asked to go it would kill its flow runs after a moment. It holds nothing itself, so it need not be asked.
    processes.kill_alone(there)
    return bool(there)


def stop_flow_runs(given: Settings) -> int:
    """End the flow runs that a worker started, this one or an earlier one. Gives how many there were.

    They are asked, and have time to let open calls finish and to write everything down.
    """
    home = prefect_home(given)
    under_way = len(processes.flow_run_processes(home))
    processes.end(processes.marked("worker", home), LEAVE_SECONDS)
    return under_way


def environment(given: Settings, server: Server) -> dict[str, str]:
    """What the worker has in its environment, and every flow run after it."""
    home = prefect_home(given)
    made = {
        **environment_for(home, server.api_url),
        **PACE,
        "ASSAY_HOME": str(given.home.absolute()),
        PYTHON: sys.executable,
        LOG: str(flow_run_log(home)),
    }
    for name in (processes.FLOW_RUN, "PREFECT_LOGGING_LEVEL", "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"):
        made.pop(name, None)
    return made


def _command(home: Path) -> list[str]:
    options = ["--pool", POOL, "--type", "process", "--name", worker_name(home), "--limit", str(LIMIT)]
    start = ["-P", "-m", "prefect", "--no-prompt", "worker", "start", "--install-policy", "never"]
    return [sys.executable, *start, *options]


def _other_settings(has: Mapping[str, str], wanted: Mapping[str, str]) -> str:
    """The first setting in which two environments differ in a way that matters."""
    return next((name for name in DECISIVE if has.get(name, "") != wanted.get(name, "")), "")


def _served_seconds(server: Server) -> float:
    """How long the server has been there: what it heard before it died says nothing about a worker now."""
    if server.pid is None or not psutil.pid_exists(server.pid):
        return SILENT_SECONDS
    return processes.age_of(psutil.Process(server.pid))


def _heard_since(api: PrefectApi, home: Path, moment: datetime) -> bool:
    heard = _last_heard(api, home)
    return heard is not None and heard >= moment


def _silent_seconds(api: PrefectApi, home: Path) -> float | None:
    heard = _last_heard(api, home)
    return None if heard is None else (datetime.now(UTC) - heard).total_seconds()


def _last_heard(api: PrefectApi, home: Path) -> datetime | None:
    """When the worker last gave a sign of life; None when Prefect does not know it."""
    try:
        known = api.post(f"/work_pools/{POOL}/workers/filter", {})
    except Refused as refusal:
        if refusal.status == 404:
            return None
        raise
    times = [each["last_heartbeat_time"] for each in known if each["name"] == worker_name(home)]
    return datetime.fromisoformat(times[0]) if times and times[0] else None
