"""Asking a provider which models it serves: one request that costs nothing, and shows whether it can be reached."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from evaluations.errors import AssayError
from tasks.providers.base import CallError
from tasks.providers.replies import error_of_status, field_of, one_line, retry_after

Manner = Literal["openai", "anthropic", "gemini"]
MOST_PAGES = 20
LARGEST_PAGE = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The models that a provider said it serves, by its own names."""

    models: tuple[str, ...]
    latency_ms: float
    """Of the first page."""


async def listed(manner: Manner, address: str, key: str | None, timeout_s: float) -> Listing:
    """The models of a provider. Raises CallError when it does not answer, or refuses."""
    import aiohttp

    names: list[str] = []
    query: dict[str, str] = {"anthropic": {"limit": "1000"}, "gemini": {"pageSize": "1000"}}.get(manner, {})
    first_ms: float | None = None
    timeout = aiohttp.ClientTimeout(total=timeout_s)
    try:
        async with aiohttp.ClientSession(timeout=timeout, headers=_headers(manner, key), trust_env=True) as session:
            for _ in range(MOST_PAGES):
                started = time.perf_counter()
                async with session.get(f"{address.rstrip('/')}/models", params=query) as response:
                    content = await response.content.read(LARGEST_PAGE)
                    status, headers = response.status, response.headers
                first_ms = first_ms or (time.perf_counter() - started) * 1000
                if status >= 400:
                    raise _refused(status, content, headers)
                page = _page(content)
                names += _names(manner, page)
                following = _following(manner, page)
                if following is None:
                    break
                query |= following
    except TimeoutError as error:
        raise CallError("timeout", f"no listing within {timeout_s:g} s") from error
    except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as error:
        raise AssayError(f"{one_line(address)} is no HTTP address of a provider.") from error
    except (aiohttp.ClientError, OSError) as error:
        raise CallError("connection", one_line(f"{type(error).__name__}: {error}")) from error
    return Listing(models=tuple(dict.fromkeys(names)), latency_ms=first_ms or 0.0)


def _headers(manner: Manner, key: str | None) -> dict[str, str]:
    if manner == "anthropic":
        return {"anthropic-version": "2023-06-01"} | ({"x-api-key": key} if key else {})
    if manner == "gemini":
        return {"x-goog-api-key": key} if key else {}
    return {"Authorization": f"Bearer {key}"} if key else {}


def _page(content: bytes) -> Mapping[str, Any]:
    try:
        page = orjson.loads(content)
    except ValueError as error:
        raise CallError("bad_reply", f"the listing is not JSON: {one_line(repr(content[:60]))}") from error
    if not isinstance(page, dict):
        raise CallError("bad_reply", "the listing is not a JSON object")
    return page


def _names(manner: Manner, page: Mapping[str, Any]) -> list[str]:
    rows = page.get("models" if manner == "gemini" else "data")
    if not isinstance(rows, list):
        raise CallError("bad_reply", "the listing names no models")
    found = [field_of(row, "name" if manner == "gemini" else "id") for row in rows]
    return [name.removeprefix("models/") for name in found if isinstance(name, str) and name]


def _following(manner: Manner, page: Mapping[str, Any]) -> dict[str, str] | None:
    """What to ask the next page with; None on the last."""
    if manner == "gemini":
        token = page.get("nextPageToken")
        return {"pageToken": str(token)} if token else None
    if manner == "anthropic" and page.get("has_more") and page.get("last_id"):
        return {"after_id": str(page["last_id"])}
    return None


def _refused(status: int, content: bytes, headers: Mapping[str, str]) -> CallError:
    said = ""
    try:
        error = field_of(orjson.loads(content), "error")
        said = str(error if isinstance(error, str) else field_of(error, "message") or "")
    except ValueError:
        said = content[:200].decode("utf-8", "replace")
    return error_of_status(status, said, "", retry_after(headers))
