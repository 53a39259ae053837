"""Rates of performance: each with what it was counted over, none made up where nothing is known."""

import doctest
from decimal import Decimal

from evaluations import performance
from evaluations.histograms import of_latencies
from evaluations.performance import PerformanceLine, Performed, performance_lines


def test_what_is_not_known_is_no_rate() -> None:
    nothing = Performed(requests=3, usage_unknown=3, unpriced=3)
    assert nothing.error_share is None
    assert nothing.latency(0.95) is None
    assert (nothing.cost_per_request, nothing.cost_per_success) == (None, None)
    assert (nothing.tokens_per_request, nothing.cached_share, nothing.cache_hit_share) == (None, None, None)


def test_rates_leave_out_what_did_not_say() -> None:
    some = Performed(
        requests=10,
        successes=6,
        errors=2,
        usage_unknown=5,
        prompt_tokens=400,
        cached_tokens=100,
        reply_tokens=100,
        cache_hits=1,
        cache_known=4,
        priced=8,
        unpriced=2,
        cost=Decimal("0.6"),
    )
    assert some.error_share is not None
    assert (some.error_share.value, some.error_share.n) == (0.25, 8)
    assert some.cache_hit_share is not None
    assert (some.cache_hit_share.value, some.cache_hit_share.n) == (0.25, 4)
    assert (some.cost_per_request, some.cost_per_success) == (Decimal("0.075"), Decimal("0.1"))
    assert (some.tokens_per_request, some.cached_share) == (100.0, 0.25)


def test_a_change_of_latency_needs_both_windows() -> None:
    slow, fast = (Performed(requests=9, latencies=of_latencies([each] * 9)) for each in (300.0, 200.0))
    line = PerformanceLine(names=("chatbot",), now=slow, before=fast)
    assert line.latency_change(0.5) is not None
    assert round(line.latency_change(0.5) or 0, 1) == 0.5
    assert PerformanceLine(names=(), now=slow, before=None).latency_change(0.5) is None
    assert PerformanceLine(names=(), now=slow, before=Performed()).latency_change(0.5) is None


def test_groups_with_the_most_requests_come_first() -> None:
    lines = performance_lines(
        {("a",): Performed(requests=1), (None,): Performed(requests=5)}, {("b",): Performed(requests=9)}
    )
    assert [line.names for line in lines] == [(None,), ("a",), ("b",)]
    assert [line.before for line in lines] == [Performed(), Performed(), Performed(requests=9)]


def test_the_examples_say_what_happens() -> None:
    assert doctest.testmod(performance) == (0, 1)
