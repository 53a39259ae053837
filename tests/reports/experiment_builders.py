"""Experiments as their pages take them: compared for real, so that every number has its data."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import numpy as np

from evaluations.composite import PROFILES, Measured, composite, sensitivity
from evaluations.experiment_results import (
    ArmResult,
    Difference,
    DiffLine,
    Disagreement,
    Distribution,
    ExperimentResult,
    PastLook,
    Step,
)
from evaluations.experiment_rules import plan_of, questions_of
from evaluations.experiment_specs import ExperimentSpec
from evaluations.experiment_words import verdict_sentence
from evaluations.experiments import Decision
from evaluations.statistics.compare import compare
from tests.experiments import live, offline

AT = datetime(2026, 6, 28, 6, tzinfo=UTC)


def a_live_result(
    passed: dict[str, tuple[int, int]] | None = None, spec: ExperimentSpec | None = None, **given: Any
) -> ExperimentResult:
    """A live experiment on quality; `passed` gives units and those of quality 1, by variant."""
    passed = passed or {"v3": (456, 349), "v4": (478, 392)}
    spec = spec or live(method="fixed", guardrails=[{"metric": "latency_ms", "margin": 50}])
    random = np.random.default_rng(5)
    quality = {name: np.repeat([1.0, 0.0], [good, n - good]) for name, (n, good) in passed.items()}
    latency = {name: random.lognormal(6, 0.2, n) for name, (n, _) in passed.items()}
    units = {name: n for name, (n, _) in passed.items()}
    found = compare(
        plan_of(spec, min(units.values(), default=0) or None),
        questions_of(spec),
        {"quality": quality, "latency_ms": latency},
        generator=np.random.default_rng(1),
        units=units,
    )
    arms = tuple(
        ArmResult(
            name=name,
            control=name == spec.control.name,
            model="openai/gpt-4o-mini",
            prompt=f"shipping@{name}",
            traffic=next(each.traffic for each in spec.variants if each.name == name),
            units=n,
            requests=2 * n,
            levels={"quality": good / n if n else None, "latency_ms": float(latency[name].mean()) if n else None},
            known={"quality": n, "latency_ms": n},
            cost=Decimal("4.56"),
            unpriced=3,
        )
        for name, (n, good) in passed.items()
    )
    sentence = verdict_sentence(found, spec.declaration)
    decision = Decision(
        outcome=found.outcome,
        variant=found.chosen,
        rule="fixed, quality, alpha 0.05",
        sentence=sentence,
        automatic=True,
        actor="scheduler",
        why="",
        at=AT,
    )
    whole = ExperimentResult(
        id="3294a948-0000-4000-8000-000000000000",
        declared=spec.declaration,
        status="completed",
        config_hash="f" * 64,
        sentence=sentence,
        occasion="the planned number is reached",
        comparison=found,
        planned_n=min(units.values(), default=0),
        arms=arms,
        crossed=2,
        strangers={"v9": 7},
        outside=11,
        distributions=(Distribution(title="v4", edges=(0.0, 0.5, 1.0), counts=(86, 392)),),
        disagreements=(),
        disagreements_in_all=0,
        differences=(
            Difference(
                variant="v4",
                settings=(("prompt", "shipping@3.0.0", "shipping@4.0.0"),),
                prompt=(
                    DiffLine(kind="same", text="[system]"),
                    DiffLine(kind="gone", text="Be long."),
                    DiffLine(kind="new", text="Be brief."),
                ),
            ),
        ),
        profile="seed-003 (version 1)",
        composite=(),
        sensitivity=(),
        looks=(PastLook(look=1, at=AT, sentence=sentence, post_hoc=""),),
        decisions=(decision,),
        life=(Step(status="draft", at=AT, actor="ana", why=""), Step(status="running", at=AT, actor="ana", why="")),
        sample_data=False,
        simulated=False,
        as_of=AT,
    )
    return replace(whole, **given)


def an_offline_result(**given: Any) -> ExperimentResult:
    """An offline experiment of 120 cases with everything a page can show."""
    spec = offline(secondary=["score"], guardrails=[{"metric": "latency_ms", "margin": 200}])
    random = np.random.default_rng(3)
    base = (random.random(120) < 0.7).astype(float)
    better = np.maximum(base, (random.random(120) < 0.5).astype(float))
    values = {
        "pass_rate": {"small": base, "large": better},
        "score": {"small": base * 0.9, "large": better * 0.9},
        "latency_ms": {"small": random.normal(500, 40, 120), "large": random.normal(900, 60, 120)},
    }
    found = compare(plan_of(spec, None), questions_of(spec), values, generator=np.random.default_rng(1))
    measured = [
        Measured(variant=name, quality=0.8, accuracy=0.8, latency_ms=500.0, tokens_per_pass=tokens)
        for name, tokens in (("small", 100.0), ("large", 140.0))
    ]
    profile = PROFILES["seed-003"]
    sentence = verdict_sentence(found, spec.declaration)
    arms = tuple(
        ArmResult(
            name=name,
            control=name == "small",
            model=f"replay/{name}",
            prompt="triage@1.0.0",
            traffic=None,
            units=120,
            requests=120,
            levels={metric: float(arm[name].mean()) for metric, arm in values.items()},
            known=dict.fromkeys(values, 120),
            cost=None,
            unpriced=120,
        )
        for name in ("small", "large")
    )
    return replace(
        a_live_result(),
        declared=spec.declaration,
        sentence=sentence,
        comparison=found,
        arms=arms,
        crossed=0,
        strangers={},
        outside=0,
        distributions=(Distribution(title="large", edges=(-1.0, -0.5, 0.5, 1.0), counts=(0, 90, 30)),),
        disagreements=(
            Disagreement(
                case_id="t-1",
                variant="large",
                control_value=0.0,
                value=1.0,
                control_text="I do not know.",
                text="It is red.",
            ),
        ),
        disagreements_in_all=1,
        composite=composite(measured, "small", profile),
        sensitivity=sensitivity(measured, "small", profile),
        sample_data=True,
        **given,
    )
