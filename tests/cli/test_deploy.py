"""assay deploy, rollback and audit as a person types them: what they print, refuse, and exit with."""

import json
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tasks.settings import settings
from tasks.store.database import transaction
from tests.cli.commands import Outcome, assay_here
from tests.deployments import NEW as SECOND
from tests.deployments import OLD as FIRST
from tests.deployments import deployed
from tests.tasks.test_deploying import NEW, allow, become, concluded

ROLLED = "The canary of chatbot in production is ended"


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, store: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("ASSAY_FLAGS", str(tmp_path / "flags"))
    monkeypatch.setenv("ASSAY_REPORTS", str(tmp_path / "reports"))
    monkeypatch.setenv("ASSAY_ACTOR", "ana")
    settings.cache_clear()
    allow()
    yield
    settings.cache_clear()


def listed() -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads(assay_here("deploy", "list", "--json").out)
    return found


def refused(outcome: Outcome, says: str) -> None:
    assert outcome.code == 2, outcome
    assert says in outcome.err, outcome


def test_from_preview_to_rollback(monkeypatch: pytest.MonkeyPatch, store: str) -> None:
    concluded()
    shown = assay_here("deploy", "preview", "shipping-v4")
    assert shown.code == 0
    assert "prompt: shipping@3.0.0 -> shipping@4.0.0" in shown.out
    assert "parameters.temperature: 0.2 -> 0" in shown.out
    assert "No deployments yet" in assay_here("deploy", "list").out
    assert "it waits for 1 approval" in assay_here("deploy", "start", "shipping-v4", "--why", "better").out
    name = listed()[0]["id"][:8]
    refused(assay_here("deploy", "approve", name), "cannot approve it. Another person has to")
    become("ben", monkeypatch)
    assert "10% of the units get it" in assay_here("deploy", "approve", name, "--why", "fine").out
    assert "10%" in assay_here("deploy", "list").out
    stands = assay_here("deploy", "status", "chatbot").out
    assert f"deployment {name} is deploying" in stands
    assert "approved by ben" in stands
    assert assay_here("rollback", "chatbot", "--why", "errors").out.startswith(ROLLED)
    assert listed()[0]["status"] == "rolled_back"
    log = assay_here("audit", "log", "--feature", "chatbot", "--limit", "1").out
    assert "ben  deployment rolled back chatbot/production" in log
    assert assay_here("audit", "verify").code == 0
    with psycopg.connect(store) as raw:
        raw.execute("SET session_replication_role = replica")
        raw.execute("UPDATE audit_log SET actor = 'nobody' WHERE seq = 2")
    broken = assay_here("audit", "verify")
    assert broken.code == 1
    assert "The chain is broken at entry 2" in broken.out


def test_what_is_asked_for_wrongly_is_said_and_exits_with_2(tmp_path: Path) -> None:
    secret, text = tmp_path / "secret.json", tmp_path / "text.json"
    secret.write_text(json.dumps({**NEW, "headers": {"api_key": "sk-very-secret-indeed"}}))
    text.write_text('"just words"')
    refused(assay_here("deploy", "start"), "name an EXPERIMENT, or --feature FEATURE with --bundle FILE")
    refused(assay_here("deploy", "start", "e", "--bundle", str(text), "--feature", "f"), "name an EXPERIMENT")
    refused(assay_here("deploy", "preview", "shipping-v9"), "no experiments yet")
    refused(assay_here("deploy", "preview", "--feature", "f", "--bundle", str(text)), "is no bundle")
    leaked = assay_here("deploy", "start", "--feature", "f", "--bundle", str(secret))
    refused(leaked, "holds a secret")
    assert "sk-very" not in leaked.err
    refused(assay_here("deploy", "preview", "e", "--steps", "10,ten"), "percents such as 10,50,100")
    refused(assay_here("deploy", "preview", "e", "--steps", "50,10,100"), "rise to 100 percent")
    refused(assay_here("deploy", "preview", "e", "--steps", "10,50"), "rise to 100 percent")
    refused(assay_here("deploy", "preview", "e", "--window", "soon"), "is not a time")
    refused(assay_here("deploy", "preview", "e", "--guard", "charm=1"), "a canary is not watched for 'charm'")
    refused(assay_here("deploy", "preview", "e", "--guard", "quality"), "METRIC=TOLERATED")
    refused(assay_here("deploy", "preview", "e", "--guard", "quality=inf"), "is a number, zero or more; got inf")
    refused(assay_here("deploy", "preview", "e", "--alpha", "2"), "alpha lies between")
    refused(assay_here("deploy", "approve", "zz"), "is no id of a deployment")
    refused(assay_here("deploy", "status", "chatbot"), "nothing is deployed yet")
    refused(assay_here("rollback", "chatbot"), "no live bundle in production")
    refused(assay_here("deploy", "publish", "--environment", "../elsewhere"), "no environment is named '../elsewhere'")
    assert not (tmp_path / "elsewhere.json").exists()
    refused(assay_here("audit", "verify", "--known", "abc"), "a whole hash, the 64 characters")


def test_what_is_told_of_another_environment_than_production_is_about_that_one(tmp_path: Path) -> None:
    for name, model in (("old", "simulated/steady"), ("new", "simulated/perfect")):
        (tmp_path / f"{name}.json").write_text(json.dumps({**NEW, "model": model}))
    first, second = (
        ("--feature", "search", "--environment", "development", "--bundle", str(tmp_path / f"{name}.json"))
        for name in ("old", "new")
    )
    assert "goes live for all at once" in assay_here("deploy", "preview", *first).out
    assert "100% of the units get it" in assay_here("deploy", "start", *first).out
    refused(assay_here("deploy", "cancel", listed()[0]["id"], "--why", "x"), "assay rollback search --environment dev")
    refused(assay_here("deploy", "status", "search"), "nothing live or under way in production, but deployments in dev")
    assert "goes live by 10% -> 50% -> 100%" in assay_here("deploy", "preview", *second).out


def test_flags_that_a_receiver_did_not_take_end_with_3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_FLAGS_PUT", "http://127.0.0.1:9/{environment}.json")
    settings.cache_clear()
    done = assay_here("deploy", "publish")
    assert (done.code, (tmp_path / "flags" / "production.json").exists()) == (3, True)
    assert "put to 127.0.0.1:9: ConnectionRefusedError" in done.err or "put to 127.0.0.1:9: URLError" in done.err


def test_a_rollback_is_done_though_its_flags_cannot_be_delivered(monkeypatch: pytest.MonkeyPatch) -> None:
    with transaction() as connection:
        deployed(connection, FIRST)
        deployed(connection, SECOND)
    monkeypatch.setenv("ASSAY_FLAGS_PUT", "http://127.0.0.1:9/{environment}.json")
    monkeypatch.setenv("ASSAY_FLAGS_SECRET_ENV", "NO_SUCH_SECRET")
    settings.cache_clear()
    done = assay_here("rollback", "chatbot")
    assert (done.code, "chatbot in production is back on shipping@3.0.0" in done.out) == (0, True), done
    assert "not delivered over HTTP: the environment variable NO_SUCH_SECRET" in done.err


def test_a_deployment_that_could_not_be_looked_at_ends_with_3(store: str) -> None:
    concluded()
    assay_here("deploy", "start", "shipping-v4")
    assert assay_here("deploy", "advance").code == 0
    with psycopg.connect(store) as raw:
        raw.execute("SET session_replication_role = replica")
        raw.execute("UPDATE deployments SET bundle = '{}' WHERE status = 'pending_approval'")
    done = assay_here("deploy", "advance")
    assert done.code == 3, done
    assert "could not be looked at: the bundle names no prompt" in done.out


def test_what_speaks_against_it_is_refused_until_somebody_waives_it_by_name(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.json"
    bundle.write_text(json.dumps(NEW))
    given = ("--feature", "search", "--bundle", str(bundle))
    refused(assay_here("deploy", "start", *given), "no concluded experiment stands behind this bundle")
    done = assay_here("deploy", "override", *given, "--why", "the old one is gone")
    assert done.code == 0, done.err
    [asked] = listed()
    assert "waived by ana (the old one is gone)" in asked["why"]
