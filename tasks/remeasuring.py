"""Measuring again: what accepted recommendations have saved, some weeks after, written into the ledger of savings."""

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from evaluations import cost_scenarios
from evaluations.errors import AssayError
from evaluations.recommending.answers import Measurement, StoredRecommendation
from evaluations.recommending.evidence import NoIncumbentData
from evaluations.recommending.remeasuring import remeasure
from evaluations.wording import count
from tasks.settings import settings
from tasks.store import demand, facts, model_use, prices, recommendation_evidence, recommendations, rollups
from tasks.store.database import transaction

AFTER_DAYS = 30
LEAST_DAYS = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Remeasurements:
    """What one round of measuring again came to."""

    measured: int
    waiting: int
    """Accepted ones whose days are not over."""

    def __str__(self) -> str:
        waiting = f", {count(self.waiting)} not yet due" if self.waiting else ""
        return f"{count(self.measured, 'saving')} measured{waiting}"


def remeasure_due(after_days: int = AFTER_DAYS) -> Remeasurements:
    """Measure each accepted recommendation whose days are over and rolled up, once for each number of days.

    The days before and after the one on which it was accepted are held against each other; that day is in neither.
    """
    if after_days < LEAST_DAYS:
        raise AssayError(f"{after_days} days are too few to tell a month from; take {LEAST_DAYS} or more.")
    with transaction() as connection:
        recommendations.hold(connection)
        newest = facts.newest_whole_day(connection)
        timezone = rollups.timezone_of(connection)
        done = {(each.recommendation_id, each.first, each.last) for each in recommendations.measurements(connection)}
        accepted = recommendations.list_recommendations(connection, statuses=("accepted",))
        measured = waiting = 0
        for each in accepted:
            changed = each.moved_at.astimezone(ZoneInfo(timezone)).date()
            first, last = changed + timedelta(days=1), changed + timedelta(days=after_days)
            if newest is None or newest < last:
                waiting += 1
            elif (each.id, first, last) not in done:
                found = _measured(connection, each, changed, after_days)
                recommendations.save_measurement(connection, found, settings().actor)
                measured += 1
    return Remeasurements(measured=measured, waiting=waiting)


def _measured(connection: Connection, accepted: StoredRecommendation, changed: date, days: int) -> Measurement:
    feature, first, last = (
        accepted.recommendation.feature,
        changed + timedelta(days=1),
        changed + timedelta(days=days),
    )
    before_first, before_last = changed - timedelta(days=days), changed - timedelta(days=1)
    try:
        found = remeasure(
            accepted.recommendation.savings,
            demand.strata(connection, feature, before_first, before_last),
            demand.strata(connection, feature, first, last),
            before_days=days,
            after_days=days,
            price_change=_price_change(connection, feature, (before_first, before_last), last),
        )
    except NoIncumbentData as problem:
        return Measurement(
            recommendation_id=accepted.id, first=first, last=last, kept="not measured", why=str(problem)
        )  # fmt: skip
    return Measurement(
        recommendation_id=accepted.id,
        first=first,
        last=last,
        kept=found.kept,
        realised_low=found.realised_low,
        realised=found.realised,
        realised_high=found.realised_high,
        naive=found.naive,
        by_volume=found.by_volume,
        by_mix=found.by_mix,
        by_price=found.by_price,
        requests=found.requests,
        left_out=found.left_out,
        left_out_before=found.left_out_before,
        left_out_cost=found.left_out_cost,
        left_out_cost_before=found.left_out_cost_before,
    )


def _price_change(connection: Connection, feature: str, before: tuple[date, date], after: date) -> Decimal:
    """What the tokens of the time before cost at the prices of the time after, over what they did; 1 where unknown."""
    served = recommendation_evidence.served(connection, feature, *before)
    book = prices.price_book(connection, [each.model for each in served])
    then = now = Decimal(0)
    for each in served:
        priced = [book.prices_of(each.model, day) for day in (before[1], after)]
        starts = frozenset[int]().union(*(prices.starts for prices in priced if prices is not None))
        use = model_use.daily_use(connection, [feature], *before, model=each.model, starts=starts)
        known = sum(day.known for day in use)
        if not known:
            continue
        work = cost_scenarios.measured(use)
        old, new = (cost_scenarios.unit_cost(work, prices) for prices in priced)
        if old is not None and new is not None:
            then += known * old
            now += known * new
    return now / then if then else Decimal(1)
