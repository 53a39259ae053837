"""What tests share: a real embedded PostgreSQL and Prefect server for the session, an empty database for each test."""

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine

# Before anything imports Prefect or LiteLLM.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

from tasks.prefect_server import point_at
from tasks.settings import settings
from tasks.store import database
from tasks.store.embedded import embedded_url, stop
from tasks.store.migrations.run import upgrade
from tests.databases import Databases
from tests.ports import free_port

_WHOLE_PLATFORMS = ("tests/cli/test_platform", "tests/flows/test_deployments")
"""Files that bring up a server, a worker and flow runs of their own and take turns: two at once want four cores."""


@pytest.hookimpl(optionalhook=True)  # where the tests run without pytest-xdist there is nothing to schedule
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """What `--dist loadfile` does, a file at a time, with the whole platforms as one file."""
    if config.getoption("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    made = LoadFileScheduling(config, log)
    made._split_scope = _file_of
    return made


def _file_of(nodeid: str) -> str:
    file = nodeid.partition("::")[0]
    return "whole platforms" if file.startswith(_WHOLE_PLATFORMS) else file


@pytest.fixture(scope="session")
def home() -> Iterator[Path]:
    """ASSAY_HOME of the test session, with its embedded PostgreSQL; everything is stopped at the end.

    Not below pytest's own folder: a second pytest of root closes that to others, and the server runs as another user.
    """
    folder = Path(tempfile.mkdtemp(prefix="assay-tests-"))
    os.environ["ASSAY_HOME"] = str(folder)
    for name in ("ASSAY_DATABASE_URL", "ASSAY_PREFECT_API_URL"):
        os.environ.pop(name, None)
    # A server takes the port that was its own before: not the usual one, for which others on the machine come too.
    (folder / "prefect").mkdir()
    api_url = f"http://127.0.0.1:{free_port()}/api"
    (folder / "prefect" / "server.json").write_text(json.dumps({"api_url": api_url, "pid": None}))
    # Before the server is there: Prefect reads this when it is imported, and else starts servers that nobody stops.
    point_at(api_url, folder / "prefect")
    yield folder
    from tasks.prefect_server import prefect_home, stop_server

    stop_server(prefect_home(settings()))
    stop(folder)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def template_url(home: Path) -> str:
    """A migrated database that tests copy."""
    url = embedded_url(home)
    with psycopg.connect(url, autocommit=True) as connection:
        # It outlives no power failure, and need not wait for the disk.
        connection.execute("ALTER SYSTEM SET fsync = off")
        # Half the time of a copy by blocks, where the kernel copies files by itself.
        with contextlib.suppress(psycopg.errors.InvalidParameterValue):
            connection.execute("ALTER SYSTEM SET file_copy_method = clone")
        connection.execute("SELECT pg_reload_conf()")
    engine = database.engine_for(url)
    upgrade(engine)
    engine.dispose()
    return url


@pytest.fixture(scope="session")
def databases(template_url: str) -> Databases:
    return Databases(template_url)


@pytest.fixture
def store(databases: Databases, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of a database of the test's own, migrated and empty, which `engine()` and all tasks use."""
    url = databases.lend()
    monkeypatch.setenv("ASSAY_DATABASE_URL", url)
    _forget()
    yield url
    _forget()
    databases.take_back(url)


@pytest.fixture
def engine(store: str) -> Engine:
    return database.engine()


@pytest.fixture(scope="session")
def prefect_server(home: Path) -> str:
    """The API address of a real Prefect server, started as a command would start it."""
    from tasks.prefect_server import use_server

    return use_server(settings()).api_url


def _forget() -> None:
    if database.engine.cache_info().currsize:
        database.engine().dispose()
    database.engine.cache_clear()
    settings.cache_clear()
