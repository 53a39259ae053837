"""Prices in the store: taken over once, extended by what is new, never changed."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from evaluations.errors import AssayError
from evaluations.pricing import Hours, PriceRow, per_token
from tasks import price_sync
from tasks.price_sync import apply_sync, planned_sync, seed_prices
from tasks.prices import FIRST_DAY, map_source, rows_of_map
from tasks.settings import Settings
from tasks.store.database import transaction
from tasks.store.prices import add_prices, all_prices, price_book, price_history, priced_models

TODAY = datetime.now(UTC).date()


def a_row(price: str = "1e-6", **given: Any) -> PriceRow:
    settings: dict[str, Any] = {"model": "openai/small", "effective_from": FIRST_DAY, "source": "litellm 1.1"}
    return PriceRow(per_token=per_token(price), **({"token_class": "input"} | settings | given))


@pytest.fixture
def lists(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """What the installed packages say, in place of their thousands of models."""

    def say(*rows: PriceRow, curated: tuple[PriceRow, ...] = ()) -> None:
        monkeypatch.setattr(price_sync, "rows_of_map", lambda: iter(rows))
        monkeypatch.setattr(price_sync, "map_source", lambda: rows[0].source if rows else "litellm none")
        monkeypatch.setattr("tasks.curated_prices.rows_of_curated", lambda names: iter(curated))

    return say


def dump(url: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT * FROM model_prices ORDER BY id").fetchall()


def sync(given: Settings) -> int:
    with transaction() as connection:
        return apply_sync(connection, planned_sync(connection, given), given)


def test_a_row_comes_back_from_the_store_as_it_was(store: str) -> None:
    rows = [
        a_row(),
        a_row("2e-6", tier_start=200_000, service="batch"),
        a_row("1.2e-11", token_class="cached_audio", hours=Hours.read("12345 16:30-00:30"), effective_to=TODAY),
        a_row("0.005", token_class="request", currency="EUR", source="our contract"),
    ]
    with transaction() as connection:
        assert add_prices(connection, rows, "test") == 4
        assert add_prices(connection, rows, "test") == 0
        assert all_prices(connection) == rows
        assert [each.row for each in price_history(connection, "small")] == rows
        assert priced_models(connection) == ["openai/small"]


def test_a_region_is_found_beside_its_model(store: str) -> None:
    with transaction() as connection:
        add_prices(connection, [a_row(), a_row("2e-6", model="openai/eu/small")], "test")
        book = price_book(connection, ["small"], ["eu"])
    prices = book.prices_of("small", TODAY, region="eu")
    assert prices is not None
    assert prices.per_token("input") == per_token("2e-6")


def test_seeding_takes_the_installed_map_over_once(store: str) -> None:
    for _ in range(2):
        with transaction() as connection:
            seed_prices(connection, Settings(home=Path("/nowhere")))
    rows = dump(store)
    assert len(rows) == len({(row.model, row.place) for row in rows_of_map()})
    with transaction() as connection:
        assert {row.source for row in all_prices(connection)} == {map_source()}


def test_a_newer_map_changes_today_and_not_the_past(store: str, tmp_path: Path, lists: Callable[..., None]) -> None:
    given = Settings(home=tmp_path)
    for rows in ([a_row()], [a_row("3e-6", source="litellm 1.2")]):
        lists(*rows)
        with transaction() as connection:
            seed_prices(connection, given)
    with transaction() as connection:
        book = price_book(connection, ["openai/small"])
    today = datetime.now(UTC).date()  # not that of the first test: a newer map counts from the day on which it was seen
    found = [book.prices_of("openai/small", day) for day in (date(2025, 1, 1), today)]
    assert [prices and prices.per_token("input") for prices in found] == [per_token("1e-6"), per_token("3e-6")]


def test_a_sync_adds_what_differs_and_touches_no_row(store: str, tmp_path: Path, lists: Callable[..., None]) -> None:
    given = Settings(home=tmp_path)
    lists(a_row(), a_row(model="openai/other"))
    assert sync(given) == 2
    before = dump(store)
    dated = a_row("9e-6", source="genai-prices 1, dated", effective_to=date(2025, 6, 1))
    lists(a_row("3e-6", source="litellm 1.2"), a_row(model="openai/other", source="litellm 1.2"), curated=(dated,))
    with transaction() as connection:
        plan = planned_sync(connection, given)
    assert dump(store) == before, "looking wrote something"
    assert [(each.source, each.before, each.after) for each in plan.changes] == [
        ("litellm 1.2", per_token("1e-6"), per_token("3e-6")),
        ("genai-prices 1, dated", None, per_token("9e-6")),
    ]
    assert sync(given) == 2
    assert dump(store)[: len(before)] == before
    assert sync(given) == 0


def test_ones_own_file_goes_before_every_list_and_an_edited_entry_is_refused(
    store: str, tmp_path: Path, lists: Callable[..., None]
) -> None:
    given = Settings(home=tmp_path)
    lists(a_row())
    own = tmp_path / "prices.yaml"
    entry = "prices: [{{model: openai/small, from: 2025-01-01, source: our contract, usd_per_million: {{input: {}}}}}]"
    own.write_text(entry.format("0.7"))
    assert sync(given) == 2
    with transaction() as connection:
        prices = price_book(connection, ["openai/small"]).prices_of("openai/small", TODAY)
    assert prices is not None
    assert prices.per_token("input") == per_token("7e-7")
    own.write_text(entry.format("0.5"))
    before = dump(store)
    for attempt in (lambda: sync(given), lambda: _seed(given)):
        with pytest.raises(AssayError, match="rows are never changed; undo the edit"):
            attempt()
    assert dump(store) == before


def _seed(given: Settings) -> None:
    with transaction() as connection:
        seed_prices(connection, given)


def test_the_installed_lists_converge_in_one_sync(store: str, tmp_path: Path) -> None:
    given = Settings(home=tmp_path)
    assert sync(given) > 10_000
    with transaction() as connection:
        again = planned_sync(connection, given, ["openai/o3-2025-04-16-of-nobody"])
        book = price_book(connection, ["openai/o3"])
    assert {row.model for row in again.rows} <= {"openai/o3-2025-04-16-of-nobody"}
    assert (again.changes, again.conflicts, again.unlisted) == ((), (), ())
    found = {day: book.prices_of("openai/o3", day) for day in (date(2025, 6, 9), date(2025, 6, 10))}
    assert [prices and prices.per_token("input") for prices in found.values()] == [Decimal("1e-5"), Decimal("2e-6")]
