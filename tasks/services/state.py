"""What the parts of the platform are doing. Looking changes nothing and starts nothing."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, TypeVar

import psutil
import psycopg

from evaluations.errors import AssayError, InfrastructureError
from tasks import processes
from tasks.prefect_api import PrefectApi, without_login
from tasks.prefect_server import START_SECONDS, Server, last_server, prefect_home
from tasks.services import deployments, worker
from tasks.services.pool import is_paused
from tasks.settings import Settings
from tasks.store import embedded
from tasks.store.database import database_url, described
from tasks.store.embedded import data_folder

Seen = TypeVar("Seen")

UP = "assay up"
LOOK_SECONDS = 2
"""How long a question may stay open before whoever was asked counts as not answering."""


@dataclass(frozen=True, slots=True)
class ServiceState:
    """One part of the platform."""

    name: str
    state: Literal["up", "down", "broken"]
    """broken: half dead, such as a process that does not answer or a record of one that is gone."""
    detail: str
    """One phrase: address, process, or what is wrong."""
    mend: str
    """The command that mends it; empty when it is up."""


def states(given: Settings) -> list[ServiceState]:
    """PostgreSQL, the Prefect server, the worker, the deployments: as they are at this moment."""
    with ThreadPoolExecutor(3) as pool:
        database = pool.submit(_database_state, given)
        server_state, server = _server_state(given)
        worker_state = pool.submit(_worker_state, given, server)
        deployed = pool.submit(_deployments_state, given, server)
        return [database.result(), server_state, worker_state.result(), deployed.result()]


def answering_server(given: Settings) -> Server | None:
    """The server that answers now; None when none does. Starts nothing."""
    return _server_state(given)[1]


def _up(name: str, detail: str) -> ServiceState:
    return ServiceState(name, "up", detail, "")


def _database_state(given: Settings) -> ServiceState:
    name = "PostgreSQL"
    if given.database_url is None:
        return _embedded_state(name, given.home)
    try:
        url = database_url(given)
        with psycopg.connect(url, connect_timeout=LOOK_SECONDS):
            return _up(name, f"the server at {described(url)}")
    except psycopg.OperationalError as problem:
        where = described(given.database_url.get_secret_value())
        return ServiceState(
            name, "down", f"{where} does not answer: {_first_line(problem)}", "start it, or correct ASSAY_DATABASE_URL"
        )
    except AssayError as problem:
        return ServiceState(name, "broken", str(problem), "correct ASSAY_DATABASE_URL")


def _embedded_state(name: str, home: Path) -> ServiceState:
    process, recorded = postmaster(home)
    if not recorded:
        began = (data_folder(home) / "PG_VERSION").is_file()
        return ServiceState(name, "down", "embedded, not running" if began else "embedded, not set up yet", UP)
    if process is None:
        return ServiceState(name, "broken", "embedded; it was killed, and its note is left", UP)
    answer = embedded_answer(home)
    if answer is None:
        return _up(name, f"embedded, process {process.pid}{_since(process)}")
    return ServiceState(name, "broken", f"embedded, process {process.pid} does not serve: {answer}", UP)


def postmaster(home: Path) -> tuple[psutil.Process | None, bool]:
    """The embedded server's process if it is there, and whether there is a note of one."""
    data = data_folder(home)
    try:
        process = embedded.postmaster(data)
    except psutil.Error:
        process = None
    return process, process is not None or os.access(data / "postmaster.pid", os.F_OK)


def embedded_answer(home: Path) -> str | None:
    """Why the embedded server does not serve; None when it does."""
    url = embedded.recorded_url(data_folder(home))
    if url is None:
        return "it is starting"
    try:
        with psycopg.connect(embedded.maintenance_url(url), connect_timeout=LOOK_SECONDS):
            return None
    except psycopg.OperationalError as problem:
        return _first_line(problem)


def _server_state(given: Settings) -> tuple[ServiceState, Server | None]:
    name = "Prefect server"
    if given.prefect_api_url is not None:
        address = without_login(given.prefect_api_url)
        if PrefectApi(given.prefect_api_url, LOOK_SECONDS).healthy():
            return _up(name, address), Server(given.prefect_api_url, None)
        mend = "start it, or correct ASSAY_PREFECT_API_URL"
        return ServiceState(name, "down", f"{address} does not answer", mend), None
    home = prefect_home(given)
    there = processes.service_processes("server", home)
    last = last_server(home)
    if not there:
        if last is None or last.pid is None:
            return ServiceState(name, "down", "not running", UP), None
        return ServiceState(name, "broken", f"process {last.pid} was killed, and its record is left", UP), None
    process = there[0]
    if len(there) > 1:
        return ServiceState(name, "broken", f"{len(there)} servers at once", UP), None
    if processes.is_halted(process):
        return ServiceState(name, "broken", f"process {process.pid} is halted", UP), None
    if last is not None and last.pid == process.pid and PrefectApi(last.api_url, LOOK_SECONDS).healthy():
        return _up(name, f"{last.ui_url}, process {process.pid}{_since(process)}"), last
    detail = "is starting" if processes.age_of(process) < START_SECONDS else "does not answer"
    return ServiceState(name, "broken", f"process {process.pid} {detail}", UP), None


def _worker_state(given: Settings, server: Server | None) -> ServiceState:
    name = "worker"
    seen = _asked(lambda: worker.look(given, server))
    if isinstance(seen, str):
        return ServiceState(name, "broken", seen, UP)
    runs = len(processes.flow_run_processes(prefect_home(given)))
    busy = f", {runs} flow run{'s' if runs != 1 else ''} under way" if runs else ""
    if not seen.pids:
        return ServiceState(name, "down", f"not running{busy}", UP)
    if seen.trouble:
        return ServiceState(name, "broken", f"process {seen.pids[0]} {seen.trouble}{busy}", UP)
    return _up(name, f"process {seen.pids[0]}, {worker.LIMIT} flow runs at once{busy}")


def _deployments_state(given: Settings, server: Server | None) -> ServiceState:
    name = "deployments"
    if server is None:
        return ServiceState(name, "down", "unknown while the Prefect server is down", UP)
    api = PrefectApi(server.api_url, LOOK_SECONDS)
    seen = _asked(lambda: deployments.look(given, api))
    if isinstance(seen, str):
        return ServiceState(name, "broken", seen, UP)
    if len(seen.missing) == len(seen.wanted):
        return ServiceState(name, "down", f"none of {len(seen.wanted)} is deployed", UP)
    if seen.missing:
        return ServiceState(name, "broken", f"missing: {', '.join(seen.missing)}", UP)
    if seen.changed:
        return ServiceState(name, "broken", "deployed from another state of prefect.yaml and the flows", UP)
    if is_paused(api):
        return ServiceState(name, "broken", "the work pool is paused", "resume the pool in Prefect's page")
    return _up(name, f"{len(seen.wanted)}, {seen.schedules} of their schedules switched on")


def _asked(look: Callable[[], Seen]) -> Seen | str:
    """What was seen, or why nothing could be."""
    try:
        return look()
    except InfrastructureError as problem:
        return str(problem)


def _since(process: psutil.Process) -> str:
    try:
        return f", since {datetime.fromtimestamp(process.create_time()):%Y-%m-%d %H:%M}"
    except psutil.Error:
        return ""


def _first_line(problem: Exception) -> str:
    return (str(problem).strip().splitlines() or [type(problem).__name__])[0]
