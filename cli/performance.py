"""assay performance: how models and features did in the last hour, day, week or month."""

import json
import math
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

import click

if TYPE_CHECKING:
    from evaluations.estimates import Estimate
    from evaluations.performance import Performance, PerformanceLine, Performed, WindowName

SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


@click.command()
@click.option("--window", type=click.Choice(["1h", "24h", "7d", "30d"]), default="24h", show_default=True)
@click.option("--by", multiple=True, default=("feature",), show_default=True, help="A dimension; may be repeated.")
@click.option(
    "--until",
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M"]),
    help="End by this time of the platform's time zone; with the newest requests unless given.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with intervals, and the window before in full.")
def performance(window: str, by: tuple[str, ...], until: datetime | None, as_json: bool) -> None:
    """How groups of requests did, from the facts that `assay rollup` keeps, beside the window before.

    Dimensions: feature, category, prompt_version, model, provider, project, environment, region. Windows
    of hours end with the newest whole hour that has requests, windows of days with the newest whole day.
    Percentiles come from merged histograms and are at most 1 % off.
    """
    from zoneinfo import ZoneInfo

    from tasks.spending import dimensions_named
    from tasks.store import performance as store
    from tasks.store.database import transaction
    from tasks.store.rollups import timezone_of

    named = dimensions_named(by)
    with transaction() as connection:
        moment = until.replace(tzinfo=ZoneInfo(timezone_of(connection))) if until else None
        found = store.performance(connection, cast("WindowName", window), named, until=moment)
    click.echo(json.dumps(_as_json(found)) if as_json else _as_table(found))


def _as_table(found: "Performance") -> str:
    from zoneinfo import ZoneInfo

    from evaluations.wording import count

    zone = ZoneInfo(found.timezone)
    begins, ends = (each.astimezone(zone) for each in (found.window.begins, found.window.ends))
    told = [f"Performance from {begins:%Y-%m-%d %H:%M} to {ends:%Y-%m-%d %H:%M} ({found.timezone})"]
    head = "".join(f"{name:<22}" for name in found.by)
    told.append(
        f"{head}{'requests':>10}{'errors':>8}{'(95 %)':>12}{'p50':>9}{'p95':>9}{'before':>9}{'p99':>9}"
        f"{'$/success':>11}{'tokens':>9}"
    )
    told += [_row(line) for line in found.lines]
    if all(line.before is None for line in found.lines):
        told.append("Nothing is known of the whole window before.")
    if unpriced := sum(line.now.unpriced for line in found.lines):
        told.append(f"{count(unpriced, 'request')} unpriced: costs are higher than they look.")
    if found.dirty:
        told.append(f"{count(found.dirty, 'day')} changed since and wait for: assay rollup --dirty")
    return "\n".join(told)


def _row(line: "PerformanceLine") -> str:
    from evaluations.wording import duration, money, percent, percent_interval

    now = line.now
    names = "".join(f"{(name or '(not said)')[:21]:<22}" for name in line.names)
    errors = now.error_share
    latencies = {name: now.latency(share) for name, share in SHARES.items()}
    before = line.before.latency(SHARES["p95"]) if line.before else None
    shown = {name: "-" if each is None else duration(each.value) for name, each in latencies.items()}
    cost, tokens = now.cost_per_success, now.tokens_per_request
    return (
        f"{names}{now.requests:>10,}{'-' if errors is None else percent(errors.value):>8}"
        f"{'-' if errors is None else percent_interval(errors.low, errors.high):>12}"
        f"{shown['p50']:>9}{shown['p95']:>9}{'-' if before is None else duration(before.value):>9}{shown['p99']:>9}"
        f"{'-' if cost is None else money(cost):>11}{'-' if tokens is None else f'{tokens:,.0f}':>9}"
    )


def _as_json(found: "Performance") -> dict[str, Any]:
    return {
        "window": found.name,
        "begins": found.window.begins.isoformat(),
        "ends": found.window.ends.isoformat(),
        "before": {"begins": found.before.begins.isoformat(), "ends": found.before.ends.isoformat()},
        "time_zone": found.timezone,
        "currency": "USD",
        "days_waiting": found.dirty,
        "lines": [
            {
                **dict(zip(found.by, line.names, strict=True)),
                **_performed(line.now),
                "before": None if line.before is None else _performed(line.before),
            }
            for line in found.lines
        ],
    }


def _performed(of: "Performed") -> dict[str, Any]:
    return {
        "requests": of.requests,
        "successes": of.successes,
        "errors": of.errors,
        "error_share": _estimate(of.error_share),
        **{f"latency_{name}_ms": _estimate(of.latency(share)) for name, share in SHARES.items()},
        "cost": _money(of.cost),
        "unpriced": of.unpriced,
        "cost_per_request": _money(of.cost_per_request),
        "cost_per_success": _money(of.cost_per_success),
        "tokens_per_request": of.tokens_per_request,
        "prompt_tokens": of.prompt_tokens,
        "cached_tokens": of.cached_tokens,
        "reply_tokens": of.reply_tokens,
        "usage_unknown": of.usage_unknown,
        "cache_hit_share": _estimate(of.cache_hit_share),
    }


def _estimate(of: "Estimate | None") -> dict[str, Any] | None:
    """An interval without an upper end is written with null."""
    if of is None:
        return None
    return {"value": of.value, "low": of.low, "high": of.high if math.isfinite(of.high) else None, "n": of.n}


def _money(of: Any) -> str | None:
    return None if of is None else f"{of:f}"
