"""What the health of a deployment is read from: slots of traffic, the newest request, deliveries of flags."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from evaluations.deployment_health import SLOT, Uptime
from tasks.store.traffic import NEWEST_OF_FEATURE, OF_FEATURE


@dataclass(frozen=True, slots=True)
class LastDelivery:
    """The last try to hand flags over to a channel."""

    channel: str
    delivered: bool
    detail: str
    document_hash: str
    at: datetime


def last_request(
    connection: Connection, feature: str, environment: str, since: datetime | None = None
) -> datetime | None:
    """When a feature was last asked for anything; None when never, or not since then."""
    return connection.execute(
        text(f"""
            SELECT at FROM requests WHERE {OF_FEATURE} AND (environment IS NULL OR environment = :environment)
            ORDER BY {NEWEST_OF_FEATURE} LIMIT 1
        """),
        {"feature": feature, "environment": environment, "begins": since or "-infinity", "ends": "infinity"},
    ).scalar_one_or_none()


def uptime_of(
    connection: Connection, feature: str, environment: str, begins: datetime, ends: datetime
) -> tuple[Uptime, int]:
    """Slots with requests in a time, those in which most did not fail, and how many requests there were."""
    row = connection.execute(
        text("""
            WITH slots AS (
                SELECT count(*) AS requests, count(*) FILTER (WHERE status = 'error') AS errors FROM requests
                WHERE feature = :feature AND (environment IS NULL OR environment = :environment)
                  AND at >= :begins AND at < :ends
                GROUP BY date_bin(:slot, at, CAST(:begins AS timestamptz)))
            SELECT count(*) AS slots, count(*) FILTER (WHERE 2 * errors <= requests) AS up,
                CAST(coalesce(sum(requests), 0) AS bigint) AS requests FROM slots
        """),
        {"feature": feature, "environment": environment, "begins": begins, "ends": ends, "slot": SLOT},
    ).one()
    return Uptime(row.up, row.slots), row.requests


def last_deliveries(connection: Connection, environment: str) -> Sequence[LastDelivery]:
    """The last try of each channel, the file first."""
    rows = connection.execute(
        text("""
            SELECT DISTINCT ON (channel) channel, delivered, detail, document_hash, recorded_at FROM flag_deliveries
            WHERE environment = :environment ORDER BY channel, id DESC
        """),
        {"environment": environment},
    )
    return sorted((LastDelivery(*row) for row in rows), key=lambda each: (each.channel != "file", each.channel))
