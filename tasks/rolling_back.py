"""Rolling back: the whole bundle of before, for all, in one transaction; then the flags that say so.

Nobody has to approve it, nothing heavy is imported for it, and it needs neither Prefect nor a provider: what is broken
in production is repaired with as little as possible in between. Safe to run twice: a feature that was rolled back stays
where it is, and its flags are written again.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from sqlalchemy import Connection

from evaluations.deployments import Bundle, Status
from evaluations.errors import AssayError, InfrastructureError
from tasks.flags import publish_flags
from tasks.settings import settings
from tasks.store import canaries
from tasks.store import deployments as stored
from tasks.store.database import transaction
from tasks.store.deployments import NewDeployment, StoredDeployment
from tasks.store.experiments import StoredExperiment, live_experiment
from tasks.store.experiments import move as move_experiment

How = Literal["restored", "canary ended", "already"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RolledBack:
    """What a rollback did."""

    how: How
    """already: it was rolled back before, and no deployment was begun since."""
    feature: str
    environment: str
    left: Bundle | None
    """What has no traffic any more."""
    live: Bundle
    """What all get now."""
    paused: str | None
    """The experiment that was running and waits for a person to resume it."""
    flags: Path

    def __str__(self) -> str:
        where = f"{self.feature} in {self.environment}"
        match self.how:
            case "restored":
                said = f"{where} is back on {self.live}; {self.left} has no traffic any more."
            case "canary ended":
                said = f"The canary of {where} is ended: {self.left} has no traffic any more. All get {self.live}."
            case _:
                said = (
                    f"{where} was taken back already and is on {self.live}; its flags are written again. To go to "
                    "another bundle, name it: --to ID (assay deploy list)"
                )
        return f"{said} Experiment {self.paused} is paused." if self.paused else said


def roll_back(
    feature: str, environment: str = "production", *, to: str | None = None, why: str, actor: str | None = None
) -> RolledBack:
    """Take a feature back: end its canary, or restore the bundle of before, or the one that `to` names.

    `to` is the beginning of a deployment's id, or a prompt version. Raises AssayError where there is nothing to go back
    to, and InfrastructureError when the flags could not be written; what was committed holds, and the next try or sweep
    writes them.
    """
    who = actor or settings().actor
    with transaction() as connection:
        how, left, live, paused = _step_back(connection, feature, environment, to, why, who)
    try:
        flags = publish_flags(environment)
    except InfrastructureError as problem:
        raise InfrastructureError(f"{feature} is rolled back in the database, but {problem}") from problem
    return RolledBack(
        how=how, feature=feature, environment=environment, left=left, live=live, paused=paused, flags=flags
    )


def _step_back(
    connection: Connection, feature: str, environment: str, to: str | None, why: str, who: str
) -> tuple[How, Bundle | None, Bundle, str | None]:
    # The experiment's row before the traffic: whoever starts one takes them in this order.
    experiment = live_experiment(connection, feature, environment)
    stored.hold_traffic(connection, feature, environment)
    coming = stored.under_way(connection, feature, environment)
    live = stored.live_deployment(connection, feature, environment)
    meant = live is not None and to is not None and live.is_meant_by(to)
    if live is not None and coming is not None and (meant or (to is None and coming.status == "deploying")):
        end_canary(connection, coming, why, who)
        return "canary ended", coming.bundle, live.bundle, pause_experiment(connection, experiment, why, who)
    if live is not None and coming is None and (meant or (to is None and _was_taken_back(connection, live))):
        # An experiment that was begun or resumed since then has traffic that is to come back all the same.
        return "already", None, live.bundle, pause_experiment(connection, experiment, why, who)
    target = stored.restorable(connection, feature, environment, to)
    if coming is not None:
        end_canary(connection, coming, f"a rollback came first: {why}", who)
    paused = pause_experiment(connection, experiment, why, who)
    restore(connection, target, why, who)
    return "restored", None if live is None else live.bundle, target.bundle, paused


def pause_experiment(connection: Connection, experiment: StoredExperiment | None, why: str, who: str) -> str | None:
    """Let a running experiment give its traffic back. Gives its name; None where none was running."""
    if experiment is None or experiment.status != "running":
        return None
    move_experiment(
        connection, experiment, "paused", actor=who, why=f"{experiment.spec.feature} was rolled back: {why}"
    )
    return experiment.name


def _was_taken_back(connection: Connection, live: StoredDeployment) -> bool:
    """Was the last thing that happened a way back, of all units or of a canary?"""
    last = stored.list_deployments(connection, feature=live.feature, environment=live.environment, limit=1)[0]
    return live.trigger == "rollback" or last.status == "rolled_back"


def end_canary(
    connection: Connection, coming: StoredDeployment, why: str, who: str, at: datetime | None = None
) -> None:
    """Take a deployment that is under way out of the traffic, or out of the queue; now unless a time is given."""
    canaries.end_open_step(connection, coming.id, "rolled_back", why, who, at)
    ended: Status = "rolled_back" if coming.status == "deploying" else "failed"
    stored.move(connection, coming, ended, actor=who, why=why)


def restore(connection: Connection, target: StoredDeployment, why: str, who: str) -> StoredDeployment:
    """Make an earlier bundle live again, whole, in the caller's transaction."""
    if target.bundle.content_hash != target.content_hash:
        raise AssayError(
            f"the bundle of deployment {target.name} is not what was deployed: its content was changed past Assay. "
            "Name another one: --to ID (assay deploy list)"
        )
    new = stored.ask_for(
        connection,
        NewDeployment(
            feature=target.feature,
            environment=target.environment,
            trigger="rollback",
            bundle=target.bundle,
            policy=target.policy,
            approvals_required=0,
            restores_id=target.id,
            why=why,
            sample_data=target.sample_data,
        ),
        who,
    )
    new = stored.move(connection, new, "deploying", actor=who, why=why, percent=100)
    return stored.move(connection, new, "deployed", actor=who, why=why, percent=100)
