"""What was spent, asked of the daily facts."""

from collections.abc import Sequence
from datetime import date

from sqlalchemy import Connection, text

from evaluations.rollups import DIMENSIONS, TOKENS, Dimension
from evaluations.spend import Names, Period, Spent

_TOKENS = " + ".join(TOKENS)


def spend_by(
    connection: Connection, by: Sequence[Dimension], first: date, last: date, period: Period
) -> dict[tuple[Names, date], Spent]:
    """What the days of a window cost, both ends included, by group and by the first day of each period."""
    assert set(by) <= set(DIMENSIONS), by
    begins = ":first" if period == "total" else "CAST(date_trunc(:period, day) AS date)"
    columns = "".join(f", {name}" for name in by)
    given = {"first": first, "last": last} | ({} if period == "total" else {"period": period})
    rows = connection.execute(
        text(f"""
            SELECT {begins} AS begins, sum(requests) AS requests, sum(unpriced) AS unpriced, sum(cost) AS cost,
                   sum({_TOKENS}) AS tokens{columns}
            FROM usage_daily WHERE day BETWEEN :first AND :last GROUP BY 1{columns}
        """),
        given,
    ).mappings()
    return {
        (tuple(row[name] for name in by), row["begins"]): Spent(
            requests=int(row["requests"]), unpriced=int(row["unpriced"]), cost=row["cost"], tokens=int(row["tokens"])
        )
        for row in rows
    }


def rolled_between(connection: Connection) -> tuple[date, date] | None:
    """The first and the last day that has requests and is rolled up; None before there is one."""
    row = connection.execute(text("SELECT min(day), max(day) FROM rolled_days WHERE requests > 0")).one()
    return None if row[0] is None else (row[0], row[1])
