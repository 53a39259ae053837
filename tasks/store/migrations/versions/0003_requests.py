"""Production requests, their spans, how they came in and what could not land."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:

    op.create_table(
        "dropped_partitions",
        sa.Column("table_name", sa.String(collation="C"), nullable=False),
        sa.Column("starts_on", sa.Date(), nullable=False),
        sa.Column("ends_on", sa.Date(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("table_name IN ('requests', 'spans')", name=op.f("ck_dropped_partitions_table_name")),
        sa.PrimaryKeyConstraint("table_name", "starts_on", name=op.f("pk_dropped_partitions")),
    )
    op.create_table(
        "ingest_batches",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("file", sa.String(), nullable=False),
        sa.Column("format", sa.String(collation="C"), nullable=False),
        sa.Column("source", sa.String(collation="C"), nullable=False),
        sa.Column("status", sa.String(collation="C"), nullable=False),
        sa.Column("stop_reason", sa.String(), server_default="", nullable=False),
        sa.Column("sample_data", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("rows", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("landed", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("duplicates", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("quarantined", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("skipped", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("unpriced", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("spans", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("scrubbed", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("status IN ('running', 'done', 'partial', 'failed')", name=op.f("ck_ingest_batches_status")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ingest_batches")),
    )
    op.create_table(
        "platform",
        sa.Column("one", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("timezone", sa.String(collation="C"), nullable=False),
        sa.Column("subject_key", sa.LargeBinary(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("one", name=op.f("ck_platform_one")),
        sa.PrimaryKeyConstraint("one", name=op.f("pk_platform")),
    )
    op.create_table(
        "price_sets",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("content_hash", sa.String(collation="C"), nullable=False),
        sa.Column("model", sa.String(collation="C"), nullable=False),
        sa.Column("prices", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_price_sets")),
        sa.UniqueConstraint("content_hash", name=op.f("uq_price_sets_content_hash")),
    )
    op.create_table(
        "request_keys",
        sa.Column("source", sa.String(collation="C"), nullable=False),
        sa.Column("external_id", sa.String(collation="C"), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("content_hash", sa.LargeBinary(), nullable=False),
        sa.Column("batch_id", sa.BigInteger(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("source", "external_id", name=op.f("pk_request_keys")),
    )
    op.create_table(
        "requests",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("batch_id", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.String(collation="C"), nullable=False),
        sa.Column("external_id", sa.String(collation="C"), nullable=False),
        sa.Column("feature", sa.String(collation="C"), nullable=False),
        sa.Column("category", sa.String(collation="C"), nullable=True),
        sa.Column("provider", sa.String(collation="C"), nullable=True),
        sa.Column("model", sa.String(collation="C"), nullable=True),
        sa.Column("model_returned", sa.String(collation="C"), nullable=True),
        sa.Column("prompt_version", sa.String(collation="C"), nullable=True),
        sa.Column("project", sa.String(collation="C"), nullable=True),
        sa.Column("environment", sa.String(collation="C"), nullable=True),
        sa.Column("region", sa.String(collation="C"), nullable=True),
        sa.Column("service_tier", sa.String(collation="C"), nullable=True),
        sa.Column("language", sa.String(collation="C"), nullable=True),
        sa.Column("experiment", sa.String(collation="C"), nullable=True),
        sa.Column("variant", sa.String(collation="C"), nullable=True),
        sa.Column("subject", sa.LargeBinary(), nullable=True),
        sa.Column("ticket", sa.String(collation="C"), nullable=True),
        sa.Column("trace_id", sa.String(collation="C"), nullable=True),
        sa.Column("span_id", sa.String(collation="C"), nullable=True),
        sa.Column("status", sa.String(collation="C"), nullable=True),
        sa.Column("error_type", sa.String(collation="C"), nullable=True),
        sa.Column("error_message", sa.String(), nullable=True),
        sa.Column("latency_ms", sa.Float(), nullable=True),
        sa.Column("processing_ms", sa.Float(), nullable=True),
        sa.Column("first_token_ms", sa.Float(), nullable=True),
        sa.Column("input_tokens", sa.Integer(), nullable=False),
        sa.Column("cached_tokens", sa.Integer(), nullable=False),
        sa.Column("cache_write_tokens", sa.Integer(), nullable=False),
        sa.Column("cache_write_1h_tokens", sa.Integer(), nullable=False),
        sa.Column("input_audio_tokens", sa.Integer(), nullable=False),
        sa.Column("cached_audio_tokens", sa.Integer(), nullable=False),
        sa.Column("output_tokens", sa.Integer(), nullable=False),
        sa.Column("reasoning_tokens", sa.Integer(), nullable=False),
        sa.Column("output_audio_tokens", sa.Integer(), nullable=False),
        sa.Column("output_image_tokens", sa.Integer(), nullable=False),
        sa.Column("usage_known", sa.Boolean(), nullable=False),
        sa.Column("cache_hit", sa.Boolean(), nullable=True),
        sa.Column("cost", sa.Numeric(precision=20, scale=12), nullable=True),
        sa.Column("cost_source", sa.String(collation="C"), nullable=True),
        sa.Column("price_set_id", sa.BigInteger(), nullable=True),
        sa.Column("reported_cost", sa.Numeric(precision=20, scale=12), nullable=True),
        sa.Column("rating", sa.SmallInteger(), nullable=True),
        sa.Column("comment", sa.String(), nullable=True),
        sa.Column("quality", sa.Float(), nullable=True),
        sa.Column("confidence", sa.Float(), nullable=True),
        sa.Column("sentiment", sa.Float(), nullable=True),
        sa.Column("resolution", sa.String(collation="C"), nullable=True),
        sa.Column("resolution_s", sa.Float(), nullable=True),
        sa.Column("handled_by", sa.String(collation="C"), nullable=True),
        sa.Column("escalation_reason", sa.String(collation="C"), nullable=True),
        sa.Column("escalated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("follow_up_required", sa.Boolean(), nullable=True),
        sa.Column("follow_up_completed", sa.Boolean(), nullable=True),
        sa.Column("reopened", sa.Boolean(), nullable=True),
        sa.Column("turns", sa.Integer(), nullable=True),
        sa.Column("consent", sa.Boolean(), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("cost_source IN ('priced', 'stated')", name=op.f("ck_requests_cost_source")),
        sa.CheckConstraint("handled_by IN ('ai', 'human')", name=op.f("ck_requests_handled_by")),
        sa.CheckConstraint(
            "resolution IN ('resolved', 'escalated_human', 'escalated_specialist', 'unresolved', 'abandoned', "
            "'pending')",
            name=op.f("ck_requests_resolution"),
        ),
        sa.CheckConstraint("status IN ('success', 'error')", name=op.f("ck_requests_status")),
        sa.CheckConstraint("(cost IS NULL) = (cost_source IS NULL)", name=op.f("ck_requests_cost_has_source")),
        sa.CheckConstraint("follow_up_required OR NOT follow_up_completed", name=op.f("ck_requests_follow_up")),
        sa.PrimaryKeyConstraint("id", "at", name=op.f("pk_requests")),
        postgresql_partition_by="RANGE (at)",
    )
    op.create_index("ix_requests_at", "requests", ["at"], unique=False)
    op.create_index(
        "ix_requests_subject", "requests", ["subject"], unique=False, postgresql_where=sa.text("subject IS NOT NULL")
    )
    op.create_index(
        "ix_requests_ticket", "requests", ["ticket"], unique=False, postgresql_where=sa.text("ticket IS NOT NULL")
    )
    op.create_index(
        "ix_requests_trace_id", "requests", ["trace_id"], unique=False, postgresql_where=sa.text("trace_id IS NOT NULL")
    )
    op.create_table(
        "rollup_dirty",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("cause", sa.String(collation="C"), nullable=False),
        sa.Column("batch_id", sa.BigInteger(), nullable=True),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("cause IN ('ingest', 'reprice', 'erase', 'timezone')", name=op.f("ck_rollup_dirty_cause")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rollup_dirty")),
    )
    op.create_index("ix_rollup_dirty_day", "rollup_dirty", ["day"], unique=False)
    op.create_table(
        "spans",
        sa.Column("trace_id", sa.String(collation="C"), nullable=False),
        sa.Column("span_id", sa.String(collation="C"), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("batch_id", sa.BigInteger(), nullable=False),
        sa.Column("parent_id", sa.String(collation="C"), nullable=True),
        sa.Column("name", sa.String(collation="C"), nullable=False),
        sa.Column("kind", sa.String(collation="C"), nullable=True),
        sa.Column("duration_ms", sa.Float(), nullable=True),
        sa.Column("status", sa.String(collation="C"), nullable=False),
        sa.Column("error_type", sa.String(collation="C"), nullable=True),
        sa.Column("error_message", sa.String(), nullable=True),
        sa.Column("attributes", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("status IN ('unset', 'ok', 'error')", name=op.f("ck_spans_status")),
        sa.PrimaryKeyConstraint("trace_id", "span_id", "at", name=op.f("pk_spans")),
        postgresql_partition_by="RANGE (at)",
    )
    op.create_table(
        "quarantine",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("batch_id", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.String(collation="C"), nullable=False),
        sa.Column("line", sa.BigInteger(), nullable=False),
        sa.Column("external_id", sa.String(), nullable=True),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("content", sa.String(), nullable=True),
        sa.Column("content_hash", sa.String(collation="C"), nullable=False),
        sa.Column("seen", sa.Integer(), server_default="1", nullable=False),
        sa.Column("state", sa.String(collation="C"), server_default="waiting", nullable=False),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("state IN ('waiting', 'landed', 'dismissed')", name=op.f("ck_quarantine_state")),
        sa.ForeignKeyConstraint(["batch_id"], ["ingest_batches.id"], name=op.f("fk_quarantine_batch_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_quarantine")),
        sa.UniqueConstraint("source", "content_hash", name=op.f("uq_quarantine_source_content_hash")),
    )
    op.create_index(op.f("ix_quarantine_batch_id"), "quarantine", ["batch_id"], unique=False)
    op.create_index(
        "ix_quarantine_waiting", "quarantine", ["id"], unique=False, postgresql_where=sa.text("state = 'waiting'")
    )


def downgrade() -> None:

    op.drop_index("ix_quarantine_waiting", table_name="quarantine", postgresql_where=sa.text("state = 'waiting'"))
    op.drop_index(op.f("ix_quarantine_batch_id"), table_name="quarantine")
    op.drop_table("quarantine")
    op.drop_table("spans")
    op.drop_index("ix_rollup_dirty_day", table_name="rollup_dirty")
    op.drop_table("rollup_dirty")
    op.drop_index("ix_requests_trace_id", table_name="requests", postgresql_where=sa.text("trace_id IS NOT NULL"))
    op.drop_index("ix_requests_ticket", table_name="requests", postgresql_where=sa.text("ticket IS NOT NULL"))
    op.drop_index("ix_requests_subject", table_name="requests", postgresql_where=sa.text("subject IS NOT NULL"))
    op.drop_index("ix_requests_at", table_name="requests")
    op.drop_table("requests")
    op.drop_table("request_keys")
    op.drop_table("price_sets")
    op.drop_table("platform")
    op.drop_table("ingest_batches")
    op.drop_table("dropped_partitions")
