"""Analysing finished runs: what changed since the run before, stored once and told in the run's report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection

from evaluations.changes import (
    MAX_CHANGES_KEPT,
    Measured,
    RunChanges,
    VariantChange,
    case_changes,
    counted,
    differing,
)
from evaluations.errors import AssayError, InfrastructureError
from evaluations.specs import VariantSpec
from evaluations.wording import count
from tasks.concluding import conclude
from tasks.publishing import publish
from tasks.secrets import without_secrets
from tasks.settings import settings
from tasks.store import comparisons, results
from tasks.store.database import transaction
from tasks.store.datasets import dataset_of
from tasks.store.runs import StoredRun, run_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysed:
    """What one sweep did."""

    compared: tuple[UUID, ...]
    """Runs that were laid beside an earlier one; their reports say what changed."""
    first: tuple[UUID, ...]
    """Runs that had nothing to be compared with."""
    failed: Mapping[UUID, str]
    """Runs that could not be analysed, and why."""

    def __str__(self) -> str:
        if not (self.compared or self.first or self.failed):
            return "No finished run was waiting."
        parts = [f"{count(len(self.compared), 'run')} compared with the one before"] if self.compared else []
        if self.first:
            parts.append(f"{count(len(self.first), 'run')} without one before")
        parts += [f"run {str(run_id)[:8]} could not be analysed: {why}" for run_id, why in self.failed.items()]
        return "; ".join(parts).removesuffix(".") + "."


def waiting(run_id: UUID | None = None) -> list[UUID]:
    """The runs to be analysed: the one named, whether it was analysed before or not, or all that wait.

    Raises AssayError when the one named is not there or not complete.
    """
    with transaction() as connection:
        if run_id is None:
            return comparisons.waiting_runs(connection)
        run = run_of(connection, run_id)
    if run.status != "completed":
        raise AssayError(
            f"run {str(run_id)[:8]} is {run.status}, and only a completed run can be compared; "
            f"go on with it by `assay run --resume {str(run_id)[:8]}`."
        )
    return [run_id]


def analyse_all(run_ids: Sequence[UUID]) -> Analysed:
    """Analyse some runs, one after the other; one that fails keeps none of the others from their turn."""
    compared: list[UUID] = []
    first: list[UUID] = []
    failed: dict[UUID, str] = {}
    for run_id in run_ids:
        try:
            (compared if analyse(run_id) else first).append(run_id)
        except InfrastructureError:
            raise
        except Exception as problem:  # noqa: BLE001 - a run that cannot be read is told of, and the next has its turn
            failed[run_id] = _told(problem)
    return Analysed(compared=tuple(compared), first=tuple(first), failed=failed)


def _told(problem: Exception) -> str:
    kind = "" if isinstance(problem, AssayError) else f"{type(problem).__name__}: "
    return without_secrets(f"{kind}{problem}".splitlines()[0])


def analyse(run_id: UUID) -> bool:
    """Store what changed since the run before, and write the report again with it; False if there was none before."""
    with transaction() as connection:
        baseline = comparisons.baseline_of(connection, run_id)
        changes = None if baseline is None else changes_between(connection, baseline, run_id)
        comparisons.save_comparison(connection, run_id, changes, settings().actor)
    if changes is None:
        return False
    publish(conclude(run_id))
    with transaction() as connection:
        comparisons.mark_reported(connection, run_id)
    return True


def changes_between(connection: Connection, baseline: UUID, run_id: UUID) -> RunChanges:
    """What changed from one run to a later one."""
    before, now = _Side.of(connection, baseline), _Side.of(connection, run_id)
    changes = case_changes(comparisons.verdicts_of(connection, baseline), comparisons.verdicts_of(connection, run_id))
    kinds = counted(changes)
    return RunChanges(
        baseline_id=str(baseline),
        baseline_at=before.run.recorded_at,
        differs=differing(before.setup, now.setup),
        variants=tuple(
            VariantChange(
                variant=label,
                before=before.measured[label],
                now=measured,
                kinds=kinds.get(label, {}),
                differs=differing(before.made_of[label], now.made_of[label]),
            )
            for label, measured in now.measured.items()
            if label in before.measured
        ),
        variants_new=tuple(label for label in now.measured if label not in before.measured),
        variants_gone=tuple(label for label in before.measured if label not in now.measured),
        cases=tuple(changes[:MAX_CHANGES_KEPT]),
        cases_left_out=max(0, len(changes) - MAX_CHANGES_KEPT),
    )


@dataclass(frozen=True, slots=True)
class _Side:
    """One of the two runs: what it was made of, and what it measured, by the labels of its variants."""

    run: StoredRun
    setup: Mapping[str, object]
    made_of: Mapping[str, Mapping[str, object]]
    measured: Mapping[str, Measured]

    @classmethod
    def of(cls, connection: Connection, run_id: UUID) -> "_Side":
        run = run_of(connection, run_id)
        answered_by = results.models_returned(connection, run.answers_of)
        measured = _measured(connection, run)
        return cls(
            run=run,
            setup={
                "dataset": dataset_of(connection, run.dataset_id).content_hash,
                "scorers": [scorer.model_dump() for scorer in run.suite.scorers],
                "repeats": run.repeats,
                "required share of repeats": run.suite.require,
                "gates": run.suite.gates.model_dump(),
            },
            made_of={
                spec.label: _made_of(spec, answered_by.get(position, {})) for position, spec in enumerate(run.variants)
            },
            measured={spec.label: measured[position] for position, spec in enumerate(run.variants)},
        )


def _made_of(spec: VariantSpec, answered_by: Mapping[str, int]) -> dict[str, object]:
    return {
        "prompt": spec.prompt.content_hash,
        "model": (spec.model.model, spec.model.api_base),
        "route": spec.content_hash if spec.sides else None,
        "parameters": (spec.parameters, spec.model.max_output_tokens),
        "model that answered": sorted(answered_by),
    }


_NOTHING = results.VerdictTotals({}, 0, None, {})


def _measured(connection: Connection, run: StoredRun) -> dict[int, Measured]:
    """By variant position."""
    verdicts = results.verdict_totals(connection, run.id)
    answers = results.answer_totals(connection, run.id, run.answers_of)
    latencies = results.latencies(connection, run.answers_of)
    found = {}
    for position in range(len(run.variants)):
        ended = verdicts.get(position, _NOTHING).verdicts
        totals, latency = answers.get(position, results.NO_ANSWERS), latencies.get(position)
        passed = ended.get("pass", 0)
        found[position] = Measured(
            passed=passed,
            judged=passed + ended.get("fail", 0) + ended.get("flaky", 0),
            answers=totals.answers,
            cost_usd=totals.cost,
            unpriced=totals.unpriced,
            cached=totals.cached,
            p50_ms=latency.p50 if latency else None,
            p95_ms=latency.p95 if latency else None,
        )
    return found
