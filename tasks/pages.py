"""Pages about production: which there are, the window each is about, and writing it with its twins."""

from collections.abc import Callable, Iterable, Mapping
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

from sqlalchemy import Connection

from evaluations.errors import AssayError, NothingYet, unknown_name
from evaluations.production import (
    GROUPED_BY,
    MONTHS,
    MOST_WEEKS,
    Window,
    overview_of,
    spending_of,
)
from evaluations.trends import USUAL_WEEKS
from evaluations.wording import count
from tasks.benchmark_pages import publish_benchmark
from tasks.benchmarking import find_benchmark
from tasks.comparing import publish_latest
from tasks.customer import publish_customer
from tasks.deployment_pages import publish_deployment, publish_deployments
from tasks.experiment_pages import publish_experiment
from tasks.model_pages import publish_models
from tasks.prompt_history import publish_prompt
from tasks.publishing import publish_request, write_report
from tasks.recommendation_pages import publish_recommendations
from tasks.settings import settings
from tasks.store import facts, rollups, spend
from tasks.store.database import transaction

DEFAULT_DAYS = 30
HEAVIEST = 10

Publish = Callable[[date | None, date | None], Path]
"""Writes a page about a window, or about its own default one, with its twins. Gives the page.

Raises NothingYet when there is nothing to write about.
"""


def publish_overview(first: date | None = None, last: date | None = None) -> Path:
    """How things stand: spend to date, health of each feature, what moved."""
    from reports.production_files import overview_files

    with transaction() as connection:
        window = window_of(connection, first, last, latencies=True)
    return _written("overview", overview_files(overview_of(window)))


def publish_spend(first: date | None = None, last: date | None = None) -> Path:
    """Where the money went: by feature, model, provider and time, and how it is used."""
    from reports.production_files import spend_files

    with transaction() as connection:
        window = window_of(connection, first, last, latencies=False)
        hours = facts.by_hour_of_week(connection, window.first, window.last, window.timezone)
        users = facts.users_of(connection, window.first, window.last, HEAVIEST)
    return _written("spend", spend_files(spending_of(window, tuple(hours), users)))


PAGES: Mapping[str, Publish] = {
    "overview": publish_overview,
    "spend": publish_spend,
    "customer": publish_customer,
    "comparison": publish_latest,
    "models": publish_models,
    "deployments": publish_deployments,
    "recommendations": publish_recommendations,
}
"""The pages that nightly writes, in this order: name -> what writes it."""
PAGES_OF_ONE: Mapping[str, Callable[[str], Path]] = {
    "request": lambda id: publish_request(id).html,
    "experiment": publish_experiment,
    "benchmark": lambda id: publish_benchmark(find_benchmark(id)).html,
    "prompt": publish_prompt,
    "deployment": publish_deployment,
}
"""Pages about one thing, by its id: name -> what writes it."""


def check_only_sample_data() -> None:
    """Raises AssayError when the store holds requests that are no sample data: the two would be told together."""
    with transaction() as connection:
        real = facts.real_requests(connection)
    if real:
        raise AssayError(
            f"the store holds {count(real, 'request')} that are no sample data, which sample traffic would be mixed "
            "into. Set ASSAY_HOME to an empty folder for a demonstration."
        )


def check_page(page: str, id: str, first: date | None, last: date | None) -> None:
    """Raises AssayError when nobody knows the page, or what is given is not what it takes; "" is all pages."""
    if page and page not in {*PAGES, *PAGES_OF_ONE}:
        raise AssayError(unknown_name("page", page, [*PAGES, *PAGES_OF_ONE, "all"]))
    if page in PAGES_OF_ONE and not id:
        raise AssayError(f"the {page} page is about one {page}; give its id: `assay report {page} ID`.")
    if id and page not in PAGES_OF_ONE:
        raise AssayError(f"the {page or 'overview'} page takes no id; leave {id!r} out.")
    if first and last and last < first:
        raise AssayError(f"{first} comes after {last}; give the earlier day first.")


def publish_page(page: str, id: str, first: date | None, last: date | None) -> Path:
    """Write one page that there is; see `check_page`."""
    return PAGES_OF_ONE[page](id) if page in PAGES_OF_ONE else PAGES[page](first, last)


def window_of(connection: Connection, first: date | None, last: date | None, *, latencies: bool) -> Window:
    """The window of a page with its facts, and those before it that it is held against.

    With `latencies`, these are there for its days and for the weeks that tell what is usual.

    Without a last day it ends with the newest that is over; without a first, it has thirty days. Raises NothingYet
    when nothing is rolled up, AssayError when it ends before it begins.
    """
    last = last or facts.newest_whole_day(connection)
    if last is None:
        raise NothingYet("no requests are rolled up yet; `assay ingest FILE`, then `assay rollup`.")
    first = first or last - timedelta(days=DEFAULT_DAYS - 1)
    if last < first:
        raise AssayError(f"{first} comes after {last}; give the earlier day first.")
    fresh = facts.freshness(connection, first, last)
    if fresh is None or not fresh.rolled:
        raise NothingYet(f"no requests from {first} to {last} are rolled up; `assay rollup --from --to` does it.")
    month_before = (last.replace(day=1) - timedelta(days=1)).replace(day=1)
    since = min(first - (last - first) - timedelta(days=1), last - timedelta(weeks=2 * MOST_WEEKS), month_before)
    usual = last - timedelta(weeks=USUAL_WEEKS + 1)
    return Window(
        first=first,
        last=last,
        timezone=rollups.timezone_of(connection),
        facts=facts.facts_by_day(
            connection, GROUPED_BY, since, last, latencies_from=min(first, usual) if latencies else None
        ),
        months=_months(connection, fresh.known_from, last),
        restatements=tuple(rollups.restatements(connection, first, last)),
        freshness=fresh,
    )


def _months(connection: Connection, known_from: date, last: date) -> dict[date, Decimal | None]:
    """What the last months cost that are known from their first day on, and the one of the last day in any case."""
    months = [last.replace(day=1)]
    while len(months) < MONTHS and (earlier := (months[-1] - timedelta(days=1)).replace(day=1)) >= known_from:
        months.append(earlier)
    found = spend.spend_by(connection, (), months[-1], last, "month")
    return {month: spent.cost if (spent := found.get(((), month))) else None for month in reversed(months)}


def _written(page: str, twins: Iterable[tuple[str, Iterable[str]]]) -> Path:
    """The page and its twins in the reports folder, each whole or not at all; the page last."""
    folder = settings().reports_folder
    for name, parts in twins:
        write_report(folder / name, parts, about="What it is made of", again=f"assay report {page}")
    return folder / f"{page}.html"
