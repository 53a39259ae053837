"""A test's database is empty whatever the test before left in it."""

import psycopg
import pytest

from tasks.store.database import engine_for
from tests.databases import Databases
from tests.deployments import OLD, deployed


def dump(url: str) -> dict[str, list[str]]:
    """Every row of every table, and where every number stands."""
    with psycopg.connect(url) as connection:
        named = connection.execute(
            "SELECT c.oid::regclass::text, c.relkind FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE c.relkind IN ('r', 'S') AND n.nspname NOT IN ('pg_catalog', 'information_schema')"
        ).fetchall()
        asked = {name: "(last_value, is_called)::text" if kind == "S" else "t::text" for name, kind in named}
        return {
            name: sorted(row for (row,) in connection.execute(f"SELECT {what} FROM {name} t".encode()))
            for name, what in asked.items()
        }


def oid(url: str) -> int:
    with psycopg.connect(url) as connection:
        [found] = connection.execute("SELECT oid FROM pg_database WHERE datname = current_database()").fetchone() or [0]
        return int(found)


def test_rows_are_taken_out_and_the_database_is_handed_on_under_another_name(
    databases: Databases, template_url: str
) -> None:
    wanted = dump(template_url)
    first = databases.lend()
    engine = engine_for(first)
    with engine.begin() as connection:
        deployed(connection, OLD)
    engine.dispose()
    assert dump(first) != wanted
    with psycopg.connect(first) as raw:
        raw.execute("SET session_replication_role = replica")
        raw.execute("UPDATE environments SET actor = 'somebody'")
    before = oid(first)
    databases.take_back(first)
    second = databases.lend()
    try:
        assert dump(second) == wanted
        assert second != first
        assert oid(second) == before
    finally:
        databases.take_back(second)


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE left_over (x int)",
        "DROP TABLE live_bundles",
        "ALTER TABLE deployments DISABLE TRIGGER USER",
        "ALTER TABLE deployments ALTER COLUMN why SET DEFAULT 'x'",
        "CREATE OR REPLACE FUNCTION hold_traffic(feature text, environment text) RETURNS void LANGUAGE sql AS 'SELECT'",
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET timezone = ''Asia/Tokyo''', current_database()); END $$",
        "REVOKE ALL ON deployments FROM PUBLIC; GRANT SELECT ON deployments TO PUBLIC",
    ],
)  # fmt: skip
def test_a_database_whose_schema_changed_is_not_handed_on(databases: Databases, statement: str) -> None:
    first = databases.lend()
    with psycopg.connect(first, autocommit=True) as raw:
        raw.execute(statement.encode())
    before = oid(first)
    databases.take_back(first)
    second = databases.lend()
    try:
        assert oid(second) != before
    finally:
        databases.take_back(second)


def test_a_database_that_somebody_still_uses_is_not_handed_on(databases: Databases) -> None:
    first = databases.lend()
    with psycopg.connect(first, autocommit=True) as left:
        before = oid(first)
        databases.take_back(first)
        second = databases.lend()
        try:
            assert oid(second) != before
            with pytest.raises(psycopg.OperationalError):
                left.execute("SELECT 1")
        finally:
            databases.take_back(second)
