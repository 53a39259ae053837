"""Experiments: from a file to a declaration, and the steps of their lives with what each step publishes."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from sqlalchemy import Connection

from evaluations.errors import AssayError
from evaluations.experiment_rules import noise_of
from evaluations.experiment_specs import FLOOR_LIVE, ExperimentSpec
from evaluations.experiments import SCORER_PREFIX, Decision, Status, check_transition
from evaluations.specs import VariantSpec
from evaluations.statistics.power import size_for_means
from tasks.documents import parse_document, read_document
from tasks.flags import publish_flags
from tasks.planning import Plan, RunRequest, open_run, plan_run
from tasks.settings import settings
from tasks.store import decisions
from tasks.store import experiments as stored
from tasks.store.database import transaction
from tasks.store.experiment_data import baseline
from tasks.store.experiments import StoredExperiment
from tasks.suites import LoadedSuite, load_suite

HISTORY_DAYS = 30
"""How far back the noise of a live metric is taken from."""


@dataclass(frozen=True, slots=True)
class Declared:
    """An experiment file that was read and checked."""

    spec: ExperimentSpec
    suite_path: Path | None
    """Offline: the suite file that its `suite` means."""


def read_experiment(path: Path) -> Declared:
    """Read an experiment file; offline, its suite too. Calls and writes nothing.

    Raises AssayError that names file, line and column of what cannot be used.
    """
    document = read_document(path, "experiment")
    spec = parse_document(document, ExperimentSpec, "experiment")
    if spec.suite is None:
        return Declared(spec, None)
    loaded = _suite_of(spec, path.parent)
    _check_scorers(spec, loaded)
    return Declared(spec, loaded.path)


def _suite_of(spec: ExperimentSpec, folder: Path) -> LoadedSuite:
    """The suite, looked for beside the experiment file first."""
    assert spec.suite is not None
    beside = folder / spec.suite
    labels = [variant.label for variant in spec.variants]
    return load_suite(beside if beside.exists() else spec.suite, variants=labels)


def _check_scorers(spec: ExperimentSpec, loaded: LoadedSuite) -> None:
    known = [scorer.name for scorer in loaded.spec.scorers]
    for _, metric in spec.metrics:
        name = metric.metric.removeprefix(SCORER_PREFIX)
        if metric.metric.startswith(SCORER_PREFIX) and name not in known:
            raise AssayError(f"the suite has no scorer named {name!r}; its scorers: {', '.join(known)}.")


def create(path: Path) -> UUID:
    """Write the experiment of a file as a draft."""
    declared = read_experiment(path)
    with transaction() as connection:
        return stored.create_experiment(connection, declared.spec, declared.suite_path, settings().actor)


def update(name: str, path: Path) -> None:
    """Declare a draft anew, from a file."""
    declared = read_experiment(path)
    with transaction() as connection:
        found = stored.find_experiment(connection, name, lock=True)
        stored.update_draft(connection, found, declared.spec, declared.suite_path, settings().actor)


def delete(name: str) -> None:
    """Put a draft out of sight."""
    with transaction() as connection:
        stored.delete_draft(connection, stored.find_experiment(connection, name, lock=True), settings().actor)


def schedule(name: str) -> StoredExperiment:
    """Let a live draft start by itself when its time comes."""
    with transaction() as connection:
        found = stored.find_experiment(connection, name, lock=True)
        if found.spec.design != "live_split" or found.spec.starts_at is None:
            raise AssayError(f"experiment {found.name} has no `starts_at`; start it by `assay experiments run`.")
        stored.move(connection, found, "scheduled", actor=settings().actor)
        return stored.find_experiment(connection, found.name)


def step(name: str, to: Status, why: str = "", began: datetime | None = None) -> StoredExperiment:
    """Take an experiment to another status; live, the flags of its environment follow.

    The step is committed before the flags are written: whoever publishes next writes what is true then.
    """
    with transaction() as connection:
        found = stored.find_experiment(connection, name, lock=True)
        stored.move(connection, found, to, actor=settings().actor, why=why, began=began)
        after = stored.find_experiment(connection, found.name)
    if after.spec.design == "live_split":
        publish_flags(after.spec.environment)
    return after


def start_live(name: str, why: str = "", began: datetime | None = None) -> StoredExperiment:
    """Start a live experiment: plan how many units it needs, freeze what it declared, publish its split.

    `began` is when its traffic was split already, for traffic that was there before the experiment was written down.
    """
    with transaction() as connection:
        found = stored.find_experiment(connection, name)
        if found.planned_n is None:
            check_transition(found.name, found.status, "running")
            planned = planned_units(connection, found.spec, datetime.now(UTC))
            if planned is not None:
                stored.set_planned_n(connection, found.id, planned)
    return step(name, "running", why, began)


def planned_units(connection: Connection, spec: ExperimentSpec, now: datetime) -> int | None:
    """Units that the smallest arm needs: as declared, or for the declared power at the smallest effect of interest.

    The noise is that of the last 30 days' requests of the feature; where there are too few, a share is planned with the
    most noise that a share can have. None for an experiment that may be looked at at any time and declared neither.
    Raises AssayError where nothing can be planned.
    """
    if spec.planned_n is not None:
        return spec.planned_n
    metric, effect = spec.metric(spec.primary), spec.primary.minimum_effect
    if effect is None:
        if spec.method == "always_valid":
            return None
        raise AssayError(
            f"how long {spec.experiment} takes cannot be planned: say `planned_n`, or the `minimum_effect` of "
            f"{metric.name}. With `method: always_valid` neither is needed."
        )
    sums = baseline(connection, spec, metric.name, now - timedelta(days=HISTORY_DAYS), now)
    noise = noise_of(sums)
    if noise is None and metric.kind == "binary":
        noise = 0.5
    if noise is None and spec.method == "always_valid":
        return None
    if noise is None:
        raise AssayError(
            f"{spec.feature} has {sums.units:,} units with a {metric.name} in the last {HISTORY_DAYS} days, too few to "
            "plan with; say `planned_n`."
        )
    needed = size_for_means(effect, noise, power=spec.power, alpha=spec.alpha / len(spec.treatments))
    if needed is None:
        raise AssayError(f"no number of units would show an effect of {effect:g} {metric.name}; say a larger one.")
    return max(FLOOR_LIVE, needed)


def start_due(now: datetime | None = None) -> str:
    """Start the scheduled experiments whose time has come. Gives a sentence, or nothing when none was due.

    One that cannot start, because another has its traffic or because it cannot be planned, waits and is named.
    """
    with transaction() as connection:
        due = stored.due_to_start(connection, now or datetime.now(UTC))
    told = []
    for each in due:
        try:
            start_live(each.name, "its time has come")
            told.append(f"{each.name} started.")
        except AssayError as problem:
            told.append(f"{each.name} waits: {problem}")
    return " ".join(told)


# Offline


def run_request(experiment: StoredExperiment, *, allow_unpriced: bool = False) -> RunRequest:
    """What an offline experiment asks of the runner: its variants, interleaved over the cases of its suite."""
    spec = experiment.spec
    assert experiment.suite_path is not None
    return RunRequest(
        suite=str(experiment.suite_path),
        variants=tuple(variant.label for variant in spec.variants),
        max_cost=spec.max_cost,
        allow_unpriced=allow_unpriced,
        kind="experiment",
    )


def plan(name: str) -> Plan:
    """What an offline experiment would call, cost and take. Nothing is called."""
    with transaction() as connection:
        found = stored.find_experiment(connection, name)
    _check_offline(found)
    return plan_run(run_request(found))


def begin_run(name: str, *, allow_unpriced: bool = False) -> UUID:
    """Start an offline experiment, or go on with it: the run that belongs to it."""
    with transaction() as connection:
        found = stored.find_experiment(connection, name)
    _check_offline(found)
    if found.run_id is not None and found.status == "running":
        return found.run_id
    planned = plan_run(run_request(found, allow_unpriced=allow_unpriced))
    run_id = open_run(planned)
    with transaction() as connection:
        found = stored.find_experiment(connection, name, lock=True)
        stored.move(connection, found, "running", actor=settings().actor)
        stored.set_run(connection, found.id, run_id)
        stored.set_planned_n(connection, found.id, planned.cases)
    return run_id


def _check_offline(found: StoredExperiment) -> None:
    if found.spec.design != "paired_offline":
        raise AssayError(f"experiment {found.name} splits live traffic; there are no cases to run.")
    if found.suite_path is None or not found.suite_path.is_file():
        raise AssayError(
            f"the suite of experiment {found.name} is not at {found.suite_path} any more. Put it back, or declare a "
            "new experiment."
        )


def variants_in(loaded: LoadedSuite, spec: ExperimentSpec) -> dict[str, VariantSpec]:
    """The suite's variant of each arm, by the arm's name."""
    known = {variant.label: variant for variant in loaded.variants}
    return {arm.name: known[arm.label] for arm in spec.variants}


# Decisions


def override(name: str, winner: str | None, why: str) -> Decision:
    """Put a person's decision in place of the rule's; the rule's stays on record.

    `winner` is a variant, or None for none. Raises AssayError without a reason, or for an experiment that never ran.
    """
    if not why.strip():
        raise AssayError("an override needs its reason: --why …")
    with transaction() as connection:
        found = stored.find_experiment(connection, name, lock=True)
        names = [variant.name for variant in found.spec.variants]
        if winner is not None and winner not in names:
            raise AssayError(f"experiment {found.name} has no variant {winner!r}; it has: {', '.join(names)}.")
        if found.started_at is None:
            raise AssayError(f"experiment {found.name} is {found.status}: there is nothing to override yet.")
        sentence = f"{winner} was chosen by {settings().actor}" if winner else f"None was chosen, by {settings().actor}"
        return decisions.decide(
            connection,
            found.id,
            outcome="variant" if winner else "inconclusive",
            variant=winner,
            rule="override by a person",
            sentence=f"{sentence}: {why.strip()}",
            automatic=False,
            why=why.strip(),
            actor=settings().actor,
        )
