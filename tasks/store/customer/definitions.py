"""The definition of every customer metric in SQL, under the name and version of its `Metric`.

Each counts `customer_tickets` that `:taker` (ai, human) took, except those of the sources, which count requests. A
share gives k and n and, in the columns after, how many tickets are in neither number and why. A row may be many
tickets of which nothing was said: `tickets` says how many, costs are sums over them, all else is of each.
"""

from collections.abc import Mapping

from evaluations.customer import NEGATIVE_BELOW, POSITIVE_FROM


def how_many(where: str, of: str = "tickets") -> str:
    """Rows may stand for several: never count rows."""
    return f"coalesce(sum({of}) FILTER (WHERE {where}), 0)"


_LEFT_OUT = f"""{how_many("outcome IS NULL")} AS "outcome unknown",
       {how_many("outcome = 'pending'")} AS "still open\""""
_ASKED = "(outcome IS DISTINCT FROM 'pending' OR rating IS NOT NULL)"
_OF_TAKER = "FROM customer_tickets WHERE taken_by = :taker"


def _not_judged(of: str) -> str:
    return f"""{how_many(f"{of} AND NOT traceable")} AS "no way to tell who came back",
       {how_many(f"{of} AND traceable AND NOT due")} AS "recontact window not over\""""


def _share(k: str, n: str, *left_out: str) -> str:
    counts = (f"{how_many(f'{n} AND {k}')} AS k", f"{how_many(n)} AS n")
    columns = ",\n       ".join((*counts, *left_out))
    return f"SELECT {columns}\n{_OF_TAKER}"


def _ratio(y: str, x: str, known: str, *left_out: str) -> str:
    """Sums over the tickets of which everything is known; money stays exact until it is divided.

    The tickets of one row have one `x`, so that its product with the sum of their costs is the sum of their products.
    """
    return f"""
SELECT {how_many(known)} AS n,
       {how_many(known, "y")} AS y, {how_many(known, "tickets * x")} AS x,
       {how_many(known, "yy")} AS yy, {how_many(known, "tickets * x * x")} AS xx,
       {how_many(known, "x * y")} AS xy,
       {", ".join(left_out)}
FROM (SELECT *, coalesce(cost, 0) AS y, coalesce(cost_squares, 0) AS yy, {x} AS x {_OF_TAKER}) AS known""".strip()


def _times(passed_on: str) -> str:
    """Every time with how often it occurs; `over` is false where the ticket is still open."""
    return f"""
SELECT resolution_s AS seconds, true AS over, sum(tickets) AS n {_OF_TAKER}
    AND {passed_on} AND closed AND resolution_s IS NOT NULL AND outcome NOT IN ('unresolved', 'abandoned')
GROUP BY resolution_s
UNION ALL
SELECT EXTRACT(EPOCH FROM CAST(:seen_to AS timestamptz) - opened), false, sum(tickets) {_OF_TAKER}
    AND {passed_on} AND outcome = 'pending' GROUP BY opened
UNION ALL
SELECT NULL, NULL, sum(tickets) {_OF_TAKER}
    AND {passed_on} AND (closed AND (resolution_s IS NULL OR outcome IN ('unresolved', 'abandoned')) OR outcome IS NULL)
HAVING count(*) > 0""".strip()


_SOURCE = "FROM customer_requests WHERE coalesce(handled_by, 'ai') = :taker"
_SEED_ALONE = "coalesce(resolution, '') NOT LIKE 'escalated%'"


def _seed_share(k: str) -> str:
    return f"SELECT {how_many(k, 'requests')} AS k, {how_many('true', 'requests')} AS n\n{_SOURCE}"


DEFINITIONS: Mapping[str, str] = {
    "fcr": _share(
        "outcome = 'resolved' AND NOT passed_on AND NOT came_back",
        "closed AND traceable AND due",
        _LEFT_OUT,
        _not_judged("closed"),
    ),
    "resolution": _share("outcome = 'resolved'", "closed", _LEFT_OUT),
    "durable_resolution": _share(
        "NOT came_back", "outcome = 'resolved' AND traceable AND due", _not_judged("outcome = 'resolved'")
    ),
    "came_back": _share(
        "came_back",
        "outcome = 'resolved' AND NOT passed_on AND traceable AND due",
        _not_judged("outcome = 'resolved' AND NOT passed_on"),
    ),
    "deflection": _share("outcome = 'resolved' AND NOT passed_on", "closed", _LEFT_OUT),
    "escalation": _share("passed_on", "closed", _LEFT_OUT),
    "csat": f"SELECT rating, sum(tickets) AS n\n{_OF_TAKER} AND {_ASKED}\nGROUP BY rating",
    "csat_satisfied": _share(
        "rating >= 4",
        "rating IS NOT NULL",
        f"""{how_many("rating IS NULL AND outcome IS DISTINCT FROM 'pending'")} AS "not rated\"""",
    ),
    "csat_response": _share(
        "rating IS NOT NULL",
        _ASKED,
        f"""{how_many("outcome = 'pending' AND rating IS NULL")} AS "still open\"""",
    ),
    "resolution_time_ai": _times("NOT passed_on"),
    "resolution_time_escalated": _times("passed_on"),
    "sentiment": f"""
SELECT count(sentiment) AS n, avg(CAST(sentiment AS numeric)) AS mean, stddev_samp(CAST(sentiment AS numeric)) AS sd,
       {how_many(f"sentiment < {NEGATIVE_BELOW}")} AS negative,
       {how_many(f"sentiment >= {NEGATIVE_BELOW} AND sentiment < {POSITIVE_FROM}")} AS neutral,
       {how_many(f"sentiment >= {POSITIVE_FROM}")} AS positive,
       {how_many("sentiment IS NULL")} AS "no sentiment"
{_OF_TAKER}""".strip(),
    "cost_per_resolution": _ratio(
        "cost",
        "CASE WHEN outcome = 'resolved' AND NOT passed_on THEN 1 ELSE 0 END",
        "closed AND unpriced = 0",
        _LEFT_OUT,
        f"""{how_many("closed AND unpriced > 0")} AS "cost unknown\"""",
    ),
    "cost_per_success": _ratio(
        "cost",
        "successes",
        "unpriced = 0 AND status_unknown = 0",
        f"""{how_many("unpriced > 0")} AS "cost unknown\"""",
        f"""{how_many("unpriced = 0 AND status_unknown > 0")} AS "status unknown\"""",
    ),
    "follow_up": _share(
        "follow_up_completed",
        "follow_up_required",
        f"""{how_many("follow_up_required IS NULL")} AS "not said whether one was required\"""",
    ),
    "quality_and_rating": f"SELECT quality, rating, sum(tickets) AS n\n{_OF_TAKER} GROUP BY quality, rating",
    "seed_fcr": _seed_share(f"resolution = 'resolved' AND {_SEED_ALONE}"),
    "seed_deflection": _seed_share(_SEED_ALONE),
    "seed_escalation": _seed_share(f"NOT {_SEED_ALONE}"),
    "seed_csat": f"SELECT avg(rating) AS value, count(rating) AS n\n{_SOURCE}",
    "seed_resolution_time": "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY resolution_s) AS value,\n"
    f"       count(resolution_s) AS n\n{_SOURCE} AND {_SEED_ALONE}",
}
