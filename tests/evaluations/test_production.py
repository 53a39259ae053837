"""What the overview and the spending say of the sample traffic, held against the truth written beside it."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from evaluations.facts import NOTHING, ByDay, Facts, total
from evaluations.histograms import of_latencies
from evaluations.production import Freshness, HourOfWeek, Overview, Users, Window, overview_of, spending_of
from evaluations.sample_traffic import sample_traffic

FIRST, DAYS = date(2026, 5, 1), 30
LAST = FIRST + timedelta(days=DAYS - 1)
PRICES = {"gpt-4o": Decimal("0.0000025"), "gpt-4o-mini": Decimal("0.00000015"), "claude-haiku-4-5": Decimal("0.000001")}
"""Dollars a token of a prompt: enough of a price for a trend."""
NOBODY = Users(first=FIRST, last=LAST, heaviest=(), certain=True, known=0.0, unnamed=0, by_feature={})


def facts_of(requests: list[Mapping[str, Any]]) -> Facts:
    """Facts reckoned from requests one by one, past the store."""
    price = PRICES.get(requests[0]["model"])
    tokens = sum(each["input_tokens"] + each["cached_tokens"] for each in requests)
    judged = [Decimal(str(each["quality"])) for each in requests if each["quality"] is not None]
    return Facts(
        requests=len(requests),
        successes=sum(each["status"] == "success" for each in requests),
        errors=sum(each["status"] == "error" for each in requests),
        priced=0 if price is None else len(requests),
        unpriced=len(requests) if price is None else 0,
        cost=None if price is None else price * tokens,
        prompt_tokens=tokens,
        cached_tokens=sum(each["cached_tokens"] for each in requests),
        reply_tokens=sum(each["output_tokens"] for each in requests),
        latencies=of_latencies([each["latency_ms"] for each in requests]).encoded(),
        quality_n=len(judged),
        quality_sum=sum(judged, Decimal(0)),
    )


@pytest.fixture(scope="module")
def window() -> Window:
    grouped: dict[tuple[tuple[str | None, ...], date], list[Mapping[str, Any]]] = {}
    for each in sample_traffic(FIRST, days=DAYS).requests:
        names = (each["feature"], each["model"], each["provider"])
        grouped.setdefault((names, datetime.fromisoformat(each["at"]).date()), []).append(each)
    facts = {key: facts_of(requests) for key, requests in grouped.items()}
    return a_window(facts)


def a_window(facts: ByDay, **given: Any) -> Window:
    days = sorted({day for _, day in facts})
    fresh = Freshness(
        known_from=days[0],
        known_to=days[-1],
        rolled_at=datetime(2026, 6, 1, tzinfo=UTC),
        rolled=dict.fromkeys(days, True),
        waiting=0,
        sample="none",
    )
    made = Window(
        first=FIRST, last=LAST, timezone="UTC", facts=facts, months={}, restatements=(), freshness=fresh
    )  # fmt: skip
    return replace(made, **given)


@pytest.fixture(scope="module")
def overview(window: Window) -> Overview:
    return overview_of(window)


def test_the_overview_finds_the_troubles_of_the_sample_traffic_and_their_size(overview: Overview) -> None:
    states = {each.feature: (each.state, each.worse) for each in overview.features}
    assert states == {
        "chatbot": ("steady", ()),
        "ai-search": ("steady", ()),
        "summaries": ("worse", ("quality",)),
        "photo-tagging": ("worse", ("latency",)),
    }
    by_name = {each.feature: each for each in overview.features}
    drop = by_name["summaries"].trends["quality"].change
    assert drop is not None
    assert drop.low <= -0.15 <= drop.high
    drift = by_name["photo-tagging"].trends["latency"].change
    assert drift is not None
    # 4 % a day since the 16th: days 9 to 15 of the drift against days before it and its first ones.
    assert drift.low <= 1.04**11.5 - 1 <= drift.high


def test_the_cost_spike_stands_out_on_its_day_and_no_other_day_does(overview: Overview) -> None:
    assert [(peak.feature, peak.measure, peak.day.day) for peak in overview.peaks] == [
        ("ai-search", "cost", date(2026, 5, 13))
    ]


def test_a_feature_that_is_new_or_silent_is_said_to_be(window: Window) -> None:
    some = Facts(requests=10, successes=10, latencies=of_latencies([100.0]).encoded())
    facts: ByDay = {
        (("new", "m", "p"), LAST): some,
        (("silent", "m", "p"), LAST - timedelta(days=10)): some,
    }
    found = overview_of(a_window({**window.facts, **facts}))
    assert {each.feature: each.state for each in found.features if each.feature in ("new", "silent")} == {
        "new": "new",
        "silent": "silent",
    }


def test_shares_of_what_is_priced_sum_to_one_and_every_request_is_in_a_group(window: Window) -> None:
    spending = spending_of(window, (), NOBODY)
    for groups in spending.groups.values():
        assert sum(group.share or 0.0 for group in groups) == pytest.approx(1)
        assert sum(group.facts.requests for group in groups) == spending.total.requests
        assert [group.facts.cost or 0 for group in groups] == sorted(
            (group.facts.cost or 0 for group in groups), reverse=True
        )
    assert sum((part.facts.cost or 0 for part in spending.weekly), Decimal(0)) == spending.total.cost
    assert [part.whole for part in spending.weekly] == [False, True, True, True, False]
    assert spending.weekly[1].change is None, "the week before is not whole"
    before, after = spending.weekly[1].facts.cost, spending.weekly[2].facts.cost
    assert before is not None
    assert after is not None
    assert spending.weekly[2].change == pytest.approx(float(after / before) - 1)


def test_the_busiest_hour_is_that_with_the_most_requests_an_hour_and_not_in_all() -> None:
    """Five Fridays and four Tuesdays lie in the window: in all, the Friday would win."""
    hours = (
        HourOfWeek(weekday=1, hour=10, requests=440, cost=None),
        HourOfWeek(weekday=4, hour=14, requests=500, cost=None),
    )
    some: ByDay = {(("a", "m", "p"), FIRST): NOTHING, (("a", "m", "p"), LAST): NOTHING}
    spending = spending_of(a_window(some), hours, NOBODY)
    assert spending.load == {(1, 10): 110.0, (4, 14): 100.0}
    assert spending.busiest == (1, 10)


def test_facts_add_up_and_what_is_unknown_stays_unknown() -> None:
    assert total([]) == NOTHING
    assert total([NOTHING, NOTHING]).cost is None
    unpriced = Facts(requests=2, successes=2, unpriced=2)
    priced = Facts(requests=1, successes=1, priced=1, cost=Decimal(3), whole_cost=Decimal(3), whole_successes=1)
    both = total([unpriced, priced])
    assert both.cost == 3
    # Not a third of it: nobody knows what the other two cost.
    assert both.cost_per_success == both.cost_per_request == 3
    for unknown in (NOTHING.error_rate, NOTHING.quality, NOTHING.cached_share, NOTHING.cost_per_request):
        assert unknown is None
    assert NOTHING.latency(0.95) is None
    assert NOTHING.cost_per_success is None
