"""The ledger: what is committed stays, who does not own a shard cannot write, and no crowd overspends a cap."""

import asyncio
from decimal import Decimal
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import text

from evaluations.answers import Answer, Usage
from tasks.store.answers import abandoned_calls, answers_between, resolve_abandoned
from tasks.store.database import transaction
from tasks.store.leases import claim, finish, owners, renew
from tasks.store.ledger import (
    LOCK_CLASS,
    BudgetExhausted,
    CellKey,
    Intent,
    Lease,
    LeaseLost,
    Ledger,
    Recorded,
    storable,
)
from tasks.store.runs import progress_of
from tests.builders import a_run, an_answer

CENT = Decimal("0.01")


def claimed(run_id: UUID, ledger: Ledger, seconds: float = 30) -> Lease:
    with transaction() as connection:
        lease = claim(connection, run_id, ledger.worker_id, seconds)
    assert lease is not None
    return lease


def recorded(lease: Lease, key: CellKey, answer: Answer, release: Decimal | None = None, attempt: int = 1) -> Recorded:
    return Recorded(
        key=key,
        lease=lease,
        attempt=attempt,
        answer=answer,
        contaminated=False,
        cached_cost=None,
        prompt_hash=b"p" * 16,
        cache_key=None,
        release=release,
    )


async def gone(worker_id: int) -> None:
    """Wait until the server has noticed that a worker's connection was closed."""
    while True:
        with transaction() as connection:
            question = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = :c AND objid = :w")
            if not connection.execute(question, {"c": LOCK_CLASS, "w": worker_id}).scalar_one():
                return
        await asyncio.sleep(0.01)


async def test_an_answer_is_read_back_as_it_was_recorded(store: str) -> None:
    run_id = a_run()
    answer = an_answer(
        "Ünïcode, and a NUL: \x00 and half a pair: \ud800.",
        usage=Usage(input_tokens=7, cached_tokens=5, cache_write_tokens=3, output_tokens=2, reasoning_tokens=1),
        cost_usd=Decimal("0.000000000001"),
        latency_ms=12.5,
        model_returned="m-1",
        raw={"ugly": "\x00\ud800", "n": 1},
    )
    async with await Ledger.join(store, run_id, "test") as ledger:
        lease = claimed(run_id, ledger)
        key = CellKey(lease.first_position, 0, 0)
        await ledger.open(Intent(key, lease, 1, reserve=CENT))
        await ledger.record(recorded(lease, key, answer, CENT))
    with transaction() as connection:
        [stored] = answers_between(connection, run_id, 0, 99)
    assert stored.answer.text == "Ünïcode, and a NUL: \ufffd and half a pair: ?."
    assert stored.answer.usage == answer.usage
    assert stored.answer.cost_usd == answer.cost_usd
    assert stored.answer.latency_ms == 12.5


@pytest.mark.parametrize(("given", "kept"), [("a\x00b", "a\ufffdb"), ("plain", "plain"), ("é\ud83d", "é?")])
def test_text_that_postgres_cannot_hold_is_made_storable(given: str, kept: str) -> None:
    assert storable(given) == kept


async def test_the_second_answer_to_a_cell_is_refused(store: str) -> None:
    run_id = a_run()
    async with await Ledger.join(store, run_id, "test") as ledger:
        lease = claimed(run_id, ledger)
        key = CellKey(0, 0, 0)
        await ledger.record(recorded(lease, key, an_answer("first")))
        with pytest.raises(LeaseLost):
            await ledger.record(recorded(lease, key, an_answer("second"), attempt=2))
    with transaction() as connection:
        assert [stored.answer.text for stored in answers_between(connection, run_id, 0, 9)] == ["first"]


async def test_an_intent_is_never_there_before_an_answer_that_was_handed_over_before_it(store: str) -> None:
    run_id = a_run(cases=40, shard=40)

    def open_calls() -> int:
        with transaction() as connection:
            return int(
                connection.execute(
                    text("""
                        SELECT count(*) FROM calls c WHERE NOT EXISTS (
                            SELECT FROM answers a WHERE (a.run_id, a.position) = (c.run_id, c.position))
                    """)
                ).scalar_one()
            )

    async with await Ledger.join(store, run_id, "test") as ledger:
        lease = claimed(run_id, ledger)
        slots, seen = 3, []
        first = [ledger.open(Intent(CellKey(n, 0, 0), lease, 1)) for n in range(slots)]
        await asyncio.gather(*first)
        answers = []
        for n in range(40 - slots):
            # Its slot goes on to the next call before the answer is committed.
            answers.append(ledger.record(recorded(lease, CellKey(n, 0, 0), an_answer())))
            await ledger.open(Intent(CellKey(n + slots, 0, 0), lease, 1))
            assert answers[-1].done()
            seen.append(open_calls())
        await asyncio.gather(*answers)
    assert set(seen) == {slots}


async def test_a_stale_owner_can_write_neither_intents_nor_answers(store: str) -> None:
    run_id = a_run(cases=2, shard=2)
    async with await Ledger.join(store, run_id, "old") as old, await Ledger.join(store, run_id, "new") as new:
        stale = claimed(run_id, old, seconds=0.01)
        await old.open(Intent(CellKey(0, 0, 0), stale, 1))
        await asyncio.sleep(0.05)
        fresh = claimed(run_id, new)
        assert fresh.shard == stale.shard
        assert fresh.fence > stale.fence
        with pytest.raises(LeaseLost):
            await old.record(recorded(stale, CellKey(0, 0, 0), an_answer("too late")))
        with pytest.raises(LeaseLost):
            await old.open(Intent(CellKey(1, 0, 0), stale, 1))
        await new.record(recorded(fresh, CellKey(0, 0, 0), an_answer("in time"), attempt=2))
    with transaction() as connection:
        assert [stored.answer.text for stored in answers_between(connection, run_id, 0, 9)] == ["in time"]


async def test_two_workers_never_hold_the_same_shard(store: str) -> None:
    run_id = a_run(cases=40, shard=1)
    async with await Ledger.join(store, run_id, "a") as a, await Ledger.join(store, run_id, "b") as b:
        workers = [a, b] * 20
        leases = await asyncio.gather(*(asyncio.to_thread(claimed, run_id, worker) for worker in workers))
        with transaction() as connection:
            assert claim(connection, run_id, a.worker_id, 30) is None
            assert {owner.actor for owner in owners(connection, run_id)} == {"a", "b"}
    assert sorted(lease.shard for lease in leases) == list(range(40))


async def test_the_shard_of_a_worker_that_died_is_free_at_once(store: str) -> None:
    run_id = a_run(cases=2, shard=2)
    dead = await Ledger.join(store, run_id, "dead")
    lease = claimed(run_id, dead, seconds=3600)
    with psycopg.connect(store, autocommit=True) as connection:  # what the kernel does to a killed process
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'assay ledger' AND datname = current_database()"
        )
    async with await Ledger.join(store, run_id, "next") as heir:
        assert claimed(run_id, heir).shard == lease.shard
    with pytest.raises(Exception, match=r"cannot be reached|closed"):
        await dead.open(Intent(CellKey(0, 0, 0), lease, 1))
    await dead.close()


async def test_signs_of_life_keep_a_lease(store: str) -> None:
    run_id = a_run(cases=2, shard=2)
    async with await Ledger.join(store, run_id, "a") as a, await Ledger.join(store, run_id, "b") as b:
        lease = claimed(run_id, a, seconds=0.2)
        with transaction() as connection:
            renew(connection, run_id, a.worker_id, 60)
        await asyncio.sleep(0.3)
        with transaction() as connection:
            assert claim(connection, run_id, b.worker_id, 30) is None
            finish(connection, run_id, lease, done=False)
            assert claim(connection, run_id, b.worker_id, 30) is not None


async def test_two_hundred_workers_cannot_overspend_a_cap(store: str) -> None:
    """Each reserves a cent and spends it: a cap of 25.5 cents lets exactly 25 calls through, however they race."""
    run_id = a_run(cases=200, shard=5, cap=Decimal("0.255"))
    connections = [await Ledger.join(store, run_id, f"worker {n}") for n in range(20)]
    try:
        leases = {n: [claimed(run_id, ledger) for _ in range(2)] for n, ledger in enumerate(connections)}

        async def work(n: int, lease: Lease, position: int) -> bool:
            ledger, key = connections[n], CellKey(position, 0, 0)
            try:
                await ledger.open(Intent(key, lease, 1, reserve=CENT))
            except BudgetExhausted:
                return False
            await asyncio.sleep(0)
            await ledger.record(recorded(lease, key, an_answer(cost_usd=CENT), CENT))
            return True

        done = await asyncio.gather(
            *(
                work(n, lease, position)
                for n, mine in leases.items()
                for lease in mine
                for position in range(lease.first_position, lease.last_position + 1)
            )
        )
    finally:
        for ledger in connections:
            await ledger.close()
    assert len(done) == 200
    assert sum(done) == 25
    with transaction() as connection:
        assert progress_of(connection, run_id).spent == Decimal("0.25")


async def test_an_answer_that_cost_less_than_reserved_frees_the_rest(store: str) -> None:
    run_id = a_run(cap=CENT)
    async with await Ledger.join(store, run_id, "test") as ledger:
        lease = claimed(run_id, ledger)
        for repeat in range(3):
            key = CellKey(0, 0, repeat)
            await ledger.open(Intent(key, lease, 1, reserve=CENT * Decimal("0.8")))
            await ledger.record(recorded(lease, key, an_answer(cost_usd=CENT / 10), CENT * Decimal("0.8")))
        with pytest.raises(BudgetExhausted):
            await ledger.open(Intent(CellKey(1, 0, 0), lease, 1, reserve=CENT * Decimal("0.8")))


@pytest.mark.parametrize("skip", [False, True])
async def test_calls_left_open_by_a_dead_worker_are_listed_and_resolved(store: str, skip: bool) -> None:
    run_id = a_run(cases=2, shard=2, cap=Decimal(1))
    dead = await Ledger.join(store, run_id, "dead")
    lease = claimed(run_id, dead)
    await dead.open(Intent(CellKey(0, 0, 0), lease, 1, reserve=CENT))
    await dead.open(Intent(CellKey(1, 0, 0), lease, 1, reserve=CENT))
    await dead.record(recorded(lease, CellKey(1, 0, 0), an_answer(cost_usd=CENT), CENT))
    with transaction() as connection:
        assert resolve_abandoned(connection, run_id, 0, 9, skip=skip) == 0  # still alive
    await dead.close()
    await gone(dead.worker_id)
    with transaction() as connection:
        [listed] = abandoned_calls(connection, run_id)
        assert (listed.case_id, listed.resolution, listed.reserved) == ("c-0", None, CENT)
        assert resolve_abandoned(connection, run_id, 0, 9, skip=skip) == 1
        assert resolve_abandoned(connection, run_id, 0, 9, skip=skip) == 0
        [listed] = abandoned_calls(connection, run_id)
        assert listed.resolution == ("recorded as an error" if skip else "called again")
        progress = progress_of(connection, run_id)
    assert progress.at_risk == CENT
    assert (progress.done, progress.errors) == ((2, 1) if skip else (1, 0))
