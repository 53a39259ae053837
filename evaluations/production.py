"""Production: what pages say of the requests of AI features over a window, decided from facts by day.

The overview answers how things stand and what moved; the spending answers where the money went and when.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Literal, get_args

from evaluations import trends
from evaluations.facts import NOTHING, ByDay, Facts, per_day, regrouped, total
from evaluations.rollups import Restatement
from evaluations.spend import Period, period_of
from evaluations.trends import WEEK, StandOut, ToDate, Trend

GroupedBy = Literal["feature", "model", "provider"]
GROUPED_BY: tuple[GroupedBy, ...] = get_args(GroupedBy)
"""The dimensions of the facts that both are decided from, in this order."""
MOST_WEEKS = 4
"""A trend of the spending holds at most so many weeks against as many before them."""
MONTHS = 6
"""How far back the months of the overview go."""
COST_BAND = 0.05
"""A change of an amount of money by less is no change."""
CONFIDENCE = 0.95
BAD_BAND = 0.02
"""A day's error rate stands out when it surely is more than two points above the usual one."""

Measure = Literal["cost", "errors", "latency", "quality"]
MEASURES: tuple[Measure, ...] = get_args(Measure)


@dataclass(frozen=True, slots=True)
class Judged:
    """How a measure is read off facts, and when a change of it counts."""

    of: Callable[[Facts], float | None]
    relative: bool
    dead_band: float
    worse: Literal["up", "down"]


def _cost(facts: Facts) -> float | None:
    return None if facts.cost is None else float(facts.cost)


JUDGED: Mapping[Measure, Judged] = {
    "cost": Judged(_cost, relative=True, dead_band=COST_BAND, worse="up"),
    "errors": Judged(lambda facts: facts.error_rate, relative=False, dead_band=0.005, worse="up"),
    "latency": Judged(lambda facts: facts.latency(0.95), relative=True, dead_band=0.1, worse="up"),
    "quality": Judged(lambda facts: facts.quality, relative=False, dead_band=0.01, worse="down"),
}
HEALTH: tuple[Measure, ...] = ("errors", "latency", "quality")
"""What a feature's health is judged by; what it costs is told apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Freshness:
    """How fresh and whole the facts are."""

    known_from: date
    """The first day with requests that is rolled up."""
    known_to: date
    rolled_at: datetime
    """When facts changed last."""
    rolled: Mapping[date, bool]
    """Days of the window with requests, and whether each was over when it was rolled up."""
    waiting: int
    """Days whose requests changed since and that wait to be rolled up."""
    sample: Literal["none", "part", "all"]
    """How much of all that was ever ingested is sample data."""

    def missing(self, first: date, last: date) -> tuple[date, ...]:
        """Days of the window without any request, from the first one known on."""
        begins = max(first, self.known_from)
        days = (begins + timedelta(days=n) for n in range((last - begins).days + 1))
        return tuple(day for day in days if day not in self.rolled)


@dataclass(frozen=True, slots=True, kw_only=True)
class HourOfWeek:
    """What fell on one hour of the week, over all weeks of a window."""

    weekday: int
    """0 is Monday."""
    hour: int
    requests: int
    cost: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HeavyUser:
    """One person, known by a pseudonym alone."""

    pseudonym: str
    requests: int
    """On the days on which the person was among the heaviest: at least as many in all."""
    at_most: int
    """With what the person can have asked on the other days; mostly the same."""
    days: int
    """Days on which the person was among the heaviest."""
    cost: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Users:
    """Who asked, over some days."""

    first: date
    last: date
    heaviest: tuple[HeavyUser, ...]
    """Most requests first."""
    certain: bool
    """Whether nobody else can belong to the list."""
    known: float
    """Different persons of a day, on average: those of several days do not add up, as most come again."""
    unnamed: int
    """Requests that do not say who asked."""
    by_feature: Mapping[str, float]
    """Different persons of each feature on a day, on average."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The days that a page is about, and the facts it is decided from."""

    first: date
    last: date
    timezone: str
    facts: ByDay
    """By GROUPED_BY, of the window and of whatever before it it is held against."""
    months: Mapping[date, Decimal | None]
    """What the last months cost, by their first days, as far as they are known from there; the last one to date."""
    restatements: tuple[Restatement, ...]
    """Of days of the window, the latest first."""
    freshness: Freshness

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureHealth:
    """How one feature did in the last week beside what is usual for it."""

    feature: str
    now: Facts
    before: Facts
    """The weeks before that tell what is usual."""
    trends: Mapping[Measure, Trend]

    @property
    def worse(self) -> tuple[Measure, ...]:
        """What of its health moved the wrong way."""
        return tuple(each for each in HEALTH if self.trends[each].direction == JUDGED[each].worse)

    @property
    def better(self) -> tuple[Measure, ...]:
        return tuple(each for each in HEALTH if self.trends[each].moved and each not in self.worse)

    @property
    def known(self) -> bool:
        """Whether there were days enough to tell a trend of anything."""
        return any(self.trends[each].direction != "unknown" for each in HEALTH)

    @property
    def state(self) -> Literal["worse", "better", "steady", "new", "silent", "unknown"]:
        """new: no requests in the weeks before. silent: none in the last one."""
        if not self.now.requests:
            return "silent"
        if not self.before.requests:
            return "new"
        if self.worse:
            return "worse"
        if not self.known:
            return "unknown"
        return "better" if self.better else "steady"


@dataclass(frozen=True, slots=True, kw_only=True)
class Peak:
    """A day on which a feature cost more, or failed more often, than it usually does."""

    feature: str
    measure: Literal["cost", "errors"]
    day: StandOut


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """How things stand: spend to date, health, what moved."""

    window: Window
    to_date: ToDate
    week: Facts
    """All features, the last seven days."""
    trends: Mapping[Measure, Trend]
    """Of all features together: the last seven days against what is usual for their weekdays."""
    features: tuple[FeatureHealth, ...]
    """The dearest of the last week first."""
    confidence: float
    """Of each of the features' intervals, so that all together keep 95 %."""
    peaks: tuple[Peak, ...]
    """Of the window, the latest first."""
    by_day: Mapping[date, Facts]
    """All features, the days of the window."""

    @property
    def needing(self) -> tuple[FeatureHealth, ...]:
        """Features of which something got worse."""
        return tuple(each for each in self.features if each.state == "worse")


def overview_of(window: Window) -> Overview:
    """What the overview says. Pure: the same facts give the same answer."""
    last = window.last
    all_days = per_day(window.facts)
    names = sorted({names[0] or "" for names, _ in window.facts})
    confidence = trends.for_all(CONFIDENCE, len(names) * len(MEASURES))
    features = [_health(window, name, confidence) for name in names]
    features = [each for each in features if each.now.requests or each.before.requests]
    within = {day: facts for day, facts in all_days.items() if window.first <= day <= last}
    costs = {day: facts.cost for day, facts in all_days.items() if facts.cost is not None}
    return Overview(
        window=window,
        to_date=trends.month_to_date(costs, window.freshness.known_from, last, dead_band=COST_BAND),
        week=_sum(all_days, _last_week(last)),
        trends={measure: _against_usual(measure, all_days, last, CONFIDENCE) for measure in MEASURES},
        features=tuple(sorted(features, key=lambda each: (-(each.now.cost or 0), each.feature))),
        confidence=confidence,
        peaks=_peaks(window, names),
        by_day=within,
    )


def _health(window: Window, feature: str, confidence: float) -> FeatureHealth:
    days = per_day(window.facts, 0, feature)
    week = _last_week(window.last)
    earlier = [week[0] - timedelta(days=n) for n in range(1, trends.USUAL_WEEKS * WEEK + 1)]
    return FeatureHealth(
        feature=feature,
        now=_sum(days, week),
        before=_sum(days, earlier),
        trends={measure: _against_usual(measure, days, window.last, confidence) for measure in MEASURES},
    )


def _last_week(last: date) -> list[date]:
    return [last - timedelta(days=n) for n in reversed(range(WEEK))]


def _against_usual(measure: Measure, days: Mapping[date, Facts], last: date, confidence: float) -> Trend:
    """The last week against what is usual for each of its weekdays."""
    judged, week = JUDGED[measure], _last_week(last)
    values = {day: judged.of(facts) for day, facts in days.items()}
    earlier = {day: value for day, value in values.items() if day < week[0]}
    return trends.trend(
        [values.get(day) for day in week],
        [trends.usual(earlier, day) for day in week],
        relative=judged.relative,
        dead_band=judged.dead_band,
        confidence=confidence,
    )


def _cost_trend(days: Mapping[date, Facts], last: date, weeks: int, confidence: float) -> Trend:
    """The cost of the last weeks against that of as many before; unknown when there are none."""
    if not weeks:
        return trends.UNKNOWN_AMOUNT
    now, before = ([_cost(days.get(day, NOTHING)) for day in each] for each in trends.weeks_apart(last, weeks))
    return trends.trend(now, before, relative=True, dead_band=COST_BAND, confidence=confidence)


def _peaks(window: Window, features: list[str]) -> tuple[Peak, ...]:
    """Days that stand out, of each feature in the window, the latest first."""
    found = []
    confidence = trends.for_all(CONFIDENCE, window.days * max(len(features), 1))
    for feature in features:
        days = {
            day: facts for day, facts in per_day(window.facts, 0, feature).items() if window.first <= day <= window.last
        }
        costs = {day: float(facts.cost) for day, facts in days.items() if facts.cost is not None}
        failures = {day: (facts.errors, facts.ended) for day, facts in days.items()}
        found += [Peak(feature=feature, measure="cost", day=day) for day in trends.stand_outs(costs)]
        found += [
            Peak(feature=feature, measure="errors", day=day) for day in trends.bad_days(failures, BAD_BAND, confidence)
        ]
    return tuple(sorted(found, key=lambda peak: (-peak.day.day.toordinal(), peak.measure, peak.feature)))


def _sum(days: Mapping[date, Facts], wanted: list[date]) -> Facts:
    return total(days[day] for day in wanted if day in days)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """What one feature, model or provider came to in the window."""

    name: str | None
    """None where requests did not say."""
    facts: Facts
    share: float | None
    """Of the window's cost; None when no cost is known."""
    trend: Trend
    """Of its daily cost, the last weeks against as many before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A week or a month of the window."""

    first: date
    last: date
    whole: bool
    """Whether the window holds all its days."""
    facts: Facts
    change: float | None
    """By which share its cost differs from the part before; None unless both are whole and priced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """Where the money of a window went, and when."""

    window: Window
    total: Facts
    before: Facts | None
    """As many days before; None unless all of them lie within what is known."""
    weeks: int
    """How many weeks the trends hold against as many before; 0 when too few are known for any."""
    trend: Trend
    groups: Mapping[GroupedBy, tuple[Group, ...]]
    """The dearest first."""
    confidence: float
    """Of the interval of each group's trend, so that all of a table together keep 95 %."""
    by_day: Mapping[date, Facts]
    by_feature: Mapping[str, Mapping[date, Facts]]
    """Days of the window, and two weeks before it for averages, of each feature; the dearest first."""
    peaks: tuple[Peak, ...]
    weekly: tuple[Part, ...]
    monthly: tuple[Part, ...]
    hours: tuple[HourOfWeek, ...]
    users: Users

    @property
    def change(self) -> float | None:
        """By which share the window cost more than as many days before."""
        if self.before is None or not self.before.cost or self.total.cost is None:
            return None
        return float(self.total.cost / self.before.cost) - 1

    @property
    def load(self) -> dict[tuple[int, int], float]:
        """Requests an hour, by weekday and hour, on average: a window may have more Mondays than Tuesdays."""
        first = max(self.window.first, self.window.freshness.known_from)
        days = [(first + timedelta(days=n)).weekday() for n in range((self.window.last - first).days + 1)]
        return {
            (each.weekday, each.hour): each.requests / days.count(each.weekday)
            for each in self.hours
            if each.weekday in days
        }

    @property
    def busiest(self) -> tuple[int, int] | None:
        """The weekday and the hour with the highest load."""
        load = self.load
        return max(load, key=lambda at: (load[at], -at[0], -at[1]), default=None)


def spending_of(window: Window, hours: tuple[HourOfWeek, ...], users: Users) -> Spending:
    """What the spend page says. Pure: the same facts give the same answer."""
    first, last, known_from = window.first, window.last, window.freshness.known_from
    days = per_day(window.facts)
    within = {day: facts for day, facts in days.items() if first <= day <= last}
    whole = total(within.values())
    begins = first - timedelta(days=window.days)
    weeks = min(MOST_WEEKS, ((last - max(known_from, _earliest(window))).days + 1) // (2 * WEEK))
    groups = {by: _groups(window, index, whole, weeks, last) for index, by in enumerate(GROUPED_BY)}
    features = [group.name or "" for group in groups["feature"]]
    return Spending(
        window=window,
        total=whole,
        before=total(days[day] for day in days if begins <= day < first) if begins >= known_from else None,
        weeks=weeks,
        trend=_cost_trend(days, last, weeks, CONFIDENCE),
        groups=groups,
        confidence=trends.for_all(CONFIDENCE, max(map(len, groups.values()), default=1)),
        by_day=within,
        by_feature={
            name: {
                day: facts
                for day, facts in per_day(window.facts, 0, name).items()
                if first - timedelta(weeks=2) < day <= last
            }
            for name in features
        },
        peaks=_peaks(window, features),
        weekly=_parts(within, first, last, known_from, "week"),
        monthly=_parts(within, first, last, known_from, "month"),
        hours=hours,
        users=users,
    )


def _earliest(window: Window) -> date:
    return min((day for _, day in window.facts), default=window.first)


def _groups(window: Window, index: int, whole: Facts, weeks: int, last: date) -> tuple[Group, ...]:
    found = regrouped(window.facts, index, window.first, last)
    confidence = trends.for_all(CONFIDENCE, len(found))
    groups = [
        Group(
            name=name,
            facts=facts,
            share=None if not whole.cost or facts.cost is None else float(facts.cost / whole.cost),
            trend=_cost_trend(per_day(window.facts, index, name), last, weeks, confidence),
        )
        for name, facts in found.items()
    ]
    return tuple(sorted(groups, key=lambda each: (-(each.facts.cost or 0), -each.facts.requests, each.name or "")))


def _parts(
    days: Mapping[date, Facts], first: date, last: date, known_from: date, period: Period
) -> tuple[Part, ...]:  # fmt: skip
    """The weeks or months of a window in their order; each is held against the one before it if both are whole."""
    grouped: dict[tuple[date, date], list[Facts]] = {}
    for day, facts in days.items():
        grouped.setdefault(period_of(day, period, (first, last)), []).append(facts)
    parts: list[Part] = []
    for (begins, ends), each in sorted(grouped.items()):
        facts = total(each)
        whole = begins >= max(first, known_from) and ends <= last
        before = parts[-1] if parts and parts[-1].last == begins - timedelta(days=1) else None
        comparable = whole and before is not None and before.whole and before.facts.cost and facts.cost is not None
        parts.append(
            Part(
                first=max(begins, first),
                last=min(ends, last),
                whole=whole,
                facts=facts,
                change=float(facts.cost / before.facts.cost) - 1  # type: ignore[operator, union-attr]
                if comparable
                else None,
            )
        )
    return tuple(parts)
