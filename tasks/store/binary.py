"""Rows with long strings of bytes, as Postgres has them: written as text they would be twice as long, on both sides."""

from collections.abc import Mapping
from typing import Any, cast

from psycopg.rows import dict_row
from sqlalchemy import Connection, text


def binary_rows(connection: Connection, sql: str, given: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of a statement with `:named` values, by column, fetched in binary in the caller's transaction."""
    statement = str(text(sql).compile(dialect=connection.dialect))
    driver = cast(Any, connection.connection.driver_connection)
    with driver.cursor(binary=True, row_factory=dict_row) as cursor:
        found: list[dict[str, Any]] = cursor.execute(statement, dict(given)).fetchall()
    return found
