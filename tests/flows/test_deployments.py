"""The deployments on a real Prefect server with a real worker: all there, all run, triggers fire, schedules too."""

import asyncio
import datetime
import importlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
import yaml
from sqlalchemy import text

from tasks.planning import RunRequest, open_rescore, open_run, take_plan
from tasks.store.comparisons import comparison_of
from tasks.store.database import transaction
from tasks.store.runs import run_of
from tasks.working import work_on
from tests.conftest import _forget
from tests.flows.colours import write_suite
from tests.flows.platform import ROOT, Platform, eventually, platform

ANSWERS: Mapping[str, str | None] = {"c-1": "red", "c-2": "red", "c-3": "blue"}
WORSE: Mapping[str, str | None] = {"c-1": "red", "c-2": "blue", "c-3": "blue"}
DECLARED: dict[str, dict[str, Any]] = {
    each["name"]: each for each in yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
}


@pytest.fixture(scope="module")
def folder(template_url: str) -> Iterator[Path]:
    """A folder for the module, and a store of its own that all its processes use."""
    path = Path(tempfile.mkdtemp(prefix="assay-deploy-"))
    server, name = template_url.replace("/assay?", "/postgres?"), f"deployments_{os.getpid()}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE assay")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ASSAY_DATABASE_URL", template_url.replace("/assay?", f"/{name}?"))
        patch.setenv("ASSAY_REPORTS", str(path / "reports"))
        _forget()
        yield path
        _forget()
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(autouse=True)
def same_store(folder: Path) -> None:
    """Every test looks into the store of the module."""


@pytest.fixture(scope="module")
def deployed(folder: Path) -> Iterator[Platform]:
    with platform(folder) as made, made.worker():
        done = made.prefect("--no-prompt", "deploy", "--all")
        assert done.returncode == 0, done.stdout + done.stderr
        yield made


def run_command(made: Platform, suite: Path) -> UUID:
    """`assay run`: a flow run without a deployment. Gives the run's id."""
    done = subprocess.run(
        [sys.executable, "-m", "cli", "run", str(suite)],
        cwd=ROOT, env=made.environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stderr
    return newest_run(suite.parent.name)


def fire_once(made: Platform, name: str) -> str:
    """Give a deployment a schedule of some seconds until the worker has taken its first run. Gives that one's id."""
    path = f"/deployments/{made.deployments()[name]['id']}/schedules"
    [schedule] = made.call(path, [{"active": True, "schedule": {"interval": 9.0}}])

    def taken() -> list[dict[str, Any]]:
        return [run for run in made.flow_runs(name, "PENDING", "RUNNING", "COMPLETED") if run["auto_scheduled"]]

    first, *_ = eventually(taken)
    made.call(f"{path}/{schedule['id']}", {"active": False}, method="PATCH")
    return str(first["id"])


def newest_run(suite: str) -> UUID:
    with transaction() as connection:
        return UUID(
            str(
                connection.execute(
                    text("""
                        SELECT r.id FROM runs r JOIN suites s ON s.id = r.suite_id WHERE s.name = :suite
                        ORDER BY r.recorded_at DESC LIMIT 1
                    """),
                    {"suite": suite},
                ).scalar_one()
            )
        )


def flow_run_of(run_id: UUID) -> str:
    with transaction() as connection:
        return str(
            connection.execute(text("SELECT prefect_flow_run_id FROM runs WHERE id = :id"), {"id": run_id}).scalar_one()
        )


def analysed(run_id: UUID) -> bool:
    with transaction() as connection:
        found = connection.execute(text("SELECT 1 FROM run_comparisons WHERE run_id = :id"), {"id": run_id})
        return found.scalar_one_or_none() is not None


def test_every_flow_is_deployed_with_what_a_person_wants_to_know(deployed: Platform) -> None:
    files = {path.stem.replace("_", "-") for path in (ROOT / "flows").glob("*.py")} - {"--init--"}
    found = deployed.deployments()
    assert set(found) == set(DECLARED) == files
    for name, deployment in found.items():
        module, _, function = deployment["entrypoint"].partition(":")
        assert getattr(importlib.import_module(module), function).name == name
        assert deployment["description"], name
        assert deployment["tags"], name
        assert deployment["work_pool_name"] == "assay"
        assert deployment["work_queue_name"] in ("urgent", "default", "nightly")
        # Runs start in the checkout: suites are found there, and nothing is cloned.
        assert deployment["pull_steps"] == [
            {"prefect.deployments.steps.set_working_directory": {"directory": str(ROOT)}}
        ]


def test_every_field_of_every_form_explains_itself(deployed: Platform) -> None:
    """A title, a description, and choices or examples; ids, names, small scalars and lists of them alone."""
    seen = 0
    for name, deployment in deployed.deployments().items():
        for field, schema in deployment["parameter_openapi_schema"]["properties"].items():
            where = f"{name}: {field}"
            seen += 1
            assert schema["title"][0].isupper(), where
            assert schema["title"] != field, where
            assert schema["description"].endswith((".", "…")), where
            choices = schema.get("enum") or schema.get("type") == "boolean"
            assert choices or schema.get("examples"), f"{where} has neither choices nor an example"
            for kind in schema.get("anyOf", [schema]):
                assert kind["type"] in ("string", "integer", "number", "boolean", "null", "array"), where
                if kind["type"] == "array":
                    assert kind["items"]["type"] == "string", where
                    assert kind["maxItems"] <= 100, where
    assert seen > 15


def test_the_nightly_run_is_scheduled_at_two_and_the_sweep_every_hour(deployed: Platform) -> None:
    def starts(name: str) -> list[datetime.datetime]:
        runs = [run for run in deployed.flow_runs(name, "SCHEDULED") if run["auto_scheduled"]]
        return [datetime.datetime.fromisoformat(run["expected_start_time"]) for run in runs]

    nightly = eventually(lambda: starts("nightly"))
    assert {(start.hour, start.minute, start.utcoffset()) for start in nightly} == {(2, 0, datetime.timedelta(0))}
    sweeps = eventually(lambda: starts("run-analysis"))
    assert {start.minute for start in sweeps} == {40}
    [schedule] = deployed.deployments()["nightly"]["schedules"]
    assert (schedule["active"], schedule["schedule"]["timezone"]) == (True, "UTC")


@dataclass(frozen=True, slots=True)
class Story:
    """What was started on the platform, all at about the same time: the machine is busy once, not six times."""

    first: UUID
    """The run of a command, without a deployment."""
    started: Mapping[str, str]
    """Deployment -> the flow run that a person asked for, or the schedule made."""
    opened: UUID
    """The run that resume-run went on with."""
    rescored: UUID


@pytest.fixture(scope="module")
def story(deployed: Platform, folder: Path) -> Story:
    fired = fire_once(deployed, "housekeeping")
    suite, other = write_suite(folder / "colours", ANSWERS), write_suite(folder / "shapes", ANSWERS, suite="shapes")
    opened, judged = (open_run(take_plan(RunRequest(suite=str(other)))) for _ in range(2))
    asyncio.run(work_on(judged))
    rescored = open_rescore(judged, None)
    first = run_command(deployed, suite)
    write_suite(folder / "colours", WORSE)
    started = {
        "suite-run": deployed.start("suite-run", {"suite": str(suite)}),
        "resume-run": deployed.start("resume-run", {"run_id": str(opened)}),
        "rescore": deployed.start("rescore", {"run_id": str(rescored)}),
        "nightly": deployed.start("nightly"),
        "recovery": deployed.start("recovery"),
    }
    return Story(first, {**started, "housekeeping": fired}, opened, rescored)


@pytest.mark.parametrize("name", ["suite-run", "resume-run", "rescore", "nightly", "housekeeping", "recovery"])
def test_a_deployment_runs_through_the_worker(deployed: Platform, story: Story, name: str) -> None:
    told = deployed.ended(story.started[name])["state"]["message"]
    if name == "nightly":
        assert told.endswith("is done.")
    if name in ("resume-run", "rescore"):
        with transaction() as connection:
            run = run_of(connection, story.opened if name == "resume-run" else story.rescored)
        assert (run.status, run.verdict) == ("completed", "pass")


def test_a_schedule_of_seconds_fires(deployed: Platform, story: Story) -> None:
    run = deployed.ended(story.started["housekeeping"])
    assert run["auto_scheduled"]
    assert "half-written" in run["state"]["message"]


def test_a_finished_run_of_the_command_line_fires_the_analysis(deployed: Platform, story: Story) -> None:
    [analysis] = eventually(lambda: deployed.fired_by(flow_run_of(story.first)))
    run = deployed.ended(analysis)
    assert run["parameters"].get("run_id") is None
    assert run["created_by"]["type"] == "AUTOMATION"
    assert analysed(story.first)


def test_finished_runs_of_deployments_fire_the_analysis_and_few_do_for_many(
    deployed: Platform, story: Story, folder: Path
) -> None:
    for name in ("suite-run", "resume-run", "rescore"):
        deployed.ended(story.started[name])
    second = newest_run("colours")
    assert second != story.first
    eventually(lambda: all(analysed(run_id) for run_id in (second, story.opened, story.rescored)))
    fired = {name: deployed.fired_by(story.started[name]) for name in ("suite-run", "resume-run", "rescore")}
    assert 1 <= sum(map(len, fired.values())) <= 3, fired
    with transaction() as connection:
        changes = comparison_of(connection, second)
    assert changes is not None
    assert changes.baseline_id == str(story.first)
    assert [(change.kind, change.case_id) for change in changes.cases] == [
        ("newly failing", "c-2"),
        ("still failing", "c-3"),
    ]
    [report] = (folder / "reports").glob(f"*{str(second)[:8]}/report.html")
    eventually(lambda: "Since the last run: 1 newly failing; 1 still fails." in report.read_text())


@pytest.mark.slow
def test_with_triggers_switched_off_the_nightly_sweep_does_the_same_work(folder: Path) -> None:
    off = {"PREFECT_SERVER_SERVICES_TRIGGERS_ENABLED": "false"}
    own = folder / "off"
    with platform(own, off) as made, made.worker():
        assert made.prefect("--no-prompt", "deploy", "--all").returncode == 0
        suite = write_suite(own / "dots", ANSWERS, suite="dots")
        first = run_command(made, suite)
        write_suite(own / "dots", WORSE, suite="dots")
        made.ended(made.start("suite-run", {"suite": str(suite)}))
        second = newest_run("dots")
        day = datetime.datetime.now(datetime.UTC).date() - datetime.timedelta(days=40)
        assert made.ended(made.start("nightly", {"date": str(day)}))["state"]["message"] == f"{day} is done."
        assert [run for run in made.flow_runs("run-analysis") if run["start_time"]] == []
        with transaction() as connection:
            changes = comparison_of(connection, second)
        assert changes is not None
        assert (changes.baseline_id, changes.total("newly failing")) == (str(first), 1)


@pytest.mark.slow
def test_after_days_without_a_worker_late_runs_start_together_and_do_each_date_once(folder: Path) -> None:
    with transaction() as connection:
        connection.execute(text("DELETE FROM logical_dates"))
    today = datetime.datetime.now(datetime.UTC).replace(hour=2, minute=0, second=0, microsecond=0)
    if today > datetime.datetime.now(datetime.UTC):
        today -= datetime.timedelta(days=1)
    missed = [today - datetime.timedelta(days=n) for n in (3, 2, 1, 0)]
    dates = [(each - datetime.timedelta(days=1)).date() for each in missed]
    with transaction() as connection:
        connection.execute(
            text("""
                INSERT INTO logical_dates (flow, logical_date, status, claim, started_at, finished_at, actor)
                VALUES ('nightly', :day, 'done', 1, now(), now(), 'test')
            """),
            {"day": dates[0] - datetime.timedelta(days=1)},
        )
    with platform(folder / "late") as made:
        assert made.prefect("--no-prompt", "deploy", "--all").returncode == 0
        late = [
            made.start(
                "nightly",
                {"catch_up": "all"},
                state={"type": "SCHEDULED", "state_details": {"scheduled_time": each.isoformat()}},
            )
            for each in missed
        ]
        with made.worker(limit=4):
            told = [made.ended(each)["state"]["message"] for each in late]
    with transaction() as connection:
        rows = connection.execute(
            text("SELECT logical_date, status, claim FROM logical_dates WHERE flow = 'nightly' ORDER BY 1")
        ).all()
    assert [tuple(row) for row in rows[1:]] == [(day, "done", 1) for day in dates], "each date was claimed once"
    [worked] = [each for each in told if "is done" in each]
    assert worked == "; ".join(f"{day} is done" for day in dates) + "."
    assert sum("Nothing is due" in each for each in told) == len(late) - 1
