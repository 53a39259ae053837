"""Repricing requests of the past by the price rows of now: the only way in which the price of a priced request changes.

Day by day and page by page; each page is one transaction that changes costs, marks the day for the next rollup and
writes down what was changed. Killed anywhere, the same command goes on; run again, it finds nothing to change.
"""

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import orjson

from evaluations.errors import AssayError
from evaluations.pricing import PLACES, PriceBook
from evaluations.repricing import PriceList, RepricedGroup, Repricing
from evaluations.rollups import day_bounds
from tasks.ingest.pricing import PriceSet, names_to_price, price
from tasks.price_sync import rows_to_come, seed_prices
from tasks.publishing import PublishedPage, write_report
from tasks.settings import settings
from tasks.store import partitions, repricing, requests, rollups
from tasks.store.database import transaction
from tasks.store.prices import price_book
from tasks.store.repricing import Change

if TYPE_CHECKING:
    import pandas as pd
    from sqlalchemy import Connection


@dataclass(frozen=True, slots=True)
class PublishedRepricing(PublishedPage):
    """Where the report of a repricing is."""

    @property
    def csv(self) -> Path:
        return self.folder / "changes.csv"


@dataclass(slots=True)
class _Tally:
    """What was seen so far."""

    looked_at: int = 0
    unpriced: int = 0
    kept: int = 0
    groups: list[RepricedGroup] = field(default_factory=list)
    batches: set[int] = field(default_factory=set)
    """Whose requests were looked at."""


def reprice(days: Sequence[date], *, dry_run: bool = False, stop: Event | None = None) -> Repricing:
    """Price the requests of these consecutive days again, or say what that would change.

    Entries of one's own price file count too; a dry run takes them into account without writing them. Once `stop` is
    set it ends after the page under way. Raises AssayError while somebody else reprices.
    """
    if not days:
        raise AssayError("give the first day to reprice, such as --from 2026-05-01.")
    given = settings()
    with nullcontext() if dry_run else repricing.alone():
        with transaction() as connection:
            if not dry_run:
                seed_prices(connection, given)
            timezone = rollups.timezone_of(connection)
            frozen = _frozen(connection, days, timezone)
            opened = None if dry_run else repricing.open_repricing(connection, days[0], days[-1], given.actor)
        tally, stopped = _Tally(), False
        for day in (each for each in days if each not in frozen):
            for _ in _pages(day, timezone, tally, None if opened is None else opened.id, given.actor):
                stopped = stop is not None and stop.is_set()
                if stopped:
                    break
            if stopped:
                break
        with transaction() as connection:
            if opened is not None and not stopped:
                repricing.close_repricing(
                    connection, opened.id, looked_at=tally.looked_at, unpriced=tally.unpriced, kept=tally.kept
                )
            sample_data = repricing.any_made_up(connection, tally.batches)
            groups = _merged(tally.groups) if opened is None else repricing.groups_of(connection, opened.id)
    return Repricing(
        id=None if opened is None else opened.id,
        first=days[0],
        last=days[-1],
        timezone=timezone,
        actor=given.actor,
        at=datetime.now(UTC) if opened is None else opened.recorded_at,
        looked_at=tally.looked_at,
        unpriced=tally.unpriced,
        kept=tally.kept,
        frozen=frozen,
        groups=tuple(sorted(groups, key=lambda each: (each.day, each.name, repr(each.before), repr(each.after)))),
        stopped=stopped,
        sample_data=sample_data,
    )


def publish_repricing(found: Repricing) -> PublishedRepricing:
    """Write the report of a repricing with its JSON and CSV twins."""
    from reports.reprice_twins import as_csv, as_html, as_json

    name = f"dry-run-{found.first}-{found.last}" if found.id is None else str(found.id)
    published = PublishedRepricing(settings().reports_folder / f"reprice-{name}")
    again = f"assay reprice --from {found.first} --to {found.last}{' --dry-run' if found.dry_run else ''}"
    for path, parts in (
        (published.csv, as_csv(found)),
        (published.json, [as_json(found)]),
        (published.html, [as_html(found)]),
    ):
        write_report(path, parts, about="What was changed", again=again)
    return published


def _frozen(connection: "Connection", days: Sequence[date], timezone: str) -> tuple[date, ...]:
    """Days that lost requests to retention: their facts are told as they were."""
    dropped = partitions.dropped_days(connection, "requests")
    found = []
    for day in days:
        begins, ends = (bound.date() for bound in day_bounds(day, timezone))
        if any(first <= ends and begins < last for first, last in dropped):
            found.append(day)
    return tuple(found)


def _pages(day: date, timezone: str, tally: _Tally, repricing_id: int | None, actor: str) -> Iterator[None]:
    """Look at a day, a page at a time, each in a transaction of its own."""
    begins, ends = day_bounds(day, timezone)
    after = (0, 0)
    while True:
        with transaction() as connection:
            rows = repricing.page(connection, begins, ends, after, lock=repricing_id is not None)
            if not rows:
                return
            changes, groups = _looked_at(connection, day, rows, tally, keep=repricing_id is not None, actor=actor)
            if repricing_id is None:
                tally.groups = list(_merged([*tally.groups, *(group for group, _, _ in groups)]))
            elif changes:
                repricing.change_prices(connection, changes)
                written = [(group, old, new) for group, old, new in groups if new is not None]
                repricing.record(connection, repricing_id, written, actor)
                requests.mark_dirty(connection, {day: len(changes)}, cause="reprice", batch_id=None, actor=actor)
        after = (rows[-1].at, rows[-1].id)
        yield


def _looked_at(
    connection: "Connection", day: date, rows: Sequence[Any], tally: _Tally, *, keep: bool, actor: str
) -> tuple[list[Change], list[tuple[RepricedGroup, int | None, int | None]]]:
    """The requests of a page whose cost is another now, and their groups with the sets of prices before and after.

    A dry run keeps no new set of prices, so none of its groups has one after.
    """
    import pandas as pd

    frame = pd.DataFrame(rows, columns=list(repricing.COLUMNS))
    found = price(frame, _book(connection, frame, keep=keep))
    tally.looked_at += len(rows)
    tally.batches.update(row.batch_id for row in rows)
    moved: dict[tuple[Any, ...], list[tuple[Any, Decimal]]] = {}
    for row, picodollars, used in zip(rows, found.picodollars, found.sets, strict=True):
        if picodollars is None or used is None:
            tally.unpriced += row.cost is None
            tally.kept += row.cost is not None
            continue
        cost = picodollars * PLACES
        if cost != row.cost:
            moved.setdefault((row.provider, row.model, row.price_set_id, used), []).append((row, cost))
    new = dict.fromkeys(used for _, _, _, used in moved)
    ids = _set_ids(connection, list(new), actor) if keep else {}
    lists = repricing.price_lists(connection, {before for _, _, before, _ in moved if before is not None})
    changes: list[Change] = []
    groups: list[tuple[RepricedGroup, int | None, int | None]] = []
    for (provider, model, before, used), several in moved.items():
        group = RepricedGroup(
            day=day,
            provider=provider,
            model=model,
            before=None if before is None else lists[before],
            after=PriceList.read(used.model, orjson.loads(used.prices)),
            rows=len(several),
            cost_before=None if before is None else sum((row.cost for row, _ in several), Decimal(0)),
            cost_after=sum((cost for _, cost in several), Decimal(0)),
        )
        groups.append((group, before, ids.get(used)))
        if keep:
            changes += [Change(id=row.id, at=row.at, cost=cost, price_set_id=ids[used]) for row, cost in several]
    return changes, groups


def _book(connection: "Connection", frame: "pd.DataFrame", *, keep: bool) -> PriceBook:
    names = names_to_price(frame)
    book = price_book(connection, names)
    return book if keep else PriceBook([*book.rows, *rows_to_come(connection, settings(), names)])


def _set_ids(connection: "Connection", sets: list[PriceSet], actor: str) -> dict[PriceSet, int]:
    if not sets:
        return {}
    found = requests.price_set_ids(connection, [(each.model, each.prices) for each in sets], actor)
    return dict(zip(sets, found, strict=True))


def _merged(groups: Sequence[RepricedGroup]) -> tuple[RepricedGroup, ...]:
    """Groups of the same change as one."""
    merged: dict[tuple[Any, ...], RepricedGroup] = {}
    for each in groups:
        key = (each.day, each.provider, each.model, each.before, each.after)
        known = merged.get(key)
        merged[key] = each if known is None else _joined(known, each)
    return tuple(merged.values())


def _joined(one: RepricedGroup, other: RepricedGroup) -> RepricedGroup:
    costs = [each.cost_before for each in (one, other) if each.cost_before is not None]
    return RepricedGroup(
        day=one.day,
        provider=one.provider,
        model=one.model,
        before=one.before,
        after=one.after,
        rows=one.rows + other.rows,
        cost_before=sum(costs, Decimal(0)) if costs else None,
        cost_after=one.cost_after + other.cost_after,
    )
