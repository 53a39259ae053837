"""Benchmarks: what one would take, running it as a run of the ledger, and what came out of it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import combinations, takewhile
from statistics import median
from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy import Connection

from evaluations.answers import NO_VENDOR
from evaluations.benchmark_specs import BenchmarkSpec, SampleSpec
from evaluations.benchmarks.formats import VERDICT, format_named
from evaluations.benchmarks.results import BenchmarkResult, ModelResult, sides_of
from evaluations.benchmarks.rows import Judged, Question
from evaluations.benchmarks.workload import questions_like
from evaluations.errors import AssayError
from evaluations.latency import latency
from evaluations.leaderboards import Leaderboard, at_equal_length, leaderboard
from evaluations.pricing import candidate_names
from evaluations.scoring.base import Scored
from evaluations.scoring.judges import JUDGES
from evaluations.specs import VariantSpec
from evaluations.statistics.clusters import per_unit
from evaluations.statistics.early_stopping import stopping, whole_cases
from evaluations.statistics.power import detectable_pairs
from evaluations.verdicts import EXIT_CODES
from tasks.benchmark_files import LoadedBenchmark, Prepared, load_benchmark, prepare, quotas_of
from tasks.case_sources import cluster_column
from tasks.panel import Panel
from tasks.planning import Plan, RunRequest, open_run, plan_ahead, take_plan
from tasks.settings import settings
from tasks.store import benchmarks
from tasks.store.answers import answers_between, scores_of
from tasks.store.benchmarks import CaseValues, Measure, StoredBenchmark, benchmark_of, save_benchmark
from tasks.store.database import transaction
from tasks.store.datasets import cases_of, dataset_of
from tasks.store.runs import StoredRun, find_run, run_of, shards_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

DISAGREEING = 0.2
"""The share of cases that two models of an unknown benchmark are taken to disagree on, before a run has told."""
EARLIER = 50
"""Earlier runs that a leaderboard is held against."""
LOOK_EVERY = 50
"""Cases between two looks of a benchmark that may stop early; looking often costs no certainty."""
MEASURED: Mapping[str, Measure] = {"latency": "latency_ms", "throughput": "total_ms", "cost": "cost"}
"""What categories other than accuracy rank by; less is better."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkRequest:
    """What somebody asked for: names and small scalars."""

    benchmark: str
    models: tuple[str, ...] = ()
    cases: int | None = None
    by: str = ""
    max_cost: Decimal | None = None
    max_time: float | None = None
    concurrency: int | None = None
    stop_early: bool = False
    allow_unpriced: bool = False
    use_cache: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkPlan:
    """What a benchmark would take and what it could tell."""

    loaded: LoadedBenchmark
    spec: BenchmarkSpec
    prepared: Prepared
    plan: Plan
    detectable: float | None
    """Smallest difference of two models that this many cases show with 80 % power, in the unit of the metric; None
    where its spread is not known, or one model runs alone."""
    spread_from: str
    """Where the spread behind `detectable` comes from."""
    affordable: int | None
    """Cases that the cost limit pays for at the high end of the estimate; None without a limit or a price."""
    affordable_detectable: float | None
    warnings: tuple[str, ...]


def plan_benchmark(request: BenchmarkRequest) -> BenchmarkPlan:
    """Check, prepare and estimate; nothing is called. A flow of this process may then open the very plan.

    Raises AssayError for whatever would make the benchmark fail, with file and line where it stands in one.
    """
    loaded = _with_wishes(load_benchmark(request.benchmark), request)
    prepared = prepare(loaded, workload(loaded.spec))
    plan = plan_ahead(_run_request(request, prepared, loaded.spec.stop_early))
    compared = len(plan.loaded.variants)
    spread, spread_from = _spread(loaded.spec)
    units = _units(plan, loaded)
    affordable = _affordable(plan)

    def shown_by(n: int | None) -> float | None:
        if spread is None or n is None or n < 2 or compared < 2:
            return None
        return detectable_pairs(spread, n, alpha=0.05 / math.comb(compared, 2))

    found = shown_by(units)
    per_case = units / max(1, plan.cases)
    within_budget = None if affordable is None else min(units, int(affordable * per_case))
    return BenchmarkPlan(
        loaded=loaded,
        spec=loaded.spec,
        prepared=prepared,
        plan=plan,
        detectable=found,
        spread_from=spread_from,
        affordable=affordable,
        affordable_detectable=shown_by(within_budget),
        warnings=tuple(_warnings(loaded.spec, plan, prepared, found, affordable)),
    )


def _with_wishes(loaded: LoadedBenchmark, request: BenchmarkRequest) -> LoadedBenchmark:
    """The definition with what was asked for on top of it; limits of money and time are the run's own."""
    changes: dict[str, object] = {}
    if request.cases is not None:
        changes["sample"] = SampleSpec(cases=request.cases, by=request.by)
    elif request.by:
        raise AssayError("a column to sample by goes with a number of cases: --cases N --by COLUMN.")
    if request.stop_early:
        changes["stop_early"] = True
    wished = LoadedBenchmark(spec=loaded.spec.model_copy(update=changes), path=loaded.path)
    if wished.spec.stop_early and wished.spec.category != "accuracy":
        raise AssayError(
            "a benchmark that may stop early ranks by accuracy: only scores in [0, 1] have a bound that holds at every "
            "look."
        )
    return wished


def workload(spec: BenchmarkSpec) -> list[Question]:
    """Questions as long as requests of production were, drawn in proportion to their kinds; none without a workload.

    Raises AssayError where no request is there to draw from.
    """
    if spec.workload is None:
        return []
    wanted, days = spec.workload.requests, spec.workload.days
    with transaction() as connection:
        kinds = benchmarks.kinds_of_requests(connection, spec.workload.feature, days)
        if not kinds:
            of = "" if spec.workload.feature is None else f" of {spec.workload.feature}"
            raise AssayError(
                f"no answered request{of} with known tokens is there to draw a workload from; `assay ingest FILE` "
                "takes them in."
            )
        quotas = quotas_of(kinds, wanted)
        return questions_like(benchmarks.draw_requests(connection, spec.workload.feature, days, quotas, spec.seed))


def _run_request(request: BenchmarkRequest, prepared: Prepared, stop_early: bool) -> RunRequest:
    return RunRequest(
        suite=str(prepared.suite),
        models=request.models,
        max_cost=request.max_cost,
        max_time=request.max_time,
        concurrency=request.concurrency,
        allow_unpriced=request.allow_unpriced,
        use_cache=request.use_cache,
        kind="benchmark",
        cases_a_shard=LOOK_EVERY if stop_early else None,
    )


def _units(plan: Plan, loaded: LoadedBenchmark) -> int:
    """Independent cases: sources where cases share one, as clusters bound what many cases of few sources tell."""
    column = cluster_column(loaded.spec)
    if not column:
        return plan.cases
    with transaction() as connection:
        return len(set(benchmarks.case_columns(connection, plan.dataset.id, column).values()))


def _spread(spec: BenchmarkSpec) -> tuple[float | None, str]:
    """The standard deviation of the difference of two models on an independent case, and where it comes from."""
    with transaction() as connection:
        earlier = benchmarks.latest_benchmark(connection, spec.benchmark)
    if earlier is not None and (spreads := _spreads(earlier)):
        return median(spreads), f"of run {str(earlier)[:8]} of this benchmark"
    if spec.category == "accuracy":
        return math.sqrt(DISAGREEING), f"assumed: two models disagree on {DISAGREEING:.0%} of the cases"
    return None, "not known before a first run"


def _spreads(run_id: UUID) -> list[float]:
    """Of every pair of models of a run: between sources where cases share one, else between cases."""
    import numpy as np

    with transaction() as connection:
        run, stored = run_of(connection, run_id), benchmark_of(connection, run_id)
    measured = _measured(run, stored)
    found = []
    for one, other in combinations(measured.scores.values(), 2):
        both = np.isfinite(one - other)
        differences = (one - other)[both]
        if measured.clusters is not None and differences.size:
            sources = [source for source, kept in zip(measured.clusters, both, strict=True) if kept]
            differences = np.asarray(per_unit(differences, sources).means)
        if differences.size > 1:
            found.append(float(differences.std(ddof=1)))
    return found


def _affordable(plan: Plan) -> int | None:
    cap, cost = plan.spec.max_cost, plan.estimate.cost
    if cap is None or cost is None or cost.high <= 0:
        return None
    return min(plan.cases, int(float(cap) / (cost.high / plan.cases)))


def _warnings(
    spec: BenchmarkSpec, plan: Plan, prepared: Prepared, detectable: float | None, affordable: int | None
) -> Sequence[str]:
    told = []
    cases = plan.cases if affordable is None else affordable
    if affordable is not None and affordable < plan.cases:
        told.append(f"the cost limit pays for {affordable} of {plan.cases} cases at the high end of the estimate")
    if spec.planned_cases is not None and cases < spec.planned_cases:
        told.append(f"{cases} cases are fewer than the {spec.planned_cases} that were planned")
    if spec.smallest_difference is not None and (detectable is None or detectable > spec.smallest_difference):
        shows = "what these cases show is not known" if detectable is None else f"these cases show {detectable:.3g}"
        told.append(f"a difference of {spec.smallest_difference:g} matters, and {shows}")
    for model, missing in prepared.unanswered.items():
        if missing:
            told.append(f"{model} has no recorded answer to {missing} of {prepared.asked} questions: counted as errors")
    for model, extra in prepared.unasked.items():
        if extra and prepared.asked == prepared.questions:
            told.append(f"{extra} recorded answers of {model} are to no question of this benchmark: left out")
    return told


# Running


def open_benchmark(request: BenchmarkRequest) -> UUID:
    """Write a benchmark down as a run, its models being the variants; nothing is called yet."""
    loaded = _with_wishes(load_benchmark(request.benchmark), request)
    prepared = prepare(loaded, workload(loaded.spec))
    run_id = open_run(take_plan(_run_request(request, prepared, loaded.spec.stop_early)))
    with transaction() as connection:
        save_benchmark(connection, run_id, loaded.spec, prepared.sources, settings().actor)
    return run_id


def open_rerun(given: str) -> UUID:
    """A new run that judges the recorded answers of a benchmark run from the beginning; no model is called."""
    from tasks.planning import open_rescore

    with transaction() as connection:
        run_id = find_benchmark_run(connection, given)
        stored = benchmark_of(connection, run_id)
    rerun = open_rescore(run_id, None)
    with transaction() as connection:
        save_benchmark(connection, rerun, stored.spec, stored.sources, settings().actor)
    return rerun


def find_benchmark_run(connection: Connection, given: str) -> UUID:
    """The run that somebody means: a run's id, the first characters of it, or a benchmark's name for its latest run.

    Raises AssayError when there is none.
    """
    latest = benchmarks.latest_benchmark(connection, given)
    run_id = latest or find_run(connection, given)
    benchmark_of(connection, run_id)
    return run_id


def find_benchmark(given: str) -> UUID:
    """As `find_benchmark_run`, in a transaction of its own."""
    with transaction() as connection:
        return find_benchmark_run(connection, given)


def is_benchmark(run_id: UUID) -> bool:
    """Whether a run was begun as a benchmark."""
    with transaction() as connection:
        return run_of(connection, run_id).kind == "benchmark"


# Concluding


def conclude_benchmark(run_id: UUID) -> BenchmarkResult:
    """What a run of a benchmark measured, as the ledger has it now."""
    with transaction() as connection:
        run, stored = run_of(connection, run_id), benchmark_of(connection, run_id)
        dataset = dataset_of(connection, run.dataset_id)
    spec = stored.spec
    measured = _measured(run, stored)
    board = _board(run, stored, measured)
    models = _models(run, spec, measured.scores)
    cases = max((each.scored + each.unscored for each in models.values()), default=0)
    return BenchmarkResult(
        run_id=str(run.id),
        as_of=run.completed_at or run.recorded_at,
        benchmark=spec.benchmark,
        description=run.suite.description,
        use_case=spec.use_case,
        category=spec.category,
        format=spec.format,
        metric=metric_of(spec),
        cases=cases,
        cases_planned=run.cases,
        repeats=run.repeats,
        stop_reason=run.stop_reason,
        board=board,
        models=tuple(models[each.model] for each in board.standings),
        sides=sides_of(measured.scores, board),
        judged=_is_judged(run, spec),
        at_equal_length=at_equal_length(board, measured.scores, measured.lengths, measured.clusters)
        if measured.lengths
        else {},
        seed=run.seed,
        sources=stored.sources,
        dataset_hash=dataset.content_hash,
        suite_hash=run.suite_hash,
        sample_data=dataset.sample_data,
        simulated=any(each.model.startswith("simulated/") for variant in run.variants for each in variant.asks),
        recorded=all(each.model.startswith("replay/") for variant in run.variants for each in variant.asks),
    )


def earlier_values(result: BenchmarkResult) -> list[float]:
    """What models scored in the earlier complete runs of this benchmark on these very cases; reruns are none."""
    with transaction() as connection:
        run = run_of(connection, UUID(result.run_id))
        earlier = benchmarks.earlier_runs(connection, run.id, result.benchmark, run.dataset_id, EARLIER)
    found: list[float] = []
    for run_id in earlier:
        with transaction() as connection:
            other, stored = run_of(connection, run_id), benchmark_of(connection, run_id)
        if metric_of(stored.spec) == result.metric:
            means = [values[values == values] for values in _measured(other, stored).scores.values()]
            found += [float(values.mean()) for values in means if values.size]
    return found


def exit_code(result: BenchmarkResult) -> int:
    """0 measured, 3 no answer came, 4 a limit of money or time was met, 5 nothing could be scored, 130 interrupted."""
    if not any(model.answered for model in result.models):
        return EXIT_CODES["provider_error"]
    if result.stop_reason in ("budget", "time", "interrupted") and not result.complete:
        return EXIT_CODES["interrupted" if result.stop_reason == "interrupted" else "budget"]
    measured = any(each.value is not None for each in result.board.standings)
    return EXIT_CODES["pass" if measured else "inconclusive"]


def metric_of(spec: BenchmarkSpec) -> str:
    """What a case's value is."""
    if spec.category != "accuracy":
        return MEASURED[spec.category]
    if spec.metric:
        return spec.metric
    return format_named(spec.format).metric if not spec.scorers else spec.scorers[0].name


def _case_values(connection: Connection, run: StoredRun, metric: str) -> CaseValues:
    if metric in MEASURED.values():
        return benchmarks.case_measures(connection, run.answers_of, metric)  # type: ignore[arg-type]
    if metric == VERDICT:
        return benchmarks.case_verdicts(connection, run.id)
    return benchmarks.case_scores(connection, run.id, metric)


@dataclass(frozen=True, slots=True)
class _Measured:
    """What a run measured, case by case."""

    scores: "Mapping[str, Floats]"
    """By model one value per case, NaN where there is none."""
    clusters: tuple[str, ...] | None
    """What each case belongs to; None where each stands alone."""
    lengths: "Mapping[str, Floats]"
    """As `scores`, how many characters its answers have; empty where no judge scored."""
    planned: tuple[str, ...] | None
    """The same of every case there was to ask, in the order in which they are put."""


def _measured(run: StoredRun, stored: StoredBenchmark) -> _Measured:
    import numpy as np

    column = cluster_column(stored.spec)
    with transaction() as connection:
        values = _case_values(connection, run, metric_of(stored.spec))
        sources = benchmarks.case_columns(connection, run.dataset_id, column) if column else {}
        sizes = benchmarks.case_measures(connection, run.answers_of, "length") if _is_judged(run, stored.spec) else {}
    positions = sorted({position for _, position in values})
    if stored.spec.stop_early:
        # Cases beyond a gap came back early because they are easy, and would flatter whoever they came back from.
        with transaction() as connection:
            order = benchmarks.case_positions(connection, run.dataset_id)
        whole = (all((number, at) in values for number in range(len(run.variants))) for at in order)
        positions = [at for at, there in zip(order, takewhile(bool, whole), strict=False) if there]
        if sources:
            # A source counts once all of its cases are there: the first ones alone may be the easy ones.
            positions = positions[: whole_cases([sources[at] for at in order], len(positions))]

    def by_model(found: CaseValues) -> "dict[str, Floats]":
        there = {name: [found.get((number, at)) for at in positions] for number, name in enumerate(_names(run))}
        return {
            name: np.array([math.nan if value is None else value for value in mine], dtype=np.float64)
            for name, mine in there.items()
        }

    return _Measured(
        scores=by_model(values),
        clusters=tuple(sources[position] for position in positions) if sources else None,
        planned=tuple(sources.values()) if sources else None,
        lengths=by_model(sizes) if sizes else {},
    )


def _is_judged(run: StoredRun, spec: BenchmarkSpec) -> bool:
    """Whether a judging model gave the scores that the board ranks by."""
    seats = Panel(run.suite, run.folder_path).seats
    return any(seat.label == metric_of(spec) and isinstance(seat.scorer, tuple(JUDGES.values())) for seat in seats)


def _names(run: StoredRun) -> tuple[str, ...]:
    """What boards call the models of a run, in its order: their ids; of recorded and simulated answers the run's words,
    since no id says whose they are.
    """
    return candidate_names([(_id_of(variant), variant.label) for variant in run.variants])


def _id_of(variant: VariantSpec) -> str:
    asked = variant.model.model
    return variant.label if asked.startswith(NO_VENDOR) else asked


def may_stop_early(run_id: UUID) -> bool:
    """Whether a run is a benchmark that is to stop once its models are told apart."""
    with transaction() as connection:
        found = benchmarks.find_benchmark(connection, run_id)
    return found is not None and found.spec.stop_early


def is_decided(run_id: UUID) -> bool:
    """Whether every pair of models is decided by the cases so far, by bets that hold however often one looks."""
    with transaction() as connection:
        run, stored = run_of(connection, run_id), benchmark_of(connection, run_id)
    measured = _measured(run, stored)
    if len(measured.scores) < 2 or not next(iter(measured.scores.values())).size:
        return False
    margin = stored.spec.smallest_difference
    return stopping(measured.scores, planned=run.cases, clusters=measured.planned, margin=margin).stop


def _board(run: StoredRun, stored: StoredBenchmark, measured: _Measured) -> Leaderboard:
    return leaderboard(
        measured.scores,
        clusters=measured.planned if stored.spec.stop_early else measured.clusters,
        lengths=measured.lengths or None,
        better="higher" if stored.spec.category == "accuracy" else "lower",
        planned=run.cases if stored.spec.stop_early else None,
        seed=stored.spec.seed,
    )


def _models(run: StoredRun, spec: BenchmarkSpec, scores: "Mapping[str, Floats]") -> dict[str, ModelResult]:
    import numpy as np

    from evaluations.benchmarks.figures import rate

    with transaction() as connection:
        spent = benchmarks.spending(connection, run.answers_of)
        timed = benchmarks.timings(connection, run.answers_of)
        seconds = benchmarks.seconds_of(connection, run.answers_of)
    judged = _judged(run)
    form = format_named(spec.format)
    readable = (spec.unreadable or form.unreadable) is not None and run.repeats == 1
    found = {}
    for number, (name, variant) in enumerate(zip(_names(run), run.variants, strict=True)):
        money = spent.get(number, benchmarks.NOTHING_SPENT)
        values = scores[name]
        known = values[~np.isnan(values)]
        binary = bool(np.isin(known, (0.0, 1.0)).all()) and spec.category == "accuracy"
        right = int(known.sum()) if binary else 0
        # How fast a recording is read says nothing of the model.
        replayed = any(each.model.startswith("replay/") for each in variant.asks)
        took = [replace(each, queue_ms=None) if replayed else each for each in timed.get(number, [])]
        measured = latency(took, seconds=None if replayed else seconds)
        # Of what nothing was read from: calls that failed are no wrong answers.
        failed = sum(each.text is None for each in judged[number])
        found[name] = ModelResult(
            model=name,
            asked=variant.model.model,
            answers=money.answers,
            answered=money.answered,
            errors=measured.errors,
            contaminated=money.contaminated,
            cost=money.cost,
            unpriced=money.unpriced,
            input_tokens=money.input_tokens,
            output_tokens=money.output_tokens,
            usage_unknown=money.usage_unknown,
            latency=measured,
            scored=int(known.size),
            unscored=int(values.size - known.size),
            right=rate(right, int(known.size)) if binary else None,
            unreadable_wrong=rate(right, int(values.size) - failed) if binary and readable else None,
            figures=form.figures(judged[number]) if judged[number] else {},
        )
    return found


def _judged(run: StoredRun) -> dict[int, list[Judged]]:
    """Every answer with its scores, by variant position, in the order of the cases."""
    panel = Panel(run.suite, run.folder_path)
    found: dict[int, list[Judged]] = {number: [] for number in range(len(run.variants))}
    with transaction() as connection:
        for first, last in shards_of(connection, run.id):
            cases = {each.position: each.case for each in cases_of(connection, run.dataset_id, run.chosen, first, last)}
            answers = answers_between(connection, run.answers_of, first, last)
            seats = {position: panel.seats_for(case) for position, case in cases.items()}
            versions = {(seat.label, seat.version) for some in seats.values() for seat in some}
            scores = scores_of(connection, [each.id for each in answers], versions)
            for each in answers:
                case = cases[each.key.position]
                given = {seat.label: scores.get((each.id, seat.label)) for seat in seats[each.key.position]}
                found[each.key.variant].append(
                    Judged(
                        question=case.id,
                        expected=case.expected,
                        tags=case.tags,
                        metadata=case.metadata,
                        repeat=each.key.repeat,
                        text=each.answer.text,
                        scores={
                            label: score.value if isinstance(score, Scored) else None for label, score in given.items()
                        },
                    )
                )
    return found
