"""Money that public tools got wrong, each bug in its essence: the same usage and prices cost here what was billed."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from evaluations.price_changes import compared
from evaluations.pricing import PriceBook, PriceRow, Prices, TokenClass, costs, per_token
from evaluations.usage import tokens_of

DAY = date(2026, 7, 27)


def a_list(model: str = "openai/model", *, source: str = "price list", **usd_per_million: str) -> list[PriceRow]:
    """Rows of a model, by class."""
    return [
        PriceRow(
            model=model,
            token_class=name,  # type: ignore[arg-type]
            per_token=per_token(Decimal(usd) / 1_000_000),
            effective_from=date(2020, 1, 1),
            source=source,
        )
        for name, usd in usd_per_million.items()
    ]


def prices(**usd_per_million: str) -> Prices | None:
    return PriceBook(a_list(**usd_per_million)).prices_of("openai/model", DAY)


def billed(usage: Mapping[str, Any], found: Prices | None) -> Decimal | None:
    parts: Mapping[TokenClass, Decimal] | None = costs(tokens_of(usage), found)
    return None if parts is None else sum(parts.values(), Decimal(0))


def test_cached_tokens_are_not_billed_at_the_full_rate() -> None:  # BerriAI/litellm#11364
    usage = {"prompt_tokens": 10_000, "completion_tokens": 0, "prompt_tokens_details": {"cached_tokens": 9_000}}
    assert billed(usage, prices(input="2", cached="0.5", output="8")) == Decimal("0.0065")


def test_every_class_of_tokens_reaches_the_bill_and_thousands_of_calls_sum_exactly() -> None:  # BerriAI/litellm#8514
    usage = {"input_tokens": 3, "output_tokens": 700, "cache_read_input_tokens": 90_000}
    usage |= {"cache_creation_input_tokens": 4_000}
    one = billed(usage, prices(input="3", cached="0.3", cache_write="3.75", output="15"))
    assert one == Decimal("0.052509")
    assert sum([one] * 14_664, Decimal(0)) == Decimal("769.991976")


def test_bedrock_input_is_without_the_cache_and_is_not_counted_again() -> None:  # BerriAI/litellm#12313
    usage = {"inputTokens": 100, "outputTokens": 10, "cacheReadInputTokens": 9_000, "cacheWriteInputTokens": 900}
    usage |= {"totalTokens": 10_010}
    assert sum(tokens_of(usage).values()) == usage["totalTokens"]
    found = prices(input="3", cached="0.3", cache_write="3.75", output="15")
    assert billed(usage, found) == Decimal("0.006525")


def test_a_reconciliation_of_forty_calls_with_the_bill_has_no_gap() -> None:  # BerriAI/litellm#34801
    # The totals of the report: every cached token counts as one. What was written to the cache is made up.
    usage = {
        "input_tokens": 73_550,
        "output_tokens": 20_480,
        "total_tokens": 94_030,
        "input_tokens_details": {"cached_tokens": 65_304, "cache_write_tokens": 8_000},
        "output_tokens_details": {"reasoning_tokens": 4_000},
    }
    found = prices(input="5", cached="0.5", cache_write="6.25", output="30")
    assert tokens_of(usage)["cached"] == 65_304
    assert billed(usage, found) == Decimal("0.698282")


def test_cache_writes_for_an_hour_are_not_billed_as_writes_for_five_minutes() -> None:  # BerriAI/litellm#42663
    usage = {
        "input_tokens": 15,
        "output_tokens": 47,
        "cache_creation_input_tokens": 4_803,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 4_803},
    }
    known = prices(input="3", cache_write="3.75", cache_write_1h="6", output="15")
    assert billed(usage, known) == Decimal("0.029568")
    assert billed(usage, prices(input="3", cache_write="3.75", output="15")) is None, "a dearer class is not guessed"


def test_cache_writes_are_found_in_the_form_that_gateways_stream_them() -> None:  # BerriAI/litellm#42663
    usage = {
        "prompt_tokens": 4_818,
        "completion_tokens": 47,
        "total_tokens": 4_865,
        "prompt_tokens_details": {
            "cached_tokens": 0,
            "cache_creation_tokens": 4_803,
            "cache_creation_token_details": {"ephemeral_1h_input_tokens": 4_803},
        },
    }
    assert tokens_of(usage) == {"input": 15, "cache_write_1h": 4_803, "output": 47}


def test_a_model_without_a_price_does_not_cost_zero() -> None:  # BerriAI/litellm#12337
    usage = {"prompt_tokens": 10, "completion_tokens": 10}
    assert billed(usage, PriceBook(a_list()).prices_of("openai/model", DAY)) is None
    assert billed(usage, prices(input="1")) is None, "half a price is none"


def test_output_beside_the_reasoning_is_billed_too() -> None:  # BerriAI/litellm#18599
    usage = {
        "completion_tokens": 482,
        "prompt_tokens": 17,
        "total_tokens": 499,
        "completion_tokens_details": {"reasoning_tokens": 448},
    }
    assert billed(usage, prices(input="0.05", output="0.4")) == Decimal("0.00019365")


def test_a_start_date_is_honoured_for_calls_before_the_price_was_written() -> None:  # langfuse/langfuse#12184
    [row] = a_list(input="3.6")
    assert PriceBook([row]).prices_of("openai/model", date(2020, 1, 1)) is not None
    assert PriceBook([row]).prices_of("openai/model", date(2019, 12, 31)) is None


def test_a_new_price_file_does_not_move_what_the_same_tokens_cost_before() -> None:  # ccusage/ccusage#1636
    usage = {"prompt_tokens": 1_000_000, "completion_tokens": 0}
    held = a_list(source="litellm 1", input="2.473")
    rows = [*held, *compared(held, a_list(source="litellm 2", input="1.924"), DAY).rows]
    book = PriceBook(rows)
    assert billed(usage, book.prices_of("openai/model", date(2026, 7, 26))) == Decimal("2.473")
    assert billed(usage, book.prices_of("openai/model", DAY)) == Decimal("1.924")


def test_usage_is_priced_at_the_rate_in_force_when_it_happened() -> None:
    # anomalyco/models.dev#4006, steipete/CodexBar#2671, kenn-io/agentsview#1540
    cut = date(2026, 7, 30)
    before, after = a_list(input="1", output="6"), a_list(input="0.2", output="1.2")
    rows = [
        *(PriceRow(**_fields(row) | {"effective_to": cut}) for row in before),
        *(PriceRow(**_fields(row) | {"effective_from": cut}) for row in after),
    ]
    usage = {"prompt_tokens": 1_000, "completion_tokens": 1_000}
    moments = (datetime(2026, 7, 29, 23, 59, 59, tzinfo=UTC), datetime(2026, 7, 30, tzinfo=UTC))
    found = [billed(usage, PriceBook(rows).prices_of("openai/model", at)) for at in moments]
    assert found == [Decimal("0.007"), Decimal("0.0014")]


def test_one_wrong_public_price_is_put_right_by_a_row_of_ones_own() -> None:  # BerriAI/litellm#20615
    wrong = a_list(source="litellm 1", input="1000000", output="8")
    right = a_list(source="the vendor's page", input="2")
    usage = {"prompt_tokens": 1_000, "completion_tokens": 100}
    assert billed(usage, PriceBook([*wrong, *right]).prices_of("openai/model", DAY)) == Decimal("0.0028")


def _fields(row: PriceRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in row.__slots__}
