"""The benchmark file: which questions in which format, who is to answer them, and how sure the answer has to be.

# yaml-language-server: $schema=../schemas/benchmark.schema.json
benchmark: word-problems
category: accuracy
format: gsm8k
questions: questions.jsonl.gz
models:
  - {name: openai/gpt-4o-mini, answers: outputs_gpt-4o-mini.jsonl.gz}     # recorded: no call, no money
  - openai/gpt-4o                                                         # asked
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from evaluations.specs import (
    Arrivals,
    AtOnce,
    Count,
    ModelSpec,
    Money,
    Name,
    ScorerSpec,
    Seconds,
    Share,
    Spec,
    Tags,
    check_routes,
    one_or_many,
    refuse_twins,
)

Category = Literal["accuracy", "latency", "cost", "throughput"]


class BenchmarkModelSpec(ModelSpec):
    """A model to benchmark: asked, or replayed from the answers that somebody published."""

    answers: Tags = Field(
        default=(), description="Files of recorded answers in the benchmark's format; the model is then not called."
    )
    answers_field: str = Field(default="", description="The field of these files that holds the answers.")

    @model_validator(mode="before")
    @classmethod
    def _named_in_full(cls, given: Any) -> Any:
        """Called by its whole id, so that boards of different benchmarks speak of the same model."""
        if isinstance(given, str):
            return {"name": given, "model": given}
        if isinstance(given, Mapping) and given.get("route") is None:
            called = given.get("model") or given.get("name")
            return {"name": called, "model": called, **given}
        return given

    @model_validator(mode="after")
    def _asked_or_replayed(self) -> "BenchmarkModelSpec":
        if not self.answers and self.answers_field:
            raise ValueError("`answers_field` goes with `answers`")
        if self.answers and self.route is not None:
            raise ValueError(f"{self.name} has a route: recorded are the answers of the models it chooses between")
        return self


class SampleSpec(Spec):
    """A part of the questions, drawn with the benchmark's seed; stratified where a column is named."""

    cases: Count = Field(description="How many questions; all of them where there are fewer.")
    by: str = Field(default="", description="Draw from every value of this column (or `tags`) in proportion.")


class WorkloadSpec(Spec):
    """Questions like those of production: drawn from the requests of some days, in proportion to their kinds."""

    feature: Name | None = Field(default=None, description="Only requests of this feature; none: of all.")
    days: Annotated[int, Field(strict=True, ge=1, le=366)] = Field(default=30, description="Of the last so many days.")
    requests: Annotated[int, Field(strict=True, ge=1, le=100_000)] = Field(
        default=200, description="How many requests are drawn."
    )


class BenchmarkSpec(Spec):
    """A benchmark: questions in a published format, models, and what is to be found out."""

    benchmark: Name = Field(description="The benchmark's name.")
    description: str = ""
    category: Category = Field(default="accuracy", description="What its leaderboard ranks by.")
    use_case: Name | None = Field(
        default=None, description="What accuracy on it stands for: its models get measured scores for this use case."
    )
    format: str = Field(default="own", description="The format of questions and answers; `assay benchmark formats`.")
    questions: Tags = Field(
        default=(),
        description="Files of questions (.jsonl, .csv, .parquet), relative to this file; * stands for any.",
    )
    workload: WorkloadSpec | None = Field(default=None, description="Instead of `questions`: like production.")
    models: Annotated[tuple[BenchmarkModelSpec, ...], BeforeValidator(one_or_many), Field(min_length=1)] = Field(
        description="What is to answer: model ids, or models with their recorded answers."
    )
    other_models: Annotated[tuple[ModelSpec, ...], BeforeValidator(one_or_many)] = Field(
        default=(), description="Models that answer no question themselves: judges."
    )
    prompt: str = Field(default="", description="A prompt file instead of the format's own prompt.")
    scorers: Annotated[tuple[ScorerSpec, ...], BeforeValidator(one_or_many)] = Field(
        default=(), description="Instead of the format's own scorers."
    )
    metric: str = Field(default="", description="What accuracy is: a scorer's label, or `verdict`.")
    unreadable: Literal["wrong", "unscored"] | None = Field(
        default=None,
        description="What an answer counts as from which nothing can be read. Default: as the format says.",
    )
    cluster: str = Field(default="", description="A column of the questions that share a source.")
    sample: SampleSpec | None = Field(default=None, description="Only a part of the questions.")
    planned_cases: Count | None = Field(
        default=None, description="Cases that were planned; fewer within a budget are warned of."
    )
    smallest_difference: Share | None = Field(
        default=None, description="The smallest difference between two models that matters."
    )
    arrivals: Arrivals | None = Field(
        default=None, description="Calls begin on a schedule of their own, whether earlier ones are answered or not."
    )
    stop_early: bool = Field(
        default=False, description="Stop once the ranking is clear, by a bound that holds at every look."
    )
    repeats: AtOnce = Field(default=1, description="How often every question is answered.")
    concurrency: AtOnce = Field(default=16, description="Calls in flight at once.")
    seed: Annotated[int, Field(strict=True, ge=0, le=2_147_483_647)] = 0
    max_cost: Money | None = Field(default=None, description="Stop before spending more, in US dollars.")
    max_time: Seconds | None = Field(default=None, description='Stop after this time: seconds, or "10m".')
    sample_data: bool = Field(default=False, description="Questions or answers were made up for demonstration.")
    licence: str = ""
    source: str = ""

    @model_validator(mode="after")
    def _check(self) -> "BenchmarkSpec":
        refuse_twins([model.name for model in (*self.models, *self.other_models)], "model", "give one of them a `name`")
        check_routes(self.models, self.other_models)
        if bool(self.questions) == (self.workload is not None):
            raise ValueError("a benchmark has either `questions` or a `workload`")
        if self.workload is not None and self.category == "accuracy":
            raise ValueError(
                "a workload has no right answers to compare with; its `category` is latency, cost or throughput"
            )
        if self.use_case is not None and self.category != "accuracy":
            raise ValueError(
                f"`use_case` goes with `category: accuracy`: {self.category} tells nothing of how well a model suits it"
            )
        if self.category == "throughput" and self.arrivals is None:
            raise ValueError("throughput is measured under a schedule of arrivals; say `arrivals: {per_second: 2}`")
        return self
