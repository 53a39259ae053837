"""Customer metrics: what became of the matters that customers brought, and how sure that is.

The store counts tickets by a versioned definition; here counts become measures with interval and n. What is not known
is in no measure: it is counted beside it. The formulas of the source documents stand here by name too, marked as
theirs.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Literal

from evaluations.errors import AssayError, unknown_name
from evaluations.estimates import Estimate

Unit = Literal["share", "stars", "seconds", "usd", "score", "correlation"]
"""share and score lie in [0, 1], stars in [1, 5], correlation in [-1, 1]."""
Takers = Literal["ai", "human"]
RECONTACT_DAYS = 7
"""How long a customer may come back about the same matter before it counts as done."""
MOST_RECONTACT_DAYS = 30
"""The longest such window that can be asked for."""
FOLLOWED_DAYS = 30
"""How long a ticket is followed from its beginning."""
SAME_CONTACT_S = 3600
"""What a customer says within an hour of the resolution belongs to it: thanks, or a rating."""
POSITIVE_FROM = 0.6
NEGATIVE_BELOW = 0.4
"""Cut points of sentiment: labels are derived from the score, so the two cannot disagree."""
SENTIMENTS = ("negative", "neutral", "positive")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a metric should reach: at least `low`, at most `high`; None leaves that side open."""

    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """What a metric means; `version` is raised whenever the same tickets could give another number."""

    name: str
    version: int
    title: str
    says: str
    """The formula in words."""
    differs: str
    """How it differs from the common formula."""
    unit: Unit = "share"
    better: Literal["higher", "lower", ""] = "higher"
    target: Target | None = None
    theirs: bool = False
    """A formula of the source documents, kept to compare with; it has known faults."""
    of_humans: bool = True
    """Whether it can be measured of tickets that people took without AI."""

    @property
    def id(self) -> str:
        return f"{self.name} v{self.version}"


_CLOSED = "closed tickets with a known outcome"
METRICS: tuple[Metric, ...] = (
    Metric(
        name="fcr",
        version=2,
        title="First-contact resolution",
        says="resolved, passed on to nobody, and the customer did not come back within the recontact window / "
        f"{_CLOSED} whose recontact window is over",
        differs="the common formula has no test of a first contact and counts open and unknown tickets as failures",
        target=Target(low=0.75),
    ),
    Metric(
        name="resolution",
        version=1,
        title="Resolved",
        says=f"resolved, by whomever / {_CLOSED}",
        differs="open and unknown tickets are in neither number",
    ),
    Metric(
        name="durable_resolution",
        version=2,
        title="Stayed resolved",
        says="the customer did not come back within the recontact window / resolved tickets whose window is over",
        differs="commonly not measured: a resolution is believed as it is stated",
    ),
    Metric(
        name="came_back",
        version=2,
        title="Came back",
        says="the customer came back within the recontact window / tickets resolved and passed on to nobody whose "
        "window is over",
        differs="commonly not measured: these look deflected and are not",
        better="lower",
    ),
    Metric(
        name="deflection",
        version=1,
        title="Deflection",
        says=f"resolved and passed on to nobody / {_CLOSED}; an abandoned ticket is no deflection",
        differs="the common formula counts whatever no person touched: abandoned, unresolved and unknown tickets too",
        target=Target(low=0.6, high=0.8),
        of_humans=False,
    ),
    Metric(
        name="escalation",
        version=1,
        title="Escalation",
        says=f"passed on to a person or a specialist / {_CLOSED}",
        differs="read from all that was said of a ticket, not from one flag, which may contradict its escalation",
        better="lower",
        target=Target(high=0.2),
    ),
    Metric(
        name="csat",
        version=1,
        title="CSAT",
        says="mean rating of rated tickets, 1 to 5; shown with the response rate and with what it would be if all who "
        "did not answer had given 1 or 5",
        differs="the common mean hides who did not answer",
        unit="stars",
        target=Target(low=4.0),
    ),
    Metric(
        name="csat_satisfied",
        version=1,
        title="Satisfied",
        says="tickets rated 4 or 5 / rated tickets",
        differs="as commonly defined, with its interval",
    ),
    Metric(
        name="csat_response",
        version=1,
        title="Response rate",
        says="rated tickets / tickets that are not open",
        differs="commonly left out",
        better="",
    ),
    Metric(
        name="resolution_time_ai",
        version=1,
        title="Time to resolution, AI alone",
        says="median seconds (Kaplan-Meier) of tickets passed on to nobody; open tickets count as not resolved yet",
        differs="the common median leaves open tickets out, and so the slow ones",
        unit="seconds",
        better="lower",
        target=Target(high=120),
    ),
    Metric(
        name="resolution_time_escalated",
        version=1,
        title="Time to resolution, passed on",
        says="the same of tickets that were passed on",
        differs="the common median leaves open tickets out, and so the slow ones",
        unit="seconds",
        better="lower",
        target=Target(high=600),
    ),
    Metric(
        name="sentiment",
        version=1,
        title="Sentiment",
        says="mean sentiment at the end of the tickets that have one, 0 negative to 1 positive",
        differs="the label is derived from the score; how far the score agrees with people is stated beside it",
        unit="score",
    ),
    Metric(
        name="cost_per_resolution",
        version=1,
        title="AI cost per resolution",
        says="AI cost of all closed tickets / tickets resolved and passed on to nobody; tickets with a request of "
        "unknown cost are left out of both",
        differs="the common figure divides by tickets, so a failure makes it cheaper",
        unit="usd",
        better="lower",
        of_humans=False,
    ),
    Metric(
        name="cost_per_success",
        version=1,
        title="AI cost per successful request",
        says="AI cost of all requests of the tickets / those that ended in success; tickets with a request of unknown "
        "cost or status are left out of both",
        differs="failed requests are paid for too",
        unit="usd",
        better="lower",
        of_humans=False,
    ),
    Metric(
        name="follow_up",
        version=1,
        title="Follow-ups done",
        says="follow-up completed / tickets that required one",
        differs="tickets that do not say whether one was required are in neither number",
    ),
    Metric(
        name="quality_and_rating",
        version=1,
        title="Judged quality against rating",
        says="Spearman's rank correlation of judged quality and rating over tickets that have both",
        differs="commonly assumed, not measured",
        unit="correlation",
        better="",
    ),
    Metric(
        name="seed_fcr",
        version=1,
        title="FCR as the sources define it",
        says="requests resolved and not escalated / all requests",
        differs="no test of a first contact; open and unknown requests count as failures",
        theirs=True,
    ),
    Metric(
        name="seed_deflection",
        version=1,
        title="Deflection as the sources define it",
        says="requests not escalated / all requests",
        differs="abandoned, unresolved and unknown requests count as deflected",
        theirs=True,
    ),
    Metric(
        name="seed_escalation",
        version=1,
        title="Escalation as the sources define it",
        says="requests whose outcome is an escalation / all requests",
        differs="open and unknown requests make it smaller",
        better="lower",
        theirs=True,
    ),
    Metric(
        name="seed_csat",
        version=1,
        title="CSAT as the sources define it",
        says="mean rating of rated requests",
        differs="says nothing of those who did not answer",
        unit="stars",
        theirs=True,
    ),
    Metric(
        name="seed_resolution_time",
        version=1,
        title="Time to resolution as the sources define it",
        says="median seconds of requests that state them and were not escalated",
        differs="open requests are left out, and so the slow ones",
        unit="seconds",
        better="lower",
        theirs=True,
    ),
)
BY_NAME: Mapping[str, Metric] = {metric.name: metric for metric in METRICS}


def metric_named(name: str) -> Metric:
    """Raises AssayError that names the nearest."""
    if name not in BY_NAME:
        raise AssayError(unknown_name("definition", name, list(BY_NAME)))
    return BY_NAME[name]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One metric of one window."""

    metric: Metric
    estimate: Estimate | None
    """None: not measured, because no ticket could be counted. The sources' formulas have no interval of their own."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Why tickets are in neither number -> how many."""
    before: Estimate | None = None
    """The same of the window before; None where that is not known."""
    baseline: Estimate | None = None
    """The same of tickets that people took without AI; None where there are none."""

    @property
    def against_target(self) -> Literal["met", "missed", "open", ""]:
        """Whether the whole interval lies on one side; open: it does not say. Empty without target or measure."""
        target, measured = self.metric.target, self.estimate
        if target is None or measured is None:
            return ""
        low = float("-inf") if target.low is None else target.low
        high = float("inf") if target.high is None else target.high
        if low <= measured.low and measured.high <= high:
            return "met"
        return "missed" if measured.high < low or measured.low > high else "open"


@dataclass(frozen=True, slots=True, kw_only=True)
class Csat:
    """How tickets were rated, and what is not known of those that were not."""

    counts: tuple[int, int, int, int, int]
    """Tickets rated 1 to 5."""
    asked: int
    """Tickets that could have been rated."""

    @property
    def rated(self) -> int:
        return sum(self.counts)

    @property
    def bounds(self) -> tuple[float, float] | None:
        """The mean if everyone who did not answer had given 1, and if 5; None when nobody was asked."""
        if not self.asked:
            return None
        given = sum(stars * count for stars, count in enumerate(self.counts, 1))
        silent = self.asked - self.rated
        return (given + silent) / self.asked, (given + 5 * silent) / self.asked


def csat_mean(csat: Csat) -> Estimate | None:
    """The mean rating with Student's t interval, kept within 1 to 5; None without ratings.

    A single rating, or several equal ones, tell nothing of the spread: the interval is then all there could be.

    >>> mean = csat_mean(Csat(counts=(4, 16, 46, 122, 136), asked=328))
    >>> print(f"{mean.value:.3f} [{mean.low:.3f}, {mean.high:.3f}] n={mean.n}")
    4.142 [4.041, 4.243] n=324
    """
    from evaluations.statistics.means import mean_from_moments

    n = csat.rated
    if not n:
        return None
    mean = sum(stars * count for stars, count in enumerate(csat.counts, 1)) / n
    spread = sum(count * (stars - mean) ** 2 for stars, count in enumerate(csat.counts, 1))
    return mean_from_moments(n, mean, (spread / (n - 1)) ** 0.5 if n > 1 else None, low=1.0, high=5.0)


def sentiment_label(score: float) -> str:
    """The label of a score in [0, 1].

    >>> [sentiment_label(score) for score in (0.39, 0.4, 0.59, 0.6)]
    ['negative', 'neutral', 'neutral', 'positive']
    """
    if not 0 <= score <= 1:
        raise ValueError(f"a sentiment lies between 0 and 1; got {score}")
    return "negative" if score < NEGATIVE_BELOW else "positive" if score >= POSITIVE_FROM else "neutral"


REASONS: Mapping[str, str] = {
    "asked for a person": r"\b(human|person|agent|representative|asked for|customer request)",
    "technical error": r"\b(error|timeout|outage|crash|technical|bug|unavailable)",
    "not understood": r"\b(not? (understood|understanding|match)|misunderst|unclear|confus|low confidence|intent)",
    "outside its powers": r"\b(polic(y|ies)|powers?|permission|authori[sz]|approval|not allowed|exception|refund)",
    "too complex": r"\b(complex|complicated|multiple issues|specialist|expert)",
    "missing information": r"\b(missing|no (data|answer|information)|not found|knowledge)",
    "customer upset": r"\b(upset|angry|frustrat|complain|abus|sentiment)",
    "security or safety": r"\b(security|safety|fraud|legal|privacy|compliance)",
}
OTHER_REASON = "other"
UNKNOWN_REASON = "not said"


def reason_class(said: str | None) -> str:
    """The kind of a reason as it was said; the first kind that fits, `other` for a reason that fits none.

    >>> [reason_class(said) for said in ("Low_Confidence", "customer asked for a HUMAN", "moon phase", None)]
    ['not understood', 'asked for a person', 'other', 'not said']
    """
    if said is None or not said.strip():
        return UNKNOWN_REASON
    words = re.sub(r"[_\-\s]+", " ", said.casefold())
    return next((kind for kind, pattern in REASONS.items() if re.search(pattern, words)), OTHER_REASON)


def reasons_by_kind(said: Mapping[str | None, int]) -> tuple[tuple[str, int], ...]:
    """How many escalations of each kind, the most first; `other` and `not said` come last."""
    kinds: dict[str, int] = {}
    for reason, count in said.items():
        kinds[reason_class(reason)] = kinds.get(reason_class(reason), 0) + count
    last = (OTHER_REASON, UNKNOWN_REASON)
    return tuple(sorted(kinds.items(), key=lambda each: (*(each[0] == name for name in last[::-1]), -each[1], each[0])))


def share(k: int, n: int) -> Estimate | None:
    """k of n with Wilson's interval; None, not measured, when there is nothing to divide by."""
    from evaluations.statistics.proportions import wilson

    return wilson(k, n) if n else None


def clear_change(metric: Metric, now: Estimate | None, before: Estimate | None) -> Literal["better", "worse", ""]:
    """Whether a metric moved for better or worse beyond what its intervals leave open.

    The difference of two independent estimates has the interval made of their own (Zou and Donner 2008), for shares
    that is Newcombe's. Metrics without a good direction never moved for better or worse.
    """
    if now is None or before is None or not metric.better:
        return ""
    moved = now.value - before.value
    low = moved - ((now.value - now.low) ** 2 + (before.high - before.value) ** 2) ** 0.5
    high = moved + ((now.high - now.value) ** 2 + (before.value - before.low) ** 2) ** 0.5
    if low <= 0 <= high:
        return ""
    return "better" if (moved > 0) == (metric.better == "higher") else "worse"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tickets:
    """How many tickets the window has, before any is left out. A request without a ticket is one of its own."""

    total: int
    by_ai: int
    by_humans: int
    """Taken by a person first, without AI: the baseline."""
    taker_unknown: int
    """No one said who took it and no model took part: in no measure."""
    sample_data: int
    """Made up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerFacts:
    """What a window says about customers."""

    first: date
    last: date
    """Both in the platform's time zone."""
    timezone: str
    seen_to: datetime
    """The newest request that is rolled up: whoever came back later is not known yet."""
    waiting: int
    """Days whose requests changed since, or of whose tickets more was said: they wait to be rolled up."""
    recontact_days: int
    features: tuple[str, ...]
    """Those whose requests say anything of an outcome."""
    category: str | None
    """The only category looked at; None is all."""
    tickets: Tickets
    measures: Mapping[str, Measure]
    """By name, in the order of `METRICS`."""
    funnel: tuple[tuple[str, int], ...]
    """From all tickets of the AI to those that stayed resolved: each step is a part of the one before."""
    outcomes: Mapping[str, int]
    """Tickets of the AI by outcome; `unknown` where nobody said."""
    reasons: tuple[tuple[str, int], ...]
    csat: Csat
    sentiments: Mapping[str, int]
    """Tickets by label."""
    quality_by_rating: tuple[tuple[int, ...], ...]
    """Five rows, judged quality in fifths from the lowest; five columns, ratings 1 to 5; counts of tickets."""
    ai_cost: Decimal | None
    """Of all requests of the AI's tickets, in US dollars; None when no cost is known."""
    unpriced: int
    """Requests of those tickets whose cost is unknown; they are not in `ai_cost`."""
    tracked: Mapping[str, Estimate | None]
    """Share of all requests of the window, of every feature, that say latency, tokens, cost, model and trace."""

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1

    def measured(self, name: str) -> Estimate | None:
        return self.measures[name].estimate


def left_out_words(left_out: Mapping[str, int]) -> str:
    """What is not in a measure, in words; empty when nothing is.

    >>> left_out_words({"outcome unknown": 3, "still open": 0, "too recent to judge": 1})
    '3 outcome unknown, 1 too recent to judge'
    """
    return ", ".join(f"{count:,} {why}" for why, count in left_out.items() if count)


def total_left_out(measures: Sequence[Measure]) -> int:
    """The most tickets that any of the measures leaves out."""
    return max((sum(measure.left_out.values()) for measure in measures), default=0)
