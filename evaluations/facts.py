"""Facts: what some requests were, cost and achieved, as sums that add up over any days and dimensions."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from evaluations.histograms import decoded
from evaluations.spend import Names


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Sums over some requests. What is not known is counted apart, so that no ratio takes it for a zero."""

    requests: int = 0
    successes: int = 0
    errors: int = 0
    """Requests that are neither did not say how they ended."""
    priced: int = 0
    unpriced: int = 0
    """Requests to a model whose cost is unknown; it is not in `cost`."""
    cost: Decimal | None = None
    """US dollars of the priced ones; None when none is."""
    whole_cost: Decimal = Decimal(0)
    """Of the cost, that of fact rows in which every request is priced ..."""
    whole_successes: int = 0
    """... and what succeeded in these: only there can a success be said to have cost something."""
    prompt_tokens: int = 0
    """All classes of a prompt's tokens, cached ones included."""
    cached_tokens: int = 0
    """Of the prompt's tokens, those read from the provider's cache."""
    reply_tokens: int = 0
    """All classes of a reply's tokens."""
    latencies: bytes = b""
    """Encoded histograms, one behind the other (evaluations/histograms.py)."""
    quality_n: int = 0
    quality_sum: Decimal = Decimal(0)

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.reply_tokens

    @property
    def ended(self) -> int:
        """Requests that said how they ended: the n of the error rate."""
        return self.successes + self.errors

    @property
    def error_rate(self) -> float | None:
        return self.errors / self.ended if self.ended else None

    @property
    def quality(self) -> float | None:
        """Mean judged quality in [0, 1], of those that were judged."""
        return float(self.quality_sum / self.quality_n) if self.quality_n else None

    @property
    def cached_share(self) -> float | None:
        """Of the prompt's tokens, how many came from the provider's cache."""
        return self.cached_tokens / self.prompt_tokens if self.prompt_tokens else None

    @property
    def cost_per_request(self) -> Decimal | None:
        """US dollars, over the priced requests."""
        return self.cost / self.priced if self.cost is not None and self.priced else None

    @property
    def cost_per_success(self) -> Decimal | None:
        """US dollars: all that was paid, failures included, over the successes, where every request is priced."""
        return self.whole_cost / self.whole_successes if self.whole_successes else None

    @property
    def tokens_per_success(self) -> float | None:
        return self.tokens / self.successes if self.successes and self.tokens else None

    def latency(self, share: float) -> float | None:
        """The latency in milliseconds that a share of the requests stays within; None when none was measured."""
        return decoded(self.latencies).quantile(share)


NOTHING = Facts()
_COUNTS = ("requests", "successes", "errors", "priced", "unpriced", "whole_successes", "prompt_tokens", "cached_tokens",
           "reply_tokens", "quality_n")  # fmt: skip
ByDay = Mapping[tuple[Names, date], Facts]
"""What each group's requests of each day came to; a day without requests is not in it."""


def total(facts: Iterable[Facts]) -> Facts:
    """All of them together."""
    each = tuple(facts)
    costs = [one.cost for one in each if one.cost is not None]
    return Facts(
        **{name: sum(getattr(one, name) for one in each) for name in _COUNTS},
        cost=sum(costs, Decimal(0)) if costs else None,
        latencies=b"".join(one.latencies for one in each),
        whole_cost=sum((one.whole_cost for one in each), Decimal(0)),
        quality_sum=sum((one.quality_sum for one in each), Decimal(0)),
    )


def regrouped(found: ByDay, dimension: int, first: date, last: date) -> dict[str | None, Facts]:
    """Facts of the days from first to last, both included, by one of the dimensions that they are grouped by."""
    grouped: dict[str | None, list[Facts]] = {}
    for (names, day), facts in found.items():
        if first <= day <= last:
            grouped.setdefault(names[dimension], []).append(facts)
    return {name: total(each) for name, each in grouped.items()}


def per_day(found: ByDay, dimension: int | None = None, name: str | None = None) -> dict[date, Facts]:
    """Facts of each day, of all groups or of those with one name of a dimension."""
    grouped: dict[date, list[Facts]] = {}
    for (names, day), facts in found.items():
        if dimension is None or names[dimension] == name:
            grouped.setdefault(day, []).append(facts)
    return {day: total(grouped[day]) for day in sorted(grouped)}
