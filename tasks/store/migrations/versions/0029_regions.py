"""Models say in which regions they can be had, environments in which of them they have to be."""

from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute('ALTER TABLE models ADD COLUMN regions varchar[] COLLATE "C"')
    op.execute('ALTER TABLE environments ADD COLUMN allowed_regions varchar[] COLLATE "C"')


def downgrade() -> None:
    op.execute("ALTER TABLE environments DROP COLUMN allowed_regions")
    op.execute("ALTER TABLE models DROP COLUMN regions")
