"""Variance components against balanced analysis of variance, known truths and brute force over designs."""

import doctest
from decimal import Decimal
from math import inf, nan

import numpy as np
import pytest
from numpy.typing import NDArray

from evaluations.statistics import variance
from evaluations.statistics.outcomes import Undetermined
from evaluations.statistics.variance import (
    Components,
    Design,
    UnitCosts,
    best_repeats,
    next_purchase,
    variance_components,
)


def components(scores: object) -> Components:
    parts = variance_components(scores)  # type: ignore[arg-type]
    assert isinstance(parts, Components), parts
    return parts


def simulated(rng: np.random.Generator, cases: int, repeats: int, judgements: int) -> NDArray[np.float64]:
    """Variances 0.5, 2 and 1."""
    truth = rng.normal(0, 0.5**0.5, (cases, 1, 1)) + rng.normal(0, 2**0.5, (cases, repeats, 1))
    return truth + rng.normal(0, 1, (cases, repeats, judgements))


def test_the_examples_hold() -> None:
    assert doctest.testmod(variance).failed == 0


def test_a_full_table_gives_the_mean_squares_of_the_textbook() -> None:
    table = simulated(np.random.default_rng(1), 30, 4, 3)
    answers, cases = table.mean(axis=2), table.mean(axis=(1, 2))
    judgement = table.var(axis=2, ddof=1).mean()
    repeat = answers.var(axis=1, ddof=1).mean() - judgement / 3
    case = cases.var(ddof=1) - answers.var(axis=1, ddof=1).mean() / 4
    parts = components(table)
    assert (parts.judgement, parts.repeat) == pytest.approx((judgement, repeat), rel=1e-9)
    assert parts.case == pytest.approx(max(0.0, case), rel=1e-9)
    # The error of the mean that follows is the one that the means of the cases show.
    assert parts.standard_error == pytest.approx(cases.std(ddof=1) / 30**0.5, rel=1e-9)


def test_the_estimates_have_no_bias_where_a_third_of_the_scores_is_missing() -> None:
    rng = np.random.default_rng(2)
    found = []
    for _ in range(300):
        table = simulated(rng, 60, 4, 3)
        table[rng.random(table.shape) < 1 / 3] = nan
        parts = components(table)
        found.append((parts.case, parts.repeat, parts.judgement))
    estimates = np.array(found, dtype=float)
    means, errors = estimates.mean(axis=0), estimates.std(axis=0) / 300**0.5
    assert (np.abs(means - [0.5, 2.0, 1.0]) < 3.5 * errors + 0.003).all(), means


def test_what_was_not_repeated_is_not_told_apart() -> None:
    table = simulated(np.random.default_rng(3), 200, 1, 1)
    parts = components(table)
    assert (parts.repeat, parts.judgement) == (None, None)
    assert parts.case == pytest.approx(table.var(ddof=1), rel=1e-9)
    with pytest.raises(ValueError, match="answered once"):
        parts.error_of(Design(cases=200, repeats=2))
    assert components(simulated(np.random.default_rng(4), 200, 3, 1)).judgement is None


def test_a_variance_estimated_below_zero_is_zero_and_noted() -> None:
    table = np.array([[[0.0], [1.0]], [[1.0], [0.0]]] * 15)
    parts = components(table)
    assert parts.case == 0.0
    assert parts.notes[0].startswith("the case variance was estimated below 0")


def test_the_error_of_another_design_is_what_repeating_the_study_shows() -> None:
    rng = np.random.default_rng(5)
    design = Design(cases=12, repeats=3, judgements=2)
    parts = components(simulated(rng, 3000, 4, 3))
    means = simulated(rng, 12 * 4000, 3, 2).reshape(4000, -1).mean(axis=1)
    assert parts.error_of(design) == pytest.approx(means.std(), rel=0.06)


def test_three_more_repeats_beat_fifty_more_cases_when_cases_are_dear() -> None:
    parts = Components(case=0.01, repeat=0.22, judgement=0.0, cases=100, repeats=2, judgements=1)
    dear = UnitCosts(case=Decimal("4"), answer=Decimal("1"), judgement=Decimal("0"))
    repeats, cases = next_purchase(parts, dear, Decimal(300))
    assert (repeats.source, repeats.more, int(repeats.cost)) == ("repeats", 3, 300)
    assert (cases.source, cases.more, int(cases.cost)) == ("cases", 50, 300)
    assert repeats.error == pytest.approx((0.01 / 100 + 0.22 / 500) ** 0.5)
    assert cases.error == pytest.approx((0.01 / 150 + 0.22 / 300) ** 0.5)
    assert repeats.error < cases.error
    cheap = UnitCosts(case=Decimal("0"), answer=Decimal("1"), judgement=Decimal("0.01"))
    assert next_purchase(parts, cheap, Decimal(303))[0].source == "cases"
    assert best_repeats(parts, dear) == pytest.approx((0.22 / 0.01 * 4) ** 0.5)
    assert best_repeats(parts, cheap) == 1.0


def test_the_best_number_of_repeats_is_the_best_of_all_designs_of_one_price() -> None:
    parts = Components(case=0.03, repeat=0.4, judgement=0.1, cases=100, repeats=2, judgements=2)
    costs = UnitCosts(case=Decimal("7"), answer=Decimal("0.9"), judgement=Decimal("0.05"))
    repeats = np.linspace(1, 40, 4000)
    prices = [float(costs.of(Design(cases=1, repeats=float(r), judgements=2))) for r in repeats]
    errors = [
        parts.error_of(Design(cases=5000 / price, repeats=float(r), judgements=2))
        for r, price in zip(repeats, prices, strict=True)
    ]
    assert best_repeats(parts, costs) == pytest.approx(repeats[int(np.argmin(errors))], abs=0.02)


def test_a_budget_too_small_for_one_more_of_anything_buys_nothing() -> None:
    parts = Components(case=0.01, repeat=0.2, judgement=0.0, cases=100, repeats=2, judgements=1)
    costs = UnitCosts(case=Decimal("5"), answer=Decimal("1"), judgement=Decimal("0"))
    assert next_purchase(parts, costs, Decimal("6.99")) == []
    with pytest.raises(ValueError, match="positive"):
        next_purchase(parts, costs, Decimal(0))
    with pytest.raises(ValueError, match="costs nothing"):
        next_purchase(parts, UnitCosts(case=Decimal(0), answer=Decimal(0), judgement=Decimal(0)), Decimal(1))


def test_scores_that_say_nothing_give_the_reason() -> None:
    for table, reason in (
        (np.empty((0, 2, 2)), "empty"),
        (np.full((3, 2, 1), nan), "empty"),
        (np.ones((1, 3, 2)), "too few"),
        (np.full((9, 2, 1), 0.1), "no spread"),
        (np.array([[[1.0]], [[inf]]]), "not finite"),
    ):
        parts = variance_components(table)
        assert isinstance(parts, Undetermined)
        assert parts.reason == reason
    with pytest.raises(ValueError, match="cases, repeats and judgements"):
        variance_components([[1.0, 2.0]])
    assert not components(simulated(np.random.default_rng(6), 12, 2, 2)).reliable
