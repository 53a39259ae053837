"""Builders for tests of experiments: spell out only what matters."""

from typing import Any

from evaluations.experiment_specs import ExperimentSpec

V3, V4 = {"prompt": "shipping@3.0.0"}, {"prompt": "shipping@4.0.0"}


def live(name: str = "shipping-v4", **given: Any) -> ExperimentSpec:
    """A live experiment of two variants on half the traffic each."""
    return ExperimentSpec.model_validate(
        {
            "experiment": name,
            "feature": "chatbot",
            "design": "live_split",
            "variants": [
                {"name": "v3", "control": True, "traffic": 50, "bundle": V3},
                {"name": "v4", "traffic": 50, "bundle": V4},
            ],
            "primary": {"metric": "quality", "minimum_effect": 0.03, "margin": 0.02},
            **given,
        }
    )


def offline(name: str = "small-or-large", **given: Any) -> ExperimentSpec:
    """An offline experiment on the sample suite."""
    return ExperimentSpec.model_validate(
        {
            "experiment": name,
            "feature": "support",
            "design": "paired_offline",
            "suite": "support-tickets",
            "variants": [{"name": "small", "control": True}, {"name": "large"}],
            "primary": {"metric": "pass_rate", "minimum_effect": 0.05, "margin": 0.03},
            **given,
        }
    )
