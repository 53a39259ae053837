"""The heaviest persons of any window, from the facts of its days."""

from datetime import date

from sqlalchemy import Connection, text

from evaluations.heavy_use import HeavySubject, HeavyUse


def heavy_use(connection: Connection, first: date, last: date, limit: int) -> HeavyUse:
    """Who asked most from `first` to `last`, both included, at most `limit` persons, with bounds on what is not kept.

    Of each day the heaviest persons are kept (`evaluations.rollups.HEAVIEST`), and the most that anybody else asked: a
    person who is not among them on some days asked at most that on each of them.
    """
    rows = connection.execute(
        text("""
            WITH days AS MATERIALIZED (
                SELECT day, subjects, most_left_out FROM rolled_days
                WHERE day BETWEEN :first AND :last AND requests > 0),
            all_days AS MATERIALIZED (
                SELECT coalesce(sum(most_left_out), 0) AS left_out,
                       count(*) FILTER (WHERE subjects IS NULL) AS uncounted
                FROM days),
            persons AS MATERIALIZED (
                SELECT subject, count(*) AS days, sum(requests) AS requests, sum(unpriced) AS unpriced,
                       sum(cost) AS cost, sum(requests - most_left_out) AS more
                FROM usage_subjects JOIN days USING (day) GROUP BY subject),
            listed AS MATERIALIZED (SELECT * FROM persons ORDER BY requests DESC, subject LIMIT :limit)
            SELECT listed.*, uncounted, left_out, left_out + greatest(0, (
                SELECT max(more) FROM persons WHERE subject NOT IN (SELECT subject FROM listed))) AS others_at_most
            FROM all_days LEFT JOIN listed ON true ORDER BY listed.requests DESC, listed.subject
        """),
        {"first": first, "last": last, "limit": limit},
    ).all()
    return HeavyUse(
        first=first,
        last=last,
        heaviest=tuple(
            HeavySubject(
                pseudonym=bytes(row.subject).hex(),
                days=row.days,
                requests=int(row.requests),
                at_most=int(row.more + row.left_out),
                cost=row.cost,
                unpriced=int(row.unpriced),
            )
            for row in rows
            if row.subject is not None
        ),
        others_at_most=int(rows[0].others_at_most),
        days_not_counted=rows[0].uncounted,
    )
