"""Models side by side: what each was measured to do on the same cases, what it can do, what it costs, and its limits.

Only cases that all of them answered are compared, pair by pair with Holm's correction over all pairs
(evaluations/leaderboards.py). What nobody measured says so; what a catalogue says is told apart from what was tested.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Literal, get_args

from evaluations.cost_scenarios import IMAGE_TOKENS, MonthlyCost
from evaluations.estimates import Estimate
from evaluations.experiments import MetricKind
from evaluations.frontier import Placed, Point, placed
from evaluations.leaderboards import Better, Leaderboard, leaderboard
from evaluations.models import Model, UseCaseScore
from evaluations.pricing import Prices
from evaluations.statistics.means import mean_interval
from evaluations.statistics.proportions import wilson
from evaluations.statistics.quantiles import quantile_ranks

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

CaseMetric = Literal["pass_rate", "latency_ms", "cost", "error_rate"]
CASE_METRICS: tuple[CaseMetric, ...] = get_args(CaseMetric)
BETTER: Mapping[CaseMetric, Better] = {
    "pass_rate": "higher",
    "latency_ms": "lower",
    "cost": "lower",
    "error_rate": "lower",
}
KINDS: Mapping[CaseMetric, MetricKind | None] = {
    "pass_rate": None,
    "latency_ms": "skewed",
    "cost": "skewed",
    "error_rate": None,
}
"""What kind of values they are; None: binary where no case was repeated, else bounded."""
PER = 1000
"""Answers that the frontier's costs are of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One model in the comparison. What is None was not measured, or nobody says."""

    name: str
    called: str
    """What it was called by in the runs: a model id."""
    registry: Model | None
    accuracy: Estimate | None = None
    """Share of the cases' repeats that passed; cases are the n."""
    speed: Estimate | None = None
    """Median latency in milliseconds of the cases' answers."""
    speed_p95: Estimate | None = None
    reliability: Estimate | None = None
    """Share of the cases that were answered without an error in every repeat."""
    answer_cost: Estimate | None = None
    """Mean cost of an answer in US dollars."""
    prices: Prices | None = None
    month: MonthlyCost | None = None
    """Of the feature's traffic; None where there is none to price."""
    suits: UseCaseScore | None = None
    """For the use case that was asked about."""
    production: Estimate | None = None
    """Share of the feature's requests that ended in an error, where it serves the feature."""
    production_p95: Estimate | None = None

    def per_thousand_tokens(self) -> tuple[Decimal, Decimal] | None:
        """US dollars for 1,000 tokens in and out; None when either has no price."""
        if self.prices is None:
            return None
        read, written = self.prices.per_token("input"), self.prices.per_token("output")
        return None if read is None or written is None else (read * 1000, written * 1000)

    def per_image(self) -> Decimal | None:
        """US dollars for reading an image of medium resolution; None without a price, or where it reads none."""
        if self.prices is None or self.registry is None or not self.registry.can("vision"):
            return None
        price = self.prices.per_token("input_image")
        return None if price is None else price * IMAGE_TOKENS["medium"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sitting:
    """The cases that all of them answered."""

    suite: str
    feature: str | None
    prompt: str
    cases: int
    """That every model was asked, and has an answer or an error to."""
    judged: int
    """Of these, cases that every model has a verdict on."""
    runs: Mapping[str, str]
    """Model -> the run whose answers are taken."""
    at: datetime
    sample_data: bool
    simulated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SaidTo:
    """One case, and what each model said to it: text from outside."""

    case_id: str
    asked: str
    answers: Mapping[str, str]
    passed: Mapping[str, float | None]
    """Share of its repeats that passed; None where none was judged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelComparison:
    """Everything that the page and the command tell."""

    sides: tuple[Side, ...]
    use_case: str | None
    feature: str | None
    sitting: Sitting | None
    """None where only what is documented is compared."""
    on: date
    """The day whose prices and life cycles are shown."""
    boards: Mapping[CaseMetric, Leaderboard] = field(default_factory=dict)
    """For each metric that was measured, every pair of models on the cases both have."""
    standings: tuple[Placed, ...] = ()
    """Cost and quality; costs are those of 1,000 answers to the same cases."""
    said: tuple[SaidTo, ...] = ()
    differing: int = 0
    """Cases on which their verdicts differ; `said` shows the first of them."""
    traffic: str = ""
    """Whose requests the months are of."""
    other_sittings: int = 0
    """Other suites whose cases all of them answered."""

    def side(self, name: str) -> Side:
        """Raises KeyError for a model that is not compared."""
        for each in self.sides:
            if each.name == name:
                return each
        raise KeyError(name)


def measured_side(values: "Mapping[CaseMetric, Floats]", quality: Estimate | None) -> dict[str, Estimate | None]:
    """What one model did on the cases: an array by metric, shape (cases,), NaN where there is no value.

    The fields of a `Side` by name; None for what was not measured. `quality` is its interval on the board.
    """
    import numpy as np

    known = {name: each[~np.isnan(each)] for name, each in values.items()}
    errors = known.get("error_rate", np.empty(0))
    latency, cost = known.get("latency_ms", np.empty(0)), known.get("cost", np.empty(0))
    return {
        "accuracy": quality,
        "speed": quantile_of(latency, 0.5),
        "speed_p95": quantile_of(latency, 0.95),
        "reliability": wilson(int((errors == 0).sum()), errors.size) if errors.size else None,
        "answer_cost": mean_interval(cost) if cost.size > 1 else None,
    }


def quantile_of(values: "Floats", q: float, confidence: float = 0.95) -> Estimate | None:
    """A quantile between two values of the sample, shape (n,); too few for both bounds leave it open above.

    None where no value of so many would lie beyond it: below 20 for the 95th percentile.
    """
    import numpy as np

    if values.size < 2 or values.size * (1 - q) < 1 - 1e-9:
        return None
    ordered = np.sort(values)
    ranks = quantile_ranks(values.size, q, confidence)
    return Estimate(
        value=float(np.quantile(ordered, q)),
        low=float(ordered[ranks[0] - 1 if ranks else 0]),
        high=float(ordered[ranks[1] - 1]) if ranks else float("inf"),
        n=values.size,
        confidence=confidence,
        method="order statistics",
    )


def boards_of(
    values: "Mapping[str, Mapping[CaseMetric, Floats]]", clusters: Sequence[str] | None = None
) -> dict[CaseMetric, Leaderboard]:
    """A board for each metric that any model has values of. `values` is by model and metric.

    `clusters` says for each case what it belongs to; None: each stands alone.
    """
    import numpy as np

    found = {}
    for metric in CASE_METRICS:
        known = {
            name: each[metric] for name, each in values.items() if metric in each and not np.isnan(each[metric]).all()
        }
        if known:
            found[metric] = leaderboard(known, better=BETTER[metric], kind=KINDS[metric], clusters=clusters)
    return found


def standings_of(sides: Sequence[Side], quality: Leaderboard | None) -> tuple[Placed, ...]:
    """The frontier of cost and quality on the same cases, ties by the paired differences of the board."""
    points = [
        Point(
            name=each.name,
            cost=None if each.answer_cost is None else Decimal(str(each.answer_cost.value * PER)),
            quality=each.accuracy,
        )
        for each in sides
    ]

    def difference(one: str, other: str) -> Estimate | None:
        pairing = quality.between(one, other) if quality is not None else None  # both have a quality: both are on it
        if pairing is None or pairing.difference is None:
            return None
        found = pairing.difference
        if pairing.first == one:
            return found
        return Estimate(
            value=-found.value, low=-found.high, high=-found.low, n=found.n, confidence=found.confidence
        )  # fmt: skip

    return placed(points, difference)
