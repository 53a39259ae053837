"""Requests on their way in: a COPY into a temporary table, then one INSERT ... SELECT with their keys.

Everything here happens in the caller's transaction: rows, keys, marks of dirty days and counts are committed together.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, cast

from sqlalchemy import Connection, text

from tasks.store.traffic import RequestRow

_DERIVED = ("id", "batch_id", "source", "external_id", "cost_source", "price_set_id", "usage_known", "recorded_at")
CONTENT: tuple[str, ...] = tuple(c.name for c in RequestRow.__table__.columns if c.name not in _DERIVED)
"""What a row of a log says of a request, in the order of the table: what its hash is made of."""
STAGED: tuple[str, ...] = ("place", "external_id", *CONTENT, "usage_known", "picodollars", "price_set_id")
"""The columns that may be copied; `place` orders rows, `cost` is the stated one, `picodollars` the one by prices."""
_TOKENS = tuple(name for name in CONTENT if name.endswith("_tokens"))


@dataclass(frozen=True, slots=True)
class Conflict:
    """A row whose id is there already, with other content."""

    place: int
    """That was staged with it."""
    external_id: str
    at: datetime
    """The timestamp under which the id landed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Landing:
    """What became of staged rows."""

    landed: int
    duplicates: int
    conflicts: tuple[Conflict, ...]
    unpriced: int
    by_day: dict[date, int]
    """Landed rows of each day of the platform's time zone."""


def stage(connection: Connection, columns: Sequence[str], rows: Iterable[bytes]) -> None:
    """COPY rows into a temporary table that ends with the transaction.

    `rows` is CSV without a head, in pieces of any length; an empty unquoted field is NULL.
    """
    unknown = set(columns) - set(STAGED)
    assert not unknown, f"no staged column is called {sorted(unknown)}"
    connection.execute(text("DROP TABLE IF EXISTS staged_requests"))
    content = ", ".join(CONTENT)
    connection.execute(
        text(f"""
            CREATE TEMPORARY TABLE staged_requests ON COMMIT DROP AS
            SELECT CAST(0 AS bigint) AS place, external_id, {content}, usage_known, CAST(0 AS numeric) AS picodollars,
                price_set_id
            FROM requests WITH NO DATA
        """)
    )
    copy(connection, f"COPY staged_requests ({', '.join(columns)}) FROM STDIN (FORMAT csv)", rows)


def copy(connection: Connection, statement: str, pieces: Iterable[bytes]) -> None:
    """COPY ... FROM STDIN over the driver's own connection."""
    driver = cast(Any, connection.connection.driver_connection)
    with driver.cursor() as cursor, cursor.copy(statement) as stream:
        for piece in pieces:
            stream.write(piece)


def land(connection: Connection, *, source: str, batch_id: int, timezone: str) -> Landing:
    """Move staged rows whose ids are new into the table of their month, with their keys.

    Of several staged rows with one id the first counts. Ids are taken in order, so that two ingests of the same ids
    wait for each other and do not deadlock. The partitions have to be there.
    """
    connection.execute(text("SET LOCAL TIME ZONE 'UTC'"))  # hashes are made of timestamps as text
    # A chunk is to be sorted and joined in memory; compiling the statement would cost more than it saves.
    connection.execute(text("SET LOCAL work_mem = '128MB'; SET LOCAL jit = off"))
    # Whoever was forgotten does not come back with an old file; keys that named them are hashes.
    forgotten: bool = connection.execute(text(_ANY_ERASED), {"source": source}).scalar_one()
    rows = connection.execute(
        text(_LAND_NOT_ERASED if forgotten else _LAND), {"source": source, "batch_id": batch_id, "timezone": timezone}
    ).all()
    staged: int = connection.execute(text("SELECT count(*) FROM staged_requests")).scalar_one()
    landed = sum(row.requests for row in rows)
    conflicts = _conflicts(connection, source) if landed < staged else ()
    return Landing(
        landed=landed,
        duplicates=staged - landed - len(conflicts),
        conflicts=conflicts,
        unpriced=sum(row.unpriced for row in rows),
        by_day={row.day: row.requests for row in rows},
    )


def mark_dirty(
    connection: Connection, by_day: dict[date, int], *, cause: str, batch_id: int | None, actor: str
) -> None:
    """Mark days (of the platform's time zone) whose facts changed, in the transaction that changed them."""
    connection.execute(
        text("""
            INSERT INTO rollup_dirty (day, cause, batch_id, rows, actor)
            SELECT given.day, :cause, :batch_id, given.n, :actor
            FROM unnest(CAST(:days AS date[]), CAST(:rows AS bigint[])) AS given(day, n)
        """),
        {
            "days": list(by_day),
            "rows": list(by_day.values()),
            "cause": cause,
            "batch_id": batch_id,
            "actor": actor,
        },
    )


def price_set_ids(connection: Connection, sets: Iterable[tuple[str, str]], actor: str) -> list[int]:
    """The ids of sets of prices, (model, canonical JSON) each, in their order; new ones are added."""
    given = list(sets)
    hashes = [hashlib.sha256(f"{model}\n{prices}".encode()).hexdigest() for model, prices in given]
    connection.execute(
        text("""
            INSERT INTO price_sets (content_hash, model, prices, actor)
            SELECT DISTINCT ON (hash) hash, model, CAST(prices AS jsonb), :actor
            FROM unnest(CAST(:hashes AS text[]), CAST(:models AS text[]), CAST(:prices AS text[]))
                AS given(hash, model, prices)
            WHERE NOT EXISTS (SELECT 1 FROM price_sets p WHERE p.content_hash = given.hash)
            ORDER BY hash ON CONFLICT DO NOTHING
        """),
        {
            "hashes": hashes,
            "models": [model for model, _ in given],
            "prices": [prices for _, prices in given],
            "actor": actor,
        },
    )
    rows = connection.execute(
        text("SELECT content_hash, id FROM price_sets WHERE content_hash = ANY(:hashes)"), {"hashes": hashes}
    )
    ids: dict[str, int] = {row.content_hash: row.id for row in rows}
    return [ids[each] for each in hashes]


def _conflicts(connection: Connection, source: str) -> tuple[Conflict, ...]:
    rows = connection.execute(
        text(f"""
            SELECT s.place, s.external_id, k.at
            FROM ({_KEYED}) AS s JOIN request_keys k ON k.source = :source AND k.external_id = s.external_id
            WHERE k.content_hash <> s.content_hash ORDER BY s.place
        """),
        {"source": source},
    )
    return tuple(Conflict(row.place, row.external_id, row.at) for row in rows)


# What is null is left out, so that a column that a later version adds changes no hash.
_EACH_SAID = ", ".join(f"'{name}=' || CAST({name} AS text)" for name in CONTENT)
_HASH = f"substr(sha256(convert_to(concat_ws(chr(31), {_EACH_SAID}), 'UTF8')), 1, 16)"
# A row without an id is known by its content.
_KEYED = f"""
    SELECT hashed.*, coalesce(said_id, 'content:' || encode(content_hash, 'hex')) AS external_id FROM (
        SELECT place, external_id AS said_id, {", ".join(CONTENT)}, usage_known, picodollars, price_set_id,
            {_HASH} AS content_hash FROM staged_requests) AS hashed"""
_MOVED = tuple(name for name in CONTENT if name not in ("cost", *_TOKENS))
_LANDING = f"""
    WITH first AS MATERIALIZED (
        SELECT DISTINCT ON (external_id) * FROM ({_KEYED}) AS keyed_rows {{but}} ORDER BY external_id, place
    ), keyed AS (
        INSERT INTO request_keys (source, external_id, at, content_hash, batch_id)
        SELECT :source, external_id, at, content_hash, :batch_id FROM first ORDER BY external_id
        ON CONFLICT DO NOTHING RETURNING id, external_id
    ), moved AS (
        INSERT INTO requests (id, batch_id, source, external_id, {", ".join(_MOVED)}, {", ".join(_TOKENS)},
            usage_known, cost, cost_source, price_set_id)
        SELECT keyed.id, :batch_id, :source, external_id, {", ".join(_MOVED)},
            {", ".join(f"coalesce({name}, 0)" for name in _TOKENS)}, usage_known,
            coalesce(cost, picodollars * 0.000000000001),
            CASE WHEN cost IS NOT NULL THEN 'stated' WHEN picodollars IS NOT NULL THEN 'priced' END,
            CASE WHEN cost IS NULL THEN price_set_id END
        FROM first JOIN keyed USING (external_id) ORDER BY at
        RETURNING at, model, cost
    )
    SELECT CAST(at AT TIME ZONE :timezone AS date) AS day, count(*) AS requests,
        count(*) FILTER (WHERE model IS NOT NULL AND cost IS NULL) AS unpriced
    FROM moved GROUP BY 1 ORDER BY 1
"""
_LAND = _LANDING.format(but="")
_LAND_NOT_ERASED = _LANDING.format(
    but="""WHERE NOT EXISTS (
            SELECT FROM request_keys k WHERE k.source = :source
                AND k.external_id = 'erased:' || encode(sha256(convert_to(keyed_rows.external_id, 'UTF8')), 'hex'))"""
)
_ANY_ERASED = """
    SELECT EXISTS (
        SELECT FROM request_keys WHERE source = :source AND external_id >= 'erased:' AND external_id < 'erased;')
"""
