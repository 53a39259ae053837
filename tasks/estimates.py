"""Estimates: what a run will ask, cost and take, from a sample of its prompts and from what the ledger remembers.

Prompt tokens are counted on a sample of cases. The length of answers and the time of a call come from earlier
answers of the same model where there are enough, and from a wide assumption where there are none; the interval says
which. Both ends are multiplied out, so that it covers the sample's error and the answers' spread.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import Connection

from evaluations.answers import NO_VENDOR
from evaluations.errors import AssayError
from evaluations.pricing import estimate_tokens
from evaluations.routes import strong_share
from evaluations.specs import SuiteSpec, VariantSpec
from tasks.prompts import PromptError, PromptTemplate
from tasks.store.answers import past_answers
from tasks.store.datasets import CaseFilter, StoredCase, sample_cases
from tasks.store.prices import price_book

SAMPLE = 200
ENOUGH = 20
"""Earlier answers from which their length and time are believed."""
ASSUMED_OUTPUT = (30, 250, 800)
"""Tokens of an answer that nobody has seen: low, middle, high."""
ASSUMED_SECONDS = (0.5, 2.0, 8.0)
TOKENIZER_ERROR = 0.25
"""How far `estimate_tokens` may be off."""


@dataclass(frozen=True, slots=True)
class Range:
    """A middle with a low and a high end."""

    low: float
    middle: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantEstimate:
    """What one variant will take. Costs in USD, None when a price is unknown."""

    label: str
    calls: int
    input_tokens: int
    output_tokens: int
    cost: Range | None
    seconds: Range
    """Of one call."""
    from_history: bool
    """Whether earlier answers of the model said how long answers are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimated:
    """What a run will take."""

    calls: int
    input_tokens: int
    output_tokens: int
    cost: Range | None
    """None when no variant has a price; variants without one are in `unpriced`."""
    unpriced: tuple[str, ...]
    seconds: Range
    variants: tuple[VariantEstimate, ...]
    recorded: bool
    """True when every answer is recorded or simulated: nothing is called and nothing is paid."""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def estimate(
    connection: Connection,
    suite: SuiteSpec,
    variants: Sequence[VariantSpec],
    dataset_id: UUID,
    chosen: CaseFilter,
    cases: int,
) -> Estimated:
    """What the run will take. Raises AssayError when not one sampled case fits a prompt."""
    sample = sample_cases(connection, dataset_id, chosen, SAMPLE)
    each = tuple(
        _of_route(connection, suite, variant, sample, cases)
        if variant.sides
        else _of_variant(connection, suite, variant, sample, cases)
        for variant in variants
    )
    priced = [one.cost for one in each if one.cost is not None]
    slots = max(1, suite.concurrency)
    return Estimated(
        calls=sum(one.calls for one in each),
        input_tokens=sum(one.input_tokens for one in each),
        output_tokens=sum(one.output_tokens for one in each),
        cost=_added(priced) if priced else None,
        unpriced=tuple(one.label for one in each if one.cost is None),
        seconds=_added([_scaled(one.seconds, one.calls / slots) for one in each]),
        variants=each,
        recorded=all(_is_recorded(variant) for variant in variants),
    )


def _of_variant(
    connection: Connection, suite: SuiteSpec, variant: VariantSpec, sample: Sequence[StoredCase], cases: int
) -> VariantEstimate:
    tokens = _prompt_tokens(variant, sample)
    calls = cases * suite.repeats
    mean = statistics.fmean(tokens)
    error = 1.96 * statistics.stdev(tokens) / math.sqrt(len(tokens)) if len(tokens) > 1 else mean
    output, seconds, known = _history(connection, variant)
    price = price_book(connection, [variant.model.model]).prices_of(variant.model.model, datetime.now(UTC).date())
    cost = None
    if price is not None:
        into, out = price.per_token("input", int(mean)), price.per_token("output", int(mean))
        if into is not None and out is not None:
            low, high = mean * (1 - TOKENIZER_ERROR) - error, mean * (1 + TOKENIZER_ERROR) + error
            cost = _scaled(
                Range(
                    _usd(into, max(low, 0)) + _usd(out, output.low),
                    _usd(into, mean) + _usd(out, output.middle),
                    _usd(into, high) + _usd(out, output.high),
                ),
                calls,
            )
    return VariantEstimate(
        label=variant.label,
        calls=calls,
        input_tokens=round(mean * calls),
        output_tokens=round(output.middle * calls),
        cost=cost,
        seconds=seconds,
        from_history=known,
    )


def _of_route(
    connection: Connection, suite: SuiteSpec, variant: VariantSpec, sample: Sequence[StoredCase], cases: int
) -> VariantEstimate:
    """Of both models by the share of the sample that the rule sends to each.

    A cascade always asks the cheap one, and the strong one from never to always: half of the time is taken.
    """
    route = variant.model.route
    assert route is not None
    weak, strong = (
        _of_variant(
            connection,
            suite,
            variant.model_copy(update={"model": side.model, "parameters": side.parameters, "sides": ()}),
            sample,
            cases,
        )
        for side in variant.sides
    )
    cascade = route.escalate_when is not None
    share = strong_share(variant, [stored.case for stored in sample])
    often = Range(0.0, 0.5, 1.0) if cascade else Range(share, share, share)
    seldom = 1.0 if cascade else 1 - share
    router = float(route.cost_a_case) * cases * suite.repeats
    cost = None
    if weak.cost is not None and strong.cost is not None:
        cost = _added([_scaled(weak.cost, seldom), _times(strong.cost, often), Range(router, router, router)])
    return VariantEstimate(
        label=variant.label,
        calls=round(weak.calls * seldom + strong.calls * often.high),
        input_tokens=round(weak.input_tokens * seldom + strong.input_tokens * often.middle),
        output_tokens=round(weak.output_tokens * seldom + strong.output_tokens * often.middle),
        cost=cost,
        seconds=_added([_scaled(weak.seconds, seldom), _times(strong.seconds, often)]),
        from_history=weak.from_history and strong.from_history,
    )


def _prompt_tokens(variant: VariantSpec, sample: Sequence[StoredCase]) -> list[int]:
    template = PromptTemplate(variant.prompt)
    tokens, problem = [], None
    for stored in sample:
        try:
            messages = template.render(stored.case.inputs)
        except PromptError as error:
            problem = problem or f"case {stored.case.id}: {error}"
            continue
        tokens.append(estimate_tokens(orjson.dumps(messages).decode()))
    if not tokens:
        raise AssayError(f"the prompt {variant.prompt.label} fits none of the cases; {problem}")
    return tokens


def _history(connection: Connection, variant: VariantSpec) -> tuple[Range, Range, bool]:
    """Length of answers in tokens and seconds of a call, from the latest answers of the model."""
    past = past_answers(connection, variant.model.model)
    if past is None or past.n < ENOUGH:
        limit = variant.model.max_output_tokens
        output = Range(*(min(tokens, limit) if limit else tokens for tokens in ASSUMED_OUTPUT))
        seconds = Range(0.0, 0.0, 0.0) if _is_recorded(variant) else Range(*ASSUMED_SECONDS)
        return output, seconds, False
    seconds = Range(0.0, 0.0, 0.0) if _is_recorded(variant) else Range(*(ms / 1000 for ms in past.latency_ms))
    return Range(past.tokens[0], past.mean_tokens, past.tokens[2]), seconds, True


def _is_recorded(variant: VariantSpec) -> bool:
    return all(model.model.startswith(NO_VENDOR) for model in variant.asks)


def _usd(price: Decimal, tokens: float) -> float:
    return float(price) * tokens


def _scaled(one: Range, by: float) -> Range:
    return Range(one.low * by, one.middle * by, one.high * by)


def _times(one: Range, by: Range) -> Range:
    return Range(one.low * by.low, one.middle * by.middle, one.high * by.high)


def _added(ranges: Sequence[Range]) -> Range:
    return Range(sum(r.low for r in ranges), sum(r.middle for r in ranges), sum(r.high for r in ranges))
