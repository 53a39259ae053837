"""What qualifies is within the margin, is not dominated and holds every limit; what does not is told why."""

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest

from evaluations.comparisons import Question
from evaluations.errors import AssayError
from evaluations.recommending.candidates import Rule, cases_needed, cost_ratio, passes_needed
from evaluations.recommending.evidence import (
    Bench,
    Evidence,
    NoIncumbentData,
    NothingFeasible,
    Offer,
    PriceMissing,
    Requirements,
    RetiredModel,
    UnknownModel,
    Workload,
)
from evaluations.recommending.modes import recommend
from evaluations.recommending.recommendation import Advice, Exclusion, Mode
from evaluations.statistics.paired import PassPairs, tango
from tests.evaluations.recommending import worlds
from tests.evaluations.recommending.worlds import ALPHA, INCUMBENT, MONTH, world

LONG = pytest.mark.slow
FEW = 2
"""The seed of a world of too few cases."""


def advice_on(bench: Bench, asked: Rule, *, mode: Mode = "alternatives", budget: Decimal | None = None) -> Advice:
    g = np.random.default_rng(5)
    return recommend(bench, MONTH, asked, generator=g, mode=mode, incumbent=INCUMBENT, budget=budget, resamplings=200)


def why(advice: Advice, model: str) -> Exclusion:
    return next(each for each in advice.excluded if each.model == model)


@pytest.fixture
def bench() -> Bench:
    """One as good and cheaper, one far worse, and one like the first but dearer."""
    g = np.random.default_rng(8)
    return world(
        g,
        800,
        {"maker/good": 0.01, "maker/bad": -0.12, "maker/dear": 0.0},
        costs={"maker/good": 0.002, "maker/bad": 0.001, "maker/dear": 0.02},
    )


# The rule, in worlds whose truth is known


@pytest.mark.parametrize("runs", [110, pytest.param(2_000, marks=LONG)])
def test_a_candidate_that_is_worse_than_the_margin_is_recommended_in_fewer_worlds_than_alpha(runs: int) -> None:
    assert worlds.wrong_recommendations(runs).upper <= ALPHA


@pytest.mark.parametrize(
    ("kind", "candidates", "runs"),
    [("binary", 3, 50), ("bounded", 1, 50), *(pytest.param(k, 3, 1_000, marks=LONG) for k in ("binary", "bounded"))],
)
def test_at_the_planned_number_of_cases_one_that_qualifies_is_recommended(
    kind: worlds.Kind, candidates: int, runs: int
) -> None:
    found = worlds.power(runs, candidates=candidates, difference=0.0, kind=kind)
    # What simulation leaves open: the exact upper 99% bound may not lie below the plan.
    assert found.upper >= 0.8
    assert found.rate >= 0.8 - 2.33 * (0.16 / runs) ** 0.5


@pytest.mark.parametrize("kind", ["binary", "bounded"])
@pytest.mark.parametrize("runs", [2_500, pytest.param(40_000, marks=LONG)])
@pytest.mark.parametrize(("candidates", "difference"), [(1, 0.0), (3, 0.0), (5, 0.0), (3, -0.01), (3, 0.01)])
def test_the_planned_number_of_cases_is_enough_whatever_is_planned(
    kind: worlds.Kind, runs: int, candidates: int, difference: float
) -> None:
    found = worlds.power_of_the_test(runs, candidates=candidates, difference=difference, kind=kind)
    assert found.upper >= 0.8
    # In the long form the lower 99% bound is above the plan too, and no set-up is planned with a waste of cases.
    assert found.rate < 0.86
    assert runs < 10_000 or found.lower >= 0.8


@pytest.mark.parametrize("kind", ["binary", "bounded"])
def test_the_whole_rule_recommends_where_the_test_alone_shows_enough(kind: worlds.Kind) -> None:
    """So that the power of the test, of which many worlds are quickly seen, is that of the rule."""
    n, decided = worlds.planned(candidates=5, difference=0.0, kind=kind), []
    for seed in range(20):
        g = np.random.default_rng((seed, 2))
        bench = world(
            g, n, {"maker/good": 0.0} | {f"maker/{at}": -0.1 for at in range(4)}, kind=kind, disagreement=0.15
        )
        good, now = (bench.of(name).values["accuracy"] for name in ("maker/good", INCUMBENT))
        if kind == "binary":
            shown = worlds.passes_show(PassPairs.of(now, good), share=ALPHA / 5, margin=0.04)
        else:
            shown = bool(worlds.scores_show((good - now)[None, :], share=ALPHA / 5, margin=0.04)[0])
        recommended = worlds.advised(bench, 0.04, kind, seed).recommendations
        assert [each.recommended for each in recommended] == ["maker/good"] * shown
        decided.append(shown)
    assert {True, False} == set(decided)


@pytest.mark.parametrize("runs", [25, pytest.param(1_000, marks=LONG)])
def test_what_is_claimed_of_the_best_of_five_equal_ones_is_free_of_the_luck_of_the_chosen(runs: int) -> None:
    measured, confirmed = worlds.luck_of_the_chosen(runs)
    assert measured > 0.035
    assert abs(confirmed) < 0.015


@pytest.mark.parametrize("seed", range(40))
def test_a_dominated_model_is_never_recommended(seed: int) -> None:
    g = np.random.default_rng(seed)
    names = {f"maker/{at}": float(g.uniform(-0.05, 0.08)) for at in range(6)}
    found = world(g, 300, names, costs={name: float(g.choice([0.002, 0.004, 0.008, 0.012])) for name in names})
    mode: Mode = ("alternatives", "use_case", "budget")[seed % 3]
    budget = Decimal(int(g.integers(120, 500))) if mode == "budget" else None
    advice = advice_on(found, worlds.rule(0.1), mode=mode, budget=budget)

    def as_measured(model: str) -> tuple[float, ...]:
        each = found.of(model)
        assert each.p95_latency_ms is not None
        assert each.cost_per_request is not None
        return float(np.mean(-each.values["accuracy"])), float(each.cost_per_request), each.p95_latency_ms

    for recommendation in advice.recommendations:
        mine = as_measured(recommendation.recommended)
        for other in found.evidence:
            theirs = as_measured(other.model)
            assert theirs == mine or any(b > a for a, b in zip(mine, theirs, strict=True)), other.model


# One bench, looked at closely


def test_the_cheaper_one_that_is_as_good_is_recommended_and_the_others_are_told_why(bench: Bench) -> None:
    advice = advice_on(bench, worlds.rule(0.05))
    best = advice.best
    assert best is not None
    assert best.recommended == "maker/good"
    assert (best.kind, best.effort, best.impact) == ("model_substitution", "easy", "high")
    assert {each.model: each.reason for each in advice.excluded} == {"maker/bad": "inferior", "maker/dear": "no_gain"}
    assert best.stability is not None
    assert best.stability.share > 0.9
    assert "lose less than the margin of 5.0 pts" in best.reasons[0]
    assert [(each.model, each.role) for each in advice.compared] == [
        (INCUMBENT, "in_use"),
        ("maker/good", "recommended"),
        ("maker/bad", "inferior"),
        ("maker/dear", "no_gain"),
    ]


def test_its_numbers_are_those_of_the_cases(bench: Bench) -> None:
    best = advice_on(bench, worlds.rule(0.05)).best
    assert best is not None
    good, now = bench.of("maker/good"), bench.of(INCUMBENT)
    pairs = PassPairs.of(now.values["accuracy"], good.values["accuracy"])
    # Three candidates share alpha, one-sided: 1 - 2 * 0.05 / 3.
    expected = tango(pairs, 1 - 2 * ALPHA / 3)
    assert best.quality is not None
    assert (best.quality.value, best.quality.low) == pytest.approx((expected.value, expected.low))
    theirs = sum((cost for cost in good.costs if cost is not None), Decimal(0))
    ours = sum((cost for cost in now.costs if cost is not None), Decimal(0))
    assert best.savings.now == Decimal("30000.0") * ours / 800
    assert best.savings.point == pytest.approx(best.savings.now * (1 - theirs / ours))
    assert best.savings.low < best.savings.point < best.savings.high


def test_the_ratio_of_costs_has_the_interval_of_a_bootstrap() -> None:
    g = np.random.default_rng(3)
    found = world(g, 400, {"maker/a": 0.0})
    result = cost_ratio(found.of("maker/a"), found.of(INCUMBENT))
    assert result is not None
    theirs, ours = (np.array([float(c or 0) for c in found.of(name).costs]) for name in ("maker/a", INCUMBENT))
    drawn = g.integers(0, 400, (4_000, 400))
    low, high = np.quantile(theirs[drawn].sum(axis=1) / ours[drawn].sum(axis=1), [0.025, 0.975])
    assert (result[1].low, result[1].high) == pytest.approx((low, high), rel=0.01)


def test_too_few_cases_keep_what_is_in_use_and_say_how_many_would_do() -> None:
    found = world(np.random.default_rng(FEW), 120, {"maker/good": 0.0})
    advice = advice_on(found, worlds.rule(0.05))
    assert advice.best is None
    assert why(advice, "maker/good").reason == "not_shown"
    assert advice.needed_n is not None
    assert advice.needed_n > 120
    assert f"{advice.needed_n:,} cases would show it" in advice.keep


def test_the_number_of_cases_that_is_named_does_change_the_answer() -> None:
    few = advice_on(world(np.random.default_rng(FEW), 120, {"maker/good": 0.0}), worlds.rule(0.05))
    gain = world(np.random.default_rng(FEW), 120, {"maker/good": 0.0})
    measured = float(np.mean(gain.of("maker/good").values["accuracy"] - gain.of(INCUMBENT).values["accuracy"]))
    assert few.needed_n is not None
    shown = [
        advice_on(world(np.random.default_rng(seed), few.needed_n, {"maker/good": measured}), worlds.rule(0.05)).best
        for seed in range(20)
    ]
    assert sum(each is not None for each in shown) >= 12


def test_one_worse_than_the_margin_needs_no_number_of_cases() -> None:
    assert cases_needed(margin=0.02, sd=0.3, difference=-0.02) is None
    assert passes_needed(margin=0.02, disagreement=0.1, difference=-0.03) is None


def test_identical_scores_on_every_case_are_within_the_margin() -> None:
    g = np.random.default_rng(2)
    values = g.integers(0, 5, 600) / 4
    found = Bench(
        evidence=(worlds.evidence(INCUMBENT, values, 0.01, g), worlds.evidence("maker/same", values, 0.001, g))
    )
    best = advice_on(found, worlds.rule(0.05, "bounded")).best
    assert best is not None
    assert best.quality is not None
    assert -0.05 < best.quality.low < 0 < best.quality.high


def test_cases_that_belong_together_count_once() -> None:
    g = np.random.default_rng(4)
    alone = world(g, 400, {"maker/good": 0.0})
    together = replace(alone, clusters=[at // 40 for at in range(400)])
    apart, joined = (advice_on(each, worlds.rule(0.06)) for each in (alone, together))
    assert apart.best is not None
    effects = [each.quality for each in joined.recommendations]
    assert all(effect is not None and effect.n == 10 for effect in effects)


def test_a_guardrail_that_is_not_shown_to_hold_stops_a_candidate() -> None:
    g = np.random.default_rng(6)
    found = world(g, 500, {"maker/good": 0.0})
    safe = {INCUMBENT: np.ones(500), "maker/good": (g.random(500) > 0.08).astype(np.float64)}
    guarded = Bench(
        evidence=tuple(replace(each, values={**each.values, "safety": safe[each.model]}) for each in found.evidence)
    )
    guard = Question(metric="safety", kind="binary", margin=0.02, role="guardrail")
    asked = replace(worlds.rule(0.06), guards=(guard,))
    advice = advice_on(guarded, asked)
    assert advice.best is None
    assert why(advice, "maker/good").why.startswith("guardrail safety is shown to lose too much")


# Hard limits


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        (Requirements(capabilities=frozenset({"vision"})), "it is not known to have vision"),
        (Requirements(context_tokens=200_000), "a context of 200,000 tokens is required, and it takes 128,000"),
        (Requirements(output_tokens=9_000), "nobody said what it takes"),
        (Requirements(region="eu"), "it is not known to be served in eu (us)"),
        (Requirements(providers=frozenset({"other"})), "provider maker is not allowed"),
        (Requirements(cost_per_request=Decimal("0.001")), "the limit is $0.001"),
        (Requirements(p95_latency_ms=500), "95th percentile of latency"),
        (Requirements(error_rate=0.001), "0% of 800 calls failed (up to 0.3%)"),
    ],
)
def test_what_is_beyond_a_hard_limit_is_excluded_by_name(bench: Bench, wanted: Requirements, says: str) -> None:
    offered = replace(
        bench,
        offers={
            each.model: Offer(model=each.model, context_tokens=128_000, regions=frozenset({"us"}))
            for each in bench.evidence
        },
    )
    advice = advice_on(offered, replace(worlds.rule(0.05), requirements=wanted))
    assert advice.best is None
    excluded = why(advice, "maker/good")
    assert says in excluded.why
    assert excluded.would_do


def test_what_is_in_use_and_beyond_a_limit_itself_is_said_to_be(bench: Bench) -> None:
    asked = replace(worlds.rule(0.05), requirements=Requirements(p95_latency_ms=100))
    assert "It is beyond a limit itself: its 95th percentile of latency" in advice_on(bench, asked).keep


def test_an_error_rate_is_settled_by_the_number_of_calls_that_is_named(bench: Bench) -> None:
    asked = replace(worlds.rule(0.05), requirements=Requirements(error_rate=0.001))
    named = why(advice_on(bench, asked), "maker/good").would_do
    calls = int(named.split(" ")[0].replace(",", ""))
    more = replace(bench, evidence=tuple(replace(each, calls=calls) for each in bench.evidence))
    assert advice_on(more, asked).best is not None
    fewer = replace(bench, evidence=tuple(replace(each, calls=calls - 1) for each in bench.evidence))
    assert advice_on(fewer, asked).best is None


def test_a_candidate_without_a_price_is_excluded_not_free(bench: Bench) -> None:
    unpriced = replace(
        bench,
        evidence=tuple(
            replace(each, costs=[None] * len(each.costs)) if each.model == "maker/good" else each
            for each in bench.evidence
        ),
    )
    advice = advice_on(unpriced, worlds.rule(0.05))
    assert advice.best is None
    assert why(advice, "maker/good").reason == "price_missing"


def test_a_retired_candidate_is_excluded_and_refused_where_it_is_named(bench: Bench) -> None:
    retired = replace(bench, offers={"maker/good": Offer(model="maker/good", retired=True, deprecated_on="2026-01-31")})
    assert why(advice_on(retired, worlds.rule(0.05)), "maker/good").reason == "retired"
    with pytest.raises(RetiredModel, match="maker/good is no longer served since 2026-01-31"):
        recommend(
            retired, MONTH, worlds.rule(0.05),
            generator=np.random.default_rng(0), incumbent=INCUMBENT, wanted=["maker/good"],
        )  # fmt: skip


# Budgets, and questions that cannot be answered


def test_a_budget_takes_the_best_that_surely_stays_within_it(bench: Bench) -> None:
    advice = advice_on(bench, worlds.rule(0.05), mode="budget", budget=Decimal(100))
    assert advice.best is not None
    assert advice.best.recommended == "maker/good"
    assert any("stays within $100.00 a month even at the upper ends" in each for each in advice.best.reasons)


def test_a_budget_below_the_cheapest_names_what_would_do(bench: Bench) -> None:
    with pytest.raises(
        NothingFeasible, match=r"the cheapest is maker/bad with up to \$3\d\.\d\d\. That budget would do"
    ):
        advice_on(bench, worlds.rule(0.05), mode="budget", budget=Decimal(20))
    with pytest.raises(NothingFeasible, match="positive amount"):
        advice_on(bench, worlds.rule(0.05), mode="budget", budget=Decimal(0))


def test_a_budget_that_only_a_worse_model_keeps_says_that_it_is_worse(bench: Bench) -> None:
    advice = advice_on(bench, worlds.rule(0.05), mode="budget", budget=Decimal(40))
    assert advice.best is not None
    assert advice.best.recommended == "maker/bad"
    assert any("a loss beyond the margin of 5.0 pts is not ruled out" in each for each in advice.best.risks)
    assert advice.best.score <= 50


def test_without_a_model_in_use_the_best_measured_one_is_recommended(bench: Bench) -> None:
    advice = recommend(bench, MONTH, worlds.rule(0.05), generator=np.random.default_rng(0), mode="use_case")
    highest = max(bench.evidence, key=lambda each: each.level("accuracy") or 0.0)
    assert advice.best is not None
    assert advice.best.recommended == highest.model
    assert advice.incumbent is None
    # Its own luck is taken out of what is said of it.
    confirmed = advice.best.details["level_confirmed"]
    assert isinstance(confirmed, float)
    assert confirmed <= (highest.level("accuracy") or 0.0)


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("values", [[1.0], [1.0, 0.0], [1.0, np.nan, np.nan], [0.0] * 12])
def test_a_case_or_two_are_answered_without_what_they_cannot_tell(values: list[float], grouped: bool) -> None:
    made = tuple(
        Evidence(model=name, values={"accuracy": np.array(values)}, costs=[Decimal(cost)] * len(values))
        for name, cost in (("maker/one", "0.02"), ("maker/two", "0.01"))
    )
    few = Bench(evidence=made, clusters=[0] * len(values) if grouped else None)
    found = ask(few, mode="use_case")
    assert found.best is not None
    assert found.best.recommended == "maker/two", "the cheaper of two that are equally good"
    if sum(value == value for value in values) < 2 or grouped:
        assert found.best.details["level_confirmed"] is None
    assert ask(few, mode="budget", incumbent="maker/one", budget=Decimal(10_000)).n == len(values)


def test_of_what_costs_nothing_no_share_is_told() -> None:
    g = np.random.default_rng(3)
    values = {"maker/one": (g.random(200) < 0.9), "maker/two": (g.random(200) < 0.5), "maker/dear": np.ones(200)}
    free = Bench(evidence=tuple(
        Evidence(
            model=name,
            values={"accuracy": passed.astype(float)},
            costs=[Decimal("0.01") if name == "maker/dear" else Decimal(0)] * 200,
        )
        for name, passed in values.items()
    ))  # fmt: skip
    told = ask(free, incumbent="maker/dear")
    assert "maker/one is as good in everything and better in something" in why(told, "maker/two").why
    assert why(told, "maker/two").why.endswith("neither costs anything")


def ask(bench: Bench, **given: object) -> Advice:
    return recommend(bench, MONTH, worlds.rule(0.05), generator=np.random.default_rng(0), **given)  # type: ignore[arg-type]


def test_questions_that_cannot_be_answered_say_what_would_do(bench: Bench) -> None:
    with pytest.raises(NoIncumbentData, match="maker/other is in use, and it was not measured on 'accuracy'"):
        ask(bench, incumbent="maker/other")
    with pytest.raises(NoIncumbentData, match="say which model is in use"):
        ask(bench)
    with pytest.raises(UnknownModel, match="did you mean 'maker/good'"):
        ask(bench, incumbent=INCUMBENT, wanted=["maker/goood"])
    free = tuple(replace(each, costs=[None] * len(each.costs)) for each in bench.evidence)
    with pytest.raises(PriceMissing, match="no case of maker/in-use has a cost"):
        ask(replace(bench, evidence=free), incumbent=INCUMBENT)
    needs = replace(worlds.rule(0.05), requirements=Requirements(capabilities=frozenset({"vision"})))
    with pytest.raises(NothingFeasible, match="maker/good: it is not known to have vision"):
        recommend(bench, MONTH, needs, generator=np.random.default_rng(0), mode="use_case")
    with pytest.raises(AssayError, match="no margin is declared for 'accuracy'"):
        Rule(question=Question(metric="accuracy", kind="binary"))


def test_models_of_other_cases_cannot_be_put_on_one_bench() -> None:
    g = np.random.default_rng(0)
    one, two = (worlds.evidence(name, np.ones(n), 0.01, g) for name, n in (("a/a", 5), ("a/b", 6)))
    with pytest.raises(ValueError, match="the same cases"):
        Bench(evidence=(one, two))


def test_a_month_from_one_day_counts_from_nothing_to_twice_as_much() -> None:
    month = Workload.of_days("chat", [100])
    assert (month.requests_low, month.requests_high) == (0.0, 2 * month.requests)


def test_the_same_seed_gives_the_same_advice(bench: Bench) -> None:
    assert advice_on(bench, worlds.rule(0.05)) == advice_on(bench, worlds.rule(0.05))


def test_evidence_without_any_value_has_no_level() -> None:
    empty = Evidence(model="a/a", values={"accuracy": np.full(3, np.nan)}, costs=[None] * 3)
    assert empty.level("accuracy") is None
    assert empty.cost_per_request is None
