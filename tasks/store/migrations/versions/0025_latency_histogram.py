"""Latencies are counted into their histogram by one function: what reads a day side by side may call it."""

from alembic import op

from evaluations.histograms import EDGES

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    edges = f"CAST('{{{','.join(map(str, EDGES))}}}' AS double precision[])"
    # As a part of a statement it would look at the statement's own rows, and such a one is not read in parallel.
    op.execute(f"""
        CREATE FUNCTION latency_histogram(latencies_ms double precision[]) RETURNS bytea
        LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
            SELECT string_agg(int2send(CAST(bucket AS smallint)) || int4send(CAST(n AS integer)), CAST('' AS bytea)
                              ORDER BY bucket)
            FROM (SELECT width_bucket(latency * 1000, {edges}) AS bucket, count(*) AS n
                  FROM unnest(latencies_ms) AS latency GROUP BY bucket) AS cells
        $$
    """)


def downgrade() -> None:
    op.execute("DROP FUNCTION latency_histogram(double precision[])")
