"""The page of a prompt: its words hold what the history says, hostile text stays text, and it stands in a browser."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from evaluations.changes import CaseChange
from evaluations.prompt_changes import diff_prompts, prompt_lines
from evaluations.prompts import (
    Behaviour,
    Comment,
    Finding,
    MeasuredRun,
    Place,
    PromptHistory,
    Review,
    Traffic,
    VersionFacts,
)
from evaluations.specs import PromptSpec
from evaluations.statistics.proportions import wilson
from reports.prompt_twins import as_html, as_json
from reports.views.prompt import prompt_view
from tests.prompts import a_prompt
from tests.reports.hostile import XSS
from tests.reports.test_browser import CHROMIUM, WCAG, Open, browser, opened, outside
from tests.reports.test_page import MEGABYTE

__all__ = ["browser", "opened"]

AT = datetime(2026, 6, 28, 9, 30, tzinfo=UTC)
NAMES = frozenset({"message", "facts"})


def a_version(prompt: PromptSpec, parent: PromptSpec | None = None, **given: Any) -> VersionFacts:
    made: dict[str, Any] = {
        "version": prompt.version,
        "seq": 1,
        "content_hash": prompt.content_hash,
        "registered": True,
        "state": "draft",
        "parent": parent.version if parent else None,
        "changelog": prompt.changelog,
        "author": "ana",
        "at": AT,
        "categories": (),
        "tags": (),
        "text": tuple(prompt_lines(prompt)),
        "variables": (("message", "text, required", "what was asked"),),
        "settings": (("temperature", "0.2"),),
        "tokens": 40,
        "findings": (),
        "diff": diff_prompts(parent, prompt, (NAMES, NAMES)) if parent else None,
        "behaviour": (),
        **given,
    }
    return VersionFacts(**made)


def a_run(version: str, passed: int, judged: int, **given: Any) -> MeasuredRun:
    made: dict[str, Any] = {
        "version": version,
        "run_id": "1f0c2a3b-0000",
        "at": AT,
        "suite": "replies",
        "variant": "small",
        "model": "openai/small",
        "passed": passed,
        "judged": judged,
        "rate": wilson(passed, judged) if judged else None,
        "cost": Decimal("0.0123"),
        "unpriced": 0,
        "latency_ms": 412.0,
        "simulated": False,
        "sample_data": False,
        **given,
    }
    return MeasuredRun(**made)


OLD = a_prompt()
NEW = a_prompt(
    version="1.1.0", changelog="Promises nothing.", system="You kindly answer customers.\nPromise nothing at all."
)


def a_history(**given: Any) -> PromptHistory:
    behaviour = Behaviour(
        suite="replies",
        variant="small",
        before_run="1f0c2a3b",
        after_run="2f0c2a3b",
        compared=40,
        before_passed=31,
        after_passed=35,
        changes=(
            CaseChange(case_id="c-7", variant="small", kind="newly failing", before="pass", now="fail"),
            CaseChange(case_id="c-9", variant="small", kind="fixed", before="fail", now="pass"),
        ),
    )
    made: dict[str, Any] = {
        "id": "6f1c",
        "name": "support-reply",
        "description": "Answers customers.",
        "versions": (a_version(NEW, OLD, state="approved", behaviour=(behaviour,)), a_version(OLD)),
        "places": (
            Place(
                version="1.1.0",
                kind="experiment",
                name="words",
                environment="production",
                status="running",
                traffic=50,
                since=AT,
            ),
        ),
        "reviews": (
            Review(
                version="1.1.0", before=None, after="draft", content_hash="a" * 64, why="registered", actor="ana", at=AT
            ),
            Review(
                version="1.1.0",
                before="in_review",
                after="approved",
                content_hash="a" * 64,
                why="ok",
                actor="ben",
                at=AT,
            ),
        ),
        "comments": (Comment(version="1.1.0", text="Is it too short?", place="system", actor="ben", at=AT),),
        "runs": (a_run("1.1.0", 35, 40), a_run("1.0.0", 31, 40, cost=None, unpriced=40)),
        "traffic": (
            Traffic(
                version="1.1.0",
                requests=1200,
                successes=990,
                errors=10,
                ratings=50,
                rating=4.1,
                cost=Decimal("3.5"),
                unpriced=0,
            ),
        ),
        "as_of": AT,
        **given,
    }
    return PromptHistory(**made)


def texts(table: Any) -> list[list[str]]:
    return [[cell.status.word if cell.status else cell.text for cell in row] for row in table.rows]


def test_the_page_says_first_where_the_newest_version_stands() -> None:
    view = prompt_view(a_history())
    assert view.page.headline == "1.1.0 is approved, and in use by experiment words"
    assert [kpi.value for kpi in view.page.kpis] == ["87.5%", "1,200", "4.10", "40 tokens"]
    assert "n = 40" in view.page.kpis[0].note
    assert view.page.kpis[1].note == "99.0% succeed, of 1,000 that say how they ended"
    assert view.page.banners == ()
    assert view.page.facts[0].sentences[0] == "Approved by ben on 28 June 2026, 09:30 UTC."
    registered = prompt_view(a_history(reviews=a_history().reviews[:1]))
    assert registered.page.facts[0].sentences[0] == "Registered by ana on 28 June 2026, 09:30 UTC."


def test_what_is_unknown_is_no_zero() -> None:
    view = prompt_view(a_history(runs=(a_run("1.1.0", 0, 0, cost=None, unpriced=3, latency_ms=None),), traffic=()))
    assert [kpi.value for kpi in view.page.kpis[:3]] == ["not run", "none", "none"]
    [row] = texts(view.runs)
    assert row[2:6] == ["–", "–", "unpriced", "not measured"]


def test_an_unapproved_version_in_production_is_told_before_all() -> None:
    history = a_history()
    draft = replace(history.versions[0], state="draft")
    view = prompt_view(replace(history, versions=(draft, history.versions[1])))
    [banner] = view.page.banners
    assert (banner.tone, banner.text) == ("warn", "1.1.0 (draft), by experiment words.")
    assert (view.page.verdict.head, view.page.verdict.tone) == ("1.1.0 is a draft", "warn")


def test_what_differs_and_which_cases_changed_stand_together() -> None:
    [diff] = prompt_view(a_history()).diffs
    assert diff.title == "1.0.0 to 1.1.0"
    assert [row[0] for row in texts(diff.changes)] == ["minor"]
    assert texts(diff.behaviour[0]) == [["c-7", "newly failing", "pass", "fail"], ["c-9", "fixed", "fail", "pass"]]
    assert diff.behaviour[0].note.startswith("Of 40 cases that both answered, 31 passed with 1.0.0 and 35 with 1.1.0")
    assert {row.kind for row in diff.rows} >= {"changed", "same"}


def test_made_up_answers_and_sample_data_are_marked() -> None:
    page = prompt_view(a_history(runs=(a_run("1.1.0", 1, 2, simulated=True, sample_data=True),))).page
    assert page.marks == ("SIMULATED", "Sample data")


def test_the_same_history_gives_the_same_bytes_and_a_twin_that_says_as_much() -> None:
    history = a_history()
    assert as_html(history) == as_html(a_history())
    twin = json.loads(as_json(history))
    assert twin["schema"] == "assay.prompt/1"
    assert twin["versions"][0]["diff"]["changes"][0]["bump"] == "minor"
    assert twin["runs"][1]["cost"] is None


# In a browser

pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no Chromium at {CHROMIUM}")


@pytest.mark.parametrize(("width", "theme"), [(1440, "light"), (390, "dark")])
def test_axe_finds_nothing_against_wcag_2_2_aa(opened: Open, width: int, theme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page = opened(as_html(a_history()), width=width, theme=theme)
    page.evaluate("document.querySelectorAll('details').forEach(function (d) { d.open = true; })")
    found = Axe().run(page, options={"runOnly": {"type": "tag", "values": list(WCAG)}, "resultTypes": ["violations"]})
    violations = [(rule["id"], [node["target"] for node in rule["nodes"]][:3]) for rule in found.response["violations"]]
    assert violations == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert outside(page) == []


def test_hostile_prompts_names_and_comments_stay_text(opened: Open) -> None:
    said = [text for text in XSS if "\ud800" not in text]
    old = a_prompt(variables={}, user=None, messages=[{"role": "user", "content": "x\n" + "\n".join(said)}])
    new = a_prompt(variables={}, version="2.0.0", user=None, messages=[{"role": "user", "content": "\n".join(said)}])
    versions = tuple(
        a_version(
            new,
            old,
            changelog=text,
            author=text,
            variables=((text, text, text),),
            settings=((text, text),),
            findings=(Finding("secret", "error", text, text, text),),
        )
        for text in said
    )
    history = a_history(
        name=said[0],
        description=said[4],
        versions=versions,
        comments=tuple(Comment(version=text, text=text, place=text, actor=text, at=AT) for text in said),
        runs=tuple(a_run("2.0.0", 1, 2, suite=text, variant=text) for text in said),
    )
    page = opened(as_html(history))
    page.evaluate("document.querySelectorAll('details').forEach(function (d) { d.open = true; })")
    assert page.evaluate("window.__pwned") is None
    assert outside(page) == []
    assert len(as_html(history).encode()) < MEGABYTE
    assert page.locator("td", has_text="<img src=x onerror").count() > 0


@pytest.mark.parametrize("width", [1440, 390])
def test_without_scripts_the_difference_is_read_side_by_side_or_line_under_line(opened: Open, width: int) -> None:
    page = opened(as_html(a_history()), width=width, scripts=False)
    gone, new = page.locator("td.d-gone").first.bounding_box(), page.locator("td.d-new").first.bounding_box()
    assert page.locator("del:visible").count() > 0
    assert page.locator("ins:visible").count() > 0
    if width == 1440:
        assert gone["y"] == new["y"]
        assert gone["x"] < new["x"]
    else:
        assert gone["y"] < new["y"]
        assert gone["x"] == new["x"]
        assert page.locator("td.twin:visible").count() == 0
