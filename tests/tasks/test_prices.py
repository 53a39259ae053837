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
from tasks.prices import OVERRIDES, rows_of_map, rows_of_overrides

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
        seen[row.model, row.token_class, row.tier_start].add(row.per_token)
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
            [("input", None, "1e-6"), ("input", 272_000, "2e-6")],
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
    assert [(r.token_class, r.tier_start, r.per_token) for r in rows] == [
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
    ],
)
def test_an_unreadable_price_file_says_where(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(text)
    with pytest.raises(AssayError, match=said):
        list(rows_of_overrides(path))


def test_the_shipped_file_is_readable() -> None:
    assert [row.source for row in rows_of_overrides(OVERRIDES) if row.source == ""] == []
