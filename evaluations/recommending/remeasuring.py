"""Was it worth it: what a change that was made has saved, beside what was projected.

What is paid now is held against what the same requests would have cost before: volume, mix and prices of
today, unit costs of then. A month with fewer requests is no saving.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

from evaluations.recommending.evidence import NoIncumbentData
from evaluations.recommending.recommendation import Savings
from evaluations.roi import DAYS_A_MONTH
from evaluations.statistics.proportions import normal_quantile

CONFIDENCE: Final = 0.95
LEAST_REQUESTS: Final = 30
"""Priced requests of a stratum before the change below which its unit cost is not known well enough."""
LEAST_AFTER: Final = 2
"""After it: one request tells nothing of how costs differ, and would make the interval of all strata endless."""
Kept = Literal["as projected", "less", "more", "not shown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stratum:
    """Priced requests of one part of the mix (a category, a kind of prompt) in a period."""

    requests: int
    cost: Decimal
    """US dollars, of all of them."""
    squares: float
    """Sum of the squared costs of requests: what the interval is made of."""

    @property
    def unit(self) -> Decimal:
        return self.cost / self.requests

    @property
    def error_squared(self) -> float:
        """Squared standard error of the unit cost."""
        if self.requests < 2:
            return float("inf")
        mean = float(self.unit)
        return max(0.0, self.squares / self.requests - mean * mean) / (self.requests - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Remeasured:
    """A month of the saving, as it was projected and as it came; US dollars."""

    projected: Savings
    realised_low: Decimal
    realised: Decimal
    realised_high: Decimal
    share: float
    """Realised, of what the same requests would have cost without the change."""
    naive: Decimal
    """What a month of the strata that are compared costs less than before, whatever the reason; it is the sum of the
    four parts."""
    by_volume: Decimal
    by_mix: Decimal
    by_price: Decimal
    kept: Kept
    requests: int
    """Requests after the change that could be held against the time before."""
    left_out: int
    """Requests of strata that hardly occurred before, or once after: nobody knows what they would have cost."""
    left_out_before: int
    """Requests of the time before in strata that hardly occurred after it, or before. Neither time's are in any amount
    above, so that both are of the same strata."""
    left_out_cost: Decimal
    """What those after cost a month."""
    left_out_cost_before: Decimal

    @property
    def of_projected(self) -> float | None:
        """Realised over projected; None where nothing was projected."""
        return float(self.realised / self.projected.point) if self.projected.point else None


def remeasure(
    projected: Savings,
    before: Mapping[str, Stratum],
    after: Mapping[str, Stratum],
    *,
    before_days: int,
    after_days: int,
    price_change: Mapping[str, Decimal] | Decimal = Decimal(1),
) -> Remeasured:
    """Saving of a month after the change, adjusted for volume, mix and price, beside the projected one.

    Only strata that are known at both times are held against each other, in every amount; the rest is counted.
    `price_change`: what the old set-up would cost today over what it did, of each stratum or of all; 1 is no change.
    The interval is that of the difference of unit costs within strata, weighed as they occur after the change. "less"
    and "more" are said only where the whole interval lies beyond the projected one; "not shown" where it holds zero.
    Raises NoIncumbentData where no stratum occurred before.
    Source: direct standardisation: Fleiss, Levin and Paik (2003), "Statistical Methods for Rates and Proportions", 19.
    """
    known = {
        name for name, each in after.items() if each.requests >= LEAST_AFTER and name in before
        and before[name].requests >= LEAST_REQUESTS
    }  # fmt: skip
    if not known:
        raise NoIncumbentData(
            f"no stratum had {LEAST_REQUESTS} priced requests before the change and {LEAST_AFTER} after it (seen then: "
            f"{', '.join(sorted(after)) or 'none'}); a saving cannot be said without a time before it."
        )
    changed = {
        name: price_change if isinstance(price_change, Decimal) else price_change.get(name, Decimal(1))
        for name in known
    }
    month_then, month_now = DAYS_A_MONTH / before_days, DAYS_A_MONTH / after_days
    requests_then = sum(before[name].requests for name in known)
    cost_then = sum((before[name].cost for name in known), Decimal(0))
    requests_now = sum(after[name].requests for name in known)
    actual = sum((after[name].cost for name in known), Decimal(0))
    at_old_prices = sum((after[name].requests * before[name].unit for name in known), Decimal(0))
    without = sum((after[name].requests * before[name].unit * changed[name] for name in known), Decimal(0))
    realised = (without - actual) * month_now
    variance = sum(
        after[name].requests ** 2 * (before[name].error_squared * float(changed[name]) ** 2 + after[name].error_squared)
        for name in known
    )
    half = Decimal(repr(normal_quantile(CONFIDENCE) * variance**0.5)) * month_now
    before_month = cost_then * month_then
    # At today's volume and the mix of then.
    volume_only = cost_then / requests_then * requests_now * month_now
    return Remeasured(
        projected=projected,
        realised_low=realised - half,
        realised=realised,
        realised_high=realised + half,
        share=float((without - actual) / without) if without else 0.0,
        naive=before_month - actual * month_now,
        by_volume=before_month - volume_only,
        by_mix=volume_only - at_old_prices * month_now,
        by_price=(at_old_prices - without) * month_now,
        kept=_kept(projected, realised - half, realised + half),
        requests=requests_now,
        left_out=sum(each.requests for name, each in after.items() if name not in known),
        left_out_before=sum(each.requests for name, each in before.items() if name not in known),
        left_out_cost=_cost_without(after, known) * month_now,
        left_out_cost_before=_cost_without(before, known) * month_then,
    )


def _cost_without(period: Mapping[str, Stratum], known: Collection[str]) -> Decimal:
    return sum((each.cost for name, each in period.items() if name not in known), Decimal(0))


def _kept(projected: Savings, low: Decimal, high: Decimal) -> Kept:
    if low <= 0 <= high:
        return "not shown"
    if high < projected.low:
        return "less"
    return "more" if low > projected.high else "as projected"
