"""assay customer: what became of the matters that customers brought, and what that is worth."""

import json
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

import click

from cli.rollup import DAY

if TYPE_CHECKING:
    from evaluations.impact import Impact
    from evaluations.roi import Assumptions


class Amount(click.ParamType[Decimal]):
    """An amount of money or time, exact."""

    name = "amount"

    def convert(self, value: str | Decimal, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        try:
            return Decimal(value)
        except InvalidOperation:
            self.fail(f"{value!r} is no amount; write 20 or 1.67.", param, ctx)


AMOUNT = Amount()


@click.command()
@click.option("--from", "first", type=DAY, help="First day; thirty days before the last one unless given.")
@click.option("--to", "last", type=DAY, help="Last day; the newest with outcomes unless given.")
@click.option("--feature", help="One feature; all that say how requests ended unless given.")
@click.option("--category", help="One category of it.")
@click.option("--recontact-days", type=click.IntRange(1, 30), default=7, show_default=True,
              help="How long a customer may come back before a matter counts as done.")  # fmt: skip
@click.option("--hourly", type=AMOUNT, help="What an hour of a person costs; ASSAY_AGENT_HOURLY_USD.")
@click.option("--minutes", type=AMOUNT, help="How long a person works on a ticket; ASSAY_AGENT_MINUTES.")
@click.option("--infrastructure", type=AMOUNT, help="What the AI costs a month besides; ASSAY_AI_INFRASTRUCTURE_USD.")
@click.option("--investment", type=AMOUNT, help="What building it cost; ASSAY_AI_INVESTMENT_USD.")
@click.option("--discount", type=AMOUNT, help="By which share a year money is worth less later, e.g. 0.08.")
@click.option("--definition", metavar="NAME", help="Print a metric's definition, SQL and version instead.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, money to the last digit.")
def customer(
    first: datetime | None,
    last: datetime | None,
    feature: str | None,
    category: str | None,
    recontact_days: int,
    hourly: Decimal | None,
    minutes: Decimal | None,
    infrastructure: Decimal | None,
    investment: Decimal | None,
    discount: Decimal | None,
    definition: str | None,
    as_json: bool,
) -> None:
    """What became of the matters that customers brought, and what that is worth.

    Each number comes with its interval, its n and what it leaves out. What is not known is counted,
    never taken for a success or a failure.
    """
    from tasks.customer import customer_impact, definition_named

    if definition is not None:
        click.echo("\n".join(definition_named(definition)))
        return
    stated = {
        "hourly": hourly,
        "minutes": minutes,
        "infrastructure": infrastructure,
        "investment": investment,
        "discount": discount,
    }
    impact = customer_impact(
        first.date() if first else None,
        last.date() if last else None,
        feature=feature,
        category=category,
        given=_assumptions({name: amount for name, amount in stated.items() if amount is not None}),
        recontact_days=recontact_days,
    )
    click.echo(_as_json(impact) if as_json else as_text(impact))


def _assumptions(stated: dict[str, Decimal]) -> "Assumptions":
    """Those of the settings, with what was given here instead."""
    from dataclasses import asdict

    from evaluations.roi import assumptions
    from tasks.customer import stated_assumptions
    from tasks.settings import settings

    return assumptions(**{**asdict(stated_assumptions(settings())), **stated})


def as_text(impact: "Impact") -> str:
    """What became of the matters of a window, for a terminal."""
    from reports.views.customer_words import about, headline, marks, measure_lines, roi_lines, waits

    facts = impact.facts
    verdict = headline(facts, impact.month)
    told = [
        f"Customers from {facts.first} to {facts.last} ({facts.timezone})",
        f"{about(facts)}.",
        ": ".join((*marks(facts), f"{verdict.head}{verdict.rest}")),
        "",
        *measure_lines(facts),
    ]
    told += ["", *roi_lines(impact.month, impact.theirs)]
    if facts.waiting:
        told += ["", f"{waits(facts)}"]
    return "\n".join(told)


def _as_json(impact: "Impact") -> str:
    from reports.customer_files import customer_document

    return json.dumps(customer_document(impact), indent=1)
