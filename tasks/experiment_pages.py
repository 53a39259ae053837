"""The page of an experiment: everything that is known of it, gathered after a look, written with its twins."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from sqlalchemy import Connection

from evaluations.arms import CaseValues
from evaluations.composite import CompositeScore, Measured, Profile, Sensitivity, composite, profile_named, sensitivity
from evaluations.errors import AssayError
from evaluations.experiment_results import (
    ArmResult,
    Difference,
    DiffLine,
    Disagreement,
    Distribution,
    ExperimentResult,
    PastLook,
    Step,
)
from evaluations.experiment_specs import ExperimentSpec
from evaluations.prompt_changes import diff_lines, prompt_lines
from evaluations.specs import VariantSpec
from reports.files import jsonable
from tasks.experiment_analysis import Looked, LookedAt, look_at, under_way
from tasks.publishing import named_folder, write_report
from tasks.settings import settings
from tasks.store import decisions, experiment_data
from tasks.store.database import transaction
from tasks.store.datasets import dataset_of
from tasks.store.experiment_data import CallTotals
from tasks.store.experiments import StoredExperiment, events_of
from tasks.store.runs import StoredRun, run_of

MOST_DISAGREEMENTS = 40
COMPOSITE_OFFLINE = ("score", "pass_rate", "latency_ms", "output_tokens", "cost", "error_rate")
COMPOSITE_LIVE = ("quality", "resolution_rate", "latency_ms", "output_tokens", "cost", "error_rate", "rating")
"""What the composite score is made of, whatever an experiment declares."""
BINS = 20


def publish_experiment(name: str) -> Path:
    """Look at an experiment and write its page. Gives the page.

    Raises AssayError for one that there is not, or that never started.
    """
    looked = look_at(under_way(name))
    publish_experiments(looked)
    for why in looked.failed.values():
        raise AssayError(why)
    return page_of(looked.looks[0].experiment)


def publish_experiments(looked: LookedAt) -> list[Path]:
    """Write the pages of experiments that were looked at."""
    return [_publish(each) for each in looked.looks]


def page_of(experiment: StoredExperiment) -> Path:
    """Where the page of an experiment is; the id keeps names that look alike apart."""
    folder = named_folder(experiment.name, str(experiment.id), "experiment")
    return settings().reports_folder / f"experiment-{folder}" / "report.html"


def _publish(looked: Looked) -> Path:
    from reports.experiment_twins import as_csv, as_html, as_json

    result = result_of(looked)
    page = page_of(looked.experiment)
    again = f"assay report experiment {looked.experiment.name}"
    for name, parts in (
        ("estimates.csv", as_csv(result)),
        ("report.json", [as_json(result)]),
        ("report.html", [as_html(result)]),
    ):
        write_report(page.parent / name, parts, about="The experiment", again=again)
    return page


def result_of(looked: Looked, scored_by: Profile | None = None) -> ExperimentResult:
    """All that is known of an experiment after a look at it; `scored_by` goes before the profile it declared."""
    experiment = looked.experiment
    with transaction() as connection:
        looks = decisions.looks_of(connection, experiment.id)
        life = events_of(connection, experiment.id)
        run = None if experiment.run_id is None else run_of(connection, experiment.run_id)
        variants = {} if run is None else _variants(experiment.spec, run)
        arms = _arms(connection, looked, run, variants)
        disagreements, in_all = _disagreements(connection, looked, run)
        shown = looked.comparison is not None
        measured = _measured(connection, looked, run, arms) if shown else []
        profile = scored_by or profile_named(experiment.spec.scoring_profile)
        control = experiment.spec.control.name
        return ExperimentResult(
            id=str(experiment.id),
            declared=experiment.spec.declaration,
            status=experiment.status,
            config_hash=experiment.config_hash,
            sentence=looked.sentence,
            occasion=looked.occasion.why,
            comparison=looked.comparison,
            planned_n=experiment.planned_n,
            arms=arms,
            crossed=looked.live.crossed if looked.live else 0,
            strangers=dict(looked.live.strangers) if looked.live else {},
            outside=looked.live.outside if looked.live else 0,
            distributions=_distributions(connection, looked) if shown else (),
            disagreements=disagreements,
            disagreements_in_all=in_all,
            differences=_differences(experiment.spec, variants),
            profile=f"{profile.name} (version {profile.version}): {profile.says}",
            composite=composite(measured, control, profile) if shown else (),
            sensitivity=sensitivity(measured, control, profile) if shown else (),
            looks=tuple(PastLook(look=e.look, at=e.at, sentence=e.sentence, post_hoc=e.post_hoc) for e in looks),
            decisions=tuple(decisions.decisions_of(connection, experiment.id)),
            life=tuple(Step(status=e.after, at=e.at, actor=e.actor, why=e.why) for e in life),
            sample_data=_is_sample(connection, experiment, run),
            simulated=run is not None and experiment_data.is_simulated(connection, run.answers_of),
            # What is shown changes by these alone, so the same facts give the same page.
            as_of=max([*(each.at for each in looks), *(each.at for each in life)]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """The variants of an experiment by the composite score."""

    experiment: str
    profile: str
    post_hoc: bool
    """Another profile than the one that was declared."""
    scores: tuple[CompositeScore, ...]
    sensitivity: tuple[Sensitivity, ...]

    def as_json(self) -> dict[str, Any]:
        return cast(dict[str, Any], jsonable(self))


def scores_of(name: str, profile: str | None = None) -> Ranking:
    """Rank the variants of an experiment by the profile it declared, or after the fact by another one.

    Raises AssayError while its effects stay unseen.
    """
    chosen = None if profile is None else profile_named(profile)
    looked = look_at(under_way(name))
    for why in looked.failed.values():
        raise AssayError(why)
    result = result_of(looked.looks[0], chosen)
    if not result.composite:
        raise AssayError(f"{result.declared.experiment} is not scored yet: {result.occasion}.")
    return Ranking(
        experiment=result.declared.experiment,
        profile=result.profile,
        post_hoc=chosen is not None and chosen.name != looked.looks[0].experiment.spec.scoring_profile,
        scores=result.composite,
        sensitivity=result.sensitivity,
    )


def _is_sample(connection: Connection, experiment: StoredExperiment, run: StoredRun | None) -> bool:
    if run is not None:
        return dataset_of(connection, run.dataset_id).sample_data
    return experiment_data.has_sample_data(connection, experiment)


def _variants(spec: ExperimentSpec, run: StoredRun) -> dict[str, VariantSpec]:
    """The suite's variant behind each arm."""
    known = {variant.label: variant for variant in run.variants}
    return {arm.name: known[arm.label] for arm in spec.variants if arm.label in known}


# Arms


def _arms(
    connection: Connection, looked: Looked, run: StoredRun | None, variants: Mapping[str, VariantSpec]
) -> tuple[ArmResult, ...]:
    spec = looked.experiment.spec
    if run is not None:
        places = {variant.label: place for place, variant in enumerate(run.variants)}
        totals = experiment_data.call_totals(connection, run.answers_of)
        return tuple(
            _offline_arm(looked, arm.name, variants.get(arm.name), totals.get(places.get(arm.label, -1)))
            for arm in spec.variants
        )
    totals_live = experiment_data.live_costs(connection, looked.experiment)
    return tuple(_live_arm(looked, arm.name, totals_live.get(arm.name)) for arm in spec.variants)


def _offline_arm(looked: Looked, name: str, variant: VariantSpec | None, totals: CallTotals | None) -> ArmResult:
    levels: dict[str, float | None] = {}
    known: dict[str, int] = {}
    for metric, values in (looked.offline or {}).items():
        levels[metric], known[metric] = values.level(name), values.known(name)
    return ArmResult(
        name=name,
        control=looked.experiment.spec.control.name == name,
        model="" if variant is None else variant.model.model,
        prompt="" if variant is None else variant.prompt.label,
        traffic=None,
        units=max(known.values(), default=0),
        requests=0 if totals is None else totals.calls,
        levels=levels,
        known=known,
        cost=None if totals is None else totals.cost,
        unpriced=0 if totals is None else totals.unpriced,
    )


def _live_arm(looked: Looked, name: str, totals: CallTotals | None) -> ArmResult:
    arm = looked.live.arms[name] if looked.live else None
    spec = next(each for each in looked.experiment.spec.variants if each.name == name)
    shown = looked.comparison is not None and arm is not None
    return ArmResult(
        name=name,
        control=spec.control,
        model=str(spec.bundle.get("model", "")),
        prompt=str(spec.bundle.get("prompt", "")),
        traffic=spec.traffic,
        units=0 if arm is None else arm.units,
        requests=0 if arm is None else arm.requests,
        levels={metric: sums.value for metric, sums in arm.metrics.items()} if shown and arm else {},
        known={metric: sums.units for metric, sums in arm.metrics.items()} if shown and arm else {},
        cost=None if totals is None else totals.cost,
        unpriced=0 if totals is None else totals.unpriced,
    )


def _measured(
    connection: Connection, looked: Looked, run: StoredRun | None, arms: Sequence[ArmResult]
) -> list[Measured]:
    """What the composite score is made of, declared as a metric or not; what was not measured stays missing."""
    levels = _offline_levels(connection, looked, run) if run else _live_levels(connection, looked)
    return [_criteria(arm.name, {**levels.get(arm.name, {}), **arm.levels}) for arm in arms]


def _offline_levels(connection: Connection, looked: Looked, run: StoredRun) -> dict[str, dict[str, float | None]]:
    places = {variant.label: place for place, variant in enumerate(run.variants)}
    names = {arm.name: places[arm.label] for arm in looked.experiment.spec.variants}
    levels: dict[str, dict[str, float | None]] = {name: {} for name in names}
    for metric in _unmeasured(looked, COMPOSITE_OFFLINE):
        values = experiment_data.case_values(connection, run.id, run.answers_of, metric, names)
        for name in names:
            levels[name][metric] = values.level(name)
    return levels


def _live_levels(connection: Connection, looked: Looked) -> dict[str, dict[str, float | None]]:
    missing = _unmeasured(looked, COMPOSITE_LIVE)
    if not missing:
        return {}
    found = experiment_data.live_data(connection, [looked.experiment], metrics=missing)
    arms = found[looked.experiment.name].arms
    return {name: {metric: sums.value for metric, sums in arm.metrics.items()} for name, arm in arms.items()}


def _unmeasured(looked: Looked, metrics: Sequence[str]) -> list[str]:
    """Those of some metrics that the look itself did not measure."""
    declared = {given.metric for _, given in looked.experiment.spec.metrics}
    return [metric for metric in metrics if metric not in declared]


def _criteria(variant: str, levels: Mapping[str, float | None]) -> Measured:
    tokens, accuracy = levels.get("output_tokens"), levels.get("pass_rate", levels.get("resolution_rate"))
    return Measured(
        variant=variant,
        quality=levels.get("score", levels.get("quality")),
        accuracy=accuracy,
        latency_ms=levels.get("latency_ms"),
        tokens_per_pass=None if tokens is None or not accuracy else tokens / accuracy,
        cost_per_answer=levels.get("cost"),
        error_rate=levels.get("error_rate"),
        rating=levels.get("rating"),
    )


# What the pictures and lists are made of


def _distributions(connection: Connection, looked: Looked) -> tuple[Distribution, ...]:
    primary = looked.experiment.spec.primary.metric
    if looked.offline is not None:
        return tuple(
            _of_differences(looked, looked.offline[primary], arm.name) for arm in looked.experiment.spec.treatments
        )
    found = experiment_data.unit_histograms(connection, looked.experiment, primary, BINS)
    return tuple(
        Distribution(title=arm.name, edges=found.edges, counts=found.counts.get(arm.name, (0,) * BINS))
        for arm in looked.experiment.spec.variants
        if found.edges
    )


def _of_differences(looked: Looked, values: CaseValues, name: str) -> Distribution:
    """How a variant's cases lie beside the control's."""
    import numpy as np

    difference = values.values[name] - values.values[looked.experiment.spec.control.name]
    there = difference[~np.isnan(difference)]
    reach = float(np.abs(there).max()) if there.size else 0.0
    counts, edges = np.histogram(there, bins=BINS + 1, range=(-reach or -1.0, reach or 1.0))
    return Distribution(title=name, edges=tuple(map(float, edges)), counts=tuple(map(int, counts)))


def _disagreements(
    connection: Connection, looked: Looked, run: StoredRun | None
) -> tuple[tuple[Disagreement, ...], int]:
    """Cases on which a variant and the control differ on the primary metric, the widest apart first."""
    import numpy as np

    if looked.offline is None or run is None:
        return (), 0
    spec = looked.experiment.spec
    values = looked.offline[spec.primary.metric]
    control = values.values[spec.control.name]
    found: list[tuple[float, int, str]] = []
    for arm in spec.treatments:
        apart = np.nan_to_num(values.values[arm.name] - control)
        found += [(abs(float(apart[n])), int(n), arm.name) for n in np.flatnonzero(apart)]
    found.sort(key=lambda each: (-each[0], each[1], each[2]))
    chosen = found[:MOST_DISAGREEMENTS]
    positions = [int(values.positions[n]) for _, n, _ in chosen]
    ids = experiment_data.case_ids(connection, run.id, positions)
    places = {variant.label: place for place, variant in enumerate(run.variants)}
    labels = {arm.name: places[arm.label] for arm in spec.variants}
    texts = experiment_data.texts_of(connection, run.answers_of, positions)
    return (
        tuple(
            Disagreement(
                case_id=ids[position],
                variant=name,
                control_value=float(control[n]),
                value=float(values.values[name][n]),
                control_text=texts.get((position, labels[spec.control.name]), ""),
                text=texts.get((position, labels[name]), ""),
            )
            for (_, n, name), position in zip(chosen, positions, strict=True)
        ),
        len(found),
    )


# What differs


def _differences(spec: ExperimentSpec, variants: Mapping[str, VariantSpec]) -> tuple[Difference, ...]:
    return tuple(
        Difference(
            variant=arm.name,
            settings=_settings(_said(spec, spec.control.name, variants), _said(spec, arm.name, variants)),
            prompt=_prompt_diff(variants.get(spec.control.name), variants.get(arm.name)),
        )
        for arm in spec.treatments
    )


def _said(spec: ExperimentSpec, name: str, variants: Mapping[str, VariantSpec]) -> dict[str, str]:
    """Everything that sets a variant up, by name."""
    if (variant := variants.get(name)) is not None:
        said: dict[str, Any] = {
            "model": variant.model.model,
            "endpoint": variant.model.api_base,
            "prompt": variant.prompt.label,
            "longest answer": variant.model.max_output_tokens,
            **{f"parameter {key}": value for key, value in variant.parameters.items()},
        }
    else:
        said = dict(next(each for each in spec.variants if each.name == name).bundle)
    return {
        key: value if isinstance(value, str) else json.dumps(value) for key, value in said.items() if value is not None
    }


def _settings(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[tuple[str, str, str], ...]:
    return tuple(
        (key, before.get(key, "–"), after.get(key, "–"))
        for key in dict.fromkeys((*before, *after))
        if before.get(key) != after.get(key)
    )


def _prompt_diff(before: VariantSpec | None, after: VariantSpec | None) -> tuple[DiffLine, ...]:
    if before is None or after is None or before.prompt.content_hash == after.prompt.content_hash:
        return ()
    return diff_lines(prompt_lines(before.prompt), prompt_lines(after.prompt))
