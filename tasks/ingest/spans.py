"""Spans of OTLP as rows of the store: scrubbed, without the texts of prompts and answers."""

import csv
import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from tasks.ingest.otlp import attributes
from tasks.ingest.reading import Record
from tasks.ingest.scrubbing import scrub_value

WRITTEN_BY_PEOPLE = (
    "gen_ai.prompt",
    "gen_ai.completion",
    "gen_ai.input",
    "gen_ai.output",
    "gen_ai.system_instructions",
)
"""Beginnings of attributes that hold what people and models wrote."""
PERSONS = ("user.", "enduser.")
_KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")
_STATUS: Mapping[Any, str] = {1: "ok", 2: "error", "STATUS_CODE_OK": "ok", "STATUS_CODE_ERROR": "error"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class SpanRows:
    """Spans as CSV in the order of the store's columns, and the days (UTC) they need partitions for."""

    csv: bytes
    days: frozenset[date]
    scrubbed: Mapping[str, int]


def span_rows(spans: Sequence[Record]) -> SpanRows:
    """Rows of those spans that have ids and a start; a span without them is none, and is refused as a record."""
    made, days, scrubbed = io.StringIO(), set(), Counter[str]()
    writer = csv.writer(made)
    for span in spans:
        try:
            at = _EPOCH + timedelta(microseconds=int(span["startTimeUnixNano"]) // 1000)
            row = _row(span, at, scrubbed)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
            continue
        days.add(at.date())
        writer.writerow(row)
    return SpanRows(made.getvalue().encode(), frozenset(days), dict(scrubbed))


def _row(span: Record, at: datetime, scrubbed: Counter[str]) -> list[Any]:
    own = attributes(span.get("attributes", ()))
    kept = {name: value for name, value in own.items() if not name.startswith((*WRITTEN_BY_PEOPLE, *PERSONS))}
    status = span.get("status", {})
    end = int(span.get("endTimeUnixNano") or 0)
    took = (end - int(span["startTimeUnixNano"])) / 1e6
    kind = span.get("kind", 0)
    return [
        span["traceId"],
        span["spanId"],
        at.isoformat(),
        span.get("parentSpanId") or None,
        scrub_value(str(span.get("name") or "unnamed"), scrubbed),
        _KINDS[kind] if isinstance(kind, int) and 0 <= kind < len(_KINDS) else str(kind)[:60],
        took if end and took >= 0 else None,
        _STATUS.get(status.get("code"), "unset"),
        own.get("error.type"),
        scrub_value(status.get("message") or None, scrubbed),
        json.dumps(scrub_value(kept, scrubbed)).replace("\\u0000", ""),
    ]
