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


@dataclass(frozen=True, slots=True, kw_only=True)
class NewLook:
    """A look that is to be written down."""

    experiment_id: UUID
    data_hash: str
    """Of the data and the rule they were looked at by: the same are one look."""
    verdict: str
    sentence: str
    facts: Mapping[str, Any]
    estimates: tuple[EstimateLine, ...]
    post_hoc: str


def save_looks(connection: Connection, looks: Sequence[NewLook], actor: str) -> dict[UUID, Look]:
    """Write looks down, one an experiment; the same data as at the last look give that one back as it was.

    The caller holds the experiments' rows, so that two looks at once are one after the other.
    """
    known = _latest(connection, [look.experiment_id for look in looks])
    written: dict[UUID, Look] = {}
    estimates: list[dict[str, Any]] = []
    for look in looks:
        before = known.get(look.experiment_id)
        if before is not None and before.data_hash == look.data_hash:
            written[look.experiment_id] = before
            continue
        row = connection.execute(
            text("""
                INSERT INTO experiment_analyses (experiment_id, look, data_hash, verdict, sentence, facts, post_hoc,
                    actor)
                VALUES (:experiment, :look, :hash, :verdict, :sentence, CAST(:facts AS jsonb), :post_hoc, :actor)
                RETURNING *
            """),
            {
                "experiment": look.experiment_id,
                "look": 1 if before is None else before.look + 1,
                "hash": look.data_hash,
                "verdict": look.verdict,
                "sentence": look.sentence,
                "facts": json.dumps(look.facts),
                "post_hoc": look.post_hoc,
                "actor": actor,
            },
        ).one()
        written[look.experiment_id] = _look(row)
        estimates += [
            {"look": row.id, **{name: getattr(line, name) for name in EstimateLine.__dataclass_fields__}}
            for line in look.estimates
        ]
    if estimates:
        connection.execute(
            text("""
                INSERT INTO experiment_estimates (analysis_id, metric, variant, role, n, value, low, high, confidence,
                    p, p_adjusted, method, verdict)
                VALUES (:look, :metric, :variant, :role, :n, :value, :low, :high, :confidence, :p, :p_adjusted,
                    :method, :verdict)
            """),
            estimates,
        )
    return written


def fractions_of(connection: Connection, experiment_ids: Sequence[UUID]) -> dict[UUID, tuple[float, ...]]:
    """The shares of the planned number at the looks so far, of the experiments that plan their looks."""
    rows = connection.execute(
        text("""
            SELECT experiment_id, array_agg(CAST(facts ->> 'fraction' AS float8) ORDER BY look) AS fractions
            FROM experiment_analyses
            WHERE experiment_id = ANY(:ids) AND facts ->> 'fraction' IS NOT NULL GROUP BY 1
        """),
        {"ids": list(experiment_ids)},
    )
    return {row.experiment_id: tuple(row.fractions) for row in rows}


def _latest(connection: Connection, experiment_ids: Sequence[UUID]) -> dict[UUID, Look]:
    rows = connection.execute(
        text("""
            SELECT DISTINCT ON (experiment_id) * FROM experiment_analyses
            WHERE experiment_id = ANY(:ids) ORDER BY experiment_id, look DESC
        """),
        {"ids": list(experiment_ids)},
    )
    return {row.experiment_id: _look(row) for row in rows}


def looks_of(connection: Connection, experiment_id: UUID) -> list[Look]:
    """All looks at an experiment, the first one first."""
    rows = connection.execute(
        text("SELECT * FROM experiment_analyses WHERE experiment_id = :id ORDER BY look"), {"id": experiment_id}
    )
    return [_look(row) for row in rows]


def latest_look(connection: Connection, experiment_id: UUID) -> Look | None:
    """The last look; None before the first."""
    return _latest(connection, [experiment_id]).get(experiment_id)


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
