"""Analysing finished runs: what is compared with what, once, and told in the report."""

import json
from collections.abc import Mapping
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import text

from evaluations.changes import RunChanges, sentence_of
from evaluations.errors import AssayError
from tasks import planning
from tasks.analysing import Analysed, analyse_all, waiting
from tasks.concluding import conclude
from tasks.planning import RunRequest, open_rescore
from tasks.publishing import publish
from tasks.store.comparisons import baseline_of, comparison_of, waiting_runs
from tasks.store.database import transaction
from tasks.store.runs import run_of, stop_run
from tasks.working import work_on
from tests.flows.colours import write_suite


async def finished(suite: Path, **given: tuple[str, ...]) -> UUID:
    """A run of a suite, worked on to its end and published as a flow would."""
    run_id = planning.open_run(planning.take_plan(RunRequest(suite=str(suite), **given)))  # type: ignore[arg-type]
    await work_on(run_id)
    publish(conclude(run_id))
    return run_id


def changes_of(run_id: UUID) -> RunChanges:
    with transaction() as connection:
        found = comparison_of(connection, run_id)
    assert found is not None
    return found


def sweep() -> Analysed:
    return analyse_all(waiting())


def report_of(run_id: UUID) -> str:
    with transaction() as connection:
        path = run_of(connection, run_id).report
    assert path is not None
    return Path(path).read_text()


BEFORE: Mapping[str, str | None] = {
    "kept": "red", "broke": "red", "mended": "blue", "bad": "blue", "lost": "red", "gone": "red"
}  # fmt: skip
NOW: Mapping[str, str | None] = {
    "kept": "red", "broke": "blue", "mended": "red", "bad": "blue", "lost": None, "new": "blue"
}  # fmt: skip


async def test_a_finished_run_is_laid_beside_the_one_before_and_its_report_says_what_changed(
    store: str, tmp_path: Path
) -> None:
    suite = write_suite(tmp_path / "colours", BEFORE)
    first = await finished(suite)
    write_suite(tmp_path / "colours", NOW)
    second = await finished(suite)
    assert "Since the last run" not in report_of(second)

    assert sweep() == Analysed(compared=(second,), first=(first,), failed={})
    changes = changes_of(second)
    assert changes.baseline_id == str(first)
    assert [(change.kind, change.case_id, change.before, change.now) for change in changes.cases] == [
        ("newly failing", "broke", "pass", "fail"),
        ("fixed", "mended", "fail", "pass"),
        ("still failing", "bad", "fail", "fail"),
        ("not comparable", "lost", "pass", "error"),
        ("new case", "new", None, "fail"),
        ("case gone", "gone", "pass", None),
    ]
    [variant] = changes.variants
    assert (variant.before.passed, variant.before.judged) == (4, 6)
    assert (variant.now.passed, variant.now.judged) == (2, 5)
    assert variant.now.p95_ms == 20
    assert changes.differs == ("dataset",)
    assert variant.differs == ()

    page = report_of(second)
    assert sentence_of(changes) in page
    assert 'href="#since"' in page
    twin = json.loads((Path(page_path(second)).parent / "report.json").read_text())
    assert twin["since_last"]["baseline_id"] == str(first)
    assert sentence_of(changes) in (Path(page_path(second)).parent / "comment.md").read_text()
    assert "Since the last run" not in report_of(first)


def page_path(run_id: UUID) -> str:
    with transaction() as connection:
        return run_of(connection, run_id).report or ""


async def test_a_run_is_analysed_once_and_again_only_when_it_was_completed_again(store: str, tmp_path: Path) -> None:
    suite = write_suite(tmp_path / "colours", BEFORE)
    first, second = await finished(suite), await finished(suite)
    sweep()
    with transaction() as connection:
        written = connection.execute(text("SELECT run_id, recorded_at FROM run_comparisons ORDER BY 1")).all()
    assert str(sweep()) == "No finished run was waiting."
    with transaction() as connection:
        assert connection.execute(text("SELECT run_id, recorded_at FROM run_comparisons ORDER BY 1")).all() == written
        assert waiting_runs(connection) == []
        stop_run(connection, second, status="completed", reason="")
    assert waiting() == [second]
    assert sweep().compared == (second,)
    assert sweep().compared == ()
    assert waiting(first) == [first], "a run that is named is analysed again"


async def test_a_baseline_has_the_same_suite_and_choice_of_cases_and_was_completed(store: str, tmp_path: Path) -> None:
    suite = write_suite(tmp_path / "colours", BEFORE)
    other = write_suite(tmp_path / "shapes", BEFORE, suite="shapes")
    first = await finished(suite)
    some = await finished(suite, where=("id=kept",))
    another = await finished(other)
    stopped = await finished(suite)
    last = await finished(suite)
    with transaction() as connection:
        stop_run(connection, stopped, status="partial", reason="budget")
        assert baseline_of(connection, first) is None
        assert baseline_of(connection, some) is None
        assert baseline_of(connection, another) is None
        assert baseline_of(connection, last) == first
        assert set(waiting_runs(connection)) == {first, some, another, last}


async def test_a_rescore_is_laid_beside_the_run_whose_answers_it_judges(store: str, tmp_path: Path) -> None:
    from tasks.panel import Panel
    from tasks.scoring import score_shard
    from tasks.store.runs import shards_of

    suite = write_suite(tmp_path / "colours", BEFORE)
    judged = await finished(suite)
    later = await finished(suite)
    suite.write_text(suite.read_text().replace("[exact]", "[exact, contains]"))
    rescored = open_rescore(judged, str(suite))
    with transaction() as connection:
        run = run_of(connection, rescored)
        shards = shards_of(connection, rescored)
    for begin, end in shards:
        await score_shard(run, Panel(run.suite, run.folder_path), begin, end, asker=None)
    with transaction() as connection:
        stop_run(connection, rescored, status="completed", reason="")
    conclude(rescored)
    with transaction() as connection:
        assert baseline_of(connection, rescored) == judged
        assert baseline_of(connection, later) == judged
    sweep()
    assert changes_of(rescored).differs == ("scorers",)


async def test_variants_that_only_one_run_had_are_named_and_their_cases_are_no_news(store: str, tmp_path: Path) -> None:
    suite = write_suite(tmp_path / "colours", BEFORE, models=2)
    await finished(suite, models=("painter-1",))
    both = await finished(suite)
    alone = await finished(suite, models=("painter-2",))
    sweep()
    assert changes_of(both).variants_new == ("painter-2",)
    assert {change.variant for change in changes_of(both).cases} == {"painter-1"}
    assert changes_of(alone).variants_gone == ("painter-1",)
    assert changes_of(alone).total("case gone") == 0


async def test_a_run_that_cannot_be_read_is_told_of_and_the_next_has_its_turn(store: str, tmp_path: Path) -> None:
    suite = write_suite(tmp_path / "colours", BEFORE)
    first, broken, last = await finished(suite), await finished(suite), await finished(suite)
    with transaction() as connection:
        connection.execute(text("UPDATE runs SET config = config - 'variants' WHERE id = :id"), {"id": broken})
    analysed = sweep()
    assert analysed.first == (first,)
    assert set(analysed.failed) == {broken, last}, "the last one's baseline is the broken one"
    assert f"run {str(broken)[:8]} could not be analysed: KeyError: 'variants'" in str(analysed)


async def test_a_report_that_could_not_be_written_is_tried_again(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from evaluations.errors import InfrastructureError
    from tasks.settings import settings

    suite = write_suite(tmp_path / "colours", BEFORE)
    await finished(suite)
    second = await finished(suite)
    (tmp_path / "file").write_text("in the way of a folder")
    monkeypatch.setenv("ASSAY_REPORTS", str(tmp_path / "file"))
    settings.cache_clear()
    with pytest.raises(InfrastructureError, match="report could not be written"):
        sweep()
    assert "Since the last run" not in report_of(second)
    monkeypatch.setenv("ASSAY_REPORTS", str(tmp_path / "reports"))
    settings.cache_clear()
    assert sweep().compared == (second,)
    assert "Since the last run: no case changed" in report_of(second)


def test_only_a_completed_run_can_be_named(store: str) -> None:
    from tests.builders import a_run

    run_id = a_run()
    with pytest.raises(AssayError, match=f"run {str(run_id)[:8]} is queued, and only a completed run.*--resume"):
        waiting(run_id)
    with pytest.raises(AssayError, match="there is no run"):
        waiting(UUID(int=7))
