"""Roles in the store: who has which, where; and Postgres' own roles that follow them on a server."""

from itertools import pairwise

import psycopg
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError, ProgrammingError

from evaluations.errors import AssayError
from evaluations.roles import ROLES, Grant
from tasks.store.rights import grant_tables, group, guard

_SAME = """subject = :subject AND role = :role AND environment IS NOT DISTINCT FROM CAST(:environment AS text)
    AND project IS NOT DISTINCT FROM CAST(:project AS text)"""


def grants(connection: Connection, subject: str | None = None) -> list[Grant]:
    """Every role of everybody, or of one, in the order of names and the highest first."""
    rows = connection.execute(
        text("""
            SELECT subject, role, environment, project, why, actor, recorded_at AS at FROM role_grants
            WHERE CAST(:subject AS text) IS NULL OR subject = :subject
            ORDER BY subject, role_rank(role) DESC, environment NULLS FIRST, project NULLS FIRST
        """),
        {"subject": subject},
    )
    return [Grant(**row._mapping) for row in rows]


def grant(connection: Connection, wanted: Grant, actor: str) -> bool:
    """Give a role; False where it was there already. Commits are refused that would leave nobody admin."""
    made = connection.execute(
        text("""
            INSERT INTO role_grants (subject, role, environment, project, why, actor)
            VALUES (:subject, :role, CAST(:environment AS text), CAST(:project AS text), :why, :actor)
            ON CONFLICT DO NOTHING
        """),
        {**_place(wanted), "why": wanted.why, "actor": actor},
    ).rowcount
    _keep_an_admin(connection)
    return bool(made)


def revoke(connection: Connection, wanted: Grant) -> None:
    """Take exactly this role away. Raises AssayError where it is not there, or where nobody would be admin."""
    connection.execute(text("SELECT set_config('assay.why', :why, true)"), {"why": wanted.why})
    gone = connection.execute(text(f"DELETE FROM role_grants WHERE {_SAME}"), _place(wanted)).rowcount
    if not gone:
        there = ", ".join(f"{each.role} {each.where}" for each in grants(connection, wanted.subject)) or "no role"
        raise AssayError(f"{wanted.subject} is not {wanted.role} {wanted.where}, but has {there}.")
    _keep_an_admin(connection)


def _place(wanted: Grant) -> dict[str, str | None]:
    return {
        "subject": wanted.subject,
        "role": wanted.role,
        "environment": wanted.environment,
        "project": wanted.project,
    }


def _keep_an_admin(connection: Connection) -> None:
    """Raises AssayError, now and not at the end of the transaction, where nobody would be admin."""
    try:
        connection.execute(text("SET CONSTRAINTS role_grants_admin IMMEDIATE"))
    except IntegrityError as problem:
        if not isinstance(problem.orig, psycopg.errors.CheckViolation):
            raise
        raise AssayError(
            "somebody has to be admin everywhere while anybody has a role: grant that first "
            "(assay roles grant NAME admin), or revoke it last."
        ) from None


def install(connection: Connection) -> list[str]:
    """Make Postgres' group roles, grant them their tables, and let logins follow the grants. Safe to repeat.

    Gives the logins that have a role now. Raises AssayError where the login may not make roles, or is a guarded one.
    """
    if not connection.execute(text("SELECT session_owns()")).scalar_one():
        raise AssayError("roles are installed by the owner of the tables, who ran `assay db upgrade`.")
    try:
        for role in ROLES:
            connection.execute(
                text(f"""
                    DO $$ BEGIN
                        IF to_regrole('{group(role)}') IS NULL THEN CREATE ROLE {group(role)} NOLOGIN; END IF;
                    END $$
                """)
            )
        for less, more in pairwise(ROLES):
            connection.execute(text(f"GRANT {group(less)} TO {group(more)}"))
        guard(connection)
        grant_tables(connection)
        connection.execute(text("SELECT follow_grants(subject) FROM (SELECT DISTINCT subject FROM role_grants) s"))
    except ProgrammingError as problem:
        if not isinstance(problem.orig, psycopg.errors.InsufficientPrivilege):
            raise
        said = problem.orig.diag.message_primary
        raise AssayError(
            f"Postgres' roles could not be made: {said}. Let an administrator of the server say "
            "ALTER ROLE this_login CREATEROLE, or run `assay roles install` with an administrator's login."
        ) from None
    return list(
        connection.execute(
            text("""
                SELECT DISTINCT r.rolname FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.member
                WHERE m.roleid::regrole::text = ANY(:groups) AND r.rolcanlogin ORDER BY 1
            """),
            {"groups": [group(role) for role in ROLES]},
        ).scalars()
    )


def acting(connection: Connection) -> tuple[str, bool]:
    """Who this session acts for, and whether it is the owner of the tables, who is believed."""
    row = connection.execute(text("SELECT session_actor() AS who, session_owns() AS owns")).one()
    return row.who or "the owner", row.owns
