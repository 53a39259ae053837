"""JSON as models write it: in prose, in a code fence, cut off. Everything here is linear in the length of
the text."""

import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, Literal

from evaluations.scoring.regexes import picked
from evaluations.scoring.words import keyed, quoted

Wrapping = Literal["none", "fence", "prose"]
"""What may stand around the JSON. none: nothing but white space. fence: one code fence.
prose: anything; the first balanced object that parses is taken, else the first balanced array."""


class Nothing:
    """The type of NOTHING: no value was found. JSON's null is a value, so None cannot say that."""

    def __repr__(self) -> str:
        return "NOTHING"


NOTHING: Final = Nothing()

_FENCE = re.compile(r"\A\s*```[^\n`]*\n?(.*?)```\s*\Z", re.DOTALL)
_PIECE = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[{}\[\]]', re.DOTALL)
_OPEN_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
_STEP = re.compile(r"[^.\[\]]+|\[(-?\d+)\]")
_SCANS = 3
"""How often a text may be scanned for the end of an object: bounds the work on a text made of brackets."""


def parsed(text: str) -> Any:
    """The JSON value of the whole text, or NOTHING. NaN and Infinity are not JSON."""
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return NOTHING


def unfenced(text: str) -> str:
    """The inside of a code fence that holds the whole text, else the text.

    >>> unfenced("```json\\n[1]\\n```")
    '[1]\\n'
    """
    fence = _FENCE.match(text) if text.lstrip()[:3] == "```" else None
    return fence[1] if fence else text


@lru_cache(maxsize=16)
def json_in(text: str, wrapping: Wrapping = "prose") -> Any:
    """The JSON value in the text, or NOTHING. Callers share the value: read it, never change it."""
    if wrapping == "none":
        return parsed(text)
    whole = parsed(unfenced(text))
    if wrapping == "fence" or isinstance(whole, dict | list):
        return whole
    value = _first(text, "{", "}")
    return value if value is not NOTHING else _first(text, "[", "]")


def at_path(value: Any, path: str) -> Any:
    """What stands at a path such as `customer.orders[0].id` (an index may be negative), or NOTHING.

    A key that itself holds dots is found when it is the whole path.
    """
    if path == "":
        return value
    if isinstance(value, Mapping) and path in value:
        return value[path]
    for step in _STEP.finditer(path):
        if step[1] is not None:
            if not isinstance(value, list | tuple) or len(step[1]) > 9:
                return NOTHING
            index = int(step[1])
            if not -len(value) <= index < len(value):
                return NOTHING
            value = value[index]
        elif isinstance(value, Mapping) and step[0] in value:
            value = value[step[0]]
        elif isinstance(value, list | tuple) and step[0].isdecimal() and len(step[0]) < 10:
            if int(step[0]) >= len(value):
                return NOTHING
            value = value[int(step[0])]
        else:
            return NOTHING
    return value


def salvaged(text: str, key: str) -> Any:
    """What stands after the last `"key":` of a text that is no JSON (broken or cut off): a string, or
    NOTHING."""
    last = picked(re.finditer(rf'"{re.escape(key)}"\s*:\s*', text), "last")
    if last is None:
        return NOTHING
    rest = text[last.end() :]
    if rest.startswith('"'):
        end = _closing_quote(rest)
        return rest[1:end]
    return re.split(r"[\n\r}\]]", rest, maxsplit=1)[0].strip().rstrip(",").strip()


def difference(
    wanted: Any,
    got: Any,
    *,
    ignore_extra: bool = False,
    ignore_order: bool = False,
    ignore_case: bool = False,
    tolerance: float = 0.0,
    path: str = "",
) -> str | None:
    """The first place where two JSON values differ, in words; None when they are equal.

    Whole and decimal numbers of the same size are equal (1 and 1.0); true and 1 are not. Raises
    RecursionError on values nested some hundreds deep.
    """
    options: dict[str, Any] = {
        "ignore_extra": ignore_extra,
        "ignore_order": ignore_order,
        "ignore_case": ignore_case,
        "tolerance": tolerance,
    }
    here = path or "the value"
    if isinstance(wanted, Mapping) and isinstance(got, Mapping):
        for key in wanted:
            if key not in got:
                return f"{path + '.' if path else ''}{keyed(key)} is missing"
        if not ignore_extra:
            for key in got:
                if key not in wanted:
                    return f"{path + '.' if path else ''}{keyed(key)} was not asked for"
        for key, value in wanted.items():
            below = f"{path}.{keyed(key)}" if path else keyed(key)
            if told := difference(value, got[key], path=below, **options):
                return told
        return None
    if _is_list(wanted) and _is_list(got):
        if len(wanted) > len(got) or (len(wanted) < len(got) and not ignore_extra):
            return f"{here} has {len(got)} items instead of {len(wanted)}"
        if ignore_order:
            return _unordered_difference(wanted, got, here, options)
        for index, value in enumerate(wanted):
            below = f"{path}[{index}]"
            if told := difference(value, got[index], path=below, **options):
                return told
        return None
    if _is_number(wanted) and _is_number(got):
        same = wanted == got or (tolerance > 0 and _near(wanted, got, tolerance))
    elif isinstance(wanted, str) and isinstance(got, str):
        same = wanted == got or (ignore_case and wanted.casefold() == got.casefold())
    else:
        same = type(wanted) is type(got) and wanted == got
    return None if same else f"{here} is {_short(got)} instead of {_short(wanted)}"


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


def _first(text: str, opening: str, closing: str) -> Any:
    start, left = text.find(opening), _SCANS * len(text) + 100_000
    while start >= 0 and left > 0:
        end = _balanced_end(text, start, opening, closing)
        if end is not None:
            value = parsed(text[start:end])
            if value is not NOTHING:
                return value
        left -= (len(text) if end is None else end) - start
        # What closed and did not parse is skipped whole: a broken object's inner objects are not the answer.
        start = text.find(opening, start + 1 if end is None else end)
    return NOTHING


def _balanced_end(text: str, start: int, opening: str, closing: str) -> int | None:
    depth = 0
    for piece in _PIECE.finditer(text, start):
        if piece[0] == opening:
            depth += 1
        elif piece[0] == closing:
            depth -= 1
            if depth == 0:
                return piece.end()
    return None


def _closing_quote(rest: str) -> int:
    """Where the string that opens `rest` ends; the end of the text when it was cut off."""
    string = _OPEN_STRING.match(rest)
    return string.end() if string else len(rest)


def _unordered_difference(wanted: Sequence[Any], got: Sequence[Any], here: str, options: dict[str, Any]) -> str | None:
    if len(wanted) * len(got) > 1_000_000:
        return f"{here} has too many items to compare without order ({len(got)})"
    left = list(got)
    for value in wanted:
        for index, candidate in enumerate(left):
            if difference(value, candidate, **options) is None:
                del left[index]
                break
        else:
            return f"{here} lacks {_short(value)}"
    return None


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _near(wanted: float, got: float, tolerance: float) -> bool:
    try:
        return abs(wanted - got) <= tolerance
    except OverflowError:
        return False


def _short(value: Any) -> str:
    if isinstance(value, str):
        return quoted(value, 40)
    try:
        shown = json.dumps(value, ensure_ascii=True, default=str)
    except (ValueError, RecursionError):
        shown = type(value).__name__
    return shown if len(shown) <= 60 else shown[:57] + "…"
