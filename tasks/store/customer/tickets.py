"""Tickets: what the requests of one matter say together. Every customer metric counts these, made by this SQL.

A ticket is all requests of one source and feature with the same `ticket`; a request without one is a ticket of its
own. It belongs to the window in which it began, and is followed for thirty days before and after.
"""

from evaluations.customer import FOLLOWED_DAYS, SAME_CONTACT_S
from evaluations.rollups import TOKENS

TICKETS_VERSION = 1
CLOSED = "('resolved', 'escalated_human', 'escalated_specialist', 'unresolved', 'abandoned')"
UNPRICED = f"""cost IS NULL AND ({" + ".join(TOKENS)} > 0 OR NOT usage_known AND model IS NOT NULL)"""
"""As the rollups count it: what used nothing costs nothing."""
# What was said last of a matter holds; what was said first tells how it began.
_LAST = "(array_agg({0} ORDER BY at DESC, id DESC) FILTER (WHERE {0} IS NOT NULL))[1]"
_FIRST = "(array_agg({0} ORDER BY at, id) FILTER (WHERE {0} IS NOT NULL))[1]"
_ESCALATED = """coalesce(bool_or(
               resolution LIKE 'escalated%' OR escalated_at IS NOT NULL OR escalation_reason IS NOT NULL), false)"""

MATTERS = f"""
CREATE TEMPORARY TABLE customer_matters ON COMMIT DROP AS
WITH said AS (
    SELECT *, CASE WHEN ticket IS NULL THEN external_id END AS alone,
           -- A model took part: that was the AI, whether or not somebody said so. Otherwise nobody knows.
           coalesce(handled_by, CASE WHEN model IS NOT NULL THEN 'ai' END) AS taker
    FROM requests
    WHERE feature = ANY(:features)
      AND at >= CAST(:begins AS timestamptz) - INTERVAL '{FOLLOWED_DAYS} days'
      AND at < CAST(:ends AS timestamptz) + INTERVAL '{FOLLOWED_DAYS} days' + make_interval(days => :recontact_days)
), matters AS (
    SELECT source, feature, ticket, alone,
           min(at) AS opened, {_FIRST.format("subject")} AS subject, {_FIRST.format("category")} AS category,
           {_FIRST.format("taker")} AS taken_by, bool_or(taker = 'human') AS with_people,
           {_LAST.format("resolution")} AS last_resolution, {_ESCALATED} AS escalated,
           min(at) FILTER (WHERE resolution = 'resolved') AS first_resolved,
           min(at) FILTER (WHERE resolution IN {CLOSED}) AS first_closed,
           (array_agg(resolution_s ORDER BY at, id) FILTER (WHERE resolution IN {CLOSED}))[1] AS first_closed_s,
           {_LAST.format("resolution_s")} AS resolution_s,
           {_FIRST.format("escalation_reason")} AS escalation_reason,
           bool_or(reopened) AS reopened, {_LAST.format("rating")} AS rating, {_LAST.format("quality")} AS quality,
           {_LAST.format("sentiment")} AS sentiment, bool_or(follow_up_required) AS follow_up_required,
           coalesce(bool_or(follow_up_completed), false) AS follow_up_completed,
           count(*) AS requests, count(*) FILTER (WHERE status = 'success') AS successes,
           count(*) FILTER (WHERE status IS NULL) AS status_unknown,
           sum(cost) AS cost, count(*) FILTER (WHERE {UNPRICED}) AS unpriced, max(batch_id) AS batch_id
    FROM said GROUP BY source, feature, ticket, alone
)
SELECT *,
       -- An escalation is an outcome, even where the outcome was not written.
       coalesce(last_resolution, CASE WHEN escalated THEN 'escalated_human' END) AS outcome,
       escalated OR coalesce(taken_by = 'ai' AND with_people, false) AS passed_on,
       greatest(coalesce(first_resolved, first_closed, opened), opened + make_interval(secs => first_closed_s))
           AS done_at
FROM matters
"""

NEXT_CONTACT = "CREATE INDEX ON customer_matters (subject, feature, opened); ANALYZE customer_matters"

TICKETS = f"""
CREATE TEMPORARY TABLE customer_tickets ON COMMIT DROP AS
SELECT matters.*,
       outcome IN {CLOSED} AS closed,
       (subject IS NOT NULL OR ticket IS NOT NULL OR reopened IS NOT NULL) AS traceable,
       done_at + make_interval(days => :recontact_days) <= CAST(:seen_to AS timestamptz) AS due,
       coalesce(reopened, false)
       -- In another ticket: the same subject about the same feature, and nothing says it is about something else.
       OR subject IS NOT NULL AND EXISTS (
           SELECT FROM customer_matters AS later
           WHERE later.subject = matters.subject AND later.feature = matters.feature
             AND later.opened > matters.done_at
             AND later.opened <= matters.done_at + make_interval(days => :recontact_days)
             AND coalesce(later.category = matters.category, true))
       -- In the same ticket, once the contact was over.
       OR ticket IS NOT NULL AND requests > 1 AND EXISTS (
           SELECT FROM requests AS later
           WHERE later.ticket = matters.ticket AND later.source = matters.source AND later.feature = matters.feature
             AND later.at > matters.done_at + INTERVAL '{SAME_CONTACT_S} seconds'
             AND later.at <= matters.done_at + make_interval(days => :recontact_days))
       AS came_back
FROM customer_matters AS matters
WHERE opened >= :begins AND opened < :ends
  AND (CAST(:category AS text) IS NULL OR category = CAST(:category AS text))
"""
"""Tickets of the window. `closed` is null where the outcome is unknown; `due`: the recontact window is over."""
