"""The customer facts of a window's days put together: what every definition asks."""

from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, text

from evaluations.rollups import day_bounds
from evaluations.spend import window_before
from tasks.store.customer.days import COUNTS
from tasks.store.customer.tickets import CLOSED, TRACKED


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
            "first": self.first,
            "last": self.last,
            "seen_on": self.seen_to.astimezone(ZoneInfo(self.timezone)).date(),
            "features": list(self.features),
            "category": self.category,
            "recontact_days": self.recontact_days,
        }

    def before(self) -> "Window":
        """As many days, ending on the day before."""
        first, last = window_before(self.first, self.last)
        return replace(self, first=first, last=last)


_OF_DAYS = "day BETWEEN :first AND :last"
OF_WINDOW = f"""{_OF_DAYS} AND feature = ANY(:features)
    AND (CAST(:category AS text) IS NULL OR category = CAST(:category AS text))"""
"""Which facts belong to a window, in a statement that is given `Window.given()`."""
TICKETS = f"""
CREATE TEMPORARY TABLE customer_tickets ON COMMIT DROP AS
SELECT taken_by, outcome, passed_on, outcome IN {CLOSED} AS closed, traceable,
       -- The last day of the recontact window has to be over.
       done_on + :recontact_days < CAST(:seen_on AS date) AS due,
       coalesce(back_after <= :recontact_days, false) AS came_back,
       escalation_reason, CAST(sum(tickets) AS integer) AS tickets
FROM customer_outcomes WHERE {OF_WINDOW} GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
UNION ALL
SELECT taken_by, NULL, false, NULL, false, NULL, false, NULL, CAST(sum(tickets) AS integer)
FROM customer_silent WHERE {OF_WINDOW} GROUP BY taken_by
"""
_OF_SILENT = {
    "tickets": "sum(tickets)",
    "sample_data": "sum(sample_data)",
    "cost": "sum(cost)",
    "unpriced": "sum(unpriced * tickets)",
    "follow_up_unknown": "sum(tickets)",
    "judged": "sum(tickets) FILTER (WHERE {judged})",
    "judged_cost": "sum(cost) FILTER (WHERE {judged})",
    "judged_cost_squares": "sum(cost_squares) FILTER (WHERE {judged})",
    "judged_successes": "sum(tickets) FILTER (WHERE {judged} AND successes = 1)",
    "judged_success_squares": "sum(tickets) FILTER (WHERE {judged} AND successes = 1)",
    "judged_success_cost": "sum(cost) FILTER (WHERE {judged} AND successes = 1)",
    "cost_unknown": "sum(tickets) FILTER (WHERE unpriced > 0)",
    "status_unknown": "sum(tickets) FILTER (WHERE unpriced = 0 AND status_unknown > 0)",
}
"""What can be said of silent tickets: each is one request."""


def _of_silent(name: str) -> str:
    return _OF_SILENT.get(name, "0").format(judged="unpriced = 0 AND status_unknown = 0")


def _summed(name: str, kind: str) -> str:
    """Money stays unknown where none is known; what is counted is none."""
    total = f"sum(summed.{name})"
    return f"{total} AS {name}" if name == "cost" else f"CAST(coalesce({total}, 0) AS {kind}) AS {name}"


_EXACT = ("sentiment_sum", "sentiment_squares")
_KINDS = {
    name: "numeric" if name in _EXACT or "cost" in name.removeprefix("cost_unknown") else "bigint" for name in COUNTS
}
COUNTS_OF_TICKETS = f"""
CREATE TEMPORARY TABLE customer_counts ON COMMIT DROP AS
WITH summed AS (
    SELECT taken_by, {", ".join(f"sum({name}) AS {name}" for name in COUNTS)}
    FROM customer_sums WHERE {OF_WINDOW} GROUP BY taken_by
    UNION ALL
    SELECT taken_by, {", ".join(_of_silent(name) for name in COUNTS)}
    FROM customer_silent WHERE {OF_WINDOW} GROUP BY taken_by
)
SELECT takers.taken_by, {", ".join(_summed(name, kind) for name, kind in _KINDS.items())}
FROM (VALUES ('ai'), ('human'), (NULL)) AS takers(taken_by)
LEFT JOIN summed ON summed.taken_by IS NOT DISTINCT FROM takers.taken_by GROUP BY takers.taken_by
"""
_OF_CONTACTS = ("requests", "resolved", "escalated", "rating_n", "rating_sum")
CONTACTS = f"""
CREATE TEMPORARY TABLE customer_contacts ON COMMIT DROP AS
WITH summed AS (
    SELECT handled_by, {", ".join(f"sum({name}) AS {name}" for name in _OF_CONTACTS)}
    FROM customer_requests WHERE {OF_WINDOW} GROUP BY handled_by
    UNION ALL
    SELECT 'ai', sum(tickets), 0, 0, 0, 0 FROM customer_silent WHERE {OF_WINDOW}
)
SELECT takers.handled_by,
       {", ".join(f"CAST(coalesce(sum({name}), 0) AS bigint) AS {name}" for name in _OF_CONTACTS)}
FROM (VALUES ('ai'), ('human')) AS takers(handled_by) LEFT JOIN summed USING (handled_by) GROUP BY takers.handled_by
"""
"""What the formulas of the source documents count."""
OF_A_WINDOW = (TICKETS, COUNTS_OF_TICKETS)
_WITH = ", ".join(f"with_{name}" for name in TRACKED)
TRACKED_IN = f"""
SELECT {", ".join(f"CAST(coalesce(sum(with_{name}), 0) AS bigint) AS {name}" for name in TRACKED)},
       CAST(coalesce(sum(requests), 0) AS bigint) AS requests
FROM (SELECT {_WITH}, tickets AS requests FROM customer_silent WHERE {_OF_DAYS} UNION ALL
      SELECT {_WITH}, requests FROM customer_requests WHERE {_OF_DAYS}) AS counted
"""
"""What is known of all requests of the window, whatever their feature."""


def put_together(connection: Connection, window: Window) -> None:
    """Make what the definitions ask of, in temporary tables that end with the transaction."""
    connection.execute(text("DROP TABLE IF EXISTS customer_tickets, customer_counts, customer_contacts"))
    # Compiling the statements would cost more than it saves.
    connection.execute(text("SET LOCAL work_mem = '128MB'; SET LOCAL jit = off"))
    for statement in (*OF_A_WINDOW, CONTACTS):
        connection.execute(text(statement), window.given())


def days_with_outcomes(connection: Connection, feature: str | None = None) -> tuple[date, date] | None:
    """The first and the last day with requests that say anything of an outcome; None when there is none."""
    row = connection.execute(
        text("""SELECT min(day), max(day) FROM customer_requests WHERE with_outcome > 0
                AND (CAST(:feature AS text) IS NULL OR feature = CAST(:feature AS text))"""),
        {"feature": feature},
    ).one()
    return None if row[0] is None else (row[0], row[1])


def seen_to(connection: Connection, timezone: str) -> datetime | None:
    """The newest request of a day that is rolled up: whoever came back later is in no facts yet. None without any."""
    newest = connection.execute(text("SELECT max(day) FROM rolled_days WHERE requests > 0")).scalar_one()
    if newest is None:
        return None
    begins, ends = day_bounds(newest, timezone)
    found: datetime | None = connection.execute(
        text("SELECT max(at) FROM requests WHERE at >= :begins AND at < :ends"), {"begins": begins, "ends": ends}
    ).scalar_one()
    return found or begins


def features_with_outcomes(connection: Connection, first: date, last: date) -> tuple[str, ...]:
    """Features whose requests of some days say how they ended, in order."""
    rows = connection.execute(
        text("""SELECT DISTINCT feature FROM customer_requests
                WHERE day BETWEEN :first AND :last AND with_outcome > 0 ORDER BY 1"""),
        {"first": first, "last": last},
    )
    return tuple(rows.scalars())


def days_waiting(connection: Connection) -> int:
    """Days whose requests changed, or of whose tickets more was said, since their facts were written."""
    found: int = connection.execute(
        text("SELECT count(*) FROM (SELECT day FROM rollup_dirty UNION SELECT day FROM customer_dirty) AS waiting")
    ).scalar_one()
    return found
