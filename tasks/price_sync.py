"""Bringing the price rows of the store up to what the lists say: seen first, then added; none is ever changed."""

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime

from sqlalchemy import Connection

from evaluations.errors import AssayError
from evaluations.price_changes import PriceSync, compared
from evaluations.pricing import PriceRow
from tasks.prices import map_source, override_files, rows_of_map, rows_of_overrides
from tasks.settings import Settings, settings
from tasks.store.database import first_look
from tasks.store.prices import add_prices, all_prices, configured_models, has_source, lock_prices, price_book


def seed_prices(connection: Connection, given: Settings | None = None) -> None:
    """Take over LiteLLM's map of this version once, and of the files of one's own what is not there yet.

    What every run does first, so it does nothing where nothing is new. Raises AssayError on an entry of one's own
    that was edited after it had been taken over.
    """
    given = given or settings()
    with first_look("the lists of prices", "assay models sync"):
        if not has_source(connection, map_source()):
            lock_prices(connection)
            # None where another command was faster while this one waited, or where the new version says the same.
            add_prices(connection, compared(all_prices(connection), rows_of_map(), today()).rows, given.actor)
        apply_sync(connection, _own_sync(connection, given), given)


def rows_to_come(connection: Connection, given: Settings, names: Iterable[str]) -> list[PriceRow]:
    """What the next command would take over of one's own file for these names.

    Raises AssayError on an entry that was edited after it had been taken over.
    """
    wanted = set(names)
    sync = _own_sync(connection, given)
    _refuse_conflicts(sync)
    return [row for row in sync.rows if row.model in wanted]


def planned_sync(connection: Connection, given: Settings, names: Iterable[str] = ()) -> PriceSync:
    """What the store lacks of LiteLLM's map, of genai-prices and of the files of one's own.

    genai-prices is also asked for the models of the map, of all runs, and for these names (provider/name).
    """
    from tasks.curated_prices import rows_of_curated

    listed = list(rows_of_map())
    wanted = sorted({row.model for row in listed} | set(configured_models(connection))) + list(names)
    offered = [*listed, *rows_of_curated(wanted), *_own_rows(given)]
    return compared(all_prices(connection), offered, today())


def apply_sync(connection: Connection, sync: PriceSync, given: Settings) -> int:
    """Add the planned rows; gives how many. Raises AssayError where an entry of one's own was edited."""
    _refuse_conflicts(sync)
    return add_prices(connection, sync.rows, given.actor)


def _refuse_conflicts(sync: PriceSync) -> None:
    if sync.conflicts:
        first = sync.conflicts[0]
        raise AssayError(
            f"{first.model}: {first.price_class} from {first.effective_from} on ({first.source}) was taken over before "
            "with another price or end, and rows are never changed; undo the edit and write a new entry with the day "
            "from which it holds."
        )


def _own_sync(connection: Connection, given: Settings) -> PriceSync:
    own = list(_own_rows(given))
    return compared(price_book(connection, {row.model for row in own}).rows, own, today())


def _own_rows(given: Settings) -> Iterator[PriceRow]:
    for path in override_files(given):
        yield from rows_of_overrides(path)


def today() -> date:
    """The day (UTC) from which a price without a date counts."""
    return datetime.now(UTC).date()
