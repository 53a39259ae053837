"""The customer page: it claims no more than its intervals, says what it does not know, and stands in a real browser."""

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from evaluations.customer import METRICS, Csat, CustomerFacts, Measure, Tickets, share
from evaluations.estimates import Estimate
from evaluations.impact import Impact, impact_of
from evaluations.roi import Assumptions
from reports.customer_files import CSV_COLUMNS, customer_files
from reports.views.customer import customer_view
from reports.views.customer_words import capital
from tests.reports.hostile import XSS
from tests.reports.test_browser import CHROMIUM, SVG_CONTRAST, WCAG, Open, browser, opened, outside

__all__ = ["browser", "opened"]
needs_browser = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no Chromium at {CHROMIUM}")


def an_estimate(value: float, low: float, high: float, n: int = 900) -> Estimate:
    return Estimate(value=value, low=low, high=high, n=n)


MEASURED: Mapping[str, Estimate | None] = {
    "fcr": share(560, 900),
    "resolution": share(700, 1000),
    "durable_resolution": share(570, 650),
    "came_back": share(80, 600),
    "deflection": share(650, 1000),
    "escalation": share(180, 1000),
    "csat": an_estimate(4.21, 4.1, 4.32, 300),
    "csat_satisfied": share(240, 300),
    "csat_response": share(300, 1000),
    "resolution_time_ai": an_estimate(95.0, 88.0, 104.0),
    "resolution_time_escalated": an_estimate(900.0, 800.0, float("inf"), 180),
    "sentiment": an_estimate(0.62, 0.58, 0.66, 500),
    "cost_per_resolution": an_estimate(0.077, 0.071, 0.083, 1000),
    "cost_per_success": an_estimate(0.051, 0.049, 0.053, 1000),
    "follow_up": None,
    "quality_and_rating": an_estimate(0.31, 0.19, 0.42, 250),
    "seed_fcr": share(650, 1100),
    "seed_deflection": share(920, 1100),
    "seed_escalation": share(180, 1100),
    "seed_csat": an_estimate(4.21, 4.21, 4.21, 300),
    "seed_resolution_time": an_estimate(80.0, 80.0, 80.0),
}


def some_facts(measured: Mapping[str, Estimate | None] = MEASURED, **given: Any) -> CustomerFacts:
    values: dict[str, Any] = {
        "first": date(2026, 5, 1),
        "last": date(2026, 5, 30),
        "timezone": "UTC",
        "seen_to": datetime(2026, 5, 30, 23, tzinfo=UTC),
        "waiting": 0,
        "recontact_days": 7,
        "features": ("chatbot",),
        "category": None,
        "tickets": Tickets(total=1250, by_ai=1100, by_humans=140, taker_unknown=10, sample_data=0),
        "measures": {
            metric.name: Measure(metric=metric, estimate=measured.get(metric.name), left_out={"outcome unknown": 60})
            for metric in METRICS
        },
        "funnel": (
            ("Tickets the AI took", 1100),
            ("closed", 1000),
            ("resolved", 700),
            ("judged", 600),
            ("stayed", 520),
        ),
        "outcomes": {"resolved": 700, "unknown": 60, "escalated_human": 180},
        "reasons": (("not understood", 120), ("asked for a person", 50), ("not said", 10)),
        "csat": Csat(counts=(10, 20, 30, 77, 163), asked=1000),
        "sentiments": {"negative": 90, "neutral": 110, "positive": 300},
        "quality_by_rating": ((1, 2, 3, 4, 5),) * 5,
        "ai_cost": Decimal("55.00"),
        "unpriced": 0,
        "tracked": {"latency": share(1090, 1100), "trace": None},
        **given,
    }
    return CustomerFacts(**values)


def an_impact(facts: CustomerFacts | None = None, **given: Any) -> Impact:
    stated = {"infrastructure": Decimal(70), "investment": Decimal(14950), **given}
    return impact_of(facts or some_facts(), Assumptions(**stated))


def html(impact: Impact) -> str:
    return "".join(dict(customer_files(impact))["customer.html"])


def nothing_known() -> Impact:
    facts = some_facts(
        {}, funnel=(("Tickets the AI took", 0), ("judged", 0), ("stayed", 0)), outcomes={}, reasons=(),
        csat=Csat(counts=(0, 0, 0, 0, 0), asked=0), sentiments={"negative": 0, "neutral": 0, "positive": 0},
        quality_by_rating=((0,) * 5,) * 5, ai_cost=None, tracked={"latency": None},
        tickets=Tickets(total=0, by_ai=0, by_humans=0, taker_unknown=0, sample_data=0),
    )  # fmt: skip
    return impact_of(facts, Assumptions())


def test_the_first_screen_says_what_customers_got_how_sure_that_is_and_what_it_is_worth() -> None:
    view = customer_view(an_impact())
    month = an_impact().month
    assert month is not None
    assert view.page.headline == (
        "The AI resolves 65.0% of tickets on its own (95% CI 62.0–67.9%), within the target of 60% to 80%, but 13.3% "
        f"of them come back. A month like this saves ${month.net}."
    )
    assert view.page.verdict.tone == "warn", "first-contact resolution misses its target: that is no success"
    said = " ".join(sentence for fact in view.page.facts for sentence in fact.sentences)
    assert "13.3% of those it resolved came back within 7 days (95% CI 10.8–16.3%)." in said
    assert "60 tickets without an outcome; 10 of which nobody said who took them; 700 not rated" in said
    assert "Look at escalations for “not understood”: 120 of 180." in said
    assert len(f"{view.page.headline} {said}".split()) <= 120
    assert len(view.page.kpis) == 8


def test_a_target_is_said_to_be_met_only_where_the_whole_interval_meets_it() -> None:
    close = customer_view(an_impact(some_facts({**MEASURED, "deflection": share(61, 100), "fcr": share(80, 100)})))
    assert "too close to the target of 60% to 80% to tell" in close.page.headline
    assert close.page.verdict.tone == "warn"
    met = customer_view(an_impact(some_facts({**MEASURED, "fcr": share(850, 1000)})))
    assert met.page.verdict.tone == "good"


def test_only_clear_changes_are_told() -> None:
    measures = dict(some_facts().measures)
    measures["fcr"] = replace(measures["fcr"], before=share(400, 900))
    measures["resolution"] = replace(measures["resolution"], before=share(690, 1000))
    changed = customer_view(an_impact(some_facts(measures=measures)))
    [fact] = [fact for fact in changed.page.facts if fact.label == "Since the window before"]
    assert fact.sentences == ("First-contact resolution is better: 62.2% after 44.4%.",)
    row = next(row for row in changed.measures.rows if row[0].text == "Resolved")
    assert (row[6].text, row[6].note) == ("69.0%", "no clear change")


def test_sample_data_say_so_before_anything_else() -> None:
    tickets = Tickets(total=1250, by_ai=1100, by_humans=140, taker_unknown=10, sample_data=1250)
    page = customer_view(an_impact(some_facts(tickets=tickets))).page
    assert page.headline.startswith("Sample data: ")
    assert page.banners[0].title == "Sample data."
    part = customer_view(an_impact(some_facts(tickets=replace(tickets, sample_data=5)))).page
    assert part.headline.startswith("Partly sample data: ")


def test_what_is_not_known_is_said_and_nothing_is_zero() -> None:
    view = customer_view(nothing_known())
    assert view.page.headline == "Nothing can be said of resolutions: of 0 tickets none has a known outcome."
    assert {kpi.value for kpi in view.page.kpis} == {"not measured"}
    assert all(row[1].text == "not measured" for row in view.measures.rows)
    assert view.swings is None
    assert view.worth.rows == ()
    unstated = customer_view(an_impact(infrastructure=None, investment=None))
    assert "before infrastructure" in unstated.page.headline
    assert {row[0].text: row[1].text for row in unstated.worth.rows}["Infrastructure"] == "not known"


def test_the_sensitivity_table_has_the_months_at_both_ends() -> None:
    impact = an_impact()
    rows = {row[0].text: row for row in customer_view(impact).sensitivity.rows}
    assert next(iter(rows)) == capital(impact.swings[0].name)
    deflection = MEASURED["deflection"]
    assert deflection is not None
    tickets, handling = Decimal(1100) / 30 * Decimal("30.4375"), Decimal("1.67")
    deflected = tickets * Decimal(str(deflection.low))
    came_back = Decimal(str(80 / 600))
    by_hand = deflected * handling * (1 - came_back) - tickets * Decimal("0.05") - 70
    assert rows["Deflection"][2].sort == pytest.approx(float(by_hand), abs=0.02)


def test_the_twins_hold_the_same_numbers() -> None:
    impact = an_impact()
    files = {name: "".join(parts) for name, parts in customer_files(impact)}
    assert list(files) == ["customer.csv", "customer.json", "customer.html"]
    document = json.loads(files["customer.json"])
    lines = {line["metric"]: line for line in csv.DictReader(io.StringIO(files["customer.csv"]))}
    assert set(lines) == set(document["measures"]) == {metric.name for metric in METRICS}
    for name, estimate in MEASURED.items():
        told = document["measures"][name]["estimate"]
        assert (told and told["value"]) == (estimate and estimate.value)
        assert lines[name]["value"] == ("" if estimate is None else repr(estimate.value))
    assert document["measures"]["resolution_time_escalated"]["estimate"]["high"] is None
    assert lines["resolution_time_escalated"]["high"] == ""
    assert tuple(lines["fcr"]) == CSV_COLUMNS
    assert impact.month is not None
    assert Decimal(document["roi"]["net"]) == impact.month.net
    assert files == {name: "".join(parts) for name, parts in customer_files(an_impact())}, "the same bytes"


@needs_browser
@pytest.mark.parametrize(
    ("width", "theme"),
    [
        (1440, "light"),
        (390, "dark"),
        *(pytest.param(*pair, marks=pytest.mark.slow) for pair in ((1440, "dark"), (820, "light"), (320, "light"))),
    ],
)
def test_axe_finds_nothing_and_every_label_has_contrast(opened: Open, width: int, theme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    shown = opened(html(an_impact()), width=width, theme=theme)
    shown.evaluate("document.querySelectorAll('details').forEach(function (d, i) { if (i % 2 == 0) d.open = true; })")
    found = Axe().run(shown, options={"runOnly": {"type": "tag", "values": list(WCAG)}, "resultTypes": ["violations"]})
    assert [(rule["id"], [node["target"] for node in rule["nodes"]][:3]) for rule in found.response["violations"]] == []
    assert len(found.response["passes"]) > 15
    labels = shown.evaluate(SVG_CONTRAST)
    assert len(labels) > 20
    assert [label for label in labels if label["ratio"] < 4.5 or label["size"] < 11] == []
    assert shown.evaluate("document.documentElement.scrollWidth") <= width
    assert shown.problems == []
    assert outside(shown) == []


@needs_browser
@pytest.mark.parametrize("width", [1440, 320])
def test_hostile_names_neither_run_nor_load_nor_widen_the_page(opened: Open, width: int) -> None:
    text = "".join(XSS) + "W" * 300
    facts = some_facts(features=(text,), category=text)
    shown = opened(html(an_impact(facts)), width=width)
    shown.evaluate("document.querySelectorAll('details').forEach(function (d) { d.open = true; })")
    assert shown.evaluate("window.__pwned") is None
    assert outside(shown) == []
    assert shown.problems == []
    assert shown.evaluate("document.documentElement.scrollWidth") <= width


@needs_browser
def test_without_scripts_every_figure_is_there_also_when_nothing_is_known(opened: Open) -> None:
    for impact, figures in ((an_impact(), 5), (nothing_known(), 4)):
        shown = opened(html(impact), scripts=False)
        found = shown.locator("figure.fig")
        assert found.count() == figures
        for index in range(figures):
            assert found.nth(index).locator("svg.chart:visible").count() == 1
        assert shown.locator(".problem").count() == 0
