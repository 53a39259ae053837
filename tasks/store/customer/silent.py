"""Requests of a day of which nobody says how they ended, counted by kind with the day's other facts."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta

from sqlalchemy import Connection, text

from evaluations.customer import FOLLOWED_DAYS, MOST_RECONTACT_DAYS
from tasks.store.customer.tickets import TRACKED, UNPRICED
from tasks.store.traffic import TOLD

_KINDS: Mapping[str, str] = {
    "feature": "feature",
    "category": "category",
    "taken_by": "CASE WHEN model IS NOT NULL THEN 'ai' END",
    "successes": "CASE WHEN status = 'success' THEN 1 ELSE 0 END",
    "status_unknown": "CASE WHEN status IS NULL THEN 1 ELSE 0 END",
    "unpriced": f"CASE WHEN {UNPRICED} THEN 1 ELSE 0 END",
}
_COUNTS: Mapping[str, str] = {
    "tickets": "count(*)",
    "cost": "sum(cost)",
    "cost_squares": "sum(cost * cost)",
    **{f"with_{name}": f"count(*) FILTER (WHERE {known})" for name, known in TRACKED.items()},
}
_BATCHES = "batch_id IN (SELECT id FROM ingest_batches WHERE sample_data)"
# Read into a temporary table, which several processes do at once, as they do not for an INSERT.
READ = f"""
CREATE TEMPORARY TABLE silent_of_day ON COMMIT DROP AS
SELECT {", ".join(f"{sql} AS {name}" for name, sql in _KINDS.items())}, batch_id,
       {", ".join(f"{sql} AS {name}" for name, sql in _COUNTS.items())}
FROM requests WHERE at >= :begins AND at < :ends AND NOT {TOLD}
GROUP BY {", ".join(str(place + 1) for place in range(len(_KINDS) + 1))}
"""
COUNT = f"""
INSERT INTO customer_silent (day, {", ".join((*_KINDS, "sample_data", *_COUNTS))})
SELECT :day, {", ".join(_KINDS)}, coalesce(sum(tickets) FILTER (WHERE {_BATCHES}), 0),
       {", ".join(f"sum({name})" for name in _COUNTS)}
FROM silent_of_day GROUP BY {", ".join(_KINDS)}
"""
"""What is counted of a kind holds of each of its requests; costs are sums."""
_REACH_BACK = timedelta(days=FOLLOWED_DAYS + MOST_RECONTACT_DAYS + 1)
_REACH_ON = timedelta(days=FOLLOWED_DAYS + 1)


def count_silent(connection: Connection, day: date, begins: datetime, ends: datetime) -> None:
    """Rewrite what is known of the silent requests of a day."""
    given = {"day": day, "begins": begins, "ends": ends}
    connection.execute(text("DELETE FROM customer_silent WHERE day = :day"), given)
    # The planner takes kinds to be as many as requests, and would hand each of these over to one process to count.
    connection.execute(text("SET LOCAL parallel_tuple_cost = 0"))
    connection.execute(text(READ), given)
    connection.execute(text(COUNT), given)
    connection.execute(text("SET LOCAL parallel_tuple_cost TO DEFAULT; DROP TABLE silent_of_day"))


def mark_reached(connection: Connection, day: date, actor: str) -> None:
    """Mark the days with tickets of which requests of a day that changed may say something, in its own transaction.

    The day itself in any case: it may have had tickets before.
    """
    connection.execute(
        text(f"""
            INSERT INTO customer_dirty (day, actor)
            SELECT day, :actor FROM rolled_days
            WHERE day = :day OR day BETWEEN :since AND :until AND EXISTS (
                -- Wherever midnight is; retention may have taken the requests of either side away.
                SELECT FROM requests WHERE at >= CAST(day - 1 AS timestamp) AT TIME ZONE 'UTC'
                  AND at < CAST(day + 2 AS timestamp) AT TIME ZONE 'UTC' AND {TOLD})
            ORDER BY day
        """),
        {"day": day, "actor": actor, "since": day - _REACH_BACK, "until": day + _REACH_ON},
    )
