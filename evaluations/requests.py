"""Requests: production calls of a feature, and what a row of a log has to be to count as one.

`FIELDS` is the whole of it. The reader of files, their contract and the documentation are made from it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from typing import Literal

from evaluations.pricing import TOKEN_CLASSES

FieldKind = Literal["text", "moment", "whole", "number", "money", "flag"]
STATUSES = ("success", "error")
RESOLUTIONS = ("resolved", "escalated_human", "escalated_specialist", "unresolved", "abandoned", "pending")
HANDLERS = ("ai", "human")
SERVICE_TIERS = ("standard", "batch", "flex", "priority")
CURRENCY = "USD"
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
"""Before this a timestamp is a mistake: a zero, or milliseconds taken for seconds."""
CLOCK_SKEW = timedelta(minutes=5)
"""How far a timestamp may lie in the future: clocks of servers differ."""
MOST_TOKENS = 1_000_000_000
MOST_MONEY = 10_000_000
LONGEST_NAME = 512
LONGEST_TEXT = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of a row: what it holds and within which limits. Every limit is inclusive."""

    name: str
    kind: FieldKind = "text"
    says: str
    required: bool = False
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    longest: int = LONGEST_NAME
    """Characters of a text."""
    prose: bool = False
    """Written by people or models: where personal data are expected."""


def _tokens(name: str) -> Field:
    return Field(
        name=f"{name}_tokens",
        kind="whole",
        says=f"tokens billed as {name.replace('_', ' ')}, counted in no other class",
        low=0,
        high=MOST_TOKENS,
    )


def _milliseconds(name: str, says: str) -> Field:
    return Field(name=name, kind="number", says=says, low=0, high=1e9)


def _fraction(name: str, says: str) -> Field:
    return Field(name=name, kind="number", says=f"{says}, 0 to 1, higher is better", low=0, high=1)


def _money(name: str, says: str) -> Field:
    return Field(name=name, kind="money", says=says, low=0, high=MOST_MONEY)


FIELDS: tuple[Field, ...] = (
    Field(name="external_id", says="the id in the system that wrote the row; without one, its content is its id"),
    Field(
        name="at",
        kind="moment",
        says="when the request began: ISO 8601 (without an offset it is UTC) or seconds since 1970",
        required=True,
    ),
    Field(name="feature", says="the feature that was used", required=True),
    Field(name="category", says="what the request was about"),
    Field(name="provider", says="who served the model: openai, azure, bedrock"),
    Field(name="model", says="the model that was asked for; empty where none took part"),
    Field(name="model_returned", says="the model that answered, as the provider names it"),
    Field(name="prompt_version", says="the version of the prompt"),
    Field(name="project", says="the project that pays"),
    Field(name="environment", says="production, staging, development"),
    Field(name="region", says="where it was served"),
    Field(name="service_tier", says="what the provider bills apart; empty is standard", choices=SERVICE_TIERS),
    Field(name="language", says="the language of the request"),
    Field(name="experiment", says="the experiment it was part of"),
    Field(name="variant", says="the experiment's variant it got"),
    Field(name="subject", says="who asked; only a keyed hash of it is written"),
    Field(name="ticket", says="the ticket or conversation it belongs to"),
    Field(name="trace_id", says="the trace of its steps"),
    Field(name="span_id", says="its own span in that trace"),
    Field(name="status", says="how it ended; empty is unknown", choices=STATUSES),
    Field(name="error_type", says="the kind of error"),
    Field(name="error_message", says="what the error said", longest=LONGEST_TEXT, prose=True),
    _milliseconds("latency_ms", "from the request to its end, as the user had to wait"),
    _milliseconds("processing_ms", "the model alone, without queue, retries and own work"),
    _milliseconds("first_token_ms", "from the request to the first token"),
    *(_tokens(token_class) for token_class in TOKEN_CLASSES),
    Field(
        name="web_searches",
        kind="whole",
        says="searches of the web that the model made, billed by the piece",
        low=0,
        high=1_000_000,
    ),
    Field(name="cache_hit", kind="flag", says="whether an answer cache served it"),
    _money("cost", "what was paid, where that is known better than from prices; taken as it is"),
    _money("reported_cost", "what another tool reckoned; kept to compare, never summed"),
    Field(name="currency", says="of both costs; US dollars are understood", choices=(CURRENCY,)),
    Field(name="rating", kind="whole", says="the user's rating, 1 to 5", low=1, high=5),
    Field(name="comment", says="the user's words", longest=LONGEST_TEXT, prose=True),
    _fraction("quality", "how good the answer was"),
    _fraction("confidence", "how sure the feature was"),
    _fraction("sentiment", "how the user felt"),
    Field(name="resolution", says="how the matter ended; empty is unknown", choices=RESOLUTIONS),
    Field(name="resolution_s", kind="number", says="seconds until it was resolved", low=0, high=1e9),
    Field(name="handled_by", says="who took it first; human for the baseline without AI", choices=HANDLERS),
    Field(name="escalation_reason", says="why it was escalated", prose=True),
    Field(name="escalated_at", kind="moment", says="when it was escalated"),
    Field(name="follow_up_required", kind="flag", says="whether more had to be done"),
    Field(name="follow_up_completed", kind="flag", says="whether that was done"),
    Field(name="reopened", kind="flag", says="whether the matter came back"),
    Field(name="turns", kind="whole", says="turns of the conversation", low=0, high=1_000_000),
    Field(name="consent", kind="flag", says="whether the user allowed the use of the data"),
)
BY_NAME: Mapping[str, Field] = {field.name: field for field in FIELDS}
TOKEN_FIELDS: tuple[str, ...] = tuple(f"{token_class}_tokens" for token_class in TOKEN_CLASSES)
"""In the order of `TOKEN_CLASSES`."""
IDENTIFIERS = ("external_id", "subject", "ticket", "trace_id", "span_id")
"""Fields that name something elsewhere: scrubbing them would make two names one."""


def unknown_field(name: str, known: Mapping[str, Field] = BY_NAME) -> str:
    """Why a row with this field is not taken, and what may have been meant.

    >>> unknown_field("latncy_ms")
    "no field is called 'latncy_ms'; did you mean latency_ms? Name it with --field or leave it out with --ignore"
    """
    near = get_close_matches(name, list(known), n=1)
    guess = f"; did you mean {near[0]}?" if near else "."
    return f"no field is called {name[:60]!r}{guess} Name it with --field or leave it out with --ignore"


def limits(field: Field) -> str:
    """The limits of a field in words; empty when there are none.

    >>> limits(BY_NAME["rating"]), limits(BY_NAME["status"])
    ('a whole number from 1 to 5', 'one of success, error')
    """
    if field.choices:
        return f"one of {', '.join(field.choices)}"
    kinds = {"whole": "a whole number", "number": "a number", "money": "an amount"}
    if field.kind in kinds and field.low is not None and field.high is not None:
        return f"{kinds[field.kind]} from {field.low:,.0f} to {field.high:,.0f}"
    return {"moment": "a time", "flag": "true or false"}.get(field.kind, "")
