"""The frontier of cost and quality, against a search through all pairs."""

from collections.abc import Sequence
from decimal import Decimal

import numpy as np

from evaluations.estimates import Estimate
from evaluations.frontier import Placed, Point, placed


def at(name: str, cost: float | None, value: float | None, half: float = 0.02) -> Point:
    return Point(
        name=name,
        cost=None if cost is None else Decimal(str(cost)),
        quality=None if value is None else Estimate(value=value, low=value - half, high=value + half, n=100),
    )


def standings(points: Sequence[Point]) -> dict[str, str]:
    return {each.point.name: each.standing for each in placed(points)}


def one(found: Sequence[Placed], name: str) -> Placed:
    return next(each for each in found if each.point.name == name)


def test_what_is_neither_cheaper_nor_better_than_another_is_dominated() -> None:
    found = placed([at("small", 1, 0.8), at("large", 9, 0.9), at("old", 10, 0.7)])
    assert [each.standing for each in found] == ["frontier", "frontier", "dominated"]
    assert found[2].beaten_by == ("small", "large")


def test_a_dearer_one_that_is_not_shown_to_be_worse_is_tied_not_dominated() -> None:
    found = one(placed([at("small", 1, 0.80), at("dear", 5, 0.79)]), "dear")
    assert (found.standing, found.beaten_by, found.not_better_than) == ("tied", ("small",), ("small",))


def test_on_the_frontier_it_says_when_the_money_buys_nothing_that_is_shown() -> None:
    found = one(placed([at("small", 1, 0.80), at("dear", 5, 0.81)]), "dear")
    assert (found.standing, found.not_better_than) == ("frontier", ("small",))


def test_a_paired_difference_shows_what_two_intervals_leave_open() -> None:
    points = [at("small", 1, 0.80, 0.05), at("dear", 5, 0.77, 0.05)]
    assert one(placed(points), "dear").standing == "tied"
    shown = Estimate(value=0.03, low=0.01, high=0.05, n=100)
    other = Estimate(value=-0.03, low=-0.05, high=-0.01, n=100)
    found = placed(points, lambda first, _: shown if first == "small" else other)
    assert one(found, "dear").standing == "dominated"


def test_as_good_for_less_dominates_whatever_the_interval() -> None:
    assert standings([at("a", 1, 0.8, 0.3), at("b", 2, 0.8, 0.3)]) == {"a": "frontier", "b": "dominated"}


def test_two_that_are_alike_are_both_on_the_frontier() -> None:
    assert set(standings([at("a", 1, 0.8), at("b", 1, 0.8)]).values()) == {"frontier"}


def test_what_is_unpriced_or_unmeasured_stands_nowhere_and_beats_nobody() -> None:
    assert standings([at("unpriced", None, 0.99), at("unmeasured", 0.01, None), at("known", 5, 0.5)]) == {
        "unpriced": "unknown",
        "unmeasured": "unknown",
        "known": "frontier",
    }


def test_the_frontier_is_what_a_search_through_all_pairs_finds() -> None:
    random = np.random.default_rng(5)
    for _ in range(100):
        points = [
            at(f"m{n}", int(random.integers(1, 8)), int(random.integers(0, 8)) / 8)
            for n in range(random.integers(1, 9))
        ]
        known = [(each, float(each.cost or 0), each.quality.value if each.quality else 0.0) for each in points]
        wanted = {
            point.name
            for point, cost, quality in known
            if not any((c <= cost and q > quality) or (c < cost and q >= quality) for _, c, q in known)
        }
        found = standings(points)
        assert {name for name, standing in found.items() if standing == "frontier"} == wanted
        # Whoever is dominated is so by somebody who is not.
        assert wanted
