"""Performance: how well calls of models and features went in a window of time, beside the window before it.

Percentiles come from merged histograms, never from averages of percentiles; every rate carries what it was counted
over, and what is not known is counted beside it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal, get_args

from evaluations.estimates import Estimate
from evaluations.histograms import EMPTY, Histogram
from evaluations.rollups import Dimension
from evaluations.spend import Names
from evaluations.statistics.proportions import wilson

WindowName = Literal["1h", "24h", "7d", "30d"]
WINDOW_NAMES: tuple[WindowName, ...] = get_args(WindowName)


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time, made of whole hours or of whole days of the platform's time zone."""

    begins: datetime
    ends: datetime
    """The first moment after it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Performed:
    """Sums over some requests, and the rates that come of them."""

    requests: int = 0
    successes: int = 0
    errors: int = 0
    """Requests that are neither did not say how they ended."""
    usage_unknown: int = 0
    """Requests whose tokens nobody reported; their tokens are in no sum."""
    prompt_tokens: int = 0
    """All classes of a prompt's tokens together, cached ones included."""
    cached_tokens: int = 0
    reply_tokens: int = 0
    """All classes of a reply's tokens together."""
    cache_hits: int = 0
    cache_known: int = 0
    """Requests that said whether an answer cache served them."""
    priced: int = 0
    unpriced: int = 0
    """Requests whose cost is unknown; it is not in `cost`."""
    cost: Decimal | None = None
    """US dollars, of those that are priced; None when none is."""
    latencies: Histogram = EMPTY

    @property
    def error_share(self) -> Estimate | None:
        """The share of errors among the requests that said how they ended, with its Wilson interval."""
        known = self.successes + self.errors
        return wilson(self.errors, known) if known else None

    def latency(self, share: float) -> Estimate | None:
        """A percentile of the latency in milliseconds with its interval; `high` may be infinite."""
        return self.latencies.estimate(share)

    @property
    def cost_per_request(self) -> Decimal | None:
        """US dollars for each priced request."""
        return None if self.cost is None else self.cost / self.priced

    @property
    def cost_per_success(self) -> Decimal | None:
        """US dollars for each success, what failed included; too low while requests are unpriced."""
        return None if self.cost is None or not self.successes else self.cost / self.successes

    @property
    def tokens_per_request(self) -> float | None:
        """Tokens of prompt and reply for each request whose tokens are known."""
        known = self.requests - self.usage_unknown
        return (self.prompt_tokens + self.reply_tokens) / known if known else None

    @property
    def cached_share(self) -> float | None:
        """The share of prompt tokens that came from the provider's cache."""
        return self.cached_tokens / self.prompt_tokens if self.prompt_tokens else None

    @property
    def cache_hit_share(self) -> Estimate | None:
        """The share of requests that an answer cache served, of those that said so, with its Wilson interval."""
        return wilson(self.cache_hits, self.cache_known) if self.cache_known else None


@dataclass(frozen=True, slots=True, kw_only=True)
class PerformanceLine:
    """How one group did, and how it did in the window before."""

    names: Names
    """The values of the dimensions asked for, in their order; None where requests did not say."""
    now: Performed
    before: Performed | None
    """None when the window before is not known from its beginning."""

    def latency_change(self, share: float) -> float | None:
        """By which share a percentile of the latency grew; None where either is unknown."""
        now = self.now.latency(share)
        before = self.before.latency(share) if self.before else None
        return None if now is None or before is None or not before.value else now.value / before.value - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Performance:
    """How groups did in a window."""

    name: WindowName
    by: tuple[Dimension, ...]
    window: Window
    before: Window
    timezone: str
    lines: tuple[PerformanceLine, ...]
    """The groups with the most requests first; those with none in this window, but some before, last."""
    dirty: int
    """Days whose requests changed and that wait to be rolled up: the numbers may lack what came last."""


def length_of(name: WindowName) -> timedelta:
    """
    >>> length_of("7d")
    datetime.timedelta(days=7)
    """
    number = int(name[:-1])
    return timedelta(hours=number) if name.endswith("h") else timedelta(days=number)


def performance_lines(
    now: Mapping[Names, Performed], before: Mapping[Names, Performed] | None
) -> tuple[PerformanceLine, ...]:
    """A line for each group of either window. `before` is None when that window is not known."""
    names = {*now, *(before or {})}
    lines = [
        PerformanceLine(
            names=each,
            now=now.get(each, Performed()),
            before=None if before is None else before.get(each, Performed()),
        )
        for each in names
    ]
    return tuple(sorted(lines, key=lambda line: (-line.now.requests, [name or "" for name in line.names])))
