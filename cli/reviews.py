"""assay reviews and assay reviewers: what people made of drafts of the AI, and how far they agree."""

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.rollup import DAY

if TYPE_CHECKING:
    from tasks.reviewing import ReviewWindow

SHOWN = 12
"""Pairs and hints in the text; --json has all."""


@click.group()
def reviews() -> None:
    """Reviews of drafts of the AI by people."""


@reviews.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--source", default="assay", show_default=True, help="Whose ids the items are: that of their requests.")
@click.option("--field", "fields", multiple=True, metavar="OURS=THEIRS", help="A field that is named otherwise there.")
@click.option("--set", "given", multiple=True, metavar="OURS=VALUE", help="A field of all rows that lack it.")
@click.option("--ignore", "ignored", multiple=True, metavar="THEIRS", help="A field of theirs to leave out.")
def import_(file: Path, source: str, fields: tuple[str, ...], given: tuple[str, ...], ignored: tuple[str, ...]) -> None:
    """Take in reviews: JSON lines or CSV with item, reviewer, at, and label, accepted, or draft and edited.

    The same file twice lands once. Rows that cannot land are named with line and reason and end the
    command with exit code 2; the others have landed. Of the texts only how much was changed is kept.
    """
    from tasks.ingest.formats import adaptation
    from tasks.reviewing import SHOWN_REFUSALS, import_reviews

    done = import_reviews(file, source, adaptation(list(fields), list(given), list(ignored)))
    click.echo(f"{file.name}: {done.told}")
    for line, reason in done.refused[:SHOWN_REFUSALS]:
        click.echo(f"line {line}: {reason}" if line else reason, err=True)
    if len(done.refused) > SHOWN_REFUSALS:
        click.echo(f"and {len(done.refused) - SHOWN_REFUSALS} more", err=True)
    if done.refused:
        click.echo("Mend these lines and import the file again: what landed stays.", err=True)
        raise SystemExit(2)


@click.command()
@click.option("--from", "first", type=DAY, help="First day; ninety days before the last one unless given.")
@click.option("--to", "last", type=DAY, help="Last day; the newest with a review unless given.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def reviewers(first: datetime | None, last: datetime | None, as_json: bool) -> None:
    """Who accepts the AI's drafts, who agrees with whom, whose edits customers like, who to train on what.

    Shares of few reviews are drawn towards the group's. Somebody is named for training only where the
    whole interval lies below what the others reach.
    """
    from tasks.reviewing import review_window

    window = review_window(first.date() if first else None, last.date() if last else None)
    click.echo(_as_json(window) if as_json else _as_text(window))


def _as_text(window: "ReviewWindow") -> str:
    from reports.views.reviewer_words import agreement_lines, headline, reviewer_lines, training_lines

    facts = window.facts
    told = [f"Reviews from {window.first} to {window.last} ({window.timezone})", headline(facts), ""]
    told += reviewer_lines(facts)
    told += ["", *agreement_lines(facts, SHOWN)]
    told += ["", *training_lines(facts, SHOWN)]
    return "\n".join(told)


def _as_json(window: "ReviewWindow") -> str:
    from reports.files import jsonable

    document = {"schema": "assay.reviewers/1", "from": window.first.isoformat(), "to": window.last.isoformat(),
                "time_zone": window.timezone, **jsonable(window.facts)}  # fmt: skip
    return json.dumps(document, indent=1, allow_nan=False)
