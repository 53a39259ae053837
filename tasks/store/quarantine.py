"""Quarantine: rows that could not land, their reasons and their way back."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, text

from evaluations.errors import AssayError

QuarantineState = Literal["waiting", "landed", "dismissed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A row that cannot land, as it is to be kept."""

    line: int
    external_id: str | None
    reason: str
    record: Mapping[str, Any] | None
    """Scrubbed, in the names of our own format; None where it is no record or could not be scrubbed."""
    content_hash: str
    """Keyed, in hex, of the row as it came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined:
    """A row in quarantine."""

    id: int
    batch_id: int
    file: str
    source: str
    line: int
    external_id: str | None
    reason: str
    record: dict[str, Any] | None
    seen: int
    state: QuarantineState
    recorded_at: datetime

    @property
    def place(self) -> str:
        return f"{self.file}, line {self.line:,}"


def quarantine(connection: Connection, batch_id: int, source: str, rows: Sequence[Refused], actor: str) -> None:
    """Keep rows that cannot land. The same row that comes again is counted, and stands there once.

    One that was dealt with stays so: what was mended, dismissed or erased does not come back with its file.
    """
    if not rows:
        return
    distinct = {row.content_hash: row for row in rows}
    connection.execute(
        text("""
            INSERT INTO quarantine (batch_id, source, line, external_id, reason, content, content_hash, actor)
            SELECT :batch_id, :source, line, external_id, reason, content, content_hash, :actor FROM unnest(
                CAST(:line AS bigint[]), CAST(:external_id AS text[]), CAST(:reason AS text[]),
                CAST(:content AS text[]), CAST(:content_hash AS text[]))
                AS given(line, external_id, reason, content, content_hash)
            ORDER BY content_hash COLLATE "C"
            ON CONFLICT (source, content_hash) DO UPDATE SET batch_id = excluded.batch_id, line = excluded.line,
                seen = quarantine.seen + 1
        """),
        {
            "batch_id": batch_id,
            "source": source,
            "actor": actor,
            "line": [row.line for row in distinct.values()],
            "external_id": [row.external_id for row in distinct.values()],
            "reason": [row.reason for row in distinct.values()],
            "content": [None if row.record is None else json.dumps(row.record) for row in distinct.values()],
            "content_hash": list(distinct),
        },
    )


def quarantined(
    connection: Connection,
    *,
    state: QuarantineState | None = "waiting",
    ids: Sequence[int] = (),
    limit: int | None = None,
) -> list[Quarantined]:
    """Rows in quarantine, oldest first: those of a state, or of these ids."""
    rows = connection.execute(
        text(f"""
            {_ROWS} WHERE (CAST(:state AS text) IS NULL OR q.state = :state)
                AND (cardinality(CAST(:ids AS bigint[])) = 0 OR q.id = ANY(:ids))
            ORDER BY q.batch_id, q.line, q.id LIMIT :limit
        """),
        {"state": state, "ids": list(ids), "limit": limit},
    ).all()
    found = [_of(row) for row in rows]
    if lacking := set(ids) - {row.id for row in found}:
        said = ", ".join(map(str, sorted(lacking)))
        raise AssayError(f"no row {said} waits in quarantine; `assay quarantine list` shows those that do.")
    return found


def reasons(connection: Connection) -> list[tuple[str, int]]:
    """How many rows wait for each reason, the commonest first; figures within reasons are taken as one."""
    rows = connection.execute(
        text("""
            SELECT regexp_replace(reason, '[0-9][0-9.,TZ:-]*|''[^'']*''', '…', 'g') AS kind, count(*) AS n
            FROM quarantine WHERE state = 'waiting' GROUP BY 1 ORDER BY n DESC, kind
        """)
    )
    return [(row.kind, row.n) for row in rows]


def resolve(connection: Connection, ids: Sequence[int], state: QuarantineState) -> None:
    """Say what became of rows that waited."""
    connection.execute(
        text("UPDATE quarantine SET state = :state, resolved_at = now() WHERE id = ANY(:ids) AND state = 'waiting'"),
        {"ids": list(ids), "state": state},
    )


def rewrite(connection: Connection, row_id: int, reason: str, record: Mapping[str, Any] | None) -> None:
    """Give a row that waits the reason and the content that it has now: it was mended, or tried again and failed."""
    external_id = None if record is None else record.get("external_id")
    connection.execute(
        text("""
            UPDATE quarantine SET reason = :reason, content = :content, external_id = coalesce(:name, external_id)
            WHERE id = :id AND state = 'waiting'
        """),
        {
            "id": row_id,
            "reason": reason,
            "content": None if record is None else json.dumps(record),
            "name": None if external_id in (None, "") else str(external_id)[:512],
        },
    )


def count_waiting(connection: Connection) -> int:
    """How many rows wait."""
    found: int = connection.execute(text("SELECT count(*) FROM quarantine WHERE state = 'waiting'")).scalar_one()
    return found


_ROWS = """
    SELECT q.id, q.batch_id, b.file, q.source, q.line, q.external_id, q.reason, q.content, q.seen, q.state,
        q.recorded_at
    FROM quarantine q JOIN ingest_batches b ON b.id = q.batch_id
"""


def _of(row: Any) -> Quarantined:
    return Quarantined(
        id=row.id,
        batch_id=row.batch_id,
        file=row.file,
        source=row.source,
        line=row.line,
        external_id=row.external_id,
        reason=row.reason,
        record=None if row.content is None else json.loads(row.content),
        seen=row.seen,
        state=row.state,
        recorded_at=row.recorded_at,
    )
