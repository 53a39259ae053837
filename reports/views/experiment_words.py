"""The words of an experiment's page. Its numbers are written as the verdict sentence writes them."""

from decimal import Decimal

from evaluations.comparisons import Finding
from evaluations.experiment_results import ArmResult, ExperimentResult
from evaluations.experiment_words import effect_words, interval, level, noun, signed, size
from evaluations.experiments import Metric, Role
from evaluations.statistics.outcomes import Undetermined
from evaluations.statistics.sample_ratio import SampleRatio
from reports.charts import Reading
from reports.format import count, decimal, moment, money, one_line, p_value, share
from reports.views.parts import Banner, Fact, Kpi, Status, Verdict

__all__ = ["interval", "level", "noun", "signed", "size"]

READINGS: dict[str, Status] = {
    "better": Status("Better", "good", "check"),
    "worse": Status("Worse", "bad", "cross"),
    "equivalent": Status("No meaningful difference", "plain", "check"),
    "not_enough_data": Status("Not enough data", "warn", "wave"),
    "blocked": Status("Blocked", "bad", "bang"),
    "holds": Status("Holds", "good", "check"),
    "violated": Status("Violated", "bad", "cross"),
    "open": Status("Not shown yet", "warn", "wave"),
}
STATUS_WORDS = {
    "running": "It runs.",
    "paused": "It is paused: everyone gets the control.",
    "completed": "It is over.",
    "cancelled": "It was cancelled; what was measured proves nothing, because stopping may depend on it.",
    "failed": "It failed.",
}
METHODS = {
    "fixed": "one look at the planned number",
    "group_sequential": "planned looks with O'Brien-Fleming boundaries",
    "always_valid": "a confidence sequence that holds at every look",
    "bayesian": "expected loss under a rule calibrated to the error rate",
}
MODES = {
    "prompt_variant": "the prompt",
    "model_comparison": "the model",
    "parameter_tuning": "the parameters",
    "mixed": "several things at once, so an effect cannot be put down to one of them",
}


def metric_of(result: ExperimentResult, name: str) -> Metric:
    return result.declared.aim(name).metric


def tick(value: float, metric: Metric) -> str:
    """A value at an axis: short, with its unit."""
    if metric.unit == "share":
        return f"{decimal(value * 100, 1).removesuffix('.0')} pts"
    sign = "−" if value < 0 else ""
    return f"{sign}{size(value, metric)}"


# The first screen


def about(result: ExperimentResult) -> str:
    declared = result.declared
    what = (
        f"Suite {one_line(declared.suite or '', 60)}, every variant on every case"
        if declared.offline
        else f"Live traffic of {one_line(declared.feature, 60)} in {declared.environment}"
    )
    began = next((step.at for step in result.life if step.status == "running"), None)
    since = f" Started {moment(began)}." if began else ""
    return f"{what}. What differs: {MODES[declared.type]}.{since} Experiment {result.id[:8]}."


def marks(result: ExperimentResult) -> tuple[str, ...]:
    return (*(("SIMULATED",) if result.simulated else ()), *(("Sample data",) if result.sample_data else ()))


def banners(result: ExperimentResult) -> tuple[Banner, ...]:
    found = []
    if result.comparison is not None and result.comparison.blocked:
        found.append(Banner("bad", "No verdict.", f"{result.comparison.blocked}. Fix the split, then start anew."))
    if result.status in ("paused", "cancelled", "failed"):
        found.append(Banner("warn", f"{result.status.capitalize()}.", STATUS_WORDS[result.status]))
    if result.decisions and not result.decisions[-1].automatic:
        last = result.decisions[-1]
        found.append(Banner("warn", f"Overridden by {last.actor}.", f"{last.why}. What the rule found stands below."))
    return tuple(found)


def verdict(result: ExperimentResult) -> Verdict:
    """The sentence, its head in the tone of what it says."""
    head, colon, rest = result.sentence.partition(":")
    tone = _tone(result)
    return Verdict(tone, head, f"{colon}{rest}") if colon else Verdict(tone, result.sentence, "")  # type: ignore[arg-type]


def _tone(result: ExperimentResult) -> str:
    comparison = result.comparison
    if comparison is None:
        return "warn"
    if comparison.blocked:
        return "bad"
    if comparison.winners:
        return "good"
    words = {comparison.primary(variant).verdict for variant in comparison.plan.variants}
    return {frozenset({"equivalent"}): "plain", frozenset({"worse"}): "bad"}.get(frozenset(words), "warn")


def facts(result: ExperimentResult) -> tuple[Fact, ...]:
    return (_decision(result), _money(result), _risk(result), _next(result))


def _decision(result: ExperimentResult) -> Fact:
    declared = result.declared
    metric, effect = declared.primary.metric, declared.primary.minimum_effect
    rule = f"Declared before the start: {noun(metric)}, {METHODS[declared.method]}, alpha {declared.alpha:g}"
    rule += f", smallest effect of interest {size(effect, metric)}." if effect else "."
    if not result.decisions:
        return Fact(
            label="Decision",
            status=Status("Open", "warn", "wave"),
            sentences=(f"{result.occasion.capitalize()}.", rule),
        )
    last = result.decisions[-1]
    chosen = one_line(last.variant or "", 40)
    taken = {
        "variant": Status(f"{'Keep' if last.variant == declared.control else 'Take'} {chosen}", "good", "check"),
        "no_difference": Status("No difference", "plain", "check"),
        "inconclusive": Status("Inconclusive", "warn", "wave"),
    }[last.outcome]
    how = "by the declared rule" if last.automatic else f"by {one_line(last.actor, 40)}, against or beside the rule"
    return Fact(label="Decision", status=taken, sentences=(f"Taken {how}.", rule))


def _money(result: ExperimentResult) -> Fact:
    priced = [arm.cost for arm in result.arms if arm.cost is not None]
    unpriced = sum(arm.unpriced for arm in result.arms)
    spent = (
        f"The calls of the experiment cost {money(sum(priced, Decimal(0)))}." if priced else "Nothing of it was priced."
    )
    sentences = [spent + (f" {count(unpriced, 'call')} unpriced." if unpriced else "")]
    sentences += _beside_the_control(result)
    return Fact(label="Money", status=None, sentences=tuple(sentences[:3]))


def _beside_the_control(result: ExperimentResult) -> list[str]:
    """What a call of each variant costs beside one of the control, no surer than its interval."""
    control = next(arm for arm in result.arms if arm.control)
    base, said = control.levels.get("cost"), []
    for finding in result.comparison.findings if result.comparison else ():
        if finding.metric != "cost" or finding.effect is None:
            continue
        if finding.effect.low <= 0 <= finding.effect.high:
            said.append(f"Whether a call of {finding.variant} costs more or less is not clear.")
        elif base:
            change = abs(finding.effect.value) / base
            word = "more" if finding.effect.value > 0 else "less"
            said.append(f"A call of {finding.variant} costs {share(change)} {word} than one of {control.name}.")
    return said


def _risk(result: ExperimentResult) -> Fact:
    comparison = result.comparison
    if comparison is None:
        return Fact(
            label="Risk", status=None, sentences=("Effects stay unseen: looking at them early would be a look.",)
        )
    guards = [finding for finding in comparison.findings if finding.guard is not None]
    if not guards:
        none = "No guardrail was declared: harm elsewhere would not have been noticed."
        return Fact(label="Risk", status=Status("No guardrails", "warn", "bang"), sentences=(none,))
    violated = [each for each in guards if each.guard == "violated"]
    unsure = [each for each in guards if each.guard == "open"]
    if violated:
        said = tuple(f"{each.variant}: {_effect(result, each)}." for each in violated[:3])
        return Fact(
            label="Risk", status=Status(f"{count(len(violated), 'guardrail')} violated", "bad", "cross"), sentences=said
        )
    if unsure:
        said = tuple(
            f"{each.variant}: harm by {noun(metric_of(result, each.metric))} is not ruled out." for each in unsure[:3]
        )
        return Fact(label="Risk", status=Status("Not ruled out", "warn", "wave"), sentences=said)
    held = f"All {count(len(guards), 'guardrail')} hold: harm beyond their margins is ruled out."
    return Fact(label="Risk", status=Status("Guardrails hold", "good", "check"), sentences=(held,))


def _effect(result: ExperimentResult, finding: Finding) -> str:
    metric = metric_of(result, finding.metric)
    return effect_words(finding, metric) if finding.effect is not None else f"{noun(metric)} not determined"


def _next(result: ExperimentResult) -> Fact:
    name = one_line(result.declared.experiment, 60)
    if result.comparison is not None and result.comparison.blocked:
        return Fact(
            label="Next step",
            status=None,
            sentences=("Find why the split is off; nothing can be concluded from it.",),
            command=f"assay experiments cancel {name} --why …",
        )
    if result.status == "running":
        return Fact(
            label="Next step",
            status=None,
            sentences=("Let it run; the flow looks at it when a look is due.",),
            command=f"assay experiments watch {name}",
        )
    chosen = result.decisions[-1].variant if result.decisions else None
    if chosen is not None and chosen != result.declared.control:
        winner = one_line(chosen, 40)
        return Fact(
            label="Next step",
            status=None,
            sentences=(f"Bring {winner} into production, step by step.",),
            command=f"assay experiments winner {name}",
        )
    more = _more(result)
    return Fact(label="Next step", status=None, sentences=(more or f"{result.declared.control} stays.",))


def _more(result: ExperimentResult) -> str:
    if result.comparison is None:
        return ""
    for variant in result.comparison.plan.variants:
        finding = result.comparison.primary(variant)
        if finding.more:
            unit = "cases" if result.declared.offline else "units"
            return f"About {count(finding.more)} more {unit} would settle {finding.more_for or 'it'}."
    return ""


def kpis(result: ExperimentResult) -> tuple[Kpi, ...]:
    """The primary metric of every variant, up to four."""
    metric = result.declared.primary.metric
    found = []
    for arm in result.arms[:4]:
        value = arm.levels.get(metric.name)
        finding = None
        if result.comparison is not None and not arm.control:
            finding = result.comparison.primary(arm.name)
        units = count(arm.units, "case" if result.declared.offline else "unit")
        found.append(
            Kpi(
                label=one_line(arm.name, 40) + (" (control)" if arm.control else ""),
                value="not shown"
                if result.comparison is None
                else "not measured"
                if value is None
                else level(value, metric),
                note=f"{noun(metric)}, {units}",
                status=None if finding is None else status(finding),
            )
        )
    return tuple(found)


# Effects


def status(finding: Finding) -> Status:
    return READINGS[finding.guard or finding.verdict]


def reading(finding: Finding) -> tuple[Reading, str]:
    word = finding.guard or finding.verdict
    tone: Reading = (
        "good" if word in ("better", "holds") else "bad" if word in ("worse", "violated", "blocked") else "open"
        if word in ("not_enough_data", "open") else "plain"
    )  # fmt: skip
    if finding.effect is not None and finding.effect.low <= 0 <= finding.effect.high and tone != "bad":
        # An interval across zero is never drawn as a gain.
        tone = "open" if word != "equivalent" else "plain"
    return tone, READINGS[word].word


def primary_title(result: ExperimentResult) -> str:
    metric = result.declared.primary.metric
    comparison = result.comparison
    assert comparison is not None
    if comparison.blocked:
        return f"{noun(metric).capitalize()}: the split is off, so this proves nothing"
    best = [comparison.primary(variant) for variant in comparison.plan.variants]
    words = {each.verdict for each in best}
    if "better" in words:
        name = next(each.variant for each in best if each.verdict == "better")
        return f"{one_line(name, 50)} is better in {noun(metric)}"
    if words == {"worse"}:
        return f"{result.declared.control} is better in {noun(metric)}"
    if words == {"equivalent"}:
        return f"No meaningful difference in {noun(metric)}"
    return f"No clear difference in {noun(metric)} yet"


def other_title(result: ExperimentResult, role: Role, name: str) -> str:
    kind = "Guardrail" if role == "guardrail" else "Also measured"
    return f"{kind}: {noun(metric_of(result, name))}"


def correction(result: ExperimentResult) -> str:
    declared = result.declared
    said = f"Secondary metrics are corrected for their number ({declared.correction}); they decide nothing."
    return (
        said
        if any(aim.role == "secondary" for aim in declared.aims)
        else "Guardrails are outside the correction: each has its own margin."
    )


# Is it sound


def split(result: ExperimentResult) -> tuple[str, ...]:
    if result.declared.offline:
        return ("Every variant answered every case, in the same window and interleaved, so no split can be off.",)
    found = result.comparison.sample_ratio if result.comparison else None
    sentences = []
    if isinstance(found, SampleRatio):
        arms = "; ".join(
            f"{arm.name} {share(seen)} of {share(planned)} planned"
            for arm, seen, planned in zip(_in_plan(result), found.observed, found.planned, strict=True)
        )
        alarm = "an alarm: the split is off" if found.mismatch else "no alarm"
        sentences.append(f"Sample ratio: {arms} ({p_value(found.p)}, {found.method}): {alarm}.")
    elif isinstance(found, Undetermined):
        sentences.append(f"Sample ratio: {found.why}.")
    else:
        sentences.append("The sample ratio raised no alarm at any time so far.")
    if result.crossed:
        sentences.append(f"{count(result.crossed, 'unit')} were seen in more than one variant and are left out of all.")
    if result.strangers:
        named = ", ".join(
            f"{one_line(name, 40) or 'no name'} ({count(number)})"
            for name, number in sorted(result.strangers.items())[:5]
        )
        sentences.append(f"Requests by a name that is no variant are left out: {named}.")
    if result.outside:
        sentences.append(
            f"{count(result.outside, 'request')} that carry the experiment began before it did, or after it ended, by "
            "their own clocks; they are left out."
        )
    return tuple(sentences)


def _in_plan(result: ExperimentResult) -> list[ArmResult]:
    """The control first, then the others as declared: the order of the sample ratio."""
    return sorted(result.arms, key=lambda arm: not arm.control)


def enough(result: ExperimentResult) -> tuple[str, ...]:
    unit = "cases" if result.declared.offline else "units in the smallest arm"
    smallest = min((arm.units for arm in result.arms), default=0)
    sentences = []
    if result.planned_n and not result.declared.offline:
        sentences.append(f"{count(smallest)} of {count(result.planned_n)} planned {unit}.")
    else:
        sentences.append(f"{count(smallest)} {unit}.")
    if result.comparison is None:
        return tuple(sentences)
    metric = result.declared.primary.metric
    for variant in result.comparison.plan.variants:
        finding = result.comparison.primary(variant)
        if finding.detectable is not None:
            sentences.append(
                f"With this many, a true difference of {size(finding.detectable, metric)} between {variant} and "
                f"{result.declared.control} is found in {share(result.declared.power, trim=True)} of experiments."
            )
        if finding.left_out:
            sentences.append(f"{count(finding.left_out, 'case')} without a value in one of both are left out.")
    if more := _more(result):
        sentences.append(more)
    return tuple(sentences)


def distribution(result: ExperimentResult, name: str, metric: Metric, *, offline: bool) -> tuple[str, str]:
    if offline:
        return (
            f"{one_line(name, 50)} beside {result.declared.control}, case by case",
            f"difference in {noun(metric)} of each case; zero means the same",
        )
    return f"{one_line(name, 50)}: {noun(metric)} by unit", "units by their own value"


def disagreements(result: ExperimentResult) -> str:
    shown = len(result.disagreements)
    whole = count(result.disagreements_in_all, "case")
    first = f"The first {count(shown)} of {whole}" if shown < result.disagreements_in_all else whole.capitalize()
    return f"{first} on which a variant and {result.declared.control} came out differently, the widest apart first."


def composite(result: ExperimentResult) -> str:
    return (
        f"Profile {result.profile}. Speed, tokens and cost are scored against the control: 50 is as good, 100 twice as "
        "good. The score ranks; it does not decide."
    )


def method(result: ExperimentResult) -> tuple[str, ...]:
    words = [
        "A verdict rests on the primary metric alone, by the interval, alpha and method that were declared before the "
        "start. A guardrail holds when harm beyond its margin is ruled out by the one-sided interval.",
        "Offline a case counts once, however often it was repeated. Live the unit is the person or session that was "
        "assigned; several requests of one unit never count as several units.",
        "Equivalence is shown when the whole interval at 1 - 2 alpha lies within the margin (two one-sided tests).",
    ]
    if result.comparison is not None and result.comparison.printed_rule:
        words.append(f"The rule that chooses the test: {result.comparison.printed_rule.replace(chr(10), '; ')}.")
    if result.config_hash:
        words.append(f"What was declared is frozen as {result.config_hash}.")
    return tuple(words)
