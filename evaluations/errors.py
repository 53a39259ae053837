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


class InfrastructureError(AssayError):
    """What we stand on failed."""

    exit_code: ClassVar[int] = 3


def unknown_name(kind: str, name: str, known: list[str]) -> str:
    """The sentence for a name that nobody knows: the nearest one and the full list.

    >>> unknown_name("scorer", "exactt", ["exact", "regex"])
    "no scorer is named 'exactt'; did you mean 'exact'? Known: exact, regex."
    """
    near = get_close_matches(name, known, n=1, cutoff=0.6)
    guess = f"; did you mean {near[0]!r}?" if near else "."
    return f"no {kind} is named {name!r}{guess} Known: {', '.join(sorted(known))}."
