"""Personal data and credentials taken out of texts, counted by kind, before anything is written.

What is found is replaced by its kind in brackets. When looking fails, the text is not written at all.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from evaluations.requests import FIELDS, IDENTIFIERS
from evaluations.scoring.base import Scored
from evaluations.scoring.patterns import NoSecrets, pii_in
from tasks.ingest.typed import Typed

if TYPE_CHECKING:
    import pandas as pd

PSEUDONYM = "pseudonym:"
"""Begins a subject that is a pseudonym already, as rows in quarantine have it."""
_SECRETS = NoSecrets()
SCRUBBED = tuple(field.name for field in FIELDS if field.kind == "text" and field.name not in IDENTIFIERS)


def scrub(text: str) -> tuple[str, Counter[str]]:
    """The text without personal data, and how many of each kind were in it.

    >>> scrub("write to jane@example.com")
    ('write to [email]', Counter({'email': 1}))
    """
    found: Counter[str] = Counter()
    if not any(sign in "@0123456789-_" for sign in text):
        return text, found  # no kind is written without one of these
    if isinstance(judged := _SECRETS.judge(text), Scored) and judged.value < 1:
        return "[credential]", Counter({"credential": 1})
    for kind, value in sorted(pii_in(text), key=lambda each: -len(each[1])):
        text = text.replace(value, f"[{kind}]")
        found[kind] += 1
    return text, found


def scrub_value(value: Any, found: Counter[str]) -> Any:
    """A JSON value with every text in it scrubbed, keys included; counts go to `found`."""
    if isinstance(value, str):
        clean, more = scrub(value)
        found.update(more)
        return clean
    if isinstance(value, Mapping):
        return {scrub_value(str(key), found): scrub_value(each, found) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [scrub_value(each, found) for each in value]
    return value


def scrub_rows(rows: Typed, key: bytes) -> Counter[str]:
    """Scrub every text of the rows in place and make pseudonyms of subjects; counts of what was taken out.

    An id that holds an e-mail address is a fault of its row: it could be neither kept nor changed.
    """
    counts: Counter[str] = Counter()
    for name in [name for name in SCRUBBED if name in rows.frame]:
        _scrub_column(rows, name, counts)
    for name in [name for name in IDENTIFIERS if name != "subject" and name in rows.frame]:
        column = rows.frame[name]
        if not any("@" in each for each in _different(column)):
            continue
        for position, value in column[column.str.contains("@", na=False)].items():
            if any(kind == "email" for kind, _ in pii_in(str(value), ("email",))):
                rows.fault(int(str(position)), f"{name} holds an e-mail address, which is no id: use another one")
    if "subject" in rows.frame:
        known = {each: pseudonym(each, key).hex() for each in _different(rows.frame["subject"])}
        rows.frame["subject"] = _mapped(rows.frame["subject"], known)
    return counts


def _scrub_column(rows: Typed, name: str, counts: Counter[str]) -> None:
    column = rows.frame[name]
    clean: dict[str, str | None] = {}
    changed: dict[str, Counter[str]] = {}
    failed: dict[str, str] = {}
    for value in _different(column):
        try:
            clean[value], found = scrub(value)
        except Exception as problem:  # noqa: BLE001 - whatever it was, an unscrubbed text is not written
            clean[value], failed[value] = None, type(problem).__name__
            continue
        if found:
            changed[value] = found
    if not changed and not failed:
        return
    for position, value in column[column.isin([*changed, *failed])].items():
        counts.update(changed.get(value, {}))
        if value in failed:
            rows.fault(int(str(position)), f"{name} could not be searched for personal data ({failed[value]})")
    rows.frame[name] = _mapped(column, clean)


def _different(column: "pd.Series[Any]") -> set[str]:
    """Every text of a column; what is missing is None, and is none."""
    different = set(column)
    different.discard(None)
    return different


def _mapped(column: "pd.Series[Any]", to: Mapping[str, Any]) -> "pd.Series[Any]":
    import pandas as pd

    return pd.Series([None if value is None else to.get(value) for value in column], index=column.index, dtype=object)


def pseudonym(subject: str, key: bytes) -> bytes:
    """16 bytes that stand for a subject: the same for the same one, and not to be guessed without the key."""
    if subject.startswith(PSEUDONYM):
        try:
            given = bytes.fromhex(subject.removeprefix(PSEUDONYM))
        except ValueError:
            given = b""
        if len(given) == 16:
            return given
    return hashlib.blake2b(subject.encode(), key=key, digest_size=16).digest()


def safe_record(record: Mapping[str, Any], key: bytes) -> dict[str, Any] | None:
    """A record as quarantine may keep it: scrubbed, its subject a pseudonym; None when that fails."""
    try:
        found: Counter[str] = Counter()
        safe = {
            scrub_value(str(name), found): value if _is_plain_id(name, value) else scrub_value(value, found)
            for name, value in record.items()
            if name != "subject"
        }
        if isinstance(subject := record.get("subject"), str | int) and subject != "":
            safe["subject"] = f"{PSEUDONYM}{pseudonym(str(subject), key).hex()}"
        return safe
    except Exception:  # noqa: BLE001 - whatever it was, an unscrubbed record is not written
        return None


def _is_plain_id(name: str, value: Any) -> bool:
    return name in IDENTIFIERS and isinstance(value, str) and "@" not in value


def texts_scrubbed(texts: Sequence[str]) -> list[str]:
    """Each text scrubbed; a text that cannot be searched becomes a note that it was left out."""
    clean = []
    for each in texts:
        try:
            clean.append(scrub(each)[0])
        except Exception:  # noqa: BLE001 - whatever it was, an unscrubbed text is not written
            clean.append("[left out: it could not be searched for personal data]")
    return clean
