"""What was found for one feature on a day: the model in use, what should change, or why nothing should."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final, Literal

from evaluations.answers import ROUTED
from evaluations.recommending.recommendation import Advice, Recommendation
from evaluations.recommending.wastes import LEAST_SHARE
from evaluations.wording import count, money, percent, points

Source = Literal["live bundle", "selection", "most of the traffic", "named", "none"]
"""How it is known which model is in use."""
Status = Literal["open", "accepted", "dismissed", "expired", "superseded"]
STATUSES: Final[tuple[Status, ...]] = ("open", "accepted", "dismissed", "expired", "superseded")


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureAnswer:
    """Everything that was found for one feature."""

    feature: str
    on: date
    """The day whose prices and life cycles counted."""
    incumbent: str | None
    source: Source
    advice: Advice | None = None
    """Of the models that were measured on the same cases; None where they could not be compared."""
    problem: str = ""
    """Why models could not be compared, and what would do."""
    wastes: tuple[Recommendation, ...] = ()
    """Of production requests and of test runs, the largest first."""
    looked_for: tuple[str, ...] = ()
    """What wastes were looked for and could not be told, and why."""
    suite: str = ""
    metric: str = ""
    margin: float | None = None
    requests: float | None = None
    """A month."""
    month: Decimal | None = None
    """US dollars a month now; None: unknown."""
    first: date | None = None
    """The days of production that were looked at."""
    last: date | None = None
    sample_data: bool = False

    @property
    def best(self) -> tuple[Recommendation, ...]:
        """What to change, each on its own: the best model change, then the wastes. They do not add up."""
        change = self.advice.best if self.advice is not None else None
        return (*(() if change is None else (change,)), *self.wastes)

    @property
    def sentence(self) -> str:
        """The answer in one or two sentences."""
        best = max(self.best, key=lambda each: (each.score, each.savings.point), default=None)
        if best is not None:
            return f"{best.title}: {saving_text(best)}."
        if self.advice is not None:
            return self.advice.keep
        kept = f"Keep {self.incumbent}" if self.incumbent else "Nothing is known to be in use"
        return f"{kept}: {self.problem}" if self.problem else f"{kept}."


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRecommendation:
    """A recommendation as it stands."""

    id: int
    status: Status
    recommendation: Recommendation
    incumbent_from: Source
    sample_data: bool
    as_of: date
    moved_why: str
    moved_by: str
    moved_at: datetime
    recorded_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One line of the savings ledger: a month of what an accepted recommendation saved, as it came."""

    recommendation_id: int
    first: date
    """The first day after the change."""
    last: date
    kept: str
    realised_low: Decimal | None = None
    realised: Decimal | None = None
    """US dollars a month; None where it could not be measured."""
    realised_high: Decimal | None = None
    naive: Decimal | None = None
    """What a month of the requests that are compared costs less than before, whatever the reason; the sum of the saving
    and the next three."""
    by_volume: Decimal | None = None
    by_mix: Decimal | None = None
    by_price: Decimal | None = None
    requests: int = 0
    left_out: int = 0
    """Requests after the change of kinds that hardly occurred before; they are in no amount above."""
    left_out_before: int = 0
    """Requests before it of kinds that hardly occurred after."""
    left_out_cost: Decimal = Decimal(0)
    """What they cost a month."""
    left_out_cost_before: Decimal = Decimal(0)
    why: str = ""
    """Why it could not be measured."""


def unchanged(before: Recommendation, now: Recommendation) -> bool:
    """Is it the same advice on another day?

    It is while the new saving lies within the interval that was told, the impact is the same, and the score moved by
    no more than ten.
    """
    return (
        before.subject == now.subject
        and before.savings.low <= now.savings.point <= before.savings.high
        and before.impact == now.impact
        and abs(before.score - now.score) <= SCORE_STEP
    )


SCORE_STEP: Final = 10


def _from_to(low: float, high: float) -> str:
    return f"{percent(low)} to {percent(high)}"


def saving_text(found: Recommendation, interval: Callable[[float, float], str] = _from_to) -> str:
    """How much of today's cost is saved, and what that is in a month, whose volume has an interval of its own.

    Where the lower end is below zero the change may cost more: that is said as it is. `interval` words a share's ends.
    """
    saved = found.savings
    shares = interval(saved.share_low, saved.share_high)
    if not saved.low and not saved.high:
        return f"saves nothing yet: {shares} of a cost of nothing" if saved.share_high else "saves nothing"
    if saved.point < 0:
        return f"costs {money(-saved.point)} a month more ({money(-saved.high)} to {money(-saved.low)})"
    return (
        f"saves {shares} of {money(saved.now)} a month; as its volume varies, {money(saved.low)} to {money(saved.high)}"
    )


def sureness_text(found: Recommendation) -> str:
    """How sure the advice is."""
    if found.stability is None:
        return f"n = {count(found.n)}"
    if found.stability.resamplings:
        return (
            f"the answer stays in {percent(found.stability.share)} of {count(found.stability.resamplings)} resamplings "
            f"(n = {count(found.n)})"
        )
    # Nothing that is estimated is certain, however the figure rounds.
    chance = percent(found.stability.share) if found.stability.share < 0.9995 else "more than 99.9%"
    if found.margin is not None:
        # A route: what is in doubt is what it loses.
        most = points(found.margin).lstrip("+")
        return f"it loses no more than {most} with a chance of {chance} (n = {count(found.n)})"
    least = percent(LEAST_SHARE, trim=True)
    return f"it saves {least} of the cost or more with a chance of {chance} (n = {count(found.n)})"


def next_step(found: StoredRecommendation) -> str:
    """The command, or the work, that brings a recommendation about."""
    advice = found.recommendation
    if advice.recommended.startswith(ROUTED):
        return f"build {advice.recommended} into the application; a flag names one model, so none can route"
    if advice.kind in ("model_substitution", "provider_switch"):
        by_experiment = f"an experiment with {advice.recommended}, then `assay deploy start`"
        return f"assay select {advice.feature} --publish, or {by_experiment}"
    return advice.recommended


def measured_text(projected: Recommendation, found: Measurement) -> str:
    """A line of the ledger in words."""
    planned = f"{money(projected.savings.low)} to {money(projected.savings.high)} a month projected"
    days = f"{found.first} to {found.last}"
    if found.realised is None or found.realised_low is None or found.realised_high is None:
        return f"{days}: {planned}, not measured: {found.why}"
    return (
        f"{days}: {planned}, {money(found.realised)} realised ({money(found.realised_low)} to "
        f"{money(found.realised_high)}; {count(found.requests, 'request')}): {found.kept}{left_out_text(found)}"
    )


def left_out_text(found: Measurement) -> str:
    """What could not be held against the other time, in words; empty where all could."""
    if not found.left_out and not found.left_out_before:
        return ""
    after = f"{count(found.left_out, 'request')} ({money(found.left_out_cost)} a month) of kinds that hardly occurred "
    before = f"{count(found.left_out_before)} ({money(found.left_out_cost_before)}) of kinds that hardly came again"
    return f"; left out: {after}before, and {before}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Adoption:
    """How far accepted models are used: requests of their features in the last weeks, and those that they served."""

    requests: int
    served: int

    @property
    def text(self) -> str:
        """In a sentence."""
        share = percent(self.served / self.requests) if self.requests else "none"
        return f"{share} of {count(self.requests, 'request')} of their features go to the models that were accepted"


def _realised(line: Measurement) -> Decimal:
    return line.realised or Decimal(0)


def _overlap(one: Measurement, other: Measurement) -> bool:
    """Do the days that two lines are made of overlap? As many days before the change as after it, and its own."""
    (begins, ends), (begin, end) = (_days_of(each) for each in (one, other))
    return begins <= end and begin <= ends


def _days_of(line: Measurement) -> tuple[date, date]:
    changed = line.first - timedelta(days=1)
    return changed - (line.last - changed), line.last


@dataclass(frozen=True, slots=True, kw_only=True)
class OfBill:
    """What the open recommendations would save of all that production costs, the largest of each feature."""

    changes: int
    low: Decimal
    point: Decimal
    high: Decimal
    """US dollars a month."""
    bill: Decimal
    """Of every feature with a known cost."""
    share_low: float
    share: float
    share_high: float
    """Of the bill, at one volume before and after. The ends are sums of ends: at least as far apart as those of an
    interval of the sum."""

    @property
    def text(self) -> str:
        """In words."""
        return (
            f"{percent(self.share)} ({percent(self.share_low)} to {percent(self.share_high)}) of the "
            f"{money(self.bill)} a month that production is known to cost"
        )

    @property
    def sentence(self) -> str:
        """Of all that is open."""
        return f"What is open would save {self.text}, by {count(self.changes, 'change')}."


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """All answers, what was recommended and became of it, and the ledger: what the page is made of."""

    answers: tuple[FeatureAnswer, ...]
    """The last one of each feature."""
    recommendations: tuple[StoredRecommendation, ...]
    """All of them, the highest score first."""
    ledger: tuple[Measurement, ...] = ()
    adoption: Adoption | None = None
    """None where no model was accepted, or its features have no requests."""

    @property
    def open(self) -> tuple[StoredRecommendation, ...]:
        return tuple(each for each in self.recommendations if each.status == "open")

    @property
    def apart(self) -> tuple[StoredRecommendation, ...]:
        """Of the open ones the largest saving of each feature: these add up, for none touches the other's money."""
        found: dict[str, StoredRecommendation] = {}
        for each in self.open:
            best = found.get(each.recommendation.feature)
            if best is None or each.recommendation.savings.low > best.recommendation.savings.low:
                found[each.recommendation.feature] = each
        return tuple(found.values())

    @property
    def month(self) -> Decimal | None:
        """What the features that are known to cost something cost a month."""
        known = [each.month for each in self.answers if each.month is not None]
        return sum(known, Decimal(0)) if known else None

    @property
    def of_bill(self) -> OfBill | None:
        """Of `apart` those that surely save something of production; None where nothing is known to cost anything."""
        bill = self.month
        if not bill:
            return None
        costing = {each.feature for each in self.answers if each.month is not None}
        saved = [each.recommendation.savings for each in self.apart if each.recommendation.feature in costing]
        saved = [each for each in saved if each.low > 0]
        return OfBill(
            changes=len(saved),
            low=sum((each.low for each in saved), Decimal(0)),
            point=sum((each.point for each in saved), Decimal(0)),
            high=sum((each.high for each in saved), Decimal(0)),
            bill=bill,
            share_low=sum(each.share_low * float(each.now / bill) for each in saved),
            share=float(sum((each.point for each in saved), Decimal(0)) / bill),
            share_high=sum(each.share_high * float(each.now / bill) for each in saved),
        )

    @property
    def realised(self) -> tuple[Measurement, ...]:
        """The lines of the ledger that add up: of one feature those whose days, before and after the change, do not
        overlap. Two changes within these days are measured together in each of their lines: the larger one counts."""
        found: list[Measurement] = []
        for line in sorted((each for each in self.ledger if each.realised is not None), key=_realised, reverse=True):
            feature = self.of(line.recommendation_id).recommendation.feature
            same = [each for each in found if self.of(each.recommendation_id).recommendation.feature == feature]
            if not any(_overlap(each, line) for each in same):
                found.append(line)
        return tuple(found)

    def of(self, number: int) -> StoredRecommendation:
        return next(each for each in self.recommendations if each.id == number)
