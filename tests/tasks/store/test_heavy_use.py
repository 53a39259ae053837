"""The heaviest persons of a window against the requests themselves, and how far the facts can be off."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from hashlib import blake2b

import numpy as np
import pytest

from evaluations.heavy_use import HeavyUse
from tasks.rollups import roll_up_days
from tasks.store import rollups
from tasks.store.database import transaction
from tasks.store.heavy_use import heavy_use
from tasks.store.partitions import drop_before
from tests.landed import a_request, land

pytestmark = pytest.mark.usefixtures("store")
DAY = date(2026, 5, 4)


def pseudonym(person: int) -> bytes:
    return blake2b(str(person).encode(), digest_size=16).digest()


def used(*persons_of_days: list[int]) -> None:
    """Each list names who asked on one day, as often as they asked."""
    with transaction() as connection:
        for n, persons in enumerate(persons_of_days):
            at = datetime(DAY.year, DAY.month, DAY.day, 9, tzinfo=UTC) + timedelta(days=n)
            land(connection, [a_request(at=at, subject=pseudonym(each), cost=Decimal(each)) for each in persons])
    roll_up_days(None)


def found(days: int, limit: int) -> HeavyUse:
    with transaction() as connection:
        return heavy_use(connection, DAY, DAY + timedelta(days=days - 1), limit)


def test_with_few_persons_the_list_is_exact_and_certain() -> None:
    used([1, 1, 1, 2, 3], [2, 2, 2, 3])
    told = found(3, limit=2)
    assert [(each.pseudonym, each.requests, each.at_most, each.cost, each.days) for each in told.heaviest] == [
        (pseudonym(2).hex(), 4, 4, Decimal(8), 2),
        (pseudonym(1).hex(), 3, 3, Decimal(3), 1),
    ]
    assert (told.certain, told.others_at_most, told.days_not_counted) == (True, 2, 0)


def test_persons_who_are_not_kept_lie_within_the_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollups, "HEAVIEST", 6)
    random = np.random.default_rng(4)
    days = [[int(60 * random.random() ** 3) for _ in range(150)] for _ in range(8)]
    used(*days)
    told = found(8, limit=5)
    truth = Counter(pseudonym(each).hex() for day in days for each in day)
    listed = {each.pseudonym: each for each in told.heaviest}
    assert len(listed) == 5
    for name, each in listed.items():
        assert each.requests <= truth[name] <= each.at_most
    assert max(count for name, count in truth.items() if name not in listed) <= told.others_at_most
    assert told.heaviest[0].pseudonym == truth.most_common(1)[0][0]
    # With a single place on the list the first is sure, as nobody else comes near.
    assert found(8, limit=1).certain


def test_who_costs_most_is_kept_though_others_ask_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollups, "HEAVIEST", 1)
    used([1, 1, 1, 2, 2, 50])
    told = found(1, limit=9)
    assert [(each.requests, each.cost) for each in told.heaviest] == [(3, Decimal(3)), (1, Decimal(50))]
    assert told.others_at_most == 2


def test_nobody_who_said_who_asked_is_an_empty_list() -> None:
    with transaction() as connection:
        land(connection, [a_request()])
    roll_up_days(None)
    assert found(1, limit=3) == HeavyUse(first=DAY, last=DAY, heaviest=(), others_at_most=0, days_not_counted=0)


def test_facts_about_persons_go_with_their_requests() -> None:
    used([1, 2])
    with transaction() as connection:
        drop_before(connection, "requests", date(2026, 6, 1), "test")
    assert found(1, limit=3).heaviest == ()
