"""Answers, judgements, scores and verdicts of a run, shard by shard."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import Connection, Row, text

from evaluations.answers import Answer, Usage
from evaluations.scoring.base import Score, Scored, Unscored
from evaluations.verdicts import Severity, Verdict
from tasks.store.ledger import LOCK_CLASS, CellKey, storable


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """An answer with its number in the ledger. Its `case_id` and `variant` are left empty: the key says them."""

    id: int
    key: CellKey
    answer: Answer
    contaminated: bool


@dataclass(frozen=True, slots=True)
class CachedAnswer:
    """A recorded answer that may be served again, with what it had cost when it was made."""

    answer: Answer
    cost: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreRecord:
    """One score, as it is stored."""

    answer_id: int
    scorer: str
    scorer_version: str
    score: Score


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictRecord:
    """One verdict, as it is stored."""

    variant: int
    position: int
    verdict: Verdict
    reason: str
    judged: int
    passed: int
    errors: int
    score: float | None
    failed_severity: Severity | None
    scorers: Mapping[str, Mapping[str, Any]]
    """Label -> {passed, failed, unscored, sum, severity, weight, threshold} over the case's repeats."""


@dataclass(frozen=True, slots=True)
class StoredReply:
    """A judge's reply about one answer: its text, or how the call failed."""

    text: str | None
    error_type: str | None
    error_message: str
    cost: Decimal | None


_ANSWER = """a.id, a.position, a.variant, a.repeat, a.text, a.error_type, a.error_message, a.input_tokens,
    a.cached_tokens, a.cache_write_tokens, a.output_tokens, a.reasoning_tokens, a.usage_known, a.cost, a.latency_ms,
    a.queue_ms, a.first_token_ms, a.model_returned, a.finish_reason, a.tries, a.from_cache, a.fallback_model,
    a.routed_to, a.simulated, a.contaminated"""


def answered_keys(connection: Connection, run_id: UUID, first: int, last: int) -> set[CellKey]:
    """The cells between two case positions that have an answer, errors included."""
    rows = connection.execute(
        text("""
            SELECT position, variant, repeat FROM answers
            WHERE run_id = :run AND position BETWEEN :first AND :last AND NOT superseded
        """),
        {"run": run_id, "first": first, "last": last},
    )
    return {CellKey(*row) for row in rows}


def last_attempts(connection: Connection, run_id: UUID, first: int, last: int) -> dict[tuple[CellKey, int], int]:
    """The highest attempt of every cell and role that was ever called."""
    rows = connection.execute(
        text("""
            SELECT position, variant, repeat, role, max(attempt) FROM calls
            WHERE run_id = :run AND position BETWEEN :first AND :last GROUP BY 1, 2, 3, 4
        """),
        {"run": run_id, "first": first, "last": last},
    )
    return {(CellKey(p, v, r), role): attempt for p, v, r, role, attempt in rows}


def answers_between(connection: Connection, run_id: UUID, first: int, last: int) -> list[StoredAnswer]:
    """All current answers to the cases between two positions."""
    rows = connection.execute(
        text(f"""
            SELECT {_ANSWER} FROM answers a
            WHERE a.run_id = :run AND a.position BETWEEN :first AND :last AND NOT a.superseded
            ORDER BY a.position, a.variant, a.repeat
        """),
        {"run": run_id, "first": first, "last": last},
    )
    return [stored_answer(row) for row in rows]


def answers_at(connection: Connection, run_id: UUID, positions: Sequence[int]) -> list[StoredAnswer]:
    """All current answers to some cases."""
    rows = connection.execute(
        text(f"""
            SELECT {_ANSWER} FROM answers a
            WHERE a.run_id = :run AND a.position = ANY(:positions) AND NOT a.superseded
            ORDER BY a.position, a.variant, a.repeat
        """),
        {"run": run_id, "positions": list(positions)},
    )
    return [stored_answer(row) for row in rows]


def stored_answer(row: Row[Any]) -> StoredAnswer:
    return StoredAnswer(
        id=row.id,
        key=CellKey(row.position, row.variant, row.repeat),
        answer=Answer(
            case_id="",
            variant="",
            repeat=row.repeat,
            text=row.text,
            error=row.error_type,
            error_message=row.error_message,
            usage=_usage(row),
            usage_known=row.usage_known,
            cost_usd=row.cost,
            latency_ms=row.latency_ms,
            first_token_ms=row.first_token_ms,
            queue_ms=row.queue_ms,
            model_returned=row.model_returned,
            finish_reason=row.finish_reason,
            tries=row.tries,
            from_cache=row.from_cache,
            fallback_model=row.fallback_model,
            routed_to=row.routed_to,
            simulated=row.simulated,
        ),
        contaminated=row.contaminated,
    )


def cached_answers(connection: Connection, keys: Sequence[bytes], days: int) -> dict[bytes, CachedAnswer]:
    """Recorded answers to these very questions, the newest of each, at most `days` old.

    What was simulated, came from a fallback or from another model than the one asked for is never served again.
    """
    if not keys or days == 0:
        return {}
    rows = connection.execute(
        text("""
            SELECT DISTINCT ON (cache_key) * FROM answers
            WHERE cache_key = ANY(:keys) AND status = 'answered' AND NOT from_cache AND NOT simulated
              AND NOT contaminated AND fallback_model IS NULL AND recorded_at > now() - make_interval(days => :days)
            ORDER BY cache_key, id DESC
        """),
        {"keys": list(keys), "days": days},
    )
    return {
        bytes(row.cache_key): CachedAnswer(
            Answer(
                case_id="",
                variant="",
                text=row.text,
                usage=_usage(row),
                usage_known=row.usage_known,
                cost_usd=Decimal(0),
                model_returned=row.model_returned,
                finish_reason=row.finish_reason,
                from_cache=True,
            ),
            row.cost,
        )
        for row in rows
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class PastAnswers:
    """How long a model's latest answers were, and how long they took."""

    n: int
    mean_tokens: float
    tokens: tuple[float, float, float]
    """10th, 50th and 90th percentile of output and reasoning tokens."""
    latency_ms: tuple[float, float, float]
    """10th, 50th and 90th percentile."""


def past_answers(connection: Connection, model: str) -> PastAnswers | None:
    """The latest 1,000 answers that a model was called for, in any run; None when there are none."""
    n, mean, tokens, latency = connection.execute(
        text("""
            SELECT count(*), avg(output)::float8,
                   percentile_cont(ARRAY[0.1, 0.5, 0.9]) WITHIN GROUP (ORDER BY output),
                   percentile_cont(ARRAY[0.1, 0.5, 0.9]) WITHIN GROUP (ORDER BY latency_ms)
            FROM (SELECT a.output_tokens + a.reasoning_tokens AS output, a.latency_ms
                  FROM answers a JOIN run_variants rv ON rv.run_id = a.run_id AND rv.position = a.variant
                  JOIN variants v ON v.id = rv.variant_id JOIN model_configs m ON m.id = v.model_config_id
                  WHERE m.model = :model AND a.status = 'answered' AND NOT a.from_cache AND a.usage_known
                    AND a.latency_ms IS NOT NULL
                  ORDER BY a.id DESC LIMIT 1000) AS latest
        """),
        {"model": model},
    ).one()
    return PastAnswers(n=n, mean_tokens=mean, tokens=tuple(tokens), latency_ms=tuple(latency)) if n else None


def supersede_errors(connection: Connection, run_id: UUID) -> int:
    """Set errored answers aside, so that their cells are called again; the facts and their cost stay."""
    count = connection.execute(
        text("UPDATE answers SET superseded = true WHERE run_id = :run AND status = 'error' AND NOT superseded"),
        {"run": run_id},
    ).rowcount
    connection.execute(
        text("""
            UPDATE run_shards s SET state = 'open', worker_id = NULL WHERE s.run_id = :run AND s.state = 'done'
              AND EXISTS (SELECT 1 FROM answers a WHERE a.run_id = :run AND a.superseded
                          AND a.position BETWEEN s.first_position AND s.last_position
                          AND NOT EXISTS (SELECT 1 FROM answers b WHERE b.run_id = :run AND NOT b.superseded
                              AND (b.position, b.variant, b.repeat) = (a.position, a.variant, a.repeat)))
        """),
        {"run": run_id},
    )
    return int(count)


# A call that nobody will finish: it has neither a resolution nor, if it asked for an answer, an answer of its
# attempt, and its worker is gone.
_OPEN = f"""
    c.run_id = :run AND c.resolution IS NULL
    AND NOT EXISTS (SELECT 1 FROM answers a WHERE c.role = 0 AND a.run_id = c.run_id AND a.position = c.position
                    AND a.variant = c.variant AND a.repeat = c.repeat AND a.attempt = c.attempt)
    AND NOT EXISTS (SELECT 1 FROM pg_locks l WHERE l.locktype = 'advisory' AND l.granted
                    AND l.classid = {LOCK_CLASS} AND l.objid = c.worker_id
                    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()))
"""


def resolve_abandoned(connection: Connection, run_id: UUID, first: int, last: int, *, skip: bool) -> int:
    """Settle the calls between two positions whose worker is gone: they may have been billed.

    Their reservations become money at risk. With `skip` each is recorded as an error, else it will be called again.
    """
    resolution = "recorded as an error" if skip else "called again"
    rows = connection.execute(
        text(f"""
            UPDATE calls c SET resolution = :resolution, resolved_at = now()
            WHERE {_OPEN} AND c.position BETWEEN :first AND :last
            RETURNING c.position, c.variant, c.repeat, c.role, c.attempt, c.reserved
        """),
        {"run": run_id, "first": first, "last": last, "resolution": resolution},
    ).all()
    if not rows:
        return 0
    at_risk = sum((row.reserved or Decimal(0) for row in rows), Decimal(0))
    connection.execute(
        text("UPDATE run_budgets SET reserved = reserved - :sum, at_risk = at_risk + :sum WHERE run_id = :run"),
        {"run": run_id, "sum": at_risk},
    )
    if skip and any(row.role == 0 for row in rows):
        connection.execute(
            text("""
                INSERT INTO answers (run_id, position, variant, repeat, attempt, status, error_type, error_message,
                    input_tokens, cached_tokens, cache_write_tokens, output_tokens, reasoning_tokens, usage_known,
                    queue_ms, tries, from_cache, contaminated, simulated)
                VALUES (:run, :position, :variant, :repeat, :attempt, 'error', 'abandoned',
                        'the call was open when its process ended; it may have been billed', 0, 0, 0, 0, 0, false,
                        0, 1, false, false, false)
                ON CONFLICT DO NOTHING
            """),
            [
                {
                    "run": run_id,
                    "position": row.position,
                    "variant": row.variant,
                    "repeat": row.repeat,
                    "attempt": row.attempt,
                }
                for row in rows
                if row.role == 0
            ],
        )
    return len(rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class AbandonedCall:
    """A call that was open when its worker ended."""

    case_id: str
    variant: int
    repeat: int
    opened_at: datetime
    reserved: Decimal | None
    resolution: str | None


def abandoned_calls(connection: Connection, run_id: UUID, limit: int = 1000) -> list[AbandonedCall]:
    """Every call of a run that was open when its worker ended, resolved or not, oldest first."""
    rows = connection.execute(
        text(f"""
            SELECT k.case_id, c.variant, c.repeat, c.opened_at AT TIME ZONE 'UTC' AS opened_at, c.reserved, c.resolution
            FROM calls c JOIN runs r ON r.id = c.run_id
            JOIN cases k ON k.dataset_id = r.dataset_id AND k.position = c.position
            WHERE (c.run_id = :run AND c.resolution <> 'answered') OR ({_OPEN})
            ORDER BY c.opened_at, c.position, c.variant, c.repeat LIMIT :limit
        """),
        {"run": run_id, "limit": limit},
    )
    return [
        AbandonedCall(
            case_id=row.case_id,
            variant=row.variant,
            repeat=row.repeat,
            opened_at=row.opened_at,
            reserved=row.reserved,
            resolution=row.resolution,
        )
        for row in rows
    ]


def judgements_of(connection: Connection, answer_ids: Sequence[int]) -> dict[tuple[int, str, int, bytes], StoredReply]:
    """Every reply about these answers, by answer, scorer, order and question."""
    rows = connection.execute(
        text("""
            SELECT answer_id, scorer, "order", request_hash, text, error_type, error_message, cost
            FROM judgements WHERE answer_id = ANY(:ids)
        """),
        {"ids": list(answer_ids)},
    )
    return {(row[0], row[1], row[2], bytes(row[3])): StoredReply(row[4], row[5], row[6], row[7]) for row in rows}


def scores_of(
    connection: Connection, answer_ids: Sequence[int], versions: Iterable[tuple[str, str]]
) -> dict[tuple[int, str], Score]:
    """Scores of these answers, by answer and scorer, of these (scorer, version) pairs alone."""
    rows = connection.execute(
        text("""
            SELECT answer_id, scorer, value, why FROM scores
            WHERE answer_id = ANY(:ids) AND scorer || ' ' || scorer_version = ANY(:versions)
        """),
        {"ids": list(answer_ids), "versions": [f"{scorer} {version}" for scorer, version in versions]},
    )
    return {
        (answer_id, scorer): Unscored(why) if value is None else Scored(value, why)
        for answer_id, scorer, value, why in rows
    }


def write_scores(connection: Connection, scores: Iterable[ScoreRecord]) -> None:
    """Store scores in one statement; those that are there already stay as they are."""
    rows = [
        {
            "answer_id": record.answer_id,
            "scorer": record.scorer,
            "scorer_version": record.scorer_version,
            "value": record.score.value if isinstance(record.score, Scored) else None,
            "why": storable(record.score.why),
        }
        for record in scores
    ]
    if rows:
        connection.execute(
            text("""
                INSERT INTO scores (answer_id, scorer, scorer_version, value, why)
                SELECT * FROM json_to_recordset(CAST(:rows AS json))
                    AS s(answer_id bigint, scorer text, scorer_version text, value float8, why text)
                ON CONFLICT (answer_id, scorer, scorer_version) DO NOTHING
            """),
            {"rows": orjson.dumps(rows).decode()},
        )


def write_verdicts(connection: Connection, run_id: UUID, verdicts: Iterable[VerdictRecord]) -> None:
    """Store verdicts; a case that was judged before gets its new verdict."""
    rows = [
        {
            "variant": record.variant,
            "position": record.position,
            "verdict": record.verdict,
            "reason": storable(record.reason),
            "judged": record.judged,
            "passed": record.passed,
            "errors": record.errors,
            "score": record.score,
            "failed_severity": record.failed_severity,
            "scorers": record.scorers,
        }
        for record in verdicts
    ]
    if rows:
        connection.execute(
            text("""
                INSERT INTO verdicts (run_id, variant, position, verdict, reason, judged, passed, errors, score,
                                      failed_severity, scorers)
                SELECT :run, v.* FROM json_to_recordset(CAST(:rows AS json)) AS v(
                    variant int, position int, verdict text, reason text, judged int, passed int, errors int,
                    score float8, failed_severity text, scorers jsonb)
                ON CONFLICT (run_id, variant, position) DO UPDATE SET
                    verdict = excluded.verdict, reason = excluded.reason, judged = excluded.judged,
                    passed = excluded.passed, errors = excluded.errors, score = excluded.score,
                    failed_severity = excluded.failed_severity, scorers = excluded.scorers
            """),
            {"run": run_id, "rows": orjson.dumps(rows).decode()},
        )


def _usage(row: Row[Any]) -> Usage:
    return Usage(
        input_tokens=row.input_tokens,
        cached_tokens=row.cached_tokens,
        cache_write_tokens=row.cache_write_tokens,
        output_tokens=row.output_tokens,
        reasoning_tokens=row.reasoning_tokens,
    )
