"""What benchmarks measured of a use case, into the registry of models."""

from uuid import UUID

from evaluations.benchmarks.results import BenchmarkResult
from evaluations.benchmarks.use_cases import Suits, suits_of
from tasks.benchmarking import conclude_benchmark
from tasks.models import seed
from tasks.settings import settings
from tasks.store.database import transaction
from tasks.store.models import add_scores, models_named
from tasks.store.runs import run_of


def suits(result: BenchmarkResult) -> Suits:
    """What a benchmark says of its use case, by the models that the registry has."""
    if result.use_case is None:
        return suits_of(result, ())
    with transaction() as connection:
        seed(connection)
        names = [name for model in result.models for name in (model.model, model.asked)]
        return suits_of(result, models_named(connection, names))


def record_scores(run_id: UUID) -> Suits:
    """Write down what a finished benchmark measured of its use case; a second time nothing is added.

    A rerun judges what is counted already and adds nothing.
    """
    found = suits(conclude_benchmark(run_id))
    with transaction() as connection:
        if run_of(connection, run_id).rescored_from is None:
            add_scores(connection, found.scores, settings().actor)
    return found
