"""The Prefect server that every command shares: found if one is running, started under a lock if not, left running.

State is under ASSAY_HOME/prefect unless PREFECT_HOME is set, so a person's own Prefect profile is never touched.
Importing this module does not import Prefect: the environment has to be right before that happens.
"""

import fcntl
import json
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO
from urllib.parse import urlsplit

import psutil

from evaluations.errors import InfrastructureError
from tasks import processes
from tasks.prefect_api import PrefectApi, without_login
from tasks.settings import Settings

USUAL_PORT = 4200
START_SECONDS = 90.0
HEALTH_SECONDS = 5.0
BUSY_SECONDS = 20.0
"""How long a server that is there may leave a question open before it counts as dead."""
STOP_SECONDS = 10.0

QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY": "false",
    "PREFECT_SERVER_EPHEMERAL_ENABLED": "false",
    "PREFECT_CLI_COLORS": "false",
}
"""What every Prefect process of ours has in its environment: nothing is sent home, nothing starts by accident."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server: its API address, and its process if it was started here."""

    api_url: str
    pid: int | None

    @property
    def ui_url(self) -> str:
        return without_login(self.api_url).removesuffix("/api")

    @property
    def port(self) -> int | None:
        return urlsplit(self.api_url).port


def prefect_home(given: Settings) -> Path:
    return Path(os.environ.get("PREFECT_HOME") or given.home / "prefect").absolute()


def use_server(given: Settings, told: Callable[[str], None] = lambda _: None) -> Server:
    """Find or start the server and point Prefect at it, in the environment of this process.

    Call before Prefect is imported. `told` hears one sentence when there is something to wait for.
    Raises InfrastructureError when a named server does not answer or an own one does not start.
    """
    server = find_server(given, told)
    point_at(server.api_url, prefect_home(given))
    return server


def point_at(api_url: str, home: Path) -> None:
    """Let Prefect, once it is imported, use this server and keep quiet, in the environment of this process."""
    os.environ.update({**QUIET, "PREFECT_HOME": str(home), "PREFECT_API_URL": api_url})
    if "PREFECT_LOGGING_LEVEL" not in os.environ:
        os.environ["PREFECT_LOGGING_LEVEL"] = "ERROR"
        # What goes wrong is said by the command, in a sentence; the traceback is for Prefect's page.
        os.environ["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] = "CRITICAL"


def find_server(given: Settings, told: Callable[[str], None] = lambda _: None) -> Server:
    """Find or start the server and leave this process as it is.

    Raises InfrastructureError when a named server does not answer or an own one does not start.
    """
    return _named(given.prefect_api_url) if given.prefect_api_url else _own(prefect_home(given), told)


def recorded_server(home: Path) -> Server | None:
    """The server that was recorded under this home, if it answers."""
    server = last_server(home)
    if server is None or (server.pid is not None and not psutil.pid_exists(server.pid)):
        return None  # whoever answers at its address now is another one
    return server if _healthy(server.api_url) else None


def last_server(home: Path) -> Server | None:
    """The server that was recorded under this home, whatever has become of it."""
    try:
        record = json.loads(_record(home).read_text())
        return Server(str(record["api_url"]), record["pid"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def stop_server(home: Path) -> bool:
    """Stop the own server, whatever state it is in; False when none was running."""
    with _locked(home):
        ended = processes.end(processes.marked("server", home), STOP_SECONDS)
        _record(home).unlink(missing_ok=True)
        return ended > 0


def environment_for(home: Path, api_url: str) -> dict[str, str]:
    """What a Prefect process of ours is to have in its environment."""
    # Name by name: another thread may be changing a variable just now.
    inherited = {name: value for name in list(os.environ) if (value := os.environ.get(name)) is not None}
    return {**inherited, **QUIET, "PREFECT_HOME": str(home), "PREFECT_API_URL": api_url}


def end_of(log: Path) -> str:
    """The last lines of a log, for a message."""
    lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    return " / ".join(lines[-3:]) or "nothing"


def _named(api_url: str) -> Server:
    if not _healthy(api_url):
        raise InfrastructureError(
            f"no Prefect server answers at {without_login(api_url)} (ASSAY_PREFECT_API_URL). Start it, correct "
            "the address, or unset the variable to use a server of Assay's own."
        )
    return Server(api_url, None)


def _own(home: Path, told: Callable[[str], None]) -> Server:
    running = recorded_server(home)
    if running is not None:
        return running
    with _locked(home):
        # Whoever held the lock before us may have started one.
        running = recorded_server(home) or _busy_server(home)
        if running is not None:
            return running
        if processes.end(processes.marked("server", home), STOP_SECONDS):
            told("The Prefect server did not answer any more; it was ended.")
        told("Starting the Prefect server. This happens once; it stays up and is shared.")
        return _start(home)


def _busy_server(home: Path) -> Server | None:
    """The server that is there and has not answered yet, once it does."""
    deadline = time.monotonic() + BUSY_SECONDS
    while time.monotonic() < deadline:
        there = processes.service_processes("server", home)
        if not there or any(processes.is_halted(each) for each in there):
            return None
        running = recorded_server(home)
        if running is not None:
            return running
        time.sleep(0.5)
    return None


def _start(home: Path) -> Server:
    """Start a server on the port it had before, on Prefect's usual one, or on any other: whichever is free first."""
    before = last_server(home)
    for ports in ((before.port if before else None, USUAL_PORT, 0), (0,)):
        server = _start_on(_free_port(ports), home)
        if server is not None:
            return server
    raise InfrastructureError(f"the Prefect server did not start; {_log(home)} ends with: {end_of(_log(home))}")


def _start_on(port: int, home: Path) -> Server | None:
    """A server on a port; None when it ended before it answered, for instance because another was quicker there."""
    api_url = f"http://127.0.0.1:{port}/api"
    process = processes.start(
        "server",
        home,
        [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)],
        environment_for(home, api_url),
        _log(home),
    )
    # Before it answers: whoever comes after us finds what it is, however we end.
    _record(home).write_text(json.dumps({"api_url": api_url, "pid": process.pid}))
    deadline = time.monotonic() + START_SECONDS
    while not (processes.listens(process.pid, port) and _healthy(api_url)):
        if process.poll() is not None:
            return None
        if time.monotonic() > deadline:
            process.kill()
            return None
        time.sleep(0.1)
    return Server(api_url, process.pid)


def _healthy(api_url: str) -> bool:
    return PrefectApi(api_url, HEALTH_SECONDS).healthy()


def _free_port(wanted: tuple[int | None, ...]) -> int:
    """The first of some ports that is free; 0 stands for any."""
    for port in wanted:
        if port is None:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise InfrastructureError("no port is free on 127.0.0.1")


@contextmanager
def _locked(home: Path) -> Iterator[None]:
    with lock_file(home, "server.lock") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def lock_file(home: Path, name: str) -> TextIO:
    """A file to be locked under this home. Raises InfrastructureError where nothing can be written."""
    try:
        home.mkdir(parents=True, exist_ok=True)
        return (home / name).open("w")
    except OSError as problem:
        raise InfrastructureError(
            f"cannot write to {home}: {problem.strerror}. Set ASSAY_HOME to a folder with space and write access."
        ) from problem


def _record(home: Path) -> Path:
    return home / "server.json"


def _log(home: Path) -> Path:
    return home / "server.log"
