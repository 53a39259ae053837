"""What a price list says today against what the store has: the rows to add, and what they mean for a person.

Rows are added, never changed. A public list is compared as a whole (see `PriceBook`): when anything in a model's
list differs, the whole list is written again, from today on, and the one before stays for the days before. Where
the list knows its own dates, they count instead of today.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Literal

from evaluations.pricing import ListName, PriceRow, list_of

ListKey = tuple[str, ListName]
"""A model and the list that names its prices."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceChange:
    """One price that would be another. US dollars a token; None where there was none, or will be none."""

    model: str
    price_class: str
    """Class, service and hours, as `PriceRow.price_class` writes them."""
    tier_start: int | None
    before: Decimal | None
    after: Decimal | None
    effective_from: date
    source: str

    @property
    def kind(self) -> Literal["new", "changed", "gone"]:
        return "gone" if self.after is None else "new" if self.before is None else "changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceSync:
    """What a synchronisation would do."""

    rows: tuple[PriceRow, ...]
    """To be added."""
    new_models: tuple[str, ...]
    """Models that the store has no price for; their rows are not among the changes."""
    changes: tuple[PriceChange, ...]
    """What differs for models that the store knows."""
    unlisted: tuple[str, ...]
    """Models with prices in the store that no list names any more; their prices stay in force."""
    conflicts: tuple[PriceChange, ...]
    """Entries of one's own that were edited after they had been taken over, which is refused: a past price would
    move."""


def compared(held: Iterable[PriceRow], offered: Iterable[PriceRow], today: date) -> PriceSync:
    """The rows that are offered and not held, and what would change by them.

    `held` is in the order in which the rows were written. An offered row of a public list is written with the day
    it comes with when it is the first of its list and model, or when the list has dates; else from today on.
    """
    ours, theirs = _by_list(held), _by_list(_distinct(offered))
    rows: list[PriceRow] = []
    changes: list[PriceChange] = []
    conflicts: list[PriceChange] = []
    for key, listed in theirs.items():
        name = key[1]
        if name == "own":
            added, refused = _own(ours.get(key, ()), listed)
            conflicts += refused
        elif name in ("dated", "borrowed"):
            added = _dated(ours.get(key, ()), listed)
        else:
            added = _undated(ours.get(key, ()), listed, today)
        rows += added
        changes += _changes(ours.get(key, ()), added, name)
    known = {model for model, _ in ours}
    return PriceSync(
        rows=tuple(rows),
        new_models=tuple(sorted({row.model for row in rows} - known)),
        changes=tuple(change for change in changes if change.model in known),
        unlisted=tuple(sorted({model for model, name in ours if name != "own"} - {model for model, _ in theirs})),
        conflicts=tuple(conflicts),
    )


def _distinct(rows: Iterable[PriceRow]) -> list[PriceRow]:
    """The first row of each place and day: names of a list that differ in spelling alone meet in one name."""
    first: dict[tuple[object, ...], PriceRow] = {}
    for row in rows:
        first.setdefault((row.model, row.place, row.effective_from, row.source), row)
    return list(first.values())


def _by_list(rows: Iterable[PriceRow]) -> dict[ListKey, list[PriceRow]]:
    by_list: dict[ListKey, list[PriceRow]] = defaultdict(list)
    for row in rows:
        by_list[row.model, list_of(row.source)].append(row)
    return by_list


def _content(rows: Iterable[PriceRow]) -> dict[tuple[str, int], Decimal]:
    return {row.place: row.per_token for row in rows}


def _editions(rows: Sequence[PriceRow]) -> dict[date, list[PriceRow]]:
    """For each day the rows that begin on it, of the source that was written last."""
    last = {row.effective_from: row.source for row in rows}
    editions: dict[date, list[PriceRow]] = defaultdict(list)
    for row in rows:
        if row.source == last[row.effective_from]:
            editions[row.effective_from].append(row)
    return editions


def _undated(held: Sequence[PriceRow], offered: Sequence[PriceRow], today: date) -> list[PriceRow]:
    if not held:
        return list(offered)
    editions = _editions(held)
    if _content(editions[max(editions)]) == _content(offered):
        return []
    return [replace(row, effective_from=today) for row in offered]


def _dated(held: Sequence[PriceRow], offered: Sequence[PriceRow]) -> list[PriceRow]:
    ours = _editions(held)
    return [
        row
        for day, edition in _editions(offered).items()
        if _content(ours.get(day, ())) != _content(edition)
        for row in edition
    ]


def _own(held: Sequence[PriceRow], offered: Sequence[PriceRow]) -> tuple[list[PriceRow], list[PriceChange]]:
    """Rows that are not there, and those that are there with another price or end."""
    there = {(row.place, row.effective_from, row.source): row for row in held}
    added, refused = [], []
    for row in offered:
        before = there.get((row.place, row.effective_from, row.source))
        if before is None:
            added.append(row)
        elif (before.per_token, before.effective_to) != (row.per_token, row.effective_to):
            refused.append(_change(row, before.per_token, row.per_token))
    return added, refused


def _changes(held: Sequence[PriceRow], added: Sequence[PriceRow], name: ListName) -> list[PriceChange]:
    """What the added rows say otherwise than the rows that held on their first day, or nothing did."""
    changes = []
    for day, edition in _editions(added).items():
        before = _in_force(held, day, name)
        after = _content(edition)
        changes += [
            _change(row, before.get(row.place), row.per_token)
            for row in edition
            if before.get(row.place) != row.per_token
        ]
        if name != "own":
            first = edition[0]
            changes += [_gone(first, place, price) for place, price in before.items() if place not in after]
    return changes


def _in_force(held: Sequence[PriceRow], day: date, name: ListName) -> Mapping[tuple[str, int], Decimal]:
    rows = [row for row in held if row.holds_on(day)]
    if name == "own":
        return _content(sorted(rows, key=lambda row: row.effective_from))
    editions = _editions(rows)
    return _content(editions[max(editions)]) if editions else {}


def _change(row: PriceRow, before: Decimal | None, after: Decimal | None) -> PriceChange:
    return PriceChange(
        model=row.model,
        price_class=row.price_class,
        tier_start=row.tier_start,
        before=before,
        after=after,
        effective_from=row.effective_from,
        source=row.source,
    )


def _gone(beside: PriceRow, place: tuple[str, int], price: Decimal) -> PriceChange:
    price_class, start = place
    return PriceChange(
        model=beside.model,
        price_class=price_class,
        tier_start=None if start == -1 else start,
        before=price,
        after=None,
        effective_from=beside.effective_from,
        source=beside.source,
    )
