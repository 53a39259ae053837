"""assay rescore: judge the answers of a run again, without any model call."""

from pathlib import Path

import click


@click.command()
@click.argument("run")
@click.option("--suite", metavar="FILE", help="The suite file with new scorers, weights, thresholds or gates.")
@click.option("--junit", type=click.Path(dir_okay=False, path_type=Path), help="Also write the verdicts as JUnit XML.")
@click.option("--json", "as_json", is_flag=True, help="Print events as lines of JSON.")
@click.option("--inconclusive", type=click.Choice(["pass", "fail"]), help="Exit with 0 or 1 instead of 5.")
def rescore(run: str, suite: str | None, junit: Path | None, as_json: bool, inconclusive: str | None) -> None:
    """Judge the answers of RUN again, without any model call, as a new run linked to it.

    RUN is an id, its first characters, or `last`. With --suite, by the scorers and gates that stand
    there now; its variants and repeats have to be those that answered. What a judge said before is
    used again; a judge that was never asked leaves the answer unscored.
    """
    from uuid import UUID

    from cli.driving import drive, looker, show_for
    from cli.run import Wanted, finish, use_prefect
    from tasks.planning import open_rescore
    from tasks.store.database import transaction
    from tasks.store.runs import find_run

    with transaction() as connection:
        run_id = find_run(connection, run)
    new_id: UUID = open_rescore(run_id, suite)
    use_prefect()
    from flows.rescore import rescore as rescore_flow

    drive(lambda: rescore_flow(run_id=new_id), show_for(as_json=as_json), looker())
    finish(str(new_id), Wanted(dry_run=False, junit=junit, as_json=as_json, inconclusive=inconclusive or ""))
