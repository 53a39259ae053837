"""Runs and leases: finding a run, counting its progress, and who may work on it."""

from decimal import Decimal
from uuid import UUID

import pytest
from sqlalchemy import text

from evaluations.errors import AssayError
from tasks.store.database import transaction
from tasks.store.leases import claim, finish, open_shards, owners, reopen
from tasks.store.ledger import CellKey, Lease, Ledger, Recorded
from tasks.store.runs import (
    find_run,
    latest_run_of,
    list_runs,
    progress_of,
    run_of,
    set_cap,
    set_time_limit,
    set_verdict,
    shards_of,
    start_run,
    stop_run,
)
from tests.builders import a_run, a_suite, an_answer


def renamed(run_id: UUID, to: str) -> UUID:
    """The run under an id that a test can name: a copy of its row, for what is looked up by id alone."""
    with transaction() as connection:
        connection.execute(
            text("""
                INSERT INTO runs SELECT (r).* FROM (
                    SELECT jsonb_populate_record(
                        CAST(NULL AS runs), to_jsonb(runs) || jsonb_build_object('id', CAST(:to AS text))
                    ) AS r FROM runs WHERE id = :id) AS copied
            """),
            {"id": run_id, "to": to},
        )
    return UUID(to)


def test_a_run_is_found_by_its_id_its_beginning_or_as_the_last(store: str) -> None:
    first = renamed(a_run(), "abcd0001-0000-4000-8000-000000000000")
    second = renamed(a_run(), "abcd0002-0000-4000-8000-000000000000")
    last = a_run()
    with transaction() as connection:
        assert find_run(connection, "last") == last
        assert find_run(connection, str(last)) == last
        assert find_run(connection, "ABCD0002") == second
        assert find_run(connection, " abcd0001 ") == first
        with pytest.raises(AssayError, match=r"begins the id of several runs \(abcd000.*give more of it"):
            find_run(connection, "abcd")
        for given in ("abc", "", "abc%", "____", "zzzz", "abcd'; --", "abcd\\"):
            with pytest.raises(AssayError, match="not the id of a run"):
                find_run(connection, given)
        with pytest.raises(AssayError, match="no run is called"):
            find_run(connection, "ffffffff-0000-4000-8000-000000000000")
        with pytest.raises(AssayError, match="there is no run"):
            run_of(connection, UUID(int=7))


def test_a_run_is_read_back_as_it_was_written(store: str) -> None:
    suite = a_suite(repeats=3, seed=7, gates={"pass_rate": 0.9}, parameters=[{"temperature": 0.5}])
    run_id = a_run(cases=5, suite=suite, shard=2, cap=Decimal("1.25"))
    with transaction() as connection:
        run = run_of(connection, run_id)
        assert run.suite == suite
        assert run.variants[0].parameters == {"temperature": 0.5}
        assert (run.cases, run.repeats, run.cells, run.cap, run.seed) == (5, 3, 15, Decimal("1.25"), 7)
        assert (run.status, run.verdict, run.started_at) == ("queued", None, None)
        assert shards_of(connection, run_id) == [(0, 1), (2, 3), (4, 4)]
        set_cap(connection, run_id, None)
        set_time_limit(connection, run_id, 12.5)
        assert (run_of(connection, run_id).cap, run_of(connection, run_id).max_time_s) == (None, 12.5)


def test_a_run_goes_from_queued_to_completed_and_its_report_stays_when_only_the_verdict_is_new(store: str) -> None:
    run_id = a_run()
    with transaction() as connection:
        start_run(connection, run_id, UUID(int=1))
        began = run_of(connection, run_id).started_at
    with transaction() as connection:
        stop_run(connection, run_id, status="partial", reason="budget")
        stopped = run_of(connection, run_id)
        assert (stopped.status, stopped.stop_reason) == ("partial", "budget")
        set_verdict(connection, run_id, "budget", "stopped", "/somewhere/report.html")
        start_run(connection, run_id, None)
        assert run_of(connection, run_id).started_at == began
        assert run_of(connection, run_id).stop_reason == ""
        stop_run(connection, run_id, status="completed", reason="")
        set_verdict(connection, run_id, "pass", "passed", None)
        ended = run_of(connection, run_id)
    assert (ended.status, ended.verdict, ended.sentence, ended.report) == (
        "completed",
        "pass",
        "passed",
        "/somewhere/report.html",
    )


async def test_progress_counts_current_answers_and_a_rescore_shows_those_it_judges(store: str) -> None:
    run_id = a_run(cases=4, shard=4, cap=Decimal(1))
    async with await Ledger.join(store, run_id, "test") as ledger:
        with transaction() as connection:
            lease = claim(connection, run_id, ledger.worker_id, 30)
        assert lease is not None
        for position, answer in enumerate([an_answer(cost_usd=Decimal("0.25")), an_answer(None, error="timeout")]):
            await ledger.record(recorded(lease, position, answer))
        await ledger.record(recorded(lease, 2, an_answer(from_cache=True, cost_usd=Decimal(0))))
    with transaction() as connection:
        progress = progress_of(connection, run_id)
        assert (progress.done, progress.total, progress.errors, progress.cached) == (3, 4, 1, 1)
        assert (progress.spent, progress.cap) == (Decimal("0.25"), Decimal(1))
        connection.execute(text("UPDATE answers SET superseded = true WHERE position = 1"))
        assert progress_of(connection, run_id).done == 2
        [line] = list_runs(connection, 10)
        assert (line.id, line.done, line.cells, line.spent) == (run_id, 2, 4, Decimal("0.25"))
        assert list_runs(connection, 10, "another suite") == []
        found = latest_run_of(connection, "tested")
        assert found is not None
        assert found.id == run_id
        assert latest_run_of(connection, "another suite") is None


def recorded(lease: Lease, position: int, answer: object) -> Recorded:
    return Recorded(
        key=CellKey(position, 0, 0),
        lease=lease,
        attempt=1,
        answer=answer,  # type: ignore[arg-type]
        contaminated=False,
        cached_cost=None,
        prompt_hash=None,
        cache_key=None,
        release=None,
    )


async def test_the_owner_of_a_run_is_named_while_it_lives_and_its_fence_moves_on(store: str) -> None:
    run_id = a_run(cases=4, shard=2)
    worker = await Ledger.join(store, run_id, "somebody")
    with transaction() as connection:
        first = claim(connection, run_id, worker.worker_id, 60)
        second = claim(connection, run_id, worker.worker_id, 60)
        assert first is not None
        assert second is not None
        assert claim(connection, run_id, worker.worker_id, 60) is None
    with transaction() as connection:
        [owner] = owners(connection, run_id)
        assert (owner.worker_id, owner.actor, owner.shards) == (worker.worker_id, "somebody", 2)
        assert str(owner).startswith("somebody on ")
        finish(connection, run_id, first, done=True)
        finish(connection, run_id, second, done=False)
        assert open_shards(connection, run_id) == 1
    with transaction() as connection:
        again = claim(connection, run_id, worker.worker_id, 60)
        assert again is not None
        assert again.fence > second.fence
        finish(connection, run_id, second, done=True)  # too late: it is another lease now
        assert open_shards(connection, run_id) == 1
    await worker.close()
    with transaction() as connection:
        assert owners(connection, run_id) == []


async def test_reopening_offers_what_nobody_holds_and_leaves_the_rest_to_its_owner(store: str) -> None:
    run_id = a_run(cases=6, shard=2)
    async with await Ledger.join(store, run_id, "a") as a, await Ledger.join(store, run_id, "b") as b:
        with transaction() as connection:
            done = claim(connection, run_id, a.worker_id, 60)
            held = claim(connection, run_id, a.worker_id, 60)
            assert done is not None
            assert held is not None
            finish(connection, run_id, done, done=True)
        with transaction() as connection:
            reopen(connection, run_id)
        with transaction() as connection:
            offered = [claim(connection, run_id, b.worker_id, 60) for _ in range(3)]
    assert [each and each.shard for each in offered] == [done.shard, 2, None]
    assert held.shard not in {each.shard for each in offered if each}
