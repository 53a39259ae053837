"""The selection policy file: what the words for a workload mean in numbers, and who may be chosen.

# yaml-language-server: $schema=../schemas/selection.schema.json
name: careful
quality_at_least: {standard: 0.8}
p95_ms: {real_time: 1500, batch: null}
may_give_up: {medium: 0.02}
candidates:
  chatbot: [openai/gpt-4o, openai/gpt-4o-mini]

What is left out stays as the policy is that Assay ships.
"""

from itertools import pairwise
from typing import Annotated

from pydantic import BeforeValidator, Field, model_validator

from evaluations.selection import Accuracy, Complexity, Policy, Sensitivity, Unsure, Urgency, Volume
from evaluations.specs import Name, Spec, one_or_many

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Milliseconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Whole = Annotated[int, Field(gt=0)]


class PolicySpec(Spec):
    """A selection policy as it is written down."""

    name: Name = Field(default="standard", description="What reports and flags call it.")
    quality_at_least: dict[Accuracy, Share] = Field(
        default_factory=dict, description="Share of cases that pass: the lower end of its interval has to reach it."
    )
    p95_ms: dict[Urgency, Milliseconds | None] = Field(
        default_factory=dict, description="The slowest answers, in milliseconds; null: they may take their time."
    )
    prompt_tokens: dict[Complexity, Whole] = Field(
        default_factory=dict, description="The longest prompts, which the context window has to hold."
    )
    requests_a_month: dict[Volume, Whole] = Field(
        default_factory=dict, description="Up to where a volume has that name; reckoned with where nothing is measured."
    )
    errors_at_most: Share | None = Field(default=None, description="Out once more errors are shown; a share.")
    automatic: bool = Field(
        default=False,
        description="In development and staging, publish by night what the policy would now choose instead.",
    )
    may_give_up: dict[Sensitivity, Share | None] = Field(
        default_factory=dict, description="Quality that may be given up for a lower cost; null: down to what is asked."
    )
    unsure: Unsure = Field(
        default="out",
        description="A candidate that is fast or good enough as measured, on too few cases to be sure: out, or in.",
    )
    candidates: dict[str, Annotated[tuple[str, ...], BeforeValidator(one_or_many), Field(min_length=1)]] = Field(
        default_factory=dict, description="By feature, the models that may serve it; else those that were measured."
    )

    @model_validator(mode="after")
    def _rising(self) -> "PolicySpec":
        policy = self.policy
        for name in ("quality_at_least", "prompt_tokens", "requests_a_month"):
            values = list(getattr(policy, name).values())
            if any(low > high for low, high in pairwise(values)):
                raise ValueError(f"`{name}` has to rise from word to word; it is {values}")
        return self

    @property
    def policy(self) -> Policy:
        """With what Assay ships for whatever is left out."""
        base = Policy()
        return Policy(
            name=self.name,
            quality_at_least={**base.quality_at_least, **self.quality_at_least},
            p95_ms={**base.p95_ms, **self.p95_ms},
            prompt_tokens={**base.prompt_tokens, **self.prompt_tokens},
            requests_a_month={**base.requests_a_month, **self.requests_a_month},
            errors_at_most=base.errors_at_most if self.errors_at_most is None else self.errors_at_most,
            may_give_up={**base.may_give_up, **self.may_give_up},
            unsure=self.unsure,
            automatic=self.automatic,
            candidates=dict(self.candidates),
        )
