"""assay environments: what may be deployed where."""

import json
from decimal import Decimal, InvalidOperation

import click


@click.group()
def environments() -> None:
    """Development, staging, production: whose models each takes, its limit a month, the approvals it wants."""


_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@environments.command("list")
@_JSON
def list_(as_json: bool) -> None:
    """Every environment, in the order in which a change goes through them."""
    from evaluations.wording import money
    from tasks.store.database import transaction
    from tasks.store.models import environment_as_json
    from tasks.store.models import environments as read

    with transaction() as connection:
        found = read(connection)
    if as_json:
        click.echo(json.dumps([environment_as_json(each) for each in found]))
        return
    click.echo(f"{'environment':<16}{'models':<18}{'limit a month':<16}{'approvals':<11}{'providers':<20}regions")
    for each in found:
        limit = "none" if each.monthly_cost_limit is None else money(each.monthly_cost_limit)
        providers = "all" if each.allowed_providers is None else ", ".join(each.allowed_providers) or "none"
        regions = "all" if each.allowed_regions is None else ", ".join(each.allowed_regions)
        validated = "validated only" if each.validated_only else "any"
        click.echo(f"{each.name:<16}{validated:<18}{limit:<16}{each.approvals_required:<11}{providers:<20}{regions}")


@environments.command()
@click.argument("name")
@_JSON
def show(name: str, as_json: bool) -> None:
    """What NAME takes, and how that changed."""
    from tasks.store.database import transaction
    from tasks.store.models import activities, environment_as_json, environment_named

    with transaction() as connection:
        found = environment_as_json(environment_named(connection, name))
        changes = activities(connection, name)
    if as_json:
        told = [{"at": each.at.isoformat(), "by": each.actor, "after": each.after, "why": each.why} for each in changes]
        click.echo(json.dumps({**found, "changes": told}))
        return
    for key, value in found.items():
        click.echo(f"{key.replace('_', ' '):<24}{_told(key, value)}")
    for each in changes:
        click.echo(f"  {each.at:%Y-%m-%d %H:%M} UTC by {each.actor}: {each.why}")


def _told(key: str, value: object) -> str:
    if value is None:
        return "all" if key.startswith("allowed_") else "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) or "none" if isinstance(value, tuple | list) else str(value)


@environments.command("set")
@click.argument("name")
@click.option("--provider", "providers", multiple=True, help="Takes models of this provider alone. Repeatable.")
@click.option("--all-providers", is_flag=True, help="Takes models of every provider.")
@click.option("--region", "regions", multiple=True, help="Takes models that can be had there alone. Repeatable.")
@click.option("--all-regions", is_flag=True, help="Takes models wherever they are served.")
@click.option("--validated-only/--any-model", default=None, help="Whether checks that cannot be made stand in the way.")
@click.option("--monthly-limit", metavar="USD", help="What a month may cost; `none` takes the limit away.")
@click.option("--approvals", type=click.IntRange(0, 10), help="How many people have to approve a deployment.")
@click.option("--why", required=True, metavar="TEXT", help="The reason; it stays on record.")
def set_(
    name: str,
    providers: tuple[str, ...],
    all_providers: bool,
    regions: tuple[str, ...],
    all_regions: bool,
    validated_only: bool | None,
    monthly_limit: str | None,
    approvals: int | None,
    why: str,
) -> None:
    """Change what NAME takes; a new name makes a new environment. What is not said stays as it is."""
    from dataclasses import replace

    from evaluations.errors import AssayError, unknown_name
    from evaluations.models import Environment
    from tasks.model_catalogue import provider_named
    from tasks.model_catalogue import providers as described
    from tasks.models import seed
    from tasks.settings import settings
    from tasks.store import models as store
    from tasks.store.database import transaction

    if providers and all_providers:
        raise click.UsageError("say either --provider or --all-providers.")
    if regions and all_regions:
        raise click.UsageError("say either --region or --all-regions.")
    if not name.isidentifier() and not name.replace("-", "_").isidentifier():
        raise click.UsageError(f"an environment's name is a word like production; got {name!r}.")
    with transaction() as connection:
        seed(connection)
        known = {each.name: each for each in store.environments(connection)}
        found = known.get(name, Environment(name=name))
        there = store.providers_known(connection)
        if providers:
            named = tuple(dict.fromkeys(provider_named(each, described(), there) for each in providers))
            found = replace(found, allowed_providers=named)
        if all_providers:
            found = replace(found, allowed_providers=None)
        if regions:
            known_regions = store.regions_known(connection)
            for region in regions:
                if region not in known_regions:
                    raise AssayError(unknown_name("region of a model", region, known_regions))
            found = replace(found, allowed_regions=tuple(dict.fromkeys(regions)))
        if all_regions:
            found = replace(found, allowed_regions=None)
        if validated_only is not None:
            found = replace(found, validated_only=validated_only)
        if monthly_limit is not None:
            found = replace(found, monthly_cost_limit=_limit(monthly_limit))
        if approvals is not None:
            found = replace(found, approvals_required=approvals)
        if name in known and found == known[name]:
            click.echo(f"{name} is as it was.")
            return
        store.set_environment(connection, found, why, settings().actor)
    click.echo(f"{name} is set." if name in known else f"{name} is a new environment.")


def _limit(given: str) -> Decimal | None:
    if given == "none":
        return None
    try:
        limit = Decimal(given)
    except InvalidOperation:
        limit = Decimal(-1)
    if not (limit.is_finite() and 0 <= limit < 10**7):
        raise click.UsageError(f"--monthly-limit takes US dollars, e.g. 250, or `none`; got {given!r}.")
    return limit
