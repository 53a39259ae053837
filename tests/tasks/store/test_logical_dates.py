"""Logical dates: claimed by one at a time, done once, free again when their owner dies."""

import subprocess
import sys
from contextlib import ExitStack
from datetime import date
from uuid import UUID

import pytest

from tasks.store.database import transaction
from tasks.store.logical_dates import Claim, Taken, claimed, date_of, dates_of, finish, last_done, unfinished

DAY = date(2026, 6, 27)


def do(day: date = DAY, *, done: bool = True, flow: str = "nightly") -> Claim | Taken:
    with claimed(flow, day, flow_run_id=UUID(int=1), actor="test") as claim:
        if isinstance(claim, Claim):
            with transaction() as connection:
                finish(connection, claim, done=done)
        return claim


def status(day: date = DAY) -> str:
    with transaction() as connection:
        found = date_of(connection, "nightly", day)
    assert found is not None
    return found.status


def test_a_date_that_is_done_is_not_done_again_and_says_who_did_it(store: str) -> None:
    assert do() == Claim("nightly", DAY, 1)
    again = do()
    assert isinstance(again, Taken)
    assert (again.by.status, again.by.flow_run_id, again.by.actor) == ("done", UUID(int=1), "test")
    assert do(flow="another") == Claim("another", DAY, 1)
    assert do(date(2026, 6, 26)) == Claim("nightly", date(2026, 6, 26), 1)


def test_a_date_that_failed_can_be_claimed_again(store: str) -> None:
    do(done=False)
    assert status() == "failed"
    assert do() == Claim("nightly", DAY, 2)
    assert status() == "done"


def test_while_one_is_at_work_nobody_else_gets_the_date(store: str) -> None:
    with ExitStack() as held:
        first = held.enter_context(claimed("nightly", DAY, flow_run_id=UUID(int=1), actor="a"))
        assert isinstance(first, Claim)
        second = held.enter_context(claimed("nightly", DAY, flow_run_id=UUID(int=2), actor="b"))
        assert isinstance(second, Taken)
        assert (second.by.status, second.by.flow_run_id, second.by.actor) == ("running", UUID(int=1), "a")
        assert isinstance(held.enter_context(claimed("nightly", date(2026, 6, 28), flow_run_id=None, actor="b")), Claim)
    assert isinstance(do(), Claim), "who leaves without ending it leaves it to be done"


def test_a_claim_dies_with_its_process(store: str) -> None:
    script = (
        "import os, sys, datetime\n"
        "from tasks.store.logical_dates import claimed\n"
        f"with claimed('nightly', datetime.date({DAY.year}, {DAY.month}, {DAY.day}), flow_run_id=None, actor='x'):\n"
        "    sys.stdout.write('claimed'); sys.stdout.flush(); sys.stdin.read()\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.read(7) == "claimed"
    assert isinstance(do(), Taken)
    process.kill()
    process.wait()
    process.communicate()
    for _ in range(100):  # the server notices a closed connection within moments
        claim = do()
        if isinstance(claim, Claim):
            break
    assert claim == Claim("nightly", DAY, 2)
    assert status() == "done"


def test_who_lost_a_date_ends_it_no_more(store: str) -> None:
    with claimed("nightly", DAY, flow_run_id=None, actor="a") as old:
        assert isinstance(old, Claim)
    with claimed("nightly", DAY, flow_run_id=None, actor="b") as new, transaction() as connection:
        assert isinstance(new, Claim)
        finish(connection, old, done=True)
        assert [each.status for each in dates_of(connection, "nightly")] == ["running"]
        finish(connection, new, done=False)
        finish(connection, new, done=True)
        assert [each.status for each in dates_of(connection, "nightly")] == ["failed"]


@pytest.mark.parametrize("flow", ["nightly", "never claimed"])
def test_what_is_done_and_what_is_not_is_known_by_flow(store: str, flow: str) -> None:
    for number in (3, 5, 4):
        do(date(2026, 6, number), done=number != 4)
    with transaction() as connection:
        if flow == "nightly":
            assert last_done(connection, flow) == date(2026, 6, 5)
            assert unfinished(connection, flow) == [date(2026, 6, 4)]
            assert [each.day.day for each in dates_of(connection, flow)] == [3, 4, 5]
        else:
            assert (last_done(connection, flow), unfinished(connection, flow)) == (None, [])
