"""Wilson's interval against its published figures, scipy's own, and its definition."""

import subprocess
import sys

import numpy as np
import pytest

from evaluations.statistics.means import mean_interval
from evaluations.statistics.proportions import normal_quantile, wilson, wilson_bounds


@pytest.mark.parametrize("confidence", [0.8, 0.9, 0.95, 0.99, 0.999])
@pytest.mark.parametrize(("successes", "n"), [(0, 1), (1, 1), (0, 20), (20, 20), (4, 5), (55, 60), (631, 1640)])
def test_wilson_agrees_with_scipy(successes: int, n: int, confidence: float) -> None:
    from scipy.stats import binomtest

    reference = binomtest(successes, n).proportion_ci(confidence_level=confidence, method="wilson")
    share = wilson(successes, n, confidence)
    assert share.value == successes / n
    assert (share.low, share.high) == pytest.approx((reference.low, reference.high), abs=1e-12)
    assert (share.n, share.confidence, share.method) == (n, confidence, "Wilson score interval")


def test_the_ends_of_the_range_are_exact_and_have_a_width() -> None:
    none, all_ = wilson(0, 10), wilson(10, 10)
    assert none.low == 0.0
    assert 0.2 < none.high < 0.3
    assert all_.high == 1.0
    assert 0.7 < all_.low < 0.8
    assert none.high == pytest.approx(1 - all_.low)


def test_a_bound_is_where_the_score_test_just_rejects() -> None:
    share = wilson(13, 40)
    for bound in (share.low, share.high):
        z = (share.value - bound) / (bound * (1 - bound) / 40) ** 0.5
        assert abs(z) == pytest.approx(normal_quantile(0.95), abs=1e-9)


@pytest.mark.parametrize(("successes", "n"), [(1, 0), (0, 0), (-1, 3), (4, 3)])
def test_impossible_counts_are_refused(successes: int, n: int) -> None:
    with pytest.raises(ValueError, match=f"got {successes} of {n}"):
        wilson(successes, n)


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0, -0.5])
def test_an_impossible_confidence_is_refused(confidence: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        wilson(1, 2, confidence)


def test_many_shares_at_once_equal_one_by_one() -> None:
    generator = np.random.default_rng(20)
    n = generator.integers(1, 400, size=200)
    successes = generator.integers(0, n + 1)
    low, high = wilson_bounds(successes, n, 0.9)
    singles = [wilson(int(c), int(size), 0.9) for c, size in zip(successes, n, strict=True)]
    np.testing.assert_allclose(low, [single.low for single in singles], rtol=0, atol=1e-12)
    np.testing.assert_allclose(high, [single.high for single in singles], rtol=0, atol=1e-12)


def test_an_empty_count_among_many_is_unknown_and_the_rest_stands() -> None:
    low, high = wilson_bounds([0, 3], [0, 4])
    assert np.isnan(low[0])
    assert np.isnan(high[0])
    assert (low[1], high[1]) == pytest.approx((wilson(3, 4).low, wilson(3, 4).high))


def test_many_shares_refuse_more_successes_than_n() -> None:
    with pytest.raises(ValueError, match="in every place"):
        wilson_bounds([1, 5], [4, 4])


def test_a_single_interval_needs_no_heavy_import() -> None:
    code = (
        "import sys; from evaluations.statistics.proportions import wilson; wilson(1, 2, 0.99); "
        "print([name for name in ('numpy', 'scipy') if name in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_a_mean_agrees_with_scipy(confidence: float) -> None:
    from scipy.stats import ttest_1samp

    values = np.random.default_rng(7).normal(0.7, 0.2, size=31)
    reference = ttest_1samp(values, 0).confidence_interval(confidence)
    mean = mean_interval(values, confidence)
    assert mean.value == pytest.approx(values.mean())
    assert (mean.low, mean.high) == pytest.approx((reference.low, reference.high), rel=1e-9)
    assert mean.n == 31


def test_equal_values_have_an_interval_without_width() -> None:
    mean = mean_interval([0.5, 0.5, 0.5])
    assert (mean.low, mean.value, mean.high) == (0.5, 0.5, 0.5)


@pytest.mark.parametrize("values", [[], [1.0], [1.0, float("nan")], [1.0, float("inf")], [[1.0, 2.0]]])
def test_a_mean_of_too_little_or_of_nonsense_is_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="needs"):
        mean_interval(values)
