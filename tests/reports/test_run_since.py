"""The part of a run report that says what changed since the last run."""

import json
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

from evaluations.changes import CaseChange, ChangeKind, Measured, RunChanges, VariantChange
from evaluations.results import RunResult
from evaluations.verdicts import Verdict
from reports.twins import COMMENT_LINES, as_html, as_json, as_markdown
from reports.views.run import run_view
from reports.views.run_since import SHOWN_CHANGES, SinceView
from tests.reports.builders import NOW, a_case, a_realistic_run, a_run
from tests.reports.hostile import XSS


def a_measured(passed: int = 8, judged: int = 10, **given: Any) -> Measured:
    values: dict[str, Any] = {
        "answers": judged, "cost_usd": Decimal("0.42"), "unpriced": 0, "cached": 0, "p50_ms": 800.0, "p95_ms": 1690.0
    }  # fmt: skip
    return Measured(passed=passed, judged=judged, **{**values, **given})


def a_change(
    case_id: str = "t-001",
    kind: ChangeKind = "newly failing",
    before: Verdict | None = "pass",
    now: Verdict | None = "fail",
    **given: Any,
) -> CaseChange:
    return CaseChange(case_id=case_id, variant="small", kind=kind, before=before, now=now, **given)


def some_changes(*cases: CaseChange, now: Measured | None = None, differs: tuple[str, ...] = ()) -> RunChanges:
    kinds: dict[ChangeKind, int] = {}
    for case in cases:
        kinds[case.kind] = kinds.get(case.kind, 0) + 1
    variant = VariantChange(variant="small", before=a_measured(), now=now or a_measured(), kinds=kinds, differs=differs)
    return RunChanges(
        baseline_id="run-5c21", baseline_at=NOW - timedelta(days=1), differs=(), variants=(variant,), cases=cases
    )


def since(result: RunResult) -> SinceView:
    found = run_view(result).since
    assert found is not None
    return found


def test_without_an_earlier_run_there_is_no_section() -> None:
    view = run_view(a_run((a_case(),)))
    assert view.since is None
    assert "since" not in dict(view.page.contents)
    assert "Since the last run" not in as_html(a_run((a_case(),)))


def test_counts_come_first_and_cases_link_to_their_place_on_the_page() -> None:
    changes = some_changes(
        a_change("t-001"),
        a_change("t-002", "fixed", "fail", "pass"),
        a_change("t-003", "still failing", "fail", "fail"),
        a_change("t-004", "case gone", "pass", None),
        a_change("t-005", "new case", None, "pass", edited=False),
    )
    run = a_run((a_case("t-001"), a_case("t-002", "pass"), a_case("t-003")), since_last=changes)
    view = since(run)
    assert view.sentence == "Since the last run: 1 newly failing, 1 fixed, 1 new, 1 gone; 1 still fails."
    assert "Compared with run run-5c21 of 27 June 2026, 06:00 UTC." in view.about
    assert view.cases is not None
    anchors = run_view(run).cases.anchors
    assert [(row[0].text, row[0].link) for row in view.cases.rows] == [
        ("t-001", anchors["t-001"]), ("t-002", ""), ("t-004", ""), ("t-005", "")
    ]  # fmt: skip
    assert [row[2].status.word for row in view.cases.rows if row[2].status] == [
        "Newly failing", "Fixed", "Case gone", "New case"
    ]  # fmt: skip
    assert view.cases.note == "What still fails is under What failed."
    page = as_html(run)
    assert f'id="{anchors["t-001"]}"' in page
    assert '<a href="#since">Since the last run</a>' in page


def test_what_was_not_paid_or_not_measured_is_said_and_never_a_zero() -> None:
    now = a_measured(0, 0, cost_usd=Decimal(0), answers=10, cached=4, unpriced=10, p50_ms=None, p95_ms=None)
    [row] = since(a_run((a_case(),), since_last=some_changes(now=now, differs=("prompt",)))).variants.rows  # type: ignore[union-attr]
    assert [cell.text for cell in row] == [
        "small", "8 of 10", "nothing judged", "$0.42", "unpriced", "800 ms, 1.69 s", "not measured", "prompt"
    ]  # fmt: skip
    assert row[4].note == "4 from the cache, 10 unpriced"


def test_an_edited_case_is_marked_and_a_long_list_is_cut_with_its_count() -> None:
    many = tuple(a_change(f"t-{n:04d}", edited=True) for n in range(SHOWN_CHANGES + 50))
    view = since(a_run((a_case(),), since_last=some_changes(*many)))
    assert view.cases is not None
    assert len(view.cases.rows) == SHOWN_CHANGES
    assert view.cases.rows[0][0].note == "edited since"
    assert view.cases.note == f"First {SHOWN_CHANGES} of {SHOWN_CHANGES + 50}; more in report.json."


def test_the_json_and_markdown_twins_hold_it_too() -> None:
    run = replace(a_realistic_run(), since_last=some_changes(a_change()))
    assert json.loads(as_json(run))["since_last"]["cases"][0]["kind"] == "newly failing"
    comment = as_markdown(run)
    assert "Since the last run: 1 newly failing. Run `" in comment
    assert len(comment.splitlines()) <= COMMENT_LINES


def test_names_from_outside_stay_text() -> None:
    for said in XSS:
        changes = some_changes(a_change(said))
        changes = replace(changes, variants_new=(said,), variants=(replace(changes.variants[0], variant=said),))
        page = as_html(a_run((a_case(),), since_last=changes))
        plain = as_html(a_run((a_case(),)))
        assert page.count("<script") == plain.count("<script"), said
        assert page.count("<img") == plain.count("<img"), said
