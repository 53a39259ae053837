"""The registry of models: read into domain values, brought up to the catalogues, with an activity for every change."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import Connection, Row, text

from evaluations.errors import AssayError, unknown_name
from evaluations.model_changes import ModelChange, fingerprint
from evaluations.model_overview import Change
from evaluations.models import Capability, Claim, Environment, Finding, Limits, Model, UseCaseScore, model_named

_LOCK = 0x4153_4D4F  # any number that only changes of the registry take

_MODELS = """
    SELECT m.*,
           (SELECT json_agg(json_build_array(c.capability, c.origin, c.supported, c.why, c.as_of, c.run_id))
            FROM (SELECT DISTINCT ON (capability, origin) * FROM model_capabilities
                  WHERE model = m.model AND (origin = 'documented' OR supported IS NOT NULL)
                  ORDER BY capability, origin, as_of DESC) AS c) AS capabilities
    FROM models AS m
"""


def is_empty(connection: Connection) -> bool:
    """Whether nothing was taken over yet."""
    return not connection.execute(text("SELECT EXISTS (SELECT 1 FROM models)")).scalar_one()


def lock_models(connection: Connection) -> None:
    """Let nobody else change the registry until this transaction ends."""
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})


def all_models(connection: Connection, provider: str | None = None) -> dict[str, Model]:
    """Every model by its name, of one provider or of all."""
    scores = _scores(connection, None)
    rows = connection.execute(
        text(f"{_MODELS} WHERE CAST(:provider AS text) IS NULL OR m.provider = :provider ORDER BY m.model"),
        {"provider": provider},
    )
    return {row.model: _model(row, scores.get(row.model, ())) for row in rows}


def models_named(connection: Connection, names: Iterable[str]) -> dict[str, Model]:
    """The models of these names that the registry has."""
    wanted = sorted(set(names))
    scores = _scores(connection, wanted)
    rows = connection.execute(text(f"{_MODELS} WHERE m.model = ANY(:names)"), {"names": wanted})
    return {row.model: _model(row, scores.get(row.model, ())) for row in rows}


def find_model(connection: Connection, name: str) -> Model:
    """A model by its name, or by its bare name where one provider alone has it.

    Raises UnknownModel with the nearest names.
    """
    found = models_named(connection, [name])
    return found[name] if found else model_named(name, all_models(connection))


def check_use_case(connection: Connection, name: str) -> None:
    """Raises AssayError with the nearest names when nothing was declared or measured for a use case."""
    known = list(connection.execute(text("SELECT DISTINCT use_case FROM model_use_case_scores ORDER BY 1")).scalars())
    if name not in known:
        raise AssayError(unknown_name("use case", name, known))


def providers_known(connection: Connection) -> list[str]:
    """The providers of all models."""
    return list(connection.execute(text("SELECT DISTINCT provider FROM models ORDER BY provider")).scalars())


def regions_known(connection: Connection) -> list[str]:
    """The regions of all models."""
    return list(connection.execute(text("SELECT DISTINCT unnest(regions) AS region FROM models ORDER BY 1")).scalars())


def apply_changes(connection: Connection, changes: Sequence[ModelChange], actor: str, *, quiet: bool = False) -> None:
    """Write what changed, each with its activity; `quiet` for a first seeding, which is one activity in all."""
    written = [change.after for change in changes if change.after is not None]
    _write_models(connection, written, actor)
    _write_documented(connection, changes, actor)
    _write_scores(connection, [(model.name, score) for model in written for score in model.use_cases], actor)
    gone = [change.name for change in changes if change.after is None]
    connection.execute(text("UPDATE models SET withdrawn_at = now() WHERE model = ANY(:gone)"), {"gone": gone})
    if quiet:
        record(connection, "seeded", "registry", None, {"models": len(written)}, "first use", actor)
        return
    for change in changes:
        for kind, before, after, why in change.activities:
            record(connection, kind, change.name, before, after, why, actor)


def record(
    connection: Connection,
    kind: str,
    subject: str,
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any] | None,
    why: str,
    actor: str,
) -> None:
    """Write one activity down."""
    connection.execute(
        text("""
            INSERT INTO model_activities (kind, subject, before, after, why, actor)
            VALUES (:kind, :subject, CAST(:before AS jsonb), CAST(:after AS jsonb), :why, :actor)
        """),
        {
            "kind": kind,
            "subject": subject,
            "before": None if before is None else orjson.dumps(before, default=str).decode(),
            "after": None if after is None else orjson.dumps(after, default=str).decode(),
            "why": why,
            "actor": actor,
        },
    )


def activities(connection: Connection, subject: str | None = None, limit: int = 50) -> list[Change]:
    """What changed, the latest first; of one subject or of all."""
    rows = connection.execute(
        text("""
            SELECT * FROM model_activities WHERE CAST(:subject AS text) IS NULL OR subject = :subject
            ORDER BY id DESC LIMIT :limit
        """),
        {"subject": subject, "limit": limit},
    )
    return [
        Change(**_of(row, "kind", "subject", "before", "after", "why", "actor"), at=row.recorded_at) for row in rows
    ]


def mark_listed(connection: Connection, names: Iterable[str], at: datetime) -> None:
    """Note that a provider's own listing named these models."""
    connection.execute(
        text("UPDATE models SET listed_at = :at WHERE model = ANY(:names)"), {"at": at, "names": sorted(names)}
    )


def mark_unlisted(connection: Connection, names: Iterable[str]) -> None:
    """Note that a provider's own listing names these models no longer."""
    connection.execute(text("UPDATE models SET listed_at = NULL WHERE model = ANY(:names)"), {"names": sorted(names)})


def add_tests(
    connection: Connection,
    model: str,
    found: Mapping[str, tuple[bool | None, str]],
    at: datetime,
    run_id: UUID | None,
    actor: str,
) -> None:
    """What probes found about a model's capabilities: name -> (whether it holds, what was seen). None: no result."""
    connection.execute(
        text("""
            INSERT INTO model_capabilities (model, capability, origin, as_of, supported, why, run_id, actor)
            SELECT :model, t.capability, 'tested', :at, t.supported, t.why, :run, :actor
            FROM unnest(CAST(:capabilities AS text[]), CAST(:supported AS boolean[]), CAST(:why AS text[]))
                 AS t (capability, supported, why)
            ON CONFLICT DO NOTHING
        """),
        {
            "model": model,
            "at": at,
            "run": run_id,
            "actor": actor,
            "capabilities": list(found),
            "supported": [supported for supported, _ in found.values()],
            "why": [why for _, why in found.values()],
        },
    )


def tests_since(connection: Connection, since: datetime) -> set[tuple[str, str]]:
    """Models with the capabilities that a probe asked about since then, whatever came of it."""
    rows = connection.execute(
        text("SELECT model, capability FROM model_capabilities WHERE origin = 'tested' AND as_of > :since"),
        {"since": since},
    )
    return {(row.model, row.capability) for row in rows}


# Environments


def environments(connection: Connection) -> list[Environment]:
    """Every environment, in the order in which a change goes through them."""
    rows = connection.execute(text("SELECT * FROM environments ORDER BY position, name"))
    return [_environment(row) for row in rows]


def environment_named(connection: Connection, name: str) -> Environment:
    """One environment. Raises AssayError with the known ones when there is none of that name."""
    known = {each.name: each for each in environments(connection)}
    if name not in known:
        raise AssayError(unknown_name("environment", name, list(known)))
    return known[name]


def set_environment(connection: Connection, environment: Environment, why: str, actor: str) -> None:
    """Write an environment down, a new one at the end, with an activity."""
    before = next((each for each in environments(connection) if each.name == environment.name), None)
    connection.execute(
        text("""
            INSERT INTO environments (name, position, allowed_providers, allowed_regions, validated_only,
                                      monthly_cost_limit, approvals_required, actor)
            SELECT :name, coalesce(max(position) + 1, 0), :providers, :regions, :validated, :limit, :approvals, :actor
            FROM environments
            ON CONFLICT (name) DO UPDATE SET allowed_providers = EXCLUDED.allowed_providers,
                allowed_regions = EXCLUDED.allowed_regions, validated_only = EXCLUDED.validated_only,
                monthly_cost_limit = EXCLUDED.monthly_cost_limit,
                approvals_required = EXCLUDED.approvals_required, actor = EXCLUDED.actor, recorded_at = now()
        """),
        {
            "name": environment.name,
            "providers": None if environment.allowed_providers is None else list(environment.allowed_providers),
            "regions": None if environment.allowed_regions is None else list(environment.allowed_regions),
            "validated": environment.validated_only,
            "limit": environment.monthly_cost_limit,
            "approvals": environment.approvals_required,
            "actor": actor,
        },
    )
    told = [None if each is None else environment_as_json(each) for each in (before, environment)]
    record(connection, "environment set", environment.name, told[0], told[1], why, actor)


def environment_as_json(environment: Environment) -> dict[str, Any]:
    """An environment in plain words, as activities and commands show it."""
    limit: Decimal | None = environment.monthly_cost_limit
    return {
        "name": environment.name,
        "allowed_providers": environment.allowed_providers,
        "allowed_regions": environment.allowed_regions,
        "validated_only": environment.validated_only,
        "monthly_cost_limit_usd": None if limit is None else f"{limit.normalize():f}",
        "approvals_required": environment.approvals_required,
    }


# Rows


def _environment(row: Row[Any]) -> Environment:
    return Environment(
        name=row.name,
        allowed_providers=None if row.allowed_providers is None else tuple(row.allowed_providers),
        allowed_regions=None if row.allowed_regions is None else tuple(row.allowed_regions),
        validated_only=row.validated_only,
        monthly_cost_limit=row.monthly_cost_limit,
        approvals_required=row.approvals_required,
    )


def _model(row: Row[Any], scores: Iterable[UseCaseScore]) -> Model:
    return Model(
        **_of(row, "provider", "mode", "stage", "retires_on", "withdrawn_at", "successor", "alias", "alias_of"),
        **_of(row, "description", "source", "listed_at"),
        name=row.model,
        inputs=tuple(row.inputs),
        outputs=tuple(row.outputs),
        limitations=tuple(row.limitations),
        regions=None if row.regions is None else tuple(row.regions),
        limits=Limits(
            **_of(row, "context_tokens", "max_output_tokens", "max_images", "requests_per_minute", "tokens_per_minute")
        ),
        capabilities=_capabilities(row.capabilities or ()),
        use_cases=tuple(scores),
        claims=tuple(Claim(**each) for each in row.claims),
    )


def _of(row: Row[Any], *names: str) -> dict[str, Any]:
    return {name: getattr(row, name) for name in names}


def _capabilities(rows: Iterable[Sequence[Any]]) -> dict[str, Capability]:
    documented: dict[str, tuple[bool | None, str]] = {}
    tested: dict[str, Finding] = {}
    for name, origin, supported, why, as_of, run_id in rows:
        if origin == "documented":
            documented[name] = supported, why
        else:
            tested[name] = Finding(passed=supported, at=datetime.fromisoformat(as_of), why=why, run_id=run_id)
    return {
        name: Capability(
            name=name,
            documented=documented.get(name, (None, ""))[0],
            source=documented.get(name, (None, ""))[1],
            tested=tested.get(name),
        )
        for name in sorted({*documented, *tested})
    }


def _scores(connection: Connection, models: list[str] | None) -> dict[str, list[UseCaseScore]]:
    rows = connection.execute(
        text("""
            SELECT * FROM model_use_case_scores WHERE CAST(:models AS text[]) IS NULL OR model = ANY(:models)
            ORDER BY model, use_case, origin, as_of, recorded_at
        """),
        {"models": models},
    )
    found: dict[str, list[UseCaseScore]] = {}
    for row in rows:
        score = UseCaseScore(
            **_of(row, "use_case", "score", "origin", "reason", "n", "low", "high", "as_of", "source"),
            run_id=None if row.run_id is None else str(row.run_id),
        )
        found.setdefault(row.model, []).append(score)
    return found


def _write_models(connection: Connection, models: Sequence[Model], actor: str) -> None:
    rows = [
        {
            "model": model.name,
            "provider": model.provider,
            "mode": model.mode,
            "inputs": list(model.inputs),
            "outputs": list(model.outputs),
            "context_tokens": model.limits.context_tokens,
            "max_output_tokens": model.limits.max_output_tokens,
            "max_images": model.limits.max_images,
            "requests_per_minute": model.limits.requests_per_minute,
            "tokens_per_minute": model.limits.tokens_per_minute,
            "stage": model.stage,
            "retires_on": None if model.retires_on is None else model.retires_on.isoformat(),
            "successor": model.successor,
            "alias": model.alias,
            "alias_of": model.alias_of,
            "description": model.description,
            "limitations": list(model.limitations),
            "regions": None if model.regions is None else list(model.regions),
            "claims": [asdict(each) for each in model.claims],
            "source": model.source,
            "content_hash": fingerprint(model),
        }
        for model in models
    ]
    names = list(rows[0]) if rows else []
    changed = ", ".join(f"{name} = EXCLUDED.{name}" for name in names if name != "model")
    if rows:
        connection.execute(
            text(f"""
                INSERT INTO models ({", ".join(names)}, actor)
                SELECT {", ".join(f"r.{name}" for name in names)}, :actor
                FROM jsonb_populate_recordset(CAST(NULL AS models), CAST(:rows AS jsonb)) AS r
                ON CONFLICT (model) DO UPDATE SET {changed}, withdrawn_at = NULL, actor = EXCLUDED.actor
            """),
            {"rows": orjson.dumps(rows).decode(), "actor": actor},
        )


def _write_documented(connection: Connection, changes: Sequence[ModelChange], actor: str) -> None:
    said = [(change.name, each) for change in changes for each in change.documented]
    connection.execute(
        text("""
            INSERT INTO model_capabilities (model, capability, origin, as_of, supported, why, actor)
            SELECT s.model, s.capability, 'documented', now(), s.supported, s.why, :actor
            FROM unnest(CAST(:models AS text[]), CAST(:names AS text[]), CAST(:supported AS boolean[]),
                        CAST(:why AS text[])) AS s (model, capability, supported, why)
            ON CONFLICT DO NOTHING
        """),
        {
            "actor": actor,
            "models": [model for model, _ in said],
            "names": [each.name for _, each in said],
            "supported": [each.documented for _, each in said],
            "why": [each.source for _, each in said],
        },
    )


def _write_scores(connection: Connection, scores: Sequence[tuple[str, UseCaseScore]], actor: str) -> None:
    columns = ("use_case", "origin", "source", "score", "reason", "n", "low", "high", "run_id")
    rows = [
        {"model": model, "as_of": str(score.as_of), **{name: getattr(score, name) for name in columns}}
        for model, score in scores
    ]
    connection.execute(
        text(f"""
            INSERT INTO model_use_case_scores (model, as_of, {", ".join(columns)}, actor)
            SELECT r.model, r.as_of, {", ".join(f"r.{name}" for name in columns)}, :actor
            FROM jsonb_populate_recordset(CAST(NULL AS model_use_case_scores), CAST(:rows AS jsonb)) AS r
            ON CONFLICT DO NOTHING
        """),
        {"rows": orjson.dumps(rows).decode(), "actor": actor},
    )


def add_scores(connection: Connection, scores: Iterable[tuple[str, UseCaseScore]], actor: str) -> None:
    """Add scores of models for use cases: (model, score). A measured one carries its n and outranks declared ones."""
    _write_scores(connection, list(scores), actor)
