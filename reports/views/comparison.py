"""The page that holds models side by side: the frontier of cost and quality, four groups of rows, what each said."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from evaluations.estimates import Estimate
from evaluations.frontier import Placed
from evaluations.leaderboards import Leaderboard, Pairing
from evaluations.model_comparison import PER, CaseMetric, ModelComparison, SaidTo, Side
from evaluations.models import Model
from reports import charts
from reports.charts import FULL, Spot
from reports.format import (
    count,
    date_text,
    duration,
    moment,
    money,
    one_line,
    p_value,
    points,
    share,
    share_interval,
)
from reports.page import SCHEMA_VERSION
from reports.views.parts import Cell, Column, Fact, Figure, Kpi, Page, Quote, Sign, Status, Table, Tone, Verdict, figure

TEMPLATE = "comparison.html.j2"
NAME = 48
LONGEST_TEXT = 1200
LISTED_PAIRS = 30
"""Of one metric: the CSV twin has all."""
NOT_MEASURED = "not measured"
NOBODY_SAYS = "not stated"
METRICS: dict[CaseMetric, str] = {
    "pass_rate": "Accuracy",
    "latency_ms": "Latency of an answer",
    "cost": "Cost of an answer",
    "error_rate": "Errors",
}
_STANDINGS: dict[str, tuple[str, Tone, Sign]] = {
    "frontier": ("On the frontier", "good", "check"),
    "tied": ("Dearer, not shown worse", "warn", "wave"),
    "dominated": ("Dominated", "bad", "cross"),
    "unknown": ("Not known", "plain", "dash"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SaidView:
    """One case to open: what was asked, and each answer."""

    title: str
    summary: str
    asked: Quote
    answers: tuple[Quote, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonView:
    """All that `comparison.html.j2` places. Empty parts are left out, with their heading."""

    page: Page
    main: Figure | None
    standings: Table | None
    groups: tuple[Table, ...]
    pairs: tuple[Table, ...]
    said: tuple[SaidView, ...]
    said_lede: str
    method: tuple[str, ...]


def comparison_view(found: ModelComparison) -> ComparisonView:
    """Decides every word of the page. Pure: the same comparison gives the same view."""
    contents = [("verdict", "Verdict")]
    contents += [("side-by-side", "Side by side")]
    contents += [("differences", "Differences")] if found.boards else []
    contents += [("said", "What they said")] if found.said else []
    contents += [("method", "Method")]
    names = ", ".join(_name(each.name) for each in found.sides)
    sat = found.sitting
    page = Page(
        kind="Models",
        subject="Comparison",
        title=f"{names} side by side" if len(names) < 90 else f"{count(len(found.sides), 'model')} side by side",
        about=_about(found),
        marks=(
            *(("SIMULATED",) if sat and sat.simulated else ()),
            *(("Sample data",) if sat and sat.sample_data else ()),
        ),
        banners=(),
        verdict=verdict_of(found),
        facts=_facts(found),
        kpis=_kpis(found),
        contents=tuple(contents),
        as_of=date_text(found.on),
        schema=str(SCHEMA_VERSION),
        files=("comparison.json", "comparison.csv"),
    )
    main = _frontier(found)
    return ComparisonView(
        page=page,
        main=main,
        # Without costs nobody stands anywhere, and accuracies are in the next table.
        standings=_standings(found) if main else None,
        groups=(_performance(found), _capabilities(found), _costs(found), _limits(found)),
        pairs=tuple(_pairs(metric, board) for metric, board in found.boards.items() if board.pairings),
        said=tuple(_said(found, each) for each in found.said),
        said_lede=_said_lede(found),
        method=_method(found),
    )


def verdict_of(found: ModelComparison) -> Verdict:
    """Who is best, who is cheapest, and how sure that is; the largest sentence of the page."""
    board = found.boards.get("pass_rate")
    if found.sitting is None or board is None or not board.leaders:
        return Verdict("plain", "Not measured on the same cases", ": what is documented, priced and used is compared.")
    by_cost = [each for each in found.standings if each.point.cost is not None and each.point.quality is not None]
    by_cost.sort(key=lambda each: each.point.cost or Decimal(0))
    leaders = board.leaders
    cheapest = next((each for each in by_cost if each.point.name in leaders), None)
    n = f"n = {count(board.cases, 'case')}"
    if len(leaders) > 1:
        names = _and([_name(each) for each in leaders])
        rest = f" between {names} ({n})"
        if cheapest is not None:
            rest += f". {_name(cheapest.point.name)} costs least of them: {_thousand(cheapest)}"
            rest += _cheaper(by_cost[0], cheapest)
        return Verdict("plain", "No clear difference in accuracy", f"{rest}.")
    best = found.side(leaders[0])
    assert best.accuracy is not None
    rest = f": {_share(best.accuracy)} of {count(board.cases, 'case')}"
    if cheapest is not None:
        rest += f", for {_thousand(cheapest)}{_cheaper(by_cost[0], cheapest)}"
    return Verdict("good", f"{_name(leaders[0])} passes most", f"{rest}.")


def _cheaper(cheap: Placed, best: Placed) -> str:
    """What less money buys; empty where nothing is cheaper."""
    if cheap is best:
        return ""
    return f". {_name(cheap.point.name)} passes {share(_quality(cheap))} for {money(cheap.point.cost)}"


def _about(found: ModelComparison) -> str:
    sat = found.sitting
    if sat is None:
        return "They share no cases that all of them answered."
    where = f"{count(sat.cases, 'case')} of {one_line(sat.suite, 60)}, which all of them answered by the prompt"
    return f"{where} {one_line(sat.prompt, 40)}; {moment(sat.at)}."


def _facts(found: ModelComparison) -> tuple[Fact, ...]:
    facts = []
    best = [each for each in found.standings if each.standing == "frontier"]
    if best:
        sentences = [f"On the frontier: {_and([_name(each.point.name) for each in best])}."]
        for each in found.standings:
            if each.standing in ("tied", "dominated"):
                word = "dominated by" if each.standing == "dominated" else "dearer, not shown to be worse than,"
                sentences.append(f"{_name(each.point.name)} is {word} {_name(each.beaten_by[0])}.")
        facts.append(Fact(label="Cost and quality", status=None, sentences=tuple(sentences[:4])))
    months = [(each, each.month) for each in found.sides if each.month is not None and each.month.month is not None]
    if months:
        months.sort(key=lambda pair: pair[1].month or Decimal(0))
        told = "; ".join(f"{_name(each.name)} {money(month.month)}" for each, month in months[:4])
        facts.append(
            Fact(label="Money", status=None, sentences=(f"A month of {one_line(found.traffic, 120)}: {told}.",))
        )
    risks = _risks(found)
    if risks:
        facts.append(Fact(label="Risk", status=Status("Look at", "warn", "bang"), sentences=risks))
    sat = found.sitting
    step = (
        f"assay select {sat.feature}"
        if sat and sat.feature
        else "assay run SUITE " + " ".join(f"-m {each.name}" for each in found.sides[:3])
    )
    facts.append(Fact(label="Next step", status=None, sentences=(), command=one_line(step, 160)))
    return tuple(facts)


def _risks(found: ModelComparison) -> tuple[str, ...]:
    told = [
        f"{_name(each.name)} is an alias: tomorrow another version may answer by that name."
        for each in found.sides
        if each.registry is not None and each.registry.alias and each.registry.alias_of is None
    ]
    told += [
        f"{_name(each.name)} is retired from {each.registry.retires_on}."
        for each in found.sides
        if each.registry is not None and each.registry.retires_on is not None
    ]
    if unknown := [_name(each.name) for each in found.sides if found.sitting and each.answer_cost is None]:
        told.append(f"What an answer costs is not known of {_and(unknown)}.")
    return tuple(told[:4])


def _kpis(found: ModelComparison) -> tuple[Kpi, ...]:
    sat = found.sitting
    accurate = [each for each in found.sides if each.accuracy is not None]
    fast = [(each, each.speed) for each in found.sides if each.speed is not None]
    cheap = [(each, each.answer_cost) for each in found.sides if each.answer_cost is not None]
    best = max(accurate, key=lambda each: each.accuracy.value if each.accuracy else 0.0, default=None)
    quick = min(fast, key=lambda pair: pair[1].value, default=None)
    low = min(cheap, key=lambda pair: pair[1].value, default=None)
    return (
        Kpi(
            label="Cases in common",
            value=count(sat.cases) if sat else "none",
            note=f"{count(sat.judged)} judged for all, {count(found.differing)} with other verdicts" if sat else "none",
        ),
        Kpi(
            label="Highest accuracy",
            value=share(best.accuracy.value) if best and best.accuracy else NOT_MEASURED,
            note=_name(best.name) if best else "",
        ),
        Kpi(
            label="Lowest median latency",
            value=duration(quick[1].value) if quick else NOT_MEASURED,
            note=_name(quick[0].name) if quick else "",
        ),
        Kpi(
            label="Cheapest 1,000 answers",
            value=money(low[1].value * PER) if low else "not known",
            note=_name(low[0].name) if low else "",
        ),
    )


# The frontier


def _frontier(found: ModelComparison) -> Figure | None:
    """Nothing to draw for fewer than two models with cost and quality."""
    known = [each for each in found.standings if each.standing != "unknown"]
    if len(known) < 2:
        return None
    spots = [_spot(each) for each in known]
    best = sorted((each for each in known if each.standing == "frontier"), key=lambda each: each.point.cost or 0)
    cheap, dear = best[0], best[-1]
    if cheap is dear:
        title = f"{_name(cheap.point.name)} is the cheapest, and none passes more"
    else:
        surely = f" (not shown to be more than {_name(dear.not_better_than[0])})" if dear.not_better_than else ""
        title = (
            f"{_name(dear.point.name)} passes most{surely}, {_name(cheap.point.name)} costs least: "
            f"{_thousand(dear)} against {_thousand(cheap)}"
        )
    left = len(found.standings) - len(known)
    told = "; ".join(f"{spot.label}: {spot.x_text}, {spot.y_text}" for spot in spots)
    return figure(
        "fig-frontier",
        title,
        f"Accuracy and cost per {PER:,} answers to the same cases. In colour: nothing is at once as cheap and as good. "
        "Upright lines are 95% intervals.",
        FULL,
        lambda width: charts.scatter(
            spots,
            width,
            label=f"Accuracy against cost per {PER:,} answers. {told}.",
            x_name=f"Cost per {PER:,} answers",
            y_name="Accuracy",
            x_tick=lambda value: money(value, trim=True),
            y_tick=lambda value: share(round(value, 6), trim=True),
        ),
        table=None,
        note=f"{count(left, 'model')} left out: unpriced or not judged." if left else "",
    )


def _spot(each: Placed) -> Spot:
    quality = each.point.quality
    assert quality is not None
    assert each.point.cost is not None
    return Spot(
        label=_name(each.point.name),
        x=float(each.point.cost),
        y=quality.value,
        low=quality.low,
        high=quality.high,
        x_text=money(each.point.cost),
        y_text=_share(quality),
        best=each.standing == "frontier",
    )


def _standings(found: ModelComparison) -> Table:
    return Table(
        caption="Where each stands",
        columns=(
            Column("model", "Model"),
            Column("accuracy", "Accuracy", right=True),
            Column("cost", f"Cost per {PER:,} answers", right=True),
            Column("standing", "Stands"),
            Column("because", "Because", wide=True),
        ),
        rows=tuple(
            (
                Cell(_name(each.point.name)),
                _estimate(each.point.quality, share, share_interval),
                Cell(money(each.point.cost), None if each.point.cost is None else float(each.point.cost)),
                Cell("", status=Status(*_STANDINGS[each.standing])),
                Cell(_because(each)),
            )
            for each in found.standings
        ),
        empty="Nothing was measured.",
    )


def _because(each: Placed) -> str:
    match each.standing:
        case "dominated":
            return f"{_name(each.beaten_by[0])} costs no more and is shown to be better, or as good for less"
        case "tied":
            return f"{_name(each.beaten_by[0])} costs no more; which of the two is better is open"
        case "unknown":
            return "unpriced" if each.point.cost is None else NOT_MEASURED
    if each.not_better_than:
        return f"not shown to be better than {_and([_name(name) for name in each.not_better_than[:3]])}, for less money"
    return "nothing is at once as cheap and as good"


# Four groups of rows


Row = tuple[str, str, Callable[[Side], Cell]]
"""Name, what it means, and the cell of a model."""


def _group(caption: str, rows: Sequence[Row], found: ModelComparison, note: str = "") -> Table:
    return Table(
        caption=caption,
        columns=(
            Column("row", caption),
            *(Column(f"model_{n}", _name(each.name), right=True) for n, each in enumerate(found.sides, 1)),
        ),
        rows=tuple(
            (Cell(name, note=says), *(cell(each) for each in found.sides)) for name, says, cell in rows
        ),
        note=note,
    )  # fmt: skip


def _performance(found: ModelComparison) -> Table:
    rows: list[Row] = [
        ("Speed", "median latency", lambda side: _estimate(side.speed, duration, _durations)),
        ("Accuracy", "passed, of the cases judged", lambda side: _estimate(side.accuracy, share, share_interval)),
        ("Reliability", "answered without an error", lambda side: _estimate(side.reliability, share, share_interval)),
    ]
    if any(side.speed_p95 is not None for side in found.sides):
        rows.insert(1, ("Slowest 5%", "p95 latency", lambda side: _estimate(side.speed_p95, duration, _durations)))
    if any(side.production is not None for side in found.sides):
        rows += [
            ("Errors in production", "of its requests", lambda side: _estimate(side.production, share, share_interval)),
            ("p95 in production", "latency", lambda side: _estimate(side.production_p95, duration, _durations)),
        ]
    note = "Each value with its 95% interval and n." + (
        "" if found.sitting else " They share no cases; assay run SUITE -m MODEL -m MODEL measures them."
    )
    return _group("Performance", rows, found, note)


def _capabilities(found: ModelComparison) -> Table:
    rows: list[Row] = [
        ("Image Analysis", "reads images", lambda side: _can(side.registry, "vision")),
        ("Text Generation", "writes text", lambda side: _can(side.registry, "text_generation")),
        ("Complex Reasoning", "thinks before it answers", lambda side: _can(side.registry, "reasoning")),
    ]
    if found.use_case:
        rows.append((f"Suits {one_line(found.use_case, 40)}", "0 to 100", _suits))
    return _group("Capabilities", rows, found, "Documented is what a catalogue says; a dated test goes before it.")


def _can(model: Model | None, name: str) -> Cell:
    capability = None if model is None else model.capability(name)
    if capability is None or capability.holds is None:
        return Cell(NOBODY_SAYS)
    status = Status("Yes", "good", "check") if capability.holds else Status("No", "plain", "cross")
    if capability.tested is None:
        return Cell("", 1.0 if capability.holds else 0.0, status=status, note="documented")
    against = ", against the catalogue" if capability.contradicts else ""
    return Cell(
        "",
        1.0 if capability.holds else 0.0,
        status=status,
        note=f"tested {capability.tested.at:%Y-%m-%d}{against}",
    )


def _suits(side: Side) -> Cell:
    score = side.suits
    if score is None:
        return Cell(NOT_MEASURED)
    if score.origin == "declared":
        return Cell(f"{score.score:.0f}", score.score, note=f"declared: {one_line(score.source or score.reason, 60)}")
    between = "" if score.low is None or score.high is None else f"{score.low:.0f}–{score.high:.0f}, "
    return Cell(f"{score.score:.0f}", score.score, note=f"{between}n = {count(score.n or 0)}")


def _costs(found: ModelComparison) -> Table:
    rows: list[Row] = [
        ("Per Image", "read at medium resolution", _image),
        ("Per 1K Tokens", "in / out", _thousand_tokens),
        ("Monthly Estimate", "of the feature's traffic", _month),
        ("Per answer", "to the same cases", lambda side: _estimate(side.answer_cost, money, _moneys)),
    ]
    told = f"A month of {one_line(found.traffic, 160)}." if found.traffic else "No feature's traffic was asked about."
    return _group("Costs", rows, found, f"{told} The same tokens are priced on each; answers to the same cases differ.")


def _image(side: Side) -> Cell:
    if side.registry is None:
        return Cell(NOBODY_SAYS)
    if not side.registry.can("vision"):
        return Cell("reads none")
    price = side.per_image()
    return Cell(money(price), None if price is None else float(price))


def _thousand_tokens(side: Side) -> Cell:
    found = side.per_thousand_tokens()
    return Cell("unpriced") if found is None else Cell(f"{money(found[0])} / {money(found[1])}", float(found[1]))


def _month(side: Side) -> Cell:
    month = side.month
    if month is None:
        return Cell(NOT_MEASURED)
    if month.month is None:
        return Cell("unpriced", note=month.unpriced)
    between = "" if month.low is None or month.high is None else f"{_moneys(month.low, month.high)}, "
    said = (f"{between}n = {count(month.days, 'day')}", *month.notes)
    return Cell(money(month.month), float(month.month), note="; ".join(said))


def _limits(found: ModelComparison) -> Table:
    rows: list[Row] = [
        ("Max Tokens", "of an answer", lambda s: _limit(s.registry and s.registry.limits.max_output_tokens)),
        ("Rate Limits", "requests / tokens a minute", _rates),
        ("Context Window", "tokens", lambda s: _limit(s.registry and s.registry.limits.context_tokens)),
        ("Life cycle", "last day, where it is known", lambda side: _life(side, found.on)),
    ]
    return _group("Limits", rows, found, "As the registry has them.")


def _limit(tokens: "int | Model | None") -> Cell:
    return Cell(count(tokens), float(tokens)) if isinstance(tokens, int) else Cell(NOBODY_SAYS)


def _rates(side: Side) -> Cell:
    limits = side.registry.limits if side.registry else None
    if limits is None or (limits.requests_per_minute is None and limits.tokens_per_minute is None):
        return Cell(NOBODY_SAYS)
    said = [
        NOBODY_SAYS if each is None else count(each) for each in (limits.requests_per_minute, limits.tokens_per_minute)
    ]
    return Cell(" / ".join(said))


def _life(side: Side, on: date) -> Cell:
    if side.registry is None:
        return Cell(NOBODY_SAYS)
    last = side.registry.retires_on
    return Cell(side.registry.life_cycle(on), note="" if last is None else f"until {last}")


# Differences


def _pairs(metric: CaseMetric, board: Leaderboard) -> Table:
    shown = board.pairings[:LISTED_PAIRS]
    more = len(board.pairings) - len(shown)
    return Table(
        caption=METRICS[metric],
        columns=(
            Column("pair", "Pair"),
            Column("difference", "Difference", right=True),
            Column("p", "p, by Holm", right=True),
            Column("n", "Cases", right=True),
            Column("verdict", "Verdict"),
        ),
        rows=tuple(
            (
                Cell(f"{_name(each.first)} − {_name(each.second)}"),
                _difference(metric, each),
                Cell("–" if each.adjusted_p is None else p_value(each.adjusted_p), each.adjusted_p),
                Cell(count(each.n), each.n),
                Cell("", status=_told_apart(each), note=one_line(each.why, 80)),
            )
            for each in shown
        ),
        note=f"{count(more)} more pairs are in comparison.json." if more > 0 else "",
    )


def _told_apart(each: Pairing) -> Status:
    if each.p is None:
        return Status("Not determined", "plain", "dash")
    if each.ahead is None:
        return Status("No clear difference", "plain", "wave")
    return Status(f"{_name(each.ahead)} better", "good", "check")


def _difference(metric: CaseMetric, each: Pairing) -> Cell:
    found = each.difference
    if found is None:
        return Cell(NOT_MEASURED)
    said: Callable[[float], str]
    match metric:
        case "pass_rate" | "error_rate":
            said = points
        case "latency_ms":
            said = _signed_duration
        case "cost":
            said = _signed_money
    confidence = f"{100 * found.confidence:.1f}".removesuffix(".0")
    return Cell(
        said(found.value), found.value, note=f"{confidence}% interval {said(found.low)} to {said(found.high)}"
    )  # fmt: skip


def _signed_duration(value: float) -> str:
    return ("+" if value > 0 else "") + duration(value)


def _signed_money(value: float) -> str:
    return money(value, plus=True)


# What they said


def _said(found: ModelComparison, case: SaidTo) -> SaidView:
    return SaidView(
        title=one_line(case.case_id, 80),
        summary=", ".join(f"{_name(name)} {_passed(value)}" for name, value in case.passed.items()),
        asked=_quote("Asked", case.asked, "Nothing."),
        answers=tuple(
            _quote(f"{_name(side.name)}: {_passed(case.passed[side.name])}", case.answers[side.name], "No text.")
            for side in found.sides
        ),
    )


def _passed(value: float | None) -> str:
    return "not judged" if value is None else "passes" if value == 1 else "fails" if value == 0 else share(value)


def _quote(label: str, text: str, empty: str) -> Quote:
    left = len(text) - LONGEST_TEXT
    return Quote(
        label=label,
        text=text[:LONGEST_TEXT],
        left_out=f"{count(left)} more characters are in comparison.json." if left > 0 else "",
        empty=empty,
    )


def _said_lede(found: ModelComparison) -> str:
    if not found.differing:
        return "No verdict differs; the first cases are shown."
    first = f", the {count(len(found.said))} widest apart first" if found.differing > len(found.said) else ""
    return f"{count(found.differing, 'case')} on which verdicts differ{first}."


# Words


def _method(found: ModelComparison) -> tuple[str, ...]:
    paragraphs = [
        "Only cases that every model answered, by the same prompt and judged by the same scorers, are compared; of "
        "each model the newest run counts. A case counts once, whatever its repeats.",
        "Every pair is tested on the cases both have a value for, with Holm's correction over all pairs of a metric; "
        "differences carry the interval of their step in that procedure.",
        "A model is dominated where another costs no more and is shown to be better, or is as good for less. Where "
        "which of the two is better is open, it is only dearer. Costs are those of answers to these cases, what was "
        "served from a cache at what it had cost.",
        "A monthly estimate prices the tokens that the feature's requests took; it does not know that a model writes "
        "more. Its interval comes from how days differ.",
    ]
    if found.sitting:
        runs = "; ".join(f"{_name(name)}: run {run[:8]}" for name, run in found.sitting.runs.items())
        paragraphs.append(f"Answers are those of {runs}.")
    if found.other_sittings:
        suites = count(found.other_sittings, "other suite")
        paragraphs.append(f"{suites} asked all of them the same cases before; the latest is shown.")
    return tuple(paragraphs)


def _estimate(
    found: Estimate | None, said: Callable[[float], str], between: Callable[[float, float], str]
) -> Cell:  # fmt: skip
    if found is None:
        return Cell(NOT_MEASURED)
    return Cell(said(found.value), found.value, note=f"{between(found.low, found.high)}, n = {count(found.n)}")


def _durations(low: float, high: float) -> str:
    return f"{duration(low)}–{duration(high)}"


def _moneys(low: float | Decimal, high: float | Decimal) -> str:
    return f"{money(low)}–{money(high)}"


def _share(found: Estimate) -> str:
    return f"{share(found.value)} (95% CI {share_interval(found.low, found.high)})"


def _quality(each: Placed) -> float:
    assert each.point.quality is not None
    return each.point.quality.value


def _thousand(each: Placed) -> str:
    return f"{money(each.point.cost)} per {PER:,} answers"


def _name(name: str) -> str:
    return one_line(name, NAME)


def _and(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
