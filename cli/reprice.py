"""assay reprice: the price of requests of the past, looked up again."""

from datetime import datetime

import click

from cli.rollup import DAY


@click.command()
@click.option("--from", "first", type=DAY, required=True, help="From this day on ...")
@click.option("--to", "last", type=DAY, help="... until this one, which is included; the first day alone unless given.")
@click.option("--dry-run", is_flag=True, help="Say and report what would change; write nothing.")
def reprice(first: datetime, last: datetime | None, dry_run: bool) -> None:
    """Price requests of some days by the price rows of now, and report every difference.

    Requests keep the price they were ingested with; only this command changes it. It also prices
    those that were unpriced. A cost that a log stated stays. Whoever ran it, and every change, is
    kept; the days that changed are rolled up again by the next rollup, as restatements.

    \b
    A price was wrong, or came late:
      write it with its day into prices.yaml in ASSAY_HOME      (docs/prices.md)
      assay reprice --from 2026-06-01 --to 2026-06-30 --dry-run   what it would change
      assay reprice --from 2026-06-01 --to 2026-06-30             change it
      assay rollup                                                facts of the days, rewritten
    """
    import asyncio

    from tasks.rollups import days_between

    begins, ends = first.date(), None if last is None else last.date()
    days = days_between(begins, ends)
    if dry_run:
        from tasks.repricing import publish_repricing
        from tasks.repricing import reprice as reprice_days

        found = reprice_days(days or (), dry_run=True)
        click.echo(f"{found.sentence()}.\nReport: {publish_repricing(found).html}\nNothing was changed.")
        return
    from cli.run import use_prefect

    use_prefect()
    from flows.reprice import reprice as reprice_flow

    click.echo(asyncio.run(reprice_flow(first=begins, last=ends)))
