"""What a cache could have had, told from what it had: against the truth of the sample traffic, priced by hand."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from evaluations.pricing import PriceBook, Prices, TokenClass, costs
from evaluations.recommending.answers import FeatureAnswer, Standing, StoredRecommendation
from evaluations.recommending.cache_reads import LEAST_READS, MEMORY, SHORT_MEMORY, Billed, as_cacheable
from evaluations.recommending.caching import recommend_caching
from evaluations.recommending.evidence import Workload
from evaluations.recommending.recommendation import Recommendation
from evaluations.roi import DAYS_A_MONTH
from evaluations.sample_traffic import PROFILES, sample_traffic
from tasks.prices import rows_of_map

PER_MILLION: dict[str, dict[TokenClass, str]] = {
    "chatbot": {"input": "2.50", "cached": "1.25", "output": "10"},
    "summaries": {"input": "1.00", "cached": "0.10", "output": "5"},
}
"""US dollars; without a price of writing, so that the truth is a product of four numbers."""
LISTED = PriceBook(rows_of_map())
MORNING = datetime(2026, 5, 4, 9, tzinfo=UTC)


def prices(feature: str) -> Prices:
    return Prices(
        model=feature,
        on=date(2026, 5, 1),
        by_class={name: ((-1, Decimal(usd) / 1_000_000),) for name, usd in PER_MILLION[feature].items()},
    )


def billed(at: datetime, cached: int, rest: int, version: str = "1") -> Billed:
    return Billed(at=at, begins_as=version, tokens={"input": rest, "cached": cached, "output": 10})


@dataclass(frozen=True)
class Traffic:
    """The requests of the sample traffic as they were billed, by feature, and the truth about caching of those that
    have a beginning to cache."""

    requests: Mapping[str, list[Billed]]
    truth: Mapping[str, Mapping[str, Any]]

    def caching(self, feature: str, usd: Prices) -> Recommendation:
        billed = self.requests[feature]
        by_day = Counter(each.at.date() for each in billed)
        paid = [costs(each.tokens, usd) for each in billed]
        bill = sum((sum(each.values(), Decimal(0)) for each in paid if each), Decimal(0))
        month = Workload.of_days(feature, list(by_day.values()), cost_per_request=bill / len(billed))
        forgetful = as_cacheable(billed, SHORT_MEMORY)
        found = recommend_caching(as_cacheable(billed, MEMORY), usd, month, forgetful=forgetful)
        assert found is not None
        return found


@pytest.fixture(scope="module")
def traffic() -> Traffic:
    made = sample_traffic(date(2026, 5, 1))
    by_feature: dict[str, list[Billed]] = {}
    for each in made.requests:
        tokens: dict[TokenClass, int] = {
            "input": each["input_tokens"],
            "cached": each["cached_tokens"],
            "output": each["output_tokens"],
        }
        by_feature.setdefault(each["feature"], []).append(
            Billed(at=datetime.fromisoformat(each["at"]), begins_as=each["prompt_version"], tokens=tokens)
        )
    return Traffic(by_feature, {each["feature"]: each for each in made.truth()["caching"]})


def listed_prices(feature: str) -> Prices:
    """Those of the public list that comes with Assay; writing to a cache costs extra at one of the two vendors."""
    [profile] = [each for each in PROFILES if each.feature == feature]
    found = LISTED.prices_of(f"{profile.provider}/{profile.model}", date(2026, 5, 30))
    assert found is not None
    return found


@pytest.mark.parametrize(("feature", "at_least"), [("chatbot", 0.19), ("summaries", 0.34)])
@pytest.mark.parametrize("priced_by", [prices, listed_prices])
def test_what_caching_saves_in_the_sample_traffic_is_what_was_put_into_it(
    traffic: Traffic, feature: str, at_least: float, priced_by: Callable[[str], Prices]
) -> None:
    """The truth knows how every prompt begins, and which of them an hour's memory would have had."""
    usd, truth = priced_by(feature), traffic.truth[feature]
    now, most = (_paid(truth, usd, within) for within in (None, "cacheable_tokens"))
    then = _paid(truth, usd, "cacheable_within_an_hour_tokens")
    found = traffic.caching(feature, usd)
    assert found.details["cost"] == now
    saved = found.savings
    assert at_least <= saved.share_low <= float(1 - then / now) <= saved.share_high
    assert saved.share <= float(1 - most / now)
    forgetful = found.details["share_when_forgetful"]
    assert isinstance(forgetful, float)
    assert forgetful < saved.share_low


def _paid(truth: Mapping[str, Any], usd: Prices, cached: str | None) -> Decimal:
    """What a feature costs when so much of its prompts is read from the cache and the rest written to it, if that has a
    price; None: as it is."""
    per = {name: usd.per_token(name) or Decimal(0) for name in ("input", "cached", "output")}
    writing = per["input"] if cached is None else usd.per_token("cache_write") or per["input"]
    prompt, read, output = (int(truth[name]) for name in ("prompt_tokens", cached or "cached_tokens", "output_tokens"))
    return (prompt - read) * writing + read * per["cached"] + output * per["output"]


def test_what_is_recommended_for_the_sample_traffic_saves_a_fifth_of_the_whole_bill(traffic: Traffic) -> None:
    """Surely, by the list's prices: of all that the four features cost, with the truth inside the interval."""
    bills: dict[str, Decimal] = {}
    saved = Decimal(0)
    for profile in PROFILES:
        usd = LISTED.prices_of(f"{profile.provider}/{profile.model}", date(2026, 5, 30))
        if usd is None:
            continue  # A model of one's own has no price: it is in no bill.
        parts = [costs(each.tokens, usd) for each in traffic.requests[profile.feature]]
        bills[profile.feature] = sum((sum(each.values(), Decimal(0)) for each in parts if each), Decimal(0))
        if profile.cached_share:
            truth = traffic.truth[profile.feature]
            saved += bills[profile.feature] - _paid(truth, usd, "cacheable_within_an_hour_tokens")
    assert set(bills) == {"chatbot", "ai-search", "summaries"}
    day, moment = date(2026, 5, 30), MORNING
    month = Decimal(1) / 30 * DAYS_A_MONTH
    found = Standing(
        answers=tuple(
            FeatureAnswer(feature=feature, on=day, incumbent=None, source="none", month=bill * month)
            for feature, bill in bills.items()
        ),
        recommendations=tuple(
            StoredRecommendation(
                id=at,
                status="open",
                recommendation=traffic.caching(feature, listed_prices(feature)),
                incumbent_from="none",
                sample_data=True,
                as_of=day,
                moved_why="",
                moved_by="",
                moved_at=moment,
                recorded_at=moment,
            )
            for at, feature in enumerate(traffic.truth)
        ),
    ).of_bill
    assert found is not None
    bill = sum(bills.values(), Decimal(0))
    assert float(found.bill) == pytest.approx(float(bill * month))
    assert 0.20 <= found.share_low <= float(saved / bill) <= found.share_high
    assert found.low / found.bill >= Decimal("0.20"), "even at the lower end of the volume"


def test_nothing_is_said_of_a_prompt_version_that_was_hardly_ever_read() -> None:
    """Nor does one version borrow from another."""
    seen = [billed(MORNING + timedelta(minutes=n), 60 if n < LEAST_READS else 0, 40) for n in range(60)]
    rare = [billed(MORNING + timedelta(minutes=n), 60 if n < LEAST_READS - 1 else 0, 40, "2") for n in range(60)]
    assert [each.cacheable for each in as_cacheable(seen, MEMORY)][-30:] == [40] * 30, "all of a shorter prompt"
    assert [each.cacheable for each in as_cacheable(rare, MEMORY)][-31:] == [0] * 31


def test_a_request_after_the_cache_forgot_reads_nothing_and_none_reads_more_than_its_prompt() -> None:
    often = [billed(MORNING + timedelta(minutes=n), 60, 40) for n in range(LEAST_READS)]
    later = often[-1].at + timedelta(minutes=30)
    forgotten = later + timedelta(hours=2)
    requests = [*often, billed(later, 0, 100), billed(forgotten, 0, 100), billed(forgotten, 0, 25)]
    assert [each.cacheable for each in as_cacheable(requests, MEMORY)][-3:] == [60, 0, 25]
    assert [each.cacheable for each in as_cacheable(requests, SHORT_MEMORY)][-3] == 0
