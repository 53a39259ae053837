"""What features take of models, day by day: the tokens that a month is reckoned from, and who served whom."""

from collections.abc import Collection, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Row, text

from evaluations.cost_scenarios import Band, DayUse
from evaluations.pricing import TOKEN_CLASSES, TokenClass
from evaluations.roi import DAYS_A_MONTH
from evaluations.rollups import PROMPT_TOKENS, TOKENS, day_bounds
from evaluations.selection import Shape
from tasks.store.demand import days_with_longer_prompts, demand_of
from tasks.store.rollups import timezone_of

_CLASS_OF_COLUMN: dict[str, TokenClass] = {f"{name}_tokens": name for name in TOKEN_CLASSES}
assert set(TOKENS) == set(_CLASS_OF_COLUMN), set(TOKENS) ^ set(_CLASS_OF_COLUMN)
MODEL = """CASE WHEN provider IS NULL OR starts_with(model, provider || '/') THEN model
    ELSE provider || '/' || model END"""
"""A model's full name, as price rows have it."""


MOST_BANDED = 5_000_000
"""Requests that are gone through one by one at most, to tell how long their prompts are: beyond it that takes long."""


def features_used(connection: Connection) -> list[str]:
    """The features that ever had a request that is rolled up."""
    return list(connection.execute(text("SELECT DISTINCT feature FROM usage_daily ORDER BY feature")).scalars())


def models_used(connection: Connection, features: Sequence[str], first: date, last: date) -> dict[str, int]:
    """The models that served these features, or all where none is named: name -> requests, the most used first."""
    rows = connection.execute(
        text(f"""
            SELECT {MODEL} AS name, CAST(sum(requests) AS bigint) AS requests FROM usage_daily
            WHERE day BETWEEN :first AND :last AND model IS NOT NULL AND (:all OR feature = ANY(:features))
            GROUP BY 1 ORDER BY 2 DESC, 1
        """),
        {"first": first, "last": last, "all": not features, "features": list(features)},
    )
    return {row.name: row.requests for row in rows}


def daily_use(
    connection: Connection,
    features: Sequence[str],
    first: date,
    last: date,
    model: str | None = None,
    starts: Collection[int] = (),
) -> tuple[DayUse, ...]:
    """What these features took, all of them where none is named, on each day from first to last, both included.

    Days without requests are in it, with none. With `model`, only what that one served. `starts`: where price tiers
    begin; requests are then told apart by the length of their prompts. Where some of them may be longer than the least,
    that takes the requests themselves, which have to be there still, and to be no more than `MOST_BANDED`.
    """
    asked = {"first": first, "last": last, "all": not features, "features": list(features), "model": model}
    sums = ", ".join(f"CAST(sum({column}) AS bigint) AS {column}" for column in TOKENS)
    rows = list(
        connection.execute(
            text(f"""
            SELECT day, CAST(sum(requests) AS bigint) AS requests, CAST(sum(usage_unknown) AS bigint) AS unknown, {sums}
            FROM usage_daily
            WHERE day BETWEEN :first AND :last AND (:all OR feature = ANY(:features))
              AND (CAST(:model AS text) IS NULL OR {MODEL} = :model)
            GROUP BY day
        """),
            asked,
        )
    )
    timezone = timezone_of(connection)
    long = set(days_with_longer_prompts(connection, features, first, last, min(starts))) if starts else set()
    if sum(row.requests for row in rows if row.day in long) > MOST_BANDED:
        starts = ()
    found = {
        row.day: DayUse(
            day=row.day,
            requests=row.requests,
            unknown=row.unknown,
            tokens=_tokens(row),
            bands=() if not starts else _bands(connection, asked, row, starts if row.day in long else (), timezone),
        )
        for row in rows
    }
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    return tuple(found.get(day, DayUse(day=day, requests=0)) for day in days)


def _bands(
    connection: Connection, asked: Mapping[str, Any], day: Row[Any], starts: Collection[int], timezone: str
) -> tuple[Band, ...]:
    """A day's requests by the price tiers that the length of their prompts falls into; read where `starts` are given.

    None where some of them are gone, or were not yet rolled up: the rest may be unlike them.
    """
    requests = day.requests - day.unknown
    if not starts:
        return (Band(requests=requests, tokens=_tokens(day)),) if requests else ()
    sums = ", ".join(f"CAST(sum({column}) AS bigint) AS {column}" for column in TOKENS)
    begins, ends = day_bounds(day.day, timezone)
    rows = connection.execute(
        text(f"""
            SELECT count(*) AS requests, {sums} FROM requests
            WHERE at >= :begins AND at < :ends AND (:all OR feature = ANY(:features)) AND usage_known
              AND (CAST(:model AS text) IS NULL OR {MODEL} = :model)
            GROUP BY width_bucket({" + ".join(PROMPT_TOKENS)}, CAST(:above AS bigint[]))
        """),
        {
            **{name: asked[name] for name in ("all", "features", "model")},
            "begins": begins,
            "ends": ends,
            # A tier holds for prompts that are longer than its start.
            "above": [start + 1 for start in sorted(starts)],
        },
    )
    bands = tuple(Band(requests=row.requests, tokens=_tokens(row)) for row in rows)
    return bands if sum(band.requests for band in bands) == requests else ()


def _tokens(row: Any) -> dict[TokenClass, int]:
    return {name: getattr(row, column) for column, name in _CLASS_OF_COLUMN.items() if getattr(row, column)}


def request_shape(connection: Connection, feature: str, first: date, last: date) -> Shape | None:
    """What the requests of these days are like; None where there are none (any more)."""
    found = demand_of(connection, feature, first, last)
    if not found.requests:
        return None
    return Shape(
        rows=found.requests,
        prompt_tokens_p95=found.prompt_tokens(0.95),
        a_month=Decimal(found.requests) / ((last - first).days + 1) * DAYS_A_MONTH,
        batch_share=found.batch_share,
    )
