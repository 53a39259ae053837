"""Routing: the cheap model answers, the strong one where it is likely to be worth its price.

A policy predicts, from what is known before any call, how much better the strong model would score. It is learned on
one part of the cases and judged on another, against the straight line between the two models: what a coin would reach
that sends as many cases to the strong one.
"""

import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from math import log1p
from typing import TYPE_CHECKING, Final, Protocol

from evaluations.cases import Case
from evaluations.comparisons import Plan, Question
from evaluations.errors import AssayError
from evaluations.estimates import Estimate
from evaluations.recommending.evidence import Evidence, PriceMissing, Workload
from evaluations.recommending.recommendation import Recommendation, Stability, impact_of, score_of
from evaluations.recommending.savings import savings_of
from evaluations.statistics.clusters import cluster_robust, per_unit
from evaluations.statistics.compare import compare
from evaluations.statistics.means import mean_interval
from evaluations.statistics.outcomes import Determined
from evaluations.statistics.proportions import normal_quantile
from evaluations.statistics.shrinkage import shrink_shares
from evaluations.wording import count, percent, points

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]
    Places = NDArray[np.intp]

PENALTY: Final = 50.0
"""Of the squared weights, in units of one case: weak for thousands of cases, strong for dozens."""
FOLDS: Final = 5
LEAST_CASES: Final = 100
"""Cases of each part below which a policy is neither learned nor judged."""
ALPHA: Final = 0.05
"""The chance that a rule is recommended which loses more than it may, one-sided."""
LEAST_CHANCE: Final = 0.5
"""A threshold is taken only where the half that judges will sooner show than not that no more is lost."""
LINE: Final = "normal interval of a covariance"
TEXT_NUMBERS: Final = (
    "log of characters", "share of digits", "share of distinct words", "log of lines", "mean word length",
    "questions", "negation", "symbols of formulas",
)  # fmt: skip
_WORD: Final = re.compile(r"\w+")
_NEGATION: Final = re.compile(r"\b(?:not|except|never|no|none|false|incorrect)\b", re.IGNORECASE)


# What is known before the call

CATEGORIES: Final = ("category", "topic", "intent", "subject")
"""Fields of a case that say what it is about, the first there is."""


def category_of(case: Case) -> str:
    """What a case is about; "" where it does not say."""
    return next((str(case.metadata[name]) for name in CATEGORIES if name in case.metadata), "")


def text_of(case: Case) -> str:
    """All that a case asks, without the prompt around it."""
    return "\n".join(str(value) for value in case.inputs.values())


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Known:
    """What is known of each case before any model is asked; nothing of how it will be answered."""

    categories: tuple[str, ...]
    """Topic, intent, subject: one for each case; "" where there is none."""
    numbers: "Floats"
    """Shape (cases, numbers); no column where there are none."""

    @classmethod
    def of(cls, prompts: Sequence[str], categories: Sequence[str]) -> "Known":
        """Of the text of prompts, by `TEXT_NUMBERS`, and their categories."""
        import numpy as np

        return cls(
            categories=tuple(categories),
            numbers=np.array([text_numbers(prompt) for prompt in prompts]).reshape(len(prompts), len(TEXT_NUMBERS)),
        )

    def at(self, places: "Places") -> "Known":
        return Known(categories=tuple(self.categories[at] for at in places.tolist()), numbers=self.numbers[places])


def text_numbers(prompt: str) -> tuple[float, ...]:
    """What the length and the shape of a prompt say, in the order of `TEXT_NUMBERS`.

    >>> [round(number, 2) for number in text_numbers("Which of these is NOT 10?")]
    [3.26, 0.08, 1.0, 0.69, 3.17, 1.0, 1.0, 0.0]
    """
    words = _WORD.findall(prompt.casefold())
    size = max(1, len(prompt))
    return (
        log1p(len(prompt)),
        sum(character.isdigit() for character in prompt) / size,
        len(set(words)) / max(1, len(words)),
        log1p(prompt.count("\n") + 1),
        sum(map(len, words)) / max(1, len(words)),
        float("?" in prompt),
        float(_NEGATION.search(prompt) is not None),
        float(any(symbol in prompt for symbol in "$\\^=<>{}")),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RoutedCases:
    """Cases that both models answered."""

    known: Known
    weak: "Floats"
    """Score of the cheap model in [0, 1], shape (cases,)."""
    strong: "Floats"
    weak_cost: "Floats"
    """US dollars of its call of each case, or any unit that both share."""
    strong_cost: "Floats"
    clusters: tuple[Hashable, ...] | None = None
    """What each case belongs to that shares a source with others; None where each stands alone."""

    @property
    def n(self) -> int:
        return int(self.weak.size)

    @property
    def gain(self) -> "Floats":
        return self.strong - self.weak

    def at(self, places: "Places") -> "RoutedCases":
        return RoutedCases(
            known=self.known.at(places),
            weak=self.weak[places],
            strong=self.strong[places],
            weak_cost=self.weak_cost[places],
            strong_cost=self.strong_cost[places],
            clusters=None if self.clusters is None else tuple(self.clusters[at] for at in places.tolist()),
        )


# Policies


class Policy(Protocol):
    """Predicts for each case how much higher the strong model would score."""

    def gains(self, known: Known) -> "Floats":
        """Shape (cases,)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CategoryPolicy:
    """By category alone: the shrunken success rates of both models."""

    by_category: Mapping[str, float]
    elsewhere: float
    """For a category that was not learned."""

    def gains(self, known: Known) -> "Floats":
        import numpy as np

        return np.array([self.by_category.get(name, self.elsewhere) for name in known.categories], dtype=np.float64)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LogisticPolicy:
    """Two regularised logistic regressions, one for each model's success."""

    categories: tuple[str, ...]
    """Each has a column of its own; none: the text alone."""
    centre: "Floats"
    spread: "Floats"
    weak_weights: "Floats"
    """The first is the constant."""
    strong_weights: "Floats"

    def gains(self, known: Known) -> "Floats":
        rows = _rows(known, self.categories, self.centre, self.spread)
        gains: Floats = _chance(rows @ self.strong_weights) - _chance(rows @ self.weak_weights)
        return gains


def by_category(cases: RoutedCases) -> CategoryPolicy:
    """Learn from categories alone; a score counts as a success from a half on.

    Source: shrinkage as `evaluations.statistics.shrinkage.shrink_shares`.
    """
    names = sorted(set(cases.known.categories))
    place = {name: at for at, name in enumerate(names)}
    rates = []
    for scores in (cases.weak, cases.strong):
        hits, sizes = [0] * len(names), [0] * len(names)
        for name, score in zip(cases.known.categories, scores.tolist(), strict=True):
            hits[place[name]] += score >= 0.5
            sizes[place[name]] += 1
        rates.append(shrink_shares(hits, sizes))
    weak, strong = rates
    assert weak is not None
    assert strong is not None
    return CategoryPolicy(
        by_category={
            name: two.value - one.value
            for name, one, two in zip(names, weak.members, strong.members, strict=True)
            if one is not None and two is not None
        },
        elsewhere=strong.mean - weak.mean,
    )


def by_text(cases: RoutedCases) -> LogisticPolicy:
    """Learn from the text alone."""
    return _logistic(cases, ())


def by_category_and_text(cases: RoutedCases) -> LogisticPolicy:
    """Learn from both."""
    return _logistic(cases, tuple(sorted(set(cases.known.categories))))


Learner = Callable[[RoutedCases], Policy]
LEARNERS: Final[Mapping[str, Learner]] = {
    "category": by_category,
    "text": by_text,
    "category and text": by_category_and_text,
}
"""The simplest first: it is taken unless a later one is worth more on cases it was not learned on."""


def _logistic(cases: RoutedCases, categories: tuple[str, ...]) -> LogisticPolicy:
    import numpy as np

    numbers = cases.known.numbers
    centre, spread = numbers.mean(axis=0), numbers.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    rows = _rows(cases.known, categories, centre, spread)
    return LogisticPolicy(
        categories=categories,
        centre=centre,
        spread=spread,
        weak_weights=_fitted(rows, cases.weak),
        strong_weights=_fitted(rows, cases.strong),
    )


def _rows(known: Known, categories: tuple[str, ...], centre: "Floats", spread: "Floats") -> "Floats":
    """A constant, a column for each category, and the standardised numbers."""
    import numpy as np

    place = {name: at for at, name in enumerate(categories)}
    one_each = np.zeros((len(known.categories), len(categories)))
    for row, name in enumerate(known.categories):
        if name in place:
            one_each[row, place[name]] = 1.0
    return np.hstack([np.ones((len(known.categories), 1)), one_each, (known.numbers - centre) / spread])


def _fitted(rows: "Floats", scores: "Floats") -> "Floats":
    """Weights of a logistic regression on scores in [0, 1], their squares penalised, the constant's aside.

    Source: le Cessie and van Houwelingen (1992), "Ridge Estimators in Logistic Regression", Applied Statistics 41(1).
    """
    import numpy as np
    from scipy.optimize import minimize

    penalty = np.full(rows.shape[1], PENALTY)
    penalty[0] = 0.0

    def loss(weights: "Floats") -> "tuple[float, Floats]":
        at = rows @ weights
        value = float(np.logaddexp(0, at).sum() - scores @ at + (penalty * weights**2).sum() / 2)
        slope: Floats = rows.T @ (_chance(at) - scores) + penalty * weights
        return value, slope

    found: Floats = minimize(loss, np.zeros(rows.shape[1]), jac=True, method="L-BFGS-B").x
    return found


def _chance(at: "Floats") -> "Floats":
    import numpy as np

    chance: Floats = 0.5 * (1 + np.tanh(at / 2))
    return chance


# What a policy is worth


@dataclass(frozen=True, slots=True, kw_only=True)
class Routed:
    """What a policy with one threshold comes to on some cases."""

    strong_share: float
    """Of the cases, those that go to the strong model."""
    accuracy: Estimate
    above_line: Estimate
    """Mean score above that of a coin which sends as many cases to the strong model."""
    loss: Estimate
    """Mean score below that of the strong model alone; negative: above."""
    loss_shown: Estimate | None
    """The same from the paired test that docs/statistics.md takes: its high end is the one-sided 95% bound by which the
    loss is held against what may be lost. None where the cases carry no verdict."""
    above_weak: Estimate
    """Mean score above that of the cheap model alone."""
    saving: Estimate
    """Of the cost of the strong model alone, as a share."""
    n: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RoutingRule:
    """Send a case to the strong model when the predicted gain reaches the threshold."""

    learner: str
    policy: Policy
    threshold: float
    loss: float
    """The most that may be lost against the strong model alone, as declared."""
    claimed: Routed
    """What the rule comes to, by the cases it was learned on: quality with each predicted without itself."""

    def to_strong(self, known: Known) -> "Flags":
        """Which cases go to the strong model, shape (cases,)."""
        flags: Flags = self.policy.gains(known) >= self.threshold
        return flags


def routed(cases: RoutedCases, to_strong: "Flags", *, confidence: float = 0.95) -> Routed:
    """What sending these cases to the strong model comes to. Raises AssayError for fewer than two cases or sources.

    Above the line is the covariance of being sent and of the gain; its interval is normal, by the influence of cases,
    or of the sources that they share.
    """
    import numpy as np

    from evaluations.statistics.ratios import PairMoments, ratio_of

    sources = range(cases.n) if cases.clusters is None else cases.clusters
    units = len(set(sources))
    if units < 2:
        raise AssayError(f"routing is judged on two cases or sources or more; got {units}")
    gain, sent = cases.gain, to_strong.astype(np.float64)
    pull = (sent - sent.mean()) * (gain - gain.mean())
    above = float(pull.mean())
    apart = per_unit(pull - above, sources).sums
    half = normal_quantile(confidence) * (units / (units - 1) * float(apart @ apart)) ** 0.5 / cases.n
    paid = np.where(to_strong, cases.strong_cost, cases.weak_cost)
    bills = (per_unit(each, sources).sums for each in (paid, cases.strong_cost))
    ratio = ratio_of(PairMoments.of(*bills), confidence=confidence)
    if ratio is None:
        raise AssayError("the strong model costs nothing, so that routing can save nothing")
    return Routed(
        strong_share=float(sent.mean()),
        accuracy=_mean(np.where(to_strong, cases.strong, cases.weak), cases, confidence),
        above_line=Estimate(
            value=above, low=above - half, high=above + half, n=cases.n, confidence=confidence, method=LINE
        ),
        loss=_mean(np.where(to_strong, 0.0, gain), cases, confidence),
        loss_shown=_loss_shown(cases, to_strong),
        above_weak=_mean(np.where(to_strong, gain, 0.0), cases, confidence),
        saving=Estimate(
            value=1 - ratio.value,
            low=1 - ratio.high,
            high=1 - ratio.low,
            n=cases.n,
            confidence=confidence,
            method=ratio.method,
        ),
        n=cases.n,
    )


def _mean(values: "Floats", cases: RoutedCases, confidence: float) -> Estimate:
    if cases.clusters is None:
        return mean_interval(values, confidence)
    found = cluster_robust(values, cases.clusters, confidence=confidence)
    # Sources that are all alike have no spread: then there is none between cases either.
    return found.effect if isinstance(found, Determined) and found.effect else mean_interval(values, confidence)


def _loss_shown(cases: RoutedCases, to_strong: "Flags") -> Estimate | None:
    """The strong model alone minus the rule, on the same cases, with its 1 - 2 alpha interval."""
    import numpy as np

    passes = np.isin(np.concatenate([cases.weak, cases.strong]), (0.0, 1.0)).all()
    question = Question(metric="score", kind="binary" if passes else "bounded")
    plan = Plan(design="paired_offline", control="rule", variants=("strong",), alpha=ALPHA, correction="none")
    measured = {"score": {"rule": np.where(to_strong, cases.strong, cases.weak), "strong": cases.strong}}
    # The generator orders the bets of scores that are no passes: the same cases give the same bound.
    generator = np.random.default_rng(0)
    found = compare(plan, [question], measured, generator=generator, clusters=cases.clusters).primary("strong")
    reliable = isinstance(found.outcome, Determined) and found.outcome.reliable
    return found.narrow if reliable else None


def best_possible(cases: RoutedCases) -> Routed:
    """What a router would come to that knows the answers: strong only where the cheap model scores lower."""
    return routed(cases, cases.gain > 0)


def learned(
    cases: RoutedCases,
    *,
    loss: float,
    generator: "np.random.Generator",
    learner: str = "category",
    judged_on: int | None = None,
) -> RoutingRule:
    """The rule that is expected to save most, by these cases, where others have to show that it loses at most `loss`
    against the strong model alone.

    The threshold is chosen on predictions that each case had no part in (five folds): the one whose saving, times the
    chance that the upper 95% bound of the loss on `judged_on` other cases (as many as these when None) is within
    `loss`, is the greatest. Nobody is sent to the cheap model where that chance is below a half for every threshold.
    Raises AssayError for fewer than a hundred cases.
    """
    import numpy as np

    if cases.n < LEAST_CASES:
        raise AssayError(
            f"a policy is learned on {LEAST_CASES} cases or more that both models answered; got {cases.n}."
        )
    learn = LEARNERS[learner]
    fold = _folds(cases.n, cases.clusters, FOLDS, generator)
    predicted = np.empty(cases.n)
    for at in range(FOLDS):
        predicted[fold == at] = learn(cases.at(np.flatnonzero(fold != at))).gains(
            cases.known.at(np.flatnonzero(fold == at))
        )
    policy = learn(cases)
    own = policy.gains(cases.known)
    threshold = _threshold(cases, own, predicted, loss, judged_on or cases.n)
    # Whom the policy sends, and so what is saved, is no matter of outcomes: it may be told of the cases it has seen.
    sent = routed(cases, own >= threshold)
    unseen = routed(cases, predicted >= threshold)
    return RoutingRule(
        learner=learner,
        policy=policy,
        threshold=threshold,
        loss=loss,
        claimed=replace(unseen, strong_share=sent.strong_share, saving=sent.saving),
    )


def _threshold(cases: RoutedCases, own: "Floats", unseen: "Floats", loss: float, judged_on: int) -> float:
    """The predicted gain below which cases may go to the cheap model: the one with the greatest expected saving.

    The chance that its loss will be shown to be small is the lesser of two: by whom the policy itself (`own`) sends,
    and by predictions that each case had no part in (`unseen`). Cases of one prediction go together: a large category
    is in or out.
    """
    import numpy as np

    order, rising = np.argsort(own, kind="stable"), np.argsort(unseen, kind="stable")
    ends = np.flatnonzero(np.append(own[order][1:] > own[order][:-1], True))
    after = np.append(own[order], np.inf)[ends + 1]
    thresholds = np.where(np.isinf(after), np.inf, (own[order][ends] + after) / 2)
    below = np.searchsorted(unseen[rising], thresholds)
    chance = np.minimum(
        _chance_of_showing(cases.gain[order], loss, judged_on)[ends],
        np.append(1.0, _chance_of_showing(cases.gain[rising], loss, judged_on))[below],
    )
    saved = (cases.strong_cost - cases.weak_cost)[order].cumsum()[ends]
    expected = np.where((chance >= LEAST_CHANCE) & (saved > 0), saved * chance, 0.0)
    best = int(expected.argmax())
    return float(thresholds[best]) if expected[best] > 0 else float("-inf")


def _chance_of_showing(gains: "Floats", loss: float, judged_on: int) -> "Floats":
    """When the first 1, 2, 3 and so on of these go to the cheap model: the chance that so many other cases show that no
    more than `loss` is lost, by the normal distribution of what these and those will measure."""
    import numpy as np
    from scipy.special import ndtr

    n = gains.size
    lost = gains.cumsum() / n
    spread = np.sqrt(np.maximum(0.0, (gains**2).cumsum() / n - lost**2))
    room = loss - lost - normal_quantile(1 - 2 * ALPHA) * spread / judged_on**0.5
    noise = spread * (1 / n + 1 / judged_on) ** 0.5
    with np.errstate(divide="ignore", invalid="ignore"):
        chance: Floats = np.where(noise > 0, ndtr(room / noise), room > 0)
    return chance


def simplest(cases: RoutedCases, *, generator: "np.random.Generator") -> str:
    """The learner to take: the simplest whose curve lies as high above the line as the best one's, but for one standard
    error, on predictions that each case had no part in.

    Source: the one-standard-error rule: Breiman et al. (1984), "Classification and Regression Trees", section 3.4.3.
    """
    import numpy as np

    fold = _folds(cases.n, cases.clusters, FOLDS, generator)
    pulls = {}
    for name, learn in LEARNERS.items():
        predicted = np.empty(cases.n)
        for at in range(FOLDS):
            inside = np.flatnonzero(fold == at)
            predicted[inside] = learn(cases.at(np.flatnonzero(fold != at))).gains(cases.known.at(inside))
        # The mean height over all shares sent: the covariance of the gain with the rank of its prediction.
        rank = predicted.argsort(kind="stable").argsort() / (cases.n - 1)
        pulls[name] = (rank - rank.mean()) * (cases.gain - cases.gain.mean())
    best = max(pulls.values(), key=lambda pull: float(pull.mean()))
    return next(
        name
        for name, pull in pulls.items()
        if float((best - pull).mean()) <= float((best - pull).std(ddof=1)) / cases.n**0.5
    )


def halves_of(n: int, clusters: Sequence[Hashable] | None, generator: "np.random.Generator") -> "tuple[Places, Places]":
    """The places of the cases that learn and of those that judge, in a random order; no source is in both."""
    import numpy as np

    if clusters is None:
        learning, judging = np.array_split(generator.permutation(n), 2)
        return learning, judging
    half, order = _folds(n, clusters, 2, generator), generator.permutation(n)
    return order[half[order] == 0], order[half[order] == 1]


def _folds(n: int, clusters: Sequence[Hashable] | None, folds: int, generator: "np.random.Generator") -> "Places":
    """For each case the fold that it is in, with all cases of its source."""
    import numpy as np

    if clusters is None:
        return generator.permutation(n) % folds
    place = {name: at for at, name in enumerate(dict.fromkeys(clusters))}
    drawn: Places = (generator.permutation(len(place)) % folds)[np.array([place[name] for name in clusters])]
    return drawn


def models_to_route(
    measured: Sequence[Evidence], metric: str, learning: "Places", *, incumbent: str | None = None
) -> tuple[Evidence, Evidence]:
    """The cheap model and the strong one: what is in use, or else the best measured, and the cheapest of those that
    cost less. Models without a price or a score are left out.

    Only the cases at `learning` are looked at, so that cases which judge the rule have no part in the choice.
    Raises PriceMissing with fewer than two models to choose from, AssayError where none is cheaper.
    """
    known = []
    for each in measured:
        level, cost = _means(each, metric, learning)
        if level is not None and cost is not None:
            known.append((each, level, cost))
    if len(known) < 2:
        raise PriceMissing(f"routing takes two measured models with a price; there are {len(known)} of them.")
    strong, _, most = next(
        (each for each in known if each[0].model == incumbent), max(known, key=lambda each: (each[1], each[0].model))
    )
    cheaper = [(cost, each.model, each) for each, _, cost in known if cost < most]
    if not cheaper:
        raise AssayError(
            f"no measured model is cheaper than {strong.model}, so nothing is saved by asking another one first."
        )
    return min(cheaper, key=lambda each: each[:2])[2], strong


def _means(evidence: Evidence, metric: str, places: "Places") -> tuple[float | None, Decimal | None]:
    """Of the score and of the known costs over some cases; None where there are none."""
    import numpy as np

    scores = evidence.values[metric][places] if metric in evidence.values else np.empty(0)
    scored = scores[~np.isnan(scores)]
    costs = [cost for at in places.tolist() if (cost := evidence.costs[at]) is not None]
    return (
        float(scored.mean()) if scored.size else None,
        sum(costs, Decimal(0)) / len(costs) if costs else None,
    )


def recommend_routing(
    rule: RoutingRule, held_out: Routed, workload: Workload, strong_cost: Decimal, *, weak: str, strong: str
) -> Recommendation | None:
    """To route by a rule; None unless held-out cases show that it is above the line, saves something, and loses no more
    than was declared: the upper 95% bound of the loss is within it.

    `workload` is what the strong model serves: that is routed, what others serve stays with them. `strong_cost` is what
    a request to it costs, in US dollars, where production does not say.
    """
    shown = held_out.loss_shown
    if held_out.above_line.low <= 0 or held_out.saving.low <= 0 or shown is None or shown.high > rule.loss:
        return None
    per_request = strong_cost if workload.cost_per_request is None else workload.cost_per_request
    savings = savings_of(
        workload,
        per_request,
        share=Decimal(repr(held_out.saving.value)),
        low=held_out.saving.low,
        high=held_out.saving.high,
        n=held_out.n,
        basis=f"{count(held_out.n, 'held-out case')}, of which {percent(held_out.strong_share)} go to {strong}",
    )
    allowed = max(rule.loss, 1e-9)
    stability = Stability(share=_stays(shown, rule.loss), resamplings=0)
    return Recommendation(
        kind="model_substitution",
        feature=workload.feature,
        title=f"Send {workload.feature} to {weak} first, and to {strong} where it is worth it",
        description=f"{percent(held_out.strong_share)} of the cases go to {strong}; {percent(savings.share)} of the "
        f"cost is saved and {points(-shown.value)} of quality changed.",
        current=strong,
        recommended=f"{weak} + {strong} by {rule.learner}",
        savings=savings,
        score=score_of(
            share_low=savings.of_bill(savings.share_low),
            quality=(rule.loss - shown.high + allowed) / (2 * allowed),
            stability=stability.share,
        ),
        impact=impact_of(savings),
        effort="complex",
        reasons=(
            f"{points(held_out.above_line.value)} above the line between both models "
            f"({points(held_out.above_line.low)} to {points(held_out.above_line.high)}, n = {count(held_out.n)})",
            f"{percent(savings.share)} of the cost of {strong} alone is saved ({percent(savings.share_low)} to "
            f"{percent(savings.share_high)})",
            f"it is shown to change quality by {points(-shown.high)} at worst (one-sided 95% bound), and "
            f"{points(-rule.loss)} may be lost",
        ),
        tradeoffs=(
            f"against {strong} alone {points(-shown.value)} ({points(-shown.high)} to {points(-shown.low)}, "
            f"{percent(shown.confidence, trim=True)} interval)",
            "two models to look after instead of one",
        ),
        assumptions=("requests are like the cases, and each is known by its " + rule.learner, *workload.counted),
        risks=(
            "what is sent to the cheap model is chosen by the rule: later data of its own choice say nothing of the "
            "rest, unless a share is sent at random",
        ),
        margin=rule.loss,
        stability=stability,
        n=held_out.n,
        details={"strong_share": held_out.strong_share, "threshold": rule.threshold, "learner": rule.learner},
    )


def _stays(loss: Estimate, allowed: float) -> float:
    """The chance that the loss is within what is allowed, by its normal distribution."""
    from scipy.special import ndtr

    error = (loss.high - loss.value) / normal_quantile(loss.confidence)
    return float(ndtr((allowed - loss.value) / error)) if error else float(loss.value <= allowed)
