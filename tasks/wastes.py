"""Wastes of a feature: looked for in its production requests, and in the answers of its test runs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from statistics import median

from sqlalchemy import Connection

from evaluations.pricing import PROMPT_CLASSES, PriceBook, Prices, TokenClass, costs, same_model
from evaluations.recommending.cache_reads import (
    LEAST_READS,
    MEMORY,
    SHORT_MEMORY,
    Billed,
    as_cacheable,
    reads_known,
)
from evaluations.recommending.caching import recommend_caching
from evaluations.recommending.evidence import PriceMissing, Workload
from evaluations.recommending.recommendation import Recommendation
from evaluations.recommending.wastes import (
    Call,
    Habit,
    Waste,
    duplicate_prompts,
    habit_to_change,
    long_outputs,
    long_prompts,
    retries,
    truncated,
)
from evaluations.wording import count
from tasks.recommendation_evidence import Known
from tasks.store import model_runs, recommendation_evidence
from tasks.store.recommendation_evidence import CaseCall, ProductionCall

TIMES_MEDIAN = 3
"""A prompt or a reply is long from so many times the feature's median on."""
LEAST_CALLS = 100
"""Calls below which no habit is told from chance."""
TEST_DAYS = 28


@dataclass(frozen=True, slots=True, kw_only=True)
class Wastes:
    """What was found, the largest first, and what could not be looked for."""

    found: tuple[Recommendation, ...]
    untold: tuple[str, ...]


def wastes_of(connection: Connection, known: Known) -> Wastes:
    """Of a feature's last requests and of the test runs of the last four weeks."""
    found: list[Recommendation] = []
    untold: list[str] = []
    production = known.production
    if production is None:
        untold.append(f"no requests of {known.feature} are rolled up: nothing is told of production")
    else:
        calls = recommendation_evidence.production_calls(
            connection, known.feature, production.first, production.last, production.timezone
        )
        found += _in_production(calls, known, untold)
    found += _in_tests(connection, known, untold)
    return Wastes(found=tuple(sorted(found, key=lambda each: -each.savings.point)), untold=tuple(untold))


# Production


def _in_production(calls: Sequence[ProductionCall], known: Known, untold: list[str]) -> Iterator[Recommendation]:
    """Of the model that most of the requests went to: prices and habits are a model's own."""
    assert known.production is not None
    most = known.production.served[0] if known.production.served else None
    main = most.model if most else None
    names = {name for name in {call.model for call in calls} if main is not None and same_model(name, main)}
    own = [call for call in calls if call.model in names and call.tokens is not None]
    if main is None or len(own) < LEAST_CALLS:
        untold.append(f"{count(len(own), 'request')} with known tokens: {LEAST_CALLS} or more tell habits from chance")
        return
    prices = known.book.prices_of(main, known.on)
    if prices is None:
        untold.append(f"{main} has no price, so no waste has one: `assay prices`, or a row of your own in prices.yaml")
        return
    month = known.month_of(main)
    seen = [_production_call(call, prices) for call in own]
    yield from _habits(seen, month)
    if (cache := _caching(own, prices, month, untold)) is not None:
        yield cache


def _production_call(call: ProductionCall, prices: Prices) -> Call:
    """A failed request brought nothing: what it was billed is what a try before an answer would have been."""
    assert call.tokens is not None
    prompt, reply = _split(call.tokens, prices)
    failed = call.failed and prompt is not None and reply is not None
    return Call(
        prompt_cost=Decimal(0) if failed else prompt,
        output_cost=Decimal(0) if failed else reply,
        failed_cost=(prompt or Decimal(0)) + (reply or Decimal(0)) if failed else Decimal(0),
        prompt_tokens=_prompt_tokens(call.tokens),
        output_tokens=sum(call.tokens.values()) - _prompt_tokens(call.tokens),
    )


def _habits(calls: Sequence[Call], month: Workload) -> Iterator[Recommendation]:
    prompt = round(TIMES_MEDIAN * median(call.prompt_tokens for call in calls))
    output = round(TIMES_MEDIAN * median(call.output_tokens for call in calls))
    found: Sequence[tuple[Habit, Waste, int | None]] = (
        ("retries", retries(calls), None),
        ("long_prompts", long_prompts(calls, prompt), prompt),
        ("long_outputs", long_outputs(calls, output), output),
    )
    for habit, waste, limit in found:
        said = habit_to_change(
            habit,
            waste,
            month,
            reasons=() if limit is None else (f"the limit is {TIMES_MEDIAN} times the median: {count(limit)} tokens",),
            details=None if limit is None else {"limit_tokens": limit},
        )
        if said is not None:
            yield said


def _caching(
    calls: Sequence[ProductionCall], prices: Prices, month: Workload, untold: list[str]
) -> Recommendation | None:
    billed = [Billed(at=call.at, begins_as=call.prompt_version or "", tokens=dict(call.tokens or {})) for call in calls]
    if (reads := reads_known(billed)) < LEAST_READS:
        untold.append(
            f"{count(reads, 'request')} read from the provider's cache: {LEAST_READS} or more tell how prompts begin"
        )
        return None
    try:
        return recommend_caching(
            as_cacheable(billed, MEMORY), prices, month, forgetful=as_cacheable(billed, SHORT_MEMORY)
        )
    except PriceMissing as problem:
        untold.append(f"caching: {problem}")
        return None


# Test runs


def _in_tests(connection: Connection, known: Known, untold: list[str]) -> Iterator[Recommendation]:
    """Retries, cut-off replies and prompts that were asked twice, in the test runs of the last weeks."""
    since = known.on - timedelta(days=TEST_DAYS - 1)
    seats = [each for each in model_runs.seats(connection, feature=known.feature) if each.at.date() >= since]
    calls: list[Call] = []
    by_day: dict[date, int] = {}
    for answers_of, variant, model, day in dict.fromkeys(
        (each.answers_of, each.variant, each.model, each.at.date()) for each in seats
    ):
        own = recommendation_evidence.case_calls(connection, answers_of, variant)
        calls += [_case_call(call, model, known.book, known.on) for call in own]
        by_day[day] = by_day.get(day, 0) + len(own)
    if len(calls) < LEAST_CALLS:
        if calls:
            untold.append(f"{count(len(calls), 'answer')} of test runs: {LEAST_CALLS} or more tell habits from chance")
        return
    month = Workload.of_days(
        f"tests of {known.feature}",
        [by_day.get(since + timedelta(days=n), 0) for n in range(TEST_DAYS)],
        simulated=known.sample_data,
    )
    looked: Sequence[tuple[Habit, Waste]] = (
        ("retries", retries(calls)),
        ("truncated", truncated(calls)),
        ("duplicate_prompts", duplicate_prompts(calls)),
    )
    for habit, waste in looked:
        if (found := habit_to_change(habit, waste, month)) is not None:
            yield found


def _case_call(call: CaseCall, model: str, book: PriceBook, on: date) -> Call:
    """What was superseded or failed was paid for and brought nothing."""
    prompt: Decimal | None = None
    reply: Decimal | None = None
    if call.tokens is not None:
        prompt, reply = _split(call.tokens, book.prices_of(model, on))
    if prompt is None or reply is None:
        prompt, reply = call.cost, None if call.cost is None else Decimal(0)
    lost = (call.superseded or call.failed) and prompt is not None and reply is not None
    tokens = call.tokens or {}
    return Call(
        prompt_cost=Decimal(0) if lost else prompt,
        output_cost=Decimal(0) if lost else reply,
        failed_cost=(prompt or Decimal(0)) + (reply or Decimal(0)) if lost else Decimal(0),
        prompt_tokens=_prompt_tokens(tokens),
        output_tokens=sum(tokens.values()) - _prompt_tokens(tokens),
        truncated=call.truncated,
        # Repeats ask the same prompt again on purpose.
        prompt_key=None if call.prompt_hash is None else f"{model} {call.repeat} {call.prompt_hash.hex()}",
    )


def _split(tokens: dict[TokenClass, int], prices: Prices | None) -> tuple[Decimal | None, Decimal | None]:
    """What the prompt and the reply cost; None where a price is missing."""
    parts = costs(tokens, prices)
    if parts is None:
        return None, None
    prompt = sum((cost for name, cost in parts.items() if name in PROMPT_CLASSES), Decimal(0))
    return prompt, sum(parts.values(), Decimal(0)) - prompt


def _prompt_tokens(tokens: dict[TokenClass, int]) -> int:
    return sum(each for name, each in tokens.items() if name in PROMPT_CLASSES)
