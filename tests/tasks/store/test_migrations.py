"""Migrations: up and down on the embedded server and on one of Debian's; and schemas that do not fit."""

import threading
from collections.abc import Iterator

import pytest
from alembic import command
from sqlalchemy import Engine, inspect, text

from evaluations.errors import AssayError
from tasks.settings import settings
from tasks.store import database
from tasks.store.database import engine_for, schema_version
from tasks.store.migrations import HEAD, KNOWN
from tasks.store.migrations.run import config, downgrade, upgrade
from tasks.store.schema import Base
from tests.tasks.store.servers import running_server


@pytest.fixture(scope="module")
def server_url() -> Iterator[str]:
    with running_server() as url:
        yield url


@pytest.fixture(params=["embedded", "server"])
def empty(request: pytest.FixtureRequest, template_url: str) -> Iterator[Engine]:
    """An empty database on either kind of server."""
    url = template_url.replace("/assay?", "/postgres?")
    if request.param == "server":
        url = request.getfixturevalue("server_url")
    made = engine_for(url)
    downgrade(made, "base")
    yield made
    downgrade(made, "base")
    made.dispose()


def tables(engine: Engine) -> set[str]:
    return set(inspect(engine).get_table_names()) - {"alembic_version"}


def test_the_schema_goes_up_and_down_and_is_the_one_that_is_described(empty: Engine) -> None:
    assert tables(empty) == set()
    upgrade(empty)
    assert schema_version(empty) == HEAD == KNOWN[-1]
    assert tables(empty) == set(Base.metadata.tables)
    with empty.connect() as connection:
        made = config()
        made.attributes["connection"] = connection
        command.check(made)  # raises when schema.py and the migrations differ
    upgrade(empty)
    downgrade(empty, "base")
    assert tables(empty) == set()
    assert schema_version(empty) is None


def test_several_upgrades_at_once_do_not_collide(empty: Engine) -> None:
    problems: list[BaseException] = []

    def one() -> None:
        try:
            upgrade(empty)
        except BaseException as problem:  # told to the main thread
            problems.append(problem)

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert schema_version(empty) == HEAD


def test_money_keeps_twelve_places_and_enumerations_refuse_other_words(empty: Engine) -> None:
    upgrade(empty)
    with empty.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO model_prices (model, token_class, usd_per_token, effective_from, source, actor) "
                "VALUES ('m', 'input', 0.000000000001, '2026-01-01', 't', 't')"
            )
        )
        [price] = connection.execute(text("SELECT usd_per_token FROM model_prices")).scalars()
    assert str(price) == "1E-12"
    refused = text(
        "INSERT INTO run_shards (run_id, shard, first_position, last_position, state, fence) "
        "VALUES (gen_random_uuid(), 0, 0, 0, 'ZZZ', 0)"
    )
    with pytest.raises(Exception, match="ck_run_shards_state"), empty.begin() as connection:
        connection.execute(refused)


def test_a_server_without_our_schema_is_left_alone_and_the_sentence_says_what_to_do(
    server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSAY_DATABASE_URL", server_url)
    settings.cache_clear()
    database.engine.cache_clear()
    try:
        with pytest.raises(AssayError, match="assay db upgrade") as told:
            database.engine()
        assert told.value.exit_code == 2
        assert "s3cret" not in str(told.value)
        assert tables(engine_for(server_url)) == set()
    finally:
        settings.cache_clear()
        database.engine.cache_clear()


def test_a_schema_of_a_newer_version_is_refused_and_not_changed(store: str) -> None:
    with database.engine().begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    database.engine.cache_clear()
    with pytest.raises(AssayError, match="newer than this version"):
        database.engine()
    assert schema_version(engine_for(store)) == "9999"
