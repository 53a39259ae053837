"""The definition of every customer metric in SQL, under the name and version of its `Metric`.

Each asks the facts of a window's days (window.py) about what `:taker` (ai, human) took: `customer_tickets`, where a row
is so many tickets as it says that ended alike, or `customer_counts`, sums over tickets; those of the sources ask
`customer_contacts`, sums over requests. Single values are read from the facts themselves. A share gives k and n and, in
the columns after, how many tickets are in neither number and why.
"""

from collections.abc import Mapping

from tasks.store.customer.window import OF_WINDOW


def how_many(where: str, of: str = "tickets") -> str:
    """Rows may stand for several: never count rows."""
    return f"coalesce(sum({of}) FILTER (WHERE {where}), 0)"


_LEFT_OUT = f"""{how_many("outcome IS NULL")} AS "outcome unknown",
       {how_many("outcome = 'pending'")} AS "still open\""""
_OF_TAKER = "FROM customer_tickets WHERE taken_by = :taker"
_SUMS = "FROM customer_counts WHERE taken_by = :taker"


_NOT_CLOSED = tuple(
    f'(SELECT {how_many(where)} {_OF_TAKER}) AS "{why}"'
    for where, why in (("outcome IS NULL", "outcome unknown"), ("outcome = 'pending'", "still open"))
)


def _not_judged(of: str) -> str:
    return f"""{how_many(f"{of} AND NOT traceable")} AS "no way to tell who came back",
       {how_many(f"{of} AND traceable AND NOT due")} AS "recontact window not over\""""


def _share(k: str, n: str, *left_out: str) -> str:
    counts = (f"{how_many(f'{n} AND {k}')} AS k", f"{how_many(n)} AS n")
    columns = ",\n       ".join((*counts, *left_out))
    return f"SELECT {columns}\n{_OF_TAKER}"


def _ratio(n: str, y: str, x: str, yy: str, xx: str, xy: str, *left_out: str) -> str:
    """Sums over the tickets of which everything is known; money stays exact until it is divided."""
    return f"""
SELECT {n} AS n, {y} AS y, {x} AS x, {yy} AS yy, {xx} AS xx, {xy} AS xy,
       {", ".join(left_out)}
{_SUMS}""".strip()


def _series(*names: str) -> str:
    """Single values, one behind the other: read where they are kept, as writing them down again takes longest."""
    return ", ".join(f"coalesce(string_agg({name}, ''::bytea), '') AS {name}" for name in names)


def _times(passed_on: str, which: str) -> str:
    """Every time of what has ended, and when began what is still open; of how many tickets in all."""
    return f"""
SELECT {_series(f"seconds_{which}", f"open_{which}")},
       (SELECT coalesce(sum(tickets), 0) {_OF_TAKER} AND {passed_on}) AS tickets
FROM customer_sums WHERE {OF_WINDOW} AND taken_by = :taker""".strip()


_RATED = "rated_1 + rated_2 + rated_3 + rated_4 + rated_5"
_SOURCE = "FROM customer_contacts WHERE handled_by = :taker"


def _seed_share(k: str) -> str:
    return f"SELECT {k} AS k, requests AS n\n{_SOURCE}"


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
    "csat": f"SELECT rated_1, rated_2, rated_3, rated_4, rated_5, tickets - not_asked AS asked\n{_SUMS}",
    "csat_satisfied": f"""
SELECT rated_4 + rated_5 AS k, {_RATED} AS n, tickets - not_asked - ({_RATED}) AS "not rated"
{_SUMS}""".strip(),
    "csat_response": f"""
SELECT {_RATED} AS k, tickets - not_asked AS n, not_asked AS "still open"
{_SUMS}""".strip(),
    "resolution_time_ai": _times("NOT passed_on", "alone"),
    "resolution_time_escalated": _times("passed_on", "passed_on"),
    "sentiment": f"""
SELECT sentiment_n AS n, sentiment_sum AS total, sentiment_squares AS squares, negative, neutral, positive,
       tickets - sentiment_n AS "no sentiment"
{_SUMS}""".strip(),
    "cost_per_resolution": _ratio(
        *("closed_priced", "closed_cost", "closed_alone", "closed_cost_squares", "closed_alone", "closed_alone_cost"),
        *_NOT_CLOSED,
        'closed_unpriced AS "cost unknown"',
    ),
    "cost_per_success": _ratio(
        *("judged", "judged_cost", "judged_successes", "judged_cost_squares"),
        *("judged_success_squares", "judged_success_cost"),
        'cost_unknown AS "cost unknown"',
        'status_unknown AS "status unknown"',
    ),
    "follow_up": f"""
SELECT follow_up_completed AS k, follow_up_required AS n,
       follow_up_unknown AS "not said whether one was required"
{_SUMS}""".strip(),
    "quality_and_rating": f"""
SELECT {_series("qualities")}, (SELECT tickets {_SUMS}) AS tickets
FROM customer_sums WHERE {OF_WINDOW} AND taken_by = :taker""".strip(),
    "seed_fcr": _seed_share("resolved"),
    "seed_deflection": _seed_share("requests - escalated"),
    "seed_escalation": _seed_share("escalated"),
    "seed_csat": f"SELECT rating_sum / CAST(nullif(rating_n, 0) AS numeric) AS value, rating_n AS n\n{_SOURCE}",
    "seed_resolution_time": f"""
SELECT {_series("seconds")}
FROM customer_requests WHERE {OF_WINDOW} AND handled_by = :taker""".strip(),
}
OF_SINGLE_VALUES = ("resolution_time_ai", "resolution_time_escalated", "quality_and_rating", "seed_resolution_time")
OF_COUNTS = "\nUNION ALL\n".join(
    f"SELECT '{name}' AS name, CAST(to_jsonb(defined) AS text) AS found FROM (\n{sql}) AS defined"
    for name, sql in DEFINITIONS.items()
    if name not in OF_SINGLE_VALUES
)
"""All definitions that give counts, asked at once."""
