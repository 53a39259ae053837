"""On a real trace caching is recommended, and saves what its publisher's figures say."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal

import pytest

from evaluations.pricing import Prices, TokenClass
from evaluations.recommending.caching import Prompted, Traced, cacheable_waste, prompted, recommend_caching
from evaluations.recommending.evidence import PriceMissing, Workload
from tests.evaluations.scoring.test_real_data import expected_of, rows

MONTH = Workload(feature="assistant", requests=1_000, requests_low=900, requests_high=1_100)


def prices(**per_token: str) -> Prices:
    by_class = {name: ((-1, Decimal(price)),) for name, price in per_token.items()}
    return Prices(model="maker/model", on=date(2026, 1, 1), by_class=by_class)  # type: ignore[arg-type]


LISTED = prices(input="0.0000025", cached="0.00000125", output="0.00001")


def mooncake() -> list[Traced]:
    return [
        Traced(
            at_s=row["timestamp"] / 1000,
            input_tokens=row["input_length"],
            output_tokens=row["output_length"],
            blocks=tuple(row["hash_ids"]),
        )
        for row in rows("mooncake_trace/synthetic_trace.jsonl.gz")
    ]


def test_on_mooncake_caching_is_recommended_and_its_saving_is_the_published_one() -> None:
    expected, trace = expected_of("mooncake_trace"), mooncake()
    found = recommend_caching(prompted(trace), LISTED, MONTH, forgetful=prompted(trace, lifetime_s=300))
    assert found is not None
    assert found.kind == "prompt_optimization"
    assert found.n == expected["requests"]
    assert found.details["cacheable_tokens"] == expected["cached_input_tokens"]
    assert found.details["affected"] == expected["requests_with_any_hit"]
    assert found.details["cost"] == Decimal(expected["usd_without_cache"])
    assert found.details["cost_with_cache"] == Decimal(expected["usd_with_cache"])
    assert round(found.savings.share, 6) == expected["saving_share"] == 0.313424
    # A fifth is saved even at the lower end, and the reader is told what a cache that forgets leaves of it.
    assert found.savings.share_low >= 0.2
    forgetful = found.details["share_when_forgetful"]
    assert isinstance(forgetful, float)
    assert 0.2 < forgetful < found.savings.share
    assert f"{forgetful:.1%}" in found.risks[0]


def test_with_the_cache_the_same_tokens_are_sent_and_received() -> None:
    for request in prompted(mooncake()):
        after = request.cached(writes=False)
        assert after["output"] == request.tokens["output"]
        assert after["input"] + after["cached"] == request.tokens["input"]
        assert after["cached"] == request.cacheable


def test_blocks_are_known_from_the_beginning_on_and_for_as_long_as_the_cache_remembers() -> None:
    trace = [
        Traced(at_s=0, input_tokens=1_100, output_tokens=1, blocks=(1, 2, 3)),
        Traced(at_s=100, input_tokens=1_500, output_tokens=1, blocks=(9, 2, 3)),
        Traced(at_s=200, input_tokens=1_100, output_tokens=1, blocks=(1, 2, 3)),
    ]
    assert [each.cacheable for each in prompted(trace)] == [0, 0, 1_100]
    assert [each.cacheable for each in prompted(trace, lifetime_s=150)] == [0, 0, 0]


def requests(tokens: Mapping[TokenClass, int], cacheable: int, times: int = 40) -> list[Prompted]:
    return [Prompted(tokens=tokens, cacheable=cacheable)] * times


def test_what_is_read_from_a_cache_already_is_no_saving() -> None:
    assert recommend_caching(requests({"input": 200, "cached": 800, "output": 10}, 800), LISTED, MONTH) is None


def test_where_writing_to_the_cache_costs_more_it_has_to_be_worth_it() -> None:
    dear = prices(input="0.000003", cached="0.0000003", cache_write="0.00000375", output="0.00001")
    assert recommend_caching(requests({"input": 1_000, "output": 10}, 100), dear, MONTH) is None
    found = recommend_caching(requests({"input": 1_000, "output": 10}, 900), dear, MONTH)
    assert found is not None
    # 1,000 tokens at 3 become 900 at 0.3 and 100 at 3.75; ten replies' tokens stay at 10, in dollars a million.
    assert found.savings.share == pytest.approx((3_000 - 270 - 375) / (3_000 + 100))


def test_without_a_price_no_saving_is_said() -> None:
    with pytest.raises(PriceMissing, match="has no price"):
        recommend_caching(requests({"input": 100, "output": 1}, 50), None, MONTH)
    with pytest.raises(PriceMissing, match="no price for some of"):
        cacheable_waste(requests({"input": 100, "output": 1}, 50), prices(input="0.000001"))
