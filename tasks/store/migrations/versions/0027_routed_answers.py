"""An answer says which model gave it where a route chose between two."""

from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE answers ADD COLUMN routed_to varchar")


def downgrade() -> None:
    op.execute("ALTER TABLE answers DROP COLUMN routed_to")
