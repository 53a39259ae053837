"""assay cost: what a month would cost on each of some models."""

import json
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import click

from cli.customer import AMOUNT
from cli.rollup import DAY

if TYPE_CHECKING:
    from evaluations.cost_scenarios import MonthlyCost, Workload
    from evaluations.roi import Assumptions
    from tasks.costing import Costing


class Fixed(click.ParamType[tuple[str, Decimal]]):
    """MODEL=AMOUNT."""

    name = "model=amount"

    def convert(
        self, value: str | tuple[str, Decimal], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, Decimal]:
        if isinstance(value, tuple):
            return value
        model, _, amount = value.rpartition("=")
        if not model:
            self.fail(f"{value!r} is not MODEL=AMOUNT, e.g. openai/gpt-4o-mini=400.", param, ctx)
        found = AMOUNT.convert(amount, param, ctx)
        if not found.is_finite() or found < 0:
            self.fail(f"{amount} is no amount from 0.", param, ctx)
        return model, found


@click.command()
@click.argument("models", nargs=-1)
@click.option("--feature", "features", multiple=True, help="The feature whose requests are priced; may be repeated.")
@click.option("--from", "first", type=DAY, help="First day measured; four weeks before the last unless given.")
@click.option("--to", "last", type=DAY, help="Last day measured; the newest that is over unless given.")
@click.option("--units", type=AMOUNT, help="Requests a month; as measured unless given. With a stated unit: needed.")
@click.option("--cached", type=AMOUNT, help="Share of the prompt read from the provider's cache, 0 to 1; as measured.")
@click.option("--batch", type=AMOUNT, default=Decimal(0), help="Share of the requests sent by the batch service.")
@click.option("--fixed", type=Fixed(), multiple=True, help="What a model costs a month besides: MODEL=AMOUNT.")
@click.option("--input-tokens", type=AMOUNT, help="State a unit instead: tokens in …")
@click.option("--output-tokens", type=AMOUNT, help="… tokens out …")
@click.option("--images", type=AMOUNT, help="… and images, e.g. 1 for each photo.")
@click.option("--resolution", type=click.Choice(["low", "medium", "high"]), default="medium", show_default=True,
              help="Of an image: 85, 765 or 1,105 tokens.")  # fmt: skip
@click.option("--image-tokens", type=click.IntRange(1), help="Tokens of an image, where a model counts otherwise.")
@click.option("--resolves", type=AMOUNT, help="Share of the units that spare a person the work: adds what it is worth.")
@click.option("--hourly", type=AMOUNT, default=Decimal(20), show_default=True, help="What an hour of a person costs.")
@click.option("--minutes", type=AMOUNT, default=Decimal(5), show_default=True, help="How long a person works on one.")
@click.option("--on", type=DAY, help="The day whose prices count; today unless given.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, money to the last digit.")
def cost(
    models: tuple[str, ...],
    features: tuple[str, ...],
    first: datetime | None,
    last: datetime | None,
    units: Decimal | None,
    cached: Decimal | None,
    batch: Decimal,
    fixed: tuple[tuple[str, Decimal], ...],
    input_tokens: Decimal | None,
    output_tokens: Decimal | None,
    images: Decimal | None,
    resolution: str,
    image_tokens: int | None,
    resolves: Decimal | None,
    hourly: Decimal,
    minutes: Decimal,
    on: datetime | None,
    as_json: bool,
) -> None:
    """What a month would cost on each of some models: those named, or those that serve the feature.

    The tokens are those that its requests took, priced by each model's prices. A model that writes more than
    the present one costs more than this says; `assay compare` holds answers to the same cases against each other.

    \b
      assay cost --feature chatbot
      assay cost openai/gpt-4o openai/gpt-4o-mini --feature chatbot --cached 0.6 --batch 0.5
      assay cost openai/gpt-4o-mini --images 1 --resolution high --input-tokens 200 --output-tokens 60 --units 10000
    """
    from evaluations.cost_scenarios import IMAGE_TOKENS, Terms, stated
    from evaluations.roi import assumptions
    from tasks.costing import CostQuestion, cost_of

    if units is not None and not (units.is_finite() and units > 0):
        raise click.UsageError(f"--units is how many requests a month has, more than none; got {units}.")
    unit: Workload | None = None
    if input_tokens is not None or output_tokens is not None or images is not None:
        if units is None or features or first or last:
            raise click.UsageError("a stated unit needs --units, and neither a feature nor days; they are measured.")
        unit = stated(
            units,
            input_tokens=input_tokens or Decimal(0),
            output_tokens=output_tokens or Decimal(0),
            images=images or Decimal(0),
            image_tokens=image_tokens or IMAGE_TOKENS[resolution],
        )
    given = assumptions(hourly=hourly, minutes=minutes, infrastructure=None, investment=None)
    found = cost_of(
        CostQuestion(
            models=models,
            features=features,
            first=first.date() if first else None,
            last=last.date() if last else None,
            units=units,
            unit=unit,
            terms=Terms(cached_share=cached, batch_share=batch),
            fixed=dict(fixed),
            on=on.date() if on else None,
        )
    )
    shown = _as_json(found, given, resolves) if as_json else _as_table(found, given, resolves)
    click.echo(shown)


def _as_table(found: "Costing", given: "Assumptions", resolves: Decimal | None) -> str:
    from evaluations.cost_scenarios import worth
    from evaluations.wording import money

    told = [*_head(found), f"{'model':<36}{'month':>12}{'(95 %)':>22}{'a unit':>13}"]
    if resolves is not None:
        told[-1] += f"{'worth a month':>16}"
    for each in found.months:
        line = f"{each.model[:35]:<36}"
        if each.month is None or each.unit is None:
            told.append(f"{line}{'unpriced':>12}  {each.unpriced}")
            continue
        between = "stated" if each.low is None or each.high is None else f"{money(each.low)}–{money(each.high)}"
        line += f"{money(each.month):>12}{between:>22}{money(each.unit):>13}"
        if resolves is not None:
            line += f"{money(worth(each, given, resolves).net):>16}"
        told.append(line)
        told += [f"  {note}" for note in each.notes]
        if each.images is not None:
            told.append(f"  images: {money(each.images)} of each unit")
        if each.fixed:
            told.append(f"  of it fixed: {money(each.fixed)}; a unit with its part: {money(each.all_in or Decimal(0))}")
    for crossing in found.crossings:
        told.append(f"From {crossing.units:,.0f} units a month on, {crossing.other} is cheaper than {crossing.one}.")
    if any(each.fixed for each in found.months) and not found.crossings:
        told.append("No volume breaks even: the lines do not cross.")
    if resolves is not None:
        told += _swings(found, given, resolves)
    return "\n".join(told)


def _head(found: "Costing") -> list[str]:
    work = found.work
    whose = ", ".join(found.features) or "all features"
    tokens = ", ".join(f"{count:,.0f} {name.replace('_', ' ')}" for name, count in work.per_unit.items())
    told = [
        f"A month of {whose}: {work.units:,.0f} units, by prices of {found.on}"
        if found.first
        else f"A month of {work.units:,.0f} units as stated, by prices of {found.on}"
    ]
    if found.first:
        mark = " (sample data)" if found.sample_data else ""
        told.append(f"Measured from {found.first} to {found.last}, n = {len(work.days)} days{mark}")
    told.append(f"Tokens of a unit: {tokens}")
    return told


def _swings(found: "Costing", given: "Assumptions", resolves: Decimal) -> list[str]:
    """What the worth of the cheapest rests on."""
    from evaluations.cost_scenarios import worth
    from evaluations.roi import sensitivity
    from evaluations.wording import money

    cheapest = found.months[0]
    if cheapest.month is None:
        return []
    month = worth(cheapest, given, resolves)
    told = [f"What the worth of {cheapest.model} rests on (a quarter less and more):"]
    for swing in sensitivity(month, deflection=_quarter(resolves), came_back=None):
        told.append(f"  {swing.name:<20}{money(swing.at_low.net):>12} to {money(swing.at_high.net)}")
    told.append(f"Not counted: {', '.join(month.not_counted)}.")
    return told


def _quarter(share: Decimal) -> tuple[float, float]:
    return float(share * 3 / 4), min(float(share * 5 / 4), 1.0)


def _as_json(found: "Costing", given: "Assumptions", resolves: Decimal | None) -> str:
    from evaluations.cost_scenarios import worth

    def told(each: "MonthlyCost") -> dict[str, Any]:
        return {
            "model": each.model,
            "month": _money(each.month),
            "low": _money(each.low),
            "high": _money(each.high),
            "days": each.days,
            "unit": _money(each.unit),
            "fixed": _money(each.fixed),
            "images": _money(each.images),
            "unpriced": each.unpriced or None,
            "notes": list(each.notes),
            "worth": None if resolves is None or each.unit is None else _money(worth(each, given, resolves).net),
        }

    return json.dumps(
        {
            "features": list(found.features),
            "from": None if found.first is None else str(found.first),
            "to": None if found.last is None else str(found.last),
            "prices_of": str(found.on),
            "currency": "USD",
            "units": _money(found.work.units),
            "tokens_per_unit": {name: _money(count) for name, count in found.work.per_unit.items()},
            "cached_share": _money(found.terms.cached_share),
            "batch_share": _money(found.terms.batch_share),
            "sample_data": found.sample_data,
            "months": [told(each) for each in found.months],
            "break_even": [
                {"below": each.one, "above": each.other, "units": _money(each.units)} for each in found.crossings
            ],
        }
    )


def _money(amount: Decimal | None) -> str | None:
    return None if amount is None else f"{amount:f}"
