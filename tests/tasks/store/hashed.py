"""All facts of the store in one hash, to tell whether two ways led to the same tables."""

import hashlib

from sqlalchemy import text

from evaluations.rollups import DIMENSIONS, MEASURES
from tasks.store.database import transaction
from tasks.store.schema import Base

CUSTOMERS = ("customer_silent", "customer_outcomes", "customer_sums", "customer_requests")


def _all_but_its_id(table: str) -> str:
    return ", ".join(column.name for column in Base.metadata.tables[table].columns if column.name != "id")


def tables() -> str:
    """A hash of all facts, by another way than the rollup's own, and of the rollup's own of days with requests."""
    found = hashlib.sha256()
    columns = ", ".join((*DIMENSIONS, *MEASURES, "latency_histogram"))
    with transaction() as connection:
        for own in ("'daily', day, latency_p50_ms, latency_p95_ms, latency_p99_ms", "'hourly', day, hour"):
            table = "usage_daily" if "daily" in own else "usage_hourly"
            rows = connection.execute(text(f"SELECT {own}, {columns} FROM {table}"))
            found.update("\n".join(sorted(repr(tuple(row)) for row in rows)).encode())
        for table, own in (
            ("usage_subjects", "day, subject, requests, unpriced, cost"),
            ("usage_persons", "day, feature, persons, requests"),
            ("usage_rhythm", "day, hour, feature, provider, model, requests, errors, unpriced, cost"),
            *((each, _all_but_its_id(each)) for each in CUSTOMERS),
        ):
            rows = connection.execute(text(f"SELECT {own} FROM {table}"))
            found.update("\n".join(sorted(repr(tuple(row)) for row in rows)).encode())
        told = connection.execute(text("SELECT day, content_hash FROM rolled_days WHERE requests > 0"))
        found.update(repr(sorted(tuple(row) for row in told)).encode())
    return found.hexdigest()
