"""Selecting from a real store: from recorded answers and traffic to the flag that an application reads."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy.exc
from sqlalchemy import Connection, text

from evaluations.deployments import Bundle
from evaluations.errors import AssayError
from evaluations.models import UseCaseScore
from tasks.flags import publish_flags
from tasks.model_pages import publish_models
from tasks.rollups import roll_up_days
from tasks.selecting import SelectionRequest, look_again, select_for, withdraw
from tasks.settings import settings
from tasks.store.audit import entries
from tasks.store.database import transaction
from tasks.store.model_facts import ProviderProbe, record_probes
from tasks.store.models import add_scores
from tasks.store.selections import reconsidered
from tests.cli.commands import assay_here, rows
from tests.deployments import deployed
from tests.landed import a_request, land
from tests.recorded_models import finished, write_models
from tests.tasks.model_lists import use_map

RIGHT = {"large": 0.97, "middle": 0.96, "small": 0.70}
LATENCY = {"large": 500.0, "middle": 400.0, "small": 100.0}


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, store: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ASSAY_FLAGS", str(tmp_path / "flags"))
    monkeypatch.setenv("ASSAY_REPORTS", str(tmp_path / "reports"))
    settings.cache_clear()
    # A few dozen cases show of no model that it is as good as the best.
    settings().home.mkdir(exist_ok=True, parents=True)
    (settings().home / "selection.yaml").write_text("unsure: in\n")
    return tmp_path


def asked(**given: Any) -> SelectionRequest:
    return SelectionRequest(feature="colouring", environment="development", given=given)


def served(folder: Path, environment: str = "development") -> Any:
    document = json.loads((folder / "flags" / f"{environment}.json").read_text())
    flag = document["flags"].get("colouring")
    return None if flag is None else flag["variants"][flag["defaultVariant"]]


async def test_labelled_workloads_are_replayed_and_the_choice_is_published_and_withdrawn(folders: Path) -> None:
    await finished(write_models(folders / "colours", RIGHT, cases=200, latency_ms=LATENCY))
    labelled: list[tuple[dict[str, Any], str | None]] = [
        ({}, "replay/middle.jsonl"),
        ({"cost_sensitivity": "low"}, "replay/large.jsonl"),
        ({"accuracy": "basic", "cost_sensitivity": "high"}, "replay/small.jsonl"),
        ({"accuracy": "critical"}, None),
    ]
    for given, wanted in labelled:
        found = select_for(asked(**given)).selected
        assert (None if found.chosen is None else found.chosen.model) == wanted, found.sentence
        for each in found.considered:
            assert each.candidate.quality is not None
            assert each.candidate.quality.n == 200
    # A hundred thousand answers a month of $0.004 each: nothing was measured of the volume.
    first = select_for(asked()).selected
    assert first.chosen is not None
    assert first.chosen.month == pytest.approx(Decimal(400))
    assert served(folders) is None if (folders / "flags").exists() else True

    published = select_for(asked(), publish=True, why="a try")
    assert published.flags == folders / "flags" / "development.json"
    assert served(folders) == {"model": "replay/middle.jsonl"}
    with transaction() as connection:
        last = entries(connection, feature="colouring")[0]
    assert (last.action, last.why, last.facts["model"]) == ("selection published", "a try", "replay/middle.jsonl")
    with transaction() as connection, pytest.raises(sqlalchemy.exc.IntegrityError, match="rows are added"):
        connection.execute(text("UPDATE selections SET model = 'other'"))

    withdraw("colouring", "development", "enough")
    assert served(folders) is None
    with pytest.raises(AssayError, match="no selection of colouring is published in development"):
        withdraw("colouring", "development", "")


async def test_of_few_cases_the_best_is_chosen_unless_the_policy_takes_what_was_measured(folders: Path) -> None:
    await finished(write_models(folders / "colours", RIGHT, latency_ms=LATENCY))
    own = settings().home / "selection.yaml"
    assert select_for(asked()).selected.sentence.startswith("replay/middle.jsonl for colouring")
    own.unlink()
    found = select_for(asked()).selected
    assert found.sentence.startswith("replay/large.jsonl for colouring")
    (why,) = [each.why for each in found.considered if each.candidate.model == "replay/middle.jsonl"]
    assert "n is too small to be sure: up to" in why
    assert "3 may be given up (n = 60)" in why


async def test_a_selection_lies_on_the_live_bundle_until_something_is_deployed(folders: Path) -> None:
    await finished(write_models(folders / "colours", RIGHT))
    live("replay/large.jsonl", "colour@1.0.0")
    select_for(asked(), publish=True)
    assert served(folders) == {"prompt": "colour@1.0.0", "model": "replay/middle.jsonl", "parameters": {}}
    live("replay/small.jsonl", "colour@2.0.0")
    publish_flags("development")
    assert served(folders) == {"prompt": "colour@2.0.0", "model": "replay/small.jsonl", "parameters": {}}
    select_for(asked(), publish=True)
    assert served(folders) == {"prompt": "colour@2.0.0", "model": "replay/middle.jsonl", "parameters": {}}


async def test_where_approval_is_asked_only_a_bundle_that_was_live_may_be_selected(folders: Path) -> None:
    await finished(write_models(folders / "colours", RIGHT))
    with transaction() as connection:
        connection.execute(text("UPDATE environments SET approvals_required = 1 WHERE name = 'development'"))
    with pytest.raises(AssayError, match=r"development asks for approval, and replay/middle.jsonl was never live"):
        select_for(asked(), publish=True)
    for model in ("replay/middle.jsonl", "replay/large.jsonl"):
        live(model, "colour@1.0.0")
    assert select_for(asked(), publish=True).stored.published
    assert served(folders)["model"] == "replay/middle.jsonl"


def live(model: str, prompt: str) -> None:
    """A bundle goes live for everyone in development."""
    with transaction() as connection:
        deployed(connection, Bundle(prompt=prompt, model=model), feature="colouring", environment="development")


async def test_live_health_and_the_volume_come_from_traffic(folders: Path) -> None:
    await finished(write_models(folders / "colours", RIGHT, cases=200))
    with transaction() as connection:
        land(
            connection,
            [
                a_request(
                    at=datetime(2026, 5, 4, 12, tzinfo=UTC) + timedelta(days=n % 7, seconds=n),
                    feature="colouring",
                    provider="replay",
                    model="middle.jsonl",
                    status="error" if n % 4 == 0 else "success",
                    input_tokens=3000,
                )
                for n in range(210)
            ],
        )
    roll_up_days(None)
    found = select_for(asked()).selected
    why = {each.candidate.model: each.why for each in found.considered}
    assert why["replay/middle.jsonl"] == "25.2% errors in production (n = 210); at most 5.0% asked"
    assert found.chosen is not None
    assert found.chosen.model == "replay/large.jsonl"
    assert found.asked.complexity == "medium"
    assert "volume light: 913 requests a month" in found.because
    # 210 requests of seven days, at a cent each.
    assert found.chosen.month == pytest.approx(Decimal("9.13"), abs=Decimal("0.01"))


async def test_the_command_says_why_and_ends_with_a_code(folders: Path) -> None:
    await finished(write_models(folders / "colours", RIGHT))
    said = assay_here("select", "colouring", "--environment", "development")
    assert said.code == 0, said.err
    assert said.out.startswith("replay/middle.jsonl for colouring: the cheapest that is within 3 points of the best")
    none = assay_here("select", "colouring", "--environment", "development", "--max-month", "1", "--json")
    assert none.code == 1
    told = json.loads(none.out)
    assert told["model"] is None
    assert {each["checks"][2]["holds"] for each in told["considered"]} == {False}
    assert "noted" in assay_here("select", "colouring", "--history").out
    policy = folders / "policy.yaml"
    policy.write_text("candidates: {colouring: [replay/small.jsonl, a/unmeasured]}\naccuracy: high\n")
    for given, wanted in (
        (("colourin",), "no feature is named 'colourin'; did you mean 'colouring'?"),
        (("colouring", "--environment", "moon"), "moon"),
        (("colouring", "--need", "visions"), "no capability is named 'visions'; did you mean 'vision'?"),
        (("colouring", "--policy", str(policy)), "policy.yaml:2:1: unknown key 'accuracy'"),
        (("colouring", "--max-month", "1", "--publish", "--environment", "development"), "nothing to publish."),
        (("colouring", "--withdraw"), "no selection of colouring is published in production"),
    ):
        refused = assay_here("select", *given)
        assert (refused.code, wanted in refused.err) == (2, True), refused.err


async def test_a_bundle_whose_suite_failed_does_not_take_over(folders: Path) -> None:
    """A switch of a feature's model goes through the gates, whoever asks for it."""
    suite = write_models(folders / "colours", RIGHT)
    suite.write_text(suite.read_text().replace("pass_rate: 0,", "pass_rate: 0.999,"))
    await finished(suite)
    with transaction() as connection:
        deployed(
            connection,
            Bundle(prompt="plain@1.0.0", model="replay/large.jsonl"),
            feature="colouring",
            environment="development",
        )
    with pytest.raises(AssayError, match="may not take over colouring in development: suite colours"):
        select_for(asked(), publish=True)
    with transaction() as connection:
        assert latest_selection(connection) is None


def latest_selection(connection: Connection) -> str | None:
    return connection.execute(text("SELECT model FROM selections ORDER BY id DESC LIMIT 1")).scalar_one_or_none()


# By night


async def test_a_published_selection_is_looked_at_again_and_what_differs_is_noted_once(
    folders: Path, store: str
) -> None:
    assert look_again() == "No selection is published."
    await finished(write_models(folders / "colours", RIGHT))
    first = select_for(asked(), publish=True).stored
    assert look_again() == "colouring in development: still replay/middle.jsonl."
    # New answers to the cases: the published one fails half of them now.
    await finished(write_models(folders / "colours", {**RIGHT, "middle": 0.5}))
    for _ in range(2):
        assert look_again() == (
            "colouring in development: replay/large.jsonl would be chosen now, replay/middle.jsonl is published."
        )
    noted = rows(store, f"SELECT model, published FROM selections WHERE id > {first.id}")
    assert noted == [("replay/large.jsonl", False)]
    assert served(folders) == {"model": "replay/middle.jsonl"}
    page = publish_models().read_text()
    assert "colouring in development:" in page
    assert "its policy would now choose replay/large.jsonl" in page

    await finished(write_models(folders / "colours", RIGHT))
    assert look_again() == "colouring in development: still replay/middle.jsonl."
    with transaction() as connection:
        assert reconsidered(connection) == []


@pytest.mark.parametrize(
    ("environment", "approvals", "switched"),
    [("development", 0, True), ("development", 1, False), ("production", 0, False)],
)
async def test_only_an_automatic_policy_switches_by_itself_and_never_past_a_gate(
    folders: Path, environment: str, approvals: int, switched: bool
) -> None:
    (folders / "policy.yaml").write_text("automatic: true\nunsure: in\n")
    with transaction() as connection:
        connection.execute(text("UPDATE environments SET validated_only = false, approvals_required = 0"))
    await finished(write_models(folders / "colours", RIGHT))
    request = SelectionRequest(feature="colouring", environment=environment, policy=folders / "policy.yaml")
    select_for(request, publish=True)
    with transaction() as connection:
        connection.execute(text("UPDATE environments SET approvals_required = :n"), {"n": approvals})
    await finished(write_models(folders / "colours", {**RIGHT, "middle": 0.5}))
    told = look_again()
    assert ("was published instead of replay/middle.jsonl" in told) is switched
    assert served(folders, environment)["model"] == ("replay/large.jsonl" if switched else "replay/middle.jsonl")
    if switched:
        with transaction() as connection:
            last = entries(connection, feature="colouring")[0]
        assert (last.action, last.facts["model"]) == ("selection published", "replay/large.jsonl")
        assert look_again() == "colouring in development: still replay/large.jsonl."


async def test_a_policy_file_that_is_gone_is_told_and_changes_nothing(folders: Path) -> None:
    (folders / "policy.yaml").write_text("name: careful\nunsure: in\n")
    await finished(write_models(folders / "colours", RIGHT))
    select_for(replace(asked(), policy=folders / "policy.yaml"), publish=True)
    (folders / "policy.yaml").unlink()
    with pytest.raises(AssayError, match=r"colouring in development: there is no selection policy .*policy\.yaml"):
        look_again()
    assert served(folders)["model"] == "replay/middle.jsonl"


# With the registry

GPT, HAIKU = "openai/gpt-4o-2024-11-20", "anthropic/claude-haiku-4-5"


async def test_the_registrys_checks_probes_and_measured_use_cases_decide_who_may_be_chosen(
    folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    use_map(folders, monkeypatch)
    assert assay_here("models", "sync", "--offline").code == 0
    suite = write_models(folders / "colours", {"large": 0.97, "middle": 0.96})
    named = suite.read_text().replace("{name: large", f"{{name: {GPT}").replace("{name: middle", f"{{name: {HAIKU}")
    suite.write_text(named)
    await finished(suite)
    with transaction() as connection:
        measured = UseCaseScore(use_case="support", score=95, low=92, high=97, n=300, origin="measured",
                                as_of=date(2026, 6, 1), source="benchmark tried, run 1")  # fmt: skip
        add_scores(connection, [(GPT, measured), (HAIKU, replace(measured, score=60, low=55, high=65))], "test")

    free = asked()
    assert select_for(free).selected.sentence.startswith(f"{HAIKU} for colouring")
    assert select_for(asked(use_case="support")).selected.sentence.startswith(f"{GPT} for colouring")
    with pytest.raises(AssayError, match="no use case is named 'suport'; did you mean 'support'"):
        select_for(asked(use_case="suport"))
    compared = assay_here("compare", GPT, HAIKU, "--use-case", "support", "--json")
    assert compared.code == 0, compared.err

    now = datetime.now(UTC)
    down = ProviderProbe(provider="anthropic", how="listing", at=now, error="timeout", why="no answer", latency_ms=None)
    with transaction() as connection:
        record_probes(connection, [replace(down, at=now - timedelta(minutes=n)) for n in range(1, 4)], "test")
    found = select_for(free).selected
    assert found.sentence.startswith(f"{GPT} for colouring")
    assert "circuit open" in next(each.why for each in found.considered if each.candidate.model == HAIKU)

    production = replace(free, environment="production")
    refused = select_for(production).selected
    assert refused.chosen is None
    for each in refused.considered:
        (check,) = [check for check in each.checks if check.name == "validated"]
        assert (check.holds, "key: a key of" in check.said) == (False, True)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-0123456789")
    assert select_for(production).selected.sentence.startswith(f"{GPT} for colouring")
    with pytest.raises(AssayError, match="production asks for approval"):
        select_for(production, publish=True)
    with transaction() as connection:
        connection.execute(text("UPDATE environments SET approvals_required = 0"))
    with pytest.raises(AssayError, match="nothing of colouring is live in production"):
        select_for(production, publish=True)
