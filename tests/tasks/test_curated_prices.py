"""Prices from genai-prices: every published price is reproduced from the list's rows, to the last digit."""

import json
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from evaluations.pricing import PriceBook, PriceRow, TokenClass, costs, per_token
from tasks.curated_prices import PREFIXES, curated_source, rows_of_curated
from tests.evaluations.scoring.test_real_data import expected_of, rows
from tests.evaluations.test_usage import of_publisher

if TYPE_CHECKING:
    from genai_prices.types import Provider

AT = datetime(2025, 11, 6, 12, tzinfo=UTC)
"""When the published prices were taken."""


def providers_of(raw: Any) -> "list[Provider]":
    from genai_prices.types import _providers_from_raw

    return _providers_from_raw(raw)


@pytest.fixture(scope="module")
def published() -> list[dict[str, Any]]:
    return list(rows("usage_pricing/priced.jsonl.gz"))


@pytest.fixture(scope="module")
def book(published: list[dict[str, Any]]) -> PriceBook:
    """The rows of the list of the day, under the names of the calls."""
    raw = json.loads(json.dumps(next(rows("model_prices/genai_prices_v2.json.gz"))), parse_float=Decimal)
    names = {name_of(call) for call in published}
    return PriceBook(rows_of_curated(names, providers=providers_of(raw), source="genai-prices of the day"))


def name_of(call: Mapping[str, Any]) -> str:
    provider = call["provider_id"]
    prefix = PREFIXES.get(provider, (provider.replace("huggingface_", "huggingface/"),))[0]
    return f"{prefix}/{call['model']}"


def test_1731_calls_cost_what_was_published_to_the_last_digit(book: PriceBook, published: list[dict[str, Any]]) -> None:
    by_provider: dict[str, Decimal] = defaultdict(Decimal)
    differing, unpriced = [], []
    for call in published:
        parts = costs(of_publisher(call["usage"]), book.prices_of(name_of(call), AT))
        stated = Decimal(call["input_price"]), Decimal(call["output_price"])
        if parts is None:
            unpriced.append((call["usd_per_million"], stated))
            continue
        total = Decimal(call["total_price"]) if call["total_price"] else sum(stated)
        if (*_sides(parts), sum(parts.values())) != (*stated, total):
            differing.append((call["id"], parts, stated))
        by_provider[call["provider_id"]] += sum(parts.values())
    assert differing == []
    # One call is of a model without any price: the publisher states zero, to us it is unpriced.
    assert [(priced_by, sum(stated)) for priced_by, stated in unpriced] == [({}, 0)]
    expected = expected_of("usage_pricing")
    assert len(published) == expected["priced_rows"] == 1731
    totals = {name: Decimal(entry["usd"]) for name, entry in expected["total_usd_by_provider"].items()}
    assert by_provider == totals
    assert sum(by_provider.values()) == Decimal(expected["total_usd"])


def _sides(parts: Mapping[TokenClass, Decimal]) -> tuple[Decimal, Decimal]:
    """What the prompt and what the answer cost; searches are neither."""
    answer = {name: usd for name, usd in parts.items() if name == "reasoning" or name.startswith("output")}
    prompt = {name: usd for name, usd in parts.items() if name not in answer and name != "web_search"}
    return sum(prompt.values(), Decimal(0)), sum(answer.values(), Decimal(0))


def test_the_installed_list_knows_when_prices_changed_and_at_which_hour() -> None:
    installed = list(rows_of_curated())
    assert installed[0].source.startswith(curated_source())
    o3 = [row for row in installed if row.model == "openai/o3" and row.price_class == "input"]
    assert (o3[0].per_token, o3[0].effective_to) == (per_token("1e-5"), date(2025, 6, 10))
    assert (o3[1].per_token, o3[1].effective_from) == (per_token("2e-6"), date(2025, 6, 10))
    assert all(row.source.endswith(", dated") for row in o3)
    chat = PriceBook(row for row in installed if row.model == "deepseek/deepseek-chat")
    day, night = (chat.prices_of("deepseek/deepseek-chat", AT.replace(hour=hour)) for hour in (12, 20))
    assert day is not None
    assert night is not None
    assert day.per_token("input") == 2 * night.per_token("input")  # type: ignore[operator]


# What becomes of an entry


def a_provider(prices: Any, provider: str = "openai", model: str = "small", **given: Any) -> "list[Provider]":
    entry = {"id": model, "match": {"starts_with": model}, "prices": prices, **given}
    return providers_of([{"id": provider, "name": provider, "api_pattern": "", "models": [entry]}])


def made(prices: Any, *names: str, **given: Any) -> list[PriceRow]:
    return list(rows_of_curated(names, providers=a_provider(prices, **given), source="genai-prices test"))


def test_a_dated_name_is_placed_by_the_lists_own_matching() -> None:
    rows = made({"input_mtok": 2}, "openai/small-2025-08-07", "openai/large", "azure/small")
    assert [row.model for row in rows] == ["openai/small", "openai/small-2025-08-07"]


def test_the_price_of_another_provider_is_marked_as_borrowed() -> None:
    providers = a_provider({"input_mtok": 2}) + a_provider({"input_mtok": 3}, provider="azure", model="own")
    providers[1].fallback_model_providers = ["openai"]
    rows = list(rows_of_curated(["azure/small", "azure/own-2"], providers=providers, source="genai-prices 1"))
    assert {row.model: row.source for row in rows} == {
        "openai/small": "genai-prices 1",
        "azure/own": "genai-prices 1",
        "azure/own-2": "genai-prices 1",
        "azure/small": "genai-prices 1, borrowed",
    }


def test_a_region_that_the_list_would_overlook_is_not_placed() -> None:
    provider = a_provider({"input_mtok": 2}, provider="aws")
    provider[0].models[0].match = _contains("small")
    rows = rows_of_curated(["bedrock/eu-west-1/small", "bedrock/a.small"], providers=provider, source="genai-prices")
    assert {row.model for row in rows} == {"bedrock/small", "bedrock/a.small"}


def _contains(text: str) -> Any:
    from genai_prices.types import ClauseContains

    return ClauseContains(contains=text)


def test_google_is_named_in_both_of_its_ways() -> None:
    assert {row.model for row in made({"input_mtok": 2}, provider="google")} == {"gemini/small", "vertex_ai/small"}


def test_tiers_fees_and_float_noise_are_read() -> None:
    rows = made(
        {
            "input_mtok": {"base": Decimal("1.0399999999999998"), "tiers": [{"start": 200_000, "price": 3}]},
            "requests_kcount": 5,
            "web_searches_kcount": 10,
            "audio_hours": 7,
        }
    )
    assert [(row.price_class, row.tier_start, row.per_token) for row in rows] == [
        ("input", None, per_token("1.04e-6")),
        ("input", 200_000, per_token("3e-6")),
        ("request", None, per_token("0.005")),
        ("web_search", None, per_token("0.01")),
    ]


@pytest.mark.parametrize(
    ("prices", "model", "kept"),
    [
        ({"input_mtok": 0, "output_mtok": 0}, "small", []),
        ({"input_mtok": 0, "output_mtok": 0}, "small:free", ["input", "output"]),
        ({"input_mtok": 1, "cache_write_mtok": 0}, "small", ["input", "cache_write"]),
    ],
)
def test_a_zero_counts_beside_a_price_or_where_the_name_says_free(prices: Any, model: str, kept: list[str]) -> None:
    assert [row.price_class for row in made(prices, model=model)] == kept


def test_dates_hours_and_services_become_rows_of_their_own() -> None:
    rows = made(
        [
            {"prices": {"input_mtok": 4}},
            {"constraint": {"start_date": "2025-06-01"}, "prices": {"input_mtok": 2}},
            {"constraint": {"start_time": "16:30:00Z", "end_time": "00:30:00Z"}, "prices": {"input_mtok": 1}},
        ],
        price_variants=[
            {
                "when": {"processing": "batch"},
                "prices": providers_price(input_mtok=Decimal("0.5")),
                "constraint": {"start_date": "2025-09-01"},
            }
        ],
    )
    found = {(row.price_class, row.effective_from, row.effective_to, row.per_token * 1_000_000) for row in rows}
    june, september = date(2025, 6, 1), date(2025, 9, 1)
    hours = "@1234567 16:30-00:30"
    assert found == {
        ("input", date(2020, 1, 1), june, 4),
        (f"input {hours}", date(2020, 1, 1), june, 1),
        ("input", june, september, 2),
        (f"input {hours}", june, september, 1),
        ("input", september, None, 2),
        (f"input {hours}", september, None, 1),
        ("batch input", september, None, Decimal("0.5")),
        (f"batch input {hours}", september, None, Decimal("0.5")),
    }
    assert {row.source for row in rows} == {"genai-prices test, dated"}


def providers_price(**prices: Decimal) -> Any:
    from genai_prices.types import ModelPrice

    return ModelPrice(**prices)
