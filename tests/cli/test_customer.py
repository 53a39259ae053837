"""assay customer as a person uses it."""

import json
from decimal import Decimal

import pytest

from tasks.rollups import roll_up_days
from tasks.store.database import transaction
from tests.cli.commands import assay_here
from tests.tasks.store.tickets import a_contact, at, land_contacts


def landed(*, rolled_up: bool = True) -> None:
    contacts = [
        *(a_contact(rating=5, cost=Decimal("0.05")) for _ in range(3)),
        a_contact(resolution="escalated_human", escalation_reason="asked for a human", cost=Decimal("0.05")),
        a_contact(resolution=None, cost=Decimal("0.05")),
        a_contact(at=at(20), resolution="pending", cost=None),
    ]
    with transaction() as connection:
        land_contacts(connection, contacts)
    if rolled_up:
        roll_up_days(None)


def test_customer_prints_each_measure_with_its_interval_and_what_it_leaves_out(store: str) -> None:
    landed()
    told = assay_here("customer", "--from", "2026-05-04", "--to", "2026-05-10")
    assert told.code == 0, told.err
    lines = told.out.splitlines()
    assert lines[0] == "Customers from 2026-05-04 to 2026-05-10 (UTC)"
    assert lines[1] == "5 tickets of chatbot: 5 taken by the AI, 0 by people alone."
    assert lines[2].startswith(
        "The AI resolves 75.0% of tickets on its own (95% CI 30.1–95.4%), too close to the target"
    )
    [deflection] = [line for line in lines if line.startswith("Deflection") and "to 80%" in line]
    assert deflection.split() == ["Deflection", "75.0%", "30.1–95.4%", "4", "60%", "to", "80%"]
    assert lines[lines.index(deflection) + 1] == "    left out: 1 outcome unknown"
    assert "Not counted, because not known: infrastructure." in lines


def test_customer_in_json_has_the_same_numbers_and_money_to_the_last_digit(store: str) -> None:
    landed()
    told = assay_here("customer", "--from", "2026-05-04", "--to", "2026-05-10", "--json", "--infrastructure", "7",
                      "--investment", "100")  # fmt: skip
    document = json.loads(told.out)
    assert document["schema"] == "assay.customer/1"
    assert document["ai_cost"] == "0.250000000000"
    deflection = document["measures"]["deflection"]
    assert (deflection["estimate"]["value"], deflection["estimate"]["n"]) == (0.75, 4)
    assert deflection["left_out"]["outcome unknown"] == 1
    tickets = Decimal(5) / 7 * Decimal("30.4375")
    saved = (tickets * Decimal("0.75") * Decimal("1.67")).quantize(Decimal("0.01"))
    ai = (tickets * Decimal("0.05")).quantize(Decimal("0.01"))
    assert Decimal(document["roi"]["net"]) == saved - ai - 7, "nobody came back"
    assert document["roi"]["payback_months"] == pytest.approx(float(100 / (saved - ai - 7)))


def test_a_definition_is_printed_with_its_version_and_the_tickets_it_counts(store: str) -> None:
    told = assay_here("customer", "--definition", "fcr")
    assert told.code == 0
    assert told.out.startswith("-- First-contact resolution (fcr v2)\n-- resolved, passed on to nobody")
    assert "CREATE TEMPORARY TABLE customer_tickets" in told.out
    theirs = assay_here("customer", "--definition", "seed_fcr").out
    assert "-- A formula of the source documents, kept to compare with." in theirs
    assert "customer_tickets" not in theirs


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "no request says how it ended"),
        (["--definition", "fcrr"], "did you mean 'fcr'?"),
        (["--hourly", "-1"], "the hourly is -1"),
        (["--hourly", "much"], "'much' is no amount"),
        (["--from", "yesterday"], "yesterday"),
        (["--recontact-days", "0"], "1<=x<=30"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(store: str, arguments: list[str], told: str) -> None:
    outcome = assay_here("customer", *arguments)
    assert outcome.code == 2
    assert told in outcome.err


def test_days_that_wait_to_be_rolled_up_are_told(store: str) -> None:
    landed(rolled_up=False)
    told = assay_here("customer")
    assert told.code == 2
    assert "2 days changed and wait for: assay rollup" in told.err
    roll_up_days(None)
    landed(rolled_up=False)
    lines = assay_here("customer").out.splitlines()
    assert lines[-1] == "2 days changed since and wait for: assay rollup"


def test_a_window_or_feature_without_outcomes_is_said(store: str) -> None:
    landed()
    assert (
        "2026-05-09 comes after 2026-05-01" in assay_here("customer", "--from", "2026-05-09", "--to", "2026-05-01").err
    )
    assert "no request of 'search' says how it ended" in assay_here("customer", "--feature", "search").err
    empty = assay_here("customer", "--from", "2026-01-01", "--to", "2026-01-02")
    assert empty.code == 0
    assert "Nothing can be said of resolutions: of 0 tickets none has a known outcome." in empty.out
