"""Recorded answers: `replay/<file>`, JSON Lines, plain or gzipped.

One row an answer:

    {"case_id": "c1", "variant": "small", "repeat": 0, "text": "Paris", "finish_reason": "stop",
     "model": "openai/gpt-4o-mini", "latency_ms": 212, "cost_usd": "0.0000078",
     "usage": {"input_tokens": 40, "output_tokens": 3}}
    {"case_id": "c2", "error": "timeout", "error_message": "no reply within 60 s"}

`case_id` and one of `text` and `error` are needed. A row without `variant` serves every variant, a row
without `repeat` is repeat 0; a repeat that was not recorded is an error and never another repeat's answer.
Files of other programs are read by naming their fields in the model's parameters (dots lead into objects):

    parameters: {id_field: task_id, text_field: completion, rows_are_repeats: true}
    parameters: {id_field: id, samples_field: outputs}

`rows_are_repeats`: the n-th row of a case is its repeat n. `samples_field`: a list of texts, the n-th is
repeat n.

Only an index of byte offsets is kept in memory, 100,000 rows in some tens of megabytes.
"""

import gzip
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from decimal import Decimal, InvalidOperation
from hashlib import blake2b
from pathlib import Path
from typing import IO, Any, cast, get_args

import orjson

from evaluations.answers import ErrorKind, Usage
from evaluations.errors import AssayError, unknown_name
from tasks.providers.base import Call, CallError, Reply, Target, Workspace
from tasks.providers.replies import one_line, usage_of

LARGEST_FILE = 2 * 1024**3
"""Bytes, unpacked. More is taken for a gzip bomb."""
LARGEST_ROW = 64 * 1024**2
SAMPLING = frozenset({"temperature", "top_p", "max_tokens", "max_completion_tokens", "seed", "stop", "n"})
"""Parameters that a recording was made with, or not; they change nothing when it is replayed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The names of a recording's fields."""

    id_field: str = "case_id"
    text_field: str = "text"
    samples_field: str = ""
    variant_field: str = "variant"
    repeat_field: str = "repeat"
    error_field: str = "error"
    model_field: str = "model"
    usage_field: str = "usage"
    latency_field: str = "latency_ms"
    cost_field: str = "cost_usd"
    rows_are_repeats: bool = False

    @staticmethod
    def of(target: Target) -> "Layout":
        known = [setting.name for setting in fields(Layout)]
        given = {name: value for name, value in target.parameters.items() if name not in SAMPLING}
        for name, value in given.items():
            if name not in known:
                raise AssayError(f"{target.label}: {unknown_name('parameter of replay', name, known)}")
            if isinstance(value, bool) != (name == "rows_are_repeats") or not isinstance(value, bool | str):
                raise AssayError(f"{target.label}: {name} cannot be {value!r}; it is the name of a field.")
        return Layout(**given)


class ReplayProvider:
    """Answers from a file."""

    def __init__(self, target: Target, workspace: Workspace | None = None) -> None:
        """Reads the file once. Raises AssayError, with the line number, for a row that is no recording."""
        self._layout = Layout.of(target)
        self._path = recording_path(target, workspace or Workspace())
        self._file = _opened(self._path)
        self._offsets: dict[int, int] = {}
        try:
            self._index()
        except BaseException:
            self._file.close()
            raise

    @staticmethod
    def check(target: Target, workspace: Workspace) -> None:
        """Raises AssayError when there is no such file to read; looks at none of its rows."""
        Layout.of(target)
        recording_path(target, workspace)

    async def complete(self, call: Call) -> Reply:
        found = self._find(call)
        if found is None:
            raise CallError(
                "no_recording",
                one_line(f"{self._path.name} has no answer to case {call.case_id!r} in repeat {call.repeat}"),
            )
        row, text = found
        layout = self._layout
        if text is None:
            raise _recorded_error(row, layout)
        usage, usage_known = _usage(_field(row, layout.usage_field))
        model = _field(row, layout.model_field)
        latency = _field(row, layout.latency_field)
        finish_reason = row.get("finish_reason")
        return Reply(
            text=text,
            usage=usage,
            usage_known=usage_known,
            model_returned=model if isinstance(model, str) else None,
            finish_reason=finish_reason if isinstance(finish_reason, str) else None,
            latency_ms=_milliseconds(latency),
            first_token_ms=_milliseconds(row.get("first_token_ms")),
            cost_usd=_money(_field(row, layout.cost_field)),
            simulated=row.get("simulated") is True,
        )

    async def close(self) -> None:
        self._file.close()

    def _index(self) -> None:
        layout, rows = self._layout, 0
        repeats: dict[int, int] = {}
        for number, offset, row in self._rows():
            rows += 1
            case_id, variant, repeat = self._place(row, number)
            if layout.rows_are_repeats:
                place = _key(case_id, variant, 0)
                repeat = repeats.get(place, 0)
                repeats[place] = repeat + 1
            texts = self._texts(row, number)
            for sample in range(len(texts)):
                key = _key(case_id, variant, repeat + sample)
                if key in self._offsets:
                    raise AssayError(
                        f"{self._path.name}, line {number}: a second answer to case {case_id!r} in repeat "
                        f"{repeat + sample}; number them with {layout.repeat_field!r}, or set "
                        f"rows_are_repeats: true."
                    )
                self._offsets[key] = offset
        if not rows:
            raise AssayError(f"{self._path.name} holds no recorded answer.")

    def _rows(self) -> Iterator[tuple[int, int, dict[str, Any]]]:
        offset = 0
        for number, line in enumerate(iter(lambda: self._file.readline(LARGEST_ROW + 1), b""), 1):
            if len(line) > LARGEST_ROW:
                raise AssayError(f"{self._path.name}, line {number}: longer than {LARGEST_ROW:,} bytes.")
            start, offset = offset, offset + len(line)
            if number == 1 and line.startswith(b"\xef\xbb\xbf"):
                start, line = 3, line[3:]
            if not line.strip():
                continue
            try:
                row = orjson.loads(line)
            except ValueError as error:
                raise AssayError(f"{self._path.name}, line {number}: not JSON: {error}.") from error
            if not isinstance(row, dict):
                raise AssayError(f"{self._path.name}, line {number}: a JSON object is wanted, not {line[:40]!r}.")
            yield number, start, row

    def _place(self, row: Mapping[str, Any], number: int) -> tuple[str, str, int]:
        layout = self._layout
        case_id = _field(row, layout.id_field)
        if case_id is None or isinstance(case_id, dict | list):
            have = ", ".join(sorted(row)[:12])
            raise AssayError(
                f"{self._path.name}, line {number}: no {layout.id_field!r}; it has {have}. "
                f"Name the field with id_field."
            )
        repeat = _field(row, layout.repeat_field)
        if repeat is None or layout.samples_field:
            repeat = 0
        if isinstance(repeat, bool) or not isinstance(repeat, int) or repeat < 0:
            raise AssayError(f"{self._path.name}, line {number}: {layout.repeat_field!r} has to be 0, 1, 2, ...")
        variant = _field(row, layout.variant_field)
        return str(case_id), "" if variant is None else str(variant), repeat

    def _texts(self, row: Mapping[str, Any], number: int) -> list[str | None]:
        """The texts of a row by sample; one None for a recorded error."""
        layout = self._layout
        if layout.samples_field:
            samples = _field(row, layout.samples_field)
            if isinstance(samples, list) and all(isinstance(text, str) for text in samples):
                return cast("list[str | None]", samples)
            raise AssayError(f"{self._path.name}, line {number}: {layout.samples_field!r} has to be a list of texts.")
        text = _field(row, layout.text_field)
        if isinstance(text, str):
            return [text]
        if text is None and _field(row, layout.error_field) is not None:
            return [None]
        raise AssayError(
            f"{self._path.name}, line {number}: {layout.text_field!r} has to be a text"
            + (", or there has to be an error." if text is None else f", not {type(text).__name__}.")
        )

    def _find(self, call: Call) -> tuple[dict[str, Any], str | None] | None:
        for variant in (call.variant, ""):
            offset = self._offsets.get(_key(call.case_id, variant, call.repeat))
            if offset is None:
                continue
            self._file.seek(offset)
            row = orjson.loads(self._file.readline())
            if str(_field(row, self._layout.id_field)) == call.case_id:
                texts = self._texts(row, 0)
                return row, texts[call.repeat] if self._layout.samples_field else texts[0]
        return None


def recording_path(target: Target, workspace: Workspace) -> Path:
    """The file that a target names. Raises AssayError when it is missing, or lies outside the suite's
    folder."""
    folder = (workspace.folder or Path.cwd()).resolve()
    name = target.model_name
    path = (folder / name).resolve()
    if not workspace.allow_outside and not path.is_relative_to(folder):
        raise AssayError(f"{target.label}: the recording {name!r} lies outside the suite's folder.")
    if not path.is_file():
        beside = sorted(str(p.relative_to(folder)) for p in folder.glob("**/*.jsonl*"))[:200] if folder.is_dir() else []
        hint = unknown_name("recording", name, beside) if beside else f"no recording is named {name!r}."
        raise AssayError(f"{target.label}: {hint}")
    return path


def _opened(path: Path) -> IO[bytes]:
    if path.suffix != ".gz":
        return path.open("rb")
    # Seeking in gzip means unpacking from the start again, so it is unpacked once.
    unpacked = tempfile.TemporaryFile(prefix="assay-replay-")  # noqa: SIM115 (closed by the provider)
    size = 0
    try:
        with gzip.open(path, "rb") as packed:
            while block := packed.read(1 << 20):
                size += len(block)
                if size > LARGEST_FILE:
                    raise AssayError(f"{path.name} unpacks to more than {LARGEST_FILE:,} bytes; it is not read.")
                unpacked.write(block)
    except (OSError, EOFError, zlib.error) as error:
        unpacked.close()
        raise AssayError(f"{path.name} is not a complete gzip file: {error}") from error
    except BaseException:
        unpacked.close()
        raise
    unpacked.seek(0)
    return cast("IO[bytes]", unpacked)


def _key(case_id: str, variant: str, repeat: int) -> int:
    # Eight bytes instead of the texts themselves: a clash among a million rows has a chance of 3 in 10^8, and
    # `_find` would notice.
    digest = blake2b(f"{case_id}\0{variant}\0{repeat}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def _field(row: Mapping[str, Any], path: str) -> Any:
    if path in row or "." not in path:
        return row.get(path)
    found: Any = row
    for name in path.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return found


def _recorded_error(row: Mapping[str, Any], layout: Layout) -> CallError:
    said = _field(row, layout.error_field)
    message = row.get("error_message")
    if isinstance(said, str) and said in get_args(ErrorKind):
        return CallError(cast("ErrorKind", said), one_line(str(message or f"recorded: {said}")))
    return CallError("server_error", one_line(f"recorded: {message or said}"))


def _usage(recorded: Any) -> tuple[Usage, bool]:
    if not isinstance(recorded, dict):
        return Usage(), False
    if "prompt_tokens" in recorded or "completion_tokens" in recorded:
        return usage_of(recorded)
    counts = {name: recorded.get(name, 0) for name in Usage.__slots__}
    if any(isinstance(count, bool) or not isinstance(count, int) or count < 0 for count in counts.values()):
        return Usage(), False
    return Usage(**counts), any(counts.values())


def _milliseconds(recorded: Any) -> float | None:
    measured = isinstance(recorded, int | float) and not isinstance(recorded, bool) and recorded >= 0
    return float(recorded) if measured else None


def _money(recorded: Any) -> Decimal | None:
    if recorded is None or isinstance(recorded, bool):
        return None
    try:
        amount = Decimal(str(recorded))
    except InvalidOperation:
        return None
    return amount if amount.is_finite() and amount >= 0 else None
