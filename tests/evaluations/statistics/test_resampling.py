"""Resampling against scipy, against counting every sign pattern, and against the formulas it has to come near to."""

import doctest
from functools import partial
from itertools import product
from math import inf

import numpy as np
import pytest

from evaluations.statistics import resampling
from evaluations.statistics.clusters import cluster_robust
from evaluations.statistics.outcomes import ALTERNATIVES, Alternative, Outcome, Undetermined
from evaluations.statistics.paired import paired_t
from evaluations.statistics.resampling import bca, cluster_bootstrap, sign_flip
from tests.evaluations.statistics.test_paired import effect, found


def seeded() -> np.random.Generator:
    return np.random.default_rng(20)


def test_the_examples_hold() -> None:
    assert doctest.testmod(resampling).failed == 0


@pytest.mark.parametrize("alternative", ALTERNATIVES)
def test_all_flips_are_those_of_scipy_and_of_counting(alternative: Alternative) -> None:
    permutation_test = pytest.importorskip("scipy.stats").permutation_test
    differences = np.random.default_rng(1).normal(0.4, 1, 9)
    reference = permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=np.inf, alternative=alternative
    )
    own = found(sign_flip(differences, seeded(), alternative=alternative))
    assert own.p == pytest.approx(reference.pvalue, rel=1e-9)
    flipped = [np.mean(differences * signs) for signs in product((-1, 1), repeat=9)]
    above = sum(mean >= differences.mean() - 1e-12 for mean in flipped) / 512
    below = sum(mean <= differences.mean() + 1e-12 for mean in flipped) / 512
    assert own.p == {"greater": above, "less": below, "two-sided": min(1, 2 * min(above, below))}[alternative]


def test_the_sign_flip_interval_holds_the_means_that_the_flips_do_not_reject() -> None:
    differences = np.random.default_rng(2).normal(0.4, 1, 10)
    interval = effect(sign_flip(differences, seeded()))
    for bound, inwards in ((interval.low, 1e-9), (interval.high, -1e-9)):
        inside = found(sign_flip(differences - bound - inwards, seeded())).p
        outside = found(sign_flip(differences - bound + inwards, seeded())).p
        assert inside is not None
        assert outside is not None
        assert outside <= 0.05 < inside


def test_many_random_flips_come_near_to_the_t_test() -> None:
    differences = np.random.default_rng(3).normal(0.2, 1, 120)
    flips, student = sign_flip(differences, seeded(), flips=20_000), paired_t(np.zeros(120), differences)
    assert found(flips).p == pytest.approx(found(student).p, abs=0.005)
    assert (effect(flips).low, effect(flips).high) == pytest.approx(
        (effect(student).low, effect(student).high), abs=0.01
    )


@pytest.mark.parametrize("statistic", [None, np.std, np.var])
def test_bca_comes_near_to_scipys_at_the_level_that_the_expansion_for_small_n_asks(statistic: object) -> None:
    from scipy.special import ndtr, stdtrit

    bootstrap = pytest.importorskip("scipy.stats").bootstrap
    sample = np.random.default_rng(4).gamma(2.0, 1.0, 60)
    of = partial(statistic, axis=-1) if callable(statistic) else None
    own = effect(bca(sample, seeded(), statistic=of, resamples=20_000))
    level = 2 * float(ndtr(stdtrit(59, 0.975) * (60 / 59) ** 0.5)) - 1
    reference = bootstrap(
        (sample,),
        statistic or np.mean,
        n_resamples=20_000,
        method="BCa",
        confidence_level=level,
        rng=np.random.default_rng(5),
        vectorized=True,
    ).confidence_interval
    assert (own.low, own.high) == pytest.approx((reference.low, reference.high), abs=0.02)


def test_the_cluster_bootstrap_comes_near_to_the_sandwich_and_not_to_the_values() -> None:
    rng = np.random.default_rng(6)
    groups = np.repeat(np.arange(60), rng.integers(1, 9, 60))
    values = rng.normal(0, 1, 60)[groups] + rng.normal(0, 1, groups.size)
    own, sandwich = effect(cluster_bootstrap(values, groups, seeded())), effect(cluster_robust(values, groups))
    assert own.value == pytest.approx(sandwich.value)
    assert own.high - own.low == pytest.approx(sandwich.high - sandwich.low, rel=0.1)
    assert own.high - own.low > 1.4 * (effect(bca(values, seeded())).high - effect(bca(values, seeded())).low)


def test_clusters_of_one_value_are_the_plain_bootstrap() -> None:
    values = np.random.default_rng(7).gamma(2.0, 1.0, 50)
    plain, whole = effect(bca(values, seeded())), effect(cluster_bootstrap(values, range(50), seeded()))
    assert (plain.low, plain.high) == pytest.approx((whole.low, whole.high), abs=1e-12)


def test_equal_seeds_give_equal_results_in_blocks_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(8).normal(0, 1, 200)
    whole = effect(bca(values, seeded(), resamples=999))
    assert effect(bca(values, seeded(), resamples=999)) == whole
    monkeypatch.setattr(resampling, "BLOCK", 10_000)
    assert effect(bca(values, seeded(), resamples=999)) == whole
    median = partial(np.median, axis=-1)
    in_blocks = effect(bca(values, seeded(), resamples=999, statistic=median))
    monkeypatch.undo()
    assert effect(bca(values, seeded(), resamples=999, statistic=median)) == in_blocks


def test_what_cannot_be_resampled_gives_the_reason() -> None:
    def reason(outcome: Outcome) -> str:
        assert isinstance(outcome, Undetermined)
        return outcome.reason

    for values, wanted in (([], "empty"), ([1.0, inf], "not finite"), ([0.0] * 30, "no spread")):
        assert reason(sign_flip(values, seeded())) == wanted
        assert reason(bca(values, seeded())) == wanted
        assert reason(cluster_bootstrap(values, range(len(values)), seeded())) == wanted
    assert reason(bca([1.0], seeded())) == "too few"
    assert reason(cluster_bootstrap([1.0, 2.0], ["a", "a"], seeded())) == "too few"
    with pytest.raises(ValueError, match="99 resamples"):
        bca([1.0, 2.0], seeded(), resamples=10)
    with pytest.raises(ValueError, match="one row"):
        sign_flip([[1.0, 2.0]], seeded())


def test_few_values_are_not_reliable() -> None:
    values = np.random.default_rng(9).normal(0, 1, 12)
    assert found(bca(values, seeded())).reason == "12 values, and the bootstrap needs 20"
    assert found(cluster_bootstrap(values, range(12), seeded())).reason == "12 clusters, and the bootstrap needs 20"
    assert found(sign_flip(values[:6], seeded())).reason == "6 differences, whose signs cannot carry an interval of 95%"
