"""What a month would cost, against plain arithmetic, SciPy, and what the other half of the days did cost."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import scipy.stats

from evaluations.cost_scenarios import (
    IMAGE_TOKENS,
    DayUse,
    MonthlyCost,
    Offer,
    Terms,
    break_even,
    measured,
    monthly_cost,
    stated,
    worth,
)
from evaluations.errors import AssayError
from evaluations.pricing import PriceBook, PriceRow, Service, TokenClass, costs
from evaluations.roi import DAYS_A_MONTH, Assumptions
from evaluations.sample_traffic import sample_traffic
from tasks.prices import rows_of_map

DAY = date(2026, 5, 1)


def offer(model: str = "a/b", *, fixed: str = "0", batch: Mapping[TokenClass, str] | None = None, **usd: str) -> Offer:
    """Prices in US dollars a million tokens."""

    def rows(given: Mapping[Any, str], service: Service) -> list[PriceRow]:
        return [
            PriceRow(
                model=model,
                token_class=name,
                per_token=Decimal(price) / 1_000_000,
                effective_from=DAY,
                source="contract",
                service=service,
            )
            for name, price in given.items()
        ]

    book = PriceBook([*rows(usd, "standard"), *rows(batch or {}, "batch")])
    return Offer(
        model=model,
        standard=book.prices_of(model, DAY),
        batch=book.prices_of(model, DAY, service="batch"),
        fixed=Decimal(fixed),
    )


def days(*requests: int, input: int = 1000, cached: int = 0, output: int = 100, unknown: int = 0) -> list[DayUse]:
    """Days with so many requests, each of the same tokens."""
    return [
        DayUse(
            day=DAY + timedelta(days=n),
            requests=count,
            unknown=unknown,
            tokens={
                "input": input * (count - unknown),
                "cached": cached * (count - unknown),
                "output": output * (count - unknown),
            },
        )
        for n, count in enumerate(requests)
    ]


def test_a_month_is_the_mean_day_times_its_days_with_the_interval_of_their_sum() -> None:
    made = days(100, 120, 80, 110)
    found = monthly_cost(measured(made), offer(input="1", output="2"))
    each = [Fraction(count) * Fraction(1200, 1_000_000) for count in (100, 120, 80, 110)]
    assert found.month is not None
    assert found.low is not None
    assert found.high is not None
    assert float(found.month) == pytest.approx(float(sum(each) / 4 * Fraction(str(DAYS_A_MONTH))))
    sd, m, n = float(np.std([float(x) for x in each], ddof=1)), float(DAYS_A_MONTH), 4
    half = scipy.stats.t.ppf(0.975, n - 1) * m * sd * (1 / m + 1 / n) ** 0.5
    assert float(found.high - found.month) == pytest.approx(half)
    assert float(found.month - found.low) == pytest.approx(half)
    assert found.days == 4


def test_the_interval_of_a_month_covers_another_month_as_often_as_it_says() -> None:
    random = np.random.default_rng(3)
    of, covered, worlds = offer(input="1", output="2"), 0, 400
    for _ in range(worlds):
        made = monthly_cost(measured(days(*map(int, random.normal(1000, 150, 14)))), of)
        later = sum(random.normal(1000, 150, 30)) * float(DAYS_A_MONTH) / 30 * 0.0012
        covered += made.low is not None and made.high is not None and float(made.low) <= later <= float(made.high)
    assert scipy.stats.binomtest(covered, worlds, 0.95).pvalue > 0.001, covered


def test_days_that_cost_the_same_have_an_interval_without_width() -> None:
    found = monthly_cost(measured(days(50, 50, 50)), offer(input="1", output="2"))
    assert found.low == found.month == found.high


def test_with_a_stated_number_of_units_only_what_a_unit_costs_is_uncertain() -> None:
    found = monthly_cost(measured(days(100, 300, 50), Decimal(10_000)), offer(input="1", output="2"))
    assert found.month == Decimal("12.0000")
    assert found.low == found.high == found.month, "every request took the same"


def test_the_cached_share_is_of_the_prompts_text_and_nothing_is_written() -> None:
    work = measured(days(10, 10, input=600, cached=400))
    of = offer(input="10", cached="1", cache_write="12", output="0")
    assert monthly_cost(work, of).unit == Decimal("0.0064")
    assert monthly_cost(work, of, Terms(cached_share=Decimal("0.9"))).unit == Decimal("0.0019")
    assert monthly_cost(work, of, Terms(cached_share=Decimal(0))).unit == Decimal("0.01")


def test_a_share_goes_by_the_batch_service_at_its_prices() -> None:
    work = measured(days(10, 10))
    of = offer(input="10", output="20", batch={"input": "5", "output": "10"})
    assert monthly_cost(work, of).unit == Decimal("0.012")
    assert monthly_cost(work, of, Terms(batch_share=Decimal("0.5"))).unit == Decimal("0.009")
    assert monthly_cost(work, of, Terms(batch_share=Decimal(1))).unit == Decimal("0.006")


def test_without_a_batch_price_the_standard_one_is_taken_and_said() -> None:
    found = monthly_cost(measured(days(10, 10)), offer(input="10", output="20"), Terms(batch_share=Decimal(1)))
    assert found.unit == Decimal("0.012")
    assert found.notes == ("no batch price: taken at the standard one",)


@pytest.mark.parametrize(
    ("of", "said"),
    [
        (Offer(model="a/b", standard=None, fixed=Decimal(9)), "no price"),
        (offer(input="1"), "no price for output tokens"),
    ],
)
def test_what_has_no_price_is_unpriced_and_never_free(of: Offer, said: str) -> None:
    found = monthly_cost(measured(days(10, 10)), of)
    assert (found.month, found.unit, found.low, found.all_in) == (None, None, None, None)
    assert found.unpriced == said
    assert break_even(found, monthly_cost(measured(days(10, 10)), offer(input="1", output="1"))) is None


def test_requests_of_unknown_tokens_are_taken_to_be_like_the_others_and_counted() -> None:
    found = monthly_cost(measured(days(100, 100, unknown=20)), offer(input="1", output="2"))
    assert found.unit == Decimal("0.0012")
    assert found.month == found.unit * measured(days(100, 100)).units
    assert found.notes == ("40 requests with unknown tokens: taken to be like the others",)


def test_the_volume_that_breaks_even_is_where_both_months_cost_the_same() -> None:
    random = np.random.default_rng(11)
    crossed = 0
    for _ in range(200):
        one, other = (
            MonthlyCost(
                model=name,
                units=Decimal(0),
                unit=Decimal(int(random.integers(1, 50))) / 1000,
                fixed=Decimal(int(random.integers(0, 500))),
                month=Decimal(0),
            )
            for name in ("one", "other")
        )
        assert one.unit is not None
        assert other.unit is not None
        volume = break_even(one, other)
        assert volume == break_even(other, one)
        if volume is None:
            # The lines do not cross above 0: whoever is cheaper at no unit is so at a million.
            gaps = [one.fixed - other.fixed + units * (one.unit - other.unit) for units in (Decimal(0), Decimal(10**6))]
            assert gaps[0] * gaps[1] >= 0
        else:
            crossed += 1
            assert one.fixed + volume * one.unit == pytest.approx(other.fixed + volume * other.unit)
    assert 50 < crossed < 150


def test_photos_are_units_with_images_by_their_resolution() -> None:
    def month(resolution: str) -> MonthlyCost:
        photos = stated(
            Decimal(10_000),
            input_tokens=Decimal(200),
            output_tokens=Decimal(50),
            images=Decimal(1),
            image_tokens=IMAGE_TOKENS[resolution],
        )
        return monthly_cost(photos, offer(input="2", output="10"))

    assert [month(each).month for each in ("low", "medium", "high")] == [
        Decimal("10.7"),
        Decimal("24.3"),
        Decimal("31.1"),
    ]
    assert month("high").images == Decimal("0.00221")
    assert month("high").low is None, "nothing was measured"


def test_what_a_model_is_worth_is_what_people_would_have_cost_less_all_it_costs() -> None:
    cost = monthly_cost(measured(days(10, 10), Decimal(1000)), offer(fixed="70", input="10", output="400"))
    assert cost.unit == Decimal("0.05")
    month = worth(cost, Assumptions(), Decimal("0.65"))
    assert month.net == Decimal("1085.50") - 50 - 70
    assert month.not_counted == ("rework",)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: measured(days(10)), "1 day is too little"),
        (lambda: measured(days(5, 5, unknown=5)), "no request of these days has known tokens"),
        (lambda: stated(Decimal(-1), input_tokens=Decimal(1), output_tokens=Decimal(0)), "the number of units is -1"),
        (lambda: stated(Decimal(1), input_tokens=Decimal(0), output_tokens=Decimal(0)), "costs nothing anywhere"),
        (lambda: Terms(batch_share=Decimal(2)), "the batch share is 2"),
        (
            lambda: worth(
                monthly_cost(measured(days(1, 1)), offer(input="1", output="1")), Assumptions(), Decimal("1.5")
            ),
            "the share that is resolved is 1.5",
        ),
    ],
)
def test_a_question_that_is_none_is_refused(wrong: object, said: str) -> None:
    assert callable(wrong)
    with pytest.raises(AssayError, match=said):
        wrong()


TOLERANCE = 0.10
"""Of the error of a month estimated from half of the days: the median over features, against what the others cost."""


def test_an_estimate_from_half_of_the_days_comes_near_what_the_other_half_cost() -> None:
    made = [dict(each) for each in sample_traffic(DAY, days=28, scale=0.5).requests]
    book = PriceBook(rows_of_map())
    errors = []
    for feature in ("chatbot", "ai-search", "summaries"):
        of = [each for each in made if each["feature"] == feature]
        model = f"{of[0]['provider']}/{of[0]['model']}"
        standard = book.prices_of(model, DAY)
        by_day: dict[date, list[Mapping[TokenClass, int]]] = {}
        for each in of:
            day = datetime.fromisoformat(str(each["at"])).astimezone(UTC).date()
            by_day.setdefault(day, []).append(
                {
                    "input": int(str(each["input_tokens"])),
                    "cached": int(str(each["cached_tokens"])),
                    "output": int(str(each["output_tokens"])),
                }
            )
        first, second = sorted(by_day)[:14], sorted(by_day)[14:]
        names: tuple[TokenClass, ...] = ("input", "cached", "output")
        used = [
            DayUse(
                day=day,
                requests=len(by_day[day]),
                tokens={name: sum(tokens[name] for tokens in by_day[day]) for name in names},
            )
            for day in first
        ]
        found = monthly_cost(measured(used), Offer(model=model, standard=standard))
        # The ledger: every request priced by itself.
        priced = [costs(tokens, standard) for day in second for tokens in by_day[day]]
        paid = sum((sum(each.values(), Decimal(0)) for each in priced if each is not None), Decimal(0))
        assert None not in priced
        assert found.month is not None
        assert found.low is not None
        assert found.high is not None
        actual = paid / len(second) * DAYS_A_MONTH
        errors.append(abs(float(found.month / actual) - 1))
        assert found.low <= actual <= found.high, feature
    assert float(np.median(errors)) <= TOLERANCE, errors


def test_a_unit_that_is_stated_twice_as_large_costs_twice_as_much() -> None:
    one = stated(Decimal(10), input_tokens=Decimal(100), output_tokens=Decimal(10))
    two = replace(one, per_unit={name: count * 2 for name, count in one.per_unit.items()})
    of = offer(input="3", output="5")
    small, large = monthly_cost(one, of).month, monthly_cost(two, of).month
    assert small is not None
    assert large == 2 * small
