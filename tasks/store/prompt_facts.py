"""What is known of the versions of a prompt from elsewhere: where they are in use, what runs and traffic measured."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from evaluations.changes import CaseKey, Seen
from evaluations.errors import AssayError
from evaluations.prompts import MeasuredRun, Place, Traffic, Version, split_label
from evaluations.specs import canonical_json
from evaluations.statistics.proportions import wilson

MOST_RUNS = 200
"""The latest ones, of all versions together."""


def places_of(connection: Connection, prompt_id: UUID, name: str) -> list[Place]:
    """Where versions of a prompt are in use now: live bundles, deployments under way, experiments that run or wait."""
    rows = connection.execute(
        text("""
            SELECT 'deployment' AS kind, d.feature AS name, d.environment,
                   CASE WHEN l.deployment_id IS NULL THEN d.status ELSE 'live' END AS status,
                   coalesce(d.deployed_at, d.began_at, d.recorded_at) AS started_at, d.bundle ->> 'prompt' AS prompt,
                   CASE WHEN d.status = 'deploying' THEN CAST(d.rollout_percent AS int) END AS traffic
            FROM deployments d LEFT JOIN live_bundles l ON l.deployment_id = d.id
            WHERE (l.deployment_id IS NOT NULL OR d.status IN ('pending_approval', 'pending', 'deploying'))
              AND starts_with(d.bundle ->> 'prompt', :name || '@')
            UNION ALL
            SELECT 'experiment', e.name, e.environment, e.status, e.started_at, arm #>> '{bundle,prompt}',
                   CAST(arm ->> 'traffic' AS int)
            FROM experiments e, jsonb_array_elements(e.spec -> 'variants') AS arm
            WHERE e.design = 'live_split' AND e.deleted_at IS NULL AND e.status IN ('scheduled', 'running', 'paused')
              AND starts_with(arm #>> '{bundle,prompt}', :name || '@')
            UNION ALL
            SELECT DISTINCT 'experiment', e.name, '', e.status, e.started_at, :name || '@' || v.semver,
                   CAST(NULL AS int)
            FROM experiments e JOIN run_variants n ON n.run_id = e.run_id JOIN variants x ON x.id = n.variant_id
            JOIN prompt_versions v ON v.id = x.prompt_version_id
            WHERE e.deleted_at IS NULL AND e.status = 'running' AND v.prompt_id = :id
            ORDER BY 1, 2, 3, 6
        """),
        {"name": name, "id": prompt_id},
    )
    return [
        Place(
            version=version,
            kind=row.kind,
            name=row.name,
            environment=row.environment,
            status=row.status,
            traffic=row.traffic,
            since=row.started_at,
        )
        for row in rows
        if (version := _version_in(row.prompt, name)) is not None
    ]


def _version_in(label: str, name: str) -> str | None:
    """The version that a bundle names of this prompt; None when it names another one."""
    named, version = split_label(label)
    try:
        return str(Version.read(version)) if named == name else None
    except AssayError:
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweringRun:
    """A completed run in which a version answered, with what the answers depend on besides the prompt."""

    version_id: UUID
    position: int
    """The variant's place in the run."""
    run_id: UUID
    under: str
    """Suite, model, endpoint and the parameters that are not the prompt's own, as one text."""
    measured: MeasuredRun


def answering_runs(connection: Connection, prompt_id: UUID) -> list[AnsweringRun]:
    """Completed runs in which versions of a prompt answered, the latest first."""
    rows = connection.execute(
        text("""
            SELECT v.id AS version_id, v.semver, r.id AS run_id, r.recorded_at, s.name AS suite, n.label, n.position,
                   m.model, x.spec, d.sample_data, t.passed, t.judged, a.cost, a.unpriced, a.latency, a.simulated
            FROM prompt_versions v JOIN variants x ON x.prompt_version_id = v.id
            JOIN model_configs m ON m.id = x.model_config_id
            JOIN run_variants n ON n.variant_id = x.id JOIN runs r ON r.id = n.run_id
            JOIN suites s ON s.id = r.suite_id JOIN datasets d ON d.id = r.dataset_id
            CROSS JOIN LATERAL (
                SELECT count(*) FILTER (WHERE verdict = 'pass') AS passed,
                       count(*) FILTER (WHERE verdict IN ('pass', 'fail', 'flaky')) AS judged
                FROM verdicts WHERE run_id = r.id AND variant = n.position) t
            CROSS JOIN LATERAL (
                SELECT sum(cost) AS cost, count(*) FILTER (WHERE cost IS NULL AND status = 'answered') AS unpriced,
                       percentile_cont(0.5) WITHIN GROUP (ORDER BY latency_ms)
                           FILTER (WHERE status = 'answered' AND NOT from_cache) AS latency,
                       coalesce(bool_or(simulated), false) AS simulated
                FROM answers WHERE run_id = coalesce(r.rescored_from, r.id) AND variant = n.position
                  AND NOT superseded) a
            WHERE v.prompt_id = :prompt AND r.status = 'completed'
            ORDER BY r.recorded_at DESC, r.id, n.position LIMIT :most
        """),
        {"prompt": prompt_id, "most": MOST_RUNS},
    )
    return [
        AnsweringRun(
            version_id=row.version_id,
            position=row.position,
            run_id=row.run_id,
            under=_under(row.suite, row.spec),
            measured=MeasuredRun(
                version=row.semver,
                run_id=str(row.run_id),
                at=row.recorded_at,
                suite=row.suite,
                variant=row.label,
                model=row.model,
                passed=row.passed,
                judged=row.judged,
                rate=wilson(row.passed, row.judged) if row.judged else None,
                cost=row.cost,
                unpriced=row.unpriced,
                latency_ms=row.latency,
                simulated=row.simulated,
                sample_data=row.sample_data,
            ),
        )
        for row in rows
    ]


def _under(suite: str, spec: dict[str, Any]) -> str:
    """What two versions have to share for their answers to be laid side by side: all but the prompt and its own."""
    own = spec["prompt"].get("parameters") or {}
    chosen = {name: value for name, value in spec["parameters"].items() if own.get(name) != value}
    model = spec["model"]
    return canonical_json([suite, model["model"], model.get("api_base"), model.get("max_output_tokens"), chosen])


def verdicts_of_variant(connection: Connection, run_id: UUID, position: int, label: str) -> dict[CaseKey, Seen]:
    """How every case of a run ended under one variant, under a label of the caller's."""
    rows = connection.execute(
        text("""
            SELECT c.case_id, v.verdict, c.content_hash FROM verdicts v JOIN runs r ON r.id = v.run_id
            JOIN cases c ON c.dataset_id = r.dataset_id AND c.position = v.position
            WHERE v.run_id = :run AND v.variant = :variant ORDER BY v.position
        """),
        {"run": run_id, "variant": position},
    )
    return {CaseKey(case_id, label): Seen(verdict, bytes(content)) for case_id, verdict, content in rows}


def traffic_of(connection: Connection, name: str) -> list[Traffic]:
    """What production requests that call themselves NAME@VERSION in `prompt_version` came to, by version."""
    rows = connection.execute(
        text("""
            SELECT prompt_version, sum(requests) AS requests, sum(successes) AS successes, sum(errors) AS errors,
                   sum(rating_n) AS ratings, sum(rating_sum) AS rating, sum(cost) AS cost, sum(unpriced) AS unpriced
            FROM usage_daily WHERE starts_with(prompt_version, :name || '@') GROUP BY prompt_version
        """),
        {"name": name},
    )
    return list(_by_version(rows, name))


def _by_version(rows: Any, name: str) -> Iterator[Traffic]:
    for row in rows:
        version = _version_in(row.prompt_version, name)
        if version is not None:
            yield Traffic(
                version=version,
                requests=int(row.requests),
                successes=int(row.successes),
                errors=int(row.errors),
                ratings=int(row.ratings),
                rating=float(row.rating) / int(row.ratings) if row.ratings else None,
                cost=row.cost,
                unpriced=int(row.unpriced),
            )


def newest_fact(connection: Connection, prompt_id: UUID) -> datetime | None:
    """When the last thing happened to a prompt: a version, a step of a review, a comment."""
    found: datetime | None = connection.execute(
        text("""
            SELECT greatest(max(coalesce(v.registered_at, v.recorded_at)), max(r.recorded_at), max(c.recorded_at))
            FROM prompt_versions v LEFT JOIN prompt_reviews r ON r.version_id = v.id
            LEFT JOIN prompt_comments c ON c.version_id = v.id WHERE v.prompt_id = :prompt
        """),
        {"prompt": prompt_id},
    ).scalar_one_or_none()
    return found
