"""A vendor for tests and benchmarks: an HTTP server that speaks OpenAI's chat completions and embeddings.

It answers deterministically (by seed, model and cell), misbehaves on request (429, 500, hang, malformed JSON,
truncated body, another model's name), and remembers what it received and what it answered, so that a test can
prove that no call was made twice.

    python -m tests.fakes.openai_server --port 0 --latency-ms 50     # prints {"url": "http://127.0.0.1:…/v1"}

What the text of a request may say to it (anywhere in the messages; the last one counts):

    [cell:triage-17]     the name under which the request is counted in /log; without it, a digest of the body
    [answer:Paris]       what a right answer is: `right` of the cells get it, the others get "wrong"

`GET /log` returns {"received": n, "answered": n, "faults": {kind: n}, "calls": {model: {cell: [received,
answered]}}}. `POST /reset` empties the log. A request counts as answered when a good reply was handed to an
open connection.
"""

import argparse
import asyncio
import base64
import contextlib
import json
import re
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from hashlib import blake2b
from pathlib import Path
from typing import Any

from aiohttp import web

CELL = re.compile(rb"\[cell:([^\]\"\\]+)\]")
ANSWER = re.compile(rb"\[answer:([^\]\"\\]+)\]")
MODEL = re.compile(rb'"model"\s*:\s*"([^"\\]*)"')
STREAM = re.compile(rb'"stream"\s*:\s*true')
FAULTS = ("rate_limited", "server_error", "hang", "malformed", "truncated", "wrong_model")


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """How the vendor behaves; the faults are shares of requests, drawn anew for each attempt at a cell."""

    latency_ms: float = 0.0
    piece_ms: float = 0.0
    """Between two pieces of a streamed answer; the first piece has a role and no text."""
    rate_limited: float = 0.0
    server_error: float = 0.0
    hang: float = 0.0
    """Requests that are never answered; the connection stays open."""
    malformed: float = 0.0
    """200 with a body that is not JSON."""
    truncated: float = 0.0
    """200 whose body ends, with the connection, halfway."""
    wrong_model: float = 0.0
    """A good answer that names another model than was asked for."""
    retry_after: str = ""
    """Sent with every 429 when not empty: seconds or an HTTP date."""
    right: float = 1.0
    """Share of cells with a right answer."""
    text: str = "ok"
    """The answer to requests that carry no [answer:…]."""
    completion_tokens: int = 7
    reasoning_tokens: int = 0
    cached_tokens: int = 0
    usage: bool = True
    streams: bool = True
    """False: a request for a stream gets the whole reply, as from endpoints that know of no streams."""
    finish_reason: str = "stop"
    required_key: str = ""
    """When not empty, any other bearer token gets a 401."""
    known_models: str = ""
    """Comma-separated; when not empty, any other model gets a 404."""
    max_prompt_chars: int = 0
    """When not 0, a longer request body gets a 400 with the code `context_length_exceeded`."""
    listed_models: str = ""
    """Comma-separated: what `GET /models` lists."""
    embedding_size: int = 8
    seed: int = 0


def _draw(*parts: bytes | str | int) -> float:
    """A number in [0, 1) that is a function of its parts alone, in any process."""
    digest = blake2b(digest_size=8)
    for part in parts:
        digest.update(part if isinstance(part, bytes) else str(part).encode())
        digest.update(b"\0")
    return int.from_bytes(digest.digest(), "big") / 2**64


class FakeOpenAI:
    """The server. `start` binds it, `url` is what a client takes as its base URL, `close` ends it."""

    def __init__(self, behaviour: Behaviour | None = None) -> None:
        self.behaviour = behaviour or Behaviour()
        self.received: dict[tuple[str, str], int] = {}
        self.answered: dict[tuple[str, str], int] = {}
        self.faults: Counter[str] = Counter()
        self.headers_seen: list[dict[str, str]] = []
        self.bodies_seen: list[bytes] = []
        self.keep_requests = False
        """Set to keep headers and bodies of chat requests, for tests that look at what was sent."""
        self.url = ""
        self._runner: web.ServerRunner | None = None
        self._quiet = not any(getattr(self.behaviour, fault) for fault in FAULTS)

    async def start(self, port: int = 0) -> str:
        # The low-level server: routing and middlewares would cost more than everything else here.
        self._runner = web.ServerRunner(web.Server(self._handle, access_log=None))
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port, backlog=1024)
        await site.start()
        bound = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{bound}/v1"
        return self.url

    async def close(self) -> None:
        if self._runner is not None:
            await self._runner.shutdown()
            await self._runner.cleanup()

    def log(self) -> dict[str, Any]:
        calls: dict[str, dict[str, list[int]]] = {}
        for (model, cell), received in self.received.items():
            calls.setdefault(model, {})[cell] = [received, self.answered.get((model, cell), 0)]
        return {
            "received": sum(self.received.values()),
            "answered": sum(self.answered.values()),
            "faults": dict(self.faults),
            "calls": calls,
        }

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path
        if path.endswith("/chat/completions"):
            return await self._chat(request)
        if path.endswith("/embeddings"):
            return await self._embed(request)
        if path.endswith("/models"):
            return await self._list(request)
        if path == "/log":
            return web.json_response(self.log())
        if path == "/reset":
            self.received.clear()
            self.answered.clear()
            self.faults.clear()
            return web.json_response({})
        return _error(404, "not_found", f"no such path: {path}")

    async def _chat(self, request: web.BaseRequest) -> web.StreamResponse:
        ways = self.behaviour
        body = await request.read()
        found = MODEL.search(body)
        model = found[1].decode() if found else "unknown"
        cells = CELL.findall(body)
        cell = cells[-1].decode() if cells else blake2b(body, digest_size=8).hexdigest()
        key = (model, cell)
        attempt = self.received.get(key, 0)
        self.received[key] = attempt + 1
        if self.keep_requests:
            self.headers_seen.append(dict(request.headers))
            self.bodies_seen.append(body)
        if refused := self._refusal(request, model, body):
            return refused
        fault = "" if self._quiet else self._fault(model, cell, attempt)
        if fault:
            self.faults[fault] += 1
        if fault == "hang":
            await _until_closed(request)
            return web.Response(status=499)
        if ways.latency_ms:
            await asyncio.sleep(ways.latency_ms / 1000)
        if fault == "rate_limited":
            headers = {"Retry-After": ways.retry_after} if ways.retry_after else {}
            return _error(429, "rate_limit_exceeded", "Rate limit reached for requests", headers)
        if fault == "server_error":
            return _error(500, "server_error", "The server had an error while processing your request")
        asked = _as_whole(body) if STREAM.search(body) else body
        reply = self._completion(model + "-other" if fault == "wrong_model" else model, cell, asked)
        if fault == "malformed":
            return web.Response(body=b'{"id": "chatcmpl-1", "choices": [{', content_type="application/json")
        if fault == "truncated" and STREAM.search(body):
            return await _in_pieces(request, json.loads(reply), json.loads(body), ways.piece_ms, cut=True)
        if fault == "truncated":
            return await _truncated(request, reply)
        transport = request.transport
        if transport is not None and not transport.is_closing():
            self.answered[key] = self.answered.get(key, 0) + 1
        if ways.streams and STREAM.search(body):
            return await _in_pieces(request, json.loads(reply), json.loads(body), ways.piece_ms)
        return web.Response(body=reply, content_type="application/json")

    def _refusal(self, request: web.BaseRequest, model: str, body: bytes) -> web.Response | None:
        ways = self.behaviour
        if ways.required_key and request.headers.get("Authorization") != f"Bearer {ways.required_key}":
            return _error(401, "invalid_api_key", "Incorrect API key provided")
        if ways.known_models and model not in ways.known_models.split(","):
            return _error(404, "model_not_found", f"The model `{model}` does not exist")
        if ways.max_prompt_chars and len(body) > ways.max_prompt_chars:
            message = "This model's maximum context length is 128 tokens. Please reduce the length of the messages."
            return _error(400, "context_length_exceeded", message)
        return None

    def _fault(self, model: str, cell: str, attempt: int) -> str:
        drawn = _draw(self.behaviour.seed, "fault", model, cell, attempt)
        for fault in FAULTS:
            drawn -= getattr(self.behaviour, fault)
            if drawn < 0:
                return fault
        return ""

    def _completion(self, model: str, cell: str, body: bytes) -> bytes:
        ways = self.behaviour
        text = ways.text
        if wanted := ANSWER.findall(body):
            is_right = _draw(ways.seed, "right", cell) < ways.right
            text = wanted[-1].decode() if is_right else "wrong"
        prompt_tokens = max(1, len(body) // 4)
        usage = ""
        if ways.usage:
            completion_tokens = ways.completion_tokens + ways.reasoning_tokens
            usage = (
                f',"usage":{{"prompt_tokens":{prompt_tokens},"completion_tokens":{completion_tokens},'
                f'"total_tokens":{prompt_tokens + completion_tokens},'
                f'"prompt_tokens_details":{{"cached_tokens":{min(ways.cached_tokens, prompt_tokens)}}},'
                f'"completion_tokens_details":{{"reasoning_tokens":{ways.reasoning_tokens}}}}}'
            )
        return (
            f'{{"id":"chatcmpl-{cell[:24]}","object":"chat.completion","created":1700000000,"model":{json.dumps(model)},'
            f'"choices":[{{"index":0,"message":{{"role":"assistant","content":{json.dumps(text)}}},'
            f'"finish_reason":{json.dumps(ways.finish_reason)}}}]{usage}}}'
        ).encode()

    async def _list(self, request: web.BaseRequest) -> web.StreamResponse:
        """In all three vendors' manners at once; two names a page where the client asks like Anthropic's."""
        ways = self.behaviour
        keys = {request.headers.get(name, "") for name in ("x-api-key", "x-goog-api-key")}
        keys.add(request.headers.get("Authorization", "").removeprefix("Bearer "))
        if ways.required_key and ways.required_key not in keys:
            return _error(401, "invalid_api_key", "Incorrect API key provided")
        if ways.server_error:
            return _error(500, "server_error", "The server had an error while processing your request")
        names = [name for name in ways.listed_models.split(",") if name]
        rest = names
        if "anthropic-version" in request.headers:
            after = request.query.get("after_id")
            rest = names[names.index(after) + 1 :] if after else names
            names = rest[:2]
        return web.json_response(
            {
                "data": [{"id": name, "object": "model"} for name in names],
                "models": [{"name": f"models/{name}"} for name in names],
                "has_more": len(rest) > len(names),
                "last_id": names[-1] if names else None,
            }
        )

    async def _embed(self, request: web.BaseRequest) -> web.StreamResponse:
        asked = json.loads(await request.read())
        texts = asked["input"] if isinstance(asked["input"], list) else [asked["input"]]
        if self.behaviour.latency_ms:
            await asyncio.sleep(self.behaviour.latency_ms / 1000)
        as_base64 = asked.get("encoding_format") == "base64"
        rows = []
        for index, text in enumerate(texts):
            vector = [_draw(text, place) * 2 - 1 for place in range(self.behaviour.embedding_size)]
            packed = base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
            rows.append({"object": "embedding", "index": index, "embedding": packed if as_base64 else vector})
        tokens = sum(max(1, len(str(text)) // 4) for text in texts)
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return web.json_response({"object": "list", "data": rows, "model": asked.get("model"), "usage": usage})


def _error(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> web.Response:
    body = {"error": {"message": message, "type": code, "param": None, "code": code}}
    return web.json_response(body, status=status, headers=headers)


def _as_whole(body: bytes) -> bytes:
    """The same request for an answer in one piece: both cost the same."""
    asked = {name: value for name, value in json.loads(body).items() if name not in ("stream", "stream_options")}
    return json.dumps(asked, separators=(",", ":"), ensure_ascii=False).encode()


async def _in_pieces(
    request: web.BaseRequest, reply: dict[str, Any], asked: dict[str, Any], piece_ms: float, *, cut: bool = False
) -> web.StreamResponse:
    """A reply as server-sent events: a role, the text in two halves, the reason it ended, its counts when asked for."""
    choice = reply["choices"][0]
    text = choice["message"]["content"]
    about = {name: reply[name] for name in ("id", "created", "model")} | {"object": "chat.completion.chunk"}
    half = (len(text) + 1) // 2
    deltas = [{"role": "assistant", "content": ""}, {"content": text[:half]}, {"content": text[half:]}]
    pieces = [{**about, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    pieces.append({**about, "choices": [{"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}]})
    if "usage" in reply and (asked.get("stream_options") or {}).get("include_usage"):
        pieces.append({**about, "choices": [], "usage": reply["usage"]})
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    response.enable_chunked_encoding()
    await response.prepare(request)
    for number, piece in enumerate(pieces[:2] if cut else pieces):
        if number:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(piece_ms / 1000):
                    await _until_closed(request)
        await response.write(b"data: " + json.dumps(piece).encode() + b"\n\n")
    if cut:
        if request.transport is not None:
            request.transport.close()
        return response
    await response.write(b"data: [DONE]\n\n")
    await response.write_eof()
    return response


async def _truncated(request: web.BaseRequest, reply: bytes) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    response.content_length = len(reply)
    await response.prepare(request)
    await response.write(reply[: len(reply) // 2])
    if request.transport is not None:
        request.transport.close()
    return response


async def _until_closed(request: web.BaseRequest) -> None:
    while request.transport is not None and not request.transport.is_closing():
        await asyncio.sleep(0.05)


@contextlib.contextmanager
def running_server(behaviour: Behaviour | None = None) -> Iterator[str]:
    """The server in a process of its own, for as long as the block lasts; gives its base URL."""
    settings = json.dumps(asdict(behaviour or Behaviour()))
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.fakes.openai_server", "--behaviour", settings],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"the server did not start; exit code {process.wait()}")
        yield json.loads(line)["url"]
    finally:
        process.terminate()
        process.wait(timeout=10)


async def _serve(behaviour: Behaviour, port: int) -> None:
    server = FakeOpenAI(behaviour)
    print(json.dumps({"url": await server.start(port)}), flush=True)
    try:
        await asyncio.Event().wait()
    finally:
        await server.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="An OpenAI-compatible server for tests.")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one; the URL is printed")
    parser.add_argument("--behaviour", default="{}", help="JSON object of any of the options below")
    for option in fields(Behaviour):
        if option.type is not bool:
            kind: Any = option.type
            parser.add_argument(f"--{option.name.replace('_', '-')}", type=kind, default=None)
    given = vars(parser.parse_args())
    port, settings = given.pop("port"), json.loads(given.pop("behaviour"))
    settings |= {name: value for name, value in given.items() if value is not None}
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(Behaviour(**settings), port))


if __name__ == "__main__":
    main()
