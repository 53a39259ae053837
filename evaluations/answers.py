"""Answers: what one variant said to one case in one repeat, and what it cost to say it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, Literal

ErrorKind = Literal[
    "timeout",
    "rate_limited",
    "server_error",
    "connection",
    "bad_reply",  # malformed JSON, truncated stream, no choices
    "auth",
    "unknown_model",
    "bad_request",
    "context_length",
    "content_filter",
    "circuit_open",
    "budget",
    "abandoned",  # in flight when its owner died, and the user chose `--in-flight skip`
    "no_recording",  # a replay file has no answer for this case
    "prompt",  # the prompt template could not be rendered for this case
    "interrupted",
    "simulated",
]
"""How a call failed. An error is counted and shown; it is never a wrong answer."""
ROUTED: Final = "routed/"
"""What the model of a route is called by: a name of the suite's own, no vendor's."""
NO_VENDOR: Final = ("replay/", "simulated/")
"""How the names of recorded and made-up answers begin: nobody is called and nothing is paid for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens of one call, in disjoint classes: their sum is all that was billed."""

    input_tokens: int = 0
    """Prompt tokens billed at the full rate; cached ones are counted apart."""
    cached_tokens: int = 0
    """Prompt tokens read from the provider's cache."""
    cache_write_tokens: int = 0
    """Prompt tokens written to the provider's cache."""
    output_tokens: int = 0
    """Tokens of the visible answer."""
    reasoning_tokens: int = 0
    """Hidden thinking, billed as output unless a price row says otherwise."""

    @property
    def total(self) -> int:
        return (
            self.input_tokens
            + self.cached_tokens
            + self.cache_write_tokens
            + self.output_tokens
            + self.reasoning_tokens
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one variant said to one case in one repeat, and what it cost to say it."""

    case_id: str
    variant: str
    """The variant's label within its run."""
    repeat: int = 0
    text: str | None
    """None when the call failed; `error` then says how."""
    error: ErrorKind | None = None
    error_message: str = ""
    """One line for a person; never holds a secret."""
    usage: Usage = field(default_factory=Usage)
    usage_known: bool = True
    """False when the provider reported no usage: the cost is then unknown, not zero."""
    cost_usd: Decimal | None = None
    """None when a price or the usage is unknown; never a silent zero."""
    latency_ms: float | None = None
    """Model time of the call that answered; waiting in our queue and between retries is not in it."""
    queue_ms: float = 0.0
    """Waiting for a slot, a rate limit or a retry; under a schedule of arrivals, since the call was due."""
    first_token_ms: float | None = None
    """From the call to the first piece of text, within `latency_ms`; None where the answer came in one piece."""
    model_requested: str = ""
    model_returned: str | None = None
    """The name in the provider's reply, kept as it came."""
    finish_reason: str | None = None
    tries: int = 1
    """HTTP attempts made for this answer; 1 when the first one answered."""
    from_cache: bool = False
    """Served by the response cache: no money spent, and no latency measured."""
    fallback_model: str | None = None
    """The declared fallback that answered instead; such answers never enter a comparison."""
    simulated: bool = False
    routed_to: str | None = None
    """The label of the model that answered, where a route chose it; cost and latency hold the whole way to it."""
    raw: Mapping[str, Any] | None = None
    """The reply as the provider sent it, for the ledger."""


def same_model(requested: str, returned: str | None) -> bool:
    """Whether the name in a reply may be the model that was asked for.

    Providers answer with a dated snapshot of the name or leave a prefix out; a reply without a name proves nothing,
    and recorded and simulated answers have no model to confuse.

    >>> same_model("openai/gpt-4o-mini", "gpt-4o-mini-2024-07-18"), same_model("openai/gpt-4o-mini", "gpt-4o")
    (True, False)
    """
    if not returned or not requested or requested.startswith(NO_VENDOR):
        return True
    asked, said = (name.rsplit("/", 1)[-1].casefold() for name in (requested, returned))
    if said == asked:
        return True
    rest = said.removeprefix(asked)
    return rest != said and rest[0] in "-@:" and any(character.isdigit() for character in rest)
