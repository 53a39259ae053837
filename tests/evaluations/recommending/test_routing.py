"""A policy learned on one half of real cases beats the line between both models on the other half."""

import csv
import gzip
from dataclasses import replace
from decimal import Decimal
from functools import lru_cache

import numpy as np
import pytest
from numpy.typing import NDArray

from evaluations.errors import AssayError
from evaluations.pricing import estimate_tokens
from evaluations.recommending.answers import sureness_text
from evaluations.recommending.evidence import Bench, Evidence, Workload
from evaluations.recommending.recommendation import Recommendation
from evaluations.recommending.routing import (
    LEARNERS,
    CategoryPolicy,
    Known,
    Routed,
    RoutedCases,
    RoutingRule,
    best_possible,
    by_category,
    halves_of,
    learned,
    models_to_route,
    recommend_routing,
    routed,
    simplest,
)
from evaluations.statistics.paired import PassPairs, tango
from tests.evaluations.recommending.worlds import world
from tests.evaluations.scoring.test_real_data import DATA, expected_of

Floats = NDArray[np.float64]
MONTH = Workload(feature="questions", requests=10_000, requests_low=9_000, requests_high=11_000)
PER_MILLION = {"strong": (10.0, 30.0), "weak": (0.6, 0.6)}
"""List prices of the two models in their day, US dollars a million tokens of prompt and reply."""


@lru_cache(maxsize=1)
def mmlu() -> RoutedCases:
    path = DATA / "routellm/mmlu.csv.gz"
    if not path.exists():
        pytest.skip(f"no {path}; set ASSAY_TEST_DATA to the folder with the third-party data")
    with gzip.open(path, "rt", encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    prompts = [row["prompt"] for row in rows]
    tokens = np.array([estimate_tokens(prompt) for prompt in prompts], dtype=np.float64)
    weak, strong = (
        np.array([row[name] == "True" for row in rows], dtype=np.float64)
        for name in ("mixtral_8x7b_correct", "gpt4_1106_correct")
    )
    # One token is replied.
    weak_cost, strong_cost = (
        (tokens * PER_MILLION[name][0] + PER_MILLION[name][1]) / 1e6 for name in ("weak", "strong")
    )
    return RoutedCases(
        known=Known.of(prompts, [row["subject"] for row in rows]),
        weak=weak,
        strong=strong,
        weak_cost=weak_cost,
        strong_cost=strong_cost,
    )


def halves(seed: int) -> tuple[RoutedCases, RoutedCases, np.random.Generator]:
    g = np.random.default_rng(seed)
    order = g.permutation(mmlu().n)
    return mmlu().at(order[: mmlu().n // 2]), mmlu().at(order[mmlu().n // 2 :]), g


def learned_and_held_out(seed: int) -> tuple[RoutingRule, Routed]:
    return found_with(seed, 0.05)


@lru_cache(maxsize=32)
def found_with(seed: int, loss: float) -> tuple[RoutingRule, Routed]:
    one, other, g = halves(seed)
    rule = learned(one, loss=loss, generator=g)
    return rule, routed(other, rule.to_strong(other.known))


def recommended(rule: RoutingRule, held_out: Routed) -> Recommendation | None:
    return recommend_routing(rule, held_out, MONTH, Decimal("0.0015"), weak="a/small", strong="a/large")


def saved_as_claimed(rule: RoutingRule, held_out: Routed) -> bool:
    """Does the claimed saving, or more, lie within what both halves leave open (one-sided 99%)?"""
    claimed, found = rule.claimed.saving, held_out.saving
    error = float(np.hypot(claimed.high - claimed.value, found.high - found.value)) / 1.96
    return found.value >= claimed.value - 2.33 * error


def test_both_models_and_the_perfect_router_are_as_published() -> None:
    expected, cases = expected_of("routellm")["mmlu"], mmlu()
    best = best_possible(cases)
    assert cases.n == expected["questions"]
    assert round(float(cases.weak.mean()), 6) == expected["mixtral_8x7b"]["rate"]
    assert round(float(cases.strong.mean()), 6) == expected["gpt4_1106"]["rate"]
    assert round(best.accuracy.value, 6) == expected["oracle_accuracy"]
    assert round(best.strong_share, 6) == expected["oracle_share_sent_to_gpt4"]


@pytest.mark.parametrize("seeds", [range(1), pytest.param(range(20), marks=pytest.mark.slow)])
def test_what_one_half_teaches_is_above_the_line_on_the_other_and_saves_what_it_claims(seeds: range) -> None:
    found = [learned_and_held_out(seed) for seed in seeds]
    for _, held_out in found:
        assert held_out.above_line.low > 0
        assert held_out.above_line.value > 0.01
        assert held_out.above_weak.low > 0
        # No more than the declared five points are shown to be lost, and much is saved.
        assert held_out.loss.low <= 0.05
        assert held_out.saving.low > 0.15
    assert sum(saved_as_claimed(rule, held_out) for rule, held_out in found) >= 0.9 * len(found)
    # Chosen with slack, the rule is shown to lose no more than five points in four of five splits or more.
    assert sum(recommended(rule, held_out) is not None for rule, held_out in found) >= 0.8 * len(found)


def test_the_bound_of_the_loss_is_that_of_tango_for_passes() -> None:
    rule, held_out = learned_and_held_out(0)
    other = halves(0)[1]
    by_rule = np.where(rule.to_strong(other.known), other.strong, other.weak)
    expected = tango(PassPairs.of(by_rule, other.strong), 0.9)
    assert held_out.loss_shown is not None
    assert (held_out.loss_shown.value, held_out.loss_shown.high) == pytest.approx((expected.value, expected.high))
    assert held_out.loss.value == pytest.approx(expected.value)


@pytest.mark.parametrize("worlds", [60, pytest.param(2_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("passes", [True, False])
def test_a_rule_that_loses_more_than_it_may_is_recommended_in_fewer_worlds_than_alpha(
    monkeypatch: pytest.MonkeyPatch, worlds: int, passes: bool
) -> None:
    """Worlds of ten kinds of questions, whose true gains say what a rule loses."""
    monkeypatch.setitem(LEARNERS, "means", by_means)
    wrong, right, g = 0, 0, np.random.default_rng(11)
    for _ in range(worlds):
        gains = g.uniform(0.0, 0.25, 10)
        one, other = (kinds(g, gains, 1_000, passes) for _ in range(2))
        rule = learned(one, loss=0.06, generator=g, learner="means")
        sent = rule.to_strong(Known(categories=NAMES, numbers=np.zeros((10, 0))))
        held_out = routed(other, rule.to_strong(other.known))
        # Held against what it does lose: a rule that is not good enough, as nearly as can be.
        wrong += recommended(replace(rule, loss=float(gains[~sent].sum() / 10)), held_out) is not None
        right += recommended(rule, held_out) is not None
    print(f"\n| passes: {passes} | loses what it may not: {wrong / worlds:.2%} | recommended: {right / worlds:.0%} |")
    assert wrong / worlds <= 0.05 + 2.33 * (0.05 * 0.95 / worlds) ** 0.5
    assert right / worlds > 0.25


def by_means(cases: RoutedCases) -> CategoryPolicy:
    """The category's mean gain: quickly learned."""
    names = np.array(cases.known.categories)
    return CategoryPolicy(
        by_category={str(name): float(cases.gain[names == name].mean()) for name in np.unique(names)},
        elsewhere=float(cases.gain.mean()),
    )


NAMES = tuple(f"kind {at}" for at in range(10))


def kinds(g: np.random.Generator, gains: Floats, n: int, passes: bool) -> RoutedCases:
    """Questions of ten kinds, each with its own gain of the strong model."""
    at = g.integers(0, 10, n)
    asked = 1 if passes else 5
    return RoutedCases(
        known=Known(categories=tuple(NAMES[each] for each in at), numbers=np.zeros((n, 0))),
        weak=g.binomial(asked, 0.7 - gains[at]) / asked,
        strong=g.binomial(asked, 0.7, n) / asked,
        weak_cost=np.full(n, 0.001),
        strong_cost=np.full(n, 0.01),
    )


def test_the_line_is_what_a_coin_reaches_that_sends_as_many() -> None:
    cases, g = mmlu(), np.random.default_rng(1)
    coin = routed(cases, g.random(cases.n) < 0.5)
    assert coin.above_line.low < 0 < coin.above_line.high
    sent = by_category(cases).gains(cases.known) > 0.12
    found = routed(cases, sent)
    line = cases.weak.mean() + found.strong_share * cases.gain.mean()
    assert found.above_line.value == pytest.approx(found.accuracy.value - line)


def test_the_interval_above_the_line_is_that_of_a_bootstrap() -> None:
    cases, g = mmlu().at(np.arange(0, 7_000, 10)), np.random.default_rng(2)
    sent = g.random(cases.n) < 0.4 + 0.3 * cases.gain
    found = routed(cases, sent)
    drawn = g.integers(0, cases.n, (4_000, cases.n))
    some, gain = sent[drawn].astype(np.float64), cases.gain[drawn]
    heights = (some * gain).mean(axis=1) - some.mean(axis=1) * gain.mean(axis=1)
    low, high = np.quantile(heights, [0.025, 0.975])
    assert (found.above_line.low, found.above_line.high) == pytest.approx((low, high), abs=0.003)


def test_labels_that_say_nothing_teach_nothing() -> None:
    """With the outcomes of questions shuffled a policy is on the line: nothing leaks from the half it is judged on."""
    one, other, g = halves(3)
    shuffled = g.permutation(one.n)
    noise = RoutedCases(
        known=one.known,
        weak=one.weak[shuffled],
        strong=one.strong[shuffled],
        weak_cost=one.weak_cost,
        strong_cost=one.strong_cost,
    )
    heights = []
    for name, learn in LEARNERS.items():
        gains = learn(noise).gains(other.known)
        found = routed(other, gains > np.median(gains))
        heights.append((name, found.above_line.value))
    assert all(abs(height) < 0.012 for _, height in heights), heights


def test_a_loss_of_nothing_that_is_to_be_sure_sends_everything_to_the_strong_model() -> None:
    one, other, g = halves(0)
    rule = learned(one, loss=0.0, generator=g)
    held_out = routed(other, rule.to_strong(other.known))
    assert held_out.strong_share > 0.97
    assert held_out.loss.value <= 0.005
    assert recommended(rule, held_out) is None


def test_a_category_that_was_not_learned_is_sent_by_the_mean() -> None:
    policy = by_category(halves(0)[0])
    found = policy.gains(Known(categories=("unheard of",), numbers=np.zeros((1, 0))))
    assert found.tolist() == [policy.elsewhere]


@pytest.mark.slow
def test_the_simplest_learner_that_holds_is_the_category() -> None:
    assert [simplest(halves(seed)[0], generator=np.random.default_rng(seed)) for seed in range(3)] == ["category"] * 3


def test_routing_is_recommended_by_what_is_shown_on_held_out_cases() -> None:
    rule, held_out = learned_and_held_out(0)
    found = recommended(rule, held_out)
    assert found is not None
    assert found.savings.share_low == held_out.saving.low
    assert found.savings.now == 15
    assert "above the line between both models" in found.reasons[0]
    assert "at worst (one-sided 95% bound), and −5.0 pts may be lost" in found.reasons[2]
    assert found.stability is not None
    assert found.stability.share > 0.95
    assert sureness_text(found).startswith("it loses no more than 5.0 pts with a chance of 9")
    assert (found.effort, found.impact) == ("complex", "high")
    shown = held_out.loss_shown
    assert shown is not None
    assert shown.value < shown.high <= 0.05
    # As measured it would lose less than this, but that is not shown.
    assert recommended(replace(rule, loss=(shown.value + shown.high) / 2), held_out) is None
    assert recommended(rule, replace(held_out, loss_shown=None)) is None
    line = routed(mmlu(), np.random.default_rng(0).random(mmlu().n) < 0.5)
    assert recommended(replace(rule, loss=1.0), line) is None


def test_cases_that_share_a_source_are_in_one_half_and_count_as_one() -> None:
    cases, g = mmlu().at(np.arange(0, 7_000, 5)), np.random.default_rng(4)
    sent = g.random(cases.n) < 0.5 + 0.2 * cases.gain
    # Each case five times says no more than it does once.
    five = np.repeat(np.arange(cases.n), 5)
    again = replace(cases.at(five), clusters=tuple(five.tolist()))
    once, often = routed(cases, sent), routed(again, sent[five])
    for name in ("accuracy", "above_line", "loss", "above_weak", "saving"):
        one, other = getattr(once, name), getattr(often, name)
        assert (other.value, other.low, other.high) == pytest.approx((one.value, one.low, one.high), abs=2e-4), name
    assert once.loss_shown is not None
    assert often.loss_shown is not None
    assert often.loss_shown.high == pytest.approx(once.loss_shown.high, abs=1e-3)
    assert often.loss_shown.n == cases.n
    learning, judging = halves_of(again.n, again.clusters, g)
    assert not set(five[learning]) & set(five[judging])
    assert sorted([*learning, *judging]) == list(range(again.n))
    assert abs(learning.size - judging.size) <= 5


def test_cases_that_judge_the_rule_have_no_part_in_the_choice_of_models() -> None:
    g = np.random.default_rng(6)
    learning, judging = np.split(g.permutation(400), 2)
    differences = {f"maker/{at}": float(g.uniform(-0.02, 0.02)) for at in range(6)}
    bench = world(g, 400, differences, costs={name: float(g.uniform(0.001, 0.02)) for name in differences})

    def chosen(bench: Bench, incumbent: str | None = None) -> tuple[str, str]:
        weak, strong = models_to_route(bench.evidence, "accuracy", learning, incumbent=incumbent)
        return weak.model, strong.model

    def level(name: str, places: NDArray[np.intp]) -> float:
        return float(bench.of(name).values["accuracy"][places].mean())

    def shuffled(each: Evidence) -> Evidence:
        scores, costs = each.values["accuracy"].copy(), list(each.costs)
        others = g.permutation(judging)
        scores[judging] = g.permutation(1 - scores[judging])
        for place, other in zip(judging.tolist(), others.tolist(), strict=True):
            costs[place] = each.costs[other]
        return replace(each, values={"accuracy": scores}, costs=costs)

    best, best_of_all = (
        max(bench.evidence, key=lambda each: level(each.model, places)).model for places in (learning, np.arange(400))
    )
    assert best != best_of_all, "the held-out half would have named another model"
    assert chosen(bench)[1] == best
    for _ in range(20):
        moved = replace(bench, evidence=tuple(shuffled(each) for each in bench.evidence))
        assert chosen(moved) == chosen(bench)
        assert chosen(moved, "maker/2") == chosen(bench, "maker/2")


def test_only_what_the_strong_model_serves_is_routed_and_only_its_cost_is_saved() -> None:
    """It serves a fifth of the requests at 0.002 dollars; the other 96 dollars are no matter of the rule."""
    rule, held_out = learned_and_held_out(0)
    own = replace(
        MONTH,
        requests=2_000,
        requests_low=1_800,
        requests_high=2_200,
        cost_per_request=Decimal("0.002"),
        of_feature=10_000,
        others=Decimal(96),
        others_high=Decimal(105),
    )
    found = recommend_routing(rule, held_out, own, Decimal("0.0015"), weak="a/small", strong="a/large")
    assert found is not None
    assert (found.savings.now, found.savings.bill) == (Decimal(4), Decimal(100))
    # Request by request: what the rule makes of a held-out case is taken off the cost of one of production.
    assert float(found.savings.point) == pytest.approx(2_000 * 0.002 * held_out.saving.value)
    assert found.savings.point < found.savings.now
    assert found.savings.of_bill(1.0) == 0.04
    assert found.impact == "low", "a quarter of a twenty-fifth"
    assert any("2,000 of 10,000 requests a month" in each for each in found.assumptions)


def test_too_few_cases_teach_nothing() -> None:
    few = mmlu().at(np.arange(50))
    with pytest.raises(AssayError, match="100 cases or more that both models answered; got 50"):
        learned(few, loss=0.01, generator=np.random.default_rng(0))
