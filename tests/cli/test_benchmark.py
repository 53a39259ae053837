"""assay benchmark: bad input ends with 2 and a sentence that says what to do; what is there is listed and shown."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.commands import assay, assay_here

pytestmark = pytest.mark.usefixtures("store")


def defined(folder: Path, **more: Any) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "q.jsonl").write_text('{"id": 1, "question": "2 + 2?", "expected": "4"}\n')
    (folder / "a.jsonl").write_text('{"id": 1, "output": "4"}\n')
    given = {"benchmark": "tried", "questions": "q.jsonl", "models": [{"name": "v/m", "answers": "a.jsonl"}], **more}
    (folder / "benchmark.yaml").write_text(json.dumps(given))
    return folder / "benchmark.yaml"


def with_a_broken_line(folder: Path) -> Path:
    path = defined(folder)
    (folder / "q.jsonl").write_text('{"id": 1, "question": "?", "expected": "4"}\n{"id": 2, "quest\n')
    return path


def without_a_recorded_answer(folder: Path) -> Path:
    path = defined(folder)
    (folder / "a.jsonl").write_text('{"id": "other", "output": "4"}\n')
    return path


BAD: dict[str, tuple[Callable[[Path], Path], tuple[str, ...], str]] = {
    "unknown format": (lambda folder: defined(folder, format="gsm8"), (), "did you mean 'gsm8k'"),
    "broken line": (with_a_broken_line, (), "q.jsonl, line 2: "),
    "no such file": (lambda folder: defined(folder, questions="x.jsonl"), (), "there is no file 'x.jsonl'"),
    "outside": (lambda folder: defined(folder, questions="../q.jsonl"), (), "leads out of"),
    "unknown model": (defined, ("-m", "nobody"), "no model of this suite is named 'nobody'"),
    "no recorded answer": (without_a_recorded_answer, (), "no recorded answer of v/m is to a question of tried"),
    "no price": (
        lambda folder: defined(
            folder,
            models=[{"model": "openai/unheard-of", "api_base": "http://127.0.0.1:9/v1", "transport": "direct"}],
        ),
        ("--max-cost", "1"),
        "a cost limit cannot be kept for openai/unheard-of: no price is known",
    ),
    "early by latency": (lambda folder: defined(folder, category="latency"), ("--stop-early",), "ranks by accuracy"),
    "no judge": (lambda folder: defined(folder, format="mt_bench"), (), "mt_bench is judged; say by whom in `scorers`"),
    "by nothing": (defined, ("--by", "tags"), "goes with a number of cases"),
    "both": (lambda folder: defined(folder, workload={}), (), "either `questions` or a `workload`"),
    "no schedule": (lambda folder: defined(folder, category="throughput"), (), "say `arrivals: {per_second: 2}`"),
}


@pytest.mark.parametrize("what", BAD)
def test_what_cannot_be_run_is_refused_with_a_reason(what: str, tmp_path: Path) -> None:
    make, options, said = BAD[what]
    outcome = assay_here("benchmark", "plan", make(tmp_path / "b"), *options)
    assert outcome.code == 2, outcome
    assert said in outcome.err


def test_names_that_nobody_knows_are_answered_with_those_there_are() -> None:
    outcome = assay_here("benchmark", "run", "sample-benchmrak")
    assert (outcome.code, "did you mean 'sample-benchmark'" in outcome.err) == (2, True)
    assert "No benchmark was run yet" in assay_here("benchmark", "list").out
    shown = assay_here("benchmark", "show", "abcd1234")
    assert (shown.code, "no run is called 'abcd1234'" in shown.err) == (2, True)


def test_a_newcomer_runs_the_sample_and_reads_its_leaderboard(prefect_server: str) -> None:
    outcome = assay("benchmark", "run", "sample-benchmark", "--json")
    assert outcome.code == 0, outcome
    assert outcome.event("planned")["cases"] == 150
    done = outcome.event("done")
    assert "tied at the top" in done["sentence"]
    assert Path(done["page"]).is_file()
    board = assay_here("benchmark", "leaderboard", "sample-benchmark")
    assert board.out.startswith("Sample data: made up for demonstration.")
    assert "tied: sample/large, sample/medium" in board.out
    [line] = json.loads(assay_here("benchmark", "list", "--json").out)
    assert (line["benchmark"], line["models"], line["cases"]) == ("sample-benchmark", 3, 150)
    shown = assay_here("benchmark", "show", done["run"][:8]).out
    assert "first token: p50" in shown
    assert "questions.jsonl" in shown
