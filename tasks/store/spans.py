"""Spans on their way in: the steps of requests, named as OpenTelemetry names them."""

from collections.abc import Iterable

from sqlalchemy import Connection, text

from tasks.store.requests import copy

COLUMNS = (
    *("trace_id", "span_id", "at", "parent_id", "name", "kind", "duration_ms"),
    *("status", "error_type", "error_message", "attributes"),
)


def land_spans(connection: Connection, batch_id: int, rows: Iterable[bytes]) -> int:
    """Land spans that are not there yet, given as CSV in the order of `COLUMNS`; gives how many were new.

    The partitions of their weeks have to be there.
    """
    columns = ", ".join(COLUMNS)
    connection.execute(text("DROP TABLE IF EXISTS staged_spans"))
    connection.execute(
        text(f"CREATE TEMPORARY TABLE staged_spans ON COMMIT DROP AS SELECT {columns} FROM spans WITH NO DATA")
    )
    copy(connection, f"COPY staged_spans ({columns}) FROM STDIN (FORMAT csv)", rows)
    landed = connection.execute(
        text(f"""
            INSERT INTO spans (batch_id, {columns})
            SELECT DISTINCT ON (trace_id, span_id, at) :batch_id, {columns} FROM staged_spans
            ORDER BY trace_id, span_id, at ON CONFLICT DO NOTHING
        """),
        {"batch_id": batch_id},
    ).rowcount
    return int(landed)
