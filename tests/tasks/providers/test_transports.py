"""LiteLLM and the direct transport over real HTTP: the same answers, the same counts, the same errors."""

import json
from typing import Any

import pytest

from evaluations.answers import Usage
from evaluations.errors import AssayError
from tasks.providers import check_model, provider_of
from tasks.providers.base import CallError, Reply, Workspace
from tests.tasks.providers.builders import a_call, a_server, a_target, run

TRANSPORTS = ("litellm", "direct")


async def ask(transport: str, *, call: Any = None, target: Any = None, **behaviour: Any) -> Reply:
    async with a_server(**behaviour) as server:
        settings = {"api_base": server.url, "transport": transport, "timeout_s": 1.0} | (target or {})
        provider = provider_of(a_target(**settings), Workspace())
        try:
            return await provider.complete(call or a_call())
        finally:
            await provider.close()


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_an_answer_keeps_its_text_counts_and_names(transport: str) -> None:
    reply = run(ask(transport, text="Paris — «ok»", cached_tokens=3, reasoning_tokens=5, wrong_model=1.0))
    assert (reply.text, reply.finish_reason, reply.usage_known) == ("Paris — «ok»", "stop", True)
    assert (reply.usage.cached_tokens, reply.usage.output_tokens, reply.usage.reasoning_tokens) == (3, 7, 5)
    assert reply.usage.input_tokens > 0
    assert reply.model_returned == "gpt-4o-mini-other"
    assert reply.latency_ms is not None
    assert reply.raw is not None
    assert json.dumps(reply.raw["usage"])


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_missing_usage_is_unknown_and_not_zero(transport: str) -> None:
    assert run(ask(transport, usage=False)).usage_known is False


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(
    ("behaviour", "kind", "retryable"),
    [
        ({"rate_limited": 1.0}, "rate_limited", True),
        ({"server_error": 1.0}, "server_error", True),
        ({"malformed": 1.0}, "bad_reply", True),
        ({"truncated": 1.0}, "bad_reply", True),
        ({"hang": 1.0}, "timeout", True),
        ({"required_key": "right"}, "auth", False),
        ({"known_models": "other"}, "unknown_model", False),
        ({"max_prompt_chars": 10}, "context_length", False),
        ({"finish_reason": "length", "text": ""}, "bad_reply", False),
        ({"finish_reason": "content_filter"}, "content_filter", False),
    ],
)
def test_each_way_to_fail_has_its_type(transport: str, behaviour: dict[str, Any], kind: str, retryable: bool) -> None:
    with pytest.raises(CallError) as caught:
        run(ask(transport, **behaviour))
    assert (caught.value.kind, caught.value.retryable) == (kind, retryable)
    assert caught.value.message


# Answers in pieces

STREAMING = {"stream": True}


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_streamed_answer_is_the_whole_one_in_text_counts_and_names(transport: str) -> None:
    said = {"text": "Paris — «ok»", "cached_tokens": 3, "reasoning_tokens": 5, "wrong_model": 1.0}
    call = a_call(parameters={"temperature": 0})
    whole, streamed = (run(ask(transport, call=call, target=target, **said)) for target in ({}, STREAMING))
    assert (streamed.usage.cached_tokens, streamed.usage.output_tokens, streamed.usage.reasoning_tokens) == (3, 7, 5)
    names = ("text", "usage", "usage_known", "model_returned", "finish_reason")
    assert [getattr(streamed, name) for name in names] == [getattr(whole, name) for name in names]
    assert whole.first_token_ms is None
    assert streamed.raw is not None
    assert json.dumps(streamed.raw["usage"])


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_the_first_token_is_the_first_text_and_the_latency_is_the_last_piece(transport: str) -> None:
    reply = run(ask(transport, target={**STREAMING, "timeout_s": 30.0}, latency_ms=30, piece_ms=30))
    assert reply.first_token_ms is not None
    assert reply.latency_ms is not None
    # The role comes at 30 ms, the text at 60 and 90, its end at 120, its counts at 150.
    assert 60 <= reply.first_token_ms < reply.latency_ms
    assert reply.latency_ms >= 150


def test_a_whole_answer_to_a_request_for_pieces_is_taken_and_has_no_first_token() -> None:
    reply = run(ask("direct", target=STREAMING, streams=False))
    assert (reply.text, reply.usage_known, reply.first_token_ms) == ("ok", True, None)


def test_an_endpoint_that_litellm_gets_no_stream_from_is_an_error_and_no_empty_answer() -> None:
    with pytest.raises(CallError, match="`stream: false`"):
        run(ask("litellm", target=STREAMING, streams=False))


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_stream_without_counts_has_unknown_usage(transport: str) -> None:
    assert run(ask(transport, target=STREAMING, usage=False)).usage_known is False


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(
    ("behaviour", "kind", "retryable"),
    [
        ({"rate_limited": 1.0}, "rate_limited", True),
        ({"server_error": 1.0}, "server_error", True),
        ({"truncated": 1.0}, "bad_reply", True),
        ({"hang": 1.0}, "timeout", True),
        ({"piece_ms": 60_000}, "timeout", True),
        ({"required_key": "right"}, "auth", False),
        ({"finish_reason": "length", "text": ""}, "bad_reply", False),
        ({"finish_reason": "content_filter"}, "content_filter", False),
    ],
)
def test_a_stream_fails_in_the_same_ways(transport: str, behaviour: dict[str, Any], kind: str, retryable: bool) -> None:
    with pytest.raises(CallError) as caught:
        run(ask(transport, target=STREAMING, **behaviour))
    assert (caught.value.kind, caught.value.retryable) == (kind, retryable)
    assert caught.value.message


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_an_answer_that_was_billed_but_is_empty_keeps_its_usage(transport: str) -> None:
    with pytest.raises(CallError, match="max_output_tokens") as caught:
        run(ask(transport, finish_reason="length", text="", reasoning_tokens=50))
    assert caught.value.usage is not None
    assert caught.value.usage.reasoning_tokens == 50


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_short_answer_that_hit_the_limit_is_still_an_answer(transport: str) -> None:
    assert run(ask(transport, finish_reason="length", text="Par")).finish_reason == "length"


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_no_server_is_a_connection_error(transport: str) -> None:
    with pytest.raises(CallError) as caught:
        run(ask(transport, target={"api_base": "http://127.0.0.1:9/v1"}))
    assert (caught.value.kind, caught.value.retryable) == ("connection", True)


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(
    ("header", "low", "high"),
    [("3", 3, 3), ("0.5", 0.5, 0.5), ("Wed, 21 Oct 2015 07:28:00 GMT", 0, 0), ("soon", None, None)],
)
def test_retry_after_is_read_as_seconds_or_date(
    transport: str, header: str, low: float | None, high: float | None
) -> None:
    with pytest.raises(CallError) as caught:
        run(ask(transport, rate_limited=1.0, retry_after=header))
    wait = caught.value.retry_after_s
    assert wait == low if wait is None or low is None or high is None else low <= wait <= high


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_what_is_sent_is_what_was_declared(transport: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "sk-secret-123456")
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False}

    async def work() -> tuple[dict[str, Any], str]:
        async with a_server(required_key="sk-secret-123456") as server:
            server.keep_requests = True
            target = a_target(
                api_base=server.url,
                transport=transport,
                api_key_env="MY_KEY",
                parameters={"temperature": 0.5, "top_p": 0.9},
                max_output_tokens=77,
            )
            provider = provider_of(target, Workspace())
            await provider.complete(a_call(parameters={"temperature": 0.0}, output_schema=schema))
            await provider.close()
            return json.loads(server.bodies_seen[0]), server.url

    body, _ = run(work())
    assert (body["model"], body["temperature"], body["top_p"], body["max_tokens"]) == (
        "gpt-4o-mini",
        0.0,
        0.9,
        77,
    )
    assert body["response_format"]["json_schema"] == {"name": "answer", "schema": schema, "strict": True}
    assert body["messages"][0]["role"] == "user"


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_the_usual_key_is_not_sent_to_an_address_of_ones_own(transport: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-the-real-one-123")

    async def work() -> list[dict[str, str]]:
        async with a_server() as server:
            server.keep_requests = True
            provider = provider_of(a_target(api_base=server.url, transport=transport), Workspace())
            await provider.complete(a_call())
            await provider.close()
            return server.headers_seen

    assert not any("sk-the-real-one" in value for headers in run(work()) for value in headers.values())


def test_anthropic_counts_become_disjoint() -> None:
    from tasks.providers.litellm_provider import litellm_module
    from tasks.providers.replies import usage_of

    litellm_module()
    from litellm.llms.anthropic.chat.transformation import AnthropicConfig

    reported = {
        "input_tokens": 20,
        "cache_creation_input_tokens": 300,
        "cache_read_input_tokens": 4000,
        "output_tokens": 50,
    }
    usage, known = usage_of(AnthropicConfig().calculate_usage(usage_object=reported, reasoning_content=None))
    assert known
    assert usage == Usage(input_tokens=20, cached_tokens=4000, cache_write_tokens=300, output_tokens=50)


# Before a run


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model": "openai/gpt-4o-mimi"}, "did you mean 'gpt-4o-mini'"),
        ({"model": "gpt-4o-mimi"}, "did you mean 'gpt-4o-mini'"),
        ({"model": "opanai/gpt-4o"}, "did you mean 'openai'"),
        ({"model": "anthropic/claude-sonnet-4-5"}, "ANTHROPIC_API_KEY"),
        ({"api_key_env": "NOT_SET_ANYWHERE"}, "NOT_SET_ANYWHERE"),
        ({"transport": "direct"}, "api_base"),
        (
            {"transport": "direct", "api_base": "http://x/v1", "api_key_env": "NOT_SET_ANYWHERE"},
            "NOT_SET_ANYWHERE",
        ),
        ({"model": "simulated/smal"}, "did you mean 'small'"),
        ({"model": "replay/none.jsonl"}, "none.jsonl"),
    ],
)
def test_what_cannot_be_called_is_found_before_the_run(
    changes: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    with pytest.raises(AssayError, match=said):
        check_model(a_target(**changes))


def test_a_model_with_a_key_is_callable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-something")
    check_model(a_target())
    check_model(a_target(model="openai/brand-new", api_base="http://localhost:1/v1"))
    with pytest.raises(AssayError, match="brand-new"):
        check_model(a_target(model="openai/brand-new"))
