"""The page of one request: where its time went, what it cost and by which prices, how it ended."""

from collections.abc import Sequence
from dataclasses import dataclass

from evaluations.inspection import Inspection
from evaluations.traces import Oddity, Step, Trace, Work
from reports.charts import FULL, Kind
from reports.format import count, duration, moment, one_line, plain, share
from reports.page import SCHEMA_VERSION
from reports.views import request_words as words
from reports.views.parts import Banner, Cell, Column, Figure, Page, Quote, Status, Table, figure
from reports.views.request_cost import cost_table
from reports.waterfall import Lane, waterfall

TEMPLATE = "request.html.j2"
DRAWN = 60
"""Steps in the waterfall: more would be a texture."""
LISTED = 1000
DETAILED = 60
LONGEST_VALUE = 400

KINDS: dict[Work, Kind] = {
    "model": Kind(name="Model", colour="c1"),
    "retry": Kind(name="Failed attempts and waits for another", colour="c3"),
    "queue": Kind(name="Queue", colour="c6"),
    "tool": Kind(name="Tools", colour="c2"),
    "retrieval": Kind(name="Retrieval", colour="c5"),
    "own": Kind(name="Own work", colour="n1"),
}
STATUS: dict[str, Status] = {
    "error": Status("Failed", "bad", "cross"),
    "ok": Status("OK", "good", "check"),
    "unset": Status("Not said", "plain", "dash"),
}
ODDITIES: dict[Oddity, str] = {
    "parent missing": "its parent was not recorded",
    "parents in a circle": "its parents lead round in a circle, which was cut here",
    "id seen before": "its id was seen before in this trace",
    "clock moved": "its clock was moved: it seemed to begin before its parent",
    "outlasts parent": "it outlasts its parent",
    "not ended": "its end was not recorded",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StepView:
    """One step to open."""

    title: str
    summary: str
    status: Status
    facts: tuple[tuple[str, str], ...]
    message: Quote | None
    is_open: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestView:
    """All that `request.html.j2` places. None and empty parts are left out, with their heading."""

    page: Page
    main: Figure | None
    no_steps: str
    """Why there is no waterfall."""
    steps: Table | None
    steps_cut: str
    details: tuple[StepView, ...]
    details_cut: str
    cost: Table
    neighbours: Table | None
    restatements: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    method: tuple[str, ...]


def request_view(inspection: Inspection) -> RequestView:
    """Decides every word, number and order of the page. Pure: the same inspection gives the same view."""
    request, trace = inspection.request, inspection.trace
    restatements = tuple(f"{each.sentence()}." for each in inspection.restatements)
    neighbours = _neighbours(inspection)
    detailed = picked(trace, DETAILED)
    contents = [
        ("verdict", "Where the time went"),
        ("steps", "Steps"),
        ("cost", "Cost"),
        *((("neighbours", "In the same trace"),) if neighbours else ()),
        ("request", "The request"),
        *((("restatements", "Its day since"),) if restatements else ()),
        ("method", "Method"),
    ]
    page = Page(
        kind="Request",
        subject=one_line(request.external_id, 60),
        title=f"A request of {one_line(request.feature, 80)}",
        about=f"{moment(request.at)}. Id {one_line(request.external_id, 120)} of {one_line(request.source, 60)}, "
        f"here {request.id}.",
        marks=("Sample data",) if request.sample_data else (),
        banners=_banners(inspection),
        verdict=words.verdict(inspection),
        facts=words.facts(inspection),
        kpis=words.kpis(inspection),
        contents=tuple(contents),
        as_of=moment(inspection.as_of),
        schema=str(SCHEMA_VERSION),
        files=("report.json", "steps.csv"),
    )
    return RequestView(
        page=page,
        main=_figure(inspection) if trace.steps else None,
        no_steps="" if trace.steps else words.no_steps(request),
        steps=_steps(trace) if trace.steps else None,
        steps_cut=_cut(len(trace.steps) + inspection.spans_left_out, LISTED),
        details=tuple(_step_view(trace.steps[place]) for place in detailed),
        details_cut=f"Those of {count(len(detailed))} steps are here; the others are in report.json."
        if len(trace.steps) > len(detailed)
        else "",
        cost=cost_table(inspection),
        neighbours=neighbours,
        restatements=restatements,
        facts=words.about(request),
        method=words.METHOD,
    )


def picked(trace: Trace, most: int) -> tuple[int, ...]:
    """The steps that a reader needs if there is room for so many: failed ones first, then those that were waited for,
    then the longest, each with its parents where they fit. In the order of the trace."""
    steps = trace.steps
    if len(steps) <= most:
        return tuple(range(len(steps)))
    ranked = sorted(
        range(len(steps)),
        key=lambda place: (place > 0, steps[place].span.status != "error", not steps[place].on_path,
                           -steps[place].self_us, place),
    )  # fmt: skip
    chosen: set[int] = set()
    for place in ranked:
        needed: list[int] = []
        at: int | None = place
        while at is not None and at not in chosen and len(chosen) + len(needed) < most:
            needed.append(at)
            at = steps[at].parent
        # Without room for its parents a step comes alone.
        chosen.update(needed if at is None or at in chosen else needed[:1])
        if len(chosen) >= most:
            break
    return tuple(sorted(chosen))


def _banners(inspection: Inspection) -> tuple[Banner, ...]:
    shown = []
    if inspection.request.sample_data:
        shown.append(Banner("plain", "Sample data.", "This request was made up for demonstration."))
    odd = inspection.trace.oddities()
    if odd:
        told = "; ".join(f"{count(number, 'step')}: {ODDITIES[oddity]}" for oddity, number in odd.items())
        shown.append(Banner("plain", "The trace has gaps.", f"{told}. The method says how such steps are placed."))
    if inspection.spans_left_out:
        read, beyond = len(inspection.trace.steps), inspection.spans_left_out
        text = f"the first {count(read)} steps are looked at; {count(beyond)} more came after them."
        shown.append(Banner("warn", "Incomplete:", text))
    return tuple(shown)


# The waterfall


def _figure(inspection: Inspection) -> Figure:
    trace = inspection.trace
    shown = picked(trace, DRAWN)
    works = [work for work in KINDS if any(trace.steps[place].work == work for place in shown)]
    longest = trace.longest()
    pieces: dict[int, list[tuple[float, float]]] = {}
    for piece in trace.path:
        if piece.step is not None:
            pieces.setdefault(piece.step, []).append((piece.start_us / 1000, piece.end_us / 1000))
    lanes = [
        _lane(trace, place, works.index(trace.steps[place].work), place in longest, tuple(pieces.get(place, ())))
        for place in shown
    ]
    left_out = len(trace.steps) + inspection.spans_left_out - len(shown)
    note = (
        f"{count(len(shown))} of {count(len(shown) + left_out)} steps are drawn: those that failed, those that were "
        "waited for and the longest. All are in steps.csv."
    )
    return figure(
        "waterfall",
        words.waterfall_title(inspection),
        f"Time since the request began, {count(len(shown) + left_out, 'step')}; bold: the three that took longest "
        "themselves, with their share of the whole",
        FULL,
        lambda width: waterfall(
            lanes,
            [KINDS[work] for work in works],
            width,
            label=words.waterfall_label(inspection),
            tick=lambda value: duration(value) if value else "0",
            path_name="Critical path",
            end=trace.total_us / 1000,
            end_text="the request ended",
        ),
        table=_drawn(trace, shown),
        note=note if left_out else "",
    )


def _lane(trace: Trace, place: int, kind: int, driver: bool, path: tuple[tuple[float, float], ...]) -> Lane:
    step = trace.steps[place]
    parts = [duration(step.took_us / 1000)]
    if driver and trace.total_us:
        parts.append(share(min(step.self_us / trace.total_us, 1.0)))
    if step.span.status == "error":
        parts.append("failed")
    if "not ended" in step.oddities:
        parts[0] = f"{parts[0]} or more" if step.took_us else "did not end"
    return Lane(
        label=one_line(step.span.name, 80),
        depth=step.depth,
        start=step.start_us / 1000,
        end=step.end_us / 1000,
        text=" · ".join(parts),
        kind=kind,
        driver=driver,
        failed=step.span.status == "error",
        is_open="not ended" in step.oddities,
        path=path,
        told=tuple(
            (column.head, cell.status.word if cell.status else cell.text)
            for column, cell in zip(_COLUMNS[1:], _row(trace, place)[1:], strict=True)
        ),
    )


# Tables


_COLUMNS = (
    Column("step", "Step"),
    Column("work", "Spent on"),
    Column("starts_ms", "Begins at", right=True),
    Column("took_ms", "Took", right=True),
    Column("self_ms", "Itself", right=True),
    Column("path_ms", "Waited for", right=True),
    Column("path_share", "Share", right=True),
    Column("status", "Status"),
)


def _row(trace: Trace, place: int) -> tuple[Cell, ...]:
    step = trace.steps[place]
    # An em space is no space that a page would fold.
    indent = "\u2003" * min(step.depth, 8)
    return (
        Cell(indent + one_line(step.span.name, 80)),
        Cell(KINDS[step.work].name),
        Cell(duration(step.start_us / 1000), step.start_us / 1000),
        Cell(duration(step.took_us / 1000), step.took_us / 1000),
        Cell(duration(step.self_us / 1000), step.self_us / 1000),
        Cell(duration(step.path_us / 1000) if step.on_path else "–", step.path_us / 1000),
        Cell(share(step.path_us / trace.total_us) if step.on_path and trace.total_us else "–",
             step.path_us / trace.total_us if trace.total_us else 0.0),
        Cell("", status=STATUS[step.span.status]),
    )  # fmt: skip


def _drawn(trace: Trace, shown: Sequence[int]) -> Table:
    return Table(caption="The steps drawn", columns=_COLUMNS, rows=tuple(_row(trace, place) for place in shown))


def _steps(trace: Trace) -> Table:
    return Table(
        caption="All steps",
        columns=_COLUMNS,
        rows=tuple(_row(trace, place) for place in picked(trace, LISTED)),
    )


def _cut(steps: int, most: int) -> str:
    return f"{count(most)} of {count(steps)} steps; all that were read are in steps.csv." if steps > most else ""


def _neighbours(inspection: Inspection) -> Table | None:
    if not inspection.neighbours:
        return None
    rows = tuple(
        (
            Cell(str(each.id)),
            Cell(moment(each.at)),
            Cell(one_line(each.model or "not said", 80)),
            Cell("", status=words.outcome(each.status)),
            Cell(duration(each.latency_ms), each.latency_ms),
            Cell(words.cost(each.cost), None if each.cost is None else float(each.cost)),
        )
        for each in inspection.neighbours
    )
    return Table(
        caption=f"{count(len(rows), 'other request')} of this trace",
        columns=(
            Column("id", "Request"),
            Column("at", "When"),
            Column("model", "Model"),
            Column("status", "Status"),
            Column("latency_ms", "Took", right=True),
            Column("cost_usd", "Cost", right=True),
        ),
        rows=rows,
        note="Each has a page of its own: assay requests show ID tells its steps.",
    )


# One step


def _step_view(step: Step) -> StepView:
    span = step.span
    facts = [
        ("Spent on", KINDS[step.work].name),
        ("Began", f"{duration(step.start_us / 1000)} after the request"),
        ("Took", duration(step.took_us / 1000) + (" or more" if "not ended" in step.oddities else "")),
        ("Itself, without its children", duration(step.self_us / 1000)),
        ("Critical path", duration(step.path_us / 1000) if step.on_path else "not on it"),
    ]
    if span.first_token_ms is not None:
        facts.append(("First piece of the answer after", duration(span.first_token_ms)))
    if span.kind:
        facts.append(("Kind", one_line(span.kind, 60)))
    facts.append(("Span", one_line(span.id, 60)))
    if span.error_type:
        facts.append(("Error", one_line(span.error_type, 120)))
    facts += [("Placed by rule", ODDITIES[oddity]) for oddity in step.oddities]
    facts += [
        (one_line(name, 80), one_line(plain(value), LONGEST_VALUE)) for name, value in sorted(span.attributes.items())
    ]
    failed = span.status == "error"
    return StepView(
        title=one_line(span.name, 120),
        summary=f"{duration(step.took_us / 1000)}, {KINDS[step.work].name.lower()}",
        status=STATUS[span.status],
        facts=tuple(facts),
        message=Quote(label="What it said", text=one_line(span.error_message, 2000)) if span.error_message else None,
        is_open=failed,
    )
