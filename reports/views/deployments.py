"""The page of all deployments: what is live where, what is on its way, how it does, and what was before."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from evaluations.deployment_health import DeploymentHealth
from evaluations.deployment_overview import Deployed, DeploymentsOverview, WatchWindow
from evaluations.deployments import PROGRESS
from evaluations.watching import Verdict as Found
from reports.charts import FULL, Kind
from reports.format import count, duration, moment, one_line, share
from reports.page import SCHEMA_VERSION
from reports.views.deployment_parts import (
    bundle_words,
    health_status,
    health_table,
    looked_at_table,
    origin,
    reading_words,
    state_of,
    watch_figures,
    window_length,
)
from reports.views.parts import Cell, Column, Fact, Figure, Kpi, Page, Status, Table, Verdict, figure
from reports.waterfall import Lane, waterfall

TEMPLATE = "deployments.html.j2"
LISTED = 100
DRAWN = 12
"""Deployments of a feature and environment in its timeline, the latest."""
RECENT = timedelta(days=30)
KINDS = (
    Kind(name="live now", colour="c2"),
    Kind(name="on its way", colour="c3"),
    Kind(name="was live", colour="n1"),
    Kind(name="taken back, or never live", colour="c4"),
)
FINDINGS: dict[Found, str] = {
    "fine": "no harm is proven so far",
    "too_few": "too few units so far to say anything",
    "held": "its split is not the published one",
    "roll_back": "harm is proven",
}
METHOD = (
    "A deployment is a bundle: prompt version, model and parameters. It is asked for, checked, approved by another "
    "person, tried on a share of the units and watched there beside its control, and live for all.",
    "Health is read from the requests since a bundle has all of the traffic, of the last 24 hours at most, beside as "
    "long a time before it had any. Critical: beyond its limit with the whole 95 % interval. Warning: beyond it by its "
    "value alone, worse than before by more than its guard tolerates with the whole interval, or the published flags "
    "are not what the database says. Before and after are other days with other traffic: it may warn, and takes "
    "nothing back. Fewer than 100 units say nothing.",
    "Uptime counts five-minute slots with requests; in one that is up at least half of them did not fail.",
    "Leadership's three words: success is deployed or replaced, in progress is whatever is on its way, failed is taken "
    "back or ended before it was live.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComingView:
    """One deployment that is on its way, or live and still watched."""

    id: str
    title: str
    status: Status
    sentences: tuple[str, ...]
    figures: tuple[Figure, ...]
    commands: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentsView:
    """All that `deployments.html.j2` places."""

    page: Page
    places: Table
    coming: tuple[ComingView, ...]
    health: Table
    looked_at: Table
    flags: Table
    timelines: tuple[Figure, ...]
    history: Table
    rollbacks: Table
    method: tuple[str, ...]


def deployments_view(found: DeploymentsOverview) -> DeploymentsView:
    """Decides every word of the page. Pure: the same facts give the same view."""
    page = Page(
        kind="Production",
        subject="Deployments",
        title="What is live where, and what is on its way",
        about=f"{count(len(found.features), 'feature')}, {count(len(found.deployments), 'deployment')}.",
        marks=("Sample data",) if found.sample_data else (),
        banners=(),
        verdict=_verdict(found),
        facts=tuple(_facts(found)),
        kpis=_kpis(found),
        contents=(
            ("verdict", "At a glance"),
            ("places", "Side by side"),
            ("coming", "On its way"),
            ("health", "Health"),
            ("timeline", "Timeline"),
            ("history", "History"),
            ("method", "Method"),
        ),
        as_of=moment(found.as_of),
        schema=str(SCHEMA_VERSION),
        files=("deployments.json", "deployments.csv"),
        links=(("Overview", "overview.html"), ("Models", "models.html")),
    )
    return DeploymentsView(
        page=page,
        places=_places(found),
        coming=tuple(_coming(found, each) for each in found.coming),
        health=health_table(tuple(found.healths)),
        looked_at=looked_at_table(tuple(found.healths)),
        flags=_flags(found),
        timelines=_timelines(found),
        history=_history(found),
        rollbacks=_rollbacks(found),
        method=METHOD,
    )


# The first screen


def _verdict(found: DeploymentsOverview) -> Verdict:
    critical = [each for each in found.healths if each.health == "critical"]
    warned = [each for each in found.healths if each.health == "warning"]
    if critical:
        return Verdict("bad", f"{_where(critical[0])} is critical", f": {one_line(critical[0].sentence, 200)}.")
    way = [each for each in found.coming if each.under_way]
    if way:
        first = way[0]
        status = state_of(first).word.lower()
        more = f" {count(len(way) - 1)} more on the way." if len(way) > 1 else ""
        said = f": {bundle_words(first.bundle)}, {status}{_finding(found, first)}.{more}"
        return Verdict("warn", f"A change is on its way for {one_line(first.feature, 60)} in {first.environment}", said)
    if warned:
        return Verdict("warn", f"{_where(warned[0])} has a warning", f": {one_line(warned[0].sentence, 200)}.")
    live, healthy = len(found.healths), sum(each.health == "healthy" for each in found.healths)
    if not live:
        return Verdict("plain", "Nothing is live yet", ".")
    if healthy == live:
        what = "The one live bundle is healthy" if live == 1 else f"All {live} live bundles are healthy"
        return Verdict("good", what, ", and nothing is on its way.")
    unknown = [_where(each) for each in found.healths if each.health != "healthy"]
    known = "The one live bundle is not known to be healthy" if live == 1 else f"{healthy} of {live} are known healthy"
    return Verdict("plain", known, f": too little data on {', '.join(unknown[:4])}. Nothing is on its way.")


def _finding(found: DeploymentsOverview, each: Deployed) -> str:
    """What the last look at its open window found, in a few words."""
    window = found.watched(each)
    if window is None or not window.looks:
        return ""
    return f", {FINDINGS[window.looks[-1].verdict]}"


def _where(found: DeploymentHealth | Deployed) -> str:
    return f"{one_line(found.feature, 60)} in {found.environment}"


def _facts(found: DeploymentsOverview) -> Iterator[Fact]:
    waiting = [each for each in found.deployments if each.status == "pending_approval"]
    way = [each for each in found.coming if each not in waiting]
    yield Fact(
        label="On its way",
        status=Status(count(len(way)), "warn", "wave") if way else Status("Nothing", "good", "check"),
        sentences=tuple(_progress(found, each) for each in way[:3]) or ("Every window is over.",),
        link=("What is on its way", "coming"),
    )
    if waiting:
        yield Fact(
            label="Decisions waiting",
            status=Status(count(len(waiting)), "warn", "bang"),
            sentences=tuple(f"{_where(each)}: {bundle_words(each.bundle)}, asked by {one_line(each.actor, 60)}."
                            for each in waiting[:3]),
            command=f"assay deploy approve {waiting[0].name}",
        )  # fmt: skip
    yield _health_fact(found)
    last = [each for each in found.deployments if each.status == "rolled_back"]
    yield Fact(
        label="Taken back",
        status=None,
        sentences=(
            f"{_where(last[0])}, {bundle_words(last[0].bundle)}: {one_line(last[0].moved_why, 220).rstrip('.')}."
            if last
            else "Nothing was taken back so far.",
        ),
        link=("All rollbacks", "history") if last else None,
    )
    wrong = [each for each in found.flags if not each.current]
    yield Fact(
        label="Published flags",
        status=Status("Not up to date", "bad", "cross") if wrong else Status("As the database says", "good", "check"),
        sentences=tuple(f"{each.file} is {'another one' if each.there else 'missing'}." for each in wrong)
        or (f"{count(len(found.flags), 'file')}, byte for byte.",),
        command="assay deploy publish" if wrong else "",
    )


def _health_fact(found: DeploymentsOverview) -> Fact:
    worst = next(
        (e for word in ("critical", "warning", "not enough data") for e in found.healths if e.health == word), None
    )
    if not found.healths:
        return Fact(label="Health", status=None, sentences=("Nothing is live yet.",))
    if worst is None:
        status, said = health_status("healthy"), f"{count(len(found.healths), 'live bundle')}, each within its limits."
    else:
        status, said = health_status(worst.health), f"{_where(worst)}: {one_line(worst.sentence, 260)}."
    return Fact(label="Health", status=status, sentences=(said,), link=("All checks", "health"))


def _progress(found: DeploymentsOverview, each: Deployed) -> str:
    window = found.watched(each)
    if window is None:
        return f"{_where(each)}: {state_of(each).word.lower()}."
    looks = count(len(window.looks), "look")
    return f"{_where(each)}: {window.percent}% of the units get {bundle_words(each.bundle)}, {looks} so far."


def _kpis(found: DeploymentsOverview) -> tuple[Kpi, ...]:
    live = [each for each in found.deployments if each.live]
    recent = [each for each in found.deployments if each.asked_at > found.as_of - RECENT and each.trigger != "baseline"]
    asked = [each for each in recent if each.trigger != "rollback"]
    failed = [each for each in asked if PROGRESS[each.status] == "failed"]
    known = [each for each in asked if each.environment == "production"]
    proven = [each for each in known if each.trigger == "experiment"]
    return (
        Kpi(label="Live bundles", value=count(len(live)), note=f"of {count(len(found.features), 'feature')}"),
        Kpi(
            label="Asked for",
            value=count(len(asked)),
            note=f"in 30 days; {count(len(failed))} of them taken back or ended",
        ),
        Kpi(
            label="From an experiment",
            value=share(len(proven) / len(known), trim=True) if known else "–",
            note=f"{count(len(proven))} of {count(len(known))} to production in 30 days",
        ),
        Kpi(
            label="On its way",
            value=count(len(found.coming)),
            note="asked for, in a canary, or still watched",
        ),
    )


# Side by side


def _places(found: DeploymentsOverview) -> Table:
    return Table(
        caption="What is live where",
        columns=(
            Column("feature", "Feature"),
            *(Column(place, place.capitalize(), wide=True) for place in found.environments),
        ),
        rows=tuple(
            (Cell(one_line(feature, 60)), *(_place(found, feature, place) for place in found.environments))
            for feature in found.features
        ),
        empty="Nothing is deployed yet: assay deploy preview EXPERIMENT",
    )


def _place(found: DeploymentsOverview, feature: str, environment: str) -> Cell:
    live = found.live(feature, environment)
    if live is None:
        coming = [e for e in found.coming if (e.feature, e.environment) == (feature, environment)]
        return Cell("nothing yet", note=f"{state_of(coming[0]).word}: {coming[0].name}" if coming else "")
    since = live.deployed_at or live.asked_at
    parameters = ", ".join(f"{name} {value}" for name, value in sorted(live.bundle.parameters.items()))
    health = found.health(feature, environment)
    told = [
        one_line(live.bundle.model, 60) + (f" ({one_line(parameters, 80)})" if parameters else ""),
        f"since {moment(since)}, asked for by {one_line(live.actor, 40)}",
        origin(live),
        f"deployment {live.name}" + (f", {health.health}" if health else ""),
    ]
    return Cell(one_line(live.bundle.prompt, 80), note="; ".join(told))


# On its way


def _coming(found: DeploymentsOverview, each: Deployed) -> ComingView:
    windows = found.windows.get(each.id, ())
    opened = found.watched(each)
    commands = [f"assay deploy status {each.name}", f"assay report deployment {each.name}"]
    if each.status == "pending_approval":
        commands.insert(0, f"assay deploy approve {each.name}")
    elif each.status in ("deploying", "deployed"):
        where = "" if each.environment == "production" else f" --environment {each.environment}"
        commands.append(f"assay rollback {each.feature}{where}")
    return ComingView(
        id=f"coming-{each.name}",
        title=f"{_where(each)}: {bundle_words(each.bundle)}",
        status=state_of(each),
        sentences=tuple(_coming_words(found, each, opened)),
        figures=watch_figures(windows[-1:], f"coming-{each.name}-"),
        commands=tuple(commands),
    )


def _coming_words(found: DeploymentsOverview, each: Deployed, opened: WatchWindow | None) -> Iterator[str]:
    steps = " → ".join(f"{step}%" for step in each.policy.steps)
    yield f"It is {origin(each)}; asked for by {one_line(each.actor, 60)}: {one_line(each.why, 300).rstrip('.')}."
    if each.waived:
        yield f"Waived by {one_line(each.waived, 300)}."
    if opened is None:
        yield f"It goes by {steps}, each watched for {window_length(each.policy.window_s)}."
        return
    looks = opened.looks
    yield (
        f"Step {opened.percent}% of {steps}, since {moment(opened.began_at)}, for "
        f"{window_length(each.policy.window_s)} at least; {count(len(looks), 'look')} so far."
    )
    if looks:
        yield from (f"{said[:1].upper()}{said[1:]}." for said in map(reading_words, looks[-1].readings))


# Timeline and history


def _timelines(found: DeploymentsOverview) -> tuple[Figure, ...]:
    pairs = sorted({(each.feature, each.environment) for each in found.deployments})
    return tuple(_timeline(found, n, feature, environment) for n, (feature, environment) in enumerate(pairs))


def _timeline(found: DeploymentsOverview, place: int, feature: str, environment: str) -> Figure:
    mine = [each for each in found.deployments if (each.feature, each.environment) == (feature, environment)]
    drawn = list(reversed(mine[:DRAWN]))
    origin_at = min(_begins(each) for each in drawn)
    lanes = [_lane(found, each, origin_at) for each in drawn]
    long = (found.as_of - origin_at) > timedelta(days=3)
    title = f"{one_line(feature, 60)} in {environment}: {count(len(mine), 'deployment')}"
    return figure(
        f"timeline-{place}",
        title,
        f"From {moment(origin_at)} to {moment(found.as_of)}; underlined while all units got it",
        FULL,
        lambda width: waterfall(
            lanes,
            KINDS,
            width,
            label=f"{title}. {'; '.join(f'{lane.label}: {lane.text}' for lane in lanes)}.",
            tick=lambda value: f"{origin_at + timedelta(milliseconds=value):{'%d %b' if long else '%H:%M:%S'}}",
            path_name="all units",
        ),
        table=_events(feature, drawn),
        note=f"The latest {DRAWN} of {count(len(mine))}." if len(mine) > DRAWN else "",
    )


def _begins(each: Deployed) -> datetime:
    return each.asked_at


def _lane(found: DeploymentsOverview, each: Deployed, since: datetime) -> Lane:
    def at(instant: datetime) -> float:
        return max(0.0, (instant - since).total_seconds() * 1000)

    ends = each.ended_at or found.as_of
    kind = 0 if each.live else 1 if each.under_way else 3 if PROGRESS[each.status] == "failed" else 2
    taken = PROGRESS[each.status] == "failed"
    return Lane(
        label=one_line(each.bundle.prompt, 60),
        depth=0,
        start=at(_begins(each)),
        end=at(ends),
        text=f"{state_of(each).word.lower()}, {duration(max(0.0, (ends - _begins(each)).total_seconds() * 1000))}",
        kind=kind,
        failed=taken,
        is_open=each.ended_at is None,
        path=((at(each.deployed_at), at(ends)),) if each.deployed_at else (),
        told=(
            ("Deployment", each.name),
            ("Asked for", moment(each.asked_at)),
            ("Live", moment(each.deployed_at) if each.deployed_at else "never"),
            ("Ended", moment(each.ended_at) if each.ended_at else "not yet"),
        ),
    )


def _events(feature: str, drawn: list[Deployed]) -> Table:
    return Table(
        caption=f"Deployments of {one_line(feature, 60)}",
        columns=(
            Column("bundle", "Bundle"),
            Column("asked", "Asked for"),
            Column("live", "Live for all"),
            Column("ended", "Ended"),
        ),
        rows=tuple(
            (
                Cell(bundle_words(each.bundle)),
                Cell(moment(each.asked_at)),
                Cell(moment(each.deployed_at) if each.deployed_at else "–"),
                Cell(moment(each.ended_at) if each.ended_at else "–"),
            )
            for each in drawn
        ),
    )


def _history(found: DeploymentsOverview) -> Table:
    told = found.deployments[:LISTED]
    out = len(found.deployments) - len(told) + found.left_out
    return Table(
        caption="Every deployment, the latest first",
        columns=(
            Column("id", "Deployment"),
            Column("feature", "Feature"),
            Column("environment", "Environment"),
            Column("status", "State"),
            Column("bundle", "Bundle", wide=True),
            Column("asked", "Asked for"),
            Column("approved", "Approved by"),
            Column("why", "Why it is where it is", wide=True),
        ),
        rows=tuple(
            (
                Cell(each.name),
                Cell(one_line(each.feature, 60)),
                Cell(each.environment),
                Cell("", status=state_of(each)),
                Cell(bundle_words(each.bundle), note=origin(each)),
                Cell(moment(each.asked_at), note=f"by {one_line(each.actor, 40)}"),
                Cell(one_line(", ".join(each.approved_by), 80) or "nobody"),
                Cell(
                    one_line(each.moved_why, 300), note=f"waived by {one_line(each.waived, 200)}" if each.waived else ""
                ),
            )
            for each in told
        ),
        note=f"{count(out)} older ones are not listed: assay deploy list --limit" if out else "",
    )


def _rollbacks(found: DeploymentsOverview) -> Table:
    back = [each for each in found.deployments if each.status == "rolled_back"]
    return Table(
        caption="What was taken back",
        columns=(
            Column("at", "When"),
            Column("what", "What"),
            Column("bundle", "Bundle", wide=True),
            Column("why", "Why", wide=True),
        ),
        rows=tuple(
            (
                Cell(moment(each.ended_at) if each.ended_at else "–"),
                Cell(_where(each)),
                Cell(bundle_words(each.bundle)),
                Cell(one_line(each.moved_why, 300)),
            )
            for each in back[:LISTED]
        ),
        note="To take a feature back now, without anybody's approval: assay rollback FEATURE --why …",
        empty="Nothing was taken back so far.",
    )


def _flags(found: DeploymentsOverview) -> Table:
    rows = []
    for state in found.flags:
        word = Status("Current", "good", "check") if state.current else Status("Not current", "bad", "cross")
        rows.append(
            (
                Cell(state.environment),
                Cell("file", note=state.file),
                Cell("", status=word),
                *_last(state.deliveries, "file"),
            )
        )
        rows += [
            (
                Cell(state.environment),
                Cell(each.channel),
                Cell(
                    "",
                    status=Status("Delivered", "good", "check")
                    if each.current
                    else Status("Not current", "warn", "bang"),
                ),
                Cell(moment(each.at)),
                Cell(one_line(each.detail, 120)),
            )
            for each in state.deliveries
            if each.channel != "file"
        ]
    return Table(
        caption="What applications read",
        columns=(
            Column("environment", "Environment"),
            Column("channel", "Channel"),
            Column("state", "State"),
            Column("at", "Last delivery"),
            Column("detail", "Detail", wide=True),
        ),
        rows=tuple(rows),
        empty="No flags are published yet.",
    )


def _last(deliveries: tuple[object, ...], channel: str) -> tuple[Cell, Cell]:
    from evaluations.deployment_health import Delivered

    found = next((e for e in deliveries if isinstance(e, Delivered) and e.channel == channel), None)
    return (Cell("never"), Cell("–")) if found is None else (Cell(moment(found.at)), Cell(one_line(found.detail, 120)))
