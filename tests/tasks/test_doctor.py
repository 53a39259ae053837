"""The doctor finds what is wrong, names the command that mends it, and touches nothing."""

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from pydantic import SecretStr

from tasks import doctor
from tasks.doctor import Check, Finding, Sight, clock_finding, examine, misfits
from tasks.flags import publish_flags
from tasks.prefect_api import PrefectApi, Refused
from tasks.services.pool import POOL
from tasks.settings import Settings, settings
from tasks.store.canaries import begin_step, save_look
from tasks.store.database import transaction
from tasks.store.deployments import move
from tasks.store.migrations import HEAD
from tests.builders import a_run
from tests.cli.commands import assay_here
from tests.deployments import NEW, OLD, asked, deployed
from tests.ports import free_port

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def given(store: str, tmp_path: Path) -> Settings:
    return Settings(home=tmp_path, database_url=SecretStr(store))


def of(given: Settings, check: str) -> list[Finding]:
    """What one check found, with all the others beside it."""
    names = {each.name for each in doctor.CHECKS}
    assert check in names
    [look] = [each for each in doctor.CHECKS if each.name == check]
    sight = Sight(given, datetime.now(UTC), doctor._store(given), doctor._server(given))
    return doctor._checked(look, sight)


def one(given: Settings, check: str) -> Finding:
    [found] = of(given, check)
    return found


def write(store: str, statement: str, *values: Any) -> None:
    with psycopg.connect(store) as connection:
        connection.execute(statement, values or None)


def test_a_sound_store_has_nothing_to_mend(given: Settings) -> None:
    a_run(cases=3)
    names = ("schema", "clock", "prices", "references", "unfinished runs", "reserved money", "scores")
    found = [one(given, name) for name in names]
    assert [(each.name, each.mark, each.mend) for each in found] == [(name, "ok", ()) for name in names]


# The database


def test_an_embedded_database_that_is_down_is_found_and_not_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PREFECT_HOME", raising=False)
    given = Settings(home=tmp_path / "home")
    found = {each.name: each for each in examine(given)}
    assert (found["PostgreSQL"].mark, found["PostgreSQL"].mend) == ("problem", ("assay up",))
    assert {found[name].mark for name in ("schema", "clock", "prices", "references", "scores")} == {"skipped"}
    assert list(tmp_path.iterdir()) == [], "looking made something"


def test_a_database_that_cannot_be_reached_is_told_without_its_password(tmp_path: Path) -> None:
    port = free_port()
    given = Settings(home=tmp_path, database_url=SecretStr(f"postgresql://somebody:canary@127.0.0.1:{port}/assay"))
    found = examine(given)
    [down] = [each for each in found if each.name == "PostgreSQL"]
    assert down.mark == "problem"
    assert f"127.0.0.1:{port}/assay" in down.found
    assert "canary" not in str(found)
    assert not [each for each in found if "check itself failed" in each.found]


@pytest.mark.parametrize(
    ("version", "said", "mend"),
    [("0001", f"0001, {HEAD} is needed", "assay db upgrade"), ("9999", "newer than", "pip install --upgrade assay")],
)
def test_a_schema_of_another_version_is_found_and_the_store_is_not_read(
    given: Settings, store: str, version: str, said: str, mend: str
) -> None:
    write(store, "UPDATE alembic_version SET version_num = %s", version)
    schema = one(given, "schema")
    assert (schema.mark, schema.mend) == ("problem", (mend,))
    assert said in schema.found
    assert one(given, "references").mark == "skipped"


@pytest.mark.parametrize(
    ("major", "mark", "mend"),
    [
        ("15", "problem", ("assay db upgrade-embedded",)),
        ("18", "ok", ()),
        ("99", "problem", ("pip install --upgrade assay",)),
    ],
)
def test_embedded_data_of_another_postgres_are_found(
    tmp_path: Path, major: str, mark: str, mend: tuple[str, ...]
) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "PG_VERSION").write_text(f"{major}\n")
    found = one(Settings(home=tmp_path), "embedded data")
    assert (found.mark, found.mend) == (mark, mend)
    assert major in found.found


def test_a_store_that_is_too_busy_to_tell_is_no_problem(given: Settings, store: str) -> None:
    with psycopg.connect(store) as other:
        other.execute("LOCK TABLE run_budgets IN ACCESS EXCLUSIVE MODE")
        found = one(given, "reserved money")
    assert (found.mark, "too busy" in found.found) == ("skipped", True)


@pytest.mark.parametrize(
    ("seconds", "mark", "said"),
    [(0, "ok", "agree"), (-4.9, "ok", "agree"), (61, "warning", "61 s ahead of"), (-3600, "warning", "3,600 s behind")],
)
def test_clocks_that_differ_are_found(seconds: float, mark: str, said: str) -> None:
    found = clock_finding(NOW, NOW + timedelta(seconds=seconds))
    assert found.mark == mark
    assert said in found.found


# What is in it


@pytest.mark.parametrize(("days", "mark"), [(29, "ok"), (31, "warning")])
def test_prices_that_are_older_than_thirty_days_are_found(given: Settings, store: str, days: int, mark: str) -> None:
    insert = """
        INSERT INTO model_prices (model, token_class, usd_per_token, effective_from, source, actor, recorded_at)
        VALUES ('m', 'input', 0.1, '2020-01-01', %s, 'test', now() - make_interval(days => %s))
    """
    write(store, insert, "litellm 1.2.3", days)
    write(store, insert, "https://example.com/our-own", 0)
    found = one(given, "prices")
    assert (found.mark, "of litellm 1.2.3" in found.found) == (mark, True)
    assert bool(found.mend) == (mark == "warning")
    assert ("assay prices sync --apply" in found.mend) == (mark == "warning")


def test_rows_that_point_at_nothing_are_found(given: Settings, store: str) -> None:
    run_id = a_run(cases=2)
    write(store, "UPDATE run_shards SET worker_id = 999 WHERE run_id = %s", run_id)
    found = one(given, "references")
    assert found.mark == "problem"
    assert "run_shards (worker_id) without workers" in found.found


def test_reports_that_are_gone_can_be_written_again(given: Settings, store: str, tmp_path: Path) -> None:
    there, gone = a_run(cases=2), a_run(cases=2)
    (tmp_path / "report.html").touch()
    write(store, "UPDATE runs SET report = %s WHERE id = %s", str(tmp_path / "report.html"), there)
    assert one(given, "references").mark == "ok"
    write(store, "UPDATE runs SET report = %s WHERE id = %s", str(tmp_path / "gone.html"), gone)
    found = one(given, "references")
    assert (found.mark, found.name, found.mend) == ("warning", "reports", (f"assay runs report {str(gone)[:8]}",))


def test_runs_that_were_left_halfway_name_the_command_that_goes_on(given: Settings, store: str) -> None:
    left, fresh, rescore = a_run(cases=2), a_run(cases=2), a_run(cases=2)
    write(store, "UPDATE runs SET status = 'running' WHERE id = ANY(%s)", [left, fresh])
    write(store, "UPDATE runs SET recorded_at = now() - interval '1 hour' WHERE id = ANY(%s)", [left, rescore])
    write(store, "UPDATE runs SET rescored_from = %s WHERE id = %s", left, rescore)
    found = one(given, "unfinished runs")
    assert found.mark == "warning"
    assert found.found.startswith("2 runs have nobody at work: ")
    assert set(found.mend) == {f"assay run --resume {str(left)[:8]}", f"assay rescore {str(left)[:8]}"}
    assert str(fresh)[:8] not in found.found


def test_money_that_no_open_call_holds_is_found(given: Settings, store: str) -> None:
    run_id = a_run(cases=2)
    call = """
        INSERT INTO calls (run_id, position, variant, repeat, role, attempt, worker_id, reserved)
        VALUES (%s, 0, 0, 0, 0, 1, (SELECT id FROM workers LIMIT 1), 0.25)
    """
    write(store, "INSERT INTO workers (host, pid, actor) VALUES ('here', 1, 'test')")
    write(store, call, run_id)
    write(store, "UPDATE run_budgets SET reserved = 0.25 WHERE run_id = %s", run_id)
    assert one(given, "reserved money").mark == "ok"
    write(store, "UPDATE run_budgets SET reserved = 0.75 WHERE run_id = %s", run_id)
    found = one(given, "reserved money")
    assert found.mark == "warning"
    assert f"{str(run_id)[:8]} $0.75" in found.found


# This machine


def test_a_dependency_of_the_wrong_version_is_found(
    given: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "site" / "sqlalchemy-2.1.4.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: SQLAlchemy\nVersion: 2.1.4\n")
    assert one(given, "dependencies").mark == "ok"
    monkeypatch.syspath_prepend(str(other.parent))
    found = one(given, "dependencies")
    assert found.mark == "problem"
    assert "2.1.4 is installed" in found.found
    assert found.mend == ("pip install 'sqlalchemy<2.1,>=2.0'",)


def test_a_dependency_that_is_missing_or_for_another_system_is_told_apart() -> None:
    wanted = ["no-such-thing>=2", "not-for-us>=1; sys_platform == 'nowhere'", "extra-thing; extra == 'more'"]
    assert misfits(wanted) == [("no-such-thing>=2", None)]


def test_a_disk_without_room_is_found(given: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert one(given, "disk").mark == "ok"
    monkeypatch.setattr(doctor, "DISK_WARNING", 2**60)
    assert (one(given, "disk").mark, one(given, "disk").mend[0][:2]) == ("warning", "du")
    monkeypatch.setattr(doctor, "DISK_PROBLEM", 2**60)
    assert one(given, "disk").mark == "problem"


def test_a_home_that_cannot_be_used_is_found(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for home in (tmp_path / "file" / "home", tmp_path / "a b"):
        found = one(Settings(home=home), "home")
        assert (found.mark, found.mend) == ("problem", ("export ASSAY_HOME=DIR",))
    # With a server of one's own nothing has to live there that minds the space.
    elsewhere = Settings(home=tmp_path / "a b", database_url=SecretStr("postgresql://h/d"))
    assert one(elsewhere, "home").mark == "ok"


def test_a_crash_of_another_command_is_told(given: Settings, tmp_path: Path) -> None:
    assert one(given, "crash log").mark == "ok"
    (tmp_path / "crash.log").write_text("Traceback (most recent call last):\nKeyError: 'x'\n")
    found = one(given, "crash log")
    assert (found.mark, found.mend[-1]) == ("warning", f"rm {tmp_path / 'crash.log'}")
    assert found.found.endswith("KeyError: 'x'")


def test_a_check_that_fails_is_a_finding_and_the_others_go_on(given: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(sight: Sight) -> Iterator[Finding]:
        raise RuntimeError("with https://me:canary@host")
        yield

    monkeypatch.setattr(doctor, "CHECKS", (Check("broken", broken), *doctor.CHECKS[:2]))
    found = examine(given)
    assert [each.name for each in found] == ["broken", "home", "disk"]
    assert found[0].mark == "problem"
    assert "the check itself failed: RuntimeError" in found[0].found
    assert "canary" not in found[0].found


# Prefect


@pytest.fixture
def api(prefect_server: str) -> PrefectApi:
    return PrefectApi(prefect_server)


@pytest.fixture
def deployment(api: PrefectApi) -> Iterator[dict[str, Any]]:
    """A deployment in the pool, with a schedule that is years away."""
    with contextlib.suppress(Refused):  # it is there
        api.post("/work_pools/", {"name": POOL, "type": "process"})
    name = f"looked-at-{uuid4().hex[:8]}"
    flow = api.post("/flows/", {"name": name})
    made: dict[str, Any] = api.post(
        "/deployments/",
        {
            "name": name,
            "flow_id": flow["id"],
            "work_pool_name": POOL,
            "schedules": [{"schedule": {"cron": "0 0 29 2 *", "timezone": "UTC"}, "active": True}],
        },
    )
    yield made
    api.delete(f"/deployments/{made['id']}")


def about(found: list[Finding], deployment: dict[str, Any]) -> list[Finding]:
    return [each for each in found if deployment["name"] in each.found]


def test_a_scheduled_run_that_did_not_start_is_found(
    store: str, prefect_server: str, api: PrefectApi, deployment: dict[str, Any]
) -> None:
    given = Settings(prefect_api_url=prefect_server)
    assert about(of(given, "schedules"), deployment) == []
    for minutes in (2, 47):
        _schedule(api, deployment, timedelta(minutes=minutes))
    [late] = about(of(given, "schedules"), deployment)
    assert (late.mark, late.mend[0]) == ("problem", "assay up")
    assert late.found.startswith("1 scheduled run late, by up to 47 min: ")


def _schedule(api: PrefectApi, deployment: dict[str, Any], ago: timedelta) -> UUID:
    state = {
        "type": "SCHEDULED",
        "name": "Scheduled",
        "state_details": {"scheduled_time": (datetime.now(UTC) - ago).isoformat()},
    }
    made = api.post(f"/deployments/{deployment['id']}/create_flow_run", {"state": state})
    return UUID(made["id"])


def test_a_schedule_that_is_switched_off_names_the_command_that_switches_it_on(
    store: str, prefect_server: str, api: PrefectApi, deployment: dict[str, Any]
) -> None:
    given = Settings(prefect_api_url=prefect_server)
    [schedule] = deployment["schedules"]
    api.patch(f"/deployments/{deployment['id']}/schedules/{schedule['id']}", {"active": False})
    [off] = about(of(given, "schedules"), deployment)
    name = f"{deployment['name']}/{deployment['name']}"
    assert off.mark == "warning"
    assert off.mend == (f"PREFECT_API_URL={prefect_server} prefect deployment schedule resume {name} {schedule['id']}",)


def test_without_a_server_its_schedules_are_not_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFECT_HOME", raising=False)
    assert one(Settings(home=tmp_path), "schedules") == Finding(
        "skipped", "schedules", "not checked: no Prefect server answers"
    )


# Deployments


@pytest.fixture
def deploying(store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """A feature that is live, its flags published."""
    monkeypatch.setenv("ASSAY_FLAGS", str(tmp_path / "flags"))
    settings.cache_clear()
    with transaction() as connection:
        deployed(connection, OLD)
    publish_flags("production")
    yield settings()
    settings.cache_clear()


def test_flags_as_the_database_says_are_fine(deploying: Settings) -> None:
    assert one(deploying, "flags") == Finding("ok", "flags", "of 1 environment, as the database says")


@pytest.mark.parametrize(
    ("how", "says"), [("missing", "is not there"), ("edited", "edited it"), ("stale", "was published before")]
)
def test_a_flag_file_that_is_not_what_the_database_says_is_named_and_mended(
    deploying: Settings, how: str, says: str
) -> None:
    file = deploying.flags_folder / "production.json"
    match how:
        case "missing":
            file.unlink()
        case "edited":
            file.write_text(file.read_text().replace(OLD.model, "openai/gpt-4o"))
        case "stale":
            with transaction() as connection:
                deployed(connection, NEW)
    found = one(deploying, "flags")
    assert found.mark == "problem"
    assert str(file) in found.found
    assert says in found.found
    [mend] = found.mend
    assert assay_here(*mend.split()[1:]).code == 0
    assert one(deploying, "flags").mark == "ok"


def test_a_deployment_that_waits_for_a_person_is_named_with_what_to_type(deploying: Settings) -> None:
    assert one(deploying, "deployments").mark == "ok"
    with transaction() as connection:
        waits = asked(connection, NEW)
    found = one(deploying, "deployments")
    assert found.mark == "warning"
    assert f"deployment {waits.name} of chatbot in production waits since" in found.found
    assert found.found.endswith("for an approval, not of ana")
    assert found.mend[0] == f"assay deploy approve {waits.name}"


@pytest.mark.parametrize(
    ("verdict", "began", "says"),
    [
        ("too_few", timedelta(days=2), "its window is over, and nothing is proven. Few came."),
        ("roll_back", timedelta(hours=1), "harms, and does not go back by itself: Few came."),
        ("too_few", timedelta(hours=1), None),
        ("fine", timedelta(days=2), None),
    ],
)
def test_a_canary_that_no_look_takes_further_is_named(
    deploying: Settings, verdict: Any, began: timedelta, says: str | None
) -> None:
    with transaction() as connection:
        wanted = asked(connection, NEW, approvals_required=0, environment="staging")
        canary = move(connection, wanted, "deploying", actor="ana", why="a tenth", percent=10)
        begin_step(connection, canary.id, 10, datetime.now(UTC) - began, "ana")
        save_look(
            connection, canary.id, 1, verdict=verdict, sentence="Few came.", data_hash="0" * 64, facts={}, actor="a"
        )
    found = one(deploying, "deployments")
    assert found.mark == ("ok" if says is None else "warning")
    if says is not None:
        assert says in found.found
        assert any("chatbot --environment staging" in each for each in found.mend)
