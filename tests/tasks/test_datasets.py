"""Datasets: every ugly thing that a file of cases can hold, and what is said about it."""

import gzip
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import tasks.datasets
from evaluations.cases import Case
from evaluations.errors import AssayError
from tasks.datasets import BadRow, CaseRow, iter_cases, open_dataset

DATA = Path(os.environ.get("ASSAY_TEST_DATA", Path(__file__).parents[2] / "../shared/data"))


def rows(folder: Path) -> list[CaseRow | BadRow]:
    return list(iter_cases(open_dataset(folder)))


def cases(folder: Path) -> list[Case]:
    read = rows(folder)
    assert [row for row in read if isinstance(row, BadRow)] == []
    return [row.case for row in read if isinstance(row, CaseRow)]


def reasons(folder: Path) -> dict[int, str]:
    return {row.line: row.reason for row in rows(folder) if isinstance(row, BadRow)}


def jsonl(folder: Path, *lines: Mapping[str, Any] | bytes, end: bytes = b"\n") -> Path:
    """A dataset of these lines, given as objects or as raw bytes."""
    made = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    (folder / "cases.jsonl").write_bytes(end.join([*made, b""]))
    return folder


def contract(folder: Path, **given: Any) -> Path:
    (folder / "contract.yaml").write_text(json.dumps(given))
    return folder


def test_reserved_columns_are_what_they_are_called_and_the_rest_are_inputs(tmp_path: Path) -> None:
    row = {
        **{"id": "a", "question": "q", "lang": "en", "expected": {"x": 1}, "tags": ["t", "u", "t"]},
        **{"priority": "high", "automation": "manual", "description": "d", "metadata": {"source": "s"}},
        "assertions": ["exact", {"scorer": "word_count", "at_most": 3}],
    }
    assert cases(jsonl(tmp_path, row)) == [
        Case(
            id="a",
            inputs={"question": "q", "lang": "en"},
            expected={"x": 1},
            tags=("t", "u"),
            priority="high",
            automation="manual",
            description="d",
            assertions=({"scorer": "exact"}, {"scorer": "word_count", "at_most": 3}),
            metadata={"source": "s"},
        )
    ]


def test_an_object_of_inputs_leaves_the_rest_to_the_metadata(tmp_path: Path) -> None:
    [case] = cases(jsonl(tmp_path, {"id": 7, "inputs": {"q": 1}, "origin": "x"}))
    assert (case.id, case.inputs, case.metadata) == ("7", {"q": 1}, {"origin": "x"})


@pytest.mark.parametrize(
    ("fields", "inputs"),
    [
        ({"inputs": ["q"]}, {"q": "Q"}),
        ({"inputs": {"question": "q"}}, {"question": "Q"}),
        ({"inputs": "o"}, {"k": 1}),
        ({}, {"q": "Q", "o": {"k": 1}}),
    ],
)
def test_the_contract_says_which_columns_are_inputs(
    tmp_path: Path, fields: dict[str, Any], inputs: dict[str, Any]
) -> None:
    jsonl(tmp_path, {"key": "a", "q": "Q", "o": {"k": 1}, "gold": "18"})
    contract(tmp_path, fields={"id": "key", "expected": "gold", **fields})
    [case] = cases(tmp_path)
    assert (case.id, case.expected, case.inputs) == ("a", "18", inputs)


def test_rows_without_ids_can_be_called_by_their_number(tmp_path: Path) -> None:
    contract(jsonl(tmp_path, {"q": "a"}, b"", {"q": "b"}), fields={"id": None})
    assert [case.id for case in cases(tmp_path)] == ["1", "2"]


def test_a_mark_carriage_returns_and_blank_lines_are_no_trouble(tmp_path: Path) -> None:
    jsonl(tmp_path, b"\xef\xbb\xbf" + b'{"id": "a", "q": 1}', b"", b"   ", {"id": "b", "q": 2}, end=b"\r\n")
    assert [(row.line, row.case.id) for row in rows(tmp_path) if isinstance(row, CaseRow)] == [(1, "a"), (4, "b")]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"{bad", "is not JSON"),
        (b'["a"]', "is a list, not a JSON object"),
        (b'"a"', "is text, not a JSON object"),
        (b"null", "is null, not a JSON object"),
        (b'{"id": "b", "q": "caf\xe9"}', "is not UTF-8: byte 0xe9 at byte 41 of the file"),
        (b'{"id": "b", "q": "\\ud800"}', "half a surrogate pair (\\ud800) in q"),
        (b'{"id": "b", "q": {"deep": ["\\udfff"]}}', "half a surrogate pair (\\udfff) in q.deep"),
        (b'{"id": "b", "\\ud800": 1}', "in a key"),
        (b'{"id": "b", "q": "\\u0000"}', "a NUL character in q"),
        (b'{"id": "b", "q": "\x00"}', "is not JSON"),
        (b'{"id": "b", "q": NaN}', "holds NaN"),
        (b'{"id": "b", "q": -Infinity}', "holds -Infinity"),
        (b'{"id": "b", "q": 1e999}', "beyond all numbers"),
        (b'{"id": "b", "q": 1' + b"0" * 5000 + b"}", "is not usable JSON"),
        (b'{"id": "b", "q": 1, "q": 2}', "has the key 'q' twice"),
        (b'{"id": "b", "q": ' + b"[" * 100_000, "nested too deeply"),
        (b'{"q": 1}', "has no 'id'"),
        (b'{"ID": "b", "q": 1}', "has no 'id'"),
        (b'{"idd": "b", "q": 1}', "did you mean the column 'idd'"),
        (b'{"id": "", "q": 1}', "has no 'id'"),
        (b'{"id": null, "q": 1}', "has no 'id'"),
        (b'{"id": 1.5, "q": 1}', "id is a number, not text"),
        (b'{"id": true, "q": 1}', "id is true or false, not text"),
        (b'{"id": " b", "q": 1}', "spaces at its ends"),
        (b'{"id": "b\\nc", "q": 1}', "control characters"),
        (b'{"id": "' + b"b" * 256 + b'", "q": 1}', "has 256 characters"),
        (b'{"id": "a", "q": 1}', "the id 'a' was used before, in line 1"),
        (b'{"id": "b"}', "has no inputs"),
        (b'{"id": "b", "q": 1, "priority": "hgih"}', "did you mean 'high'"),
        (b'{"id": "b", "q": 1, "priority": ["high"]}', "priority is ['high']"),
        (b'{"id": "b", "q": 1, "automation": "robot"}', "automation is 'robot'"),
        (b'{"id": "b", "q": 1, "tags": [1]}', "tags are [1]"),
        (b'{"id": "b", "q": 1, "description": 5}', "description is a number"),
        (b'{"id": "b", "q": 1, "assertions": "exact"}', "assertions are text"),
        (b'{"id": "b", "q": 1, "assertions": [{"scorer": "exact", "weight": -1}]}', "assertion 1: `weight`"),
        (b'{"id": "b", "q": 1, "assertions": [{"at_most": 1}]}', "assertion 1"),
    ],
)
def test_a_bad_row_is_named_by_line_and_the_others_are_read(tmp_path: Path, line: bytes, said: str) -> None:
    jsonl(tmp_path, {"id": "a", "q": 1}, line, {"id": "z", "q": 1})
    read = rows(tmp_path)
    assert [type(row) for row in read] == [CaseRow, BadRow, CaseRow]
    assert read[1].line == 2
    assert isinstance(read[1], BadRow)
    assert said in read[1].reason


def test_a_whole_pair_of_surrogates_is_a_character(tmp_path: Path) -> None:
    assert cases(jsonl(tmp_path, b'{"id": "a", "q": "\\ud83d\\ude00"}'))[0].inputs == {"q": "😀"}


def test_a_case_of_ten_megabytes_is_refused_with_its_size(tmp_path: Path) -> None:
    jsonl(tmp_path, {"id": "a", "q": 1}, {"id": "b", "q": "x" * 10_000_000}, {"id": "c", "q": 1})
    assert reasons(tmp_path) == {2: "is 10.0 MB large, more than the 1.0 MB of `max_case_bytes`"}
    assert [row.case.id for row in rows(tmp_path) if isinstance(row, CaseRow)] == ["a", "c"]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b""])
def test_a_case_of_just_the_largest_size_is_taken_and_one_byte_more_is_not(tmp_path: Path, end: bytes) -> None:
    line = b'{"id": "a", "q": 1}'
    (tmp_path / "cases.jsonl").write_bytes(line + end)
    assert len(cases(contract(tmp_path, max_case_bytes=len(line)))) == 1
    assert list(reasons(contract(tmp_path, max_case_bytes=len(line) - 1))) == [1]


def test_a_gzip_file_is_read_as_what_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "cases.jsonl.gz").write_bytes(gzip.compress(b'{"id": "a", "q": 1}\n{"id": "b", "q": 1}'))
    assert [case.id for case in cases(tmp_path)] == ["a", "b"]


@pytest.mark.parametrize(
    ("ending", "unit", "said"),
    [
        ("jsonl", b"x", "unpacks to more than"),
        ("jsonl", b"\n", "unpacks to more than"),
        ("jsonl", b'{"id": 1}\n', "unpacks to more than"),
        ("csv", b"\n", "unpacks to more than"),
        ("csv", b"1,2,3\n", "unpacks to more than"),
        ("csv", b"x", "is larger than|unpacks to more than"),
        ("csv", b'"x\n', "is larger than|not CSV"),
    ],
)
def test_a_gzip_bomb_is_refused(
    tmp_path: Path, ending: str, unit: bytes, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks.datasets, "ALWAYS_UNPACKED", 1_200_000)
    data = b"id,q\n" + unit * (3_000_000 // len(unit))
    (tmp_path / f"cases.{ending}.gz").write_bytes(gzip.compress(data))
    with pytest.raises(AssayError, match=said):
        rows(tmp_path)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"no gzip at all", "no sound gzip file"),
        (gzip.compress(b'{"id": "a", "q": 1}\n' * 1000)[:-20], "ends in the middle"),
        (gzip.compress(b'{"id": "a", "q": 1}\n')[:-8] + b"12345678", "no sound gzip file"),
    ],
    ids=["no gzip at all", "cut short", "wrong checksum"],
)
def test_a_broken_gzip_file_is_an_error(tmp_path: Path, data: bytes, said: str) -> None:
    (tmp_path / "cases.jsonl.gz").write_bytes(data)
    with pytest.raises(AssayError, match=said):
        rows(tmp_path)


def test_csv_cells_are_text_unless_the_contract_says_more(tmp_path: Path) -> None:
    (tmp_path / "cases.csv").write_bytes(
        b"\xef\xbb\xbfid,q,n,yes,expected,tags,assertions\r\n"
        b'a,"two\r\nlines, ""quoted""",3,true,,x; y,\r\n\r\n'
        b'b,,0.5,no,18,,"[{""scorer"": ""exact""}]"\r\n'
    )
    contract(tmp_path, types={"n": "number", "yes": "boolean"})
    first, second = cases(tmp_path)
    assert first.inputs == {"q": 'two\r\nlines, "quoted"', "n": 3, "yes": True}
    assert (first.expected, first.tags, first.assertions) == (None, ("x", "y"), ())
    assert second.inputs == {"q": "", "n": 0.5, "yes": False}
    assert (second.expected, second.tags, second.assertions) == ("18", (), ({"scorer": "exact"},))
    assert [row.line for row in rows(tmp_path)] == [2, 5]


def test_bad_csv_rows_are_named_by_line(tmp_path: Path) -> None:
    (tmp_path / "cases.csv").write_bytes(b"id,n\na,1\nb\nc,x\nd,caf\xe9\ne,\x00\nf,1,2\n,1\ng,7\n")
    contract(tmp_path, types={"n": "integer"})
    said = reasons(tmp_path)
    assert list(said) == [3, 4, 5, 6, 7, 8]
    assert said[3] == "has 1 cells under 2 columns"
    assert said[4] == "n is 'x', which is not of type integer"
    assert "byte 0xe9 at byte 20 of the file" in said[5]
    assert "NUL" in said[6]
    assert "3 cells" in said[7]
    assert "no 'id'" in said[8]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("id,q,q\na,1,2\n", "two columns are called q"),
        ("id,,q\na,1,2\n", "column 2 has no name"),
        ("\n", "header is empty"),
        ("id;q\na;1\n", "parted by commas, not by ';'"),
        ('id,q\na,"' + "x" * 2_000_000, "never closed"),
        ('id,q\na,"x"y\n', "not CSV"),
        ("id,q\n", "has no cases"),
    ],
)
def test_a_csv_file_that_cannot_be_read_on_is_an_error(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "cases.csv").write_text(text)
    with pytest.raises(AssayError, match=said):
        rows(tmp_path)


def test_parquet_rows_become_cases(tmp_path: Path) -> None:
    import pandas as pd

    frame = pd.DataFrame(
        {
            "id": ["a", "b", "c"],
            "q": ["x", "y\x00", "z"],
            "at": pd.to_datetime(["2024-01-01", "2024-01-02", "NaT"]),
            "n": [1.5, 2.5, None],
            "tags": [["t"], [], None],
        }
    )
    frame.to_parquet(tmp_path / "cases.parquet")
    first, second, third = rows(tmp_path)
    assert isinstance(first, CaseRow)
    assert first.case.inputs == {"q": "x", "at": "2024-01-01T00:00:00", "n": 1.5}
    assert first.case.tags == ("t",)
    assert isinstance(second, BadRow)
    assert (second.line, second.reason) == (2, "holds a NUL character in q, which no database stores")
    assert isinstance(third, CaseRow)
    assert third.case.inputs == {"q": "z", "at": None, "n": None}


def test_a_broken_parquet_file_is_an_error(tmp_path: Path) -> None:
    for data in (b"PAR1 and nothing more", b"PAR1" + b"\x00" * 100 + b"PAR1"):
        (tmp_path / "cases.parquet").write_bytes(data)
        with pytest.raises(AssayError, match="no sound Parquet file"):
            rows(tmp_path)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"cases": "cases.json"}, "did you mean cases.jsonl"),
        ({"cases": "sub"}, "is a folder"),
        ({"cases": "notes.txt"}, "is none of .jsonl"),
        ({"cases": "empty.csv"}, "is empty"),
        ({"cases": "../outside.jsonl"}, "leads out of"),
        ({"cases": "/etc/passwd"}, "absolute path"),
        ({"cases": "link.jsonl"}, "leads out of"),
        ({"case": "cases.jsonl"}, "contract.yaml:1:2: unknown key 'case'; did you mean 'cases'"),
        ({"expectations": [{"type": "not_null"}]}, "pattern"),
        ({"max_case_bytes": 0}, "max_case_bytes"),
    ],
)
def test_a_dataset_that_cannot_be_opened_says_why(tmp_path: Path, given: dict[str, Any], said: str) -> None:
    folder = tmp_path / "d"
    (folder / "sub").mkdir(parents=True)
    jsonl(folder, {"id": "a", "q": 1})
    (folder / "notes.txt").write_text("x")
    (folder / "empty.csv").write_text("")
    jsonl(tmp_path, {"id": "a", "q": 1}).joinpath("cases.jsonl").rename(tmp_path / "outside.jsonl")
    (folder / "link.jsonl").symlink_to(tmp_path / "outside.jsonl")
    contract(folder, **given)
    with pytest.raises(AssayError, match=said):
        open_dataset(folder)


def test_a_folder_without_cases_or_with_two_kinds_of_them_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AssayError, match="has no cases"):
        open_dataset(tmp_path)
    jsonl(tmp_path, {"id": "a", "q": 1})
    (tmp_path / "cases.csv").write_text("id,q\na,1\n")
    with pytest.raises(AssayError, match="which of them are its `cases`"):
        open_dataset(tmp_path)
    with pytest.raises(AssayError, match="there is no dataset folder"):
        open_dataset(tmp_path / "none")


@pytest.mark.parametrize("data", [b"\n\n  \n", b"\xef\xbb\xbf\n"])
def test_a_file_of_blank_lines_has_no_cases(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "cases.jsonl").write_bytes(data)
    with pytest.raises(AssayError, match="has no cases"):
        rows(tmp_path)


def test_utf_16_is_recognised(tmp_path: Path) -> None:
    (tmp_path / "cases.jsonl").write_bytes('{"id": "a"}\n'.encode("utf-16"))
    with pytest.raises(AssayError, match="is UTF-16; save it as UTF-8"):
        rows(tmp_path)


def test_ids_are_unique_across_all_files(tmp_path: Path) -> None:
    for name in ("a.jsonl", "b.jsonl"):
        (tmp_path / name).write_text('{"id": "x", "q": 1}\n')
    dataset = open_dataset(contract(tmp_path, cases=["a.jsonl", "b.jsonl"]))
    _, second = iter_cases(dataset)
    assert isinstance(second, BadRow)
    assert second.reason == "the id 'x' was used before, in a.jsonl, line 1"
    assert dataset.place(second.file, second.line) == "b.jsonl, line 1"


def test_the_version_follows_bytes_and_mapping_and_not_words(tmp_path: Path) -> None:
    folder = jsonl(tmp_path, {"id": "a", "q": 1, "r": 2})

    def version(**given: Any) -> tuple[str, str]:
        dataset = open_dataset(contract(folder, **given))
        return dataset.content_hash, dataset.contract_hash

    plain = version()
    assert version(description="d", licence="CC0-1.0", sample_data=True) == plain
    assert version(fields={"inputs": ["q"]})[0] != plain[0]
    expecting = version(expectations=[{"type": "expect_column_values_to_not_be_null", "column": "q"}])
    assert (expecting[0] == plain[0], expecting[1] == plain[1]) == (True, False)
    jsonl(folder, {"id": "a", "q": 1, "r": 3})
    assert version()[0] != plain[0]


def test_memory_stays_bounded_over_many_rows(tmp_path: Path) -> None:
    import tracemalloc

    with (tmp_path / "cases.jsonl").open("w") as file:
        for number in range(20_000):
            file.write(json.dumps({"id": f"c-{number}", "q": "word " * 200}) + "\n")
    dataset = open_dataset(tmp_path)
    tracemalloc.start()
    count = sum(isinstance(row, CaseRow) for row in iter_cases(dataset))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 20_000
    assert peak < 8_000_000  # of 20 MB that were read: the rest is what is kept of each id


@pytest.mark.skipif(not DATA.exists(), reason="the third-party data is not here; name its folder by ASSAY_TEST_DATA")
@pytest.mark.parametrize(
    ("source", "given"),
    [
        ("gsm8k/questions.jsonl.gz", {"fields": {"expected": "answer", "inputs": ["question"]}}),
        ("ifeval/prompts_and_responses.jsonl.gz", {"fields": {"id": "key", "inputs": ["prompt"]}}),
        ("humaneval/problems.jsonl.gz", {"fields": {"id": "task_id", "inputs": ["prompt"]}}),
        ("banking77/test.csv.gz", {"fields": {"id": None, "expected": "category"}}),
    ],
)
def test_third_party_datasets_are_read_whole(tmp_path: Path, source: str, given: dict[str, Any]) -> None:
    """As many cases as the table of files in the data's own README says."""
    file = DATA / source
    counted = re.search(rf"\| {re.escape(file.name)} \| (\d+) \|", (file.parent / "README.md").read_text())
    assert counted is not None
    (tmp_path / file.name).write_bytes(file.read_bytes())
    assert len(cases(contract(tmp_path, cases=file.name, **given))) == int(counted[1])
