"""A platform of a test's own, used as a person uses it: by commands, with nothing inherited from other tests."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import psycopg

from tasks import processes
from tasks.prefect_api import PrefectApi
from tasks.services.worker import flow_run_log
from tasks.store.embedded import running_url
from tests.cli.commands import PROGRAM, ROOT, Outcome

PATIENCE_S = 150.0


class APlatform:
    """One ASSAY_HOME with its own servers. Not below pytest's folder: the database runs as another user."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="assay-up-"))
        self.folder.chmod(0o755)
        self.home = self.folder / "home"
        self.prefect_home = self.home / "prefect"
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("ASSAY_", "PREFECT_"))}
        self.environment = {**kept, "ASSAY_HOME": str(self.home), "FAKE_KEY": "not-a-secret"}

    def begun(self, *arguments: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [*PROGRAM, *arguments],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def assay(self, *arguments: str) -> Outcome:
        return ended(self.begun(*arguments))

    def status(self) -> dict[str, Any]:
        """What `assay status` says, its exit code checked against it."""
        outcome = self.assay("status", "--json")
        assert outcome.code in (0, 3), outcome
        said: dict[str, Any] = json.loads(outcome.out)
        assert (outcome.code == 0) == all(each["state"] == "up" for each in said["services"]), outcome
        return said

    def states(self) -> dict[str, str]:
        return {each["name"]: each["state"] for each in self.status()["services"]}

    def detail(self, name: str) -> str:
        [found] = [each["detail"] for each in self.status()["services"] if each["name"] == name]
        return str(found)

    @property
    def api(self) -> PrefectApi:
        return PrefectApi(json.loads((self.prefect_home / "server.json").read_text())["api_url"])

    @property
    def database(self) -> str:
        url = running_url(self.home)
        assert url is not None
        return url

    def pid(self, name: str) -> int:
        """The process of a service."""
        if name == "PostgreSQL":
            return int((self.home / "postgres" / "postmaster.pid").read_text().split(maxsplit=1)[0])
        service: processes.Service = "worker" if name == "worker" else "server"
        [process] = processes.service_processes(service, self.prefect_home)
        return process.pid

    def pids(self) -> dict[str, int]:
        return {name: self.pid(name) for name in ("PostgreSQL", "Prefect server", "worker")}

    def kill(self, name: str) -> None:
        process = psutil.Process(self.pid(name))
        process.send_signal(signal.SIGKILL)
        gone(process)

    def deployment(self, name: str) -> str:
        listed = self.api.post("/deployments/filter", {"deployments": {"name": {"any_": [name]}}})
        return str(listed[0]["id"])

    def ordered(self, deployment: str, **parameters: Any) -> str:
        """A flow run of a deployment, as the form in Prefect's page orders it. Gives its id."""
        made = self.api.post(f"/deployments/{self.deployment(deployment)}/create_flow_run", {"parameters": parameters})
        return str(made["id"])

    def flow_run(self, flow_run: str) -> dict[str, Any]:
        found: dict[str, Any] = self.api.get(f"/flow_runs/{flow_run}")
        return found

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.database) as connection:
            return connection.execute(query, values or None).fetchall()

    def remains(self) -> list[psutil.Process]:
        """Every living process that has to do with this home."""
        found = []
        for each in psutil.process_iter():
            try:
                if each.status() == psutil.STATUS_ZOMBIE:
                    continue
                about = " ".join([*each.cmdline(), *each.environ().values()])
            except psutil.Error:
                continue
            if str(self.home) in about:
                found.append(each)
        return found

    def logs(self) -> str:
        """What to show when something was waited for in vain."""
        names = [self.prefect_home / "worker.log", self.prefect_home / "server.log", flow_run_log(self.prefect_home)]
        return "\n".join(f"{path.name}: {path.read_text()[-1500:]}" for path in names if path.exists())

    def close(self) -> None:
        self.assay("down")
        processes.kill(self.remains())
        shutil.rmtree(self.folder, ignore_errors=True)


def ended(process: "subprocess.Popen[str]") -> Outcome:
    out, err = process.communicate(timeout=PATIENCE_S)
    assert "Traceback" not in err, err
    return Outcome(process.returncode, out, err)


def gone(process: psutil.Process) -> None:
    """Wait until a killed process is no more than something to be buried."""
    until(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE, "the end of a process")


def until(happened: Callable[[], bool], what: str, told: Callable[[], str] = str, pause_s: float = 0.05) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not happened():
        assert time.monotonic() < deadline, f"waited in vain for {what}\n{told()}"
        time.sleep(pause_s)
