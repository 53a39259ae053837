"""Comparing models from completed runs: only what all of them answered, against queries and tests of its own."""

import asyncio
import csv
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import scipy.stats

from evaluations.benchmark_specs import BenchmarkSpec
from evaluations.errors import AssayError, NothingYet
from evaluations.model_comparison import ModelComparison
from evaluations.models import Capability, Limits, Model, UseCaseScore
from evaluations.models import Finding as Probed
from reports.views.comparison import comparison_view, verdict_of
from tasks.comparing import Asked, compare_models, publish_comparison, publish_latest
from tasks.models import registry
from tasks.recommendation_evidence import known_of
from tasks.selecting import SelectionRequest, select_for
from tasks.store.benchmarks import save_benchmark
from tasks.store.database import transaction
from tasks.store.model_runs import Seat
from tests.cli.commands import assay_here, rows
from tests.recorded_models import COSTS, finished, write_models
from tests.reports.hostile import XSS
from tests.reports.test_browser import CHROMIUM, WCAG, outside
from tests.reports.test_page import MEGABYTE
from tests.tasks.model_lists import use_map

RIGHT = {"large": 0.95, "middle": 0.93, "small": 0.55, "own": 0.5}


@pytest.fixture(autouse=True)
def reports(tmp_path: Path, store: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    from tasks.settings import settings

    monkeypatch.setenv("ASSAY_REPORTS", str(tmp_path / "reports"))
    settings.cache_clear()
    return tmp_path / "reports"


async def test_models_are_compared_on_the_cases_that_all_of_them_answered(store: str, tmp_path: Path) -> None:
    run_id = await finished(write_models(tmp_path / "colours", RIGHT))
    found = compare_models(Asked(models=("large", "middle", "small", "own")))
    assert found.sitting is not None
    assert (found.sitting.cases, found.sitting.judged, set(found.sitting.runs.values())) == (60, 60, {str(run_id)})
    passed = {
        name: (right, n)
        for name, right, n in rows(
            store,
            "SELECT n.label, count(*) FILTER (WHERE v.verdict = 'pass'), count(*) FROM verdicts v "
            "JOIN run_variants n ON n.run_id = v.run_id AND n.position = v.variant GROUP BY 1",
        )
    }
    for side in found.sides:
        right, n = passed[side.name]
        wilson = scipy.stats.binomtest(right, n).proportion_ci(method="wilson")
        assert side.accuracy is not None
        assert (side.accuracy.value, side.accuracy.low, side.accuracy.high, side.accuracy.n) == pytest.approx(
            (right / n, wilson.low, wilson.high, 60)
        )
        assert side.speed is not None
        assert side.speed.value == 129.5, "the median of 100 to 159"
        assert side.reliability is not None
        assert (side.reliability.value, side.reliability.n) == (1.0, 60)
    for name, cost in COSTS.items():
        answer = found.side(name).answer_cost
        assert answer is not None
        assert answer.value == pytest.approx(float(cost))
    standings = {each.point.name: each.standing for each in found.standings}
    assert standings == {"large": "frontier", "middle": "frontier", "small": "frontier", "own": "unknown"}
    assert found.differing == 57 - 30, "nobody has the last three right, all have the first thirty"

    # McNemar by the binomial distribution, Holm over the six pairs.
    pair = found.boards["pass_rate"].between("large", "small")
    assert pair.p == pytest.approx(scipy.stats.binomtest(0, 24, 0.5).pvalue)
    assert pair.ahead == "large"
    assert found.boards["pass_rate"].between("large", "middle").ahead is None
    verdict = verdict_of(found)
    assert verdict.head == "No clear difference in accuracy"
    assert verdict.rest == (
        " between large and middle (n = 60 cases). middle costs least of them: $4.00 per 1,000 answers. "
        "small passes 55.0% for $1.00."
    )


async def test_cases_of_one_source_are_no_independent_evidence(store: str, tmp_path: Path) -> None:
    run_id = await finished(write_models(tmp_path / "colours", RIGHT, a_source=3))
    asked = Asked(models=("large", "small"))
    alone = compare_models(asked).boards["pass_rate"]
    benchmark = BenchmarkSpec.model_validate(
        {"benchmark": "colours", "format": "gsm8k", "questions": "q.jsonl", "models": ["large"], "cluster": "source"}
    )
    with transaction() as connection:
        save_benchmark(connection, run_id, benchmark, {}, "ana")
    together = compare_models(asked).boards["pass_rate"]
    assert (alone.clusters, together.clusters) == (None, 20)
    assert {each.n for each in together.standings} == {60}
    with transaction() as connection:
        measured = known_of(connection, "colouring", date(2026, 5, 1)).measured
    assert measured is not None
    assert measured.bench.clusters is not None
    assert [*measured.bench.clusters] == [f"s-{n // 3}" for n in range(60)]


async def test_every_answer_about_a_run_names_and_prices_its_models_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known, unknown = "openai/gpt-4o-2024-11-20", "replay/small.jsonl"
    use_map(tmp_path, monkeypatch)
    with transaction() as connection:
        registry(connection)
    await finished(write_models(tmp_path / "colours", {"large": 0.9, "small": 0.6}, called={"large": known}))
    compared = compare_models(Asked(models=(known, "small")))
    selected = select_for(SelectionRequest(feature="colouring", environment="development")).selected
    with transaction() as connection:
        advised = known_of(connection, "colouring", date(2026, 5, 1))
    assert advised.measured is not None
    assert [each.called for each in compared.sides] == [known, unknown]
    assert {each.candidate.model for each in selected.considered} == {known, unknown}
    assert [each.model for each in advised.measured.bench.evidence] == [known, unknown]
    assert [*advised.measured.bench.offers] == [known, unknown]
    assert f"{known}, {unknown} side by side" in publish_latest().read_text()

    # 40 tokens in and 5 out at the prices of the model that was recorded, whatever the recording says it cost.
    today = Decimal("0.0000025") * 40 + Decimal("0.00001") * 5
    costs = {each.model: {*each.costs} for each in advised.measured.bench.evidence}
    assert costs == {known: {today}, unknown: {Decimal(COSTS["small"])}}
    assert compared.side(known).prices is not None
    offer = advised.measured.bench.offers[known]
    assert (offer.context_tokens, "vision" in offer.capabilities) == (128_000, True)


async def test_models_of_different_runs_meet_where_cases_prompt_and_scorers_are_the_same(tmp_path: Path) -> None:
    first = await finished(write_models(tmp_path / "one", {"large": 0.9}))
    second = await finished(write_models(tmp_path / "two", {"small": 0.6}))
    await finished(write_models(tmp_path / "other", {"small": 0.1, "middle": 0.9}, cases=40))
    found = compare_models(Asked(models=("large", "small")))
    assert found.sitting is not None
    assert dict(found.sitting.runs) == {"large": str(first), "small": str(second)}
    assert found.sitting.cases == 60
    told = "no suite has cases that large and middle both answered, by the same prompt and scorers"
    with pytest.raises(AssayError, match=told):
        compare_models(Asked(models=("large", "middle")))
    alone = compare_models(Asked(models=("large", "middle"), catalogue=True))
    assert alone.sitting is None
    assert comparison_view(alone).main is None
    assert "Not measured on the same cases" in comparison_view(alone).page.headline


async def test_the_page_and_its_twins_hold_the_same_numbers(reports: Path, tmp_path: Path) -> None:
    await finished(write_models(tmp_path / "colours", RIGHT))
    found = compare_models(Asked(models=("large", "small")))
    page = publish_comparison(found)
    told = json.loads((reports / "comparison.json").read_text())
    lines = list(csv.DictReader((reports / "comparison.csv").open()))
    html = page.read_text()
    for side, line in zip(
        told["sides"], [each for each in lines if each["measure"] == "accuracy"], strict=True
    ):  # fmt: skip
        assert float(line["value"]) == side["accuracy"]["value"]
        assert line["n"] == "60"
    assert [table.caption for table in comparison_view(found).groups] == [
        "Performance",
        "Capabilities",
        "Costs",
        "Limits",
    ]
    names = [row[0].text for table in comparison_view(found).groups for row in table.rows]
    for row in (
        *("Speed", "Accuracy", "Reliability", "Image Analysis", "Text Generation", "Complex Reasoning"),
        *("Per Image", "Per 1K Tokens", "Monthly Estimate", "Max Tokens", "Rate Limits", "Context Window"),
    ):
        assert row in names
        assert row in html
    publish_comparison(found)
    assert page.read_text() == html
    assert len(html) < MEGABYTE


async def test_what_is_not_known_is_said_and_a_test_goes_before_the_catalogue(tmp_path: Path) -> None:
    await finished(write_models(tmp_path / "colours", {"large": 0.9, "small": 0.8}))
    found = compare_models(Asked(models=("large", "small")))
    seen = Probed(passed=False, at=found.sitting.at if found.sitting else None, why="")  # type: ignore[arg-type]
    model = Model(
        name="a/large",
        provider="a",
        mode="chat",
        capabilities={
            "vision": Capability(name="vision", documented=True, tested=seen),
            "text_generation": Capability(name="text_generation", documented=True),
        },
        limits=Limits(context_tokens=128_000, requests_per_minute=500),
        retires_on=date(2099, 1, 1),
        use_cases=(UseCaseScore(use_case="colours", score=90, origin="declared", source="somebody"),),
    )
    sides = (with_registry(found, model), found.sides[1])
    view = comparison_view(replaced(found, sides, use_case="colours"))
    cells = {row[0].text: row[1:] for table in view.groups for row in table.rows}
    vision, unknown = cells["Image Analysis"]
    assert vision.status is not None
    assert (vision.status.word, vision.note.split()[0], unknown.text) == ("No", "tested", "not stated")
    assert vision.note.endswith("against the catalogue")
    assert cells["Text Generation"][0].note == "documented"
    assert cells["Per Image"][0].text == "reads none"
    assert [each.text for each in cells["Rate Limits"]] == ["500 / not stated", "not stated"]
    assert [each.text for each in cells["Context Window"]] == ["128,000", "not stated"]
    assert [each.text for each in cells["Suits colours"]] == ["90", "not measured"]
    assert cells["Per 1K Tokens"][0].text == "unpriced"


def with_registry(found: ModelComparison, model: Model) -> Any:
    from dataclasses import replace

    return replace(found.sides[0], registry=model, suits=model.use_case("colours"))


def replaced(found: ModelComparison, sides: tuple[Any, ...], use_case: str) -> ModelComparison:
    from dataclasses import replace

    return replace(found, sides=sides, use_case=use_case)


@pytest.mark.parametrize(("label", "name"), [("openai/gpt-4o", "openai/gpt-4o"), ("large", "replay/answers.jsonl")])
def test_recorded_answers_of_a_known_model_go_by_its_whole_id(label: str, name: str) -> None:
    seat = Seat(
        suite="colours",
        feature=None,
        dataset_id=UUID(int=1),
        cases="",
        prompt="",
        prompt_name="",
        scorers="",
        model="replay/answers.jsonl",
        label=label,
        run_id=UUID(int=2),
        answers_of=UUID(int=2),
        variant=0,
        at=datetime(2026, 5, 1, tzinfo=UTC),
        sample_data=False,
    )
    assert seat.name == name


async def test_the_nightly_page_is_about_the_models_of_the_newest_run(tmp_path: Path) -> None:
    with pytest.raises(NothingYet, match="no run asked two models the same cases yet"):
        publish_latest()
    await finished(write_models(tmp_path / "colours", {"large": 0.9, "small": 0.8}))
    await finished(write_models(tmp_path / "alone", {"middle": 0.9}, suite="alone"))
    assert "replay/large.jsonl, replay/small.jsonl side by side" in publish_latest().read_text()


REFUSED = (
    (("large",), "a comparison needs two different models or more"),
    (("large", "smal"), "no model is named 'smal'; did you mean 'small'?"),
    (("large", "small", "--feature", "colourin"), "no feature is named 'colourin'; did you mean 'colouring'?"),
    (("large", "small", "--use-case", "poems"), "no use case is named 'poems'"),
    (tuple(f"m{n}" for n in range(13)), "13 models are too many"),
)


async def test_a_question_that_is_none_is_refused_with_what_would_do(tmp_path: Path) -> None:
    await finished(write_models(tmp_path / "colours", {"large": 0.9, "small": 0.8}, cases=4))
    for given, said in REFUSED:
        outcome = assay_here("compare", *given)
        assert (outcome.code, said in outcome.err) == (2, True), outcome.err


async def test_the_command_tells_who_is_better_and_writes_the_page(reports: Path, tmp_path: Path) -> None:
    await finished(write_models(tmp_path / "colours", {"large": 0.95, "small": 0.5}))
    outcome = assay_here("compare", "large", "small")
    assert outcome.code == 0, outcome.err
    assert outcome.out.startswith("large passes most: 95.0% (95% CI ")
    assert "large is better than small (p = " in outcome.out
    assert f"Page: {reports / 'comparison.html'}" in outcome.out
    told = json.loads(assay_here("compare", "large", "small", "--json").out)
    assert told["sides"][0]["answer_cost"]["value"] == pytest.approx(0.01)


@pytest.mark.skipif(not CHROMIUM.exists(), reason="needs /usr/bin/chromium")
async def test_the_page_stands_in_a_browser_whatever_the_models_said(tmp_path: Path, reports: Path) -> None:
    await finished(
        write_models(tmp_path / "colours", {"large": 0.9, "small": 0.6}, said="\n".join(XSS[:19]) + "W" * 300)
    )
    page = publish_comparison(compare_models(Asked(models=("large", "small"))))
    await asyncio.to_thread(looked_at, page)


def looked_at(file: Path) -> None:
    """Axe finds nothing, nothing runs or loads, nothing scrolls sideways."""
    from axe_playwright_python.sync_playwright import Axe
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched: Any = playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=["--headless=new", "--no-sandbox", "--disable-gpu"]
        )
        for width, theme in ((1440, "light"), (390, "dark")):
            page = launched.new_page(viewport={"width": width, "height": 900}, color_scheme=theme)
            page.requested = []
            page.on("request", partial(_note, page.requested))
            page.goto(file.as_uri())
            page.evaluate("document.querySelectorAll('details').forEach(function (d) { d.open = true; })")
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert page.evaluate("window.__pwned") is None
            assert outside(page) == []
            found = Axe().run(
                page, options={"runOnly": {"type": "tag", "values": list(WCAG)}, "resultTypes": ["violations"]}
            )
            assert [(rule["id"], rule["nodes"][0]["target"]) for rule in found.response["violations"]] == []
        launched.close()


def _note(requested: list[str], request: Any) -> None:
    requested.append(request.url)
