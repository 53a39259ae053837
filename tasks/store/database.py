"""The way into Postgres: which database, its engine, and whether its schema is the one this code was written for."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import psycopg
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import OperationalError, ProgrammingError

from evaluations.errors import AssayError, InfrastructureError
from tasks.settings import Settings, settings
from tasks.store.embedded import embedded_url
from tasks.store.migrations import HEAD, KNOWN

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
    made = engine_for(url)
    _check_schema(made, url, embedded=settings().database_url is None)
    return made


def engine_for(url: str) -> Engine:
    """An engine for any URL, unchecked: for migrations and tests."""
    return create_engine(
        # psycopg takes the URL as it is: SQLAlchemy's own form could not carry every libpq option.
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect(url, connect_timeout=10, application_name="assay"),
        pool_size=POOL_SIZE,
        max_overflow=POOL_SIZE,
        pool_pre_ping=True,
    )


@contextmanager
def transaction() -> Iterator[Connection]:
    """One transaction on the store; what psycopg says of a lost server becomes an InfrastructureError."""
    with told_plainly(), engine().begin() as connection:
        yield connection


@contextmanager
def told_plainly() -> Iterator[None]:
    """Turns the driver's errors about server, network and disk into sentences that say what to do."""
    try:
        yield
    except (OperationalError, psycopg.OperationalError) as problem:
        raise InfrastructureError(_sentence(problem)) from problem


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
