"""Selection: the choice meets every constraint, lies on the frontier of those that do, and depends on nothing else."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evaluations.availability import Outcome, ProviderHealth, health_of
from evaluations.errors import AssayError
from evaluations.estimates import Estimate
from evaluations.frontier import Point, placed
from evaluations.models import Capability, Finding, Limits, Model, UseCaseScore
from evaluations.selection import (
    ACCURACIES,
    COMPLEXITIES,
    SENSITIVITIES,
    URGENCIES,
    Candidate,
    Characteristics,
    Policy,
    Selected,
    Shape,
    Unsure,
    characteristics_of,
    checks_of,
    constraints_of,
    differences_of,
    select_model,
)
from evaluations.selection_specs import PolicySpec
from evaluations.statistics.means import mean_interval
from evaluations.statistics.paired import PassPairs, tango
from tasks.selecting import policy_of

ON = date(2026, 6, 1)
POLICY = Policy()


def share(value: float, half: float = 0.02, n: int = 400) -> Estimate:
    return Estimate(value=value, low=max(value - half, 0.0), high=min(value + half, 1.0), n=n)


def registered(name: str, **given: Any) -> Model:
    return Model(name=name, provider=name.partition("/")[0], mode="chat", **given)


def a_candidate(name: str, month: str | None, quality: float | None, **given: Any) -> Candidate:
    context = given.pop("context", 128_000)
    return Candidate(
        model=name,
        registry=given.pop("registry", registered(name, limits=Limits(context_tokens=context))),
        quality=None if quality is None else share(quality),
        p95_ms=given.pop("p95_ms", Estimate(value=900.0, low=850.0, high=990.0, n=400)),
        errors=given.pop("errors", share(0.01, 0.01)),
        month=None if month is None else Decimal(month),
        **given,
    )


def selected(*candidates: Candidate, asked: Characteristics | None = None, **limits: Any) -> Selected:
    asked = asked or Characteristics()
    return select_model("chatbot", asked, candidates, constraints_of(asked, POLICY, ON, **limits), POLICY)


def chosen(found: Selected) -> str | None:
    return None if found.chosen is None else found.chosen.model


def side_by_side(*candidates: Candidate, half: float = 0.004, n: int = 9_000) -> tuple[Candidate, ...]:
    """With how each differs from every other one, known to so much."""

    def apart(one: Candidate, other: Candidate) -> Estimate:
        assert one.quality is not None
        assert other.quality is not None
        value = one.quality.value - other.quality.value
        return Estimate(value=value, low=value - half, high=value + half, n=n, confidence=0.9)

    return tuple(
        replace(each, beside={other.model: apart(each, other) for other in candidates if other is not each})
        for each in candidates
    )


LARGE, MIDDLE, SMALL, SLOW = side_by_side(
    a_candidate("a/large", "900", 0.97),
    a_candidate("a/middle", "300", 0.95),
    a_candidate("a/small", "40", 0.80),
    a_candidate("a/slow", "20", 0.96, p95_ms=Estimate(value=20_000.0, low=1.0, high=30_000.0, n=400)),
)


@pytest.mark.parametrize(
    ("workload", "wanted"),
    [
        ({}, "a/middle"),
        ({"cost_sensitivity": "high"}, "a/small"),
        ({"cost_sensitivity": "low"}, "a/large"),
        ({"accuracy": "high", "cost_sensitivity": "high"}, "a/middle"),
        ({"accuracy": "critical", "cost_sensitivity": "high"}, "a/large"),
        ({"urgency": "batch", "accuracy": "high", "cost_sensitivity": "high"}, "a/slow"),
        ({"urgency": "near_real_time", "accuracy": "high"}, "a/middle"),
        ({"urgency": "batch"}, "a/slow"),
    ],
)
def test_labelled_workloads_get_the_model_that_a_person_would_name(workload: dict[str, Any], wanted: str) -> None:
    policy = replace(POLICY, quality_at_least={**POLICY.quality_at_least, "critical": 0.95})
    asked = Characteristics(**workload)
    found = select_model(
        "chatbot", asked, (LARGE, MIDDLE, SMALL, SLOW), constraints_of(asked, policy, ON), policy
    )  # fmt: skip
    assert chosen(found) == wanted


def test_every_choice_meets_every_constraint_and_is_on_the_frontier_of_those_that_do() -> None:
    """S1-62, against a search through all candidates and the frontier's own code, in 1,440 worlds, all of which are
    taken as they were measured."""
    policy = replace(POLICY, unsure="in")
    random = np.random.default_rng(7)
    choices = 0
    for _ in range(20):
        candidates = [
            a_candidate(
                f"p{random.integers(4) % 3}/m{n}",
                None if random.random() < 0.1 else str(int(random.integers(1, 400))),
                None if random.random() < 0.1 else float(random.integers(10, 20)) / 20,
                context=int(random.choice([1_000, 20_000, 200_000, 200_000])),
                p95_ms=None if random.random() < 0.1 else Estimate(
                    value=float(random.choice([500, 5_000, 60_000])), low=0, high=1e6, n=50
                ),
                errors=share(float(random.choice([0.0, 0.0, 0.2])), 0.01),
            )
            for n in range(int(random.integers(0, 14)))
        ]  # fmt: skip
        for accuracy, urgency, sensitivity in product(ACCURACIES, URGENCIES, SENSITIVITIES):
            for complexity in COMPLEXITIES[:2]:
                asked = Characteristics(
                    accuracy=accuracy, urgency=urgency, cost_sensitivity=sensitivity, complexity=complexity
                )
                limits = constraints_of(asked, policy, ON, month_at_most=Decimal(300), providers=["p0", "p1"])
                found = select_model("f", asked, candidates, limits, policy)
                fit = [each for each in candidates if meets(each, asked)]
                assert (found.chosen is None) == (not fit)
                if found.chosen is None:
                    continue
                choices += 1
                assert found.chosen in fit
                points = [Point(name=each.model, cost=each.month, quality=each.quality) for each in fit]
                standing = {each.point.name: each.standing for each in placed(points)}
                assert standing[found.chosen.model] == "frontier"
                again = select_model("f", asked, candidates[::-1], limits, policy)
                assert again == found
    assert choices > 200


def meets(each: Candidate, asked: Characteristics) -> bool:
    """The constraints, written down a second time."""
    quality, p95 = each.quality, POLICY.p95_ms[asked.urgency]
    assert each.registry is not None
    assert each.errors is not None
    return (
        quality is not None
        and quality.low >= POLICY.quality_at_least[asked.accuracy]
        and each.month is not None
        and each.month <= 300
        and (p95 is None or (each.p95_ms is not None and each.p95_ms.value <= p95))
        and (each.registry.limits.context_tokens or 0) >= POLICY.prompt_tokens[asked.complexity]
        and each.errors.low <= 0.05
        and each.model.startswith(("p0/", "p1/"))
    )


@pytest.mark.parametrize(
    ("candidate", "said"),
    [
        (a_candidate("a/m", "1", None), "quality not measured on the cases"),
        (a_candidate("a/m", None, 0.9), "unpriced"),
        (a_candidate("a/m", "1", 0.9, p95_ms=None), "latency not measured"),
        (a_candidate("a/m", "1", 0.9, errors=None), "errors not measured"),
        (a_candidate("a/m", "1", 0.9, registry=registered("a/m")), "context window not stated"),
    ],
)
def test_what_is_not_known_meets_no_constraint(candidate: Candidate, said: str) -> None:
    found = selected(candidate)
    assert found.chosen is None
    assert said in found.considered[0].why
    assert found.sentence.startswith("No model qualifies for chatbot: a/m: ")


P95 = Estimate(value=2_000.0, low=1_500.0, high=3_400.0, n=90)
FEW = Estimate(value=2_000.0, low=1_500.0, high=float("inf"), n=40)


@pytest.mark.parametrize(
    ("p95", "unsure", "holds", "said"),
    [
        (replace(P95, high=3_000.0), "out", True, "p95 2.00 s in the cases; at most 3.00 s asked"),
        (P95, "out", False, "n is too small to be sure (measured 1.50 s to 3.40 s, n = 90)"),
        (FEW, "out", False, "n is too small to be sure (measured open above; 59 calls would bound it, n = 40)"),
        (P95, "in", True, "n is too small to be sure (measured 1.50 s to 3.40 s, n = 90): taken as measured"),
        (replace(P95, value=3_100.0), "in", False, "p95 3.10 s in the cases; at most 3.00 s asked"),
    ],
)
def test_a_percentile_of_latency_is_within_its_limit_when_its_bound_is(
    p95: Estimate, unsure: Unsure, holds: bool, said: str
) -> None:
    limits = constraints_of(Characteristics(), replace(POLICY, unsure=unsure), ON)
    (check,) = [each for each in checks_of(replace(MIDDLE, p95_ms=p95), limits) if each.name == "latency"]
    assert check.holds is holds
    assert said in check.said


def test_what_is_given_up_for_a_lower_cost_has_to_be_shown_to_be_little() -> None:
    few = side_by_side(LARGE, MIDDLE, half=0.03, n=150)
    assert chosen(selected(*few)) == "a/large"
    (why,) = [each.why for each in selected(*few).considered if each.candidate.model == "a/middle"]
    assert why == (
        "passes 95.0%, 2.0 points below the best, and n is too small to be sure: up to 5.0 are not ruled out, "
        "3 may be given up (n = 150)"
    )
    asked = Characteristics()
    as_measured = replace(POLICY, unsure="in")
    taken = select_model("chatbot", asked, few, constraints_of(asked, as_measured, ON), as_measured)
    assert chosen(taken) == "a/middle"
    unknown = [replace(each, beside={}) for each in few]
    assert chosen(selected(*unknown)) == "a/large"
    assert "the cases do not say how sure that is" in selected(*unknown).considered[1].why
    # Of equally good ones the cheaper is the best there is: nothing is given up with it.
    twin = replace(LARGE, model="a/twin", month=Decimal(850), beside={})
    assert chosen(selected(replace(LARGE, beside={}), twin, asked=Characteristics(cost_sensitivity="low"))) == "a/twin"


@pytest.mark.parametrize("repeats", [1, 4])
def test_differences_have_the_bounds_of_the_paired_tests_of_the_cases(repeats: int) -> None:
    g = np.random.default_rng(3)
    hard = g.uniform(0.6, 0.9, 500)
    scores = {name: g.binomial(repeats, hard - loss) / repeats for name, loss in (("a", 0.0), ("b", 0.02), ("c", 0.2))}
    scores["b"][7] = np.nan
    found = differences_of(scores, None, np.random.default_rng(0))
    there = np.arange(500) != 7
    one, other = scores["b"][there], scores["a"][there]
    # Two others share alpha, one-sided.
    if repeats == 1:
        expected = tango(PassPairs.of(other, one), 1 - 2 * 0.05 / 2)
    else:
        expected = mean_interval(one - other, 1 - 2 * 0.05 / 2)
    told = found["b"]["a"]
    assert (told.value, told.low, told.n) == pytest.approx((expected.value, expected.low, 499))
    assert found["c"]["a"].high < -0.1 < 0.1 < found["a"]["c"].low
    assert set(found) == {"a", "b", "c"}
    assert differences_of({"a": scores["a"]}, None, np.random.default_rng(0)) == {"a": {}}


def test_a_model_that_gives_up_too_much_is_chosen_in_fewer_worlds_than_alpha() -> None:
    """Sixty worlds of three cheap models, each worse than may be given up by a hair."""
    g, wrong = np.random.default_rng(9), 0
    for _ in range(60):
        truth = {"a/large": 0.93, "a/x": 0.8999, "a/y": 0.8999, "a/z": 0.8999}
        scores = {name: (g.random(300) < rate).astype(np.float64) for name, rate in truth.items()}
        beside = differences_of(scores, None, g)
        worlds = [
            a_candidate(name, "900" if name == "a/large" else "40", float(scores[name].mean()), beside=beside[name])
            for name in truth
        ]
        found = selected(*worlds)
        # Where a cheap one happens to be the best measured nothing was given up.
        best = max(worlds, key=lambda each: 0.0 if each.quality is None else each.quality.value)
        wrong += best.model == "a/large" and chosen(found) != "a/large"
    assert wrong / 60 <= 0.05 + 2.33 * (0.05 * 0.95 / 60) ** 0.5


def test_a_model_is_unhealthy_only_where_its_errors_are_shown() -> None:
    few = replace(SMALL, errors=Estimate(value=0.2, low=0.04, high=0.6, n=5))
    assert chosen(selected(few)) == "a/small"
    many = replace(SMALL, errors=Estimate(value=0.2, low=0.15, high=0.26, n=500), live=True)
    assert selected(many).considered[0].why == "20.0% errors in production (n = 500); at most 5.0% asked"


def test_retired_models_other_providers_and_missing_capabilities_are_out() -> None:
    retired = replace(SMALL, registry=registered("a/small", retires_on=ON, limits=Limits(context_tokens=99_000)))
    assert chosen(selected(retired)) is None
    assert chosen(selected(SMALL, providers=["b"])) is None
    assert chosen(selected(SMALL, providers=["a"])) == "a/small"
    needing = Characteristics(needs=("vision",))
    assert "vision not stated" in selected(SMALL, asked=needing).considered[0].why
    seen = Capability(
        name="vision",
        documented=False,
        tested=Finding(passed=True, at=datetime(2026, 5, 1, tzinfo=UTC), why="named the colour"),
    )
    sees = replace(
        SMALL,
        registry=registered("a/small", limits=Limits(context_tokens=99_000), capabilities={"vision": seen}),
    )
    assert chosen(selected(sees, asked=needing)) == "a/small"
    unlisted = replace(SMALL, registry=None, longest_prompt=99_000)
    assert chosen(selected(unlisted)) == "a/small"
    assert chosen(selected(unlisted, registered=True)) is None


def test_each_candidate_says_why_it_was_not_chosen() -> None:
    why = {each.candidate.model: each.why for each in selected(LARGE, MIDDLE, SMALL).considered}
    assert why == {
        "a/middle": "the cheapest that is within 3 points of the best, $300.00 a month, passes 95.0% of cases",
        "a/large": "qualifies, and costs $600.00 more a month",
        "a/small": "passes 80.0%, 17.0 points below the best",
    }


def test_rows_tell_complexity_volume_and_urgency_and_what_is_given_goes_before() -> None:
    shape = Shape(rows=10, prompt_tokens_p95=50_000, a_month=Decimal(2_000_000), batch_share=0.9, images=True)
    found, why = characteristics_of(shape, POLICY, {})
    assert found == Characteristics(
        complexity="high", volume="heavy", urgency="batch", accuracy="standard", needs=("vision",)
    )
    assert "volume heavy: 2,000,000 requests a month" in why
    given, told = characteristics_of(shape, POLICY, {"urgency": "real_time", "needs": ("tools",)})
    assert (given.urgency, given.needs) == ("real_time", ("tools",))
    assert "urgency real time: given" in told


def test_a_measured_prompt_goes_before_what_its_word_means() -> None:
    asked = Characteristics(complexity="high")
    assert constraints_of(asked, POLICY, ON).context_at_least == 100_000
    assert constraints_of(asked, POLICY, ON, longest_prompt=30_000).context_at_least == 30_000
    small = checks_of(replace(SMALL, registry=registered("a/small", limits=Limits(context_tokens=32_000))),
                      constraints_of(asked, POLICY, ON, longest_prompt=30_000))  # fmt: skip
    assert all(each.holds for each in small)


def test_a_policy_file_changes_what_it_says_and_its_version_with_it() -> None:
    said = {"name": "careful", "quality_at_least": {"standard": 0.8}, "candidates": {"f": "a/m"}}
    found = PolicySpec.model_validate(said).policy
    assert found.quality_at_least == {"basic": 0.5, "standard": 0.8, "high": 0.85, "critical": 0.95}
    assert found.candidates == {"f": ("a/m",)}
    assert found.version != POLICY.version
    turned = dict(reversed(said.items())) | {"candidates": {"f": ["a/m"]}}
    assert found.version == PolicySpec.model_validate(turned).policy.version


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"quality_at_least": {"standard": 0.9}}, "`quality_at_least` has to rise from word to word"),
        ({"quality_at_least": {"usual": 0.9}}, "quality_at_least"),
        ({"p95_ms": {"real_time": 0}}, "p95_ms.real_time"),
        ({"wishes": 1}, "wishes"),
    ],
)
def test_a_policy_file_that_is_none_says_where(tmp_path: Path, document: dict[str, Any], said: str) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(json.dumps(document))
    with pytest.raises(AssayError, match=rf"policy\.yaml:1:\d+: .*{said}"):
        policy_of(file)


def heard(*errors: str | None) -> ProviderHealth:
    """A provider whose outcomes of the last minutes ended so, the oldest first."""
    now = datetime(2026, 6, 1, 12, tzinfo=UTC)
    outcomes = [Outcome(at=now - timedelta(minutes=len(errors) - n), error=each) for n, each in enumerate(errors)]
    return health_of("a", True, outcomes, now)


@pytest.mark.parametrize(
    ("health", "wanted"),
    [
        (heard(), "a/middle"),
        (heard(None, "rate_limited"), "a/middle"),
        (heard(None, "timeout"), "a/large"),
        (heard("timeout", "timeout", "server_error"), "a/large"),
        (heard("timeout", "timeout", "timeout", None), "a/middle"),
    ],
)
def test_a_model_whose_provider_does_not_answer_is_not_chosen(health: ProviderHealth, wanted: str) -> None:
    found = selected(LARGE, replace(MIDDLE, provider=health))
    assert chosen(found) == wanted
    if health.circuit.state == "open":
        (refused,) = [each for each in found.considered if each.candidate.model == "a/middle"]
        assert "circuit open: its last 3 outcomes failed, the newest with server_error" in refused.why


def test_what_the_registrys_checks_have_against_a_model_is_the_reason_why_it_is_not_chosen() -> None:
    found = selected(replace(LARGE, in_the_way=()), replace(MIDDLE, in_the_way=("key: no key is there",)))
    assert chosen(found) == "a/large"
    assert found.considered[1].why == "key: no key is there"


@pytest.mark.parametrize(
    ("score", "holds", "said"),
    [
        (None, False, "not measured for support"),
        ({"origin": "declared", "score": 99}, False, "not measured for support; declared 99 of 100"),
        (
            {"origin": "measured", "score": 75, "low": 69, "high": 81, "n": 200},
            False,
            "shown to reach 69.0% on support",
        ),
        ({"origin": "measured", "score": 75, "low": 71, "high": 79, "n": 400}, True, "(n = 400); 70.0% asked"),
    ],
)
def test_a_use_case_that_is_asked_for_has_to_be_measured(score: dict[str, Any] | None, holds: bool, said: str) -> None:
    scores = () if score is None else (UseCaseScore(use_case="support", **score),)
    each = replace(MIDDLE, registry=registered("a/middle", limits=Limits(context_tokens=128_000), use_cases=scores))
    asked = Characteristics(use_case="support")
    (check,) = [
        each for each in checks_of(each, constraints_of(asked, POLICY, ON)) if each.name == "use case"
    ]  # fmt: skip
    assert check.holds is holds
    assert said in check.said
