"""Dataset versions and their cases."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from evaluations.cases import Case
from evaluations.results import QuarantinedRow


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetVersion:
    """A stored dataset version; the content hash is what tells versions apart."""

    id: UUID
    name: str
    content_hash: str
    contract_hash: str | None
    cases: int
    quarantined: int
    description: str
    licence: str
    sample_data: bool


@dataclass(frozen=True, slots=True)
class StoredCase:
    """A case with its place in the file, which is its short name in the ledger."""

    position: int
    case: Case


@dataclass(frozen=True, slots=True)
class CaseFilter:
    """Which cases a run takes: a case has to match every key, by any of the key's values."""

    tags: tuple[str, ...] = ()
    priorities: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()

    def sql(self) -> tuple[str, dict[str, Any]]:
        """The condition on `cases` and its parameters."""
        parts, values = ["true"], {}
        if self.tags:
            parts.append("CAST(content -> 'tags' AS jsonb) ?| CAST(:tags AS text[])")
            values["tags"] = list(self.tags)
        if self.priorities:
            parts.append("content ->> 'priority' = ANY(:priorities)")
            values["priorities"] = list(self.priorities)
        if self.ids:
            parts.append("case_id = ANY(:ids)")
            values["ids"] = list(self.ids)
        return " AND ".join(parts), values


def find_dataset(connection: Connection, name: str, content_hash: str) -> DatasetVersion | None:
    """The stored version of these very bytes; None when they were never stored."""
    row = connection.execute(
        text("SELECT * FROM datasets WHERE name = :name AND content_hash = :hash"),
        {"name": name, "hash": content_hash},
    ).one_or_none()
    return None if row is None else _version(row)


def dataset_of(connection: Connection, dataset_id: UUID) -> DatasetVersion:
    return _version(connection.execute(text("SELECT * FROM datasets WHERE id = :id"), {"id": dataset_id}).one())


def mark_contract_passed(connection: Connection, dataset_id: UUID, contract_hash: str) -> None:
    """Remember that this version passed this contract, so that it is not checked again."""
    connection.execute(
        text("UPDATE datasets SET contract_hash = :contract WHERE id = :id"),
        {"id": dataset_id, "contract": contract_hash},
    )


def save_dataset(
    connection: Connection,
    *,
    name: str,
    content_hash: str,
    contract_hash: str | None,
    description: str,
    licence: str,
    sample_data: bool,
    actor: str,
    cases: Iterable[StoredCase],
    quarantined: Sequence[QuarantinedRow] = (),
) -> DatasetVersion:
    """Store a version with all its cases, streamed by COPY. Two processes may do so at once: the first one wins."""
    connection.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))"), {"key": f"dataset {name} {content_hash}"}
    )
    known = find_dataset(connection, name, content_hash)
    if known is not None:
        return known
    dataset_id = connection.execute(
        text("""
            INSERT INTO datasets (name, content_hash, contract_hash, cases, quarantined, description, licence,
                                  sample_data, actor)
            VALUES (:name, :hash, :contract, 0, :quarantined, :description, :licence, :sample, :actor) RETURNING id
        """),
        {
            "name": name,
            "hash": content_hash,
            "contract": contract_hash,
            "quarantined": len(quarantined),
            "description": description,
            "licence": licence,
            "sample": sample_data,
            "actor": actor,
        },
    ).scalar_one()
    count = _copy_cases(connection, dataset_id, cases)
    connection.execute(text("UPDATE datasets SET cases = :count WHERE id = :id"), {"count": count, "id": dataset_id})
    if quarantined:
        connection.execute(
            text("INSERT INTO quarantined_rows VALUES (:id, :line, :case_id, :reason) ON CONFLICT DO NOTHING"),
            [{"id": dataset_id, "line": q.line, "case_id": q.case_id, "reason": q.reason} for q in quarantined],
        )
    return dataset_of(connection, dataset_id)


def quarantined_of(connection: Connection, dataset_id: UUID) -> tuple[QuarantinedRow, ...]:
    rows = connection.execute(
        text("SELECT line, case_id, reason FROM quarantined_rows WHERE dataset_id = :id ORDER BY line"),
        {"id": dataset_id},
    )
    return tuple(QuarantinedRow(line=line, case_id=case_id, reason=reason) for line, case_id, reason in rows)


def count_cases(connection: Connection, dataset_id: UUID, chosen: CaseFilter) -> int:
    condition, values = chosen.sql()
    return int(
        connection.execute(
            text(f"SELECT count(*) FROM cases WHERE dataset_id = :id AND {condition}"), {"id": dataset_id, **values}
        ).scalar_one()
    )


def cases_of(connection: Connection, dataset_id: UUID, chosen: CaseFilter, first: int, last: int) -> list[StoredCase]:
    """The chosen cases between two positions, both included, in the order of the file."""
    condition, values = chosen.sql()
    rows = connection.execute(
        text(
            f"SELECT position, case_id, content FROM cases "
            f"WHERE dataset_id = :id AND position BETWEEN :first AND :last AND {condition} ORDER BY position"
        ),
        {"id": dataset_id, "first": first, "last": last, **values},
    )
    return [StoredCase(position, case_from(case_id, content)) for position, case_id, content in rows]


def cases_at(connection: Connection, dataset_id: UUID, positions: Sequence[int]) -> list[StoredCase]:
    """The cases at some positions."""
    rows = connection.execute(
        text("SELECT position, case_id, content FROM cases WHERE dataset_id = :id AND position = ANY(:positions)"),
        {"id": dataset_id, "positions": list(positions)},
    )
    return [StoredCase(position, case_from(case_id, content)) for position, case_id, content in rows]


def cases_with_assertions(connection: Connection, dataset_id: UUID) -> Iterator[Case]:
    """The cases that bring scorers of their own."""
    rows = connection.execute(
        text("SELECT case_id, content FROM cases WHERE dataset_id = :id AND content ->> 'assertions' <> '[]'"),
        {"id": dataset_id},
    )
    for case_id, content in rows:
        yield case_from(case_id, content)


def sample_cases(connection: Connection, dataset_id: UUID, chosen: CaseFilter, size: int) -> list[StoredCase]:
    """Up to `size` of the chosen cases in the order of their hashes: as good as random, and always the same."""
    condition, values = chosen.sql()
    rows = connection.execute(
        text(
            f"SELECT position, case_id, content FROM cases WHERE dataset_id = :id AND {condition} "
            "ORDER BY content_hash LIMIT :size"
        ),
        {"id": dataset_id, "size": size, **values},
    )
    return [StoredCase(position, case_from(case_id, content)) for position, case_id, content in rows]


def tags_of(connection: Connection, dataset_id: UUID, limit: int = 30) -> list[str]:
    """The tags of a dataset's cases, in alphabetical order."""
    rows = connection.execute(
        text("""
            SELECT DISTINCT t COLLATE "C" AS tag FROM cases, json_array_elements_text(content -> 'tags') AS t
            WHERE dataset_id = :id ORDER BY tag LIMIT :limit
        """),
        {"id": dataset_id, "limit": limit},
    )
    return [tag for (tag,) in rows]


def shard_bounds(connection: Connection, dataset_id: UUID, chosen: CaseFilter, size: int) -> list[tuple[int, int]]:
    """First and last position of every `size` chosen cases."""
    condition, values = chosen.sql()
    rows = connection.execute(
        text(
            f"SELECT min(position), max(position) FROM (SELECT position, (row_number() OVER (ORDER BY position) - 1)"
            f" / :size AS shard FROM cases WHERE dataset_id = :id AND {condition}) AS numbered "
            "GROUP BY shard ORDER BY shard"
        ),
        {"id": dataset_id, "size": size, **values},
    )
    return [(first, last) for first, last in rows]


def changed_cases(connection: Connection, before: UUID, after: UUID) -> int:
    """How many cases of a version are new or different beside an earlier one."""
    return int(
        connection.execute(
            text("""
                SELECT count(*) FROM cases a LEFT JOIN cases b
                  ON b.dataset_id = :before AND b.case_id = a.case_id AND b.content_hash = a.content_hash
                WHERE a.dataset_id = :after AND b.case_id IS NULL
            """),
            {"before": before, "after": after},
        ).scalar_one()
    )


def case_content(case: Case, *, sort: bool = False) -> bytes:
    """A case as the JSON that the store keeps; sorted, equal cases have equal bytes."""
    # Not orjson, which refuses integers beyond 64 bits: an expected answer may be one.
    return json.dumps(
        {
            "inputs": case.inputs,
            "expected": case.expected,
            "assertions": case.assertions,
            "tags": case.tags,
            "priority": case.priority,
            "automation": case.automation,
            "description": case.description,
            "metadata": case.metadata,
        },
        sort_keys=sort,
        separators=(",", ":"),
        ensure_ascii=False,
    ).encode()


def case_from(case_id: str, content: dict[str, Any]) -> Case:
    return Case(
        id=case_id,
        inputs=content["inputs"],
        expected=content["expected"],
        assertions=tuple(content["assertions"]),
        tags=tuple(content["tags"]),
        priority=content["priority"],
        automation=content["automation"],
        description=content["description"],
        metadata=content["metadata"],
    )


def _copy_cases(connection: Connection, dataset_id: UUID, cases: Iterable[StoredCase]) -> int:
    driver: Any = connection.connection.driver_connection
    count = 0
    with (
        driver.cursor() as cursor,
        cursor.copy("COPY cases (dataset_id, position, case_id, content, content_hash) FROM STDIN") as copy,
    ):
        for row in _case_rows(dataset_id, cases):
            copy.write_row(row)
            count += 1
    return count


def _case_rows(dataset_id: UUID, cases: Iterable[StoredCase]) -> Iterator[tuple[Any, ...]]:
    for stored in cases:
        digest = hashlib.blake2b(case_content(stored.case, sort=True), digest_size=16).digest()
        yield dataset_id, stored.position, stored.case.id, case_content(stored.case).decode(), digest


def _version(row: Any) -> DatasetVersion:
    return DatasetVersion(
        id=row.id,
        name=row.name,
        content_hash=row.content_hash,
        contract_hash=row.contract_hash,
        cases=row.cases,
        quarantined=row.quarantined,
        description=row.description,
        licence=row.licence,
        sample_data=row.sample_data,
    )
