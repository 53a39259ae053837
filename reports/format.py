"""How reports write numbers, times and text from outside. Nothing else in this package formats a number.

What sentences need too comes from `evaluations.wording`, so that a page and its verdict never differ by a digit; here
is what only a page meets: the unknown, the infinite, changes, p-values, dates and characters that hide.
"""

import math
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal
from typing import Any

from evaluations import wording
from evaluations.wording import MINUS
from evaluations.wording import count as count

Number = int | float | Decimal


def _rounded(value: Number, digits: int) -> Decimal:
    """Half up, as people round: 2.675 gives 2.68, whatever its binary form."""
    return Decimal(str(value)).quantize(Decimal(1).scaleb(-digits), rounding=ROUND_HALF_UP)


def _sign(value: Number, *, plus: bool = False) -> str:
    return MINUS if value < 0 else "+" if plus and value > 0 else ""


def _not_finite(value: Number, *, plus: bool = False) -> str | None:
    if math.isnan(value):
        return "unknown"
    return f"{_sign(value, plus=plus)}∞" if math.isinf(value) else None


def decimal(value: Number, digits: int = 2, *, plus: bool = False) -> str:
    """`1,204.50` to that many digits; with `plus`, a gain carries its sign. A rounded zero carries none."""
    if (odd := _not_finite(value, plus=plus)) is not None:
        return odd
    rounded = _rounded(value, digits)
    return f"{_sign(rounded, plus=plus)}{abs(rounded):,}"


def money(value: Number | None, *, unknown: str = "unpriced", plus: bool = False, trim: bool = False) -> str:
    """US dollars: `$0.0042`, `$4.20`, `$1,204`, `$33.4k`, `$1.27M`. None is `unknown`, never $0."""
    if value is None:
        return unknown
    if (odd := _not_finite(value, plus=plus)) is not None:
        return odd.replace("∞", "$∞")
    return _sign(value, plus=plus) + wording.money(abs(Decimal(str(value))), trim=trim)


def money_column(values: Sequence[Decimal | None], *, unknown: str = "–") -> list[str]:
    """One column of dollars with its points aligned: as many decimals in each as its sums earn.

    The largest keeps three significant figures and the smallest two, at most six decimals. Where thousands stand
    beside cents no number of decimals suits both, and each is written as alone. Rounds as `money` does.

    >>> money_column([Decimal("0.4066"), Decimal("0.01937"), None, Decimal(0)])
    ['$0.407', '$0.019', '–', '$0.000']
    """
    sizes = [abs(value) for value in values if value]
    if not sizes:
        return [money(value, unknown=unknown) for value in values]
    digits = min(max(2 - max(sizes).adjusted(), 1 - min(sizes).adjusted(), 2), 6)
    if max(sizes).adjusted() + digits > 5:
        return [money(value, unknown=unknown) for value in values]
    least = Decimal(1).scaleb(-digits)
    return [
        unknown if value is None
        else f"<${least:f}" if 0 < value < least
        else f"{_sign(value)}${abs(value).quantize(least, ROUND_HALF_EVEN):,f}"
        for value in values
    ]  # fmt: skip


def duration(milliseconds: Number | None, *, unknown: str = "not measured") -> str:
    """`<1 ms`, `845 ms`, `1.69 s`, `2 min 05 s`, `3 h 12 min`. None is `unknown`, never 0."""
    if milliseconds is None:
        return unknown
    if (odd := _not_finite(milliseconds)) is not None:
        return odd
    return _sign(milliseconds) + wording.duration(abs(float(milliseconds)))


def share(fraction: Number | None, *, unknown: str = "not measured", trim: bool = False) -> str:
    """A fraction as a percentage: `94.1%`; almost all is `>99.9%` and almost none `<0.1%`. None is `unknown`."""
    if fraction is None:
        return unknown
    return _not_finite(fraction) or wording.percent(float(fraction), trim=trim)


def share_interval(low: Number, high: Number) -> str:
    """The interval of a share: `81.9–96.4%`, or `−3.1 to 12.9%` with a negative bound."""
    if math.isfinite(low) and math.isfinite(high):
        return wording.percent_interval(float(low), float(high))
    return f"{share(low)} to {share(high)}"


def points(difference: Number) -> str:
    """A change of a share, given as a fraction: `+5.6 pts`, `−2.3 pts`."""
    return wording.points(float(difference))


def change(fraction: Number) -> str:
    """A change of an amount, given as a fraction: `+31%`, `−4.2%`."""
    percent = Decimal(str(fraction)) * 100
    return f"{decimal(percent, 0 if abs(percent) >= 10 else 1, plus=True)}%"


def interval(low: Number, high: Number, digits: int = 1) -> str:
    """`1.2–9.9`; with a negative bound `−3.1 to 12.9`, where a dash would read as a minus."""
    dash = " to " if low < 0 or high < 0 or math.isinf(low) or math.isinf(high) else "–"
    return f"{decimal(low, digits)}{dash}{decimal(high, digits)}"


def p_value(p: float) -> str:
    """`p = 0.031`, `p = 0.42`, `p < 0.001`."""
    if p < 0.001:
        return "p < 0.001"
    if p > 0.99:
        return "p > 0.99"
    return f"p = {_rounded(p, 3 if p < 0.0995 else 2)}"


def day(moment: datetime) -> str:
    """`28 June 2026`, in UTC."""
    utc = _utc(moment)
    return f"{utc.day} {_MONTHS[utc.month - 1]} {utc.year}"


def date_text(on: date) -> str:
    """`28 June 2026`, of a day that is one already."""
    return f"{on.day} {_MONTHS[on.month - 1]} {on.year}"


def short_date(on: date) -> str:
    """`28 Jun`, for an axis."""
    return f"{on.day} {_MONTHS[on.month - 1][:3]}"


def weekday_date(on: date) -> str:
    """`Sun 28 Jun 2026`."""
    return f"{_WEEKDAYS[on.weekday()][:3]} {short_date(on)} {on.year}"


def weekday(number: int) -> str:
    """`Monday` for 0."""
    return _WEEKDAYS[number]


def month(on: date) -> str:
    """`June 2026`."""
    return f"{_MONTHS[on.month - 1]} {on.year}"


def span(first: date, last: date) -> str:
    """`1–28 June 2026`, `30 May to 28 June 2026`, `28 June 2026`."""
    if first == last:
        return date_text(last)
    if (first.year, first.month) == (last.year, last.month):
        return f"{first.day}–{date_text(last)}"
    year = "" if first.year == last.year else f" {first.year}"
    return f"{first.day} {_MONTHS[first.month - 1]}{year} to {date_text(last)}"


def moment(instant: datetime) -> str:
    """`28 June 2026, 06:00 UTC`."""
    return f"{day(instant)}, {_utc(instant):%H:%M} UTC"


def iso(instant: datetime) -> str:
    """ISO 8601 in UTC, for files: `2026-06-28T06:00:00Z`."""
    return _utc(instant).isoformat(timespec="seconds").replace("+00:00", "Z")


# Not strftime: the month's name must not depend on the machine's language.
_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip

_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def _utc(instant: datetime) -> datetime:
    # A moment without a zone is read as UTC: the machine's own zone would make two builds differ.
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)


_HIDDEN = re.compile(
    "["
    "\u0000-\u0008\u000b-\u001f\u007f-\u009f"  # control characters; tab and line feed are layout
    "\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"  # invisible, bidi
    "\ud800-\udfff"  # lone surrogates, which no file can hold
    "\U000e0000-\U000e0fff"  # tags and selectors that smuggle text
    "]"
    # Joiners shape Arabic, Indic and emoji; after a Latin letter, a digit or nothing they only hide.
    "|(?:(?<=[\u0000-\u024f])|^)[\u200c\u200d]"
)


def visible(text: str) -> str:
    """The text with control, bidi and other hidden characters spelt out: `U+202E`.

    Tabs and line feeds stay; `\\r\\n` becomes `\\n`. The result can always be written as UTF-8.
    """
    if text.isascii() and text.isprintable():
        return text
    return _HIDDEN.sub(lambda found: f"U+{ord(found.group()):04X}", text.replace("\r\n", "\n"))


def one_line(text: str, limit: int = 160) -> str:
    """Text from outside in one line of at most `limit` characters, shortened with an ellipsis."""
    # The cut comes first: what a model said may be megabytes long.
    flat = " ".join(text[: limit * 8].split())
    return visible(flat if len(flat) <= limit else flat[: limit - 1].rstrip() + "…")


def plain(value: Any) -> str:
    """What a case holds, as a person would write it: text as it is, everything else as readable JSON."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, Decimal):
        return format(value, "f")
    import json

    return json.dumps(value, ensure_ascii=False, indent=1, default=str)
