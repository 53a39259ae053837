"""Requests looked up in a real store, and their pages written: numbers held against queries of their own."""

import csv
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from evaluations.errors import AssayError
from tasks.inspecting import inspect_request, list_requests
from tasks.publishing import publish_request
from tasks.rollups import roll_up_days
from tasks.settings import settings
from tasks.store.database import transaction
from tests.tasks.ingest.builders import a_file, a_record, ingested, one

pytestmark = pytest.mark.usefixtures("store")

TRACE = "0af7651916cd43dd8448eb211c80319c"
BEGIN_NS = 1_780_000_000_000_000_000


def a_step(
    number: int, name: str, start_ms: float, end_ms: float, parent: int | None = 1, **attributes: Any
) -> dict[str, Any]:
    kinds = {int: "intValue", str: "stringValue", float: "doubleValue"}
    return {
        "traceId": TRACE,
        "spanId": f"{number:016x}",
        "parentSpanId": "" if parent is None else f"{parent:016x}",
        "name": name,
        "kind": 3,
        "startTimeUnixNano": str(BEGIN_NS + int(start_ms * 1e6)),
        "endTimeUnixNano": str(BEGIN_NS + int(end_ms * 1e6)),
        "attributes": [{"key": key, "value": {kinds[type(value)]: value}} for key, value in attributes.items()],
        "status": {},
    }


CALL: Mapping[str, Any] = {
    "gen_ai.operation.name": "chat",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.temperature": 0.2,
    "gen_ai.response.time_to_first_chunk": 0.125,
    "gen_ai.usage.input_tokens": 1000,
    "gen_ai.usage.cache_read.input_tokens": 400,
    "gen_ai.usage.output_tokens": 200,
}


def traced(folder: Path) -> str:
    """The example of 5 + 420 + 15 + 10 ms taken in from spans; gives the id of its request at its source."""
    spans = [
        a_step(1, "request", 0, 450, None),
        a_step(2, "prompt_construction", 0, 5),
        a_step(3, "model_call", 5, 425, **CALL),
        a_step(4, "validation", 425, 440, valid="true", confidence=0.95),
        a_step(5, "post_processing", 440, 450),
    ]
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "support"}}]}
    export = {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": spans}]}]}
    ingested(a_file(folder, [export], "spans.jsonl"), format="otlp")
    return f"{TRACE}:{3:016x}"


def test_a_request_is_found_with_its_steps_and_their_times(tmp_path: Path) -> None:
    found = inspect_request(traced(tmp_path))
    assert [(step.span.name, step.took_us // 1000, step.path_us // 1000) for step in found.trace.steps] == [
        ("request", 450, 0),
        ("prompt_construction", 5, 5),
        ("model_call", 420, 420),
        ("validation", 15, 15),
        ("post_processing", 10, 10),
    ]
    assert found.own_step is not None
    assert found.own_step.span.name == "model_call"
    assert found.own_step.span.first_token_ms == 125.0
    assert {work: us // 1000 for work, us in found.trace.by_work().items() if us} == {"model": 420, "own": 30}
    request = found.request
    assert (request.feature, request.latency_ms, request.first_token_ms) == ("support", 420.0, 125.0)


def test_the_cost_by_class_adds_up_to_the_last_digit_and_names_the_dated_price(tmp_path: Path) -> None:
    found = inspect_request(traced(tmp_path))
    lines = {line.token_class: line for line in found.cost_lines()}
    assert {token_class: line.tokens for token_class, line in lines.items()} == {
        "input": 600,
        "cached": 400,
        "output": 200,
    }
    with transaction() as connection:
        stored = connection.execute(text("SELECT cost, price_set_id FROM requests")).one()
        prices = connection.execute(
            text("""
                SELECT key, CAST(value -> 0 ->> 1 AS numeric) AS price
                FROM price_sets, jsonb_each(prices) WHERE id = :id
            """),
            {"id": stored.price_set_id},
        ).all()
    by_class = {row.key: row.price for row in prices}
    assert {token_class: line.cost for token_class, line in lines.items()} == {
        token_class: by_class[token_class] * line.tokens for token_class, line in lines.items()
    }
    assert sum(line.cost or 0 for line in lines.values()) == stored.cost == found.request.cost
    for line in lines.values():
        assert line.row is not None
        assert (line.row.model, line.row.per_token) == ("openai/gpt-4o", by_class[line.token_class])
        assert line.row.holds_on(found.request.at.date())


def test_ids_of_ours_of_the_source_and_of_the_trace_lead_to_the_same_request(tmp_path: Path) -> None:
    external = traced(tmp_path)
    number = one("SELECT id FROM requests")
    for said in (external, str(number), f"id:{number}", TRACE, f"  {external}\n"):
        assert inspect_request(said).request.external_id == external


def test_an_id_that_names_several_requests_lists_them(tmp_path: Path) -> None:
    ingested(a_file(tmp_path, [a_record(1, external_id="same")]), source="here")
    ingested(a_file(tmp_path, [a_record(1, external_id="same", feature="search")], "b.jsonl"), source="there")
    with pytest.raises(
        AssayError, match=r"'same' names 2 requests; give one of id:\d+ \(chat, here, 2026-06-01 10:00\); "
    ) as told:
        inspect_request("same")
    second = str(told.value).split("id:")[2].split()[0]
    assert inspect_request(f"id:{second}").request.source == "there"


def test_a_number_that_is_an_id_of_ours_and_of_a_source_is_not_guessed(tmp_path: Path) -> None:
    ingested(a_file(tmp_path, [a_record(1)]))
    number = one("SELECT id FROM requests")
    ingested(a_file(tmp_path, [a_record(2, external_id=str(number))], "b.jsonl"))
    with pytest.raises(AssayError, match="names 2 requests"):
        inspect_request(str(number))
    assert inspect_request(f"id:{number}").request.external_id == "r-1"


def test_an_id_that_nobody_knows_is_answered_with_what_would_do(tmp_path: Path) -> None:
    ingested(a_file(tmp_path, [a_record(11), a_record(12)]))
    for said, told in (
        ("r-1", "did you mean 'r-11', 'r-12'?"),
        ("nothing like it", "no request has the id 'nothing like it'. `assay requests list` shows them."),
        ("id:abc", "'id:abc' is no id of ours: those are numbers"),
        ("", "no request has the id ''."),
        ("99999999999999999999999", "no request has the id"),
        ("%", "no request has the id '%'. "),
    ):
        with pytest.raises(AssayError) as problem:
            inspect_request(said)
        assert told in str(problem.value)


def test_a_request_without_a_trace_or_a_price_says_so(tmp_path: Path) -> None:
    ingested(a_file(tmp_path, [a_record(1, model="nobody-knows", latency_ms=900.0, processing_ms=600.0)]))
    found = inspect_request("r-1")
    assert (found.trace.steps, found.price, found.request.cost, found.neighbours) == ((), None, None, ())
    assert [(line.token_class, line.tokens, line.cost) for line in found.cost_lines()] == [
        ("input", 1000, None),
        ("output", 100, None),
    ]


def test_a_stated_cost_is_not_split_by_prices(tmp_path: Path) -> None:
    ingested(a_file(tmp_path, [a_record(1, cost="0.25")]))
    found = inspect_request("r-1")
    assert found.request.cost == Decimal("0.25")
    assert {line.cost for line in found.cost_lines()} == {None}


def test_the_other_requests_of_a_trace_and_the_restatements_of_the_day_come_along(tmp_path: Path) -> None:
    external = traced(tmp_path)
    roll_up_days(None)
    at = datetime.fromtimestamp(BEGIN_NS / 1e9, UTC) + timedelta(seconds=1)
    ingested(a_file(tmp_path, [a_record(1, trace_id=TRACE, at=at.isoformat())], "late.jsonl"))
    roll_up_days(None)
    found = inspect_request(external)
    assert [each.model for each in found.neighbours] == ["gpt-4o"]
    assert [(each.before.requests, each.after.requests) for each in found.restatements] == [(1, 2)]
    assert found.as_of == found.restatements[0].at


def test_a_page_and_its_twins_hold_the_same_numbers(tmp_path: Path) -> None:
    published = publish_request(traced(tmp_path))
    assert published.folder.parent == settings().reports_folder
    page = published.html.read_text()
    assert "450 ms" in page
    assert "93.3% of it in the model" in page
    known = json.loads(published.json.read_text())
    assert known["schema"] == "assay.request/1"
    assert known["trace"]["by_work_us"]["model"] == 420_000
    assert sum(Decimal(line["cost"]) for line in known["cost_by_class"]) == Decimal(known["request"]["cost"])
    rows = list(csv.DictReader(published.csv.read_text(encoding="utf-8").splitlines()))
    assert [(row["name"], row["took_ms"]) for row in rows][1:3] == [
        ("prompt_construction", "5.0"),
        ("model_call", "420.0"),
    ]
    again = {path: path.read_bytes() for path in (published.html, published.json, published.csv)}
    publish_request(TRACE)
    assert {path: path.read_bytes() for path in again} == again, "the same facts give the same bytes"


def test_requests_are_listed_by_what_they_have_in_common(tmp_path: Path) -> None:
    ingested(
        a_file(
            tmp_path,
            [
                a_record(1, at="2026-06-01T10:00:00Z", latency_ms=100, status="success"),
                a_record(2, at="2026-06-02T10:00:00Z", latency_ms=900, status="error"),
                a_record(3, at="2026-06-03T10:00:00Z", latency_ms=500, model="gpt-4o-mini", feature="search"),
                a_record(4, at="2026-06-04T10:00:00Z"),
                a_record(5, at="2026-01-01T10:00:00Z", latency_ms=9000),
            ],
        )
    )

    def ids(**given: Any) -> list[str]:
        return [line.external_id for line in list_requests(**given).lines]

    def day(number: int) -> Any:
        return datetime(2026, 6, number).date()

    assert ids() == ["r-4", "r-3", "r-2", "r-1"], "the newest first, of thirty days"
    assert ids(slowest=True) == ["r-2", "r-3", "r-1"], "those without a latency are not slow"
    assert ids(limit=2) == ["r-4", "r-3"]
    assert ids(feature="search") == ids(model="gpt-4o-mini") == ["r-3"]
    assert ids(status="error") == ["r-2"]
    assert ids(first=day(2), last=day(3)) == ["r-3", "r-2"]
    with pytest.raises(AssayError, match="did you mean 'search'"):
        ids(feature="serch")
    with pytest.raises(AssayError, match="give the earlier day first"):
        ids(first=day(3), last=day(2))


def test_a_list_of_nothing_says_what_would_fill_it() -> None:
    with pytest.raises(AssayError, match="there are no requests yet; `assay ingest FILE` takes them in"):
        list_requests()


def test_more_steps_than_are_read_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    external = traced(tmp_path)
    monkeypatch.setattr("tasks.store.request_lookup.MOST_SPANS", 3)
    found = inspect_request(external)
    assert (len(found.trace.steps), found.spans_left_out) == (3, 2)
