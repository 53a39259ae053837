"""Files of records, read in chunks: JSON lines, CSV and Parquet, gzipped or not. Memory does not grow with the file.

A line that is no record is named with its reason; what stands after it is read on. A file that breaks off in the
middle gives its lines up to there, and then says so.
"""

import csv
import gzip
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path
from typing import Any, cast

import orjson

from evaluations.errors import AssayError
from tasks.documents import shown

CHUNK_ROWS = 100_000
CHUNK_BYTES = 48_000_000
"""A chunk ends at this size as well, however few its rows are."""
LONGEST_LINE = 16_000_000
"""A longer line is no record: it is skipped without being held in memory."""
BLOCK_BYTES = 1_000_000
_MARK = "\ufeff".encode()
"""Byte order mark, with which some programs begin UTF-8."""
DEEPEST = 100
"""Levels of a record: one that is nested deeper could not be searched and hashed."""
Record = Mapping[str, Any]
Stream = BufferedReader | gzip.GzipFile


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that is no record."""

    line: int
    reason: str
    content: bytes
    """As it stands in the file, for its hash alone: what cannot be parsed cannot be scrubbed either."""


@dataclass(slots=True)
class Chunk:
    """Records of consecutive lines. `lines` holds the number of each record's line, from 1."""

    lines: list[int] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    bad: list[BadLine] = field(default_factory=list)
    broken_off: str = ""
    """Why nothing comes after this chunk although the file goes on."""

    @property
    def rows(self) -> int:
        return len(self.records) + len(self.bad)


def read(path: Path) -> Iterator[Chunk]:
    """The records of a file, chunk by chunk; its kind is told by the end of its name.

    Raises AssayError at once when it is not there or of no known kind, and on the way when it cannot be one.
    """
    if not path.is_file():
        raise AssayError(f"there is no file {shown(path)}; name files of requests, one or several.")
    name = path.name.removesuffix(".gz")
    kinds: Mapping[str, Callable[[Path], Iterator[Chunk]]] = {
        ".jsonl": _json_lines,
        ".ndjson": _json_lines,
        ".json": _json_document,
        ".csv": _csv_rows,
        ".parquet": _parquet_rows,
    }
    reader = kinds.get(Path(name).suffix.lower())
    if reader is None:
        raise AssayError(
            f"{shown(path)} is of no known kind; it has to end in {', '.join(kinds)}, with .gz or without."
        )
    return reader(path)


def _json_lines(path: Path) -> Iterator[Chunk]:
    for batch in _line_batches(path):
        chunk = Chunk(broken_off=batch.broken_off)
        for number, line in batch.lines:
            if not line.strip():
                continue
            record = _parsed(line.removeprefix(_MARK) if number == 1 else line)
            if isinstance(record, str):
                chunk.bad.append(BadLine(number, record, line))
            else:
                chunk.lines.append(number)
                chunk.records.append(record)
        yield chunk


def _parsed(line: bytes) -> Record | str:
    """The record of a line, or why there is none."""
    if len(line) > LONGEST_LINE:
        return f"the line is longer than {LONGEST_LINE // 1_000_000} MB"
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError as problem:
        try:
            line.decode()
        except UnicodeDecodeError as undecodable:
            return f"the line is not UTF-8 text: byte {undecodable.start + 1} is 0x{line[undecodable.start]:02x}"
        return f"the line is not JSON: {problem.msg} at character {problem.colno}"
    if line.count(b"{") + line.count(b"[") > DEEPEST and _is_too_deep(record):
        return f"the line is nested deeper than {DEEPEST} levels"
    return record if isinstance(record, dict) else "the line is JSON, but no object"


def _is_too_deep(value: Any) -> bool:
    level = [value]
    for _ in range(DEEPEST + 1):
        level = [
            within
            for each in level
            if isinstance(each, dict | list)
            for within in (each.values() if isinstance(each, dict) else each)
        ]
    return bool(level)


def _json_document(path: Path) -> Iterator[Chunk]:
    """A file that is one JSON value: a list of records, or one. Read whole, so for exports and not for logs."""
    with _opened(path) as stream:
        try:
            content = stream.read(CHUNK_BYTES * 8 + 1)
        except (EOFError, zlib.error, gzip.BadGzipFile) as problem:
            raise AssayError(f"{shown(path)} breaks off: {_why(problem)}. Nothing of it was taken.") from None
    if len(content) > CHUNK_BYTES * 8:
        raise AssayError(
            f"{shown(path)} is one JSON value of more than {CHUNK_BYTES * 8 // 10**6} MB; make it JSON lines."
        )
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError:
        yield from _json_lines(path)  # JSON lines under the other name
        return
    chunk = Chunk()
    for number, record in enumerate(value if isinstance(value, list) else [value], 1):
        if _is_too_deep(record):
            reason = f"the entry is nested deeper than {DEEPEST} levels"
            chunk.bad.append(BadLine(number, reason, f"{shown(path)} {number}".encode()))
        elif isinstance(record, dict):
            chunk.lines.append(number)
            chunk.records.append(record)
        else:
            chunk.bad.append(BadLine(number, "the entry is no object", orjson.dumps(record)))
        if chunk.rows >= CHUNK_ROWS:
            yield chunk
            chunk = Chunk()
    yield chunk


def _csv_rows(path: Path) -> Iterator[Chunk]:
    head: list[str] | None = None
    csv.field_size_limit(LONGEST_LINE)
    source = _Source(path)
    rows = csv.reader(source, strict=True)
    chunk, size = Chunk(), 0
    while True:
        began = rows.line_num + 1
        try:
            row = next(rows)
        except StopIteration:
            break
        except csv.Error as problem:
            # A quote that is never closed takes the lines behind it along: all of them are named.
            lines = f"lines {began:,} to {rows.line_num:,} are" if rows.line_num > began else "the line is"
            chunk.bad.append(BadLine(rows.line_num, f"{lines} not CSV: {problem}", source.last))
            continue
        if head is None:
            head = _head(path, row)
            continue
        if not row:
            continue
        reason = _csv_fault(row, head)
        if reason:
            chunk.bad.append(BadLine(rows.line_num, reason, source.last))
        else:
            chunk.lines.append(rows.line_num)
            chunk.records.append(dict(zip(head, row, strict=True)))
        size += len(source.last)
        if chunk.rows >= CHUNK_ROWS or size >= CHUNK_BYTES:
            yield chunk
            chunk, size = Chunk(), 0
    chunk.broken_off = source.broken_off
    yield chunk


def _head(path: Path, row: list[str]) -> list[str]:
    head = [name.strip().removeprefix("\ufeff") for name in row]
    if len(set(head)) < len(head) or not all(head):
        raise AssayError(f"the first line of {shown(path)} has to name its columns, each once.")
    return head


def _csv_fault(row: list[str], head: list[str]) -> str:
    if len(row) != len(head):
        return f"the row has {len(row)} fields, the head {len(head)}"
    for name, value in zip(head, row, strict=True):
        if not value.isascii() and any("\ud800" <= sign <= "\udfff" for sign in value):
            return f"{name[:60]} is not UTF-8 text"
    return ""


class _Source:
    """The lines of a file as text for a CSV reader. Bytes that are no UTF-8 become lone surrogates."""

    def __init__(self, path: Path) -> None:
        self.last = b""
        """The line that was handed out last."""
        self.broken_off = ""
        self._batches = _line_batches(path)
        self._lines: Iterator[tuple[int, bytes]] = iter(())

    def __iter__(self) -> "_Source":
        return self

    def __next__(self) -> str:
        while True:
            for _, line in self._lines:
                self.last = line
                return line.decode(errors="surrogateescape") + "\n"
            batch = next(self._batches)
            self.broken_off = batch.broken_off
            self._lines = iter(batch.lines)


def _parquet_rows(path: Path) -> Iterator[Chunk]:
    import pyarrow.parquet
    from pyarrow import ArrowException

    try:
        file = pyarrow.parquet.ParquetFile(path)
        first = 1
        for batch in file.iter_batches(batch_size=CHUNK_ROWS):
            records = batch.to_pylist()
            yield Chunk(lines=list(range(first, first + len(records))), records=records)
            first += len(records)
    except (ArrowException, OSError) as problem:
        raise AssayError(f"{shown(path)} is not readable as Parquet: {str(problem).splitlines()[0][:200]}") from None


@dataclass(slots=True)
class _Lines:
    lines: list[tuple[int, bytes]]
    broken_off: str = ""


def _line_batches(path: Path) -> Iterator[_Lines]:
    """The numbered lines of a file without their ends, as many at a time as a chunk may hold."""
    with _opened(path) as stream:
        batch, size, number = _Lines([]), 0, 0
        blocks = _blocks_of_lines(stream)
        while True:
            try:
                lines = next(blocks, None)
            except (EOFError, zlib.error, gzip.BadGzipFile) as problem:
                batch.broken_off = f"after line {number:,} the file breaks off: {_why(problem)}"
                break
            if lines is None:
                break
            while lines:
                room = CHUNK_ROWS - len(batch.lines)
                fitting, lines = lines[:room], lines[room:]
                batch.lines += enumerate(fitting, number + 1)
                number += len(fitting)
                size += sum(map(len, fitting))
                if len(batch.lines) >= CHUNK_ROWS or size >= CHUNK_BYTES:
                    yield batch
                    batch, size = _Lines([]), 0
        yield batch


def _blocks_of_lines(stream: Stream) -> Iterator[list[bytes]]:
    """The lines of a stream, some at a time. Of one that is too long its beginning is given, and no more is held."""
    rest, too_long = b"", False
    while block := stream.read1(BLOCK_BYTES):  # not read(): what came before a damage would be lost with it
        if too_long:
            _, end, block = block.partition(b"\n")
            too_long = not end
        lines = (rest + block).split(b"\n")
        rest = lines.pop()
        if len(rest) > LONGEST_LINE:
            lines.append(rest[: LONGEST_LINE + 1])
            rest, too_long = b"", True
        yield [line.rstrip(b"\r") for line in lines] if b"\r" in block else lines
    if rest:
        yield [rest.rstrip(b"\r")]


def _opened(path: Path) -> Stream:
    try:
        if path.name.endswith(".gz"):
            _refuse_damaged(path)
            return cast(Stream, gzip.open(path, "rb"))
        return path.open("rb")
    except OSError as problem:
        raise AssayError(f"{shown(path)} cannot be read: {problem.strerror}.") from problem


def _refuse_damaged(path: Path) -> None:
    """Read a gzip once to its end: what stands behind a damage may read like rows and be wrong.

    One that was merely cut is right up to the cut.
    """
    try:
        with gzip.open(path, "rb") as stream:
            while stream.read1(BLOCK_BYTES):
                pass
    except EOFError:
        return
    except (zlib.error, gzip.BadGzipFile) as problem:
        raise AssayError(f"{shown(path)} is damaged: {_why(problem)}. Nothing of it was taken; copy it anew.") from None


def _why(problem: Exception) -> str:
    if isinstance(problem, EOFError):
        return "its gzip stream has no end, as if it had been cut while it was copied"
    return f"its gzip stream is damaged ({str(problem).splitlines()[0][:100]})"
