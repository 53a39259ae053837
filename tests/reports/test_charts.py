import math
import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

import pytest
from markupsafe import Markup

from reports import charts, svg, theme, time_charts
from reports.charts import Bar, Dot, Kind, Spot, Stack
from reports.format import duration, share
from reports.time_charts import Layer, Moment, sparkline
from reports.waterfall import Lane, waterfall

SVG = "{http://www.w3.org/2000/svg}"
LONG = "a-variant-with-a-name-of-sixty-letters-that-nobody-would-choose"
WIDTHS = [1040, 690, 492, 360]
KINDS = (Kind(name="Failed", colour="bad"), Kind(name="Passed", colour="n2"))


def dots(*rows: Dot, limit: float | None = 0.9) -> Callable[[int], Markup]:
    return lambda width: charts.dot_plot(
        rows, width, label="Pass rates.", heads=("Variant", "Cases", "Pass rate", "95% CI"), tick=share, limit=limit,
        limit_text="gate 90%",
    )  # fmt: skip


def a_dot(label: str = "small", value: float | None = 0.8, low: float | None = 0.7, high: float | None = 0.9) -> Dot:
    return Dot(label=label, value=value, low=low, high=high, value_text="80%", interval_text="70–90%", n_text="60")


def stacks(*rows: Stack) -> Callable[[int], Markup]:
    return lambda width: charts.stacked_bars(rows, KINDS, width, label="Cases by verdict.")


def a_stack(label: str = "small", counts: tuple[int, ...] = (3, 57)) -> Stack:
    return Stack(label=label, counts=counts, text="3 failed, 57 passed")


def costs(*rows: Bar) -> Callable[[int], Markup]:
    return lambda width: charts.bars(rows, width, label="Cost.", value_name="Cost")


def a_bar(label: str = "small", value: float | None = 4.2) -> Bar:
    return Bar(label=label, value=value, text="$4.20" if value is not None else "unpriced")


def latencies(
    edges: tuple[float, ...], counts: tuple[int, ...], at: tuple[float, float, float] = (150.0, 250.0, 290.0),
    limit: float | None = None,
) -> Callable[[int], Markup]:  # fmt: skip
    lines = tuple(zip(("p50", "p95", "p99"), at, strict=True))
    return lambda width: charts.histogram(
        edges, counts, width, label="Latency.", tick=duration, lines=lines, counted="Answers", limit=limit,
        limit_text="p95 limit 2 s",
    )  # fmt: skip


def spots(*rows: Spot) -> Callable[[int], Markup]:
    return lambda width: charts.scatter(
        rows,
        width,
        label="Trade-off.",
        x_name="Cost",
        y_name="Pass rate",
        x_tick=lambda v: f"${v:g}",
        y_tick=share,
    )


def a_spot(label: str = "small", x: float = 4.2, y: float = 0.8) -> Spot:
    return Spot(label=label, x=x, y=y, low=y - 0.1, high=min(y + 0.1, 1.0), x_text="$4.20", y_text="80%", best=True)


def steps(*rows: Lane, end: float | None = 100.0) -> Callable[[int], Markup]:
    return lambda width: waterfall(
        rows, KINDS, width, label="Steps.", tick=duration, path_name="Critical path", end=end,
        end_text="the request ended",
    )  # fmt: skip


def a_lane(label: str = "chat", start: float = 10.0, end: float = 90.0, depth: int = 1, **given: Any) -> Lane:
    return Lane(
        **{
            "label": label,
            "depth": depth,
            "start": start,
            "end": end,
            "text": duration(max(end - start, 0)),
            "kind": 1,
            **given,
        }
    )


def a_trend(*values: float | None, flags: Sequence[str] = (), to_date: bool = False, average: bool = False) -> Any:
    moments = [
        Moment(title=f"Day {n}", axis=f"{n} May", value=value, text=f"{value}", flag=flags[n] if n < len(flags) else "",
               to_date=to_date and n == len(values) - 1)
        for n, value in enumerate(values)
    ]  # fmt: skip
    return lambda width: time_charts.trend_line(
        moments, width, label="Spend by day.", value_name="Spend", tick=lambda value: f"${value:g}",
        average=values if average else (), average_name="7-day average",
    )  # fmt: skip


def areas(*layers: Layer) -> Callable[[int], Markup]:
    days = len(layers[0].values) if layers else 0
    return lambda width: time_charts.stacked_area(
        [f"Day {n}" for n in range(days)], [f"{n} May" for n in range(days)], layers, width, label="Spend by feature.",
        tick=lambda value: f"${value:g}",
    )  # fmt: skip


def a_layer(*values: float, name: str = "chatbot") -> Layer:
    return Layer(name=name, values=values, text="$1.54 a day, +2.1%")


def hours(cells: dict[tuple[int, int], float], peak: str = "Peak: Tuesday 10:00, 112 an hour") -> Any:
    return lambda width: time_charts.heat_map(
        cells, width, label="Requests by hour.", value=lambda value: f"{value:,.0f}", peak_text=peak
    )


EDGES: dict[str, Callable[[int], Markup]] = {
    "trend: none": a_trend(),
    "trend: one": a_trend(3.0),
    "trend: two": a_trend(3.0, 4.0, to_date=True),
    "trend: only unknown": a_trend(None, None),
    "trend: gaps": a_trend(1.0, None, 2.0, 3.0, None, 4.0),
    "trend: last unknown": a_trend(1.0, 2.0, None, to_date=True),
    "trend: all equal": a_trend(*[2.0] * 30),
    "trend: all zero": a_trend(0.0, 0.0, 0.0),
    "trend: infinite": a_trend(1.0, math.inf, math.nan, 2.0),
    "trend: average": a_trend(*[float(n % 7) for n in range(90)], average=True),
    "trend: flags everywhere": a_trend(*[1.0] * 5, flags=[LONG] * 5),
    "trend: flag without a value": a_trend(1.0, None, 2.0, flags=["", "gone"]),
    "areas: none": areas(),
    "areas: one day": areas(a_layer(3.0), a_layer(1.0)),
    "areas: two days": areas(a_layer(3.0, 4.0)),
    "areas: all zero": areas(a_layer(0.0, 0.0)),
    "areas: all equal": areas(*[a_layer(*[1.0] * 30, name=f"f{n}") for n in range(5)]),
    "areas: one tiny": areas(a_layer(*[100.0] * 10), a_layer(*[0.001] * 10, name="tiny"), a_layer(*[0.001] * 10)),
    "areas: long names": areas(*[a_layer(*[1.0] * 9, name=LONG) for _ in range(5)]),
    "hours: none": hours({}),
    "hours: all zero": hours({(0, 0): 0.0}),
    "hours: one": hours({(6, 23): 1.0}),
    "hours: all equal": hours({(day, hour): 5.0 for day in range(7) for hour in range(24)}),
    "hours: large": hours({(2, 13): 12_345_678.0, (0, 0): 1.0}, LONG),
    "steps: none": steps(),
    "steps: one": steps(a_lane()),
    "steps: no length": steps(a_lane(start=0.0, end=0.0), end=0.0),
    "steps: all alike": steps(*[a_lane(f"s{n}", path=((10.0, 90.0),)) for n in range(3)]),
    "steps: before the beginning": steps(a_lane(start=-50.0, end=-20.0), a_lane()),
    "steps: beyond the end": steps(a_lane(end=300.0, driver=True, failed=True, is_open=True), a_lane()),
    "steps: long names, deep": steps(*[a_lane(LONG, depth=n * 5) for n in range(5)]),
    "steps: a thousand": steps(*[a_lane(f"s{n}", n / 10, n / 10 + 0.05) for n in range(1000)]),
    "steps: many pieces": steps(a_lane(path=tuple((n / 10, n / 10 + 0.05) for n in range(100, 900)))),
    "dots: none": dots(),
    "dots: one": dots(a_dot()),
    "dots: two": dots(a_dot(), a_dot("large", 0.95, 0.9, 0.98)),
    "dots: value missing": dots(a_dot(value=None, low=None, high=None), a_dot()),
    "dots: only missing": dots(a_dot(value=None, low=None, high=None), limit=None),
    "dots: all equal": dots(*[a_dot(f"v{i}", 0.5, 0.5, 0.5) for i in range(3)], limit=0.5),
    "dots: all one": dots(a_dot(value=1.0, low=1.0, high=1.0), limit=1.0),
    "dots: all zero": dots(a_dot(value=0.0, low=0.0, high=0.0), limit=0.0),
    "dots: infinite bound": dots(a_dot(low=-math.inf, high=math.inf)),
    "dots: not a number": dots(a_dot(value=math.nan, low=None, high=None)),
    "dots: long names": dots(a_dot(LONG), a_dot(LONG.upper()), a_dot("漢" * 60)),
    "stacks: none": stacks(),
    "stacks: one": stacks(a_stack()),
    "stacks: zero": stacks(a_stack(counts=(0, 0))),
    "stacks: one of many": stacks(a_stack(counts=(1, 100_000)), a_stack(counts=(0, 100_001))),
    "stacks: long names": stacks(a_stack(LONG), a_stack(LONG)),
    "bars: none": costs(),
    "bars: one": costs(a_bar()),
    "bars: two": costs(a_bar(), a_bar("large", 12.0)),
    "bars: unknown": costs(a_bar(), a_bar("large", None)),
    "bars: only unknown": costs(a_bar(value=None)),
    "bars: all zero": costs(a_bar(value=0.0), a_bar(value=0.0)),
    "bars: infinite": costs(a_bar(value=math.inf), a_bar()),
    "bars: long names": costs(a_bar(LONG), a_bar("W" * 60)),
    "histogram: nothing": latencies((0.0, 100.0, 200.0), (0, 0)),
    "histogram: one bin": latencies((0.0, 100.0), (5,)),
    "histogram: one answer": latencies((0.0, 100.0, 200.0, 300.0), (0, 1, 0), (150.0, 150.0, 150.0)),
    "histogram: infinite last edge": latencies((0.0, 100.0, math.inf), (3, 2), (50.0, 900.0, 9e9)),
    "histogram: all in the overflow": latencies((0.0, 100.0, 200.0), (0, 9), (5e3, 5e3, 5e3)),
    "histogram: limit inside": latencies(tuple(float(e) for e in range(0, 4100, 100)), (3,) * 40, limit=2000.0),
    "histogram: limit outside": latencies((0.0, 100.0, 200.0), (1, 1), limit=9000.0),
    "histogram: growing bins": latencies(tuple(1.2**i for i in range(60)), tuple(range(59)), (100.0, 9e3, 9e3)),
    "scatter: none": spots(),
    "scatter: one": spots(a_spot()),
    "scatter: same place": spots(*[a_spot(f"v{i}") for i in range(4)]),
    "scatter: free": spots(a_spot(x=0.0), a_spot(x=0.0, y=0.0)),
    "scatter: not finite": spots(a_spot(x=math.inf), a_spot(y=math.nan), a_spot()),
    "scatter: long names": spots(a_spot(LONG), a_spot(LONG, 12.0, 0.9), a_spot(LONG, 0.1, 0.5)),
}


def texts(drawing: ElementTree.Element) -> list[ElementTree.Element]:
    return list(drawing.iter(f"{SVG}text"))


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", EDGES)
def test_every_chart_survives_its_edges_and_keeps_its_labels_inside(name: str, width: int) -> None:
    drawing = ElementTree.fromstring(EDGES[name](width))
    assert drawing.get("role") == "img"
    assert drawing.get("aria-label", "").endswith(".")
    assert float(drawing.get("width", "0")) == width
    assert texts(drawing), "a chart without a word says nothing"
    height = float(drawing.get("height", "0"))
    for label in texts(drawing):
        said = "".join(label.itertext())
        long = svg.text_width(said, float(label.get("font-size", "12")), int(label.get("font-weight", "400")))
        x, anchor = float(label.get("x", "0")), label.get("text-anchor", "start")
        left = x - {"start": 0.0, "middle": long / 2, "end": long}[anchor]
        assert left >= -1.5, said
        assert left + long <= width + 1.5, said
        assert 8 <= float(label.get("y", "0")) <= height, said


@pytest.mark.parametrize("name", EDGES)
def test_every_colour_is_written_twice_and_nothing_needs_an_id_or_a_style(name: str) -> None:
    markup = EDGES[name](690)
    assert " id=" not in markup
    assert " style=" not in markup
    for element in ElementTree.fromstring(markup).iter():
        classes = (element.get("class") or "").split()
        for attribute, prefix in (("fill", "f-"), ("stroke", "s-")):
            colour = element.get(attribute)
            if colour and colour not in ("none", "#000"):
                token = next(name.removeprefix(prefix) for name in classes if name.startswith(prefix))
                assert theme.LIGHT[token] == colour


@pytest.mark.parametrize("name", EDGES)
def test_the_same_data_gives_the_same_bytes(name: str) -> None:
    assert EDGES[name](360) == EDGES[name](360)


def test_text_from_outside_cannot_leave_its_label() -> None:
    markup = costs(a_bar("</text><script>alert(1)</script>\u202e"))(492)
    assert "<script" not in markup
    assert "U+202E" in markup


def test_a_bar_is_as_long_as_its_share_of_the_largest() -> None:
    drawing = ElementTree.fromstring(costs(a_bar("a", 10.0), a_bar("b", 2.5))(400))
    long = [float(bar.get("width", "0")) for bar in drawing.iter(f"{SVG}rect") if bar.get("class") == "f-n1"]
    assert long == [400.0, 100.0]


def test_histogram_bars_hold_every_answer_in_proportion() -> None:
    counts = (4, 2, 1)
    drawing = ElementTree.fromstring(latencies((0.0, 100.0, 200.0, 300.0), counts)(300))
    heights = [float(bar.get("height", "0")) for bar in drawing.iter(f"{SVG}rect") if bar.get("class") == "f-c1"]
    assert [round(height / heights[0] * 4, 3) for height in heights] == list(counts)


def test_steps_lie_on_the_axis_of_time_in_proportion() -> None:
    drawing = ElementTree.fromstring(steps(a_lane("a", 0.0, 100.0), a_lane("b", 25.0, 75.0))(1040))
    first, second = [bar for bar in drawing.iter(f"{SVG}rect") if bar.get("height") == "10"]
    long = float(first.get("width", "0"))
    assert float(second.get("width", "0")) == pytest.approx(long / 2, abs=0.02)
    assert float(second.get("x", "0")) == pytest.approx(float(first.get("x", "0")) + long / 4, abs=0.02)


def test_pieces_of_the_critical_path_that_no_eye_tells_apart_are_one_stroke() -> None:
    drawing = ElementTree.fromstring(EDGES["steps: many pieces"](360))
    strokes = [line for line in drawing.iter(f"{SVG}line") if line.get("stroke-width") == "2.5"]
    assert len(strokes) == 2, "that of the legend and one"


def test_a_histogram_whose_edges_do_not_fit_is_refused_with_both_numbers() -> None:
    with pytest.raises(ValueError, match="2 counts need 3 edges, got 2"):
        latencies((0.0, 1.0), (1, 2))(300)


@pytest.mark.parametrize("places", [[], [5.0], [5.0, 5.0, 5.0], [0.0, 99.0, 100.0], [50.0, 49.0, 51.0]])
def test_spread_keeps_labels_apart_in_order_and_inside(places: list[float]) -> None:
    apart = svg.spread(places, 12.0, 0.0, 100.0)
    order = sorted(range(len(places)), key=lambda index: (places[index], index))
    moved = [apart[index] for index in order]
    assert all(b - a >= 12.0 - 1e-9 for a, b in pairwise(moved))
    assert all(0.0 <= place <= 100.0 for place in moved)


def test_spread_shares_a_room_that_is_too_small() -> None:
    assert svg.spread([1.0, 1.0, 1.0], 40.0, 0.0, 50.0) == pytest.approx([0.0, 25.0, 50.0])


@pytest.mark.parametrize(
    ("low", "high"), [(0.0, 1.0), (0.6, 1.0), (0.0, 13.4), (-5.0, 20.0), (3.0, 3.0), (0.0, math.inf)]
)
def test_ticks_are_round_and_within_bounds(low: float, high: float) -> None:
    found = svg.ticks(low, high)
    assert found
    assert all(low - 1e-9 <= tick <= high + 1e-9 for tick in found)
    steps = {round(b - a, 9) for a, b in pairwise(found)}
    assert len(steps) <= 1
    assert all(re.fullmatch(r"-?\d+(\.\d{1,3})?", f"{tick:g}") for tick in found)


def test_a_coordinate_that_is_no_number_is_refused_rather_than_drawn() -> None:
    with pytest.raises(ValueError, match="clamp it first"):
        svg.line(0, math.nan, 1, 1)


def ends(drawing: ElementTree.Element, stroke: str) -> list[tuple[float, float]]:
    """The points of all lines of a colour."""
    found = []
    for path in drawing.iter(f"{SVG}path"):
        if path.get("class") == f"s-{stroke}":
            found += [tuple(map(float, pair.split())) for pair in path.get("d", "")[1:].split("L")]
    return [(x, y) for x, y in found]


def test_a_trend_is_drawn_in_proportion_and_its_gaps_stay_open() -> None:
    drawing = ElementTree.fromstring(a_trend(1.0, 2.0, None, 4.0, 2.0)(690))
    points = ends(drawing, "c1")
    assert len(points) == 4
    foot = max(float(axis.get("y1", "0")) for axis in drawing.iter(f"{SVG}line"))
    heights = [foot - y for _, y in points]
    assert [round(height / heights[0], 2) for height in heights] == [1.0, 2.0, 4.0, 2.0]
    assert len([path for path in drawing.iter(f"{SVG}path") if path.get("class") == "s-c1"]) == 2


def test_what_is_not_over_is_dashed_and_says_so() -> None:
    drawing = ElementTree.fromstring(a_trend(1.0, 2.0, 3.0, to_date=True)(690))
    dashed = [path for path in drawing.iter(f"{SVG}path") if path.get("stroke-dasharray")]
    assert [path.get("d", "").count("L") for path in dashed] == [1]
    assert "to date" in ["".join(label.itertext()) for label in texts(drawing)]


def test_the_peak_of_the_week_is_the_darkest_and_outlined() -> None:
    cells = {(day, hour): float(day + hour) for day in range(7) for hour in range(24)}
    drawing = ElementTree.fromstring(hours(cells)(1040))
    squares = [square for square in drawing.iter(f"{SVG}rect") if (square.get("class") or "").startswith("f-q")][:168]
    assert squares[-1].get("class") == "f-q8"
    assert squares[0].get("class") == "f-q0"
    [outline] = [each for each in drawing.iter(f"{SVG}rect") if each.get("class") == "s-ink"]
    assert float(outline.get("x", "0")) == pytest.approx(float(squares[-1].get("x", "0")) - 1)


def test_a_sparkline_needs_five_points() -> None:
    assert sparkline([1.0, 2.0, None, 3.0, 4.0], label="Spend.") is None
    drawing = sparkline([1.0, 2.0, None, 3.0, 4.0, math.nan, 5.0], label="Spend.")
    assert drawing is not None
    assert "NaN" not in drawing
    assert sparkline([2.0] * 5, label="Spend.") is not None
