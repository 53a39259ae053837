"""The platform by one command: up from nothing, again, after a kill of each part, and down without a trace.

The tests tell one story on one platform, in the order in which they stand.
"""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tasks import processes
from tests.cli.commands import a_suite_file, from_vendor
from tests.cli.platforms import APlatform, ended, until
from tests.fakes.vendor import Vendor

ALL_UP = {"PostgreSQL": "up", "Prefect server": "up", "worker": "up", "deployments": "up"}


@pytest.fixture(scope="module")
def platform() -> Iterator[APlatform]:
    made = APlatform()
    yield made
    made.close()


@pytest.fixture(scope="module")
def slow_vendor() -> Iterator[Vendor]:
    made = Vendor(latency_ms=150)
    yield made
    made.close()


def test_nothing_is_up_before_the_first_command(platform: APlatform) -> None:
    assert platform.states() == dict.fromkeys(ALL_UP, "down")
    nothing = platform.assay("down")
    assert (nothing.code, "Nothing was running" in nothing.out) == (0, True), nothing
    assert not (platform.home / "postgres").exists(), "looking and stopping start nothing"


def test_two_that_come_at_once_bring_up_one_platform(platform: APlatform) -> None:
    both = [ended(process) for process in [platform.begun("up") for _ in range(2)]]
    assert [each.code for each in both] == [0, 0], both
    assert sum("Another `assay up` or `assay down` is at work" in each.err for each in both) == 1, both
    assert sum("Assay was up already" in each.out for each in both) == 1, both
    status = platform.status()
    assert {each["name"]: each["state"] for each in status["services"]} == ALL_UP, status
    # The server writes the next runs down some time after it has got a schedule.
    until(lambda: "nightly" in {each["deployment"] for each in platform.status()["next"]}, "the next nightly run")
    queues = {each["name"]: each["priority"] for each in platform.api.post("/work_pools/assay/queues/filter", {})}
    assert queues == {"urgent": 1, "default": 2, "nightly": 3}


def test_once_more_changes_nothing(platform: APlatform) -> None:
    before = platform.pids()
    again = platform.assay("up")
    assert (again.code, "Assay was up already" in again.out) == (0, True), again
    assert again.err == ""
    assert platform.pids() == before


def test_the_state_of_each_part_is_seen_at_once_and_mended_by_one_command(
    platform: APlatform, slow_vendor: Vendor, tmp_path: Path
) -> None:
    suite = a_suite_file(tmp_path / "s", cases=120, models=[from_vendor(slow_vendor.url)], concurrency=4)
    flow_run = platform.ordered("suite-run", suite=str(suite))
    until(lambda: platform.rows("SELECT count(*) FROM answers")[0][0] > 8, "answers", platform.logs)
    before = platform.pids()
    api_before = platform.api.url

    platform.kill("worker")
    assert platform.states() == {**ALL_UP, "worker": "down"}
    platform.kill("Prefect server")
    killed = {**ALL_UP, "worker": "down", "Prefect server": "broken", "deployments": "down"}
    assert platform.states() == killed
    answers = dict(platform.rows("SELECT position, id FROM answers"))
    platform.kill("PostgreSQL")
    assert platform.states() == {**killed, "PostgreSQL": "broken"}

    mended = platform.assay("up")
    assert mended.code == 0, mended
    assert platform.states() == ALL_UP
    assert all(now != before[name] for name, now in platform.pids().items())
    assert platform.api.url == api_before, "who was at work finds the server again"
    until(
        lambda: platform.rows("SELECT status, report IS NULL FROM runs") == [("completed", False)],
        "the end of the run",
        lambda: f"{mended} {platform.flow_run(flow_run)['state']} {platform.status()} {platform.logs()}",
        pause_s=0.5,
    )
    assert answers.items() <= dict(platform.rows("SELECT position, id FROM answers")).items()


def test_down_ends_a_halted_worker_and_its_flow_runs_and_leaves_no_process(
    platform: APlatform, slow_vendor: Vendor, tmp_path: Path
) -> None:
    received_before = slow_vendor.received()
    suite = a_suite_file(tmp_path / "s", cases=600, models=[from_vendor(slow_vendor.url)], concurrency=4)
    flow_run = platform.ordered("suite-run", suite=str(suite), use_cache=False)
    until(
        lambda: (
            platform.rows("SELECT count(*) FROM answers a JOIN runs r ON r.id = a.run_id WHERE cells = 600")[0][0] > 8
        ),
        "answers",
        platform.logs,
    )
    psutil.Process(platform.pid("worker")).send_signal(signal.SIGSTOP)
    assert platform.states() == {**ALL_UP, "worker": "broken"}
    # The run before may have triggered others.
    assert re.search(r"is halted, \d flow runs? under way", platform.detail("worker"))
    assert flow_run in processes.flow_run_processes(platform.prefect_home)
    [(run_id,)] = platform.rows("SELECT id FROM runs WHERE cells = 600")
    down = platform.assay("down")
    assert down.code == 0, down
    assert platform.remains() == []
    assert "Stopped: worker, Prefect server, PostgreSQL." in down.out
    assert f"Run {str(run_id)[:8]}" in down.out
    assert "goes on with: assay up" in down.out
    assert platform.states() == dict.fromkeys(ALL_UP, "down")
    made = slow_vendor.received() - received_before
    assert max(made.values()) == 1, "each call once"


def test_a_record_whose_process_is_now_another_one_is_not_believed(platform: APlatform) -> None:
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        record = {"api_url": "http://127.0.0.1:1/api", "pid": stranger.pid}
        (platform.prefect_home / "server.json").write_text(json.dumps(record))
        note = platform.home / "postgres" / "postmaster.pid"
        note.write_text(f"{stranger.pid}\n{note.parent}\n0\n5432\n{platform.home / 'run'}\n\n\nready\n")
        assert platform.states() == {
            "PostgreSQL": "broken",
            "Prefect server": "broken",
            "worker": "down",
            "deployments": "down",
        }
        platform.assay("down")
        assert stranger.poll() is None
        assert platform.states() == dict.fromkeys(ALL_UP, "down")
        os.kill(stranger.pid, 0)
    finally:
        stranger.kill()
        stranger.wait()
