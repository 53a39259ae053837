"""How well the models of a finished benchmark suit the use case that it stands for, as the registry keeps it."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from evaluations.benchmarks.results import BenchmarkResult, ModelResult
from evaluations.leaderboards import Standing
from evaluations.models import UseCaseScore
from evaluations.wording import count

LEAST_CASES = 30
"""Fewer cases with a score say nothing that should outrank what somebody declares."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suits:
    """What a benchmark says of its use case."""

    use_case: str | None
    """None: the benchmark names none."""
    scores: tuple[tuple[str, UseCaseScore], ...]
    """By the registry's name of the model, in the order of the board."""
    without: tuple[str, ...]
    """Why a model, or the whole run, gives no score: one sentence each."""


def suits_of(result: BenchmarkResult, registered: Collection[str]) -> Suits:
    """The measured scores of a benchmark's models, from 0 to 100, with n and interval.

    Nothing comes of a run that is not finished, of questions that were made up, of a model that the registry does not
    have or in whose place another answered, or of fewer than `LEAST_CASES` cases.
    """
    if result.use_case is None:
        return Suits(use_case=None, scores=(), without=())
    if problem := _not_to_be_used(result):
        return Suits(use_case=result.use_case, scores=(), without=(problem,))
    scores, without = [], []
    for standing, model in zip(result.board.standings, result.models, strict=True):
        name = next((each for each in (model.model, model.asked) if each in registered), None)
        if name is None:
            without.append(f"the registry has no {model.model}; declare it in models.yaml, then `assay models sync`")
        elif model.contaminated:
            without.append(f"another model answered {count(model.contaminated, 'time')} in place of {model.model}")
        elif standing.value is None or standing.n < LEAST_CASES:
            without.append(f"{model.model} has a score on {count(standing.n, 'case')}; {LEAST_CASES} are the least")
        else:
            scores.append((name, _score(result, result.use_case, standing, model)))
    return Suits(use_case=result.use_case, scores=tuple(scores), without=tuple(without))


def _not_to_be_used(result: BenchmarkResult) -> str:
    if result.sample_data or result.simulated:
        return "questions or answers were made up for demonstration: nothing is measured by them"
    if not result.complete and result.stop_reason != "decided":
        return f"the run has {result.cases} of {count(result.cases_planned, 'case')}: it is not finished"
    return ""


def _score(result: BenchmarkResult, use_case: str, standing: Standing, model: ModelResult) -> UseCaseScore:
    interval = standing.interval
    return UseCaseScore(
        use_case=use_case,
        score=100 * (standing.value or 0.0),
        origin="measured",
        reason=", ".join(_about(result, standing, model)),
        n=standing.n,
        low=None if interval is None else 100 * max(0.0, interval.low),
        high=None if interval is None else 100 * min(1.0, interval.high),
        as_of=result.as_of.date(),
        # The run is part of the source: of two runs on one day both are kept, and one run is kept once.
        source=f"benchmark {result.benchmark}, run {result.run_id[:8]}",
        run_id=result.run_id,
    )


def _about(result: BenchmarkResult, standing: Standing, model: ModelResult) -> Iterator[str]:
    yield f"{result.metric} of {count(standing.n, 'case')}"
    if standing.unscored:
        yield f"{standing.unscored} more without a score"
    if model.asked.startswith("replay/"):
        yield "from recorded answers"
