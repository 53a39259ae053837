"""Validation of a model's configuration: every check that is promised, with its reason; unknown is not passed."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from evaluations.availability import Outcome, health_of
from evaluations.cost_scenarios import DayUse
from evaluations.model_validation import (
    Configuration,
    Surroundings,
    Traffic,
    Validation,
    validate,
)
from evaluations.models import Capability, Environment, Finding, Limits
from evaluations.pricing import PriceBook, PriceRow, TokenClass
from tests.evaluations.test_models import TODAY, a_model

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
NAME = "openai/gpt-4o-2024-11-20"
PER_MILLION: dict[TokenClass, str] = {"input": "2.5", "cached": "1.25", "output": "10"}
PRICES = PriceBook(
    PriceRow(
        model=NAME,
        token_class=name,
        per_token=Decimal(usd) / 1_000_000,
        effective_from=date(2025, 1, 1),
        source="test",
    )
    for name, usd in PER_MILLION.items()
).prices_of(NAME, TODAY)


def a_day(number: int, requests: int = 100, **given: Any) -> DayUse:
    tokens: dict[TokenClass, int] = {"input": 1000 * requests, "cached": 400 * requests, "output": 200 * requests}
    return DayUse(day=TODAY - timedelta(days=number), requests=requests, **{"tokens": tokens, **given})


def a_traffic(**given: Any) -> Traffic:
    return Traffic(
        **{
            "feature": "chatbot",
            "days": tuple(a_day(n) for n in range(30, 0, -1)),
            "peak_requests_per_minute": 40,
            "peak_tokens_per_minute": 60_000,
            "longest_prompt_tokens": 9_000,
            **given,
        }
    )


def here(**given: Any) -> Surroundings:
    """A place where everything is known and well."""
    model = a_model(
        NAME,
        limits=Limits(
            context_tokens=128_000, max_output_tokens=16_384, requests_per_minute=500, tokens_per_minute=200_000
        ),
        capabilities={
            "json_schema": Capability(
                name="json_schema",
                documented=True,
                source="litellm",
                tested=Finding(passed=True, at=NOW - timedelta(days=3), why="keeps to the schema"),
            ),
            "tools": Capability(name="tools", documented=True, source="litellm"),
        },
    )
    return Surroundings(
        **{
            "model": model,
            "key": True,
            "provider_title": "OpenAI",
            "provider_parameters": ("temperature", "max_tokens", "tools", "response_format"),
            "ranges": {"temperature": (0, 2)},
            "prices": PRICES,
            "health": health_of("openai", True, [Outcome(at=NOW - timedelta(minutes=2))], NOW),
            "environment": Environment(
                name="production",
                allowed_providers=("openai", "anthropic"),
                validated_only=True,
                monthly_cost_limit=Decimal(50),
                approvals_required=1,
            ),
            "traffic": a_traffic(),
            "today": TODAY,
            **given,
        }
    )


def wanted(**given: Any) -> Configuration:
    return Configuration(
        **{"model": NAME, "parameters": {"temperature": 0.2, "max_tokens": 500}, "needs": ("json_schema",), **given}
    )


def outcome(found: Validation, name: str) -> str:
    [check] = [each for each in found.checks if each.name == name]
    return check.outcome


def test_where_everything_is_known_and_well_it_is_allowed() -> None:
    found = validate(wanted(), here())
    assert [(each.name, each.why) for each in found.checks if each.outcome != "passed"] == []
    assert found.allowed


ALL = {
    *("known", "version", "life cycle", "provider allowed", "key", "reachable", "price", "capability json_schema"),
    *("output", "context", "requests a minute", "tokens a minute", "parameters", "monthly cost"),
}


def test_every_check_that_the_sources_promise_is_made() -> None:
    """Provider, monthly cost, API key, rate limits; and context, capability, deprecation, parameters."""
    assert {each.name for each in validate(wanted(), here()).checks} == ALL


def _model(**given: Any) -> Surroundings:
    there = here()
    assert there.model is not None
    return replace(there, model=replace(there.model, **given))


@pytest.mark.parametrize(
    ("configuration", "place", "check", "why"),
    [
        (
            wanted(),
            here(environment=Environment(name="production", allowed_providers=("anthropic",))),
            "provider allowed",
            "takes anthropic",
        ),
        (wanted(), here(key=False), "key", "not in the environment"),
        (wanted(), _model(retires_on=TODAY), "life cycle", "is retired since"),
        (wanted(), _model(stage="retired", successor="openai/gpt-5"), "life cycle", "its successor is openai/gpt-5"),
        (wanted(), _model(retires_on=TODAY + timedelta(days=29)), "life cycle", "in 29 days"),
        (wanted(), here(prices=None), "price", "prices.yaml"),
        (wanted(max_cost_a_call=Decimal("0.001")), here(), "price", "may cost"),
        (wanted(max_output_tokens=20_000), here(), "output", "20,000 tokens asked for, 16,384"),
        (wanted(), here(traffic=a_traffic(longest_prompt_tokens=127_800)), "context", "128,300 tokens at the longest"),
        (wanted(), here(traffic=a_traffic(peak_requests_per_minute=501)), "requests a minute", "501 at the busiest"),
        (wanted(requests_per_minute=600), here(), "requests a minute", "600 are declared, 500 are allowed"),
        (
            wanted(),
            here(traffic=a_traffic(peak_tokens_per_minute=200_001)),
            "tokens a minute",
            "200,001 at the busiest",
        ),
        (wanted(parameters={"temprature": 1}), here(), "parameters", "did you mean temperature"),
        (wanted(parameters={"temperature": 3}), here(), "range of temperature", "not between 0 and 2"),
        (wanted(parameters={"temperature": True}), here(), "range of temperature", "True is not between"),
        (wanted(fallbacks=("openai/gone",)), here(), "fallback", "has no openai/gone"),
        (
            wanted(fallbacks=("groq/x",)),
            here(fallbacks={"groq/x": a_model("groq/x")}),
            "fallback",
            "its provider is not allowed",
        ),
        (
            wanted(),
            here(
                health=health_of(
                    "openai", True, [Outcome(at=NOW - timedelta(minutes=n), error="timeout") for n in (1, 2, 3)], NOW
                )
            ),
            "reachable",
            "its last 3 outcomes failed",
        ),
        (
            wanted(),
            here(environment=Environment(name="production", monthly_cost_limit=Decimal(10))),
            "monthly cost",
            "the limit is $10.00",
        ),
    ],
)
def test_what_is_wrong_is_named_with_its_reason(
    configuration: Configuration, place: Surroundings, check: str, why: str
) -> None:
    found = validate(configuration, place)
    assert [(each.name, why in each.why) for each in found.of("failed")] == [(check, True)]
    assert not found.allowed


def test_an_unknown_model_is_told_with_the_nearest_name() -> None:
    found = validate(wanted(model="openai/gpt-4p"), here(model=None, known=["openai/gpt-4o", "openai/o1"]))
    assert [(each.name, each.outcome) for each in found.checks] == [("known", "failed")]
    assert "did you mean openai/gpt-4o" in found.checks[0].why


def test_a_failed_test_outweighs_the_documentation_and_an_old_one_is_no_longer_known() -> None:
    there = here()
    assert there.model is not None

    def tested(passed: bool, days: int) -> Surroundings:
        found = Finding(passed=passed, at=NOW - timedelta(days=days), why="seen")
        each = Capability(name="json_schema", documented=True, source="litellm", tested=found)
        assert there.model is not None
        return replace(there, model=replace(there.model, capabilities={"json_schema": each}))

    assert outcome(validate(wanted(), tested(False, 3)), "capability json_schema") == "failed"
    assert outcome(validate(wanted(), tested(True, 31)), "capability json_schema") == "unknown"
    assert outcome(validate(wanted(), tested(False, 31)), "capability json_schema") == "failed"


def test_validated_only_wants_capabilities_tested_and_versions_pinned() -> None:
    strict, lenient = here(), here(environment=Environment(name="development"))
    needs_tools = wanted(needs=(), parameters={"tools": [{}]})
    assert outcome(validate(needs_tools, strict), "capability tools") == "unknown"
    assert not validate(needs_tools, strict).allowed
    assert outcome(validate(needs_tools, lenient), "capability tools") == "passed"
    floating = _model(alias=True)
    assert [each.name for each in validate(wanted(), floating).in_the_way] == ["version"]
    assert validate(wanted(), replace(floating, environment=lenient.environment)).allowed
    pinned = _model(alias=True, alias_of=NAME)
    assert validate(wanted(), pinned).allowed
    ends = a_model(NAME, retires_on=TODAY + timedelta(days=10))
    stands = validate(wanted(), replace(pinned, stands_for=ends))
    assert [each.name for each in stands.in_the_way] == ["life cycle of its version"]


def test_what_only_the_future_tells_does_not_stand_in_the_way() -> None:
    found = validate(wanted(), replace(here(), traffic=None, health=None))
    assert {each.name for each in found.of("unknown")} == {
        "reachable", "requests a minute", "tokens a minute", "monthly cost",
    }  # fmt: skip
    assert found.allowed


def test_the_monthly_cost_is_that_of_the_measured_tokens() -> None:
    rng = np.random.default_rng(7)
    days = tuple(a_day(n, requests=int(rng.integers(50, 200))) for n in range(30, 0, -1))
    found = validate(wanted(), here(traffic=a_traffic(days=days))).monthly_cost
    assert found is not None
    per_day = [
        float(sum(Decimal(PER_MILLION[name]) / 1_000_000 * number for name, number in each.tokens.items()))
        for each in days
    ]
    assert float(found.month or 0) == pytest.approx(np.mean(per_day) * 365.25 / 12, rel=2e-3)
    assert found.low is not None
    assert found.high is not None
    assert found.low < (found.month or 0) < found.high
    assert found.days == 30


def test_without_traffic_or_with_a_single_day_no_month_is_told() -> None:
    for traffic in (None, a_traffic(days=(a_day(1),)), a_traffic(days=(a_day(1, unknown=100), a_day(2, unknown=100)))):
        found = validate(wanted(), here(traffic=traffic))
        assert found.monthly_cost is None
        assert outcome(found, "monthly cost") == "unknown"


def test_a_limit_within_the_interval_is_not_known_to_be_kept() -> None:
    days = tuple(a_day(n, requests=50 if n % 2 else 150) for n in range(30, 0, -1))
    cost = validate(wanted(), here(traffic=a_traffic(days=days))).monthly_cost
    assert cost is not None
    assert cost.month is not None
    assert cost.high is not None
    between = (cost.month + cost.high) / 2
    for limit, said in ((cost.high + 1, "passed"), (between, "unknown"), (cost.month - 1, "failed")):
        there = here(traffic=a_traffic(days=days), environment=Environment(name="p", monthly_cost_limit=limit))
        assert outcome(validate(wanted(), there), "monthly cost") == said


@pytest.mark.parametrize(("regions", "outcome"), [(("eu", "us"), "passed"), (("us",), "failed"), (None, "unknown")])
def test_a_place_that_takes_some_regions_wants_a_model_and_its_fallbacks_there(
    regions: tuple[str, ...] | None, outcome: str
) -> None:
    from dataclasses import replace

    there = here(environment=Environment(name="production", allowed_regions=("eu",)))
    assert there.model is not None
    model = replace(there.model, regions=regions)
    other = replace(model, name="openai/other")
    asked = wanted(fallbacks=("openai/other",))
    found = validate(asked, replace(there, model=model, fallbacks={"openai/other": other}))
    outcomes = {check.name: check.outcome for check in found.checks}
    assert outcomes["region"] == outcome
    assert outcomes["fallback"] == ("passed" if outcome == "passed" else "failed")
    assert "region" not in {check.name for check in validate(wanted(), here()).checks}
