"""Runs: what was asked for, what is left to do, what came out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import Connection, text

from evaluations.errors import AssayError
from evaluations.specs import ModelSpec, PromptSpec, SuiteSpec, VariantSpec
from tasks.store.datasets import CaseFilter
from tasks.store.prompts import hold_prompt, semver_with_hash


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRun:
    """All that is decided before the first call."""

    kind: str
    suite: SuiteSpec
    suite_hash: str
    variants: tuple[VariantSpec, ...]
    chosen: CaseFilter
    use_cache: bool
    folder: str
    dataset_id: UUID
    cases: int
    shards: Sequence[tuple[int, int]]
    """First and last case position of each."""
    cap: Decimal | None
    max_time_s: float | None
    allow_unpriced: bool
    estimate: Mapping[str, Any] | None
    actor: str
    rescored_from: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRun:
    """A run as any machine can read it back."""

    id: UUID
    kind: str
    suite: SuiteSpec
    suite_hash: str
    variants: tuple[VariantSpec, ...]
    chosen: CaseFilter
    use_cache: bool
    folder: str
    dataset_id: UUID
    status: str
    stop_reason: str
    seed: int
    repeats: int
    cases: int
    cells: int
    cap: Decimal | None
    max_time_s: float | None
    allow_unpriced: bool
    actor: str
    recorded_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    rescored_from: UUID | None
    verdict: str | None
    sentence: str | None
    report: str | None

    @property
    def folder_path(self) -> Path:
        return Path(self.folder)

    @property
    def answers_of(self) -> UUID:
        """The run whose answers are judged: a rescore judges those of another run."""
        return self.rescored_from or self.id


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLine:
    """A run as a list shows it."""

    id: UUID
    suite: str
    status: str
    verdict: str | None
    cells: int
    done: int
    spent: Decimal
    actor: str
    recorded_at: datetime
    sentence: str | None
    report: str | None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is. Counts are cells; `spent` is USD."""

    done: int
    total: int
    errors: int
    cached: int
    spent: Decimal
    at_risk: Decimal
    cap: Decimal | None


def create_run(connection: Connection, run: NewRun) -> UUID:
    """Write the run with everything it refers to; nothing has been called yet."""
    suite_id = _suite_id(connection, run)
    config = {
        # What was left out stays out: a default of null and no default are two things in a prompt.
        "suite": run.suite.model_dump(mode="json", exclude_unset=True),
        "variants": [variant.model_dump(mode="json", exclude_unset=True) for variant in run.variants],
        "where": {"tags": run.chosen.tags, "priorities": run.chosen.priorities, "ids": run.chosen.ids},
        "use_cache": run.use_cache,
        "max_time_s": run.max_time_s,
        "allow_unpriced": run.allow_unpriced,
    }
    cells = run.cases * len(run.variants) * run.suite.repeats
    run_id: UUID = connection.execute(
        text("""
            INSERT INTO runs (kind, suite_id, dataset_id, config_hash, config, folder, status, stop_reason, priority,
                              seed, repeats, cases, cells, estimate, rescored_from, actor)
            VALUES (:kind, :suite, :dataset, :hash, CAST(:config AS jsonb), :folder, 'queued', '', :priority,
                    :seed, :repeats, :cases, :cells, CAST(:estimate AS jsonb), :rescored_from, :actor)
            RETURNING id
        """),
        {
            "kind": run.kind,
            "suite": suite_id,
            "dataset": run.dataset_id,
            "hash": run.suite_hash,
            "config": orjson.dumps(config).decode(),
            "folder": run.folder,
            "priority": ("low", "medium", "high", "critical").index(run.suite.priority),
            "seed": run.suite.seed,
            "repeats": run.suite.repeats,
            "cases": run.cases,
            "cells": cells,
            "estimate": None if run.estimate is None else orjson.dumps(run.estimate).decode(),
            "rescored_from": run.rescored_from,
            "actor": run.actor,
        },
    ).scalar_one()
    _write_variants(connection, run_id, run)
    _write_shards(connection, run_id, run.shards)
    connection.execute(
        text("INSERT INTO run_budgets (run_id, cap) VALUES (:run, :cap)"), {"run": run_id, "cap": run.cap}
    )
    return run_id


def run_of(connection: Connection, run_id: UUID) -> StoredRun:
    """A run with its configuration, as the store has it."""
    row = connection.execute(
        text("SELECT r.*, b.cap FROM runs r JOIN run_budgets b ON b.run_id = r.id WHERE r.id = :id"), {"id": run_id}
    ).one_or_none()
    if row is None:
        raise AssayError(f"there is no run {run_id}; `assay runs list` shows those there are.")
    config = row.config
    return StoredRun(
        id=row.id,
        kind=row.kind,
        suite=SuiteSpec.model_validate(config["suite"]),
        suite_hash=row.config_hash,
        variants=tuple(VariantSpec.model_validate(variant) for variant in config["variants"]),
        chosen=CaseFilter(**{key: tuple(values) for key, values in config["where"].items()}),
        use_cache=config["use_cache"],
        folder=row.folder,
        dataset_id=row.dataset_id,
        status=row.status,
        stop_reason=row.stop_reason,
        seed=row.seed,
        repeats=row.repeats,
        cases=row.cases,
        cells=row.cells,
        cap=row.cap,
        max_time_s=config["max_time_s"],
        allow_unpriced=config["allow_unpriced"],
        actor=row.actor,
        recorded_at=row.recorded_at,
        started_at=row.started_at,
        completed_at=row.completed_at,
        rescored_from=row.rescored_from,
        verdict=row.verdict,
        sentence=row.sentence,
        report=row.report,
    )


def find_run(connection: Connection, given: str) -> UUID:
    """The run that somebody means: "last", a whole id or at least its first four characters.

    Raises AssayError when there is none or more than one.
    """
    if given == "last":
        found = connection.execute(text("SELECT id FROM runs ORDER BY recorded_at DESC LIMIT 1")).scalars().all()
    else:
        prefix = given.strip().lower()
        if len(prefix) < 4 or not set(prefix) <= set("0123456789abcdef-"):
            raise AssayError(
                f"{given!r} is not the id of a run; give its first four characters or more, or `last`. "
                "`assay runs list` shows them."
            )
        found = (
            connection.execute(text("SELECT id FROM runs WHERE id::text LIKE :p LIMIT 3"), {"p": prefix + "%"})
            .scalars()
            .all()
        )
    if not found:
        raise AssayError(f"no run is called {given!r}. `assay runs list` shows those there are.")
    if len(found) > 1:
        raise AssayError(f"{given!r} begins the id of several runs ({', '.join(map(str, found))}); give more of it.")
    return UUID(str(found[0]))


def latest_run_of(connection: Connection, suite: str) -> StoredRun | None:
    """The newest run of a suite that was not a rescore; None when there was none."""
    found = connection.execute(
        text("""
            SELECT r.id FROM runs r JOIN suites s ON s.id = r.suite_id
            WHERE s.name = :suite AND r.rescored_from IS NULL ORDER BY r.recorded_at DESC LIMIT 1
        """),
        {"suite": suite},
    ).scalar_one_or_none()
    return None if found is None else run_of(connection, found)


def list_runs(connection: Connection, limit: int, suite: str | None = None) -> list[RunLine]:
    """The latest runs, newest first."""
    rows = connection.execute(
        text("""
            SELECT r.id, s.name, r.status, r.verdict, r.cells,
                   (SELECT count(*) FROM answers a
                    WHERE a.run_id = coalesce(r.rescored_from, r.id) AND NOT a.superseded),
                   b.spent, r.actor, r.recorded_at AT TIME ZONE 'UTC', r.sentence, r.report
            FROM runs r JOIN suites s ON s.id = r.suite_id JOIN run_budgets b ON b.run_id = r.id
            WHERE CAST(:suite AS text) IS NULL OR s.name = :suite
            ORDER BY r.recorded_at DESC LIMIT :limit
        """),
        {"limit": limit, "suite": suite},
    )
    return [
        RunLine(
            id=row[0],
            suite=row[1],
            status=row[2],
            verdict=row[3],
            cells=row[4],
            done=row[5],
            spent=row[6],
            actor=row[7],
            recorded_at=row[8],
            sentence=row[9],
            report=row[10],
        )
        for row in rows
    ]


def set_cap(connection: Connection, run_id: UUID, cap: Decimal | None) -> None:
    connection.execute(text("UPDATE run_budgets SET cap = :cap WHERE run_id = :run"), {"cap": cap, "run": run_id})


def set_time_limit(connection: Connection, run_id: UUID, seconds: float | None) -> None:
    connection.execute(
        text("UPDATE runs SET config = jsonb_set(config, '{max_time_s}', CAST(:s AS jsonb)) WHERE id = :run"),
        {"s": orjson.dumps(seconds).decode(), "run": run_id},
    )


def start_run(connection: Connection, run_id: UUID, flow_run_id: UUID | None) -> None:
    """Mark a run as being executed."""
    connection.execute(
        text("""
            UPDATE runs SET status = 'running', stop_reason = '', started_at = coalesce(started_at, now()),
                            prefect_flow_run_id = coalesce(:flow_run, prefect_flow_run_id)
            WHERE id = :run
        """),
        {"run": run_id, "flow_run": flow_run_id},
    )


def stop_run(connection: Connection, run_id: UUID, *, status: str, reason: str) -> None:
    """Record how an execution ended."""
    connection.execute(
        text("""
            UPDATE runs SET status = CAST(:status AS text), stop_reason = :reason,
                            completed_at = CASE WHEN CAST(:status AS text) IN ('completed', 'partial') THEN now() END
            WHERE id = :run
        """),
        {"run": run_id, "status": status, "reason": reason},
    )


def add_provider_stats(connection: Connection, run_id: UUID, stats: Sequence[Mapping[str, Any]]) -> None:
    """Keep what one execution of a run met at its models."""
    connection.execute(
        text("UPDATE runs SET providers = providers || CAST(:stats AS jsonb) WHERE id = :run"),
        {"run": run_id, "stats": orjson.dumps(list(stats)).decode()},
    )


def provider_stats(connection: Connection, run_id: UUID) -> list[dict[str, Any]]:
    """What all executions of a run met, one entry for each execution and model."""
    return list(connection.execute(text("SELECT providers FROM runs WHERE id = :run"), {"run": run_id}).scalar_one())


def set_verdict(connection: Connection, run_id: UUID, verdict: str, sentence: str, report: str | None) -> None:
    connection.execute(
        text("UPDATE runs SET verdict = :v, sentence = :s, report = coalesce(:report, report) WHERE id = :run"),
        {"v": verdict, "s": sentence, "report": report, "run": run_id},
    )


def progress_of(connection: Connection, run_id: UUID) -> Progress:
    """How far a run is, counted in the ledger."""
    row = connection.execute(
        text("""
            SELECT count(a.id), r.cells, count(a.id) FILTER (WHERE a.status = 'error'),
                   count(a.id) FILTER (WHERE a.from_cache), b.spent, b.at_risk, b.cap
            FROM runs r JOIN run_budgets b ON b.run_id = r.id
            LEFT JOIN answers a ON a.run_id = coalesce(r.rescored_from, r.id) AND NOT a.superseded
            WHERE r.id = :run GROUP BY r.id, b.run_id
        """),
        {"run": run_id},
    ).one()
    return Progress(*row)


def shards_of(connection: Connection, run_id: UUID) -> list[tuple[int, int]]:
    """First and last case position of each shard."""
    rows = connection.execute(
        text("SELECT first_position, last_position FROM run_shards WHERE run_id = :run ORDER BY shard"),
        {"run": run_id},
    )
    return [(first, last) for first, last in rows]


def _suite_id(connection: Connection, run: NewRun) -> UUID:
    spec = run.suite
    return UUID(
        str(
            connection.execute(
                text("""
                    INSERT INTO suites (name, content_hash, description, feature, author, spec, actor)
                    VALUES (:name, :hash, :description, :feature, :author, CAST(:spec AS jsonb), :actor)
                    ON CONFLICT (name, content_hash) DO UPDATE SET description = excluded.description
                    RETURNING id
                """),
                {
                    "name": spec.suite,
                    "hash": run.suite_hash,
                    "description": spec.description,
                    "feature": spec.feature,
                    "author": spec.author,
                    "spec": spec.model_dump_json(),
                    "actor": run.actor,
                },
            ).scalar_one()
        )
    )


def _write_variants(connection: Connection, run_id: UUID, run: NewRun) -> None:
    for position, variant in enumerate(run.variants):
        prompt_version = _prompt_version_id(connection, variant.prompt, run.actor)
        model_config = _model_config_id(connection, variant.model, run.actor)
        variant_id = connection.execute(
            text("""
                INSERT INTO variants (prompt_version_id, model_config_id, content_hash, spec, actor)
                VALUES (:prompt, :model, :hash, CAST(:spec AS jsonb), :actor)
                ON CONFLICT (content_hash) DO UPDATE SET content_hash = excluded.content_hash
                RETURNING id
            """),
            {
                "prompt": prompt_version,
                "model": model_config,
                "hash": variant.content_hash,
                "spec": variant.model_dump_json(),
                "actor": run.actor,
            },
        ).scalar_one()
        connection.execute(
            text("INSERT INTO run_variants VALUES (:run, :position, :variant, :label, :gating)"),
            {
                "run": run_id,
                "position": position,
                "variant": variant_id,
                "label": variant.label,
                "gating": variant.gating,
            },
        )


def _prompt_version_id(connection: Connection, prompt: PromptSpec, actor: str) -> UUID:
    prompt_id = hold_prompt(connection, prompt, actor)
    known = connection.execute(
        text("SELECT id FROM prompt_versions WHERE prompt_id = :prompt AND content_hash = :hash"),
        {"prompt": prompt_id, "hash": prompt.content_hash},
    ).scalar_one_or_none()
    if known is not None:
        return UUID(str(known))
    return UUID(
        str(
            connection.execute(
                text("""
                    INSERT INTO prompt_versions (prompt_id, seq, semver, content_hash, spec, actor)
                    SELECT :prompt, coalesce(max(seq), 0) + 1,
                           CASE WHEN bool_or(semver = :semver) THEN :semver_with_hash ELSE :semver END,
                           :hash, CAST(:spec AS jsonb), :actor
                    FROM prompt_versions WHERE prompt_id = :prompt RETURNING id
                """),
                {
                    "prompt": prompt_id,
                    "semver": prompt.version,
                    "semver_with_hash": semver_with_hash(prompt.version, prompt.content_hash),
                    "hash": prompt.content_hash,
                    "spec": prompt.model_dump_json(),
                    "actor": actor,
                },
            ).scalar_one()
        )
    )


def _model_config_id(connection: Connection, model: ModelSpec, actor: str) -> UUID:
    spec = model.model_dump_json()
    return UUID(
        str(
            connection.execute(
                text("""
                    INSERT INTO model_configs (name, model, content_hash, spec, actor)
                    VALUES (:name, :model, encode(sha256(convert_to(:spec, 'UTF8')), 'hex'), CAST(:spec AS jsonb),
                            :actor)
                    ON CONFLICT (content_hash) DO UPDATE SET content_hash = excluded.content_hash RETURNING id
                """),
                {"name": model.name, "model": model.model, "spec": spec, "actor": actor},
            ).scalar_one()
        )
    )


def _write_shards(connection: Connection, run_id: UUID, shards: Sequence[tuple[int, int]]) -> None:
    if shards:
        connection.execute(
            text("""
                INSERT INTO run_shards (run_id, shard, first_position, last_position, state, fence)
                VALUES (:run, :shard, :first, :last, 'open', 0)
            """),
            [
                {"run": run_id, "shard": shard, "first": first, "last": last}
                for shard, (first, last) in enumerate(shards)
            ],
        )
