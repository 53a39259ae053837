"""Leaderboards for the tests of their page."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import numpy as np

from evaluations.board_results import BoardResult, Spent
from evaluations.latency import Timing, latency
from evaluations.leaderboards import at_equal_length, leaderboard, percentile
from tests.evaluations.test_leaderboards import simulated

AT = datetime(2026, 6, 28, 6, 0, tzinfo=UTC)
NAMES = (
    "openai/gpt-large",
    "anthropic/claude-mid",
    "google/gem-fast",
    "mistral/small",
    "meta/llama-tiny",
    "other/nano",
)


def a_board(
    rates: Sequence[float] = (0.93, 0.92, 0.85, 0.84, 0.7),
    *,
    n: int = 600,
    names: Sequence[str] = NAMES,
    seed: int = 1,
    unscored: int = 7,
    **given: Any,
) -> BoardResult:
    """A board of passes of simulated models that find the same cases hard."""
    rng = np.random.default_rng(seed)
    drawn = list(simulated(rng, rates, n).values())
    scores = dict(zip(names, drawn, strict=False))
    if len(drawn) > 1 and unscored:
        drawn[-1][:unscored] = np.nan
    lengths = {name: rng.normal(400 + 40 * at, 60, n) for at, name in enumerate(scores)}
    board = leaderboard(scores, lengths=lengths)
    seconds = {
        name: latency(
            [
                Timing(total_ms=t, first_token_ms=t / 4, output_tokens=120, queue_ms=3.0)
                for t in rng.gamma(9, 100 + 20 * at, 150)
            ]
            + [Timing(error="429")] * at
        )
        for at, name in enumerate(scores)
    }
    earlier = [0.6, 0.7, 0.72, 0.8, 0.81, 0.85, 0.9]
    among = {each.model: percentile(each.interval, earlier) for each in board.standings if each.interval is not None}
    made = BoardResult(
        benchmark="gsm8k",
        metric="accuracy",
        unit="share",
        board=board,
        as_of=AT,
        description="Grade-school mathematics",
        run_id="9f1c2ab4",
        failed={board.standings[-1].model: 3} if unscored and len(drawn) > 1 else {},
        spent={
            name: Spent(cost=Decimal("1.27") * (at + 1), calls=n, unpriced=at % 2) for at, name in enumerate(scores)
        },
        latency=seconds,
        percentiles={model: found for model, found in among.items() if found is not None},
        at_equal_length=at_equal_length(board, scores, lengths),
        provenance=(("Dataset", "gsm8k, version 3f9a1c"), ("Scorer", "number"), ("Prompt", "step-by-step 1.2.0")),
        rerun="assay benchmark rerun 9f1c2ab4",
    )
    return replace(made, **given)
