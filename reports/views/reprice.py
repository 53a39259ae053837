"""The page of a repricing: what requests of some days cost before and after, by model and by day, and why."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from evaluations.pricing import FEES
from evaluations.repricing import Moved, RateChange, Repricing
from reports.format import change, count, moment, money, money_column, one_line
from reports.page import SCHEMA_VERSION
from reports.views.parts import Banner, Cell, Column, Fact, Kpi, Page, Status, Table, Verdict

TEMPLATE = "reprice.html.j2"
LISTED = 400
"""Rows of a table: more are in the files beside the page."""
_MILLION = Decimal(1_000_000)
METHOD = (
    "Every request with a model, a known usage and no stated cost was priced by the rows that hold at its time now. "
    "Where that gives another cost, the request takes it over, with the prices it was made of; its day is rolled up "
    "again, and the restatement is kept.",
    "What no price is found for any more keeps the one it has. What a log stated as paid is not looked at. Days that "
    "lost requests to retention are frozen.",
    "Costs before and after are sums of requests that had a price; those that had none are told apart, for the "
    "difference to an unknown cost is unknown.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RepriceView:
    """All that `reprice.html.j2` places."""

    page: Page
    models: Table
    prices: Table
    days: Table
    method: tuple[str, ...]


def reprice_view(found: Repricing) -> RepriceView:
    """Decides every word, number and order of the page. Pure: the same changes give the same view."""
    total = found.total()
    days = f"{found.first}" if found.first == found.last else f"{found.first} to {found.last}"
    page = Page(
        kind="Repricing",
        subject=days,
        title=f"Requests of {days}, priced again",
        about=f"{moment(found.at)}, by {one_line(found.actor, 60)}. Days are those of {found.timezone}."
        + ("" if found.id is None else f" Repricing {found.id}."),
        marks=(*(("Dry run",) if found.dry_run else ()), *(("Sample data",) if found.sample_data else ())),
        banners=_banners(found),
        verdict=_verdict(found, total),
        facts=_facts(found),
        kpis=_kpis(total, dry_run=found.dry_run),
        contents=(
            ("verdict", "What changes" if found.dry_run else "What changed"),
            ("models", "By model"),
            ("prices", "By price"),
            ("days", "By day"),
            ("method", "Method"),
        ),
        as_of=moment(found.at),
        schema=str(SCHEMA_VERSION),
        files=("report.json", "changes.csv"),
    )
    return RepriceView(
        page=page,
        models=_table("Cost by model", "Model", found.by_model()),
        prices=_prices(found.rate_changes()),
        days=_table("Cost by day", "Day", {day.isoformat(): moved for day, moved in found.by_day().items()}),
        method=METHOD,
    )


def _verdict(found: Repricing, total: Moved) -> Verdict:
    if not total.rows and not total.filled:
        would = "would change" if found.dry_run else "changed"
        return Verdict("good", f"No cost {would}", f": {count(found.looked_at, 'request')} looked at")
    filled = ""
    if total.filled:
        got = "would get" if found.dry_run else "got"
        filled = f"{count(total.filled, 'unpriced request')} {got} a price, {money(total.filled_cost)} together"
    if not total.rows:
        return Verdict("plain", filled, "")
    would = "would cost" if found.dry_run else "cost"
    head = f"{money(total.difference, plus=True)}{_relative(total)}"
    rest = f": {count(total.rows, 'request')} {would} {money(total.after)} instead of {money(total.before)}"
    return Verdict("plain", head, rest + (f"; {filled}" if filled else ""))


def _relative(moved: Moved) -> str:
    return f" ({change(moved.difference / moved.before)})" if moved.before else ""


def _banners(found: Repricing) -> tuple[Banner, ...]:
    made = []
    if found.dry_run:
        made.append(Banner("warn", "Dry run.", "Nothing was written: this is what the prices of now would change."))
    if found.stopped:
        made.append(Banner("bad", "Interrupted.", "What is told here has been changed; the same command goes on."))
    return tuple(made)


def _facts(found: Repricing) -> tuple[Fact, ...]:
    looked = [f"{count(found.looked_at, 'request')} had a model, a known usage and no stated cost."]
    if found.unpriced:
        looked.append(f"{count(found.unpriced, 'request')} of them have no price, before and after.")
    if found.kept:
        looked.append(f"{count(found.kept, 'request')} keep a price that is found no more.")
    made = [Fact(label="Looked at", status=None, sentences=tuple(looked))]
    if found.frozen:
        frozen = f"{count(len(found.frozen), 'day')} from {found.frozen[0]} to {found.frozen[-1]} stay as they are."
        made.append(Fact(label="Frozen", status=Status("Left alone", "plain", "dash"), sentences=(frozen,)))
    if found.dry_run:
        command = f"assay reprice --from {found.first} --to {found.last}"
        made.append(Fact(label="To do it", status=None, sentences=("Costs change by:",), command=command))
    else:
        told = "The days that changed wait to be rolled up:" if found.groups else "No day is to be rolled up."
        made.append(
            Fact(label="Rollups", status=None, sentences=(told,), command="assay rollup" if found.groups else "")
        )
    return tuple(made)


def _kpis(total: Moved, *, dry_run: bool) -> tuple[Kpi, ...]:
    return (
        Kpi(label="Cost before", value=money(total.before), note=f"{count(total.rows, 'request')} that had a price"),
        Kpi(label="Cost after", value=money(total.after), note="of the same requests"),
        Kpi(label="Difference", value=money(total.difference, plus=True), note=_relative(total).strip(" ()") or "–"),
        Kpi(
            label="Newly priced",
            value=money(total.filled_cost) if total.filled else "none",
            note=f"{count(total.filled, 'request')} that {'have' if dry_run else 'had'} no price",
        ),
    )


def _table(caption: str, head: str, moved: Mapping[str, Moved]) -> Table:
    """A row for each key, the largest difference first; days in their order."""
    by_day = head == "Day"
    listed = sorted(moved.items(), key=lambda item: (item[0] if by_day else -abs(item[1].difference), item[0]))
    shown = listed[:LISTED]
    columns = [money_column([getattr(each, name) for _, each in shown]) for name in ("before", "after", "filled_cost")]
    return Table(
        caption=caption,
        columns=(
            Column(head.lower(), head),
            Column("requests", "Requests", right=True),
            Column("before_usd", "Before", right=True),
            Column("after_usd", "After", right=True),
            Column("difference_usd", "Difference", right=True),
            Column("newly_priced", "Newly priced", right=True),
            Column("newly_priced_usd", "Their cost", right=True),
        ),
        rows=tuple(
            (
                Cell(one_line(name, 80)),
                Cell(count(each.rows), each.rows),
                Cell(before if each.rows else "–", float(each.before)),
                Cell(after if each.rows else "–", float(each.after)),
                Cell(
                    f"{money(each.difference, plus=True)}{_relative(each)}" if each.rows else "–",
                    float(each.difference),
                ),
                Cell(count(each.filled) if each.filled else "–", each.filled),
                Cell(filled if each.filled else "–", float(each.filled_cost)),
            )
            for (name, each), before, after, filled in zip(shown, *columns, strict=True)
        ),
        note=f"{count(len(listed) - LISTED)} more are in report.json." if len(listed) > LISTED else "",
        empty="No cost differs.",
    )


def _prices(changes: Mapping[tuple[str, RateChange], Moved]) -> Table:
    shown = list(changes.items())[:LISTED]
    return Table(
        caption="Prices that differ, in US dollars for a million tokens (fees: each)",
        columns=(
            Column("model", "Model"),
            Column("class", "Class"),
            Column("above_tokens", "Above", right=True),
            Column("before_usd", "Before", right=True),
            Column("after_usd", "After", right=True),
            Column("requests", "Requests", right=True),
        ),
        rows=tuple(
            (
                Cell(one_line(model, 80)),
                Cell(each.token_class.replace("_", " ")),
                Cell("–" if each.tier_start < 0 else count(each.tier_start), each.tier_start),
                Cell(_price(each, each.before)),
                Cell(_price(each, each.after)),
                Cell(count(moved.rows + moved.filled), moved.rows + moved.filled),
            )
            for (model, each), moved in shown
        ),
        note="A request is counted with every price of its model that differs, whether it used that class or not."
        + (f" {count(len(changes) - LISTED)} more are in report.json." if len(changes) > LISTED else ""),
        empty="No price differs.",
    )


def _price(of: RateChange, value: Decimal | None) -> str:
    if value is None:
        return "none"
    shown = value if of.token_class in FEES else value * _MILLION
    return f"${shown.normalize():f}"
