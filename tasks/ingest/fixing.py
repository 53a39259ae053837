"""Fixing: corrected fields for rows in quarantine, looked at by the contract before they are tried again."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluations.errors import AssayError
from tasks.documents import shown
from tasks.ingest.ingesting import check_names, faults_of
from tasks.ingest.reading import read
from tasks.ingest.scrubbing import safe_record
from tasks.settings import settings
from tasks.store import batches, quarantine
from tasks.store.database import transaction

READY = "mended; it waits to be tried again"
Correction = Mapping[str, Any]
"""Field -> its right value; None takes the field away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fixed:
    """What became of corrected rows. None of them has landed yet."""

    ready: tuple[int, ...]
    """Rows that nothing keeps from landing any more."""
    faulty: Mapping[int, str]
    """Rows with what is still wrong with them."""


def fix(corrections: Mapping[int, Correction]) -> Fixed:
    """Correct fields of rows that wait, and say what is still wrong with them.

    A row of which no content was kept needs all its fields. Raises AssayError, and corrects nothing, when an id does
    not wait, a field is unknown or a value cannot be searched for personal data.
    """
    for correction in corrections.values():
        check_names(correction)
    with transaction() as connection:
        key = batches.platform(connection, settings().actor).subject_key
        rows = quarantine.quarantined(connection, ids=list(corrections)) if corrections else []
    records = [_corrected(row.record, corrections[row.id]) for row in rows]
    faults = faults_of(records, key)
    with transaction() as connection:
        for row, record, fault in zip(rows, records, faults, strict=True):
            safe = safe_record(record, key)
            if safe is None:
                raise AssayError(f"the correction of {row.id} could not be searched for personal data.")
            quarantine.rewrite(connection, row.id, fault or READY, safe)
    found = dict(zip((row.id for row in rows), faults, strict=True))
    return Fixed(
        ready=tuple(each for each, fault in found.items() if not fault),
        faulty={each: fault for each, fault in found.items() if fault},
    )


def corrections_in(path: Path) -> dict[int, Correction]:
    """The corrections of a file, JSON lines or CSV: a row each, `id` as `assay quarantine list` names it.

    An empty text leaves a field as it is, null takes it away. Raises AssayError on a row that is none, with its line.
    """
    found: dict[int, Correction] = {}
    for line, record in _rows(path):
        number = str(record.get("id", "")).strip()
        if not number.isdecimal():
            raise AssayError(f"line {line:,} of {shown(path)} names no row; `id` has to be a number of the list.")
        if int(number) in found:
            raise AssayError(f"line {line:,} of {shown(path)} corrects row {number} a second time.")
        found[int(number)] = {name: value for name, value in record.items() if name != "id" and value != ""}
    return found


def _rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for chunk in read(path):
        if chunk.bad or chunk.broken_off:
            why = f"line {chunk.bad[0].line:,}: {chunk.bad[0].reason}" if chunk.bad else chunk.broken_off
            raise AssayError(f"{shown(path)} cannot be read, {why}. Nothing was corrected.")
        yield from zip(chunk.lines, chunk.records, strict=True)


def _corrected(record: Mapping[str, Any] | None, correction: Correction) -> dict[str, Any]:
    merged = {**(record or {}), **correction}
    return {name: value for name, value in merged.items() if value is not None}
