"""What changed between two runs of a suite: which runs wait, what they are laid beside, what came out."""

from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy import Connection, text

from evaluations.changes import CaseKey, RunChanges, Seen

_CHANGES = TypeAdapter(RunChanges)

# A run that was completed again after it was analysed, with other verdicts, waits again. A report that could not be
# written is tried for two days: after that it takes a person.
_WAITING = """
    r.kind = 'suite' AND r.status = 'completed' AND r.verdict IS NOT NULL
    AND (c.run_id IS NULL OR c.recorded_at < r.completed_at
         OR (c.baseline_id IS NOT NULL AND c.reported_at IS NULL AND c.recorded_at > now() - interval '2 days'))"""


def waiting_runs(connection: Connection) -> list[UUID]:
    """The completed runs that nobody has analysed yet, oldest first."""
    rows = connection.execute(
        text(f"""
            SELECT r.id FROM runs r LEFT JOIN run_comparisons c ON c.run_id = r.id
            WHERE {_WAITING} ORDER BY r.recorded_at, r.id
        """)
    )
    return [UUID(str(run_id)) for run_id in rows.scalars()]


def baseline_of(connection: Connection, run_id: UUID) -> UUID | None:
    """The run that this one is laid beside: the last completed one of the same suite, kind and choice of cases.

    A rescore is laid beside the run whose answers it judges: what differs then comes from the scorers alone.
    """
    found = connection.execute(
        text("""
            SELECT b.id FROM runs r JOIN suites s ON s.id = r.suite_id
            JOIN suites t ON t.name = s.name
            JOIN runs b ON b.suite_id = t.id AND b.kind = r.kind AND b.status = 'completed'
            WHERE r.id = :run AND (b.recorded_at, b.id) < (r.recorded_at, r.id)
              AND b.rescored_from IS DISTINCT FROM r.id AND b.config -> 'where' = r.config -> 'where'
            ORDER BY b.id IS NOT DISTINCT FROM r.rescored_from DESC, b.recorded_at DESC, b.id DESC LIMIT 1
        """),
        {"run": run_id},
    ).scalar_one_or_none()
    return None if found is None else UUID(str(found))


def verdicts_of(connection: Connection, run_id: UUID) -> dict[CaseKey, Seen]:
    """How every case of a run ended under every variant."""
    rows = connection.execute(
        text("""
            SELECT c.case_id, n.label, v.verdict, c.content_hash FROM verdicts v JOIN runs r ON r.id = v.run_id
            JOIN run_variants n ON n.run_id = v.run_id AND n.position = v.variant
            JOIN cases c ON c.dataset_id = r.dataset_id AND c.position = v.position
            WHERE v.run_id = :run ORDER BY v.position, v.variant
        """),
        {"run": run_id},
    )
    return {CaseKey(case_id, label): Seen(verdict, bytes(content)) for case_id, label, verdict, content in rows}


def save_comparison(connection: Connection, run_id: UUID, changes: RunChanges | None, actor: str) -> None:
    """Write what changed, or that there was nothing to compare with; what was written before is replaced."""
    connection.execute(
        text("""
            INSERT INTO run_comparisons (run_id, baseline_id, facts, actor)
            VALUES (:run, :baseline, CAST(:facts AS jsonb), :actor)
            ON CONFLICT (run_id) DO UPDATE SET baseline_id = excluded.baseline_id, facts = excluded.facts,
                actor = excluded.actor, reported_at = NULL, recorded_at = now()
        """),
        {
            "run": run_id,
            "baseline": None if changes is None else UUID(changes.baseline_id),
            "facts": None if changes is None else _CHANGES.dump_json(changes).decode(),
            "actor": actor,
        },
    )


def mark_reported(connection: Connection, run_id: UUID) -> None:
    connection.execute(text("UPDATE run_comparisons SET reported_at = now() WHERE run_id = :run"), {"run": run_id})


def comparison_of(connection: Connection, run_id: UUID) -> RunChanges | None:
    """What changed since the run before; None when nobody looked yet or there was none."""
    facts = connection.execute(
        text("SELECT facts FROM run_comparisons WHERE run_id = :run"), {"run": run_id}
    ).scalar_one_or_none()
    return None if facts is None else _CHANGES.validate_python(facts)
