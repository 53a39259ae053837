"""Specs: what a person writes in a suite, a prompt or a contract file, checked and frozen.

Pydantic lives here and nowhere else in the domain, because this is where text from outside arrives. A spec
holds what was written, with defaults filled in; it reads no file. Its hashes say whether two specs would lead
to the same model calls or the same judgements: what only changes how fast or how loudly a run goes is not
hashed.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl, urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from evaluations.answers import NO_VENDOR, ROUTED
from evaluations.cases import Priority
from evaluations.verdicts import Severity

Parameters = dict[str, Any]
"""Sampling parameters as the provider knows them: temperature, top_p, max_tokens, seed, stop, ..."""
VariableType = Literal["text", "number", "integer", "boolean", "list", "object"]
ColumnType = Literal["text", "number", "integer", "boolean", "json"]

SEMVER = (
    r"^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)"
    r"(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?(\+[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?$"
)
"""major.minor.patch[-pre][+build], https://semver.org."""
IDENTIFIER = r"^[A-Za-z_][A-Za-z0-9_]*$"
SCORER_NAME = r"^([a-z][a-z0-9_]*|[A-Za-z_][\w.]*:[A-Za-z_]\w*)$"
"""A name of the registry, or `module:name` for a scorer of your own."""

SECRET_KEY = re.compile(
    r"(?i)(api[_-]?key|secret|passw(or)?d|authorization|access[_-]?key|(auth|access|bearer)[_-]?token)(?!_env$)"
)
SECRET_VALUE = re.compile(r"(sk-|sk_|AKIA|ghp_|gho_|github_pat_|xox[abp]-|AIza|Bearer )\S{8,}")
USE_ENV = "a secret does not belong in a file; name the environment variable that holds it with `api_key_env`"


def canonical_json(value: Any) -> str:
    """The one text of a JSON value: keys sorted, no spaces, 1.0 written as 1, Decimals as text.

    >>> canonical_json({"b": 1.0, "a": [True, "é"]})
    '{"a":[true,"é"],"b":1}'
    """
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def content_hash(value: Any) -> str:
    """SHA-256 of the canonical JSON, in hex."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def _plain(value: Any) -> Any:
    match value:
        case bool() | int() | str() | None:
            return value
        case float():
            return int(value) if value.is_integer() else value
        case Decimal():
            return format(value.normalize(), "f")
        case BaseModel():
            return _plain(value.model_dump())
        case Mapping():
            return {str(key): _plain(item) for key, item in value.items()}
        case _:
            return [_plain(item) for item in value]


def one_or_many(value: Any) -> Any:
    """A single item where a list is meant: `tags: billing`."""
    return [value] if isinstance(value, str | Mapping) else value


def _money(value: Any) -> Any:
    # Through text, because Decimal(0.1) is not a tenth.
    return Decimal(repr(value)) if isinstance(value, float) else value


DURATION = re.compile(r"^(?:(\d+)h)?\s*(?:(\d+)m(?:in)?)?\s*(?:(\d+(?:\.\d+)?)s)?$")


def seconds(value: Any) -> Any:
    """Seconds of "90s", "10m" or "1h30m"; anything but text is handed on as it is.

    >>> seconds("1h30m"), seconds(45)
    (5400.0, 45)
    """
    if not isinstance(value, str):
        return value
    found = DURATION.match(value.strip())
    if not found or not any(found.groups()):
        raise ValueError(f'{value!r} is not a time; write seconds or something like "90s", "10m" or "1h30m"')
    hours, minutes, rest = found.groups()
    return int(hours or 0) * 3600.0 + int(minutes or 0) * 60.0 + float(rest or 0)


def _not_a_bool(value: Any) -> Any:
    # Python counts True as 1, and `weight: true` is a slip of the pen.
    if isinstance(value, bool):
        raise ValueError("a number is wanted, not true or false")
    return value


Name = Annotated[str, StringConstraints(min_length=1, max_length=120, pattern=r"^[^\s](.*[^\s])?$")]
Count = Annotated[int, Field(strict=True, ge=1, le=1_000_000_000)]
Retries = Annotated[int, Field(strict=True, ge=0, le=20)]
AtOnce = Annotated[int, Field(strict=True, ge=1, le=1000)]
"""Calls at once, or repeats of a case: more is a slip of the pen."""
Share = Annotated[float, BeforeValidator(_not_a_bool), Field(ge=0, le=1, allow_inf_nan=False)]
Positive = Annotated[float, BeforeValidator(_not_a_bool), Field(gt=0, allow_inf_nan=False)]
Money = Annotated[
    Decimal, BeforeValidator(_money), BeforeValidator(_not_a_bool), Field(ge=0, le=10_000_000, allow_inf_nan=False)
]
Seconds = Annotated[float, BeforeValidator(seconds), BeforeValidator(_not_a_bool), Field(gt=0, allow_inf_nan=False)]
Tags = Annotated[tuple[Name, ...], BeforeValidator(one_or_many)]


class Spec(BaseModel):
    """What all specs share: frozen, no unknown keys, no input repeated in an error (it may be a secret)."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


# Routes


Numbers = tuple[Annotated[float, BeforeValidator(_not_a_bool), Field(allow_inf_nan=False)], ...]


class RoutingPolicySpec(Spec):
    """A rule that was learned from answers of both models: what it predicts, and from which gain on the strong one
    is asked. `assay recommend routing FEATURE --save FILE` writes one."""

    learner: Literal["category", "text", "category and text"] = Field(description="What it was learned from.")
    threshold: Annotated[float, BeforeValidator(_not_a_bool), Field(allow_inf_nan=False)] = Field(
        description="The predicted gain from which on the strong model is asked."
    )
    by_category: dict[str, float] = Field(
        default_factory=dict, description="By category: how much higher the strong model is predicted to score."
    )
    elsewhere: float = Field(default=0.0, description="The same for a category that was not learned.")
    categories: tuple[str, ...] = Field(default=(), description="Those that have a weight of their own.")
    centre: Numbers = Field(default=(), description="Mean of each number of the text.")
    spread: Numbers = Field(default=(), description="Standard deviation of each number of the text.")
    weak_weights: Numbers = Field(default=(), description="A constant, the categories, the numbers of the text.")
    strong_weights: Numbers = Field(default=(), description="The same for the strong model.")

    @model_validator(mode="after")
    def _check(self) -> "RoutingPolicySpec":
        sizes = {len(self.weak_weights), len(self.strong_weights), 1 + len(self.categories) + len(self.centre)}
        if self.learner != "category" and (len(sizes) > 1 or len(self.spread) != len(self.centre)):
            raise ValueError("a weight is needed for the constant, each category and each number of the text")
        if any(each <= 0 for each in self.spread):
            raise ValueError("a `spread` is above 0")
        return self


class StrongWhenSpec(Spec):
    """Cases that go to the strong model at once: where any of these holds."""

    tags: Tags = Field(default=(), description="The case has one of these tags.")
    categories: Tags = Field(default=(), description="Its category, topic, intent or subject is one of these.")
    longer_than: Count | None = Field(default=None, description="Its inputs have more characters than this.")

    @model_validator(mode="after")
    def _check(self) -> "StrongWhenSpec":
        if not (self.tags or self.categories or self.longer_than):
            raise ValueError("say when: `tags`, `categories` or `longer_than`")
        return self


class EscalateWhenSpec(Spec):
    """Answers of the cheap model that will not do: where any of these holds, or its call failed."""

    says: Tags = Field(default=(), description="The answer has one of these phrases, whatever its letters' case.")
    confidence_below: Share | None = Field(
        default=None, description="The answer is a JSON object whose confidence is below this, or has none."
    )
    confidence_field: Name = Field(default="confidence", description="The field that tells the confidence.")
    shorter_than: Count | None = Field(default=None, description="The answer has fewer characters than this.")


class RouteSpec(Spec):
    """Two models behind one name: the cheap one answers, and the strong one where the rule says so."""

    weak: Name = Field(description="Label of the cheap model, which `models` or `other_models` has.")
    strong: Name = Field(description="Label of the strong model.")
    policy: RoutingPolicySpec | Name | None = Field(
        default=None,
        description="A learned rule: the file that `assay recommend routing --save` wrote, or its content.",
    )
    strong_when: StrongWhenSpec | None = Field(default=None, description="Which cases go to the strong model at once.")
    escalate_when: EscalateWhenSpec | None = Field(
        default=None, description="A cascade: which answers of the cheap model send the case on to the strong one."
    )
    cost_a_case: Money = Field(default=Decimal(0), description="What your router itself costs, in US dollars a case.")
    latency_ms: Annotated[float, BeforeValidator(_not_a_bool), Field(ge=0, allow_inf_nan=False)] = Field(
        default=0.0, description="What your router itself takes, in milliseconds a case."
    )

    @model_validator(mode="after")
    def _check(self) -> "RouteSpec":
        rules = (self.policy, self.strong_when, self.escalate_when)
        if sum(rule is not None for rule in rules) != 1:
            raise ValueError("a route has one rule: `policy`, `strong_when` or `escalate_when`")
        if self.weak == self.strong:
            raise ValueError(f"a route lies between two models, and both are {self.weak!r}")
        return self

    @property
    def is_free(self) -> bool:
        """Whether the chosen model's answer is all there is to it: nothing is added to its cost or its time."""
        return self.escalate_when is None and not self.cost_a_case and not self.latency_ms


# Models


class ModelSpec(Spec):
    """A model and how to call it. In a file, a bare model id will do."""

    name: Name = Field(description="The label in reports. Default: the last part of the model id.")
    model: Name = Field(
        description="What to call: a LiteLLM model id (openai/gpt-4o-mini), replay/<file> for recorded "
        "answers, simulated/<profile> for made-up ones."
    )
    route: RouteSpec | None = Field(
        default=None,
        description="Instead of `model`: two models of this file, and the rule that chooses for each case.",
    )
    api_base: str | None = Field(default=None, description="Address of an OpenAI-compatible endpoint.")
    api_key_env: str | None = Field(default=None, description="The environment variable that holds the key.")
    transport: Literal["litellm", "direct"] = Field(
        default="litellm",
        description="direct: plain HTTP to an OpenAI-compatible endpoint, with less CPU a call.",
    )
    parameters: Parameters = Field(default_factory=dict, description="Sampling parameters, e.g. temperature.")
    timeout_s: Seconds = Field(default=60.0, description="Seconds before one attempt is given up.")
    max_output_tokens: Count | None = Field(default=None, description="Upper limit for the answer, in tokens.")
    max_cost_a_call: Money | None = Field(
        default=None,
        description="A call that may cost more, in US dollars, is not made: its answer is an error that says so.",
    )
    retries: Retries | None = Field(
        default=None, description="How often a failed attempt is tried again where that may help. Default: 5."
    )
    reuse_answers: bool = Field(
        default=True, description="Take answers that earlier runs recorded for the same question; false asks anew."
    )
    stream: bool | None = Field(
        default=None,
        description="Take the answer in pieces, so that the time to its first token is measured. Default: no, but in "
        "benchmarks of latency.",
    )
    requests_per_minute: Count | None = None
    tokens_per_minute: Count | None = None
    max_concurrency: AtOnce | None = Field(default=None, description="Calls in flight at once, for this model.")
    fallbacks: Tags = Field(
        default=(), description="Labels of models to ask when this one fails; never in comparisons."
    )
    candidate: bool = Field(default=False, description="Shown in the report, but does not decide the run.")

    @model_validator(mode="before")
    @classmethod
    def _read(cls, given: Any) -> Any:
        if isinstance(given, str):
            given = {"model": given}
        if not isinstance(given, Mapping):
            return given
        for path, value in scalars(given):
            if any(SECRET_KEY.search(key) for key in path) or SECRET_VALUE.search(str(value)):
                raise ValueError(f"`{'.'.join(path)}` holds a secret: {USE_ENV}")
        if given.get("route") is not None and "model" not in given:
            given = {**given, "model": f"{ROUTED}{given.get('name', 'routed')}"}
        if "name" not in given and isinstance(given.get("model"), str):
            given = {**given, "name": _label_of(given["model"])}
        return given

    @model_validator(mode="after")
    def _check(self) -> "ModelSpec":
        if self.api_key_env is not None and not re.match(IDENTIFIER, self.api_key_env):
            raise ValueError("`api_key_env` is the name of an environment variable, e.g. OPENAI_API_KEY, not its value")
        if self.api_base is not None:
            _check_address(self.api_base)
        if self.transport == "direct" and self.model.startswith(NO_VENDOR):
            raise ValueError(f"{self.model} is not called over HTTP; leave `transport` out")
        if self.name in self.fallbacks:
            raise ValueError(f"{self.name} cannot be its own fallback")
        if self.model.startswith(ROUTED) != (self.route is not None):
            raise ValueError("a model has a `model` of its own or a `route` between two others")
        default = {key: field.default for key, field in ModelSpec.model_fields.items()} | {"parameters": {}}
        own = [key for key in default if key not in OF_A_ROUTE and getattr(self, key) != default[key]]
        if self.route is not None and own:
            raise ValueError(f"`{own[0]}` belongs to the models that {self.name} chooses between")
        return self


OF_A_ROUTE = frozenset(("name", "model", "route", "candidate"))
"""What an entry with a route may say; everything else is said of the two models."""


def scalars(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every scalar below `value` with its keys; a secret may hide in a nested header."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from scalars(item, (*path, str(key)))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from scalars(item, path)
    elif value is not None:
        yield path, value


def _label_of(model: str) -> str:
    """The last part of a model id; a recording loses its file endings.

    >>> _label_of("openai/gpt-4o-mini"), _label_of("replay/answers/large.jsonl.gz")
    ('gpt-4o-mini', 'large')
    """
    last = model.rstrip("/").rsplit("/", 1)[-1]
    if model.startswith("replay/"):
        last = re.sub(r"\.(jsonl|json|csv|parquet)(\.gz)?$", "", last)
    return last or model


def _check_address(address: str) -> None:
    # The address is never repeated in the message: what is wrong with it may be the password in it.
    try:
        parts = urlsplit(address)
    except ValueError:
        raise ValueError("`api_base` is not an address") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("`api_base` is an address that begins with http:// or https://")
    if "@" in parts.netloc or any(SECRET_KEY.search(key) for key, _ in parse_qsl(parts.query)):
        raise ValueError(f"`api_base` holds a secret: {USE_ENV}")


# Prompts


class VariableSpec(Spec):
    """A variable of a prompt: its type, and what to do when a case has none. A bare type will do."""

    type: VariableType = "text"
    required: bool = Field(
        default=True,
        description="A case without it is an error; false leaves it empty. A default makes it optional.",
    )
    default: Any = Field(default=None, description="The value for a case that has none.")
    description: str = ""

    @model_validator(mode="before")
    @classmethod
    def _read(cls, given: Any) -> Any:
        if isinstance(given, str):
            return {"type": given}
        if isinstance(given, Mapping) and "default" in given:
            # A default of null is a default too; said by `required`, it survives being stored and read again.
            return {"required": False, **given}
        return given


class MessageSpec(Spec):
    """One message of a prompt: a role with a template, or the place where a case's own messages go."""

    role: Literal["system", "user", "assistant"] | None = None
    content: str | None = Field(default=None, description="A template.")
    history: str | None = Field(
        default=None,
        pattern=IDENTIFIER,
        description="A list variable of the case whose {role, content} items are put here as they are.",
    )

    @model_validator(mode="after")
    def _check(self) -> "MessageSpec":
        if (self.history is None) == (self.role is None or self.content is None):
            raise ValueError("a message has `role` and `content`, or `history` alone")
        if self.history is not None and (self.role or self.content):
            raise ValueError("a message with `history` has neither `role` nor `content`")
        return self


class ExampleSpec(Spec):
    """A worked example: the user's side as text or as inputs for the template, and the answer wanted.

    `user` and `assistant` are plain text, not templates: an example full of braces needs no escaping.
    """

    inputs: dict[str, Any] | None = Field(default=None, description="Values for the prompt's last user message.")
    user: str | None = Field(default=None, description="Plain text, not a template.")
    assistant: str = Field(description="Plain text, not a template.")

    @model_validator(mode="after")
    def _check(self) -> "ExampleSpec":
        if (self.inputs is None) == (self.user is None):
            raise ValueError("an example has either `inputs` or `user`")
        return self


class PromptSpec(Spec):
    """A prompt version: templates with typed variables. Its content, not its number, is its identity."""

    name: Name
    version: str = Field(
        default="0.1.0", pattern=SEMVER, description="Semantic version, in quotes if it could be a number."
    )
    description: str = ""
    changelog: str = Field(default="", description="What this version changes.")
    categories: Tags = Field(default=(), description="What it is for, e.g. support; not part of its identity.")
    tags: Tags = Field(default=(), description="Words to find it by; not part of its identity.")
    system: str | None = Field(default=None, description="A template for the system message.")
    user: str | None = Field(default=None, description="A template for a single user message.")
    messages: tuple[MessageSpec, ...] = Field(default=(), description="For several turns, instead of `user`.")
    few_shot: tuple[ExampleSpec, ...] = Field(default=(), description="Worked examples, put before the messages.")
    variables: dict[Annotated[str, StringConstraints(pattern=IDENTIFIER)], VariableSpec] = Field(
        default_factory=dict,
        description="Name and type of each variable. Left out: whatever the templates use.",
    )
    output_schema: dict[str, Any] | None = Field(default=None, description="JSON Schema that the reply has to follow.")
    parameters: Parameters = Field(
        default_factory=dict, description="Sampling parameters; a model's and the suite's go before them."
    )

    @model_validator(mode="after")
    def _check(self) -> "PromptSpec":
        if (self.user is None) == (not self.messages):
            raise ValueError("a prompt has either `user` or `messages`")
        if any(example.inputs is not None for example in self.few_shot) and self._asks() is None:
            raise ValueError("an example with `inputs` needs a user message to put them in")
        return self

    def _asks(self) -> str | None:
        return next((turn.content for turn in reversed(self.turns) if turn.role == "user"), None)

    @property
    def turns(self) -> tuple[MessageSpec, ...]:
        """The messages after the system message, however they were written."""
        return self.messages or (MessageSpec(role="user", content=self.user),)

    @property
    def question(self) -> str:
        """The template of the last user message; "" when there is none."""
        return self._asks() or ""

    @property
    def label(self) -> str:
        return f"{self.name}@{self.version}"

    @property
    def content_hash(self) -> str:
        """SHA-256 of what reaches the model; name, number, description, changelog, tags are not in it."""
        return content_hash(
            {
                "system": self.system,
                "messages": [turn.model_dump() for turn in self.turns],
                "few_shot": [example.model_dump() for example in self.few_shot],
                "variables": {
                    name: [variable.type, variable.required, variable.default]
                    for name, variable in self.variables.items()
                },
                "output_schema": self.output_schema,
                "parameters": self.parameters,
            }
        )


PLAIN_PROMPT = PromptSpec(
    name="plain", version="1.0.0", user="{{ inputs | sole }}", description="The case's inputs as they are."
)
"""For a suite without prompts: a single input is sent as it is, several as one JSON object."""


# Scorers and gates


class ScorerSpec(Spec):
    """A scorer with its settings and its part in the verdict. A bare scorer name will do.

    Keys that are not listed here are the scorer's own settings; whether it knows them is checked where
    scorers are known.
    """

    scorer: str = Field(pattern=SCORER_NAME, description="A scorer's name, or `module:name` for your own.")
    name: Name = Field(description="The label in reports, unique in the suite. Default: the scorer's name.")
    weight: Annotated[float, BeforeValidator(_not_a_bool)] = Field(
        default=1.0, ge=0, allow_inf_nan=False, description="Its share in the weighted score."
    )
    severity: Severity = Field(
        default="major", description="blocker: fails the suite. major: fails its case. minor: fails nothing."
    )
    threshold: Share | None = Field(default=None, description="A value at or above it passes. Default: the scorer's.")
    negate: bool = Field(default=False, description="Turns the judgement round: 1 - value.")
    where: Tags = Field(default=(), description="Only cases with one of these tags.")
    settings: dict[str, Any] = Field(default_factory=dict, description="The scorer's own settings.")

    @model_validator(mode="before")
    @classmethod
    def _read(cls, given: Any) -> Any:
        if isinstance(given, str):
            given = {"scorer": given}
        if not isinstance(given, Mapping):
            return given
        known = {key: value for key, value in given.items() if key in SCORER_KEYS and key != "settings"}
        own = {key: value for key, value in given.items() if key not in SCORER_KEYS}
        nested = given.get("settings", {})
        if not isinstance(nested, Mapping):
            raise ValueError("`settings` is a mapping")
        if "name" not in known and isinstance(given.get("scorer"), str):
            known["name"] = given["scorer"].rsplit(":", 1)[-1]
        return {**known, "settings": {**nested, **own}}


SCORER_KEYS = frozenset(("scorer", "name", "weight", "severity", "threshold", "negate", "where", "settings"))
"""Keys of every scorer entry; all others are settings of the scorer."""


class GateSpec(Spec):
    """What a variant has to reach for the suite to pass."""

    pass_rate: Share | None = Field(default=None, description="Smallest share of judged cases that pass.")
    confident: bool = Field(
        default=False,
        description="The whole interval of the pass rate has to clear the gate, not just the estimate.",
    )
    blockers: Annotated[int, Field(strict=True, ge=0)] | None = Field(
        default=0, description="Most cases in which a blocker may fail."
    )
    error_share: Share | None = Field(default=0.05, description="Largest share of calls that may end in an error.")
    cost_usd: Money | None = Field(default=None, description="Most that the variant's answers may cost, in US dollars.")
    p95_latency_ms: Positive | None = Field(default=None, description="Slowest 95th percentile of latency, in ms.")


# Suites


OF = re.compile(r"^\s*(\d+)\s+of\s+(\d+)\s*$")


def _requirement(value: Any) -> Any:
    """The share of repeats that has to pass, from "all", "k of n" or a number; the text itself is kept."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError('`require` is "all", something like "2 of 3", or a share between 0 and 1')
    if not isinstance(value, str):
        if not 0 < value <= 1:
            raise ValueError(f"{value} is not a share above 0 and up to 1; write 0.8 for 80 %")
        return float(value)
    if value == "all":
        return value
    found = OF.match(value)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise ValueError(f'{value!r} is neither "all" nor something like "2 of 3" nor a share between 0 and 1')
    return f"{int(found[1])} of {int(found[2])}"


Requirement = Annotated[str | float, BeforeValidator(_requirement)]


class Arrivals(Spec):
    """A schedule on which calls begin, whether earlier ones are answered or not: an open loop.

    A closed loop, in which a slow answer delays the next question, hides the wait of those who would have come.
    """

    per_second: Annotated[float, BeforeValidator(_not_a_bool), Field(gt=0, le=10_000, allow_inf_nan=False)] = Field(
        description="Calls that begin in a second, on average."
    )
    process: Literal["poisson", "constant"] = Field(
        default="poisson", description="poisson: at random, as independent people come. constant: evenly."
    )


class SuiteSpec(Spec):
    """A suite: a dataset, what is to answer it, how answers are judged and what has to come out."""

    suite: Name = Field(description="The suite's name.")
    description: str = ""
    feature: str | None = Field(default=None, description="The capability of the product that is tested.")
    author: str | None = None
    tags: Tags = ()
    priority: Priority = "medium"
    dataset: str = Field(default=".", description="The dataset's folder, relative to this file.")
    prompts: Annotated[tuple[str, ...], BeforeValidator(one_or_many)] = Field(
        default=(),
        description="Prompt files, relative to this file, or registered versions (support-reply@1.2.0). None: the "
        "inputs are sent as they are.",
    )
    models: Annotated[tuple[ModelSpec, ...], BeforeValidator(one_or_many), Field(min_length=1)] = Field(
        description="What is to answer: model ids or models with their settings."
    )
    other_models: Annotated[tuple[ModelSpec, ...], BeforeValidator(one_or_many)] = Field(
        default=(), description="Models that answer no case themselves: judges and fallbacks."
    )
    parameters: Annotated[tuple[Parameters, ...], BeforeValidator(one_or_many)] = Field(
        default=(), description="Parameter sets to try: variants are models x prompts x parameter sets."
    )
    repeats: AtOnce = Field(default=1, description="How often every case is answered.")
    require: Requirement = Field(
        default=0.8,
        description='What share of its repeats a case has to pass: "all", "2 of 3" or a number.',
    )
    scorers: Annotated[tuple[ScorerSpec, ...], BeforeValidator(one_or_many)] = ()
    gates: GateSpec = GateSpec()
    seed: Annotated[int, Field(strict=True, ge=0, le=2_147_483_647)] = Field(
        default=0, description="For whatever is drawn at random."
    )
    concurrency: AtOnce = Field(default=16, description="Calls in flight at once.")
    arrivals: Arrivals | None = Field(
        default=None, description="Calls begin on a schedule, whether earlier ones are answered or not."
    )
    max_cost: Money | None = Field(default=None, description="Stop before spending more, in US dollars.")
    max_time: Seconds | None = Field(default=None, description='Stop after this time: seconds, or "10m".')

    @model_validator(mode="after")
    def _check(self) -> "SuiteSpec":
        labels = [model.name for model in (*self.models, *self.other_models)]
        refuse_twins(labels, "model", "give one of them a `name`")
        refuse_twins([scorer.name for scorer in self.scorers], "scorer", "give one of them a `name`")
        refuse_twins([canonical_json(p) for p in self.parameters], "parameter set", "leave one of them out")
        refuse_twins(list(self.prompts), "prompt", "leave one of them out")
        for model in (*self.models, *self.other_models):
            for label in model.fallbacks:
                if label not in labels:
                    raise ValueError(
                        f"{model.name} falls back to {label!r}, which no entry of `models` or `other_models` "
                        f"is named; known: {', '.join(labels)}"
                    )
        check_routes(self.models, self.other_models)
        for given in self.parameters:
            for path, value in scalars(given):
                if any(SECRET_KEY.search(key) for key in path) or SECRET_VALUE.search(str(value)):
                    raise ValueError(f"`parameters.{'.'.join(path)}` holds a secret: {USE_ENV}")
        if isinstance(self.require, str) and (found := OF.match(self.require)):
            wanted = int(found[2])
            if wanted != self.repeats:
                raise ValueError(
                    f"`require: {self.require}` speaks of {wanted} repeats and `repeats` is {self.repeats}; "
                    f"make them agree or give `require` as a share"
                )
        return self

    @property
    def required_share(self) -> float:
        """The share of a case's repeats that has to pass, in (0, 1]."""
        if isinstance(self.require, float):
            return self.require
        found = OF.match(self.require)
        return int(found[1]) / int(found[2]) if found else 1.0


def check_routes(models: Sequence[ModelSpec], other_models: Sequence[ModelSpec]) -> None:
    """Raises ValueError for a route to a model that is not there or is a route itself, and for one that is asked as a
    judge or a fallback: who answers has to be one model there."""
    labels = {model.name: model for model in (*models, *other_models)}
    for model in other_models:
        if model.route is not None:
            raise ValueError(f"{model.name} has a route, so it answers cases: list it under `models`")
    for model in labels.values():
        for label in model.fallbacks:
            if label in labels and labels[label].route is not None:
                raise ValueError(f"{model.name} falls back to {label}, which is a route; name one of its models")
        for label in (model.route.weak, model.route.strong) if model.route is not None else ():
            if label not in labels or labels[label].route is not None:
                plain = ", ".join(each.name for each in labels.values() if each.route is None)
                raise ValueError(
                    f"{model.name} chooses {label!r}, which no entry of `models` or `other_models` is named that is "
                    f"one model; known: {plain}"
                )


def refuse_twins(names: Sequence[str], kind: str, remedy: str) -> None:
    twins = sorted({name for name in names if names.count(name) > 1})
    if twins:
        raise ValueError(f"two of one {kind}: {', '.join(twins)}; {remedy}")


# Variants


class SideSpec(Spec):
    """One of the two models that a routed variant chooses between, as it would be alone."""

    label: str
    """What its own variant is called, or would be: recorded answers are found by it."""
    model: ModelSpec
    parameters: Parameters

    @classmethod
    def of(cls, variant: "VariantSpec") -> "SideSpec":
        """A variant of one model, as a route would ask it."""
        return cls.model_construct(label=variant.label, model=variant.model, parameters=variant.parameters)


class VariantSpec(Spec):
    """What is compared: a prompt version with a model and its parameters."""

    label: str
    """Unique within the suite."""
    prompt: PromptSpec
    model: ModelSpec
    parameters: Parameters
    """What is sent: the prompt's, overruled by the model's, overruled by the parameter set's."""
    gating: bool
    """False for a candidate that is shown but does not decide the run."""
    sides: tuple[SideSpec, ...] = ()
    """The cheap and the strong model of a routed variant; none for any other."""

    @property
    def asks(self) -> tuple[ModelSpec, ...]:
        """The models that may be called for it."""
        return tuple(side.model for side in self.sides) or (self.model,)

    @property
    def content_hash(self) -> str:
        """SHA-256 of what can change an answer; labels, limits and keys are not in it."""
        if self.model.route is not None:
            return content_hash(
                {
                    "prompt": self.prompt.content_hash,
                    "route": self.model.route.model_dump(exclude={"weak", "strong"}),
                    "sides": [_asked(side.model, side.parameters) for side in self.sides],
                }
            )
        return content_hash({"prompt": self.prompt.content_hash, **_asked(self.model, self.parameters)})


def _asked(model: ModelSpec, parameters: Parameters) -> dict[str, Any]:
    """What can change a model's answer to the same prompt."""
    return {
        "model": model.model,
        "api_base": model.api_base,
        "max_output_tokens": model.max_output_tokens,
        "parameters": parameters,
    }


def variants_of(suite: SuiteSpec, prompts: Sequence[PromptSpec]) -> tuple[VariantSpec, ...]:
    """Every model with every prompt and every parameter set, in the order of the file.

    With one prompt and one parameter set a variant is called like its model; otherwise what differs is
    appended: "small · triage@1.1.0 · temperature=0.7". Without prompts the inputs are sent as they are.
    Raises ValueError if two prompts share name and version.
    """
    prompts = tuple(prompts) or (PLAIN_PROMPT,)
    refuse_twins([prompt.label for prompt in prompts], "prompt", "raise the `version` of one of them")
    sets: tuple[Parameters, ...] = suite.parameters or ({},)
    labelled = {model.name: model for model in (*suite.models, *suite.other_models)}

    def side(model: ModelSpec, prompt: PromptSpec, chosen: Parameters) -> SideSpec:
        words = [model.name]
        words += [prompt.label] if len(prompts) > 1 else []
        words += [_set_label(chosen, sets)] if len(sets) > 1 else []
        return SideSpec(
            label=" · ".join(words), model=model, parameters={**prompt.parameters, **model.parameters, **chosen}
        )

    def variant(model: ModelSpec, prompt: PromptSpec, chosen: Parameters) -> VariantSpec:
        own = side(model, prompt, chosen)
        route = model.route
        others = () if route is None else (labelled[route.weak], labelled[route.strong])
        given = {"sides": tuple(side(other, prompt, chosen) for other in others)} if others else {}
        return VariantSpec(
            label=own.label,
            prompt=prompt,
            model=model,
            parameters=own.parameters,
            gating=not model.candidate,
            **given,
        )

    return tuple(variant(model, prompt, chosen) for model in suite.models for prompt in prompts for chosen in sets)


def _set_label(chosen: Parameters, sets: Sequence[Parameters]) -> str:
    """What sets one parameter set apart from the others; long values are named by their hash."""
    differing = [
        key
        for key in sorted({key for each in sets for key in each})
        if len({canonical_json(each[key]) if key in each else None for each in sets}) > 1
    ]
    words = []
    for key in differing:
        if key in chosen:
            text = canonical_json(chosen[key])
            words.append(f"{key}={text if len(text) <= 24 else content_hash(chosen[key])[:8]}")
    return ", ".join(words) or "defaults"


def suite_hash(suite: SuiteSpec, variants: Sequence[VariantSpec]) -> str:
    """SHA-256 of everything that can change a verdict: variants, scorers, gates, repeats, seed.

    Descriptions, authors, tags, concurrency and caps are not in it; the dataset has its own hash.
    """
    return content_hash(
        {
            "suite": suite.suite,
            "variants": [[v.label, v.content_hash, v.gating] for v in variants],
            "scorers": [scorer.model_dump() for scorer in suite.scorers],
            "gates": suite.gates.model_dump(),
            "repeats": suite.repeats,
            "require": suite.require,
            "seed": suite.seed,
        }
    )


# Contracts


def _input_columns(value: Any) -> Any:
    columns = list(value.values()) if isinstance(value, Mapping) else value
    if isinstance(columns, list | tuple) and not all(isinstance(column, str) for column in columns):
        raise ValueError("`inputs` names columns: a column, a list of columns, or {input: column}")
    return value


class FieldsSpec(Spec):
    """Which columns of a row are what. What is not said: a column of that name, if there is one."""

    id: str | None = Field(
        default="id", description="null: rows have no id of their own, and are called by their number."
    )
    expected: str | None = "expected"
    inputs: Annotated[str | tuple[str, ...] | dict[str, str] | None, BeforeValidator(_input_columns)] = Field(
        default=None,
        description="A column that holds an object, a list of columns, or {input: column}. "
        "Default: the column `inputs` if it holds an object, else every column that nothing else claims.",
    )
    tags: str | None = "tags"
    priority: str | None = "priority"
    automation: str | None = "automation"
    assertions: str | None = "assertions"
    description: str | None = "description"


class ExpectationSpec(Spec):
    """One Great Expectations expectation: its snake_case type, its column and its arguments."""

    model_config = ConfigDict(frozen=True, extra="allow", hide_input_in_errors=True)

    type: str = Field(pattern=r"^expect_[a-z0-9_]+$", description="E.g. expect_column_values_to_not_be_null.")
    column: str | None = Field(default=None, description="A column; `inputs.city` reaches into an object.")

    @property
    def arguments(self) -> dict[str, Any]:
        """What Great Expectations is given, the type apart."""
        return {k: v for k, v in self.model_dump().items() if k != "type" and v is not None}


class ContractSpec(Spec):
    """What a dataset promises: where its cases are, which columns are what, and what has to hold."""

    cases: Annotated[tuple[str, ...], BeforeValidator(one_or_many)] = Field(
        default=(),
        description="Files of cases beside this file: .jsonl, .csv (also .gz) or .parquet. Default: cases.*",
    )
    description: str = ""
    licence: str = ""
    source: str = Field(default="", description="Where the cases come from.")
    language: str = Field(default="", description="Language tag of the cases, e.g. en.")
    sample_data: bool = Field(default=False, description="The cases were made up for demonstration.")
    fields: FieldsSpec = FieldsSpec()
    types: dict[str, ColumnType] = Field(
        default_factory=dict, description="Types of CSV columns, whose cells are text otherwise."
    )
    max_case_bytes: Count = Field(default=1_000_000, description="A larger case is refused.")
    expectations: tuple[ExpectationSpec, ...] = ()
