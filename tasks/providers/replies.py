"""Reading what OpenAI-compatible endpoints send: texts, token counts, errors.

Shared by the LiteLLM and the direct transport, which therefore agree on what counts as an answer. A body is
read through `field_of`, as a dict or as an object with attributes: LiteLLM hands over objects.
"""

import email.utils
import re
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson

from evaluations.answers import ErrorKind, Usage
from tasks.providers.base import CallError, Reply

LONGEST_MESSAGE = 300
SECRETS = re.compile(
    r"(?i)(bearer\s+|api[_-]?key[=:\s\"']+|\bkey=)[^\s,;\"']{6,}|\b(sk|pk|rk|gsk|xai|ghp|AIza)[-_]?[\w*.-]{8,}"
)
CONTEXT_LENGTH = re.compile(r"(?i)context.?length|context.?window|maximum context|too many tokens|prompt is too long")
CONTENT_FILTER = re.compile(r"(?i)content.?(filter|policy|management)|safety system")
NO_QUOTA = re.compile(r"(?i)insufficient.?quota|exceeded your current quota|billing")
STREAMED: Mapping[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
"""What asks for an answer in pieces, and for its counts with the last one: without them its cost would be unknown."""


def field_of(thing: Any, name: str) -> Any:
    """A field of a JSON object or of an object that stands for one; None when it has none."""
    return thing.get(name) if isinstance(thing, dict) else getattr(thing, name, None)


def usage_of(reported: Any) -> tuple[Usage, bool]:
    """The token counts of a reply in disjoint classes, and whether the provider reported any.

    OpenAI's form counts inclusively: `prompt_tokens` holds the cached ones, `completion_tokens` the hidden
    thinking. LiteLLM brings other providers into that form, with Anthropic's cache writes among the prompt
    tokens. Some vendors (xAI) report thinking beside the completion tokens; the total gives that away.
    """
    if reported is None:
        return Usage(), False
    prompt = _count(reported, "prompt_tokens")
    completion = _count(reported, "completion_tokens")
    if not (prompt or completion):
        return Usage(), False
    cached = written = reasoning = 0
    if isinstance(reported, dict) and len(reported) <= 3 and "total_tokens" in reported:
        # Nothing but both counts and their sum, as most endpoints have it.
        return Usage(input_tokens=prompt, output_tokens=completion), True
    if about_prompt := field_of(reported, "prompt_tokens_details"):
        cached = _count(about_prompt, "cached_tokens")
        written = _count(about_prompt, "cache_creation_tokens") or _count(about_prompt, "cache_write_tokens")
    if about_completion := field_of(reported, "completion_tokens_details"):
        reasoning = _count(about_completion, "reasoning_tokens")
    cached = cached or _count(reported, "prompt_cache_hit_tokens")
    written = _count(reported, "cache_creation_input_tokens") or written
    beside = reasoning > 0 and (
        reasoning > completion or _count(reported, "total_tokens") == prompt + completion + reasoning
    )
    # A count that exceeds its whole is a vendor's slip; the whole is what is billed.
    cached = min(cached, prompt)
    written = min(written, prompt - cached)
    usage = Usage(
        input_tokens=prompt - cached - written,
        cached_tokens=cached,
        cache_write_tokens=written,
        output_tokens=completion if beside else completion - reasoning,
        reasoning_tokens=reasoning,
    )
    return usage, True


def _count(thing: Any, name: str) -> int:
    value = thing.get(name) if isinstance(thing, dict) else getattr(thing, name, None)
    return value if isinstance(value, int) and value > 0 else 0


def reply_of(body: Any, latency_ms: float, raw: Mapping[str, Any]) -> Reply:
    """The answer in a chat completion. Raises CallError when there is none, with the usage that was billed
    anyway."""
    usage, usage_known = usage_of(field_of(body, "usage"))
    model_returned = field_of(body, "model")
    choices = field_of(body, "choices")
    finish_reason: str | None = None
    problem, kind, retryable = "the reply has no choices", "bad_reply", True
    if isinstance(choices, list) and choices:
        message = field_of(choices[0], "message")
        finish_reason = field_of(choices[0], "finish_reason")
        text = _text_of(message)
        if finish_reason == "content_filter":
            problem, kind, retryable = (
                "the provider's content filter withheld the answer",
                "content_filter",
                False,
            )
        elif text or (text is not None and finish_reason != "length"):
            return Reply(
                text=text,
                usage=usage,
                usage_known=usage_known,
                model_returned=model_returned if isinstance(model_returned, str) else None,
                finish_reason=finish_reason,
                latency_ms=latency_ms,
                raw=raw,
            )
        elif finish_reason == "length":
            spent = usage.output_tokens + usage.reasoning_tokens
            problem = f"no text came before the output limit ({spent} tokens used); raise max_output_tokens"
            retryable = False
        elif field_of(message, "tool_calls"):
            problem, retryable = f"the model called a tool and said nothing: {_called(message)}", False
        else:
            problem = "the reply has no text"
    raise CallError(
        kind,  # type: ignore[arg-type]
        problem,
        retryable=retryable,
        usage=usage if usage_known else None,
        model_returned=model_returned if isinstance(model_returned, str) else None,
        finish_reason=finish_reason,
        raw=raw,
    )


class Streamed:
    """A completion that comes in pieces: put together, it reads like the whole reply it would have been."""

    def __init__(self, *, names_kept: bool = True) -> None:
        """`names_kept`: pieces carry the name of the model that answered; else `model_returned` has it, if anything."""
        self._names_kept = names_kept
        self.first_text_at: float | None = None
        """When the first piece of text came, by the clock that `take` was told of."""
        self.finished = False
        self.model_returned: str | None = None
        """The name that the vendor gave, where somebody between puts another one into the pieces."""
        self._texts: dict[str, list[str]] = {"content": [], "refusal": []}
        self._called = ["", ""]
        self._about: dict[str, Any] = {}
        self._finish_reason: str | None = None

    def take(self, piece: Any, at: float) -> None:
        """One piece, as the endpoint sends it, and when it came."""
        for name in ("id", "model", "created", "system_fingerprint", "service_tier", "usage"):
            if (value := field_of(piece, name)) is not None:
                # Usage comes with the last piece, and counts the whole; some endpoints send it with every piece.
                self._about[name] = value
        choices = field_of(piece, "choices")
        if not isinstance(choices, list) or not choices:
            return
        if reason := field_of(choices[0], "finish_reason"):
            self._finish_reason, self.finished = reason, True
        delta = field_of(choices[0], "delta")
        for name, texts in self._texts.items():
            if isinstance(text := field_of(delta, name), str) and text:
                texts.append(text)
                self.first_text_at = at if self.first_text_at is None else self.first_text_at
        for tool in (field_of(delta, "tool_calls") or [])[:1]:
            function = field_of(tool, "function")
            for place, name in enumerate(("name", "arguments")):
                self._called[place] += str(field_of(function, name) or "")

    def uncounted(self) -> None:
        """Forget the counts: they are not the endpoint's. Raises CallError where it sent no text either."""
        self._about.pop("usage", None)
        if self.first_text_at is None:
            raise CallError("bad_reply", "the endpoint streamed no answer; `stream: false` asks for it in one piece")

    @property
    def raw(self) -> dict[str, Any]:
        """What was said beside the text, as JSON can hold it."""
        usage: Any = self._about.get("usage")
        return self._about | {"usage": usage.model_dump(exclude_none=True) if hasattr(usage, "model_dump") else usage}

    def reply(self, started: float, ended: float) -> Reply:
        """The whole answer. Raises CallError as `reply_of` does, and where the stream ended before the answer did."""
        if not self.finished:
            raise CallError("bad_reply", "the reply ended before it was complete", retryable=True)
        content, refusal = ("".join(texts) for texts in self._texts.values())
        message: dict[str, Any] = {"content": content, "refusal": refusal}
        if refusal and not content:
            message["content"] = None
        if any(self._called):
            name, arguments = self._called
            message["tool_calls"] = [{"function": {"name": name, "arguments": arguments}}]
            message["content"] = content or None
        if not self._names_kept:
            self._about["model"] = self.model_returned
        body = {**self._about, "choices": [{"message": message, "finish_reason": self._finish_reason}]}
        whole = reply_of(body, (ended - started) * 1000, self.raw)
        first = self.first_text_at
        return replace(whole, first_token_ms=None if first is None else (first - started) * 1000)


def _called(message: Any) -> str:
    """The first tool that a message calls, with its arguments as they came: `get_weather({"city": "Paris"})`."""
    function = field_of(field_of(message, "tool_calls")[0], "function")
    arguments = str(field_of(function, "arguments") or "")
    return f"{field_of(function, 'name')}({arguments[:LONGEST_MESSAGE]})"


def vectors_of(body: Any, latency_ms: float, wanted: int) -> Reply:
    """The vectors in an embedding reply, as a JSON list in the order of the texts. Raises CallError without them."""
    usage, usage_known = usage_of(field_of(body, "usage"))
    rows = field_of(body, "data")
    vectors = [field_of(row, "embedding") for row in rows] if isinstance(rows, list) else []
    if len(vectors) != wanted or not all(isinstance(vector, list) and vector for vector in vectors):
        raise CallError("bad_reply", f"the reply has no vector for each of {wanted} texts", retryable=True)
    model_returned = field_of(body, "model")
    return Reply(
        text=orjson.dumps(vectors).decode(),
        usage=usage,
        usage_known=usage_known,
        model_returned=model_returned if isinstance(model_returned, str) else None,
        latency_ms=latency_ms,
    )


def _text_of(message: Any) -> str | None:
    content = field_of(message, "content") if message is not None else None
    if isinstance(content, list):
        parts = [field_of(part, "text") for part in content]
        content = "".join(part for part in parts if isinstance(part, str))
    if content is None and message is not None:
        # What a model says when it refuses under a schema comes in a field of its own, and is its answer.
        content = field_of(message, "refusal")
    return content if isinstance(content, str) else None


def error_of_status(status: int, said: str, code: str, retry_after_s: float | None) -> CallError:
    """The typed error for an HTTP status, with what the endpoint said about it."""
    kind: ErrorKind
    told = f"{code} {said}"
    retryable = overloaded = False
    if status in (401, 403) or status == 402:
        kind = "auth"
    elif status == 429:
        kind = "rate_limited"
        # An empty account answers 429 like a busy server, but no waiting will fill it.
        retryable = overloaded = not NO_QUOTA.search(told)
    elif status == 404:
        kind = "unknown_model"
    elif status in (408, 504):
        kind, retryable = "timeout", True
    elif status >= 500 or status == 409:
        kind, retryable, overloaded = "server_error", True, status in (503, 529)
    elif CONTEXT_LENGTH.search(told):
        kind = "context_length"
    elif CONTENT_FILTER.search(told):
        kind = "content_filter"
    elif "model_not_found" in code:
        kind = "unknown_model"
    else:
        kind = "bad_request"
    message = one_line(f"HTTP {status}: {said}" if said else f"HTTP {status}")
    return CallError(kind, message, retryable=retryable, retry_after_s=retry_after_s, overloaded=overloaded)


def one_line(text: str) -> str:
    """A vendor's message as one short line without anything that looks like a key."""
    line = " ".join(SECRETS.sub("…", text[: 4 * LONGEST_MESSAGE]).split())
    return line if len(line) <= LONGEST_MESSAGE else line[: LONGEST_MESSAGE - 1] + "…"


def retry_after(headers: Mapping[str, str] | None) -> float | None:
    """Seconds that the provider asks to wait; None when it does not say, or says it illegibly.

    `Retry-After` is a number of seconds or an HTTP date (RFC 9110, section 10.2.3); `retry-after-ms` is
    OpenAI's.
    """
    if not headers:
        return None
    try:
        if milliseconds := headers.get("retry-after-ms"):
            return _sensible(float(milliseconds) / 1000)
        value = headers.get("retry-after") or headers.get("Retry-After")
        if not value:
            return None
        try:
            return _sensible(float(value))
        except ValueError:
            return _sensible(email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None


def _sensible(seconds: float) -> float | None:
    # NaN and infinity are numbers to float(); neither is a time to wait.
    return max(0.0, seconds) if seconds < 1e9 else None
