"""The page of a leaderboard and its twins: the same board as HTML, JSON, and CSV of its standings and of its pairs."""

import json
from collections.abc import Iterator

from evaluations.board_results import BoardResult
from evaluations.estimates import Estimate
from reports.files import csv_line, csv_text, jsonable
from reports.page import SCHEMA_VERSION, render_page
from reports.views.leaderboard import TEMPLATE, leaderboard_view

STANDING_COLUMNS = (
    "model", "best_rank", "worst_rank", "score", "low", "high", "confidence", "method", "standard_error", "n", "units",
    "unscored", "failed", "mean_length", "percentile", "cost_usd", "unpriced", "may_be_best",
)  # fmt: skip
PAIR_COLUMNS = (
    "first", "second", "n", "difference", "low", "high", "confidence", "p", "p_adjusted", "ahead", "test", "why",
)  # fmt: skip


def as_html(result: BoardResult) -> str:
    """One self-contained page, the same bytes for the same board."""
    return render_page(TEMPLATE, leaderboard_view(result))


def as_json(result: BoardResult) -> str:
    """Everything that is known of the board: money as exact text, unknown as null."""
    lengths = [
        {"first": first, "second": second, **jsonable(found)}
        for (first, second), found in result.at_equal_length.items()
    ]
    document = {
        "schema": f"assay.leaderboard/{SCHEMA_VERSION}",
        **jsonable(result),
        "leaders": list(result.board.leaders),
        "at_equal_length": lengths,
    }
    return json.dumps(document, indent=1, ensure_ascii=True, allow_nan=False) + "\n"


def standings_csv(result: BoardResult) -> Iterator[str]:
    """A line for each model, in the order of the board; unknown is empty."""
    yield csv_line(STANDING_COLUMNS)
    for each in result.board.standings:
        spent, among = result.spent.get(each.model), result.percentiles.get(each.model)
        yield csv_line(
            (
                csv_text(each.model),
                each.best_rank,
                each.worst_rank,
                _told(each.value),
                *_bounds(each.interval),
                "" if each.interval is None else csv_text(each.interval.method),
                _told(each.standard_error),
                each.n,
                each.units,
                each.unscored,
                result.failed.get(each.model, 0),
                _told(each.mean_length),
                "" if among is None else among.value,
                "" if spent is None or spent.cost is None else f"{spent.cost:f}",
                "" if spent is None else spent.unpriced,
                each.model in result.board.leaders,
            )
        )


def pairs_csv(result: BoardResult) -> Iterator[str]:
    """A line for each pair, first minus second; unknown is empty."""
    yield csv_line(PAIR_COLUMNS)
    for each in result.board.pairings:
        yield csv_line(
            (
                csv_text(each.first),
                csv_text(each.second),
                each.n,
                "" if each.difference is None else each.difference.value,
                *_bounds(each.difference),
                _told(each.p),
                _told(each.adjusted_p),
                csv_text(each.ahead or ""),
                each.test,
                csv_text(each.why),
            )
        )


def _told(value: float | None) -> object:
    return "" if value is None else value


def _bounds(found: Estimate | None) -> tuple[object, object, object]:
    return ("", "", "") if found is None else (found.low, found.high, found.confidence)
