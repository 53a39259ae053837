"""What is asked around a bundle before it goes live: demand, probes, prompts, suite runs, other experiments."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import Connection, text

from evaluations.deployment_checks import Regression
from evaluations.deployments import Bundle
from evaluations.prompts import ReviewState
from tasks.store.traffic import NEWEST_OF_FEATURE, OF_FEATURE


@dataclass(frozen=True, slots=True)
class ChangedCase:
    """A case whose verdict is another one under the new bundle, in the same run."""

    case_id: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class CaseChanges:
    """What the new bundle does to the cases of a suite."""

    suite: str
    cases: int
    changed: tuple[ChangedCase, ...]

    @property
    def broken(self) -> int:
        return sum(each.before == "pass" for each in self.changed)

    @property
    def mended(self) -> int:
        return sum(each.after == "pass" for each in self.changed)


def last_probe(connection: Connection, provider: str, since: datetime) -> tuple[bool, str, datetime] | None:
    """Did a provider answer when it was last asked; None when nobody asked since then."""
    row = connection.execute(
        text("""
            SELECT ok, why, at FROM provider_probes WHERE provider = :provider AND at >= :since
            ORDER BY at DESC LIMIT 1
        """),
        {"provider": provider, "since": since},
    ).one_or_none()
    return None if row is None else (row.ok, row.why, row.at)


def prompt_of(connection: Connection, reference: str) -> tuple[str, Mapping[str, Any]] | None:
    """Hash and content of what NAME@VERSION means now; None if not stored.

    A registered version means one thing for good. Where none is registered, it is the latest content that a run
    brought under that number.
    """
    name, _, version = reference.rpartition("@")
    row = connection.execute(
        text("""
            SELECT v.content_hash, v.spec FROM prompt_versions v JOIN prompts p ON p.id = v.prompt_id
            WHERE p.name = :name AND (v.semver = :version OR v.semver LIKE :edited)
            ORDER BY v.registered_at IS NOT NULL AND v.semver = :version DESC, v.seq DESC LIMIT 1
        """),
        {"name": name, "version": version, "edited": f"{version}+%"},
    ).one_or_none()
    return None if row is None else (row.content_hash, row.spec)


def prompt_review(connection: Connection, reference: str) -> ReviewState | None:
    """Where the review of the registered version NAME@VERSION stands; None where none of that number is registered."""
    name, _, version = reference.rpartition("@")
    return connection.execute(
        text("""
            SELECT prompt_review_state(v.id) FROM prompt_versions v JOIN prompts p ON p.id = v.prompt_id
            WHERE p.name = :name AND v.semver = :version
        """),
        {"name": name, "version": version},
    ).scalar_one_or_none()


def _same(prefix: str = "") -> str:
    """Condition on a variant `v`: it is the bundle whose values stand under names with this prefix."""
    return f"""v.spec -> 'model' ->> 'model' = :{prefix}model AND v.spec -> 'prompt' ->> 'name' = :{prefix}name
        AND v.spec -> 'prompt' ->> 'version' = :{prefix}version
        AND v.spec -> 'parameters' = CAST(:{prefix}parameters AS jsonb)"""


def _bundle(bundle: Bundle) -> dict[str, Any]:
    name, _, version = bundle.prompt.rpartition("@")
    return {
        "model": bundle.model,
        "name": name,
        "version": version,
        "parameters": orjson.dumps(dict(bundle.parameters)).decode(),
    }


def regression_of(connection: Connection, bundle: Bundle) -> Regression | None:
    """The last whole run of a suite with this very prompt, model and parameters."""
    row = connection.execute(
        text(f"""
            SELECT s.name, r.verdict, r.sentence, r.completed_at FROM runs r
            JOIN suites s ON s.id = r.suite_id JOIN run_variants rv ON rv.run_id = r.id
            JOIN variants v ON v.id = rv.variant_id
            WHERE r.status = 'completed' AND r.verdict IS NOT NULL AND r.completed_at IS NOT NULL AND {_same()}
            ORDER BY r.completed_at DESC LIMIT 1
        """),
        _bundle(bundle),
    ).one_or_none()
    if row is None:
        return None
    return Regression(suite=row.name, verdict=row.verdict, sentence=row.sentence or "", at=row.completed_at)


def suite_of(connection: Connection, feature: str) -> str | None:
    """The name of the suite of a feature that ran last; None where none did."""
    return connection.execute(
        text("""
            SELECT s.name FROM suites s JOIN runs r ON r.suite_id = s.id
            WHERE s.feature = :feature ORDER BY r.recorded_at DESC LIMIT 1
        """),
        {"feature": feature},
    ).scalar_one_or_none()


def changed_cases(connection: Connection, before: Bundle, after: Bundle) -> CaseChanges | None:
    """The cases whose verdict differs between two bundles in the last run that has both; None without such a run."""
    both = connection.execute(
        text(f"""
            WITH old AS (SELECT rv.run_id, rv.position FROM run_variants rv JOIN variants v ON v.id = rv.variant_id
                    WHERE {_same()}),
                new AS (SELECT rv.run_id, rv.position FROM run_variants rv JOIN variants v ON v.id = rv.variant_id
                    WHERE {_same("new_")})
            SELECT r.id, r.cases, s.name, old.position AS old_place, new.position AS new_place
            FROM old JOIN new USING (run_id) JOIN runs r ON r.id = run_id JOIN suites s ON s.id = r.suite_id
            WHERE r.status = 'completed' ORDER BY r.completed_at DESC LIMIT 1
        """),
        {**_bundle(before), **{f"new_{name}": value for name, value in _bundle(after).items()}},
    ).one_or_none()
    if both is None:
        return None
    rows = connection.execute(
        text("""
            SELECT c.case_id, o.verdict AS before, n.verdict AS after
            FROM verdicts o JOIN verdicts n USING (run_id, position) JOIN runs r ON r.id = o.run_id
            JOIN cases c ON c.dataset_id = r.dataset_id AND c.position = o.position
            WHERE o.run_id = :run AND o.variant = :old AND n.variant = :new AND o.verdict <> n.verdict
            ORDER BY o.position
        """),
        {"run": both.id, "old": both.old_place, "new": both.new_place},
    )
    return CaseChanges(both.name, both.cases, tuple(ChangedCase(*row) for row in rows))


def later_contradictions(connection: Connection, experiment_id: UUID, feature: str, document: str) -> list[str]:
    """Later concluded experiments of the feature in which this very bundle took part and did not win."""
    rows = connection.execute(
        text("""
            SELECT e.name, d.variant, v.value ->> 'name' AS arm, d.recorded_at FROM experiments e
            JOIN LATERAL (SELECT * FROM experiment_decisions WHERE experiment_id = e.id ORDER BY id DESC LIMIT 1) d
                ON true
            CROSS JOIN LATERAL jsonb_array_elements(e.spec -> 'variants') v
            WHERE e.feature = :feature AND e.id <> :id AND e.deleted_at IS NULL AND d.outcome = 'variant'
              AND v.value -> 'bundle' = CAST(:document AS jsonb) AND v.value ->> 'name' <> d.variant
              AND d.recorded_at > (SELECT max(recorded_at) FROM experiment_decisions WHERE experiment_id = :id)
            ORDER BY d.recorded_at
        """),
        {"feature": feature, "id": experiment_id, "document": document},
    )
    return [f"{row.name} found later that {row.variant} is better than this bundle" for row in rows]


def is_sample(connection: Connection, experiment_id: UUID | None, feature: str) -> bool:
    """Are there requests of the feature, and all of them made up? Or is it from a run of made-up cases?"""
    row = connection.execute(
        text(f"""
            SELECT (SELECT bool_and(b.sample_data) FROM ingest_batches b WHERE b.id IN (
                    SELECT DISTINCT batch_id FROM (
                        SELECT batch_id FROM requests WHERE {OF_FEATURE}
                        ORDER BY {NEWEST_OF_FEATURE} LIMIT 1000) AS last))
                AS requests,
                (SELECT d.sample_data FROM experiments e JOIN runs r ON r.id = e.run_id
                    JOIN datasets d ON d.id = r.dataset_id WHERE e.id = :experiment) AS cases
        """),
        {"feature": feature, "experiment": experiment_id, "begins": "-infinity", "ends": "infinity"},
    ).one()
    return bool(row.cases) or bool(row.requests)
