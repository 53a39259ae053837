"""Where a deployment stands: its life, approvals, windows, last looks, and what the change did beside its control."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from evaluations.deployments import PROGRESS
from evaluations.errors import AssayError, unknown_name
from evaluations.flags import CANARY, CONTROL
from evaluations.impacts import WindowArms, WindowImpact, impact
from tasks.advancing import window_data
from tasks.flags import is_current
from tasks.store import canaries
from tasks.store import deployments as stored
from tasks.store.canaries import CanaryLook, Step
from tasks.store.database import transaction
from tasks.store.deployments import Approval, DeploymentEvent, StoredDeployment


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A deployment with all that happened to it."""

    deployment: StoredDeployment
    events: tuple[DeploymentEvent, ...]
    approvals: tuple[Approval, ...]
    steps: tuple[Step, ...]
    looks: tuple[CanaryLook, ...]
    """The latest first."""
    impact: tuple[WindowImpact, ...]
    flags_current: bool

    def __str__(self) -> str:
        found = self.deployment
        lines = [
            f"{found.feature} in {found.environment}: deployment {found.name} is {found.status.replace('_', ' ')}"
            f"{' and live' if found.live else ''}{' [sample data]' if found.sample_data else ''}",
            f"  {found.bundle}",
        ]
        if found.experiment is not None:
            lines.append(f"  {found.variant} of experiment {found.experiment}")
        if not self.flags_current:
            lines.append("  the published flags are not what the database says: assay deploy publish")
        lines += [
            f"  {_when(e.at)}  {e.after.replace('_', ' ')} {e.percent}% by {e.actor}: {e.why}" for e in self.events
        ]
        lines += [
            f"  {_when(a.at)}  {a.decision} by {a.actor}, until {_when(a.expires_at)}{f': {a.why}' if a.why else ''}"
            for a in self.approvals
        ]
        lines += [
            f"  window {s.step}, {s.percent}%: {s.outcome or 'open'} since {_when(s.began_at)}" for s in self.steps
        ]
        lines += [f"  {_when(look.at)}  look: {look.sentence}" for look in self.looks[:3]]
        if self.impact:
            lines.append("  beside its concurrent control:")
            lines += [f"    {each}" for each in self.impact]
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        found = self.deployment
        return {
            "id": str(found.id),
            "feature": found.feature,
            "environment": found.environment,
            "status": found.status,
            "progress": PROGRESS[found.status],
            "live": found.live,
            "rollout_percent": found.rollout_percent,
            "bundle": found.bundle.document,
            "experiment": found.experiment,
            "variant": found.variant,
            "flags_current": self.flags_current,
            "events": [
                {"to": e.after, "percent": e.percent, "why": e.why, "actor": e.actor, "at": e.at.isoformat()}
                for e in self.events
            ],
            "approvals": [
                {"decision": a.decision, "actor": a.actor, "expires_at": a.expires_at.isoformat()}
                for a in self.approvals
            ],
            "steps": [{"percent": s.percent, "outcome": s.outcome, "why": s.why} for s in self.steps],
            "looks": [
                {"step": k.step, "verdict": k.verdict, "sentence": k.sentence, "facts": k.facts} for k in self.looks
            ],
            "impact": [each.as_json() for each in self.impact],
            "sample_data": found.sample_data,
        }


@dataclass(frozen=True, slots=True)
class Waiting:
    """A deployment that goes on when a person says something."""

    says: str
    commands: tuple[str, ...]
    """What that person may type."""


def waiting_for_people(connection: Connection, now: datetime) -> list[Waiting]:
    """Deployments that no look takes further: they want an approval, or their canary proves nothing, or it harms and
    does not go back by itself."""
    found = (stored.deployment_of(connection, each) for each in stored.to_advance(connection))
    return [each for each in (_waits(connection, deployment, now) for deployment in found) if each is not None]


def _waits(connection: Connection, found: StoredDeployment, now: datetime) -> Waiting | None:
    where = f"deployment {found.name} of {found.feature} in {found.environment}"
    if found.status == "pending_approval":
        says = f"{where} waits since {_when(found.recorded_at)} for an approval, not of {found.actor}"
        return Waiting(says, (f"assay deploy approve {found.name}", f"assay deploy reject {found.name} --why WHY"))
    window = next((each for each in canaries.steps_of(connection, found.id) if each.ended_at is None), None)
    looks = canaries.looks_of(connection, found.id, limit=1)
    if window is None or not looks or looks[0].step != window.step:
        return None
    rollback = f"{found.way_back} --why WHY"
    if looks[0].verdict == "roll_back":
        return Waiting(f"{where} harms, and does not go back by itself: {looks[0].sentence}", (rollback,))
    if looks[0].verdict != "fine" and now >= window.began_at + timedelta(seconds=found.policy.window_s):
        promote = f"assay deploy promote {found.name} --why WHY"
        return Waiting(f"{where}: its window is over, and nothing is proven. {looks[0].sentence}", (promote, rollback))
    return None


def _when(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def status_of(what: str, environment: str = "production", now: datetime | None = None) -> Standing:
    """Of a feature what is under way, else what is live; or the deployment of an id.

    Raises AssayError where there is neither.
    """
    now = now or datetime.now(UTC)
    with transaction() as connection:
        found = stored.under_way(connection, what, environment) or stored.live_deployment(connection, what, environment)
        if found is None:
            try:
                found = stored.find_deployment(connection, what)
            except AssayError:
                raise AssayError(_nothing_of(connection, what, environment)) from None
        steps = canaries.steps_of(connection, found.id)
        changed = impact_of(connection, found, now)
        standing = {
            "events": tuple(stored.events_of(connection, found.id)),
            "approvals": tuple(stored.approvals_of(connection, found.id)),
            "looks": tuple(canaries.looks_of(connection, found.id, limit=20)),
        }
    return Standing(
        deployment=found,
        steps=tuple(steps),
        impact=changed,
        flags_current=is_current(found.environment),
        **standing,  # type: ignore[arg-type]
    )


def _nothing_of(connection: Connection, what: str, environment: str) -> str:
    elsewhere = sorted({each.environment for each in stored.list_deployments(connection, feature=what)} - {environment})
    if elsewhere:
        places = " and ".join(elsewhere)
        return f"{what} has nothing live or under way in {environment}, but deployments in {places}: --environment NAME"
    known = stored.deployed_features(connection)
    if known:
        return unknown_name("feature or deployment", what, known)
    return "nothing is deployed yet. See what would change: assay deploy preview EXPERIMENT"


def impact_of(connection: Connection, found: StoredDeployment, now: datetime) -> tuple[WindowImpact, ...]:
    """What a deployment changed beside its concurrent control, over the windows that had one."""
    windows = [
        WindowArms(percent=step.percent, canary=data.arms[CANARY].metrics, control=data.arms[CONTROL].metrics)
        for step in canaries.steps_of(connection, found.id)
        if step.percent < 100
        for data in [window_data(connection, found, step, now)]
    ]
    return impact([guard.what for guard in found.policy.guards], windows)
