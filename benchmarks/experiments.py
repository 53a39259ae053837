"""`make bench`, the part of experiments: a thousand that run, over five million requests, analysed by one sweep.

The sweep (everything that the flow `ab-analysis` does but its pages) is held against the one aggregation that it
stands on, run alone over the same rows just before. Nothing here is a test: read the ratio.
"""

import argparse
import os
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import text

BEGAN = datetime(2026, 5, 4, tzinfo=UTC)
DAYS = 14
UNITS_A_REQUEST = 0.2
MOST_TIMES_AGGREGATION = 1.5
"""The bar."""

FILL = """
    INSERT INTO requests (id, at, batch_id, source, external_id, feature, environment, experiment, variant, subject,
        status, quality, latency_ms, cost, cost_source, rating, input_tokens, cached_tokens, cache_write_tokens,
        cache_write_1h_tokens, input_audio_tokens, cached_audio_tokens, output_tokens, reasoning_tokens,
        output_audio_tokens, output_image_tokens, usage_known)
    SELECT :start + n, CAST(:began AS timestamptz) + make_interval(secs => random() * :seconds), 1, 'benchmark',
        'r-' || :start + n, 'feature-' || e, 'production', 'experiment-' || e,
        CASE WHEN u % 2 = 0 THEN 'control' ELSE 'treatment' END, decode(md5(e || '/' || u), 'hex'),
        CASE WHEN random() < 0.97 THEN 'success' ELSE 'error' END, CASE WHEN random() < 0.5 THEN random() END,
        exp(6 + random()), 0.001 + 0.01 * random(), 'stated', CASE WHEN random() < 0.1 THEN 1 + floor(5 * random()) END,
        1000, 0, 0, 0, 0, 0, 100, 0, 0, 0, true
    FROM (SELECT n, n % :experiments AS e, CAST(floor(:units * random()) AS integer) AS u
          FROM generate_series(1, :rows) AS n) AS made
"""


def say(line: str = "") -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def declare(experiments: int) -> None:
    """Running experiments on five metrics, each on a feature of its own."""
    from evaluations.experiment_specs import ExperimentSpec
    from tasks.store.database import transaction
    from tasks.store.experiments import create_experiment, find_experiment, move

    with transaction() as connection:
        for n in range(experiments):
            spec = ExperimentSpec.model_validate(
                {
                    "experiment": f"experiment-{n}",
                    "feature": f"feature-{n}",
                    "design": "live_split",
                    "variants": [
                        {"name": "control", "control": True, "traffic": 50},
                        {"name": "treatment", "traffic": 50},
                    ],
                    "primary": {"metric": "quality", "margin": 0.01},
                    "secondary": ["rating"],
                    "guardrails": [
                        {"metric": "latency_ms", "margin": 50},
                        {"metric": "cost", "margin": 0.001},
                        {"metric": "error_rate", "margin": 0.02},
                    ],
                    "method": "always_valid",
                }
            )
            create_experiment(connection, spec, None, "benchmark")
            move(connection, find_experiment(connection, spec.experiment), "running", actor="benchmark")
        connection.execute(text("UPDATE experiments SET started_at = :began"), {"began": BEGAN})


def fill(experiments: int, rows: int) -> None:
    from tasks.store.database import engine, transaction
    from tasks.store.partitions import ensure_partitions

    with transaction() as connection:
        ensure_partitions(connection, "requests", [(BEGAN + timedelta(days=n)).date() for n in range(DAYS + 1)])
        connection.execute(text("SET LOCAL synchronous_commit = off"))
        connection.execute(
            text(FILL),
            {
                "start": 0,
                "began": BEGAN,
                "seconds": DAYS * 86_400,
                "experiments": experiments,
                "units": max(1, int(rows / experiments * UNITS_A_REQUEST)),
                "rows": rows,
            },
        )
    with engine().connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE requests"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--experiments", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=5_000_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="assay-bench-home-") as home:
        os.environ["ASSAY_HOME"] = home
        os.environ.pop("ASSAY_DATABASE_URL", None)
        from tasks.experiment_analysis import look_at, under_way
        from tasks.store.database import transaction
        from tasks.store.embedded import stop
        from tasks.store.experiment_data import live_data

        try:
            declare(given.experiments)
            fill(given.experiments, given.rows)
            found = under_way()
            with transaction() as connection:
                live_data(connection, found)  # warms the caches for both
            began = time.perf_counter()
            with transaction() as connection:
                live_data(connection, found)
            aggregation = time.perf_counter() - began
            began, cpu = time.perf_counter(), time.process_time()
            looked = look_at(found, BEGAN + timedelta(days=DAYS))
            whole, cpu = time.perf_counter() - began, time.process_time() - cpu
            if looked.failed or len(looked.looks) != given.experiments:
                raise SystemExit(f"not every experiment was looked at: {looked.failed}")
            say(f"\n{given.experiments:,} running experiments x 5 metrics over {given.rows:,} requests")
            say(f"  the aggregation alone: {aggregation:.1f} s; the whole sweep: {whole:.1f} s ({cpu:.1f} s of Python)")
            say(f"  ratio {whole / aggregation:.2f} (bar {MOST_TIMES_AGGREGATION:g})")
        finally:
            stop(Path(home))


if __name__ == "__main__":
    main()
