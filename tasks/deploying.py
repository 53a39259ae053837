"""Deploying: from a decision to a bundle that is checked, approved, tried on a share of the traffic, and live for all.

Nothing waits here. A deployment advances by looks: each reads from Postgres where it stands, takes every step that is
due, each in a transaction of its own with its flags after it, and leaves. Kill it anywhere, run it twice: the next look
goes on from what was committed.
"""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson
from sqlalchemy import Connection

from evaluations.demand import Demand
from evaluations.deployment_checks import (
    KEYLESS,
    Check,
    Concluded,
    Surroundings,
    gate,
    refusals,
    validate,
)
from evaluations.deployments import Bundle, Difference, Policy, differences, replay
from evaluations.errors import AssayError
from evaluations.models import Environment
from evaluations.prompt_changes import diff_lines, prompt_lines
from evaluations.specs import SECRET_KEY, SECRET_VALUE, PromptSpec, scalars
from tasks.costing import CostQuestion, cost_of
from tasks.documents import read_document
from tasks.flags import publish_flags
from tasks.rolling_back import end_canary
from tasks.settings import settings
from tasks.store import deployment_facts as facts
from tasks.store import deployments as stored
from tasks.store.database import transaction
from tasks.store.decisions import decisions_of, estimates_of, latest_look
from tasks.store.demand import demand_of
from tasks.store.deployment_facts import CaseChanges
from tasks.store.deployments import NewDeployment, StoredDeployment
from tasks.store.experiments import StoredExperiment, find_experiment
from tasks.store.models import environment_named, models_named
from tasks.store.rollups import timezone_of
from tasks.store.runs import run_of

HISTORY = timedelta(days=30)
"""How far back demand is measured."""
PROBE_COUNTS = timedelta(days=7)
"""How old the last probe of a provider may be to say something of its key."""
KEYS: Mapping[str, tuple[str, ...]] = {
    "azure": ("AZURE_API_KEY",),
    "bedrock": ("AWS_BEARER_TOKEN_BEDROCK", "AWS_ACCESS_KEY_ID"),
    "gemini": ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
    "vertex_ai": ("GOOGLE_APPLICATION_CREDENTIALS", "VERTEXAI_PROJECT"),
    "together_ai": ("TOGETHERAI_API_KEY", "TOGETHER_API_KEY"),
}
"""Variables of the providers whose key is not simply NAME_API_KEY."""
SIGNS = {"same": " ", "gone": "-", "new": "+", "gap": "@@ "}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What somebody wants to be live: the winner of an experiment, or a bundle of a feature."""

    experiment: str | None = None
    feature: str | None = None
    bundle: Mapping[str, Any] | None = None
    environment: str = "production"
    policy: Policy = field(default_factory=Policy)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A wish with all that is known about it; nothing is written yet."""

    feature: str
    environment: Environment
    experiment: StoredExperiment | None
    variant: str | None
    bundle: Bundle
    live: StoredDeployment | None
    baseline: Bundle | None
    """What everyone gets now without a deployment: the control of the experiment."""
    differences: tuple[Difference, ...]
    checks: tuple[Check, ...]
    monthly_cost: Decimal | None
    monthly_cost_now: Decimal | None
    """Of what is live, projected the same way."""
    cases: CaseChanges | None
    suite: str | None
    """The suite of the feature that ran last, whose cases can be asked again."""
    prompt_diff: tuple[str, ...]
    policy: Policy
    prompt_hash: str | None
    sample_data: bool

    @property
    def before(self) -> Bundle | None:
        return self.live.bundle if self.live is not None else self.baseline

    @property
    def replay(self) -> str:
        """What would show the cases whose verdict changes; empty where a run has shown them, or nothing is live."""
        return "" if self.cases is not None or self.before is None else replay(self.before, self.bundle, self.suite)

    @property
    def refused(self) -> tuple[Check, ...]:
        return refusals(self.checks)


def read_bundle(path: Path) -> Mapping[str, Any]:
    """A bundle file: JSON or YAML with prompt, model, parameters. Raises AssayError for anything else."""
    found = read_document(path, "bundle").value
    if not isinstance(found, Mapping):
        raise AssayError(f"{path} is no bundle: it holds prompt, model and parameters by their names.")
    for keys, value in scalars(found):
        if any(SECRET_KEY.search(key) for key in keys) or SECRET_VALUE.search(str(value)):
            raise AssayError(f"`{'.'.join(keys)}` of {path} holds a secret, and a bundle is read by every application.")
    return found


def propose(wish: Wish, now: datetime | None = None) -> Proposal:
    """Everything about a wish: what would change, what it would cost, what speaks against it. Writes nothing."""
    now = now or datetime.now(UTC)
    with transaction() as connection:
        environment = environment_named(connection, wish.environment)
        experiment = None if wish.experiment is None else find_experiment(connection, wish.experiment)
        concluded = None if experiment is None else _concluded(connection, experiment)
        feature = experiment.spec.feature if experiment is not None else wish.feature
        if feature is None:
            raise AssayError("name an experiment whose winner is to be deployed, or --feature with a --bundle.")
        live = stored.live_deployment(connection, feature, environment.name)
        gated = gate(concluded, environment.name)
        winner = concluded.variant if concluded is not None else None
        if experiment is not None and (winner is None or any(not each.waivable for each in refusals(gated))):
            raise AssayError(f"{refusals(gated)[0].says}.")
        before = live.bundle if live is not None else _control(connection, experiment)
        bundle = _wished(connection, wish, experiment, winner, before)
        if experiment is not None:
            gated = (*gated, *_later(connection, experiment, bundle, feature))
        prompt = facts.prompt_of(connection, bundle.prompt)
        sample = facts.is_sample(connection, None if experiment is None else experiment.id, feature)
        cases = None if before is None else facts.changed_cases(connection, before, bundle)
        suite = facts.suite_of(connection, feature)
        diff = prompt_diff(connection, before, prompt)
        measured = _demand(connection, feature, now).calls
    cost, unknown = _monthly(feature, bundle) if measured else (None, f"no request of {feature} is measured yet")
    cost_now = _monthly(feature, before)[0] if measured and before is not None else None
    with transaction() as connection:
        checks = checks_of_bundle(connection, bundle, feature, environment, now, cost, unknown)
    return Proposal(
        feature=feature,
        environment=environment,
        experiment=experiment,
        variant=winner,
        bundle=bundle,
        live=live,
        baseline=before if live is None else None,
        differences=differences(before, bundle),
        checks=(*gated, *checks),
        monthly_cost=cost,
        monthly_cost_now=cost_now,
        cases=cases,
        suite=suite,
        prompt_diff=diff,
        policy=wish.policy,
        prompt_hash=None if prompt is None else prompt[0],
        sample_data=sample,
    )


# What the experiment says


def _concluded(connection: Connection, experiment: StoredExperiment) -> Concluded:
    decision, look = experiment.decision, latest_look(connection, experiment.id)
    lines = [] if look is None else estimates_of(connection, look.id)
    mine = [line for line in lines if decision is not None and line.variant == decision.variant]
    by_rule = [each for each in decisions_of(connection, experiment.id) if each.automatic]
    ratio = {} if look is None else (look.facts.get("sample_ratio") or {})
    blocked = look is not None and look.verdict == "blocked"
    broken = ""
    if blocked or ratio.get("p", 1.0) < ratio.get("alarm", 0.0):
        broken = look.sentence.rstrip(".") if look is not None else "its split is not the planned one"
    return Concluded(
        experiment=experiment.name,
        status=experiment.status,
        environment=experiment.spec.environment if experiment.spec.design == "live_split" else None,
        outcome=None if decision is None else decision.outcome,
        variant=None if decision is None else decision.variant,
        control=experiment.spec.control.name,
        automatic=decision is None or decision.automatic,
        decided_by="" if decision is None else decision.actor,
        why="" if decision is None else decision.why,
        sentence="" if decision is None else decision.sentence,
        broken_split=broken,
        primary=next((line.verdict for line in mine if line.role == "primary"), None),
        violated=[line.metric for line in mine if line.role == "guardrail" and line.verdict == "violated"],
        other_verdict=by_rule[-1].sentence if by_rule and decision is not None and not decision.automatic else "",
    )


def _later(connection: Connection, experiment: StoredExperiment, bundle: Bundle, feature: str) -> list[Check]:
    variant = experiment.decision.variant if experiment.decision is not None else None
    given = next((each.bundle for each in experiment.spec.variants if each.name == variant), {})
    told = facts.later_contradictions(connection, experiment.id, feature, json.dumps(given or bundle.document))
    return [Check(name="evidence", level="refuse", says=says, waivable=True) for says in told]


def _control(connection: Connection, experiment: StoredExperiment | None) -> Bundle | None:
    """What everyone gets without a deployment; None where it is not said whole."""
    if experiment is None:
        return None
    try:
        return _arm(connection, experiment, experiment.spec.control.name, None)
    except AssayError:
        return None


def _wished(
    connection: Connection, wish: Wish, experiment: StoredExperiment | None, winner: str | None, before: Bundle | None
) -> Bundle:
    if experiment is None or winner is None:
        return Bundle.read(wish.bundle or {})
    return _arm(connection, experiment, winner, before)


def _arm(connection: Connection, experiment: StoredExperiment, name: str, beneath: Bundle | None) -> Bundle:
    """The bundle of a variant: what its flag hands out, or offline what its run asked."""
    spec = experiment.spec
    arm = next(each for each in spec.variants if each.name == name)
    if spec.design == "live_split":
        return Bundle.read(arm.bundle, beneath=beneath)
    if experiment.run_id is None:
        raise AssayError(f"experiment {experiment.name} has no run.")
    variant = next(each for each in run_of(connection, experiment.run_id).variants if each.label == arm.label)
    if variant.sides:
        raise AssayError(
            f"{name} is a route between {' and '.join(side.model.name for side in variant.sides)}, and a bundle names "
            "one model: build the route into your service, and deploy the models that it asks."
        )
    return Bundle.read(
        {
            "prompt": f"{variant.prompt.name}@{variant.prompt.version}",
            "model": variant.model.model,
            "parameters": variant.parameters,
        }
    )


# What the bundle needs


def _monthly(feature: str, bundle: Bundle) -> tuple[Decimal | None, str]:
    """What a month of the feature would cost on a bundle's model, or why nobody knows."""
    try:
        [month] = cost_of(CostQuestion(models=(bundle.model,), features=(feature,))).months
    except AssayError as problem:
        return None, str(problem).rstrip(".")
    return month.month, month.unpriced


def _around(
    connection: Connection,
    bundle: Bundle,
    feature: str,
    environment: Environment,
    now: datetime,
    cost: Decimal | None,
    unknown: str,
    prompt: tuple[str, Mapping[str, Any]] | None,
) -> Surroundings:
    keys = KEYS.get(bundle.provider, (f"{bundle.provider.upper().replace('-', '_')}_API_KEY",))
    others = [
        each.monthly_cost
        for name, each in stored.live_deployments(connection, environment.name).items()
        if name != feature
    ]
    return Surroundings(
        environment=environment,
        today=now.date(),
        model=models_named(connection, [bundle.model]).get(bundle.model),
        prompt_hash=None if prompt is None else prompt[0],
        prompt_review=facts.prompt_review(connection, bundle.prompt),
        key_variables=() if bundle.provider in KEYLESS else keys,
        key_there=any(os.environ.get(name) for name in keys),
        probe=facts.last_probe(connection, bundle.provider, now - PROBE_COUNTS),
        demand=_demand(connection, feature, now),
        monthly_cost=cost,
        cost_unknown=unknown,
        others_cost=sum((each for each in others if each is not None), Decimal(0)),
        others_unknown=sum(each is None for each in others),
        regression=facts.regression_of(connection, bundle),
    )


def _demand(connection: Connection, feature: str, now: datetime) -> Demand:
    last = now.astimezone(ZoneInfo(timezone_of(connection))).date()
    return demand_of(connection, feature, last - HISTORY, last)


def prompt_diff(
    connection: Connection, before: Bundle | None, after: tuple[str, Mapping[str, Any]] | None
) -> tuple[str, ...]:
    """The lines of the prompt that change, where the store has both: each with its sign, @@ where some are left out."""
    old = None if before is None else facts.prompt_of(connection, before.prompt)
    if old is None or after is None or old[0] == after[0]:
        return ()
    return tuple(f"{SIGNS[line.kind]}{line.text}" for line in diff_lines(_lines(old[1]), _lines(after[1])))


def _lines(spec: Mapping[str, Any]) -> Sequence[str]:
    return prompt_lines(PromptSpec.model_validate_json(orjson.dumps(spec)))


# Asking for it


def start(proposal: Proposal, *, why: str, waive: str = "") -> StoredDeployment:
    """Write a deployment down, unless something speaks against it that nobody waived; the same wish twice is one.

    `waive` is a person's reason to go on although checks refuse. Raises AssayError with all that refuses.
    """
    who = settings().actor
    hard = [each for each in proposal.refused if not each.waivable]
    if hard or (proposal.refused and not waive.strip()):
        raise AssayError(refusal_sentence(proposal))
    with transaction() as connection:
        stored.hold_traffic(connection, proposal.feature, proposal.environment.name)
        known = _same_wish(connection, proposal)
        if known is not None:
            return known
        live = stored.live_deployment(connection, proposal.feature, proposal.environment.name)
        if live is not None and live.content_hash == proposal.bundle.content_hash:
            raise AssayError(
                f"{proposal.feature} has this very bundle in {proposal.environment.name} already: "
                f"deployment {live.name}."
            )
        if live is None and proposal.baseline is not None:
            _set_baseline(connection, proposal, who)
        return stored.ask_for(connection, _new(proposal, why, waive, who), who)


def refusal_sentence(proposal: Proposal) -> str:
    """What speaks against a proposal, and what would do."""
    said = "; ".join(each.says for each in proposal.refused)
    hard = any(not each.waivable for each in proposal.refused)
    hint = (
        "" if hard else " With a reason that stays on record it goes on all the same: assay deploy override … --why …"
    )
    return f"{proposal.feature} is not deployed to {proposal.environment.name}: {said}.{hint}"


def _same_wish(connection: Connection, proposal: Proposal) -> StoredDeployment | None:
    found = stored.under_way(connection, proposal.feature, proposal.environment.name)
    experiment_id = None if proposal.experiment is None else proposal.experiment.id
    if found is None or found.content_hash != proposal.bundle.content_hash or found.experiment_id != experiment_id:
        return None
    return found


def _set_baseline(connection: Connection, proposal: Proposal, who: str) -> None:
    """Write down what everyone gets already, so that there is something to compare with and to go back to."""
    assert proposal.baseline is not None
    assert proposal.experiment is not None
    why = f"the control of {proposal.experiment.name}, which everyone had before anything was deployed"
    new = stored.ask_for(
        connection,
        NewDeployment(
            feature=proposal.feature,
            environment=proposal.environment.name,
            trigger="baseline",
            bundle=proposal.baseline,
            policy=proposal.policy,
            approvals_required=0,
            why=why,
            experiment_id=proposal.experiment.id,
            variant=proposal.experiment.spec.control.name,
            monthly_cost=proposal.monthly_cost_now,
            sample_data=proposal.sample_data,
        ),
        who,
    )
    new = stored.move(connection, new, "deploying", actor=who, why=why, percent=100)
    stored.move(connection, new, "deployed", actor=who, why=why, percent=100)


def _new(proposal: Proposal, why: str, waive: str, who: str) -> NewDeployment:
    required = proposal.environment.approvals_required
    if proposal.environment.name == "production":
        required = max(1, required)
    evidence: dict[str, Any] = {
        "checks": [each.document for each in proposal.checks],
        "prompt_hash": proposal.prompt_hash,
        "decision": _decision_of(proposal.experiment),
        "monthly_cost_before": None if proposal.monthly_cost_now is None else str(proposal.monthly_cost_now),
    }
    if proposal.refused:
        waived = [each.says for each in proposal.refused]
        names = sorted({each.name for each in proposal.refused})
        evidence["waived"] = {"by": who, "why": waive.strip(), "what": waived, "checks": names}
        why = f"{why}; waived by {who} ({waive.strip()}): {'; '.join(waived)}"
    return NewDeployment(
        feature=proposal.feature,
        environment=proposal.environment.name,
        trigger="manual" if proposal.experiment is None else "experiment",
        bundle=proposal.bundle,
        policy=proposal.policy,
        approvals_required=required,
        why=why,
        experiment_id=None if proposal.experiment is None else proposal.experiment.id,
        variant=proposal.variant,
        evidence=evidence,
        monthly_cost=proposal.monthly_cost,
        sample_data=proposal.sample_data,
    )


def _decision_of(experiment: StoredExperiment | None) -> str | None:
    """A word for the decision that was deployed from: another one since then is noticed."""
    if experiment is None or experiment.decision is None:
        return None
    decision = experiment.decision
    said = f"{decision.outcome}/{decision.variant}/{decision.at.isoformat()}"
    return hashlib.sha256(said.encode()).hexdigest()


# People's words


def approve(given: str, why: str) -> StoredDeployment:
    """A second person's yes to exactly the bundle that was asked for. Raises AssayError where it does not count."""
    return _say(given, "approved", why)


def reject(given: str, why: str) -> StoredDeployment:
    """A second person's no: the deployment ends."""
    return _say(given, "rejected", why)


def _say(given: str, decision: str, why: str) -> StoredDeployment:
    with transaction() as connection:
        found = stored.find_deployment(connection, given)
        _check_whole(connection, found)
        until = datetime.now(UTC) + timedelta(seconds=found.policy.approval_s)
        stored.say(
            connection,
            found,
            decision,
            content_hash=found.content_hash,
            expires_at=until,
            why=why,
            actor=settings().actor,
        )
    return found


def _check_whole(connection: Connection, found: StoredDeployment) -> None:
    """Raises AssayError when the bundle is not what was asked for, or its prompt was edited since."""
    problem = changed_since(connection, found)
    if problem:
        raise AssayError(f"deployment {found.name} cannot be approved: {problem}. Ask for it anew.")


def changed_since(connection: Connection, found: StoredDeployment) -> str:
    """What is another thing than was asked for; empty when nothing is."""
    if found.bundle.content_hash != found.content_hash:
        return "its bundle is not the one that was asked for: it was changed past Assay"
    known, prompt = found.evidence.get("prompt_hash"), facts.prompt_of(connection, found.bundle.prompt)
    if known is not None and prompt is not None and prompt[0] != known:
        return f"prompt {found.bundle.prompt} was edited after this deployment was asked for"
    decided = found.evidence.get("decision")
    if decided is not None and found.experiment is not None:
        now = _decision_of(find_experiment(connection, found.experiment))
        if now != decided:
            return f"experiment {found.experiment} was decided anew since then"
    return ""


def recheck(connection: Connection, found: StoredDeployment, now: datetime) -> tuple[Check, ...]:
    """The checks of a bundle as things are now; its cost is that which was approved."""
    environment = environment_named(connection, found.environment)
    return checks_of_bundle(
        connection,
        found.bundle,
        found.feature,
        environment,
        now,
        found.monthly_cost,
        "as when it was asked for",
    )


def checks_of_bundle(
    connection: Connection,
    bundle: Bundle,
    feature: str,
    environment: Environment,
    now: datetime,
    cost: Decimal | None,
    unknown: str,
) -> tuple[Check, ...]:
    """What a bundle has to pass in an environment, however it gets there; `unknown` says why its cost is, if it is."""
    prompt = facts.prompt_of(connection, bundle.prompt)
    return validate(bundle, _around(connection, bundle, feature, environment, now, cost, unknown, prompt))


def cancel(given: str, why: str) -> StoredDeployment:
    """Take a deployment out of the queue, or out of the traffic. Raises AssayError for one that is over or live."""
    with transaction() as connection:
        found = stored.find_deployment(connection, given)
        stored.hold_traffic(connection, found.feature, found.environment)
        found = stored.deployment_of(connection, found.id)
        if not found.under_way:
            hint = f" To take it back: {found.way_back}" if found.live else ""
            raise AssayError(
                f"deployment {found.name} is {found.status}; only one that is under way is cancelled.{hint}"
            )
        end_canary(connection, found, why, settings().actor)
    publish_flags(found.environment)
    return found
