"""Ingest batches: which file was read when and by whom, and what became of its rows; and the platform's own row."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, text

BatchStatus = Literal["running", "done", "partial", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """What holds for the whole installation."""

    timezone: ZoneInfo
    """Whose midnights part the days of all rollups."""
    subject_key: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What became of rows: landed + duplicates + quarantined + skipped is rows."""

    rows: int = 0
    landed: int = 0
    duplicates: int = 0
    quarantined: int = 0
    skipped: int = 0
    unpriced: int = 0
    spans: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One reading of one file."""

    id: int
    file: str
    format: str
    source: str
    status: str
    stop_reason: str
    counts: Counts
    scrubbed: Mapping[str, int]
    """Kind of personal data -> how often it was taken out."""
    actor: str
    recorded_at: datetime


_COUNTS = tuple(Counts.__dataclass_fields__)


def platform(connection: Connection, actor: str) -> Platform:
    """The platform's row, made with UTC and a new key where there is none."""
    connection.execute(
        text("""
            INSERT INTO platform (timezone, subject_key, actor)
            SELECT 'UTC', :key, :actor WHERE NOT EXISTS (SELECT 1 FROM platform) ON CONFLICT DO NOTHING
        """),
        {"key": secrets.token_bytes(32), "actor": actor},
    )
    row = connection.execute(text("SELECT timezone, subject_key FROM platform")).one()
    return Platform(timezone=ZoneInfo(row.timezone), subject_key=bytes(row.subject_key))


def open_batch(connection: Connection, *, file: str, format: str, source: str, sample_data: bool, actor: str) -> int:
    """Write down that a file is being read; gives the batch's id."""
    made: int = connection.execute(
        text("""
            INSERT INTO ingest_batches (file, format, source, status, sample_data, actor)
            VALUES (:file, :format, :source, 'running', :sample_data, :actor) RETURNING id
        """),
        {"file": file, "format": format, "source": source, "sample_data": sample_data, "actor": actor},
    ).scalar_one()
    return made


def count_on(connection: Connection, batch_id: int, more: Counts, scrubbed: Mapping[str, int]) -> None:
    """Add to a batch's counts, in the transaction that wrote what is counted."""
    added = ", ".join(f"{name} = {name} + :{name}" for name in _COUNTS)
    connection.execute(
        text(f"""
            UPDATE ingest_batches SET {added}, scrubbed = (
                SELECT coalesce(jsonb_object_agg(kind, n), '{{}}') FROM (
                    SELECT kind, sum(CAST(n AS bigint)) AS n
                    FROM (SELECT * FROM jsonb_each_text(scrubbed)
                          UNION ALL SELECT * FROM jsonb_each_text(CAST(:scrubbed AS jsonb))) AS each(kind, n)
                    GROUP BY kind) AS summed)
            WHERE id = :id
        """),
        {"id": batch_id, "scrubbed": json.dumps(dict(scrubbed)), **{name: getattr(more, name) for name in _COUNTS}},
    )


def close_batch(connection: Connection, batch_id: int, status: BatchStatus, stop_reason: str = "") -> None:
    connection.execute(
        text("""
            UPDATE ingest_batches SET status = :status, stop_reason = :reason, finished_at = now() WHERE id = :id
        """),
        {"id": batch_id, "status": status, "reason": stop_reason},
    )


def batch_of(connection: Connection, batch_id: int) -> Batch:
    """A batch by its id."""
    row = connection.execute(text("SELECT * FROM ingest_batches WHERE id = :id"), {"id": batch_id}).one()
    return Batch(
        id=row.id,
        file=row.file,
        format=row.format,
        source=row.source,
        status=row.status,
        stop_reason=row.stop_reason,
        counts=Counts(**{name: getattr(row, name) for name in _COUNTS}),
        scrubbed=row.scrubbed,
        actor=row.actor,
        recorded_at=row.recorded_at,
    )
