"""What the arms of experiments measured, aggregated where the data is.

Offline a value is the mean over a case's repeats, so that repeats never count as cases. Live the unit is the subject;
a request without one is a unit of its own. One statement reads the requests of any number of experiments once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Row, text

from evaluations.arms import CaseValues, LiveArm, LiveData, UnitSums
from evaluations.experiment_specs import ExperimentSpec
from evaluations.experiments import SCORER_PREFIX
from tasks.store.experiments import StoredExperiment

# Offline

_OF_CASE = {
    "pass_rate": "SELECT variant, position, CAST(passed AS float8) / judged FROM verdicts WHERE {run} AND judged > 0",
    "score": "SELECT variant, position, score FROM verdicts WHERE {run} AND score IS NOT NULL",
    "error_rate": """SELECT variant, position, avg(CAST(status = 'error' AS int)) FROM answers
        WHERE {answers} AND status <> 'skipped' GROUP BY 1, 2""",
    "latency_ms": """SELECT variant, position, avg(latency_ms) FROM answers
        WHERE {answers} AND status = 'answered' AND NOT from_cache AND latency_ms IS NOT NULL GROUP BY 1, 2""",
    # What the cache served had cost this much when it was made: free answers would make an arm look cheap.
    "cost": """SELECT variant, position, avg(CASE WHEN from_cache THEN cached_cost ELSE cost END) FROM answers
        WHERE {answers} AND status = 'answered' AND (CASE WHEN from_cache THEN cached_cost ELSE cost END) IS NOT NULL
        GROUP BY 1, 2""",
    "output_tokens": """SELECT variant, position, avg(output_tokens + reasoning_tokens) FROM answers
        WHERE {answers} AND status = 'answered' AND usage_known GROUP BY 1, 2""",
}
_SCORER = """
    SELECT variant, position, CAST(s.value ->> 'sum' AS float8)
        / (CAST(s.value ->> 'passed' AS int) + CAST(s.value ->> 'failed' AS int))
    FROM verdicts, LATERAL (SELECT scorers -> :scorer AS value) AS s
    WHERE {run} AND s.value IS NOT NULL
      AND CAST(s.value ->> 'passed' AS int) + CAST(s.value ->> 'failed' AS int) > 0
"""


def case_values(
    connection: Connection, run_id: UUID, answers_of: UUID, metric: str, arms: Mapping[str, int]
) -> CaseValues:
    """One metric by case and arm. `arms` gives each arm's place among the run's variants."""
    statement, scorer = _OF_CASE.get(metric, _SCORER), metric.removeprefix(SCORER_PREFIX)
    rows = connection.execute(
        text(statement.format(run="run_id = :run", answers="run_id = :answers AND NOT superseded")),
        {
            key: value
            for key, value in {"run": run_id, "answers": answers_of, "scorer": scorer}.items()
            if f":{key}" in statement.format(run=":run", answers=":answers")
        },
    ).all()
    positions = sorted({row[1] for row in rows})
    places = {position: n for n, position in enumerate(positions)}
    named = {place: name for name, place in arms.items()}
    values: dict[str, NDArray[np.float64]] = {name: np.full(len(positions), np.nan) for name in arms}
    for variant, position, value in rows:
        if variant in named:
            values[named[variant]][places[position]] = float(value)
    return CaseValues(metric=metric, values=values, positions=np.array(positions, dtype=np.int64))


def case_ids(connection: Connection, run_id: UUID, positions: Sequence[int]) -> dict[int, str]:
    """The names of cases by their places."""
    rows = connection.execute(
        text("""
            SELECT c.position, c.case_id FROM runs r JOIN cases c ON c.dataset_id = r.dataset_id
            WHERE r.id = :run AND c.position = ANY(:positions)
        """),
        {"run": run_id, "positions": list(positions)},
    )
    return {row.position: row.case_id for row in rows}


# Live

_ONE, _NONE = "CAST(1 AS float8)", "CAST(0 AS float8)"
"""As decimals they would take half as long again to add up."""
_PLAIN = {
    "success_rate": f"CASE status WHEN 'success' THEN {_ONE} WHEN 'error' THEN {_NONE} END",
    "error_rate": f"CASE status WHEN 'error' THEN {_ONE} WHEN 'success' THEN {_NONE} END",
    "quality": "quality",
    "rating": "CAST(rating AS float8)",
    "sentiment": "sentiment",
    "resolution_rate": f"""CASE WHEN resolution = 'resolved' THEN {_ONE}
        WHEN resolution IN ('escalated_human', 'escalated_specialist', 'unresolved', 'abandoned') THEN {_NONE} END""",
    "escalation_rate": f"""CASE WHEN resolution IN ('escalated_human', 'escalated_specialist') THEN {_ONE}
        WHEN resolution IN ('resolved', 'unresolved', 'abandoned') THEN {_NONE} END""",
    "latency_ms": "CASE WHEN cache_hit IS NOT TRUE THEN latency_ms END",
    "cost": "CAST(cost AS float8)",
    "output_tokens": "CASE WHEN usage_known THEN CAST(output_tokens + reasoning_tokens AS float8) END",
}
"""What one request contributes; NULL where it has no value."""
_RATIOS = {
    "cost_per_success": (
        "CASE WHEN cost IS NOT NULL AND status IS NOT NULL THEN CAST(cost AS float8) END",
        "CASE WHEN cost IS NOT NULL AND status IS NOT NULL THEN CAST(CAST(status = 'success' AS int) AS float8) END",
    ),
}
LIVE_METRICS: tuple[str, ...] = (*_PLAIN, *_RATIOS)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficWindow:
    """Requests that carry one experiment's name, of one feature, over a time."""

    name: str
    """What the requests carry as `experiment`."""
    feature: str
    begins: datetime | None
    ends: datetime | None
    """Not itself part of it; None: it has not ended."""
    variants: tuple[str, ...]


def live_data(
    connection: Connection,
    experiments: Sequence[StoredExperiment],
    *,
    limits: Mapping[tuple[str, str], float] | None = None,
    metrics: Sequence[str] = (),
) -> dict[str, LiveData]:
    """The arms of live experiments, by the experiment's name, from one reading of their requests.

    `limits` caps values: (experiment, metric) -> the most that one request counts. `metrics` are measured instead of
    those that each experiment declared.
    """
    wanted = {each.name: list(metrics) or [given.metric for _, given in each.spec.metrics] for each in experiments}
    windows = [
        TrafficWindow(
            name=each.name,
            feature=each.spec.feature,
            begins=each.started_at,
            ends=each.ended_at,
            variants=tuple(variant.name for variant in each.spec.variants),
        )
        for each in experiments
    ]
    return data_in(connection, windows, wanted, limits or {})


def data_in(
    connection: Connection,
    windows: Sequence[TrafficWindow],
    wanted: Mapping[str, Sequence[str]],
    limits: Mapping[tuple[str, str], float] | None = None,
) -> dict[str, LiveData]:
    """The arms in some windows, each of another name; `wanted` are the metrics of each name."""
    metrics = sorted({metric for each in wanted.values() for metric in each})
    if not windows:
        return {}
    # Units of a large experiment are to stay in memory; compiling the statement would cost more than it saves.
    connection.execute(text("SET LOCAL work_mem = '256MB'; SET LOCAL jit = off"))
    rows = connection.execute(text(_statement(metrics)), _windows(windows, metrics, limits or {})).all()
    found: dict[str, list[Row[Any]]] = {}
    for row in rows:
        found.setdefault(row.experiment, []).append(row)
    return {each.name: _data(each, found.get(each.name, []), wanted[each.name], metrics) for each in windows}


def _windows(
    windows: Sequence[TrafficWindow], metrics: Sequence[str], limits: Mapping[tuple[str, str], float]
) -> dict[str, Any]:
    return {
        "names": [each.name for each in windows],
        "features": [each.feature for each in windows],
        "begins": [each.begins for each in windows],
        "ends": [each.ends for each in windows],
        **{
            f"most_{n}": [limits.get((each.name, metric), float("inf")) for each in windows]
            for n, metric in enumerate(metrics)
        },
    }


def _statement(metrics: Sequence[str]) -> str:
    """Requests to units, units to arms. A unit whose first and last variant differ was in two arms."""
    places = range(len(metrics))
    of_units = ", ".join(_of_unit(n, metric) for n, metric in enumerate(metrics))
    of_arms = ", ".join(_OF_ARM.format(n=n) for n in places)
    arrays = "".join(f", CAST(:most_{n} AS float8[])" for n in places)
    names = "".join(f", most_{n}" for n in places)
    return f"""
        WITH windows AS (
            SELECT * FROM unnest(CAST(:names AS text[]), CAST(:features AS text[]), CAST(:begins AS timestamptz[]),
                CAST(:ends AS timestamptz[]){arrays}) AS w (name, feature, begins, ends{names})),
        units AS (
            SELECT w.name AS experiment, coalesce(r.subject, int8send(r.id)) AS unit,
                r.at < w.begins OR coalesce(r.at >= w.ends, false) AS outside,
                min(coalesce(r.variant, '')) AS variant, max(coalesce(r.variant, '')) AS last_variant,
                count(*) AS requests, {of_units}
            FROM windows w JOIN requests r ON r.experiment = w.name AND r.feature = w.feature
            GROUP BY 1, 2, 3)
        SELECT experiment, outside, variant, variant <> last_variant AS crossed, count(*) AS units,
            CAST(sum(requests) AS bigint) AS requests, {of_arms}
        FROM units GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
    """


def _of_unit(n: int, metric: str) -> str:
    """The sums of one unit: x of the values, y of what they are divided by."""
    if metric in _RATIOS:
        numerator, denominator = _RATIOS[metric]
        return f"sum({_capped(n, numerator)}) AS x{n}, sum({denominator}) AS y{n}"
    value = _PLAIN[metric]
    return f"sum({_capped(n, value)}) AS x{n}, CAST(nullif(count({value}), 0) AS float8) AS y{n}"


def _capped(n: int, value: str) -> str:
    # least() takes a NULL for no limit at all: what is unknown would count as the limit.
    return f"CASE WHEN {value} > most_{n} THEN most_{n} ELSE {value} END"


_OF_ARM = """count(x{n}) AS units{n}, sum(x{n}) AS sx{n}, sum(y{n}) AS sy{n}, sum(x{n} * x{n}) AS xx{n},
    sum(y{n} * y{n}) AS yy{n}, sum(x{n} * y{n}) AS xy{n}"""


def _data(window: TrafficWindow, rows: Sequence[Row[Any]], wanted: Sequence[str], metrics: Sequence[str]) -> LiveData:
    names = window.variants
    inside = [row for row in rows if not row.outside]
    mine = {row.variant: row for row in inside if not row.crossed}
    return LiveData(
        arms={name: _arm(name, mine.get(name), wanted, metrics) for name in names},
        crossed=sum(row.units for row in inside if row.crossed),
        strangers={name: row.requests for name, row in mine.items() if name not in names},
        outside=sum(row.requests for row in rows if row.outside),
    )


def _arm(name: str, row: Row[Any] | None, wanted: Sequence[str], metrics: Sequence[str]) -> LiveArm:
    if row is None:
        empty = UnitSums(units=0, x=0, y=0, xx=0, yy=0, xy=0)
        return LiveArm(variant=name, units=0, requests=0, metrics=dict.fromkeys(wanted, empty))
    return LiveArm(
        variant=name,
        units=row.units,
        requests=row.requests,
        metrics={metric: _sums(row, n) for n, metric in enumerate(metrics) if metric in wanted},
    )


def _sums(row: Row[Any], n: int) -> UnitSums:
    found = row._mapping
    return UnitSums(
        units=found[f"units{n}"],
        x=found[f"sx{n}"] or 0.0,
        y=found[f"sy{n}"] or 0.0,
        xx=found[f"xx{n}"] or 0.0,
        yy=found[f"yy{n}"] or 0.0,
        xy=found[f"xy{n}"] or 0.0,
    )


def quantile_limits(connection: Connection, experiments: Sequence[StoredExperiment]) -> dict[tuple[str, str], float]:
    """Where the values of winsorised metrics are cut: the declared quantile of all arms together."""
    found = {}
    for each in experiments:
        for _, metric in each.spec.metrics:
            if metric.winsorise is None or metric.metric not in _PLAIN:
                continue
            limit = connection.execute(
                text(f"""
                    SELECT percentile_disc(:share) WITHIN GROUP (ORDER BY {_PLAIN[metric.metric]}) FROM requests
                    WHERE experiment = :name AND feature = :feature AND at >= :begins
                      AND (CAST(:ends AS timestamptz) IS NULL OR at < :ends)
                """),
                {
                    "share": metric.winsorise,
                    "name": each.name,
                    "feature": each.spec.feature,
                    "begins": each.started_at,
                    "ends": each.ended_at,
                },
            ).scalar_one()
            if limit is not None:
                found[each.name, metric.metric] = float(limit)
    return found


def baseline(connection: Connection, spec: ExperimentSpec, metric: str, begins: datetime, ends: datetime) -> UnitSums:
    """One metric over the requests that an experiment would have split, before it begins, summed over their units."""
    return feature_sums(connection, spec.feature, spec.environment, [metric], begins, ends, categories=spec.categories)[
        metric
    ]


def feature_sums(
    connection: Connection,
    feature: str,
    environment: str,
    metrics: Sequence[str],
    begins: datetime,
    ends: datetime,
    *,
    categories: Sequence[str] = (),
    without_canaries_but: str | None = None,
) -> dict[str, UnitSums]:
    """Metrics over all requests of a feature in a time, summed over their units.

    `without_canaries_but` leaves out what canaries answered, but for the one of this name.
    """
    places = range(len(metrics))
    said = ", ".join(_of_request(n, metric) for n, metric in enumerate(metrics))
    of_units = ", ".join(_of_own_unit(n, metric) for n, metric in enumerate(metrics))
    # As with many experiments (`data_in`). OFFSET: what a request contributes is worked out once, not in every sum.
    connection.execute(text("SET LOCAL work_mem = '256MB'; SET LOCAL jit = off"))
    row = connection.execute(
        text(f"""
            WITH units AS (
                SELECT unit, {of_units} FROM (
                    SELECT coalesce(subject, int8send(id)) AS unit, {said} FROM requests
                    WHERE feature = :feature AND at >= :begins AND at < :ends
                      AND (environment IS NULL OR environment = :environment)
                      AND (CAST(:categories AS text[]) IS NULL OR category = ANY(CAST(:categories AS text[])))
                      AND (CAST(:canary AS text) IS NULL OR experiment IS NULL OR experiment = :canary
                        OR experiment NOT LIKE 'canary:%' OR variant IS DISTINCT FROM 'canary')
                    OFFSET 0) AS own
                GROUP BY unit)
            SELECT {", ".join(_OF_ARM.format(n=n) for n in places)} FROM units
        """),
        {
            "feature": feature,
            "environment": environment,
            "categories": list(categories) or None,
            "canary": without_canaries_but,
            "begins": begins,
            "ends": ends,
        },
    ).one()
    return {metric: _sums(row, n) for n, metric in enumerate(metrics)}


def _of_request(n: int, metric: str) -> str:
    """What one request contributes, without a limit."""
    if metric in _RATIOS:
        numerator, denominator = _RATIOS[metric]
        return f"{numerator} AS v{n}, {denominator} AS d{n}"
    return f"{_PLAIN[metric]} AS v{n}"


def _of_own_unit(n: int, metric: str) -> str:
    """The same as `_of_unit` of what requests contribute."""
    divided_by = f"sum(d{n})" if metric in _RATIOS else f"CAST(nullif(count(v{n}), 0) AS float8)"
    return f"sum(v{n}) AS x{n}, {divided_by} AS y{n}"


# For pages


@dataclass(frozen=True, slots=True)
class CallTotals:
    """What the calls of one arm cost. `cost` is None when none was priced."""

    calls: int
    cost: Decimal | None
    unpriced: int


@dataclass(frozen=True, slots=True)
class UnitHistograms:
    """Values of units by arm, in common bins; no edges when there is nothing to count."""

    edges: tuple[float, ...]
    counts: Mapping[str, tuple[int, ...]]


def call_totals(connection: Connection, answers_of: UUID) -> dict[int, CallTotals]:
    """Offline, by the variant's place in the run: what the experiment itself paid; what the cache served was free."""
    rows = connection.execute(
        text("""
            SELECT variant, count(*), sum(cost), count(*) FILTER (WHERE cost IS NULL AND status = 'answered')
            FROM answers WHERE run_id = :run AND NOT superseded GROUP BY 1
        """),
        {"run": answers_of},
    )
    return {variant: CallTotals(calls, cost, unpriced) for variant, calls, cost, unpriced in rows}


def live_costs(connection: Connection, experiment: StoredExperiment) -> dict[str, CallTotals]:
    """Live, by variant: what the requests of each arm cost, those of wandering units too."""
    rows = connection.execute(
        text(f"""
            SELECT variant, count(*), sum(cost), count(*) FILTER (WHERE cost IS NULL)
            FROM requests WHERE {_OWN} AND variant IS NOT NULL GROUP BY 1
        """),
        _own(experiment),
    )
    return {variant: CallTotals(calls, cost, unpriced) for variant, calls, cost, unpriced in rows}


_OWN = """experiment = :name AND feature = :feature AND at >= :begins
    AND (CAST(:ends AS timestamptz) IS NULL OR at < :ends)"""


def _own(experiment: StoredExperiment) -> dict[str, Any]:
    return {
        "name": experiment.name,
        "feature": experiment.spec.feature,
        "begins": experiment.started_at,
        "ends": experiment.ended_at,
    }


def unit_histograms(connection: Connection, experiment: StoredExperiment, metric: str, bins: int) -> UnitHistograms:
    """A live metric's values by unit, in equal bins from the least to the greatest over all arms."""
    rows = connection.execute(
        text(f"""
            WITH units AS (
                SELECT coalesce(subject, int8send(id)) AS unit, min(variant) AS variant, {_of_unit(0, metric)}
                FROM requests, (SELECT CAST('infinity' AS float8) AS most_0) AS limits
                WHERE {_OWN} GROUP BY 1 HAVING min(variant) = max(variant)),
            known AS (SELECT variant, x0 / y0 AS value FROM units WHERE y0 > 0 AND x0 IS NOT NULL),
            ends AS (SELECT min(value) AS least, max(value) AS most FROM known)
            SELECT variant, least, most,
                CASE WHEN most > least THEN least(width_bucket(value, least, most, :bins), :bins) ELSE 1 END AS bin,
                count(*) AS n
            FROM known, ends GROUP BY 1, 2, 3, 4
        """),
        {**_own(experiment), "bins": bins},
    ).all()
    if not rows:
        return UnitHistograms((), {})
    least, most = float(rows[0].least), float(rows[0].most)
    step = (most - least) / bins or 1.0 / bins
    counts: dict[str, list[int]] = {}
    for row in rows:
        counts.setdefault(row.variant, [0] * bins)[row.bin - 1] += row.n
    edges = tuple(least + step * n for n in range(bins + 1))
    return UnitHistograms(edges, {name: tuple(each) for name, each in counts.items()})


def texts_of(connection: Connection, answers_of: UUID, positions: Sequence[int]) -> dict[tuple[int, int], str]:
    """The first answer to each of some cases, by the case's place and the variant's; the beginning of long ones."""
    rows = connection.execute(
        text("""
            SELECT DISTINCT ON (position, variant) position, variant, left(coalesce(text, error_message), 4000)
            FROM answers WHERE run_id = :run AND NOT superseded AND position = ANY(:positions)
            ORDER BY position, variant, repeat
        """),
        {"run": answers_of, "positions": list(positions)},
    )
    return {(position, variant): said or "" for position, variant, said in rows}


def is_simulated(connection: Connection, answers_of: UUID) -> bool:
    """Were answers of the run made up by a simulated model?"""
    return bool(
        connection.execute(
            text("SELECT EXISTS (SELECT FROM answers WHERE run_id = :run AND simulated)"), {"run": answers_of}
        ).scalar_one()
    )


def has_sample_data(connection: Connection, experiment: StoredExperiment) -> bool:
    """Are requests of a live experiment made up?"""
    return bool(
        connection.execute(
            text(f"""
                SELECT EXISTS (SELECT FROM requests r JOIN ingest_batches b ON b.id = r.batch_id
                    WHERE b.sample_data AND {_OWN.replace("at >=", "r.at >=").replace("OR at <", "OR r.at <")})
            """),
            _own(experiment),
        ).scalar_one()
    )


def unit_samples(
    connection: Connection,
    metrics: Sequence[str],
    begins: datetime,
    ends: datetime,
    *,
    feature: str | None,
    most: int,
) -> dict[tuple[str, str], tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """For each feature and metric, x and y of every unit in the order of arrival, the latest `most` of them."""
    sums = ", ".join(_of_unit(n, metric) for n, metric in enumerate(metrics))
    limits = ", ".join(f"CAST('infinity' AS float8) AS most_{n}" for n in range(len(metrics)))
    rows = connection.execute(
        text(f"""
            SELECT * FROM (
                SELECT *, row_number() OVER (PARTITION BY feature ORDER BY arrived DESC, unit) AS place FROM (
                    SELECT feature, coalesce(subject, int8send(id)) AS unit, min(at) AS arrived, {sums}
                    FROM requests, (SELECT {limits}) AS limits
                    WHERE at >= :begins AND at < :ends AND (CAST(:feature AS text) IS NULL OR feature = :feature)
                    GROUP BY 1, 2) AS units) AS placed
            WHERE place <= :most ORDER BY feature, place DESC
        """),
        {"begins": begins, "ends": ends, "feature": feature, "most": most},
    ).all()
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for row in rows:
        for n, metric in enumerate(metrics):
            x, y = row._mapping[f"x{n}"], row._mapping[f"y{n}"]
            if x is not None and y:
                found.setdefault((row.feature, metric), []).append((x, y))
    return {key: (np.array([x for x, _ in pairs]), np.array([y for _, y in pairs])) for key, pairs in found.items()}
