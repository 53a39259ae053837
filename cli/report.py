"""assay report: the pages about production requests."""

from datetime import datetime

import click

from cli.rollup import DAY


@click.command()
@click.argument("page")
@click.argument("id_", metavar="[ID]", default="")
@click.option("--from", "first", type=DAY, help="First day; thirty days before the last one unless given.")
@click.option("--to", "last", type=DAY, help="Last day; the newest that is over and has requests unless given.")
def report(page: str, id_: str, first: datetime | None, last: datetime | None) -> None:
    """Write a page about production requests, with its JSON and CSV twins, and say where it is.

    PAGE is overview (how things stand and what moved), spend (where the money went, when and by whom),
    customer (what became of customers' matters and what that is worth), models (which models and providers
    answer, and what is known of them), deployments (what is live where, what is on its way, how it does),
    recommendations (what to change, what that saves and what changes have saved), request
    with the ID of one (where its time and money went), deployment with the ID of one (its windows, looks and
    what it changed), experiment, benchmark or prompt with the name of one (versions, differences and reviews
    of a prompt); all writes every page that nightly writes. Pages are static: one file, no network, the same
    bytes from the same facts.
    """
    import asyncio

    from cli.run import use_prefect
    from tasks.pages import check_page

    begins, ends = (each.date() if each else None for each in (first, last))
    wanted = "" if page == "all" else page
    check_page(wanted, id_, begins, ends)
    use_prefect()
    from flows.report import report as report_flow

    click.echo(asyncio.run(report_flow(page=wanted, id=id_, first=begins, last=ends)))
