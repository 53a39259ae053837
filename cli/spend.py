"""assay spend: what AI features cost, by any dimension and period, with its trend."""

import json
from datetime import datetime
from typing import TYPE_CHECKING, cast

import click

from cli.rollup import DAY, restatement_as_json

if TYPE_CHECKING:
    from evaluations.spend import Period, SpendLine
    from tasks.spending import Spending

SHOWN_RESTATEMENTS = 3


@click.command()
@click.option("--by", multiple=True, default=("feature",), show_default=True, help="A dimension; may be repeated.")
@click.option(
    "--period", type=click.Choice(["day", "week", "month", "quarter", "total"]), default="total", show_default=True
)
@click.option("--from", "first", type=DAY, help="First day; thirty days before the last one unless given.")
@click.option("--to", "last", type=DAY, help="Last day; the newest with requests unless given.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, money to the last digit.")
def spend(by: tuple[str, ...], period: str, first: datetime | None, last: datetime | None, as_json: bool) -> None:
    """What requests cost, from the facts that `assay rollup` keeps.

    Dimensions: feature, category, prompt_version, model, provider, project, environment, region. The
    trend holds a total against as many days before it, a period against the one before it. Requests
    without a known price are counted as unpriced; they are not free.
    """
    from tasks.spending import dimensions_named, spending

    found = spending(
        dimensions_named(by), first.date() if first else None, last.date() if last else None, cast("Period", period)
    )
    click.echo(_as_json(found) if as_json else as_table(found, period))


def as_table(found: "Spending", period: str) -> str:
    """What a window cost, for a terminal."""
    from evaluations.spend import total_of
    from evaluations.wording import count, money

    told = [f"Spend from {found.first} to {found.last} ({found.timezone})"]
    width = 14 if period != "total" else 0
    head = "".join(f"{name:<22}" for name in found.by)
    told.append(f"{'from':<{width}.{width}}{head}{'requests':>10}{'cost':>13}{'trend':>9}{'unpriced':>10}")
    for line in found.lines:
        names = "".join(f"{(name or '(not said)')[:21]:<22}" for name in line.names)
        begins = f"{line.begins}"
        cost = "unpriced" if line.spent.cost is None else f"${line.spent.cost:,.4f}"
        told.append(
            f"{begins:<{width}.{width}}{names}{line.spent.requests:>10,}{cost:>13}{_trend(line):>9}"
            f"{line.spent.unpriced:>10,}"
        )
    total = total_of(found.lines)
    cost = "an unknown cost" if total.cost is None else money(total.cost)
    left_out = f", and {count(total.unpriced, 'request')} unpriced" if total.unpriced else ""
    told.append(f"Together {count(total.requests, 'request')} for {cost}{left_out}.")
    told += [each.sentence() + "." for each in found.restatements[:SHOWN_RESTATEMENTS]]
    if len(found.restatements) > SHOWN_RESTATEMENTS:
        told.append(f"{len(found.restatements) - SHOWN_RESTATEMENTS} more restatements: --json lists them.")
    if found.dirty:
        told.append(f"{count(found.dirty, 'day')} changed since and wait for: assay rollup --dirty")
    return "\n".join(told)


def _trend(line: "SpendLine") -> str:
    from evaluations.wording import percent

    if line.change is None:
        return "-"
    return f"{'+' if line.change >= 0 else ''}{percent(line.change)}"


def _as_json(found: "Spending") -> str:
    return json.dumps(
        {
            "from": found.first.isoformat(),
            "to": found.last.isoformat(),
            "time_zone": found.timezone,
            "currency": "USD",
            "days_waiting": found.dirty,
            "lines": [
                {
                    **dict(zip(found.by, line.names, strict=True)),
                    "begins": line.begins.isoformat(),
                    "ends": line.ends.isoformat(),
                    "requests": line.spent.requests,
                    "unpriced": line.spent.unpriced,
                    "tokens": line.spent.tokens,
                    "cost": None if line.spent.cost is None else f"{line.spent.cost:f}",
                    "change": line.change,
                }
                for line in found.lines
            ],
            "restatements": [restatement_as_json(each) for each in found.restatements],
        }
    )
