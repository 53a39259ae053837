"""Experiments: declarations, their lives, looks, estimates and decisions; triggers that keep them as they were."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_HISTORIES = ("experiment_events", "experiment_decisions", "experiment_analyses", "experiment_estimates")
_STEPS = """
    ('draft', 'scheduled'), ('draft', 'running'),
    ('scheduled', 'draft'), ('scheduled', 'running'), ('scheduled', 'cancelled'),
    ('running', 'paused'), ('running', 'completed'), ('running', 'cancelled'), ('running', 'failed'),
    ('paused', 'running'), ('paused', 'completed'), ('paused', 'cancelled'), ('paused', 'failed'),
    ('failed', 'running'), ('failed', 'cancelled')"""


def _text(name: str, *, null: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(collation="C"), nullable=null)


def _prose(name: str, *, null: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text() if name == "actor" else sa.String(), nullable=null)


def _moment(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=True)


def _now(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False)


def upgrade() -> None:
    op.create_table(
        "experiments",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        *(_text(name) for name in ("name", "feature", "environment")),
        _text("project", null=True),
        *(_text(name) for name in ("design", "type", "status")),
        sa.Column("spec", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        _text("config_hash", null=True),
        _prose("suite_path", null=True),
        sa.Column("run_id", sa.Uuid(), nullable=True),
        sa.Column("planned_n", sa.Integer(), nullable=True),
        *(_moment(name) for name in ("starts_at", "started_at", "ended_at", "deleted_at")),
        _now("updated_at"),
        _prose("actor"),
        _now("recorded_at"),
        sa.CheckConstraint(
            "status IN ('draft', 'scheduled', 'running', 'paused', 'completed', 'cancelled', 'failed')",
            name=op.f("ck_experiments_status"),
        ),
        sa.CheckConstraint("design IN ('paired_offline', 'live_split')", name=op.f("ck_experiments_design")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_experiments_run_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_experiments")),
    )
    op.create_index(
        "uq_experiments_name", "experiments", ["name"], unique=True, postgresql_where=sa.text("deleted_at IS NULL")
    )
    op.create_index(
        "uq_experiments_under_way",
        "experiments",
        ["feature", "environment"],
        unique=True,
        postgresql_where=sa.text("status IN ('running', 'paused') AND design = 'live_split'"),
    )
    op.create_index("ix_experiments_status", "experiments", ["status"])
    op.create_table(
        "experiment_events",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("experiment_id", sa.Uuid(), nullable=False),
        _text("from_status", null=True),
        _text("to_status"),
        _prose("why"),
        _prose("actor"),
        _now("recorded_at"),
        sa.ForeignKeyConstraint(["experiment_id"], ["experiments.id"], name=op.f("fk_experiment_events_experiment_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_experiment_events")),
    )
    op.create_index("ix_experiment_events_experiment_id", "experiment_events", ["experiment_id"])
    op.create_table(
        "experiment_analyses",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("experiment_id", sa.Uuid(), nullable=False),
        sa.Column("look", sa.Integer(), nullable=False),
        _text("data_hash"),
        _text("verdict"),
        _prose("sentence"),
        sa.Column("facts", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        _prose("post_hoc"),
        _prose("actor"),
        _now("recorded_at"),
        sa.ForeignKeyConstraint(
            ["experiment_id"], ["experiments.id"], name=op.f("fk_experiment_analyses_experiment_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_experiment_analyses")),
        sa.UniqueConstraint("experiment_id", "look", name=op.f("uq_experiment_analyses_experiment_id_look")),
    )
    op.create_table(
        "experiment_estimates",
        sa.Column("analysis_id", sa.BigInteger(), nullable=False),
        *(_text(name) for name in ("metric", "variant", "role")),
        sa.Column("n", sa.BigInteger(), nullable=False),
        *(sa.Column(name, sa.Float(), nullable=True) for name in ("value", "low", "high")),
        sa.Column("confidence", sa.Float(), nullable=False),
        *(sa.Column(name, sa.Float(), nullable=True) for name in ("p", "p_adjusted")),
        _prose("method"),
        _text("verdict"),
        sa.ForeignKeyConstraint(
            ["analysis_id"],
            ["experiment_analyses.id"],
            name=op.f("fk_experiment_estimates_analysis_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("analysis_id", "metric", "variant", name=op.f("pk_experiment_estimates")),
    )
    op.create_table(
        "experiment_decisions",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("experiment_id", sa.Uuid(), nullable=False),
        sa.Column("analysis_id", sa.BigInteger(), nullable=True),
        _text("outcome"),
        _text("variant", null=True),
        _prose("rule"),
        _prose("sentence"),
        sa.Column("automatic", sa.Boolean(), nullable=False),
        _prose("why"),
        _prose("actor"),
        _now("recorded_at"),
        sa.CheckConstraint(
            "outcome IN ('variant', 'no_difference', 'inconclusive')", name=op.f("ck_experiment_decisions_outcome")
        ),
        sa.ForeignKeyConstraint(
            ["analysis_id"], ["experiment_analyses.id"], name=op.f("fk_experiment_decisions_analysis_id")
        ),
        sa.ForeignKeyConstraint(
            ["experiment_id"], ["experiments.id"], name=op.f("fk_experiment_decisions_experiment_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_experiment_decisions")),
    )
    op.create_index("ix_experiment_decisions_experiment_id", "experiment_decisions", ["experiment_id"])
    # An analysis asks for the requests of one experiment among millions.
    op.create_index(
        "ix_requests_experiment",
        "requests",
        ["experiment", "at"],
        postgresql_where=sa.text("experiment IS NOT NULL"),
    )
    _keep_lives_legal()
    _keep_histories()


def _keep_lives_legal() -> None:
    op.execute(f"""
        CREATE FUNCTION experiments_keep() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF NEW.status <> OLD.status AND (OLD.status, NEW.status) NOT IN ({_STEPS}) THEN
                RAISE EXCEPTION 'experiment % cannot go from % to %', OLD.name, OLD.status, NEW.status
                    USING ERRCODE = 'check_violation';
            END IF;
            IF OLD.config_hash IS NOT NULL AND (NEW.spec, NEW.config_hash) IS DISTINCT FROM (OLD.spec, OLD.config_hash)
            THEN
                RAISE EXCEPTION 'experiment % has started: what it declared is frozen', OLD.name
                    USING ERRCODE = 'check_violation';
            END IF;
            RETURN NEW;
        END $$
    """)
    op.execute(
        "CREATE TRIGGER experiments_keep BEFORE UPDATE ON experiments FOR EACH ROW EXECUTE FUNCTION experiments_keep()"
    )


def _keep_histories() -> None:
    op.execute("""
        CREATE FUNCTION experiments_history() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION '% is a history: rows are added, never changed', TG_TABLE_NAME
                USING ERRCODE = 'check_violation';
        END $$
    """)
    for table in _HISTORIES:
        op.execute(f"""
            CREATE TRIGGER {table}_history BEFORE UPDATE OR DELETE ON {table}
            FOR EACH ROW EXECUTE FUNCTION experiments_history()
        """)


def downgrade() -> None:
    op.drop_index("ix_requests_experiment", "requests")
    for table in ("experiment_decisions", "experiment_estimates", "experiment_analyses", "experiment_events"):
        op.drop_table(table)
    op.drop_table("experiments")
    op.execute("DROP FUNCTION experiments_history()")
    op.execute("DROP FUNCTION experiments_keep()")
