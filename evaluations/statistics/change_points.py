"""Agreement about the points at which a series changes, between people and methods.

A change point is the index, from 0, of the first observation of a new segment.
Source of both: van den Burg & Williams (2020), "An Evaluation of Change Point Detection Algorithms", section 4.
"""

from collections.abc import Collection, Sequence
from itertools import pairwise


def margin_f1(annotators: Sequence[Collection[int]], marked: Collection[int], *, margin: int = 5) -> float:
    """F1 of `marked` against the points of several annotators; in [0, 1].

    A point counts as found within `margin` observations, and each marked point finds one. Precision is taken against
    the points of all annotators together, recall is the mean over annotators. Index 0, where every series begins, is
    always among the points, so two empty markings agree and nobody divides by zero.
    Raises ValueError without annotators.

    >>> round(margin_f1([[100, 200], [102]], [101]), 3)
    0.909
    """
    if not annotators:
        raise ValueError("agreement with nobody: give the points of one annotator or more")
    found = {0, *marked}
    precision = _found({0}.union(*annotators), found, margin) / len(found)
    recalls = [_found({0, *points}, found, margin) / len({0, *points}) for points in annotators]
    recall = sum(recalls) / len(recalls)
    return 2 * precision * recall / (precision + recall)


def covering(annotators: Sequence[Collection[int]], marked: Collection[int], *, n: int) -> float:
    """How well the segments of `marked` cover those of the annotators, a mean over annotators; in [0, 1].

    Each segment of an annotator counts by its length, with the best overlap (Jaccard) of a marked segment; `n` is the
    length of the series. Raises ValueError without annotators or if a point lies outside 0 … n - 1.

    >>> round(covering([[50]], [60], n=100), 3)
    0.817
    """
    if not annotators:
        raise ValueError("agreement with nobody: give the points of one annotator or more")
    segments = _segments(marked, n)
    covered = [
        sum(len(own) * max(_jaccard(own, other) for other in segments) for own in _segments(points, n)) / n
        for points in annotators
    ]
    return sum(covered) / len(covered)


def _found(points: Collection[int], marked: Collection[int], margin: int) -> int:
    left, hits = set(marked), 0
    for point in sorted(points):
        near = min(left, key=lambda index: (abs(point - index), index), default=None)
        if near is not None and abs(point - near) <= margin:
            left.remove(near)
            hits += 1
    return hits


def _segments(points: Collection[int], n: int) -> list[range]:
    if any(not 0 <= point < n for point in points):
        raise ValueError(f"change points lie between 0 and {n - 1}; got {sorted(points)}")
    ends = sorted({0, n, *points})
    return [range(start, end) for start, end in pairwise(ends)]


def _jaccard(one: range, other: range) -> float:
    both = max(0, min(one.stop, other.stop) - max(one.start, other.start))
    return both / (len(one) + len(other) - both)
