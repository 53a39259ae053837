"""Routes: who is asked, when a case goes on, and what the whole way costs and takes."""

import json
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from evaluations.answers import Usage
from evaluations.recommending.routing import LEARNERS, Known, RoutedCases, category_of, learned, text_of
from evaluations.routes import NothingToRoute, Router, policy_of, spec_of
from evaluations.specs import RouteSpec, RoutingPolicySpec, SuiteSpec, variants_of
from tests.builders import a_case, a_suite, an_answer

PAIR: list[Any] = ["openai/small", "openai/large"]


def a_route(**rule: Any) -> RouteSpec:
    return RouteSpec.model_validate({"weak": "small", "strong": "large", **rule})


def a_routed_suite(*, route: dict[str, Any] | None = None, **given: Any) -> SuiteSpec:
    rule = {"weak": "small", "strong": "large", "escalate_when": {}} if route is None else route
    return a_suite(**{"models": [*PAIR, {"name": "both", "route": rule}], **given})


def learned_from(learner: str, n: int = 400) -> tuple[Any, Known]:
    """A rule of this learner from made-up cases whose hard category and long texts are worth the strong model."""
    draw = np.random.default_rng(7)
    hard = draw.random(n) < 0.5
    texts = ["what is 3 + 4? " * (6 if each else 1) for each in hard]
    known = Known.of(texts, ["proof" if each else "greeting" for each in hard])
    cases = RoutedCases(
        known=known,
        weak=(draw.random(n) < np.where(hard, 0.3, 0.95)).astype(float),
        strong=(draw.random(n) < 0.95).astype(float),
        weak_cost=np.full(n, 1.0),
        strong_cost=np.full(n, 10.0),
    )
    return learned(cases, loss=0.05, generator=np.random.default_rng(1), learner=learner), known


@pytest.mark.parametrize(
    ("case", "asked"),
    [
        (a_case(inputs={"question": "short"}), "weak"),
        (a_case(inputs={"question": "x" * 41}), "strong"),
        (a_case(inputs={"question": "x" * 40}), "weak"),
        (a_case(inputs={"question": "short"}, tags=("hard",)), "strong"),
        (a_case(inputs={"question": "short"}, tags=("easy",)), "weak"),
        (a_case(inputs={"question": "short"}, metadata={"topic": "law"}), "strong"),
    ],
)
def test_a_case_goes_to_the_strong_model_by_its_tags_its_category_or_its_length(case: Any, asked: str) -> None:
    rule = {"tags": "hard", "categories": ["law"], "longer_than": 40}
    assert Router.of(a_route(strong_when=rule)).first(case) == asked


@pytest.mark.parametrize("learner", LEARNERS)
def test_a_learned_policy_chooses_from_its_file_as_it_did_when_it_was_learned(learner: str) -> None:
    rule, known = learned_from(learner)
    written = json.dumps(spec_of(rule).model_dump(mode="json", exclude_defaults=True))
    read = RoutingPolicySpec.model_validate_json(written)
    assert np.array_equal(policy_of(read).gains(known) >= read.threshold, rule.to_strong(known))
    assert 0.3 < rule.to_strong(known).mean() < 0.7
    router = Router.of(a_route(policy=json.loads(written)))
    hard = a_case(inputs={"question": "what is 3 + 4? " * 6}, metadata={"category": "proof"})
    easy = a_case(inputs={"question": "what is 3 + 4? "}, metadata={"category": "greeting"})
    assert (router.first(hard), router.first(easy)) == ("strong", "weak")
    assert (text_of(easy), category_of(easy)) == ("what is 3 + 4? ", "greeting")


def test_a_rule_that_sends_every_case_to_one_model_is_no_route() -> None:
    from dataclasses import replace

    rule, _ = learned_from("category")
    for threshold, said in ((float("-inf"), "to the strong model"), (float("inf"), "to the cheap model; use it alone")):
        with pytest.raises(NothingToRoute, match=said):
            spec_of(replace(rule, threshold=threshold))


@pytest.mark.parametrize(
    ("rule", "said", "goes_on"),
    [
        ({}, "I am not sure", False),
        ({"says": ["not sure", "I cannot"]}, "Honestly, I am NOT SURE.", True),
        ({"says": "not sure"}, "Paris", False),
        ({"shorter_than": 4}, " no ", True),
        ({"shorter_than": 2}, " no ", False),
        ({"confidence_below": 0.7}, '{"answer": "Paris", "confidence": 0.69}', True),
        ({"confidence_below": 0.7}, '{"answer": "Paris", "confidence": 0.7}', False),
        ({"confidence_below": 0.7}, '{"answer": "Paris"}', True),
        ({"confidence_below": 0.7}, "Paris, for sure", True),
        ({"confidence_below": 0.7}, '{"confidence": NaN}', True),
        ({"confidence_below": 0.7, "confidence_field": "sure"}, '{"sure": 0.9}', False),
        ({"confidence_below": 0.7}, "[" * 100_000, True),
    ],
)
def test_an_answer_sends_its_case_on_by_what_it_says(rule: dict[str, Any], said: str, goes_on: bool) -> None:
    assert Router.of(a_route(escalate_when=rule)).goes_on(an_answer(said)) is goes_on


def test_a_failed_call_of_the_cheap_model_sends_the_case_on_and_a_missing_recording_does_not() -> None:
    router = Router.of(a_route(escalate_when={}))
    assert router.goes_on(an_answer(None, error="timeout"))
    assert not router.goes_on(an_answer(None, error="no_recording"))
    assert not router.goes_on(an_answer(None, error="interrupted"))


def test_a_case_that_went_through_both_models_costs_and_takes_both_and_the_router() -> None:
    router = Router.of(a_route(escalate_when={}, cost_a_case="0.001", latency_ms=5))
    first = an_answer(
        "not sure", latency_ms=100.0, first_token_ms=20.0, cost_usd=Decimal("0.01"), queue_ms=1.0,
        usage=Usage(input_tokens=10, output_tokens=2),
    )  # fmt: skip
    second = an_answer(
        "Paris", latency_ms=300.0, first_token_ms=50.0, cost_usd=Decimal("0.2"), queue_ms=2.0,
        usage=Usage(input_tokens=11, reasoning_tokens=3),
    )  # fmt: skip
    told = router.told([first, second], "large")
    assert (told.text, told.routed_to, told.cost_usd) == ("Paris", "large", Decimal("0.211"))
    assert (told.latency_ms, told.first_token_ms, told.queue_ms, told.tries) == (405.0, 155.0, 3.0, 2)
    assert told.usage == Usage(input_tokens=21, output_tokens=2, reasoning_tokens=3)
    unknown = router.told([first, an_answer("Paris", cost_usd=None, usage_known=False, latency_ms=None)], "large")
    assert (unknown.cost_usd, unknown.usage_known, unknown.latency_ms) == (None, False, None)
    # A failed call has no time of its own, as anywhere; what it may have cost counts.
    failed = an_answer(None, error="timeout", cost_usd=Decimal("0.05"), queue_ms=1.0)
    assert router.told([failed, second], "large").latency_ms == 305.0
    assert router.told([failed, second], "large").cost_usd == Decimal("0.251")


def test_a_routed_variant_is_its_two_models_with_the_parameters_that_each_would_have() -> None:
    models = [
        {"name": "small", "model": "openai/small", "parameters": {"top_p": 0.5}},
        "openai/large",
        {"name": "both", "route": {"weak": "small", "strong": "large", "escalate_when": {}}},
    ]
    variants = variants_of(a_suite(models=models, parameters=[{"temperature": 0}, {"temperature": 1}]), [])
    both = [variant for variant in variants if variant.sides]
    assert [variant.label for variant in both] == ["both · temperature=0", "both · temperature=1"]
    for variant in both:
        alone = {each.label: each for each in variants if not each.sides}
        assert [side.parameters for side in variant.sides] == [alone[side.label].parameters for side in variant.sides]
    assert len({variant.content_hash for variant in variants}) == 6


def test_what_a_route_would_answer_differently_makes_it_another_variant() -> None:
    def identity(**given: Any) -> str:
        return variants_of(a_routed_suite(**given), [])[-1].content_hash

    def rule(**given: Any) -> dict[str, Any]:
        return {"weak": "small", "strong": "large", **given}

    plain = identity()
    assert plain == identity(models=[*PAIR, {"name": "called otherwise", "route": rule(escalate_when={})}])
    others = [
        identity(route=rule(escalate_when={"says": "no"})),
        identity(route=rule(strong_when={"tags": "hard"})),
        identity(route={"weak": "large", "strong": "small", "escalate_when": {}}),
        identity(models=[{"name": "small", "model": "openai/other"}, PAIR[1], {"route": rule(escalate_when={})}]),
    ]
    assert len({plain, *others}) == 5


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"route": {"weak": "small", "strong": "larg", "escalate_when": {}}}, "chooses 'larg', which no entry"),
        ({"route": {"weak": "small", "strong": "small", "escalate_when": {}}}, "between two models, and both are"),
        ({"route": {"weak": "small", "strong": "large"}}, "a route has one rule"),
        ({"route": {"weak": "small", "strong": "large", "escalate_when": {}, "policy": "p.json"}}, "has one rule"),
        ({"route": {"weak": "small", "strong": "large", "strong_when": {}}}, "say when: `tags`"),
        ({"timeout_s": 5, "route": {"weak": "small", "strong": "large", "escalate_when": {}}}, "`timeout_s` belongs"),
        ({"model": "openai/x", "route": {"weak": "small", "strong": "large", "escalate_when": {}}}, "or a `route`"),
        ({"model": "routed/both"}, "a `model` of its own or a `route`"),
        (
            {"route": {"weak": "small", "strong": "large", "policy": {
                "learner": "text", "threshold": 0.1, "centre": [1], "spread": [1], "weak_weights": [1, 2],
                "strong_weights": [1]}}},
            "a weight is needed",
        ),
    ],
)  # fmt: skip
def test_a_route_that_cannot_be_is_named(entry: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        a_suite(models=[*PAIR, {"name": "both", **entry}])


def test_neither_a_judge_nor_a_fallback_is_a_route() -> None:
    with pytest.raises(ValidationError, match="list it under `models`"):
        a_suite(models=PAIR, other_models=[{"route": {"weak": "small", "strong": "large", "escalate_when": {}}}])
    with pytest.raises(ValidationError, match="falls back to both, which is a route"):
        a_routed_suite(models=[
            {"name": "small", "model": "openai/small", "fallbacks": "both"}, PAIR[1],
            {"name": "both", "route": {"weak": "small", "strong": "large", "escalate_when": {}}},
        ])  # fmt: skip
