"""Correlations against scipy and against those published for an automatic metric and human ratings."""

import doctest
from collections import defaultdict
from collections.abc import Callable
from math import inf, nan

import numpy as np
import pytest

from evaluations.statistics import correlation
from evaluations.statistics.correlation import kendall, pearson, spearman
from evaluations.statistics.outcomes import Outcome, Undetermined
from tests.evaluations.statistics.references import csv_rows, expected, folder, json_lines
from tests.evaluations.statistics.test_paired import effect, found

ALL: tuple[Callable[..., Outcome], ...] = (pearson, spearman, kendall)


def test_the_examples_hold() -> None:
    assert doctest.testmod(correlation).failed == 0


@pytest.mark.parametrize("n", [5, 30, 200])
@pytest.mark.parametrize("rounded", [False, True])
def test_values_and_p_agree_with_scipy(n: int, rounded: bool) -> None:
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(n)
    one = rng.normal(0, 1, n)
    two = one + rng.normal(0, 1, n)
    if rounded:
        one, two = np.round(one), np.round(two)
    for own, reference in zip(ALL, (stats.pearsonr, stats.spearmanr, stats.kendalltau), strict=True):
        outcome, wanted = own(one, two), reference(one, two)
        assert effect(outcome).value == pytest.approx(wanted.statistic, rel=1e-9)
        assert found(outcome).p == pytest.approx(wanted.pvalue, rel=1e-9)
    bounds = stats.pearsonr(one, two).confidence_interval(0.9)
    own_bounds = effect(pearson(one, two, confidence=0.9))
    assert (own_bounds.low, own_bounds.high) == pytest.approx((bounds.low, bounds.high), rel=1e-9)


def test_a_metric_follows_people_as_far_as_published() -> None:
    compared = 0
    for data, figures in expected("metric_correlation").items():
        rows = csv_rows(folder("metric_correlation") / f"{data}.csv.gz")
        for dimension, wanted in figures.items():
            if dimension == "n":
                continue
            human, metric = ([float(row[f"{side}_{dimension}"]) for row in rows] for side in ("human", "metric"))
            for test in ALL:
                value = effect(test(human, metric))
                assert round(value.value, 6) == wanted[test.__name__]
                assert value.low < value.value < value.high
                assert value.n == figures["n"]
                compared += 1
    assert compared == 21


def test_ratings_of_turns_follow_those_of_conversations_as_published() -> None:
    figures = expected("dialogue_satisfaction")
    rated = json_lines(folder("dialogue_satisfaction") / "dialogues.jsonl.gz")
    scales: dict[str, list[float]] = defaultdict(list)
    for dialogue in rated:
        for rating in dialogue["ratings"]:
            if all(rating[scale] is not None for scale in figures["means"]):
                for scale in figures["means"]:
                    scales[scale].append(rating[scale])
    for scale, wanted in figures["spearman_of_overall_with"].items():
        assert round(effect(spearman(scales["overall"], scales[scale])).value, 6) == wanted


def test_a_perfect_line_has_no_width_and_few_pairs_are_not_reliable() -> None:
    line = pearson(range(40), range(0, 80, 2))
    assert (effect(line).low, effect(line).high, found(line).p) == (1.0, 1.0, 0.0)
    assert found(spearman([1, 2, 3, 4], [1, 3, 2, 4])).reason == "4 pairs, and the interval needs 25"


def test_one_far_value_makes_pearsons_interval_unreliable_and_not_spearmans() -> None:
    rng = np.random.default_rng(2)
    one, two = rng.normal(0, 1, 60), rng.normal(0, 1, 60)
    one[0] = two[0] = 20.0
    assert "heavy tails" in found(pearson(one, two)).reason
    assert found(spearman(one, two)).reliable


@pytest.mark.parametrize("test", ALL)
def test_scores_that_say_nothing_give_the_reason(test: Callable[..., Outcome]) -> None:
    for one, two, reason in (
        ([], [], "empty"),
        ([1, 2], [1, 2], "too few"),
        ([1, 2, 3], [1, nan, 2], "not finite"),
        ([1, 2, inf], [1, 2, 3], "not finite"),
        ([1, 2, 3], [0.1, 0.1, 0.1], "no spread"),
    ):
        outcome = test(one, two)
        assert isinstance(outcome, Undetermined)
        assert outcome.reason == reason
    with pytest.raises(ValueError, match="one length"):
        test([1, 2, 3], [1, 2])
