"""Models: specific versions of what providers serve, what they can do, their limits and where they are in their life.

What a catalogue says (documented) and what a probe found (tested) are kept apart; a dated test overrides the
catalogue. Three things that are often one word are three here: the life cycle of a version, whether it can be reached
now, and whether it serves a feature.
"""

import itertools
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Literal, get_args

from evaluations.errors import AssayError, unknown_name

LifeCycle = Literal["available", "beta", "deprecated", "retired"]
LIFE_CYCLES: tuple[LifeCycle, ...] = get_args(LifeCycle)
Availability = Literal["available", "busy", "unavailable", "unknown"]
"""Whether a provider can be reached now. Unknown: no key, or nobody has looked of late."""
Modality = Literal["text", "image", "audio", "video", "file", "vector"]
MODALITIES: tuple[Modality, ...] = get_args(Modality)
Origin = Literal["declared", "measured"]
Kind = Literal["language", "vision", "multimodal", "embedding", "other"]
KINDS: tuple[Kind, ...] = get_args(Kind)

NOTICE = timedelta(days=180)
"""How long before its last day a version counts as deprecated: many vendors name the day when they launch it."""
LONG_CONTEXT = 100_000
"""Tokens of context from which on a catalogue's version counts as one for long contexts."""

CAPABILITIES: Mapping[str, str] = {
    "text_generation": "writes text",
    "json_mode": "answers in JSON when told to",
    "json_schema": "keeps to a JSON Schema",
    "tools": "calls tools with arguments",
    "vision": "reads images",
    "audio_input": "hears audio",
    "file_input": "reads PDF files",
    "long_context": "finds a detail in a long prompt",
    "reasoning": "thinks before it answers",
    "prompt_caching": "bills repeated prefixes for less",
    "web_search": "searches the web",
    "fast_processing": "answers in less than two seconds on average",
    "sampling": "takes temperature and top_p",
    "determinism": "repeats its answer at temperature 0 with a seed",
    "refusal": "declines what would harm",
    "embedding": "turns text into vectors",
}
"""The controlled vocabulary of capabilities: name -> what it means."""
OTHER_WORDS: Mapping[str, str] = {
    "image_analysis": "vision",
    "structured_output": "json_schema",
    "large_context": "long_context",
    "complex_reasoning": "reasoning",
    "function_calling": "tools",
    "image_input": "vision",
}
"""Other words in use for capabilities -> ours."""


class UnknownCapability(AssayError):
    """No capability has that name."""


class UnknownModel(AssayError):
    """The registry has no model of that name."""


def capability_named(word: str) -> str:
    """The capability that a word stands for.

    Raises UnknownCapability with the nearest one.

    >>> capability_named("image_analysis")
    'vision'
    """
    name = OTHER_WORDS.get(word, word)
    if name not in CAPABILITIES:
        raise UnknownCapability(unknown_name("capability", word, [*CAPABILITIES, *OTHER_WORDS]))
    return name


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one call and one minute may hold. None: nobody says."""

    context_tokens: int | None = None
    """Input and output together, or input alone, as the vendor counts."""
    max_output_tokens: int | None = None
    max_images: int | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a probe found about a capability."""

    passed: bool
    at: datetime
    why: str
    run_id: str | None = None
    """The run whose answers are the evidence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capability:
    """One capability of one model: what is documented, what was tested, and what therefore holds."""

    name: str
    documented: bool | None = None
    """None: the catalogue is silent."""
    source: str = ""
    """Who documents it."""
    tested: Finding | None = None
    """The newest test that came to a result."""

    @property
    def holds(self) -> bool | None:
        """A dated test overrides the catalogue; None where neither speaks."""
        return self.documented if self.tested is None else self.tested.passed

    @property
    def contradicts(self) -> bool:
        """Whether a test found other than the catalogue says."""
        return self.tested is not None and self.documented is not None and self.tested.passed != self.documented


@dataclass(frozen=True, slots=True, kw_only=True)
class UseCaseScore:
    """How well a model suits a use case, from 0 to 100: by somebody's word, or measured on n cases."""

    use_case: str
    score: float
    origin: Origin
    reason: str = ""
    n: int | None = None
    """Cases that were judged; None for a declared score."""
    low: float | None = None
    high: float | None = None
    as_of: date | None = None
    source: str = ""
    run_id: str | None = None
    """The benchmark run that measured it."""


ClaimAbout = Literal["speed", "accuracy", "reliability"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What somebody says of a model's performance: a word, a range, or both."""

    about: ClaimAbout
    word: str | None = None
    """As the bands call it: fastest, excellent, very_high."""
    low: float | None = None
    high: float | None = None
    """Seconds for speed, shares in [0, 1] for the others; None: as the word's band reaches."""
    source: str = ""

    @property
    def said(self) -> list[str | float | None]:
        """All that is claimed, as plain JSON values."""
        return [self.word, self.low, self.high]


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model version as the registry knows it, or an alias that stands for versions. `name` is `provider/model`."""

    name: str
    provider: str
    mode: str
    """chat, completion, responses, embedding, image_generation, ... as LiteLLM's catalogue has it."""
    inputs: tuple[Modality, ...] = ("text",)
    outputs: tuple[Modality, ...] = ("text",)
    capabilities: Mapping[str, Capability] = field(default_factory=dict)
    limits: Limits = Limits()
    stage: Literal["available", "beta", "retired"] = "available"
    """What the catalogue says of it; with `retires_on` it makes the life cycle of a day."""
    retires_on: date | None = None
    """The day from which it is no longer served."""
    withdrawn_at: datetime | None = None
    """Since when no catalogue lists it."""
    successor: str | None = None
    alias: bool = False
    """Whether the name stands for whatever version its provider chooses."""
    alias_of: str | None = None
    """The one version that an alias stands for; None where there are several, or nobody says."""
    regions: tuple[str, ...] | None = None
    """Where it can be had, as providers call their regions; None: nobody says."""
    use_cases: tuple[UseCaseScore, ...] = ()
    claims: tuple[Claim, ...] = ()
    description: str = ""
    limitations: tuple[str, ...] = ()
    source: str = ""
    listed_at: datetime | None = None
    """When its provider's own listing named it last."""

    @property
    def kind(self) -> Kind:
        return kind_of(self.mode, self.inputs, self.outputs)

    def life_cycle(self, on: date, notice: timedelta = NOTICE) -> LifeCycle:
        """Where the version is in its life on a day."""
        if self.stage == "retired" or self.withdrawn_at is not None:
            return "retired"
        if self.retires_on is not None and self.retires_on <= on:
            return "retired"
        if self.retires_on is not None and self.retires_on - on <= notice:
            return "deprecated"
        return self.stage

    def capability(self, name: str) -> Capability:
        """A capability by any word for it; one that nobody speaks of holds neither way."""
        name = capability_named(name)
        return self.capabilities.get(name, Capability(name=name))

    def can(self, name: str) -> bool | None:
        """Whether it has a capability; None where nobody says and nobody tested."""
        return self.capability(name).holds

    def served_in(self, regions: Iterable[str]) -> bool | None:
        """Whether it can be had in one of these regions; None where nobody says where it can."""
        return None if self.regions is None else not set(self.regions).isdisjoint(regions)

    def use_case(self, name: str) -> UseCaseScore | None:
        """The score that counts for a use case: a measured one before a declared one, the newest of each."""
        return next((score for score in best_scores(self.use_cases) if score.use_case == name), None)


def kind_of(mode: str, inputs: Sequence[Modality], outputs: Sequence[Modality]) -> Kind:
    """The old one-word label for a mode with its modalities.

    >>> kind_of("chat", ("text", "image"), ("text",)), kind_of("chat", ("text",), ("text",))
    ('multimodal', 'language')
    """
    if mode == "embedding":
        return "embedding"
    if "text" not in outputs:
        return "other"
    if "image" in inputs or "video" in inputs:
        return "multimodal" if "text" in inputs else "vision"
    return "language" if "text" in inputs else "other"


def best_scores(scores: Iterable[UseCaseScore]) -> tuple[UseCaseScore, ...]:
    """One score for each use case: measured outranks declared whatever it says, then the newest; best first.

    Of one day's the last counts: they come in the order in which they were written down.
    """
    best: dict[str, UseCaseScore] = {}
    for score in scores:
        known = best.get(score.use_case)
        if known is None or _rank(score) >= _rank(known):
            best[score.use_case] = score
    return tuple(sorted(best.values(), key=lambda score: (-score.score, score.use_case)))


def _rank(score: UseCaseScore) -> tuple[bool, date]:
    return score.origin == "measured", score.as_of or date.min


# Names

VERSION = re.compile(
    r"^(?P<family>.+?)(?:[-@]v?(?:\d{4}-\d{2}-\d{2}|20\d{6}|2[0-9](?:0[1-9]|1[0-2])|(?:0[1-9]|1[0-2])-20\d{2}|00\d))"
    r"(?:-v\d+(?::\d+)?)?$"
)
"""A name that ends in a version: a date in one of the vendors' ways, or a number like 001."""
LATEST = re.compile(r"[-:@]latest$")


def family_of(name: str) -> str | None:
    """What a versioned name is a version of; None for a name without a version.

    >>> family_of("openai/gpt-4o-2024-11-20"), family_of("anthropic/claude-sonnet-4-5-20250929"), family_of("a/b")
    ('openai/gpt-4o', 'anthropic/claude-sonnet-4-5', None)
    """
    found = VERSION.match(name)
    return found["family"] if found else None


def aliases(names: Iterable[str]) -> dict[str, str | None]:
    """The names that are aliases of versions among the same names -> the one version that each stands for.

    None where several versions might be meant: a call by that name may be answered by another model tomorrow.

    >>> aliases(["o/a", "o/a-2024-05-13", "o/a-2024-11-20", "o/b", "o/b-2025-01-31", "o/c", "m/d-latest"])
    {'m/d-latest': None, 'o/a': None, 'o/b': 'o/b-2025-01-31'}
    """
    known = set(names)
    versions: dict[str, list[str]] = {}
    for name in known:
        if (family := family_of(name)) is not None:
            versions.setdefault(family, []).append(name)
    found: dict[str, str | None] = {}
    for name in sorted(known):
        if LATEST.search(name):
            found[name] = None
        elif family_of(name) is None and name in versions:
            found[name] = versions[name][0] if len(versions[name]) == 1 else None
    return found


REGION = re.compile(r"us|eu|global|[a-z]{2,4}(?:-[a-z]+)+-?\d+")
"""What stands for a region in the middle of a name: `azure/eu/gpt-4o`, `bedrock/us-east-1/...`."""


def region_of(name: str) -> tuple[str, str] | None:
    """The region in a model's name, and the name without it; None where there is none.

    >>> region_of("azure/eu/gpt-4o"), region_of("bedrock/us-gov-west-1/a.b-v1:0"), region_of("deepinfra/Qwen/Qwen3")
    (('eu', 'azure/gpt-4o'), ('us-gov-west-1', 'bedrock/a.b-v1:0'), None)
    """
    provider, _, rest = name.partition("/")
    region, sign, bare = rest.partition("/")
    return (region, f"{provider}/{bare}") if sign and REGION.fullmatch(region) else None


def model_named(name: str, known: Mapping[str, Model]) -> Model:
    """A model by its name, or by its bare name where one provider alone has it.

    Raises UnknownModel with the nearest names.
    """
    if name in known:
        return known[name]
    bare = [each for each in known if each.partition("/")[2] == name]
    if len(bare) == 1:
        return known[bare[0]]
    if bare:
        raise UnknownModel(f"{name!r} is served by several providers: {', '.join(sorted(bare)[:6])}. Name one of them.")
    raise UnknownModel(unknown_name("model", name, sorted(known)) + " `assay models list --all` shows them.")


# Labels of measured numbers

Speed = Literal["fastest", "moderate", "slow"]
Accuracy = Literal["excellent", "good", "fair", "poor"]
Reliability = Literal["very_high", "high", "moderate", "low"]
WORDS: Mapping[ClaimAbout, tuple[str, ...]] = {
    "speed": get_args(Speed),
    "accuracy": get_args(Accuracy),
    "reliability": get_args(Reliability),
}
"""The words for each kind of number, the best first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bands:
    """Where one word for a measured number ends and the next begins. Every number falls into exactly one band.

    The sources name 0.5 to 1.5 s fastest and 2 to 4 s moderate, 85 to 90 % good and 92 to 97 % excellent, and leave
    what lies between without a word. Here each band reaches to where the next begins.
    """

    fastest_below_s: float = 2.0
    moderate_up_to_s: float = 4.0
    excellent_from: float = 0.92
    good_from: float = 0.85
    fair_from: float = 0.70
    very_high_from: float = 0.999
    high_from: float = 0.99
    moderate_from: float = 0.95

    def __post_init__(self) -> None:
        """Raises AssayError where the bands of a label overlap or leave a gap."""
        rising = (
            (0.0, self.fastest_below_s, self.moderate_up_to_s),
            (0.0, self.fair_from, self.good_from, self.excellent_from, 1.0),
            (0.0, self.moderate_from, self.high_from, self.very_high_from, 1.0),
        )
        for edges in rising:
            if any(low >= high for low, high in itertools.pairwise(edges)):
                raise AssayError(f"the edges of bands have to rise; got {', '.join(f'{edge:g}' for edge in edges)}.")

    def speed(self, latency_s: float) -> Speed:
        """The word for a typical latency in seconds: a mean, or better a median.

        >>> [Bands().speed(s) for s in (0.2, 1.7, 2.0, 4.0, 4.1)]
        ['fastest', 'fastest', 'moderate', 'moderate', 'slow']
        """
        if latency_s < self.fastest_below_s:
            return "fastest"
        return "moderate" if latency_s <= self.moderate_up_to_s else "slow"

    def accuracy(self, share: float) -> Accuracy:
        """The word for a share of right answers, in [0, 1]."""
        if share >= self.excellent_from:
            return "excellent"
        if share >= self.good_from:
            return "good"
        return "fair" if share >= self.fair_from else "poor"

    def reliability(self, share: float) -> Reliability:
        """The word for a share of requests that succeeded, in [0, 1]."""
        if share >= self.very_high_from:
            return "very_high"
        if share >= self.high_from:
            return "high"
        return "moderate" if share >= self.moderate_from else "low"

    def reach(self, about: ClaimAbout, word: str) -> tuple[float, float]:
        """From where to where a word reaches, in seconds or shares.

        >>> Bands().reach("speed", "moderate"), Bands().reach("accuracy", "good")
        ((2.0, 4.0), (0.85, 0.92))
        """
        edges: Mapping[ClaimAbout, tuple[float, ...]] = {
            "speed": (0.0, self.fastest_below_s, self.moderate_up_to_s, math.inf),
            "accuracy": (1.0, self.excellent_from, self.good_from, self.fair_from, 0.0),
            "reliability": (1.0, self.very_high_from, self.high_from, self.moderate_from, 0.0),
        }
        at = WORDS[about].index(word)
        low, high = sorted(edges[about][at : at + 2])
        return low, high


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """What may be deployed to a place: development, staging, production."""

    name: str
    allowed_providers: tuple[str, ...] | None = None
    """None: every provider."""
    allowed_regions: tuple[str, ...] | None = None
    """A model has to be had in one of them; None: wherever it is served."""
    validated_only: bool = False
    """Whether a model's checks have to have passed, the unknown ones too."""
    monthly_cost_limit: Decimal | None = None
    """US dollars; None: no limit."""
    approvals_required: int = 0
