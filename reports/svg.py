"""The strokes that every chart is drawn with: elements, text that fits, ticks, labels kept apart.

A colour is always written twice: as an attribute in its light value, for renderers that know no page style (PDF,
e-mail), and as a class, which the page maps to the reader's theme.
"""

import math
import unicodedata
from collections.abc import Sequence
from typing import TypeAlias

from markupsafe import Markup, escape

from reports.format import visible
from reports.theme import FONT, LIGHT

Attribute: TypeAlias = str | float | None


def el(tag: str, *children: Markup | str, **attributes: Attribute) -> Markup:
    """One element; text and attributes are escaped and made visible. `class_` and `stroke_width` lose their `_`."""
    parts = [f"<{tag}"]
    for name, value in attributes.items():
        if value is None:
            continue
        shown = _figure(value) if isinstance(value, (int, float)) else str(escape(visible(value)))
        parts.append(f' {name.rstrip("_").replace("_", "-") if name != "viewBox" else name}="{shown}"')
    body = "".join(str(child if isinstance(child, Markup) else escape(visible(child))) for child in children)
    parts.append(f">{body}</{tag}>" if body else "/>")
    return Markup("".join(parts))  # noqa: S704 - every part was escaped above


def _figure(value: float) -> str:
    if not math.isfinite(value):
        raise ValueError(f"a drawing cannot hold the coordinate {value!r}; clamp it first.")
    # Adding zero turns the -0.0 that rounding can leave into 0.0.
    return f"{round(value, 2) + 0.0:.2f}".rstrip("0").rstrip(".")


def paint(*, fill: str | None = None, stroke: str | None = None, cls: str = "") -> dict[str, Attribute]:
    """The attributes of a colour token, for `el`."""
    names = [cls] if cls else []
    colours: dict[str, Attribute] = {}
    if fill:
        colours["fill"] = LIGHT[fill]
        names.append(f"f-{fill}")
    if stroke:
        colours["stroke"] = LIGHT[stroke]
        names.append(f"s-{stroke}")
    return {**colours, "class_": " ".join(names) or None}


def text(
    x: float,
    y: float,
    words: str,
    *,
    fill: str = "ink3",
    size: float = 12,
    anchor: str | None = None,
    weight: int | None = None,
    numbers: bool = False,
) -> Markup:
    """A label with its baseline at `y`; `numbers` gives tabular figures."""
    cls = "n" if numbers else ""
    return el(
        "text",
        words,
        x=x,
        y=y,
        font_size=size,
        text_anchor=anchor,
        font_weight=weight,
        **paint(fill=fill, cls=cls),
    )


def line(
    x1: float, y1: float, x2: float, y2: float, *, stroke: str = "grid", width: float = 1, dash: str | None = None,
    cap: str | None = None,
) -> Markup:  # fmt: skip
    return el(
        "line", x1=x1, y1=y1, x2=x2, y2=y2, stroke_width=width, stroke_dasharray=dash, stroke_linecap=cap,
        **paint(stroke=stroke),
    )  # fmt: skip


def rect(
    x: float, y: float, width: float, height: float, *, fill: str, radius: float | None = None,
    opacity: float | None = None,
) -> Markup:  # fmt: skip
    return el(
        "rect", x=x, y=y, width=max(width, 0.0), height=max(height, 0.0), rx=radius, fill_opacity=opacity,
        **paint(fill=fill),
    )  # fmt: skip


def circle(x: float, y: float, radius: float, *, fill: str, stroke: str, width: float = 1.5) -> Markup:
    return el("circle", cx=x, cy=y, r=radius, stroke_width=width, **paint(fill=fill, stroke=stroke))


def hit(x: float, y: float, width: float, height: float, title: str, rows: Sequence[tuple[str, str]] = ()) -> Markup:
    """The invisible place that answers to a pointer; its title is read without a script, by line and tab with one."""
    told = "\n".join([_flat(title), *(f"{_flat(name)}\t{_flat(value)}" for name, value in rows)])
    return el(
        "rect", el("title", told), x=x, y=y, width=max(width, 0.0), height=max(height, 0.0), class_="hit", fill="#000",
        fill_opacity=0,
    )  # fmt: skip


def _flat(words: str) -> str:
    return " ".join(words.split())


def drawing(width: float, height: float, label: str, *children: Markup) -> Markup:
    """The whole picture; `label` is the one sentence that stands for it when it cannot be seen."""
    return el(
        "svg", *children, viewBox=f"0 0 {_figure(width)} {_figure(height)}", width=width, height=height, role="img",
        aria_label=label, class_="chart", font_family=FONT, xmlns="http://www.w3.org/2000/svg",
    )  # fmt: skip


# Widths in em of Inter at weight 400, by kind of character: good to a few percent, and always the same.
_NARROW = frozenset("iljI.,:;'|!()[]{}`·ft ")
_WIDE = frozenset("mwMWQOGCD%@&—+−=±≈≤≥→#")


def text_width(words: str, size: float = 12, weight: int = 400) -> float:
    """About how wide a label will be, in pixels; a little generous, so that what fits here fits there."""
    ems = 0.0
    for char in words:
        if char in _NARROW:
            ems += 0.33
        elif char in _WIDE:
            ems += 0.86
        elif char.isascii():
            ems += 0.69 if char.isupper() else 0.6
        elif unicodedata.east_asian_width(char) in "WF":
            ems += 1.05
        else:
            ems += 0.65 if unicodedata.combining(char) == 0 else 0.0
    return ems * size * (1.05 if weight >= 600 else 1.02 if weight >= 500 else 1.0)


def fitted(words: str, room: float, size: float = 12, weight: int = 400) -> str:
    """The label, shortened in its middle to the room there is: names of variants differ at both ends."""
    words = visible(" ".join(words.split()))
    if text_width(words, size, weight) <= room:
        return words
    for keep in range(min(len(words) - 1, 200), 1, -1):
        head = (keep + 1) // 2
        short = f"{words[:head].rstrip()}…{words[len(words) - (keep - head) :].lstrip()}"
        if text_width(short, size, weight) <= room:
            return short
    return "…"


def ticks(low: float, high: float, wanted: int = 5) -> list[float]:
    """Round numbers between two bounds, about `wanted` of them, each a multiple of 1, 2, 2.5 or 5."""
    if not (math.isfinite(low) and math.isfinite(high)) or high <= low:
        return [low] if math.isfinite(low) else [0.0]
    raw = (high - low) / max(wanted, 1)
    magnitude = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * magnitude for factor in (1, 2, 2.5, 5, 10) if factor * magnitude >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def spread(places: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """The places moved apart to at least `gap`, their order kept, as near as can be to where they were.

    When they cannot all fit between `low` and `high` they share the room evenly.
    """
    order = sorted(range(len(places)), key=lambda index: (places[index], index))
    if not order:
        return []
    gap = min(gap, (high - low) / (len(order) - 1)) if len(order) > 1 else gap
    moved = [min(max(places[index], low), high) for index in order]
    for position in range(1, len(moved)):
        moved[position] = max(moved[position], moved[position - 1] + gap)
    # Pushed past the end: give back from the far side, then the near side is free again.
    ceiling = high
    for position in range(len(moved) - 1, -1, -1):
        moved[position] = min(moved[position], ceiling)
        ceiling = moved[position] - gap
    apart = [0.0] * len(order)
    for position, index in enumerate(order):
        apart[index] = moved[position]
    return apart
