"""assay rollup: the facts of days, rewritten from their requests; how days are parted, and what was restated."""

import json
from datetime import date, datetime
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from evaluations.rollups import Restatement
    from tasks.store.rollups import RolledUp

DAY = click.DateTime(["%Y-%m-%d"])
LONG_RANGE = 10
"""From so many days on it is said how far the work is."""


@click.command()
@click.option("--date", "day", type=DAY, help="This day.")
@click.option("--from", "first", type=DAY, help="From this day on ...")
@click.option("--to", "last", type=DAY, help="... until this one, which is included.")
@click.option("--dirty", is_flag=True, help="Every day whose requests changed; so is it without any option.")
@click.option("--timezone", metavar="ZONE", help="Part days by the midnights of this IANA zone from now on.")
@click.option("--restatements", is_flag=True, help="Roll nothing up: list how days changed after they were over.")
@click.option("--json", "as_json", is_flag=True, help="With --restatements: print JSON, money to the last digit.")
def rollup(
    day: datetime | None,
    first: datetime | None,
    last: datetime | None,
    dirty: bool,
    timezone: str | None,
    restatements: bool,
    as_json: bool,
) -> None:
    """Rewrite the facts of days from their requests, day by day.

    A day may be rolled up any number of times and always ends in the same facts. If it had been over when
    it was rolled up before, and changes, that is a restatement: what it said before is kept, with the cause.
    """
    from tasks.rollups import days_between

    if sum((day is not None, first is not None or last is not None, dirty)) > 1:
        raise click.UsageError("give one of --date, --from with --to, and --dirty.")
    chosen = (day, None) if day else (first, last)
    begins, ends = (each.date() if each else None for each in chosen)
    days = days_between(begins, ends)
    if as_json and not restatements:
        raise click.UsageError("--json goes with --restatements.")
    if restatements:
        if dirty or timezone:
            raise click.UsageError("--restatements only looks; leave --dirty and --timezone out.")
        _list_restatements(days, as_json)
        return
    if timezone is not None:
        if days is not None:
            raise click.UsageError("--timezone rolls up every day it moves; leave the days out.")
        _part_days_by(timezone)
    _roll_up(begins, ends)


def _roll_up(first: date | None, last: date | None) -> None:
    import asyncio

    from cli.run import use_prefect
    from tasks.rollups import telling

    use_prefect()
    from flows.daily_rollup import daily_rollup

    with telling(_told):
        click.echo(asyncio.run(daily_rollup(first=first, last=last)))


def _told(done: int, days: int, rolled: "RolledUp") -> None:
    if days >= LONG_RANGE and (done % LONG_RANGE == 0 or done == days):
        click.echo(f"{done:,} of {days:,} days, {rolled.day} the last", err=True)


def _part_days_by(timezone: str) -> None:
    from evaluations.wording import count
    from tasks.rollups import change_timezone

    marked = change_timezone(timezone)
    moved = f"{count(marked, 'day')} to be rolled up again" if marked else "as they were"
    click.echo(f"Days are parted by the midnights of {timezone}: {moved}.")


def _list_restatements(days: tuple[date, ...] | None, as_json: bool) -> None:
    from tasks.store.database import transaction
    from tasks.store.rollups import restatements

    with transaction() as connection:
        found = restatements(connection, *((days[0], days[-1]) if days else (date.min, date.max)))
    if as_json:
        click.echo(json.dumps([restatement_as_json(each) for each in found]))
        return
    for each in found:
        click.echo(f"{each.sentence()}.")
    if not found:
        click.echo("No day was restated.")


def restatement_as_json(each: "Restatement") -> dict[str, object]:
    """Both versions of the day's sums, money as text."""
    return {
        "day": each.day.isoformat(),
        "at": each.at.isoformat(),
        "rows": each.rows,
        "why": each.why(),
        "before": each.before.as_json(),
        "after": each.after.as_json(),
    }
