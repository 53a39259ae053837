"""Files of requests on their way into a real Postgres: what lands, what waits, and that nothing is lost or doubled."""

import random
import threading
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from evaluations.errors import AssayError
from tasks.ingest import reading
from tasks.ingest.ingesting import IngestRequest, ingest_file
from tasks.ingest.retrying import retry
from tasks.store.database import transaction
from tasks.store.partitions import drop_before
from tests.tasks.ingest.builders import a_file, a_record, facts, ingested, one, waiting

pytestmark = pytest.mark.usefixtures("store")


def test_a_request_lands_with_its_price_and_marks_its_day(tmp_path: Path) -> None:
    batch = ingested(a_file(tmp_path, [a_record(status="success", latency_ms=450.5, quality=0.9)]))
    assert (batch.status, batch.counts.rows, batch.counts.landed, batch.counts.unpriced) == ("done", 1, 1, 0)
    [row] = facts()
    assert (row.external_id, row.feature, row.input_tokens, row.output_tokens) == ("r-1", "chat", 1000, 100)
    assert (row.latency_ms, row.quality, row.usage_known, row.rating) == (450.5, 0.9, True, None)
    prices = one("SELECT prices FROM price_sets")
    by_hand = 1000 * Decimal(prices["input"][0][1]) + 100 * Decimal(prices["output"][0][1])
    assert (row.cost, row.cost_source) == (by_hand, "priced")
    assert one("SELECT id FROM price_sets") == row.price_set_id
    assert one("SELECT day || ' ' || rows || ' ' || cause FROM rollup_dirty") == "2026-06-01 1 ingest"


def test_the_same_file_twice_lands_once(tmp_path: Path) -> None:
    path = a_file(tmp_path, [a_record(n) for n in range(20)] + [a_record(20, input_tokens=-1)])
    first, second = ingested(path), ingested(path)
    assert (first.counts.landed, first.counts.quarantined) == (20, 1)
    assert (second.counts.landed, second.counts.duplicates, second.counts.quarantined) == (0, 20, 1)
    assert len(facts()) == 20
    [refused] = waiting()
    assert refused.seen == 2
    assert one("SELECT count(*) FROM rollup_dirty") == 1, "a day is not dirty for what was there already"


def test_rows_without_an_id_are_known_by_their_content(tmp_path: Path) -> None:
    rows = [a_record(external_id=None, input_tokens=n) for n in (1, 2, 2)]
    assert ingested(a_file(tmp_path, rows)).counts.landed == 2
    again = [{name: row[name] for name in reversed(row)} for row in rows]
    assert ingested(a_file(tmp_path, again)).counts.duplicates == 3, "the order of fields is no content"


def test_an_id_lands_once_whatever_its_timestamp_and_a_contradiction_waits(tmp_path: Path) -> None:
    ingested(a_file(tmp_path, [a_record(at="2026-06-01T10:00:00Z")]))
    batch = ingested(a_file(tmp_path, [a_record(at="2026-03-01T10:00:00Z")]))
    assert (batch.counts.landed, batch.counts.duplicates, batch.counts.quarantined) == (0, 0, 1)
    [refused] = waiting()
    assert refused.reason == "the id is there already, at 2026-06-01T10:00:00Z, with other content"
    assert [row.at.month for row in facts()] == [6]


def test_within_a_file_the_first_of_an_id_counts(tmp_path: Path) -> None:
    batch = ingested(a_file(tmp_path, [a_record(quality=0.5), a_record(quality=0.5), a_record(quality=0.1)]))
    assert (batch.counts.landed, batch.counts.duplicates, batch.counts.quarantined) == (1, 1, 1)
    assert [row.quality for row in facts()] == [0.5]


def test_the_same_id_of_two_sources_is_two_requests(tmp_path: Path) -> None:
    path = a_file(tmp_path, [a_record()])
    ingested(path, source="web")
    assert ingested(path, source="app").counts.landed == 1


def test_old_and_late_rows_get_partitions_of_their_months(tmp_path: Path) -> None:
    days = ["2019-12-31T23:59:59Z", "2026-06-30T23:59:59.999999Z", "2026-07-01T00:00:00Z", "2026-01-01T00:00:00+02:00"]
    assert ingested(a_file(tmp_path, [a_record(n, at=at) for n, at in enumerate(days)])).counts.landed == 4
    with transaction() as connection:
        rows = connection.execute(text("SELECT external_id, CAST(tableoid AS regclass)::text AS part FROM requests"))
        assert {row.external_id: row.part for row in rows} == {
            "r-0": "requests_2019_12",
            "r-1": "requests_2026_06",
            "r-2": "requests_2026_07",
            "r-3": "requests_2025_12",
        }


def test_rows_of_a_dropped_month_wait_and_do_not_make_it_anew(tmp_path: Path) -> None:
    ingested(a_file(tmp_path, [a_record(1, at="2026-01-05T00:00:00Z"), a_record(2)]))
    with transaction() as connection:
        gone = drop_before(connection, "requests", one_day := facts("at")[1].at.date().replace(day=1), "test")
    assert ([each.name for each in gone], one_day.month) == (["requests_2026_01"], 6)
    batch = ingested(a_file(tmp_path, [a_record(3, at="2026-01-06T00:00:00Z"), a_record(4)]))
    assert (batch.counts.landed, batch.counts.quarantined) == (1, 1)
    assert waiting()[0].reason == "at is in January 2026, which retention dropped: its facts are frozen"


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"input_tokens": -1}, "input_tokens is -1, not a whole number from 0 to 1,000,000,000"),
        ({"input_tokens": 1.5}, "input_tokens is 1.5, not a whole number from 0 to 1,000,000,000"),
        ({"input_tokens": "many"}, "input_tokens is 'many', not a whole number from 0 to 1,000,000,000"),
        ({"at": "2020-13-01"}, "at is '2020-13-01', not a time; at is missing"),
        ({"at": None}, "at is missing: when the request began"),
        ({"at": 0}, "at is 1970-01-01T00:00:00Z, before 2000: no time of a request"),
        ({"at": "2126-01-01T00:00:00Z"}, "at lies in the future: 2126-01-01T00:00:00Z"),
        ({"cost": "0.5", "currency": "EUR"}, "currency is 'EUR'; only USD is taken"),
        ({"cost": "NaN"}, "cost is 'NaN', not an amount from 0"),
        ({"rating": 6}, "rating is 6, not a whole number from 1 to 5"),
        ({"status": "fine"}, "status is 'fine', not one of success, error"),
        ({"resolution": "resolved_by_magic"}, "resolution is 'resolved_by_magic', not one of resolved"),
        ({"quality": 95}, "quality is 95, not a number from 0 to 1"),
        ({"feature": None}, "feature is missing"),
        ({"feature": ["chat"]}, "feature is ['chat'], not a text"),
        ({"feature": "a\0b"}, "feature holds a zero character"),
        ({"feature": "x" * 600}, "feature is longer than 512 characters"),
        ({"latncy_ms": 3}, "no field is called 'latncy_ms'; did you mean latency_ms?"),
        ({"follow_up_required": False, "follow_up_completed": True}, "follow_up_completed is true where"),
        ({"escalated_at": "2026-05-01T00:00:00Z"}, "escalated_at lies before the request began"),
        ({"external_id": "jane@example.com"}, "external_id holds an e-mail address"),
    ],
)
def test_a_bad_row_waits_with_line_and_reason_and_the_good_ones_land(
    tmp_path: Path, given: dict[str, Any], reason: str
) -> None:
    batch = ingested(a_file(tmp_path, [a_record(1), a_record(2, **given), a_record(3)]))
    assert (batch.counts.landed, batch.counts.quarantined) == (2, 1)
    [refused] = waiting()
    assert refused.line == 2
    assert reason in refused.reason


def test_lines_that_are_no_records_are_named_and_those_around_them_land(tmp_path: Path) -> None:
    lines: list[dict[str, Any] | bytes] = [
        a_record(1),
        b'{"external_id": "r-2", ',
        b'{"feature": "caf\xe9"}',
        b"[1, 2]",
        b"",
        a_record(3),
    ]
    batch = ingested(a_file(tmp_path, lines))
    assert (batch.counts.rows, batch.counts.landed) == (5, 2)
    assert [(row.line, row.reason.split(":")[0]) for row in sorted(waiting(), key=lambda row: row.line)] == [
        (2, "the line is not JSON"),
        (3, "the line is not UTF-8 text"),
        (4, "the line is JSON, but no object"),
    ]
    assert {row.record for row in waiting()} == {None}, "what cannot be parsed cannot be scrubbed, and is not kept"


def test_a_gzip_that_was_cut_lands_up_to_there_and_says_so(tmp_path: Path) -> None:
    records = [a_record(n, comment=f"{random.Random(n).random()}") for n in range(5_000)]
    whole = a_file(tmp_path, records, "whole.jsonl.gz").read_bytes()
    cut = tmp_path / "cut.jsonl.gz"
    cut.write_bytes(whole[: len(whole) // 2])
    batch = ingested(cut)
    assert batch.status == "partial"
    assert "the file breaks off: its gzip stream has no end" in batch.stop_reason
    assert 1_000 < batch.counts.landed < 5_000
    rest = ingested(tmp_path / "whole.jsonl.gz")
    assert (rest.status, rest.counts.landed + batch.counts.landed) == ("done", 5_000)


def test_a_file_longer_than_a_chunk_lands_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "CHUNK_ROWS", 7)
    batch = ingested(a_file(tmp_path, [a_record(n % 45, feature=f"f-{n % 45}") for n in range(50)]))
    assert (batch.counts.rows, batch.counts.landed, batch.counts.duplicates) == (50, 45, 5)


def test_personal_data_are_taken_out_before_anything_is_written(tmp_path: Path) -> None:
    secret = "jane.doe@example.com"
    rows = [
        a_record(1, comment=f"write to {secret} or +1 415 555 0100", subject=secret, category=secret),
        a_record(2, rating=9, comment=secret, subject=secret),
        a_record(3, rating=secret),
        a_record(4, subject=secret),
    ]
    batch = ingested(a_file(tmp_path, rows))
    assert (batch.counts.landed, batch.counts.quarantined) == (2, 2)
    assert batch.scrubbed == {"email": 3, "phone": 1}
    first, fourth = facts()
    assert (first.comment, first.category) == ("write to [email] or [phone]", "[email]")
    assert first.subject == fourth.subject
    assert len(first.subject) == 16
    with transaction() as connection:
        for table in ("requests", "quarantine", "ingest_batches", "request_keys"):
            everything = connection.execute(text(f"SELECT coalesce(string_agg(t::text, ' '), '') FROM {table} t"))
            assert "jane" not in everything.scalar_one()


def test_a_row_whose_text_cannot_be_searched_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tasks.ingest import scrubbing

    def broken(given: str, kinds: Any = ()) -> Any:
        if "jane" in given:
            raise RecursionError("too deep")
        return iter(())

    monkeypatch.setattr(scrubbing, "pii_in", broken)
    batch = ingested(a_file(tmp_path, [a_record(1, comment="jane@example.com"), a_record(2)]))
    assert (batch.counts.landed, batch.counts.quarantined) == (1, 1)
    [refused] = waiting()
    assert (refused.record, "jane" in refused.reason) == (None, False)


def test_what_has_no_price_costs_null_and_is_counted(tmp_path: Path) -> None:
    rows = [
        a_record(1, model="nobody-knows"),
        a_record(2, input_tokens=None, output_tokens=None),
        a_record(3, model=None, provider=None),
        a_record(4, model="nobody-knows", cost="0.0123"),
        a_record(5, model="nobody-knows", reported_cost=0.5),
    ]
    batch = ingested(a_file(tmp_path, rows))
    assert (batch.counts.landed, batch.counts.unpriced) == (5, 3)
    assert [(row.cost, row.cost_source) for row in facts()] == [
        (None, None),
        (None, None),
        (None, None),
        (Decimal("0.0123"), "stated"),
        (None, None),
    ]


def test_a_mended_row_comes_back_from_quarantine(tmp_path: Path) -> None:
    ingested(
        a_file(tmp_path, [a_record(1, rating=9, subject="jane"), a_record(2, rating=7), a_record(3, subject="jane")])
    )
    first, second = waiting()
    assert str(retry([first.id])) == "0 landed, 1 still wait."
    assert str(retry([first.id], given={"rating": "4"})) == "1 landed, 0 still wait."
    assert [row.id for row in waiting()] == [second.id]
    landed, mended = facts("external_id, rating, subject")
    assert (mended.external_id, mended.rating) == ("r-1", 4)
    assert mended.subject == landed.subject, "it stayed the same person"
    with pytest.raises(AssayError, match="no row 99 waits"):
        retry([99])


def test_two_ingests_of_the_same_ids_at_once_land_each_once(tmp_path: Path) -> None:
    rows = [a_record(n) for n in range(400)]
    paths = [a_file(tmp_path, order, f"{n}.jsonl") for n, order in enumerate((rows, rows[::-1]))]
    done = []
    threads = [threading.Thread(target=lambda path=path: done.append(ingested(path))) for path in paths]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sum(batch.counts.landed for batch in done) == len(facts()) == 400
    assert sum(batch.counts.duplicates for batch in done) == 400


def test_an_ingest_that_is_asked_to_stop_keeps_what_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "CHUNK_ROWS", 10)
    path, stop = a_file(tmp_path, [a_record(n) for n in range(30)]), threading.Event()
    stop.set()
    batch = ingest_file(IngestRequest(file=path), stop)
    assert (batch.status, batch.counts.landed) == ("partial", 10)
    assert ingested(path).counts.landed == 20


def test_csv_and_parquet_land_like_json_lines(tmp_path: Path) -> None:
    import pandas as pd

    rows = [a_record(n, latency_ms=n * 1.5, cache_hit=bool(n % 2), cost=0.1 if n else None) for n in range(6)]
    frame = pd.DataFrame(rows)
    frame.to_csv(tmp_path / "rows.csv", index=False)
    frame.to_parquet(tmp_path / "rows.parquet")
    assert ingested(a_file(tmp_path, rows)).counts.landed == 6
    for name in ("rows.csv", "rows.parquet"):
        assert ingested(tmp_path / name).counts.duplicates == 6, f"{name} says the same of the same requests"


def test_a_csv_row_that_has_not_the_fields_of_its_head_waits(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(
        b"external_id,at,feature\nr-1,2026-06-01,chat\nr-2,2026-06-01\nr-3,2026-06-01,caf\xe9\nr-4,2026-06-01,x\n"
    )
    assert ingested(path).counts.landed == 2
    assert [(row.line, row.reason) for row in waiting()] != []
    assert {row.line: row.reason for row in waiting()} == {
        3: "the row has 2 fields, the head 3",
        4: "feature is not UTF-8 text",
    }


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nothing.jsonl", "there is no file"),
        ("requests.xml", "is of no known kind"),
        ("head.csv", "has to name its columns"),
    ],
)
def test_a_file_that_cannot_be_one_is_refused(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "requests.xml").write_text("<a/>")
    (tmp_path / "head.csv").write_text("a,a\n1,2\n")
    with pytest.raises(AssayError, match=said):
        ingested(tmp_path / name)
