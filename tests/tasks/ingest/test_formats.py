"""Logs of other tools: each record as one of ours, token classes disjoint, and what is no request left out."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from tasks.ingest.langfuse import read as read_langfuse
from tasks.ingest.litellm_logs import read as read_litellm
from tasks.ingest.usage_bodies import read_anthropic, read_openai
from tasks.store.database import transaction
from tasks.store.prices import add_prices
from tests.evaluations.test_money_bugs import a_list
from tests.tasks.ingest.builders import a_file, facts, ingested, one, waiting


def tokens(record: dict[str, Any]) -> dict[str, int]:
    return {name.removesuffix("_tokens"): n for name, n in record.items() if name.endswith("_tokens") and n}


def test_openai_counts_cached_and_reasoning_tokens_within_the_others() -> None:
    usage = {
        "prompt_tokens": 1000,
        "completion_tokens": 300,
        "prompt_tokens_details": {"cached_tokens": 600, "audio_tokens": 100},
        "completion_tokens_details": {"reasoning_tokens": 200, "audio_tokens": None},
    }
    read = read_openai({"id": "c-1", "created": 1780000000, "model": "gpt-4o", "usage": usage, "feature": "chat"})
    assert tokens(read) == {"input": 300, "cached": 600, "input_audio": 100, "output": 100, "reasoning": 200}
    assert (read["external_id"], read["at"], read["feature"]) == ("c-1", 1780000000, "chat")


def test_openai_responses_name_the_same_counts_otherwise() -> None:
    usage = {"input_tokens": 10, "output_tokens": 4, "input_tokens_details": {"cached_tokens": 3}}
    assert tokens(read_openai({"usage": usage})) == {"input": 7, "cached": 3, "output": 4}


def test_anthropic_counts_cached_tokens_beside_the_others() -> None:
    usage = {
        "input_tokens": 10,
        "cache_read_input_tokens": 500,
        "cache_creation_input_tokens": 70,
        "cache_creation": {"ephemeral_5m_input_tokens": 30, "ephemeral_1h_input_tokens": 40},
        "output_tokens": 5,
    }
    assert tokens(read_anthropic({"usage": usage})) == {
        "input": 10,
        "cached": 500,
        "cache_write": 30,
        "cache_write_1h": 40,
        "output": 5,
    }


@pytest.mark.parametrize(
    ("usage", "said"),
    [
        ({"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": 6}}, "more in parts than in all"),
        ({"prompt_tokens": "5"}, "not a count"),
        (None, "no object `usage`"),
    ],
)
def test_usage_that_contradicts_itself_is_refused(usage: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_openai({"usage": usage})


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        # BerriAI/litellm#18599: reasoning stands beside the output, which the total tells.
        (
            {
                "prompt_tokens": 17,
                "completion_tokens": 34,
                "total_tokens": 499,
                "completion_tokens_details": {"reasoning_tokens": 448},
            },
            {"input": 17, "output": 34, "reasoning": 448},
        ),
        # BerriAI/litellm#42663: cache writes for an hour, as gateways stream them.
        (
            {
                "prompt_tokens": 4_818,
                "completion_tokens": 47,
                "prompt_tokens_details": {
                    "cache_creation_tokens": 4_803,
                    "cache_creation_token_details": {"ephemeral_1h_input_tokens": 4_803},
                },
            },
            {"input": 15, "cache_write_1h": 4_803, "output": 47},
        ),
    ],
)
def test_replies_and_spend_logs_are_counted_as_their_vendors_bill(
    usage: dict[str, Any], counts: dict[str, int]
) -> None:
    assert tokens(read_openai({"usage": usage})) == counts
    row = {"startTime": "2026-06-01T10:00:00+00:00", "spend": 0, "metadata": {"usage_object": usage}}
    assert tokens(read_litellm(row)) == counts


def test_a_usage_of_nothing_is_known() -> None:
    read = read_openai({"usage": {"prompt_tokens": 0, "completion_tokens": 0}})
    assert (read["input_tokens"], read["output_tokens"]) == (0, 0)


@pytest.mark.usefixtures("store")
def test_searches_of_the_web_are_billed_by_the_piece(tmp_path: Path) -> None:
    """Left out, they would make the cost too low without a word."""
    usage = {"input_tokens": 1000, "output_tokens": 100, "server_tool_use": {"web_search_requests": 3}}
    reply = {"id": "m-1", "at": "2026-06-01T10:00:00Z", "feature": "chat", "model": "claude-sonnet-4-5", "usage": usage}
    add_prices_of("anthropic/claude-sonnet-4-5", input="3", output="15")
    assert ingested(a_file(tmp_path, [reply]), format="anthropic").counts.unpriced == 0
    [row] = facts("cost, web_searches, price_set_id")
    fee = one("SELECT usd_per_token FROM model_prices WHERE model = 'anthropic/claude-sonnet-4-5' "
              "AND token_class = 'web_search' LIMIT 1")  # fmt: skip
    assert (row.web_searches, row.cost) == (3, Decimal("0.0045") + 3 * fee)
    nobody = reply | {"id": "m-2", "model": "nobody-sells-searches"}
    add_prices_of("anthropic/nobody-sells-searches", input="3", output="15")
    assert ingested(a_file(tmp_path, [nobody]), format="anthropic").counts.unpriced == 1


def add_prices_of(model: str, **usd_per_million: str) -> None:
    with transaction() as connection:
        rows = a_list(model, source="a contract", **usd_per_million)
        add_prices(connection, rows, "test")


def test_a_row_of_litellm_keeps_its_spend_to_compare_alone() -> None:
    row = {
        "request_id": "l-1",
        "startTime": "2026-06-01T10:00:00+00:00",
        "endTime": "2026-06-01T10:00:01.500000+00:00",
        "spend": 0.0,
        "model": "gpt-4o",
        "custom_llm_provider": "openai",
        "prompt_tokens": 1,
        "completion_tokens": 1,
        "cache_hit": "False",
        "metadata": json.dumps(
            {"usage_object": {"prompt_tokens": 90, "completion_tokens": 10, "cache_creation_input_tokens": 40}}
        ),
    }
    read = read_litellm(row)
    assert tokens(read) == {"input": 50, "cache_write": 40, "output": 10}
    assert (read["latency_ms"], read["reported_cost"], "cost" in read) == (1500.0, 0.0, False)
    assert read_litellm(row | {"cache_hit": "True"})["cost"] == 0


def test_langfuse_spans_are_no_requests_and_unknown_classes_are_refused() -> None:
    generation = {
        "id": "g-1",
        "type": "GENERATION",
        "startTime": "2026-06-01T10:00:00Z",
        "endTime": "2026-06-01T10:00:02Z",
        "model": "gpt-4o",
        "promptName": "answer",
        "promptVersion": 3,
        "usageDetails": {"input": 5, "input_cached_tokens": 2, "output": 1, "total": 8},
    }
    assert read_langfuse(generation | {"type": "SPAN"}) is None
    read = read_langfuse(generation)
    assert read is not None
    assert (tokens(read), read["prompt_version"], read["latency_ms"]) == (
        {"input": 5, "cached": 2, "output": 1},
        "answer@3",
        2000.0,
    )
    with pytest.raises(ValueError, match="no class of tokens"):
        read_langfuse(generation | {"usageDetails": {"inputs": 5}})


def a_span(number: int, parent: str | None = None, **attributes: Any) -> dict[str, Any]:
    kinds = {int: "intValue", str: "stringValue"}
    return {
        "traceId": "0af7651916cd43dd8448eb211c80319c",
        "spanId": f"{number:016x}",
        "parentSpanId": parent or "",
        "name": f"step {number}",
        "kind": 3,
        "startTimeUnixNano": str(1_780_000_000_000_000_000 + number * 1_000_000),
        "endTimeUnixNano": str(1_780_000_000_450_000_000),
        "attributes": [{"key": name, "value": {kinds[type(value)]: value}} for name, value in attributes.items()],
        "status": {},
    }


@pytest.mark.usefixtures("store")
def test_spans_land_as_a_trace_and_calls_of_models_as_requests(tmp_path: Path) -> None:
    call: dict[str, Any] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.provider.name": "openai",
        "gen_ai.usage.input_tokens": 1200,
        "gen_ai.usage.output_tokens": 100,
        "gen_ai.input.messages": "my name is Jane",
        "user.id": "jane",
        "note": "jane@example.com",
    }
    export = {
        "resourceSpans": [
            {
                "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "support"}}]},
                "scopeSpans": [{"spans": [a_span(1), a_span(2, f"{1:016x}", **call), a_span(3, **call)]}],
            }
        ]
    }
    path = a_file(tmp_path, [export, {"spans": []}])
    batch = ingested(path, format="otlp")
    assert (batch.counts.rows, batch.counts.landed, batch.counts.skipped, batch.counts.spans) == (4, 2, 1, 3)
    assert [row.line for row in waiting()] == [2]
    first, _ = facts("feature, model, input_tokens, latency_ms, trace_id, span_id, subject, cost")
    assert (first.feature, first.model, first.input_tokens, first.latency_ms) == ("support", "gpt-4o", 1200, 448.0)
    assert first.cost > Decimal(0)
    with transaction() as connection:
        spans = connection.execute(text("SELECT * FROM spans ORDER BY at")).all()
    assert [(row.name, row.kind, row.status) for row in spans] == [(f"step {n}", "client", "unset") for n in (1, 2, 3)]
    assert (spans[1].parent_id, spans[1].trace_id) == (spans[0].span_id, first.trace_id)
    assert spans[1].attributes["note"] == "[email]"
    assert "jane" not in str(spans).casefold()
    again = ingested(path, format="otlp")
    assert (again.counts.landed, again.counts.duplicates, again.counts.spans) == (0, 2, 0)
