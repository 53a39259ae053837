"""The pages about deployments: sentences that hold, twins that can be read, hostile texts, a real browser."""

import csv
import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from evaluations.deployment_checks import Check
from evaluations.deployment_health import Health, HealthCheck
from evaluations.deployment_overview import CaseChange, LifeStep, Word
from evaluations.deployments import Bundle
from evaluations.watching import GUARDS
from reports.deployment_files import deployment_files, deployments_files, preview_files
from reports.views.deployment import deployment_view, preview_view
from reports.views.deployment_parts import DRAWN_LOOKS, watch_figures
from reports.views.deployments import deployments_view
from reports.watch_chart import WatchPoint, watch_chart
from tests.reports.deployment_builders import (
    CURRENT,
    NOW,
    a_canary,
    a_change,
    a_deployment,
    a_health,
    a_look,
    a_page,
    a_preview,
    a_reading,
    a_window,
    an_overview,
    the_one_before,
)
from tests.reports.hostile import FORMULAS, XSS
from tests.reports.test_browser import CHROMIUM, WCAG, Open, browser, opened, outside
from tests.reports.test_page import MEGABYTE, Outline

__all__ = ["browser", "opened"]
needs_browser = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no Chromium at {CHROMIUM}")


def files(made: Iterable[tuple[str, Iterable[str]]]) -> dict[str, str]:
    return {name: "".join(parts) for name, parts in made}


def all_html(text: str = "chatbot") -> dict[str, str]:
    """All three pages, with a text from outside wherever one may stand."""
    bundle = Bundle(prompt=text, model=text, parameters={text: text}, more={text: {text: 1}})
    told = {"feature": text, "bundle": bundle, "experiment": text, "variant": text, "why": text, "moved_why": text,
            "actor": text, "approved_by": (text,), "waived": text}  # fmt: skip
    check = HealthCheck(name=text, health="warning", says=text)
    health = replace(a_health(feature=text), checks=(check,))
    change = a_change(
        after=bundle, prompt_diff=(f"+{text}",), suite=text, changed=(CaseChange(text, "pass", "fail"),),
        checks=(Check(name=text, level="refuse", says=text, waivable=True),), differences=(),
    )  # fmt: skip
    look = replace(a_look(), sentence=text)
    page = a_page(
        deployment=a_deployment(**told), change=change, health=health, windows=(a_window(look, why=text),),
        life=(LifeStep("deployed", 100, text, text, NOW),), words=(Word("approved", text, text, NOW, NOW),),
    )  # fmt: skip
    overview = an_overview(a_canary(**told), a_deployment(**told), healths=(health,))
    preview = a_preview(feature=text, experiment=text, variant=text, change=change, command=text)
    return {
        **files(deployments_files(overview)),
        **files(deployment_files(page, "deployment-1")),
        **files(preview_files(preview, "preview-1")),
    }


# All of them


@pytest.mark.parametrize(
    ("overview", "headline"),
    [
        (an_overview(), "The one live bundle is healthy, and nothing is on its way."),
        (an_overview(a_canary(), the_one_before(status="deployed", live=True, ended_at=None)),
         "A change is on its way for chatbot in production: shipping@4.0.0 on openai/gpt-4o-mini (temperature 0), "
         "canary, 10%, no harm is proven so far."),
        (an_overview(the_one_before(ended_at=NOW), healths=()), "Nothing is live yet."),
        (an_overview(a_deployment(sample_data=True)),
         "Sample data: The one live bundle is healthy, and nothing is on its way."),
    ],
)  # fmt: skip
def test_the_first_sentence_says_how_things_stand(overview: Any, headline: str) -> None:
    assert deployments_view(overview).page.headline == headline


@pytest.mark.parametrize(
    ("health", "headline"),
    [
        ("critical", "chatbot in production is critical: too many errors."),
        ("warning", "chatbot in production has a warning: too many errors."),
        (
            "not enough data",
            "The one live bundle is not known to be healthy: too little data on chatbot in production.",
        ),
    ],
)
def test_what_is_not_healthy_is_the_first_thing_said(health: Health, headline: str) -> None:
    [check, _] = a_health().checks
    bad = a_health(checks=(replace(check, health=health, says="too many errors"),))
    said = deployments_view(an_overview(a_deployment(), healths=(bad,))).page.headline
    assert said.startswith(headline)


def test_environments_stand_side_by_side_with_since_when_by_whom_and_from_what() -> None:
    staging = a_deployment(id="33333333-0", environment="staging", trigger="manual", experiment=None)
    table = deployments_view(an_overview(a_deployment(), staging)).places
    assert [column.head for column in table.columns] == ["Feature", "Production", "Staging", "Development"]
    [[feature, production, in_staging, development]] = table.rows
    assert (feature.text, production.text, in_staging.text) == ("chatbot", "shipping@4.0.0", "shipping@4.0.0")
    assert production.note == (
        "openai/gpt-4o-mini (temperature 0); since 26 June 2026, 12:00 UTC, asked for by ana; v4 of experiment "
        "shipping-v4; deployment 6f1c2d3e, healthy"
    )
    assert "without an experiment" in in_staging.note
    assert development.text == "nothing yet"


def test_what_is_on_its_way_says_step_looks_and_its_difference_in_words() -> None:
    [coming] = deployments_view(an_overview(a_canary())).coming
    assert coming.status.word == "Canary, 10%"
    assert any("Step 10% of 10% → 50% → 100%" in said and "3 looks so far" in said for said in coming.sentences)
    assert (
        "Quality 87.7% (n = 157) beside 85.9% (n = 1,340), 1.8 pts better; harm of at least −7.1 pts, +2.0 pts "
        "tolerated."
    ) in coming.sentences
    assert "assay rollback chatbot" in coming.commands
    assert len(coming.figures) == 1


def test_an_approval_that_is_awaited_is_a_decision_with_its_command() -> None:
    view = deployments_view(an_overview(a_canary(status="pending_approval", percent=0, began_at=None)))
    [fact] = [fact for fact in view.page.facts if fact.label == "Decisions waiting"]
    assert fact.command == "assay deploy approve 22222222"


def test_shares_of_experiments_count_production_and_what_people_asked_for() -> None:
    by_hand = a_deployment(id="4", trigger="manual", experiment=None, live=False, status="rolled_back", ended_at=NOW)
    staged = a_deployment(id="5", trigger="manual", environment="staging")
    view = deployments_view(an_overview(a_deployment(), by_hand, staged, the_one_before()))
    kpis = {kpi.label: (kpi.value, kpi.note) for kpi in view.page.kpis}
    assert kpis["From an experiment"] == ("50%", "1 of 2 to production in 30 days")
    assert kpis["Asked for"] == ("3", "in 30 days; 1 of them taken back or ended")


def test_flags_that_are_not_what_the_database_says_are_told_with_their_command() -> None:
    view = deployments_view(an_overview(flags=(replace(CURRENT, current=False),)))
    [fact] = [fact for fact in view.page.facts if fact.label == "Published flags"]
    assert (fact.status and fact.status.tone, fact.command) == ("bad", "assay deploy publish")


# One


@pytest.mark.parametrize(
    ("given", "headline"),
    [
        ({"status": "pending_approval", "live": False, "approved_by": ()}, "It waits for 1 approval, not of ana."),
        ({"status": "deploying", "live": False, "percent": 50}, "50% of the units get it. No harm is proven:"),
        ({}, "Live since 26 June 2026, 12:00 UTC, healthy. Beside its control: quality: +1.7 pts 95% CI 1.1–2.4"),
        ({"status": "rolled_back", "live": False, "moved_why": "rolled back by itself at 10%: quality 63.9%"},
         "Taken back by itself at 10%: quality 63.9%."),
        ({"status": "failed", "live": False, "moved_why": "rejected by ben: not now"},
         "It ended before it went live: rejected by ben: not now."),
        ({"status": "superseded", "live": False, "ended_at": NOW},
         "It was live until 28 June 2026, 12:00 UTC, and another bundle took its place."),
    ],
)  # fmt: skip
def test_the_page_of_one_says_first_where_it_stands(given: dict[str, Any], headline: str) -> None:
    found = a_page(deployment=a_deployment(**given), health=a_health() if given == {} else None)
    assert deployment_view(found, "deployment-1").page.headline.startswith(headline)


def test_the_watch_is_drawn_for_every_window_that_had_a_control() -> None:
    view = deployment_view(a_page(), "deployment-1")
    assert [figure.id for figure in view.figures] == ["window-1-quality", "window-2-quality"]
    first = view.figures[0]
    assert first.title == "Quality at 10%: no harm is proven"
    assert "3 looks, n = 157 and 1,340 units" in first.subtitle
    assert not first.problem
    assert first.table is not None
    assert [cell.text for cell in first.table.rows[0]] == ["40", "87.7%", "85.9%", "+2.0 pts", "no bound yet"]


def test_many_looks_are_thinned_and_the_last_and_the_harmful_stay() -> None:
    looks = [a_look("fine", a_reading(units=n + 1)) for n in range(288)]
    looks[100] = a_look("roll_back", a_reading(units=101, at_least=0.03, harmful=True))
    [drawn] = watch_figures((a_window(*looks),), "w")
    assert drawn.table is not None
    units = [cell.text for cell, *_ in drawn.table.rows]
    assert len(units) <= DRAWN_LOOKS + 1
    assert (units[-1], "101" in units) == ("288", True)
    assert "of 288 looks" in drawn.subtitle


@pytest.mark.parametrize("width", [1040, 492, 360])
@pytest.mark.parametrize(
    "points",
    [
        [],
        [(0, None, None)],
        [(0, None, None), (5, 0.0, None)],
        [(10, 0.3, -1e9), (10, 0.3, 0.1)],
        [(10, float("nan"), float("inf")), (20, -0.2, -0.4), (30, -0.1, float("-inf"))],
    ],
)
def test_the_watch_is_drawn_whatever_is_known(points: list[tuple[int, Any, Any]], width: int) -> None:
    made = [
        WatchPoint(units=units, difference=value, at_least=bound, harmful=False, title="t", told=(("a", "b"),))
        for units, value, bound in points
    ]
    drawn = watch_chart(
        made, width, label="L", tick=lambda value: f"{value:.2f}", tolerated=0.02, tolerated_text="tolerated",
        value_name="harm", bound_name="bound",
    )  # fmt: skip
    assert drawn.startswith("<svg")
    assert "nan" not in drawn
    assert "inf" not in drawn


def test_what_was_waived_is_told_instead_of_a_refusal() -> None:
    refusing = a_change(checks=(Check(name="regression", level="refuse", says="no suite was run", waivable=True),))
    found = a_page(change=refusing, deployment=a_deployment(waived="ana (the board wants it): no suite was run"))
    [fact] = [each for each in deployment_view(found, "d").page.facts if each.label == "What speaks against it"]
    assert fact.status is not None
    assert fact.status.word == "1 waived"
    assert fact.sentences == ("Ana (the board wants it): no suite was run.",)


# None yet


@pytest.mark.parametrize(
    ("change", "headline"),
    [
        (a_change(), "Nothing speaks against it: shipping@4.0.0 on openai/gpt-4o-mini (temperature 0) may go live."),
        (a_change(checks=(Check(name="regression", level="refuse", says="no suite was run", waivable=True),)),
         "Refused unless somebody waives it: no suite was run."),
        (a_change(checks=(Check(name="provider", level="refuse", says="not allowed"),)),
         "It cannot be deployed: not allowed."),
        (a_change(differences=()), "Nothing would change: this very bundle is live."),
    ],
)  # fmt: skip
def test_a_preview_says_first_whether_it_may_go_live(change: Any, headline: str) -> None:
    assert preview_view(a_preview(change=change), "preview-1").page.headline == headline


def test_a_preview_tells_money_cases_prompt_and_the_command() -> None:
    view = preview_view(a_preview(), "preview-1")
    said = " ".join(sentence for fact in view.page.facts for sentence in fact.sentences)
    assert "$62.40 a month now, $31.20 projected, −50%." in said
    assert "Of 40 cases of support, 1 passed and do not any more, 1 pass that did not." in said
    assert view.change.prompt == (
        ("gap", "…", ""), ("same", " ", "You answer."), ("gone", "−", "Explain."), ("new", "+", "Be short."),
    )  # fmt: skip
    assert [fact.command for fact in view.page.facts if fact.command] == ["assay deploy start shipping-v4"]


def test_what_a_month_costs_is_never_zero_when_it_is_unknown() -> None:
    view = preview_view(a_preview(change=a_change(monthly_cost=None)), "preview-1")
    assert [kpi.value for kpi in view.page.kpis if kpi.label == "Cost of a month"] == ["unknown"]


# Files


def test_the_same_facts_give_the_same_bytes_and_twins_that_can_be_read() -> None:
    made = all_html()
    assert made == all_html()
    for name, content in made.items():
        assert len(content.encode()) < MEGABYTE, name
    told = json.loads(made["deployments.json"])
    assert told["schema"] == "assay.deployments/1"
    assert told["health"][0]["health"] == "warning"
    assert json.loads(made["deployment-1.json"])["windows"][0]["looks"][0]["readings"][0]["guard"]["tolerated"] == 0.02
    assert json.loads(made["preview-1.json"])["change"]["monthly_cost"] == "31.20"
    rows = list(csv.DictReader(made["deployments.csv"].splitlines()))
    assert [(row["status"], row["progress"], row["live"]) for row in rows] == [
        ("deploying", "in-progress", "no"), ("deployed", "success", "yes"),
    ]  # fmt: skip
    [look] = list(csv.DictReader(made["deployment-1.csv"].splitlines()))
    assert (look["metric"], look["harm"], look["tolerated"]) == ("quality", "-0.018", str(GUARDS[1].tolerated))


def test_hostile_texts_are_neither_tags_nor_formulas() -> None:
    harmless, text = all_html(), "".join(XSS)
    for name, content in all_html(text).items():
        if name.endswith(".html"):
            assert {tag for tag, _ in Outline(content).tags} <= {tag for tag, _ in Outline(harmless[name]).tags}, name
    for formula in FORMULAS:
        for row in csv.reader(all_html(formula)["deployments.csv"].splitlines()[1:]):
            assert not any(cell.startswith(("=", "+", "@", "＝", "\t", "\r")) for cell in row), row


PAGES: dict[str, Callable[[], str]] = {
    "all": lambda: files(deployments_files(an_overview(
        a_canary(id="22222222-1", why="W" * 200), a_deployment(), the_one_before(),
        a_canary(id="9-9", feature="W" * 60, status="rolled_back", ended_at=NOW - timedelta(hours=1)),
    )))["deployments.html"],
    "one": lambda: files(deployment_files(a_page(), "deployment-1"))["deployment-1.html"],
    "preview": lambda: files(preview_files(a_preview(command=f"assay deploy start {'W' * 90}"), "p"))["p.html"],
}  # fmt: skip


@needs_browser
@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize(("width", "theme"), [(1440, "light"), (390, "dark")])
def test_axe_finds_nothing_and_the_page_is_no_wider_than_the_screen(
    opened: Open, page: str, width: int, theme: str
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    shown = opened(PAGES[page](), width=width, theme=theme)
    found = Axe().run(shown, options={"runOnly": {"type": "tag", "values": list(WCAG)}, "resultTypes": ["violations"]})
    assert [(rule["id"], [node["target"] for node in rule["nodes"]][:3]) for rule in found.response["violations"]] == []
    assert shown.evaluate("document.documentElement.scrollWidth") <= width
    assert shown.problems == []
    assert outside(shown) == []


@needs_browser
@pytest.mark.parametrize("page", ["all", "one"])
def test_without_scripts_every_figure_is_there(opened: Open, page: str) -> None:
    shown = opened(PAGES[page](), scripts=False, width=390)
    figures = shown.locator("figure.fig")
    assert figures.count() >= 2
    assert all(figures.nth(n).locator("svg.chart:visible").count() == 1 for n in range(figures.count()))


@needs_browser
def test_hostile_texts_do_not_run(opened: Open) -> None:
    for name, content in all_html("".join(XSS)).items():
        if name.endswith(".html"):
            shown = opened(content)
            assert shown.evaluate("window.__pwned") is None, name
            assert outside(shown) == []
