"""The windows of canaries, one for each share of the traffic, and the looks at them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from evaluations.watching import Verdict
from tasks.store.refusals import refusal


@dataclass(frozen=True, slots=True)
class Step:
    """A share of the traffic that a canary has or had."""

    step: int
    percent: int
    began_at: datetime
    ended_at: datetime | None
    outcome: str | None
    why: str


@dataclass(frozen=True, slots=True)
class CanaryLook:
    """One look at a canary, as it was written down."""

    step: int
    verdict: Verdict
    sentence: str
    facts: Mapping[str, Any]
    at: datetime


def begin_step(connection: Connection, deployment_id: UUID, percent: int, at: datetime, actor: str) -> None:
    """Open the next window of a canary."""
    try:
        with connection.begin_nested():
            connection.execute(
                text("""
                    INSERT INTO deployment_steps (deployment_id, step, percent, began_at, why, actor)
                    SELECT CAST(:id AS uuid), coalesce(max(step), 0) + 1, :percent, :at, '', CAST(:actor AS text)
                    FROM deployment_steps WHERE deployment_id = CAST(:id AS uuid)
                """),
                {"id": deployment_id, "percent": percent, "at": at, "actor": actor},
            )
    except IntegrityError as problem:
        raise refusal(problem) from None


def end_open_step(
    connection: Connection, deployment_id: UUID, outcome: str, why: str, actor: str, at: datetime | None = None
) -> None:
    """Close the window that is open, if there is one; now unless a time is given."""
    connection.execute(
        text("""
            UPDATE deployment_steps SET ended_at = coalesce(CAST(:at AS timestamptz), now()), outcome = :outcome,
                why = :why, actor = :actor
            WHERE deployment_id = :id AND ended_at IS NULL
        """),
        {"id": deployment_id, "outcome": outcome, "why": why, "actor": actor, "at": at},
    )


def wait_for_a_word(connection: Connection, deployment_id: UUID, why: str, at: datetime, actor: str) -> None:
    """Say of the open window that a person has to decide; once, however often it is looked at."""
    connection.execute(
        text("""
            UPDATE deployment_steps SET waits_since = :at, why = :why, actor = :actor
            WHERE deployment_id = :id AND ended_at IS NULL AND waits_since IS NULL
        """),
        {"id": deployment_id, "why": why, "at": at, "actor": actor},
    )


def steps_of(connection: Connection, deployment_id: UUID) -> list[Step]:
    """The windows of a canary, the first one first."""
    rows = connection.execute(
        text("""
            SELECT step, percent, began_at, ended_at, outcome, why FROM deployment_steps
            WHERE deployment_id = :id ORDER BY step
        """),
        {"id": deployment_id},
    )
    return [Step(*row) for row in rows]


def save_look(
    connection: Connection,
    deployment_id: UUID,
    step: int,
    *,
    verdict: Verdict,
    sentence: str,
    data_hash: str,
    facts: Mapping[str, Any],
    actor: str,
) -> None:
    """Write a look down, unless the last one of the step saw the same data."""
    connection.execute(
        text("""
            INSERT INTO deployment_looks (deployment_id, step, verdict, sentence, data_hash, facts, actor)
            SELECT CAST(:id AS uuid), CAST(:step AS smallint), CAST(:verdict AS text), CAST(:sentence AS text),
                CAST(:hash AS text), CAST(:facts AS jsonb), CAST(:actor AS text)
            WHERE CAST(:hash AS text) IS DISTINCT FROM (SELECT data_hash FROM deployment_looks
                WHERE deployment_id = CAST(:id AS uuid) AND step = CAST(:step AS smallint) ORDER BY id DESC LIMIT 1)
        """),
        {
            "id": deployment_id,
            "step": step,
            "verdict": verdict,
            "sentence": sentence,
            "hash": data_hash,
            "facts": json.dumps(facts),
            "actor": actor,
        },
    )


def looks_of(connection: Connection, deployment_id: UUID, limit: int | None = None) -> list[CanaryLook]:
    """Looks at a canary, the latest first."""
    rows = connection.execute(
        text("""
            SELECT step, verdict, sentence, facts, recorded_at FROM deployment_looks
            WHERE deployment_id = :id ORDER BY id DESC LIMIT :limit
        """),
        {"id": deployment_id, "limit": limit},
    )
    return [CanaryLook(*row) for row in rows]
