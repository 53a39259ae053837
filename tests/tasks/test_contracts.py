"""Contracts: rows that break a promise are named, wholes that break one are refused."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import tasks.contracts
from evaluations.errors import AssayError
from tasks.contracts import ContractReport, check_contract, check_contract_apart, refusal
from tasks.datasets import BadRow, Dataset, open_dataset


def a_dataset(folder: Path, rows: Sequence[Any], *expectations: dict[str, Any]) -> Dataset:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    (folder / "cases.jsonl").write_text("\n".join(lines))
    (folder / "contract.yaml").write_text(json.dumps({"cases": "cases.jsonl", "expectations": expectations}))
    return open_dataset(folder)


def numbered(count: int) -> list[dict[str, Any]]:
    """`count` rows with n = 0, 1, 2, ..., a category that goes round, and an object of inputs."""
    return [
        {"id": f"t-{n:03}", "n": n, "category": ["refund", "billing"][n % 2], "inputs": {"age": n, "names": ["a"]}}
        for n in range(count)
    ]


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks.contracts, "CHUNK_ROWS", 7)


def said(report: ContractReport) -> dict[int, str]:
    return {row.line: row.reason for row in report.bad_rows}


def test_a_kept_contract_leaves_nothing_to_say(tmp_path: Path) -> None:
    dataset = a_dataset(
        tmp_path,
        numbered(20),
        {"type": "expect_column_values_to_be_unique", "column": "id"},
        {"type": "expect_column_values_to_be_between", "column": "inputs.age", "min_value": 0, "max_value": 19},
        {"type": "expect_column_values_to_not_be_null", "column": "inputs.names"},
        {"type": "expect_column_mean_to_be_between", "column": "n", "min_value": 9.5, "max_value": 9.5},
        {"type": "expect_table_row_count_to_equal", "value": 20},
        {"type": "expect_table_columns_to_match_set", "column_set": ["id", "n", "category", "inputs"]},
        {"type": "expect_column_to_exist", "column": "category"},
        {"type": "expect_column_to_exist", "column": "inputs.age"},
    )
    report = check_contract(dataset)
    assert report == ContractReport(rows=20, bad_rows=(), expectations_checked=8)
    assert report.kept


def test_every_bad_row_is_named_by_line_with_all_its_faults(tmp_path: Path) -> None:
    rows: list[Any] = numbered(20)
    rows[2] |= {"category": "refnd"}
    rows[9] |= {"category": None, "n": 99}
    rows[16] |= {"inputs": {"age": "x"}, "id": "T 16"}
    rows[18] = "{broken"
    dataset = a_dataset(
        tmp_path,
        rows,
        {"type": "expect_column_values_to_not_be_null", "column": "category"},
        {"type": "expect_column_values_to_be_in_set", "column": "category", "value_set": ["refund", "billing"]},
        {"type": "expect_column_values_to_be_between", "column": "n", "max_value": 50},
        {"type": "expect_column_values_to_match_regex", "column": "id", "regex": "^t-"},
    )
    report = check_contract(dataset)
    assert said(report) == {
        3: "category is 'refnd', not in ['refund', 'billing']",
        10: "category is missing; n is 99, not at most 50",
        17: "id is 'T 16', which does not match ^t-",
        19: "is not JSON: Expecting property name enclosed in double quotes at column 2",
    }
    assert [row.case_id for row in report.bad_rows] == ["t-002", "t-009", "T 16", None]
    assert report.rows == 20
    message = str(refusal(dataset, report))
    assert "line 3 (t-002): category is 'refnd'" in message
    assert "run the other 16 with --quarantine" in message


def test_a_value_is_unique_among_all_rows_and_not_only_in_its_chunk(tmp_path: Path) -> None:
    rows = numbered(20)
    rows[19]["n"] = 3
    report = check_contract(a_dataset(tmp_path, rows, {"type": "expect_column_values_to_be_unique", "column": "n"}))
    assert said(report) == {4: "n is 3, which other rows have too", 20: "n is 3, which other rows have too"}


@pytest.mark.parametrize(("mostly", "lines"), [(0.9, []), (0.91, [1, 20]), (1.0, [1, 20])])
def test_mostly_is_a_share_of_the_whole_dataset(tmp_path: Path, mostly: float, lines: list[int]) -> None:
    # Two of twenty: within one chunk that is far more than a tenth.
    rows = numbered(20)
    rows[0]["category"] = rows[19]["category"] = "other"
    expectation = {
        "type": "expect_column_values_to_be_in_set",
        "column": "category",
        "value_set": ["refund", "billing"],
    }
    report = check_contract(a_dataset(tmp_path, rows, {**expectation, "mostly": mostly}))
    assert list(said(report)) == lines


def test_what_is_wrong_with_the_whole_is_no_fault_of_a_row(tmp_path: Path) -> None:
    dataset = a_dataset(
        tmp_path,
        numbered(20),
        {"type": "expect_column_mean_to_be_between", "column": "n", "max_value": 5},
        {"type": "expect_table_row_count_to_be_between", "min_value": 100},
        {"type": "expect_table_columns_to_match_set", "column_set": ["id", "n", "category"]},
        {"type": "expect_column_values_to_be_in_set", "column": "catgory", "value_set": ["a"]},
        {"type": "expect_column_to_exist", "column": "gone"},
    )
    report = check_contract(dataset)
    assert report.bad_rows == ()
    problems = "\n".join(report.problems)
    assert "expect_column_mean_to_be_between (column: 'n', max_value: 5) does not hold: it is 9.5" in problems
    assert "does not hold: it is 20" in problems
    assert "expect_table_columns_to_match_set" in problems
    assert "no row has a column 'catgory'; did you mean 'category'" in problems
    assert "no row has a column 'gone'" in problems
    assert "cannot be quarantined" in str(refusal(dataset, report))


def test_what_cannot_be_compared_is_a_problem_and_not_a_pass(tmp_path: Path) -> None:
    rows = numbered(8)
    rows[3]["n"] = "three"
    dataset = a_dataset(tmp_path, rows, {"type": "expect_column_values_to_be_between", "column": "n", "max_value": 50})
    assert not check_contract(dataset).kept


@pytest.mark.parametrize(
    ("expectation", "message"),
    [
        ({"type": "expect_column_values_to_be_in_sett"}, "did you mean expect_column_values_to_be_in_set"),
        ({"type": "expect_column_values_to_be_in_set", "column": "n", "valu_set": [1]}, "`valu_set`: extra fields"),
        ({"type": "expect_column_values_to_be_in_set", "value_set": [1]}, "`column`: field required"),
    ],
)
def test_an_expectation_that_is_none_is_an_error_of_the_contract(
    tmp_path: Path, expectation: dict[str, Any], message: str
) -> None:
    with pytest.raises(AssayError, match=message):
        check_contract(a_dataset(tmp_path, numbered(3), expectation))


def test_columns_too_large_to_hold_at_once_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks.contracts, "MAX_WHOLE_BYTES", 50)
    dataset = a_dataset(tmp_path, numbered(20), {"type": "expect_column_values_to_be_unique", "column": "id"})
    with pytest.raises(AssayError, match="take more than"):
        check_contract(dataset)


def test_a_check_apart_says_the_same_and_repeats_errors(tmp_path: Path) -> None:
    rows = numbered(5)
    rows[1]["category"] = "é\n'\"}"
    expectation = {
        "type": "expect_column_values_to_be_in_set",
        "column": "category",
        "value_set": ["refund", "billing"],
    }
    dataset = a_dataset(tmp_path, rows, expectation)
    before = sorted(path.name for path in tmp_path.iterdir())
    assert check_contract_apart(dataset) == check_contract(dataset)
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    with pytest.raises(AssayError, match="does not hold: it is 5"):
        check_contract_apart(a_dataset(tmp_path, rows, {"type": "expect_table_row_count_to_equal", "value": 6}))


def test_without_expectations_no_library_is_imported_and_rows_are_still_checked(tmp_path: Path) -> None:
    report = check_contract_apart(a_dataset(tmp_path, [{"id": "a", "q": 1}, {"id": "a", "q": 2}]))
    assert said(report) == {2: "the id 'a' was used before, in line 1"}


def test_a_refusal_lists_twenty_rows_and_counts_the_rest(tmp_path: Path) -> None:
    dataset = a_dataset(tmp_path, numbered(1))
    bad = tuple(BadRow(line=n, file="cases.jsonl", case_id=None, reason="is bad") for n in range(1, 52))
    lines = str(refusal(dataset, ContractReport(rows=60, bad_rows=bad))).splitlines()
    assert [line for line in lines if "is bad" in line] == [f"  line {n}: is bad" for n in range(1, 21)]
    assert lines[-2:] == ["  and 31 more", "Mend these rows, or run the other 9 with --quarantine."]
