"""Values and texts on their way into a file: JSON that every reader takes, cells of CSV that are no formula."""

import csv
import io
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

from reports.format import iso


def jsonable(value: Any) -> Any:
    """A value as JSON can hold it: money as exact text, times in UTC, unknown as null; never NaN or Infinity."""
    if isinstance(value, Decimal):
        return format(value, "f") if value.is_finite() else None
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (str, int)):
        return value.value if isinstance(value, Enum) else value
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, date):
        return value.isoformat()
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: jsonable(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): jsonable(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(entry) for entry in value]
    if isinstance(value, (set, frozenset)):
        # A set has no order of its own, and the same result has to give the same bytes.
        return sorted((jsonable(entry) for entry in value), key=repr)
    return str(value)


def csv_line(values: Iterable[object]) -> str:
    """One line, ended as RFC 4180 has it. Text from outside comes through `csv_text` first."""
    line = io.StringIO()
    csv.writer(line).writerow(values)
    return line.getvalue()


# Spreadsheets read the full-width signs too.
_FORMULA = re.compile(r"[=+\-@\t\r\n＝＋－＠]")
_UNWRITABLE = re.compile("[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f\ud800-\udfff\ufffe\uffff]")


def csv_text(text: str) -> str:
    """A cell from outside: what a spreadsheet would take for a formula gets a leading `'`."""
    text = writable(text)
    return f"'{text}" if _FORMULA.match(text) else text


def writable(text: str) -> str:
    """Text that XML 1.0 and any CSV can hold; characters that they cannot are named."""
    return _UNWRITABLE.sub(lambda found: f"U+{ord(found.group()):04X}", text)
