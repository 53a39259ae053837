"""The tables of notifications: channels, which events go to which, what happened, and what became of each delivery.

An event is written by triggers, in the transaction of what it tells of; so are its deliveries, by the rules of that
moment. So nothing is told that was not committed, and nothing committed is left untold.
"""

from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from tasks.store.columns import Base, actor, big_id, document, moment, name_text, one_of, recorded_at, small

_REFERENCE = r"~ '^(env:[A-Za-z_][A-Za-z0-9_]*|file:/.+)$'"


class NotificationChannelRow(Base):
    """Somewhere to send to. Its address is a secret and stands elsewhere: in a variable or a file."""

    __tablename__ = "notification_channels"
    __table_args__ = (
        one_of("kind", "apprise", "webhook"),
        CheckConstraint(f"address_ref {_REFERENCE}", name="address_ref"),
        CheckConstraint(f"signing_ref {_REFERENCE}", name="signing_ref"),
    )
    name: Mapped[name_text] = mapped_column(primary_key=True)
    kind: Mapped[name_text]
    address_ref: Mapped[name_text]
    signing_ref: Mapped[name_text | None]
    """Of a webhook: where the secret is that signs it."""
    active: Mapped[bool] = mapped_column(server_default="true")
    actor: Mapped[actor]
    recorded_at: Mapped[recorded_at]


class NotificationRuleRow(Base):
    """Which events go to a channel."""

    __tablename__ = "notification_rules"
    __table_args__ = (UniqueConstraint("channel", "event", "environment", postgresql_nulls_not_distinct=True),)
    id: Mapped[big_id]
    channel: Mapped[name_text] = mapped_column(ForeignKey("notification_channels.name"))
    event: Mapped[name_text]
    """A name, all of a kind (deployment.*) or all (*)."""
    environment: Mapped[name_text | None]
    """Null: every one but the drill's."""
    actor: Mapped[actor]
    recorded_at: Mapped[recorded_at]


class OutboxRow(Base):
    """Something that happened, as it is told."""

    __tablename__ = "outbox"
    id: Mapped[big_id]
    key: Mapped[UUID] = mapped_column(unique=True, server_default=text("gen_random_uuid()"))
    event: Mapped[name_text]
    target: Mapped[name_text]
    feature: Mapped[name_text | None]
    environment: Mapped[name_text | None]
    why: Mapped[str]
    facts: Mapped[document]
    sample_data: Mapped[bool]
    actor: Mapped[actor]
    recorded_at: Mapped[recorded_at]


class NotificationDeliveryRow(Base):
    """One event on its way to one channel."""

    __tablename__ = "notification_deliveries"
    __table_args__ = (
        one_of("status", "waiting", "delivered", "dead"),
        UniqueConstraint("event_id", "channel"),
        Index("ix_notification_deliveries_waiting", "next_at", postgresql_where=text("status = 'waiting'")),
    )
    id: Mapped[big_id]
    event_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("outbox.id"))
    channel: Mapped[name_text] = mapped_column(ForeignKey("notification_channels.name"))
    status: Mapped[name_text] = mapped_column(server_default="waiting")
    attempts: Mapped[small] = mapped_column(server_default="0")
    next_at: Mapped[recorded_at]
    """Not before; while an attempt is under way, when it counts as lost."""
    last_error: Mapped[str] = mapped_column(server_default="")
    """Never an address, nor what the other side answered."""
    delivered_at: Mapped[moment | None]
    actor: Mapped[actor]
    recorded_at: Mapped[recorded_at]
