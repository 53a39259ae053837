"""Roles on a server: a login writes by raw SQL what its role may write, under its own name, and nothing else.

What each may write is said here once more, by hand; the statements come from the catalogue, a column at a time.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import text

from evaluations.errors import AssayError
from evaluations.roles import ROLES, Grant
from tasks.rollups import roll_up_days
from tasks.settings import settings
from tasks.store import database
from tasks.store.audit import entries, verify_chain
from tasks.store.database import engine_for, transaction
from tasks.store.migrations.run import upgrade
from tasks.store.roles import grant, install, revoke
from tests.deployments import approve, asked, taken
from tests.tasks.ingest.builders import a_file, a_record, ingested, one
from tests.tasks.store.servers import running_server

NOBODY = {"audit_heads", "deployment_events", "recommendation_events", "outbox", "alembic_version"}
"""Written by triggers and migrations alone."""
ADMINS = {
    *("environments", "role_grants", "erasures", "dropped_partitions"),
    *("notification_channels", "notification_rules"),
}
APPROVERS = {"deployment_approvals"}
ONLY_ADDED = {
    *("audit_log", "experiment_events", "experiment_analyses", "experiment_estimates", "experiment_decisions"),
    *("deployment_looks", "deployment_approvals", "flag_deliveries", "selections", "prompt_reviews", "prompt_comments"),
    *("cases", "quarantined_rows", "run_variants", "scores", "benchmarks", "price_sets", "spans", "restatements"),
    *("reviews", "repriced", "model_prices", "model_capabilities", "model_use_case_scores", "model_activities"),
    *("provider_probes", "erasures", "dropped_partitions", "role_grants"),
    *("recommendation_answers", "savings_measurements", "notification_rules"),
}
"""No role changes a row of these."""
ADMINS_CHANGE = {"platform", "request_keys", "environments"}
RUNNERS_DELETE = {
    *("calls", "rollup_dirty", "customer_dirty", "customer_silent", "customer_outcomes", "customer_requests"),
    *("customer_sums", "usage_hourly", "usage_daily", "usage_rhythm", "usage_subjects", "usage_persons"),
    *("usage_demand", "usage_spread"),
}
ADMINS_DELETE = {"requests", "spans", "role_grants", "notification_rules"}
CHANGED = {
    "deployments": {
        *("status", "rollout_percent", "began_at", "deployed_at", "ended_at", "moved_by", "moved_why", "updated_at")
    },
    "deployment_steps": {"ended_at", "outcome", "why", "actor", "waits_since"},
    "recommendations": {"status", "moved_why", "moved_by", "moved_at"},
    "notification_deliveries": {"status", "attempts", "next_at", "last_error", "delivered_at", "actor"},
}
SAID: dict[str, set[str]] = {
    "audit_log": {"action", "target", "feature", "environment", "why", "facts", "actor"},
    "notification_deliveries": set(),
}


@dataclass(frozen=True, slots=True)
class Server:
    owner: str
    admin: str

    def of(self, login: str) -> str:
        return self.owner.replace("platform:platform@", f"{login}:{login}@")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A store on a server, its owner no superuser, with a login for each role, named after it, and one without any."""
    with running_server() as admin:
        with psycopg.connect(admin, autocommit=True) as connection:
            connection.execute("CREATE ROLE platform LOGIN PASSWORD 'platform' CREATEROLE")
            connection.execute("CREATE DATABASE platform OWNER platform")
            for login in (*ROLES, "stranger"):
                connection.execute(f"CREATE ROLE {login} LOGIN PASSWORD '{login}'")
        owner = admin.replace("assay:s3cret-of-the-server@", "platform:platform@").replace("/postgres", "/platform")
        with psycopg.connect(admin.replace("/postgres", "/platform"), autocommit=True) as connection:
            connection.execute("ALTER SCHEMA public OWNER TO platform")
        engine = engine_for(owner)
        upgrade(engine)
        engine.dispose()
        made = engine_for(owner, actor="admin")
        with made.begin() as connection:
            grant(connection, Grant(subject="admin", role="admin"), "admin")
            for role in ROLES[:-1]:
                grant(connection, Grant(subject=role, role=role), "admin")
            install(connection)
            install(connection)  # safe to repeat
            connection.execute(
                text("SELECT make_partition('requests', 'requests_2020_01', '2020-01-01', '2020-02-01')")
            )
        made.dispose()
        yield Server(owner, admin)


@pytest.fixture
def as_login(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator["As"]:
    yield As(server, monkeypatch)
    _forget()


@dataclass
class As:
    """Makes this process a client of somebody's login, whoever it says it acts for."""

    server: Server
    monkeypatch: pytest.MonkeyPatch

    def __call__(self, login: str) -> None:
        self.monkeypatch.setenv("ASSAY_DATABASE_URL", self.server.of(login))
        self.monkeypatch.setenv("ASSAY_ACTOR", "somebody else")
        _forget()


def _forget() -> None:
    if database.engine.cache_info().currsize:
        database.engine().dispose()
    database.engine.cache_clear()
    settings.cache_clear()


def may(role: str, word: str, table: str, column: str = "") -> bool:
    """What a role is meant to be able to do, by hand."""
    rank = ROLES.index(role) if role in ROLES else -1
    least = 1
    if table in NOBODY or table.startswith(("requests_", "spans_")):
        return False
    if table in APPROVERS:
        least = 2
    if table in ADMINS:
        least = 3
    match word:
        case "INSERT":
            return rank >= least and column in SAID.get(table, {column})
        case "UPDATE":
            least = 3 if table in ADMINS_CHANGE else least
            return rank >= least and table not in ONLY_ADDED and column in CHANGED.get(table, {column})
        case "DELETE":
            return rank >= (3 if table in ADMINS_DELETE else 1) and table in RUNNERS_DELETE | ADMINS_DELETE
    return False


def refused(connection: psycopg.Connection, statement: sql.Composed | str) -> bool:
    """Did the server refuse it for want of rights? Anything else that goes wrong is no refusal."""
    try:
        connection.execute(statement if isinstance(statement, sql.Composed) else statement.encode())
    except psycopg.errors.InsufficientPrivilege:
        return True
    except psycopg.Error:
        return False
    return False


@pytest.mark.parametrize("role", [*ROLES, "stranger"])
def test_by_raw_sql_a_login_writes_what_its_role_may_and_nothing_else(server: Server, role: str) -> None:
    with psycopg.connect(server.owner) as owner:
        columns = owner.execute(
            """
            SELECT c.relname, a.attname, a.attgenerated <> '' OR a.attidentity <> '' FROM pg_class c
            JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
            WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
            """
        ).fetchall()
    tables = sorted({table for table, *_ in columns})
    assert len(tables) > 70
    wrong = []
    with psycopg.connect(server.of(role), autocommit=True) as connection:
        for table, column, given in columns:
            names = {"t": sql.Identifier(table), "c": sql.Identifier(column)}
            tried = {
                "INSERT": sql.SQL("INSERT INTO {t} ({c}) SELECT {c} FROM {t} WHERE false").format(**names),
                "UPDATE": sql.SQL("UPDATE {t} SET {c} = DEFAULT WHERE false").format(**names),
            }
            for word, statement in tried.items():
                if not (given and word == "INSERT") and refused(connection, statement) == may(
                    role, word, table, column
                ):
                    wrong.append(f"{word} {table}.{column}")
        for table in tables:
            named = sql.Identifier(table)
            if refused(connection, sql.SQL("DELETE FROM {} WHERE false").format(named)) == may(role, "DELETE", table):
                wrong.append(f"DELETE {table}")
            for tried_too in (
                "TRUNCATE {}",
                "DROP TABLE {}",
                "ALTER TABLE {} ADD COLUMN extra text",
                "ALTER TABLE {} DISABLE TRIGGER ALL",
                "ALTER TABLE {} OWNER TO CURRENT_USER",
                "CREATE INDEX ON {} ((1))",
                "CREATE TRIGGER extra BEFORE INSERT ON {} EXECUTE FUNCTION suppress_redundant_updates_trigger()",
                "CREATE RULE extra AS ON INSERT TO {} DO ALSO NOTHING",
                "COMMENT ON TABLE {} IS 'mine'",
            ):
                if not refused(connection, tried_too.format(f'"{table}"')):
                    wrong.append(tried_too.format(table))
    assert wrong == []


@pytest.mark.parametrize("role", [*ROLES, "stranger"])
def test_no_login_gets_around_it(server: Server, role: str) -> None:
    with psycopg.connect(server.of(role), autocommit=True) as connection:
        for statement in (
            "CREATE TABLE public.mine (x int)",
            "CREATE FUNCTION public.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "CREATE OR REPLACE FUNCTION role_guard() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
            "CREATE SCHEMA mine",
            "ALTER FUNCTION public.role_guard() RESET search_path",
            "DROP FUNCTION public.role_guard() CASCADE",
            "SET session_replication_role = replica",
            "SET ROLE platform",
            "SET SESSION AUTHORIZATION admin" if role != "admin" else "SET SESSION AUTHORIZATION platform",
            "GRANT assay_admin TO stranger",
            f"GRANT platform TO {role}",
            f"ALTER ROLE {role} SUPERUSER",
            "CREATE ROLE mine",
            "SELECT follow_grants('stranger')",
            "SELECT make_partition('requests', 'requests_1', '1999-01-01', '1999-02-01')"
            if role in ("viewer", "stranger")
            else "CREATE TABLE public.requests_1 PARTITION OF requests DEFAULT",
        ):
            assert refused(connection, statement), statement
        # A table of one's own with a trigger of ours would write what it says, as the owner.
        connection.execute("CREATE TEMPORARY TABLE forged (id uuid, status text, rollout_percent int, moved_by text)")
        for function in ("deployments_tell", "deployment_approvals_keep", "audit_log_chain", "role_grants_tell"):
            assert refused(
                connection, f"CREATE TRIGGER f AFTER INSERT ON forged FOR EACH ROW EXECUTE FUNCTION {function}()"
            ), function


def test_a_runner_may_make_a_place_for_requests_and_no_other_table(server: Server) -> None:
    with psycopg.connect(server.of("runner")) as connection:
        connection.execute("SELECT make_partition('requests', 'requests_2021_01', '2021-01-01', '2021-02-01')")
        connection.rollback()
        for parent, part in (("deployments", "deployments_1"), ("requests", "spans_1"), ("requests", "mine")):
            with pytest.raises(psycopg.errors.CheckViolation), connection.transaction():
                connection.execute("SELECT make_partition(%s, %s, '2021-01-01', '2021-02-01')", (parent, part))


def test_a_viewer_reads_everything_but_the_key_of_pseudonyms(server: Server) -> None:
    with psycopg.connect(server.of("viewer"), autocommit=True) as connection:
        assert connection.execute("SELECT count(*) FROM role_grants").fetchone() == (4,)
        connection.execute("SELECT timezone FROM platform")
        assert refused(connection, "SELECT subject_key FROM platform")
        assert refused(connection, "SELECT * FROM platform")
    with psycopg.connect(server.of("stranger"), autocommit=True) as connection:
        assert refused(connection, "SELECT count(*) FROM runs")


def test_a_temporary_table_of_approvals_approves_nothing(server: Server, as_login: As) -> None:
    as_login("runner")
    with transaction() as connection:
        found = asked(connection, feature="misled")
    with psycopg.connect(server.of("runner")) as raw:
        raw.execute("CREATE TEMPORARY TABLE deployment_approvals (LIKE public.deployment_approvals)")
        raw.execute("CREATE TEMPORARY TABLE role_grants (LIKE public.role_grants)")
        raw.execute(
            """INSERT INTO pg_temp.deployment_approvals
            SELECT 1, id, 'approved', content_hash, now() + interval '1 day', '', 'ben', now() FROM deployments"""
        )
        with pytest.raises(psycopg.errors.CheckViolation, match="has 0 of 1 approvals that hold"):
            raw.execute(
                "UPDATE deployments SET status = 'pending', moved_by = 'x', moved_why = 'x' WHERE id = %s", (found.id,)
            )


def test_who_did_it_is_the_login_whatever_its_client_says(server: Server, as_login: As) -> None:
    as_login("runner")
    with transaction() as connection:
        found = asked(connection, feature="named", actor="approver")
    assert found.actor == "runner"
    as_login("approver")
    with transaction() as connection:
        approve(connection, found, actor="ben")
        taken(connection, found, "pending", "deploying")
    with transaction() as connection:
        told = [(e.action, e.actor) for e in entries(connection, target=f"deployment:{found.id}")]
    assert told == [
        ("deployment deploying", "approver"),
        ("deployment pending", "approver"),
        ("deployment approved", "approver"),
        ("deployment pending approval", "runner"),
    ]
    with transaction() as connection:
        assert verify_chain(connection).broken_at is None


def test_an_approver_under_another_name_cannot_approve_what_the_same_login_asked_for(
    server: Server, as_login: As
) -> None:
    as_login("approver")
    with transaction() as connection:
        found = asked(connection, feature="both", actor="ana")
    with pytest.raises(AssayError, match="asked for"), transaction() as connection:
        approve(connection, found, actor="ben")


@pytest.mark.parametrize(
    ("login", "said"),
    [
        ("runner", "runner may not say yes or no to deployments: that takes the role approver, and runner is runner"),
        ("viewer", "viewer may not say yes or no to deployments: that takes the role approver, and viewer is viewer"),
    ],
)
def test_what_a_login_may_not_is_said_in_one_sentence(server: Server, as_login: As, login: str, said: str) -> None:
    as_login("runner")
    with transaction() as connection:
        found = asked(connection, feature=f"told-{login}")
    as_login(login)
    with pytest.raises(AssayError) as problem, transaction() as connection:
        approve(connection, found)
    assert str(problem.value) == f"{said}; admin can grant it (assay roles grant {login} approver)."
    assert problem.value.exit_code == 2


def test_a_role_in_an_environment_counts_on_a_server_too(server: Server, as_login: As) -> None:
    with psycopg.connect(server.admin, autocommit=True) as connection:
        connection.execute("CREATE ROLE scoped LOGIN PASSWORD 'scoped'")
    as_login("admin")
    wanted = Grant(subject="scoped", role="approver", environment="staging")
    with transaction() as connection:
        grant(connection, wanted, "admin")
    as_login("scoped")
    with transaction() as connection:
        assert asked(connection, environment="staging", feature="scoped").actor == "scoped"
    with pytest.raises(AssayError, match=r"scoped may not .* in production"), transaction() as connection:
        asked(connection, feature="scoped")
    as_login("admin")
    with transaction() as connection:
        revoke(connection, wanted)
    with psycopg.connect(server.of("scoped"), autocommit=True) as raw:
        assert refused(raw, "SELECT count(*) FROM runs"), "the membership went with the grant"


def test_a_runner_lands_requests_and_rolls_them_up(server: Server, as_login: As, tmp_path: Path) -> None:
    as_login("runner")
    landed = ingested(a_file(tmp_path, [a_record(1), a_record(2)]))
    assert landed.counts.landed == 2
    roll_up_days(None)
    assert one("SELECT sum(requests) FROM usage_daily") == 2
    assert one("SELECT string_agg(DISTINCT actor, ',') FROM ingest_batches") == "runner"
