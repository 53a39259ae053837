"""Embedded data as an older version of Assay left them: those of PostgreSQL 15, written by Debian's programs."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from tasks.store import embedded
from tasks.store.database import engine_for
from tasks.store.embedded import data_folder, stop_postmaster, upgrading_folder
from tasks.store.migrations.run import upgrade

OLD_MAJOR = 15
OLD_PROGRAMS = Path(f"/usr/lib/postgresql/{OLD_MAJOR}/bin")


def server_user() -> str | None:
    """Whom the embedded server runs as; None when it is ourselves."""
    return "pgserver" if os.geteuid() == 0 else None


@contextmanager
def old_home(home_of_session: Path) -> Iterator[Path]:
    """An ASSAY_HOME with a migrated database of the old version, its server stopped."""
    if not (OLD_PROGRAMS / "initdb").is_file():
        pytest.skip(f"no PostgreSQL {OLD_MAJOR} is installed (Debian: apt-get install postgresql-{OLD_MAJOR})")
    with _folder() as home:
        data = data_folder(home)
        data.mkdir()
        if (user := server_user()) is not None:
            # The library keeps its lock where it was first used, which has to outlive a single test.
            embedded._library(home_of_session).utils.ensure_user_exists(user)
            shutil.chown(data, user)
        pg(OLD_PROGRAMS / "initdb", "-A", "trust", "-E", "utf8", "-U", "postgres", "-N", "-D", str(data))
        with old_server(home) as url:
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute("CREATE DATABASE assay TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'")
                connection.execute("CREATE ROLE analyst LOGIN PASSWORD 'not-a-secret'")
                connection.execute('CREATE DATABASE "an other" OWNER analyst')
            engine = engine_for(url.replace("/postgres?", "/assay?"))
            upgrade(engine)
            engine.dispose()
        yield home


@contextmanager
def copied_home(home: Path) -> Iterator[Path]:
    """The same again, for one test to change."""
    with _folder() as copy:
        subprocess.run(["cp", "-a", str(data_folder(home)), str(copy)], check=True)
        yield copy


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder that the server's user can reach; no server on its data is left when it goes."""
    home = Path(tempfile.mkdtemp(prefix="assay-old-home-"))
    home.chmod(0o755)
    try:
        yield home
    finally:
        for folder in (data_folder(home), upgrading_folder(home)):
            stop_postmaster(folder)
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def old_server(home: Path) -> Iterator[str]:
    """The old server, up as an older Assay would leave it; gives the URL of its first database."""
    data = str(data_folder(home))
    pg(OLD_PROGRAMS / "pg_ctl", "-w", "-D", data, "-l", f"{data}/log", "-o", f"-h '' -k {data}", "start")
    try:
        yield f"postgresql://postgres@/postgres?host={data}"
    finally:
        stop_postmaster(data_folder(home))


def pg(*command: str | Path) -> None:
    subprocess.run(command, check=True, capture_output=True, user=server_user(), cwd="/")
