"""Rollups: by what facts of production requests are told apart, what is summed, and where a day begins and ends."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Literal, get_args
from zoneinfo import ZoneInfo

Dimension = Literal["feature", "category", "prompt_version", "model", "provider", "project", "environment", "region"]
DIMENSIONS: tuple[Dimension, ...] = get_args(Dimension)

PROMPT_TOKENS = (
    "input_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "cache_write_1h_tokens",
    "input_audio_tokens",
    "cached_audio_tokens",
)
REPLY_TOKENS = ("output_tokens", "reasoning_tokens", "output_audio_tokens", "output_image_tokens")
TOKENS = (*PROMPT_TOKENS, *REPLY_TOKENS)
"""Disjoint classes of tokens, each billed at a rate of its own."""
COUNTS = ("requests", "successes", "errors", "usage_unknown", "cache_hits", "cache_known", "priced", "unpriced")
SUMS = ("cost", "latency_n", "latency_us", "rating_n", "rating_sum")
SUMS_OF_SCORES = ("quality_n", "quality_sum", "confidence_n", "confidence_sum")
MEASURES = (*COUNTS, *TOKENS, *SUMS, *SUMS_OF_SCORES)
"""What is added up over hours, days and dimensions; latencies are added up as histograms besides."""

HEAVIEST = 500
"""So many persons of each day are kept apart, by requests and by cost."""

Cause = Literal["ingest", "reprice", "erase", "timezone"]
"""Why facts of a day changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DayTotals:
    """Sums of a whole day: what a restatement says of it before and after."""

    requests: int
    successes: int
    errors: int
    unpriced: int
    cost: Decimal | None
    """US dollars, of the requests that are priced; None when none is."""
    input_tokens: int
    """All classes of a prompt's tokens together; so is the next of a reply's."""
    output_tokens: int
    fact_rows: int
    """Rows of daily facts."""

    def as_json(self) -> dict[str, Any]:
        """As a JSON object, money as text."""
        return {**asdict(self), "cost": None if self.cost is None else f"{self.cost:f}"}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "DayTotals":
        cost = stored["cost"]
        return cls(**{**stored, "cost": None if cost is None else Decimal(cost)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Why a day is to be rolled up again: what was done to its requests."""

    cause: Cause
    batch_id: int | None
    rows: int
    """Requests of the day that were added or changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Restatement:
    """A day that changed after it had been rolled up when it was over."""

    day: date
    before: DayTotals
    after: DayTotals
    rows: int
    causes: tuple[Mark, ...]
    at: datetime

    def sentence(self) -> str:
        """What changed, for a person.

        >>> from datetime import UTC
        >>> nothing = DayTotals(requests=0, successes=0, errors=0, unpriced=0, cost=None, input_tokens=0,
        ...     output_tokens=0, fact_rows=0)
        >>> late = Mark(cause="ingest", batch_id=3, rows=2)
        >>> Restatement(day=date(2026, 5, 1), before=nothing, after=nothing, rows=2, causes=(late,),
        ...     at=datetime(2026, 5, 3, tzinfo=UTC)).sentence()
        '2026-05-01 was restated on 2026-05-03: 0 → 0 requests, unpriced → unpriced (late rows)'
        """
        return (
            f"{self.day} was restated on {self.at:%Y-%m-%d}: {self.before.requests:,} → {self.after.requests:,} "
            f"requests, {_dollars(self.before.cost)} → {_dollars(self.after.cost)} ({self.why()})"
        )

    def why(self) -> str:
        """The causes in words, each once, in the order in which they came."""
        return ", ".join(dict.fromkeys(CAUSES[each.cause] for each in self.causes)) or "rolled up by hand"


CAUSES: Mapping[Cause, str] = {
    "ingest": "late rows",
    "reprice": "priced again",
    "erase": "a person's requests were erased",
    "timezone": "the platform's time zone changed",
}


def day_bounds(day: date, timezone: str) -> tuple[datetime, datetime]:
    """When a day begins, and when it is over, by the clocks of an IANA time zone; both in UTC.

    >>> [f"{bound:%d %H:%M}" for bound in day_bounds(date(2026, 3, 29), "Europe/Berlin")]
    ['28 23:00', '29 22:00']
    """
    zone = ZoneInfo(timezone)
    begins, ends = (datetime.combine(each, time(), zone).astimezone(UTC) for each in (day, day + timedelta(days=1)))
    return begins, ends


PARTS = 4
"""A day is read in so many parts at once."""


def day_parts(day: date, timezone: str) -> tuple[datetime, ...]:
    """Where the parts of a day begin, and where the last one ends, in UTC: full hours by the clocks of the zone.

    Hours are counted from the beginning of their part. Where clocks move by less than an hour, which those of Lord Howe
    do, the hours after it are off by as much, until the next part begins.

    >>> [f"{bound:%d %H:%M}" for bound in day_parts(date(2026, 3, 29), "Europe/Berlin")]
    ['28 23:00', '29 04:00', '29 10:00', '29 16:00', '29 22:00']
    """
    begins, ends = day_bounds(day, timezone)
    zone = ZoneInfo(timezone)
    between = [datetime.combine(day, time(24 // PARTS * n), zone).astimezone(UTC) for n in range(1, PARTS)]
    # A zone that crossed the date line has a day that is none: its parts are empty, too.
    return (begins, *sorted(min(max(each, begins), ends) for each in between), ends)


def _dollars(cost: Decimal | None) -> str:
    return "unpriced" if cost is None else f"${cost:,.2f}"
