"""Stranded runs: begun, not ended, and nobody is at work on them."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from tasks.store.database import engine_for
from tasks.store.leases import ALIVE

MOST = 200


@dataclass(frozen=True, slots=True)
class OpenRun:
    """A run that was begun and has no end yet. Counts are cells; `began_at` is UTC without a zone."""

    id: UUID
    suite: str
    status: str
    reason: str
    """Why it stopped: `interrupted`, or nothing where it could not say."""
    done: int
    total: int
    began_at: datetime
    flow_run_id: UUID | None
    at_work: int
    """Living processes that hold shards of it."""
    ending: bool
    """Its answers are all there since a moment ago: its report may be being written."""


def open_runs(connection: Connection) -> list[OpenRun]:
    """Runs that were begun and have no end yet, newest first.

    A run that was stopped by its budget or its time has ended. One whose answers are all there has not before its
    report is. Probes have no report, and are not taken up: the next one asks what is then due.
    """
    rows = connection.execute(
        text(f"""
            SELECT r.id, u.name, r.status, r.stop_reason,
                   (SELECT count(*) FROM answers a WHERE a.run_id = r.id AND NOT a.superseded),
                   r.cells, r.started_at AT TIME ZONE 'UTC', r.prefect_flow_run_id,
                   (SELECT count(DISTINCT s.worker_id) FROM run_shards s
                    WHERE s.run_id = r.id AND s.state = 'open' AND s.expires_at >= now() AND {ALIVE}),
                   r.status = 'completed' AND coalesce(r.completed_at > now() - interval '1 minute', false)
            FROM runs r JOIN suites u ON u.id = r.suite_id
            WHERE r.rescored_from IS NULL AND r.started_at IS NOT NULL AND r.kind <> 'probe'
              AND (r.status = 'running' OR (r.status = 'partial' AND r.stop_reason IN ('', 'interrupted'))
                   OR (r.status = 'completed' AND r.report IS NULL))
            ORDER BY r.started_at DESC LIMIT {MOST}
        """)
    )
    return [OpenRun(*row) for row in rows]


def open_runs_at(url: str) -> list[OpenRun]:
    """The same of a database that may be down, or have another schema than this version's: empty then."""
    made = engine_for(url)
    try:
        with made.connect() as connection:
            return open_runs(connection)
    except SQLAlchemyError:
        return []
    finally:
        made.dispose()


def runs_of_flow_runs(connection: Connection, flow_run_ids: list[UUID]) -> set[UUID]:
    """Those of some flow runs that have opened a run."""
    rows = connection.execute(
        text("SELECT prefect_flow_run_id FROM runs WHERE prefect_flow_run_id = ANY(:ids)"), {"ids": flow_run_ids}
    )
    return {each for (each,) in rows}
