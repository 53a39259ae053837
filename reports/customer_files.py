"""The customer page as files: HTML with its JSON and CSV twins."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from evaluations.customer import CustomerFacts
from evaluations.estimates import Estimate
from evaluations.impact import Impact
from reports.files import csv_line, csv_text, jsonable
from reports.page import SCHEMA_VERSION, render_page
from reports.views.customer import TEMPLATE, customer_view

CSV_COLUMNS = (
    *("metric", "version", "unit", "value", "low", "high", "n", "method", "before", "people_alone", "target_low"),
    *("target_high", "left_out", "theirs"),
)


def customer_files(impact: Impact) -> Iterator[tuple[str, Iterable[str]]]:
    """customer.csv, customer.json, customer.html; the same facts give the same bytes."""
    yield "customer.csv", _csv(impact.facts)
    yield "customer.json", [json.dumps(customer_document(impact), indent=1, allow_nan=False) + "\n"]
    yield "customer.html", [render_page(TEMPLATE, customer_view(impact))]


def customer_document(impact: Impact) -> dict[str, Any]:
    """Everything that is known, as JSON can hold it: money as exact text, an unbounded interval as null."""
    month = impact.month
    worth = None
    if month is not None:
        worth = {
            **jsonable(month),
            "net": jsonable(month.net),
            "year": jsonable(month.year),
            "payback_months": None if month.payback_months is None else float(month.payback_months),
            "not_counted": list(month.not_counted),
        }
    ends = [
        {
            "input": swing.name, "low": jsonable(swing.low), "high": jsonable(swing.high), "why": swing.why,
            "net_at_low": jsonable(swing.at_low.net), "net_at_high": jsonable(swing.at_high.net),
        }
        for swing in impact.swings
    ]  # fmt: skip
    return {
        "schema": f"assay.customer/{SCHEMA_VERSION}",
        **jsonable(impact.facts),
        "roi": worth,
        "roi_of_the_sources": jsonable(impact.theirs),
        "sensitivity": ends,
    }


def _csv(facts: CustomerFacts) -> Iterator[str]:
    """A line for each metric, with a head."""
    yield csv_line(CSV_COLUMNS)
    for measure in facts.measures.values():
        metric, estimate = measure.metric, measure.estimate
        target = metric.target
        yield csv_line(
            (
                metric.name, metric.version, metric.unit, *_bounds(estimate), _value(measure.before),
                _value(measure.baseline), "" if target is None or target.low is None else target.low,
                "" if target is None or target.high is None else target.high,
                csv_text("; ".join(f"{count} {why}" for why, count in measure.left_out.items() if count)),
                "yes" if metric.theirs else "no",
            )
        )  # fmt: skip


def _value(estimate: Estimate | None) -> str:
    return "" if estimate is None else repr(estimate.value)


def _bounds(estimate: Estimate | None) -> tuple[object, ...]:
    """value, low, high, n and method; an end that the data do not reach is empty."""
    if estimate is None:
        return "", "", "", 0, ""
    high = "" if estimate.high == float("inf") else repr(estimate.high)
    return repr(estimate.value), repr(estimate.low), high, estimate.n, estimate.method
