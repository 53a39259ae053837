"""A saving is held against what the same requests would have cost, not against another month."""

from decimal import Decimal

import numpy as np
import pytest

from evaluations.recommending.evidence import NoIncumbentData, Workload
from evaluations.recommending.recommendation import Savings
from evaluations.recommending.remeasuring import Stratum, remeasure
from evaluations.recommending.savings import savings_of
from evaluations.roi import DAYS_A_MONTH

MONTH = DAYS_A_MONTH / 30
"""Months that thirty days are, upside down: what a sum of thirty days is multiplied by."""


def projected(share: float = 0.5) -> Savings:
    month = Workload(feature="chat", requests=3_000, requests_low=2_800, requests_high=3_200)
    return savings_of(
        month, Decimal("0.01"), share=Decimal(str(share)), low=share - 0.05, high=share + 0.05, n=100, basis=""
    )


def stratum(requests: int, unit: str, spread: float = 0.2) -> Stratum:
    """Requests that cost so much on average, each by `spread` of it more or less."""
    mean = float(unit)
    squares = requests * mean * mean * (1 + spread**2)
    return Stratum(requests=requests, cost=requests * Decimal(unit), squares=squares)


def test_fewer_requests_are_no_saving() -> None:
    found = remeasure(
        projected(), {"all": stratum(3_000, "0.01")}, {"all": stratum(1_000, "0.01")}, before_days=30, after_days=30
    )
    assert found.realised == 0
    assert found.kept == "not shown"
    assert found.naive == found.by_volume == pytest.approx(20 * MONTH)


def test_a_mix_that_became_cheaper_is_no_saving() -> None:
    before = {"long": stratum(1_000, "0.02"), "short": stratum(1_000, "0.002")}
    after = {"long": stratum(100, "0.02"), "short": stratum(1_900, "0.002")}
    found = remeasure(projected(), before, after, before_days=30, after_days=30)
    assert found.realised == 0
    assert found.by_volume == 0
    assert found.naive == found.by_mix > 0


def test_a_lower_price_of_the_old_model_is_no_saving() -> None:
    found = remeasure(
        projected(),
        {"all": stratum(1_000, "0.01")},
        {"all": stratum(1_000, "0.008")},
        before_days=30,
        after_days=30,
        price_change=Decimal("0.8"),
    )
    assert found.realised == 0
    assert found.naive == found.by_price == pytest.approx(2 * MONTH)


@pytest.mark.parametrize(("unit", "kept"), [("0.005", "as projected"), ("0.009", "less"), ("0.001", "more")])
def test_what_was_realised_stands_beside_what_was_projected(unit: str, kept: str) -> None:
    found = remeasure(
        projected(), {"all": stratum(3_000, "0.01")}, {"all": stratum(3_000, unit)}, before_days=30, after_days=30
    )
    assert found.kept == kept
    assert found.share == pytest.approx(1 - float(unit) / 0.01)
    assert found.realised == pytest.approx(3_000 * (Decimal("0.01") - Decimal(unit)) * MONTH)


@pytest.mark.parametrize("seed", range(5))
def test_the_parts_add_up_to_what_a_month_costs_less(seed: int) -> None:
    g = np.random.default_rng(seed)

    def period() -> dict[str, Stratum]:
        return {name: stratum(int(g.integers(50, 900)), f"{g.uniform(0.001, 0.02):.6f}") for name in "abc"}

    found = remeasure(projected(), period(), period(), before_days=28, after_days=14, price_change=Decimal("0.9"))
    parts = found.by_volume + found.by_mix + found.by_price + found.realised
    assert float(parts) == pytest.approx(float(found.naive), abs=1e-12)


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    g = np.random.default_rng(7)
    runs, held = 1_000, 0
    for _ in range(runs):
        before, after = g.gamma(2.0, 0.005, 200), g.gamma(2.0, 0.003, 200)
        found = remeasure(projected(), {"all": of(before)}, {"all": of(after)}, before_days=30, after_days=30)
        truth = 200 * 0.004 * float(DAYS_A_MONTH) / 30
        held += float(found.realised_low) <= truth <= float(found.realised_high)
    assert held / runs >= 0.95 - 2.33 * (0.0475 / runs) ** 0.5


def of(costs: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> Stratum:
    return Stratum(requests=costs.size, cost=Decimal(repr(float(costs.sum()))), squares=float((costs**2).sum()))


def test_what_did_not_occur_before_is_left_out_and_counted() -> None:
    before = {"known": stratum(500, "0.01"), "rare": stratum(3, "0.01")}
    after = {"known": stratum(500, "0.005"), "new": stratum(70, "0.005"), "rare": stratum(30, "0.005")}
    found = remeasure(projected(), before, after, before_days=30, after_days=30)
    assert (found.requests, found.left_out, found.left_out_before) == (500, 100, 3)
    assert found.left_out_cost == pytest.approx(Decimal("0.5") * MONTH)
    assert found.left_out_cost_before == pytest.approx(Decimal("0.03") * MONTH)
    with pytest.raises(NoIncumbentData, match="seen then: new"):
        remeasure(projected(), before, {"new": stratum(10, "0.1")}, before_days=30, after_days=30)


def test_a_kind_of_request_that_came_once_after_the_change_does_not_make_the_interval_endless() -> None:
    before = {"known": stratum(500, "0.01"), "once": stratum(500, "0.01")}
    after = {"known": stratum(500, "0.005"), "once": stratum(1, "0.005")}
    found = remeasure(projected(), before, after, before_days=30, after_days=30)
    assert (found.requests, found.left_out) == (500, 1)
    assert found.realised_low.is_finite()
    assert 0 < found.realised_low < found.realised < found.realised_high


@pytest.mark.parametrize("seed", range(4))
def test_both_times_are_of_the_same_kinds_of_request_as_if_each_one_were_gone_through(seed: int) -> None:
    """A kind that ended with the change is no saving and no fall of the volume; neither is one that began with it."""
    g = np.random.default_rng(seed)

    def period(kinds: str, mean: float) -> list[tuple[str, Decimal]]:
        drawn, costs = g.choice(list(kinds), 900), g.gamma(2.0, mean / 2, 900)
        return [(str(kind), Decimal(round(each * 1e6)).scaleb(-6)) for kind, each in zip(drawn, costs, strict=True)]

    before, after = period("abe", 0.01), period("abn", 0.004)
    found = remeasure(projected(), strata(before), strata(after), before_days=28, after_days=14)
    then, now = DAYS_A_MONTH / 28, DAYS_A_MONTH / 14
    paid_before, paid_after = paid(before, "ab"), paid(after, "ab")
    unit = {kind: paid(before, kind) / sum(each == kind for each, _ in before) for kind in "ab"}
    as_before = sum((unit[kind] for kind, _ in after if kind in "ab"), Decimal(0))
    compared = [sum(kind in "ab" for kind, _ in each) for each in (before, after)]
    assert found.naive == pytest.approx(paid_before * then - paid_after * now)
    assert found.realised == pytest.approx((as_before - paid_after) * now)
    assert found.by_volume == pytest.approx(paid_before * then - paid_before / compared[0] * compared[1] * now)
    assert found.by_mix == pytest.approx(paid_before / compared[0] * compared[1] * now - as_before * now)
    assert (found.requests, found.left_out, found.left_out_before) == (
        compared[1],
        900 - compared[1],
        900 - compared[0],
    )
    assert found.left_out_cost_before == pytest.approx(paid(before, "e") * then)
    # Nothing is lost: what is compared and what is left out are the whole of both months.
    whole = paid(before, "abe") * then - paid(after, "abn") * now
    assert found.naive + found.left_out_cost_before - found.left_out_cost == pytest.approx(whole)


def paid(requests: list[tuple[str, Decimal]], kinds: str) -> Decimal:
    return sum((cost for kind, cost in requests if kind in kinds), Decimal(0))


def strata(requests: list[tuple[str, Decimal]]) -> dict[str, Stratum]:
    return {
        kind: Stratum(
            requests=sum(each == kind for each, _ in requests),
            cost=sum((cost for each, cost in requests if each == kind), Decimal(0)),
            squares=sum(float(cost) ** 2 for each, cost in requests if each == kind),
        )
        for kind in {each for each, _ in requests}
    }
