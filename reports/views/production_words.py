"""What both pages about production say in the same words: periods, trends, freshness, what is unknown."""

from collections.abc import Iterable, Sequence
from decimal import Decimal

from evaluations.facts import regrouped
from evaluations.production import GROUPED_BY, JUDGED, Freshness, Measure, Peak, Window
from evaluations.rollups import Restatement
from evaluations.trends import Trend
from reports.format import (
    change,
    count,
    date_text,
    decimal,
    interval,
    moment,
    money,
    one_line,
    points,
    share,
    span,
    weekday,
)
from reports.views.parts import Banner, Cell, Column, Fact, Sign, Status, Table, Tone

NOT_SAID = "not said"
NAME = 60
"""Characters of a name on a page."""
LISTED_DAYS = 5
MODEL = GROUPED_BY.index("model")
RESTATED = 20
"""Restatements in a table; the JSON twin has all."""
LINKS = {
    "overview.html": "Overview",
    "spend.html": "Spend",
    "customer.html": "Customers",
    "models.html": "Models",
    "recommendations.html": "Recommendations",
}

NOUNS: dict[Measure, str] = {"cost": "cost", "errors": "error rate", "latency": "latency", "quality": "quality"}
_UNKNOWN = "too few days to tell"


def named(name: str | None) -> str:
    """A name from outside, or that there is none."""
    return one_line(name, NAME) if name else NOT_SAID


def links(own: str) -> tuple[tuple[str, str], ...]:
    return tuple((words, file) for file, words in LINKS.items() if file != own)


def marks(freshness: Freshness) -> tuple[str, ...]:
    if freshness.sample == "all":
        return ("Sample data",)
    return ("Partly sample data",) if freshness.sample == "part" else ()


def made_up(freshness: Freshness) -> str:
    """What is added to the number of requests where they are sample data."""
    return {"none": "", "part": ", some of them made up", "all": ", all of them made up"}[freshness.sample]


def banners(window: Window) -> tuple[Banner, ...]:
    """What a reader has to know before anything else: what is missing and what waits."""
    found = []
    fresh = window.freshness
    if fresh.waiting:
        days = count(fresh.waiting, "day")
        found.append(Banner("warn", "Not up to date.", f"{days} changed since and wait for: assay rollup --dirty"))
    missing = fresh.missing(window.first, window.last)
    if missing:
        days = ", ".join(date_text(day) for day in missing[:LISTED_DAYS])
        more = f" and {count(len(missing) - LISTED_DAYS)} more" if len(missing) > LISTED_DAYS else ""
        found.append(Banner("plain", "Days without a request.", f"{days}{more}. They count as no data, not as zero."))
    if fresh.rolled.get(window.last) is False:
        found.append(Banner("plain", "The last day is not over.", f"{date_text(window.last)} is to date."))
    return tuple(found)


def as_of(window: Window) -> str:
    """When the data ended, and when they were last worked up."""
    last = max(window.freshness.rolled, default=window.last)
    return f"{date_text(last)} ({window.timezone}), rolled up {moment(window.freshness.rolled_at)}"


def change_text(trend: Trend, *, confidence: str = "CI") -> str:
    """`+4.2% (CI −1.0 to 9.8%)`; a change of a share in points."""
    if trend.change is None:
        return _UNKNOWN
    estimate = trend.change
    said = change(estimate.value) if trend.relative else points(estimate.value)
    unit = "%" if trend.relative else " pts"
    return f"{said} ({confidence} {interval(estimate.low * 100, estimate.high * 100)}{unit})"


def moved_text(measure: Measure, trend: Trend) -> str:
    """`quality fell 15.0 pts`, for a trend that moved."""
    if trend.change is None:
        return f"{NOUNS[measure]}: {_UNKNOWN}"
    value = trend.change.value
    size = change(abs(value)) if trend.relative else points(abs(value))
    return f"{NOUNS[measure]} {'rose' if value > 0 else 'fell'} {size.removeprefix('+')}"


_DIRECTIONS: dict[str, tuple[str, Tone, Sign]] = {
    "steady": ("Steady", "plain", "dash"),
    "unclear": ("No clear change", "plain", "dash"),
    "unknown": ("Too few days", "plain", "dash"),
}


def trend_status(measure: Measure, trend: Trend) -> Status:
    """Sign, word and tone of a trend; whether up is good is the measure's affair."""
    if not trend.moved:
        return Status(*_DIRECTIONS[trend.direction])
    worse = trend.direction == JUDGED[measure].worse
    word = "Up" if trend.direction == "up" else "Down"
    if measure == "cost":
        # Money spent is not bad in itself.
        return Status(word, "warn" if worse else "good", "bang" if worse else "check")
    return Status(word, "bad" if worse else "good", "cross" if worse else "check")


def peak_text(peak: Peak) -> str:
    """`ai-search cost $0.31 on 13 May 2026, 3.9 times its usual Wednesday`."""
    day = peak.day
    if peak.measure == "errors":
        return (
            f"{named(peak.feature)} failed {share(day.value)} of its requests on {date_text(day.day)}, "
            f"usually {share(day.usual)}"
        )
    return (
        f"{named(peak.feature)} cost {money(Decimal(str(day.value)))} on {date_text(day.day)}, "
        f"{decimal(day.value / day.usual, 1)} times its usual {weekday(day.day.weekday())}"
    )


def unknown_fact(window: Window, unpriced: int, requests: int, anchor: str) -> Fact:
    """What the numbers lack: requests without a price, days that were restated."""
    sentences = []
    if unpriced:
        sentences.append(f"{count(unpriced)} of {count(requests, 'request')} unpriced: not in any sum.")
    else:
        sentences.append("Every request is priced.")
    restated = {each.day for each in window.restatements}
    if restated:
        sentences.append(f"{count(len(restated), 'day')} restated after being reported.")
    else:
        sentences.append("No day was restated.")
    sentences.append(f"Data to {date_text(max(window.freshness.rolled, default=window.last))}.")
    status = Status("Incomplete", "warn", "bang") if unpriced else Status("Complete", "good", "check")
    link = ("What is unknown and what changed", anchor) if unpriced or restated else None
    return Fact(label="What is unknown", status=status, sentences=tuple(sentences), link=link)


def restatements_table(restatements: Sequence[Restatement]) -> Table:
    rows = tuple(
        (
            Cell(date_text(each.day), each.day.toordinal()),
            Cell(f"{count(each.before.requests)} → {count(each.after.requests)}"),
            Cell(f"{money(each.before.cost)} → {money(each.after.cost)}"),
            Cell(each.why()),
            Cell(moment(each.at)),
        )
        for each in restatements[:RESTATED]
    )
    more = len(restatements) - RESTATED
    return Table(
        caption="Restated days",
        columns=(
            Column("day", "Day"),
            Column("requests", "Requests", right=True),
            Column("cost", "Cost", right=True),
            Column("cause", "Cause"),
            Column("at", "When"),
        ),
        rows=rows,
        note=f"{count(more)} more are in the JSON file." if more > 0 else "",
        empty="No day of the window changed after it had been reported.",
    )


def unpriced_table(window: Window) -> Table:
    """Models without a price, those with the most requests first."""
    models = regrouped(window.facts, MODEL, window.first, window.last)
    lacking = sorted(
        ((name, facts) for name, facts in models.items() if facts.unpriced),
        key=lambda pair: (-pair[1].unpriced, pair[0] or ""),
    )
    return Table(
        caption="Unpriced requests",
        columns=(
            Column("model", "Model"),
            Column("unpriced", "Unpriced", right=True),
            Column("requests", "Requests", right=True),
            Column("tokens", "Tokens", right=True),
        ),
        rows=tuple(
            (
                Cell(named(name)),
                Cell(count(facts.unpriced), facts.unpriced),
                Cell(count(facts.requests), facts.requests),
                Cell(count(facts.tokens), facts.tokens),
            )
            for name, facts in lacking
        ),
        note="A price of your own, in prices.yaml, ends this; assay prices show lists what is known."
        if lacking
        else "",
        empty="Every request of the window is priced.",
    )


def window_words(window: Window) -> str:
    return f"{span(window.first, window.last)}, {window.timezone}"


def joined(words: Iterable[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    each = list(words)
    return each[0] if len(each) == 1 else f"{', '.join(each[:-1])} and {each[-1]}" if each else ""


def money_tick(value: float) -> str:
    return money(Decimal(str(value)), trim=True)
