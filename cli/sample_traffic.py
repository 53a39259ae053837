"""assay sample-traffic: thirty days of made-up requests with known troubles, to try everything on."""

from datetime import datetime
from pathlib import Path

import click

from cli.rollup import DAY


@click.command("sample-traffic")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--from", "first", type=DAY, default="2026-05-01", show_default=True, help="The first day.")
@click.option("--days", type=click.IntRange(14, 366), default=30, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=7, show_default=True)
@click.option(
    "--scale", type=click.FloatRange(0.01, 1000), default=1.0, show_default=True, help="Times as many requests."
)
def sample_traffic(folder: Path, first: datetime, days: int, seed: int, scale: float) -> None:
    """Write made-up requests of four features into FOLDER, and beside them the truth about their troubles.

    A cost spike, a latency drift, a quality drop, a bad deploy and a live experiment are in them. It is sample
    data: no real person, no real bill. The same options give the same bytes.
    """
    from evaluations.wording import count
    from tasks.sample_traffic import TRUTH, write_sample_traffic

    path, traffic = write_sample_traffic(folder, first.date(), days=days, seed=seed, scale=scale)
    click.echo(f"{count(len(traffic.requests), 'made-up request')} in {path}, the truth about them in {TRUTH}.")
    click.echo(f"Next: assay ingest {path} --sample-data")
