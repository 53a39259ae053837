"""The tables of experiments: what was declared, how each lived, what its looks found, what was decided.

Declared is frozen at the start, and events, looks and decisions are only ever added: triggers of the migration refuse
anything else, whoever asks.
"""

from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from evaluations.experiments import OUTCOMES, STATUSES
from tasks.store.columns import Base, actor, big_id, digest, document, moment, name_text, one_of, recorded_at, uuid_pk

_UNDER_WAY = text("status IN ('running', 'paused') AND design = 'live_split'")
_THERE = text("deleted_at IS NULL")


class ExperimentRow(Base):
    """An experiment as it was declared, and where it is in its life."""

    __tablename__ = "experiments"
    __table_args__ = (
        one_of("status", *STATUSES),
        one_of("design", "paired_offline", "live_split"),
        Index("uq_experiments_name", "name", unique=True, postgresql_where=_THERE),
        # Two experiments on the same traffic would each be part of what the other measures.
        Index("uq_experiments_under_way", "feature", "environment", unique=True, postgresql_where=_UNDER_WAY),
        Index("ix_experiments_status", "status"),
    )
    id: Mapped[uuid_pk]
    name: Mapped[name_text]
    feature: Mapped[name_text]
    environment: Mapped[name_text]
    project: Mapped[name_text | None]
    design: Mapped[name_text]
    type: Mapped[name_text]
    status: Mapped[name_text]
    spec: Mapped[document]
    config_hash: Mapped[digest | None]
    """Of all that could change the verdict, set when it starts; null in a draft."""
    suite_path: Mapped[str | None]
    """Offline: the suite file that was meant when it was created."""
    run_id: Mapped[UUID | None] = mapped_column(ForeignKey("runs.id"))
    """Offline: the run whose answers are compared."""
    planned_n: Mapped[int | None]
    """Cases, or units of each variant; null until it starts."""
    starts_at: Mapped[moment | None]
    started_at: Mapped[moment | None]
    ended_at: Mapped[moment | None]
    deleted_at: Mapped[moment | None]
    updated_at: Mapped[recorded_at]
    actor: Mapped[actor]
    recorded_at: Mapped[recorded_at]


class ExperimentEventRow(Base):
    """A step in the life of an experiment."""

    __tablename__ = "experiment_events"
    id: Mapped[big_id]
    experiment_id: Mapped[UUID] = mapped_column(ForeignKey("experiments.id"), index=True)
    from_status: Mapped[name_text | None]
    to_status: Mapped[name_text]
    why: Mapped[str]
    actor: Mapped[actor]
    recorded_at: Mapped[recorded_at]


class ExperimentAnalysisRow(Base):
    """One look at an experiment: the comparison it found, whole."""

    __tablename__ = "experiment_analyses"
    __table_args__ = (UniqueConstraint("experiment_id", "look"),)
    id: Mapped[big_id]
    experiment_id: Mapped[UUID] = mapped_column(ForeignKey("experiments.id"))
    look: Mapped[int]
    """1 for the first; counts looks at data, not runs of the flow: the same data are looked at once."""
    data_hash: Mapped[digest]
    """Of the data that were looked at."""
    verdict: Mapped[name_text]
    sentence: Mapped[str]
    facts: Mapped[document]
    post_hoc: Mapped[str]
    """What was changed after the start, e.g. another scoring profile; empty when nothing was."""
    actor: Mapped[actor]
    recorded_at: Mapped[recorded_at]


class ExperimentEstimateRow(Base):
    """What one look found for one metric of one variant against the control: what lists and charts are made of."""

    __tablename__ = "experiment_estimates"
    analysis_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("experiment_analyses.id", ondelete="CASCADE"), primary_key=True
    )
    metric: Mapped[name_text] = mapped_column(primary_key=True)
    variant: Mapped[name_text] = mapped_column(primary_key=True)
    role: Mapped[name_text]
    n: Mapped[int] = mapped_column(BigInteger)
    """Cases, or units of both arms."""
    value: Mapped[float | None]
    """Variant minus control, in the metric's unit; null when it could not be determined."""
    low: Mapped[float | None]
    high: Mapped[float | None]
    confidence: Mapped[float]
    p: Mapped[float | None]
    p_adjusted: Mapped[float | None]
    method: Mapped[str]
    verdict: Mapped[name_text]


class ExperimentDecisionRow(Base):
    """What was concluded, by rule or by a person. The latest one holds; earlier ones stay."""

    __tablename__ = "experiment_decisions"
    __table_args__ = (one_of("outcome", *OUTCOMES),)
    id: Mapped[big_id]
    experiment_id: Mapped[UUID] = mapped_column(ForeignKey("experiments.id"), index=True)
    analysis_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("experiment_analyses.id"))
    outcome: Mapped[name_text]
    variant: Mapped[name_text | None]
    rule: Mapped[str]
    sentence: Mapped[str]
    automatic: Mapped[bool]
    why: Mapped[str]
    """A person's reason; empty for a decision by rule."""
    actor: Mapped[actor]
    recorded_at: Mapped[recorded_at]
