"""The overview and the spend page: sentences that hold, the same bytes again, and a real browser."""

import csv
import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from evaluations.facts import ByDay, Facts, total
from evaluations.production import Window
from reports.format import change, count, money
from reports.production_files import overview_files, spend_files
from reports.views.overview import OverviewView, averaged, overview_view
from reports.views.spend import SpendView, spend_view
from tests.reports.hostile import FORMULAS, XSS
from tests.reports.production_builders import LAST, a_restatement, a_spending, a_window, an_overview, nothing_known
from tests.reports.test_browser import CHROMIUM, SVG_CONTRAST, WCAG, Open, browser, opened, outside
from tests.reports.test_page import MEGABYTE, Outline

__all__ = ["browser", "opened"]
needs_browser = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no Chromium at {CHROMIUM}")


def files(page: str, window: Window | None = None) -> dict[str, str]:
    made = overview_files(an_overview(window)) if page == "overview" else spend_files(a_spending(window))
    return {name: "".join(parts) for name, parts in made}


def html(page: str, window: Window | None = None) -> str:
    return files(page, window)[f"{page}.html"]


def said(view: OverviewView | SpendView) -> str:
    """All that the first screen says in sentences."""
    sentences = [sentence for fact in view.page.facts for sentence in fact.sentences]
    return " ".join([view.page.headline, *sentences])


def hostile(text: str) -> Window:
    """Every name that comes from outside, replaced."""
    made = a_window((text, "b"))
    facts: ByDay = {
        ((names[0], text, text), day): each for (names, day), each in made.facts.items() if names[0] == text
    }
    return replace(made, facts=facts, restatements=(a_restatement(),))


def test_the_first_screen_of_the_overview_holds_its_numbers_and_is_short() -> None:
    window = a_window()
    overview = an_overview(window)
    view = overview_view(overview)
    week = total(each for (_, day), each in window.facts.items() if day > LAST - timedelta(days=7))
    assert f"Last 7 days {money(week.cost)}: " in said(view)
    month = total(each for (_, day), each in window.facts.items() if day >= LAST.replace(day=1))
    april = [each for (_, day), each in window.facts.items() if day.month == 4 and day.day <= 20]
    grown = change(float((month.cost or 0) / (total(april).cost or 1)) - 1)
    assert view.page.headline == (
        f"Sample data: 1 of 7 features is worse: summaries in latency. May 2026 cost {money(month.cost)} to date, "
        f"{grown} on the same days of April."
    )
    assert "summaries: latency rose " in said(view)
    assert "ai-search cost " in said(view)
    assert len(said(view).split()) <= 120


def test_what_moved_is_told_with_its_interval_and_nothing_else_is() -> None:
    overview = an_overview()
    moved = overview_view(overview).moved
    [slower] = [each for each in overview.features if each.feature == "summaries"]
    estimate = slower.trends["latency"].change
    assert estimate is not None
    assert estimate.low < 0.9 < estimate.high
    assert f"{change(estimate.value)} (CI {estimate.low * 100:.1f}–{estimate.high * 100:.1f}%)" in moved[0]
    assert [sentence.split(" cost ")[0] for sentence in moved[1:]] == ["ai-search"]


def test_pages_without_a_known_number_say_so_and_stand() -> None:
    overview, spend = overview_view(an_overview(nothing_known())), spend_view(a_spending(nothing_known()))
    assert "unpriced" in overview.page.headline
    assert "Too few days to tell" in overview.page.headline
    assert spend.page.headline == "What it cost is unknown: all 1 request are unpriced."
    assert [kpi.value for kpi in overview.page.kpis] == ["unpriced", "not measured", "not measured", "not measured"]
    assert overview.months is None
    assert all(figure.problem == "" for figure in (overview.main, spend.main, spend.heat, *spend.shares))


def test_shares_of_many_models_sum_to_all_that_is_priced() -> None:
    window = a_window([f"feature-{n:02d}" for n in range(20)], days=31)
    [models, _] = spend_view(a_spending(window)).shares
    assert models.table is not None
    shares = [float(found.group(1)) for row in models.table.rows if (found := re.search(r", ([\d.]+)%", row[1].text))]
    assert len(models.table.rows) == 8
    assert models.table.rows[-1][0].text == "13 others"
    assert sum(shares) == pytest.approx(100, abs=0.4)


def test_a_day_without_data_is_no_dip_in_the_stack() -> None:
    """The fixture lacks a day of steady traffic: taken for zero it would take a seventh off the average."""
    names = ("chatbot",)
    window = a_window(names)
    assert LAST - timedelta(days=4) not in {day for _, day in window.facts}
    table = spend_view(a_spending(window)).main.table
    assert table is not None
    values = [Decimal(row[1].text.removeprefix("$")) for row in table.rows]
    assert max(values) / min(values) < Decimal("1.12")


def test_an_average_takes_the_weekday_before_for_a_day_without_data() -> None:
    found = averaged([7.0] * 7 + [None] + [14.0] * 7)
    assert found[:6] == [None] * 6
    assert found[6:8] == [7.0, 7.0]
    assert found[8] == 8.0
    assert found[14] == 14.0
    assert averaged([None] * 14 + [7.0] * 6) == [None] * 20


@pytest.mark.parametrize("page", ["overview", "spend"])
def test_the_same_facts_give_the_same_bytes_and_a_small_page(page: str) -> None:
    made = files(page)
    assert made == files(page)
    assert len(made[f"{page}.html"].encode()) < MEGABYTE
    json.loads(made[f"{page}.json"])
    assert json.loads(made[f"{page}.json"])["schema"] == f"assay.{page}/1"


@pytest.mark.parametrize("page", ["overview", "spend"])
def test_a_csv_cell_is_no_formula(page: str) -> None:
    for text in FORMULAS:
        for row in csv.reader(files(page, hostile(text))[f"{page}.csv"].splitlines()[1:]):
            assert not any(cell.startswith(("=", "+", "@", "＝", "\t", "\r")) for cell in row), row


@pytest.mark.parametrize("page", ["overview", "spend"])
def test_no_name_becomes_a_tag(page: str) -> None:
    harmless = {tag for tag, _ in Outline(html(page, hostile("harmless"))).tags}
    assert {tag for tag, _ in Outline(html(page, hostile("".join(XSS)))).tags} == harmless


@needs_browser
@pytest.mark.parametrize("page", ["overview", "spend"])
@pytest.mark.parametrize(
    ("width", "theme"),
    [
        (1440, "light"),
        (390, "dark"),
        *(pytest.param(*pair, marks=pytest.mark.slow) for pair in ((1440, "dark"), (820, "light"), (320, "light"))),
    ],
)
def test_axe_finds_nothing_and_every_label_has_contrast(opened: Open, page: str, width: int, theme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    shown = opened(html(page), width=width, theme=theme)
    shown.evaluate("document.querySelectorAll('details').forEach(function (d, i) { if (i % 3 == 0) d.open = true; })")
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
@pytest.mark.parametrize("page", ["overview", "spend"])
@pytest.mark.parametrize("width", [1440, 320])
@pytest.mark.parametrize("made", [lambda: hostile("W" * 300), lambda: hostile("".join(XSS)), nothing_known])
def test_hostile_names_neither_run_nor_load_nor_widen_the_page(
    opened: Open, page: str, made: Callable[[], Window], width: int
) -> None:
    shown = opened(html(page, made()), width=width)
    shown.evaluate("document.querySelectorAll('details').forEach(function (d) { d.open = true; })")
    assert shown.evaluate("window.__pwned") is None
    assert outside(shown) == []
    assert shown.problems == []
    assert shown.evaluate("document.documentElement.scrollWidth") <= width


@needs_browser
@pytest.mark.parametrize(("page", "figures"), [("overview", 3), ("spend", 4)])
def test_without_scripts_every_figure_and_its_data_are_there(opened: Open, page: str, figures: int) -> None:
    for width in (1440, 390):
        shown = opened(html(page), width=width, scripts=False)
        found = shown.locator("figure.fig")
        assert found.count() == figures
        for index in range(figures):
            assert found.nth(index).locator("svg.chart:visible").count() == 1
            assert found.nth(index).locator("details.data summary").is_visible()
        assert shown.locator("[data-tools]").is_hidden()


@needs_browser
def test_arrow_keys_read_the_days_and_links_lead_to_the_other_pages(opened: Open) -> None:
    shown = opened(html("overview"))
    shown.locator("#fig-daily .plot.wide").focus()
    shown.keyboard.press("End")
    told = shown.locator("#tip").inner_text()
    day = total(each for (_, on), each in a_window().facts.items() if on == LAST)
    assert "Wed 20 May 2026" in told
    assert money(day.cost) in told
    assert shown.locator("nav.pages a").first.get_attribute("href") == "spend.html"


@needs_browser
@pytest.mark.parametrize("page", ["overview", "spend"])
def test_the_first_printed_page_holds_the_verdict_and_the_first_figure(opened: Open, page: str) -> None:
    shown = opened(html(page))
    pdf = shown.pdf(prefer_css_page_size=True)
    assert b"/Type3" not in pdf
    shown.emulate_media(media="print")
    shown.set_viewport_size({"width": 680, "height": 960})
    assert shown.evaluate("document.querySelector('.lead').getBoundingClientRect().bottom") <= 997
    assert shown.locator("nav.pages").is_hidden()


def test_a_figure_that_fails_leaves_the_page_standing(monkeypatch: pytest.MonkeyPatch) -> None:
    from reports.views import overview as views

    def fails(*given: Any, **named: Any) -> None:
        raise ZeroDivisionError("of no use")

    monkeypatch.setattr(views, "trend_line", fails)
    page = html("overview")
    assert "This figure could not be drawn." in page
    assert "1 of 7 features is worse" in page


def test_requests_that_do_not_say_their_feature_model_or_provider_are_a_row_of_their_own() -> None:
    window = nothing_known()
    key = (("chatbot", None, None), LAST)
    known = Facts(requests=3, successes=3, priced=3, cost=Decimal(6), whole_cost=Decimal(6), whole_successes=3)
    view = spend_view(a_spending(replace(window, facts={key: known})))
    [row] = view.groups[1].rows
    assert [cell.text for cell in row[:4]] == ["not said", count(3), "$6.00", "100%"]
