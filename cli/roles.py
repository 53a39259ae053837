"""assay roles: who may do what, where."""

import json
from typing import TYPE_CHECKING, Any

import click

from evaluations.roles import ROLES

if TYPE_CHECKING:
    from collections.abc import Callable

    from evaluations.roles import Grant


@click.group()
def roles() -> None:
    """Who may read, run, approve and administer, everywhere or in one environment or project.

    \b
      assay roles grant ana admin                           the first one: from now on roles are asked for
      assay roles grant ben approver --environment production
      assay roles list
      assay roles install                                   on a server: Postgres' own roles, for its logins

    While nobody has a role everybody may do everything. docs/roles.md says what each role may do, and what holds
    against whom: on the embedded database against accidents, on a server against everyone who is not its owner.
    """


_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def _grant(command: "Callable[..., Any]") -> "Callable[..., Any]":
    """The arguments that name a role of somebody."""
    for option in (
        click.option("--why", default="", metavar="TEXT", help="The reason; it stays on record."),
        click.option("--project", help="In this project alone."),
        click.option("--environment", help="In this environment alone."),
        click.argument("role", type=click.Choice(ROLES)),
        click.argument("name"),
    ):
        command = option(command)
    return command


@roles.command("list")
@_JSON
def list_(as_json: bool) -> None:
    """Everybody who has a role."""
    from tasks.store.database import transaction
    from tasks.store.roles import acting, grants

    with transaction() as connection:
        found = grants(connection)
        who, owns = acting(connection)
    if as_json:
        click.echo(
            json.dumps(
                [
                    {
                        **{name: getattr(each, name) for name in ("subject", "role", "environment", "project", "why")},
                        "by": each.actor,
                        "at": None if each.at is None else each.at.isoformat(),
                    }
                    for each in found
                ]
            )
        )
        return
    if not found:
        click.echo("Nobody has a role, so everybody may do everything. The first one: assay roles grant NAME admin")
        return
    for each in found:
        why = f": {each.why}" if each.why else ""
        click.echo(f"{each.subject:<24}{each.role:<10}{each.where:<32}by {each.actor}, {each.at:%Y-%m-%d}{why}")
    mine = ", ".join(f"{each.role} {each.where}" for each in found if each.subject == who) or "no role"
    believed = " (by ASSAY_ACTOR or this machine's user)" if owns else " (the login)"
    click.echo(f"\nYou are {who}{believed}: {mine}.")


@roles.command()
@_grant
def grant(name: str, role: Any, environment: str | None, project: str | None, why: str) -> None:
    """Give NAME a role: an actor's name, on a server the name of a login."""
    from tasks.store.database import transaction
    from tasks.store.roles import acting, grants
    from tasks.store.roles import grant as give

    wanted = _wanted(name, role, environment, project, why)
    with transaction() as connection:
        who, _ = acting(connection)
        first = not grants(connection)
        made = give(connection, wanted, who)
        mine = grants(connection, who)
    click.echo(f"{name} is {role} {wanted.where}{'' if made else ' already'}.")
    if first:
        click.echo("From now on roles are asked for: whoever has none may read, and nothing else.")
    if not mine:
        click.echo(f"You are {who}, and have no role. You act for {name} with ASSAY_ACTOR={name}.")


@roles.command()
@_grant
def revoke(name: str, role: Any, environment: str | None, project: str | None, why: str) -> None:
    """Take exactly this role away from NAME. After the last one everybody may do everything again."""
    from tasks.store.database import transaction
    from tasks.store.roles import grants
    from tasks.store.roles import revoke as take

    wanted = _wanted(name, role, environment, project, why)
    with transaction() as connection:
        take(connection, wanted)
        rest, left = grants(connection, name), grants(connection)
    still = ", ".join(f"{each.role} {each.where}" for each in rest) or "nothing else"
    click.echo(f"{name} is not {role} {wanted.where} any more; left is {still}.")
    if not left:
        click.echo("Nobody has a role now, so everybody may do everything again.")


@roles.command()
def install() -> None:
    """On a server: make Postgres' roles assay_viewer, …, assay_admin, and let logins follow the grants.

    To be run by the owner of the tables, again after each `assay db upgrade`. Logins themselves are made on the server:
    CREATE ROLE ana LOGIN PASSWORD '…'.
    """
    from evaluations.errors import AssayError
    from tasks.settings import settings
    from tasks.store.database import transaction
    from tasks.store.roles import install as make

    if settings().database_url is None:
        raise AssayError(
            "the embedded database has one login, this machine's user; Postgres' roles are for a server "
            "(ASSAY_DATABASE_URL). Here roles are asked for as soon as the first one is granted."
        )
    with transaction() as connection:
        logins = make(connection)
    click.echo(
        f"assay_viewer, assay_runner, assay_approver, assay_admin are there. Logins: {', '.join(logins) or 'none'}."
    )


def _wanted(name: str, role: Any, environment: str | None, project: str | None, why: str) -> "Grant":
    from evaluations.roles import Grant
    from tasks.store.database import transaction
    from tasks.store.models import environment_named

    if not name.strip() or name != name.strip() or not name.isprintable():
        raise click.UsageError(f"a name is a word like ana; got {name!r}.")
    if environment is not None:
        with transaction() as connection:
            environment_named(connection, environment)  # raises for one that there is not
    return Grant(subject=name, role=role, environment=environment, project=project, why=why)
