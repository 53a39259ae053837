"""The catalogue file of providers and models: what an installation adds to LiteLLM's map, checked and frozen."""

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from evaluations.models import WORDS, Modality, UnknownCapability, capability_named
from evaluations.specs import IDENTIFIER, Count, Name, Positive, Spec, Tags


def _capability(word: str) -> str:
    try:
        return capability_named(word)
    except UnknownCapability as problem:
        raise ValueError(str(problem)) from None


ModelName = Annotated[str, Field(pattern=r"^[^\s/]+/\S+$", description="provider/model.")]
CapabilityName = Annotated[str, AfterValidator(_capability)]
Variable = Annotated[str, Field(pattern=IDENTIFIER)]


class ProviderSpec(Spec):
    """A provider: who serves models, how its key is called, and what its calls may say."""

    title: Name = Field(description="Its name for people.")
    also: Tags = Field(default=(), description="Other names in use for it.")
    keys: tuple[Variable, ...] = Field(default=(), description="Environment variables, any one of which holds a key.")
    needs_key: bool = Field(default=True, description="False for a server of one's own.")
    address: str | None = Field(default=None, description="Where its API is, without a path's end such as /models.")
    address_variable: Variable | None = Field(
        default=None, description="The environment variable that moves the address."
    )
    listing: Literal["openai", "anthropic", "gemini", "none"] = Field(
        default="none", description="In whose manner it lists its models."
    )
    parameters: Tags | None = Field(
        default=None, description="Parameters that its calls take. Left out: nobody looked, so none is refused."
    )
    ranges: dict[str, tuple[float, float]] = Field(
        default_factory=dict, description="Smallest and largest value of numeric parameters."
    )
    max_images: Count | None = Field(default=None, description="Images a call may hold, where its models say nothing.")
    requests_per_minute: Count | None = Field(default=None, description="What your account is allowed.")
    tokens_per_minute: Count | None = Field(default=None, description="What your account is allowed.")
    timeout_s: Positive = Field(default=10.0, description="Seconds that a look at its listing may take.")
    regions: Tags = Field(default=(), description="Where its models can be had, where neither they nor a list say.")
    note: str = ""
    source: str = Field(default="", description="Where this is published.")


class UseCaseSpec(Spec):
    """A use case that somebody says a model suits."""

    score: Annotated[float, Field(ge=0, le=100)]
    reason: str = ""


class ClaimSpec(Spec):
    """What somebody says of a model: a word of the bands, a range, or both. A bare word will do."""

    word: Name | None = None
    low: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    high: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _read(cls, given: Any) -> Any:
        return {"word": given} if isinstance(given, str) else given

    @model_validator(mode="after")
    def _check(self) -> "ClaimSpec":
        if (self.low is None) != (self.high is None):
            raise ValueError("a range has `low` and `high`")
        if self.word is None and self.low is None:
            raise ValueError("a claim is a word, a range, or both")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError("`low` is above `high`")
        return self


class ClaimsSpec(Spec):
    """What somebody says of a model's performance, to be held against what is measured."""

    speed: ClaimSpec | None = Field(default=None, description="fastest, moderate or slow; a range in seconds.")
    accuracy: ClaimSpec | None = Field(
        default=None, description="excellent, good, fair or poor; a range of shares in [0, 1]."
    )
    reliability: ClaimSpec | None = Field(
        default=None, description="very_high, high, moderate or low; a range of shares in [0, 1]."
    )

    @model_validator(mode="after")
    def _check(self) -> "ClaimsSpec":
        for about, known in WORDS.items():
            claim: ClaimSpec | None = getattr(self, about)
            if claim is not None and claim.word is not None and claim.word not in known:
                raise ValueError(f"`{about}` is one of {', '.join(known)}; got {claim.word!r}")
            if claim is not None and about != "speed" and (claim.high or 0.0) > 1:
                raise ValueError(f"`{about}` is a share in [0, 1], such as 0.92 for 92 %")
        return self


class CatalogueModelSpec(Spec):
    """What is said of one model: all of it for a model that no list has, or what is to be added or put right."""

    model: ModelName
    source: str = Field(min_length=1, description="Where this is published.")
    as_of: date = Field(default=date(2020, 1, 1), description="From when it counts.")
    mode: Name | None = None
    inputs: tuple[Modality, ...] | None = None
    outputs: tuple[Modality, ...] | None = None
    capabilities: dict[CapabilityName, bool] = Field(default_factory=dict)
    context_tokens: Count | None = None
    max_output_tokens: Count | None = None
    max_images: Count | None = None
    requests_per_minute: Count | None = None
    tokens_per_minute: Count | None = None
    stage: Literal["available", "beta", "retired"] | None = None
    retires_on: date | None = None
    successor: ModelName | None = None
    alias_of: ModelName | None = Field(default=None, description="The one version that this name stands for.")
    description: str = ""
    limitations: Tags = ()
    regions: Tags | None = Field(default=None, description="Where it can be had, instead of what lists say.")
    use_cases: dict[Name, UseCaseSpec] = Field(default_factory=dict)
    claims: ClaimsSpec = Field(default_factory=ClaimsSpec)


class CatalogueSpec(Spec):
    """Providers and models. A later file's provider takes the place of one of the same name; its models add up."""

    providers: dict[Name, ProviderSpec] = Field(default_factory=dict)
    models: tuple[CatalogueModelSpec, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _read(cls, given: Any) -> Any:
        # `models:` with nothing under it is how an empty list is often left.
        return {key: value for key, value in given.items() if value is not None} if isinstance(given, dict) else given
