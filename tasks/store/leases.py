"""Leases: which worker executes which shard of a run, and for how long it may."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, text

from tasks.store.ledger import LOCK_CLASS, Lease

# A worker is alive while its advisory lock is held: the lock goes with the connection, the connection with the
# process, also when it is killed. The expiry is for machines that vanish without closing anything.
ALIVE = f"""EXISTS (
    SELECT 1 FROM pg_locks l
    WHERE l.locktype = 'advisory' AND l.granted AND l.classid = {LOCK_CLASS} AND l.objid = s.worker_id
      AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()))"""


@dataclass(frozen=True, slots=True)
class Owner:
    """Who executes shards of a run just now."""

    worker_id: int
    host: str
    pid: int
    actor: str
    shards: int
    seen_at: datetime

    def __str__(self) -> str:
        return f"{self.actor} on {self.host} (process {self.pid}, last seen {self.seen_at:%H:%M:%S} UTC)"


def claim(connection: Connection, run_id: UUID, worker_id: int, seconds: float) -> Lease | None:
    """Claim the next shard that is open and has no living owner; None when there is none."""
    row = connection.execute(
        text(f"""
            UPDATE run_shards SET worker_id = :worker, fence = fence + 1, heartbeat_at = now(),
                                  expires_at = now() + make_interval(secs => :seconds)
            WHERE run_id = :run AND shard = (
                SELECT s.shard FROM run_shards s
                WHERE s.run_id = :run AND s.state = 'open'
                  AND (s.worker_id IS NULL OR s.expires_at < now() OR (s.worker_id <> :worker AND NOT {ALIVE}))
                ORDER BY s.shard LIMIT 1 FOR UPDATE SKIP LOCKED)
            RETURNING shard, first_position, last_position, fence
        """),
        {"run": run_id, "worker": worker_id, "seconds": seconds},
    ).one_or_none()
    return None if row is None else Lease(*row)


def renew(connection: Connection, run_id: UUID, worker_id: int, seconds: float) -> None:
    """A sign of life for every shard that this worker holds."""
    connection.execute(
        text("""
            UPDATE run_shards SET heartbeat_at = now(), expires_at = now() + make_interval(secs => :seconds)
            WHERE run_id = :run AND worker_id = :worker AND state = 'open'
        """),
        {"run": run_id, "worker": worker_id, "seconds": seconds},
    )


def finish(connection: Connection, run_id: UUID, lease: Lease, *, done: bool) -> None:
    """Give a shard back: `done` when all its cells have an answer, open for the next comer otherwise."""
    connection.execute(
        text("""
            UPDATE run_shards SET state = :state, worker_id = NULL, expires_at = NULL
            WHERE run_id = :run AND shard = :shard AND fence = :fence
        """),
        {"run": run_id, "shard": lease.shard, "fence": lease.fence, "state": "done" if done else "open"},
    )


def reopen(connection: Connection, run_id: UUID) -> None:
    """Offer every shard again, so that a resumed run looks at all of them; owned ones stay with their owner."""
    connection.execute(
        text(f"""
            UPDATE run_shards s SET state = 'open', worker_id = NULL
            WHERE s.run_id = :run AND (s.state = 'done' OR s.worker_id IS NULL OR NOT {ALIVE})
        """),
        {"run": run_id},
    )


def owners(connection: Connection, run_id: UUID) -> list[Owner]:
    """The living owners of open shards."""
    rows = connection.execute(
        text(f"""
            SELECT w.id, w.host, w.pid, w.actor, count(*), max(s.heartbeat_at) AT TIME ZONE 'UTC'
            FROM run_shards s JOIN workers w ON w.id = s.worker_id
            WHERE s.run_id = :run AND s.state = 'open' AND s.expires_at >= now() AND {ALIVE}
            GROUP BY w.id ORDER BY w.id
        """),
        {"run": run_id},
    )
    return [Owner(*row) for row in rows]


def open_shards(connection: Connection, run_id: UUID) -> int:
    return int(
        connection.execute(
            text("SELECT count(*) FROM run_shards WHERE run_id = :run AND state = 'open'"), {"run": run_id}
        ).scalar_one()
    )
