"""What `assay models` says of models, their prices, tests and configurations: to people, and as JSON."""

import json
from datetime import date
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from evaluations.model_changes import ModelChange
    from evaluations.model_overview import KnownModel
    from evaluations.model_validation import Validation
    from evaluations.models import Model
    from evaluations.pricing import Prices
    from evaluations.specs import ModelSpec
    from tasks.store.model_configs import StoredConfig

SHOWN = 20
"""Changes that are listed unless all are asked for."""
MARK = {"passed": "ok", "failed": "NO", "unknown": "?"}


def echo_list(chosen: "Sequence[Model]", today: date, limit: int, provider: str | None) -> None:
    from evaluations.wording import count

    if not chosen:
        more = f" A model of {provider} that no list has goes into models.yaml in ASSAY_HOME." if provider else ""
        click.echo(f"No such models.{more}")
        return
    click.echo(f"{'model':<52}{'kind':<12}{'life cycle':<24}{'context':>11}{'output':>10}  can")
    for model in chosen[:limit]:
        stage = model.life_cycle(today)
        ends = f" {model.retires_on}" if model.retires_on and stage in ("deprecated", "retired") else ""
        name = model.name + (" *" if model.alias else "")
        limits = model.limits
        can = " ".join(
            f"{each.name}{'+' if each.tested else ''}"
            for each in model.capabilities.values()
            if each.holds and each.name not in ("text_generation", "embedding")
        )
        click.echo(
            f"{name:<52}{model.kind:<12}{stage + ends:<24}{_number(limits.context_tokens):>11}"
            f"{_number(limits.max_output_tokens):>10}  {can or '-'}"
        )
    if len(chosen) > limit:
        click.echo(f"and {count(len(chosen) - limit, 'more', 'more')}; --limit shows them, filters narrow them down")
    click.echo("* an alias: its provider chooses the version. + tested, not only documented. - unknown.")


def echo_others(others: "Sequence[Model]", at_hand: set[str]) -> None:
    """How many models there are of providers without a key that nobody uses, and how they are seen."""
    from collections import Counter

    from evaluations.wording import count
    from tasks.model_catalogue import providers

    by_provider = Counter(model.provider for model in others)
    if not at_hand:
        click.echo("No provider has a key here, and none is in use. Those that Assay knows how to ask:")
        for name in sorted(by_provider.keys() & providers().keys()):
            click.echo(f"  {name:<30}{count(by_provider[name], 'model'):>14}")
    if others:
        whose = count(len(by_provider), "other provider" if at_hand else "provider")
        click.echo(
            f"{count(len(others), 'model')} of {whose}: --provider NAME lists those of one, --all those of every one"
        )


def _number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def priced_as_json(prices: "Prices") -> dict[str, str]:
    """US dollars a token of each class, of the shortest prompts, as exact text."""
    return {name: f"{tiers[0][1]:f}" for name, tiers in prices.by_class.items()}


def echo_known(found: "KnownModel", today: date, regional: "Mapping[str, Prices]") -> None:
    model = found.model
    stage = model.life_cycle(today)
    ends = f", ends {model.retires_on}" if model.retires_on else ""
    click.echo(f"{model.name}: {stage}{ends}, {model.kind}, mode {model.mode}")
    if model.alias:
        click.echo(
            f"  an alias of {model.alias_of or 'whatever version its provider chooses; name a version to pin it'}"
        )
    if model.successor:
        click.echo(f"  successor: {model.successor}")
    if model.description:
        click.echo(f"  {model.description}")
    limits = model.limits
    click.echo(f"  reads {', '.join(model.inputs)}; writes {', '.join(model.outputs)}")
    click.echo(
        f"  limits: context {_number(limits.context_tokens)}, output {_number(limits.max_output_tokens)} tokens, "
        f"images {_number(limits.max_images)}, requests/min {_number(limits.requests_per_minute)}, "
        f"tokens/min {_number(limits.tokens_per_minute)} (-: nobody says)"
    )
    click.echo(f"  regions: {', '.join(model.regions) if model.regions else 'nobody says'}")
    _echo_price(found)
    for region, prices in regional.items():
        click.echo(f"    in {region}: {_price_words(prices)}")
    _echo_availability(found)
    click.echo("  capabilities:")
    for each in model.capabilities.values():
        holds = {True: "yes", False: "no", None: "?"}[each.holds]
        tested = f"tested {each.tested.at:%Y-%m-%d}: {each.tested.why}" if each.tested else "not tested"
        said = {True: "documented", False: "documented as lacking", None: "not documented"}[each.documented]
        against = " (the test goes before the catalogue)" if each.contradicts else ""
        click.echo(f"    {each.name:<18}{holds:<5}{said}; {tested}{against}")
    _echo_suits(found)
    _echo_use(found)
    click.echo(f"  source: {model.source}")


def _echo_suits(found: "KnownModel") -> None:
    """The score that counts for each use case, and every claim beside what was measured."""
    from evaluations.claims import check_claims
    from evaluations.model_overview import accuracy_of
    from evaluations.models import Bands, best_scores

    scores = best_scores(found.model.use_cases)
    if scores:
        click.echo("  suits, of 100:")
    for score in scores:
        word = accuracy_of(score, Bands())
        between = "" if score.low is None or score.high is None else f" ({score.low:.1f} to {score.high:.1f})"
        n = f", n = {score.n:,}" if score.n else ""
        label = f", {word}" if word else ""
        click.echo(
            f"    {score.use_case:<18}{score.score:.4g}{between}, {score.origin}{n}{label}: "
            f"{score.reason} ({score.source})"
        )
    claims = check_claims(found.model, found.performed)
    if claims:
        click.echo("  claims:")
    for claim in claims:
        click.echo(f"    {claim.sentence} ({claim.source})")


def _echo_price(found: "KnownModel") -> None:
    if found.prices is None:
        click.echo("  price: unknown; write it in prices.yaml in ASSAY_HOME")
        return
    click.echo(f"  price, USD per million tokens: {_price_words(found.prices)}")


def _price_words(prices: "Prices") -> str:
    from cli.prices import usd
    from evaluations.pricing import FEES

    return ", ".join(
        f"{name} {usd(tiers[0][1], each=name in FEES)}{' each' if name in FEES else ''}"
        for name, tiers in prices.by_class.items()
    )


def _echo_availability(found: "KnownModel") -> None:
    from evaluations.wording import duration, percent, percent_interval

    health = found.health
    if health is None:
        return
    key = {True: "a key is there", False: "no key in the environment", None: "nobody says where its key is"}[health.key]
    up = "never probed"
    if health.uptime is not None:
        up = (
            f"up {percent(health.uptime.value)} "
            f"(95 % {percent_interval(health.uptime.low, health.uptime.high)}, {health.uptime.n} probes in 30 days)"
        )
    click.echo(f"  {health.provider}: {health.availability}, {key}, {up}")
    click.echo(f"  circuit {health.circuit.state}: {health.circuit.why}")
    if health.response_ms is not None:
        click.echo(f"  its listing takes {duration(health.response_ms)} (median)")


def _echo_use(found: "KnownModel") -> None:
    from evaluations.wording import duration, money, percent

    if not found.uses:
        click.echo("  use: no requests in the last 30 whole days")
        return
    for use in found.uses:
        did = use.performed
        errors, p95 = did.error_share, did.latency(0.95)
        click.echo(
            f"  use: {use.feature} in {use.environment or '(environment not said)'}: {did.requests:,} requests, "
            f"errors {'-' if errors is None else percent(errors.value)}, p95 "
            f"{'-' if p95 is None else duration(p95.value)}, cost {'-' if did.cost is None else money(did.cost)}"
            + (f", {did.unpriced:,} unpriced" if did.unpriced else "")
        )


def settings_of(spec: "ModelSpec") -> str:
    """What a configuration states beside its model, on one line."""
    stated = spec.model_dump(mode="json", exclude_defaults=True, exclude={"name", "model"})
    return " ".join(f"{name}={json.dumps(value)}" for name, value in stated.items())


def echo_config(found: "StoredConfig") -> None:
    import yaml

    used = f"last at {found.used_at:%Y-%m-%d %H:%M} UTC" if found.used_at else "no longer"
    click.echo(f"# {found.id}: in {found.runs:,} runs, {used}; by {found.actor}, {found.recorded_at:%Y-%m-%d}")
    stated = found.spec.model_dump(mode="json", exclude_defaults=True)
    click.echo(yaml.safe_dump(stated, sort_keys=False, allow_unicode=True).rstrip())


def config_as_json(found: "StoredConfig") -> dict[str, Any]:
    from reports.files import jsonable

    return {
        "id": str(found.id),
        **found.spec.model_dump(mode="json"),
        "runs": found.runs,
        "used_at": jsonable(found.used_at),
        "actor": found.actor,
        "recorded_at": jsonable(found.recorded_at),
    }


def echo_changes(changes: "Sequence[ModelChange]", everything: bool) -> None:
    from collections import Counter

    from evaluations.wording import count

    if not changes:
        click.echo("The registry has what the catalogues say.")
        return
    kinds = Counter(kind for change in changes for kind, *_ in change.activities)
    click.echo(f"{count(len(changes), 'model')}: " + ", ".join(f"{n:,} {kind}" for kind, n in kinds.items()))
    for change in changes if everything else changes[:SHOWN]:
        for kind, _before, _after, why in change.activities:
            click.echo(f"  {change.name}: {kind}, {why}")
    if not everything and len(changes) > SHOWN:
        click.echo(f"  and {len(changes) - SHOWN:,} more; --all lists them")


def echo_validation(found: "Validation", environment: str | None) -> None:
    where = f" in {environment}" if environment else ""
    verdict = "may be put to work" if found.allowed else "may not be put to work"
    click.echo(f"{found.configuration.model} {verdict}{where}")
    for check in found.checks:
        blocking = "  <- in the way" if check in found.in_the_way and check.outcome == "unknown" else ""
        click.echo(f"  {MARK[check.outcome]:<3}{check.name:<24}{check.why}{blocking}")


def model_as_json(model: "Model", today: date) -> dict[str, Any]:
    limits = model.limits
    return {
        "model": model.name,
        "provider": model.provider,
        "mode": model.mode,
        "kind": model.kind,
        "inputs": model.inputs,
        "outputs": model.outputs,
        "life_cycle": model.life_cycle(today),
        "retires_on": None if model.retires_on is None else str(model.retires_on),
        "successor": model.successor,
        "alias": model.alias,
        "alias_of": model.alias_of,
        "context_tokens": limits.context_tokens,
        "max_output_tokens": limits.max_output_tokens,
        "max_images": limits.max_images,
        "requests_per_minute": limits.requests_per_minute,
        "tokens_per_minute": limits.tokens_per_minute,
        "capabilities": {
            name: {
                "holds": each.holds,
                "documented": each.documented,
                "tested": None if each.tested is None else each.tested.passed,
                "tested_at": None if each.tested is None else each.tested.at.isoformat(),
                "why": each.tested.why if each.tested else each.source,
            }
            for name, each in model.capabilities.items()
        },
        "regions": model.regions,
        "source": model.source,
    }


def known_as_json(found: "KnownModel", today: date) -> dict[str, Any]:
    from reports.model_files import measured

    return {**model_as_json(found.model, today), **measured(found)}


def change_as_json(change: "ModelChange") -> dict[str, Any]:
    return {
        "model": change.name,
        "activities": [
            {"kind": kind, "before": before, "after": after, "why": why}
            for kind, before, after, why in change.activities
        ],
    }


def validation_as_json(found: "Validation") -> dict[str, Any]:
    cost = found.monthly_cost
    return {
        "model": found.configuration.model,
        "allowed": found.allowed,
        "checks": [{"name": each.name, "outcome": each.outcome, "why": each.why} for each in found.checks],
        "in_the_way": [each.name for each in found.in_the_way],
        "monthly_cost_usd": None
        if cost is None or cost.month is None
        else {
            "point": f"{cost.month:f}",
            "low": None if cost.low is None else f"{cost.low:f}",
            "high": None if cost.high is None else f"{cost.high:f}",
            "days": cost.days,
        },
    }
