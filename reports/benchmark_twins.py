"""The twin of a benchmark that is made of measured numbers alone: the same bytes for the same answers."""

import json

from evaluations.benchmarks.results import BenchmarkResult, metrics
from reports.files import jsonable


def as_metrics(result: BenchmarkResult) -> str:
    """What was measured; neither the run nor the moment stands in it."""
    return json.dumps(jsonable(metrics(result)), indent=1, sort_keys=True, ensure_ascii=False) + "\n"
