"""Retrying: rows from quarantine, mended or not, on their way in once more."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from tasks.ingest.formats import Adaptation
from tasks.ingest.ingesting import Lines, check_names, land_records, open_ingest
from tasks.store import batches, quarantine
from tasks.store.database import transaction
from tasks.store.quarantine import Quarantined


@dataclass(frozen=True, slots=True, kw_only=True)
class Retried:
    """What became of rows that were tried again."""

    landed: int
    """Duplicates included: what is there need not wait."""
    waiting: int
    hopeless: int
    """Of which no content was kept: their file has to be mended and read again."""

    def __str__(self) -> str:
        said = f"{self.landed:,} landed, {self.waiting:,} still wait"
        if self.hopeless:
            said += f"; of {self.hopeless:,} no content was kept: mend their files and ingest these again"
        return f"{said}."


def retry(ids: Sequence[int] = (), *, given: Mapping[str, str] | None = None) -> Retried:
    """Try rows that wait again: those of these ids, or all. `given` sets fields of each before.

    Raises AssayError when an id does not wait or a field is unknown.
    """
    given = given or {}
    check_names(given)
    with transaction() as connection:
        rows = quarantine.quarantined(connection, ids=ids)
    told = [row for row in rows if row.record is not None]
    landed = sum(
        _retried(source, list(group), given)
        for source, group in groupby(sorted(told, key=lambda row: (row.source, row.id)), key=lambda row: row.source)
    )
    return Retried(landed=landed, waiting=len(rows) - landed, hopeless=len(rows) - len(told))


def _retried(source: str, rows: Sequence[Quarantined], given: Mapping[str, str]) -> int:
    mended = Adaptation(renamed={}, given={})
    ingest = open_ingest(file="quarantine", format="assay", source=source)
    records = [mended.adapt(row.record or {}) | dict(given) for row in rows]
    refused = land_records(ingest, Lines(numbers=[row.id for row in rows], records=records), keep=False)
    again = {row.line: row for row in refused}
    with transaction() as connection:
        for row in again.values():
            quarantine.rewrite(connection, row.line, row.reason, row.record)
        quarantine.resolve(connection, [row.id for row in rows if row.id not in again], "landed")
        batches.close_batch(connection, ingest.batch_id, "done")
    return len(rows) - len(again)
