"""The family of errors that a person is meant to read.

AssayError            something given was wrong; exit code 2, nothing was run, nothing is lost
└── InfrastructureError   something around us failed (database, disk, provider); exit code 3, what was committed stays

A message says what was given and what would do. It never holds a secret.
"""

from difflib import get_close_matches
from typing import ClassVar


class AssayError(Exception):
    """What was given cannot be used."""

    exit_code: ClassVar[int] = 2


class NothingYet(AssayError):
    """There is nothing to write about: no fault of anybody's."""


class InfrastructureError(AssayError):
    """What we stand on failed."""

    exit_code: ClassVar[int] = 3


LISTED = 24
"""More names than these are not listed in an error; a command does that."""


def unknown_name(kind: str, name: str, known: list[str]) -> str:
    """The sentence for a name that nobody knows: the nearest one, and the known ones as far as a person reads on.

    >>> unknown_name("scorer", "exactt", ["exact", "regex"])
    "no scorer is named 'exactt'; did you mean 'exact'? Known: exact, regex."
    """
    if not known:
        return f"no {kind} is named {name!r}: there is none yet."
    near = get_close_matches(name, known, n=6, cutoff=0.6)
    guess = f"; did you mean {near[0]!r}?" if near else "."
    if len(known) <= LISTED:
        return f"no {kind} is named {name!r}{guess} Known: {', '.join(sorted(known))}."
    alike = f" Alike: {', '.join(near[1:])}." if near[1:] else ""
    return f"no {kind} is named {name!r}{guess}{alike} {len(known)} are known."
