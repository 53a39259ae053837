"""Facts of customers' tickets by day, so that a quarter of them is measured at once."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_TRACKED = tuple(f"with_{name}" for name in ("latency", "tokens", "cost", "model", "trace"))
_SUMS = ("tickets", "sample_data", "unpriced", "not_asked", *(f"rated_{stars}" for stars in range(1, 6)), "sentiment_n",
         "negative", "neutral", "positive", "follow_up_required", "follow_up_completed", "follow_up_unknown",
         "closed_priced", "closed_alone", "closed_unpriced", "judged", "judged_successes", "judged_success_squares",
         "cost_unknown", "status_unknown")  # fmt: skip
_EXACT = ("sentiment_sum", "sentiment_squares", "closed_cost", "closed_cost_squares", "closed_alone_cost",
          "judged_cost", "judged_cost_squares", "judged_success_cost")  # fmt: skip
_SERIES = ("seconds_alone", "seconds_passed_on", "open_alone", "open_passed_on", "qualities")
_TABLES = ("customer_requests", "customer_sums", "customer_outcomes", "customer_silent")


def _name(column: str, *, nullable: bool = True) -> "sa.Column[Any]":
    return sa.Column(column, sa.String(collation="C"), nullable=nullable)


def _counts(*columns: str) -> "list[sa.Column[Any]]":
    return [sa.Column(column, sa.BigInteger(), nullable=False) for column in columns]


def _table(table: str, each: tuple[str, ...], *columns: "sa.Column[Any]") -> None:
    op.create_table(
        table,
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        _name("feature", nullable=False),
        _name("category"),
        *columns,
        sa.ForeignKeyConstraint(["day"], ["rolled_days.day"], name=op.f(f"fk_{table}_day"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{table}")),
        sa.UniqueConstraint(
            *("day", "feature", "category", *each), name=f"uq_{table}", postgresql_nulls_not_distinct=True
        ),
    )


def upgrade() -> None:
    op.create_table(
        "customer_dirty",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["day"], ["rolled_days.day"], name=op.f("fk_customer_dirty_day"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_customer_dirty")),
    )
    op.create_index("ix_customer_dirty_day", "customer_dirty", ["day"])
    _table(
        "customer_silent",
        ("taken_by", "successes", "status_unknown", "unpriced"),
        _name("taken_by"),
        *(sa.Column(name, sa.SmallInteger(), nullable=False) for name in ("successes", "status_unknown", "unpriced")),
        *_counts("tickets", "sample_data", *_TRACKED),
        *(sa.Column(name, sa.Numeric(), nullable=True) for name in ("cost", "cost_squares")),
    )
    _table(
        "customer_outcomes",
        ("taken_by", "outcome", "passed_on", "traceable", "done_on", "back_after", "escalation_reason"),
        *(_name(column) for column in ("taken_by", "outcome", "escalation_reason")),
        sa.Column("passed_on", sa.Boolean(), nullable=False),
        sa.Column("traceable", sa.Boolean(), nullable=False),
        sa.Column("done_on", sa.Date(), nullable=True),
        sa.Column("back_after", sa.SmallInteger(), nullable=True),
        *_counts("tickets"),
    )
    _table(
        "customer_sums",
        ("taken_by",),
        _name("taken_by"),
        sa.Column("cost", sa.Numeric(), nullable=True),
        *_counts(*_SUMS),
        *(sa.Column(name, sa.Numeric(), nullable=False) for name in _EXACT),
        *(sa.Column(name, sa.LargeBinary(), nullable=False) for name in _SERIES),
    )
    _table(
        "customer_requests",
        ("handled_by",),
        _name("handled_by", nullable=False),
        *_counts("requests", "with_outcome", "resolved", "escalated", "rating_n", "rating_sum", *_TRACKED),
        sa.Column("seconds", sa.LargeBinary(), nullable=False),
    )
    # The facts of all days that are there are to be written: a mark is what leads to that, and restates nothing.
    op.execute("""
        INSERT INTO rollup_dirty (day, cause, rows, actor) SELECT day, 'ingest', 0, 'migration' FROM rolled_days
    """)


def downgrade() -> None:
    for table in _TABLES:
        op.drop_table(table)
    op.drop_index("ix_customer_dirty_day", table_name="customer_dirty")
    op.drop_table("customer_dirty")
