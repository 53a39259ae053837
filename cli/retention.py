"""assay retention: how long requests and their spans are kept, and what is old enough to go."""

import click


@click.command()
@click.option("--apply", is_flag=True, help="Drop what is old enough now, as every nightly does.")
def retention(apply: bool) -> None:
    """Production requests by month and their spans by week: how much there is, and what is old enough to go.

    ASSAY_KEEP_REQUESTS_DAYS and ASSAY_KEEP_SPANS_DAYS say how long; without them everything is kept. Only whole
    months (weeks) go, and only when their days are rolled up; the rollups stay, frozen. Nightly does it by itself.
    """
    from tasks.retention import SETTING, apply_retention, retention_plan

    if apply:
        click.echo(f"{apply_retention()}.")
        return
    old = 0
    for table in retention_plan():
        kept = "for ever" if table.keep_days is None else f"{table.keep_days:,} days"
        click.echo(f"{table.name}: kept {kept} ({SETTING[table.name]}), {table.dropped:,} dropped so far")
        for each in table.held:
            part = each.partition
            told = "" if not each.is_old else ", old enough to go"
            told += ", waits to be rolled up first" if each.is_old and each.waits else ""
            click.echo(f"  {part.starts} to {part.ends}, without that day: {each.bytes / 1_000_000:,.1f} MB{told}")
            old += each.is_old and not each.waits
    if old:
        click.echo("To let them go now: assay retention --apply")
