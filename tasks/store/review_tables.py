"""The table of reviews: what people made of drafts of the AI."""

from sqlalchemy import CheckConstraint, Index, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from tasks.store.columns import Base, actor, moment, name_text, recorded_at


class ReviewRow(Base):
    """One person's judgement of one aspect of one thing. Of the texts only how much was changed is kept."""

    __tablename__ = "reviews"
    __table_args__ = (
        CheckConstraint("distance BETWEEN 0 AND 1", name="distance"),
        CheckConstraint("label IS NOT NULL OR accepted IS NOT NULL OR distance IS NOT NULL", name="says_something"),
        Index("ix_reviews_at", "at"),
    )
    source: Mapped[name_text] = mapped_column(primary_key=True)
    """Whose ids the items are: that of the requests, where they are requests."""
    item: Mapped[name_text] = mapped_column(primary_key=True)
    reviewer: Mapped[name_text] = mapped_column(primary_key=True)
    aspect: Mapped[name_text] = mapped_column(primary_key=True)
    at: Mapped[moment]
    label: Mapped[name_text | None]
    accepted: Mapped[bool | None]
    """Whether the draft went out as it was."""
    distance: Mapped[float | None]
    """Share of the draft that was changed."""
    category: Mapped[name_text | None]
    seconds: Mapped[float | None]
    content_hash: Mapped[bytes] = mapped_column(LargeBinary)
    """16 bytes of what was said: tells a repetition from a contradiction."""
    actor: Mapped[actor]
    recorded_at: Mapped[recorded_at]
