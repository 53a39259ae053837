"""Replies of OpenAI and Anthropic as they came, one a line: id, model, time and usage.

How each vendor counts is known to `evaluations.usage`; here its classes become our fields. Fields of ours beside the
reply are kept: `feature`, `at`, ….

Sources: OpenAI, "Chat completions: the chat completion object" and "Responses: the response object";
Anthropic, "Messages: response, usage".
"""

from collections.abc import Mapping
from typing import Any

from evaluations.requests import BY_NAME
from evaluations.usage import Tokens, narrowed, of_anthropic, of_openai
from tasks.ingest.reading import Record

_REPLY = frozenset({"id", "object", "created", "created_at", "model", "usage", "choices", "output", "content", "type"})


def read_openai(record: Record) -> dict[str, Any]:
    """A chat completion or a response of OpenAI, or of a service that speaks like it."""
    return {
        **_kept(record),
        "external_id": record.get("id"),
        "at": record.get("at", record.get("created", record.get("created_at"))),
        "provider": record.get("provider", "openai"),
        "model": record.get("model"),
        "model_returned": record.get("model"),
        "service_tier": _tier(record.get("service_tier")),
        **counted(of_openai(_usage(record))),
    }


def read_anthropic(record: Record) -> dict[str, Any]:
    """A message of Anthropic. Cache writes of five minutes and of an hour are told apart where the reply does."""
    usage = _usage(record)
    return {
        **_kept(record),
        "external_id": record.get("id"),
        "at": record.get("at", record.get("created_at")),
        "provider": record.get("provider", "anthropic"),
        "model": record.get("model"),
        "model_returned": record.get("model"),
        "service_tier": _tier(usage.get("service_tier")),
        **counted(of_anthropic(usage)),
    }


def counted(used: Tokens) -> dict[str, int]:
    """Classes of a usage as our fields. Input and output are always there: a usage of nothing is known, too."""
    tokens = {f"{token_class}_tokens": count for token_class, count in narrowed(used).items()}
    searches = {"web_searches": used["web_search"]} if "web_search" in used else {}
    return {"input_tokens": 0, "output_tokens": 0, **tokens, **searches}


def _kept(record: Record) -> dict[str, Any]:
    """Fields of ours that stand beside the reply."""
    return {name: value for name, value in record.items() if name in BY_NAME and name not in _REPLY}


def _usage(record: Record) -> Mapping[str, Any]:
    usage = record.get("usage")
    if not isinstance(usage, Mapping):
        raise ValueError("it has no object `usage`")
    return usage


def _tier(name: Any) -> str | None:
    """The service tier as we call it; "default" and "auto" are the standard one."""
    return name if name in ("batch", "flex", "priority", "standard") else None
