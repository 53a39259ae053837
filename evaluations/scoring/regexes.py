"""Regular expressions of suite authors, run so that neither a bad pattern nor a hostile answer can hang a
run.

The `regex` library is used instead of `re` because it can be told when to give up: a pattern such as
`(a+)+$` needs exponential time on some answers, and Python's own module would hold the whole process
meanwhile. The limit is processor time. A search that reaches it raises TimeoutError, and the answer is left
unscored.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, Literal, TypeVar

T = TypeVar("T")
Take = Literal["first", "last"]

TIME_LIMIT_S = 1.0
"""Processor time that one search may take. Ordinary patterns need microseconds."""


@lru_cache(maxsize=1024)
def compiled(pattern: str, ignore_case: bool = False) -> Any:
    """The compiled pattern. Raises ValueError, with the place, where it is no regular expression."""
    import regex  # type: ignore[import-untyped]  # the library ships no types

    try:
        return regex.compile(pattern, regex.IGNORECASE if ignore_case else 0)
    except (regex.error, OverflowError, RecursionError) as error:
        raise ValueError(f"{pattern!r} is not a regular expression: {error}") from None


def matches(pattern: str, text: str, *, ignore_case: bool = False) -> Iterator[str]:
    """What each match caught: its first group that took part, or the whole match where there is no group.

    Raises TimeoutError when the search exceeds TIME_LIMIT_S.
    """
    for match in compiled(pattern, ignore_case).finditer(text, timeout=TIME_LIMIT_S):
        yield next((group for group in match.groups() if group is not None), match.group())


def found(pattern: str, text: str, *, ignore_case: bool = False) -> bool:
    """Whether the pattern matches anywhere. Raises TimeoutError when the search exceeds TIME_LIMIT_S."""
    return compiled(pattern, ignore_case).search(text, timeout=TIME_LIMIT_S) is not None


def fills(pattern: str, text: str, *, ignore_case: bool = False) -> bool:
    """Whether the pattern matches the whole text. Raises TimeoutError when the search exceeds
    TIME_LIMIT_S."""
    return compiled(pattern, ignore_case).fullmatch(text, timeout=TIME_LIMIT_S) is not None


def picked(items: Iterable[T], take: Take) -> T | None:
    """The first or last of some items; None where there are none. A first item is not looked beyond."""
    return next(iter(items if take == "first" else deque(items, maxlen=1)), None)
