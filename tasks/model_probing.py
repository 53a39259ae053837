"""Probing: does a provider answer, what does it list, and can its models do what their catalogue says?

A look at a listing costs nothing. Questions about capabilities are a run like any other, of kind `probe`: its calls
stand in the ledger before they are made, keep to a cost limit, and can be looked at afterwards.
"""

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID

from evaluations.cases import Case
from evaluations.errors import AssayError
from evaluations.model_specs import ProviderSpec
from evaluations.model_validation import TESTS_HOLD
from evaluations.models import Model, capability_named
from evaluations.probing import PROBES, REPEATS, Probe, inputs, judged
from evaluations.specs import MessageSpec, ModelSpec, PromptSpec, SuiteSpec, VariantSpec, content_hash, suite_hash
from evaluations.wording import count, money
from tasks.model_catalogue import has_key, keyed_providers, provider_named, providers
from tasks.models import models_in_use, registry, seed
from tasks.price_sync import seed_prices
from tasks.providers.base import CallError
from tasks.providers.listing import listed
from tasks.secrets import without_secrets
from tasks.settings import settings
from tasks.store import models as store
from tasks.store.answers import answers_between
from tasks.store.database import transaction
from tasks.store.datasets import CaseFilter, StoredCase, save_dataset
from tasks.store.model_facts import ProviderProbe, record_probes
from tasks.store.prices import price_book
from tasks.store.runs import NewRun, create_run, progress_of, run_of, set_verdict
from tasks.working import work_on

SUITE = "capability-probes"
MAX_OUTPUT = 1_000
"""Tokens an answer may have, hidden thinking included."""
CONCURRENCY = 4
TRY_AGAIN = timedelta(days=1)
"""How long a test that came to no result is not tried again by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeRequest:
    """What somebody asked to be probed. Nothing named: providers with a key, and models in use whose tests are due."""

    models: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    max_cost: Decimal = Decimal(1)
    """US dollars for the calls of this round."""
    listings: bool = True
    tests: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """What one look at a provider's listing found."""

    probe: ProviderProbe
    names: frozenset[str] | None
    """provider/model; None when it did not answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """What a round of probes did."""

    listings: tuple[Listed, ...]
    run_id: UUID | None
    tested: Mapping[str, Mapping[str, tuple[bool | None, str]]]
    """Model -> capability -> whether it holds, and what was seen."""
    left_out: tuple[str, ...]
    """What was not probed, and why, one sentence each."""
    spent: Decimal | None = None

    def __str__(self) -> str:
        good = [each for each in self.listings if each.names is not None]
        parts = [f"{len(good)} of {count(len(self.listings), 'provider')} answered"] if self.listings else []
        parts += [f"{each.probe.provider}: {each.probe.why}" for each in self.listings if each.names is None]
        if self.tested:
            found = [seen for each in self.tested.values() for seen, _ in each.values()]
            cost = "" if self.spent is None else f" for {money(self.spent)}"
            held = count(found.count(True), "capability", "capabilities")
            parts.append(
                f"{count(len(self.tested), 'model')} tested{cost}: {held} held, {found.count(False)} did not, "
                f"{found.count(None)} could not be told"
            )
        return "; ".join(parts or ["No provider has a key here, so none was probed"]) + "."


def request_of(
    models: Sequence[str],
    provider_names: Sequence[str],
    capabilities: Sequence[str],
    max_cost: Decimal | None,
    *,
    listings: bool,
) -> ProbeRequest:
    """A request as a command was given it."""
    return ProbeRequest(
        models=tuple(models),
        providers=tuple(provider_names),
        capabilities=tuple(capabilities),
        max_cost=Decimal(1) if max_cost is None else max_cost,
        listings=listings,
    )


def check_request(request: ProbeRequest) -> None:
    """Raises AssayError for what cannot be probed: unknown models, capabilities, providers; providers without a key.

    Also where nothing is named and nobody here could be asked.
    """
    wanted = named_tests(request.models, request.capabilities)
    if request.capabilities and not request.models:
        raise AssayError("name the models that should be tested for these capabilities.")
    reachable_providers(request.providers)
    described = providers()
    for model, _ in wanted:
        spec = described.get(model.provider)
        if spec is not None and has_key(spec) is False:
            raise AssayError(f"no key for {spec.title}: set {' or '.join(spec.keys)}.")
        if model.life_cycle(datetime.now(UTC).date()) == "retired":
            instead = f" Its successor is {model.successor}." if model.successor else ""
            raise AssayError(f"{model.name} is retired, so there is nobody to ask.{instead}")
    if not (request.models or request.providers or _somebody_to_ask()):
        keys = ", ".join(described[name].keys[0] for name in ("openai", "anthropic", "gemini"))
        raise AssayError(
            f"no provider has a key here, so there is nobody to ask: set {keys} or another provider's. "
            "One of your own goes into models.yaml, with `needs_key: false` where it takes none."
        )


def _somebody_to_ask() -> bool:
    return bool(keyed_providers() or reachable_providers(()) or due_tests(datetime.now(UTC))[0])


def key_variable(provider: ProviderSpec) -> str | None:
    """The environment variable that holds the provider's key; None when none does."""
    return next((name for name in provider.keys if os.environ.get(name)), None)


def address_of(provider: ProviderSpec) -> str | None:
    """Where its API is: as the environment says, else as the catalogue does."""
    moved = os.environ.get(provider.address_variable) if provider.address_variable else None
    return moved or provider.address


def reachable_providers(names: Sequence[str]) -> dict[str, ProviderSpec]:
    """The providers of these names, or all that have a listing and a key here; sorted by name.

    One's own machine is asked only when it is named, or its address is in the environment.
    Raises AssayError for a name that nobody knows, or that cannot be asked.
    """
    described = providers()
    if names:
        wanted = {each: described[each] for each in (provider_named(name, described) for name in names)}
        for spec in wanted.values():
            if spec.listing == "none" or address_of(spec) is None:
                raise AssayError(f"{spec.title} has no listing that can be asked; probe one of its models instead.")
            if has_key(spec) is False:
                raise AssayError(f"no key for {spec.title}: set {' or '.join(spec.keys)}.")
        return wanted
    return {
        name: spec
        for name, spec in sorted(described.items())
        if spec.listing != "none"
        and address_of(spec) is not None
        and (key_variable(spec) or (not spec.needs_key and os.environ.get(spec.address_variable or "")))
    }


async def look_at_listings(wanted: Mapping[str, ProviderSpec]) -> tuple[Listed, ...]:
    """Ask every provider for its models, at the same time, and write down how it went."""
    found = tuple(await asyncio.gather(*(_look(name, spec) for name, spec in wanted.items())))

    def write() -> None:
        with transaction() as connection:
            record_probes(connection, [each.probe for each in found], settings().actor)

    await asyncio.to_thread(write)
    return found


async def _look(name: str, spec: ProviderSpec) -> Listed:
    at = datetime.now(UTC)
    variable = key_variable(spec)
    key = os.environ.get(variable) if variable else None
    probe = ProviderProbe(provider=name, how="listing", at=at, error=None, why="", latency_ms=None)
    try:
        assert spec.listing != "none"
        found = await listed(spec.listing, address_of(spec) or "", key, spec.timeout_s)
    except CallError as problem:
        said = without_secrets(problem.message)
        return Listed(probe=replace(probe, error=problem.kind, why=said), names=None)
    why = f"lists {count(len(found.models), 'model')}"
    return Listed(
        probe=replace(probe, why=why, latency_ms=found.latency_ms, models_listed=len(found.models)),
        names=frozenset(each if each.startswith(f"{name}/") else f"{name}/{each}" for each in found.models),
    )


# Capabilities


Wanted = Sequence[tuple[Model, Sequence[str]]]
"""Models, each with the capabilities to test."""


def named_tests(names: Sequence[str], capabilities: Sequence[str]) -> Wanted:
    """The models of these names with the capabilities of these names, or with all that they may have.

    Raises UnknownModel, UnknownCapability, and AssayError for a capability that no probe tests.
    """
    asked = [capability_named(each) for each in capabilities]
    if untestable := [each for each in asked if each not in PROBES]:
        raise AssayError(f"no probe tests {untestable[0]}; there are probes for {', '.join(PROBES)}.")
    with transaction() as connection:
        seed(connection)
        found = [store.find_model(connection, name) for name in names]
    return [(model, asked or capabilities_of(model)) for model in found]


def due_tests(now: datetime) -> tuple[Wanted, list[str]]:
    """The models in use with the capabilities whose tests are missing or old; and who was left out, and why.

    What was tried within a day is left alone: a test that came to no result would be paid for again and again.
    """
    with transaction() as connection:
        used = models_in_use(connection)
        found = store.models_named(connection, used)
        tried = store.tests_since(connection, now - TRY_AGAIN)
    described = providers()
    wanted: list[tuple[Model, Sequence[str]]] = []
    left_out = []
    for name, model in sorted(found.items()):
        spec = described.get(model.provider)
        if spec is None or has_key(spec) is not True:
            left_out.append(f"{name} is in use, but there is no key for its provider")
            continue
        due = [each for each in capabilities_of(model) if _is_due(model, each, now) and (name, each) not in tried]
        wanted += [(model, due)] if due else []
    return wanted, left_out


def _is_due(model: Model, capability: str, now: datetime) -> bool:
    tested = model.capability(capability).tested
    return tested is None or now - tested.at > TESTS_HOLD - TRY_AGAIN


def capabilities_of(model: Model) -> list[str]:
    """What can be asked of a model: text models alone are asked, for pictures only where it is said to read them."""
    if "text" not in model.outputs or "text" not in model.inputs or model.mode == "embedding":
        return []
    unlikely = {name for name in ("vision", "tools") if model.capability(name).documented is False}
    unlikely |= {"vision"} if "image" not in model.inputs and model.capability("vision").documented is None else set()
    return [name for name in PROBES if name not in unlikely]


def open_probe_run(wanted: Wanted, max_cost: Decimal) -> tuple[UUID | None, list[str]]:
    """Write down the run that tests some models; None when there is none to ask. Nothing is called yet.

    Models without a price are left out, for a limit could not be kept; gives a sentence for each.
    """
    described = providers()
    with transaction() as connection:
        seed_prices(connection)
        book = price_book(connection, [model.name for model, _ in wanted])
    today = datetime.now(UTC).date()
    priced = [(model, due) for model, due in wanted if book.prices_of(model.name, today) is not None and due]
    left_out = [
        f"{model.name} has no price, so no limit could be kept"
        for model, _ in wanted
        if book.prices_of(model.name, today) is None
    ]
    left_out += [f"{model.name} is no model that could be asked in text" for model, due in wanted if not due]
    if not priced:
        return None, left_out
    specs = {model.name: _called(model, described.get(model.provider)) for model, _ in priced}
    suite = SuiteSpec(
        suite=SUITE,
        description="Whether models can do what their catalogue says.",
        models=tuple(specs.values()),
        repeats=REPEATS,
        concurrency=CONCURRENCY,
        max_cost=max_cost,
    )
    variants = [_variant(specs[model.name], model, PROBES[name]) for model, due in priced for name in due]
    return _opened(suite, tuple(variants), max_cost), left_out


def _called(model: Model, provider: ProviderSpec | None) -> ModelSpec:
    moved = address_of(provider) if provider and provider.address_variable in os.environ else None
    limit = model.limits.max_output_tokens
    return ModelSpec.model_validate(
        {
            "name": model.name,
            "model": model.name,
            "api_key_env": key_variable(provider) if provider else None,
            "max_output_tokens": min(MAX_OUTPUT, limit or MAX_OUTPUT),
            **({"api_base": moved, "transport": "direct"} if moved else {}),
        }
    )


def _variant(spec: ModelSpec, model: Model, probe: Probe) -> VariantSpec:
    message = MessageSpec(history=probe.turns) if probe.turns else MessageSpec(role="user", content=probe.user)
    parameters = dict(probe.parameters)
    if model.can("sampling") is False:
        parameters.pop("temperature", None)
    prompt = PromptSpec(
        name=f"probe-{probe.capability.replace('_', '-')}",
        version="1.0.0",
        messages=(message,),
        output_schema=dict(probe.output_schema) if probe.output_schema else None,
        parameters=parameters,
    )
    label = f"{model.name} · {probe.capability}"
    return VariantSpec(label=label, prompt=prompt, model=spec, parameters=parameters, gating=False)


def _opened(suite: SuiteSpec, variants: tuple[VariantSpec, ...], max_cost: Decimal) -> UUID:
    given = inputs()
    with transaction() as connection:
        dataset = save_dataset(
            connection,
            name=SUITE,
            content_hash=content_hash(given),
            contract_hash=None,
            description="The inputs of capability probes.",
            licence="Apache-2.0",
            sample_data=False,
            actor=settings().actor,
            cases=[StoredCase(0, Case(id="probe", inputs=given))],
        )
        return create_run(
            connection,
            NewRun(
                kind="probe",
                suite=suite,
                suite_hash=suite_hash(suite, variants),
                variants=variants,
                chosen=CaseFilter((), (), ()),
                use_cache=False,
                folder=str(Path.cwd()),
                dataset_id=dataset.id,
                cases=1,
                shards=((0, 0),),
                cap=max_cost,
                max_time_s=None,
                allow_unpriced=False,
                estimate=None,
                actor=settings().actor,
            ),
        )


def conclude_probe(run_id: UUID) -> tuple[dict[str, dict[str, tuple[bool | None, str]]], Decimal]:
    """Judge the answers of a probe run and write the results down, dated. Gives them by model, and what was spent."""
    now = datetime.now(UTC)
    with transaction() as connection:
        run = run_of(connection, run_id)
        answers = answers_between(connection, run_id, 0, 0)
        found: dict[str, dict[str, tuple[bool | None, str]]] = {}
        for number, variant in enumerate(run.variants):
            capability = variant.label.rpartition(" · ")[2]
            given = [each.answer for each in answers if each.key.variant == number]
            held, why = judged(PROBES[capability], given)
            found.setdefault(variant.model.model, {})[capability] = held, without_secrets(why)
        told = [held for seen in found.values() for held, _ in seen.values()]
        sentence = f"{told.count(True)} capabilities held, {told.count(False)} did not, {told.count(None)} untold"
        set_verdict(connection, run_id, "inconclusive" if None in told else "pass", sentence, None)
        for model, seen in found.items():
            store.add_tests(connection, model, seen, now, run_id, settings().actor)
        record_probes(
            connection,
            [
                ProviderProbe(
                    provider=run.variants[each.key.variant].model.model.partition("/")[0],
                    model=run.variants[each.key.variant].model.model,
                    how="call",
                    at=now,
                    error=each.answer.error if each.answer.error in ("timeout", "connection", "server_error") else None,
                    why=without_secrets(each.answer.error_message),
                    latency_ms=each.answer.latency_ms,
                    run_id=run_id,
                )
                for each in answers
                if each.key.repeat == 0
            ],
            settings().actor,
        )
        return found, progress_of(connection, run_id).spent


async def probe(request: ProbeRequest) -> Probed:
    """Look at listings, then test models: those named, or those in use whose tests are due.

    Raises UnknownModel, UnknownCapability and AssayError for what cannot be probed, before anything is asked.
    """
    wanted: Wanted = ()
    left_out: list[str] = []
    if request.models:
        wanted = await asyncio.to_thread(named_tests, request.models, request.capabilities)
    elif request.tests and not request.providers:
        wanted, left_out = await asyncio.to_thread(due_tests, datetime.now(UTC))
    looked: tuple[Listed, ...] = ()
    if request.listings:
        looked = await look_at_listings(await asyncio.to_thread(reachable_providers, request.providers))
    run_id, more = await asyncio.to_thread(open_probe_run, wanted, request.max_cost)
    left_out += more
    if run_id is None:
        return Probed(listings=looked, run_id=None, tested={}, left_out=tuple(left_out))
    await work_on(run_id)
    tested, spent = await asyncio.to_thread(conclude_probe, run_id)
    return Probed(listings=looked, run_id=run_id, tested=tested, left_out=tuple(left_out), spent=spent)


# What listings say against the registry


def compare_listings(looked: Sequence[Listed], *, write: bool) -> list[tuple[str, str]]:
    """Models that providers list and the registry lacks, and those that they listed before and do no longer.

    Gives (kind, model), `listed` or `unlisted`. With `write`, activities are left, and the models are marked.
    """
    changes: list[tuple[str, str]] = []
    with transaction() as connection:
        known = registry(connection)
        for each in looked:
            if each.names is None:
                continue
            provider = each.probe.provider
            new = [name for name in sorted(each.names) if name not in known]
            gone = [
                name
                for name, model in known.items()
                if model.provider == provider and model.listed_at is not None and name not in each.names
            ]
            changes += [("listed", name) for name in new] + [("unlisted", name) for name in gone]
            if write:
                store.mark_listed(connection, each.names & set(known), each.probe.at)
                store.mark_unlisted(connection, gone)
        if write:
            before = {(each.kind, each.subject) for each in store.activities(connection, limit=10_000)}
            for kind, name in changes:
                if (kind, name) not in before or kind == "unlisted":
                    store.record(connection, kind, name, None, None, "by its provider's listing", settings().actor)
    return changes
