"""The checks of a bundle: each thing it needs, what refuses, what may be waived, and what is only said."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from evaluations.demand import Demand
from evaluations.deployment_checks import Check, Regression, Surroundings, refusals, validate
from evaluations.deployments import Bundle, Policy, differences
from evaluations.errors import AssayError
from evaluations.histograms import of_latencies
from evaluations.models import Capability, Environment, Limits, Model

AT = datetime(2026, 5, 4, 12, tzinfo=UTC)


def bundle(**parameters: Any) -> Bundle:
    return Bundle(prompt="shipping@4.0.0", model="openai/tested", parameters=parameters)


def model(**given: Any) -> Model:
    return Model(**{"name": "openai/tested", "provider": "openai", "mode": "chat", **given})


def found(of: Bundle | None = None, *, environment: dict[str, Any] | None = None, **given: Any) -> tuple[Check, ...]:
    """The checks of a bundle that needs little, in a production that asks for little, unless said."""
    around: dict[str, Any] = {
        "environment": Environment(**{"name": "production", **(environment or {})}),
        "today": date(2026, 5, 4),
        "model": model(),
        "prompt_hash": "abc",
        "probe": (True, "", AT),
        "monthly_cost": Decimal(40),
        "regression": Regression(suite="shipping", verdict="pass", sentence="Passed.", at=AT),
    }
    return validate(of or bundle(), Surroundings(**{**around, **given}))


def test_a_bundle_that_has_what_it_needs_is_fine() -> None:
    assert {check.level for check in found()} == {"fine"}


@pytest.mark.parametrize(
    ("given", "name", "says", "waivable"),
    [
        ({"environment": {"allowed_providers": ("anthropic",)}}, "provider", "openai is not allowed in", False),
        ({"of": Bundle(prompt="p@1.0.0", model="bare")}, "provider", "does not say its provider", False),
        ({"probe": (False, "HTTP 401", AT)}, "key", "openai refused when it was asked", True),
        ({"model": None, "environment": {"validated_only": True}}, "model", "does not know openai/tested", True),
        ({"model": model(stage="retired", successor="openai/next")}, "model", "its successor is openai/next", False),
        ({"model": model(retires_on=date(2026, 5, 1))}, "model", "is retired on 2026-05-01", False),
        ({"of": bundle(max_tokens=9000), "model": model(limits=Limits(max_output_tokens=4096))}, "context",
         "max_tokens 9,000 is more than the 4,096", False),
        ({"of": bundle(max_tokens=500), "model": model(limits=Limits(context_tokens=8000)),
          "demand": Demand(prompts=of_latencies([7.9]))}, "context", "takes 8,000", True),
        ({"model": model(limits=Limits(requests_per_minute=60)), "demand": Demand(peak_requests_per_minute=61)},
         "rate limit", "the busiest minute had 61 requests", True),
        ({"model": model(limits=Limits(tokens_per_minute=60)), "demand": Demand(peak_tokens_per_minute=61)},
         "rate limit", "61 tokens", True),
        ({"of": bundle(tools=["search"]), "model": model(capabilities={
            "tools": Capability(name="tools", documented=False)})}, "capability", "lacks tools", False),
        ({"environment": {"monthly_cost_limit": Decimal(50)}, "monthly_cost": Decimal(30), "others_cost": Decimal(21)},
         "cost", "$51 with the other features: more than the $50", True),
        ({"environment": {"monthly_cost_limit": Decimal(50)}, "monthly_cost": None, "cost_unknown": "unpriced"},
         "cost", "the cost of a month is unknown: unpriced", True),
        ({"regression": Regression(suite="s", verdict="fail", sentence="Failed: 7 of 10.", at=AT)}, "regression",
         "Failed: 7 of 10", True),
        ({"regression": None, "environment": {"validated_only": True}}, "regression", "no suite was run", True),
    ],
)  # fmt: skip
def test_what_it_lacks_refuses_with_the_reason(given: Any, name: str, says: str, waivable: bool) -> None:
    [check] = [each for each in refusals(found(**given)) if each.name == name]
    assert says in check.says.replace(".00", "")
    assert check.waivable is waivable


@pytest.mark.parametrize(
    ("given", "name", "says"),
    [
        ({"probe": None, "key_variables": ("OPENAI_API_KEY",)}, "key", "OPENAI_API_KEY is not set here"),
        ({"model": model(retires_on=date(2026, 8, 1))}, "model", "ends on 2026-08-01"),
        ({"model": model(alias=True)}, "model", "may put another version behind it"),
        ({"of": bundle(tools=["search"])}, "capability", "nobody says whether openai/tested has tools"),
        ({"monthly_cost": None, "cost_unknown": "nothing is measured"}, "cost", "unknown"),
        ({"regression": None}, "regression", "no suite was run"),
        ({"prompt_hash": None}, "prompt", "nothing tells whether it changes"),
    ],
)
def test_what_is_doubtful_warns(given: Any, name: str, says: str) -> None:
    checks = found(**given)
    assert refusals(checks) == ()
    assert any(check.name == name and check.level == "warn" and says in check.says for check in checks)


def test_costs_that_are_unknown_are_said_beside_the_sum() -> None:
    said = [check.says for check in found(others_cost=Decimal(5), others_unknown=2) if check.name == "cost"]
    assert "without 2 features of unknown cost" in said[0]


# Bundles and policies


def test_a_bundles_hash_is_that_of_its_content_however_it_is_written() -> None:
    one = Bundle.read({"model": "a/b", "prompt": "p@1.0.0", "parameters": {"temperature": 1.0, "top_p": 0.5}})
    other = Bundle.read({"parameters": {"top_p": 0.5, "temperature": 1}, "prompt": "p@1.0.0", "model": "a/b"})
    assert one.content_hash == other.content_hash
    assert differences(one, other) == ()
    assert Bundle.read({**other.document, "tools": ["x"]}).content_hash != one.content_hash


def test_what_a_winner_does_not_say_stays_as_it_is_live() -> None:
    live = Bundle.read({"model": "a/b", "prompt": "p@1.0.0", "parameters": {"temperature": 0}, "tools": ["x"]})
    assert Bundle.read({"prompt": "p@2.0.0"}, beneath=live).document == {**live.document, "prompt": "p@2.0.0"}


@pytest.mark.parametrize(
    "given",
    [{}, {"prompt": "p@1.0.0"}, {"model": "a/b"}, {"prompt": "", "model": "a/b"}, {"prompt": 3, "model": "a/b"},
     {"prompt": "p", "model": "a/b", "parameters": [1]},
     {"prompt": "p", "model": "a/b", "parameters": {"x": float("nan")}}, {"prompt": "p", "model": "a/b", "x": {1: 2}}],
)  # fmt: skip
def test_half_a_bundle_is_none(given: Any) -> None:
    with pytest.raises(AssayError):
        Bundle.read(given)


def test_a_policy_is_read_back_as_it_was_stored() -> None:
    policy = Policy(steps=(5, 100), window_s=60, alpha=0.01, auto_rollback=False)
    assert Policy.read(policy.document) == policy
