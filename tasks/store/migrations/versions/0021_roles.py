"""Roles: who may write what, where, asked by triggers; a login writes under its own name.

Which table takes which role is said in rights.py, which sets these triggers on all tables after each migration.
"""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

_NEW = (
    *("role_rank(text)", "session_owns()", "session_actor()", "has_role(text, text, text, text)"),
    *("demand_role(text, text, text, text, text)", "project_of(uuid)"),
    *("role_guard()", "role_scope()", "actor_of_session()", "role_grants_keep()", "role_grants_tell()"),
    *("follow_grants(text)", "make_partition(text, text, date, date)"),
)


def _text(name: str, *, null: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(collation="C"), nullable=null)


def upgrade() -> None:
    op.create_table(
        "role_grants",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        *(_text(name) for name in ("subject", "role")),
        *(_text(name, null=True) for name in ("project", "environment")),
        sa.Column("why", sa.String(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("role IN ('viewer', 'runner', 'approver', 'admin')", name=op.f("ck_role_grants_role")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_role_grants")),
        sa.UniqueConstraint(
            "subject",
            "role",
            "project",
            "environment",
            name=op.f("uq_role_grants_subject_role_project_environment"),
            postgresql_nulls_not_distinct=True,
        ),
    )
    for function in (
        *(_RANK, _OWNS, _ACTOR, _HAS, _DEMAND, _PROJECT, _GUARD, _SCOPE, _SESSION, _KEEP, _FOLLOW, _TELL, _PARTITION),
    ):
        op.execute(function)
    op.execute("""
        CREATE TRIGGER role_grants_keep BEFORE UPDATE ON role_grants FOR EACH ROW EXECUTE FUNCTION role_grants_keep()
    """)
    op.execute("""
        CREATE CONSTRAINT TRIGGER role_grants_admin AFTER INSERT OR DELETE ON role_grants
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION role_grants_keep()
    """)
    op.execute("""
        CREATE TRIGGER role_grants_tell AFTER INSERT OR DELETE ON role_grants
        FOR EACH ROW EXECUTE FUNCTION role_grants_tell()
    """)
    # The functions of triggers are settled after each migration (rights.py); what they call looks where they look.
    for function in ("follow_grants(text)", "make_partition(text, text, date, date)"):
        op.execute(_settled(function))
        op.execute(f"REVOKE ALL ON FUNCTION {function} FROM PUBLIC")


def _settled(function: str) -> str:
    """Look up names in the schema of the tables, and among temporary ones last."""
    return f"""
        DO $$ BEGIN
            EXECUTE format('ALTER FUNCTION {function} SET search_path = %I, pg_temp', current_schema());
        END $$
    """


_RANK = """
    CREATE FUNCTION role_rank(role text) RETURNS integer LANGUAGE sql IMMUTABLE AS $$
        SELECT array_position(ARRAY['viewer', 'runner', 'approver', 'admin'], role)
    $$
"""
_OWNS = """
    CREATE FUNCTION session_owns() RETURNS boolean LANGUAGE plpgsql STABLE AS $$
    BEGIN
        RETURN pg_has_role(session_user, c.relowner, 'MEMBER') FROM pg_class c WHERE c.oid = 'role_grants'::regclass;
    END $$
"""
# In PL/pgSQL, which keeps its plans: a function in SQL would be planned at every statement that asks.
# The owner's sessions say for whom they act, and are believed: they could do everything anyway. Null is a session that
# says nothing: a migration, or a person at the database itself.
_ACTOR = """
    CREATE FUNCTION session_actor() RETURNS text LANGUAGE plpgsql STABLE AS $$
    BEGIN
        RETURN CASE WHEN session_owns() THEN nullif(current_setting('assay.actor', true), '')
            ELSE session_user::text END;
    END $$
"""
# A star stands for what does not count: rows that belong to no environment take the role anywhere. Null is every one.
_HAS = """
    CREATE FUNCTION has_role(who text, needed text, environment text, project text) RETURNS boolean
    LANGUAGE plpgsql STABLE AS $$
    BEGIN
        RETURN EXISTS (SELECT FROM role_grants g WHERE g.subject = who AND role_rank(g.role) >= role_rank(needed)
            AND (has_role.environment = '*' OR g.environment IS NULL OR g.environment = has_role.environment)
            AND (has_role.project = '*' OR g.project IS NULL OR g.project = has_role.project));
    END $$
"""
_DEMAND = """
    CREATE FUNCTION demand_role(who text, needed text, what text, environment text, project text) RETURNS void
    LANGUAGE plpgsql STABLE AS $$
    DECLARE
        here text := CASE WHEN environment = '*' THEN '' WHEN environment IS NULL THEN ' everywhere'
            ELSE ' in ' || environment END || CASE WHEN project <> '*' THEN ' for project ' || project ELSE '' END;
        has text;
        admins text;
        do_it text := 'assay roles grant ' || quote_ident(who) || ' ' || needed
            || CASE WHEN environment <> '*' THEN ' --environment ' || environment ELSE '' END
            || CASE WHEN project <> '*' THEN ' --project ' || project ELSE '' END;
    BEGIN
        IF has_role(who, needed, environment, project) THEN
            RETURN;
        END IF;
        SELECT string_agg(DISTINCT g.role || CASE WHEN g.project IS NULL AND g.environment IS NULL THEN ''
            ELSE ' ' || concat_ws(' ', 'for project ' || g.project, 'in ' || g.environment) END, ', ')
            INTO has FROM role_grants g WHERE g.subject = who;
        SELECT string_agg(DISTINCT g.subject, ', ') INTO admins FROM role_grants g WHERE g.role = 'admin'
            AND (demand_role.environment = '*' OR g.environment IS NULL OR g.environment = demand_role.environment)
            AND (demand_role.project = '*' OR g.project IS NULL OR g.project = demand_role.project);
        RAISE EXCEPTION '% may not %: that takes the role %, and % is %; % can grant it (%)', who, what || here, needed,
            who, coalesce(has, 'nothing yet'), coalesce(admins, 'an admin'), do_it
            USING ERRCODE = 'insufficient_privilege';
    END $$
"""
# A rollback belongs to the project of what it restores.
_PROJECT = """
    CREATE FUNCTION project_of(deployment uuid) RETURNS text LANGUAGE sql STABLE AS $$
        WITH RECURSIVE back AS (
            SELECT d.experiment_id, d.restores_id FROM deployments d WHERE d.id = deployment
            UNION SELECT d.experiment_id, d.restores_id FROM deployments d JOIN back ON d.id = back.restores_id)
        SELECT e.project FROM back JOIN experiments e ON e.id = back.experiment_id LIMIT 1
    $$
"""
# What another trigger writes down was asked for where it was set off: who gives up a role is not asked for it then.
_GUARD = """
    CREATE FUNCTION role_guard() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        who text;
        needed text;
    BEGIN
        IF pg_trigger_depth() > 1 AND TG_ARGV[4] = 'told' THEN
            RETURN NULL;
        END IF;
        IF EXISTS (SELECT FROM role_grants) THEN
            who := session_actor();
            needed := CASE TG_OP WHEN 'INSERT' THEN TG_ARGV[0] WHEN 'UPDATE' THEN TG_ARGV[1]
                WHEN 'DELETE' THEN TG_ARGV[2] ELSE 'admin' END;
            IF who IS NOT NULL AND NOT has_role(who, needed, '*', '*') THEN
                PERFORM demand_role(who, needed, TG_ARGV[3], '*', '*');
            END IF;
        END IF;
        RETURN NULL;
    END $$
"""
# What goes beyond a rule is a second person's: a check that was waived, a decision by hand, a review's yes or no, a
# selection that applications get.
_SCOPE = """
    CREATE FUNCTION role_scope() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        who text;
        said jsonb;
        needed text := CASE TG_OP WHEN 'INSERT' THEN TG_ARGV[0] WHEN 'UPDATE' THEN TG_ARGV[1] ELSE TG_ARGV[2] END;
        what text := TG_ARGV[3];
        place text;
        belongs text;
    BEGIN
        IF EXISTS (SELECT FROM role_grants) THEN
            who := session_actor();
        END IF;
        IF who IS NULL THEN
            RETURN coalesce(NEW, OLD);
        END IF;
        FOREACH said IN ARRAY array_remove(ARRAY[
            CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END,
            CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END], NULL)
        LOOP
            place := said->>'environment';
            belongs := '*';
            IF TG_TABLE_NAME = 'environments' THEN
                place := said->>'name';
            ELSIF TG_TABLE_NAME = 'prompt_reviews' THEN
                place := '*';
                IF said->>'to_state' IN ('approved', 'rejected') THEN
                    needed := 'approver';
                    what := 'say yes or no to prompts';
                END IF;
            ELSIF TG_TABLE_NAME IN ('experiments', 'role_grants') THEN
                belongs := said->>'project';
            ELSIF TG_TABLE_NAME = 'deployments' THEN
                belongs := coalesce(
                    (SELECT e.project FROM experiments e WHERE e.id = (said->>'experiment_id')::uuid),
                    project_of((said->>'restores_id')::uuid));
                IF TG_OP = 'INSERT' AND said->'evidence' ? 'waived' THEN
                    needed := 'approver';
                    what := 'waive what speaks against a bundle';
                END IF;
            ELSIF said ? 'deployment_id' THEN
                SELECT d.environment, project_of(d.id) INTO place, belongs FROM deployments d
                    WHERE d.id = (said->>'deployment_id')::uuid;
            ELSIF said ? 'experiment_id' THEN
                SELECT e.environment, e.project INTO place, belongs FROM experiments e
                    WHERE e.id = (said->>'experiment_id')::uuid;
                IF TG_TABLE_NAME = 'experiment_decisions' AND NOT (said->>'automatic')::boolean THEN
                    needed := 'approver';
                    what := 'decide an experiment by hand';
                END IF;
            ELSIF TG_TABLE_NAME = 'selections' AND (said->>'published')::boolean THEN
                needed := 'approver';
                what := 'publish a selected model';
            END IF;
            PERFORM demand_role(who, needed, what, place, belongs);
        END LOOP;
        RETURN coalesce(NEW, OLD);
    END $$
"""
# A login that is not the owner writes under its own name, whatever its client says. The owner's writes do not come
# here: a condition of the trigger sees to it, which costs a bulk of rows next to nothing.
_SESSION = """
    CREATE FUNCTION actor_of_session() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'INSERT' OR NEW.actor IS DISTINCT FROM OLD.actor THEN
            NEW.actor := session_user;
        END IF;
        IF TG_TABLE_NAME IN ('deployments', 'recommendations') THEN
            NEW.moved_by := session_user;
        ELSIF TG_TABLE_NAME = 'prompt_versions' THEN
            IF NEW.registered_by IS NOT NULL
                AND (TG_OP = 'INSERT' OR NEW.registered_by IS DISTINCT FROM OLD.registered_by)
            THEN
                NEW.registered_by := session_user;
            END IF;
        END IF;
        RETURN NEW;
    END $$
"""
_KEEP = """
    CREATE FUNCTION role_grants_keep() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'UPDATE' THEN
            RAISE EXCEPTION 'a grant is made and revoked, never changed' USING ERRCODE = 'check_violation';
        END IF;
        IF EXISTS (SELECT FROM role_grants) AND NOT EXISTS (
            SELECT FROM role_grants WHERE role = 'admin' AND project IS NULL AND environment IS NULL)
        THEN
            RAISE EXCEPTION 'somebody has to be admin everywhere while anybody has a role'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'role_grants_admin';
        END IF;
        RETURN NULL;
    END $$
"""
# On a server a login becomes a member of the group of its highest role, and of no other.
_FOLLOW = """
    CREATE FUNCTION follow_grants(who text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
    DECLARE
        highest text;
        each text;
    BEGIN
        IF to_regrole('assay_viewer') IS NULL
            OR NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = who AND r.rolcanlogin AND NOT r.rolsuper)
        THEN
            RETURN;
        END IF;
        SELECT g.role INTO highest FROM role_grants g WHERE g.subject = who ORDER BY role_rank(g.role) DESC LIMIT 1;
        FOREACH each IN ARRAY ARRAY['viewer', 'runner', 'approver', 'admin'] LOOP
            IF each = highest THEN
                EXECUTE format('GRANT %I TO %I', 'assay_' || each, who);
            ELSIF EXISTS (SELECT FROM pg_auth_members m WHERE m.roleid = to_regrole('assay_' || each)
                AND m.member = (SELECT oid FROM pg_roles WHERE rolname = who))
            THEN
                EXECUTE format('REVOKE %I FROM %I', 'assay_' || each, who);
            END IF;
        END LOOP;
    END $$
"""
_TELL = """
    CREATE FUNCTION role_grants_tell() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
    DECLARE
        told role_grants%ROWTYPE := coalesce(NEW, OLD);
    BEGIN
        INSERT INTO audit_log (action, target, environment, why, facts, actor) VALUES (
            CASE TG_OP WHEN 'INSERT' THEN 'role granted' ELSE 'role revoked' END, 'actor:' || told.subject,
            told.environment, CASE TG_OP WHEN 'INSERT' THEN told.why
                ELSE coalesce(current_setting('assay.why', true), '') END,
            jsonb_build_object('role', told.role, 'project', told.project, 'environment', told.environment),
            CASE TG_OP WHEN 'INSERT' THEN told.actor ELSE coalesce(session_actor(), session_user) END);
        PERFORM follow_grants(told.subject);
        RETURN NULL;
    END $$
"""
# Whoever lands requests needs a place for them, but is not the owner of their table.
_PARTITION = """
    CREATE FUNCTION make_partition(parent text, part text, starts date, ends date) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER AS $$
    BEGIN
        IF parent NOT IN ('requests', 'spans') OR part !~ ('^' || parent || '_[0-9_]+$') THEN
            RAISE EXCEPTION '% is no part of requests or spans', part USING ERRCODE = 'check_violation';
        END IF;
        -- Made beside the table and attached: creating it in place would lock out everyone who reads the table.
        EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', part, parent);
        EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', parent, part,
            to_char(starts, 'YYYY-MM-DD"T00:00:00Z"'), to_char(ends, 'YYYY-MM-DD"T00:00:00Z"'));
    END $$
"""


def downgrade() -> None:
    op.drop_table("role_grants")
    for function in reversed(_NEW):
        op.execute(f"DROP FUNCTION {function} CASCADE")
