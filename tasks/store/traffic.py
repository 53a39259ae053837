"""The tables of production traffic: requests and their steps, how they came, and what could not land."""

from datetime import date
from decimal import Decimal

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    LargeBinary,
    Numeric,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from tasks.store.columns import (
    Base,
    actor,
    big_id,
    digest,
    document,
    moment,
    money,
    name_text,
    one_of,
    recorded_at,
    small,
)

TOLD = """(ticket IS NOT NULL OR resolution IS NOT NULL OR rating IS NOT NULL OR sentiment IS NOT NULL
    OR handled_by IS NOT NULL OR escalated_at IS NOT NULL OR escalation_reason IS NOT NULL OR reopened IS NOT NULL
    OR resolution_s IS NOT NULL OR follow_up_required IS NOT NULL OR follow_up_completed IS NOT NULL)"""
"""Requests that say something of a customer's matter: a partial index has these words."""


OF_FEATURE = """(feature, at) >= (CAST(:feature AS text), CAST(:begins AS timestamptz))
    AND (feature, at) < (CAST(:feature AS text), CAST(:ends AS timestamptz))"""
"""Requests of one feature from `begins` to before `ends`, by the index that has both."""
NEWEST_OF_FEATURE = "feature DESC, at DESC"
"""Their order. Told that the feature is one and the same, Postgres might look for it from the newest request of all
backwards: through all there are, where it was not asked for long."""


class PlatformRow(Base):
    """What holds for the whole installation: one row, made when it is first needed."""

    __tablename__ = "platform"
    __table_args__ = (CheckConstraint("one", name="one"),)
    one: Mapped[bool] = mapped_column(primary_key=True, server_default="true")
    timezone: Mapped[name_text]
    """The IANA zone whose midnights part the days of all rollups."""
    subject_key: Mapped[bytes] = mapped_column(LargeBinary)
    """Secret of the pseudonyms: without it a subject's name cannot be tried out against them."""
    actor: Mapped[actor]
    recorded_at: Mapped[recorded_at]


class IngestBatchRow(Base):
    """One reading of one file of requests, and what became of its rows."""

    __tablename__ = "ingest_batches"
    __table_args__ = (one_of("status", "running", "done", "partial", "failed"),)
    id: Mapped[big_id]
    file: Mapped[str]
    """Its name alone: a path says more about the machine than about the data."""
    format: Mapped[name_text]
    source: Mapped[name_text]
    """Whose ids these are: the same id of two sources is two requests."""
    status: Mapped[name_text]
    """partial: the file could not be read to its end; what stood before that has landed."""
    stop_reason: Mapped[str] = mapped_column(server_default="")
    sample_data: Mapped[bool] = mapped_column(server_default="false")
    rows: Mapped[int] = mapped_column(BigInteger, server_default="0")
    """Rows read; the sum of the four below."""
    landed: Mapped[int] = mapped_column(BigInteger, server_default="0")
    duplicates: Mapped[int] = mapped_column(BigInteger, server_default="0")
    """Rows that were there already, with the same content."""
    quarantined: Mapped[int] = mapped_column(BigInteger, server_default="0")
    skipped: Mapped[int] = mapped_column(BigInteger, server_default="0")
    """Rows that are no requests, such as spans of other steps."""
    unpriced: Mapped[int] = mapped_column(BigInteger, server_default="0")
    """Of the landed rows, those with tokens whose cost is unknown."""
    spans: Mapped[int] = mapped_column(BigInteger, server_default="0")
    scrubbed: Mapped[document] = mapped_column(server_default="{}")
    """Kind of personal data -> how often it was taken out before anything was written."""
    actor: Mapped[actor]
    recorded_at: Mapped[recorded_at]
    finished_at: Mapped[moment | None]


class PriceSetRow(Base):
    """The prices by which requests were priced, kept once and pointed at by every row that used them."""

    __tablename__ = "price_sets"
    id: Mapped[big_id]
    content_hash: Mapped[digest] = mapped_column(unique=True)
    model: Mapped[name_text]
    """The name under which the prices stand, provider included."""
    prices: Mapped[document]
    """Token class -> [[tokens beyond which it holds, US dollars a token as text], …], ascending."""
    actor: Mapped[actor]
    recorded_at: Mapped[recorded_at]


class RequestKeyRow(Base):
    """Which requests are there: an id of a source lands once, whatever its timestamp. Not partitioned."""

    __tablename__ = "request_keys"
    source: Mapped[name_text] = mapped_column(primary_key=True)
    external_id: Mapped[name_text] = mapped_column(primary_key=True)
    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True))
    at: Mapped[moment]
    content_hash: Mapped[bytes] = mapped_column(LargeBinary)
    """16 bytes of what was said of the request: tells a repetition from a contradiction."""
    batch_id: Mapped[int] = mapped_column(BigInteger)
    recorded_at: Mapped[recorded_at]


class RequestRow(Base):
    """One production call of a feature, with its outcome. Partitioned by the month (UTC) of `at`.

    Nothing has a foreign key to it: references carry (id, at). What is not known is null; tokens are zero where
    `usage_known` is false.
    """

    __tablename__ = "requests"
    __table_args__ = (
        one_of("status", "success", "error"),
        one_of("cost_source", "priced", "stated"),
        one_of(
            "resolution",
            *("resolved", "escalated_human", "escalated_specialist", "unresolved", "abandoned", "pending"),
        ),
        one_of("handled_by", "ai", "human"),
        CheckConstraint("(cost IS NULL) = (cost_source IS NULL)", name="cost_has_source"),
        CheckConstraint("follow_up_required OR NOT follow_up_completed", name="follow_up"),
        Index("ix_requests_at", "at"),
        Index("ix_requests_feature", "feature", "at"),
        Index("ix_requests_trace_id", "trace_id", postgresql_where=text("trace_id IS NOT NULL")),
        Index("ix_requests_subject", "subject", "feature", "at", postgresql_where=text("subject IS NOT NULL")),
        Index("ix_requests_told", "at", "feature", postgresql_where=text(TOLD)),
        Index("ix_requests_ticket", "ticket", postgresql_where=text("ticket IS NOT NULL")),
        Index("ix_requests_experiment", "experiment", "at", postgresql_where=text("experiment IS NOT NULL")),
        {"postgresql_partition_by": "RANGE (at)"},
    )
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    """That of its key."""
    at: Mapped[moment] = mapped_column(primary_key=True)
    """When the request began."""
    batch_id: Mapped[int] = mapped_column(BigInteger)
    source: Mapped[name_text]
    external_id: Mapped[name_text]
    feature: Mapped[name_text]
    category: Mapped[name_text | None]
    provider: Mapped[name_text | None]
    model: Mapped[name_text | None]
    """As the feature asked for it, without its provider; null where no model took part."""
    model_returned: Mapped[name_text | None]
    prompt_version: Mapped[name_text | None]
    project: Mapped[name_text | None]
    environment: Mapped[name_text | None]
    region: Mapped[name_text | None]
    service_tier: Mapped[name_text | None]
    """standard, batch, flex, priority: what the provider bills apart. Null is standard."""
    language: Mapped[name_text | None]
    experiment: Mapped[name_text | None]
    variant: Mapped[name_text | None]
    subject: Mapped[bytes | None] = mapped_column(LargeBinary)
    """16 bytes: the pseudonym of whoever asked (keyed hash)."""
    ticket: Mapped[name_text | None]
    trace_id: Mapped[name_text | None]
    span_id: Mapped[name_text | None]
    status: Mapped[name_text | None]
    error_type: Mapped[name_text | None]
    error_message: Mapped[str | None]
    latency_ms: Mapped[float | None]
    """From the request to its end, as the feature's user had to wait."""
    processing_ms: Mapped[float | None]
    """The model alone, without queue, retries and our own work."""
    first_token_ms: Mapped[float | None]
    input_tokens: Mapped[int]
    cached_tokens: Mapped[int]
    cache_write_tokens: Mapped[int]
    cache_write_1h_tokens: Mapped[int]
    input_audio_tokens: Mapped[int]
    cached_audio_tokens: Mapped[int]
    output_tokens: Mapped[int]
    reasoning_tokens: Mapped[int]
    output_audio_tokens: Mapped[int]
    output_image_tokens: Mapped[int]
    usage_known: Mapped[bool]
    web_searches: Mapped[int | None]
    """Billed by the piece; null where nobody counted them."""
    cache_hit: Mapped[bool | None]
    cost: Mapped[money | None]
    """US dollars; null when unknown."""
    cost_source: Mapped[name_text | None]
    """priced: by `price_set_id`; stated: the file said what was paid."""
    price_set_id: Mapped[int | None] = mapped_column(BigInteger)
    reported_cost: Mapped[money | None]
    """What the tool that wrote the log reckoned, in US dollars: to compare, never summed."""
    rating: Mapped[small | None]
    """1 to 5, given by the user."""
    comment: Mapped[str | None]
    quality: Mapped[float | None]
    """0 to 1; higher is better. So are the two below."""
    confidence: Mapped[float | None]
    sentiment: Mapped[float | None]
    resolution: Mapped[name_text | None]
    resolution_s: Mapped[float | None]
    handled_by: Mapped[name_text | None]
    """Who took the request first; human for the baseline without AI."""
    escalation_reason: Mapped[name_text | None]
    escalated_at: Mapped[moment | None]
    follow_up_required: Mapped[bool | None]
    follow_up_completed: Mapped[bool | None]
    reopened: Mapped[bool | None]
    turns: Mapped[int | None]
    consent: Mapped[bool | None]
    recorded_at: Mapped[recorded_at]


class SpanRow(Base):
    """One step of a request, named as OpenTelemetry names it. Partitioned by the week (Monday, UTC) of `at`."""

    __tablename__ = "spans"
    __table_args__ = (
        one_of("status", "unset", "ok", "error"),
        {"postgresql_partition_by": "RANGE (at)"},
    )
    trace_id: Mapped[name_text] = mapped_column(primary_key=True)
    span_id: Mapped[name_text] = mapped_column(primary_key=True)
    at: Mapped[moment] = mapped_column(primary_key=True)
    """When the step began."""
    batch_id: Mapped[int] = mapped_column(BigInteger)
    parent_id: Mapped[name_text | None]
    name: Mapped[name_text]
    kind: Mapped[name_text | None]
    duration_ms: Mapped[float | None]
    """Null while it had not ended when it was exported."""
    status: Mapped[name_text]
    error_type: Mapped[name_text | None]
    error_message: Mapped[str | None]
    attributes: Mapped[document]
    recorded_at: Mapped[recorded_at]


class QuarantineRow(Base):
    """A row of a file that could not land, as it was read (scrubbed), with its reason and its way back."""

    __tablename__ = "quarantine"
    __table_args__ = (
        UniqueConstraint("source", "content_hash"),
        one_of("state", "waiting", "landed", "dismissed"),
        Index("ix_quarantine_waiting", "id", postgresql_where=text("state = 'waiting'")),
    )
    id: Mapped[big_id]
    batch_id: Mapped[int] = mapped_column(ForeignKey("ingest_batches.id"), index=True)
    """The batch that met it last."""
    source: Mapped[name_text]
    line: Mapped[int] = mapped_column(BigInteger)
    external_id: Mapped[str | None]
    reason: Mapped[str]
    content: Mapped[str | None]
    """The row as text, personal data taken out; null where it is no text or could not be scrubbed."""
    content_hash: Mapped[digest]
    """Of the row as it came: the same bad row of the same file stands here once."""
    seen: Mapped[int] = mapped_column(server_default="1")
    state: Mapped[name_text] = mapped_column(server_default="waiting")
    resolved_at: Mapped[moment | None]
    actor: Mapped[actor]
    recorded_at: Mapped[recorded_at]


class RollupDirtyRow(Base):
    """A mark that facts of a day changed, written in the transaction that changed them.

    Marks are added, never updated, so that two ingests of one day do not wait for each other. A rollup reads the
    marks of its day first, aggregates after, and removes the marks it read in the same transaction.
    """

    __tablename__ = "rollup_dirty"
    __table_args__ = (one_of("cause", "ingest", "reprice", "erase", "timezone"), Index("ix_rollup_dirty_day", "day"))
    id: Mapped[big_id]
    day: Mapped[date]
    """In the platform's time zone."""
    cause: Mapped[name_text]
    batch_id: Mapped[int | None] = mapped_column(BigInteger)
    rows: Mapped[int] = mapped_column(BigInteger)
    """Requests of the day that were added or changed."""
    actor: Mapped[actor]
    recorded_at: Mapped[recorded_at]


class DroppedPartitionRow(Base):
    """A partition that retention took away: its days are frozen, and rows of them land no more."""

    __tablename__ = "dropped_partitions"
    __table_args__ = (one_of("table_name", "requests", "spans"),)
    table_name: Mapped[name_text] = mapped_column(primary_key=True)
    starts_on: Mapped[date] = mapped_column(primary_key=True)
    """Its first day (UTC)."""
    ends_on: Mapped[date]
    """The first day that is not in it any more."""
    actor: Mapped[actor]
    recorded_at: Mapped[recorded_at]


class RepricingRow(Base):
    """One repricing of requests: who looked at which days again, and what came of it."""

    __tablename__ = "repricings"
    __table_args__ = (one_of("status", "running", "done"),)
    id: Mapped[big_id]
    first_day: Mapped[date]
    """In the platform's time zone; so is the next, which is included."""
    last_day: Mapped[date]
    status: Mapped[name_text]
    """running: it is under way, or was interrupted; the same command goes on with it."""
    looked_at: Mapped[int] = mapped_column(BigInteger, server_default="0")
    unpriced: Mapped[int] = mapped_column(BigInteger, server_default="0")
    kept: Mapped[int] = mapped_column(BigInteger, server_default="0")
    """Requests that keep a price although none is found any more."""
    actor: Mapped[actor]
    recorded_at: Mapped[recorded_at]
    finished_at: Mapped[moment | None]


class RepricedRow(Base):
    """Requests of a day and model that a repricing took from one set of prices to another, written with their change.

    Several rows may stand for the same change, one for each transaction of the repricing: they add up.
    """

    __tablename__ = "repriced"
    id: Mapped[big_id]
    repricing_id: Mapped[int] = mapped_column(ForeignKey("repricings.id", ondelete="CASCADE"), index=True)
    day: Mapped[date]
    provider: Mapped[name_text | None]
    model: Mapped[name_text]
    set_before: Mapped[int | None] = mapped_column(ForeignKey("price_sets.id"))
    """Null where the requests had been unpriced."""
    set_after: Mapped[int] = mapped_column(ForeignKey("price_sets.id"))
    rows: Mapped[int] = mapped_column(BigInteger)
    cost_before: Mapped[Decimal | None] = mapped_column(Numeric)
    cost_after: Mapped[Decimal] = mapped_column(Numeric)
    actor: Mapped[actor]
    """Who did this part of it: one who goes on with a repricing may be another than who began."""
    recorded_at: Mapped[recorded_at]


class ErasureRow(Base):
    """A person who was forgotten: by whom, when, why and how much. Who it was stands nowhere."""

    __tablename__ = "erasures"
    id: Mapped[big_id]
    reason: Mapped[str]
    requests: Mapped[int] = mapped_column(BigInteger)
    """Requests that were removed; their days are rolled up again without them."""
    spans: Mapped[int] = mapped_column(BigInteger)
    quarantined: Mapped[int] = mapped_column(BigInteger)
    days: Mapped[int]
    """Days that are to be rolled up again."""
    actor: Mapped[actor]
    recorded_at: Mapped[recorded_at]
