"""The page of a request and its twins: the same inspection as HTML, JSON and CSV."""

import json
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from evaluations.inspection import Inspection
from evaluations.traces import Step
from reports.files import csv_line, csv_text, jsonable
from reports.page import SCHEMA_VERSION, render_page
from reports.views.request import TEMPLATE, request_view

CSV_COLUMNS = (
    *("place", "parent", "depth", "span_id", "name", "work", "starts_ms", "took_ms", "self_ms", "path_ms", "on_path"),
    *("moved_ms", "status", "error_type", "error_message", "oddities"),
)


def as_html(inspection: Inspection) -> str:
    """One self-contained page, the same bytes for the same inspection."""
    return render_page(TEMPLATE, request_view(inspection))


def as_json(inspection: Inspection) -> str:
    """Everything the inspection knows: money as exact text, times in UTC, unknown as null."""
    known = {field.name: getattr(inspection, field.name) for field in fields(inspection)}
    document = {
        "schema": f"assay.request/{SCHEMA_VERSION}",
        **{name: jsonable(value) for name, value in known.items() if name not in ("trace", "price")},
        # `iso` has seconds: a request is told from the next one by less.
        "at": inspection.request.at.isoformat(),
        "trace": _trace(inspection),
        "cost_by_class": [jsonable(line) for line in inspection.cost_lines()],
        "priced_by": None if inspection.price is None else inspection.price.model,
    }
    return json.dumps(document, indent=1, ensure_ascii=True, allow_nan=False) + "\n"


def _trace(inspection: Inspection) -> dict[str, Any]:
    trace = inspection.trace
    return {
        "total_us": trace.total_us,
        "end_us": trace.end_us,
        "by_work_us": trace.by_work(),
        "steps": [
            {**jsonable(step), "span": {**jsonable(step.span), "at": step.span.at.isoformat()}} for step in trace.steps
        ],
        "critical_path": [jsonable(piece) for piece in trace.path],
    }


def as_csv(inspection: Inspection) -> Iterator[str]:
    """A line for each step, with a head; times in milliseconds. Lines end in CRLF (RFC 4180)."""
    yield csv_line(CSV_COLUMNS)
    for place, step in enumerate(inspection.trace.steps):
        yield csv_line(_values(place, step))


def _values(place: int, step: Step) -> list[object]:
    return [
        place,
        "" if step.parent is None else step.parent,
        step.depth,
        csv_text(step.span.id),
        csv_text(step.span.name),
        step.work,
        *(us / 1000 for us in (step.start_us, step.took_us, step.self_us, step.path_us)),
        "true" if step.on_path else "false",
        step.moved_us / 1000,
        step.span.status,
        csv_text(step.span.error_type or ""),
        csv_text(step.span.error_message or ""),
        "; ".join(step.oddities),
    ]
