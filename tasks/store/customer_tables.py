"""The tables of customer facts: what became of the tickets that began on a day of the platform's time zone.

All are counts, exact sums and series of single values, so the facts of any days and groups are put together to the last
digit. A series is a string of values, 8 bytes each as Postgres sends a float8; two, one behind the other, are one.
Tickets of which nothing is said are counted by kind (`customer_silent`) with the day's other facts; what is said of a
ticket is said on many days, so it is counted apart (tasks/store/customer/days.py).
"""

from datetime import date
from decimal import Decimal
from typing import Annotated

from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary, Numeric, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from tasks.store.columns import Base, actor, big_id, name_text, recorded_at, small

counted = Annotated[int, mapped_column(BigInteger)]
summed = Annotated[Decimal, mapped_column(Numeric)]
series = Annotated[bytes, mapped_column(LargeBinary)]


def _one_each(table: str, *columns: str) -> tuple[UniqueConstraint]:
    every = ("day", "feature", "category", *columns)
    return (UniqueConstraint(*every, name=f"uq_{table}", postgresql_nulls_not_distinct=True),)


class CustomerDirtyRow(Base):
    """A mark that what is said of a day's tickets may have changed, written with the facts of the day that changed.

    Marks are added, never updated; whoever counts a day's tickets takes its marks away first.
    """

    __tablename__ = "customer_dirty"
    __table_args__ = (Index("ix_customer_dirty_day", "day"),)
    id: Mapped[big_id]
    day: Mapped[date] = mapped_column(ForeignKey("rolled_days.day", ondelete="CASCADE"))
    actor: Mapped[actor]
    recorded_at: Mapped[recorded_at]


class _Customer:
    """Which day and which matters. Whose requests did not name a category have none."""

    id: Mapped[big_id]
    day: Mapped[date] = mapped_column(ForeignKey("rolled_days.day", ondelete="CASCADE"))
    feature: Mapped[name_text]
    category: Mapped[name_text | None]


class _Tracked:
    """How many requests say what can be known of any request."""

    with_latency: Mapped[counted]
    with_tokens: Mapped[counted]
    with_cost: Mapped[counted]
    with_model: Mapped[counted]
    with_trace: Mapped[counted]


class CustomerSilentRow(_Customer, _Tracked, Base):
    """Requests of a day of which nobody says how they ended, by kind: each is a ticket of its own."""

    __tablename__ = "customer_silent"
    __table_args__ = _one_each("customer_silent", "taken_by", "successes", "status_unknown", "unpriced")
    taken_by: Mapped[name_text | None]
    """ai where a model took part, else null."""
    successes: Mapped[small]
    """Of each: 1 where it ended in success. So are the next two."""
    status_unknown: Mapped[small]
    unpriced: Mapped[small]
    tickets: Mapped[counted]
    sample_data: Mapped[counted]
    """Of them, made up."""
    cost: Mapped[summed | None]
    cost_squares: Mapped[summed | None]


class CustomerOutcomeRow(_Customer, Base):
    """How tickets ended that say something, by all that matters to the shares of them."""

    __tablename__ = "customer_outcomes"
    __table_args__ = _one_each(
        "customer_outcomes",
        *("taken_by", "outcome", "passed_on", "traceable", "done_on", "back_after", "escalation_reason"),
    )
    taken_by: Mapped[name_text | None]
    outcome: Mapped[name_text | None]
    passed_on: Mapped[bool]
    traceable: Mapped[bool]
    """Whether it can be told if the customer came back."""
    done_on: Mapped[date | None]
    """The day on which it was done; null while it is not."""
    back_after: Mapped[small | None]
    """Within how many days after that the customer came back; null if not within thirty, or if it was not resolved."""
    escalation_reason: Mapped[name_text | None]
    tickets: Mapped[counted]


class CustomerSumRow(_Customer, Base):
    """What is said of these tickets besides: ratings, sentiment, costs, times."""

    __tablename__ = "customer_sums"
    __table_args__ = _one_each("customer_sums", "taken_by")
    taken_by: Mapped[name_text | None]
    tickets: Mapped[counted]
    sample_data: Mapped[counted]
    cost: Mapped[summed | None]
    unpriced: Mapped[counted]
    """Requests whose cost is unknown."""
    not_asked: Mapped[counted]
    """Open and not rated."""
    rated_1: Mapped[counted]
    rated_2: Mapped[counted]
    rated_3: Mapped[counted]
    rated_4: Mapped[counted]
    rated_5: Mapped[counted]
    sentiment_n: Mapped[counted]
    sentiment_sum: Mapped[summed]
    sentiment_squares: Mapped[summed]
    negative: Mapped[counted]
    neutral: Mapped[counted]
    positive: Mapped[counted]
    follow_up_required: Mapped[counted]
    follow_up_completed: Mapped[counted]
    follow_up_unknown: Mapped[counted]
    closed_priced: Mapped[counted]
    """Closed tickets whose cost is known; the next four are of these."""
    closed_cost: Mapped[summed]
    closed_cost_squares: Mapped[summed]
    closed_alone: Mapped[counted]
    """Resolved and passed on to nobody."""
    closed_alone_cost: Mapped[summed]
    closed_unpriced: Mapped[counted]
    judged: Mapped[counted]
    """Tickets whose cost and every status is known; the next five are of these."""
    judged_cost: Mapped[summed]
    judged_cost_squares: Mapped[summed]
    judged_successes: Mapped[counted]
    """Requests that ended in success."""
    judged_success_squares: Mapped[counted]
    judged_success_cost: Mapped[summed]
    """Sum of each ticket's cost times its successes."""
    cost_unknown: Mapped[counted]
    status_unknown: Mapped[counted]
    """Of those whose cost is known."""
    seconds_alone: Mapped[series]
    """Times to resolution of what was passed on to nobody, ascending; so is the next of what was."""
    seconds_passed_on: Mapped[series]
    open_alone: Mapped[series]
    """When the open ones began, in seconds of Unix time."""
    open_passed_on: Mapped[series]
    qualities: Mapped[series]
    """Judged quality of tickets that were rated, too, each with its rating behind it."""


class CustomerRequestRow(_Customer, _Tracked, Base):
    """Requests of a day that say something of how a matter ended, each by itself, as the sources count them."""

    __tablename__ = "customer_requests"
    __table_args__ = _one_each("customer_requests", "handled_by")
    handled_by: Mapped[name_text]
    """ai where nobody said."""
    requests: Mapped[counted]
    with_outcome: Mapped[counted]
    """Those that say how it ended or how it was liked, not merely to which matter they belong."""
    resolved: Mapped[counted]
    escalated: Mapped[counted]
    rating_n: Mapped[counted]
    rating_sum: Mapped[counted]
    seconds: Mapped[series]
    """Times to resolution of those that were not escalated, ascending."""
