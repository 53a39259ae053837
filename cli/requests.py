"""assay requests: list production requests, and look into one."""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

import click

from cli.rollup import DAY

if TYPE_CHECKING:
    from evaluations.inspection import Inspection
    from tasks.inspecting import Listing

BAR = 32
"""Characters of the whole time in a waterfall of text."""
NAME = 34
SHOWN = 40


@click.group()
def requests() -> None:
    """List production requests, and see where the time and the money of one went."""


@requests.command("list")
@click.option("--feature", help="Only requests of this feature.")
@click.option("--model", help="Only requests to this model, as they asked for it.")
@click.option("--status", type=click.Choice(["success", "error"]), help="Only those that ended so.")
@click.option("--from", "first", type=DAY, help="First day; thirty days before the last one unless given.")
@click.option("--to", "last", type=DAY, help="Last day; the newest with requests unless given.")
@click.option("--slow", is_flag=True, help="The slowest first, instead of the newest.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(
    feature: str | None,
    model: str | None,
    status: str | None,
    first: datetime | None,
    last: datetime | None,
    slow: bool,
    limit: int,
    as_json: bool,
) -> None:
    """Requests of some days, the newest or the slowest first. The id in front is what `show` takes."""
    from tasks.inspecting import list_requests

    found = list_requests(
        feature=feature,
        model=model,
        status=status,
        first=first.date() if first else None,
        last=last.date() if last else None,
        slowest=slow,
        limit=limit,
    )
    click.echo(_listing_json(found) if as_json else "\n".join(_listing(found)))


@requests.command()
@click.argument("request_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def show(request_id: str, as_json: bool) -> None:
    """Where the time and the money of a request went.

    ID is our number (as `list` prints it, or id:NUMBER), the request's id at its source, or a trace with one
    request. On the critical path, the chain of steps that the end waited for, bars are drawn as ###.
    """
    from tasks.inspecting import inspect_request

    inspection = inspect_request(request_id)
    if as_json:
        from reports.request_twins import as_json as whole

        click.echo(whole(inspection), nl=False)
        return
    click.echo("\n".join(_shown(inspection)))


def _listing(found: "Listing") -> Iterator[str]:
    from reports.format import duration, money, one_line

    yield f"Requests from {found.first} to {found.last} ({found.timezone})"
    if not found.lines:
        yield "None of these days is like that."
        return
    heads = f"{'id':>10}  {'when (UTC)':<21}{'feature':<18}{'model':<22}{'status':<9}"
    yield f"{heads}{'took':>12}{'tokens':>10}{'cost':>11}"
    for line in found.lines:
        tokens = "-" if line.tokens is None else f"{line.tokens:,}"
        yield (
            f"{line.id:>10}  {line.at:%Y-%m-%d %H:%M:%S}  {one_line(line.feature, 17):<18}"
            f"{one_line(line.model or '-', 21):<22}{line.status or '-':<9}"
            f"{duration(line.latency_ms, unknown='-'):>12}{tokens:>10}{money(line.cost):>11}"
        )


def _listing_json(found: "Listing") -> str:
    return json.dumps(
        {
            "from": found.first.isoformat(),
            "to": found.last.isoformat(),
            "time_zone": found.timezone,
            "requests": [
                {
                    "id": line.id,
                    "source": line.source,
                    "external_id": line.external_id,
                    "at": line.at.isoformat(),
                    "feature": line.feature,
                    "model": line.model,
                    "status": line.status,
                    "error_type": line.error_type,
                    "latency_ms": line.latency_ms,
                    "tokens": line.tokens,
                    "cost_usd": None if line.cost is None else f"{line.cost:f}",
                    "traced": line.traced,
                }
                for line in found.lines
            ],
        }
    )


def _shown(inspection: "Inspection") -> Iterator[str]:
    """The page's own sentences, then the steps."""
    from reports.views.request import request_view

    view = request_view(inspection)
    yield f"{view.page.title}: {view.page.headline}"
    yield view.page.about
    for fact in view.page.facts:
        status = f"{fact.status.word}. " if fact.status else ""
        yield f"{fact.label}: {status}{' '.join(fact.sentences)}"
    yield from (f"{banner.title} {banner.text}" for banner in view.page.banners)
    yield ""
    yield from _waterfall(inspection) if inspection.trace.steps else [view.no_steps]
    if view.cost.rows:
        yield ""
        yield f"{'class':<32}{'tokens':>12}{'a million':>12}{'cost':>12}{'share':>8}  price since"
        yield from (
            f"{row[0].text:<32}{row[1].text:>12}{row[2].text:>12}{row[3].text:>12}{row[4].text:>8}  {row[5].text}"
            for row in view.cost.rows
        )
        yield view.cost.note
    yield f"Page: assay report request {inspection.request.id}"


def _waterfall(inspection: "Inspection") -> Iterator[str]:
    from evaluations.wording import count
    from reports.format import duration, one_line
    from reports.views.request import picked

    trace = inspection.trace
    places = picked(trace, SHOWN)
    for place in places:
        step = trace.steps[place]
        begins, ends = (round(us / trace.end_us * BAR) if trace.end_us else 0 for us in (step.start_us, step.end_us))
        bar = " " * begins + ("#" if step.on_path else "-") * max(ends - begins, 1)
        name = "  " * min(step.depth, 6) + one_line(step.span.name, NAME)
        ended = " failed" if step.span.status == "error" else " or more" if "not ended" in step.oddities else ""
        yield f"{name[:NAME]:<{NAME}} {bar:<{BAR + 1}} {duration(step.took_us / 1000)}{ended}"
    left = len(trace.steps) + inspection.spans_left_out - len(places)
    if left:
        yield f"and {count(left, 'step')} more: --json has them."
