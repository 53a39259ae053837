"""The page of recommendations: what to change in the first screen, or that nothing should; it stands in a browser."""

import csv
import io
import json
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from evaluations.recommending.answers import FeatureAnswer, Measurement, Standing, Status, StoredRecommendation
from evaluations.recommending.evidence import Bench, Workload
from evaluations.recommending.modes import recommend
from evaluations.recommending.recommendation import Advice, Recommendation
from evaluations.recommending.wastes import Call, habit_to_change, retries
from reports.recommendation_files import CSV_COLUMNS, recommendation_files
from reports.views.recommendations import recommendations_view
from tests.evaluations.recommending.worlds import INCUMBENT, evidence, rule
from tests.reports.hostile import XSS
from tests.reports.test_browser import CHROMIUM, SVG_CONTRAST, WCAG, Open, browser, opened, outside

__all__ = ["browser", "opened"]
needs_browser = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no Chromium at {CHROMIUM}")
NOON = datetime(2026, 5, 31, 12, tzinfo=UTC)


def some_advice(feature: str = "chat", *, cheap: str = "maker/cheap", cases: int = 600) -> Advice:
    """A cheap model that is as good, and one that is cheaper and much worse."""
    g = np.random.default_rng(3)
    passed = (g.random(cases) < 0.9).astype(np.float64)
    flipped = np.where(g.random(cases) < 0.01, 1 - passed, passed)
    worse = np.where(g.random(cases) < 0.3, 0.0, passed)
    bench = Bench(
        evidence=(
            evidence(INCUMBENT, passed, 0.01, g),
            evidence(cheap, flipped, 0.004, g),
            evidence("maker/worse", worse, 0.001, g),
        )
    )
    month = Workload.of_days(feature, [1000, 1100, 900, 1050, 950], cost_per_request=Decimal("0.01"))
    return recommend(bench, month, rule(0.03), generator=g, incumbent=INCUMBENT, resamplings=200)


def a_waste(feature: str = "search") -> Recommendation:
    calls = [
        Call(
            prompt_cost=Decimal("0.001"),
            output_cost=Decimal("0.002"),
            failed_cost=Decimal("0.003") if n % 5 == 0 else Decimal(0),
        )
        for n in range(500)
    ]
    found = habit_to_change("retries", retries(calls), Workload.of_days(feature, [500, 510, 490]))
    assert found is not None
    return found


def an_answer(feature: str = "chat", **given: Any) -> FeatureAnswer:
    said: dict[str, Any] = {
        "feature": feature,
        "on": date(2026, 5, 31),
        "incumbent": INCUMBENT,
        "source": "live bundle",
        "suite": "questions",
        "margin": 0.03,
        "requests": 30_000.0,
        "month": Decimal("300"),
        "first": date(2026, 5, 3),
        "last": date(2026, 5, 30),
    }
    return FeatureAnswer(**{**said, **given})


def stored(number: int, found: Recommendation, status: Status = "open", **given: Any) -> StoredRecommendation:
    said: dict[str, Any] = {
        "incumbent_from": "live bundle",
        "sample_data": False,
        "as_of": date(2026, 5, 31),
        "moved_why": "first told",
        "moved_by": "ana",
        "moved_at": NOON,
        "recorded_at": NOON,
    }
    return StoredRecommendation(id=number, status=status, recommendation=found, **{**said, **given})


def a_standing(feature: str = "chat", **given: Any) -> Standing:
    advice, waste = some_advice(feature), a_waste()
    assert advice.best is not None
    said: dict[str, Any] = {
        "answers": (
            an_answer(feature, advice=advice),
            an_answer("search", problem="no models answered.", wastes=(waste,)),
        ),
        "recommendations": (
            stored(2, advice.best),
            stored(3, waste),
            stored(1, a_waste("mail"), "accepted", moved_why="agreed"),
        ),
        "ledger": (
            Measurement(
                recommendation_id=1,
                first=date(2026, 4, 1),
                last=date(2026, 4, 30),
                kept="less",
                realised_low=Decimal("1"),
                realised=Decimal("2"),
                realised_high=Decimal("3"),
                naive=Decimal("7"),
                by_volume=Decimal("4"),
                by_mix=Decimal("0.5"),
                by_price=Decimal("0.5"),
                requests=900,
            ),
            Measurement(
                recommendation_id=1, first=date(2026, 3, 1), last=date(2026, 3, 30), kept="not measured", why="no time."
            ),
        ),
    }  # fmt: skip
    return Standing(**{**said, **given})


def nothing_to_change() -> Standing:
    advice = replace(some_advice(), recommendations=(), keep="Keep it: none of 2 candidates qualifies.", needed_n=900)
    return Standing(answers=(an_answer(advice=advice),), recommendations=())


def html(found: Standing) -> str:
    return dict(_files(found))["recommendations.html"]


def _files(found: Standing) -> dict[str, str]:
    return {name: "".join(parts) for name, parts in recommendation_files(found)}


def test_the_first_screen_says_what_to_change_what_it_saves_and_how_sure_that_is() -> None:
    found = a_standing()
    page = recommendations_view(found).page
    best = found.recommendations[0].recommendation
    low = sum((each.recommendation.savings.low for each in found.open), Decimal(0))
    assert page.verdict.head == f"2 changes would save ${low:.2f} to ${_high(found):.2f} a month"
    of_bill = found.of_bill
    assert of_bill is not None
    assert page.verdict.rest.startswith(
        f": {of_bill.text}. The largest: Use maker/cheap instead of maker/in-use for chat"
    )
    first = page.facts[0]
    assert first.status is not None
    assert (first.label, first.status.word) == ("chat", "High impact")
    assert f"a month; as its volume varies, ${best.savings.low:.2f} to ${best.savings.high:.2f}." in " ".join(
        first.sentences
    )
    assert "of 200 resamplings (n = 600)" in " ".join(first.sentences)
    assert first.command == 'assay recommendations accept 2 --why "…"'


def _high(found: Standing) -> Decimal:
    return sum((each.recommendation.savings.high for each in found.open), Decimal(0))


def test_changes_of_one_feature_are_counted_once() -> None:
    found = a_standing()
    advice = found.recommendations[0].recommendation
    twice = replace(found, recommendations=(*found.recommendations, stored(9, replace(a_waste(), feature="chat"))))
    assert {each.id for each in twice.apart} == {2, 3}
    assert advice.feature == "chat"
    assert recommendations_view(twice).page.verdict.head == recommendations_view(found).page.verdict.head


def test_what_is_open_is_told_as_a_share_of_the_whole_bill_of_production() -> None:
    """By hand: chat and search cost 300 dollars each; what tests cost is neither saved of it nor part of it."""
    found = a_standing()
    tests = stored(8, replace(a_waste(), feature="tests of chat"))
    found = replace(found, recommendations=(*found.recommendations, tests))
    assert {each.id for each in found.apart} == {2, 3, 8}
    of_bill = found.of_bill
    assert of_bill is not None
    saved = [each.recommendation.savings for each in found.open if each.id in (2, 3)]
    assert (of_bill.changes, of_bill.bill) == (2, Decimal(600))
    assert of_bill.share == pytest.approx(sum(float(each.point) for each in saved) / 600)
    assert of_bill.share_low == pytest.approx(sum(each.share_low * float(each.now) for each in saved) / 600)
    assert of_bill.share_low < of_bill.share < of_bill.share_high
    [kpi] = [each for each in recommendations_view(found).page.kpis if each.label == "Of today's cost"]
    assert kpi.value == f"{100 * of_bill.share:.1f}%"
    assert kpi.note.endswith(" of $600.00")
    unpriced = replace(found, answers=tuple(replace(each, month=None) for each in found.answers))
    assert unpriced.of_bill is None
    [kpi] = [each for each in recommendations_view(unpriced).page.kpis if each.label == "Of today's cost"]
    assert (kpi.value, kpi.note) == ("unknown", "nothing is priced")


def test_savings_that_were_measured_on_the_same_days_of_a_feature_are_counted_once() -> None:
    """Both lines hold the effect of both changes; a later one, before and after whose change no other fell, adds up."""

    def line(number: int, first: date, last: date, realised: str) -> Measurement:
        return Measurement(
            recommendation_id=number, first=first, last=last, kept="as projected", realised=Decimal(realised)
        )

    one = line(1, date(2026, 4, 1), date(2026, 4, 30), "20")
    soon = line(4, date(2026, 4, 11), date(2026, 5, 10), "15")
    later = line(5, date(2026, 8, 1), date(2026, 8, 30), "7")
    other = line(6, date(2026, 4, 1), date(2026, 4, 30), "3")
    accepted = [stored(each, a_waste("mail"), "accepted") for each in (1, 4, 5)]
    found = replace(
        a_standing(),
        recommendations=(*accepted, stored(6, a_waste("search"), "accepted")),
        ledger=(later, soon, one, other),
    )
    assert {each.recommendation_id for each in found.realised} == {1, 5, 6}
    [kpi] = [each for each in recommendations_view(found).page.kpis if each.label == "Saved, measured"]
    assert (kpi.value, kpi.note) == ("$30.00", "a month, by 3 changes")


def test_where_nothing_should_change_it_says_how_many_cases_would_change_that() -> None:
    page = recommendations_view(nothing_to_change()).page
    assert page.headline == (
        "Keep what is in use: no change is shown to be worth it. "
        "900 cases of chat would change that, 600 were measured."
    )


def test_sample_data_say_so_before_anything_else() -> None:
    assert recommendations_view(a_standing()).page.marks == ()
    some = a_standing()
    made_up = replace(some, answers=tuple(replace(each, sample_data=True) for each in some.answers))
    assert recommendations_view(made_up).page.headline.startswith("Sample data: ")
    part = replace(some, answers=(replace(some.answers[0], sample_data=True), some.answers[1]))
    assert recommendations_view(part).page.marks == ("Partly sample data",)


def test_the_ledger_holds_projected_beside_realised_and_what_could_not_be_measured() -> None:
    table = recommendations_view(a_standing()).ledger
    first, second = ([cell.text for cell in row] for row in table.rows)
    assert first[1:4] == ["1–30 April 2026", first[2], "$2.00"]
    assert [cell.status.word for row in table.rows for cell in row if cell.status] == ["Less", "Not measured"]
    assert (first[5:8], second[3], second[5:8]) == (["$4.00", "$0.50", "$0.50"], "not measured", ["–", "–", "–"])


def test_the_twins_hold_the_same_numbers() -> None:
    found = a_standing()
    files = _files(found)
    lines = list(csv.DictReader(io.StringIO(files["recommendations.csv"])))
    document = json.loads(files["recommendations.json"])
    assert tuple(lines[0]) == CSV_COLUMNS
    assert [int(line["number"]) for line in lines] == [2, 3, 1]
    for line, each in zip(lines, document["recommendations"], strict=True):
        assert Decimal(line["saving_usd"]) == Decimal(each["recommendation"]["savings"]["point"])
    assert files == _files(a_standing()), "the same bytes"
    assert len(files["recommendations.html"]) < 1_000_000


@needs_browser
@pytest.mark.parametrize(
    ("width", "theme"), [(1440, "light"), (390, "dark"), pytest.param(320, "light", marks=pytest.mark.slow)]
)
def test_axe_finds_nothing_and_every_label_has_contrast(opened: Open, width: int, theme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    shown = opened(html(a_standing()), width=width, theme=theme)
    shown.evaluate("document.querySelectorAll('details').forEach(function (d) { d.open = true; })")
    found = Axe().run(shown, options={"runOnly": {"type": "tag", "values": list(WCAG)}, "resultTypes": ["violations"]})
    assert [(rule["id"], [node["target"] for node in rule["nodes"]][:3]) for rule in found.response["violations"]] == []
    labels = shown.evaluate(SVG_CONTRAST)
    assert len(labels) > 10
    assert [label for label in labels if label["ratio"] < 4.5 or label["size"] < 11] == []
    assert shown.evaluate("document.documentElement.scrollWidth") <= width
    assert shown.problems == []
    assert outside(shown) == []


@needs_browser
def test_hostile_names_neither_run_nor_load_nor_widen_the_page(opened: Open) -> None:
    text = "".join(XSS) + "W" * 300
    found = a_standing(text)
    shown = opened(html(found), width=390)
    assert shown.evaluate("window.__pwned") is None
    assert outside(shown) == []
    assert shown.problems == []
    assert shown.evaluate("document.documentElement.scrollWidth") <= 390


@needs_browser
def test_without_scripts_every_figure_and_section_is_there(opened: Open) -> None:
    for found, figures in ((a_standing(), 2), (nothing_to_change(), 1)):
        shown = opened(html(found), scripts=False)
        assert shown.locator("figure.fig svg.chart:visible").count() == figures
        assert shown.locator(".problem").count() == 0
        assert shown.locator("main h2").count() >= 5
