"""The page of a prompt: its versions, what differs between them, who reviewed what, where it is, what was measured."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from evaluations.prompts import (
    FINDING_SEVERITIES,
    Behaviour,
    DiffRow,
    Finding,
    FindingSeverity,
    MeasuredRun,
    Place,
    PromptDiff,
    PromptHistory,
    Review,
    ReviewState,
    VersionFacts,
    said_state,
)
from reports.format import count, day, decimal, duration, moment, money, one_line, share, share_interval
from reports.page import SCHEMA_VERSION
from reports.views.parts import Banner, Cell, Column, Fact, Kpi, Page, Sign, Status, Table, Tone, Verdict

TEMPLATE = "prompt.html.j2"
MOST_CASES = 60
"""Cases whose verdict changed, for each pair of runs; the rest is in the JSON twin."""
MOST_RUNS = 60
MOST_LINES = 1_500
"""Rows of a diff or lines of a text."""
METHOD = (
    "A version never changes: the database refuses it. Its identity is the hash of what reaches a model; the number is "
    "a label that has to fit what changed. Major: a variable or the output schema changes so that an application "
    "breaks, or the text is written anew. Minor: words, examples, turns, parameters. Patch: white space, case, "
    "punctuation, a slip of a letter. Below 1.0.0 what breaks is minor.",
    "Review and stage are two things. The review says who looked at which content, and nobody approves a version of "
    "their own. Where a version is in use is read from experiments and deployments.",
    "Behaviour compares the latest completed runs of a version and its parent under the same suite, model and "
    "parameters, a run that had both before all others. A case that was edited in between is left out. A changed "
    "verdict is a fact about these answers; whether one version is better takes an experiment.",
    "Requests count for a version when they carry NAME@VERSION as their prompt version. Lint looks at templates; it "
    "cannot prove that a model heeds them.",
)
_STATES: dict[ReviewState | None, tuple[str, Tone, Sign]] = {
    "draft": ("Draft", "plain", "dash"),
    "in_review": ("In review", "warn", "wave"),
    "approved": ("Approved", "good", "check"),
    "rejected": ("Rejected", "bad", "cross"),
    "archived": ("Archived", "plain", "dash"),
    None: ("Not registered", "plain", "dash"),
}
_WAITING = ("scheduled", "pending_approval", "pending")
"""Of a place: named, and without traffic yet."""
_GRAVE: dict[FindingSeverity, tuple[str, Tone, Sign]] = {
    "error": ("Error", "bad", "cross"),
    "warning": ("Warning", "warn", "bang"),
    "note": ("Note", "plain", "dash"),
}


@dataclass(frozen=True, slots=True)
class Span:
    """A run of a template: a tag that a case fills, or plain text."""

    text: str
    tag: bool


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a prompt; a head says who speaks from here on."""

    head: bool
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffView:
    """What differs between a version and its parent."""

    id: str
    title: str
    summary: str
    open: bool
    changes: Table
    rows: tuple[DiffRow, ...]
    before: str
    after: str
    left_out: str
    variables: Table | None
    settings: Table | None
    behaviour: tuple[Table, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TextView:
    """The text of the newest version."""

    title: str
    lines: tuple[Line, ...]
    left_out: str
    variables: Table
    settings: Table | None
    findings: Table


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptView:
    """All that `prompt.html.j2` places."""

    page: Page
    versions: Table
    places: Table
    text: TextView
    diffs: tuple[DiffView, ...]
    runs: Table
    trail: Table
    method: tuple[str, ...]


def prompt_view(history: PromptHistory) -> PromptView:
    """Decides every word, number and order of the page. Pure: the same history gives the same view."""
    newest = _newest(history)
    diffs = tuple(_diff(each, first=n == 0) for n, each in enumerate(v for v in history.versions if v.diff is not None))
    return PromptView(
        page=_page(history, newest, bool(diffs)),
        versions=_versions(history),
        places=_places(history.places),
        text=_text(newest),
        diffs=diffs,
        runs=_runs(history),
        trail=_trail(history),
        method=METHOD,
    )


def _newest(history: PromptHistory) -> VersionFacts:
    """The newest registered version, or what runs brought last where none is."""
    return next((each for each in history.versions if each.registered), history.versions[0])


def _page(history: PromptHistory, newest: VersionFacts, differs: bool) -> Page:
    registered = sum(each.registered for each in history.versions)
    simulated = any(each.simulated for each in history.runs)
    sample = any(each.sample_data for each in history.runs)
    name = one_line(history.name, 80)
    return Page(
        kind="Prompt",
        subject=name,
        title=name,
        about=f"{count(registered, 'registered version')}. {one_line(history.description, 200)}".strip(),
        marks=(*(("SIMULATED",) if simulated else ()), *(("Sample data",) if sample else ())),
        banners=_banners(history),
        verdict=_verdict(history, newest),
        facts=_facts(history, newest),
        kpis=_kpis(history, newest),
        contents=(
            ("verdict", "Where it stands"),
            ("versions", "Versions"),
            ("places", "In use"),
            ("text", "Text"),
            *((("differences", "What changed"),) if differs else ()),
            ("runs", "Results"),
            ("trail", "Reviews"),
            ("method", "Method"),
        ),
        as_of=moment(history.as_of),
        schema=str(SCHEMA_VERSION),
        files=("report.json",),
    )


def _status(state: ReviewState | None) -> Status:
    return Status(*_STATES[state])


def _event(step: Review) -> Status:
    return Status("Registered", "plain", "dash") if step.before is None else _status(step.after)


def _verdict(history: PromptHistory, newest: VersionFacts) -> Verdict:
    used = [place for place in history.places if place.version == newest.version]
    rest = f", and in use by {_said_places(used)}" if used else ", and in use nowhere"
    if newest.state is None:
        return Verdict("plain", "Nothing of it is registered", ": what is known of it came with runs")
    said = {"in_review": "waits for a review", "draft": "is a draft"}.get(
        newest.state, f"is {said_state(newest.state)}"
    )
    tone: Tone = "warn" if used and newest.state != "approved" else _STATES[newest.state][1]
    return Verdict(tone, f"{newest.version} {said}", rest)


def _said_places(places: Sequence[Place], most: int = 3) -> str:
    said = list(dict.fromkeys(f"{place.kind} {one_line(place.name, 60)}" for place in places))
    more = f" and {count(len(said) - most)} more" if len(said) > most else ""
    return f"{', '.join(said[:most])}{more}"


def _banners(history: PromptHistory) -> tuple[Banner, ...]:
    states = {each.version: each.state for each in history.versions}
    unapproved = [
        place
        for place in history.places
        if place.environment == "production"
        and place.status not in _WAITING
        and states.get(place.version) != "approved"
    ]
    if not unapproved:
        return ()
    told = ", ".join(f"{place.version} ({_status(states.get(place.version)).word.lower()})" for place in unapproved)
    return (Banner("warn", "In production without an approval:", f"{told}, by {_said_places(unapproved)}."),)


def _facts(history: PromptHistory, newest: VersionFacts) -> tuple[Fact, ...]:
    steps = [each for each in history.reviews if each.version == newest.version]
    reviewed = [f"{_event(each).word} by {one_line(each.actor, 40)} on {moment(each.at)}." for each in steps[-1:]]
    label = f"{history.name}@{newest.version}"
    following = {
        "draft": f"assay prompts review {label}",
        "in_review": f"assay prompts approve {label}",
        "rejected": f"assay prompts review {label}",
    }.get(newest.state or "", "")
    findings = newest.findings
    grave = any(each.severity != "note" for each in findings)
    return (
        Fact(
            label="Review",
            status=_status(newest.state),
            sentences=(*reviewed, f"Bound to content {newest.content_hash[:12]}."),
            command=following,
            link=("The whole trail", "trail"),
        ),
        Fact(
            label="In use",
            status=None,
            sentences=(
                f"{count(len(history.places), 'place')} name a version of it."
                if history.places
                else "No experiment under way or waiting, and no deployment, names a version of it.",
            ),
            link=("Where", "places"),
        ),
        Fact(
            label="Lint",
            status=Status("Look at it", "warn", "bang") if grave else Status("Clean", "good", "check"),
            sentences=(f"{newest.version}: {_said_findings(findings)}.",),
            link=("What was found", "text"),
        ),
        Fact(
            label="Compare",
            status=None,
            sentences=("With its parent, on the command line:" if newest.parent else "On the command line:",),
            command=f"assay prompts {'diff' if newest.parent else 'show'} {label}",
        ),
    )


def _said_findings(findings: Sequence[Finding]) -> str:
    by_severity = ((noun, sum(each.severity == noun for each in findings)) for noun in FINDING_SEVERITIES)
    return ", ".join(count(number, noun) for noun, number in by_severity if number) or "nothing was found"


def _kpis(history: PromptHistory, newest: VersionFacts) -> tuple[Kpi, ...]:
    latest = next((run for run in history.runs if run.version == newest.version and run.judged), None)
    traffic = next((each for each in history.traffic if each.version == newest.version), None)
    return (
        Kpi(
            label=f"Cases that pass with {newest.version}",
            value=share(latest.passed / latest.judged) if latest else "not run",
            note=f"{_interval(latest)}; {one_line(latest.suite, 40)}, {one_line(latest.variant, 40)}"
            if latest
            else "no completed run judged an answer of it",
        ),
        Kpi(
            label="Production requests",
            value=count(traffic.requests) if traffic else "none",
            note=_outcomes(traffic.successes, traffic.errors) if traffic else "that name this version",
        ),
        Kpi(
            label="Rating",
            value=decimal(traffic.rating) if traffic and traffic.rating is not None else "none",
            note=f"mean of {count(traffic.ratings, 'rating')}, 1 to 5"
            if traffic and traffic.ratings
            else "nobody rated",
        ),
        Kpi(label="Own text", value=f"{count(newest.tokens)} tokens", note="about, before what variables bring"),
    )


def _interval(run: MeasuredRun) -> str:
    if run.rate is None:
        return "nothing was judged"
    return f"95% {share_interval(run.rate.low, run.rate.high)}, n = {count(run.judged)}"


def _outcomes(successes: int, errors: int) -> str:
    told = successes + errors
    return f"{share(successes / told)} succeed, of {count(told)} that say how they ended" if told else "none says how"


# Versions and places


def _versions(history: PromptHistory) -> Table:
    traffic = {each.version: each for each in history.traffic}
    latest: dict[str, MeasuredRun] = {}
    for run in history.runs:
        if run.judged:
            latest.setdefault(run.version, run)
    return Table(
        caption="Versions, the newest number first",
        columns=(
            Column("version", "Version"),
            Column("review", "Review"),
            Column("changes", "What it changes", wide=True),
            Column("by", "By"),
            Column("pass_rate", "Cases that pass", right=True),
            Column("requests", "Requests", right=True),
            Column("rating", "Rating", right=True),
        ),
        rows=tuple(
            (
                Cell(each.version, note=f"content {each.content_hash[:8]}", link=_diff_id(each) if each.diff else ""),
                Cell("", status=_status(each.state)),
                Cell(*_summary(each)),
                Cell(one_line(each.author, 40), note=day(each.at)),
                _pass_cell(latest.get(each.version)),
                Cell(count(traffic[each.version].requests), traffic[each.version].requests)
                if each.version in traffic
                else Cell("–"),
                _rating(traffic[each.version].rating, traffic[each.version].ratings)
                if each.version in traffic
                else Cell("–"),
            )
            for each in history.versions
        ),
        note="Cases that pass: of the latest completed run that judged it. Requests: those that name the version.",
    )


def _summary(each: VersionFacts) -> tuple[str, None, None, str]:
    said = one_line(each.changelog, 200)
    if each.diff is not None and each.diff.asked is not None:
        step = f"{each.diff.asked} step from {each.diff.before}: {count(len(each.diff.changes), 'difference')}"
        return said or step, None, None, step if said else ""
    return said or ("brought by a run" if not each.registered else "first version"), None, None, ""


def _pass_cell(run: MeasuredRun | None) -> Cell:
    if run is None:
        return Cell("–")
    return Cell(share(run.passed / run.judged), run.passed / run.judged, note=f"n = {count(run.judged)}")


def _rating(rating: float | None, ratings: int) -> Cell:
    return Cell("–") if rating is None else Cell(decimal(rating), rating, note=f"n = {count(ratings)}")


def _places(places: Sequence[Place]) -> Table:
    return Table(
        caption="Where versions are in use",
        columns=(
            Column("version", "Version"),
            Column("kind", "By"),
            Column("name", "Name"),
            Column("environment", "Environment"),
            Column("status", "Status"),
            Column("traffic", "Traffic", right=True),
            Column("since", "Since"),
        ),
        rows=tuple(
            (
                Cell(each.version),
                Cell(each.kind),
                Cell(one_line(each.name, 80)),
                Cell(one_line(each.environment, 40) or "on cases"),
                Cell(each.status.replace("_", " ")),
                Cell("–" if each.traffic is None else f"{each.traffic}%", each.traffic),
                Cell("–" if each.since is None else moment(each.since)),
            )
            for each in places
        ),
        empty="No experiment that is under way or waiting, and no deployment, names a version of it.",
    )


# Texts

_TAGS = re.compile(r"(\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\})")
_HEADS = ("[system]", "[user]", "[assistant]", "[history]", "[example: user]", "[example: assistant]")


def _text(newest: VersionFacts) -> TextView:
    shown = newest.text[:MOST_LINES]
    return TextView(
        title=f"Text of {newest.version}",
        lines=tuple(_line(each) for each in shown),
        left_out=_left_out(len(newest.text) - len(shown), "line"),
        variables=Table(
            caption="Variables",
            columns=(Column("name", "Variable"), Column("type", "Type"), Column("says", "What it is", wide=True)),
            rows=tuple(
                (Cell(one_line(name, 80)), Cell(one_line(kind, 120)), Cell(one_line(says, 300)))
                for name, kind, says in newest.variables
            ),
            empty="It has none: every case gets the same text.",
        ),
        settings=_two("Parameters and output schema", newest.settings) if newest.settings else None,
        findings=_findings(newest.findings),
    )


def _line(text: str) -> Line:
    if text in _HEADS:
        return Line(True, (Span(text[1:-1], False),))
    return Line(False, tuple(Span(part, bool(_TAGS.fullmatch(part))) for part in _TAGS.split(text) if part))


def _two(caption: str, rows: Sequence[tuple[str, str]]) -> Table:
    return Table(
        caption=caption,
        columns=(Column("name", "Name"), Column("value", "Value", wide=True)),
        rows=tuple((Cell(one_line(name, 80)), Cell(one_line(value, 2_000))) for name, value in rows),
    )


def _findings(findings: Sequence[Finding]) -> Table:
    return Table(
        caption="What lint found",
        columns=(
            Column("severity", "How grave"),
            Column("place", "Place"),
            Column("says", "What", wide=True),
            Column("remedy", "What to do", wide=True),
        ),
        rows=tuple(
            (
                Cell("", status=Status(*_GRAVE[each.severity])),
                Cell(each.place),
                Cell(one_line(each.says, 300), note=each.rule),
                Cell(one_line(each.remedy, 300)),
            )
            for each in findings
        ),
        empty="Nothing.",
    )


def _left_out(number: int, noun: str) -> str:
    return f"{count(number, noun)} more in report.json." if number > 0 else ""


# Differences


def _diff_id(each: VersionFacts) -> str:
    return f"v-{re.sub(r'[^0-9A-Za-z]+', '-', each.version)}"


def _diff(each: VersionFacts, *, first: bool) -> DiffView:
    found = each.diff
    assert found is not None
    shown = found.rows[:MOST_LINES]
    changed = sum(len(pair.changes) for pair in each.behaviour)
    behaviour = f"; {count(changed, 'case')} with another verdict" if each.behaviour else ""
    return DiffView(
        id=_diff_id(each),
        title=f"{found.before} to {found.after}",
        summary=f"A {found.asked} step: {one_line('; '.join(each.says for each in found.changes), 240)}{behaviour}",
        open=first,
        changes=_changes(found),
        rows=shown,
        before=found.before,
        after=found.after,
        left_out=_left_out(len(found.rows) - len(shown), "line"),
        variables=_three("Variables that differ", found.variables),
        settings=_three("Parameters and output schema", found.settings),
        behaviour=tuple(_behaviour(pair, found) for pair in each.behaviour),
    )


def _changes(found: PromptDiff) -> Table:
    return Table(
        caption="How large a step it is",
        columns=(Column("asks", "Asks for"), Column("what", "What differs", wide=True)),
        rows=tuple((Cell(each.bump), Cell(one_line(each.says, 400))) for each in found.changes),
        note=f"Below 1.0.0 nothing is promised: a {found.asked} step does."
        if found.asked != found.demanded and found.asked
        else "",
    )


def _three(caption: str, rows: Sequence[tuple[str, str, str]]) -> Table | None:
    if not rows:
        return None
    return Table(
        caption=caption,
        columns=(Column("name", "Name"), Column("before", "Before", wide=True), Column("after", "After", wide=True)),
        rows=tuple((Cell(one_line(n, 80)), Cell(one_line(old, 600)), Cell(one_line(new, 600))) for n, old, new in rows),
    )


def _behaviour(pair: Behaviour, found: PromptDiff) -> Table:
    shown = pair.changes[:MOST_CASES]
    return Table(
        caption=f"Cases with another verdict: {one_line(pair.suite, 60)}, {one_line(pair.variant, 60)}",
        columns=(
            Column("case", "Case"),
            Column("kind", "Change"),
            Column("before", found.before),
            Column("after", found.after),
        ),
        rows=tuple(
            (Cell(one_line(each.case_id, 120)), Cell(each.kind), Cell(each.before or "–"), Cell(each.now or "–"))
            for each in shown
        ),
        note=f"Of {count(pair.compared, 'case')} that both answered, {count(pair.before_passed)} passed with "
        f"{found.before} and {count(pair.after_passed)} with {found.after} (runs {pair.before_run[:8]}, "
        f"{pair.after_run[:8]}). {_left_out(len(pair.changes) - len(shown), 'case')}".strip(),
        empty="No verdict changed.",
    )


# Results and reviews


def _runs(history: PromptHistory) -> Table:
    shown = history.runs[:MOST_RUNS]
    return Table(
        caption="What runs measured, the latest first",
        columns=(
            Column("version", "Version"),
            Column("variant", "Suite and variant", wide=True),
            Column("pass_rate", "Cases that pass", right=True),
            Column("interval", "95% interval", right=True),
            Column("cost", "Cost", right=True),
            Column("latency", "Median latency", right=True),
            Column("at", "Run"),
        ),
        rows=tuple(
            (
                Cell(each.version),
                Cell(f"{one_line(each.suite, 60)}: {one_line(each.variant, 80)}", note=_made_up(each)),
                Cell(share(each.passed / each.judged), each.passed / each.judged, note=f"n = {count(each.judged)}")
                if each.judged
                else Cell("–", note="nothing judged"),
                Cell("–" if each.rate is None else share_interval(each.rate.low, each.rate.high)),
                Cell(
                    money(each.cost),
                    None if each.cost is None else float(each.cost),
                    note=f"{count(each.unpriced)} unpriced" if each.unpriced else "",
                ),
                Cell(duration(each.latency_ms), each.latency_ms),
                Cell(each.run_id[:8], note=moment(each.at)),
            )
            for each in shown
        ),
        note=_left_out(len(history.runs) - len(shown), "run"),
        empty="No completed run asked a version of it. `assay run` does; a suite names a version as NAME@VERSION.",
    )


def _made_up(run: MeasuredRun) -> str:
    marks = (*(("simulated answers",) if run.simulated else ()), *(("sample data",) if run.sample_data else ()))
    return ", ".join(marks)


def _trail(history: PromptHistory) -> Table:
    return Table(
        caption="What was done and said, the first first",
        columns=(
            Column("at", "When"),
            Column("version", "Version"),
            Column("event", "What"),
            Column("actor", "Who"),
            Column("said", "Words", wide=True),
            Column("content", "Content"),
        ),
        rows=tuple(row for _, row in sorted(_events(history), key=lambda each: each[0])),
        empty="Nothing: it is not registered.",
    )


def _events(history: PromptHistory) -> Iterator[tuple[str, tuple[Cell, ...]]]:
    for step in history.reviews:
        first = step.before is None
        yield (
            step.at.isoformat(),
            (
                Cell(moment(step.at)),
                Cell(step.version),
                Cell("", status=_event(step)),
                Cell(one_line(step.actor, 60)),
                Cell("" if first else one_line(step.why, 600)),
                Cell(step.content_hash[:8]),
            ),
        )
    for comment in history.comments:
        yield (
            comment.at.isoformat(),
            (
                Cell(moment(comment.at)),
                Cell(comment.version),
                Cell("Comment"),
                Cell(one_line(comment.actor, 60)),
                Cell(one_line(comment.text, 1_200), note=one_line(comment.place, 80)),
                Cell(""),
            ),
        )
