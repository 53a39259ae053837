"""References that no foreign key keeps: how many rows point at nothing.

The ledger's rows are written a hundred thousand at a time and name their run alone in a foreign key; the rest of what
they point at is written here, so that `assay doctor` can tell when something else removed it.
"""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection, text


@dataclass(frozen=True, slots=True)
class Reference:
    """Columns of a table that point at rows of another one."""

    table: str
    columns: tuple[str, ...]
    points_at: str
    found: str
    """Condition that holds for a row `t` whose target is there."""


_WORKER = "t.worker_id IS NULL OR EXISTS (SELECT 1 FROM workers w WHERE w.id = t.worker_id)"
_VARIANT = "EXISTS (SELECT 1 FROM run_variants v WHERE v.run_id = t.run_id AND v.position = t.variant)"
_CASE = """EXISTS (SELECT 1 FROM runs r JOIN cases c ON c.dataset_id = r.dataset_id
    WHERE r.id = t.run_id AND c.position = t.position)"""
_BATCH = "t.batch_id IS NULL OR EXISTS (SELECT 1 FROM ingest_batches b WHERE b.id = t.batch_id)"
_PRICE_SET = "t.price_set_id IS NULL OR EXISTS (SELECT 1 FROM price_sets p WHERE p.id = t.price_set_id)"

REFERENCES = (
    Reference("run_shards", ("worker_id",), "workers", _WORKER),
    Reference("calls", ("worker_id",), "workers", _WORKER),
    *(
        Reference(table, columns, target, found)
        for table in ("calls", "answers", "verdicts")
        for columns, target, found in (
            (("run_id", "variant"), "run_variants", _VARIANT),
            (("run_id", "position"), "cases", _CASE),
        )
    ),
    *(
        Reference(table, ("batch_id",), "ingest_batches", _BATCH)
        for table in ("request_keys", "requests", "spans", "rollup_dirty")
    ),
    Reference("requests", ("price_set_id",), "price_sets", _PRICE_SET),
)
OUTSIDE = frozenset(
    {
        ("runs", "prefect_flow_run_id"),
        ("logical_dates", "flow_run_id"),
        *((table, "external_id") for table in ("request_keys", "requests", "quarantine")),
        *(("requests", column) for column in ("trace_id", "span_id")),
        *(("spans", column) for column in ("trace_id", "span_id", "parent_id")),
    }
)
"""Columns that name what is elsewhere: Prefect's database, which forgets its runs when it likes, and the systems from
which requests came, which export their traces in parts."""


@dataclass(frozen=True, slots=True)
class Orphans:
    """Rows of one table whose target is gone."""

    reference: Reference
    rows: int

    def __str__(self) -> str:
        columns = ", ".join(self.reference.columns)
        return f"{self.rows:,} of {self.reference.table} ({columns}) without {self.reference.points_at}"


def orphans(connection: Connection) -> list[Orphans]:
    """Every kind of reference that points at nothing somewhere."""
    counted = [
        Orphans(
            each,
            connection.execute(text(f"SELECT count(*) FROM {each.table} t WHERE NOT ({each.found})")).scalar_one(),
        )
        for each in REFERENCES
    ]
    return [each for each in counted if each.rows]


def reports_named(connection: Connection, limit: int = 500) -> list[tuple[UUID, str]]:
    """The latest runs that name a report, with the path of the file."""
    rows = connection.execute(
        text("SELECT id, report FROM runs WHERE report IS NOT NULL ORDER BY recorded_at DESC LIMIT :limit"),
        {"limit": limit},
    )
    return [(run_id, report) for run_id, report in rows]
