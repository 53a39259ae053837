"""Datasets, suites, runs and the ledger of calls."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:

    op.create_table(
        "datasets",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("name", sa.String(collation="C"), nullable=False),
        sa.Column("content_hash", sa.String(collation="C"), nullable=False),
        sa.Column("contract_hash", sa.String(collation="C"), nullable=True),
        sa.Column("cases", sa.Integer(), nullable=False),
        sa.Column("quarantined", sa.Integer(), nullable=False),
        sa.Column("description", sa.String(), nullable=False),
        sa.Column("licence", sa.String(), nullable=False),
        sa.Column("sample_data", sa.Boolean(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_datasets")),
        sa.UniqueConstraint("name", "content_hash", name=op.f("uq_datasets_name_content_hash")),
    )
    op.create_table(
        "model_configs",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("name", sa.String(collation="C"), nullable=False),
        sa.Column("model", sa.String(collation="C"), nullable=False),
        sa.Column("content_hash", sa.String(collation="C"), nullable=False),
        sa.Column("spec", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_model_configs")),
        sa.UniqueConstraint("content_hash", name=op.f("uq_model_configs_content_hash")),
    )
    op.create_table(
        "model_prices",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("model", sa.String(collation="C"), nullable=False),
        sa.Column("token_class", sa.String(collation="C"), nullable=False),
        sa.Column("usd_per_token", sa.Numeric(precision=20, scale=12), nullable=False),
        sa.Column("currency", sa.String(collation="C"), server_default="USD", nullable=False),
        sa.Column("tier_start", sa.Integer(), nullable=True),
        sa.Column("effective_from", sa.Date(), nullable=False),
        sa.Column("effective_to", sa.Date(), nullable=True),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_model_prices")),
        sa.UniqueConstraint(
            "model",
            "token_class",
            "tier_start",
            "effective_from",
            "source",
            name=op.f("uq_model_prices_model_token_class_tier_start_effective_from_source"),
            postgresql_nulls_not_distinct=True,
        ),
    )
    op.create_table(
        "prompts",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("name", sa.String(collation="C"), nullable=False),
        sa.Column("description", sa.String(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_prompts")),
        sa.UniqueConstraint("name", name=op.f("uq_prompts_name")),
    )
    op.create_table(
        "suites",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("name", sa.String(collation="C"), nullable=False),
        sa.Column("content_hash", sa.String(collation="C"), nullable=False),
        sa.Column("description", sa.String(), nullable=False),
        sa.Column("feature", sa.String(), nullable=True),
        sa.Column("author", sa.String(), nullable=True),
        sa.Column("spec", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_suites")),
        sa.UniqueConstraint("name", "content_hash", name=op.f("uq_suites_name_content_hash")),
    )
    op.create_table(
        "workers",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workers")),
    )
    op.create_table(
        "cases",
        sa.Column("dataset_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("case_id", sa.String(collation="C"), nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.Column("content_hash", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["dataset_id"], ["datasets.id"], name=op.f("fk_cases_dataset_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("dataset_id", "position", name=op.f("pk_cases")),
        sa.UniqueConstraint("dataset_id", "case_id", name=op.f("uq_cases_dataset_id_case_id")),
    )
    op.create_table(
        "prompt_versions",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("prompt_id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("semver", sa.String(collation="C"), nullable=False),
        sa.Column("content_hash", sa.String(collation="C"), nullable=False),
        sa.Column("spec", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["prompt_id"], ["prompts.id"], name=op.f("fk_prompt_versions_prompt_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_prompt_versions")),
        sa.UniqueConstraint("prompt_id", "content_hash", name=op.f("uq_prompt_versions_prompt_id_content_hash")),
        sa.UniqueConstraint("prompt_id", "semver", name=op.f("uq_prompt_versions_prompt_id_semver")),
        sa.UniqueConstraint("prompt_id", "seq", name=op.f("uq_prompt_versions_prompt_id_seq")),
    )
    op.create_table(
        "quarantined_rows",
        sa.Column("dataset_id", sa.Uuid(), nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("case_id", sa.String(), nullable=True),
        sa.Column("reason", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["dataset_id"], ["datasets.id"], name=op.f("fk_quarantined_rows_dataset_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("dataset_id", "line", name=op.f("pk_quarantined_rows")),
    )
    op.create_table(
        "runs",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("kind", sa.String(collation="C"), nullable=False),
        sa.Column("suite_id", sa.Uuid(), nullable=False),
        sa.Column("dataset_id", sa.Uuid(), nullable=False),
        sa.Column("config_hash", sa.String(collation="C"), nullable=False),
        sa.Column("config", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("folder", sa.String(), nullable=False),
        sa.Column("status", sa.String(collation="C"), nullable=False),
        sa.Column("stop_reason", sa.String(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("seed", sa.Integer(), nullable=False),
        sa.Column("repeats", sa.SmallInteger(), nullable=False),
        sa.Column("cases", sa.Integer(), nullable=False),
        sa.Column("cells", sa.Integer(), nullable=False),
        sa.Column("estimate", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("providers", postgresql.JSONB(astext_type=sa.Text()), server_default="[]", nullable=False),
        sa.Column("prefect_flow_run_id", sa.Uuid(), nullable=True),
        sa.Column("rescored_from", sa.Uuid(), nullable=True),
        sa.Column("verdict", sa.String(), nullable=True),
        sa.Column("sentence", sa.String(), nullable=True),
        sa.Column("report", sa.String(), nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "kind IN ('suite', 'benchmark', 'experiment', 'playground', 'replay', 'calibration', 'load', 'pack')",
            name=op.f("ck_runs_kind"),
        ),
        sa.CheckConstraint(
            "status IN ('queued', 'running', 'completed', 'partial', 'failed', 'cancelled')",
            name=op.f("ck_runs_status"),
        ),
        sa.ForeignKeyConstraint(["dataset_id"], ["datasets.id"], name=op.f("fk_runs_dataset_id")),
        sa.ForeignKeyConstraint(["rescored_from"], ["runs.id"], name=op.f("fk_runs_rescored_from")),
        sa.ForeignKeyConstraint(["suite_id"], ["suites.id"], name=op.f("fk_runs_suite_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runs")),
    )
    op.create_index("ix_runs_recorded_at", "runs", ["recorded_at"], unique=False)
    op.create_table(
        "answers",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("variant", sa.SmallInteger(), nullable=False),
        sa.Column("repeat", sa.SmallInteger(), nullable=False),
        sa.Column("attempt", sa.SmallInteger(), nullable=False),
        sa.Column("superseded", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("status", sa.String(collation="C"), nullable=False),
        sa.Column("error_type", sa.String(), nullable=True),
        sa.Column("error_message", sa.String(), nullable=False),
        sa.Column("text", sa.String(), nullable=True),
        sa.Column("input_tokens", sa.Integer(), nullable=False),
        sa.Column("cached_tokens", sa.Integer(), nullable=False),
        sa.Column("cache_write_tokens", sa.Integer(), nullable=False),
        sa.Column("output_tokens", sa.Integer(), nullable=False),
        sa.Column("reasoning_tokens", sa.Integer(), nullable=False),
        sa.Column("usage_known", sa.Boolean(), nullable=False),
        sa.Column("cost", sa.Numeric(precision=20, scale=12), nullable=True),
        sa.Column("cached_cost", sa.Numeric(precision=20, scale=12), nullable=True),
        sa.Column("latency_ms", sa.Float(), nullable=True),
        sa.Column("queue_ms", sa.Float(), nullable=False),
        sa.Column("model_returned", sa.String(), nullable=True),
        sa.Column("finish_reason", sa.String(), nullable=True),
        sa.Column("tries", sa.SmallInteger(), nullable=False),
        sa.Column("from_cache", sa.Boolean(), nullable=False),
        sa.Column("fallback_model", sa.String(), nullable=True),
        sa.Column("contaminated", sa.Boolean(), nullable=False),
        sa.Column("simulated", sa.Boolean(), nullable=False),
        sa.Column("prompt_hash", sa.LargeBinary(), nullable=True),
        sa.Column("cache_key", sa.LargeBinary(), nullable=True),
        sa.Column("raw", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("status IN ('answered', 'error', 'skipped')", name=op.f("ck_answers_status")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_answers_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_answers")),
    )
    op.create_index(
        "ix_answers_cache_key",
        "answers",
        ["cache_key"],
        unique=False,
        postgresql_where=sa.text("cache_key IS NOT NULL"),
    )
    op.create_index(
        "uq_answers_current",
        "answers",
        ["run_id", "position", "variant", "repeat"],
        unique=True,
        postgresql_where=sa.text("NOT superseded"),
    )
    op.create_table(
        "calls",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("variant", sa.SmallInteger(), nullable=False),
        sa.Column("repeat", sa.SmallInteger(), nullable=False),
        sa.Column("role", sa.SmallInteger(), nullable=False),
        sa.Column("attempt", sa.SmallInteger(), nullable=False),
        sa.Column("worker_id", sa.BigInteger(), nullable=False),
        sa.Column("reserved", sa.Numeric(precision=20, scale=12), nullable=True),
        sa.Column("opened_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("resolution", sa.String(collation="C"), nullable=True),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "resolution IN ('answered', 'called again', 'recorded as an error')", name=op.f("ck_calls_resolution")
        ),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_calls_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "position", "variant", "repeat", "role", "attempt", name=op.f("pk_calls")),
    )
    op.create_table(
        "run_budgets",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("cap", sa.Numeric(precision=20, scale=12), nullable=True),
        sa.Column("reserved", sa.Numeric(precision=20, scale=12), server_default="0", nullable=False),
        sa.Column("spent", sa.Numeric(precision=20, scale=12), server_default="0", nullable=False),
        sa.Column("at_risk", sa.Numeric(precision=20, scale=12), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_run_budgets_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_run_budgets")),
    )
    op.create_table(
        "run_shards",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("shard", sa.Integer(), nullable=False),
        sa.Column("first_position", sa.Integer(), nullable=False),
        sa.Column("last_position", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(collation="C"), nullable=False),
        sa.Column("worker_id", sa.BigInteger(), nullable=True),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("heartbeat_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("state IN ('open', 'done')", name=op.f("ck_run_shards_state")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_run_shards_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "shard", name=op.f("pk_run_shards")),
    )
    op.create_table(
        "variants",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("prompt_version_id", sa.Uuid(), nullable=False),
        sa.Column("model_config_id", sa.Uuid(), nullable=False),
        sa.Column("content_hash", sa.String(collation="C"), nullable=False),
        sa.Column("spec", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["model_config_id"], ["model_configs.id"], name=op.f("fk_variants_model_config_id")),
        sa.ForeignKeyConstraint(
            ["prompt_version_id"], ["prompt_versions.id"], name=op.f("fk_variants_prompt_version_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_variants")),
        sa.UniqueConstraint("content_hash", name=op.f("uq_variants_content_hash")),
    )
    op.create_table(
        "verdicts",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("variant", sa.SmallInteger(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("verdict", sa.String(collation="C"), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("judged", sa.SmallInteger(), nullable=False),
        sa.Column("passed", sa.SmallInteger(), nullable=False),
        sa.Column("errors", sa.SmallInteger(), nullable=False),
        sa.Column("score", sa.Float(), nullable=True),
        sa.Column("failed_severity", sa.String(collation="C"), nullable=True),
        sa.Column("scorers", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.CheckConstraint(
            "failed_severity IN ('blocker', 'major', 'minor')", name=op.f("ck_verdicts_failed_severity")
        ),
        sa.CheckConstraint(
            "verdict IN ('pass', 'fail', 'flaky', 'error', 'skipped')", name=op.f("ck_verdicts_verdict")
        ),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_verdicts_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "variant", "position", name=op.f("pk_verdicts")),
    )
    op.create_table(
        "judgements",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("answer_id", sa.BigInteger(), nullable=False),
        sa.Column("scorer", sa.String(collation="C"), nullable=False),
        sa.Column("order", sa.SmallInteger(), nullable=False),
        sa.Column("request_hash", sa.LargeBinary(), nullable=False),
        sa.Column("text", sa.String(), nullable=True),
        sa.Column("error_type", sa.String(), nullable=True),
        sa.Column("error_message", sa.String(), nullable=False),
        sa.Column("input_tokens", sa.Integer(), nullable=False),
        sa.Column("cached_tokens", sa.Integer(), nullable=False),
        sa.Column("cache_write_tokens", sa.Integer(), nullable=False),
        sa.Column("output_tokens", sa.Integer(), nullable=False),
        sa.Column("reasoning_tokens", sa.Integer(), nullable=False),
        sa.Column("cost", sa.Numeric(precision=20, scale=12), nullable=True),
        sa.Column("latency_ms", sa.Float(), nullable=True),
        sa.Column("model_returned", sa.String(), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["answer_id"], ["answers.id"], name=op.f("fk_judgements_answer_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_judgements")),
        sa.UniqueConstraint(
            "answer_id",
            "scorer",
            "order",
            "request_hash",
            name=op.f("uq_judgements_answer_id_scorer_order_request_hash"),
        ),
    )
    op.create_table(
        "run_variants",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.SmallInteger(), nullable=False),
        sa.Column("variant_id", sa.Uuid(), nullable=False),
        sa.Column("label", sa.String(collation="C"), nullable=False),
        sa.Column("gating", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_run_variants_run_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["variant_id"], ["variants.id"], name=op.f("fk_run_variants_variant_id")),
        sa.PrimaryKeyConstraint("run_id", "position", name=op.f("pk_run_variants")),
    )
    op.create_table(
        "scores",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("answer_id", sa.BigInteger(), nullable=False),
        sa.Column("scorer", sa.String(collation="C"), nullable=False),
        sa.Column("scorer_version", sa.String(collation="C"), nullable=False),
        sa.Column("value", sa.Float(), nullable=True),
        sa.Column("why", sa.String(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["answer_id"], ["answers.id"], name=op.f("fk_scores_answer_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_scores")),
        sa.UniqueConstraint(
            "answer_id", "scorer", "scorer_version", name=op.f("uq_scores_answer_id_scorer_scorer_version")
        ),
    )


def downgrade() -> None:

    op.drop_table("scores")
    op.drop_table("run_variants")
    op.drop_table("judgements")
    op.drop_table("verdicts")
    op.drop_table("variants")
    op.drop_table("run_shards")
    op.drop_table("run_budgets")
    op.drop_table("calls")
    op.drop_index("uq_answers_current", table_name="answers", postgresql_where=sa.text("NOT superseded"))
    op.drop_index("ix_answers_cache_key", table_name="answers", postgresql_where=sa.text("cache_key IS NOT NULL"))
    op.drop_table("answers")
    op.drop_index("ix_runs_recorded_at", table_name="runs")
    op.drop_table("runs")
    op.drop_table("quarantined_rows")
    op.drop_table("prompt_versions")
    op.drop_table("cases")
    op.drop_table("workers")
    op.drop_table("suites")
    op.drop_table("prompts")
    op.drop_table("model_prices")
    op.drop_table("model_configs")
    op.drop_table("datasets")
