"""The way into Postgres: which database, its engine, and whether its schema is the one this code was written for."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import OperationalError, ProgrammingError

from evaluations.errors import AssayError, InfrastructureError
from evaluations.roles import ROLES
from tasks.settings import Settings, settings
from tasks.store.embedded import embedded_url
from tasks.store.migrations import HEAD, KNOWN
from tasks.store.rights import RIGHTS

POOL_SIZE = 8
"""The embedded server takes 100 connections in all; several processes share them."""


def database_url(given: Settings | None = None) -> str:
    """The URL of the store as psycopg takes it. Starts the embedded server where no other is named."""
    given = given or settings()
    if given.database_url is None:
        return embedded_url(given.home)
    url = given.database_url.get_secret_value()
    if url.partition("://")[0] not in ("postgresql", "postgres"):
        raise AssayError(
            "ASSAY_DATABASE_URL has to be a PostgreSQL URL such as postgresql://user:password@host:5432/assay."
        )
    try:
        ports = str(conninfo_to_dict(url).get("port") or "5432").split(",")
    except psycopg.ProgrammingError:  # what libpq says of it repeats the piece that may be the password
        ports = []
    if not ports or not all(port.isdecimal() and 0 < int(port) < 65_536 for port in ports):
        raise AssayError(
            "ASSAY_DATABASE_URL is no address that PostgreSQL understands. It looks like "
            "postgresql://user:password@host:5432/assay; in a password, write @ as %40, / as %2F, : as %3A, % as %25."
        )
    return url


def described(url: str) -> str:
    """The URL without its password, for messages."""
    parts = conninfo_to_dict(url)
    host, port = str(parts.get("host") or ""), parts.get("port")
    where = "a local socket" if not host or host.startswith("/") else f"{host}{f':{port}' if port else ''}"
    return f"{where}/{parts.get('dbname') or ''}"


@lru_cache(maxsize=1)
def engine() -> Engine:
    """The engine of this process, its schema checked; the embedded one is migrated first."""
    url = database_url()
    made = engine_for(url, actor=settings().actor)
    _check_schema(made, url, embedded=settings().database_url is None)
    return made


def engine_for(url: str, actor: str = "") -> Engine:
    """An engine for any URL, unchecked: for migrations and tests. Its sessions act for `actor`, or as the owner."""
    return create_engine(
        # psycopg takes the URL as it is: SQLAlchemy's own form could not carry every libpq option.
        "postgresql+psycopg://",
        creator=lambda: _connect(url, actor),
        pool_size=POOL_SIZE,
        max_overflow=POOL_SIZE,
        pool_pre_ping=True,
    )


def _connect(url: str, actor: str) -> psycopg.Connection[Any]:
    connection = psycopg.connect(url, connect_timeout=10, application_name="assay", autocommit=True)
    if actor:
        connection.execute(ACT_FOR, (actor,))
    connection.autocommit = False
    return connection


ACT_FOR = "SELECT set_config('assay.actor', %s, false)"
"""Says for whom a session acts, until it ends. Believed of the owner of the tables alone (docs/roles.md)."""


@contextmanager
def transaction() -> Iterator[Connection]:
    """One transaction on the store, for the actor of this process.

    What psycopg says of a lost server becomes an InfrastructureError, what a role may not do an AssayError.
    """
    with told_plainly(), engine().begin() as connection:
        yield connection


@contextmanager
def told_plainly() -> Iterator[None]:
    """Turns the driver's errors about server, network, disk and rights into sentences that say what to do."""
    try:
        yield
    except (OperationalError, psycopg.OperationalError) as problem:
        raise InfrastructureError(_sentence(problem)) from problem
    except (ProgrammingError, psycopg.errors.InsufficientPrivilege) as problem:
        raise _told_refusal(problem) from problem


@contextmanager
def first_look(what: str, command: str) -> Iterator[None]:
    """Reading that may have to write first: whoever may only read is told which command does it, once for all."""
    try:
        yield
    except (ProgrammingError, psycopg.errors.InsufficientPrivilege) as problem:
        told = _told_refusal(problem)
        raise AssayError(
            f"{what} are not taken over yet, and the first look at them does that. Let somebody with the role runner "
            f"run `{command}` once; then everybody may look. Now {told}"
        ) from problem


def _told_refusal(problem: Exception) -> AssayError:
    """What a role may not do, as a sentence; every other error is raised as it is."""
    cause = getattr(problem, "orig", None) or problem
    if not isinstance(cause, psycopg.errors.InsufficientPrivilege):
        raise problem
    return AssayError(_refusal(cause))


_DENIED = re.compile(r"permission denied for table (\w+)")


def _refusal(cause: psycopg.errors.InsufficientPrivilege) -> str:
    """Who may not do what, which role would do, who could grant it."""
    said = cause.diag.message_primary or str(cause)
    denied = _DENIED.fullmatch(said)
    if denied is None or denied[1] not in RIGHTS:
        return f"{said[0].upper()}{said[1:]}." if said.startswith("permission denied") else f"{said}."
    rights = RIGHTS[denied[1]]
    with engine().connect() as connection:
        found = connection.execute(
            text("""
                SELECT session_user AS who, (SELECT max(role_rank(role)) FROM role_grants WHERE subject = session_user)
                    AS rank, (SELECT string_agg(DISTINCT subject, ', ') FROM role_grants WHERE role = 'admin') AS admins
                WHERE has_table_privilege('role_grants', 'SELECT')
            """)
        ).one_or_none()
    if found is None:
        return "this login has no role: an admin can grant one (assay roles grant LOGIN viewer)."
    needed = rights.above(ROLES[: found.rank or 0])
    if needed is None:
        return f"{found.who} may not {rights.what} in this way: that is left to the owner of the tables."
    return (
        f"{found.who} may not {rights.what}: that takes the role {needed}, and {found.who} is "
        f"{ROLES[found.rank - 1] if found.rank else 'nothing yet'}; {found.admins or 'an admin'} can grant it "
        f"(assay roles grant {found.who} {needed})."
    )


def _sentence(problem: Exception) -> str:
    cause = getattr(problem, "orig", None) or problem
    first = str(cause).strip().splitlines()[0] if str(cause).strip() else type(cause).__name__
    if isinstance(cause, psycopg.errors.DiskFull) or "No space left" in first:
        return f"the database's disk is full: {first}. Free some space; what was committed is safe, `--resume` goes on."
    own = settings().database_url
    where = "the embedded PostgreSQL" if own is None else f"the database at {described(own.get_secret_value())}"
    return f"{where} cannot be reached: {first}. What was committed is safe; `assay run --resume RUN` goes on."


def _check_schema(made: Engine, url: str, *, embedded: bool) -> None:
    with told_plainly():
        version = schema_version(made)
    if version == HEAD:
        return
    if version is not None and version not in KNOWN:
        raise AssayError(
            f"the database at {described(url)} has schema {version!r}, which is newer than this version of Assay "
            f"knows ({HEAD!r}). Upgrade Assay; nothing was changed."
        )
    if not embedded:
        raise AssayError(
            f"the database at {described(url)} has {f'schema {version!r}' if version else 'no schema yet'}; this "
            f"version of Assay needs {HEAD!r}. Run `assay db upgrade` first."
        )
    from tasks.store.migrations.run import upgrade

    upgrade(made)


def schema_version(made: Engine) -> str | None:
    """The schema's revision; None in a database that Assay has not touched."""
    try:
        with made.connect() as connection:
            return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    except ProgrammingError as problem:
        if isinstance(problem.orig, psycopg.errors.UndefinedTable):
            return None
        raise
