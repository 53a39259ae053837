"""The Prefect server that every command shares: found if one is running, started under a lock if not, left running.

State is under ASSAY_HOME/prefect unless PREFECT_HOME is set, so a person's own Prefect profile is never touched.
Importing this module does not import Prefect: the environment has to be right before that happens.
"""

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from urllib.parse import urlsplit

from evaluations.errors import InfrastructureError
from tasks.settings import Settings

USUAL_PORT = 4200
START_SECONDS = 90.0

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
        return self.api_url.removesuffix("/api")


def prefect_home(given: Settings) -> Path:
    return Path(os.environ.get("PREFECT_HOME") or given.home / "prefect")


def use_server(given: Settings, told: Callable[[str], None] = lambda _: None) -> Server:
    """Find or start the server and point Prefect at it, in the environment of this process.

    Call before Prefect is imported. `told` hears one sentence when there is something to wait for.
    Raises InfrastructureError when a named server does not answer or an own one does not start.
    """
    home = prefect_home(given)
    os.environ.update(QUIET)
    os.environ["PREFECT_HOME"] = str(home)
    server = _named(given.prefect_api_url) if given.prefect_api_url else _own(home, told)
    os.environ["PREFECT_API_URL"] = server.api_url
    if "PREFECT_LOGGING_LEVEL" not in os.environ:
        os.environ["PREFECT_LOGGING_LEVEL"] = "ERROR"
        # What goes wrong is said by the command, in a sentence; the traceback is for Prefect's page.
        os.environ["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] = "CRITICAL"
    return server


def recorded_server(home: Path) -> Server | None:
    """The server that was recorded under this home, if it answers."""
    try:
        record = json.loads(_record(home).read_text())
        server = Server(str(record["api_url"]), record["pid"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return server if _healthy(server.api_url) else None


def stop_server(home: Path) -> bool:
    """Stop the recorded server; False when none was running."""
    with _locked(home):
        server = recorded_server(home)
        if server is None or server.pid is None:
            return False
        os.kill(server.pid, signal.SIGTERM)
        deadline = time.monotonic() + 10
        while _alive(server.pid) and time.monotonic() < deadline:
            time.sleep(0.05)
        if _alive(server.pid):
            os.kill(server.pid, signal.SIGKILL)
        _record(home).unlink(missing_ok=True)
        return True


def _named(api_url: str) -> Server:
    if not _healthy(api_url):
        raise InfrastructureError(
            f"no Prefect server answers at {_without_login(api_url)} (ASSAY_PREFECT_API_URL). Start it, correct "
            "the address, or unset the variable to use a server of Assay's own."
        )
    return Server(api_url, None)


def _without_login(api_url: str) -> str:
    """An address may hold a password; a message may not."""
    scheme, sign, rest = api_url.rpartition("://")
    return scheme + sign + rest.rpartition("@")[2]


def _own(home: Path, told: Callable[[str], None]) -> Server:
    running = recorded_server(home)
    if running is not None:
        return running
    with _locked(home):
        # Whoever held the lock before us may have started one.
        running = recorded_server(home)
        if running is not None:
            return running
        told("Starting the Prefect server. This happens once; it stays up and is shared.")
        return _start(home)


def _start(home: Path) -> Server:
    port = _free_port()
    api_url = f"http://127.0.0.1:{port}/api"
    log = home / "server.log"
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter with arguments of our own
            [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            # A session of its own: Ctrl-C in the terminal is for the run, not for the server that others share.
            start_new_session=True,
            cwd=home,
            env={**os.environ, **QUIET, "PREFECT_HOME": str(home), "PREFECT_API_URL": api_url},
        )
    deadline = time.monotonic() + START_SECONDS
    while not _healthy(api_url):
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            raise InfrastructureError(f"the Prefect server did not start; {log} ends with: {_tail(log)}")
        time.sleep(0.1)
    _record(home).write_text(json.dumps({"api_url": api_url, "pid": process.pid}))
    return Server(api_url, process.pid)


def _healthy(api_url: str) -> bool:
    connection: HTTPConnection | None = None
    try:
        parts = urlsplit(api_url)
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        connection = kind(parts.hostname or "127.0.0.1", parts.port, timeout=5)
        connection.request("GET", f"{parts.path.rstrip('/')}/health")
        return connection.getresponse().status == 200
    except (OSError, HTTPException, ValueError):  # ValueError: no address at all
        return False
    finally:
        if connection is not None:
            connection.close()


def _free_port() -> int:
    """Prefect's usual port where it is free, so that people find the UI where they look for it."""
    for port in (USUAL_PORT, 0):
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
    try:
        home.mkdir(parents=True, exist_ok=True)
        handle = (home / "server.lock").open("w")
    except OSError as problem:
        raise InfrastructureError(
            f"cannot write to {home}: {problem.strerror}. Set ASSAY_HOME to a folder with space and write access."
        ) from problem
    with handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _record(home: Path) -> Path:
    return home / "server.json"


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        # A child of ours that ended stays a zombie until somebody asks for it.
        return os.waitpid(pid, os.WNOHANG) == (0, 0)
    except ChildProcessError:
        return True


def _tail(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return " / ".join(lines[-3:]) or "nothing"
