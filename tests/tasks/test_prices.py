"""Prices from LiteLLM's map and from a file of one's own."""

import gzip
import json
import os
from collections import defaultdict
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from evaluations.answers import Usage
from evaluations.errors import AssayError
from evaluations.pricing import PriceBook, PriceRow, cost, per_token
from tasks.prices import OVERRIDES, override_files, rows_of_map, rows_of_overrides
from tasks.settings import Settings

DATA = Path(os.environ.get("ASSAY_TEST_DATA", Path(__file__).parents[2] / "../shared/data"))
TODAY = date(2025, 11, 6)


@pytest.fixture(scope="module")
def map_rows(tmp_path_factory: pytest.TempPathFactory) -> list[PriceRow]:
    packed = DATA / "model_prices" / "litellm_model_prices_1.109.1.json.gz"
    if not packed.exists():
        pytest.skip(f"no third-party data at {packed}")
    path = tmp_path_factory.mktemp("prices") / "map.json"
    path.write_bytes(gzip.decompress(packed.read_bytes()))
    return list(rows_of_map(path, source="litellm 1.109.1"))


def test_the_map_prices_well_known_models_as_published(map_rows: list[PriceRow]) -> None:
    expected = json.loads((DATA / "model_prices/expected.json").read_text(encoding="utf-8"))["litellm"]
    book = PriceBook(map_rows)
    for model, usd in expected["usd_for_1200000_input_and_300000_output_tokens"].items():
        calls = [cost(Usage(input_tokens=1000, output_tokens=250), book.prices_of(model, TODAY))] * 1200
        assert sum(calls) == Decimal(usd), model  # type: ignore[arg-type]


def test_no_price_of_the_map_has_float_noise_or_is_zero_where_it_may_be_paid(
    map_rows: list[PriceRow],
) -> None:
    for row in map_rows:
        assert row.per_token == row.per_token.quantize(Decimal("1e-12"))
        assert row.per_token > 0 or row.model.split("/")[0] in {"ollama", "lemonade"}, row


def test_a_model_has_one_price_a_class_and_tier(map_rows: list[PriceRow]) -> None:
    seen: dict[tuple[object, ...], set[Decimal]] = defaultdict(set)
    for row in map_rows:
        seen[row.model, row.place].add(row.per_token)
    # A few keys of the map differ in spelling alone and meet in one full name; their prices have to agree.
    clashes = {place: prices for place, prices in seen.items() if len(prices) > 1}
    assert clashes == {}


def test_the_installed_map_names_providers_and_tiers() -> None:
    rows = list(rows_of_map())
    book = PriceBook(rows)
    assert rows[0].source.startswith("litellm ")
    assert book.prices_of("openai/gpt-4o-mini", TODAY) == book.prices_of("gpt-4o-mini", TODAY)
    assert any(row.tier_start == 200_000 and row.token_class == "input" for row in rows)
    assert not any("sample_spec" in row.model for row in rows)


@pytest.mark.parametrize(
    ("entry", "wanted"),
    [
        ({"mode": "chat", "litellm_provider": "sagemaker", "input_cost_per_token": 0}, []),
        ({"mode": "chat", "litellm_provider": "ollama", "input_cost_per_token": 0.0}, [("input", None, "0")]),
        ({"mode": "image_generation", "litellm_provider": "openai", "input_cost_per_token": 1e-6}, []),
        (
            {
                "mode": "chat",
                "litellm_provider": "openai",
                "input_cost_per_token": 1e-6,
                "input_cost_per_token_above_272k_tokens": 2e-6,
                "input_cost_per_token_batches": 5e-7,
                "output_cost_per_token_priority": 9e-6,
            },
            [
                ("input", None, "1e-6"),
                ("input", 272_000, "2e-6"),
                ("batch input", None, "5e-7"),
                ("priority output", None, "9e-6"),
            ],
        ),
        (
            {
                "mode": "chat",
                "litellm_provider": "bedrock",
                "cache_creation_input_token_cost_above_1hr": 6e-6,
                "cache_creation_input_token_cost_above_1hr_above_200k_tokens": 12e-6,
                "input_cost_per_token_above_272k_tokens_batches": 1e-6,
                "search_context_cost_per_query": {
                    "search_context_size_low": 0.01,
                    "search_context_size_medium": 0.01,
                    "search_context_size_high": 0.01,
                },
            },
            [
                ("cache_write_1h", None, "6e-6"),
                ("cache_write_1h", 200_000, "12e-6"),
                ("batch input", 272_000, "1e-6"),
                ("web_search", None, "0.01"),
            ],
        ),
        (
            {
                "mode": "chat",
                "litellm_provider": "deepseek",
                "input_cost_per_token": 3e-7,
                "search_context_cost_per_query": {"search_context_size_low": 0.01, "search_context_size_high": 0.05},
                "off_peak_pricing": {
                    "input_cost_per_token": 1.5e-7,
                    "windows": [
                        {"hours_utc": ["04:00-06:00", "10:00-00:00"], "weekdays": [1, 5]},
                        {"hours_utc": "00:00-00:00", "weekdays": [6, 7]},
                    ],
                },
            },
            [
                ("input", None, "3e-7"),
                ("input @15 04:00-06:00", None, "1.5e-7"),
                ("input @15 10:00-00:00", None, "1.5e-7"),
                ("input @67 00:00-00:00", None, "1.5e-7"),
            ],
        ),
        (
            {
                "mode": "chat",
                "litellm_provider": "dashscope",
                "tiered_pricing": [
                    {"input_cost_per_token": 5e-8, "range": [0, 256000.0]},
                    {"input_cost_per_token": 2.5e-7, "range": [256000.0, 1000000.0]},
                ],
            },
            [("input", None, "5e-8"), ("input", 256_000, "2.5e-7")],
        ),
    ],
)
def test_an_entry_of_the_map_becomes_its_rows(
    entry: dict[str, object], wanted: list[tuple[str, int | None, str]], tmp_path: Path
) -> None:
    path = tmp_path / "map.json"
    path.write_text(json.dumps({"some-model": entry}))
    rows = list(rows_of_map(path, source="litellm test"))
    assert [(r.price_class, r.tier_start, r.per_token) for r in rows] == [
        (token_class, start, per_token(price)) for token_class, start, price in wanted
    ]
    assert all(row.model == f"{entry['litellm_provider']}/some-model" for row in rows)


def test_the_file_of_ones_own_prices_goes_before_the_map(tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(
        "prices:\n"
        "  - model: openai/gpt-4o-mini\n"
        "    from: 2025-07-01\n"
        "    source: our contract\n"
        "    usd_per_million: {input: 0.1, output: '0.40'}\n"
        "    above: {200000: {input: 0.2}}\n"
    )
    book = PriceBook([*rows_of_overrides(path), *rows_of_map()])
    prices = book.prices_of("openai/gpt-4o-mini", TODAY)
    assert prices is not None
    assert prices.per_token("input", 100) == per_token("1e-7")
    assert prices.per_token("input", 200_001) == per_token("2e-7")
    assert prices.per_token("output") == per_token("4e-7")
    before = book.prices_of("openai/gpt-4o-mini", date(2025, 6, 30))
    assert before is not None
    assert before.per_token("input") == per_token("1.5e-7")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("prices: [{model: a/b, from: 2025-01-01, source: x, usd_per_million: {inputs: 1}}]", "inputs"),
        ("prices: [{model: a/b, from: 2025-01-01, source: x, usd_per_million: {input: -1}}]", "greater than"),
        ("prices: [{model: a/b, from: soon, source: x, usd_per_million: {input: 1}}]", "date"),
        ("price: []", "price"),
        ("prices: [", "not YAML"),
        ("prices: [{model: a/b, from: 2025-01-01, source: x}]", "it has no price"),
        ("prices: [{model: a/b, from: 2025-01-01, source: x, usd_per_million: {request: 1}}]", "by the piece"),
        ("prices: [{model: a/b, from: 2025-01-01, source: x, usd_each: {input: 1}}]", "by the million"),
        (
            "prices: [{model: a/b, from: 2025-01-01, to: 2024-01-01, source: x, usd_each: {request: 1}}]",
            "before it begins",
        ),
        ("prices: [{model: a/b, from: 2025-01-01, source: x, hours: at night, usd_each: {request: 1}}]", "hours"),
        ("prices: [{model: a/b, from: 2025-01-01, source: x, service: cheap, usd_each: {request: 1}}]", "service"),
        ("prices: [{model: a/b, from: 2025-01-01, source: litellm 1, usd_each: {request: 1}}]", "where the price"),
        ("prices: [{model: a/b, from: 2025-01-01, source: genai-prices, usd_each: {request: 1}}]", "where the price"),
    ],
)
def test_an_unreadable_price_file_says_where(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(text)
    with pytest.raises(AssayError, match=said):
        list(rows_of_overrides(path))


def test_the_shipped_file_is_readable() -> None:
    assert [row.source for row in rows_of_overrides(OVERRIDES) if row.source == ""] == []


def test_an_entry_of_ones_own_can_say_service_hours_and_fees(tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(
        "prices:\n"
        "  - {model: a/b, from: 2025-01-01, source: list, service: batch, hours: 67 00:00-00:00,\n"
        "     usd_per_million: {input: 2.50}, usd_each: {web_search: 0.01}}\n"
    )
    assert [(row.price_class, row.per_token) for row in rows_of_overrides(path)] == [
        ("batch input @67 00:00-00:00", per_token("2.5e-6")),
        ("batch web_search @67 00:00-00:00", per_token("0.01")),
    ]


def test_ones_own_file_is_found_in_the_home_or_where_the_setting_says(tmp_path: Path) -> None:
    assert override_files(Settings(home=tmp_path)) == [OVERRIDES]
    at_home = tmp_path / "prices.yaml"
    at_home.write_text("prices: []")
    assert override_files(Settings(home=tmp_path)) == [OVERRIDES, at_home]
    elsewhere = tmp_path / "elsewhere.yaml"
    with pytest.raises(AssayError, match="ASSAY_PRICES names elsewhere"):
        override_files(Settings(home=tmp_path, prices=elsewhere))
    elsewhere.write_text("prices: []")
    assert override_files(Settings(home=tmp_path, prices=elsewhere)) == [OVERRIDES, elsewhere]
