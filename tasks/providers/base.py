"""What a provider has to be: one call in, one reply or one typed error out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, Protocol

from evaluations.answers import ErrorKind, Usage

Message = Mapping[str, Any]
"""One chat message in OpenAI's form: {"role": "user", "content": "..."}."""
Transport = Literal["litellm", "direct"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A model as a suite declares it, and the limits to keep when calling it."""

    label: str
    """Unique within a run; `Call.model` names it."""
    model: str
    """"openai/gpt-4o-mini", "replay/<file>", "simulated/<profile>"."""
    api_base: str | None = None
    api_key_env: str | None = None
    """The environment variable that holds the key; without it the provider's usual one is read."""
    transport: Transport = "litellm"
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """Defaults for every call; the call's own parameters go before them."""
    timeout_s: float = 60.0
    """For one attempt, from its first byte out to its last byte in."""
    max_output_tokens: int | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    max_concurrency: int | None = None
    max_cost_a_call: Decimal | None = None
    """US dollars; an attempt that may cost more is not made."""
    retries: int | None = None
    """Attempts after the first one; None for as many as the gateway makes."""
    stream: bool = False
    """Take answers in pieces, so that the time to the first piece of text is measured."""
    fallbacks: tuple[str, ...] = ()
    """Labels of targets to ask, in order, when this one fails; never while models are compared."""

    @property
    def provider(self) -> str:
        """The part of the model's name that says who serves it; empty when it has none."""
        return self.model.split("/", 1)[0] if "/" in self.model else ""

    @property
    def model_name(self) -> str:
        """The model's name as the vendor knows it."""
        return self.model.split("/", 1)[1] if "/" in self.model else self.model


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """What a provider may need to know beside its target."""

    folder: Path | None = None
    """The suite's folder, which `replay/` paths are relative to; None for the current one."""
    allow_outside: bool = False
    """Whether a recording may lie outside that folder, or be named by an absolute path."""
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One model call, with all that any provider needs to make it."""

    model: str
    """The label of a Target that the gateway was made with."""
    messages: Sequence[Message]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    output_schema: Mapping[str, Any] | None = None
    """A JSON Schema the reply has to follow, where the provider can promise that."""
    case_id: str
    variant: str
    repeat: int = 0
    embed: bool = False
    """Ask for the embedding of each message's content instead of a completion; the reply is a JSON list of vectors."""
    expected: Any = None
    """For `simulated/` alone, which has to know what a right answer would be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a provider said to one call."""

    text: str
    usage: Usage
    usage_known: bool = True
    model_returned: str | None = None
    finish_reason: str | None = None
    latency_ms: float | None
    """None where a recording does not say."""
    first_token_ms: float | None = None
    """From the call to the first piece of text; None where the reply came in one piece."""
    simulated: bool = False
    cost_usd: Decimal | None = None
    """Where the provider itself knows what the answer cost (a recording, a simulation); None to price the
    usage."""
    raw: Mapping[str, Any] | None = None


class CallError(Exception):
    """A call that brought no answer, with the kind of failure and whether trying again makes sense."""

    def __init__(
        self,
        kind: ErrorKind,
        message: str,
        *,
        retryable: bool = False,
        retry_after_s: float | None = None,
        overloaded: bool = False,
        usage: Usage | None = None,
        model_returned: str | None = None,
        finish_reason: str | None = None,
        raw: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.kind: ErrorKind = kind
        self.message = message
        self.retryable = retryable
        self.retry_after_s = retry_after_s
        self.overloaded = overloaded
        """The provider asked for fewer calls at once: 429, 503 and 529."""
        self.usage = usage
        """What was billed although there is no answer; None when the reply did not say."""
        self.model_returned = model_returned
        self.finish_reason = finish_reason
        self.raw = raw


class Provider(Protocol):
    """One way of reaching models.

    `complete` makes a single attempt that ends within the target's timeout, and raises CallError and nothing
    else that is expected. A provider that loads or connects something first may offer `async warm_up()`.
    """

    async def complete(self, call: Call) -> Reply: ...

    async def close(self) -> None: ...
