"""The tables of deployments: bundles, their lives, who approved, what was watched, what is live, and the audit chain.

Their rules are triggers of the migration: legal steps only, a second person, one live bundle a feature and environment,
no canary beside a running experiment, histories that only grow, and a link of the chain for every decision.
"""

from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from evaluations.deployments import STATUSES, TRIGGERS
from tasks.store.columns import (
    Base,
    actor,
    big_id,
    digest,
    document,
    moment,
    money,
    name_text,
    one_of,
    recorded_at,
    small,
    uuid_pk,
)

_UNDER_WAY = text("status IN ('pending_approval', 'pending', 'deploying')")
_LIVE = text("status = 'deployed'")


class AuditRow(Base):
    """A decision, chained to the one before by its hash. The database numbers, dates and hashes it."""

    __tablename__ = "audit_log"
    __table_args__ = (Index("ix_audit_log_target", "target", "seq"),)
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    """1, 2, 3, … without gaps."""
    action: Mapped[name_text]
    target: Mapped[name_text]
    """kind:id of what was decided about, e.g. deployment:6f1c…"""
    feature: Mapped[name_text | None]
    environment: Mapped[name_text | None]
    why: Mapped[str]
    facts: Mapped[document]
    previous_hash: Mapped[digest]
    hash: Mapped[digest]
    actor: Mapped[actor]
    recorded_at: Mapped[recorded_at]


class AuditHeadRow(Base):
    """The end of the chain: whoever writes holds this row. A tail that was cut off is missed here."""

    __tablename__ = "audit_heads"
    __table_args__ = (CheckConstraint("one", name="one"),)
    one: Mapped[bool] = mapped_column(primary_key=True, server_default="true")
    seq: Mapped[int] = mapped_column(BigInteger)
    hash: Mapped[digest]
    actor: Mapped[actor]
    recorded_at: Mapped[recorded_at]


class DeploymentRow(Base):
    """A bundle on its way to the traffic of a feature, or back. What was asked for is frozen; the rest is its life."""

    __tablename__ = "deployments"
    __table_args__ = (
        one_of("status", *STATUSES),
        one_of("trigger", *TRIGGERS),
        CheckConstraint("rollout_percent BETWEEN 0 AND 100", name="rollout_percent"),
        CheckConstraint(
            "environment <> 'production' OR approvals_required > 0 OR trigger IN ('baseline', 'rollback')",
            name="second_person",
        ),
        CheckConstraint("(trigger = 'rollback') = (restores_id IS NOT NULL)", name="restores"),
        UniqueConstraint("id", "feature", "environment"),
        # Two at once would each be part of what the other watches.
        Index("uq_deployments_under_way", "feature", "environment", unique=True, postgresql_where=_UNDER_WAY),
        Index("uq_deployments_live", "feature", "environment", unique=True, postgresql_where=_LIVE),
        Index("ix_deployments_recorded_at", "recorded_at"),
    )
    id: Mapped[uuid_pk]
    feature: Mapped[name_text]
    environment: Mapped[name_text]
    status: Mapped[name_text]
    trigger: Mapped[name_text]
    bundle: Mapped[document]
    content_hash: Mapped[digest]
    experiment_id: Mapped[UUID | None] = mapped_column(ForeignKey("experiments.id"))
    variant: Mapped[name_text | None]
    previous_id: Mapped[UUID | None] = mapped_column(ForeignKey("deployments.id"))
    """What was live when it was asked for."""
    restores_id: Mapped[UUID | None] = mapped_column(ForeignKey("deployments.id"))
    """Of a rollback: the deployment whose bundle is live again."""
    rollout_percent: Mapped[small] = mapped_column(server_default="0")
    approvals_required: Mapped[small]
    policy: Mapped[document]
    evidence: Mapped[document]
    """What gate and validation found, what was waived and why."""
    monthly_cost: Mapped[money | None]
    """Projected, US dollars; null when it is unknown."""
    sample_data: Mapped[bool] = mapped_column(server_default="false")
    began_at: Mapped[moment | None]
    deployed_at: Mapped[moment | None]
    ended_at: Mapped[moment | None]
    why: Mapped[str]
    moved_by: Mapped[str]
    """Who made the last step, and why: they go into its event and into the chain."""
    moved_why: Mapped[str]
    updated_at: Mapped[recorded_at]
    actor: Mapped[actor]
    """Who asked for it, and therefore cannot approve it."""
    recorded_at: Mapped[recorded_at]


class DeploymentEventRow(Base):
    """A step in the life of a deployment, written by a trigger."""

    __tablename__ = "deployment_events"
    id: Mapped[big_id]
    deployment_id: Mapped[UUID] = mapped_column(ForeignKey("deployments.id"), index=True)
    from_status: Mapped[name_text | None]
    to_status: Mapped[name_text]
    rollout_percent: Mapped[small]
    why: Mapped[str]
    actor: Mapped[actor]
    recorded_at: Mapped[recorded_at]


class DeploymentApprovalRow(Base):
    """A person's yes or no to exactly this bundle, for a time. Never its author's."""

    __tablename__ = "deployment_approvals"
    __table_args__ = (one_of("decision", "approved", "rejected"),)
    id: Mapped[big_id]
    deployment_id: Mapped[UUID] = mapped_column(ForeignKey("deployments.id"), index=True)
    decision: Mapped[name_text]
    content_hash: Mapped[digest]
    expires_at: Mapped[moment]
    why: Mapped[str]
    actor: Mapped[actor]
    recorded_at: Mapped[recorded_at]


class DeploymentStepRow(Base):
    """A share of the traffic that the canary has, from when to when, and how that ended."""

    __tablename__ = "deployment_steps"
    __table_args__ = (
        one_of("outcome", "passed", "forced", "rolled_back"),
        CheckConstraint("percent BETWEEN 1 AND 100", name="percent"),
        CheckConstraint("(ended_at IS NULL) = (outcome IS NULL)", name="ended"),
    )
    deployment_id: Mapped[UUID] = mapped_column(ForeignKey("deployments.id"), primary_key=True)
    step: Mapped[small] = mapped_column(primary_key=True)
    percent: Mapped[small]
    began_at: Mapped[moment]
    ended_at: Mapped[moment | None]
    outcome: Mapped[name_text | None]
    why: Mapped[str]
    actor: Mapped[actor]
    recorded_at: Mapped[recorded_at]
    waits_since: Mapped[moment | None]
    """From when on it takes a person's word to go on or back."""


class DeploymentLookRow(Base):
    """One look at a canary beside its concurrent control."""

    __tablename__ = "deployment_looks"
    __table_args__ = (
        one_of("verdict", "roll_back", "fine", "too_few", "held"),
        Index("ix_deployment_looks_deployment_id_step", "deployment_id", "step"),
    )
    id: Mapped[big_id]
    deployment_id: Mapped[UUID] = mapped_column(ForeignKey("deployments.id"))
    step: Mapped[small]
    verdict: Mapped[name_text]
    sentence: Mapped[str]
    data_hash: Mapped[digest]
    facts: Mapped[document]
    actor: Mapped[actor]
    recorded_at: Mapped[recorded_at]


class LiveBundleRow(Base):
    """Which deployment is live for a feature in an environment: one row each, moved and never taken away."""

    __tablename__ = "live_bundles"
    __table_args__ = (
        ForeignKeyConstraint(
            ["deployment_id", "feature", "environment"],
            ["deployments.id", "deployments.feature", "deployments.environment"],
        ),
        UniqueConstraint("deployment_id"),
    )
    feature: Mapped[name_text] = mapped_column(primary_key=True)
    environment: Mapped[name_text] = mapped_column(primary_key=True)
    deployment_id: Mapped[UUID]
    actor: Mapped[actor]
    recorded_at: Mapped[recorded_at]


class FlagDeliveryRow(Base):
    """A flag document that was handed over, or could not be: the latest of each channel tells what is out there."""

    __tablename__ = "flag_deliveries"
    __table_args__ = (
        one_of("channel", "file", "put", "webhook"),
        Index("ix_flag_deliveries_environment_channel", "environment", "channel"),
    )
    id: Mapped[big_id]
    environment: Mapped[name_text]
    channel: Mapped[name_text]
    document_hash: Mapped[digest]
    delivered: Mapped[bool]
    detail: Mapped[str]
    """Why not; never an address with a secret."""
    actor: Mapped[actor]
    recorded_at: Mapped[recorded_at]
