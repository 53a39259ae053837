"""Values that hang together against matrix algebra, statsmodels and recorded categories."""

import doctest
from math import inf, nan

import numpy as np
import pytest
from numpy.typing import NDArray

from evaluations.statistics import clusters
from evaluations.statistics.clusters import cluster_robust, per_unit
from evaluations.statistics.outcomes import Undetermined
from evaluations.statistics.paired import paired_t
from tests.evaluations.statistics.references import expected, folder, json_lines
from tests.evaluations.statistics.test_paired import effect, found


def test_the_examples_hold() -> None:
    assert doctest.testmod(clusters).failed == 0


def clustered(sizes: list[int], seed: int) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(len(sizes)), sizes)
    return rng.normal(0.3, 1, len(sizes))[groups] + rng.normal(0, 1, groups.size), groups


@pytest.mark.parametrize("sizes", [[5] * 12, [1, 2, 3, 4, 5, 6, 7, 8, 9, 30], [3, 3]])
def test_cr1_agrees_with_statsmodels(sizes: list[int]) -> None:
    linear = pytest.importorskip("statsmodels.regression.linear_model")
    values, groups = clustered(sizes, 1)
    reference = linear.OLS(values, np.ones(values.size)).fit(
        cov_type="cluster", cov_kwds={"groups": groups}, use_t=True
    )
    own = found(cluster_robust(values, groups, kind="CR1"))
    assert own.p == pytest.approx(reference.pvalues[0], rel=1e-9)
    assert (effect(own).low, effect(own).high) == pytest.approx(tuple(reference.conf_int()[0]), rel=1e-9)


@pytest.mark.parametrize("sizes", [[5] * 12, [1, 2, 3, 4, 5, 6, 7, 8, 9, 30], [2, 9]])
def test_cr2_and_its_degrees_of_freedom_agree_with_the_matrices_of_bell_and_mccaffrey(sizes: list[int]) -> None:
    values, groups = clustered(sizes, 2)
    n = values.size
    rest = np.eye(n) - np.ones((n, n)) / n
    residuals = rest @ values
    variance, pulls = 0.0, []
    for group in range(len(sizes)):
        inside = groups == group
        eigenvalues, vectors = np.linalg.eigh(rest[np.ix_(inside, inside)])
        inverse_root = vectors @ np.diag([e**-0.5 if e > 1e-9 else 0.0 for e in eigenvalues]) @ vectors.T
        adjusted = np.ones(inside.sum()) @ inverse_root / n
        variance += (adjusted @ residuals[inside]) ** 2
        pulls.append(rest[inside].T @ adjusted)
    gram = np.array(pulls) @ np.array(pulls).T
    own = found(cluster_robust(values, groups))
    assert own.statistic == pytest.approx(values.mean() / variance**0.5, rel=1e-9)
    assert own.df == pytest.approx(np.trace(gram) ** 2 / np.trace(gram @ gram), rel=1e-9)


def test_equal_clusters_are_their_means() -> None:
    values, groups = clustered([4] * 15, 3)
    means = per_unit(values, groups).means
    whole, averaged = cluster_robust(values, groups), paired_t(np.zeros(15), means)
    assert found(whole).p == pytest.approx(found(averaged).p, rel=1e-9)
    assert found(whole).df == pytest.approx(14)
    assert effect(whole).low == pytest.approx(effect(averaged).low, rel=1e-9)
    assert effect(whole).n == 15


def test_repeats_taken_for_cases_promise_what_they_do_not_know() -> None:
    values, groups = clustered([10] * 20, 4)
    naive, robust = effect(paired_t(np.zeros(200), values)), effect(cluster_robust(values, groups))
    assert naive.value == pytest.approx(robust.value)
    assert robust.high - robust.low > 2 * (naive.high - naive.low)


def test_few_clusters_and_one_that_outweighs_all_are_not_reliable() -> None:
    few = found(cluster_robust(*clustered([30] * 6, 5)))
    assert few.reason == "6 clusters: too few to know how they vary; 10 are needed"
    lopsided = found(cluster_robust(*clustered([400] + [2] * 20, 6)))
    assert "the largest cluster holds 91% of the values" in lopsided.reason


def test_values_that_say_nothing_give_the_reason() -> None:
    for values, groups, reason in (
        ([], [], "empty"),
        ([1.0, 2.0], ["a", "a"], "too few"),
        ([1.0, inf, 2.0], ["a", "b", "c"], "not finite"),
        ([1.0, nan], ["a", "b"], "not finite"),
        ([1.0, 0.0, 1.0, 0.0], ["a", "a", "b", "b"], "no spread"),
    ):
        outcome = cluster_robust(values, groups)
        assert isinstance(outcome, Undetermined)
        assert outcome.reason == reason
    with pytest.raises(ValueError, match="belongs to one unit"):
        cluster_robust([1.0, 2.0], ["a"])


def test_the_categories_of_mmlu_pro_have_their_published_means() -> None:
    figures = next(iter(expected("mmlu_pro")["models"].values()))
    rows = json_lines(folder("mmlu_pro") / "outputs_gemini-1.5-pro-002.jsonl.gz")
    right = [float(row["publisher_pred"] == row["answer"]) for row in rows]
    categories = [row["category"] for row in rows]
    gathered = per_unit(right, categories)
    found_by_name = dict(zip(gathered.names, gathered.means.round(6).tolist(), strict=True))
    assert found_by_name == {name: row["accuracy_publisher_pred"] for name, row in figures["by_category"].items()}
    assert round(gathered.means.mean(), 6) == figures["mean_of_categories_publisher_pred"]
    whole = effect(cluster_robust(right, categories))
    assert round(whole.value, 6) == figures["accuracy_of_publisher_pred"]["rate"]
    assert whole.n == 14
    # Other categories would move the accuracy ten times further than other questions of these would.
    assert whole.high - whole.low > 5 * (0.710603 - 0.69426)
