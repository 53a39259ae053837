"""`compare`: the split first, the test by the rule, families and margins, and five words at the end."""

import doctest
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from evaluations.comparisons import Comparison, Plan, Question
from evaluations.statistics import bayes, choosing
from evaluations.statistics import compare as module
from evaluations.statistics.choosing import Covaried, UnknownTest, printed_rule
from evaluations.statistics.compare import compare
from evaluations.statistics.outcomes import Determined, Undetermined
from evaluations.statistics.ratios import PairMoments

Floats = NDArray[np.float64]
QUALITY = Question(metric="quality", kind="binary")
SCORE = Question(metric="score", kind="bounded")
LATENCY = Question(metric="latency_ms", kind="skewed", direction="down")


def a_live_plan(**changed: Any) -> Plan:
    return Plan(
        **{"design": "live_split", "control": "A", "variants": ("B",), "traffic": {"A": 50, "B": 50}, **changed}
    )


def an_offline_plan(**changed: Any) -> Plan:
    return Plan(**{"design": "paired_offline", "control": "A", "variants": ("B",), **changed})


def shares(hits: int, n: int) -> Floats:
    return np.repeat([1.0, 0.0], [hits, n - hits])


def compared(
    plan: Plan,
    question: Question,
    arms: "Mapping[str, choosing.Measured]",
    *,
    units: Mapping[str, int] | None = None,
    **more: Any,
) -> Comparison:
    if units is None and plan.design == "live_split":
        units = {name: len(values) if isinstance(values, np.ndarray) else 1_000 for name, values in arms.items()}
    return compare(plan, [question], {question.metric: arms}, generator=np.random.default_rng(1), units=units, **more)


def test_the_examples_of_the_modules_are_true() -> None:
    assert doctest.testmod(module) == (0, 8)
    assert doctest.testmod(choosing).failed == 0


# Words


def test_the_worked_example_says_that_b_is_better() -> None:
    found = compared(a_live_plan(), QUALITY, {"A": shares(349, 456), "B": shares(392, 478)}).primary("B")
    assert (found.verdict, found.test) == ("better", "two-proportion")
    assert found.effect is not None
    assert (100 * found.effect.low, 100 * found.effect.high) == pytest.approx((0.3, 10.7), abs=0.05)
    assert found.belief is not None
    assert found.belief.better == pytest.approx(0.98, abs=0.005)


def test_the_direction_of_a_metric_decides_what_is_better() -> None:
    generator = np.random.default_rng(2)
    arms = {"A": generator.normal(900, 100, 300), "B": generator.normal(850, 100, 300)}
    assert compared(a_live_plan(), LATENCY, arms).primary("B").verdict == "better"
    rising = Question(metric="latency_ms", kind="skewed", direction="up")
    assert compared(a_live_plan(), rising, arms).primary("B").verdict == "worse"


def test_no_difference_is_said_only_within_a_declared_margin() -> None:
    generator = np.random.default_rng(3)
    arms = {name: generator.normal(0.8, 0.1, 2_000) for name in "AB"}
    assert compared(a_live_plan(), SCORE, arms).primary("B").verdict == "not_enough_data"
    within = Question(metric="score", kind="bounded", margin=0.02)
    found = compared(a_live_plan(), within, arms)
    assert (found.primary("B").verdict, found.outcome) == ("equivalent", "no_difference")
    narrow = Question(metric="score", kind="bounded", margin=0.002)
    assert compared(a_live_plan(), narrow, arms).primary("B").verdict == "not_enough_data"


def test_what_is_missing_is_said_in_numbers_that_hold() -> None:
    """As many more as it says do settle a difference of that size, four times in five."""
    generator = np.random.default_rng(4)
    arms = {"A": generator.normal(0.80, 0.2, 400), "B": generator.normal(0.82, 0.2, 400)}
    found = compared(a_live_plan(), SCORE, arms).primary("B")
    assert found.verdict == "not_enough_data"
    assert found.more is not None
    assert found.effect is not None
    assert found.detectable is not None
    assert abs(found.effect.value) < found.detectable
    enough = (800 + found.more) // 2
    settled = 0
    for _ in range(150):
        more = {
            "A": generator.normal(0.8, 0.2, enough),
            "B": generator.normal(0.8 + abs(found.effect.value), 0.2, enough),
        }
        settled += compared(a_live_plan(), SCORE, more).primary("B").verdict == "better"
    assert settled / 150 == pytest.approx(0.8, abs=0.1)


def test_a_broken_split_blocks_the_verdict_whatever_the_numbers_say() -> None:
    found = compared(a_live_plan(), QUALITY, {"A": shares(349, 456), "B": shares(392, 478)}, units={"A": 456, "B": 700})
    assert found.primary("B").verdict == "blocked"
    assert found.blocked.startswith("60.6% of the units went to B, 50.0% planned (p < 0.0001)") or (
        found.blocked.startswith("39.4% of the units went to A")
    )
    assert found.outcome == "inconclusive"
    assert found.winners == ()


@pytest.mark.parametrize(
    ("traffic", "said"),
    [({"A": 50, "B": 40}, "adds up to 90%"), ({"A": 100}, "planned for B"), ({"A": 60, "B": 60}, "adds up to 120%")],
)
def test_traffic_that_is_no_whole_blocks_with_a_typed_reason(traffic: dict[str, float], said: str) -> None:
    found = compared(a_live_plan(traffic=traffic), QUALITY, {"A": shares(349, 456), "B": shares(392, 478)})
    assert said in found.blocked
    assert isinstance(found.sample_ratio, Undetermined)
    assert found.primary("B").verdict == "blocked"


def test_a_fixed_plan_says_nothing_before_its_planned_number() -> None:
    plan = a_live_plan(planned_n=800)
    found = compared(plan, QUALITY, {"A": shares(349, 456), "B": shares(392, 478)}).primary("B")
    assert (found.verdict, found.more) == ("not_enough_data", 2 * (800 - 456))
    assert "456 of 800 planned" in found.why


# Choosing


def test_every_line_of_the_rule_is_printed_and_names_tests_that_exist() -> None:
    assert printed_rule().count("\n") == len(choosing.RULE) - 1
    for line in choosing.RULE:
        assert set(line.tests) <= set(choosing.TESTS)
        assert all((test in choosing.PAIRED) == (line.design == "paired_offline") for test in line.tests)


def test_the_rule_stands_in_the_documentation_as_it_is() -> None:
    documented = (Path(__file__).parents[3] / "docs" / "statistics.md").read_text()
    assert f"```\n{printed_rule()}\n```" in documented


def test_the_rule_takes_a_test_for_every_design_and_kind() -> None:
    generator = np.random.default_rng(5)
    normal = {name: generator.normal(0.5, 0.1, 400) for name in "AB"}
    requests = {
        name: PairMoments.of(generator.normal(3, 1, 400), generator.integers(1, 5, 400).astype(np.float64))
        for name in "AB"
    }
    single = {name: PairMoments.of(values, np.ones(400)) for name, values in normal.items()}
    covaried = {name: Covaried(moments=PairMoments.of(values, values + 0.1)) for name, values in normal.items()}
    for question, arms, test in (
        (SCORE, normal, "welch"),
        (SCORE, single, "welch"),
        (LATENCY, requests, "delta"),
        (Question(metric="cost_per_success", kind="ratio"), requests, "delta"),
        (QUALITY, {"A": shares(30, 400), "B": shares(40, 400)}, "two-proportion"),
        (SCORE, covaried, "cuped"),
    ):
        found = compared(a_live_plan(), question, arms, units={"A": 400, "B": 400}).primary("B")
        assert found.test == test
        assert test in found.because
    for question, arms, test in (
        (QUALITY, {name: generator.permutation(shares(60, 100)) for name in "AB"}, "mcnemar"),
        (SCORE, {name: generator.normal(0.5, 0.1, 100) for name in "AB"}, "paired-t"),
        (Question(metric="q", kind="binary"), {n: generator.integers(0, 6, 90) / 5 for n in "AB"}, "paired-t"),
    ):
        assert compared(an_offline_plan(), question, arms).primary("B").test == test
    groups = [case // 4 for case in range(100)]
    scores = {name: generator.normal(0.5, 0.1, 100) for name in "AB"}
    assert compared(an_offline_plan(), SCORE, scores, clusters=groups).primary("B").test == "cluster-robust"


def test_where_the_data_leave_a_tests_domain_another_is_taken_and_named() -> None:
    generator = np.random.default_rng(6)
    arms = {"A": generator.lognormal(6, 1.2, 120), "B": generator.lognormal(7, 1.2, 120)}
    found = compared(a_live_plan(), LATENCY, arms).primary("B")
    assert (found.test, found.verdict) == ("mann-whitney", "worse")
    assert "beyond a half" in found.outcome.notes[0]  # type: ignore[union-attr]
    forced = Question(metric="latency_ms", kind="skewed", direction="down", test="welch")
    found = compared(a_live_plan(), forced, arms).primary("B")
    assert (found.test, found.verdict) == ("welch", "not_enough_data")
    assert found.why.startswith("the interval is not reliable: the values are too skewed")
    by_sums = {name: PairMoments.of(values[:60], np.ones(60)) for name, values in arms.items()}
    found = compared(a_live_plan(), LATENCY, by_sums).primary("B")
    assert "assumed: it was not given" in found.why


def test_twenty_cases_of_a_latency_are_never_left_to_students_interval() -> None:
    """There it covers 86% at best; few cases do not even show the tail that spoils it."""
    generator = np.random.default_rng(17)
    for _ in range(40):
        arms = {"A": np.zeros(20), "B": generator.lognormal(size=20) - np.exp(0.5)}
        found = compared(an_offline_plan(), LATENCY, arms).primary("B")
        assert "not reliable" in found.why
    enough = {"A": np.zeros(20), "B": generator.normal(0.1, 0.1, 20)}
    assert compared(an_offline_plan(), SCORE, enough).primary("B").test == "paired-t"


def test_sums_hide_a_tail_so_metrics_that_have_one_need_more_units() -> None:
    generator = np.random.default_rng(16)
    for n, reliable in ((300, {"bounded": True, "skewed": False}), (1_500, {"bounded": True, "skewed": True})):
        arms = {name: PairMoments.of(generator.normal(0.5, 0.1, n), np.ones(n)) for name in "AB"}
        for kind, expected in reliable.items():
            for test in ("welch", "delta"):
                question = Question(metric="m", kind=kind, test=test)  # type: ignore[arg-type]
                outcome = compared(a_live_plan(), question, arms).primary("B").outcome
                assert isinstance(outcome, Determined)
                assert outcome.reliable is expected, (n, kind, test)


@pytest.mark.parametrize("test", ["median", "p95", "fisher", "welch", "delta", "mann-whitney"])
def test_a_test_can_be_forced(test: str) -> None:
    generator = np.random.default_rng(7)
    arms = (
        {"A": shares(300, 500), "B": shares(350, 500)}
        if test == "fisher"
        else {"A": generator.normal(10, 2, 500), "B": generator.normal(12, 2, 500)}
    )
    found = compared(a_live_plan(), Question(metric="m", kind="bounded", test=test), arms).primary("B")
    assert (found.test, found.because, found.verdict) == (test, "forced by its name", "better")


def test_a_test_that_does_not_exist_or_does_not_fit_is_refused_by_name() -> None:
    arms = {name: shares(40, 100) for name in "AB"}
    with pytest.raises(UnknownTest, match="did you mean 'welch'"):
        compared(a_live_plan(), Question(metric="m", kind="binary", test="welsh"), arms)
    with pytest.raises(UnknownTest, match="paired-t is no test for live_split"):
        compared(a_live_plan(), Question(metric="m", kind="binary", test="paired-t"), arms)
    with pytest.raises(UnknownTest, match="cannot be looked at more than once"):
        compared(a_live_plan(looking="always_valid"), Question(metric="m", kind="binary", test="fisher"), arms)


# Families and guardrails


def test_several_variants_are_corrected_for_and_the_best_of_the_better_ones_wins() -> None:
    plan = Plan(
        design="live_split", control="A", variants=("B", "C", "D"), traffic={"A": 40, "B": 20, "C": 20, "D": 20}
    )
    generator = np.random.default_rng(8)
    arms = {name: generator.normal(mean, 0.2, n) for name, mean, n in
            (("A", 0.5, 800), ("B", 0.535, 400), ("C", 0.6, 400), ("D", 0.57, 400))}  # fmt: skip
    found = compared(plan, SCORE, arms)
    assert found.winners[:2] == ("C", "D")
    assert found.outcome == "variant"
    for variant in "BCD":
        finding = found.primary(variant)
        assert finding.adjusted is not None
        assert finding.adjusted.size == 3
        assert finding.adjusted.p is not None
        assert finding.effect is not None
        assert (finding.adjusted.p <= 0.05) == (not finding.effect.low <= 0 <= finding.effect.high)
        assert finding.effect.confidence == pytest.approx(1 - finding.adjusted.level)


def test_equivalence_of_several_variants_shares_alpha() -> None:
    generator = np.random.default_rng(18)
    arms = {name: generator.normal(0.5, 0.2, 600) for name in "ABCD"}
    within = Question(metric="score", kind="bounded", margin=0.05)
    one = compared(a_live_plan(), within, {name: arms[name] for name in "AB"}).primary("B")
    plan = Plan(design="live_split", control="A", variants=tuple("BCD"), traffic=dict.fromkeys("ABCD", 25.0))
    three = compared(plan, within, arms).primary("B")
    assert one.narrow is not None
    assert three.narrow is not None
    assert one.narrow.confidence == pytest.approx(0.9)
    assert three.narrow.confidence == pytest.approx(1 - 2 * 0.05 / 3)


@pytest.mark.parametrize("runs", [150, pytest.param(4_000, marks=pytest.mark.slow)])
def test_variants_that_differ_by_the_margin_are_called_equivalent_no_more_often_than_alpha(runs: int) -> None:
    generator = np.random.default_rng(19)
    wrong = 0
    for _ in range(runs):
        arms = {"A": generator.normal(0.5, 0.2, 400), "B": generator.normal(0.54, 0.2, 400)}
        question = Question(metric="score", kind="bounded", margin=0.04)
        wrong += compared(a_live_plan(), question, arms).primary("B").verdict == "equivalent"
    assert wrong / runs <= 0.05 + 3 * (0.05 * 0.95 / runs) ** 0.5


def test_guardrails_stand_outside_the_family_and_take_the_win_when_harm_is_shown() -> None:
    generator = np.random.default_rng(9)
    n = 2_000
    values = {
        "score": {"A": generator.normal(0.5, 0.2, n), "B": generator.normal(0.55, 0.2, n)},
        "latency_ms": {"A": generator.normal(500, 50, n), "B": generator.normal(600, 50, n)},
        "cost": {"A": generator.normal(2, 0.5, n), "B": generator.normal(2, 0.5, n)},
        "tokens": {"A": generator.normal(100, 50, n), "B": generator.normal(103, 50, n)},
    }
    questions = [
        SCORE,
        *(
            Question(metric=metric, kind="skewed", direction="down", role="guardrail", margin=margin)
            for metric, margin in (("latency_ms", 30.0), ("cost", 0.1), ("tokens", 3.0))
        ),
    ]
    found = compare(a_live_plan(), questions, values, generator=generator, units={"A": n, "B": n})
    assert found.guards("B") == {"latency_ms": "violated", "cost": "holds", "tokens": "open"}
    assert found.primary("B").verdict == "better"
    assert found.primary("B").adjusted is not None
    assert found.primary("B").adjusted.size == 1  # type: ignore[union-attr]
    assert found.of("cost", "B").adjusted is None
    assert found.winners == ()
    assert found.outcome == "inconclusive"


def test_secondary_metrics_share_a_family_of_the_declared_scope() -> None:
    generator = np.random.default_rng(10)
    names = ("m1", "m2", "m3")
    values = {name: {arm: generator.normal(0.5, 0.1, 200) for arm in "AB"} for name in ("score", *names)}
    questions = [SCORE, *(Question(metric=name, kind="bounded", role="secondary") for name in names)]
    for scope, size in (("whole", 3), ("metric", 1), ("variant", 3)):
        plan = a_live_plan(scope=scope)
        found = compare(plan, questions, values, generator=generator, units={"A": 200, "B": 200})
        assert {found.of(name, "B").adjusted.size for name in names} == {size}  # type: ignore[union-attr]
        assert found.primary("B").adjusted.size == 1  # type: ignore[union-attr]


# Looks


@pytest.mark.parametrize(
    ("looking", "changed"),
    [("always_valid", {"planned_n": 1000}), ("group_sequential", {"looks": (0.25, 0.5), "planned_n": 2000})],
)
def test_looks_widen_the_interval_and_still_find_what_is_large(looking: str, changed: dict[str, Any]) -> None:
    generator = np.random.default_rng(11)
    plan, once = a_live_plan(looking=looking, **changed), a_live_plan()
    arms = {"A": generator.normal(0.5, 0.2, 1_000), "B": generator.normal(0.6, 0.2, 1_000)}
    looked, single = (compared(each, SCORE, arms).primary("B") for each in (plan, once))
    assert looked.verdict == "better"
    assert looked.effect is not None
    assert single.effect is not None
    assert looked.effect.low < single.effect.low < single.effect.high < looked.effect.high
    assert looked.belief is not None
    assert single.belief is not None
    assert looked.belief.loss_if_left == pytest.approx(single.belief.loss_if_left, rel=1e-3)
    small = {name: values[:60] for name, values in arms.items()}
    assert compared(plan, SCORE, small).primary("B").verdict == "not_enough_data"


def test_a_bayesian_plan_declares_by_its_calibrated_rule_alone() -> None:
    rule = bayes.calibrated(
        bayes.Rule(kind="loss", threshold=0.0, looks=5, n_per_look=200), np.random.default_rng(12), runs=20_000
    )
    plan = a_live_plan(looking="bayesian", rule=rule)
    generator = np.random.default_rng(13)
    large = {"A": generator.normal(0.5, 0.2, 400), "B": generator.normal(0.56, 0.2, 400)}
    small = {"A": large["A"], "B": large["A"] + 0.02}
    assert compared(plan, SCORE, large).primary("B").verdict == "better"
    assert compared(plan, SCORE, small).primary("B").verdict == "not_enough_data"


# Bad data


ONE = np.array([0.5])
MANY = np.linspace(0.2, 0.9, 50)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("design", ["live_split", "paired_offline"])
@pytest.mark.parametrize("kind", ["binary", "bounded", "skewed", "ratio"])
@pytest.mark.parametrize(
    ("control", "treatment"),
    [
        ([], []),
        (ONE, ONE),
        (MANY * 0 + 0.5, MANY * 0 + 0.5),
        (MANY * 0, MANY * 0 + 1),
        (np.append(MANY, np.inf), np.append(MANY, 0.1)),
        (np.full(50, np.nan), MANY),
        (-MANY, MANY * 1e300),
        (MANY * 1e-300, MANY),
        (np.full(50, -np.inf), np.full(50, np.inf)),
    ],
    ids=["empty", "one", "no spread", "opposite", "infinite", "not a number", "huge", "tiny", "both infinite"],
)
@pytest.mark.parametrize("looking", ["fixed", "always_valid"])
def test_bad_data_have_a_reason_and_never_a_made_up_p(
    control: Floats, treatment: Floats, kind: Any, design: str, looking: str
) -> None:
    plan = a_live_plan(looking=looking) if design == "live_split" else an_offline_plan(looking=looking)
    arms = {"A": np.array(control, dtype=np.float64), "B": np.array(treatment, dtype=np.float64)}
    found = compared(plan, Question(metric="m", kind=kind, margin=0.1), arms, units={"A": 50, "B": 50})
    finding = found.primary("B")
    assert finding.why
    if isinstance(finding.outcome, Undetermined):
        assert finding.verdict == "not_enough_data"
        assert finding.effect is None
        return
    assert finding.outcome.p is None or 0 <= finding.outcome.p <= 1
    assert finding.effect is not None
    assert finding.effect.low <= finding.effect.value <= finding.effect.high


def test_a_live_arm_that_was_cut_off_is_empty_and_said_so() -> None:
    found = compare(
        a_live_plan(), [SCORE], {"score": {"A": MANY}}, generator=np.random.default_rng(1), units={"A": 50, "B": 50}
    )
    assert found.primary("B").why == "the metric was not measured under B"
    nobody = compared(a_live_plan(), SCORE, {"A": np.empty(0), "B": np.empty(0)}, units={"A": 0, "B": 0})
    assert nobody.blocked == ""
    assert nobody.primary("B").verdict == "not_enough_data"
    uncounted = compare(a_live_plan(), [SCORE], {"score": {"A": MANY, "B": MANY}}, generator=np.random.default_rng(1))
    assert "nobody counted" in uncounted.blocked


def test_cases_without_a_value_under_both_variants_are_left_out_and_counted() -> None:
    generator = np.random.default_rng(14)
    control, treatment = generator.normal(0.5, 0.1, 100), generator.normal(0.55, 0.1, 100)
    control[:5], treatment[3:9] = np.nan, np.nan
    found = compared(an_offline_plan(), SCORE, {"A": control, "B": treatment}).primary("B")
    assert found.left_out == 9
    assert found.effect is not None
    assert found.effect.n == 91


@pytest.mark.parametrize(
    "questions",
    [[], [SCORE, QUALITY], [SCORE, SCORE], [Question(metric="m", kind="bounded", margin=-1.0)]],
    ids=["none", "two primaries", "twice", "negative margin"],
)
def test_a_plan_that_is_none_is_a_programming_error(questions: list[Question]) -> None:
    with pytest.raises(ValueError, match=r"primary|once|margin"):
        compare(a_live_plan(), questions, {}, generator=np.random.default_rng(1), units={})


@pytest.mark.parametrize("runs", [150, pytest.param(4_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("design", ["live_split", "paired_offline"])
def test_the_whole_way_errs_no_more_often_than_alpha(design: str, runs: int) -> None:
    """Three equal variants against one control: any of them better or worse, over all tests that the rule may take."""
    generator = np.random.default_rng(15)
    traffic = dict.fromkeys("ABCD", 25.0) if design == "live_split" else {}
    plan = Plan(design="live_split", control="A", variants=tuple("BCD"), traffic=traffic)
    if design == "paired_offline":
        plan = Plan(design="paired_offline", control="A", variants=tuple("BCD"))
    wrong = 0
    for run in range(runs):
        kind = ("binary", "bounded", "skewed")[run % 3]
        level = generator.beta(4, 2, 60)
        arms: dict[str, Floats] = {}
        for name in "ABCD":
            if kind == "binary":
                arms[name] = (generator.random(60) < level).astype(np.float64)
            elif kind == "bounded":
                arms[name] = np.clip(level + generator.normal(0, 0.1, 60), 0, 1)
            else:
                arms[name] = generator.lognormal(level, 1.0, 60)
        question = Question(metric="m", kind=kind)  # type: ignore[arg-type]
        found = compare(plan, [question], {"m": arms}, generator=generator, units=dict.fromkeys("ABCD", 60))
        wrong += any(found.primary(name).verdict in ("better", "worse") for name in "BCD")
    assert wrong / runs <= 0.05 + 3 * (0.05 * 0.95 / runs) ** 0.5
