"""Probing over real HTTP: listings in every vendor's manner, and capabilities as a run in the ledger."""

import asyncio
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from aiohttp import web

from evaluations.errors import AssayError
from evaluations.models import UnknownCapability, UnknownModel
from evaluations.probing import CODE
from tasks.model_probing import (
    Probed,
    ProbeRequest,
    check_request,
    compare_listings,
    look_at_listings,
    probe,
    reachable_providers,
)
from tasks.models import known, provider_healths, registry
from tasks.providers.base import CallError
from tasks.providers.listing import listed
from tasks.settings import settings
from tasks.store.database import transaction
from tasks.store.models import activities, find_model
from tasks.store.stranded import open_runs
from tests.fakes.openai_server import Behaviour, FakeOpenAI
from tests.tasks.model_lists import use_map

GPT = "openai/gpt-4o-2024-11-20"
KEY = "sk-test-0123456789abcdef"


class Capable(FakeOpenAI):
    """A vendor whose model can do everything but keep to a schema, and that refuses tools as a parameter."""

    async def _chat(self, request: web.BaseRequest) -> web.StreamResponse:
        body = json.loads(await request.read())
        asked = json.dumps(body["messages"])
        self.bodies_seen.append(await request.read())
        if "tools" in body:
            call = {"type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'}}
            return web.json_response(self._reply(None, tool_calls=[call], finish="tool_calls"))
        kind = body.get("response_format", {}).get("type")
        text = "ok"
        if kind == "json_object":
            text = '{"city": "Paris", "country": "France"}'
        elif kind == "json_schema":
            text = '{"town": "Paris"}'
        elif "image_url" in asked:
            text = "Red"
        elif CODE in asked:
            text = CODE
        elif "pipe bomb" in asked:
            text = "I'm sorry, but I can't help with that."
        return web.json_response(self._reply(text))

    def _reply(self, text: str | None, *, tool_calls: Any = None, finish: str = "stop") -> dict[str, Any]:
        message = {"role": "assistant", "content": text} | ({"tool_calls": tool_calls} if tool_calls else {})
        return {
            "id": "1",
            "object": "chat.completion",
            "created": 1,
            "model": GPT.partition("/")[2],
            "choices": [{"index": 0, "finish_reason": finish, "message": message}],
            "usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110},
        }


@pytest.fixture(autouse=True)
def small_map(store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("ANTHROPIC_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY", "GROQ_API_KEY", "CUSTOM_API_BASE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    settings.cache_clear()
    use_map(tmp_path, monkeypatch)
    yield
    settings.cache_clear()


def probed(server: FakeOpenAI, request: ProbeRequest, monkeypatch: pytest.MonkeyPatch) -> Probed:
    async def run() -> Probed:
        monkeypatch.setenv("OPENAI_BASE_URL", await server.start())
        try:
            return await probe(request)
        finally:
            await server.close()

    return asyncio.run(run())


@pytest.mark.parametrize("manner", ["openai", "anthropic", "gemini"])
def test_a_listing_is_read_in_every_vendors_manner_and_page_by_page(manner: Any) -> None:
    async def ask() -> tuple[str, ...]:
        server = FakeOpenAI(Behaviour(listed_models="a,b,c,d,e", required_key="right-key"))
        url = await server.start()
        try:
            found = await listed(manner, url, "right-key", 5)
            with pytest.raises(CallError, match="Incorrect API key") as refused:
                await listed(manner, url, "wrong-key", 5)
            assert refused.value.kind == "auth"
        finally:
            await server.close()
        with pytest.raises(CallError) as gone:
            await listed(manner, url, "right-key", 5)
        assert gone.value.kind == "connection"
        return found.models

    assert asyncio.run(ask()) == ("a", "b", "c", "d", "e")


def test_capabilities_are_tested_by_a_run_in_the_ledger_and_the_results_override_the_catalogue(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Capable(Behaviour(listed_models="gpt-4o-2024-11-20"))
    found = probed(server, ProbeRequest(models=(GPT,), max_cost=Decimal(5)), monkeypatch)
    assert found.left_out == ()
    seen = {name: held for name, (held, _) in found.tested[GPT].items()}
    assert seen == {
        "text_generation": True, "json_mode": True, "json_schema": False, "tools": True, "vision": True,
        "long_context": True, "determinism": True, "refusal": True,
    }  # fmt: skip
    with transaction() as connection:
        model = find_model(connection, GPT)
        [whole] = known(connection, [model])
        assert open_runs(connection) == []
    assert model.can("json_schema") is False
    assert model.capability("json_schema").contradicts
    assert str(found.run_id) == model.capability("vision").tested.run_id  # type: ignore[union-attr]
    assert whole.health is not None
    assert (whole.health.availability, whole.health.circuit.state) == ("available", "closed")
    with psycopg.connect(store) as connection:
        kind, status, cells, verdict = connection.execute("SELECT kind, status, cells, verdict FROM runs").fetchone()  # type: ignore[misc]
        [calls] = connection.execute("SELECT count(*) FROM calls").fetchone()  # type: ignore[misc]
        [answers] = connection.execute("SELECT count(*) FROM answers").fetchone()  # type: ignore[misc]
        [spent] = connection.execute("SELECT spent FROM run_budgets").fetchone()  # type: ignore[misc]
        text = " ".join(map(str, connection.execute("SELECT * FROM runs, provider_probes").fetchall()))
    assert (kind, status, verdict, cells, calls, answers) == ("probe", "completed", "pass", 16, 16, 16)
    # Every call used 100 prompt tokens at $2.50 and 10 reply tokens at $10 a million.
    assert spent == found.spent == 16 * (100 * Decimal("2.5") + 10 * Decimal(10)) / 1_000_000
    assert KEY not in text
    assert len(server.bodies_seen) == 16


def test_a_limit_stops_the_calls_and_leaves_the_rest_untested(monkeypatch: pytest.MonkeyPatch) -> None:
    found = probed(Capable(), ProbeRequest(models=(GPT,), max_cost=Decimal("0.000001")), monkeypatch)
    assert {held for held, _ in found.tested[GPT].values()} == {None}
    with transaction() as connection:
        assert find_model(connection, GPT).capability("vision").tested is None


def test_listings_are_compared_with_the_registry_and_leave_activities(monkeypatch: pytest.MonkeyPatch) -> None:
    async def look(names: str) -> Any:
        server = FakeOpenAI(Behaviour(listed_models=names, required_key=KEY))
        monkeypatch.setenv("OPENAI_BASE_URL", await server.start())
        try:
            return await look_at_listings(reachable_providers(()))
        finally:
            await server.close()

    first = asyncio.run(look("gpt-4o-2024-11-20,gpt-4o,gpt-9-secret"))
    assert [each.probe.provider for each in first] == ["openai"]
    assert compare_listings(first, write=False) == [("listed", "openai/gpt-9-secret")]
    assert compare_listings(first, write=True) == [("listed", "openai/gpt-9-secret")]
    compare_listings(first, write=True)
    second = asyncio.run(look("gpt-4o"))
    assert compare_listings(second, write=True) == [("unlisted", GPT)]
    assert compare_listings(second, write=True) == []
    with transaction() as connection:
        told = [(each.kind, each.subject) for each in activities(connection)]
        health = provider_healths(connection, ["openai"])["openai"]
    assert told == [("unlisted", GPT), ("listed", "openai/gpt-9-secret"), ("seeded", "registry")]
    assert health.uptime is not None
    assert (health.uptime.value, health.uptime.n) == (1.0, 2)


def test_a_provider_that_is_down_is_told_and_counts_against_its_uptime(monkeypatch: pytest.MonkeyPatch) -> None:
    found = probed(
        FakeOpenAI(Behaviour(server_error=1.0)), ProbeRequest(providers=("openai",), tests=False), monkeypatch
    )
    assert "0 of 1 provider answered; openai: HTTP 500" in str(found)
    with transaction() as connection:
        health = provider_healths(connection, ["openai"])["openai"]
    assert health.availability == "unavailable"
    assert health.uptime is not None
    assert health.uptime.value == 0.0


def test_what_cannot_be_probed_is_refused_before_anything_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with transaction() as connection:
        registry(connection)
    for request, error, said in (
        (ProbeRequest(models=("openai/gpt-4p",)), UnknownModel, "did you mean 'openai/gpt-4o'"),
        (ProbeRequest(models=(GPT,), capabilities=("visoin",)), UnknownCapability, "did you mean 'vision'"),
        (ProbeRequest(models=(GPT,), capabilities=("web_search",)), AssayError, "no probe tests web_search"),
        (ProbeRequest(models=("anthropic/claude-haiku-4-5",)), AssayError, "set ANTHROPIC_API_KEY"),
        (ProbeRequest(models=("openai/gpt-4o-2024-05-13",)), AssayError, "is retired"),
        (ProbeRequest(providers=("antropic",)), AssayError, "did you mean 'anthropic'"),
        (ProbeRequest(providers=("vertex_ai",)), AssayError, "has no listing"),
        (ProbeRequest(providers=("groq",)), AssayError, "set GROQ_API_KEY"),
    ):
        with pytest.raises(error, match=said):
            check_request(request)
