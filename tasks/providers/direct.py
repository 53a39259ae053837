"""Plain HTTP to an OpenAI-compatible endpoint: `transport: direct`.

For endpoints where LiteLLM translates nothing: it would take 2 ms of CPU a call, this takes a tenth of it.
"""

import asyncio
import os
import time
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import orjson

from evaluations.errors import AssayError
from tasks.providers.base import Call, CallError, Reply, Target, Workspace
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

if TYPE_CHECKING:
    import aiohttp

LARGEST_REPLY = 32 * 1024 * 1024
"""Bytes; a longer body is not an answer but an accident or an attack."""


class DirectProvider:
    """Chat completions of one endpoint, over a pool of connections that are kept alive."""

    def __init__(self, target: Target, workspace: Workspace | None = None) -> None:
        """Raises AssayError when the target names no endpoint, or a key variable that is not set."""
        if not target.api_base:
            raise AssayError(f"{target.label}: transport `direct` needs `api_base`, e.g. http://localhost:8000/v1.")
        key = ""
        if target.api_key_env:
            key = os.environ.get(target.api_key_env, "")
            if not key:
                raise AssayError(f"{target.label}: the environment variable {target.api_key_env} is not set.")
        self._target = target
        self._url = target.api_base.rstrip("/") + "/chat/completions"
        self._embeddings_url = target.api_base.rstrip("/") + "/embeddings"
        self._headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if key:
            self._headers["Authorization"] = f"Bearer {key}"
        self._base: dict[str, Any] = {"model": target.model_name}
        if target.max_output_tokens:
            self._base["max_tokens"] = target.max_output_tokens
        self._base.update(target.parameters)
        self._session: aiohttp.ClientSession | None = None

    async def warm_up(self) -> None:
        """Import aiohttp and open the session: half a second that is no part of any call."""
        self._session = self._session or self._open()

    async def complete(self, call: Call) -> Reply:
        import aiohttp

        session = self._session or self._open()
        started = time.perf_counter()
        try:
            url = self._embeddings_url if call.embed else self._url
            async with session.post(url, data=self._body(call), headers=self._headers) as response:
                if response.status < 400 and response.content_type == "text/event-stream":
                    return await _streamed(response, started)
                content = await response.content.read(LARGEST_REPLY)
                while more := await response.content.read(LARGEST_REPLY):
                    content += more
                    if len(content) > LARGEST_REPLY:
                        raise CallError("bad_reply", f"the reply is larger than {LARGEST_REPLY:,} bytes")
                status, headers = response.status, response.headers
        except TimeoutError as error:
            limit = self._target.timeout_s
            raise CallError("timeout", f"no complete reply within {limit:g} s", retryable=True) from error
        except aiohttp.ClientPayloadError as error:
            raise CallError("bad_reply", "the reply ended before it was complete", retryable=True) from error
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as error:
            raise CallError("bad_request", f"api_base is not an HTTP address: {one_line(self._url)}") from error
        except (aiohttp.ClientError, OSError) as error:
            said = one_line(f"{type(error).__name__}: {error}")
            raise CallError("connection", said, retryable=True) from error
        latency_ms = (time.perf_counter() - started) * 1000
        if status >= 400:
            raise _refusal(status, headers, content)
        try:
            body = orjson.loads(content)
        except ValueError as error:
            said = one_line(repr(content[:60]))
            raise CallError("bad_reply", f"the reply is not JSON: {said}", retryable=True) from error
        if not isinstance(body, dict):
            raise CallError("bad_reply", "the reply is not a JSON object", retryable=True)
        if "error" in body and "choices" not in body:
            # Some gateways report their failures with status 200.
            raise _refusal(500, headers, content)
        if call.embed:
            return vectors_of(body, latency_ms, len(call.messages))
        return reply_of(body, latency_ms, body)

    def _body(self, call: Call) -> bytes:
        body: dict[str, Any]
        if call.embed:
            body = {"model": self._base["model"], "input": [message["content"] for message in call.messages]}
        else:
            body = {**self._base, **call.parameters, "messages": call.messages}
            if self._target.stream:
                body |= STREAMED
        if call.output_schema is not None:
            body["response_format"] = response_format(call.output_schema)
        try:
            return orjson.dumps(body)
        except (TypeError, ValueError) as error:
            raise CallError("bad_request", f"the request cannot be written as JSON: {error}") from error

    def _open(self) -> "aiohttp.ClientSession":
        import aiohttp

        self._session = aiohttp.ClientSession(
            # How many calls are open at once is the gateway's affair.
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=60, ttl_dns_cache=300),
            timeout=aiohttp.ClientTimeout(total=self._target.timeout_s),
            cookie_jar=aiohttp.DummyCookieJar(),
            # `trust_env` would look the proxy up for each call, in two threads, at twice the cost of the call
            # itself.
            proxy=_proxy_of(self._url),
        )
        return self._session

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None
            # TLS connections close a turn of the loop later; without it they are reported as leaked.
            await asyncio.sleep(0)


async def _streamed(response: "aiohttp.ClientResponse", started: float) -> Reply:
    """The answer in a stream of server-sent events: lines of `data:`, the last of them `[DONE]`.

    Source: the event stream format of HTML, section 9.2.6; only its `data` fields are sent by chat endpoints.
    """
    streamed, rest, size = Streamed(), b"", 0
    async for block in response.content.iter_any():
        at = time.perf_counter()
        size += len(block)
        if size > LARGEST_REPLY:
            raise CallError("bad_reply", f"the reply is larger than {LARGEST_REPLY:,} bytes")
        *lines, rest = (rest + block).split(b"\n")
        for line in lines:
            data = line.removeprefix(b"data:").strip() if line.startswith(b"data:") else b""
            if not data or data == b"[DONE]":
                continue
            try:
                piece = orjson.loads(data)
            except ValueError as error:
                said = one_line(repr(data[:60]))
                raise CallError("bad_reply", f"a piece of the reply is not JSON: {said}", retryable=True) from error
            if field_of(piece, "error") and not field_of(piece, "choices"):
                raise _refusal(500, response.headers, data)
            streamed.take(piece, at)
    return streamed.reply(started, time.perf_counter())


def response_format(schema: Mapping[str, Any]) -> dict[str, Any]:
    """OpenAI's way of asking for an answer that follows a JSON Schema.

    Strict only where the schema is closed: OpenAI refuses an open one as strict, and takes it otherwise.
    """
    strict = schema.get("additionalProperties") is False
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": strict}}


def _proxy_of(url: str) -> str | None:
    """The proxy that the environment names for an address: HTTP_PROXY, HTTPS_PROXY, NO_PROXY."""
    address = urllib.parse.urlsplit(url)
    if not address.hostname or urllib.request.proxy_bypass(address.hostname):
        return None
    return urllib.request.getproxies().get(address.scheme)


def _refusal(status: int, headers: Mapping[str, str], content: bytes) -> CallError:
    said, code = "", ""
    try:
        error = field_of(orjson.loads(content), "error")
        said = str(field_of(error, "message") or "") if not isinstance(error, str) else error
        code = str(field_of(error, "code") or "") if not isinstance(error, str) else ""
    except ValueError:
        said = content[:200].decode("utf-8", "replace")
    return error_of_status(status, said, code, retry_after(headers))
