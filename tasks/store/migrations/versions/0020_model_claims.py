"""What is claimed of models, to be held against what is measured; the run behind a measured use-case score."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "models", sa.Column("claims", postgresql.JSONB(), nullable=False, server_default=sa.text("'[]'::jsonb"))
    )
    op.alter_column("models", "claims", server_default=None)
    op.add_column("model_use_case_scores", sa.Column("run_id", sa.Uuid(), nullable=True))
    op.create_foreign_key(
        op.f("fk_model_use_case_scores_run_id"),
        "model_use_case_scores",
        "runs",
        ["run_id"],
        ["id"],
        ondelete="SET NULL",
    )


def downgrade() -> None:
    op.drop_constraint(op.f("fk_model_use_case_scores_run_id"), "model_use_case_scores", type_="foreignkey")
    op.drop_column("model_use_case_scores", "run_id")
    op.drop_column("models", "claims")
