"""Equivalence and non-inferiority against statsmodels, and from intervals of any kind."""

import doctest

import numpy as np
import pytest

from evaluations.estimates import Estimate
from evaluations.statistics import equivalence as module
from evaluations.statistics.equivalence import equivalence, non_inferiority
from evaluations.statistics.means import mean_interval
from evaluations.statistics.outcomes import Outcome, Undetermined
from evaluations.statistics.paired import PassPairs, tango
from tests.evaluations.statistics.test_paired import effect, found

GAINS = np.random.default_rng(1).normal(0.01, 0.1, 80)


def student(level: float) -> Estimate:
    return mean_interval(GAINS, level)


def p_of(outcome: Outcome) -> float:
    p = found(outcome).p
    assert p is not None
    return p


def test_the_examples_hold() -> None:
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize("margin", [0.01, 0.02, 0.05, 0.1])
def test_from_students_interval_it_is_the_tost_of_statsmodels(margin: float) -> None:
    weights = pytest.importorskip("statsmodels.stats.weightstats")
    reference = weights.DescrStatsW(GAINS).ttost_mean(-margin, margin)
    own = equivalence(student, margin)
    if reference[0] < 0.5:
        assert p_of(own) == pytest.approx(reference[0], rel=1e-8, abs=2e-12)
    else:
        assert p_of(own) >= 0.5
    one_sided = weights.DescrStatsW(GAINS).ttest_mean(-margin, alternative="larger")
    assert p_of(non_inferiority(student, margin)) == pytest.approx(one_sided[1], rel=1e-8, abs=2e-12)


def test_it_holds_at_alpha_exactly_when_the_interval_lies_inside_the_margin() -> None:
    for margin in np.linspace(0.015, 0.06, 12):
        outcome = equivalence(student, float(margin))
        interval = effect(outcome)
        assert interval.confidence == pytest.approx(0.9)
        assert (p_of(outcome) <= 0.05) == (-margin < interval.low and interval.high < margin)


def test_any_interval_will_do_such_as_tangos_of_paired_passes() -> None:
    same = PassPairs(both=450, only_control=4, only_treatment=5, neither=41)
    outcome = equivalence(lambda level: tango(same, level), 0.02)
    assert p_of(outcome) < 0.05
    assert found(outcome).method == "equivalence within ± 0.02 (TOST), from the Tango score interval"
    assert p_of(equivalence(lambda level: tango(same, level), 0.008)) > 0.05


def test_little_data_without_a_difference_is_no_equivalence() -> None:
    few = PassPairs(both=20, only_control=0, only_treatment=0, neither=5)
    assert p_of(equivalence(lambda level: tango(few, level), 0.05)) > 0.05


def test_for_latency_lower_is_better() -> None:
    def slower(level: float) -> Estimate:
        return mean_interval([40.0, 55, 45, 60, 50, 42, 58], level)  # milliseconds more than the control

    assert p_of(non_inferiority(slower, 100, better="lower")) < 0.001
    assert p_of(non_inferiority(slower, 40, better="lower")) == 1.0
    assert p_of(non_inferiority(slower, 40, better="higher")) < 0.001


def test_what_has_no_interval_has_no_equivalence_and_margins_are_positive() -> None:
    nothing = Undetermined(reason="empty", why="no case")
    assert equivalence(lambda level: nothing, 0.1) is nothing
    endless = equivalence(lambda level: Estimate(value=0, low=-1, high=float("inf"), n=3, confidence=level), 0.1)
    assert isinstance(endless, Undetermined)
    assert endless.reason == "not finite"
    for margin, alpha in ((0.0, 0.05), (-1.0, 0.05), (float("nan"), 0.05), (0.1, 0.5), (0.1, 0.0)):
        with pytest.raises(ValueError, match=r"margin|alpha"):
            equivalence(student, margin, alpha=alpha)
