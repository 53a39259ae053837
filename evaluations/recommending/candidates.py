"""Candidates against the model in use: what rules one out, what the paired tests say, and which of them qualify.

A candidate qualifies when it meets every hard limit, is not dominated, holds every guardrail, and is
either shown to lose no more than the declared margin and surely cheaper, or shown to be better. The tests share alpha
(Bonferroni), so that the chance of any wrong one among all candidates stays within it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from math import ceil, inf, sqrt
from typing import TYPE_CHECKING, Final

from evaluations.comparisons import Comparison, Finding, Plan, Question
from evaluations.errors import AssayError
from evaluations.estimates import Estimate
from evaluations.recommending.evidence import Bench, Evidence, Offer, Requirements
from evaluations.recommending.recommendation import Exclusion
from evaluations.statistics.bounded import bounded_mean
from evaluations.statistics.clusters import per_unit
from evaluations.statistics.compare import compare
from evaluations.statistics.outcomes import Determined, Undetermined
from evaluations.statistics.power import size_for_pairs
from evaluations.statistics.proportions import normal_quantile, wilson
from evaluations.statistics.quantiles import quantile_bounds
from evaluations.wording import count, duration, money, percent, points

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]

CONFIDENCE: Final = 0.95
CUSHION: Final = 0.02
"""A plan aims at so much more power than asked for: noise is planned on before it is known."""
LEAST_PRICED: Final = 2
"""Cases with both costs below which a saving has no interval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What was declared before the data were looked at."""

    question: Question
    """The primary metric, with its margin."""
    guards: tuple[Question, ...] = ()
    """Metrics that may lose no more than their own margins, each with the role "guardrail"."""
    requirements: Requirements = field(default_factory=Requirements)
    alpha: float = 0.05
    power: float = 0.8

    def __post_init__(self) -> None:
        for question in (self.question, *self.guards):
            if question.margin is None or not question.margin > 0:
                raise AssayError(
                    f"no margin is declared for {question.metric!r}: say how much of it may be lost without mattering, "
                    "such as 0.02 for two points."
                )

    @property
    def margin(self) -> float:
        assert self.question.margin is not None
        return self.question.margin

    @property
    def sign(self) -> int:
        return 1 if self.question.direction == "up" else -1

    def said(self, difference: float) -> str:
        """A difference of the primary metric in words."""
        return points(difference) if self.question.kind in ("binary", "bounded") else f"{difference:+.3g}"


def cases_needed(
    *, margin: float, sd: float, difference: float = 0.0, alpha: float = 0.05, power: float = 0.8, candidates: int = 1
) -> int | None:
    """Cases (or clusters) with which a candidate is shown to be within the margin; None where no number would do.

    `sd` is that of the paired differences, `difference` the true one, positive is better. Alpha is shared by the
    candidates. For passes use `passes_needed`.

    >>> cases_needed(margin=0.05, sd=0.3), cases_needed(margin=0.05, sd=0.3, difference=-0.06)
    (238, None)
    """
    room = margin + difference
    if room <= 0 or sd <= 0:
        return None
    return size_for_pairs(room, sd, power=power + CUSHION, alpha=2 * alpha / candidates)


def passes_needed(
    *,
    margin: float,
    disagreement: float,
    difference: float = 0.0,
    alpha: float = 0.05,
    power: float = 0.8,
    candidates: int = 1,
) -> int | None:
    """The same for passes, of which a share of `disagreement` changes sides between the two models.

    The score test takes its noise from the margin's edge, where a little more cases change sides.
    Source: Tango (1998), Statistics in Medicine 17(8), section 4.

    >>> passes_needed(margin=0.05, disagreement=0.09), passes_needed(margin=0.05, disagreement=0.09, difference=-0.05)
    (266, None)
    """
    from scipy.special import ndtri

    room = margin + difference
    if room <= 0 or not abs(difference) <= disagreement <= 1:
        return None
    # The likeliest share of losses when the true difference is minus the margin.
    lost = (disagreement - difference) / 2
    b, edge = -disagreement - margin * (2 - difference), -margin * (1 + margin)
    at_edge = (sqrt(b * b + 8 * lost * edge) - b) / 4
    noise = float(-ndtri(alpha / candidates)) * sqrt(2 * at_edge + edge)
    noise += float(ndtri(power + CUSHION)) * sqrt(disagreement - difference**2)
    return ceil((noise / room) ** 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One candidate beside the reference, with every number that a sentence about it needs."""

    model: str
    tested: int
    """Candidates that share alpha."""
    effect: Estimate | None = None
    """Candidate minus reference, positive is better, with the interval that non-inferiority is read from; None where
    the data cannot say."""
    better: Estimate | None = None
    """The same with the interval that superiority is read from."""
    unreliable: str = ""
    """Why the interval carries no verdict; empty when it does."""
    ratio: Estimate | None = None
    """Cost of the candidate over that of the reference, on the same cases."""
    exact_ratio: Decimal | None = None
    exclusion: Exclusion | None = None
    """By a hard limit, a guardrail or a price that is missing; None where nothing of this speaks against it."""

    def hurdles(self) -> tuple[float, float]:
        """Half widths that a gain has to exceed: above minus the margin to be non-inferior, above 0 to be better."""
        if self.effect is None or self.better is None or self.unreliable:
            return inf, inf
        return self.effect.value - self.effect.low, self.better.value - self.better.low


def declared_exclusion(offer: Offer, wanted: Requirements) -> Exclusion | None:
    """What rules a model out before anything is measured: it is retired, or does not offer what is required."""
    if offer.retired:
        return Exclusion(model=offer.model, reason="retired", why=f"{offer.model} is no longer served")

    def short(why: str, would_do: str) -> Exclusion:
        return Exclusion(model=offer.model, reason="requirement", why=why, would_do=would_do)

    if wanted.providers is not None and offer.provider not in wanted.providers:
        allowed = ", ".join(sorted(wanted.providers)) or "none"
        return short(f"provider {offer.provider} is not allowed", f"allow it beside {allowed}")
    if missing := sorted(wanted.capabilities - offer.capabilities):
        return short(f"it is not known to have {', '.join(missing)}", "probe it, or drop the requirement")
    for what, has, need in (
        ("a context of", offer.context_tokens, wanted.context_tokens),
        ("a reply of", offer.output_tokens, wanted.output_tokens),
    ):
        if need is not None and (has is None or has < need):
            known = "nobody said what it takes" if has is None else f"it takes {count(has)}"
            return short(
                f"{what} {count(need, 'token')} is required, and {known}", f"require {count(has or 0)} or less"
            )
    if wanted.region is not None and (offer.regions is None or wanted.region not in offer.regions):
        regions = ", ".join(sorted(offer.regions or ())) or "nobody said where"
        return short(f"it is not known to be served in {wanted.region} ({regions})", "state its regions")
    return None


def measured_exclusion(evidence: Evidence, rule: Rule) -> Exclusion | None:
    """Absolute limits on what was measured: the whole interval has to lie within them."""
    wanted = rule.requirements
    if wanted.cost_per_request is not None:
        mean = evidence.cost_per_request
        if mean is None or mean > wanted.cost_per_request:
            said = "unknown" if mean is None else money(mean)
            return Exclusion(
                model=evidence.model,
                reason="requirement",
                why=f"a request costs {said}, and the limit is {money(wanted.cost_per_request)}",
                would_do="" if mean is None else f"a limit of {money(mean)}",
            )
    if wanted.p95_latency_ms is not None and (found := _slow(evidence, wanted.p95_latency_ms, rule.alpha)) is not None:
        return found
    return None if wanted.error_rate is None else _failing(evidence, wanted.error_rate, rule.alpha)


def hard_limit(bench: Bench, model: str, rule: Rule) -> Exclusion | None:
    """The first hard limit that a model fails, by its offer or as measured; None where it keeps all."""
    return declared_exclusion(bench.offer(model), rule.requirements) or measured_exclusion(bench.of(model), rule)


def _slow(evidence: Evidence, limit: float, alpha: float) -> Exclusion | None:
    values = evidence.latencies_ms
    bounds = None if values is None else quantile_bounds(values, 0.95, confidence=1 - 2 * alpha)
    if bounds is None or isinstance(bounds, Undetermined):
        n = 0 if values is None else int(values.size)
        return Exclusion(
            model=evidence.model,
            reason="guardrail",
            why=f"{count(n, 'call')} with a latency cannot say where its 95th percentile lies",
            would_do="measure more calls; 100 do for a bound",
        )
    if bounds.high <= limit:
        return None
    return Exclusion(
        model=evidence.model,
        reason="guardrail",
        why=f"its 95th percentile of latency is {duration(bounds.value)} (up to {duration(bounds.high)}, "
        f"{count(bounds.n, 'call')}), and the limit is {duration(limit)}",
        would_do=f"a limit of {duration(bounds.high)}" + (", or more calls" if bounds.low <= limit else ""),
    )


def _failing(evidence: Evidence, limit: float, alpha: float) -> Exclusion | None:
    if not evidence.calls:
        return Exclusion(model=evidence.model, reason="guardrail", why="nobody counted how many of its calls failed")
    rate = wilson(evidence.errors, evidence.calls, 1 - 2 * alpha)
    if rate.high <= limit:
        return None
    needed = None
    if rate.value < limit:
        # Wilson's bound meets the limit when the distance is z standard errors of a share that is the limit.
        z = normal_quantile(1 - 2 * alpha)
        needed = ceil(z * z * limit * (1 - limit) / (limit - rate.value) ** 2)
    return Exclusion(
        model=evidence.model,
        reason="guardrail",
        why=f"{percent(rate.value)} of {count(evidence.calls, 'call')} failed (up to {percent(rate.high)}), and the "
        f"limit is {percent(limit)}",
        would_do=f"{count(needed, 'call')} with this share" if needed else f"a limit of {percent(rate.high)}",
    )


def cost_ratio(
    candidate: Evidence, reference: Evidence, clusters: Sequence[object] | None = None
) -> tuple[Decimal, Estimate] | None:
    """Cost of the candidate over that of the reference on the cases that both have a price for, and its interval.

    The ratio of sums is exact; its interval is the delta method's over cases, or clusters. None with fewer than two of
    them, or where the reference costs nothing.
    """
    import numpy as np

    from evaluations.statistics.ratios import PairMoments, ratio_of

    pairs = [
        (at, one, two)
        for at, (one, two) in enumerate(zip(candidate.costs, reference.costs, strict=True))
        if one is not None and two is not None
    ]
    paid = sum((two for _, _, two in pairs), Decimal(0))
    if not paid:
        return None
    theirs, ours = (np.array([float(pair[side]) for pair in pairs]) for side in (1, 2))
    if clusters is not None:
        groups = [clusters[at] for at, _, _ in pairs]
        theirs, ours = per_unit(theirs, groups).sums, per_unit(ours, groups).sums
    found = ratio_of(PairMoments.of(theirs, ours), confidence=CONFIDENCE) if theirs.size >= LEAST_PRICED else None
    exact = sum((one for _, one, _ in pairs), Decimal(0)) / paid
    return None if found is None else (exact, replace(found, low=max(0.0, found.low)))


def standings(
    bench: Bench, reference: str, rule: Rule, candidates: Sequence[str], generator: "np.random.Generator"
) -> tuple[Standing, ...]:
    """Every candidate beside the reference. All that are offered as required share alpha, those that fail later too."""
    declared = {model: declared_exclusion(bench.offer(model), rule.requirements) for model in candidates}
    tested = tuple(model for model in candidates if declared[model] is None)
    comparison = _compared(bench, reference, rule, tested, generator) if tested else None
    found = []
    for model in candidates:
        if declared[model] is not None or comparison is None:
            found.append(Standing(model=model, tested=len(tested), exclusion=declared[model]))
        else:
            found.append(_standing(bench, reference, rule, comparison, model, generator))
    return tuple(found)


def _compared(
    bench: Bench, reference: str, rule: Rule, tested: tuple[str, ...], generator: "np.random.Generator"
) -> Comparison:
    plan = Plan(
        design="paired_offline",
        control=reference,
        variants=tested,
        alpha=rule.alpha,
        power=rule.power,
        correction="bonferroni",
    )
    questions = (replace(rule.question, role="primary"), *(replace(each, role="guardrail") for each in rule.guards))
    measured = {
        question.metric: {
            each.model: each.values[question.metric]
            for each in bench.evidence
            if each.model in (reference, *tested) and question.metric in each.values
        }
        for question in questions
    }
    return compare(plan, questions, measured, generator=generator, clusters=bench.clusters)


def _standing(
    bench: Bench,
    reference: str,
    rule: Rule,
    comparison: Comparison,
    model: str,
    generator: "np.random.Generator",
) -> Standing:
    finding, tested = comparison.primary(model), len(comparison.plan.variants)
    evidence, other = bench.of(model), bench.of(reference)
    effect, better, unreliable = _effects(bench, reference, rule, finding, tested, generator)
    ratio = cost_ratio(evidence, other, bench.clusters)
    standing = Standing(
        model=model,
        tested=tested,
        effect=effect,
        better=better,
        unreliable=unreliable,
        exact_ratio=ratio[0] if ratio else None,
        ratio=ratio[1] if ratio else None,
    )
    excluded = measured_exclusion(evidence, rule)
    if excluded is None and ratio is None:
        excluded = Exclusion(
            model=model,
            reason="price_missing",
            why=f"{evidence.priced} of {len(evidence.costs)} cases have a cost, {other.priced} of {reference}",
            would_do="give the model a price (assay prices), or measure two cases or more with one",
        )
    return replace(standing, exclusion=excluded or _guarded(comparison, model))


def _effects(
    bench: Bench,
    reference: str,
    rule: Rule,
    finding: Finding,
    tested: int,
    generator: "np.random.Generator",
) -> tuple[Estimate | None, Estimate | None, str]:
    """The effect with the two intervals, positive is better, and why they carry no verdict."""
    outcome = finding.outcome
    if isinstance(outcome, Determined) and finding.narrow is not None and finding.effect is not None:
        return _signed(finding.narrow, rule.sign), _signed(finding.effect, rule.sign), outcome.reason
    if isinstance(outcome, Undetermined) and outcome.reason == "no spread" and rule.question.kind == "bounded":
        # Equal on every case: Student's test knows no noise then, betting on a bounded metric needs none.
        one, other = (bench.of(model).values[finding.metric] for model in (finding.variant, reference))
        there = one == one
        there &= other == other
        known = (one - other)[there]
        if bench.clusters is not None:
            known = per_unit(known, [each for each, kept in zip(bench.clusters, there, strict=True) if kept]).means
        found = [
            bounded_mean(known, generator, low=-1.0, high=1.0, confidence=1 - level)
            for level in (2 * rule.alpha / tested, rule.alpha / tested)
        ]
        narrow, wide = (each.effect if isinstance(each, Determined) else None for each in found)
        if narrow is not None and wide is not None:
            return _signed(narrow, rule.sign), _signed(wide, rule.sign), ""
    return None, None, finding.why


def _signed(effect: Estimate, sign: int) -> Estimate:
    return effect if sign > 0 else replace(effect, value=-effect.value, low=-effect.high, high=-effect.low)


def _guarded(comparison: Comparison, model: str) -> Exclusion | None:
    for metric, guard in comparison.guards(model).items():
        if guard == "holds":
            continue
        finding = comparison.of(metric, model)
        narrow = finding.narrow
        said = finding.why if narrow is None else f"{narrow.value:+.3g} [{narrow.low:+.3g}, {narrow.high:+.3g}]"
        shown = "is shown to lose too much" if guard == "violated" else "is not shown to hold"
        needed = None if finding.more is None or narrow is None else narrow.n + finding.more
        return Exclusion(
            model=model,
            reason="guardrail",
            why=f"guardrail {metric} {shown}: {said}",
            would_do=f"{count(needed, 'case')}" if needed and guard == "open" else "",
            needed_n=needed if guard == "open" else None,
        )
    return None


# Many answers at once: the one that is given, and what it would be on other cases and at other prices


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Field:
    """The candidates as arrays, shape (m,), with the reference behind them where a shape is (m + 1,)."""

    gain: "Floats"
    non_inferior_from: "Floats"
    """A gain above this is shown to be within the margin; inf where none would be."""
    better_from: "Floats"
    ratio: "Floats"
    """NaN where a cost is unknown."""
    ratio_half: "Floats"
    allowed: "Flags"
    """No limit, guardrail or missing price speaks against it."""
    comparable: "Flags"
    """Offered as required: only such models dominate others, shape (m + 1,)."""
    as_good: "Flags"
    """[i, j]: i is no slower and fails no more often than j, as measured, shape (m + 1, m + 1)."""
    surpasses: "Flags"
    """[i, j]: and one of both is better."""

    def dominated(self, gain: "Floats", ratio: "Floats", reference_price: "Floats") -> "Flags":
        """Which candidates another model is as good as in quality, cost, latency and errors, and better in one.

        `gain` and `ratio` have the shape (answers, m), `reference_price` (answers,).
        """
        import numpy as np

        gains = np.concatenate([gain, np.zeros((gain.shape[0], 1))], axis=1)
        ratios = np.concatenate([ratio, reference_price[:, None]], axis=1)
        m = gain.shape[1]
        with np.errstate(invalid="ignore"):
            as_good = (gains[:, :, None] >= gains[:, None, :m]) & (ratios[:, :, None] <= ratios[:, None, :m])
            better = (gains[:, :, None] > gains[:, None, :m]) | (ratios[:, :, None] < ratios[:, None, :m])
        over: Flags = np.any(
            as_good
            & self.as_good[None, :, :m]
            & (better | self.surpasses[None, :, :m])
            & self.comparable[None, :, None],
            axis=1,
        )
        return over

    def qualify(self, gain: "Floats", ratio: "Floats", reference_price: "Floats") -> "Flags":
        """Which candidates may take the place of the reference, shape (answers, m)."""
        cheaper = ratio + self.ratio_half < reference_price[:, None]
        shown = ((gain > self.non_inferior_from) & cheaper) | (gain > self.better_from)
        qualifying: Flags = shown & self.allowed & ~self.dominated(gain, ratio, reference_price)
        return qualifying


def field_of(bench: Bench, reference: str, rule: Rule, found: Sequence[Standing]) -> Field:
    """The standings as arrays."""
    import numpy as np

    hurdles = [each.hurdles() for each in found]
    known = [each.effect for each in found]
    ratios = [each.ratio for each in found]
    evidence = [*(bench.of(each.model) for each in found), bench.of(reference)]
    as_good, surpasses = _beside([each.p95_latency_ms for each in evidence], [each.error_rate for each in evidence])
    declared = [declared_exclusion(bench.offer(each.model), rule.requirements) is None for each in evidence]
    return Field(
        gain=np.array([np.nan if each is None else each.value for each in known]),
        non_inferior_from=np.array([half - rule.margin for half, _ in hurdles]),
        better_from=np.array([half for _, half in hurdles]),
        ratio=np.array([np.nan if each is None else each.value for each in ratios]),
        ratio_half=np.array([np.nan if each is None else each.high - each.value for each in ratios]),
        allowed=np.array([each.exclusion is None for each in found], dtype=np.bool_),
        comparable=np.array(declared, dtype=np.bool_),
        as_good=as_good,
        surpasses=surpasses,
    )


def _beside(*measures: Sequence[float | None]) -> "tuple[Flags, Flags]":
    """[i, j]: i is at most j in every measure; and below it in one. What nobody measured of i is not as good as what
    was measured of j."""
    import numpy as np

    size = len(measures[0])
    as_good, surpasses = np.ones((size, size), dtype=np.bool_), np.zeros((size, size), dtype=np.bool_)
    for measure in measures:
        values = np.array([inf if each is None else each for each in measure])
        as_good &= values[:, None] <= values[None, :]
        surpasses |= values[:, None] < values[None, :]
    return as_good, surpasses


def differences(bench: Bench, reference: str, rule: Rule, models: Sequence[str]) -> "Floats":
    """Candidate minus reference for each case, positive is better, shape (m, cases), NaN where one has no value."""
    import numpy as np

    cases = len(bench.of(reference).costs)
    rows = []
    for model in models:
        ours, theirs = (bench.of(name).values.get(rule.question.metric) for name in (reference, model))
        rows.append(np.full(cases, np.nan) if ours is None or theirs is None else rule.sign * (theirs - ours))
    return np.array(rows).reshape(len(models), cases)


def paid(bench: Bench, models: Sequence[str]) -> "Floats":
    """Cost of each case under each model, shape (m, cases), NaN where unknown. For resampling; sums are Decimals."""
    import numpy as np

    return np.array([[np.nan if cost is None else float(cost) for cost in bench.of(model).costs] for model in models])
