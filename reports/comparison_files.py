"""The page about models side by side as files: HTML with its JSON and CSV twins."""

import json
from collections.abc import Iterable, Iterator
from decimal import Decimal

from evaluations.cost_scenarios import MonthlyCost
from evaluations.estimates import Estimate
from evaluations.model_comparison import ModelComparison
from evaluations.models import Limits
from reports.files import csv_line, csv_text, jsonable
from reports.page import SCHEMA_VERSION, render_page
from reports.views.comparison import TEMPLATE, comparison_view

CSV_COLUMNS = ("model", "measure", "value", "low", "high", "confidence", "n", "unit")


def comparison_files(found: ModelComparison) -> Iterable[tuple[str, Iterable[str]]]:
    """comparison.csv, comparison.json, comparison.html; the same comparison gives the same bytes."""
    document = {"schema": f"assay.comparison/{SCHEMA_VERSION}", "currency": "USD", **jsonable(found)}
    yield "comparison.csv", _csv(found)
    yield "comparison.json", [json.dumps(document, indent=1, ensure_ascii=True, allow_nan=False) + "\n"]
    yield "comparison.html", [render_page(TEMPLATE, comparison_view(found))]


def _csv(found: ModelComparison) -> Iterator[str]:
    """One line for each number of each model; what was not measured has no value."""
    yield csv_line(CSV_COLUMNS)
    for side in found.sides:
        month, tokens = side.month, side.per_thousand_tokens()
        limits = side.registry.limits if side.registry else Limits()
        for measure, estimate, unit in (
            ("speed, median", side.speed, "ms"),
            ("speed, p95", side.speed_p95, "ms"),
            ("accuracy", side.accuracy, "share"),
            ("reliability", side.reliability, "share"),
            ("cost of an answer", side.answer_cost, "USD"),
            ("errors in production", side.production, "share"),
            ("p95 in production", side.production_p95, "ms"),
        ):
            yield csv_line((csv_text(side.name), measure, *_numbers(estimate), unit))
        for name in ("vision", "text_generation", "reasoning"):
            holds = side.registry.can(name) if side.registry else None
            yield csv_line((csv_text(side.name), name, "" if holds is None else holds, "", "", "", "", "yes or no"))
        yield csv_line((csv_text(side.name), "an image", *_plain(side.per_image()), "USD"))
        yield csv_line((csv_text(side.name), "1,000 tokens in", *_plain(tokens and tokens[0]), "USD"))
        yield csv_line((csv_text(side.name), "1,000 tokens out", *_plain(tokens and tokens[1]), "USD"))
        of_month = _of_month(month)
        yield csv_line((csv_text(side.name), "a month", *of_month, "USD"))
        yield csv_line((csv_text(side.name), "most tokens out", *_plain(limits.max_output_tokens), "tokens"))
        yield csv_line((csv_text(side.name), "context window", *_plain(limits.context_tokens), "tokens"))
        yield csv_line((csv_text(side.name), "requests a minute", *_plain(limits.requests_per_minute), ""))


def _of_month(month: MonthlyCost | None) -> tuple[object, ...]:
    if month is None or month.month is None:
        return ("", "", "", "", "")
    low, high = ("" if end is None else f"{end:f}" for end in (month.low, month.high))
    return (f"{month.month:f}", low, high, "" if month.low is None else 0.95, month.days)


def _numbers(found: Estimate | None) -> tuple[object, ...]:
    if found is None:
        return ("", "", "", "", "")
    return (found.value, found.low, jsonable(found.high), found.confidence, found.n)


def _plain(value: Decimal | int | None) -> tuple[object, ...]:
    return ("" if value is None else f"{value:f}" if isinstance(value, Decimal) else value, "", "", "", "")
