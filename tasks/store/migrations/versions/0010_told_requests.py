"""Requests that say something of a customer's matter are found without reading all, and so is who came back."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_TOLD = """(ticket IS NOT NULL OR resolution IS NOT NULL OR rating IS NOT NULL OR sentiment IS NOT NULL
    OR handled_by IS NOT NULL OR escalated_at IS NOT NULL OR escalation_reason IS NOT NULL OR reopened IS NOT NULL
    OR resolution_s IS NOT NULL OR follow_up_required IS NOT NULL OR follow_up_completed IS NOT NULL)"""


def _with_subject(*columns: str) -> None:
    op.drop_index("ix_requests_subject", table_name="requests")
    op.create_index(
        "ix_requests_subject", "requests", list(columns), unique=False, postgresql_where=sa.text("subject IS NOT NULL")
    )


def upgrade() -> None:
    _with_subject("subject", "feature", "at")
    op.create_index("ix_requests_told", "requests", ["at", "feature"], unique=False, postgresql_where=sa.text(_TOLD))


def downgrade() -> None:
    op.drop_index("ix_requests_told", table_name="requests")
    _with_subject("subject")
