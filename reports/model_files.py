"""The page about models and providers as files: HTML, with its JSON and CSV twins."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from evaluations.claims import CheckedClaim, check_claims, claims_of
from evaluations.model_overview import KnownModel, ModelsOverview, ProviderLine, Use
from evaluations.models import Model, best_scores
from evaluations.performance import Performed
from reports.files import csv_line, csv_text, jsonable
from reports.page import SCHEMA_VERSION, render_page
from reports.views import models

CSV_COLUMNS = (
    *("model", "provider", "kind", "mode", "life_cycle", "ends_on", "successor", "alias", "alias_of"),
    *("context_tokens", "max_output_tokens", "max_images", "requests_per_minute", "tokens_per_minute"),
    *("can", "tested", "failed_tests", "source"),
)


def models_files(found: ModelsOverview) -> Iterable[tuple[str, Iterable[str]]]:
    """models.csv (every model of the registry), models.json (those in use, providers), models.html."""
    yield "models.csv", _csv(found)
    yield "models.json", [_json(found)]
    yield "models.html", [render_page(models.TEMPLATE, models.models_view(found))]


def measured(known: KnownModel) -> dict[str, Any]:
    """What is known of a model beside what the registry says, as JSON values."""
    prices, health = known.prices, known.health
    return {
        "prices_usd_per_token": None
        if prices is None
        else {
            name: [{"above_tokens": None if start < 0 else start, "usd": f"{price:f}"} for start, price in tiers]
            for name, tiers in prices.by_class.items()
        },
        "availability": None if health is None else health.availability,
        "circuit": None if health is None else jsonable(health.circuit),
        "uptime": None if health is None else jsonable(health.uptime),
        "use": None if known.performed is None else _performed(known.performed),
        "features": [_use(use) for use in known.uses],
        "use_cases": jsonable(known.model.use_cases),
        "claims": [_claim(each) for each in check_claims(known.model, known.performed)],
    }


def _json(found: ModelsOverview) -> str:
    document = {
        "schema": f"assay.models/{SCHEMA_VERSION}",
        "as_of": jsonable(found.at),
        "window": jsonable(found.window),
        "time_zone": found.timezone,
        "sample_data": None if found.freshness is None else found.freshness.sample,
        "in_use": [
            {**_told(each.model, found), "life_cycle": each.life_cycle(found.today), **measured(each)}
            for each in found.in_use
        ],
        "unregistered": [_use(use) for use in found.unregistered],
        "claims": [_claim(each) for each in claims_of(found)],
        "selections_reconsidered": jsonable(found.reconsidered),
        "suits": [
            {"model": model.name, **jsonable(each)}
            for model in found.catalogue
            for each in best_scores(model.use_cases)
        ],
        "providers": [_provider(each) for each in found.providers],
        "changes": jsonable(found.changes),
        "registry": len(found.catalogue),
    }
    return json.dumps(document, indent=1, ensure_ascii=True, allow_nan=False) + "\n"


def _told(model: Model, found: ModelsOverview) -> dict[str, Any]:
    return {
        "model": model.name,
        "provider": model.provider,
        "kind": model.kind,
        "life_cycle": model.life_cycle(found.today),
        "retires_on": jsonable(model.retires_on),
        "successor": model.successor,
        "alias": model.alias,
        "alias_of": model.alias_of,
        "limits": jsonable(model.limits),
        "capabilities": {
            name: {**jsonable(each), "holds": each.holds, "contradicts": each.contradicts}
            for name, each in model.capabilities.items()
        },
    }


def _claim(claim: CheckedClaim) -> dict[str, Any]:
    return {**jsonable(claim), "sentence": claim.sentence}


def _provider(line: ProviderLine) -> dict[str, Any]:
    return {
        "title": line.title,
        **jsonable(line.health),
        "window": line.health.window.days,
        "use": None if line.performed is None else _performed(line.performed),
        "models": dict(line.models),
    }


def _use(use: Use) -> dict[str, Any]:
    return {
        "provider": use.provider,
        "model": use.model,
        "feature": use.feature,
        "environment": use.environment,
        **_performed(use.performed),
    }


def _performed(did: Performed) -> dict[str, Any]:
    return {
        "requests": did.requests,
        "successes": did.successes,
        "errors": did.errors,
        "error_share": jsonable(did.error_share),
        "latency_p50_ms": jsonable(did.latency(0.5)),
        "latency_p95_ms": jsonable(did.latency(0.95)),
        "cost_usd": jsonable(did.cost),
        "unpriced": did.unpriced,
        "cost_per_success_usd": jsonable(did.cost_per_success),
    }


def _csv(found: ModelsOverview) -> Iterator[str]:
    yield csv_line(CSV_COLUMNS)
    for model in found.catalogue:
        limits, each = model.limits, model.capabilities.values()
        counted = (
            limits.context_tokens,
            limits.max_output_tokens,
            limits.max_images,
            limits.requests_per_minute,
            limits.tokens_per_minute,
        )
        yield csv_line(
            [
                csv_text(model.name),
                csv_text(model.provider),
                model.kind,
                csv_text(model.mode),
                model.life_cycle(found.today),
                model.retires_on or "",
                csv_text(model.successor or ""),
                "yes" if model.alias else "no",
                csv_text(model.alias_of or ""),
                *("" if number is None else number for number in counted),
                " ".join(one.name for one in each if one.holds),
                " ".join(one.name for one in each if one.tested and one.tested.passed),
                " ".join(one.name for one in each if one.tested and not one.tested.passed),
                csv_text(model.source),
            ]
        )
