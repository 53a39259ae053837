"""The page about models and providers: its facts, read from the store, and its files."""

from collections import Counter
from datetime import UTC, date, datetime
from pathlib import Path

from sqlalchemy import Connection

from evaluations.errors import NothingYet
from evaluations.model_overview import ModelsOverview, ProviderLine, Use, together
from evaluations.models import LifeCycle, Model
from tasks.model_catalogue import keyed_providers, providers
from tasks.models import known, provider_healths, registered_name, registry
from tasks.publishing import write_report
from tasks.settings import settings
from tasks.store import facts, model_facts
from tasks.store.database import transaction
from tasks.store.models import activities
from tasks.store.rollups import timezone_of
from tasks.store.selections import reconsidered

CHANGES = 100


def publish_models(first: date | None = None, last: date | None = None) -> Path:
    """Which models and providers are in use, how they do, and what is known of them. It has its own window.

    Raises NothingYet when no model is in use or measured for a use case, and no provider has a key or was probed.
    """
    from reports.model_files import models_files

    with transaction() as connection:
        found = models_overview(connection)
    measured = any(each.origin == "measured" for model in found.catalogue for each in model.use_cases)
    if not (found.in_use or found.unregistered or found.providers or found.reconsidered or measured):
        raise NothingYet("no model is in use, and no provider has a key here or was probed; `assay models list`.")
    folder = settings().reports_folder
    for name, parts in models_files(found):
        write_report(folder / name, parts, about="What it is made of", again="assay report models")
    return folder / "models.html"


def models_overview(connection: Connection, now: datetime | None = None) -> ModelsOverview:
    """Everything that the page is made of."""
    now = now or datetime.now(UTC)
    registered = registry(connection)
    uses = model_facts.uses(connection)
    named = [(use, registered_name(use.provider, use.model or "", registered)) for use in uses]
    in_use = known(connection, [registered[name] for name in sorted({name for _, name in named if name})], now)
    window = model_facts.window_of_use(connection)
    return ModelsOverview(
        at=now,
        window=window,
        timezone=timezone_of(connection),
        freshness=None if window is None else facts.freshness(connection, *window),
        in_use=tuple(sorted(in_use, key=lambda each: -(each.performed.requests if each.performed else 0))),
        unregistered=tuple(
            sorted((use for use, name in named if name is None), key=lambda use: -use.performed.requests)
        ),
        providers=_providers(connection, registered, uses, now),
        changes=tuple(activities(connection, limit=CHANGES)),
        catalogue=tuple(registered.values()),
        reconsidered=tuple(reconsidered(connection)),
    )


def _providers(
    connection: Connection, registered: dict[str, Model], uses: list[Use], now: datetime
) -> tuple[ProviderLine, ...]:
    """The providers in use, with a key, or probed; those in use first."""
    described = providers()
    used: dict[str, list[Use]] = {}
    for use in uses:
        name = registered_name(use.provider, use.model or "", registered)
        provider = registered[name].provider if name else use.provider
        if provider is not None:
            used.setdefault(provider, []).append(use)
    heard = set(model_facts.outcomes(connection, now))
    stages: dict[str, Counter[LifeCycle]] = {}
    for model in registered.values():
        stages.setdefault(model.provider, Counter())[model.life_cycle(now.date())] += 1
    healths = provider_healths(connection, sorted({*used, *(heard & {*described, *stages}), *keyed_providers()}), now)
    lines = [
        ProviderLine(
            title=described[name].title if name in described else name,
            health=health,
            performed=together(tuple(use.performed for use in used.get(name, ()))),
            models=dict(stages.get(name, Counter())),
        )
        for name, health in healths.items()
    ]
    return tuple(sorted(lines, key=lambda line: (-(line.performed.requests if line.performed else 0), line.title)))
