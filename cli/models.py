"""assay models: which models there are, what they can do and cost, how they do, and whether they may be put to work."""

import json
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.model_words import (
    SHOWN,
    change_as_json,
    config_as_json,
    echo_changes,
    echo_config,
    echo_known,
    echo_list,
    echo_others,
    echo_validation,
    known_as_json,
    model_as_json,
    priced_as_json,
    settings_of,
    validation_as_json,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evaluations.model_validation import Configuration
    from evaluations.models import Model


@click.group()
def models() -> None:
    """Models by version: capabilities, limits, life cycle, prices, availability, and how they do in your traffic.

    \b
      assay models list --provider openai --can vision        what there is
      assay models show openai/gpt-4o-2024-11-20              everything about one
      assay models validate openai/gpt-4o-2024-11-20 --environment production --feature chatbot
      assay models probe                                      providers with a key; capabilities of models in use
      assay models configs                                    how models were called
      assay models claims                                     what is declared beside what was measured
      assay models sync                                       bring the registry up to the catalogues

    The registry begins with LiteLLM's bundled map and our own file of providers; yours is models.yaml in
    ASSAY_HOME (docs/models.md). What a probe tested overrides what a catalogue says.
    """


_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_ENVIRONMENT = click.option("--environment", help="Check against what this environment takes.")


@models.command("list")
@click.option("--provider", help="Only models of this provider.")
@click.option("--mode", help="chat, embedding, image_generation, ...")
@click.option("--kind", help="language, vision, multimodal, embedding or other.")
@click.option("--can", "capabilities", multiple=True, help="Only models with this capability. Repeatable.")
@click.option("--tested", is_flag=True, help="With --can: only where a test found it, not where it is documented.")
@click.option(
    "--life-cycle", "life_cycles", multiple=True, help="available, beta, deprecated, retired. Default: all but retired."
)
@click.option("--region", help="Only models that can be had in this region, as providers call it.")
@click.option("--search", help="Only names with this text.")
@click.option("--versions", is_flag=True, help="Leave aliases out.")
@click.option("--all", "everything", is_flag=True, help="Models of every provider, where no filter is given.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True)
@_JSON
def list_(
    provider: str | None,
    mode: str | None,
    kind: str | None,
    capabilities: tuple[str, ...],
    tested: bool,
    life_cycles: tuple[str, ...],
    region: str | None,
    search: str | None,
    versions: bool,
    everything: bool,
    limit: int,
    as_json: bool,
) -> None:
    """Models by name, with their limits and where they are in their life.

    Without a filter these are the models of providers that have a key here or are in use; JSON has all.
    """
    from evaluations.models import KINDS, LIFE_CYCLES, capability_named
    from tasks.models import providers_at_hand, registry, seed
    from tasks.store.database import transaction
    from tasks.store.models import providers_known

    unfiltered = not (
        everything or provider or mode or kind or capabilities or life_cycles or region or search or versions
    )
    at_hand: set[str] | None = None
    wanted = [capability_named(each) for each in capabilities]
    stages = [_one_of("life cycle", each, LIFE_CYCLES) for each in life_cycles] or LIFE_CYCLES[:3]
    if kind is not None:
        _one_of("kind", kind, KINDS)
    with transaction() as connection:
        if provider is not None:
            seed(connection)
            provider = _provider(provider, providers_known(connection))
        found = registry(connection, provider)
        if unfiltered and not as_json:
            at_hand = providers_at_hand(connection, found)
    if mode is not None:
        _one_of("mode", mode, sorted({model.mode for model in found.values()}))
    if region is not None:
        _one_of("region", region, sorted({each for model in found.values() for each in model.regions or ()}))
    today = datetime.now(UTC).date()
    chosen = [
        model
        for model in found.values()
        if (mode is None or model.mode == mode)
        and (kind is None or model.kind == kind)
        and (region is None or model.served_in([region]))
        and (search is None or search.casefold() in model.name.casefold())
        and not (versions and model.alias)
        and model.life_cycle(today) in stages
        and all(_can(model, name, tested) for name in wanted)
    ]
    # Models of text first: prices of pictures by their size are models in LiteLLM's map, too.
    chosen.sort(key=lambda model: (model.kind == "other", model.name))
    if as_json:
        click.echo(json.dumps([model_as_json(model, today) for model in chosen]))
        return
    if at_hand is None:
        echo_list(chosen, today, limit, provider)
        return
    near = [model for model in chosen if model.provider in at_hand]
    if near:
        echo_list(near, today, limit, None)
    echo_others([model for model in chosen if model.provider not in at_hand], at_hand)


def _can(model: "Model", capability: str, tested: bool) -> bool:
    found = model.capability(capability)
    return found.holds is True and (not tested or found.tested is not None)


def _one_of(kind: str, given: str, known: "Sequence[str]") -> str:
    from evaluations.errors import AssayError, unknown_name

    if given not in known:
        raise AssayError(unknown_name(kind, given, list(known)))
    return given


def _provider(given: str, there: "Sequence[str]") -> str:
    if given in there:
        return given
    from tasks.model_catalogue import provider_named, providers

    return provider_named(given, providers(), there)


@models.command()
@click.argument("model")
@_JSON
def show(model: str, as_json: bool) -> None:
    """Everything about MODEL (provider/name): life cycle, limits, capabilities, price, availability, use."""
    from tasks.models import known, regional_prices, seed
    from tasks.store.database import transaction
    from tasks.store.models import activities, find_model

    now = datetime.now(UTC)
    with transaction() as connection:
        seed(connection)
        found = find_model(connection, model)
        (all_known,) = known(connection, [found], now)
        regional = regional_prices(connection, found, now.date())
        changes = activities(connection, found.name, limit=10)
    if as_json:
        prices = {region: priced_as_json(each) for region, each in regional.items()}
        click.echo(json.dumps({**known_as_json(all_known, now.date()), "regional_prices": prices}))
        return
    echo_known(all_known, now.date(), regional)
    for change in changes:
        click.echo(f"  {change.at:%Y-%m-%d %H:%M} UTC  {change.kind} by {change.actor}: {change.why}")


@models.command()
@click.argument("names", nargs=-1, metavar="[MODEL]...")
@_JSON
def claims(names: tuple[str, ...], as_json: bool) -> None:
    """What is declared of models, beside what was measured; without MODEL, of all that anything is declared of.

    A claim holds when all of the measured interval is within it, does not when all of it is worse, and is open
    otherwise, and while fewer than 30 requests or cases were measured.
    """
    from evaluations.claims import OUTCOMES, check_claims, with_claims
    from reports.files import jsonable
    from tasks.models import known, registry
    from tasks.store.database import transaction
    from tasks.store.models import find_model

    with transaction() as connection:
        registered = registry(connection)
        wanted = [find_model(connection, name) for name in names] or with_claims(registered.values())
        found = [each for one in known(connection, wanted) for each in check_claims(one.model, one.performed)]
    found.sort(key=lambda each: OUTCOMES.index(each.outcome))
    if as_json:
        click.echo(json.dumps([{**jsonable(each), "sentence": each.sentence} for each in found]))
        return
    if not found:
        click.echo("Nothing is claimed. What is declared of models goes into models.yaml in ASSAY_HOME.")
        return
    for each in found:
        click.echo(f"{each.model}: {each.sentence} ({each.source})")


@models.command()
@click.argument("config", required=False)
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True)
@_JSON
def configs(config: str | None, limit: int, as_json: bool) -> None:
    """Model configurations that runs brought; with CONFIG (the beginning of an id, a model's id or label) one of them.

    What is printed of one is what a suite writes under models, and what assay models validate FILE.yaml reads.
    """
    from tasks.store.database import transaction
    from tasks.store.model_configs import config_named, list_configs

    with transaction() as connection:
        found = list_configs(connection, limit=limit) if config is None else [config_named(connection, config)]
    if as_json:
        click.echo(json.dumps([config_as_json(each) for each in found]))
    elif config is not None:
        echo_config(found[0])
    elif not found:
        click.echo("No run was planned yet. Try: assay run sample")
    else:
        label, model = (2 + max(len(getattr(each.spec, name)) for each in found) for name in ("name", "model"))
        click.echo(f"{'id':<10}{'label':<{label}}{'model':<{model}}{'runs':>6}  {'last used':<18}settings")
        for each in found:
            used = f"{each.used_at:%Y-%m-%d %H:%M}" if each.used_at else "-"
            click.echo(
                f"{str(each.id)[:8]:<10}{each.spec.name:<{label}}{each.spec.model:<{model}}{each.runs:>6}  {used:<18}"
                f"{settings_of(each.spec) or '-'}"
            )


@models.command()
@click.option("--dry-run", is_flag=True, help="Show what would change; write nothing.")
@click.option("--offline", is_flag=True, help="Do not ask providers for their listings.")
@click.option("--all", "everything", is_flag=True, help="List every change.")
@_JSON
def sync(dry_run: bool, offline: bool, everything: bool, as_json: bool) -> None:
    """Bring the registry up to LiteLLM's map and the catalogue files, and ask providers with a key what they serve.

    Models that are gone stay, withdrawn. Prices come along, as by assay prices sync. Every change leaves an activity.
    """
    import asyncio

    from tasks.model_probing import compare_listings, look_at_listings, reachable_providers
    from tasks.model_syncing import sync_models

    found = sync_models(write=not dry_run)
    looked = () if offline else asyncio.run(look_at_listings(reachable_providers(())))
    listed = compare_listings(looked, write=not dry_run)
    if as_json:
        click.echo(
            json.dumps(
                {
                    "written": not dry_run,
                    "changes": [change_as_json(each) for each in found.changes],
                    "price_changes": found.price_lines,
                    "listings": [{"provider": each.probe.provider, "said": each.probe.why} for each in looked],
                    "listed": [{"kind": kind, "model": name} for kind, name in listed],
                }
            )
        )
        return
    echo_changes(found.changes, everything)
    for line in found.price_lines if everything else found.price_lines[:SHOWN]:
        click.echo(f"  {line}")
    if found.price_lines and not dry_run:
        click.echo("Requests keep the price they had; assay reprice prices the past again.")
    for each in looked:
        click.echo(f"{each.probe.provider}: {each.probe.why}")
    for kind, name in listed if everything else listed[:SHOWN]:
        said = "its provider lists it, no catalogue does" if kind == "listed" else "its provider lists it no longer"
        click.echo(f"  {name}: {said}")
    if dry_run and (found.changes or found.price_lines or listed):
        click.echo("Nothing was written. To write it: assay models sync")


@models.command("validate")
@click.argument("what", required=False)
@_ENVIRONMENT
@click.option("--feature", help="Check against this feature's measured traffic.")
@click.option("--parameter", "parameters", multiple=True, metavar="NAME=VALUE", help="A parameter; VALUE is JSON.")
@click.option("--needs", multiple=True, help="A capability that the prompt asks for. Repeatable.")
@click.option("--max-cost-a-call", metavar="USD", help="What one call may cost at most.")
@_JSON
def validate_(
    what: str | None,
    environment: str | None,
    feature: str | None,
    parameters: tuple[str, ...],
    needs: tuple[str, ...],
    max_cost_a_call: str | None,
    as_json: bool,
) -> int:
    """Check WHAT, a model or a YAML file with a model's configuration; without it, every model in use.

    Ends with 1 when a check stands in the way. A check that cannot be made is "?": where an environment takes
    validated models alone, it stands in the way too.
    """
    from tasks.models import check_model, models_in_use
    from tasks.store.database import transaction

    with transaction() as connection:
        if what is None:
            if feature or parameters or needs:
                raise click.UsageError("name a model, or leave --feature, --parameter and --needs out.")
            used = models_in_use(connection)
            wanted: list[tuple[Configuration, str | None]] = [
                (_configuration(name, (), (), None), None) for name in used
            ]
        else:
            wanted = [_read_configuration(what, parameters, needs, _dollars(max_cost_a_call))]
        checked = [
            check_model(connection, each, environment=environment, feature=feature, key_variable=key)
            for each, key in wanted
        ]
    if as_json:
        click.echo(json.dumps([validation_as_json(each) for each in checked]))
    elif not checked:
        click.echo("No model is in use: no requests of the last 30 days are rolled up. Name a model to check one.")
    else:
        for each in checked:
            echo_validation(each, environment)
    return 0 if all(each.allowed for each in checked) else 1


def _configuration(
    model: str, parameters: tuple[str, ...], needs: tuple[str, ...], max_cost: Decimal | None
) -> "Configuration":
    from evaluations.model_validation import Configuration

    return Configuration(model=model, parameters=_parameters(parameters), needs=needs, max_cost_a_call=max_cost)


def _read_configuration(
    what: str, parameters: tuple[str, ...], needs: tuple[str, ...], max_cost: Decimal | None
) -> "tuple[Configuration, str | None]":
    if not what.endswith((".yaml", ".yml", ".json")):
        return _configuration(what, parameters, needs, max_cost), None
    from dataclasses import replace

    from tasks.model_configs import configuration_of, read_model_config

    spec = read_model_config(Path(what))
    found = configuration_of(spec, needs=needs)
    found = replace(found, parameters={**found.parameters, **_parameters(parameters)})
    return (found if max_cost is None else replace(found, max_cost_a_call=max_cost)), spec.api_key_env


def _parameters(given: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for each in given:
        name, sign, value = each.partition("=")
        if not sign or not name:
            raise click.UsageError(f"--parameter takes NAME=VALUE, e.g. temperature=0.2; got {each!r}.")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found


def _dollars(given: str | None) -> Decimal | None:
    try:
        usd = None if given is None else Decimal(given)
    except InvalidOperation:
        usd = Decimal(-1)
    if usd is not None and not (usd.is_finite() and usd >= 0):
        raise click.UsageError(f"a cost is a number of US dollars, e.g. 0.05; got {given!r}.")
    return usd


@models.command()
@click.argument("names", nargs=-1, metavar="[MODEL]...")
@click.option("--provider", "provider_names", multiple=True, help="Look at this provider's listing only. Repeatable.")
@click.option("--can", "capabilities", multiple=True, help="Test only this capability. Repeatable.")
@click.option("--max-cost", metavar="USD", default="1", show_default=True, help="Stop before calls cost more.")
@click.option("--no-listings", is_flag=True, help="Ask no provider for its models.")
@_JSON
def probe(
    names: tuple[str, ...],
    provider_names: tuple[str, ...],
    capabilities: tuple[str, ...],
    max_cost: str,
    no_listings: bool,
    as_json: bool,
) -> None:
    """See which providers answer, and test whether models can do what is said of them.

    Without MODEL, models in use are tested whose tests are missing or old. Listings are free; questions are paid
    for, twice each, and stand in the ledger like every call. The flow model-probe does the same by schedule.
    """
    import asyncio

    from cli.run import use_prefect
    from tasks.model_probing import check_request, request_of

    asked = request_of(names, provider_names, capabilities, _dollars(max_cost), listings=not no_listings)
    check_request(asked)
    use_prefect()
    from flows.model_probe import model_probe

    told = asyncio.run(
        model_probe(
            models=list(names),
            providers=list(provider_names),
            capabilities=list(capabilities),
            max_cost=float(asked.max_cost),
            listings=not no_listings,
        )
    )
    if not as_json:
        click.echo(told)
    _tell_tests(names, as_json, str(told))


def _tell_tests(names: tuple[str, ...], as_json: bool, told: str) -> None:
    from tasks.store.database import transaction
    from tasks.store.models import find_model

    with transaction() as connection:
        found = [find_model(connection, name) for name in names]
    tested = {
        model.name: {
            each.name: {
                "holds": each.tested.passed,
                "why": each.tested.why,
                "at": each.tested.at.isoformat(),
                "run": each.tested.run_id,
            }
            for each in model.capabilities.values()
            if each.tested
        }
        for model in found
    }
    if as_json:
        click.echo(json.dumps({"told": told, "tested": tested}))
        return
    for name, seen in tested.items():
        click.echo(name)
        for capability, each in seen.items():
            click.echo(f"  {'yes' if each['holds'] else 'no':<4}{capability:<18}{each['why']}")
