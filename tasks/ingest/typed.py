"""Records as a frame with a typed column for each field that any of them has; what has not the field's type is named.

Texts become str, moments Unix microseconds, whole numbers and numbers float64, money Decimal, flags bool; what is
missing is None, or NaN among numbers. An empty text is missing: CSV has no other way to say so.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from evaluations.requests import BY_NAME, Field, limits, unknown_field
from tasks.ingest.reading import Record

if TYPE_CHECKING:
    import pandas as pd

_FLAGS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_MISSING = ("", None)


@dataclass(slots=True)
class Typed:
    """Rows and what is wrong with some of them. Positions count from 0 and are the frame's index."""

    frame: "pd.DataFrame"
    faults: dict[int, list[str]] = field(default_factory=dict)
    longest: dict[str, int] = field(default_factory=dict)
    """Characters of the longest text of each column of texts."""

    def fault(self, position: int, reason: str) -> None:
        self.faults.setdefault(position, []).append(reason)

    def good(self) -> "pd.DataFrame":
        """The rows without a fault, under their old positions."""
        return self.frame.drop(index=list(self.faults)) if self.faults else self.frame


def typed(records: Sequence[Record], fields: Mapping[str, Field] = BY_NAME) -> Typed:
    """A frame of the fields that the records have, each with a row; faults where a value has not the field's type.

    `fields` are those of a request unless it is about something else.
    """
    import pandas as pd

    names = set().union(*records) if records else set()
    made = Typed(pd.DataFrame(index=range(len(records))))
    _name_unknown(made, records, names - set(fields), fields)
    columns: dict[str, Any] = {}
    known = [name for name in fields if name in names]
    for name, values in zip(known, _columns(records, known), strict=True):
        columns[name] = _READERS[fields[name].kind](fields[name], values, made)
    made.frame = pd.DataFrame(columns, index=range(len(records)))
    return made


def _columns(records: Sequence[Record], names: Sequence[str]) -> Iterable[Sequence[Any]]:
    """The values of each of these fields, None where a record has none. Each record is looked at once."""
    return zip(*[tuple(map(record.get, names)) for record in records], strict=True)


def _name_unknown(made: Typed, records: Sequence[Record], unknown: set[str], fields: Mapping[str, Field]) -> None:
    if not unknown:
        return
    for position, record in enumerate(records):
        for name in unknown.intersection(record):
            made.fault(position, unknown_field(str(name), fields))


def _each(made: Typed, of: Field, values: Sequence[Any], read: Callable[[Any], Any]) -> list[Any]:
    """Every value read by itself: for columns that are not all of one plain type."""
    found: list[Any] = []
    for position, value in enumerate(values):
        try:
            found.append(None if _is_missing(value) else read(value))
        except (ValueError, TypeError, InvalidOperation, OverflowError):
            found.append(None)
            # Who somebody is may not stand in a reason.
            said = "there" if of.name == "subject" else _short(value)
            made.fault(position, f"{of.name} is {said}, not {limits(of) or 'a text'}")
    return found


def _is_missing(value: Any) -> bool:
    return value is None or value == "" or value != value  # NaN, from Parquet


def _short(value: Any) -> str:
    said = repr(value)
    return said if len(said) <= 60 else f"{said[:57]}…"


def _texts(of: Field, values: Sequence[Any], made: Typed) -> "pd.Series[Any]":
    import pandas as pd

    try:
        different = set(values)
        plain = set(map(type, different)) <= {str, type(None)}
    except TypeError:  # a list or an object, which has no hash
        plain = False
    read = list(values)
    if not plain:
        read = _each(made, of, values, _text)
        different = set(read)
    if "" in different or any("\0" in each for each in different if each is not None):
        for position, value in enumerate(read):
            if value == "":
                read[position] = None
            elif value is not None and "\0" in value:
                read[position] = None
                made.fault(position, f"{of.name} holds a zero character, which no text may")
    made.longest[of.name] = max((len(each) for each in different if each is not None), default=0)
    return pd.Series(read, dtype=object)


def _text(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError("no text")
    return str(value)


def _numbers(of: Field, values: Sequence[Any], made: Typed) -> "pd.Series[Any]":
    import numpy as np
    import pandas as pd

    kinds = set(map(type, values))
    plain = kinds <= {int, float, str, type(None)}
    try:
        given = [None if value == "" else value for value in values] if str in kinds else values
        column = pd.Series(np.array(given if plain else _each(made, of, values, _number), dtype=np.float64))
    except (ValueError, OverflowError):
        column = pd.Series(np.array(_each(made, of, values, _number), dtype=np.float64))
    wrong = np.isinf(column)
    if of.kind == "whole":
        wrong |= column.notna() & (column % 1 != 0)
    for position in map(int, np.flatnonzero(wrong)):
        made.fault(position, f"{of.name} is {_short(values[position])}, not {limits(of)}")
    return column


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise ValueError("no number")
    return float(value)


def _amounts(of: Field, values: Sequence[Any], made: Typed) -> "pd.Series[Any]":
    import pandas as pd

    return pd.Series(_each(made, of, values, _amount), dtype=object)


def _amount(value: Any) -> Decimal:
    """Exact: a float stands for the shortest number that is written like it."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise ValueError("no amount")
    amount = Decimal(repr(value) if isinstance(value, float) else value)
    if not amount.is_finite():
        raise ValueError("no amount")
    return amount


def _flags(of: Field, values: Sequence[Any], made: Typed) -> "pd.Series[Any]":
    import pandas as pd

    return pd.Series(_each(made, of, values, _flag), dtype=object)


def _flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    return _FLAGS[str(value).strip().casefold()] if str(value).strip().casefold() in _FLAGS else _no_flag()


def _no_flag() -> bool:
    raise ValueError("no flag")


def _moments(of: Field, values: Sequence[Any], made: Typed) -> "pd.Series[Any]":
    """Unix time in microseconds, as Int64."""
    import numpy as np
    import pandas as pd

    kinds = set(map(type, values))
    if kinds <= {str, type(None)}:
        parsed = pd.to_datetime(
            pd.Series([value or None for value in values], dtype=object), utc=True, format="ISO8601", errors="coerce"
        )
        known = parsed.notna().to_numpy()
        for position in map(int, np.flatnonzero(~known)):
            if values[position]:
                made.fault(position, f"{of.name} is {_short(values[position])}, not a time")
        found = parsed.astype("datetime64[us, UTC]").astype("int64").to_numpy()
        return pd.Series(pd.array(found, dtype="Int64")).where(pd.Series(known))
    return pd.Series(_each(made, of, values, _moment), dtype="Int64")


def _moment(value: Any) -> int:
    import pandas as pd

    if isinstance(value, bool):
        raise ValueError("no time")
    if isinstance(value, int | float):
        if not abs(value) < 1e11:  # in seconds that is the year 5138; more are milliseconds, which is not said here
            raise ValueError("no time")
        return round(value * 1_000_000)
    if not isinstance(value, str | datetime | date):
        raise ValueError("no time")
    stamp = pd.Timestamp(value)
    stamp = stamp.tz_localize("UTC") if stamp.tzinfo is None else stamp.tz_convert("UTC")
    return int(stamp.value) // 1000


_READERS: Mapping[str, Callable[[Field, Sequence[Any], Typed], "pd.Series[Any]"]] = {
    "text": _texts,
    "moment": _moments,
    "whole": _numbers,
    "number": _numbers,
    "money": _amounts,
    "flag": _flags,
}
