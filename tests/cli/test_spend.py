"""assay rollup, spend and sample-traffic as a person uses them."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from tasks.rollups import roll_up_days
from tasks.store.database import transaction
from tests.cli.commands import assay, assay_here, rows
from tests.landed import a_request, land


def landed() -> None:
    moments = [datetime(2026, 5, day, 12, tzinfo=UTC) for day in (4, 4, 5)]
    with transaction() as connection:
        land(
            connection,
            [
                a_request(at=moments[0], cost=Decimal("1.000000000001")),
                a_request(at=moments[1], cost=None, region="eu"),
                a_request(at=moments[2], cost=Decimal("2"), feature="search"),
            ],
        )


def test_spend_prints_every_group_the_total_and_what_waits(store: str) -> None:
    landed()
    roll_up_days(None)
    landed()
    told = assay_here("spend")
    assert told.code == 0
    head, columns, *lines = told.out.splitlines()
    assert head == "Spend from 2026-04-06 to 2026-05-05 (UTC)"
    assert columns.split() == ["feature", "requests", "cost", "trend", "unpriced"]
    assert [line.split() for line in lines[:2]] == [
        ["search", "1", "$2.0000", "-", "0"],
        ["chatbot", "2", "$1.0000", "-", "1"],
    ]
    assert lines[2] == "Together 3 requests for $3.00, and 1 request unpriced."
    assert lines[3] == "2 days changed since and wait for: assay rollup --dirty"


def test_spend_in_json_has_money_to_the_last_digit_and_the_restatements(store: str) -> None:
    landed()
    roll_up_days(None)
    landed()
    roll_up_days(None)
    told = json.loads(assay_here("spend", "--by", "region", "--by", "feature", "--period", "day", "--json").out)
    assert [(each["begins"], each["feature"], each["region"], each["cost"]) for each in told["lines"]] == [
        ("2026-05-04", "chatbot", None, "2.000000000002"),
        ("2026-05-04", "chatbot", "eu", None),
        ("2026-05-05", "search", None, "4.000000000000"),
    ]
    assert {each["day"]: each["before"]["cost"] for each in told["restatements"]} == {
        "2026-05-04": "1.000000000001",
        "2026-05-05": "2.000000000000",
    }
    assert {each["why"] for each in told["restatements"]} == {"late rows"}


def test_performance_prints_rates_with_their_intervals_and_what_was_before(store: str) -> None:
    with transaction() as connection:
        land(
            connection,
            [
                a_request(
                    at=datetime(2026, 5, 4 + n // 50, 12, tzinfo=UTC),
                    status="error" if n % 10 == 0 else "success",
                    latency_ms=200.0 if n < 50 else 400.0,
                )
                for n in range(100)
            ],
        )
    roll_up_days(None)
    told = assay_here("performance", "--window", "24h")
    head, columns, line, *_ = told.out.splitlines()
    assert head == "Performance from 2026-05-04 13:00 to 2026-05-05 13:00 (UTC)"
    assert columns.split()[:3] == ["feature", "requests", "errors"]
    # The interval of 5 of 50 that statsmodels has, too.
    assert line.split()[:4] == ["chatbot", "50", "10.0%", "4.3\N{EN DASH}21.4%"]
    [line] = json.loads(assay_here("performance", "--window", "1h", "--until", "2026-05-05", "--json").out)["lines"]
    assert line["latency_p95_ms"]["value"] == pytest.approx(200, rel=0.01)
    assert line["latency_p95_ms"]["high"] is None
    assert (line["cost_per_success"], line["before"]) == ("0.003888888888888888888888888889", None)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["performance"], "no requests are rolled up"),
        (["performance", "--window", "2h"], "'2h' is not one of"),
        (["spend"], "no requests are rolled up yet"),
        (["spend", "--by", "modle"], "did you mean 'model'?"),
        (["spend", "--from", "yesterday"], "yesterday"),
        (["rollup", "--date", "2026-05-04", "--dirty"], "give one of --date, --from with --to, and --dirty"),
        (["rollup", "--timezone", "Mars"], "no time zone is named 'Mars'"),
        (["rollup", "--timezone", "UTC", "--date", "2026-05-04"], "--timezone rolls up every day it moves"),
        (["rollup", "--json"], "--json goes with --restatements"),
        (["rollup", "--restatements", "--dirty"], "--restatements only looks"),
        (["rollup", "--to", "2026-05-04"], "a range takes both ends"),
        (["rollup", "--from", "2026-05-04", "--to", "2026-05-01"], "2026-05-04 comes after 2026-05-01"),
        (["sample-traffic", "somewhere", "--days", "3"], "14<=x<=366"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(store: str, arguments: list[str], told: str) -> None:
    outcome = assay_here(*arguments)
    assert outcome.code == 2
    assert told in outcome.err


@pytest.mark.usefixtures("prefect_server")
def test_rollup_does_the_days_named_or_those_that_changed(store: str) -> None:
    landed()
    assert "1 day with 1 request rolled up: 1 new." in assay("rollup", "--date", "2026-05-05").out
    assert "1 day with 2 requests rolled up: 1 new." in assay("rollup", "--dirty").out
    ranged = assay("rollup", "--from", "2026-05-04", "--to", "2026-05-06").out
    assert "10 of 12 days, 2026-05-10 the last" in assay("rollup", "--from", "2026-05-01", "--to", "2026-05-12").err
    assert "3 days with 3 requests rolled up: 2 unchanged, 1 new." in ranged
    assert "No day had changed." in assay("rollup").out
    assert rows(store, "SELECT sum(requests), sum(cost) FROM usage_daily") == [(3, Decimal("3.000000000001"))]


@pytest.mark.usefixtures("prefect_server")
def test_another_time_zone_rolls_up_again_and_the_restatements_are_listed(store: str) -> None:
    with transaction() as connection:
        land(connection, [a_request(at=datetime(2026, 5, 4, hour, tzinfo=UTC)) for hour in (12, 23)])
    roll_up_days(None)
    assert assay_here("rollup", "--restatements").out == "No day was restated.\n"
    told = assay("rollup", "--timezone", "Europe/Berlin").out
    assert "Days are parted by the midnights of Europe/Berlin: 3 days to be rolled up again." in told
    assert rows(store, "SELECT day, requests FROM usage_daily ORDER BY day") == [
        (date(2026, 5, 4), 1),
        (date(2026, 5, 5), 1),
    ]
    [line] = assay_here("rollup", "--restatements").out.splitlines()
    assert line.startswith("2026-05-04 was restated on")
    assert line.endswith("2 → 1 requests, $0.01 → $0.00 (the platform's time zone changed).")
    [listed] = json.loads(assay_here("rollup", "--restatements", "--date", "2026-05-04", "--json").out)
    assert (listed["before"]["cost"], listed["after"]["cost"]) == ("0.007000000000", "0.003500000000")
    assert assay_here("rollup", "--restatements", "--date", "2026-05-05").out == "No day was restated.\n"


def test_sample_traffic_says_what_it_made_and_what_comes_next(tmp_path: Path) -> None:
    told = assay_here("sample-traffic", tmp_path, "--scale", "0.01", "--days", "14")
    assert told.code == 0
    assert "made-up requests in" in told.out
    assert f"assay ingest {tmp_path / 'sample-traffic.jsonl.gz'} --sample-data" in told.out
    assert (tmp_path / "sample-traffic.jsonl.gz").is_file()
