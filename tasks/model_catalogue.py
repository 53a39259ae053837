"""Models from outside: LiteLLM's bundled map, the catalogue files, and what providers list; and the registry's sync.

Nothing here asks the network, and LiteLLM is not imported: its map is a JSON file beside its code.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from evaluations.errors import AssayError, unknown_name
from evaluations.model_changes import ModelChange, model_changes
from evaluations.model_specs import CatalogueModelSpec, CatalogueSpec, ProviderSpec
from evaluations.models import (
    LONG_CONTEXT,
    WORDS,
    Capability,
    Claim,
    Limits,
    Modality,
    Model,
    UseCaseScore,
    aliases,
    region_of,
)
from tasks.documents import parse_document, read_document
from tasks.prices import full_name, map_file, map_source
from tasks.settings import Settings, settings
from tasks.store.models import all_models, apply_changes, is_empty, lock_models

SHIPPED = Path(__file__).parent / "store" / "models.yaml"
NO_MODELS = frozenset({"search", "guardrail", "vector_store", "ocr", "extraction", "evaluation"})
"""Modes of the map that are services beside models."""
CAPABILITY_OF_FIELD: Mapping[str, str] = {
    "supports_function_calling": "tools",
    "supports_vision": "vision",
    "supports_response_schema": "json_schema",
    "supports_reasoning": "reasoning",
    "supports_prompt_caching": "prompt_caching",
    "supports_pdf_input": "file_input",
    "supports_audio_input": "audio_input",
    "supports_web_search": "web_search",
    "supports_sampling_params": "sampling",
}
TEXT_MODES = frozenset({"chat", "completion", "responses"})
OUTPUTS_OF_MODE: Mapping[str, tuple[Modality, ...]] = {
    "embedding": ("vector",),
    "image_generation": ("image",),
    "image_edit": ("image",),
    "audio_speech": ("audio",),
    "video_generation": ("video",),
}
INPUTS_OF_MODE: Mapping[str, tuple[Modality, ...]] = {
    "audio_transcription": ("audio",),
    "image_edit": ("text", "image"),
    "realtime": ("text", "audio"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """All that lists outside say: models by name, and the providers that this installation knows well."""

    models: Mapping[str, Model]
    providers: Mapping[str, ProviderSpec]


def catalogue_files(given: Settings) -> list[Path]:
    """What is shipped, then `ASSAY_MODELS` or models.yaml in ASSAY_HOME.

    Raises AssayError when the file that the setting names is not there.
    """
    own = given.models or given.home / "models.yaml"
    if given.models is not None and not own.is_file():
        raise AssayError(f"ASSAY_MODELS names {own.name}, which is no file here; write it or unset the variable.")
    return [SHIPPED, own] if own.is_file() else [SHIPPED]


def providers(given: Settings | None = None) -> dict[str, ProviderSpec]:
    """The providers that catalogue files describe, by name. Raises AssayError with file, line and column."""
    found: dict[str, ProviderSpec] = {}
    for spec in _specs(given or settings()):
        found |= spec.providers
    return found


def provider_named(word: str, known: Mapping[str, ProviderSpec], others: Iterable[str] = ()) -> str:
    """A provider by its name or another one in use for it; `others` are providers that only models name.

    Raises AssayError with the nearest.
    """
    names = {*known, *others}
    also = {other: name for name, spec in known.items() for other in spec.also}
    if word not in names and word not in also:
        raise AssayError(unknown_name("provider", word, sorted(names)))
    return word if word in names else also[word]


def has_key(provider: ProviderSpec) -> bool | None:
    """Whether a key is in the environment; None where nobody says which variable holds it."""
    if not provider.needs_key:
        return True
    return any(os.environ.get(name) for name in provider.keys) if provider.keys else None


def keyed_providers() -> set[str]:
    """The providers that want a key and have one in the environment."""
    return {name for name, provider in providers().items() if provider.needs_key and has_key(provider)}


def catalogue(given: Settings | None = None, map_path: Path | None = None) -> Catalogue:
    """What LiteLLM's map and the catalogue files say together.

    Raises AssayError with file, line and column where a file of one's own cannot be read.
    """
    specs = _specs(given or settings())
    known = {name: provider for spec in specs for name, provider in spec.providers.items()}
    found = {model.name: model for model in models_of_map(map_path)}
    found = _with_regions(found)
    for spec in specs:
        for entry in spec.models:
            found[entry.model] = _enriched(found.get(entry.model), entry)
    stands_for = aliases(found)
    return Catalogue(
        models={name: _finished(model, known.get(model.provider), stands_for) for name, model in found.items()},
        providers=known,
    )


def _specs(given: Settings) -> list[CatalogueSpec]:
    return [
        parse_document(read_document(path, "catalogue"), CatalogueSpec, "catalogue") for path in catalogue_files(given)
    ]


def _finished(model: Model, provider: ProviderSpec | None, stands_for: Mapping[str, str | None]) -> Model:
    """With what its provider says for all its models, and told apart from aliases."""
    limits = model.limits
    if provider is not None:
        limits = replace(
            limits,
            max_images=limits.max_images or (provider.max_images if "image" in model.inputs else None),
            requests_per_minute=limits.requests_per_minute or provider.requests_per_minute,
            tokens_per_minute=limits.tokens_per_minute or provider.tokens_per_minute,
        )
        model = replace(model, regions=model.regions or provider.regions or None)
    if model.alias or model.name not in stands_for:
        return replace(model, limits=limits)
    return replace(model, limits=limits, alias=True, alias_of=stands_for[model.name])


def _with_regions(found: Mapping[str, Model]) -> dict[str, Model]:
    """A name that has a region in it is served there, and so is the model of the same name without it."""
    where: dict[str, set[str]] = {name: set(model.regions or ()) for name, model in found.items()}
    for name in found:
        if (placed := region_of(name)) is not None:
            region, plain = placed
            where[name] = {region}
            if plain in where:
                where[plain].add(region)
    return {name: replace(model, regions=tuple(sorted(where[name])) or None) for name, model in found.items()}


# LiteLLM's map


def models_of_map(path: Path | None = None, *, source: str | None = None) -> Iterator[Model]:
    """The models of LiteLLM's map; by default those of the installed version. Nothing is imported of it."""
    source = source or map_source()
    entries = json.loads((path or map_file()).read_text(encoding="utf-8"))
    seen: set[str] = set()
    for key, entry in entries.items():
        # `sample_spec` describes the format, and families without a mode are price brackets.
        if not isinstance(entry, dict) or not isinstance(entry.get("mode"), str) or " " in entry["mode"]:
            continue
        name = full_name(key, str(entry.get("litellm_provider", "")))
        if entry["mode"] in NO_MODELS or "/" not in name or name in seen:
            continue
        seen.add(name)
        yield _of_entry(name, entry, source)


def _of_entry(name: str, entry: Mapping[str, Any], source: str) -> Model:
    mode = entry["mode"]
    documented = {
        capability: bool(entry[field])
        for field, capability in CAPABILITY_OF_FIELD.items()
        if isinstance(entry.get(field), bool)
    }
    if mode in TEXT_MODES:
        documented["text_generation"] = True
    if mode == "embedding":
        documented["embedding"] = True
    limits = Limits(
        context_tokens=_count(entry, "max_input_tokens") or (_count(entry, "max_tokens") if mode == "chat" else None),
        max_output_tokens=_count(entry, "max_output_tokens"),
        max_images=_count(entry, "max_images_per_prompt"),
        requests_per_minute=_count(entry, "rpm"),
        tokens_per_minute=_count(entry, "tpm"),
    )
    if mode in TEXT_MODES and limits.context_tokens is not None:
        documented["long_context"] = limits.context_tokens >= LONG_CONTEXT
    return Model(
        name=name,
        provider=name.partition("/")[0],
        mode=mode,
        inputs=_inputs(mode, entry, documented),
        outputs=_modalities(entry.get("supported_output_modalities")) or OUTPUTS_OF_MODE.get(mode, ("text",)),
        capabilities=_documented(documented, source),
        limits=limits,
        regions=_names(entry.get("supported_regions")),
        stage="beta" if _is_preview(name) else "available",
        retires_on=_day(entry.get("deprecation_date")),
        source=source,
    )


def _inputs(mode: str, entry: Mapping[str, Any], documented: Mapping[str, bool]) -> tuple[Modality, ...]:
    given = _modalities(entry.get("supported_modalities")) or INPUTS_OF_MODE.get(mode, ("text",))
    added: list[Modality] = []
    added += ["image"] if documented.get("vision") else []
    added += ["audio"] if documented.get("audio_input") else []
    added += ["video"] if entry.get("supports_video_input") is True else []
    added += ["file"] if documented.get("file_input") else []
    return (*given, *(each for each in added if each not in given))


def _modalities(given: Any) -> tuple[Modality, ...]:
    known: tuple[Modality, ...] = ("text", "image", "audio", "video", "file")
    return tuple(each for each in known if isinstance(given, list) and each in given)


def _names(given: Any) -> tuple[str, ...] | None:
    names = [each for each in given if isinstance(each, str)] if isinstance(given, list) else []
    return tuple(names) or None


def _count(entry: Mapping[str, Any], field: str) -> int | None:
    """A limit of the map; what is no positive whole number there is a note, not a limit."""
    value = entry.get(field)
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 2**31 else None


def _day(given: Any) -> date | None:
    try:
        return date.fromisoformat(given) if isinstance(given, str) else None
    except ValueError:
        return None


def _is_preview(name: str) -> bool:
    return any(word in name.rpartition("/")[2] for word in ("preview", "beta", "experimental", "-exp-"))


def _documented(said: Mapping[str, bool], source: str) -> dict[str, Capability]:
    return {name: Capability(name=name, documented=holds, source=source) for name, holds in sorted(said.items())}


# The catalogue files


def _enriched(model: Model | None, entry: CatalogueModelSpec) -> Model:
    """A model with what an entry adds or puts right; a new one where no list had it."""
    base = model or Model(
        name=entry.model,
        provider=entry.model.partition("/")[0],
        mode=entry.mode or "chat",
        source=entry.source,
        capabilities={},
    )
    limits = base.limits
    said = {
        name: value
        for name in ("context_tokens", "max_output_tokens", "max_images", "requests_per_minute", "tokens_per_minute")
        if (value := getattr(entry, name)) is not None
    }
    scores = tuple(
        UseCaseScore(
            use_case=name,
            score=each.score,
            origin="declared",
            reason=each.reason,
            as_of=entry.as_of,
            source=entry.source,
        )
        for name, each in entry.use_cases.items()
    )
    given = {
        name: value
        for name in ("mode", "inputs", "outputs", "stage", "retires_on", "successor", "regions")
        if (value := getattr(entry, name)) is not None
    }
    return replace(
        base,
        **given,
        limits=replace(limits, **said),
        capabilities={**base.capabilities, **_documented(entry.capabilities, entry.source)},
        alias=base.alias or entry.alias_of is not None,
        alias_of=entry.alias_of or base.alias_of,
        description=entry.description or base.description,
        limitations=entry.limitations or base.limitations,
        use_cases=(*base.use_cases, *scores),
        claims=_claimed(base.claims, entry),
    )


def _claimed(before: tuple[Claim, ...], entry: CatalogueModelSpec) -> tuple[Claim, ...]:
    """The claims with those of an entry in the place of earlier ones about the same."""
    said = {
        about: Claim(about=about, word=each.word, low=each.low, high=each.high, source=entry.source)
        for about in WORDS
        if (each := getattr(entry.claims, about)) is not None
    }
    return tuple({**{each.about: each for each in before}, **said}.values())


# Into the registry


def seed_models(connection: Connection, given: Settings | None = None) -> None:
    """Take the catalogues over where nothing was taken over yet; what every reader of the registry does first."""
    given = given or settings()
    if is_empty(connection):
        lock_models(connection)
        if is_empty(connection):
            changes = model_changes({}, catalogue(given).models, today())
            apply_changes(connection, changes, given.actor, quiet=True)


def planned_sync(connection: Connection, given: Settings | None = None) -> Sequence[ModelChange]:
    """What differs between the registry and the catalogues."""
    return model_changes(all_models(connection), catalogue(given).models, today())


def today() -> date:
    """The day (UTC) of which life cycles are told."""
    return datetime.now(UTC).date()
