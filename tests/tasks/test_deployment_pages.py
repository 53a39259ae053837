"""Deployments from the store to their pages: health beside an independent query, what was published, the commands."""

import csv
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from evaluations.deployments import Bundle
from evaluations.errors import AssayError, NothingYet
from tasks.deployment_health import healths
from tasks.deployment_pages import deployment_page, deployments_overview, publish_deployment, publish_deployments
from tasks.flags import flag_file, publish_flags
from tasks.settings import settings
from tasks.store.canaries import begin_step, end_open_step, save_look
from tasks.store.database import transaction
from tasks.store.deployments import StoredDeployment, deployment_of, move
from tasks.store.flag_deliveries import save_delivery
from tests.cli.commands import assay_here
from tests.deployments import NEW, NEWER, OLD, approve, asked, taken
from tests.live_traffic import land_arm

NOW = datetime(2026, 6, 10, 12, tzinfo=UTC)
WHOLE = NOW - timedelta(hours=20)
"""When the live bundle got all of the traffic."""


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, store: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("ASSAY_FLAGS", str(tmp_path / "flags"))
    monkeypatch.setenv("ASSAY_REPORTS", str(tmp_path / "reports"))
    monkeypatch.setenv("ASSAY_ACTOR", "ana")
    settings.cache_clear()
    yield
    settings.cache_clear()


def live_since(began: datetime = WHOLE) -> StoredDeployment:
    """A bundle that is live for all since then, its flags published."""
    with transaction() as connection:
        found = asked(connection, NEW)
        approve(connection, found)
        found = move(connection, taken(connection, found, "pending"), "deploying", actor="ana", why="all", percent=100)
        begin_step(connection, found.id, 100, began, "ana")
        end_open_step(connection, found.id, "passed", "", "ana", NOW - timedelta(hours=1))
        found = move(connection, found, "deployed", actor="ana", why="all", percent=100)
    publish_flags("production")
    return found


def traffic(began: datetime, units: int, errors: int, *, variant: str = "", experiment: str = "") -> None:
    """Units with one request a minute."""
    with transaction() as connection:
        land_arm(
            connection, variant, units, units - errors, errors=errors, experiment=experiment, began=began, every_s=60,
            first_unit=round(began.timestamp()) % 100_000,
        )  # fmt: skip


def test_health_counts_what_came_since_it_is_live_and_as_long_before(store: str) -> None:
    found = live_since()
    traffic(WHOLE, 600, 90)
    traffic(WHOLE - timedelta(hours=20), 700, 7)
    traffic(WHOLE - timedelta(days=3), 500, 500)
    [health] = healths(now=NOW)
    errors = next(check for check in health.checks if check.name == "error rate")
    with psycopg.connect(store) as raw:
        [(n, bad)] = raw.execute(
            "SELECT count(*), count(*) FILTER (WHERE status = 'error') FROM requests WHERE at >= %s AND at < %s",
            (WHOLE, NOW),
        ).fetchall()
        [(before,)] = raw.execute(
            "SELECT avg((status = 'error')::int) FROM requests WHERE at >= %s - interval '20 h' AND at < %s",
            (WHOLE, WHOLE),
        ).fetchall()
        failing = [
            share
            for (share,) in raw.execute(
                "SELECT CAST(avg((status = 'error')::int) AS float8) FROM requests WHERE at >= %s AND at < %s "
                "GROUP BY floor(extract(epoch FROM at - %s) / 300)",
                (WHOLE, NOW, WHOLE),
            )
        ]
    assert (health.deployment, health.requests, health.uptime.slots) == (found.name, n, len(failing))
    assert errors.now is not None
    assert errors.before is not None
    assert errors.now.n == n
    assert errors.now.value == pytest.approx(bad / n)
    assert errors.before.value == pytest.approx(float(before))
    assert (errors.health, health.health) == ("critical", "critical")
    # The errors are the last 90 in a row: an hour and a half in which nothing worked.
    assert health.uptime.up == sum(share <= 0.5 for share in failing) == len(failing) - 19


def test_health_leaves_out_what_a_canary_of_another_bundle_answers() -> None:
    live_since()
    traffic(WHOLE, 300, 3)
    with transaction() as connection:
        coming = asked(connection, NEWER)
        approve(connection, coming)
        taken(connection, coming, "pending", "deploying")
    traffic(NOW - timedelta(hours=4), 200, 200, variant="canary", experiment=f"canary:{coming.id}")
    [health] = healths(now=NOW)
    errors = next(check for check in health.checks if check.name == "error rate")
    assert errors.now is not None
    assert errors.now.n == 300
    assert errors.health == "healthy"


def test_without_requests_there_is_no_health_and_with_a_lost_file_it_is_critical() -> None:
    live_since()
    [health] = healths(now=NOW)
    assert health.health == "not enough data"
    flag_file("production").unlink()
    [health] = healths(now=NOW)
    assert health.health == "critical"
    assert "production.json is missing" in health.sentence


def test_a_file_that_somebody_edited_and_a_delivery_that_failed_are_warnings() -> None:
    live_since()
    traffic(WHOLE, 300, 3)
    with transaction() as connection:
        save_delivery(connection, "production", "put", "0" * 64, delivered=False, detail="HTTP 503", actor="ana")
    assert "not delivered: put (HTTP 503)" in healths(now=NOW)[0].sentence
    flag_file("production").write_text("{}")
    [health] = healths(now=NOW)
    assert health.health == "warning"
    assert "is not what the database says" in health.sentence


def test_the_command_ends_with_one_when_something_is_critical_and_names_what_is_not_live() -> None:
    live_since()
    told = assay_here("deploy", "health", "--json")
    assert (told.code, json.loads(told.out)[0]["health"]) == (0, "not enough data")
    flag_file("production").unlink()
    told = assay_here("deploy", "health", "chatbot")
    assert told.code == 1
    assert told.out.startswith("chatbot in production: critical\n")
    told = assay_here("deploy", "health", "chatbt")
    assert told.code == 2
    assert "did you mean 'chatbot'" in told.err
    with pytest.raises(AssayError, match="nothing is live in staging yet"):
        healths(environment="staging")


def test_before_the_first_deployment_there_is_no_page() -> None:
    with pytest.raises(NothingYet, match="assay deploy preview"):
        publish_deployments()


def test_the_pages_hold_what_the_store_holds(store: str) -> None:
    live_since()
    reading = {
        "metric": "quality", "canary": 0.8, "control": 0.9, "units": 150, "control_units": 1300, "difference": 0.1,
        "at_least": 0.05, "own_at_least": None, "harmful": True,
    }  # fmt: skip
    with transaction() as connection:
        coming = asked(connection, NEWER, evidence={"waived": {"by": "ana", "why": "try it", "what": ["no suite"]}})
        approve(connection, coming)
        coming = taken(connection, coming, "pending", "deploying")
        save_look(
            connection, coming.id, 1, verdict="roll_back", sentence="quality fell", data_hash="0" * 64,
            facts={"readings": [reading]}, actor="ana",
        )  # fmt: skip
    publish_flags("production")
    with transaction() as connection:
        overview = deployments_overview(connection, NOW)
        page = deployment_page(connection, deployment_of(connection, coming.id), NOW)
    assert [(each.status, each.live, each.approved_by) for each in overview.deployments] == [
        ("deploying", False, ("ben",)), ("deployed", True, ("ben",)),
    ]  # fmt: skip
    assert [(each.name, overview.watched(each) is not None) for each in overview.coming] == [(coming.name, True)]
    assert [(each.environment, each.current) for each in overview.flags] == [("production", True)]
    [window] = page.windows
    assert [(look.verdict, look.readings[0].at_least) for look in window.looks] == [("roll_back", 0.05)]
    assert (page.change.before, page.change.after) == (NEW, NEWER)
    assert page.deployment.waived == "ana (try it): no suite"
    html = publish_deployments().read_text()
    assert "A change is on its way for chatbot in production" in html
    with publish_deployments().with_name("deployments.csv").open() as lines, psycopg.connect(store) as raw:
        told = {(row["id"], row["status"], row["prompt"]) for row in csv.DictReader(lines)}
        known = raw.execute("SELECT id::text, status, bundle ->> 'prompt' FROM deployments").fetchall()
    assert told == set(known)
    assert "harm is proven" in publish_deployment(coming.name).read_text()


def test_a_preview_is_written_as_a_page_with_the_command_that_asks_for_it(tmp_path: Path) -> None:
    live_since()
    file = tmp_path / "new bundle.json"
    file.write_text(json.dumps(NEWER.document))
    told = assay_here("deploy", "preview", "--feature", "chatbot", "--bundle", str(file), "--window", "2h", "--html")
    assert told.code == 0, told.err
    page = Path(told.out.rpartition("Page: ")[2].strip())
    assert page.parent == tmp_path / "reports"
    written = json.loads(page.with_suffix(".json").read_text())
    assert written["command"] == (f"assay deploy override --feature chatbot --bundle '{file}' --window 2h --why …")
    assert Bundle.read(written["change"]["after"]) == NEWER
    assert Bundle.read(written["change"]["before"]) == NEW
    assert OLD.prompt not in page.read_text()
