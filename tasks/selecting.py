"""Selecting a model for a feature: gathers what is measured, lets the policy choose, writes it down, publishes it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from evaluations.answers import ROUTED
from evaluations.availability import ProviderHealth
from evaluations.cost_scenarios import Terms, Workload, measured, monthly_cost
from evaluations.deployment_checks import refusals
from evaluations.deployments import Bundle
from evaluations.errors import AssayError, NothingYet, unknown_name
from evaluations.estimates import Estimate
from evaluations.model_comparison import boards_of, measured_side, quantile_of
from evaluations.model_validation import Configuration
from evaluations.models import Environment, Model
from evaluations.performance import Performed, Window
from evaluations.pricing import PriceBook, estimate_tokens, full_name
from evaluations.rollups import day_bounds
from evaluations.selection import (
    P95_CONFIDENCE,
    Candidate,
    Characteristics,
    Policy,
    Selected,
    Shape,
    characteristics_of,
    constraints_of,
    differences_of,
    select_model,
)
from evaluations.selection_specs import PolicySpec
from reports.files import jsonable
from tasks import costing
from tasks.case_sources import sources_of_table
from tasks.comparing import values_of
from tasks.deploying import checks_of_bundle
from tasks.documents import parse_document, read_document
from tasks.flags import publish_flags
from tasks.models import check_model, provider_healths, seed
from tasks.settings import settings
from tasks.store import (
    audit,
    deployments,
    model_facts,
    model_runs,
    model_use,
    models,
    performance,
    prices,
    rollups,
    selections,
)
from tasks.store.database import transaction
from tasks.store.datasets import CaseFilter, sample_cases
from tasks.store.experiments import hold_flags, latest_live
from tasks.store.model_runs import Seat, Shared
from tasks.store.selections import NewSelection, StoredSelection

AUTOMATIC_IN = ("development", "staging")
"""Where a policy may switch models by itself."""
HEALTH_DAYS = 7
"""Days of production that tell how a model does now."""
SAMPLED = 500
"""Cases of a dataset that tell what its prompts are like."""
_IMAGE = re.compile(r"^data:image/|\.(?:png|jpe?g|webp|gif)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectionRequest:
    """For what a model is to be selected."""

    feature: str
    environment: str = "production"
    given: Mapping[str, object] = field(default_factory=dict)
    """Characteristics that are stated; what is left out is read from rows, or assumed."""
    month_at_most: Decimal | None = None
    policy: Path | None = None
    """A policy file; `ASSAY_HOME`/selection.yaml, where there is one, unless given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What was chosen, and where it was written down."""

    selected: Selected
    stored: StoredSelection
    flags: Path | None
    """The file that was published; None unless asked for."""


def select_for(
    request: SelectionRequest, *, publish: bool = False, why: str = "", looks_again_at: int | None = None
) -> Selection:
    """Choose, write the choice down with its reasons, and publish it if asked to.

    `looks_again_at` is the published selection that this one looks at again.

    Raises AssayError for a feature, environment or capability that nobody knows, when nothing was measured for the
    feature, and when nothing that qualifies could be published.
    """
    policy = policy_of(request.policy)
    with transaction() as connection:
        environment = models.environment_named(connection, request.environment)
        selected = _selected(connection, request, environment, policy)
        chosen = selected.chosen
        bundle = None
        if publish:
            hold_flags(connection, environment.name)
            if chosen is None:
                raise AssayError(f"nothing to publish. {selected.sentence}")
            bundle = _bundle(connection, request.feature, environment, chosen)
        stored = selections.save_selection(
            connection,
            NewSelection(
                feature=request.feature,
                environment=environment.name,
                model=chosen.model if chosen else None,
                bundle=bundle,
                published=publish,
                policy=policy.name,
                policy_version=policy.version,
                explanation={
                    **jsonable(selected),
                    "request": _as_json(request),
                    "looks_again_at": looks_again_at,
                },
                as_of=selected.constraints.on,
                why=why or selected.sentence,
            ),
            settings().actor,
        )
        if publish:
            _tell(connection, stored, "selection published")
    return Selection(
        selected=selected, stored=stored, flags=publish_flags(request.environment) if publish else None
    )  # fmt: skip


def _as_json(request: SelectionRequest) -> dict[str, Any]:
    return {
        "given": jsonable(request.given),
        "month_at_most": jsonable(request.month_at_most),
        "policy": None if request.policy is None else str(request.policy.absolute()),
    }


def withdraw(feature: str, environment: str, why: str) -> Path:
    """Take a published selection back: the feature has its live bundle again. Raises AssayError when there is none."""
    with transaction() as connection:
        models.environment_named(connection, environment)
        hold_flags(connection, environment)
        published = selections.published_selections(connection, environment)
        if feature not in published:
            known = ", ".join(sorted(published)) or "none"
            raise AssayError(f"no selection of {feature} is published in {environment}. Published there: {known}.")
        before = published[feature]
        stored = selections.save_selection(
            connection,
            NewSelection(
                feature=feature,
                environment=environment,
                model=None,
                bundle=None,
                published=True,
                withdrawn=True,
                policy=before.policy,
                policy_version=before.policy_version,
                explanation={"withdraws": before.id},
                as_of=datetime.now(UTC).date(),
                why=why or "withdrawn",
            ),
            settings().actor,
        )
        _tell(connection, stored, "selection withdrawn")
    return publish_flags(environment)


def policy_of(given: Path | None) -> Policy:
    """The policy of a file, the installation's own, or the one that Assay ships. Raises AssayError for a bad file."""
    own = settings().home / "selection.yaml"
    file = given or (own if own.is_file() else None)
    if file is None:
        return Policy()
    return parse_document(read_document(file, "selection policy"), PolicySpec, "selection policy").policy


# Looking again


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What became of a published selection when its policy was asked again."""

    selection: StoredSelection
    """What is published."""
    model: str | None
    """What the policy would choose now; None when no model qualifies."""
    switched: bool
    """Whether that was published, as the policy wants it."""

    def __str__(self) -> str:
        at = f"{self.selection.feature} in {self.selection.environment}"
        if self.model == self.selection.model:
            return f"{at}: still {self.model}."
        if self.switched:
            return f"{at}: {self.model} was published instead of {self.selection.model}, as the policy says."
        instead = "no model qualifies any more" if self.model is None else f"{self.model} would be chosen now"
        return f"{at}: {instead}, {self.selection.model} is published."


def look_again() -> str:
    """Ask the policy of every published selection again. Gives a sentence for each.

    What would now be another model is noted once; it is published alone where the policy is automatic and the
    environment is one of `AUTOMATIC_IN` without approvals. Raises AssayError, after all had their turn, when some
    could not be asked.
    """
    with transaction() as connection:
        published = [
            selection
            for environment in models.environments(connection)
            for selection in selections.published_selections(connection, environment.name).values()
        ]
    told, failed = [], []
    for selection in published:
        try:
            told.append(str(_look(selection)))
        except AssayError as problem:
            failed.append(f"{selection.feature} in {selection.environment}: {problem}")
    if failed:
        raise AssayError("\n".join([*failed, *told]))
    return " ".join(told) or "No selection is published."


def _look(before: StoredSelection) -> Look:
    with transaction() as connection:
        request = _request_of(before, selections.request_of(connection, before.id))
        environment = models.environment_named(connection, before.environment)
        policy = policy_of(request.policy)
        chosen = _selected(connection, request, environment, policy).chosen
        last = selections.last_look(connection, before.id)
    model = None if chosen is None else chosen.model
    if model == before.model and last is None:
        return Look(selection=before, model=model, switched=False)
    may = environment.name in AUTOMATIC_IN and not environment.approvals_required
    switch = policy.automatic and may and model not in (None, before.model)
    if switch or model != (before.model if last is None else last.model):
        why = f"looked at selection {before.id} again: {model or 'no model'} instead of {before.model}"
        select_for(request, publish=switch, why=why, looks_again_at=before.id)
    return Look(selection=before, model=model, switched=switch)


def _request_of(before: StoredSelection, stored: Mapping[str, Any]) -> SelectionRequest:
    """What was asked for then; of a selection that did not keep it, its feature and environment alone."""
    given = {
        name: tuple(value) if isinstance(value, list) else value for name, value in stored.get("given", {}).items()
    }
    limit, policy = stored.get("month_at_most"), stored.get("policy")
    return SelectionRequest(
        feature=before.feature,
        environment=before.environment,
        given=given,
        month_at_most=None if limit is None else Decimal(limit),
        policy=None if policy is None else Path(policy),
    )


def _tell(connection: Connection, stored: StoredSelection, action: str) -> None:
    """Last in its transaction: it holds the end of the audit chain."""
    audit.record(
        connection,
        action=action,
        target=f"selection:{stored.id}",
        feature=stored.feature,
        environment=stored.environment,
        why=stored.why,
        facts={"model": stored.model, "bundle": stored.bundle, "policy": f"{stored.policy} {stored.policy_version}"},
        actor=stored.actor,
    )


def _bundle(connection: Connection, feature: str, environment: Environment, chosen: Candidate) -> dict[str, Any]:
    """What applications get: what is live, with the chosen model.

    Raises AssayError where the environment asks for approvals and this bundle never went live there, and where it
    does not pass what a deployment has to pass.
    """
    model = chosen.model
    live = deployments.live_deployment(connection, feature, environment.name)
    control = next((each for each in latest_live(connection, environment.name) if each.spec.feature == feature), None)
    beneath = live.bundle.document if live else dict(control.spec.control.bundle) if control else {}
    bundle = {**beneath, "model": model}
    was_live = bundle in _was_live(connection, feature, environment.name)
    if environment.approvals_required and not was_live:
        raise AssayError(
            f"{environment.name} asks for approval, and {model} was never live there with this prompt and these "
            f"parameters: deploy it once by `assay deploy`, then a selection may choose it."
        )
    if "prompt" not in bundle:
        if environment.validated_only:
            raise AssayError(
                f"nothing of {feature} is live in {environment.name}, so there is no prompt that {model} was checked "
                "with: deploy a bundle by `assay deploy`, then a selection may change its model."
            )
        return bundle
    found = checks_of_bundle(
        connection, Bundle.read(bundle), feature, environment, datetime.now(UTC), chosen.month, "unpriced"
    )
    # What somebody waived when it was deployed is not asked again.
    refused = [check for check in refusals(found) if not (check.waivable and was_live)]
    if refused:
        raise AssayError(
            f"{model} may not take over {feature} in {environment.name}: "
            f"{'; '.join(check.says for check in refused)}. `assay deploy` takes it through its checks."
        )
    return bundle


def _was_live(connection: Connection, feature: str, environment: str) -> list[dict[str, Any]]:
    """Bundles that somebody approved and that were live for everyone."""
    past = deployments.list_deployments(connection, feature=feature, environment=environment)
    return [each.bundle.document for each in past if each.deployed_at is not None]


# What is measured


def _selected(connection: Connection, request: SelectionRequest, environment: Environment, policy: Policy) -> Selected:
    feature = request.feature
    seats = model_runs.seats(connection, feature=feature)
    with_traffic = feature in model_use.features_used(connection)
    if not seats and not with_traffic:
        known = sorted({*model_use.features_used(connection), *model_runs.features_tested(connection)})
        raise AssayError(unknown_name("feature", feature, known))
    on = datetime.now(UTC).date()
    table = _table(seats)
    days = _days(connection) if with_traffic else None
    shape = _shape(connection, feature, table, days)
    asked, because = characteristics_of(shape, policy, request.given)
    served = _served(connection, feature, days) if days else {}
    allowed = environment.allowed_regions
    if allowed is not None and asked.region is not None and asked.region not in allowed:
        raise AssayError(unknown_name(f"region of {environment.name}", asked.region, list(allowed)))
    if allowed is not None or asked.region is not None or asked.use_case is not None:
        seed(connection)
    if asked.use_case is not None:
        models.check_use_case(connection, asked.use_case)
    names = policy.candidates.get(feature) or tuple(dict.fromkeys([*table, *served]))
    book = prices.price_book(connection, names)
    starts = costing.tier_starts(costing.offer_of(book, name, on) for name in names)
    work = _work(connection, request, days, asked, policy, starts)
    on_cases, beside = _on_cases(connection, {name: seat for name, seat in table.items() if name in names})
    evidence = _Evidence(
        registry=models.models_named(connection, names),
        book=book,
        on=on,
        work=work,
        units=work.units if work else Decimal(policy.requests_a_month[asked.volume]),
        batch=asked.urgency == "batch",
        served=served,
        longest=shape.prompt_tokens_p95 or 0,
        on_cases=on_cases,
        beside=beside,
        providers=provider_healths(connection, sorted({name.partition("/")[0] for name in names})),
        in_the_way=_in_the_way(connection, feature, names, asked, environment),
    )
    constraints = constraints_of(
        asked,
        policy,
        on,
        month_at_most=_least(request.month_at_most, environment.monthly_cost_limit),
        providers=environment.allowed_providers,
        regions=allowed,
        registered=environment.validated_only,
        longest_prompt=None if "complexity" in request.given else shape.prompt_tokens_p95,
    )
    return select_model(feature, asked, [_candidate(name, evidence) for name in names], constraints, policy, because)


def _least(*limits: Decimal | None) -> Decimal | None:
    return min((each for each in limits if each is not None), default=None)


def _table(seats: Sequence[Seat]) -> Shared:
    """The cases that the most models answered, the latest of several: by model id.

    A route is none of them: a flag names one model.
    """
    tables = model_runs.tables_of_models(seat for seat in seats if not seat.model.startswith(ROUTED))
    return max(tables, key=lambda table: (len(table), max(seat.at for seat in table.values())), default={})


def _days(connection: Connection) -> tuple[date, date] | None:
    try:
        return costing.window(connection, None, None)
    except NothingYet:
        return None


def _shape(connection: Connection, feature: str, table: Shared, days: tuple[date, date] | None) -> Shape:
    """What the feature's requests are like, or else the cases that it is tested on."""
    found = model_use.request_shape(connection, feature, *days) if days else None
    if found is not None:
        return found
    if not table:
        return Shape(rows=0)
    cases = [
        stored.case
        for stored in sample_cases(connection, next(iter(table.values())).dataset_id, CaseFilter(), SAMPLED)
    ]  # fmt: skip
    texts = [[str(value) for value in case.inputs.values()] for case in cases]
    lengths = sorted(sum(map(estimate_tokens, said)) for said in texts)
    sent = model_runs.prompt_tokens_p95(connection, {seat.answers_of for seat in table.values()})
    estimated = lengths[min(int(0.95 * len(lengths)), len(lengths) - 1)] if lengths else None
    return Shape(
        rows=len(cases),
        prompt_tokens_p95=estimated if sent is None else sent,
        images=any(_IMAGE.search(value) for said in texts for value in said),
    )


def _served(connection: Connection, feature: str, days: tuple[date, date]) -> dict[str, Performed]:
    """How each model that serves the feature did of late."""
    zone = rollups.timezone_of(connection)
    since = max(days[0], days[1] - timedelta(days=HEALTH_DAYS - 1))
    window = Window(day_bounds(since, zone)[0], day_bounds(days[1], zone)[1])
    found = performance.performed_on_days(connection, ("feature", "model", "provider"), window, zone)
    return {
        full_name(model, provider): performed
        for (of, model, provider), performed in found.items()
        if of == feature and model is not None
    }


def _work(
    connection: Connection,
    request: SelectionRequest,
    days: tuple[date, date] | None,
    asked: Characteristics,
    policy: Policy,
    starts: frozenset[int],
) -> Workload | None:
    """A month of the feature's requests, told apart by the price tiers that begin at `starts`; None where they tell
    nothing. A volume that was stated goes before."""
    if days is None:
        return None
    units = Decimal(policy.requests_a_month[asked.volume]) if "volume" in request.given else None
    try:
        return measured(model_use.daily_use(connection, [request.feature], *days, starts=starts), units)
    except AssayError:
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Evidence:
    """Everything that candidates are judged by."""

    registry: Mapping[str, Model]
    book: PriceBook
    on: date
    work: Workload | None
    units: Decimal
    batch: bool
    served: Mapping[str, Performed]
    longest: int
    on_cases: Mapping[str, Mapping[str, Estimate | None]]
    """By model, what it did on the cases (`measured_side`)."""
    beside: Mapping[str, Mapping[str, Estimate]]
    """By model and other model, the difference of their quality on the cases."""
    providers: Mapping[str, ProviderHealth]
    in_the_way: Mapping[str, tuple[str, ...]]
    """By model, what the registry's checks have against it; empty where the environment asks for none."""


def _in_the_way(
    connection: Connection, feature: str, names: Sequence[str], asked: Characteristics, environment: Environment
) -> dict[str, tuple[str, ...]]:
    if not environment.validated_only:
        return {}
    measured_traffic = feature if model_facts.traffic_of(connection, feature) is not None else None
    found = {}
    for name in names:
        wanted = Configuration(model=name, needs=asked.needs)
        checked = check_model(connection, wanted, environment=environment.name, feature=measured_traffic)
        found[name] = tuple(f"{check.name}: {check.why}" for check in checked.in_the_way)
    return found


def _on_cases(
    connection: Connection, table: Shared
) -> tuple[dict[str, dict[str, Estimate | None]], dict[str, dict[str, Estimate]]]:
    """What each model did on the cases, and how much better than each other one."""
    import numpy as np

    if not table:
        return {}, {}
    values, positions = values_of(connection, table)
    sources = sources_of_table(connection, table, positions)
    boards = boards_of(values, sources)
    quality = {each.model: each.interval for each in boards["pass_rate"].standings} if "pass_rate" in boards else {}
    scores = {name: each["pass_rate"] for name, each in values.items() if "pass_rate" in each}
    # The seed orders the bets of scores that are no passes: the same measurements give the same choice.
    beside = differences_of(scores, sources, np.random.default_rng(0))
    sides = {name: measured_side(each, quality.get(name)) for name, each in values.items()}
    for name, each in values.items():
        waited = each.get("latency_ms", np.empty(0))
        sides[name]["speed_p95"] = quantile_of(waited[~np.isnan(waited)], 0.95, P95_CONFIDENCE)
    return sides, beside


def _candidate(model: str, known: _Evidence) -> Candidate:
    cases, performed = known.on_cases.get(model, {}), known.served.get(model)
    reliability = cases.get("reliability")
    errors = None if reliability is None else _turned(reliability)
    return Candidate(
        model=model,
        registry=known.registry.get(model),
        quality=cases.get("accuracy"),
        beside=known.beside.get(model, {}),
        p95_ms=performed.latencies.estimate(0.95, P95_CONFIDENCE) if performed else cases.get("speed_p95"),
        errors=performed.error_share if performed else errors,
        live=performed is not None,
        month=_month(model, cases.get("answer_cost"), known),
        longest_prompt=known.longest if cases or performed else 0,
        provider=known.providers.get(model.partition("/")[0]),
        in_the_way=known.in_the_way.get(model),
    )


def _turned(share: Estimate) -> Estimate:
    """The share of the others."""
    return Estimate(
        value=1 - share.value, low=1 - share.high, high=1 - share.low, n=share.n, confidence=share.confidence
    )  # fmt: skip


def _month(model: str, answer: Estimate | None, known: _Evidence) -> Decimal | None:
    """What its answers to the cases cost, as often as the feature is asked; or else the feature's tokens at its prices.

    By the batch service, in the proportion of its prices for the feature's tokens.
    """
    offer = costing.offer_of(known.book, model, known.on)
    work, batch = known.work, Terms(batch_share=Decimal(1))
    priced = monthly_cost(work, offer, batch if known.batch else None) if work else None
    if answer is None:
        return priced.month if priced else None
    month = Decimal(str(answer.value)) * known.units
    if known.batch and work and priced and priced.unit and (standard := monthly_cost(work, offer).unit):
        month *= priced.unit / standard
    return month
