"""Charts as static SVG: pure functions of plain data and a width in pixels.

Each is drawn at up to three widths and the page shows the one that fits. Words come from the view; a chart only places
them. Nothing, one row, a missing value, equal values and infinite bounds are all drawn, and say what is missing.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from markupsafe import Markup

from reports.svg import (
    circle,
    drawing,
    el,
    fitted,
    hit,
    line,
    paint,
    rect,
    spread,
    text,
    text_width,
    ticks,
)

FULL = (("wide", 1040), ("medium", 690), ("narrow", 360))
HALF = (("wide", 492), ("narrow", 360))

NAMED_SPOTS = 8
"""Of a scatter: beyond these the names would hide the points, and only the frontier is named."""

Reading = Literal["good", "bad", "open", "plain"]
"""How a mark reads against its limit; `open` is hollow and grey: the data cannot tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dot:
    """One row of a dot plot. `value` is None when there is nothing to measure."""

    label: str
    value: float | None
    low: float | None = None
    high: float | None = None
    value_text: str
    interval_text: str = ""
    n_text: str = ""
    reading: Reading = "plain"
    reading_text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One horizontal bar. `value` is None when it is unknown; it then has words and no bar."""

    label: str
    value: float | None
    text: str
    driver: bool = False
    """Drawn in colour; the rest stays neutral."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of part in a stacked bar."""

    name: str
    colour: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """One stacked bar: as many counts as there are kinds."""

    label: str
    counts: tuple[int, ...]
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """One point of a scatter, with the vertical interval of its `y`."""

    label: str
    x: float
    y: float
    low: float
    high: float
    x_text: str
    y_text: str
    best: bool = False
    """On the frontier: nothing is both cheaper and better."""


def dot_plot(
    rows: Sequence[Dot],
    width: int,
    *,
    label: str,
    heads: tuple[str, str, str, str],
    tick: Callable[[float], str],
    limit: float | None = None,
    limit_text: str = "",
    bounds: tuple[float, float] = (0.0, 1.0),
) -> Markup:
    """Values with their intervals, one row each, and the limit as an upright line.

    `heads` name the columns: row, n, value, interval.
    """
    if not rows:
        return nothing_to_draw(width, label)
    narrow, wide = width < 460, width > 800
    # Names take what they need, within what leaves the plot its room.
    named = max(text_width(row.label, 13, 500) + text_width(row.n_text) for row in rows) + 38
    left, right = (
        (6.0, width - 6.0) if narrow
        else (min(max(236.0, named), 300.0), width - 320.0) if wide
        else (min(max(186.0, named), 240.0), width - 176.0)
    )  # fmt: skip
    row_height = 54.0 if narrow else 38.0
    top = 34.0 if narrow else 48.0
    low, high = _domain(rows, limit, bounds)
    bottom = top + row_height * len(rows)

    def place(value: float) -> float:
        return left + (min(max(value, low), high) - low) / (high - low) * (right - left)

    marks: list[Markup] = []
    # In a narrow picture the words of a row stand above its dot: lines then keep to the band of the dot.
    bands = [(top + row_height * index + 23, top + row_height * index + 49) for index in range(len(rows))]
    spans = bands if narrow else [(top - 6, bottom)]
    marks += axis_across(ticks(low, high, 4 if narrow else 6), place, spans, bottom, tick, width)
    if limit is not None:
        for start, end in bands if narrow else [(top - 10, bottom)]:
            marks.append(line(place(limit), start, place(limit), end, stroke="ink", width=1.25, dash="4 3"))
        anchor, at = kept_inside(place(limit), text_width(limit_text, 12, 600), width)
        marks.append(text(at, top - 18, limit_text, fill="ink", anchor=anchor, weight=600, numbers=True))
    if not narrow:
        n_end, value_end = left - 20, right + (78 if wide else 62)
        limit_span = (place(limit) - 70, place(limit) + 70) if limit is not None else (0.0, 0.0)
        marks.append(text(0, top - 18, heads[0]))
        if n_end < limit_span[0] or limit is None:
            marks.append(text(n_end, top - 18, heads[1], anchor="end"))
        if value_end - 40 > limit_span[1] or limit is None:
            marks.append(text(value_end, top - 18, heads[2], anchor="end"))
        marks.append(text(value_end + 14, top - 18, heads[3]))
    for index, row in enumerate(rows):
        y = top + index * row_height
        middle = y + (36 if narrow else row_height / 2)
        if index and not narrow:
            marks.append(line(0, y, width, y, stroke="grid"))
        marks += interval_mark(row, place, middle, low, high)
        baseline = y + 15 if narrow else middle + 4.5
        told = f"{row.value_text} ({row.interval_text})" if row.interval_text else row.value_text
        strong = 600 if row.value is not None else None
        if narrow:
            told = fitted(told, width * 0.62, 12, 600)
            room = width - text_width(told, 12, 600) - 12
            marks.append(text(0, baseline, fitted(row.label, room, 13, 500), fill="ink", size=13, weight=500))
            marks.append(text(width, baseline, told, fill="ink2", anchor="end", weight=strong, numbers=True))
        else:
            room = n_end - text_width(row.n_text) - 14
            marks.append(text(0, baseline, fitted(row.label, room, 13, 500), fill="ink", size=13, weight=500))
            marks.append(text(n_end, baseline, row.n_text, anchor="end", numbers=True))
            marks.append(
                text(
                    value_end,
                    baseline,
                    row.value_text,
                    fill="ink",
                    size=13,
                    anchor="end",
                    weight=strong,
                    numbers=True,
                )
            )
            marks.append(text(value_end + 14, baseline, row.interval_text, fill="ink2", numbers=True))
            if wide:
                tone = row.reading if row.reading in ("good", "bad") else "ink3"
                weight = 600 if row.reading in ("good", "bad") else None
                words = fitted(row.reading_text, width - value_end - 92, 12, 600)
                marks.append(text(width, baseline, words, fill=tone, anchor="end", weight=weight))
        marks.append(
            hit(0, y, width, row_height, row.label, [
                (name, words)
                for name, words in (
                    (heads[1], row.n_text), (heads[2], row.value_text), (heads[3], row.interval_text),
                    ("Reading", row.reading_text),
                ) if words
            ])
        )  # fmt: skip
    return drawing(width, bottom + 26, label, *marks)


def stacked_bars(rows: Sequence[Stack], kinds: Sequence[Kind], width: int, *, label: str) -> Markup:
    """Each row split into its kinds, all rows on the scale of the largest; a legend names the kinds."""
    if not rows:
        return nothing_to_draw(width, label)
    marks, legend = legend_of(kinds, width)
    top, row_height = legend + 18, 52.0
    largest = max((sum(row.counts) for row in rows), default=0)
    for index, row in enumerate(rows):
        y = top + index * row_height
        told = fitted(row.text, width * 0.72, 12)
        room = width - text_width(told) - 14
        marks.append(text(0, y + 14, fitted(row.label, room, 13, 500), fill="ink", size=13, weight=500))
        marks.append(text(width, y + 14, told, fill="ink2", anchor="end", numbers=True))
        x = 0.0
        for kind, number in zip(kinds, row.counts, strict=True):
            if number <= 0 or largest == 0:
                continue
            # At least two pixels: one failure among thousands is what the reader came for.
            part = max(number / largest * width, 2.0)
            part = min(part, width - x)
            marks.append(rect(x, y + 22, max(part - 1.5, 1.0), 16, fill=kind.colour, radius=2))
            x += part
        if x == 0:
            marks.append(line(0, y + 30, width, y + 30, stroke="axis", dash="2 4"))
        numbers = [(kind.name, f"{number:,}") for kind, number in zip(kinds, row.counts, strict=True)]
        marks.append(hit(0, y, width, row_height - 6, row.label, numbers))
    return drawing(width, top + row_height * len(rows), label, *marks)


def bars(rows: Sequence[Bar], width: int, *, label: str, value_name: str) -> Markup:
    """Horizontal bars from zero, in the order given; an unknown value has its words and no bar."""
    if not rows:
        return nothing_to_draw(width, label)
    largest = max((row.value for row in rows if row.value is not None and math.isfinite(row.value)), default=0.0)
    marks: list[Markup] = []
    row_height = 46.0
    for index, row in enumerate(rows):
        y = index * row_height
        known = row.value is not None
        told = fitted(row.text, width * 0.5, 12, 600)
        room = width - text_width(told, 12, 600) - 14
        marks.append(text(0, y + 14, fitted(row.label, room, 13, 500), fill="ink", size=13, weight=500))
        marks.append(
            text(
                width, y + 14, told, fill="ink" if known else "ink3", anchor="end", weight=600 if known else None,
                numbers=True,
            )
        )  # fmt: skip
        if row.value is not None and largest > 0:
            long = min(max(row.value / largest, 0.0), 1.0) * width
            # Zero stays without a bar: a sliver would say "a little".
            if row.value > 0:
                marks.append(rect(0, y + 22, max(long, 2.0), 13, fill="c1" if row.driver else "n1", radius=2))
        if not known or largest <= 0 or row.value == 0:
            dash = None if known else "2 4"
            marks.append(line(0, y + 28.5, width if not known else 1, y + 28.5, stroke="axis", dash=dash))
        marks.append(hit(0, y, width, row_height - 4, row.label, [(value_name, row.text)]))
    return drawing(width, row_height * len(rows), label, *marks)


def histogram(
    edges: Sequence[float],
    counts: Sequence[int],
    width: int,
    *,
    label: str,
    tick: Callable[[float], str],
    lines: Sequence[tuple[str, float]],
    counted: str,
    limit: float | None = None,
    limit_text: str = "",
) -> Markup:
    """Counts per bin, with named upright lines; the last bin holds everything beyond its lower edge.

    Every bin is drawn equally wide and labelled by its edges, so bins that grow by a factor stay readable.
    `len(edges) == len(counts) + 1`, ascending; the last edge may be infinite.
    """
    if len(edges) != len(counts) + 1:
        raise ValueError(f"{len(counts)} counts need {len(counts) + 1} edges, got {len(edges)}.")
    total = sum(counts)
    if not total:
        return nothing_to_draw(width, label)
    first = next(index for index, number in enumerate(counts) if number)
    last = max(index for index, number in enumerate(counts) if number)
    # One empty bin of air on each side tells that the data ends there and not the picture.
    first, last = max(first - 1, 0), min(last + 1, len(counts) - 1)
    shown, bounds = list(counts[first : last + 1]), list(edges[first : last + 2])
    overflows = last == len(counts) - 1 and counts[-1] > 0
    top, bottom, height = 58.0, 226.0, 258.0
    step = width / len(shown)
    tallest = max(shown)

    def place(value: float) -> float:
        for index, (start, end) in enumerate(pairwise(bounds)):
            if value < end or index == len(shown) - 1:
                inside = (value - start) / (end - start) if math.isfinite(end) and end > start else 0.5
                return (index + min(max(inside, 0.0), 1.0)) * step
        return float(width)

    def rise(number: float) -> float:
        return bottom - number / tallest * (bottom - top)

    marks: list[Markup] = []
    limited = limit is not None and bounds[0] <= limit < bounds[-1]
    if limit is not None and limited:
        marks.append(rect(place(limit), top, width - place(limit), bottom - top, fill="warnbg"))
        marks.append(line(place(limit), top, place(limit), bottom, stroke="c3", dash="3 3"))
    gap = min(1.0, step * 0.12)
    for index, number in enumerate(shown):
        if not number:
            continue
        over = limit is not None and bounds[index] >= limit
        # One answer among thousands still shows.
        tall = max(bottom - rise(number), 1.5)
        marks.append(
            rect(index * step + gap, bottom - tall, step - 2 * gap, tall, fill="c3" if over else "c1", radius=1)
        )
    marks.append(line(0, bottom, width, bottom, stroke="axis"))
    marks += _bin_labels(bounds, step, bottom, width, tick, overflows=overflows)
    marks += _named_lines([(name, value, place(value)) for name, value in lines], top, bottom, width, tick)
    if limited and limit is not None:
        # Below the axis: above it the named lines and the bars leave no quiet place.
        anchor, at = kept_inside(place(limit), text_width(limit_text, 12, 600), width)
        marks.append(text(at, bottom + 37, limit_text, fill="warn", anchor=anchor, weight=600))
        height += 18
    for index, number in enumerate(shown):
        if number:
            end = bounds[index + 1]
            beyond = (overflows and index == len(shown) - 1) or not math.isfinite(end)
            span = f"{tick(bounds[index])} or more" if beyond else f"{tick(bounds[index])} to {tick(end)}"
            told = [(counted, f"{number:,}"), ("Share", f"{number / total * 100:.1f}%")]
            marks.append(hit(index * step, top, step, bottom - top, span, told))
    return drawing(width, height, label, *marks)


def scatter(
    spots: Sequence[Spot],
    width: int,
    *,
    label: str,
    x_name: str,
    y_name: str,
    x_tick: Callable[[float], str],
    y_tick: Callable[[float], str],
) -> Markup:
    """Two measures of the same things, named at their points; the frontier is coloured and joined."""
    spots = [spot for spot in spots if math.isfinite(spot.x) and math.isfinite(spot.y)]
    if not spots:
        return nothing_to_draw(width, label)
    narrow = width < 460
    left, right, top, bottom = 46.0, width - 8.0, 30.0, (250.0 if narrow else 300.0)
    x_high = max(spot.x for spot in spots) * 1.08 or 1.0
    low = max(math.floor((min(spot.low for spot in spots) - 0.02) * 10) / 10, 0.0)
    high = min(math.ceil((max(spot.high for spot in spots) + 0.005) * 10) / 10, 1.0)
    if high <= low:
        low, high = max(low - 0.1, 0.0), max(low, 0.1)

    def across(value: float) -> float:
        return left + min(value / x_high, 1.0) * (right - left)

    def up(value: float) -> float:
        return bottom - (min(max(value, low), high) - low) / (high - low) * (bottom - top)

    marks: list[Markup] = [text(0, 12, y_name), text(right, bottom + 38, x_name, anchor="end")]
    for value in ticks(low, high, 4):
        marks.append(line(left, up(value), right, up(value), stroke="grid"))
        marks.append(text(left - 10, up(value) + 4, y_tick(value), anchor="end", numbers=True))
    marks.append(line(left, bottom, right, bottom, stroke="axis"))
    for value in ticks(0.0, x_high, 3 if narrow else 6):
        words = x_tick(value)
        anchor, at = kept_inside(across(value), text_width(words), width)
        marks.append(line(across(value), bottom, across(value), bottom + 5, stroke="axis"))
        marks.append(text(at, bottom + 19, words, anchor=anchor, numbers=True))
    frontier = sorted((spot for spot in spots if spot.best), key=lambda spot: (spot.x, spot.y))
    if len(frontier) > 1:
        joined = "M" + "L".join(f"{across(spot.x):.1f} {up(spot.y):.1f}" for spot in frontier)
        marks.append(el("path", d=joined, fill="none", stroke_dasharray="4 4", **paint(stroke="c1")))
    for spot in spots:
        marks.append(
            line(
                across(spot.x), up(spot.low), across(spot.x), up(spot.high), stroke="c1" if spot.best else "axis",
                width=1.5, cap="round",
            )
        )  # fmt: skip
    for spot in spots:
        marks.append(circle(across(spot.x), up(spot.y), 5.5, fill="c1" if spot.best else "axis", stroke="bg"))
    # Names stand on the side with more room; those of one side are kept apart.
    for leftward in (True, False):
        named = spots if len(spots) <= NAMED_SPOTS else [spot for spot in spots if spot.best][:NAMED_SPOTS]
        side = [spot for spot in named if (across(spot.x) > (left + right) / 2) == leftward]
        # Off the frontier, which rises to the right and would strike the names through.
        shift = -11 if leftward else 13
        heights = spread([up(spot.y) + shift for spot in side], 17, top + 6, bottom - 8)
        for spot, y in zip(side, heights, strict=True):
            x, direction = across(spot.x), -1 if leftward else 1
            room = (x - left if leftward else right - x) - 26
            name = fitted(spot.label, min(room, 240), 12, 600)
            if abs(y - up(spot.y)) > 20:
                marks.append(line(x + direction * 7, up(spot.y), x + direction * 11, y, stroke="axis"))
            marks.append(
                text(
                    x + direction * 13, y + 4, name, fill="ink" if spot.best else "ink2",
                    anchor="end" if leftward else "start", weight=600 if spot.best else 500,
                )
            )  # fmt: skip
    for spot in spots:
        told = [(x_name, spot.x_text), (y_name, spot.y_text)]
        marks.append(hit(across(spot.x) - 12, up(spot.y) - 12, 24, 24, spot.label, told))
    return drawing(width, bottom + 46, label, *marks)


def nothing_to_draw(width: int, label: str) -> Markup:
    """What stands in the place of a chart without any value."""
    words = fitted("Nothing to draw: no value was measured.", width, 13)
    return drawing(width, 34, label, text(0, 21, words, size=13))


def _domain(rows: Sequence[Dot], limit: float | None, bounds: tuple[float, float]) -> tuple[float, float]:
    """Tenths around what is drawn, so that small differences are seen; dots need no zero."""
    drawn = [
        value for row in rows for value in (row.value, row.low, row.high) if value is not None and math.isfinite(value)
    ]
    drawn += [limit] if limit is not None and math.isfinite(limit) else []
    if not drawn:
        return bounds
    low = max(math.floor((min(drawn) - 0.02) * 10) / 10, bounds[0])
    high = min(math.ceil((max(drawn) + 0.02) * 10) / 10, bounds[1])
    return (low, high) if high > low else bounds


def interval_mark(row: Dot, place: Callable[[float], float], y: float, low: float, high: float) -> list[Markup]:
    """The interval and its dot; a bound beyond the picture ends in an arrow head."""
    if row.value is None or math.isnan(row.value):
        return []
    colour = {"good": "good", "bad": "bad", "open": "axis", "plain": "c1"}[row.reading]
    marks: list[Markup] = []
    start = row.low if row.low is not None else row.value
    end = row.high if row.high is not None else row.value
    if end > start:
        marks.append(line(place(start), y, place(end), y, stroke=colour, width=2, cap="round"))
    for beyond, at, direction in ((start < low, place(low), 1), (end > high, place(high), -1)):
        if beyond:
            head = f"M{at + direction * 6:.1f} {y - 4:.1f}L{at:.1f} {y:.1f}L{at + direction * 6:.1f} {y + 4:.1f}"
            marks.append(el("path", d=head, fill="none", stroke_width=1.5, **paint(stroke=colour)))
    hollow = row.reading == "open"
    marks.append(
        circle(
            place(row.value), y, 4.5 if hollow else 5.5, fill="bg" if hollow else colour,
            stroke=colour if hollow else "bg", width=2 if hollow else 1.5,
        )
    )  # fmt: skip
    return marks


def axis_across(
    values: Sequence[float], place: Callable[[float], float], spans: Sequence[tuple[float, float]], bottom: float,
    tick: Callable[[float], str], width: int,
) -> list[Markup]:  # fmt: skip
    marks: list[Markup] = []
    for value in values:
        words = tick(value)
        anchor, at = kept_inside(place(value), text_width(words), width)
        for start, end in spans:
            marks.append(line(place(value), start, place(value), end, stroke="grid"))
        marks.append(text(at, bottom + 18, words, anchor=anchor, numbers=True))
    return marks


def kept_inside(x: float, long: float, width: float) -> tuple[str, float]:
    """Anchor and place of a label centred on `x`, unless it would leave the picture."""
    if x - long / 2 < 0:
        return "start", 0.0
    if x + long / 2 > width:
        return "end", float(width)
    return "middle", x


def _bin_labels(
    bounds: Sequence[float],
    step: float,
    bottom: float,
    width: int,
    tick: Callable[[float], str],
    *,
    overflows: bool,
) -> list[Markup]:
    """As many edges as fit, at regular bins; an overflow bin says where it begins."""
    last = len(bounds) - 1
    final = f"≥ {tick(bounds[-2])}" if overflows or not math.isfinite(bounds[-1]) else tick(bounds[-1])
    marks = [text(width, bottom + 19, final, anchor="end", numbers=True)]
    taken = width - text_width(final) - 14
    widest = max((text_width(tick(edge)) for edge in bounds[:-1]), default=0.0) + 16
    every = max(1, math.ceil(widest / step))
    free = 0.0
    for index in range(0, last, every):
        words = tick(bounds[index])
        half = text_width(words) / 2
        anchor, start = ("start", 0.0) if index == 0 else ("middle", index * step - half)
        if start < free or start + 2 * half > taken:
            continue
        free = start + 2 * half + 12
        marks.append(line(index * step, bottom, index * step, bottom + 5, stroke="axis"))
        marks.append(text(0.0 if index == 0 else index * step, bottom + 19, words, anchor=anchor, numbers=True))
    return marks


def _named_lines(
    lines: Sequence[tuple[str, float, float]],
    top: float,
    bottom: float,
    width: int,
    tick: Callable[[float], str],
) -> list[Markup]:
    """Upright lines with name and value on top, the labels kept apart and joined to their lines."""
    longest = max((text_width(tick(value), 12, 600) for _, value, _ in lines), default=0.0)
    gap = longest + 10
    places = spread([x for _, _, x in lines], gap, longest / 2, width - longest / 2)
    marks: list[Markup] = []
    for (name, value, x), at in zip(lines, places, strict=True):
        marks.append(line(x, top, x, bottom, stroke="ink", width=1.25))
        marks.append(line(at, top - 22, x, top, stroke="ink", width=1.25))
        marks.append(text(at, top - 44, name, size=11, anchor="middle"))
        marks.append(text(at, top - 28, tick(value), fill="ink", anchor="middle", weight=600, numbers=True))
    return marks


def legend_of(kinds: Sequence[Kind], width: int) -> tuple[list[Markup], float]:
    """Names of kinds with their colours, and the baseline of the last line; without a colour it is a stroke."""
    marks: list[Markup] = []
    at, baseline = 0.0, 12.0
    for kind in kinds:
        step = 30 + text_width(kind.name)
        if at and at + step > width:
            at, baseline = 0.0, baseline + 20
        if kind.colour:
            marks.append(rect(at, baseline - 10, 11, 11, fill=kind.colour, radius=2))
        else:
            marks.append(line(at, baseline - 4, at + 11, baseline - 4, stroke="ink", width=2.5))
        marks.append(text(at + 17, baseline, kind.name, fill="ink2"))
        at += step
    return marks, baseline
