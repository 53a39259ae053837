"""What a feature asks of its models: its busiest minute, how long its prompts are, by which service it asks.

It is kept by day, and days add up: peaks by their maximum, lengths of prompts as histograms with the edges of latencies
(evaluations/histograms.py), a token being what a microsecond is there.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce

from evaluations.histograms import EMPTY, Histogram


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What some days of a feature asked. None: not known."""

    requests: int = 0
    calls: int = 0
    """Requests in which a model took part; all that follows is of them."""
    days: int = 0
    """Days with calls."""
    peak_requests_per_minute: int | None = None
    peak_tokens_per_minute: int | None = None
    longest_prompt: int | None = None
    prompts: Histogram = EMPTY
    """Tokens of the prompts whose tokens somebody reported."""
    tier_known: int = 0
    """Calls that say by which service they were asked for."""
    tier_batch: int = 0
    """Of those, by one that takes its time."""

    def __add__(self, other: "Demand") -> "Demand":
        return Demand(
            requests=self.requests + other.requests,
            calls=self.calls + other.calls,
            days=self.days + other.days,
            peak_requests_per_minute=_most(self.peak_requests_per_minute, other.peak_requests_per_minute),
            peak_tokens_per_minute=_most(self.peak_tokens_per_minute, other.peak_tokens_per_minute),
            longest_prompt=_most(self.longest_prompt, other.longest_prompt),
            prompts=self.prompts + other.prompts,
            tier_known=self.tier_known + other.tier_known,
            tier_batch=self.tier_batch + other.tier_batch,
        )

    def prompt_tokens(self, share: float) -> int | None:
        """How long a share of the prompts are at most, to within a hundredth; None where nobody reported tokens.

        Up to 50 tokens it is exact.
        """
        found = self.prompts.quantile(share)
        return None if found is None else math.floor(found * 1000)

    @property
    def batch_share(self) -> float | None:
        return self.tier_batch / self.tier_known if self.tier_known else None


def together(days: Iterable[Demand]) -> Demand:
    """What several days asked."""
    return reduce(Demand.__add__, days, Demand())


def _most(one: int | None, other: int | None) -> int | None:
    return max((each for each in (one, other) if each is not None), default=None)
