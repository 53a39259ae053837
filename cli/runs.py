"""assay runs: list runs, show one, write its report again."""

import json
from pathlib import Path

import click


@click.group()
def runs() -> None:
    """List runs, show one, write its report again."""


@runs.command("list")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
@click.option("--suite", help="Only runs of this suite.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(limit: int, suite: str | None, as_json: bool) -> None:
    """The latest runs, newest first."""
    from evaluations.wording import money
    from tasks.store.database import transaction
    from tasks.store.runs import list_runs

    with transaction() as connection:
        lines = list_runs(connection, limit, suite)
    if as_json:
        click.echo(
            json.dumps(
                [
                    {
                        "run": str(line.id),
                        "suite": line.suite,
                        "status": line.status,
                        "verdict": line.verdict,
                        "done": line.done,
                        "total": line.cells,
                        "spent_usd": str(line.spent),
                        "actor": line.actor,
                        "at": line.recorded_at.isoformat() + "Z",
                        "sentence": line.sentence,
                        "report": line.report,
                    }
                    for line in lines
                ]
            )
        )
        return
    if not lines:
        click.echo("No runs yet. Start one: assay run support-tickets")
        return
    click.echo(f"{'run':<10}{'when (UTC)':<18}{'suite':<24}{'status':<11}{'verdict':<15}{'answers':>15}{'spent':>13}")
    for line in lines:
        answers = f"{line.done:,}/{line.cells:,}"
        click.echo(
            f"{str(line.id)[:8]:<10}{line.recorded_at:%Y-%m-%d %H:%M}  {line.suite[:22]:<24}{line.status:<11}"
            f"{line.verdict or '-':<15}{answers:>15}{money(line.spent):>13}"
        )


@runs.command()
@click.argument("run")
@click.option("--json", "as_json", is_flag=True, help="Print the whole result as JSON.")
@click.option("--cases", type=click.IntRange(0, 1000), default=10, show_default=True, help="Failing cases to show.")
def show(run: str, as_json: bool, cases: int) -> None:
    """The verdict of RUN (an id, its first characters, or `last`), what failed and what changed since the last run."""
    from evaluations.changes import causes_of, sentence_of
    from evaluations.verdicts import VERDICTS
    from tasks.concluding import conclude
    from tasks.store.database import transaction
    from tasks.store.runs import find_run, run_of

    with transaction() as connection:
        run_id = find_run(connection, run)
        report = run_of(connection, run_id).report
    result = conclude(run_id)
    if as_json:
        from reports.twins import as_json as whole

        click.echo(whole(result))
        return
    click.echo(result.sentence)
    for reason in result.reasons:
        click.echo(f"  {reason}")
    if result.since_last is not None:
        click.echo(f"{sentence_of(result.since_last)} {causes_of(result.since_last)}")
    for variant in result.variants:
        counts = ", ".join(f"{variant.verdicts.get(verdict, 0)} {verdict}" for verdict in VERDICTS)
        click.echo(f"  {variant.label}: {counts}")
    for case in [case for case in result.cases if case.verdict in ("fail", "flaky", "error")][:cases]:
        click.echo(f"  {case.verdict:<6} {case.case_id} ({case.variant}): {case.reason}")
    click.echo(f"Report: {report or 'not written yet; assay runs report ' + str(run_id)[:8]}")


@runs.command()
@click.argument("run")
def report(run: str) -> None:
    """Write the report of RUN again, from what the store has now."""
    from tasks.concluding import conclude
    from tasks.publishing import publish
    from tasks.store.database import transaction
    from tasks.store.runs import find_run

    with transaction() as connection:
        run_id = find_run(connection, run)
    published = publish(conclude(run_id))
    click.echo(Path(published.html))
