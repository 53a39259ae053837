"""The chain of decisions: each entry carries the hash of the one before, so that none can be changed unseen."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

FIRST = "0" * 64
"""What the first entry has for the hash of the one before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """A decision, who made it, about what, and why."""

    seq: int
    """1, 2, 3, … without gaps."""
    at: datetime
    actor: str
    action: str
    target: str
    """kind:id"""
    feature: str | None
    environment: str | None
    why: str
    facts: Mapping[str, Any]
    facts_text: str
    """The facts as the database writes them: what was hashed."""
    previous_hash: str
    hash: str

    def reckoned(self) -> str:
        """The hash that it has to have: SHA-256 over every column, each with its length in bytes before it."""
        parts = (
            *(self.previous_hash, str(self.seq), f"{self.at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}"),
            *(self.actor, self.action, self.target, self.feature, self.environment, self.why, self.facts_text),
        )
        said = "".join("-" if part is None else f"{len(part.encode())}:{part}" for part in parts)
        return hashlib.sha256(said.encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What a walk along the chain found."""

    entries: int
    head: str
    """The hash of the last entry that is as it was written: kept elsewhere, it proves all before it."""
    broken_at: int | None = None
    """The first entry that is not as it was written, or is gone."""
    why: str = ""

    def __str__(self) -> str:
        if self.broken_at is None:
            return f"{self.entries:,} entries, each as it was written. The chain ends with {self.head}."
        return (
            f"the chain is broken at entry {self.broken_at}: {self.why}. The {self.entries:,} before it are as they "
            f"were written, up to {self.head}."
        )


def verify(entries: Iterable[AuditEntry], *, end: tuple[int, str], known: str | None = None) -> Verified:
    """Walk along the chain, the first entry first, to where it says that it ends.

    `known` is a hash that was noted earlier: the chain has to contain it, else it was written anew as a whole.
    """
    number, before, seen = 0, FIRST, known is None or known == FIRST
    for entry in entries:
        why = _broken(entry, number + 1, before)
        if why:
            return Verified(entries=number, head=before, broken_at=number + 1, why=why)
        number, before = entry.seq, entry.hash
        seen = seen or before == known
    if (number, before) != end:
        gone = number < end[0]
        why = f"entries up to {end[0]} were written, and these are gone" if gone else "its recorded end is another one"
        return Verified(entries=number, head=before, broken_at=number + 1 if gone else number, why=why)
    if not seen:
        why = f"no entry has the hash {known}, which was noted earlier"
        return Verified(entries=0, head=FIRST, broken_at=1, why=why)
    return Verified(entries=number, head=before)


def _broken(entry: AuditEntry, number: int, before: str) -> str:
    if entry.seq != number:
        return "it is gone"
    if entry.previous_hash != before:
        return "it does not follow on the one before"
    if entry.reckoned() != entry.hash:
        return f"its content is not what was hashed ({entry.action} of {entry.target}, by {entry.actor})"
    return ""
