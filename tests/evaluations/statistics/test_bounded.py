"""The betting interval: it holds at every n and for shapes that defeat Student's."""

import doctest

import numpy as np
import pytest

from evaluations.comparisons import Plan, Question
from evaluations.statistics import bounded
from evaluations.statistics.bounded import bounded_mean
from evaluations.statistics.compare import compare
from evaluations.statistics.outcomes import Determined, Undetermined

FEW_LOSE = np.repeat([-1.0, -2 / 3, -1 / 3, 0.0], [9, 2, 6, 67])
"""Differences of a pass rate over three repeats: most cases score the same under both variants."""


def determined(values: np.ndarray, seed: int = 1, **given: float) -> Determined:
    found = bounded_mean(values, np.random.default_rng(seed), **{"low": -1.0, "high": 1.0, **given})
    assert isinstance(found, Determined)
    assert found.effect is not None
    return found


def test_the_examples_hold() -> None:
    assert doctest.testmod(bounded).failed == 0


@pytest.mark.parametrize("n", [5, 20, 60])
@pytest.mark.parametrize("chances", [(0.02, 0.0, 0.98, 0.0), (0.3, 0.1, 0.3, 0.3), (0.0, 0.0, 0.5, 0.5)])
def test_it_covers_the_truth_at_every_n_and_shape(n: int, chances: tuple[float, ...]) -> None:
    """Student's interval covers 33 % of the first of these shapes at n = 20."""
    values = np.array([-1.0, -0.5, 0.0, 1.0])
    generator = np.random.default_rng(20)
    truth, missed, runs = float(values @ chances), 0, 300
    for _ in range(runs):
        effect = determined(generator.choice(values, n, p=chances), seed=int(generator.integers(10**9))).effect
        assert effect is not None
        missed += not effect.low <= truth <= effect.high
    # 5 % and the 99 % Monte-Carlo margin above it.
    assert missed / runs <= 0.05 + 2.33 * (0.05 * 0.95 / runs) ** 0.5


def test_no_difference_keeps_a_width_and_p_follows_the_interval() -> None:
    same = determined(np.zeros(50))
    assert same.effect is not None
    assert same.effect.low < 0 < same.effect.high
    assert same.p == 1.0
    for seed in range(20):
        values = np.random.default_rng(seed).choice([-1.0, 0.0, 1.0], 40, p=[0.35, 0.5, 0.15])
        found = determined(values, seed)
        assert found.effect is not None
        assert found.p is not None
        assert (found.p < 0.05) == (not found.effect.low <= 0 <= found.effect.high)


def test_the_same_seed_gives_the_same_interval_and_more_cases_a_narrower_one() -> None:
    assert determined(FEW_LOSE, 3) == determined(FEW_LOSE, 3)
    few, many = determined(FEW_LOSE).effect, determined(np.tile(FEW_LOSE, 4)).effect
    assert few is not None
    assert many is not None
    assert many.high - many.low < 0.6 * (few.high - few.low)


@pytest.mark.parametrize(
    ("values", "reason"),
    [([], "empty"), ([0.5], "too few"), ([0.0, np.nan], "not finite"), ([0.0, 1.5], "out of range")],
)
def test_what_cannot_be_tested_says_why(values: list[float], reason: str) -> None:
    found = bounded_mean(np.array(values), np.random.default_rng(1), low=-1.0, high=1.0)
    assert isinstance(found, Undetermined)
    assert found.reason == reason


def test_a_loss_that_few_cases_carry_is_never_called_equivalent() -> None:
    """A median of differences is zero here, with an interval of no width, while 15 points are lost."""
    control = np.ones(84)
    measured = {"pass_rate": {"A": control, "B": control + FEW_LOSE}}
    plan = Plan(design="paired_offline", control="A", variants=("B",))
    question = Question(metric="pass_rate", kind="binary", margin=0.03)
    finding = compare(plan, [question], measured, generator=np.random.default_rng(1)).primary("B")
    assert (finding.test, finding.verdict) == ("betting", "worse")
    assert finding.effect is not None
    assert finding.effect.value == pytest.approx(FEW_LOSE.mean())
