"""An experiment in sentences: the verdict with its uncertainty in the same breath, claiming no more than the interval.

Numbers are said in the metric's own unit: shares in points of a hundred, times, dollars, tokens, stars.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from evaluations.comparisons import Comparison, Finding
from evaluations.estimates import Estimate
from evaluations.experiments import Aim, Declaration, Metric
from evaluations.statistics.outcomes import Undetermined
from evaluations.wording import DASH, MINUS, count, duration, money, percent, points

# Numbers in the unit of a metric


def signed(value: float, metric: Metric) -> str:
    """A difference with its sign and unit.

    >>> from evaluations.experiments import METRICS
    >>> signed(0.056, METRICS["quality"]), signed(-25.0, METRICS["latency_ms"]), signed(0.0042, METRICS["cost"])
    ('+5.6 pts', '−25 ms', '+$0.0042')
    """
    if metric.unit == "share":
        return points(value)
    return f"{'+' if value > 0 else MINUS if value < 0 else ''}{size(abs(value), metric)}"


def size(value: float, metric: Metric) -> str:
    """The size of a difference, without a sign."""
    match metric.unit:
        case "share":
            return points(abs(value)).removeprefix("+")
        case "ms":
            return duration(abs(value))
        case "usd":
            return money(abs(Decimal(repr(value))).quantize(Decimal("1e-12")))
        case "tokens":
            return f"{abs(value):,.3g} tokens" if abs(value) < 100 else f"{abs(value):,.0f} tokens"
        case "stars":
            return f"{abs(value):.2f} stars"


def level(value: float, metric: Metric) -> str:
    """A value of one arm.

    >>> from evaluations.experiments import METRICS
    >>> level(0.821, METRICS["quality"]), level(445.0, METRICS["latency_ms"])
    ('82.1%', '445 ms')
    """
    return percent(value) if metric.unit == "share" else size(value, metric)


def interval(effect: Estimate, metric: Metric, *, lost: bool = False) -> str:
    """The interval of an effect; `lost` says it as a loss, from the other side.

    >>> from evaluations.experiments import METRICS
    >>> effect = Estimate(value=0.056, low=0.012, high=0.099, n=934)
    >>> interval(effect, METRICS["quality"]), interval(effect, METRICS["quality"], lost=True)
    ('95% CI 1.2–9.9', '95% CI −9.9 to −1.2')
    """
    low, high = (-effect.high, -effect.low) if lost else (effect.low, effect.high)
    if metric.unit == "share":
        bounds = [f"{bound * 100:.1f}".replace("-", MINUS) for bound in (low, high)]
    else:
        bounds = [f"{MINUS if bound < 0 else ''}{size(bound, metric)}" for bound in (low, high)]
    dash = " to " if low < 0 or high < 0 else DASH
    return f"{effect.confidence * 100:.4g}% CI {dash.join(bounds)}"


def noun(metric: Metric) -> str:
    """What a metric is called in a sentence."""
    return metric.name.removeprefix("scorer:").removesuffix("_ms").replace("_", " ")


def effect_words(finding: Finding, metric: Metric) -> str:
    """An effect with its name and interval: "+5.6 pts quality (95% CI 1.2–9.9)"."""
    assert finding.effect is not None
    return f"{signed(finding.effect.value, metric)} {noun(metric)} ({interval(finding.effect, metric)})"


# The verdict


def verdict_sentence(comparison: Comparison, declared: Declaration) -> str:
    """The verdict of an experiment in one to three sentences."""
    if comparison.blocked:
        return f"No verdict: {comparison.blocked.rstrip('.')}."
    aims = {aim.metric.name: aim for aim in declared.aims}
    if comparison.winners:
        return _won(comparison, aims)
    findings = [comparison.primary(variant) for variant in comparison.plan.variants]
    better = [each for each in findings if each.verdict == "better"]
    if better:
        return _vetoed(comparison, better[0], aims)
    words = {each.verdict for each in findings}
    if words == {"equivalent"}:
        return _same(comparison, findings, aims)
    if words == {"worse"}:
        losses = "; ".join(_loss(each, aims[each.metric].metric) for each in findings)
        return f"{comparison.plan.control} stays: {losses}."
    return _open(comparison, findings, aims)


def _won(comparison: Comparison, aims: Mapping[str, Aim]) -> str:
    best = comparison.primary(comparison.winners[0])
    said = [
        f"{best.variant} wins: {effect_words(best, aims[best.metric].metric)}{_side_effects(comparison, best, aims)}."
    ]
    open_guards = [name for name, guard in comparison.guards(best.variant).items() if guard == "open"]
    if open_guards:
        limits = [f"{noun(aims[name].metric)} stays within {_margin(name, aims)}" for name in open_guards]
        said.append(f"Not shown yet: that {_and(limits)}.")
    if others := comparison.winners[1:]:
        verb = "is" if len(others) == 1 else "are"
        said.append(f"{_and(others)} {verb} better than {comparison.plan.control}, too.")
    return " ".join(said)


def _side_effects(comparison: Comparison, best: Finding, aims: Mapping[str, Aim]) -> str:
    """What clearly became of latency and cost, in a few words: an interval across zero is left out."""
    said = [
        f"{noun(aims[each.metric].metric)} {signed(each.effect.value, aims[each.metric].metric)}"
        for each in comparison.findings
        if each.variant == best.variant
        and each.metric in ("latency_ms", "cost")
        and each.role != "primary"
        and each.effect is not None
        and not each.effect.low <= 0 <= each.effect.high
    ]
    return "".join(f", {each}" for each in said)


def _vetoed(comparison: Comparison, better: Finding, aims: Mapping[str, Aim]) -> str:
    broken = [name for name, guard in comparison.guards(better.variant).items() if guard == "violated"]
    harm = comparison.of(broken[0], better.variant)
    gain, loss = (effect_words(each, aims[each.metric].metric) for each in (better, harm))
    return (
        f"{comparison.plan.control} stays: {better.variant} brings {gain}, but {loss} is beyond the margin of "
        f"{_margin(harm.metric, aims)}."
    )


def _loss(finding: Finding, metric: Metric) -> str:
    assert finding.effect is not None
    if metric.direction == "down":
        return f"{finding.variant} is worse by {effect_words(finding, metric)}"
    interval_said = interval(finding.effect, metric, lost=True)
    return f"{finding.variant} loses {size(finding.effect.value, metric)} {noun(metric)} ({interval_said})"


def _same(comparison: Comparison, findings: Sequence[Finding], aims: Mapping[str, Aim]) -> str:
    first, control = findings[0], comparison.plan.control
    margin = _margin(first.metric, aims)
    if len(findings) > 1:
        return (
            f"No meaningful difference: {_and([each.variant for each in findings])} are within ±{margin} of {control}."
        )
    assert first.effect is not None
    within = interval(first.effect, aims[first.metric].metric)
    beside = _side_effects(comparison, first, aims).removeprefix(", ")
    more = f" Beside it: {beside}." if beside else ""
    return f"No meaningful difference: {first.variant} is within ±{margin} of {control} ({within}).{more}"


def _open(comparison: Comparison, findings: Sequence[Finding], aims: Mapping[str, Aim]) -> str:
    first = next((each for each in findings if each.verdict == "not_enough_data"), findings[0])
    if isinstance(first.outcome, Undetermined) or first.effect is None:
        why = first.outcome.why if isinstance(first.outcome, Undetermined) else first.why
        return f"Not enough data: {why.rstrip('.')}."
    said = f"Not enough data: {effect_words(first, aims[first.metric].metric)}, n = {count(first.effect.n)}."
    if first.more:
        unit = "cases" if comparison.plan.design == "paired_offline" else "units"
        said += f" About {count(_about(first.more))} more {unit} would settle {first.more_for or 'it'}."
    return said


def _margin(name: str, aims: Mapping[str, Aim]) -> str:
    aim = aims[name]
    return "no margin" if aim.margin is None else size(aim.margin, aim.metric)


def _about(number: int) -> int:
    """Two significant figures: more would claim what no plan knows."""
    digits = max(0, len(str(number)) - 2)
    return round(number, -digits)


def _and(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
