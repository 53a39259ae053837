"""Requests with outcomes put into the store, and a window of them measured."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, text

from evaluations.customer import CustomerFacts
from tasks.rollups import roll_up_days
from tasks.store.customer.measuring import customer_facts
from tasks.store.customer.window import Window
from tasks.store.database import transaction
from tasks.store.partitions import ensure_partitions
from tasks.store.rollups import set_timezone, timezone_of
from tests.landed import a_request, mark

MONDAY = datetime(2026, 5, 4, 9, 0, tzinfo=UTC)
OUTCOMES = (
    *("ticket", "resolution", "resolution_s", "handled_by", "escalation_reason", "escalated_at", "reopened"),
    *("sentiment", "follow_up_required", "follow_up_completed"),
)


def at(days: float = 0, *, hours: float = 0) -> datetime:
    return MONDAY + timedelta(days=days, hours=hours)


def who(name: str) -> bytes:
    """A pseudonym of 16 bytes."""
    return name.encode().ljust(16, b"-")


def a_contact(**given: Any) -> dict[str, Any]:
    """A request with an outcome: a chat of a subject of its own, resolved by the AI; only what matters is given."""
    made = {
        **dict.fromkeys((*OUTCOMES, "subject")),
        "at": MONDAY,
        "resolution": "resolved",
        "resolution_s": 60.0,
        **given,
    }
    request = a_request(**made)
    return {**request, "subject": who(str(request["external_id"])) if "subject" not in given else given["subject"]}


def land_contacts(connection: Connection, contacts: list[dict[str, Any]]) -> None:
    ensure_partitions(connection, "requests", {each["at"].astimezone(UTC).date() for each in contacts})
    names = list(contacts[0])
    connection.execute(
        text(f"INSERT INTO requests ({', '.join(names)}) VALUES ({', '.join(f':{name}' for name in names)})"), contacts
    )
    zone = ZoneInfo(timezone_of(connection))
    mark(connection, *(each["at"].astimezone(zone).date() for each in contacts))


def measured(
    contacts: list[dict[str, Any]],
    *,
    first: date = date(2026, 5, 4),
    last: date = date(2026, 5, 10),
    seen_to: datetime = MONDAY + timedelta(days=40),
    before: bool = False,
    **given: Any,
) -> CustomerFacts:
    """The window measured, after the contacts are rolled up; by default everybody's recontact window is over."""
    window: Mapping[str, Any] = {
        "timezone": "UTC",
        "features": ("chatbot",),
        "category": None,
        "recontact_days": 7,
        **given,
    }
    with transaction() as connection:
        if contacts:
            land_contacts(connection, contacts)
        set_timezone(connection, str(window["timezone"]), "test")
    roll_up_days(None)
    with transaction() as connection:
        return customer_facts(
            connection, Window(first=first, last=last, seen_to=seen_to, **window), held_against_before=before
        )
