"""deploy_winner, deploy_watch and rollback_drill on a real Prefect server: what is asked for, taken on, and tried."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tasks.deploying import approve
from tasks.flags import flag_file, is_current
from tasks.settings import settings
from tasks.store.audit import entries
from tasks.store.database import transaction
from tasks.store.deployments import list_deployments
from tests.tasks.test_deploying import NEW, OLD, allow, become, concluded

if TYPE_CHECKING:  # where a server is is read when Prefect is imported, so not before there is one
    from prefect import State

pytestmark = pytest.mark.usefixtures("store", "prefect_server")


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, store: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("ASSAY_FLAGS", str(tmp_path / "flags"))
    monkeypatch.setenv("ASSAY_REPORTS", str(tmp_path / "reports"))
    monkeypatch.setenv("ASSAY_ACTOR", "ana")
    settings.cache_clear()
    allow()
    yield
    settings.cache_clear()


async def run(name: str, **given: Any) -> "State[Any]":
    import importlib

    flow = getattr(importlib.import_module(f"flows.{name}"), name)
    state: State[Any] = await flow(**given, return_state=True)
    return state


async def test_a_winner_is_asked_for_once_and_the_watch_takes_it_on(monkeypatch: pytest.MonkeyPatch) -> None:
    concluded()
    first = await run("deploy_winner", experiment="shipping-v4", why="better answers")
    assert first.is_completed()
    assert "it waits for 1 approval, not of ana" in str(first.message)
    assert (await run("deploy_winner", experiment="shipping-v4")).message == first.message
    with transaction() as connection:
        [asked, _] = list_deployments(connection)
    become("ben", monkeypatch)
    approve(asked.name, "looked at it")
    watched = await run("deploy_watch")
    assert watched.is_completed()
    assert "10% of the units get it" in str(watched.message)
    flag = json.loads(flag_file("production").read_text())["flags"]["chatbot"]["variants"]
    assert (flag["default"], flag["canary"]["prompt"]) == (OLD, NEW["prompt"])


async def test_the_watch_mends_what_was_lost() -> None:
    concluded()
    flag_file("production").unlink()
    state = await run("deploy_watch")
    assert "The flags of production were written" in str(state.message)
    assert is_current("production")


async def test_an_experiment_that_has_not_concluded_fails_in_a_sentence() -> None:
    concluded(("v3", 1000, 750), ("v4", 1000, 752))
    state = await run("deploy_winner", experiment="shipping-v4")
    assert state.is_failed()
    assert "there is no winner to deploy" in str(state.message)


async def test_the_drill_rolls_back_for_real_as_often_as_it_is_asked() -> None:
    for _ in range(2):
        state = await run("rollback_drill")
        assert state.is_completed(), state.message
        assert "The way back works" in str(state.message)
    with transaction() as connection:
        drills = [each.why for each in entries(connection, target="feature:rollback-drill")]
    assert drills == ["worked", "worked"]
