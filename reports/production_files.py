"""The pages about production as files: each as HTML, with its JSON and CSV twins."""

import json
from collections.abc import Iterable, Iterator
from datetime import date
from decimal import Decimal
from typing import Any

from evaluations.facts import Facts
from evaluations.production import GROUPED_BY, MEASURES, Overview, Spending, Window
from reports.files import csv_line, csv_text, jsonable
from reports.page import SCHEMA_VERSION, render_page
from reports.views import overview, spend

Files = Iterable[tuple[str, Iterable[str]]]
"""Names and contents of a page's files, in pieces; the page itself comes last."""


def overview_files(found: Overview) -> Files:
    """overview.csv, overview.json, overview.html; the same facts give the same bytes."""
    yield "overview.csv", _health_csv(found)
    yield "overview.json", [_document("overview", _overview(found))]
    yield "overview.html", [render_page(overview.TEMPLATE, overview.overview_view(found))]


def spend_files(found: Spending) -> Files:
    """spend.csv, spend.json, spend.html; the same facts give the same bytes."""
    yield "spend.csv", _spend_csv(found.window)
    yield "spend.json", [_document("spend", _spending(found))]
    yield "spend.html", [render_page(spend.TEMPLATE, spend.spend_view(found))]


def _document(kind: str, content: dict[str, Any]) -> str:
    document = {"schema": f"assay.{kind}/{SCHEMA_VERSION}", **jsonable(content)}
    return json.dumps(document, indent=1, ensure_ascii=True, allow_nan=False) + "\n"


def _window(window: Window) -> dict[str, Any]:
    fresh = window.freshness
    return {
        "from": window.first,
        "to": window.last,
        "time_zone": window.timezone,
        "currency": "USD",
        "sample_data": fresh.sample,
        "rolled_up_at": fresh.rolled_at,
        "days_waiting": fresh.waiting,
        "days_without_requests": fresh.missing(window.first, window.last),
        "restatements": window.restatements,
    }


def _facts(facts: Facts) -> dict[str, Any]:
    """Sums, and the ratios that a page shows of them."""
    return {
        "requests": facts.requests,
        "successes": facts.successes,
        "errors": facts.errors,
        "error_rate": facts.error_rate,
        "unpriced": facts.unpriced,
        "cost": facts.cost,
        "cost_per_request": facts.cost_per_request,
        "cost_per_success": facts.cost_per_success,
        "prompt_tokens": facts.prompt_tokens,
        "cached_tokens": facts.cached_tokens,
        "reply_tokens": facts.reply_tokens,
        "quality": facts.quality,
        "quality_n": facts.quality_n,
    }


def _performed(facts: Facts) -> dict[str, Any]:
    """The same with latencies, in milliseconds, which the spend page does not read."""
    return {**_facts(facts), "latency_p50_ms": facts.latency(0.5), "latency_p95_ms": facts.latency(0.95)}


def _overview(found: Overview) -> dict[str, Any]:
    return {
        **_window(found.window),
        "month_to_date": found.to_date,
        "months": found.window.months,
        "last_7_days": {**_performed(found.week), "trends": found.trends},
        "features": [
            {"feature": each.feature, "state": each.state, **_performed(each.now), "trends": each.trends}
            for each in found.features
        ],
        "stands_out": found.peaks,
        "days": {day.isoformat(): facts.cost for day, facts in found.by_day.items()},
    }


def _spending(found: Spending) -> dict[str, Any]:
    return {
        **_window(found.window),
        "total": _facts(found.total),
        "before": None if found.before is None else _facts(found.before),
        "change": found.change,
        "trend": found.trend,
        **{
            f"by_{by}": [
                {by: group.name, "share": group.share, **_facts(group.facts), "trend": group.trend} for group in groups
            ]
            for by, groups in found.groups.items()
        },
        "days": {day.isoformat(): facts.cost for day, facts in found.by_day.items()},
        "weeks": [{"from": part.first, "to": part.last, "whole": part.whole, "cost": part.facts.cost,
                   "change": part.change} for part in found.weekly],
        "months": [{"from": part.first, "to": part.last, "whole": part.whole, "cost": part.facts.cost,
                    "change": part.change} for part in found.monthly],
        "hours_of_week": found.hours,
        "users": found.users,
        "stands_out": found.peaks,
    }  # fmt: skip


def _health_csv(found: Overview) -> Iterator[str]:
    """One line for each feature: its last seven days, and how each measure changed."""
    changes = [f"{measure}_{name}" for measure in MEASURES for name in ("trend", "change", "low", "high")]
    head = ["feature", "state", *_FACTS, *changes]
    yield csv_line(head)
    for each in found.features:
        told: list[object] = []
        for measure in MEASURES:
            trend = each.trends[measure]
            estimate = trend.change
            told += [
                trend.direction,
                *(("", "", "") if estimate is None else (estimate.value, estimate.low, estimate.high)),
            ]
        facts = _performed(each.now)
        yield csv_line([csv_text(each.feature), each.state, *(_csv(facts[name]) for name in _FACTS), *told])


_FACTS = tuple(_performed(Facts()))


def _spend_csv(window: Window) -> Iterator[str]:
    """One line for each day and group of the window; money to the last digit."""
    columns = ("requests", "successes", "errors", "unpriced", "cost", "prompt_tokens", "cached_tokens", "reply_tokens")
    yield csv_line(["day", *GROUPED_BY, *columns])

    def order(key: tuple[tuple[str | None, ...], date]) -> tuple[date, tuple[str, ...]]:
        return key[1], tuple(name or "" for name in key[0])

    for names, day in sorted(window.facts, key=order):
        if window.first <= day <= window.last:
            facts = window.facts[names, day]
            values = (_csv(getattr(facts, column)) for column in columns)
            yield csv_line([day.isoformat(), *(csv_text(name or "") for name in names), *values])


def _csv(value: Any) -> object:
    if value is None:
        return ""
    return format(value, "f") if isinstance(value, Decimal) else value
