"""The page of one deployment, and the preview of one that nobody asked for yet."""

from collections.abc import Iterator
from dataclasses import dataclass

from evaluations.deployment_overview import BundleChange, DeploymentPage, DeployPreview, WatchWindow
from evaluations.impacts import WindowImpact
from evaluations.watching import Reading
from reports.format import count, moment, money, one_line
from reports.page import SCHEMA_VERSION
from reports.views.deployment_parts import (
    bundle_words,
    cases_sentence,
    cases_table,
    checks_table,
    cost_sentence,
    diff_lines,
    differences_table,
    health_status,
    health_table,
    looked_at_table,
    origin,
    reading_words,
    state_of,
    watch_figures,
    window_length,
    window_words,
)
from reports.views.parts import Banner, Cell, Column, Fact, Figure, Kpi, Page, Status, Table, Tone, Verdict

TEMPLATE = "deployment.html.j2"
LISTED_LOOKS = 100
METHOD = (
    "A canary is compared with the units that keep the old bundle in the same minutes, never with the time before. "
    "Harm is how much worse it is than they are. Its lower bound holds at every look together, so that looking every "
    "five minutes raises no more false alarms than looking once; windows and guards share one rate of false rollbacks.",
    "It goes back by itself as soon as a bound is beyond what its guard tolerates, or its own value provenly beyond "
    "the guard's limit. A window ends when its time is over, both arms have enough units and no harm is proven.",
    "What the change did joins the differences of the windows, weighted by their precision, with the interval of a "
    "single look: it describes and decides nothing. Health is another question: what is live now, beside its limits "
    "and the time before.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeView:
    """What a bundle changes."""

    lede: tuple[str, ...]
    differences: Table
    prompt: tuple[tuple[str, str, str], ...]
    cases: Table | None
    checks: Table


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentView:
    """All that `deployment.html.j2` places. Empty parts are left out, with their heading."""

    page: Page
    change: ChangeView
    figures: tuple[Figure, ...]
    windows: Table | None
    looks: Table | None
    impact: Table | None
    health: Table | None
    looked_at: Table | None
    life: Table | None
    method: tuple[str, ...]


def deployment_view(found: DeploymentPage, name: str) -> DeploymentView:
    """Decides every word of the page. Pure: the same facts give the same view."""
    told = found.deployment
    watched = bool(found.windows)
    contents = (
        ("verdict", "At a glance"),
        ("change", "What changes"),
        *((("watch", "The watch"),) if watched else ()),
        *((("impact", "What it did"),) if found.impact or found.health else ()),
        ("life", "Life and approvals"),
        ("method", "Method"),
    )
    page = Page(
        kind="Deployment",
        subject=f"{one_line(told.feature, 60)} in {told.environment}",
        title=f"Deployment {told.name} of {one_line(told.feature, 60)} in {told.environment}",
        about=f"{bundle_words(told.bundle)}. Asked for by {one_line(told.actor, 60)} on {moment(told.asked_at)}.",
        marks=("Sample data",) if told.sample_data else (),
        banners=tuple(_banners(found)),
        verdict=_verdict(found),
        facts=tuple(_facts(found)),
        kpis=_kpis(found),
        contents=contents,
        as_of=moment(found.as_of),
        schema=str(SCHEMA_VERSION),
        files=(f"{name}.json", f"{name}.csv"),
        links=(("All deployments", "deployments.html"),),
    )
    return DeploymentView(
        page=page,
        change=_change(found.change),
        figures=watch_figures(found.windows, "window-"),
        windows=_windows(found.windows) if watched else None,
        looks=_looks(found.windows) if watched else None,
        impact=_impact(found.impact) if found.impact else None,
        health=health_table((found.health,)) if found.health else None,
        looked_at=looked_at_table((found.health,)) if found.health else None,
        life=_life(found),
        method=METHOD,
    )


def preview_view(found: DeployPreview, name: str) -> DeploymentView:
    """Decides every word of a preview. Pure: the same facts give the same view."""
    changed = found.change
    source = (
        f"{found.variant} of experiment {found.experiment}" if found.experiment else "a bundle without an experiment"
    )
    page = Page(
        kind="Deploy preview",
        subject=f"{one_line(found.feature, 60)} in {found.environment}",
        title=f"What would change for {one_line(found.feature, 60)} in {found.environment}",
        about=f"{_capital(one_line(source, 120))}. Nothing is written yet.",
        marks=("Sample data",) if found.sample_data else (),
        banners=(),
        verdict=_preview_verdict(found),
        facts=tuple(_preview_facts(found)),
        kpis=_change_kpis(changed),
        contents=(("verdict", "At a glance"), ("change", "What changes"), ("method", "Method")),
        as_of=moment(found.as_of),
        schema=str(SCHEMA_VERSION),
        files=(f"{name}.json",),
        links=(("All deployments", "deployments.html"),),
    )
    return DeploymentView(
        page=page,
        change=_change(changed),
        figures=(),
        windows=None,
        looks=None,
        impact=None,
        health=None,
        looked_at=None,
        life=None,
        method=METHOD,
    )


# What changes


def _change(changed: BundleChange) -> ChangeView:
    return ChangeView(
        lede=(
            f"Now: {bundle_words(changed.before)}.",
            f"Then: {bundle_words(changed.after)}.",
            cost_sentence(changed),
            cases_sentence(changed),
        ),
        differences=differences_table(changed),
        prompt=diff_lines(changed),
        cases=cases_table(changed) if changed.changed else None,
        checks=checks_table(changed),
    )


def _change_kpis(changed: BundleChange) -> tuple[Kpi, ...]:
    before = changed.monthly_cost_before
    broken = sum(each.before == "pass" for each in changed.changed)
    warned = sum(check.level == "warn" for check in changed.checks)
    return (
        Kpi(label="Differences", value=count(len(changed.differences)), note="prompt, model, parameters and the rest"),
        Kpi(
            label="Cost of a month",
            value="unknown" if changed.monthly_cost is None else money(changed.monthly_cost),
            note="projected" if before is None else f"projected; {money(before)} now",
        ),
        Kpi(
            label="Cases broken",
            value="unknown" if changed.suite is None else count(broken),
            note="no run has both bundles" if changed.suite is None else f"of {count(changed.cases)} both answered",
        ),
        Kpi(
            label="Checks that refuse",
            value=count(len(changed.refused)),
            note=f"of {count(len(changed.checks))}; {count(warned)} warn",
        ),
    )


def _against(changed: BundleChange, waived: str = "") -> Fact:
    """What speaks against it."""
    warned = [check.says for check in changed.checks if check.level == "warn"]
    if changed.refused and waived:
        status = Status(f"{count(len(changed.refused))} waived", "warn", "bang")
        said = [f"{_capital(one_line(waived, 220)).rstrip('.')}."]
    elif changed.refused:
        status = Status(f"{count(len(changed.refused))} refuse", "bad", "cross")
        said = [f"{_capital(one_line(check.says, 220))}." for check in changed.refused[:3]]
    elif warned:
        status, said = Status(f"{count(len(warned))} warn", "warn", "bang"), []
    else:
        status, said = Status("Nothing", "good", "check"), ["Every check is fine."]
    if not changed.refused:
        said += [f"{_capital(one_line(each, 220))}." for each in warned[:3]]
    return Fact(label="What speaks against it", status=status, sentences=tuple(said), link=("All checks", "change"))


def _capital(said: str) -> str:
    return said[:1].upper() + said[1:]


def _what_changes(changed: BundleChange) -> Fact:
    names = [each.what for each in changed.differences]
    said = ", ".join(one_line(name, 60) for name in names[:6]) + (
        f" and {len(names) - 6} more" if len(names) > 6 else ""
    )
    return Fact(
        label="What changes",
        status=None,
        sentences=(
            f"{bundle_words(changed.before)} becomes {bundle_words(changed.after)}.",
            f"Differs in {said}." if names else "Nothing differs.",
        ),
    )


# The preview


def _preview_verdict(found: DeployPreview) -> Verdict:
    hard = [check for check in found.change.refused if not check.waivable]
    if hard:
        return Verdict("bad", "It cannot be deployed", f": {one_line(hard[0].says, 200)}.")
    if found.change.refused:
        refused = found.change.refused
        rest = f": {one_line(refused[0].says, 200)}" + (f"; and {len(refused) - 1} more" if len(refused) > 1 else "")
        return Verdict("bad", "Refused unless somebody waives it", f"{rest}.")
    if not found.change.differences:
        return Verdict("plain", "Nothing would change", ": this very bundle is live.")
    return Verdict("good", "Nothing speaks against it", f": {bundle_words(found.change.after)} may go live.")


def _preview_facts(found: DeployPreview) -> Iterator[Fact]:
    yield _what_changes(found.change)
    yield _against(found.change)
    yield Fact(label="Money", status=None, sentences=(cost_sentence(found.change),))
    yield Fact(label="Cases", status=None, sentences=(cases_sentence(found.change),))
    shares = ", ".join(f"{share}%" for share in found.policy.steps)
    # With nothing live there is nobody to compare a share of the units with.
    how = f"By {shares} of the units, each" if found.change.before is not None else "For all units at once,"
    yield Fact(
        label="How it goes live",
        status=None,
        sentences=(
            f"{how} watched for {window_length(found.policy.window_s)}; harm is taken back "
            f"{'by itself' if found.policy.auto_rollback else 'when a person says so'}.",
        ),
    )
    needed = count(found.approvals_required, "approval")
    who = f"It then waits for {needed}, of another person." if found.approvals_required else "It begins at once."
    yield Fact(label="Next step", status=None, sentences=(f"Ask for it. {who}",), command=found.command)


# One that was asked for


def _banners(found: DeploymentPage) -> Iterator[Banner]:
    if not found.flags.current:
        yield Banner(
            "warn", "The published flags are not what the database says.", "Write them again: assay deploy publish"
        )
    if found.deployment.sample_data:
        yield Banner("plain", "Sample data.", "The traffic of its windows is made up; so may be who approved it.")


def _verdict(found: DeploymentPage) -> Verdict:
    told = found.deployment
    match told.status:
        case "pending_approval":
            missing = max(1, told.approvals_required - len(told.approved_by))
            return Verdict(
                "warn", f"It waits for {count(missing, 'approval')}", f", not of {one_line(told.actor, 60)}."
            )
        case "pending":
            return Verdict("plain", "Approved, and about to begin", f": {one_line(told.moved_why, 200)}.")
        case "deploying":
            return Verdict("warn", f"{told.percent}% of the units get it", f". {_last_look(found)}")
        case "deployed" if told.live:
            return _live(found)
        case "failed":
            return Verdict("bad", "It ended before it went live", f": {_ended(told.moved_why)}")
        case "rolled_back":
            why = told.moved_why.removeprefix("rolled back ")
            return Verdict("bad", "Taken back", f"{' ' if why.startswith('by itself') else ': '}{_ended(why)}")
        case _:
            until = f" until {moment(told.ended_at)}" if told.ended_at else ""
            return Verdict("plain", f"It was live{until}", ", and another bundle took its place.")


def _ended(why: str) -> str:
    return one_line(why, 260).rstrip(".") + "."


def _live(found: DeploymentPage) -> Verdict:
    told = found.deployment
    since = f" since {moment(told.deployed_at)}" if told.deployed_at else ""
    health = found.health
    if health is not None and health.health in ("critical", "warning"):
        tone: Tone = "bad" if health.health == "critical" else "warn"
        return Verdict(tone, f"Live{since}, {health.health}", f": {one_line(health.sentence, 200)}.")
    known = [str(each) for each in found.impact if each.effect is not None]
    did = f" Beside its control: {'; '.join(known)}." if known else ""
    word = "healthy" if health is not None and health.health == "healthy" else "with too little data to call it healthy"
    return Verdict("good" if word == "healthy" else "plain", f"Live{since}, {word}", f".{did}")


def _last_look(found: DeploymentPage) -> str:
    looks = [look for window in found.windows for look in window.looks]
    return one_line(looks[-1].sentence, 260) if looks else "Nobody has looked at it yet."


def _facts(found: DeploymentPage) -> Iterator[Fact]:
    told = found.deployment
    asked, _, _ = told.why.partition("; waived by ")
    yield Fact(
        label="Decision",
        status=state_of(told),
        sentences=(
            f"It is {origin(told)}; asked for by {one_line(told.actor, 60)}: {_ended(asked)}",
            *(
                f"{word.decision.capitalize()} by {one_line(word.actor, 60)} on {moment(word.at)}"
                f"{f': {_ended(word.why)}' if word.why else '.'}"
                for word in found.words
            ),
        ),
    )
    yield _what_changes(found.change)
    yield _against(found.change, told.waived)
    yield Fact(label="Money", status=None, sentences=(cost_sentence(found.change),))
    yield _watch(found)
    yield _next(found)


def _watch(found: DeploymentPage) -> Fact:
    windows = found.windows
    if not windows:
        return Fact(label="Watch", status=None, sentences=("It has had no traffic to be watched.",))
    looks = sum(len(window.looks) for window in windows)
    latest = windows[-1].looks[-1].readings if windows[-1].looks else ()
    worst = sorted((each for each in latest if each.units), key=lambda each: (not each.harmful, -_nearness(each)))
    return Fact(
        label="Watch",
        status=health_status(found.health.health) if found.health else None,
        sentences=(
            f"{count(len(windows), 'window')}, {count(looks, 'look')}. {window_words(windows[-1])}.",
            *(f"{_capital(reading_words(each))}." for each in worst[:1]),
        ),
        link=("The watch", "watch"),
    )


def _nearness(reading: Reading) -> float:
    """How near a harm is to what is tolerated; an unknown one is furthest."""
    if reading.difference is None:
        return float("-inf")
    return reading.difference / (reading.guard.tolerated or 1e-9)


def _next(found: DeploymentPage) -> Fact:
    told = found.deployment
    match told.status:
        case "pending_approval":
            said, command = "Another person approves exactly this bundle.", f"assay deploy approve {told.name}"
        case "pending" | "deploying":
            said, command = "It goes on by itself when its window is over.", f"assay deploy status {told.name}"
        case "deployed" if told.live:
            said, command = "It can be taken back at once.", f"assay rollback {told.feature}"
        case _:
            said, command = "It is over. Ask for another one when there is a better bundle.", "assay deploy list"
    where = (
        "" if told.environment == "production" or "rollback" not in command else f" --environment {told.environment}"
    )
    return Fact(label="Next step", status=None, sentences=(said,), command=command + where)


def _kpis(found: DeploymentPage) -> tuple[Kpi, ...]:
    told = found.deployment
    units = sum(max((r.units for look in w.looks for r in look.readings), default=0) for w in found.windows)
    return (
        Kpi(label="Share of the units", value=f"{told.percent}%", note="get this bundle now", status=state_of(told)),
        Kpi(label="Units watched", value=count(units), note=f"in {count(len(found.windows), 'window')}"),
        *_change_kpis(found.change)[1:3],
    )


def _windows(windows: tuple[WatchWindow, ...]) -> Table:
    return Table(
        caption="Windows",
        columns=(
            Column("share", "Share", right=True),
            Column("from", "From"),
            Column("to", "To"),
            Column("looks", "Looks", right=True),
            Column("outcome", "Outcome"),
            Column("found", "What was found last", wide=True),
        ),
        rows=tuple(
            (
                Cell(f"{window.percent}%", window.percent),
                Cell(moment(window.began_at)),
                Cell(moment(window.ended_at) if window.ended_at else "open"),
                Cell(count(len(window.looks)), len(window.looks)),
                Cell((window.outcome or "open").replace("_", " ")),
                Cell(one_line(window.looks[-1].sentence, 400) if window.looks else "Nobody has looked yet."),
            )
            for window in windows
        ),
    )


def _looks(windows: tuple[WatchWindow, ...]) -> Table:
    every = [(window, n, look) for window in windows for n, look in enumerate(window.looks, 1)]
    return Table(
        caption="Looks, the latest first",
        columns=(
            Column("window", "Window"),
            Column("look", "Look", right=True),
            Column("at", "Written down"),
            Column("verdict", "Verdict"),
            Column("sentence", "What was found", wide=True),
        ),
        rows=tuple(
            (
                Cell(f"{window.percent}%"),
                Cell(count(n), n),
                Cell(moment(look.at)),
                Cell(look.verdict.replace("_", " ")),
                Cell(one_line(look.sentence, 400)),
            )
            for window, n, look in list(reversed(every))[:LISTED_LOOKS]
        ),
        note="" if len(every) <= LISTED_LOOKS else f"The latest {LISTED_LOOKS} of {count(len(every))}; all in the CSV.",
        empty="Nobody has looked yet.",
    )


def _impact(impacts: tuple[WindowImpact, ...]) -> Table:
    from evaluations.experiment_words import interval, noun, signed

    return Table(
        caption="The new bundle beside its concurrent control",
        columns=(
            Column("metric", "Metric"),
            Column("difference", "Difference", right=True),
            Column("interval", "Interval", right=True),
            Column("n", "n", right=True),
        ),
        rows=tuple(
            (
                Cell(noun(each.metric)),
                Cell("not determined" if each.effect is None else signed(each.effect.value, each.metric)),
                Cell("–" if each.effect is None else interval(each.effect, each.metric)),
                Cell("0" if each.effect is None else count(each.effect.n)),
            )
            for each in impacts
        ),
        note="Canary minus control, over the windows that had both. A single look's intervals: they decide nothing.",
    )


def _life(found: DeploymentPage) -> Table:
    steps = [
        (step.at, f"{step.status.replace('_', ' ')}, {step.percent}%", step.actor, step.why) for step in found.life
    ] + [(word.at, f"{word.decision} until {moment(word.expires_at)}", word.actor, word.why) for word in found.words]
    return Table(
        caption="Its life",
        columns=(
            Column("at", "When"),
            Column("what", "What"),
            Column("actor", "By"),
            Column("why", "Why", wide=True),
        ),
        rows=tuple(
            (Cell(moment(at)), Cell(what), Cell(one_line(actor, 60)), Cell(one_line(why, 500) or "–"))
            for at, what, actor, why in sorted(steps, key=lambda each: each[0])
        ),
    )
