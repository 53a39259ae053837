"""Recorded traffic of real services, from its file to its rollups, against the figures of separate scripts."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from tasks.ingest.formats import Adaptation
from tasks.rollups import roll_up_days
from tasks.store.database import transaction
from tests.evaluations.scoring.test_real_data import DATA, expected_of, rows
from tests.tasks.ingest.builders import a_file, ingested

pytestmark = pytest.mark.usefixtures("store")
BLOCK = 512
BEGAN = datetime(2026, 6, 1, tzinfo=UTC)
"""Mooncake's trace has no date; the prices that it was reckoned with hold on this one."""


def asked(question: str) -> Any:
    with transaction() as connection:
        return connection.execute(text(question)).one()


def by_minute() -> list[tuple[Any, ...]]:
    """Requests, prompt tokens, cached ones and output of each minute."""
    with transaction() as connection:
        found = connection.execute(
            text("""
                SELECT date_trunc('minute', at AT TIME ZONE 'UTC') AS minute, count(*),
                    sum(input_tokens + cached_tokens), sum(cached_tokens), sum(output_tokens)
                FROM requests GROUP BY 1 ORDER BY 1
            """)
        )
        return [tuple(row) for row in found]


def test_an_hour_of_microsofts_traffic_lands_rolls_up_and_costs_what_it_should() -> None:
    expected = expected_of("azure_llm_trace")
    how = Adaptation(
        renamed={"at": "TIMESTAMP", "input_tokens": "ContextTokens", "output_tokens": "GeneratedTokens"},
        given={"feature": "conversation", "provider": "openai", "model": "gpt-4o"},
    )
    path = DATA / "azure_llm_trace" / "conv.csv.gz"
    batch = ingested(path, how)
    assert (batch.counts.landed, batch.counts.quarantined) == (expected["requests"], 0)
    minutes = [(f"{minute:%H:%M}", n, prompt, output) for minute, n, prompt, _, output in by_minute()]
    assert minutes == [tuple(each) for each in expected["per_minute"]]
    row = asked("""
        SELECT to_char(min(at), 'YYYY-MM-DD"T"HH24:MI:SS.US') AS first,
            to_char(max(at), 'YYYY-MM-DD"T"HH24:MI:SS.US') AS last,
            percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY input_tokens) AS prompts
        FROM requests
    """)
    assert (row.first, row.last) == (expected["first"], expected["last"])
    assert row.prompts == [expected["input_tokens_per_request"][share] for share in ("p50", "p95", "p99")]

    roll_up_days([date(2023, 11, 16)])
    day = asked("SELECT requests, input_tokens, output_tokens, cost, priced FROM usage_daily")
    assert (day.requests, day.priced) == (expected["requests"],) * 2
    assert (day.input_tokens, day.output_tokens) == (expected["input_tokens"], expected["output_tokens"])
    assert day.cost == Decimal(expected["cost"]["gpt-4o"]["total_usd"])
    with transaction() as connection:
        hours = connection.execute(text("SELECT to_char(hour, 'HH24'), requests FROM usage_hourly ORDER BY hour"))
        assert dict(map(tuple, hours)) == _hourly(expected["per_minute"])
    assert ingested(path, how).counts.duplicates == expected["requests"]


def _hourly(minutes: Sequence[Sequence[Any]]) -> dict[str, int]:
    hours: Counter[str] = Counter()
    for minute, requests, *_ in minutes:
        hours[minute[:2]] += requests
    return dict(hours)


def with_cached_tokens() -> Iterator[dict[str, Any]]:
    """Mooncake's requests, their cached tokens by its rule: the leading blocks that were seen before, for ever."""
    seen: set[int] = set()
    for number, row in enumerate(rows("mooncake_trace/synthetic_trace.jsonl.gz")):
        hits = next((n for n, block in enumerate(row["hash_ids"]) if block not in seen), len(row["hash_ids"]))
        seen.update(row["hash_ids"])
        cached = min(BLOCK * hits, row["input_length"])
        yield {
            "external_id": f"mooncake-{number}",
            "at": (BEGAN + timedelta(milliseconds=row["timestamp"])).isoformat(),
            "feature": "assistant",
            "provider": "openai",
            "model": "gpt-4o",
            "input_tokens": row["input_length"] - cached,
            "cached_tokens": cached,
            "output_tokens": row["output_length"],
        }


def test_mooncakes_shared_prefixes_land_roll_up_and_cost_what_they_should(tmp_path: Path) -> None:
    expected = expected_of("mooncake_trace")
    assert ingested(a_file(tmp_path, with_cached_tokens())).counts.landed == expected["requests"]
    minutes = [tuple(each[1:]) for each in expected["per_minute"]]
    assert [tuple(map(int, each[1:])) for each in by_minute()] == minutes

    roll_up_days([BEGAN.date()])
    day = asked("SELECT * FROM usage_daily")
    assert (day.requests, day.output_tokens) == (expected["requests"], expected["output_tokens"])
    assert (day.input_tokens + day.cached_tokens, day.cached_tokens) == (
        expected["input_tokens"],
        expected["cached_input_tokens"],
    )
    assert day.cost == Decimal(expected["usd_with_cache"])
    row = asked("SELECT count(*) FILTER (WHERE cached_tokens > 0) AS hits, sum(cost) AS cost FROM requests")
    assert (row.hits, row.cost) == (expected["requests_with_any_hit"], day.cost)
    price = {name: Decimal(each) for name, each in expected["usd_per_token"].items()}
    without = expected["input_tokens"] * price["input"] + expected["output_tokens"] * price["output"]
    assert without == Decimal(expected["usd_without_cache"])
    assert round(1 - day.cost / without, 6) == Decimal(str(expected["saving_share"]))
