"""Processes of the platform: marked in their environment when they start, found by the mark however they were left.

A number written down may belong to another process by now; the environment that a process started with cannot.
"""

import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import psutil

Service = Literal["server", "worker"]

MARK = "ASSAY_SERVICE"
FLOW_RUN = "PREFECT__FLOW_RUN_ID"
"""What Prefect writes into the environment of a process that executes a flow run."""
LONGEST_LOG = 10_000_000
"""Bytes after which a log is put aside when its process starts anew; one older log is kept."""


def start(
    service: Service, home: Path, arguments: Sequence[str], environment: Mapping[str, str], log: Path
) -> "subprocess.Popen[bytes]":
    """Start a marked process in a session of its own: a Ctrl-C in the terminal is not for it, and it outlives us."""
    put_aside(log)
    with log.open("ab") as output:
        return subprocess.Popen(  # noqa: S603 - programs and arguments of our own
            list(arguments),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            cwd=home,
            env={**environment, MARK: _mark(service, home)},
        )


def put_aside(log: Path) -> None:
    """Begin a new log where the old one has become long."""
    if log.exists() and log.stat().st_size > LONGEST_LOG:
        log.replace(log.with_suffix(".log.1"))


def marked(service: Service, home: Path) -> list[psutil.Process]:
    """Every living process of a service: itself and whatever inherited its mark."""
    mark = _mark(service, home)
    found = [each for each in psutil.process_iter() if _environment(each).get(MARK) == mark]
    # A database that a flow run had to start belongs to all, not to the worker.
    return [each for each in found if _name(each) != "postgres"]


def service_processes(service: Service, home: Path) -> list[psutil.Process]:
    """The processes that are the service itself; more than one when something went wrong."""
    return [each for each in marked(service, home) if FLOW_RUN not in _environment(each) and _leads_session(each)]


def flow_run_processes(home: Path) -> dict[str, list[psutil.Process]]:
    """Processes that execute flow runs of the worker, by the id of the flow run."""
    found: dict[str, list[psutil.Process]] = {}
    for each in marked("worker", home):
        if flow_run := _environment(each).get(FLOW_RUN):
            found.setdefault(flow_run, []).append(each)
    return found


def environment_of(process: psutil.Process) -> Mapping[str, str]:
    """What the process was started with; empty when it is gone or another user's."""
    return _environment(process)


def is_halted(process: psutil.Process) -> bool:
    """True when somebody has halted the process: it is there and does nothing."""
    try:
        return bool(process.status() == psutil.STATUS_STOPPED)
    except psutil.Error:
        return False


def listens(pid: int, port: int) -> bool:
    """True when the process takes connections at the port, and not another one."""
    try:
        found = psutil.Process(pid).net_connections("tcp")
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:  # where the system does not tell, its answer has to do
        return True
    return any(each.status == psutil.CONN_LISTEN and each.laddr.port == port for each in found)


def age_of(process: psutil.Process) -> float:
    """Seconds since the process started."""
    try:
        return max(0.0, time.time() - process.create_time())
    except psutil.Error:
        return 0.0


def end(processes: Iterable[psutil.Process], patience_s: float) -> int:
    """End processes: asked first, killed with all they started when they do not go. Gives how many there were."""
    asked = list(processes)
    for each in asked:
        _send(each, signal.SIGTERM)
        _send(each, signal.SIGCONT)  # a halted process does not hear anything else
    _, left = psutil.wait_procs(asked, timeout=patience_s)
    kill(left)
    return len(asked)


def kill(processes: Iterable[psutil.Process]) -> None:
    """Kill processes and their descendants, and wait until they are gone."""
    everyone = {each for process in processes for each in (process, *_descendants(process))}
    for each in everyone:
        _send(each, signal.SIGKILL)
    psutil.wait_procs(list(everyone), timeout=5)


def kill_alone(processes: Iterable[psutil.Process]) -> None:
    """Kill processes and leave alone what they started."""
    killed = list(processes)
    for each in killed:
        _send(each, signal.SIGKILL)
    psutil.wait_procs(killed, timeout=5)


def resume(process: psutil.Process) -> None:
    """Let a halted process go on."""
    _send(process, signal.SIGCONT)


def _mark(service: Service, home: Path) -> str:
    return f"{service}@{home.resolve()}"


def _environment(process: psutil.Process) -> Mapping[str, str]:
    try:
        # One that has ended and waits to be buried has no environment any more.
        return process.environ()
    except (psutil.Error, OSError):
        return {}


def _name(process: psutil.Process) -> str:
    try:
        return process.name()
    except psutil.Error:
        return ""


def _leads_session(process: psutil.Process) -> bool:
    try:
        return os.getsid(process.pid) == process.pid
    except OSError:
        return False


def _descendants(process: psutil.Process) -> list[psutil.Process]:
    try:
        return [each for each in process.children(recursive=True) if _name(each) != "postgres"]
    except psutil.Error:
        return []


def _send(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.Error:
        return  # gone, which is what was wanted
