"""Tidying up: what goes, and above all what stays."""

import asyncio
import os
import time
from pathlib import Path

import pytest
from sqlalchemy import text

from tasks import tidying
from tasks.settings import settings
from tasks.store import housekeeping
from tasks.store.database import transaction
from tasks.store.leases import claim
from tasks.store.ledger import CellKey, Ledger, Recorded
from tests.builders import a_run, an_answer


async def answered(store: str, cached_days_ago: list[int]) -> None:
    """A run whose answers can be served again, recorded so many days ago."""
    cases = len(cached_days_ago)
    run_id = a_run(cases=cases, shard=cases)
    async with await Ledger.join(store, run_id, "test") as ledger:
        with transaction() as connection:
            lease = claim(connection, run_id, ledger.worker_id, 30)
        assert lease is not None
        for position in range(cases):
            await ledger.record(
                Recorded(
                    key=CellKey(position, 0, 0), lease=lease, attempt=1, answer=an_answer(), contaminated=False,
                    cached_cost=None, prompt_hash=None, cache_key=bytes([position]), release=None,
                )
            )  # fmt: skip
    with transaction() as connection:
        for position, days in enumerate(cached_days_ago):
            connection.execute(
                text("UPDATE answers SET recorded_at = now() - make_interval(days => :d) WHERE position = :p"),
                {"d": days, "p": position},
            )


async def test_only_what_is_far_too_old_for_the_cache_leaves_it_and_every_answer_stays(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await answered(store, [0, 8, 89, 91, 400])
    monkeypatch.setattr(housekeeping, "BATCH", 1)
    assert tidying.forget_expired_answers() == "2 answers older than 90 days left the cache"
    assert tidying.forget_expired_answers() == "0 answers older than 90 days left the cache"
    with transaction() as connection:
        kept = connection.execute(text("SELECT position, text, cache_key IS NOT NULL FROM answers ORDER BY 1")).all()
    assert [tuple(row) for row in kept] == [(n, "yes", n < 3) for n in range(5)]


async def test_a_longer_time_in_the_cache_is_kept_to(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    await answered(store, [200, 400])
    monkeypatch.setenv("ASSAY_CACHE_DAYS", "365")
    settings.cache_clear()
    assert tidying.forget_expired_answers() == "1 answer older than 365 days left the cache"


async def test_shards_of_the_dead_are_given_back_and_those_of_the_living_stay(store: str) -> None:
    run_id = a_run(cases=6, shard=2)

    def expire() -> None:
        with transaction() as connection:
            connection.execute(text("UPDATE run_shards SET expires_at = now() - interval '1 s' WHERE shard < 2"))

    async with await Ledger.join(store, run_id, "dying") as dying:
        with transaction() as connection:
            for _ in range(2):
                claim(connection, run_id, dying.worker_id, 30)
        expire()
        assert tidying.release_dead_leases() == "0 shards of dead workers given back"
    with transaction() as connection:
        connection.execute(text("UPDATE run_shards SET expires_at = now() + interval '1 h' WHERE shard = 1"))
    # The server notices some time after the worker's connection was closed that nobody is there any more.
    while (released := tidying.release_dead_leases()) != "1 shard of dead workers given back":
        assert released == "0 shards of dead workers given back"
        await asyncio.sleep(0.05)
    with transaction() as connection:
        held = connection.execute(text("SELECT shard FROM run_shards WHERE worker_id IS NOT NULL")).scalars().all()
    assert held == [1], "until its time is over it may belong to a machine that is only out of sight"


def test_half_written_files_go_after_a_day_and_nothing_else_does(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSAY_REPORTS", str(tmp_path))
    settings.cache_clear()
    folder = tmp_path / "colours-1234abcd"
    folder.mkdir()
    names = {
        "report.html": 100, ".report.html.a1b2c3d4": 30, ".report.json.z9y8x7w6": 1, ".keep": 100, "comment.md": 100
    }  # fmt: skip
    for name, hours in names.items():
        (folder / name).write_text("x")
        os.utime(folder / name, (time.time() - hours * 3600,) * 2)
    assert tidying.remove_half_written() == "1 half-written file removed"
    assert {path.name for path in folder.iterdir()} == set(names) - {".report.html.a1b2c3d4"}


def test_without_a_reports_folder_there_is_nothing_to_remove(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSAY_REPORTS", str(tmp_path / "nowhere"))
    settings.cache_clear()
    assert tidying.remove_half_written() == "0 half-written files removed"
