"""Paired tests against scipy, statsmodels, published examples, brute force and recorded outputs of models."""

import doctest
from collections.abc import Callable
from itertools import product
from math import comb, inf, nan
from typing import Literal

import numpy as np
import pytest

from evaluations.estimates import Estimate
from evaluations.statistics import paired
from evaluations.statistics.outcomes import ALTERNATIVES, Alternative, Determined, Outcome, Undetermined
from evaluations.statistics.paired import (
    PassPairs,
    mcnemar,
    mcnemar_p,
    newcombe_paired,
    paired_t,
    signed_rank_chances,
    tango,
    wilcoxon,
)
from tests.evaluations.statistics.references import recorded_passes


def found(outcome: Outcome) -> Determined:
    assert isinstance(outcome, Determined), outcome
    return outcome


def effect(outcome: Outcome) -> Estimate:
    estimate = found(outcome).effect
    assert estimate is not None
    return estimate


def test_the_examples_hold() -> None:
    assert doctest.testmod(paired).failed == 0


# Passes


@pytest.mark.parametrize(("worse", "better"), [(0, 1), (3, 9), (10, 10), (35, 20), (8, 585), (120, 80)])
def test_mcnemars_exact_p_agrees_with_statsmodels_and_the_binomial_test(worse: int, better: int) -> None:
    from scipy.stats import binomtest

    tables = pytest.importorskip("statsmodels.stats.contingency_tables")
    reference = tables.mcnemar([[50, worse], [better, 40]], exact=True).pvalue
    assert mcnemar_p(worse, better, method="exact") == pytest.approx(reference, rel=1e-9)
    for alternative in ALTERNATIVES:
        exact = binomtest(better, worse + better, alternative=alternative).pvalue
        assert mcnemar_p(worse, better, method="exact", alternative=alternative) == pytest.approx(exact, rel=1e-9)


def test_the_mid_p_is_the_exact_one_with_half_the_weight_of_what_was_seen() -> None:
    for worse, better in product(range(8), repeat=2):
        n = worse + better
        seen = comb(n, better) / 2**n
        above = sum(comb(n, k) for k in range(better + 1, n + 1)) / 2**n
        if n:
            assert mcnemar_p(worse, better, alternative="greater") == pytest.approx(above + seen / 2, abs=1e-12)
    assert mcnemar_p(0, 0) == 1.0


def test_the_intervals_of_a_published_example() -> None:
    # Fagerland, Lydersen & Laake (2014), "Recommended tests and confidence intervals for paired binomial proportions",
    # Statistics in Medicine 33: airway hyper-responsiveness before and after stem cell transplantation.
    pairs = PassPairs(both=1, only_control=7, only_treatment=1, neither=12)
    assert (round(tango(pairs).low, 3), round(tango(pairs).high, 3)) == (-0.517, -0.026)
    assert (round(newcombe_paired(pairs).low, 3), round(newcombe_paired(pairs).high, 3)) == (-0.507, -0.026)
    assert (round(found(mcnemar(pairs, method="exact")).p or 0, 3), round(found(mcnemar(pairs)).p or 0, 3)) == (
        0.070,
        0.039,
    )


@pytest.mark.parametrize(
    "cells", [(1, 7, 1, 12), (30, 2, 10, 8), (0, 0, 0, 20), (0, 20, 0, 0), (5, 0, 3, 0), (1223, 35, 20, 41)]
)
def test_a_bound_of_tangos_interval_is_where_the_likelihood_of_the_score_test_just_rejects(
    cells: tuple[int, int, int, int],
) -> None:
    both, worse, better, neither = cells
    pairs = PassPairs(both=both, only_control=worse, only_treatment=better, neither=neither)
    interval = tango(pairs)
    assert -1 <= interval.low <= interval.value <= interval.high <= 1
    for bound in (interval.low, interval.high):
        if abs(bound) > 1 - 1e-9:
            continue
        # The chance of a loss under that difference by brute force over the likelihood, with a loss + bound as a gain.
        losses = np.linspace(max(0.0, -bound) + 1e-12, (1 - bound) / 2 - 1e-12, 400_001)
        gains = losses + bound
        with np.errstate(divide="ignore", invalid="ignore"):
            likelihood = (
                np.where(worse > 0, worse * np.log(losses), 0)
                + np.where(better > 0, better * np.log(gains), 0)
                + (both + neither) * np.log(1 - losses - gains)
            )
        loss = losses[np.nanargmax(likelihood)]
        score = (better - worse - pairs.n * bound) / np.sqrt(pairs.n * (2 * loss + bound - bound**2))
        assert abs(score) == pytest.approx(1.959964, abs=2e-3)


def test_two_variants_that_always_agree_leave_room_for_a_difference() -> None:
    same = mcnemar(PassPairs(both=60, only_control=0, only_treatment=0, neither=40))
    assert (found(same).p, effect(same).value) == (1.0, 0.0)
    assert effect(same).low < -0.02
    assert effect(same).high > 0.02


def test_few_pairs_are_not_reliable_and_no_pairs_are_undetermined() -> None:
    few = mcnemar(PassPairs(both=3, only_control=1, only_treatment=2, neither=2))
    assert (found(few).reliable, found(few).reason) == (False, "8 pairs, and the interval needs 20")
    none = mcnemar(PassPairs.of([], []))
    assert isinstance(none, Undetermined)
    assert none.reason == "empty"


def test_pairs_are_counted_from_two_rows_and_refuse_what_is_no_pass() -> None:
    counted = PassPairs.of([1, 1, 0, 0, True], [1, 0, 1, 0, True])
    assert counted == PassPairs(both=2, only_control=1, only_treatment=1, neither=1)
    with pytest.raises(ValueError, match="shapes"):
        PassPairs.of([1, 0], [1])
    with pytest.raises(ValueError, match="true or false"):
        PassPairs.of([1, nan], [1, 0])
    with pytest.raises(ValueError, match="not negative"):
        PassPairs(both=1, only_control=-1, only_treatment=0, neither=0)


def test_swapping_the_variants_turns_the_sign_and_nothing_else() -> None:
    rng = np.random.default_rng(7)
    one, two = rng.normal(0, 1, 40), rng.normal(0.3, 1, 40)
    for test in (paired_t, wilcoxon):
        ahead, back = test(one, two), test(two, one)
        assert found(ahead).p == pytest.approx(found(back).p, rel=1e-12)
        assert effect(ahead).low == pytest.approx(-effect(back).high, rel=1e-12)
    ahead, back = (mcnemar(PassPairs.of(a > 0.2, b > 0.2)) for a, b in ((one, two), (two, one)))
    assert found(ahead).p == found(back).p
    assert effect(ahead).low == pytest.approx(-effect(back).high, abs=1e-12)


# Scores


@pytest.mark.parametrize("alternative", ALTERNATIVES)
@pytest.mark.parametrize("n", [2, 5, 60])
def test_paired_t_agrees_with_scipy(n: int, alternative: Alternative) -> None:
    from scipy.stats import ttest_rel

    rng = np.random.default_rng(n)
    one, two = rng.normal(0, 1, n), rng.normal(0.2, 1, n)
    reference = ttest_rel(two, one, alternative=alternative)
    own = found(paired_t(one, two, alternative=alternative, confidence=0.9))
    assert (own.p, own.statistic, own.df) == pytest.approx((reference.pvalue, reference.statistic, n - 1), rel=1e-9)
    bounds = ttest_rel(two, one).confidence_interval(0.9)
    assert (effect(own).low, effect(own).high) == pytest.approx((bounds.low, bounds.high), rel=1e-9)


@pytest.mark.parametrize("alternative", ALTERNATIVES)
@pytest.mark.parametrize("n", [1, 6, 30, 60, 400])
def test_wilcoxon_agrees_with_scipy(n: int, alternative: Alternative) -> None:
    from scipy.stats import wilcoxon as reference

    differences = np.random.default_rng(n).normal(0.2, 1, n)
    method: Literal["exact", "approx"] = "exact" if n <= paired.EXACT_RANKS else "approx"
    p = reference(differences, alternative=alternative, method=method).pvalue
    assert found(wilcoxon(np.zeros(n), differences, alternative=alternative)).p == pytest.approx(p, rel=1e-9)


def test_wilcoxon_with_ties_and_zeros_agrees_with_scipy_where_it_is_normal() -> None:
    from scipy.stats import wilcoxon as reference

    differences = np.round(np.random.default_rng(1).normal(0.2, 1, 700), 1)
    own = found(wilcoxon(np.zeros(700), differences))
    assert own.p == pytest.approx(reference(differences, method="approx").pvalue, rel=1e-9)
    assert own.notes[0] == f"{(differences == 0).sum()} pairs without a difference"


def test_the_signed_ranks_with_ties_have_the_chances_of_all_sign_patterns() -> None:
    ranks = np.array([1.5, 1.5, 3.0, 5.0, 5.0, 5.0, 7.0])
    sums = [sum(rank for rank, sign in zip(ranks, signs, strict=True) if sign) for signs in product((0, 1), repeat=7)]
    chances = signed_rank_chances(ranks)
    assert chances.size == 57
    for twice, chance in enumerate(chances):
        assert chance == sums.count(twice / 2) / 2**7


def test_hodges_and_lehmanns_interval_holds_what_the_test_does_not_reject() -> None:
    differences = np.random.default_rng(3).normal(0.5, 1, 25)
    zero = np.zeros(25)
    interval = effect(wilcoxon(zero, differences))
    means = [(a + b) / 2 for i, a in enumerate(differences) for b in differences[i:]]
    assert interval.value == pytest.approx(np.median(means))
    inside, outside = (found(wilcoxon(zero, differences - interval.low + step)).p for step in (-1e-9, 1e-9))
    assert inside is not None
    assert outside is not None
    assert outside < 0.05 <= inside


def test_counting_the_pairwise_means_finds_the_same_as_writing_them_down(monkeypatch: pytest.MonkeyPatch) -> None:
    differences = np.random.default_rng(4).normal(0.1, 1, 300)
    written = effect(wilcoxon(np.zeros(300), differences))
    monkeypatch.setattr(paired, "WALSH", 10)
    counted = effect(wilcoxon(np.zeros(300), differences))
    assert (counted.value, counted.low, counted.high) == pytest.approx(
        (written.value, written.low, written.high), abs=1e-12
    )


@pytest.mark.parametrize("test", [paired_t, wilcoxon])
def test_scores_that_cannot_be_tested_give_the_reason(test: Callable[..., Outcome]) -> None:
    for control, treatment, reason in (
        ([], [], "empty"),
        ([1.0, inf, 2.0], [1.0, inf, 1.0], "not finite"),
        ([1.0, nan], [1.0, 2.0], "not finite"),
        ([0.3] * 9, [0.3] * 9, "no spread"),
    ):
        outcome = test(control, treatment)
        assert isinstance(outcome, Undetermined)
        assert outcome.reason == reason
    with pytest.raises(ValueError, match="one length"):
        test([1.0, 2.0], [1.0])


def test_a_single_pair_and_a_constant_gain_have_no_t_test() -> None:
    single, constant = paired_t([1], [2]), paired_t(np.arange(9) / 10, np.arange(9) / 10 + 0.1)
    assert isinstance(single, Undetermined)
    assert isinstance(constant, Undetermined)
    assert (single.reason, constant.reason) == ("too few", "no spread")


def test_five_pairs_cannot_carry_a_rank_interval_of_95_percent() -> None:
    outcome = found(wilcoxon([0] * 5, [1, 2, 3, 4, 5.5]))
    assert outcome.reason == "5 pairs, which cannot give an interval of 95%"
    assert found(wilcoxon([0] * 6, [1, 2, 3, 4, 5.5, 7])).reliable


# Recorded outputs


@pytest.mark.parametrize(("data", "comparisons"), [("gsm8k", 1), ("zeroeval_gsm8k", 15), ("bbh", 12)])
def test_recorded_outputs_of_two_variants_get_the_published_paired_results(data: str, comparisons: int) -> None:
    recorded = recorded_passes(data)
    assert len(recorded) == comparisons
    for name, (passes, wanted) in recorded.items():
        control, treatment = passes.values()
        pairs = PassPairs.of(control, treatment)
        counts = (pairs.both, pairs.only_control, pairs.only_treatment, pairs.neither)
        assert counts == tuple(
            wanted[key] for key in ("both_right", "only_first_right", "only_second_right", "both_wrong")
        ), name
        exact, mid = found(mcnemar(pairs, method="exact")), found(mcnemar(pairs))
        assert exact.p == pytest.approx(wanted["exact_p"], rel=1e-6, abs=1e-300)
        assert exact.reliable
        assert mid.p is not None
        # The interval and the test tell the same story wherever it is not on the edge.
        if not 0.03 < mid.p < 0.08:
            assert (effect(mid).low > 0 or effect(mid).high < 0) == (mid.p < 0.05), name
        # As scores of 0 and 1 the same difference, and an interval that is nearly the same.
        scores = effect(paired_t(np.array(control, dtype=float), np.array(treatment, dtype=float)))
        assert scores.value == pytest.approx(pairs.difference)
        assert (scores.low, scores.high) == pytest.approx((effect(mid).low, effect(mid).high), abs=0.02)
