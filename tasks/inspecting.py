"""Looking into production requests: one with all that is known of it, or a list of them."""

from dataclasses import dataclass
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from evaluations.errors import AssayError, unknown_name
from evaluations.inspection import Inspection
from evaluations.rollups import day_bounds
from evaluations.traces import trace_of
from tasks.store import request_lookup, rollups
from tasks.store.database import transaction
from tasks.store.request_lookup import RequestLine, Wanted

DEFAULT_DAYS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Requests of some days, both included, in the platform's time zone."""

    lines: tuple[RequestLine, ...]
    first: date
    last: date
    timezone: str


def inspect_request(said: str) -> Inspection:
    """All that is known of the request that somebody means, by any of its ids.

    Raises AssayError when there is none, or more than one.
    """
    with transaction() as connection:
        request = request_lookup.request_of(connection, request_lookup.find_request(connection, said))
        spans, beyond = (
            request_lookup.spans_of(connection, request.trace_id, request.at) if request.trace_id else ([], 0)
        )
        day = request.at.astimezone(ZoneInfo(rollups.timezone_of(connection))).date()
        restatements = tuple(rollups.restatements(connection, day, day))
        return Inspection(
            request=request,
            trace=trace_of(spans),
            spans_left_out=beyond,
            price=request_lookup.price_used(connection, request.id),
            neighbours=tuple(request_lookup.neighbours_of(connection, request)),
            restatements=restatements,
            # What is shown can change by these alone, so the same facts give the same page.
            as_of=max([request.recorded_at, *(each.at for each in restatements)]),
        )


def list_requests(
    *,
    feature: str | None = None,
    model: str | None = None,
    status: str | None = None,
    first: date | None = None,
    last: date | None = None,
    slowest: bool = False,
    limit: int = 20,
) -> Listing:
    """Requests of a window; without one, of the thirty days up to the newest request.

    Raises AssayError when there are none at all, the window ends before it begins, or a name is unknown in it.
    """
    with transaction() as connection:
        timezone = rollups.timezone_of(connection)
        newest = request_lookup.newest_at(connection)
        if newest is None:
            raise AssayError("there are no requests yet; `assay ingest FILE` takes them in.")
        last = last or max(newest.astimezone(ZoneInfo(timezone)).date(), first or date.min)
        first = first or last - timedelta(days=DEFAULT_DAYS - 1)
        if last < first:
            raise AssayError(f"{first} comes after {last}; give the earlier day first.")
        wanted = Wanted(
            feature=feature,
            model=model,
            status=status,
            begins=day_bounds(first, timezone)[0],
            ends=day_bounds(last, timezone)[1],
            slowest=slowest,
            limit=limit,
        )
        lines = request_lookup.list_requests(connection, wanted)
        if not lines:
            for column, name in (("feature", feature), ("model", model)):
                known = request_lookup.known_names(connection, column, wanted.begins, wanted.ends) if name else []
                if name and known and name not in known:
                    raise AssayError(unknown_name(column, name, known))
        return Listing(lines=tuple(lines), first=first, last=last, timezone=timezone)
