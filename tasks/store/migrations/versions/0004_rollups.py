"""Rollups: facts of hours and days, the days that have them, and what was restated."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_DIMENSIONS = ("feature", "category", "prompt_version", "model", "provider", "project", "environment", "region")
_COUNTS = (
    *("requests", "successes", "errors", "usage_unknown"),
    *("input_tokens", "cached_tokens", "cache_write_tokens", "cache_write_1h_tokens"),
    *("input_audio_tokens", "cached_audio_tokens"),
    *("output_tokens", "reasoning_tokens", "output_audio_tokens", "output_image_tokens"),
    *("cache_hits", "cache_known", "priced", "unpriced"),
)


def upgrade() -> None:
    op.create_table(
        "rolled_days",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("timezone", sa.String(collation="C"), nullable=False),
        sa.Column("complete", sa.Boolean(), nullable=False),
        sa.Column("requests", sa.BigInteger(), nullable=False),
        sa.Column("content_hash", sa.String(collation="C"), nullable=False),
        sa.Column("rolled_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("day", name=op.f("pk_rolled_days")),
    )
    op.create_table(
        "restatements",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("causes", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("before", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("after", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_restatements")),
    )
    op.create_index("ix_restatements_day", "restatements", ["day"])
    _create_usage("usage_hourly", ("day", "hour"), [sa.Column("hour", sa.DateTime(timezone=True), nullable=False)])
    _create_usage(
        "usage_daily",
        ("day",),
        [sa.Column(f"latency_{name}_ms", sa.Float(), nullable=True) for name in ("p50", "p95", "p99")],
    )


def _create_usage(table: str, bucket: tuple[str, ...], own: list[sa.Column[Any]]) -> None:
    op.create_table(
        table,
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        *(sa.Column(each, sa.String(collation="C"), nullable=each != "feature") for each in _DIMENSIONS),
        *(sa.Column(each, sa.BigInteger(), nullable=False) for each in _COUNTS),
        sa.Column("cost", sa.Numeric(), nullable=True),
        sa.Column("latency_n", sa.BigInteger(), nullable=False),
        sa.Column("latency_us", sa.Numeric(), nullable=False),
        sa.Column("latency_histogram", sa.LargeBinary(), nullable=True),
        sa.Column("rating_n", sa.BigInteger(), nullable=False),
        sa.Column("rating_sum", sa.BigInteger(), nullable=False),
        sa.Column("quality_n", sa.BigInteger(), nullable=False),
        sa.Column("quality_sum", sa.Numeric(), nullable=True),
        sa.Column("confidence_n", sa.BigInteger(), nullable=False),
        sa.Column("confidence_sum", sa.Numeric(), nullable=True),
        *own,
        sa.ForeignKeyConstraint(["day"], ["rolled_days.day"], name=op.f(f"fk_{table}_day"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{table}")),
        sa.UniqueConstraint(*bucket, *_DIMENSIONS, name=f"uq_{table}", postgresql_nulls_not_distinct=True),
    )


def downgrade() -> None:
    op.drop_table("usage_daily")
    op.drop_table("usage_hourly")
    op.drop_index("ix_restatements_day", table_name="restatements")
    op.drop_table("restatements")
    op.drop_table("rolled_days")
