"""Notifying: what the outbox holds is sent, by Apprise to people and by signed webhooks to machines.

Addresses and secrets are read from a variable or a file when they are needed, and stand in no row, message or log: of
what a channel said only its HTTP status is kept.
"""

import logging
import os
import random
import re
import stat
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from evaluations.errors import AssayError
from evaluations.notifications import TEST, Event, as_json, message, wait_after
from evaluations.wording import count
from tasks.delivering import is_http, post_signed
from tasks.settings import settings
from tasks.store import notifications as stored
from tasks.store.database import transaction
from tasks.store.notifications import Channel, Delivery

AT_ONCE = 500
"""More are left to the next sweep."""
SOON = 10
"""So many a command sends itself before it ends."""
_STATUS = re.compile(r"error=(\d{3})\b")
_LONGEST_SECRET = 16_384


@dataclass(frozen=True, slots=True)
class Notified:
    """What a sweep did, by channel."""

    delivered: Counter[str]
    failed: dict[str, str]
    """Channels that did not take something, with the reason; the rest of theirs waits for the next sweep."""
    dead: int

    def __str__(self) -> str:
        said = [f"{count(number, 'message')} to {name}." for name, number in sorted(self.delivered.items())]
        said += [f"{name} failed: {why}." for name, why in sorted(self.failed.items())]
        if self.dead:
            said.append(f"{count(self.dead, 'delivery', 'deliveries')} given up: assay notifications retry.")
        return " ".join(said) or "Nothing was waiting to be told."


def send_waiting(most: int = AT_ONCE) -> Notified:
    """Send what is due, one after the other, each settled before the next. Safe to run at once and to kill anywhere."""
    given = settings()
    delivered: Counter[str] = Counter()
    failed: dict[str, str] = {}
    with transaction() as connection:
        dead = stored.bury(connection)
    for _ in range(most):
        with transaction() as connection:
            claimed = stored.claim(connection, given.actor, list(failed))
        if claimed is None:
            break
        error = send(claimed.channel, claimed.event)
        with transaction() as connection:
            stored.settle(connection, claimed, error=error, wait_s=_wait(claimed))
        if error:
            failed[claimed.channel.name] = error
        else:
            delivered[claimed.channel.name] += 1
    return Notified(delivered, failed, dead)


def send_soon() -> str:
    """What a command does about what it decided, before it ends; the sweep does what it could not. Empty when all went.

    It raises nothing: what was decided is decided, whether or not it could be told.
    """
    try:
        done = send_waiting(SOON)
    except AssayError as problem:
        return f"not told yet: {problem}"
    return f"not told yet: {done}" if done.failed else ""


def send(channel: Channel, event: Event) -> str:
    """Hand one event to one channel. Gives why not, without a secret; empty when it was taken."""
    try:
        address = secret_of(channel.address_ref)
        if channel.kind == "webhook":
            return _post(channel, address, event)
    except AssayError as problem:
        return str(problem)
    return _notify(address, event)


def send_test(channel: Channel) -> None:
    """Try a channel with an event that says it is one. Raises AssayError when it is not taken."""
    event = Event(
        key=uuid4(),
        name=TEST,
        target=f"channel:{channel.name}",
        feature=None,
        environment=None,
        why="to see whether it takes messages",
        facts={},
        sample_data=False,
        actor=settings().actor,
        at=datetime.now(UTC),
    )
    error = send(channel, event)
    if error:
        raise AssayError(f"{channel.name} did not take it: {error}")


def secret_of(reference: str) -> str:
    """What a reference names. Raises AssayError where there is nothing, naming the place and never the content."""
    kind, _, place = reference.partition(":")
    if kind == "env":
        value = os.environ.get(place, "")
    else:
        try:
            if not stat.S_ISREG(Path(place).stat().st_mode):
                raise AssayError(f"{place} is no file")
            with Path(place).open(encoding="utf-8") as file:
                value = file.read(_LONGEST_SECRET)
        except (OSError, UnicodeDecodeError) as problem:
            reason = getattr(problem, "strerror", None) or "it is no text"
            raise AssayError(f"the file {place} cannot be read: {reason}") from None
    if not value.strip():
        raise AssayError(f"{'the variable' if kind == 'env' else 'the file'} {place} is empty")
    return value.strip()


def _wait(claimed: Delivery) -> float:
    return wait_after(claimed.attempts, random.random())


def _post(channel: Channel, address: str, event: Event) -> str:
    if not is_http(address):
        return "its address is none of a webhook, such as https://hooks.example.com/assay"
    secret = None if channel.signing_ref is None else secret_of(channel.signing_ref).encode()
    headers = {"X-Assay-Event": event.name, "X-Assay-Delivery": str(event.key)}
    taken, said = post_signed(address, as_json(event), headers, secret)
    # Of anything but a status the words may repeat the address.
    return "" if taken else said if said.startswith("HTTP ") else f"it was not reached ({said.partition(':')[0]})"


def _notify(address: str, event: Event) -> str:
    import apprise

    said = message(event)
    with _overheard() as heard:
        asset = apprise.AppriseAsset(app_id="Assay", app_desc="Assay", secure_logging=True)
        service = apprise.Apprise(asset=asset)
        if not service.add(address):
            return "its address is none that Apprise knows (https://github.com/caronc/apprise/wiki)"
        if service.notify(title=said.title, body=said.body, body_format=apprise.NotifyFormat.TEXT):
            return ""
    found = next((match[1] for line in heard if (match := _STATUS.search(line))), None)
    return f"HTTP {found}" if found else "it was not reached, or did not take it"


@contextmanager
def _overheard() -> Iterator[list[str]]:
    """What Apprise and its HTTP client log meanwhile, kept from every other log: it repeats the address."""
    heard: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.append(record.getMessage())

    listener = Listener(logging.WARNING)
    loggers = [logging.getLogger(name) for name in ("apprise", "urllib3", "requests")]
    before = [logger.propagate for logger in loggers]
    for logger in loggers:
        logger.addHandler(listener)
        logger.propagate = False
    try:
        yield heard
    finally:
        for logger, propagated in zip(loggers, before, strict=True):
            logger.propagate = propagated
            logger.removeHandler(listener)
