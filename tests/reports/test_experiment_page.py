"""The page of an experiment: its sentences hold the numbers of the comparison, and it stands in a real browser."""

import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from statsmodels.stats.proportion import confint_proportions_2indep, proportions_ztest

from evaluations.experiment_results import Disagreement, ExperimentResult
from evaluations.experiments import Decision
from reports.experiment_twins import as_csv, as_html, as_json
from reports.forest import Effect, forest
from reports.views.experiment import ExperimentView, experiment_view
from tests.experiments import live
from tests.reports.experiment_builders import AT, a_live_result, an_offline_result
from tests.reports.hostile import XSS
from tests.reports.test_browser import CHROMIUM, WCAG, Open, browser, opened, outside
from tests.reports.test_page import MEGABYTE

__all__ = ["browser", "opened"]


def said(view: ExperimentView) -> str:
    return " ".join(sentence for fact in view.page.facts for sentence in fact.sentences)


def test_the_worked_example_stands_on_the_page() -> None:
    """76.5 % of 456 against 82.1 % of 478: the numbers of the sources, recomputed by statsmodels."""
    result = a_live_result({"v3": (456, 349), "v4": (478, 392)})
    view = experiment_view(result)
    z, p = proportions_ztest([392, 349], [478, 456])
    assert (round(float(z), 2), round(float(p), 3)) == (2.07, 0.039)
    low, high = confint_proportions_2indep(392, 478, 349, 456, method="newcomb", compare="diff")
    assert result.comparison is not None
    effect = result.comparison.primary("v4").effect
    assert effect is not None
    assert (effect.low, effect.high) == pytest.approx((low, high), abs=2e-3)
    assert view.page.headline == f"v4 wins: +5.5 pts quality (95% CI {effect.low * 100:.1f}–{effect.high * 100:.1f})."
    assert len(said(view).split()) <= 120
    assert {kpi.label: kpi.value for kpi in view.page.kpis} == {"v3 (control)": "76.5%", "v4": "82.0%"}


@pytest.mark.parametrize(
    ("passed", "head", "tone"),
    [
        ({"v3": (900, 700), "v4": (900, 500)}, "v3 stays", "bad"),
        ({"v3": (9000, 7000), "v4": (9000, 7002)}, "No meaningful difference", "plain"),
        ({"v3": (200, 150), "v4": (200, 155)}, "Not enough data", "warn"),
        ({"v3": (900, 700), "v4": (600, 550)}, "No verdict", "bad"),
    ],
)
def test_each_verdict_has_its_head_and_tone(passed: dict[str, tuple[int, int]], head: str, tone: str) -> None:
    view = experiment_view(a_live_result(passed))
    assert (view.page.verdict.head, view.page.verdict.tone) == (head, tone)


def test_a_control_that_is_chosen_is_kept_and_a_winner_is_brought_into_production() -> None:
    kept = experiment_view(a_live_result({"v3": (900, 700), "v4": (900, 500)}))
    status = kept.page.facts[0].status
    assert status is not None
    assert status.word == "Keep v3"
    assert "v3 stays." in said(kept)
    assert "into production" not in said(kept)
    won = experiment_view(a_live_result({"v3": (456, 349), "v4": (478, 392)}))
    status = won.page.facts[0].status
    assert status is not None
    assert status.word == "Take v4"
    assert "Bring v4 into production, step by step." in said(won)


def test_effects_that_may_not_be_seen_yet_are_nowhere_on_the_page() -> None:
    hidden = a_live_result(
        comparison=None,
        status="running",
        sentence="Not enough data: 456 of 1,000 planned units in the smallest arm; it is looked at once.",
        decisions=(),
        looks=(),
        distributions=(),
    )
    hidden = replace(hidden, arms=tuple(replace(arm, levels={}, known={}) for arm in hidden.arms))
    html = as_html(hidden)
    assert "82.0%" not in html
    assert "76.5%" not in html
    assert "Effects stay unseen" in html
    assert experiment_view(hidden).main is None
    assert json.loads(as_json(hidden))["comparison"] is None


def test_what_was_left_out_and_what_the_split_was_is_said() -> None:
    sound = " ".join(experiment_view(a_live_result()).split)
    assert "Sample ratio: v3 48.8% of 50.0% planned; v4 51.2% of 50.0% planned (p = 0.49" in sound
    assert "2 units were seen in more than one variant" in sound
    assert "v9 (7)" in sound
    assert "11 requests that carry the experiment" in sound


def test_an_override_stands_beside_what_the_rule_found() -> None:
    result = a_live_result()
    person = Decision(
        outcome="inconclusive",
        variant=None,
        rule="override by a person",
        sentence="None was chosen, by bo: a legal doubt",
        automatic=False,
        actor="bo",
        why="a legal doubt",
        at=AT,
    )
    view = experiment_view(replace(result, decisions=(*result.decisions, person)))
    assert [banner.title for banner in view.page.banners] == ["Overridden by bo."]
    life = [cell.text for row in view.life.rows for cell in row]
    assert any("decided: v4 wins" in text for text in life)
    assert "decided: None was chosen, by bo: a legal doubt" in life


def test_the_twins_hold_the_same_numbers() -> None:
    result = an_offline_result()
    assert result.comparison is not None
    rows = list(csv.DictReader(io.StringIO("".join(as_csv(result)))))
    told = json.loads(as_json(result))
    assert len(rows) == len(told["comparison"]["findings"]) == 3
    for row, finding in zip(rows, result.comparison.findings, strict=True):
        assert finding.effect is not None
        assert float(row["difference"]) == finding.effect.value
        assert row["verdict"] == finding.verdict
    assert told["declared"]["alpha"] == 0.05
    assert as_html(result) == as_html(an_offline_result())


def test_sample_data_are_labelled_in_the_headline() -> None:
    assert experiment_view(an_offline_result()).page.headline.startswith("Sample data: ")


@pytest.mark.parametrize("width", [1040, 690, 492, 360])
@pytest.mark.parametrize(
    "values",
    [
        [],
        [(0.0, 0.0, 0.0)],
        [(None, None, None)],
        [(0.1, float("-inf"), float("inf"))],
        [(5.0, 4.0, 6.0), (-3.0, -9.0, 3.0), (0.0, -0.1, 0.1)],
    ],
)
def test_a_forest_is_drawn_of_anything(width: int, values: list[tuple[Any, Any, Any]]) -> None:
    rows = [
        Effect(label="W" * 60, value=v, low=low, high=high, value_text=str(v), interval_text=f"{low} to {high}")
        for v, low, high in values
    ]
    for margin in (None, 0.5, 1e9):
        svg = forest(rows, width, label="x", tick=str, margin=margin, worse_text="worse", better_text="better")
        assert "nan" not in svg.lower().replace("hidden", "")
        assert svg.startswith("<svg")


# In a browser

pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no Chromium at {CHROMIUM}")


@pytest.mark.parametrize(("made", "width", "theme"), [(an_offline_result, 1440, "light"), (a_live_result, 390, "dark")])
def test_axe_finds_nothing_against_wcag_2_2_aa(
    opened: Open, made: Callable[[], ExperimentResult], width: int, theme: str
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page = opened(as_html(made()), width=width, theme=theme)
    page.evaluate("document.querySelectorAll('details').forEach(function (d) { d.open = true; })")
    found = Axe().run(page, options={"runOnly": {"type": "tag", "values": list(WCAG)}, "resultTypes": ["violations"]})
    violations = [(rule["id"], [node["target"] for node in rule["nodes"]][:3]) for rule in found.response["violations"]]
    assert violations == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert outside(page) == []


def test_hostile_names_and_answers_stay_text(opened: Open) -> None:
    texts = [text for text in XSS if "\ud800" not in text]
    spec = live(name=texts[0][:100], description=texts[4], method="fixed")
    said_by_models = tuple(
        Disagreement(case_id=text, variant=text, control_value=0.0, value=1.0, control_text=text, text=text)
        for text in texts
    )
    result = a_live_result(spec=spec, disagreements=said_by_models, disagreements_in_all=len(texts))
    page = opened(as_html(result))
    page.evaluate("document.querySelectorAll('details').forEach(function (d) { d.open = true; })")
    assert page.evaluate("window.__pwned") is None
    assert outside(page) == []
    assert len(as_html(result).encode()) < MEGABYTE


def test_without_scripts_every_figure_is_seen(opened: Open) -> None:
    page = opened(as_html(an_offline_result()), scripts=False)
    assert page.locator("figure svg.chart:visible").count() >= 4
