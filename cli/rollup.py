"""assay rollup: the facts of days, rewritten from their requests."""

from datetime import datetime

import click

DAY = click.DateTime(["%Y-%m-%d"])


@click.command()
@click.option("--date", "day", type=DAY, help="This day.")
@click.option("--from", "first", type=DAY, help="From this day on ...")
@click.option("--to", "last", type=DAY, help="... until this one, which is included.")
@click.option("--dirty", is_flag=True, help="Every day whose requests changed; so is it without any option.")
def rollup(day: datetime | None, first: datetime | None, last: datetime | None, dirty: bool) -> None:
    """Rewrite the facts of days from their requests, day by day.

    A day may be rolled up any number of times and always ends in the same facts. If it had been over when
    it was rolled up before, and changes, that is a restatement: what it said before is kept, with the cause.
    """
    import asyncio

    from cli.run import use_prefect
    from tasks.rollups import days_between

    if sum((day is not None, first is not None or last is not None, dirty)) > 1:
        raise click.UsageError("give one of --date, --from with --to, and --dirty.")
    chosen = (day, None) if day else (first, last)
    begins, ends = (each.date() if each else None for each in chosen)
    days_between(begins, ends)
    use_prefect()
    from flows.daily_rollup import daily_rollup

    click.echo(asyncio.run(daily_rollup(first=begins, last=ends)))
