"""A deployment waits for as many approvals as its environment asks for, whoever writes it down."""

from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

# What comes back was approved before, and a baseline is what everyone had already. Fires after the table's own
# conditions: that production takes a second person is said first.
_APPROVALS = """
    CREATE FUNCTION deployments_approvals() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        wanted integer;
    BEGIN
        SELECT e.approvals_required INTO wanted FROM environments e WHERE e.name = NEW.environment;
        IF NEW.approvals_required < wanted AND NEW.trigger NOT IN ('baseline', 'rollback') THEN
            RAISE EXCEPTION '% asks for % of each deployment, not %', NEW.environment,
                wanted || CASE WHEN wanted = 1 THEN ' approval' ELSE ' approvals' END, NEW.approvals_required
                USING ERRCODE = 'check_violation';
        END IF;
        RETURN NULL;
    END $$
"""


def upgrade() -> None:
    op.execute(_APPROVALS)
    op.execute("""
        CREATE TRIGGER deployments_wait AFTER INSERT ON deployments
        FOR EACH ROW EXECUTE FUNCTION deployments_approvals()
    """)


def downgrade() -> None:
    op.execute("DROP TRIGGER deployments_wait ON deployments")
    op.execute("DROP FUNCTION deployments_approvals()")
