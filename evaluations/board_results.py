"""Everything that is known of a benchmark's leaderboard: what its page and its twins are made of."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Literal

from evaluations.estimates import Estimate
from evaluations.latency import Latency
from evaluations.leaderboards import Leaderboard
from evaluations.statistics.length_bias import LengthControlled
from evaluations.statistics.outcomes import Undetermined

BoardUnit = Literal["share", "points", "ms", "usd", "per_second"]
"""In which scores are told: shares as percentages, points of a scale, milliseconds, US dollars, tokens a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What the calls of one model cost."""

    cost: Decimal | None
    """US dollars of the priced calls; None when none is."""
    calls: int
    unpriced: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardResult:
    """A leaderboard with where it comes from."""

    benchmark: str
    metric: str
    """What the scores are: "accuracy"."""
    unit: BoardUnit
    board: Leaderboard
    as_of: datetime
    """When the last answer was scored."""
    description: str = ""
    run_id: str | None = None
    judged: bool = False
    """Were the scores given by a judging model?"""
    complete: bool = True
    """False when cases are missing because a limit or a failure stopped the run, not a plan."""
    stop_reason: str = ""
    failed: Mapping[str, int] = field(default_factory=dict)
    """By model: cases without a score because the call failed, of its unscored ones."""
    spent: Mapping[str, Spent] = field(default_factory=dict)
    latency: Mapping[str, Latency] = field(default_factory=dict)
    percentiles: Mapping[str, Estimate] = field(default_factory=dict)
    """By model: where its score stands among earlier runs of this benchmark."""
    at_equal_length: Mapping[tuple[str, str], LengthControlled | Undetermined] = field(default_factory=dict)
    """By pair, the higher one first; empty where lengths do not matter."""
    provenance: tuple[tuple[str, str], ...] = ()
    """Names and values that it takes to run the benchmark again: dataset version, prompt, parameters, scorer."""
    rerun: str = ""
    """The command that runs it again."""
    simulated: bool = False
    sample_data: bool = False
