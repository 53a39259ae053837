"""What each request of a frame cost, by the prices that held at its time.

Prices are looked up once for each model, service, region and day or half hour that occurs; costs are whole picodollars
(prices have 12 places), so sums are exact. What has no price costs NULL.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from evaluations.pricing import (
    PLACES,
    PROMPT_CLASSES,
    TOKEN_CLASSES,
    PriceBook,
    Prices,
    Service,
    TokenClass,
    full_name,
)
from evaluations.requests import TOKEN_FIELDS

if TYPE_CHECKING:
    import pandas as pd

HALF_HOUR = 1_800_000_000
"""In microseconds. Prices of some vendors depend on the hour, and change on the half hour at the finest."""
DAY = 48 * HALF_HOUR
BILLED_CLASSES: tuple[TokenClass, ...] = (*TOKEN_CLASSES, "web_search")
BILLED_FIELDS = (*TOKEN_FIELDS, "web_searches")
"""What is counted of a request and billed, in the order of the classes."""
PICO = int(1 / PLACES)
"""Picodollars of a dollar."""


@dataclass(frozen=True, slots=True)
class PriceSet:
    """The prices of one model as rows keep them: the name they stand under, and class -> tiers."""

    model: str
    prices: str
    """Canonical JSON: {"input": [[-1, "0.0000025"]], …}."""


@dataclass(frozen=True, slots=True)
class Priced:
    """Costs of a frame's rows, by their places in it."""

    picodollars: "list[int | None]"
    sets: "list[PriceSet | None]"
    """The prices that were used; None where no cost was found."""


def names_to_price(frame: "pd.DataFrame") -> list[str]:
    """The names under which prices of these rows may stand, those of regions included."""
    from evaluations.pricing import names_of

    kinds = frame.reindex(columns=["model", "provider", "region"]).drop_duplicates()
    return sorted(
        {
            name
            for model, provider, region in kinds.itertuples(index=False, name=None)
            if isinstance(model, str)
            for name in names_of(full_name(model, _known(provider)), _known(region))
        }
    )


def price(frame: "pd.DataFrame", book: PriceBook) -> Priced:
    """The cost of every row. A row without a model, without a known usage or without a price has none."""
    import numpy as np

    n = len(frame)
    costs: list[int | None] = [None] * n
    sets: list[PriceSet | None] = [None] * n
    tokens = np.column_stack([_tokens(frame, name) for name in BILLED_FIELDS])
    prompts = tokens[:, [name in PROMPT_CLASSES for name in BILLED_CLASSES]].sum(axis=1)
    for used, (prices, places) in _by_prices(frame, book).items():
        at = np.concatenate(places)
        for part, found in _by_tier(prices, tokens[at], prompts[at]):
            for place, cost in zip(at[part].tolist(), found, strict=True):
                costs[place] = cost
                sets[place] = None if cost is None else used
    return Priced(costs, sets)


def _by_prices(frame: "pd.DataFrame", book: PriceBook) -> "dict[PriceSet, tuple[Prices, list[Any]]]":
    """The places of rows that have the same prices. What has none is left out."""
    known: dict[int, PriceSet] = {}
    groups: dict[PriceSet, tuple[Prices, list[Any]]] = {}
    # Few models have prices that depend on the hour; for the others one look a day will do.
    span = HALF_HOUR if any(row.hours is not None for row in book.rows) else DAY
    for (model, provider, service, region, number), places in _groups(frame, span):
        moment = datetime.fromtimestamp(number * span / 1_000_000, UTC)
        prices = book.prices_of(full_name(model, provider), moment, service=service, region=region)
        if prices is None:
            continue
        if id(prices) not in known:  # the book gives the same object for the same question
            known[id(prices)] = as_set(prices)
        groups.setdefault(known[id(prices)], (prices, []))[1].append(places)
    return groups


def as_set(prices: Prices) -> PriceSet:
    tiers = {name: [[start, str(each)] for start, each in found] for name, found in sorted(prices.by_class.items())}
    return PriceSet(prices.model, json.dumps(tiers, separators=(",", ":")))


def _groups(
    frame: "pd.DataFrame", span: int
) -> "Iterator[tuple[tuple[str, str | None, Service, str | None, int], Any]]":
    """(model, provider, service, region, number of the span since 1970) with the places of the rows that share them.

    Rows without a model or a known usage are left out. `span` is in microseconds.
    """
    import numpy as np
    import pandas as pd

    kinds = frame.reindex(columns=["model", "provider", "service_tier", "region"])
    kinds["span"] = frame["at"].to_numpy(dtype=np.int64) // span
    wanted = np.flatnonzero(kinds["model"].notna().to_numpy() & frame["usage_known"].to_numpy(dtype=bool))
    if not len(wanted):
        return
    seen = [kinds[name].to_numpy()[wanted] for name in kinds]
    codes = np.zeros(len(wanted), dtype=np.int64)
    for column in seen:
        of_column, different = pd.factorize(column)
        codes = pd.factorize(codes * (len(different) + 1) + of_column + 1)[0]
    order = np.argsort(codes, kind="stable")
    for places in np.split(order, np.flatnonzero(np.diff(codes[order])) + 1):
        model, provider, service, region, number = (column[places[0]] for column in seen)
        yield (model, _known(provider), _known(service) or "standard", _known(region), int(number)), wanted[places]


def _known(value: Any) -> Any:
    return None if value is None or value != value else value


def _tokens(frame: "pd.DataFrame", name: str) -> Any:
    import numpy as np

    if name not in frame:
        return np.zeros(len(frame), dtype=np.int64)
    return frame[name].fillna(0).to_numpy(dtype=np.int64)


def _by_tier(prices: Prices, tokens: Any, prompts: Any) -> "list[tuple[Any, list[int | None]]]":
    """(places, costs) for the rows of each tier; a tier's prices hold for prompts longer than its start."""
    import numpy as np

    starts = sorted({start for tiers in prices.by_class.values() for start, _ in tiers if start >= 0})
    tier = np.searchsorted(np.array(starts), prompts, side="left")
    made = []
    for number in np.unique(tier):
        part = np.flatnonzero(tier == number)
        length = 0 if number == 0 else starts[number - 1] + 1
        made.append((part, _costs(prices, length, tokens[part])))
    return made


def _costs(prices: Prices, length: int, tokens: Any) -> "list[int | None]":
    import numpy as np

    rates = [prices.per_token(token_class, length) for token_class in BILLED_CLASSES]
    unknown = (tokens[:, [rate is None for rate in rates]] > 0).any(axis=1)
    known = [0 if rate is None else int(rate * PICO) for rate in rates]
    fee = int((prices.per_token("request") or 0) * PICO)
    largest = int(tokens.max(initial=0)) * sum(known) + fee
    exact = tokens if largest < 2**62 else tokens.astype(object)  # sums beyond 64 bits are left to Python
    # A call that used nothing pays no fee either.
    found = exact @ np.array(known, dtype=exact.dtype) + fee * tokens.any(axis=1).astype(exact.dtype)
    return [None if lacks else int(cost) for cost, lacks in zip(found, unknown, strict=True)]
