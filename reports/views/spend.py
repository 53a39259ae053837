"""The spend page: where the money went and when, decided from the facts of a window."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from evaluations.facts import NOTHING, Facts
from evaluations.production import Group, GroupedBy, HeavyUser, Part, Spending
from evaluations.trends import WEEK
from reports.charts import FULL, HALF, Bar, bars
from reports.format import (
    change,
    count,
    decimal,
    money,
    money_column,
    month,
    share,
    short_date,
    span,
    weekday,
    weekday_date,
)
from reports.page import SCHEMA_VERSION
from reports.time_charts import Layer, heat_map, sparkline, stacked_area
from reports.views import production_words as words
from reports.views.parts import Cell, Column, Fact, Figure, Kpi, Page, Table, Tone, Verdict, figure

TEMPLATE = "spend.html.j2"
LAYERS = 5
"""Parts of the stack; the rest is drawn as one."""
BARS = 8
ROWS = 50
"""Of a table of groups; the CSV twin has all."""
_NOUNS: dict[GroupedBy, str] = {"feature": "feature", "model": "model", "provider": "provider"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SpendView:
    """All that `spend.html.j2` places."""

    page: Page
    main: Figure
    shares: tuple[Figure, ...]
    groups: tuple[Table, ...]
    parts: tuple[Table, ...]
    heat: Figure
    users: Table
    adoption: Table
    efficiency: tuple[Table, ...]
    unknown: tuple[Table, ...]
    method: tuple[str, ...]


def spend_view(spending: Spending) -> SpendView:
    """Decides every word of the spend page. Pure: the same facts give the same view."""
    window = spending.window
    contents = (
        ("verdict", "Spend"),
        ("where", "Where it went"),
        ("when", "When"),
        ("use", "How it is used"),
        ("efficiency", "What a success costs"),
        ("unknown", "What is unknown"),
        ("method", "Method"),
    )
    page = Page(
        kind="Production",
        subject="Spend",
        title="What AI features cost",
        about=f"{words.window_words(window)}. {count(spending.total.requests, 'request')}, "
        f"{count(spending.total.tokens, 'token')}{words.made_up(window.freshness)}.",
        marks=words.marks(window.freshness),
        banners=words.banners(window),
        verdict=_verdict(spending),
        facts=_facts(spending),
        kpis=_kpis(spending),
        contents=contents,
        as_of=words.as_of(window),
        schema=str(SCHEMA_VERSION),
        files=("spend.json", "spend.csv"),
        links=words.links("spend.html"),
    )
    return SpendView(
        page=page,
        main=_stack(spending),
        shares=tuple(_bars(spending, by) for by in ("model", "provider")),
        groups=tuple(_groups_table(spending, by) for by in ("feature", "model", "provider")),
        parts=(
            _parts_table("Weeks", spending.weekly, lambda part: span(part.first, part.last)),
            _parts_table("Months", spending.monthly, lambda part: month(part.first)),
        ),
        heat=_heat(spending),
        users=_users(spending),
        adoption=_adoption(spending),
        efficiency=tuple(_efficiency(spending, by) for by in ("feature", "model")),
        unknown=(words.unpriced_table(window), words.restatements_table(window.restatements)),
        method=_method(spending),
    )


def _verdict(spending: Spending) -> Verdict:
    total = spending.total
    if total.cost is None:
        return Verdict("plain", "What it cost is unknown", f": all {count(total.requests, 'request')} are unpriced.")
    tone: Tone = "plain"
    top = spending.groups["feature"][0]
    share_of = f"; {words.named(top.name)} takes {share(top.share)}" if top.share is not None else ""
    against = (
        f" {change(spending.change)} on the {count(spending.window.days)} days before." if spending.change is not None
        else ""
    )  # fmt: skip
    unpriced = f" {count(total.unpriced)} of {count(total.requests, 'request')} are unpriced." if total.unpriced else ""
    head = f"{money(total.cost)} in {count(spending.window.days, 'day')}"
    return Verdict(tone, head, f"{share_of}.{against}{unpriced}")


def _facts(spending: Spending) -> tuple[Fact, ...]:
    total = spending.total
    return (
        _where(spending),
        _trend(spending),
        _use(spending),
        words.unknown_fact(spending.window, total.unpriced, total.requests, "unknown"),
    )


def _where(spending: Spending) -> Fact:
    tops = [(by, groups[0]) for by, groups in spending.groups.items() if groups and groups[0].share is not None]
    sentences = [
        f"{_NOUNS[by].capitalize()}: {words.named(top.name)}, {money(top.facts.cost)} ({share(top.share)})."
        for by, top in tops
    ]
    return Fact(label="Where it went", status=None, sentences=tuple(sentences), link=("All of them", "where"))


def _trend(spending: Spending) -> Fact:
    weeks = spending.weeks
    sentences = ["Fewer than two whole weeks are known: too few for a trend."]
    if weeks:
        days = "week" if weeks == 1 else f"{weeks} weeks"
        changed = words.change_text(spending.trend, confidence="95% CI")
        sentences = [f"The last {days} against the {days} before: {changed}."]
    moved = [
        f"{words.named(group.name)} {words.moved_text('cost', group.trend).removeprefix('cost ')}."
        for group in spending.groups["feature"]
        if group.trend.moved
    ]
    sentences += moved[:2]
    sentences += [f"{words.peak_text(peak)}." for peak in spending.peaks if peak.measure == "cost"][:1]
    return Fact(
        label="Trend",
        status=words.trend_status("cost", spending.trend),
        sentences=tuple(sentences),
        link=("By week and month", "when"),
    )


def _use(spending: Spending) -> Fact:
    busiest, users = spending.busiest, spending.users
    sentences = []
    if busiest is not None:
        told = f"{_rate(spending.load[busiest])} requests an hour"
        sentences.append(f"Busiest: {_hour(busiest)} ({spending.window.timezone}), {told}.")
    if users.known:
        top = users.heaviest[0]
        sentences.append(
            f"{_persons(users.known)} a day; the heaviest asked {_asked(top)} times in {span(users.first, users.last)}."
        )
    return Fact(label="How it is used", status=None, sentences=tuple(sentences), link=("By hour and person", "use"))


def _persons(number: float) -> str:
    return f"{_rate(number)} {'person' if number == 1 else 'persons'}"


def _asked(user: HeavyUser) -> str:
    """How often; as a range where the days on which somebody was not among the heaviest leave it open."""
    return count(user.requests) if user.at_most == user.requests else f"{count(user.requests)}–{count(user.at_most)}"


def _hour(at: tuple[int, int]) -> str:
    return f"{weekday(at[0])} {at[1]:02d}:00"


def _rate(requests: float) -> str:
    return decimal(requests, 0 if requests >= 10 or requests == 0 else 1)


def _kpis(spending: Spending) -> tuple[Kpi, ...]:
    total, before = spending.total, spending.before
    days = [spending.by_day.get(day, NOTHING) for day in _window_days(spending)]

    def card(label: str, value: str, note: str, of: Callable[[Facts], float | None]) -> Kpi:
        spark = sparkline([of(facts) for facts in days], label=f"{label}, by day")
        return Kpi(label=label, value=value, note=note, spark=spark)

    def was(value: str | None) -> str:
        return f"; {value} in the {count(spending.window.days)} days before" if before and value else ""

    return (
        card(
            "Spend",
            money(total.cost),
            f"{change(spending.change)} on the {count(spending.window.days)} days before"
            if spending.change is not None
            else "no whole period before to compare with",
            lambda facts: _float(facts.cost),
        ),
        card(
            "Cost per request",
            money(total.cost_per_request),
            f"n = {count(total.priced)}{was(money(before.cost_per_request)) if before else ''}",
            lambda facts: _float(facts.cost_per_request),
        ),
        card(
            "Cost per success",
            money(total.cost_per_success, unknown="unknown"),
            f"n = {count(total.whole_successes)}{was(money(before.cost_per_success)) if before else ''}",
            lambda facts: _float(facts.cost_per_success),
        ),
        card(
            "Prompt tokens from cache",
            share(total.cached_share),
            f"of {count(total.prompt_tokens)}{was(share(before.cached_share)) if before else ''}",
            lambda facts: facts.cached_share,
        ),
    )


def _float(value: Decimal | None) -> float | None:
    return None if value is None else float(value)


def _window_days(spending: Spending) -> list[date]:
    return [spending.window.first + timedelta(days=n) for n in range(spending.window.days)]


def _stack(spending: Spending) -> Figure:
    """Spend by feature over time, averaged over seven days where there are as many."""
    window = spending.window
    since = max(window.first, window.freshness.known_from)
    smooth = window.days > 2 * WEEK
    if smooth:
        since = max(since, window.freshness.known_from + timedelta(days=WEEK - 1))
    days = [day for day in _window_days(spending) if day >= since]
    known = {day for facts in spending.by_feature.values() for day in facts}
    # A day on which nobody asked anything is a gap in the data: its weekday is taken from the week before.
    over = [
        [
            each if each in known else each - timedelta(days=WEEK)
            for each in (day - timedelta(days=n) for n in range(WEEK if smooth else 1))
        ]
        for day in days
    ]
    priced = [name for name, facts in spending.by_feature.items() if any(each.cost for each in facts.values())]
    layers = [
        _layer(name, [_spent(spending.by_feature[name], each) for each in over], words.named(name), smooth)
        for name in priced[: LAYERS - 1 if len(priced) > LAYERS else LAYERS]
    ]
    rest = priced[len(layers) :]
    if rest:
        values = [sum(_spent(spending.by_feature[name], each) for name in rest) for each in over]
        layers.append(_layer("", values, f"{count(len(rest))} others", smooth))
    title = _stack_title(spending)
    return figure(
        "fig-stack",
        title,
        f"US dollars a day by feature{', 7-day average' if smooth else ''}. {words.window_words(window)}, "
        f"n = {count(spending.total.requests, 'request')}.",
        FULL,
        lambda width: stacked_area(
            [weekday_date(day) for day in days],
            [short_date(day) for day in days],
            layers,
            width,
            label=f"Stacked areas of spend by feature over time. {title}.",
            tick=words.money_tick,
        ),
        table=Table(
            caption="Spend by day and feature",
            columns=(Column("day", "Day"), *(Column(f"f{n}", each.name, right=True) for n, each in enumerate(layers))),
            rows=tuple(
                (Cell(weekday_date(day)), *(Cell(words.money_tick(layer.values[n])) for layer in layers))
                for n, day in enumerate(days)
            ),
        ),
    )


def _spent(days: Mapping[date, Facts], over: Sequence[date]) -> float:
    """What some days cost on average."""
    return float(sum((days.get(day, NOTHING).cost or Decimal(0) for day in over), Decimal(0))) / len(over)


def _layer(name: str, values: list[float], shown: str, smooth: bool) -> Layer:
    last = words.money_tick(values[-1]) if values else ""
    grown = f", {change(values[-1] / values[0] - 1)}" if smooth and len(values) > 1 and values[0] > 0 else ""
    return Layer(name=shown, values=tuple(values), text=f"{last} a day{grown}")


def _stack_title(spending: Spending) -> str:
    top = spending.groups["feature"][0] if spending.groups["feature"] else None
    if top is None or top.share is None:
        return "No feature has a price"
    moved = [group for group in spending.groups["feature"] if group.trend.moved]
    if moved:
        return words.joined(
            f"{words.named(group.name)} {words.moved_text('cost', group.trend).removeprefix('cost ')}"
            for group in moved[:2]
        )
    return f"{words.named(top.name)} is {share(top.share)} of the spend; no feature clearly moved"


def _bars(spending: Spending, by: GroupedBy) -> Figure:
    """The dearest groups as sorted bars; the rest is one bar, so that shares sum to all that is priced."""
    groups = spending.groups[by]
    shown = groups if len(groups) <= BARS else groups[: BARS - 1]
    rows = [
        Bar(
            label=words.named(group.name),
            value=_float(group.facts.cost),
            text=f"{money(group.facts.cost)}{f', {share(group.share)}' if group.share is not None else ''}",
            driver=index == 0,
        )
        for index, group in enumerate(shown)
    ]
    rest = groups[len(shown) :]
    if rest:
        cost = sum((group.facts.cost or Decimal(0) for group in rest), Decimal(0))
        part = sum(group.share or 0.0 for group in rest)
        rows.append(Bar(label=f"{count(len(rest))} others", value=float(cost), text=f"{money(cost)}, {share(part)}"))
    top = groups[0] if groups and groups[0].share is not None else None
    noun = _NOUNS[by]
    title = f"{words.named(top.name)} takes {share(top.share)}" if top else f"Cost by {noun}"
    return figure(
        f"fig-{by}",
        title,
        f"US dollars by {noun} and shares of what is priced. {words.window_words(spending.window)}.",
        HALF,
        lambda width: bars(rows, width, label=f"Bars of cost by {noun}. {title}.", value_name="Cost"),
        table=Table(
            caption=f"Cost by {noun}",
            columns=(Column(by, noun.capitalize()), Column("cost", "Cost and share", right=True)),
            rows=tuple((Cell(row.label), Cell(row.text)) for row in rows),
        ),
    )


def _groups_table(spending: Spending, by: GroupedBy) -> Table:
    groups = spending.groups[by]
    shown = groups[:ROWS]
    costs = money_column([group.facts.cost for group in shown], unknown="unpriced")
    each_request = money_column([group.facts.cost_per_request for group in shown])
    noun = _NOUNS[by]
    return Table(
        caption=f"By {noun}",
        columns=(
            Column(by, noun.capitalize()),
            Column("requests", "Requests", right=True),
            Column("cost", "Cost", right=True),
            Column("share", "Share", right=True),
            Column("trend", "Trend", right=True),
            Column("cost_per_request", "Cost per request", right=True),
            Column("unpriced", "Unpriced", right=True),
        ),
        rows=tuple(
            (
                Cell(words.named(group.name)),
                Cell(count(group.facts.requests), group.facts.requests),
                Cell(cost, _float(group.facts.cost)),
                Cell(share(group.share, unknown="–"), group.share),
                _trend_cell(group),
                Cell(request),
                Cell(count(group.facts.unpriced), group.facts.unpriced),
            )
            for group, cost, request in zip(shown, costs, each_request, strict=True)
        ),
        note=f"The first {ROWS} of {count(len(groups))}; all are in spend.csv." if len(groups) > ROWS else "",
    )


def _trend_cell(group: Group) -> Cell:
    status = words.trend_status("cost", group.trend)
    if group.trend.change is None:
        return Cell("", status=status)
    return Cell("", status=status, note=words.change_text(group.trend))


def _parts_table(caption: str, parts: Sequence[Part], named: Callable[[Part], str]) -> Table:
    costs = money_column([part.facts.cost for part in parts], unknown="unpriced")
    return Table(
        caption=caption,
        columns=(
            Column("period", caption[:-1]),
            Column("requests", "Requests", right=True),
            Column("cost", "Cost", right=True),
            Column("change", "On the one before", right=True),
        ),
        rows=tuple(
            (
                Cell(named(part), note="" if part.whole else "not whole"),
                Cell(count(part.facts.requests), part.facts.requests),
                Cell(cost, _float(part.facts.cost)),
                Cell("–" if part.change is None else change(part.change), part.change),
            )
            for part, cost in zip(parts, costs, strict=True)
        ),
    )


def _heat(spending: Spending) -> Figure:
    load, peak = spending.load, spending.busiest
    title = "Requests by hour of the week"
    if peak is not None:
        title = f"Load peaks on {weekday(peak[0])}s around {peak[1]:02d}:00"
    of_cost = {(each.weekday, each.hour): each.cost for each in spending.hours}
    return figure(
        "fig-hours",
        title,
        f"Requests an hour, mean over {words.window_words(spending.window)}. Hours are those of "
        f"{spending.window.timezone}.",
        FULL,
        lambda width: heat_map(
            load,
            width,
            label=f"Heat map of requests by weekday and hour. {title}.",
            value=_rate,
            peak_text=f"Peak: {_hour(peak)}, {_rate(load[peak])} an hour" if peak else "",
        ),
        table=Table(
            caption="Requests and cost by hour of the week",
            columns=(
                Column("hour", "Hour"),
                Column("requests", "Requests an hour", right=True),
                Column("cost", "Cost in all", right=True),
            ),
            rows=tuple(
                (Cell(_hour(at)), Cell(_rate(value)), Cell(money(of_cost[at]))) for at, value in sorted(load.items())
            ),
        ),
    )


def _users(spending: Spending) -> Table:
    users = spending.users
    costs = money_column([user.cost for user in users.heaviest], unknown="unpriced")
    unnamed = f" {count(users.unnamed, 'request')} do not say who asked." if users.unnamed else ""
    others = "" if users.certain else " Others may have asked as often as the last of these."
    return Table(
        caption="Heaviest users",
        columns=(
            Column("pseudonym", "Pseudonym"),
            Column("requests", "Requests", right=True),
            Column("cost", "Cost", right=True),
            Column("days", "Days", right=True),
        ),
        rows=tuple(
            (
                Cell(user.pseudonym),
                Cell(_asked(user), user.requests),
                Cell(cost),
                Cell(count(user.days), user.days),
            )
            for user, cost in zip(users.heaviest, costs, strict=True)
        ),
        note=f"{span(users.first, users.last)}, on an average day {_persons(users.known)}. A pseudonym is a keyed "
        "hash: it tells persons apart and names nobody. Days are those on which somebody was among the heaviest; cost "
        f"is of these.{others}{unnamed}",
        empty="No request of these days says who asked.",
    )


def _adoption(spending: Spending) -> Table:
    users = spending.users
    return Table(
        caption="Persons by feature",
        columns=(
            Column("feature", "Feature"),
            Column("persons", "Persons a day", right=True),
            Column("share", "Of all who asked", right=True),
        ),
        rows=tuple(
            (Cell(words.named(name)), Cell(_rate(persons), persons), Cell(share(persons / users.known)))
            for name, persons in sorted(users.by_feature.items(), key=lambda pair: (-pair[1], pair[0]))[:ROWS]
        ),
        note=f"{span(users.first, users.last)}, on an average day.",
        empty="No request of these days says who asked.",
    )


def _efficiency(spending: Spending, by: GroupedBy) -> Table:
    groups = spending.groups[by][:ROWS]
    costs = money_column([group.facts.cost_per_success for group in groups])
    return Table(
        caption=f"By {_NOUNS[by]}",
        columns=(
            Column(by, _NOUNS[by].capitalize()),
            Column("successes", "Successes", right=True),
            Column("cost_per_success", "Cost per success", right=True),
            Column("tokens_per_success", "Tokens per success", right=True),
            Column("reply_share", "Of them in replies", right=True),
            Column("cached_share", "Prompt from cache", right=True),
        ),
        rows=tuple(
            (
                Cell(words.named(group.name)),
                Cell(count(group.facts.successes), group.facts.successes),
                Cell(cost),
                Cell(_tokens(group.facts), group.facts.tokens_per_success),
                Cell(share(group.facts.reply_tokens / group.facts.tokens if group.facts.tokens else None, unknown="–")),
                Cell(share(group.facts.cached_share, unknown="–"), group.facts.cached_share),
            )
            for group, cost in zip(groups, costs, strict=True)
        ),
    )


def _tokens(facts: Facts) -> str:
    return "–" if facts.tokens_per_success is None else decimal(facts.tokens_per_success, 0)


def _method(spending: Spending) -> tuple[str, ...]:
    percent = decimal(spending.confidence * 100, 1)
    weeks = "weeks" if spending.weeks != 1 else "week"
    held = (
        f"Trends hold the last {count(spending.weeks)} {weeks} against as many before, each day against the same "
        "weekday: the interval is Student's t over pairs of log ratios of daily cost. Groups of the longest table are "
        f"told at {percent}% each, so that all of a table together keep 95% (Bonferroni). A change within 5%, or whose "
        "interval includes none, is not called a trend."
        if spending.weeks
        else "Fewer than two whole weeks are known: no trend is told."
    )
    return (
        held,
        "Money is exact: every priced request carries the price of its day, and sums are sums of decimals. Requests "
        "without a known price are counted as unpriced and are in no sum; shares are of what is priced.",
        "Cost per success is all that was paid, failures included, over the successes; facts of a day with unpriced "
        "requests are in neither. Prompt from cache is prompt tokens read from the provider's cache, of all prompt "
        "tokens.",
        "In a 7-day average, a day without any request is replaced by the same weekday of the week before.",
        f"Days, weeks (ISO) and hours are those of the platform's time zone, {spending.window.timezone}. A change is "
        "told between whole periods alone.",
    )
