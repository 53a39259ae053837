"""assay roles and assay notifications, as a person types them."""

import json
from pathlib import Path

import pytest

from tests.cli.commands import assay_here, rows
from tests.conftest import _forget
from tests.fakes.receiver import receiving
from tests.tasks.model_lists import use_map

KEY = "hush-hush-token"


@pytest.fixture(autouse=True)
def somebody(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    act(monkeypatch, "ana")


def act(monkeypatch: pytest.MonkeyPatch, who: str) -> None:
    monkeypatch.setenv("ASSAY_ACTOR", who)
    _forget()


def test_the_first_grant_switches_roles_on_and_the_last_one_off(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "everybody may do everything" in assay_here("roles", "list").out
    refused = assay_here("roles", "grant", "ben", "runner")
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert "somebody has to be admin everywhere" in refused.err
    assert "From now on roles are asked for" in assay_here("roles", "grant", "ana", "admin").out
    assert assay_here("roles", "grant", "ana", "admin").out == "ana is admin everywhere already.\n"
    assert assay_here("roles", "grant", "ben", "runner", "--environment", "staging", "--why", "new").code == 0
    act(monkeypatch, "ben")
    refused = assay_here("environments", "set", "staging", "--approvals", "3", "--why", "x")
    assert refused.code == 2
    assert "ben may not" in refused.err
    assert "that takes the role" in refused.err
    assert "ana can grant it (assay roles grant ben" in refused.err
    listed = assay_here("roles", "list")
    assert "You are ben (by ASSAY_ACTOR or this machine's user): runner staging." in listed.out
    act(monkeypatch, "ana")
    assert [each["subject"] for each in json.loads(assay_here("roles", "list", "--json").out)] == ["ana", "ben"]
    assert assay_here("roles", "revoke", "ben", "runner").code == 2, "that very grant there is not"
    assert assay_here("roles", "revoke", "ben", "runner", "--environment", "staging").code == 0
    assert "everybody may do everything again" in assay_here("roles", "revoke", "ana", "admin").out
    assert rows(store, "SELECT count(*) FROM role_grants") == [(0,)]


def test_whoever_may_only_read_is_told_which_command_takes_the_catalogues_over(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_map(tmp_path, monkeypatch)
    assert assay_here("roles", "grant", "ana", "admin").code == 0
    assert assay_here("roles", "grant", "ben", "viewer").code == 0
    act(monkeypatch, "ben")
    for words in (("models", "list"), ("models", "show", "openai/gpt-4o")):
        refused = assay_here(*words)
        assert (refused.code, refused.err.count("\n")) == (2, 1)
        assert "the catalogues of models are not taken over yet" in refused.err
        assert "run `assay models sync` once" in refused.err
        assert "ben is viewer" in refused.err
    act(monkeypatch, "ana")
    assert assay_here("models", "sync", "--offline").code == 0
    act(monkeypatch, "ben")
    assert "openai/gpt-4o" in assay_here("models", "list", "--all").out
    assert assay_here("models", "show", "openai/gpt-4o").code == 0


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("grant", "ana", "boss"), "'boss' is not one of"),
        (("grant", " ana", "admin"), "a name is a word"),
        (("grant", "ana", "admin", "--environment", "stagin"), "did you mean 'staging'"),
        (("revoke", "ana", "admin"), "ana is not admin everywhere, but has no role"),
    ],
)
def test_what_cannot_be_granted_is_said(given: tuple[str, ...], said: str) -> None:
    refused = assay_here("roles", *given)
    assert refused.code == 2
    assert said in refused.err


def test_postgres_roles_are_for_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ASSAY_DATABASE_URL")
    _forget()
    refused = assay_here("roles", "install")
    assert refused.code == 2
    assert "the embedded database has one login" in refused.err


def test_a_channel_is_added_tried_told_and_retried(monkeypatch: pytest.MonkeyPatch) -> None:
    add = ("notifications", "add", "ops", "--url-env", "OPS")
    assert assay_here(*add, "--event", "role.*").code == 0
    untold = assay_here("notifications", "test", "ops")
    assert (untold.code, untold.err) == (2, "assay: ops did not take it: the variable OPS is empty\n")
    with receiving() as receiver:
        monkeypatch.setenv("OPS", receiver.address(f"/{KEY}", scheme="json"))
        assert assay_here("notifications", "test", "ops").out == "ops took it.\n"
        assert assay_here("roles", "grant", "ana", "admin").code == 0
        receiver.codes = [503]
        assert assay_here("notifications", "send").out == "ops failed: HTTP 503.\n"
        [waiting] = json.loads(assay_here("notifications", "list", "--json").out)
        assert (waiting["event"], waiting["status"], waiting["attempts"]) == ("role.granted", "waiting", 1)
        assert assay_here("notifications", "retry").out == "Nothing was given up.\n"
        shown = assay_here("notifications", "channels")
        assert "apprise at env:OPS" in shown.out
        assert "0 delivered, 1 waiting, 0 given up" in shown.out
        assert KEY not in shown.out
        assert assay_here("notifications", "stop", "ops").code == 0
        assert "stopped" in assay_here("notifications", "channels").out


def test_an_address_given_in_place_of_its_name_is_not_repeated() -> None:
    refused = assay_here("notifications", "add", "ops", "--url-env", f"slack://{KEY}")
    assert refused.code == 2
    assert KEY not in refused.err + refused.out
