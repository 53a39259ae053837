"""Deployments in the store: what the database itself refuses, whoever asks."""

import threading
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from sqlalchemy import Connection, text

from evaluations.deployments import STATUSES, TRANSITIONS, Bundle, Status
from evaluations.errors import AssayError
from tasks.store.canaries import begin_step, end_open_step, steps_of
from tasks.store.database import transaction
from tasks.store.deployments import (
    StoredDeployment,
    approvals_of,
    deployment_of,
    events_of,
    find_deployment,
    live_deployment,
    move,
    restorable,
)
from tasks.store.experiments import create_experiment, find_experiment
from tasks.store.experiments import move as move_experiment
from tests.deployments import NEW, NEWER, OLD, approve, asked, deployed, taken
from tests.experiments import live


def refused(store: str, statement: str, says: str) -> None:
    """A statement by raw SQL, past all code of ours, and the reason for which the database does not take it."""
    with pytest.raises(psycopg.errors.CheckViolation, match=says), psycopg.connect(store) as connection:
        connection.execute(statement)


WAYS: dict[Status, tuple[Status, ...]] = {
    "pending_approval": (),
    "pending": ("pending",),
    "deploying": ("pending", "deploying"),
    "deployed": ("pending", "deploying", "deployed"),
    "failed": ("failed",),
    "rolled_back": ("pending", "deploying", "rolled_back"),
}


def test_a_life_has_no_other_steps_than_those_declared_in_the_database_too(store: str) -> None:
    with transaction() as connection:
        deployed(connection)
    for before, way in WAYS.items():
        with transaction() as connection:
            found = asked(connection, feature=f"chatbot-{before}")
            approve(connection, found)
            found = taken(connection, found, *way)
        for after in STATUSES:
            if after in TRANSITIONS[before] or after == before:
                continue
            with transaction() as connection, pytest.raises(AssayError, match=f"{found.name} is {before}"):
                move(connection, found, after, actor="eve", why="")
            share = "100" if after == "deployed" else "rollout_percent"
            refused(
                store,
                f"UPDATE deployments SET status = '{after}', rollout_percent = {share} WHERE id = '{found.id}'",
                "cannot go from",
            )


def test_a_life_is_written_down_by_the_database(store: str) -> None:
    with transaction() as connection:
        before = deployed(connection)
        found = asked(connection)
        approve(connection, found)
        found = taken(connection, found, "pending", "deploying")
        move(connection, found, "deploying", actor="ana", why="more", percent=50)
        told = [(event.before, event.after, event.percent) for event in events_of(connection, found.id)]
        assert told == [
            (None, "pending_approval", 0),
            ("pending_approval", "pending", 0),
            ("pending", "deploying", 10),
            ("deploying", "deploying", 50),
        ]
        assert live_deployment(connection, "chatbot", "production") == before


def test_who_asked_cannot_approve_under_any_spelling(store: str) -> None:
    with transaction() as connection:
        found = asked(connection, actor="Ana")
        for name in ("Ana", "ana", " ANA "):
            with pytest.raises(AssayError, match="who asked for"):
                approve(connection, found, actor=name)


def test_an_approval_is_of_one_bundle_and_for_a_time(store: str) -> None:
    with transaction() as connection:
        found = asked(connection)
        with pytest.raises(AssayError, match="another bundle"):
            approve(connection, found, content_hash=NEWER.content_hash)
        with pytest.raises(AssayError, match="ends later"):
            approve(connection, found, expires_at=datetime.now(UTC) - timedelta(seconds=1))
        assert approvals_of(connection, found.id) == []
        with pytest.raises(AssayError, match="0 of 1 approvals"):
            move(connection, found, "pending", actor="ana", why="")


def test_an_approval_that_ran_out_carries_nothing(store: str) -> None:
    with transaction() as connection:
        found = asked(connection)
        approve(connection, found, expires_at=datetime.now(UTC) + timedelta(milliseconds=300))
        found = move(connection, found, "pending", actor="ana", why="")
    with transaction() as connection:
        connection.execute(text("SELECT pg_sleep(0.4)"))
    with transaction() as connection, pytest.raises(AssayError, match="0 of 1 approvals that hold"):
        move(connection, found, "deploying", actor="ana", why="", percent=10)


def test_one_person_twice_is_one_approval_and_a_no_outweighs(store: str) -> None:
    from tasks.store.deployments import say

    with transaction() as connection:
        found = asked(connection, approvals_required=2)
        approve(connection, found, actor="ben")
        approve(connection, found, actor="Ben ")
        with pytest.raises(AssayError, match="1 of 2"):
            move(connection, found, "pending", actor="ana", why="")
        approve(connection, found, actor="cleo")
        say(connection, found, "rejected", content_hash=found.content_hash, why="no",
            expires_at=datetime.now(UTC) + timedelta(days=1), actor="dora")  # fmt: skip
        with pytest.raises(AssayError, match="2 of 2"):
            move(connection, found, "pending", actor="ana", why="")


def test_production_has_a_second_person_whatever_was_asked(store: str) -> None:
    with transaction() as connection, pytest.raises(AssayError, match="second person"):
        asked(connection, approvals_required=0)
    with transaction() as connection:
        assert asked(connection, approvals_required=0, environment="staging").status == "pending"


@pytest.mark.parametrize("environment", ["production", "staging"])
def test_no_deployment_waits_for_fewer_approvals_than_its_environment_asks_for(store: str, environment: str) -> None:
    with transaction() as connection:
        connection.execute(text("UPDATE environments SET approvals_required = 2"))
        with pytest.raises(AssayError, match=f"{environment} asks for 2 approvals of each deployment, not 1"):
            asked(connection, environment=environment)
        assert asked(connection, environment=environment, approvals_required=2).status == "pending_approval"


def test_what_was_asked_for_is_frozen(store: str) -> None:
    with transaction() as connection:
        found = asked(connection)
    values = {"bundle": "'{}'", "policy": "'{}'", "approvals_required": "0"}
    for column in ("bundle", "content_hash", "approvals_required", "actor", "policy", "environment"):
        statement = f"UPDATE deployments SET {column} = {values.get(column, repr('x'))} WHERE id = '{found.id}'"
        refused(store, statement, "is frozen")


def test_what_was_never_live_cannot_be_made_to_look_so_and_be_rolled_back_to(store: str) -> None:
    with transaction() as connection:
        deployed(connection)
        found = asked(connection)
    for column in ("began_at", "deployed_at", "ended_at"):
        statement = f"UPDATE deployments SET {column} = now() WHERE id = '{found.id}'"
        refused(store, statement, "times of deployment .* are those of its steps")
    failed = f"UPDATE deployments SET status = 'failed', deployed_at = now(), ended_at = now() WHERE id = '{found.id}'"
    refused(store, failed, "are those of its steps")
    with transaction() as connection:
        move(connection, found, "failed", actor="ana", why="")
        with pytest.raises(AssayError, match="live there before"):
            asked(connection, trigger="rollback", approvals_required=0, restores_id=found.id)


def test_a_step_has_its_time_whoever_takes_it(store: str) -> None:
    with transaction() as connection:
        found = asked(connection)
        connection.execute(
            text("UPDATE deployments SET status = 'failed' WHERE id = :id"),
            {"id": found.id},
        )
        now = connection.execute(text("SELECT now()")).scalar_one()
        assert deployment_of(connection, found.id).ended_at == now


def test_two_at_once_are_refused(store: str) -> None:
    with transaction() as connection:
        first = asked(connection)
    with transaction() as connection, pytest.raises(AssayError, match=f"{first.name}, asked for by ana, is under way"):
        asked(connection, NEWER, actor="ben")


def test_of_two_that_are_asked_for_in_the_same_moment_one_is(store: str) -> None:
    ends: list[str] = []
    ready = threading.Barrier(2)

    def ask(bundle: Bundle) -> None:
        ready.wait()
        try:
            with transaction() as connection:
                asked(connection, bundle)
            ends.append("asked")
        except AssayError:
            ends.append("refused")

    threads = [threading.Thread(target=ask, args=(bundle,)) for bundle in (NEW, NEWER)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ends) == ["asked", "refused"]


def test_exactly_one_bundle_is_live(store: str) -> None:
    with transaction() as connection:
        first = deployed(connection, OLD)
        second = deployed(connection, NEW)
        assert deployment_of(connection, first.id).status == "superseded"
        assert live_deployment(connection, "chatbot", "production") == second
    refused(store, f"UPDATE deployments SET status = 'superseded', rollout_percent = 0 WHERE id = '{second.id}'",
            "exactly one live")  # fmt: skip
    refused(store, f"UPDATE live_bundles SET deployment_id = '{first.id}'", "exactly one live")
    refused(store, "DELETE FROM live_bundles", "keeps a live bundle")
    refused(store, f"DELETE FROM deployments WHERE id = '{second.id}'", "stay on record")
    with psycopg.connect(store) as raw, pytest.raises(psycopg.errors.CheckViolation, match="history"):
        raw.execute("TRUNCATE live_bundles")


def test_histories_only_grow(store: str) -> None:
    with transaction() as connection:
        approve(connection, asked(connection))
    for table in ("deployment_events", "deployment_approvals", "audit_log"):
        refused(store, f"UPDATE {table} SET actor = 'eve'", "history")
        refused(store, f"DELETE FROM {table}", "history")


def test_canary_steps_rise_one_after_the_other(store: str) -> None:
    now = datetime.now(UTC)
    with transaction() as connection:
        deployed(connection)
        found = asked(connection)
        with pytest.raises(AssayError, match="only a deployment under way"):
            begin_step(connection, found.id, 10, now, "ana")
        approve(connection, found)
        found = taken(connection, found, "pending", "deploying")
        with pytest.raises(AssayError, match="has passed"):
            begin_step(connection, found.id, 50, now, "ana")
        end_open_step(connection, found.id, "passed", "", "ana")
        with pytest.raises(AssayError, match="larger"):
            begin_step(connection, found.id, 10, now, "ana")
        begin_step(connection, found.id, 50, now, "ana")
        found = move(connection, found, "deploying", actor="ana", why="", percent=50)
        with pytest.raises(AssayError, match="its share cannot go from 50 to 10"):
            move(connection, found, "deploying", actor="ana", why="", percent=10)
        assert [(step.percent, step.outcome) for step in steps_of(connection, found.id)] == [(10, "passed"), (50, None)]
    refused(store, "UPDATE deployment_steps SET outcome = 'forced' WHERE step = 1", "ends once")


def begun(connection: Connection) -> StoredDeployment:
    deployed(connection)
    found = asked(connection)
    approve(connection, found)
    return taken(connection, found, "pending")


def test_no_canary_begins_beside_a_running_experiment(store: str) -> None:
    with transaction() as connection:
        create_experiment(connection, live(), None, "ana")
        move_experiment(connection, find_experiment(connection, "shipping-v4"), "running", actor="ana")
        found = asked(connection)
        approve(connection, found)
        found = taken(connection, found, "pending")
        with pytest.raises(AssayError, match="experiment shipping-v4 has the traffic"):
            taken(connection, found, "deploying")


def test_no_experiment_begins_beside_a_canary(store: str) -> None:
    with transaction() as connection:
        taken(connection, begun(connection), "deploying")
        create_experiment(connection, live(), None, "ana")
        with pytest.raises(AssayError, match="a canary has the traffic of chatbot in production"):
            move_experiment(connection, find_experiment(connection, "shipping-v4"), "running", actor="ana")
        # Another feature's traffic is free.
        create_experiment(connection, live("ranker", feature="search"), None, "ana")
        move_experiment(connection, find_experiment(connection, "ranker"), "running", actor="ana")


def test_of_a_canary_and_an_experiment_in_the_same_moment_one_begins(store: str) -> None:
    with transaction() as connection:
        found = begun(connection)
        create_experiment(connection, live(), None, "ana")
    ends: list[str] = []
    ready = threading.Barrier(2)

    def canary() -> None:
        with transaction() as connection:
            taken(connection, found, "deploying")

    def experiment() -> None:
        with transaction() as connection:
            move_experiment(connection, find_experiment(connection, "shipping-v4"), "running", actor="ana")

    def attempt(what: object) -> None:
        ready.wait()
        try:
            what()  # type: ignore[operator]
            ends.append("begun")
        except AssayError:
            ends.append("refused")

    threads = [threading.Thread(target=attempt, args=(each,)) for each in (canary, experiment)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ends) == ["begun", "refused"]


def test_what_comes_back_is_the_bundle_before(store: str) -> None:
    with transaction() as connection:
        with pytest.raises(AssayError, match="no live bundle"):
            restorable(connection, "chatbot", "production")
        first = deployed(connection, OLD)
        with pytest.raises(AssayError, match="no other bundle"):
            restorable(connection, "chatbot", "production")
    with transaction() as connection:
        second = deployed(connection, NEW)
        assert restorable(connection, "chatbot", "production").id == first.id
    with transaction() as connection:
        deployed(connection, NEWER)
        assert restorable(connection, "chatbot", "production").id == second.id
        assert restorable(connection, "chatbot", "production", first.name).id == first.id
        assert restorable(connection, "chatbot", "production", OLD.prompt).id == first.id
        with pytest.raises(AssayError, match="no earlier bundle"):
            restorable(connection, "chatbot", "production", "shipping@9.9.9")


def test_a_rollback_by_raw_sql_cannot_bring_in_a_bundle_that_was_never_live(store: str) -> None:
    with transaction() as connection:
        first = deployed(connection, OLD)
        never = asked(connection, NEWER)
        move(connection, never, "failed", actor="ana", why="")
    for restores, bundle in ((never.id, NEWER), (first.id, NEWER)):
        refused(
            store,
            f"""INSERT INTO deployments (feature, environment, status, trigger, bundle, content_hash, restores_id,
                approvals_required, policy, evidence, why, moved_by, moved_why, actor)
                SELECT feature, environment, 'pending', 'rollback', bundle, '{bundle.content_hash}', '{restores}', 0,
                policy, evidence, '', 'eve', '', 'eve' FROM deployments WHERE id = '{never.id}'""",
            "live there before",
        )


def test_a_deployment_is_found_by_the_beginning_of_its_id(store: str) -> None:
    with transaction() as connection:
        found = asked(connection)
        assert find_deployment(connection, found.name) == found
        for given in ("zz", "'; --", "ffffffff"):
            with pytest.raises(AssayError, match="deploy list"):
                find_deployment(connection, given)
