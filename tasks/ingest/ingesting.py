"""Ingesting: a file of requests, chunk by chunk, each in one transaction: rows, keys, marks, quarantine and counts.

Killed anywhere, what was committed stays, and reading the same file again lands the rest.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import orjson

from evaluations.errors import AssayError, unknown_name
from evaluations.requests import BY_NAME, TOKEN_FIELDS
from tasks.ingest.contract import Contract
from tasks.ingest.copying import as_csv
from tasks.ingest.formats import AS_IT_IS, Adaptation, Format, adapted, format_named, is_ours, unfolded
from tasks.ingest.pricing import PriceSet, names_to_price, price
from tasks.ingest.reading import BadLine, Chunk, Record, read
from tasks.ingest.scrubbing import safe_record, scrub_rows, texts_scrubbed
from tasks.ingest.spans import span_rows
from tasks.ingest.typed import Typed, typed
from tasks.price_sync import seed_prices
from tasks.settings import settings
from tasks.store import batches, partitions, quarantine, requests
from tasks.store import spans as store_spans
from tasks.store.batches import Batch, Counts, Platform
from tasks.store.database import transaction
from tasks.store.prices import price_book
from tasks.store.quarantine import Refused

if TYPE_CHECKING:
    import pandas as pd

    from evaluations.pricing import PriceBook


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestRequest:
    """What to read, and how."""

    file: Path
    format: str = "assay"
    source: str = ""
    """Whose ids the file has; the format's name where it is empty."""
    adaptation: Adaptation = AS_IT_IS
    sample_data: bool = False
    """Made-up traffic: reports say so."""


def ingest_file(request: IngestRequest, stop: Event | None = None) -> Batch:
    """Land every row of a file that can; gives the batch with what became of the rest.

    Once `stop` is set it ends after the chunk under way. Raises AssayError when the file cannot be read as what it
    says it is; what had landed until then stays.
    """
    form = format_named(request.format)
    check_names([*request.adaptation.renamed, *request.adaptation.given])
    chunks = read(request.file)
    ingest = open_ingest(
        file=request.file.name,
        format=request.format,
        source=request.source or request.format,
        sample_data=request.sample_data,
    )
    broken_off = ""
    try:
        # While Postgres takes one chunk in, the next is read, checked, scrubbed and priced.
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="landing") as lander:
            landing: Future[Any] | None = None
            for whole in chunks:
                chunk = unfolded(whole, form)
                if form.unfold is not None:
                    land_spans(ingest, chunk.records)
                ready = _prepared(ingest, *_ours(ingest, chunk, form, request.adaptation))
                if landing is not None:
                    landing.result()
                landing = lander.submit(_land, ingest, ready)
                broken_off = "interrupted; ingest the file again for the rest" if _asked(stop) else chunk.broken_off
                if broken_off:
                    break
            if landing is not None:
                landing.result()
    except BaseException as problem:
        with transaction() as connection:
            batches.close_batch(connection, ingest.batch_id, "failed", texts_scrubbed([str(problem)[:500]])[0])
        raise
    with transaction() as connection:
        batches.close_batch(connection, ingest.batch_id, "partial" if broken_off else "done", broken_off)
        return batches.batch_of(connection, ingest.batch_id)


def requests_of(
    files: list[str], format: str, source: str, how: Adaptation, *, sample_data: bool
) -> list[IngestRequest]:
    return [
        IngestRequest(file=Path(file), format=format, source=source, adaptation=how, sample_data=sample_data)
        for file in files
    ]


def told(batch: Batch) -> str:
    """A batch in a line: what landed, and whatever else there is to say."""
    counts = batch.counts
    said = [f"{batch.file}: {counts.rows:,} rows, {counts.landed:,} landed"]
    others = (
        (counts.duplicates, "there already"),
        (counts.quarantined, "in quarantine (assay quarantine list)"),
        (counts.skipped, "no requests"),
        (counts.spans, "spans"),
        (counts.unpriced, "unpriced"),
        (sum(batch.scrubbed.values()), "pieces of personal data taken out"),
    )
    said += [f"{n:,} {what}" for n, what in others if n]
    return ", ".join(said) + (f". {batch.stop_reason}." if batch.stop_reason else ".")


def _asked(stop: Event | None) -> bool:
    return stop is not None and stop.is_set()


def check_names(names: Iterable[str]) -> None:
    """Raises AssayError on the first name that is no field of a request."""
    for name in names:
        if name not in BY_NAME:
            raise AssayError(unknown_name("field", name, list(BY_NAME)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingest:
    """A batch under way."""

    batch_id: int
    source: str
    platform: Platform
    contract: Contract
    actor: str


def open_ingest(*, file: str, format: str, source: str, sample_data: bool = False) -> Ingest:
    """Open a batch: prices, the platform's key and the contract are made ready."""
    given = settings()
    with transaction() as connection:
        seed_prices(connection, given)
        platform = batches.platform(connection, given.actor)
        batch_id = batches.open_batch(
            connection, file=file, format=format, source=source, sample_data=sample_data, actor=given.actor
        )
    return Ingest(batch_id=batch_id, source=source, platform=platform, contract=Contract(), actor=given.actor)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """Records of ours with the numbers of their lines."""

    numbers: Sequence[int]
    records: Sequence[Record]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ready:
    """Records that are checked, scrubbed and priced, and what cannot land of their chunk."""

    lines: Lines
    rows: Typed
    frame: "pd.DataFrame"
    """Those without faults."""
    sets: "Sequence[PriceSet | None]"
    """The prices of each row of the frame."""
    scrubbed: Mapping[str, int]
    refused: Sequence[Refused]
    skipped: int


def land_records(ingest: Ingest, lines: Lines, *, keep: bool = True) -> list[Refused]:
    """Check, scrub, price and land records in one transaction; gives what cannot land.

    That goes to quarantine unless `keep` is false, which is for rows that are there already.
    """
    return _land(ingest, _prepared(ingest, lines), keep=keep)


def _land(ingest: Ingest, ready: _Ready, *, keep: bool = True) -> list[Refused]:
    with transaction() as connection:
        partitions.ensure_partitions(connection, "requests", _days(ready.frame))
    with transaction() as connection:
        landing = _landed(ingest, ready.frame, ready.sets, connection)
        faulty = _faulty(ingest, ready.rows, ready.lines)
        out = [*ready.refused, *faulty, *_conflicting(ingest, landing, ready.lines)]
        if keep:
            quarantine.quarantine(connection, ingest.batch_id, ingest.source, out, ingest.actor)
        requests.mark_dirty(connection, landing.by_day, cause="ingest", batch_id=ingest.batch_id, actor=ingest.actor)
        counts = Counts(
            rows=len(ready.lines.records) + len(ready.refused) + ready.skipped,
            landed=landing.landed,
            duplicates=landing.duplicates,
            quarantined=len(out),
            skipped=ready.skipped,
            unpriced=landing.unpriced,
        )
        batches.count_on(connection, ingest.batch_id, counts, ready.scrubbed)
    return out


def land_spans(ingest: Ingest, spans: Sequence[Record]) -> None:
    """Land the steps of requests as traces; one that is there already stays as it is."""
    rows = span_rows(spans)
    with transaction() as connection:
        frozen = partitions.dropped_days(connection, "spans")
    if any(start <= day < end for day in rows.days for start, end in frozen):
        raise AssayError("the file has spans of weeks that retention dropped; leave those out.")
    with transaction() as connection:
        partitions.ensure_partitions(connection, "spans", rows.days)
    with transaction() as connection:
        new = store_spans.land_spans(connection, ingest.batch_id, [rows.csv])
        batches.count_on(connection, ingest.batch_id, Counts(spans=new), rows.scrubbed)


def faults_of(records: Sequence[Record], subject_key: bytes) -> list[str]:
    """What keeps each record of ours from landing; empty where nothing does. Nothing is written."""
    rows, _ = _checked(Contract(), subject_key, records)
    return [texts_scrubbed(["; ".join(rows.faults.get(place, []))])[0] for place in range(len(records))]


# Before the transaction


def _ours(ingest: Ingest, chunk: Chunk, form: Format, adaptation: Adaptation) -> tuple[Lines, list[Refused], int]:
    """The records of ours in a chunk, what could not become one, and how many rows are no requests."""
    refused = [_bad_line(ingest, bad) for bad in chunk.bad]
    if is_ours(form, adaptation):
        return Lines(numbers=chunk.lines, records=chunk.records), refused, 0
    numbers: list[int] = []
    records: list[Record] = []
    skipped = 0
    read_records = adapted(chunk.records, form, adaptation)
    for number, theirs, ours in zip(chunk.lines, chunk.records, read_records, strict=True):
        if ours.record is not None:
            numbers.append(number)
            records.append(ours.record)
        elif ours.fault:
            refused.append(_refused(ingest, number, ours.fault, theirs, keep=False))
        else:
            skipped += 1
    return Lines(numbers=numbers, records=records), refused, skipped


def _prepared(ingest: Ingest, lines: Lines, refused: Sequence[Refused] = (), skipped: int = 0) -> _Ready:
    rows, scrubbed = _checked(ingest.contract, ingest.platform.subject_key, lines.records)
    frame, sets = _priced(_landable(rows))
    return _Ready(lines=lines, rows=rows, frame=frame, sets=sets, scrubbed=scrubbed, refused=refused, skipped=skipped)


def _checked(contract: Contract, subject_key: bytes, records: Sequence[Record]) -> tuple[Typed, Mapping[str, int]]:
    rows = typed(records)
    contract.judge(rows)
    scrubbed = scrub_rows(rows, subject_key)
    _refuse_frozen(rows)
    return rows, scrubbed


def _refuse_frozen(rows: Typed) -> None:
    """Rows of days whose partition was dropped: their facts could not be told any more."""
    with transaction() as connection:
        frozen = partitions.dropped_days(connection, "requests")
    if not frozen or "at" not in rows.frame:
        return
    for position, at in rows.frame["at"].dropna().items():
        if int(str(position)) in rows.faults:
            continue
        day = partitions.day_of(int(at))
        if any(start <= day < end for start, end in frozen):
            rows.fault(int(str(position)), f"at is in {day:%B %Y}, which retention dropped: its facts are frozen")


def _landable(rows: Typed) -> "pd.DataFrame":
    """The rows without faults, with their places and whether their usage is known."""
    frame = rows.good().drop(columns="currency", errors="ignore")
    tokens = [name for name in TOKEN_FIELDS if name in frame]
    return frame.assign(
        place=frame.index,
        usage_known=frame[tokens].notna().any(axis=1) if tokens else False,
    )


def _priced(frame: "pd.DataFrame") -> tuple["pd.DataFrame", "list[PriceSet | None]"]:
    import pandas as pd

    if frame.empty:
        return frame, []
    with transaction() as connection:
        book: PriceBook = price_book(connection, names_to_price(frame))
    found = price(frame, book)
    costs = pd.Series([None if cost is None else str(cost) for cost in found.picodollars], frame.index, dtype=object)
    return frame.assign(picodollars=costs), found.sets


def _days(frame: "pd.DataFrame") -> set[Any]:
    return (
        set()
        if frame.empty
        else {partitions.day_of(int(day) * 86_400_000_000) for day in (frame["at"] // 86_400_000_000).unique()}
    )


# In the transaction


def _landed(
    ingest: Ingest, frame: "pd.DataFrame", sets: "Sequence[PriceSet | None]", connection: Any
) -> requests.Landing:
    import pandas as pd

    if frame.empty:
        return requests.Landing(landed=0, duplicates=0, conflicts=(), unpriced=0, by_day={})
    used = list(dict.fromkeys(each for each in sets if each is not None))
    ids = dict(
        zip(
            used,
            requests.price_set_ids(connection, [(each.model, each.prices) for each in used], ingest.actor),
            strict=True,
        )
    )
    used_ids = pd.Series([None if each is None else ids[each] for each in sets], frame.index, dtype="Int64")
    frame = frame.assign(price_set_id=used_ids)
    requests.stage(connection, [str(name) for name in frame], [as_csv(frame)])
    return requests.land(
        connection, source=ingest.source, batch_id=ingest.batch_id, timezone=str(ingest.platform.timezone)
    )


def _faulty(ingest: Ingest, rows: Typed, lines: Lines) -> list[Refused]:
    return [
        _refused(ingest, lines.numbers[position], "; ".join(faults), lines.records[position])
        for position, faults in sorted(rows.faults.items())
    ]


def _conflicting(ingest: Ingest, landing: requests.Landing, lines: Lines) -> list[Refused]:
    return [
        _refused(
            ingest,
            lines.numbers[each.place],
            f"the id is there already, at {each.at:%Y-%m-%dT%H:%M:%SZ}, with other content",
            lines.records[each.place],
        )
        for each in landing.conflicts
    ]


def _refused(ingest: Ingest, line: int, reason: str, record: Record, *, keep: bool = True) -> Refused:
    """A record that cannot land. One that is not of ours is kept as its reason and hash alone."""
    key = ingest.platform.subject_key
    external_id = record.get("external_id", record.get("id"))
    return Refused(
        line=line,
        external_id=texts_scrubbed([str(external_id)[:512]])[0] if external_id not in (None, "") else None,
        reason=texts_scrubbed([reason])[0],
        record=safe_record(record, key) if keep else None,
        content_hash=_keyed(orjson.dumps(record, default=str, option=orjson.OPT_SORT_KEYS), key),
    )


def _bad_line(ingest: Ingest, bad: BadLine) -> Refused:
    return Refused(
        line=bad.line,
        external_id=None,
        reason=texts_scrubbed([bad.reason])[0],
        record=None,
        content_hash=_keyed(bad.content, ingest.platform.subject_key),
    )


def _keyed(content: bytes, key: bytes) -> str:
    """Keyed, so that nobody can try out whose row it was."""
    return hashlib.blake2b(content, key=key, digest_size=32).hexdigest()
