"""Measures of customers: their intervals against independent ones, their bounds, and what they say when they cannot."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from evaluations.customer import (
    BY_NAME,
    REASONS,
    Csat,
    Measure,
    clear_change,
    csat_mean,
    metric_named,
    reason_class,
    reasons_by_kind,
    sentiment_label,
    share,
)
from evaluations.errors import AssayError
from evaluations.estimates import Estimate
from evaluations.statistics.means import mean_from_moments, mean_interval
from evaluations.statistics.ratios import PairMoments, ratio_of
from evaluations.statistics.survival import survival_quantile

STARS = st.tuples(*(st.integers(0, 50) for _ in range(5)))


@given(STARS, st.integers(0, 100))
@settings(deadline=None, max_examples=60)
def test_csat_stays_between_one_and_five_and_between_its_bounds(counts: tuple[int, ...], silent: int) -> None:
    one, two, three, four, five = counts
    csat = Csat(counts=(one, two, three, four, five), asked=sum(counts) + silent)
    mean = csat_mean(csat)
    if not csat.rated:
        assert mean is None
        return
    assert mean is not None
    assert 1 <= mean.low <= mean.value <= mean.high <= 5
    assert csat.bounds is not None
    assert csat.bounds[0] - 1e-9 <= mean.value <= csat.bounds[1] + 1e-9
    ratings = [float(stars) for stars, count in enumerate(counts, 1) for _ in range(count)]
    assert mean.value == pytest.approx(np.mean(ratings))
    if len(set(ratings)) > 1:
        plain = mean_interval(ratings)
        assert (mean.low, mean.high) == pytest.approx((max(plain.low, 1), min(plain.high, 5)))


def test_a_mean_of_one_value_has_no_narrow_interval() -> None:
    lone = mean_from_moments(1, 0.7, None, low=0, high=1)
    assert lone is not None
    assert (lone.value, lone.low, lone.high) == (0.7, 0.0, 1.0)
    assert mean_from_moments(0, None, None, low=0, high=1) is None


@pytest.mark.parametrize(("k", "n"), [(0, 0), (0, 7), (7, 7), (3, 11)])
def test_a_share_is_not_measured_where_there_is_nothing_to_divide_by(k: int, n: int) -> None:
    estimate = share(k, n)
    if not n:
        assert estimate is None
        return
    assert estimate is not None
    assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1


def test_labels_of_sentiment_follow_from_the_score_alone() -> None:
    assert [sentiment_label(score / 10) for score in range(11)] == [
        *["negative"] * 4, *["neutral"] * 2, *["positive"] * 5,
    ]  # fmt: skip
    with pytest.raises(ValueError, match=r"between 0 and 1; got 1\.2"):
        sentiment_label(1.2)


def test_reasons_are_put_together_by_kind_and_none_is_lost() -> None:
    said = {
        "LOW_CONFIDENCE": 3,
        "model not understanding": 2,
        "Customer asked for agent": 4,
        "moon": 9,
        None: 20,
        "": 1,
    }
    assert reasons_by_kind(said) == (
        ("not understood", 5), ("asked for a person", 4), ("other", 9), ("not said", 21),
    )  # fmt: skip
    assert sum(number for _, number in reasons_by_kind(said)) == sum(said.values())
    assert {reason_class(kind) for kind in REASONS} == set(REASONS), "every kind is its own"


def a_measure(name: str, value: float, low: float, high: float) -> Measure:
    return Measure(metric=BY_NAME[name], estimate=Estimate(value=value, low=low, high=high, n=100))


@pytest.mark.parametrize(
    ("name", "low", "high", "reads"),
    [
        ("fcr", 0.76, 0.9, "met"),
        ("fcr", 0.6, 0.74, "missed"),
        ("fcr", 0.7, 0.8, "open"),
        ("deflection", 0.61, 0.79, "met"),
        ("deflection", 0.81, 0.9, "missed"),  # beyond what a target allows is not on it
        ("escalation", 0.1, 0.19, "met"),
        ("resolution", 0.1, 0.2, ""),
    ],
)
def test_a_target_is_met_or_missed_only_by_the_whole_interval(name: str, low: float, high: float, reads: str) -> None:
    assert a_measure(name, (low + high) / 2, low, high).against_target == reads


def test_a_wobble_is_no_change_and_the_direction_of_good_is_known() -> None:
    def of(k: int) -> Estimate | None:
        return share(k, 1000)

    assert clear_change(BY_NAME["fcr"], of(520), of(500)) == ""
    assert clear_change(BY_NAME["fcr"], of(600), of(500)) == "better"
    assert clear_change(BY_NAME["escalation"], of(600), of(500)) == "worse"
    assert clear_change(BY_NAME["csat_response"], of(600), of(500)) == ""
    assert clear_change(BY_NAME["fcr"], None, of(500)) == ""


def test_the_interval_of_a_change_is_newcombes() -> None:
    """Newcombe (1998), table II, example (a): 56/70 - 48/80 has the interval 0.0524 to 0.3339 (method 10)."""
    after, before = share(56, 70), share(48, 80)
    assert after is not None
    assert before is not None
    low = 0.2 - ((after.value - after.low) ** 2 + (before.high - before.value) ** 2) ** 0.5
    high = 0.2 + ((after.high - after.value) ** 2 + (before.value - before.low) ** 2) ** 0.5
    assert (round(low, 4), round(high, 4)) == (0.0524, 0.3339)
    assert clear_change(BY_NAME["fcr"], after, before) == "better"


def test_an_unknown_definition_names_the_nearest() -> None:
    with pytest.raises(AssayError, match="did you mean 'deflection'"):
        metric_named("deflexion")


# Statistics


def test_medians_of_times_are_those_of_the_leukaemia_trial() -> None:
    """Freireich et al. (1963), remission in weeks: 23 with 6-MP (log-log 13 to beyond), 8 with placebo (4 to 11)."""
    treated = survival_quantile([6, 6, 6, 7, 10, 13, 16, 22, 23], [6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35])
    placebo = survival_quantile([1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23])
    assert treated is not None
    assert placebo is not None
    assert (treated.value, treated.low, treated.high, treated.n) == (23, 13, float("inf"), 21)
    assert (placebo.value, placebo.low, placebo.high, placebo.n) == (8, 4, 11, 21)


@pytest.mark.parametrize("share", [0.25, 0.5, 0.9])
def test_times_of_which_some_are_not_over_have_the_band_of_scipy(share: float) -> None:
    random = np.random.default_rng(3)
    for n in range(150):
        ended = random.integers(0, 30, random.integers(2, 50)) if n % 2 else random.exponential(12, 40)
        still = random.integers(0, 30, random.integers(0, 40))
        times, over = np.concatenate([ended, still]), np.repeat([False, True], [len(ended), len(still)])
        curve = stats.ecdf(stats.CensoredData.right_censored(times, over)).sf
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            band: Any = curve.confidence_interval(0.95, method="log-log")
        low, high = band.low.probabilities, band.high.probabilities
        curves = curve.probabilities, np.where(np.isnan(low), curve.probabilities, low), np.nan_to_num(high, nan=1.0)
        wanted = [next(iter(curve.quantiles[each <= 1 - share + 1e-12]), np.inf) for each in curves]
        found = survival_quantile(ended, still, share)
        if found is None:
            assert wanted[0] == np.inf
        else:
            assert [found.value, found.low, found.high] == [wanted[0], min(wanted[:2]), max(wanted[0], wanted[2])]


def test_a_time_that_half_has_not_reached_is_not_known() -> None:
    assert survival_quantile([5], [6, 7]) is None
    assert survival_quantile([], [6, 7]) is None
    assert survival_quantile([]) is None
    lone = survival_quantile([5])
    assert lone is not None
    assert (lone.value, lone.low, lone.high) == (5, 0, float("inf"))
    with pytest.raises(ValueError, match="finite and not negative"):
        survival_quantile([1, -1])


def test_medians_cover_the_truth_as_often_as_they_say() -> None:
    random = np.random.default_rng(11)
    hits = 0
    for _ in range(200):
        lasts, seen = random.exponential(1.0, 80), random.uniform(0, 3, 80)
        over = lasts <= seen
        estimate = survival_quantile(lasts[over].tolist(), seen[~over].tolist())
        assert estimate is not None
        hits += estimate.low <= np.log(2) <= estimate.high
    assert stats.binomtest(hits, 200, 0.95).pvalue > 0.001


def test_a_ratio_covers_the_truth_as_often_as_it_says() -> None:
    random = np.random.default_rng(12)
    hits = 0
    for _ in range(400):
        cost, resolved = random.lognormal(-3, 0.8, 300), (random.random(300) < 0.6).astype(float)
        estimate = ratio_of(PairMoments.of(cost, resolved))
        assert estimate is not None
        hits += estimate.low <= np.exp(-3 + 0.32) / 0.6 <= estimate.high
    assert stats.binomtest(hits, 400, 0.95).pvalue > 0.001


def test_a_ratio_agrees_with_resampling_the_tickets() -> None:
    random = np.random.default_rng(13)
    cost, resolved = random.lognormal(-3, 0.8, 400), (random.random(400) < 0.6).astype(float)
    estimate = ratio_of(PairMoments.of(cost, resolved))
    again = random.integers(0, 400, (4000, 400))
    low, high = np.quantile(cost[again].sum(axis=1) / resolved[again].sum(axis=1), (0.025, 0.975))
    assert estimate is not None
    assert estimate.value == pytest.approx(cost.sum() / resolved.sum())
    assert estimate.high - estimate.low == pytest.approx(high - low, rel=0.1)


def test_a_ratio_without_anything_below_is_not_measured() -> None:
    assert ratio_of(PairMoments.from_sums(3, 5, 0, 9, 0, 0)) is None
    assert ratio_of(PairMoments.from_sums(0, 0, 0, 0, 0, 0)) is None
    lone = ratio_of(PairMoments.from_sums(1, 5, 1, 25, 1, 5))
    assert lone is not None
    assert (lone.value, lone.low, lone.high) == (5, 0, float("inf"))


def test_the_documentation_has_every_definition_as_it_is() -> None:
    told = (Path(__file__).parents[2] / "docs" / "customer.md").read_text(encoding="utf-8")
    for metric in BY_NAME.values():
        assert f"| `{metric.name}` v{metric.version} | {metric.says} |" in told
        assert metric.differs in told
    assert set(REASONS) == {kind for kind in REASONS if kind in told}
