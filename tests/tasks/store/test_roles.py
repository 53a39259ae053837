"""Roles on one login: nothing is asked for until the first grant; then every session's actor needs its role."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection

from evaluations.errors import AssayError
from evaluations.roles import ROLES, Grant, Role
from tasks.settings import settings
from tasks.store import audit, database
from tasks.store.database import transaction
from tasks.store.deployments import live_deployment
from tasks.store.experiments import create_experiment
from tasks.store.rights import RIGHTS
from tasks.store.roles import grant, grants, revoke
from tasks.store.schema import Base
from tests.deployments import OLD, approve, asked, deployed
from tests.experiments import live


@contextmanager
def acting_for(monkeypatch: pytest.MonkeyPatch, who: str) -> Iterator[None]:
    """Sessions of another person, as ASSAY_ACTOR says."""
    monkeypatch.setenv("ASSAY_ACTOR", who)
    _forget()
    yield
    _forget()


def _forget() -> None:
    if database.engine.cache_info().currsize:
        database.engine().dispose()
    database.engine.cache_clear()
    settings.cache_clear()


def granted(*wanted: Grant) -> None:
    with transaction() as connection:
        grant(connection, Grant(subject="root", role="admin"), "root")
        for each in wanted:
            grant(connection, each, "root")


def test_every_table_has_its_role_and_nothing_else_has() -> None:
    assert set(RIGHTS) == set(Base.metadata.tables)
    for table, rights in RIGHTS.items():
        columns = set(Base.metadata.tables[table].columns.keys())
        assert {*rights.inserted, *rights.updated, *rights.hidden, *rights.held} <= columns, table


def test_every_table_asks_for_it(store: str) -> None:
    with psycopg.connect(store) as connection:
        found = connection.execute("SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgname = 'role_guard'")
        assert {name for (name,) in found} >= set(Base.metadata.tables)


def test_without_any_grant_everybody_may_do_everything(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with acting_for(monkeypatch, "newcomer"), transaction() as connection:
        approve(connection, asked(connection))


@pytest.mark.parametrize("role", [None, *ROLES])
def test_each_role_may_do_what_it_says(store: str, monkeypatch: pytest.MonkeyPatch, role: Role | None) -> None:
    granted(*(() if role is None else (Grant(subject="cleo", role=role),)))
    with transaction() as connection:
        waiting = asked(connection, feature="search")
    acts: dict[Role, Callable[[Connection], object]] = {
        "runner": lambda connection: asked(connection),
        "approver": lambda connection: approve(connection, waiting, actor="cleo"),
        "admin": lambda connection: grant(connection, Grant(subject="dora", role="viewer"), "cleo"),
    }
    with acting_for(monkeypatch, "cleo"):
        for needed, act in acts.items():
            if role is not None and ROLES.index(role) >= ROLES.index(needed):
                with transaction() as connection:
                    act(connection)
            else:
                with pytest.raises(AssayError, match="cleo may not") as refused, transaction() as connection:
                    act(connection)
                assert refused.value.exit_code == 2


def test_a_refusal_says_who_what_which_role_and_who_could_grant_it(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    granted(Grant(subject="ana", role="runner", environment="staging"))
    with acting_for(monkeypatch, "ana"), pytest.raises(AssayError) as refused, transaction() as connection:
        asked(connection)
    assert str(refused.value) == (
        "ana may not bring bundles into the traffic in production: that takes the role runner, and ana is runner in "
        "staging; root can grant it (assay roles grant ana runner --environment production)."
    )


def test_a_role_in_an_environment_counts_there_alone(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    granted(Grant(subject="ana", role="runner", environment="staging"))
    with acting_for(monkeypatch, "ana"):
        with transaction() as connection:
            found = asked(connection, environment="staging")
            assert found.environment == "staging"
        with pytest.raises(AssayError, match=r"ana may not .* in production"), transaction() as connection:
            asked(connection)
    with transaction() as connection:
        assert live_deployment(connection, "chatbot", "production") is None


def test_a_role_in_a_project_counts_there_alone(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    granted(Grant(subject="ana", role="runner", project="apollo"))
    with acting_for(monkeypatch, "ana"):
        with transaction() as connection:
            create_experiment(connection, live("ours", project="apollo"), None, "ana")
        for other in ({"project": "gemini"}, {}):
            with pytest.raises(AssayError, match="ana may not run experiments"), transaction() as connection:
                create_experiment(connection, live("theirs", **other), None, "ana")


def test_what_belongs_to_a_project_by_its_experiment_is_taken_back_by_those_of_the_project(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with transaction() as connection:
        made = create_experiment(connection, live("ours", project="apollo"), None, "root")
        first = deployed(connection, OLD, experiment_id=made)
    granted(Grant(subject="ana", role="runner", project="apollo"), Grant(subject="ben", role="runner", project="x"))
    wanted: dict[str, Any] = {"trigger": "rollback", "approvals_required": 0, "restores_id": first.id}
    with acting_for(monkeypatch, "ben"), pytest.raises(AssayError, match="ben may not"), transaction() as connection:
        asked(connection, OLD, **wanted)
    with acting_for(monkeypatch, "ana"), transaction() as connection:
        assert asked(connection, OLD, **wanted).actor == "ana"


def test_an_admin_of_an_environment_grants_there_and_not_elsewhere(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    granted(Grant(subject="ana", role="admin", environment="staging"))
    with acting_for(monkeypatch, "ana"):
        with transaction() as connection:
            grant(connection, Grant(subject="ben", role="runner", environment="staging"), "ana")
        for where in (None, "production"):
            with pytest.raises(AssayError, match="ana may not grant or revoke"), transaction() as connection:
                grant(connection, Grant(subject="ana", role="admin", environment=where), "ana")


def test_a_waived_check_takes_an_approver(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    granted(Grant(subject="ana", role="runner"), Grant(subject="ben", role="approver"))
    waived: dict[str, Any] = {"evidence": {"waived": {"by": "ana", "why": "it is urgent"}}}
    with (
        acting_for(monkeypatch, "ana"),
        pytest.raises(AssayError, match=r"ana may not waive what speaks against a bundle in production.*approver"),
        transaction() as connection,
    ):
        asked(connection, **waived)
    with acting_for(monkeypatch, "ben"), transaction() as connection:
        assert asked(connection, actor="ben", **waived).evidence == waived["evidence"]


def test_somebody_is_admin_while_anybody_has_a_role(store: str) -> None:
    with pytest.raises(AssayError, match="somebody has to be admin everywhere"), transaction() as connection:
        grant(connection, Grant(subject="ana", role="runner"), "root")
    granted(Grant(subject="ana", role="runner"))
    with pytest.raises(AssayError, match="somebody has to be admin everywhere"), transaction() as connection:
        revoke(connection, Grant(subject="root", role="admin"))
    with transaction() as connection:
        assert [each.subject for each in grants(connection)] == ["ana", "root"]
        revoke(connection, Grant(subject="ana", role="runner"))
        revoke(connection, Grant(subject="root", role="admin", why="starting over"))
    with transaction() as connection:
        assert grants(connection) == []


def test_roles_are_granted_and_revoked_on_record(store: str) -> None:
    granted(Grant(subject="ana", role="runner", environment="staging", why="new here"))
    with transaction() as connection:
        revoke(connection, Grant(subject="ana", role="runner", environment="staging", why="left"))
        told = [(e.action, e.target, e.environment, e.why) for e in audit.entries(connection, target="actor:ana")]
    assert told == [
        ("role revoked", "actor:ana", "staging", "left"),
        ("role granted", "actor:ana", "staging", "new here"),
    ]


def test_a_role_that_is_not_there_is_not_revoked(store: str) -> None:
    granted(Grant(subject="ana", role="runner", environment="staging"))
    said = "ana is not runner everywhere, but has runner staging"
    with pytest.raises(AssayError, match=said), transaction() as connection:
        revoke(connection, Grant(subject="ana", role="runner"))


def test_who_says_nothing_is_the_owner_at_the_database_itself(store: str) -> None:
    """Migrations, restores and a person with psql; whoever can log in as the owner could do everything anyway."""
    granted()
    with psycopg.connect(store) as raw:
        raw.execute("INSERT INTO prompts (name, description, actor) VALUES ('x', '', 'dba')")
        raw.execute("SET assay.actor = 'nobody'")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="nobody may not register prompts"):
            raw.execute("INSERT INTO prompts (name, description, actor) VALUES ('y', '', 'dba')")
