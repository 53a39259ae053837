"""Twins of a benchmark's page: the same numbers as JSON and CSV, the same bytes for the same answers."""

import json
from collections.abc import Iterator

from evaluations.benchmarks.results import BenchmarkResult, metrics
from reports.files import csv_line, csv_text, jsonable

COLUMNS = ("value", "low", "high", "standard_error", "n", "unscored", "best_rank", "worst_rank")


def as_json(result: BenchmarkResult) -> str:
    """What was measured; neither the run nor the moment stands in it."""
    return json.dumps(jsonable(metrics(result)), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def as_csv(result: BenchmarkResult) -> Iterator[str]:
    """A line for each model, best first."""
    yield csv_line(["model", *COLUMNS])
    for standing in metrics(result)["standings"]:
        yield csv_line([csv_text(standing["model"]), *(standing[column] for column in COLUMNS)])
