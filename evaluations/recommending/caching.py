"""Prompt caching: what requests would cost if the beginnings they share were read from the provider's cache.

The same tokens are sent and the same come back, so answers do not change; only the price of a part of the prompt does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from evaluations.errors import AssayError
from evaluations.estimates import Estimate
from evaluations.pricing import PROMPT_CLASSES, Prices, TokenClass, costs
from evaluations.recommending.evidence import PriceMissing, Workload
from evaluations.recommending.recommendation import Recommendation
from evaluations.recommending.wastes import Waste, habit_to_change
from evaluations.wording import count, percent

BLOCK_TOKENS: Final = 512
STRETCHES: Final = 20
"""Requests follow each other: the interval takes so many stretches of them, one after the other, as its units."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompted:
    """A request as it is billed now, with the tokens at its beginning that were sent shortly before."""

    tokens: Mapping[TokenClass, int]
    cacheable: int
    """Of the prompt's tokens, those that a cache would have had; at least those that it did have ("cached")."""

    @property
    def prompt_tokens(self) -> int:
        return sum(count for token_class, count in self.tokens.items() if token_class in PROMPT_CLASSES)

    def cached(self, writes: bool) -> Mapping[TokenClass, int]:
        """Its tokens were all of the cacheable ones read from the cache; with `writes` the rest is written to it."""
        more = max(0, min(self.cacheable - self.tokens.get("cached", 0), self.tokens.get("input", 0)))
        rest = self.tokens.get("input", 0) - more
        moved: dict[TokenClass, int] = dict(self.tokens)
        moved["cached"] = self.tokens.get("cached", 0) + more
        moved["input"] = 0 if writes else rest
        if writes:
            moved["cache_write"] = self.tokens.get("cache_write", 0) + rest
        return moved


@dataclass(frozen=True, slots=True, kw_only=True)
class Traced:
    """A request of a trace whose prompt is known by the hashes of its blocks."""

    at_s: float
    input_tokens: int
    output_tokens: int
    blocks: tuple[int, ...]
    """Equal hashes stand for equal prompts up to the end of the block."""


def prompted(
    trace: Sequence[Traced], *, block_tokens: int = BLOCK_TOKENS, lifetime_s: float | None = None
) -> list[Prompted]:
    """The requests of a trace in the order given, each with the leading blocks that were sent before.

    `lifetime_s`: a block is forgotten so long after it was last sent; None: never.

    >>> first = Traced(at_s=0, input_tokens=1100, output_tokens=9, blocks=(1, 2, 3))
    >>> [each.cacheable for each in prompted([first, Traced(at_s=9, input_tokens=600, output_tokens=9, blocks=(1, 4))])]
    [0, 512]
    """
    seen: dict[int, float] = {}
    found = []
    for request in trace:
        known = 0
        for block in request.blocks:
            if block not in seen or (lifetime_s is not None and request.at_s - seen[block] > lifetime_s):
                break
            known += 1
        seen.update((block, request.at_s) for block in request.blocks)
        found.append(
            Prompted(
                tokens={"input": request.input_tokens, "output": request.output_tokens},
                cacheable=min(known * block_tokens, request.input_tokens),
            )
        )
    return found


def cacheable_waste(requests: Sequence[Prompted], prices: Prices | None) -> Waste:
    """What the requests cost, and what of it a cache would save; the units of its interval are stretches of requests.

    Where the vendor has a price for writing to the cache, everything that is not read is written. Raises PriceMissing
    without a price of the tokens that were used, AssayError without a request.
    """
    if not requests:
        raise AssayError("no request to look at; caching is judged on one or more")
    if prices is None or prices.per_token("cached") is None:
        raise PriceMissing("the model has no price, so that no saving can be said; give it one (assay prices).")
    writes = "cache_write" in prices.by_class
    now: list[Decimal] = []
    saved: list[Decimal] = []
    for request in requests:
        before, after = (_cost(tokens, prices) for tokens in (request.tokens, request.cached(writes)))
        now.append(before)
        saved.append(before - after)
    affected = sum(request.cacheable > request.tokens.get("cached", 0) for request in requests)
    size = -(-len(requests) // min(STRETCHES, len(requests)))
    stretches = [slice(begin, begin + size) for begin in range(0, len(requests), size)]
    return Waste.of(
        [sum(now[each], Decimal(0)) for each in stretches],
        [sum(saved[each], Decimal(0)) for each in stretches],
        calls=len(requests),
        affected=affected,
    )


def _cost(tokens: Mapping[TokenClass, int], prices: Prices) -> Decimal:
    parts = costs(tokens, prices)
    if parts is None:
        raise PriceMissing(f"{prices.model} has no price for some of {', '.join(sorted(tokens))}; give it one.")
    return sum(parts.values(), Decimal(0))


def recommend_caching(
    requests: Sequence[Prompted],
    prices: Prices | None,
    workload: Workload,
    *,
    forgetful: Sequence[Prompted] | None = None,
) -> Recommendation | None:
    """To cache the beginnings of prompts, if that surely saves something; None where it does not.

    `forgetful` are the same requests under a cache that forgets: what is then left of the saving is stated as a risk.
    """
    waste = cacheable_waste(requests, prices)
    prompt = sum(request.prompt_tokens for request in requests)
    cacheable = sum(max(request.cacheable, request.tokens.get("cached", 0)) for request in requests)
    reads = sum(request.tokens.get("cached", 0) for request in requests)
    left: Estimate | None = None if forgetful is None else cacheable_waste(forgetful, prices).share
    risk = (
        "a cache forgets: with a shorter memory less is saved"
        if left is None
        else f"a cache forgets: with the shorter memory that was tried {percent(left.value)} is saved"
    )
    return habit_to_change(
        "unused_cache",
        waste,
        workload,
        reasons=(
            f"{percent(cacheable / prompt) if prompt else '0%'} of {count(prompt, 'prompt token')} were sent before at "
            f"the beginning of another prompt; {percent(reads / prompt) if prompt else '0%'} are read from a cache now",
            "the same tokens are sent and received, so answers do not change",
        ),
        risks=(risk,),
        details={
            "prompt_tokens": prompt,
            "cacheable_tokens": cacheable,
            "cached_tokens": reads,
            "output_tokens": sum(request.tokens.get("output", 0) for request in requests),
            "cost": waste.cost,
            "cost_with_cache": waste.cost - waste.wasted,
            "share_when_forgetful": None if left is None else left.value,
        },
    )
