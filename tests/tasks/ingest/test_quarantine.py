"""The way back from quarantine: corrected, checked, landed once, and not brought back by the same file."""

import json
from pathlib import Path
from typing import Any

import pytest

from evaluations.errors import AssayError
from tasks.ingest.fixing import READY, corrections_in, fix
from tasks.ingest.retrying import retry
from tests.cli.commands import assay_here
from tests.tasks.ingest.builders import a_file, a_record, facts, ingested, one, waiting

pytestmark = pytest.mark.usefixtures("store")


def test_a_correction_is_checked_at_once_and_lands_by_a_retry_once(tmp_path: Path) -> None:
    path = a_file(tmp_path, [a_record(1, rating=9, quality=7, subject="jane"), a_record(2)])
    ingested(path)
    [row] = waiting()
    told = fix({row.id: {"rating": 4}})
    assert (told.ready, list(told.faulty.values())) == ((), ["quality is 7, not a number from 0 to 1"])
    told = fix({row.id: {"quality": None}})
    assert (told.ready, waiting()[0].reason) == ((row.id,), READY)
    assert len(facts()) == 1, "a correction lands nothing"
    assert str(retry([row.id])) == "1 landed, 0 still wait."
    with pytest.raises(AssayError, match=f"no row {row.id} waits"):
        retry([row.id])
    assert [(each.external_id, each.rating) for each in facts("external_id, rating")] == [("r-2", None), ("r-1", 4)]
    assert ingested(path).counts.landed == 0
    assert waiting() == [], "what was mended does not come back with its file"
    assert len(facts()) == 2


def test_a_file_of_corrections_mends_each_row_by_its_id(tmp_path: Path) -> None:
    ingested(a_file(tmp_path, [a_record(1, rating=9), a_record(2, status="fine"), b"not json"]))
    by_line = {row.line: row.id for row in waiting()}
    whole = a_record(3, rating=1)
    lines: list[dict[str, Any]] = [
        {"id": by_line[1], "rating": 5},
        {"id": by_line[2], "status": "success", "rating": ""},
        {"id": by_line[3], **whole},
    ]
    told = fix(corrections_in(a_file(tmp_path, lines, "corrections.jsonl")))
    assert sorted(told.ready) == sorted(by_line.values())
    assert str(retry()) == "3 landed, 0 still wait."
    assert {row.external_id: (row.rating, row.status) for row in facts("external_id, rating, status")} == {
        "r-1": (5, None),
        "r-2": (None, "success"),
        "r-3": (1, None),
    }


def test_a_correction_is_scrubbed_before_it_is_kept(tmp_path: Path) -> None:
    ingested(a_file(tmp_path, [a_record(1, rating=9)]))
    [row] = waiting()
    fix({row.id: {"comment": "write to jane@example.com", "subject": "jane"}})
    assert "jane" not in one("SELECT content FROM quarantine")
    fix({row.id: {"rating": 4}})
    retry([row.id])
    ingested(a_file(tmp_path, [a_record(2, subject="jane")]))
    mended, other = facts("comment, subject")
    assert (mended.comment, mended.subject) == ("write to [email]", other.subject)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b'{"rating": 4}', "line 1 of .*corrections.jsonl names no row"),
        (
            b'{"id": 1, "rating": 4}\n{"id": 1, "rating": 5}',
            "line 2 of .*corrections.jsonl corrects row 1 a second time",
        ),
        (b'{"id": 1, "raing": 4}', "did you mean 'rating'?"),
        (b'{"id": 99, "rating": 4}', "no row 99 waits"),
        (b"{", "corrections.jsonl cannot be read, line 1"),
    ],
)
def test_a_file_of_corrections_that_is_none_corrects_nothing(tmp_path: Path, line: bytes, told: str) -> None:
    ingested(a_file(tmp_path, [a_record(1, rating=9)]))
    path = a_file(tmp_path, [line], "corrections.jsonl")
    with pytest.raises(AssayError, match=told.replace("?", r"\?")):
        fix(corrections_in(path))
    assert waiting()[0].record == {**a_record(1, rating=9)}


def test_the_commands_list_correct_and_land(tmp_path: Path) -> None:
    ingested(a_file(tmp_path, [a_record(1, rating=9), a_record(2, rating=8), b"no json"]))
    listed = assay_here("quarantine", "list", "--limit", "2").out
    assert "       2  rating is … not a whole number from … to …" in listed
    assert listed.endswith("and 1 more; --limit shows more of them.\n")
    rows = json.loads(assay_here("quarantine", "list", "--json").out)
    first, second = (row["id"] for row in rows[:2])
    assert f"{second:>8}  still: rating is 7" in assay_here("quarantine", "fix", f"{second}", "--set", "rating=7").out
    fixed = assay_here("quarantine", "fix", f"{first}", "--set", "rating=4").out
    assert fixed == f"1 ready. To land them: assay quarantine retry {first}\n"
    assert assay_here("quarantine", "retry", f"{first}").out == "1 landed, 0 still wait.\n"
    assert assay_here("quarantine", "dismiss", f"{second}").out == "1 dismissed.\n"
    assert assay_here("quarantine", "fix", f"{first}").code == 2
    assert "(no content was kept)" in assay_here("quarantine", "list").out
