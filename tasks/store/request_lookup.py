"""Requests looked up: one by any of its ids, with its steps and prices, or many by what they have in common."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, cast

from sqlalchemy import Connection, Row, text

from evaluations.errors import AssayError
from evaluations.inspection import Neighbour, PriceUsed, Request
from evaluations.pricing import TOKEN_CLASSES, TokenClass
from evaluations.traces import Span
from tasks.store.prices import price_history
from tasks.store.spans import COLUMNS as SPAN_COLUMNS

MOST_SPANS = 10_000
"""Steps of one trace that are looked at; a person reads some dozens of them."""
MOST_NEIGHBOURS = 200
_AROUND = timedelta(days=7)
"""How far the steps of a trace may lie from a request of it: other weeks are not searched."""
_LISTED = 5
_OWN = "id:"
"""Begins an id of ours where a bare number could be somebody else's too."""
_PLAIN = (
    *("id", "source", "external_id", "at", "feature", "category", "provider", "model", "model_returned"),
    *("prompt_version", "project", "environment", "region", "service_tier", "language", "experiment", "variant"),
    *("ticket", "trace_id", "span_id", "status", "error_type", "error_message", "latency_ms", "processing_ms"),
    *("first_token_ms", "usage_known", "cache_hit", "cost", "cost_source", "reported_cost", "rating", "comment"),
    *("quality", "confidence", "sentiment", "resolution", "handled_by", "escalation_reason", "turns", "batch_id"),
    "recorded_at",
)
_TOKENS: Mapping[TokenClass, str] = {each: f"{each}_tokens" for each in TOKEN_CLASSES}
_BILLED: Mapping[TokenClass, str] = {**_TOKENS, "web_search": "web_searches"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which requests are meant; None leaves a matter open. Both ends of the time: from `begins`, before `ends`."""

    feature: str | None = None
    model: str | None = None
    status: str | None = None
    begins: datetime
    ends: datetime
    slowest: bool = False
    """The slowest first, and none whose latency is unknown; else the newest first."""
    limit: int = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestLine:
    """A request in a list."""

    id: int
    source: str
    external_id: str
    at: datetime
    feature: str
    model: str | None
    status: str | None
    error_type: str | None
    latency_ms: float | None
    tokens: int | None
    """All classes together; None when the usage is unknown."""
    cost: Decimal | None
    traced: bool


def find_request(connection: Connection, said: str) -> int:
    """Our id of the request that somebody means: by our id, its id at its source, or its trace.

    Raises AssayError that lists the candidates where there is no such request, or more than one.
    """
    said = said.strip()
    own = said.removeprefix(_OWN)
    if said.startswith(_OWN) and not own.isdecimal():
        raise AssayError(f"{said!r} is no id of ours: those are numbers, as in {_OWN}1204.")
    found = _matches(connection, said, int(own) if own.isdecimal() and len(own) < 19 else None)
    if len(found) == 1:
        return int(found[0].id)
    if not found:
        raise AssayError(
            f"no request has the id {said[:80]!r}{_near(connection, said)} `assay requests list` shows them."
        )
    named = "; ".join(
        f"{_OWN}{row.id} ({row.feature}, {row.source}, {row.at:%Y-%m-%d %H:%M})" for row in found[:_LISTED]
    )
    more = f"; and {len(found) - _LISTED} more" if len(found) > _LISTED else ""
    raise AssayError(f"{said[:80]!r} names {len(found)} requests; give one of {named}{more}.")


def _matches(connection: Connection, said: str, own: int | None) -> list[Row[Any]]:
    if said.startswith(_OWN):
        return _rows(connection, "id = :own", own=own)
    found = _rows(
        connection,
        # By its sources, of which there are few: ids are indexed within them.
        """id = :own OR (id, at) IN (
            SELECT k.id, k.at FROM request_keys k
            WHERE k.source IN (SELECT DISTINCT source FROM ingest_batches) AND k.external_id = :said)""",
        own=own,
        said=said,
    )
    return found or _rows(connection, "trace_id = :said", said=said)


def _rows(connection: Connection, where: str, **given: object) -> list[Row[Any]]:
    return list(
        connection.execute(text(f"SELECT id, feature, source, at FROM requests WHERE {where} ORDER BY at, id"), given)
    )


def _near(connection: Connection, said: str) -> str:
    """A guess, for an id of which only the beginning was given."""
    found = (
        connection.execute(
            text("""
                SELECT external_id FROM request_keys
                WHERE source IN (SELECT DISTINCT source FROM ingest_batches)
                  AND external_id >= :said AND external_id < :said || chr(1114111)
                ORDER BY external_id LIMIT 3
            """),
            {"said": said},
        )
        .scalars()
        .all()
    )
    return f"; did you mean {', '.join(map(repr, found))}?" if said and found else "."


def request_of(connection: Connection, id: int) -> Request:
    """The request with this id of ours, which has to be there."""
    row = connection.execute(
        text(f"""
            SELECT {", ".join(f"r.{name}" for name in (*_PLAIN, *_BILLED.values()))},
                coalesce(b.file, '') AS file, coalesce(b.sample_data, false) AS sample_data
            FROM requests r LEFT JOIN ingest_batches b ON b.id = r.batch_id WHERE r.id = :id
        """),
        {"id": id},
    ).one()
    said = row._mapping
    return Request(
        **{name: said[name] for name in (*_PLAIN, "file", "sample_data")},
        tokens={each: said[column] for each, column in _BILLED.items() if said[column]},
    )


def price_used(connection: Connection, request_id: int) -> PriceUsed | None:
    """The prices by which a request was priced; None when it was not."""
    row = connection.execute(
        text("""
            SELECT p.model, p.prices, p.recorded_at FROM price_sets p
            JOIN requests r ON r.price_set_id = p.id WHERE r.id = :id
        """),
        {"id": request_id},
    ).one_or_none()
    if row is None:
        return None
    return PriceUsed(
        model=row.model,
        by_class={
            cast(TokenClass, each): tuple((int(start), Decimal(price)) for start, price in tiers)
            for each, tiers in row.prices.items()
        },
        since=row.recorded_at,
        rows=tuple(each.row for each in price_history(connection, row.model) if each.row.model == row.model),
    )


def spans_of(connection: Connection, trace_id: str, around: datetime) -> tuple[list[Span], int]:
    """The steps of a trace in the order of their start, and how many there are beyond `MOST_SPANS`."""
    given = {"trace_id": trace_id, "begins": around - _AROUND, "ends": around + _AROUND}
    where = "trace_id = :trace_id AND at BETWEEN :begins AND :ends"
    rows = connection.execute(
        text(f"SELECT {', '.join(SPAN_COLUMNS)} FROM spans WHERE {where} ORDER BY at, span_id LIMIT {MOST_SPANS + 1}"),
        given,
    ).all()
    beyond = 0
    if len(rows) > MOST_SPANS:
        whole = connection.execute(text(f"SELECT count(*) FROM spans WHERE {where}"), given).scalar_one()
        beyond = int(whole) - MOST_SPANS
    return [_span(row) for row in rows[:MOST_SPANS]], beyond


def _span(row: Row[Any]) -> Span:
    return Span(
        id=row.span_id,
        parent_id=row.parent_id,
        name=row.name,
        kind=row.kind,
        at=row.at,
        duration_ms=row.duration_ms,
        status=row.status,
        error_type=row.error_type,
        error_message=row.error_message,
        attributes=row.attributes,
    )


def neighbours_of(connection: Connection, request: Request) -> list[Neighbour]:
    """The other requests of the same trace, in order of time."""
    if request.trace_id is None:
        return []
    rows = connection.execute(
        text("""
            SELECT id, at, model, status, latency_ms, cost, span_id FROM requests
            WHERE trace_id = :trace_id AND id <> :id AND at BETWEEN :begins AND :ends
            ORDER BY at, id LIMIT :most
        """),
        {
            "trace_id": request.trace_id,
            "id": request.id,
            "begins": request.at - _AROUND,
            "ends": request.at + _AROUND,
            "most": MOST_NEIGHBOURS,
        },
    )
    return [Neighbour(**row._mapping) for row in rows]


def list_requests(connection: Connection, wanted: Wanted) -> list[RequestLine]:
    """The requests that are meant, in the order that is asked for."""
    picked = [name for name in ("feature", "model", "status") if getattr(wanted, name) is not None]
    where = "".join(f" AND {name} = :{name}" for name in picked)
    order = "latency_ms DESC, id" if wanted.slowest else "at DESC, id DESC"
    rows = connection.execute(
        text(f"""
            SELECT id, source, external_id, at, feature, model, status, error_type, latency_ms,
                CASE WHEN usage_known THEN {" + ".join(_TOKENS.values())} END AS tokens, cost,
                trace_id IS NOT NULL AS traced
            FROM requests WHERE at >= :begins AND at < :ends{where}
                {"AND latency_ms IS NOT NULL" if wanted.slowest else ""}
            ORDER BY {order} LIMIT :limit
        """),
        {
            "begins": wanted.begins,
            "ends": wanted.ends,
            "limit": wanted.limit,
            **{name: getattr(wanted, name) for name in picked},
        },
    )
    return [RequestLine(**row._mapping) for row in rows]


def newest_at(connection: Connection) -> datetime | None:
    """When the newest request began; None where there is none."""
    found: datetime | None = connection.execute(
        text("SELECT at FROM requests ORDER BY at DESC LIMIT 1")
    ).scalar_one_or_none()
    return found


def known_names(connection: Connection, column: str, begins: datetime, ends: datetime) -> list[str]:
    """The features or models of the requests of a time, for an error that says which there are."""
    assert column in ("feature", "model"), column
    rows = connection.execute(
        text(f"""
            SELECT DISTINCT {column} FROM requests
            WHERE at >= :begins AND at < :ends AND {column} IS NOT NULL ORDER BY 1
        """),
        {"begins": begins, "ends": ends},
    )
    return list(rows.scalars())
