"""assay audit: every decision, and proof that none was changed."""

import json
import re

import click


@click.group()
def audit() -> None:
    """Who decided what, when and why: an append-only chain in which every entry carries the hash of the one before.

    \b
      assay audit log --feature chatbot    the latest decisions
      assay audit verify                   walk along the whole chain

    Note the hash that `verify` ends with somewhere else: `verify --known HASH` later proves that the chain was not
    written anew as a whole.
    """


_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@audit.command()
@click.option("--feature", help="Only decisions on this feature.")
@click.option("--target", metavar="KIND:ID", help="Only decisions about this.")
@click.option("--actor", help="Only decisions of this person.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@_JSON
def log(feature: str | None, target: str | None, actor: str | None, limit: int, as_json: bool) -> None:
    """Decisions, the latest first."""
    from tasks.store.audit import entries
    from tasks.store.database import transaction

    with transaction() as connection:
        found = entries(connection, feature=feature, target=target, actor=actor, limit=limit)
    if as_json:
        told = ("seq", "actor", "action", "target", "feature", "environment", "why", "hash")
        click.echo(
            json.dumps(
                [
                    {**{name: getattr(each, name) for name in told}, "at": each.at.isoformat(), "facts": each.facts}
                    for each in found
                ]
            )
        )
        return
    if not found:
        click.echo("No such decisions." if feature or target or actor else "No decisions yet.")
    for each in found:
        where = f" {each.feature}/{each.environment}" if each.feature else ""
        why = f": {each.why}" if each.why else ""
        click.echo(
            f"{each.seq:>6}  {each.at:%Y-%m-%d %H:%M:%S} UTC  {each.actor}  {each.action}{where}  {each.target}{why}"
        )


@audit.command()
@click.option("--known", metavar="HASH", help="A hash noted earlier: the chain has to contain it.")
@_JSON
def verify(known: str | None, as_json: bool) -> int:
    """Walk along the chain; exit code 1 when an entry is not as it was written, and which one that is."""
    from tasks.store.audit import verify_chain
    from tasks.store.database import transaction

    known = None if known is None else known.strip().lower()
    if known is not None and not re.fullmatch("[0-9a-f]{64}", known):
        raise click.UsageError(
            f"--known {known}: a whole hash, the 64 characters that `assay audit verify` ended with."
        )
    with transaction() as connection:
        found = verify_chain(connection, known)
    if as_json:
        click.echo(
            json.dumps(
                {"entries": found.entries, "head": found.head, "broken_at": found.broken_at, "why": found.why or None}
            )
        )
    else:
        said = str(found)
        click.echo(f"{said[0].upper()}{said[1:]}")
    return 0 if found.broken_at is None else 1
