"""Questions about the store's soundness: asked without a trace, answered from the ledger."""

import psycopg
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import InternalError

from tasks.settings import settings
from tasks.store.database import transaction
from tasks.store.leases import claim
from tasks.store.ledger import LOCK_CLASS
from tasks.store.soundness import TookTooLong, halfway, now_there, reading, unscored
from tests.builders import a_run


def test_who_looks_cannot_write_and_does_not_wait_long(engine: Engine, store: str) -> None:
    with reading(store) as connection, pytest.raises(InternalError, match="read-only"):
        connection.execute(text("DELETE FROM runs"))
    with pytest.raises(TookTooLong), reading(store) as connection:
        connection.execute(text("SELECT pg_sleep(30)"))


def test_options_in_the_address_are_kept(engine: Engine, store: str) -> None:
    with reading(f"{store}&options=-c%20search_path%3Dpg_catalog") as connection:
        assert connection.execute(text("SHOW search_path")).scalar_one() == "pg_catalog"
        assert connection.execute(text("SHOW default_transaction_read_only")).scalar_one() == "on"


def test_the_clock_is_that_of_the_database(engine: Engine, store: str) -> None:
    with reading(store) as connection:
        first, second = now_there(connection), now_there(connection)
    assert first < second, "the clock stood still within the transaction"


def test_a_run_with_a_living_owner_was_not_left(engine: Engine, store: str) -> None:
    run_id = a_run(cases=2)
    with psycopg.connect(store, autocommit=True) as owner:
        [worker] = owner.execute(
            "INSERT INTO workers (host, pid, actor) VALUES ('here', 1, 'test') RETURNING id"
        ).fetchall()[0]
        owner.execute("SELECT pg_advisory_lock(%s, %s)", (LOCK_CLASS, worker))
        with transaction() as connection:
            assert claim(connection, run_id, worker, settings().lease_seconds) is not None
        with transaction() as connection:
            connection.execute(text("UPDATE runs SET status = 'running', recorded_at = now() - interval '1 day'"))
            connection.execute(text("UPDATE run_shards SET heartbeat_at = now() - interval '1 hour'"))
            assert halfway(connection, 60) == []
    with transaction() as connection:
        # The owner's connection is gone, its lease not over: nobody is at work.
        [left] = halfway(connection, 60)
        assert (left.run_id, left.suite, left.rescored_from) == (run_id, "tested", None)
        assert halfway(connection, 2 * 3600) == []
        connection.execute(text("UPDATE runs SET status = 'completed'"))
        assert halfway(connection, 60) == []


@pytest.mark.parametrize(
    ("scorers", "scored", "left"),
    [('{"exact": {}}', True, 0), ('{"exact": {}}', False, 1), ("{}", False, 0), (None, False, 1)],
)
def test_answers_that_nobody_judged_are_counted(engine: Engine, scorers: str | None, scored: bool, left: int) -> None:
    """A verdict says which scorers apply; a case without any needs no score, an answer without a verdict has none."""
    run_id = a_run(cases=2)
    with transaction() as connection:
        connection.execute(text("UPDATE runs SET status = 'completed', completed_at = now()"))
        answer = connection.execute(
            text("""
                INSERT INTO answers (run_id, position, variant, repeat, attempt, status, error_message, text,
                    input_tokens, cached_tokens, cache_write_tokens, output_tokens, reasoning_tokens, usage_known,
                    queue_ms, tries, from_cache, contaminated, simulated)
                VALUES (:run, 0, 0, 0, 1, 'answered', '', 'yes', 0, 0, 0, 0, 0, true, 0, 1, false, false, false)
                RETURNING id
            """),
            {"run": run_id},
        ).scalar_one()
        if scorers is not None:
            connection.execute(
                text("""
                    INSERT INTO verdicts (run_id, position, variant, verdict, reason, judged, passed, errors, scorers)
                    VALUES (:run, 0, 0, 'pass', '', 1, 1, 0, CAST(:scorers AS jsonb))
                """),
                {"run": run_id, "scorers": scorers},
            )
        if scored:
            connection.execute(
                text("INSERT INTO scores (answer_id, scorer, scorer_version, why) VALUES (:id, 'exact', '1', '')"),
                {"id": answer},
            )
        assert unscored(connection, 30) == ([(run_id, left)] if left else [])
