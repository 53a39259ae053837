"""The tables of recommendations: what was answered, what was recommended, what became of it, and what it then saved."""

from datetime import date
from decimal import Decimal
from typing import Annotated

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Numeric, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from tasks.store.columns import Base, actor, big_id, digest, document, moment, name_text, one_of, recorded_at

dollars = Annotated[Decimal, mapped_column(Numeric)]
"""US dollars a month, of any number of digits."""


class RecommendationAnswerRow(Base):
    """What was found for a feature on a day. Added when it differs from the last one, never changed."""

    __tablename__ = "recommendation_answers"
    __table_args__ = (Index("ix_recommendation_answers_feature", "feature", "id"),)
    id: Mapped[big_id]
    feature: Mapped[name_text]
    as_of: Mapped[date]
    """The day whose prices and life cycles counted."""
    content_hash: Mapped[digest]
    """Of the answer: tells one that changed from one that was merely worked out again."""
    answer: Mapped[document]
    actor: Mapped[actor]
    recorded_at: Mapped[recorded_at]


class RecommendationRow(Base):
    """One thing to change, with its evidence. Only its status moves, by triggers that know the legal steps."""

    __tablename__ = "recommendations"
    __table_args__ = (
        one_of("kind", "model_substitution", "prompt_optimization", "usage_reduction", "provider_switch"),
        one_of("status", "open", "accepted", "dismissed", "expired", "superseded"),
        CheckConstraint("score BETWEEN 0 AND 100", name="score"),
        CheckConstraint("saving_low <= saving AND saving <= saving_high", name="saving"),
        Index(
            "uq_recommendations_open",
            *("kind", "feature", "current_setup", "recommended_setup"),
            unique=True,
            postgresql_where=text("status = 'open'"),
        ),
        Index("ix_recommendations_feature", "feature", "id"),
    )
    id: Mapped[big_id]
    kind: Mapped[name_text]
    feature: Mapped[name_text]
    current_setup: Mapped[name_text]
    """A model, or a habit in words."""
    recommended_setup: Mapped[name_text]
    incumbent_from: Mapped[name_text]
    """How it is known which model is in use."""
    score: Mapped[int]
    saving_low: Mapped[dollars]
    saving: Mapped[dollars]
    saving_high: Mapped[dollars]
    evidence: Mapped[document]
    """All of it, as it was worked out."""
    sample_data: Mapped[bool]
    as_of: Mapped[date]
    status: Mapped[name_text] = mapped_column(server_default="open")
    moved_why: Mapped[str]
    moved_by: Mapped[actor]
    moved_at: Mapped[moment]
    actor: Mapped[actor]
    recorded_at: Mapped[recorded_at]


class RecommendationEventRow(Base):
    """One step of a recommendation. Written by a trigger, never changed."""

    __tablename__ = "recommendation_events"
    __table_args__ = (Index("ix_recommendation_events_recommendation_id", "recommendation_id"),)
    id: Mapped[big_id]
    recommendation_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("recommendations.id"))
    from_status: Mapped[name_text | None]
    to_status: Mapped[name_text]
    why: Mapped[str]
    actor: Mapped[actor]
    recorded_at: Mapped[recorded_at]


class SavingsMeasurementRow(Base):
    """What an accepted recommendation saved, beside what was projected. Added, never changed."""

    __tablename__ = "savings_measurements"
    __table_args__ = (
        UniqueConstraint("recommendation_id", "first", "last", name="uq_savings_measurements_window"),
        one_of("kept", "as projected", "less", "more", "not shown", "not measured"),
        CheckConstraint("(kept = 'not measured') = (realised IS NULL)", name="realised"),
        CheckConstraint("realised_low <= realised AND realised <= realised_high", name="interval"),
        CheckConstraint("first <= last", name="window"),
    )
    id: Mapped[big_id]
    recommendation_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("recommendations.id"))
    first: Mapped[date]
    """The first day after the change."""
    last: Mapped[date]
    kept: Mapped[name_text]
    realised_low: Mapped[dollars | None]
    realised: Mapped[dollars | None]
    """Null where it could not be measured; `facts` says why."""
    realised_high: Mapped[dollars | None]
    facts: Mapped[document]
    """The parts: projected, naive, by volume, mix and price, and of how many requests."""
    actor: Mapped[actor]
    recorded_at: Mapped[recorded_at]
