"""`compare`: every variant against the control on every metric, by tests that a printed rule chooses.

The order is fixed. The split of the traffic comes first and blocks every verdict when it is broken. Then a test for
each pair, taken by design, kind of metric and data (`choosing.RULE`); where the data leave its domain, the next one in
the list; where none is left, "the interval is not reliable" and no verdict. Then the families, then the words.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil, isfinite
from typing import TYPE_CHECKING, Final

from evaluations.comparisons import Belief, Comparison, Finding, Guard, Plan, Question, Verdict
from evaluations.errors import unknown_name
from evaluations.estimates import Estimate
from evaluations.statistics import bayes, multiplicity, sample_ratio, sequential
from evaluations.statistics.choosing import PAIRED, RULE, TAILS, TESTS, Pair, UnknownTest, first_place, printed_rule
from evaluations.statistics.outcomes import Determined, Outcome, Undetermined
from evaluations.statistics.proportions import normal_quantile

if TYPE_CHECKING:
    import numpy as np

    from evaluations.statistics.choosing import Measured

LARGEST: Final = 1e150
"""The square of a larger value is beyond what a number can hold."""


def compare(
    plan: Plan,
    questions: Sequence[Question],
    measured: "Mapping[str, Mapping[str, Measured]]",
    *,
    generator: "np.random.Generator",
    units: Mapping[str, int] | None = None,
    clusters: "Sequence[object] | None" = None,
) -> Comparison:
    """Every variant against the control on every question, and the verdict on each.

    `measured` has, by metric and by variant (the control too): offline one value for each case in one order of cases,
    shape (cases,), NaN where there is none; live the values of the units, shape (units,), or their sums
    (`PairMoments`: the metric's sum and the number of its values for each unit). `units` counts, live, who was assigned
    to each variant, whether they have a value or not. `clusters`, offline, says what case belongs with what.
    `generator` is for tests that resample.

    Data that cannot be compared give a finding with a typed reason. Raises UnknownTest for a test by a name that is
    not known or does not fit, ValueError for a plan that is none (no primary question, a metric twice).
    Source: each test its own; the order after Kohavi, Tang and Xu (2020), "Trustworthy Online Controlled Experiments".

    >>> import numpy as np
    >>> plan = Plan(design="live_split", control="A", variants=("B",), traffic={"A": 50, "B": 50})
    >>> values = {"A": np.repeat([1.0, 0.0], [349, 107]), "B": np.repeat([1.0, 0.0], [392, 86])}
    >>> units = {"A": 456, "B": 478}
    >>> quality = Question(metric="quality", kind="binary")
    >>> found = compare(plan, [quality], {"quality": values}, generator=np.random.default_rng(1), units=units)
    >>> finding = found.primary("B")
    >>> print(f"{finding.verdict}: {finding.effect.value:+.3f} [{finding.effect.low:.3f}, {finding.effect.high:.3f}]")
    better: +0.055 [0.003, 0.107]
    """
    _check(plan, questions)
    ratio, blocked = _split(plan, units)
    pairs: dict[tuple[str, str], Pair | Undetermined] = {}
    for question in questions:
        for variant in plan.variants:
            seed = int(generator.integers(2**62))
            pairs[question.metric, variant] = _pair(
                plan, question, measured.get(question.metric, {}), variant, clusters, seed
            )
    chosen = {
        (question.metric, variant): _choose(plan, question, pairs[question.metric, variant])
        for question in questions
        for variant in plan.variants
    }
    adjusted = _families(plan, questions, chosen)
    findings = tuple(
        _finding(plan, question, variant, chosen[question.metric, variant], adjusted, blocked)
        for question in questions
        for variant in plan.variants
    )
    return Comparison(plan=plan, findings=findings, sample_ratio=ratio, blocked=blocked, printed_rule=printed_rule())


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Chosen:
    """The test of one pair, and what it says at the plan's alpha."""

    pair: Pair | None
    name: str
    because: str
    outcome: Outcome


def _check(plan: Plan, questions: Sequence[Question]) -> None:
    primaries = [question.metric for question in questions if question.role == "primary"]
    if len(primaries) != 1:
        raise ValueError(f"one question is the primary one; got {len(primaries)}")
    if len({question.metric for question in questions}) != len(questions):
        raise ValueError("a metric is asked about once")
    if not plan.variants or plan.control in plan.variants or len(set(plan.variants)) != len(plan.variants):
        raise ValueError("variants are named once each, and the control is none of them")
    if not 0 < plan.alpha < 0.5 or not 0 < plan.power < 1:
        raise ValueError(f"alpha lies in (0, 0.5) and power in (0, 1); got {plan.alpha} and {plan.power}")
    if any(question.margin is not None and not question.margin > 0 for question in questions):
        raise ValueError("a margin is positive, in the unit of its metric")
    if plan.looking == "group_sequential" and not plan.looks:
        raise ValueError("a group-sequential plan says at which fractions it was looked at")
    if plan.looking == "bayesian" and plan.rule is None:
        raise ValueError("a bayesian plan has the rule that declares")


def _split(plan: Plan, units: Mapping[str, int] | None) -> tuple[sample_ratio.SampleRatio | Undetermined | None, str]:
    """The sample ratio, and why it blocks the verdict."""
    if plan.design != "live_split":
        return None, ""
    names = (plan.control, *plan.variants)
    missing = [name for name in names if name not in plan.traffic]
    total = sum(plan.traffic.values())
    if missing or not abs(total - 100) < 1e-6:
        why = (
            f"no share of the traffic is planned for {', '.join(missing)}"
            if missing
            else (f"the planned traffic adds up to {total:g}%, not 100%")
        )
        return Undetermined(reason="out of range", why=why), why
    if units is None:
        why = "nobody counted who was assigned to each variant, so the split cannot be checked"
        return Undetermined(reason="empty", why=why), why
    counts = [units.get(name, 0) for name in names]
    weights = [plan.traffic[name] for name in names]
    check = sample_ratio.sample_ratio if plan.looking == "fixed" else sample_ratio.sample_ratio_any_time
    found = check(counts, weights)
    if isinstance(found, Undetermined):
        # Nobody has come yet: nothing is broken, and there is nothing to compare.
        return found, "" if found.reason == "empty" else found.why
    if not found.mismatch:
        return found, ""
    worst = found.furthest
    p = "p < 0.0001" if found.p < 0.0001 else f"p = {found.p:.2g}"
    return found, (
        f"{found.observed[worst]:.1%} of the units went to {names[worst]}, {found.planned[worst]:.1%} planned ({p})"
    )


def _pair(
    plan: Plan,
    question: Question,
    arms: "Mapping[str, Measured]",
    variant: str,
    clusters: "Sequence[object] | None",
    seed: int,
) -> Pair | Undetermined:
    """Treatment and control side by side; offline only cases that have a value under both."""
    import numpy as np

    missing = [name for name in (variant, plan.control) if name not in arms]
    if missing:
        return Undetermined(reason="empty", why=f"the metric was not measured under {' and '.join(missing)}")
    treatment, control, skew = arms[variant], arms[plan.control], TAILS[question.kind]
    if type(treatment) is not type(control):
        raise ValueError(f"both arms are given in the same form; got {type(treatment)} and {type(control)}")
    if not (isinstance(treatment, np.ndarray) and isinstance(control, np.ndarray)):
        if plan.design == "paired_offline":
            raise ValueError("offline every case has a value for each variant; sums lose which belong together")
        return Pair(treatment=treatment, control=control, clusters=None, seed=seed, assumed_skew=skew)
    for name, values in ((variant, treatment), (plan.control, control)):
        # NaN compares as false: it stands for a value that is not there.
        if broken := int((np.abs(values) > LARGEST).sum()):
            why = f"{broken} of {values.size} values under {name} are infinite, or as good as"
            return Undetermined(reason="not finite", why=why, n=values.size)
    if plan.design == "live_split":
        kept = [each[~np.isnan(each)] for each in (treatment, control)]
        lost = treatment.size + control.size - kept[0].size - kept[1].size
        return Pair(treatment=kept[0], control=kept[1], clusters=None, seed=seed, assumed_skew=skew, left_out=lost)
    if treatment.shape != control.shape or treatment.ndim != 1:
        raise ValueError(f"both variants have the same cases; got shapes {treatment.shape} and {control.shape}")
    both = ~np.isnan(treatment) & ~np.isnan(control)
    groups = None if clusters is None else [clusters[i] for i in np.flatnonzero(both).tolist()]
    return Pair(
        treatment=treatment[both],
        control=control[both],
        clusters=groups,
        seed=seed,
        assumed_skew=skew,
        left_out=int((~both).sum()),
    )


def _choose(plan: Plan, question: Question, pair: Pair | Undetermined) -> _Chosen:
    if isinstance(pair, Undetermined):
        return _Chosen(pair=None, name="", because="", outcome=pair)
    if question.test is not None:
        name = question.test
        if name not in TESTS:
            raise UnknownTest(unknown_name("test", name, list(TESTS)))
        if (name in PAIRED) != (plan.design == "paired_offline"):
            fitting = [each for each in TESTS if (each in PAIRED) == (plan.design == "paired_offline")]
            raise UnknownTest(f"{name} is no test for {plan.design}. These are: {', '.join(fitting)}.")
        return _Chosen(pair=pair, name=name, because="forced by its name", outcome=_run(plan, pair, name, plan.alpha))
    line = next(each for each in RULE if each.design == plan.design and question.kind in each.kinds and each.fits(pair))
    names = line.tests
    if plan.looking != "fixed":
        # Looks need an estimate with a standard error that grows with the data; ranks and resampling have none.
        names = tuple(name for name in names if TESTS[name].differences is not None) or names[:1]
    tried = [(name, _run(plan, pair, name, plan.alpha)) for name in names[:1]]
    for name in names[1:]:
        last = tried[-1][1]
        if isinstance(last, Undetermined) or last.reliable:
            break  # another test makes no more of data that are not there
        tried.append((name, _run(plan, pair, name, plan.alpha)))
    name, outcome = tried[-1] if isinstance(tried[-1][1], Determined) and tried[-1][1].reliable else tried[0]
    return _Chosen(pair=pair, name=name, because=f"rule {RULE.index(line) + 1}: {line}", outcome=outcome)


def _run(plan: Plan, pair: Pair, name: str, alpha: float) -> Outcome:
    """What the test says at this alpha, at a look of this plan."""
    test = TESTS[name]
    if plan.looking in ("fixed", "bayesian"):
        return test.run(pair, 1 - alpha)
    if test.differences is None:
        raise UnknownTest(f"{name} cannot be looked at more than once; take `method: fixed`, or leave the test open.")
    found = test.differences(pair, 1 - alpha)
    if plan.looking == "group_sequential":
        looked = sequential.at_look(found, plan.looks, spending=plan.spending)
    else:
        arms = 1 if plan.design == "paired_offline" else 2
        looked = sequential.any_time(found, planned_n=(plan.planned_n or 2_500) * arms)
    least = min(pair.sizes)
    doubts = (
        ()
        if least >= sequential.FIRST_LOOK
        else (f"only {least} units in an arm; looks are measured from {sequential.FIRST_LOOK} on",)
    )
    return looked.one(first_place(looked), doubts=doubts)


def _families(
    plan: Plan, questions: Sequence[Question], chosen: Mapping[tuple[str, str], _Chosen]
) -> dict[multiplicity.Hypothesis, multiplicity.Adjusted]:
    """The primary metric over all variants is one family, secondary metrics are others, guardrails none."""
    adjusted: dict[multiplicity.Hypothesis, multiplicity.Adjusted] = {}
    for role in ("primary", "secondary"):
        tests = {
            multiplicity.Hypothesis(metric=question.metric, variant=variant): _p_of(
                chosen[question.metric, variant].outcome
            )
            for question in questions
            if question.role == role
            for variant in plan.variants
        }
        scope = "whole" if role == "primary" else plan.scope
        adjusted |= multiplicity.adjust_families(tests, correction=plan.correction, scope=scope, alpha=plan.alpha)
    return adjusted


def _p_of(outcome: Outcome) -> float | None:
    if isinstance(outcome, Undetermined) or outcome.p is None:
        return None
    return min(1.0, max(0.0, outcome.p))


def _finding(
    plan: Plan,
    question: Question,
    variant: str,
    chosen: _Chosen,
    families: Mapping[multiplicity.Hypothesis, multiplicity.Adjusted],
    blocked: str,
) -> Finding:
    outcome, pair = chosen.outcome, chosen.pair
    adjusted = families.get(multiplicity.Hypothesis(metric=question.metric, variant=variant))
    if isinstance(outcome, Undetermined) or outcome.effect is None or pair is None:
        why = outcome.why if isinstance(outcome, Undetermined) else "the test gives no interval"
        return Finding(
            metric=question.metric,
            variant=variant,
            role=question.role,
            direction=question.direction,
            verdict="blocked" if blocked else "not_enough_data",
            why=blocked or why,
            test=chosen.name,
            because=chosen.because,
            outcome=outcome,
            adjusted=adjusted,
            effect=None,
            guard="open" if question.role == "guardrail" else None,
            left_out=pair.left_out if pair else 0,
        )
    level = adjusted.level if adjusted else plan.alpha
    effect = _effect(plan, pair, chosen.name, level, outcome)
    # Equivalence is claimed for every member of a family alike: each claim gets its share of alpha.
    share = plan.alpha / (adjusted.size if adjusted and plan.correction != "none" else 1)
    narrow = _effect(plan, pair, chosen.name, 2 * share, outcome)
    margin = question.margin if TESTS[chosen.name].same_unit else None
    within = None if margin is None else -margin < narrow.low and narrow.high < margin
    belief = _belief(plan, question, outcome, outcome.effect)
    verdict, why = _verdict(plan, question, pair, outcome, adjusted, effect, within, belief)
    more, more_for = _more(plan, question, pair, effect, level, margin) if verdict == "not_enough_data" else (None, "")
    return Finding(
        metric=question.metric,
        variant=variant,
        role=question.role,
        direction=question.direction,
        verdict="blocked" if blocked else verdict,
        why=blocked or why,
        test=chosen.name,
        because=chosen.because,
        outcome=outcome,
        adjusted=adjusted,
        effect=effect,
        narrow=narrow,
        within_margin=within,
        guard=_guard(question, narrow, margin, outcome.reliable) if question.role == "guardrail" else None,
        belief=belief,
        more=None if blocked else more,
        more_for="" if blocked else more_for,
        detectable=_detectable(plan, effect, level),
        left_out=pair.left_out,
    )


def _effect(plan: Plan, pair: Pair, name: str, level: float, outcome: Determined) -> Estimate:
    """The effect with its interval at another level than that of the outcome."""
    known = outcome.effect
    assert known is not None
    if abs(level - plan.alpha) < 1e-12:
        return known
    if TESTS[name].plain and plan.looking in ("fixed", "bayesian"):
        # Half the width in its own quantiles is the standard error, which does not change with the level.
        half = (
            (known.high - known.low)
            / 2
            * _quantile(1 - level / 2, outcome.df)
            / _quantile(1 - plan.alpha / 2, outcome.df)
        )
        return replace(known, low=known.value - half, high=known.value + half, confidence=1 - level)
    found = _run(plan, pair, name, level)
    assert isinstance(found, Determined)
    assert found.effect is not None
    return found.effect


def _verdict(
    plan: Plan,
    question: Question,
    pair: Pair,
    outcome: Determined,
    adjusted: multiplicity.Adjusted | None,
    effect: Estimate,
    within: bool | None,
    belief: Belief | None,
) -> tuple[Verdict, str]:
    least = min(pair.sizes)
    if not outcome.reliable:
        return "not_enough_data", f"the interval is not reliable: {outcome.reason}"
    if least < plan.floor:
        return "not_enough_data", f"{least} units in an arm; nothing is concluded below {plan.floor}"
    if plan.looking == "fixed" and plan.planned_n is not None and least < plan.planned_n:
        return "not_enough_data", f"{least} of {plan.planned_n} planned; one look was planned, at the end"
    if within:
        return "equivalent", f"the interval lies within the margin of {question.margin:g}"
    good = effect.value > 0 if question.direction == "up" else effect.value < 0
    if plan.looking == "bayesian":
        return _believed(plan, belief, good, effect, least)
    p = adjusted.p if adjusted else outcome.p
    alarm = (p is None or p <= plan.alpha) and not effect.low <= 0 <= effect.high
    if not alarm:
        return "not_enough_data", "the interval holds both no effect and effects that matter"
    said = f"p = {p:.2g}" if p is not None else "the interval leaves out zero"
    of = f" after {plan.correction} for {adjusted.size} tests" if adjusted and adjusted.size > 1 else ""
    return ("better" if good else "worse"), f"{said}{of}"


def _believed(plan: Plan, belief: Belief | None, good: bool, effect: Estimate, least: int) -> tuple[Verdict, str]:
    """By the calibrated rule, in standard deviations of the metric."""
    rule = plan.rule
    if rule is None or belief is None:
        return "not_enough_data", "the posterior is not known"
    sd = _error(effect) * (least / 2) ** 0.5
    loss = min(belief.loss_if_taken, belief.loss_if_left) / sd
    chance = max(belief.better, 1 - belief.better)
    reached = loss <= rule.threshold if rule.kind == "loss" else chance >= rule.threshold
    if least < rule.least_n or not reached:
        return "not_enough_data", "the rule that was calibrated before the start does not declare yet"
    word: Verdict = "better" if good else "worse"
    return (
        word,
        f"expected loss {loss:.2g} standard deviations, {chance:.1%} likely; the rule asked for {rule.threshold:.2g}",
    )


def _belief(plan: Plan, question: Question, outcome: Determined, effect: Estimate) -> Belief | None:
    """Under a flat prior; the effect is taken as normal, so it stands beside the test and not in its place."""
    error = _error(effect)
    if plan.looking in ("group_sequential", "always_valid") and outcome.statistic:
        error = abs(effect.value / outcome.statistic)  # the interval is wider than that: it pays for all looks
    if not 0 < error < float("inf"):
        return None
    sign = 1 if question.direction == "up" else -1
    chance, keep, take = bayes.chance_and_risk(sign * effect.value, error)
    return Belief(better=float(chance), loss_if_taken=float(take), loss_if_left=float(keep))


def _error(effect: Estimate) -> float:
    """About the standard error: the half width in normal standard errors."""
    return (effect.high - effect.low) / 2 / normal_quantile(effect.confidence)


def _guard(question: Question, narrow: Estimate, margin: float | None, reliable: bool) -> Guard:
    """Non-inferiority by the margin, from the interval at 1 - 2 alpha; an unreliable one neither clears nor accuses."""
    if not reliable or margin is None:
        return "open"
    # As harm: how much worse the variant is at best and at worst.
    least, most = (-narrow.high, -narrow.low) if question.direction == "up" else (narrow.low, narrow.high)
    if most < margin:
        return "holds"
    return "violated" if least > margin else "open"


def _more(
    plan: Plan, question: Question, pair: Pair, effect: Estimate, level: float, margin: float | None
) -> tuple[int | None, str]:
    """How many more until the planned n, or until a gain of this size, or equivalence, would show with the power."""
    least = min(pair.sizes)
    if plan.looking == "fixed" and plan.planned_n is not None and least < plan.planned_n:
        arms = 1 if plan.design == "paired_offline" else 2
        return (plan.planned_n - least) * arms, "to reach the planned number"
    error = _error(effect)
    if not 0 < error < float("inf"):
        return None, ""
    n = effect.n
    asked = _steps(level / 2, 1 - plan.power)
    wanted = []
    if effect.value != 0:
        wanted.append((n * (asked * error / effect.value) ** 2, "to settle a difference of this size"))
    if question.minimum_effect is not None:
        wanted.append(
            (n * (asked * error / question.minimum_effect) ** 2, "to settle the smallest difference worth finding")
        )
    if margin is not None:
        # Equivalence of variants that are equal: both one-sided tests have to come out.
        both = _steps(plan.alpha, (1 - plan.power) / 2)
        wanted.append((n * (both * error / margin) ** 2, "to show that the difference is within the margin"))
    reach = [(size - n, says) for size, says in wanted if isfinite(size) and size > n]
    if not reach:
        return None, ""
    more, says = min(reach)
    return (ceil(more), says) if more < 1e12 else (None, "")


def _detectable(plan: Plan, effect: Estimate, level: float) -> float | None:
    error = _error(effect)
    return _steps(level / 2, 1 - plan.power) * error if 0 < error < float("inf") else None


def _quantile(level: float, df: float | None) -> float:
    from scipy.special import ndtri, stdtrit

    return float(ndtri(level) if df is None else stdtrit(df, level))


def _steps(tail: float, miss: float) -> float:
    """Standard errors between no effect and one that is found but for `miss` of the time, tested in a tail."""
    from scipy.special import ndtri

    return float(-ndtri(tail) - ndtri(miss))
