"""What features ask of their models, and how costs spread, kept by day: nobody reads a month's requests for that."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def _of_day(name: str, *columns: sa.Column[Any], key: tuple[str, ...]) -> None:
    op.create_table(
        name,
        sa.Column("day", sa.Date(), nullable=False),
        *columns,
        sa.ForeignKeyConstraint(["day"], ["rolled_days.day"], name=op.f(f"fk_{name}_day"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("day", *key, name=op.f(f"pk_{name}")),
    )


def _name(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.String(collation="C"), nullable=False)


def _counted(name: str, *, null: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger(), nullable=null)


def upgrade() -> None:
    # Empty: days that are not kept are read from their requests, and the next rollup keeps them.
    _of_day(
        "usage_demand",
        _name("feature"),
        sa.Column("rolled_at", sa.DateTime(timezone=True), nullable=False),
        *(_counted(name) for name in ("requests", "calls")),
        *(_counted(name, null=True) for name in ("peak_requests", "peak_tokens", "longest")),
        sa.Column("prompts", sa.LargeBinary(), nullable=True),
        *(_counted(name) for name in ("tier_known", "tier_batch")),
        key=("feature",),
    )
    _of_day(
        "usage_spread",
        _name("feature"),
        _name("category"),
        _counted("requests"),
        *(sa.Column(name, sa.Numeric(), nullable=False) for name in ("cost", "squares")),
        key=("feature", "category"),
    )
    # The last requests of a feature that is seldom asked lie among millions of others'.
    op.create_index("ix_requests_feature", "requests", ["feature", "at"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_requests_feature", table_name="requests")
    op.drop_table("usage_spread")
    op.drop_table("usage_demand")
