"""assay erase: one person forgotten."""

import sys

import click


@click.command()
@click.option("--subject", required=True, help="The person's id as the logs have it, or - to read it from stdin.")
@click.option("--reason", required=True, help="Why; it is kept with the record, the id itself is not.")
@click.option("--dry-run", is_flag=True, help="Say what would be erased; change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def erase(subject: str, reason: str, dry_run: bool, yes: bool) -> None:
    """Forget one person: their requests, the spans of these, what waits in quarantine, and pages about them.

    The person is found by the pseudonym that ingest made of the same id. Requests that name nobody go
    too when they share a trace or a ticket with one of theirs. Who did it, when, why and how much is
    kept; the days that changed are rolled up again, as restatements. It cannot be undone.
    """
    from tasks.erasing import erase_subject

    name = sys.stdin.readline().rstrip("\r\n") if subject == "-" else subject
    if not (dry_run or yes):
        if not sys.stdin.isatty():
            raise click.UsageError("nobody is there to be asked; give --yes to erase, or --dry-run to look.")
        click.echo(str(erase_subject(name, reason=reason, dry_run=True)))
        click.confirm("Erase it for good?", abort=True)
    click.echo(str(erase_subject(name, reason=reason, dry_run=dry_run)))
