"""Customer metrics in words: the first screen of their page, and what `assay customer` prints."""

from decimal import Decimal

from evaluations.customer import CustomerFacts, Measure, Metric, Unit, clear_change, left_out_words
from evaluations.estimates import Estimate
from evaluations.roi import Roi, SeedRoi
from reports.format import count, decimal, duration, interval, money, one_line, share, share_interval
from reports.views.parts import Banner, Fact, Kpi, Status, Tone
from reports.views.parts import Verdict as Headline

NOT_MEASURED = "not measured"
FEW = 30
"""Tickets below which a share's interval is wider than about 30 points: the page says so."""
MET = Status("On target", "good", "check")
MISSED = Status("Off target", "bad", "cross")
CANNOT_TELL = Status("Too close to tell", "warn", "wave")
NO_TARGET = Status("No target", "plain", "dash")
UNMEASURED = Status("Not measured", "plain", "dash")
CARDS = ("fcr", "deflection", "csat", "escalation", "resolution_time_ai", "resolution_time_escalated",
         "cost_per_resolution")  # fmt: skip


def value_text(unit: Unit, value: float) -> str:
    match unit:
        case "share":
            return share(value)
        case "seconds":
            return duration(value * 1000)
        case "usd":
            return money(value)
        case _:
            return decimal(value, 2)


def estimate_text(metric: Metric, estimate: Estimate | None) -> str:
    return NOT_MEASURED if estimate is None else value_text(metric.unit, estimate.value)


def interval_text(metric: Metric, estimate: Estimate | None) -> str:
    """The bounds in the metric's unit; empty where the number has none of its own."""
    if estimate is None or metric.theirs:
        return ""
    if metric.unit == "share":
        return share_interval(estimate.low, estimate.high)
    if metric.unit in ("seconds", "usd"):
        return f"{value_text(metric.unit, estimate.low)} to {value_text(metric.unit, estimate.high)}"
    return interval(estimate.low, estimate.high, 2)


def told(measure: Measure) -> str:
    """`71.3% (95% CI 68.0–74.4%), n = 812`."""
    if measure.estimate is None:
        return NOT_MEASURED
    bounds = interval_text(measure.metric, measure.estimate)
    value = estimate_text(measure.metric, measure.estimate)
    return f"{value} (95% CI {bounds}), n = {count(measure.estimate.n)}"


def target_text(metric: Metric) -> str:
    if metric.target is None:
        return ""
    low, high = metric.target.low, metric.target.high

    def said(value: float) -> str:
        return share(value, trim=True) if metric.unit == "share" else value_text(metric.unit, value)

    if low is not None and high is not None:
        return f"{said(low)} to {said(high)}"
    return f"at least {said(low)}" if low is not None else f"at most {said(high or 0.0)}"


def status_of(measure: Measure) -> Status:
    if measure.estimate is None:
        return UNMEASURED
    return {"met": MET, "missed": MISSED, "open": CANNOT_TELL, "": NO_TARGET}[measure.against_target]


def marks(facts: CustomerFacts) -> tuple[str, ...]:
    made_up = facts.tickets.sample_data
    if not made_up:
        return ()
    return ("Sample data",) if made_up == facts.tickets.total else ("Partly sample data",)


def banners(facts: CustomerFacts) -> tuple[Banner, ...]:
    shown = []
    made_up, total = facts.tickets.sample_data, facts.tickets.total
    if made_up:
        part = "All" if made_up == total else f"{count(made_up)} of {count(total)}"
        shown.append(Banner("warn", "Sample data.", f"{part} of these tickets are made up, for trying things out."))
    if facts.waiting:
        shown.append(Banner("warn", "Not up to date.", f"{waits(facts)}."))
    return tuple(shown)


def waits(facts: CustomerFacts) -> str:
    """How many days are to be rolled up again."""
    return f"{count(facts.waiting, 'day')} changed since and wait for: assay rollup"


def headline(facts: CustomerFacts, month: Roi | None) -> Headline:
    """What the AI does for customers, with how sure that is; and what a month of it is worth."""
    deflection = facts.measures["deflection"]
    if deflection.estimate is None:
        return Headline(
            "warn", "Nothing can be said of resolutions:", f" of {count(facts.tickets.total, 'ticket')} none has "
            "a known outcome."
        )  # fmt: skip
    tone = _tone(facts)
    verdict = {
        "met": f"within the target of {target_text(deflection.metric)}",
        "missed": f"outside the target of {target_text(deflection.metric)}",
        "open": f"too close to the target of {target_text(deflection.metric)} to tell",
    }[deflection.against_target]
    bounds = interval_text(deflection.metric, deflection.estimate)
    few = f" Only {count(deflection.estimate.n, 'ticket')}." if deflection.estimate.n < FEW else ""
    return Headline(
        tone,
        f"The AI resolves {share(deflection.estimate.value)} of tickets on its own",
        f" (95% CI {bounds}), {verdict}{_lasting(facts)}.{few} {_worth(month)}".rstrip(),
    )


def _tone(facts: CustomerFacts) -> Tone:
    """Good only where resolutions last as well: a deflection that comes back is none."""
    deflection, lasting = facts.measures["deflection"].against_target, facts.measures["fcr"].against_target
    if deflection == "missed":
        return "bad"
    return "good" if (deflection, lasting) == ("met", "met") else "warn"


def _lasting(facts: CustomerFacts) -> str:
    back = facts.measured("came_back")
    return (
        ""
        if back is None
        else f", but {share(back.value)} of them come back"
        if back.value > 0
        else ", and none came back"
    )


def _worth(month: Roi | None) -> str:
    if month is None:
        return ""
    missing = f", before {_listed(month.not_counted)}" if month.not_counted else ""
    if month.net < 0:
        return f"A month like this costs {money(-month.net)} more than people would{missing}."
    return f"A month like this saves {money(month.net)}{missing}."


def facts_shown(facts: CustomerFacts, month: Roi | None) -> tuple[Fact, ...]:
    """Money, risk and what is not known, what changed and what to do: in that order."""
    return (
        Fact(label="Money", status=None, sentences=(_money(month),), link=("What it rests on", "roi")),
        Fact(
            label="Risk",
            status=None,
            sentences=tuple(each for each in (_risk(facts), _unknown(facts)) if each),
            link=("Every measure", "measures"),
        ),
        Fact(label="Since the window before", status=None, sentences=(_changed(facts),)),
        Fact(label="Next step", status=None, sentences=(_next_step(facts),)),
    )


def _money(month: Roi | None) -> str:
    if month is None:
        return "No deflection was measured, so nothing can be said of its worth."
    assumed = f"{money(month.given.handling)} a ticket that a person takes"
    if month.given.investment is None:
        return f"{money(month.net)} a month at {assumed}; no investment is stated, so no payback."
    if month.payback_months is None:
        return f"{money(month.net)} a month at {assumed}: the investment never comes back."
    return f"{money(month.net)} a month at {assumed}; payback in {month.payback_months:.1f} months."


def _risk(facts: CustomerFacts) -> str:
    back = facts.measures["came_back"]
    if back.estimate is None:
        return (
            f"Who came back within {count(facts.recontact_days, 'day')} is not known: no recontact window is over, or "
            "no ticket says who asked."
        )
    return (
        f"{share(back.estimate.value)} of those it resolved came back within {count(facts.recontact_days, 'day')} "
        f"(95% CI {interval_text(back.metric, back.estimate)})."
    )


def _changed(facts: CustomerFacts) -> str:
    """Only what moved beyond what the intervals leave open."""
    ours = [measure for measure in facts.measures.values() if not measure.metric.theirs]
    if all(measure.before is None for measure in ours):
        return "The requests do not reach back that far."
    moved = []
    for measure in ours:
        way = clear_change(measure.metric, measure.estimate, measure.before)
        if way and measure.estimate is not None and measure.before is not None:
            was, now = (value_text(measure.metric.unit, each.value) for each in (measure.before, measure.estimate))
            moved.append(f"{measure.metric.title} is {way}: {now} after {was}")
    if not moved:
        return "No clear change in any measure."
    more = f"; and {len(moved) - 2} more" if len(moved) > 2 else ""
    return f"{'; '.join(moved[:2])}{more}."


def _unknown(facts: CustomerFacts) -> str:
    said = []
    unknown = facts.outcomes.get("unknown", 0)
    if unknown:
        said.append(f"{count(unknown, 'ticket')} without an outcome")
    if facts.tickets.taker_unknown:
        said.append(f"{count(facts.tickets.taker_unknown)} of which nobody said who took them")
    silent = facts.csat.asked - facts.csat.rated
    if facts.csat.bounds is not None and silent and facts.csat.rated:
        low, high = facts.csat.bounds
        said.append(
            f"{count(silent)} not rated: CSAT of everyone lies between {decimal(low, 1)} and {decimal(high, 1)}"
        )
    if facts.unpriced:
        said.append(f"{count(facts.unpriced, 'request')} of unknown cost")
    return f"{capital('; '.join(said))}." if said else ""


def _next_step(facts: CustomerFacts) -> str:
    named = [(kind, number) for kind, number in facts.reasons if kind != "not said"]
    total = sum(number for _, number in facts.reasons)
    if named and total:
        kind, number = named[0]
        return f"Look at escalations for “{kind}”: {count(number)} of {count(total)}."
    if total:
        return "Have escalations say their reason: none does."
    return "Nothing was escalated: check that escalations are logged at all."


def kpis(facts: CustomerFacts, month: Roi | None) -> tuple[Kpi, ...]:
    cards = []
    for name in CARDS:
        measure = facts.measures[name]
        cards.append(
            Kpi(
                label=measure.metric.title,
                value=estimate_text(measure.metric, measure.estimate),
                note=_card_note(facts, measure),
                status=status_of(measure),
            )
        )
    net = NOT_MEASURED if month is None else money(month.net)
    note = "" if month is None else f"saved less {_listed(_counted(month))}"
    return (*cards, Kpi(label="Net worth a month", value=net, note=note, status=None))


def _card_note(facts: CustomerFacts, measure: Measure) -> str:
    if measure.estimate is None:
        return left_out_words(measure.left_out) or "no ticket to measure"
    bounds = interval_text(measure.metric, measure.estimate)
    response = facts.measured("csat_response")
    rated = f", {share(response.value)} rated" if measure.metric.name == "csat" and response is not None else ""
    return f"(95% CI {bounds}), n = {count(measure.estimate.n)}{rated}"


def _counted(month: Roi) -> list[str]:
    costs = (("AI cost", month.ai), ("infrastructure", month.infrastructure), ("rework", month.rework))
    return [name for name, cost in costs if cost is not None] or ["nothing: no cost is known"]


def _listed(names: tuple[str, ...] | list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def capital(sentence: str) -> str:
    """The sentence with its first letter large, the others as they are: AI stays AI."""
    return sentence[:1].upper() + sentence[1:]


# For the terminal


def about(facts: CustomerFacts) -> str:
    """Whose tickets these are, in one line."""
    named = ", ".join(one_line(feature, 40) for feature in facts.features[:5]) or "no feature"
    more = f" and {len(facts.features) - 5} more" if len(facts.features) > 5 else ""
    of = f", category {one_line(facts.category, 40)}" if facts.category else ""
    tickets = facts.tickets
    unknown = f", {count(tickets.taker_unknown)} by nobody knows whom" if tickets.taker_unknown else ""
    return (
        f"{count(tickets.total, 'ticket')} of {named}{more}{of}: {count(tickets.by_ai)} taken by the AI, "
        f"{count(tickets.by_humans)} by people alone{unknown}"
    )


def measure_lines(facts: CustomerFacts) -> list[str]:
    """A line for each metric: ours first, then those of the sources."""
    head = f"{'':<32}{'value':>13}  {'95% interval':<22}{'n':>8}  {'target':<14}{'people alone':>13}"
    lines = [head]
    for theirs in (False, True):
        if theirs:
            lines += ["", "As the source documents define them, for comparison (no interval, unknowns counted):"]
        for measure in facts.measures.values():
            if measure.metric.theirs is not theirs:
                continue
            metric, estimate = measure.metric, measure.estimate
            humans = "" if measure.baseline is None else estimate_text(metric, measure.baseline)
            n = "-" if estimate is None else count(estimate.n)
            line = (
                f"{metric.title.removesuffix(' as the sources define it'):<32}{estimate_text(metric, estimate):>13}  "
                f"{interval_text(metric, estimate):<22}{n:>8}  {target_text(metric):<14}{humans:>13}"
            )
            lines.append(line.rstrip())
            if missing := left_out_words(measure.left_out):
                lines.append(f"    left out: {missing}")
    return lines


def roi_lines(month: Roi | None, theirs: SeedRoi | None) -> list[str]:
    if month is None:
        return ["What it is worth: not measured."]
    given = month.given
    parts = [
        f"A month like this: {money(month.saved)} saved at {money(given.handling)} a ticket "
        f"({money(given.hourly, trim=True)} an hour, {given.minutes:f} minutes)",
        f"less {_cost(month.ai)} for the AI, {_cost(month.infrastructure)} for infrastructure and "
        f"{_cost(month.rework)} for those who came back:",
        f"{money(month.net)} a month, {money(month.year)} a year"
        + (f"; payback in {month.payback_months:.1f} months." if month.payback_months is not None else "."),
    ]
    if month.not_counted:
        parts.append(f"Not counted, because not known: {_listed(month.not_counted)}.")
    if theirs is not None:
        parts.append(f"By the formula of the source documents: {money(theirs.net)} a month.")
    return parts


def _cost(amount: Decimal | None) -> str:
    return money(amount, unknown="an unknown amount")
