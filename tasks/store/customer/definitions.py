"""The definition of every customer metric in SQL, under the name and version of its `Metric`.

Each counts `customer_tickets` that `:taker` (ai, human) took, except those of the sources, which count requests. A
share gives k and n and, in the columns after, how many tickets are in neither number and why.
"""

from collections.abc import Mapping

from evaluations.customer import NEGATIVE_BELOW, POSITIVE_FROM

_LEFT_OUT = """count(*) FILTER (WHERE outcome IS NULL) AS "outcome unknown",
       count(*) FILTER (WHERE outcome = 'pending') AS "still open\""""
_NOT_JUDGED = """count(*) FILTER (WHERE {0} AND NOT traceable) AS "no way to tell who came back",
       count(*) FILTER (WHERE {0} AND traceable AND NOT due) AS "recontact window not over\""""
_ASKED = "(outcome IS DISTINCT FROM 'pending' OR rating IS NOT NULL)"
_OF_TAKER = "FROM customer_tickets WHERE taken_by = :taker"


def _share(k: str, n: str, *left_out: str) -> str:
    counts = (f"count(*) FILTER (WHERE {n} AND {k}) AS k", f"count(*) FILTER (WHERE {n}) AS n")
    columns = ",\n       ".join((*counts, *left_out))
    return f"SELECT {columns}\n{_OF_TAKER}"


def _ratio(y: str, x: str, known: str, *left_out: str) -> str:
    """Sums over the tickets of which everything is known; money stays exact until it is divided."""
    return f"""
SELECT count(*) FILTER (WHERE {known}) AS n,
       coalesce(sum(y) FILTER (WHERE {known}), 0) AS y, coalesce(sum(x) FILTER (WHERE {known}), 0) AS x,
       coalesce(sum(y * y) FILTER (WHERE {known}), 0) AS yy, coalesce(sum(x * x) FILTER (WHERE {known}), 0) AS xx,
       coalesce(sum(x * y) FILTER (WHERE {known}), 0) AS xy,
       {", ".join(left_out)}
FROM (SELECT *, coalesce(cost, 0) AS y, {x} AS x {_OF_TAKER}) AS tickets""".strip()


def _times(passed_on: str) -> str:
    """Every time with how often it occurs; `over` is false where the ticket is still open."""
    return f"""
SELECT resolution_s AS seconds, true AS over, count(*) AS n {_OF_TAKER}
    AND {passed_on} AND closed AND resolution_s IS NOT NULL AND outcome NOT IN ('unresolved', 'abandoned')
GROUP BY resolution_s
UNION ALL
SELECT EXTRACT(EPOCH FROM CAST(:seen_to AS timestamptz) - opened), false, count(*) {_OF_TAKER}
    AND {passed_on} AND outcome = 'pending' GROUP BY opened
UNION ALL
SELECT NULL, NULL, count(*) {_OF_TAKER}
    AND {passed_on} AND (closed AND (resolution_s IS NULL OR outcome IN ('unresolved', 'abandoned')) OR outcome IS NULL)
HAVING count(*) > 0""".strip()


_SOURCE = "FROM requests WHERE at >= :begins AND at < :ends AND feature = ANY(:features)\n" \
    "  AND (CAST(:category AS text) IS NULL OR category = CAST(:category AS text))\n" \
    "  AND coalesce(handled_by, 'ai') = :taker"  # fmt: skip
_SEED_ALONE = "coalesce(resolution, '') NOT LIKE 'escalated%'"


def _seed_share(k: str) -> str:
    return f"SELECT count(*) FILTER (WHERE {k}) AS k, count(*) AS n\n{_SOURCE}"


DEFINITIONS: Mapping[str, str] = {
    "fcr": _share(
        "outcome = 'resolved' AND NOT passed_on AND NOT came_back",
        "closed AND traceable AND due",
        _LEFT_OUT,
        _NOT_JUDGED.format("closed"),
    ),
    "resolution": _share("outcome = 'resolved'", "closed", _LEFT_OUT),
    "durable_resolution": _share(
        "NOT came_back", "outcome = 'resolved' AND traceable AND due", _NOT_JUDGED.format("outcome = 'resolved'")
    ),
    "came_back": _share(
        "came_back",
        "outcome = 'resolved' AND NOT passed_on AND traceable AND due",
        _NOT_JUDGED.format("outcome = 'resolved' AND NOT passed_on"),
    ),
    "deflection": _share("outcome = 'resolved' AND NOT passed_on", "closed", _LEFT_OUT),
    "escalation": _share("passed_on", "closed", _LEFT_OUT),
    "csat": f"SELECT rating, count(*) AS n\n{_OF_TAKER} AND {_ASKED}\nGROUP BY rating",
    "csat_satisfied": _share(
        "rating >= 4",
        "rating IS NOT NULL",
        """count(*) FILTER (WHERE rating IS NULL AND outcome IS DISTINCT FROM 'pending') AS "not rated\"""",
    ),
    "csat_response": _share(
        "rating IS NOT NULL",
        _ASKED,
        """count(*) FILTER (WHERE outcome = 'pending' AND rating IS NULL) AS "still open\"""",
    ),
    "resolution_time_ai": _times("NOT passed_on"),
    "resolution_time_escalated": _times("passed_on"),
    "sentiment": f"""
SELECT count(sentiment) AS n, avg(CAST(sentiment AS numeric)) AS mean, stddev_samp(CAST(sentiment AS numeric)) AS sd,
       count(*) FILTER (WHERE sentiment < {NEGATIVE_BELOW}) AS negative,
       count(*) FILTER (WHERE sentiment >= {NEGATIVE_BELOW} AND sentiment < {POSITIVE_FROM}) AS neutral,
       count(*) FILTER (WHERE sentiment >= {POSITIVE_FROM}) AS positive,
       count(*) FILTER (WHERE sentiment IS NULL) AS "no sentiment"
{_OF_TAKER}""".strip(),
    "cost_per_resolution": _ratio(
        "cost",
        "CASE WHEN outcome = 'resolved' AND NOT passed_on THEN 1 ELSE 0 END",
        "closed AND unpriced = 0",
        _LEFT_OUT,
        """count(*) FILTER (WHERE closed AND unpriced > 0) AS "cost unknown\"""",
    ),
    "cost_per_success": _ratio(
        "cost",
        "successes",
        "unpriced = 0 AND status_unknown = 0",
        """count(*) FILTER (WHERE unpriced > 0) AS "cost unknown\"""",
        """count(*) FILTER (WHERE unpriced = 0 AND status_unknown > 0) AS "status unknown\"""",
    ),
    "follow_up": _share(
        "follow_up_completed",
        "follow_up_required",
        """count(*) FILTER (WHERE follow_up_required IS NULL) AS "not said whether one was required\"""",
    ),
    "quality_and_rating": f"SELECT quality, rating, count(*) AS n\n{_OF_TAKER} GROUP BY quality, rating",
    "seed_fcr": _seed_share(f"resolution = 'resolved' AND {_SEED_ALONE}"),
    "seed_deflection": _seed_share(_SEED_ALONE),
    "seed_escalation": _seed_share(f"NOT {_SEED_ALONE}"),
    "seed_csat": f"SELECT avg(rating) AS value, count(rating) AS n\n{_SOURCE}",
    "seed_resolution_time": "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY resolution_s) AS value,\n"
    f"       count(resolution_s) AS n\n{_SOURCE} AND {_SEED_ALONE}",
}
