"""Erasing: one person forgotten, whoever they are to the logs, with a record that says how much and not who."""

import shutil
from contextlib import suppress
from dataclasses import dataclass

from evaluations.errors import AssayError
from evaluations.wording import count
from tasks.ingest.scrubbing import PSEUDONYM, pseudonym, texts_scrubbed
from tasks.settings import settings
from tasks.store import batches, erasure, requests
from tasks.store.database import transaction
from tasks.store.erasure import Erased

SHORTEST_NAME = 4
"""A shorter id occurs within others by chance: it is not looked for in ids and reasons."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """What came of it."""

    id: int | None
    """Of its record; None for a dry run, and where there was nothing."""
    erased: Erased
    pages: int
    """Pages about single requests that were removed."""
    dry_run: bool

    def __str__(self) -> str:
        erased = self.erased
        if not (erased.request_ids or erased.spans or erased.quarantined):
            return "Nothing is kept of this person."
        what = (
            f"{count(len(erased.request_ids), 'request')}, {count(erased.spans, 'span')}, "
            f"{count(erased.quarantined, 'row')} in quarantine"
        )
        if self.dry_run:
            return f"Would be erased: {what}. Nothing was changed."
        told = f"Erased: {what}, {count(self.pages, 'page')}. Record {self.id}."
        if erased.by_day:
            told += f" {count(len(erased.by_day), 'day')} changed; to tell their facts anew: assay rollup"
        return told


def erase_subject(subject: str, *, reason: str, dry_run: bool = False) -> Erasure:
    """Forget whoever the logs call `subject`, or whom that pseudonym ("pseudonym:…") stands for.

    Raises AssayError without a subject or a reason.
    """
    if not subject:
        raise AssayError("give the person's id as the logs have it, such as --subject customer-17.")
    if not reason.strip():
        raise AssayError("give a reason, such as --reason 'request of 3 May'; it is kept with the record.")
    given = settings()
    known = not subject.startswith(PSEUDONYM)
    with transaction() as connection:
        platform = batches.platform(connection, given.actor)
        stands_for = pseudonym(subject, platform.subject_key)
        attempt = connection.begin_nested()
        erased = erasure.erase(
            connection,
            stands_for,
            marker=f"{PSEUDONYM}{stands_for.hex()}",
            named=subject if known and len(subject) >= SHORTEST_NAME else "",
            timezone=str(platform.timezone),
        )
        record_id = None
        if dry_run:
            attempt.rollback()
        else:
            requests.mark_dirty(connection, erased.by_day, cause="erase", batch_id=None, actor=given.actor)
            said = texts_scrubbed([reason.replace(subject, "[subject]")])[0]
            record_id = erasure.record(connection, erased, reason=said, actor=given.actor)
    pages = 0 if dry_run else _remove_pages(erased.request_ids)
    return Erasure(id=record_id, erased=erased, pages=pages, dry_run=dry_run)


def _remove_pages(request_ids: tuple[int, ...]) -> int:
    """Pages about her requests, which hold her words; those over many requests hold none."""
    removed = 0
    for each in request_ids:
        folder = settings().reports_folder / f"request-{each}"
        if folder.is_dir():
            with suppress(OSError):
                shutil.rmtree(folder)
                removed += 1
    return removed
