"""The tickets of one day, counted as a whole in one transaction: what its requests and those of other days say of them.

What is said of a ticket may be said weeks later. So a rollup that changes a day marks each day whose tickets its
requests can tell of (`mark_reached`), in its own transaction; here the marks are taken away before the requests are
read, as a rollup does it with those of an ingest. Run twice, at once, or killed at any statement, it leaves the same.
"""

from collections.abc import Mapping
from datetime import date

from sqlalchemy import Connection, text

from evaluations.customer import NEGATIVE_BELOW, POSITIVE_FROM
from evaluations.rollups import day_bounds
from tasks.store import rollups
from tasks.store.customer.tickets import OF_TICKETS, TRACKED
from tasks.store.traffic import TOLD

FACTS = ("customer_outcomes", "customer_sums", "customer_requests")
"""The tables that are written here."""
_LOCK_CLASS = 0x4153_4355
"""First half of the advisory lock of a day's tickets."""


def _if(condition: str) -> str:
    return f"count(*) FILTER (WHERE {condition})"


def _sum_if(condition: str, value: str) -> str:
    return f"coalesce(sum({value}) FILTER (WHERE {condition}), 0)"


def _series(value: str, condition: str) -> str:
    return f"coalesce(string_agg(float8send({value}), ''::bytea ORDER BY {value}) FILTER (WHERE {condition}), '')"


_COST = "coalesce(cost, 0)"
_CLOSED_PRICED = "closed AND unpriced = 0"
_ALONE = "outcome = 'resolved' AND NOT passed_on"
_JUDGED = "unpriced = 0 AND status_unknown = 0"
_TIMED = "closed AND resolution_s IS NOT NULL AND outcome NOT IN ('unresolved', 'abandoned')"
_OPEN = "outcome = 'pending'"
_BEGAN = "CAST(extract(epoch FROM opened) AS float8)"
COUNTS: Mapping[str, str] = {
    "tickets": "count(*)",
    "sample_data": _if("batch_id IN (SELECT id FROM ingest_batches WHERE sample_data)"),
    "cost": "sum(cost)",
    "unpriced": "sum(unpriced)",
    "not_asked": _if(f"{_OPEN} AND rating IS NULL"),
    **{f"rated_{stars}": _if(f"rating = {stars}") for stars in range(1, 6)},
    "sentiment_n": "count(sentiment)",
    # Sums of floating-point numbers depend on their order; those of decimals do not.
    "sentiment_sum": _sum_if("sentiment IS NOT NULL", "CAST(sentiment AS numeric)"),
    "sentiment_squares": _sum_if("sentiment IS NOT NULL", "CAST(sentiment AS numeric) * CAST(sentiment AS numeric)"),
    "negative": _if(f"sentiment < {NEGATIVE_BELOW}"),
    "neutral": _if(f"sentiment >= {NEGATIVE_BELOW} AND sentiment < {POSITIVE_FROM}"),
    "positive": _if(f"sentiment >= {POSITIVE_FROM}"),
    "follow_up_required": _if("follow_up_required"),
    "follow_up_completed": _if("follow_up_required AND follow_up_completed"),
    "follow_up_unknown": _if("follow_up_required IS NULL"),
    "closed_priced": _if(_CLOSED_PRICED),
    "closed_cost": _sum_if(_CLOSED_PRICED, _COST),
    "closed_cost_squares": _sum_if(_CLOSED_PRICED, f"{_COST} * {_COST}"),
    "closed_alone": _if(f"{_CLOSED_PRICED} AND {_ALONE}"),
    "closed_alone_cost": _sum_if(f"{_CLOSED_PRICED} AND {_ALONE}", _COST),
    "closed_unpriced": _if("closed AND unpriced > 0"),
    "judged": _if(_JUDGED),
    "judged_cost": _sum_if(_JUDGED, _COST),
    "judged_cost_squares": _sum_if(_JUDGED, f"{_COST} * {_COST}"),
    "judged_successes": _sum_if(_JUDGED, "successes"),
    "judged_success_squares": _sum_if(_JUDGED, "successes * successes"),
    "judged_success_cost": _sum_if(_JUDGED, f"successes * {_COST}"),
    "cost_unknown": _if("unpriced > 0"),
    "status_unknown": _if("unpriced = 0 AND status_unknown > 0"),
}
"""What is summed of tickets, in any order and over any of them."""
SERIES: Mapping[str, str] = {
    "seconds_alone": _series("resolution_s", f"NOT passed_on AND {_TIMED}"),
    "seconds_passed_on": _series("resolution_s", f"passed_on AND {_TIMED}"),
    "open_alone": _series(_BEGAN, f"NOT passed_on AND {_OPEN}"),
    "open_passed_on": _series(_BEGAN, f"passed_on AND {_OPEN}"),
    "qualities": "coalesce(string_agg(float8send(quality) || float8send(rating), ''::bytea ORDER BY quality, rating) "
    "FILTER (WHERE quality IS NOT NULL AND rating IS NOT NULL), '')",
}
"""What is kept of each ticket."""
_ENDED = {
    "taken_by": "taken_by",
    "outcome": "outcome",
    "passed_on": "passed_on",
    "traceable": "traceable",
    "done_on": "CASE WHEN closed THEN done_on END",
    "back_after": "back_after",
    "escalation_reason": "CASE WHEN closed AND passed_on THEN escalation_reason END",
}
COUNT_OUTCOMES = f"""
INSERT INTO customer_outcomes (day, feature, category, {", ".join(_ENDED)}, tickets)
SELECT :day, feature, category, {", ".join(_ENDED.values())}, count(*)
FROM day_tickets GROUP BY {", ".join(str(place) for place in range(2, len(_ENDED) + 4))}
"""
COUNT_SUMS = f"""
INSERT INTO customer_sums (day, feature, category, taken_by, {", ".join((*COUNTS, *SERIES))})
SELECT :day, feature, category, taken_by,
       {", ".join((*COUNTS.values(), *SERIES.values()))}
FROM day_tickets GROUP BY feature, category, taken_by
"""
HAS_OUTCOME = """(resolution IS NOT NULL OR rating IS NOT NULL OR sentiment IS NOT NULL OR handled_by IS NOT NULL
    OR escalated_at IS NOT NULL)"""
"""What says how a request ended."""
_ESCALATED = "resolution LIKE 'escalated%'"
OF_REQUESTS: Mapping[str, str] = {
    "requests": "count(*)",
    "with_outcome": _if(HAS_OUTCOME),
    "resolved": _if("resolution = 'resolved'"),
    "escalated": _if(_ESCALATED),
    "rating_n": "count(rating)",
    "rating_sum": "coalesce(sum(rating), 0)",
    "seconds": _series("resolution_s", f"resolution_s IS NOT NULL AND NOT coalesce({_ESCALATED}, false)"),
    **{f"with_{name}": _if(known) for name, known in TRACKED.items()},
}
COUNT_REQUESTS = f"""
INSERT INTO customer_requests (day, feature, category, handled_by, {", ".join(OF_REQUESTS)})
SELECT :day, feature, category, coalesce(handled_by, 'ai'),
       {", ".join(OF_REQUESTS.values())}
FROM requests WHERE at >= :begins AND at < :ends AND {TOLD} GROUP BY feature, category, coalesce(handled_by, 'ai')
"""
OF_A_DAY = (*OF_TICKETS, COUNT_OUTCOMES, COUNT_SUMS, COUNT_REQUESTS)
"""All that is done to count a day, in order."""


def waiting_days(connection: Connection) -> list[date]:
    """Days whose tickets are to be counted, oldest first, those that are frozen left out."""
    timezone = rollups.timezone_of(connection)
    days = connection.execute(text("SELECT DISTINCT day FROM customer_dirty ORDER BY day")).scalars().all()
    return [day for day in days if not rollups.is_frozen(connection, *day_bounds(day, timezone))]


def count_tickets(connection: Connection, day: date) -> None:
    """Rewrite what became of a day's tickets and clear its marks. The caller's transaction has to be READ COMMITTED.

    A day whose requests retention took away, wholly or in part, stays as it is.
    """
    rollups.lock(connection, day, _LOCK_CLASS)
    timezone = rollups.timezone_of(connection)
    begins, ends = day_bounds(day, timezone)
    if rollups.is_frozen(connection, begins, ends):
        return
    given = {"day": day, "begins": begins, "ends": ends, "timezone": timezone}
    connection.execute(text("DELETE FROM customer_dirty WHERE day = :day"), given)
    for table in FACTS:
        connection.execute(text(f"DELETE FROM {table} WHERE day = :day"), given)
    # Tickets are to be grouped in memory; compiling the statements would cost more than it saves.
    connection.execute(text("SET LOCAL work_mem = '128MB'; SET LOCAL jit = off"))
    for statement in OF_A_DAY:
        connection.execute(text(statement), given)
    connection.execute(text("DROP TABLE day_matters, day_tickets"))
