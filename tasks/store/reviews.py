"""Reviews in the store: landing them once, and asking for those of a window."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from evaluations.reviews import Review


@dataclass(frozen=True, slots=True, kw_only=True)
class LandedReviews:
    """What became of rows that could land."""

    landed: int
    duplicates: int
    conflicts: tuple[int, ...]
    """Positions of rows whose review is there already with other content."""


def land_reviews(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> LandedReviews:
    """Insert reviews that are not there yet; of two in the same rows the first counts."""
    landed, conflicts = 0, []
    for position, row in enumerate(rows):
        made = connection.execute(
            text("""
                INSERT INTO reviews (source, item, reviewer, aspect, at, label, accepted, distance, category, seconds,
                                     content_hash, actor)
                VALUES (:source, :item, :reviewer, :aspect, :at, :label, :accepted, :distance, :category, :seconds,
                        :content_hash, :actor)
                ON CONFLICT (source, item, reviewer, aspect) DO NOTHING
            """),
            dict(row),
        )
        if made.rowcount:
            landed += 1
            continue
        there = connection.execute(
            text("""
                SELECT content_hash FROM reviews
                WHERE source = :source AND item = :item AND reviewer = :reviewer AND aspect = :aspect
            """),
            dict(row),
        ).scalar_one()
        if bytes(there) != row["content_hash"]:
            conflicts.append(position)
    return LandedReviews(landed=landed, duplicates=len(rows) - landed - len(conflicts), conflicts=tuple(conflicts))


def reviewed_between(connection: Connection) -> tuple[datetime, datetime] | None:
    """When the first and the last review were made; None before there is one."""
    row = connection.execute(text("SELECT min(at), max(at) FROM reviews")).one()
    return None if row[0] is None else (row[0], row[1])


def reviews_between(connection: Connection, begins: datetime, ends: datetime) -> list[Review]:
    """The reviews of a time, each with what its request says of the customer."""
    rows = connection.execute(
        text("""
            SELECT v.source, v.item, v.reviewer, v.at, v.aspect, v.label, v.accepted, v.distance, v.seconds,
                   coalesce(v.category, r.category) AS category, r.rating, r.sentiment
            FROM reviews v
            LEFT JOIN request_keys k ON k.source = v.source AND k.external_id = v.item
            LEFT JOIN requests r ON r.id = k.id AND r.at = k.at
            WHERE v.at >= :begins AND v.at < :ends ORDER BY v.source, v.item, v.aspect, v.reviewer
        """),
        {"begins": begins, "ends": ends},
    ).mappings()
    return [Review(**row) for row in rows]
