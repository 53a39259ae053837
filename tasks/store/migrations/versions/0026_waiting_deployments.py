"""A canary that waits for a person's word says so, once."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

_WAITING = """
    CREATE FUNCTION deployment_steps_outbox() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO outbox (event, target, feature, environment, why, facts, sample_data, actor)
        SELECT 'deployment.waits', 'deployment:' || d.id, d.feature, d.environment, NEW.why, jsonb_build_object(
            'percent', NEW.percent, 'prompt', d.bundle->>'prompt', 'model', d.bundle->>'model',
            'content_hash', d.content_hash), d.sample_data, NEW.actor
        FROM deployments d WHERE d.id = NEW.deployment_id;
        RETURN NULL;
    END $$
"""


def upgrade() -> None:
    op.add_column("deployment_steps", sa.Column("waits_since", sa.DateTime(timezone=True), nullable=True))
    op.execute(_WAITING)
    op.execute("""
        CREATE TRIGGER deployment_steps_outbox AFTER UPDATE OF waits_since ON deployment_steps
        FOR EACH ROW WHEN (OLD.waits_since IS NULL AND NEW.waits_since IS NOT NULL)
        EXECUTE FUNCTION deployment_steps_outbox()
    """)


def downgrade() -> None:
    op.execute("DROP TRIGGER deployment_steps_outbox ON deployment_steps")
    op.execute("DROP FUNCTION deployment_steps_outbox()")
    op.drop_column("deployment_steps", "waits_since")
