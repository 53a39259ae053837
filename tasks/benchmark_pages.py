"""Benchmark pages: what a benchmark measured, written whole or not at all."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from evaluations.benchmarks.results import BenchmarkResult
from evaluations.board_results import BoardResult, BoardUnit, Spent
from evaluations.leaderboards import percentile
from tasks.benchmarking import conclude_benchmark, earlier_values
from tasks.publishing import PublishedPage, named_folder, write_report
from tasks.settings import settings


@dataclass(frozen=True, slots=True)
class PublishedBenchmark(PublishedPage):
    """Where the leaderboard of a benchmark is."""

    @property
    def standings(self) -> Path:
        return self.folder / "standings.csv"

    @property
    def pairs(self) -> Path:
        return self.folder / "pairs.csv"

    @property
    def metrics(self) -> Path:
        """What was measured and nothing else: the same answers give the same bytes."""
        return self.folder / "metrics.json"


def published_of(result: BenchmarkResult) -> PublishedBenchmark:
    """Where a benchmark run is written."""
    folder = named_folder(f"benchmark-{result.benchmark}", result.run_id, "benchmark")
    return PublishedBenchmark(settings().reports_folder / folder)


def publish_benchmark(run_id: UUID) -> PublishedBenchmark:
    """Write the leaderboard of a benchmark run with its twins; the page last.

    Raises InfrastructureError when it cannot be written; the run itself is safe in the store.
    """
    from reports.benchmark_twins import as_metrics
    from reports.leaderboard_twins import as_html, as_json, pairs_csv, standings_csv

    result = conclude_benchmark(run_id)
    board = board_of(result)
    published = published_of(result)
    again = f"assay benchmark leaderboard {result.run_id[:8]}"
    for path, parts in (
        (published.standings, standings_csv(board)),
        (published.pairs, pairs_csv(board)),
        (published.metrics, [as_metrics(result)]),
        (published.json, [as_json(board)]),
        (published.html, [as_html(board)]),
    ):
        write_report(path, parts, again=again)
    return published


def board_of(result: BenchmarkResult) -> BoardResult:
    """A benchmark's leaderboard with where it comes from, beside the earlier runs of the same benchmark."""
    earlier = earlier_values(result)
    standings = {each.model: each for each in result.board.standings}
    percentiles = {
        model: found
        for model, each in standings.items()
        if each.interval is not None and (found := percentile(each.interval, earlier, better=result.board.better))
    }
    return BoardResult(
        benchmark=result.benchmark,
        metric=result.metric,
        unit=_UNITS[result.category],
        board=result.board,
        as_of=result.as_of,
        description=result.description,
        run_id=result.run_id,
        judged=result.judged,
        at_equal_length=result.at_equal_length,
        complete=result.complete or result.stop_reason == "decided",
        stop_reason=result.stop_reason,
        failed={model.model: sum(model.errors.values()) for model in result.models if model.errors},
        spent={
            model.model: Spent(
                cost=None if model.unpriced == model.answered else model.cost,
                calls=model.answers,
                unpriced=model.unpriced,
            )
            for model in result.models
        },
        latency={model.model: model.latency for model in result.models if model.latency.total.n},
        percentiles=percentiles,
        provenance=(
            ("format", result.format),
            ("dataset", result.dataset_hash[:16]),
            ("suite", result.suite_hash[:16]),
            ("seed", str(result.seed)),
            *((file, str(digest)[:16]) for file, digest in result.sources.items()),
        ),
        rerun=f"assay benchmark rerun {result.run_id[:8]}",
        simulated=result.simulated,
        sample_data=result.sample_data,
    )


_UNITS: Mapping[str, BoardUnit] = {"accuracy": "share", "latency": "ms", "throughput": "ms", "cost": "usd"}
