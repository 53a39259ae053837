"""Recommendations in the store: answers, what is recommended and what became of it, and the ledger of savings.

The database keeps the legal steps and writes the history of each by itself.
"""

import hashlib
import json
import math
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Connection, Row, text
from sqlalchemy.exc import IntegrityError

from evaluations.errors import AssayError
from evaluations.recommending.answers import FeatureAnswer, Measurement, Source, Status, StoredRecommendation
from evaluations.recommending.recommendation import Recommendation

_RECOMMENDATION = TypeAdapter(Recommendation)
_ANSWER = TypeAdapter(FeatureAnswer)
_MEASUREMENT = TypeAdapter(Measurement)
_COLUMNS = """id, status, evidence, incumbent_from, sample_data, as_of, moved_why, moved_by, moved_at, recorded_at"""


def hold(connection: Connection) -> None:
    """One writer of recommendations at a time, until the transaction ends."""
    connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('assay recommendations'))"))


def save_answer(connection: Connection, answer: FeatureAnswer, actor: str) -> bool:
    """Add an answer unless it says what the last one of its feature said. Gives whether it was added."""
    document = _as_json(_ANSWER.dump_python(answer, mode="json"))
    said = {key: value for key, value in document.items() if key != "on"}
    digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
    last = connection.execute(
        text("""
            SELECT content_hash FROM recommendation_answers WHERE feature = :feature ORDER BY id DESC LIMIT 1
        """),
        {"feature": answer.feature},
    ).scalar_one_or_none()
    if last == digest:
        return False
    connection.execute(
        text("""
            INSERT INTO recommendation_answers (feature, as_of, content_hash, answer, actor)
            VALUES (:feature, :as_of, :hash, CAST(:answer AS jsonb), :actor)
        """),
        {
            "feature": answer.feature,
            "as_of": answer.on,
            "hash": digest,
            "answer": json.dumps(document),
            "actor": actor,
        },
    )
    return True


def latest_answers(connection: Connection) -> list[FeatureAnswer]:
    """What was found last for each feature."""
    rows = connection.execute(
        text("""
            SELECT DISTINCT ON (feature) answer FROM recommendation_answers ORDER BY feature, id DESC
        """)
    )
    return [_ANSWER.validate_python(answer) for answer in rows.scalars()]


def add_recommendation(
    connection: Connection,
    found: Recommendation,
    *,
    source: Source,
    sample_data: bool,
    as_of: date,
    why: str,
    actor: str,
) -> int:
    """Write a recommendation down; it is open."""
    evidence = _as_json(_RECOMMENDATION.dump_python(found, mode="json"))
    return int(
        connection.execute(
            text("""
                INSERT INTO recommendations (kind, feature, current_setup, recommended_setup, incumbent_from, score,
                    saving_low, saving, saving_high, evidence, sample_data, as_of, moved_why, moved_by, moved_at, actor)
                VALUES (:kind, :feature, :current, :recommended, :source, :score, :low, :point, :high,
                    CAST(:evidence AS jsonb), :sample_data, :as_of, :why, :actor, now(), :actor)
                RETURNING id
            """),
            {
                "kind": found.kind,
                "feature": found.feature,
                "current": found.current,
                "recommended": found.recommended,
                "source": source,
                "score": found.score,
                "low": found.savings.low,
                "point": found.savings.point,
                "high": found.savings.high,
                "evidence": json.dumps(evidence),
                "sample_data": sample_data,
                "as_of": as_of,
                "why": why,
                "actor": actor,
            },
        ).scalar_one()
    )


def move(connection: Connection, recommendation_id: int, to: Status, why: str, actor: str) -> None:
    """Take one step. Raises AssayError for a step that there is not, or without a reason."""
    try:
        connection.execute(
            text("UPDATE recommendations SET status = :to, moved_why = :why, moved_by = :actor WHERE id = :id"),
            {"id": recommendation_id, "to": to, "why": why, "actor": actor},
        )
    except IntegrityError as problem:
        diagnostics = getattr(problem.orig, "diag", None)
        if diagnostics is None or diagnostics.constraint_name:
            raise
        raise AssayError(f"{diagnostics.message_primary}.") from problem


def find_recommendation(
    connection: Connection, recommendation_id: int, *, to_move: bool = False
) -> StoredRecommendation:
    """Raises AssayError when there is none of that number. `to_move` lets nobody else move it until the end."""
    locked = "FOR UPDATE" if to_move else ""
    row = connection.execute(
        text(f"SELECT {_COLUMNS} FROM recommendations WHERE id = :id {locked}"), {"id": recommendation_id}
    ).one_or_none()
    if row is None:
        last = connection.execute(text("SELECT max(id) FROM recommendations")).scalar_one()
        known = f"they are numbered 1 to {last}" if last else "there is none yet; `assay recommend all` looks for some"
        raise AssayError(f"no recommendation has the number {recommendation_id}: {known}.")
    return _stored(row)


def list_recommendations(
    connection: Connection,
    *,
    feature: str | None = None,
    statuses: Sequence[Status] = (),
    kind: str | None = None,
) -> list[StoredRecommendation]:
    """The highest score first, then the latest."""
    rows = connection.execute(
        text(f"""
            SELECT {_COLUMNS} FROM recommendations
            WHERE (CAST(:feature AS text) IS NULL OR feature = :feature)
              AND (CAST(:kind AS text) IS NULL OR kind = :kind)
              AND (:all OR status = ANY(:statuses))
            ORDER BY score DESC, saving DESC, id DESC
        """),
        {"feature": feature, "kind": kind, "all": not statuses, "statuses": list(statuses)},
    )
    return [_stored(row) for row in rows]


def features_recommended(connection: Connection) -> list[str]:
    """The features that were ever looked at."""
    return list(
        connection.execute(text("SELECT DISTINCT feature FROM recommendation_answers ORDER BY 1")).scalars()
    )  # fmt: skip


def steps_of(connection: Connection, recommendation_id: int) -> list[tuple[datetime, str | None, str, str, str]]:
    """When, from which status, to which, by whom and why; in the order in which it happened."""
    rows = connection.execute(
        text("""
            SELECT recorded_at, from_status, to_status, actor, why FROM recommendation_events
            WHERE recommendation_id = :id ORDER BY id
        """),
        {"id": recommendation_id},
    )
    return [(row.recorded_at, row.from_status, row.to_status, row.actor, row.why) for row in rows]


def save_measurement(connection: Connection, found: Measurement, actor: str) -> None:
    """Add a line to the ledger of savings; what was measured of these days before stays."""
    facts = _as_json(_MEASUREMENT.dump_python(found, mode="json"))
    connection.execute(
        text("""
            INSERT INTO savings_measurements (recommendation_id, first, last, kept, realised_low, realised,
                realised_high, facts, actor)
            VALUES (:id, :first, :last, :kept, :low, :point, :high, CAST(:facts AS jsonb), :actor)
            ON CONFLICT (recommendation_id, first, last) DO NOTHING
        """),
        {
            "id": found.recommendation_id,
            "first": found.first,
            "last": found.last,
            "kept": found.kept,
            "low": found.realised_low,
            "point": found.realised,
            "high": found.realised_high,
            "facts": json.dumps(facts),
            "actor": actor,
        },
    )


def measurements(connection: Connection) -> list[Measurement]:
    """The ledger of savings, the latest first."""
    rows = connection.execute(text("SELECT facts FROM savings_measurements ORDER BY last DESC, id DESC"))
    return [_MEASUREMENT.validate_python(facts) for facts in rows.scalars()]


def _stored(row: Row[Any]) -> StoredRecommendation:
    return StoredRecommendation(
        id=row.id,
        status=row.status,
        recommendation=_RECOMMENDATION.validate_python(row.evidence),
        incumbent_from=row.incumbent_from,
        sample_data=row.sample_data,
        as_of=row.as_of,
        moved_why=row.moved_why,
        moved_by=row.moved_by,
        moved_at=row.moved_at,
        recorded_at=row.recorded_at,
    )


def _as_json(value: Any) -> Any:
    """What JSON has no number for is its name, which reads back as the number."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: _as_json(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_as_json(each) for each in value]
    return value
