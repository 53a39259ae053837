"""The words of a prompt version are kept beside it: to rank ten thousand hits reads them and makes none again."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_prompt_versions_words", "prompt_versions")
    op.add_column(
        "prompt_versions",
        sa.Column("words", postgresql.TSVECTOR(), sa.Computed("prompt_words(spec)", persisted=True), nullable=True),
    )
    op.create_index("ix_prompt_versions_words", "prompt_versions", ["words"], postgresql_using="gin")


def downgrade() -> None:
    op.drop_index("ix_prompt_versions_words", "prompt_versions")
    op.drop_column("prompt_versions", "words")
    op.execute("CREATE INDEX ix_prompt_versions_words ON prompt_versions USING gin (prompt_words(spec))")
