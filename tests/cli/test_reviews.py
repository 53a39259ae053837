"""assay reviews import and assay reviewers as a person uses them."""

import json
from pathlib import Path
from typing import Any

import pytest

from tasks.store.database import transaction
from tests.cli.commands import assay_here, rows
from tests.tasks.store.tickets import a_contact, land_contacts


def a_file(folder: Path, records: list[dict[str, Any]], name: str = "reviews.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def a_row(item: int = 1, reviewer: str = "ann", **given: Any) -> dict[str, Any]:
    return {"item": f"r-{item}", "reviewer": reviewer, "at": "2026-05-04T10:00:00Z", "label": "good", **given}


def test_reviews_land_once_and_of_their_texts_only_how_much_was_changed(store: str, tmp_path: Path) -> None:
    draft = "We will refund jane@example.com."
    path = a_file(
        tmp_path,
        [
            a_row(1, draft=draft, edited=draft),
            a_row(2, draft=draft, edited=draft + " Sorry!", seconds=12),
            a_row(3, accepted=False),
        ],
    )
    assert assay_here("reviews", "import", path).out == "reviews.jsonl: 3 rows, 3 landed.\n"
    assert assay_here("reviews", "import", path).out == "reviews.jsonl: 3 rows, 0 landed, 3 there already.\n"
    found = rows(store, "SELECT item, accepted, round(distance::numeric, 4)::float, seconds FROM reviews ORDER BY item")
    assert found == [("r-1", True, 0.0, None), ("r-2", False, round(7 / 39, 4), 12.0), ("r-3", False, None, None)]
    assert "jane" not in str(rows(store, "SELECT * FROM reviews"))


def test_rows_that_cannot_land_are_named_and_the_others_land(store: str, tmp_path: Path) -> None:
    path = a_file(
        tmp_path,
        [
            a_row(1),
            a_row(2, reviewer="ann@example.com"),
            a_row(3, at="2126-01-01T00:00:00Z"),
            {key: value for key, value in a_row(4).items() if key != "item"},
            a_row(5, label=None),
            a_row(6, labell="x"),
            a_row(7, seconds=-1),
            a_row(1, label="bad"),
        ],
    )
    told = assay_here("reviews", "import", path)
    assert told.code == 2
    assert told.out == "reviews.jsonl: 8 rows, 1 landed, 7 refused.\n"
    lines = told.err.splitlines()
    for number, reason in (
        (2, "reviewer holds an e-mail address"),
        (3, "at lies in the future"),
        (4, "item is missing"),
        (5, "the review says nothing: give a label, accepted, or draft and edited"),
        (6, "no field is called 'labell'; did you mean label?"),
        (7, "seconds is -1, not a number from 0 to 1,000,000"),
        (8, "this review is there already, with other content"),
    ):
        [line] = [line for line in lines if line.startswith(f"line {number}: ")]
        assert reason in line
    assert lines[-1] == "Mend these lines and import the file again: what landed stays."
    assert "example.com" not in told.err


def test_a_table_with_other_names_is_taken_by_naming_them(store: str, tmp_path: Path) -> None:
    path = tmp_path / "sheet.csv"
    path.write_text("request,person,at,verdict,notes\nr-1,ann,2026-05-04,pass,x\nr-1,bob,2026-05-04,fail,y\n")
    told = assay_here("reviews", "import", path, "--field", "item=request", "--field", "reviewer=person",
                      "--field", "label=verdict", "--ignore", "notes", "--set", "aspect=tone")  # fmt: skip
    assert (told.code, told.out) == (0, "sheet.csv: 2 rows, 2 landed.\n")
    assert rows(store, "SELECT reviewer, aspect, label FROM reviews ORDER BY 1") == [
        ("ann", "tone", "pass"), ("bob", "tone", "fail"),
    ]  # fmt: skip


def test_reviewers_are_told_with_what_their_requests_say(store: str, tmp_path: Path) -> None:
    with transaction() as connection:
        contacts = [a_contact(external_id=f"r-{n}", source="assay", category="billing", rating=5, sentiment=0.9)
                    for n in range(1, 13)]  # fmt: skip
        land_contacts(connection, contacts)
        from sqlalchemy import text

        connection.execute(
            text("""INSERT INTO request_keys (source, external_id, id, at, content_hash, batch_id)
                                   OVERRIDING SYSTEM VALUE SELECT source, external_id, id, at, '', 1 FROM requests""")
        )
    given = [
        *(a_row(n, name, accepted=n % 3 > 0, label="bad" if name == "cyd" and n < 9 else "good")
          for n in range(1, 13) for name in ("ann", "bob", "cyd")),
        *(a_row(n, "ann", aspect="sentiment", label="positive" if n % 4 else "neutral") for n in range(1, 13)),
    ]  # fmt: skip
    assert assay_here("reviews", "import", a_file(tmp_path, given)).code == 0
    told = assay_here("reviewers")
    assert told.code == 0, told.err
    lines = told.out.splitlines()
    assert lines[0] == "Reviews from 2026-02-04 to 2026-05-04 (UTC)"
    assert lines[1] == "48 reviews of 12 things by 3 people; 12 were judged by two or more."
    assert [line.split()[0] for line in lines[4:7]] == ["ann", "bob", "cyd"]
    assert any(line.startswith("  overall: Krippendorff's alpha, nominal, ") for line in lines)
    assert any(line.startswith("  cyd on billing: agrees ") for line in lines)
    document = json.loads(assay_here("reviewers", "--json").out)
    by_name = {each["name"]: each for each in document["reviewers"]}
    assert by_name["ann"]["accepted"]["n"] == 12
    assert by_name["ann"]["liked"]["n"] == 4, "of the four that ann edited all were rated"
    assert document["training"][0]["category"] == "billing"


def test_without_reviews_the_command_says_how_to_get_some(store: str, tmp_path: Path) -> None:
    told = assay_here("reviewers")
    assert told.code == 2
    assert "there are no reviews yet; `assay reviews import FILE` takes them in" in told.err
    missing = assay_here("reviews", "import", tmp_path / "none.jsonl")
    assert missing.code == 2
    assert "there is no file" in missing.err


@pytest.mark.parametrize(("field", "near"), [("labell=x", "label"), ("x", "field=value")])
def test_a_field_nobody_knows_is_refused_before_anything_is_read(
    store: str, tmp_path: Path, field: str, near: str
) -> None:
    told = assay_here("reviews", "import", a_file(tmp_path, [a_row()]), "--field", field)
    assert told.code == 2
    assert near in told.err
