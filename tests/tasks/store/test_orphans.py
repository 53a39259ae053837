"""References without a foreign key: each kind is found, and none is forgotten."""

import pytest
from sqlalchemy import Engine, text

from tasks.store.database import transaction
from tasks.store.orphans import OUTSIDE, REFERENCES, orphans, reports_named
from tasks.store.schema import Base
from tests.builders import a_run

ANSWER = """
    INSERT INTO answers (run_id, position, variant, repeat, attempt, status, error_message, input_tokens, cached_tokens,
        cache_write_tokens, output_tokens, reasoning_tokens, usage_known, queue_ms, tries, from_cache, contaminated,
        simulated)
    VALUES (:run, {position}, {variant}, 0, 1, 'answered', '', 0, 0, 0, 0, 0, true, 0, 1, false, false, false)
"""
CALL = """
    INSERT INTO calls (run_id, position, variant, repeat, role, attempt, worker_id)
    VALUES (:run, {position}, {variant}, 0, 0, 1, {worker})
"""
VERDICT = """
    INSERT INTO verdicts (run_id, position, variant, verdict, reason, judged, passed, errors, scorers)
    VALUES (:run, {position}, {variant}, 'pass', '', 1, 1, 0, '{{}}')
"""


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE run_shards SET worker_id = 99 WHERE run_id = :run", "2 of run_shards (worker_id) without workers"),
        (CALL.format(position=0, variant=0, worker=99), "1 of calls (worker_id) without workers"),
        (CALL.format(position=99, variant=0, worker=1), "1 of calls (run_id, position) without cases"),
        (CALL.format(position=0, variant=9, worker=1), "1 of calls (run_id, variant) without run_variants"),
        (ANSWER.format(position=99, variant=0), "1 of answers (run_id, position) without cases"),
        (ANSWER.format(position=0, variant=9), "1 of answers (run_id, variant) without run_variants"),
        (VERDICT.format(position=99, variant=0), "1 of verdicts (run_id, position) without cases"),
        (VERDICT.format(position=0, variant=9), "1 of verdicts (run_id, variant) without run_variants"),
    ],
)
def test_a_row_that_points_at_nothing_is_counted(engine: Engine, statement: str, said: str) -> None:
    run_id = a_run(cases=4, shard=2)
    with transaction() as connection:
        connection.execute(text("INSERT INTO workers (host, pid, actor) VALUES ('here', 1, 'test')"))
        for sound in (CALL, ANSWER, VERDICT):
            connection.execute(text(sound.format(position=1, variant=0, worker=1)), {"run": run_id})
        assert orphans(connection) == []
        connection.execute(text(statement), {"run": run_id})
        assert [str(each) for each in orphans(connection)] == [said]


def test_every_column_that_names_a_row_has_a_foreign_key_or_is_looked_at() -> None:
    """A new column called …_id that is neither would be looked at by nobody."""
    looked_at = {(each.table, column) for each in REFERENCES for column in each.columns}
    kept = {
        (name, column.name)
        for name, table in Base.metadata.tables.items()
        for constraint in table.foreign_key_constraints
        for column in constraint.columns
    }
    names = {
        (name, column.name)
        for name, table in Base.metadata.tables.items()
        for column in table.columns
        if column.name.endswith("_id") and column.name != "case_id"  # what the author of a dataset calls a case
    }
    assert ("calls", "worker_id") in names
    assert names - kept - looked_at == OUTSIDE


def test_the_latest_reports_are_named_first(engine: Engine) -> None:
    first, second = a_run(cases=2), a_run(cases=2)
    with transaction() as connection:
        for number, run_id in enumerate((first, second)):
            connection.execute(
                text("UPDATE runs SET report = :at, recorded_at = now() + make_interval(secs => :n) WHERE id = :run"),
                {"at": f"/reports/{number}", "n": number, "run": run_id},
            )
        assert reports_named(connection) == [(second, "/reports/1"), (first, "/reports/0")]
        assert reports_named(connection, limit=1) == [(second, "/reports/1")]
