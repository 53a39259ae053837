"""Deploying a winner, step by step: gate, approval, canary, watch, promotion, and the way back by itself."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from openfeature import api
from openfeature.contrib.provider.flagd import FlagdProvider
from openfeature.contrib.provider.flagd.config import ResolverType
from openfeature.evaluation_context import EvaluationContext
from sqlalchemy import text

from evaluations.deployments import Bundle, Policy
from evaluations.errors import AssayError
from evaluations.model_changes import model_changes
from evaluations.models import Environment, Model
from tasks import experiments
from tasks.advancing import AUTOMATIC, advance, promote
from tasks.deploying import Wish, approve, cancel, propose, reject, start
from tasks.deployment_status import status_of
from tasks.experiment_analysis import look_at, under_way
from tasks.flags import flag_file
from tasks.settings import settings
from tasks.store.canaries import looks_of, steps_of
from tasks.store.database import transaction
from tasks.store.deployments import (
    StoredDeployment,
    deployment_of,
    events_of,
    list_deployments,
    live_deployment,
    say,
)
from tasks.store.experiments import create_experiment, find_experiment, move, set_planned_n
from tasks.store.models import apply_changes, set_environment
from tests.builders import a_run, a_suite
from tests.deployments import deployed
from tests.experiments import live
from tests.live_traffic import BEGAN, land_arm

OLD = {"prompt": "shipping@3.0.0", "model": "openai/gpt-4o-mini", "parameters": {"temperature": 0.2}}
NEW = {"prompt": "shipping@4.0.0", "model": "openai/gpt-4o-mini", "parameters": {"temperature": 0}}
ARMS = [
    {"name": "v3", "control": True, "traffic": 50, "bundle": OLD},
    {"name": "v4", "traffic": 50, "bundle": NEW},
]
DAY = timedelta(days=1, seconds=1)


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, store: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("ASSAY_FLAGS", str(tmp_path / "flags"))
    monkeypatch.setenv("ASSAY_REPORTS", str(tmp_path / "reports"))
    monkeypatch.setenv("ASSAY_ACTOR", "ana")
    settings.cache_clear()
    allow()
    yield
    settings.cache_clear()


def allow(**given: Any) -> None:
    """Production as it is allowed here: one approval, no validation, no limit, unless said."""
    wanted = Environment(**{"name": "production", "approvals_required": 1, **given})
    with transaction() as connection:
        set_environment(connection, wanted, "for the test", "ana")


def become(who: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_ACTOR", who)
    settings.cache_clear()


def concluded(*arms: tuple[str, int, int], **given: Any) -> None:
    """The experiment shipping-v4, over: v4 is better on 1,000 units each unless other arms are given."""
    spec = live(**{"variants": ARMS, **given})
    with transaction() as connection:
        set_planned_n(connection, create_experiment(connection, spec, None, "ana"), 1000)
    experiments.start_live(spec.experiment)
    with transaction() as connection:
        connection.execute(text("UPDATE experiments SET started_at = :began"), {"began": BEGAN})
        first = 0
        for variant, units, passed in arms or (("v3", 1000, 700), ("v4", 1000, 790)):
            land_arm(connection, variant, units, passed, first_unit=first)
            first += units
    look_at(under_way(spec.experiment), BEGAN + timedelta(days=3))


def begun(monkeypatch: pytest.MonkeyPatch, policy: Policy | None = None) -> StoredDeployment:
    """The winner of a concluded experiment, approved by another person, with its first share of the traffic."""
    concluded()
    asked = start(propose(Wish(experiment="shipping-v4", policy=policy or Policy())), why="better answers")
    become("ben", monkeypatch)
    approve(asked.id.hex[:8], "looked at it")
    become("ana", monkeypatch)
    advance(asked.id)
    return now_of(asked)


def now_of(found: StoredDeployment) -> StoredDeployment:
    with transaction() as connection:
        return deployment_of(connection, found.id)


def traffic(
    found: StoredDeployment,
    canary: tuple[int, int, int],
    control: tuple[int, int, int] | None,
    first_unit: int = 10_000,
) -> datetime:
    """Requests of the open window: (units, of quality 1, errors) of each arm. Gives a time after them."""
    with transaction() as connection:
        began = next(step.began_at for step in steps_of(connection, found.id) if step.ended_at is None)
        begins = began + timedelta(minutes=5)
        for name, arm in (("canary", canary), ("control", control)):
            if arm is not None:
                units, passed, errors = arm
                land_arm(
                    connection, name, units, passed, experiment=f"canary:{found.id}", errors=errors, began=begins,
                    every_s=1, first_unit=first_unit,
                )  # fmt: skip
                first_unit += units
        end = connection.execute(text("SELECT max(at) FROM requests WHERE experiment LIKE 'canary:%'")).scalar_one()
    return end + timedelta(seconds=1)  # type: ignore[no-any-return]


def served(unit: str | None) -> Any:
    """What an application gets from the published file, by the OpenFeature SDK."""
    file = str(flag_file("production"))
    api.set_provider_and_wait(FlagdProvider(resolver_type=ResolverType.FILE, offline_flag_source_path=file))
    try:
        return api.get_client().get_object_value("chatbot", {}, EvaluationContext(unit))
    finally:
        api.shutdown()


def share() -> float:
    """Of a thousand units, those that get the new prompt."""
    file = str(flag_file("production"))
    api.set_provider_and_wait(FlagdProvider(resolver_type=ResolverType.FILE, offline_flag_source_path=file))
    try:
        client = api.get_client()
        got = [client.get_object_value("chatbot", {}, EvaluationContext(f"user-{n}")) for n in range(1000)]
        return sum(each["prompt"] == NEW["prompt"] for each in got) / 1000  # type: ignore[call-overload]
    finally:
        api.shutdown()


def test_a_winner_goes_live_by_shares_each_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    found = begun(monkeypatch)
    assert (found.status, found.rollout_percent, found.experiment, found.variant) == (
        "deploying", 10, "shipping-v4", "v4",
    )  # fmt: skip
    assert share() == pytest.approx(0.10, abs=0.03)
    assert served(None) == OLD
    now = traffic(found, (300, 240, 3), (2700, 2160, 27))
    assert "of the units get it" in advance(found.id, now)
    assert now_of(found).rollout_percent == 10
    advance(found.id, found.began_at + DAY if found.began_at else now)
    found = now_of(found)
    assert found.rollout_percent == 50
    assert share() == pytest.approx(0.50, abs=0.05)
    with transaction() as connection:
        window = next(step for step in steps_of(connection, found.id) if step.ended_at is None)
    traffic(found, (1500, 1200, 15), (1500, 1200, 15), first_unit=20_000)
    advance(found.id, window.began_at + DAY)
    found = now_of(found)
    assert (found.status, found.live, found.rollout_percent) == ("deployed", True, 100)
    assert share() == 1.0
    with transaction() as connection:
        last = next(step for step in steps_of(connection, found.id) if step.ended_at is None)
    traffic(found, (500, 400, 5), None, first_unit=30_000)
    assert "its watch is over" in advance(found.id, last.began_at + DAY)
    assert served("user-1") == NEW
    with transaction() as connection:
        assert [(step.percent, step.outcome) for step in steps_of(connection, found.id)] == [
            (10, "passed"), (50, "passed"), (100, "passed"),
        ]  # fmt: skip
        told = [(event.after, event.percent, event.actor) for event in events_of(connection, found.id)]
    assert told == [
        ("pending_approval", 0, "ana"),
        ("pending", 0, AUTOMATIC),
        ("deploying", 10, AUTOMATIC),
        ("deploying", 50, AUTOMATIC),
        ("deployed", 100, AUTOMATIC),
    ]
    standing = status_of("chatbot")
    assert {each.metric.name for each in standing.impact} == {"error_rate", "quality", "latency_ms"}
    quality = next(each.effect for each in standing.impact if each.metric.name == "quality")
    assert quality is not None
    assert quality.low < 0 < quality.high
    assert quality.n == 6000


def test_what_everyone_had_is_the_first_live_bundle_and_the_way_back(monkeypatch: pytest.MonkeyPatch) -> None:
    begun(monkeypatch)
    with transaction() as connection:
        now = live_deployment(connection, "chatbot", "production")
    assert now is not None
    assert (now.trigger, now.bundle.document) == ("baseline", OLD)


def test_a_canary_whose_quality_drops_is_taken_back_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    found = begun(monkeypatch)
    now = traffic(found, (400, 260, 4), (3600, 2880, 36))  # 65 % beside 80 %
    said = advance(found.id, now)
    found = now_of(found)
    assert found.status == "rolled_back"
    assert "rolled back by itself at 10%" in said
    assert "quality 65.0%, n = 400; control 80.0%, n = 3,600: worse by at least" in found.moved_why
    assert share() == 0.0
    with transaction() as connection:
        look, empty = looks_of(connection, found.id)
        events = events_of(connection, found.id)
    assert (empty.verdict, look.verdict) == ("too_few", "roll_back")
    assert (events[-1].after, events[-1].actor) == ("rolled_back", AUTOMATIC)


def test_errors_take_a_canary_back_after_few_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    found = begun(monkeypatch)
    now = traffic(found, (60, 50, 18), (540, 440, 5))
    assert "error rate 30.0%, n = 60" in advance(found.id, now)
    assert now_of(found).status == "rolled_back"


def test_what_is_live_for_all_goes_back_beyond_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    found = begun(monkeypatch, Policy(steps=(100,)))
    assert (found.status, found.rollout_percent) == ("deployed", 100)
    now = traffic(found, (400, 300, 100), None)
    assert "beyond its limit of 10.0%" in advance(found.id, now)
    with transaction() as connection:
        back = live_deployment(connection, "chatbot", "production")
    assert back is not None
    assert (back.trigger, back.bundle.document, back.actor) == ("rollback", OLD, AUTOMATIC)
    assert served("user-1") == OLD


def test_an_experiment_that_began_meanwhile_gives_its_traffic_back_with_what_goes_back_by_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = begun(monkeypatch, Policy(steps=(100,)))
    now = traffic(found, (400, 300, 100), None)
    with transaction() as connection:
        create_experiment(connection, live("shipping-v5"), None, "ana")
        move(connection, find_experiment(connection, "shipping-v5"), "running", actor="ana")
    assert "Experiment shipping-v5 is paused." in advance(found.id, now)
    with transaction() as connection:
        assert find_experiment(connection, "shipping-v5").status == "paused"
    assert served("user-1") == OLD


def waiting() -> list[str]:
    """What was told of canaries that a person decides about."""
    with transaction() as connection:
        told = connection.execute(text("SELECT why FROM outbox WHERE event = 'deployment.waits' ORDER BY id"))
        return list(told.scalars())


def test_without_enough_units_a_window_does_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    found = begun(monkeypatch)
    now = traffic(found, (40, 32, 0), (360, 290, 3))
    said = advance(found.id, now + DAY)
    assert "its window is over, and nothing is proven. 40 of 100 units in the smaller arm" in said
    assert now_of(found).rollout_percent == 10
    assert waiting() == [said.partition(": ")[2]]
    advance(found.id, now + 2 * DAY)
    assert len(waiting()) == 1
    with pytest.raises(AssayError, match="needs its reason"):
        promote(found.name, " ")
    promote(found.name, "quiet feature, looked at all forty", now + DAY)
    assert now_of(found).rollout_percent == 50
    with transaction() as connection:
        [first, _] = steps_of(connection, found.id)
    assert first.outcome == "forced"
    assert "forced by ana: quiet feature" in first.why


def test_a_split_that_is_not_the_published_one_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    found = begun(monkeypatch)
    now = traffic(found, (900, 720, 9), (1100, 880, 11))
    assert "45.0% of the units are in the canary, 10.0% planned" in advance(found.id, now + DAY)
    assert now_of(found).rollout_percent == 10


def test_a_policy_may_leave_the_way_back_to_a_person(monkeypatch: pytest.MonkeyPatch) -> None:
    found = begun(monkeypatch, Policy(auto_rollback=False))
    now = traffic(found, (400, 260, 4), (3600, 2880, 36))
    assert "goes back when a person says so" in advance(found.id, now)
    assert now_of(found).status == "deploying"
    [told] = waiting()
    assert "assay rollback chatbot" in told


def test_the_next_deployment_ends_the_watch_of_what_is_live(monkeypatch: pytest.MonkeyPatch) -> None:
    first = begun(monkeypatch, Policy(steps=(100,)))
    wish = Wish(feature="chatbot", bundle={**NEW, "parameters": {"temperature": 1}})
    asked = start(propose(wish), why="", waive="tested")
    become("ben", monkeypatch)
    approve(asked.name, "")
    assert "10% of the units get it" in advance(asked.id)
    with transaction() as connection:
        assert [step.outcome for step in steps_of(connection, first.id)] == ["forced"]
    flag = json.loads(flag_file("production").read_text())["flags"]["chatbot"]
    assert flag["metadata"]["experiment"] == f"canary:{asked.id}"
    assert flag["variants"]["canary"]["parameters"] == {"temperature": 1}


def test_looking_again_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    found = begun(monkeypatch)
    now = traffic(found, (300, 240, 3), (2700, 2160, 27))
    said = {advance(found.id, now) for _ in range(3)}
    assert len(said) == 1
    with transaction() as connection:
        assert [look.verdict for look in looks_of(connection, found.id)] == ["fine", "too_few"]
        assert len(events_of(connection, found.id)) == 3


def test_the_same_wish_twice_is_one_deployment() -> None:
    concluded()
    first = start(propose(Wish(experiment="shipping-v4")), why="")
    assert start(propose(Wish(experiment="shipping-v4")), why="again").id == first.id
    other = propose(Wish(feature="chatbot", bundle={**NEW, "model": "openai/gpt-4o"}))
    with pytest.raises(AssayError, match="is under way for chatbot in production"):
        start(other, why="", waive="no experiment needed")


def test_waiting_it_says_for_whom(monkeypatch: pytest.MonkeyPatch) -> None:
    concluded()
    asked = start(propose(Wish(experiment="shipping-v4")), why="")
    assert "it waits for 1 approval, not of ana" in advance(asked.id)
    with pytest.raises(AssayError, match="who asked for"):
        approve(asked.name, "mine is the best")
    become("ben", monkeypatch)
    reject(asked.name, "not before the holidays")
    assert "rejected by ben: not before the holidays" in advance(asked.id)
    assert now_of(asked).status == "failed"


def test_an_approval_that_nobody_gives_or_that_runs_out_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    concluded()
    asked = start(propose(Wish(experiment="shipping-v4")), why="")
    late = datetime.now(UTC) + timedelta(days=8)
    assert "nobody approved it within 7 days" in advance(asked.id, late)
    asked = start(propose(Wish(experiment="shipping-v4")), why="")
    become("ben", monkeypatch)
    approve(asked.name, "")
    assert "the approval of ben expired before it could begin" in advance(asked.id, late)


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("UPDATE deployments SET bundle = bundle || '{\"model\": \"openai/gpt-4o\"}' WHERE status LIKE 'pending%'",
         "its bundle is not the one that was asked for"),
        ("UPDATE deployments SET evidence = evidence || '{\"prompt_hash\": \"0\"}' WHERE status LIKE 'pending%'",
         "was edited after this deployment was asked for"),
        ("INSERT INTO experiment_decisions (experiment_id, outcome, variant, rule, sentence, automatic, why, actor) "
         "SELECT id, 'inconclusive', NULL, 'override', 'none', false, 'second thoughts', 'cleo' FROM experiments",
         "was decided anew since then"),
    ],
)  # fmt: skip
def test_what_changed_after_it_was_asked_for_gets_no_traffic(
    statement: str, says: str, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    concluded()
    with psycopg.connect(store) as raw:
        raw.execute("INSERT INTO prompts (name, description, actor) VALUES ('shipping', '', 'ana')")
        raw.execute(
            "INSERT INTO prompt_versions (prompt_id, seq, semver, content_hash, spec, actor) "
            "SELECT id, 1, '4.0.0', 'abc', '{}', 'ana' FROM prompts"
        )
    asked = start(propose(Wish(experiment="shipping-v4")), why="")
    become("ben", monkeypatch)
    approve(asked.name, "")
    with psycopg.connect(store) as raw:
        raw.execute("SET session_replication_role = replica")
        raw.execute(statement)
    assert says in advance(asked.id)
    assert now_of(asked).status == "failed"
    assert json.loads(flag_file("production").read_text())["flags"]["chatbot"]["variants"]["default"] == OLD


def test_it_waits_while_an_experiment_has_the_traffic(monkeypatch: pytest.MonkeyPatch) -> None:
    concluded()
    asked = start(propose(Wish(experiment="shipping-v4")), why="")
    with transaction() as connection:
        create_experiment(connection, live("tone", variants=ARMS), None, "ana")
    experiments.step("tone", "running")
    become("ben", monkeypatch)
    approve(asked.name, "")
    assert "it waits: experiment tone has the traffic" in advance(asked.id)
    experiments.step("tone", "cancelled", "in the way")
    assert "10% of the units get it" in advance(asked.id)


def test_a_canary_is_cancelled_and_what_is_live_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    found = begun(monkeypatch)
    cancel(found.name, "wrong week")
    assert now_of(found).status == "rolled_back"
    assert share() == 0.0
    with transaction() as connection:
        now = live_deployment(connection, "chatbot", "production")
    assert now is not None
    with pytest.raises(AssayError, match="assay rollback chatbot"):
        cancel(now.name, "this too")


# What refuses


def test_an_experiment_without_a_winner_is_not_deployed() -> None:
    with transaction() as connection:
        set_planned_n(connection, create_experiment(connection, live(variants=ARMS), None, "ana"), 1000)
    with pytest.raises(AssayError, match="is draft and has not concluded"):
        propose(Wish(experiment="shipping-v4"))
    experiments.start_live("shipping-v4")
    with pytest.raises(AssayError, match="is running and has not concluded"):
        propose(Wish(experiment="shipping-v4"))


@pytest.mark.parametrize(
    ("arms", "says"),
    [
        ((("v3", 1000, 750), ("v4", 1000, 752)), "there is no winner to deploy"),
        ((("v3", 1000, 790), ("v4", 1000, 700)), "keeps its control v3"),
    ],
)
def test_nothing_and_the_control_are_no_winners(arms: Any, says: str) -> None:
    concluded(*arms)
    with pytest.raises(AssayError, match=says):
        propose(Wish(experiment="shipping-v4"))


def test_a_broken_split_is_not_deployed_whoever_chose_the_winner() -> None:
    concluded(("v3", 1200, 600), ("v4", 800, 700))
    experiments.override("shipping-v4", "v4", "I saw it")
    experiments.step("shipping-v4", "completed", "enough")
    with pytest.raises(AssayError, match="proves nothing"):
        propose(Wish(experiment="shipping-v4"))


def test_a_persons_choice_against_the_rule_has_to_be_waived_by_name() -> None:
    concluded(("v3", 1000, 790), ("v4", 1000, 700))
    experiments.override("shipping-v4", "v4", "strategic")
    proposal = propose(Wish(experiment="shipping-v4"))
    with pytest.raises(AssayError, match=r"ana chose v4 against the rule \(strategic\).*assay deploy override"):
        start(proposal, why="")
    asked = start(proposal, why="strategic", waive="the board wants it")
    assert asked.evidence["waived"]["by"] == "ana"
    assert "waived by ana (the board wants it): ana chose v4 against the rule" in asked.why


@pytest.mark.parametrize(
    ("given", "says", "waivable"),
    [
        ({"allowed_providers": ("anthropic",)}, "provider openai is not allowed in production", False),
        ({"monthly_cost_limit": Decimal(100)}, "the cost of a month is unknown", True),
        ({"validated_only": True}, "the registry does not know openai/gpt-4o-mini", True),
        ({"validated_only": True}, "no suite was run to its end with shipping@4.0.0", True),
    ],
)
def test_a_bundle_that_does_not_fit_is_refused_with_its_reason(given: Any, says: str, waivable: bool) -> None:
    concluded()
    allow(**given)
    proposal = propose(Wish(experiment="shipping-v4"))
    with pytest.raises(AssayError, match=says):
        start(proposal, why="")
    if waivable:
        assert start(proposal, why="", waive="known risk").status == "pending_approval"
    else:
        with pytest.raises(AssayError, match=says):
            start(proposal, why="", waive="known risk")


def test_a_provider_that_is_forbidden_after_the_approval_gets_no_traffic(monkeypatch: pytest.MonkeyPatch) -> None:
    concluded()
    asked = start(propose(Wish(experiment="shipping-v4")), why="")
    become("ben", monkeypatch)
    approve(asked.name, "")
    allow(allowed_providers=("anthropic",))
    assert "it does not pass its checks any more: provider openai is not allowed" in advance(asked.id)


def test_a_waived_check_waives_nothing_that_nobody_may_waive(monkeypatch: pytest.MonkeyPatch) -> None:
    concluded()
    allow(validated_only=True)
    asked = start(propose(Wish(experiment="shipping-v4")), why="", waive="nobody knows this model yet")
    assert "model" in asked.evidence["waived"]["checks"]
    gone = Model(name="openai/gpt-4o-mini", provider="openai", mode="chat", retires_on=date(2026, 1, 1))
    with transaction() as connection:
        apply_changes(connection, model_changes({}, {gone.name: gone}, date(2026, 1, 2)), "test", quiet=True)
    become("ben", monkeypatch)
    approve(asked.name, "")
    assert "does not pass its checks any more: openai/gpt-4o-mini is retired on 2026-01-01" in advance(asked.id)


def test_of_two_approvals_those_that_hold_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    concluded()
    allow(approvals_required=2)
    asked = start(propose(Wish(experiment="shipping-v4", policy=Policy(approval_s=3600))), why="")
    late = datetime.now(UTC) + timedelta(minutes=59)
    become("ben", monkeypatch)
    approve(asked.name, "")
    assert "it waits for 1 approval, not of ana" in advance(asked.id, late)
    with transaction() as connection:
        say(
            connection, asked, "approved", content_hash=asked.content_hash, why="", actor="cleo",
            expires_at=datetime.now(UTC) + timedelta(days=1),
        )  # fmt: skip
        later = datetime.now(UTC) + timedelta(hours=2)
    assert "only cleo approved it within" in advance(asked.id, later)


def test_without_an_experiment_production_wants_a_reason_and_staging_does_not() -> None:
    with transaction() as connection:
        set_environment(connection, Environment(name="staging"), "for the test", "ana")
    wish = Wish(feature="search", bundle=NEW)
    with pytest.raises(AssayError, match="no concluded experiment stands behind"):
        start(propose(wish), why="")
    asked = start(propose(Wish(feature="search", bundle=NEW, environment="staging")), why="")
    # Nothing was live, so there is nobody to compare a canary with.
    advance(asked.id)
    assert now_of(asked).status == "deployed"
    with transaction() as connection:
        assert [each.environment for each in list_deployments(connection)] == ["staging"]


def test_a_preview_without_a_run_of_both_bundles_says_which_run_would_tell_whose_verdict_changes() -> None:
    concluded()
    proposal = propose(Wish(experiment="shipping-v4"))
    assert proposal.cases is None
    assert proposal.replay == (
        'no run asked the same cases with both bundles; with `parameters: [{"temperature": 0.2}, {"temperature": 0}]` '
        "in a suite of the feature it is: "
        "assay run SUITE.yaml -m openai/gpt-4o-mini --prompt shipping@3.0.0 --prompt shipping@4.0.0"
    )


def test_a_run_of_both_bundles_names_the_cases_whose_verdict_changes(store: str) -> None:
    sets = [OLD["parameters"], NEW["parameters"]]
    run = a_run(3, suite=a_suite(models=["openai/gpt-4o-mini"], feature="chatbot", parameters=sets))
    with psycopg.connect(store) as raw:
        raw.execute("SET session_replication_role = replica")
        raw.execute("UPDATE runs SET status = 'completed', completed_at = now()")
        for position, (old, new) in enumerate([("pass", "fail"), ("fail", "pass"), ("pass", "pass")]):
            for variant, verdict in enumerate((old, new)):
                raw.execute(
                    "INSERT INTO verdicts (run_id, position, variant, verdict, reason, judged, passed, errors, "
                    "scorers) VALUES (%s, %s, %s, %s, '', 1, 0, 0, '{}')",
                    (run, position, variant, verdict),
                )
        [(prompt,)] = raw.execute(
            "SELECT DISTINCT concat_ws('@', spec -> 'prompt' ->> 'name', spec -> 'prompt' ->> 'version') FROM variants"
        ).fetchall()
    before, after = ({**each, "prompt": prompt} for each in (OLD, NEW))
    with transaction() as connection:
        deployed(connection, Bundle.read(before))
    proposal = propose(Wish(feature="chatbot", bundle=after))
    assert proposal.replay == ""
    assert proposal.cases is not None
    assert (proposal.cases.suite, proposal.cases.cases) == ("tested", 3)
    assert [(each.case_id, each.before, each.after) for each in proposal.cases.changed] == [
        ("c-0", "pass", "fail"),
        ("c-1", "fail", "pass"),
    ]
    assert (proposal.cases.broken, proposal.cases.mended) == (1, 1)
    elsewhere = propose(Wish(feature="chatbot", bundle={**after, "model": "openai/gpt-4o"}))
    assert "in suite tested it is: assay run SUITE.yaml -m openai/gpt-4o-mini -m openai/gpt-4o" in elsewhere.replay


def test_a_preview_says_what_would_change_and_writes_nothing(store: str) -> None:
    concluded()
    proposal = propose(Wish(experiment="shipping-v4"))
    assert proposal.before == Bundle.read(OLD)
    assert [(each.what, each.before, each.after) for each in proposal.differences] == [
        ("prompt", "shipping@3.0.0", "shipping@4.0.0"),
        ("parameters.temperature", 0.2, 0),
    ]
    with transaction() as connection:
        assert list_deployments(connection) == []
        assert find_experiment(connection, "shipping-v4").status == "completed"
