"""Reviews: what people made of drafts of the AI."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:

    op.create_table(
        "reviews",
        sa.Column("source", sa.String(collation="C"), nullable=False),
        sa.Column("item", sa.String(collation="C"), nullable=False),
        sa.Column("reviewer", sa.String(collation="C"), nullable=False),
        sa.Column("aspect", sa.String(collation="C"), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("label", sa.String(collation="C"), nullable=True),
        sa.Column("accepted", sa.Boolean(), nullable=True),
        sa.Column("distance", sa.Float(), nullable=True),
        sa.Column("category", sa.String(collation="C"), nullable=True),
        sa.Column("seconds", sa.Float(), nullable=True),
        sa.Column("content_hash", sa.LargeBinary(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("distance BETWEEN 0 AND 1", name=op.f("ck_reviews_distance")),
        sa.CheckConstraint(
            "label IS NOT NULL OR accepted IS NOT NULL OR distance IS NOT NULL", name=op.f("ck_reviews_says_something")
        ),
        sa.PrimaryKeyConstraint("source", "item", "reviewer", "aspect", name=op.f("pk_reviews")),
    )
    op.create_index("ix_reviews_at", "reviews", ["at"], unique=False)


def downgrade() -> None:

    op.drop_index("ix_reviews_at", table_name="reviews")
    op.drop_table("reviews")
