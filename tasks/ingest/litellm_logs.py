"""Spend logs of a LiteLLM proxy (its table LiteLLM_SpendLogs, exported as JSON lines or CSV).

Its `spend` is kept to compare and never summed: it is 0 where LiteLLM did not know a price. Counts of cached and
reasoning tokens stand in the metadata's usage object.

Source: LiteLLM, "Spend tracking: spend logs" and schema.prisma.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson

from evaluations.usage import of_openai
from tasks.ingest.reading import Record
from tasks.ingest.usage_bodies import counted


def read(record: Record) -> dict[str, Any]:
    """One row of the spend log."""
    if "startTime" not in record or "spend" not in record:
        raise ValueError("it has no startTime and spend, as rows of LiteLLM_SpendLogs have")
    metadata = _object(record.get("metadata"))
    usage = metadata.get("usage_object")
    counted = _object(usage) or {
        "prompt_tokens": _whole(record.get("prompt_tokens")),
        "completion_tokens": _whole(record.get("completion_tokens")),
    }
    failed = record.get("status") == "failure" or metadata.get("status") == "failure"
    error = _object(metadata.get("error_information"))
    hit = str(record.get("cache_hit", "")).casefold()
    return {
        **_tokens(counted),
        "external_id": record.get("request_id"),
        "at": record["startTime"],
        "feature": metadata.get("feature") or record.get("model_group") or record.get("call_type"),
        "category": metadata.get("category"),
        "provider": record.get("custom_llm_provider") or None,
        "model": record.get("model"),
        "project": record.get("team_id") or None,
        "subject": record.get("end_user") or record.get("user") or None,
        "trace_id": record.get("session_id") or None,
        "status": "error" if failed else "success",
        "error_type": error.get("error_class"),
        "error_message": error.get("error_message"),
        "latency_ms": _milliseconds(record.get("startTime"), record.get("endTime")),
        "first_token_ms": _milliseconds(record.get("startTime"), record.get("completionStartTime")),
        "cache_hit": hit in ("true", "1") if hit in ("true", "false", "1", "0") else None,
        # What LiteLLM's own cache served cost nothing, and it is the one who knows.
        **({"cost": 0} if hit in ("true", "1") else {}),
        "reported_cost": record["spend"],
    }


def _tokens(usage: Mapping[str, Any]) -> dict[str, int]:
    used = of_openai(usage)
    written = _whole(usage.get("cache_creation_input_tokens"))
    # LiteLLM counts cache writes as prompt tokens too, whoever the vendor is; some versions name them beside alone.
    if written and not used.get("cache_write") and not used.get("cache_write_1h") and written <= used.get("input", 0):
        used = used | {"input": used["input"] - written, "cache_write": written}
    return counted(used)


def _object(value: Any) -> Mapping[str, Any]:
    if isinstance(value, str) and value.startswith("{"):
        value = orjson.loads(value)  # a CSV export has it as text
    return value if isinstance(value, Mapping) else {}


def _whole(value: Any) -> int:
    return int(value) if value not in (None, "") else 0


def _milliseconds(start: Any, end: Any) -> float | None:
    """Between two moments in ISO 8601; None where either is missing or the end lies before the start."""
    if not isinstance(start, str) or not isinstance(end, str) or not start or not end:
        return None
    began, ended = datetime.fromisoformat(start), datetime.fromisoformat(end)
    if (began.tzinfo is None) != (ended.tzinfo is None) or ended < began:
        return None
    return (ended - began).total_seconds() * 1000
