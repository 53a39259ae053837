"""Looks at experiments and what was decided: added, never changed."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from sqlalchemy import Connection, Row, text

from evaluations.experiments import Decision, Outcome, Role


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimateLine:
    """What one look found for one metric of one variant against the control, in the metric's unit."""

    metric: str
    variant: str
    role: Role
    n: int
    value: float | None
    low: float | None
    high: float | None
    confidence: float
    """Of the interval, after the correction for the family."""
    p: float | None
    p_adjusted: float | None
    method: str
    verdict: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One look at an experiment, as it was written down."""

    id: int
    look: int
    data_hash: str
    verdict: str
    sentence: str
    facts: Mapping[str, Any]
    post_hoc: str
    at: datetime


def save_look(
    connection: Connection,
    experiment_id: UUID,
    *,
    data_hash: str,
    verdict: str,
    sentence: str,
    facts: Mapping[str, Any],
    estimates: Sequence[EstimateLine],
    post_hoc: str,
    actor: str,
) -> Look:
    """Write a look down; the same data under the same rule are one look, which is given back as it was.

    The caller holds the experiment's row, so that two looks at once are one after the other.
    """
    known = latest_look(connection, experiment_id)
    if known is not None and known.data_hash == data_hash:
        return known
    look_id = connection.execute(
        text("""
            INSERT INTO experiment_analyses (experiment_id, look, data_hash, verdict, sentence, facts, post_hoc, actor)
            VALUES (:experiment, :look, :hash, :verdict, :sentence, CAST(:facts AS jsonb), :post_hoc, :actor)
            RETURNING id
        """),
        {
            "experiment": experiment_id,
            "look": 1 if known is None else known.look + 1,
            "hash": data_hash,
            "verdict": verdict,
            "sentence": sentence,
            "facts": json.dumps(facts),
            "post_hoc": post_hoc,
            "actor": actor,
        },
    ).scalar_one()
    if estimates:
        connection.execute(
            text("""
                INSERT INTO experiment_estimates (analysis_id, metric, variant, role, n, value, low,
                    high, confidence, p, p_adjusted, method, verdict)
                VALUES (:look, :metric, :variant, :role, :n, :value, :low, :high, :confidence, :p, :p_adjusted,
                    :method, :verdict)
            """),
            [
                {"look": look_id, **{name: getattr(line, name) for name in EstimateLine.__dataclass_fields__}}
                for line in estimates
            ],
        )
    written = latest_look(connection, experiment_id)
    assert written is not None
    return written


def looks_of(connection: Connection, experiment_id: UUID) -> list[Look]:
    """All looks at an experiment, the first one first."""
    rows = connection.execute(
        text("SELECT * FROM experiment_analyses WHERE experiment_id = :id ORDER BY look"), {"id": experiment_id}
    )
    return [_look(row) for row in rows]


def latest_look(connection: Connection, experiment_id: UUID) -> Look | None:
    """The last look; None before the first."""
    row = connection.execute(
        text("SELECT * FROM experiment_analyses WHERE experiment_id = :id ORDER BY look DESC LIMIT 1"),
        {"id": experiment_id},
    ).one_or_none()
    return None if row is None else _look(row)


def _look(row: Row[Any]) -> Look:
    return Look(
        id=row.id,
        look=row.look,
        data_hash=row.data_hash,
        verdict=row.verdict,
        sentence=row.sentence,
        facts=row.facts,
        post_hoc=row.post_hoc,
        at=row.recorded_at,
    )


def estimates_of(connection: Connection, look_id: int) -> list[EstimateLine]:
    """The estimates of one look, by metric and variant."""
    rows = connection.execute(
        text("SELECT * FROM experiment_estimates WHERE analysis_id = :look ORDER BY role, metric, variant"),
        {"look": look_id},
    )
    return [EstimateLine(**{name: getattr(row, name) for name in EstimateLine.__dataclass_fields__}) for row in rows]


def decide(
    connection: Connection,
    experiment_id: UUID,
    *,
    outcome: Outcome,
    variant: str | None,
    rule: str,
    sentence: str,
    automatic: bool,
    actor: str,
    why: str = "",
    look_id: int | None = None,
) -> Decision:
    """Add a decision; from now on it holds."""
    row = connection.execute(
        text("""
            INSERT INTO experiment_decisions (experiment_id, analysis_id, outcome, variant, rule, sentence, automatic,
                why, actor)
            VALUES (:experiment, :look, :outcome, :variant, :rule, :sentence, :automatic, :why, :actor)
            RETURNING *
        """),
        {
            "experiment": experiment_id,
            "look": look_id,
            "outcome": outcome,
            "variant": variant,
            "rule": rule,
            "sentence": sentence,
            "automatic": automatic,
            "why": why,
            "actor": actor,
        },
    ).one()
    return _decision(row)


def decisions_of(connection: Connection, experiment_id: UUID) -> list[Decision]:
    """Every decision of an experiment, the first one first."""
    rows = connection.execute(
        text("SELECT * FROM experiment_decisions WHERE experiment_id = :id ORDER BY id"), {"id": experiment_id}
    )
    return [_decision(row) for row in rows]


def _decision(row: Row[Any]) -> Decision:
    return Decision(
        outcome=cast(Outcome, row.outcome),
        variant=row.variant,
        rule=row.rule,
        sentence=row.sentence,
        automatic=row.automatic,
        actor=row.actor,
        why=row.why,
        at=row.recorded_at,
    )
