"""Forgetting one person: everywhere, for good, with a record that says how much and not who."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from evaluations.errors import AssayError
from tasks.erasing import erase_subject
from tasks.rollups import roll_up_days
from tasks.store import rollups
from tasks.store.database import transaction
from tests.cli.commands import assay_here
from tests.tasks.ingest.builders import a_file, a_record, facts, ingested, one, waiting
from tests.tasks.ingest.test_formats import a_span

pytestmark = pytest.mark.usefixtures("store")
JANE = "jane-doe-17"


def landed(folder: Path) -> Path:
    """Requests of two people in three months, a row of Jane's that waits, and a trace of hers."""
    path = a_file(
        folder,
        [
            a_record(1, subject=JANE, ticket="t-1", comment="I, too", status="success"),
            a_record(2, subject=JANE, at="2026-04-01T10:00:00Z"),
            a_record(3, subject=JANE, at="2026-03-01T10:00:00Z", external_id=f"{JANE}/3"),
            a_record(4, subject="john"),
            a_record(5, ticket="t-1", handled_by="human", model=None, provider=None),
            a_record(6, subject=JANE, rating=9, trace_id="f" * 32),
            a_record(7, subject="john", ticket="t-1"),
        ],
    )
    ingested(path)
    call: dict[str, Any] = {"gen_ai.request.model": "gpt-4o", "user.id": JANE, "gen_ai.usage.input_tokens": 7}
    spans = [a_span(1), a_span(2, f"{1:016x}", **call)]
    about = [{"key": "service.name", "value": {"stringValue": "support"}}]
    export = {"resourceSpans": [{"resource": {"attributes": about}, "scopeSpans": [{"spans": spans}]}]}
    ingested(a_file(folder, [export], "spans.jsonl"), format="otlp")
    return path


def everything() -> str:
    """Every row of every table as text, pseudonyms included."""
    with transaction() as connection:
        tables = connection.execute(
            text("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename")
        ).scalars()
        return "\n".join(
            str(connection.execute(text(f"SELECT string_agg(t::text, E'\\n') FROM \"{table}\" t")).scalar_one())
            for table in tables
        )


def test_nothing_of_a_person_is_left_in_any_table(tmp_path: Path) -> None:
    path = landed(tmp_path)
    pseudonym = one(f"SELECT encode(subject, 'hex') FROM requests WHERE external_id = '{JANE}/3'")
    assert pseudonym in everything()
    told = erase_subject(JANE, reason=f"{JANE} asked for it on 3 May")
    left = everything()
    assert pseudonym not in left
    assert JANE not in left.casefold()
    assert "I, too" not in left
    assert [row.external_id for row in facts("external_id")] == ["r-4", "r-7"], "others stay, their tickets included"
    assert (len(told.erased.request_ids), told.erased.spans, told.erased.quarantined) == (5, 2, 1)
    again = ingested(path)
    assert (again.counts.landed, again.counts.duplicates) == (0, 6), "an old file brings nothing back"
    assert waiting() == []


def test_an_erasure_is_recorded_and_restates_its_days(tmp_path: Path) -> None:
    landed(tmp_path)
    roll_up_days(None)
    told = erase_subject(JANE, reason=f"{JANE} asked")
    with transaction() as connection:
        row = connection.execute(text("SELECT * FROM erasures")).one()
    from tasks.settings import settings

    assert (row.id, row.actor, row.reason) == (told.id, settings().actor, "[subject] asked")
    assert (row.requests, row.spans, row.quarantined, row.days) == (5, 2, 1, 4)
    assert str(roll_up_days(None)) == "4 days with 2 requests rolled up: 4 restated"
    with transaction() as connection:
        causes = {each.why() for each in rollups.restatements(connection, date(2026, 1, 1), date(2026, 12, 31))}
    assert causes == {"a person's requests were erased"}


def test_a_dry_run_counts_and_changes_nothing(tmp_path: Path) -> None:
    landed(tmp_path)
    before = everything()
    told = str(erase_subject(JANE, reason="to look", dry_run=True))
    assert told == "Would be erased: 5 requests, 2 spans, 1 row in quarantine. Nothing was changed."
    assert everything() == before


def test_a_person_is_found_by_their_pseudonym_too(tmp_path: Path) -> None:
    ingested(a_file(tmp_path, [a_record(1, subject=JANE), a_record(2)]))
    pseudonym = one("SELECT 'pseudonym:' || encode(subject, 'hex') FROM requests WHERE subject IS NOT NULL")
    assert len(erase_subject(pseudonym, reason="asked").erased.request_ids) == 1
    assert str(erase_subject(pseudonym, reason="asked")) == "Nothing is kept of this person."


def test_pages_about_the_requests_go_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tasks.settings import settings

    monkeypatch.setenv("ASSAY_REPORTS", str(tmp_path / "reports"))
    settings.cache_clear()
    ingested(a_file(tmp_path, [a_record(1, subject=JANE), a_record(2)]))
    first, second = (row.id for row in facts("id"))
    for each in (first, second):
        (tmp_path / "reports" / f"request-{each}").mkdir(parents=True)
    assert erase_subject(JANE, reason="asked").pages == 1
    assert [path.name for path in (tmp_path / "reports").iterdir()] == [f"request-{second}"]


def test_a_reason_never_names_the_person_who_could_not_land(tmp_path: Path) -> None:
    ingested(a_file(tmp_path, [a_record(1, subject={"name": JANE})]))
    [row] = waiting()
    assert row.reason == "subject is there, not a text"
    assert JANE not in everything()


@pytest.mark.parametrize(("subject", "reason", "told"), [("", "x", "the person's id"), (JANE, " ", "give a reason")])
def test_who_and_why_have_to_be_said(subject: str, reason: str, told: str) -> None:
    with pytest.raises(AssayError, match=told):
        erase_subject(subject, reason=reason)


def test_the_command_asks_before_it_erases(tmp_path: Path) -> None:
    ingested(a_file(tmp_path, [a_record(1, subject=JANE)]))
    refused = assay_here("erase", "--subject", JANE, "--reason", "asked")
    assert refused.code == 2
    assert "nobody is there to be asked; give --yes" in refused.err
    assert len(facts()) == 1
    done = assay_here("erase", "--subject", JANE, "--reason", "asked", "--yes")
    assert done.out.startswith("Erased: 1 request, 0 spans, 0 rows in quarantine, 0 pages. Record 1. 1 day changed")
