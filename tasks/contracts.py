"""Contracts: what a dataset promised, checked before anything is paid for.

Two layers. What every row has to be (readable, with an id of its own, of the right types) is checked while the
rows are read. What this dataset promises beyond that is a list of Great Expectations expectations:

- about rows (`expect_column_values_to_...`, `expect_column_pair_values_...`, `expect_multicolumn_...`): checked in
  chunks of CHUNK_ROWS, and every row that breaks one is named. With `mostly`, the share is taken over the whole
  dataset, and rows are named only when it is missed.
- about a row among the others (`..._to_be_unique`, `..._increasing`, z-scores) or about the whole (means, counts,
  columns): checked once over all rows, with only the columns they speak of in memory, up to MAX_WHOLE_BYTES of
  them. The first kind names rows, the second gives a problem of the dataset, which no quarantine can mend.

Importing Great Expectations takes seconds and 200 MB, so a run has it done by a process of its own
(`check_contract_apart`), which ends with its memory.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from evaluations.errors import AssayError, InfrastructureError
from evaluations.specs import ExpectationSpec
from tasks.datasets import BadRow, Dataset, iter_cases, open_dataset
from tasks.documents import shown

CHUNK_ROWS = 20_000
MAX_CHUNK_BYTES = 64_000_000
"""A chunk ends at this size of its checked columns as well, however few its rows are."""
MAX_WHOLE_BYTES = 256_000_000
SHOWN = 20
"""Bad rows that an error lists one by one."""
TIMEOUT_S = 900
AMONG_OTHERS = (
    "expect_column_values_to_be_unique",
    "expect_compound_columns_to_be_unique",
    "expect_column_values_to_be_increasing",
    "expect_column_values_to_be_decreasing",
    "expect_column_value_z_scores_to_be_less_than",
)
"""Expectations that name rows but cannot tell from a chunk."""
RESULTS = {
    "result_format": "COMPLETE",
    "return_unexpected_index_query": False,
    "partial_unexpected_count": 0,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractReport:
    """What a check found. The dataset keeps its contract when nothing is listed."""

    rows: int
    """Rows that were read, bad ones included."""
    bad_rows: tuple[BadRow, ...]
    """In the order of the files; a row with several faults stands here once, with all of them."""
    problems: tuple[str, ...] = ()
    """What is wrong with the dataset as a whole, one sentence each."""
    expectations_checked: int = 0

    @property
    def kept(self) -> bool:
        return not self.bad_rows and not self.problems


def refusal(dataset: Dataset, report: ContractReport) -> AssayError:
    """The error for a dataset that breaks its contract: the first rows by line, and what would do."""
    lines = [f"the dataset {dataset.name} breaks its contract; nothing was run."]
    lines += [f"  {problem}" for problem in report.problems[:SHOWN]]
    lines += [f"  {describe(dataset, row)}" for row in report.bad_rows[:SHOWN]]
    if len(report.bad_rows) > SHOWN:
        lines.append(f"  and {len(report.bad_rows) - SHOWN:,} more")
    good = report.rows - len(report.bad_rows)
    if report.problems:
        lines.append("What is wrong with the whole cannot be quarantined; mend the dataset or its contract.")
    elif good > 0:
        lines.append(f"Mend these rows, or run the other {good:,} with --quarantine.")
    else:
        lines.append("No good row is left to run.")
    return AssayError("\n".join(lines))


def describe(dataset: Dataset, row: BadRow) -> str:
    """`line 17 (t-017): category is 'refnd', not in ['refund', 'billing']`."""
    name = f" ({row.case_id})" if row.case_id is not None else ""
    return f"{dataset.place(row.file, row.line)}{name}: {row.reason}"


def check_contract_apart(dataset: Dataset) -> ContractReport:
    """The check in a process of its own, unless there is no expectation to import a library for.

    Raises AssayError when something is wrong with the dataset as a whole or it cannot be read, and
    InfrastructureError when the process fails.
    """
    report = _checked_by_process(dataset) if dataset.spec.expectations else check_contract(dataset)
    if report.problems:
        raise refusal(dataset, report)
    return report


def _checked_by_process(dataset: Dataset) -> ContractReport:
    # Nothing of our environment that the check has no use for: it runs a large library, and keys are in there.
    kept = ("PATH", "HOME", "TMPDIR", "TEMP", "LANG", "LC_ALL", "SYSTEMROOT", "VIRTUAL_ENV")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    environment |= {"PYTHONPATH": str(Path(__file__).parents[1]), "GX_ANALYTICS_ENABLED": "false"}
    try:
        done = subprocess.run(  # noqa: S603 - our own module, and the folder is one argument
            [sys.executable, "-P", "-m", "tasks.contracts", str(dataset.folder)],
            capture_output=True,
            env=environment,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise InfrastructureError(
            f"checking the contract of {dataset.name} took more than {TIMEOUT_S // 60} minutes and was stopped"
        ) from None
    if done.returncode == AssayError.exit_code:
        raise AssayError(done.stderr.decode(errors="replace").strip())
    try:
        if done.returncode != 0:
            raise ValueError(f"exit code {done.returncode}")
        return _from_json(json.loads(done.stdout))
    except (ValueError, KeyError, TypeError) as problem:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise InfrastructureError(
            f"the check of the contract of {dataset.name} failed ({problem}): {' '.join(last)[:400]}"
        ) from None


def _from_json(given: Mapping[str, Any]) -> ContractReport:
    return ContractReport(
        rows=given["rows"],
        bad_rows=tuple(BadRow(**row) for row in given["bad_rows"]),
        problems=tuple(given["problems"]),
        expectations_checked=given["expectations_checked"],
    )


# In this process


def check_contract(dataset: Dataset) -> ContractReport:
    """Read every row and check every expectation, here. Raises AssayError if the dataset cannot be read or an
    expectation is not one."""
    checks = _Checks(dataset) if dataset.spec.expectations else None
    rows = 0
    bad: dict[tuple[str, int], BadRow] = {}
    order: dict[tuple[str, int], int] = {}
    for row in iter_cases(dataset):
        rows += 1
        if isinstance(row, BadRow):
            bad[row.file, row.line] = row
            order[row.file, row.line] = rows
        elif checks is not None:
            checks.take(rows, row.file, row.line, row.case.id, row.record)
    if checks is None:
        return ContractReport(rows=rows, bad_rows=tuple(bad.values()))
    checks.finish()
    for fault in checks.faults():
        key = (fault.row.file, fault.row.line)
        order.setdefault(key, fault.row.number)
        before = bad.get(key)
        reason = f"{before.reason}; {fault.reason}" if before else fault.reason
        bad[key] = BadRow(line=fault.row.line, file=fault.row.file, case_id=fault.row.case_id, reason=reason)
    return ContractReport(
        rows=rows,
        bad_rows=tuple(bad[key] for key in sorted(bad, key=order.__getitem__)),
        problems=tuple(dict.fromkeys(checks.problems)),
        expectations_checked=len(dataset.spec.expectations),
    )


@dataclass(frozen=True, slots=True)
class _Row:
    number: int
    file: str
    line: int
    case_id: str


@dataclass(frozen=True, slots=True)
class _Fault:
    row: _Row
    reason: str


@dataclass(slots=True)
class _Check:
    """One expectation on its way through the rows."""

    spec: ExpectationSpec
    expectation: Any
    columns: tuple[str, ...]
    names_rows: bool
    whole: bool
    met: set[str] = field(default_factory=set)
    """Columns that some row had."""
    elements: int = 0
    """Values that were judged; missing ones are not, unless the expectation is about them."""
    unexpected: int = 0
    faults: list[_Fault] = field(default_factory=list)


class _Checks:
    """Collects rows into frames and lets Great Expectations judge them."""

    def __init__(self, dataset: Dataset) -> None:
        self.problems: list[str] = []
        self._validate, classes = frame_validator()
        self._checks = [
            _check(spec, number, dataset, classes) for number, spec in enumerate(dataset.spec.expectations, 1)
        ]
        self._by_row = [check for check in self._checks if not check.whole]
        self._by_whole = [check for check in self._checks if check.whole]
        self._chunk = _Frame(_columns_of(self._by_row))
        self._whole = _Frame(_columns_of(self._by_whole))
        self._known: dict[str, None] = {}

    def take(self, number: int, file: str, line: int, case_id: str, record: Mapping[str, Any]) -> None:
        row = _Row(number, file, line, case_id)
        for name in record:
            self._known.setdefault(name)
        if self._by_row:
            self._chunk.add(row, record)
            if len(self._chunk.rows) >= CHUNK_ROWS or self._chunk.size >= MAX_CHUNK_BYTES:
                self._judge(self._by_row, self._chunk)
                self._chunk = _Frame(self._chunk.columns)
        if self._by_whole:
            self._whole.add(row, record)
            if self._whole.size > MAX_WHOLE_BYTES:
                names = ", ".join(dict.fromkeys(check.spec.type for check in self._by_whole))
                raise AssayError(
                    f"the columns of {names} take more than {MAX_WHOLE_BYTES // 1_000_000} MB; "
                    f"expectations about whole columns are for smaller ones"
                )

    def finish(self) -> None:
        if self._chunk.rows:
            self._judge(self._by_row, self._chunk)
        if self._whole.rows:
            about_table = [check for check in self._by_whole if _about_table(check.spec)]
            self._judge([check for check in self._by_whole if check not in about_table], self._whole)
            self._judge(
                # A column within an object is met or not; the table has only the columns around it.
                [check for check in about_table if all(column in self._known for column in check.columns)],
                self._whole,
                list(self._known),
            )
        for check in self._checks:
            for column in check.columns:
                if column not in check.met | self._whole.met:
                    self.problems.append(_no_column(check.spec, column, list(self._known)))

    def faults(self) -> Iterator[_Fault]:
        """Rows that break an expectation which does not hold: `mostly` forgives a share of them."""
        for check in self._checks:
            mostly = float(check.spec.arguments.get("mostly", 1.0))
            if check.elements and check.unexpected and 1 - check.unexpected / check.elements < mostly:
                yield from check.faults

    def _judge(self, checks: Sequence[_Check], frame: "_Frame", table: Sequence[str] = ()) -> None:
        # A column that no row of the frame has would fail the whole batch, and is reported at the end.
        for check in checks:
            check.met.update(frame.met.intersection(check.columns))
        ready = [check for check in checks if check.met.issuperset(check.columns)]
        if not ready:
            return
        results = self._validate(frame.made(table), [check.expectation for check in ready])
        for check, result in zip(ready, results, strict=True):
            self._take_result(check, frame, result)

    def _take_result(self, check: _Check, frame: "_Frame", result: Any) -> None:
        if raised := _raised(result.exception_info):
            self.problems.append(f"{_title(check.spec)} could not be checked: {raised}")
        elif not check.names_rows:
            if not result.success:
                self.problems.append(_missed(check.spec, result.result))
        else:
            said = result.result
            check.elements += said.get("element_count", 0) - (said.get("missing_count") or 0)
            places = said.get("unexpected_index_list") or []
            check.unexpected += len(places)
            for place in places:
                reason = _reason(check.spec, check.columns, [frame.values[c][place] for c in check.columns])
                check.faults.append(_Fault(frame.rows[place], reason))


class _Frame:
    """Rows with only the columns that are checked, on their way into a pandas frame."""

    def __init__(self, columns: Sequence[str]) -> None:
        self.columns = tuple(columns)
        self.values: dict[str, list[Any]] = {column: [] for column in columns}
        self.rows: list[_Row] = []
        self.met: set[str] = set()
        self.size = 0

    def add(self, row: _Row, record: Mapping[str, Any]) -> None:
        self.rows.append(row)
        for column in self.columns:
            value = _value(record, column)
            if value is _MISSING:
                value = None
            else:
                self.met.add(column)
            # Lists and objects as JSON text: Great Expectations counts and compares values, which needs hashing.
            if isinstance(value, dict | list):
                value = json.dumps(value, ensure_ascii=False, sort_keys=True)
            self.values[column].append(value)
            self.size += len(value) if isinstance(value, str) else 16

    def made(self, table: Sequence[str] = ()) -> Any:
        """The pandas frame of the checked columns; or of all columns by name alone, when they are listed."""
        import pandas as pd

        index = range(len(self.rows))
        if table:
            return pd.DataFrame(None, index=index, columns=list(table), dtype=object)
        columns: dict[str, Any] = {}
        for name, values in self.values.items():
            # Columns of numbers become numbers, so that means and limits work; all else stays as it was read.
            column = pd.Series(values, index=index, dtype=object)
            kinds = {type(value) for value in values if value is not None}
            columns[name] = pd.to_numeric(column) if kinds and kinds <= {int, float} else column
        return pd.DataFrame(columns, index=index)


def _about_table(spec: ExpectationSpec) -> bool:
    return spec.type.startswith("expect_table_") or spec.type == "expect_column_to_exist"


_MISSING = object()


def _value(record: Mapping[str, Any], column: str) -> Any:
    """The value of a column; `inputs.city` reaches into an object unless a column is called just that."""
    if column in record:
        return record[column]
    value: Any = record
    for part in column.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return _MISSING
        value = value[part]
    return value


def _columns_of(checks: Iterable[_Check]) -> list[str]:
    return list(dict.fromkeys(column for check in checks for column in check.columns))


# Great Expectations

_Validate = Callable[[Any, list[Any]], list[Any]]


def frame_validator() -> tuple[_Validate, Any]:
    """A function from a frame and expectations to results, in that order; and the module of base classes."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"  # before the import, which would otherwise call home
    from great_expectations.expectations import expectation as classes

    batches = _frame_batches()

    def validate(frame: Any, expectations: list[Any]) -> list[Any]:
        batch = batches.get_batch({"dataframe": frame})
        # One by one, because a suite sorts its results and merges expectations that look alike.
        return [batch.validate(expectation, result_format=dict(RESULTS)) for expectation in expectations]

    return validate, classes


Named = tuple[str, str]
"""Type and column of an expectation."""


def suite_validator() -> Callable[[Any, list[Any]], Mapping[Named, Any]]:
    """A function from a frame and expectations, each of another type or column, to the result of each.

    All at once: one by one, each would be prepared and the whole frame hashed for it.
    """
    os.environ["GX_ANALYTICS_ENABLED"] = "false"  # before the import, which would otherwise call home
    import great_expectations as gx

    batches = _frame_batches()

    def validate(frame: Any, expectations: list[Any]) -> Mapping[Named, Any]:
        suite = gx.ExpectationSuite(name="contract", expectations=expectations)
        found = batches.get_batch({"dataframe": frame}).validate(suite, result_format=dict(RESULTS))
        named = {
            (each.expectation_config.type, each.expectation_config.kwargs["column"]): each for each in found.results
        }
        assert len(named) == len(expectations), "an expectation was not judged"
        for each in named.values():
            if each.exception_info and each.exception_info.get("raised_exception"):
                raise InfrastructureError(f"Great Expectations could not judge: {each.exception_info}")
        return named

    return validate


def _frame_batches() -> Any:
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    return (
        context.data_sources.add_pandas("cases")
        .add_dataframe_asset("cases")
        .add_batch_definition_whole_dataframe("rows")
    )


def _check(spec: ExpectationSpec, number: int, dataset: Dataset, classes: Any) -> _Check:
    from great_expectations.exceptions import GreatExpectationsError
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

    where = f"{shown(dataset.folder / 'contract.yaml')}, expectation {number}"
    try:
        made = ExpectationConfiguration(type=spec.type, kwargs=spec.arguments).to_domain_obj()
    except GreatExpectationsError:
        raise AssayError(f"{where}: {_no_expectation(spec.type)}") from None
    except (ValueError, TypeError) as problem:
        raise AssayError(f"{where}: {spec.type}: {_argument_error(problem)}") from None
    if isinstance(made, classes.QueryExpectation):
        raise AssayError(f"{where}: {spec.type} speaks SQL, and a dataset is no database")
    maps = (
        classes.ColumnMapExpectation,
        classes.ColumnPairMapExpectation,
        classes.MulticolumnMapExpectation,
    )
    names_rows = isinstance(made, maps)
    return _Check(
        spec=spec,
        expectation=made,
        columns=_named_columns(spec),
        names_rows=names_rows,
        whole=not names_rows or spec.type in AMONG_OTHERS,
    )


def _named_columns(spec: ExpectationSpec) -> tuple[str, ...]:
    given = spec.arguments
    single = [given[key] for key in ("column", "column_A", "column_B") if key in given]
    # `column_list` names columns to read in multicolumn expectations, and columns to find in table ones.
    several = given.get("column_list", ()) if "table_columns" not in spec.type else ()
    return tuple(dict.fromkeys(str(column) for column in (*single, *several)))


def _no_expectation(name: str) -> str:
    from great_expectations.expectations.registry import list_registered_expectation_implementations

    near = get_close_matches(name, list_registered_expectation_implementations(), n=1)
    return f"no expectation is called {name}" + (f"; did you mean {near[0]}?" if near else "")


def _argument_error(problem: Exception) -> str:
    errors = getattr(problem, "errors", None)
    if not callable(errors):
        return " ".join(str(problem).split())[:200]
    faults: dict[str, str] = {}
    for error in errors():
        # Great Expectations tries several types for one argument; the first is the plain one.
        faults.setdefault(".".join(str(part) for part in error["loc"]), error["msg"])
    return ", ".join(f"`{name}`: {message}" for name, message in faults.items())[:400]


def _raised(info: Mapping[str, Any]) -> str:
    """The message of an exception within Great Expectations; it keeps one, or one for each metric."""
    for part in (info, *(value for value in info.values() if isinstance(value, Mapping))):
        if part.get("raised_exception") is True:
            return " ".join(str(part.get("exception_message")).split())[:200]
    return ""


# Words


def _title(spec: ExpectationSpec) -> str:
    settings = ", ".join(f"{name}: {_short(value)}" for name, value in spec.arguments.items())
    return f"{spec.type} ({settings})" if settings else spec.type


def _missed(spec: ExpectationSpec, result: Mapping[str, Any]) -> str:
    observed = result.get("observed_value")
    if observed is not None and hasattr(observed, "item"):
        observed = observed.item()  # numpy's numbers, whose repr names their type
    return f"{_title(spec)} does not hold" + (f": it is {_short(observed)}" if observed is not None else "")


def _no_column(spec: ExpectationSpec, column: str, known: list[str]) -> str:
    near = get_close_matches(column, known, n=1)
    guess = f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(known)}"
    return f"{spec.type}: no row has a column {column!r}{guess}"


def _reason(spec: ExpectationSpec, columns: Sequence[str], values: Sequence[Any]) -> str:
    """Why a row breaks an expectation, in words where we have some."""
    given = spec.arguments
    if len(columns) != 1:
        shown_values = ", ".join(f"{c} is {_short(v)}" for c, v in zip(columns, values, strict=True))
        return f"{shown_values}: {_title(spec)}"
    name, value = columns[0], _short(values[0])
    least, most = given.get("min_value"), given.get("max_value")
    match spec.type.removeprefix("expect_column_"):
        case "values_to_not_be_null":
            return f"{name} is missing"
        case "values_to_be_null":
            return f"{name} is {value}, not null"
        case "values_to_be_unique":
            return f"{name} is {value}, which other rows have too"
        case "values_to_be_in_set":
            return f"{name} is {value}, not in {_short(given.get('value_set'), 160)}"
        case "values_to_not_be_in_set":
            return f"{name} is {value}, which is not allowed"
        case "values_to_match_regex":
            return f"{name} is {value}, which does not match {given.get('regex')}"
        case "values_to_not_match_regex":
            return f"{name} is {value}, which matches {given.get('regex')}"
        case "values_to_be_between":
            return f"{name} is {value}, not {_span(least, most)}"
        case "value_lengths_to_be_between":
            return f"{name} has {len(str(values[0])):,} characters, not {_span(least, most)}: {value}"
        case "value_lengths_to_equal":
            return f"{name} has {len(str(values[0])):,} characters, not {given.get('value')}: {value}"
        case "values_to_be_of_type":
            return f"{name} is {value}, not of type {given.get('type_')}"
        case _:
            return f"{name} is {value}: {_title(spec)}"


def _span(least: Any, most: Any) -> str:
    if least is None:
        return f"at most {most}"
    return f"at least {least}" if most is None else f"between {least} and {most}"


def _short(value: Any, limit: int = 80) -> str:
    text = repr(value)
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def main(arguments: Sequence[str]) -> int:
    """Check the dataset in a folder; the report goes to stdout as JSON, an error to stderr as text."""
    try:
        with redirect_stdout(sys.stderr):  # whatever a library prints is not our answer
            report = check_contract(open_dataset(Path(arguments[0])))
    except AssayError as problem:
        sys.stderr.write(f"{problem}\n")
        return problem.exit_code
    json.dump(asdict(report), sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
