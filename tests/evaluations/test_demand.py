"""What features ask: days add up in any order, and lengths of prompts are told to within a hundredth."""

from collections.abc import Sequence

import numpy as np
import pytest

from evaluations.demand import Demand, together
from evaluations.histograms import RELATIVE_ERROR, of_latencies


def prompts(tokens: Sequence[int]) -> Demand:
    return Demand(prompts=of_latencies([each / 1000 for each in tokens]))


@pytest.mark.parametrize(
    ("tokens", "share", "told"), [((7, 9, 11), 0.5, 9), ((0,), 1.0, 0), ((50,) * 99 + (2_000,), 0.95, 50)]
)
def test_short_prompts_are_told_exactly(tokens: Sequence[int], share: float, told: int) -> None:
    assert prompts(tokens).prompt_tokens(share) == told


@pytest.mark.parametrize("share", [0.01, 0.5, 0.95, 0.999])
def test_long_prompts_are_told_to_within_a_hundredth(share: float) -> None:
    tokens = np.random.default_rng(5).lognormal(8, 2, 4_000).astype(int).tolist()
    exact = np.quantile(tokens, share, method="inverted_cdf")
    assert prompts(tokens).prompt_tokens(share) == pytest.approx(exact, rel=RELATIVE_ERROR, abs=1)


def test_days_add_up_and_what_nobody_knows_stays_unknown() -> None:
    quiet = Demand(requests=3)
    busy = Demand(
        requests=9, calls=8, days=1, peak_requests_per_minute=5, peak_tokens_per_minute=700, longest_prompt=90,
        prompts=prompts([90, 10]).prompts, tier_known=4, tier_batch=1,
    )  # fmt: skip
    busier = Demand(requests=2, calls=2, days=1, peak_requests_per_minute=2, peak_tokens_per_minute=900)
    assert together([quiet, busy, busier]) == together([busier, quiet, busy])
    both = together([quiet, busy, busier])
    assert (both.requests, both.calls, both.days, both.batch_share) == (14, 10, 2, 0.25)
    assert (both.peak_requests_per_minute, both.peak_tokens_per_minute, both.longest_prompt) == (5, 900, 90)
    assert (quiet.peak_requests_per_minute, quiet.prompt_tokens(0.5), quiet.batch_share) == (None, None, None)
