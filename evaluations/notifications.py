"""Notifications: what happened, said in a few words to people and machines, and when to try again.

Whatever people, models or files put into it is hostile text: it arrives as one line, calls nobody and links nowhere.
"""

import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from evaluations.errors import AssayError, unknown_name

Kind = Literal["apprise", "webhook"]
EVENTS: Mapping[str, str] = {
    "experiment.decided": "was decided",
    "deployment.asked": "is to get another bundle",
    "deployment.approved": "is to get another bundle: approved",
    "deployment.rejected": "is to get another bundle: rejected",
    "deployment.advanced": "has a bundle on a larger share of the traffic",
    "deployment.waits": "waits for a person's word on its bundle",
    "deployment.promoted": "has another bundle, live for all",
    "deployment.rolled_back": "has a bundle less: it was taken out of the traffic",
    "deployment.failed": "does not get the bundle that was asked for",
    "feature.rolled_back": "is back on an earlier bundle",
    "role.granted": "has a role more",
    "role.revoked": "has a role less",
}
"""What is told of, with its verb."""
TEST = "channel.tested"
"""No event, but a person who tries a channel."""
MOST_ATTEMPTS = 8
"""After so many a delivery is dead until a person has it tried again: one to two hours after the event."""
FIRST_WAIT_S, LONGEST_WAIT_S = 60.0, 3600.0
LONGEST_TEXT = 400
_SECRET_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that was decided or done, as the outbox has it."""

    key: UUID
    """The same in every attempt and on every channel: whoever has seen it need not act again."""
    name: str
    target: str
    """kind:id of what it is about."""
    feature: str | None
    environment: str | None
    why: str
    facts: Mapping[str, Any]
    sample_data: bool
    actor: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Message:
    """What people read."""

    title: str
    body: str


def message(event: Event) -> Message:
    """An event in words."""
    where = f" in {plain(event.environment)}" if event.environment else ""
    about = plain(event.feature or event.target.partition(":")[2])
    if event.name.startswith("experiment."):
        about, where = plain(event.target.partition(":")[2]), f" of {about}{where}"
    verb = "is tried: nothing happened" if event.name == TEST else EVENTS.get(event.name, event.name)
    if event.facts.get("to") == "pending_approval":
        verb += ", and waits for approval"
    sample = "[sample data] " if event.sample_data else ""
    lines = [f"{label}: {said}" for label, said in _told(event) if said]
    lines.append(f"{event.at:%Y-%m-%d %H:%M} UTC, event {event.key}")
    return Message(f"{sample}{about}{where} {verb}", "\n".join(lines))


def _told(event: Event) -> list[tuple[str, str]]:
    facts = event.facts
    bundle = " on ".join(plain(str(facts[name])) for name in ("prompt", "model") if facts.get(name))
    percent = facts.get("percent")
    return [
        ("Bundle", bundle),
        ("Traffic", f"{percent} %" if percent and event.name.startswith(("deployment.adv", "deployment.prom")) else ""),
        ("Outcome", plain(" ".join(str(facts[name]) for name in ("outcome", "variant", "role") if facts.get(name)))),
        ("About", plain(event.target)),
        ("By", plain(event.actor)),
        ("Why", plain(event.why)),
    ]


def as_json(event: Event) -> bytes:
    """An event for machines: what a signed webhook carries, the same bytes in every attempt."""
    said = message(event)
    return json.dumps(
        {
            "id": str(event.key),
            "event": event.name,
            "at": event.at.isoformat(),
            "target": event.target,
            "feature": event.feature,
            "environment": event.environment,
            "actor": event.actor,
            "why": event.why,
            "facts": dict(event.facts),
            "sample_data": event.sample_data,
            "title": said.title,
            "body": said.body,
        },
        sort_keys=True,
    ).encode()


def plain(text: str) -> str:
    """Text that chat programs show as it is: one line without control marks, that names nobody and is no link.

    An @ before a digit stays: it is that of a prompt's version.

    >>> plain("now @everyone\\nsee [here](https://x.example) <!channel>").replace(chr(0x200B), "|")
    'now @|everyone see [here]|(https:|//x.example) <|!channel>'
    """
    shown = "".join(" " if unicodedata.category(each).startswith(("C", "Z")) else each for each in text)
    cut = " ".join(shown.split())
    cut = cut if len(cut) <= LONGEST_TEXT else f"{cut[: LONGEST_TEXT - 1]}…"
    return re.sub(r"(@(?!\d)|<|:(?=//)|\](?=\())", "\\1\u200b", cut)


def wait_after(attempt: int, luck: float) -> float:
    """Seconds until the next attempt after so many failed; doubling, with half of it left to `luck` in [0, 1).

    >>> [wait_after(n, 0.0) for n in (1, 2, 3, 8)], wait_after(1, 0.5)
    ([30.0, 60.0, 120.0, 1800.0], 45.0)
    """
    longest = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** (attempt - 1))
    return longest * (1 + luck) / 2


def check_event(pattern: str) -> str:
    """An event's name, all of a kind (`deployment.*`), or all (`*`). Raises AssayError for what never happens."""
    kinds = {f"{name.partition('.')[0]}.*" for name in EVENTS}
    if pattern in EVENTS or pattern in kinds or pattern == "*":
        return pattern
    raise AssayError(unknown_name("event", pattern, [*EVENTS, *sorted(kinds), "*"]))


def secret_reference(variable: str | None, file: str | None, what: str) -> str:
    """`env:NAME` or `file:/path`: where a secret is. Raises AssayError for what is none, without repeating it."""
    if (variable is None) == (file is None):
        raise AssayError(f"{what} is named by one of an environment variable and a file.")
    if file is not None:
        if not file.startswith("/") or not file.isprintable():
            raise AssayError(f"the file of {what} is named by its whole path, e.g. /run/secrets/ops.")
        return f"file:{file}"
    assert variable is not None
    if not _SECRET_NAME.fullmatch(variable):
        raise AssayError(f"{what} is named by its environment variable, e.g. OPS_URL; what was given is no such name.")
    return f"env:{variable}"
