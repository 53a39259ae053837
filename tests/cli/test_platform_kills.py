"""Each part of the platform killed at each moment of a run: status says so, `assay up` mends it, nothing is lost."""

import signal
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import psutil
import pytest

from tasks import processes
from tasks.store.answers import abandoned_calls
from tasks.store.database import engine_for
from tests.cli.commands import a_suite_file, from_vendor
from tests.cli.platforms import APlatform, gone, until
from tests.fakes.vendor import Vendor

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

CASES = 160
ALL_UP = {"PostgreSQL": "up", "Prefect server": "up", "worker": "up", "deployments": "up"}
MOMENTS = {
    "before it has written anything": "SELECT true",
    "after it was written down": "SELECT count(*) > 0 FROM runs WHERE folder = %s",
    "with its first answers": "SELECT count(*) > 0 FROM answers a JOIN runs r ON r.id = a.run_id WHERE folder = %s",
    "halfway": f"SELECT count(*) > {CASES // 2} FROM answers a JOIN runs r ON r.id = a.run_id WHERE folder = %s",
    "with all answers and no report": "SELECT count(*) > 0 FROM runs WHERE folder = %s AND status = 'completed'",
}
VICTIMS = {
    "the worker": ("worker",),
    "the Prefect server": ("Prefect server",),
    "PostgreSQL": ("PostgreSQL",),
    "everything": ("worker", "Prefect server", "PostgreSQL"),
}


@pytest.fixture(scope="module")
def shared() -> Iterator[APlatform]:
    made = APlatform()
    yield made
    made.close()


@pytest.fixture
def platform(shared: APlatform) -> APlatform:
    """The platform, up whatever the test before has left."""
    up = shared.assay("up")
    assert up.code == 0, up
    return shared


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    made = Vendor(latency_ms=100)
    yield made
    made.close()


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("victims", VICTIMS)
def test_a_kill_is_seen_and_mended_and_the_run_ends_without_loss(
    platform: APlatform, vendor: Vendor, tmp_path: Path, moment: str, victims: str
) -> None:
    suite = a_suite_file(tmp_path / "s", cases=CASES, models=[from_vendor(vendor.url)], concurrency=8)
    flow_run = platform.ordered("suite-run", suite=str(suite), use_cache=False)
    folder = str(suite.parent)
    until(lambda: platform.flow_run(flow_run)["state_type"] != "SCHEDULED", "the worker to take it")
    until(lambda: _has_come(platform, moment, folder), moment, platform.logs, pause_s=0.01)
    committed = _committed(platform, folder)

    for name in VICTIMS[victims]:
        platform.kill(name)
    if victims == "everything":
        _kill_flow_runs(platform)
    states = platform.states()
    assert all(states[name] != "up" for name in VICTIMS[victims]), states
    # Without the server a worker waits, and nobody knows what is deployed.
    concerned = {"worker", "deployments"} if "Prefect server" in VICTIMS[victims] else set()
    assert all(states[name] == "up" for name in states.keys() - concerned - {*VICTIMS[victims]}), states

    mended = platform.assay("up")
    assert mended.code == 0, mended
    assert platform.states() == ALL_UP
    until(
        lambda: _ended(platform, folder),
        "the end of the run",
        lambda: f"{mended}\n{platform.flow_run(flow_run)['state']}\n{platform.status()}\n{platform.logs()}",
        pause_s=0.5,
    )
    after = _committed(platform, folder)
    assert committed.items() <= after.items(), "a committed answer was lost or replaced"
    assert len(after) == CASES
    twice = {cell for cell, times in vendor.received().items() if times > 1}
    assert twice <= _called_again(platform, folder), "a call was repeated that was not open at the kill"


def test_a_run_whose_process_dies_goes_on_though_nobody_asks(
    platform: APlatform, vendor: Vendor, tmp_path: Path
) -> None:
    suite = a_suite_file(tmp_path / "s", cases=CASES, models=[from_vendor(vendor.url)], concurrency=8)
    platform.ordered("suite-run", suite=str(suite), use_cache=False)
    folder = str(suite.parent)
    until(lambda: _has_come(platform, "halfway", folder), "halfway", platform.logs, pause_s=0.01)
    committed = _committed(platform, folder)
    _kill_flow_runs(platform)
    until(lambda: _ended(platform, folder), "the end of the run", platform.logs, pause_s=0.5)
    assert committed.items() <= _committed(platform, folder).items()
    twice = {cell for cell, times in vendor.received().items() if times > 1}
    assert twice <= _called_again(platform, folder)


def test_a_worker_that_is_halted_is_replaced_and_a_halted_database_goes_on(platform: APlatform) -> None:
    before = platform.pids()
    for name in ("worker", "PostgreSQL"):
        psutil.Process(before[name]).send_signal(signal.SIGSTOP)
        assert platform.states()[name] == "broken"
    mended = platform.assay("up")
    assert mended.code == 0, mended
    assert platform.states() == ALL_UP
    after = platform.pids()
    assert after["worker"] != before["worker"]
    assert after["PostgreSQL"] == before["PostgreSQL"]


def test_a_server_that_takes_connections_and_answers_nobody_is_replaced(platform: APlatform) -> None:
    before = platform.pid("Prefect server")
    address = platform.api.url
    psutil.Process(before).send_signal(signal.SIGSTOP)
    assert platform.states() == {**ALL_UP, "Prefect server": "broken", "worker": "broken", "deployments": "down"}
    mended = platform.assay("up")
    assert mended.code == 0, mended
    assert platform.states() == ALL_UP
    assert platform.pid("Prefect server") != before
    assert platform.api.url == address


def test_the_watcher_mends_what_dies_and_stops_everything_when_it_is_told_to(platform: APlatform) -> None:
    watcher = platform.begun("up", "--watch")
    until(lambda: platform.states() == ALL_UP, "the platform")
    before = platform.pids()
    platform.kill("worker")
    until(
        lambda: platform.states() == ALL_UP and platform.pid("worker") != before["worker"],
        "another worker",
        platform.logs,
        pause_s=0.5,
    )
    watcher.send_signal(signal.SIGTERM)
    out, err = watcher.communicate(timeout=120)
    assert watcher.returncode == 0, (out, err)
    assert "worker down: not running" in out
    assert "mended in" in out
    assert "Stopped: worker, Prefect server, PostgreSQL." in out
    assert platform.remains() == []


def _has_come(platform: APlatform, moment: str, folder: str) -> bool:
    query = MOMENTS[moment]
    return bool(platform.rows(query, *([folder] if "%s" in query else []))[0][0])


def _committed(platform: APlatform, folder: str) -> dict[int, tuple[int, str]]:
    """Every committed answer: position -> (id, text)."""
    rows = platform.rows(
        "SELECT a.position, a.id, a.text FROM answers a JOIN runs r ON r.id = a.run_id "
        "WHERE r.folder = %s AND NOT a.superseded",
        folder,
    )
    return {position: (number, said) for position, number, said in rows}


def _ended(platform: APlatform, folder: str) -> bool:
    rows = platform.rows("SELECT status, report FROM runs WHERE folder = %s AND status <> 'queued'", folder)
    return bool(rows) and all(status == "completed" and report is not None for status, report in rows)


def _called_again(platform: APlatform, folder: str) -> set[str]:
    [(run_id,)] = platform.rows("SELECT id FROM runs WHERE folder = %s AND status <> 'queued'", folder)
    with engine_for(platform.database).connect() as connection:
        return {call.case_id for call in abandoned_calls(connection, UUID(str(run_id)))}


def _kill_flow_runs(platform: APlatform) -> None:
    for each in processes.flow_run_processes(platform.prefect_home).values():
        for process in each:
            process.send_signal(signal.SIGKILL)
            gone(process)
