"""Deployments that are killed: between any two statements, commits and file operations, one bundle is live, the
published file is whole, and the next look goes on.
"""

import json
import multiprocessing
import os
import signal
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, event

from evaluations.deployments import Bundle, Policy
from evaluations.models import Environment
from tasks.advancing import advance, advance_all, mend_flags
from tasks.deploying import Wish, propose, start
from tasks.flags import flag_file, is_current, publish_flags
from tasks.rolling_back import roll_back
from tasks.settings import settings
from tasks.store.audit import verify_chain
from tasks.store.database import engine as store_engine
from tasks.store.database import transaction
from tasks.store.models import set_environment
from tests.cli.commands import rows
from tests.deployments import NEW, OLD, approve, deployed

QUICK = Policy(window_s=60, least_units=0)
"""Windows of a minute that need nobody: what is tested here is not the watch."""
MINUTE = timedelta(seconds=61)
_MAY_ADVANCE = """
    SELECT FROM deployments d WHERE d.status IN ('pending', 'deploying') OR d.status = 'deployed' AND EXISTS (
        SELECT FROM deployment_steps s WHERE s.deployment_id = d.id AND s.ended_at IS NULL)
"""
_OF_A_DEPLOYMENT = (
    "live_bundles", "deployment_approvals", "deployment_looks", "deployment_steps", "deployment_events",
    "flag_deliveries",
)  # fmt: skip


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, store: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("ASSAY_FLAGS", str(tmp_path))
    monkeypatch.setenv("ASSAY_ACTOR", "ana")
    settings.cache_clear()
    with transaction() as connection:
        set_environment(connection, Environment(name="production", approvals_required=1), "for the test", "ana")
    yield tmp_path
    settings.cache_clear()


def ready(feature: str) -> None:
    """A feature with a live bundle."""
    with transaction() as connection:
        deployed(connection, OLD, feature=feature)
    publish_flags("production")


def drive(feature: str) -> None:
    """A deployment from its beginning to its end, and the way back: every step there is."""
    now = datetime.now(UTC)
    wish = Wish(feature=feature, bundle=NEW.document, policy=QUICK)
    asked = start(propose(wish), why="", waive="tested")
    with transaction() as connection:
        approve(connection, asked)
    for minutes in range(4):
        advance(asked.id, now + minutes * MINUTE)
    roll_back(feature, why="tested")


def forget(store: str) -> None:
    """Take out what earlier kills left, past all triggers: every look reads and publishes all there is, and the
    thousandth kill shall cost what the first one does. The audit log stays, one chain through all of them.
    """
    with psycopg.connect(store) as raw:
        raw.execute("SET session_replication_role = replica")
        for table in (*_OF_A_DEPLOYMENT, "deployments"):
            raw.execute(f"DELETE FROM {table}")


class Boundaries:
    """Counts what can be interrupted: statements, commits, and the operations that replace the file."""

    def __init__(self, fatal: int | None) -> None:
        self.seen = 0
        self.fatal = fatal

    def __call__(self, *_: Any) -> None:
        self.seen += 1
        if self.seen == self.fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(self) -> None:
        for name in ("before_cursor_execute", "commit"):
            event.listen(Engine, name, self)
        os.fsync = self._before(os.fsync)
        Path.replace = self._before(Path.replace)  # type: ignore[method-assign]

    def _before(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*given: Any, **more: Any) -> Any:
            self()
            return real(*given, **more)

        return counted


def child(feature: str, fatal: int | None, told: Any) -> None:
    store_engine().dispose(close=False)  # the connections are the parent's
    boundaries = Boundaries(fatal)
    boundaries.watch()
    try:
        drive(feature)
    except BaseException:
        told.send(traceback.format_exc())
        raise
    told.send(boundaries.seen)
    os._exit(0)  # what was registered for the end of the parent is the parent's


def driven(feature: str, fatal: int | None) -> int | None:
    """Drive in a process of its own, killed at a boundary; gives how many there were when it was not killed."""
    here, there = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=child, args=(feature, fatal, there))
    process.start()
    there.close()
    process.join(120)
    assert process.exitcode in (0, -signal.SIGKILL), here.recv() if here.poll() else process.exitcode
    return here.recv() if process.exitcode == 0 else None


def check(store: str, feature: str) -> None:
    """Read past the code under test: one live bundle, and a whole document that serves one of the two."""
    live = rows(store, "SELECT d.bundle FROM deployments d WHERE d.feature = %s AND d.status = 'deployed'", feature)
    assert len(live) == 1
    pointed = rows(store, "SELECT count(*) FROM live_bundles WHERE feature = %s", feature)
    assert pointed == [(1,)]
    flag = json.loads(flag_file("production").read_text())["flags"][feature]
    assert flag["variants"]["default"] in (OLD.document, NEW.document)
    assert [path.name for path in flag_file("production").parent.iterdir() if path.suffix == ".json"] == [
        "production.json"
    ]


def survives(store: str, feature: str, fatal: int) -> None:
    forget(store)
    ready(feature)
    assert driven(feature, fatal) is None, f"{fatal} was not reached"
    check(store, feature)
    # What a person or the sweep does next: look, as often as it takes; then the way back.
    for minutes in range(1, 5):
        advanced = advance_all(datetime.now(UTC) + minutes * MINUTE)
        assert not advanced.failed, advanced.failed
        mend_flags()
        check(store, feature)
        if not rows(store, _MAY_ADVANCE):
            break
    assert is_current("production")
    roll_back(feature, to=OLD.prompt, why="tested")
    check(store, feature)
    [(bundle,)] = rows(store, "SELECT bundle FROM deployments WHERE feature = %s AND status = 'deployed'", feature)
    assert Bundle.read(bundle) == OLD
    assert not rows(
        store, "SELECT id FROM deployments WHERE feature = %s AND status IN ('pending', 'deploying')", feature
    )


def test_killed_at_some_boundaries_one_bundle_is_live_and_the_next_look_goes_on(store: str) -> None:
    ready("uninterrupted")
    boundaries = driven("uninterrupted", None)
    assert boundaries is not None
    assert boundaries > 100
    for number in range(8):
        survives(store, f"killed-{number}", 1 + (boundaries - 2) * number // 7)
    with transaction() as connection:
        assert verify_chain(connection).broken_at is None


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("time", range(1, 4))
def test_killed_at_every_boundary_one_bundle_is_live_and_the_next_look_goes_on(store: str, time: int) -> None:
    ready("uninterrupted")
    boundaries = driven("uninterrupted", None)
    assert boundaries is not None
    for fatal in range(1, boundaries):
        survives(store, f"killed-{fatal}-{time}", fatal)
    with transaction() as connection:
        assert verify_chain(connection).broken_at is None
