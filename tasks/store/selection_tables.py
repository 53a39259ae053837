"""The table of selections: which model a policy chose for a feature, from what, and whether it was published."""

from datetime import date
from typing import Any

from sqlalchemy import CheckConstraint, Index
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from tasks.store.columns import Base, actor, big_id, document, name_text, recorded_at


class SelectionRow(Base):
    """One choice, or one withdrawal of what was published. Rows are added, never changed."""

    __tablename__ = "selections"
    __table_args__ = (
        CheckConstraint("published OR NOT withdrawn", name="withdrawn"),
        CheckConstraint("NOT published OR withdrawn OR (model IS NOT NULL AND bundle IS NOT NULL)", name="published"),
        Index("ix_selections_feature", "feature", "environment", "id"),
    )
    id: Mapped[big_id]
    feature: Mapped[name_text]
    environment: Mapped[name_text]
    model: Mapped[name_text | None]
    """Null when none qualified, or for a withdrawal."""
    bundle: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    """What applications get of it; null unless it was published."""
    published: Mapped[bool]
    withdrawn: Mapped[bool]
    """From here on no selection has a say in the feature's flag."""
    policy: Mapped[name_text]
    policy_version: Mapped[name_text]
    explanation: Mapped[document]
    """What was asked, and every candidate with its checks and why it was chosen or not."""
    as_of: Mapped[date]
    """The day whose prices and life cycles counted."""
    why: Mapped[str]
    actor: Mapped[actor]
    recorded_at: Mapped[recorded_at]
