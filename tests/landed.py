"""Requests put into the store past the code that ingests them: each with its mark, in the caller's transaction."""

import itertools
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from sqlalchemy import Connection, text

from evaluations.rollups import DIMENSIONS, TOKENS
from tasks.store.partitions import ensure_partitions

_numbers = itertools.count(1)
MORNING = datetime(2026, 5, 4, 9, 30, tzinfo=UTC)
COLUMNS = (
    *("id", "at", "batch_id", "source", "external_id", *DIMENSIONS, "experiment", "variant", "subject"),
    *("status", "latency_ms", *TOKENS, "usage_known", "cache_hit", "cost", "cost_source"),
    *("rating", "quality", "confidence"),
    *("ticket", "resolution", "resolution_s", "handled_by", "escalation_reason", "reopened", "sentiment"),
)


def a_request(**given: Any) -> dict[str, Any]:
    """A priced and successful request; only what matters to a test has to be given."""
    number = next(_numbers)
    made = {
        **dict.fromkeys((*COLUMNS, *DIMENSIONS)),
        **dict.fromkeys(TOKENS, 0),
        "id": number,
        "at": MORNING,
        "batch_id": 1,
        "source": "test",
        "external_id": f"r-{number}",
        "feature": "chatbot",
        "model": "gpt-4o",
        "status": "success",
        "latency_ms": 100.0,
        "input_tokens": 1000,
        "output_tokens": 100,
        "usage_known": True,
        "cost": Decimal("0.0035"),
        **given,
    }
    return {**made, "cost_source": None if made["cost"] is None else "stated"}


def land(connection: Connection, requests: Sequence[Mapping[str, Any]], *, timezone: str = "UTC") -> None:
    """Insert requests and mark their days, as an ingest does it."""
    ensure_partitions(connection, "requests", {each["at"].astimezone(UTC).date() for each in requests})
    connection.execute(
        text(f"INSERT INTO requests ({', '.join(COLUMNS)}) VALUES ({', '.join(f':{each}' for each in COLUMNS)})"),
        [dict(each) for each in requests],
    )
    mark(connection, *(each["at"].astimezone(ZoneInfo(timezone)).date() for each in requests))


def mark(connection: Connection, *days: date, cause: str = "ingest") -> None:
    for day in sorted(set(days)):
        connection.execute(
            text("INSERT INTO rollup_dirty (day, cause, rows, actor) VALUES (:day, :cause, :rows, 'test')"),
            {"day": day, "cause": cause, "rows": days.count(day)},
        )


def varied(random: np.random.Generator, count: int, first: date, days: int = 1) -> list[dict[str, Any]]:
    """Requests of many kinds over some days: every dimension sometimes unknown, as every measure."""

    def one_of(*values: Any) -> Any:
        return values[int(random.integers(len(values)))]

    def outcome() -> dict[str, Any]:
        """Of every second request nobody says anything."""
        if random.random() < 0.5:
            return {}
        return {
            "ticket": one_of(None, None, "K1", "K2", "K3"),
            "resolution": one_of("resolved", "resolved", "escalated_human", "abandoned", "pending", None),
            "resolution_s": one_of(None, float(random.integers(100_000))),
            "handled_by": one_of(None, "ai", "human"),
            "escalation_reason": one_of(None, None, "policy"),
            "reopened": one_of(None, None, False, True),
            "sentiment": one_of(None, float(random.random())),
        }

    start = datetime(first.year, first.month, first.day, tzinfo=UTC)
    return [
        a_request(
            at=start + timedelta(microseconds=int(random.integers(days * 86_400_000_000))),
            feature=one_of("chatbot", "search"),
            category=one_of("billing", "shipping", None),
            prompt_version=one_of("1.0.0", "1.1.0", None),
            model=one_of("gpt-4o", "gpt-4o-mini", None),
            provider=one_of("openai", None),
            project=one_of("support", None),
            environment=one_of("production", "staging"),
            region=one_of("eu", "us", None),
            status=one_of("success", "success", "error", None),
            latency_ms=one_of(None, float(random.lognormal(6, 1)), float(random.lognormal(6, 1))),
            **{token: int(random.integers(0, 5000)) for token in TOKENS},
            usage_known=one_of(True, True, False),
            cache_hit=one_of(True, False, None),
            cost=one_of(None, Decimal(int(random.integers(10**12))).scaleb(-12)),
            subject=one_of(None, bytes([int(random.integers(4))]) * 16),
            rating=one_of(None, int(random.integers(1, 6))),
            quality=one_of(None, float(random.random())),
            confidence=one_of(None, float(random.random())),
            **outcome(),
        )
        for _ in range(count)
    ]
