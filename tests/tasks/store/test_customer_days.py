"""What is said of a ticket on other days reaches the facts of the day on which it began, whatever came first."""

from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest
from sqlalchemy import text

from tasks.rollups import count_customers, roll_up_days
from tasks.store.customer.days import waiting_days
from tasks.store.database import transaction
from tasks.store.partitions import drop_before
from tests.landed import mark
from tests.tasks.store.hashed import tables
from tests.tasks.store.test_customer_metrics import random_contacts
from tests.tasks.store.tickets import MONDAY, a_contact, at, land_contacts, who

pytestmark = pytest.mark.usefixtures("store")


def rolled_up(contacts: list[dict[str, Any]]) -> None:
    with transaction() as connection:
        land_contacts(connection, contacts)
    roll_up_days(None)


def came_back() -> list[tuple[date, int | None]]:
    """Tickets by the day on which they began, with the days after which the customer came back."""
    with transaction() as connection:
        rows = connection.execute(text("SELECT day, back_after FROM customer_outcomes ORDER BY day, back_after"))
        return [(row.day, row.back_after) for row in rows]


def forgotten(subject: bytes) -> None:
    """Remove a person's requests and mark their days, as an erasure does it."""
    with transaction() as connection:
        days = connection.execute(
            text("DELETE FROM requests WHERE subject = :subject RETURNING CAST(at AT TIME ZONE 'UTC' AS date)"),
            {"subject": subject},
        ).scalars()
        mark(connection, *days, cause="erase")
    roll_up_days(None)


def counted_anew() -> str:
    """The tables when the tickets of every day are counted once more."""
    with transaction() as connection:
        connection.execute(text("INSERT INTO customer_dirty (day, actor) SELECT day, 'test' FROM rolled_days"))
    count_customers()
    return tables()


def test_who_comes_back_weeks_later_changes_the_day_of_the_resolution() -> None:
    rolled_up([a_contact(subject=who("a"))])
    assert came_back() == [(MONDAY.date(), None)]
    rolled_up([a_contact(subject=who("a"), at=at(29.5), resolution="pending")])
    assert came_back() == [(MONDAY.date(), 30), (at(29.5).date(), None)]
    rolled_up([a_contact(subject=who("a"), at=at(2), resolution=None, resolution_s=None)])
    assert (MONDAY.date(), 2) in came_back(), "whoever says nothing of an outcome came back all the same"
    forgotten(who("a"))
    assert came_back() == []


def test_an_earlier_request_of_a_ticket_takes_it_to_an_earlier_day() -> None:
    rolled_up([a_contact(ticket="K", subject=None, at=at(20))])
    rolled_up([a_contact(ticket="K", subject=None, at=at(0), resolution=None, resolution_s=None)])
    assert [day for day, _ in came_back()] == [MONDAY.date()]
    rolled_up([a_contact(ticket="K", subject=None, at=at(31))])
    assert [day for day, _ in came_back()] == [MONDAY.date()], "it was followed for thirty days; then nothing had begun"
    rolled_up([a_contact(ticket="K", subject=None, at=at(62))])
    assert [day for day, _ in came_back()] == [MONDAY.date(), at(62).date()], "after thirty days' rest it is another"


def test_who_comes_back_to_what_took_weeks_is_known_on_the_day_it_began() -> None:
    rolled_up([a_contact(ticket="K", subject=who("a"), resolution="pending", resolution_s=None)])
    rolled_up([a_contact(ticket="K", subject=who("a"), at=at(25), resolution_s=None)])
    rolled_up([a_contact(subject=who("a"), at=at(52), resolution=None, resolution_s=None, handled_by="ai")])
    assert came_back()[0] == (MONDAY.date(), 27)


def test_days_that_are_marked_are_all_that_changed() -> None:
    """Random tickets over two weeks, landed in random parts, some persons forgotten: as if counted at the end alone."""
    random = np.random.default_rng(1)
    contacts = random_contacts(random, 90)
    order = random.permutation(90)
    for part in range(0, 90, 30):
        rolled_up([contacts[n] for n in order[part : part + 30]])
        forgotten(who(f"s{random.integers(25)}"))
    before = tables()
    assert counted_anew() == before


def test_tickets_are_counted_again_only_where_something_changed() -> None:
    rolled_up([a_contact(), a_contact(at=at(100))])
    with transaction() as connection:
        mark(connection, at(100).date())
    with transaction() as connection:
        assert waiting_days(connection) == []
    roll_up_days([MONDAY.date()])
    assert count_customers() == 0, "without a mark nothing had changed"


def test_days_whose_requests_retention_took_away_keep_what_became_of_their_tickets() -> None:
    rolled_up([a_contact(at=at(days)) for days in (0, 30)])
    with transaction() as connection:
        drop_before(connection, "requests", date(2026, 6, 1), "test")
        connection.execute(text("INSERT INTO customer_dirty (day, actor) SELECT day, 'test' FROM rolled_days"))
    assert count_customers() == 1, "that of June"
    assert [day for day, _ in came_back()] == [MONDAY.date(), MONDAY.date() + timedelta(days=30)]
