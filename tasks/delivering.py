"""Delivering flags over HTTP: to a store by PUT, to a receiver by a signed webhook; the very document of the file.

The file is what counts and is written first. What could not be delivered is noted, and the next sweep tries again. The
secret is named by an environment variable and stands in no row, message or log.
"""

import hashlib
import hmac
import os
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Connection

from evaluations.errors import AssayError
from tasks.flags import Published, document_of
from tasks.secrets import without_secrets
from tasks.settings import Settings, settings
from tasks.store.database import transaction
from tasks.store.experiments import hold_deliveries
from tasks.store.flag_deliveries import last_delivered, save_delivery

TIMEOUT_S = 5.0
UNDER_WAY = "it was being handed over; what is there is not known until it is tried again"
SIGNATURE = "X-Assay-Signature"
TIMESTAMP = "X-Assay-Timestamp"


@dataclass(frozen=True, slots=True)
class Delivery:
    """A document that was handed over, or could not be."""

    channel: str
    to: str
    """Host and port: an address may hold a secret."""
    delivered: bool
    detail: str

    def __str__(self) -> str:
        return f"{self.channel} to {self.to}: {self.detail}"


def deliver(environment: str, *, again: bool = False) -> list[Delivery]:
    """Hand the flags of an environment over to every channel that does not have them yet; `again`: to every channel.

    Two at once are one after the other, so that the later state is the last one delivered. It is committed that a
    channel is about to get another document before it does: should the process be killed meanwhile, nobody takes the
    channel for having the one of before. Raises AssayError for an address or a secret that cannot be used.
    """
    given = settings()
    channels = _channels(given, environment)
    if not channels:
        return []
    with transaction() as connection:
        hold_deliveries(connection, environment)
        published = document_of(connection, environment)
        for channel, has in last_delivered(connection, environment).items():
            if channel in dict(channels) and (again or has != published.hash):
                _note(connection, published, channel, False, UNDER_WAY)
    with transaction() as connection:
        hold_deliveries(connection, environment)
        published = document_of(connection, environment)
        known = last_delivered(connection, environment)
        done = [
            _hand_over(channel, address, published, _secret(given))
            for channel, address in channels
            if channel not in known
        ]
        for each in done:
            _note(connection, published, each.channel, each.delivered, each.detail)
    return done


def _note(connection: Connection, published: Published, channel: str, delivered: bool, detail: str) -> None:
    save_delivery(
        connection,
        published.environment,
        channel,
        published.hash,
        delivered=delivered,
        detail=detail,
        actor=settings().actor,
    )


def _channels(given: Settings, environment: str) -> list[tuple[str, str]]:
    named = (("put", given.flags_put, "ASSAY_FLAGS_PUT"), ("webhook", given.flags_webhook, "ASSAY_FLAGS_WEBHOOK"))
    found = []
    for channel, address, setting in named:
        if address is None:
            continue
        filled = address.replace("{environment}", environment)
        if not is_http(filled):
            raise AssayError(f"{setting} is an address such as https://config.example.com/flags/{{environment}}.json.")
        found.append((channel, filled))
    return found


def is_http(address: str) -> bool:
    """Is it an http(s) address with a host in it?"""
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def _secret(given: Settings) -> bytes | None:
    if given.flags_secret_env is None:
        return None
    # As a file that ends with a new line gives it; a header could not carry that.
    value = os.environ.get(given.flags_secret_env, "").strip()
    if not value:
        raise AssayError(
            f"the environment variable {given.flags_secret_env}, named by ASSAY_FLAGS_SECRET_ENV, is empty."
        )
    return value.encode()


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirected POST would arrive as a GET without the document, and count as delivered."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _hand_over(channel: str, address: str, published: Published, secret: bytes | None) -> Delivery:
    body = published.document.encode()
    headers = {"X-Assay-Environment": published.environment}
    if channel == "webhook":
        delivered, said = post_signed(address, body, headers, secret)
    else:
        request = _request(address, body, headers, "PUT")
        if secret is not None:
            request.add_unredirected_header("Authorization", f"Bearer {secret.decode()}")
        delivered, said = _send(request)
    return Delivery(channel, urlsplit(address).netloc.rpartition("@")[2], delivered, said)


def post_signed(address: str, body: bytes, headers: Mapping[str, str], secret: bytes | None) -> tuple[bool, str]:
    """POST JSON to an http(s) address, signed where there is a secret. Gives whether it was taken, and the answer."""
    request = _request(address, body, headers, "POST")
    if secret is not None:
        moment = str(int(time.time()))
        request.add_header(TIMESTAMP, moment)
        request.add_header(SIGNATURE, signature(secret, moment, body))
    return _send(request)


def _request(address: str, body: bytes, headers: Mapping[str, str], method: str) -> urllib.request.Request:
    every = {"Content-Type": "application/json", **headers}
    return urllib.request.Request(address, data=body, headers=every, method=method)  # noqa: S310 - its scheme was checked


def _send(request: urllib.request.Request) -> tuple[bool, str]:
    try:
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=TIMEOUT_S) as answer:
            return True, f"HTTP {answer.status}"
    except urllib.error.HTTPError as problem:
        return False, f"HTTP {problem.code}"
    except OSError as problem:
        reason = getattr(problem, "reason", None) or problem
        return False, without_secrets(f"{type(problem).__name__}: {reason}")
    except (ValueError, HTTPException) as problem:
        # Their words repeat the address, the header with the secret, or what the other side said.
        return False, f"{type(problem).__name__}: no HTTP could be spoken with it"


def signature(secret: bytes, moment: str, body: bytes) -> str:
    """What a receiver compares: HMAC-SHA256 over the time (Unix seconds, as in its header), a dot and the body."""
    return "sha256=" + hmac.new(secret, moment.encode() + b"." + body, hashlib.sha256).hexdigest()
