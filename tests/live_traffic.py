"""Requests of a live experiment, made in the database: thousands cost nothing."""

from datetime import UTC, date, datetime, timedelta

from sqlalchemy import Connection, text

from tasks.store.partitions import ensure_partitions

BEGAN = datetime(2026, 5, 4, tzinfo=UTC)


def land_arm(
    connection: Connection,
    variant: str,
    units: int,
    passed: int,
    *,
    experiment: str = "shipping-v4",
    feature: str = "chatbot",
    latency_ms: float = 400.0,
    first_unit: int = 0,
    each: int = 1,
    errors: int = 0,
    began: datetime = BEGAN,
    every_s: int = 180,
) -> None:
    """`units` subjects with `each` requests; the first `passed` of them have quality 1, the others 0.

    The last `errors` of them ended in an error. A unit begins `every_s` after the one before.
    """
    days = {(began + timedelta(days=n)).date() for n in range(-3, 30)}
    ensure_partitions(connection, "requests", {date(day.year, day.month, day.day) for day in days})
    connection.execute(
        text("""
            INSERT INTO requests (id, at, batch_id, source, external_id, feature, environment, experiment, variant,
                subject, status, quality, latency_ms, cost, cost_source, input_tokens, cached_tokens,
                cache_write_tokens, cache_write_1h_tokens, input_audio_tokens, cached_audio_tokens, output_tokens,
                reasoning_tokens, output_audio_tokens, output_image_tokens, usage_known)
            SELECT CAST(:place AS bigint) * 100000000 + (:first + unit) * 1000 + n,
                CAST(:began AS timestamptz) + make_interval(secs => unit * :every_s + n * 60), 1, 'test',
                'r-' || CAST(:place AS text) || '-' || :first + unit || '-' || n,
                CAST(:feature AS text), 'production', CAST(:experiment AS text), CAST(:variant AS text),
                decode(md5(CAST(:feature AS text) || (:first + unit)), 'hex'),
                CASE WHEN unit > :units - :errors THEN 'error' ELSE 'success' END,
                CASE WHEN unit <= :passed THEN 1.0 ELSE 0.0 END, :latency + (unit * 37 % 101), 0.01, 'stated',
                100, 0, 0, 0, 0, 0, 20, 0, 0, 0, true
            FROM generate_series(1, :units) AS unit, generate_series(1, :each) AS n
        """),
        {
            "began": began,
            "errors": errors,
            "every_s": every_s,
            "variant": variant,
            "feature": feature,
            "experiment": experiment,
            "passed": passed,
            "units": units,
            "first": first_unit,
            "latency": latency_ms,
            "each": each,
            "place": sum(map(ord, variant + feature)),
        },
    )
