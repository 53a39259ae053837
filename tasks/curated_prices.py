"""Price rows from genai-prices: a curated list that knows dates, hours, long-context tiers and service tiers.

The library comes with its data, and nothing else of it is used: its updater, which would ask the network, is never
started. Its matching decides which of its models a name means; rows are written under the name that was asked for.
"""

import importlib.metadata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from evaluations.pricing import BORROWED, DATED, SERVICES, Hours, PriceRow, Service, TokenClass, per_token
from tasks.prices import FIRST_DAY

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, Provider

PREFIXES: Mapping[str, tuple[str, ...]] = {
    "aws": ("bedrock",),
    "fireworks": ("fireworks_ai",),
    "github-copilot": ("github_copilot",),
    "google": ("gemini", "vertex_ai"),
    "meta": ("meta_llama",),
    "moonshotai": ("moonshot",),
    "together": ("together_ai",),
    "x-ai": ("xai",),
}
"""How callers write a provider, where it is not the list's own name for it."""
REGIONAL = frozenset(("aws", "azure"))
"""Who prices by region. The list's matching overlooks a region before the name, so such names are not placed."""
MILLION, THOUSAND = Decimal(1_000_000), Decimal(1_000)
CLASS_OF_KEY: Mapping[str, tuple[TokenClass, Decimal]] = {
    "input_mtok": ("input", MILLION),
    "cache_read_mtok": ("cached", MILLION),
    "cache_write_mtok": ("cache_write", MILLION),
    "cache_write_5m_mtok": ("cache_write", MILLION),
    "cache_write_1h_mtok": ("cache_write_1h", MILLION),
    "input_audio_mtok": ("input_audio", MILLION),
    "cache_audio_read_mtok": ("cached_audio", MILLION),
    "input_image_mtok": ("input_image", MILLION),
    "cache_image_read_mtok": ("cached_image", MILLION),
    "input_video_mtok": ("input_video", MILLION),
    "output_mtok": ("output", MILLION),
    "output_reasoning_mtok": ("reasoning", MILLION),
    "output_audio_mtok": ("output_audio", MILLION),
    "output_image_mtok": ("output_image", MILLION),
    "output_video_mtok": ("output_video", MILLION),
    "requests_kcount": ("request", THOUSAND),
    "web_searches_kcount": ("web_search", THOUSAND),
}
"""Class and unit of the list's prices; what is billed by pages, hours or pixels is left out, and so unpriced."""
CONTEXTS: Mapping[Service, tuple[tuple[str, str], ...]] = {
    "standard": (),
    "batch": (("processing", "batch"), ("service_tier", "batch")),
    "flex": (("service_tier", "flex"),),
    "priority": (("service_tier", "priority"),),
}
"""How the list names a service; either pair does."""

Cell = tuple[TokenClass, int | None, Service, Hours | None]


def curated_source() -> str:
    """What the rows name as their source: the library and its version."""
    return f"genai-prices {importlib.metadata.version('genai-prices')}"


def curated_providers() -> Sequence["Provider"]:
    """The providers that the installed library knows."""
    from genai_prices.data import providers

    return providers


def rows_of_curated(
    names: Iterable[str] = (), *, providers: Sequence["Provider"] | None = None, source: str | None = None
) -> Iterator[PriceRow]:
    """The rows of the list's own models, and of each of these names (provider/name) that the list can place.

    A list whose standard prices changed on a day says so in its source, and goes before lists without dates; one that
    is borrowed from another provider goes behind those that name the provider itself.
    """
    providers = curated_providers() if providers is None else providers
    source = source or curated_source()
    done: set[str] = set()
    editions: dict[int, list[_Edition]] = {}
    for name, model, borrowed in _placed(names, providers):
        if name not in done:
            done.add(name)
            if id(model) not in editions:
                editions[id(model)] = _editions(model)
            yield from _rows_of(name, editions[id(model)], source, borrowed=borrowed)


def _placed(names: Iterable[str], providers: Sequence["Provider"]) -> Iterator[tuple[str, "ModelInfo", bool]]:
    """Names with the model whose prices they take, and whether that is another provider's."""
    by_prefix = {prefix: each for each in providers for prefix in _prefixes(each)}
    for provider in providers:
        for model in provider.models:
            yield from ((f"{prefix}/{model.id}", model, False) for prefix in _prefixes(provider))
    for name in names:
        found = _provider_of(name, by_prefix)
        if found is not None and not (found[0].id in REGIONAL and "/" in found[1]):
            provider, rest = found
            # Another provider's price for the same model is taken only where the list itself says that it holds.
            matched = provider.find_model(rest, all_providers=list(providers))
            if matched is not None:
                yield name, matched, not any(matched is own for own in provider.models)


def _prefixes(provider: "Provider") -> tuple[str, ...]:
    return PREFIXES.get(provider.id, (provider.id.replace("huggingface_", "huggingface/"),))


def _provider_of(name: str, by_prefix: Mapping[str, "Provider"]) -> tuple["Provider", str] | None:
    for cut in (2, 1):
        parts = name.split("/", cut)
        prefix = "/".join(parts[:cut])
        if len(parts) > cut and prefix in by_prefix:
            return by_prefix[prefix], parts[cut]
    return None


# One model


@dataclass(frozen=True, slots=True)
class _Edition:
    """What a model's list says from a day on."""

    begins: date
    prices: Mapping[Cell, Decimal]


def _rows_of(name: str, editions: Sequence[_Edition], source: str, *, borrowed: bool) -> Iterator[PriceRow]:
    standard = [{cell: price for cell, price in each.prices.items() if cell[2] == "standard"} for each in editions]
    dated = any(before != after for before, after in pairwise(standard))
    ends: list[date | None] = [*(each.begins for each in editions[1:]), None]
    for edition, end in zip(editions, ends, strict=False):
        for (token_class, start, service, hours), price in edition.prices.items():
            yield PriceRow(
                model=name,
                token_class=token_class,
                per_token=price,
                effective_from=edition.begins,
                effective_to=end,
                source=source + (BORROWED if borrowed else DATED if dated else ""),
                tier_start=start,
                service=service,
                hours=hours,
            )


def _editions(model: "ModelInfo") -> list[_Edition]:
    """The model's list on each day on which it changed, the first one since ever."""
    editions: list[_Edition] = []
    for begins in [FIRST_DAY, *_start_days(model)]:
        prices = _prices_on(model, begins)
        if not editions or prices != editions[-1].prices:
            editions.append(_Edition(begins, prices))
    return [each for each in editions if each.prices or each is not editions[0]]


def _prices_on(model: "ModelInfo", day: date) -> dict[Cell, Decimal]:
    """Every price of one day: the library is asked at an hour without exception, and once in each that has one."""
    spans = _spans(model)
    quiet = next(
        (at for at in _half_hours() if not any(span.hold_at(datetime.combine(day, at)) for span in spans)), None
    )
    prices: dict[Cell, Decimal] = {}
    for hours, at in [(None, quiet or time(0)), *((span, span.start) for span in spans)]:
        moment = datetime.combine(day, at, UTC)
        standard = model.get_prices(moment)
        for service in SERVICES:
            contexts: tuple[tuple[str, str], ...] = CONTEXTS[service]
            asked = [model.get_prices(moment, dict([pair])) for pair in contexts] or [standard]
            listed = next((each for each in asked if service == "standard" or each != standard), None)
            if listed is not None:
                prices |= {
                    (token_class, start, service, hours): price
                    for token_class, start, price in _read(listed, free=model.id.endswith(":free"))
                }
    return prices


def _read(listed: "ModelPrice", *, free: bool) -> list[tuple[TokenClass, int | None, Decimal]]:
    """Class, start of the tier and price. A list of zeros alone says nothing, except for what is named free."""
    read: list[tuple[TokenClass, int | None, Decimal]] = []
    # In the order of the table: where five minutes have a price of their own, it replaces that of any cache write.
    for key, (token_class, unit) in CLASS_OF_KEY.items():
        value: Any = vars(listed).get(key)
        if value is None:
            continue
        tiers = [(None, value.base), *((tier.start, tier.price) for tier in value.tiers)] if _tiered(value) else None
        read += [(token_class, start, per_token(price / unit)) for start, price in tiers or [(None, value)]]
    return read if free or any(price for *_, price in read) else []


def _tiered(value: Any) -> bool:
    return hasattr(value, "tiers")


def _constraints(model: "ModelInfo", wanted: Callable[[Any], bool]) -> list[Any]:
    prices = model.prices if isinstance(model.prices, list) else []
    given = [each.constraint for each in (*prices, *(model.price_variants or ()))]
    return [each for each in given if each is not None and wanted(each)]


def _start_days(model: "ModelInfo") -> list[date]:
    found = _constraints(model, lambda each: hasattr(each, "start_date"))
    return sorted({each.start_date for each in found if each.start_date > FIRST_DAY})


def _spans(model: "ModelInfo") -> list[Hours]:
    found = _constraints(model, lambda each: hasattr(each, "start_time"))
    return sorted({Hours(_utc(each.start_time), _utc(each.end_time)) for each in found})


def _utc(at: time) -> time:
    """The time of day in UTC, without its zone; one that has none is UTC."""
    return at if at.tzinfo is None else datetime.combine(date(2000, 1, 2), at).astimezone(UTC).time()


def _half_hours() -> Iterator[time]:
    first = datetime(2000, 1, 1)
    return ((first + timedelta(minutes=30 * step)).time() for step in range(48))
