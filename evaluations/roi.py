"""What an AI that takes tickets is worth in a month: what people would have cost, less all that the AI costs.

The AI is paid for every ticket, also for those it fails; a resolution after which the customer comes back is handled by
a person after all. What is not known is named as not counted, never taken for nothing.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal

from evaluations.errors import AssayError

DAYS_A_MONTH = Decimal("30.4375")
"""A twelfth of 365.25 days."""
ASSUMED_SWING = Decimal("0.25")
"""By how much what is assumed is moved up and down to see what rests on it."""
CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumptions:
    """What no request can say. Amounts in US dollars; None is not stated."""

    hourly: Decimal = Decimal(20)
    """What an hour of a person who takes tickets costs."""
    minutes: Decimal = Decimal(5)
    """How long a person works on one ticket."""
    infrastructure: Decimal | None = None
    """What runs whether or not anybody asks, a month."""
    investment: Decimal | None = None
    """What building it cost, once."""
    discount: Decimal = Decimal(0)
    """By which share a year money is worth less later; 0 does not discount."""

    @property
    def handling(self) -> Decimal:
        """What one ticket costs when a person takes it, to the cent.

        >>> str(Assumptions().handling)
        '1.67'
        """
        return (self.hourly * self.minutes / 60).quantize(CENT, ROUND_HALF_UP)


def assumptions(
    *,
    hourly: Decimal,
    minutes: Decimal,
    infrastructure: Decimal | None,
    investment: Decimal | None,
    discount: Decimal = Decimal(0),
) -> Assumptions:
    """Raises AssayError for an amount that cannot be one."""
    given = {
        "hourly": hourly,
        "minutes": minutes,
        "infrastructure": infrastructure,
        "investment": investment,
        "discount": discount,
    }
    for name, value in given.items():
        if value is not None and (not value.is_finite() or value < 0):
            raise AssayError(f"the {name} is {value}; it has to be a number from 0.")
    return Assumptions(
        hourly=hourly, minutes=minutes, infrastructure=infrastructure, investment=investment, discount=discount
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """What a month brings. Shares are fractions of all tickets or of what the AI resolved."""

    tickets: Decimal
    """Tickets the AI took."""
    deflection: Decimal
    """Share resolved and passed on to nobody."""
    came_back: Decimal | None
    """Share of those after which the customer came back; None when that is not known."""
    ai_per_ticket: Decimal | None
    """AI cost of a ticket, over all tickets; None when it is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Roi:
    """A month in US dollars."""

    volume: Volume
    given: Assumptions
    saved: Decimal
    """What people would have cost for the deflected tickets."""
    ai: Decimal | None
    infrastructure: Decimal | None
    rework: Decimal | None
    """What people cost for those that came back."""

    @property
    def net(self) -> Decimal:
        """Saved less every cost that is known; `not_counted` names the others."""
        return self.saved - sum((cost for cost in (self.ai, self.infrastructure, self.rework) if cost), Decimal(0))

    @property
    def year(self) -> Decimal:
        return self.net * 12

    @property
    def not_counted(self) -> tuple[str, ...]:
        costs = (("AI cost", self.ai), ("infrastructure", self.infrastructure), ("rework", self.rework))
        return tuple(name for name, cost in costs if cost is None)

    @property
    def payback_months(self) -> Decimal | None:
        """Months until the investment is back; None when it never is, or is not stated.

        With a monthly rate d the nth month brings net / (1 + d)^n; their sum reaches the investment after
        -ln(1 - investment · d / net) / ln(1 + d) months.
        """
        if self.given.investment is None or self.net <= 0:
            return None
        plain = self.given.investment / self.net
        if not self.given.discount:
            return plain
        monthly = (1 + float(self.given.discount)) ** (1 / 12) - 1
        left = 1 - float(plain) * monthly
        return Decimal(str(-math.log(left) / math.log1p(monthly))) if left > 0 else None


def roi(volume: Volume, given: Assumptions) -> Roi:
    """A month with these tickets under these assumptions.

    >>> each = {"deflection": Decimal("0.65"), "came_back": Decimal(0), "ai_per_ticket": Decimal("0.05")}
    >>> given = Assumptions(infrastructure=Decimal(70), investment=Decimal(14950))
    >>> month = roi(Volume(tickets=Decimal(1000), **each), given)
    >>> str(month.net), f"{month.payback_months:.1f} months"
    ('965.50', '15.5 months')
    """
    deflected = volume.tickets * volume.deflection
    return Roi(
        volume=volume,
        given=given,
        saved=_cents(deflected * given.handling),
        ai=None if volume.ai_per_ticket is None else _cents(volume.tickets * volume.ai_per_ticket),
        infrastructure=given.infrastructure,
        rework=None if volume.came_back is None else _cents(deflected * volume.came_back * given.handling),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedRoi:
    """The formula of the source documents: AI cost on deflected tickets alone, no infrastructure, no rework."""

    net: Decimal
    year: Decimal
    payback_months: Decimal | None


def seed_roi(volume: Volume, given: Assumptions) -> SeedRoi | None:
    """(deflected × handling) - (deflected × AI cost), as the sources reckon; None where the AI cost is unknown.

    >>> each = {"deflection": Decimal("0.65"), "came_back": None, "ai_per_ticket": Decimal("0.05")}
    >>> theirs = seed_roi(Volume(tickets=Decimal(1000), **each), Assumptions(investment=Decimal(15000)))
    >>> str(theirs.net), str(theirs.year), f"{theirs.payback_months:.0f} months"
    ('1053.00', '12636.00', '14 months')
    """
    if volume.ai_per_ticket is None:
        return None
    net = _cents(volume.tickets * volume.deflection * (given.handling - volume.ai_per_ticket))
    back = None if given.investment is None or net <= 0 else given.investment / net
    return SeedRoi(net=net, year=net * 12, payback_months=back)


def break_even(month: Roi) -> Decimal | None:
    """The deflection at which a month brings nothing; None when no deflection would do, or a ticket costs nothing."""
    kept = month.given.handling * (1 - (month.volume.came_back or 0)) * month.volume.tickets
    costs = (month.ai or Decimal(0)) + (month.infrastructure or Decimal(0))
    if kept <= 0 or costs > kept:
        return None
    return costs / kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Swing:
    """One input moved to both ends of what it could be, everything else as it was."""

    name: str
    low: Decimal
    high: Decimal
    why: str
    """Where the ends come from."""
    at_low: Roi
    at_high: Roi

    @property
    def width(self) -> Decimal:
        return abs(self.at_high.net - self.at_low.net)


def sensitivity(
    month: Roi, *, deflection: tuple[float, float] | None, came_back: tuple[float, float] | None
) -> tuple[Swing, ...]:
    """What the month would bring with each input at its ends, what moves it most first.

    Measured shares go to the ends of their intervals, which are given here; what is assumed or priced goes a quarter
    down and up.
    """
    volume, given = month.volume, month.given

    def swung(name: str, ends: Sequence[Decimal], why: str, with_value: Callable[[Decimal], Roi]) -> Swing:
        low, high = ends
        return Swing(name=name, low=low, high=high, why=why, at_low=with_value(low), at_high=with_value(high))

    def quarter(value: Decimal) -> tuple[Decimal, Decimal]:
        return value * (1 - ASSUMED_SWING), value * (1 + ASSUMED_SWING)

    assumed = "assumed; a quarter less or more"
    found = [
        swung("hourly cost", quarter(given.hourly), assumed, lambda v: roi(volume, replace(given, hourly=v))),
        swung("minutes a ticket", quarter(given.minutes), assumed, lambda v: roi(volume, replace(given, minutes=v))),
        swung(
            "tickets a month", quarter(volume.tickets), "a quarter less or more",
            lambda v: roi(replace(volume, tickets=v), given),
        ),
    ]  # fmt: skip
    if deflection is not None:
        ends = tuple(Decimal(str(end)) for end in deflection)
        found.append(
            swung("deflection", ends, "95% interval", lambda v: roi(replace(volume, deflection=v), given))
        )  # fmt: skip
    if came_back is not None:
        ends = tuple(Decimal(str(end)) for end in came_back)
        found.append(swung("came back", ends, "95% interval", lambda v: roi(replace(volume, came_back=v), given)))
    if volume.ai_per_ticket is not None:
        found.append(
            swung(
                "AI cost a ticket", quarter(volume.ai_per_ticket), "a quarter less or more",
                lambda v: roi(replace(volume, ai_per_ticket=v), given),
            )
        )  # fmt: skip
    if given.infrastructure is not None:
        found.append(
            swung(
                "infrastructure", quarter(given.infrastructure), assumed,
                lambda v: roi(volume, replace(given, infrastructure=v)),
            )
        )  # fmt: skip
    return tuple(sorted(found, key=lambda each: (-each.width, each.name)))


def _cents(amount: Decimal) -> Decimal:
    return amount.quantize(CENT, ROUND_HALF_EVEN)
