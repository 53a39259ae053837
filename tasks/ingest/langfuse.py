"""Observations exported from Langfuse, as JSON lines or CSV: those of type GENERATION are requests.

Its `usageDetails` may hold any classes; the keys that its own integrations write are known here. Its costs are kept to
compare: they come from its own price list.

Source: Langfuse, "Public API: observations" and "Token and cost tracking".
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson

from tasks.ingest.reading import Record

_CLASSES: Mapping[str, str] = {
    "input": "input_tokens",
    "input_cached_tokens": "cached_tokens",
    "cache_read_input_tokens": "cached_tokens",
    "input_cache_read": "cached_tokens",
    "cache_creation_input_tokens": "cache_write_tokens",
    "input_cache_creation": "cache_write_tokens",
    "input_audio_tokens": "input_audio_tokens",
    "input_audio": "input_audio_tokens",
    "output": "output_tokens",
    "output_reasoning_tokens": "reasoning_tokens",
    "output_reasoning": "reasoning_tokens",
    "output_audio_tokens": "output_audio_tokens",
    "output_audio": "output_audio_tokens",
}
"""Langfuse's integrations subtract the parts from `input` and `output`, so these classes are disjoint."""


def read(record: Record) -> dict[str, Any] | None:
    """The request of an observation; None for spans and events."""
    if "startTime" not in record or "type" not in record:
        raise ValueError("it has no startTime and type, as observations of Langfuse have")
    if record["type"] != "GENERATION":
        return None
    metadata = _object(record.get("metadata"))
    failed = record.get("level") == "ERROR"
    return {
        **_tokens(record),
        "external_id": record.get("id"),
        "trace_id": record.get("traceId"),
        "at": record["startTime"],
        "feature": metadata.get("feature") or record.get("traceName") or record.get("name"),
        "category": metadata.get("category"),
        "environment": record.get("environment") or None,
        "provider": metadata.get("ls_provider") or metadata.get("provider"),
        "model": record.get("model") or record.get("providedModelName") or None,
        "prompt_version": _version(record.get("promptName"), record.get("promptVersion")),
        "project": record.get("projectId") or None,
        "subject": record.get("userId") or None,
        "status": "error" if failed else "success",
        "error_message": (record.get("statusMessage") or None) if failed else None,
        "latency_ms": _between(record["startTime"], record.get("endTime")),
        "first_token_ms": _between(record["startTime"], record.get("completionStartTime")),
        "reported_cost": _object(record.get("costDetails")).get("total", record.get("calculatedTotalCost")),
    }


def _tokens(record: Record) -> dict[str, int]:
    details = _object(record.get("usageDetails"))
    if not details:
        usage = _object(record.get("usage"))
        details = {name: usage[name] for name in ("input", "output") if usage.get(name) is not None}
    made: dict[str, int] = {}
    for name, count in details.items():
        if name == "total" or count is None:
            continue
        if name not in _CLASSES:
            raise ValueError(f"usageDetails has {name!r}, which is no class of tokens that is known")
        made[_CLASSES[name]] = made.get(_CLASSES[name], 0) + int(count)
    return made


def _object(value: Any) -> Mapping[str, Any]:
    if isinstance(value, str) and value.startswith("{"):
        value = orjson.loads(value)  # a CSV export has it as text
    return value if isinstance(value, Mapping) else {}


def _version(name: Any, number: Any) -> str | None:
    return f"{name}@{number}" if name and number not in (None, "") else None


def _between(start: Any, end: Any) -> float | None:
    if not isinstance(start, str) or not isinstance(end, str) or not end:
        return None
    took = datetime.fromisoformat(end) - datetime.fromisoformat(start)
    return took.total_seconds() * 1000 if took.total_seconds() >= 0 else None
