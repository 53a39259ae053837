"""Bringing the registry up to the catalogues: what differs is seen first, then written, with an activity for each."""

from collections.abc import Sequence
from dataclasses import dataclass

from evaluations.model_changes import ModelChange
from tasks.model_catalogue import planned_sync, seed_models
from tasks.price_sync import apply_sync as apply_prices
from tasks.price_sync import planned_sync as planned_prices
from tasks.price_sync import seed_prices
from tasks.settings import settings
from tasks.store.database import transaction
from tasks.store.models import apply_changes, lock_models, record
from tasks.store.prices import lock_prices


@dataclass(frozen=True, slots=True, kw_only=True)
class Synced:
    """What a sync found, and wrote unless it was dry."""

    changes: Sequence[ModelChange]
    price_lines: tuple[str, ...]
    """Prices of known models that the lists say otherwise."""


def sync_models(*, write: bool) -> Synced:
    """Compare the registry with the catalogues, and with `write` bring it up to them.

    Raises AssayError with file, line and column where a file of one's own cannot be read; nothing is written then.
    """
    given = settings()
    with transaction() as connection:
        if write:
            lock_models(connection)
            lock_prices(connection)
        seed_models(connection, given)
        seed_prices(connection, given)
        changes = planned_sync(connection, given)
        plan = planned_prices(connection, given)
        # What a list adds that another had already is no change of a price.
        prices = [each for each in plan.changes if each.kind == "changed"]
        if write:
            apply_changes(connection, changes, given.actor)
            apply_prices(connection, plan, given)
            for each in prices:
                old = None if each.before is None else {each.price_class: f"{each.before:f}"}
                new = None if each.after is None else {each.price_class: f"{each.after:f}"}
                record(connection, "price changed", each.model, old, new, f"by {each.source}", given.actor)
    lines = tuple(f"{each.model} {each.price_class}: {_usd(each.before)} -> {_usd(each.after)}" for each in prices)
    return Synced(changes=changes, price_lines=lines)


def _usd(price: object) -> str:
    return "none" if price is None else f"{price} a token"
