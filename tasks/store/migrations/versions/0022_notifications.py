"""Notifications: channels, rules, the outbox that triggers write, and deliveries."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

_REFERENCE = r"~ '^(env:[A-Za-z_][A-Za-z0-9_]*|file:/.+)$'"
_TABLES = ("notification_deliveries", "outbox", "notification_rules", "notification_channels")
_TELLING = (
    ("deployment_events", "deployment_events_outbox", "INSERT"),
    ("deployment_approvals", "deployment_approvals_outbox", "INSERT"),
    ("experiment_decisions", "experiment_decisions_outbox", "INSERT"),
    ("role_grants", "role_grants_outbox", "INSERT OR DELETE"),
    ("outbox", "outbox_deliver", "INSERT"),
)
"""Tables, the functions that tell of their rows, and on what."""


def _text(name: str, *, null: bool = False, default: str | None = None) -> sa.Column[str]:
    return sa.Column(name, sa.String(collation="C"), nullable=null, server_default=default)


def _now(name: str = "recorded_at") -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False)


def _id() -> sa.Column[int]:
    return sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False)


def _actor() -> sa.Column[str]:
    return sa.Column("actor", sa.Text(), nullable=False)


def upgrade() -> None:
    op.create_table(
        "notification_channels",
        *(_text(name) for name in ("name", "kind", "address_ref")),
        _text("signing_ref", null=True),
        sa.Column("active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        _actor(),
        _now(),
        sa.CheckConstraint("kind IN ('apprise', 'webhook')", name=op.f("ck_notification_channels_kind")),
        sa.CheckConstraint(f"address_ref {_REFERENCE}", name=op.f("ck_notification_channels_address_ref")),
        sa.CheckConstraint(f"signing_ref {_REFERENCE}", name=op.f("ck_notification_channels_signing_ref")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_notification_channels")),
    )
    op.create_table(
        "notification_rules",
        _id(),
        *(_text(name) for name in ("channel", "event")),
        _text("environment", null=True),
        _actor(),
        _now(),
        sa.ForeignKeyConstraint(
            ["channel"], ["notification_channels.name"], name=op.f("fk_notification_rules_channel")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notification_rules")),
        sa.UniqueConstraint(
            "channel",
            "event",
            "environment",
            name=op.f("uq_notification_rules_channel_event_environment"),
            postgresql_nulls_not_distinct=True,
        ),
    )
    op.create_table(
        "outbox",
        _id(),
        sa.Column("key", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        *(_text(name) for name in ("event", "target")),
        *(_text(name, null=True) for name in ("feature", "environment")),
        sa.Column("why", sa.String(), nullable=False),
        sa.Column("facts", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("sample_data", sa.Boolean(), nullable=False),
        _actor(),
        _now(),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
        sa.UniqueConstraint("key", name=op.f("uq_outbox_key")),
    )
    op.create_table(
        "notification_deliveries",
        _id(),
        sa.Column("event_id", sa.BigInteger(), nullable=False),
        _text("channel"),
        _text("status", default="waiting"),
        sa.Column("attempts", sa.SmallInteger(), server_default="0", nullable=False),
        _now("next_at"),
        sa.Column("last_error", sa.String(), server_default="", nullable=False),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        _actor(),
        _now(),
        sa.CheckConstraint(
            "status IN ('waiting', 'delivered', 'dead')", name=op.f("ck_notification_deliveries_status")
        ),
        sa.ForeignKeyConstraint(["event_id"], ["outbox.id"], name=op.f("fk_notification_deliveries_event_id")),
        sa.ForeignKeyConstraint(
            ["channel"], ["notification_channels.name"], name=op.f("fk_notification_deliveries_channel")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notification_deliveries")),
        sa.UniqueConstraint("event_id", "channel", name=op.f("uq_notification_deliveries_event_id_channel")),
    )
    op.create_index(
        "ix_notification_deliveries_waiting",
        "notification_deliveries",
        ["next_at"],
        postgresql_where=sa.text("status = 'waiting'"),
    )
    for function in (_DEPLOYMENT, _APPROVAL, _DECISION, _ROLE, _DELIVER, _KEEP):
        op.execute(function)
    for table, function, events in _TELLING:
        op.execute(f"CREATE TRIGGER {function} AFTER {events} ON {table} FOR EACH ROW EXECUTE FUNCTION {function}()")
    op.execute("""
        CREATE TRIGGER outbox_history BEFORE UPDATE OR DELETE ON outbox
        FOR EACH ROW EXECUTE FUNCTION deployments_history()
    """)
    op.execute("""
        CREATE TRIGGER notification_deliveries_keep BEFORE UPDATE OR DELETE ON notification_deliveries
        FOR EACH ROW EXECUTE FUNCTION notification_deliveries_keep()
    """)
    for table in ("outbox", "notification_deliveries"):
        op.execute(f"CREATE TRIGGER {table}_stay BEFORE TRUNCATE ON {table} EXECUTE FUNCTION deployments_history()")


# A step that people wait for or have to know of. A rollback is told once, when the earlier bundle is live.
_DEPLOYMENT = """
    CREATE FUNCTION deployment_events_outbox() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        d deployments%ROWTYPE;
        named text;
    BEGIN
        SELECT * INTO d FROM deployments WHERE id = NEW.deployment_id;
        named := CASE
            WHEN d.trigger = 'baseline' AND NEW.to_status IN ('pending', 'deploying', 'deployed') THEN NULL
            WHEN d.trigger = 'rollback' AND NEW.to_status = 'deployed' THEN 'feature.rolled_back'
            WHEN d.trigger = 'rollback' AND NEW.to_status IN ('pending', 'deploying') THEN NULL
            WHEN NEW.from_status IS NULL THEN 'deployment.asked'
            WHEN NEW.to_status = 'deploying' THEN 'deployment.advanced'
            WHEN NEW.to_status = 'deployed' THEN 'deployment.promoted'
            WHEN NEW.to_status IN ('rolled_back', 'failed') THEN 'deployment.' || NEW.to_status
            END;
        IF named IS NOT NULL THEN
            INSERT INTO outbox (event, target, feature, environment, why, facts, sample_data, actor) VALUES (
                named, 'deployment:' || d.id, d.feature, d.environment, NEW.why, jsonb_build_object(
                    'from', NEW.from_status, 'to', NEW.to_status, 'percent', NEW.rollout_percent,
                    'trigger', d.trigger, 'prompt', d.bundle->>'prompt', 'model', d.bundle->>'model',
                    'content_hash', d.content_hash), d.sample_data, NEW.actor);
        END IF;
        RETURN NULL;
    END $$
"""
_APPROVAL = """
    CREATE FUNCTION deployment_approvals_outbox() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO outbox (event, target, feature, environment, why, facts, sample_data, actor)
        SELECT 'deployment.' || NEW.decision, 'deployment:' || d.id, d.feature, d.environment, NEW.why,
            jsonb_build_object('prompt', d.bundle->>'prompt', 'model', d.bundle->>'model',
                'content_hash', NEW.content_hash, 'expires_at', NEW.expires_at), d.sample_data, NEW.actor
        FROM deployments d WHERE d.id = NEW.deployment_id;
        RETURN NULL;
    END $$
"""
_DECISION = """
    CREATE FUNCTION experiment_decisions_outbox() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO outbox (event, target, feature, environment, why, facts, sample_data, actor)
        SELECT 'experiment.decided', 'experiment:' || e.name, e.feature, e.environment,
            CASE WHEN NEW.why = '' THEN NEW.sentence ELSE NEW.why END,
            jsonb_build_object('experiment', e.name, 'outcome', NEW.outcome, 'variant', NEW.variant,
                'automatic', NEW.automatic), false, NEW.actor
        FROM experiments e WHERE e.id = NEW.experiment_id;
        RETURN NULL;
    END $$
"""
_ROLE = """
    CREATE FUNCTION role_grants_outbox() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        told role_grants%ROWTYPE := coalesce(NEW, OLD);
        who text := coalesce(session_actor(), session_user);
    BEGIN
        INSERT INTO outbox (event, target, environment, why, facts, sample_data, actor) VALUES (
            CASE TG_OP WHEN 'INSERT' THEN 'role.granted' ELSE 'role.revoked' END, 'actor:' || told.subject,
            told.environment, CASE TG_OP WHEN 'INSERT' THEN told.why
                ELSE coalesce(current_setting('assay.why', true), '') END,
            jsonb_build_object('role', told.role, 'project', told.project), false,
            CASE TG_OP WHEN 'INSERT' THEN told.actor ELSE who END);
        RETURN NULL;
    END $$
"""
_DELIVER = """
    CREATE FUNCTION outbox_deliver() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO notification_deliveries (event_id, channel, actor)
        SELECT DISTINCT NEW.id, c.name, NEW.actor
        FROM notification_rules r JOIN notification_channels c ON c.name = r.channel AND c.active
        WHERE (r.event IN ('*', NEW.event) OR r.event = split_part(NEW.event, '.', 1) || '.*')
            AND (r.environment = NEW.environment
                OR r.environment IS NULL AND NEW.environment IS DISTINCT FROM 'rollback-drill')
        ORDER BY c.name;
        RETURN NULL;
    END $$
"""
_KEEP = """
    CREATE FUNCTION notification_deliveries_keep() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'DELETE' OR OLD.status = 'delivered'
            OR (NEW.event_id, NEW.channel, NEW.recorded_at) <> (OLD.event_id, OLD.channel, OLD.recorded_at)
        THEN
            RAISE EXCEPTION 'what was delivered stays on record' USING ERRCODE = 'check_violation';
        END IF;
        RETURN NEW;
    END $$
"""


def downgrade() -> None:
    for table, function, _ in _TELLING[:-1]:
        op.execute(f"DROP TRIGGER {function} ON {table}")
    for table in _TABLES:
        op.drop_table(table)
    for function in (*(each for _, each, _ in _TELLING), "notification_deliveries_keep"):
        op.execute(f"DROP FUNCTION {function}()")
