"""The embedded server: processes share it, none stops it on the way out, and it comes back after a kill."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tasks.store.embedded import data_folder, embedded_url, stop

ROOT = Path(__file__).parents[3]
WORKER = """
import sys
from tasks.store.database import transaction
from tasks.store.runs import list_runs
with transaction() as connection:
    list_runs(connection, 1)
print("ready", flush=True)
sys.stdin.readline()
with transaction() as connection:
    list_runs(connection, 1)
print("still here", flush=True)
"""


@pytest.fixture
def fresh_home() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="assay-fresh-"))
    yield folder
    stop(folder)
    shutil.rmtree(folder, ignore_errors=True)


def started(home: Path) -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if name != "ASSAY_DATABASE_URL"}
    return subprocess.Popen(
        [sys.executable, "-c", WORKER],
        cwd=ROOT,
        env=environment | {"ASSAY_HOME": str(home)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def said(process: subprocess.Popen[str], line: str = "") -> str:
    assert process.stdin is not None
    assert process.stdout is not None
    if line:
        process.stdin.write(line)
        process.stdin.flush()
    return process.stdout.readline().strip()


def test_two_processes_that_start_at_once_share_a_server_and_the_first_to_go_leaves_it_up(fresh_home: Path) -> None:
    first, second = started(fresh_home), started(fresh_home)
    assert [said(first), said(second)] == ["ready", "ready"]
    postmaster = (data_folder(fresh_home) / "postmaster.pid").read_text().splitlines()[0]
    assert said(first, "go\n") == "still here"
    assert first.wait(30) == 0
    assert said(second, "go\n") == "still here"
    assert second.wait(30) == 0
    assert (data_folder(fresh_home) / "postmaster.pid").read_text().splitlines()[0] == postmaster
    with psycopg.connect(embedded_url(fresh_home)) as connection:
        assert connection.execute("SELECT count(*) FROM runs").fetchone() == (0,)


def test_a_killed_server_is_started_again_with_what_was_committed(fresh_home: Path) -> None:
    url = embedded_url(fresh_home)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    for _ in range(2):
        postmaster = int((data_folder(fresh_home) / "postmaster.pid").read_text().splitlines()[0])
        os.kill(postmaster, signal.SIGKILL)
        deadline = time.monotonic() + 10
        while Path(f"/proc/{postmaster}").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        with psycopg.connect(embedded_url(fresh_home)) as connection:
            assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)


def test_stopping_a_server_that_is_not_there_says_so(fresh_home: Path) -> None:
    assert stop(fresh_home) is False
    embedded_url(fresh_home)
    assert stop(fresh_home) is True
    assert stop(fresh_home) is False
