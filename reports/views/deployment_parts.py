"""What both pages about deployments say alike: states, health, what a bundle changes, a watch window."""

from evaluations.deployment_health import DeploymentHealth, Health
from evaluations.deployment_overview import BundleChange, Deployed, WatchLook, WatchWindow, json_of
from evaluations.deployments import Bundle
from evaluations.deployments import Status as LifeStatus
from evaluations.experiment_words import interval, level, noun, signed, size
from evaluations.experiments import Metric
from evaluations.watching import Guard, Reading
from reports.charts import HALF
from reports.format import change, count, duration, moment, money, one_line, share
from reports.views.parts import Cell, Column, Figure, Sign, Status, Table, Tone, figure
from reports.watch_chart import WatchPoint, watch_chart

LISTED_CASES = 200
DRAWN_LOOKS = 48
STATES: dict[LifeStatus, tuple[str, Tone, Sign]] = {
    "pending_approval": ("Waits for approval", "warn", "bang"),
    "pending": ("Approved, not begun", "plain", "dash"),
    "deploying": ("Canary", "warn", "wave"),
    "deployed": ("Deployed", "good", "check"),
    "failed": ("Ended", "bad", "cross"),
    "rolled_back": ("Taken back", "bad", "cross"),
    "superseded": ("Replaced", "plain", "dash"),
}
HEALTHS: dict[Health, tuple[str, Tone, Sign]] = {
    "healthy": ("Healthy", "good", "check"),
    "warning": ("Warning", "warn", "bang"),
    "critical": ("Critical", "bad", "cross"),
    "not enough data": ("Not enough data", "plain", "dash"),
}
LEVELS: dict[str, tuple[str, Tone, Sign]] = {
    "refuse": ("Refuses", "bad", "cross"),
    "warn": ("Warns", "warn", "bang"),
    "fine": ("Fine", "good", "check"),
}
OUTCOMES = {"passed": "passed", "rolled_back": "taken back", "forced": "cut short by a person"}


def state_of(found: Deployed) -> Status:
    """Its state, with the share that a canary has."""
    word, tone, sign = STATES[found.status]
    if found.live:
        return Status("Live", "good", "check")
    return Status(f"{word}, {found.percent}%" if found.status == "deploying" else word, tone, sign)


def health_status(health: Health) -> Status:
    return Status(*HEALTHS[health])


def bundle_words(bundle: Bundle | None) -> str:
    return "nothing deployed" if bundle is None else one_line(str(bundle), 140)


def origin(found: Deployed) -> str:
    """Where a bundle comes from."""
    match found.trigger:
        case "experiment":
            return f"{one_line(found.variant or '', 40)} of experiment {one_line(found.experiment or '', 60)}"
        case "baseline":
            return "what everyone had before anything was deployed"
        case "rollback":
            return f"a rollback to the bundle of {found.restores}"
        case _:
            return "asked for by a person, without an experiment"


# What changes


def differences_table(changed: BundleChange) -> Table:
    return Table(
        caption="What differs",
        columns=(Column("what", "What"), Column("before", "Now", wide=True), Column("after", "Then", wide=True)),
        rows=tuple(
            (Cell(one_line(each.what, 80)), Cell(_value(each.before)), Cell(_value(each.after)))
            for each in changed.differences
        ),
        empty="Nothing differs: this bundle is what is live.",
    )


def _value(value: object) -> str:
    return "–" if value is None else one_line(json_of(value), 300)


def diff_lines(changed: BundleChange) -> tuple[tuple[str, str, str], ...]:
    """Kind, sign and text of each line of the prompt's difference."""
    kinds = {"+": ("new", "+"), "-": ("gone", "−"), "@": ("gap", "…")}
    lines = []
    for each in changed.prompt_diff:
        kind, sign = kinds.get(each[:1], ("same", " "))
        lines.append((kind, sign, "" if kind == "gap" else each[1:]))
    return tuple(lines)


def cases_table(changed: BundleChange) -> Table | None:
    if changed.suite is None:
        return None
    return Table(
        caption=f"Cases of {one_line(changed.suite, 60)} whose verdict changes",
        columns=(Column("case", "Case"), Column("before", "Now"), Column("after", "Then")),
        rows=tuple(
            (Cell(one_line(each.case_id, 80)), Cell(each.before), Cell(each.after))
            for each in changed.changed[:LISTED_CASES]
        ),
        note=f"The first {LISTED_CASES} of {count(len(changed.changed))}."
        if len(changed.changed) > LISTED_CASES
        else "",
        empty=f"None of {count(changed.cases, 'case')} changes its verdict.",
    )


def cases_sentence(changed: BundleChange) -> str:
    """What the new bundle does to the cases of a suite that both answered."""
    if changed.suite is None:
        return "No run of a suite has both bundles, so no case can be compared."
    broken = sum(each.before == "pass" for each in changed.changed)
    mended = sum(each.after == "pass" for each in changed.changed)
    return (
        f"Of {count(changed.cases, 'case')} of {one_line(changed.suite, 60)}, {count(broken)} passed and do not any "
        f"more, {count(mended)} pass that did not."
    )


def checks_table(changed: BundleChange) -> Table:
    return Table(
        caption="What was checked",
        columns=(Column("check", "Check"), Column("level", "Result"), Column("says", "What was found", wide=True)),
        rows=tuple(
            (
                Cell(each.name),
                Cell("", status=Status(*LEVELS[each.level])),
                Cell(one_line(each.says, 400), note="a person may waive it" if each.waivable else ""),
            )
            for each in changed.checks
        ),
        empty="Nothing was checked: it came without a request of its own.",
    )


def cost_sentence(changed: BundleChange) -> str:
    """The cost of a month, now and then; unknown is said so."""
    now, then = changed.monthly_cost_before, changed.monthly_cost
    if then is None:
        return "What a month costs is not known: nothing of the feature is measured on its model."
    if now is None or changed.before is None:
        return f"{money(then)} a month projected; what it costs now is not known."
    if now == then:
        return f"{money(then)} a month projected, as now."
    moved = f", {change(float(then / now) - 1)}" if now else ""
    return f"{money(now)} a month now, {money(then)} projected{moved}."


# The watch


def beyond(value: float, guard: Guard) -> str:
    """A harm in the unit that its guard speaks: of the metric, or percent of the control."""
    return change(value) if guard.relative else signed(value, guard.what)


def reading_words(reading: Reading) -> str:
    """What one guard found: "quality 87.7% beside 85.9%: 1.8 pts better; proven at most …"."""
    metric = reading.guard.what
    if reading.canary is None:
        return f"{noun(metric)} is not measured"
    said = f"{noun(metric)} {level(reading.canary, metric)} (n = {count(reading.units)})"
    if reading.control is None or reading.difference is None:
        return said
    worse = "worse" if reading.difference > 0 else "better"
    apart = share(abs(reading.difference)) if reading.guard.relative else size(reading.difference, metric)
    said += f" beside {level(reading.control, metric)} (n = {count(reading.control_units)}), {apart} {worse}"
    if reading.difference == 0:
        said = said.rsplit(",", 1)[0] + ", no different"
    if reading.at_least is None:
        return f"{said}; no bound yet"
    if reading.harmful:
        return f"{said}; proven harm"
    tolerated = beyond(reading.guard.tolerated, reading.guard)
    return f"{said}; harm of at least {beyond(reading.at_least, reading.guard)}, {tolerated} tolerated"


def window_words(window: WatchWindow) -> str:
    """One window in a line."""
    until = moment(window.ended_at) if window.ended_at else "now"
    how = OUTCOMES.get(window.outcome or "", window.outcome or "open").replace("_", " ")
    return f"{window.percent}% of the units, {moment(window.began_at)} to {until}: {how}"


def watch_figures(windows: tuple[WatchWindow, ...], prefix: str) -> tuple[Figure, ...]:
    """One figure for each guard of each window that had a control and a look."""
    return tuple(
        each
        for window in windows
        if window.percent < 100 and window.looks
        for each in _figures(window, f"{prefix}{window.step}")
    )


def _figures(window: WatchWindow, prefix: str) -> list[Figure]:
    found = []
    for place, last in enumerate(window.looks[-1].readings):
        guard = last.guard
        every = [_point(window, n, look, place) for n, look in enumerate(window.looks) if place < len(look.readings)]
        points = _thinned(every)
        title = f"{noun(guard.what).capitalize()} at {window.percent}%: {_finding(last)}"
        about = "relative to the control" if guard.relative else "beside the control"
        found.append(
            figure(
                f"{prefix}-{guard.metric}",
                title,
                f"Harm {about} (above zero is worse), {_drawn(points, every)}, n = {count(last.units)} and "
                f"{count(last.control_units)} units",
                HALF,
                lambda width, points=points, guard=guard, title=title: watch_chart(  # type: ignore[misc]
                    points,
                    width,
                    label=f"{title}.",
                    tick=lambda value: beyond(value, guard) if value else "0",
                    tolerated=guard.tolerated,
                    tolerated_text=f"tolerated {beyond(guard.tolerated, guard)}",
                    value_name="harm",
                    bound_name="at least, at every look",
                ),
                table=_looks_table(title, points, guard),
            )
        )
    return found


def _thinned(points: list[WatchPoint]) -> list[WatchPoint]:
    """As many as an eye tells apart, evenly taken, the last one always; whatever proved harm stays."""
    every = -(-len(points) // DRAWN_LOOKS)
    return [p for n, p in enumerate(reversed(points)) if n % every == 0 or p.harmful][::-1]


def _drawn(points: list[WatchPoint], every: list[WatchPoint]) -> str:
    said = count(len(every), "look")
    return said if len(points) == len(every) else f"{count(len(points))} of {said}"


def _finding(last: Reading) -> str:
    if last.harmful:
        return "harm is proven"
    if last.at_least is None:
        return "not enough data"
    return "no harm is proven"


def _point(window: WatchWindow, index: int, look: WatchLook, place: int) -> WatchPoint:
    reading = look.readings[place]
    metric: Metric = reading.guard.what
    told = (
        ("Canary", "not measured" if reading.canary is None else level(reading.canary, metric)),
        ("Control", "not measured" if reading.control is None else level(reading.control, metric)),
        ("Harm", "–" if reading.difference is None else beyond(reading.difference, reading.guard)),
        ("At least", "no bound yet" if reading.at_least is None else beyond(reading.at_least, reading.guard)),
    )
    return WatchPoint(
        units=reading.units,
        difference=reading.difference,
        at_least=reading.at_least,
        harmful=reading.harmful,
        title=f"Look {index + 1} of {len(window.looks)}, {count(reading.units)} units",
        told=told,
    )


def _looks_table(caption: str, points: list[WatchPoint], guard: Guard) -> Table:
    return Table(
        caption=caption,
        columns=(
            Column("units", "Units", right=True),
            Column("canary", "Canary", right=True),
            Column("control", "Control", right=True),
            Column("harm", "Harm", right=True),
            Column("at_least", "At least", right=True),
        ),
        rows=tuple(
            (Cell(count(point.units), point.units), *(Cell(value) for _, value in point.told)) for point in points
        ),
        note=f"Tolerated: {beyond(guard.tolerated, guard)}.",
    )


# Health


def health_table(healths: tuple[DeploymentHealth, ...]) -> Table:
    return Table(
        caption="Health of what is live",
        columns=(
            Column("feature", "Feature"),
            Column("environment", "Environment"),
            Column("health", "Health"),
            Column("check", "Check"),
            Column("now", "Now", right=True),
            Column("before", "Before", right=True),
            Column("change", "Change", right=True),
            Column("says", "What was found", wide=True),
        ),
        rows=tuple(
            (
                Cell(one_line(found.feature, 60)),
                Cell(found.environment),
                Cell("", status=health_status(check.health)),
                Cell(check.name),
                Cell("–", note="")
                if check.now is None or check.metric is None
                else Cell(level(check.now.value, check.metric), check.now.value, note=f"n = {count(check.now.n)}"),
                Cell("–")
                if check.before is None or check.metric is None
                else Cell(
                    level(check.before.value, check.metric), check.before.value, note=f"n = {count(check.before.n)}"
                ),
                Cell("–")
                if check.change is None or check.metric is None
                else Cell(
                    signed(check.change.value, check.metric),
                    check.change.value,
                    note=interval(check.change, check.metric),
                ),
                Cell(one_line(check.says, 300)),
            )
            for found in healths
            for check in found.checks
        ),
        empty="Nothing is live yet.",
    )


def looked_at_table(healths: tuple[DeploymentHealth, ...]) -> Table:
    """The requests that health was read from."""
    return Table(
        caption="What was looked at",
        columns=(
            Column("feature", "Feature"),
            Column("environment", "Environment"),
            Column("deployment", "Deployment"),
            Column("since", "All units since"),
            Column("from", "Looked from"),
            Column("until", "Until"),
            Column("requests", "Requests", right=True),
            Column("uptime", "Uptime", wide=True),
        ),
        rows=tuple(
            (
                Cell(one_line(found.feature, 60)),
                Cell(found.environment),
                Cell(found.deployment),
                Cell(moment(found.since)),
                Cell(moment(found.looked_from)),
                Cell(moment(found.until)),
                Cell(count(found.requests), found.requests),
                Cell(str(found.uptime)),
            )
            for found in healths
        ),
        empty="Nothing is live yet.",
    )


def window_length(seconds: float) -> str:
    """How long a window lasts."""
    return duration(seconds * 1000)
