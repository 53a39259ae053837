"""Costs are exact, dated and never a silent zero."""

import gzip
import json
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluations.answers import Usage
from evaluations.pricing import (
    PriceBook,
    PriceRow,
    Prices,
    TokenClass,
    cost,
    costs,
    estimate_tokens,
    per_token,
    possible_cost,
    token_bound,
)

DATA = Path(os.environ.get("ASSAY_TEST_DATA", Path(__file__).parents[2] / "../shared/data"))
TODAY = date(2025, 11, 6)
MILLION = Decimal(1_000_000)


def a_row(token_class: TokenClass = "input", price: str = "0.000001", **changes: Any) -> PriceRow:
    settings: dict[str, Any] = {
        "model": "openai/small",
        "effective_from": date(2025, 1, 1),
        "source": "price list",
    }
    return PriceRow(token_class=token_class, per_token=per_token(price), **(settings | changes))


def prices_of(*rows: PriceRow, on: date = TODAY) -> Prices | None:
    return PriceBook(rows).prices_of("openai/small", on)


# Exactness against published prices


def published() -> Iterator[dict[str, Any]]:
    path = DATA / "usage_pricing" / "priced.jsonl.gz"
    if not path.exists():
        pytest.skip(f"no third-party data at {path}")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line, parse_float=Decimal)


PRICE_CLASSES: dict[str, TokenClass] = {
    "input_mtok": "input",
    "cache_read_mtok": "cached",
    "cache_write_mtok": "cache_write",
    "cache_write_1h_mtok": "cache_write_1h",
    "input_audio_mtok": "input_audio",
    "cache_audio_read_mtok": "cached_audio",
    "output_mtok": "output",
    "output_image_mtok": "output_image",
}


def rows_of(record: Mapping[str, Any]) -> list[PriceRow]:
    rows = []
    for name, price in record["usd_per_million"].items():
        if name not in PRICE_CLASSES:
            continue
        tiers = {None: price} if not isinstance(price, dict) else {None: price["base"]}
        if isinstance(price, dict):
            tiers |= {tier["start"]: tier["price"] for tier in price["tiers"]}
        for start, value in tiers.items():
            usd = per_token(Decimal(value) / MILLION)
            rows.append(a_row(PRICE_CLASSES[name], str(usd), model="vendor/model", tier_start=start))
    return rows


def tokens_of(record: Mapping[str, Any]) -> dict[TokenClass, int]:
    """The publisher counts inclusively (audio and cached tokens are input tokens too); ours are disjoint."""
    used, priced = record["usage"], record["usd_per_million"]

    def part(usage_name: str, price_name: str) -> int:
        return int(used.get(usage_name, 0)) if price_name in priced else 0

    cached_audio = part("cache_audio_read_tokens", "cache_audio_read_mtok")
    cached = part("cache_read_tokens", "cache_read_mtok") - cached_audio
    written = part("cache_write_tokens", "cache_write_mtok")
    audio = part("input_audio_tokens", "input_audio_mtok") - cached_audio
    image = part("output_image_tokens", "output_image_mtok")
    return {
        "input": int(used.get("input_tokens", 0)) - cached - cached_audio - written - audio,
        "cached": cached,
        "cached_audio": cached_audio,
        "cache_write": written,
        "input_audio": audio,
        "output": int(used.get("output_tokens", 0)) - image,
        "output_image": image,
    }


def test_every_published_price_is_reproduced_to_the_last_digit() -> None:
    expected = json.loads((DATA / "usage_pricing/expected.json").read_text()) if DATA.exists() else {}
    by_provider: dict[str, Decimal] = defaultdict(Decimal)
    differing = []
    rows = unpriced = 0
    for record in published():
        rows += 1
        parts = costs(tokens_of(record), PriceBook(rows_of(record)).prices_of("vendor/model", TODAY))
        if not record["usd_per_million"]:
            # The publisher writes 0 for a call without a single price; to us that call is unpriced.
            assert parts is None
            unpriced += 1
            continue
        assert parts is not None, record
        prompt = sum((v for k, v in parts.items() if not k.startswith("output")), Decimal(0))
        answer = sum((v for k, v in parts.items() if k.startswith("output")), Decimal(0))
        if (prompt, answer) != (Decimal(record["input_price"]), Decimal(record["output_price"])):
            differing.append((record["id"], prompt, record["input_price"], answer, record["output_price"]))
        searches = record["usage"].get("web_searches", 0) * record["usd_per_million"].get("web_searches_kcount", 0)
        by_provider[record["provider_id"]] += prompt + answer + Decimal(searches) / 1000
    assert differing == []
    assert rows == expected["priced_rows"]
    assert unpriced == 1
    totals = {name: Decimal(entry["usd"]) for name, entry in expected["total_usd_by_provider"].items()}
    assert by_provider == totals
    assert sum(by_provider.values()) == Decimal(expected["total_usd"])


# What is unknown


def test_a_model_without_rows_has_no_cost() -> None:
    assert PriceBook([]).prices_of("openai/small", TODAY) is None
    assert cost(Usage(input_tokens=1), None) is None


def test_output_without_a_price_makes_the_whole_cost_unknown() -> None:
    assert cost(Usage(input_tokens=5, output_tokens=1), prices_of(a_row("input"))) is None


def test_a_class_without_tokens_needs_no_price() -> None:
    assert cost(Usage(input_tokens=5), prices_of(a_row("input"))) == Decimal("0.000005")


def test_a_zero_row_means_free_on_purpose() -> None:
    assert cost(Usage(input_tokens=5, output_tokens=5), prices_of(a_row("input", "0"), a_row("output", "0"))) == 0


@pytest.mark.parametrize(
    ("usage", "usd"),
    [
        (Usage(cached_tokens=10), "0.00001"),
        (Usage(cache_write_tokens=10), "0.00001"),
        (Usage(reasoning_tokens=10), "0.00004"),
    ],
)
def test_a_missing_price_falls_back_to_that_of_the_full_class(usage: Usage, usd: str) -> None:
    assert cost(usage, prices_of(a_row("input"), a_row("output", "0.000004"))) == Decimal(usd)


def test_each_class_with_a_row_of_its_own_uses_it() -> None:
    prices = prices_of(
        a_row("input", "0.000003"),
        a_row("cached", "0.0000003"),
        a_row("cache_write", "0.00000375"),
        a_row("output", "0.000015"),
        a_row("reasoning", "0.00002"),
    )
    usage = Usage(input_tokens=100, cached_tokens=10, cache_write_tokens=4, output_tokens=20, reasoning_tokens=2)
    assert cost(usage, prices) == Decimal("0.000658")


def test_a_price_in_another_currency_is_not_used() -> None:
    assert prices_of(a_row(currency="EUR")) is None


# Dates, sources, names, tiers


def test_the_row_in_force_on_the_day_is_used() -> None:
    rows = [
        a_row(price="0.000002", effective_from=date(2025, 1, 1)),
        a_row(price="0.000001", effective_from=date(2025, 6, 1)),
    ]
    days = (date(2024, 12, 31), date(2025, 5, 31), date(2025, 6, 1))
    found = [prices_of(*rows, on=day) for day in days]
    assert found[0] is None
    assert [prices.per_token("input") for prices in found if prices] == [per_token("2e-6"), per_token("1e-6")]


def test_a_price_ends_before_its_last_date() -> None:
    row = a_row(effective_to=date(2025, 6, 1))
    assert prices_of(row, on=date(2025, 5, 31)) is not None
    assert prices_of(row, on=date(2025, 6, 1)) is None


def test_a_row_of_ones_own_goes_before_a_younger_one_from_the_map_and_its_tiers() -> None:
    prices = prices_of(
        a_row(price="0.000001", effective_from=date(2025, 1, 1), source="contract 17"),
        a_row(price="0.000009", effective_from=date(2025, 9, 1), source="litellm 1.2.3"),
        a_row(price="0.000018", effective_from=date(2025, 9, 1), source="litellm 1.2.3", tier_start=200_000),
    )
    assert prices is not None
    assert prices.per_token("input", 300_000) == per_token("0.000001")


def test_a_tier_covers_the_whole_call_once_its_prompt_is_longer_than_the_start() -> None:
    prices = prices_of(
        a_row("input", "0.000003"),
        a_row("input", "0.000006", tier_start=200_000),
        a_row("output", "0.000015"),
        a_row("output", "0.0000225", tier_start=200_000),
    )
    at_start = Usage(input_tokens=200_000, output_tokens=10)
    beyond = Usage(input_tokens=1, cached_tokens=200_000, output_tokens=10)
    assert cost(at_start, prices) == Decimal("0.60015")
    assert cost(beyond, prices) == Decimal("1.200231")


@pytest.mark.parametrize(
    ("asked", "known"),
    [("small", True), ("openai/small", True), ("azure/small", False), ("proxy/openai/small", False)],
)
def test_a_name_may_leave_out_its_provider_but_never_swap_it(asked: str, known: bool) -> None:
    assert (PriceBook([a_row()]).prices_of(asked, TODAY) is not None) is known


def test_float_noise_in_a_published_price_disappears() -> None:
    assert per_token("2.8999999999999998e-07") == Decimal("2.9e-7")


# Reservations and estimates


@given(
    prompt=st.integers(0, 400_000),
    cached=st.integers(0, 50_000),
    written=st.integers(0, 50_000),
    said=st.integers(0, 5_000),
    thought=st.integers(0, 5_000),
)
def test_no_call_costs_more_than_was_reserved_for_it(
    prompt: int, cached: int, written: int, said: int, thought: int
) -> None:
    prices = prices_of(
        a_row("input", "0.000003"),
        a_row("input", "0.000006", tier_start=200_000),
        a_row("cache_write", "0.00000375"),
        a_row("cached", "0.0000003"),
        a_row("output", "0.000015"),
        a_row("reasoning", "0.00002"),
    )
    usage = Usage(
        input_tokens=prompt,
        cached_tokens=cached,
        cache_write_tokens=written,
        output_tokens=said,
        reasoning_tokens=thought,
    )
    spent, reserved = cost(usage, prices), possible_cost(prompt + cached + written, said + thought, prices)
    assert spent is not None
    assert reserved is not None
    assert spent <= reserved


def test_what_cannot_be_priced_cannot_be_reserved() -> None:
    assert possible_cost(100, 100, prices_of(a_row("input"))) is None
    assert possible_cost(100, 100, None) is None


@given(st.text())
def test_the_estimate_never_exceeds_the_bound(text: str) -> None:
    assert 0 <= estimate_tokens(text) <= token_bound(text) + 1
