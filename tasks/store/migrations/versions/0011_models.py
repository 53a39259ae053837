"""The registry of models: versions, capabilities, scores, environments, activities and probes of providers."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_KINDS = ("suite", "benchmark", "experiment", "playground", "replay", "calibration", "load", "pack")
_ENVIRONMENTS = (("development", False, 0), ("staging", True, 0), ("production", True, 1))


def _name(column: str, *, null: bool = False) -> sa.Column[str]:
    return sa.Column(column, sa.String(collation="C"), nullable=null)


def _names(column: str, *, null: bool = False) -> sa.Column[Any]:
    return sa.Column(column, postgresql.ARRAY(sa.String(collation="C")), nullable=null)


def _prose(column: str) -> sa.Column[str]:
    return sa.Column(column, sa.String(), nullable=False)


def _moment(column: str, *, null: bool = False) -> sa.Column[Any]:
    return sa.Column(column, sa.DateTime(timezone=True), nullable=null)


def _who_and_when() -> tuple[sa.Column[Any], sa.Column[Any]]:
    return (
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
    )


def upgrade() -> None:
    op.create_table(
        "models",
        *(_name(column) for column in ("model", "provider", "mode")),
        *(_names(column) for column in ("inputs", "outputs")),
        *(
            sa.Column(column, sa.Integer(), nullable=True)
            for column in (
                "context_tokens",
                "max_output_tokens",
                "max_images",
                "requests_per_minute",
                "tokens_per_minute",
            )
        ),
        _name("stage"),
        sa.Column("retires_on", sa.Date(), nullable=True),
        _moment("withdrawn_at", null=True),
        _name("successor", null=True),
        sa.Column("alias", sa.Boolean(), nullable=False),
        _name("alias_of", null=True),
        _prose("description"),
        sa.Column("limitations", postgresql.ARRAY(sa.Text()), nullable=False),
        _prose("source"),
        _moment("listed_at", null=True),
        _name("content_hash"),
        *_who_and_when(),
        sa.CheckConstraint("stage IN ('available', 'beta', 'retired')", name=op.f("ck_models_stage")),
        sa.PrimaryKeyConstraint("model", name=op.f("pk_models")),
    )
    op.create_index("ix_models_provider", "models", ["provider"])
    _create_what_is_said_of_models()
    _create_what_happens()
    _create_environments()
    _allow_kinds((*_KINDS, "probe"))


def _create_what_is_said_of_models() -> None:
    op.create_table(
        "model_capabilities",
        *(_name(column) for column in ("model", "capability", "origin")),
        _moment("as_of"),
        sa.Column("supported", sa.Boolean(), nullable=True),
        _prose("why"),
        sa.Column("run_id", sa.Uuid(), nullable=True),
        *_who_and_when(),
        sa.CheckConstraint("origin IN ('documented', 'tested')", name=op.f("ck_model_capabilities_origin")),
        sa.ForeignKeyConstraint(
            ["model"], ["models.model"], name=op.f("fk_model_capabilities_model"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["run_id"], ["runs.id"], name=op.f("fk_model_capabilities_run_id"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("model", "capability", "origin", "as_of", name=op.f("pk_model_capabilities")),
    )
    op.create_table(
        "model_use_case_scores",
        *(_name(column) for column in ("model", "use_case", "origin")),
        sa.Column("as_of", sa.Date(), nullable=False),
        _name("source"),
        sa.Column("score", sa.Float(), nullable=False),
        _prose("reason"),
        sa.Column("n", sa.Integer(), nullable=True),
        sa.Column("low", sa.Float(), nullable=True),
        sa.Column("high", sa.Float(), nullable=True),
        *_who_and_when(),
        sa.CheckConstraint("origin IN ('declared', 'measured')", name=op.f("ck_model_use_case_scores_origin")),
        sa.CheckConstraint("score BETWEEN 0 AND 100", name=op.f("ck_model_use_case_scores_score")),
        sa.CheckConstraint(
            "(origin = 'measured') = (n IS NOT NULL)", name=op.f("ck_model_use_case_scores_measured_has_n")
        ),
        sa.ForeignKeyConstraint(
            ["model"], ["models.model"], name=op.f("fk_model_use_case_scores_model"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint(
            "model", "use_case", "origin", "as_of", "source", name=op.f("pk_model_use_case_scores")
        ),
    )


def _create_what_happens() -> None:
    op.create_table(
        "model_activities",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        *(_name(column) for column in ("kind", "subject")),
        sa.Column("before", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("after", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        _prose("why"),
        *_who_and_when(),
        sa.CheckConstraint(
            "kind IN ('seeded', 'added', 'removed', 'returned', 'changed', 'deprecated', 'retired', 'price changed', "
            "'listed', 'unlisted', 'environment set')",
            name=op.f("ck_model_activities_kind"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_model_activities")),
    )
    op.create_index("ix_model_activities_recorded_at", "model_activities", ["recorded_at"])
    op.create_table(
        "provider_probes",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        _name("provider"),
        _name("model", null=True),
        _name("how"),
        _moment("at"),
        sa.Column("ok", sa.Boolean(), nullable=False),
        _name("error_kind", null=True),
        _prose("why"),
        sa.Column("latency_ms", sa.Float(), nullable=True),
        sa.Column("models_listed", sa.Integer(), nullable=True),
        sa.Column("run_id", sa.Uuid(), nullable=True),
        *_who_and_when(),
        sa.CheckConstraint("how IN ('listing', 'call')", name=op.f("ck_provider_probes_how")),
        sa.CheckConstraint("ok = (error_kind IS NULL)", name=op.f("ck_provider_probes_ok_or_error")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_provider_probes_run_id"), ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_provider_probes")),
    )
    op.create_index("ix_provider_probes_provider_at", "provider_probes", ["provider", "at"])


def _create_environments() -> None:
    environments = op.create_table(
        "environments",
        _name("name"),
        sa.Column("position", sa.Integer(), nullable=False),
        _names("allowed_providers", null=True),
        sa.Column("validated_only", sa.Boolean(), nullable=False),
        sa.Column("monthly_cost_limit", sa.Numeric(precision=20, scale=12), nullable=True),
        sa.Column("approvals_required", sa.Integer(), nullable=False),
        *_who_and_when(),
        sa.CheckConstraint("approvals_required >= 0", name=op.f("ck_environments_approvals_required")),
        sa.CheckConstraint("monthly_cost_limit >= 0", name=op.f("ck_environments_monthly_cost_limit")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_environments")),
    )
    op.bulk_insert(
        environments,
        [
            {
                "name": name,
                "position": position,
                "allowed_providers": None,
                "validated_only": validated_only,
                "monthly_cost_limit": None,
                "approvals_required": approvals,
                "actor": "assay",
            }
            for position, (name, validated_only, approvals) in enumerate(_ENVIRONMENTS)
        ],
    )


def _allow_kinds(kinds: tuple[str, ...]) -> None:
    listed = ", ".join(f"'{kind}'" for kind in kinds)
    op.drop_constraint(op.f("ck_runs_kind"), "runs", type_="check")
    op.create_check_constraint(op.f("ck_runs_kind"), "runs", f"kind IN ({listed})")


def downgrade() -> None:
    _allow_kinds(_KINDS)
    for table in (
        "environments",
        "provider_probes",
        "model_activities",
        "model_use_case_scores",
        "model_capabilities",
        "models",
    ):
        op.drop_table(table)
