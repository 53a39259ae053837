"""The experiment file: what it accepts, what it refuses and why, and what its hash covers."""

from typing import Any

import pytest
from pydantic import ValidationError

from evaluations.experiment_specs import ExperimentSpec
from tests.experiments import live, offline

ARMS = [{"name": "v3", "control": True, "traffic": 50}, {"name": "v4", "traffic": 50}]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"variants": [{**ARMS[0], "traffic": 60}, ARMS[1]]}, "adds up to 110; it has to be 100"),
        ({"variants": [{**ARMS[0], "control": False}, ARMS[1]]}, "one variant is the control; 0 say"),
        ({"variants": [ARMS[0], {**ARMS[1], "control": True}]}, "one variant is the control; 2 say"),
        ({"variants": [ARMS[0], {**ARMS[1], "name": "v3"}]}, "two of one variant: v3"),
        ({"variants": [ARMS[0], {"name": "v4"}]}, "`traffic` is missing for v4"),
        ({"variants": [{**ARMS[0], "traffic": 0}, {**ARMS[1], "traffic": 100}]}, "control v3 gets no traffic"),
        ({"variants": [ARMS[0], {**ARMS[1], "name": "default"}]}, "no variant can be called default"),
        ({"suite": "support-tickets"}, "`suite` belongs to `design: paired_offline`"),
        ({"primary": "qualitty"}, "did you mean 'quality'?"),
        ({"primary": "pass_rate"}, "pass_rate is not measured in a live_split experiment"),
        ({"primary": "scorer:exact"}, "judged in suite runs"),
        ({"guardrails": ["latency_ms"]}, "guardrail latency_ms needs a `margin`"),
        ({"secondary": ["quality"]}, "two of one metric: quality"),
        ({"looks": 5}, "`looks` above 1 belong to `method: group_sequential`"),
        ({"method": "group_sequential"}, "`looks` above 1 belong to `method: group_sequential`"),
        ({"starts_at": "2026-07-01T06:00:00"}, "needs its offset"),
        ({"variants": [ARMS[0], {**ARMS[1], "bundle": {"api_key": "abc"}}]}, "holds a secret"),
    ],
)
def test_a_live_experiment_that_could_not_hold_is_refused_with_the_reason(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as problem:
        live(**given)
    assert said in str(problem.value)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"suite": None}, "needs a `suite`"),
        ({"variants": [{"name": "small", "control": True, "traffic": 50}, {"name": "large"}]}, "`traffic` belongs to"),
        (
            {"variants": [{"name": "a", "control": True, "variant": "small"}, {"name": "b", "variant": "small"}]},
            "small",
        ),
        ({"primary": "quality"}, "quality is not measured in a paired_offline experiment"),
    ],
)
def test_an_offline_experiment_that_could_not_hold_is_refused_with_the_reason(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as problem:
        offline(**given)
    assert said in str(problem.value)


@pytest.mark.parametrize(
    ("old", "ours"), [("model-comparison", "model_comparison"), ("prompt-variant", "prompt_variant")]
)
def test_old_names_of_types_are_understood(old: str, ours: str) -> None:
    assert live(type=old).type == ours


def test_the_hash_covers_what_could_change_the_verdict_and_nothing_else() -> None:
    same = [live(), live(description="more words"), live(owner="ana"), live(tags=["q3"])]
    assert len({spec.config_hash for spec in same}) == 1
    other = [
        live(),
        live(alpha=0.01),
        live(method="always_valid"),
        live(primary={"metric": "quality", "margin": 0.01}),
        live(categories=["billing"]),
        live(variants=[{**ARMS[0], "traffic": 40}, {**ARMS[1], "traffic": 60}]),
    ]
    assert len({spec.config_hash for spec in other}) == len(other)


def test_a_spec_read_back_from_its_json_is_the_same() -> None:
    spec = live(guardrails=[{"metric": "latency_ms", "margin": 50}], max_duration="336h")
    assert ExperimentSpec.model_validate_json(spec.model_dump_json(exclude_unset=True)) == spec
