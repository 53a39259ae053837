"""The experiment file: what is compared, on what, by which metric and rule; frozen by its hash at the start.

# yaml-language-server: $schema=../schemas/experiment.schema.json
experiment: shipping-v4
feature: chatbot
design: live_split
variants:
  - {name: v3, control: true, traffic: 50, bundle: {prompt: shipping@3.0.0}}
  - {name: v4, traffic: 50, bundle: {prompt: shipping@4.0.0}}
primary: {metric: quality, minimum_effect: 0.03, margin: 0.01}
guardrails: [{metric: latency_ms, margin: 50}]
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from evaluations.errors import AssayError
from evaluations.experiments import (
    Aim,
    Declaration,
    Design,
    Direction,
    ExperimentType,
    Metric,
    Role,
    metric_named,
)
from evaluations.flags import DEFAULT
from evaluations.specs import (
    SECRET_KEY,
    SECRET_VALUE,
    USE_ENV,
    Count,
    Money,
    Name,
    Positive,
    Seconds,
    Spec,
    Tags,
    content_hash,
    one_or_many,
    refuse_twins,
    scalars,
)
from evaluations.statistics.multiplicity import Correction

Method = Literal["fixed", "group_sequential", "always_valid", "bayesian"]
Environment = Literal["development", "staging", "production"]

_TYPES: Mapping[str, ExperimentType] = {
    "prompt-variant": "prompt_variant",
    "prompt-test": "prompt_variant",
    "model-comparison": "model_comparison",
    "parameter-tuning": "parameter_tuning",
    "a-b-test": "mixed",
}
FLOOR_LIVE = 100
"""Units of each variant that live traffic needs before anything is concluded, however large the effect."""


class ExperimentVariantSpec(Spec):
    """One arm: offline the label of a variant of the suite, live a share of the traffic and what the flag hands out."""

    name: Name
    control: bool = Field(default=False, description="The one that the others are compared with.")
    traffic: Annotated[int, Field(strict=True, ge=0, le=100)] | None = Field(
        default=None, description="Whole percent of the units, live only; together they are 100."
    )
    variant: str | None = Field(
        default=None, description="Offline: the label of a variant of the suite. Default: the name."
    )
    bundle: dict[str, Any] = Field(
        default_factory=dict,
        description="Live: what the application receives: prompt, model, parameters, as it understands them.",
    )

    @field_validator("bundle")
    @classmethod
    def _no_secrets(cls, given: dict[str, Any]) -> dict[str, Any]:
        for path, value in scalars(given):
            if any(SECRET_KEY.search(key) for key in path) or SECRET_VALUE.search(str(value)):
                raise ValueError(f"`bundle.{'.'.join(path)}` holds a secret: {USE_ENV}")
        return given

    @property
    def label(self) -> str:
        """The suite's variant that this arm is."""
        return self.variant or self.name


class MetricSpec(Spec):
    """A metric with what counts as a difference. A bare name will do for a secondary one."""

    metric: str
    direction: Direction | None = Field(default=None, description="Which way is good. Default: the metric's own.")
    minimum_effect: Positive | None = Field(
        default=None, description="The smallest difference worth finding, in the metric's unit: 0.02 is two points."
    )
    margin: Positive | None = Field(
        default=None,
        description="Differences within it do not matter, in the metric's unit: for equivalence, and for how much "
        "worse a guardrail may be.",
    )
    winsorise: Annotated[float, Field(gt=0.5, lt=1)] | None = Field(
        default=None, description="Values beyond this quantile count as the quantile, e.g. 0.99."
    )

    @model_validator(mode="before")
    @classmethod
    def _read(cls, given: Any) -> Any:
        return {"metric": given} if isinstance(given, str) else given


def _type(value: Any) -> Any:
    return _TYPES.get(value, value) if isinstance(value, str) else value


class ExperimentSpec(Spec):
    """An experiment: variants, one control, a primary metric, guardrails, and the rule that will decide."""

    experiment: Name = Field(description="Its name: requests carry it, and it is part of how units are split.")
    description: str = ""
    feature: Name = Field(description="The capability of the product.")
    project: str | None = None
    owner: str | None = None
    type: Annotated[ExperimentType, BeforeValidator(_type)] = Field(
        default="mixed", description="What differs between the variants. mixed: an effect cannot be told apart."
    )
    design: Design
    suite: str | None = Field(default=None, description="Offline: the suite whose cases every variant answers.")
    environment: Environment = Field(default="production", description="Live: whose traffic is split.")
    categories: Annotated[tuple[Name, ...], BeforeValidator(one_or_many)] = Field(
        default=(), description="Live: only requests of these categories; all others get the control."
    )
    variants: Annotated[tuple[ExperimentVariantSpec, ...], Field(min_length=2, max_length=20)]
    primary: MetricSpec = Field(description="The one metric that decides.")
    secondary: Annotated[tuple[MetricSpec, ...], BeforeValidator(one_or_many)] = Field(
        default=(), description="Reported with a correction for their number; they decide nothing."
    )
    guardrails: Annotated[tuple[MetricSpec, ...], BeforeValidator(one_or_many)] = Field(
        default=(), description="What a winner must not harm by more than the margin; each needs one."
    )
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = Field(
        default=0.05, description="The rate of false alarms, two-sided, on the primary metric."
    )
    power: Annotated[float, Field(gt=0.5, lt=1)] = Field(default=0.8, description="What the planned n is to reach.")
    method: Method = Field(
        default="fixed",
        description="fixed: one look, at the planned n. group_sequential: at planned looks. always_valid: whenever "
        "you like. bayesian: by expected loss.",
    )
    looks: Annotated[int, Field(strict=True, ge=1, le=100)] = Field(
        default=1, description="Planned looks of a group-sequential experiment."
    )
    correction: Correction = Field(default="holm", description="For the secondary metrics and several variants.")
    test: str | None = Field(default=None, description="A test by name, instead of the rule that chooses one.")
    planned_n: Count | None = Field(
        default=None, description="Cases, or units of each variant. Default: what power and minimum effect ask for."
    )
    max_duration: Seconds | None = Field(
        default=None, description='Ends as inconclusive after this time: seconds, or "336h".'
    )
    starts_at: datetime | None = Field(default=None, description="Live: when it starts by itself once scheduled.")
    max_cost: Money | None = Field(default=None, description="Offline: stop before spending more, in US dollars.")
    scoring_profile: str = Field(
        default="seed-003", description="The profile of the composite score. It ranks; it does not decide."
    )
    tags: Tags = ()

    @model_validator(mode="after")
    def _check(self) -> "ExperimentSpec":
        refuse_twins([each.name for each in self.variants], "variant", "give one of them another `name`")
        controls = [each.name for each in self.variants if each.control]
        if len(controls) != 1:
            raise ValueError(f"one variant is the control; {len(controls)} say `control: true`")
        if self.design == "live_split":
            self._check_live()
        else:
            self._check_offline()
        self._check_metrics()
        if (self.looks > 1) != (self.method == "group_sequential"):
            raise ValueError(
                "`looks` above 1 belong to `method: group_sequential`, and that needs them; always_valid "
                "may be looked at whenever you like, fixed once"
            )
        if self.starts_at is not None and self.starts_at.tzinfo is None:
            raise ValueError("`starts_at` needs its offset, e.g. 2026-07-01T06:00:00Z")
        return self

    def _check_live(self) -> None:
        if self.suite is not None:
            raise ValueError("`suite` belongs to `design: paired_offline`; live_split measures requests")
        missing = [each.name for each in self.variants if each.traffic is None]
        if missing:
            raise ValueError(f"`traffic` is missing for {', '.join(missing)}: whole percent, together 100")
        total = sum(each.traffic or 0 for each in self.variants)
        if total != 100:
            raise ValueError(f"`traffic` adds up to {total}; it has to be 100")
        if any(each.name == DEFAULT for each in self.variants):
            raise ValueError(f"no variant can be called {DEFAULT}: that is what those outside the experiment get")
        if not self.control.traffic:
            raise ValueError(f"the control {self.control.name} gets no traffic, so nothing could be compared with it")

    def _check_offline(self) -> None:
        if self.suite is None:
            raise ValueError("`design: paired_offline` needs a `suite`: a suite file or the name of a dataset")
        split = [each.name for each in self.variants if each.traffic is not None]
        if split:
            raise ValueError(
                f"`traffic` belongs to `design: live_split` (given for {', '.join(split)}); offline every "
                "variant answers every case"
            )
        refuse_twins([each.label for each in self.variants], "suite variant", "name another variant of the suite")

    def _check_metrics(self) -> None:
        refuse_twins([each.metric for _, each in self.metrics], "metric", "a metric has one role")
        for role, each in self.metrics:
            try:
                metric_named(each.metric, self.design)
            except AssayError as problem:
                raise ValueError(str(problem)) from None
            if role == "guardrail" and each.margin is None:
                raise ValueError(f"the guardrail {each.metric} needs a `margin`: by how much it may be worse")

    @property
    def control(self) -> ExperimentVariantSpec:
        return next(each for each in self.variants if each.control)

    @property
    def treatments(self) -> tuple[ExperimentVariantSpec, ...]:
        return tuple(each for each in self.variants if not each.control)

    @property
    def metrics(self) -> tuple[tuple[Role, MetricSpec], ...]:
        """All metrics with their roles, the primary first."""
        return (
            ("primary", self.primary),
            *(("secondary", each) for each in self.secondary),
            *(("guardrail", each) for each in self.guardrails),
        )

    def metric(self, given: MetricSpec) -> Metric:
        """What is known of a metric of this experiment."""
        return metric_named(given.metric, self.design)

    @property
    def declaration(self) -> Declaration:
        """The same as plain values, for whoever knows no files."""
        return Declaration(
            experiment=self.experiment,
            description=self.description,
            feature=self.feature,
            environment=self.environment,
            design=self.design,
            type=self.type,
            suite=self.suite,
            control=self.control.name,
            variants=tuple(variant.name for variant in self.variants),
            aims=tuple(
                Aim(
                    metric=self.metric(given),
                    role=role,
                    direction=given.direction or self.metric(given).direction,
                    minimum_effect=given.minimum_effect,
                    margin=given.margin,
                )
                for role, given in self.metrics
            ),
            method=self.method,
            alpha=self.alpha,
            power=self.power,
            correction=self.correction,
        )

    @property
    def config_hash(self) -> str:
        """SHA-256 of everything that could change the verdict. Descriptions, owners and tags are not in it."""
        said = self.model_dump(mode="json", exclude={"description", "owner", "tags", "starts_at"})
        return content_hash(said)
