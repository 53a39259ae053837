"""assay demo: made-up traffic from its file to its pages, and a winner from its experiment to production and back."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from evaluations.sample_traffic import SampleTraffic

FIRST_DAY = "2026-05-01"
"""Always the same, so that a second demo finds its requests there and lands nothing twice."""


@click.command()
def demo() -> None:
    """Ingest sample traffic, roll it up, show what it cost and achieved and what to change, and write the pages.

    Then deploy the winner of its experiment, with a sample application that reads the flags, and see a bad
    canary taken back.

    The traffic is made up and labelled so wherever it shows; what is wrong with it on purpose is written
    beside it. Refuses to mix it into a store that holds requests of your own.
    """
    from cli.run import use_prefect
    from tasks.pages import check_only_sample_data
    from tasks.settings import settings

    check_only_sample_data()
    folder = settings().home / "sample-traffic"
    _step(f"assay sample-traffic {folder}")
    requests, traffic = _made(folder)
    use_prefect()
    _step(f"assay ingest {requests} --sample-data")
    _ingest(requests)
    _step("assay rollup")
    _roll_up()
    _step("assay spend --by feature")
    _spend()
    _step("assay customer")
    _customer()
    _step("assay recommend all")
    _recommendations()
    _step("assay report all")
    _pages()
    _deployment(traffic, folder)


def _step(command: str) -> None:
    click.echo(f"\n$ {command}")


def _made(folder: Path) -> "tuple[Path, SampleTraffic]":
    from datetime import date

    from evaluations.wording import count, points
    from tasks.sample_traffic import TRUTH, write_sample_traffic

    path, traffic = write_sample_traffic(folder, date.fromisoformat(FIRST_DAY))
    click.echo(f"{count(len(traffic.requests), 'made-up request')}; their troubles are told in {folder / TRUTH}:")
    for trouble in traffic.troubles:
        times = f"{trouble.begins:%Y-%m-%d %H:%M} to {trouble.ends:%m-%d %H:%M}"
        click.echo(f"  {trouble.kind} of {trouble.feature}, {times}")
    live = traffic.experiment
    click.echo(f"  experiment {live.name} of {live.feature}, {points(live.lift)} resolved")
    return path, traffic


def _ingest(requests: Path) -> None:
    from flows.ingest import ingest

    for line in asyncio.run(
        ingest(files=[str(requests)], format="assay", source="", fields=[], given=[], ignored=[], sample_data=True)
    ):
        click.echo(line)


def _roll_up() -> None:
    from flows.daily_rollup import daily_rollup

    click.echo(asyncio.run(daily_rollup(first=None, last=None)))


def _spend() -> None:
    from cli.spend import as_table
    from tasks.spending import spending

    click.echo(as_table(spending(("feature",), None, None, "total"), "total"))


def _customer() -> None:
    from cli.customer import as_text
    from tasks.customer import customer_impact

    click.echo(as_text(customer_impact()))


def _recommendations() -> None:
    from cli.recommend import as_list
    from flows.recommendation import recommendation
    from tasks.recommending import MARGIN
    from tasks.remeasuring import AFTER_DAYS

    click.echo(asyncio.run(recommendation(feature="", margin=MARGIN, after_days=AFTER_DAYS)))
    click.echo(as_list(None, None, "open"))


def _pages() -> None:
    from flows.report import report

    click.echo(str(asyncio.run(report(page="", id="", first=None, last=None))).replace("; ", "\n").rstrip("."))


def _deployment(traffic: "SampleTraffic", folder: Path) -> None:
    from tasks.sample_story import sample_story

    click.echo("\nFrom an experiment to production, and back. Sample data: traffic, approver and the watch's clock.")
    for line in sample_story(traffic.experiment, folder):
        click.echo(f"\n{line}" if line.startswith("$ ") else line)
