"""Benchmarks: what runs of that kind were to find out, and what they measured, case by case."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

import orjson
from sqlalchemy import Connection, text

from evaluations.benchmark_specs import BenchmarkSpec
from evaluations.benchmarks.workload import Sampled
from evaluations.errors import AssayError
from evaluations.latency import Timing

Measure = Literal["latency_ms", "total_ms", "first_token_ms", "cost", "length"]
CaseValues = dict[tuple[int, int], float | None]
"""(variant, position) -> value; None where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBenchmark:
    """The definition behind a run."""

    run_id: UUID
    spec: BenchmarkSpec
    sources: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkLine:
    """A benchmark run as a list shows it."""

    run_id: UUID
    name: str
    category: str
    format: str
    status: str
    models: int
    cases: int
    rerun_of: UUID | None
    actor: str
    recorded_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """What one model's answers took in money and tokens; money in USD."""

    answers: int
    answered: int
    cost: Decimal
    unpriced: int
    """Answers whose price or usage is unknown: not in `cost`."""
    input_tokens: int
    output_tokens: int
    usage_unknown: int
    contaminated: int
    """Another model answered than the one that was asked for."""
    simulated: int


NOTHING_SPENT = Spending(
    answers=0,
    answered=0,
    cost=Decimal(0),
    unpriced=0,
    input_tokens=0,
    output_tokens=0,
    usage_unknown=0,
    contaminated=0,
    simulated=0,
)


def save_benchmark(
    connection: Connection, run_id: UUID, spec: BenchmarkSpec, sources: Mapping[str, Any], actor: str
) -> None:
    """Write what a run is to find out beside it."""
    connection.execute(
        text("""
            INSERT INTO benchmarks (run_id, name, category, format, spec, sources, actor)
            VALUES (:run, :name, :category, :format, CAST(:spec AS jsonb), CAST(:sources AS jsonb), :actor)
        """),
        {
            "run": run_id,
            "name": spec.benchmark,
            "category": spec.category,
            "format": spec.format,
            "spec": spec.model_dump_json(exclude_unset=True),
            "sources": orjson.dumps(dict(sources)).decode(),
            "actor": actor,
        },
    )


def benchmark_of(connection: Connection, run_id: UUID) -> StoredBenchmark:
    """The definition behind a run. Raises AssayError for a run that is no benchmark."""
    found = find_benchmark(connection, run_id)
    if found is None:
        raise AssayError(f"run {str(run_id)[:8]} is no benchmark; `assay benchmark list` shows those there are.")
    return found


def find_benchmark(connection: Connection, run_id: UUID) -> StoredBenchmark | None:
    """The definition behind a run; None for a run that is no benchmark."""
    row = connection.execute(
        text("SELECT spec, sources FROM benchmarks WHERE run_id = :run"), {"run": run_id}
    ).one_or_none()
    if row is None:
        return None
    return StoredBenchmark(run_id=run_id, spec=BenchmarkSpec.model_validate(row.spec), sources=row.sources)


def latest_benchmark(connection: Connection, name: str) -> UUID | None:
    """The latest complete run of a benchmark by its name; None when there was none."""
    return connection.execute(
        text("""
            SELECT b.run_id FROM benchmarks b JOIN runs r ON r.id = b.run_id
            WHERE b.name = :name AND r.status IN ('completed', 'partial') ORDER BY r.recorded_at DESC LIMIT 1
        """),
        {"name": name},
    ).scalar_one_or_none()


def earlier_runs(connection: Connection, run_id: UUID, name: str, dataset_id: UUID, limit: int) -> list[UUID]:
    """The complete runs of a benchmark on the same cases that began before a run, the newest first; no reruns."""
    rows = connection.execute(
        text("""
            SELECT b.run_id FROM benchmarks b JOIN runs r ON r.id = b.run_id
            WHERE b.name = :name AND r.dataset_id = :dataset AND r.status = 'completed' AND r.rescored_from IS NULL
              AND r.recorded_at < (SELECT coalesce(o.recorded_at, n.recorded_at) FROM runs n
                                   LEFT JOIN runs o ON o.id = n.rescored_from WHERE n.id = :run)
            ORDER BY r.recorded_at DESC LIMIT :limit
        """),
        {"name": name, "dataset": dataset_id, "run": run_id, "limit": limit},
    )
    return list(rows.scalars())


def kinds_of_requests(connection: Connection, feature: str | None, days: int) -> dict[tuple[str, str], int]:
    """How many requests of each feature and category had a model's answer in the last days that hold any."""
    rows = connection.execute(
        text(
            f"SELECT feature, coalesce(category, '') AS category, count(*) AS n {_REQUESTS} GROUP BY 1, 2 ORDER BY 1, 2"
        ),
        {"feature": feature, "days": days},
    )
    return {(row.feature, row.category): row.n for row in rows}


def draw_requests(
    connection: Connection, feature: str | None, days: int, quotas: Mapping[tuple[str, str], int], seed: int
) -> list[Sampled]:
    """So many requests of each kind, drawn by a hash of the seed and their id: the same ones again, in any order."""
    rows = connection.execute(
        text(f"""
            WITH drawn AS (
                SELECT id, feature, coalesce(category, '') AS category,
                       input_tokens + cached_tokens + cache_write_tokens AS sent,
                       output_tokens + reasoning_tokens AS got,
                       row_number() OVER (PARTITION BY feature, coalesce(category, '')
                                          ORDER BY md5(:seed || ' ' || id), id) AS place
                {_REQUESTS}
            )
            SELECT d.id, d.feature, d.category, d.sent, d.got FROM drawn d
            JOIN json_to_recordset(CAST(:quotas AS json)) AS q(feature text, category text, quota int)
                ON q.feature = d.feature AND q.category = d.category AND d.place <= q.quota
            ORDER BY d.id
        """),
        {
            "feature": feature,
            "days": days,
            "seed": str(seed),
            "quotas": orjson.dumps(
                [{"feature": f, "category": c, "quota": quota} for (f, c), quota in quotas.items()]
            ).decode(),
        },
    )
    return [
        Sampled(id=row.id, feature=row.feature, category=row.category, input_tokens=row.sent, output_tokens=row.got)
        for row in rows
    ]


_REQUESTS = """
    FROM requests WHERE status = 'success' AND usage_known AND model IS NOT NULL
      AND (CAST(:feature AS text) IS NULL OR feature = :feature)
      AND at > (SELECT max(at) FROM requests) - make_interval(days => :days)
"""


def list_benchmarks(connection: Connection, limit: int, name: str | None = None) -> list[BenchmarkLine]:
    """The latest benchmark runs, newest first."""
    rows = connection.execute(
        text("""
            SELECT b.run_id, b.name, b.category, b.format, r.status, r.cases, r.rescored_from, r.actor,
                   r.recorded_at AT TIME ZONE 'UTC' AS recorded_at,
                   (SELECT count(*) FROM run_variants v WHERE v.run_id = r.id) AS models
            FROM benchmarks b JOIN runs r ON r.id = b.run_id
            WHERE CAST(:name AS text) IS NULL OR b.name = :name ORDER BY r.recorded_at DESC LIMIT :limit
        """),
        {"limit": limit, "name": name},
    )
    return [
        BenchmarkLine(
            run_id=row.run_id,
            name=row.name,
            category=row.category,
            format=row.format,
            status=row.status,
            models=row.models,
            cases=row.cases,
            rerun_of=row.rescored_from,
            actor=row.actor,
            recorded_at=row.recorded_at,
        )
        for row in rows
    ]


def case_scores(connection: Connection, run_id: UUID, scorer: str) -> CaseValues:
    """What one scorer gave each case, the mean of its repeats; None where it could tell of none."""
    rows = connection.execute(
        text("""
            SELECT variant, position,
                   CAST(scorers -> :scorer ->> 'sum' AS float8) / nullif(
                       CAST(scorers -> :scorer ->> 'passed' AS int) + CAST(scorers -> :scorer ->> 'failed' AS int), 0)
            FROM verdicts WHERE run_id = :run
        """),
        {"run": run_id, "scorer": scorer},
    )
    return {(variant, position): value for variant, position, value in rows}


def case_verdicts(connection: Connection, run_id: UUID) -> CaseValues:
    """The share of each case's repeats that passed; None where nothing was judged."""
    rows = connection.execute(
        text("""
            SELECT variant, position, CASE WHEN verdict <> 'skipped' THEN CAST(passed AS float8) / nullif(judged, 0) END
            FROM verdicts WHERE run_id = :run
        """),
        {"run": run_id},
    )
    return {(variant, position): value for variant, position, value in rows}


_MEASURES: Mapping[Measure, str] = {
    "latency_ms": "CASE WHEN NOT from_cache THEN latency_ms END",
    "total_ms": "CASE WHEN NOT from_cache THEN queue_ms + latency_ms END",
    "first_token_ms": "CASE WHEN NOT from_cache THEN first_token_ms END",
    "cost": "CASE WHEN from_cache THEN cached_cost ELSE cost END",
    "length": "char_length(text)",
}


def case_measures(connection: Connection, answers_of: UUID, measure: Measure) -> CaseValues:
    """What each case took, the mean of its repeats; None where an answer was not measured or has no price."""
    rows = connection.execute(
        text(f"""
            SELECT variant, position, CAST(avg({_MEASURES[measure]}) FILTER (WHERE status = 'answered') AS float8)
            FROM answers WHERE run_id = :run AND NOT superseded GROUP BY 1, 2
        """),
        {"run": answers_of},
    )
    return {(variant, position): value for variant, position, value in rows}


def case_columns(connection: Connection, dataset_id: UUID, column: str) -> dict[int, str]:
    """What stands in a column of every case, by position; "" where it has none."""
    rows = connection.execute(
        text("""
            SELECT position, coalesce(content -> 'metadata' ->> :column, content -> 'inputs' ->> :column, '') AS value
            FROM cases WHERE dataset_id = :dataset ORDER BY position
        """),
        {"dataset": dataset_id, "column": column},
    )
    return {row.position: row.value for row in rows}


def case_positions(connection: Connection, dataset_id: UUID) -> list[int]:
    """The positions of all cases, in the order in which they are put."""
    rows = connection.execute(
        text("SELECT position FROM cases WHERE dataset_id = :dataset ORDER BY position"), {"dataset": dataset_id}
    )
    return list(rows.scalars())


def spending(connection: Connection, answers_of: UUID) -> dict[int, Spending]:
    """By variant position. Answers that the ledger served count with what they had cost when they were made."""
    rows = connection.execute(
        text("""
            SELECT variant, count(*) AS answers, count(*) FILTER (WHERE status = 'answered') AS answered,
                   coalesce(sum(CASE WHEN from_cache THEN cached_cost ELSE cost END), 0) AS cost,
                   count(*) FILTER (WHERE status = 'answered'
                       AND (CASE WHEN from_cache THEN cached_cost ELSE cost END) IS NULL) AS unpriced,
                   sum(input_tokens + cached_tokens + cache_write_tokens) AS input_tokens,
                   sum(output_tokens + reasoning_tokens) AS output_tokens,
                   count(*) FILTER (WHERE status = 'answered' AND NOT usage_known) AS usage_unknown,
                   count(*) FILTER (WHERE contaminated) AS contaminated,
                   count(*) FILTER (WHERE simulated) AS simulated
            FROM answers WHERE run_id = :run AND NOT superseded GROUP BY variant
        """),
        {"run": answers_of},
    )
    return {
        row.variant: Spending(
            answers=row.answers,
            answered=row.answered,
            cost=row.cost,
            unpriced=row.unpriced,
            input_tokens=row.input_tokens,
            output_tokens=row.output_tokens,
            usage_unknown=row.usage_unknown,
            contaminated=row.contaminated,
            simulated=row.simulated,
        )
        for row in rows
    }


def timings(connection: Connection, answers_of: UUID) -> dict[int, list[Timing]]:
    """How long each answer took, by variant position; what the ledger served took no time, and says so by None."""
    found: dict[int, list[Timing]] = {}
    rows = connection.execute(
        text("""
            SELECT variant, error_type, status, queue_ms, first_token_ms, latency_ms, from_cache, usage_known,
                   output_tokens + reasoning_tokens AS output_tokens
            FROM answers WHERE run_id = :run AND NOT superseded ORDER BY variant, position, repeat
        """),
        {"run": answers_of},
    )
    for row in rows:
        measured = row.latency_ms is not None and not row.from_cache
        timing = Timing(
            total_ms=row.latency_ms if measured else None,
            queue_ms=row.queue_ms if measured else None,
            first_token_ms=row.first_token_ms if measured else None,
            output_tokens=row.output_tokens if row.usage_known else None,
            error=None if row.status == "answered" else row.error_type or "skipped",
        )
        found.setdefault(row.variant, []).append(timing)
    return found


def seconds_of(connection: Connection, answers_of: UUID) -> float | None:
    """From the first call of a run to its last answer; None where nothing was called."""
    found = connection.execute(
        text("""
            SELECT CAST(extract(epoch FROM (SELECT max(recorded_at) FROM answers WHERE run_id = :run)
                                           - (SELECT min(opened_at) FROM calls WHERE run_id = :run)) AS float8)
        """),
        {"run": answers_of},
    ).scalar_one()
    return float(found) if found else None
