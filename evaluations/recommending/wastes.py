"""Money that brings nothing: retries, cut-off replies, over-long prompts and replies, unused caches, duplicates, and
tests on more cases than they need. Each becomes a recommendation where it surely matters.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final, Literal, Self

from evaluations.estimates import Estimate
from evaluations.recommending.evidence import Workload
from evaluations.recommending.recommendation import (
    Effort,
    Kind,
    Recommendation,
    Stability,
    impact_of,
    score_of,
)
from evaluations.recommending.savings import savings_of
from evaluations.wording import count, money, percent

if TYPE_CHECKING:
    from evaluations.statistics.ratios import PairMoments

Habit = Literal[
    "retries", "truncated", "long_outputs", "long_prompts", "unused_cache", "duplicate_prompts", "over_sampled"
]
LEAST_SHARE: Final = 0.01
"""A waste whose lower bound is a smaller share of the cost is not worth a recommendation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waste:
    """What some calls cost and what of it brought nothing, as sums over independent units (calls, runs, stretches)."""

    units: int
    cost: Decimal
    wasted: Decimal
    cost_squares: float
    wasted_squares: float
    products: float
    """Sums over units of cost², wasted², and of their product: what the interval of the share is made of."""
    calls: int
    affected: int
    """Calls with any waste."""
    unpriced: int = 0
    """Calls whose cost is unknown: in no sum."""

    @classmethod
    def of(
        cls, cost: Sequence[Decimal], wasted: Sequence[Decimal], *, calls: int, affected: int, unpriced: int = 0
    ) -> Self:
        """From the cost of each unit and what of it was wasted."""
        pairs = [(float(one), float(two)) for one, two in zip(cost, wasted, strict=True)]
        return cls(
            units=len(pairs),
            cost=sum(cost, Decimal(0)),
            wasted=sum(wasted, Decimal(0)),
            cost_squares=sum(one * one for one, _ in pairs),
            wasted_squares=sum(two * two for _, two in pairs),
            products=sum(one * two for one, two in pairs),
            calls=calls,
            affected=affected,
            unpriced=unpriced,
        )

    @property
    def share(self) -> Estimate | None:
        """Of the cost, with its interval over units; None where nothing was paid, or of one unit."""
        from evaluations.statistics.ratios import ratio_of

        found = ratio_of(self._moments) if self.units > 1 else None
        return found

    @property
    def _moments(self) -> "PairMoments":
        from evaluations.statistics.ratios import PairMoments

        return PairMoments.from_sums(
            self.units, float(self.wasted), float(self.cost), self.wasted_squares, self.cost_squares, self.products
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of the model behind a feature, as far as waste can be told from it."""

    prompt_cost: Decimal | None
    output_cost: Decimal | None
    """US dollars; None: unknown."""
    prompt_tokens: int = 0
    output_tokens: int = 0
    failed_cost: Decimal = Decimal(0)
    """What the tries before the one that answered were billed; on top of the other two."""
    tries: int = 1
    truncated: bool = False
    """Its reply was cut off at the limit of tokens."""
    prompt_key: str | None = None
    """Equal for equal prompts to the same model with the same parameters; None: not known."""

    @property
    def cost(self) -> Decimal | None:
        if self.prompt_cost is None or self.output_cost is None:
            return None
        return self.prompt_cost + self.output_cost + self.failed_cost


def retries(calls: Sequence[Call]) -> Waste:
    """What tries were billed that brought no answer."""
    return _waste(calls, lambda call: call.failed_cost)


def truncated(calls: Sequence[Call]) -> Waste:
    """The whole price of calls whose reply was cut off: it has to be asked for again."""
    return _waste(calls, lambda call: (call.cost or Decimal(0)) if call.truncated else Decimal(0))


def long_outputs(calls: Sequence[Call], limit_tokens: int) -> Waste:
    """What the tokens of replies beyond the limit cost."""
    return _waste(calls, lambda call: _beyond(call.output_cost, call.output_tokens, limit_tokens))


def long_prompts(calls: Sequence[Call], limit_tokens: int) -> Waste:
    """What the tokens of prompts beyond the limit cost."""
    return _waste(calls, lambda call: _beyond(call.prompt_cost, call.prompt_tokens, limit_tokens))


def duplicate_prompts(calls: Sequence[Call]) -> Waste:
    """The price of every call whose prompt had been answered before in these calls."""
    seen: set[str] = set()
    again = []
    for call in calls:
        again.append(call.prompt_key is not None and call.prompt_key in seen)
        if call.prompt_key is not None:
            seen.add(call.prompt_key)
    places = iter(again)
    return _waste(calls, lambda call: (call.cost or Decimal(0)) if next(places) else Decimal(0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampled:
    """One run of a test: on how many cases, and how many would have settled it."""

    cost: Decimal
    cases: int
    needed: int
    """By the planner, for the smallest difference worth finding; at most what was paid for is wasted beyond it."""


def over_sampled(tests: Sequence[Sampled]) -> Waste:
    """What the cases beyond those that were needed cost."""
    wasted = [test.cost * max(0, test.cases - test.needed) / test.cases if test.cases else Decimal(0) for test in tests]
    return Waste.of([test.cost for test in tests], wasted, calls=len(tests), affected=sum(each > 0 for each in wasted))


def _beyond(cost: Decimal | None, tokens: int, limit: int) -> Decimal:
    return Decimal(0) if cost is None or tokens <= limit else cost * (tokens - limit) / tokens


def _waste(calls: Sequence[Call], of: Callable[[Call], Decimal]) -> Waste:
    judged = [(call.cost, of(call)) for call in calls]
    priced = [(cost, wasted) for cost, wasted in judged if cost is not None]
    return Waste.of(
        [cost for cost, _ in priced],
        [wasted for _, wasted in priced],
        calls=len(calls),
        affected=sum(wasted > 0 for _, wasted in priced),
        unpriced=len(calls) - len(priced),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Advised:
    """What is said of one kind of waste."""

    kind: Kind
    title: str
    found: str
    """What the affected calls are."""
    now: str
    then: str
    effort: Effort
    assumption: str
    risk: str
    changes_answers: bool


HABITS: Final[Mapping[Habit, Advised]] = {
    "retries": Advised(
        kind="usage_reduction",
        title="Fail less often",
        found="were billed for tries that brought no answer",
        now="retries that are billed",
        then="longer timeouts, fewer tries, or a provider that fails less",
        effort="moderate",
        assumption="the causes of the failures can be removed",
        risk="fewer tries may leave more requests without an answer",
        changes_answers=False,
    ),
    "truncated": Advised(
        kind="prompt_optimization",
        title="Stop cutting replies off",
        found="ended at the limit of tokens",
        now="a limit that cuts replies off",
        then="a higher limit, or a prompt that asks for shorter replies",
        effort="easy",
        assumption="a reply that was cut off is of no use and is asked for again",
        risk="a higher limit lets other replies grow too",
        changes_answers=True,
    ),
    "long_outputs": Advised(
        kind="prompt_optimization",
        title="Ask for shorter replies",
        found="replied at greater length than the limit",
        now="replies without a bound",
        then="a prompt that asks for no more than the limit",
        effort="easy",
        assumption="what lies beyond the limit brings nothing",
        risk="shorter replies may lack something: compare both prompts on the same cases first",
        changes_answers=True,
    ),
    "long_prompts": Advised(
        kind="prompt_optimization",
        title="Shorten the prompts",
        found="were asked with a longer prompt than the limit",
        now="prompts without a bound",
        then="a shorter instruction, fewer examples, less context",
        effort="moderate",
        assumption="what lies beyond the limit brings nothing",
        risk="the model may miss what is left out: compare both prompts on the same cases first",
        changes_answers=True,
    ),
    "unused_cache": Advised(
        kind="prompt_optimization",
        title="Cache the beginnings of prompts",
        found="begin as another prompt did before",
        now="prompts whose common beginnings are paid in full",
        then="common parts first, and the provider's prompt cache",
        effort="easy",
        assumption="the provider's cache takes what was sent before",
        risk="a cache forgets",
        changes_answers=False,
    ),
    "duplicate_prompts": Advised(
        kind="usage_reduction",
        title="Answer the same prompt once",
        found="asked what had been answered before",
        now="the same prompt is asked again",
        then="a cache of answers",
        effort="moderate",
        assumption="the same prompt may have the same answer",
        risk="an answer that was right may have become stale",
        changes_answers=False,
    ),
    "over_sampled": Advised(
        kind="usage_reduction",
        title="Test on as many cases as the question needs",
        found="took more cases than would have settled them",
        now="tests on more cases than needed",
        then="the planned number of cases, or a test that stops by itself",
        effort="easy",
        assumption="the smallest difference worth finding stays what was declared",
        risk="smaller differences are no longer found",
        changes_answers=False,
    ),
}


def habit_to_change(
    habit: Habit,
    waste: Waste,
    workload: Workload,
    *,
    least_share: float = LEAST_SHARE,
    reasons: tuple[str, ...] = (),
    risks: tuple[str, ...] = (),
    details: Mapping[str, object] | None = None,
) -> Recommendation | None:
    """The waste as a recommendation; None where its share of the cost is not surely `least_share` or more.

    Where the workload has a cost per request the share is taken of that, else of what the calls cost. Stability is
    the chance that the share is at least `least_share` on other calls, by its normal distribution: prices move waste
    and cost alike.
    """
    share = waste.share
    if share is None or share.low < least_share:
        return None
    said = HABITS[habit]
    per_request = workload.cost_per_request
    if per_request is None:
        per_request = waste.cost / (waste.calls - waste.unpriced)
    savings = savings_of(
        workload,
        per_request,
        share=waste.wasted / waste.cost,
        low=share.low,
        high=min(1.0, share.high),
        n=waste.calls,
        basis=f"{money(waste.wasted)} of {money(waste.cost)} over {count(waste.calls, 'call')}, "
        f"at {count(round(workload.requests))} requests a month",
    )
    stability = Stability(share=_stays(share, least_share), resamplings=0)
    unpriced = (f"{count(waste.unpriced, 'call')} without a price are left out",) if waste.unpriced else ()
    return Recommendation(
        kind=said.kind,
        feature=workload.feature,
        title=f"{said.title} ({workload.feature})",
        description=f"{count(waste.affected)} of {count(waste.calls, 'call')} {said.found}; that is "
        f"{percent(float(savings.share))} of the cost, {money(savings.point)} a month.",
        current=said.now,
        recommended=said.then,
        savings=savings,
        score=score_of(
            share_low=savings.of_bill(savings.share_low),
            quality=0.5 if said.changes_answers else 1.0,
            stability=stability.share,
        ),
        impact=impact_of(savings),
        effort=said.effort,
        reasons=(
            f"{percent(savings.share)} of the cost ({percent(savings.share_low)} to {percent(savings.share_high)})",
            *reasons,
        ),
        tradeoffs=("answers change",) if said.changes_answers else (),
        assumptions=(
            said.assumption,
            *workload.counted,
            *(("the traffic is sample data",) if workload.simulated else ()),
        ),
        risks=(*(risks or (said.risk,)), *unpriced),
        stability=stability,
        n=waste.calls,
        details={"habit": habit, "affected": waste.affected, **(details or {})},
    )


def _stays(share: Estimate, least: float) -> float:
    from scipy.special import ndtr

    from evaluations.statistics.proportions import normal_quantile

    error = (share.high - share.value) / normal_quantile(share.confidence)
    return 1.0 if error == 0 else float(ndtr((share.value - least) / error))
