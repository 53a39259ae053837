"""The embedded server: shared by every process, stopped by none on its way out, back after a kill."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from evaluations.errors import AssayError, InfrastructureError
from tasks.store import embedded
from tasks.store.database import told_plainly
from tests.cli.commands import PROGRAM, ROOT, Outcome


@pytest.fixture
def fresh() -> Iterator[Path]:
    """An ASSAY_HOME that nobody has used; where the user that the server runs as can reach it."""
    home = Path(tempfile.mkdtemp(prefix="assay-fresh-")) / "home"
    yield home
    embedded.stop(home)
    shutil.rmtree(home.parent, ignore_errors=True)


def begun(home: Path, *arguments: str) -> subprocess.Popen[str]:
    # Nothing of the servers that the session shares: `db stop` is among the commands.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ASSAY_", "PREFECT_"))}
    return subprocess.Popen(
        [*PROGRAM, *arguments],
        cwd=ROOT,
        env={**environment, "ASSAY_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: subprocess.Popen[str]) -> Outcome:
    out, err = process.communicate(timeout=120)
    return Outcome(process.returncode, out, err)


def postmaster(home: Path) -> psutil.Process:
    return psutil.Process(int((home / "postgres" / "postmaster.pid").read_text().splitlines()[0]))


def test_processes_that_start_at_once_share_one_server_which_outlives_them_and_comes_back(fresh: Path) -> None:
    together = [ended(process) for process in [begun(fresh, "runs", "list") for _ in range(2)]]
    assert [each.code for each in together] == [0, 0], together
    assert all("No runs yet" in each.out for each in together)
    first = postmaster(fresh)
    assert first.is_running(), "the first to exit took the server along"
    assert (fresh / "postgres").stat().st_mode & 0o077 == 0, "others could read the data"
    assert len([each for each in psutil.process_iter() if is_postmaster_of(each, fresh)]) == 1

    again = ended(begun(fresh, "db", "status"))
    assert (again.code, again.out.startswith("embedded a local socket/assay: schema ")) == (0, True)
    assert postmaster(fresh) == first

    first.send_signal(signal.SIGKILL)
    first.wait(10)
    after = ended(begun(fresh, "runs", "list"))
    assert (after.code, "No runs yet" in after.out) == (0, True), after
    assert postmaster(fresh) != first

    stopped = ended(begun(fresh, "db", "stop"))
    assert (stopped.code, stopped.out) == (0, "stopped: PostgreSQL\n")
    assert ended(begun(fresh, "db", "stop")).out == "nothing was running\n"
    assert not [each for each in psutil.process_iter() if is_postmaster_of(each, fresh)]


def is_postmaster_of(process: psutil.Process, home: Path) -> bool:
    try:
        return str(home) in " ".join(process.cmdline()) and "postgres" in process.name()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


def test_a_server_that_dies_under_a_command_is_an_infrastructure_error_and_comes_back(fresh: Path) -> None:
    url = embedded.embedded_url(fresh)
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT current_setting('server_version_num')::int / 10000").fetchone() == (18,)
        assert connection.execute(
            "SELECT datcollate, pg_encoding_to_char(encoding) FROM pg_database WHERE datname = current_database()"
        ).fetchone() == ("C", "UTF8")
        postmaster(fresh).send_signal(signal.SIGKILL)
        with pytest.raises(InfrastructureError, match="What was committed is safe"):
            use_until_it_fails(connection)
    assert embedded.embedded_url(fresh) == url
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_an_incomplete_note_of_a_server_is_not_believed(tmp_path: Path) -> None:
    assert embedded.recorded_url(tmp_path) is None
    (tmp_path / "postmaster.pid").write_text("1234\n/data\n")
    assert embedded.recorded_url(tmp_path) is None
    (tmp_path / "postmaster.pid").write_text("1234\n/data\n1700000000\n5433\n/run/here\n\n\nready\n")
    assert embedded.recorded_url(tmp_path) == "postgresql://postgres@/assay?host=/run/here&port=5433"


def use_until_it_fails(connection: psycopg.Connection) -> None:
    with told_plainly():
        for _ in range(200):
            connection.execute("SELECT 1")
            time.sleep(0.05)


def test_the_note_of_a_server_whose_number_another_process_has_is_not_believed(fresh: Path) -> None:
    """As after a power failure: the note is there, and the number in it belongs to somebody else."""
    embedded.embedded_url(fresh)
    note = fresh / "postgres" / "postmaster.pid"
    lines = note.read_text().splitlines()
    killed = postmaster(fresh)
    killed.send_signal(signal.SIGKILL)
    killed.wait(10)
    note.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
    url = embedded.embedded_url(fresh)
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert postmaster(fresh).pid != os.getpid()


def test_a_home_with_accents_works_and_one_that_no_shell_takes_is_refused(fresh: Path) -> None:
    home = fresh.parent / "Åsa"
    try:
        with psycopg.connect(embedded.embedded_url(home)) as connection:
            assert connection.execute("SELECT current_database()").fetchone() == ("assay",)
    finally:
        embedded.stop(home)
    for name in ("with space", "quote's", "a;b"):
        with pytest.raises(AssayError, match="Set ASSAY_HOME to a folder without spaces and quotes"):
            embedded.embedded_url(fresh.parent / name)
        assert not (fresh.parent / name).exists()


def test_stopping_what_never_ran_says_so(tmp_path: Path) -> None:
    assert embedded.stop(tmp_path) is False
