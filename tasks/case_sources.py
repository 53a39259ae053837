"""Cases that share a source: what the definition of a benchmark says of the cases of its runs."""

from collections.abc import Sequence

from sqlalchemy import Connection

from evaluations.benchmark_specs import BenchmarkSpec
from evaluations.benchmarks.formats import format_named
from tasks.store.benchmarks import case_columns, find_benchmark
from tasks.store.model_runs import Shared


def cluster_column(spec: BenchmarkSpec) -> str:
    """The column of the questions that share a source; "" where each stands alone."""
    return spec.cluster or format_named(spec.format).cluster


def sources_of_table(connection: Connection, table: Shared, positions: Sequence[int]) -> tuple[str, ...] | None:
    """What each of the cases that all of a table answered belongs to; None where each stands alone, as in a suite."""
    seat = next(iter(table.values()))
    found = find_benchmark(connection, seat.run_id)
    column = "" if found is None else cluster_column(found.spec)
    if not column:
        return None
    sources = case_columns(connection, seat.dataset_id, column)
    return tuple(sources[position] for position in positions)
