"""Tickets: what the requests of one matter say together. Every customer metric counts these, made by this SQL.

A ticket is all requests of one source and feature with the same `ticket`; a request without one is a ticket of its
own. It belongs to the window in which it began, and is followed for thirty days before and after.

Of most requests nobody says how they ended, or to which matter they belong. All that can be told of these silent ones
is how many there are and what they cost, so they are counted by kind: a row of `customer_tickets` is one ticket or, of
silent ones, as many as its `tickets` says.
"""

from collections.abc import Mapping

from evaluations.customer import FOLLOWED_DAYS, SAME_CONTACT_S
from evaluations.rollups import TOKENS
from tasks.store.traffic import TOLD

TICKETS_VERSION = 1
CLOSED = "('resolved', 'escalated_human', 'escalated_specialist', 'unresolved', 'abandoned')"
UNPRICED = f"""cost IS NULL AND ({" + ".join(TOKENS)} > 0 OR NOT usage_known AND model IS NOT NULL)"""
"""As the rollups count it: what used nothing costs nothing."""
_ESCALATED = "resolution LIKE 'escalated%' OR escalated_at IS NOT NULL OR escalation_reason IS NOT NULL"


_FOLLOWED_TO = f"CAST(:ends AS timestamptz) + INTERVAL '{FOLLOWED_DAYS} days' + make_interval(days => :recontact_days)"
_OF_CATEGORY = "(CAST(:category AS text) IS NULL OR category = CAST(:category AS text))"
TRACKED: Mapping[str, str] = {
    "latency": "latency_ms IS NOT NULL",
    "tokens": "usage_known",
    "cost": "cost IS NOT NULL",
    "model": "model IS NOT NULL",
    "trace": "trace_id IS NOT NULL",
}
"""What can be known of any request."""


def _first(column: str) -> tuple[str, str]:
    """What was said first of a matter tells how it began."""
    return column, f"(array_agg({column} ORDER BY at, id) FILTER (WHERE {column} IS NOT NULL))[1]"


def _last(column: str) -> tuple[str, str]:
    """What was said last of a matter holds."""
    return column, f"(array_agg({column} ORDER BY at DESC, id DESC) FILTER (WHERE {column} IS NOT NULL))[1]"


def _any(condition: str) -> tuple[str, str]:
    return f"({condition})", f"bool_or({condition})"


def _how_many(condition: str) -> tuple[str, str]:
    return f"CASE WHEN {condition} THEN 1 ELSE 0 END", f"count(*) FILTER (WHERE {condition})"


def _when(condition: str) -> tuple[str, str]:
    return f"CASE WHEN {condition} THEN at END", f"min(at) FILTER (WHERE {condition})"


_OF_A_MATTER: Mapping[str, tuple[str, str]] = {
    "opened": ("at", "min(at)"),
    "subject": _first("subject"),
    "category": _first("category"),
    "taken_by": _first("taker"),
    "with_people": _any("taker = 'human'"),
    "last_resolution": _last("resolution"),
    "escalated": (f"coalesce({_ESCALATED}, false)", f"coalesce(bool_or({_ESCALATED}), false)"),
    "first_resolved": _when("resolution = 'resolved'"),
    "first_closed": _when(f"resolution IN {CLOSED}"),
    "first_closed_s": (
        f"CASE WHEN resolution IN {CLOSED} THEN resolution_s END",
        f"(array_agg(resolution_s ORDER BY at, id) FILTER (WHERE resolution IN {CLOSED}))[1]",
    ),
    "resolution_s": _last("resolution_s"),
    "escalation_reason": _first("escalation_reason"),
    "reopened": _any("reopened"),
    "rating": _last("rating"),
    "quality": _last("quality"),
    "sentiment": _last("sentiment"),
    "follow_up_required": _any("follow_up_required"),
    "follow_up_completed": (
        "coalesce(follow_up_completed, false)",
        "coalesce(bool_or(follow_up_completed), false)",
    ),
    "requests": ("1", "count(*)"),
    "successes": _how_many("status = 'success'"),
    "status_unknown": _how_many("status IS NULL"),
    "cost": ("cost", "sum(cost)"),
    "unpriced": _how_many(UNPRICED),
    "batch_id": ("batch_id", "max(batch_id)"),
}
"""What a matter has -> how one request says it, and how several say it together."""


def _columns(of: int) -> str:
    return ",\n           ".join(f"{sides[of]} AS {name}" for name, sides in _OF_A_MATTER.items())


_KINDS: Mapping[str, str] = {
    "feature": "feature",
    "category": "category",
    "batch_id": "batch_id",
    "taken_by": "CASE WHEN model IS NOT NULL THEN 'ai' END",
    **{name: _OF_A_MATTER[name][0] for name in ("successes", "status_unknown", "unpriced")},
}
SILENT = f"""
CREATE TEMPORARY TABLE customer_silent ON COMMIT DROP AS
SELECT {", ".join(f"{sql} AS {name}" for name, sql in _KINDS.items())},
       CAST(count(*) AS integer) AS tickets, sum(cost) AS cost, sum(cost * cost) AS cost_squares,
       {", ".join(f"count(*) FILTER (WHERE {known}) AS with_{name}" for name, known in TRACKED.items())}
FROM requests WHERE at >= :begins AND at < :ends AND NOT {TOLD}
GROUP BY {", ".join(str(place) for place in range(1, len(_KINDS) + 1))}
"""
"""Silent requests of the window by kind. What is counted of a kind holds of each of its requests; costs are sums."""

MATTERS = f"""
CREATE TEMPORARY TABLE customer_matters ON COMMIT DROP AS
WITH said AS NOT MATERIALIZED (
    SELECT *,
           -- A model took part: that was the AI, whether or not somebody said so. Otherwise nobody knows.
           coalesce(handled_by, CASE WHEN model IS NOT NULL THEN 'ai' END) AS taker
    FROM requests
    WHERE feature = ANY(:features) AND {TOLD}
), matters AS (
    -- Most requests are matters of their own: those need no grouping, and nothing from outside of the window.
    SELECT source, feature, ticket,
           {_columns(0)}
    FROM said WHERE ticket IS NULL AND at >= :begins AND at < :ends
    UNION ALL
    SELECT source, feature, ticket,
           {_columns(1)}
    FROM said WHERE ticket IS NOT NULL
      AND at >= CAST(:begins AS timestamptz) - INTERVAL '{FOLLOWED_DAYS} days'
      AND at < {_FOLLOWED_TO}
    GROUP BY source, feature, ticket
)
SELECT *,
       -- An escalation is an outcome, even where the outcome was not written.
       coalesce(last_resolution, CASE WHEN escalated THEN 'escalated_human' END) AS outcome,
       escalated OR coalesce(taken_by = 'ai' AND with_people, false) AS passed_on,
       greatest(coalesce(first_resolved, first_closed, opened), opened + make_interval(secs => first_closed_s))
           AS done_at
FROM matters
"""

NEXT_CONTACT = """CREATE INDEX ON customer_matters (subject, feature, opened) WHERE ticket IS NOT NULL;
ANALYZE customer_matters (source, feature, ticket, subject, category, opened)"""

TICKETS = f"""
CREATE TEMPORARY TABLE customer_tickets ON COMMIT DROP AS
SELECT matters.*,
       1 AS tickets, cost * cost AS cost_squares,
       outcome IN {CLOSED} AS closed,
       (subject IS NOT NULL OR ticket IS NOT NULL OR reopened IS NOT NULL) AS traceable,
       done_at + make_interval(days => :recontact_days) <= CAST(:seen_to AS timestamptz) AS due,
       -- Only a resolution can turn out not to be one.
       outcome = 'resolved' AND (coalesce(reopened, false)
       -- In another ticket: the same subject about the same feature, and nothing says it is about something else.
       OR subject IS NOT NULL AND EXISTS (
           SELECT FROM requests AS later
           WHERE later.subject = matters.subject AND later.feature = matters.feature AND later.ticket IS NULL
             AND later.at > matters.done_at AND later.at < {_FOLLOWED_TO}
             AND later.at <= matters.done_at + make_interval(days => :recontact_days)
             AND coalesce(later.category = matters.category, true))
       OR subject IS NOT NULL AND EXISTS (
           SELECT FROM customer_matters AS later
           WHERE later.subject = matters.subject AND later.feature = matters.feature AND later.ticket IS NOT NULL
             AND later.opened > matters.done_at
             AND later.opened <= matters.done_at + make_interval(days => :recontact_days)
             AND coalesce(later.category = matters.category, true))
       -- In the same ticket, once the contact was over.
       OR ticket IS NOT NULL AND requests > 1 AND EXISTS (
           SELECT FROM requests AS later
           WHERE later.ticket = matters.ticket AND later.source = matters.source AND later.feature = matters.feature
             AND later.at > matters.done_at + INTERVAL '{SAME_CONTACT_S} seconds'
             AND later.at <= matters.done_at + make_interval(days => :recontact_days)))
       AS came_back
FROM customer_matters AS matters
WHERE opened >= :begins AND opened < :ends
  AND {_OF_CATEGORY}
"""
"""Tickets of the window. `closed` is null where the outcome is unknown; `due`: the recontact window is over."""

SILENT_TICKETS = f"""
INSERT INTO customer_tickets (category, taken_by, passed_on, follow_up_completed, batch_id, successes, status_unknown,
                              unpriced, tickets, cost, cost_squares)
SELECT category, taken_by, false, false, batch_id, successes, status_unknown, unpriced, tickets, cost, cost_squares
FROM customer_silent WHERE feature = ANY(:features) AND {_OF_CATEGORY}
"""

REQUESTS = f"""
CREATE TEMPORARY TABLE customer_requests ON COMMIT DROP AS
SELECT handled_by, resolution, rating, resolution_s, 1 AS requests
FROM requests
WHERE at >= :begins AND at < :ends AND feature = ANY(:features) AND {_OF_CATEGORY} AND {TOLD}
UNION ALL
SELECT NULL, NULL, NULL, NULL, tickets FROM customer_silent WHERE feature = ANY(:features) AND {_OF_CATEGORY}
"""
"""What the formulas of the source documents count; a row is one request or as many silent ones as it says."""

OF_REQUESTS = (SILENT, REQUESTS)
OF_TICKETS = (SILENT, MATTERS, NEXT_CONTACT, TICKETS, SILENT_TICKETS)
"""What is made before a definition is asked, in order."""
