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
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from evaluations.errors import AssayError, InfrastructureError
from evaluations.pricing import TOKEN_CLASSES, PriceRow, TokenClass, per_token

FIRST_DAY = date(2020, 1, 1)
"""From when the map's prices count on a first seeding: it has no dates, and calls of the past need a price
too."""
OVERRIDES = Path(__file__).parent / "store" / "prices.yaml"
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
}
TIER = re.compile(r"^(?P<field>.+?)_above_(?P<thousands>\d+)k_tokens$")
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
    """The rows of LiteLLM's price map, model by model; by default those of the installed version.

    Batch, flex and priority prices are left out: what a call asks for another service tier is unpriced.
    """
    source = source or map_source()
    entries = json.loads((path or map_file()).read_text(encoding="utf-8"), parse_float=Decimal)
    for key, entry in entries.items():
        # `sample_spec` describes the format, and has no mode of the list.
        if isinstance(entry, dict) and entry.get("mode") in MODES:
            yield from _rows_of_entry(key, entry, source, effective_from)


def _rows_of_entry(key: str, entry: Mapping[str, Any], source: str, effective_from: date) -> Iterator[PriceRow]:
    provider = str(entry.get("litellm_provider", ""))
    model = _full_name(key, provider)
    # Ollama also resells models that run in its cloud; their zero says nothing about their price.
    free_means_free = provider in OWN_MACHINE and not key.endswith("-cloud")
    seen: set[tuple[TokenClass, int | None]] = set()
    for name, tier_start, value in _fields(entry):
        token_class = CLASS_OF_FIELD.get(name)
        place = (token_class, tier_start)
        if token_class is None or place in seen or not isinstance(value, int | Decimal) or value < 0:
            continue
        price = per_token(value)
        if not price and not free_means_free:
            continue
        seen.add((token_class, tier_start))
        yield PriceRow(
            model=model,
            token_class=token_class,
            per_token=price,
            effective_from=effective_from,
            source=source,
            tier_start=tier_start,
        )


def _fields(entry: Mapping[str, Any]) -> Iterator[tuple[str, int | None, Any]]:
    """(field, tier start, value) of both ways in which the map writes tiers."""
    for tier in entry.get("tiered_pricing") or ():
        start = int(tier["range"][0]) or None
        yield from ((name, start, value) for name, value in tier.items() if name != "range")
    for name, value in entry.items():
        if found := TIER.match(name):
            yield found["field"], int(found["thousands"]) * 1000, value
        else:
            yield name, None, value


def _full_name(key: str, provider: str) -> str:
    prefix = PREFIX_OF_PROVIDER.get(provider, provider if provider.startswith("text-") else provider.split("-")[0])
    return key if not prefix or key.startswith(f"{prefix}/") else f"{prefix}/{key}"


# The installation's own prices


def _decimal(value: Any) -> Any:
    # Through text: Decimal(0.1) is not a tenth.
    return Decimal(repr(value)) if isinstance(value, float) else value


Price = Annotated[Decimal, BeforeValidator(_decimal), Field(ge=0, allow_inf_nan=False)]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    model: str = Field(min_length=1)
    source: str = Field(min_length=1)
    from_: date = Field(alias="from")
    to: date | None = None
    usd_per_million: dict[TokenClass, Price] = Field(min_length=1)
    above: dict[Annotated[int, Field(gt=0)], dict[TokenClass, Price]] = Field(default_factory=dict)


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    prices: list[_Entry] = Field(default_factory=list)


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
        if entry.source.startswith("litellm"):
            raise AssayError(f"{path.name}: the source of {entry.model} has to say where the price is published.")
        for start, prices in [(None, entry.usd_per_million), *entry.above.items()]:
            for token_class, price in prices.items():
                yield PriceRow(
                    model=entry.model,
                    token_class=token_class,
                    per_token=per_token(price / 1_000_000),
                    effective_from=entry.from_,
                    effective_to=entry.to,
                    source=entry.source,
                    tier_start=start,
                )


def _sentence(path: Path, error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{path.name}: {place}: {first['msg']}. Token classes: {', '.join(TOKEN_CLASSES)}."
