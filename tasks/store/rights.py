"""Which role it takes to write a table: what triggers ask for, and what Postgres' own roles are granted on a server.

Every table stands here; `guard` gives all of them their triggers after each migration. Reading takes nothing, on a
server the role viewer. What no role may do is left to the owner of the tables: no command does it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection, text

from evaluations.roles import ROLES, Role

Word = Literal["insert", "update", "delete"]
_WORDS: tuple[Word, ...] = ("insert", "update", "delete")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """The least role for each kind of writing; None: nobody's but the owner's."""

    what: str
    """What writing there means, after "may not"."""
    insert: Role | None = None
    update: Role | None = None
    delete: Role | None = None
    inserted: tuple[str, ...] = ()
    """The columns that may be said; all of them where none is named."""
    updated: tuple[str, ...] = ()
    """The columns that may be changed; all of them where none is named."""
    scoped: bool = False
    """Does the environment, and the project where there is one, of each row count?"""
    hidden: tuple[str, ...] = ()
    """Columns that a viewer may not read."""
    held: tuple[str, ...] = ()
    """Columns that a runner is granted, because who may change nothing of a row may not lock it either; the trigger
    then refuses the change."""
    by_trigger: bool = False
    """Do triggers write it, for whoever sets them off? What a role is granted beside that is said as elsewhere."""

    def least(self, word: Word) -> Role | None:
        found: Role | None = getattr(self, word)
        return found

    def above(self, had: Sequence[Role]) -> Role | None:
        """The least role that may write what those of `had` may not; None where there is none."""
        found = {least for word in _WORDS if (least := self.least(word)) is not None and least not in had}
        return min(found, key=ROLES.index, default=None)

    def asked(self, word: Word) -> Role:
        """The role that triggers ask for."""
        if self.by_trigger and word != "delete":
            return "runner"
        return self.least(word) or "admin"


def _run(what: str, *, delete: bool = False, update: bool = True, scoped: bool = False) -> Rights:
    """What a runner writes."""
    return Rights(
        what=what,
        insert="runner",
        update="runner" if update else None,
        delete="runner" if delete else None,
        scoped=scoped,
    )


_RUN, _LAND, _ROLL = "run suites", "take in requests", "roll days up"
_TRY, _BRING = "run experiments", "bring bundles into the traffic"
RIGHTS: Mapping[str, Rights] = {
    **{name: _run(_RUN) for name in ("datasets", "suites", "model_configs", "variants", "runs", "run_comparisons")},
    **{name: _run(_RUN) for name in ("run_shards", "run_budgets", "answers", "judgements", "verdicts", "workers")},
    **{name: _run(_RUN, update=False) for name in ("cases", "quarantined_rows", "run_variants", "scores")},
    "calls": _run(_RUN, delete=True),
    "benchmarks": _run("run benchmarks", update=False),
    "prompts": _run("register prompts"),
    "prompt_versions": _run("register prompts"),
    "prompt_comments": _run("comment on prompts", update=False),
    "prompt_reviews": _run("ask for reviews of prompts", update=False, scoped=True),
    **{name: _run(_LAND) for name in ("ingest_batches", "quarantine")},
    "price_sets": _run(_LAND, update=False),
    "request_keys": Rights(what=_LAND, insert="runner", update="admin"),
    "requests": Rights(what=_LAND, insert="runner", update="runner", delete="admin"),
    "spans": Rights(what=_LAND, insert="runner", delete="admin"),
    **{name: _run(_ROLL, delete=True) for name in ("rollup_dirty", "customer_dirty", "customer_silent")},
    **{name: _run(_ROLL, delete=True) for name in ("customer_outcomes", "customer_requests", "customer_sums")},
    **{name: _run(_ROLL, delete=True) for name in ("usage_hourly", "usage_daily", "usage_rhythm")},
    **{name: _run(_ROLL, delete=True) for name in ("usage_subjects", "usage_persons", "usage_demand", "usage_spread")},
    "rolled_days": _run(_ROLL),
    "restatements": _run(_ROLL, update=False),
    "logical_dates": _run(_ROLL),
    "reviews": _run("take in reviews", update=False),
    "repricings": _run("reprice requests"),
    "repriced": _run("reprice requests", update=False),
    "model_prices": _run("add prices", update=False),
    "models": _run("keep the list of models"),
    **{
        name: _run("keep the list of models", update=False)
        for name in ("model_capabilities", "model_use_case_scores", "model_activities")
    },
    "provider_probes": _run("probe models", update=False),
    "experiments": _run(_TRY, scoped=True),
    **{name: _run(_TRY, update=False, scoped=True) for name in ("experiment_events", "experiment_analyses")},
    "experiment_estimates": _run(_TRY, update=False),
    "experiment_decisions": _run(_TRY, update=False, scoped=True),
    "deployments": Rights(
        what=_BRING,
        insert="runner",
        update="runner",
        updated=(
            *("status", "rollout_percent", "began_at", "deployed_at", "ended_at"),
            *("moved_by", "moved_why", "updated_at"),
        ),
        scoped=True,
    ),
    "deployment_events": Rights(what=_BRING, by_trigger=True),
    "deployment_approvals": Rights(what="say yes or no to deployments", insert="approver", scoped=True),
    "deployment_steps": Rights(
        what=_BRING,
        insert="runner",
        update="runner",
        updated=("ended_at", "outcome", "why", "actor", "waits_since"),
        scoped=True,
    ),
    "deployment_looks": _run(_BRING, update=False, scoped=True),
    "live_bundles": _run(_BRING, scoped=True),
    "flag_deliveries": _run(_BRING, update=False, scoped=True),
    "selections": _run("select models", update=False, scoped=True),
    **{name: _run("keep recommendations", update=False) for name in ("recommendation_answers", "savings_measurements")},
    "recommendations": Rights(
        what="keep recommendations",
        insert="runner",
        update="runner",
        updated=("status", "moved_why", "moved_by", "moved_at"),
    ),
    "recommendation_events": Rights(what="keep recommendations", by_trigger=True),
    "audit_log": Rights(
        what="write decisions down",
        insert="runner",
        inserted=("action", "target", "feature", "environment", "why", "facts", "actor"),
        by_trigger=True,
    ),
    "outbox": Rights(what="tell of decisions", by_trigger=True),
    "notification_deliveries": Rights(
        what="deliver notifications",
        update="runner",
        updated=("status", "attempts", "next_at", "last_error", "delivered_at", "actor"),
        by_trigger=True,
    ),
    "notification_channels": Rights(what="change notification channels", insert="admin", update="admin"),
    "notification_rules": Rights(what="change notification channels", insert="admin", delete="admin", scoped=True),
    "audit_heads": Rights(what="write decisions down", by_trigger=True),
    "environments": Rights(what="change environments", insert="admin", update="admin", scoped=True),
    "role_grants": Rights(what="grant or revoke roles", insert="admin", delete="admin", scoped=True),
    # The first request that lands makes its row; the rest is an admin's.
    "platform": Rights(
        what="change the platform", insert="runner", update="admin", hidden=("subject_key",), held=("one",)
    ),
    "erasures": Rights(what="erase persons", insert="admin"),
    "dropped_partitions": Rights(what="let old requests go", insert="admin"),
}
"""By table. Histories are kept by triggers of their own; here it is said who may add to them."""


AS_OWNER = (
    *("audit_log_chain", "deployments_tell", "deployment_approvals_keep", "prompt_reviews_keep"),
    *("recommendations_tell", "role_grants_tell", "deployment_events_outbox", "deployment_approvals_outbox"),
    *("experiment_decisions_outbox", "role_grants_outbox", "deployment_steps_outbox", "outbox_deliver"),
)
"""Functions of triggers that write where whoever sets them off may not."""


def guard(connection: Connection) -> None:
    """Give every table the triggers that ask for its role, and let nobody mislead any trigger. Safe to repeat."""
    _settle(connection)
    columns = _columns(connection)
    # Whoever is not the owner of the tables, told by its number: a changed name changes nothing.
    owner = connection.execute(text("SELECT relowner FROM pg_class WHERE oid = 'role_grants'::regclass")).scalar_one()
    guarded = f"WHEN (NOT pg_has_role(session_user, {owner}::oid, 'MEMBER'))"
    for table, rights in RIGHTS.items():
        if table not in columns:
            continue
        asked = [rights.asked(word) for word in _WORDS]
        told = "told" if rights.by_trigger else ""
        arguments = ", ".join(f"'{each}'" for each in (*asked, rights.what, told))
        _trigger(connection, table, "role_guard", "INSERT OR UPDATE OR DELETE OR TRUNCATE", "STATEMENT", arguments)
        if rights.scoped:
            _trigger(connection, table, "role_scope", "INSERT OR UPDATE OR DELETE", "ROW", arguments)
        if "actor" in columns[table]:
            _trigger(connection, table, "actor_of_session", "INSERT OR UPDATE", "ROW", "", when=guarded)


def _settle(connection: Connection) -> None:
    """Where the functions of triggers look, as whom they write, and who may set them on a table.

    By the caller's search path they could be shown another table, since a temporary one comes first; and on a table of
    one's own they would write what that says.
    """
    connection.execute(
        text(
            """
            DO $$
            DECLARE
                each record;
            BEGIN
                FOR each IN SELECT p.oid::regprocedure AS named, p.proname = ANY(string_to_array(':owners', ' '))
                    AS as_owner FROM pg_proc p WHERE p.pronamespace = current_schema()::regnamespace
                    AND p.prorettype = 'trigger'::regtype
                LOOP
                    EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', each.named, current_schema());
                    EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', each.named);
                    EXECUTE format('ALTER FUNCTION %s SECURITY %s', each.named,
                        CASE WHEN each.as_owner THEN 'DEFINER' ELSE 'INVOKER' END);
                END LOOP;
            END $$
        """.replace(":owners", " ".join(AS_OWNER))
        )
    )


def _trigger(
    connection: Connection, table: str, function: str, events: str, each: str, arguments: str, when: str = ""
) -> None:
    # Its name decides when it fires: actor_of_session before every trigger that reads the actor.
    connection.execute(
        text(
            f"CREATE OR REPLACE TRIGGER {function} BEFORE {events} ON {table} "
            f"FOR EACH {each} {when} EXECUTE FUNCTION {function}({arguments})"
        )
    )


def grant_tables(connection: Connection) -> None:
    """Give Postgres' group roles what RIGHTS says, and take everything else from them and from everybody."""
    schema = connection.execute(text("SELECT quote_ident(current_schema())")).scalar_one()
    groups = ", ".join(group(role) for role in ROLES)
    for taken in (
        f"REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM PUBLIC, {groups}",
        f"REVOKE ALL ON ALL SEQUENCES IN SCHEMA {schema} FROM PUBLIC, {groups}",
        f"REVOKE ALL ON SCHEMA {schema} FROM {groups}",
        f"REVOKE CREATE ON SCHEMA {schema} FROM PUBLIC",
        f"GRANT USAGE ON SCHEMA {schema} TO {group('viewer')}",
        f"GRANT SELECT ON alembic_version TO {group('viewer')}",
        f"GRANT EXECUTE ON FUNCTION make_partition(text, text, date, date) TO {group('runner')}",
    ):
        connection.execute(text(taken))
    columns = _columns(connection)
    for table, rights in RIGHTS.items():
        seen = [each for each in columns[table] if each not in rights.hidden]
        for word, only, role in _grants(rights, seen):
            listed = f" ({', '.join(only)})" if only else ""
            connection.execute(text(f"GRANT {word}{listed} ON {table} TO {group(role)}"))


def _grants(rights: Rights, seen: Sequence[str]) -> Iterator[tuple[str, Sequence[str], Role]]:
    """What is granted of a table: the word, the columns (none: all of them), to whom."""
    yield "SELECT", seen if rights.hidden else (), "viewer"
    if rights.hidden:
        yield "SELECT", (), "runner"
    if rights.held:
        yield "UPDATE", rights.held, "runner"
    each: tuple[tuple[Word, tuple[str, ...]], ...] = (
        ("insert", rights.inserted),
        ("update", rights.updated),
        ("delete", ()),
    )
    for word, only in each:
        least = rights.least(word)
        if least is not None:
            yield word.upper(), only, least


def group(role: str) -> str:
    """The group role of Postgres that stands for a role."""
    return f"assay_{role}"


def _columns(connection: Connection) -> dict[str, list[str]]:
    rows = connection.execute(
        text("""
            SELECT c.relname, array_agg(a.attname::text ORDER BY a.attnum) AS columns
            FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
            WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')
            GROUP BY c.relname
        """)
    )
    return {row.relname: list(row.columns) for row in rows}
