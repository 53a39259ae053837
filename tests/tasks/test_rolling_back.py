"""Rolling back: the whole bundle, at once, whatever was under way; and the flags that say so."""

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from evaluations.errors import AssayError, InfrastructureError
from tasks.flags import flag_file, is_current, publish_flags
from tasks.rolling_back import roll_back
from tasks.settings import settings
from tasks.store.audit import verify_chain
from tasks.store.database import transaction
from tasks.store.deployments import deployment_of, list_deployments, live_deployment
from tasks.store.experiments import create_experiment, find_experiment, move
from tests.deployments import NEW, NEWER, OLD, approve, asked, deployed, taken
from tests.experiments import live

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, store: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("ASSAY_FLAGS", str(tmp_path))
    settings.cache_clear()
    yield tmp_path
    settings.cache_clear()


def two_deployed() -> None:
    for bundle in (OLD, NEW):
        with transaction() as connection:
            deployed(connection, bundle)
    publish_flags("production")


def served() -> Any:
    """What an application gets that takes no part in anything."""
    flag = json.loads(flag_file("production").read_text())["flags"]["chatbot"]
    return flag["variants"][flag["defaultVariant"]]


def test_the_whole_bundle_of_before_is_live_again() -> None:
    two_deployed()
    assert served() == NEW.document
    done = roll_back("chatbot", why="worse answers")
    assert (done.how, done.live, done.left) == ("restored", OLD, NEW)
    assert served() == OLD.document
    with transaction() as connection:
        now = live_deployment(connection, "chatbot", "production")
        states = [(each.bundle.prompt, each.status, each.trigger) for each in list_deployments(connection)]
    assert now is not None
    assert (now.trigger, now.rollout_percent) == ("rollback", 100)
    assert states == [
        ("shipping@3.0.0", "deployed", "rollback"),
        ("shipping@4.0.0", "rolled_back", "manual"),
        ("shipping@3.0.0", "superseded", "manual"),
    ]
    with transaction() as connection:
        assert verify_chain(connection).broken_at is None


def test_twice_is_once_and_the_flags_are_written_again(folder: Path) -> None:
    two_deployed()
    roll_back("chatbot", why="worse answers")
    (folder / "production.json").unlink()
    assert not is_current("production")
    again = roll_back("chatbot", why="did it work?")
    assert (again.how, again.live) == ("already", OLD)
    assert is_current("production")


def test_a_named_bundle_comes_back_even_one_that_was_taken_back() -> None:
    two_deployed()
    with transaction() as connection:
        deployed(connection, NEWER)
    assert roll_back("chatbot", to=OLD.prompt, why="").live == OLD
    assert roll_back("chatbot", to=NEWER.prompt, why="it was the network").live == NEWER


@pytest.mark.parametrize("length", [0, 1, 3])
def test_too_little_of_an_id_names_no_bundle(length: int) -> None:
    two_deployed()
    with transaction() as connection:
        found = list_deployments(connection)
    for each in found:
        with pytest.raises(AssayError, match=r"no earlier bundle of chatbot .*There are: "):
            roll_back("chatbot", to=str(each.id)[:length], why="")
    assert roll_back("chatbot", to=found[-1].name, why="").live == OLD


def test_a_canary_is_ended_and_what_was_live_stays() -> None:
    two_deployed()
    with transaction() as connection:
        coming = asked(connection, NEWER)
        approve(connection, coming)
        taken(connection, coming, "pending", "deploying")
    publish_flags("production")
    done = roll_back("chatbot", why="errors")
    assert (done.how, done.live, done.left) == ("canary ended", NEW, NEWER)
    assert served() == NEW.document
    assert "targeting" not in json.loads(flag_file("production").read_text())["flags"]["chatbot"]
    with transaction() as connection:
        assert deployment_of(connection, coming.id).status == "rolled_back"
    # Whoever is not sure that it worked does not lose the live bundle by asking again.
    assert (roll_back("chatbot", why="did it work?").how, served()) == ("already", NEW.document)


def test_what_waits_for_approval_does_not_keep_anybody_from_rolling_back() -> None:
    two_deployed()
    with transaction() as connection:
        waiting = asked(connection, NEWER)
    assert roll_back("chatbot", why="errors").live == OLD
    with transaction() as connection:
        ended = deployment_of(connection, waiting.id)
    assert (ended.status, ended.moved_why) == ("failed", "a rollback came first: errors")


def test_to_what_is_live_ends_whatever_is_on_its_way() -> None:
    two_deployed()
    with transaction() as connection:
        waiting = asked(connection, NEWER)
    done = roll_back("chatbot", to=NEW.prompt, why="stay")
    assert (done.how, done.live, served()) == ("canary ended", NEW, NEW.document)
    with transaction() as connection:
        assert deployment_of(connection, waiting.id).status == "failed"


def test_a_running_experiment_gives_its_traffic_back() -> None:
    two_deployed()
    with transaction() as connection:
        create_experiment(connection, live(), None, "ana")
        move(connection, find_experiment(connection, "shipping-v4"), "running", actor="ana")
    publish_flags("production")
    assert "targeting" in json.loads(flag_file("production").read_text())["flags"]["chatbot"]
    assert roll_back("chatbot", why="errors").paused == "shipping-v4"
    assert "targeting" not in json.loads(flag_file("production").read_text())["flags"]["chatbot"]
    with transaction() as connection:
        move(connection, find_experiment(connection, "shipping-v4"), "running", actor="ana")
    publish_flags("production")
    assert "targeting" in json.loads(flag_file("production").read_text())["flags"]["chatbot"]


def test_an_experiment_that_was_resumed_after_a_rollback_gives_its_traffic_back_again() -> None:
    two_deployed()
    with transaction() as connection:
        create_experiment(connection, live(), None, "ana")
        move(connection, find_experiment(connection, "shipping-v4"), "running", actor="ana")
    roll_back("chatbot", why="errors")
    with transaction() as connection:
        move(connection, find_experiment(connection, "shipping-v4"), "running", actor="ana")
    publish_flags("production")
    again = roll_back("chatbot", why="errors again")
    assert (again.how, again.paused) == ("already", "shipping-v4")
    assert str(again).endswith("Experiment shipping-v4 is paused.")
    assert "targeting" not in json.loads(flag_file("production").read_text())["flags"]["chatbot"]


def test_where_there_is_nothing_to_go_back_to_the_reason_is_told() -> None:
    with pytest.raises(AssayError, match="no live bundle in production"):
        roll_back("chatbot", why="")
    with transaction() as connection:
        deployed(connection, OLD)
    with pytest.raises(AssayError, match="no other bundle"):
        roll_back("chatbot", why="")
    with pytest.raises(AssayError, match="did you mean 'chatbot'"):
        roll_back("chatbott", why="")


def test_a_full_disk_leaves_the_old_file_and_the_rollback_committed(monkeypatch: pytest.MonkeyPatch) -> None:
    two_deployed()
    with monkeypatch.context() as full:
        full.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(InfrastructureError, match=r"is rolled back in the database, but .* No space left"):
            roll_back("chatbot", why="errors")
    assert served() == NEW.document
    assert roll_back("chatbot", why="again, with room").how == "already"
    assert served() == OLD.document


def test_a_bundle_that_was_changed_past_assay_does_not_come_back(store: str) -> None:
    import psycopg

    two_deployed()
    with psycopg.connect(store) as raw:
        raw.execute("SET session_replication_role = replica")
        raw.execute(
            "UPDATE deployments SET bundle = bundle || '{\"model\": \"evil/model\"}' WHERE status = 'superseded'"
        )
    with pytest.raises(AssayError, match="not what was deployed"):
        roll_back("chatbot", why="errors")
    assert served() == NEW.document


def test_the_command_imports_neither_prefect_nor_litellm(store: str, folder: Path) -> None:
    two_deployed()
    script = (
        "import sys, os\n"
        "from click.testing import CliRunner\n"
        "from cli.rollback import rollback\n"
        "done = CliRunner().invoke(rollback, ['chatbot', '--why', 'drill'], catch_exceptions=False)\n"
        "assert done.exit_code == 0, done.output\n"
        "print(sorted({'prefect', 'litellm', 'pandas', 'scipy', 'numpy', 'great_expectations'} & set(sys.modules)))\n"
    )
    environment = {
        "ASSAY_DATABASE_URL": store,
        "ASSAY_FLAGS": str(folder),
        "PATH": "/usr/bin:/bin",
        "HOME": str(folder),
    }
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr
    assert served() == OLD.document


def test_the_audit_names_who_and_why() -> None:
    from tasks.store.audit import entries

    two_deployed()
    began = datetime.now(UTC)
    roll_back("chatbot", why="worse answers", actor="dora")
    with transaction() as connection:
        told = [(each.action, each.actor, each.why) for each in entries(connection, feature="chatbot", limit=4)]
        assert all(each.at >= began for each in entries(connection, feature="chatbot", limit=4))
    assert told == [
        ("deployment deployed", "dora", "worse answers"),
        ("deployment rolled back", "dora", "worse answers"),
        ("deployment deploying", "dora", "worse answers"),
        ("deployment pending", "dora", "worse answers"),
    ]
