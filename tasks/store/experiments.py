"""Experiments in the store: declared, begun, ended; which of them have which traffic.

Every step is one transaction of the caller. A step that the life of an experiment does not have is refused here with a
sentence, and by a trigger whoever asks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import orjson
from psycopg.errors import CheckViolation, UniqueViolation
from sqlalchemy import Connection, Row, text
from sqlalchemy.exc import IntegrityError

from evaluations.errors import AssayError, unknown_name
from evaluations.experiment_specs import ExperimentSpec
from evaluations.experiments import Decision, Outcome, Status, check_transition

WITHOUT_CANARY = "experiments_without_canary"
"""The trigger that lets no experiment begin beside a canary."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredExperiment:
    """An experiment as it stands."""

    id: UUID
    spec: ExperimentSpec
    status: Status
    config_hash: str | None
    suite_path: Path | None
    run_id: UUID | None
    planned_n: int | None
    starts_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    actor: str
    recorded_at: datetime
    decision: Decision | None
    """The one that holds; None while nothing was decided."""

    @property
    def name(self) -> str:
        return self.spec.experiment


@dataclass(frozen=True, slots=True)
class Event:
    """A step in the life of an experiment."""

    before: Status | None
    after: Status
    why: str
    actor: str
    at: datetime


_COLUMNS = """e.id, e.spec, e.status, e.config_hash, e.suite_path, e.run_id, e.planned_n, e.starts_at, e.started_at,
    e.ended_at, e.actor, e.recorded_at, d.outcome, d.variant, d.rule, d.sentence, d.automatic, d.why,
    d.actor AS decided_by, d.recorded_at AS decided_at"""
_FROM = """experiments e LEFT JOIN LATERAL (
    SELECT * FROM experiment_decisions WHERE experiment_id = e.id ORDER BY id DESC LIMIT 1) d ON true"""


def create_experiment(connection: Connection, spec: ExperimentSpec, suite_path: Path | None, actor: str) -> UUID:
    """Write a draft. Raises AssayError when there is an experiment of that name."""
    try:
        with connection.begin_nested():
            created: UUID = connection.execute(
                text("""
                    INSERT INTO experiments (name, feature, environment, project, design, type, status, spec,
                        suite_path, starts_at, actor)
                    VALUES (:name, :feature, :environment, :project, :design, :type, 'draft', CAST(:spec AS jsonb),
                        :suite_path, :starts_at, :actor)
                    RETURNING id
                """),
                {**_declared(spec, suite_path), "actor": actor},
            ).scalar_one()
    except IntegrityError as problem:
        if not isinstance(problem.orig, UniqueViolation):
            raise
        raise AssayError(
            f"there is an experiment named {spec.experiment} already; `assay experiments update` changes a draft, "
            "and a new experiment needs a new name, because requests carry it."
        ) from None
    _note(connection, created, None, "draft", "", actor)
    return created


def update_draft(
    connection: Connection, found: StoredExperiment, spec: ExperimentSpec, suite_path: Path | None, actor: str
) -> None:
    """Declare a draft anew. Raises AssayError once it has started, or if the name is another."""
    if found.status != "draft":
        raise AssayError(
            f"experiment {found.name} is {found.status}, and what it declared is frozen; only a draft can be changed. "
            "Declare a new experiment under another name."
        )
    if spec.experiment != found.name:
        raise AssayError(f"the file declares {spec.experiment}, not {found.name}.")
    connection.execute(
        text("""
            UPDATE experiments SET feature = :feature, environment = :environment, project = :project,
                design = :design, type = :type, spec = CAST(:spec AS jsonb), suite_path = :suite_path,
                starts_at = :starts_at, updated_at = now(), actor = :actor
            WHERE id = :id
        """),
        {**_declared(spec, suite_path), "id": found.id, "actor": actor},
    )
    _note(connection, found.id, "draft", "draft", "declared anew", actor)


def delete_draft(connection: Connection, found: StoredExperiment, actor: str) -> None:
    """Put a draft out of sight; its row stays. Raises AssayError for anything but a draft."""
    if found.status != "draft":
        raise AssayError(
            f"experiment {found.name} is {found.status}; only a draft can be deleted. One that was started can be "
            "cancelled, and stays on record."
        )
    connection.execute(
        text("UPDATE experiments SET deleted_at = now(), updated_at = now() WHERE id = :id"), {"id": found.id}
    )
    _note(connection, found.id, "draft", "draft", "deleted", actor)


def _declared(spec: ExperimentSpec, suite_path: Path | None) -> dict[str, Any]:
    return {
        "name": spec.experiment,
        "feature": spec.feature,
        "environment": spec.environment,
        "project": spec.project,
        "design": spec.design,
        "type": spec.type,
        "spec": spec.model_dump_json(exclude_unset=True),
        "suite_path": None if suite_path is None else str(suite_path),
        "starts_at": spec.starts_at,
    }


def find_experiment(connection: Connection, given: str, *, lock: bool = False) -> StoredExperiment:
    """The experiment of a name, or of an id's first four characters or more; `lock` holds it for the transaction.

    Raises AssayError when there is none, or more than one.
    """
    if lock:
        connection.execute(
            text("SELECT FROM experiments WHERE deleted_at IS NULL AND (name = :g OR id::text = :g) FOR UPDATE"),
            {"g": given},
        )
    condition = "e.name = :given" if not _is_id(given) else "(e.name = :given OR e.id::text LIKE :given || '%')"
    rows = connection.execute(
        text(f"SELECT {_COLUMNS} FROM {_FROM} WHERE e.deleted_at IS NULL AND {condition} LIMIT 3"), {"given": given}
    ).all()
    if not rows:
        names = connection.execute(text("SELECT name FROM experiments WHERE deleted_at IS NULL")).scalars().all()
        if not names:
            raise AssayError("there are no experiments yet. Declare one: assay experiments create FILE")
        raise AssayError(unknown_name("experiment", given, list(names)))
    if len(rows) > 1:
        raise AssayError(f"{given!r} begins the id of several experiments; give the name.")
    return _experiment(rows[0])


def _is_id(given: str) -> bool:
    return len(given) >= 4 and set(given.lower()) <= set("0123456789abcdef-")


def list_experiments(
    connection: Connection,
    *,
    statuses: Sequence[Status] = (),
    feature: str | None = None,
    project: str | None = None,
    design: str | None = None,
    limit: int | None = None,
) -> list[StoredExperiment]:
    """Experiments, the latest first."""
    rows = connection.execute(
        text(f"""
            SELECT {_COLUMNS} FROM {_FROM} WHERE e.deleted_at IS NULL
              AND (CAST(:statuses AS text[]) IS NULL OR e.status = ANY(CAST(:statuses AS text[])))
              AND (CAST(:feature AS text) IS NULL OR e.feature = :feature)
              AND (CAST(:project AS text) IS NULL OR e.project = :project)
              AND (CAST(:design AS text) IS NULL OR e.design = :design)
            ORDER BY e.recorded_at DESC, e.id LIMIT :limit
        """),
        {
            "statuses": list(statuses) or None,
            "feature": feature,
            "project": project,
            "design": design,
            "limit": limit,
        },
    )
    return [_experiment(row) for row in rows]


def _experiment(row: Row[Any]) -> StoredExperiment:
    decision = None
    if row.outcome is not None:
        decision = Decision(
            outcome=cast(Outcome, row.outcome),
            variant=row.variant,
            rule=row.rule,
            sentence=row.sentence,
            automatic=row.automatic,
            actor=row.decided_by,
            why=row.why,
            at=row.decided_at,
        )
    return StoredExperiment(
        id=row.id,
        spec=ExperimentSpec.model_validate_json(orjson.dumps(row.spec)),
        status=row.status,
        config_hash=row.config_hash,
        suite_path=None if row.suite_path is None else Path(row.suite_path),
        run_id=row.run_id,
        planned_n=row.planned_n,
        starts_at=row.starts_at,
        started_at=row.started_at,
        ended_at=row.ended_at,
        actor=row.actor,
        recorded_at=row.recorded_at,
        decision=decision,
    )


# The life of an experiment


def move(
    connection: Connection,
    found: StoredExperiment,
    to: Status,
    *,
    actor: str,
    why: str = "",
    began: datetime | None = None,
) -> None:
    """Take an experiment to another status. The first start freezes what it declared.

    `began` is when its traffic was split, for a first start of what was split before.

    Raises IllegalTransition for a step that there is not, and AssayError when another experiment has the traffic.
    """
    check_transition(found.name, found.status, to)
    try:
        with connection.begin_nested():
            moved = connection.execute(
                text("""
                    UPDATE experiments SET status = :to, updated_at = now(),
                        config_hash = CASE WHEN :starts THEN coalesce(config_hash, :hash)
                            ELSE config_hash END,
                        started_at = CASE WHEN :starts
                            THEN coalesce(started_at, CAST(:began AS timestamptz), now()) ELSE started_at END,
                        ended_at = CASE WHEN :ended THEN now() ELSE ended_at END
                    WHERE id = :id AND status = :before
                """),
                {
                    "id": found.id,
                    "before": found.status,
                    "to": to,
                    "starts": to == "running",
                    "began": began,
                    "ended": to in ("completed", "cancelled"),
                    "hash": found.spec.config_hash,
                },
            ).rowcount
    except IntegrityError as problem:
        if isinstance(problem.orig, CheckViolation) and problem.orig.diag.constraint_name == WITHOUT_CANARY:
            raise AssayError(
                f"a canary has the traffic of {found.spec.feature} in {found.spec.environment}, and an experiment "
                "beside it would measure it too. Let the deployment end, or cancel it: assay deploy status"
            ) from None
        if not isinstance(problem.orig, UniqueViolation):
            raise
        raise AssayError(_has_traffic(connection, found)) from None
    if not moved:
        raise AssayError(f"experiment {found.name} was changed by somebody else just now; look at it and try again.")
    _note(connection, found.id, found.status, to, why, actor)


def _has_traffic(connection: Connection, found: StoredExperiment) -> str:
    other = connection.execute(
        text("""
            SELECT name FROM experiments WHERE feature = :feature AND environment = :environment
              AND status IN ('running', 'paused') AND design = 'live_split' LIMIT 1
        """),
        {"feature": found.spec.feature, "environment": found.spec.environment},
    ).scalar_one_or_none()
    return (
        f"experiment {other} is under way on {found.spec.feature} in {found.spec.environment}, and two on the same "
        f"traffic would disturb each other. End it first: assay experiments cancel {other} --why …"
    )


def _note(connection: Connection, id_: UUID, before: Status | None, after: Status, why: str, actor: str) -> None:
    connection.execute(
        text("""
            INSERT INTO experiment_events (experiment_id, from_status, to_status, why, actor)
            VALUES (:id, :before, :after, :why, :actor)
        """),
        {"id": id_, "before": before, "after": after, "why": why, "actor": actor},
    )


def hold(connection: Connection, experiment_ids: Sequence[UUID]) -> dict[UUID, Status]:
    """Hold the rows of experiments until the transaction ends, and give their statuses."""
    rows = connection.execute(
        text("SELECT id, status FROM experiments WHERE id = ANY(:ids) ORDER BY id FOR UPDATE"),
        {"ids": list(experiment_ids)},
    )
    return {row.id: row.status for row in rows}


def events_of(connection: Connection, experiment_id: UUID) -> list[Event]:
    """The life of an experiment so far, the first step first."""
    rows = connection.execute(
        text("""
            SELECT from_status, to_status, why, actor, recorded_at FROM experiment_events
            WHERE experiment_id = :id ORDER BY id
        """),
        {"id": experiment_id},
    )
    return [Event(*row) for row in rows]


def set_planned_n(connection: Connection, experiment_id: UUID, planned_n: int) -> None:
    """Keep how many cases, or units of each variant, the experiment is to have."""
    connection.execute(
        text("UPDATE experiments SET planned_n = :n WHERE id = :id"), {"n": planned_n, "id": experiment_id}
    )


def set_run(connection: Connection, experiment_id: UUID, run_id: UUID) -> None:
    """Name the run whose answers an offline experiment compares."""
    connection.execute(
        text("UPDATE experiments SET run_id = :run WHERE id = :id"), {"run": run_id, "id": experiment_id}
    )


def due_to_start(connection: Connection, now: datetime) -> list[StoredExperiment]:
    """Scheduled experiments whose time has come, the earliest first."""
    rows = connection.execute(
        text(f"""
            SELECT {_COLUMNS} FROM {_FROM}
            WHERE e.status = 'scheduled' AND e.starts_at <= :now ORDER BY e.starts_at, e.recorded_at, e.name
        """),
        {"now": now},
    )
    return [_experiment(row) for row in rows]


# Who gets which traffic


def latest_live(connection: Connection, environment: str) -> list[StoredExperiment]:
    """For each feature of an environment, the live experiment that was started last, under way or over."""
    rows = connection.execute(
        text(f"""
            SELECT DISTINCT ON (e.feature) {_COLUMNS} FROM {_FROM}
            WHERE e.design = 'live_split' AND e.environment = :environment AND e.started_at IS NOT NULL
            ORDER BY e.feature, e.status IN ('running', 'paused') DESC, e.started_at DESC, e.id
        """),
        {"environment": environment},
    )
    return [_experiment(row) for row in rows]


def running_since(connection: Connection, experiment_ids: Sequence[UUID]) -> dict[UUID, datetime]:
    """Since when experiments run, their last pause aside."""
    rows = connection.execute(
        text("""
            SELECT experiment_id, max(recorded_at) AS since FROM experiment_events
            WHERE experiment_id = ANY(:ids) AND to_status = 'running' GROUP BY 1
        """),
        {"ids": list(experiment_ids)},
    )
    return {row.experiment_id: row.since for row in rows}


def live_experiment(connection: Connection, feature: str, environment: str) -> StoredExperiment | None:
    """The live experiment that has the traffic of a feature, running or paused; its row is held."""
    name = connection.execute(
        text("""
            SELECT name FROM experiments WHERE feature = :feature AND environment = :environment
              AND status IN ('running', 'paused') AND design = 'live_split' FOR UPDATE
        """),
        {"feature": feature, "environment": environment},
    ).scalar_one_or_none()
    return None if name is None else find_experiment(connection, name)


def hold_flags(connection: Connection, environment: str) -> None:
    """Until the transaction ends nobody else reads the flags of an environment to write them: who reads later, writes
    later."""
    connection.execute(
        text("SELECT pg_advisory_xact_lock(hashtext('assay flags'), hashtext(:environment))"),
        {"environment": environment},
    )


def hold_deliveries(connection: Connection, environment: str) -> None:
    """Until the transaction ends nobody else hands the flags of an environment over: HTTP is slow, the file is not."""
    connection.execute(
        text("SELECT pg_advisory_xact_lock(hashtext('assay flag deliveries'), hashtext(:environment))"),
        {"environment": environment},
    )
