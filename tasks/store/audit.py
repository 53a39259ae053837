"""The audit log in the store: entries are added, numbered and chained by the database, whoever writes them.

Write an entry last in a transaction: it holds the end of the chain until that commits, and all others wait for it.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, Row, text

from evaluations.audit import AuditEntry, Verified, verify

AT_ONCE = 5_000


def record(
    connection: Connection,
    *,
    action: str,
    target: str,
    actor: str,
    why: str = "",
    facts: Mapping[str, Any] | None = None,
    feature: str | None = None,
    environment: str | None = None,
) -> None:
    """Add a decision. `target` is kind:id; `facts` are plain JSON, without secrets and without what users said."""
    connection.execute(
        text("""
            INSERT INTO audit_log (action, target, feature, environment, why, facts, actor)
            VALUES (:action, :target, :feature, :environment, :why, CAST(:facts AS jsonb), :actor)
        """),
        {
            "action": action,
            "target": target,
            "feature": feature,
            "environment": environment,
            "why": why,
            "facts": json.dumps(dict(facts or {})),
            "actor": actor,
        },
    )


def entries(
    connection: Connection,
    *,
    feature: str | None = None,
    target: str | None = None,
    actor: str | None = None,
    limit: int = 50,
) -> list[AuditEntry]:
    """Decisions, the latest first."""
    rows = connection.execute(
        text("""
            SELECT *, facts::text AS facts_text FROM audit_log
            WHERE (CAST(:feature AS text) IS NULL OR feature = :feature)
              AND (CAST(:target AS text) IS NULL OR target = :target)
              AND (CAST(:actor AS text) IS NULL OR actor = :actor)
            ORDER BY seq DESC LIMIT :limit
        """),
        {"feature": feature, "target": target, "actor": actor, "limit": limit},
    )
    return [_entry(row) for row in rows]


def verify_chain(connection: Connection, known: str | None = None) -> Verified:
    """Walk along the whole chain; the first entry that is not as it was written is named.

    The transaction has to begin with this: all of it is read as of one moment, while others go on writing.
    """
    connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
    head = connection.execute(text("SELECT seq, hash FROM audit_heads")).one_or_none()
    end = (0, "") if head is None else (head.seq, head.hash)
    return verify(_all(connection), end=end, known=known)


def _all(connection: Connection) -> Iterator[AuditEntry]:
    rows = connection.execution_options(yield_per=AT_ONCE).execute(
        text("SELECT *, facts::text AS facts_text FROM audit_log ORDER BY seq")
    )
    return map(_entry, rows)


def _entry(row: Row[Any]) -> AuditEntry:
    return AuditEntry(
        seq=row.seq,
        at=row.recorded_at,
        actor=row.actor,
        action=row.action,
        target=row.target,
        feature=row.feature,
        environment=row.environment,
        why=row.why,
        facts=row.facts,
        facts_text=row.facts_text,
        previous_hash=row.previous_hash,
        hash=row.hash,
    )
