"""The page of a repricing and its twins: the same changes as HTML, JSON and CSV."""

import json
from collections.abc import Iterator

from evaluations.repricing import Moved, Repricing
from reports.files import csv_line, csv_text, jsonable
from reports.page import SCHEMA_VERSION, render_page
from reports.views.reprice import TEMPLATE, reprice_view

CSV_COLUMNS = (
    *("day", "provider", "model", "priced_as_before", "priced_as_after", "requests"),
    *("cost_before_usd", "cost_after_usd", "difference_usd"),
)


def as_html(found: Repricing) -> str:
    """One self-contained page, the same bytes for the same changes."""
    return render_page(TEMPLATE, reprice_view(found))


def as_json(found: Repricing) -> str:
    """Everything that is known of the repricing: money as exact text, unknown as null."""
    document = {
        "schema": f"assay.reprice/{SCHEMA_VERSION}",
        "dry_run": found.dry_run,
        **jsonable(found),
        "total": _told(found.total()),
        "by_model": {name: _told(moved) for name, moved in found.by_model().items()},
        "by_day": {day.isoformat(): _told(moved) for day, moved in found.by_day().items()},
    }
    return json.dumps(document, indent=1, ensure_ascii=True, allow_nan=False) + "\n"


def _told(moved: Moved) -> object:
    return {**jsonable(moved), "difference": jsonable(moved.difference)}


def as_csv(found: Repricing) -> Iterator[str]:
    """A line for each day, model and change of prices, with a head; US dollars exactly. Unknown is empty."""
    yield csv_line(CSV_COLUMNS)
    for group in found.groups:
        before = group.cost_before
        yield csv_line(
            [
                group.day.isoformat(),
                csv_text(group.provider or ""),
                csv_text(group.model),
                csv_text(group.before.model if group.before else ""),
                csv_text(group.after.model),
                group.rows,
                "" if before is None else f"{before:f}",
                f"{group.cost_after:f}",
                "" if before is None else f"{group.cost_after - before:f}",
            ]
        )
