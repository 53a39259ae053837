"""assay prices: what models cost, since when and by whose word."""

import json
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from evaluations.price_changes import PriceChange, PriceSync
    from evaluations.pricing import PriceRow
    from tasks.store.prices import StoredPrice

SHOWN = 20
"""Changes that are listed unless all are asked for."""


@click.group()
def prices() -> None:
    """What models cost, since when and by whose word. Prices are added, never changed; unknown is not zero.

    \b
      assay prices show openai/gpt-4o                  today, and every row ever written
      assay prices show openai/gpt-4o --at 2025-01-31  on a day
      assay prices diff                                where the store and the price lists differ
      assay prices sync --apply                        add what is new

    Prices of your own go into prices.yaml in ASSAY_HOME (docs/prices.md); they go before the lists. Requests keep
    the price they were ingested with: assay reprice prices the past again.
    """


@prices.command()
@click.argument("model")
@click.option("--at", type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M"]), help="When (UTC); today unless given.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(model: str, at: Any, as_json: bool) -> None:
    """The prices of MODEL (provider/name) on a day, and every row that was ever written for it."""
    from datetime import UTC, datetime

    from evaluations.errors import AssayError, unknown_name
    from evaluations.pricing import PriceBook
    from tasks.store.database import transaction
    from tasks.store.prices import price_history, priced_models

    with transaction() as connection:
        history = price_history(connection, model)
        known = [] if history else priced_models(connection)
    if not known and not history:
        raise AssayError("the store has no prices yet; `assay prices sync --apply` takes them over.")
    if not history:
        raise AssayError(unknown_name("model with a price", model, known))
    on = datetime.now(UTC).date() if at is None else at if at.hour or at.minute else at.date()
    book = PriceBook(each.row for each in history)
    if as_json:
        click.echo(json.dumps({"model": model, "at": str(on), "rows": [_as_json(each) for each in history]}))
        return
    _echo_in_force(model, book, on)
    click.echo(f"\n{'from':<12}{'to':<12}{'class':<34}{'above':>9}{'USD per M':>16}  {'model':<34}source")
    for each in sorted(history, key=lambda each: (each.row.effective_from, each.recorded_at)):
        click.echo(_line(each.row))


@prices.command()
@click.option("--apply", is_flag=True, help="Add the rows; without it nothing is written.")
@click.option("--model", "models", multiple=True, help="Also look for prices of this provider/name; may be repeated.")
@click.option("--all", "everything", is_flag=True, help="List every change.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def sync(apply: bool, models: tuple[str, ...], everything: bool, as_json: bool) -> None:
    """Compare the store with LiteLLM's map, genai-prices and your own file, and with --apply add what is new.

    Nothing is fetched: the lists are those of the installed packages. Rows that are there are never changed.
    """
    from evaluations.wording import count
    from tasks.price_sync import apply_sync, planned_sync, today
    from tasks.settings import settings
    from tasks.store.database import transaction
    from tasks.store.prices import lock_prices

    given = settings()
    with transaction() as connection:
        if apply:
            lock_prices(connection)
        plan = planned_sync(connection, given, models)
        added = apply_sync(connection, plan, given) if apply else None
    if as_json:
        click.echo(json.dumps(_plan_as_json(plan, added)))
        return
    _echo_plan(plan, everything)
    if added is not None:
        click.echo(f"{added:,} rows added; none was changed.")
        if past := [change.effective_from for change in plan.changes if change.effective_from < today()]:
            click.echo(
                f"{count(len(past), 'price')} of them hold since before today, and requests keep the price they had. "
                f"What they would change: assay reprice --from {min(past)} --to {today()} --dry-run"
            )
    elif plan.rows:
        click.echo("Nothing was written. To add the rows: assay prices sync --apply")


@prices.command()
@click.option("--model", "models", multiple=True, help="Also look for prices of this provider/name; may be repeated.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def diff(models: tuple[str, ...], as_json: bool) -> int:
    """Every price in which the store and the lists differ. Ends with 1 when there is one, for CI."""
    from tasks.price_sync import planned_sync
    from tasks.settings import settings
    from tasks.store.database import transaction

    with transaction() as connection:
        plan = planned_sync(connection, settings(), models)
    if as_json:
        click.echo(json.dumps(_plan_as_json(plan, None)))
    else:
        _echo_plan(plan, everything=True)
    return 1 if plan.rows or plan.conflicts else 0


def _echo_in_force(model: str, book: Any, on: Any) -> None:
    from evaluations.pricing import FEES, SERVICES

    for service in SERVICES:
        found = book.prices_of(model, on, service=service)
        if found is None:
            if service == "standard":
                click.echo(f"{model} on {on}: unpriced; no row holds then.")
            continue
        click.echo(f"{found.model} on {on}, {service}, in US dollars per million tokens (fees: each):")
        for token_class, tiers in found.by_class.items():
            said = [
                usd(price, each=token_class in FEES) + ("" if start == -1 else f" above {start:,}")
                for start, price in tiers
            ]
            click.echo(f"  {token_class:<16}{', '.join(said)}")


def _echo_plan(plan: "PriceSync", everything: bool) -> None:
    from evaluations.wording import count

    if not plan.rows and not plan.conflicts:
        click.echo("The store has what the lists say.")
    if plan.new_models:
        some = ", ".join(plan.new_models[:5])
        more = len(plan.new_models) - 5
        click.echo(
            f"{count(len(plan.new_models), 'model')} without a price so far: {some}"
            + (f" and {more:,} more" if more > 0 else "")
        )
    if plan.changes:
        models = len({change.model for change in plan.changes})
        click.echo(f"{count(len(plan.changes), 'price')} of {count(models, 'known model')} would differ:")
        for change in plan.changes if everything else plan.changes[:SHOWN]:
            click.echo(f"  {_change_line(change)}")
        if not everything and len(plan.changes) > SHOWN:
            click.echo(f"  and {len(plan.changes) - SHOWN:,} more; --all lists them")
    if plan.unlisted:
        click.echo(f"{count(len(plan.unlisted), 'model')} no longer listed; their prices stay in force.")
    for change in plan.conflicts:
        click.echo(f"  refused, for it was edited after it had been taken over: {_change_line(change)}")
    if plan.rows:
        click.echo(f"{count(len(plan.rows), 'row')} to add.")


def _change_line(change: "PriceChange") -> str:
    from evaluations.pricing import FEES

    each = change.price_class.partition(" @")[0].rpartition(" ")[2] in FEES
    before = "none" if change.before is None else usd(change.before, each=each)
    after = "none" if change.after is None else usd(change.after, each=each)
    above = "" if change.tier_start is None else f" above {change.tier_start:,}"
    return (
        f"{change.model} {change.price_class}{above}: {before} -> {after} from {change.effective_from} "
        f"({change.source})"
    )


def usd(price: Any, *, each: bool) -> str:
    """Exact, without trailing zeros; a token's price is said for a million."""
    shown = price if each else price * 1_000_000
    return f"{shown.normalize():f}"


def _line(row: "PriceRow") -> str:
    from evaluations.pricing import FEES

    price = usd(row.per_token, each=row.token_class in FEES) + (" each" if row.token_class in FEES else "")
    price += "" if row.currency == "USD" else f" {row.currency}, not used"
    above = "" if row.tier_start is None else f"{row.tier_start:,}"
    return (
        f"{row.effective_from!s:<12}{row.effective_to or '-'!s:<12}{row.price_class:<34}{above:>9}{price:>16}  "
        f"{row.model:<34}{row.source}"
    )


def _as_json(each: "StoredPrice") -> dict[str, Any]:
    row = each.row
    return {
        "model": row.model,
        "class": row.token_class,
        "service": row.service,
        "hours_utc": None if row.hours is None else str(row.hours),
        "above_tokens": row.tier_start,
        "usd": f"{row.per_token:f}",
        "currency": row.currency,
        "from": str(row.effective_from),
        "to": None if row.effective_to is None else str(row.effective_to),
        "source": row.source,
        "actor": each.actor,
        "recorded_at": each.recorded_at.isoformat(),
    }


def _plan_as_json(plan: "PriceSync", added: int | None) -> dict[str, Any]:
    def told(changes: tuple["PriceChange", ...]) -> list[dict[str, Any]]:
        return [
            {
                "model": each.model,
                "class": each.price_class,
                "above_tokens": each.tier_start,
                "kind": each.kind,
                "before_usd": None if each.before is None else f"{each.before:f}",
                "after_usd": None if each.after is None else f"{each.after:f}",
                "from": str(each.effective_from),
                "source": each.source,
            }
            for each in changes
        ]

    return {
        "rows": len(plan.rows),
        "added": added,
        "new_models": list(plan.new_models),
        "changes": told(plan.changes),
        "conflicts": told(plan.conflicts),
        "unlisted": list(plan.unlisted),
    }
