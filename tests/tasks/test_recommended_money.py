"""The money of recommendations where several models serve one feature: against going through every request."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import text

from evaluations.pricing import PriceBook, PriceRow, TokenClass, costs
from evaluations.recommending.answers import saving_text
from evaluations.recommending.evidence import NothingFeasible
from evaluations.recommending.recommendation import Recommendation
from evaluations.roi import DAYS_A_MONTH
from evaluations.sample_traffic import PROFILES, sample_traffic
from tasks.costing import CostQuestion, cost_of
from tasks.mixing import MixQuestion, advise_mix
from tasks.prices import rows_of_map
from tasks.recommendation_evidence import known_of
from tasks.recommendation_lists import listed
from tasks.recommending import Ask, advise, advise_wastes, recommend_all
from tasks.rollups import roll_up_days
from tasks.store import model_use
from tasks.store.database import transaction
from tasks.store.prices import add_prices
from tests.cli.commands import assay_here, rows
from tests.landed import a_request, land
from tests.recorded_models import finished, write_models

DAYS = 14
SAME = {"large": 0.97, "middle": 0.97, "small": 0.70}
REPLIES = {"large": 5, "middle": 6, "small": 4}
"""Tokens of a reply to a case; every prompt has 40."""
USD: Mapping[str, Mapping[TokenClass, str]] = {
    "large": {"input": "0.000004", "output": "0.00001"},
    "middle": {"input": "0.0000005", "output": "0.000004"},
    "small": {"input": "0.0000002", "output": "0.000001"},
}
LONG = 5_000
"""A longer prompt costs the middle model twice as much a token."""
ASK = Ask(margin=0.05)
CENT = Decimal("0.01")


def price_of(model: str, prompt: int, reply: Decimal | int) -> Decimal:
    usd = USD[model]
    longer = 2 if model == "middle" and prompt > LONG else 1
    return Decimal(usd["input"]) * longer * prompt + Decimal(usd["output"]) * reply


def priced() -> None:
    def row(model: str, name: TokenClass, usd: Decimal, tier: int | None = None) -> PriceRow:
        return PriceRow(
            model=f"replay/{model}.jsonl",
            token_class=name,
            per_token=usd,
            effective_from=date(2026, 1, 1),
            source="doc",
            tier_start=tier,
        )

    every = [row(model, name, Decimal(usd)) for model, prices in USD.items() for name, usd in prices.items()]
    with transaction() as connection:
        add_prices(connection, [*every, row("middle", "input", Decimal(USD["middle"]["input"]) * 2, LONG)], "test")


def served(model: str, a_day: int, *, prompt: tuple[int, int], reply: tuple[int, int], **given: Any) -> None:
    """Requests of one model with prompts and replies of its own lengths, each at its price."""
    g = np.random.default_rng(len(model))
    made = []
    for day in range(DAYS):
        for n in range(a_day):
            sent, got = int(g.integers(*prompt)), int(g.integers(*reply))
            made.append(
                a_request(
                    at=datetime(2026, 5, 4, 8, tzinfo=UTC) + timedelta(days=day, minutes=n),
                    feature="colouring",
                    provider="replay",
                    model=f"{model}.jsonl",
                    input_tokens=sent,
                    output_tokens=got,
                    **{"cost": price_of(model, sent, got), **given},
                )
            )
    with transaction() as connection:
        land(connection, made)


@pytest.fixture
async def several(tmp_path: Path, store: str) -> str:
    """Three models on the same cases; all three serve the feature, each with requests of another kind."""
    suite = write_models(tmp_path / "colours", SAME, cases=120)
    for model, tokens in REPLIES.items():
        file = suite.parent / f"{model}.jsonl"
        answers = [json.loads(line) for line in file.read_text().splitlines()]
        file.write_text("".join(
            json.dumps(each | {"usage": {"input_tokens": 40, "output_tokens": tokens}}) + "\n" for each in answers
        ))  # fmt: skip
    await finished(suite)
    priced()
    served("large", 40, prompt=(200, 9_000), reply=(20, 400))
    served("large", 2, prompt=(1, 2), reply=(1, 2), usage_known=False, cost=None)
    served("middle", 30, prompt=(4_000, 12_000), reply=(5, 30))
    served("small", 10, prompt=(30, 60), reply=(900, 2_000))
    roll_up_days(None)
    return store


def requests(store: str, model: str) -> list[tuple[int, int, Decimal]]:
    """The tokens and the cost of every request that one model served and somebody priced."""
    asked = f"SELECT input_tokens, output_tokens, cost FROM requests WHERE model = '{model}.jsonl' AND cost IS NOT NULL"
    return [(prompt, reply, cost) for prompt, reply, cost in rows(store, asked)]


def a_month(amounts: Sequence[Decimal]) -> Decimal:
    return sum(amounts, Decimal(0)) / DAYS * DAYS_A_MONTH


def on_the_middle_one(store: str) -> list[Decimal]:
    """Each request of the large model as the middle one would be paid for it: it writes six tokens for five."""
    longer = Decimal(REPLIES["middle"]) / REPLIES["large"]
    return [price_of("middle", prompt, reply * longer) for prompt, reply, _ in requests(store, "large")]


def test_a_model_change_saves_what_going_through_every_request_of_the_replaced_model_says(several: str) -> None:
    answer = advise("colouring", ASK)
    assert answer.advice is not None
    best = answer.advice.best
    assert best is not None
    assert (best.current, best.recommended) == ("replay/large.jsonl", "replay/middle.jsonl")
    now = a_month([cost for _, _, cost in requests(several, "large")])
    bill = a_month([cost for model in SAME for _, _, cost in requests(several, model)])
    assert abs(best.savings.point - (now - a_month(on_the_middle_one(several)))) < CENT
    assert abs(best.savings.now - now) < CENT
    assert answer.month is not None
    assert best.savings.bill is not None
    assert max(abs(answer.month - bill), abs(best.savings.bill - bill)) < CENT
    assert best.savings.point < now < bill
    assert best.savings.of_bill(best.savings.share) == pytest.approx(float(best.savings.point / bill))
    [counted] = [each for each in best.assumptions if "only what it serves is counted" in each]
    assert "1,218 of 2,496 requests a month" in counted
    assert "61 requests a month without a known cost are in no amount" in best.assumptions
    assert any("as long as those of 560 requests" in each for each in best.assumptions)


def test_of_the_large_model_alone_is_routed_what_a_rule_would_route(several: str) -> None:
    """Whatever a rule does, it cannot save more than the strong model costs."""
    with transaction() as connection:
        month = known_of(connection, "colouring", date(2026, 6, 1)).month_of("replay/large.jsonl")
    own = [cost for _, _, cost in requests(several, "large")]
    others = [cost for model in ("middle", "small") for _, _, cost in requests(several, model)]
    assert month.cost_per_request is not None
    assert abs(month.monthly(month.cost_per_request) - a_month(own)) < CENT
    assert abs(month.others - a_month(others)) < CENT
    assert month.requests == pytest.approx(40 * float(DAYS_A_MONTH))


def test_a_mix_is_held_against_the_bill_as_it_is_and_a_model_keeps_its_own(several: str) -> None:
    found = advise_mix(MixQuestion(goal="cost", feature_floor=0.9)).mix
    assert found.models == {"colouring": "replay/middle.jsonl"}
    bill = {model: a_month([cost for _, _, cost in requests(several, model)]) for model in SAME}
    assert found.current_cost is not None
    assert found.saving is not None
    assert abs(found.current_cost - sum(bill.values())) < CENT
    assert found.changes == ("colouring",), "one model instead of three"
    with transaction() as connection:
        known = known_of(connection, "colouring", date(2026, 6, 1)).measured
    assert known is not None
    middle, small = (known.bench.of(f"replay/{name}.jsonl").cost_per_request for name in ("middle", "small"))
    assert middle is not None
    assert small is not None
    expected = a_month(on_the_middle_one(several)) + bill["middle"] + bill["small"] * middle / small
    assert abs(found.monthly_cost - expected) < CENT
    assert found.saving == found.current_cost - found.monthly_cost


def test_a_month_is_priced_by_the_length_of_every_prompt_and_says_so_where_only_averages_are_left(several: str) -> None:
    """Prompts lie on both sides of where the middle model's tier begins."""
    asked = CostQuestion(models=("replay/middle.jsonl",), features=("colouring",))
    every = [each for model in SAME for each in requests(several, model)]
    by_request = a_month([price_of("middle", prompt, reply) for prompt, reply, _ in every])
    [found] = cost_of(asked).months
    [(known, asked_for)] = rows(several, "SELECT count(*) FILTER (WHERE usage_known), count(*) FROM requests")
    assert found.month is not None
    assert abs(found.month - by_request * asked_for / known) < CENT
    assert found.low is not None
    assert found.low < found.month
    assert not any("average" in note for note in found.notes)
    with pytest.MonkeyPatch.context() as few:
        few.setattr(model_use, "MOST_BANDED", asked_for - 1)
        assert "of 14 of 14 days only the average prompt" in " ".join(cost_of(asked).months[0].notes)
    with transaction() as connection:
        connection.execute(text("DELETE FROM requests WHERE at < '2026-05-11'"))
    [half] = cost_of(asked).months
    assert "of 7 of 14 days only the average prompt is known" in " ".join(half.notes)
    assert half.month is not None
    assert half.month != found.month
    table = assay_here("cost", "replay/middle.jsonl", "--feature", "colouring")
    assert "of 7 of 14 days only the average prompt is known, and its price is taken" in table.out
    stated = assay_here(
        "cost", "replay/middle.jsonl", "--units", "100", "--input-tokens", "6000", "--output-tokens", "9"
    )
    assert "taken are those of the stated unit" in stated.out


def test_a_budget_is_that_of_the_feature_with_what_other_models_cost_it(several: str) -> None:
    others = a_month([cost for model in ("middle", "small") for _, _, cost in requests(several, model)])
    replaced = a_month(on_the_middle_one(several))
    with pytest.raises(NothingFeasible, match="of it other models"):
        advise("colouring", Ask(mode="budget", margin=0.05, budget=others))
    enough = advise("colouring", Ask(mode="budget", margin=0.05, budget=(others + replaced) * Decimal("1.2")))
    assert enough.advice is not None
    assert enough.advice.best is not None
    assert enough.advice.best.recommended == "replay/middle.jsonl"


def test_a_model_that_served_nothing_yet_saves_nothing_yet(several: str) -> None:
    """Its share is told all the same: what it will save is a matter of how much it will serve."""
    with transaction() as connection:
        connection.execute(text("DELETE FROM usage_daily WHERE model = 'large.jsonl'"))
    answer = advise("colouring", Ask(margin=0.05, incumbent="replay/large.jsonl"))
    assert answer.advice is not None
    best = answer.advice.best
    assert best is not None
    assert {best.savings.low, best.savings.point, best.savings.high} == {Decimal(0)}
    assert best.impact == "low"
    assert best.savings.share > 0.3
    assert any("nothing is saved yet" in each for each in best.assumptions)
    assert saving_text(best).startswith("saves nothing yet: ")


def test_a_model_whose_requests_have_no_known_cost_has_no_saving_and_a_way_to_one(several: str) -> None:
    with transaction() as connection:
        connection.execute(text("UPDATE usage_daily SET cost = NULL, priced = 0, unpriced = requests"))
    answer = advise("colouring", ASK)
    assert answer.advice is not None
    best = answer.advice.best
    assert best is not None
    assert (answer.month, best.savings.point) == (None, Decimal(0))
    assert any("`assay reprice` finds costs" in each for each in best.assumptions)


def test_what_is_told_of_one_feature_never_adds_up_to_more_than_its_bill(several: str) -> None:
    [waste] = advise_wastes("colouring")
    answer = advise("colouring", ASK)
    assert answer.month is not None
    told: list[Recommendation] = [*answer.best, *waste.wastes]
    assert all(each.savings.point <= each.savings.now <= answer.month for each in told)


async def test_what_failed_and_was_billed_is_part_of_what_a_request_costs(tmp_path: Path, store: str) -> None:
    """Every second answer of the middle model came at the second try; the first one failed and cost 0.006."""
    run_id = await finished(write_models(tmp_path / "colours", {"large": 0.97, "middle": 0.97}, cases=120))
    columns = "run_id, position, variant, repeat, input_tokens, cached_tokens, cache_write_tokens, output_tokens, "
    columns += "reasoning_tokens, queue_ms, tries, from_cache, contaminated, simulated, error_message"
    with transaction() as connection:
        connection.execute(
            text(f"""
                INSERT INTO answers ({columns}, attempt, superseded, status, error_type, usage_known, cost)
                SELECT {columns}, 0, true, 'error', 'timeout', false, 0.006 FROM answers
                WHERE run_id = :run AND variant = 1 AND position % 2 = 0
            """),
            {"run": run_id},
        )
        # Of every third case it never answered: 0.002 was billed for each, and some failed free of charge.
        connection.execute(
            text("""
                UPDATE answers SET status = 'error', text = NULL, error_type = 'server', usage_known = false,
                       cost = CASE WHEN position = 3 THEN NULL ELSE 0.002 END
                WHERE run_id = :run AND variant = 1 AND position % 3 = 0 AND NOT superseded
            """),
            {"run": run_id},
        )
    with transaction() as connection:
        measured = known_of(connection, "colouring", date(2026, 6, 1)).measured
    assert measured is not None
    found = measured.bench.of("replay/middle.jsonl")
    assert (found.calls, found.errors) == (120, 40)
    for position, cost in zip(measured.positions, found.costs, strict=True):
        first = Decimal("0.006") if position % 2 == 0 else Decimal(0)
        last = Decimal("0.002") if position % 3 == 0 else Decimal("0.004")
        assert cost == (None if position == 3 else first + last)


@pytest.mark.slow
def test_of_the_sample_traffic_in_a_store_a_fifth_of_the_whole_bill_is_surely_saved(store: str) -> None:
    """As `assay demo` finds it, at the list's prices."""
    made = sample_traffic(date(2026, 5, 3), days=28)
    names = {f"{each.provider}/{each.model}" for each in PROFILES}
    listed_prices = [row for row in rows_of_map() if row.model in names]
    book = PriceBook(listed_prices)
    kept = ("feature", "category", "provider", "model", "prompt_version", "status", "input_tokens", "cached_tokens",
            "output_tokens")  # fmt: skip
    with transaction() as connection:
        add_prices(connection, listed_prices, "test")
        land(connection, [
            a_request(
                at=datetime.fromisoformat(each["at"]), cost=_billed(book, each), **{name: each[name] for name in kept}
            )
            for each in made.requests
        ])  # fmt: skip
    roll_up_days(None)
    recommend_all()
    _, decided = listed(None, None, "open")
    found = decided.of_bill
    assert found is not None
    assert 0.20 <= found.share_low <= found.share <= found.share_high
    [(bill,)] = rows(store, "SELECT sum(cost) FROM requests")
    assert abs(found.bill - a_month([bill / 2])) < CENT, "of twenty-eight days, not of fourteen"


def _billed(book: PriceBook, each: Mapping[str, Any]) -> Decimal | None:
    tokens: dict[TokenClass, int] = {
        "input": each["input_tokens"], "cached": each["cached_tokens"], "output": each["output_tokens"]
    }  # fmt: skip
    parts = costs(tokens, book.prices_of(f"{each['provider']}/{each['model']}", date(2026, 5, 30)))
    return None if parts is None else sum(parts.values(), Decimal(0))
