"""Selections: which model a policy chose for a feature, and why; added to, never changed."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def _name(column: str, *, null: bool = False) -> sa.Column[str]:
    return sa.Column(column, sa.String(collation="C"), nullable=null)


def upgrade() -> None:
    op.create_table(
        "selections",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        _name("feature"),
        _name("environment"),
        _name("model", null=True),
        sa.Column("bundle", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("published", sa.Boolean(), nullable=False),
        sa.Column("withdrawn", sa.Boolean(), nullable=False),
        _name("policy"),
        _name("policy_version"),
        sa.Column("explanation", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("as_of", sa.Date(), nullable=False),
        sa.Column("why", sa.String(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("published OR NOT withdrawn", name=op.f("ck_selections_withdrawn")),
        sa.CheckConstraint(
            "NOT published OR withdrawn OR (model IS NOT NULL AND bundle IS NOT NULL)",
            name=op.f("ck_selections_published"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_selections")),
    )
    op.create_index("ix_selections_feature", "selections", ["feature", "environment", "id"])
    op.execute("""
        CREATE TRIGGER selections_history BEFORE UPDATE OR DELETE ON selections
        FOR EACH ROW EXECUTE FUNCTION deployments_history()
    """)
    op.execute("CREATE TRIGGER selections_stay BEFORE TRUNCATE ON selections EXECUTE FUNCTION deployments_history()")


def downgrade() -> None:
    op.drop_table("selections")
