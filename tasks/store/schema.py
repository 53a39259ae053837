"""The tables. A row is a fact that happened; what can be derived is a query.

Text that decides order or equality between machines is COLLATE "C". The tables of production traffic are in
traffic.py, those of rollups in rollup_tables.py and customer_tables.py, of experiments in experiment_tables.py, of the
model registry in model_tables.py, of benchmarks in benchmark_tables.py, of deployments in deployment_tables.py, what
comes to prompts in prompt_tables.py, that of reviews in review_tables.py, of roles in role_tables.py, of selections in
selection_tables.py, of recommendations in recommendation_tables.py, of notifications in notification_tables.py; naming
them here makes `Base.metadata` whole for whoever imports this module.
"""

from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Computed,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from tasks.store import (
    benchmark_tables,
    customer_tables,
    deployment_tables,
    experiment_tables,
    model_tables,
    notification_tables,
    prompt_tables,
    recommendation_tables,
    review_tables,
    role_tables,
    rollup_tables,
    selection_tables,
    traffic,
)
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
    uuid_pk,
)

__all__ = [
    "Base",
    "benchmark_tables",
    "customer_tables",
    "deployment_tables",
    "experiment_tables",
    "model_tables",
    "notification_tables",
    "prompt_tables",
    "recommendation_tables",
    "review_tables",
    "role_tables",
    "rollup_tables",
    "selection_tables",
    "traffic",
]


class DatasetRow(Base):
    """One version of a dataset: the content hash is the version."""

    __tablename__ = "datasets"
    __table_args__ = (UniqueConstraint("name", "content_hash"),)
    id: Mapped[uuid_pk]
    name: Mapped[name_text]
    content_hash: Mapped[digest]
    contract_hash: Mapped[digest | None]
    """The contract that these rows passed; null when nothing was promised."""
    cases: Mapped[int]
    quarantined: Mapped[int]
    description: Mapped[str]
    licence: Mapped[str]
    sample_data: Mapped[bool]
    actor: Mapped[actor]
    recorded_at: Mapped[recorded_at]


class CaseRow(Base):
    """One case of one dataset version. `position` is its place in the file and its short name everywhere else."""

    __tablename__ = "cases"
    __table_args__ = (UniqueConstraint("dataset_id", "case_id"),)
    dataset_id: Mapped[UUID] = mapped_column(ForeignKey("datasets.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    case_id: Mapped[name_text]
    content: Mapped[dict[str, Any]] = mapped_column(JSON)
    """Not JSONB: the inputs stay in the order in which their author wrote them."""
    content_hash: Mapped[bytes] = mapped_column(LargeBinary)
    """16 bytes: tells after an edit which cases are still the same."""


class QuarantinedRowRow(Base):
    """A row of the file that broke the contract and was left out, with the reason."""

    __tablename__ = "quarantined_rows"
    dataset_id: Mapped[UUID] = mapped_column(ForeignKey("datasets.id", ondelete="CASCADE"), primary_key=True)
    line: Mapped[int] = mapped_column(primary_key=True)
    case_id: Mapped[str | None]
    reason: Mapped[str]


class SuiteRow(Base):
    """One version of a suite, as it was read."""

    __tablename__ = "suites"
    __table_args__ = (UniqueConstraint("name", "content_hash"),)
    id: Mapped[uuid_pk]
    name: Mapped[name_text]
    content_hash: Mapped[digest]
    description: Mapped[str]
    feature: Mapped[str | None]
    author: Mapped[str | None]
    spec: Mapped[document]
    actor: Mapped[actor]
    recorded_at: Mapped[recorded_at]


class PromptRow(Base):
    """A named prompt."""

    __tablename__ = "prompts"
    id: Mapped[uuid_pk]
    name: Mapped[name_text] = mapped_column(unique=True)
    description: Mapped[str]
    actor: Mapped[actor]
    recorded_at: Mapped[recorded_at]


class PromptVersionRow(Base):
    """An immutable version of a prompt, as a run brought it or as somebody registered it.

    What a run brought keeps its content; until it is registered its number is what its file said, with its hash as
    build metadata where another text has that number. What is registered keeps everything: a trigger sees to it.
    """

    __tablename__ = "prompt_versions"
    __table_args__ = (
        UniqueConstraint("prompt_id", "seq"),
        UniqueConstraint("prompt_id", "semver"),
        UniqueConstraint("prompt_id", "content_hash"),
        CheckConstraint("(registered_by IS NULL) = (registered_at IS NULL)", name="registered"),
        Index("ix_prompt_versions_words", "words", postgresql_using="gin"),
    )
    id: Mapped[uuid_pk]
    prompt_id: Mapped[UUID] = mapped_column(ForeignKey("prompts.id"))
    seq: Mapped[int]
    semver: Mapped[name_text]
    content_hash: Mapped[digest]
    spec: Mapped[document]
    parent_id: Mapped[UUID | None] = mapped_column(ForeignKey("prompt_versions.id"))
    """The version that it was compared with when it was registered."""
    source: Mapped[str | None]
    """Where it was read from when it was registered."""
    registered_by: Mapped[str | None] = mapped_column(Text)
    """Its author, who cannot approve it; null for what only a run brought."""
    registered_at: Mapped[moment | None]
    words: Mapped[str | None] = mapped_column(TSVECTOR, Computed("prompt_words(spec)", persisted=True))
    """What it is found by: name, tags and categories before description and changelog before texts."""
    actor: Mapped[actor]
    recorded_at: Mapped[recorded_at]


class ModelConfigRow(Base):
    """A model with its parameters and fallbacks."""

    __tablename__ = "model_configs"
    id: Mapped[uuid_pk]
    name: Mapped[name_text]
    model: Mapped[name_text]
    content_hash: Mapped[digest] = mapped_column(unique=True)
    spec: Mapped[document]
    actor: Mapped[actor]
    recorded_at: Mapped[recorded_at]


class VariantRow(Base):
    """What is compared: a prompt version with a model configuration and a set of parameters."""

    __tablename__ = "variants"
    id: Mapped[uuid_pk]
    prompt_version_id: Mapped[UUID] = mapped_column(ForeignKey("prompt_versions.id"), index=True)
    model_config_id: Mapped[UUID] = mapped_column(ForeignKey("model_configs.id"))
    content_hash: Mapped[digest] = mapped_column(unique=True)
    spec: Mapped[document]
    actor: Mapped[actor]
    recorded_at: Mapped[recorded_at]


class ModelPriceRow(Base):
    """What one token of one class of one model costs from a date on. Rows are added, never changed."""

    __tablename__ = "model_prices"
    __table_args__ = (
        UniqueConstraint(
            "model",
            "token_class",
            "tier_start",
            "effective_from",
            "source",
            postgresql_nulls_not_distinct=True,
        ),
    )
    id: Mapped[big_id]
    model: Mapped[name_text]
    token_class: Mapped[name_text]
    usd_per_token: Mapped[money]
    currency: Mapped[name_text] = mapped_column(server_default="USD")
    tier_start: Mapped[int | None]
    """Input tokens of a call beyond which this price applies to all of it."""
    effective_from: Mapped[date]
    effective_to: Mapped[date | None]
    """The first day on which it no longer holds."""
    source: Mapped[str]
    actor: Mapped[actor]
    recorded_at: Mapped[recorded_at]


class WorkerRow(Base):
    """A process that executes runs. It holds an advisory lock on its id for as long as it lives."""

    __tablename__ = "workers"
    id: Mapped[big_id]
    host: Mapped[str]
    pid: Mapped[int]
    actor: Mapped[actor]
    recorded_at: Mapped[recorded_at]


class RunRow(Base):
    """One execution of a suite, benchmark, experiment arm or replay."""

    __tablename__ = "runs"
    __table_args__ = (
        one_of(
            "kind", "suite", "benchmark", "experiment", "playground", "replay", "calibration", "load", "pack", "probe"
        ),
        one_of("status", "queued", "running", "completed", "partial", "failed", "cancelled"),
        Index("ix_runs_recorded_at", "recorded_at"),
    )
    id: Mapped[uuid_pk]
    kind: Mapped[name_text]
    suite_id: Mapped[UUID] = mapped_column(ForeignKey("suites.id"))
    dataset_id: Mapped[UUID] = mapped_column(ForeignKey("datasets.id"))
    config_hash: Mapped[digest]
    config: Mapped[document]
    """The whole resolved suite with its prompts: what another machine needs to resume."""
    folder: Mapped[str]
    """Where the suite's files were: recordings and custom scorers are read from there."""
    status: Mapped[name_text]
    stop_reason: Mapped[str]
    """Why the last execution ended early; empty when it did not."""
    priority: Mapped[int]
    seed: Mapped[int]
    repeats: Mapped[small]
    cases: Mapped[int]
    cells: Mapped[int]
    """Cases x variants x repeats."""
    estimate: Mapped[document | None]
    providers: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, server_default="[]")
    """What each execution of the run met at each model: attempts, refusals, waits."""
    prefect_flow_run_id: Mapped[UUID | None]
    rescored_from: Mapped[UUID | None] = mapped_column(ForeignKey("runs.id"))
    verdict: Mapped[str | None]
    sentence: Mapped[str | None]
    report: Mapped[str | None]
    """Where the HTML report was last written."""
    actor: Mapped[actor]
    recorded_at: Mapped[recorded_at]
    started_at: Mapped[moment | None]
    completed_at: Mapped[moment | None]


class RunVariantRow(Base):
    """A variant's place in a run; `position` is its short name in the ledger."""

    __tablename__ = "run_variants"
    run_id: Mapped[UUID] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[small] = mapped_column(primary_key=True)
    variant_id: Mapped[UUID] = mapped_column(ForeignKey("variants.id"))
    label: Mapped[name_text]
    gating: Mapped[bool]


class RunShardRow(Base):
    """A range of cases that one worker executes at a time: a lease with a fencing number."""

    __tablename__ = "run_shards"
    __table_args__ = (one_of("state", "open", "done"),)
    run_id: Mapped[UUID] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    shard: Mapped[int] = mapped_column(primary_key=True)
    first_position: Mapped[int]
    last_position: Mapped[int]
    state: Mapped[name_text]
    worker_id: Mapped[int | None] = mapped_column(BigInteger)
    fence: Mapped[int] = mapped_column(BigInteger)
    """Grows with every claim; a write that carries an older one is refused."""
    expires_at: Mapped[moment | None]
    heartbeat_at: Mapped[moment | None]


class RunBudgetRow(Base):
    """The money of a run. `reserved` is held for open calls, `at_risk` for calls whose owner died."""

    __tablename__ = "run_budgets"
    run_id: Mapped[UUID] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    cap: Mapped[money | None]
    reserved: Mapped[money] = mapped_column(server_default="0")
    spent: Mapped[money] = mapped_column(server_default="0")
    at_risk: Mapped[money] = mapped_column(server_default="0")


class CallRow(Base):
    """The intent to make one model call, committed before the call is made.

    `role` is 0 for the answer itself and the number of the judgement for a judge's call. A call is open while it
    has neither an answer of the same attempt nor a resolution.
    """

    __tablename__ = "calls"
    __table_args__ = (one_of("resolution", "answered", "called again", "recorded as an error"),)
    run_id: Mapped[UUID] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    variant: Mapped[small] = mapped_column(primary_key=True)
    repeat: Mapped[small] = mapped_column(primary_key=True)
    role: Mapped[small] = mapped_column(primary_key=True)
    attempt: Mapped[small] = mapped_column(primary_key=True)
    worker_id: Mapped[int] = mapped_column(BigInteger)
    reserved: Mapped[money | None]
    opened_at: Mapped[recorded_at]
    resolution: Mapped[name_text | None]
    resolved_at: Mapped[moment | None]


class AnswerRow(Base):
    """What one variant said to one case in one repeat. An errored call is an answer without text."""

    __tablename__ = "answers"
    __table_args__ = (
        one_of("status", "answered", "error", "skipped"),
        Index(
            "uq_answers_current",
            "run_id",
            "position",
            "variant",
            "repeat",
            unique=True,
            postgresql_where=text("NOT superseded"),
        ),
        Index("ix_answers_cache_key", "cache_key", postgresql_where=text("cache_key IS NOT NULL")),
    )
    id: Mapped[big_id]
    run_id: Mapped[UUID] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"))
    position: Mapped[int]
    variant: Mapped[small]
    repeat: Mapped[small]
    attempt: Mapped[small]
    superseded: Mapped[bool] = mapped_column(server_default="false")
    """True once another attempt or an edited configuration took its place; the fact stays."""
    status: Mapped[name_text]
    error_type: Mapped[str | None]
    error_message: Mapped[str]
    text: Mapped[str | None]
    input_tokens: Mapped[int]
    cached_tokens: Mapped[int]
    cache_write_tokens: Mapped[int]
    output_tokens: Mapped[int]
    reasoning_tokens: Mapped[int]
    usage_known: Mapped[bool]
    cost: Mapped[money | None]
    """Null when unknown; zero for what the cache served."""
    cached_cost: Mapped[money | None]
    """What a cached answer had cost when it was made."""
    latency_ms: Mapped[float | None]
    queue_ms: Mapped[float]
    first_token_ms: Mapped[float | None]
    """From the call to the first piece of text; null where the answer came in one piece."""
    model_returned: Mapped[str | None]
    finish_reason: Mapped[str | None]
    tries: Mapped[small]
    from_cache: Mapped[bool]
    fallback_model: Mapped[str | None]
    routed_to: Mapped[str | None]
    """Label of the model that answered, where a route chose it; cost and latency hold the whole way to it."""
    contaminated: Mapped[bool]
    """Another model answered than the one that was asked for."""
    simulated: Mapped[bool]
    prompt_hash: Mapped[bytes | None] = mapped_column(LargeBinary)
    cache_key: Mapped[bytes | None] = mapped_column(LargeBinary)
    raw: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    recorded_at: Mapped[recorded_at]


class JudgementRow(Base):
    """One reply of a judge or an embedding model about one answer, and what it cost."""

    __tablename__ = "judgements"
    __table_args__ = (UniqueConstraint("answer_id", "scorer", "order", "request_hash"),)
    id: Mapped[big_id]
    answer_id: Mapped[int] = mapped_column(ForeignKey("answers.id", ondelete="CASCADE"))
    scorer: Mapped[name_text]
    order: Mapped[small]
    """A pairwise judge is asked in both orders; both replies are kept."""
    request_hash: Mapped[bytes] = mapped_column(LargeBinary)
    """The same question to the same judge is not paid for twice."""
    text: Mapped[str | None]
    error_type: Mapped[str | None]
    error_message: Mapped[str]
    input_tokens: Mapped[int]
    cached_tokens: Mapped[int]
    cache_write_tokens: Mapped[int]
    output_tokens: Mapped[int]
    reasoning_tokens: Mapped[int]
    cost: Mapped[money | None]
    latency_ms: Mapped[float | None]
    model_returned: Mapped[str | None]
    recorded_at: Mapped[recorded_at]


class ScoreRow(Base):
    """One answer judged once by one scorer. `value` is null when the scorer could not tell."""

    __tablename__ = "scores"
    __table_args__ = (UniqueConstraint("answer_id", "scorer", "scorer_version"),)
    id: Mapped[big_id]
    answer_id: Mapped[int] = mapped_column(ForeignKey("answers.id", ondelete="CASCADE"))
    scorer: Mapped[name_text]
    scorer_version: Mapped[name_text]
    """The scorer's own version and a hash of its settings."""
    value: Mapped[float | None]
    why: Mapped[str]
    recorded_at: Mapped[recorded_at]


class VerdictRow(Base):
    """The verdict of one case under one variant, over all its repeats."""

    __tablename__ = "verdicts"
    __table_args__ = (
        ForeignKeyConstraint(["run_id"], ["runs.id"], ondelete="CASCADE"),
        one_of("verdict", "pass", "fail", "flaky", "error", "skipped"),
        one_of("failed_severity", "blocker", "major", "minor"),
    )
    run_id: Mapped[UUID] = mapped_column(primary_key=True)
    variant: Mapped[small] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    verdict: Mapped[name_text]
    reason: Mapped[str]
    judged: Mapped[small]
    """Repeats that could be judged; `passed` of them passed."""
    passed: Mapped[small]
    errors: Mapped[small]
    score: Mapped[float | None]
    failed_severity: Mapped[name_text | None]
    scorers: Mapped[dict[str, Any]] = mapped_column(JSONB)
    """Label -> {passed, failed, unscored, sum, severity, weight, threshold} over the case's repeats."""


class RunComparisonRow(Base):
    """What changed from the run before to this one. Written again only when the run was completed again."""

    __tablename__ = "run_comparisons"
    run_id: Mapped[UUID] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    baseline_id: Mapped[UUID | None] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"))
    """Null when there was no run to compare with."""
    facts: Mapped[document | None]
    reported_at: Mapped[moment | None]
    """When the run's report was written again with it; null until then."""
    actor: Mapped[actor]
    recorded_at: Mapped[recorded_at]


class LogicalDateRow(Base):
    """One date of one scheduled flow. Whether a running one still lives is told by its advisory lock."""

    __tablename__ = "logical_dates"
    __table_args__ = (one_of("status", "running", "done", "failed"),)
    flow: Mapped[name_text] = mapped_column(primary_key=True)
    logical_date: Mapped[date] = mapped_column(primary_key=True)
    status: Mapped[name_text]
    flow_run_id: Mapped[UUID | None]
    """The Prefect flow run that claimed it last."""
    claim: Mapped[int]
    """Grows with every claim; who carries an older one ends nothing any more."""
    started_at: Mapped[moment]
    finished_at: Mapped[moment | None]
    actor: Mapped[actor]
    recorded_at: Mapped[recorded_at]
    """When it was claimed for the first time."""
