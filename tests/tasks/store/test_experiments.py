"""Experiments in the store: their lives, what is frozen, and who has the traffic."""

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from evaluations.errors import AssayError
from evaluations.experiments import STATUSES, TRANSITIONS, IllegalTransition, Status
from tasks.store.database import transaction
from tasks.store.experiments import (
    StoredExperiment,
    create_experiment,
    delete_draft,
    events_of,
    find_experiment,
    list_experiments,
    move,
    update_draft,
)
from tests.experiments import live, offline


def drafted(connection: Connection, **given: object) -> StoredExperiment:
    spec = live(**given)  # type: ignore[arg-type]
    create_experiment(connection, spec, None, "ana")
    return find_experiment(connection, spec.experiment)


def moved(connection: Connection, name: str, *steps: Status) -> StoredExperiment:
    for step in steps:
        move(connection, find_experiment(connection, name), step, actor="ana", why=f"to {step}")
    return find_experiment(connection, name)


def test_a_life_is_written_down_step_by_step(store: str) -> None:
    with transaction() as connection:
        found = drafted(connection)
        assert (found.status, found.config_hash, found.started_at) == ("draft", None, None)
        found = moved(connection, found.name, "running", "paused", "running", "completed")
        assert found.config_hash == live().config_hash
        assert found.started_at is not None
        assert found.ended_at is not None
        told = [(event.before, event.after, event.actor) for event in events_of(connection, found.id)]
    assert told == [
        (None, "draft", "ana"),
        ("draft", "running", "ana"),
        ("running", "paused", "ana"),
        ("paused", "running", "ana"),
        ("running", "completed", "ana"),
    ]


WAYS: dict[Status, tuple[Status, ...]] = {
    "draft": (),
    "scheduled": ("scheduled",),
    "running": ("running",),
    "paused": ("running", "paused"),
    "completed": ("running", "completed"),
    "cancelled": ("running", "cancelled"),
    "failed": ("running", "failed"),
}


@pytest.mark.parametrize("before", STATUSES)
def test_only_legal_steps_are_taken_whoever_asks(store: str, before: Status) -> None:
    for after in STATUSES:
        with transaction() as connection:
            found = drafted(connection, name=f"{before}-to-{after}", feature=f"{before}-{after}")
            found = moved(connection, found.name, *WAYS[before])
        if after == before:
            continue
        legal = after in TRANSITIONS[before]
        raw = text("UPDATE experiments SET status = :after WHERE id = :id")
        if legal:
            with transaction() as connection:
                connection.execute(raw, {"after": after, "id": found.id})
            continue
        with pytest.raises(IllegalTransition, match=f"is {before}; only one that is"), transaction() as connection:
            move(connection, found, after, actor="ana")
        with pytest.raises(IntegrityError, match=f"cannot go from {before} to {after}"), transaction() as connection:
            connection.execute(raw, {"after": after, "id": found.id})


def test_what_a_started_experiment_declared_is_frozen_whoever_asks(store: str) -> None:
    with transaction() as connection:
        drafted(connection)
        update_draft(connection, find_experiment(connection, "shipping-v4"), live(alpha=0.01), None, "ana")
        found = moved(connection, "shipping-v4", "running")
        assert found.spec.alpha == 0.01
        with pytest.raises(AssayError, match="is running, and what it declared is frozen"):
            update_draft(connection, found, live(), None, "ana")
        with pytest.raises(AssayError, match="only a draft can be deleted"):
            delete_draft(connection, found, "ana")
    with pytest.raises(IntegrityError, match="has started"), transaction() as connection:
        connection.execute(text("UPDATE experiments SET spec = spec || '{\"alpha\": 0.2}'"))
    for table in ("experiment_events", "experiment_decisions", "experiment_analyses"):
        with transaction() as connection:
            trigger = connection.execute(
                text("SELECT count(*) FROM pg_trigger WHERE tgrelid = CAST(:t AS regclass) AND tgname LIKE '%history'"),
                {"t": table},
            ).scalar_one()
        assert trigger == 1
    with pytest.raises(IntegrityError, match="rows are added, never changed"), transaction() as connection:
        connection.execute(text("UPDATE experiment_events SET actor = 'mallory'"))


def test_one_experiment_at_a_time_has_the_traffic_of_a_feature(store: str) -> None:
    with transaction() as connection:
        for name in ("first", "second", "elsewhere"):
            drafted(connection, name=name, environment="staging" if name == "elsewhere" else "production")
        moved(connection, "first", "running", "paused")
        with pytest.raises(AssayError, match="experiment first is under way on chatbot in production"):
            moved(connection, "second", "running")
        assert moved(connection, "elsewhere", "running").status == "running"
        moved(connection, "first", "cancelled")
        assert moved(connection, "second", "running").status == "running"


def test_a_step_on_a_stale_view_is_refused(store: str) -> None:
    with transaction() as connection:
        drafted(connection)
        stale = moved(connection, "shipping-v4", "running")
        moved(connection, "shipping-v4", "paused")
        with pytest.raises(AssayError, match="changed by somebody else"):
            move(connection, stale, "completed", actor="ana")


def test_a_deleted_draft_is_out_of_sight_and_its_name_is_free(store: str) -> None:
    with transaction() as connection:
        delete_draft(connection, drafted(connection), "ana")
        with pytest.raises(AssayError, match="there are no experiments yet"):
            find_experiment(connection, "shipping-v4")
        assert drafted(connection).status == "draft"
        with pytest.raises(AssayError, match="there is an experiment named shipping-v4 already"):
            drafted(connection)


def test_experiments_are_found_by_name_or_id_and_listed_by_what_they_are(store: str) -> None:
    with transaction() as connection:
        found = drafted(connection)
        create_experiment(connection, offline(), None, "bo")
        assert find_experiment(connection, str(found.id)[:6]).name == "shipping-v4"
        with pytest.raises(AssayError, match="did you mean 'shipping-v4'"):
            find_experiment(connection, "shiping-v4")
        moved(connection, "shipping-v4", "running")
        assert [each.name for each in list_experiments(connection, statuses=["running"])] == ["shipping-v4"]
        assert [each.name for each in list_experiments(connection, design="paired_offline")] == ["small-or-large"]
        assert len(list_experiments(connection)) == 2
        assert list_experiments(connection, feature="search") == []
