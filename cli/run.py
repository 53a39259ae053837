"""assay run: run a suite, or go on with a run."""

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evaluations.errors import AssayError
from evaluations.verdicts import EXIT_CODES

if TYPE_CHECKING:
    from tasks.planning import RunRequest
    from tasks.store.runs import StoredRun


MOST_MONEY = 10_000_000


class Money(click.ParamType[Decimal]):
    """US dollars, exactly."""

    name = "usd"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        try:
            amount = Decimal(str(value).removeprefix("$"))
        except InvalidOperation:
            self.fail(f"{value!r} is not an amount of dollars; write something like 0.50", param, ctx)
        if not amount.is_finite() or amount < 0:
            self.fail(f"{value!r} is not an amount of dollars that could be spent", param, ctx)
        if amount > MOST_MONEY:
            self.fail(f"{value!r} is more than the ledger can count; the most is {MOST_MONEY:,}", param, ctx)
        return amount


class Time(click.ParamType[float]):
    """Seconds, or "10m", "1h30m"."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        from evaluations.specs import seconds

        try:
            found = float(seconds(value) if not str(value).replace(".", "", 1).isdigit() else value)
        except ValueError as problem:
            self.fail(str(problem), param, ctx)
        if not found > 0:
            self.fail("a time limit is more than nothing", param, ctx)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the command is to do beside running."""

    dry_run: bool
    junit: Path | None
    as_json: bool
    inconclusive: str


@click.command()
@click.argument("suite", required=False)
@click.option(
    "-m",
    "--model",
    "models",
    multiple=True,
    metavar="MODEL",
    help="Only this model of the suite, or another one. Repeatable.",
)
@click.option(
    "--prompt",
    "prompts",
    multiple=True,
    metavar="FILE|NAME@VERSION",
    help="This prompt file, or registered version, instead of the suite's. Repeatable.",
)
@click.option("--repeat", "repeats", type=click.IntRange(1, 1000), help="Answer every case this often.")
@click.option(
    "--where", multiple=True, metavar="KEY=VALUE", help="Only cases with tag=…, priority=… or id=…. Repeatable."
)
@click.option("--dry-run", is_flag=True, help="Print calls, tokens, cost and time; call nothing.")
@click.option("--max-cost", type=Money(), help="Stop before more than this is spent, in US dollars.")
@click.option("--max-time", type=Time(), help='Stop after this time: seconds, "10m", "1h30m".')
@click.option("--concurrency", type=click.IntRange(1, 1000), help="Calls in flight at once.")
@click.option("--quarantine", is_flag=True, help="Run the good rows of a dataset that breaks its contract.")
@click.option("--no-cache", is_flag=True, help="Ask again even where the ledger has the answer.")
@click.option("--allow-unpriced", is_flag=True, help="With --max-cost: run models whose price is unknown.")
@click.option("--resume", metavar="RUN", help="Go on with a run: its id, the first characters of it, or `last`.")
@click.option("--retry-errors", is_flag=True, help="With --resume: call errored cases again.")
@click.option(
    "--in-flight",
    type=click.Choice(["retry", "skip"]),
    default="retry",
    show_default=True,
    help="With --resume: what to do with calls that were open at a kill.",
)
@click.option("--junit", type=click.Path(dir_okay=False, path_type=Path), help="Also write the verdicts as JUnit XML.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print events as lines of JSON: planned, launched, progress, done."
)
@click.option(
    "--inconclusive",
    type=click.Choice(["pass", "fail"]),
    help="Exit with 0 or 1 instead of 5 when there is no verdict.",
)
def run(
    suite: str | None,
    models: tuple[str, ...],
    prompts: tuple[str, ...],
    repeats: int | None,
    where: tuple[str, ...],
    dry_run: bool,
    max_cost: Decimal | None,
    max_time: float | None,
    concurrency: int | None,
    quarantine: bool,
    no_cache: bool,
    allow_unpriced: bool,
    resume: str | None,
    retry_errors: bool,
    in_flight: str,
    junit: Path | None,
    as_json: bool,
    inconclusive: str | None,
) -> None:
    """Run SUITE and write its report.

    SUITE is a suite file, or the name of a folder under datasets/. Ctrl-C stops in order and keeps
    every answer; `assay run --resume RUN` goes on, here or on another machine with the same store.

    \b
    Examples:
      assay run support-tickets
      assay run suite.yaml -m openai/gpt-4o-mini --max-cost 2 --dry-run
      assay run suite.yaml --where tag=billing --repeat 5
      assay run --resume last --retry-errors
    """
    wanted = Wanted(dry_run=dry_run, junit=junit, as_json=as_json, inconclusive=inconclusive or "")
    if (suite is None) == (resume is None):
        raise click.UsageError("name a SUITE to run, or a run to go on with: --resume RUN.")
    if resume is not None:
        _refuse_with_resume(models, prompts, repeats, where, dry_run, quarantine, no_cache, concurrency)
        _resume(resume, retry_errors, in_flight, max_cost, max_time, wanted)
        return
    if retry_errors:
        raise click.UsageError("--retry-errors goes with --resume RUN.")
    from tasks.planning import RunRequest

    _start(
        RunRequest(
            suite=str(suite),
            models=models,
            prompts=prompts,
            repeats=repeats,
            where=where,
            max_cost=max_cost,
            max_time=max_time,
            concurrency=concurrency,
            quarantine=quarantine,
            use_cache=not no_cache,
            allow_unpriced=allow_unpriced,
        ),
        wanted,
    )


def _refuse_with_resume(*given: object) -> None:
    names = ("-m", "--prompt", "--repeat", "--where", "--dry-run", "--quarantine", "--no-cache", "--concurrency")
    named = [name for name, value in zip(names, given, strict=True) if value]
    if named:
        raise click.UsageError(
            f"{', '.join(named)} cannot be changed on the way: a resumed run goes on as it was begun. "
            "Start a new run; answers that are still good are taken from the ledger."
        )


def _start(request: "RunRequest", wanted: Wanted) -> None:
    from cli.driving import drive, emit, looker, show_for
    from cli.plans import plan_event, tell_plan
    from tasks.planning import plan_ahead

    plan = plan_ahead(request, _told)
    if wanted.as_json:
        emit("planned", **plan_event(plan))
    else:
        tell_plan(plan, brief=not wanted.dry_run)
    if wanted.dry_run:
        return
    use_prefect()
    from flows.suite_run import suite_run

    run_id = drive(
        lambda: suite_run(
            suite=request.suite,
            models=list(request.models),
            prompts=list(request.prompts),
            repeats=request.repeats,
            where=list(request.where),
            max_cost=None if request.max_cost is None else float(request.max_cost),
            max_time=request.max_time,
            concurrency=request.concurrency,
            quarantine=request.quarantine,
            use_cache=request.use_cache,
            allow_unpriced=request.allow_unpriced,
        ),
        show_for(as_json=wanted.as_json),
        looker(),
    )
    finish(run_id, wanted)


def _resume(
    given: str, retry_errors: bool, in_flight: str, max_cost: Decimal | None, max_time: float | None, wanted: Wanted
) -> None:
    from cli.driving import drive, looker, show_for
    from tasks.store.database import transaction
    from tasks.store.leases import owners
    from tasks.store.runs import find_run, progress_of

    with transaction() as connection:
        run_id = find_run(connection, given)
        progress = progress_of(connection, run_id)
        others = owners(connection, run_id)
    if not wanted.as_json:
        for other in others:
            click.echo(f"{other} is working on this run; joining.", err=True)
        click.echo(f"Run {str(run_id)[:8]}: {progress.done:,} of {progress.total:,} answers are there.", err=True)
    use_prefect()
    from flows.resume_run import resume_run

    drive(
        lambda: resume_run(
            run_id=run_id,
            retry_errors=retry_errors,
            in_flight="skip" if in_flight == "skip" else "retry",
            max_cost=None if max_cost is None else float(max_cost),
            max_time=max_time,
        ),
        show_for(as_json=wanted.as_json),
        looker(),
    )
    finish(str(run_id), wanted)


def finish(run_id: str, wanted: Wanted) -> None:
    """Print the verdict and where the report is, and leave with the verdict's exit code."""
    from cli.driving import emit
    from cli.main import leave
    from tasks.store.database import transaction
    from tasks.store.runs import find_run, run_of

    with transaction() as connection:
        stored = run_of(connection, find_run(connection, run_id))
    code = exit_code(stored, wanted.inconclusive)
    if wanted.junit is not None and stored.report is not None:
        from tasks.publishing import write_report

        write_report(wanted.junit, [(Path(stored.report).parent / "junit.xml").read_text()])
    if wanted.as_json:
        emit(
            "done",
            run=str(stored.id),
            verdict=stored.verdict,
            sentence=stored.sentence,
            report=stored.report,
            exit_code=code,
        )
    else:
        click.echo(stored.sentence)
        click.echo(f"Report: {stored.report}")
        if stored.status == "partial":
            click.echo(f"Go on:  assay run --resume {str(stored.id)[:8]}")
    leave(code)


def exit_code(run: "StoredRun", inconclusive: str) -> int:
    """The exit code of a run's verdict."""
    verdict = run.verdict
    if verdict is None:
        raise AssayError(f"run {str(run.id)[:8]} has no verdict yet.")
    if verdict == "inconclusive" and inconclusive:
        return 0 if inconclusive == "pass" else 1
    return EXIT_CODES[verdict]  # type: ignore[index]


def use_prefect() -> None:
    from tasks.prefect_server import use_server
    from tasks.settings import settings

    use_server(settings(), _told)


def _told(sentence: str) -> None:
    click.echo(sentence, err=True)
