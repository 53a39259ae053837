"""What an AI is worth in a month, against the worked example of the source documents and against plain arithmetic."""

from dataclasses import replace
from decimal import Decimal

import pytest

from evaluations.errors import AssayError
from evaluations.roi import Assumptions, Roi, Volume, assumptions, break_even, roi, seed_roi, sensitivity

EXAMPLE = Volume(tickets=Decimal(1000), deflection=Decimal("0.65"), came_back=Decimal(0), ai_per_ticket=Decimal("0.05"))
"""A thousand tickets a month, 650 of them deflected, five cents of AI each; $20 an hour for five minutes is $1.67."""
COSTS = Assumptions(infrastructure=Decimal(70), investment=Decimal(14950))
"""65 days of $230, and $25 + $10 + $15 + $0 + $20 a month."""


def test_the_sources_example_comes_out_as_they_reckon_it() -> None:
    theirs = seed_roi(EXAMPLE, replace(COSTS, investment=Decimal(15000)))
    assert theirs is not None
    assert (str(theirs.net), str(theirs.year)) == ("1053.00", "12636.00")
    assert theirs.payback_months is not None
    assert round(theirs.payback_months) == 14


def test_the_corrected_example_pays_for_every_ticket_and_for_what_runs_anyway() -> None:
    month = roi(EXAMPLE, COSTS)
    assert (month.saved, month.ai, month.infrastructure, month.rework) == (
        *(Decimal("1085.50"), Decimal("50.00"), Decimal(70)), Decimal("0.00"),
    )  # fmt: skip
    assert month.net == Decimal("965.50")
    assert month.year == Decimal("11586.00")
    assert f"{month.payback_months:.1f}" == "15.5"
    assert month.not_counted == ()


def test_whoever_comes_back_is_handled_by_a_person_after_all() -> None:
    month = roi(replace(EXAMPLE, came_back=Decimal("0.2")), COSTS)
    assert month.rework == Decimal("217.10")  # 130 tickets at $1.67
    assert month.net == Decimal("965.50") - Decimal("217.10")


def test_what_is_not_known_is_named_and_not_taken_for_nothing() -> None:
    month = roi(replace(EXAMPLE, came_back=None, ai_per_ticket=None), Assumptions())
    assert month.not_counted == ("AI cost", "infrastructure", "rework")
    assert (month.net, month.payback_months) == (Decimal("1085.50"), None)
    assert seed_roi(replace(EXAMPLE, ai_per_ticket=None), COSTS) is None


def test_a_month_that_loses_money_never_pays_back() -> None:
    month = roi(replace(EXAMPLE, deflection=Decimal("0.05")), COSTS)
    assert month.net == Decimal("-36.50")
    assert month.payback_months is None
    theirs = seed_roi(replace(EXAMPLE, ai_per_ticket=Decimal(2)), COSTS)
    assert theirs is not None
    assert theirs.payback_months is None


def paid_back_after(month: Roi) -> float:
    """Month by month, the last one by the part of it that is needed (in growth of the discounted sum)."""
    assert month.given.investment is not None
    left, months = float(month.given.investment), 0
    while left > 0:
        months += 1
        left -= float(month.net) / (1 + float(month.given.discount)) ** (months / 12)
    return months


@pytest.mark.parametrize("discount", ["0.05", "0.10", "0.30"])
def test_discounting_delays_the_payback_as_month_by_month_sums_say(discount: str) -> None:
    month = roi(EXAMPLE, replace(COSTS, discount=Decimal(discount)))
    plain = roi(EXAMPLE, COSTS).payback_months
    assert month.payback_months is not None
    assert plain is not None
    assert plain < month.payback_months <= paid_back_after(month) < month.payback_months + 1
    assert roi(EXAMPLE, replace(COSTS, discount=Decimal(4))).payback_months is None, "worth less faster than it earns"


def test_at_the_break_even_a_month_brings_nothing() -> None:
    for came_back in ("0", "0.3"):
        month = roi(replace(EXAMPLE, came_back=Decimal(came_back)), COSTS)
        even = break_even(month)
        assert even is not None
        assert abs(roi(replace(month.volume, deflection=even), COSTS).net) <= Decimal("0.02")  # each cost is in cents
    assert break_even(roi(replace(EXAMPLE, ai_per_ticket=Decimal(3)), COSTS)) is None
    assert break_even(roi(EXAMPLE, replace(COSTS, hourly=Decimal(0)))) is None


def test_sensitivity_moves_one_input_at_a_time_and_puts_what_matters_first() -> None:
    month = roi(replace(EXAMPLE, came_back=Decimal("0.1")), COSTS)
    swings = sensitivity(month, deflection=(0.60, 0.70), came_back=(0.05, 0.2))
    by_name = {swing.name: swing for swing in swings}
    assert set(by_name) == {
        *("hourly cost", "minutes a ticket", "tickets a month", "deflection", "came back", "AI cost a ticket"),
        "infrastructure",
    }  # fmt: skip
    # 600 × $1.67 less a tenth of it, less $50, less $70.
    assert by_name["deflection"].at_low.net == Decimal("1002.00") - Decimal("100.20") - 120
    assert by_name["infrastructure"].at_high.net == month.net - Decimal("17.5")
    assert by_name["came back"].at_high.net < month.net < by_name["came back"].at_low.net
    widths = [swing.width for swing in swings]
    assert widths == sorted(widths, reverse=True)
    unknown = roi(replace(EXAMPLE, ai_per_ticket=None), Assumptions())
    assert {"AI cost a ticket", "infrastructure"} & {
        each.name for each in sensitivity(unknown, deflection=None, came_back=None)
    } == set()


def test_amounts_that_cannot_be_are_refused() -> None:
    with pytest.raises(AssayError, match="the hourly is -1; it has to be a number from 0"):
        assumptions(hourly=Decimal(-1), minutes=Decimal(5), infrastructure=None, investment=None)
    with pytest.raises(AssayError, match="the investment is NaN"):
        assumptions(hourly=Decimal(20), minutes=Decimal(5), infrastructure=None, investment=Decimal("NaN"))
