"""The forest plot: differences with their intervals, zero and the margin drawn, one row for each comparison."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from reports.charts import Dot, axis_across, interval_mark, kept_inside, nothing_to_draw
from reports.svg import drawing, el, fitted, hit, line, paint, rect, text, text_width, ticks


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect(Dot):
    """One row: a difference from the control. `value` is None when it could not be determined."""

    overall: bool = False
    """Drawn as a diamond: the comparison that decides."""


def forest(
    rows: Sequence[Effect],
    width: int,
    *,
    label: str,
    tick: Callable[[float], str],
    margin: float | None = None,
    margin_text: str = "",
    worse_text: str = "",
    better_text: str = "",
) -> Markup:
    """Differences from the control around zero; `margin` shades what does not matter.

    `worse_text` and `better_text` name the sides, in the order left, right. An interval across zero is hollow grey.
    """
    if not rows:
        return nothing_to_draw(width, label)
    narrow, wide = width < 560, width > 800
    left, right = (6.0, width - 6.0) if narrow else (220.0, width - 320.0) if wide else (170.0, width - 190.0)
    row_height, top = (58.0, 52.0) if narrow else (42.0, 60.0)
    low, high = _domain(rows, margin)
    bottom = top + row_height * len(rows)

    def place(value: float) -> float:
        return left + (min(max(value, low), high) - low) / (high - low) * (right - left)

    marks: list[Markup] = []
    # In a narrow picture the words of a row stand above its mark: lines then keep to the band of the mark.
    rows_at = [top + row_height * index for index in range(len(rows))]
    bands = [(y + 26, y + 52) for y in rows_at] if narrow else [(top - 8, bottom)]
    if margin is not None:
        # Only what of the margin is in the picture: a wide one fills it.
        start, end = place(-margin), place(margin)
        marks += [rect(start, upper, end - start, lower - upper, fill="sunken") for upper, lower in bands]
        anchor, at = kept_inside(place(0), text_width(margin_text, 11), width)
        marks.append(text(at, bottom + 36, margin_text, anchor=anchor, size=11))
    marks += axis_across(_ticks(low, high, right - left, tick), place, bands, bottom, tick, width)
    marks += [line(place(0), upper - 4, place(0), lower, stroke="ink", width=1.25) for upper, lower in bands]
    marks += _sides(place(0), top - 22, left, right, worse_text, better_text)
    for index, (row, y) in enumerate(zip(rows, rows_at, strict=True)):
        middle = y + (38 if narrow else row_height / 2)
        if index and not narrow:
            marks.append(line(0, y, width, y, stroke="grid"))
        marks += _mark(row, place, middle, low, high)
        marks += _words(row, width, y, middle, left, right, narrow=narrow, wide=wide)
        told = [
            (name, words)
            for name, words in (
                ("Difference", row.value_text), ("Interval", row.interval_text), ("n", row.n_text),
                ("Reading", row.reading_text),
            ) if words
        ]  # fmt: skip
        marks.append(hit(0, y, width, row_height, row.label, told))
    return drawing(width, bottom + (44 if margin is not None else 28), label, *marks)


def _ticks(low: float, high: float, room: float, tick: Callable[[float], str]) -> Sequence[float]:
    """As many round values as have room for their words."""
    for wanted in (6, 5, 4, 3, 2):
        values = ticks(low, high, wanted)
        if sum(text_width(tick(value)) + 14 for value in values) <= room:
            return values
    return [0.0]


def _domain(rows: Sequence[Effect], margin: float | None) -> tuple[float, float]:
    """Zero is always in the picture, and a margin as far as it does not squeeze the intervals."""
    drawn = [
        value for row in rows for value in (row.value, row.low, row.high) if value is not None and math.isfinite(value)
    ]
    low, high = min([0.0, *drawn]), max([0.0, *drawn])
    if margin is not None:
        reach = max(high - low, margin) * 1.5
        low, high = min(low, -min(margin, reach)), max(high, min(margin, reach))
    if not high > low:
        return -1.0, 1.0
    air = (high - low) * 0.06
    return low - air, high + air


def _sides(zero: float, y: float, left: float, right: float, worse: str, better: str) -> list[Markup]:
    """Which side is which, where there is room beside zero."""
    marks = []
    if worse and zero - left > text_width(worse, 11) + 16:
        marks.append(text(zero - 10, y, f"← {worse}", anchor="end", size=11))
    if better and right - zero > text_width(better, 11) + 16:
        marks.append(text(zero + 10, y, f"{better} →", size=11))
    return marks


def _mark(row: Effect, place: Callable[[float], float], y: float, low: float, high: float) -> list[Markup]:
    marks = interval_mark(row, place, y, low, high)
    if row.overall and marks and row.value is not None:
        x, colour = place(row.value), {"good": "good", "bad": "bad", "open": "axis", "plain": "c1"}[row.reading]
        shape = f"M{x:.1f} {y - 8:.1f}L{x + 8:.1f} {y:.1f}L{x:.1f} {y + 8:.1f}L{x - 8:.1f} {y:.1f}Z"
        hollow = row.reading == "open"
        fill = paint(fill="bg" if hollow else colour, stroke=colour)
        marks[-1] = el("path", d=shape, stroke_width=2 if hollow else 1.5, **fill)
    return marks


def _words(
    row: Effect, width: int, y: float, middle: float, left: float, right: float, *, narrow: bool, wide: bool
) -> list[Markup]:
    told = f"{row.value_text} ({row.interval_text})" if row.interval_text else row.value_text
    strong = 600 if row.value is not None else None
    if narrow:
        told = fitted(told, width * 0.68, 12, 600)
        room = width - text_width(told, 12, 600) - 12
        return [
            text(0, y + 16, fitted(row.label, room, 13, 500), fill="ink", size=13, weight=500),
            text(width, y + 16, told, fill="ink2", anchor="end", weight=strong, numbers=True),
        ]
    marks = [
        text(0, middle + 4.5, fitted(row.label, left - 24, 13, 500), fill="ink", size=13, weight=500),
        text(right + 16, middle - 3, fitted(row.value_text, width - right - 16, 13, 600), fill="ink", size=13,
             weight=strong, numbers=True),
        text(right + 16, middle + 13, fitted(row.interval_text, width - right - 16, 12), fill="ink2", numbers=True),
    ]  # fmt: skip
    if wide:
        tone = row.reading if row.reading in ("good", "bad") else "ink3"
        weight = 600 if row.reading in ("good", "bad") else None
        words = fitted(row.reading_text, 150, 12, 600)
        marks.append(text(width, middle - 3, words, fill=tone, anchor="end", weight=weight))
        marks.append(text(width, middle + 13, fitted(row.n_text, 150, 12), anchor="end", numbers=True))
    return marks
