"""A platform of a test module's own: a Prefect server that schedules every two seconds, the deployments, a worker."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import psutil

from tasks.prefect_server import QUIET
from tests.ports import free_port

ROOT = Path(__file__).parents[2]
POOL = "assay"
T = TypeVar("T")


def eventually(look: Callable[[], T], *, seconds: float = 200.0) -> T:
    """What `look` gives as soon as it gives something; fails with its last answer when it never does."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"still {found!r} after {seconds} s"
        time.sleep(0.2)
    return found


@dataclass(frozen=True, slots=True)
class Platform:
    """A running Prefect server, and the environment of whatever talks to it."""

    api_url: str
    environment: Mapping[str, str]
    folder: Path

    def call(self, path: str, body: Any = None, method: str = "POST") -> Any:
        request = urllib.request.Request(
            self.api_url + path,
            method=method,
            data=None if method in ("GET", "DELETE") else json.dumps(body or {}).encode(),
            headers={"content-type": "application/json"},
        )
        for attempt in range(20):
            try:
                with urllib.request.urlopen(request, timeout=30) as response:
                    text = response.read()
                break
            except (urllib.error.HTTPError, TimeoutError) as problem:
                # The server's own SQLite was busy; a client of Prefect's asks again as well.
                if getattr(problem, "code", 503) != 503 or attempt == 19:
                    raise
                time.sleep(0.5)
        return json.loads(text) if text else None

    def prefect(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "prefect", *arguments],
            cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False,
        )  # fmt: skip

    def deployments(self) -> dict[str, dict[str, Any]]:
        """By name."""
        return {each["name"]: each for each in self.call("/deployments/filter")}

    def start(self, deployment: str, parameters: Mapping[str, Any] | None = None, **given: Any) -> str:
        """Ask for a flow run, as a form does. Gives its id."""
        found = self.call(f"/deployments/name/{deployment}/{deployment}", method="GET")
        body = {"parameters": dict(parameters or {}), **given}
        return str(self.call(f"/deployments/{found['id']}/create_flow_run", body)["id"])

    def flow_runs(self, deployment: str, *states: str) -> list[dict[str, Any]]:
        """Of one deployment, in the order in which they were to start."""
        where: dict[str, Any] = {"deployments": {"name": {"any_": [deployment]}}, "sort": "EXPECTED_START_TIME_ASC"}
        if states:
            where["flow_runs"] = {"state": {"type": {"any_": list(states)}}}
        return list(self.call("/flow_runs/filter", where))

    def ended(self, flow_run_id: str) -> dict[str, Any]:
        """A flow run once it has ended; fails unless it completed."""

        def look() -> dict[str, Any]:
            found: dict[str, Any] = self.call(f"/flow_runs/{flow_run_id}", method="GET")
            return found if found["state_type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED") else {}

        run = eventually(look)
        assert run["state_type"] == "COMPLETED", f"{run['state']}\n{(self.folder / 'worker.log').read_text()[-6000:]}"
        return run

    def fired_by(self, flow_run_id: str) -> list[str]:
        """The flow runs that a trigger started because this one completed."""
        [completed] = self.call("/events/filter", _events("prefect.flow-run.Completed", flow_run_id))["events"]
        executed = self.call("/events/filter", {"filter": {"event": {"name": ["prefect.automation.action.executed"]}}})
        started = []
        for event in executed["events"]:
            related = {each["prefect.resource.role"]: each["prefect.resource.id"] for each in event["related"]}
            if related.get("triggering-event") == f"prefect.event.{completed['id']}":
                started.append(related["flow-run"].removeprefix("prefect.flow-run."))
        return started

    @contextmanager
    def worker(self, limit: int = 3) -> Iterator[None]:
        """A process worker that asks for work every second."""
        arguments = ["worker", "start", "--pool", POOL, "--limit", str(limit)]
        with _process(arguments, self.environment, self.folder / "worker.log"):
            yield


def _events(name: str, flow_run_id: str) -> dict[str, Any]:
    return {"filter": {"event": {"name": [name]}, "resource": {"id": [f"prefect.flow-run.{flow_run_id}"]}}}


@contextmanager
def platform(folder: Path, environment: Mapping[str, str] | None = None) -> Iterator[Platform]:
    """A Prefect server of its own with the work pool, stopped at the end with whatever it started."""
    port = free_port()
    api_url = f"http://127.0.0.1:{port}/api"
    made = Platform(
        api_url,
        {
            **os.environ,
            **QUIET,
            "PREFECT_HOME": str(folder / "prefect"),
            "PREFECT_API_URL": api_url,
            "ASSAY_PREFECT_API_URL": api_url,
            "PREFECT_WORKER_QUERY_SECONDS": "1",
            "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "2",
            "PREFECT_SERVER_SERVICES_LATE_RUNS_AFTER_SECONDS": "1",
            "PREFECT_SERVER_DEPLOYMENTS_CONCURRENCY_SLOT_WAIT_SECONDS": "3",
            **(environment or {}),
        },
        folder,
    )
    (folder / "prefect").mkdir(parents=True)
    arguments = ["server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with _process(arguments, made.environment, folder / "server.log"):
        eventually(lambda: _answers(made))
        made.call("/work_pools/", {"name": POOL, "type": "process"})
        yield made


def _answers(made: Platform) -> bool:
    with suppress(OSError):
        return made.call("/health", method="GET") is True
    return False


@contextmanager
def _process(arguments: list[str], environment: Mapping[str, str], log: Path) -> Iterator[None]:
    """A Prefect process; at the end it and all that it started are killed."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "prefect", *arguments],
            cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
        try:
            yield
        finally:
            known = psutil.Process(process.pid)
            for each in [known, *known.children(recursive=True)]:
                with suppress(psutil.NoSuchProcess):
                    each.kill()
            process.wait()
