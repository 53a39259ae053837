"""The times of a deployment are those of its steps: what was never live cannot be made to look as if it had been.

A rollback brings back, without anybody's approval, what was live before; `deployed_at` says what was.
"""

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


# Fires after deployments_keep, by its name: what a life does not have is said first.
_TIMES = """
    CREATE FUNCTION deployments_times() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        due deployments%ROWTYPE := OLD;
    BEGIN
        IF NEW.status <> OLD.status THEN
            CASE
                WHEN NEW.status = 'deploying' THEN due.began_at := now();
                WHEN NEW.status = 'deployed' THEN due.deployed_at := now();
                WHEN NEW.status IN ('failed', 'rolled_back', 'superseded') THEN due.ended_at := now();
                ELSE NULL;
            END CASE;
        END IF;
        IF (NEW.began_at, NEW.deployed_at, NEW.ended_at) IS DISTINCT FROM (OLD.began_at, OLD.deployed_at, OLD.ended_at)
            AND (NEW.began_at, NEW.deployed_at, NEW.ended_at)
                IS DISTINCT FROM (due.began_at, due.deployed_at, due.ended_at)
        THEN
            RAISE EXCEPTION 'the times of deployment % are those of its steps', OLD.id
                USING ERRCODE = 'check_violation';
        END IF;
        NEW.began_at := due.began_at;
        NEW.deployed_at := due.deployed_at;
        NEW.ended_at := due.ended_at;
        RETURN NEW;
    END $$
"""


def upgrade() -> None:
    op.execute(_TIMES)
    op.execute("""
        CREATE TRIGGER deployments_times BEFORE UPDATE ON deployments
        FOR EACH ROW EXECUTE FUNCTION deployments_times()
    """)


def downgrade() -> None:
    op.execute("DROP TRIGGER deployments_times ON deployments")
    op.execute("DROP FUNCTION deployments_times()")
