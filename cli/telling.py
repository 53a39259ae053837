"""Telling: what a command decided goes to the notification channels before it ends."""

import click


def tell_soon() -> None:
    """Send what this command decided. What a channel does not take now the next sweep sends, and stderr says so."""
    from tasks.notifying import send_soon

    if untold := send_soon():
        click.echo(untold, err=True)
