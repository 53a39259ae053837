"""Availability: uptime with its interval, and circuits in words."""

from datetime import UTC, datetime, timedelta

import pytest
from statsmodels.stats.proportion import proportion_confint

from evaluations.availability import Outcome, circuit_of, health_of, uptime

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


def outcomes(*errors: str | None, every: timedelta = timedelta(minutes=5), probe: bool = True) -> list[Outcome]:
    """The newest last, five minutes apart, the last one a minute ago."""
    first = NOW - timedelta(minutes=1) - every * (len(errors) - 1)
    return [
        Outcome(at=first + every * n, error=error, latency_ms=None if error else 100.0 + n, probe=probe)
        for n, error in enumerate(errors)
    ]


def test_uptime_is_the_share_of_probes_that_were_answered_with_wilsons_interval() -> None:
    found = uptime(outcomes(*(None,) * 190, *("timeout",) * 6, *("connection",) * 4, every=timedelta(minutes=15)), NOW)
    assert found is not None
    low, high = proportion_confint(190, 200, method="wilson")
    assert (found.value, found.n) == (0.95, 200)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-12)


def test_a_refused_key_is_no_downtime_and_old_or_foreign_outcomes_do_not_count() -> None:
    refused = uptime(outcomes("auth", "rate_limited", None), NOW)
    assert refused is not None
    assert refused.value == 1.0
    old = [Outcome(at=NOW - timedelta(days=31), error="timeout")]
    calls = outcomes("timeout", probe=False)
    assert uptime([*old, *calls], NOW) is None


@pytest.mark.parametrize(
    ("errors", "state"),
    [
        ((None, None), "closed"),
        (("timeout", "timeout", None), "closed"),
        ((None, "timeout", "server_error"), "closed"),
        ((None, "timeout", "server_error", "connection"), "open"),
        (("timeout", "server_error", "connection", None), "half open"),
        (("timeout", "server_error", "connection", None, None), "closed"),
        (("bad_request", "auth", "content_filter"), "closed"),
        ((), "unknown"),
    ],
)
def test_a_circuit_is_told_from_the_last_outcomes(errors: tuple[str | None, ...], state: str) -> None:
    assert circuit_of(outcomes(*errors), NOW).state == state


def test_what_was_heard_yesterday_says_nothing_of_now() -> None:
    yesterday = [Outcome(at=NOW - timedelta(days=1), error=None, latency_ms=80.0)]
    found = health_of("openai", True, yesterday, NOW)
    assert (found.availability, found.circuit.state) == ("unknown", "unknown")
    assert found.uptime is not None
    assert found.uptime.value == 1.0


def test_availability_is_no_life_cycle_and_no_key() -> None:
    assert health_of("openai", True, outcomes(None), NOW).availability == "available"
    assert health_of("openai", True, outcomes(None, "rate_limited"), NOW).availability == "busy"
    assert health_of("openai", True, outcomes("timeout", "timeout", "timeout"), NOW).availability == "unavailable"
    assert health_of("openai", False, outcomes(None), NOW).availability == "unknown"
    assert health_of("openai", True, outcomes(None, None, None), NOW).response_ms == 101.0
