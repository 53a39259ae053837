"""What came out of a run, aggregated where the data is: one question, one function."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from evaluations.answers import ErrorKind, Usage
from evaluations.results import Latency
from evaluations.verdicts import Severity, Verdict

HISTOGRAM_BINS = 24


@dataclass(frozen=True, slots=True)
class VerdictTotals:
    """Verdicts of one variant, counted."""

    verdicts: dict[Verdict, int]
    blockers: int
    score: float | None
    pass_counts: dict[tuple[int, int], int]
    """(judged repeats, passed repeats) -> cases."""


@dataclass(frozen=True, slots=True)
class AnswerTotals:
    """Answers of one variant, added up."""

    answers: int
    cost: Decimal
    unpriced: int
    cached: int
    saved: Decimal
    usage: Usage
    contaminated: int
    fallbacks: int
    retried: int
    retried_score: float | None


NO_ANSWERS = AnswerTotals(0, Decimal(0), 0, 0, Decimal(0), Usage(), 0, 0, 0, None)


@dataclass(frozen=True, slots=True)
class ScorerTotals:
    """One scorer over one variant."""

    scorer: str
    severity: Severity
    weight: float
    threshold: float
    passed: int
    failed: int
    unscored: int
    total: float


@dataclass(frozen=True, slots=True)
class VerdictLine:
    """One verdict with its case's place, most interesting first."""

    position: int
    variant: int
    verdict: Verdict
    reason: str
    judged: int
    passed: int
    failed_severity: Severity | None


def verdict_totals(connection: Connection, run_id: UUID) -> dict[int, VerdictTotals]:
    """By variant position."""
    totals: dict[int, VerdictTotals] = {}
    rows = connection.execute(
        text("""
            SELECT variant, verdict, judged, passed, count(*) AS cases,
                   count(*) FILTER (WHERE failed_severity = 'blocker') AS blockers
            FROM verdicts WHERE run_id = :run GROUP BY variant, verdict, judged, passed
        """),
        {"run": run_id},
    ).all()
    scores = connection.execute(
        text("SELECT variant, avg(score) FROM verdicts WHERE run_id = :run GROUP BY variant"), {"run": run_id}
    )
    for variant, score in scores:
        mine = [row for row in rows if row.variant == variant]
        verdicts: dict[Verdict, int] = {}
        pass_counts: dict[tuple[int, int], int] = {}
        for row in mine:
            verdicts[row.verdict] = verdicts.get(row.verdict, 0) + row.cases
            if row.judged and row.verdict != "skipped":
                key = (row.judged, row.passed)
                pass_counts[key] = pass_counts.get(key, 0) + row.cases
        totals[variant] = VerdictTotals(verdicts, sum(row.blockers for row in mine), score, pass_counts)
    return totals


def answer_totals(connection: Connection, run_id: UUID, answers_of: UUID) -> dict[int, AnswerTotals]:
    """By variant position; superseded answers are left out here, their cost is in the run's budget."""
    rows = connection.execute(
        text("""
            SELECT a.variant, count(*) AS answers, coalesce(sum(a.cost), 0) AS cost,
                   count(*) FILTER (WHERE a.cost IS NULL AND a.status = 'answered') AS unpriced,
                   count(*) FILTER (WHERE a.from_cache) AS cached, coalesce(sum(a.cached_cost), 0) AS saved,
                   sum(a.input_tokens) AS input_tokens, sum(a.cached_tokens) AS cached_tokens,
                   sum(a.cache_write_tokens) AS cache_write_tokens, sum(a.output_tokens) AS output_tokens,
                   sum(a.reasoning_tokens) AS reasoning_tokens,
                   count(*) FILTER (WHERE a.contaminated) AS contaminated, count(a.fallback_model) AS fallbacks,
                   count(*) FILTER (WHERE a.tries > 1) AS retried,
                   avg(v.score) FILTER (WHERE a.tries > 1) AS retried_score
            FROM answers a
            LEFT JOIN verdicts v ON v.run_id = :run AND v.variant = a.variant AND v.position = a.position
            WHERE a.run_id = :answers AND NOT a.superseded GROUP BY a.variant
        """),
        {"run": run_id, "answers": answers_of},
    )
    return {
        row.variant: AnswerTotals(
            answers=row.answers,
            cost=row.cost,
            unpriced=row.unpriced,
            cached=row.cached,
            saved=row.saved,
            usage=Usage(
                input_tokens=row.input_tokens,
                cached_tokens=row.cached_tokens,
                cache_write_tokens=row.cache_write_tokens,
                output_tokens=row.output_tokens,
                reasoning_tokens=row.reasoning_tokens,
            ),
            contaminated=row.contaminated,
            fallbacks=row.fallbacks,
            retried=row.retried,
            retried_score=row.retried_score,
        )
        for row in rows
    }


def errors_by_kind(connection: Connection, answers_of: UUID) -> dict[int, dict[ErrorKind, int]]:
    """By variant position."""
    return _counted(connection, answers_of, "error_type")


def models_returned(connection: Connection, answers_of: UUID) -> dict[int, dict[str, int]]:
    """By variant position: the names that providers gave in their replies."""
    return _counted(connection, answers_of, "model_returned")


def routed_to(connection: Connection, answers_of: UUID) -> dict[int, dict[str, int]]:
    """By the position of a routed variant: how many answers each of its models gave, the most first."""
    return _counted(connection, answers_of, "routed_to")


def _counted(connection: Connection, answers_of: UUID, column: str) -> dict[int, dict[Any, int]]:
    """By variant position: how many answers have each value of a column, the most frequent first."""
    counts: dict[int, dict[Any, int]] = {}
    for variant, value, count in connection.execute(
        text(f"""
            SELECT variant, {column}, count(*) FROM answers
            WHERE run_id = :run AND NOT superseded AND {column} IS NOT NULL GROUP BY 1, 2 ORDER BY 3 DESC, 2
        """),
        {"run": answers_of},
    ):
        counts.setdefault(variant, {})[value] = count
    return counts


def scorer_totals(connection: Connection, run_id: UUID) -> dict[int, list[ScorerTotals]]:
    """By variant position, gravest severity first."""
    totals: dict[int, list[ScorerTotals]] = {}
    rows = connection.execute(
        text("""
            SELECT v.variant, s.key, min(s.value ->> 'severity'), min((s.value ->> 'weight')::float8),
                   min((s.value ->> 'threshold')::float8), sum((s.value ->> 'passed')::int),
                   sum((s.value ->> 'failed')::int), sum((s.value ->> 'unscored')::int),
                   sum((s.value ->> 'sum')::float8)
            FROM verdicts v, jsonb_each(v.scorers) AS s
            WHERE v.run_id = :run GROUP BY v.variant, s.key ORDER BY v.variant, 3, s.key
        """),
        {"run": run_id},
    )
    for variant, *values in rows:
        totals.setdefault(variant, []).append(ScorerTotals(*values))
    return totals


def latencies(connection: Connection, answers_of: UUID) -> dict[int, Latency]:
    """By variant position, over answers that were called for: cached and failed ones have no latency of a model."""
    condition = "run_id = :run AND NOT superseded AND NOT from_cache AND status = 'answered' AND latency_ms IS NOT NULL"
    rows = connection.execute(
        text(f"""
            SELECT variant, count(*), avg(latency_ms),
                   percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY latency_ms), max(latency_ms)
            FROM answers WHERE {condition} GROUP BY variant
        """),
        {"run": answers_of},
    ).all()
    found: dict[int, Latency] = {}
    for variant, n, mean, (p50, p95, p99), largest in rows:
        step = _round_step(min(largest, p99 * 1.25) / HISTOGRAM_BINS)
        edges = [step * i for i in range(HISTOGRAM_BINS + 1)]
        counts = [0] * HISTOGRAM_BINS
        for index, count in connection.execute(
            text(f"""
                SELECT least(floor(latency_ms / :step)::int, :last), count(*) FROM answers
                WHERE {condition} AND variant = :variant GROUP BY 1
            """),
            {"run": answers_of, "variant": variant, "step": step, "last": HISTOGRAM_BINS - 1},
        ):
            counts[index] = count
        found[variant] = Latency(n=n, mean=mean, p50=p50, p95=p95, p99=p99, edges=tuple(edges), counts=tuple(counts))
    return found


def _round_step(least: float) -> float:
    """The smallest of 1, 2, 2.5 and 5 times a power of ten that is not below `least`: edges that people can read."""
    power = 0.001
    while True:
        for digit in (1.0, 2.0, 2.5, 5.0):
            if digit * power >= least:
                return digit * power
        power *= 10


def verdict_lines(connection: Connection, run_id: UUID, limit: int | None) -> list[VerdictLine]:
    """Verdicts, most interesting first: blockers, failures, flaky cases, errors, then the rest in file order."""
    rows = connection.execute(
        text("""
            SELECT position, variant, verdict, reason, judged, passed, failed_severity FROM verdicts
            WHERE run_id = :run
            ORDER BY array_position(ARRAY['fail', 'flaky', 'error', 'pass', 'skipped'], verdict::text),
                     failed_severity IS DISTINCT FROM 'blocker', position, variant
            LIMIT :limit
        """),
        {"run": run_id, "limit": limit},
    )
    return [VerdictLine(*row) for row in rows]


def verdict_lines_between(connection: Connection, run_id: UUID, first: int, last: int) -> list[VerdictLine]:
    """Verdicts of the cases between two positions, in the order of the file."""
    rows = connection.execute(
        text("""
            SELECT position, variant, verdict, reason, judged, passed, failed_severity FROM verdicts
            WHERE run_id = :run AND position BETWEEN :first AND :last ORDER BY position, variant
        """),
        {"run": run_id, "first": first, "last": last},
    )
    return [VerdictLine(*row) for row in rows]


def count_verdicts(connection: Connection, run_id: UUID) -> int:
    return int(
        connection.execute(text("SELECT count(*) FROM verdicts WHERE run_id = :run"), {"run": run_id}).scalar_one()
    )


def judge_cost(connection: Connection, answers_of: UUID) -> Decimal:
    """What judges and embeddings cost."""
    return Decimal(
        connection.execute(
            text("""
                SELECT coalesce(sum(j.cost), 0) FROM judgements j JOIN answers a ON a.id = j.answer_id
                WHERE a.run_id = :run
            """),
            {"run": answers_of},
        ).scalar_one()
    )


def spent(connection: Connection, run_id: UUID) -> Decimal:
    """All the money of a run: answers, retried and superseded ones, judges."""
    return Decimal(
        connection.execute(text("SELECT spent FROM run_budgets WHERE run_id = :run"), {"run": run_id}).scalar_one()
    )


def price_date(connection: Connection, models: Sequence[str]) -> str | None:
    """The ISO date on which the newest price of these models was recorded; None when none is known."""
    found = connection.execute(
        text("SELECT max(recorded_at)::date FROM model_prices WHERE model = ANY(:models)"), {"models": list(models)}
    ).scalar_one()
    return None if found is None else found.isoformat()
