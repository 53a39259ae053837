"""What a call cost: dated price rows, and exact arithmetic on them.

Money is right or it is unknown. A price is a Decimal per token with 12 places, a cost is their exact sum, and
whatever has no price makes the cost None, never zero:

- **no row** for input or output tokens that were used: the cost is unknown;
- **no row for cached or cache-write tokens**: they cost what input costs. Most providers that do not list a
  cache price bill such tokens in full, and where a discount is merely missing from our rows the cost errs on
  the dear side;
- **no row for reasoning tokens**: they cost what output costs, as every provider known to us bills them;
- **a row of zero** means free and was written on purpose. The rows made from a public price map leave zeros
  out (see tasks/prices.py), because there a zero more often means that nobody wrote the price down.

A tier (`tier_start`) applies to all tokens of a call as soon as its prompt is longer than the start.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Literal, get_args

from evaluations.answers import Usage

TokenClass = Literal[
    "input",
    "cached",
    "cache_write",
    "cache_write_1h",
    "input_audio",
    "cached_audio",
    "output",
    "output_audio",
    "output_image",
    "reasoning",
]
"""Disjoint kinds of tokens. `Usage` knows five of them; the others price usage that comes from elsewhere."""
TOKEN_CLASSES: tuple[TokenClass, ...] = get_args(TokenClass)
PROMPT_CLASSES: frozenset[TokenClass] = frozenset(
    ("input", "cached", "cache_write", "cache_write_1h", "input_audio", "cached_audio")
)
"""What a tier's start is compared with: their sum is the length of the prompt."""
PRICED_AS: Mapping[TokenClass, TokenClass] = {
    "cached": "input",
    "cache_write": "input",
    "cache_write_1h": "cache_write",
    "input_audio": "input",
    "cached_audio": "cached",
    "output_audio": "output",
    "output_image": "output",
    "reasoning": "output",
}
"""Whose price a class takes that has none of its own."""
PLACES = Decimal("1e-12")
"""Prices are kept to 12 places: the finest published ones need 11, and floats in public tables add noise
beyond."""
BARE_PROVIDERS = ("openai", "anthropic", "vertex_ai", "bedrock")
"""Whose models may be named without a provider, in the order that LiteLLM tries them."""
MAP_SOURCE = "litellm"
"""Rows whose source begins so came from a public map; any other row in force on the day goes before them."""


def per_token(value: Decimal | int | str) -> Decimal:
    """A price per token, quantised to 12 places, half to even.

    >>> per_token("1.4999999999999999e-07")
    Decimal('1.50000E-7')
    """
    return Decimal(value).quantize(PLACES)


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceRow:
    """What one token of one class of one model costs from a day on."""

    model: str
    """Provider and name, as a suite writes them: "openai/gpt-4o-mini"."""
    token_class: TokenClass
    per_token: Decimal
    currency: str = "USD"
    effective_from: date
    effective_to: date | None = None
    """The first day on which the price no longer holds; None while it does."""
    source: str
    tier_start: int | None = None
    """The price holds for calls whose prompt has more tokens than this; None for the base price."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """The prices of one model on one day, in US dollars a token."""

    model: str
    on: date
    by_class: Mapping[TokenClass, tuple[tuple[int, Decimal], ...]]
    """For each class with a price its tiers, (start, price), ascending; a base price starts at -1."""

    def per_token(self, token_class: TokenClass, prompt_tokens: int = 0) -> Decimal | None:
        """The price of a token of this class in a call with a prompt of that length; None when unknown."""
        wanted: TokenClass | None = token_class
        while wanted is not None:
            price = None
            for start, tier_price in self.by_class.get(wanted, ()):
                if prompt_tokens > start:
                    price = tier_price
            if price is not None:
                return price
            wanted = PRICED_AS.get(wanted)
        return None


@dataclass(frozen=True, slots=True)
class PriceBook:
    """Dated price rows and the question that is asked of them.

    Where several rows hold on a day, one that was written for this installation goes before one from a public
    map, then the later `effective_from`, then the later in the order given. Rows in another currency than US
    dollars are not used: an exchange rate would be a guess.
    """

    rows: Iterable[PriceRow] = ()
    _by_model: dict[str, list[PriceRow]] = field(init=False, repr=False, default_factory=dict)
    _asked: dict[tuple[str, date], Prices | None] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "rows", tuple(self.rows))
        for row in self.rows:
            if row.currency == "USD":
                self._by_model.setdefault(row.model, []).append(row)

    def prices_of(self, model: str, on: date) -> Prices | None:
        """The prices of a model on a day; None when no row for it holds then.

        A name without a provider ("gpt-4o-mini") is looked up under the providers for which LiteLLM allows
        that. A provider prefix is never dropped: the same name costs differently elsewhere.
        """
        key = (model, on)
        if key not in self._asked:
            self._asked[key] = self._look_up(model, on)
        return self._asked[key]

    def _look_up(self, model: str, on: date) -> Prices | None:
        names = [model] if "/" in model else [model, *(f"{provider}/{model}" for provider in BARE_PROVIDERS)]
        for name in names:
            chosen: dict[tuple[TokenClass, int], tuple[tuple[bool, date], Decimal]] = {}
            for row in self._by_model.get(name, ()):
                if row.effective_from > on or (row.effective_to is not None and row.effective_to <= on):
                    continue
                place = (row.token_class, -1 if row.tier_start is None else row.tier_start)
                rank = (not row.source.startswith(MAP_SOURCE), row.effective_from)
                if place not in chosen or rank >= chosen[place][0]:
                    chosen[place] = (rank, row.per_token)
            if chosen:
                return Prices(model=name, on=on, by_class=_tiers(chosen))
        return None


def _tiers(
    chosen: Mapping[tuple[TokenClass, int], tuple[tuple[bool, date], Decimal]],
) -> dict[TokenClass, tuple[tuple[int, Decimal], ...]]:
    by_class: dict[TokenClass, tuple[tuple[int, Decimal], ...]] = {}
    for token_class in TOKEN_CLASSES:
        mine = {start: (rank, price) for (cls, start), (rank, price) in chosen.items() if cls == token_class}
        if not mine:
            continue
        # A base price written for this installation replaces the map's tiers too: they belong to another
        # price list.
        own_base = -1 in mine and mine[-1][0][0]
        by_class[token_class] = tuple(
            (start, price) for start, (rank, price) in sorted(mine.items()) if rank[0] or not own_base
        )
    return by_class


def costs(tokens: Mapping[TokenClass, int], prices: Prices | None) -> dict[TokenClass, Decimal] | None:
    """The exact cost of each class of tokens, in US dollars; None when any class that was used has no
    price."""
    if prices is None:
        return None
    prompt_tokens = sum(count for token_class, count in tokens.items() if token_class in PROMPT_CLASSES)
    parts: dict[TokenClass, Decimal] = {}
    for token_class, count in tokens.items():
        if count <= 0:
            continue
        price = prices.per_token(token_class, prompt_tokens)
        if price is None:
            return None
        parts[token_class] = price * count
    return parts


def cost(usage: Usage, prices: Prices | None) -> Decimal | None:
    """The exact cost of a call in US dollars; None when the price of anything it used is unknown.

    A usage of no tokens at all costs nothing where there are prices. Whether the usage is known is for the
    caller to
    say: where the provider reported none, the cost is unknown, whatever this function would return.
    """
    parts = costs(
        {
            "input": usage.input_tokens,
            "cached": usage.cached_tokens,
            "cache_write": usage.cache_write_tokens,
            "output": usage.output_tokens,
            "reasoning": usage.reasoning_tokens,
        },
        prices,
    )
    return None if parts is None else sum(parts.values(), Decimal(0))


def possible_cost(prompt_tokens: int, max_output_tokens: int, prices: Prices | None) -> Decimal | None:
    """The most that a call can cost: what to reserve before it is made. None when a price is unknown.

    `prompt_tokens` is an upper bound (`token_bound`). Every prompt token is taken at the dearest of the input
    and cache-write prices, every output token at the dearer of output and reasoning, and every tier that a
    prompt of up to that length can fall into is considered.
    """
    if prices is None:
        return None
    dearest = []
    for classes in (("input", "cache_write"), ("output", "reasoning")):
        found = [_dearest(prices, token_class, prompt_tokens) for token_class in classes]
        known = [price for price in found if price is not None]
        if not known:
            return None
        dearest.append(max(known))
    return dearest[0] * prompt_tokens + dearest[1] * max_output_tokens


def _dearest(prices: Prices, token_class: TokenClass, prompt_tokens: int) -> Decimal | None:
    starts = {start for tiers in prices.by_class.values() for start, _ in tiers}
    lengths = [prompt_tokens, *(start + 1 for start in starts if start < prompt_tokens)]
    found = (prices.per_token(token_class, length) for length in lengths)
    return max((price for price in found if price is not None), default=None)


def estimate_tokens(text: str) -> int:
    """About how many tokens a text is, in constant time a character and without a tokenizer.

    Four ASCII characters a token and three tokens for four others: within about a quarter for English prose
    and code with the tokenizers of the large providers, coarser for other scripts. For plans and rate limits,
    never for a bill.

    >>> estimate_tokens("The quick brown fox jumps over the lazy dog.")
    11
    """
    if text.isascii():
        return -(-len(text) // 4)
    beyond = sum(character > "\x7f" for character in text)
    return -(-(len(text) - beyond) // 4) + -(-beyond * 3 // 4)


def token_bound(text: str) -> int:
    """More tokens than this a text cannot be: its bytes in UTF-8.

    Tokens of byte-pair encodings cover at least a byte each. The bound is about four times too high for
    English, which is the price of being one.
    """
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
