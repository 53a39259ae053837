"""Notifications in the store: channels and their rules, and deliveries that are claimed, sent and settled.

A claim counts the attempt and is committed before anything is sent: whoever dies in between is followed by another
attempt with the same key once the claim has run out, so that every event arrives at least once.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, text

from evaluations.errors import AssayError, unknown_name
from evaluations.notifications import MOST_ATTEMPTS, Event, Kind

CLAIM_S = 120
"""How long a claimed delivery is nobody else's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """Somewhere to send to; where its secrets are, never what they are."""

    name: str
    kind: Kind
    address_ref: str
    signing_ref: str | None = None
    active: bool = True


@dataclass(frozen=True, slots=True)
class Rule:
    """Which events go to a channel."""

    channel: str
    event: str
    environment: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """An event on its way to a channel."""

    id: int
    channel: Channel
    event: Event
    status: str
    attempts: int
    next_at: datetime
    last_error: str
    delivered_at: datetime | None


def channels(connection: Connection) -> list[Channel]:
    rows = connection.execute(
        text("SELECT name, kind, address_ref, signing_ref, active FROM notification_channels ORDER BY name")
    )
    return [Channel(**row._mapping) for row in rows]


def channel_named(connection: Connection, name: str) -> Channel:
    """Raises AssayError for one that there is not."""
    known = {each.name: each for each in channels(connection)}
    if name not in known:
        hint = "add one: assay notifications add --help" if not known else ""
        raise AssayError((hint and f"there is no channel yet; {hint}") or unknown_name("channel", name, list(known)))
    return known[name]


def rules(connection: Connection) -> list[Rule]:
    rows = connection.execute(
        text("SELECT channel, event, environment FROM notification_rules ORDER BY channel, event, environment")
    )
    return [Rule(*row) for row in rows]


def put_channel(connection: Connection, channel: Channel, wanted: list[Rule], actor: str) -> None:
    """Add a channel, or change it; its rules are afterwards those given."""
    connection.execute(
        text("""
            INSERT INTO notification_channels (name, kind, address_ref, signing_ref, active, actor)
            VALUES (:name, :kind, :address_ref, CAST(:signing_ref AS text), :active, :actor)
            ON CONFLICT (name) DO UPDATE SET kind = excluded.kind, address_ref = excluded.address_ref,
                signing_ref = excluded.signing_ref, active = excluded.active, actor = excluded.actor,
                recorded_at = now()
        """),
        {
            "name": channel.name,
            "kind": channel.kind,
            "address_ref": channel.address_ref,
            "signing_ref": channel.signing_ref,
            "active": channel.active,
            "actor": actor,
        },
    )
    connection.execute(text("DELETE FROM notification_rules WHERE channel = :name"), {"name": channel.name})
    for each in wanted:
        connection.execute(
            text("""
                INSERT INTO notification_rules (channel, event, environment, actor)
                VALUES (:channel, :event, CAST(:environment AS text), :actor) ON CONFLICT DO NOTHING
            """),
            {"channel": each.channel, "event": each.event, "environment": each.environment, "actor": actor},
        )


def stop_channel(connection: Connection, name: str, actor: str) -> None:
    """Send nothing there any more; what waited stays and goes when the channel is added again."""
    connection.execute(
        text("UPDATE notification_channels SET active = false, actor = :actor, recorded_at = now() WHERE name = :name"),
        {"name": name, "actor": actor},
    )


_DELIVERY = """
    d.id, d.status, d.attempts, d.next_at, d.last_error, d.delivered_at, c.name AS channel, c.kind, c.address_ref,
    c.signing_ref, c.active, o.key, o.event, o.target, o.feature, o.environment, o.why, o.facts, o.sample_data,
    o.actor, o.recorded_at
"""
_JOINED = "JOIN outbox o ON o.id = d.event_id JOIN notification_channels c ON c.name = d.channel"


def deliveries(connection: Connection, *, status: str | None = None, limit: int = 50) -> list[Delivery]:
    """The latest first."""
    rows = connection.execute(
        text(f"""
            SELECT {_DELIVERY} FROM notification_deliveries d {_JOINED}
            WHERE CAST(:status AS text) IS NULL OR d.status = :status ORDER BY d.id DESC LIMIT :limit
        """),
        {"status": status, "limit": limit},
    )
    return [_delivery(row) for row in rows]


def counts(connection: Connection) -> dict[tuple[str, str], int]:
    """Deliveries by channel and status."""
    rows = connection.execute(text("SELECT channel, status, count(*) FROM notification_deliveries GROUP BY 1, 2"))
    return {(channel, status): count for channel, status, count in rows}


def claim(connection: Connection, actor: str, without: list[str]) -> Delivery | None:
    """Take the delivery that has been due longest, not for the channels `without`; None when there is none.

    Its attempt is counted. Others leave it alone until the claim has run out.
    """
    taken = connection.execute(
        text("""
            UPDATE notification_deliveries SET attempts = attempts + 1, actor = :actor,
                next_at = now() + make_interval(secs => :claim)
            WHERE id = (
                SELECT d.id FROM notification_deliveries d JOIN notification_channels c ON c.name = d.channel
                WHERE d.status = 'waiting' AND d.next_at <= now() AND d.attempts < :most AND c.active
                    AND NOT d.channel = ANY(:without)
                ORDER BY d.event_id, d.id LIMIT 1 FOR UPDATE OF d SKIP LOCKED)
            RETURNING id
        """),
        {"claim": CLAIM_S, "most": MOST_ATTEMPTS, "without": without, "actor": actor},
    ).scalar_one_or_none()
    if taken is None:
        return None
    row = connection.execute(
        text(f"SELECT {_DELIVERY} FROM notification_deliveries d {_JOINED} WHERE d.id = :id"), {"id": taken}
    ).one()
    return _delivery(row)


def settle(connection: Connection, claimed: Delivery, *, error: str, wait_s: float) -> None:
    """What became of an attempt: delivered where there is no error, else again after a while, or dead.

    One that somebody else has claimed since stays theirs, unless it arrived.
    """
    connection.execute(
        text("""
            UPDATE notification_deliveries SET last_error = :error,
                status = CASE WHEN :error = '' THEN 'delivered' WHEN attempts >= :most THEN 'dead' ELSE 'waiting' END,
                delivered_at = CASE WHEN :error = '' THEN now() END,
                next_at = CASE WHEN :error = '' THEN next_at ELSE now() + make_interval(secs => :wait) END
            WHERE id = :id AND status <> 'delivered' AND (attempts = :attempt OR :error = '')
        """),
        {
            "id": claimed.id,
            "attempt": claimed.attempts,
            "error": error,
            "wait": wait_s,
            "most": MOST_ATTEMPTS,
        },
    )


def bury(connection: Connection) -> int:
    """Deliveries whose last attempt was claimed and never settled are dead. Gives how many."""
    return connection.execute(
        text("""
            UPDATE notification_deliveries SET status = 'dead', last_error = 'the last attempt did not end'
            WHERE status = 'waiting' AND attempts >= :most AND next_at <= now()
        """),
        {"most": MOST_ATTEMPTS},
    ).rowcount


def retry(connection: Connection, channel: str | None = None) -> int:
    """Have dead deliveries tried again from the first attempt on. Gives how many."""
    return connection.execute(
        text("""
            UPDATE notification_deliveries SET status = 'waiting', attempts = 0, next_at = now()
            WHERE status = 'dead' AND (CAST(:channel AS text) IS NULL OR channel = :channel)
        """),
        {"channel": channel},
    ).rowcount


def _delivery(row: Row[Any]) -> Delivery:
    return Delivery(
        id=row.id,
        channel=Channel(
            name=row.channel,
            kind=row.kind,
            address_ref=row.address_ref,
            signing_ref=row.signing_ref,
            active=row.active,
        ),
        event=Event(
            key=row.key,
            name=row.event,
            target=row.target,
            feature=row.feature,
            environment=row.environment,
            why=row.why,
            facts=row.facts,
            sample_data=row.sample_data,
            actor=row.actor,
            at=row.recorded_at,
        ),
        status=row.status,
        attempts=row.attempts,
        next_at=row.next_at,
        last_error=row.last_error,
        delivered_at=row.delivered_at,
    )
