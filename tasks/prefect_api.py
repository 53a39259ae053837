"""The Prefect server's HTTP interface, as far as the platform needs it, without importing Prefect.

`import prefect` takes longer than all that is asked here.
"""

import json
import os
import time
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.parse import SplitResult, quote, unquote, urlsplit

from evaluations.errors import InfrastructureError

BUSY = (429, 502, 503)
BUSY_PAUSE_S = 0.3
BUSY_TRIES = 20
"""SQLite under Prefect lets one writer in at a time; the others are told to come again."""


class Unreachable(InfrastructureError):
    """The server did not answer."""


class Refused(InfrastructureError):
    """The server answered that it would not."""

    def __init__(self, status: int, asked: str, said: str) -> None:
        self.status = status
        super().__init__(f"the Prefect server refused {asked} with status {status}: {said[:300]}")


@dataclass(frozen=True, slots=True)
class PrefectApi:
    """A server to ask. Raises Unreachable when it does not answer in time, Refused when it says no."""

    url: str
    timeout_s: float = 10.0

    def get(self, path: str) -> Any:
        return self._ask("GET", path, None)

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        return self._ask("POST", path, body)

    def patch(self, path: str, body: Mapping[str, Any]) -> Any:
        return self._ask("PATCH", path, body)

    def delete(self, path: str) -> None:
        self._ask("DELETE", path, None)

    def healthy(self) -> bool:
        """True when the server answers that it is well."""
        try:
            return _exchange(self.url, "GET", "/health", None, self.timeout_s)[0] == 200
        except (OSError, HTTPException, ValueError):  # ValueError: no address at all
            return False

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None) -> Any:
        asked = f"{method} {path}"
        for attempt in range(BUSY_TRIES):
            try:
                status, said = _exchange(self.url, method, path, body, self.timeout_s)
            except (OSError, HTTPException, ValueError) as problem:
                raise Unreachable(
                    f"the Prefect server at {without_login(self.url)} does not answer ({type(problem).__name__}). "
                    "`assay status` shows what is wrong, `assay up` mends it."
                ) from problem
            if status not in BUSY or attempt == BUSY_TRIES - 1:
                break
            time.sleep(BUSY_PAUSE_S)
        if status >= 400:
            raise Refused(status, asked, said.decode(errors="replace"))
        return json.loads(said) if said else None


def without_login(api_url: str) -> str:
    """An address may hold a password; a message may not."""
    scheme, sign, rest = api_url.rpartition("://")
    return scheme + sign + rest.rpartition("@")[2]


def _exchange(url: str, method: str, path: str, body: Mapping[str, Any] | None, timeout_s: float) -> tuple[int, bytes]:
    parts = urlsplit(url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(parts.hostname or "127.0.0.1", parts.port, timeout=timeout_s)
    try:
        connection.request(
            method,
            quote(parts.path.rstrip("/") + path),
            None if body is None else json.dumps(body),
            {"Content-Type": "application/json", **_credentials(parts)},
        )
        reply: HTTPResponse = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()


def _credentials(parts: SplitResult) -> dict[str, str]:
    """How Prefect's own clients identify themselves: by these variables, or by what stands in the address."""
    if key := os.environ.get("PREFECT_API_KEY"):
        return {"Authorization": f"Bearer {key}"}
    login = os.environ.get("PREFECT_API_AUTH_STRING") or (
        f"{unquote(parts.username)}:{unquote(parts.password or '')}" if parts.username else ""
    )
    return {"Authorization": f"Basic {b64encode(login.encode()).decode()}"} if login else {}
