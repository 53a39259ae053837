"""Retention: whole months and weeks that are old enough go by themselves, and no fact goes untold."""

import asyncio
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tasks.retention import apply_retention, retention_plan
from tasks.rollups import roll_up_days
from tasks.settings import Settings
from tasks.store import partitions
from tasks.store.database import engine, transaction
from tasks.store.partitions import existing
from tests.cli.commands import assay_here
from tests.tasks.ingest.builders import a_file, a_record, facts, ingested, one, waiting
from tests.tasks.ingest.test_formats import a_span

pytestmark = pytest.mark.usefixtures("store")
TODAY = date(2026, 6, 20)


def landed(folder: Path) -> None:
    months = ("2026-04-30T23:59:59Z", "2026-05-01T00:00:00Z", "2026-06-01T00:00:00Z")
    ingested(a_file(folder, [a_record(n, at=at) for n, at in enumerate(months)]))
    export = {"resourceSpans": [{"resource": {"attributes": []}, "scopeSpans": [{"spans": [a_span(1)]}]}]}
    ingested(a_file(folder, [export], "spans.jsonl"), format="otlp")


def keeping(requests: int | None = None, spans: int | None = None) -> Settings:
    return Settings(keep_requests_days=requests, keep_spans_days=spans)


def parts(table: Any) -> list[str]:
    with transaction() as connection:
        return sorted(each.name for each in existing(connection, table))


def test_without_a_setting_everything_is_kept(tmp_path: Path) -> None:
    landed(tmp_path)
    roll_up_days(None)
    assert str(apply_retention(Settings(), date(2200, 1, 1))) == "0 old partitions dropped"
    assert len(facts()) == 3


def test_whole_months_and_weeks_go_and_their_rollups_stay(tmp_path: Path) -> None:
    landed(tmp_path)
    roll_up_days(None)
    told = apply_retention(keeping(requests=50, spans=10), TODAY)
    assert str(told) == "2 old partitions dropped (requests_2026_04, spans_2026_05_25)"
    assert parts("requests") == ["requests_2026_05", "requests_2026_06"]
    assert parts("spans") == []
    assert (len(facts()), one("SELECT sum(requests) FROM usage_daily")) == (2, 3)
    assert str(apply_retention(keeping(requests=50, spans=10), TODAY)) == "0 old partitions dropped"
    late = ingested(a_file(tmp_path, [a_record(9, at="2026-04-30T12:00:00Z")], "late.jsonl"))
    assert (late.counts.quarantined, parts("requests")) == (1, ["requests_2026_05", "requests_2026_06"])
    assert "April 2026, which retention dropped: its facts are frozen" in waiting()[0].reason


def test_a_month_with_a_day_that_is_not_rolled_up_stays_until_it_is(tmp_path: Path) -> None:
    landed(tmp_path)
    told = apply_retention(keeping(requests=1), TODAY)
    assert str(told) == (
        "0 old partitions dropped, requests_2026_04, requests_2026_05 waits to be rolled up first (assay rollup)"
    )
    roll_up_days(None)
    assert [each.name for each in apply_retention(keeping(requests=1), TODAY).gone] == [
        "requests_2026_04",
        "requests_2026_05",
    ]


def test_a_table_that_somebody_reads_for_long_is_left_for_the_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partitions, "PATIENCE", "100ms")
    landed(tmp_path)
    roll_up_days(None)
    with engine().connect() as connection, connection.begin():
        connection.exec_driver_sql("SELECT count(*) FROM requests")
        told = apply_retention(keeping(requests=1), TODAY)
    assert (told.gone, told.busy) == ((), ("requests",))


def test_housekeeping_lets_old_partitions_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tasks.settings import settings
    from tasks.sweeping import drop_old_partitions

    landed(tmp_path)
    roll_up_days(None)
    monkeypatch.setenv("ASSAY_KEEP_REQUESTS_DAYS", "1")
    settings.cache_clear()
    told = asyncio.run(drop_old_partitions.fn())
    assert "requests_2026_04, requests_2026_05" in told
    assert "requests_2026_05" not in parts("requests")


def test_the_command_shows_what_there_is_and_what_would_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tasks.settings import settings

    landed(tmp_path)
    roll_up_days(None)
    assert "requests: kept for ever (ASSAY_KEEP_REQUESTS_DAYS), 0 dropped so far" in assay_here("retention").out
    monkeypatch.setenv("ASSAY_KEEP_REQUESTS_DAYS", "100000")
    monkeypatch.setenv("ASSAY_KEEP_SPANS_DAYS", "1")
    settings.cache_clear()
    out = assay_here("retention").out
    assert "requests: kept 100,000 days" in out
    assert "2026-05-25 to 2026-06-01, without that day" in out
    assert "old enough to go" in out
    assert assay_here("retention", "--apply").out == "1 old partition dropped (spans_2026_05_25).\n"
    assert [each.dropped for each in retention_plan()] == [0, 1]
