"""What a call cost: dated price rows, and exact arithmetic on them.

Money is right or it is unknown. A price is a Decimal per token with 12 places, a cost is their exact sum, and
whatever has no price makes the cost None, never zero:

- **no row** for input or output tokens that were used: the cost is unknown;
- **no row for cached or cache-write tokens**: they cost what input costs. Most providers that do not list a
  cache price bill such tokens in full, and where a discount is merely missing from our rows the cost errs on
  the dear side. Only writes for an hour do not take the price of writes for five minutes, which is lower: where
  that one is known and theirs is not, the cost is unknown;
- **no row for reasoning tokens**: they cost what output costs, as every provider known to us bills them;
- **a row of zero** means free and was written on purpose. The rows made from a public price map leave zeros
  out (see tasks/prices.py), because there a zero more often means that nobody wrote the price down.

A tier (`tier_start`) applies to all tokens of a call as soon as its prompt is longer than the start.

The price of a call depends on its day, and where a vendor has hours also on its time (UTC); on the service it asked
for (`Service`); and on the region, where the model has prices of its own there.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
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
    "input_image",
    "cached_image",
    "input_video",
    "output_video",
    "request",
    "web_search",
]
"""Disjoint kinds of what is counted and billed: tokens, except for the `FEES`.

`Usage` knows five of them; the others price usage that comes from elsewhere. `cache_write` lives five minutes.
"""
FEES: tuple[TokenClass, ...] = ("request", "web_search")
"""Counted by the piece. A request fee is added to every call of a model that has one."""
PRICE_CLASSES: tuple[TokenClass, ...] = get_args(TokenClass)
TOKEN_CLASSES: tuple[TokenClass, ...] = PRICE_CLASSES[: PRICE_CLASSES.index("reasoning") + 1]
"""The classes that facts about calls keep apart; pictures and films among the prompt are input to them."""
PROMPT_CLASSES: frozenset[TokenClass] = frozenset(
    (
        *("input", "cached", "cache_write", "cache_write_1h", "input_audio", "cached_audio"),
        *("input_image", "cached_image", "input_video"),
    )
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
    "input_image": "input",
    "cached_image": "cached",
    "input_video": "input",
    "output_video": "output",
}
"""Whose price a class takes that has none of its own."""
PLACES = Decimal("1e-12")
"""Prices are kept to 12 places: the finest published ones need 11, and floats in public tables add noise
beyond."""
BARE_PROVIDERS = ("openai", "anthropic", "vertex_ai", "bedrock")
"""Whose models may be named without a provider, in the order that LiteLLM tries them."""
Service = Literal["standard", "batch", "flex", "priority"]
"""What a call asked its provider for, and is billed for apart."""
SERVICES: tuple[Service, ...] = get_args(Service)
DISCOUNTS: frozenset[Service] = frozenset(("batch", "flex"))
"""Cheaper than the standard: a class they have no price for takes the standard one, which errs on the dear side."""
ListName = Literal["own", "dated", "litellm", "borrowed", "genai-prices"]
PUBLIC_LISTS: tuple[ListName, ...] = ("dated", "litellm", "borrowed", "genai-prices")
"""Public price lists, the first one that knows the model going before the others; `list_of` tells them apart."""
DATED = ", dated"
"""End of the source of a genai-prices list that knows when its prices changed."""
BORROWED = ", borrowed"
"""End of the source of a genai-prices list of another provider, which it says holds for this one too."""


def per_token(value: Decimal | int | str) -> Decimal:
    """A price per token, quantised to 12 places, half to even.

    >>> per_token("1.4999999999999999e-07")
    Decimal('1.50000E-7')
    """
    return Decimal(value).quantize(PLACES)


def list_of(source: str) -> ListName:
    """The list that a row belongs to by its source; "own" for what was written for this installation.

    >>> list_of("litellm 1.109.1"), list_of("genai-prices 0.2.3, dated"), list_of("our contract")
    ('litellm', 'dated', 'own')
    """
    if source.startswith("genai-prices"):
        return "dated" if source.endswith(DATED) else "borrowed" if source.endswith(BORROWED) else "genai-prices"
    return "litellm" if source.startswith("litellm") else "own"


@dataclass(frozen=True, slots=True, order=True)
class Hours:
    """A daily span of time, in UTC. It may run over midnight; two equal ends are the whole day."""

    start: time
    end: time
    weekdays: str = "1234567"
    """Days on which it begins, Monday is 1."""

    def __post_init__(self) -> None:
        if not self.weekdays or not set(self.weekdays) <= set("1234567"):
            raise ValueError(f"weekdays are digits from 1 (Monday) to 7, not {self.weekdays!r}")

    def hold_at(self, moment: datetime) -> bool:
        """Whether the moment lies in them; one without a time zone is UTC."""
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        at, today = moment.time(), moment.isoweekday()
        if self.start < self.end:
            return self.start <= at < self.end and str(today) in self.weekdays
        yesterday = (today - 2) % 7 + 1
        began_today = at >= self.start and str(today) in self.weekdays
        return began_today or (at < self.end and str(yesterday) in self.weekdays)

    def __str__(self) -> str:
        return f"{self.weekdays} {self.start:%H:%M}-{self.end:%H:%M}"

    @classmethod
    def read(cls, said: str) -> "Hours":
        """The inverse of `str`; the weekdays may be left out. Raises ValueError on anything else.

        >>> str(Hours.read("16:30-00:30"))
        '1234567 16:30-00:30'
        """
        weekdays, _, span = said.rpartition(" ")
        start, _, end = span.partition("-")
        return cls(time.fromisoformat(start), time.fromisoformat(end), weekdays or "1234567")


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
    service: Service = "standard"
    hours: Hours | None = None
    """The price holds in these hours only, and goes before the one without hours."""

    @property
    def price_class(self) -> str:
        """Class, service and hours in one text, as the store keeps them: "batch input", "input @12345 01:00-04:00"."""
        service = "" if self.service == "standard" else f"{self.service} "
        return f"{service}{self.token_class}" + ("" if self.hours is None else f" @{self.hours}")

    @property
    def place(self) -> tuple[str, int]:
        """What there is one price for in a list: class, service and hours, with the tier's start, -1 for the base."""
        return self.price_class, -1 if self.tier_start is None else self.tier_start

    def holds_on(self, day: date) -> bool:
        return self.effective_from <= day and (self.effective_to is None or day < self.effective_to)


def read_price_class(said: str) -> tuple[TokenClass, Service, Hours | None]:
    """The inverse of `PriceRow.price_class`. Raises ValueError on a class or service that nobody knows.

    >>> read_price_class("batch input")
    ('input', 'batch', None)
    """
    name, _, hours = said.partition(" @")
    service, _, token_class = name.rpartition(" ")
    service = service or "standard"
    if token_class not in PRICE_CLASSES or service not in SERVICES:
        raise ValueError(f"no price class is written {said!r}")
    return token_class, service, Hours.read(hours) if hours else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """The prices of one model on one day, in US dollars a token."""

    model: str
    on: date
    by_class: Mapping[TokenClass, tuple[tuple[int, Decimal], ...]]
    """For each class with a price its tiers, (start, price), ascending; a base price starts at -1."""
    service: Service = "standard"

    @property
    def starts(self) -> frozenset[int]:
        """The lengths of a prompt, in tokens, above which another price holds."""
        return frozenset(start for tiers in self.by_class.values() for start, _ in tiers if start >= 0)

    def per_token(self, token_class: TokenClass, prompt_tokens: int | Decimal = 0) -> Decimal | None:
        """The price of a token of this class in a call with a prompt of that length; None when unknown."""
        wanted: TokenClass | None = token_class
        while wanted is not None:
            price = None
            for start, tier_price in self.by_class.get(wanted, ()):
                if prompt_tokens > start:
                    price = tier_price
            if price is not None:
                return price
            if wanted == "cache_write_1h" and "cache_write" in self.by_class:
                return None  # an hour is dearer than five minutes by a factor that vendors set
            wanted = PRICED_AS.get(wanted)
        return None


Tiers = dict[tuple[TokenClass, int], Decimal]
"""The price of each class from each start on; the base price starts at -1."""


@dataclass(frozen=True, slots=True)
class PriceBook:
    """Dated price rows and the question that is asked of them.

    Rows of one's own go before public ones, class by class: the later `effective_from`, then the later in the
    order given. A public list counts as a whole: of the first of the `PUBLIC_LISTS` that knows the model, the
    edition (rows of one day and source) that came last, so that what a vendor withdrew is gone. Rows in another
    currency than US dollars are not used: an exchange rate would be a guess.
    """

    rows: Iterable[PriceRow] = ()
    _by_model: dict[str, list[PriceRow]] = field(init=False, repr=False, default_factory=dict)
    _asked: dict[tuple[object, ...], Prices | None] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "rows", tuple(self.rows))
        for row in self.rows:
            if row.currency == "USD":
                self._by_model.setdefault(row.model, []).append(row)

    def prices_of(
        self, model: str, on: date, *, service: Service = "standard", region: str | None = None
    ) -> Prices | None:
        """The prices of a model on a day or at a moment; None when no row for it holds then.

        A name without a provider ("gpt-4o-mini") is looked up under the providers for which LiteLLM allows
        that. A provider prefix is never dropped: the same name costs differently elsewhere. A region's prices
        stand under provider/region/name; without them those of the name alone count. A bare day takes the
        dearest hour, for a reservation has to last; a moment without a time zone is UTC.
        """
        moment = _in_utc(on) if isinstance(on, datetime) else None
        day = on if moment is None else moment.date()
        for name in names_of(model, region):
            rows = self._by_model.get(name)
            if rows:
                hours = _hours_at(rows, moment)
                key = (name, day, service, hours)
                if key not in self._asked:
                    self._asked[key] = _prices(name, day, service, hours, [row for row in rows if row.holds_on(day)])
                if (found := self._asked[key]) is not None:
                    return found
        return None


def names_of(model: str, region: str | None = None) -> list[str]:
    """The names under which the prices of a model may stand, the first one going before the others.

    >>> names_of("azure/gpt-4o", "eu")
    ['azure/eu/gpt-4o', 'azure/gpt-4o']
    """
    names = [model] if "/" in model else [model, *(f"{provider}/{model}" for provider in BARE_PROVIDERS)]
    if region is None:
        return names
    return [*(name.replace("/", f"/{region}/", 1) for name in names if "/" in name), *names]


def same_model(one: str, other: str) -> bool:
    """Whether two names may stand for one model: with its provider, or without."""
    return bool({*names_of(one)} & {*names_of(other)})


def full_name(model: str, provider: str | None) -> str:
    """The name by which prices are found.

    >>> full_name("gpt-4o", "azure"), full_name("azure/gpt-4o", "azure"), full_name("gpt-4o", None)
    ('azure/gpt-4o', 'azure/gpt-4o', 'gpt-4o')
    """
    return model if provider is None or model.startswith(f"{provider}/") else f"{provider}/{model}"


def candidate_name(model: str, label: str) -> str:
    """The name by which a model of a run is compared, selected, recommended and priced.

    That is its label where that is a whole id, as with recorded answers of a known model, else what was called.

    >>> candidate_name("replay/answers.jsonl", "openai/gpt-4o"), candidate_name("openai/gpt-4o", "large")
    ('openai/gpt-4o', 'openai/gpt-4o')
    """
    return label if "/" in label else model


def candidate_names(called: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """The names of several (model, label) that stand beside each other; those that would share one keep their labels.

    >>> candidate_names([("openai/gpt-4o", "cold"), ("openai/gpt-4o", "warm"), ("replay/a.jsonl", "vendor/model")])
    ('cold', 'warm', 'vendor/model')
    """
    names = [candidate_name(model, label) for model, label in called]
    return tuple(name if names.count(name) == 1 else label for name, (_, label) in zip(names, called, strict=True))


def _in_utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _hours_at(rows: Sequence[PriceRow], moment: datetime | None) -> frozenset[Hours] | None:
    """The hours of these rows that hold at a moment; None when there is none, and every hour may be meant."""
    spans = {row.hours for row in rows if row.hours is not None}
    if moment is None and spans:
        return None
    return frozenset(span for span in spans if moment is not None and span.hold_at(moment))


def _prices(
    name: str, day: date, service: Service, hours: frozenset[Hours] | None, rows: Sequence[PriceRow]
) -> Prices | None:
    found = _tiers([row for row in rows if row.service == service], hours)
    if found and service != "standard":
        standard = _tiers([row for row in rows if row.service == "standard"], hours)
        kept = {place for place in standard if service in DISCOUNTS or place[0] in FEES}
        found = {place: standard[place] for place in kept} | found
    if not found:
        return None
    by_class: dict[TokenClass, tuple[tuple[int, Decimal], ...]] = {}
    for token_class in PRICE_CLASSES:
        mine = tuple(sorted((start, price) for (cls, start), price in found.items() if cls == token_class))
        if mine:
            by_class[token_class] = mine
    return Prices(model=name, on=day, by_class=by_class, service=service)


def _tiers(rows: Sequence[PriceRow], hours: frozenset[Hours] | None) -> Tiers:
    """What holds of these rows: one's own ones, and of a public list what they do not say."""
    own = _chosen([row for row in rows if list_of(row.source) == "own"], hours)
    # A base price of one's own replaces the list's tiers of the class too: they belong to another price list.
    replaced = {token_class for token_class, start in own if start == -1}
    public = _chosen(_edition(rows), hours)
    return {place: price for place, price in public.items() if place[0] not in replaced} | own


def _edition(rows: Sequence[PriceRow]) -> list[PriceRow]:
    """The newest edition of the first public list that has the model."""
    for name in PUBLIC_LISTS:
        listed = [row for row in rows if list_of(row.source) == name]
        if listed:
            first_day = max(row.effective_from for row in listed)
            source = [row.source for row in listed if row.effective_from == first_day][-1]
            return [row for row in listed if (row.effective_from, row.source) == (first_day, source)]
    return []


def _chosen(rows: Iterable[PriceRow], hours: frozenset[Hours] | None) -> Tiers:
    """One price a class and tier: the latest row's, that of the hour going before; of any hour the dearest."""
    latest: dict[tuple[TokenClass, int], dict[Hours | None, Decimal]] = {}
    for row in sorted(rows, key=lambda row: row.effective_from):
        if row.hours is None or hours is None or row.hours in hours:
            latest.setdefault((row.token_class, row.place[1]), {})[row.hours] = row.per_token
    chosen: Tiers = {}
    for place, by_hours in latest.items():
        timed = [price for span, price in by_hours.items() if span is not None]
        base = by_hours.get(None)
        always = [] if base is None or (timed and hours is not None) else [base]
        chosen[place] = max([*timed, *always])
    return chosen


def costs(tokens: Mapping[TokenClass, int | Decimal], prices: Prices | None) -> dict[TokenClass, Decimal] | None:
    """The exact cost of each class that was used, in US dollars; None when any of them has no price.

    Counts are those of a call; averages of many calls fall into the tier of their average prompt.
    """
    if prices is None:
        return None
    prompt_tokens = sum(count for token_class, count in tokens.items() if token_class in PROMPT_CLASSES)
    parts: dict[TokenClass, Decimal] = {}
    counted = {token_class: count for token_class, count in tokens.items() if count > 0}
    if counted and prices.per_token("request") is not None:
        counted.setdefault("request", 1)
    for token_class, count in counted.items():
        price = prices.per_token(token_class, prompt_tokens)
        if price is None:
            return None
        parts[token_class] = price * count
    return parts


def cost(usage: Usage, prices: Prices | None) -> Decimal | None:
    """The exact cost of a call in US dollars; None when the price of anything it used is unknown.

    A usage of no tokens at all costs nothing where there are prices. Whether the usage is known is for the
    caller to say: where the provider reported none, the cost is unknown, whatever this function would return.
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
    return None if prices is None else Bound.of(prices).most(prompt_tokens, max_output_tokens)


@dataclass(frozen=True, slots=True)
class Bound:
    """The dearest prices of a model, made ready for many calls: what `possible_cost` asks of its prices."""

    steps: tuple[tuple[int, Decimal | None, Decimal | None], ...]
    """(start of a tier, the dearest price of a prompt token up to there, that of an output token), ascending."""
    fee: Decimal

    @classmethod
    def of(cls, prices: Prices) -> "Bound":
        starts = sorted({start for tiers in prices.by_class.values() for start, _ in tiers})
        return cls(
            tuple(
                (
                    start,
                    _dearest(prices, ("input", "cache_write"), upto),
                    _dearest(prices, ("output", "reasoning"), upto),
                )
                for start, upto in ((start, starts[: n + 1]) for n, start in enumerate(starts))
            ),
            prices.per_token("request") or Decimal(0),
        )

    def most(self, prompt_tokens: int, max_output_tokens: int) -> Decimal | None:
        """The most that such a call can cost; None when a price is unknown."""
        prompt = output = None
        for start, dearest_prompt, dearest_output in self.steps:
            if start < prompt_tokens:
                prompt, output = dearest_prompt, dearest_output
        if prompt is None or output is None:
            return None
        return prompt * prompt_tokens + output * max_output_tokens + self.fee


def _dearest(prices: Prices, classes: Sequence[TokenClass], starts: Sequence[int]) -> Decimal | None:
    """The dearest price of these classes in any of the tiers that begin at `starts`."""
    found = (prices.per_token(each, start + 1) for each in classes for start in starts)
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
