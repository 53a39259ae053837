"""Watching a canary: what is proven harm, what is not, and how often the watch is wrong."""

from typing import Any

import numpy as np
import pytest
from scipy.stats import beta

from evaluations.arms import UnitSums
from evaluations.errors import AssayError
from evaluations.statistics.sequential import any_time_share, any_time_share_bounds
from evaluations.watching import GUARDS, Guard, Sums, Watched, harm, watch
from tests.evaluations.watch_worlds import Arm, watched

ERRORS, QUALITY, LATENCY = GUARDS


def shares(units: int, ones: int) -> UnitSums:
    """Units with one request each, of which some are 1."""
    return UnitSums(units=units, x=ones, y=units, xx=ones, yy=units, xy=ones)


def times(units: int, mean: float, deviation: float = 100.0) -> UnitSums:
    squares = units * (mean**2 + deviation**2)
    return UnitSums(units=units, x=units * mean, y=units, xx=squares, yy=units, xy=units * mean)


def seen(
    errors: tuple[UnitSums, UnitSums] = (shares(500, 5), shares(4500, 45)),
    quality: tuple[UnitSums, UnitSums] = (shares(500, 400), shares(4500, 3600)),
    latency: tuple[UnitSums, UnitSums] = (times(500, 400), times(4500, 400)),
    units: tuple[int, int] = (500, 4500),
    **given: Any,
) -> Watched:
    both = {"error_rate": errors, "quality": quality, "latency_ms": latency}
    canary, control = ({name: pair[place] for name, pair in both.items()} for place in (0, 1))
    return watch(GUARDS, canary, control, alpha=0.05, windows=3, units=units, least_units=100, **given)


def test_a_canary_like_its_control_is_fine() -> None:
    found = seen()
    assert found.verdict == "fine"
    assert found.sentence.startswith(
        "No harm is proven: error rate 1.0%, n = 500; control 1.0%, n = 4,500; quality 80.0%"
    )


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"errors": (shares(500, 60), shares(4500, 45))}, "error rate 12.0%, n = 500; control 1.0%"),
        ({"quality": (shares(500, 310), shares(4500, 3600))}, "quality 62.0%, n = 500; control 80.0%"),
        ({"latency": (times(500, 600), times(4500, 400))}, "latency 600 ms, n = 500; control 400 ms"),
    ],
)
def test_what_harms_goes_back_and_the_reason_has_both_arms(given: Any, says: str) -> None:
    found = seen(**given)
    assert found.verdict == "roll_back"
    assert says in found.sentence
    assert "worse by at least" in found.sentence


def test_better_is_never_harm() -> None:
    found = seen(
        errors=(shares(500, 0), shares(4500, 450)),
        quality=(shares(500, 499), shares(4500, 2700)),
        latency=(times(500, 200), times(4500, 400)),
    )
    assert found.verdict == "fine"


def test_a_limit_counts_whatever_the_control_does() -> None:
    """A provider's bad hour: both arms err alike, and still the canary is taken out of it."""
    found = seen(errors=(shares(500, 110), shares(4500, 990)))
    assert found.verdict == "roll_back"
    assert "beyond its limit of 10.0%" in found.sentence


def test_few_units_prove_nothing_but_a_disaster_does() -> None:
    latency, quality = (times(40, 400), times(360, 400)), (shares(40, 32), shares(360, 288))
    for errors, verdict in ((0, "too_few"), (20, "roll_back")):
        both = (shares(40, errors), shares(360, 3))
        assert seen(errors=both, latency=latency, quality=quality, units=(40, 360)).verdict == verdict


def test_a_broken_split_holds_a_canary_and_does_not_save_it() -> None:
    assert seen(split_is_broken="30.0% of the units are in the canary").verdict == "held"
    harmed = seen(errors=(shares(500, 60), shares(4500, 45)), split_is_broken="30.0% of the units are in the canary")
    assert harmed.verdict == "roll_back"


def test_users_with_many_requests_are_one_unit_each() -> None:
    """Ten users with a hundred errors each are ten users, not a thousand: no harm is proven by them."""
    one = UnitSums(units=110, x=1000, y=11_000, xx=100_000, yy=1_100_000, xy=100_000)
    other = UnitSums(units=990, x=990, y=99_000, xx=990, yy=9_900_000, xy=99_000)
    assert seen(errors=(one, other)).verdict == "fine"


def test_what_is_not_measured_is_said_to_be_so() -> None:
    nothing = UnitSums(units=0, x=0, y=0, xx=0, yy=0, xy=0)
    found = seen(quality=(nothing, nothing))
    assert found.verdict == "fine"
    assert next(each for each in found.readings if each.guard is QUALITY).canary is None


@pytest.mark.parametrize(
    "given",
    [{"metric": "charm", "tolerated": 0.1}, {"metric": "pass_rate", "tolerated": 0.1},
     {"metric": "quality", "tolerated": -0.1}, {"metric": "quality", "tolerated": float("nan")}],
)  # fmt: skip
def test_a_guard_that_cannot_be_watched_is_refused(given: Any) -> None:
    with pytest.raises(AssayError):
        Guard(**given)


def test_bounds_of_many_streams_are_those_of_each() -> None:
    hits, sizes = np.array([0, 3, 55, 60, 1, 0, 999]), np.array([10, 10, 60, 60, 1000, 0, 1000])
    low, high = any_time_share_bounds(hits, sizes, confidence=0.99)
    for place in (0, 1, 2, 3, 4, 6):
        one = any_time_share(int(hits[place]), int(sizes[place]), confidence=0.99)
        assert (low[place], high[place]) == (pytest.approx(one.low, abs=1e-6), pytest.approx(one.high, abs=1e-6))
    assert (low[5], high[5]) == (0.0, 1.0)
    with pytest.raises(ValueError, match="0 <= successes <= n"):
        any_time_share_bounds([2], [1])


def test_the_exact_bound_is_wider_than_that_of_a_single_look() -> None:
    """Clopper and Pearson's, which holds at one look alone: an independent lower edge for what holds at all."""
    found = harm(ERRORS, Sums.of(shares(500, 60)), Sums.of(shares(4500, 45)), 0.01)
    one_look = beta.ppf(0.0025, 60, 441) - beta.ppf(1 - 0.0025, 46, 4455)
    assert 0 < found.at_least[0] < one_look


# How often it is wrong, and how soon it is right: short forms; the numbers of docs/deployments.md are of the slow ones.


def test_harmless_canaries_stay_for_a_day_of_looks() -> None:
    ended = watched(np.random.default_rng(11), 60, canary=Arm(), control=Arm(), percent=10, a_look=20)
    assert ended.rate <= 0.05


@pytest.mark.parametrize("worse", [{"quality": 0.65}, {"errors": 0.10}])
def test_harm_goes_back_within_the_stated_number_of_requests(worse: Any) -> None:
    ended = watched(np.random.default_rng(12), 100, canary=Arm(**worse), control=Arm(), percent=10, a_look=20)
    assert ended.rate == 1.0
    assert ended.within(0.9) <= 4500


@pytest.mark.slow
@pytest.mark.parametrize("percent", [10, 50])
def test_false_rollbacks_of_a_day_of_looks_are_at_most_alpha_slow(percent: int) -> None:
    """Against a share of alpha for a window, upper 99 % bound; harm just tolerated is the hardest innocent case."""
    for number, canary in enumerate((Arm(), Arm(errors=0.02, quality=0.78, latency=480))):
        generator = np.random.default_rng(100 * percent + number)
        ended = watched(generator, 2_000, canary=canary, control=Arm(), percent=percent, a_look=35)
        wrong = int(ended.rolled_back.sum())
        upper = beta.ppf(0.99, wrong + 1, 2_000 - wrong)
        assert upper <= 0.05 / 3, (percent, canary, wrong)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("worse", "percent", "requests"),
    [({"quality": 0.65}, 10, 6000), ({"errors": 0.10}, 10, 6000), ({"quality": 0.65}, 50, 2500),
     ({"errors": 0.10}, 50, 2500)],
)  # fmt: skip
def test_harm_goes_back_within_the_stated_number_of_requests_slow(worse: Any, percent: int, requests: int) -> None:
    generator = np.random.default_rng(percent)
    ended = watched(generator, 2_000, canary=Arm(**worse), control=Arm(), percent=percent, a_look=35)
    assert ended.rate == 1.0
    assert ended.within(0.99) <= requests
