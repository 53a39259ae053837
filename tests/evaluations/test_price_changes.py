"""What a list offers against what is held: new rows only, and a past price never moves."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from evaluations.price_changes import PriceChange, compared
from evaluations.pricing import PriceBook, PriceRow, TokenClass, per_token

FIRST, TODAY = date(2020, 1, 1), date(2026, 11, 21)


def a_row(token_class: TokenClass = "input", price: str = "1e-6", **given: Any) -> PriceRow:
    settings: dict[str, Any] = {"model": "openai/small", "effective_from": FIRST, "source": "litellm 1.1"}
    return PriceRow(token_class=token_class, per_token=per_token(price), **(settings | given))


def told(changes: Sequence[PriceChange]) -> list[tuple[str, str, Decimal | None, Decimal | None]]:
    return [(each.kind, each.price_class, each.before, each.after) for each in changes]


def test_a_model_that_is_not_held_is_new_since_ever() -> None:
    sync = compared([], [a_row(), a_row("output", "2e-6")], TODAY)
    assert (sync.new_models, sync.changes) == (("openai/small",), ())
    assert {row.effective_from for row in sync.rows} == {FIRST}


def test_a_list_that_says_the_same_under_another_version_adds_nothing() -> None:
    sync = compared([a_row()], [a_row(source="litellm 1.2")], TODAY)
    assert (sync.rows, sync.changes, sync.new_models) == ((), (), ())


def test_a_changed_price_holds_from_today_and_brings_its_whole_list_along() -> None:
    held = [a_row(), a_row("output", "2e-6")]
    sync = compared(
        held, [a_row(price="5e-7", source="litellm 1.2"), a_row("output", "2e-6", source="litellm 1.2")], TODAY
    )
    assert told(sync.changes) == [("changed", "input", per_token("1e-6"), per_token("5e-7"))]
    assert {(row.token_class, row.effective_from) for row in sync.rows} == {("input", TODAY), ("output", TODAY)}


def test_a_withdrawn_price_is_told_and_ends_today() -> None:
    held = [a_row(), a_row(price="2e-6", tier_start=200_000)]
    sync = compared(held, [a_row(source="litellm 1.2")], TODAY)
    [gone] = sync.changes
    assert (gone.kind, gone.tier_start, gone.before) == ("gone", 200_000, per_token("2e-6"))
    prices = PriceBook([*held, *sync.rows]).prices_of("openai/small", TODAY)
    assert prices is not None
    assert prices.per_token("input", 300_000) == per_token("1e-6")


def test_a_model_that_no_list_names_any_more_keeps_its_prices_and_is_told() -> None:
    sync = compared([a_row(model="openai/old")], [a_row()], TODAY)
    assert sync.unlisted == ("openai/old",)
    assert all(row.model != "openai/old" for row in sync.rows)


def test_a_list_with_dates_is_written_with_them() -> None:
    source = "genai-prices 0.2.3, dated"
    first = a_row(price="1e-5", source=source, effective_to=date(2025, 6, 10))
    second = a_row(price="2e-6", source=source, effective_from=date(2025, 6, 10))
    sync = compared([a_row()], [first, second], TODAY)
    assert sync.rows == (first, second)
    again = compared([a_row(), *sync.rows], [first, second], TODAY)
    assert again.rows == ()


def test_an_entry_of_ones_own_that_was_edited_is_a_conflict_and_adds_nothing() -> None:
    held = a_row(source="our contract")
    sync = compared([held], [a_row(price="2e-6", source="our contract")], TODAY)
    assert sync.rows == ()
    assert told(sync.conflicts) == [("changed", "input", per_token("1e-6"), per_token("2e-6"))]
    ended = compared([held], [a_row(source="our contract", effective_to=TODAY)], TODAY)
    assert len(ended.conflicts) == 1


def test_rows_of_names_that_meet_in_one_are_offered_once() -> None:
    assert len(compared([], [a_row(), a_row()], TODAY).rows) == 1


prices = st.sampled_from(["1e-6", "2e-6", "3e-6"])
lists = st.lists(
    st.tuples(st.sampled_from(["input", "cached", "output"]), prices), unique_by=lambda each: each[0], min_size=1
)


@given(st.lists(lists, min_size=1, max_size=6))
def test_past_prices_never_move_and_the_newest_list_holds_whatever_is_offered(
    versions: list[list[tuple[TokenClass, str]]],
) -> None:
    held: list[PriceRow] = []
    seen: dict[date, object] = {}
    for number, version in enumerate(versions):
        today = date(2026, 1, 1 + number)
        offered = [a_row(name, price, source=f"litellm {number}") for name, price in version]
        held += compared(held, offered, today).rows
        assert compared(held, offered, today).rows == (), "taking a list over twice adds nothing"
        book = PriceBook(held)
        now = book.prices_of("openai/small", today)
        assert now is not None
        assert {name: tiers[0][1] for name, tiers in now.by_class.items()} == {
            name: per_token(price) for name, price in version
        }
        for day, before in seen.items():
            then = book.prices_of("openai/small", day)
            assert then is not None
            assert then.by_class == before, "a day that is over has another price"
        seen[today] = now.by_class
