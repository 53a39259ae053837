"""The health of what is live: the rules, and intervals against an independent source."""

from datetime import UTC, datetime

import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from evaluations.arms import UnitSums
from evaluations.deployment_health import (
    Delivered,
    DeploymentHealth,
    FlagsState,
    Health,
    HealthCheck,
    Uptime,
    flags_check,
    measured_checks,
)
from evaluations.watching import GUARDS, Guard

AT = datetime(2026, 6, 28, 9, tzinfo=UTC)
ERRORS, QUALITY, LATENCY = GUARDS


def shares(errors: int, units: int) -> UnitSums:
    """Units with one request each."""
    return UnitSums(units=units, x=errors, y=units, xx=errors, yy=units, xy=errors)


def values(mean: float, units: int, spread: float = 0.1, seed: int = 3) -> UnitSums:
    drawn = np.random.default_rng(seed).normal(mean, spread, units)
    drawn += mean - drawn.mean()
    return UnitSums(
        units=units, x=float(drawn.sum()), y=units, xx=float((drawn**2).sum()), yy=units, xy=float(drawn.sum())
    )


def judged(guard: Guard, now: UnitSums, before: UnitSums) -> HealthCheck:
    [check] = measured_checks([guard], {guard.metric: now}, {guard.metric: before})
    return check


@pytest.mark.parametrize(
    ("guard", "now", "before", "health", "says"),
    [
        (ERRORS, shares(10, 1000), shares(11, 1000), "healthy", "−0.1 pts"),
        (ERRORS, shares(150, 1000), shares(10, 1000), "critical", "beyond its limit of 10.0%"),
        (ERRORS, shares(13, 120), shares(1, 120), "warning", "beyond its limit of 10.0%, if not provenly"),
        (ERRORS, shares(60, 1000), shares(10, 1000), "warning", "worse by more than 1.0 pts"),
        (ERRORS, shares(14, 1000), shares(10, 1000), "healthy", "+0.4 pts"),
        (ERRORS, shares(9, 99), shares(1, 1000), "not enough data", "99 of the 100 units"),
        (ERRORS, shares(1, 100), shares(1, 99), "healthy", "too few requests before to compare"),
        (QUALITY, values(0.70, 500), values(0.88, 500), "warning", "worse by more than 2.0 pts"),
        (QUALITY, values(0.88, 500), values(0.70, 500), "healthy", "+18.0 pts"),
        (LATENCY, values(1500, 500, 200), values(1000, 500, 200), "warning", "worse by more than 20.0%"),
        (LATENCY, values(1100, 500, 200), values(1000, 500, 200), "healthy", "+100 ms"),
    ],
)  # fmt: skip
def test_a_metric_is_judged_by_its_limit_and_by_the_time_before(
    guard: Guard, now: UnitSums, before: UnitSums, health: Health, says: str
) -> None:
    found = judged(guard, now, before)
    assert found.health == health
    assert says in found.says


def test_a_guard_whose_limit_is_a_floor_looks_the_other_way() -> None:
    floor = Guard(metric="quality", tolerated=0.02, limit=0.80)
    assert judged(floor, values(0.70, 500), values(0.70, 500)).health == "critical"
    assert judged(floor, values(0.90, 500), values(0.90, 500)).health == "healthy"


def test_the_interval_of_a_share_is_wilsons() -> None:
    found = judged(ERRORS, shares(13, 412), shares(5, 400))
    low, high = proportion_confint(13, 412, method="wilson")
    assert found.now is not None
    assert [found.now.low, found.now.high] == pytest.approx([low, high])
    assert found.now.n == 412


def test_the_interval_of_a_change_is_welchs() -> None:
    from scipy import stats

    rng = np.random.default_rng(5)
    now, before = rng.normal(0.8, 0.1, 400), rng.normal(0.85, 0.12, 300)
    sums = [
        UnitSums(
            units=each.size, x=float(each.sum()), y=each.size, xx=float((each**2).sum()), yy=each.size,
            xy=float(each.sum()),
        )
        for each in (now, before)
    ]  # fmt: skip
    found = judged(QUALITY, *sums)
    wanted = stats.ttest_ind(now, before, equal_var=False).confidence_interval(0.95)
    assert found.change is not None
    assert found.change.low == pytest.approx(wanted.low, rel=1e-6)
    assert found.change.high == pytest.approx(wanted.high, rel=1e-6)


@pytest.mark.parametrize(
    ("given", "health", "says"),
    [
        ({}, "healthy", "is what the database says"),
        ({"there": False, "current": False}, "critical", "is missing"),
        ({"current": False}, "warning", "is not what the database says"),
        ({"deliveries": (Delivered("put", False, "HTTP 503", False, AT),)}, "warning", "not delivered: put (HTTP 503)"),
        ({"deliveries": (Delivered("put", True, "HTTP 200", True, AT),)}, "healthy", "is what the database says"),
    ],
)
def test_what_was_published_is_part_of_health(given: dict[str, object], health: Health, says: str) -> None:
    state = {"environment": "production", "file": "production.json", "there": True, "current": True, **given}
    found = flags_check(FlagsState(**state))  # type: ignore[arg-type]
    assert found.health == health
    assert says in found.says


def a_health(*checks: HealthCheck) -> DeploymentHealth:
    return DeploymentHealth(
        feature="chatbot", environment="production", deployment="6f1c2d3e", since=AT, looked_from=AT, until=AT,
        requests=0, uptime=Uptime(0, 0), checks=checks, last_request=None, sample_data=False,
    )  # fmt: skip


def test_the_worst_check_is_the_health_and_silence_is_no_health() -> None:
    few, fine = judged(QUALITY, values(0.8, 9), values(0.8, 500)), judged(ERRORS, shares(1, 1000), shares(1, 1000))
    bad = judged(ERRORS, shares(200, 1000), shares(1, 1000))
    current = flags_check(FlagsState(environment="p", file="p.json", there=True, current=True))
    gone = flags_check(FlagsState(environment="p", file="p.json", there=False, current=False))
    assert a_health(few, current).health == "not enough data"
    assert a_health(few, gone).health == "critical"
    assert a_health(few, fine, current).health == "healthy"
    assert a_health(fine, bad, current).health == "critical"
    assert "no five-minute slot had requests" in str(a_health(few, current))
