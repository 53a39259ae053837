"""What we stand on fails: a sentence that says what, exit 3, and what was committed is safe."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from random import Random

import psycopg
import pytest

from tests.cli.commands import a_suite_file, assay, assay_alone, assay_here, cases_of, rows, runs_in, simulated
from tests.conftest import _forget
from tests.ports import free_port

COMMANDS = [
    ("run", "support-tickets"),
    ("run", "--resume", "last"),
    ("rescore", "last"),
    ("runs", "list"),
    ("runs", "show", "last"),
    ("runs", "report", "last"),
    ("db", "status"),
    ("db", "upgrade"),
]


@pytest.fixture
def closed_port() -> int:
    return free_port()


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_database_that_is_down_exits_with_3(
    store: str, closed_port: int, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setenv("ASSAY_DATABASE_URL", f"postgresql://somebody:canary@127.0.0.1:{closed_port}/assay")
    _forget()
    failed = assay_here(*command)
    assert failed.code == 3, failed
    assert f"the database at 127.0.0.1:{closed_port}/assay cannot be reached" in failed.err
    assert "canary" not in failed.err
    assert failed.err.count("\n") == 1


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mysql://u:canary@h/db", "has to be a PostgreSQL URL"),
        ("canary", "has to be a PostgreSQL URL"),
        ("postgresql://u:canary@127.0.0.1:port/db", "ASSAY_DATABASE_URL"),
        ("postgresql://u:canary@127.0.0.1:99999/db", "ASSAY_DATABASE_URL"),
        ("postgresql://u:can%zzary@127.0.0.1/db", "ASSAY_DATABASE_URL"),
        ("postgresql://u:canary@[::1/db", "ASSAY_DATABASE_URL"),
        ("postgresql://u@127.0.0.1/db?password=canary&bogus=1", "ASSAY_DATABASE_URL"),
    ],
)
def test_an_address_that_is_none_exits_with_2_and_is_not_repeated(
    store: str, monkeypatch: pytest.MonkeyPatch, url: str, said: str
) -> None:
    monkeypatch.setenv("ASSAY_DATABASE_URL", url)
    _forget()
    for command in (("runs", "list"), ("db", "status"), ("db", "upgrade")):
        refused = assay_here(*command)
        assert refused.code == 2, refused
        assert said in refused.err
        assert "canary" not in refused.err
        assert "can%zzary" not in refused.err


def test_a_named_prefect_server_that_does_not_answer_exits_with_3_before_anything_runs(
    store: str, tmp_path: Path, closed_port: int
) -> None:
    suite = a_suite_file(tmp_path / "s")
    failed = assay_alone("run", suite, env={"ASSAY_PREFECT_API_URL": f"http://127.0.0.1:{closed_port}/api"})
    assert failed.code == 3, failed
    assert f"no Prefect server answers at http://127.0.0.1:{closed_port}/api" in failed.err
    assert runs_in(store) == 0


def test_a_home_that_cannot_be_written_exits_with_3(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    here = {"ASSAY_HOME": str(tmp_path / "file" / "home")}
    environment = {name: value for name, value in os.environ.items() if name != "ASSAY_DATABASE_URL"}
    done = subprocess.run(
        [sys.executable, "-c", "from cli.main import main; main()", "runs", "list"],
        env=environment | here,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3, done
    assert "cannot write to" in done.stderr
    assert "Set ASSAY_HOME" in done.stderr


@pytest.mark.usefixtures("prefect_server")
def test_reports_that_cannot_be_written_exit_with_3_and_the_run_is_safe(store: str, tmp_path: Path) -> None:
    suite = a_suite_file(tmp_path / "s")
    failed = assay("run", suite, env={"ASSAY_REPORTS": "/dev/full/reports"})
    assert failed.code == 3, failed
    assert "the report could not be written to /dev/full/reports" in failed.err
    assert "The run is safe in the store" in failed.err
    assert rows(store, "SELECT status, verdict, report FROM runs") == [("completed", "pass", None)]
    written = assay_here("runs", "report", "last")
    assert written.code == 0, written.err
    assert Path(written.out.strip()).is_file()
    assert assay("run", "--resume", "last").code == 0
    assert rows(store, "SELECT count(*), max(attempt) FROM calls") == [(4, 1)]


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system of 64 MB, where this may be mounted; every user may reach it."""
    folder = Path(tempfile.mkdtemp(prefix="assay-small-"))
    folder.chmod(0o755)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        folder.rmdir()
        pytest.skip("needs the right to mount a small file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)
    folder.rmdir()


def leave_free(disk: Path, size: int) -> Path:
    """Fill a disk up to the last `size` bytes; gives the file that does it."""
    filler = disk / "filler"
    filler.write_bytes(bytes(shutil.disk_usage(disk).free - size))
    return filler


def _move(connection: "psycopg.Connection[tuple[object, ...]]", name: str, tablespace: str) -> None:
    # Files of another file system cannot be cloned, which is how the test server copies.
    connection.execute("SET file_copy_method = copy")
    connection.execute(f"ALTER DATABASE {name} SET TABLESPACE {tablespace}")


@pytest.mark.usefixtures("prefect_server")
def test_a_full_disk_under_the_reports_leaves_no_half_report(store: str, tmp_path: Path, small_disk: Path) -> None:
    leave_free(small_disk, 60_000)
    suite = a_suite_file(tmp_path / "s", cases=cases_of(200))
    failed = assay("run", suite, env={"ASSAY_REPORTS": str(small_disk / "reports")})
    assert failed.code == 3, failed
    assert "No space left on device" in failed.err
    written = [path for path in (small_disk / "reports").rglob("*") if path.is_file()]
    assert all(path.stat().st_size > 0 for path in written)
    assert not any(path.name.startswith(".") for path in written), "a temporary file was left behind"
    assert assay_here("runs", "report", "last").code == 0


@pytest.mark.usefixtures("prefect_server")
def test_a_full_disk_under_the_database_stops_the_run_and_a_resume_finishes_it(
    store: str, tmp_path: Path, small_disk: Path
) -> None:
    name = store.partition("@/")[2].partition("?")[0]
    server = store.replace(f"/{name}?", "/postgres?")
    random = Random(1)
    cases = [{**case, "expected": random.randbytes(50_000).hex()} for case in cases_of(40)]
    suite = a_suite_file(tmp_path / "s", cases=cases, models=simulated(), repeats=6)
    with psycopg.connect(server, autocommit=True) as connection:
        data = Path(connection.execute("SHOW data_directory").fetchall()[0][0])
        place = small_disk / "tablespace"
        place.mkdir()
        os.chown(place, data.stat().st_uid, data.stat().st_gid)
        connection.execute(f"CREATE TABLESPACE small_{name} LOCATION '{place}'")
        _move(connection, name, f"small_{name}")
    try:
        filler = leave_free(small_disk, 16_000_000)
        run = assay("run", suite)
        assert run.code == 3, run
        assert "the database's disk is full" in run.err
        # A full disk may refuse even a new connection, which wants to write a file of its own.
        filler.unlink()
        [(before,)] = rows(store, "SELECT count(*) FROM answers")
        assert 0 < before < 240
        resumed = assay("run", "--resume", "last")
        assert resumed.code == 0, resumed
        assert rows(store, "SELECT count(*), count(DISTINCT (position, repeat)) FROM answers") == [(240, 240)]
    finally:
        _forget()
        with psycopg.connect(server, autocommit=True) as connection:
            _move(connection, name, "pg_default")
            connection.execute(f"DROP TABLESPACE small_{name}")


def test_a_store_of_a_newer_version_is_left_alone(store: str) -> None:
    with psycopg.connect(store) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    for command in COMMANDS:
        if command == ("db", "status"):
            continue
        refused = assay_here(*command)
        assert refused.code == 2, (command, refused)
        assert "newer than this version of Assay knows" in refused.err
    status = assay_here("db", "status")
    assert (status.code, "schema 9999" in status.out) == (0, True)
    assert rows(store, "SELECT version_num FROM alembic_version") == [("9999",)]
    assert runs_in(store) == 0
