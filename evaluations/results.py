"""The result of a run: the one value that the terminal, the report and every twin are made from.

It is bounded: totals are aggregated over all cases, but at most `MAX_CASES_SHOWN` cases come along one by one
(what failed first); the CSV twin streams the rest from the store.
"""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from evaluations.answers import ErrorKind, Usage
from evaluations.changes import RunChanges
from evaluations.estimates import Estimate
from evaluations.verdicts import RunVerdict, Severity, Verdict

MAX_CASES_SHOWN = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreResult:
    """One scorer's judgement of one answer, as a report shows it."""

    scorer: str
    """The name that the suite gave it, or the registry's."""
    value: float | None
    """None when the scorer could not tell."""
    passed: bool | None
    why: str
    severity: Severity
    weight: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerResult:
    """One answer with its scores. `text` is None when the call failed."""

    repeat: int
    text: str | None
    error: ErrorKind | None = None
    error_message: str = ""
    passed: bool | None = None
    """None when the call failed or a deciding scorer could not tell."""
    score: float | None = None
    """Weighted mean of the scorers that could tell."""
    scores: tuple[ScoreResult, ...] = ()
    latency_ms: float | None = None
    cost_usd: Decimal | None = None
    usage: Usage = field(default_factory=Usage)
    from_cache: bool = False
    model_returned: str | None = None
    contaminated: bool = False
    """Another model answered than the one that was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseResult:
    """One case under one variant, over all its repeats."""

    case_id: str
    description: str
    variant: str
    verdict: Verdict
    reason: str
    """One line: why it is not a pass. Empty for a pass."""
    inputs: dict[str, Any]
    expected: Any
    tags: tuple[str, ...]
    priority: str
    pass_rate: Estimate | None
    """Over the repeats that could be judged; None when none could."""
    failed_severity: Severity | None
    """The gravest severity among failed scorers."""
    answers: tuple[AnswerResult, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Model latency over answers that were called for (cached and failed ones are left out), in milliseconds."""

    n: int
    mean: float
    p50: float
    p95: float
    p99: float
    edges: tuple[float, ...]
    """Histogram edges, ascending, len(counts) + 1; the last bin holds everything beyond."""
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScorerResult:
    """One scorer over one variant."""

    scorer: str
    severity: Severity
    weight: float
    threshold: float
    passed: int
    failed: int
    unscored: int
    mean: float | None
    """Mean value over the answers that could be scored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantResult:
    """One variant over all its cases."""

    label: str
    model: str
    prompt: str
    """Name and version, e.g. "triage 1.2.0"."""
    parameters: dict[str, Any]
    gating: bool
    """False for a candidate that is shown but does not decide the run."""
    simulated: bool
    verdicts: dict[Verdict, int]
    """Cases by verdict."""
    blockers_failed: int
    """Cases in which a blocker failed."""
    pass_rate: Estimate | None
    """passed / (passed + failed + flaky); errors and skipped cases are counted apart. None when nothing was judged."""
    score: float | None
    """Mean over cases of the weighted score."""
    pass_at: dict[int, float]
    """Unbiased pass@k for each k up to the repeats: chance that at least one of k answers passes."""
    pass_hat: dict[int, float]
    """Unbiased pass^k: chance that all of k answers pass."""
    answers: int
    errors: dict[ErrorKind, int]
    scorers: tuple[ScorerResult, ...]
    cost_usd: Decimal
    """Sum over priced answers of this run; what the cache served cost nothing now."""
    unpriced: int
    """Answers whose cost is unknown."""
    cached: int
    """Answers from the response cache."""
    saved_usd: Decimal
    """What the cached answers had cost when they were first made."""
    usage: Usage
    latency: Latency | None
    models_returned: dict[str, int]
    contaminated: int
    fallbacks: int
    retried: int
    """Answers that took more than one attempt."""
    retried_score: float | None
    """Mean score of those, to be read beside `score`: a gap hints at selection by retry."""
    routed_to: dict[str, int] = field(default_factory=dict)
    """Answers by the label of the model that gave them; empty for a variant of one model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateResult:
    """One gate on one variant."""

    gate: str
    """pass_rate, blockers, error_share, cost_usd, p95_latency_ms."""
    variant: str
    passed: bool | None
    """None: the data cannot tell."""
    value: str
    """The measured value, formatted."""
    limit: str
    """The declared limit, formatted."""
    why: str
    """One line without the variant's name and without a full stop."""
    measured: float | None
    """The value as a number, in the gate's own unit: a share in [0, 1], cases, US dollars or milliseconds; None when
    nothing could be measured."""
    limit_value: float | None
    """The limit as a number, in the same unit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InFlightCall:
    """A call that was open when its owner died: perhaps billed, listed so that nobody has to guess."""

    case_id: str
    variant: str
    repeat: int
    opened_at: datetime
    possible_cost_usd: Decimal | None
    resolution: str
    """"called again" or "recorded as an error"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderResult:
    """What a run met at one of its models, over all its executions."""

    label: str
    model: str
    attempts: int
    """Calls that went out, retries included."""
    retries: int
    rate_limited: int
    """Attempts that were refused as too many."""
    waited_ms: float
    """Waiting for slots, rates, the circuit breaker and between attempts, summed over calls; never latency."""
    breaker_openings: int
    advice: str
    """What one might do about the limits that were met; empty when none were."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarantinedRow:
    line: int
    case_id: str | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where every number came from."""

    code_version: str
    """Version of Assay and, in a checkout, the commit."""
    suite_hash: str
    dataset: str
    dataset_hash: str
    prompts: dict[str, str]
    """Prompt name and version -> content hash."""
    price_date: str | None
    """ISO date of the price rows used; None when nothing was priced."""
    seed: int
    platform: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """Everything there is to say about a run."""

    run_id: str
    suite: str
    description: str
    dataset: str
    verdict: RunVerdict
    sentence: str
    """The verdict in one sentence, uncertainty in the same breath."""
    reasons: tuple[str, ...]
    """Further sentences that carry the verdict, most important first, for where there is no page: a report says the
    same in its gates, figures and caveats."""
    complete: bool
    stop_reason: str
    """Why it is incomplete, e.g. "budget", "time", "interrupted"; empty when complete."""
    cells_done: int
    cells_total: int
    """Cells are cases x variants x repeats."""
    started_at: datetime
    finished_at: datetime
    as_of: datetime
    cases_total: int
    repeats: int
    variants: tuple[VariantResult, ...]
    gates: tuple[GateResult, ...]
    cases: tuple[CaseResult, ...]
    """At most MAX_CASES_SHOWN, failed first."""
    cases_left_out: int
    cost_usd: Decimal
    """All the money of the run: answers, calls that were retried or superseded, judges."""
    judge_cost_usd: Decimal
    """The part of it that judges and embeddings cost."""
    cap_usd: Decimal | None
    in_flight: tuple[InFlightCall, ...]
    quarantined: tuple[QuarantinedRow, ...]
    providers: tuple[ProviderResult, ...] = ()
    simulated: bool
    sample_data: bool
    """The dataset says that its cases or answers were made up for demonstration."""
    provenance: Provenance
    actor: str
    rescored_from: str | None = None
    since_last: RunChanges | None = None
    """What changed since the last run of the suite; None when nobody looked yet, or there was none to compare with."""
