"""A window of tickets, measured by every definition."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, text

from evaluations.customer import (
    METRICS,
    SENTIMENTS,
    Csat,
    CustomerFacts,
    Measure,
    Metric,
    Takers,
    Tickets,
    csat_mean,
    reasons_by_kind,
    share,
)
from evaluations.estimates import Estimate
from evaluations.statistics.correlation import spearman
from evaluations.statistics.means import mean_from_moments
from evaluations.statistics.outcomes import Determined
from evaluations.statistics.ratios import PairMoments, ratio_of
from evaluations.statistics.survival import survival_quantile
from tasks.store.binary import binary_rows
from tasks.store.customer.definitions import DEFINITIONS, OF_COUNTS, OF_SINGLE_VALUES, how_many
from tasks.store.customer.tickets import TRACKED
from tasks.store.customer.window import TRACKED_IN, Window, put_together

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Values = NDArray[np.float64]


def customer_facts(
    connection: Connection, window: Window, *, held_against_before: bool, waiting: int = 0
) -> CustomerFacts:
    """Measure a window by every definition, and the window before it where that is asked for."""
    before: Mapping[str, Measured] = {}
    if held_against_before:
        put_together(connection, window.before())
        before = _measure_all(connection, window.before(), "ai")
    put_together(connection, window)
    tickets = _tickets(connection)
    now = _measure_all(connection, window, "ai")
    humans = _measure_all(connection, window, "human") if tickets.by_humans else {}
    measures = {
        metric.name: Measure(
            metric=metric,
            estimate=now[metric.name].estimate,
            left_out=now[metric.name].left_out,
            before=before[metric.name].estimate if before else None,
            baseline=humans[metric.name].estimate if humans and metric.of_humans else None,
        )
        for metric in METRICS
    }
    ai_cost, unpriced = _cost(connection)
    return CustomerFacts(
        first=window.first,
        last=window.last,
        timezone=window.timezone,
        seen_to=window.seen_to,
        waiting=waiting,
        recontact_days=window.recontact_days,
        features=window.features,
        category=window.category,
        tickets=tickets,
        measures=measures,
        funnel=_funnel(connection),
        outcomes=_outcomes(connection),
        reasons=_reasons(connection),
        csat=_csat(connection),
        sentiments=_sentiments(connection),
        quality_by_rating=_quality_by_rating(connection, window),
        ai_cost=ai_cost,
        unpriced=unpriced,
        tracked=_tracked(connection, window),
    )


# From a definition to a measure

Row = dict[str, Any]
"""What a definition gives, by column."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    estimate: Estimate | None
    left_out: Mapping[str, int]


def _measure_all(connection: Connection, window: Window, taker: Takers) -> dict[str, Measured]:
    given = {**window.given(), "taker": taker}
    counted = connection.execute(text(OF_COUNTS), given)
    found: dict[str, Row] = {row.name: json.loads(row.found, parse_float=Decimal) for row in counted}
    for name in OF_SINGLE_VALUES:
        [found[name]] = binary_rows(connection, DEFINITIONS[name], given)
    return {metric.name: _measured(metric, found[metric.name], window) for metric in METRICS}


def _measured(metric: Metric, row: Row, window: Window) -> Measured:
    if metric.unit == "seconds" and not metric.theirs:
        ended, began, tickets = row.values()
        return _times(_values(ended), _values(began), tickets, window.seen_to)
    return _READERS[_kind(metric)](row)


def _kind(metric: Metric) -> str:
    """How the rows of a definition are read."""
    if metric.theirs:
        return _kind_of_theirs(metric)
    return {"csat": "ratings", "sentiment": "moments"}.get(metric.name, metric.unit)


def _kind_of_theirs(metric: Metric) -> str:
    return {"share": "share of the sources", "seconds": "median of the sources"}.get(
        metric.unit, "value of the sources"
    )


def _share(row: Row) -> Measured:
    return Measured(estimate=share(row.pop("k"), row.pop("n")), left_out=row)


def _ratings(row: Row) -> Measured:
    csat = _csat_of(row)
    return Measured(estimate=csat_mean(csat), left_out={"not rated": csat.asked - csat.rated})


def _csat_of(row: Row) -> Csat:
    one, two, three, four, five = (row[f"rated_{stars}"] for stars in range(1, 6))
    return Csat(counts=(one, two, three, four, five), asked=row["asked"])


def _values(series: bytes) -> "Values":
    """The single values that the database put one behind the other."""
    import numpy as np

    return np.frombuffer(series, dtype=">f8").astype(np.float64)


def _times(ended: "Values", began: "Values", tickets: int, seen_to: datetime) -> Measured:
    left_out = tickets - ended.size - began.size
    return Measured(
        estimate=survival_quantile(ended, (seen_to.timestamp() - began).clip(min=0.0)),
        left_out={"not resolved, or time unknown": left_out},
    )


def _moments(row: Row) -> Measured:
    n, total = row["n"], Decimal(row["total"])
    # Exact until the root is taken: the difference of two large sums is what floating-point numbers lose.
    spread = float((row["squares"] - total * total / n) / (n - 1)) ** 0.5 if n > 1 else None
    estimate = mean_from_moments(n, float(total / n) if n else None, spread, low=0.0, high=1.0)
    return Measured(estimate=estimate, left_out={"no sentiment": row["no sentiment"]})


def _ratio(row: Row) -> Measured:
    sums = [float(row.pop(name)) for name in ("n", "y", "x", "yy", "xx", "xy")]
    return Measured(estimate=ratio_of(PairMoments.from_sums(*sums)), left_out=row)


def _correlation(row: Row) -> Measured:
    pairs = _pairs(row["qualities"])
    found = spearman(pairs[:, 0], pairs[:, 1])
    effect = found.effect if isinstance(found, Determined) and found.effect is not None else None
    return Measured(estimate=effect, left_out={"quality or rating unknown": row["tickets"] - len(pairs)})


def _pairs(qualities: bytes) -> "Values":
    """Judged quality and rating of each ticket that has both, shape (n, 2)."""
    return _values(qualities).reshape(-1, 2)


def _share_of_theirs(row: Row) -> Measured:
    return _bare(row["k"] / row["n"] if row["n"] else None, row["n"])


def _value_of_theirs(row: Row) -> Measured:
    return _bare(None if row["value"] is None else float(row["value"]), row["n"])


def _median_of_theirs(row: Row) -> Measured:
    import numpy as np

    times = _values(row["seconds"])
    return _bare(float(np.median(times)) if times.size else None, times.size)


def _bare(value: float | None, n: int) -> Measured:
    """The sources give no interval, and none is made up for them."""
    estimate = None if value is None else Estimate(value=value, low=value, high=value, n=n, method="no interval")
    return Measured(estimate=estimate, left_out={})


_READERS = {
    "share": _share,
    "ratings": _ratings,
    "moments": _moments,
    "usd": _ratio,
    "correlation": _correlation,
    "share of the sources": _share_of_theirs,
    "value of the sources": _value_of_theirs,
    "median of the sources": _median_of_theirs,
}


# What stands beside the measures


def _tickets(connection: Connection) -> Tickets:
    rows = connection.execute(text("SELECT taken_by, tickets, sample_data FROM customer_counts")).all()
    by = {row.taken_by: row.tickets for row in rows}
    return Tickets(
        total=sum(by.values()),
        by_ai=by["ai"],
        by_humans=by["human"],
        taker_unknown=by[None],
        sample_data=sum(row.sample_data for row in rows),
    )


FUNNEL = (
    ("Tickets the AI took", "true"),
    ("with a known outcome", "outcome IS NOT NULL"),
    ("closed", "closed"),
    ("resolved", "outcome = 'resolved'"),
    ("passed on to nobody", "outcome = 'resolved' AND NOT passed_on"),
    ("recontact window over, and it can be told", "outcome = 'resolved' AND NOT passed_on AND traceable AND due"),
    ("stayed resolved", "outcome = 'resolved' AND NOT passed_on AND traceable AND due AND NOT came_back"),
)


def _funnel(connection: Connection) -> tuple[tuple[str, int], ...]:
    columns = ", ".join(how_many(where) for _, where in FUNNEL)
    row = connection.execute(text(f"SELECT {columns} FROM customer_tickets WHERE taken_by = 'ai'")).one()
    return tuple((name, int(count)) for (name, _), count in zip(FUNNEL, row, strict=True))


def _outcomes(connection: Connection) -> dict[str, int]:
    rows = connection.execute(
        text("""
            SELECT coalesce(outcome, 'unknown') AS outcome, sum(tickets) AS n FROM customer_tickets
            WHERE taken_by = 'ai' GROUP BY 1 ORDER BY n DESC, outcome
        """)
    )
    return {row.outcome: row.n for row in rows}


def _reasons(connection: Connection) -> tuple[tuple[str, int], ...]:
    rows = connection.execute(
        text("""
            SELECT escalation_reason, sum(tickets) AS n FROM customer_tickets
            WHERE taken_by = 'ai' AND closed AND passed_on GROUP BY 1
        """)
    )
    return reasons_by_kind({row.escalation_reason: row.n for row in rows})


def _csat(connection: Connection) -> Csat:
    return _csat_of(_of_ai(connection, DEFINITIONS["csat"]))


def _sentiments(connection: Connection) -> dict[str, int]:
    row = _of_ai(connection, DEFINITIONS["sentiment"])
    return {label: row[label] for label in SENTIMENTS}


def _quality_by_rating(connection: Connection, window: Window) -> tuple[tuple[int, ...], ...]:
    import numpy as np

    quality, rating = _pairs(_of_ai(connection, DEFINITIONS["quality_and_rating"], window)["qualities"]).T
    fifths = np.minimum(np.floor(quality * 5), 4)
    counted = np.bincount((fifths * 5 + rating - 1).astype(np.int64), minlength=25).reshape(5, 5)
    return tuple(tuple(int(count) for count in row) for row in counted)


def _cost(connection: Connection) -> tuple[Decimal | None, int]:
    row = _of_ai(connection, "SELECT cost, unpriced FROM customer_counts WHERE taken_by = :taker")
    return row["cost"], row["unpriced"]


def _of_ai(connection: Connection, sql: str, window: Window | None = None) -> Row:
    given = {"taker": "ai", **(window.given() if window else {})}
    return dict(connection.execute(text(sql), given).mappings().one())


def _tracked(connection: Connection, window: Window) -> dict[str, Estimate | None]:
    """Shares of all requests of the window, whatever their feature."""
    row = connection.execute(text(TRACKED_IN), window.given()).mappings().one()
    return {name: share(row[name], row["requests"]) for name in TRACKED}
