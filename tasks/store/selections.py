"""Selections in the store: added, never changed; the last published one of a feature is what its flag hears."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, text

if TYPE_CHECKING:
    from evaluations.model_overview import Reconsidered


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSelection:
    """What was chosen, before it is written down."""

    feature: str
    environment: str
    model: str | None
    bundle: Mapping[str, Any] | None
    published: bool
    withdrawn: bool = False
    policy: str
    policy_version: str
    explanation: Mapping[str, Any]
    as_of: date
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSelection:
    """A selection as it was written down."""

    id: int
    feature: str
    environment: str
    model: str | None
    bundle: Mapping[str, Any] | None
    published: bool
    withdrawn: bool
    policy: str
    policy_version: str
    why: str
    actor: str
    at: datetime


_COLUMNS = """id, feature, environment, model, bundle, published, withdrawn, policy, policy_version, why, actor,
    recorded_at AS at"""


def save_selection(connection: Connection, new: NewSelection, actor: str) -> StoredSelection:
    """Write a selection down."""
    row = connection.execute(
        text(f"""
            INSERT INTO selections (feature, environment, model, bundle, published, withdrawn, policy, policy_version,
                explanation, as_of, why, actor)
            VALUES (:feature, :environment, :model, CAST(:bundle AS jsonb), :published, :withdrawn, :policy,
                :policy_version, CAST(:explanation AS jsonb), :as_of, :why, :actor)
            RETURNING {_COLUMNS}
        """),
        {
            "feature": new.feature,
            "environment": new.environment,
            "model": new.model,
            "bundle": None if new.bundle is None else json.dumps(dict(new.bundle)),
            "published": new.published,
            "withdrawn": new.withdrawn,
            "policy": new.policy,
            "policy_version": new.policy_version,
            "explanation": json.dumps(dict(new.explanation)),
            "as_of": new.as_of,
            "why": new.why,
            "actor": actor,
        },
    ).one()
    return StoredSelection(**row._mapping)


def published_selections(connection: Connection, environment: str) -> dict[str, StoredSelection]:
    """By feature, what was published last and not withdrawn since."""
    rows = connection.execute(
        text(f"""
            SELECT DISTINCT ON (feature) {_COLUMNS} FROM selections
            WHERE environment = :environment AND published ORDER BY feature, id DESC
        """),
        {"environment": environment},
    )
    return {row.feature: StoredSelection(**row._mapping) for row in rows if not row.withdrawn}


def request_of(connection: Connection, selection: int) -> dict[str, Any]:
    """What was asked for when a selection was made; empty where it did not keep it."""
    found = connection.execute(
        text("SELECT explanation -> 'request' FROM selections WHERE id = :id"), {"id": selection}
    ).scalar_one()
    return dict(found or {})


def last_look(connection: Connection, selection: int) -> StoredSelection | None:
    """What was noted last when a published selection was looked at again; None when nothing ever differed."""
    row = connection.execute(
        text(f"""
            SELECT {_COLUMNS} FROM selections WHERE CAST(explanation ->> 'looks_again_at' AS bigint) = :id
            ORDER BY id DESC LIMIT 1
        """),
        {"id": selection},
    ).one_or_none()
    return None if row is None else StoredSelection(**row._mapping)


def reconsidered(connection: Connection) -> "list[Reconsidered]":
    """Published selections whose policy would choose otherwise, as the last look at each of them found."""
    from evaluations.model_overview import Reconsidered  # with numpy, which a rollback does not wait for

    rows = connection.execute(
        text("""
            SELECT p.feature, p.environment, p.model AS published, l.model AS now, l.recorded_at AS at
            FROM (SELECT DISTINCT ON (feature, environment) * FROM selections
                  WHERE published ORDER BY feature, environment, id DESC) AS p
            CROSS JOIN LATERAL (
                SELECT model, recorded_at FROM selections
                WHERE feature = p.feature AND environment = p.environment
                  AND CAST(explanation ->> 'looks_again_at' AS bigint) = p.id
                ORDER BY id DESC LIMIT 1) AS l
            WHERE NOT p.withdrawn AND l.model IS DISTINCT FROM p.model ORDER BY p.feature, p.environment
        """)
    )
    return [Reconsidered(**row._mapping) for row in rows]


def list_selections(connection: Connection, feature: str | None = None, limit: int = 20) -> list[StoredSelection]:
    """Selections, the latest first."""
    rows = connection.execute(
        text(f"""
            SELECT {_COLUMNS} FROM selections WHERE CAST(:feature AS text) IS NULL OR feature = :feature
            ORDER BY id DESC LIMIT :limit
        """),
        {"feature": feature, "limit": limit},
    )
    return [StoredSelection(**row._mapping) for row in rows]
