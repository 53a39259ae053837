"""The registry in a real store: seeding, syncing, what is in use, checks against measured traffic, the page."""

import csv
import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest

from evaluations.errors import AssayError
from evaluations.model_validation import Configuration
from evaluations.models import Environment, UnknownModel, UseCaseScore
from tasks.model_pages import publish_models
from tasks.model_syncing import sync_models
from tasks.models import check_model, models_in_use, registry
from tasks.rollups import roll_up_days
from tasks.settings import settings
from tasks.store import models as store_of_models
from tasks.store.database import transaction
from tasks.store.model_facts import ProviderProbe, record_probes, traffic_of
from tests.landed import a_request, land
from tests.tasks.model_lists import ENTRIES, use_map

GPT = "openai/gpt-4o-2024-11-20"
LAST = date(2026, 5, 31)


@pytest.fixture(autouse=True)
def small_map(store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY", "GROQ_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ASSAY_REPORTS", str(tmp_path / "reports"))
    settings.cache_clear()
    use_map(tmp_path, monkeypatch)


def traffic() -> None:
    """Ten days of a chatbot on a pinned version, and of a model that nobody knows."""
    rows = [
        a_request(
            at=datetime(2026, 5, 22 + day, 9, minute, tzinfo=UTC),
            provider="openai",
            model="gpt-4o-2024-11-20",
            environment="production",
            input_tokens=1_000 + 100 * day,
            output_tokens=200,
            status="error" if minute == 5 and day == 3 else "success",
            latency_ms=400.0 + 10 * minute,
        )
        for day in range(10)
        for minute in range(0, 40, 5)
    ]
    rows += [a_request(at=datetime(2026, 5, 30, 9, n, tzinfo=UTC), provider="in-house", model="tagger-2",
                       feature="tags", cost=None) for n in range(3)]  # fmt: skip
    with transaction() as connection:
        land(connection, rows)
    roll_up_days(None)


def test_a_first_reader_takes_the_catalogues_over_once_and_a_sync_finds_nothing_more() -> None:
    with transaction() as connection:
        found = registry(connection)
        assert found[GPT].limits.context_tokens == 128_000
        assert found["openai/gpt-4o"].alias
        assert found["gemini/gemini-1.5-pro"].successor == "gemini/gemini-2.5-pro"
    assert sync_models(write=False).changes == []
    with transaction() as connection:
        assert [each.kind for each in store_of_models.activities(connection)] == ["seeded"]


def test_a_sync_says_what_came_went_and_changed_and_leaves_an_activity_for_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync_models(write=True)
    entries = {name: dict(entry) for name, entry in ENTRIES.items() if name != "text-embedding-3-small"}
    entries["gpt-4o-2024-11-20"]["deprecation_date"] = str(datetime.now(UTC).date() + timedelta(days=40))
    entries["gpt-4o-2024-11-20"]["supports_vision"] = False
    entries["gpt-4o-2024-11-20"]["input_cost_per_token"] = 3e-06
    entries["gpt-5-new"] = {"litellm_provider": "openai", "mode": "chat"}
    use_map(tmp_path, monkeypatch, entries)

    planned = sync_models(write=False)
    kinds = {(change.name, kind) for change in planned.changes for kind, *_ in change.activities}
    assert kinds == {
        ("openai/gpt-5-new", "added"),
        ("openai/text-embedding-3-small", "removed"),
        (GPT, "changed"),
        (GPT, "deprecated"),
    }
    assert planned.price_lines == (f"{GPT} input: 0.000002500000 a token -> 0.000003000000 a token",)
    with transaction() as connection:
        assert "openai/gpt-5-new" not in registry(connection)

    sync_models(write=True)
    with transaction() as connection:
        found = registry(connection)
        told = {(each.subject, each.kind) for each in store_of_models.activities(connection)}
    today = datetime.now(UTC).date()
    assert found["openai/text-embedding-3-small"].life_cycle(today) == "retired"
    assert found[GPT].life_cycle(today) == "deprecated"
    assert found[GPT].can("vision") is False
    assert told == {*kinds, ("registry", "seeded"), (GPT, "price changed")}
    assert sync_models(write=True).changes == []

    use_map(tmp_path, monkeypatch)
    returned = sync_models(write=True)
    assert ("openai/text-embedding-3-small", "returned") in {
        (change.name, kind) for change in returned.changes for kind, *_ in change.activities
    }
    with transaction() as connection:
        assert registry(connection)["openai/text-embedding-3-small"].life_cycle(today) == "available"


def test_tests_and_measured_scores_survive_a_sync_and_go_before_the_catalogue() -> None:
    at = datetime.now(UTC)
    with transaction() as connection:
        registry(connection)
        store_of_models.add_tests(
            connection, GPT, {"json_schema": (False, "broke it"), "tools": (None, "timeout")}, at, None, "t"
        )
        measured = UseCaseScore(use_case="triage", score=71, origin="measured", n=412, as_of=LAST, source="run 1")
        store_of_models.add_scores(connection, [(GPT, measured)], "t")
    sync_models(write=True)
    with transaction() as connection:
        found = store_of_models.find_model(connection, GPT)
    assert found.can("json_schema") is False
    assert found.capability("json_schema").contradicts
    assert found.capability("tools").tested is None
    assert found.can("tools") is True
    assert found.use_case("triage") == measured


def test_a_name_that_is_wrong_is_told_with_the_nearest() -> None:
    with transaction() as connection:
        registry(connection)
        with pytest.raises(UnknownModel, match="did you mean 'openai/gpt-4o"):
            store_of_models.find_model(connection, "openai/gpt-4oo")


def test_the_traffic_of_a_feature_is_that_of_its_requests(store: str) -> None:
    traffic()
    with transaction() as connection:
        found = traffic_of(connection, "chatbot")
        assert traffic_of(connection, "nobody") is None
        assert set(models_in_use(connection)) == {GPT}
    assert found is not None
    with psycopg.connect(store) as connection:
        requests, prompts, replies, longest = connection.execute(
            "SELECT count(*), sum(input_tokens), sum(output_tokens), max(input_tokens) FROM requests "
            "WHERE feature = 'chatbot'"
        ).fetchone()  # type: ignore[misc]
    assert found.requests == requests == 80
    assert sum(each.tokens.get("input", 0) for each in found.days) == prompts
    assert sum(each.tokens.get("output", 0) for each in found.days) == replies
    assert (found.longest_prompt_tokens, found.peak_requests_per_minute) == (longest, 1)
    assert found.peak_tokens_per_minute == 1_900 + 200


def test_a_configuration_is_checked_against_measured_traffic_prices_and_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    traffic()
    with transaction() as connection:
        registry(connection)
        tight = Environment(name="production", allowed_providers=("openai",), monthly_cost_limit=Decimal("1.10"))
        store_of_models.set_environment(connection, tight, "a test", "t")
        wanted = Configuration(model=GPT, parameters={"temperature": 0.1})
        found = check_model(connection, wanted, environment="production", feature="chatbot")
    # 8 requests a day of 1,000 to 1,900 prompt tokens at $2.50 and 200 reply tokens at $10 a million.
    day = sum(8 * ((1_000 + 100 * n) * 2.5 + 200 * 10) / 1e6 for n in range(10)) / 10
    assert found.monthly_cost is not None
    assert float(found.monthly_cost.month or 0) == pytest.approx(day * 365.25 / 12, rel=2e-3)
    assert {each.name for each in found.of("failed")} == {"key", "monthly cost"}
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-1234567890")
    with transaction() as connection:
        again = check_model(connection, wanted, environment="staging", feature="chatbot")
        with pytest.raises(AssayError, match="has no traffic"):
            check_model(connection, wanted, feature="nobody")
        with pytest.raises(AssayError, match="did you mean 'production'"):
            check_model(connection, wanted, environment="productoin")
    assert again.of("failed") == ()
    assert "sk-test" not in str(again)


def test_an_environment_keeps_what_is_not_said_and_every_change_is_on_record() -> None:
    with transaction() as connection:
        assert [each.name for each in store_of_models.environments(connection)] == [
            "development",
            "staging",
            "production",
        ]
        before = store_of_models.environment_named(connection, "production")
        assert (before.validated_only, before.approvals_required, before.allowed_providers) == (True, 1, None)
        store_of_models.set_environment(connection, Environment(name="eu", allowed_providers=()), "new", "t")
        assert store_of_models.environments(connection)[-1].allowed_providers == ()
        [change] = store_of_models.activities(connection, "eu")
    assert (change.kind, change.before, change.why) == ("environment set", None, "new")


def test_the_page_says_what_an_independent_query_says(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    traffic()
    at = datetime.now(UTC)
    probes = [
        ProviderProbe(
            provider="openai",
            how="listing",
            at=at - timedelta(minutes=15 * n),
            error="timeout" if n == 7 else None,
            why="",
            latency_ms=None if n == 7 else 120.0,
        )
        for n in range(20)
    ]
    with transaction() as connection:
        registry(connection)
        record_probes(connection, probes, "t")
    page = publish_models()
    told = json.loads(page.with_suffix(".json").read_text())
    [used] = told["in_use"]
    with psycopg.connect(store) as connection:
        row = connection.execute("""
            SELECT count(*), count(*) FILTER (WHERE status = 'error'), sum(cost) FROM requests
            WHERE model = 'gpt-4o-2024-11-20'
        """).fetchone()
        median = connection.execute(
            "SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY latency_ms) FROM requests WHERE provider = 'openai'"
        ).fetchone()
    assert row is not None
    assert median is not None
    assert (used["use"]["requests"], used["use"]["errors"], Decimal(used["use"]["cost_usd"])) == row
    assert used["use"]["latency_p50_ms"]["value"] == pytest.approx(float(median[0]), rel=0.01)
    assert used["features"][0]["environment"] == "production"
    assert Decimal(used["prices_usd_per_token"]["input"][0]["usd"]) == Decimal("0.0000025")
    assert [(each["model"], each["requests"], each["unpriced"]) for each in told["unregistered"]] == [
        ("tagger-2", 3, 3)
    ]
    [openai] = [each for each in told["providers"] if each["provider"] == "openai"]
    assert openai["uptime"]["value"] == pytest.approx(19 / 20)
    assert openai["uptime"]["n"] == 20
    assert openai["response_ms"] == 120.0
    html = page.read_text()
    assert "95% of 20 probes" in html or "95.0% of 20 probes" in html
    with page.with_suffix(".csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    with transaction() as connection:
        assert {each["model"] for each in rows} == set(registry(connection))
