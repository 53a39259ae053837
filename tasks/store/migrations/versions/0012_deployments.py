"""Deployments: bundles, their lives, approvals, canary steps and looks; what is live; the chain of all decisions.

The rules are the database's own: a step that a deployment's life does not have, an approval by its author, two live
bundles of a feature, a canary beside a running experiment and a changed history are refused whoever asks.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_TABLES = (
    *("flag_deliveries", "live_bundles", "deployment_looks", "deployment_steps", "deployment_approvals"),
    *("deployment_events", "deployments", "audit_heads", "audit_log"),
)
_HISTORIES = (*("audit_log", "deployment_events", "deployment_approvals", "deployment_looks", "flag_deliveries"),)
_STEPS = """
    ('pending_approval', 'pending'), ('pending_approval', 'failed'),
    ('pending', 'deploying'), ('pending', 'failed'),
    ('deploying', 'deployed'), ('deploying', 'rolled_back'), ('deploying', 'failed'),
    ('deployed', 'superseded'), ('deployed', 'rolled_back')"""


def _text(name: str, *, null: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(collation="C"), nullable=null)


def _prose(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text() if name == "actor" else sa.String(), nullable=False)


def _moment(name: str, *, null: bool = True) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=null)


def _now(name: str = "recorded_at") -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False)


def _json(name: str) -> sa.Column[Any]:
    return sa.Column(name, postgresql.JSONB(astext_type=sa.Text()), nullable=False)


def _id(kind: str = "big") -> sa.Column[Any]:
    if kind == "uuid":
        return sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False)
    return sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False)


def _of_deployment(table: str) -> list[Any]:
    return [
        sa.Column("deployment_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["deployment_id"], ["deployments.id"], name=op.f(f"fk_{table}_deployment_id")),
    ]


def upgrade() -> None:
    _audit_tables()
    _deployment_tables()
    for function in (_CHAIN, _HEADS, _HISTORY, _TRAFFIC, _KEEP, _TELL, _ONE_LIVE, _APPROVAL, _STEP, _LIVE, _EXPERIMENT):
        op.execute(function)
    _triggers()


def _audit_tables() -> None:
    op.create_table(
        "audit_log",
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        *(_text(name) for name in ("action", "target")),
        *(_text(name, null=True) for name in ("feature", "environment")),
        _prose("why"),
        _json("facts"),
        *(_text(name) for name in ("previous_hash", "hash")),
        _prose("actor"),
        _now(),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_audit_log")),
    )
    op.create_index("ix_audit_log_target", "audit_log", ["target", "seq"])
    op.create_table(
        "audit_heads",
        sa.Column("one", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        _text("hash"),
        _prose("actor"),
        _now(),
        sa.CheckConstraint("one", name=op.f("ck_audit_heads_one")),
        sa.PrimaryKeyConstraint("one", name=op.f("pk_audit_heads")),
    )
    op.execute("INSERT INTO audit_heads (seq, hash, actor) VALUES (0, repeat('0', 64), 'assay')")


def _deployment_tables() -> None:
    op.create_table(
        "deployments",
        _id("uuid"),
        *(_text(name) for name in ("feature", "environment", "status", "trigger")),
        _json("bundle"),
        _text("content_hash"),
        sa.Column("experiment_id", sa.Uuid(), nullable=True),
        _text("variant", null=True),
        sa.Column("previous_id", sa.Uuid(), nullable=True),
        sa.Column("restores_id", sa.Uuid(), nullable=True),
        sa.Column("rollout_percent", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("approvals_required", sa.SmallInteger(), nullable=False),
        _json("policy"),
        _json("evidence"),
        sa.Column("monthly_cost", sa.Numeric(20, 12), nullable=True),
        sa.Column("sample_data", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        *(_moment(name) for name in ("began_at", "deployed_at", "ended_at")),
        _prose("why"),
        _prose("moved_by"),
        _prose("moved_why"),
        _now("updated_at"),
        _prose("actor"),
        _now(),
        sa.CheckConstraint(
            "status IN ('pending_approval', 'pending', 'deploying', 'deployed', 'failed', 'rolled_back', 'superseded')",
            name=op.f("ck_deployments_status"),
        ),
        sa.CheckConstraint(
            "trigger IN ('experiment', 'manual', 'baseline', 'rollback')", name=op.f("ck_deployments_trigger")
        ),
        sa.CheckConstraint("rollout_percent BETWEEN 0 AND 100", name=op.f("ck_deployments_rollout_percent")),
        sa.CheckConstraint(
            "environment <> 'production' OR approvals_required > 0 OR trigger IN ('baseline', 'rollback')",
            name=op.f("ck_deployments_second_person"),
        ),
        sa.CheckConstraint("(trigger = 'rollback') = (restores_id IS NOT NULL)", name=op.f("ck_deployments_restores")),
        sa.ForeignKeyConstraint(["experiment_id"], ["experiments.id"], name=op.f("fk_deployments_experiment_id")),
        sa.ForeignKeyConstraint(["previous_id"], ["deployments.id"], name=op.f("fk_deployments_previous_id")),
        sa.ForeignKeyConstraint(["restores_id"], ["deployments.id"], name=op.f("fk_deployments_restores_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deployments")),
        sa.UniqueConstraint("id", "feature", "environment", name=op.f("uq_deployments_id_feature_environment")),
    )
    for name, condition in (
        ("uq_deployments_under_way", "status IN ('pending_approval', 'pending', 'deploying')"),
        ("uq_deployments_live", "status = 'deployed'"),
    ):
        op.create_index(
            name, "deployments", ["feature", "environment"], unique=True, postgresql_where=sa.text(condition)
        )
    op.create_index("ix_deployments_recorded_at", "deployments", ["recorded_at"])
    op.create_table(
        "deployment_events",
        _id(),
        *_of_deployment("deployment_events"),
        _text("from_status", null=True),
        _text("to_status"),
        sa.Column("rollout_percent", sa.SmallInteger(), nullable=False),
        _prose("why"),
        _prose("actor"),
        _now(),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deployment_events")),
    )
    op.create_index("ix_deployment_events_deployment_id", "deployment_events", ["deployment_id"])
    op.create_table(
        "deployment_approvals",
        _id(),
        *_of_deployment("deployment_approvals"),
        _text("decision"),
        _text("content_hash"),
        _moment("expires_at", null=False),
        _prose("why"),
        _prose("actor"),
        _now(),
        sa.CheckConstraint("decision IN ('approved', 'rejected')", name=op.f("ck_deployment_approvals_decision")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deployment_approvals")),
    )
    op.create_index("ix_deployment_approvals_deployment_id", "deployment_approvals", ["deployment_id"])
    op.create_table(
        "deployment_steps",
        *_of_deployment("deployment_steps"),
        sa.Column("step", sa.SmallInteger(), nullable=False),
        sa.Column("percent", sa.SmallInteger(), nullable=False),
        _moment("began_at", null=False),
        _moment("ended_at"),
        _text("outcome", null=True),
        _prose("why"),
        _prose("actor"),
        _now(),
        sa.CheckConstraint("percent BETWEEN 1 AND 100", name=op.f("ck_deployment_steps_percent")),
        sa.CheckConstraint("outcome IN ('passed', 'forced', 'rolled_back')", name=op.f("ck_deployment_steps_outcome")),
        sa.CheckConstraint("(ended_at IS NULL) = (outcome IS NULL)", name=op.f("ck_deployment_steps_ended")),
        sa.PrimaryKeyConstraint("deployment_id", "step", name=op.f("pk_deployment_steps")),
    )
    op.create_table(
        "deployment_looks",
        _id(),
        *_of_deployment("deployment_looks"),
        sa.Column("step", sa.SmallInteger(), nullable=False),
        _text("verdict"),
        _prose("sentence"),
        _text("data_hash"),
        _json("facts"),
        _prose("actor"),
        _now(),
        sa.CheckConstraint(
            "verdict IN ('roll_back', 'fine', 'too_few', 'held')", name=op.f("ck_deployment_looks_verdict")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deployment_looks")),
    )
    op.create_index("ix_deployment_looks_deployment_id_step", "deployment_looks", ["deployment_id", "step"])
    op.create_table(
        "live_bundles",
        *(_text(name) for name in ("feature", "environment")),
        sa.Column("deployment_id", sa.Uuid(), nullable=False),
        _prose("actor"),
        _now(),
        sa.ForeignKeyConstraint(
            ["deployment_id", "feature", "environment"],
            ["deployments.id", "deployments.feature", "deployments.environment"],
            name=op.f("fk_live_bundles_deployment_id_feature_environment"),
        ),
        sa.PrimaryKeyConstraint("feature", "environment", name=op.f("pk_live_bundles")),
        sa.UniqueConstraint("deployment_id", name=op.f("uq_live_bundles_deployment_id")),
    )
    op.create_table(
        "flag_deliveries",
        _id(),
        *(_text(name) for name in ("environment", "channel", "document_hash")),
        sa.Column("delivered", sa.Boolean(), nullable=False),
        _prose("detail"),
        _prose("actor"),
        _now(),
        sa.CheckConstraint("channel IN ('file', 'put', 'webhook')", name=op.f("ck_flag_deliveries_channel")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_flag_deliveries")),
    )
    op.create_index("ix_flag_deliveries_environment_channel", "flag_deliveries", ["environment", "channel"])


# Who writes is told where the chain ends, one after the other: the head row is the lock. What is hashed is every
# column with its length before it, so that no two rows have one text.
_CHAIN = """
    CREATE FUNCTION audit_log_chain() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        head audit_heads%ROWTYPE;
        said text := '';
        part text;
    BEGIN
        SELECT * INTO STRICT head FROM audit_heads FOR UPDATE;
        NEW.seq := head.seq + 1;
        NEW.previous_hash := head.hash;
        NEW.recorded_at := clock_timestamp();
        FOREACH part IN ARRAY ARRAY[
            NEW.previous_hash, NEW.seq::text,
            to_char(NEW.recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'),
            NEW.actor, NEW.action, NEW.target, NEW.feature, NEW.environment, NEW.why, NEW.facts::text]
        LOOP
            said := said || coalesce(octet_length(convert_to(part, 'UTF8')) || ':' || part, '-');
        END LOOP;
        NEW.hash := encode(sha256(convert_to(said, 'UTF8')), 'hex');
        UPDATE audit_heads SET seq = NEW.seq, hash = NEW.hash, actor = NEW.actor, recorded_at = NEW.recorded_at;
        RETURN NEW;
    END $$
"""
_HEADS = """
    CREATE FUNCTION audit_heads_keep() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP <> 'UPDATE' OR NEW.seq <> OLD.seq + 1 THEN
            RAISE EXCEPTION 'the end of the audit chain moves with its entries alone'
                USING ERRCODE = 'check_violation';
        END IF;
        RETURN NEW;
    END $$
"""
_HISTORY = """
    CREATE FUNCTION deployments_history() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION '% is a history: rows are added, never changed', TG_TABLE_NAME
            USING ERRCODE = 'check_violation';
    END $$
"""
_TRAFFIC = """
    CREATE FUNCTION hold_traffic(feature text, environment text) RETURNS void LANGUAGE sql AS $$
        SELECT pg_advisory_xact_lock(hashtext('assay traffic'), hashtext(feature || '/' || environment))
    $$
"""
_KEEP = f"""
    CREATE FUNCTION deployments_keep() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        other text;
        approved integer;
    BEGIN
        IF TG_OP = 'DELETE' THEN
            RAISE EXCEPTION 'deployments stay on record' USING ERRCODE = 'check_violation';
        END IF;
        PERFORM hold_traffic(NEW.feature, NEW.environment);
        IF btrim(NEW.moved_by) = '' OR btrim(NEW.actor) = '' THEN
            RAISE EXCEPTION 'a deployment says who moved it' USING ERRCODE = 'check_violation';
        END IF;
        IF TG_OP = 'INSERT' THEN
            IF NEW.status <> (CASE WHEN NEW.approvals_required > 0 THEN 'pending_approval' ELSE 'pending' END) THEN
                RAISE EXCEPTION 'a deployment begins before its approvals, not as %', NEW.status
                    USING ERRCODE = 'check_violation';
            END IF;
            IF NEW.rollout_percent <> 0 OR NEW.began_at IS NOT NULL OR NEW.deployed_at IS NOT NULL THEN
                RAISE EXCEPTION 'a deployment begins without traffic' USING ERRCODE = 'check_violation';
            END IF;
            IF NEW.trigger = 'rollback' AND NOT EXISTS (
                SELECT FROM deployments d WHERE d.id = NEW.restores_id AND d.feature = NEW.feature
                    AND d.environment = NEW.environment AND d.deployed_at IS NOT NULL
                    AND d.content_hash = NEW.content_hash AND d.bundle = NEW.bundle)
            THEN
                RAISE EXCEPTION 'a rollback restores a bundle that was live there before'
                    USING ERRCODE = 'check_violation';
            END IF;
            IF NEW.trigger = 'baseline' AND EXISTS (
                SELECT FROM live_bundles l WHERE l.feature = NEW.feature AND l.environment = NEW.environment)
            THEN
                RAISE EXCEPTION 'only a feature without a live bundle has a baseline'
                    USING ERRCODE = 'check_violation';
            END IF;
            RETURN NEW;
        END IF;
        IF (NEW.id, NEW.feature, NEW.environment, NEW.trigger, NEW.bundle, NEW.content_hash, NEW.experiment_id,
                NEW.variant, NEW.previous_id, NEW.restores_id, NEW.approvals_required, NEW.policy, NEW.evidence,
                NEW.monthly_cost, NEW.sample_data, NEW.why, NEW.actor, NEW.recorded_at)
            IS DISTINCT FROM (OLD.id, OLD.feature, OLD.environment, OLD.trigger, OLD.bundle, OLD.content_hash,
                OLD.experiment_id, OLD.variant, OLD.previous_id, OLD.restores_id, OLD.approvals_required, OLD.policy,
                OLD.evidence, OLD.monthly_cost, OLD.sample_data, OLD.why, OLD.actor, OLD.recorded_at)
        THEN
            RAISE EXCEPTION 'deployment % is frozen: what was asked for is what is approved', OLD.id
                USING ERRCODE = 'check_violation';
        END IF;
        IF NEW.status <> OLD.status AND (OLD.status, NEW.status) NOT IN ({_STEPS}) THEN
            RAISE EXCEPTION 'deployment % cannot go from % to %', OLD.id, OLD.status, NEW.status
                USING ERRCODE = 'check_violation';
        END IF;
        IF NEW.rollout_percent < OLD.rollout_percent AND NEW.status NOT IN ('rolled_back', 'failed', 'superseded')
            OR NEW.rollout_percent <> OLD.rollout_percent AND NEW.status IN ('pending_approval', 'pending')
        THEN
            RAISE EXCEPTION 'deployment % is %: its share cannot go from % to %', OLD.id, NEW.status,
                OLD.rollout_percent, NEW.rollout_percent USING ERRCODE = 'check_violation';
        END IF;
        IF NEW.status = 'deployed' AND NEW.rollout_percent <> 100 THEN
            RAISE EXCEPTION 'what is deployed has all the traffic' USING ERRCODE = 'check_violation';
        END IF;
        IF OLD.approvals_required > 0 AND NEW.status <> OLD.status AND NEW.status IN ('pending', 'deploying') THEN
            SELECT count(DISTINCT lower(btrim(a.actor))) INTO approved FROM deployment_approvals a
                WHERE a.deployment_id = OLD.id AND a.decision = 'approved' AND a.content_hash = OLD.content_hash
                    AND a.expires_at > now();
            IF approved < OLD.approvals_required OR EXISTS (
                SELECT FROM deployment_approvals a WHERE a.deployment_id = OLD.id AND a.decision = 'rejected')
            THEN
                RAISE EXCEPTION 'deployment % has % of % approvals that hold', OLD.id, approved,
                    OLD.approvals_required USING ERRCODE = 'check_violation';
            END IF;
        END IF;
        IF NEW.status = 'deploying' AND OLD.status <> 'deploying' AND OLD.trigger <> 'baseline' THEN
            SELECT e.name INTO other FROM experiments e WHERE e.feature = NEW.feature
                AND e.environment = NEW.environment AND e.status IN ('running', 'paused')
                AND e.design = 'live_split' AND (OLD.trigger <> 'rollback' OR e.status = 'running') LIMIT 1;
            IF other IS NOT NULL THEN
                RAISE EXCEPTION 'experiment % has the traffic of % in %', other, NEW.feature, NEW.environment
                    USING ERRCODE = 'check_violation';
            END IF;
        END IF;
        NEW.updated_at := now();
        RETURN NEW;
    END $$
"""
# Nobody can move a deployment without its event and its link of the chain.
_TELL = """
    CREATE FUNCTION deployments_tell() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        before text := CASE WHEN TG_OP = 'UPDATE' THEN OLD.status END;
    BEGIN
        IF TG_OP = 'UPDATE' AND (NEW.status, NEW.rollout_percent) = (OLD.status, OLD.rollout_percent) THEN
            RETURN NULL;
        END IF;
        INSERT INTO deployment_events (deployment_id, from_status, to_status, rollout_percent, why, actor)
            VALUES (NEW.id, before, NEW.status, NEW.rollout_percent, NEW.moved_why, NEW.moved_by);
        INSERT INTO audit_log (action, target, feature, environment, why, facts, actor) VALUES (
            'deployment ' || replace(NEW.status, '_', ' '), 'deployment:' || NEW.id, NEW.feature, NEW.environment,
            NEW.moved_why, jsonb_build_object('from', before, 'to', NEW.status, 'percent', NEW.rollout_percent,
                'trigger', NEW.trigger, 'content_hash', NEW.content_hash, 'bundle', NEW.bundle), NEW.moved_by);
        RETURN NULL;
    END $$
"""
_ONE_LIVE = """
    CREATE FUNCTION deployments_one_live() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF (SELECT array_agg(d.id) FROM deployments d WHERE d.feature = NEW.feature
                AND d.environment = NEW.environment AND d.status = 'deployed')
            IS DISTINCT FROM (SELECT array_agg(l.deployment_id) FROM live_bundles l WHERE l.feature = NEW.feature
                AND l.environment = NEW.environment)
        THEN
            RAISE EXCEPTION '% in % would not have exactly one live bundle', NEW.feature, NEW.environment
                USING ERRCODE = 'check_violation';
        END IF;
        RETURN NULL;
    END $$
"""
_APPROVAL = """
    CREATE FUNCTION deployment_approvals_keep() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        asked deployments%ROWTYPE;
    BEGIN
        SELECT * INTO asked FROM deployments WHERE id = NEW.deployment_id FOR UPDATE;
        IF asked.status <> 'pending_approval' THEN
            RAISE EXCEPTION 'deployment % is %, it waits for no approval', asked.id, asked.status
                USING ERRCODE = 'check_violation';
        END IF;
        IF lower(btrim(NEW.actor)) = '' OR lower(btrim(NEW.actor)) = lower(btrim(asked.actor)) THEN
            RAISE EXCEPTION 'who asked for deployment % cannot approve it', asked.id
                USING ERRCODE = 'check_violation';
        END IF;
        IF NEW.content_hash <> asked.content_hash THEN
            RAISE EXCEPTION 'deployment % is of another bundle than the one that was looked at', asked.id
                USING ERRCODE = 'check_violation';
        END IF;
        IF NEW.expires_at <= now() THEN
            RAISE EXCEPTION 'an approval ends later than it begins' USING ERRCODE = 'check_violation';
        END IF;
        INSERT INTO audit_log (action, target, feature, environment, why, facts, actor) VALUES (
            'deployment ' || NEW.decision, 'deployment:' || asked.id, asked.feature, asked.environment, NEW.why,
            jsonb_build_object('content_hash', NEW.content_hash, 'expires_at', NEW.expires_at), NEW.actor);
        RETURN NEW;
    END $$
"""
_STEP = """
    CREATE FUNCTION deployment_steps_keep() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'DELETE' THEN
            RAISE EXCEPTION 'deployment_steps is a history' USING ERRCODE = 'check_violation';
        END IF;
        IF TG_OP = 'UPDATE' THEN
            IF OLD.ended_at IS NOT NULL OR (NEW.deployment_id, NEW.step, NEW.percent, NEW.began_at, NEW.recorded_at)
                <> (OLD.deployment_id, OLD.step, OLD.percent, OLD.began_at, OLD.recorded_at)
            THEN
                RAISE EXCEPTION 'a canary step ends once and is not changed' USING ERRCODE = 'check_violation';
            END IF;
            RETURN NEW;
        END IF;
        IF NOT EXISTS (SELECT FROM deployments d WHERE d.id = NEW.deployment_id AND d.status = 'deploying') THEN
            RAISE EXCEPTION 'only a deployment under way takes canary steps' USING ERRCODE = 'check_violation';
        END IF;
        IF EXISTS (SELECT FROM deployment_steps s WHERE s.deployment_id = NEW.deployment_id
                AND (s.outcome IS NULL OR s.outcome = 'rolled_back' OR s.percent >= NEW.percent
                    OR s.step >= NEW.step))
        THEN
            RAISE EXCEPTION 'a canary step is larger than the one before, which has passed'
                USING ERRCODE = 'check_violation';
        END IF;
        RETURN NEW;
    END $$
"""
_LIVE = """
    CREATE FUNCTION live_bundles_keep() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'DELETE' THEN
            RAISE EXCEPTION '% in % keeps a live bundle', OLD.feature, OLD.environment
                USING ERRCODE = 'check_violation';
        END IF;
        IF (NEW.feature, NEW.environment) <> (OLD.feature, OLD.environment) THEN
            RAISE EXCEPTION 'a live bundle stays with its feature and environment' USING ERRCODE = 'check_violation';
        END IF;
        RETURN NEW;
    END $$
"""
_EXPERIMENT = """
    CREATE FUNCTION experiments_without_canary() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM hold_traffic(NEW.feature, NEW.environment);
        IF EXISTS (SELECT FROM deployments d WHERE d.feature = NEW.feature AND d.environment = NEW.environment
                AND d.status = 'deploying')
        THEN
            RAISE EXCEPTION 'a canary has the traffic of % in %', NEW.feature, NEW.environment
                USING ERRCODE = 'check_violation', CONSTRAINT = 'experiments_without_canary';
        END IF;
        RETURN NEW;
    END $$
"""


def _triggers() -> None:
    op.execute(
        "CREATE TRIGGER audit_log_chain BEFORE INSERT ON audit_log FOR EACH ROW EXECUTE FUNCTION audit_log_chain()"
    )
    op.execute("""
        CREATE TRIGGER audit_heads_keep BEFORE INSERT OR UPDATE OR DELETE ON audit_heads
        FOR EACH ROW EXECUTE FUNCTION audit_heads_keep()
    """)
    for table in _HISTORIES:
        op.execute(f"""
            CREATE TRIGGER {table}_history BEFORE UPDATE OR DELETE ON {table}
            FOR EACH ROW EXECUTE FUNCTION deployments_history()
        """)
    for table in _TABLES:
        op.execute(f"""
            CREATE TRIGGER {table}_stay BEFORE TRUNCATE ON {table} EXECUTE FUNCTION deployments_history()
        """)
    for table, function, when in (
        ("deployments", "deployments_keep", "BEFORE INSERT OR UPDATE OR DELETE"),
        ("deployments", "deployments_tell", "AFTER INSERT OR UPDATE"),
        ("deployment_approvals", "deployment_approvals_keep", "BEFORE INSERT"),
        ("deployment_steps", "deployment_steps_keep", "BEFORE INSERT OR UPDATE OR DELETE"),
        ("live_bundles", "live_bundles_keep", "BEFORE UPDATE OR DELETE"),
    ):
        op.execute(f"CREATE TRIGGER {function} {when} ON {table} FOR EACH ROW EXECUTE FUNCTION {function}()")
    for table in ("deployments", "live_bundles"):
        op.execute(f"""
            CREATE CONSTRAINT TRIGGER {table}_one_live AFTER INSERT OR UPDATE ON {table}
            DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION deployments_one_live()
        """)
    op.execute("""
        CREATE TRIGGER experiments_without_canary BEFORE INSERT OR UPDATE OF status ON experiments
        FOR EACH ROW WHEN (NEW.status = 'running' AND NEW.design = 'live_split')
        EXECUTE FUNCTION experiments_without_canary()
    """)


def downgrade() -> None:
    op.execute("DROP TRIGGER experiments_without_canary ON experiments")
    for table in _TABLES:
        op.drop_table(table)
    for function in (
        *("audit_log_chain", "audit_heads_keep", "deployments_history", "deployments_keep", "deployments_tell"),
        *("deployments_one_live", "deployment_approvals_keep", "deployment_steps_keep", "live_bundles_keep"),
        *("experiments_without_canary",),
    ):
        op.execute(f"DROP FUNCTION {function}()")
    op.execute("DROP FUNCTION hold_traffic(text, text)")
