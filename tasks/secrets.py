"""Secrets: what is in the environment under a secret's name must reach no row, report, log or traceback.

A provider may repeat a key in its error, a database driver the address it was given. So texts are cleaned where they
leave for good: in the ledger before a row is written, in the command before an unexpected error is told.
"""

import os
import re

SHORTEST = 8
"""A shorter value is no secret, and would be found in ordinary words."""
SECRET_NAME = re.compile(r"(?i)key|token|secret|passw|credential")
HIDDEN = "…"


def secret_values() -> tuple[str, ...]:
    """The values of environment variables whose names speak of a secret, longest first."""
    found = {value for name, value in os.environ.items() if SECRET_NAME.search(name) and len(value) >= SHORTEST}
    return tuple(sorted(found, key=lambda value: (-len(value), value)))


def without_secrets(text: str) -> str:
    """The text without those values, and without passwords in addresses."""
    for value in secret_values():
        text = text.replace(value, HIDDEN)
    text = re.sub(r"(://[^/\s:@]*:)[^\s@]+@", rf"\1{HIDDEN}@", text)
    return re.sub(r"(password=)[^&\s]+", rf"\1{HIDDEN}", text)
