"""Builders of inspected requests: a test spells out only what it is about."""

from collections.abc import Iterable
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from evaluations.inspection import Inspection, Neighbour, PriceUsed, Request
from evaluations.pricing import PriceRow, TokenClass
from evaluations.traces import Span, trace_of
from tests.evaluations.test_traces import BEGIN, a_span

CALL = {
    "gen_ai.operation.name": "chat",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.request.temperature": 0.2,
    "gen_ai.response.time_to_first_chunk": 0.31,
}


def prices() -> PriceUsed:
    """In dollars a million: input 2.50, cached 1.25, output 10."""
    a_million: dict[TokenClass, str] = {"input": "2.5", "cached": "1.25", "output": "10"}
    rows = tuple(
        PriceRow(
            model="openai/gpt-4o",
            token_class=token_class,
            per_token=Decimal(price).scaleb(-6),
            effective_from=date(2024, 10, 1),
            source="a price list",
        )
        for token_class, price in a_million.items()
    )
    return PriceUsed(
        model="openai/gpt-4o",
        by_class={row.token_class: ((-1, row.per_token),) for row in rows},
        since=BEGIN,
        rows=rows,
    )


def an_inspection(spans: Iterable[Span] = (), **given: Any) -> Inspection:
    """A request of 900 + 300 + 200 tokens for 0.004625 dollars; `given` changes what it says of itself."""
    request = Request(
        **{
            "id": 1204,
            "source": "otlp",
            "external_id": "r-1",
            "at": BEGIN,
            "feature": "chatbot",
            "provider": "openai",
            "model": "gpt-4o",
            "status": "success",
            "trace_id": "0af7",
            "span_id": "model_call",
            "latency_ms": 420.0,
            "tokens": {"input": 900, "cached": 300, "output": 200},
            "usage_known": True,
            "cost": Decimal("0.004625"),
            "cost_source": "priced",
            "file": "spans.jsonl",
            "batch_id": 3,
            "recorded_at": BEGIN + timedelta(days=1),
            **given,
        }
    )
    return Inspection(
        request=request,
        trace=trace_of(spans),
        spans_left_out=0,
        price=prices() if request.cost_source == "priced" else None,
        neighbours=(),
        restatements=(),
        as_of=request.recorded_at,
    )


def an_agent() -> list[Span]:
    """All that a trace can have: a queue, a failed attempt, parallel and open steps, one that outlasts the root."""
    return [
        a_span("answer", 0, 3200),
        a_span("queue_wait", 0, 140, "answer"),
        a_span("retrieve documents", 140, 520, "answer", attributes={"db.system.name": "postgresql"}),
        a_span("vector search", 260, 500, "retrieve documents", attributes={"db.system.name": "postgresql"}),
        a_span("load profile", 140, 300, "answer"),
        a_span(
            "first", 540, 1100, "answer", status="error", error_type="429", error_message="slow down", attributes=CALL
        ),
        a_span("backoff", 1100, 1400, "answer"),
        a_span("second", 1400, 2600, "answer", status="ok", attributes=CALL),
        a_span("look up order", 2600, 2900, "answer", attributes={"gen_ai.operation.name": "execute_tool"}),
        a_span("validation", 2900, 2960, "answer"),
        a_span("audit log", 3100, 3900, "answer"),
        a_span("never came back", 2950, None, "answer"),
        a_span("lost", 2965, 3000, "gone"),
        a_span("other clock", -900, -880, "second"),
    ]


def many_steps(count: int) -> list[Span]:
    """A root and its steps, some below each other, the last one failed."""
    below = [
        a_span(
            f"step {n}",
            n * 9,
            n * 9 + 8,
            "root" if n % 7 else f"step {n - 1}",
            status="error" if n == count else "unset",
        )
        for n in range(1, count + 1)
    ]
    return [a_span("root", 0, count * 9 + 100), *below]


def everywhere(text: str) -> Inspection:
    """A request that says the same text wherever it may say anything."""
    spans = [
        a_span("root", 0, 100, name=text, kind=text, status="error", error_type=text, error_message=text,
               attributes={text: text, "list": [text], "gen_ai.request.model": text}),
        Span(id=text, parent_id="root", name=text, at=BEGIN, duration_ms=50.0, status="ok"),
    ]  # fmt: skip
    said = dict.fromkeys(
        ("source", "external_id", "feature", "category", "provider", "model", "model_returned", "prompt_version",
         "project", "environment", "region", "service_tier", "language", "experiment", "variant", "ticket", "trace_id",
         "error_type", "error_message", "comment", "escalation_reason", "handled_by", "file"),
        text,
    )  # fmt: skip
    made = an_inspection(spans, **said, status="error", span_id=text, sample_data=True)
    other = Neighbour(id=7, at=BEGIN, model=text, status="error", latency_ms=None, cost=None, span_id=text)
    return Inspection(
        request=made.request,
        trace=made.trace,
        spans_left_out=0,
        price=PriceUsed(model=text, by_class=prices().by_class, since=BEGIN, rows=()),
        neighbours=(other,),
        restatements=(),
        as_of=made.as_of,
    )
