"""Price rows from outside: LiteLLM's bundled map, and the file in which an installation writes its own.

Only reading happens here, from files into `PriceRow` values; the store keeps them. LiteLLM itself is not
imported: its map is a JSON file beside its code, and importing the library costs seconds.

**Zeros.** The map writes 0 both for what is free and for what nobody has looked up (preview models, sagemaker
and cloudflare deployments, requests billed by the call), and cannot tell the two apart. So a zero makes no
row, and such a model is unpriced, except where the model runs on a machine of one's own (`OWN_MACHINE`). A
model that really is free gets a zero in the overrides file, with the source that says so.
"""

import importlib.metadata
import importlib.util
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from evaluations.errors import AssayError, InfrastructureError
from evaluations.pricing import FEES, PRICE_CLASSES, Hours, PriceRow, Service, TokenClass, list_of, per_token
from tasks.settings import Settings

FIRST_DAY = date(2020, 1, 1)
"""From when the map's prices count on a first seeding: it has no dates, and calls of the past need a price
too."""
OVERRIDES = Path(__file__).parent / "store" / "prices.yaml"
"""What is shipped; an installation's own file comes on top (`override_files`)."""
MAP_FILE = "model_prices_and_context_window_backup.json"
MODES = frozenset({"chat", "completion", "responses", "embedding"})
"""What is billed by the token; images, videos, audio and searches are billed by other units."""
OWN_MACHINE = frozenset({"ollama", "ollama_chat", "lemonade", "lm_studio", "llamafile"})
CLASS_OF_FIELD: Mapping[str, TokenClass] = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "cache_read_input_token_cost": "cached",
    "input_cost_per_token_cache_hit": "cached",
    "cache_creation_input_token_cost": "cache_write",
    "cache_creation_input_token_cost_above_1hr": "cache_write_1h",
    "output_cost_per_reasoning_token": "reasoning",
    "input_cost_per_audio_token": "input_audio",
    "cache_read_input_audio_token_cost": "cached_audio",
    "output_cost_per_audio_token": "output_audio",
    "output_cost_per_image_token": "output_image",
    "input_cost_per_image_token": "input_image",
    "input_cost_per_video_token": "input_video",
    "output_cost_per_video_token": "output_video",
    "input_cost_per_request": "request",
    "web_search": "web_search",
}
FIELD = re.compile(r"^(?P<field>.+?)(?:_above_(?P<thousands>\d+)k_tokens)?(?:_(?P<service>batches|flex|priority))?$")
SERVICE_OF_SUFFIX: Mapping[str | None, Service] = {
    None: "standard",
    "batches": "batch",
    "flex": "flex",
    "priority": "priority",
}
PREFIX_OF_PROVIDER: Mapping[str, str] = {"bedrock_converse": "bedrock", "cohere_chat": "cohere"}
"""Where the map's name for a provider is not the prefix that callers write; families ("vertex_ai-…") are
cut."""


def map_file() -> Path:
    """Where the installed LiteLLM keeps its prices. Raises InfrastructureError if it is not there."""
    found = importlib.util.find_spec("litellm")
    for folder in (found.submodule_search_locations or []) if found else []:
        if (path := Path(folder) / MAP_FILE).is_file():
            return path
    raise InfrastructureError(f"LiteLLM's price map {MAP_FILE} was not found; reinstall the package litellm.")


def map_source() -> str:
    """What the rows of the map name as their source: the library and its version."""
    return f"litellm {importlib.metadata.version('litellm')}"


def rows_of_map(
    path: Path | None = None, *, source: str | None = None, effective_from: date = FIRST_DAY
) -> Iterator[PriceRow]:
    """The rows of LiteLLM's price map, model by model; by default those of the installed version."""
    source = source or map_source()
    entries = json.loads((path or map_file()).read_text(encoding="utf-8"), parse_float=Decimal)
    for key, entry in entries.items():
        # `sample_spec` describes the format, and has no mode of the list.
        if isinstance(entry, dict) and entry.get("mode") in MODES:
            yield from _rows_of_entry(key, entry, source, effective_from)


@dataclass(frozen=True, slots=True)
class _Field:
    """One price of an entry, with all that its name says."""

    name: str
    value: Any
    tier_start: int | None = None
    service: Service = "standard"
    hours: Hours | None = None


def _rows_of_entry(key: str, entry: Mapping[str, Any], source: str, effective_from: date) -> Iterator[PriceRow]:
    provider = str(entry.get("litellm_provider", ""))
    model = full_name(key, provider)
    # Ollama also resells models that run in its cloud; their zero says nothing about their price.
    free_means_free = provider in OWN_MACHINE and not key.endswith("-cloud")
    seen: set[tuple[str, int]] = set()
    for found in _fields(entry):
        token_class = CLASS_OF_FIELD.get(found.name)
        if token_class is None or not isinstance(found.value, int | Decimal) or found.value < 0:
            continue
        row = PriceRow(
            model=model,
            token_class=token_class,
            per_token=per_token(found.value),
            effective_from=effective_from,
            source=source,
            tier_start=found.tier_start,
            service=found.service,
            hours=found.hours,
        )
        if row.place not in seen and (row.per_token or free_means_free):
            seen.add(row.place)
            yield row


def _fields(entry: Mapping[str, Any]) -> Iterator[_Field]:
    """The prices of an entry, in all the ways in which the map writes tiers, services and hours."""
    for tier in entry.get("tiered_pricing") or ():
        start = int(tier["range"][0]) or None
        yield from (_Field(name, value, start) for name, value in tier.items() if name != "range")
    for name, value in entry.items():
        if said := FIELD.match(name):
            start = int(said["thousands"]) * 1000 if said["thousands"] else None
            yield _Field(said["field"], value, start, SERVICE_OF_SUFFIX[said["service"]])
    yield from _off_peak(entry.get("off_peak_pricing") or {})
    searches = set((entry.get("search_context_cost_per_query") or {}).values())
    if len(searches) == 1:  # otherwise it depends on how much the search brings, which no usage tells
        yield from (_Field("web_search", value) for value in searches)


def _off_peak(offer: Mapping[str, Any]) -> Iterator[_Field]:
    if "weekday_timezone" in offer:  # days that begin at another hour than ours: its dearer hours are taken for all
        return
    for window in offer.get("windows") or ():
        weekdays = "".join(map(str, window.get("weekdays") or range(1, 8)))
        spans = window["hours_utc"]
        for span in [spans] if isinstance(spans, str) else spans:
            hours = Hours.read(f"{weekdays} {span}")
            yield from (_Field(name, value, hours=hours) for name, value in offer.items() if name in CLASS_OF_FIELD)


def full_name(key: str, provider: str) -> str:
    """The name provider/model of an entry of the map."""
    prefix = PREFIX_OF_PROVIDER.get(provider, provider if provider.startswith("text-") else provider.split("-")[0])
    return key if not prefix or key.startswith(f"{prefix}/") else f"{prefix}/{key}"


# The installation's own prices


def _decimal(value: Any) -> Any:
    # Through text: Decimal(0.1) is not a tenth.
    return Decimal(repr(value)) if isinstance(value, float) else value


Price = Annotated[Decimal, BeforeValidator(_decimal), Field(ge=0, allow_inf_nan=False)]


def _hours(value: Any) -> Any:
    return Hours.read(value) if isinstance(value, str) else value


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    model: str = Field(min_length=1)
    source: str = Field(min_length=1)
    from_: date = Field(alias="from")
    to: date | None = None
    service: Service = "standard"
    hours: Annotated[Hours, BeforeValidator(_hours)] | None = None
    usd_per_million: dict[TokenClass, Price] = Field(default_factory=dict)
    usd_each: dict[TokenClass, Price] = Field(default_factory=dict)
    above: dict[Annotated[int, Field(gt=0)], dict[TokenClass, Price]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _whole(self) -> "_Entry":
        if not self.usd_per_million and not self.usd_each:
            raise ValueError("it has no price: write usd_per_million or usd_each")
        counted = [*self.usd_per_million, *(name for prices in self.above.values() for name in prices)]
        if wrong := [name for name in counted if name in FEES]:
            raise ValueError(f"{wrong[0]} has a price by the piece: write it under usd_each")
        if wrong := [name for name in self.usd_each if name not in FEES]:
            raise ValueError(f"{wrong[0]} has a price by the million: write it under usd_per_million")
        if self.to is not None and self.to <= self.from_:
            raise ValueError(f"it ends on {self.to}, before it begins")
        return self


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    prices: list[_Entry] = Field(default_factory=list)


def override_files(given: Settings) -> list[Path]:
    """The files with prices of one's own: what is shipped, then `ASSAY_PRICES` or prices.yaml in ASSAY_HOME.

    Raises AssayError when the file that the setting names is not there.
    """
    own = given.prices or given.home / "prices.yaml"
    if given.prices is not None and not own.is_file():
        raise AssayError(f"ASSAY_PRICES names {own.name}, which is no file here; write it or unset the variable.")
    return [OVERRIDES, own] if own.is_file() else [OVERRIDES]


def rows_of_overrides(path: Path = OVERRIDES) -> Iterator[PriceRow]:
    """The rows of an overrides file. Raises AssayError that names the entry if it cannot be read as one."""
    import yaml

    try:
        read = _File.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
    except OSError as error:
        raise AssayError(f"the price file {path.name} cannot be read: {error.strerror}.") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise AssayError(f"the price file {path.name} is not YAML: {error}") from error
    except ValidationError as error:
        raise AssayError(_sentence(path, error)) from error
    for entry in read.prices:
        if list_of(entry.source) != "own":
            raise AssayError(f"{path.name}: the source of {entry.model} has to say where the price is published.")
        yield from _rows_of_own(entry)


def _rows_of_own(entry: _Entry) -> Iterator[PriceRow]:
    per_million = [(None, entry.usd_per_million), *entry.above.items()]
    prices = [(start, name, price / 1_000_000) for start, listed in per_million for name, price in listed.items()]
    prices += [(None, name, price) for name, price in entry.usd_each.items()]
    for start, token_class, price in prices:
        yield PriceRow(
            model=entry.model,
            token_class=token_class,
            per_token=per_token(price),
            effective_from=entry.from_,
            effective_to=entry.to,
            source=entry.source,
            tier_start=start,
            service=entry.service,
            hours=entry.hours,
        )


def _sentence(path: Path, error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    said = first["msg"].removeprefix("Value error, ")
    return f"{path.name}: {place}: {said}. Token classes: {', '.join(PRICE_CLASSES)}."
