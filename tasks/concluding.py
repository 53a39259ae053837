"""Concluding a run: from what the store has added up to the one result that every report is made from."""

import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from evaluations.answers import ErrorKind
from evaluations.cases import Case
from evaluations.estimates import Estimate
from evaluations.results import (
    MAX_CASES_SHOWN,
    AnswerResult,
    CaseResult,
    GateResult,
    InFlightCall,
    Latency,
    Provenance,
    ProviderResult,
    RunResult,
    ScoreResult,
    ScorerResult,
    VariantResult,
)
from evaluations.scoring.base import Score
from evaluations.specs import GateSpec, VariantSpec
from evaluations.statistics.passes import mean_pass_at_k, mean_pass_hat_k
from evaluations.statistics.proportions import wilson
from evaluations.verdicts import VERDICTS, Gates, evaluate_gates, outcome_of, verdict_of_run
from tasks.panel import Panel, Seat
from tasks.scoring import judged_answer
from tasks.store import results
from tasks.store.answers import StoredAnswer, abandoned_calls, answers_at, scores_of
from tasks.store.comparisons import comparison_of
from tasks.store.database import transaction
from tasks.store.datasets import cases_at, dataset_of, quarantined_of
from tasks.store.results import AnswerTotals, VerdictLine, VerdictTotals
from tasks.store.runs import StoredRun, progress_of, provider_stats, run_of, set_verdict, shards_of

DEEPEST_K = 100
"""pass@k is shown up to this k."""


def conclude(run_id: UUID) -> RunResult:
    """The result of a run as the store has it now; its verdict is written beside the run."""
    with transaction() as connection:
        run = run_of(connection, run_id)
        panel = Panel(run.suite, run.folder_path)
        result = _result(connection, run, panel)
        set_verdict(connection, run_id, result.verdict, result.sentence, None)
        return result


def case_results(run_id: UUID) -> Iterator[CaseResult]:
    """Every judged case of a run in the order of the file, shard by shard: however many, few are in memory."""
    with transaction() as connection:
        run = run_of(connection, run_id)
        panel = Panel(run.suite, run.folder_path)
        for first, last in shards_of(connection, run_id):
            lines = results.verdict_lines_between(connection, run_id, first, last)
            yield from _cases(connection, run, panel, lines)


def _result(connection: Connection, run: StoredRun, panel: Panel) -> RunResult:
    totals = _Totals.of(connection, run)
    variants = tuple(_variant(position, spec, totals) for position, spec in enumerate(run.variants))
    limits = _gates(run.suite.gates)
    gates: tuple[GateResult, ...] = tuple(gate for each in variants for gate in evaluate_gates(each, limits))
    progress = progress_of(connection, run.id)
    complete = progress.done >= run.cells
    judgement = verdict_of_run(
        variants,
        gates,
        complete=complete,
        stop_reason=run.stop_reason,
        cells_done=progress.done,
        cells_total=run.cells,
        cap_usd=run.cap,
        max_seconds=run.max_time_s,
    )
    dataset = dataset_of(connection, run.dataset_id)
    lines = results.verdict_lines(connection, run.id, MAX_CASES_SHOWN)
    now = datetime.now(UTC)
    return RunResult(
        run_id=str(run.id),
        suite=run.suite.suite,
        description=run.suite.description,
        dataset=dataset.name,
        verdict=judgement.verdict,
        sentence=judgement.sentence,
        reasons=judgement.reasons,
        complete=complete,
        stop_reason="" if complete else run.stop_reason,
        cells_done=progress.done,
        cells_total=run.cells,
        started_at=run.started_at or run.recorded_at,
        finished_at=run.completed_at or now,
        as_of=run.completed_at or now,
        cases_total=run.cases,
        repeats=run.repeats,
        variants=variants,
        gates=gates,
        cases=_cases(connection, run, panel, lines),
        cases_left_out=results.count_verdicts(connection, run.id) - len(lines),
        cost_usd=results.spent(connection, run.answers_of),
        judge_cost_usd=results.judge_cost(connection, run.answers_of),
        cap_usd=run.cap,
        in_flight=tuple(
            InFlightCall(
                case_id=call.case_id,
                variant=run.variants[call.variant].label,
                repeat=call.repeat,
                opened_at=call.opened_at.replace(tzinfo=UTC),
                possible_cost_usd=call.reserved,
                resolution=call.resolution or "still open",
            )
            for call in abandoned_calls(connection, run.answers_of)
        ),
        quarantined=quarantined_of(connection, run.dataset_id),
        providers=_providers(provider_stats(connection, run.answers_of)),
        simulated=any(variant.simulated for variant in variants),
        sample_data=dataset.sample_data,
        provenance=Provenance(
            code_version=_code_version(),
            suite_hash=run.suite_hash,
            dataset=dataset.name,
            dataset_hash=dataset.content_hash,
            prompts={variant.prompt.label: variant.prompt.content_hash for variant in run.variants},
            price_date=results.price_date(
                connection, [each.model for variant in run.variants for each in variant.asks]
            ),
            seed=run.seed,
            platform=f"Python {platform.python_version()}, {platform.system()} {platform.machine()}",
        ),
        actor=run.actor,
        rescored_from=None if run.rescored_from is None else str(run.rescored_from),
        since_last=comparison_of(connection, run.id),
    )


def _providers(stats: Sequence[Mapping[str, Any]]) -> tuple[ProviderResult, ...]:
    """The executions of a run added up by model; the last advice stands."""
    by_label: dict[str, list[Mapping[str, Any]]] = {}
    for each in stats:
        by_label.setdefault(each["label"], []).append(each)
    return tuple(
        ProviderResult(
            label=label,
            model=some[-1]["model"],
            attempts=sum(each["attempts"] for each in some),
            retries=sum(each["retries"] for each in some),
            rate_limited=sum(each["rate_limited"] for each in some),
            waited_ms=sum(each["slot_wait_ms"] + each["backoff_wait_ms"] for each in some),
            breaker_openings=sum(each["breaker_openings"] for each in some),
            advice=some[-1]["advice"] or "",
        )
        for label, some in by_label.items()
    )


@dataclass(frozen=True, slots=True)
class _Totals:
    """What the store has added up, by variant position."""

    verdicts: Mapping[int, VerdictTotals]
    answers: Mapping[int, AnswerTotals]
    errors: Mapping[int, dict[ErrorKind, int]]
    models: Mapping[int, dict[str, int]]
    routed: Mapping[int, dict[str, int]]
    scorers: Mapping[int, list[results.ScorerTotals]]
    latencies: Mapping[int, Latency]
    repeats: int

    @classmethod
    def of(cls, connection: Connection, run: StoredRun) -> "_Totals":
        return cls(
            results.verdict_totals(connection, run.id),
            results.answer_totals(connection, run.id, run.answers_of),
            results.errors_by_kind(connection, run.answers_of),
            results.models_returned(connection, run.answers_of),
            results.routed_to(connection, run.answers_of),
            results.scorer_totals(connection, run.id),
            results.latencies(connection, run.answers_of),
            run.repeats,
        )


_NO_VERDICTS = VerdictTotals({}, 0, None, {})


def _variant(position: int, spec: VariantSpec, totals: _Totals) -> VariantResult:
    verdicts = totals.verdicts.get(position, _NO_VERDICTS)
    answers = totals.answers.get(position, results.NO_ANSWERS)
    counts = {verdict: verdicts.verdicts.get(verdict, 0) for verdict in VERDICTS}
    judged = counts["pass"] + counts["fail"] + counts["flaky"]
    ks = range(1, min(totals.repeats, DEEPEST_K) + 1)
    return VariantResult(
        label=spec.label,
        model=spec.model.model,
        prompt=f"{spec.prompt.name} {spec.prompt.version}",
        parameters=spec.parameters,
        gating=spec.gating,
        simulated=any(each.model.startswith("simulated/") for each in spec.asks),
        verdicts=counts,
        blockers_failed=verdicts.blockers,
        pass_rate=wilson(counts["pass"], judged) if judged else None,
        score=verdicts.score,
        pass_at={k: mean for k in ks if (mean := mean_pass_at_k(verdicts.pass_counts, k).value) is not None},
        pass_hat={k: mean for k in ks if (mean := mean_pass_hat_k(verdicts.pass_counts, k).value) is not None},
        answers=answers.answers,
        errors=totals.errors.get(position, {}),
        scorers=tuple(_scorer(each) for each in totals.scorers.get(position, [])),
        cost_usd=answers.cost,
        unpriced=answers.unpriced,
        cached=answers.cached,
        saved_usd=answers.saved,
        usage=answers.usage,
        latency=totals.latencies.get(position),
        models_returned=totals.models.get(position, {}),
        contaminated=answers.contaminated,
        fallbacks=answers.fallbacks,
        retried=answers.retried,
        retried_score=answers.retried_score,
        routed_to=totals.routed.get(position, {}),
    )


def _scorer(totals: results.ScorerTotals) -> ScorerResult:
    scored = totals.passed + totals.failed
    return ScorerResult(
        scorer=totals.scorer,
        severity=totals.severity,
        weight=totals.weight,
        threshold=totals.threshold,
        passed=totals.passed,
        failed=totals.failed,
        unscored=totals.unscored,
        mean=totals.total / scored if scored else None,
    )


def _gates(spec: GateSpec) -> Gates:
    return Gates(
        pass_rate=spec.pass_rate,
        confident=spec.confident,
        blockers=spec.blockers,
        error_share=spec.error_share,
        cost_usd=spec.cost_usd,
        p95_latency_ms=spec.p95_latency_ms,
    )


def _cases(
    connection: Connection, run: StoredRun, panel: Panel, lines: Sequence[VerdictLine]
) -> tuple[CaseResult, ...]:
    """The cases behind some verdicts, with every answer and score."""
    positions = sorted({line.position for line in lines})
    cases = {stored.position: stored.case for stored in cases_at(connection, run.dataset_id, positions)}
    seats = {position: panel.seats_for(case) for position, case in cases.items()}
    answers: dict[tuple[int, int], list[StoredAnswer]] = {}
    for stored in answers_at(connection, run.answers_of, positions):
        answers.setdefault((stored.key.position, stored.key.variant), []).append(stored)
    versions = {(seat.label, seat.version) for some in seats.values() for seat in some}
    scores = scores_of(connection, [a.id for some in answers.values() for a in some], versions)
    return tuple(
        _case(
            run.variants[line.variant].label,
            line,
            cases[line.position],
            [
                _answer(stored, seats[line.position], scores)
                for stored in answers.get((line.position, line.variant), [])
            ],
        )
        for line in lines
    )


def _case(variant: str, line: VerdictLine, case: Case, answers: Sequence[AnswerResult]) -> CaseResult:
    rate: Estimate | None = wilson(line.passed, line.judged) if line.judged else None
    return CaseResult(
        case_id=case.id,
        description=case.description,
        variant=variant,
        verdict=line.verdict,
        reason=line.reason,
        inputs=dict(case.inputs),
        expected=case.expected,
        tags=case.tags,
        priority=case.priority,
        pass_rate=rate,
        failed_severity=line.failed_severity,
        answers=tuple(answers),
    )


def _answer(stored: StoredAnswer, seats: Sequence[Seat], scores: Mapping[tuple[int, str], Score]) -> AnswerResult:
    answer = stored.answer
    judged = judged_answer(stored, seats, scores) if answer.text is not None else []
    outcome = outcome_of([each for _, each in judged]) if judged else None
    return AnswerResult(
        repeat=stored.key.repeat,
        text=answer.text,
        error=answer.error,
        error_message=answer.error_message,
        passed=outcome.passed if outcome else None,
        score=outcome.score if outcome else None,
        scores=tuple(
            ScoreResult(
                scorer=label,
                value=each.value,
                passed=each.passed,
                why=each.score.why,
                severity=each.severity,
                weight=each.weight,
            )
            for label, each in judged
        ),
        latency_ms=answer.latency_ms,
        cost_usd=answer.cost_usd,
        usage=answer.usage,
        from_cache=answer.from_cache,
        model_returned=answer.model_returned,
        contaminated=stored.contaminated,
    )


def _code_version() -> str:
    """The version of Assay and, in a checkout, the commit: read from git's own files, git need not be there."""
    git = Path(__file__).parents[1] / ".git"
    try:
        head = (git / "HEAD").read_text().strip()
        if head.startswith("ref: "):
            head = (git / head[5:]).read_text().strip()
    except OSError:
        return version("assay")
    return f"{version('assay')} ({head[:12]})"
