"""Persons of each feature and day, so that who uses what is known without reading the requests again."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "usage_persons",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("feature", sa.String(collation="C"), nullable=False),
        sa.Column("persons", sa.BigInteger(), nullable=False),
        sa.Column("requests", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["day"], ["rolled_days.day"], name=op.f("fk_usage_persons_day"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("day", "feature", name=op.f("pk_usage_persons")),
    )
    # The facts of all days that are there are to be written: a mark is what leads to that, and restates nothing.
    op.execute("""
        INSERT INTO rollup_dirty (day, cause, rows, actor) SELECT day, 'ingest', 0, 'migration' FROM rolled_days
    """)


def downgrade() -> None:
    op.drop_table("usage_persons")
