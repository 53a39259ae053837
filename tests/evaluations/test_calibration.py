"""A/A calibration: false alarms are counted, and too many of them are not let through."""

import numpy as np
import pytest

from evaluations.calibration import ANY_TIME, FIXED, PLANNED, FalseAlarms, calibrate
from evaluations.errors import AssayError
from tasks.calibrating import Calibrated, NotCalibrated, told


def heavy_users(units: int) -> tuple[np.ndarray, np.ndarray]:
    """Latencies of users with one to many requests each: what a mean over requests would get wrong."""
    random = np.random.default_rng(8)
    y = random.poisson(3, units) + 1.0
    return y * random.lognormal(0, 0.8, units), y


def test_every_method_keeps_its_promise_on_shuffled_labels() -> None:
    found = {each.method: each for each in calibrate(*heavy_users(2000), np.random.default_rng(1), shuffles=1000)}
    assert set(found) == {FIXED, ANY_TIME, PLANNED}
    assert all(each.held for each in found.values()), found
    # A single look and planned ones spend their alpha; looking at any time is paid for by calling less.
    assert found[FIXED].rate == pytest.approx(0.05, abs=0.02)
    assert found[PLANNED].rate == pytest.approx(0.05, abs=0.02)
    assert found[ANY_TIME].rate < 0.03


def test_a_method_that_looks_twenty_times_at_a_single_looks_level_would_be_caught() -> None:
    """The limit is tight enough to see what peeking costs."""
    [limit] = {each.limit for each in calibrate(*heavy_users(500), np.random.default_rng(1), shuffles=2000)}
    peeking = 0.25
    assert 0.05 < limit < 0.07 < peeking


@pytest.mark.parametrize(("x", "said"), [(np.arange(50.0), "too few"), (np.ones(500), "the same value")])
def test_what_cannot_be_calibrated_on_says_why(x: np.ndarray, said: str) -> None:
    with pytest.raises(AssayError, match=said):
        calibrate(x, np.ones(x.size), np.random.default_rng(1))


def alarms(count: int) -> Calibrated:
    return Calibrated(
        "chatbot",
        "latency_ms",
        FalseAlarms(method=FIXED, alpha=0.05, looks=1, units=2000, shuffles=2000, alarms=count, limit=0.0615),
    )


def test_too_many_false_alarms_fail_by_name() -> None:
    assert told([alarms(100)]).startswith("every method held on 1 metric: at most 5.0% false alarms")
    with pytest.raises(NotCalibrated, match=r"fixed on latency_ms of chatbot: 9\.0% false alarms in 2,000 shuffles"):
        told([alarms(100), alarms(180)])
