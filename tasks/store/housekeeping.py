"""Housekeeping: leftovers that nothing needs any more. Facts stay; what goes is bookkeeping around them."""

from sqlalchemy import Connection, text

from tasks.store.leases import ALIVE

BATCH = 20_000
"""Rows of one statement: whoever writes answers meanwhile waits no longer than for these."""


def forget_cached(connection: Connection, days: int) -> int:
    """Take up to BATCH answers older than `days` out of the cache's index; the answers stay. Gives how many."""
    return connection.execute(
        text("""
            UPDATE answers SET cache_key = NULL WHERE id IN (
                SELECT id FROM answers
                WHERE cache_key IS NOT NULL AND recorded_at < now() - make_interval(days => :days)
                LIMIT :batch FOR UPDATE SKIP LOCKED)
        """),
        {"days": days, "batch": BATCH},
    ).rowcount


def release_leases(connection: Connection) -> int:
    """Give back shards whose owner died and whose time is over. Gives how many."""
    return connection.execute(
        text(f"""
            UPDATE run_shards s SET worker_id = NULL, expires_at = NULL
            WHERE s.state = 'open' AND s.worker_id IS NOT NULL AND s.expires_at < now() AND NOT {ALIVE}
        """)
    ).rowcount
