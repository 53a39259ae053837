"""A window of tickets, measured by every definition."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, text

from evaluations.customer import (
    BY_NAME,
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
from evaluations.rollups import day_bounds
from evaluations.spend import window_before
from evaluations.statistics.correlation import spearman
from evaluations.statistics.means import mean_from_moments
from evaluations.statistics.outcomes import Determined
from evaluations.statistics.ratios import PairMoments, ratio_of
from evaluations.statistics.survival import survival_quantile
from tasks.store.customer.definitions import DEFINITIONS, how_many
from tasks.store.customer.tickets import OF_TICKETS, REQUESTS, TRACKED
from tasks.store.traffic import TOLD

HAS_OUTCOME = """(resolution IS NOT NULL OR rating IS NOT NULL OR sentiment IS NOT NULL OR handled_by IS NOT NULL
    OR escalated_at IS NOT NULL)"""
"""What says how a request ended; all of it is in TOLD, so that the index of that serves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Which tickets: those that began on these days, in the platform's time zone."""

    first: date
    last: date
    timezone: str
    seen_to: datetime
    features: tuple[str, ...]
    category: str | None
    recontact_days: int

    def given(self) -> dict[str, Any]:
        """As the statements name it."""
        return {
            "begins": day_bounds(self.first, self.timezone)[0],
            "ends": day_bounds(self.last, self.timezone)[1],
            "seen_to": self.seen_to,
            "features": list(self.features),
            "category": self.category,
            "recontact_days": self.recontact_days,
        }

    def before(self) -> "Window":
        """As many days, ending on the day before."""
        first, last = window_before(self.first, self.last)
        return Window(
            first=first,
            last=last,
            timezone=self.timezone,
            seen_to=self.seen_to,
            features=self.features,
            category=self.category,
            recontact_days=self.recontact_days,
        )


def outcomes_between(connection: Connection, feature: str | None = None) -> tuple[datetime, datetime] | None:
    """When the first and the last request that says anything of an outcome began; None when there is none."""
    row = connection.execute(
        text(f"""SELECT min(at), max(at) FROM requests WHERE {HAS_OUTCOME}
                 AND (CAST(:feature AS text) IS NULL OR feature = CAST(:feature AS text))"""),
        {"feature": feature},
    ).one()
    return None if row[0] is None else (row[0], row[1])


def newest_request(connection: Connection) -> datetime | None:
    found: datetime | None = connection.execute(text("SELECT max(at) FROM requests")).scalar_one()
    return found


def features_with_outcomes(connection: Connection, begins: datetime, ends: datetime) -> tuple[str, ...]:
    """Features whose requests of a time say how they ended, in order."""
    rows = connection.execute(
        text(f"SELECT DISTINCT feature FROM requests WHERE at >= :begins AND at < :ends AND {HAS_OUTCOME} ORDER BY 1"),
        {"begins": begins, "ends": ends},
    )
    return tuple(rows.scalars())


def customer_facts(connection: Connection, window: Window, *, held_against_before: bool) -> CustomerFacts:
    """Measure a window by every definition, and the window before it where that is asked for."""
    before: Mapping[str, Measured] = {}
    if held_against_before:
        _make_tickets(connection, window.before())
        before = _measure_all(connection, window.before(), "ai")
    _make_tickets(connection, window)
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
        quality_by_rating=_quality_by_rating(connection),
        ai_cost=ai_cost,
        unpriced=unpriced,
        tracked=_tracked(connection, window),
    )


# From a definition to a measure


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    estimate: Estimate | None
    left_out: Mapping[str, int]


def _make_tickets(connection: Connection, window: Window) -> None:
    connection.execute(
        text("DROP TABLE IF EXISTS customer_tickets, customer_matters, customer_requests, customer_silent")
    )
    # Tickets are to be grouped in memory; compiling the statements would cost more than it saves.
    connection.execute(text("SET LOCAL work_mem = '128MB'; SET LOCAL jit = off"))
    for statement in (*OF_TICKETS, REQUESTS):
        connection.execute(text(statement), window.given())


def _measure_all(connection: Connection, window: Window, taker: Takers) -> dict[str, Measured]:
    given = {**window.given(), "taker": taker}
    return {name: _measure(connection, metric, given) for name, metric in BY_NAME.items()}


def _measure(connection: Connection, metric: Metric, given: Mapping[str, Any]) -> Measured:
    rows = connection.execute(text(DEFINITIONS[metric.name]), given).mappings().all()
    return _READERS[_kind(metric)](rows)


def _kind(metric: Metric) -> str:
    """How the rows of a definition are read."""
    if metric.theirs:
        return "share of the sources" if metric.unit == "share" else "value of the sources"
    return {"csat": "ratings", "sentiment": "moments"}.get(metric.name, metric.unit)


Rows = Sequence[Any]


def _share(rows: Rows) -> Measured:
    row = dict(rows[0])
    return Measured(estimate=share(row.pop("k"), row.pop("n")), left_out=row)


def _ratings(rows: Rows) -> Measured:
    csat = _csat_of(rows)
    return Measured(estimate=csat_mean(csat), left_out={"not rated": csat.asked - csat.rated})


def _csat_of(rows: Rows) -> Csat:
    counted = {row["rating"]: int(row["n"]) for row in rows}
    one, two, three, four, five = (counted.get(stars, 0) for stars in range(1, 6))
    return Csat(counts=(one, two, three, four, five), asked=sum(counted.values()))


def _times(rows: Rows) -> Measured:
    ended = [float(row["seconds"]) for row in rows if row["over"] for _ in range(row["n"])]
    still = [max(float(row["seconds"]), 0.0) for row in rows if row["over"] is False for _ in range(row["n"])]
    left_out = sum(row["n"] for row in rows if row["over"] is None)
    return Measured(estimate=survival_quantile(ended, still), left_out={"not resolved, or time unknown": left_out})


def _moments(rows: Rows) -> Measured:
    row = dict(rows[0])
    estimate = mean_from_moments(row["n"], row["mean"], row["sd"], low=0.0, high=1.0)
    return Measured(estimate=estimate, left_out={"no sentiment": row["no sentiment"]})


def _ratio(rows: Rows) -> Measured:
    row = dict(rows[0])
    sums = [float(row.pop(name)) for name in ("n", "y", "x", "yy", "xx", "xy")]
    return Measured(estimate=ratio_of(PairMoments.from_sums(*sums)), left_out=row)


def _correlation(rows: Rows) -> Measured:
    both = [row for row in rows if row["quality"] is not None and row["rating"] is not None]
    quality, rating = ([row[name] for row in both for _ in range(row["n"])] for name in ("quality", "rating"))
    found = spearman(quality, rating)
    effect = found.effect if isinstance(found, Determined) and found.effect is not None else None
    left_out = sum(row["n"] for row in rows) - len(quality)
    return Measured(estimate=effect, left_out={"quality or rating unknown": left_out})


def _share_of_theirs(rows: Rows) -> Measured:
    [row] = rows
    return _bare(row["k"] / row["n"] if row["n"] else None, row["n"])


def _value_of_theirs(rows: Rows) -> Measured:
    [row] = rows
    return _bare(None if row["value"] is None else float(row["value"]), row["n"])


def _bare(value: float | None, n: int) -> Measured:
    """The sources give no interval, and none is made up for them."""
    estimate = None if value is None else Estimate(value=value, low=value, high=value, n=n, method="no interval")
    return Measured(estimate=estimate, left_out={})


_READERS = {
    "share": _share,
    "ratings": _ratings,
    "seconds": _times,
    "moments": _moments,
    "usd": _ratio,
    "correlation": _correlation,
    "share of the sources": _share_of_theirs,
    "value of the sources": _value_of_theirs,
}


# What stands beside the measures


def _tickets(connection: Connection) -> Tickets:
    row = connection.execute(
        text(f"""
            SELECT {how_many("true")} AS total, {how_many("taken_by = 'ai'")} AS by_ai,
                   {how_many("taken_by = 'human'")} AS by_humans,
                   {how_many("taken_by IS NULL")} AS taker_unknown,
                   {how_many("b.sample_data")} AS sample_data
            FROM customer_tickets t LEFT JOIN ingest_batches b ON b.id = t.batch_id
        """)
    ).mappings()
    return Tickets(**row.one())


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
    return _csat_of(connection.execute(text(DEFINITIONS["csat"]), {"taker": "ai"}).mappings().all())


def _sentiments(connection: Connection) -> dict[str, int]:
    row = connection.execute(text(DEFINITIONS["sentiment"]), {"taker": "ai"}).mappings().one()
    return {label: row[label] for label in SENTIMENTS}


def _quality_by_rating(connection: Connection) -> tuple[tuple[int, ...], ...]:
    rows = connection.execute(
        text("""
            SELECT least(CAST(floor(quality * 5) AS int), 4) AS fifth, rating, sum(tickets) AS n
            FROM customer_tickets
            WHERE taken_by = 'ai' AND quality IS NOT NULL AND rating IS NOT NULL GROUP BY 1, 2
        """)
    )
    counted = {(row.fifth, row.rating): row.n for row in rows}
    return tuple(tuple(counted.get((fifth, stars), 0) for stars in range(1, 6)) for fifth in range(5))


def _cost(connection: Connection) -> Any:
    return connection.execute(
        text("""
            SELECT sum(cost), CAST(coalesce(sum(unpriced * tickets), 0) AS bigint)
            FROM customer_tickets WHERE taken_by = 'ai'
        """)
    ).one()


def _tracked(connection: Connection, window: Window) -> dict[str, Estimate | None]:
    """Shares of all requests of the window, whatever their feature: the silent ones are counted already."""
    sums = ", ".join(f"CAST(coalesce(sum(with_{name}), 0) AS bigint)" for name in TRACKED)
    silent = ", ".join(f"with_{name}" for name in TRACKED)
    told = ", ".join(f"count(*) FILTER (WHERE {known})" for known in TRACKED.values())
    *known, n = connection.execute(
        text(f"""
            SELECT {sums}, CAST(coalesce(sum(tickets), 0) AS bigint)
            FROM (SELECT {silent}, tickets FROM customer_silent UNION ALL
                  SELECT {told}, count(*) FROM requests WHERE at >= :begins AND at < :ends AND {TOLD}) AS counted
        """),
        window.given(),
    ).one()
    return {name: share(count, n) for name, count in zip(TRACKED, known, strict=True)}
