"""Files that are broken in every way that files are: each row lands or is named, memory is bounded, nothing is lost."""

import gzip
import json
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evaluations.errors import AssayError
from tasks.ingest import reading
from tasks.ingest.reading import read
from tests.tasks.ingest.builders import a_file, a_record, facts, ingested, one, waiting

WORDS = "never a word too many "
MEGABYTE = 1_000_000


@pytest.mark.usefixtures("store")
def test_of_a_file_with_every_trouble_each_line_is_accounted_for(tmp_path: Path) -> None:
    lines: list[dict[str, Any] | bytes] = [
        a_record(1),
        a_record(2, output_tokens=-5),
        a_record(3, cost=1, currency="EUR"),
        a_record(4, at="2199-01-01T00:00:00Z"),
        a_record(1),
        a_record(1, feature="another"),
        json.dumps(a_record(5, feature="caf\xe9"), ensure_ascii=False).encode("latin-1"),
        json.dumps(a_record(6)).encode("utf-16-le").replace(b"\n", b""),
        {**a_record(7), "requestModel": "gpt-4o"},
        a_record(8, input_tokens={"total": 5}),
        b'{"external_id": "r-9", "at"',
        b'{"a":' * 500 + b"1" + b"}" * 500,
        {**a_record(10), "extra": json.loads("[" * 300 + "]" * 300)},
        a_record(11),
    ]
    batch = ingested(a_file(tmp_path, lines))
    counts = batch.counts
    assert (counts.rows, counts.landed, counts.duplicates, counts.quarantined) == (len(lines), 2, 1, 11)
    assert {row.line: row.reason.split(":")[0][:60] for row in waiting()} == {
        2: "output_tokens is -5, not a whole number from 0 to 1,000,000,",
        3: "currency is 'EUR'; only USD is taken, for a rate would be a ",
        4: "at lies in the future",
        6: "the id is there already, at 2026-06-01T10",
        7: "the line is not UTF-8 text",
        8: "the line is not JSON",
        9: "no field is called 'requestModel'. Name it with --field or l",
        10: "input_tokens is {'total'",
        11: "the line is not JSON",
        12: "the line is nested deeper than 100 levels",
        13: "the line is nested deeper than 100 levels",
    }


@pytest.mark.usefixtures("store")
def test_a_field_that_is_renamed_in_the_middle_stops_no_row_before_it(tmp_path: Path) -> None:
    drifted = [a_record(n, latency_ms=5) if n < 3 else {**a_record(n), "latencyMs": 5} for n in range(5)]
    batch = ingested(a_file(tmp_path, drifted))
    assert (batch.counts.landed, batch.counts.quarantined) == (3, 2)
    assert {row.reason for row in waiting()} == {
        "no field is called 'latencyMs'; did you mean latency_ms? Name it with --field or leave it out with --ignore"
    }


@pytest.mark.usefixtures("store")
def test_a_mark_before_utf8_is_no_part_of_the_first_row(tmp_path: Path) -> None:
    path = tmp_path / "marked.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(a_record(1)).encode() + b"\r\n" + json.dumps(a_record(2)).encode())
    assert ingested(path).counts.landed == 2


@pytest.mark.usefixtures("store")
def test_a_gzip_that_is_damaged_in_the_middle_is_refused_before_a_row_lands(tmp_path: Path) -> None:
    """What follows the damage would partly read like rows, with other numbers in them."""
    records = [a_record(n, comment=f"{n * 7919 % 100_003}") for n in range(3_000)]
    packed = bytearray(a_file(tmp_path, records, "whole.jsonl.gz").read_bytes())
    middle = len(packed) // 2
    packed[middle : middle + 40] = bytes(40)
    (tmp_path / "damaged.jsonl.gz").write_bytes(packed)
    with pytest.raises(AssayError, match=r"damaged.jsonl.gz is damaged: .*Nothing of it was taken; copy it anew"):
        ingested(tmp_path / "damaged.jsonl.gz")
    assert facts("id") == []
    assert one("SELECT status FROM ingest_batches") == "failed"


@pytest.mark.usefixtures("store")
def test_a_quote_that_is_never_closed_names_all_the_lines_it_took(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text('external_id,at,feature\nr-1,2026-06-01,chat\nr-2,2026-06-01,"chat\nr-3,2026-06-01,chat\n')
    batch = ingested(path)
    assert (batch.counts.landed, batch.counts.quarantined) == (1, 1)
    assert waiting()[0].reason == "lines 3 to 4 are not CSV: unexpected end of data"


def test_parquet_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "rows.parquet").write_bytes(b"PAR1" + bytes(100))
    with pytest.raises(AssayError, match=r"rows.parquet is not readable as Parquet"):
        list(read(tmp_path / "rows.parquet"))


def test_one_json_value_that_is_cut_is_refused_whole(tmp_path: Path) -> None:
    whole = gzip.compress(json.dumps([a_record(n) for n in range(100)]).encode())
    (tmp_path / "rows.json.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(AssayError, match=r"breaks off: its gzip stream has no end.*Nothing of it was taken"):
        list(read(tmp_path / "rows.json.gz"))


@pytest.mark.parametrize("cut", [1, 2, 7, 64, 1_000])
def test_lines_are_the_same_however_the_file_is_cut_into_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut: int
) -> None:
    content = b'{"a": 1}\r\n\n{"a": 2}\n' + b'{"a": "' + b"x" * 50 + b'"}\n{"a": 3}\n{"a": "no end"}'
    (tmp_path / "rows.jsonl").write_bytes(content)
    monkeypatch.setattr(reading, "BLOCK_BYTES", cut)
    monkeypatch.setattr(reading, "LONGEST_LINE", 40)
    [chunk] = read(tmp_path / "rows.jsonl")
    assert list(zip(chunk.lines, [each["a"] for each in chunk.records], strict=True)) == [
        (1, 1),
        (3, 2),
        (5, 3),
        (6, "no end"),
    ]
    assert [(bad.line, bad.reason) for bad in chunk.bad] == [(4, "the line is longer than 0 MB")]


@pytest.mark.usefixtures("store")
def test_memory_does_not_grow_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same as the gigabyte below, with smaller chunks and a smaller file."""
    monkeypatch.setattr(reading, "CHUNK_BYTES", MEGABYTE)
    monkeypatch.setattr(reading, "LONGEST_LINE", MEGABYTE)
    ingested(a_file(tmp_path, [a_record(-1)]))
    path = tmp_path / "large.jsonl"
    with path.open("wb") as file:
        for line in long_lines(450):
            file.write(line)
        file.write(b"x" * 12 * MEGABYTE + b"\n" + json.dumps(a_record("last")).encode())  # type: ignore[arg-type]
    tracemalloc.start()
    try:
        batch = ingested(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert path.stat().st_size > 20 * MEGABYTE
    assert peak < 12 * MEGABYTE
    assert (batch.counts.landed, batch.counts.quarantined) == (451, 1)
    assert waiting()[0].reason == "the line is longer than 1 MB"


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_a_file_of_a_gigabyte_lands_whole_in_bounded_memory(store: str, tmp_path: Path) -> None:
    path = tmp_path / "gigabyte.jsonl"
    with path.open("wb") as file:
        for line in long_lines(53_000):
            file.write(line)
    assert path.stat().st_size > 1_000 * MEGABYTE
    code = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from tasks.ingest.ingesting import IngestRequest, ingest_file\n"
        "counts = ingest_file(IngestRequest(file=Path(sys.argv[1]))).counts\n"
        "print(counts.landed, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True, timeout=2500
    )
    landed, kilobytes = map(int, done.stdout.split())
    assert (landed, len(facts("id"))) == (53_000, 53_000)
    assert kilobytes < 900_000
    assert one("SELECT sum(length(comment)) FROM requests") > 1_000 * MEGABYTE


def long_lines(count: int) -> Iterator[bytes]:
    """Rows with comments as long as they may be."""
    comment = (WORDS * 1_000)[:19_000]
    for number in range(count):
        yield json.dumps(a_record(number, comment=comment)).encode() + b"\n"
