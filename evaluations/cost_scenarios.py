"""What a month would cost on each model: from the tokens that requests really took, or from a unit that is stated.

The same work is priced on every model. A model that writes more, or whose tokenizer cuts finer, costs more than that:
only answers to the same cases tell (`assay compare`). What has no price is unpriced, never free.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal

from evaluations.errors import AssayError
from evaluations.pricing import PROMPT_CLASSES, Prices, TokenClass, costs
from evaluations.roi import DAYS_A_MONTH, Assumptions, Roi, Volume, roi

Tokens = Mapping[TokenClass, Decimal]
"""Average tokens of one unit, by class."""
IMAGE_TOKENS: Mapping[str, int] = {"low": 85, "medium": 765, "high": 1105}
"""Tokens of an image by its resolution: fixed at low detail, 1024 x 1024 and 2048 x 4096 pixels at high detail.

Source: OpenAI, "Images and vision: calculating costs", for GPT-4o. Other vendors count otherwise: state theirs."""
FEWEST_DAYS = 2
"""One day tells nothing of how days differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """Requests whose prompts are so long that the same price tiers hold for all of them."""

    requests: int
    tokens: Mapping[TokenClass, int]
    """Sums by class."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DayUse:
    """What the requests of one day took."""

    day: date
    requests: int
    unknown: int = 0
    """Of these, requests whose tokens nobody reported; they are taken to be like the others."""
    tokens: Mapping[TokenClass, int] = field(default_factory=dict)
    """Sums by class, of the requests that are known: what failed included, for it is billed."""
    bands: tuple[Band, ...] = ()
    """The same by the length of prompts, where prices ask for it; empty: nobody knows how long single prompts were."""

    @property
    def known(self) -> int:
        return self.requests - self.unknown

    @property
    def parts(self) -> tuple[Band, ...]:
        """Its known requests, those of one price tier together; all of them together where lengths are not known."""
        return self.bands or ((Band(requests=self.known, tokens=self.tokens),) if self.known else ())


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What a month brings: days that were measured, or a unit and a number that are stated."""

    per_unit: Tokens
    units: Decimal
    """Requests a month; or photos, tickets, whatever a unit is."""
    days: tuple[DayUse, ...] = ()
    """What it was measured on, days without requests included; empty when it is stated."""
    scaled: bool = False
    """Measured for one unit, but the number of units is stated."""

    @property
    def prompt_tokens(self) -> Decimal:
        return sum((count for name, count in self.per_unit.items() if name in PROMPT_CLASSES), Decimal(0))

    @property
    def parts(self) -> tuple[tuple[Decimal, Tokens], ...]:
        """Shares of the units, each with the average tokens of its units: a price tier holds for the whole of one."""
        if not any(day.bands for day in self.days):
            return ((Decimal(1), self.per_unit),)
        found = [part for day in self.days for part in day.parts]
        requests = sum(part.requests for part in found)
        return tuple((Decimal(part.requests) / requests, _each(part)) for part in found if part.requests)

    @property
    def by_average(self) -> int:
        """Days whose requests are known by their sums alone, so that tiers are those of their average prompt."""
        return sum(bool(day.known) and not day.bands for day in self.days)


def measured(days: Sequence[DayUse], units: Decimal | None = None) -> Workload:
    """The workload of some days; with `units`, of a month with so many of the same kind.

    Raises AssayError when there are too few days, or nothing is known of any request.
    """
    if len(days) < FEWEST_DAYS:
        raise AssayError(f"{len(days)} day is too little to tell a month from; take {FEWEST_DAYS} or more.")
    known = sum(day.known for day in days)
    if not known:
        raise AssayError("no request of these days has known tokens; state a unit by --input-tokens and --units.")
    sums: dict[TokenClass, int] = {}
    for day in days:
        for name, count in day.tokens.items():
            sums[name] = sums.get(name, 0) + count
    return Workload(
        per_unit={name: Decimal(count) / known for name, count in sums.items() if count},
        units=units if units is not None else _a_month(sum(day.requests for day in days), len(days)),
        days=tuple(days),
        scaled=units is not None,
    )


def stated(
    units: Decimal,
    *,
    input_tokens: Decimal,
    output_tokens: Decimal,
    images: Decimal = Decimal(0),
    image_tokens: int = 0,
) -> Workload:
    """A month of units that take so many tokens and images each; photos are one kind of unit.

    >>> photos = stated(Decimal(1000), input_tokens=Decimal(200), output_tokens=Decimal(50), images=Decimal(1),
    ...     image_tokens=IMAGE_TOKENS["medium"])
    >>> str(photos.prompt_tokens)
    '965'
    """
    given = {"units": units, "input tokens": input_tokens, "output tokens": output_tokens, "images": images}
    for name, value in given.items():
        if not value.is_finite() or value < 0:
            raise AssayError(f"the number of {name} is {value}; it has to be a number from 0.")
    per_unit: dict[TokenClass, Decimal] = {
        "input": input_tokens,
        "input_image": images * image_tokens,
        "output": output_tokens,
    }
    if not any(per_unit.values()):
        raise AssayError("a unit without tokens and images costs nothing anywhere; state --input-tokens.")
    return Workload(per_unit={name: count for name, count in per_unit.items() if count}, units=units)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How the work is to be bought."""

    cached_share: Decimal | None = None
    """Of the prompt's text, what is read from the provider's cache; None is as measured."""
    batch_share: Decimal = Decimal(0)
    """Of the units, those that can wait for the batch service."""

    def __post_init__(self) -> None:
        for name, share in (("cached", self.cached_share), ("batch", self.batch_share)):
            if share is not None and not 0 <= share <= 1:
                raise AssayError(f"the {name} share is {share}; it has to lie between 0 and 1.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What one model asks for its work."""

    model: str
    standard: Prices | None
    batch: Prices | None = None
    fixed: Decimal = Decimal(0)
    """US dollars a month whatever is asked: hosting, a commitment, a share of what fine-tuning cost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthlyCost:
    """A month on one model, in US dollars. None is unpriced: `unpriced` says what has no price."""

    model: str
    units: Decimal
    unit: Decimal | None
    """What one more unit costs."""
    fixed: Decimal
    month: Decimal | None
    low: Decimal | None = None
    high: Decimal | None = None
    """Where a month like the days measured ends in 95 of 100 cases; None when nothing was measured."""
    days: int = 0
    """The n of the interval."""
    images: Decimal | None = None
    """Of a unit, what its images cost; None where it has none."""
    unpriced: str = ""
    notes: tuple[str, ...] = ()

    @property
    def all_in(self) -> Decimal | None:
        """What a unit costs with its part of what is fixed."""
        return None if self.month is None or not self.units else self.month / self.units


def monthly_cost(work: Workload, offer: Offer, terms: Terms | None = None) -> MonthlyCost:
    """What this work costs in a month on this model.

    The interval comes from how the cost of days differs: Student's, for the sum of another 30.4 days. It takes days as
    independent, so weekly rhythm makes it wider than it need be, and a trend is not in it.
    Source: Hahn and Meeker (1991), "Statistical Intervals", section 4.7 (a future mean of m observations).

    >>> from evaluations.pricing import PriceBook, PriceRow
    >>> rows = [PriceRow(model="a/b", token_class=name, per_token=Decimal(price), effective_from=date(2026, 1, 1),
    ...     source="doc") for name, price in (("input", "0.000001"), ("output", "0.000002"))]
    >>> prices = PriceBook(rows).prices_of("a/b", date(2026, 2, 1))
    >>> work = stated(Decimal(10000), input_tokens=Decimal(1000), output_tokens=Decimal(100))
    >>> found = monthly_cost(work, Offer(model="a/b", standard=prices, fixed=Decimal(5)))
    >>> f"{found.month:.2f}", f"{found.unit:.4f}"
    ('17.00', '0.0012')
    """
    terms = terms or Terms()
    tokens = bought(work.per_unit, terms)
    unit = _mean_cost(work.parts, offer, terms)
    if unit is None:
        return MonthlyCost(
            model=offer.model, units=work.units, unit=None, fixed=offer.fixed, month=None, days=len(work.days),
            unpriced=_unpriced(tokens, offer),
        )  # fmt: skip
    month = unit * work.units + offer.fixed
    spread = _spread(work, offer, terms, unit) if work.days else None
    parts = costs(tokens, offer.standard) or {}
    return MonthlyCost(
        model=offer.model,
        units=work.units,
        unit=unit,
        fixed=offer.fixed,
        month=month,
        low=None if spread is None else max(month - spread, offer.fixed),
        high=None if spread is None else month + spread,
        days=len(work.days),
        images=parts.get("input_image"),
        notes=_notes(work, offer, terms),
    )


def unit_cost(work: Workload, prices: Prices | None) -> Decimal | None:
    """What a unit costs on average at these prices, each by the tier of its prompt; None where one is missing."""
    return None if prices is None else _mean_cost(work.parts, Offer(model=prices.model, standard=prices), Terms())


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitParts:
    """What a unit costs on average, in US dollars."""

    prompt: Decimal
    reply: Decimal
    fee: Decimal
    """That is asked for each request, whatever its length."""


def unit_parts(work: Workload, prices: Prices | None) -> UnitParts | None:
    """As `unit_cost`, the prompt and the reply apart."""
    prompt = reply = fee = Decimal(0)
    for share, tokens in work.parts:
        found = costs(tokens, prices)
        if found is None:
            return None
        for name, cost in found.items():
            if name in PROMPT_CLASSES:
                prompt += share * cost
            elif name == "request":
                fee += share * cost
            else:
                reply += share * cost
    return UnitParts(prompt=prompt, reply=reply, fee=fee)


def bought(tokens: Tokens, terms: Terms) -> dict[TokenClass, Decimal]:
    """The tokens of a unit, with a stated share of its prompt's text read from the cache and nothing written to it."""
    found = dict(tokens)
    if terms.cached_share is None:
        return found
    text: tuple[TokenClass, ...] = ("input", "cached", "cache_write", "cache_write_1h")
    prompt = sum((found.pop(name, Decimal(0)) for name in text), Decimal(0))
    return found | {"input": prompt * (1 - terms.cached_share), "cached": prompt * terms.cached_share}


def _each(part: Band) -> dict[TokenClass, Decimal]:
    """The average tokens of one of its requests."""
    return {name: Decimal(count) / part.requests for name, count in part.tokens.items() if count}


def _mean_cost(parts: Sequence[tuple[Decimal, Tokens]], offer: Offer, terms: Terms) -> Decimal | None:
    """What a unit costs on average, each part by the tier that holds for its prompts; None where a price is missing."""
    found = Decimal(0)
    for share, tokens in parts:
        unit = _unit_cost(bought(tokens, terms), offer, terms)
        if unit is None:
            return None
        found += share * unit
    return found


def _unit_cost(tokens: Tokens, offer: Offer, terms: Terms) -> Decimal | None:
    """A unit, so much of it by the batch service; the standard price where there is no batch price."""
    standard = costs(tokens, offer.standard)
    batch = costs(tokens, offer.batch) or standard
    if standard is None or batch is None:
        return None
    share = terms.batch_share
    return sum(standard.values(), Decimal(0)) * (1 - share) + sum(batch.values(), Decimal(0)) * share


def _unpriced(tokens: Tokens, offer: Offer) -> str:
    if offer.standard is None:
        return "no price"
    missing = [name for name, count in tokens.items() if count and offer.standard.per_token(name) is None]
    return f"no price for {' and '.join(name.replace('_', ' ') for name in missing)} tokens"


def _notes(work: Workload, offer: Offer, terms: Terms) -> tuple[str, ...]:
    notes = []
    if terms.batch_share and offer.batch is None:
        notes.append("no batch price: taken at the standard one")
    if terms.cached_share and offer.standard is not None and "cached" not in offer.standard.by_class:
        notes.append("no price for cached tokens: taken as input")
    if _tiered(offer):
        if not work.days:
            notes.append("prices rise with the length of a prompt: taken are those of the stated unit")
        elif work.by_average:
            notes.append(
                f"prices rise with the length of a prompt: of {work.by_average:,} of {len(work.days):,} days only the "
                "average prompt is known, and its price is taken"
            )
    if unknown := sum(day.unknown for day in work.days):
        notes.append(f"{unknown:,} requests with unknown tokens: taken to be like the others")
    return tuple(notes)


def _tiered(offer: Offer) -> bool:
    return any(prices is not None and prices.starts for prices in (offer.standard, offer.batch))


def _spread(work: Workload, offer: Offer, terms: Terms, unit: Decimal) -> Decimal:
    """Half the width of the interval of a month, in US dollars."""
    from scipy.special import stdtrit

    n = len(work.days)
    daily = [_day_cost(day, offer, terms, unit) for day in work.days]
    if work.scaled:
        # The number of units is given: only what a unit costs is uncertain. Residuals of a ratio, by the delta method.
        requests = sum(day.requests for day in work.days)
        rest = [float(cost - unit * day.requests) for cost, day in zip(daily, work.days, strict=True)]
        error = (n / (n - 1) * sum(each * each for each in rest)) ** 0.5 / requests
        return Decimal(str(float(stdtrit(n - 1, 0.975)) * error)) * work.units
    mean = float(sum(daily, Decimal(0))) / n
    sd = (sum((float(cost) - mean) ** 2 for cost in daily) / (n - 1)) ** 0.5
    m = float(DAYS_A_MONTH)
    return Decimal(str(float(stdtrit(n - 1, 0.975)) * sd * (m + m * m / n) ** 0.5))


def _day_cost(day: DayUse, offer: Offer, terms: Terms, unit: Decimal) -> Decimal:
    if not day.known:
        return unit * day.requests
    parts = [(Decimal(part.requests) / day.known, _each(part)) for part in day.parts]
    found = _mean_cost(parts, offer, terms)
    return (unit if found is None else found) * day.requests


def _a_month(requests: int, days: int) -> Decimal:
    return Decimal(requests) / days * DAYS_A_MONTH


def break_even(one: MonthlyCost, other: MonthlyCost) -> Decimal | None:
    """The units a month at which both cost the same; None where the lines do not cross at a volume above 0.

    Fixed + unit x volume on each side: volume = (fixed of other - fixed of one) / (unit of one - unit of other).

    >>> api = MonthlyCost(model="api", units=Decimal(0), unit=Decimal("0.01"), fixed=Decimal(0), month=Decimal(0))
    >>> own = MonthlyCost(model="own", units=Decimal(0), unit=Decimal("0.002"), fixed=Decimal(400), month=Decimal(400))
    >>> f"{break_even(api, own):,.0f}"
    '50,000'
    """
    if one.unit is None or other.unit is None or one.unit == other.unit:
        return None
    volume = (other.fixed - one.fixed) / (one.unit - other.unit)
    return volume if volume > 0 else None


def worth(cost: MonthlyCost, given: Assumptions, resolves: Decimal) -> Roi:
    """What a month on this model is worth where so large a share of the units spares a person their work.

    What comes back to a person after all is not counted. `given` may say what runs besides: the model's own fixed cost
    is added to it.
    """
    if not 0 <= resolves <= 1:
        raise AssayError(f"the share that is resolved is {resolves}; it has to lie between 0 and 1.")
    known = given.infrastructure is not None or cost.fixed
    infrastructure = (given.infrastructure or Decimal(0)) + cost.fixed if known else None
    volume = Volume(tickets=cost.units, deflection=resolves, came_back=None, ai_per_ticket=cost.unit)
    return roi(volume, replace(given, infrastructure=infrastructure))
