"""Tickets: what the requests of one matter say together. Every customer metric counts these, made by this SQL.

A ticket is all requests of one source and feature with the same `ticket`, from one that has none before it for thirty
days, for thirty days; a request without one is a ticket of its own. It belongs to the day on which it began.

Of most requests nobody says how they ended, or to which matter they belong. All that can be told of these silent ones
is how many there are and what they cost: they are counted by kind (silent.py) and are no rows here.
"""

from collections.abc import Mapping

from evaluations.customer import FOLLOWED_DAYS, MOST_RECONTACT_DAYS, SAME_CONTACT_S
from evaluations.rollups import TOKENS
from tasks.store.traffic import TOLD

TICKETS_VERSION = 2
CLOSED = "('resolved', 'escalated_human', 'escalated_specialist', 'unresolved', 'abandoned')"
UNPRICED = f"""cost IS NULL AND ({" + ".join(TOKENS)} > 0 OR NOT usage_known AND model IS NOT NULL)"""
"""As the rollups count it: what used nothing costs nothing."""
_ESCALATED = "resolution LIKE 'escalated%' OR escalated_at IS NOT NULL OR escalation_reason IS NOT NULL"


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


# A model took part: that was the AI, whether or not somebody said so. Otherwise nobody knows.
_TAKER = "coalesce(handled_by, CASE WHEN model IS NOT NULL THEN 'ai' END)"
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


_EARLIER = f"""EXISTS (
    SELECT FROM requests AS earlier
    WHERE earlier.ticket = {{named}}.ticket AND earlier.source = {{named}}.source
      AND earlier.feature = {{named}}.feature AND earlier.at >= {{named}}.at - INTERVAL '{FOLLOWED_DAYS} days'
      AND (earlier.at < {{named}}.at OR earlier.at = {{named}}.at AND earlier.id < {{named}}.id))"""
"""Whether the ticket of a request had begun before it."""

MATTERS = f"""
CREATE TEMPORARY TABLE day_matters ON COMMIT DROP AS
WITH said AS MATERIALIZED (
    SELECT *, {_TAKER} AS taker FROM requests WHERE at >= :begins AND at < :ends AND {TOLD}
), begun AS MATERIALIZED (
    SELECT source, feature, ticket, at AS began FROM said
    WHERE ticket IS NOT NULL AND NOT {_EARLIER.format(named="said")}
)
-- Most requests are matters of their own: those need no grouping, and nothing from outside of the day.
SELECT source, feature, ticket,
       {_columns(0)}
FROM said WHERE ticket IS NULL
UNION ALL
SELECT source, feature, ticket,
       {_columns(1)}
FROM (
    SELECT named.*, {_TAKER} AS taker FROM begun JOIN requests AS named USING (source, feature, ticket)
    WHERE named.at >= began AND named.at <= began + INTERVAL '{FOLLOWED_DAYS} days') AS parts
GROUP BY source, feature, ticket
"""

TICKETS = f"""
CREATE TEMPORARY TABLE day_tickets ON COMMIT DROP AS
WITH ended AS (
    SELECT *,
           -- An escalation is an outcome, even where the outcome was not written.
           coalesce(last_resolution, CASE WHEN escalated THEN 'escalated_human' END) AS outcome,
           escalated OR coalesce(taken_by = 'ai' AND with_people, false) AS passed_on,
           greatest(coalesce(first_resolved, first_closed, opened), opened + make_interval(secs => first_closed_s))
               AS done_at
    FROM day_matters
), followed AS MATERIALIZED (
    SELECT *,
           -- In another ticket: the same subject about the same feature, and nothing says it is about something else.
           CASE WHEN outcome = 'resolved' AND subject IS NOT NULL THEN (
               SELECT later.at FROM requests AS later
               WHERE later.subject = ended.subject AND later.feature = ended.feature
                 AND later.at > done_at AND later.at <= done_at + INTERVAL '{MOST_RECONTACT_DAYS} days'
                 AND coalesce(later.category = ended.category, true)
                 AND (later.ticket IS NULL OR NOT {_EARLIER.format(named="later")})
               ORDER BY later.at LIMIT 1) END AS in_another,
           -- In the same ticket, once the contact was over.
           CASE WHEN outcome = 'resolved' AND ticket IS NOT NULL AND requests > 1 THEN (
               SELECT later.at FROM requests AS later
               WHERE later.ticket = ended.ticket AND later.source = ended.source AND later.feature = ended.feature
                 AND later.at > done_at + INTERVAL '{SAME_CONTACT_S} seconds'
                 AND later.at <= done_at + INTERVAL '{MOST_RECONTACT_DAYS} days'
               ORDER BY later.at LIMIT 1) END AS in_the_same
    FROM ended
)
SELECT followed.*,
       outcome IN {CLOSED} AS closed,
       CAST(done_at AT TIME ZONE :timezone AS date) AS done_on,
       -- Whoever came back so late may be in requests that are not looked at.
       (subject IS NOT NULL OR ticket IS NOT NULL OR reopened IS NOT NULL)
           AND done_at <= opened + INTERVAL '{FOLLOWED_DAYS} days' AS traceable,
       -- Only a resolution can turn out not to be one.
       CASE WHEN outcome <> 'resolved' THEN NULL WHEN reopened THEN 0
            ELSE CAST(ceil(extract(epoch FROM least(in_another, in_the_same) - done_at) / 86400) AS smallint) END
           AS back_after
FROM followed
"""
"""Tickets that began on the day. `closed` is null where the outcome is unknown; `back_after`: in how many days."""

OF_TICKETS = (MATTERS, TICKETS)
"""What is made before a day's tickets are counted, in order."""
