"""Repricing: what the price rows of now say of requests of the past, beside what these were priced by.

A row of requests keeps its price until somebody reprices its day. What no price is found for any more keeps the one it
has: money that is known does not become unknown. A cost that a log stated is not looked at.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import TypeVar

from evaluations.wording import count, money

Key = TypeVar("Key", bound=Hashable)
Rates = tuple[tuple[str, tuple[tuple[int, Decimal], ...]], ...]
"""Token class with (tokens beyond which it holds, US dollars a token), ascending; -1 begins the base price."""


@dataclass(frozen=True, slots=True)
class PriceList:
    """The prices that requests were or would be priced by."""

    model: str
    """The name under which they stand, provider included."""
    rates: Rates

    @classmethod
    def read(cls, model: str, prices: Mapping[str, Iterable[tuple[int, str]]]) -> "PriceList":
        """From prices as the store keeps them: class -> [[start, US dollars a token as text], …]."""
        return cls(
            model,
            tuple(
                (name, tuple((int(start), Decimal(each)) for start, each in prices[name])) for name in sorted(prices)
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RateChange:
    """One price that differs between two lists. US dollars a token; None where a list has none."""

    token_class: str
    tier_start: int
    """Holds for prompts of more tokens than this; -1 for all."""
    before: Decimal | None
    after: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RepricedGroup:
    """Requests of one day and model that went from one list of prices to another."""

    day: date
    """In the platform's time zone."""
    provider: str | None
    model: str
    before: PriceList | None
    """None for requests that had been unpriced."""
    after: PriceList
    rows: int
    cost_before: Decimal | None
    """US dollars of all of them; None where they had been unpriced."""
    cost_after: Decimal

    @property
    def name(self) -> str:
        return self.model if self.provider is None else f"{self.provider}/{self.model}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """What some requests cost before and after. Those that had been unpriced are counted apart."""

    rows: int = 0
    """Requests that had a price and have another."""
    before: Decimal = Decimal(0)
    after: Decimal = Decimal(0)
    filled: int = 0
    """Requests that had been unpriced."""
    filled_cost: Decimal = Decimal(0)

    @property
    def difference(self) -> Decimal:
        """Of requests that had a price."""
        return self.after - self.before

    def plus(self, group: RepricedGroup) -> "Moved":
        if group.cost_before is None:
            return Moved(
                rows=self.rows,
                before=self.before,
                after=self.after,
                filled=self.filled + group.rows,
                filled_cost=self.filled_cost + group.cost_after,
            )
        return Moved(
            rows=self.rows + group.rows,
            before=self.before + group.cost_before,
            after=self.after + group.cost_after,
            filled=self.filled,
            filled_cost=self.filled_cost,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Repricing:
    """One look at the requests of some days, both ends included."""

    id: int | None
    """None for a dry run, which is kept nowhere."""
    first: date
    last: date
    timezone: str
    actor: str
    at: datetime
    looked_at: int
    """Requests whose cost depends on prices: those with a model and a known usage, no cost stated."""
    unpriced: int
    """Of these, those without a price, before and after."""
    kept: int
    """Of these, those that keep their price although none is found any more."""
    frozen: tuple[date, ...]
    """Days left alone because retention dropped requests of theirs."""
    groups: tuple[RepricedGroup, ...]
    stopped: bool = False
    """It was interrupted: the same command goes on."""
    sample_data: bool = False
    """Some of the requests are made up."""

    @property
    def dry_run(self) -> bool:
        return self.id is None

    def total(self) -> Moved:
        return _summed(self.groups, lambda _: None).get(None, Moved())

    def by_model(self) -> dict[str, Moved]:
        return _summed(self.groups, lambda group: group.name)

    def by_day(self) -> dict[date, Moved]:
        return _summed(self.groups, lambda group: group.day)

    def rate_changes(self) -> dict[tuple[str, RateChange], Moved]:
        """Each price that differs, by model, with the requests that it moved (each of them once a price)."""
        found: dict[tuple[str, RateChange], Moved] = {}
        for group in self.groups:
            for each in rate_changes(group.before, group.after):
                found[group.name, each] = found.get((group.name, each), Moved()).plus(group)
        return dict(sorted(found.items(), key=lambda item: (item[0][0], item[0][1].token_class, item[0][1].tier_start)))

    def sentence(self) -> str:
        """What came of it, for a person."""
        total = self.total()
        would = "would cost" if self.dry_run else "cost"
        said = []
        if total.rows:
            said.append(f"{count(total.rows, 'request')} {would} {money(total.after)} instead of {money(total.before)}")
        if total.filled:
            said.append(
                f"{count(total.filled, 'unpriced request')} {'would get' if self.dry_run else 'got'} a price, "
                f"{money(total.filled_cost)} together"
            )
        if not said:
            said.append("no cost changes" if self.dry_run else "no cost changed")
        if self.stopped:
            said.append("interrupted, and the same command goes on")
        return f"{count(self.looked_at, 'request')} looked at: {'; '.join(said)}"


def rate_changes(before: PriceList | None, after: PriceList) -> tuple[RateChange, ...]:
    """Every price in which two lists differ.

    >>> old = PriceList.read("openai/m", {"input": [(-1, "0.000002")]})
    >>> new = PriceList.read("openai/m", {"input": [(-1, "0.000003")]})
    >>> [(each.token_class, f"{each.before:f}", f"{each.after:f}") for each in rate_changes(old, new)]
    [('input', '0.000002', '0.000003')]
    """
    theirs, ours = _places(before), _places(after)
    return tuple(
        RateChange(token_class=name, tier_start=start, before=theirs.get((name, start)), after=ours.get((name, start)))
        for name, start in sorted(theirs.keys() | ours.keys())
        if theirs.get((name, start)) != ours.get((name, start))
    )


def _places(prices: PriceList | None) -> dict[tuple[str, int], Decimal]:
    rates = () if prices is None else prices.rates
    return {(name, start): price for name, tiers in rates for start, price in tiers}


def _summed(groups: Iterable[RepricedGroup], by: Callable[[RepricedGroup], Key]) -> dict[Key, Moved]:
    found: dict[Key, Moved] = defaultdict(Moved)
    for group in groups:
        found[by(group)] = found[by(group)].plus(group)
    return dict(found)
