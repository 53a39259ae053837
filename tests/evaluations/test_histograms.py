"""Histograms add up, and their quantiles stay within one percent of the exact ones, whatever was merged."""

import doctest
from collections.abc import Callable
from itertools import pairwise
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from evaluations import histograms
from evaluations.histograms import EDGES, RELATIVE_ERROR, Histogram, decoded, merged, of_latencies

SHARES = (0.0, 0.01, 0.25, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0)
Draw = Callable[[np.random.Generator, int], NDArray[np.float64]]
SHAPES: dict[str, Draw] = {
    "log-normal": lambda random, n: random.lognormal(6, 1.2, n),
    "two peaks": lambda random, n: np.where(
        random.random(n) < 0.1, random.normal(9000, 50, n), random.normal(80, 3, n)
    ),
    "heavy tail": lambda random, n: 20 * (1 + random.pareto(1.1, n)),
    "whole milliseconds": lambda random, n: random.integers(1, 3000, n).astype(np.float64),
    "microseconds": lambda random, n: random.uniform(0.05, 2, n),
}


def exact(latencies: NDArray[np.float64], share: float) -> float:
    """The definition that `percentile_disc` has too, by another program."""
    return float(np.quantile(latencies, share, method="inverted_cdf"))


@pytest.mark.parametrize("shape", SHAPES)
def test_quantiles_of_merged_histograms_are_within_one_percent_of_the_exact_ones(shape: str) -> None:
    random = np.random.default_rng(7)
    days = [SHAPES[shape](random, int(random.integers(1, 4000))) for _ in range(30)]
    total = merged(of_latencies(day) for day in days)
    latencies = np.concatenate(days)
    assert total.n == latencies.size
    for share in SHARES:
        assert total.quantile(share) == pytest.approx(exact(latencies, share), rel=RELATIVE_ERROR)


def test_the_p95_of_two_days_is_not_the_mean_of_their_p95s() -> None:
    """Ten thousand quick requests and five hundred slow ones: the mean of both days' p95 would be 2,139 ms."""
    quick, slow = np.linspace(100, 605.3, 10_000), np.linspace(500, 3867, 500)
    both = of_latencies(quick) + of_latencies(slow)
    mean = (exact(quick, 0.95) + exact(slow, 0.95)) / 2
    assert both.quantile(0.95) == pytest.approx(exact(np.concatenate([quick, slow]), 0.95), rel=RELATIVE_ERROR)
    assert mean > 2.5 * exact(np.concatenate([quick, slow]), 0.95)


def test_edges_are_integers_that_grow_by_at_most_a_fiftieth() -> None:
    assert EDGES[0] == 0
    assert all(isinstance(edge, int) for edge in EDGES)
    assert all(high - low == 1 or high <= low * 1.02 for low, high in pairwise(EDGES))
    assert EDGES[-1] >= 30 * 24 * 3600 * 10**6


@given(st.lists(st.floats(0.05, 10**9), min_size=1, max_size=30), st.floats(0, 1))
def test_no_latency_is_told_more_than_one_percent_off(latencies: list[float], share: float) -> None:
    told = of_latencies(latencies).quantile(share)
    ordered = sorted(latencies)
    assert told is not None
    assert any(abs(told - latency) <= RELATIVE_ERROR * latency for latency in ordered)
    assert min(ordered) * (1 - RELATIVE_ERROR) <= told <= max(ordered) * (1 + RELATIVE_ERROR)


@given(st.lists(st.lists(st.floats(0, 10**7), max_size=20), max_size=6))
def test_encoded_histograms_put_one_behind_the_other_are_their_sum(parts: list[list[float]]) -> None:
    histograms = [of_latencies(part) for part in parts]
    joined = decoded(b"".join(each.encoded() for each in histograms))
    assert joined == merged(histograms) == of_latencies([each for part in parts for each in part])
    assert decoded(joined.encoded()) == joined


def test_the_examples_say_what_happens() -> None:
    assert doctest.testmod(histograms) == (0, 5)


def test_nothing_counted_has_no_quantile_and_no_share() -> None:
    assert of_latencies([]).n == 0
    assert of_latencies([]).quantile(0.5) is None
    assert of_latencies([]).share_within(10) is None
    assert of_latencies([]).encoded() == b""


def test_what_takes_longer_than_thirty_days_is_in_the_last_bucket() -> None:
    longest = of_latencies([10.0**13])
    assert longest.counts[-1] == 1
    assert longest.quantile(1) == EDGES[-1] / 1000


def test_the_share_within_a_limit() -> None:
    assert of_latencies([100, 200, 900, 5000]).share_within(1000) == 0.75


@pytest.mark.parametrize("wrong", [-1.0, float("nan"), float("inf")])
def test_what_is_no_latency_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="finite and not negative"):
        of_latencies([10.0, wrong])


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_what_is_no_share_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        of_latencies([1.0]).quantile(share)


@pytest.mark.parametrize("wrong", [b"12345", b"\x00\x00\x00\x00\x00\x01", b"\xff\xff\x00\x00\x00\x01"])
def test_bytes_that_are_no_histogram_are_refused(wrong: bytes) -> None:
    with pytest.raises(ValueError, match="histogram"):
        decoded(wrong)


def test_a_count_that_does_not_fit_is_refused() -> None:
    counts = np.zeros(len(EDGES), dtype=np.int64)
    counts[5] = 2**32
    with pytest.raises(OverflowError, match="4,294,967,295"):
        Histogram(counts).encoded()


@pytest.mark.parametrize("share", [0.5, 0.95, 0.99])
def test_the_interval_of_a_quantile_covers_the_true_one_as_often_as_it_says(share: float) -> None:
    """Of 600 samples from a distribution whose quantiles are known."""
    random = np.random.default_rng(12)
    truth = float(np.exp(6 + 0.8 * NormalDist().inv_cdf(share)))
    samples = random.lognormal(6, 0.8, (600, 600))
    found = [estimate for each in samples if (estimate := of_latencies(each).estimate(share))]
    # An end is a bucket's middle: what lies within its bucket counts as reached.
    covered = [each.low * (1 - RELATIVE_ERROR) <= truth <= each.high * (1 + RELATIVE_ERROR) for each in found]
    assert len(found) == 600
    assert 0.93 <= np.mean(covered) <= 0.99


def test_an_interval_has_no_upper_end_where_too_few_lie_beyond() -> None:
    few, enough = (of_latencies(np.arange(1.0, n + 1)).estimate(0.99) for n in (370, 390))
    assert few is not None
    assert enough is not None
    assert np.isinf(few.high)
    assert enough.low < enough.value <= enough.high < np.inf
