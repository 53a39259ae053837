"""Repricings of requests with what they changed, and persons who were forgotten."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "repricings",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("first_day", sa.Date(), nullable=False),
        sa.Column("last_day", sa.Date(), nullable=False),
        sa.Column("status", sa.String(collation="C"), nullable=False),
        sa.Column("looked_at", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("unpriced", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("kept", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("status IN ('running', 'done')", name=op.f("ck_repricings_status")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_repricings")),
    )
    op.create_table(
        "repriced",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("repricing_id", sa.BigInteger(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("provider", sa.String(collation="C"), nullable=True),
        sa.Column("model", sa.String(collation="C"), nullable=False),
        sa.Column("set_before", sa.BigInteger(), nullable=True),
        sa.Column("set_after", sa.BigInteger(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("cost_before", sa.Numeric(), nullable=True),
        sa.Column("cost_after", sa.Numeric(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["repricing_id"], ["repricings.id"], name=op.f("fk_repriced_repricing_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["set_after"], ["price_sets.id"], name=op.f("fk_repriced_set_after")),
        sa.ForeignKeyConstraint(["set_before"], ["price_sets.id"], name=op.f("fk_repriced_set_before")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_repriced")),
    )
    op.create_index(op.f("ix_repriced_repricing_id"), "repriced", ["repricing_id"], unique=False)
    op.create_table(
        "erasures",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("requests", sa.BigInteger(), nullable=False),
        sa.Column("spans", sa.BigInteger(), nullable=False),
        sa.Column("quarantined", sa.BigInteger(), nullable=False),
        sa.Column("days", sa.Integer(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_erasures")),
    )


def downgrade() -> None:
    op.drop_table("erasures")
    op.drop_index(op.f("ix_repriced_repricing_id"), table_name="repriced")
    op.drop_table("repriced")
    op.drop_table("repricings")
