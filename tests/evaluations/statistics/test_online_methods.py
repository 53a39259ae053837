"""The methods for independent arms against scipy, statsmodels and published figures."""

import doctest
import importlib
import itertools
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from evaluations.statistics import (
    bayes,
    cuped,
    differences,
    mann_whitney,
    multiplicity,
    power,
    quantiles,
    ratios,
    sample_ratio,
    segments,
    sequential,
    two_proportions,
    two_samples,
    winsorising,
)
from evaluations.statistics.outcomes import Alternative, Determined, Undetermined
from evaluations.statistics.ratios import PairMoments
from evaluations.statistics.two_samples import Moments, welch, welch_many

ONLINE = (
    bayes,
    cuped,
    differences,
    mann_whitney,
    multiplicity,
    power,
    quantiles,
    ratios,
    sample_ratio,
    segments,
    sequential,
    two_proportions,
    two_samples,
    winsorising,
)
FIVE = (0.2, 0.4, 0.6, 0.8, 1.0)


def determined(outcome: object) -> Determined:
    assert isinstance(outcome, Determined), outcome
    return outcome


@pytest.mark.parametrize("module", ONLINE, ids=lambda module: module.__name__.rsplit(".", 1)[1])
def test_every_example_in_the_docstrings_is_true(module: ModuleType) -> None:
    result = doctest.testmod(module)
    assert result.failed == 0
    assert result.attempted > 0 or module is differences


# Means


@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
@pytest.mark.parametrize(("n", "m", "sd"), [(12, 40, 3.0), (200, 35, 0.4), (2, 3, 1.0)])
def test_welch_agrees_with_scipy(n: int, m: int, sd: float, alternative: Alternative) -> None:
    from scipy.stats import ttest_ind

    generator = np.random.default_rng(n)
    a, b = generator.normal(1, sd, n), generator.normal(0.7, 1, m)
    reference = ttest_ind(a, b, equal_var=False, alternative=alternative)
    bounds = reference.confidence_interval(0.95)
    found = determined(welch(a, b, alternative=alternative))
    assert found.effect is not None
    assert (found.statistic, found.df, found.p) == pytest.approx(
        (reference.statistic, reference.df, reference.pvalue), rel=1e-9
    )
    assert (found.effect.low, found.effect.high) == pytest.approx((bounds.low, bounds.high), rel=1e-9)


def test_welch_from_sums_equals_welch_from_values_for_a_thousand_experiments_at_once() -> None:
    from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

    generator = np.random.default_rng(4)
    a, b = generator.gamma(2, 3, (1000, 30)), generator.gamma(2, 3.3, (1000, 50))
    sums = [Moments.from_sums(arm.shape[1], arm.sum(1), (arm**2).sum(1), cubes=(arm**3).sum(1)) for arm in (b, a)]
    found = welch_many(*sums)
    assert len(found) == 1000
    for place in (0, 17, 999):
        reference = CompareMeans(DescrStatsW(b[place]), DescrStatsW(a[place]))
        t, p, df = reference.ttest_ind(usevar="unequal")
        low, high = reference.tconfint_diff(usevar="unequal")
        assert (found.statistic[place], found.p[place], found.df[place]) == pytest.approx((t, p, df), rel=1e-9)
        assert (found.low[place], found.high[place]) == pytest.approx((low, high), rel=1e-9)
    exact = Moments.of(a)
    assert exact.skew is not None
    assert sums[1].skew is not None
    np.testing.assert_allclose(sums[1].skew, exact.skew, rtol=1e-7)


def test_the_worked_difference_of_degrees_of_freedom_is_welchs_own() -> None:
    """sd 1, n 100 against sd 4, n 20: 19.5 degrees of freedom, not 118."""
    one = np.ones(1)
    found = welch_many(
        Moments(n=20 * one, mean=1.8 * one, variance=16 * one), Moments(n=100 * one, mean=0 * one, variance=one)
    )
    assert found.df[0] == pytest.approx(19.5, abs=0.05)
    assert found.p[0] == pytest.approx(0.060, abs=0.002)


@pytest.mark.parametrize(("n", "critical"), [(5, 2.306), (50, 1.984)])
def test_intervals_take_the_quantile_of_t_at_any_level(n: int, critical: float) -> None:
    from scipy.stats import t

    one = np.ones(1)
    arm = Moments(n=n * one, mean=one, variance=one)
    for level in (0.8, 0.95, 0.99):
        found = welch_many(arm, arm, confidence=level)
        assert found.high[0] / found.standard_error[0] == pytest.approx(t.ppf((1 + level) / 2, 2 * n - 2), rel=1e-9)
    assert welch_many(arm, arm).high[0] / welch_many(arm, arm).standard_error[0] == pytest.approx(critical, abs=1e-3)


# Shares


def test_the_worked_example_has_its_published_numbers() -> None:
    """76.5% of 456 against 82.1% of 478: z = 2.114, p = 0.0345, 0.4 to 10.8 points; the split was sound."""
    found = two_proportions.proportion_differences(0.821 * 478, 478, 0.765 * 456, 456)
    assert float(found.z) == pytest.approx(2.114, abs=5e-4)
    assert float(found.p) == pytest.approx(0.0345, abs=5e-5)
    assert (100 * float(found.low), 100 * float(found.high)) == pytest.approx((0.4, 10.8), abs=0.05)
    split = sample_ratio.sample_ratio([456, 478], [50, 50])
    assert isinstance(split, sample_ratio.SampleRatio)
    assert split.p == pytest.approx(0.47, abs=0.03)
    assert not split.mismatch


@pytest.mark.parametrize("counts", [(392, 478, 349, 456), (30, 60, 18, 70), (100, 1000, 140, 1100)])
def test_shares_agree_with_statsmodels(counts: tuple[int, int, int, int]) -> None:
    from statsmodels.stats.proportion import confint_proportions_2indep, proportions_ztest

    hits, n, control_hits, m = counts
    z, p = proportions_ztest([hits, control_hits], [n, m])
    low, high = confint_proportions_2indep(hits, n, control_hits, m, method="newcomb", compare="diff")
    found = two_proportions.proportion_differences(*counts)
    assert (float(found.z), float(found.p)) == pytest.approx((z, p), rel=1e-9)
    assert (float(found.low), float(found.high)) == pytest.approx((low, high), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(("hits", "n", "other", "m"), [(3, 20, 9, 22), (0, 8, 5, 9), (1, 3, 0, 500), (7, 12, 7, 12)])
def test_small_cells_are_tested_exactly(hits: int, n: int, other: int, m: int) -> None:
    from scipy.stats import binomtest, fisher_exact

    found = determined(two_proportions.two_proportions(hits, n, other, m, exact=True))
    assert found.p == pytest.approx(fisher_exact(np.array([[hits, n - hits], [other, m - other]])).pvalue, rel=1e-9)
    low, high = two_proportions.clopper_pearson(hits, n)
    reference = binomtest(hits, n).proportion_ci(method="exact")
    assert (float(low), float(high)) == pytest.approx((reference.low, reference.high), abs=1e-9)


def test_nearly_opposite_shares_in_small_arms_are_doubted() -> None:
    assert not determined(two_proportions.two_proportions(29, 30, 1, 30)).reliable
    assert determined(two_proportions.two_proportions(20, 30, 1, 30)).reliable
    assert determined(two_proportions.two_proportions(290, 300, 10, 300)).reliable


@pytest.mark.parametrize(
    ("counts", "reason"), [((5, 4, 1, 9), "out of range"), ((-1, 4, 1, 9), "out of range"), ((0, 0, 1, 9), "empty")]
)
def test_counts_that_cannot_be_have_a_reason(counts: tuple[int, int, int, int], reason: str) -> None:
    found = two_proportions.two_proportions(*counts)
    assert isinstance(found, Undetermined)
    assert found.reason == reason
    with pytest.raises(ValueError, match="whole numbers"):
        two_proportions.two_proportions(1.5, 4, 1, 9)  # type: ignore[arg-type]


def test_chi_square_agrees_with_scipy_and_doubts_small_cells() -> None:
    from scipy.stats import chi2_contingency

    table = [[30, 50, 20], [45, 35, 20], [10, 40, 50]]
    reference = chi2_contingency(table, correction=False)
    found = determined(two_proportions.chi_square(table))
    assert (found.statistic, found.df, found.p) == pytest.approx(
        (reference.statistic, reference.dof, reference.pvalue), rel=1e-9
    )
    assert found.reliable
    assert not determined(two_proportions.chi_square([[3, 7], [6, 4]])).reliable
    assert determined(two_proportions.chi_square([[30, 0, 7], [6, 0, 40]])).df == 1


# Ranks and quantiles


@pytest.mark.parametrize("rounded", [False, True])
def test_mann_whitney_agrees_with_scipy_and_the_interval_with_brunner_and_munzel(rounded: bool) -> None:
    from scipy.stats import brunnermunzel, mannwhitneyu

    generator = np.random.default_rng(8)
    a, b = generator.lognormal(0.3, 1, 40), generator.lognormal(0, 1, 55)
    if rounded:
        a, b = a.round(), b.round()
    found = determined(mann_whitney.mann_whitney(a, b))
    reference = mannwhitneyu(a, b)
    assert (found.statistic, found.p) == pytest.approx((reference.statistic, reference.pvalue), rel=1e-12)
    assert found.effect is not None
    assert found.effect.value == pytest.approx(np.mean((a[:, None] > b) + (a[:, None] == b) / 2) - 0.5, rel=1e-12)
    # scipy's Brunner-Munzel statistic is the effect in its own standard errors, before the logit.
    bend = (found.effect.value + 0.5) * (0.5 - found.effect.value)
    logit = np.log((found.effect.high + 0.5) / (0.5 - found.effect.high))
    centre = np.log((found.effect.value + 0.5) / (0.5 - found.effect.value))
    error = (logit - centre) * bend / 1.959963984540054
    assert found.effect.value / error == pytest.approx(-brunnermunzel(a, b).statistic, rel=1e-9)


def test_bounds_of_quantiles_agree_with_scipy() -> None:
    from scipy.stats import quantile_test

    generator = np.random.default_rng(9)
    for n, q in itertools.product((40, 333, 1000), (0.5, 0.9, 0.95)):
        sample = generator.lognormal(6, 0.7, n)
        reference: Any = quantile_test(sample, p=q).confidence_interval(0.95)
        bounds = quantiles.quantile_bounds(sample, q)
        if isinstance(bounds, Undetermined):
            assert np.isnan(reference.high)
            continue
        assert (bounds.low, bounds.high) == (reference.low, reference.high)


# Ratios, CUPED, winsorising, segments


def test_a_ratio_over_users_agrees_with_a_cluster_robust_regression() -> None:
    """The mean of requests over users of many requests: the delta method and the sandwich are the same thing."""
    from statsmodels.regression.linear_model import OLS

    generator = np.random.default_rng(10)
    arms = {}
    rows = []
    for arm in (0, 1):
        size = generator.integers(1, 9, 400)
        level = generator.normal(0.1 * arm, 0.5, 400)
        values = [generator.normal(1 + level[user], 1, size[user]) for user in range(400)]
        arms[arm] = PairMoments.of([value.sum() for value in values], size)
        rows += [(value, arm, arm * 1000 + user) for user in range(400) for value in values[user]]
    table = np.array(rows)
    fit = OLS(table[:, 0], np.column_stack([np.ones(len(table)), table[:, 1]])).fit(
        cov_type="cluster", cov_kwds={"groups": table[:, 2].astype(int), "use_correction": False}
    )
    found = ratios.ratio_differences(arms[1], arms[0])
    assert float(found.value) == pytest.approx(fit.params[1], rel=1e-9)
    # The sandwich divides by n where the variance over users divides by n - 1.
    assert float(found.standard_error) == pytest.approx(fit.bse[1] * (400 / 399) ** 0.5, rel=1e-9)


def test_moments_of_pairs_are_the_same_from_sums_and_from_values() -> None:
    generator = np.random.default_rng(11)
    x, y = generator.normal(5, 2, 60), generator.normal(3, 1, 60)
    sums = PairMoments.from_sums(60, x.sum(), y.sum(), (x * x).sum(), (y * y).sum(), (x * y).sum())
    values = PairMoments.of(x, y)
    for name in ("n", "mean", "other_mean", "variance", "other_variance", "covariance"):
        assert getattr(sums, name) == pytest.approx(getattr(values, name), rel=1e-9)


def test_cuped_is_the_regression_on_the_covariate() -> None:
    """Theta is the pooled slope within the arms, and the adjusted difference the one of the covariance analysis."""
    from statsmodels.regression.linear_model import OLS

    generator = np.random.default_rng(12)
    n = 500
    before = generator.normal(10, 2, 2 * n)
    arm = np.repeat([0.0, 1.0], n)
    after = 0.8 * before + 0.3 * arm + generator.normal(0, 1, 2 * n)
    found = cuped.adjust(PairMoments.of(after[n:], before[n:]), PairMoments.of(after[:n], before[:n]))
    fit = OLS(after, np.column_stack([np.ones(2 * n), arm, before])).fit()
    assert float(found.theta) == pytest.approx(fit.params[2], rel=1e-9)
    assert float(found.treatment.mean - found.control.mean) == pytest.approx(fit.params[1], rel=1e-9)
    correlation = np.corrcoef(after[:n], before[:n])[0, 1]
    assert float(found.variance_cut) == pytest.approx(correlation**2, abs=0.03)


def test_winsorising_bounds_all_arms_by_the_same_value() -> None:
    generator = np.random.default_rng(13)
    arms = {"A": generator.lognormal(0, 2, 1000), "B": generator.lognormal(0.5, 2, 1000)}
    arms["B"][3] = np.inf
    found = winsorising.winsorise(arms, upper=0.99)
    assert max(values.max() for values in found.arms.values()) == found.high
    assert sum(found.changed.values()) == 20
    assert found.changed["B"] > found.changed["A"]
    assert winsorising.winsorise(arms, upper=1.0).changed == {"A": 0, "B": 0}


def test_the_spread_between_segments_agrees_with_statsmodels() -> None:
    from statsmodels.stats.meta_analysis import combine_effects

    generator = np.random.default_rng(14)
    effects = generator.normal(0.1, 0.05, 8)
    arms = [Moments(n=np.full(8, 300.0), mean=mean, variance=np.ones(8) * 0.2) for mean in (effects, np.zeros(8))]
    differences = welch_many(*arms)
    found = segments.shrink(tuple("abcdefgh"), differences)
    assert found is not None
    reference = combine_effects(differences.value, differences.standard_error**2, method_re="chi2")
    assert found.spread**2 == pytest.approx(reference.tau2, rel=1e-9)
    assert found.overall == pytest.approx(reference.mean_effect_re, rel=1e-9)
    assert found.heterogeneity_p == pytest.approx(reference.test_homogeneity().pvalue, rel=1e-9)
    raw, shrunken = ([getattr(each, name).value for each in found.segments] for name in ("raw", "shrunken"))
    assert np.std(shrunken) < np.std(raw)


# Many tests


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("bonferroni", "bonferroni"),
        ("holm", "holm"),
        ("hochberg", "simes-hochberg"),
        ("bh", "fdr_bh"),
        ("by", "fdr_by"),
    ],
)
def test_corrections_agree_with_statsmodels(ours: multiplicity.Correction, theirs: str) -> None:
    from statsmodels.stats.multitest import multipletests

    generator = np.random.default_rng(15)
    for size in (1, 2, 7, 200):
        p = generator.beta(0.4, 1.5, size)
        _, reference, _, _ = multipletests(p, method=theirs)
        np.testing.assert_allclose(multiplicity.adjusted_p(p, ours), reference, rtol=1e-9)


@pytest.mark.parametrize("correction", [each for each in multiplicity.CORRECTIONS if each != "none"])
def test_adjusted_intervals_leave_out_zero_just_when_the_test_is_an_alarm(
    correction: multiplicity.Correction,
) -> None:
    generator = np.random.default_rng(16)
    for _ in range(300):
        p = generator.beta(0.3, 1.5, generator.integers(1, 12))
        declared = p.size + int(generator.integers(0, 3))
        alarms = multiplicity.adjusted_p(p, correction, size=declared) <= 0.05
        levels = multiplicity.interval_levels(p, correction, size=declared)
        assert np.array_equal(p <= levels, alarms)


def test_a_test_that_could_not_be_made_stays_in_the_count_of_its_family() -> None:
    tests = {
        multiplicity.Hypothesis(metric=metric, variant=variant): p
        for metric, variant, p in [("q", "B", 0.01), ("q", "C", None), ("cost", "B", 0.04), ("cost", "C", 0.02)]
    }
    found = multiplicity.adjust_families(tests, scope="metric")
    assert [each.p for each in found.values()] == [0.02, None, 0.04, 0.04]
    assert {each.family: each.size for each in found.values()} == {"q": 2, "cost": 2}
    assert [each.size for each in multiplicity.adjust_families(tests, scope="whole").values()] == [4] * 4


# Looks


def test_boundaries_are_the_published_ones() -> None:
    """Reboussin, DeMets, Kim and Lan (2000), and the R package ldbounds, for five even looks at 5%."""
    found = [look.z for look in sequential.boundaries(FIVE)]
    assert found == pytest.approx([4.8769, 3.3569, 2.6803, 2.2898, 2.0310], abs=2e-4)
    found = [look.z for look in sequential.boundaries(FIVE, spending="pocock")]
    assert found == pytest.approx([2.4380, 2.4268, 2.4101, 2.3966, 2.3859], abs=2e-4)


def test_crossing_chances_are_the_published_ones() -> None:
    """Jennison and Turnbull (2000), tables 2.1 and 2.3; and what naive looks cost (5% becomes 14, 19 and 25%)."""
    assert sequential.crossing(FIVE, [2.413] * 5) == pytest.approx(0.05, abs=1e-4)
    assert sequential.crossing(FIVE, [2.040 / share**0.5 for share in FIVE]) == pytest.approx(0.05, abs=1e-4)
    for looks, naive in ((5, 0.142), (10, 0.193), (20, 0.248)):
        fractions = [(look + 1) / looks for look in range(looks)]
        assert sequential.crossing(fractions, [1.959964] * looks) == pytest.approx(naive, abs=5e-4)


@pytest.mark.parametrize("spending", ["obrien-fleming", "pocock"])
@pytest.mark.parametrize("fractions", [(0.1, 0.35, 0.4, 1.0), (0.5,), tuple((k + 1) / 20 for k in range(20))])
def test_boundaries_spend_what_they_should(fractions: tuple[float, ...], spending: sequential.Spending) -> None:
    looks = sequential.boundaries(fractions, 0.05, spending)
    spent = sequential.spent_alpha(fractions[-1], 0.05, spending)
    assert sequential.crossing(fractions, [look.z for look in looks]) == pytest.approx(spent, abs=1e-6)
    if fractions[-1] == 1.0:
        assert spent == pytest.approx(0.05, abs=1e-12)


@pytest.mark.parametrize("alpha", [0.4, 0.05, 0.017, 0.01, 0.0003])
def test_repeated_p_is_the_level_whose_boundary_is_reached(alpha: float) -> None:
    for looks in (1, 3, 5):
        z = sequential.boundaries(FIVE[:looks], alpha)[-1].z
        if np.isinf(z):  # so little is spent at the first look that nothing would stop there
            assert (looks, alpha) == (1, 0.0003)
            continue
        found = float(sequential.repeated_p([z], FIVE[:looks], "obrien-fleming")[0])
        assert found == pytest.approx(alpha, rel=1e-9 if alpha in (0.05, 0.01) else 0.01)


def test_a_share_at_any_time_is_where_robbins_mixture_just_rejects() -> None:
    from scipy.stats import betabinom, binom

    found = sequential.any_time_share(13, 40)
    for bound in (found.low, found.high):
        evidence = betabinom.pmf(13, 40, 0.5, 0.5) / binom.pmf(13, 40, bound)
        assert evidence == pytest.approx(20, rel=1e-6)


# Bayes


def test_the_chance_to_be_best_agrees_with_sampling_for_three_variants() -> None:
    generator = np.random.default_rng(17)
    hits, n = [49, 51, 60], [100, 100, 110]
    draws = np.array([generator.beta(1 + h, 1 + size - h, 1_000_000) for h, size in zip(hits, n, strict=True)])
    largest = draws.max(axis=0)
    for i, found in enumerate(bayes.beta_binomial(hits, n)):
        assert found.best == pytest.approx((draws.argmax(axis=0) == i).mean(), abs=0.002)
        assert found.expected_loss == pytest.approx((largest - draws[i]).mean(), abs=2e-4)
        assert (found.low, found.high) == pytest.approx(np.quantile(draws[i], [0.025, 0.975]), abs=5e-4)


def test_the_chance_that_b_beats_a_has_its_closed_form() -> None:
    """Evan Miller's sum for two betas with whole weights."""
    from scipy.special import betaln

    (a, b), (c, d) = (50, 52), (52, 50)
    closed = sum(np.exp(betaln(a + i, b + d) - np.log(d + i) - betaln(1 + i, d) - betaln(a, b)) for i in range(c))
    assert bayes.beta_binomial([49, 51], [100, 100])[1].best == pytest.approx(closed, rel=1e-9)


def test_normal_posteriors_agree_with_the_closed_form_for_two() -> None:
    a, b = bayes.normal([1.0, 1.3], [0.2, 0.1], [50, 50])
    chance, keep, take = bayes.chance_and_risk(0.3, (0.2**2 + 0.1**2) ** 0.5)
    assert (b.best, a.expected_loss, b.expected_loss) == pytest.approx((chance, keep, take), rel=1e-8)


# Planning


def test_power_agrees_with_statsmodels() -> None:
    from statsmodels.stats.power import NormalIndPower, TTestIndPower, TTestPower

    for effect, n in ((0.2, 50), (0.5, 64), (0.8, 12)):
        assert power.power_of_means(effect, 1.0, n) == pytest.approx(TTestIndPower().power(effect, n, 0.05), rel=1e-9)
        assert power.power_of_pairs(effect, 1.0, n) == pytest.approx(TTestPower().power(effect, n, 0.05), rel=1e-9)
        relative = power.power_of_relative(effect, 1.0, 1.0, n)
        scaled = effect / ((1 + (1 + effect) ** 2) / 2) ** 0.5
        assert relative == pytest.approx(NormalIndPower().power(scaled, n, 0.05), rel=1e-9)
    unequal = TTestIndPower().power(0.4, 40, 0.05, ratio=2.5)
    assert power.power_of_means(0.4, 1.0, 100, control_n=40) == pytest.approx(unequal, abs=0.01)


def test_power_of_shares_agrees_with_statsmodels() -> None:
    from statsmodels.stats.proportion import power_proportions_2indep

    for treatment, control, n in ((0.821, 0.765, 820), (0.3, 0.2, 150), (0.05, 0.1, 400)):
        reference = power_proportions_2indep(treatment - control, control, n, return_results=False)
        assert power.power_of_proportions(treatment, control, n) == pytest.approx(reference, abs=1e-6)


def test_the_size_for_a_power_and_the_power_of_the_size_agree() -> None:
    assert power.size_for_proportions(0.821, 0.765) == pytest.approx(820, abs=2)
    assert power.detectable_rise(0.765, 100) == pytest.approx(0.15, abs=0.01)
    for effect in (0.1, 0.33, 1.4):
        n = power.size_for_means(effect, 1.0)
        assert n is not None
        assert power.power_of_means(effect, 1.0, n) >= 0.8 > power.power_of_means(effect, 1.0, max(2, n - 1)) or n == 2
        least = power.detectable_mean(1.0, n)
        assert least is not None
        assert least <= effect
        pairs = power.size_for_pairs(effect, 1.0)
        assert pairs is not None
        assert (power.detectable_pairs(1.0, pairs) or 9) <= effect
    assert power.size_for_means(0.0, 1.0) is None
    assert power.size_for_proportions(0.5, 0.5) is None
    assert power.size_for_mcnemar(0.1, 0.1) is None


def test_pairing_and_clustering_change_the_size_as_they_should() -> None:
    """E7: 7% unpaired, 80% paired; more requests of the same user add less and less."""
    assert power.power_of_means(0.1, 1.0, 100) < 0.12
    assert power.power_of_pairs(0.1, (2 * (1 - 0.94)) ** 0.5, 100) == pytest.approx(0.8, abs=0.02)
    one = power.size_for_means(0.2, 1.0)
    five = power.size_for_clusters(0.2, 1.0, size=5, correlation=0.3)
    fifty = power.size_for_clusters(0.2, 1.0, size=50, correlation=0.3)
    assert one is not None
    assert five == pytest.approx(one * (1 + 4 * 0.3) / 5, rel=0.02)
    assert fifty == pytest.approx(one * (1 + 49 * 0.3) / 50, rel=0.02)


@pytest.mark.parametrize("name", ["numpy", "scipy"])
def test_importing_the_methods_imports_nothing_heavy(name: str) -> None:
    import subprocess
    import sys

    modules = ", ".join(module.__name__ for module in ONLINE)
    code = f"import sys, {modules}; print({name!r} in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "False"
    assert all(importlib.import_module(module.__name__) is module for module in ONLINE)


def test_many_splits_at_once_agree_with_scipy() -> None:
    from scipy.stats import chisquare

    counts = np.random.default_rng(30).multinomial(5_000, [0.5, 0.3, 0.2], 50)
    found = sample_ratio.sample_ratio_p(counts, [50, 30, 20])
    reference = [chisquare(each, np.array([2500.0, 1500, 1000])).pvalue for each in counts]
    np.testing.assert_allclose(found, reference, rtol=1e-9)
    single = sample_ratio.sample_ratio(counts[0].tolist(), [5, 3, 2])
    assert isinstance(single, sample_ratio.SampleRatio)
    assert single.p == pytest.approx(float(found[0]), rel=1e-12)
    assert sample_ratio.sample_ratio_p([[500, 500, 3]], [50, 50, 0])[0] == 0.0


def test_small_splits_are_tested_exactly() -> None:
    from scipy.stats import binomtest

    for counts in ((3, 11), (0, 9), (300, 370)):
        found = sample_ratio.sample_ratio(counts, [40, 60])
        assert isinstance(found, sample_ratio.SampleRatio)
        assert found.p == pytest.approx(binomtest(counts[0], sum(counts), 0.4).pvalue, rel=1e-9)
        assert found.method == "exact binomial test"


@pytest.mark.parametrize(
    ("counts", "weights", "reason"),
    [([0, 0], [1, 1], "empty"), ([5, 5], [1, float("nan")], "not finite"), ([-1, 5], [1, 1], "out of range"),
     ([5, 0], [1, 0], "too few")],
)  # fmt: skip
def test_splits_that_cannot_be_tested_have_a_reason(counts: list[int], weights: list[float], reason: str) -> None:
    for check in (sample_ratio.sample_ratio, sample_ratio.sample_ratio_any_time):
        found = check(counts, weights)
        assert isinstance(found, Undetermined)
        assert found.reason == reason
