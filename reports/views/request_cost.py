"""What a request cost by class of tokens, and which dated price each class was priced by."""

from decimal import Decimal

from evaluations.inspection import CostLine, Inspection
from evaluations.pricing import TokenClass
from reports.format import count, day, money, money_column, one_line, share
from reports.views.parts import Cell, Column, Table

CLASSES: dict[TokenClass, str] = {
    "input": "Input",
    "cached": "Input from the cache",
    "cache_write": "Written to the cache",
    "cache_write_1h": "Written to the cache for an hour",
    "input_audio": "Audio input",
    "cached_audio": "Audio input from the cache",
    "output": "Output",
    "output_audio": "Audio output",
    "output_image": "Image output",
    "reasoning": "Reasoning",
    "request": "Fee of the call",
    "web_search": "Web searches",
}
_MILLION = Decimal(1_000_000)


def class_name(token_class: TokenClass) -> str:
    return CLASSES.get(token_class, token_class.replace("_", " ").capitalize())


def cost_table(inspection: Inspection) -> Table:
    """A row for each class with tokens; shares are of the whole cost."""
    lines = inspection.cost_lines()
    whole = inspection.request.cost
    costs = money_column([line.cost for line in lines], unknown="–")
    return Table(
        caption=f"{money(whole)} by class of tokens" if lines and whole is not None else "Tokens by class",
        columns=(
            Column("class", "Class"),
            Column("tokens", "Tokens", right=True),
            Column("usd_per_million", "A million cost", right=True),
            Column("cost_usd", "Cost", right=True),
            Column("share", "Share", right=True),
            Column("price_since", "Price since"),
            Column("price_source", "Where it stands"),
        ),
        rows=tuple(_row(line, cost, whole) for line, cost in zip(lines, costs, strict=True)),
        note=cost_note(inspection) if lines else "",
        empty="" if lines else "Nobody reported how many tokens it used, so its cost cannot be told by class.",
    )


def _row(line: CostLine, cost: str, whole: Decimal | None) -> tuple[Cell, ...]:
    of_whole = line.cost / whole if line.cost is not None and whole else None
    borrowed = "" if line.priced_as == line.token_class else f"priced as {class_name(line.priced_as).lower()}"
    per_token = None if line.per_token is None else line.per_token * _MILLION
    return (
        Cell(class_name(line.token_class), note=borrowed),
        Cell(count(line.tokens), line.tokens),
        Cell(money(per_token, unknown="–"), None if per_token is None else float(per_token)),
        Cell(cost, None if line.cost is None else float(line.cost)),
        Cell(share(of_whole, unknown="–"), None if of_whole is None else float(of_whole)),
        Cell(line.row.effective_from.isoformat() if line.row else "–"),
        Cell(one_line(line.row.source, 80) if line.row else "–"),
    )


def cost_note(inspection: Inspection) -> str:
    """How the cost came about, in one or two sentences."""
    request, price = inspection.request, inspection.price
    reckoned = "" if request.reported_cost is None else f" The log's own tool reckoned {money(request.reported_cost)}."
    if request.cost is None:
        why = "no price was known for what it used" if request.usage_known else "its usage was not reported"
        return f"Unpriced: {why}. It is counted as such and is not free.{reckoned}"
    if request.cost_source == "stated" or price is None:
        return f"The log stated what was paid; it was not reckoned from prices.{reckoned}"
    gone = any(line.row is None for line in inspection.cost_lines())
    lost = " A price without a date stands in no list any more; the request keeps it." if gone else ""
    return f"By the prices of {one_line(price.model, 80)}, first used on {day(price.since)} and kept with the request.{lost}{reckoned}"  # noqa: E501
