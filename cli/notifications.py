"""assay notifications: who is told of what, and what became of it."""

import json
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from tasks.store.notifications import Delivery, Rule


@click.group()
def notifications() -> None:
    """Tell people and machines what was decided, promoted and rolled back.

    \b
      export OPS_URL='slack://…'                               any address that Apprise knows
      assay notifications add ops --url-env OPS_URL --event 'deployment.*' --event feature.rolled_back
      assay notifications add audit --webhook --url-file /run/secrets/hook --secret-env HOOK_SECRET
      assay notifications test ops
      assay notifications list                                 what was sent, what waits, what failed
      assay notifications retry                                try again what was given up

    Addresses are secrets: the store holds the name of a variable or a file, and never what is in it. The events, and
    what a receiver has to mind: docs/notifications.md.
    """


_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@notifications.command()
@_JSON
def channels(as_json: bool) -> None:
    """Every channel, what goes there, and how that went."""
    from tasks.store import notifications as stored
    from tasks.store.database import transaction

    with transaction() as connection:
        found, wanted, counted = stored.channels(connection), stored.rules(connection), stored.counts(connection)
    told = [
        {
            "name": each.name,
            "kind": each.kind,
            "address": each.address_ref,
            "signed_by": each.signing_ref,
            "active": each.active,
            "events": [_rule(rule) for rule in wanted if rule.channel == each.name],
            **{status: counted.get((each.name, status), 0) for status in ("delivered", "waiting", "dead")},
        }
        for each in found
    ]
    if as_json:
        click.echo(json.dumps(told))
        return
    if not told:
        click.echo("No channel yet: assay notifications add --help")
    for line in told:
        signed = f", signed by {line['signed_by']}" if line["signed_by"] else ""
        off = "" if line["active"] else "  stopped"
        click.echo(f"{line['name']}  {line['kind']} at {line['address']}{signed}{off}")
        click.echo(f"  {', '.join(line['events']) or 'no events'}")  # type: ignore[arg-type]
        click.echo(f"  {line['delivered']} delivered, {line['waiting']} waiting, {line['dead']} given up")


def _rule(rule: "Rule") -> str:
    return f"{rule.event} in {rule.environment}" if rule.environment else rule.event


@notifications.command()
@click.argument("name")
@click.option("--url-env", metavar="NAME", help="The environment variable that holds the address.")
@click.option("--url-file", metavar="PATH", help="The file that holds the address.")
@click.option("--webhook", is_flag=True, help="A signed JSON webhook of ours instead of an address for Apprise.")
@click.option("--secret-env", metavar="NAME", help="The variable with the secret that signs the webhook.")
@click.option("--secret-file", metavar="PATH", help="The file with that secret.")
@click.option("--event", "events", multiple=True, help="An event, or all of a kind: 'deployment.*'. Repeatable. [all]")
@click.option("--environment", "environments", multiple=True, help="Only of this environment. Repeatable. [all]")
def add(
    name: str,
    url_env: str | None,
    url_file: str | None,
    webhook: bool,
    secret_env: str | None,
    secret_file: str | None,
    events: tuple[str, ...],
    environments: tuple[str, ...],
) -> None:
    """Add the channel NAME, or change it: its events are afterwards those given."""
    from evaluations.errors import AssayError
    from evaluations.notifications import EVENTS, check_event, secret_reference
    from tasks.settings import settings
    from tasks.store.database import transaction
    from tasks.store.models import environment_named
    from tasks.store.notifications import Channel, Rule, put_channel

    if not name.replace("-", "").replace("_", "").isalnum():
        raise click.UsageError("a channel's name is a word like ops.")
    signing = secret_env is not None or secret_file is not None
    if signing and not webhook:
        raise AssayError("a secret signs a --webhook; an address for Apprise holds its own.")
    channel = Channel(
        name=name,
        kind="webhook" if webhook else "apprise",
        address_ref=secret_reference(url_env, url_file, "the address"),
        signing_ref=secret_reference(secret_env, secret_file, "the secret") if signing else None,
    )
    wanted = [
        Rule(name, check_event(event), environment)
        for event in events or ("*",)
        for environment in environments or (None,)
    ]
    with transaction() as connection:
        for environment in environments:
            environment_named(connection, environment)  # raises for one that there is not
        put_channel(connection, channel, wanted, settings().actor)
    click.echo(f"{name} gets {', '.join(map(_rule, wanted))}. Try it: assay notifications test {name}")
    if not events:
        click.echo(f"That is all of: {', '.join(EVENTS)}")


@notifications.command()
@click.argument("name")
def stop(name: str) -> None:
    """Send nothing to NAME any more. What waits for it stays, and goes when it is added again."""
    from tasks.settings import settings
    from tasks.store.database import transaction
    from tasks.store.notifications import channel_named, stop_channel

    with transaction() as connection:
        stop_channel(connection, channel_named(connection, name).name, settings().actor)
    click.echo(f"{name} is stopped.")


@notifications.command()
@click.argument("name")
def test(name: str) -> None:
    """Send a message to NAME that says it is a test, and say whether it was taken."""
    from tasks.notifying import send_test
    from tasks.store.database import transaction
    from tasks.store.notifications import channel_named

    with transaction() as connection:
        channel = channel_named(connection, name)
    send_test(channel)
    click.echo(f"{name} took it.")


@notifications.command("list")
@click.option("--status", type=click.Choice(["waiting", "delivered", "dead"]), help="Only these.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=30, show_default=True)
@_JSON
def list_(status: str | None, limit: int, as_json: bool) -> None:
    """Deliveries, the latest first: one for each event and channel."""
    from tasks.store.database import transaction
    from tasks.store.notifications import deliveries

    with transaction() as connection:
        found = deliveries(connection, status=status, limit=limit)
    if as_json:
        click.echo(json.dumps([_as_json(each) for each in found]))
        return
    if not found:
        click.echo("Nothing was told to anybody yet.")
    for each in found:
        event = each.event
        about = f"{event.feature}/{event.environment}" if event.feature else event.target
        why = f": {each.last_error}" if each.last_error else ""
        again = f", again after {each.next_at:%H:%M} UTC" if each.status == "waiting" and each.attempts else ""
        tries = f" after {each.attempts} tries" if each.attempts > 1 else ""
        click.echo(
            f"{event.at:%Y-%m-%d %H:%M} UTC  {each.channel.name:<12}{each.status}{tries}{again}  "
            f"{event.name} {about}{why}"
        )


def _as_json(each: "Delivery") -> dict[str, object]:
    return {
        "event": each.event.name,
        "id": str(each.event.key),
        "target": each.event.target,
        "feature": each.event.feature,
        "environment": each.event.environment,
        "at": each.event.at.isoformat(),
        "channel": each.channel.name,
        "status": each.status,
        "attempts": each.attempts,
        "last_error": each.last_error or None,
        "delivered_at": None if each.delivered_at is None else each.delivered_at.isoformat(),
    }


@notifications.command()
@click.option("--channel", help="Only what was for this one.")
def retry(channel: str | None) -> None:
    """Try again what was given up, now."""
    from tasks.notifying import send_waiting
    from tasks.store.database import transaction
    from tasks.store.notifications import channel_named
    from tasks.store.notifications import retry as take_up

    with transaction() as connection:
        number = take_up(connection, channel_named(connection, channel).name if channel else None)
    if not number:
        click.echo("Nothing was given up.")
        return
    click.echo(str(send_waiting()))


@notifications.command()
def send() -> None:
    """Send what waits, as the flow notify does."""
    from tasks.notifying import send_waiting

    click.echo(str(send_waiting()))
