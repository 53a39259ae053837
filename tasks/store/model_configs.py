"""Model configurations as runs brought them: what was called, how, in how many runs, and when last."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, text

from evaluations.errors import AssayError
from evaluations.specs import ModelSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredConfig:
    """A model configuration, and the runs whose variants were called by it."""

    id: UUID
    spec: ModelSpec
    runs: int
    used_at: datetime | None
    """When the last of them began; None where no run has it any more."""
    actor: str
    recorded_at: datetime


def list_configs(connection: Connection, given: str = "", limit: int = 50) -> list[StoredConfig]:
    """Configurations, the latest in use first; `given` is a model's id or label, or how a configuration's id begins.

    Runs are told from their own record: variants that differ in limits alone are one variant, but are called apart.
    """
    used = _used(connection)
    rows = connection.execute(
        text("""
            SELECT id, spec, actor, recorded_at FROM model_configs
            WHERE :given IN ('', model, name) OR starts_with(CAST(id AS text), :given) ORDER BY recorded_at, id
        """),
        {"given": given},
    )
    # One that was written before a setting existed is the same as a later one that leaves the setting out.
    found = {(config := _config(row, used)).spec.model_dump_json(): config for row in rows}
    never = datetime.min.replace(tzinfo=UTC)
    ordered = sorted(found.values(), key=lambda each: (each.used_at or never, each.recorded_at), reverse=True)
    return ordered[:limit]


def _used(connection: Connection) -> dict[str, tuple[int, datetime]]:
    """In how many runs each configuration was called, and when the last of them began."""
    rows = connection.execute(
        text("""
            SELECT v -> 'model' AS spec, count(DISTINCT r.id) AS runs, max(r.recorded_at) AS used_at
            FROM runs r, jsonb_array_elements(r.config -> 'variants') AS v GROUP BY 1
        """)
    )
    found: dict[str, tuple[int, datetime]] = {}
    for row in rows:
        spec = ModelSpec.model_validate(row.spec).model_dump_json()
        runs, used_at = found.get(spec, (0, row.used_at))
        found[spec] = runs + row.runs, max(used_at, row.used_at)
    return found


def config_named(connection: Connection, given: str) -> StoredConfig:
    """The configuration whose id begins so, or the latest in use of a model. Raises AssayError for none."""
    found = list_configs(connection, given, limit=1)
    if not given or not found:
        raise AssayError(
            f"no run called a model configuration {given!r}; `assay models configs` lists those there are."
        )
    return found[0]


def _config(row: Row[Any], used: Mapping[str, tuple[int, datetime]]) -> StoredConfig:
    spec = ModelSpec.model_validate(row.spec)
    runs, used_at = used.get(spec.model_dump_json(), (0, None))
    return StoredConfig(id=row.id, spec=spec, runs=runs, used_at=used_at, actor=row.actor, recorded_at=row.recorded_at)
