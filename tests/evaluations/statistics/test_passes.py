"""pass@k and pass^k against counting every subset, and against recorded executions of real programs."""

import json
import os
from collections import Counter
from itertools import combinations
from math import comb
from pathlib import Path

import pytest

from evaluations.statistics.passes import mean_pass_at_k, mean_pass_hat_k, pass_at_k, pass_hat_k

DATA = Path(os.environ.get("ASSAY_TEST_DATA", Path(__file__).parents[4] / "shared/data"))


def test_both_equal_the_share_of_all_subsets_for_up_to_eight_answers() -> None:
    for n in range(1, 9):
        for c in range(n + 1):
            answers = [True] * c + [False] * (n - c)
            for k in range(1, n + 1):
                drawn = list(combinations(answers, k))
                assert pass_at_k(n, c, k) == pytest.approx(sum(map(any, drawn)) / len(drawn), abs=1e-15)
                assert pass_hat_k(n, c, k) == pytest.approx(sum(map(all, drawn)) / len(drawn), abs=1e-15)


@pytest.mark.parametrize(("p", "n", "k"), [(0.3, 6, 2), (0.8, 10, 3), (0.05, 8, 8)])
def test_their_means_over_all_outcomes_are_the_true_chances(p: float, n: int, k: int) -> None:
    chance = [comb(n, c) * p**c * (1 - p) ** (n - c) for c in range(n + 1)]
    at = sum(weight * pass_at_k(n, c, k) for c, weight in enumerate(chance))
    hat = sum(weight * pass_hat_k(n, c, k) for c, weight in enumerate(chance))
    assert at == pytest.approx(1 - (1 - p) ** k, abs=1e-12)
    assert hat == pytest.approx(p**k, abs=1e-12)


def test_many_answers_neither_overflow_nor_lose_digits() -> None:
    assert pass_at_k(100_000, 1, 1000) == pytest.approx(0.01, abs=1e-12)
    assert pass_hat_k(5000, 4999, 2500) == pytest.approx(0.5, abs=1e-12)


@pytest.mark.parametrize(("n", "c", "k"), [(5, 6, 1), (5, -1, 1), (5, 2, 0), (5, 2, 6), (0, 0, 1)])
def test_impossible_counts_are_refused(n: int, c: int, k: int) -> None:
    with pytest.raises(ValueError, match="between"):
        pass_at_k(n, c, k)
    with pytest.raises(ValueError, match="between"):
        pass_hat_k(n, c, k)


def test_cases_with_too_few_answers_are_left_out_and_counted() -> None:
    cases = Counter({(5, 5): 2, (5, 0): 1, (3, 3): 4})
    mean = mean_pass_at_k(cases, 5)
    assert mean.value == pytest.approx(2 / 3)
    assert (mean.cases, mean.left_out) == (3, 4)
    assert mean_pass_hat_k(cases, 3).value == pytest.approx(6 / 7)


def test_a_mean_over_no_case_is_unknown_and_not_zero() -> None:
    mean = mean_pass_hat_k(Counter({(2, 2): 3}), 3)
    assert (mean.value, mean.cases, mean.left_out) == (None, 0, 3)
    assert mean_pass_at_k(Counter(), 1).value is None


def test_recorded_executions_give_the_published_pass_at_k() -> None:
    folder = DATA / "humaneval"
    if not folder.is_dir():
        pytest.skip(f"no recorded executions in {folder}")
    executed: dict[str, str] = json.loads((folder / "executed.json").read_text())
    expected = json.loads((folder / "expected.json").read_text())
    cases = Counter((len(marks), marks.count("1")) for marks in executed.values())
    figures = {k: mean_pass_at_k(cases, int(k)) for k in expected["pass_at_k"]}
    assert {k: round(mean.value or 0, 6) for k, mean in figures.items()} == expected["pass_at_k"]
    assert {mean.cases for mean in figures.values()} == {expected["problems"]}
