"""What a model's configuration bounds holds in a run; the configurations that runs brought are listed."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from evaluations.errors import AssayError
from tasks.planning import RunRequest, plan_run
from tasks.price_sync import seed_prices
from tasks.settings import settings
from tasks.store.database import transaction
from tasks.working import work_on
from tests.builders import a_run, a_suite
from tests.cli.commands import a_suite_file, assay_here, rows
from tests.tasks.model_lists import use_map
from tests.tasks.providers.builders import a_server

GPT = "openai/gpt-4o-2024-11-20"


@pytest.fixture(autouse=True)
def small_map(store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOUSE_KEY", "k-0123456789")
    settings.cache_clear()
    use_map(tmp_path, monkeypatch)


def configured(url: str, **given: Any) -> dict[str, Any]:
    return {
        "name": "gpt",
        "model": GPT,
        "api_base": url,
        "api_key_env": "HOUSE_KEY",
        "transport": "direct",
        **given,
    }


async def test_calls_beyond_the_limit_are_errors_that_cost_nothing_and_no_zeros(store: str) -> None:
    with transaction() as connection:
        seed_prices(connection)
    async with a_server() as server:
        suite = a_suite(models=[configured(server.url, max_cost_a_call="0.0000001")])
        # A cap that a single reservation of such a call would go beyond.
        run_id = a_run(suite=suite, cap=Decimal("0.000001"))
        await work_on(run_id)
        assert not server.received
    assert rows(store, "SELECT error_type, count(*), sum(cost) FROM answers GROUP BY 1") == [("budget", 4, Decimal(0))]
    assert rows(store, "SELECT reserved, spent, at_risk FROM run_budgets") == [(0, 0, 0)]
    assert rows(store, "SELECT DISTINCT verdict FROM verdicts") == [("error",)]
    assert rows(store, "SELECT count(*) FROM scores WHERE value IS NOT NULL") == [(0,)]


async def test_a_model_that_reuses_no_answers_is_asked_anew(store: str) -> None:
    async with a_server() as server:
        for given, calls in (({}, 4), ({}, 4), ({"reuse_answers": False}, 8)):
            await work_on(a_run(suite=a_suite(models=[configured(server.url, **given)]), use_cache=True))
            assert sum(server.received.values()) == calls
    assert rows(store, "SELECT count(*) FILTER (WHERE from_cache), count(*) FROM answers") == [(4, 12)]


def test_a_limit_that_cannot_be_kept_is_refused_before_anything_is_called(tmp_path: Path) -> None:
    unpriced = configured("http://127.0.0.1:9", model="openai/nobody-prices-it", max_cost_a_call=0.01)
    suite = a_suite_file(tmp_path / "s", models=[unpriced])
    with pytest.raises(AssayError, match="a cost limit cannot be kept for gpt: no price is known"):
        plan_run(RunRequest(suite=str(suite)))
    plan_run(RunRequest(suite=str(suite), allow_unpriced=True))


def test_configurations_are_listed_with_their_runs_and_shown_as_a_suite_writes_them(tmp_path: Path) -> None:
    for limit in ("0.01", "0.02", "0.02"):
        a_run(suite=a_suite(models=[configured("http://127.0.0.1:9", max_cost_a_call=limit, retries=2)]))
    found = json.loads(assay_here("models", "configs", "--json").out)
    assert [(each["max_cost_a_call"], each["retries"], each["runs"]) for each in found] == [
        ("0.02", 2, 2),
        ("0.01", 2, 1),
    ]
    assert "reuse_answers" not in assay_here("models", "configs").out
    shown = assay_here("models", "configs", found[1]["id"][:8]).out
    file = tmp_path / "config.yaml"
    file.write_text(shown)
    checked = assay_here("models", "validate", str(file), "--json")
    assert checked.code in (0, 1), checked.err
    assert json.loads(checked.out)[0]["model"] == GPT
    unknown = assay_here("models", "configs", "nobody")
    assert (unknown.code, "`assay models configs` lists" in unknown.err) == (2, True)


@pytest.mark.parametrize(
    ("given", "said"),
    [({"retries": -1}, "retries"), ({"max_cost_a_call": "lots"}, "max_cost_a_call"), ({"retries": 1.5}, "retries")],
)
def test_settings_that_cannot_be_used_are_named(tmp_path: Path, given: dict[str, Any], said: str) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"model": GPT, **given}))
    told = assay_here("models", "validate", str(file))
    assert told.code == 2
    assert said in told.err
