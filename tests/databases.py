"""Databases for tests: each test has one that is migrated and empty; one that can be emptied goes on to the next test.

A copy of the migrated template is a thousand files to make and to unlink, and most tests leave a few rows. So what a
test wrote is taken out, and the next one gets the database under a name that nobody had; unless its schema or settings
changed, it grew, or somebody is still connected. Then it is dropped, and the next one is a copy.
"""

import itertools
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg.sql import SQL, Composed, Identifier

Connection = psycopg.Connection[tuple[Any, ...]]

MOST_LEFT = 8 * 1024**2
"""Bytes by which a database may have grown: rows that were deleted are still read by whoever comes next."""
_CATALOGS = (
    "pg_attrdef", "pg_attribute", "pg_class", "pg_collation", "pg_constraint", "pg_default_acl", "pg_enum",
    "pg_extension", "pg_index", "pg_inherits", "pg_language", "pg_namespace", "pg_policy", "pg_proc", "pg_rewrite",
    "pg_statistic_ext", "pg_trigger", "pg_type",
)  # fmt: skip
_TABLES = """
    SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1, 2
"""
_DISTURBED = """
    SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
            AND backend_type = 'client backend')
        OR EXISTS (SELECT FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase
            WHERE d.datname = current_database())
        OR EXISTS (SELECT FROM pg_database WHERE datname = current_database() AND (datacl IS NOT NULL
            OR dattablespace <> (SELECT oid FROM pg_tablespace WHERE spcname = 'pg_default')))
"""
_NUMBERS = "SELECT schemaname, sequencename, start_value, last_value FROM pg_sequences ORDER BY 1, 2"


@dataclass(frozen=True, slots=True)
class _Empty:
    """What a database is like that nobody used."""

    schema: tuple[Any, ...]
    tables: Composed
    """A question for the tables in which something stands."""
    rows: Mapping[tuple[str, str], bytes]
    """What the migrations wrote, by table."""
    numbers: tuple[tuple[Any, ...], ...]
    size: int


@dataclass(slots=True)
class Databases:
    """The databases of one server, all made from one template."""

    template: str
    """URL of a migrated database; nobody is connected while another one is copied."""
    _empty: _Empty | None = None
    _spare: str | None = None
    _names: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def lend(self) -> str:
        """The URL of a database that is migrated and empty, under a name that nobody had."""
        if self._empty is None:
            with psycopg.connect(self.template) as connection:
                self._empty = _look(connection)
        name = f"test_{os.getpid()}_{next(self._names)}"
        with self._server() as server:
            if self._spare is not None:
                server.execute(SQL("ALTER DATABASE {} RENAME TO {}").format(*map(Identifier, (self._spare, name))))
                self._spare = None
            else:
                template = _name(self.template)
                server.execute(
                    SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(*map(Identifier, (name, template)))
                )
        return self._url(name)

    def take_back(self, url: str) -> None:
        """Empty a database for whoever comes next, or drop it."""
        if self._is_empty_again(url):
            self._spare = _name(url)
            return
        with self._server() as server:
            server.execute(SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(Identifier(_name(url))))

    def _is_empty_again(self, url: str) -> bool:
        assert self._empty is not None
        try:
            with psycopg.connect(url, options="-c lock_timeout=2s -c session_replication_role=replica") as connection:
                [disturbed] = connection.execute(_DISTURBED).fetchone() or (True,)
                if disturbed or _schema(connection) != self._empty.schema:
                    return False
                _restore(connection, self._empty)
                return _size(connection) <= self._empty.size + MOST_LEFT
        except psycopg.Error:
            # It is gone, or is not what it was in a way that nobody thought of.
            return False

    def _server(self) -> Connection:
        return psycopg.connect(self._url("postgres"), autocommit=True)

    def _url(self, name: str) -> str:
        before, _, options = self.template.partition("?")
        return f"{before.rpartition('/')[0]}/{name}?{options}"


def _name(url: str) -> str:
    return url.partition("?")[0].rpartition("/")[2]


def _look(connection: Connection) -> _Empty:
    tables = connection.execute(_TABLES).fetchall()
    question = SQL(" UNION ALL ").join(
        SQL("SELECT {}::text, {}::text WHERE EXISTS (SELECT FROM {})").format(*table, Identifier(*table))
        for table in tables
    )
    written = connection.execute(question).fetchall()
    return _Empty(
        schema=_schema(connection),
        tables=question,
        rows={(schema, table): _rows(connection, (schema, table)) for schema, table in written},
        numbers=tuple(connection.execute(_NUMBERS).fetchall()),
        size=_size(connection),
    )


def _schema(connection: Connection) -> tuple[Any, ...]:
    """How many entries each catalogue has and by which transactions: other ones after any change of the schema."""
    question = SQL(", ").join(
        SQL("(SELECT (count(*), sum(xmin::text::bigint))::text FROM {})").format(Identifier(each)) for each in _CATALOGS
    )
    found = connection.execute(SQL("SELECT {}").format(question)).fetchone()
    assert found is not None
    return found


def _size(connection: Connection) -> int:
    [size] = connection.execute("SELECT pg_database_size(current_database())").fetchone() or (0,)
    return int(size)


def _rows(connection: Connection, table: tuple[str, str]) -> bytes:
    with connection.cursor().copy(SQL("COPY {} TO STDOUT").format(Identifier(*table))) as copy:
        return b"".join(bytes(block) for block in copy)


def _restore(connection: Connection, empty: _Empty) -> None:
    """Take out what was written, put back what the migrations had written, and begin all numbers anew."""
    for table in {*connection.execute(empty.tables).fetchall(), *empty.rows}:
        wanted = empty.rows.get(table, b"")
        if wanted and _rows(connection, table) == wanted:
            continue
        connection.execute(SQL("DELETE FROM {}").format(Identifier(*table)))
        if wanted:
            with connection.cursor().copy(SQL("COPY {} FROM STDIN").format(Identifier(*table))) as copy:
                copy.write(wanted)
    for now, before in zip(connection.execute(_NUMBERS).fetchall(), empty.numbers, strict=True):
        if now != before:
            schema, sequence, start, last = before
            connection.execute(
                "SELECT setval(format('%%I.%%I', %s::text, %s::text)::regclass, %s, %s)",
                (schema, sequence, start if last is None else last, last is not None),
            )
