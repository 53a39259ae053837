"""Advancing: the steps that are due of deployments, taken one by one, each committed before its flags are written.

What a step is follows from where the deployment stands in Postgres, so that a process that is killed between any two
leaves a state from which the next look goes on. The flags come from the database alone and are written again whenever
the file is another one.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from evaluations.arms import LiveData, UnitSums
from evaluations.deployment_checks import refusals
from evaluations.deployments import Status, canary_name, next_step
from evaluations.errors import AssayError
from evaluations.flags import CANARY, CONTROL
from evaluations.statistics.sample_ratio import SampleRatio, sample_ratio_any_time
from evaluations.watching import Watched, watch
from evaluations.wording import count, duration, percent
from tasks.deploying import changed_since, recheck
from tasks.flags import is_current, publish_flags
from tasks.rolling_back import end_canary, pause_experiment, restore
from tasks.secrets import without_secrets
from tasks.settings import settings
from tasks.store import audit, canaries
from tasks.store import deployments as stored
from tasks.store.canaries import Step
from tasks.store.database import transaction
from tasks.store.deployments import StoredDeployment
from tasks.store.experiment_data import TrafficWindow, data_in
from tasks.store.experiments import live_experiment

AUTOMATIC = "assay"
"""Who is written beside what a rule decided, and no person."""
SETTLES = timedelta(minutes=1)
"""Requests in the first minute of a window are not counted: applications still read the flags of before."""
NOBODY = UnitSums(units=0, x=0.0, y=0.0, xx=0.0, yy=0.0, xy=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What one try to take a step came to."""

    sentence: str
    moved: bool
    """Something was committed, and another step may be due."""


@dataclass(frozen=True, slots=True)
class Advanced:
    """What a sweep over deployments did."""

    told: tuple[str, ...]
    failed: Mapping[str, str]
    """Deployments that could not be looked at, and why."""

    def __str__(self) -> str:
        if not self.told and not self.failed:
            return "No deployment is under way."
        return " ".join([*self.told, *(f"{name} could not be looked at: {why}" for name, why in self.failed.items())])


def advance_all(now: datetime | None = None) -> Advanced:
    """Take every step that is due, of every deployment; one that fails keeps none of the others from its turn."""
    with transaction() as connection:
        due = stored.to_advance(connection)
    told, failed = [], {}
    for each in due:
        try:
            told.append(advance(each, now))
        except AssayError as problem:
            failed[str(each)[:8]] = without_secrets(str(problem))
    return Advanced(tuple(told), failed)


def advance(deployment_id: UUID, now: datetime | None = None) -> str:
    """Take every step of a deployment that is due. Gives a sentence about where it stands."""
    while True:
        with transaction() as connection:
            found = stored.deployment_of(connection, deployment_id)
            # The experiment's row before the traffic: whoever starts one takes them in this order.
            live_experiment(connection, found.feature, found.environment)
            stored.hold_traffic(connection, found.feature, found.environment)
            found = stored.deployment_of(connection, deployment_id)
            taken = _take(connection, found, now or datetime.now(UTC))
        # The step is committed, and the file follows; a kill in between is mended by the next look, that begins here.
        if not is_current(found.environment):
            publish_flags(found.environment)
        if not taken.moved:
            return f"{found.feature} in {found.environment} ({found.name}): {taken.sentence}"


def mend_flags() -> str:
    """Write every flag file that is not what the database says. Gives a sentence about what was written."""
    with transaction() as connection:
        environments = stored.environments_in_use(connection)
    written = [each for each in environments if not is_current(each)]
    for each in written:
        publish_flags(each)
    if not written:
        return f"The flags of {count(len(environments), 'environment')} are as the database says."
    return f"The flags of {', '.join(written)} were written."


def _take(connection: Connection, found: StoredDeployment, now: datetime) -> Taken:
    match found.status:
        case "pending_approval":
            return _weigh(connection, found, now)
        case "pending":
            return _begin(connection, found, now)
        case "deploying" | "deployed":
            return _look(connection, found, now)
        case _:
            return Taken(
                sentence=f"it is {found.status.replace('_', ' ')}: {found.moved_why.rstrip('.')}.", moved=False
            )


# Before there is any traffic


def _weigh(connection: Connection, found: StoredDeployment, now: datetime) -> Taken:
    """Enough approvals let it begin; a no, or too long a time without them, ends it."""
    said = stored.approvals_of(connection, found.id)
    no = next((each for each in said if each.decision == "rejected"), None)
    if no is not None:
        return _fail(connection, found, f"rejected by {no.actor}: {no.why}", no.actor)
    holding = {each.actor.strip().lower(): each.actor for each in said if each.expires_at > now}
    if len(holding) >= found.approvals_required:
        stored.move(connection, found, "pending", actor=AUTOMATIC, why=f"approved by {', '.join(holding.values())}")
        return Taken(sentence="approved.", moved=True)
    if now > found.recorded_at + timedelta(seconds=found.policy.approval_s):
        if said and not holding:
            return _fail(connection, found, f"the approval of {said[-1].actor} expired before it could begin")
        came = f"only {', '.join(holding.values())}" if holding else "nobody"
        return _fail(connection, found, f"{came} approved it within {found.policy.approval_s / 86_400:g} days")
    missing = found.approvals_required - len(holding)
    return Taken(
        sentence=f"it waits for {count(missing, 'approval')}, not of {found.actor}: assay deploy approve {found.name}",
        moved=False,
    )


def _begin(connection: Connection, found: StoredDeployment, now: datetime) -> Taken:
    """The first share of the traffic, if what was approved is still what is there and may go."""
    live = stored.live_deployment(connection, found.feature, found.environment)
    problem = _no_longer(connection, found, live, now)
    if problem:
        return _fail(connection, found, problem)
    # With nothing live there is nobody to compare a canary with, and nothing else to give them.
    percent_now = found.policy.steps[0] if live is not None else 100
    try:
        with connection.begin_nested():
            if live is not None:
                # Its requests are the control's from now on: what is left of its own watch would see nothing.
                canaries.end_open_step(connection, live.id, "forced", f"{found.name} began", AUTOMATIC, now)
            began = stored.move(
                connection, found, "deploying", actor=AUTOMATIC, why=_share(percent_now), percent=percent_now
            )
            canaries.begin_step(connection, began.id, percent_now, now, AUTOMATIC)
            if percent_now == 100:
                stored.move(connection, began, "deployed", actor=AUTOMATIC, why="it has all units", percent=100)
    except AssayError as problem:
        if "has the traffic" not in str(problem):
            raise
        return Taken(sentence=f"it waits: {problem}", moved=False)
    return Taken(sentence=_share(percent_now), moved=True)


def _no_longer(connection: Connection, found: StoredDeployment, live: StoredDeployment | None, now: datetime) -> str:
    """Why what was asked for may not begin any more; empty when it may."""
    problem = changed_since(connection, found)
    if problem:
        return problem
    if found.approvals_required:
        holding = {
            each.actor.strip().lower()
            for each in stored.approvals_of(connection, found.id)
            if each.decision == "approved" and each.expires_at > now
        }
        if len(holding) < found.approvals_required:
            return "its approval expired before it began"
    if (None if live is None else live.id) != found.previous_id:
        return "another bundle went live since it was asked for; what was looked at is not what would change"
    waived = (found.evidence.get("waived") or {}).get("checks", ())
    # A check that was waived may have become one that nobody may waive: a model that nobody knew has since retired.
    fresh = [
        each.says for each in refusals(recheck(connection, found, now)) if not (each.waivable and each.name in waived)
    ]
    return f"it does not pass its checks any more: {'; '.join(fresh)}" if fresh else ""


def _fail(connection: Connection, found: StoredDeployment, why: str, actor: str = AUTOMATIC) -> Taken:
    stored.move(connection, found, "failed", actor=actor, why=why)
    return Taken(sentence=f"it ended: {why}.", moved=True)


def _share(of_hundred: int) -> str:
    return f"{of_hundred}% of the units get it"


# With traffic


def _look(connection: Connection, found: StoredDeployment, now: datetime) -> Taken:
    """Judge the window that is open: back, on, or wait."""
    steps = canaries.steps_of(connection, found.id)
    window = next((each for each in steps if each.ended_at is None), None)
    if window is None:
        return Taken(sentence="it is live for all.", moved=False)
    data = window_data(connection, found, window, now)
    watched = judge(found, window, data)
    canaries.save_look(
        connection,
        found.id,
        window.step,
        verdict=watched.verdict,
        sentence=watched.sentence,
        data_hash=_hash(data),
        facts={"readings": [_reading(each) for each in watched.readings], "units": _units(data)},
        actor=settings().actor,
    )
    if watched.verdict == "roll_back":
        return _take_back(connection, found, window, watched, now)
    if now < window.began_at + timedelta(seconds=found.policy.window_s):
        left = duration((window.began_at + timedelta(seconds=found.policy.window_s) - now).total_seconds() * 1000)
        return Taken(sentence=f"{_share(window.percent)}, {left} to go. {watched.sentence}", moved=False)
    if watched.verdict != "fine":
        hint = f"A person decides: assay deploy promote {found.name}, or {found.way_back}"
        return _wait(connection, found, f"its window is over, and nothing is proven. {watched.sentence} {hint}", now)
    return go_on(connection, found, "passed", watched.sentence, AUTOMATIC, now)


def _take_back(connection: Connection, found: StoredDeployment, window: Step, watched: Watched, now: datetime) -> Taken:
    why = f"rolled back by itself at {window.percent}%: {watched.sentence}"
    if not found.policy.auto_rollback:
        sentence = f"it harms, and goes back when a person says so: {found.way_back}. {watched.sentence}"
        return _wait(connection, found, sentence, now)
    if found.status == "deploying":
        end_canary(connection, found, why, AUTOMATIC, now)
        return Taken(sentence=why, moved=True)
    try:
        target = stored.restorable(connection, found.feature, found.environment)
    except AssayError as problem:
        sentence = f"it harms, and there is nothing to go back to: {watched.sentence} {problem}"
        return _wait(connection, found, sentence, now)
    # One that began since then splits between two bundles, of which this is the one that harms.
    experiment = live_experiment(connection, found.feature, found.environment)
    paused = pause_experiment(connection, experiment, why, AUTOMATIC)
    if paused:
        why = f"{why} Experiment {paused} is paused."
    restore(connection, target, why, AUTOMATIC)
    return Taken(sentence=why, moved=True)


def _wait(connection: Connection, found: StoredDeployment, sentence: str, now: datetime) -> Taken:
    """Nothing more happens by itself: people are told."""
    canaries.wait_for_a_word(connection, found.id, sentence, now, AUTOMATIC)
    return Taken(sentence=sentence, moved=False)


def go_on(connection: Connection, found: StoredDeployment, outcome: str, why: str, actor: str, now: datetime) -> Taken:
    """Close the open window and give the bundle its next share; after the last one it is simply live."""
    canaries.end_open_step(connection, found.id, outcome, why, actor, now)
    share = next_step(found.policy.steps, found.rollout_percent)
    if share is None:
        audit.record(
            connection,
            action="deployment watched",
            target=f"deployment:{found.id}",
            feature=found.feature,
            environment=found.environment,
            why=why,
            facts={"outcome": outcome},
            actor=actor,
        )
        return Taken(sentence=f"it is live for all, and its watch is over. {why}", moved=False)
    canaries.begin_step(connection, found.id, share, now, actor)
    to: Status = "deployed" if share == 100 else "deploying"
    stored.move(connection, found, to, actor=actor, why=f"{_share(share)}. {why}", percent=share)
    return Taken(sentence=_share(share), moved=True)


def promote(given: str, why: str, now: datetime | None = None) -> str:
    """A person's word that a canary goes on before its window says so. Gives a sentence about where it stands.

    Raises AssayError unless it has a share of the traffic and a window that is open.
    """
    if not why.strip():
        raise AssayError("to go on without the watch needs its reason: --why …")
    now = now or datetime.now(UTC)
    with transaction() as connection:
        found = stored.find_deployment(connection, given)
        stored.hold_traffic(connection, found.feature, found.environment)
        found = stored.deployment_of(connection, found.id)
        watched = any(step.ended_at is None for step in canaries.steps_of(connection, found.id))
        if found.status not in ("deploying", "deployed") or not watched:
            raise AssayError(f"deployment {found.name} is {found.status}, and no window of it is open.")
        who = settings().actor
        go_on(connection, found, "forced", f"forced by {who}: {why.strip()}", who, now)
    publish_flags(found.environment)
    return advance(found.id, now)


def window_data(connection: Connection, found: StoredDeployment, window: Step, now: datetime) -> LiveData:
    """What canary and control measured in a window."""
    name = canary_name(str(found.id))
    traffic = TrafficWindow(
        name=name,
        feature=found.feature,
        begins=window.began_at + min(SETTLES, timedelta(seconds=found.policy.window_s / 10)),
        ends=window.ended_at or now,
        variants=(CANARY, CONTROL),
    )
    return data_in(connection, [traffic], {name: [guard.metric for guard in found.policy.guards]})[name]


def judge(found: StoredDeployment, window: Step, data: LiveData) -> Watched:
    """The verdict on a window by the deployment's policy."""
    canary, control = data.arms[CANARY], data.arms[CONTROL]
    alone = window.percent == 100
    return watch(
        found.policy.guards,
        canary.metrics,
        dict.fromkeys(control.metrics, NOBODY) if alone else control.metrics,
        alpha=found.policy.alpha,
        windows=len(found.policy.steps),
        units=(canary.units, 0 if alone else control.units),
        least_units=found.policy.least_units,
        split_is_broken="" if alone else _broken_split(window, canary.units, control.units),
        alone=alone,
    )


def _broken_split(window: Step, canary: int, control: int) -> str:
    found = sample_ratio_any_time([canary, control], [float(window.percent), 100.0 - window.percent])
    if not isinstance(found, SampleRatio) or not found.mismatch:
        return ""
    return (
        f"{percent(found.observed[0])} of the units are in the canary, {percent(found.planned[0])} planned: the split "
        "is not the published one"
    )


def _hash(data: LiveData) -> str:
    return hashlib.sha256(json.dumps(asdict(data), sort_keys=True, default=str).encode()).hexdigest()


def _units(data: LiveData) -> dict[str, Any]:
    return {
        **{name: arm.units for name, arm in data.arms.items()},
        "crossed": data.crossed,
        "strangers": sum(data.strangers.values()),
        "outside": data.outside,
    }


def _reading(reading: Any) -> dict[str, Any]:
    told = ("canary", "control", "units", "control_units", "difference", "at_least", "own_at_least", "harmful")
    return {"metric": reading.guard.metric, **{name: getattr(reading, name) for name in told}}
