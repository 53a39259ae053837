"""The watch of a canary, drawn: how much worse it is than its control, look by look, with the bound that decides."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from reports.charts import kept_inside, nothing_to_draw
from reports.svg import circle, drawing, el, hit, line, paint, rect, text, text_width, ticks


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchPoint:
    """One look. Above zero is worse than the control; None is not known yet."""

    units: int
    """Of the canary, so far."""
    difference: float | None
    at_least: float | None
    """The lower bound that holds at every look together."""
    harmful: bool
    title: str
    told: tuple[tuple[str, str], ...]


def watch_chart(
    points: Sequence[WatchPoint],
    width: int,
    *,
    label: str,
    tick: Callable[[float], str],
    tolerated: float,
    tolerated_text: str,
    value_name: str,
    bound_name: str,
) -> Markup:
    """Harm over the units of the canary. What lies in the shaded part above `tolerated` with its bound goes back."""
    known = [point for point in points if _finite(point.difference)]
    if not known:
        return nothing_to_draw(width, label)
    low, high = _domain(known, tolerated)
    left, right, top = 62.0, width - 14.0, 34.0
    bottom = top + (210.0 if width > 800 else 170.0)
    most = max(point.units for point in points) or 1

    def across(units: int) -> float:
        return left + units / most * (right - left)

    def up(value: float) -> float:
        return bottom - (min(max(value, low), high) - low) / (high - low) * (bottom - top)

    marks: list[Markup] = [rect(left, top, right - left, up(tolerated) - top, fill="badbg")]
    for value in ticks(low, high, 5):
        marks.append(line(left, up(value), right, up(value), stroke="grid"))
        marks.append(text(left - 8, up(value) + 4, tick(value), anchor="end", numbers=True))
    marks.append(line(left, up(0), right, up(0), stroke="ink", width=1.25))
    marks.append(line(left, up(tolerated), right, up(tolerated), stroke="bad", width=1.25, dash="5 4"))
    marks.append(text(right - 4, top + 13, tolerated_text, fill="bad", anchor="end", weight=500))
    bounds = [
        (across(p.units), up(p.at_least))
        for p in points
        if p.at_least is not None and _finite(p.at_least) and p.at_least >= low
    ]
    values = [(across(p.units), up(p.difference)) for p in known if p.difference is not None]
    marks += [_through(bounds, stroke="axis", width=1.5, dash="3 3"), _through(values, stroke="c1", width=2)]
    for x, y in bounds:
        marks.append(line(x - 4, y, x + 4, y, stroke="axis", width=2))
    for point in known:
        ink = "bad" if point.harmful else "c1"
        marks.append(circle(across(point.units), up(point.difference or 0.0), 4, fill=ink, stroke=ink))
    marks += _key(left, width, value_name, bound_name)
    marks.append(line(left, bottom, right, bottom, stroke="axis"))
    for count in ticks(0, most, 3 if width < 460 else 6):
        words = f"{count:,.0f}"
        anchor, at = kept_inside(across(int(count)), text_width(words), width)
        marks.append(text(at, bottom + 18, words, anchor=anchor, numbers=True))
    marks.append(text(right, bottom + 36, "units of the canary so far", anchor="end"))
    places = [across(point.units) for point in points]
    for index, point in enumerate(points):
        begins = left if index == 0 else (places[index - 1] + places[index]) / 2
        ends = right if index == len(points) - 1 else (places[index] + places[index + 1]) / 2
        marks.append(hit(begins, top, ends - begins, bottom - top, point.title, point.told))
    return drawing(width, bottom + 44, label, *marks)


def _finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _domain(known: Sequence[WatchPoint], tolerated: float) -> tuple[float, float]:
    """Around zero, what is tolerated and the differences; early bounds, far below, do not squeeze them."""
    values = [point.difference or 0.0 for point in known]
    bounds = [point.at_least for point in known if point.at_least is not None and _finite(point.at_least)]
    high = max([0.0, tolerated, *values, *bounds])
    low = min([0.0, *values])
    reach = (high - low) or 1.0
    lowest = min([low, *bounds])
    return max(lowest, low - 1.5 * reach) - 0.08 * reach, high + 0.4 * reach


def _through(places: Sequence[tuple[float, float]], *, stroke: str, width: float, dash: str | None = None) -> Markup:
    if len(places) < 2:
        return Markup("")
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    return el(
        "path", d=path, fill="none", stroke_width=width, stroke_dasharray=dash, stroke_linejoin="round",
        **paint(stroke=stroke),
    )  # fmt: skip


def _key(left: float, width: int, value_name: str, bound_name: str) -> list[Markup]:
    """What the two lines are."""
    second = left + 30 + text_width(value_name) + 18
    return [
        line(left, 14, left + 20, 14, stroke="c1", width=2),
        text(left + 26, 18, value_name, fill="ink2"),
        line(second, 14, second + 20, 14, stroke="axis", width=1.5, dash="3 3"),
        text(second + 26, 18, bound_name, fill="ink2"),
    ]
