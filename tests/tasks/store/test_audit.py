"""The audit chain: whoever writes is chained, whatever was changed is found and located."""

import threading

import psycopg
import pytest

from evaluations.audit import FIRST
from tasks.store.audit import entries, record, verify_chain
from tasks.store.database import transaction
from tests.deployments import approve, asked, taken


def written(count: int = 5) -> None:
    for number in range(count):
        with transaction() as connection:
            record(
                connection, action="override", target=f"experiment:e-{number}", actor="ana", why="because: é, \n, 7:x",
                facts={"n": number, "deep": {"b": 1.50, "a": None}}, feature="chatbot" if number % 2 else None,
            )  # fmt: skip


def verified(known: str | None = None) -> str:
    with transaction() as connection:
        return str(verify_chain(connection, known))


def tamper(store: str, *statements: str) -> None:
    """As somebody who owns the database may: with the triggers switched off."""
    with psycopg.connect(store) as connection:
        connection.execute("SET session_replication_role = replica")
        for statement in statements:
            connection.execute(statement)


def test_an_untouched_chain_is_as_it_was_written(store: str) -> None:
    assert "0 entries" in verified()
    written()
    with transaction() as connection:
        found = verify_chain(connection)
    assert (found.entries, found.broken_at) == (5, None)
    with transaction() as connection:
        [last] = entries(connection, limit=1)
    assert (last.seq, last.hash) == (5, found.head)


@pytest.mark.parametrize(
    ("statement", "broken_at", "why"),
    [
        ("UPDATE audit_log SET actor = 'eve' WHERE seq = 3", 3, "content is not what was hashed"),
        ("UPDATE audit_log SET facts = '{\"n\": 9}' WHERE seq = 2", 2, "content is not what was hashed"),
        ("UPDATE audit_log SET recorded_at = recorded_at - interval '1 day' WHERE seq = 1", 1, "not what was hashed"),
        ("DELETE FROM audit_log WHERE seq = 3", 3, "it is gone"),
        ("DELETE FROM audit_log WHERE seq = 1", 1, "it is gone"),
        ("DELETE FROM audit_log WHERE seq >= 4", 4, "entries up to 5 were written, and these are gone"),
        ("UPDATE audit_log SET previous_hash = repeat('a', 64) WHERE seq = 4", 4, "does not follow"),
        ("DELETE FROM audit_heads", 5, "recorded end"),
    ],
)
def test_what_was_changed_is_found_and_located(store: str, statement: str, broken_at: int, why: str) -> None:
    written()
    tamper(store, statement)
    with transaction() as connection:
        found = verify_chain(connection)
    assert found.broken_at == broken_at
    assert why in found.why


def test_a_chain_that_was_written_anew_does_not_have_the_hash_that_was_noted(store: str) -> None:
    written()
    with transaction() as connection:
        noted = verify_chain(connection).head
    assert "each as it was written" in verified(noted)
    tamper(store, "DELETE FROM audit_log", f"UPDATE audit_heads SET seq = 0, hash = '{FIRST}'")
    written(6)
    assert "each as it was written" in verified()
    assert "noted earlier" in verified(noted)


def test_writers_at_once_make_one_chain(store: str) -> None:
    threads = [threading.Thread(target=written, args=(10,)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with transaction() as connection:
        found = verify_chain(connection)
        assert (found.entries, found.broken_at) == (60, None)
        times = [entry.at for entry in entries(connection, limit=100)]
    assert times == sorted(times, reverse=True)


def test_the_end_of_the_chain_moves_with_entries_alone(store: str) -> None:
    written(2)
    for statement in ("UPDATE audit_heads SET hash = ''", "DELETE FROM audit_heads", "TRUNCATE audit_log"):
        with psycopg.connect(store) as raw, pytest.raises(psycopg.errors.CheckViolation):
            raw.execute(statement)


def test_every_step_of_a_deployment_is_in_the_chain_without_asking(store: str) -> None:
    with transaction() as connection:
        found = asked(connection)
        approve(connection, found)
        taken(connection, found, "pending", "deploying")
    with transaction() as connection:
        told = [(e.action, e.actor) for e in entries(connection, target=f"deployment:{found.id}")]
    assert told == [
        ("deployment deploying", "ana"),
        ("deployment pending", "ana"),
        ("deployment approved", "ben"),
        ("deployment pending approval", "ana"),
    ]
    assert "each as it was written" in verified()
