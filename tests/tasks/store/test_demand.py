"""What features ask, kept by day: kept days and days that are read say the same, and it is what their requests say."""

import asyncio
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from sqlalchemy import text

from evaluations.demand import Demand
from evaluations.histograms import RELATIVE_ERROR
from evaluations.rollups import PROMPT_TOKENS, TOKENS
from tasks import sweeping
from tasks.rollups import change_timezone, keep_demand, roll_up_days
from tasks.store.database import transaction
from tasks.store.demand import days_to_keep, demand_of, strata
from tasks.store.model_use import daily_use
from tests.cli.commands import rows
from tests.landed import a_request, land, varied

FIRST = date(2026, 5, 4)
LAST = FIRST + timedelta(days=3)
WHEN = "at >= '2026-05-04' AND at < '2026-05-08' AND feature = 'chatbot'"
PROMPT, EVERY = " + ".join(PROMPT_TOKENS), " + ".join(TOKENS)


@pytest.fixture
def traffic(store: str) -> None:
    """Four days of all sorts, in a minute of which much comes together; some of it says by which service."""
    burst = [a_request(feature="chatbot", input_tokens=9_000, category="billing") for _ in range(25)]
    with transaction() as connection:
        land(connection, [*varied(np.random.default_rng(7), 900, FIRST, days=4), *burst])
        connection.execute(
            text("UPDATE requests SET service_tier = CASE id % 5 WHEN 0 THEN 'batch' WHEN 1 THEN 'standard' END")
        )
        # As whatever is ingested: nobody reported tokens.
        none = ", ".join(f"{token} = 0" for token in TOKENS)
        connection.execute(text(f"UPDATE requests SET {none} WHERE NOT usage_known"))
    roll_up_days(None)


def asked() -> tuple[Demand, dict[str, Any]]:
    with transaction() as connection:
        return demand_of(connection, "chatbot", FIRST, LAST), dict(strata(connection, "chatbot", FIRST, LAST))


def test_what_is_kept_and_what_is_read_agree_with_the_requests(traffic: None, store: str) -> None:
    read = asked()
    assert keep_demand() == 4
    kept = asked()
    assert kept == read
    found, parts = kept

    [(requests, calls, known, batch)] = rows(
        store,
        "SELECT count(*), count(model), count(service_tier) FILTER (WHERE model IS NOT NULL), "
        f"count(*) FILTER (WHERE service_tier = 'batch' AND model IS NOT NULL) FROM requests WHERE {WHEN}",
    )
    assert (found.requests, found.calls, found.tier_known, found.tier_batch) == (requests, calls, known, batch)
    [(most, tokens, longest)] = rows(
        store,
        f"SELECT max(n), max(tokens), max(longest) FROM (SELECT count(*) AS n, sum({EVERY}) AS tokens, "
        f"max({PROMPT}) AS longest FROM requests WHERE {WHEN} AND model IS NOT NULL "
        "GROUP BY to_char(at, 'YYYY-MM-DD HH24:MI')) AS minutes",
    )
    assert (found.peak_requests_per_minute, found.peak_tokens_per_minute, found.longest_prompt) == (
        most,
        tokens,
        longest,
    )
    assert most >= 25
    for share in (0.05, 0.5, 0.95, 0.999):
        [(exact,)] = rows(
            store,
            f"SELECT percentile_disc({share}) WITHIN GROUP (ORDER BY {PROMPT}) FROM requests "
            f"WHERE {WHEN} AND model IS NOT NULL AND usage_known",
        )
        assert found.prompt_tokens(share) == pytest.approx(exact, rel=RELATIVE_ERROR, abs=1)

    by_category = {
        name: (n, cost, squares)
        for name, n, cost, squares in rows(
            store,
            "SELECT coalesce(category, ''), count(*), sum(cost), sum(CAST(cost AS float8) ^ 2) FROM requests "
            f"WHERE {WHEN} AND cost IS NOT NULL GROUP BY 1",
        )
    }
    assert {name: (each.requests, each.cost) for name, each in parts.items()} == {
        name: (n, cost) for name, (n, cost, _) in by_category.items()
    }
    for name, (_, _, squares) in by_category.items():
        assert parts[name].squares == pytest.approx(squares)


def test_kept_days_are_answered_without_their_requests(traffic: None, store: str) -> None:
    keep_demand()
    before = asked()
    with transaction() as connection:
        connection.execute(text("DELETE FROM requests"))
    assert asked() == before


def test_a_day_that_changed_is_read_until_it_is_kept_anew(traffic: None) -> None:
    keep_demand()
    before = asked()[0]
    with transaction() as connection:
        land(connection, [a_request(input_tokens=77_000, cost=Decimal(5)) for _ in range(40)])
    assert asked()[0] == before, "late rows are in no fact before they are rolled up"
    roll_up_days(None)
    with transaction() as connection:
        assert days_to_keep(connection) == [FIRST]
    changed = asked()
    assert changed[0].longest_prompt == 77_100 - 100
    assert changed[0].peak_requests_per_minute == (before.peak_requests_per_minute or 0) + 40
    assert keep_demand() == 1
    assert keep_demand() == 0
    assert asked() == changed


def test_the_price_tiers_of_prompts_are_those_of_the_requests_and_need_none_where_all_are_short(
    traffic: None, store: str
) -> None:
    def tiers(*starts: int) -> dict[date, list[tuple[int, int]]]:
        with transaction() as connection:
            use = daily_use(connection, ["chatbot"], FIRST, LAST, starts=starts)
        return {day.day: sorted((band.requests, sum(band.tokens.values())) for band in day.bands) for day in use}

    exact: dict[date, list[tuple[int, int]]] = {}
    for day, n, tokens in rows(
        store,
        f"SELECT CAST(at AS date), count(*), CAST(sum({EVERY}) AS bigint) FROM requests WHERE {WHEN} AND usage_known "
        f"GROUP BY 1, {PROMPT} > 15000, {PROMPT} > 20000 ORDER BY 1, 2, 3",
    ):
        exact.setdefault(day, []).append((n, tokens))
    assert tiers(15_000, 20_000) == exact
    keep_demand()
    assert tiers(15_000, 20_000) == exact
    with transaction() as connection:
        connection.execute(text("DELETE FROM requests"))
    together = {day: [(sum(n for n, _ in parts), sum(tokens for _, tokens in parts))] for day, parts in exact.items()}
    assert tiers(200_000) == together


def test_days_of_another_time_zone_are_other_days(traffic: None) -> None:
    keep_demand()
    change_timezone("Asia/Tokyo")
    read = asked()
    roll_up_days(None)
    keep_demand()
    assert asked() == read


def test_whoever_rolls_up_by_a_flow_keeps_the_days(traffic: None, store: str) -> None:
    asyncio.run(sweeping.roll_up_days.fn(None, None))
    assert rows(store, "SELECT count(DISTINCT day) FROM usage_demand") == [(4,)]


def test_a_feature_without_requests_asks_nothing(traffic: None) -> None:
    with transaction() as connection:
        found = demand_of(connection, "nobody", FIRST, LAST)
        assert strata(connection, "nobody", FIRST, LAST) == {}
    assert (found.requests, found.longest_prompt, found.prompt_tokens(0.95), found.batch_share) == (0, None, None, None)
