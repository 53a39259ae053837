"""The platform's services: what is looked at, who goes on with what was left, and whose process is whose."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psutil
import pytest
from pydantic import SecretStr

from tasks import prefect_server as servers
from tasks import processes
from tasks.prefect_api import PrefectApi, Refused, Unreachable
from tasks.services import POOL, states
from tasks.services.deployments import look, working_folder
from tasks.services.overview import QUEUED, by_hand, left_runs
from tasks.services.pool import ensure_pool
from tasks.services.recovery import MOST_RESUMES, RESUME, recover
from tasks.services.worker import worker_name
from tasks.settings import Settings, settings
from tasks.store import runs
from tasks.store.database import transaction
from tests.builders import a_run
from tests.cli.platforms import until
from tests.ports import free_port

ROOT = Path(__file__).parents[2]


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[psutil.Process]:
    """A process with the mark of this home's worker."""
    started = processes.start(
        "worker",
        tmp_path,
        [sys.executable, "-c", "import time; time.sleep(600)"],
        {**os.environ, processes.FLOW_RUN: "a-flow-run"},
        tmp_path / "log",
    )
    yield psutil.Process(started.pid)
    started.kill()
    started.wait()


def test_a_marked_process_is_found_by_its_home_and_by_what_it_is(sleeper: psutil.Process, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    # Its mark is there once the system has begun its program.
    until(lambda: [each.pid for each in processes.marked("worker", tmp_path)] == [sleeper.pid], "the mark")
    assert processes.marked("server", tmp_path) == []
    assert processes.marked("worker", tmp_path / "other") == []
    assert processes.service_processes("worker", tmp_path) == [], "it executes a flow run, it is not the worker"
    assert list(processes.flow_run_processes(tmp_path)) == ["a-flow-run"]
    assert not processes.is_halted(sleeper)
    sleeper.suspend()
    until(lambda: processes.is_halted(sleeper), "the process to halt")
    assert processes.end([sleeper], patience_s=10) == 1
    assert processes.marked("worker", tmp_path) == []


def test_what_does_not_end_when_it_is_asked_is_killed_with_its_children(tmp_path: Path) -> None:
    stubborn = "import signal, subprocess, sys, time; signal.signal(15, signal.SIG_IGN); "
    child = subprocess.Popen(
        [
            *(sys.executable, "-c"),
            stubborn + "print(subprocess.Popen(['sleep', '600']).pid, flush=True); time.sleep(600)",
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    grandchild = psutil.Process(int(child.stdout.readline()))
    assert processes.end([psutil.Process(child.pid)], patience_s=0.5) == 1
    child.wait()
    assert not grandchild.is_running() or grandchild.status() == psutil.STATUS_ZOMBIE


def test_a_long_log_is_put_aside_when_its_process_starts_anew(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    log.write_bytes(b"x" * (processes.LONGEST_LOG + 1))
    processes.put_aside(log)
    assert not log.exists()
    assert (tmp_path / "server.log.1").stat().st_size == processes.LONGEST_LOG + 1


def test_a_taken_port_is_passed_over() -> None:
    with socket.socket() as taken:
        port = free_port()
        taken.bind(("127.0.0.1", port))
        taken.listen()
        assert servers._free_port((None, port, 0)) not in (0, port)
        assert processes.listens(os.getpid(), port)
    assert servers._free_port((port, 0)) == port
    assert not processes.listens(os.getpid(), port)


def test_named_servers_that_are_down_are_told_without_their_passwords(tmp_path: Path) -> None:
    given = Settings(
        home=tmp_path,
        database_url=SecretStr("postgresql://somebody:canary@127.0.0.1:1/assay"),
        prefect_api_url="http://somebody:canary@127.0.0.1:1/api",
    )
    found = states(given)
    assert [each.name for each in found] == ["PostgreSQL", "Prefect server", "worker", "deployments"]
    assert [each.state for each in found] == ["down"] * 4
    assert "ASSAY_DATABASE_URL" in found[0].mend
    assert "ASSAY_PREFECT_API_URL" in found[1].mend
    assert "canary" not in repr(found)
    assert list(tmp_path.iterdir()) == [], "looking leaves nothing behind"


def test_the_interface_tells_no_answer_from_no(prefect_server: str) -> None:
    with pytest.raises(Unreachable, match=r"http://127\.0\.0\.1:1/api does not answer"):
        PrefectApi("http://somebody:canary@127.0.0.1:1/api").get("/health")
    with pytest.raises(Refused) as refused:
        PrefectApi(prefect_server).get("/work_pools/there-is-none")
    assert refused.value.status == 404


def test_the_pool_serves_urgent_queues_first_and_its_flow_runs_outlive_the_worker(prefect_server: str) -> None:
    api = PrefectApi(prefect_server)
    for _ in range(2):
        ensure_pool(api, ["nightly", "later", "urgent"])
        queues = {each["name"]: each["priority"] for each in api.post(f"/work_pools/{POOL}/queues/filter", {})}
        assert queues == {"urgent": 1, "default": 2, "nightly": 3, "later": 4}
    template = api.get(f"/work_pools/{POOL}")["base_job_template"]
    assert template["variables"]["properties"]["stream_output"]["default"] is False
    assert str(ROOT) not in str(template), "machines that share a pool differ in their folders"


def test_a_server_that_lists_nothing_is_to_be_deployed_to(prefect_server: str, tmp_path: Path) -> None:
    found = look(Settings(home=tmp_path), PrefectApi(prefect_server))
    assert {"suite-run", RESUME} <= set(found.missing)
    assert found.missing == tuple(name for name in found.wanted if name in found.missing)
    assert not found.current
    assert working_folder() == ROOT


@pytest.fixture
def deployment(prefect_server: str) -> str:
    """The id of a deployment; the one that resumes is there too."""
    api = PrefectApi(prefect_server)
    ensure_pool(api, [])
    ids = [
        api.post(
            "/deployments/",
            {
                "name": name,
                "flow_id": api.post("/flows/", {"name": name})["id"],
                "work_pool_name": POOL,
                "entrypoint": "flows.none:none",
                "enforce_parameter_schema": False,
            },
        )["id"]
        for name in ("tested", RESUME)
    ]
    return str(ids[0])


class Situation:
    """A store and a server in which flow runs and runs stand as a crash leaves them."""

    def __init__(self, api_url: str, deployment: str) -> None:
        self.api = PrefectApi(api_url)
        self.given = settings().model_copy(update={"prefect_api_url": api_url})
        self.deployment = deployment

    def flow_run(self, state: str, message: str = "") -> str:
        made = self.api.post(f"/deployments/{self.deployment}/create_flow_run", {"parameters": {"n": 1}})
        self.api.patch(
            f"/flow_runs/{made['id']}/labels", {"prefect.worker.name": worker_name(servers.prefect_home(self.given))}
        )
        self.api.post(
            f"/flow_runs/{made['id']}/set_state",
            {"state": {"type": state, "name": state.capitalize(), "message": message}, "force": True},
        )
        return str(made["id"])

    def run(self, flow_run: str | None, status: str = "running", reason: str = "") -> UUID:
        run_id = a_run()
        with transaction() as connection:
            runs.start_run(connection, run_id, UUID(flow_run) if flow_run else None)
            if status != "running":
                runs.stop_run(connection, run_id, status=status, reason=reason)
        return run_id

    def state_of(self, flow_run: str) -> str:
        return str(self.api.get(f"/flow_runs/{flow_run}")["state_type"])

    def ordered(self, deployment: str, run_id: UUID) -> list[dict[str, Any]]:
        """Flow runs of a deployment for a run."""
        found = self.api.post(
            "/flow_runs/filter", {"deployments": {"name": {"any_": [deployment]}}, "sort": "EXPECTED_START_TIME_DESC"}
        )
        return [each for each in found if each["parameters"].get("run_id") == str(run_id)]


@pytest.fixture
def situation(store: str, prefect_server: str, deployment: str) -> Situation:
    return Situation(prefect_server, deployment)


def test_a_run_whose_process_is_gone_is_shown_as_crashed_and_resumed_once(situation: Situation) -> None:
    flow_run = situation.flow_run("RUNNING")
    run_id = situation.run(flow_run)
    first = recover(situation.given, situation.api)
    assert (first.crashed, [run.id for run in first.resumed]) == (1, [run_id])
    assert situation.state_of(flow_run) == "CRASHED"
    again = recover(situation.given, situation.api)
    assert (again.crashed, again.resumed, again.by_hand) == (0, (), ())
    assert len(situation.ordered(RESUME, run_id)) == 1
    server = servers.Server(situation.api.url, None)
    assert [each.how for each in left_runs(situation.given, server)] == [QUEUED]


def test_a_flow_run_that_had_not_begun_is_queued_again_and_one_without_a_run_begins_again(situation: Situation) -> None:
    pending, running = situation.flow_run("PENDING"), situation.flow_run("RUNNING")
    cancelling = situation.flow_run("CANCELLING")
    done = recover(situation.given, situation.api)
    assert (done.crashed, done.again) == (1, 2)
    assert [situation.state_of(each) for each in (pending, running, cancelling)] == [
        "SCHEDULED",
        "CRASHED",
        "CANCELLED",
    ]
    once_more = situation.api.post(
        "/flow_runs/filter", {"flow_runs": {"idempotency_key": {"any_": [f"again-{running}"]}}}
    )
    assert [each["parameters"] for each in once_more] == [{"n": 1}]
    assert recover(situation.given, situation.api).again == 0


def test_what_failed_for_want_of_the_store_begins_again_once_the_store_is_back(situation: Situation) -> None:
    wanting = situation.flow_run("FAILED", message="Flow run encountered an exception: InfrastructureError: gone.")
    situation.flow_run("FAILED", message="Flow run encountered an exception: AssayError: there is no such suite.")
    assert recover(situation.given, situation.api).again == 0
    assert recover(situation.given, situation.api, store_was_down=True).again == 1
    assert recover(situation.given, situation.api, store_was_down=True).again == 0
    once_more = {"flow_runs": {"idempotency_key": {"any_": [f"again-{wanting}"]}}}
    assert len(situation.api.post("/flow_runs/filter", once_more)) == 1


def test_flow_runs_of_another_machine_are_its_own(situation: Situation) -> None:
    flow_run = situation.flow_run("RUNNING")
    situation.api.patch(f"/flow_runs/{flow_run}/labels", {"prefect.worker.name": "another"})
    assert recover(situation.given, situation.api).crashed == 0
    assert situation.state_of(flow_run) == "RUNNING"
    situation.api.post(
        f"/flow_runs/{flow_run}/set_state", {"state": {"type": "CRASHED", "name": "Crashed"}, "force": True}
    )


@pytest.mark.parametrize(
    ("state", "status", "reason", "fate"),
    [
        ("CRASHED", "running", "", "resumed"),
        ("CRASHED", "partial", "interrupted", "resumed"),
        ("COMPLETED", "partial", "interrupted", "resumed"),
        ("FAILED", "running", "", "resumed"),
        ("CRASHED", "completed", "", "resumed"),
        ("FAILED", "partial", "", "by hand"),
        ("FAILED: InfrastructureError: gone", "completed", "", "resumed"),
        ("CANCELLED", "partial", "interrupted", "let be"),
        ("COMPLETED", "partial", "budget", "let be"),
        ("COMPLETED", "partial", "time", "let be"),
        (None, "running", "", "by hand"),
        (None, "partial", "interrupted", "let be"),
        ("unknown", "running", "", "by hand"),
    ],
)
def test_who_goes_on_with_a_run(situation: Situation, state: str | None, status: str, reason: str, fate: str) -> None:
    kind, _, message = (state or "").partition(": ")
    flow_run = None if state is None else str(uuid4()) if state == "unknown" else situation.flow_run(kind, message)
    run_id = situation.run(flow_run, status, reason)
    done = recover(situation.given, situation.api)
    assert [run.id for run in done.resumed] == ([run_id] if fate == "resumed" else [])
    assert [run.id for run in done.by_hand] == ([run_id] if fate == "by hand" else [])
    server = servers.Server(situation.api.url, None)
    left = {"resumed": [QUEUED], "by hand": [by_hand(run_id)], "let be": []}[fate]
    assert [each.how for each in left_runs(situation.given, server)] == left


def test_a_run_that_never_ends_is_left_to_a_person_in_the_end(situation: Situation) -> None:
    run_id = situation.run(situation.flow_run("CRASHED"))
    for attempt in range(MOST_RESUMES + 1):
        done = recover(situation.given, situation.api)
        assert [run.id for run in done.resumed] == ([run_id] if attempt < MOST_RESUMES else [])
        for each in situation.ordered(RESUME, run_id):
            situation.api.post(
                f"/flow_runs/{each['id']}/set_state", {"state": {"type": "CRASHED", "name": "Crashed"}, "force": True}
            )
    assert [run.id for run in done.by_hand] == [run_id]
