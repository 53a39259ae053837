"""The page of models and providers: sentences that hold, hostile names, a real browser."""

import csv
import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest

from evaluations.availability import Outcome, health_of
from evaluations.histograms import of_latencies
from evaluations.model_overview import Change, KnownModel, ModelsOverview, ProviderLine, Use
from evaluations.models import Capability, Finding, Limits
from evaluations.performance import Performed
from evaluations.pricing import PriceBook, PriceRow, TokenClass
from reports.model_files import models_files
from reports.views.models import models_view
from tests.evaluations.test_models import a_model
from tests.reports.hostile import FORMULAS, XSS
from tests.reports.test_browser import CHROMIUM, WCAG, Open, browser, opened, outside
from tests.reports.test_page import MEGABYTE, Outline

__all__ = ["browser", "opened"]
needs_browser = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no Chromium at {CHROMIUM}")
NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
TODAY = NOW.date()
GPT = "openai/gpt-4o-2024-11-20"


def a_performed(requests: int = 400, errors: int = 4) -> Performed:
    rng = np.random.default_rng(3)
    return Performed(
        requests=requests,
        successes=requests - errors,
        errors=errors,
        priced=requests,
        cost=Decimal("12.34"),
        latencies=of_latencies(rng.lognormal(7, 0.4, requests)),
    )


def an_overview(name: str = GPT, feature: str = "chatbot", **given: object) -> ModelsOverview:
    dollars: tuple[tuple[TokenClass, str], ...] = (("input", "0.0000025"), ("output", "0.00001"))
    rows = [
        PriceRow(model=GPT, token_class=each, per_token=Decimal(usd), effective_from=date(2025, 1, 1), source="test")
        for each, usd in dollars
    ]
    tested = Finding(passed=False, at=NOW, why="broke the schema")
    model = a_model(
        name,
        limits=Limits(context_tokens=128_000, max_output_tokens=16_384, requests_per_minute=500),
        regions=tuple(f"region-{n}" for n in range(8)),
        capabilities={
            "json_schema": Capability(name="json_schema", documented=True, source="litellm", tested=tested),
            "vision": Capability(name="vision", tested=Finding(passed=True, at=NOW, why="named it")),
            "tools": Capability(name="tools", documented=True, source="litellm"),
        },
        retires_on=date(2027, 1, 14),
        successor="openai/gpt-5",
    )
    probes = [Outcome(at=NOW - timedelta(minutes=15 * n + 1), latency_ms=90.0) for n in range(40)]
    health = health_of("openai", True, probes, NOW)
    use = Use(provider="openai", model="gpt-4o", feature=feature, environment="production", performed=a_performed())
    other = Use(provider="house", model=name, feature=feature, environment=None, performed=a_performed(5, 0))
    made = ModelsOverview(
        at=NOW,
        window=(date(2026, 10, 29), date(2026, 11, 27)),
        timezone="UTC",
        freshness=None,
        in_use=(KnownModel(model=model, prices=PriceBook(rows).prices_of(GPT, TODAY), health=health, uses=(use,)),),
        unregistered=(other,),
        providers=(
            ProviderLine(title=name, health=health, performed=a_performed(), models={"available": 40, "retired": 3}),
        ),
        changes=(Change(kind="added", subject=name, before=None, after=None, why=feature, actor=feature, at=NOW),),
        catalogue=(model, a_model("openai/small")),
    )
    return replace(made, **given)  # type: ignore[arg-type]


def files(found: ModelsOverview) -> dict[str, str]:
    return {name: "".join(parts) for name, parts in models_files(found)}


def test_the_first_screen_says_what_ends_and_what_failed_its_test() -> None:
    view = models_view(an_overview())
    assert view.page.headline == "1 of 2 models in use ends soon, on 14 January 2027."
    said = " ".join(sentence for fact in view.page.facts for sentence in fact.sentences)
    assert "ends on 14 January 2027; successor openai/gpt-5" in said
    assert [fact.status.word for fact in view.page.facts if fact.status] == [
        "1 near the end", "All pinned", "1 claim failed", "1 probed",
    ]  # fmt: skip


def test_a_card_holds_price_limits_words_and_tests() -> None:
    [card] = models_view(an_overview()).cards
    said = " ".join(sentence for fact in card.facts for sentence in fact.sentences)
    assert "input $2.50; output $10.00" in said
    assert "Speed fastest" in said
    # 396 of 400: the lower end of the interval is below 99 %.
    assert "Reliability moderate: 99.0% succeed" in said
    assert "500 requests a minute" in said
    assert [badge.word for badge in card.badges] == [
        "JSON schema, failed its test 2026-11-28",
        "vision, tested 2026-11-28",
    ]
    assert card.untested == "Documented, not tested: tools."


def test_an_alias_is_no_younger_than_the_version_it_stands_for() -> None:
    [known] = an_overview().in_use
    alias = replace(known, model=a_model("openai/gpt-4o", alias=True, alias_of=GPT), stands_for=known.model)
    found = an_overview(in_use=(alias,))
    assert alias.life_cycle(TODAY) == "deprecated"
    assert [each.model.name for each in found.ending] == ["openai/gpt-4o"]
    [card] = models_view(found).cards
    assert f"Stands for {GPT}, which ends on 14 January 2027; successor openai/gpt-5." in card.facts[3].sentences


def test_nothing_known_is_said_and_not_drawn_as_zero() -> None:
    empty = an_overview(in_use=(), unregistered=(), providers=(), changes=(), window=None, catalogue=())
    view = models_view(empty)
    assert view.page.headline.startswith("No model is in use")
    assert files(empty)["models.html"]


def test_the_same_facts_give_the_same_bytes_and_twins_that_can_be_read() -> None:
    made = files(an_overview())
    assert made == files(an_overview())
    assert len(made["models.html"].encode()) < MEGABYTE
    told = json.loads(made["models.json"])
    assert told["schema"] == "assay.models/1"
    assert told["in_use"][0]["use"]["error_share"]["n"] == 400
    rows = list(csv.DictReader(made["models.csv"].splitlines()))
    assert rows[0]["failed_tests"] == "json_schema"
    assert rows[0]["can"] == "vision tools"


def test_hostile_names_are_neither_tags_nor_formulas() -> None:
    harmless = {tag for tag, _ in Outline(files(an_overview("harmless/x", "harmless"))["models.html"]).tags}
    text = "".join(XSS)
    assert {tag for tag, _ in Outline(files(an_overview(f"x/{text}", text))["models.html"]).tags} == harmless
    for formula in FORMULAS:
        for row in csv.reader(files(an_overview(formula))["models.csv"].splitlines()[1:]):
            assert not any(cell.startswith(("=", "+", "@", "＝", "\t", "\r")) for cell in row), row


@needs_browser
@pytest.mark.parametrize(("width", "theme"), [(1440, "light"), (390, "dark")])
def test_axe_finds_nothing_and_the_page_is_no_wider_than_the_screen(opened: Open, width: int, theme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    html = files(an_overview(f"openai/{'W' * 60}", "W" * 100))["models.html"]
    shown = opened(html, width=width, theme=theme)
    found = Axe().run(shown, options={"runOnly": {"type": "tag", "values": list(WCAG)}, "resultTypes": ["violations"]})
    assert [(rule["id"], [node["target"] for node in rule["nodes"]][:3]) for rule in found.response["violations"]] == []
    assert shown.evaluate("document.documentElement.scrollWidth") <= width
    assert shown.problems == []
    assert outside(shown) == []


@needs_browser
def test_the_catalogue_is_narrowed_by_kind(opened: Open) -> None:
    found = an_overview(catalogue=(a_model("openai/a"), a_model("openai/b", mode="embedding", outputs=("vector",))))
    shown = opened(files(replace(found, providers=(replace(found.providers[0], title="OpenAI"),)))["models.html"])
    shown.get_by_label("Kind").select_option("embedding")
    assert shown.locator("table.cases tbody tr:visible").count() == 1
    assert shown.problems == []


def test_regions_of_a_model_are_named_and_the_rest_of_them_counted() -> None:
    [card] = models_view(an_overview()).cards
    said = [sentence for fact in card.facts for sentence in fact.sentences]
    assert "In region-0, region-1, region-2, region-3, region-4, region-5 and 2 more." in said
