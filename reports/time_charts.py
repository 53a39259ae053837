"""Charts of what happens over time, as static SVG: a trend, a stack of parts, hours of the week, a sparkline.

Like those of charts.py they are pure functions of plain data and a width, and draw nothing, one point, gaps and equal
values as well.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from reports.charts import nothing_to_draw
from reports.svg import circle, drawing, el, fitted, hit, line, paint, rect, spread, text, text_width, ticks

FLAGS = 3
"""Named moments of a trend; more would hide it."""
STEPS = 9
"""Of the heat map's scale."""
DAYS_OF_WEEK = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
LAYER_COLOURS = ("c1", "n1", "n2", "n3", "n4")
"""One driver in colour, the rest neutral and labelled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One point of a trend. `value` is None when it is not known: the line has a gap there."""

    title: str
    """"Wed 13 May 2026"."""
    axis: str
    """"13 May"."""
    value: float | None
    text: str
    flag: str = ""
    """What happened, for the few moments that have a name."""
    to_date: bool = False
    """Not over yet: drawn dashed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One part of a stack: a value for each moment."""

    name: str
    values: tuple[float, ...]
    text: str
    """What stands beside its name: "$1.60 a day, +4.2%"."""


def trend_line(
    moments: Sequence[Moment],
    width: int,
    *,
    label: str,
    value_name: str,
    tick: Callable[[float], str],
    average: Sequence[float | None] = (),
    average_name: str = "",
) -> Markup:
    """Values over time from zero; an `average`, one for each moment, is the line then and the values stand back."""
    known = [moment.value for moment in moments if moment.value is not None and math.isfinite(moment.value)]
    if not known:
        return nothing_to_draw(width, label)
    flagged = [(index, moment.flag) for index, moment in enumerate(moments) if moment.flag][-FLAGS:]
    left, right = 52.0, width - 12.0
    top = 12.0 + 20 * len(flagged) + (8 if flagged else 0)
    bottom = top + (200.0 if width > 800 else 150.0)
    high = _ceiling(max(known))

    def across(index: int) -> float:
        return (left + right) / 2 if len(moments) == 1 else left + index / (len(moments) - 1) * (right - left)

    def up(value: float) -> float:
        return bottom - min(max(value, 0.0), high) / high * (bottom - top)

    marks = _grid(high, up, left, right, tick)
    values = [moment.value for moment in moments]
    lead = average or values
    if average:
        marks += _joined(values, across, up, stroke="n1", width=1.25)
    else:
        marks.append(_under(values, across, up, bottom))
    for level, (index, words) in enumerate(flagged):
        value = moments[index].value
        marks += _flag(across(index), top if value is None else up(value), 14.0 + 20 * level, words, width)
    until = len(moments) - 1 if moments[-1].to_date and len(moments) > 1 else None
    marks += _joined(lead, across, up, stroke="c1", width=2, dashed_from=None if until is None else until - 1)
    ends = [index for index, value in enumerate(lead) if value is not None]
    if ends:
        last = ends[-1]
        marks.append(circle(across(last), up(lead[last] or 0.0), 4, fill="bg" if until else "c1", stroke="c1", width=2))
        if until is not None and last == until:
            marks.append(text(right, up(lead[last] or 0.0) - 10, "to date", fill="ink2", anchor="end", weight=500))
    marks.append(line(left, bottom, right, bottom, stroke="axis"))
    marks += _along([moment.axis for moment in moments], across, bottom, width)
    step = (right - left) / max(len(moments) - 1, 1)
    for index, moment in enumerate(moments):
        told = [(value_name, moment.text)]
        if average and average[index] is not None:
            told.append((average_name, tick(average[index] or 0.0)))
        if moment.flag:
            told.append(("Stands out", moment.flag))
        marks.append(hit(across(index) - step / 2, top - 6, step, bottom - top + 6, moment.title, told))
    return drawing(width, bottom + 26, label, *marks)


def stacked_area(
    titles: Sequence[str],
    axis: Sequence[str],
    layers: Sequence[Layer],
    width: int,
    *,
    label: str,
    tick: Callable[[float], str],
    total_name: str = "Together",
) -> Markup:
    """Parts of a whole over time, the first at the bottom; named at the right edge, or below where that is narrow."""
    layers = [layer for layer in layers if any(value > 0 for value in layer.values)]
    if not titles or not layers:
        return nothing_to_draw(width, label)
    narrow = width < 460
    named = (
        0.0 if narrow else min(max(text_width(w, 12, 600) for layer in layers for w in (layer.name, layer.text)), 190.0)
    )
    left, right, top = 52.0, width - (12.0 if narrow else named + 34.0), 12.0
    bottom = top + (230.0 if width > 800 else 170.0)
    totals = [sum(layer.values[index] for layer in layers) for index in range(len(titles))]
    high = _ceiling(max(totals))

    def across(index: int) -> float:
        return left + index / (len(titles) - 1) * (right - left) if len(titles) > 1 else left

    def up(value: float) -> float:
        return bottom - min(value, high) / high * (bottom - top)

    marks = _grid(high, up, left, right, tick)
    floor = [0.0] * len(titles)
    middles = []
    for number, layer in enumerate(layers):
        ceiling = [low + value for low, value in zip(floor, layer.values, strict=True)]
        colour = LAYER_COLOURS[min(number, len(LAYER_COLOURS) - 1)]
        if len(titles) == 1:
            marks.append(rect(left, up(ceiling[0]), right - left, up(floor[0]) - up(ceiling[0]), fill=colour))
        else:
            over = [f"{across(index):.1f} {up(value):.1f}" for index, value in enumerate(ceiling)]
            under = [f"{across(index):.1f} {up(value):.1f}" for index, value in reversed(list(enumerate(floor)))]
            outline = "M" + "L".join((*over, *under)) + "Z"
            marks.append(el("path", d=outline, stroke_width=1, **paint(fill=colour, stroke="bg")))
        middles.append(up((floor[-1] + ceiling[-1]) / 2))
        floor = ceiling
    marks.append(line(left, bottom, right, bottom, stroke="axis"))
    marks += _along(list(axis), across, bottom, right + 8)
    below = bottom + 26
    if narrow:
        for number, layer in enumerate(layers):
            y = below + 18 * number + 20
            colour = LAYER_COLOURS[min(number, len(LAYER_COLOURS) - 1)]
            told = fitted(layer.text, width * 0.5)
            marks.append(rect(0, y - 9, 10, 10, fill=colour, radius=2))
            room = width - text_width(told) - 30
            marks.append(text(17, y, fitted(layer.name, room, 12, 500), fill="ink", weight=500))
            marks.append(text(width, y, told, fill="ink2", anchor="end", numbers=True))
        below += 18 * len(layers) + 16
    else:
        for number, (layer, middle, at) in enumerate(
            zip(layers, middles, spread(middles, 34, top + 12, bottom - 14), strict=True)
        ):
            marks.append(line(right + 4, middle, right + 18, at, stroke="axis"))
            fill = "ink" if number else "accent"
            marks.append(text(right + 24, at - 1, fitted(layer.name, named, 12, 600), fill=fill, weight=600))
            marks.append(text(right + 24, at + 14, fitted(layer.text, named), fill="ink3", numbers=True))
    step = (right - left) / max(len(titles) - 1, 1)
    for index, title in enumerate(titles):
        rows = [(layer.name, tick(layer.values[index])) for layer in reversed(layers)]
        marks.append(
            hit(across(index) - step / 2, top, step, bottom - top, title, [*rows, (total_name, tick(totals[index]))])
        )
    return drawing(width, below, label, *marks)


def heat_map(
    cells: Mapping[tuple[int, int], float], width: int, *, label: str, value: Callable[[float], str], peak_text: str
) -> Markup:
    """Hours of the week: (weekday, hour) -> how much. Nine steps from zero; the peak is outlined and named."""
    highest = max(cells.values(), default=0.0)
    if highest <= 0:
        return nothing_to_draw(width, label)
    peak = max(cells, key=lambda at: (cells[at], (-at[0], -at[1])))
    left, top, row = 34.0, 22.0, 24.0
    step = (width - left) / 24
    every = 6 if width < 460 else 3
    marks: list[Markup] = [
        text(left + hour * step, 12, f"{hour:02d}:00", size=11, numbers=True) for hour in range(0, 24, every)
    ]
    for weekday, name in enumerate(DAYS_OF_WEEK):
        y = top + weekday * row
        marks.append(text(0, y + 16, name, fill="ink2"))
        for hour in range(24):
            number = cells.get((weekday, hour), 0.0)
            shade = min(math.ceil(number / highest * (STEPS - 1)), STEPS - 1)
            marks.append(rect(left + hour * step, y, step - 1.5, row - 2, fill=f"q{shade}", radius=2))
    x, y = left + peak[1] * step, top + peak[0] * row
    marks.append(
        el(
            "rect",
            x=x - 1,
            y=y - 1,
            width=step + 0.5,
            height=row,
            rx=3,
            fill="none",
            stroke_width=2,
            **paint(stroke="ink"),
        )
    )
    foot = top + 7 * row + 20
    key = 9 * 11 + 16 + text_width(value(highest), 11)
    if width < 460:
        marks.append(text(left, foot, fitted(peak_text, width - left, 12, 600), fill="ink", weight=600))
        foot += 22
    else:
        room = width - left - key - 40
        marks.append(text(left, foot, fitted(peak_text, room, 12, 600), fill="ink", weight=600))
    at = width - key
    marks.append(text(at, foot, "0", size=11, anchor="end", numbers=True))
    for shade in range(STEPS):
        marks.append(rect(at + 6 + shade * 11, foot - 9, 10, 10, fill=f"q{shade}", radius=2))
    marks.append(text(width, foot, value(highest), size=11, anchor="end", numbers=True))
    for weekday, name in enumerate(DAYS_OF_WEEK):
        for hour in range(24):
            told = [("", value(cells.get((weekday, hour), 0.0)))]
            marks.append(
                hit(left + hour * step, top + weekday * row, step, row, f"{name} {hour:02d}:00–{hour + 1:02d}:00", told)
            )
    return drawing(width, foot + 10, label, *marks)


SPARK_FEWEST = 5
"""Points below which a sparkline would say more than is known."""


def sparkline(values: Sequence[float | None], *, label: str, width: int = 200) -> Markup | None:
    """A line with a faint fill and its end marked, no axis; None for fewer than five points."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    if len(known) < SPARK_FEWEST:
        return None
    height, edge = 36.0, 5.0
    low, high = min(known), max(known)

    def across(index: int) -> float:
        return edge + index / (len(values) - 1) * (width - 2 * edge)

    def up(value: float) -> float:
        return height / 2 if high <= low else height - edge - (value - low) / (high - low) * (height - 2 * edge)

    last = max(index for index, value in enumerate(values) if value is not None and math.isfinite(value))
    marks = [
        _under(values, across, up, height, opacity=0.1),
        *_joined(values, across, up, stroke="c1", width=1.5),
        circle(across(last), up(values[last] or 0.0), 3, fill="c1", stroke="surface"),
    ]
    return drawing(width, height, label, *marks)


def _ceiling(highest: float) -> float:
    """A little above the highest, so that no line touches the edge; something where all is zero."""
    return highest * 1.08 if highest > 0 else 1.0


def _grid(
    high: float, up: Callable[[float], float], left: float, right: float, tick: Callable[[float], str]
) -> list[Markup]:  # fmt: skip
    marks = []
    for value in ticks(0.0, high, 4):
        marks.append(line(left, up(value), right, up(value), stroke="grid"))
        marks.append(text(left - 10, up(value) + 4, tick(value) if value else "0", anchor="end", numbers=True))
    return marks


def _runs(values: Sequence[float | None]) -> list[list[int]]:
    """Indexes of neighbours that are known, run by run."""
    runs: list[list[int]] = []
    for index, value in enumerate(values):
        if value is None or not math.isfinite(value):
            continue
        if runs and runs[-1][-1] == index - 1:
            runs[-1].append(index)
        else:
            runs.append([index])
    return runs


def _joined(
    values: Sequence[float | None], across: Callable[[int], float], up: Callable[[float], float], *, stroke: str,
    width: float, dashed_from: int | None = None,
) -> list[Markup]:  # fmt: skip
    """The line through what is known, with its gaps left open; a lone point is a dot."""
    marks = []
    for run in _runs(values):
        solid = [index for index in run if dashed_from is None or index <= dashed_from]
        dashed = [index for index in run if dashed_from is not None and index >= dashed_from]
        for part, dash in ((solid, None), (dashed, "4 4")):
            if len(part) > 1:
                path = "M" + "L".join(f"{across(index):.1f} {up(values[index] or 0.0):.1f}" for index in part)
                marks.append(
                    el("path", d=path, fill="none", stroke_width=width, stroke_dasharray=dash, stroke_linejoin="round",
                       **paint(stroke=stroke))
                )  # fmt: skip
        if len(run) == 1:
            marks.append(circle(across(run[0]), up(values[run[0]] or 0.0), 2, fill=stroke, stroke=stroke))
    return marks


def _under(
    values: Sequence[float | None], across: Callable[[int], float], up: Callable[[float], float], bottom: float,
    opacity: float = 0.07,
) -> Markup:  # fmt: skip
    """The faint fill below a line."""
    parts = []
    for run in _runs(values):
        if len(run) > 1:
            over = "L".join(f"{across(index):.1f} {up(values[index] or 0.0):.1f}" for index in run)
            parts.append(f"M{across(run[0]):.1f} {bottom:.1f}L{over}L{across(run[-1]):.1f} {bottom:.1f}Z")
    return el("path", d="".join(parts), fill_opacity=opacity, **paint(fill="c1")) if parts else Markup("")


def _flag(x: float, y: float, at: float, words: str, width: float) -> list[Markup]:
    """The name of a moment above the picture, joined to its point."""
    long = text_width(words, 12, 600)
    leftward = x + 8 + long > width and x > width / 2
    room = x - 8 if leftward else width - x - 8
    return [
        line(x, at - 9, x, y - 5, stroke="axis"),
        text(
            x - 6 if leftward else x + 6, at, fitted(words, room, 12, 600), fill="ink",
            anchor="end" if leftward else None, weight=600,
        ),
        circle(x, y, 3.5, fill="bg", stroke="ink"),
    ]  # fmt: skip


def _along(names: Sequence[str], across: Callable[[int], float], bottom: float, width: float) -> list[Markup]:
    """As many names below the axis as fit at equal steps, counted back from the last."""
    if not names:
        return []
    marks: list[Markup] = []
    widest = max(text_width(name) for name in names) + 22
    room = (across(len(names) - 1) - across(0)) / max(len(names) - 1, 1)
    every = max(math.ceil(widest / room), 1) if room > 0 else 1
    for index in range(len(names) - 1, -1, -every):
        half = text_width(names[index]) / 2
        x = across(index)
        anchor, at = ("end", float(width)) if x + half > width else ("middle", x)
        marks.append(line(x, bottom, x, bottom + 5, stroke="axis"))
        marks.append(text(at, bottom + 20, names[index], anchor=anchor, numbers=True))
    return marks
