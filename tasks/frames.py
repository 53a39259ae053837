"""What the store knows as pandas frames, for notebooks: requests, facts, spend and performance.

Money is Decimal, what is not known is missing (never 0), moments carry their time zone. `import tasks.frames as assay`.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

from evaluations.performance import Performed, WindowName
from evaluations.spend import Period
from tasks.spending import dimensions_named, spending
from tasks.store import performance as performances
from tasks.store import rows as stored
from tasks.store.database import transaction

if TYPE_CHECKING:
    import pandas as pd

    from evaluations.estimates import Estimate


def requests(first: date, last: date) -> "pd.DataFrame":
    """The requests of these days of the platform's time zone, both included, oldest first, with all their columns.

    Persons are pseudonyms in hexadecimal. All of it is held in memory: keep the window short.
    """
    with transaction() as connection:
        return _frame(stored.requests_of(connection, first, last))


def rollups(first: date, last: date, *, grain: Literal["day", "hour"] = "day") -> "pd.DataFrame":
    """The facts of these days, both included: a row for each day, or hour, and combination of dimensions.

    `latency_histogram` is read by `evaluations.histograms.decoded`; histograms put one behind the other are their sum.
    """
    with transaction() as connection:
        return _frame(stored.facts_of(connection, grain, first, last))


def spend(
    by: Sequence[str] = ("feature",), first: date | None = None, last: date | None = None, period: Period = "total"
) -> "pd.DataFrame":
    """What `assay spend` shows: a row for each group and period, beside the period before.

    Raises AssayError for a dimension that nobody knows, and when nothing is rolled up.
    """
    found = spending(dimensions_named(by), first, last, period)
    columns = (*found.by, "begins", "ends", "requests", "unpriced", "tokens", "cost", "change")
    return _frame(
        (
            columns,
            [
                (
                    *line.names,
                    *(line.begins, line.ends, line.spent.requests, line.spent.unpriced, line.spent.tokens),
                    *(line.spent.cost, line.change),
                )
                for line in found.lines
            ],
        )
    )


def performance(window: WindowName = "24h", by: Sequence[str] = ("feature",)) -> "pd.DataFrame":
    """What `assay performance` shows: a row for each group in `window` "now", and one "before" where that is known.

    Raises AssayError for a dimension that nobody knows, and when nothing is rolled up.
    """
    named = dimensions_named(by)
    with transaction() as connection:
        found = performances.performance(connection, window, named)
    rows: list[Mapping[str, Any]] = []
    for line in found.lines:
        group: dict[str, Any] = dict(zip(map(str, found.by), line.names, strict=True))
        rows.append({**group, "window": "now", **_performed(line.now)})
        if line.before is not None:
            rows.append({**group, "window": "before", **_performed(line.before)})
    columns = tuple(rows[0]) if rows else (*named, "window")
    return _frame((columns, [tuple(row.values()) for row in rows]))


def _performed(of: Performed) -> dict[str, Any]:
    return {
        "requests": of.requests,
        "successes": of.successes,
        "errors": of.errors,
        **_estimate("error_share", of.error_share),
        **_estimate("p50_ms", of.latency(0.5)),
        **_estimate("p95_ms", of.latency(0.95)),
        **_estimate("p99_ms", of.latency(0.99)),
        "cost": of.cost,
        "unpriced": of.unpriced,
        "cost_per_request": of.cost_per_request,
        "cost_per_success": of.cost_per_success,
        "tokens_per_request": of.tokens_per_request,
    }


def _estimate(name: str, of: "Estimate | None") -> dict[str, float | None]:
    if of is None:
        return dict.fromkeys((name, f"{name}_low", f"{name}_high"))
    return {name: of.value, f"{name}_low": of.low, f"{name}_high": of.high}


def _frame(table: tuple[Sequence[str], Sequence[Sequence[Any]]]) -> "pd.DataFrame":
    """Columns that hold Decimals stay objects: as floating-point numbers they would lose their last digits."""
    import pandas as pd

    columns, rows = table
    frame = pd.DataFrame([tuple(row) for row in rows], columns=list(columns), dtype=object)
    money = {name for name in frame.columns if any(isinstance(each, Decimal) for each in frame[name])}
    others = [name for name in frame.columns if name not in money]
    return frame.astype({name: frame[name].infer_objects().dtype for name in others})
