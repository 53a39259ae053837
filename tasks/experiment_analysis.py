"""Looking at experiments: data, comparison, verdict, decision. The same data are looked at once.

A look that the declared method does not allow yet shows no effect: it says how far the experiment is, and whether its
split is sound. Everything under way is read by one statement.
"""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, cast

from sqlalchemy import Connection

from evaluations.arms import CaseValues, LiveData, UnitSums
from evaluations.comparisons import Comparison, Finding
from evaluations.errors import AssayError
from evaluations.experiment_rules import (
    MOST_CROSSED,
    Occasion,
    concludes,
    occasion,
    plan_of,
    questions_of,
)
from evaluations.experiment_words import verdict_sentence
from evaluations.experiments import UNDER_WAY, Status
from evaluations.specs import canonical_json
from evaluations.statistics.compare import compare
from evaluations.statistics.outcomes import Determined, Undetermined
from evaluations.statistics.ratios import PairMoments
from evaluations.statistics.sample_ratio import SampleRatio, sample_ratio_any_time
from evaluations.wording import count, percent
from reports.files import jsonable
from tasks.flags import publish_flags
from tasks.secrets import without_secrets
from tasks.settings import settings
from tasks.store import decisions
from tasks.store import experiments as stored
from tasks.store.database import transaction
from tasks.store.decisions import EstimateLine, Look, NewLook
from tasks.store.experiment_data import case_values, live_data, quantile_limits
from tasks.store.experiments import StoredExperiment
from tasks.store.runs import StoredRun, progress_of, run_of

AT_ONCE = 100
"""Looks that are written in one transaction."""
WHOLE_RUN = Occasion("last", "every case is answered")


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What one look at an experiment found."""

    experiment: StoredExperiment
    """As it stands after the look."""
    occasion: Occasion
    comparison: Comparison | None
    """None while effects stay unseen."""
    live: LiveData | None
    offline: Mapping[str, CaseValues] | None
    look: Look | None
    """As it was written down; None while there is nothing to write."""
    sentence: str


@dataclass(frozen=True, slots=True)
class LookedAt:
    """What a sweep over experiments found."""

    looks: tuple[Looked, ...]
    failed: Mapping[str, str]
    """Experiments that could not be looked at, and why."""

    def __str__(self) -> str:
        if not self.looks and not self.failed:
            return "No experiment is under way."
        told = [f"{each.experiment.name}: {each.sentence}" for each in self.looks[:20]]
        if len(self.looks) > 20:
            told.append(f"and {count(len(self.looks) - 20, 'more experiment')}")
        told += [f"{name} could not be looked at: {why}" for name, why in self.failed.items()]
        return " ".join(told)


def under_way(name: str | None = None) -> list[StoredExperiment]:
    """The experiment named, or all that run. Raises AssayError for one that never started."""
    with transaction() as connection:
        if name is None:
            return stored.list_experiments(connection, statuses=["running"])
        found = stored.find_experiment(connection, name)
    if found.started_at is None:
        raise AssayError(f"experiment {found.name} is {found.status}: there is nothing to look at. Start it first.")
    return [found]


def look_at(experiments: Sequence[StoredExperiment], now: datetime | None = None) -> LookedAt:
    """Look at some experiments; one that fails keeps none of the others from their turn.

    Everything is read first, judged then, and written in few transactions.
    """
    now = now or datetime.now(UTC)
    live = [each for each in experiments if each.spec.design == "live_split"]
    with transaction() as connection:
        data = live_data(connection, live, limits=quantile_limits(connection, live))
        so_far = decisions.fractions_of(connection, [each.id for each in live])
    judged: list[_Judged] = []
    failed = {}
    for each in experiments:
        try:
            if each.name in data:
                judged.append(_live(each, data[each.name], so_far.get(each.id, ()), now))
            else:
                judged.append(_offline(each))
        except AssayError as problem:
            failed[each.name] = without_secrets(str(problem))
    return LookedAt(tuple(_written(judged)), failed)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    """What a look found, before it is written down."""

    experiment: StoredExperiment
    moment: Occasion
    comparison: Comparison | None
    sentence: str
    live: LiveData | None = None
    offline: Mapping[str, CaseValues] | None = None

    @property
    def ends(self) -> bool:
        """Does the declared rule end the experiment with this look?"""
        if self.comparison is None or self.comparison.blocked:
            return False
        return self.moment.kind == "last" or concludes(self.comparison)

    def looked(self, experiment: StoredExperiment, look: Look | None) -> Looked:
        return Looked(
            experiment=experiment,
            occasion=self.moment,
            comparison=self.comparison,
            live=self.live,
            offline=self.offline,
            look=look,
            sentence=self.sentence,
        )


# Live


def _live(experiment: StoredExperiment, data: LiveData, so_far: Sequence[float], now: datetime) -> _Judged:
    spec = experiment.spec
    assert experiment.started_at is not None
    moment = occasion(
        spec,
        smallest=min(arm.units for arm in data.arms.values()),
        planned_n=experiment.planned_n,
        looked_at=so_far,
        started_at=experiment.started_at,
        now=now,
    )
    if experiment.status not in UNDER_WAY:
        moment = Occasion("look", "the experiment is over")
    broken = _broken_assignment(experiment, data)
    if moment.kind == "wait" and not broken:
        sentence = f"Not enough data: {moment.why}."
        return _Judged(experiment=experiment, moment=moment, comparison=None, sentence=sentence, live=data)
    if moment.kind == "wait":
        moment = Occasion("look", "the assignment is broken")
    measured = {
        metric.metric: {name: _moments(arm.metrics[metric.metric]) for name, arm in data.arms.items()}
        for _, metric in spec.metrics
    }
    comparison = _compare(experiment, measured, moment.fractions, {name: arm.units for name, arm in data.arms.items()})
    if broken and not comparison.blocked:
        comparison = _blocked(comparison, broken)
    sentence = verdict_sentence(comparison, spec.declaration)
    return _Judged(experiment=experiment, moment=moment, comparison=comparison, sentence=sentence, live=data)


def _moments(sums: UnitSums) -> PairMoments:
    return PairMoments.from_sums(sums.units, sums.x, sums.y, sums.xx, sums.yy, sums.xy)


def _broken_assignment(experiment: StoredExperiment, data: LiveData) -> str:
    """Why the split of the traffic proves nothing; empty when it is sound. Safe to ask at any time."""
    units = {name: arm.units for name, arm in data.arms.items()}
    everyone = sum(units.values()) + data.crossed
    if everyone and data.crossed / everyone > MOST_CROSSED:
        share = percent(data.crossed / everyone)
        return f"{share} of the units were in more than one variant; the assignment is not sticky"
    weights = [float(variant.traffic or 0) for variant in experiment.spec.variants]
    found = sample_ratio_any_time([units[variant.name] for variant in experiment.spec.variants], weights)
    if isinstance(found, SampleRatio) and found.mismatch:
        worst = found.furthest
        name = experiment.spec.variants[worst].name
        return f"{percent(found.observed[worst])} of the units went to {name}, {percent(found.planned[worst])} planned"
    return ""


def _blocked(comparison: Comparison, why: str) -> Comparison:
    return replace(
        comparison,
        blocked=why,
        findings=tuple(replace(each, verdict="blocked", why=why) for each in comparison.findings),
    )


# Offline


def _offline(experiment: StoredExperiment) -> _Judged:
    if experiment.run_id is None:
        raise AssayError(f"experiment {experiment.name} has no run yet; start it by `assay experiments run`.")
    with transaction() as connection:
        run = run_of(connection, experiment.run_id)
        progress = progress_of(connection, experiment.run_id)
    if progress.done < progress.total:
        waiting = Occasion("wait", f"{count(progress.done)} of {count(progress.total)} answers")
        sentence = f"Not enough data: {waiting.why} are there. Go on: assay experiments run {experiment.name}"
        return _Judged(experiment=experiment, moment=waiting, comparison=None, sentence=sentence)
    values = values_of(experiment, run)
    comparison = _compare(experiment, {metric: each.values for metric, each in values.items()}, (), None)
    sentence = verdict_sentence(comparison, experiment.spec.declaration)
    return _Judged(experiment=experiment, moment=WHOLE_RUN, comparison=comparison, sentence=sentence, offline=values)


def values_of(experiment: StoredExperiment, run: StoredRun) -> dict[str, CaseValues]:
    """Every metric of an offline experiment, by case and arm."""
    places = {variant.label: place for place, variant in enumerate(run.variants)}
    arms = {arm.name: places[arm.label] for arm in experiment.spec.variants}
    with transaction() as connection:
        return {
            metric.metric: case_values(connection, run.id, run.answers_of, metric.metric, arms)
            for _, metric in experiment.spec.metrics
        }


# Both


def _compare(
    experiment: StoredExperiment,
    measured: Mapping[str, Mapping[str, Any]],
    fractions: tuple[float, ...],
    units: Mapping[str, int] | None,
) -> Comparison:
    import numpy as np

    spec = experiment.spec
    # Seeded by what was declared: the same data give the same bounds, whoever looks.
    seed = int((experiment.config_hash or spec.config_hash)[:15], 16)
    planned = experiment.planned_n if spec.design == "live_split" else None
    return compare(
        plan_of(spec, planned, fractions),
        questions_of(spec),
        measured,
        generator=np.random.default_rng(seed),
        units=units,
    )


# Writing it down


def _written(judged: Sequence[_Judged]) -> Iterator[Looked]:
    """Write the looks down, decide by the declared rules, and end the experiments that these end."""
    for begin in range(0, len(judged), AT_ONCE):
        chunk = judged[begin : begin + AT_ONCE]
        with transaction() as connection:
            statuses = stored.hold(connection, [each.experiment.id for each in chunk])
            looks = decisions.save_looks(
                connection,
                [_new_look(each, each.comparison, statuses[each.experiment.id]) for each in chunk if each.comparison],
                settings().actor,
            )
            ended = {
                each.experiment.id: _end(connection, each, each.comparison, looks[each.experiment.id])
                for each in chunk
                if each.comparison and each.ends and statuses[each.experiment.id] == "running"
            }
        for environment in sorted(
            {each.spec.environment for each in ended.values() if each.spec.design == "live_split"}
        ):
            publish_flags(environment)
        for each in chunk:
            yield each.looked(ended.get(each.experiment.id, each.experiment), looks.get(each.experiment.id))


def _new_look(each: _Judged, comparison: Comparison, status: Status) -> NewLook:
    return NewLook(
        experiment_id=each.experiment.id,
        data_hash=_hash(each.experiment, each.live, each.offline),
        verdict=_word(comparison),
        sentence=each.sentence,
        facts={
            "fraction": each.moment.fractions[-1] if each.moment.fractions else None,
            "occasion": each.moment.why,
            "findings": [jsonable(finding) for finding in comparison.findings],
            "sample_ratio": jsonable(comparison.sample_ratio),
            "counts": _counts(each.live, each.offline),
        },
        estimates=tuple(_line(finding) for finding in comparison.findings),
        post_hoc="" if status in UNDER_WAY else "after the end",
    )


def _end(connection: Connection, each: _Judged, comparison: Comparison, look: Look) -> StoredExperiment:
    """Decide by the declared rule, and give the experiment as it stands then."""
    spec = each.experiment.spec
    decisions.decide(
        connection,
        each.experiment.id,
        outcome=comparison.outcome,
        variant=comparison.chosen,
        rule=f"{spec.method}, {spec.primary.metric}, alpha {spec.alpha:g}; {each.moment.why}",
        sentence=each.sentence,
        automatic=True,
        actor=settings().actor,
        look_id=look.id,
    )
    stored.move(connection, each.experiment, "completed", actor=settings().actor, why=each.moment.why)
    return stored.find_experiment(connection, each.experiment.name)


def _word(comparison: Comparison) -> str:
    """The verdict on the experiment in a word, for lists."""
    if comparison.blocked:
        return "blocked"
    if comparison.chosen is not None:
        return "better" if comparison.winners else "worse"
    return "equivalent" if comparison.outcome == "no_difference" else "not_enough_data"


def _line(finding: Finding) -> EstimateLine:
    effect = finding.effect
    outcome = finding.outcome
    n = effect.n if effect is not None else outcome.n if isinstance(outcome, Undetermined) else 0
    return EstimateLine(
        metric=finding.metric,
        variant=finding.variant,
        role=finding.role,
        n=n,
        value=None if effect is None else effect.value,
        low=None if effect is None else _finite(effect.low),
        high=None if effect is None else _finite(effect.high),
        confidence=0.0 if effect is None else effect.confidence,
        p=outcome.p if isinstance(outcome, Determined) else None,
        p_adjusted=None if finding.adjusted is None else finding.adjusted.p,
        method=outcome.method if isinstance(outcome, Determined) else "",
        verdict=finding.guard or finding.verdict,
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _counts(live: LiveData | None, offline: Mapping[str, CaseValues] | None) -> dict[str, Any]:
    if live is not None:
        return {
            "units": {name: arm.units for name, arm in live.arms.items()},
            "requests": {name: arm.requests for name, arm in live.arms.items()},
            "crossed": live.crossed,
            "strangers": dict(live.strangers),
            "outside": live.outside,
        }
    return {"cases": {metric: each.cases for metric, each in (offline or {}).items()}}


def _hash(experiment: StoredExperiment, live: LiveData | None, offline: Mapping[str, CaseValues] | None) -> str:
    """Of the data that were looked at and the rule they were looked at by."""
    if live is not None:
        whole = canonical_json({"rule": experiment.config_hash, "data": jsonable(live)})
        return hashlib.sha256(whole.encode()).hexdigest()
    digest = hashlib.sha256(cast(str, experiment.config_hash).encode())
    for metric, values in sorted((offline or {}).items()):
        for arm, each in sorted(values.values.items()):
            digest.update(json.dumps([metric, arm]).encode() + each.tobytes())
    return digest.hexdigest()
