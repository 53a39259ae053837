"""Length-controlled win rates against statsmodels, simulated judges whose taste is known, and recorded judgements."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit

from evaluations.statistics.length_bias import LengthControlled, length_controlled
from evaluations.statistics.outcomes import Undetermined
from tests.evaluations.statistics.references import folder, json_lines

Floats = NDArray[np.float64]


def judged(rng: np.random.Generator, n: int, *, better: float, taste: float, longer: float) -> tuple[Floats, Floats]:
    """Preferences and length differences of a judge with a known taste for length."""
    more = rng.normal(longer, 150, n)
    return (rng.random(n) < expit(better + taste * np.tanh(more / more.std()))).astype(float), more


def control(wins: Floats, more: Floats, **given: Any) -> LengthControlled:
    found = length_controlled(wins, 400 + more, np.full(more.size, 400.0), **given)
    assert isinstance(found, LengthControlled)
    return found


def test_the_regression_and_its_errors_are_those_of_statsmodels() -> None:
    import statsmodels.api as sm

    rng = np.random.default_rng(1)
    wins, more = judged(rng, 400, better=0.3, taste=0.8, longer=60)
    wins[:40] = 0.5  # ties
    groups = np.repeat(np.arange(100), 4)
    x = sm.add_constant(np.tanh(more / more.std()))
    for clusters in (None, groups.tolist()):
        found = control(wins, more, clusters=clusters)
        each = np.arange(400) if clusters is None else groups
        fitted = sm.GLM(wins, x, family=sm.families.Binomial()).fit(
            cov_type="cluster", cov_kwds={"groups": each}, tol=1e-12
        )
        # statsmodels multiplies the covariance by another small-sample factor.
        units = len(set(each.tolist()))
        factor = np.sqrt((400 - 2) / (400 - 1))
        half = 1.959964 * float(fitted.bse[1]) * factor
        assert found.slope.value == pytest.approx(float(fitted.params[1]), abs=1e-8)
        assert found.controlled.value == pytest.approx(float(expit(fitted.params[0])), abs=1e-8)
        assert (found.slope.high - found.slope.low) / 2 == pytest.approx(half, rel=1e-3)
        assert found.slope.n == units


def held(runs: int, seed: int) -> tuple[float, float, float]:
    """How often the interval holds the rate at equal length; mean error of the controlled and of the raw rate."""
    rng, hits, off, raw = np.random.default_rng(seed), 0, 0.0, 0.0
    for _ in range(runs):
        wins, more = judged(rng, 300, better=0.2, taste=1.0, longer=80)
        found, truth = control(wins, more), float(expit(0.2))
        hits += found.controlled.low <= truth <= found.controlled.high
        off += found.controlled.value - truth
        raw += found.raw.value - truth
    return hits / runs, off / runs, raw / runs


def test_a_simulated_judges_taste_for_length_is_taken_out() -> None:
    coverage, off, raw = held(300, seed=2)
    assert coverage > 0.95 - 2.33 * (0.05 * 0.95 / 300) ** 0.5
    assert abs(off) < 0.006
    assert raw > 0.06  # as observed the rate is seven points too high


@pytest.mark.slow
def test_a_simulated_judges_taste_for_length_is_taken_out_in_many_runs() -> None:
    coverage, off, raw = held(6_000, seed=3)
    print(f"\nat equal length: covers {coverage:.1%}, off by {off:+.4f}, raw by {raw:+.4f}")
    assert coverage > 0.95 - 2.33 * (0.05 * 0.95 / 6_000) ** 0.5


def test_a_judge_without_a_taste_for_length_leaves_the_rate_as_it_is() -> None:
    rng = np.random.default_rng(4)
    wins, more = judged(rng, 3_000, better=0.4, taste=0.0, longer=100)
    found = control(wins, more)
    assert found.controlled.value == pytest.approx(found.raw.value, abs=0.02)
    assert found.p > 0.05
    assert found.reliable


def test_recorded_preferences_of_people_and_of_a_judge_have_a_slope_and_a_rate_at_equal_length() -> None:
    import statsmodels.api as sm

    items = json_lines(folder("pandalm") / "testset.jsonl.gz")
    words = {row["idx"]: str(row["verdict"]) for row in json_lines(folder("pandalm") / "judge_gpt-3.5-turbo.jsonl.gz")}
    grade = {1: 1.0, 2: 0.0, 0: 0.5}
    people = [grade[Counter([item[f"annotator{i}"] for i in (1, 2, 3)]).most_common(1)[0][0]] for item in items]
    judge = [{"1": 1.0, "2": 0.0, "Tie": 0.5, "0": 0.5}.get(words[item["idx"]].strip(), np.nan) for item in items]
    first, second = ([float(len(str(item[f"response{i}"]))) for item in items] for i in (1, 2))
    more = np.array(first) - np.array(second)
    for preferences, n in ((people, 999), (judge, 974)):  # 25 verdicts of the judge could not be read
        found = length_controlled(preferences, first, second)
        assert isinstance(found, LengthControlled)
        assert found.controlled.n == n
        known = ~np.isnan(preferences)
        x = sm.add_constant(np.tanh(more[known] / more[known].std()))
        fitted = sm.GLM(np.array(preferences)[known], x, family=sm.families.Binomial()).fit(tol=1e-12)
        assert (found.controlled.value, found.slope.value) == pytest.approx(
            (float(expit(fitted.params[0])), float(fitted.params[1])), abs=1e-7
        )
        assert found.slope.low > 0, "longer answers are preferred"


def test_data_that_know_no_rate_at_equal_length_say_so() -> None:
    n = 60
    more = np.linspace(-100, 100, n)
    reasons = [
        length_controlled([], [], []),
        length_controlled(np.ones(n), np.full(n, 5.0), np.full(n, 4.0)),
        length_controlled((more > 0).astype(float), 200 + more, np.full(n, 200.0)),
        length_controlled(np.ones(n), 200 + more, np.full(n, 200.0)),
    ]
    assert [each.reason for each in reasons if isinstance(each, Undetermined)] == [
        "empty",
        "no spread",
        "no spread",
        "no spread",
    ]
    few = length_controlled([1, 0, 1, 0, 1, 0.5], [5, 6, 4, 3, 9, 5], [4, 4, 5, 2, 9, 8])
    assert isinstance(few, LengthControlled)
    assert not few.reliable
    with pytest.raises(ValueError, match="a preference lies in"):
        length_controlled([2.0], [1], [2])
    with pytest.raises(ValueError, match="two lengths"):
        length_controlled([1.0], [1], [2, 3])
