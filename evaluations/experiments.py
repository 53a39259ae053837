"""Experiments: what can be measured, how an experiment lives, and what may become of it.

The status says where an experiment is in its life; its outcome says what was found. They are two things: a cancelled
experiment has a status and no outcome, a completed one may be inconclusive.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

from evaluations.errors import AssayError, unknown_name

Design = Literal["paired_offline", "live_split"]
"""paired_offline: every variant answers every case. live_split: every unit of the traffic gets one variant."""
ExperimentType = Literal["prompt_variant", "model_comparison", "parameter_tuning", "mixed"]
Status = Literal["draft", "scheduled", "running", "paused", "completed", "cancelled", "failed"]
Outcome = Literal["variant", "no_difference", "inconclusive"]
"""variant: one is better. no_difference: equivalence within the margin was shown. inconclusive: neither was."""
MetricKind = Literal["binary", "bounded", "skewed", "ratio"]
Direction = Literal["up", "down"]
Role = Literal["primary", "secondary", "guardrail"]

STATUSES: tuple[Status, ...] = get_args(Status)
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
UNDER_WAY: tuple[Status, ...] = ("running", "paused")
"""It has the traffic of its feature: no other experiment of the feature and environment may start."""

TRANSITIONS: Mapping[Status, tuple[Status, ...]] = {
    "draft": ("scheduled", "running"),
    "scheduled": ("draft", "running", "cancelled"),
    "running": ("paused", "completed", "cancelled", "failed"),
    "paused": ("running", "completed", "cancelled", "failed"),
    "failed": ("running", "cancelled"),
    "completed": (),
    "cancelled": (),
}
"""From each status to those that may follow."""
_DEEDS: Mapping[Status, str] = {
    "draft": "taken back to a draft",
    "scheduled": "scheduled",
    "running": "started",
    "paused": "paused",
    "completed": "completed",
    "cancelled": "cancelled",
    "failed": "marked as failed",
}


class IllegalTransition(AssayError):
    """A step that the life of an experiment does not have."""


def check_transition(name: str, before: Status, after: Status) -> None:
    """Raises IllegalTransition, saying which experiments the step is for, unless `after` may follow `before`."""
    if after in TRANSITIONS[before]:
        return
    fit = [status for status in STATUSES if after in TRANSITIONS[status]]
    hint = " A draft can be deleted." if before == "draft" and after == "cancelled" else ""
    raise IllegalTransition(
        f"experiment {name} is {before}; only one that is {_either(fit)} can be {_DEEDS[after]}.{hint}"
    )


def _either(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """Something an experiment can measure. Values are means over units unless `kind` says otherwise."""

    name: str
    kind: MetricKind
    direction: Direction
    """Which way is good."""
    unit: Literal["share", "ms", "usd", "tokens", "stars"]
    says: str
    designs: tuple[Design, ...]


_BOTH: tuple[Design, ...] = ("paired_offline", "live_split")
_OFFLINE: tuple[Design, ...] = ("paired_offline",)
_LIVE: tuple[Design, ...] = ("live_split",)

METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            name="pass_rate",
            kind="binary",
            direction="up",
            unit="share",
            designs=_OFFLINE,
            says="share of a case's judged repeats that pass",
        ),
        Metric(
            name="score",
            kind="bounded",
            direction="up",
            unit="share",
            designs=_OFFLINE,
            says="weighted score of a case's answers, 0 to 1",
        ),
        Metric(
            name="success_rate",
            kind="binary",
            direction="up",
            unit="share",
            designs=_LIVE,
            says="share of requests that ended well, of those whose end is known",
        ),
        Metric(
            name="error_rate",
            kind="binary",
            direction="down",
            unit="share",
            designs=_BOTH,
            says="share of calls that ended in an error",
        ),
        Metric(
            name="quality",
            kind="bounded",
            direction="up",
            unit="share",
            designs=_LIVE,
            says="how good the answers were, 0 to 1, where that was judged",
        ),
        Metric(
            name="rating",
            kind="bounded",
            direction="up",
            unit="stars",
            designs=_LIVE,
            says="users' rating, 1 to 5, where one was given",
        ),
        Metric(
            name="sentiment",
            kind="bounded",
            direction="up",
            unit="share",
            designs=_LIVE,
            says="how users felt, 0 to 1, where that is known",
        ),
        Metric(
            name="resolution_rate",
            kind="binary",
            direction="up",
            unit="share",
            designs=_LIVE,
            says="share of requests resolved by the AI alone, of those whose outcome is known",
        ),
        Metric(
            name="escalation_rate",
            kind="binary",
            direction="down",
            unit="share",
            designs=_LIVE,
            says="share of requests handed to a person, of those whose outcome is known",
        ),
        Metric(
            name="latency_ms",
            kind="skewed",
            direction="down",
            unit="ms",
            designs=_BOTH,
            says="mean time of a call; answers from the cache are left out",
        ),
        Metric(
            name="cost",
            kind="skewed",
            direction="down",
            unit="usd",
            designs=_BOTH,
            says="mean cost of a call, where a price is known",
        ),
        Metric(
            name="output_tokens",
            kind="skewed",
            direction="down",
            unit="tokens",
            designs=_BOTH,
            says="mean tokens of an answer, reasoning included",
        ),
        Metric(
            name="cost_per_success",
            kind="ratio",
            direction="down",
            unit="usd",
            designs=_LIVE,
            says="cost of all priced requests divided by those that ended well",
        ),
    )
}
SCORER_PREFIX = "scorer:"


def metric_named(name: str, design: Design) -> Metric:
    """The metric of a name; `scorer:NAME` is the value of one scorer of the suite, offline only.

    Raises AssayError when there is none of that name, or none in this design.
    """
    if name.startswith(SCORER_PREFIX) and name != SCORER_PREFIX:
        if design != "paired_offline":
            raise AssayError(f"{name} is judged in suite runs; a {design} experiment measures requests.")
        return Metric(
            name=name,
            kind="bounded",
            direction="up",
            unit="share",
            designs=_OFFLINE,
            says=f"value of the scorer {name.removeprefix(SCORER_PREFIX)}, 0 to 1",
        )
    fitting = [metric.name for metric in METRICS.values() if design in metric.designs]
    if name not in METRICS:
        raise AssayError(unknown_name("metric", name, fitting))
    if name not in fitting:
        raise AssayError(f"{name} is not measured in a {design} experiment. These are: {', '.join(sorted(fitting))}.")
    return METRICS[name]


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """A metric with its part in an experiment, and with what counts as a difference."""

    metric: Metric
    role: Role
    direction: Direction
    """Which way is good here."""
    minimum_effect: float | None
    """The smallest difference worth finding, in the metric's unit."""
    margin: float | None
    """Differences within it do not matter, in the metric's unit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """What an experiment declared before its start."""

    experiment: str
    description: str
    feature: str
    environment: str
    design: Design
    type: ExperimentType
    suite: str | None
    control: str
    variants: tuple[str, ...]
    """All of them, the control too, in the order of the file."""
    aims: tuple[Aim, ...]
    """The primary one first."""
    method: str
    alpha: float
    power: float
    correction: str

    @property
    def primary(self) -> Aim:
        return self.aims[0]

    @property
    def offline(self) -> bool:
        return self.design == "paired_offline"

    def aim(self, metric: str) -> Aim:
        """Raises KeyError for a metric that was not declared."""
        for aim in self.aims:
            if aim.metric.name == metric:
                return aim
        raise KeyError(metric)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What was concluded of an experiment, by rule or by a person. The latest one holds; none is ever changed."""

    outcome: Outcome
    variant: str | None
    """The winner's name where the outcome is `variant`."""
    rule: str
    """The rule that was declared before the start, or that a person overrode it."""
    sentence: str
    automatic: bool
    actor: str
    why: str
    """A person's reason; empty for a decision by rule."""
    at: datetime
