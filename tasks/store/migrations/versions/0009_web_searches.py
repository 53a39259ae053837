"""Searches of the web that requests made: they are billed by the piece."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("requests", sa.Column("web_searches", sa.Integer(), nullable=True))


def downgrade() -> None:
    op.drop_column("requests", "web_searches")
