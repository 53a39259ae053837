"""The frontier of cost and quality: which of several is worth its money, which is not, and which only seems not to be.

A point is on the frontier while nothing is at once as cheap and as good. Off it, one is dominated only where the other
is shown to be better, or is as good for less; where the interval leaves that open, the two are tied in quality.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from evaluations.estimates import Estimate

Standing = Literal["frontier", "tied", "dominated", "unknown"]
Difference = Callable[[str, str], Estimate | None]
"""Quality of the first less that of the second, on the same cases; None where that was not measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One of those that are held against each other."""

    name: str
    cost: Decimal | None
    """US dollars of whatever all of them are measured by; None when unpriced."""
    quality: Estimate | None
    """Higher is better; None when not measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """Where a point stands, and because of whom."""

    point: Point
    standing: Standing
    beaten_by: tuple[str, ...] = ()
    """No dearer and no worse, cheapest first."""
    not_better_than: tuple[str, ...] = ()
    """Cheaper ones whose quality is not shown to be lower: the price of the difference may buy nothing."""


def placed(points: Sequence[Point], difference: Difference | None = None) -> tuple[Placed, ...]:
    """Each point with its standing, in the order given.

    `difference` gives paired differences; without one, whole intervals are compared, which calls more of them tied.

    >>> def at(name, cost, value, half):
    ...     quality = Estimate(value=value, low=value - half, high=value + half, n=100)
    ...     return Point(name=name, cost=Decimal(cost), quality=quality)
    >>> found = placed([at("small", "1", 0.80, 0.02), at("large", "9", 0.90, 0.02), at("old", "10", 0.70, 0.02)])
    >>> [(each.point.name, each.standing) for each in found]
    [('small', 'frontier'), ('large', 'frontier'), ('old', 'dominated')]
    """
    return tuple(_placed(point, points, difference) for point in points)


def _placed(point: Point, points: Sequence[Point], difference: Difference | None) -> Placed:
    if point.cost is None or point.quality is None:
        return Placed(point=point, standing="unknown")
    others = sorted(
        (each for each in points if each is not point and each.cost is not None and each.quality is not None),
        key=lambda each: (each.cost or 0, each.name),
    )
    beaten = [each for each in others if _no_worse(each, point)]
    better = [each for each in beaten if shown_better(each, point, difference) or _equal(each, point)]
    standing: Standing = "dominated" if better else "tied" if beaten else "frontier"
    return Placed(
        point=point,
        standing=standing,
        beaten_by=tuple(each.name for each in beaten),
        not_better_than=tuple(
            each.name
            for each in others
            if each.cost is not None and each.cost < point.cost and not shown_better(point, each, difference)
        ),
    )


def _no_worse(one: Point, other: Point) -> bool:
    """As cheap and as good by their estimates, and better in one of the two."""
    if one.cost is None or other.cost is None or one.quality is None or other.quality is None:
        return False
    mine, theirs = (-one.cost, one.quality.value), (-other.cost, other.quality.value)
    return mine[0] >= theirs[0] and mine[1] >= theirs[1] and mine != theirs


def _equal(one: Point, other: Point) -> bool:
    """As good by the very estimate, for less."""
    return one.quality is not None and other.quality is not None and one.quality.value == other.quality.value


def shown_better(one: Point, other: Point, difference: Difference | None = None) -> bool:
    """Whether the data show that one's quality is higher than the other's."""
    if one.quality is None or other.quality is None:
        return False
    found = difference(one.name, other.name) if difference is not None else None
    return found.low > 0 if found is not None else one.quality.low > other.quality.high
