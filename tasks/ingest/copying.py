"""Frames as CSV for COPY."""

from typing import TYPE_CHECKING, Any

from evaluations.requests import BY_NAME

if TYPE_CHECKING:
    import pandas as pd

WHOLE = frozenset({"place", "price_set_id"})


def as_csv(frame: "pd.DataFrame") -> bytes:
    """The rows as CSV without a head; what is missing is an empty unquoted field, which COPY takes as NULL."""
    import io

    import pyarrow as pa
    from pyarrow import csv

    table = pa.table([_array(str(name), frame[name]) for name in frame], names=[str(name) for name in frame])
    made = io.BytesIO()
    csv.write_csv(table, made, csv.WriteOptions(include_header=False))
    return made.getvalue()


def _array(name: str, column: "pd.Series[Any]") -> Any:
    import pyarrow as pa

    kind = BY_NAME[name].kind if name in BY_NAME else "whole" if name in WHOLE else ""
    if name == "subject":
        return pa.array([None if value is None else f"\\x{value}" for value in column], pa.string())
    if kind == "whole":
        return pa.array(column, pa.float64(), from_pandas=True).cast(pa.int64())
    if kind == "number":
        return pa.array(column, pa.float64(), from_pandas=True)
    if kind == "moment":
        return pa.array(column, pa.int64(), from_pandas=True).cast(pa.timestamp("us", tz="UTC"))
    if name == "usage_known" or kind == "flag":
        return pa.array(column, pa.bool_(), from_pandas=True)
    if kind == "money" or name == "picodollars":
        return pa.array([None if value is None or value != value else str(value) for value in column], pa.string())
    return pa.array(column, pa.string(), from_pandas=True)
