"""The contract of requests: what Great Expectations is told of a frame of them, made from `FIELDS`.

Importing Great Expectations takes seconds, so the contract is made once a process and judges every chunk.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from evaluations.requests import CLOCK_SKEW, CURRENCY, EARLIEST, FIELDS, Field, limits
from tasks.contracts import suite_validator
from tasks.ingest.typed import Typed

if TYPE_CHECKING:
    import pandas as pd

Reason = Callable[[Any], str]


@dataclass(frozen=True, slots=True)
class Promise:
    """One expectation and what is said of a value that breaks it."""

    column: str
    type: str
    arguments: dict[str, Any]
    reason: Reason


def contract(now: datetime, fields: Sequence[Field] = FIELDS) -> list[Promise]:
    """What holds of every row of these fields, required ones first. `now` bounds the timestamps."""
    made = [
        Promise(field.name, "expect_column_values_to_not_be_null", {}, _lacks(field))
        for field in fields
        if field.required
    ]
    for field in fields:
        if field.choices:
            given = {"value_set": list(field.choices)}
            made.append(Promise(field.name, "expect_column_values_to_be_in_set", given, _outside(field)))
        elif field.low is not None:
            given_range = {"min_value": field.low, "max_value": field.high}
            made.append(Promise(field.name, "expect_column_values_to_be_between", given_range, _outside(field)))
    bounds = {"min_value": _micros(EARLIEST), "max_value": _micros(now + CLOCK_SKEW)}
    made += [
        Promise(field.name, "expect_column_values_to_be_between", bounds, _outside_time(field, now))
        for field in fields
        if field.kind == "moment"
    ]
    return made


class Contract:
    """The promises, ready to judge frames. Making one imports Great Expectations."""

    def __init__(self, fields: Sequence[Field] = FIELDS) -> None:
        """`fields` are those of a request unless the rows are about something else."""
        self._validate = suite_validator()
        self._fields = fields

    def judge(self, rows: Typed, now: datetime | None = None) -> None:
        """Add a fault to every row that breaks a promise. `now` is the clock's where it is not given."""
        promises = contract(now or datetime.now(UTC), self._fields)
        for promise in promises:
            if promise.column not in rows.frame and promise.type.endswith("not_be_null"):
                for position in range(len(rows.frame)):
                    rows.fault(position, promise.reason(None))
        self._judge(rows, [promise for promise in promises if promise.column in rows.frame])
        _judge_together(rows, self._fields)

    def _judge(self, rows: Typed, promises: Sequence[Promise]) -> None:
        if not promises or rows.frame.empty:
            return
        names = list(dict.fromkeys(promise.column for promise in promises))
        results = self._validate(
            _plain(rows.frame[names], self._fields), [_expectation(promise) for promise in promises]
        )
        for promise in promises:
            for position in results[promise.type, promise.column].result.get("unexpected_index_list") or []:
                rows.fault(position, promise.reason(rows.frame[promise.column].iat[position]))


def _expectation(promise: Promise) -> Any:
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

    given = {"column": promise.column, **promise.arguments}
    return ExpectationConfiguration(type=promise.type, kwargs=given).to_domain_obj()


def _plain(frame: "pd.DataFrame", fields: Sequence[Field]) -> "pd.DataFrame":
    """Moments and money as floats: limits are compared with them, and that is all."""
    inexact = {field.name: "float64" for field in fields if field.kind in ("moment", "money") and field.name in frame}
    return frame.astype(inexact)


def _judge_together(rows: Typed, fields: Sequence[Field]) -> None:
    """What holds between fields of one row, and of the length of texts."""
    frame = rows.frame
    for field in fields:
        if field.kind == "text" and rows.longest.get(field.name, 0) > field.longest:
            for position in _where(frame[field.name].str.len() > field.longest):
                rows.fault(position, f"{field.name} is longer than {field.longest:,} characters")
    if {"follow_up_completed", "follow_up_required"} <= set(frame):
        for position in _where((frame.follow_up_completed == True) & (frame.follow_up_required == False)):  # noqa: E712
            rows.fault(position, "follow_up_completed is true where follow_up_required is false")
    if "escalated_at" in frame and "at" in frame:
        for position in _where((frame.escalated_at < frame["at"]).fillna(False)):
            rows.fault(position, "escalated_at lies before the request began")


def _where(mask: "pd.Series[Any]") -> list[int]:
    import numpy as np

    return [int(position) for position in np.flatnonzero(mask.to_numpy(dtype=bool, na_value=False))]


def _lacks(field: Field) -> Reason:
    return lambda value: f"{field.name} is missing: {field.says}"


def _outside(field: Field) -> Reason:
    if field.name == "currency":
        return lambda value: f"currency is {str(value)[:20]!r}; only {CURRENCY} is taken, for a rate would be a guess"
    return lambda value: f"{field.name} is {_told(value)}, not {limits(field)}"


def _told(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.12g}"
    return repr(value)[:60] if isinstance(value, str) else str(value)[:60]


def _outside_time(field: Field, now: datetime) -> Reason:
    def reason(value: Any) -> str:
        if value > _micros(now):
            return f"{field.name} lies in the future: {_time(value)}, and it is {now:%Y-%m-%dT%H:%M:%SZ}"
        return f"{field.name} is {_time(value)}, before {EARLIEST:%Y}: no time of a request"

    return reason


def _time(micros: int) -> str:
    try:
        return f"{datetime.fromtimestamp(int(micros) / 1_000_000, UTC):%Y-%m-%dT%H:%M:%SZ}"
    except (OverflowError, ValueError, OSError):
        return f"{int(micros) / 1_000_000:,.0f} seconds after 1970"


def _micros(moment: datetime) -> int:
    return round(moment.timestamp() * 1_000_000)
