"""What customers got from the AI, and what that is worth: a measured window scaled to a month like it."""

from dataclasses import dataclass
from decimal import Decimal

from evaluations.customer import CustomerFacts
from evaluations.roi import (
    DAYS_A_MONTH,
    Assumptions,
    Roi,
    SeedRoi,
    Swing,
    Volume,
    roi,
    seed_roi,
    sensitivity,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Impact:
    """A window of customers and its worth."""

    facts: CustomerFacts
    month: Roi | None
    """None when no deflection could be measured."""
    theirs: SeedRoi | None
    """The same month by the formula of the source documents."""
    swings: tuple[Swing, ...]
    """What the month rests on, what moves it most first."""


def impact_of(facts: CustomerFacts, given: Assumptions) -> Impact:
    """The worth of a measured window under stated assumptions."""
    volume = volume_of(facts)
    if volume is None:
        return Impact(facts=facts, month=None, theirs=None, swings=())
    month = roi(volume, given)
    deflection, came_back = facts.measured("deflection"), facts.measured("came_back")
    swings = sensitivity(
        month,
        deflection=None if deflection is None else (deflection.low, deflection.high),
        came_back=None if came_back is None else (came_back.low, came_back.high),
    )
    return Impact(facts=facts, month=month, theirs=seed_roi(volume, given), swings=swings)


def volume_of(facts: CustomerFacts) -> Volume | None:
    """A month of tickets like those of the window; None without a measured deflection.

    The AI's cost is spread over all its tickets; with requests of unknown cost it is unknown, not smaller.
    """
    deflection, came_back = facts.measured("deflection"), facts.measured("came_back")
    if deflection is None:
        return None
    tickets = facts.tickets.by_ai
    costs_known = facts.ai_cost is not None and not facts.unpriced
    return Volume(
        tickets=Decimal(tickets) / facts.days * DAYS_A_MONTH,
        deflection=Decimal(str(deflection.value)),
        came_back=None if came_back is None else Decimal(str(came_back.value)),
        ai_per_ticket=facts.ai_cost / tickets if costs_known and facts.ai_cost is not None else None,
    )
