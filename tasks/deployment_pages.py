"""The pages about deployments: all of them, one of them, and the preview of one that nobody asked for yet."""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from evaluations.deployment_checks import Check
from evaluations.deployment_overview import (
    BundleChange,
    CaseChange,
    Deployed,
    DeploymentPage,
    DeploymentsOverview,
    DeployPreview,
    LifeStep,
    WatchLook,
    WatchWindow,
    Word,
)
from evaluations.deployments import differences
from evaluations.errors import NothingYet
from evaluations.watching import Reading
from tasks.deploying import Proposal, prompt_diff
from tasks.deployment_health import flags_state, health_of
from tasks.deployment_status import impact_of
from tasks.publishing import write_report
from tasks.settings import settings
from tasks.store import canaries
from tasks.store import deployment_facts as facts
from tasks.store import deployments as stored
from tasks.store.database import transaction
from tasks.store.deployments import StoredDeployment

TOLD = 200
"""Deployments on the page of all, the latest ones."""
USUAL = ("production", "staging", "development")
"""What matters most stands first: a small screen shows it without scrolling."""


def publish_deployments(first: date | None = None, last: date | None = None) -> Path:
    """What is live where, what is on its way, how it does, and what was before. It has no window of its own."""
    from reports.deployment_files import deployments_files

    with transaction() as connection:
        found = deployments_overview(connection)
    return _written("deployments", deployments_files(found), "assay report deployments")


def publish_deployment(given: str) -> Path:
    """One deployment by the beginning of its id. Raises AssayError when there is none."""
    from reports.deployment_files import deployment_files

    with transaction() as connection:
        found = deployment_page(connection, stored.find_deployment(connection, given))
    name = f"deployment-{found.deployment.name}"
    return _written(name, deployment_files(found, name), f"assay report deployment {found.deployment.name}")


def publish_preview(proposal: Proposal, command: str) -> Path:
    """What a wish would change; `command` is what asks for it."""
    from reports.deployment_files import preview_files

    name = f"deploy-preview-{proposal.bundle.content_hash[:8]}"
    again = command.replace("deploy start", "deploy preview").replace("deploy override", "deploy preview")
    return _written(name, preview_files(preview_of(proposal, command), name), f"{again} --html")


def _written(page: str, twins: Iterable[tuple[str, Iterable[str]]], again: str) -> Path:
    folder = settings().reports_folder
    for name, parts in twins:
        write_report(folder / name, parts, about="The deployments", again=again)
    return folder / f"{page}.html"


# All of them


def deployments_overview(connection: Connection, now: datetime | None = None) -> DeploymentsOverview:
    """Everything that the page of all is made of. Raises NothingYet before the first deployment."""
    now = now or datetime.now(UTC)
    every = stored.list_deployments(connection)
    if not every:
        raise NothingYet("nothing is deployed yet. See what would change: assay deploy preview EXPERIMENT")
    told = [each for n, each in enumerate(every) if n < TOLD or each.live or each.under_way]
    places = sorted({each.environment for each in every} | set(USUAL), key=_place)
    states = {place: flags_state(connection, place) for place in stored.environments_in_use(connection)}
    windows = {str(each.id): _windows(connection, each) for each in told if each.under_way or each.live}
    return DeploymentsOverview(
        environments=tuple(places),
        deployments=tuple(_deployed(connection, each) for each in told),
        windows=windows,
        healths=tuple(health_of(connection, each, states[each.environment], now) for each in told if each.live),
        flags=tuple(states[place] for place in places if place in states),
        left_out=len(every) - len(told),
        as_of=now,
    )


def _place(environment: str) -> tuple[int, str]:
    return (USUAL.index(environment) if environment in USUAL else len(USUAL), environment)


def _deployed(connection: Connection, found: StoredDeployment) -> Deployed:
    waived = found.evidence.get("waived") or {}
    said = f"{waived['by']} ({waived['why']}): {'; '.join(waived['what'])}" if waived else ""
    return Deployed(
        id=str(found.id),
        feature=found.feature,
        environment=found.environment,
        status=found.status,
        trigger=found.trigger,
        live=found.live,
        bundle=found.bundle,
        content_hash=found.content_hash,
        experiment=found.experiment,
        variant=found.variant,
        percent=found.rollout_percent,
        approvals_required=found.approvals_required,
        policy=found.policy,
        waived=said,
        why=found.why,
        moved_why=found.moved_why,
        actor=found.actor,
        asked_at=found.recorded_at,
        began_at=found.began_at,
        deployed_at=found.deployed_at,
        ended_at=found.ended_at,
        restores=None if found.restores_id is None else str(found.restores_id)[:8],
        approved_by=tuple(
            each.actor for each in stored.approvals_of(connection, found.id) if each.decision == "approved"
        ),
        sample_data=found.sample_data,
    )


# One


def deployment_page(connection: Connection, found: StoredDeployment, now: datetime | None = None) -> DeploymentPage:
    """Everything that the page of one is made of."""
    now = now or datetime.now(UTC)
    flags = flags_state(connection, found.environment)
    return DeploymentPage(
        deployment=_deployed(connection, found),
        life=tuple(
            LifeStep(each.after, each.percent, each.why, each.actor, each.at)
            for each in stored.events_of(connection, found.id)
        ),
        words=tuple(
            Word(each.decision, each.actor, each.why, each.at, each.expires_at)
            for each in stored.approvals_of(connection, found.id)
        ),
        windows=_windows(connection, found),
        impact=impact_of(connection, found, now),
        change=_change(connection, found),
        health=health_of(connection, found, flags, now) if found.live else None,
        flags=flags,
        as_of=now,
    )


def _windows(connection: Connection, found: StoredDeployment) -> tuple[WatchWindow, ...]:
    """The windows with their looks, in order of time."""
    looks = list(reversed(canaries.looks_of(connection, found.id)))
    guards = {guard.metric: guard for guard in found.policy.guards}
    return tuple(
        WatchWindow(
            step=step.step,
            percent=step.percent,
            began_at=step.began_at,
            ended_at=step.ended_at,
            outcome=step.outcome,
            why=step.why,
            looks=tuple(
                WatchLook(
                    verdict=look.verdict,
                    sentence=look.sentence,
                    readings=tuple(
                        _reading(guards, each) for each in look.facts.get("readings", ()) if each["metric"] in guards
                    ),
                    at=look.at,
                )
                for look in looks
                if look.step == step.step
            ),
        )
        for step in canaries.steps_of(connection, found.id)
    )


def _reading(guards: Mapping[str, Any], told: Mapping[str, Any]) -> Reading:
    return Reading(guard=guards[told["metric"]], **{name: value for name, value in told.items() if name != "metric"})


def _change(connection: Connection, found: StoredDeployment) -> BundleChange:
    """What it changed, as it was when it was asked for."""
    before = None if found.previous_id is None else stored.deployment_of(connection, found.previous_id).bundle
    cases = None if before is None else facts.changed_cases(connection, before, found.bundle)
    cost = found.evidence.get("monthly_cost_before")
    return BundleChange(
        before=before,
        after=found.bundle,
        differences=differences(before, found.bundle),
        prompt_diff=prompt_diff(connection, before, facts.prompt_of(connection, found.bundle.prompt)),
        monthly_cost=found.monthly_cost,
        monthly_cost_before=None if cost is None else Decimal(cost),
        suite=None if cases is None else cases.suite,
        cases=0 if cases is None else cases.cases,
        changed=() if cases is None else tuple(CaseChange(e.case_id, e.before, e.after) for e in cases.changed),
        checks=tuple(
            Check(name=each["check"], level=each["level"], says=each["says"], waivable=each["waivable"])
            for each in found.evidence.get("checks", ())
        ),
    )


# None yet


def preview_of(proposal: Proposal, command: str) -> DeployPreview:
    """A proposal as its page tells it."""
    cases = proposal.cases
    required = proposal.environment.approvals_required
    return DeployPreview(
        feature=proposal.feature,
        environment=proposal.environment.name,
        experiment=None if proposal.experiment is None else proposal.experiment.name,
        variant=proposal.variant,
        live=None if proposal.live is None else proposal.live.name,
        change=BundleChange(
            before=proposal.before,
            after=proposal.bundle,
            differences=proposal.differences,
            prompt_diff=proposal.prompt_diff,
            monthly_cost=proposal.monthly_cost,
            monthly_cost_before=proposal.monthly_cost_now,
            suite=None if cases is None else cases.suite,
            cases=0 if cases is None else cases.cases,
            changed=() if cases is None else tuple(CaseChange(e.case_id, e.before, e.after) for e in cases.changed),
            checks=proposal.checks,
        ),
        policy=proposal.policy,
        approvals_required=max(1, required) if proposal.environment.name == "production" else required,
        command=command,
        sample_data=proposal.sample_data,
        as_of=datetime.now(UTC),
    )
