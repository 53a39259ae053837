"""Crashes: a worker killed at any moment loses no committed answer and repeats no committed call."""

import asyncio
import random
import threading
import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from evaluations.specs import SuiteSpec
from tasks.store.answers import AbandonedCall, abandoned_calls
from tasks.store.database import transaction
from tasks.store.runs import progress_of
from tasks.working import work_on
from tests.builders import a_case, a_run, a_suite
from tests.fakes.vendor import Vendor
from tests.fakes.worker import Worker


@pytest.fixture
def vendor(request: pytest.FixtureRequest) -> Iterator[Vendor]:
    made = Vendor(**getattr(request, "param", {"latency_ms": 30, "right": 0.7}))
    yield made
    made.close()


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_KEY", "not-a-secret")


def suite_of(vendor: Vendor, concurrency: int = 20, repeats: int = 1, **given: Any) -> SuiteSpec:
    return a_suite(
        models=[
            {
                "name": "vendor",
                "model": "openai/tested",
                "api_base": vendor.url,
                "api_key_env": "FAKE_KEY",
                "transport": "direct",
            }
        ],
        concurrency=concurrency,
        repeats=repeats,
        **given,
    )


def started_run(vendor: Vendor, cases: int, concurrency: int = 20, shard: int = 60) -> UUID:
    made = [
        a_case(f"c-{n}", expected="right", inputs={"question": f"[cell:c-{n}] [answer:right]"}) for n in range(cases)
    ]
    return a_run(suite=suite_of(vendor, concurrency), shard=shard, made=made)


def committed(run_id: UUID) -> dict[int, tuple[str, int]]:
    """Every committed answer: position -> (text, id)."""
    with transaction() as connection:
        rows = connection.execute(
            text("SELECT position, text, id FROM answers WHERE run_id = :r AND NOT superseded"), {"r": run_id}
        )
        return {position: (said, number) for position, said, number in rows}


def abandoned(run_id: UUID) -> list[AbandonedCall]:
    """All of them: two hundred kills leave more than a page wants to list."""
    with transaction() as connection:
        return abandoned_calls(connection, run_id, limit=100_000)


def open_intents(run_id: UUID) -> set[str]:
    return {call.case_id for call in abandoned(run_id) if call.resolution is None}


def callers(run_id: UUID) -> set[int]:
    """The workers that called for a run."""
    with transaction() as connection:
        return set(
            connection.execute(text("SELECT DISTINCT worker_id FROM calls WHERE run_id = :r"), {"r": run_id}).scalars()
        )


def kill_while_working(run_id: UUID, after_s: float) -> bool:
    """Start a worker, let it work for a moment, kill it; False when it had nothing left to do."""
    worker = Worker(run_id)
    if not worker.joins():
        assert worker.ended() == 0
        return False
    time.sleep(after_s)
    worker.kill()
    return True


def kill_with_open_calls(run_id: UUID) -> set[str]:
    """Kill workers until one leaves calls open, however slow the machine is; gives their cells."""
    moment = 0.05
    while not (left_open := open_intents(run_id)):
        assert kill_while_working(run_id, moment), "the run was done before a call was open"
        _settled(run_id)
        moment *= 1.5
    return left_open


def assert_killing_loses_nothing(run_id: UUID, vendor: Vendor, kills: int, seed: int, longest_s: float) -> None:
    """Kill workers at random moments until the run is done; after each kill the ledger agrees with the vendor."""
    moments = random.Random(seed)
    possibly_repeated: set[str] = set()
    before: dict[int, tuple[str, int]] = {}
    made = 0
    while made < kills and kill_while_working(run_id, moments.uniform(0, longest_s)):
        made += 1
        now = _settled(run_id)
        assert before.items() <= now.items(), "a committed answer was lost or replaced"
        left_open = open_intents(run_id)
        # A worker that died before it claimed a shard leaves the intents of the one before it unresolved.
        assert len(left_open - possibly_repeated) <= 20, "more intents than slots"
        possibly_repeated |= left_open
        before = now
    assert made == kills, f"the run was done after {made} kills; make it longer"
    asyncio.run(work_on(run_id))
    after = committed(run_id)
    assert before.items() <= after.items()
    with transaction() as connection:
        progress = progress_of(connection, run_id)
    assert progress.done == progress.total
    assert all(call.resolution == "called again" for call in abandoned(run_id))
    twice = {cell for cell, times in vendor.received().items() if times > 1}
    assert twice <= possibly_repeated, "a call was repeated that was not open at a kill"


def _settled(run_id: UUID) -> dict[int, tuple[str, int]]:
    """What is committed once the killed worker's last statement has ended."""
    while True:
        with transaction() as connection:
            alive = connection.execute(
                text(
                    "SELECT count(*) FROM pg_stat_activity "
                    "WHERE application_name = 'assay ledger' AND datname = current_database()"
                )
            ).scalar_one()
        if alive == 0:
            return committed(run_id)
        time.sleep(0.005)


def verdicts_of(run_id: UUID) -> dict[int, str]:
    with transaction() as connection:
        rows = connection.execute(text("SELECT position, verdict FROM verdicts WHERE run_id = :r"), {"r": run_id})
        return dict(rows.tuples().all())


def test_twenty_kills_lose_nothing_and_repeat_only_what_was_open(store: str, vendor: Vendor) -> None:
    run_id = started_run(vendor, cases=1500)
    assert_killing_loses_nothing(run_id, vendor, kills=20, seed=20, longest_s=0.12)
    undisturbed = started_run(vendor, cases=1500)
    asyncio.run(work_on(undisturbed))
    assert verdicts_of(run_id) == verdicts_of(undisturbed)
    assert {p: said for p, (said, _) in committed(run_id).items()} == {
        p: said for p, (said, _) in committed(undisturbed).items()
    }


@pytest.mark.slow
def test_two_hundred_kills_lose_nothing_and_repeat_only_what_was_open(store: str, vendor: Vendor) -> None:
    run_id = started_run(vendor, cases=16_000)
    assert_killing_loses_nothing(run_id, vendor, kills=200, seed=200, longest_s=0.12)


@pytest.mark.slow
@pytest.mark.parametrize("vendor", [{"latency_ms": 50}], indirect=True)
def test_few_answered_calls_are_made_again_after_a_kill(store: str, vendor: Vendor) -> None:
    """Half of 1,000 cases at 100 at once, then SIGKILL: what the vendor answered and is asked again.

    Only a machine that does nothing else can say this: what waits to be read and committed grows with every
    process beside us.
    """
    repeated = []
    for n in range(5):
        run_id = a_run(
            suite=suite_of(vendor, concurrency=100),
            shard=400,
            made=[
                a_case(f"k{n}-{c}", expected="right", inputs={"question": f"[cell:k{n}-{c}] [answer:right]"})
                for c in range(1000)
            ],
        )
        worker = Worker(run_id)
        while len(committed(run_id)) < 500:
            time.sleep(0.002)
        worker.kill()
        answered_before = vendor.answered()
        _settled(run_id)
        asyncio.run(work_on(run_id))
        again = vendor.received()
        repeated.append(
            sum(1 for cell, times in again.items() if cell.startswith(f"k{n}-") and times > 1 and answered_before[cell])
        )
        assert progress_is_complete(run_id)
    assert sorted(repeated)[len(repeated) // 2] <= 5, f"answered and made again: {repeated}"


def progress_is_complete(run_id: UUID) -> bool:
    with transaction() as connection:
        progress = progress_of(connection, run_id)
    return progress.done == progress.total


def test_two_workers_at_once_share_a_run_and_repeat_nothing(store: str, vendor: Vendor) -> None:
    run_id = started_run(vendor, cases=600, shard=30)
    possibly_repeated = kill_with_open_calls(run_id)
    killed = callers(run_id)
    both = [Worker(run_id, held=True), Worker(run_id, held=True)]
    assert all(worker.joins() for worker in both)
    for worker in both:
        worker.go_on()
    assert [worker.ended() for worker in both] == [0, 0]
    assert progress_is_complete(run_id)
    twice = {cell for cell, times in vendor.received().items() if times > 1}
    assert twice <= possibly_repeated
    assert len(callers(run_id) - killed) == 2


def test_skipped_calls_in_flight_are_recorded_as_errors_and_not_made_again(store: str, vendor: Vendor) -> None:
    run_id = started_run(vendor, cases=200)
    left_open = kill_with_open_calls(run_id)
    assert Worker(run_id, "skip").ended() == 0
    assert all(times == 1 for times in vendor.received().values())
    with transaction() as connection:
        rows = connection.execute(
            text(
                "SELECT c.case_id FROM answers a JOIN runs r ON r.id = a.run_id JOIN cases c "
                "ON c.dataset_id = r.dataset_id AND c.position = a.position "
                "WHERE a.run_id = :r AND a.error_type = 'abandoned'"
            ),
            {"r": run_id},
        )
        assert {case_id for (case_id,) in rows} == left_open


def test_the_reservations_of_a_killed_worker_still_count_against_the_cap(store: str, vendor: Vendor) -> None:
    run_id = started_run(vendor, cases=200)
    with transaction() as connection:
        connection.execute(text("UPDATE run_budgets SET cap = 1000, reserved = 0 WHERE run_id = :r"), {"r": run_id})
        connection.execute(
            text(
                "INSERT INTO model_prices (model, token_class, usd_per_token, effective_from, source, actor) VALUES "
                "('openai/tested', 'input', 0.000001, '2020-01-01', 'test', 'test'), "
                "('openai/tested', 'output', 0.000002, '2020-01-01', 'test', 'test')"
            )
        )
    kill_with_open_calls(run_id)
    possible = sum((call.reserved or Decimal(0)) for call in abandoned(run_id))
    asyncio.run(work_on(run_id))
    with transaction() as connection:
        at_risk = progress_of(connection, run_id).at_risk
        reserved = connection.execute(
            text("SELECT reserved FROM run_budgets WHERE run_id = :r"), {"r": run_id}
        ).scalar_one()
    assert at_risk == possible > 0
    assert reserved == 0


def test_a_stop_lets_open_calls_finish_and_begins_no_new_ones(store: str, vendor: Vendor) -> None:
    from tasks.stopping import forget, stop_all

    run_id = started_run(vendor, cases=400)

    def stop_in_the_middle() -> None:
        while len(committed(run_id)) < 40:
            time.sleep(0.002)
        stop_all("interrupted")

    stopper = threading.Thread(target=stop_in_the_middle)
    stopper.start()
    try:
        asyncio.run(work_on(run_id))
    finally:
        stopper.join()
        forget()
    done = len(committed(run_id))
    assert 0 < done < 400
    assert open_intents(run_id) == set()
    assert sum(vendor.received().values()) == done
    asyncio.run(work_on(run_id))
    assert progress_is_complete(run_id)
    assert all(times == 1 for times in vendor.received().values())
