"""The page of recommendations as files: HTML with its JSON and CSV twins."""

import json
from collections.abc import Iterable, Iterator

from evaluations.recommending.answers import Standing, StoredRecommendation
from reports.files import csv_line, csv_text, jsonable
from reports.page import SCHEMA_VERSION, render_page
from reports.views.recommendations import TEMPLATE, recommendations_view

CSV_COLUMNS = (
    *("number", "status", "kind", "feature", "title", "instead_of", "recommended", "score", "impact", "effort"),
    *("saving_low_usd", "saving_usd", "saving_high_usd", "now_usd", "share_low", "share", "share_high", "n"),
    *("stability", "sample_data", "as_of", "moved_by", "moved_why"),
)


def recommendation_files(found: Standing) -> Iterable[tuple[str, Iterable[str]]]:
    """recommendations.csv (one line each), recommendations.json (answers, evidence, ledger), recommendations.html."""
    document = {
        "schema": f"assay.recommendations/{SCHEMA_VERSION}",
        "currency": "USD",
        "per": "month",
        "answers": jsonable(found.answers),
        "recommendations": jsonable(found.recommendations),
        "of_bill": jsonable(found.of_bill),
        "ledger": jsonable(found.ledger),
        "adoption": jsonable(found.adoption),
    }
    yield "recommendations.csv", _csv(found)
    yield "recommendations.json", [json.dumps(document, indent=1, ensure_ascii=True, allow_nan=False) + "\n"]
    yield "recommendations.html", [render_page(TEMPLATE, recommendations_view(found))]


def _csv(found: Standing) -> Iterator[str]:
    yield csv_line(CSV_COLUMNS)
    for each in found.recommendations:
        yield csv_line(_row(each))


def _row(each: StoredRecommendation) -> Iterator[object]:
    advice = each.recommendation
    saved = advice.savings
    yield from (each.id, each.status, advice.kind)
    yield from (csv_text(text) for text in (advice.feature, advice.title, advice.current, advice.recommended))
    yield from (advice.score, advice.impact, advice.effort)
    yield from (f"{amount:f}" for amount in (saved.low, saved.point, saved.high, saved.now))
    yield from (saved.share_low, saved.share, saved.share_high, advice.n)
    yield "" if advice.stability is None else advice.stability.share
    yield from ("yes" if each.sample_data else "no", each.as_of.isoformat())
    yield from (csv_text(text) for text in (each.moved_by, each.moved_why))
