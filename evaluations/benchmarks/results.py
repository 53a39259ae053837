"""Results of a benchmark: where each model stands, what it took, and what the benchmark's authors report beside."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from itertools import combinations
from typing import TYPE_CHECKING, Any, Final

from evaluations.latency import QUANTILES, Latency, Spread
from evaluations.leaderboards import Leaderboard, Pairing, Standing
from evaluations.statistics.length_bias import LengthControlled
from evaluations.statistics.outcomes import Undetermined

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

UNITS: Final[Mapping[str, str]] = {
    "accuracy": "share of cases",
    "latency": "ms a call, without our queue",
    "throughput": "ms from when a call was due to its answer",
    "cost": "USD a call",
}
"""What a leaderboard of each category ranks by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelResult:
    """One model's part in a benchmark."""

    model: str
    """As prices and the registry name it: provider/model."""
    asked: str
    """What was called: the model itself, or a recording of it."""
    answers: int
    answered: int
    errors: Mapping[str, int]
    """By kind; an errored call is no wrong answer."""
    contaminated: int
    cost: Decimal
    """USD of the priced answers."""
    unpriced: int
    input_tokens: int
    output_tokens: int
    usage_unknown: int
    latency: Latency
    scored: int
    unscored: int
    """Cases without a score, errors included."""
    right: Mapping[str, Any] | None
    """For scores of 0 and 1: right of the scored cases, with Wilson's interval; None for others."""
    unreadable_wrong: Mapping[str, Any] | None
    """The same with every case that was answered and could not be read taken as wrong."""
    figures: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """Two models on the cases both have a score of 0 or 1 for."""

    first: str
    second: str
    both_right: int
    only_first_right: int
    only_second_right: int
    both_wrong: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkResult:
    """What came out of one run of a benchmark. All but the run and its moment is the same for the same answers."""

    run_id: str
    as_of: datetime
    """When the run ended, or was read while it goes on."""
    benchmark: str
    description: str
    use_case: str | None = None
    """What its accuracy speaks for in the registry of models."""
    category: str
    format: str
    metric: str
    """What a case's value is: a scorer's label, `verdict`, or a time or price."""
    cases: int
    cases_planned: int
    """Of the benchmark; more than `cases` when it stopped early or on a limit."""
    repeats: int
    stop_reason: str
    board: Leaderboard
    models: tuple[ModelResult, ...]
    """In the order of the board."""
    sides: tuple[Sides, ...]
    """For scores of 0 and 1, in the order of the board's pairs."""
    judged: bool = False
    """Whether a judging model gave the scores."""
    at_equal_length: Mapping[tuple[str, str], LengthControlled | Undetermined] = field(default_factory=dict)
    """For judged ones, by pair: how often the first is preferred, and how often at equal length of answers."""
    seed: int
    sources: Mapping[str, Any]
    dataset_hash: str
    suite_hash: str
    sample_data: bool
    simulated: bool
    recorded: bool
    """True when every answer was replayed: nothing was called."""

    @property
    def complete(self) -> bool:
        return self.cases == self.cases_planned


def sides_of(scores: "Mapping[str, Floats]", board: Leaderboard) -> tuple[Sides, ...]:
    """How every pair of models splits the cases that both have a score for; nothing where scores are not 0 or 1."""
    import numpy as np

    if board.kind != "binary":
        return ()
    found = []
    for first, second in combinations([each.model for each in board.standings], 2):
        one, other = scores[first], scores[second]
        both = ~(np.isnan(one) | np.isnan(other))
        one, other = one[both] == 1, other[both] == 1
        found.append(
            Sides(
                first=first,
                second=second,
                both_right=int((one & other).sum()),
                only_first_right=int((one & ~other).sum()),
                only_second_right=int((~one & other).sum()),
                both_wrong=int((~one & ~other).sum()),
            )
        )
    return tuple(found)


def headline(result: BenchmarkResult) -> str:
    """The answer in one sentence: who leads, and who cannot be told from whom."""
    leaders, scored = result.board.leaders, [each for each in result.board.standings if each.value is not None]
    if not scored:
        return f"Nothing could be measured for {result.metric}: see the errors."
    if len(scored) == 1:
        return f"{scored[0].model} is the only model that was measured."
    if len(leaders) == 1:
        return f"{leaders[0]} leads: every other model is significantly behind."
    return f"{', '.join(leaders[:-1])} and {leaders[-1]} are tied at the top: no test tells them apart."


def metrics(result: BenchmarkResult) -> dict[str, Any]:
    """The numbers as JSON holds them: the same answers give the same bytes, whenever and wherever they are judged."""
    board = result.board
    return {
        "benchmark": result.benchmark,
        "category": result.category,
        "format": result.format,
        "metric": result.metric,
        "unit": UNITS[result.category],
        "better": board.better,
        "cases": result.cases,
        "cases_planned": result.cases_planned,
        "clusters": board.clusters,
        "repeats": result.repeats,
        "alpha": board.alpha,
        "standings": [_standing(each) for each in board.standings],
        "tied": [list(group) for group in board.tied],
        "leaders": list(board.leaders),
        "pairs": [_pairing(each) for each in board.pairings],
        "sides": [
            {
                "first": each.first,
                "second": each.second,
                "both_right": each.both_right,
                "only_first_right": each.only_first_right,
                "only_second_right": each.only_second_right,
                "both_wrong": each.both_wrong,
            }
            for each in result.sides
        ],
        "at_equal_length": [
            {"first": first, "second": second, **_at_equal_length(found)}
            for (first, second), found in result.at_equal_length.items()
        ],
        "models": {each.model: _model(each) for each in result.models},
        "provenance": {
            "seed": result.seed,
            "sources": dict(result.sources),
            "dataset_hash": result.dataset_hash,
            "suite_hash": result.suite_hash,
            "sample_data": result.sample_data,
            "simulated": result.simulated,
        },
    }


def _standing(standing: Standing) -> dict[str, Any]:
    interval = standing.interval
    return {
        "model": standing.model,
        "value": standing.value,
        "low": None if interval is None else interval.low,
        "high": None if interval is None else interval.high,
        "method": None if interval is None else interval.method,
        "standard_error": standing.standard_error,
        "n": standing.n,
        "unscored": standing.unscored,
        "units": standing.units,
        "best_rank": standing.best_rank,
        "worst_rank": standing.worst_rank,
    }


def _pairing(pair: Pairing) -> dict[str, Any]:
    difference = pair.difference
    return {
        "first": pair.first,
        "second": pair.second,
        "n": pair.n,
        "difference": None if difference is None else difference.value,
        "low": None if difference is None else difference.low,
        "high": None if difference is None else difference.high,
        "p": pair.p,
        "adjusted_p": pair.adjusted_p,
        "ahead": pair.ahead,
        "test": pair.test,
        "why": pair.why,
    }


def _at_equal_length(found: LengthControlled | Undetermined) -> dict[str, Any]:
    if isinstance(found, Undetermined):
        return {"preferred": None, "at_equal_length": None, "longer": None, "p": None, "n": found.n, "why": found.why}
    rates = {"preferred": found.raw, "at_equal_length": found.controlled}
    told = {name: {"value": each.value, "low": each.low, "high": each.high} for name, each in rates.items()}
    return {**told, "longer": found.longer, "p": found.p, "n": found.raw.n, "why": found.reason}


def _model(model: ModelResult) -> dict[str, Any]:
    return {
        "answers": model.answers,
        "answered": model.answered,
        "errors": dict(model.errors),
        "contaminated": model.contaminated,
        "scored": model.scored,
        "unscored": model.unscored,
        "right": model.right,
        "unreadable_wrong": model.unreadable_wrong,
        "cost_usd": str(model.cost),
        "unpriced": model.unpriced,
        "input_tokens": model.input_tokens,
        "output_tokens": model.output_tokens,
        "usage_unknown": model.usage_unknown,
        "queue_ms": _spread(model.latency.queue),
        "first_token_ms": _spread(model.latency.first_token),
        "latency_ms": _spread(model.latency.total),
        "tokens_per_second": _spread(model.latency.tokens_per_second),
        "requests_per_second": model.latency.requests_per_second,
        "throughput_tokens_per_second": model.latency.throughput,
        "figures": dict(model.figures),
    }


def _spread(spread: Spread) -> dict[str, Any]:
    quantiles = {f"p{100 * q:g}": found.value for q in QUANTILES if (found := spread.at(q)) is not None}
    return {"n": spread.n, "missing": spread.missing, **quantiles}
