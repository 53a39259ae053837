"""Money that brought nothing is found, with its share of the cost and how sure it is."""

from decimal import Decimal

import numpy as np
import pytest

from evaluations.recommending import wastes
from evaluations.recommending.evidence import Workload
from evaluations.recommending.wastes import HABITS, Call, Habit, Sampled, Waste, habit_to_change

MONTH = Workload(feature="chat", requests=10_000, requests_low=9_000, requests_high=11_000)


def call(prompt: str = "0.001", output: str = "0.003", **given: object) -> Call:
    return Call(prompt_cost=Decimal(prompt), output_cost=Decimal(output), **given)  # type: ignore[arg-type]


def test_every_way_of_wasting_is_counted_in_exact_dollars() -> None:
    calls = [
        call(prompt_tokens=100, output_tokens=300, prompt_key="a"),
        call(prompt_tokens=100, output_tokens=300, prompt_key="a"),
        call(prompt_tokens=400, output_tokens=600, failed_cost=Decimal("0.002"), tries=3, truncated=True),
    ]
    # The third call costs 0.006: its tries, its prompt and its reply.
    assert wastes.retries(calls).wasted == Decimal("0.002")
    assert wastes.truncated(calls).wasted == Decimal("0.006")
    assert wastes.duplicate_prompts(calls).wasted == Decimal("0.004")
    assert wastes.long_outputs(calls, 400).wasted == Decimal("0.001")
    assert wastes.long_prompts(calls, 100).wasted == Decimal("0.00075")
    assert {wastes.retries(calls).cost, wastes.truncated(calls).cost} == {Decimal("0.014")}
    assert [each.affected for each in (wastes.retries(calls), wastes.duplicate_prompts(calls))] == [1, 1]


def test_a_call_without_a_price_is_counted_and_in_no_sum() -> None:
    unpriced = Call(prompt_cost=None, output_cost=Decimal(1), truncated=True)
    found = wastes.truncated([unpriced, *[call(truncated=True), call()] * 30])
    assert (found.unpriced, found.calls, found.units, found.affected) == (1, 61, 60, 30)
    advice = habit_to_change("truncated", found, MONTH)
    assert advice is not None
    assert "1 call without a price are left out" in advice.risks


def test_tests_on_more_cases_than_needed_waste_the_rest_of_them() -> None:
    tests = [Sampled(cost=Decimal(10), cases=1_000, needed=250), Sampled(cost=Decimal(4), cases=100, needed=400)]
    found = wastes.over_sampled(tests)
    assert (found.wasted, found.cost, found.affected) == (Decimal("7.5"), Decimal(14), 1)


def test_the_share_has_the_interval_of_a_bootstrap() -> None:
    g = np.random.default_rng(1)
    cost = g.gamma(2.0, 0.01, 600)
    wasted = np.where(g.random(600) < 0.2, cost, 0.0)
    found = Waste.of(
        [Decimal(repr(each)) for each in cost.tolist()],
        [Decimal(repr(each)) for each in wasted.tolist()],
        calls=600,
        affected=int((wasted > 0).sum()),
    )
    drawn = g.integers(0, 600, (4_000, 600))
    low, high = np.quantile(wasted[drawn].sum(axis=1) / cost[drawn].sum(axis=1), [0.025, 0.975])
    assert found.share is not None
    assert (found.share.low, found.share.high) == pytest.approx((low, high), abs=0.004)


@pytest.mark.parametrize("habit", list(HABITS))
def test_a_waste_that_surely_matters_becomes_a_recommendation(habit: Habit) -> None:
    found = habit_to_change(habit, wastes.truncated([call(truncated=True), call(), call(), call()] * 50), MONTH)
    assert found is not None
    assert found.kind == HABITS[habit].kind
    assert found.savings.now == 10_000 * Decimal("0.004")
    assert found.savings.point == pytest.approx(10)
    assert found.savings.low < 10 < found.savings.high
    assert ("answers change" in found.tradeoffs) == HABITS[habit].changes_answers
    assert found.n == 200


def test_one_lucky_case_of_waste_is_no_recommendation() -> None:
    assert habit_to_change("truncated", wastes.truncated([call(truncated=True), *[call()] * 20]), MONTH) is None
    assert habit_to_change("truncated", wastes.truncated([]), MONTH) is None
    assert habit_to_change("truncated", wastes.truncated([call(truncated=True)]), MONTH) is None


def test_a_waste_below_the_floor_is_left_alone_however_sure_it_is() -> None:
    found = wastes.truncated([call("0.00001", "0", truncated=True), call("0.01", "0")] * 500)
    assert habit_to_change("truncated", found, MONTH) is None
    assert habit_to_change("truncated", found, MONTH, least_share=0.0001) is not None
