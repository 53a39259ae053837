"""The integer programme finds what looking at every mix finds; what cannot be says what would do."""

import itertools
from decimal import Decimal
from math import prod

import numpy as np
import pytest

from evaluations.recommending.evidence import NothingFeasible
from evaluations.recommending.mixes import Goal, Mix, MixFeature, Option, frontier, optimal_mix

MICRO = Decimal("0.000001")


def option(model: str, quality: float, cost: str, *, p95: float | None = None, low: float | None = None) -> Option:
    return Option(
        model=model,
        quality=quality,
        quality_low=quality if low is None else low,
        monthly_cost=Decimal(cost),
        monthly_cost_high=Decimal(cost) * 2,
        p95_latency_ms=p95,
    )


CHAT = MixFeature(
    name="chat", weight=3, current="a/large", options=(option("a/large", 0.9, "50"), option("a/small", 0.8, "5"))
)
SEARCH = MixFeature(
    name="search", weight=1, current="a/large", options=(option("a/large", 0.7, "40"), option("a/small", 0.68, "4"))
)


def random_features(g: np.random.Generator, *, few_values: bool) -> list[MixFeature]:
    """One to four features of one to five models; with few values many mixes tie."""
    features = []
    for at in range(int(g.integers(1, 5))):
        options = []
        for model in range(int(g.integers(1, 6))):
            micros = int(g.integers(1, 6)) if few_values else int(g.integers(1, 10**11))
            quality = float(g.integers(0, 5)) / 4 if few_values else float(g.integers(0, 10**6)) / 1e6
            options.append(
                Option(
                    model=f"maker/{model}",
                    quality=quality,
                    quality_low=quality - 0.1,
                    monthly_cost=micros * MICRO,
                    monthly_cost_high=(micros + int(g.integers(0, micros + 1))) * MICRO,
                    p95_latency_ms=float(g.integers(100, 1_000)),
                )
            )
        features.append(
            MixFeature(
                name=f"feature-{at}",
                options=tuple(options),
                weight=int(g.integers(1, 1_000)),
                quality_floor=None if g.random() < 0.5 else 0.1,
                p95_limit_ms=None if g.random() < 0.5 else 700.0,
            )
        )
    return features


def best_of_all(
    features: list[MixFeature], budget: Decimal | None, goal: Goal, floor: float | None
) -> tuple[Decimal | int, Decimal | int] | None:
    """What every mix, looked at one by one, comes to at best: goal first; None where no mix keeps every limit."""
    kept = [
        [
            each
            for each in feature.options
            if (feature.p95_limit_ms is None or (each.p95_latency_ms or 0) <= feature.p95_limit_ms)
            and (feature.quality_floor is None or each.quality_low >= feature.quality_floor)
        ]
        for feature in features
    ]
    assert prod(map(len, kept)) <= 10_000
    weights = sum(feature.weight for feature in features)
    found = []
    for mix in itertools.product(*kept):
        quality = sum(round(each.quality * 1e6) * feature.weight for each, feature in zip(mix, features, strict=True))
        cost, high = (sum((getattr(each, name) for each in mix), Decimal(0)) for name in COSTS)
        if (budget is None or high <= budget) and (floor is None or quality >= round(floor * 1e6) * weights):
            found.append((cost, -quality) if goal == "cost" else (-quality, cost))
    return min(found, default=None)


COSTS = ("monthly_cost", "monthly_cost_high")


@pytest.mark.parametrize(
    "seed", [*range(60), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(60, 1_000))]
)
def test_the_programme_finds_what_looking_at_every_mix_finds(seed: int) -> None:
    g = np.random.default_rng(seed)
    features = random_features(g, few_values=seed % 2 == 0)
    goal: Goal = "cost" if g.random() < 0.5 else "quality"
    middle = sum(
        (sum((each.monthly_cost_high for each in f.options), Decimal(0)) / len(f.options) for f in features), Decimal(0)
    )
    budget = None if g.random() < 0.5 else middle * Decimal(str(round(float(g.uniform(0.4, 1.2)), 3)))
    floor = None if g.random() < 0.5 else round(float(g.uniform(0.2, 0.8)), 6)
    expected = best_of_all(features, budget, goal, floor)
    if expected is None:
        with pytest.raises(NothingFeasible, match="would do"):
            optimal_mix(features, budget=budget, goal=goal, quality_floor=floor)
        return
    found = optimal_mix(features, budget=budget, goal=goal, quality_floor=floor)
    quality = sum(round(found.chosen[each.name].quality * 1e6) * each.weight for each in features)
    reached = (found.monthly_cost, -quality) if goal == "cost" else (-quality, found.monthly_cost)
    assert reached == expected


def test_a_budget_is_held_against_the_upper_ends() -> None:
    assert optimal_mix([CHAT, SEARCH], budget=Decimal(108)).models == {"chat": "a/large", "search": "a/small"}
    # A cent less, and the large model is too dear for chat, though it would cost half of that as expected.
    less = optimal_mix([CHAT, SEARCH], budget=Decimal("107.99"))
    assert less.models == {"chat": "a/small", "search": "a/large"}
    assert less.changes == ("chat",)
    assert (less.current_cost, less.saving) == (Decimal(90), Decimal(45))


def test_the_lowest_cost_keeps_the_mean_quality_that_was_asked_for() -> None:
    cheapest = optimal_mix([CHAT, SEARCH], goal="cost")
    assert cheapest.models == {"chat": "a/small", "search": "a/small"}
    better = optimal_mix([CHAT, SEARCH], goal="cost", quality_floor=0.84)
    assert better.models == {"chat": "a/large", "search": "a/small"}
    assert better.quality == pytest.approx((3 * 0.9 + 0.68) / 4)


def test_a_budget_that_no_mix_keeps_names_the_cheapest_mix() -> None:
    with pytest.raises(NothingFeasible) as refused:
        optimal_mix([CHAT, SEARCH], budget=Decimal(10))
    assert "The cheapest that does costs up to $18.00 (chat: a/small, search: a/small): that budget would do" in str(
        refused.value
    )
    assert optimal_mix([CHAT, SEARCH], budget=Decimal(18)).monthly_cost_high == 18


def test_limits_that_no_model_keeps_name_the_nearest_one() -> None:
    slow = MixFeature(
        name="chat",
        options=(option("a/good", 0.9, "5", p95=900.0), option("a/fast", 0.5, "5", p95=100.0)),
        quality_floor=0.8,
        p95_limit_ms=500.0,
    )
    with pytest.raises(NothingFeasible, match=r"a floor of 50.0% \(a/fast\) or a limit of 900 ms \(a/good\)"):
        optimal_mix([slow])
    with pytest.raises(NothingFeasible, match="A floor of that would do"):
        optimal_mix([CHAT, SEARCH], quality_floor=0.99)
    with pytest.raises(NothingFeasible, match="no model was measured for empty"):
        optimal_mix([MixFeature(name="empty", options=())])


def test_a_floor_is_held_against_the_lower_bound_not_the_mean() -> None:
    unsure = MixFeature(
        name="chat",
        options=(option("a/unsure", 0.95, "1", low=0.7), option("a/sure", 0.9, "9", low=0.85)),
        quality_floor=0.8,
    )
    assert optimal_mix([unsure], goal="cost").models == {"chat": "a/sure"}


@pytest.mark.parametrize("seed", range(8))
def test_the_frontier_holds_every_mix_that_no_other_one_beats_and_no_more(seed: int) -> None:
    g = np.random.default_rng(seed)
    features = [
        MixFeature(name=each.name, options=each.options, weight=each.weight)
        for each in random_features(g, few_values=False)[:3]
    ]

    def point(mix: tuple[Option, ...]) -> tuple[Decimal, int]:
        quality = sum(round(each.quality * 1e6) * f.weight for each, f in zip(mix, features, strict=True))
        return sum((each.monthly_cost for each in mix), Decimal(0)), quality

    every = {point(mix) for mix in itertools.product(*(each.options for each in features))}
    unbeaten = sorted(
        (cost, quality) for cost, quality in every
        if not any((c <= cost and q >= quality) and (c, q) != (cost, quality) for c, q in every)
    )  # fmt: skip

    def of(mix: Mix) -> tuple[Decimal, int]:
        return point(tuple(mix.chosen[each.name] for each in features))

    assert [of(mix) for mix in frontier(features, most=200)] == unbeaten
