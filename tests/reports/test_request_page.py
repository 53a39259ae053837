"""The page of a request: its words hold the numbers of the trace, and it stands in a real browser."""

import csv
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from evaluations.inspection import Inspection, Neighbour
from evaluations.traces import Span
from reports.request_twins import as_csv, as_html, as_json
from reports.views.request import DRAWN, RequestView, picked, request_view
from tests.evaluations.test_traces import BEGIN, a_span, any_spans, the_example
from tests.reports.hostile import XSS
from tests.reports.request_builders import an_agent, an_inspection, everywhere, many_steps
from tests.reports.test_browser import CHROMIUM, SVG_CONTRAST, WCAG, browser, outside
from tests.reports.test_page import MEGABYTE, Outline

__all__ = ["browser"]


def said(view: RequestView) -> str:
    """Every sentence of the first screen."""
    return " ".join(sentence for fact in view.page.facts for sentence in fact.sentences)


def test_the_first_screen_says_where_the_time_went() -> None:
    view = request_view(an_inspection(the_example(), sample_data=True))
    assert view.page.headline == "Sample data: 450 ms, 93.3% of it in the model"
    assert "Model 420 ms (93.3%), own work 30 ms (6.7%)." in said(view)
    assert "The longest step, model_call, took 420 ms itself and was waited for." in said(view)
    assert len(said(view).split()) <= 120
    assert view.main is not None
    assert view.main.title == (
        "The end waited for prompt_construction, then model_call, then validation, then post_processing"
    )


def test_queue_retries_model_and_tools_are_told_apart() -> None:
    inspection = an_inspection(an_agent(), span_id="second")
    spent = {work: us // 1000 for work, us in inspection.trace.by_work().items()}
    # By hand: queue 0-140, retrieval 140-520, own 520-540, first 540-1100, backoff -1400, second -2600, tool -2900,
    # validation -2960, own -2965, lost -3000, own -3100, audit log -3200.
    assert spent == {"queue": 140, "retrieval": 380, "retry": 860, "model": 1200, "tool": 300, "own": 320}
    view = request_view(inspection)
    assert view.page.headline == "3.20 s, 37.5% of it in the model"
    assert "Model 1.20 s (37.5%), failed attempts 860 ms (26.9%), retrieval 380 ms (11.9%), the rest 760 ms." in said(
        view
    )
    assert "This request is the model call of its trace and took 1.20 s." in said(view)
    kpis = {kpi.label: kpi.value for kpi in view.page.kpis}
    assert kpis == {"Took": "3.20 s", "In the model": "1.20 s", "First token": "310 ms", "Cost": "$0.00462"}


def test_without_steps_the_page_claims_no_more_than_the_log_says() -> None:
    both = request_view(an_inspection(latency_ms=1300.0, processing_ms=900.0))
    assert both.page.headline == "1.30 s, 69.2% of it in the model"
    assert "Model 900 ms; queue, retries and own work together 400 ms." in said(both)
    whole = request_view(an_inspection(latency_ms=1300.0))
    assert whole.page.headline == "1.30 s; what it was spent on was not recorded"
    assert "queue, retries and the model are not told apart" in said(whole)
    nothing = request_view(an_inspection(latency_ms=None, status=None))
    assert nothing.page.headline == "Answered; how long it took was not measured"
    assert {kpi.value for kpi in nothing.page.kpis[:3]} == {"not measured"}
    assert nothing.main is None
    assert "assay ingest FILE --format otlp" in nothing.no_steps


def test_a_failure_is_the_first_thing_that_is_said() -> None:
    view = request_view(an_inspection(the_example(), status="error", error_type="timeout", error_message="too slow"))
    assert view.page.headline == "Failed after 450 ms (timeout), 93.3% of it in the model"
    assert view.page.verdict.tone == "bad"
    assert "Error timeout: too slow" in said(view)


def test_cost_by_class_is_the_tokens_times_the_dated_price() -> None:
    view = request_view(an_inspection(the_example()))
    rows = [[cell.text for cell in row] for row in view.cost.rows]
    assert rows == [
        ["Input", "900", "$2.50", "$0.00225", "48.6%", "2024-10-01", "a price list"],
        ["Input from the cache", "300", "$1.25", "$0.00038", "8.1%", "2024-10-01", "a price list"],
        ["Output", "200", "$10.00", "$0.00200", "43.2%", "2024-10-01", "a price list"],
    ]
    assert 900 * Decimal("2.5") + 300 * Decimal("1.25") + 200 * 10 == Decimal("0.004625") * 10**6
    assert "$0.00462; 48.6% of it input, at a price since 2024-10-01." in said(view)


def test_what_is_unpriced_is_neither_free_nor_zero() -> None:
    view = request_view(an_inspection(cost=None, cost_source=None))
    assert {row[3].text for row in view.cost.rows} == {"–"}
    assert "Unpriced: no price was known for what it used." in said(view)
    unknown = request_view(an_inspection(cost=None, cost_source=None, tokens={}, usage_known=False))
    assert unknown.cost.rows == ()
    assert "its usage was not reported" in said(unknown)


def test_shares_on_the_critical_path_sum_to_the_whole() -> None:
    view = request_view(an_inspection(an_agent()))
    assert view.steps is not None
    shares = [row[6].sort for row in view.steps.rows]
    assert sum(share for share in shares if share is not None) == pytest.approx(1.0)


def test_of_many_steps_those_that_matter_are_drawn_with_their_parents() -> None:
    trace = an_inspection(many_steps(1000)).trace
    shown = picked(trace, DRAWN)
    assert len(shown) == DRAWN
    assert shown == tuple(sorted(shown))
    assert 0 in shown
    assert any(trace.steps[place].span.status == "error" for place in shown)
    assert all(trace.steps[place].parent in (None, *shown) for place in shown)
    deep = an_inspection([a_span(f"s{n}", n, 4000 - n, f"s{n - 1}" if n else None) for n in range(1500)]).trace
    assert len(picked(deep, DRAWN)) == DRAWN


@pytest.mark.parametrize("count", [0, 1, 2, 1000])
def test_any_number_of_steps_makes_a_page_under_a_megabyte(count: int) -> None:
    inspection = an_inspection(many_steps(count - 1) if count else [])
    page = as_html(inspection)
    assert len(page.encode()) <= MEGABYTE
    assert "could not be drawn" not in page
    assert page == as_html(inspection)


def test_spans_as_bad_as_they_come_make_a_page() -> None:
    import numpy as np

    random = np.random.default_rng(11)
    for _ in range(40):
        page = as_html(an_inspection(any_spans(random)))
        assert "could not be drawn" not in page
        ids = re.findall(r' id="([^"]+)"', page)
        assert len(ids) == len(set(ids))


def test_steps_that_were_placed_by_a_rule_are_owned_up_to() -> None:
    view = request_view(an_inspection(an_agent()))
    [banner] = view.page.banners
    assert banner.text.startswith(
        "1 step: its parent was not recorded; 1 step: its clock was moved: it seemed to begin before its parent; "
        "1 step: it outlasts its parent; 1 step: its end was not recorded."
    )
    cut = request_view(replace(an_inspection(the_example()), spans_left_out=1200))
    assert cut.page.banners[0].text == "the first 5 steps are looked at; 1,200 more came after them."


@pytest.mark.parametrize("text", XSS)
def test_whatever_was_said_adds_no_tag_and_no_attribute_to_the_page(text: str) -> None:
    def shape(page: str) -> list[tuple[str, list[str]]]:
        return [
            (tag, sorted(attributes))
            for tag, attributes in Outline(page).tags
            if attributes.get("class") not in ("quiet", "nw")
        ]

    page = as_html(everywhere(text))
    assert shape(page) == shape(as_html(everywhere("harmless")))
    page.encode("utf-8")
    assert not re.search("[\u202a-\u202e\u2066-\u2069\x00\x1b]", page)


def test_the_twins_hold_what_was_said_as_it_was_and_no_formula() -> None:
    inspection = everywhere("=HYPERLINK(1)")
    known = json.loads(as_json(inspection))
    assert known["request"]["feature"] == "=HYPERLINK(1)"
    assert known["trace"]["steps"][1]["span"]["id"] == "=HYPERLINK(1)"
    rows = list(csv.DictReader("".join(as_csv(inspection)).splitlines()))
    assert {row["name"] for row in rows} == {"'=HYPERLINK(1)"}
    assert not [cell for row in rows for cell in row.values() if cell.startswith(("=", "+", "@"))]


def test_the_twins_give_every_time_of_the_trace() -> None:
    inspection = an_inspection(an_agent())
    known = json.loads(as_json(inspection))
    assert sum(piece["end_us"] - piece["start_us"] for piece in known["trace"]["critical_path"]) == 3_200_000
    rows = list(csv.DictReader("".join(as_csv(inspection)).splitlines()))
    assert [float(row["took_ms"]) * 1000 for row in rows] == [step.took_us for step in inspection.trace.steps]
    assert sum(float(row["path_ms"]) for row in rows) == 3200.0


# In a browser


@pytest.fixture
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    if not CHROMIUM.exists():
        pytest.skip(f"no Chromium at {CHROMIUM}")
    chromium = request.getfixturevalue("browser")
    contexts: list[Any] = []

    def open_page(inspection: Inspection, *, width: int = 1440, theme: str = "light", scripts: bool = True) -> Any:
        file = tmp_path / "request.html"
        file.write_text(as_html(inspection), encoding="utf-8")
        context = chromium.new_context(
            viewport={"width": width, "height": 900}, color_scheme=theme, java_script_enabled=scripts
        )
        contexts.append(context)
        page = context.new_page()
        page.requested, page.problems = [], []
        page.on("request", lambda asked: page.requested.append(asked.url))
        page.on("console", lambda message: page.problems.append(message.text))
        page.on("pageerror", lambda error: page.problems.append(str(error)))
        page.goto(file.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()


def full() -> Inspection:
    """A page with every part there is."""
    other = Neighbour(id=7, at=BEGIN, model="gpt-4o", status="error", latency_ms=None, cost=None, span_id="x")
    made = an_inspection(an_agent(), span_id="second", sample_data=True, comment="Thank you!", quality=0.9)
    return replace(made, neighbours=(other,), spans_left_out=3)


@pytest.mark.parametrize(("width", "theme"), [(1440, "light"), (390, "dark")])
def test_axe_finds_nothing_and_every_label_has_contrast(opened: Callable[..., Any], width: int, theme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page = opened(full(), width=width, theme=theme)
    found = Axe().run(page, options={"runOnly": {"type": "tag", "values": list(WCAG)}, "resultTypes": ["violations"]})
    assert [(rule["id"], [node["target"] for node in rule["nodes"]][:3]) for rule in found.response["violations"]] == []
    assert len(found.response["passes"]) > 15
    labels = page.evaluate(SVG_CONTRAST)
    assert len(labels) > 20
    assert [label for label in labels if label["ratio"] < 4.5 or label["size"] < 11] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.problems == []
    assert outside(page) == []


@pytest.mark.parametrize("width", [1440, 320])
@pytest.mark.parametrize(
    "made", [lambda: everywhere("W" * 300), lambda: everywhere("".join(XSS)), lambda: an_inspection([])]
)
def test_hostile_texts_neither_run_nor_load_nor_widen_the_page(
    opened: Callable[..., Any], made: Callable[[], Inspection], width: int
) -> None:
    page = opened(made(), width=width)
    page.evaluate("document.querySelectorAll('details').forEach(function (d) { d.open = true; })")
    assert page.evaluate("window.__pwned") is None
    assert outside(page) == []
    assert page.problems == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_without_scripts_the_waterfall_and_every_step_are_there(opened: Callable[..., Any]) -> None:
    page = opened(full(), width=390, scripts=False)
    assert page.locator("#waterfall svg.chart:visible").count() == 1
    assert page.locator("table.cases tbody tr").count() == len(an_agent())
    assert page.locator("details.card").count() == len(an_agent())
    assert page.locator("[data-filters]").is_hidden()


def test_the_steps_can_be_sorted_searched_and_saved(opened: Callable[..., Any], tmp_path: Path) -> None:
    page = opened(full())
    page.locator("table.cases thead th[data-k=self_ms] button").click()
    page.locator("table.cases thead th[data-k=self_ms] button").click()
    assert page.locator("table.cases tbody tr").first.inner_text().split("\t")[0].strip() == "second"
    page.fill("[data-search]", "queue")
    with page.expect_download() as waiting:
        page.click("[data-act=csv]")
    assert waiting.value.suggested_filename == "steps.csv"
    waiting.value.save_as(tmp_path / "saved.csv")
    head, row = (tmp_path / "saved.csv").read_text(encoding="utf-8-sig").splitlines()
    assert head.startswith('"step","work","starts_ms"')
    assert row.startswith('"queue_wait","Queue",0,140,140,140,')


def test_arrow_keys_read_the_steps(opened: Callable[..., Any]) -> None:
    page = opened(full())
    page.locator("#waterfall .plot.wide").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    told = page.locator("#tip").inner_text()
    assert "queue_wait" in told
    assert "140 ms" in told


def test_a_name_of_one_span_is_a_name() -> None:
    view = request_view(an_inspection([Span(id="a", name="  ", at=BEGIN, duration_ms=0.0)]))
    assert view.page.headline == "0 ms; what it was spent on was not recorded"
    assert view.main is not None
    assert view.main.problem == ""
