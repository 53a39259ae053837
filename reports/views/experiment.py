"""The page of one experiment: the verdict, what it stands on, what could reverse it, and what was decided by whom."""

from dataclasses import dataclass

from evaluations.comparisons import Finding
from evaluations.experiment_results import ArmResult, Difference, Disagreement, Distribution, ExperimentResult
from evaluations.experiments import Metric
from evaluations.statistics.outcomes import Undetermined
from reports.charts import FULL, HALF, histogram
from reports.forest import Effect, forest
from reports.format import count, decimal, moment, money, one_line, p_value
from reports.page import SCHEMA_VERSION
from reports.views import experiment_words as words
from reports.views.parts import Cell, Column, Figure, Page, Quote, Table, figure

TEMPLATE = "experiment.html.j2"
LONGEST_TEXT = 1200


@dataclass(frozen=True, slots=True, kw_only=True)
class DisagreementView:
    """One case to open: what both answered."""

    title: str
    summary: str
    control: Quote
    variant: Quote


@dataclass(frozen=True, slots=True, kw_only=True)
class DifferenceView:
    """What sets one variant apart from the control."""

    title: str
    settings: Table | None
    prompt: tuple[tuple[str, str, str], ...]
    """Kind, sign, text of each line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentView:
    """All that `experiment.html.j2` places. None and empty parts are left out, with their heading."""

    page: Page
    main: Figure | None
    arms: Table
    others: tuple[Figure, ...]
    estimates: Table | None
    split: tuple[str, ...]
    enough: tuple[str, ...]
    distributions: tuple[Figure, ...]
    disagreements: tuple[DisagreementView, ...]
    disagreements_lede: str
    differences: tuple[DifferenceView, ...]
    composite: Table | None
    composite_lede: str
    sensitivity: Table | None
    looks: Table
    life: Table
    method: tuple[str, ...]


def experiment_view(result: ExperimentResult) -> ExperimentView:
    """Decides every word, number and order of an experiment's page. Pure: the same result gives the same view."""
    seen = result.comparison is not None
    contents = [
        ("verdict", "Verdict"),
        ("variants", "Variants"),
        *((("estimates", "Effects"),) if seen else ()),
        ("sound", "Is it sound?"),
        *((("distributions", "Distributions"),) if result.distributions else ()),
        *((("disagreements", "Where they disagree"),) if result.disagreements else ()),
        *((("differences", "What differs"),) if any(_differs(each) for each in result.differences) else ()),
        *((("composite", "Composite score"),) if result.composite else ()),
        ("log", "Decision log"),
        ("method", "Method"),
    ]
    page = Page(
        kind="Experiment",
        subject=one_line(result.declared.experiment, 80),
        title=one_line(result.declared.description or f"Experiment {result.declared.experiment}", 140),
        about=words.about(result),
        marks=words.marks(result),
        banners=words.banners(result),
        verdict=words.verdict(result),
        facts=words.facts(result),
        kpis=words.kpis(result),
        contents=tuple(contents),
        as_of=moment(result.as_of),
        schema=str(SCHEMA_VERSION),
        files=("report.json", "estimates.csv"),
    )
    return ExperimentView(
        page=page,
        main=_primary(result),
        arms=_arms(result),
        others=_others(result),
        estimates=_estimates(result),
        split=words.split(result),
        enough=words.enough(result),
        distributions=_distributions(result),
        disagreements=tuple(_disagreement(result, each) for each in result.disagreements),
        disagreements_lede=words.disagreements(result),
        differences=tuple(_difference(each) for each in result.differences if _differs(each)),
        composite=_composite(result),
        composite_lede=words.composite(result),
        sensitivity=_sensitivity(result),
        looks=_looks(result),
        life=_life(result),
        method=words.method(result),
    )


# Effects


def _primary(result: ExperimentResult) -> Figure | None:
    """The figure that carries the verdict: the primary metric of each variant against the control."""
    if result.comparison is None:
        return None
    findings = [result.comparison.primary(variant) for variant in result.comparison.plan.variants]
    return _forest(result, "primary", findings, words.primary_title(result), overall=True)


def _others(result: ExperimentResult) -> tuple[Figure, ...]:
    """One small plot for every other metric: each has its own unit."""
    if result.comparison is None:
        return ()
    figures = []
    for aim in result.declared.aims[1:]:
        role, name = aim.role, aim.metric.name
        findings = [result.comparison.of(name, variant) for variant in result.comparison.plan.variants]
        figures.append(_forest(result, f"{role}-{name}", findings, words.other_title(result, role, name)))
    return tuple(figures)


def _forest(result: ExperimentResult, id: str, findings: list[Finding], title: str, *, overall: bool = False) -> Figure:
    metric = words.metric_of(result, findings[0].metric)
    margin = result.declared.aim(metric.name).margin
    rows = [_effect(each, metric, overall=overall) for each in findings]
    better, worse = f"{result.declared.control} worse", f"{result.declared.control} better"
    sides = (worse, better) if findings[0].direction == "up" else (better, worse)
    sizes = FULL if overall else HALF
    return figure(
        "".join(letter if letter.isalnum() else "-" for letter in id),
        title,
        f"{metric.says}; difference from {result.declared.control}, with its interval",
        sizes,
        lambda width: forest(
            rows,
            width,
            label=f"{title}. {'; '.join(f'{row.label} {row.value_text} {row.interval_text}' for row in rows)}.",
            tick=lambda value: words.tick(value, metric),
            margin=margin,
            margin_text="" if margin is None else f"margin ±{words.size(margin, metric)}",
            worse_text=sides[0],
            better_text=sides[1],
        ),
        table=_effects_table(title, rows),
    )


def _effect(finding: Finding, metric: Metric, *, overall: bool) -> Effect:
    reading, reading_text = words.reading(finding)
    if finding.effect is None:
        why = finding.outcome.why if isinstance(finding.outcome, Undetermined) else finding.why
        return Effect(
            label=finding.variant,
            value=None,
            value_text="not determined",
            interval_text=one_line(why, 60),
            overall=overall,
        )
    effect = finding.effect
    return Effect(
        label=finding.variant,
        value=effect.value,
        low=effect.low,
        high=effect.high,
        value_text=words.signed(effect.value, metric),
        interval_text=words.interval(effect, metric),
        n_text=f"n = {count(effect.n)}",
        reading=reading,
        reading_text=reading_text,
        overall=overall,
    )


def _effects_table(caption: str, rows: list[Effect]) -> Table:
    return Table(
        caption=caption,
        columns=(
            Column("variant", "Variant"),
            Column("difference", "Difference", right=True),
            Column("interval", "Interval", right=True),
            Column("n", "n", right=True),
            Column("reading", "Reading"),
        ),
        rows=tuple(
            (
                Cell(row.label),
                Cell(row.value_text, row.value),
                Cell(row.interval_text),
                Cell(row.n_text.removeprefix("n = ")),
                Cell(row.reading_text),
            )
            for row in rows
        ),
    )


def _estimates(result: ExperimentResult) -> Table | None:
    if result.comparison is None:
        return None
    rows = []
    for finding in result.comparison.findings:
        metric = words.metric_of(result, finding.metric)
        outcome = finding.outcome
        p = None if isinstance(outcome, Undetermined) else outcome.p
        adjusted = finding.adjusted.p if finding.adjusted else None
        rows.append(
            (
                Cell(words.noun(metric), note=finding.role),
                Cell(finding.variant),
                Cell(
                    "not determined" if finding.effect is None else words.signed(finding.effect.value, metric),
                    None if finding.effect is None else finding.effect.value,
                    note="" if finding.effect is None else words.interval(finding.effect, metric),
                ),
                Cell("–" if p is None else p_value(p), p),
                Cell("–" if adjusted is None else p_value(adjusted), adjusted),
                Cell("", status=words.status(finding)),
                Cell(finding.test or "–", note=one_line(finding.why, 140)),
            )
        )
    return Table(
        caption="Every effect against the control",
        columns=(
            Column("metric", "Metric"),
            Column("variant", "Variant"),
            Column("difference", "Difference", right=True),
            Column("p", "p", right=True),
            Column("p_adjusted", "p, corrected", right=True),
            Column("reading", "Reading"),
            Column("test", "Test and reason", wide=True),
        ),
        rows=tuple(rows),
        note=words.correction(result),
    )


# Variants


def _arms(result: ExperimentResult) -> Table:
    live = not result.declared.offline
    metrics = [aim.metric for aim in result.declared.aims] if result.comparison else []
    return Table(
        caption="The variants as they were measured",
        columns=(
            Column("variant", "Variant"),
            *((Column("traffic", "Planned", right=True),) if live else ()),
            Column("units", "Units" if live else "Cases", right=True),
            Column("calls", "Requests" if live else "Answers", right=True),
            *(Column(metric.name, words.noun(metric).capitalize(), right=True) for metric in metrics),
            Column("cost_usd", "Cost of the arm", right=True),
        ),
        rows=tuple(_arm(arm, metrics, live=live) for arm in result.arms),
        note="" if metrics or not live else "Effects and levels stay unseen until a look is due.",
    )


def _arm(arm: ArmResult, metrics: list[Metric], *, live: bool) -> tuple[Cell, ...]:
    what = ", ".join(one_line(each, 60) for each in (arm.model, arm.prompt) if each)
    note = f"control; {what}" if arm.control and what else "control" if arm.control else what
    return (
        Cell(arm.name, note=note),
        *((Cell(f"{arm.traffic}%", float(arm.traffic or 0)),) if live else ()),
        Cell(count(arm.units), arm.units),
        Cell(count(arm.requests), arm.requests),
        *(_level(arm, metric) for metric in metrics),
        Cell(
            money(arm.cost),
            None if arm.cost is None else float(arm.cost),
            note=f"{count(arm.unpriced)} unpriced" if arm.unpriced else "",
        ),
    )


def _level(arm: ArmResult, metric: Metric) -> Cell:
    value = arm.levels.get(metric.name)
    if value is None:
        return Cell("not measured")
    return Cell(words.level(value, metric), value, note=f"n = {count(arm.known.get(metric.name, 0))}")


# Pictures and lists


def _distributions(result: ExperimentResult) -> tuple[Figure, ...]:
    metric = result.declared.primary.metric
    return tuple(_distribution(result, index, each, metric) for index, each in enumerate(result.distributions))


def _distribution(result: ExperimentResult, index: int, each: Distribution, metric: Metric) -> Figure:
    offline = result.declared.offline
    title, subtitle = words.distribution(result, each.title, metric, offline=offline)
    return figure(
        f"distribution-{index}",
        title,
        subtitle,
        HALF,
        lambda width: histogram(
            each.edges,
            each.counts,
            width,
            label=f"{title}: {count(sum(each.counts))} in {len(each.counts)} bins.",
            tick=lambda value: words.tick(value, metric),
            lines=(),
            counted="cases" if offline else "units",
        ),
        table=_bins(title, each.edges, each.counts, metric),
    )


def _bins(title: str, edges: tuple[float, ...], counts: tuple[int, ...], metric: Metric) -> Table:
    return Table(
        caption=title,
        columns=(Column("from", "From", right=True), Column("to", "To", right=True), Column("n", "n", right=True)),
        rows=tuple(
            (
                Cell(words.tick(low, metric), low),
                Cell(words.tick(high, metric), high),
                Cell(count(number), number),
            )
            for low, high, number in zip(edges[:-1], edges[1:], counts, strict=True)
            if number
        ),
    )


def _disagreement(result: ExperimentResult, each: Disagreement) -> DisagreementView:
    metric = result.declared.primary.metric
    control = result.declared.control
    return DisagreementView(
        title=one_line(each.case_id, 80),
        summary=(
            f"{control} {words.level(each.control_value, metric)}, {each.variant} {words.level(each.value, metric)}"
        ),
        control=_quote(control, each.control_text),
        variant=_quote(each.variant, each.text),
    )


def _quote(label: str, text: str) -> Quote:
    return Quote(
        label=label,
        text=text[:LONGEST_TEXT],
        left_out=f"{count(len(text) - LONGEST_TEXT)} more characters" if len(text) > LONGEST_TEXT else "",
        empty="No text.",
    )


def _differs(difference: Difference) -> bool:
    return bool(difference.settings or difference.prompt)


def _difference(difference: Difference) -> DifferenceView:
    signs = {"same": " ", "gone": "−", "new": "+", "gap": " "}
    settings = Table(
        caption=f"Settings of {difference.variant} beside the control",
        columns=(
            Column("setting", "Setting"),
            Column("control", "Control", wide=True),
            Column("variant", difference.variant, wide=True),
        ),
        rows=tuple(
            (Cell(name), Cell(one_line(old, 300)), Cell(one_line(new, 300))) for name, old, new in difference.settings
        ),
    )
    return DifferenceView(
        title=difference.variant,
        settings=settings if difference.settings else None,
        prompt=tuple((line.kind, signs[line.kind], line.text) for line in difference.prompt),
    )


# The composite score


def _composite(result: ExperimentResult) -> Table | None:
    if not result.composite:
        return None
    criteria = list(result.composite[0].scores)
    return Table(
        caption="Composite score, 0 to 100",
        columns=(
            Column("variant", "Variant"),
            Column("rank", "Rank", right=True),
            Column("total", "Total", right=True),
            *(Column(each, each.replace("_", " ").capitalize(), right=True) for each in criteria),
        ),
        rows=tuple(
            (
                Cell(score.variant),
                Cell("–" if score.rank is None else str(score.rank), score.rank),
                Cell(
                    "incomplete" if score.total is None else decimal(score.total, 1),
                    score.total,
                    note=f"missing: {', '.join(each.replace('_', ' ') for each in score.missing)}"
                    if score.missing
                    else "",
                ),
                *(
                    Cell("not measured" if (value := score.scores[each]) is None else decimal(value, 1), value)
                    for each in criteria
                ),
            )
            for score in result.composite
        ),
    )


def _sensitivity(result: ExperimentResult) -> Table | None:
    if not result.sensitivity:
        return None
    return Table(
        caption="How the ranking moves when one weight moves",
        columns=(Column("change", "Change"), Column("ranking", "Ranking", wide=True), Column("leader", "Leader")),
        rows=tuple(
            (
                Cell(each.change.replace("_", " ")),
                Cell(", ".join(each.ranking)),
                Cell("the same" if each.same_leader else f"now {each.ranking[0]}"),
            )
            for each in result.sensitivity
        ),
    )


# What was decided


def _looks(result: ExperimentResult) -> Table:
    return Table(
        caption="Looks",
        columns=(Column("look", "Look", right=True), Column("at", "When"), Column("found", "Found", wide=True)),
        rows=tuple(
            (
                Cell(str(look.look), look.look),
                Cell(moment(look.at)),
                Cell(look.sentence, note=f"post hoc: {look.post_hoc}" if look.post_hoc else ""),
            )
            for look in reversed(result.looks)
        ),
        empty="No look was due yet.",
    )


def _life(result: ExperimentResult) -> Table:
    steps = [(each.at, each.status, each.actor, each.why) for each in result.life] + [
        (each.at, f"decided: {each.sentence}", each.actor, each.why or each.rule) for each in result.decisions
    ]
    return Table(
        caption="Life and decisions",
        columns=(
            Column("at", "When"),
            Column("what", "What", wide=True),
            Column("actor", "By"),
            Column("why", "Why", wide=True),
        ),
        rows=tuple(
            (Cell(moment(at)), Cell(what), Cell(actor), Cell(why or "–"))
            for at, what, actor, why in sorted(steps, key=lambda each: each[0])
        ),
    )
