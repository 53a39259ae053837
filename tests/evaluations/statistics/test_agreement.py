"""Agreement of raters against published examples, other implementations, brute force and recorded labels."""

import doctest
from collections import Counter
from itertools import combinations, permutations
from math import inf, nan
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from evaluations.estimates import Estimate
from evaluations.statistics import agreement, change_points
from evaluations.statistics.agreement import (
    Agreement,
    Level,
    Weighting,
    cohen_kappa,
    fleiss_kappa,
    gwet_ac,
    icc,
    krippendorff_alpha,
)
from evaluations.statistics.change_points import covering, margin_f1
from evaluations.statistics.outcomes import Undetermined
from evaluations.statistics.proportions import wilson
from tests.evaluations.statistics.references import csv_rows, expected, folder, json_lines

# Krippendorff (2011), "Computing Krippendorff's Alpha-Reliability", section C: 12 units, 4 observers, some missing.
FOUR_OBSERVERS: list[list[int | None]] = [
    [1, 1, None, 1],
    [2, 2, 3, 2],
    [3, 3, 3, 3],
    [3, 3, 3, 3],
    [2, 2, 2, 2],
    [1, 2, 3, 4],
    [4, 4, 4, 4],
    [1, 1, 2, 1],
    [2, 2, 2, 2],
    [None, 5, 5, 5],
    [None, None, 1, 1],
    [None, None, 3, None],
]
# Shrout & Fleiss (1979), table 2: 6 targets, 4 judges.
SIX_TARGETS = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]


def of(found: Agreement | Undetermined) -> Estimate:
    assert isinstance(found, Agreement), found
    return found.coefficient


def bounds(found: Agreement | Undetermined) -> tuple[float, float, float]:
    return of(found).value, of(found).low, of(found).high


def error_of(found: Agreement | Undetermined) -> float:
    assert isinstance(found, Agreement), found
    assert found.standard_error is not None
    return found.standard_error


def some_ratings(n: int, raters: int, missing: float, seed: int) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    truth = rng.integers(1, 5, n)
    table = np.where(rng.random((n, raters)) < 0.6, truth[:, None], rng.integers(1, 5, (n, raters))).astype(float)
    table[rng.random(table.shape) < missing] = nan
    return table


def test_the_examples_hold() -> None:
    assert doctest.testmod(agreement).failed == 0
    assert doctest.testmod(change_points).failed == 0


# Against what is published


@pytest.mark.parametrize(
    ("level", "alpha"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849), ("ratio", 0.797)]
)
def test_alpha_of_krippendorffs_own_example(level: Level, alpha: float) -> None:
    found = krippendorff_alpha(FOUR_OBSERVERS, level=level)
    assert round(of(found).value, 3) == alpha
    assert isinstance(found, Agreement)
    assert (of(found).n, found.left_out, found.raters) == (11, 1, 4)


@pytest.mark.parametrize(
    ("form", "value", "low", "high"),
    [
        ("1,1", 0.166, -0.13, 0.72),
        ("2,1", 0.290, 0.02, 0.76),
        ("3,1", 0.715, 0.34, 0.95),
        ("1,k", 0.443, -0.88, 0.91),
        ("2,k", 0.620, 0.07, 0.93),
        ("3,k", 0.909, 0.68, 0.99),
    ],
)
def test_icc_of_shrout_and_fleiss(form: agreement.IccForm, value: float, low: float, high: float) -> None:
    # The intervals are those that pingouin 0.6.1 prints.
    assert bounds(icc(SIX_TARGETS, form)) == pytest.approx((value, low, high), abs=0.005)


@pytest.mark.parametrize(
    ("weighting", "ac", "error"),
    [
        ("nominal", 0.775444068127, 0.142949950641),
        ("linear", 0.858739136433, 0.117329021881),
        ("quadratic", 0.914000723552, 0.103962244645),
    ],
)
def test_gwets_coefficients_and_their_errors_agree_with_irrcac(weighting: Weighting, ac: float, error: float) -> None:
    found = gwet_ac(FOUR_OBSERVERS, weighting=weighting)  # irrCAC 0.4.4: Gwet's own program
    assert (of(found).value, error_of(found)) == pytest.approx((ac, error), abs=1e-11)


def test_fleiss_kappa_and_its_error_agree_with_irrcac_where_ratings_are_missing() -> None:
    found = fleiss_kappa(FOUR_OBSERVERS)
    assert (of(found).value, error_of(found)) == pytest.approx((0.761169275422, 0.153019203469), abs=1e-11)


def test_fleiss_kappa_of_ten_units_and_fourteen_raters() -> None:
    # The example by which the coefficient is usually taught; 0.210.
    counts = [[0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1]]
    counts += [[7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7]]
    votes = [[label for label, times in enumerate(row) for _ in range(times)] for row in counts]
    assert round(of(fleiss_kappa(votes)).value, 3) == 0.210


@pytest.mark.parametrize("weighting", ["nominal", "linear", "quadratic"])
@pytest.mark.parametrize("seed", range(5))
def test_cohens_kappa_and_its_error_agree_with_statsmodels(weighting: Weighting, seed: int) -> None:
    inter_rater = pytest.importorskip("statsmodels.stats.inter_rater")
    table = some_ratings(80, 2, 0.0, seed)
    cells = np.zeros((4, 4))
    np.add.at(cells, tuple((table - 1).astype(int).T), 1)
    reference = inter_rater.cohens_kappa(cells, wt=None if weighting == "nominal" else weighting)
    found = cohen_kappa(table[:, 0], table[:, 1], weighting=weighting)
    assert (of(found).value, error_of(found)) == pytest.approx((reference.kappa, reference.std_kappa), abs=1e-12)


# Against brute force


def alpha_by_hand(table: NDArray[np.float64], weights: NDArray[np.float64], level: Level) -> float:
    """From the coincidence matrix, as Krippendorff writes it; `weights` repeats units by fractions."""
    values = sorted({v for v in table.ravel() if v == v})
    place = {v: i for i, v in enumerate(values)}
    coincidences = np.zeros((len(values), len(values)))
    for row, weight in zip(table, weights, strict=True):
        rated = [v for v in row if v == v]
        for a, b in permutations(range(len(rated)), 2):
            coincidences[place[rated[a]], place[rated[b]]] += weight / (len(rated) - 1)
    margins, total = coincidences.sum(axis=0), coincidences.sum()

    def delta(i: int, j: int) -> float:
        a, b = values[i], values[j]
        if level == "ordinal":
            low, high = sorted((i, j))
            return float((margins[low : high + 1].sum() - (margins[low] + margins[high]) / 2) ** 2)
        return {"nominal": float(a != b), "interval": (a - b) ** 2, "ratio": ((a - b) / (a + b)) ** 2}[level]

    deltas = np.array([[delta(i, j) for j in range(len(values))] for i in range(len(values))])
    return float(1 - (total - 1) * (coincidences * deltas).sum() / (margins @ deltas @ margins))


@pytest.mark.parametrize("level", ["nominal", "ordinal", "interval", "ratio"])
def test_alpha_and_its_error_agree_with_the_coincidence_matrix(level: Level) -> None:
    table = some_ratings(25, 4, 0.25, seed=3)
    kept = (~np.isnan(table)).sum(axis=1) >= 2
    ones = np.ones(len(table))
    alpha = krippendorff_alpha(table, level=level)
    assert of(alpha).value == pytest.approx(alpha_by_hand(table, ones, level), abs=1e-12)
    pulls = []
    for unit in np.flatnonzero(kept):
        step = np.zeros(len(table))
        step[unit] = 1e-4
        pulls.append((alpha_by_hand(table, ones + step, level) - alpha_by_hand(table, ones - step, level)) / 2e-4)
    n = len(pulls)
    assert error_of(alpha) == pytest.approx(np.sqrt(np.var(pulls) * n * n / (n - 1)), rel=1e-6)


def test_a_constant_far_from_zero_changes_no_digit_of_an_interval_scale() -> None:
    table = some_ratings(50, 3, 0.1, seed=4)
    assert bounds(krippendorff_alpha(table + 1e9, level="interval")) == pytest.approx(
        bounds(krippendorff_alpha(table, level="interval")), abs=1e-6
    )


def test_icc_of_one_rater_is_the_correlation_of_two_ratings_of_a_unit() -> None:
    rng = np.random.default_rng(5)
    table = rng.normal(0, 2, 40_000)[:, None] + rng.normal(0, 1, (40_000, 3))
    assert of(icc(table, "1,1")).value == pytest.approx(4 / 5, abs=0.01)
    assert of(icc(table, "1,k")).value == pytest.approx(4 / (4 + 1 / 3), abs=0.01)
    shifted = table + np.array([0.0, 0.0, 3.0])  # one rater is always 3 higher
    assert of(icc(shifted, "3,1")).value == pytest.approx(4 / 5, abs=0.01)
    assert of(icc(shifted, "2,1")).value == pytest.approx(4 / (5 + 3), abs=0.01)  # variance of (0, 0, 3) is 3


def test_labels_and_their_order_are_the_same_as_numbers() -> None:
    table = some_ratings(60, 2, 0.1, seed=6)
    words = {1.0: "poor", 2.0: "fair", 3.0: "good", 4.0: "great"}
    named = [[words.get(value) for value in row] for row in table.tolist()]
    order = list(words.values())
    for weighting in ("nominal", "linear", "quadratic"):
        in_words = cohen_kappa(*zip(*named, strict=True), weighting=weighting, categories=order)
        assert bounds(in_words) == bounds(cohen_kappa(*table.T, weighting=weighting))
    assert bounds(krippendorff_alpha(named, level="ordinal", categories=order)) == bounds(
        krippendorff_alpha(table, level="ordinal")
    )
    assert bounds(krippendorff_alpha(named)) == pytest.approx(bounds(krippendorff_alpha(table)), abs=1e-12)


def test_a_scale_point_that_nobody_used_still_has_its_place() -> None:
    one, two = [1, 1, 2, 5, 5, 2], [1, 2, 2, 5, 2, 1]
    with_gap = of(cohen_kappa(one, two, weighting="linear")).value
    squeezed = of(cohen_kappa([min(v, 3) for v in one], [min(v, 3) for v in two], weighting="linear")).value
    assert with_gap != pytest.approx(squeezed, abs=0.01)
    assert with_gap == of(cohen_kappa(one, two, weighting="linear", categories=[1, 2, 3, 4, 5])).value


def test_a_missing_rating_is_left_out_and_counted() -> None:
    found = cohen_kappa(["a", "b", None, "a"], ["a", "b", "b", None])
    assert isinstance(found, Agreement)
    assert (of(found).value, of(found).n, found.left_out) == (1.0, 2, 2)


# What cannot be said


def test_few_units_or_no_disagreement_make_the_interval_unreliable() -> None:
    few = cohen_kappa(["a", "b", "a", "b"] * 3, ["a", "b", "a", "a"] * 3)
    assert isinstance(few, Agreement)
    assert (few.reliable, few.reason) == (
        False,
        "12 units, and the large-sample interval needs 30; "
        "the raters differ on 3 of 12 units, and the large-sample interval needs 10; "
        "in 3 of 12 units raters chose another class than the commonest; 8 are needed",
    )
    perfect = fleiss_kappa([["a", "a"], ["b", "b"]] * 30)
    assert isinstance(perfect, Agreement)
    assert not perfect.reliable
    assert (of(perfect).low, of(perfect).high) == (1.0, 1.0)
    assert perfect.reason == "the raters differ on 0 of 60 units, and the large-sample interval needs 10"


@pytest.mark.parametrize(
    ("ratings", "reason"),
    [
        ([], "empty"),
        ([[None, 1], [2, None]], "empty"),
        ([[1, 1], [2, None]], "too few"),
        ([[1, 1]] * 9, "no variation"),
        ([[1, 2], [inf, 1]], "not finite"),
    ],
)
def test_tables_that_say_nothing_give_the_reason(ratings: Any, reason: str) -> None:
    tried = [fleiss_kappa(ratings), gwet_ac(ratings, weighting="linear"), krippendorff_alpha(ratings, level="interval")]
    tried += [cohen_kappa([row[0] for row in ratings], [row[1] for row in ratings])]
    assert [found.reason for found in tried if isinstance(found, Undetermined)] == [reason] * 4


@pytest.mark.parametrize(
    ("scores", "reason"),
    [
        ([], "empty"),
        ([[1, 2]], "too few"),
        ([[1, nan], [nan, 2]], "empty"),
        ([[3, 3]] * 5, "no spread"),
        ([[1, inf], [2, 2]], "not finite"),
    ],
)
def test_scores_that_say_nothing_give_the_reason(scores: Any, reason: str) -> None:
    for form in ("1,1", "2,1", "3,k"):
        found = icc(scores, form)
        assert isinstance(found, Undetermined)
        assert found.reason == reason


def test_a_ratio_scale_has_no_negative_values() -> None:
    found = krippendorff_alpha([[1, 2], [-1, 1]], level="ratio")
    assert isinstance(found, Undetermined)
    assert found.reason == "out of range"


def test_wrong_shapes_and_unknown_labels_are_programming_errors() -> None:
    with pytest.raises(ValueError, match="got 2 and 1 labels"):
        cohen_kappa(["a", "b"], ["a"])
    with pytest.raises(ValueError, match="'c' is not among the categories"):
        gwet_ac([["a", "c"], ["a", "b"]], categories=["a", "b"])
    with pytest.raises(ValueError, match="need their order"):
        krippendorff_alpha([["a", "c"], ["a", "b"]], level="ordinal")
    with pytest.raises(ValueError, match="two raters or more"):
        fleiss_kappa([["a"], ["b"]])
    with pytest.raises(ValueError, match="ICC needs numbers"):
        icc([["a", "b"], ["b", "b"]], "1,1")
    with pytest.raises(ValueError, match="between 0 and 1"):
        cohen_kappa(["a", "b"], ["b", "b"], confidence=95)


# Recorded labels


def test_the_annotators_and_the_judge_of_pandalm() -> None:
    figures = expected("pandalm")
    items = json_lines(folder("pandalm") / "testset.jsonl.gz")
    votes = np.array([[item[f"annotator{i}"] for i in (1, 2, 3)] for item in items])
    for a, b in combinations(range(3), 2):
        found = cohen_kappa(votes[:, a], votes[:, b])
        assert isinstance(found, Agreement)
        assert round(of(found).value, 6) == figures["cohen_kappa"][f"{a + 1}|{b + 1}"]
        assert found.observed == pytest.approx(figures["percent_agreement"][f"{a + 1}|{b + 1}"], abs=1e-6)
    assert round(of(fleiss_kappa(votes)).value, 6) == figures["fleiss_kappa"]
    assert round(of(krippendorff_alpha(votes)).value, 6) == figures["krippendorff_alpha_nominal"]
    majority = [Counter(row).most_common(1)[0][0] for row in votes.tolist()]
    words = {row["idx"]: row["verdict"] for row in json_lines(folder("pandalm") / "judge_gpt-3.5-turbo.jsonl.gz")}
    grades = {"1": 1, "2": 2, "Tie": 0, "0": 0}
    judge = [grades.get(str(words[item["idx"]]).strip(), "invalid") for item in items]
    kappa = of(cohen_kappa(judge, majority))
    assert round(kappa.value, 6) == figures["judges"]["gpt-3.5-turbo"]["cohen_kappa_with_majority"]
    assert kappa.low < kappa.value < kappa.high < of(fleiss_kappa(votes)).low  # the judge agrees less than people do
    each = [round(of(cohen_kappa(judge, votes[:, i].tolist())).value, 6) for i in range(3)]
    assert each == figures["judges"]["gpt-3.5-turbo"]["cohen_kappa_with_each_annotator"]
    right = wilson(sum(a == b for a, b in zip(judge, majority, strict=True)), len(items))
    accuracy = figures["judges"]["gpt-3.5-turbo"]["accuracy"]
    assert (right.value, right.low, right.high) == pytest.approx((accuracy["rate"], *accuracy["wilson95"]), abs=1e-6)
    # What the paper prints, to its two digits.
    assert {pair: round(value, 2) for pair, value in figures["cohen_kappa"].items()} == figures["published_cohen_kappa"]


def test_the_judges_of_llmbar_in_both_orders() -> None:
    figures = expected("llmbar")
    judges = 0
    for subset in ("Manual", "Natural"):
        rows = csv_rows(folder("llmbar") / f"verdicts_{subset}.csv.gz")
        for name, wanted in figures[subset]["judges"].items():
            own = [row for row in rows if f"{row['judge_model']}/{row['strategy']}" == name]
            given, swapped, gold = (
                [row[column] for row in own] for column in ("winner_given_order", "winner_swapped_order", "label")
            )
            for pair, key in (
                ((given, swapped), "cohen_kappa_between_orders"),
                ((given, gold), "cohen_kappa_with_gold_given_order"),
                ((swapped, gold), "cohen_kappa_with_gold_swapped_order"),
            ):
                found = cohen_kappa(*pair)  # an empty verdict is a class of its own
                assert isinstance(found, Agreement) == (wanted[key] is not None)
                if isinstance(found, Agreement):
                    assert of(found).value == pytest.approx(wanted[key], abs=1e-6)
            published = wanted["published"]
            for pair, key in (
                ((given, gold), "right_given_order_pct"),
                ((swapped, gold), "right_swapped_order_pct"),
                ((given, swapped), "same_verdict_in_both_pct"),
            ):
                agreed = sum(a == b for a, b in zip(*pair, strict=True))  # a missing verdict is never the gold one
                assert 100 * agreed / len(own) == pytest.approx(published[key], abs=1e-6), (subset, name, key)
            as_published = [[verdict or "2" for verdict in column] for column in (given, swapped)]
            both = cohen_kappa(*as_published)
            if isinstance(both, Agreement):
                assert of(both).value == pytest.approx(published["cohen_kappa_between_orders_missing_as_2"], abs=1e-6)
            judges += 1
    assert judges == 130


@pytest.mark.parametrize("model", ["gpt4", "llama2orig"])
def test_the_annotators_and_judges_of_xstest(model: str) -> None:
    figures = expected("xstest")["models"][model]
    rows = csv_rows(folder("xstest") / f"completions_{model}.csv.gz")

    def column(name: str, refusal: bool = False) -> list[Any]:
        return [row[name] != "1_full_compliance" if refusal else row[name] for row in rows]

    people = (column("annotation_1"), column("annotation_2"))
    assert round(of(cohen_kappa(*people)).value, 6) == figures["annotators"]["cohen_kappa"]
    alpha = krippendorff_alpha(list(zip(*people, strict=True)))
    assert round(of(alpha).value, 6) == figures["annotators"]["krippendorff_alpha_nominal"]
    for judge in ("gpt4_label", "string_match_label"):
        classes = cohen_kappa(column(judge), column("final_label"))
        assert round(of(classes).value, 6) == figures[judge]["cohen_kappa_3_classes"]
        refusals = cohen_kappa(column(judge, refusal=True), column("final_label", refusal=True))
        assert round(of(refusals).value, 6) == figures[judge]["refusal_vs_compliance"]["cohen_kappa"]


def test_the_raters_of_dialogue_satisfaction() -> None:
    figures = expected("dialogue_satisfaction")["krippendorff_alpha"]
    dialogues = json_lines(folder("dialogue_satisfaction") / "dialogues.jsonl.gz")
    most = max(len(dialogue["ratings"]) for dialogue in dialogues)
    for scale, levels in figures.items():
        given = [[rating[scale] for rating in dialogue["ratings"]] for dialogue in dialogues]
        table = [row + [None] * (most - len(row)) for row in given]
        found = {level: round(of(krippendorff_alpha(table, level=level)).value, 6) for level in levels}
        assert found == levels


def test_the_annotators_of_change_points() -> None:
    import gzip
    import json

    figures = expected("changepoints")
    with gzip.open(folder("changepoints") / "series.json.gz", "rt", encoding="utf-8") as text:
        series = json.load(text)
    for name, wanted in figures.items():
        marks, n = series[name]["annotations"], series[name]["n_obs"]
        others = {who: [points for other, points in marks.items() if other != who] for who in marks}
        f1 = {who: round(margin_f1(others[who], marks[who]), 6) for who in marks}
        covered = {who: round(covering(others[who], marks[who], n=n), 6) for who in marks}
        assert (f1, covered) == (wanted["f1_each_against_others"], wanted["covering_each_against_others"])
        assert round(margin_f1(list(marks.values()), []), 6) == wanted["f1_of_marking_nothing"]
        assert round(covering(list(marks.values()), [], n=n), 6) == wanted["covering_of_marking_nothing"]


def test_change_points_outside_the_series_are_refused() -> None:
    with pytest.raises(ValueError, match="between 0 and 99"):
        covering([[50]], [100], n=100)
    with pytest.raises(ValueError, match="nobody"):
        margin_f1([], [3])
