"""Comparisons: what was asked of the variants of an experiment, what was found, and the verdict on each.

A verdict is one of five words. `better` and `worse` need an interval and a p, both adjusted for the family of tests;
`equivalent` needs a declared margin; everything that the data cannot carry is `not_enough_data`, and a broken split of
the traffic is `blocked`, whatever the numbers say.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from evaluations.estimates import Estimate
from evaluations.experiments import Design, Direction, MetricKind, Outcome, Role
from evaluations.statistics import outcomes
from evaluations.statistics.bayes import Rule
from evaluations.statistics.multiplicity import Adjusted, Correction, Scope
from evaluations.statistics.sample_ratio import SampleRatio
from evaluations.statistics.sequential import Spending

Verdict = Literal["better", "worse", "equivalent", "not_enough_data", "blocked"]
Guard = Literal["holds", "violated", "open"]
"""holds: harm beyond the margin is ruled out. violated: harm beyond the margin is shown. open: neither."""
Looking = Literal["fixed", "group_sequential", "always_valid", "bayesian"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One metric that the variants are compared on, as declared before the start."""

    metric: str
    kind: MetricKind
    direction: Direction = "up"
    """Which way is good."""
    role: Role = "primary"
    margin: float | None = None
    """In the metric's unit, positive: differences within it do not matter. None: no equivalence can be shown."""
    minimum_effect: float | None = None
    """In the metric's unit, positive: the smallest difference worth finding."""
    test: str | None = None
    """A test by name, instead of the rule that chooses one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How the variants are compared: everything that was fixed before the first look."""

    design: Design
    control: str
    variants: tuple[str, ...]
    """The others, in the order of the declaration."""
    traffic: Mapping[str, float] = field(default_factory=dict)
    """Live: planned percent of the units by variant, the control's too; together 100."""
    alpha: float = 0.05
    power: float = 0.8
    correction: Correction = "holm"
    scope: Scope = "whole"
    """What makes a family of the secondary metrics. The primary metric over all variants is one of its own."""
    looking: Looking = "fixed"
    planned_n: int | None = None
    """Cases, or units of each variant."""
    looks: tuple[float, ...] = ()
    """Group-sequential: the fractions of the planned n at the looks so far, this one last."""
    spending: Spending = "obrien-fleming"
    rule: Rule | None = None
    """Bayesian: the calibrated rule that declares."""
    floor: int = 0
    """Fewest cases, or units of each variant, before anything is concluded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Belief:
    """The posterior of one effect under a flat prior."""

    better: float
    """P(the variant is better than the control), in [0, 1]."""
    loss_if_taken: float
    """Expected loss of choosing the variant, in the unit of the metric."""
    loss_if_left: float
    """Expected loss of keeping the control, in the unit of the metric."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One variant against the control on one metric."""

    metric: str
    variant: str
    role: Role
    direction: Direction
    verdict: Verdict
    why: str
    """One line: what the verdict stands on, or what keeps it from being one."""
    test: str
    """The name of the test that was taken, as it can be forced."""
    because: str
    """The line of the printed rule that chose it, or that it was forced."""
    outcome: outcomes.Outcome
    """At the plan's alpha, before any correction."""
    adjusted: Adjusted | None
    """None for guardrails, which are no part of a family."""
    effect: Estimate | None
    """Variant minus control, in the metric's unit unless the outcome's notes say otherwise, at the adjusted level."""
    narrow: Estimate | None = None
    """The effect with its 1 - 2 alpha interval, on which equivalence and non-inferiority rest (two one-sided tests);
    alpha is divided by the size of the family."""
    within_margin: bool | None = None
    """Whether that interval lies within the margin; None without a margin, or where the test estimates something that
    has another unit."""
    guard: Guard | None = None
    """For guardrails alone."""
    belief: Belief | None = None
    more: int | None = None
    """About how many more cases, or units of both arms, would settle it; None when that cannot be said or is not
    asked."""
    more_for: str = ""
    """What those would settle."""
    detectable: float | None = None
    """The smallest true difference that this n shows with the planned power, in the metric's unit."""
    left_out: int = 0
    """Cases without a value in one of the two arms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All variants against the control on all metrics."""

    plan: Plan
    findings: tuple[Finding, ...]
    sample_ratio: SampleRatio | outcomes.Undetermined | None
    """None offline, where every variant answers every case."""
    blocked: str = ""
    """Why there is no verdict at all; empty when nothing blocks it."""
    printed_rule: str = ""
    """The rule that chose the tests."""

    def of(self, metric: str, variant: str) -> Finding:
        """Raises KeyError where the two were not compared."""
        for finding in self.findings:
            if (finding.metric, finding.variant) == (metric, variant):
                return finding
        raise KeyError((metric, variant))

    def primary(self, variant: str) -> Finding:
        return next(each for each in self.findings if each.role == "primary" and each.variant == variant)

    def guards(self, variant: str) -> dict[str, Guard]:
        """Guardrails of one variant by metric."""
        return {f.metric: f.guard for f in self.findings if f.variant == variant and f.guard is not None}

    @property
    def winners(self) -> tuple[str, ...]:
        """Variants that are better and violate no guardrail, the largest gain first; not shown to differ among
        themselves."""
        better = [
            finding
            for finding in (self.primary(variant) for variant in self.plan.variants)
            if finding.verdict == "better" and "violated" not in self.guards(finding.variant).values()
        ]
        return tuple(finding.variant for finding in sorted(better, key=_gain, reverse=True))

    @property
    def chosen(self) -> str | None:
        """The variant that the data speak for: a winner, or the control where every other one is worse."""
        if self.winners:
            return self.winners[0]
        return self.plan.control if self._verdicts == {"worse"} else None

    @property
    def outcome(self) -> Outcome:
        """What becomes of the experiment as a whole."""
        if self.chosen is not None:
            return "variant"
        return "no_difference" if self._verdicts == {"equivalent"} else "inconclusive"

    @property
    def _verdicts(self) -> set[Verdict]:
        return {self.primary(variant).verdict for variant in self.plan.variants}


def _gain(finding: Finding) -> float:
    value = finding.effect.value if finding.effect else 0.0
    return value if finding.direction == "up" else -value
