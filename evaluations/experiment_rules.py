"""What an experiment declared, as the questions and the plan of its comparison; and when a look may conclude it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from math import floor
from typing import Literal

from evaluations.arms import UnitSums
from evaluations.comparisons import Comparison, Plan, Question
from evaluations.experiment_specs import FLOOR_LIVE, ExperimentSpec
from evaluations.statistics.bayes import Rule
from evaluations.statistics.ratios import PairMoments

BAYESIAN_LOOKS = 10
"""Looks for which the rule of a bayesian experiment is calibrated; between them nothing is concluded."""
RULE_RUNS = 100_000
"""Simulated A/A experiments that a rule is calibrated on."""
MOST_CROSSED = 0.01
"""Share of the units in more than one arm from which an assignment is not sticky, and there is no verdict."""


@dataclass(frozen=True, slots=True)
class Occasion:
    """Whether an experiment may be looked at now, and what the look may do."""

    kind: Literal["wait", "look", "last"]
    """wait: its effects stay unseen. look: it may conclude. last: it ends with this look, whatever is found."""
    why: str
    fractions: tuple[float, ...] = ()
    """Group-sequential: of the planned n at the looks so far, this one last."""


def questions_of(spec: ExperimentSpec) -> tuple[Question, ...]:
    """The metrics of an experiment, the primary one first."""
    return tuple(
        Question(
            metric=aim.metric.name,
            kind=aim.metric.kind,
            direction=aim.direction,
            role=aim.role,
            margin=aim.margin,
            minimum_effect=aim.minimum_effect,
            test=spec.test if aim.role == "primary" else None,
        )
        for aim in spec.declaration.aims
    )


def plan_of(spec: ExperimentSpec, planned_n: int | None, fractions: tuple[float, ...] = ()) -> Plan:
    """How the variants of an experiment are compared at a look."""
    return Plan(
        design=spec.design,
        control=spec.control.name,
        variants=tuple(variant.name for variant in spec.treatments),
        traffic={variant.name: float(variant.traffic or 0) for variant in spec.variants},
        alpha=spec.alpha,
        power=spec.power,
        correction=spec.correction,
        looking=spec.method,
        planned_n=planned_n,
        looks=fractions,
        rule=rule_of(spec, planned_n) if spec.method == "bayesian" else None,
        floor=FLOOR_LIVE if spec.design == "live_split" else 0,
    )


def rule_of(spec: ExperimentSpec, planned_n: int | None) -> Rule:
    """The bayesian rule, with the threshold at which it declares a winner in `alpha` of A/A experiments."""
    each = max(FLOOR_LIVE // BAYESIAN_LOOKS, (planned_n or FLOOR_LIVE * BAYESIAN_LOOKS) // BAYESIAN_LOOKS)
    return _calibrated(each, spec.alpha)


@lru_cache(maxsize=256)
def _calibrated(n_per_look: int, alpha: float) -> Rule:
    import numpy as np

    from evaluations.statistics.bayes import calibrated

    rule = Rule(kind="loss", threshold=0.0, looks=BAYESIAN_LOOKS, n_per_look=n_per_look, least_n=FLOOR_LIVE)
    return calibrated(rule, np.random.default_rng(n_per_look), alpha=alpha, runs=RULE_RUNS)


def occasion(
    spec: ExperimentSpec,
    *,
    smallest: int,
    planned_n: int | None,
    looked_at: Sequence[float],
    started_at: datetime,
    now: datetime,
) -> Occasion:
    """May a live experiment be looked at now? `smallest` counts the units of its smallest arm, `looked_at` are the
    fractions of the planned n at its looks so far."""
    over = spec.max_duration is not None and now >= started_at + timedelta(seconds=spec.max_duration)
    if spec.method == "always_valid":
        return Occasion("last" if over else "look", "its time is over" if over else "it may be looked at at any time")
    if planned_n is None:
        return Occasion("last" if over else "wait", "no number of units is planned")
    fraction = smallest / planned_n
    if spec.method == "fixed":
        if fraction >= 1 or over:
            return Occasion("last", "the planned number is reached" if fraction >= 1 else "its time is over")
        return Occasion(
            "wait", f"{smallest:,} of {planned_n:,} planned units in the smallest arm; it is looked at once"
        )
    looks = spec.looks if spec.method == "group_sequential" else BAYESIAN_LOOKS
    reached, done = floor(min(1.0, fraction) * looks + 1e-9), len(looked_at)
    so_far = (*looked_at, min(1.0, fraction))
    if fraction >= 1 or over:
        return Occasion("last", "the planned number is reached" if fraction >= 1 else "its time is over", so_far)
    if reached > floor((looked_at[-1] if looked_at else 0.0) * looks + 1e-9):
        return Occasion("look", f"look {done + 1} of {looks}", so_far)
    return Occasion("wait", f"{smallest:,} of {planned_n:,} planned units in the smallest arm; the next look is later")


def concludes(comparison: Comparison) -> bool:
    """Has every variant its verdict? One that lacks data keeps the experiment going, unless another one has won."""
    if comparison.blocked:
        return False
    if comparison.winners:
        return True
    return all(comparison.primary(variant).verdict != "not_enough_data" for variant in comparison.plan.variants)


def noise_of(sums: UnitSums) -> float | None:
    """Standard deviation per unit of what the metric's ratio is made of, by the delta method; None for too few units.

    The standard error of an arm's value with n units is this divided by the root of n.
    """
    if sums.units < FLOOR_LIVE or not sums.y:
        return None
    of = PairMoments.from_sums(sums.units, sums.x, sums.y, sums.xx, sums.yy, sums.xy)
    ratio = of.mean / of.other_mean
    variance = float(of.variance - 2 * ratio * of.covariance + ratio**2 * of.other_variance) / float(of.other_mean) ** 2
    return variance**0.5 if variance > 0 else None
