"""The registry as commands, flows and pages read it: models with all that is known of them; configurations checked."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from evaluations.availability import ProviderHealth, health_of
from evaluations.errors import AssayError
from evaluations.model_overview import KnownModel, Use
from evaluations.model_validation import Configuration, Surroundings, Validation, validate
from evaluations.models import Model, UnknownModel, model_named
from evaluations.pricing import Prices, names_of
from tasks.store import model_facts, models
from tasks.store.database import first_look
from tasks.store.prices import price_book

if TYPE_CHECKING:
    from evaluations.model_specs import ProviderSpec


def registry(connection: Connection, provider: str | None = None) -> dict[str, Model]:
    """Every model by name; the catalogues are taken over first where that never happened."""
    seed(connection)
    return models.all_models(connection, provider)


def seed(connection: Connection) -> None:
    """Take the catalogues over where nothing was taken over yet: then alone they are read.

    Raises AssayError with the command that does it for whoever may only read.
    """
    if models.is_empty(connection):
        from tasks.model_catalogue import seed_models

        with first_look("the catalogues of models", "assay models sync"):
            seed_models(connection)


def known(connection: Connection, found: Sequence[Model], now: datetime | None = None) -> list[KnownModel]:
    """What is known of some models beside what the registry says."""
    from tasks.price_sync import seed_prices

    now = now or datetime.now(UTC)
    seed_prices(connection)
    book = price_book(connection, [model.name for model in found])
    healths = provider_healths(connection, sorted({model.provider for model in found}), now)
    used = uses_by_model(connection, {model.name: model for model in found})
    versions = models.models_named(connection, [model.alias_of for model in found if model.alias_of])
    return [
        KnownModel(
            model=model,
            prices=book.prices_of(model.name, now.date()),
            health=healths.get(model.provider),
            uses=used.get(model.name, ()),
            stands_for=versions.get(model.alias_of or ""),
        )
        for model in found
    ]


def regional_prices(connection: Connection, model: Model, on: date) -> dict[str, Prices]:
    """What a model costs in each of its regions that has prices of its own."""
    regions = model.regions or ()
    book = price_book(connection, [model.name], regions)
    found = {region: book.prices_of(model.name, on, region=region) for region in regions}
    return {region: each for region, each in found.items() if each is not None and each.model != model.name}


def provider_healths(
    connection: Connection, names: Sequence[str], now: datetime | None = None
) -> dict[str, ProviderHealth]:
    """How some providers do, by name."""
    from tasks.model_catalogue import has_key, providers

    now = now or datetime.now(UTC)
    described = providers()
    heard = model_facts.outcomes(connection, now)
    return {
        name: health_of(name, has_key(described[name]) if name in described else None, heard.get(name, ()), now)
        for name in names
    }


def uses_by_model(connection: Connection, registered: Mapping[str, Model]) -> dict[str, tuple[Use, ...]]:
    """The uses of registered models by name, the most requests first. Requests may name a model without provider."""
    found: dict[str, list[Use]] = {}
    for use in model_facts.uses(connection):
        name = registered_name(use.provider, use.model or "", registered)
        if name is not None:
            found.setdefault(name, []).append(use)
    return {name: tuple(sorted(each, key=lambda use: -use.performed.requests)) for name, each in found.items()}


def registered_name(provider: str | None, model: str, registered: Mapping[str, Model]) -> str | None:
    """The name in the registry of what a request calls a model; None where it has none."""
    asked = f"{provider}/{model}" if provider and not model.startswith(f"{provider}/") else model
    also = {"google": "gemini", "aws": "bedrock", "x-ai": "xai"}.get(provider or "")
    candidates = [asked, *([f"{also}/{model}"] if also else []), *(names_of(model) if not provider else [])]
    return next((name for name in candidates if name in registered), None)


def models_in_use(connection: Connection) -> dict[str, tuple[Use, ...]]:
    """The models that took requests in the last thirty whole days, with their uses."""
    return uses_by_model(connection, registry(connection))


def providers_at_hand(connection: Connection, registered: Mapping[str, Model]) -> set[str]:
    """The providers that have a key here, or whose models are in use."""
    from tasks.model_catalogue import keyed_providers

    return keyed_providers() | {registered[name].provider for name in uses_by_model(connection, registered)}


# Checks


def check_model(
    connection: Connection,
    wanted: Configuration,
    *,
    environment: str | None = None,
    feature: str | None = None,
    key_variable: str | None = None,
    today: date | None = None,
) -> Validation:
    """Every check of a configuration, for an environment and with the traffic of a feature where they are named.

    `key_variable` is the environment variable that a configuration names for its key. Raises AssayError for an
    unknown environment, a feature without traffic and an unknown capability.
    """
    from tasks.model_catalogue import has_key, providers
    from tasks.price_sync import seed_prices

    seed(connection)
    seed_prices(connection)
    now = datetime.now(UTC)
    registered = models.models_named(connection, [wanted.model, *wanted.fallbacks])
    everything: Mapping[str, Model] = {}
    if wanted.model not in registered:
        everything = models.all_models(connection)
        try:
            model = model_named(wanted.model, everything)
        except UnknownModel:
            pass
        else:
            wanted = replace(wanted, model=model.name)
            registered[model.name] = model
    provider = wanted.model.partition("/")[0]
    version = registered[wanted.model].alias_of if wanted.model in registered else None
    described: ProviderSpec | None = providers().get(provider)
    there = None if environment is None else models.environment_named(connection, environment)
    traffic = None if feature is None else model_facts.traffic_of(connection, feature)
    if feature is not None and traffic is None:
        raise AssayError(f"{feature!r} has no traffic in the last days that are rolled up; leave the feature out.")
    key = None if described is None else has_key(described)
    return validate(
        wanted,
        Surroundings(
            model=registered.get(wanted.model),
            known=sorted(everything),
            key=bool(os.environ.get(key_variable)) if key_variable else key,
            provider_title=described.title if described else provider,
            provider_parameters=described.parameters if described else None,
            ranges=described.ranges if described else {},
            prices=price_book(connection, [wanted.model]).prices_of(wanted.model, today or now.date()),
            health=provider_healths(connection, [provider], now)[provider],
            environment=there,
            traffic=traffic,
            stands_for=models.models_named(connection, [version]).get(version) if version else None,
            fallbacks={name: registered.get(name) for name in wanted.fallbacks},
            today=today or now.date(),
        ),
    )
