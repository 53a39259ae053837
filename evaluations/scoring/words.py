"""How scorers say what they saw: one line, shortened, safe to print whatever a model has said."""

import re
from collections.abc import Sequence

_TOKEN = re.compile(r"\w+")


def keyed(name: object, limit: int = 40) -> str:
    """A key of a JSON object as a sentence can hold it: plain as it is, anything else in quotes and on one line.

    >>> keyed("city"), keyed("\\n"), keyed("")
    ('city', "''", "''")
    """
    text = str(name)
    return text if text and text.isprintable() and len(text) <= limit else quoted(text, limit)


def quoted(text: str, limit: int = 80) -> str:
    """The text on one line, in quotes, its middle left out beyond `limit` characters.

    Control characters and lone surrogates come out escaped, so the line can be stored and printed anywhere.

    >>> quoted("So the answer\\n is 4")
    "'So the answer is 4'"
    """
    if len(text) > 4 * limit:
        # Only the ends are shown: do not walk through megabytes for them.
        text = text[: 2 * limit] + " … " + text[-2 * limit :]
    flat = " ".join(text.split())
    if len(flat) > limit:
        head = limit // 2
        flat = f"{flat[:head].rstrip()} … {flat[head - limit :].lstrip()}"
    return repr(flat)


def tail(text: str, limit: int = 80) -> str:
    """The end of the text on one line, in quotes: where a final answer would have been."""
    flat = " ".join(text[-4 * limit :].split())
    return repr(flat if len(flat) <= limit and len(text) <= 4 * limit else "… " + flat[-limit:].lstrip())


def listed(items: Sequence[str], limit: int = 5) -> str:
    """The items quoted and joined, at most `limit` of them.

    >>> listed(["a", "b", "c"], limit=2)
    "'a', 'b' and 1 more"
    """
    shown = ", ".join(quoted(item, 40) for item in items[:limit])
    return shown if len(items) <= limit else f"{shown} and {len(items) - limit} more"


def plural(count: int, noun: str) -> str:
    """
    >>> plural(1, "word"), plural(3, "match")
    ('1 word', '3 matches')
    """
    if count == 1:
        return f"1 {noun}"
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return f"{count:,} {noun[:-1]}ies"
    return f"{count:,} {noun}{'es' if noun.endswith(('s', 'x', 'ch', 'sh')) else 's'}"


def count_words(text: str) -> int:
    r"""Runs of `\w`: what IFEval and most word counters count."""
    return sum(1 for _ in _TOKEN.finditer(text))
