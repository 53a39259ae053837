"""nightly on a real Prefect server: each date once, missed dates after a gap, parts that fail, wrong values."""

import datetime
from datetime import UTC, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from tasks import tidying
from tasks.store.database import transaction
from tasks.store.logical_dates import Claim, claimed, dates_of, finish
from tests.flows.colours import write_suite

if TYPE_CHECKING:  # where a server is is read when Prefect is imported, so not before there is one
    from prefect import State

pytestmark = pytest.mark.usefixtures("store", "prefect_server")


def yesterday() -> datetime.date:
    return datetime.datetime.now(UTC).date() - timedelta(days=1)


async def nightly(**given: Any) -> "State[Any]":
    """The state in which a run of the flow ends."""
    from flows.nightly import nightly as flow

    state: State[Any] = await flow(**given, return_state=True)
    return state


def done_before(*days: datetime.date) -> None:
    """What was done before the test begins."""
    for day in days:
        with claimed("nightly", day, flow_run_id=None, actor="test") as claim, transaction() as connection:
            assert isinstance(claim, Claim)
            finish(connection, claim, done=True)


def dates() -> dict[datetime.date, str]:
    with transaction() as connection:
        return {each.day: each.status for each in dates_of(connection, "nightly")}


async def test_a_date_is_done_once_and_a_duplicate_says_so() -> None:
    first = await nightly()
    assert (first.is_completed(), first.message) == (True, f"{yesterday()} is done.")
    again = await nightly()
    assert again.is_completed()
    assert again.message is not None
    assert f"Nothing is due: {yesterday()} was done by flow run {first.state_details.flow_run_id}" in again.message
    named = await nightly(date=yesterday())
    assert named.message is not None
    assert named.message.endswith("nothing was done again.")
    assert dates() == {yesterday(): "done"}


@pytest.mark.parametrize(("policy", "missed"), [("latest", 1), ("all", 4), ("none", 1)])
async def test_after_a_gap_the_policy_decides_what_is_done(policy: str, missed: int) -> None:
    last = yesterday() - timedelta(days=4)
    done_before(last)
    state = await nightly(catch_up=policy)
    expected = [yesterday() - timedelta(days=n) for n in reversed(range(missed))]
    assert state.message == "; ".join(f"{day} is done" for day in expected) + "."
    assert dates() == {last: "done", **dict.fromkeys(expected, "done")}
    assert "Nothing is due" in str((await nightly(catch_up=policy)).message)


async def test_a_part_that_fails_stops_no_other_and_the_date_is_done_by_the_next_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from evaluations.errors import InfrastructureError

    def fail() -> str:
        raise InfrastructureError("the disk is full")

    monkeypatch.setattr(tidying, "release_dead_leases", fail)
    state = await nightly()
    assert state.is_failed()
    assert state.message is not None
    assert state.message.startswith(f"{yesterday()}: housekeeping failed: ")
    assert "the disk is full" in state.message
    assert "run-analysis" not in state.message
    assert dates() == {yesterday(): "failed"}
    monkeypatch.undo()
    assert (await nightly()).message == f"{yesterday()} is done."


async def test_the_sweep_of_the_night_does_what_no_event_asked_for(tmp_path: Path) -> None:
    """Without deployments there are no triggers: the runs wait until the night."""
    from flows.suite_run import suite_run
    from tasks.store.comparisons import comparison_of, waiting_runs

    suite = write_suite(tmp_path / "colours", {"c-1": "red", "c-2": "red", "c-3": "red"})
    await suite_run(suite=str(suite))
    write_suite(tmp_path / "colours", {"c-1": "red", "c-2": "red", "c-3": "blue"})
    await suite_run(suite=str(suite))
    with transaction() as connection:
        [first, second] = waiting_runs(connection)
    assert (await nightly()).is_completed()
    with transaction() as connection:
        assert waiting_runs(connection) == []
        changes = comparison_of(connection, second)
        page = connection.execute(text("SELECT report FROM runs WHERE id = :id"), {"id": second}).scalar_one()
    assert changes is not None
    assert (changes.baseline_id, changes.total("newly failing")) == (str(first), 1)
    assert "Since the last run: 1 newly failing." in Path(page).read_text()


async def test_a_date_that_is_not_over_is_refused_in_a_sentence() -> None:
    state = await nightly(date=yesterday() + timedelta(days=2))
    assert state.is_failed()
    assert f"is not over in UTC; the newest date that can be done is {yesterday()}." in str(state.message)
    assert dates() == {}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"timezone": "Europe/Berln"}, "no time zone is named 'Europe/Berln'; did you mean Europe/Berlin?"),
        ({"timezone": "../../etc"}, "no time zone is named '../../etc'"),
        ({"timezone": ""}, "no time zone is named ''; write it like Europe/Berlin."),
        ({"date": "tomorrow"}, "date"),
        ({"catch_up": "some"}, "Input should be 'latest', 'all' or 'none'"),
    ],
)
def test_a_wrong_value_is_refused_before_anything_begins(given: dict[str, Any], told: str) -> None:
    from prefect.exceptions import ParameterTypeError

    from flows.nightly import nightly as flow

    with pytest.raises(ParameterTypeError) as refused:
        flow.validate_parameters({"date": None, "timezone": "UTC", "catch_up": "latest", **given})
    assert told in str(refused.value)


async def test_a_run_that_starts_days_late_leaves_a_missed_date_out_when_told_so() -> None:
    from tasks.scheduling import due

    late = datetime.datetime.now(UTC) - timedelta(days=3)
    missed = yesterday() - timedelta(days=3)
    assert due("nightly", None, "UTC", "latest", late).days == (yesterday(),)
    left_out = due("nightly", None, "UTC", "none", late)
    assert left_out.days == ()
    assert left_out.told == f"{missed} was missed and stays so, as `catch_up: none` says. Do it by `date: {missed}`."
