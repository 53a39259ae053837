"""The tables of rollups: facts of one hour or one day of the platform's time zone per dimension, and their history.

Every fact is a count or an exact sum, so facts add up over any days and dimensions to the last digit; latencies add up
as histograms (evaluations/histograms.py). What is not known is counted apart, never as zero.
"""

from datetime import date
from decimal import Decimal
from typing import Annotated, Any

from sqlalchemy import BigInteger, Date, ForeignKey, Index, LargeBinary, Numeric, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from evaluations.rollups import DIMENSIONS
from tasks.store.columns import Base, actor, big_id, digest, document, moment, name_text, recorded_at

counted = Annotated[int, mapped_column(BigInteger)]
summed = Annotated[Decimal, mapped_column(Numeric)]
"""An exact sum of any size."""


class RolledDayRow(Base):
    """A day whose facts stand in the tables below."""

    __tablename__ = "rolled_days"
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    timezone: Mapped[name_text]
    """Whose midnights it lies between. Another one than the platform's means that it is to be rolled up again."""
    complete: Mapped[bool]
    """Whether it was over when it was rolled up; what changes after that is a restatement."""
    requests: Mapped[counted]
    subjects: Mapped[counted | None]
    """Different persons who asked; null where it was rolled up before they were counted. So is the next."""
    most_left_out: Mapped[counted | None]
    """The most requests of a person who is not among the day's `usage_subjects`; 0 when all of them are."""
    content_hash: Mapped[digest]
    """Of all its facts: tells a day that changed from one that was merely rolled up again."""
    rolled_at: Mapped[moment]
    actor: Mapped[actor]
    recorded_at: Mapped[recorded_at]
    """When it was rolled up for the first time."""


class RestatementRow(Base):
    """A change to a day that had been rolled up when it was over: what it said before, what it says now, and why."""

    __tablename__ = "restatements"
    __table_args__ = (Index("ix_restatements_day", "day"),)
    id: Mapped[big_id]
    day: Mapped[date]
    causes: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    """The marks that led to it: cause, batch and number of requests."""
    rows: Mapped[counted]
    """Requests that were added or changed, as the marks say."""
    before: Mapped[document]
    """Sums of the whole day (`DayTotals`)."""
    after: Mapped[document]
    actor: Mapped[actor]
    recorded_at: Mapped[recorded_at]


class _Usage:
    """What hourly and daily facts have in common. A dimension is null where the request did not say."""

    id: Mapped[big_id]
    day: Mapped[date] = mapped_column(ForeignKey("rolled_days.day", ondelete="CASCADE"))
    feature: Mapped[name_text]
    category: Mapped[name_text | None]
    prompt_version: Mapped[name_text | None]
    model: Mapped[name_text | None]
    provider: Mapped[name_text | None]
    project: Mapped[name_text | None]
    environment: Mapped[name_text | None]
    region: Mapped[name_text | None]
    requests: Mapped[counted]
    successes: Mapped[counted]
    errors: Mapped[counted]
    """Requests that are neither did not say how they ended."""
    usage_unknown: Mapped[counted]
    """Requests whose tokens nobody reported; their tokens are in no sum."""
    input_tokens: Mapped[counted]
    cached_tokens: Mapped[counted]
    cache_write_tokens: Mapped[counted]
    cache_write_1h_tokens: Mapped[counted]
    input_audio_tokens: Mapped[counted]
    cached_audio_tokens: Mapped[counted]
    output_tokens: Mapped[counted]
    reasoning_tokens: Mapped[counted]
    output_audio_tokens: Mapped[counted]
    output_image_tokens: Mapped[counted]
    cache_hits: Mapped[counted]
    cache_known: Mapped[counted]
    """Requests that said whether a cache answered."""
    priced: Mapped[counted]
    """Requests whose cost is known."""
    unpriced: Mapped[counted]
    """Requests to a model whose cost is unknown."""
    cost: Mapped[summed | None]
    """US dollars, of those that are priced; null when none is."""
    latency_n: Mapped[counted]
    latency_us: Mapped[summed]
    """Microseconds, so that the sum is exact."""
    latency_histogram: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Pairs of bucket and count; null when no latency is known."""
    rating_n: Mapped[counted]
    rating_sum: Mapped[counted]
    quality_n: Mapped[counted]
    quality_sum: Mapped[summed | None]
    confidence_n: Mapped[counted]
    confidence_sum: Mapped[summed | None]


class UsageHourlyRow(_Usage, Base):
    """Facts of one hour per dimension."""

    __tablename__ = "usage_hourly"
    __table_args__ = (
        UniqueConstraint("day", "hour", *DIMENSIONS, name="uq_usage_hourly", postgresql_nulls_not_distinct=True),
    )
    hour: Mapped[moment]
    """When it begins; a day whose clocks change has 23 or 25 of them."""


class UsageDailyRow(_Usage, Base):
    """Facts of one day per dimension, with its exact percentiles: these never add up, histograms do."""

    __tablename__ = "usage_daily"
    __table_args__ = (UniqueConstraint("day", *DIMENSIONS, name="uq_usage_daily", postgresql_nulls_not_distinct=True),)
    latency_p50_ms: Mapped[float | None]
    latency_p95_ms: Mapped[float | None]
    latency_p99_ms: Mapped[float | None]


class UsageRhythmRow(Base):
    """The load of one hour per feature and model: narrow, so that the hours of a quarter's weeks are read at once."""

    __tablename__ = "usage_rhythm"
    __table_args__ = (
        UniqueConstraint(
            *("day", "hour", "feature", "provider", "model"), name="uq_usage_rhythm", postgresql_nulls_not_distinct=True
        ),
    )
    id: Mapped[big_id]
    day: Mapped[date] = mapped_column(ForeignKey("rolled_days.day", ondelete="CASCADE"))
    hour: Mapped[moment]
    feature: Mapped[name_text]
    provider: Mapped[name_text | None]
    model: Mapped[name_text | None]
    requests: Mapped[counted]
    errors: Mapped[counted]
    unpriced: Mapped[counted]
    cost: Mapped[summed | None]


class UsageSubjectRow(Base):
    """What one of a day's heaviest persons used; those with the most requests and those with the highest cost."""

    __tablename__ = "usage_subjects"
    __table_args__ = (Index("ix_usage_subjects_subject", "subject"),)
    day: Mapped[date] = mapped_column(ForeignKey("rolled_days.day", ondelete="CASCADE"), primary_key=True)
    subject: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    """The pseudonym that its requests carry."""
    requests: Mapped[counted]
    unpriced: Mapped[counted]
    cost: Mapped[summed | None]


class UsagePersonsRow(Base):
    """How many persons a feature had on a day. Persons of several days do not add up: most come again."""

    __tablename__ = "usage_persons"
    day: Mapped[date] = mapped_column(ForeignKey("rolled_days.day", ondelete="CASCADE"), primary_key=True)
    feature: Mapped[name_text] = mapped_column(primary_key=True)
    persons: Mapped[counted]
    requests: Mapped[counted]
    """Theirs."""


class UsageDemandRow(Base):
    """What a feature asked of its models on a day (tasks/store/demand.py)."""

    __tablename__ = "usage_demand"
    day: Mapped[date] = mapped_column(ForeignKey("rolled_days.day", ondelete="CASCADE"), primary_key=True)
    feature: Mapped[name_text] = mapped_column(primary_key=True)
    rolled_at: Mapped[moment]
    """Of the rollup that it was counted after: another one than the day's means that it is to be counted again."""
    requests: Mapped[counted]
    calls: Mapped[counted]
    """Requests in which a model took part; all that follows is of them."""
    peak_requests: Mapped[counted | None]
    """Of the busiest minute; so is the next."""
    peak_tokens: Mapped[counted | None]
    longest: Mapped[counted | None]
    """Tokens of the longest prompt."""
    prompts: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Pairs of bucket and count, a token in the place of a microsecond; null when nobody reported tokens."""
    tier_known: Mapped[counted]
    tier_batch: Mapped[counted]


class UsageSpreadRow(Base):
    """How the costs of a feature's requests spread on a day, by category; '' is none."""

    __tablename__ = "usage_spread"
    day: Mapped[date] = mapped_column(ForeignKey("rolled_days.day", ondelete="CASCADE"), primary_key=True)
    feature: Mapped[name_text] = mapped_column(primary_key=True)
    category: Mapped[name_text] = mapped_column(primary_key=True)
    requests: Mapped[counted]
    """Those that are priced."""
    cost: Mapped[summed]
    squares: Mapped[summed]
    """Sum of the squared costs of the requests."""
