"""A benchmark that names a use case measures its models for it: registry, commands, page and comparison have it."""

import asyncio
import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import scipy.stats

from tasks.benchmark_scores import record_scores
from tasks.benchmarking import BenchmarkRequest, open_benchmark, open_rerun
from tasks.model_pages import publish_models
from tasks.models import registry
from tasks.settings import settings
from tasks.store.database import transaction
from tasks.working import work_on
from tests.cli.commands import assay_here, rows
from tests.flows.test_benchmark import a_benchmark
from tests.tasks.model_lists import use_map

GPT, HAIKU = "openai/gpt-4o-2024-11-20", "anthropic/claude-haiku-4-5"
DECLARED = f"""
models:
  - model: {GPT}
    source: sales
    use_cases: {{support: {{score: 98, reason: they say so}}, triage: {{score: 80}}}}
    claims: {{accuracy: excellent, speed: {{word: fastest, low: 0.5, high: 1.5}}}}
"""


@pytest.fixture(autouse=True)
def small_map(store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_REPORTS", str(tmp_path / "reports"))
    (tmp_path / "models.yaml").write_text(DECLARED)
    monkeypatch.setenv("ASSAY_MODELS", str(tmp_path / "models.yaml"))
    settings.cache_clear()
    use_map(tmp_path, monkeypatch)


def ran(folder: Path, **more: Any) -> UUID:
    shares = {GPT: 0.8, HAIKU: 0.6, "nobody/knows": 0.5}
    path = a_benchmark(folder, **{"cases": 200, "shares": shares, "use_case": "support", **more})
    run_id = open_benchmark(BenchmarkRequest(benchmark=str(path)))
    asyncio.run(work_on(run_id))
    return run_id


def test_measured_scores_carry_n_and_interval_and_go_before_what_is_declared(tmp_path: Path, store: str) -> None:
    run_id = ran(tmp_path / "one")
    for _ in range(2):  # the second time nothing is added
        told = record_scores(run_id)
    assert [name for name, _ in told.scores] == [GPT, HAIKU]
    assert told.without == ("the registry has no nobody/knows; declare it in models.yaml, then `assay models sync`",)
    right = dict(
        rows(
            store,
            "SELECT n.label, count(*) FILTER (WHERE v.verdict = 'pass') FROM verdicts v "
            "JOIN run_variants n ON n.run_id = v.run_id AND n.position = v.variant GROUP BY 1",
        )
    )
    with transaction() as connection:
        known = registry(connection)
    for name in (GPT, HAIKU):
        interval = scipy.stats.binomtest(right[name], 200).proportion_ci(method="wilson")
        score = known[name].use_case("support")
        assert score is not None
        assert (score.origin, score.n, score.run_id) == ("measured", 200, str(run_id))
        assert (score.score, score.low, score.high) == pytest.approx(
            (right[name] / 2, 100 * interval.low, 100 * interval.high)
        )
    assert [each.origin for each in known[GPT].use_cases if each.use_case == "support"] == ["declared", "measured"]
    triage = known[GPT].use_case("triage")
    assert triage is not None
    assert triage.origin == "declared"

    again = open_rerun(str(run_id))
    asyncio.run(work_on(again))
    record_scores(again)
    assert rows(store, "SELECT count(*) FROM model_use_case_scores WHERE origin = 'measured'") == [(2,)]


def test_commands_page_and_comparison_tell_what_was_measured_beside_what_is_claimed(tmp_path: Path) -> None:
    record_scores(ran(tmp_path / "one"))
    shown = assay_here("models", "show", GPT).out
    assert "measured, n = 200" in shown
    assert "support: declared 98.0% or more; measured " in shown
    claims = json.loads(assay_here("models", "claims", "--json").out)
    assert {(each["about"], each["outcome"]) for each in claims if each["model"] == GPT} == {
        ("accuracy", "does not hold"),
        ("support", "does not hold"),
        ("triage", "not measured"),
        ("speed", "not measured"),
    }
    compared = assay_here("compare", GPT, HAIKU, "--use-case", "support", "--catalogue", "--json")
    assert compared.code == 0, compared.err
    page = publish_models().read_text()
    assert "What is claimed, and what was measured" in page
    assert "Does not hold" in page
    suits = json.loads((tmp_path / "reports" / "models.json").read_text())["suits"]
    assert [each["origin"] for each in suits if each["use_case"] == "support"] == ["measured", "measured"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"cases": 20}, "has a score on 20 cases; 30 are the least"),
        ({"cases": 40, "sample_data": True}, "made up for demonstration"),
    ],
)
def test_too_few_cases_and_sample_data_measure_nothing(tmp_path: Path, more: dict[str, Any], said: str) -> None:
    told = record_scores(ran(tmp_path / "one", **more))
    assert not told.scores
    assert said in told.without[0]


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ("{speed: quick}", "`speed` is one of fastest, moderate, slow"),
        ("{accuracy: {low: 92, high: 97}}", "`accuracy` is a share in [0, 1]"),
        ("{speed: {low: 2, high: 1}}", "`low` is above `high`"),
        ("{speed: {low: 2}}", "a range has `low` and `high`"),
    ],
)
def test_claims_that_cannot_be_read_are_named_with_their_place(tmp_path: Path, claims: str, said: str) -> None:
    (tmp_path / "models.yaml").write_text(f"models:\n  - {{model: a/b, source: x, claims: {claims}}}\n")
    told = assay_here("models", "list")
    assert told.code == 2
    assert said in told.err
    assert "models.yaml:2" in told.err


def test_a_use_case_goes_with_accuracy_alone(tmp_path: Path) -> None:
    path = a_benchmark(tmp_path / "one", use_case="support", category="latency")
    told = assay_here("benchmark", "plan", str(path))
    assert told.code == 2
    assert "`use_case` goes with `category: accuracy`" in told.err
