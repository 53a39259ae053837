"""Deployments in the store: asked for, approved, taken step by step, live or rolled back.

Every step is one transaction of the caller. What a deployment's life does not have is refused here with a sentence, and
by triggers whoever asks; these also write its events and its links of the audit chain.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from psycopg.errors import UniqueViolation
from sqlalchemy import Connection, Row, text
from sqlalchemy.exc import IntegrityError

from evaluations.deployments import UNDER_WAY, Bundle, Policy, Status, Trigger, check_transition
from evaluations.errors import AssayError, unknown_name
from tasks.store.canaries import end_open_step
from tasks.store.refusals import refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDeployment:
    """A deployment as it stands."""

    id: UUID
    feature: str
    environment: str
    status: Status
    trigger: Trigger
    bundle: Bundle
    content_hash: str
    """Of the bundle as it was asked for."""
    experiment_id: UUID | None
    experiment: str | None
    variant: str | None
    previous_id: UUID | None
    restores_id: UUID | None
    rollout_percent: int
    approvals_required: int
    policy: Policy
    evidence: Mapping[str, Any]
    monthly_cost: Decimal | None
    sample_data: bool
    began_at: datetime | None
    deployed_at: datetime | None
    ended_at: datetime | None
    why: str
    moved_why: str
    actor: str
    recorded_at: datetime
    live: bool
    """Is it what the feature has in its environment now?"""

    @property
    def name(self) -> str:
        """The beginning of its id, as commands show and take it."""
        return str(self.id)[:8]

    @property
    def under_way(self) -> bool:
        return self.status in UNDER_WAY

    @property
    def way_back(self) -> str:
        """The command that takes its feature back where it is, and nowhere else."""
        elsewhere = "" if self.environment == "production" else f" --environment {self.environment}"
        return f"assay rollback {self.feature}{elsewhere}"

    def is_meant_by(self, given: str) -> bool:
        """Is this the prompt version that it has, or the beginning of its id, four characters or more?"""
        return self.bundle.prompt == given or (len(given) >= 4 and str(self.id).startswith(given.lower()))


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDeployment:
    """A deployment that is asked for."""

    feature: str
    environment: str
    trigger: Trigger
    bundle: Bundle
    policy: Policy
    approvals_required: int
    why: str
    experiment_id: UUID | None = None
    variant: str | None = None
    restores_id: UUID | None = None
    evidence: Mapping[str, Any] | None = None
    monthly_cost: Decimal | None = None
    sample_data: bool = False


@dataclass(frozen=True, slots=True)
class DeploymentEvent:
    """A step in the life of a deployment."""

    before: Status | None
    after: Status
    percent: int
    why: str
    actor: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Approval:
    """A person's word on a deployment."""

    decision: str
    content_hash: str
    expires_at: datetime
    why: str
    actor: str
    at: datetime


_COLUMNS = "d.*, e.name AS experiment, l.deployment_id IS NOT NULL AS live"
_FROM = """deployments d LEFT JOIN experiments e ON e.id = d.experiment_id
    LEFT JOIN live_bundles l ON l.deployment_id = d.id"""


# Who is alone with the traffic of a feature


def hold_traffic(connection: Connection, feature: str, environment: str) -> None:
    """Until the transaction ends nobody else begins, moves or ends anything on the traffic of a feature."""
    connection.execute(
        text("SELECT hold_traffic(:feature, :environment)"), {"feature": feature, "environment": environment}
    )


# Reading


def find_deployment(connection: Connection, given: str) -> StoredDeployment:
    """The deployment of an id or of its first four characters or more. Raises AssayError for none or several."""
    if len(given) < 4 or set(given.lower()) - set("0123456789abcdef-"):
        raise AssayError(f"{given!r} is no id of a deployment. Ids: assay deploy list")
    rows = connection.execute(
        text(f"SELECT {_COLUMNS} FROM {_FROM} WHERE d.id::text LIKE lower(:given) || '%' LIMIT 2"), {"given": given}
    ).all()
    if not rows:
        raise AssayError(f"there is no deployment {given}. Ids: assay deploy list")
    if len(rows) > 1:
        raise AssayError(f"{given!r} begins the id of several deployments; give more of it.")
    return _deployment(rows[0])


def deployment_of(connection: Connection, deployment_id: UUID) -> StoredDeployment:
    """The deployment of an id that is known to be there."""
    row = connection.execute(text(f"SELECT {_COLUMNS} FROM {_FROM} WHERE d.id = :id"), {"id": deployment_id}).one()
    return _deployment(row)


def list_deployments(
    connection: Connection,
    *,
    feature: str | None = None,
    environment: str | None = None,
    statuses: Sequence[Status] = (),
    limit: int | None = None,
) -> list[StoredDeployment]:
    """Deployments, the latest first."""
    rows = connection.execute(
        text(f"""
            SELECT {_COLUMNS} FROM {_FROM}
            WHERE (CAST(:feature AS text) IS NULL OR d.feature = :feature)
              AND (CAST(:environment AS text) IS NULL OR d.environment = :environment)
              AND (CAST(:statuses AS text[]) IS NULL OR d.status = ANY(CAST(:statuses AS text[])))
            ORDER BY d.recorded_at DESC, d.trigger = 'baseline', d.id LIMIT :limit
        """),
        {"feature": feature, "environment": environment, "statuses": list(statuses) or None, "limit": limit},
    )
    return [_deployment(row) for row in rows]


def under_way(connection: Connection, feature: str, environment: str) -> StoredDeployment | None:
    """What is on its way to the traffic of a feature; the database lets there be one at most."""
    found = list_deployments(connection, feature=feature, environment=environment, statuses=UNDER_WAY)
    return found[0] if found else None


def live_deployments(connection: Connection, environment: str) -> dict[str, StoredDeployment]:
    """What is live in an environment, by feature."""
    rows = connection.execute(
        text(f"SELECT {_COLUMNS} FROM {_FROM} WHERE l.environment = :environment ORDER BY d.feature"),
        {"environment": environment},
    )
    return {row.feature: _deployment(row) for row in rows}


def canaries_of(connection: Connection, environment: str) -> dict[str, StoredDeployment]:
    """What has a share of the traffic of an environment, or all of it while it is still watched, by feature."""
    rows = connection.execute(
        text(f"""
            SELECT {_COLUMNS} FROM {_FROM} WHERE d.environment = :environment AND (d.status = 'deploying'
              OR d.status = 'deployed' AND EXISTS (
                  SELECT FROM deployment_steps s WHERE s.deployment_id = d.id AND s.ended_at IS NULL))
            ORDER BY d.status = 'deploying'
        """),
        {"environment": environment},
    )
    # Of a feature with both, the one that is under way: it comes last.
    return {row.feature: _deployment(row) for row in rows}


def live_deployment(connection: Connection, feature: str, environment: str) -> StoredDeployment | None:
    """What is live for a feature; None before its first deployment."""
    return live_deployments(connection, environment).get(feature)


def deployed_features(connection: Connection) -> list[str]:
    """Features that have a live bundle somewhere."""
    return list(connection.execute(text("SELECT DISTINCT feature FROM live_bundles ORDER BY 1")).scalars())


def environments_in_use(connection: Connection) -> list[str]:
    """Environments for which flags are published: those with a deployment, a live experiment that began,
    or a selection."""
    rows = connection.execute(
        text("""
            SELECT environment FROM deployments
            UNION SELECT environment FROM experiments WHERE design = 'live_split' AND started_at IS NOT NULL
            UNION SELECT environment FROM selections WHERE published
            ORDER BY 1
        """)
    )
    return list(rows.scalars())


def to_advance(connection: Connection) -> list[UUID]:
    """Deployments for which time may bring something: those under way, and live ones that are still watched."""
    rows = connection.execute(
        text("""
            SELECT d.id FROM deployments d
            WHERE d.status = ANY(:under_way) OR d.status = 'deployed' AND EXISTS (
                SELECT FROM deployment_steps s WHERE s.deployment_id = d.id AND s.ended_at IS NULL)
            ORDER BY d.recorded_at, d.id
        """),
        {"under_way": list(UNDER_WAY)},
    )
    return list(rows.scalars())


def _deployment(row: Row[Any]) -> StoredDeployment:
    return StoredDeployment(
        id=row.id,
        feature=row.feature,
        environment=row.environment,
        status=row.status,
        trigger=row.trigger,
        bundle=Bundle.read(row.bundle),
        content_hash=row.content_hash,
        experiment_id=row.experiment_id,
        experiment=row.experiment,
        variant=row.variant,
        previous_id=row.previous_id,
        restores_id=row.restores_id,
        rollout_percent=row.rollout_percent,
        approvals_required=row.approvals_required,
        policy=Policy.read(row.policy),
        evidence=row.evidence,
        monthly_cost=row.monthly_cost,
        sample_data=row.sample_data,
        began_at=row.began_at,
        deployed_at=row.deployed_at,
        ended_at=row.ended_at,
        why=row.why,
        moved_why=row.moved_why,
        actor=row.actor,
        recorded_at=row.recorded_at,
        live=row.live,
    )


# The life of a deployment


def ask_for(connection: Connection, new: NewDeployment, actor: str) -> StoredDeployment:
    """Write a deployment down: it waits for its approvals, or may begin where none is needed.

    Raises AssayError when another one is under way for the feature and environment.
    """
    hold_traffic(connection, new.feature, new.environment)
    live = live_deployment(connection, new.feature, new.environment)
    try:
        with connection.begin_nested():
            created = connection.execute(
                text("""
                    INSERT INTO deployments (feature, environment, status, trigger, bundle, content_hash,
                        experiment_id, variant, previous_id, restores_id, approvals_required, policy, evidence,
                        monthly_cost, sample_data, why, moved_by, moved_why, actor)
                    VALUES (:feature, :environment, :status, :trigger, CAST(:bundle AS jsonb), :content_hash,
                        :experiment_id, :variant, :previous_id, :restores_id, :approvals_required,
                        CAST(:policy AS jsonb), CAST(:evidence AS jsonb), :monthly_cost, :sample_data,
                        CAST(:why AS text), CAST(:actor AS text), CAST(:why AS text), CAST(:actor AS text))
                    RETURNING id
                """),
                {
                    "feature": new.feature,
                    "environment": new.environment,
                    "status": "pending_approval" if new.approvals_required else "pending",
                    "trigger": new.trigger,
                    "bundle": json.dumps(new.bundle.document),
                    "content_hash": new.bundle.content_hash,
                    "experiment_id": new.experiment_id,
                    "variant": new.variant,
                    "previous_id": None if live is None else live.id,
                    "restores_id": new.restores_id,
                    "approvals_required": new.approvals_required,
                    "policy": json.dumps(new.policy.document),
                    "evidence": json.dumps(dict(new.evidence or {})),
                    "monthly_cost": new.monthly_cost,
                    "sample_data": new.sample_data,
                    "why": new.why,
                    "actor": actor,
                },
            ).scalar_one()
    except IntegrityError as problem:
        if not isinstance(problem.orig, UniqueViolation):
            raise refusal(problem) from None
        other = under_way(connection, new.feature, new.environment)
        name = "another deployment" if other is None else f"deployment {other.name}, asked for by {other.actor},"
        raise AssayError(
            f"{name} is under way for {new.feature} in {new.environment}; two at once would disturb each other. "
            f"Let it end, or: assay deploy cancel {'ID' if other is None else other.name} --why …"
        ) from None
    return deployment_of(connection, created)


def move(
    connection: Connection,
    found: StoredDeployment,
    to: Status,
    *,
    actor: str,
    why: str,
    percent: int | None = None,
) -> StoredDeployment:
    """Take a deployment to another status, or to a larger share of the traffic in the same.

    A deployment that goes live takes the place of the one before, in the same transaction. Raises IllegalDeployment for
    a step that there is not, and AssayError where the database refuses it or somebody else was faster.
    """
    if to != found.status:
        check_transition(found.name, found.status, to)
    hold_traffic(connection, found.feature, found.environment)
    if to == "deployed":
        _make_way(connection, found, actor, "rolled_back" if found.trigger == "rollback" else "superseded", why)
    ended = to in ("failed", "rolled_back", "superseded")
    share = 0 if ended else found.rollout_percent if percent is None else percent
    try:
        with connection.begin_nested():
            moved = connection.execute(
                text("""
                    UPDATE deployments SET status = CAST(:to AS text), rollout_percent = :share, moved_by = :actor,
                        moved_why = :why,
                        began_at = CASE WHEN CAST(:to AS text) = 'deploying' THEN coalesce(began_at, now())
                            ELSE began_at END,
                        deployed_at = CASE WHEN CAST(:to AS text) = 'deployed' THEN coalesce(deployed_at, now())
                            ELSE deployed_at END,
                        ended_at = CASE WHEN :ended THEN now() ELSE ended_at END
                    WHERE id = :id AND status = :before AND rollout_percent = :share_before
                """),
                {
                    "id": found.id,
                    "to": to,
                    "share": share,
                    "actor": actor,
                    "why": why,
                    "ended": ended,
                    "before": found.status,
                    "share_before": found.rollout_percent,
                },
            ).rowcount
    except IntegrityError as problem:
        raise refusal(problem) from None
    if not moved:
        raise AssayError(f"deployment {found.name} was moved by somebody else just now; look at it and try again.")
    if to == "deployed":
        _set_live(connection, found, actor)
    return deployment_of(connection, found.id)


def _make_way(connection: Connection, coming: StoredDeployment, actor: str, to: Status, why: str) -> None:
    live = live_deployment(connection, coming.feature, coming.environment)
    if live is None:
        return
    end_open_step(connection, live.id, "rolled_back" if to == "rolled_back" else "forced", why, actor)
    connection.execute(
        text("""
            UPDATE deployments SET status = :to, rollout_percent = 0, moved_by = :actor, moved_why = :why,
                ended_at = now() WHERE id = :id
        """),
        {"id": live.id, "to": to, "actor": actor, "why": why},
    )


def _set_live(connection: Connection, found: StoredDeployment, actor: str) -> None:
    connection.execute(
        text("""
            INSERT INTO live_bundles (feature, environment, deployment_id, actor)
            VALUES (:feature, :environment, :id, :actor)
            ON CONFLICT (feature, environment) DO UPDATE
            SET deployment_id = excluded.deployment_id, actor = excluded.actor, recorded_at = now()
        """),
        {"feature": found.feature, "environment": found.environment, "id": found.id, "actor": actor},
    )


def events_of(connection: Connection, deployment_id: UUID) -> list[DeploymentEvent]:
    """The life of a deployment so far, the first step first."""
    rows = connection.execute(
        text("""
            SELECT from_status, to_status, rollout_percent, why, actor, recorded_at FROM deployment_events
            WHERE deployment_id = :id ORDER BY id
        """),
        {"id": deployment_id},
    )
    return [DeploymentEvent(*row) for row in rows]


# Approvals


def say(
    connection: Connection,
    found: StoredDeployment,
    decision: str,
    *,
    content_hash: str,
    expires_at: datetime,
    why: str,
    actor: str,
) -> None:
    """Write a person's yes or no to a deployment down. Raises AssayError where the database refuses it."""
    try:
        with connection.begin_nested():
            connection.execute(
                text("""
                    INSERT INTO deployment_approvals (deployment_id, decision, content_hash, expires_at, why, actor)
                    VALUES (:id, :decision, :hash, :expires_at, :why, :actor)
                """),
                {
                    "id": found.id,
                    "decision": decision,
                    "hash": content_hash,
                    "expires_at": expires_at,
                    "why": why,
                    "actor": actor,
                },
            )
    except IntegrityError as problem:
        raise refusal(problem) from None


def approvals_of(connection: Connection, deployment_id: UUID) -> list[Approval]:
    """What people said about a deployment, the first one first."""
    rows = connection.execute(
        text("""
            SELECT decision, content_hash, expires_at, why, actor, recorded_at FROM deployment_approvals
            WHERE deployment_id = :id ORDER BY id
        """),
        {"id": deployment_id},
    )
    return [Approval(*row) for row in rows]


# What can come back


def restorable(connection: Connection, feature: str, environment: str, given: str | None = None) -> StoredDeployment:
    """The deployment whose bundle a rollback brings back: the one named, or what was live before the live one and is
    another bundle.

    Raises AssayError when there is none.
    """
    live = live_deployment(connection, feature, environment)
    if live is None:
        known = deployed_features(connection)
        hint = unknown_name("feature", feature, known) if known and feature not in known else ""
        raise AssayError(hint or f"{feature} has no live bundle in {environment}: there is nothing to take back.")
    rows = connection.execute(
        text(f"""
            SELECT {_COLUMNS} FROM {_FROM} WHERE d.feature = :feature AND d.environment = :environment
              AND d.deployed_at IS NOT NULL AND d.content_hash <> :live ORDER BY d.deployed_at DESC, d.id
        """),
        {"feature": feature, "environment": environment, "live": live.content_hash},
    )
    before = [_deployment(row) for row in rows]
    if given is not None:
        return _named(before, live, given)
    # One that was itself taken back is no way back, unless somebody names it.
    kept = [each for each in before if each.status != "rolled_back"]
    if not kept:
        others = ", ".join(dict.fromkeys(f"{each.name} ({each.bundle}), itself taken back" for each in before))
        raise AssayError(
            f"{feature} had no other bundle in {environment} than {live.bundle} to go back to. "
            + (f"Named by --to it can be: {others}." if before else "Deploy another one: assay deploy start --help")
        )
    return kept[0]


def _named(before: Sequence[StoredDeployment], live: StoredDeployment, given: str) -> StoredDeployment:
    fitting = [each for each in before if each.is_meant_by(given)]
    if not fitting:
        known = ", ".join(dict.fromkeys(f"{each.name} ({each.bundle})" for each in before)) or "none"
        raise AssayError(f"no earlier bundle of {live.feature} in {live.environment} is {given!r}. There are: {known}.")
    return fitting[0]
