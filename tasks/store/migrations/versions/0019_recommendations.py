"""Recommendations: answers, what is recommended and became of it, and what it saved; triggers that keep the steps."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

_HISTORIES = ("recommendation_answers", "recommendation_events", "savings_measurements")
_KEEP = """
    CREATE FUNCTION recommendations_keep() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP IN ('DELETE', 'TRUNCATE') THEN
            RAISE EXCEPTION 'recommendations stay on record' USING ERRCODE = 'check_violation';
        END IF;
        IF btrim(NEW.moved_by) = '' OR btrim(NEW.actor) = '' THEN
            RAISE EXCEPTION 'a recommendation says who moved it' USING ERRCODE = 'check_violation';
        END IF;
        IF TG_OP = 'INSERT' THEN
            IF NEW.status <> 'open' THEN
                RAISE EXCEPTION 'a recommendation begins open, not %', NEW.status USING ERRCODE = 'check_violation';
            END IF;
            RETURN NEW;
        END IF;
        IF to_jsonb(NEW) - ARRAY['status', 'moved_why', 'moved_by', 'moved_at']
            <> to_jsonb(OLD) - ARRAY['status', 'moved_why', 'moved_by', 'moved_at']
        THEN
            RAISE EXCEPTION 'what recommendation % says stays as it was', OLD.id USING ERRCODE = 'check_violation';
        END IF;
        IF (OLD.status, NEW.status) NOT IN (
            ('open', 'accepted'), ('open', 'dismissed'), ('open', 'expired'), ('open', 'superseded'),
            ('accepted', 'dismissed'), ('dismissed', 'accepted'))
        THEN
            RAISE EXCEPTION 'recommendation % is %, it cannot become %', OLD.id, OLD.status, NEW.status
                USING ERRCODE = 'check_violation';
        END IF;
        IF btrim(NEW.moved_why) = '' THEN
            RAISE EXCEPTION 'recommendation % becomes % for a reason: say why', OLD.id, NEW.status
                USING ERRCODE = 'check_violation';
        END IF;
        NEW.moved_at := clock_timestamp();
        RETURN NEW;
    END $$
"""
_TELL = """
    CREATE FUNCTION recommendations_tell() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO recommendation_events (recommendation_id, from_status, to_status, why, actor, recorded_at) VALUES (
            NEW.id, CASE WHEN TG_OP = 'UPDATE' THEN OLD.status END, NEW.status, NEW.moved_why, NEW.moved_by,
            NEW.moved_at);
        RETURN NULL;
    END $$
"""


def _text(name: str, *, null: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(collation="C"), nullable=null)


def _id() -> sa.Column[int]:
    return sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False)


def _of() -> sa.Column[int]:
    return sa.Column("recommendation_id", sa.BigInteger(), nullable=False)


def _dollars(name: str, *, null: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.Numeric(), nullable=null)


def _document(name: str) -> sa.Column[Any]:
    return sa.Column(name, postgresql.JSONB(astext_type=sa.Text()), nullable=False)


def _made() -> tuple[sa.Column[Any], sa.Column[Any]]:
    return (
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
    )


def upgrade() -> None:
    op.create_table(
        "recommendation_answers",
        _id(),
        _text("feature"),
        sa.Column("as_of", sa.Date(), nullable=False),
        _text("content_hash"),
        _document("answer"),
        *_made(),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recommendation_answers")),
    )
    op.create_index("ix_recommendation_answers_feature", "recommendation_answers", ["feature", "id"])
    op.create_table(
        "recommendations",
        _id(),
        *(_text(name) for name in ("kind", "feature", "current_setup", "recommended_setup", "incumbent_from")),
        sa.Column("score", sa.Integer(), nullable=False),
        *(_dollars(name) for name in ("saving_low", "saving", "saving_high")),
        _document("evidence"),
        sa.Column("sample_data", sa.Boolean(), nullable=False),
        sa.Column("as_of", sa.Date(), nullable=False),
        sa.Column("status", sa.String(collation="C"), server_default="open", nullable=False),
        sa.Column("moved_why", sa.String(), nullable=False),
        sa.Column("moved_by", sa.Text(), nullable=False),
        sa.Column("moved_at", sa.DateTime(timezone=True), nullable=False),
        *_made(),
        sa.CheckConstraint(
            "kind IN ('model_substitution', 'prompt_optimization', 'usage_reduction', 'provider_switch')",
            name=op.f("ck_recommendations_kind"),
        ),
        sa.CheckConstraint(
            "status IN ('open', 'accepted', 'dismissed', 'expired', 'superseded')",
            name=op.f("ck_recommendations_status"),
        ),
        sa.CheckConstraint("score BETWEEN 0 AND 100", name=op.f("ck_recommendations_score")),
        sa.CheckConstraint("saving_low <= saving AND saving <= saving_high", name=op.f("ck_recommendations_saving")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recommendations")),
    )
    op.create_index(
        "uq_recommendations_open",
        "recommendations",
        ["kind", "feature", "current_setup", "recommended_setup"],
        unique=True,
        postgresql_where=sa.text("status = 'open'"),
    )
    op.create_index("ix_recommendations_feature", "recommendations", ["feature", "id"])
    op.create_table(
        "recommendation_events",
        _id(),
        _of(),
        _text("from_status", null=True),
        _text("to_status"),
        sa.Column("why", sa.String(), nullable=False),
        *_made(),
        sa.ForeignKeyConstraint(
            ["recommendation_id"], ["recommendations.id"], name=op.f("fk_recommendation_events_recommendation_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recommendation_events")),
    )
    op.create_index("ix_recommendation_events_recommendation_id", "recommendation_events", ["recommendation_id"])
    op.create_table(
        "savings_measurements",
        _id(),
        _of(),
        sa.Column("first", sa.Date(), nullable=False),
        sa.Column("last", sa.Date(), nullable=False),
        _text("kept"),
        *(_dollars(name, null=True) for name in ("realised_low", "realised", "realised_high")),
        _document("facts"),
        *_made(),
        sa.CheckConstraint(
            "kept IN ('as projected', 'less', 'more', 'not shown', 'not measured')",
            name=op.f("ck_savings_measurements_kept"),
        ),
        sa.CheckConstraint(
            "(kept = 'not measured') = (realised IS NULL)", name=op.f("ck_savings_measurements_realised")
        ),
        sa.CheckConstraint(
            "realised_low <= realised AND realised <= realised_high", name=op.f("ck_savings_measurements_interval")
        ),
        sa.CheckConstraint("first <= last", name=op.f("ck_savings_measurements_window")),
        sa.ForeignKeyConstraint(
            ["recommendation_id"], ["recommendations.id"], name=op.f("fk_savings_measurements_recommendation_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_savings_measurements")),
        sa.UniqueConstraint("recommendation_id", "first", "last", name="uq_savings_measurements_window"),
    )
    op.execute(_KEEP)
    op.execute(_TELL)
    op.execute("""
        CREATE TRIGGER recommendations_steps BEFORE INSERT OR UPDATE OR DELETE ON recommendations
        FOR EACH ROW EXECUTE FUNCTION recommendations_keep()
    """)
    op.execute(
        "CREATE TRIGGER recommendations_stay BEFORE TRUNCATE ON recommendations EXECUTE FUNCTION recommendations_keep()"
    )
    op.execute("""
        CREATE TRIGGER recommendations_told AFTER INSERT OR UPDATE ON recommendations
        FOR EACH ROW EXECUTE FUNCTION recommendations_tell()
    """)
    for table in _HISTORIES:
        op.execute(f"""
            CREATE TRIGGER {table}_history BEFORE UPDATE OR DELETE ON {table}
            FOR EACH ROW EXECUTE FUNCTION deployments_history()
        """)
        op.execute(f"CREATE TRIGGER {table}_stay BEFORE TRUNCATE ON {table} EXECUTE FUNCTION deployments_history()")


def downgrade() -> None:
    for table in ("savings_measurements", "recommendation_events", "recommendations", "recommendation_answers"):
        op.drop_table(table)
    for function in ("recommendations_keep", "recommendations_tell"):
        op.execute(f"DROP FUNCTION {function}()")
