"""Facts that answer for a quarter at once: the load of hours, and the heaviest persons of days."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("subjects", "most_left_out"):
        op.add_column("rolled_days", sa.Column(name, sa.BigInteger(), nullable=True))
    op.create_table(
        "usage_rhythm",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("hour", sa.DateTime(timezone=True), nullable=False),
        sa.Column("feature", sa.String(collation="C"), nullable=False),
        sa.Column("provider", sa.String(collation="C"), nullable=True),
        sa.Column("model", sa.String(collation="C"), nullable=True),
        sa.Column("requests", sa.BigInteger(), nullable=False),
        sa.Column("errors", sa.BigInteger(), nullable=False),
        sa.Column("unpriced", sa.BigInteger(), nullable=False),
        sa.Column("cost", sa.Numeric(), nullable=True),
        sa.ForeignKeyConstraint(["day"], ["rolled_days.day"], name=op.f("fk_usage_rhythm_day"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_usage_rhythm")),
        sa.UniqueConstraint(
            *("day", "hour", "feature", "provider", "model"), name="uq_usage_rhythm", postgresql_nulls_not_distinct=True
        ),
    )
    op.create_table(
        "usage_subjects",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("subject", sa.LargeBinary(), nullable=False),
        sa.Column("requests", sa.BigInteger(), nullable=False),
        sa.Column("unpriced", sa.BigInteger(), nullable=False),
        sa.Column("cost", sa.Numeric(), nullable=True),
        sa.ForeignKeyConstraint(["day"], ["rolled_days.day"], name=op.f("fk_usage_subjects_day"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("day", "subject", name=op.f("pk_usage_subjects")),
    )
    op.create_index("ix_usage_subjects_subject", "usage_subjects", ["subject"])
    op.execute("""
        INSERT INTO usage_rhythm (day, hour, feature, provider, model, requests, errors, unpriced, cost)
        SELECT day, hour, feature, provider, model, sum(requests), sum(errors), sum(unpriced), sum(cost)
        FROM usage_hourly GROUP BY day, hour, feature, provider, model
    """)


def downgrade() -> None:
    op.drop_index("ix_usage_subjects_subject", table_name="usage_subjects")
    op.drop_table("usage_subjects")
    op.drop_table("usage_rhythm")
    for name in ("most_left_out", "subjects"):
        op.drop_column("rolled_days", name)
