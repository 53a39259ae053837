"""Error rates by simulation: a short form here, the long one (`-m slow`) behind the tables of docs/statistics.md."""

import numpy as np
import pytest

from evaluations.statistics import bayes, cuped, multiplicity
from evaluations.statistics.ratios import PairMoments
from evaluations.statistics.sequential import Spending
from evaluations.statistics.two_samples import Moments, welch_many
from tests.evaluations.statistics import simulations as simulated
from tests.evaluations.statistics.simulations import Rate, Shape

LONG = pytest.mark.slow
ALPHA = 0.05


def holds_alpha(rate: Rate) -> bool:
    """At most 5%, but for three Monte-Carlo errors."""
    return rate.value <= ALPHA + rate.margin(3, ALPHA)


# Looks


@pytest.mark.parametrize("runs", [1_000, pytest.param(10_000, marks=LONG)])
@pytest.mark.parametrize("shape", ["normal", "share of 10%", "exponential"])
def test_a_confidence_sequence_holds_its_level_at_twenty_looks(shape: Shape, runs: int) -> None:
    assert holds_alpha(simulated.any_time_errors(shape, runs))


@pytest.mark.parametrize("runs", [1_000, pytest.param(10_000, marks=LONG)])
@pytest.mark.parametrize("spending", ["obrien-fleming", "pocock"])
def test_boundaries_hold_their_level_at_twenty_looks(spending: Spending, runs: int) -> None:
    found = simulated.group_errors("normal", spending, runs)
    assert holds_alpha(found)
    assert found.value >= ALPHA - found.margin(4, ALPHA)


def test_repeating_a_test_at_every_look_does_not_hold_it() -> None:
    assert simulated.naive_errors(2_000).value == pytest.approx(0.248, abs=0.04)


@pytest.mark.parametrize("runs", [1_000, pytest.param(10_000, marks=LONG)])
@pytest.mark.parametrize("share", [0.5, 0.05])
def test_the_sequence_of_a_share_holds_its_level_from_the_first_unit_on(share: float, runs: int) -> None:
    assert holds_alpha(simulated.share_sequence_errors(share, runs))


@pytest.mark.parametrize("runs", [500, pytest.param(10_000, marks=LONG)])
def test_the_sequential_sample_ratio_raises_no_more_false_alarms_than_it_says(runs: int) -> None:
    assert holds_alpha(simulated.split_alarms(runs))


# Coverage


@pytest.mark.parametrize("runs", [2_000, pytest.param(20_000, marks=LONG)])
@pytest.mark.parametrize(
    ("shape", "n", "m"), [("normal", 30, 30), ("uniform", 30, 300), ("exponential", 200, 200), ("normal", 200, 2000)]
)
def test_welch_covers_inside_its_domain(shape: Shape, n: int, m: int, runs: int) -> None:
    found = simulated.welch_coverage(shape, n, m, runs)
    assert found.all.covers
    assert found.share > 0.8


@pytest.mark.parametrize(
    ("shape", "n", "m"), [("log-normal", 20, 200), ("log-normal", 50, 500), ("exponential", 10, 200)]
)
def test_outside_its_domain_welch_does_not_cover_and_says_so(shape: Shape, n: int, m: int) -> None:
    found = simulated.welch_coverage(shape, n, m, 2_000)
    assert not found.all.covers
    assert found.share < 0.05


@pytest.mark.parametrize("runs", [1_000, pytest.param(10_000, marks=LONG)])
@pytest.mark.parametrize("users", [100, 500])
def test_the_delta_method_covers_with_units_of_many_requests(users: int, runs: int) -> None:
    found = simulated.ratio_coverage(users, runs)
    assert found.all.covers
    assert found.share > 0.8


@pytest.mark.parametrize("runs", [500, pytest.param(10_000, marks=LONG)])
@pytest.mark.parametrize(("q", "n"), [(0.5, 20), (0.5, 200), (0.95, 200)])
def test_bounds_of_quantiles_cover_for_skewed_values(q: float, n: int, runs: int) -> None:
    found = simulated.quantile_coverage(q, n, runs)
    assert found.reliable.covers
    assert found.share == 1.0


@pytest.mark.parametrize("runs", [400, pytest.param(10_000, marks=LONG)])
@pytest.mark.parametrize(("n", "m", "shift"), [(15, 15, 0.0), (20, 60, 0.5), (100, 100, 1.0)])
def test_the_interval_of_ranks_covers(n: int, m: int, shift: float, runs: int) -> None:
    assert simulated.rank_coverage(n, m, shift, runs).reliable.covers


SHARES = (0.01, 0.06, 0.2, 0.35, 0.5, 0.65, 0.8, 0.99)
SIZES = [(10, 10), (20, 100), (60, 60), (120, 120), (130, 300)]


@pytest.mark.parametrize(("n", "m"), [*SIZES, *(pytest.param(*size, marks=LONG) for size in [(300, 300), (500, 900)])])
def test_the_interval_of_two_shares_covers_wherever_it_is_taken(n: int, m: int) -> None:
    """Summed over all outcomes, not simulated; shares at opposite ends of small samples apart."""
    nominal = Rate(value=0.95, runs=10_000)
    for p in SHARES:
        for q in SHARES:
            if abs(p - q) < 0.9:
                assert simulated.share_coverage(n, m, p, q) >= 0.95 - nominal.margin(), (p, q)


# Power, families, covariates, Bayes


@pytest.mark.parametrize(("runs", "within"), [(2_000, 0.045), pytest.param(40_000, 0.01, marks=LONG)])
def test_plans_keep_their_power(runs: int, within: float) -> None:
    for name, (planned, found) in simulated.power_by_simulation(runs).items():
        assert found.value == pytest.approx(planned, abs=within), name


@pytest.mark.parametrize("runs", [2_000, pytest.param(20_000, marks=LONG)])
def test_families_hold_what_they_promise(runs: int) -> None:
    """Ten tests of which seven have no effect: the chance of any false alarm, and the share of false ones."""
    generator = np.random.default_rng(20)
    effects = np.array([3.5, 2.5, 3.0, *[0.0] * 7])
    from scipy.special import ndtr

    p = 2 * ndtr(-np.abs(generator.normal(effects, 1, (runs, 10))))
    any_false: dict[multiplicity.Correction, float] = {}
    for correction in multiplicity.CORRECTIONS:
        alarms = np.array([multiplicity.adjusted_p(each, correction) <= ALPHA for each in p])
        any_false[correction] = float(alarms[:, 3:].any(axis=1).mean())
        share = alarms[:, 3:].sum(axis=1) / np.maximum(1, alarms.sum(axis=1))
        if correction in ("bonferroni", "holm", "hochberg"):
            assert holds_alpha(Rate(value=any_false[correction], runs=runs))
        elif correction in ("bh", "by"):
            assert holds_alpha(Rate(value=float(share.mean()), runs=runs))
    assert any_false["none"] > 0.25
    assert any_false["bonferroni"] <= any_false["holm"] <= any_false["hochberg"]


@pytest.mark.parametrize("runs", [2_000, pytest.param(20_000, marks=LONG)])
def test_cuped_is_unbiased_and_cuts_the_variance_it_promises(runs: int) -> None:
    generator = np.random.default_rng(21)
    n, correlation, effect = 100, 0.7, 0.25
    arms = []
    for shift in (effect, 0.0):
        before = generator.standard_normal((runs, n))
        after = shift + correlation * before + (1 - correlation**2) ** 0.5 * generator.standard_normal((runs, n))
        arms.append(
            PairMoments.from_sums(
                n, after.sum(1), before.sum(1), (after**2).sum(1), (before**2).sum(1), (after * before).sum(1)
            )
        )
    adjusted = cuped.adjust(arms[0], arms[1])
    found = welch_many(adjusted.treatment, adjusted.control)
    plain = welch_many(
        *(Moments(n=arm.n, mean=arm.mean, variance=arm.variance) for arm in arms)  # the same without the covariate
    )
    spread = float(np.std(found.value, ddof=1))
    assert float(found.value.mean()) == pytest.approx(effect, abs=4 * spread / runs**0.5)
    cut = 1 - np.var(found.value) / np.var(plain.value)
    assert cut == pytest.approx(correlation**2, abs=5 / runs**0.5)
    assert float(adjusted.variance_cut.mean()) == pytest.approx(correlation**2, abs=0.01)
    assert float(np.mean(found.standard_error**2)) == pytest.approx(spread**2, rel=6 / runs**0.5)
    assert Rate(value=float(((found.low <= effect) & (found.high >= effect)).mean()), runs=runs).covers


def test_a_posterior_chance_that_is_looked_at_ten_times_errs_in_a_third_of_experiments() -> None:
    naive = bayes.Rule(kind="chance", threshold=0.95, looks=10, n_per_look=100)
    found = bayes.error_rate(naive, np.random.default_rng(22))
    assert found.wrong == pytest.approx(0.34, abs=0.02)


@pytest.mark.parametrize("kind", ["loss", "chance"])
def test_a_calibrated_rule_declares_a_winner_in_five_percent_of_aa_experiments(kind: str) -> None:
    rule = bayes.Rule(kind="loss" if kind == "loss" else "chance", threshold=0.5, looks=10, n_per_look=100, least_n=200)
    rule = bayes.calibrated(rule, np.random.default_rng(23))
    found = bayes.error_rate(rule, np.random.default_rng(24), runs=20_000)
    assert holds_alpha(Rate(value=found.wrong, runs=found.runs))
    assert found.wrong > 0.04
    powerful = bayes.error_rate(rule, np.random.default_rng(25), effect=0.2, runs=20_000)
    assert powerful.declared > 0.9
    assert powerful.wrong < 0.01
