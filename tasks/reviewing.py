"""Reviewing: files of reviews on their way into the store, and what the reviews of a window say."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import orjson

from evaluations.errors import AssayError, NothingYet, unknown_name
from evaluations.reviewers import ReviewFacts, review_facts
from evaluations.reviews import BY_NAME, FIELDS, OVERALL, edit_distance
from evaluations.rollups import day_bounds
from tasks.ingest.contract import Contract
from tasks.ingest.formats import Adaptation
from tasks.ingest.reading import Record, read
from tasks.ingest.scrubbing import scrub, texts_scrubbed
from tasks.ingest.typed import Typed, typed
from tasks.settings import settings
from tasks.store import reviews, rollups
from tasks.store.database import transaction

if TYPE_CHECKING:
    import pandas as pd

DEFAULT_DAYS = 90
SHOWN_REFUSALS = 20


@dataclass(slots=True, kw_only=True)
class Imported:
    """What became of a file of reviews."""

    rows: int = 0
    landed: int = 0
    duplicates: int = 0
    refused: list[tuple[int, str]] = field(default_factory=list)
    """Line and reason; the rows are where they were, in the file."""

    @property
    def told(self) -> str:
        said = [f"{self.rows:,} rows, {self.landed:,} landed"]
        said += [f"{self.duplicates:,} there already"] if self.duplicates else []
        said += [f"{len(self.refused):,} refused"] if self.refused else []
        return f"{', '.join(said)}."


def import_reviews(file: Path, source: str, how: Adaptation) -> Imported:
    """Land every review of a file that can; the same file twice lands once.

    Raises AssayError when the file cannot be read as what it says it is, or a field is renamed to one nobody knows.
    """
    for name in (*how.renamed, *how.given):
        if name not in BY_NAME:
            raise AssayError(unknown_name("field", name, list(BY_NAME)))
    done = Imported()
    contract = Contract(FIELDS)
    for chunk in read(file):
        done.rows += chunk.rows
        done.refused += [(bad.line, texts_scrubbed([bad.reason])[0]) for bad in chunk.bad]
        _land(done, contract, source, chunk.lines, [how.adapt(record) for record in chunk.records])
        if chunk.broken_off:
            done.refused.append((0, chunk.broken_off))
    done.refused.sort()
    return done


def _land(done: Imported, contract: Contract, source: str, lines: Sequence[int], records: Sequence[Record]) -> None:
    rows = typed(records, BY_NAME)
    contract.judge(rows)
    _judge_together(rows)
    made = [(int(str(place)), _row(source, row)) for place, row in _records(rows.good()).items()]
    with transaction() as connection:
        landed = reviews.land_reviews(connection, [row for _, row in made])
    done.landed += landed.landed
    done.duplicates += landed.duplicates
    conflicts = {made[position][0] for position in landed.conflicts}
    faults = {**{place: "; ".join(said) for place, said in rows.faults.items()},
              **dict.fromkeys(conflicts, "this review is there already, with other content")}  # fmt: skip
    done.refused += [(lines[place], texts_scrubbed([why])[0]) for place, why in faults.items()]


def _records(frame: "pd.DataFrame") -> Mapping[Any, Mapping[str, Any]]:
    """Each row by its place; what is missing is None."""
    return {
        place: {str(name): None if value is None or value != value else value for name, value in row.items()}
        for place, row in zip(frame.index, frame.astype(object).to_dict("records"), strict=True)
    }


def _judge_together(rows: Typed) -> None:
    """A review says something, and names nobody by an address."""
    frame = rows.frame
    says = [name for name in ("label", "accepted") if name in frame]
    for place in range(len(frame)):
        texts = all(name in frame and _given(frame[name].iat[place]) for name in ("draft", "edited"))
        if not texts and not any(_given(frame[name].iat[place]) for name in says):
            rows.fault(place, "the review says nothing: give a label, accepted, or draft and edited")
        for name in ("item", "reviewer"):
            if name in frame and "@" in str(frame[name].iat[place]):
                rows.fault(place, f"{name} holds an e-mail address, which is no id: use another one")


def _given(value: Any) -> bool:
    return value is not None and value == value


def _row(source: str, said: Mapping[str, Any]) -> dict[str, Any]:
    """A review as it is kept: scrubbed, its texts become how much was changed."""
    draft, edited = said.get("draft"), said.get("edited")
    distance = None if draft is None or edited is None else edit_distance(draft, edited)
    accepted = said.get("accepted")
    if accepted is None and distance is not None:
        accepted = distance == 0
    row = {
        "source": source,
        "item": said["item"],
        "reviewer": scrub(said["reviewer"])[0],
        "aspect": scrub(said.get("aspect") or OVERALL)[0],
        "label": None if said.get("label") is None else scrub(said["label"])[0],
        "accepted": accepted,
        "distance": distance,
        "category": None if said.get("category") is None else scrub(said["category"])[0],
        "seconds": said.get("seconds"),
    }
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(said["at"]))
    content = orjson.dumps({**row, "at": moment}, option=orjson.OPT_SORT_KEYS)
    return {
        **row,
        "at": moment,
        "content_hash": hashlib.blake2b(content, digest_size=16).digest(),
        "actor": settings().actor,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewWindow:
    """The reviews of some days."""

    first: date
    last: date
    timezone: str
    facts: ReviewFacts


def review_window(first: date | None = None, last: date | None = None) -> ReviewWindow:
    """What the reviews of a window say; without one, those of the last ninety days that have any.

    Raises NothingYet before there is a review, AssayError when the window ends before it begins.
    """
    with transaction() as connection:
        known = reviews.reviewed_between(connection)
        if known is None:
            raise NothingYet("there are no reviews yet; `assay reviews import FILE` takes them in (docs/customer.md).")
        timezone = rollups.timezone_of(connection)
        last = last or max(known[1].astimezone(ZoneInfo(timezone)).date(), first or date.min)
        first = first or last - timedelta(days=DEFAULT_DAYS - 1)
        if last < first:
            raise AssayError(f"{first} comes after {last}; give the earlier day first.")
        found = reviews.reviews_between(connection, day_bounds(first, timezone)[0], day_bounds(last, timezone)[1])
    return ReviewWindow(first=first, last=last, timezone=timezone, facts=review_facts(found))
