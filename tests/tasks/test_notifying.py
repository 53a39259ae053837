"""Notifications over real HTTP: told once it is committed, at least once, with one key, and never with a secret."""

import base64
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, text

from evaluations.errors import AssayError
from evaluations.notifications import EVENTS, MOST_ATTEMPTS
from evaluations.roles import Grant
from tasks.delivering import SIGNATURE, TIMESTAMP, signature
from tasks.notifying import secret_of, send, send_soon, send_test, send_waiting
from tasks.rolling_back import restore
from tasks.store.database import transaction
from tasks.store.decisions import decide
from tasks.store.deployments import move
from tasks.store.experiments import create_experiment
from tasks.store.notifications import (
    Channel,
    Delivery,
    Rule,
    channels,
    deliveries,
    put_channel,
    retry,
    stop_channel,
)
from tasks.store.roles import grant, revoke
from tests.cli.commands import rows
from tests.deployments import NEW, NEWER, OLD, approve, asked, deployed, taken
from tests.experiments import live
from tests.fakes.receiver import Receiver, receiving

SECRET = "correct-horse-battery"
TOKEN = "t0ken-of-the-channel"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as kept:
        yield kept


@pytest.fixture(autouse=True)
def addresses(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a channel of Apprise and of a webhook, both with a secret in them."""
    monkeypatch.setenv("OPS", receiver.address(f"/apprise/{TOKEN}", scheme="json"))
    monkeypatch.setenv("HOOK", receiver.address(f"/hook?token={TOKEN}"))
    monkeypatch.setenv("SIGNING", SECRET)


def add(name: str = "ops", kind: Any = "apprise", *events: str, environment: str | None = None) -> Channel:
    address, signing = ("env:OPS", None) if kind == "apprise" else ("env:HOOK", "env:SIGNING")
    channel = Channel(name=name, kind=kind, address_ref=address, signing_ref=signing)
    with transaction() as connection:
        put_channel(connection, channel, [Rule(name, event, environment) for event in events or ("*",)], "root")
    return channel


def told(status: str | None = None) -> list[Delivery]:
    with transaction() as connection:
        return deliveries(connection, status=status, limit=1000)


def rows_of(connection: Connection) -> int:
    found: int = connection.execute(text("SELECT count(*) FROM outbox")).scalar_one()
    return found


def due() -> None:
    """Let the time pass that deliveries have to wait."""
    with transaction() as connection:
        connection.execute(text("UPDATE notification_deliveries SET next_at = now() WHERE status = 'waiting'"))


def test_a_deployment_is_told_from_the_wish_to_the_way_back(store: str, receiver: Receiver) -> None:
    add()
    with transaction() as connection:
        first = deployed(connection, OLD)
        deployed(connection, NEW)
        restore(connection, first, "it answers wrongly", "ana")
    told_by_rows = rows(store, "SELECT event FROM outbox ORDER BY id")
    once = ["deployment.asked", "deployment.approved", "deployment.advanced", "deployment.promoted"]
    assert [event for (event,) in told_by_rows] == [*once, *once, "deployment.rolled_back", "feature.rolled_back"]
    assert str(send_waiting()) == "10 messages to ops."
    assert len(receiver.seen) == 10
    last = json.loads(receiver.seen[-1][3])
    assert last["title"] == "chatbot in production is back on an earlier bundle"
    assert "Bundle: shipping@3.0.0 on openai/gpt-4o-mini" in last["message"]
    assert "Why: it answers wrongly" in last["message"]
    assert str(send_waiting()) == "Nothing was waiting to be told."


def test_what_was_not_committed_is_not_told(store: str, receiver: Receiver) -> None:
    add()
    with transaction() as connection:
        deployed(connection, OLD)
        assert rows_of(connection) == 4
        connection.rollback()
    send_waiting()
    assert receiver.seen == []
    assert rows(store, "SELECT count(*) FROM outbox") == [(0,)]


def test_the_other_ends_of_a_deployment_are_told(store: str) -> None:
    with transaction() as connection:
        deployed(connection, OLD)
        found = asked(connection, NEW)
        approve(connection, found)
        found = taken(connection, found, "pending", "deploying")
        move(connection, found, "rolled_back", actor="assay", why="errors")
        move(connection, asked(connection, NEWER), "failed", actor="assay", why="rejected")
    with transaction() as connection:
        grant(connection, Grant(subject="root", role="admin"), "root")
    said = [event for (event,) in rows(store, "SELECT event FROM outbox ORDER BY id")][4:]
    assert said == [
        *("deployment.asked", "deployment.approved", "deployment.advanced", "deployment.rolled_back"),
        *("deployment.asked", "deployment.failed", "role.granted"),
    ]
    assert set(said) <= set(EVENTS)


def test_a_decision_of_an_experiment_is_told_with_its_sentence(store: str, receiver: Receiver) -> None:
    add()
    with transaction() as connection:
        decide(
            connection,
            create_experiment(connection, live(), None, "ana"),
            outcome="variant",
            variant="v4",
            rule="better by the margin",
            sentence="v4 is better than v3 in quality.",
            automatic=True,
            actor="assay",
        )
    send_waiting()
    [(_, _, _, body)] = receiver.seen
    said = json.loads(body)
    assert said["title"] == "shipping-v4 of chatbot in production was decided"
    assert "Outcome: variant v4" in said["message"]
    assert "Why: v4 is better than v3 in quality." in said["message"]


def test_a_webhook_is_signed_and_carries_its_key(store: str, receiver: Receiver) -> None:
    add("audit", "webhook")
    with transaction() as connection:
        found = asked(connection)
    send_waiting()
    [(method, _, headers, body)] = receiver.seen
    assert method == "POST"
    assert headers[SIGNATURE] == signature(SECRET.encode(), headers[TIMESTAMP], body)
    [(key,)] = rows(store, "SELECT key::text FROM outbox")
    said = json.loads(body)
    assert headers["X-Assay-Delivery"] == said["id"] == key
    assert (said["event"], said["target"]) == ("deployment.asked", f"deployment:{found.id}")
    assert said["facts"]["content_hash"] == found.content_hash


def test_rules_choose_the_events_and_the_environment(store: str) -> None:
    add("all", "apprise")
    add("backs", "apprise", "feature.rolled_back", "deployment.rolled_back")
    add("staging", "apprise", "deployment.*", environment="staging")
    with transaction() as connection:
        asked(connection, environment="staging")
        asked(connection, environment="production")
        asked(connection, environment="rollback-drill")
    assert sorted((each.channel.name, each.event.environment) for each in told()) == [
        ("all", "production"),
        ("all", "staging"),
        ("staging", "staging"),
    ]


def test_two_rules_for_one_event_make_one_delivery(store: str) -> None:
    add("ops", "apprise", "*", "deployment.*", "deployment.asked")
    with transaction() as connection:
        asked(connection)
    assert len(told()) == 1


@pytest.mark.parametrize("kind", ["apprise", "webhook"])
def test_a_channel_that_fails_is_tried_again_later_and_given_up_in_the_end(
    store: str, receiver: Receiver, kind: str
) -> None:
    add("ops", kind)
    with transaction() as connection:
        asked(connection, feature="one")
        asked(connection, feature="two")
    receiver.codes = [500] * MOST_ATTEMPTS * 2
    assert str(send_waiting()) == "ops failed: HTTP 500."
    assert len(receiver.seen) == 1, "the second is not tried on a channel that just failed"
    assert str(send_waiting()) == "ops failed: HTTP 500.", "the second has its turn"
    assert str(send_waiting()) == "Nothing was waiting to be told.", "both wait"
    for _ in range(MOST_ATTEMPTS * 2):
        due()
        send_waiting()
    assert {(each.status, each.attempts, each.last_error) for each in told()} == {("dead", MOST_ATTEMPTS, "HTTP 500")}
    assert len(receiver.seen) == MOST_ATTEMPTS * 2
    assert receiver.codes == []
    with transaction() as connection:
        assert retry(connection) == 2
    assert str(send_waiting()) == "2 messages to ops."


def test_a_failing_channel_keeps_no_other(store: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    add("audit", "webhook")
    monkeypatch.setenv("HOOK", "http://127.0.0.1:9/closed")
    add("ops")
    with transaction() as connection:
        deployed(connection, OLD)
    done = send_waiting()
    assert (done.delivered, done.failed) == ({"ops": 4}, {"audit": "it was not reached (URLError)"})


def test_a_redirect_is_no_delivery(store: str, receiver: Receiver) -> None:
    add("audit", "webhook")
    with transaction() as connection:
        asked(connection)
    receiver.codes = [302]
    assert send_waiting().failed == {"audit": "HTTP 302"}


def test_killed_between_sending_and_writing_it_down_it_arrives_again_with_the_same_key(
    store: str, receiver: Receiver, tmp_path: Path
) -> None:
    add("audit", "webhook")
    with transaction() as connection:
        asked(connection)
    _killed_at(tmp_path, "tasks.store.notifications.settle")
    assert len(receiver.seen) == 1
    assert [(each.status, each.attempts) for each in told()] == [("waiting", 1)]
    assert str(send_waiting()) == "Nothing was waiting to be told.", "it may still be on its way"
    due()
    assert str(send_waiting()) == "1 message to audit."
    first, second = ((headers["X-Assay-Delivery"], body) for _, _, headers, body in receiver.seen)
    assert first == second
    assert [(each.status, each.attempts) for each in told()] == [("delivered", 2)]


def test_killed_before_sending_it_is_sent_by_the_next_sweep(store: str, receiver: Receiver, tmp_path: Path) -> None:
    add("audit", "webhook")
    with transaction() as connection:
        asked(connection)
    _killed_at(tmp_path, "tasks.notifying.send")
    assert receiver.seen == []
    due()
    assert str(send_waiting()) == "1 message to audit."
    assert len(receiver.seen) == 1


def _killed_at(folder: Path, name: str) -> None:
    """A sweep in a process of its own, killed where it would call a function."""
    script = folder / "killed.py"
    module, _, function = name.rpartition(".")
    script.write_text(
        f"import os, signal, {module}, tasks.notifying\n"
        f"{module}.{function} = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)\n"
        "tasks.notifying.send_waiting()\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


def test_sweeps_at_once_send_nothing_twice(store: str, receiver: Receiver) -> None:
    add("audit", "webhook")
    with transaction() as connection:
        for number in range(20):
            asked(connection, feature=f"f{number}")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: send_waiting(), range(4)))
    keys = [headers["X-Assay-Delivery"] for _, _, headers, _ in receiver.seen]
    assert len(keys) == len(set(keys)) == 20
    assert {each.status for each in told()} == {"delivered"}


def test_no_secret_reaches_a_row_a_log_or_an_error(
    store: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capfd: Any
) -> None:
    caplog.set_level(logging.DEBUG)
    add()
    add("audit", "webhook")
    with transaction() as connection:
        deployed(connection, OLD)
    receiver.codes = [500, 404]
    said = str(send_waiting())
    monkeypatch.setenv("OPS", f"json://127.0.0.1:9/{TOKEN}")
    monkeypatch.setenv("HOOK", f"http://127.0.0.1:notaport/{TOKEN}")
    due()
    said += str(send_waiting())
    monkeypatch.setenv("OPS", f"nothing-that-apprise-knows://{TOKEN}")
    monkeypatch.setenv("HOOK", f"{TOKEN} and no address")
    due()
    said += str(send_waiting())
    for name in ("ops", "audit"):
        with transaction() as connection:
            [channel] = [each for each in channels(connection) if each.name == name]
        with pytest.raises(AssayError) as problem:
            send_test(channel)
        said += str(problem.value)
    with psycopg.connect(store) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        dump = "".join(str(connection.execute(f"SELECT * FROM {table}").fetchall()) for (table,) in tables)
    printed = capfd.readouterr()
    everywhere = {"rows": dump, "said": said, "log": caplog.text, "out": printed.out, "err": printed.err}
    for where, found in everywhere.items():
        for secret in (TOKEN, SECRET, base64.b64encode(SECRET.encode()).decode()):
            assert secret not in found, where
    assert "HTTP 500" in said
    assert "none that Apprise knows" in said


def test_the_store_takes_no_address_itself(store: str) -> None:
    with pytest.raises(psycopg.errors.CheckViolation), psycopg.connect(store) as connection:
        connection.execute(
            """INSERT INTO notification_channels (name, kind, address_ref, actor)
            VALUES ('ops', 'apprise', 'slack://token', 'x')"""
        )


def test_hostile_text_calls_nobody_and_breaks_no_line(store: str, receiver: Receiver) -> None:
    add()
    with transaction() as connection:
        found = asked(connection, feature="chat\u202ebot")
        move(
            connection,
            found,
            "failed",
            actor="ana",
            why="@everyone\r\nTitle: [click](https://evil.example) <!here>\x07",
        )
    send_waiting()
    said = json.loads(receiver.seen[-1][3])
    for bad in ("@everyone", "https://evil", "](", "<!", "\u202e", "\x07"):
        assert bad not in said["message"] + said["title"]
    assert [line for line in said["message"].splitlines() if line.startswith("Title:")] == []


def test_a_secret_comes_from_a_variable_or_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret").write_text("from-a-file\n")
    monkeypatch.setenv("SOME", "from-a-variable")
    assert secret_of(f"file:{tmp_path}/secret") == "from-a-file"
    assert secret_of("env:SOME") == "from-a-variable"
    for reference, says in (
        ("env:NOT_THERE", "the variable NOT_THERE is empty"),
        (f"file:{tmp_path}/none", "cannot be read: No such file"),
        (f"file:{tmp_path}", "is no file"),
        ("file:/dev/zero", "is no file"),
    ):
        with pytest.raises(AssayError, match=says):
            secret_of(reference)


def test_what_waits_for_a_stopped_channel_stays(store: str, receiver: Receiver) -> None:
    channel = add()
    with transaction() as connection:
        asked(connection)
        stop_channel(connection, "ops", "root")
        asked(connection, feature="later")
    send_waiting()
    assert receiver.seen == []
    add()
    assert str(send_waiting()) == "1 message to ops."
    assert send(channel, told()[0].event) == ""


def test_a_command_is_not_held_up_by_what_cannot_be_told(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    add()
    with transaction() as connection:
        asked(connection)
    monkeypatch.delenv("OPS")
    assert send_soon() == "not told yet: ops failed: the variable OPS is empty."


def test_who_gives_up_the_last_role_is_told_of(store: str) -> None:
    add()
    with transaction() as connection:
        grant(connection, Grant(subject="root", role="admin"), "root")
        revoke(connection, Grant(subject="root", role="admin", why="done"))
    assert [each.event.name for each in told()] == ["role.revoked", "role.granted"]
