"""The overview of production: how things stand, in words, decided from its facts."""

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from evaluations.facts import NOTHING, Facts
from evaluations.production import HEALTH, JUDGED, FeatureHealth, Measure, Overview
from evaluations.trends import USUAL_WEEKS, WEEK
from reports.charts import FULL, HALF, Bar, bars
from reports.format import (
    change,
    count,
    decimal,
    duration,
    money,
    money_column,
    month,
    share,
    short_date,
    span,
    weekday_date,
)
from reports.page import SCHEMA_VERSION
from reports.time_charts import Moment, sparkline, trend_line
from reports.views import production_words as words
from reports.views.parts import Cell, Column, Fact, Figure, Kpi, Page, Sign, Status, Table, Tone, Verdict, figure

TEMPLATE = "overview.html.j2"
NAMED = 3
"""Features in the headline, and days in the list of what stands out beside it."""
LISTED = 12
NOTHING_MOVED = "Nothing moved by more than days usually differ."
NOTHING_ELSE = "No cost moved by more than days usually differ."

_STATES: dict[str, tuple[str, Tone, Sign]] = {
    "worse": ("Worse", "bad", "cross"),
    "better": ("Better", "good", "check"),
    "steady": ("No clear change", "plain", "dash"),
    "new": ("New", "plain", "dash"),
    "silent": ("No requests", "warn", "bang"),
    "unknown": ("Too few days", "plain", "dash"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OverviewView:
    """All that `overview.html.j2` places."""

    page: Page
    main: Figure
    health: Table
    moved: tuple[str, ...]
    shares: Figure
    months: Figure | None
    unknown: tuple[Table, ...]
    method: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Moved:
    """Something that moved: in few words, and with its interval."""

    short: str
    sentence: str
    of_health: bool = False


def overview_view(overview: Overview) -> OverviewView:
    """Decides every word of the overview. Pure: the same facts give the same view."""
    window = overview.window
    moved = _moved(overview)
    contents = (
        ("verdict", "How it stands"),
        ("health", "Health"),
        ("moved", "What moved"),
        ("spending", "Spend"),
        ("unknown", "What is unknown"),
        ("method", "Method"),
    )
    page = Page(
        kind="Production",
        subject="Overview",
        title="AI features in production",
        about=f"{words.window_words(window)}. {count(_requests(overview), 'request')} of "
        f"{count(len(overview.features), 'feature')}{words.made_up(window.freshness)}.",
        marks=words.marks(window.freshness),
        banners=words.banners(window),
        verdict=_verdict(overview),
        facts=_facts(overview, moved),
        kpis=_kpis(overview),
        contents=contents,
        as_of=words.as_of(window),
        schema=str(SCHEMA_VERSION),
        files=("overview.json", "overview.csv"),
        links=words.links("overview.html"),
    )
    return OverviewView(
        page=page,
        main=_daily(overview),
        health=_health_table(overview),
        moved=tuple(each.sentence for each in moved[:LISTED]) or (NOTHING_MOVED,),
        shares=_shares(overview),
        months=_months(overview),
        unknown=(words.unpriced_table(window), words.restatements_table(window.restatements)),
        method=_method(overview),
    )


def _requests(overview: Overview) -> int:
    return sum(facts.requests for facts in overview.by_day.values())


def _verdict(overview: Overview) -> Verdict:
    """What it costs and whether it works, in one sentence."""
    features = [each for each in overview.features if each.now.requests]
    worse = overview.needing
    spent = f"{_month(overview)} cost {money(overview.to_date.cost)} to date{_against(overview)}"
    if not features:
        return Verdict("warn", "No requests in the last 7 days", f". {spent}.")
    if worse:
        named = words.joined(f"{words.named(each.feature)} in {_measures(each.worse)}" for each in worse[:NAMED])
        more = f" and {count(len(worse) - NAMED)} more" if len(worse) > NAMED else ""
        verb = "is" if len(worse) == 1 else "are"
        head = f"{len(worse)} of {count(len(features), 'feature')} {verb} worse"
        return Verdict("bad", head, f": {named}{more}. {spent}.")
    if not any(each.known for each in features):
        return Verdict("plain", spent, ". Too few days to tell whether anything moved.")
    return Verdict("good", "No feature is worse", f" than usual. {spent}.")


def _measures(measures: tuple[Measure, ...]) -> str:
    return words.joined(words.NOUNS[measure] for measure in measures)


def _month(overview: Overview) -> str:
    return month(overview.to_date.last)


def _against(overview: Overview) -> str:
    """`, +12% on the same days of April`, as far as these are known."""
    to_date = overview.to_date
    if to_date.change is None:
        return ""
    before = to_date.first - timedelta(days=1)
    return f", {change(to_date.change)} on the same days of {month(before).split()[0]}"


def _facts(overview: Overview, moved: list[_Moved]) -> tuple[Fact, ...]:
    return (_spend_fact(overview), _health_fact(overview), _moved_fact(moved), _unknown(overview))


def _spend_fact(overview: Overview) -> Fact:
    to_date, trend = overview.to_date, overview.trends["cost"]
    sentences = [f"{money(to_date.cost)} for {span(to_date.first, to_date.last)}{_against(overview)}."]
    if to_date.by_weekday and to_date.cost is not None and to_date.trend.change is not None:
        weekdays = change(float(to_date.cost / to_date.by_weekday) - 1)
        sentences.append(f"{weekdays} on the same weekdays four weeks earlier.")
    elif to_date.change is None:
        sentences.append("No whole month before it to compare with.")
    sentences.append(
        f"Last 7 days {money(overview.week.cost)}: {words.change_text(trend, confidence='95% CI')} on usual."
    )
    return Fact(
        label="Spend",
        status=words.trend_status("cost", trend),
        sentences=tuple(sentences),
        link=("By day and feature", "spending"),
    )


def _health_fact(overview: Overview) -> Fact:
    features = overview.features
    worse = overview.needing
    sentences = []
    for each in worse[:NAMED]:
        what = words.joined(words.moved_text(measure, each.trends[measure]) for measure in each.worse)
        sentences.append(f"{words.named(each.feature)}: {what}.")
    others = len(features) - len(worse)
    if others:
        quiet = [each for each in features if each.state == "steady"]
        better = [each for each in features if each.state == "better"]
        told = [f"{words.named(each.feature)} is better" for each in better[:NAMED]]
        told += [f"{count(len(quiet))} without a clear change"] if quiet else []
        rest = others - len(quiet) - len(better)
        told += [f"{count(rest)} with too few days to tell"] if rest else []
        sentences.append(f"{words.joined(told)[:1].upper()}{words.joined(told)[1:]}." if told else "")
    status = (
        Status(f"{count(len(worse))} of {count(len(features))} worse", "bad", "cross") if worse
        else Status("None is worse", "good", "check") if any(each.known for each in features)
        else Status("Too few days", "plain", "dash")
    )  # fmt: skip
    return Fact(
        label="Health", status=status, sentences=tuple(filter(None, sentences)), link=("Each feature", "health")
    )


def _moved(overview: Overview) -> list[_Moved]:
    """What moved beyond its wobble, what is worse first, and then the days that stand out."""
    worse, other = [], []
    for each in overview.features:
        name = words.named(each.feature)
        if each.state == "silent":
            said = f"{name} had no requests in the last 7 days, and had some before."
            worse.append(_Moved(said, said))
        if each.state == "new":
            said = f"{name} is new: it had no requests in the {USUAL_WEEKS} weeks before."
            other.append(_Moved(said, said))
        for measure, trend in each.trends.items():
            if trend.moved:
                short = f"{name}: {words.moved_text(measure, trend)}"
                sentence = f"{short} to {_value(each, measure)}; {words.change_text(trend)}."
                wrong = trend.direction == JUDGED[measure].worse
                (worse if wrong else other).append(_Moved(f"{short}.", sentence, measure in HEALTH))
    peaks = [f"{words.peak_text(peak)}." for peak in overview.peaks]
    return worse + other + [_Moved(said, said) for said in peaks]


def _value(each: FeatureHealth, measure: Measure) -> str:
    now = each.now
    return {
        "cost": money(now.cost),
        "errors": f"{share(now.error_rate)} of {count(now.ended, 'request')}",
        "latency": f"p95 {duration(now.latency(0.95))}",
        "quality": f"{share(now.quality)} (n = {count(now.quality_n)})",
    }[measure]


def _moved_fact(moved: list[_Moved]) -> Fact:
    """What moved besides the health of features, which has its own place beside this."""
    other = [each for each in moved if not each.of_health]
    if not other:
        return Fact(label="What moved", status=Status("Nothing else", "plain", "dash"), sentences=(NOTHING_ELSE,))
    more = len(other) - NAMED
    return Fact(
        label="What moved",
        status=Status(count(len(other), "thing"), "plain", "wave"),
        sentences=tuple(each.short for each in other[:NAMED]),
        link=(f"And {count(more)} more" if more > 0 else "With intervals", "moved"),
    )


def _unknown(overview: Overview) -> Fact:
    unpriced = sum(facts.unpriced for facts in overview.by_day.values())
    return words.unknown_fact(overview.window, unpriced, _requests(overview), "unknown")


def _kpis(overview: Overview) -> tuple[Kpi, ...]:
    week, trends = overview.week, overview.trends
    days = _days(overview)
    series = {measure: [JUDGED[measure].of(facts) for facts in days.values()] for measure in JUDGED}

    def card(label: str, measure: Measure, value: str, note: str) -> Kpi:
        trend = trends[measure]
        return Kpi(
            label=label,
            value=value,
            note=f"{words.change_text(trend, confidence='95% CI')} on usual. {note}".strip(),
            status=words.trend_status(measure, trend),
            spark=sparkline(series[measure], label=f"{label}, by day, {words.window_words(overview.window)}"),
        )

    return (
        card("Spend, last 7 days", "cost", money(week.cost), _unpriced_note(week)),
        card("Error rate, last 7 days", "errors", share(week.error_rate), f"n = {count(week.ended)}"),
        card("Latency p95, last 7 days", "latency", duration(week.latency(0.95)), ""),
        card("Judged quality, last 7 days", "quality", share(week.quality), f"n = {count(week.quality_n)}"),
    )


def _unpriced_note(facts: Facts) -> str:
    return f"{count(facts.unpriced)} unpriced" if facts.unpriced else ""


def _days(overview: Overview) -> dict[date, Facts]:
    """Every day of the window; those without a request are there without facts."""
    first = overview.window.first
    return {
        day: overview.by_day.get(day, NOTHING)
        for day in (first + timedelta(days=n) for n in range(overview.window.days))
    }


def _daily(overview: Overview) -> Figure:
    days = _days(overview)
    flags = {peak.day.day: peak for peak in reversed(overview.peaks) if peak.measure == "cost"}
    moments = [
        Moment(
            title=weekday_date(day),
            axis=short_date(day),
            value=None if facts.cost is None else float(facts.cost),
            text=money(facts.cost),
            flag=f"{short_date(day)}: {words.named(flags[day].feature)} "
            f"{decimal(flags[day].day.value / flags[day].day.usual, 1)}×" if day in flags else "",
        )
        for day, facts in days.items()
    ]  # fmt: skip
    average = averaged([moment.value for moment in moments])
    trend = overview.trends["cost"]
    said = {
        "up": "Spend is rising", "down": "Spend is falling", "steady": "Spend is steady",
        "unclear": "Spend shows no clear change", "unknown": "Spend by day",
    }[trend.direction]  # fmt: skip
    known = [moment.value for moment in moments if moment.value is not None]
    typical = f", about {words.money_tick(sum(known[-WEEK:]) / len(known[-WEEK:]))} a day" if known else ""
    unpriced = sum(facts.unpriced for facts in days.values())
    return figure(
        "fig-daily",
        f"{said}{typical}",
        f"US dollars a day (thin) and their 7-day average. {words.window_words(overview.window)}, "
        f"n = {count(_requests(overview), 'request')}"
        + (f", {count(unpriced)} of them unpriced." if unpriced else "."),
        FULL,
        lambda width: trend_line(
            moments,
            width,
            label=f"Line chart of spend by day. {said}{typical}.",
            value_name="Spend",
            tick=words.money_tick,
            average=average if any(value is not None for value in average) else (),
            average_name="7-day average",
        ),
        table=Table(
            caption="Spend by day",
            columns=(
                Column("day", "Day"),
                Column("requests", "Requests", right=True),
                Column("unpriced", "Unpriced", right=True),
                Column("cost", "Cost", right=True),
                Column("errors", "Error rate", right=True),
            ),
            rows=tuple(
                (
                    Cell(weekday_date(day)),
                    Cell(count(facts.requests), facts.requests),
                    Cell(count(facts.unpriced), facts.unpriced),
                    Cell(cost),
                    Cell(share(facts.error_rate), facts.error_rate),
                )
                for (day, facts), cost in zip(
                    days.items(), money_column([facts.cost for facts in days.values()], unknown="unpriced"), strict=True
                )
            ),
        ),
    )


def averaged(values: list[float | None]) -> list[float | None]:
    """For each day the mean of it and the six before; None until there are seven.

    For a day without data counts the same weekday of the week before, if that is known.
    """
    filled = [
        values[index - WEEK] if value is None and index >= WEEK else value for index, value in enumerate(values)
    ]  # fmt: skip
    found: list[float | None] = []
    for index in range(len(values)):
        known = [value for value in filled[max(index - WEEK + 1, 0) : index + 1] if value is not None]
        found.append(sum(known) / WEEK if len(known) == WEEK else None)
    return found


def _health_table(overview: Overview) -> Table:
    costs = money_column([each.now.cost for each in overview.features], unknown="unpriced")
    per_success = money_column([each.now.cost_per_success for each in overview.features], unknown="–")
    rows = []
    for each, cost, success in zip(overview.features, costs, per_success, strict=True):
        now = each.now
        p95 = now.latency(0.95)
        rows.append(
            (
                Cell(words.named(each.feature)),
                Cell("", status=Status(*_STATES[each.state])),
                Cell(count(now.requests), now.requests),
                Cell(share(now.error_rate), now.error_rate, note=_note(each, "errors", now.ended)),
                Cell(duration(p95), p95, note=_note(each, "latency", None)),
                Cell(share(now.quality), now.quality, note=_note(each, "quality", now.quality_n)),
                Cell(cost, None if now.cost is None else float(now.cost), note=_note(each, "cost", None)),
                Cell(success),
            )
        )
    return Table(
        caption="Each feature, last 7 days",
        columns=(
            Column("feature", "Feature"),
            Column("state", "State"),
            Column("requests", "Requests", right=True),
            Column("error_rate", "Error rate", right=True),
            Column("p95", "p95 latency", right=True),
            Column("quality", "Quality", right=True),
            Column("cost", "Cost", right=True),
            Column("cost_per_success", "Cost per success", right=True),
        ),
        rows=tuple(rows),
        note="Below a value: how many it is of, and its change against the same weekdays before where that is sure.",
        empty="No requests in the last five weeks.",
    )


def _note(each: FeatureHealth, measure: Measure, n: int | None) -> str:
    """How many were counted, and the change where it is sure."""
    trend = each.trends[measure]
    told = [] if n is None else [f"n = {count(n)}"]
    if trend.moved:
        told.append(words.change_text(trend).split(" (")[0])
    return ", ".join(told)


def _shares(overview: Overview) -> Figure:
    """The last week's cost of each feature: sorted bars whose shares sum to all that is priced."""
    features = overview.features
    priced = sum((each.now.cost for each in features if each.now.cost is not None), Decimal(0))
    rows = [
        Bar(
            label=words.named(each.feature),
            value=None if each.now.cost is None else float(each.now.cost),
            text=money(each.now.cost)
            + (f", {share(float(each.now.cost / priced))}" if each.now.cost is not None and priced else ""),
            driver=index == 0,
        )
        for index, each in enumerate(features)
    ]
    top = features[0] if features and features[0].now.cost and priced else None
    title = (
        f"{words.named(top.feature)} takes {share(float(top.now.cost / priced))}" if top and top.now.cost
        else "Cost of each feature"
    )  # fmt: skip
    return figure(
        "fig-features",
        title,
        f"US dollars of the last 7 days, {span(overview.window.last - timedelta(days=6), overview.window.last)}, "
        "and shares of what is priced.",
        HALF,
        lambda width: bars(rows, width, label=f"Bars of cost by feature. {title}.", value_name="Cost"),
        table=Table(
            caption="Cost by feature",
            columns=(Column("feature", "Feature"), Column("cost", "Cost and share", right=True)),
            rows=tuple((Cell(row.label), Cell(row.text)) for row in rows),
        ),
    )


def _months(overview: Overview) -> Figure | None:
    """The months as far as they are known; one alone is no trend."""
    months = overview.window.months
    if len(months) < 2:
        return None
    last = overview.to_date.last
    over = (last + timedelta(days=1)).day == 1
    moments = [
        Moment(
            title=month(first),
            axis=short_date(first)[2:],
            value=None if cost is None else float(cost),
            text=money(cost),
            to_date=first == overview.to_date.first and not over,
        )
        for first, cost in months.items()
    ]
    title = f"{_month(overview)}: {money(overview.to_date.cost)}{'' if over else ' to date'}{_against(overview)}"
    return figure(
        "fig-months",
        title,
        f"US dollars a month{'' if over else '; the running month is dashed, to date'}, {overview.window.timezone}.",
        HALF,
        lambda width: trend_line(
            moments, width, label=f"Line chart of spend by month. {title}.", value_name="Spend", tick=words.money_tick
        ),
        table=Table(
            caption="Spend by month",
            columns=(Column("month", "Month"), Column("cost", "Cost", right=True)),
            rows=tuple((Cell(each.title + (" to date" if each.to_date else "")), Cell(each.text)) for each in moments),
        ),
    )


def _method(overview: Overview) -> tuple[str, ...]:
    percent = decimal(overview.confidence * 100, 1)
    return (
        f"Usual is the median of the same weekday in up to {USUAL_WEEKS} weeks before. The last 7 days are held "
        "against it day by day; the interval is Student's t over the 7 pairs, of differences for rates and of log "
        f"ratios for amounts. Features are told at {percent}% each, so that all together keep 95% (Bonferroni).",
        "Something moved when its interval excludes no change and the change is larger than a dead band: 5% of cost, "
        "0.5 pts of the error rate, 10% of p95 latency, 1 pt of quality. It is steady when the whole interval lies "
        "within the band; otherwise the days differ too much to say.",
        "A day stands out when its cost is at least 1.5 times the median of the same weekday in the other weeks and "
        "four robust standard deviations beyond it, or when its error rate is surely more than 2 pts above that of "
        "the other days.",
        "In a 7-day average, a day without data is replaced by the same weekday of the week before. "
        "The error rate is errors of requests that said how they ended. p95 comes from merged histograms and is at "
        "most 1% off. Quality is the mean of judged requests. Cost is that of priced requests; cost per success counts "
        "what failures cost, too.",
    )
