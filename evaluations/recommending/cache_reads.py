"""What a provider's prompt cache would have had, told from what it had when it did answer.

Logs of production hold no prompts. But where a cache answered, the log says how many tokens it had; requests of the
same prompt version to the same model begin alike, so the ones shortly after another could have read as many.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from evaluations.pricing import TokenClass
from evaluations.recommending.caching import Prompted

LEAST_READS: Final = 30
"""Reads of one prompt version below which nobody knows how its prompts begin."""
MEMORY: Final = timedelta(hours=1)
SHORT_MEMORY: Final = timedelta(minutes=5)
"""What vendors keep prefixes for: five minutes at least, an hour where it is asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Billed:
    """One production request, as it was billed."""

    at: datetime
    begins_as: str
    """Equal for requests whose prompts begin alike: the prompt version."""
    tokens: dict[TokenClass, int]


def as_cacheable(requests: Sequence[Billed], memory: timedelta) -> list[Prompted]:
    """The requests with what a cache with this memory would have had of them, in the order of time given.

    A prompt version with fewer reads than `LEAST_READS` stays as it is.
    """
    read: dict[str, list[int]] = {}
    for each in requests:
        if each.tokens.get("cached", 0):
            read.setdefault(each.begins_as, []).append(each.tokens["cached"])
    begins = {name: round(sum(sizes) / len(sizes)) for name, sizes in read.items() if len(sizes) >= LEAST_READS}
    last: dict[str, datetime] = {}
    found = []
    for each in requests:
        before = last.get(each.begins_as)
        warm = before is not None and each.at - before <= memory
        last[each.begins_as] = each.at
        own = each.tokens.get("cached", 0)
        # What did read is taken to have read all there was.
        missed = warm and not own
        cacheable = min(begins.get(each.begins_as, 0), each.tokens.get("input", 0)) if missed else own
        found.append(Prompted(tokens=each.tokens, cacheable=cacheable))
    return found


def reads_known(requests: Sequence[Billed]) -> int:
    """Requests that read something from a cache."""
    return sum(each.tokens.get("cached", 0) > 0 for each in requests)
