"""The tables of the prompt registry beside prompts and their versions: the trail of reviews, and comments.

Rows are only ever added, and only in an order that the life of a review has: triggers of the migration refuse anything
else, whoever asks.
"""

from uuid import UUID

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from tasks.store.columns import Base, actor, big_id, digest, name_text, recorded_at


class PromptReviewRow(Base):
    """A step in the review of a version. The latest one says where it stands."""

    __tablename__ = "prompt_reviews"
    id: Mapped[big_id]
    version_id: Mapped[UUID] = mapped_column(ForeignKey("prompt_versions.id"), index=True)
    from_state: Mapped[name_text | None]
    """Null for the first one."""
    to_state: Mapped[name_text]
    content_hash: Mapped[digest]
    """Of what was looked at; never another one than the version's."""
    why: Mapped[str]
    actor: Mapped[actor]
    recorded_at: Mapped[recorded_at]


class PromptCommentRow(Base):
    """What somebody wrote about a version."""

    __tablename__ = "prompt_comments"
    id: Mapped[big_id]
    version_id: Mapped[UUID] = mapped_column(ForeignKey("prompt_versions.id"), index=True)
    text: Mapped[str]
    place: Mapped[str]
    """The part or line that is meant; empty for the whole."""
    actor: Mapped[actor]
    recorded_at: Mapped[recorded_at]
