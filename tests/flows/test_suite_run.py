"""suite_run on a real Prefect server: one task a shard, artifacts to look at, a form that a person can fill in."""

import json
from pathlib import Path
from uuid import UUID

import pytest

from evaluations.errors import AssayError


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """A suite of 300 recorded answers, a third of them wrong, in a folder of its own."""
    folder = tmp_path / "colours"
    folder.mkdir()
    with (folder / "cases.jsonl").open("w") as cases, (folder / "answers.jsonl").open("w") as answers:
        for n in range(300):
            cases.write(json.dumps({"id": f"c-{n}", "question": f"colour {n}?", "expected": "red"}) + "\n")
            said = "red" if n % 3 else "blue"
            answers.write(json.dumps({"case_id": f"c-{n}", "text": said, "latency_ms": 10 + n}) + "\n")
    (folder / "suite.yaml").write_text(
        "suite: colours\nmodels: [{name: painter, model: replay/answers.jsonl}]\nscorers: [exact]\n"
        "gates: {pass_rate: 0.9}\nconcurrency: 4\n"
    )
    return folder / "suite.yaml"


async def test_a_flow_run_shows_its_shards_and_leaves_artifacts(
    store: str, prefect_server: str, suite: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import (
        ArtifactFilter,
        ArtifactFilterKey,
        FlowRunFilter,
        FlowRunFilterId,
        TaskRunFilter,
        TaskRunFilterFlowRunId,
    )

    from flows.suite_run import suite_run
    from tasks import planning
    from tasks.store.database import transaction
    from tasks.store.runs import run_of

    monkeypatch.setattr(planning, "SHARD_CELLS", 100)
    run_id = await suite_run(suite=str(suite))
    with transaction() as connection:
        run = run_of(connection, UUID(run_id))
        from sqlalchemy import text

        flow_run_id = connection.execute(
            text("SELECT prefect_flow_run_id FROM runs WHERE id = :id"), {"id": run.id}
        ).scalar_one()
    assert run.verdict == "fail"
    assert run.status == "completed"
    assert run.sentence is not None
    assert "66.7% of 300 cases" in run.sentence
    assert run.report is not None
    assert run.sentence.split(":")[0] in Path(run.report).read_text()
    async with get_client() as client:
        [flow_run] = await client.read_flow_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[flow_run_id])))
        assert flow_run.state is not None
        assert flow_run.state.is_completed()
        tasks = await client.read_task_runs(
            task_run_filter=TaskRunFilter(flow_run_id=TaskRunFilterFlowRunId(any_=[flow_run_id]))
        )
        names = {task.name for task in tasks}
        assert {"cases 1 to 100", "cases 101 to 200", "cases 201 to 300"} <= names
        assert len(tasks) < 10, "one task a shard, never one a case"
        artifacts = await client.read_artifacts(
            artifact_filter=ArtifactFilter(key=ArtifactFilterKey(like_=f"run-{run_id[:8]}"))
        )
        assert {"progress", "table"} < {artifact.type for artifact in artifacts}
        assert any(run.report in str(artifact.data) for artifact in artifacts)


def test_the_form_explains_every_parameter(prefect_server: str) -> None:
    from flows.resume_run import resume_run
    from flows.suite_run import suite_run

    for flow in (suite_run, resume_run):
        properties = flow.parameters.properties
        assert properties
        for name, described in properties.items():
            assert described["title"][0].isupper(), f"{flow.name}: {name} has no title"
            assert described.get("description"), f"{flow.name}: {name} is not described"
        assert flow.description
    assert suite_run.parameters.required == ["suite"]


async def test_a_wrong_suite_fails_the_flow_before_any_run_is_written(
    store: str, prefect_server: str, tmp_path: Path
) -> None:
    from flows.suite_run import suite_run
    from tasks.store.database import transaction
    from tasks.store.runs import list_runs

    with pytest.raises(AssayError, match="there is no suite"):
        await suite_run(suite=str(tmp_path / "nowhere.yaml"))
    with transaction() as connection:
        assert list_runs(connection, 10) == []
