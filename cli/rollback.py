"""assay rollback: the bundle of before, for all, now."""

import json

import click

from cli.telling import tell_soon


@click.command()
@click.argument("feature")
@click.option("--environment", default="production", show_default=True, help="Where.")
@click.option("--to", metavar="ID|PROMPT", help="Not to the bundle before, but to this one (assay deploy list).")
@click.option("--why", default="", metavar="TEXT", help="The reason; it stays on record.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def rollback(feature: str, environment: str, to: str | None, why: str, as_json: bool) -> None:
    """Take FEATURE back to the bundle it had before: prompt, model and parameters together.

    A canary that is under way is ended; else what was live before is live again, in one transaction, and the flags say
    so. No approval is needed; who and why stay on record. Needs neither Prefect nor a provider. Safe to repeat.
    """
    from evaluations.errors import AssayError
    from tasks.delivering import deliver
    from tasks.rolling_back import roll_back

    done = roll_back(feature, environment, to=to, why=why or "asked for by command")
    if as_json:
        click.echo(
            json.dumps(
                {
                    "how": done.how,
                    "feature": done.feature,
                    "environment": done.environment,
                    "live": done.live.document,
                    "left": None if done.left is None else done.left.document,
                    "paused": done.paused,
                    "flags": str(done.flags),
                }
            )
        )
    else:
        click.echo(str(done))
        click.echo(f"Flags: {done.flags}")
    try:
        for delivery in deliver(environment):
            click.echo(str(delivery), err=not delivery.delivered)
    except AssayError as problem:
        # It is rolled back all the same, which an exit code of "nothing was done" would deny.
        click.echo(f"not delivered over HTTP: {problem}", err=True)
    tell_soon()
