"""What a cache could have had, told from what it had: against the truth of the sample traffic, priced by hand."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from evaluations.pricing import Prices, TokenClass
from evaluations.recommending.cache_reads import LEAST_READS, MEMORY, SHORT_MEMORY, Billed, as_cacheable
from evaluations.recommending.caching import recommend_caching
from evaluations.recommending.evidence import Workload
from evaluations.sample_traffic import sample_traffic

PER_MILLION: dict[str, dict[TokenClass, str]] = {
    "chatbot": {"input": "2.50", "cached": "1.25", "output": "10"},
    "summaries": {"input": "1.00", "cached": "0.10", "output": "5"},
}
"""US dollars; without a price of writing, so that the truth is a product of four numbers."""
MORNING = datetime(2026, 5, 4, 9, tzinfo=UTC)


def prices(feature: str) -> Prices:
    return Prices(
        model=feature,
        on=date(2026, 5, 1),
        by_class={name: ((-1, Decimal(usd) / 1_000_000),) for name, usd in PER_MILLION[feature].items()},
    )


def billed(at: datetime, cached: int, rest: int, version: str = "1") -> Billed:
    return Billed(at=at, begins_as=version, tokens={"input": rest, "cached": cached, "output": 10})


@pytest.fixture(scope="module")
def traffic() -> dict[str, object]:
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
    return {"requests": by_feature, "truth": {each["feature"]: each for each in made.truth()["caching"]}}


@pytest.mark.parametrize(("feature", "at_least"), [("chatbot", 0.10), ("summaries", 0.20)])
def test_what_caching_saves_in_the_sample_traffic_is_what_was_put_into_it(
    traffic: dict[str, dict[str, object]], feature: str, at_least: float
) -> None:
    """The truth lets every request read; told is a little less, for the first after an idle hour cannot."""
    requests, truth = traffic["requests"][feature], traffic["truth"][feature]
    assert isinstance(requests, list)
    assert isinstance(truth, dict)
    usd = {name: Decimal(price) / 1_000_000 for name, price in PER_MILLION[feature].items()}
    cost = (
        usd["input"] * (truth["prompt_tokens"] - truth["cached_tokens"])
        + usd["cached"] * truth["cached_tokens"]
        + usd["output"] * truth["output_tokens"]
    )
    most = (truth["cacheable_tokens"] - truth["cached_tokens"]) * (usd["input"] - usd["cached"]) / cost
    found = recommend_caching(
        as_cacheable(requests, MEMORY),
        prices(feature),
        Workload.of_days(feature, [len(requests) // 30] * 30),
        forgetful=as_cacheable(requests, SHORT_MEMORY),
    )
    assert found is not None
    assert found.details["cost"] == cost
    assert at_least <= found.savings.share_low
    assert 0.93 * float(most) <= found.savings.share <= float(most)
    forgetful = found.details["share_when_forgetful"]
    assert isinstance(forgetful, float)
    assert forgetful < found.savings.share_low


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
