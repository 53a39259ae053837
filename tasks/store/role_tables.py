"""The table of roles: who has which, where. What it means is enforced by triggers (rights.py) and, on a server, by
Postgres' own roles, which follow it.
"""

from sqlalchemy import UniqueConstraint
from sqlalchemy.orm import Mapped

from evaluations.roles import ROLES
from tasks.store.columns import Base, actor, big_id, name_text, one_of, recorded_at


class RoleGrantRow(Base):
    """A role that somebody has. While there is none at all everybody may do everything."""

    __tablename__ = "role_grants"
    __table_args__ = (
        one_of("role", *ROLES),
        UniqueConstraint("subject", "role", "project", "environment", postgresql_nulls_not_distinct=True),
    )
    id: Mapped[big_id]
    subject: Mapped[name_text]
    """The actor of a session; on a server of one's own, the login."""
    role: Mapped[name_text]
    project: Mapped[name_text | None]
    """Null: every one, and what belongs to none."""
    environment: Mapped[name_text | None]
    """Null: every one."""
    why: Mapped[str]
    actor: Mapped[actor]
    recorded_at: Mapped[recorded_at]
