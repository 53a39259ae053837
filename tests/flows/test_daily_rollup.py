"""daily_rollup on a real Prefect server, alone and as a part of the night."""

from datetime import date
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from tasks.store.database import transaction
from tasks.store.rollups import dirty_days
from tests.landed import MORNING, a_request, land

if TYPE_CHECKING:  # where a server is is read when Prefect is imported, so not before there is one
    from prefect import State

pytestmark = pytest.mark.usefixtures("store", "prefect_server")


async def daily_rollup(**given: Any) -> "State[Any]":
    from flows.daily_rollup import daily_rollup as flow

    state: State[Any] = await flow(**given, return_state=True)
    return state


def landed() -> None:
    with transaction() as connection:
        land(connection, [a_request()])


def counted() -> int:
    with transaction() as connection:
        return int(connection.execute(text("SELECT coalesce(sum(requests), 0) FROM usage_daily")).scalar_one())


async def test_a_duplicate_run_changes_nothing() -> None:
    landed()
    first = await daily_rollup()
    assert first.message == "1 day with 1 request rolled up: 1 new."
    named = await daily_rollup(first=MORNING.date())
    assert named.message == "1 day with 1 request rolled up: 1 unchanged."
    assert (await daily_rollup()).message == "No day had changed."
    assert counted() == 1


async def test_the_night_rolls_up_what_changed() -> None:
    from flows.nightly import nightly

    landed()
    state: State[Any] = await nightly(return_state=True)
    assert state.is_completed()
    assert counted() == 1
    with transaction() as connection:
        assert dirty_days(connection) == []


async def test_a_range_that_is_none_fails_in_a_sentence() -> None:
    state = await daily_rollup(first=date(2026, 5, 4), last=date(2026, 5, 1))
    assert state.is_failed()
    assert "2026-05-04 comes after 2026-05-01" in str(state.message)
