"""Flag documents that were handed over: to which channel, or why not."""

from sqlalchemy import Connection, text


def save_delivery(
    connection: Connection,
    environment: str,
    channel: str,
    document_hash: str,
    *,
    delivered: bool,
    detail: str,
    actor: str,
) -> None:
    """Note that a flag document was handed over, or why not; the same thing twice in a row is one row."""
    connection.execute(
        text("""
            INSERT INTO flag_deliveries (environment, channel, document_hash, delivered, detail, actor)
            SELECT CAST(:environment AS text), CAST(:channel AS text), CAST(:hash AS text), :delivered,
                CAST(:detail AS text), CAST(:actor AS text)
            WHERE NOT EXISTS (
                SELECT FROM (SELECT * FROM flag_deliveries
                    WHERE environment = CAST(:environment AS text) AND channel = CAST(:channel AS text)
                    ORDER BY id DESC LIMIT 1) AS last
                WHERE (last.document_hash, last.delivered, last.detail)
                    = (CAST(:hash AS text), CAST(:delivered AS boolean), CAST(:detail AS text)))
        """),
        {
            "environment": environment,
            "channel": channel,
            "hash": document_hash,
            "delivered": delivered,
            "detail": detail,
            "actor": actor,
        },
    )


def last_delivered(connection: Connection, environment: str) -> dict[str, str]:
    """The hash of the document that each channel has, by channel; not of one whose last delivery failed.

    That one may have been taken all the same, its answer lost: what the channel has is then not known.
    """
    rows = connection.execute(
        text("""
            SELECT DISTINCT ON (channel) channel, document_hash, delivered FROM flag_deliveries
            WHERE environment = :environment ORDER BY channel, id DESC
        """),
        {"environment": environment},
    )
    return {row.channel: row.document_hash for row in rows if row.delivered}


def was_delivered(connection: Connection, environment: str, channel: str, document_hash: str) -> bool:
    """Was this very document handed to the channel at any time?"""
    found = connection.execute(
        text("""
            SELECT EXISTS (SELECT FROM flag_deliveries WHERE environment = :environment AND channel = :channel
                AND document_hash = :hash AND delivered)
        """),
        {"environment": environment, "channel": channel, "hash": document_hash},
    ).scalar_one()
    return bool(found)
