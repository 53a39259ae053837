"""Steps on one axis of time, as static SVG: what lasted how long, and which of it held everything up."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from reports.charts import Kind, axis_across, kept_inside, legend_of, nothing_to_draw
from reports.svg import drawing, el, fitted, hit, line, paint, rect, text, text_width, ticks


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """One row of a waterfall: something that lasted from `start` to `end`."""

    label: str
    depth: int
    start: float
    end: float
    text: str
    kind: int
    """Its place among the kinds."""
    driver: bool = False
    """One of the longest: its words stand out."""
    failed: bool = False
    is_open: bool = False
    """It had not ended: the bar ends in dashes."""
    path: tuple[tuple[float, float], ...] = ()
    """Pieces of the critical path that lie in it."""
    told: tuple[tuple[str, str], ...] = ()
    """What a pointer reads: names and values."""


def waterfall(
    rows: Sequence[Lane],
    kinds: Sequence[Kind],
    width: int,
    *,
    label: str,
    tick: Callable[[float], str],
    path_name: str,
    end: float | None = None,
    end_text: str = "",
) -> Markup:
    """Steps as bars on one axis of time, names indented by depth, pieces of the critical path underlined.

    `end` is drawn as an upright line where something lasts beyond it.
    """
    if not rows:
        return nothing_to_draw(width, label)
    narrow = width < 460
    marks, legend = legend_of([*kinds, Kind(name=path_name, colour="")], width)
    last = max([row.end for row in rows] + ([end] if end is not None else []))
    low = min([0.0, *(row.start for row in rows)])
    ended = end is not None and max(row.end for row in rows) > end
    indent, deepest = (8.0, 5) if narrow else (14.0, 8)
    words = max(_before_words(row) + text_width(row.text, 12, 600) for row in rows)
    named = max(text_width(row.label, 13, 600) + indent * min(row.depth, deepest) for row in rows) + 16
    left, right = (0.0, float(width)) if narrow else (min(max(named, 120.0), width * 0.36), width - words - 2)
    row_height = 42.0 if narrow else 27.0
    top = legend + (34.0 if ended else 16.0)
    bottom = top + row_height * len(rows)

    def place(value: float) -> float:
        return left + ((value - low) / (last - low) if last > low else 0.0) * (right - left)

    bars_at = [
        (top + row_height * index + (22 if narrow else 0), top + row_height * (index + 1)) for index in range(len(rows))
    ]
    spans = bars_at if narrow else [(top, bottom)]
    marks += axis_across(ticks(low, last, 3 if narrow else 6), place, spans, bottom, tick, width)
    if ended and end is not None:
        anchor, at = kept_inside(place(end), text_width(end_text, 12, 600), width)
        for begins, ends in spans:
            marks.append(line(place(end), begins, place(end), ends, stroke="ink", width=1.25, dash="4 3"))
        marks.append(text(at, top - 6, end_text, fill="ink", anchor=anchor, weight=600))
    for index, row in enumerate(rows):
        y = top + index * row_height
        bar_y = y + (24 if narrow else 7)
        marks += _lane(row, kinds, place, bar_y)
        weight = 600 if row.driver else 400
        inset = indent * min(row.depth, deepest)
        # In a narrow picture the words of a row stand above its bar.
        words_x = width if narrow else place(row.end) + _before_words(row)
        room = (width - text_width(row.text, 12, 600) - 22 if narrow else left - 14) - inset
        ink = "bad" if row.failed else "ink" if row.driver else "ink2"
        strong = 600 if row.driver else None
        baseline = y + (15 if narrow else 18)
        marks.append(text(inset, baseline, fitted(row.label, room, 13, weight), fill="ink", size=13, weight=weight))
        side = "end" if narrow else None
        if ended and end is not None and not narrow and words_x < place(end) + 4 < words_x + text_width(row.text) + 8:
            # The words go before the line of the end.
            marks.append(rect(words_x - 3, y + 2, text_width(row.text, 12, 600) + 6, row_height - 4, fill="bg"))
        marks.append(text(words_x, baseline, row.text, fill=ink, anchor=side, weight=strong, numbers=True))
        if row.failed and not narrow:
            marks.append(_cross(words_x - 9, baseline - 4))
        marks.append(hit(0, y, width, row_height, row.label, row.told))
    return drawing(width, bottom + 26, label, *marks)


def _lane(row: Lane, kinds: Sequence[Kind], place: Callable[[float], float], y: float) -> list[Markup]:
    """The bar, and below it the strokes of the critical path; what took no time is a sliver."""
    start, end = place(row.start), place(row.end)
    marks = [rect(start, y, max(end - start, 2.0), 10, fill=kinds[row.kind].colour, radius=2)]
    if row.is_open:
        marks.append(line(end + 2, y + 5, end + 14, y + 5, stroke="axis", width=2, dash="3 3"))
    marks += [
        line(begins, y + 13, max(ends, begins + 2), y + 13, stroke="ink", width=2.5)
        for begins, ends in _joined([(place(begins), place(ends)) for begins, ends in row.path])
    ]
    return marks


def _joined(pieces: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Pieces in ascending order, those together that no eye would tell apart."""
    joined: list[tuple[float, float]] = []
    for begins, ends in pieces:
        if joined and begins - joined[-1][1] < 1:
            joined[-1] = (joined[-1][0], ends)
        else:
            joined.append((begins, ends))
    return joined


def _before_words(row: Lane) -> float:
    """From the end of a bar to its words: room for the dashes of an open one and the cross of a failed one."""
    return 8.0 + (14 if row.is_open else 0) + (14 if row.failed else 0)


def _cross(x: float, y: float) -> Markup:
    path = f"M{x - 3.5:.1f} {y - 3.5:.1f}l7 7M{x + 3.5:.1f} {y - 3.5:.1f}l-7 7"
    return el("path", d=path, fill="none", stroke_width=1.8, stroke_linecap="round", **paint(stroke="bad"))
