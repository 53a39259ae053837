"""The customer page: what became of the matters that customers brought, and what that is worth."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from evaluations.customer import SENTIMENTS, CustomerFacts, Measure, clear_change, left_out_words
from evaluations.impact import Impact
from evaluations.roi import Assumptions, Roi, SeedRoi, Swing, break_even
from reports import charts
from reports.charts import FULL, HALF, Bar, Dot
from reports.format import count, decimal, moment, money, one_line, share, share_interval
from reports.page import SCHEMA_VERSION
from reports.views import customer_words as words
from reports.views.parts import Cell, Column, Figure, Page, Table, figure
from reports.views.production_words import links

TEMPLATE = "customer.html.j2"
FILES = ("customer.json", "customer.csv")


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerView:
    """All that `customer.html.j2` places."""

    page: Page
    funnel: Figure
    measures: Table
    csat: Figure
    reasons: Figure
    times: Figure
    quality: Table
    sentiments: Table
    worth: Table
    swings: Figure | None
    sensitivity: Table
    theirs: Table
    tracked: Table
    definitions: Table
    method: tuple[str, ...]


def customer_view(impact: Impact) -> CustomerView:
    """Decides every word, number and order of the page. Pure: the same facts give the same view."""
    facts, month = impact.facts, impact.month
    page = Page(
        kind="Customers",
        subject=_subject(facts),
        title="Customer impact",
        about=f"{_day(facts.first)} to {_day(facts.last)} ({facts.timezone}). {words.about(facts)}.",
        marks=words.marks(facts),
        banners=words.banners(facts),
        verdict=words.headline(facts, month),
        facts=words.facts_shown(facts, month),
        kpis=words.kpis(facts, month),
        contents=(
            ("verdict", "Verdict"),
            ("measures", "Every measure"),
            ("outcomes", "Outcomes and escalations"),
            ("satisfaction", "Satisfaction"),
            ("roi", "What it is worth"),
            ("definitions", "Definitions"),
            ("method", "Method"),
        ),
        as_of=moment(facts.seen_to),
        schema=str(SCHEMA_VERSION),
        files=FILES,
        links=links("customer.html"),
    )
    return CustomerView(
        page=page,
        funnel=_funnel(facts),
        measures=_measures(facts),
        csat=_csat(facts),
        reasons=_reasons(facts),
        times=_times(facts),
        quality=_quality(facts),
        sentiments=_sentiments(facts),
        worth=_worth(month, impact.theirs),
        swings=_swings(month, impact.swings),
        sensitivity=_sensitivity(impact.swings),
        theirs=_theirs(facts),
        tracked=_tracked(facts),
        definitions=_definitions(facts),
        method=_method(facts),
    )


def _subject(facts: CustomerFacts) -> str:
    return one_line(", ".join(facts.features) or "no feature", 80)


def _day(day: date) -> str:
    from reports.format import day as day_of

    return day_of(datetime(day.year, day.month, day.day))


# Outcomes


def _funnel(facts: CustomerFacts) -> Figure:
    """Bars with what each step loses: each is a part of the one above."""
    steps = facts.funnel
    total = steps[0][1]
    rows, cells = [], []
    for index, (name, number) in enumerate(steps):
        of_all = share(number / total) if total else words.NOT_MEASURED
        lost = steps[index - 1][1] - number if index else 0
        rows.append(
            Bar(label=name, value=float(number), text=f"{count(number)} · {of_all}", driver=index == len(steps) - 1)
        )
        cells.append(
            (
                Cell(name), Cell(count(number), float(number)), Cell(of_all, number / total if total else None),
                Cell(count(lost) if index else "", float(lost)),
            )
        )  # fmt: skip
    stayed = steps[-1][1]
    judged = steps[-2][1]
    title = (
        f"{count(stayed)} of {count(judged)} resolutions by the AI alone lasted"
        if judged
        else "No resolution can be judged yet"
    )
    return figure(
        "fig-funnel",
        title,
        f"Tickets that began {_day(facts.first)} to {_day(facts.last)}, n = {count(total)}; shares are of all of them.",
        FULL,
        lambda width: charts.bars(
            rows, width, label="Tickets by step: " + "; ".join(f"{row.label} {row.text}" for row in rows) + ".",
            value_name="Tickets",
        ),
        table=Table(
            caption="Tickets by step",
            columns=(
                Column("step", "Step"), Column("tickets", "Tickets", right=True), Column("share", "Of all", right=True),
                Column("lost", "Lost here", right=True),
            ),
            rows=tuple(cells),
        ),
        note=f"Customers have {count(facts.recontact_days, 'day')} to come back; tickets whose window is not over, or "
        "that do not say who asked, cannot be judged and are not failures.",
    )  # fmt: skip


def _reasons(facts: CustomerFacts) -> Figure:
    total = sum(number for _, number in facts.reasons)
    rows = [
        Bar(label=kind, value=float(number), text=f"{count(number)} · {share(number / total)}", driver=index == 0)
        for index, (kind, number) in enumerate(facts.reasons)
    ]
    known = [kind for kind, _ in facts.reasons if kind != "not said"]
    title = f"Most are passed on for “{known[0]}”" if known else "No escalation says why"
    return figure(
        "fig-reasons",
        title if total else "Nothing was passed on",
        f"Closed tickets passed on, by reason, n = {count(total)}.",
        HALF,
        lambda width: charts.bars(
            rows, width, value_name="Tickets",
            label="Tickets passed on by reason: " + "; ".join(f"{row.label} {row.text}" for row in rows) + ".",
        ),
        table=Table(
            caption="Tickets passed on by reason",
            columns=(Column("reason", "Reason"), Column("tickets", "Tickets", right=True),
                     Column("share", "Share", right=True)),
            rows=tuple(
                (Cell(kind), Cell(count(number), float(number)), Cell(share(number / total), number / total))
                for kind, number in facts.reasons
            ),
            empty="No closed ticket was passed on.",
        ),
    )  # fmt: skip


def _times(facts: CustomerFacts) -> Figure:
    measures = [facts.measures[name] for name in ("resolution_time_ai", "resolution_time_escalated")]
    known = [measure for measure in measures if measure.estimate is not None]
    people = facts.measures["resolution_time_ai"].baseline
    shown = [
        (measure.metric, measure.metric.title.removeprefix("Time to resolution, "), measure.estimate)
        for measure in measures
    ]
    if people is not None:
        shown.append((measures[0].metric, "people alone", people))
    rows, cells = [], []
    for index, (metric, name, estimate) in enumerate(shown):
        value = words.estimate_text(metric, estimate)
        n = 0 if estimate is None else estimate.n
        number = None if estimate is None else estimate.value
        rows.append(Bar(label=name, value=number, text=f"{value} · n = {count(n)}", driver=index == 0))
        cells.append((Cell(name), Cell(value, number), Cell(words.interval_text(metric, estimate)), Cell(count(n), n)))
    title = "How long a resolution takes"
    if len(known) == 2:
        alone, passed = (measure.estimate.value for measure in known if measure.estimate is not None)
        if alone > 0:
            title = f"Passing on takes {decimal(passed / alone, 0 if passed / alone >= 10 else 1)} times as long"
    return figure(
        "fig-times",
        title,
        "Median time to resolution; open tickets count as not resolved yet.",
        HALF,
        lambda width: charts.bars(
            rows, width, value_name="Median",
            label="Median time to resolution: " + "; ".join(f"{row.label} {row.text}" for row in rows) + ".",
        ),
        table=Table(
            caption="Median time to resolution",
            columns=(Column("tickets", "Tickets"), Column("median", "Median", right=True),
                     Column("interval", "95% interval"), Column("n", "n", right=True)),
            rows=tuple(cells),
        ),
    )  # fmt: skip


# Satisfaction


def _csat(facts: CustomerFacts) -> Figure:
    csat = facts.csat
    rows, cells = [], []
    for stars in range(5, 0, -1):
        number = csat.counts[stars - 1]
        part = number / csat.rated if csat.rated else None
        rows.append(Bar(label=f"{stars} of 5", value=float(number), text=f"{count(number)} · {share(part)}",
                        driver=stars >= 4))  # fmt: skip
        cells.append((Cell(str(stars), float(stars)), Cell(count(number), float(number)), Cell(share(part), part)))
    silent = csat.asked - csat.rated
    satisfied, response = facts.measures["csat_satisfied"], facts.measured("csat_response")
    title = (
        f"{share(satisfied.estimate.value)} of those who answered gave 4 or 5"
        if satisfied.estimate is not None
        else "Nobody rated a ticket"
    )
    answered = "nobody was asked" if response is None else f"{share(response.value)} answered"
    bounds = ""
    if csat.bounds is not None and silent and csat.rated:
        bounds = (
            f"Had all who did not answer given 1, the mean were {decimal(csat.bounds[0], 2)}; "
            f"had they given 5, {decimal(csat.bounds[1], 2)}."
        )
    return figure(
        "fig-csat",
        title,
        f"Ratings of tickets, n = {count(csat.rated)} of {count(csat.asked)}: {answered}.",
        HALF,
        lambda width: charts.bars(
            rows, width, value_name="Tickets",
            label="Ratings: " + "; ".join(f"{row.label} {row.text}" for row in rows) + ".",
        ),
        table=Table(
            caption="Ratings",
            columns=(Column("rating", "Rating"), Column("tickets", "Tickets", right=True),
                     Column("share", "Of those rated", right=True)),
            rows=tuple(cells),
        ),
        note=bounds,
    )  # fmt: skip


def _quality(facts: CustomerFacts) -> Table:
    measure = facts.measures["quality_and_rating"]
    names = ("0–20%", "20–40%", "40–60%", "60–80%", "80–100%")
    rows = tuple(
        (Cell(names[fifth], float(fifth)), *(Cell(count(number), float(number)) for number in line))
        for fifth, line in reversed(list(enumerate(facts.quality_by_rating)))
    )
    known = measure.estimate is not None
    return Table(
        caption="Judged quality against rating",
        columns=(
            Column("quality", "Judged quality"),
            *(Column(f"rating_{stars}", f"Rated {stars}", right=True) for stars in range(1, 6)),
        ),
        rows=rows if known else (),
        note=f"Rank correlation {words.told(measure)}." if known else "",
        empty="Fewer than four tickets have both a judged quality and a rating.",
    )


def _sentiments(facts: CustomerFacts) -> Table:
    measure = facts.measures["sentiment"]
    total = sum(facts.sentiments.values())
    return Table(
        caption="Sentiment at the end of tickets",
        columns=(
            Column("label", "Sentiment"),
            Column("tickets", "Tickets", right=True),
            Column("share", "Share", right=True),
        ),
        rows=tuple(
            (
                Cell(label.capitalize()),
                Cell(count(facts.sentiments[label]), float(facts.sentiments[label])),
                Cell(share(facts.sentiments[label] / total), facts.sentiments[label] / total),
            )
            for label in reversed(SENTIMENTS)
        )
        if total
        else (),
        note=f"Mean {words.told(measure)}. How far these scores agree with people is in `assay reviewers`."
        if total
        else "",
        empty="No ticket has a sentiment.",
    )


# Measures


def _measures(facts: CustomerFacts) -> Table:
    return Table(
        caption="Tickets that the AI took, measured",
        columns=(
            Column("metric", "Measure"), Column("value", "Value", right=True), Column("interval", "95% interval"),
            Column("n", "n", right=True), Column("target", "Target"), Column("status", "Reads"),
            Column("before", "Window before", right=True), Column("people", "People alone", right=True),
            Column("left_out", "Left out", wide=True),
        ),
        rows=tuple(_measure_row(measure) for measure in facts.measures.values() if not measure.metric.theirs),
        note="Left out are tickets that are in neither number of a measure. People alone: tickets that people took "
        "without AI, measured alike.",
    )  # fmt: skip


def _measure_row(measure: Measure) -> tuple[Cell, ...]:
    metric, estimate = measure.metric, measure.estimate
    before = "" if measure.before is None else words.estimate_text(metric, measure.before)
    people = "" if measure.baseline is None else words.estimate_text(metric, measure.baseline)
    way = clear_change(metric, estimate, measure.before)
    note = f"now {way}" if way else "no clear change" if measure.before is not None and metric.better else ""
    return (
        Cell(metric.title, note=metric.id),
        Cell(words.estimate_text(metric, estimate), None if estimate is None else estimate.value),
        Cell(words.interval_text(metric, estimate)),
        Cell("0" if estimate is None else count(estimate.n), 0.0 if estimate is None else float(estimate.n)),
        Cell(words.target_text(metric) or "none"),
        Cell("", status=words.status_of(measure)),
        Cell(before or "not known", note=note),
        Cell(people or "none"),
        Cell(left_out_words(measure.left_out) or "nothing"),
    )


def _theirs(facts: CustomerFacts) -> Table:
    pairs = {
        "seed_fcr": "fcr",
        "seed_deflection": "deflection",
        "seed_escalation": "escalation",
        "seed_csat": "csat",
        "seed_resolution_time": "resolution_time_ai",
    }
    return Table(
        caption="By the formulas of the source documents",
        columns=(
            Column("metric", "Measure"), Column("theirs", "By their formula", right=True),
            Column("n", "n", right=True), Column("ours", "By ours", right=True),
            Column("why", "Why they differ", wide=True),
        ),
        rows=tuple(
            (
                Cell(facts.measures[ours].metric.title, note=facts.measures[theirs].metric.id),
                Cell(words.estimate_text(facts.measures[theirs].metric, facts.measured(theirs))),
                Cell(count(estimate.n) if (estimate := facts.measured(theirs)) else "0"),
                Cell(words.estimate_text(facts.measures[ours].metric, facts.measured(ours))),
                Cell(facts.measures[theirs].metric.differs),
            )
            for theirs, ours in pairs.items()
        ),
        note="They count requests, not tickets, and have no interval.",
    )  # fmt: skip


def _tracked(facts: CustomerFacts) -> Table:
    return Table(
        caption="How much of what happened was logged",
        columns=(Column("what", "Requests that say"), Column("share", "Share", right=True),
                 Column("interval", "95% interval"), Column("n", "n", right=True)),
        rows=tuple(
            (
                Cell(name),
                Cell(share(None if estimate is None else estimate.value), None if estimate is None else estimate.value),
                Cell("" if estimate is None else share_interval(estimate.low, estimate.high)),
                Cell("0" if estimate is None else count(estimate.n)),
            )
            for name, estimate in facts.tracked.items()
        ),
        note="All requests of these days, of every feature.",
    )  # fmt: skip


def _definitions(facts: CustomerFacts) -> Table:
    return Table(
        caption="What each measure counts",
        columns=(Column("metric", "Measure"), Column("definition", "Formula", wide=True),
                 Column("differs", "Against the common one", wide=True)),
        rows=tuple(
            (Cell(metric.title, note=metric.id), Cell(metric.says), Cell(metric.differs))
            for metric in (measure.metric for measure in facts.measures.values())
        ),
        note="`assay customer --definition NAME` prints the SQL of each.",
    )  # fmt: skip


# Worth


def _worth(month: Roi | None, theirs: SeedRoi | None) -> Table:
    columns = (Column("item", "Item"), Column("amount", "Amount", right=True),
               Column("how", "How", wide=True))  # fmt: skip
    if month is None:
        return Table(caption="A month like this", columns=columns, rows=(), empty="No deflection was measured.")
    volume, given = month.volume, month.given
    tickets = count(round(volume.tickets))
    deflected = count(round(volume.tickets * volume.deflection))
    came_back = "not measured" if volume.came_back is None else share(volume.came_back)
    per_ticket = money(volume.ai_per_ticket, unknown="an unknown amount")
    breaks_even = break_even(month)
    rows = [
        (Cell("Saved"), _amount(month.saved),
         Cell(f"{deflected} deflected of {tickets} tickets, at {money(given.handling)} each: {money(given.hourly)} an "
              f"hour, {given.minutes:f} minutes (assumed)")),
        (Cell("AI"), _cost(month.ai), Cell(f"{per_ticket} a ticket, for all {tickets}, also those it failed")),
        (Cell("Infrastructure"), _cost(month.infrastructure), Cell(_infrastructure(given))),
        (Cell("Rework"), _cost(month.rework), Cell(f"{came_back} came back and cost a person after all")),
        (Cell("Net a month"), _amount(month.net),
         Cell("before " + ", ".join(month.not_counted) if month.not_counted else "everything counted")),
        (Cell("Net a year"), _amount(month.year), Cell("twelve such months")),
        (Cell("Payback"),
         Cell("not stated" if given.investment is None else "never" if month.payback_months is None
              else f"{month.payback_months:.1f} months"),
         Cell("no investment is stated" if given.investment is None else f"of {money(given.investment)} invested")),
        (Cell("Breaks even at"), Cell("never" if breaks_even is None else share(breaks_even)),
         Cell("deflection at which a month brings nothing")),
    ]  # fmt: skip
    if theirs is not None:
        back = "" if theirs.payback_months is None else f"; payback {theirs.payback_months:.0f} months"
        rows.append(
            (Cell("By the source documents"), _amount(theirs.net),
             Cell(f"AI cost on deflected tickets alone, no infrastructure, no rework{back}"))
        )  # fmt: skip
    return Table(caption="A month like this", columns=columns, rows=tuple(rows))


def _infrastructure(given: Assumptions) -> str:
    if given.infrastructure is None:
        return "not stated: ASSAY_AI_INFRASTRUCTURE_USD"
    return "as stated; it runs whether or not anybody asks"


def _amount(amount: Decimal) -> Cell:
    return Cell(money(amount), float(amount))


def _cost(amount: Decimal | None) -> Cell:
    return Cell("not known") if amount is None else Cell(money(-amount), -float(amount))


def _swings(month: Roi | None, swings: tuple[Swing, ...]) -> Figure | None:
    """Where the month ends up with each input at its ends, and the line at which it brings nothing."""
    if month is None or not swings:
        return None
    nets = [float(each.net) for swing in swings for each in (swing.at_low, swing.at_high)]
    room = max(max(nets) - min(nets), abs(float(month.net)), 1.0) * 0.06
    rows = [
        Dot(
            label=words.capital(swing.name),
            value=float(month.net),
            low=min(float(swing.at_low.net), float(swing.at_high.net)),
            high=max(float(swing.at_low.net), float(swing.at_high.net)),
            value_text=money(month.net),
            interval_text=_ends(swing),
            reading="bad" if month.net < 0 else "plain",
        )
        for swing in swings
    ]
    most = swings[0]
    return figure(
        "fig-swings",
        f"Most rests on {most.name}: {_ends(most)} a month",
        "Net worth of a month with one input at both ends of what it could be, the others as they are.",
        FULL,
        lambda width: charts.dot_plot(
            rows, width, heads=("Input", "", "Net", "Between"), tick=lambda value: money(round(value)),
            label="Net worth of a month: " + "; ".join(f"{row.label} {row.interval_text}" for row in rows) + ".",
            bounds=(min(*nets, 0.0) - room, max(*nets, 0.0) + room), limit=0.0, limit_text="worth nothing",
        ),
    )  # fmt: skip


def _ends(swing: Swing) -> str:
    low, high = sorted((swing.at_low.net, swing.at_high.net))
    return f"{money(low)} to {money(high)}"


def _sensitivity(swings: tuple[Swing, ...]) -> Table:
    return Table(
        caption="What the month rests on",
        columns=(
            Column("input", "Input"), Column("low", "Low", right=True), Column("net_low", "Net at low", right=True),
            Column("high", "High", right=True), Column("net_high", "Net at high", right=True),
            Column("why", "Where the ends come from", wide=True),
        ),
        rows=tuple(
            (
                Cell(words.capital(swing.name)), Cell(_input(swing.name, swing.low), float(swing.low)),
                _amount(swing.at_low.net), Cell(_input(swing.name, swing.high), float(swing.high)),
                _amount(swing.at_high.net), Cell(swing.why),
            )
            for swing in swings
        ),
        empty="No deflection was measured.",
    )  # fmt: skip


def _input(name: str, value: Decimal) -> str:
    if name in ("deflection", "came back"):
        return share(value)
    if name == "tickets a month":
        return count(round(value))
    return decimal(value, 2) if name == "minutes a ticket" else money(value)


def _method(facts: CustomerFacts) -> tuple[str, ...]:
    return (
        "A ticket is all requests of a source and feature with the same ticket; a request without one is a ticket of "
        "its own. It belongs to the day on which it began and is followed for thirty days. What was said last of a "
        "ticket holds; an escalation anywhere in it counts.",
        f"A customer came back when the same subject asked about the same feature, and nothing says it was about "
        f"something else, within {count(facts.recontact_days, 'day')} of the resolution, or when the ticket went on "
        "after it, or was marked as reopened.",
        "Shares have Wilson's interval, means Student's, medians of times Kaplan-Meier with its log-log interval, "
        "costs per success the linearised interval of a ratio, rank correlations Fisher's. A measure is better or "
        "worse than in the window before only where the interval of the difference leaves out zero.",
        "What is not known is in no measure and is counted as left out; nothing unknown is taken for a success, a "
        "failure or a zero.",
    )  # fmt: skip
