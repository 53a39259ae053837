"""assay cost as a person uses it: what a month would be, against a query of its own."""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from evaluations.pricing import PriceRow
from evaluations.roi import DAYS_A_MONTH
from tasks.rollups import roll_up_days
from tasks.store.database import transaction
from tasks.store.prices import add_prices
from tests.cli.commands import assay_here, rows
from tests.landed import a_request, land

FIRST = date(2026, 5, 4)


def priced(model: str, *, input: str, output: str, service: str = "standard") -> None:
    """Prices in US dollars a million tokens."""
    with transaction() as connection:
        add_prices(
            connection,
            [
                PriceRow(
                    model=model,
                    token_class=name,  # type: ignore[arg-type]
                    per_token=Decimal(price) / 1_000_000,
                    effective_from=date(2026, 1, 1),
                    source="contract",
                    service=service,  # type: ignore[arg-type]
                )
                for name, price in (("input", input), ("output", output))
            ],
            actor="test",
        )


@pytest.fixture(autouse=True)
def traffic(store: str) -> None:
    """A week of a chatbot with more on each day, one day without, and a search by a model that nobody prices."""
    with transaction() as connection:
        land(
            connection,
            [
                a_request(
                    at=datetime(2026, 5, 4, 12, tzinfo=UTC) + timedelta(days=day, seconds=n),
                    provider="acme",
                    model="acme/small",
                    input_tokens=1000 + day,
                    output_tokens=100,
                )
                for day in (0, 1, 2, 4, 5, 6)
                for n in range(3 + day)
            ]
            + [a_request(at=datetime(2026, 5, 6, 12, tzinfo=UTC), feature="search", provider="acme", model="own")],
        )
    roll_up_days(None)
    priced("acme/small", input="1", output="2")
    priced("acme/large", input="10", output="20")
    priced("acme/large", input="5", output="10", service="batch")


def told(*arguments: str) -> Any:
    found = assay_here("cost", *arguments, "--json", "--on", "2026-06-01")
    assert found.code == 0, found.err
    return json.loads(found.out)


def test_a_month_is_what_a_query_over_the_requests_makes_of_it(store: str) -> None:
    found = told("acme/small", "acme/large", "--feature", "chatbot")
    [(count, tokens_in, tokens_out)] = rows(
        store, "SELECT count(*), sum(input_tokens), sum(output_tokens) FROM requests WHERE feature = 'chatbot'"
    )
    assert (found["from"], found["to"]) == ("2026-05-04", "2026-05-10")
    small, large = found["months"]
    # Seven days, the one without requests included.
    for month, input, output in ((small, 1, 2), (large, 10, 20)):
        wanted = (tokens_in * input + tokens_out * output) / Decimal(1_000_000) / 7 * DAYS_A_MONTH
        assert Decimal(month["month"]) == pytest.approx(wanted)
        assert Decimal(month["low"]) < wanted < Decimal(month["high"])
        assert month["days"] == 7
    assert Decimal(found["units"]) == pytest.approx(Decimal(count) / 7 * DAYS_A_MONTH)


def test_without_models_those_that_serve_the_feature_are_priced_and_the_unpriced_come_last() -> None:
    found = told()
    assert [(each["model"], each["month"] is None) for each in found["months"]] == [
        ("acme/small", False),
        ("acme/own", True),
    ]
    assert found["months"][1]["unpriced"] == "no price"


def test_a_person_reads_the_month_its_interval_and_where_it_breaks_even() -> None:
    shown = assay_here("cost", "acme/small", "acme/large", "--feature", "chatbot", "--fixed", "acme/small=40")
    lines = shown.out.splitlines()
    assert lines[0].startswith("A month of chatbot: 157 units, by prices of ")
    assert lines[1] == "Measured from 2026-05-04 to 2026-05-10, n = 7 days"
    assert any(line.startswith("acme/large") and "$1.88" in line for line in lines), shown.out
    # 36 requests of 36,136 input and 3,600 output tokens: 40 / (0.0120378 - 0.0012038) units.
    assert "From 3,692 units a month on, acme/small is cheaper than acme/large." in shown.out


def test_lines_that_do_not_cross_break_even_nowhere() -> None:
    shown = assay_here("cost", "acme/small", "acme/large", "--feature", "chatbot", "--fixed", "acme/large=40")
    assert "No volume breaks even: the lines do not cross." in shown.out


def test_caching_and_batches_are_bought_at_their_prices() -> None:
    plain, batched = (
        Decimal(told("acme/large", "--units", "1000", *given)["months"][0]["month"]) for given in ((), ("--batch", "1"))
    )
    assert batched * 2 == plain


def test_photos_are_priced_by_the_resolution() -> None:
    given = ("acme/large", "--images", "1", "--input-tokens", "200", "--output-tokens", "60", "--units", "1000")
    found = {each: told(*given, "--resolution", each)["months"][0] for each in ("low", "high")}
    assert Decimal(found["low"]["month"]) == Decimal("4.05")
    assert Decimal(found["high"]["month"]) == Decimal("14.25")
    assert found["high"]["low"] is None


def test_what_it_is_worth_comes_with_what_that_rests_on() -> None:
    shown = assay_here("cost", "acme/small", "--units", "1000", "--resolves", "0.65").out
    assert "worth a month" in shown
    assert "deflection" in shown
    assert "Not counted: infrastructure, rework." in shown


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("acme/smal",), "no model is named 'acme/smal'; did you mean 'acme/small'?"),
        (("--feature", "chatbt"), "no feature is named 'chatbt'; did you mean 'chatbot'?"),
        (("acme/small", "--batch", "2"), "the batch share is 2; it has to lie between 0 and 1."),
        (("acme/small", "--fixed", "acme/large=3"), "a fixed cost is stated for acme/large, which is not compared"),
        (("acme/small", "--fixed", "3"), "is not MODEL=AMOUNT"),
        (("acme/small", "--images", "1"), "a stated unit needs --units"),
        (("acme/small", "--units", "0"), "--units is how many requests a month has, more than none; got 0."),
        (("--images", "1", "--units", "5"), "a stated unit says nothing about models"),
        (("--from", "2026-05-08", "--to", "2026-05-05"), "2026-05-08 comes after 2026-05-05"),
    ],
)
def test_a_question_that_is_none_is_refused_with_what_would_do(given: tuple[str, ...], said: str) -> None:
    found = assay_here("cost", *given)
    assert found.code == 2
    assert said in found.err
