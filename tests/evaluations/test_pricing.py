"""Costs are exact, dated and never a silent zero."""

import gzip
import json
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluations.answers import Usage
from evaluations.pricing import (
    PRICE_CLASSES,
    SERVICES,
    Hours,
    PriceBook,
    PriceRow,
    Prices,
    Service,
    TokenClass,
    cost,
    costs,
    estimate_tokens,
    per_token,
    possible_cost,
    read_price_class,
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


CLASS_OF_PRICE: dict[str, TokenClass] = {
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
        if name not in CLASS_OF_PRICE:
            continue
        tiers = {None: price} if not isinstance(price, dict) else {None: price["base"]}
        if isinstance(price, dict):
            tiers |= {tier["start"]: tier["price"] for tier in price["tiers"]}
        for start, value in tiers.items():
            usd = per_token(Decimal(value) / MILLION)
            rows.append(a_row(CLASS_OF_PRICE[name], str(usd), model="vendor/model", tier_start=start))
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


# Services, hours, regions, fees, editions of a list


def test_a_batch_call_takes_batch_prices_and_for_the_rest_the_standard_ones() -> None:
    rows = [
        a_row("input", "0.000002"),
        a_row("output", "0.000008"),
        a_row("cache_write", "0.0000025"),
        a_row("input", "0.000001", service="batch"),
        a_row("output", "0.000004", service="batch"),
    ]
    prices = PriceBook(rows).prices_of("openai/small", TODAY, service="batch")
    usage = Usage(input_tokens=10, cache_write_tokens=10, output_tokens=10)
    assert cost(usage, prices) == Decimal("0.000075")


def test_a_service_that_a_model_has_no_price_for_is_unpriced() -> None:
    book = PriceBook([a_row("input"), a_row("output"), a_row("input", "0.000003", service="priority")])
    assert book.prices_of("openai/small", TODAY, service="flex") is None
    priority = book.prices_of("openai/small", TODAY, service="priority")
    assert cost(Usage(input_tokens=1), priority) == Decimal("0.000003")
    # The standard price of the output would be too cheap.
    assert cost(Usage(input_tokens=1, output_tokens=1), priority) is None


def test_a_long_batch_call_without_a_batch_price_for_its_length_errs_on_the_dear_side() -> None:
    rows = [a_row("input", "2e-6"), a_row("input", "4e-6", tier_start=200_000), a_row("input", "1e-6", service="batch")]
    prices = PriceBook(rows).prices_of("openai/small", TODAY, service="batch")
    assert prices is not None
    assert prices.per_token("input", 200_000) == per_token("1e-6")
    assert prices.per_token("input", 200_001) == per_token("4e-6")


NIGHT = Hours.read("16:30-00:30")


@pytest.mark.parametrize(
    ("at", "usd"),
    [
        (datetime(2025, 11, 6, 16, 29, 59, tzinfo=UTC), "0.000004"),
        (datetime(2025, 11, 6, 16, 30, tzinfo=UTC), "0.000001"),
        (datetime(2025, 11, 7, 0, 29, tzinfo=UTC), "0.000001"),
        (datetime(2025, 11, 7, 0, 30, tzinfo=UTC), "0.000004"),
        (datetime(2025, 11, 6, 18, 0, tzinfo=timezone(timedelta(hours=9))), "0.000004"),
        (datetime(2025, 11, 6, 17, 0), "0.000001"),
        (date(2025, 11, 6), "0.000004"),
    ],
)
def test_the_price_of_the_hour_counts_and_without_an_hour_the_dearest(at: date, usd: str) -> None:
    prices = prices_of(a_row(price="0.000004"), a_row(price="0.000001", hours=NIGHT), on=at)
    assert cost(Usage(input_tokens=1), prices) == Decimal(usd)


def test_hours_over_midnight_belong_to_the_weekday_on_which_they_begin() -> None:
    friday_night = Hours.read("5 22:00-06:00")
    assert friday_night.hold_at(datetime(2025, 11, 7, 23, 0, tzinfo=UTC))
    assert friday_night.hold_at(datetime(2025, 11, 8, 5, 59, tzinfo=UTC))
    assert not friday_night.hold_at(datetime(2025, 11, 7, 5, 59, tzinfo=UTC))
    assert not friday_night.hold_at(datetime(2025, 11, 8, 23, 0, tzinfo=UTC))
    weekend = Hours.read("67 00:00-00:00")
    found = [day for day in range(3, 10) if weekend.hold_at(datetime(2025, 11, day, 12, tzinfo=UTC))]
    assert found == [8, 9]


@given(
    st.sampled_from(PRICE_CLASSES),
    st.sampled_from(SERVICES),
    st.none() | st.builds(Hours, st.times(), st.times(), st.sampled_from(["1234567", "67", "3"])),
)
def test_what_the_store_keeps_of_a_class_can_be_read_again(
    token_class: TokenClass, service: Service, hours: Hours | None
) -> None:
    hours = hours and Hours(hours.start.replace(second=0, microsecond=0), hours.end.replace(second=0, microsecond=0))
    row = a_row(token_class, service=service, hours=hours)
    assert read_price_class(row.price_class) == (token_class, service, hours)


@pytest.mark.parametrize("said", ["", "inputs", "cheap input", "input @25:00-26:00", "input @8 01:00-02:00"])
def test_a_class_that_nobody_knows_is_refused(said: str) -> None:
    with pytest.raises(ValueError, match=r"price class|weekdays|hour|isoformat"):
        read_price_class(said)


def test_a_region_has_its_own_prices_or_those_of_the_model() -> None:
    book = PriceBook([a_row(price="0.000001"), a_row(price="0.0000011", model="openai/eu/small")])
    found = {region: book.prices_of("small", TODAY, region=region) for region in ("eu", "us", None)}
    assert {region: prices and prices.per_token("input") for region, prices in found.items()} == {
        "eu": per_token("1.1e-6"),
        "us": per_token("1e-6"),
        None: per_token("1e-6"),
    }


def test_a_request_fee_is_paid_once_a_call_and_a_search_by_the_piece() -> None:
    rows = [a_row("input"), a_row("request", "0.005"), a_row("web_search", "0.01")]
    prices = prices_of(*rows)
    assert costs({"input": 10, "web_search": 3}, prices) == {
        "input": Decimal("0.00001"),
        "web_search": Decimal("0.03"),
        "request": Decimal("0.005"),
    }
    assert costs({}, prices) == {}
    assert costs({"input": 10, "web_search": 3}, prices_of(a_row("input"))) is None


def test_a_price_that_a_public_list_withdrew_does_not_linger() -> None:
    old, new = "litellm 1.1", "litellm 1.2"
    rows = [
        a_row("input", "3e-6", source=old),
        a_row("input", "6e-6", source=old, tier_start=200_000),
        a_row("input", "3e-6", source=new, effective_from=date(2025, 6, 1)),
    ]
    before, after = prices_of(*rows, on=date(2025, 5, 31)), prices_of(*rows, on=date(2025, 6, 1))
    assert before is not None
    assert after is not None
    assert before.per_token("input", 300_000) == per_token("6e-6")
    assert after.per_token("input", 300_000) == per_token("3e-6")


def test_one_public_list_is_used_and_never_a_mixture_of_two() -> None:
    rows = [
        a_row("input", "1e-6", source="genai-prices 0.2.3"),
        a_row("cached", "1e-7", source="genai-prices 0.2.3"),
        a_row("input", "2e-6", source="litellm 1.1"),
    ]
    prices = prices_of(*rows)
    assert prices is not None
    assert (prices.per_token("input"), prices.per_token("cached")) == (per_token("2e-6"), per_token("2e-6"))


def test_a_borrowed_price_goes_behind_the_list_that_names_the_provider() -> None:
    borrowed = a_row("input", "2e-6", source="genai-prices 0.2.3, borrowed")
    both = prices_of(borrowed, a_row("input", "3e-6", source="litellm 1.1"))
    alone = prices_of(borrowed)
    assert both is not None
    assert alone is not None
    assert (both.per_token("input"), alone.per_token("input")) == (per_token("3e-6"), per_token("2e-6"))


def test_a_list_that_knows_its_dates_goes_before_one_that_does_not() -> None:
    rows = [
        a_row("input", "2e-6", source="litellm 1.1"),
        a_row("input", "9e-6", source="genai-prices 0.2.3, dated", effective_to=date(2025, 6, 1)),
        a_row("input", "3e-6", source="genai-prices 0.2.3, dated", effective_from=date(2025, 6, 1)),
    ]
    days = (date(2025, 5, 31), date(2025, 6, 1))
    found = [prices.per_token("input") for day in days if (prices := prices_of(*rows, on=day))]
    assert found == [per_token("9e-6"), per_token("3e-6")]


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


def test_what_is_reserved_is_the_dearest_price_that_the_length_allows() -> None:
    prices = prices_of(
        a_row("input", "0.000003"),
        a_row("input", "0.000002", tier_start=1_000),
        a_row("cache_write", "0.000004"),
        a_row("output", "0.00001"),
        a_row("output", "0.00003", tier_start=5_000),
    )
    assert possible_cost(0, 10, prices) == 10 * Decimal("0.00001")
    assert possible_cost(1_000, 10, prices) == 1_000 * Decimal("0.000004") + 10 * Decimal("0.00001")
    assert possible_cost(5_000, 10, prices) == 5_000 * Decimal("0.000004") + 10 * Decimal("0.00001")
    assert possible_cost(5_001, 10, prices) == 5_001 * Decimal("0.000004") + 10 * Decimal("0.00003")


def test_what_cannot_be_priced_cannot_be_reserved() -> None:
    assert possible_cost(100, 100, prices_of(a_row("input"))) is None
    assert possible_cost(100, 100, None) is None


@given(st.text())
def test_the_estimate_never_exceeds_the_bound(text: str) -> None:
    assert 0 <= estimate_tokens(text) <= token_bound(text) + 1
