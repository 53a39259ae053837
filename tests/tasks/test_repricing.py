"""Repricing: what a late correction of a price would change and changes, once, exactly, and with a report of it."""

import csv
import json
import threading
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text

from evaluations.errors import AssayError
from evaluations.pricing import PriceRow, per_token
from evaluations.repricing import Repricing
from tasks.repricing import publish_repricing, reprice
from tasks.rollups import roll_up_days
from tasks.store import repricing as store_repricing
from tasks.store import rollups
from tasks.store.database import engine, transaction
from tasks.store.partitions import drop_before
from tasks.store.prices import add_prices
from tests.tasks.ingest.builders import a_file, a_record, facts, ingested, one

pytestmark = pytest.mark.usefixtures("store")
FIRST, SECOND = date(2026, 6, 1), date(2026, 6, 2)
DAYS = (FIRST, SECOND)


def landed(folder: Path) -> None:
    """Two priced requests on the first day, one on the second, one unpriced and one with a stated cost."""
    rows = [
        a_record(1),
        a_record(2, output_tokens=0),
        a_record(3, at="2026-06-02T10:00:00Z"),
        a_record(4, model="brand-new"),
        a_record(5, cost="0.5"),
    ]
    assert ingested(a_file(folder, rows)).counts.unpriced == 1


def corrected(model: str = "openai/gpt-4o", since: date = FIRST, **usd_per_million: str) -> None:
    """A late price of one's own."""
    with transaction() as connection:
        add_prices(
            connection,
            [
                PriceRow(
                    model=model,
                    token_class=name,  # type: ignore[arg-type]
                    per_token=per_token(Decimal(usd) / 1_000_000),
                    effective_from=since,
                    source="our contract",
                )
                for name, usd in usd_per_million.items()
            ],
            "test",
        )


def costs() -> dict[str, Any]:
    return {row.external_id: row.cost for row in facts("external_id, cost")}


def totals(found: Repricing) -> tuple[Any, ...]:
    total = found.total()
    return total.rows, total.before, total.after, total.filled, total.filled_cost


def test_a_late_correction_shows_what_it_would_change_and_changes_nothing(tmp_path: Path) -> None:
    landed(tmp_path)
    before = costs()
    corrected(input="3", output="10", since=SECOND)
    found = reprice(DAYS, dry_run=True)
    assert totals(found) == (1, before["r-3"], Decimal("0.004"), 0, 0)
    assert found.sentence().startswith("4 requests looked at: 1 request would cost $0.004 instead of $0.0035")
    assert costs() == before
    assert one("SELECT count(*) FROM repricings") == one("SELECT count(*) FROM repriced") == 0
    assert one("SELECT count(*) FROM rollup_dirty WHERE cause = 'reprice'") == 0


def test_a_dry_run_counts_prices_of_ones_own_file_that_are_not_taken_over_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    landed(tmp_path)
    prices = one("SELECT count(*) FROM model_prices")
    entry = "{model: openai/gpt-4o, from: 2026-06-01, source: our contract, usd_per_million: {input: 1, output: 1}}"
    (tmp_path / "prices.yaml").write_text(f"prices:\n  - {entry}\n")
    monkeypatch.setenv("ASSAY_PRICES", str(tmp_path / "prices.yaml"))
    from tasks.settings import settings

    settings.cache_clear()
    assert reprice(DAYS, dry_run=True).total().after == Decimal("0.0011") * 2 + Decimal("0.001")
    assert one("SELECT count(*) FROM model_prices") == prices
    assert reprice(DAYS).total().after == Decimal("0.0011") * 2 + Decimal("0.001")
    assert one("SELECT count(*) FROM model_prices") == prices + 2


def test_only_a_repricing_moves_a_price_and_it_does_so_to_the_last_digit(tmp_path: Path) -> None:
    # langfuse/langfuse-docs#2018: how to recompute what the past cost
    landed(tmp_path)
    before = costs()
    corrected(input="3.000001", output="12")
    corrected("openai/brand-new", input="1", output="2")
    landed_again = ingested(a_file(tmp_path, [a_record(1), a_record(6)], "again.jsonl"))
    assert (landed_again.counts.duplicates, costs()["r-1"]) == (1, before["r-1"])
    found = reprice(DAYS)
    assert costs() == {
        "r-1": Decimal("0.004200001"),
        "r-2": Decimal("0.003000001"),
        "r-3": Decimal("0.004200001"),
        "r-4": Decimal("0.0012"),
        "r-5": Decimal("0.5"),
        "r-6": Decimal("0.004200001"),
    }
    assert totals(found) == (
        3,
        before["r-1"] + before["r-2"] + before["r-3"],
        Decimal("0.011400003"),
        1,
        Decimal("0.0012"),
    )
    row = facts("price_set_id, cost_source", "external_id = 'r-4'")[0]
    assert (row.cost_source, one(f"SELECT model FROM price_sets WHERE id = {row.price_set_id}")) == (
        "priced",
        "openai/brand-new",
    )
    changes = {
        (model, each.token_class): (each.before, each.after) for (model, each), _ in found.rate_changes().items()
    }
    assert changes["openai/gpt-4o", "output"] == (per_token("0.00001"), per_token("0.000012"))
    assert changes["openai/brand-new", "input"] == (None, per_token("0.000001"))


def test_repriced_days_are_restated_with_their_cause_and_who_did_it_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    landed(tmp_path)
    roll_up_days(None)
    corrected(input="3", output="12", since=SECOND)
    reprice(DAYS)
    assert str(roll_up_days(None)) == "1 day with 1 request rolled up: 1 restated"
    with transaction() as connection:
        [told] = rollups.restatements(connection, FIRST, SECOND)
    assert (told.day, told.rows, told.why(), told.after.cost) == (SECOND, 1, "priced again", Decimal("0.0042"))
    with transaction() as connection:
        row = connection.execute(text("SELECT * FROM repricings")).one()
    from tasks.settings import settings

    assert (row.status, row.actor, row.looked_at, row.unpriced) == ("done", settings().actor, 4, 1)


def test_a_repricing_run_twice_changes_nothing_more(tmp_path: Path) -> None:
    landed(tmp_path)
    corrected(input="3", output="12")
    assert reprice(DAYS).total().rows == 3
    roll_up_days(None)
    again = reprice(DAYS)
    assert again.sentence() == "4 requests looked at: no cost changed"
    assert one("SELECT count(*) FROM rollup_dirty") == 0


def test_a_price_that_is_found_no_more_stays(tmp_path: Path) -> None:
    landed(tmp_path)
    with transaction() as connection:
        connection.execute(text("DELETE FROM model_prices"))
        connection.execute(text("UPDATE requests SET model = 'unheard-of' WHERE external_id = 'r-1'"))
    before = costs()
    found = reprice(DAYS)
    assert (found.kept, found.unpriced, costs()) == (1, 1, before)


def test_an_interrupted_repricing_goes_on_and_reports_all_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    landed(tmp_path)
    corrected(input="3", output="12")
    monkeypatch.setattr(store_repricing, "PAGE_ROWS", 1)
    stop = threading.Event()
    stop.set()
    first = reprice(DAYS, stop=stop)
    assert (first.stopped, first.total().rows, one("SELECT status FROM repricings")) == (True, 1, "running")
    whole = reprice(DAYS)
    assert (whole.id, whole.stopped, whole.total().rows) == (first.id, False, 3)
    assert one("SELECT string_agg(status, ' ') FROM repricings") == "done"


def test_cut_at_any_statement_its_record_is_what_it_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    landed(tmp_path)
    before = sum(cost for cost in costs().values() if cost is not None)
    corrected(input="3", output="12")
    monkeypatch.setattr(store_repricing, "PAGE_ROWS", 1)
    cuts = 0
    while True:
        countdown = [cuts]

        def cut(*_: Any, left: list[int] = countdown) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise ConnectionAbortedError("cut")

        event.listen(engine(), "before_cursor_execute", cut)
        try:
            reprice(DAYS)
            break
        except ConnectionAbortedError:
            cuts += 1
        finally:
            event.remove(engine(), "before_cursor_execute", cut)
        recorded = one("SELECT coalesce(sum(cost_after - cost_before), 0) FROM repriced")
        assert sum(cost for cost in costs().values() if cost is not None) - before == recorded
    assert cuts > 20
    assert one("SELECT sum(rows) FROM repriced") == 3, "none was changed twice"
    assert one("SELECT sum(rows) FROM rollup_dirty WHERE cause = 'reprice'") == 3


def test_days_that_lost_requests_to_retention_are_left_alone(tmp_path: Path) -> None:
    ingested(a_file(tmp_path, [a_record(1, at="2026-05-20T10:00:00Z"), a_record(2)]))
    with transaction() as connection:
        drop_before(connection, "requests", FIRST, "test")
    corrected(since=date(2026, 5, 1), input="3", output="12")
    found = reprice((date(2026, 5, 31), FIRST))
    assert (found.frozen, found.total().rows) == ((date(2026, 5, 31),), 1)


def test_two_repricings_at_once_are_one_too_many(tmp_path: Path) -> None:
    with store_repricing.alone(), pytest.raises(AssayError, match="are being repriced just now"):
        reprice(DAYS)


def test_the_report_tells_old_new_and_rows_by_model_and_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_REPORTS", str(tmp_path / "reports"))
    from tasks.settings import settings

    settings.cache_clear()
    landed(tmp_path)
    before = costs()
    corrected(input="3", output="12")
    corrected("openai/brand-new", input="1", output="2")
    dry, done = publish_repricing(reprice(DAYS, dry_run=True)), publish_repricing(reprice(DAYS))
    told, would = json.loads(done.json.read_text()), json.loads(dry.json.read_text())
    assert (told["dry_run"], would["dry_run"]) == (False, True)
    assert told["groups"] == would["groups"], "a dry run says what is then done"
    assert told["total"] == would["total"]
    assert {day: (each["rows"], Decimal(each["after"])) for day, each in told["by_day"].items()} == {
        "2026-06-01": (2, Decimal("0.0072")),
        "2026-06-02": (1, Decimal("0.0042")),
    }
    assert Decimal(told["by_model"]["openai/gpt-4o"]["before"]) == before["r-1"] + before["r-2"] + before["r-3"]
    rows = list(csv.DictReader(done.csv.open(newline="")))
    assert sum(int(row["requests"]) for row in rows) == 4
    assert [row["cost_before_usd"] for row in rows if row["model"] == "brand-new"] == [""]
    page, dry_page = done.html.read_text(), dry.html.read_text()
    for words in ("openai/gpt-4o", "2026-06-02", "instead of", "unpriced request"):
        assert words in page
    assert "Dry run" in dry_page
    assert "Sample data" not in page
    assert "Dry run" not in page


def test_made_up_requests_are_called_so_in_the_report(tmp_path: Path) -> None:
    from reports.reprice_twins import as_html

    ingested(a_file(tmp_path, [a_record(1)]), sample_data=True)
    found = reprice(DAYS, dry_run=True)
    assert found.sample_data
    assert "Sample data" in as_html(found)
