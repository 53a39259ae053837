"""Benchmark pages: what a benchmark measured, written whole or not at all."""

from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from evaluations.benchmarks.results import BenchmarkResult
from tasks.benchmarking import conclude_benchmark
from tasks.publishing import named_folder, write_report
from tasks.settings import settings


@dataclass(frozen=True, slots=True)
class PublishedBenchmark:
    """Where what came out of a benchmark is."""

    folder: Path

    @property
    def json(self) -> Path:
        return self.folder / "benchmark.json"

    @property
    def csv(self) -> Path:
        return self.folder / "leaderboard.csv"


def published_of(result: BenchmarkResult) -> PublishedBenchmark:
    """Where a benchmark run is written."""
    folder = named_folder(f"benchmark-{result.benchmark}", result.run_id, "benchmark")
    return PublishedBenchmark(settings().reports_folder / folder)


def publish_benchmark(run_id: UUID) -> PublishedBenchmark:
    """Write what a benchmark run measured.

    Raises InfrastructureError when it cannot be written; the run itself is safe in the store.
    """
    from reports.benchmark_twins import as_csv, as_json

    result = conclude_benchmark(run_id)
    published = published_of(result)
    again = f"assay benchmark leaderboard {result.run_id[:8]}"
    write_report(published.csv, as_csv(result), again=again)
    write_report(published.json, [as_json(result)], again=again)
    return published
