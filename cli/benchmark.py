"""assay benchmark: plan and run benchmarks, rank models with what is sure about it, measure the same again."""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import click

from cli.run import Money, Time
from evaluations.wording import count, duration, money, percent

if TYPE_CHECKING:
    from evaluations.benchmarks.results import BenchmarkResult
    from evaluations.benchmarks.use_cases import Suits
    from tasks.benchmarking import BenchmarkPlan, BenchmarkRequest


@click.group()
def benchmark() -> None:
    """Benchmark models: accuracy, latency, cost or throughput, on published questions or on your own.

    \b
    A YAML file says which questions, in which format, and who is to answer them:
      assay benchmark plan sample-benchmark           calls, cost, time, and what that many cases can show
      assay benchmark run sample-benchmark            a sample; no key, no network
      assay benchmark leaderboard sample-benchmark    rank ranges and ties, by paired tests
      assay benchmark rerun RUN                       judge the recorded answers again: the same numbers

    How to write one, and the formats that are read: docs/benchmarks.md.
    """


_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_WISHES = (
    click.argument("benchmark"),
    click.option("-m", "--model", "models", multiple=True, metavar="MODEL", help="Only this model. Repeatable."),
    click.option("--cases", type=click.IntRange(1, 1_000_000), help="Only so many questions, drawn with the seed."),
    click.option("--by", default="", metavar="COLUMN", help="With --cases: draw in proportion to this column."),
    click.option("--max-cost", type=Money(), help="Stop before more than this is spent, in US dollars."),
    click.option("--max-time", type=Time(), help='Stop after this time: seconds, "10m", "1h30m".'),
    click.option("--concurrency", type=click.IntRange(1, 1000), help="Calls in flight at once."),
    click.option("--stop-early", is_flag=True, help="Stop once the ranking is clear."),
    click.option("--no-cache", is_flag=True, help="Ask again even where the ledger has the answer."),
    click.option("--allow-unpriced", is_flag=True, help="With --max-cost: run models whose price is unknown."),
)


def _wishes(command: Any) -> Any:
    for option in reversed(_WISHES):
        command = option(command)
    return command


def _request(no_cache: bool, **given: Any) -> "BenchmarkRequest":
    from tasks.benchmarking import BenchmarkRequest

    return BenchmarkRequest(use_cache=not no_cache, **given)


@benchmark.command()
@_wishes
@_JSON
def plan(as_json: bool, **given: Any) -> None:
    """What BENCHMARK would call, cost and take, and the smallest difference that it could show.

    BENCHMARK is a file, or the name of a folder under datasets/ that holds a benchmark.yaml.
    """
    from tasks.benchmarking import plan_benchmark

    found = plan_benchmark(_request(**given))
    if as_json:
        click.echo(json.dumps(_plan_json(found), default=str))
        return
    _tell(found, err=False)


@benchmark.command()
@_wishes
@click.option("--json", "as_json", is_flag=True, help="Print events as lines of JSON.")
def run(as_json: bool, **given: Any) -> None:
    """Run BENCHMARK and print its leaderboard.

    Ctrl-C stops in order and keeps every answer; `assay run --resume RUN` goes on.
    """
    from cli.driving import drive, emit, looker, show_for
    from cli.run import use_prefect
    from tasks.benchmarking import plan_benchmark

    request = _request(**given)
    planned = plan_benchmark(request)
    if as_json:
        emit("planned", **_plan_json(planned))
    else:
        _tell(planned, err=True)
    use_prefect()
    from flows.benchmark import benchmark as flow

    run_id = drive(
        lambda: flow(
            benchmark=request.benchmark,
            models=list(request.models),
            cases=request.cases,
            by=request.by,
            max_cost=None if request.max_cost is None else float(request.max_cost),
            max_time=request.max_time,
            concurrency=request.concurrency,
            stop_early=request.stop_early,
            use_cache=request.use_cache,
            allow_unpriced=request.allow_unpriced,
        ),
        show_for(as_json=as_json),
        looker(),
    )
    _finish(run_id, as_json=as_json)


@benchmark.command()
@click.argument("run")
@click.option("--json", "as_json", is_flag=True, help="Print events as lines of JSON.")
def rerun(run: str, as_json: bool) -> None:
    """Judge the recorded answers of RUN from the beginning, without any call, and compare every number.

    RUN is an id, its first characters, or a benchmark's name for its latest run. Ends with 1 when a number
    differs: a scorer that is not its own record, or a changed version of Assay.
    """
    from cli.driving import drive, emit, looker, show_for
    from cli.main import leave
    from cli.run import use_prefect
    from reports.benchmark_twins import as_metrics
    from tasks.benchmark_pages import published_of
    from tasks.benchmarking import conclude_benchmark, find_benchmark

    before = conclude_benchmark(find_benchmark(run))
    use_prefect()
    from flows.benchmark_rerun import benchmark_rerun

    new_id = drive(lambda: benchmark_rerun(run=before.run_id), show_for(as_json=as_json), looker())
    after = conclude_benchmark(find_benchmark(new_id))
    same = as_metrics(before) == as_metrics(after)
    if as_json:
        emit("done", run=new_id, rerun_of=before.run_id, identical=same, metrics=str(published_of(after).metrics))
    else:
        _tell_board(after)
        said = "Every number is the same" if same else "The numbers differ"
        click.echo(f"{said} as in run {before.run_id[:8]}." if same else f"{said} from run {before.run_id[:8]}.")
        click.echo(f"Metrics: {published_of(after).metrics}")
    leave(0 if same else 1)


@benchmark.command()
@click.argument("run")
@_JSON
def leaderboard(run: str, as_json: bool) -> None:
    """The leaderboard of RUN: an id, its first characters, or a benchmark's name for its latest run."""
    from evaluations.benchmarks.results import metrics
    from tasks.benchmark_pages import publish_benchmark
    from tasks.benchmarking import conclude_benchmark, find_benchmark

    run_id = find_benchmark(run)
    result = conclude_benchmark(run_id)
    published = publish_benchmark(run_id)
    if as_json:
        click.echo(json.dumps(metrics(result)))
        return
    _tell_board(result)
    click.echo(f"Page: {published.html}")


@benchmark.command()
@click.argument("run")
@_JSON
def show(run: str, as_json: bool) -> None:
    """What RUN was to find out, from which files, what it measured and what each model took."""
    from evaluations.benchmarks.results import metrics
    from tasks.benchmarking import conclude_benchmark, find_benchmark

    run_id = find_benchmark(run)
    result = conclude_benchmark(run_id)
    if as_json:
        click.echo(json.dumps({"run": result.run_id, **metrics(result)}))
        return
    _tell_board(result)
    for model in result.models:
        click.echo(f"{model.model} ({'recorded answers' if model.asked.startswith('replay/') else model.asked})")
        for line in _about(model):
            click.echo(f"  {line}")
    click.echo("Made of:")
    for file, digest in result.sources.items():
        click.echo(f"  {file}  {str(digest)[:16]}")


@benchmark.command("list")
@click.argument("name", required=False)
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@_JSON
def list_(name: str | None, limit: int, as_json: bool) -> None:
    """Benchmark runs, the latest first; with NAME those of one benchmark."""
    from tasks.store.benchmarks import list_benchmarks
    from tasks.store.database import transaction

    with transaction() as connection:
        found = list_benchmarks(connection, limit, name)
    if as_json:
        click.echo(
            json.dumps(
                [
                    {
                        "run": str(each.run_id),
                        "benchmark": each.name,
                        "category": each.category,
                        "format": each.format,
                        "status": each.status,
                        "models": each.models,
                        "cases": each.cases,
                        "rerun_of": None if each.rerun_of is None else str(each.rerun_of),
                        "actor": each.actor,
                        "recorded_at": each.recorded_at.isoformat(),
                    }
                    for each in found
                ]
            )
        )
        return
    if not found:
        click.echo("No benchmark was run yet. Try: assay benchmark run sample-benchmark")
        return
    click.echo(f"{'run':<10}{'benchmark':<26}{'category':<12}{'format':<18}{'status':<11}{'models':>7}{'cases':>8}")
    for each in found:
        again = f"  rerun of {str(each.rerun_of)[:8]}" if each.rerun_of else ""
        click.echo(
            f"{str(each.run_id)[:8]:<10}{each.name[:24]:<26}{each.category:<12}{each.format:<18}{each.status:<11}"
            f"{each.models:>7}{each.cases:>8}{again}"
        )


@benchmark.command()
@_JSON
def formats(as_json: bool) -> None:
    """The formats of questions and answers that are read."""
    from evaluations.benchmarks.formats import FORMATS

    if as_json:
        click.echo(json.dumps({name: form.about for name, form in FORMATS.items()}))
        return
    for name, form in FORMATS.items():
        click.echo(f"{name:<20}{form.about}")


# In words


def _tell(found: "BenchmarkPlan", *, err: bool) -> None:
    from cli.plans import cost_in_words

    plan, spec = found.plan, found.spec
    click.echo(
        f"{spec.benchmark} ({spec.category}): {count(plan.cases, 'case')} x "
        f"{count(len(plan.loaded.variants), 'model')} x {count(spec.repeats, 'repeat')} = "
        f"{count(plan.cells, 'answer')}; {cost_in_words(plan)}",
        err=err,
    )
    if not err:
        for each in plan.estimate.variants:
            click.echo(
                f"  {each.label}: {count(each.calls, 'call')}, about {count(each.input_tokens)} tokens in and "
                f"{count(each.output_tokens)} out"
            )
        if not plan.estimate.recorded:
            low, high = (duration(s * 1000) for s in (plan.estimate.seconds.low, plan.estimate.seconds.high))
            click.echo(f"  time: {low} to {high} with {count(plan.spec.concurrency, 'call')} at once")
        click.echo(f"  {_detectable(found)}")
        if found.affordable is not None:
            shows = "" if found.affordable_detectable is None else f", which show {found.affordable_detectable:.3g}"
            click.echo(f"  within {money(plan.spec.max_cost or Decimal(0))}: {count(found.affordable, 'case')}{shows}")
        click.echo("  nothing was called")
    for warning in found.warnings:
        click.echo(f"  note: {warning}", err=err)


def _detectable(found: "BenchmarkPlan") -> str:
    if len(found.plan.loaded.variants) < 2:
        return "one model alone is compared with nothing"
    if found.detectable is None:
        return f"the smallest difference that shows is not known: its spread is {found.spread_from}"
    return (
        f"a difference of {found.detectable:.3g} between two models shows with 80 % power (spread {found.spread_from})"
    )


def _plan_json(found: "BenchmarkPlan") -> dict[str, Any]:
    from cli.plans import plan_event

    return {
        "benchmark": found.spec.benchmark,
        "category": found.spec.category,
        "format": found.spec.format,
        "questions": found.prepared.questions,
        **plan_event(found.plan),
        "detectable": found.detectable,
        "spread_from": found.spread_from,
        "affordable_cases": found.affordable,
        "affordable_detectable": found.affordable_detectable,
        "warnings": list(found.warnings),
    }


def _tell_board(result: "BenchmarkResult") -> None:
    from evaluations.benchmarks.results import UNITS, headline

    board = result.board
    label = "Sample data: made up for demonstration. " if result.sample_data else ""
    click.echo(f"{label}{headline(result)}")
    short = "" if result.complete else f" of {result.cases_planned} ({result.stop_reason or 'not all answered'})"
    of = "" if board.clusters is None else f", {board.clusters} sources"
    click.echo(f"{result.benchmark}: {result.metric}, {UNITS[result.category]}; {result.cases} cases{short}{of}")
    width = max(12, *(len(each.model) for each in board.standings)) + 2
    click.echo(f"{'rank':<8}{'model':<{width}}{'value':>10}  {'95% interval':<22}{'n':>6}{'no score':>10}")
    for each in board.standings:
        rank = f"{each.best_rank}" if each.best_rank == each.worst_rank else f"{each.best_rank}-{each.worst_rank}"
        interval = "" if each.interval is None else f"{_value(result, each.interval.low)} to "
        interval += "" if each.interval is None else _value(result, each.interval.high)
        value = "none" if each.value is None else _value(result, each.value)
        click.echo(f"{rank:<8}{each.model:<{width}}{value:>10}  {interval:<22}{each.n:>6}{each.unscored:>10}")
    for group in board.tied:
        click.echo(f"tied: {', '.join(group)}")
    for line in _of_length(result):
        click.echo(line)


def _of_length(result: "BenchmarkResult") -> Iterator[str]:
    """What a judge's scores owe to the length of answers; nothing where no judge scored."""
    from evaluations.statistics.length_bias import LengthControlled
    from reports.views.leaderboard_words import turns

    turned = {pair: found for pair, found in result.at_equal_length.items() if turns(found)}
    for (first, second), found in turned.items():
        assert isinstance(found, LengthControlled)
        yield (
            f"length: {first} is preferred to {second} in {percent(found.raw.value)} of the cases, at equal length of "
            f"answers in {percent(found.controlled.value)}: its lead is not there"
        )
    if result.at_equal_length and not turned:
        yield "length: no pair changes at equal length of answers"


def _value(result: "BenchmarkResult", value: float) -> str:
    if result.category == "accuracy":
        return percent(value)
    if result.category == "cost":
        return money(Decimal(repr(value)))
    return duration(value)


def _about(model: Any) -> list[str]:
    lines = [f"{count(model.answered)} of {count(model.answers, 'answer')}"]
    lines[0] += "".join(f", {n} {kind}" for kind, n in model.errors.items())
    if model.unreadable_wrong is not None and model.unscored:
        whole = model.unreadable_wrong
        lines.append(f"unreadable counted as wrong: {whole['k']} of {whole['n']}, {percent(whole['rate'])}")
    priced = f"{money(model.cost)}" if model.unpriced < model.answered else "cost unknown"
    lines.append(
        f"{priced}, {count(model.unpriced)} unpriced; {count(model.input_tokens + model.output_tokens)} tokens"
    )
    for name, spread in (
        ("queue", model.latency.queue),
        ("first token", model.latency.first_token),
        ("model time", model.latency.total),
    ):
        if spread.n:
            p50, p95 = spread.at(0.5), spread.at(0.95)
            lines.append(f"{name}: p50 {duration(p50.value)}, p95 {duration(p95.value)} (n = {spread.n})")
    if model.latency.requests_per_second is not None:
        lines.append(f"throughput: {model.latency.requests_per_second:.3g} answers a second")
    return lines


# Endings


def _finish(run_id: str, *, as_json: bool) -> None:
    from uuid import UUID

    from cli.driving import emit
    from cli.main import leave
    from evaluations.benchmarks.results import headline
    from reports.files import jsonable
    from tasks.benchmark_pages import published_of
    from tasks.benchmark_scores import suits
    from tasks.benchmarking import conclude_benchmark, exit_code

    result = conclude_benchmark(UUID(run_id))
    published, code, told = published_of(result), exit_code(result), suits(result)
    if as_json:
        emit(
            "done",
            run=run_id,
            sentence=headline(result),
            use_case=jsonable(told),
            page=str(published.html),
            metrics=str(published.metrics),
            exit_code=code,
        )
    else:
        _tell_board(result)
        if result.stop_reason == "decided":
            saved = 1 - result.cases / result.cases_planned
            click.echo(f"Stopped early: every pair is decided, {percent(saved)} of the cases were not needed.")
        _tell_use_case(told)
        click.echo(f"Page: {published.html}")
        if not result.complete and result.stop_reason in ("interrupted", "budget", "time"):
            click.echo(f"Go on:  assay run --resume {run_id[:8]}")
    leave(code)


def _tell_use_case(told: "Suits") -> None:
    if told.scores:
        names = ", ".join(f"{name} {score.score:.1f}" for name, score in told.scores)
        click.echo(f"Measured for {told.use_case}, of 100: {names}. `assay models show MODEL` has them.")
    for why in told.without:
        click.echo(f"No score for {told.use_case}: {why}.")
