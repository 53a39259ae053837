"""The tables of the model registry: versions, what they can do and suit, environments, and probes of providers."""

from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from tasks.store.columns import Base, actor, big_id, digest, moment, money, name_text, one_of, recorded_at


class ModelRow(Base):
    """One model version, or an alias, as the catalogues have it. It changes by a sync, which leaves an activity."""

    __tablename__ = "models"
    __table_args__ = (one_of("stage", "available", "beta", "retired"), Index("ix_models_provider", "provider"))
    model: Mapped[name_text] = mapped_column(primary_key=True)
    """provider/model, as the price rows and the runs name it."""
    provider: Mapped[name_text]
    mode: Mapped[name_text]
    inputs: Mapped[list[str]] = mapped_column(ARRAY(String(collation="C")))
    outputs: Mapped[list[str]] = mapped_column(ARRAY(String(collation="C")))
    context_tokens: Mapped[int | None]
    max_output_tokens: Mapped[int | None]
    max_images: Mapped[int | None]
    requests_per_minute: Mapped[int | None]
    tokens_per_minute: Mapped[int | None]
    stage: Mapped[name_text]
    retires_on: Mapped[date | None]
    withdrawn_at: Mapped[moment | None]
    """Since when no catalogue lists it; it stays for history."""
    successor: Mapped[name_text | None]
    alias: Mapped[bool]
    alias_of: Mapped[name_text | None]
    description: Mapped[str]
    limitations: Mapped[list[str]] = mapped_column(ARRAY(Text))
    regions: Mapped[list[str] | None] = mapped_column(ARRAY(String(collation="C")))
    """Where it can be had; null where nobody says."""
    claims: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    """What is said of its speed, accuracy and reliability: about, word, low, high, source."""
    source: Mapped[str]
    listed_at: Mapped[moment | None]
    """When its provider's own listing named it last."""
    content_hash: Mapped[digest]
    """Of all that the catalogues say: tells a sync what changed."""
    actor: Mapped[actor]
    recorded_at: Mapped[recorded_at]


class ModelCapabilityRow(Base):
    """Whether a model has a capability, by the catalogue or by a test. Rows are added, never changed."""

    __tablename__ = "model_capabilities"
    __table_args__ = (one_of("origin", "documented", "tested"),)
    model: Mapped[str] = mapped_column(
        String(collation="C"), ForeignKey("models.model", ondelete="CASCADE"), primary_key=True
    )
    capability: Mapped[name_text] = mapped_column(primary_key=True)
    origin: Mapped[name_text] = mapped_column(primary_key=True)
    as_of: Mapped[moment] = mapped_column(primary_key=True)
    supported: Mapped[bool | None]
    """Null: the catalogue no longer says, or the test came to no result."""
    why: Mapped[str]
    """Who documents it, or what the test saw."""
    run_id: Mapped[UUID | None] = mapped_column(ForeignKey("runs.id", ondelete="SET NULL"))
    """The run whose answers are the evidence of a test."""
    actor: Mapped[actor]
    recorded_at: Mapped[recorded_at]


class ModelUseCaseScoreRow(Base):
    """How well a model suits a use case, by somebody's word or as measured. Rows are added, never changed."""

    __tablename__ = "model_use_case_scores"
    __table_args__ = (
        one_of("origin", "declared", "measured"),
        CheckConstraint("score BETWEEN 0 AND 100", name="score"),
        CheckConstraint("(origin = 'measured') = (n IS NOT NULL)", name="measured_has_n"),
    )
    model: Mapped[str] = mapped_column(
        String(collation="C"), ForeignKey("models.model", ondelete="CASCADE"), primary_key=True
    )
    use_case: Mapped[name_text] = mapped_column(primary_key=True)
    origin: Mapped[name_text] = mapped_column(primary_key=True)
    as_of: Mapped[date] = mapped_column(primary_key=True)
    source: Mapped[name_text] = mapped_column(primary_key=True)
    score: Mapped[float]
    reason: Mapped[str]
    n: Mapped[int | None]
    """Cases that were judged."""
    low: Mapped[float | None]
    high: Mapped[float | None]
    run_id: Mapped[UUID | None] = mapped_column(ForeignKey("runs.id", ondelete="SET NULL"))
    """The benchmark run that measured it."""
    actor: Mapped[actor]
    recorded_at: Mapped[recorded_at]


class ModelActivityRow(Base):
    """What changed in the registry: a model came, went, was deprecated or priced anew; an environment was set."""

    __tablename__ = "model_activities"
    __table_args__ = (
        one_of(
            "kind",
            "seeded",
            "added",
            "removed",
            "returned",
            "changed",
            "deprecated",
            "retired",
            "price changed",
            "listed",
            "unlisted",
            "environment set",
        ),
        Index("ix_model_activities_recorded_at", "recorded_at"),
    )
    id: Mapped[big_id]
    kind: Mapped[name_text]
    subject: Mapped[name_text]
    """The model, provider or environment."""
    before: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    after: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    why: Mapped[str]
    actor: Mapped[actor]
    recorded_at: Mapped[recorded_at]


class EnvironmentRow(Base):
    """What may be deployed to a place. Every change leaves an activity."""

    __tablename__ = "environments"
    __table_args__ = (
        CheckConstraint("approvals_required >= 0", name="approvals_required"),
        CheckConstraint("monthly_cost_limit >= 0", name="monthly_cost_limit"),
    )
    name: Mapped[name_text] = mapped_column(primary_key=True)
    position: Mapped[int]
    """The order in which a change goes through them."""
    allowed_providers: Mapped[list[str] | None] = mapped_column(ARRAY(String(collation="C")))
    """Null: every provider."""
    allowed_regions: Mapped[list[str] | None] = mapped_column(ARRAY(String(collation="C")))
    """Null: wherever a model is served."""
    validated_only: Mapped[bool]
    monthly_cost_limit: Mapped[money | None]
    approvals_required: Mapped[int]
    actor: Mapped[actor]
    recorded_at: Mapped[recorded_at]


class ProviderProbeRow(Base):
    """One look at whether a provider answers: its listing asked for, or a model called."""

    __tablename__ = "provider_probes"
    __table_args__ = (
        one_of("how", "listing", "call"),
        CheckConstraint("ok = (error_kind IS NULL)", name="ok_or_error"),
        Index("ix_provider_probes_provider_at", "provider", "at"),
    )
    id: Mapped[big_id]
    provider: Mapped[name_text]
    model: Mapped[name_text | None]
    how: Mapped[name_text]
    at: Mapped[moment]
    ok: Mapped[bool]
    error_kind: Mapped[name_text | None]
    """In the words of the answers' errors: timeout, connection, rate_limited, auth, ..."""
    why: Mapped[str]
    latency_ms: Mapped[float | None]
    models_listed: Mapped[int | None]
    run_id: Mapped[UUID | None] = mapped_column(ForeignKey("runs.id", ondelete="SET NULL"))
    actor: Mapped[actor]
    recorded_at: Mapped[recorded_at]
