"""Datasets: a folder with cases under a contract, streamed row by row and checked on the way.

    datasets/support-triage/
        cases.jsonl        one JSON object a line; or .csv, both also gzipped, or .parquet
        contract.yaml      which columns are what, and what has to hold; may be left out

A dataset is read as a stream, one row in memory at a time. A row that cannot be used is not an end of it: it comes
out as a BadRow with its line and the reason. What makes the rest of a file unreadable (not UTF-8 at all, a gzip
bomb, a quote that is never closed) is an AssayError.

What is refused in a row, because it could not be stored, found again or compared later: text that is not UTF-8, NUL
characters and halves of surrogate pairs (Postgres takes neither), NaN and infinities, an id twice, a key twice.
"""

import csv
import gzip
import hashlib
import json
import math
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from difflib import get_close_matches
from functools import cached_property
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO, cast, get_args

from pydantic import ValidationError

from evaluations.cases import Automation, Case, Priority
from evaluations.errors import AssayError, InfrastructureError
from evaluations.specs import ContractSpec, FieldsSpec, ScorerSpec, content_hash
from tasks.documents import UNSTORABLE, parse_document, read_document, sentence, shown

CONTRACT = "contract.yaml"
ENDINGS = (".jsonl", ".jsonl.gz", ".csv", ".csv.gz", ".parquet")
MAX_UNPACKED = 2_000_000_000
"""Bytes that a gzipped file may unpack to."""
MAX_RATIO = 200
"""How many times its size a gzipped file may unpack to; repetitive JSON reaches about 30."""
ALWAYS_UNPACKED = 64_000_000
"""Bytes that any gzipped file may unpack to: the ratio of a small one says nothing."""
MAX_ID = 255
"""Characters of a case id; it is part of unique indexes, which have an upper limit."""


@dataclass(frozen=True)
class Dataset:
    """A folder of cases under a contract. Opening reads the contract and hashes the files; rows come later."""

    folder: Path
    spec: ContractSpec
    files: tuple[Path, ...]

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def description(self) -> str:
        return self.spec.description

    @property
    def licence(self) -> str:
        return self.spec.licence

    @property
    def sample_data(self) -> bool:
        """The contract says that the cases were made up for demonstration."""
        return self.spec.sample_data

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 over the bytes of the case files and how their columns are read: the dataset's version."""
        return content_hash(
            {
                "files": [[_format(file), _digest(file)] for file in self.files],
                "fields": self.spec.fields.model_dump(),
                "types": self.spec.types,
            }
        )

    @cached_property
    def contract_hash(self) -> str:
        """SHA-256 over what has to hold; with content_hash it says whether a check would be a repetition."""
        return content_hash(
            {
                "expectations": [each.model_dump() for each in self.spec.expectations],
                "max_case_bytes": self.spec.max_case_bytes,
            }
        )

    def place(self, file: str, line: int) -> str:
        """`line 17`, with its file when there are several."""
        unit = "row" if file.endswith(".parquet") else "line"
        return f"{file}, {unit} {line}" if len(self.files) > 1 else f"{unit} {line}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseRow:
    """A row that can be used."""

    line: int
    """Counted from 1 as an editor does; for Parquet the number of the row."""
    file: str
    case: Case
    record: Mapping[str, Any]
    """The row as it was read, for the contract."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BadRow:
    """A row that cannot be used, and why."""

    line: int
    file: str
    case_id: str | None
    """None when the row did not get far enough to have one."""
    reason: str


def open_dataset(folder: Path) -> Dataset:
    """The dataset in a folder.

    Raises AssayError if there is none, its contract is wrong, or a case file is missing, empty, of an unknown
    kind or outside the folder.
    """
    if not folder.is_dir():
        raise AssayError(f"there is no dataset folder {shown(folder)}{_near_folder(folder)}")
    contract = folder / CONTRACT
    spec = ContractSpec()
    if contract.exists():
        document = read_document(contract, "contract")
        spec = parse_document(document, ContractSpec, "contract")
    names = spec.cases or tuple(
        sorted(each.name for each in folder.iterdir() if each.name in {f"cases{end}" for end in ENDINGS})
    )
    if not names:
        wanted = ", ".join(f"cases{ending}" for ending in ENDINGS)
        raise AssayError(f"the dataset {shown(folder)} has no cases; it needs one of {wanted}")
    if len(names) > 1 and not spec.cases:
        raise AssayError(
            f"the dataset {shown(folder)} has {' and '.join(names)}; say in {CONTRACT} which of them are its `cases`"
        )
    return Dataset(folder=folder.resolve(), spec=spec, files=tuple(_case_file(folder, name) for name in names))


def _near_folder(folder: Path) -> str:
    siblings = [each.name for each in folder.parent.iterdir() if each.is_dir()] if folder.parent.is_dir() else []
    near = get_close_matches(folder.name, siblings, n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _case_file(folder: Path, name: str) -> Path:
    path = within(folder, folder, name, kind="case file")
    if not path.exists():
        near = get_close_matches(name, [each.name for each in folder.iterdir()], n=1)
        guess = f"; did you mean {near[0]}?" if near else ""
        raise AssayError(f"there is no case file {shown(folder / name)}{guess}")
    if path.is_dir():
        raise AssayError(f"the case file {shown(folder / name)} is a folder, not a file")
    if not path.is_file():
        raise AssayError(f"the case file {shown(folder / name)} is not a regular file")
    if not name.endswith(ENDINGS):
        raise AssayError(f"the case file {shown(folder / name)} is none of {', '.join(ENDINGS)}")
    if path.stat().st_size == 0:
        raise AssayError(f"the case file {shown(folder / name)} is empty")
    return path


def within(root: Path, folder: Path, name: str, *, kind: str) -> Path:
    """The path `name` below `folder`, refused when it leads out of `root`: by `..`, from `/` or by a symlink.

    A suite may come from somebody else; it names files of its own and reads nothing else of this machine.
    """
    if "\x00" in name or not name:
        raise AssayError(f"the {kind} {name!r} is not a path")
    if Path(name).is_absolute():
        raise AssayError(f"the {kind} {name} is an absolute path; name it relative to {shown(folder)}")
    try:
        path = (folder / name).resolve()
        home = root.resolve()
    except (OSError, RuntimeError) as problem:
        raise AssayError(f"the {kind} {name} cannot be followed: {problem}") from None
    if not path.is_relative_to(home):
        raise AssayError(
            f"the {kind} {name} leads out of {shown(root)}, to {path}; a suite reads nothing outside its own folder"
        )
    return path


def _format(file: Path) -> str:
    return next(ending for ending in ENDINGS if file.name.endswith(ending)).removesuffix(".gz")


def _digest(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as problem:
        raise InfrastructureError(f"the case file {shown(file)} cannot be read: {problem.strerror}") from None


# Streaming


def iter_cases(dataset: Dataset) -> Iterator[CaseRow | BadRow]:
    """Every row of a dataset in order, as a case or as a reason why not; blank lines are passed over.

    Memory: one row, and 16 bytes with a line number per case seen, for finding an id that comes twice.
    Raises AssayError when the rest cannot be read, and at the end when there was no row at all.
    """
    reader = _CaseReader(dataset.spec)
    for file in dataset.files:
        read = {".jsonl": _jsonl_rows, ".csv": _csv_rows, ".parquet": _parquet_rows}[_format(file)]
        with _readable(file):
            for line, record in read(file, dataset.spec):
                yield reader.row(file.name, line, record)
    if not reader.rows:
        raise AssayError(f"the dataset {shown(dataset.folder)} has no cases in {_names(dataset.files)}")


def _names(files: tuple[Path, ...]) -> str:
    return ", ".join(file.name for file in files)


class _RowError(Exception):
    """Why a row cannot be used."""


_Rows = Iterator[tuple[int, Mapping[str, Any] | _RowError]]


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    try:
        yield
    except (gzip.BadGzipFile, zlib.error) as problem:
        raise AssayError(f"the case file {shown(file)} is no sound gzip file: {problem}") from None
    except EOFError:
        raise AssayError(f"the case file {shown(file)} ends in the middle of its gzip stream") from None
    except OSError as problem:
        raise InfrastructureError(f"the case file {shown(file)} cannot be read: {problem}") from None


class _Lines:
    """The lines of a file that may be gzipped, each held only up to a limit, all counted up to a total."""

    def __init__(self, file: Path, longest: int) -> None:
        self.file = file
        self.longest = longest
        self.offset = 0
        """Bytes read, unpacked."""
        packed = file.stat().st_size
        self.zipped = file.name.endswith(".gz")
        self.most = min(MAX_UNPACKED, max(ALWAYS_UNPACKED, MAX_RATIO * packed))

    def __iter__(self) -> Iterator[tuple[int, bytes, int]]:
        """(line number, the line, its whole size); the line is cut off at the limit."""
        with ExitStack() as stack:
            stream: BinaryIO = stack.enter_context(self.file.open("rb"))
            if self.zipped:
                unzipped = stack.enter_context(gzip.GzipFile(fileobj=stream))
                stream = BufferedReader(cast(Any, unzipped), 1 << 18)  # its own readline is slow
            number = 0
            while line := self._take(stream):
                number += 1
                if number == 1:
                    line = self._without_mark(line)
                size = len(line)
                while not line.endswith(b"\n") and size >= self.longest and (rest := self._take(stream)):
                    size += len(rest)
                    if rest.endswith(b"\n"):
                        break
                yield number, line, size

    def _take(self, stream: BinaryIO) -> bytes:
        line = stream.readline(self.longest + 2)  # room for the line end of a row of just the longest size
        self.offset += len(line)
        if self.zipped and self.offset > self.most:
            raise AssayError(
                f"the case file {shown(self.file)} unpacks to more than {_size(self.most)}, "
                f"{MAX_RATIO} times its size or the most that is read; unpack it yourself if it is sound"
            )
        return line

    def _without_mark(self, line: bytes) -> bytes:
        """Without the byte-order mark that Windows programs put before UTF-8."""
        if line.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise AssayError(f"the case file {shown(self.file)} is UTF-16; save it as UTF-8")
        return line.removeprefix(b"\xef\xbb\xbf")


def _size(count: int) -> str:
    if count < 1_000_000:
        return f"{count:,} bytes"
    return f"{count / 1e6:,.1f} MB" if count < 1e9 else f"{count / 1e9:,.1f} GB"


def _too_large(size: int, spec: ContractSpec) -> _RowError:
    return _RowError(f"is {_size(size)} large, more than the {_size(spec.max_case_bytes)} of `max_case_bytes`")


def _not_utf8(problem: UnicodeDecodeError, start: int) -> _RowError:
    return _RowError(
        f"is not UTF-8: byte 0x{problem.object[problem.start]:02x} at byte {start + problem.start:,} of the file; "
        f"save the file as UTF-8"
    )


def _jsonl_rows(file: Path, spec: ContractSpec) -> _Rows:
    lines = _Lines(file, spec.max_case_bytes)
    for number, line, size in lines:
        if line.isspace():
            continue
        if size > spec.max_case_bytes and len(line.rstrip(b"\r\n")) > spec.max_case_bytes:
            yield number, _too_large(size, spec)
            continue
        try:
            yield number, _json_object(line, lines.offset - size)
        except _RowError as problem:
            yield number, problem


def _json_object(line: bytes, start: int) -> Mapping[str, Any]:
    try:
        value = DECODER.decode(line.decode())
    except UnicodeDecodeError as problem:
        raise _not_utf8(problem, start) from None
    except json.JSONDecodeError as problem:
        raise _RowError(f"is not JSON: {problem.msg} at column {problem.colno}") from None
    except RecursionError:
        raise _RowError("is nested too deeply") from None
    except ValueError as problem:  # a number of thousands of digits
        raise _RowError(f"is not usable JSON: {problem}") from None
    if not isinstance(value, dict):
        raise _RowError(f"is {_kind(value)}, not a JSON object")
    # Halves of pairs and NUL can only come from escapes: neither stands in valid UTF-8 JSON as itself.
    if b"\\u" in line:
        _refuse_unstorable(value)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        keys = [key for key, _ in pairs]
        raise _RowError(f"has the key {next(key for key in keys if keys.count(key) > 1)!r} twice")
    return made


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise _RowError(f"holds {text[:20]}, which is beyond all numbers")
    return number


def _no_constant(text: str) -> Any:
    raise _RowError(f"holds {text}, which is not JSON; write null for a value that is not known")


DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_float=_finite, parse_constant=_no_constant)


def _refuse_unstorable(value: Any, path: str = "") -> None:
    if isinstance(value, str):
        if found := UNSTORABLE.search(value):
            what = "a NUL character" if found[0] == "\x00" else f"half a surrogate pair (\\u{ord(found[0]):04x})"
            raise _RowError(f"holds {what} in {path or 'a key'}, which no database stores")
    elif isinstance(value, dict):
        for key, item in value.items():
            _refuse_unstorable(key)
            _refuse_unstorable(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for item in value:
            _refuse_unstorable(item, path or "a list")


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case str():
            return "text"
        case int() | float():
            return "a number"
        case list() | tuple():
            return "a list"
        case _:
            return "an object"


# CSV


class _CsvText:
    """Feeds the csv module lines of text, and keeps a quote that is never closed from swallowing the file."""

    def __init__(self, file: Path, spec: ContractSpec) -> None:
        self.lines = _Lines(file, spec.max_case_bytes)
        self.spec = spec
        self.start = 1
        """The line in which the row being read begins."""
        self.line = 0
        self.size = 0
        self.wrong: _RowError | None = None

    def __iter__(self) -> Iterator[str]:
        for number, line, size in self.lines:
            self.line = number
            self.size += size
            if self.size > self.spec.max_case_bytes:
                where = f"{shown(self.lines.file)}, line {self.start}"
                raise AssayError(
                    f"{where}: the row is larger than the {_size(self.spec.max_case_bytes)} of "
                    f"`max_case_bytes`, or a quote in it is never closed; the rest cannot be read"
                )
            try:
                text = line.decode()
            except UnicodeDecodeError as problem:
                self.wrong = _not_utf8(problem, self.lines.offset - size)
                text = line.decode(errors="replace")
            if "\x00" in text:
                self.wrong = _RowError("holds a NUL character, which no database stores")
                text = text.replace("\x00", "")
            yield text

    def next_row(self) -> None:
        self.start, self.size, self.wrong = self.line + 1, 0, None


def _csv_rows(file: Path, spec: ContractSpec) -> _Rows:
    text = _CsvText(file, spec)
    csv.field_size_limit(max(csv.field_size_limit(), spec.max_case_bytes))
    rows = csv.reader(text, strict=True)
    try:
        header = _header(next(rows, []), file, text)
        convert = _converters(header, spec, file)
        text.next_row()
        for cells in rows:
            start = text.start
            if text.wrong is not None:
                yield start, text.wrong
            elif len(cells) != len(header) and cells:
                yield start, _RowError(f"has {len(cells)} cells under {len(header)} columns")
            elif cells:
                try:
                    yield start, {name: convert[name](cell) for name, cell in zip(header, cells, strict=True)}
                except _RowError as problem:
                    yield start, problem
            text.next_row()
    except csv.Error as problem:
        raise AssayError(f"{shown(file)}, line {text.start}: not CSV: {problem}; the rest cannot be read") from None


def _header(cells: list[str], file: Path, text: _CsvText) -> list[str]:
    if text.wrong is not None:
        raise AssayError(f"{shown(file)}, line 1: the header {text.wrong}")
    header = [cell.strip() for cell in cells]
    if not any(header):
        raise AssayError(f"{shown(file)}, line 1: the header is empty; name the columns in it")
    if "" in header:
        raise AssayError(f"{shown(file)}, line 1: column {header.index('') + 1} has no name")
    twins = sorted({name for name in header if header.count(name) > 1})
    if twins:
        raise AssayError(f"{shown(file)}, line 1: two columns are called {', '.join(twins)}")
    if len(header) == 1 and (found := re.search(r"[;\t|]", header[0])):
        raise AssayError(f"{shown(file)}, line 1: columns are parted by commas, not by {found[0]!r}")
    return header


def _converters(header: list[str], spec: ContractSpec, file: Path) -> dict[str, Callable[[str], Any]]:
    for name in spec.types:
        if name not in header:
            raise AssayError(
                f"the contract gives a type to the column {name!r}, which {shown(file)} does not have; "
                f"it has {', '.join(header)}"
            )
    fields = spec.fields
    objects = {fields.assertions, fields.inputs if isinstance(fields.inputs, str) else None} | (
        {"inputs"} if fields.inputs is None else set()
    )
    kinds = {name: spec.types.get(name, "json" if name in objects else "text") for name in header}
    return {name: _converter(name, kind) for name, kind in kinds.items()}


def _converter(column: str, kind: str) -> Callable[[str], Any]:
    if kind == "text":
        return str
    readers: dict[str, Callable[[str], Any]] = {
        "number": _number,
        "integer": int,
        "boolean": _boolean,
        "json": DECODER.decode,
    }
    read = readers[kind]

    def convert(cell: str) -> Any:
        if not cell.strip():
            return None
        try:
            value = read(cell.strip())
        except (ValueError, RecursionError):
            raise _RowError(f"{column} is {_short(cell)}, which is not of type {kind}") from None
        _refuse_unstorable(value, column)
        return value

    return convert


def _number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        return _finite(text)


def _boolean(text: str) -> bool:
    try:
        return {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}[text.lower()]
    except KeyError:
        raise ValueError(text) from None


# Parquet


def _parquet_rows(file: Path, spec: ContractSpec) -> _Rows:
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(file) as opened:
            groups = [opened.metadata.row_group(i).total_byte_size for i in range(opened.num_row_groups)]
            if sum(groups) > MAX_UNPACKED:
                raise AssayError(
                    f"the case file {shown(file)} unpacks to more than {_size(MAX_UNPACKED)}, the most that is read"
                )
            number = 0
            for batch in opened.iter_batches(batch_size=256):
                for record in batch.to_pylist():
                    number += 1
                    try:
                        plain = _json_value(record, "")
                        _refuse_unstorable(plain)
                        size = len(json.dumps(plain, ensure_ascii=False).encode())
                        yield number, plain if size <= spec.max_case_bytes else _too_large(size, spec)
                    except _RowError as problem:
                        yield number, problem
    except (pyarrow.ArrowException, UnicodeDecodeError, OSError) as problem:
        if isinstance(problem, OSError) and problem.errno is not None:
            raise  # the disk's fault and not the file's, which Arrow reports by the same class
        first = str(problem).splitlines()[0][:200]
        raise AssayError(f"the case file {shown(file)} is no sound Parquet file: {first}") from None


def _json_value(value: Any, path: str) -> Any:
    """A Parquet value as JSON has it: times as ISO text, decimals as numbers, and NaN as what it means there, null."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            if math.isinf(value):
                raise _RowError(f"{path} is infinite")
            return None if math.isnan(value) else value
        case Decimal():
            return float(value) if value.is_finite() else None
        case datetime() | date() | time():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case Mapping():
            return {str(key): _json_value(item, f"{path}.{key}" if path else str(key)) for key, item in value.items()}
        case list() | tuple():
            return [_json_value(item, path) for item in value]
        case _:
            raise _RowError(f"{path} holds {type(value).__name__}, which is neither text nor a number")


# From records to cases

PRIORITIES = get_args(Priority)
AUTOMATIONS = get_args(Automation)


class _CaseReader:
    """Makes cases of records by the contract's mapping, and remembers ids so that none comes twice."""

    def __init__(self, spec: ContractSpec) -> None:
        self.fields: FieldsSpec = spec.fields
        self.rows = 0
        self._seen: dict[bytes, tuple[str, int]] = {}

    def row(self, file: str, line: int, record: Mapping[str, Any] | _RowError) -> CaseRow | BadRow:
        self.rows += 1
        case_id = None
        try:
            if isinstance(record, _RowError):
                raise record
            case_id = self._id(record)
            self._refuse_twin(case_id, file, line)
            case = self._case(case_id, record)
        except _RowError as problem:
            return BadRow(line=line, file=file, case_id=case_id, reason=str(problem))
        return CaseRow(line=line, file=file, case=case, record=record)

    def _id(self, record: Mapping[str, Any]) -> str:
        column = self.fields.id
        if column is None:
            return str(self.rows)
        value = record.get(column)
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if value is None or value == "":
            near = get_close_matches(column, list(record), n=1)
            guess = f"; did you mean the column {near[0]!r}?" if near and column not in record else ""
            raise _RowError(f"has no {column!r}{guess}")
        if not isinstance(value, str):
            raise _RowError(f"{column} is {_kind(value)}, not text")
        if len(value) > MAX_ID:
            raise _RowError(f"{column} has {len(value)} characters; {MAX_ID} are allowed")
        if value != value.strip() or not value.isprintable():
            raise _RowError(f"{column} is {_short(value)}: spaces at its ends and control characters are not allowed")
        return value

    def _refuse_twin(self, case_id: str, file: str, line: int) -> None:
        digest = hashlib.blake2b(case_id.encode(), digest_size=16).digest()
        first_file, first = self._seen.setdefault(digest, (file, line))
        if (first_file, first) != (file, line):
            where = f"{first_file}, line {first}" if first_file != file else f"line {first}"
            raise _RowError(f"the id {_short(case_id)} was used before, in {where}")

    def _case(self, case_id: str, record: Mapping[str, Any]) -> Case:
        fields = self.fields
        inputs, used = self._inputs(record)
        claimed = {fields.id, fields.expected, fields.tags, fields.priority, fields.automation}
        claimed |= {fields.assertions, fields.description, *used}
        rest = {key: value for key, value in record.items() if key not in claimed}
        metadata = rest.pop("metadata", None) if isinstance(rest.get("metadata"), dict) else None
        return Case(
            id=case_id,
            inputs=inputs,
            expected=_or_none(_column(record, fields.expected)),
            assertions=_assertions(_column(record, fields.assertions)),
            tags=_tags(_column(record, fields.tags)),
            priority=_choice("priority", _column(record, fields.priority), PRIORITIES, "medium"),
            automation=_choice("automation", _column(record, fields.automation), AUTOMATIONS, "automated"),
            description=_text("description", _column(record, fields.description)),
            metadata={**(metadata or {}), **rest},
        )

    def _inputs(self, record: Mapping[str, Any]) -> tuple[dict[str, Any], set[str]]:
        """The inputs, and the columns that they were taken from."""
        columns = self.fields.inputs
        if columns is None and isinstance(record.get("inputs"), dict):
            columns = "inputs"
        if columns is None:
            fields = self.fields
            reserved = {fields.id, fields.expected, fields.tags, fields.priority, fields.automation}
            reserved |= {fields.assertions, fields.description, "metadata"}
            found = {key: value for key, value in record.items() if key not in reserved}
            if not found:
                raise _RowError("has no inputs: every column is claimed by something else")
            return found, set(found)
        if isinstance(columns, str):
            value = record.get(columns)
            if not isinstance(value, dict):
                raise _RowError(f"{columns} is {_kind(value)}, not an object of inputs")
            return value, {columns}
        named = columns if isinstance(columns, dict) else {column: column for column in columns}
        for column in named.values():
            if column not in record:
                near = get_close_matches(column, list(record), n=1)
                guess = f"; did you mean {near[0]!r}?" if near else ""
                raise _RowError(f"has no column {column!r}, which is an input{guess}")
        return {name: record[column] for name, column in named.items()}, set(named.values())


def _column(record: Mapping[str, Any], name: str | None) -> Any:
    return None if name is None else record.get(name)


def _or_none(value: Any) -> Any:
    # An empty CSV cell; that nothing at all is expected is said by null everywhere else.
    return None if value == "" else value


def _text(name: str, value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _RowError(f"{name} is {_kind(value)}, not text")
    return value


def _tags(value: Any) -> tuple[str, ...]:
    """A list of texts, or one text with semicolons or commas between its tags."""
    if value is None:
        return ()
    if isinstance(value, str):
        value = [tag.strip() for tag in re.split(r"[;,]", value)]
    if not isinstance(value, list) or not all(isinstance(tag, str) for tag in value):
        raise _RowError(f"tags are {_short(value)}, not a list of texts")
    return tuple(dict.fromkeys(tag for tag in value if tag))


def _choice(name: str, value: Any, choices: tuple[str, ...], default: str) -> Any:
    if value is None or value == "":
        return default
    if value not in choices:
        near = get_close_matches(value, choices, n=1) if isinstance(value, str) else []
        guess = f"; did you mean {near[0]!r}?" if near else ""
        raise _RowError(f"{name} is {_short(value)}, not one of {', '.join(choices)}{guess}")
    return value


def _assertions(value: Any) -> tuple[Mapping[str, Any], ...]:
    if value is None or value == "":
        return ()
    if not isinstance(value, list):
        raise _RowError(f"assertions are {_kind(value)}, not a list of scorers")
    made: list[Mapping[str, Any]] = []
    for number, given in enumerate(value, 1):
        try:
            ScorerSpec.model_validate(given)
        except ValidationError as problem:
            first = sentence(dict(problem.errors(include_url=False)[0]), ScorerSpec)
            raise _RowError(f"assertion {number}: {first}") from None
        made.append({"scorer": given} if isinstance(given, str) else given)
    return tuple(made)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
