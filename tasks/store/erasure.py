"""Erasure: everything that is kept of one person, gone in the caller's transaction."""

from dataclasses import dataclass
from datetime import date

from sqlalchemy import Connection, text


@dataclass(frozen=True, slots=True, kw_only=True)
class Erased:
    """What was removed."""

    request_ids: tuple[int, ...]
    spans: int
    quarantined: int
    by_day: dict[date, int]
    """Requests of each day of the platform's time zone."""


def erase(connection: Connection, pseudonym: bytes, *, marker: str, named: str, timezone: str) -> Erased:
    """Remove a person's requests, the spans of their traces and what waits of them in quarantine.

    Requests that name nobody go too when they share a trace, or the ticket of their source, with one of the person's.
    `marker` is the pseudonym as quarantine writes it; `named` is the person's id as the logs have it, empty where it
    is not known. The keys of requests stay, so that an old file does not bring them back; one that contains `named`
    becomes a hash.
    """
    given = {"subject": pseudonym, "marker": marker, "named": named, "timezone": timezone}
    connection.execute(text(_HERS), given)
    spans = connection.execute(text(_SPANS), given).rowcount
    days = connection.execute(text(_REQUESTS), given).all()
    ids = connection.execute(text("SELECT id FROM erased_requests ORDER BY id")).scalars().all()
    quarantined = connection.execute(text(_QUARANTINE), given).rowcount
    connection.execute(text("DELETE FROM usage_subjects WHERE subject = :subject"), given)
    if named:
        connection.execute(text(_KEYS), given)
    return Erased(
        request_ids=tuple(ids), spans=spans, quarantined=quarantined, by_day={row.day: row.requests for row in days}
    )


def record(connection: Connection, erased: Erased, *, reason: str, actor: str) -> int:
    """Write down that somebody was forgotten; gives the record's id."""
    made: int = connection.execute(
        text("""
            INSERT INTO erasures (reason, requests, spans, quarantined, days, actor)
            VALUES (:reason, :requests, :spans, :quarantined, :days, :actor) RETURNING id
        """),
        {
            "reason": reason,
            "requests": len(erased.request_ids),
            "spans": erased.spans,
            "quarantined": erased.quarantined,
            "days": len(erased.by_day),
            "actor": actor,
        },
    ).scalar_one()
    return made


_HERS = """
    CREATE TEMPORARY TABLE erased_requests ON COMMIT DROP AS
    WITH hers AS (SELECT id, at, source, ticket, trace_id FROM requests WHERE subject = :subject)
    SELECT id, at, trace_id FROM hers
    UNION SELECT r.id, r.at, r.trace_id FROM requests r JOIN hers USING (trace_id)
        WHERE r.subject IS NULL AND r.trace_id IS NOT NULL
    UNION SELECT r.id, r.at, r.trace_id FROM requests r JOIN hers USING (source, ticket)
        WHERE r.subject IS NULL AND r.ticket IS NOT NULL
"""
# What waits may belong to a trace of which no request landed.
_SPANS = """
    DELETE FROM spans WHERE trace_id IN (
        SELECT trace_id FROM erased_requests
        UNION SELECT CAST(content AS jsonb) ->> 'trace_id' FROM quarantine WHERE strpos(content, :marker) > 0)
"""
_REQUESTS = """
    WITH gone AS (
        DELETE FROM requests r USING erased_requests e WHERE r.id = e.id AND r.at = e.at RETURNING r.at)
    SELECT CAST(at AT TIME ZONE :timezone AS date) AS day, count(*) AS requests FROM gone GROUP BY 1 ORDER BY 1
"""
_QUARANTINE = """
    UPDATE quarantine SET content = NULL, external_id = NULL, reason = 'erased: whom it was about was forgotten',
        state = 'dismissed', resolved_at = now()
    WHERE strpos(content, :marker) > 0 OR (:named <> '' AND (
        strpos(lower(external_id), lower(:named)) > 0 OR strpos(lower(reason), lower(:named)) > 0))
"""
_KEYS = """
    UPDATE request_keys SET external_id = 'erased:' || encode(sha256(convert_to(external_id, 'UTF8')), 'hex')
    WHERE id IN (SELECT id FROM erased_requests) AND strpos(lower(external_id), lower(:named)) > 0
"""
