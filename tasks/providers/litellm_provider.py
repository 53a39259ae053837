"""Every real provider, through LiteLLM: it knows their addresses, dialects and parameters.

LiteLLM is kept to that. Its retries, fallbacks, caches, callbacks and cost bookkeeping are off: the gateway
and the price book do those, once and the same for every transport. What is off also costs nothing, and at a
hundred calls in flight LiteLLM's bookkeeping would be a third of all CPU time.
"""

import asyncio
import contextlib
import functools
import json
import logging
import os
import re
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

from evaluations.errors import AssayError, unknown_name
from tasks.providers.base import Call, CallError, Reply, Target, Workspace
from tasks.providers.direct import response_format
from tasks.providers.replies import (
    STREAMED,
    Streamed,
    error_of_status,
    field_of,
    one_line,
    reply_of,
    retry_after,
    vectors_of,
)

LISTED_PROVIDERS = frozenset({"openai", "anthropic", "gemini", "mistral", "deepseek", "xai", "groq"})
"""Providers whose models LiteLLM lists in full, so that a name it does not know is most likely a slip of the
pen."""
GRACE_S = 5.0
"""How far beyond the timeout that LiteLLM was given an attempt that does not end is ended from here."""
NO_KEY = "no-key"
"""What is sent to an endpoint of one's own that was given no key; OpenAI's client wants something to send."""


@functools.cache
def litellm_module() -> Any:
    """LiteLLM, imported once and told to keep quiet, stay offline and leave bookkeeping to others."""
    # Without it the import fetches a price map over the network.
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    os.environ.setdefault("LITELLM_MODE", "PRODUCTION")  # otherwise it reads a .env file of the working folder
    import litellm as imported

    litellm: Any = imported
    litellm.telemetry = False
    litellm.suppress_debug_info = True
    litellm.turn_off_message_logging = True
    litellm.disable_streaming_logging = True
    litellm.drop_params = False  # a parameter that a model does not know is an error, not a silent difference
    litellm.modify_params = False
    litellm.num_retries = None
    litellm.cache = None
    for callbacks in (
        litellm.callbacks,
        litellm.success_callback,
        litellm.failure_callback,
        litellm.input_callback,
    ):
        callbacks.clear()
    for name in ("LiteLLM", "LiteLLM Proxy", "LiteLLM Router"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    # It would price each call in floats, a fifth of the CPU time of a call; our own price book does that
    # exactly.
    litellm.response_cost_calculator = _no_cost
    return litellm


def _no_cost(*_: Any, **__: Any) -> None:
    return None


@functools.cache
def _internal_call_flag() -> Any:
    """LiteLLM's own mark for a call whose success it need not log; None in versions that have none."""
    try:
        from litellm._internal_context import is_internal_call
    except ImportError:
        return None
    return is_internal_call


_warm = False


async def _warmed_up() -> None:
    """Have LiteLLM load what it loads on its first answer, its first failure and its first stream: more than a second
    of imports.

    They would stand still in the middle of a run, in the latency of every call then open. It takes one answer, whole
    and in pieces, and one refusal of a server that lives in this function and listens on this machine alone.
    """
    global _warm
    if _warm:
        return
    _warm = True
    litellm = litellm_module()
    body = (
        b'{"id":"1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"finish_reason":"stop",'
        b'"message":{"role":"assistant","content":"1"}}],"usage":{"prompt_tokens":1,"completion_tokens":1,'
        b'"total_tokens":2},"error":{"message":"warm-up"}}'
    )
    pieces = b"".join(
        b'data: {"id":"1","object":"chat.completion.chunk","created":1,"model":"m",' + rest + b"}\n\n"
        for rest in (
            b'"choices":[{"index":0,"delta":{"role":"assistant","content":"1"},"finish_reason":null}]',
            b'"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]',
            b'"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}',
        )
    )
    answers = [
        (b"200 OK", b"application/json", body),
        (b"400 Bad Request", b"application/json", body),
        (b"200 OK", b"text/event-stream", pieces + b"data: [DONE]\n\n"),
    ]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: *(\d+)", head)
            await reader.readexactly(int(length[1]) if length else 0)
            status, kind, content = answers.pop(0)
            head = b"HTTP/1.1 " + status + b"\r\nContent-Type: " + kind + b"\r\nConnection: close\r\nContent-Length: "
            writer.write(head + str(len(content)).encode() + b"\r\n\r\n" + content)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        for _, kind, _ in list(answers):
            # Whatever goes wrong here goes wrong again, and is told, where it matters.
            with contextlib.suppress(Exception):
                found = await litellm.acompletion(
                    model="openai/gpt-4o-mini",
                    messages=[{"role": "user", "content": "1"}],
                    api_base=f"http://127.0.0.1:{port}/v1",
                    api_key=NO_KEY,
                    max_retries=0,
                    timeout=10,
                    **(STREAMED if kind == b"text/event-stream" else {}),
                )
                if hasattr(found, "__aiter__"):
                    [_ async for _ in found]
    finally:
        server.close()


class LiteLLMProvider:
    """Chat completions of one target through `litellm.acompletion`."""

    def __init__(self, target: Target, workspace: Workspace | None = None) -> None:
        """Raises AssayError when the key variable that the target names is not set."""
        self._target = target
        self._litellm = litellm_module()
        self._internal_call = _internal_call_flag()
        self._base: dict[str, Any] = {
            "model": target.model,
            "timeout": target.timeout_s,
            "num_retries": 0,
            "max_retries": 0,
            "drop_params": False,
        }
        if target.api_base:
            self._base["api_base"] = target.api_base
        if key := key_of(target):
            self._base["api_key"] = key
        elif target.api_base:
            # The usual variable's key belongs to the usual vendor: it is not sent to an address from a file.
            self._base["api_key"] = NO_KEY
        if target.max_output_tokens:
            self._base["max_tokens"] = target.max_output_tokens
        self._base.update(target.parameters)

    async def warm_up(self) -> None:
        await _warmed_up()

    async def complete(self, call: Call) -> Reply:
        if call.embed:
            ask, arguments = self._litellm.aembedding, self._embedding_arguments(call)
        else:
            ask, arguments = self._litellm.acompletion, {**self._base, **call.parameters, "messages": call.messages}
        if call.output_schema is not None:
            arguments["response_format"] = response_format(call.output_schema)
        # Per asyncio task, which is what a call runs in; other users of LiteLLM in this process see nothing
        # of it.
        if self._target.stream and not call.embed:
            arguments |= STREAMED
        streamed = Streamed(names_kept=False)
        flag = self._internal_call
        token = flag.set(True) if flag is not None else None
        started = time.perf_counter()
        try:
            async with asyncio.timeout(self._target.timeout_s + GRACE_S):
                body = await ask(**arguments)
                if streams := hasattr(body, "__aiter__"):
                    if hasattr(body.completion_stream, "__aiter__"):
                        body.completion_stream = _named(body.completion_stream, streamed)
                    async for piece in body:
                        streamed.take(piece, time.perf_counter())
        except Exception as error:
            raise self._call_error(error) from error
        finally:
            if token is not None:
                flag.reset(token)
        ended = time.perf_counter()
        if streams:
            if not any(field_of(each, "usage") for each in body.chunks):
                # Where the endpoint counted nothing LiteLLM guesses, and a guess is no bill.
                streamed.uncounted()
            return streamed.reply(started, ended)
        latency_ms = (ended - started) * 1000
        if call.embed:
            return vectors_of(body, latency_ms, len(call.messages))
        return reply_of(body, latency_ms, _raw(body))

    def _embedding_arguments(self, call: Call) -> dict[str, Any]:
        kept = ("model", "timeout", "num_retries", "max_retries", "api_base", "api_key")
        texts = [str(message["content"]) for message in call.messages]
        return {**{name: self._base[name] for name in kept if name in self._base}, "input": texts}

    def _call_error(self, error: Exception) -> CallError:
        known = self._litellm.exceptions
        said = one_line(_said(error))
        causes = list(_causes(error))
        if isinstance(error, known.Timeout) or any(isinstance(cause, TimeoutError) for cause in causes):
            limit = self._target.timeout_s
            return CallError("timeout", f"no complete reply within {limit:g} s", retryable=True)
        if isinstance(error, known.ContextWindowExceededError):
            return CallError("context_length", said)
        if isinstance(error, known.ContentPolicyViolationError):
            return CallError("content_filter", said)
        if isinstance(error, known.UnsupportedParamsError):
            return CallError("bad_request", said)
        if isinstance(error, known.APIResponseValidationError) or any(
            isinstance(cause, json.JSONDecodeError) for cause in causes
        ):
            return CallError("bad_reply", f"the reply cannot be read: {said}", retryable=True)
        names = {type(cause).__name__ for cause in causes}
        if names & {
            "ClientPayloadError",
            "TransferEncodingError",
            "ContentLengthError",
            "RemoteProtocolError",
        }:
            return CallError("bad_reply", "the reply ended before it was complete", retryable=True)
        if isinstance(error, known.APIConnectionError) or names & {
            "APIConnectionError",
            "ConnectError",
            "ReadError",
        }:
            return CallError("connection", said, retryable=True)
        status = getattr(error, "status_code", None)
        if isinstance(status, int) and status >= 400:
            headers = getattr(error, "litellm_response_headers", None) or getattr(
                getattr(error, "response", None), "headers", None
            )
            code = str(field_of(getattr(error, "body", None), "code") or "")
            if isinstance(error, known.LiteLLMUnknownProvider):
                code, status = "model_not_found", 404
            return error_of_status(status, said, code, retry_after(headers))
        return CallError("bad_reply", f"{type(error).__name__}: {said}")

    async def close(self) -> None:
        # LiteLLM's clients are shared by all targets of a process; they end with it or with the last gateway.
        close = getattr(self._litellm, "close_litellm_async_clients", None)
        if close is not None:
            await close()
            # It keeps the closed ones, and the next gateway of this process would be handed them.
            self._litellm.in_memory_llm_clients_cache.flush_cache()


async def _named(pieces: AsyncIterator[Any], streamed: Streamed) -> AsyncIterator[Any]:
    """The vendor's own pieces on their way to LiteLLM, which puts the name that was asked for in place of theirs."""
    async for piece in pieces:
        streamed.model_returned = field_of(piece, "model") or streamed.model_returned
        yield piece


def _said(error: Exception) -> str:
    """The vendor's words without LiteLLM's chain of class names in front."""
    text = str(getattr(error, "message", "") or error)
    for _ in range(6):
        head, mark, rest = text.partition(": ")
        if not mark or " " in head or not head.endswith(("Error", "Timeout")):
            break
        text = rest
    head, mark, rest = text.partition(" - ")
    return rest if mark and head.endswith("Exception") and " " not in head else text


def _causes(error: BaseException) -> Iterator[BaseException]:
    """What led to an error, nearest first."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__


def _raw(body: Any) -> dict[str, Any]:
    """What the reply says beside its text: identity, fingerprint, counts as they were reported."""
    usage = getattr(body, "usage", None)
    return {
        "id": getattr(body, "id", None),
        "model": getattr(body, "model", None),
        "created": getattr(body, "created", None),
        "system_fingerprint": getattr(body, "system_fingerprint", None),
        "service_tier": getattr(body, "service_tier", None),
        "usage": usage.model_dump(exclude_none=True) if usage is not None else None,
    }


# Before the run


def key_of(target: Target) -> str | None:
    """The key that a target names. Raises AssayError that names the variable when it is not set."""
    if not target.api_key_env:
        return None
    key = os.environ.get(target.api_key_env)
    if not key:
        raise AssayError(
            f"{target.label}: the environment variable {target.api_key_env} is not set; it should hold the "
            f"API key for {target.model}."
        )
    return key


def check_litellm_model(target: Target) -> None:
    """Raises AssayError when LiteLLM could not call the target: unknown provider or model, no key."""
    litellm = litellm_module()
    try:
        name, provider, _, _ = litellm.get_llm_provider(target.model, api_base=target.api_base)
    except litellm.exceptions.BadRequestError as error:
        raise AssayError(f"{target.label}: {_unknown(target, litellm)}") from error
    if not target.api_base and provider in LISTED_PROVIDERS and not _is_listed(name, provider, litellm):
        listed = _names(provider, litellm)
        raise AssayError(
            f"{target.label}: {unknown_name(f'model of {provider}', name, listed)} For a model that is newer than "
            f"LiteLLM's list, give the provider's address as api_base."
        )
    if key_of(target) or target.api_base:
        return
    missing = litellm.validate_environment(target.model).get("missing_keys") or []
    if missing:
        raise AssayError(
            f"{target.label}: no API key for {target.model}: set {' and '.join(missing)}, or name another "
            f"variable with api_key_env."
        )


def _names(provider: str, litellm: Any) -> list[str]:
    prefix = f"{provider}/"
    return sorted({name.removeprefix(prefix) for name in litellm.models_by_provider.get(provider, ())})


def _is_listed(name: str, provider: str, litellm: Any) -> bool:
    # Fine-tuned models carry their owner's names.
    return name.startswith("ft:") or name in _names(provider, litellm)


def _unknown(target: Target, litellm: Any) -> str:
    if "/" in target.model:
        providers = [str(getattr(provider, "value", provider)) for provider in litellm.provider_list]
        if target.provider not in providers:
            own = "For an endpoint of your own, write openai/<model> and its address as api_base."
            return f"{unknown_name('provider', target.provider, providers)} {own}"
    chat = [name for name, entry in litellm.model_cost.items() if entry.get("mode") == "chat" and "/" not in name]
    near = unknown_name("model", target.model, chat)
    return f"{near} Write provider and model, e.g. openai/gpt-4o-mini, or give an OpenAI-compatible api_base."
