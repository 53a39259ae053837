"""Replies of OpenAI and Anthropic as they came, one a line: id, model, time and usage.

Vendors count the same tokens under several names (OpenAI's prompt_tokens hold the cached ones, Anthropic's
input_tokens do not); here they become disjoint classes. Fields of ours beside the reply are kept: `feature`, `at`, ….

Sources: OpenAI, "Chat completions: the chat completion object" and "Responses: the response object";
Anthropic, "Messages: response, usage".
"""

from collections.abc import Mapping
from typing import Any

from evaluations.requests import BY_NAME
from tasks.ingest.reading import Record

_REPLY = frozenset({"id", "object", "created", "created_at", "model", "usage", "choices", "output", "content", "type"})


def read_openai(record: Record) -> dict[str, Any]:
    """A chat completion or a response of OpenAI, or of a service that speaks like it."""
    usage = _usage(record)
    prompt = _count(usage, "prompt_tokens", "input_tokens")
    reply = _count(usage, "completion_tokens", "output_tokens")
    before = _mapping(usage.get("prompt_tokens_details") or usage.get("input_tokens_details"))
    after = _mapping(usage.get("completion_tokens_details") or usage.get("output_tokens_details"))
    cached, audio_in = _count(before, "cached_tokens"), _count(before, "audio_tokens")
    reasoning, audio_out = _count(after, "reasoning_tokens"), _count(after, "audio_tokens")
    return {
        **_kept(record),
        "external_id": record.get("id"),
        "at": record.get("at", record.get("created", record.get("created_at"))),
        "provider": record.get("provider", "openai"),
        "model": record.get("model"),
        "model_returned": record.get("model"),
        "service_tier": _tier(record.get("service_tier")),
        "input_tokens": _rest(prompt, cached, audio_in, what="prompt_tokens"),
        "cached_tokens": cached,
        "input_audio_tokens": audio_in,
        "output_tokens": _rest(reply, reasoning, audio_out, what="completion_tokens"),
        "reasoning_tokens": reasoning,
        "output_audio_tokens": audio_out,
    }


def read_anthropic(record: Record) -> dict[str, Any]:
    """A message of Anthropic. Cache writes of five minutes and of an hour are told apart where the reply does."""
    usage = _usage(record)
    written = _mapping(usage.get("cache_creation"))
    all_written = _count(usage, "cache_creation_input_tokens")
    an_hour = _count(written, "ephemeral_1h_input_tokens")
    return {
        **_kept(record),
        "external_id": record.get("id"),
        "at": record.get("at", record.get("created_at")),
        "provider": record.get("provider", "anthropic"),
        "model": record.get("model"),
        "model_returned": record.get("model"),
        "service_tier": _tier(usage.get("service_tier")),
        "input_tokens": _count(usage, "input_tokens"),
        "cached_tokens": _count(usage, "cache_read_input_tokens"),
        "cache_write_tokens": _rest(all_written, an_hour, what="cache_creation_input_tokens"),
        "cache_write_1h_tokens": an_hour,
        "output_tokens": _count(usage, "output_tokens"),
    }


def _kept(record: Record) -> dict[str, Any]:
    """Fields of ours that stand beside the reply."""
    return {name: value for name, value in record.items() if name in BY_NAME and name not in _REPLY}


def _usage(record: Record) -> Mapping[str, Any]:
    usage = record.get("usage")
    if not isinstance(usage, Mapping):
        raise ValueError("it has no object `usage`")
    return usage


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _count(of: Mapping[str, Any], *names: str) -> int:
    """The first of these counts that is there; vendors leave out or null what is zero."""
    for name in names:
        value = of.get(name)
        if value is not None:
            if isinstance(value, bool) or not isinstance(value, int):
                raise ValueError(f"{name} is {value!r}, not a whole number")
            return value
    return 0


def _rest(whole: int, *parts: int, what: str) -> int:
    rest = whole - sum(parts)
    if rest < 0:
        raise ValueError(f"{what} is {whole:,}, less than its parts, {sum(parts):,}")
    return rest


def _tier(name: Any) -> str | None:
    """The service tier as we call it; "default" and "auto" are the standard one."""
    return name if name in ("batch", "flex", "priority", "standard") else None
